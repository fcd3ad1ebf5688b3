/* fake_driver.h -- HIP and CUDA as the launchers see them, played by the test program: it counts
 * every call, records launches, keeps books on memory and modules, and fails when told to. */
#ifndef AITER_TEST_FAKE_DRIVER_H
#define AITER_TEST_FAKE_DRIVER_H

#define AITER_ATTN_HIP
#define AITER_ATTN_CUDA
#define AITER_ATTN_EMBEDDED_KERNELS
#define AITERI_LIBRARY_OPEN   fake_open
#define AITERI_LIBRARY_SYMBOL fake_symbol
static void *fake_open(const char *name, int only_loaded);
static int fake_symbol(void *library, const char *name, void *function);

#include "test.h"
#include <pthread.h>

/* Which function is called, by its row in driver.h. */
enum {
#define FAKE_ID(result, field, hip, cuda, parameters)  FAKE_##field,
#define FAKE_OWN_ID(result, field, symbol, parameters) FAKE_##field,
    AITERI_DRIVER_ROWS(FAKE_ID) AITERI_HIP_ROWS(FAKE_OWN_ID) AITERI_HIP_OPTIONAL_ROWS(FAKE_OWN_ID)
        AITERI_CUDA_ROWS(FAKE_OWN_ID) FAKE_IDS
};

static const char *const fake_fields[] = {
#define FAKE_FIELD(result, field, hip, cuda, parameters)  #field,
#define FAKE_OWN_FIELD(result, field, symbol, parameters) #field,
    AITERI_DRIVER_ROWS(FAKE_FIELD) AITERI_HIP_ROWS(FAKE_OWN_FIELD)
        AITERI_HIP_OPTIONAL_ROWS(FAKE_OWN_FIELD) AITERI_CUDA_ROWS(FAKE_OWN_FIELD)};

enum { FAKE_LAUNCHES = 64, FAKE_ARGS = 1024, FAKE_DEVICES = 2, FAKE_BLOCKS = 64 };

typedef struct fake_launch_record {
    const char *symbol;
    unsigned grid[3], block[3], shared;
    void *stream;
    int device; /* that was current */
    unsigned char args[FAKE_ARGS];
} fake_launch_record;

/* A loaded module; a function is a pointer into its names. */
typedef struct fake_module {
    char file[96];
    int loaded;
} fake_module;

static struct fake_state {
    /* the machine */
    const char *loaded, *installed; /* libraries, NULL: none */
    const char *missing;            /* symbol that the library lacks, "": all */
    int devices;
    const char *arch;  /* HIP: gcnArchName */
    int major, minor;  /* of the attributes */
    int properties;    /* which layout hipGetDeviceProperties* have: 6, 5 or 0 */
    uint64_t hash;     /* what modules answer */
    size_t hash_bytes; /* 0: as it should be */
    int capturing;
    /* orders */
    int fail_id, fail_at, fail_code;
    /* books */
    int calls[FAKE_IDS], failed;
    int64_t block[FAKE_BLOCKS]; /* bytes */
    int64_t allocated, live_bytes, live_blocks, live_modules, retained;
    int running, freed_running;    /* launched and not waited for; what was freed meanwhile */
    aiteri_gpu_stream stream;      /* what copies must come on */
    int launches, launches_on[10]; /* by what was current */
    fake_launch_record launch[FAKE_LAUNCHES];
    fake_module module[256];
    int modules;
    int dynamic_shared;
    size_t copied; /* bytes of the last copy to the device */
    const char *opened;
} fake;

/* Of a thread. HIP: device; CUDA: context, 0 none, 1 + d primary of d, 9 other of 1. */
static AITERI_THREAD_LOCAL int fake_current;

static pthread_mutex_t fake_mutex = PTHREAD_MUTEX_INITIALIZER;

/* Counts the call; the code to return instead of working, or 0. */
static int fake_enter(int id)
{
    int code = 0;
    pthread_mutex_lock(&fake_mutex);
    if (++fake.calls[id] == fake.fail_at && id == fake.fail_id) {
        fake.failed = 1;
        code = fake.fail_code;
    }
    pthread_mutex_unlock(&fake_mutex);
    return code;
}

#define FAKE_ENTER(field)                                   \
    do {                                                    \
        const int fake_code = fake_enter(FAKE_##field);     \
        if (fake_code) return (aiteri_gpu_result)fake_code; \
    } while (0)

static aiteri_gpu_result fake_init(unsigned flags)
{
    FAKE_ENTER(init);
    return flags == 0 ? 0 : 1;
}

static aiteri_gpu_result fake_device_count(int *count)
{
    FAKE_ENTER(device_count);
    *count = fake.devices;
    return 0;
}

static aiteri_gpu_result fake_device_attribute(int *value, int id, int device)
{
    FAKE_ENTER(device_attribute);
    if (device < 0 || device >= fake.devices) return 101;
    if (id == 63 || id == 16) return *value = 304, 0;
    if (id == 23 || id == 75) return *value = fake.major, 0;
    if (id == 61 || id == 76) return *value = fake.minor, 0;
    return 1; /* an older runtime */
}

static aiteri_gpu_result fake_device_name(char *name, int bytes, int device)
{
    FAKE_ENTER(device_name);
    snprintf(name, (size_t)bytes, "fake device %d", device);
    return 0;
}

/* Addresses that nobody may read, 4 GiB apart. */
static aiteri_gpu_result fake_memory_alloc(aiteri_gpu_address *at, size_t bytes)
{
    FAKE_ENTER(memory_alloc);
    const int64_t n = fake.allocated++ % FAKE_BLOCKS;
    fake.block[n] = (int64_t)bytes;
    *at = (void *)(uintptr_t)(0x300000000000 + ((uint64_t)n << 32));
    fake.live_blocks++;
    fake.live_bytes += (int64_t)bytes;
    return 0;
}

static aiteri_gpu_result fake_memory_free(aiteri_gpu_address at)
{
    FAKE_ENTER(memory_free);
    const uint64_t n = ((uint64_t)(uintptr_t)at - 0x300000000000) >> 32;
    if (n >= FAKE_BLOCKS || fake.block[n] == 0) return 1;
    fake.live_blocks--;
    fake.freed_running += fake.running;
    fake.live_bytes -= fake.block[n];
    fake.block[n] = 0;
    return 0;
}

static aiteri_gpu_result fake_memory_read(void *to, aiteri_gpu_address from, size_t bytes)
{
    FAKE_ENTER(memory_read);
    memcpy(to, from, bytes);
    return 0;
}

/* Not malloc's: what a failing call does not give back is nobody's leak. */
static aiteri_gpu_result fake_pinned_alloc(void **at, size_t bytes, unsigned flags)
{
    static char memory[16][1 << 16];
    static int next;
    FAKE_ENTER(pinned_alloc);
    *at = flags == 0 && bytes <= sizeof memory[0] ? memory[next++ % 16] : NULL;
    return *at ? 0 : 2;
}

static aiteri_gpu_result fake_pinned_free(void *at)
{
    FAKE_ENTER(pinned_free);
    return at ? 0 : 1;
}

/* Copies touch no device address: they are counted, and what they would move stays. */
static aiteri_gpu_result fake_copy_out(void *to, aiteri_gpu_address from, size_t bytes,
                                       aiteri_gpu_stream stream)
{
    FAKE_ENTER(copy_out);
    return to && from && bytes && stream == fake.stream ? 0 : 1;
}

static aiteri_gpu_result fake_copy_inside(aiteri_gpu_address to, aiteri_gpu_address from,
                                          size_t bytes, aiteri_gpu_stream stream)
{
    FAKE_ENTER(copy_inside);
    return to && from && bytes && stream == fake.stream ? 0 : 1;
}

static aiteri_gpu_result fake_hip_copy_in(aiteri_gpu_address to, void *from, size_t bytes,
                                          aiteri_gpu_stream stream)
{
    FAKE_ENTER(hip_copy_in);
    fake.copied = bytes;
    return to && from && bytes && stream == fake.stream ? 0 : 1;
}

static aiteri_gpu_result fake_cuda_copy_in(aiteri_gpu_address to, const void *from, size_t bytes,
                                           aiteri_gpu_stream stream)
{
    FAKE_ENTER(cuda_copy_in);
    fake.copied = bytes;
    return to && from && bytes && stream == fake.stream ? 0 : 1;
}

static aiteri_gpu_result fake_stream_wait(aiteri_gpu_stream stream)
{
    (void)stream;
    FAKE_ENTER(stream_wait);
    fake.running = 0;
    return 0;
}

static aiteri_gpu_result fake_stream_capturing(aiteri_gpu_stream stream, aiteri_gpu_capture *state)
{
    (void)stream;
    FAKE_ENTER(stream_capturing);
    *state = fake.capturing;
    return 0;
}

/* An image is the text "code of <file>". */
static aiteri_gpu_result fake_module_load(aiteri_gpu_module *module, const void *image)
{
    FAKE_ENTER(module_load);
    if (strncmp((const char *)image, "code of ", 8) != 0) return 200;
    fake_module *m = &fake.module[fake.modules++ % 256];
    snprintf(m->file, sizeof m->file, "%s", (const char *)image + 8);
    m->loaded = 1;
    fake.live_modules++;
    *module = m;
    return 0;
}

static aiteri_gpu_result fake_module_unload(aiteri_gpu_module module)
{
    FAKE_ENTER(module_unload);
    ((fake_module *)module)->loaded = 0;
    fake.live_modules--;
    return 0;
}

/* A module has the kernels of the registry and no others. */
static aiteri_gpu_result fake_module_function(aiteri_gpu_function *function,
                                              aiteri_gpu_module module, const char *name)
{
    FAKE_ENTER(module_function);
    if (!((fake_module *)module)->loaded) return 400;
    for (int i = 0; i < AITERI_GPU_ROW_COUNT; i++)
        if (strcmp(name, aiteri_gpu_rows_table[i].symbol) == 0) {
            *function = (void *)(uintptr_t)aiteri_gpu_rows_table[i].symbol;
            return 0;
        }
    return 500;
}

static aiteri_gpu_result fake_module_global(aiteri_gpu_address *at, size_t *bytes,
                                            aiteri_gpu_module module, const char *name)
{
    (void)module;
    FAKE_ENTER(module_global);
    if (strcmp(name, "aiteri_gpu_abi_hash") != 0 || fake.hash == 0) return 500;
    *at = &fake.hash;
    *bytes = fake.hash_bytes ? fake.hash_bytes : sizeof fake.hash;
    return 0;
}

static int fake_kernarg_bytes(const char *symbol)
{
    if (strstr(symbol, "reshape_and_cache")) return (int)sizeof(aiteri_gpu_reshape_and_cache);
    if (strstr(symbol, "copy_blocks")) return (int)sizeof(aiteri_gpu_copy_blocks);
    if (strstr(symbol, "merge_attn_states")) return (int)sizeof(aiteri_gpu_merge);
    return (int)sizeof(aiteri_gpu_attention);
}

static aiteri_gpu_result fake_launch(aiteri_gpu_function function, unsigned grid_x, unsigned grid_y,
                                     unsigned grid_z, unsigned block_x, unsigned block_y,
                                     unsigned block_z, unsigned shared, aiteri_gpu_stream stream,
                                     void **parameters, void **extra)
{
    FAKE_ENTER(launch);
    if (!parameters || extra || grid_x == 0 || grid_y == 0 || grid_z == 0) return 1;
    pthread_mutex_lock(&fake_mutex);
    fake_launch_record *r = &fake.launch[fake.launches++ % FAKE_LAUNCHES];
    r->symbol = (const char *)function;
    r->grid[0] = grid_x, r->grid[1] = grid_y, r->grid[2] = grid_z;
    r->block[0] = block_x, r->block[1] = block_y, r->block[2] = block_z;
    r->shared = shared;
    r->stream = stream;
    r->device = fake_current;
    fake.launches_on[fake_current]++;
    fake.running = 1;
    memcpy(r->args, parameters[0], (size_t)fake_kernarg_bytes(r->symbol));
    pthread_mutex_unlock(&fake_mutex);
    return 0;
}

static aiteri_gpu_result fake_hip_set_device(int device)
{
    FAKE_ENTER(hip_set_device);
    if (device < 0 || device >= fake.devices) return 101;
    fake_current = device;
    return 0;
}

static aiteri_gpu_result fake_hip_get_device(int *device)
{
    FAKE_ENTER(hip_get_device);
    *device = fake_current;
    return 0;
}

static aiteri_gpu_result fake_hip_last_error(void) { return fake_enter(FAKE_hip_last_error); }
static const char *fake_hip_error_name(int code) { return code == 999 ? "fakeError" : "someError"; }
static const char *fake_hip_error_string(int code) { return code ? "it was told to" : "no error"; }

static aiteri_gpu_result fake_properties(void *properties, int device, size_t at, size_t bytes)
{
    if (device < 0 || device >= fake.devices) return 101;
    memset(properties, 0, bytes);
    snprintf((char *)properties + at, 256, "%s:sramecc+:xnack-", fake.arch);
    return 0;
}

static aiteri_gpu_result fake_hip_properties_6(void *properties, int device)
{
    FAKE_ENTER(hip_properties_6);
    return fake_properties(properties, device, 1160, 1472);
}

static aiteri_gpu_result fake_hip_properties_5(void *properties, int device)
{
    FAKE_ENTER(hip_properties_5);
    return fake_properties(properties, device, 396, 792);
}

/* CUDA's contexts are small numbers; 9 is one that the user made on device 1. */
static int fake_device_of(aiteri_gpu_native native)
{
    const int id = (int)(uintptr_t)native;
    return id == 9 ? 1 : id - 1;
}

static aiteri_gpu_result fake_cuda_device(int *device, int ordinal)
{
    FAKE_ENTER(cuda_device);
    *device = ordinal;
    return ordinal < fake.devices ? 0 : 101;
}

static aiteri_gpu_result fake_cuda_get_current(aiteri_gpu_native *native)
{
    FAKE_ENTER(cuda_get_current);
    *native = (void *)(uintptr_t)fake_current;
    return 0;
}

static aiteri_gpu_result fake_cuda_set_current(aiteri_gpu_native native)
{
    FAKE_ENTER(cuda_set_current);
    fake_current = (int)(uintptr_t)native;
    return 0;
}

static aiteri_gpu_result fake_cuda_current_device(int *device)
{
    FAKE_ENTER(cuda_current_device);
    if (fake_current == 0) return 201;
    *device = fake_device_of((void *)(uintptr_t)fake_current);
    return 0;
}

/* Stream 0x90 is of context 9, all others of device 0's primary one. */
static aiteri_gpu_result fake_cuda_stream_context(aiteri_gpu_stream stream,
                                                  aiteri_gpu_native *native)
{
    FAKE_ENTER(cuda_stream_context);
    *native = (void *)(uintptr_t)((uintptr_t)stream == 0x90 ? 9 : 1);
    return 0;
}

static aiteri_gpu_result fake_cuda_primary_retain(aiteri_gpu_native *native, int device)
{
    FAKE_ENTER(cuda_primary_retain);
    *native = (void *)(uintptr_t)(device + 1);
    fake.retained++;
    return 0;
}

static aiteri_gpu_result fake_cuda_primary_release(int device)
{
    (void)device;
    FAKE_ENTER(cuda_primary_release);
    fake.retained--;
    return 0;
}

static aiteri_gpu_result fake_cuda_function_set(aiteri_gpu_function function, int id, int value)
{
    (void)function;
    FAKE_ENTER(cuda_function_set);
    if (id != 8) return 1;
    fake.dynamic_shared = value;
    return 0;
}

static aiteri_gpu_result fake_cuda_error_name(int code, const char **text)
{
    *text = code == 999 ? "fakeError" : "someError";
    return 0;
}

static aiteri_gpu_result fake_cuda_error_string(int code, const char **text)
{
    (void)code;
    *text = NULL;
    return 1;
}

/* ---- the loader ---- */

static void *fake_open(const char *name, int only_loaded)
{
    const char *have = only_loaded ? fake.loaded : fake.installed;
    if (!have || strcmp(have, name) != 0) return NULL;
    fake.opened = have;
    return &fake;
}

static int fake_symbol(void *library, const char *name, void *function)
{
    const int hip = fake.opened && strstr(fake.opened, "hip") != NULL;
    (void)library;
    memset(function, 0, sizeof(void *));
    if (fake.missing && (fake.missing[0] == 0 || strcmp(fake.missing, name) == 0)) return 0;
    if (strcmp(name, "hipGetDevicePropertiesR0600") == 0 && fake.properties != 6) return 0;
    if (strcmp(name, "hipGetDeviceProperties") == 0 && fake.properties == 0) return 0;
#define FAKE_GIVE(result, field, hip_name, cuda_name, parameters) \
    if (strcmp(name, hip ? #hip_name : #cuda_name) == 0) {        \
        result(*give) parameters = fake_##field;                  \
        return memcpy(function, &give, sizeof give), 1;           \
    }
#define FAKE_GIVE_OWN(result, field, symbol, parameters) \
    if (strcmp(name, #symbol) == 0) {                    \
        result(*give) parameters = fake_##field;         \
        return memcpy(function, &give, sizeof give), 1;  \
    }
    AITERI_DRIVER_ROWS(FAKE_GIVE)
    if (hip) {
        AITERI_HIP_ROWS(FAKE_GIVE_OWN)
        AITERI_HIP_OPTIONAL_ROWS(FAKE_GIVE_OWN)
    } else {
        AITERI_CUDA_ROWS(FAKE_GIVE_OWN)
    }
    return 0;
}

/* A machine with two gfx942 and two sm_90, no driver opened yet. */
static void fake_reset(void)
{
    memset(&fake, 0, sizeof fake);
    fake_current = 0;
    memset(aiteri_drivers, 0, sizeof aiteri_drivers);
    fake.devices = FAKE_DEVICES;
    fake.arch = "gfx942";
    fake.major = 9;
    fake.properties = 6;
    fake.hash = AITERI_GPU_ABI_HASH;
    fake.fail_id = -1;
}

static aiter_context_desc fake_desc(aiter_device device)
{
    aiter_context_desc d;
    memset(&d, 0, sizeof d);
    d.device = device;
    fake.installed = device == AITER_DEVICE_HIP ? "libamdhip64.so.7" : "libcuda.so.1";
    return d;
}

#endif /* AITER_TEST_FAKE_DRIVER_H */
