/* test_gpu_driver.c -- the driver table against the vendors' headers where those are installed, and
 * how a device context comes to be, or why not. */
#include "gpu/fake_files.h"

/* ---- prototypes and numbers ---- */

/* A vendor's function must have the type that the row gives it, the vendor's own names for types
 * put in place of ours. */
#define SAME_TYPE(result, parameters, symbol)                                                  \
    CHECK(__builtin_types_compatible_p(__typeof__(result(*) parameters), __typeof__(&symbol)), \
          "%s has another prototype", #symbol)

#define SAME_NUMBER(ours, theirs) CHECK((int)(ours) == (int)(theirs), "%s", #theirs)

#if defined(__has_include)
#if __has_include(<hip/hip_runtime_api.h>) && !defined(__HIP_PLATFORM_AMD__)
#define HAS_HIP              1
#define __HIP_PLATFORM_AMD__ 1
#include <hip/hip_runtime_api.h>
#endif
#if __has_include(<cuda.h>)
#define HAS_CUDA 1
#include <cuda.h>
#endif
#endif

#ifdef HAS_HIP
static void check_hip_numbers(void)
{
    const int ids[AITERI_ATTRIBUTES] = {
        hipDeviceAttributeMultiprocessorCount, hipDeviceAttributeComputeCapabilityMajor,
        hipDeviceAttributeComputeCapabilityMinor, 10018, hipDeviceAttributeMaxSharedMemoryPerBlock};
#define HIP_ID(name, hip, cuda)                                             \
    CHECK(hip == ids[AITERI_ATTRIBUTE_##name], "attribute %s is %d", #name, \
          ids[AITERI_ATTRIBUTE_##name]);
    AITERI_ATTRIBUTE_ROWS(HIP_ID)
    SAME_NUMBER(AITERI_GPU_OUT_OF_MEMORY, hipErrorOutOfMemory);
    SAME_NUMBER(AITERI_GPU_NO_DEVICE, hipErrorNoDevice);
    SAME_NUMBER(AITERI_GPU_INVALID_DEVICE, hipErrorInvalidDevice);
    SAME_NUMBER(AITERI_GPU_INVALID_IMAGE, hipErrorInvalidImage);
    SAME_NUMBER(AITERI_GPU_NO_BINARY, hipErrorNoBinaryForGpu);
    SAME_NUMBER(AITERI_GPU_NOT_FOUND, hipErrorNotFound);
    CHECK(hipStreamCaptureStatusNone == 0, "capture status");
    CHECK(sizeof(hipDeviceProp_t) <= 8192, "properties have %zu bytes", sizeof(hipDeviceProp_t));
    CHECK(offsetof(hipDeviceProp_t, gcnArchName) == (HIP_VERSION_MAJOR >= 6 ? 1160 : 396),
          "gcnArchName is at %zu", offsetof(hipDeviceProp_t, gcnArchName));
}

#define aiteri_gpu_result    hipError_t
#define aiteri_gpu_attribute hipDeviceAttribute_t
#define aiteri_gpu_capture   hipStreamCaptureStatus
#define aiteri_gpu_address   hipDeviceptr_t
#define aiteri_gpu_stream    hipStream_t
#define aiteri_gpu_module    hipModule_t
#define aiteri_gpu_function  hipFunction_t
static void check_hip_prototypes(void)
{
#define HIP_TYPE(result, field, hip, cuda, parameters)  SAME_TYPE(result, parameters, hip);
#define HIP_OWN_TYPE(result, field, symbol, parameters) SAME_TYPE(result, parameters, symbol);
    AITERI_DRIVER_ROWS(HIP_TYPE)
    AITERI_HIP_ROWS(HIP_OWN_TYPE)
}
#undef aiteri_gpu_result
#undef aiteri_gpu_attribute
#undef aiteri_gpu_capture
#undef aiteri_gpu_address
#undef aiteri_gpu_stream
#undef aiteri_gpu_module
#undef aiteri_gpu_function
#endif

#ifdef HAS_CUDA
static void check_cuda_numbers(void)
{
    const int ids[AITERI_ATTRIBUTES] = {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
                                        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
                                        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, -1,
                                        CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN};
#define CUDA_ID(name, hip, cuda)                                             \
    CHECK(cuda == ids[AITERI_ATTRIBUTE_##name], "attribute %s is %d", #name, \
          ids[AITERI_ATTRIBUTE_##name]);
    AITERI_ATTRIBUTE_ROWS(CUDA_ID)
    SAME_NUMBER(AITERI_GPU_OUT_OF_MEMORY, CUDA_ERROR_OUT_OF_MEMORY);
    SAME_NUMBER(AITERI_GPU_NO_DEVICE, CUDA_ERROR_NO_DEVICE);
    SAME_NUMBER(AITERI_GPU_INVALID_DEVICE, CUDA_ERROR_INVALID_DEVICE);
    SAME_NUMBER(AITERI_GPU_INVALID_IMAGE, CUDA_ERROR_INVALID_IMAGE);
    SAME_NUMBER(AITERI_GPU_NO_BINARY, CUDA_ERROR_NO_BINARY_FOR_GPU);
    SAME_NUMBER(AITERI_GPU_INVALID_PTX, CUDA_ERROR_INVALID_PTX);
    SAME_NUMBER(AITERI_GPU_UNSUPPORTED_PTX, CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
    SAME_NUMBER(AITERI_GPU_NOT_FOUND, CUDA_ERROR_NOT_FOUND);
    SAME_NUMBER(AITERI_CUDA_DYNAMIC_SHARED, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
    CHECK(CU_STREAM_CAPTURE_STATUS_NONE == 0, "capture status");
    CHECK(sizeof(CUdeviceptr) == sizeof(aiteri_gpu_address), "a device address");
    CHECK((uintptr_t)CU_STREAM_LEGACY <= 2 && (uintptr_t)CU_STREAM_PER_THREAD <= 2, "streams");
}

#define aiteri_gpu_result             CUresult
#define aiteri_gpu_attribute          CUdevice_attribute
#define aiteri_gpu_capture            CUstreamCaptureStatus
#define aiteri_gpu_address            CUdeviceptr
#define aiteri_gpu_stream             CUstream
#define aiteri_gpu_module             CUmodule
#define aiteri_gpu_function           CUfunction
#define aiteri_gpu_native             CUcontext
#define aiteri_gpu_function_attribute CUfunction_attribute
static void check_cuda_prototypes(void)
{
#define CUDA_TYPE(result, field, hip, cuda, parameters)  SAME_TYPE(result, parameters, cuda);
#define CUDA_OWN_TYPE(result, field, symbol, parameters) SAME_TYPE(result, parameters, symbol);
    AITERI_DRIVER_ROWS(CUDA_TYPE)
    AITERI_CUDA_ROWS(CUDA_OWN_TYPE)
}
#undef aiteri_gpu_result
#undef aiteri_gpu_attribute
#undef aiteri_gpu_capture
#undef aiteri_gpu_address
#undef aiteri_gpu_stream
#undef aiteri_gpu_module
#undef aiteri_gpu_function
#undef aiteri_gpu_native
#undef aiteri_gpu_function_attribute
#endif

/* ---- why there is no context ---- */

/* The next context of `d` fails with this status and a text that holds both words; nothing of the
 * attempt stays, and the CPU is still there. */
static void refused(const aiter_context_desc *d, aiter_status want, const char *word,
                    const char *other)
{
    aiter_context *ctx = NULL;
    const aiter_status status = aiter_context_create(d, &ctx);
    const char *text = aiter_last_error();
    CHECK(status == want, "%s, expected %s: %s", aiter_status_name(status), aiter_status_name(want),
          text);
    CHECK(strstr(text, word) && strstr(text, other), "\"%s\" has no %s or %s", text, word, other);
    CHECK(!ctx && !aiteri_devices, "something is left of it");
    CHECK(fake.retained == 0 && fake.live_blocks == 0, "driver objects are left of it");
    CHECK(aiter_context_create(NULL, &ctx) == AITER_OK, "the CPU: %s", aiter_last_error());
    aiter_context_destroy(ctx);
}

static void no_library(void)
{
    aiter_context_desc d = fake_desc(AITER_DEVICE_HIP);
    fake_reset();
    refused(&d, AITER_NO_DEVICE, "libamdhip64.so.7", "HIP");
    d.device = AITER_DEVICE_CUDA;
    refused(&d, AITER_NO_DEVICE, "libcuda.so.1", "CUDA");
    setenv("AITER_ATTN_HIP_LIBRARY", "libelsewhere.so", 1);
    d.device = AITER_DEVICE_HIP;
    fake.installed = "libamdhip64.so.7"; /* what the user names is all that is tried */
    refused(&d, AITER_NO_DEVICE, "libelsewhere.so", "HIP");
    setenv("AITER_ATTN_HIP_LIBRARY", "", 1); /* as if it were not set */
    aiter_context *ctx = NULL;
    CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "an empty name: %s", aiter_last_error());
    aiter_context_destroy(ctx);
    unsetenv("AITER_ATTN_HIP_LIBRARY");
}

static void missing_symbols(void)
{
#define MISSING(result, field, hip, cuda, parameters) \
    fake_reset();                                     \
    d = fake_desc(AITER_DEVICE_HIP);                  \
    fake.missing = #hip;                              \
    refused(&d, AITER_NO_DEVICE, #hip, "too old");    \
    fake_reset();                                     \
    d = fake_desc(AITER_DEVICE_CUDA);                 \
    fake.missing = #cuda;                             \
    refused(&d, AITER_NO_DEVICE, #cuda, "too old");
#define MISSING_HIP(result, field, symbol, parameters) \
    fake_reset();                                      \
    d = fake_desc(AITER_DEVICE_HIP);                   \
    fake.missing = #symbol;                            \
    refused(&d, AITER_NO_DEVICE, #symbol, "too old");
#define MISSING_CUDA(result, field, symbol, parameters) \
    fake_reset();                                       \
    d = fake_desc(AITER_DEVICE_CUDA);                   \
    fake.missing = #symbol;                             \
    refused(&d, AITER_NO_DEVICE, #symbol, "too old");
    aiter_context_desc d;
    AITERI_DRIVER_ROWS(MISSING)
    AITERI_HIP_ROWS(MISSING_HIP)
    AITERI_CUDA_ROWS(MISSING_CUDA)
}

static void no_device(aiter_device device)
{
    static const int codes[2] = {AITERI_GPU_NO_DEVICE, AITERI_GPU_INVALID_DEVICE};
    static const int ids[2] = {FAKE_init, FAKE_device_count};
    const int hip = device == AITER_DEVICE_HIP;
    const char *const symbols[2] = {hip ? "hipInit" : "cuInit",
                                    hip ? "hipGetDeviceCount" : "cuDeviceGetCount"};
    for (int i = 0; i < 4; i++) {
        fake_reset();
        aiter_context_desc d = fake_desc(device);
        fake.fail_id = ids[i / 2];
        fake.fail_at = 1;
        fake.fail_code = codes[i % 2];
        refused(&d, AITER_NO_DEVICE, symbols[i / 2], "no device");
    }
    for (int i = 0; i < 12; i++) {
        char have[32];
        fake_reset();
        aiter_context_desc d = fake_desc(device);
        fake.devices = i / 2;
        d.device_index = i / 2 + i % 2 * i;
        snprintf(have, sizeof have, "has %d device", i / 2);
        refused(&d, AITER_NO_DEVICE, "device_index", have);
    }
    fake_reset();
    aiter_context_desc d = fake_desc(device);
    fake.devices = 2;
    d.device_index = 2;
    refused(&d, AITER_NO_DEVICE, "device_index: is 2", "has 2 devices");
}

static void wrong_architecture(void)
{
    fake_reset();
    aiter_context_desc d = fake_desc(AITER_DEVICE_HIP);
    fake.arch = "gfx1100";
    refused(&d, AITER_NO_KERNEL, "gfx1100", "gfx942");
    fake.arch = "gfx942-with-a-name-that-is-longer-than-any-chip-has-had-until-today";
    refused(&d, AITER_NO_KERNEL, "gfx942-with", "gfx942");
    fake.arch = "navi"; /* no chip's name: as if there were none */
    fake.major = 9, fake.minor = 7;
    refused(&d, AITER_NO_KERNEL, "gfx97x", "gfx950");
    fake.properties = 0; /* a runtime without either function: the version numbers tell */
    fake.major = 9, fake.minor = 6;
    memset(aiteri_drivers, 0, sizeof aiteri_drivers);
    refused(&d, AITER_NO_KERNEL, "gfx96x", "gfx950");
    fake_reset();
    d = fake_desc(AITER_DEVICE_CUDA);
    fake.major = 7, fake.minor = 5;
    refused(&d, AITER_NO_KERNEL, "sm_75", "sm_80");
}

static void no_exact_arithmetic(void)
{
    fake_reset();
    aiter_context_desc d = fake_desc(AITER_DEVICE_HIP);
    d.exact_arithmetic = 1;
    refused(&d, AITER_UNSUPPORTED, "exact_arithmetic", "16 bits");
}

/* ---- contexts ---- */

static void describes_itself(void)
{
    static const char *const archs[3] = {"gfx90a", "gfx942", "gfx950"};
    static const int minors[3] = {0, 4, 5}, properties[3] = {6, 5, 0};
    for (int i = 0; i < 9; i++) {
        aiter_context *ctx = NULL;
        if (i == 2) continue; /* 9.0 alone is not known to be a gfx90a */
        fake_reset();
        aiter_context_desc d = fake_desc(AITER_DEVICE_HIP);
        fake.arch = archs[i / 3];
        fake.minor = minors[i / 3];
        fake.properties = properties[i % 3];
        d.device_index = 1;
        CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
        const aiter_context_details info = aiter_context_info(ctx);
        CHECK(info.device == AITER_DEVICE_HIP && info.compute_units == 304, "device, units");
        CHECK(strcmp(info.architecture, archs[i / 3]) == 0, "%s", info.architecture);
        CHECK(strcmp(info.device_name, "fake device 1") == 0, "%s", info.device_name);
        aiter_context_destroy(ctx);
        CHECK(!aiteri_devices, "a device is left");
    }
    aiter_context *ctx = NULL;
    fake_reset();
    aiter_context_desc d = fake_desc(AITER_DEVICE_CUDA);
    fake.loaded = "libcuda.so.1";
    fake.installed = NULL;
    CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "loaded already: %s", aiter_last_error());
    CHECK(strcmp(aiter_context_info(ctx).architecture, "sm_90") == 0, "architecture");
    aiter_context_destroy(ctx);
}

/* Which CUDA context is used: the stream's, the current one if it is on the device, the primary. */
static void cuda_contexts(void)
{
    static const struct {
        int current, index;
        uintptr_t stream;
        int native, retained;
    } rows[] = {{0, 0, 0, 1, 1}, {0, 1, 0, 2, 1},    {9, 1, 0, 9, 0},    {9, 0, 0, 1, 1},
                {2, 1, 0, 2, 0}, {0, 1, 0x90, 9, 0}, {2, 1, 0x90, 9, 0}, {9, 1, 2, 9, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        aiter_context *ctx = NULL;
        fake_reset();
        aiter_context_desc d = fake_desc(AITER_DEVICE_CUDA);
        fake_current = rows[i].current;
        d.device_index = rows[i].index;
        d.stream = (void *)rows[i].stream;
        CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%zu: %s", i, aiter_last_error());
        if (!ctx) continue;
        CHECK((int)(uintptr_t)ctx->gpu.device->native == rows[i].native, "%zu: context %p", i,
              ctx->gpu.device->native);
        CHECK(fake.retained == rows[i].retained, "%zu: retained %d", i, (int)fake.retained);
        CHECK(fake_current == rows[i].current, "%zu: context %d was left current", i, fake_current);
        aiter_context_destroy(ctx);
        CHECK(fake.retained == 0 && fake_current == rows[i].current, "%zu: after", i);
    }
    for (int i = 0; i < 12; i++) {
        fake_reset();
        aiter_context_desc d = fake_desc(AITER_DEVICE_CUDA);
        fake.devices = 2 + i;
        d.device_index = i == 1 ? 0 : i; /* the stream is of device 1 */
        d.stream = (void *)0x90;
        refused(&d, AITER_INVALID_ARGUMENT, "stream", "device 1");
    }
}

/* Contexts of one device and folder share what is loaded, others do not. */
static void sharing(void)
{
    static const char *const folders[3] = {NULL, "/elsewhere", "/elsewher"};
    aiter_context *ctx[12];
    fake_reset();
    aiter_context_desc d = fake_desc(AITER_DEVICE_HIP);
    for (int i = 0; i < 12; i++) { /* each of six, twice */
        d.device_index = i % 2;
        d.kernel_path = folders[i / 2 % 3];
        CHECK(aiter_context_create(&d, &ctx[i]) == AITER_OK, "%s", aiter_last_error());
        for (int k = 0; k < i; k++)
            CHECK((ctx[k]->gpu.device == ctx[i]->gpu.device) == (k == i - 6), "contexts %d and %d",
                  k, i);
    }
    CHECK(fake.calls[FAKE_init] == 1, "initialised %d times", fake.calls[FAKE_init]);
    for (int i = 0; i < 12; i++) aiter_context_destroy(ctx[i]);
    CHECK(!aiteri_devices, "a record is left");
}

/* Two contexts of CUDA on one device, and HIP beside them. */
static void three_records(void)
{
    aiter_context *ctx[3];
    fake_reset();
    aiter_context_desc d = fake_desc(AITER_DEVICE_CUDA);
    for (int i = 0; i < 3; i++) {
        d.device_index = 1;
        d.stream = (void *)(uintptr_t)(i == 1 ? 0x90 : 0);
        if (i == 2) d = fake_desc(AITER_DEVICE_HIP), d.device_index = 1;
        CHECK(aiter_context_create(&d, &ctx[i]) == AITER_OK, "%s", aiter_last_error());
        for (int k = 0; k < i; k++)
            CHECK(ctx[k]->gpu.device != ctx[i]->gpu.device, "contexts %d and %d, one record", k, i);
    }
    for (int i = 0; i < 3; i++) aiter_context_destroy(ctx[i]);
    CHECK(!aiteri_devices && fake.retained == 0, "a record is left");
}

static void long_path(void)
{
    char path[AITERI_GPU_PATH_BYTES + 16];
    for (int more = 0; more < 12; more++) {
        fake_reset();
        aiter_context_desc d = fake_desc(AITER_DEVICE_HIP);
        memset(path, 'x', sizeof path);
        path[AITERI_GPU_PATH_BYTES + more] = 0;
        d.kernel_path = path;
        refused(&d, AITER_INVALID_ARGUMENT, "kernel_path", "1023");
    }
}

static void first_arena(aiter_device device)
{
    aiter_context *ctx = NULL;
    fake_reset();
    aiter_context_desc d = fake_desc(device);
    d.arena_bytes = 4096;
    CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
    CHECK(fake.live_bytes == 4096 && aiter_context_info(ctx).arena_bytes == 4096, "arena");
    aiter_context_destroy(ctx);
    CHECK(fake.live_blocks == 0 && fake.calls[FAKE_stream_wait] == 1, "arena is left");
    fake_reset();
    d = fake_desc(device);
    d.arena_bytes = 4096;
    fake.fail_id = FAKE_memory_alloc;
    fake.fail_at = 1;
    fake.fail_code = AITERI_GPU_OUT_OF_MEMORY;
    refused(&d, AITER_OUT_OF_MEMORY, "arena_bytes", "lloc");
    const int enter = device == AITER_DEVICE_HIP ? FAKE_hip_get_device : FAKE_cuda_get_current;
    for (int n = 1, failed = 1; failed; n++) { /* the device cannot be made current */
        fake_reset();
        d = fake_desc(device);
        d.arena_bytes = 4096;
        fake.fail_id = enter;
        fake.fail_at = n;
        fake.fail_code = 999;
        const aiter_status status = aiter_context_create(&d, &ctx);
        failed = fake.failed;
        fake.fail_id = -1;
        CHECK(status == (failed ? AITER_DEVICE : AITER_OK), "%d: %s", n, aiter_last_error());
        aiter_context_destroy(ctx);
        CHECK(!aiteri_devices && fake.live_blocks == 0, "%d: left", n);
    }
}

int main(void)
{
    test_begin("gpu_driver", 1);
#ifdef HAS_HIP
    check_hip_numbers();
    check_hip_prototypes();
    test_say("gpu_driver: checked against HIP %d.%d's headers\n", HIP_VERSION_MAJOR,
             HIP_VERSION_MINOR);
#endif
#ifdef HAS_CUDA
    check_cuda_numbers();
    check_cuda_prototypes();
    test_say("gpu_driver: checked against CUDA %d's header\n", CUDA_VERSION);
#endif
    no_library();
    missing_symbols();
    no_device(AITER_DEVICE_HIP);
    no_device(AITER_DEVICE_CUDA);
    wrong_architecture();
    no_exact_arithmetic();
    describes_itself();
    cuda_contexts();
    sharing();
    three_records();
    long_path();
    first_arena(AITER_DEVICE_HIP);
    first_arena(AITER_DEVICE_CUDA);
    return test_end();
}
