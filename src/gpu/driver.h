/* driver.h -- the driver functions that the launchers call, one table for HIP and CUDA: the rows
 * below give each its exact symbol, so that a test can hold them against the vendors' headers. */
#ifndef AITERI_GPU_DRIVER_H
#define AITERI_GPU_DRIVER_H

#include "../base/check.h"

/* The vendors' types by their size: every handle is a pointer, a device address is as wide. */
typedef int aiteri_gpu_result, aiteri_gpu_ordinal, aiteri_gpu_attribute, aiteri_gpu_capture,
    aiteri_gpu_function_attribute;
typedef void *aiteri_gpu_address, *aiteri_gpu_stream, *aiteri_gpu_module, *aiteri_gpu_function,
    *aiteri_gpu_native;

/* ROW(result, field, HIP symbol, CUDA symbol, parameters): the same function on both sides. */
#define AITERI_DRIVER_ROWS(ROW)                                                                   \
    ROW(aiteri_gpu_result, init, hipInit, cuInit, (unsigned flags))                               \
    ROW(aiteri_gpu_result, device_count, hipGetDeviceCount, cuDeviceGetCount, (int *count))       \
    ROW(aiteri_gpu_result, device_attribute, hipDeviceGetAttribute, cuDeviceGetAttribute,         \
        (int *value, aiteri_gpu_attribute id, aiteri_gpu_ordinal device))                         \
    ROW(aiteri_gpu_result, device_name, hipDeviceGetName, cuDeviceGetName,                        \
        (char *name, int bytes, aiteri_gpu_ordinal device))                                       \
    ROW(aiteri_gpu_result, memory_alloc, hipMalloc, cuMemAlloc_v2,                                \
        (aiteri_gpu_address * at, size_t bytes))                                                  \
    ROW(aiteri_gpu_result, memory_free, hipFree, cuMemFree_v2, (aiteri_gpu_address at))           \
    ROW(aiteri_gpu_result, memory_read, hipMemcpyDtoH, cuMemcpyDtoH_v2,                           \
        (void *to, aiteri_gpu_address from, size_t bytes))                                        \
    ROW(aiteri_gpu_result, pinned_alloc, hipHostMalloc, cuMemHostAlloc,                           \
        (void **at, size_t bytes, unsigned flags))                                                \
    ROW(aiteri_gpu_result, pinned_free, hipHostFree, cuMemFreeHost, (void *at))                   \
    ROW(aiteri_gpu_result, copy_out, hipMemcpyDtoHAsync, cuMemcpyDtoHAsync_v2,                    \
        (void *to, aiteri_gpu_address from, size_t bytes, aiteri_gpu_stream stream))              \
    ROW(aiteri_gpu_result, copy_inside, hipMemcpyDtoDAsync, cuMemcpyDtoDAsync_v2,                 \
        (aiteri_gpu_address to, aiteri_gpu_address from, size_t bytes, aiteri_gpu_stream stream)) \
    ROW(aiteri_gpu_result, stream_wait, hipStreamSynchronize, cuStreamSynchronize,                \
        (aiteri_gpu_stream stream))                                                               \
    ROW(aiteri_gpu_result, stream_capturing, hipStreamIsCapturing, cuStreamIsCapturing,           \
        (aiteri_gpu_stream stream, aiteri_gpu_capture * state))                                   \
    ROW(aiteri_gpu_result, module_load, hipModuleLoadData, cuModuleLoadData,                      \
        (aiteri_gpu_module * module, const void *image))                                          \
    ROW(aiteri_gpu_result, module_unload, hipModuleUnload, cuModuleUnload,                        \
        (aiteri_gpu_module module))                                                               \
    ROW(aiteri_gpu_result, module_function, hipModuleGetFunction, cuModuleGetFunction,            \
        (aiteri_gpu_function * function, aiteri_gpu_module module, const char *name))             \
    ROW(aiteri_gpu_result, module_global, hipModuleGetGlobal, cuModuleGetGlobal_v2,               \
        (aiteri_gpu_address * at, size_t *bytes, aiteri_gpu_module module, const char *name))     \
    ROW(aiteri_gpu_result, launch, hipModuleLaunchKernel, cuLaunchKernel,                         \
        (aiteri_gpu_function function, unsigned grid_x, unsigned grid_y, unsigned grid_z,         \
         unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,             \
         aiteri_gpu_stream stream, void **parameters, void **extra))

/* ROW(result, field, symbol, parameters): what only one of them has. */
#define AITERI_HIP_ROWS(ROW)                                                            \
    ROW(aiteri_gpu_result, hip_set_device, hipSetDevice, (aiteri_gpu_ordinal device))   \
    ROW(aiteri_gpu_result, hip_get_device, hipGetDevice, (aiteri_gpu_ordinal * device)) \
    ROW(aiteri_gpu_result, hip_copy_in, hipMemcpyHtoDAsync,                             \
        (aiteri_gpu_address to, void *from, size_t bytes, aiteri_gpu_stream stream))    \
    ROW(aiteri_gpu_result, hip_last_error, hipGetLastError, (void))                     \
    ROW(const char *, hip_error_name, hipGetErrorName, (aiteri_gpu_result code))        \
    ROW(const char *, hip_error_string, hipGetErrorString, (aiteri_gpu_result code))

/* May be absent: ROCm 6 and later fill the structure of 6.0, others that of 5. */
#define AITERI_HIP_OPTIONAL_ROWS(ROW)                                     \
    ROW(aiteri_gpu_result, hip_properties_6, hipGetDevicePropertiesR0600, \
        (void *properties, int device))                                   \
    ROW(aiteri_gpu_result, hip_properties_5, hipGetDeviceProperties, (void *properties, int device))

#define AITERI_CUDA_ROWS(ROW)                                                                    \
    ROW(aiteri_gpu_result, cuda_device, cuDeviceGet, (aiteri_gpu_ordinal * device, int ordinal)) \
    ROW(aiteri_gpu_result, cuda_copy_in, cuMemcpyHtoDAsync_v2,                                   \
        (aiteri_gpu_address to, const void *from, size_t bytes, aiteri_gpu_stream stream))       \
    ROW(aiteri_gpu_result, cuda_get_current, cuCtxGetCurrent, (aiteri_gpu_native * native))      \
    ROW(aiteri_gpu_result, cuda_set_current, cuCtxSetCurrent, (aiteri_gpu_native native))        \
    ROW(aiteri_gpu_result, cuda_current_device, cuCtxGetDevice, (aiteri_gpu_ordinal * device))   \
    ROW(aiteri_gpu_result, cuda_stream_context, cuStreamGetCtx,                                  \
        (aiteri_gpu_stream stream, aiteri_gpu_native * native))                                  \
    ROW(aiteri_gpu_result, cuda_primary_retain, cuDevicePrimaryCtxRetain,                        \
        (aiteri_gpu_native * native, aiteri_gpu_ordinal device))                                 \
    ROW(aiteri_gpu_result, cuda_primary_release, cuDevicePrimaryCtxRelease_v2,                   \
        (aiteri_gpu_ordinal device))                                                             \
    ROW(aiteri_gpu_result, cuda_function_set, cuFuncSetAttribute,                                \
        (aiteri_gpu_function function, aiteri_gpu_function_attribute id, int value))             \
    ROW(aiteri_gpu_result, cuda_error_name, cuGetErrorName,                                      \
        (aiteri_gpu_result code, const char **text))                                             \
    ROW(aiteri_gpu_result, cuda_error_string, cuGetErrorString,                                  \
        (aiteri_gpu_result code, const char **text))

/* ROW(name, HIP's number, CUDA's number): attributes of a device; -1: not known there. */
#define AITERI_ATTRIBUTE_ROWS(ROW)                                                    \
    ROW(COMPUTE_UNITS, 63, 16)                                                        \
    ROW(MAJOR, 23, 75)                                                                \
    ROW(MINOR, 61, 76)                                                                \
    ROW(DIES, 10018, -1) /* hipDeviceAttributeNumberOfXccs, of newer runtimes only */ \
    ROW(SHARED_BYTES, 74, 97)

enum {
#define AITERI_ATTRIBUTE_ENUM(name, hip, cuda) AITERI_ATTRIBUTE_##name,
    AITERI_ATTRIBUTE_ROWS(AITERI_ATTRIBUTE_ENUM)
#undef AITERI_ATTRIBUTE_ENUM
        AITERI_ATTRIBUTES
};

/* Driver codes that the launchers tell apart; the two vendors agree on all of them. */
enum {
    AITERI_GPU_SUCCESS = 0,
    AITERI_GPU_OUT_OF_MEMORY = 2,
    AITERI_GPU_NO_DEVICE = 100,
    AITERI_GPU_INVALID_DEVICE = 101,
    AITERI_GPU_INVALID_IMAGE = 200,
    AITERI_GPU_NO_BINARY = 209,
    AITERI_GPU_INVALID_PTX = 218,
    AITERI_GPU_UNSUPPORTED_PTX = 222,
    AITERI_GPU_NOT_FOUND = 500,
    AITERI_CUDA_DYNAMIC_SHARED = 8 /* CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES */
};

typedef struct aiteri_driver {
    aiter_device kind;
    const char *name;
    int opened; /* all of the fields below stand, and init succeeded */
    int attribute[AITERI_ATTRIBUTES];
#define AITERI_DRIVER_FIELD(result, field, hip, cuda, parameters)  result(*field) parameters;
#define AITERI_DRIVER_OWN_FIELD(result, field, symbol, parameters) result(*field) parameters;
    AITERI_DRIVER_ROWS(AITERI_DRIVER_FIELD)
    AITERI_HIP_ROWS(AITERI_DRIVER_OWN_FIELD)
    AITERI_HIP_OPTIONAL_ROWS(AITERI_DRIVER_OWN_FIELD)
    AITERI_CUDA_ROWS(AITERI_DRIVER_OWN_FIELD)
#undef AITERI_DRIVER_FIELD
#undef AITERI_DRIVER_OWN_FIELD
} aiteri_driver;

#endif /* AITERI_GPU_DRIVER_H */
