/* bench_reshape_and_cache.c -- new tokens into the pages: a prompt's worth from memory and one
 * decode step's. Bytes are those of k and v read and written once. */
#include "bench.h"

enum { HEADS = 8, DIM = 128, PAGE = 16, CACHE_TOKENS = 16384 };

typedef struct cache_case {
    aiter_reshape_and_cache_args args;
    int64_t tokens, sets;
    size_t set_bytes;
    char *k, *v;
    int32_t *slots;
} cache_case;

static aiter_status call_cache(void *arg, aiter_context *ctx, int64_t turn)
{
    cache_case *c = (cache_case *)arg;
    int64_t set = turn % c->sets;
    c->args.k.data = c->k + (size_t)set * c->set_bytes;
    c->args.v.data = c->v + (size_t)set * c->set_bytes;
    c->args.slot_mapping.data = c->slots + set * c->tokens;
    return aiter_reshape_and_cache(&c->args, ctx);
}

/* Pages in an order that jumps, tokens of a page in order; the sets share the cache's slots. */
static void fill_slots(cache_case *c)
{
    int64_t pages = CACHE_TOKENS / PAGE;
    for (int64_t i = 0; i < c->sets * c->tokens; i++) {
        int64_t page = i / PAGE * 7919 % pages;
        c->slots[i] = (int32_t)(page * PAGE + i % PAGE);
    }
}

/* Worst difference of the last set written from its input, in units of the largest value. */
static double cache_error(const cache_case *c)
{
    double worst = 0;
    const aiter_tensor *cache = &c->args.kv.k, *scale = &c->args.kv.k_scale;
    for (int64_t n = 0; n < c->tokens; n += 1 + c->tokens / 64) {
        int64_t slot = ((const int32_t *)c->args.slot_mapping.data)[n];
        for (int64_t i = 0; i < HEADS * DIM; i++) {
            double in = aiter_load_element(c->args.k.dtype, c->args.k.data, n * HEADS * DIM + i);
            double out = aiter_load_element(cache->dtype, cache->data, slot * HEADS * DIM + i);
            if (scale->ndim) out *= ((const float *)scale->data)[slot * HEADS + i / DIM];
            worst = bench_worse(worst, fabs(in - out) / 1.7);
        }
    }
    return worst;
}

static void run_case(int64_t tokens, aiter_dtype from, aiter_dtype to)
{
    cache_case c = {0};
    char name[96];
    snprintf(name, sizeof name, "tokens%d/Hk8/D128/page16/%s-to-%s", (int)tokens,
             aiter_dtype_name(from), aiter_dtype_name(to));
    if (!bench_wants(name)) return;
    double width = aiter_dtype_bits(from) / 8.0, stored = aiter_dtype_bits(to) / 8.0;
    int64_t values = tokens * HEADS * DIM;
    size_t cache_bytes = (size_t)((double)CACHE_TOKENS * HEADS * DIM * stored);
    c.tokens = tokens;
    c.set_bytes = (size_t)((double)values * width);
    c.sets = 1 + (int64_t)(300e6 / (2.0 * (double)c.set_bytes));
    c.k = (char *)bench_alloc((size_t)c.sets * c.set_bytes);
    c.v = (char *)bench_alloc((size_t)c.sets * c.set_bytes);
    c.slots = (int32_t *)bench_alloc((size_t)(c.sets * tokens) * sizeof(int32_t));
    bench_fill(c.k, from, c.sets * values, 1);
    bench_fill(c.v, from, c.sets * values, 2);
    fill_slots(&c);
    void *caches[2] = {bench_alloc(cache_bytes), bench_alloc(cache_bytes)};
    float *scales = (float *)bench_alloc(sizeof(float) * 2 * CACHE_TOKENS * HEADS);
    int64_t pages = CACHE_TOKENS / PAGE;
    c.args.k = aiter_tensor_3d(c.k, from, tokens, HEADS, DIM);
    c.args.v = aiter_tensor_3d(c.v, from, tokens, HEADS, DIM);
    c.args.kv.k = aiter_tensor_4d(caches[0], to, pages, PAGE, HEADS, DIM);
    c.args.kv.v = aiter_tensor_4d(caches[1], to, pages, PAGE, HEADS, DIM);
    c.args.slot_mapping = aiter_tensor_1d(c.slots, AITER_I32, tokens);
    if (to == AITER_I8 || to == AITER_I4) {
        c.args.quantisation.to = to;
        c.args.kv.k_scale = aiter_tensor_3d(scales, AITER_F32, pages, PAGE, HEADS);
        c.args.kv.v_scale =
            aiter_tensor_3d(scales + CACHE_TOKENS * HEADS, AITER_F32, pages, PAGE, HEADS);
    }
    bench_case row = {name, call_cache, &c, 0, 2.0 * (double)values * (width + stored), 0};
    if (call_cache(&c, bench.contexts[0], 0) != AITER_OK) bench_fail(aiter_last_error());
    row.error = cache_error(&c);
    bench_row(&row);
    free(c.k);
    free(c.v);
    free(c.slots);
    free(caches[0]);
    free(caches[1]);
    free(scales);
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    for (int64_t tokens = 16; tokens <= 4096; tokens *= 256) {
        run_case(tokens, AITER_F32, AITER_F32);
        run_case(tokens, AITER_F32, AITER_F16);
        run_case(tokens, AITER_F32, AITER_BF16);
        run_case(tokens, AITER_F32, AITER_I8);
        run_case(tokens, AITER_F16, AITER_F16);
        run_case(tokens, AITER_BF16, AITER_I8);
        run_case(tokens, AITER_F32, AITER_I4);
        run_case(tokens, AITER_BF16, AITER_I4);
    }
    bench_end();
}
