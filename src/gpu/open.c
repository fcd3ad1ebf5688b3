/* open.c -- finds the driver's library, fills the table, and puts its failures into words. */
#ifndef AITERI_GPU_OPEN_C
#define AITERI_GPU_OPEN_C

#include "driver.h"

/* Tests answer for the system's loader by these two. */
#ifndef AITERI_LIBRARY_OPEN
#define AITERI_LIBRARY_OPEN   aiteri_library_open
#define AITERI_LIBRARY_SYMBOL aiteri_library_symbol

/* A library that the process already has, or (only_loaded 0) from the loader's path. */
static void *aiteri_library_open(const char *name, int only_loaded)
{
#if defined(_WIN32)
    HMODULE library = GetModuleHandleA(name);
    if (!library && !only_loaded) library = LoadLibraryA(name);
    return (void *)library;
#else
    return dlopen(name, RTLD_NOW | (only_loaded ? RTLD_NOLOAD : RTLD_LOCAL));
#endif
}

/* Writes the address into *function, a pointer to some function; C has no cast for it. */
static int aiteri_library_symbol(void *library, const char *name, void *function)
{
#if defined(_WIN32)
    FARPROC address = GetProcAddress((HMODULE)library, name);
#else
    void *address = dlsym(library, name);
#endif
    memcpy(function, &address, sizeof address);
    return address != NULL;
}
#endif

/* Newest first; what the process already has loaded is taken before anything else, since two copies
 * of a runtime share neither streams nor memory. */
static const char *const aiteri_hip_libraries[] = {
#if defined(_WIN32)
    "amdhip64_7.dll", "amdhip64_6.dll", "amdhip64.dll", NULL
#else
    "libamdhip64.so.7",
    "libamdhip64.so.6",
    "libamdhip64.so.5",
    "libamdhip64.so",
    "/opt/rocm/lib/libamdhip64.so",
    NULL
#endif
};

static const char *const aiteri_cuda_libraries[] = {
#if defined(_WIN32)
    "nvcuda.dll", NULL
#else
    "libcuda.so.1", "libcuda.so", NULL
#endif
};

/* The library that the user names instead: by the environment, else by a macro; NULL: none. */
static const char *aiteri_named_library(aiter_device kind)
{
    const char *name =
        getenv(kind == AITER_DEVICE_HIP ? "AITER_ATTN_HIP_LIBRARY" : "AITER_ATTN_CUDA_LIBRARY");
    if (name && name[0]) return name;
#if defined(AITER_ATTN_HIP_LIBRARY)
    if (kind == AITER_DEVICE_HIP) return AITER_ATTN_HIP_LIBRARY;
#endif
#if defined(AITER_ATTN_CUDA_LIBRARY)
    if (kind == AITER_DEVICE_CUDA) return AITER_ATTN_CUDA_LIBRARY;
#endif
    return NULL;
}

static void *aiteri_driver_library(aiter_device kind, const char **name)
{
    const char *const named[2] = {aiteri_named_library(kind), NULL};
    const char *const *list = named[0]                   ? named
                              : kind == AITER_DEVICE_HIP ? aiteri_hip_libraries
                                                         : aiteri_cuda_libraries;
    for (int only_loaded = 1; only_loaded >= 0; only_loaded--)
        for (int i = 0; list[i]; i++) {
            void *library = AITERI_LIBRARY_OPEN(list[i], only_loaded);
            *name = list[i];
            if (library) return library;
        }
    *name = list[0];
    return NULL;
}

/* Fills the function pointers; returns the first required symbol that is missing, or NULL. */
static const char *aiteri_driver_fill(aiteri_driver *d, void *library)
{
    const int hip = d->kind == AITER_DEVICE_HIP;
    const char *missing = NULL;
#define AITERI_DRIVER_FIND(result, field, hip_name, cuda_name, parameters)                    \
    if (!AITERI_LIBRARY_SYMBOL(library, hip ? #hip_name : #cuda_name, &d->field) && !missing) \
        missing = hip ? #hip_name : #cuda_name;
#define AITERI_DRIVER_FIND_OWN(result, field, symbol, parameters) \
    if (!AITERI_LIBRARY_SYMBOL(library, #symbol, &d->field) && !missing) missing = #symbol;
#define AITERI_DRIVER_FIND_OPTIONAL(result, field, symbol, parameters) \
    (void)AITERI_LIBRARY_SYMBOL(library, #symbol, &d->field);
    AITERI_DRIVER_ROWS(AITERI_DRIVER_FIND)
    if (hip) {
        AITERI_HIP_ROWS(AITERI_DRIVER_FIND_OWN)
        AITERI_HIP_OPTIONAL_ROWS(AITERI_DRIVER_FIND_OPTIONAL)
    } else {
        AITERI_CUDA_ROWS(AITERI_DRIVER_FIND_OWN)
    }
#undef AITERI_DRIVER_FIND
#undef AITERI_DRIVER_FIND_OWN
#undef AITERI_DRIVER_FIND_OPTIONAL
    return missing;
}

/* What the driver calls the function behind a field of its table. */
static const char *aiteri_driver_symbol(const aiteri_driver *d, const char *field)
{
    const int hip = d->kind == AITER_DEVICE_HIP;
#define AITERI_DRIVER_SYMBOL(result, name, hip_name, cuda_name, parameters) \
    if (strcmp(field, #name) == 0) return hip ? #hip_name : #cuda_name;
#define AITERI_DRIVER_OWN_SYMBOL(result, name, symbol, parameters) \
    if (strcmp(field, #name) == 0) return #symbol;
    AITERI_DRIVER_ROWS(AITERI_DRIVER_SYMBOL)
    AITERI_HIP_ROWS(AITERI_DRIVER_OWN_SYMBOL)
    AITERI_CUDA_ROWS(AITERI_DRIVER_OWN_SYMBOL)
#undef AITERI_DRIVER_SYMBOL
#undef AITERI_DRIVER_OWN_SYMBOL
    return field;
}

/* Errors after which nothing more runs in this process's device context: what failed was earlier
 * work, whichever call reports it. */
static int aiteri_driver_is_lost(int code)
{
    return code == 46 || code == 214 || code == 700 || code == 702 || code == 709 ||
           (code >= 714 && code <= 719);
}

static aiter_status aiteri_driver_status(int code)
{
    switch (code) {
    case AITERI_GPU_SUCCESS: return AITER_OK;
    case AITERI_GPU_OUT_OF_MEMORY: return AITER_OUT_OF_MEMORY;
    case AITERI_GPU_NO_DEVICE:
    case AITERI_GPU_INVALID_DEVICE: return AITER_NO_DEVICE;
    case AITERI_GPU_INVALID_IMAGE:
    case AITERI_GPU_NO_BINARY:
    case AITERI_GPU_INVALID_PTX:
    case AITERI_GPU_UNSUPPORTED_PTX:
    case AITERI_GPU_NOT_FOUND: return AITER_NO_KERNEL;
    default: return AITER_DEVICE;
    }
}

/* "op: hipMalloc failed with 2, hipErrorOutOfMemory (out of memory)". */
static aiter_status aiteri_driver_failed(aiter_context *ctx, const aiteri_driver *d, const char *op,
                                         const char *field, int code)
{
    const char *name = NULL, *text = NULL;
    if (d->kind == AITER_DEVICE_HIP) {
        name = d->hip_error_name(code);
        text = d->hip_error_string(code);
        d->hip_last_error(); /* ROCm 7 keeps an error until it is read: it is ours, not the user's
                              */
    } else {
        if (d->cuda_error_name(code, &name) != AITERI_GPU_SUCCESS) name = NULL;
        if (d->cuda_error_string(code, &text) != AITERI_GPU_SUCCESS) text = NULL;
    }
    const aiter_status status = aiteri_driver_status(code);
    return aiteri_fail(ctx, status, "%s: %s failed with %d, %s (%s)%s", op,
                       aiteri_driver_symbol(d, field), code, name ? name : "no name",
                       text ? text : "no text",
                       aiteri_driver_is_lost(code)
                           ? ": earlier work failed and the device is lost; the CPU still works"
                       : status == AITER_NO_DEVICE ? ": it finds no device to use"
                                                   : "");
}

/* Leaves the calling function with the failure of one driver call, if it failed. */
#define AITERI_GPU_TRY(ctx, driver, op, field, arguments)                          \
    do {                                                                           \
        const int aiteri_gpu_code = (driver)->field arguments;                     \
        if (aiteri_gpu_code != AITERI_GPU_SUCCESS)                                 \
            return aiteri_driver_failed(ctx, driver, op, #field, aiteri_gpu_code); \
    } while (0)

/* Opens and initialises a driver once; what failed is tried again by the next context. */
static aiter_status aiteri_driver_open(aiteri_driver *d, aiter_device kind)
{
    static const char *const op = "aiter_context_create.device";
    const char *library_name = "";
    if (d->opened) return AITER_OK;
    memset(d, 0, sizeof *d);
    d->kind = kind;
    d->name = kind == AITER_DEVICE_HIP ? "HIP" : "CUDA";
    void *library = aiteri_driver_library(kind, &library_name);
    if (!library)
        return aiteri_fail(NULL, AITER_NO_DEVICE,
                           "%s: no %s driver, the library %s cannot be loaded; the environment's "
                           "AITER_ATTN_%s_LIBRARY names another",
                           op, d->name, library_name, d->name);
    const char *missing = aiteri_driver_fill(d, library);
    if (missing)
        return aiteri_fail(NULL, AITER_NO_DEVICE, "%s: the %s driver %s is too old, it has no %s",
                           op, d->name, library_name, missing);
    AITERI_GPU_TRY(NULL, d, op, init, (0));
#define AITERI_ATTRIBUTE_FILL(field, hip, cuda) \
    d->attribute[AITERI_ATTRIBUTE_##field] = kind == AITER_DEVICE_HIP ? hip : cuda;
    AITERI_ATTRIBUTE_ROWS(AITERI_ATTRIBUTE_FILL)
#undef AITERI_ATTRIBUTE_FILL
    d->opened = 1;
    return AITER_OK;
}

#endif /* AITERI_GPU_OPEN_C */
