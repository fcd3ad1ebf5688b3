/* hip_calls.h -- the entry points of the face with their parameters, written once: declarations,
 * counters and the check against AMD's header are made from this list. Handles are pointers to our
 * own types, enums are int. */
#ifndef CDNA_HIP_CALLS_H
#define CDNA_HIP_CALLS_H

#define HIP_PLAIN_CALLS(CALL)                                                                   \
    CALL(hipInit, (unsigned flags))                                                             \
    CALL(hipDriverGetVersion, (int *version))                                                   \
    CALL(hipRuntimeGetVersion, (int *version))                                                  \
    CALL(hipGetDeviceCount, (int *count))                                                       \
    CALL(hipSetDevice, (int device))                                                            \
    CALL(hipGetDevice, (int *device))                                                           \
    CALL(hipDeviceGet, (int *device, int ordinal))                                              \
    CALL(hipDeviceGetAttribute, (int *value, int attribute, int device))                        \
    CALL(hipDeviceGetName, (char *name, int bytes, int device))                                 \
    CALL(hipDeviceTotalMem, (size_t *bytes, int device))                                        \
    CALL(hipMemGetInfo, (size_t *unused, size_t *total))                                        \
    CALL(hipFree, (void *pointer))                                                              \
    CALL(hipHostFree, (void *pointer))                                                          \
    CALL(hipMemcpy, (void *to, const void *from, size_t bytes, int kind))                       \
    CALL(hipMemcpyHtoD, (void *to, void *from, size_t bytes))                                   \
    CALL(hipMemcpyDtoH, (void *to, void *from, size_t bytes))                                   \
    CALL(hipMemcpyAsync, (void *to, const void *from, size_t bytes, int kind, Stream *stream))  \
    CALL(hipMemcpyHtoDAsync, (void *to, void *from, size_t bytes, Stream *stream))              \
    CALL(hipMemcpyDtoHAsync, (void *to, void *from, size_t bytes, Stream *stream))              \
    CALL(hipMemcpyDtoDAsync, (void *to, void *from, size_t bytes, Stream *stream))              \
    CALL(hipMemset, (void *to, int value, size_t bytes))                                        \
    CALL(hipMemsetAsync, (void *to, int value, size_t bytes, Stream *stream))                   \
    CALL(hipMemsetD32Async, (void *to, int value, size_t count, Stream *stream))                \
    CALL(hipStreamCreate, (Stream * *stream))                                                   \
    CALL(hipStreamCreateWithFlags, (Stream * *stream, unsigned flags))                          \
    CALL(hipStreamDestroy, (Stream * stream))                                                   \
    CALL(hipStreamQuery, (Stream * stream))                                                     \
    CALL(hipStreamSynchronize, (Stream * stream))                                               \
    CALL(hipStreamWaitEvent, (Stream * stream, Event * event, unsigned flags))                  \
    CALL(hipDeviceSynchronize, (void))                                                          \
    CALL(hipEventCreate, (Event * *event))                                                      \
    CALL(hipEventCreateWithFlags, (Event * *event, unsigned flags))                             \
    CALL(hipEventRecord, (Event * event, Stream * stream))                                      \
    CALL(hipEventQuery, (Event * event))                                                        \
    CALL(hipEventSynchronize, (Event * event))                                                  \
    CALL(hipEventElapsedTime, (float *ms, Event *start, Event *stop))                           \
    CALL(hipEventDestroy, (Event * event))                                                      \
    CALL(hipModuleLoadData, (Module * *module, const void *image))                              \
    CALL(hipModuleUnload, (Module * module))                                                    \
    CALL(hipModuleGetFunction, (Function * *function, Module * module, const char *name))       \
    CALL(hipModuleGetGlobal, (void **pointer, size_t *bytes, Module *module, const char *name)) \
    CALL(hipFuncGetAttribute, (int *value, int attribute, Function *function))                  \
    CALL(hipModuleOccupancyMaxActiveBlocksPerMultiprocessor,                                    \
         (int *blocks, Function *function, int block_size, size_t dynamic_lds))                 \
    CALL(hipModuleLaunchKernel,                                                                 \
         (Function * function, unsigned grid_x, unsigned grid_y, unsigned grid_z,               \
          unsigned block_x, unsigned block_y, unsigned block_z, unsigned dynamic_lds,           \
          Stream *stream, void **parameters, void **extra))                                     \
    CALL(hipStreamBeginCapture, (Stream * stream, int mode))                                    \
    CALL(hipStreamEndCapture, (Stream * stream, Graph * *graph))                                \
    CALL(hipStreamIsCapturing, (Stream * stream, int *status))                                  \
    CALL(hipThreadExchangeStreamCaptureMode, (int *mode))                                       \
    CALL(hipGraphInstantiate,                                                                   \
         (GraphExec * *exec, Graph * graph, void **error_node, char *log, size_t bytes))        \
    CALL(hipGraphLaunch, (GraphExec * exec, Stream * stream))                                   \
    CALL(hipGraphDestroy, (Graph * graph))                                                      \
    CALL(hipGraphExecDestroy, (GraphExec * exec))                                               \
    CALL(hipGetLastError, (void))                                                               \
    CALL(hipPeekAtLastError, (void))

/* AMD's header has C++ templates of the same names beside these. */
#define HIP_OVERLOADED_CALLS(CALL)                  \
    CALL(hipMalloc, (void **pointer, size_t bytes)) \
    CALL(hipHostMalloc, (void **pointer, size_t bytes, unsigned flags))

#define HIP_CALLS(CALL) HIP_PLAIN_CALLS(CALL) HIP_OVERLOADED_CALLS(CALL)

/* Not in the headers of HIP 5, or with a structure there that is 1472 bytes here. */
#define HIP_NEWER_CALLS(CALL)                                \
    CALL(hipStreamGetDevice, (Stream * stream, int *device)) \
    CALL(hipGetDevicePropertiesR0600, (void *properties, int device))

#endif /* CDNA_HIP_CALLS_H */
