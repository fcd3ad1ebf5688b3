/* compilers.c -- a few rows of prefill and decode on one thread: what compilers.py runs once for
 * each compiler and round.
 *
 *     compilers SECONDS         repeats each row for so long; prints NAME RATE */
#include "bench.h"

enum { HEADS = 4, DIM = 128 };

/* The fastest call: what others of the machine disturb is slower. */
static double fastest(const aiter_flash_attn_fwd_args *a, aiter_context *ctx, double seconds)
{
    const double begin = bench_now();
    double best = INFINITY;
    while (bench_now() < begin + seconds) {
        const double start = bench_now();
        if (aiter_flash_attn_fwd(a, ctx) != AITER_OK) bench_fail(aiter_last_error());
        if (bench_now() - start < best) best = bench_now() - start;
    }
    return best;
}

/* Queries of `heads_q` heads on HEADS of keys; GFLOP/s of many queries, GB/s of K and V of one. */
static void row(const char *name, int64_t queries, int64_t heads_q, int64_t keys, aiter_dtype type,
                aiter_context *ctx, double seconds)
{
    const int64_t n = keys * HEADS * DIM, m = queries * heads_q * DIM;
    const double bytes = 2.0 * (double)n * aiter_dtype_bits(type) / 8;
    const double flops = 4.0 * (double)(m * keys);
    aiter_flash_attn_fwd_args a;
    void *q = bench_alloc((size_t)m * 4), *out = bench_alloc((size_t)m * 4);
    void *k = bench_alloc((size_t)n * 4), *v = bench_alloc((size_t)n * 4);
    memset(&a, 0, sizeof a);
    bench_fill(q, AITER_F32, m, 1);
    bench_fill(k, type, n, 2);
    bench_fill(v, type, n, 3);
    a.q = aiter_tensor_4d(q, AITER_F32, 1, queries, heads_q, DIM);
    a.k = aiter_tensor_4d(k, type, 1, keys, HEADS, DIM);
    a.v = aiter_tensor_4d(v, type, 1, keys, HEADS, DIM);
    a.out = aiter_tensor_4d(out, AITER_F32, 1, queries, heads_q, DIM);
    printf("%s %.2f\n", name, (queries > 1 ? flops : bytes) / fastest(&a, ctx, seconds) / 1e9);
    free(q), free(k), free(v), free(out);
}

int main(int argc, char **argv)
{
    const double seconds = argc > 1 ? atof(argv[1]) : 0.3;
    aiter_context_desc desc;
    aiter_context *ctx = NULL;
    memset(&desc, 0, sizeof desc);
    desc.num_threads = 1;
    if (aiter_context_create(&desc, &ctx) != AITER_OK) bench_fail(aiter_last_error());
    row("prefill_f32", 1024, HEADS, 1024, AITER_F32, ctx, seconds);
    row("prefill_bf16", 1024, HEADS, 1024, AITER_BF16, ctx, seconds);
    row("decode_f32", 1, 4 * HEADS, 16384, AITER_F32, ctx, seconds);
    row("decode_bf16", 1, 4 * HEADS, 16384, AITER_BF16, ctx, seconds);
    aiter_context_destroy(ctx);
    return 0;
}
