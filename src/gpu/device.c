/* device.c -- devices as contexts use them: one record for each device (and CUDA context and folder
 * of kernels), shared by all contexts on it, with what was loaded for it. */
#ifndef AITERI_GPU_DEVICE_C
#define AITERI_GPU_DEVICE_C

#include "open.c"
#include "registry.c"

enum {
    AITERI_GPU_PATH_BYTES = 1024,
    AITERI_GPU_FILE_NAME_BYTES = 96,
    AITERI_GPU_NAME_BYTES = 128,
    AITERI_GPU_ARCH_BYTES = 32
};

typedef struct aiteri_device {
    struct aiteri_device *next;
    const aiteri_driver *driver;
    int32_t users;
    aiteri_gpu_ordinal ordinal; /* HIP's device id, CUDA's CUdevice */
    aiteri_gpu_native native;   /* CUDA: the context; HIP: NULL */
    int retained;               /* the primary context is ours to release */
    int32_t arch_bits, compute_units, dies;
    char arch[AITERI_GPU_ARCH_BYTES], name[AITERI_GPU_NAME_BYTES], path[AITERI_GPU_PATH_BYTES];
    /* The first row of a file holds its module. Functions are addresses, 0 until loaded, read
     * without the lock. */
    aiteri_gpu_module module[AITERI_GPU_ROW_COUNT];
    volatile aiteri_counter function[AITERI_GPU_ROW_COUNT];
} aiteri_device;

/* What all contexts share: the two opened drivers, and the devices in use. */
static aiteri_driver aiteri_drivers[AITER_DEVICE_CUDA + 1];
static aiteri_device *aiteri_devices;

#if defined(AITERI_THREADS_POSIX)
static pthread_mutex_t aiteri_gpu_mutex = PTHREAD_MUTEX_INITIALIZER;
static void aiteri_gpu_lock(void) { pthread_mutex_lock(&aiteri_gpu_mutex); }
static void aiteri_gpu_unlock(void) { pthread_mutex_unlock(&aiteri_gpu_mutex); }
#elif defined(AITERI_THREADS_WINDOWS)
static SRWLOCK aiteri_gpu_mutex = SRWLOCK_INIT;
static void aiteri_gpu_lock(void) { AcquireSRWLockExclusive(&aiteri_gpu_mutex); }
static void aiteri_gpu_unlock(void) { ReleaseSRWLockExclusive(&aiteri_gpu_mutex); }
#else
static void aiteri_gpu_lock(void) {}
static void aiteri_gpu_unlock(void) {}
#endif

/* ---- the calling thread's device, changed and put back ---- */

typedef struct aiteri_current {
    aiteri_gpu_ordinal ordinal;
    aiteri_gpu_native native;
    int changed;
} aiteri_current;

static aiter_status aiteri_device_enter(aiter_context *ctx, const char *op, const aiteri_device *d,
                                        aiteri_current *was)
{
    const aiteri_driver *driver = d->driver;
    memset(was, 0, sizeof *was);
    if (driver->kind == AITER_DEVICE_HIP) {
        AITERI_GPU_TRY(ctx, driver, op, hip_get_device, (&was->ordinal));
        if (was->ordinal == d->ordinal) return AITER_OK;
        AITERI_GPU_TRY(ctx, driver, op, hip_set_device, (d->ordinal));
    } else {
        AITERI_GPU_TRY(ctx, driver, op, cuda_get_current, (&was->native));
        if (was->native == d->native) return AITER_OK;
        AITERI_GPU_TRY(ctx, driver, op, cuda_set_current, (d->native));
    }
    was->changed = 1;
    return AITER_OK;
}

static void aiteri_device_leave(const aiteri_device *d, const aiteri_current *was)
{
    if (!was->changed) return;
    if (d->driver->kind == AITER_DEVICE_HIP)
        d->driver->hip_set_device(was->ordinal);
    else
        d->driver->cuda_set_current(was->native);
}

/* ---- what a device is ---- */

typedef struct aiteri_arch_name {
    const char *name;
    int32_t bit;
} aiteri_arch_name;

static const aiteri_arch_name aiteri_arch_names[] = {{"gfx90a", AITERI_GPU_ARCH_GFX90A},
                                                     {"gfx942", AITERI_GPU_ARCH_GFX942},
                                                     {"gfx950", AITERI_GPU_ARCH_GFX950}};

/* The name without ":sramecc+:xnack-" at one of the places where runtimes put it; 0: not there. */
static int aiteri_arch_of_properties(aiteri_device *d, aiteri_gpu_result (*properties)(void *, int),
                                     size_t at)
{
    uint64_t block[1024]; /* larger than the structure of any runtime so far */
    const char *name = (const char *)block + at;
    memset(block, 0, sizeof block);
    if (!properties || properties(block, d->ordinal) != AITERI_GPU_SUCCESS) return 0;
    if (strncmp(name, "gfx", 3) != 0) return 0;
    const size_t n = strcspn(name, ":");
    snprintf(d->arch, sizeof d->arch, "%.*s", (int)(n < sizeof d->arch ? n : sizeof d->arch - 1),
             name);
    return 1;
}

static int aiteri_device_attribute(const aiteri_device *d, int attribute, int otherwise)
{
    int value = otherwise;
    const int id = d->driver->attribute[attribute];
    if (id < 0) return otherwise;
    if (d->driver->device_attribute(&value, id, d->ordinal) == AITERI_GPU_SUCCESS) return value;
    if (d->driver->kind == AITER_DEVICE_HIP) d->driver->hip_last_error(); /* merely unknown */
    return otherwise;
}

static void aiteri_device_find_arch(aiteri_device *d)
{
    const int major = aiteri_device_attribute(d, AITERI_ATTRIBUTE_MAJOR, 0);
    const int minor = aiteri_device_attribute(d, AITERI_ATTRIBUTE_MINOR, 0);
    if (d->driver->kind == AITER_DEVICE_CUDA) {
        snprintf(d->arch, sizeof d->arch, "sm_%d%d", major, minor);
        d->arch_bits = major >= 8 ? AITERI_GPU_ARCH_SM80 : 0;
        if (major == 9 && minor == 0) d->arch_bits |= AITERI_GPU_ARCH_SM90A;
        return;
    }
    if (!aiteri_arch_of_properties(d, d->driver->hip_properties_6, 1160) &&
        !aiteri_arch_of_properties(d, d->driver->hip_properties_5, 396))
        snprintf(d->arch, sizeof d->arch, "gfx%d%d%s", major, minor,
                 major == 9 && minor == 4   ? "2"
                 : major == 9 && minor == 5 ? "0"
                                            : "x");
    for (size_t i = 0; i < sizeof aiteri_arch_names / sizeof aiteri_arch_names[0]; i++)
        if (strcmp(d->arch, aiteri_arch_names[i].name) == 0)
            d->arch_bits = aiteri_arch_names[i].bit;
}

/* Dies that share nothing but memory; workgroups go round them in turn. */
static int32_t aiteri_device_dies(const aiteri_device *d)
{
    const int32_t per_die = d->arch_bits == AITERI_GPU_ARCH_GFX942   ? 38
                            : d->arch_bits == AITERI_GPU_ARCH_GFX950 ? 32
                                                                     : d->compute_units;
    const int32_t guess = (int32_t)aiteri_clamp(d->compute_units / aiteri_max(1, per_die), 1, 8);
    return aiteri_device_attribute(d, AITERI_ATTRIBUTE_DIES, guess);
}

static aiter_status aiteri_device_describe(aiteri_device *d, int32_t index)
{
    static const char *const op = "aiter_context_create.device_index";
    AITERI_GPU_TRY(NULL, d->driver, op, device_name, (d->name, (int)sizeof d->name, d->ordinal));
    d->name[sizeof d->name - 1] = 0;
    aiteri_device_find_arch(d);
    if (d->arch_bits == 0)
        return aiteri_fail(NULL, AITER_NO_KERNEL, "%s: device %d (%s) is %s, expected %s", op,
                           (int)index, d->name, d->arch,
                           d->driver->kind == AITER_DEVICE_HIP ? "gfx90a, gfx942 or gfx950"
                                                               : "sm_80 or later");
    d->compute_units = aiteri_device_attribute(d, AITERI_ATTRIBUTE_COMPUTE_UNITS, 1);
    d->dies = aiteri_device_dies(d);
    return AITER_OK;
}

/* ---- CUDA contexts ---- */

/* The device of a CUDA context, found by making it current for a moment. */
static int aiteri_cuda_device_of(const aiteri_driver *driver, aiteri_gpu_native native,
                                 aiteri_gpu_ordinal *device)
{
    aiteri_gpu_native was = NULL;
    int code = driver->cuda_get_current(&was);
    if (code == AITERI_GPU_SUCCESS) code = driver->cuda_set_current(native);
    if (code != AITERI_GPU_SUCCESS) return code;
    code = driver->cuda_current_device(device);
    driver->cuda_set_current(was);
    return code;
}

/* The stream's context, else the caller's current one if it is on this device, else the primary. */
static aiter_status aiteri_cuda_bind(aiteri_device *d, void *stream, int32_t index)
{
    static const char *const op = "aiter_context_create.device_index";
    const aiteri_driver *driver = d->driver;
    const int own_stream = (uintptr_t)stream > 2; /* 1 and 2 name default streams of any context */
    aiteri_gpu_ordinal device = -1;
    AITERI_GPU_TRY(NULL, driver, op, cuda_device, (&d->ordinal, index));
    if (own_stream)
        AITERI_GPU_TRY(NULL, driver, "aiter_context_create.stream", cuda_stream_context,
                       (stream, &d->native));
    else
        AITERI_GPU_TRY(NULL, driver, op, cuda_get_current, (&d->native));
    if (d->native) {
        const int code = aiteri_cuda_device_of(driver, d->native, &device);
        if (code != AITERI_GPU_SUCCESS)
            return aiteri_driver_failed(NULL, driver, op, "cuda_current_device", code);
    }
    if (own_stream && device != d->ordinal)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT,
                           "aiter_context_create.stream: is of device %d, expected device_index %d",
                           (int)device, (int)index);
    if (device == d->ordinal) return AITER_OK;
    AITERI_GPU_TRY(NULL, driver, op, cuda_primary_retain, (&d->native, d->ordinal));
    d->retained = 1;
    return AITER_OK;
}

/* ---- sharing ---- */

static void aiteri_device_close(aiteri_device *d)
{
    aiteri_current was;
    int loaded = 0;
    for (int32_t i = 0; i < AITERI_GPU_ROW_COUNT; i++) loaded |= d->module[i] != NULL;
    if (loaded && aiteri_device_enter(NULL, "aiter_context_destroy", d, &was) == AITER_OK) {
        for (int32_t i = 0; i < AITERI_GPU_ROW_COUNT; i++)
            if (d->module[i]) d->driver->module_unload(d->module[i]);
        aiteri_device_leave(d, &was);
    }
    if (d->retained) d->driver->cuda_primary_release(d->ordinal);
    d->retained = 0;
}

static aiter_status aiteri_device_open(aiteri_device *d, const aiter_context_desc *desc)
{
    static const char *const op = "aiter_context_create.device_index";
    aiteri_driver *driver = &aiteri_drivers[desc->device];
    int count = 0;
    AITERI_TRY(aiteri_driver_open(driver, desc->device));
    d->driver = driver;
    AITERI_GPU_TRY(NULL, driver, op, device_count, (&count));
    if (count <= desc->device_index)
        return aiteri_fail(NULL, AITER_NO_DEVICE, "%s: is %d, the %s driver has %d devices", op,
                           (int)desc->device_index, driver->name, count);
    const char *path = desc->kernel_path ? desc->kernel_path : "";
    if (strlen(path) >= sizeof d->path)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT,
                           "aiter_context_create.kernel_path: has %zu bytes, expected at most %zu",
                           strlen(path), sizeof d->path - 1);
    snprintf(d->path, sizeof d->path, "%s", path);
    d->ordinal = desc->device_index;
    if (driver->kind == AITER_DEVICE_CUDA)
        AITERI_TRY(aiteri_cuda_bind(d, desc->stream, desc->device_index));
    return aiteri_device_describe(d, desc->device_index);
}

static int aiteri_device_is_same(const aiteri_device *a, const aiteri_device *b)
{
    return a->driver == b->driver && a->ordinal == b->ordinal && a->native == b->native &&
           strcmp(a->path, b->path) == 0;
}

/* The record of desc's device, made if there is none. malloc and not the context's hooks: the
 * record may outlive the context that made it. */
static aiter_status aiteri_device_acquire(const aiter_context_desc *desc, aiteri_device **out)
{
    aiteri_device *made = (aiteri_device *)malloc(sizeof *made), *found;
    if (!made)
        return aiteri_fail(NULL, AITER_OUT_OF_MEMORY,
                           "aiter_context_create.device: no %zu bytes for its record",
                           sizeof *made);
    memset(made, 0, sizeof *made);
    aiteri_gpu_lock();
    const aiter_status status = aiteri_device_open(made, desc);
    for (found = aiteri_devices; status == AITER_OK && found; found = found->next)
        if (aiteri_device_is_same(found, made)) break;
    if (status != AITER_OK || found) {
        if (made->driver) aiteri_device_close(made);
        free(made);
    } else {
        made->next = aiteri_devices;
        aiteri_devices = found = made;
    }
    if (status == AITER_OK) {
        found->users++;
        *out = found;
    }
    aiteri_gpu_unlock();
    return status;
}

static void aiteri_device_release(aiteri_device *d)
{
    aiteri_gpu_lock();
    if (--d->users == 0) {
        aiteri_device **at = &aiteri_devices;
        while (*at != d) at = &(*at)->next;
        *at = d->next;
        aiteri_device_close(d);
        free(d);
    }
    aiteri_gpu_unlock();
}

#endif /* AITERI_GPU_DEVICE_C */
