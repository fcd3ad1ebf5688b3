/* bench_device.c -- attention on a GPU: TFLOP/s of prefill, bytes of K and V per second of decode
 * beside what a copy inside the device moves, over every type and order of pages.
 * (bench_gpu_call.c: what a call costs the host.)
 *
 *     cc -O2 bench/bench_device.c -o bench_device -lm -lpthread -ldl
 *     ./bench_device cuda build/kernels        # or hip; a row's name, or part of it, as third word
 *
 * Times are host clocks around calls that end in a wait, enough calls for 50 ms; the median of 11,
 * the copy measured between them. K and V rotate through 2 GiB: no cache serves them. */
#define _GNU_SOURCE
#define AITER_ATTN_HIP
#define AITER_ATTN_CUDA
#define AITER_ATTN_IMPLEMENTATION
#ifndef AITER_TEST_HEADER
#define AITER_TEST_HEADER "../aiter_attn.h"
#endif
#include AITER_TEST_HEADER

#include "bench_gpu.h"

enum { ROUNDS = 11, SETS = 64, COPY_BYTES_LOG2 = 31 };

static aiter_context *ctx;

/* Device memory of numbers in [-top, top); a few million, over and over. */
static void *device_numbers(aiter_dtype dtype, size_t count, float top)
{
    enum { DRAWN = 1 << 22 };
    const size_t bytes = count * (size_t)aiter_dtype_bits(dtype) / 8;
    const size_t drawn = DRAWN * (size_t)aiter_dtype_bits(dtype) / 8;
    char *host = (char *)malloc(drawn), *there;
    uint32_t seed = 1;
    for (int64_t i = 0; i < DRAWN; i++) {
        seed = seed * 1664525u + 1013904223u;
        aiter_store_element(dtype, host, i, top * ((float)(seed >> 8) / 8388608.0f - 1.0f));
    }
    must(aiter_memory_alloc(ctx, AITER_MEMORY_DEVICE, bytes, (void **)&there));
    for (size_t at = 0; at < bytes; at += drawn)
        must(aiter_memory_copy(ctx, there + at, AITER_MEMORY_DEVICE, host, AITER_MEMORY_HOST,
                               bytes - at < drawn ? bytes - at : drawn));
    must(aiter_context_synchronize(ctx));
    free(host);
    return there;
}

static void *device_ints(const int32_t *host, size_t count)
{
    void *there;
    must(aiter_memory_alloc(ctx, AITER_MEMORY_DEVICE, count * 4, &there));
    must(aiter_memory_copy(ctx, there, AITER_MEMORY_DEVICE, host, AITER_MEMORY_HOST, count * 4));
    must(aiter_context_synchronize(ctx));
    return there;
}

/* Seconds of one of `calls` calls in a row. */
static double timed(void (*call)(void *arg, int i), void *arg, int calls)
{
    const double start = now();
    for (int i = 0; i < calls; i++) call(arg, i);
    must(aiter_context_synchronize(ctx));
    return (now() - start) / calls;
}

typedef struct copy_job {
    void *from, *to;
} copy_job;

static void copy_call(void *arg, int i)
{
    const copy_job *j = (const copy_job *)arg;
    (void)i;
    must(aiter_memory_copy(ctx, j->to, AITER_MEMORY_DEVICE, j->from, AITER_MEMORY_DEVICE,
                           (size_t)1 << COPY_BYTES_LOG2));
}

typedef struct result {
    double seconds, copy_rate; /* bytes read plus written per second */
} result;

static result measure(void (*call)(void *arg, int i), void *arg, copy_job *copy)
{
    double seconds[ROUNDS], copies[ROUNDS];
    timed(call, arg, 2); /* kernels are loaded, memory has grown */
    const int calls = 1 + (int)(0.05 / timed(call, arg, 2));
    for (int r = 0; r < ROUNDS; r++) {
        seconds[r] = timed(call, arg, calls);
        copies[r] = timed(copy_call, copy, 4);
    }
    const result out = {median(seconds, ROUNDS),
                        2.0 * (double)((size_t)1 << COPY_BYTES_LOG2) / median(copies, ROUNDS)};
    return out;
}

/* ---- prefill ---- */

static void prefill_call(void *arg, int i)
{
    (void)i;
    must(aiter_flash_attn_fwd((const aiter_flash_attn_fwd_args *)arg, ctx));
}

static void prefill(const char *filter, int s, int dim, int causal, copy_job *copy)
{
    enum { HEADS = 32 };
    char name[64];
    snprintf(name, sizeof name, "flash_fwd/bf16/D%d/S%d/%s", dim, s, causal ? "causal" : "full");
    if (!strstr(name, filter)) return;
    const size_t count = (size_t)s * HEADS * (size_t)dim;
    void *data[4];
    for (int i = 0; i < 4; i++) data[i] = device_numbers(AITER_BF16, count, 1.0f);
    aiter_flash_attn_fwd_args a;
    memset(&a, 0, sizeof a);
    a.q = aiter_tensor_4d(data[0], AITER_BF16, 1, s, HEADS, dim);
    a.kv.k = aiter_tensor_4d(data[1], AITER_BF16, 1, s, HEADS, dim);
    a.kv.v = aiter_tensor_4d(data[2], AITER_BF16, 1, s, HEADS, dim);
    a.out = aiter_tensor_4d(data[3], AITER_BF16, 1, s, HEADS, dim);
    a.score.mask = causal ? AITER_MASK_CAUSAL : AITER_MASK_NONE;
    const result r = measure(prefill_call, &a, copy);
    const double pairs = (double)s * (causal ? (s + 1) / 2.0 : s);
    printf("| %s | %.1f us | %.1f TFLOP/s | |\n", name, r.seconds * 1e6,
           4.0 * dim * HEADS * pairs / r.seconds * 1e-12);
    for (int i = 0; i < 4; i++)
        must(aiter_memory_free(ctx, AITER_MEMORY_DEVICE, data[i], count * 2));
}

/* ---- decode ---- */

typedef struct decode_job {
    aiter_paged_attn_decode_args a;
    void *k[SETS], *v[SETS];
    int sets;
} decode_job;

static void decode_call(void *arg, int i)
{
    decode_job *j = (decode_job *)arg;
    j->a.kv.k.data = j->k[i % j->sets];
    j->a.kv.v.data = j->v[i % j->sets];
    must(aiter_paged_attn_decode(&j->a, ctx));
}

typedef struct decode_shape {
    aiter_dtype dtype;
    aiter_kv_layout layout;
    int batch, context, page;
} decode_shape;

enum { HQ = 32, HK = 8, D = 128 };

/* Pages of K or V in that order. */
static aiter_tensor pages_of(const decode_shape *s, void *data, int blocks, int v)
{
    const int x = 128 / aiter_dtype_bits(s->dtype);
    if (s->layout == AITER_KV_NHD) return aiter_tensor_4d(data, s->dtype, blocks, s->page, HK, D);
    if (!v) return aiter_tensor_5d(data, s->dtype, blocks, HK, D / x, s->page, x);
    if (s->layout == AITER_KV_X_PACKED)
        return aiter_tensor_4d(data, s->dtype, blocks, HK, D, s->page);
    return aiter_tensor_5d(data, s->dtype, blocks, HK, s->page / x, D, x);
}

/* Scales of each token and head. */
static aiter_tensor steps_of(const decode_shape *s, int blocks, float most)
{
    const size_t count = (size_t)blocks * (size_t)s->page * HK;
    return aiter_tensor_3d(device_numbers(AITER_F32, count, 1.0f / most), AITER_F32, blocks,
                           s->page, HK);
}

static void decode(const char *filter, decode_shape s, copy_job *copy)
{
    static const char *const layouts[] = {"nhd", "x-packed", "shuffled"};
    char name[64];
    snprintf(name, sizeof name, "paged_decode/%s/%s/B%d/ctx%d/page%d", aiter_dtype_name(s.dtype),
             layouts[s.layout], s.batch, s.context, s.page);
    if (!strstr(name, filter)) return;
    const int pages = s.context / s.page, blocks = s.batch * pages;
    const size_t count = (size_t)blocks * (size_t)s.page * HK * D;
    const size_t bytes = count * (size_t)aiter_dtype_bits(s.dtype) / 8;
    const float most = s.dtype == AITER_I8 ? 127.0f : s.dtype == AITER_I4 ? 7.0f : 1.0f;
    decode_job j;
    memset(&j, 0, sizeof j);
    j.sets = (int)aiteri_clamp((int64_t)(((size_t)1 << 31) / (2 * bytes)), 2, SETS);
    for (int i = 0; i < j.sets; i++)
        j.k[i] = device_numbers(s.dtype, count, most),
        j.v[i] = device_numbers(s.dtype, count, most);
    int32_t *table = (int32_t *)malloc((size_t)blocks * 4),
            *lengths = (int32_t *)malloc((size_t)s.batch * 4);
    for (int i = 0; i < blocks; i++) table[i] = (int32_t)((int64_t)i * 7919 % blocks);
    for (int b = 0; b < s.batch; b++) lengths[b] = s.context;
    const size_t rows = (size_t)s.batch * HQ * D;
    j.a.q = aiter_tensor_4d(device_numbers(AITER_BF16, rows, 1.0f), AITER_BF16, s.batch, 1, HQ, D);
    j.a.out =
        aiter_tensor_4d(device_numbers(AITER_BF16, rows, 1.0f), AITER_BF16, s.batch, 1, HQ, D);
    j.a.kv.layout = s.layout;
    j.a.kv.k = pages_of(&s, j.k[0], blocks, 0);
    j.a.kv.v = pages_of(&s, j.v[0], blocks, 1);
    if (s.dtype == AITER_I8 || s.dtype == AITER_I4)
        j.a.kv.k_scale = j.a.kv.v_scale = steps_of(&s, blocks, most);
    j.a.kv.block_table =
        aiter_tensor_2d(device_ints(table, (size_t)blocks), AITER_I32, s.batch, pages);
    j.a.kv.seq_lens = aiter_tensor_1d(device_ints(lengths, (size_t)s.batch), AITER_I32, s.batch);
    const result r = measure(decode_call, &j, copy);
    const double rate = 2.0 * (double)bytes / r.seconds;
    printf("| %s | %.1f us | %.0f GB/s | %.1f %% of the copy's %.0f GB/s |\n", name,
           r.seconds * 1e6, rate * 1e-9, 100 * rate / r.copy_rate, r.copy_rate * 1e-9);
    for (int i = 0; i < j.sets; i++) {
        must(aiter_memory_free(ctx, AITER_MEMORY_DEVICE, j.k[i], bytes));
        must(aiter_memory_free(ctx, AITER_MEMORY_DEVICE, j.v[i], bytes));
    }
    free(table);
    free(lengths);
}

/* Every type and order over the same keys; int4 has one order. */
static void decode_kinds(const char *filter, int batch, int context, int page, copy_job *copy)
{
    static const aiter_dtype types[] = {AITER_BF16, AITER_I8, AITER_F8_E4M3FN, AITER_I4};
    static const aiter_kv_layout layouts[] = {AITER_KV_NHD, AITER_KV_X_PACKED, AITER_KV_SHUFFLED};
    for (int t = 0; t < 4; t++)
        for (int l = 0; l < (types[t] == AITER_I4 ? 1 : 3); l++) {
            const decode_shape s = {types[t], layouts[l], batch, context, page};
            decode(filter, s, copy);
        }
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s hip|cuda FOLDER [FILTER]\n", argv[0]);
        return 2;
    }
    const char *filter = argc > 3 ? argv[3] : "";
    aiter_context_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.device = strcmp(argv[1], "hip") == 0 ? AITER_DEVICE_HIP : AITER_DEVICE_CUDA;
    desc.kernel_path = argv[2];
    must(aiter_context_create(&desc, &ctx));
    const aiter_context_details info = aiter_context_info(ctx);
    printf("%s, %s, %d compute units; aiter_attn %s\n\n| row | median | rate | share |\n"
           "|---|---|---|---|\n",
           info.device_name, info.architecture, (int)info.compute_units, AITER_ATTN_VERSION_STRING);
    copy_job copy;
    must(aiter_memory_alloc(ctx, AITER_MEMORY_DEVICE, (size_t)1 << COPY_BYTES_LOG2, &copy.from));
    must(aiter_memory_alloc(ctx, AITER_MEMORY_DEVICE, (size_t)1 << COPY_BYTES_LOG2, &copy.to));
    for (int causal = 0; causal < 2; causal++)
        for (int s = 4096; s <= 16384; s *= 4) prefill(filter, s, 128, causal, &copy);
    decode_kinds(filter, 64, 4096, 16, &copy);
    decode_kinds(filter, 16, 16384, 16, &copy);
    decode_kinds(filter, 64, 4096, 64, &copy);
    aiter_context_destroy(ctx);
    return 0;
}
