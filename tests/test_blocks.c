/* test_blocks.c -- blocks of caches moved between caches and inside them: every type, strides of
 * all kinds, against one element at a time; what is not meant to move stays. */
#include "test.h"
#include "refusals.h"

/* A cache in memory of its own, axes in any order, perhaps with gaps. */
typedef struct block_cache {
    test_buffer memory;
    aiter_tensor t;
} block_cache;

static block_cache cache_new(test_rng *r, aiter_dtype type, const int64_t *shape, int ndim)
{
    const int bits = aiter_dtype_bits(type);
    block_cache c;
    int order[5], i, j;
    int64_t size = 1;
    memset(&c, 0, sizeof c);
    c.t.dtype = type;
    c.t.ndim = ndim;
    for (i = 0; i < ndim; i++) order[i] = i;
    for (i = ndim - 1; i > 0; i--) { /* two codes a byte: the last axis stays inside */
        const int last = bits < 8 ? ndim - 1 : ndim, at = (int)(rng_next(r) % (uint64_t)(i + 1));
        if (i >= last || at >= last) continue;
        j = order[i], order[i] = order[at], order[at] = j;
    }
    for (i = ndim - 1; i >= 0; i--) {
        const int64_t gap = rng_next(r) % 3 == 0 && (bits >= 8 || i < ndim - 1) ? 2 : 0;
        c.t.shape[order[i]] = shape[order[i]];
        c.t.stride[order[i]] = size + (bits < 8 ? size % 2 * (i < ndim - 1) : 0);
        size = c.t.stride[order[i]] * shape[order[i]] + gap;
    }
    c.memory = buffer_new((size_t)(size * bits / 8 + 8));
    c.t.data = c.memory.data;
    return c;
}

static void fill_bytes(block_cache *c, uint64_t seed)
{
    size_t i;
    for (i = 0; i < c->memory.bytes; i++)
        ((unsigned char *)c->memory.data)[i] = (unsigned char)(test_mix(seed + i) >> 13);
}

/* Elements as bytes: of two codes a byte pairs. */
static int64_t element_bytes(const aiter_tensor *t)
{
    return aiter_dtype_bits(t->dtype) < 8 ? 1 : aiter_dtype_bits(t->dtype) / 8;
}

/* The byte at which element e of a block begins. */
static int64_t place_of(const aiter_tensor *t, int64_t block, int64_t e)
{
    const int halves = aiter_dtype_bits(t->dtype) < 8;
    int64_t at = block * t->stride[0];
    int i;
    for (i = t->ndim - 1; i > 0; i--) {
        const int64_t n = halves && i == t->ndim - 1 ? (t->shape[i] + 1) / 2 : t->shape[i];
        at += e % n * t->stride[i] * (halves && i == t->ndim - 1 ? 2 : 1);
        e /= n;
    }
    return halves ? at / 2 : at * element_bytes(t);
}

static int64_t elements_of_block(const aiter_tensor *t)
{
    int64_t n = 1;
    int i;
    for (i = 1; i < t->ndim; i++)
        n *= aiter_dtype_bits(t->dtype) < 8 && i == t->ndim - 1 ? (t->shape[i] + 1) / 2
                                                                : t->shape[i];
    return n;
}

/* What a cache must hold afterwards. */
static void expect_block(unsigned char *expected, const aiter_tensor *dst, int64_t to,
                         const unsigned char *from_bytes, const aiter_tensor *src, int64_t from)
{
    const int64_t n = elements_of_block(dst), size = element_bytes(dst);
    int64_t e;
    for (e = 0; e < n; e++)
        memcpy(expected + place_of(dst, to, e), from_bytes + place_of(src, from, e), (size_t)size);
}

static unsigned char *bytes_of(const block_cache *c)
{
    unsigned char *copy = (unsigned char *)malloc(c->memory.bytes);
    memcpy(copy, c->memory.data, c->memory.bytes);
    return copy;
}

enum { MOST_BLOCKS = 9 };

/* Distinct destinations from `dst_blocks`, sources from what `src_blocks` has; inside a cache from
 * those that nobody writes. Returns the number of pairs. */
static int make_pairs(test_rng *r, int64_t *pairs, int64_t src_blocks, int64_t dst_blocks,
                      int inside)
{
    int64_t order[MOST_BLOCKS];
    int n = (int)(rng_next(r) % (uint64_t)(dst_blocks + 1)), i;
    for (i = 0; i < dst_blocks; i++) order[i] = i;
    for (i = (int)dst_blocks - 1; i > 0; i--) {
        const int at = (int)(rng_next(r) % (uint64_t)(i + 1));
        const int64_t was = order[i];
        order[i] = order[at], order[at] = was;
    }
    if (inside && n == dst_blocks) n--;
    if (src_blocks == 0) n = 0;
    for (i = 0; i < n; i++) {
        pairs[2 * i] = inside ? order[n + (int)(rng_next(r) % (uint64_t)(dst_blocks - n))]
                              : (int64_t)(rng_next(r) % (uint64_t)src_blocks);
        pairs[2 * i + 1] = order[i];
    }
    return n;
}

/* The pairs as a tensor: I64 or I32, rows or columns. */
static aiter_tensor mapping_of(test_rng *r, const int64_t *pairs, int n, int32_t *narrow)
{
    static int64_t columns[2 * MOST_BLOCKS];
    const int kind = (int)(rng_next(r) % 3);
    aiter_tensor t = aiter_tensor_2d(pairs, AITER_I64, n, 2);
    int i;
    for (i = 0; i < 2 * n; i++) {
        narrow[i] = (int32_t)pairs[i];
        columns[i % 2 * n + i / 2] = pairs[i];
    }
    if (kind == 1) t = aiter_tensor_2d(narrow, AITER_I32, n, 2);
    if (kind == 2 && n > 0)
        t = aiter_tensor_transpose(aiter_tensor_2d(columns, AITER_I64, 2, n), 0, 1);
    return t;
}

static void random_shape(test_rng *r, int64_t *shape, int ndim)
{
    static const int64_t extents[] = {1, 2, 3, 4, 5, 7, 16, 33};
    int i;
    for (i = 0; i < ndim; i++) shape[i] = extents[rng_next(r) % 8];
    if (rng_next(r) % 16 == 0 && ndim > 1) shape[ndim - 1] = 0;
}

static aiter_dtype random_type(test_rng *r)
{
    return (aiter_dtype)(1 + rng_next(r) % (uint64_t)(AITER_DTYPE_COUNT - 1));
}

static void swap_round(test_rng *r, aiter_context *ctx, int round)
{
    const aiter_dtype type = random_type(r);
    const int halves = aiter_dtype_bits(type) < 8;
    const int ndim = 1 + halves + (int)(rng_next(r) % (uint64_t)(5 - halves));
    int64_t shape[5], pairs[2 * MOST_BLOCKS];
    int32_t narrow[2 * MOST_BLOCKS];
    aiter_swap_blocks_args a;
    block_cache src, dst;
    unsigned char *expected, *kept;
    int n, i;
    memset(&a, 0, sizeof a);
    random_shape(r, shape, ndim);
    shape[0] = (int64_t)(rng_next(r) % (MOST_BLOCKS + 1));
    src = cache_new(r, type, shape, ndim);
    shape[0] = (int64_t)(rng_next(r) % (MOST_BLOCKS + 1));
    dst = cache_new(r, type, shape, ndim);
    fill_bytes(&src, 1 + (uint64_t)round);
    fill_bytes(&dst, 99 + (uint64_t)round);
    expected = bytes_of(&dst);
    kept = bytes_of(&src);
    n = make_pairs(r, pairs, src.t.shape[0], dst.t.shape[0], 0);
    for (i = 0; i < n; i++)
        expect_block(expected, &dst.t, pairs[2 * i + 1], (unsigned char *)src.memory.data, &src.t,
                     pairs[2 * i]);
    a.src = src.t;
    a.dst = dst.t;
    a.mapping = mapping_of(r, pairs, n, narrow);
    CHECK(aiter_swap_blocks(&a, ctx) == AITER_OK, "round %d: %s", round, aiter_last_error());
    CHECK(memcmp(expected, dst.memory.data, dst.memory.bytes) == 0,
          "round %d: %s, %d dimensions, %d pairs: wrong bytes", round, aiter_dtype_name(type), ndim,
          n);
    CHECK(memcmp(kept, src.memory.data, src.memory.bytes) == 0, "round %d: src changed", round);
    CHECK(buffer_guard_is_whole(&src.memory) && buffer_guard_is_whole(&dst.memory),
          "round %d: written outside", round);
    free(expected);
    free(kept);
    buffer_free(&src.memory);
    buffer_free(&dst.memory);
}

static void copy_round(test_rng *r, aiter_context *ctx, int round)
{
    enum { MOST_CACHES = 7 };
    const int count = 1 + (int)(rng_next(r) % MOST_CACHES);
    const int64_t blocks = 1 + (int64_t)(rng_next(r) % MOST_BLOCKS);
    int64_t shape[5], pairs[2 * MOST_BLOCKS];
    int32_t narrow[2 * MOST_BLOCKS];
    block_cache cache[MOST_CACHES];
    aiter_tensor views[MOST_CACHES];
    unsigned char *expected[MOST_CACHES];
    aiter_copy_blocks_args a;
    int n = make_pairs(r, pairs, blocks, blocks, 1), i, j;
    memset(&a, 0, sizeof a);
    for (i = 0; i < count; i++) {
        const aiter_dtype type = random_type(r);
        const int halves = aiter_dtype_bits(type) < 8;
        const int ndim = 1 + halves + (int)(rng_next(r) % (uint64_t)(5 - halves));
        random_shape(r, shape, ndim);
        shape[0] = blocks;
        cache[i] = cache_new(r, type, shape, ndim);
        fill_bytes(&cache[i], (uint64_t)(round * 16 + i));
        views[i] = cache[i].t;
        expected[i] = bytes_of(&cache[i]);
        for (j = 0; j < n; j++)
            expect_block(expected[i], &views[i], pairs[2 * j + 1],
                         (unsigned char *)cache[i].memory.data, &views[i], pairs[2 * j]);
    }
    a.caches = views;
    a.num_caches = count;
    a.mapping = mapping_of(r, pairs, n, narrow);
    CHECK(aiter_copy_blocks(&a, ctx) == AITER_OK, "round %d: %s", round, aiter_last_error());
    for (i = 0; i < count; i++) {
        CHECK(memcmp(expected[i], cache[i].memory.data, cache[i].memory.bytes) == 0,
              "round %d: cache %d of %d, %s: wrong bytes", round, i, count,
              aiter_dtype_name(views[i].dtype));
        CHECK(buffer_guard_is_whole(&cache[i].memory), "round %d: written outside", round);
        free(expected[i]);
        buffer_free(&cache[i].memory);
    }
}

/* All layers in one buffer, a block's K and V of every layer beside each other: each view steps
 * over all the others, and none shares a byte. */
static void across_layers(aiter_context *ctx)
{
    enum { BLOCKS = 512, LAYERS = 24, ROW = 8 };
    static int16_t all[BLOCKS][LAYERS][2][ROW];
    static const int32_t pairs[4] = {511, 3, 7, 0};
    aiter_tensor views[2 * LAYERS];
    aiter_copy_blocks_args a;
    int i, wrong = 0;
    memset(&a, 0, sizeof a);
    for (i = 0; i < BLOCKS * LAYERS * 2 * ROW; i++) ((int16_t *)all)[i] = (int16_t)i;
    for (i = 0; i < 2 * LAYERS; i++) {
        views[i] = aiter_tensor_2d(&all[0][i / 2][i % 2], AITER_F16, BLOCKS, ROW);
        views[i].stride[0] = LAYERS * 2 * ROW;
        views[i].stride[1] = 1;
    }
    a.caches = views;
    a.num_caches = 2 * LAYERS;
    a.mapping = aiter_tensor_2d(pairs, AITER_I32, 2, 2);
    CHECK(aiter_copy_blocks(&a, ctx) == AITER_OK, "layers: %s", aiter_last_error());
    for (i = 0; i < BLOCKS; i++)
        wrong += memcmp(all[i], all[i == 3 ? 511 : i == 0 ? 7 : i], sizeof all[i]) != 0;
    CHECK(wrong == 0, "layers: %d blocks are wrong", wrong);
    views[5].data = &all[0][2][0][1]; /* an element into views[4] */
    CHECK(aiter_copy_blocks(&a, ctx) == AITER_INVALID_ARGUMENT, "layers that overlap are taken");
    CHECK(strstr(aiter_last_error(), "caches[5]: shares memory with caches[4]"), "%s",
          aiter_last_error());
}

/* Where pairs are refused nothing has been written: wherever in the list the wrong one stands. */
static void refused_pairs(aiter_context *ctx)
{
    static const int64_t wrong[][2] = {{-1, 5}, {8, 5}, {0, -1}, {0, 8}, {INT64_C(1) << 32, 5},
                                       {0, 1},  {0, 2}, {0, 3},  {1, 5}, {2, 5},
                                       {3, 5},  {5, 5}};
    static const int64_t good[3][2] = {{0, 1}, {4, 2}, {6, 3}};
    unsigned char cache[8][16], other[8][16], before[8][16];
    size_t i, at, j;
    for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        for (at = 0; at < 4; at++) {
            const int chain = i >= 8;
            int64_t pairs[4][2];
            aiter_swap_blocks_args s;
            aiter_copy_blocks_args a;
            aiter_tensor t = aiter_tensor_2d(cache, AITER_U8, 8, 16);
            memset(&a, 0, sizeof a);
            memset(&s, 0, sizeof s);
            for (j = 0; j < 4; j++) memcpy(pairs[j], j == at ? wrong[i] : good[j - (j > at)], 16);
            memset(cache, 1, sizeof cache);
            for (j = 0; j < 8; j++) cache[j][0] = (unsigned char)j;
            memcpy(before, cache, sizeof cache);
            memcpy(other, cache, sizeof cache);
            a.caches = &t;
            a.num_caches = 1;
            a.mapping = s.mapping = aiter_tensor_2d(pairs, AITER_I64, 4, 2);
            s.src = aiter_tensor_2d(other, AITER_U8, 8, 16);
            s.dst = t;
            CHECK(aiter_copy_blocks(&a, ctx) == AITER_INVALID_ARGUMENT, "pair %d at %d is taken",
                  (int)i, (int)at);
            CHECK(memcmp(before, cache, sizeof cache) == 0, "pair %d: written", (int)i);
            CHECK((aiter_swap_blocks(&s, ctx) == AITER_OK) == chain, "swap of pair %d at %d",
                  (int)i, (int)at);
            CHECK(chain || memcmp(before, cache, sizeof cache) == 0, "swap %d: written", (int)i);
        }
    }
}

/* A piece is as long as both caches allow: what _explain says of it. */
static void pieces(void)
{
    char text[1024] = {0};
    aiter_swap_blocks_args a;
    memset(&a, 0, sizeof a);
    a.src = aiter_tensor_4d(text, AITER_F16, 4, 16, 8, 64);
    a.dst = aiter_tensor_4d((void *)(uintptr_t)1048576, AITER_F16, 4, 16, 8, 64);
    a.src.data = (void *)(uintptr_t)8388608;
    a.mapping = aiter_tensor_2d(text, AITER_I64, 4, 2);
    CHECK(aiter_swap_blocks_explain(&a, NULL, text, sizeof text) == AITER_OK, "%s", text);
    CHECK(strstr(text, "in pieces of 16384 bytes\n"), "%s", text);
    a.src = aiter_tensor_transpose(aiter_tensor_4d(a.src.data, AITER_F16, 4, 8, 16, 64), 1, 2);
    CHECK(aiter_swap_blocks_explain(&a, NULL, text, sizeof text) == AITER_OK, "%s", text);
    CHECK(strstr(text, "in pieces of 128 bytes\n"), "%s", text);
    a.dst = aiter_tensor_transpose(aiter_tensor_4d(a.dst.data, AITER_F16, 4, 8, 16, 64), 1, 2);
    CHECK(aiter_swap_blocks_explain(&a, NULL, text, sizeof text) == AITER_OK, "%s", text);
    CHECK(strstr(text, "in pieces of 16384 bytes\n"), "%s", text);
}

int main(void)
{
    aiter_context *ctx[2] = {NULL, NULL};
    aiter_context_desc desc;
    test_rng r = {7};
    int i, rounds;
    test_begin("blocks", 1);
    memset(&desc, 0, sizeof desc);
    desc.num_threads = 3;
    CHECK(aiter_context_create(&desc, &ctx[1]) == AITER_OK, "%s", aiter_last_error());
    rounds = test_global.budget > 5e7 ? 4000 : 400;
    for (i = 0; i < rounds; i++) {
        swap_round(&r, ctx[i % 2], i);
        copy_round(&r, ctx[i % 2], i);
    }
    for (i = 0; i < 2; i++) {
        across_layers(ctx[i]);
        refused_pairs(ctx[i]);
    }
    pieces();
    aiter_context_destroy(ctx[1]);
    return test_end();
}
