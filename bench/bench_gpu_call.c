/* bench_gpu_call.c -- what a call costs the host beside the driver's own launches:
 *
 *     cc -O2 bench/bench_gpu_call.c -o bench_gpu_call -lm -lpthread -ldl
 *     ./bench_gpu_call cuda build/kernels        # or hip
 *
 * Calls and bare launches of the same kernels with the same arguments take turns in one run; the
 * queue is emptied between them, outside the clock. Bare launches need the device to be current on
 * the thread, as it is in a program that uses it; a call on another thread makes it current and
 * puts back what was, which CUDA charges for: the second line. */
#define AITER_ATTN_HIP
#define AITER_ATTN_CUDA
#define AITER_ATTN_IMPLEMENTATION
#ifndef AITER_TEST_HEADER
#define AITER_TEST_HEADER "../aiter_attn.h"
#endif
#include AITER_TEST_HEADER

#include <stdio.h>
#include <time.h>

enum { ROUNDS = 41, BATCH = 100, MOST_LAUNCHES = 4, BATCH_ROWS = 16, KEYS = 4096, PAGE = 16 };

typedef struct launch {
    aiteri_gpu_function function;
    unsigned groups, threads, shared;
    aiteri_gpu_stream stream;
    unsigned char args[1024];
} launch;

static launch launches[MOST_LAUNCHES];
static int launch_count;
static aiteri_gpu_result (*driver_launch)(aiteri_gpu_function, unsigned, unsigned, unsigned,
                                          unsigned, unsigned, unsigned, unsigned, aiteri_gpu_stream,
                                          void **, void **);

/* Stands in the driver's table for one call and remembers what it launches. */
static aiteri_gpu_result remember(aiteri_gpu_function function, unsigned grid_x, unsigned grid_y,
                                  unsigned grid_z, unsigned block_x, unsigned block_y,
                                  unsigned block_z, unsigned shared, aiteri_gpu_stream stream,
                                  void **parameters, void **extra)
{
    launch *l = &launches[launch_count++ % MOST_LAUNCHES];
    l->function = function;
    l->groups = grid_x;
    l->threads = block_x;
    l->shared = shared;
    l->stream = stream;
    memcpy(l->args, parameters[0], sizeof(aiteri_gpu_attention));
    return driver_launch(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared,
                         stream, parameters, extra);
}

static double seconds(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int bare_launches(void)
{
    int failed = 0;
    for (int i = 0; i < launch_count; i++) {
        launch *l = &launches[i];
        void *parameters[1] = {l->args};
        failed |= driver_launch(l->function, l->groups, 1, 1, l->threads, 1, 1, l->shared,
                                l->stream, parameters, NULL) != AITERI_GPU_SUCCESS;
    }
    return failed;
}

/* CUDA: the device's context, or none, is current on this thread. HIP's device always is. */
static int make_current(aiter_context *ctx, int current)
{
    const aiteri_device *d = ctx->gpu.device;
    return d->driver->kind == AITER_DEVICE_HIP ||
           d->driver->cuda_set_current(current ? d->native : NULL) == AITERI_GPU_SUCCESS;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x)
{
    qsort(x, ROUNDS, sizeof *x, ascending);
    return x[ROUNDS / 2];
}

static void *device_memory(aiter_context *ctx, size_t bytes, const void *from)
{
    void *at = NULL;
    if (aiter_memory_alloc(ctx, AITER_MEMORY_DEVICE, bytes, &at) != AITER_OK) return NULL;
    if (from) aiter_memory_copy(ctx, at, AITER_MEMORY_DEVICE, from, AITER_MEMORY_HOST, bytes);
    return at;
}

/* A decode step of BATCH_ROWS sequences that all read the same pages. */
static aiter_paged_attn_decode_args decode_step(aiter_context *ctx)
{
    enum { HEADS = 32, KV_HEADS = 8, DIM = 128, PAGES = KEYS / PAGE };
    static int32_t table[BATCH_ROWS * PAGES], lengths[BATCH_ROWS];
    const size_t cache = (size_t)KEYS * KV_HEADS * DIM * 2, rows = BATCH_ROWS * HEADS * DIM * 2;
    aiter_paged_attn_decode_args a;
    memset(&a, 0, sizeof a);
    for (int i = 0; i < BATCH_ROWS * PAGES; i++) table[i] = i % PAGES;
    for (int i = 0; i < BATCH_ROWS; i++) lengths[i] = KEYS;
    void *zeros = calloc(1, cache);
    a.q = aiter_tensor_3d(device_memory(ctx, rows, zeros), AITER_BF16, BATCH_ROWS, HEADS, DIM);
    a.out = aiter_tensor_3d(device_memory(ctx, rows, NULL), AITER_BF16, BATCH_ROWS, HEADS, DIM);
    a.kv.k =
        aiter_tensor_4d(device_memory(ctx, cache, zeros), AITER_BF16, PAGES, PAGE, KV_HEADS, DIM);
    a.kv.v =
        aiter_tensor_4d(device_memory(ctx, cache, zeros), AITER_BF16, PAGES, PAGE, KV_HEADS, DIM);
    a.kv.block_table =
        aiter_tensor_2d(device_memory(ctx, sizeof table, table), AITER_I32, BATCH_ROWS, PAGES);
    a.kv.seq_lens =
        aiter_tensor_1d(device_memory(ctx, sizeof lengths, lengths), AITER_I32, BATCH_ROWS);
    aiter_context_synchronize(ctx);
    free(zeros);
    return a;
}

/* Seconds of one call; the queue is empty before and after. */
static double warm_call(const aiter_paged_attn_decode_args *a, aiter_context *ctx, int *failed)
{
    const double from = seconds();
    for (int i = 0; i < BATCH; i++) *failed |= aiter_paged_attn_decode(a, ctx) != AITER_OK;
    const double each = (seconds() - from) / BATCH;
    aiter_context_synchronize(ctx);
    return each;
}

static int measure(const aiter_paged_attn_decode_args *a, aiter_context *ctx)
{
    static double call[ROUNDS], bare[ROUNDS], elsewhere[ROUNDS];
    int failed = 0;
    for (int r = 0; r < ROUNDS; r++) {
        failed |= !make_current(ctx, 1);
        call[r] = warm_call(a, ctx, &failed);
        const double from = seconds();
        for (int i = 0; i < BATCH; i++) failed |= bare_launches();
        bare[r] = (seconds() - from) / BATCH;
        aiter_context_synchronize(ctx);
        failed |= !make_current(ctx, 0);
        elsewhere[r] = warm_call(a, ctx, &failed);
    }
    if (failed) return puts("a call or a launch failed"), 1;
    const double total = median(call), driver = median(bare);
    printf("warm call %.2f us, its %d bare launches %.2f us, the header's share %.2f us\n",
           total * 1e6, launch_count, driver * 1e6, (total - driver) * 1e6);
    printf("warm call where the device is not current %.2f us\n", median(elsewhere) * 1e6);
    return 0;
}

int main(int argc, char **argv)
{
    aiter_context_desc d;
    aiter_context *ctx = NULL;
    memset(&d, 0, sizeof d);
    if (argc != 3) return fprintf(stderr, "usage: bench_gpu_call hip|cuda FOLDER\n"), 2;
    d.device = strcmp(argv[1], "hip") == 0 ? AITER_DEVICE_HIP : AITER_DEVICE_CUDA;
    d.kernel_path = argv[2];
    double from = seconds();
    if (aiter_context_create(&d, &ctx) != AITER_OK) return puts(aiter_last_error()), 1;
    printf("%s, %s: context %.1f ms\n", aiter_context_info(ctx).device_name,
           aiter_context_info(ctx).architecture, (seconds() - from) * 1e3);
    const aiter_paged_attn_decode_args a = decode_step(ctx);
    from = seconds();
    if (aiter_paged_attn_decode(&a, ctx) != AITER_OK) return puts(aiter_context_error(ctx)), 1;
    printf("first call %.1f ms (loads its kernels)\n", (seconds() - from) * 1e3);
    driver_launch = aiteri_drivers[d.device].launch;
    aiteri_drivers[d.device].launch = remember;
    aiter_paged_attn_decode(&a, ctx);
    aiteri_drivers[d.device].launch = driver_launch;
    aiter_context_synchronize(ctx);
    const int failed = measure(&a, ctx);
    aiter_context_destroy(ctx); /* the tensors go with the process */
    return failed;
}
