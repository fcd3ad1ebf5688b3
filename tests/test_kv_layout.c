/* test_kv_layout.c -- a cache in another order of memory is the same cache: readers give the bits
 * that they give of NHD pages, the writer fills the same elements, and nothing else is touched. */
#include "test.h"
#include "reference.c"

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

enum { HEADS_Q = 4, HEADS_K = 2, BATCH = 2 };

/* What there is once, in any order. */
typedef struct cache {
    aiter_kv_layout layout;
    aiter_dtype type[2];
    int page, blocks, dim[2], x[2]; /* x: of K, and of V in SHUFFLED */
    int pad;                        /* elements between blocks */
    test_buffer buffer[2];
} cache;

static int64_t block_elements(const cache *c, int v)
{
    return (int64_t)HEADS_K * c->page * c->dim[v] + c->pad;
}

/* The element of (block, token, head, column), from the definitions of the layouts. */
static int64_t element_at(const cache *c, int v, int block, int t, int h, int d)
{
    const int64_t P = c->page, D = c->dim[v], x = c->x[v], start = block * block_elements(c, v);
    if (c->layout == AITER_KV_NHD) return start + (t * (int64_t)HEADS_K + h) * D + d;
    if (!v) return start + ((h * (D / x) + d / x) * P + t) * x + d % x;
    if (c->layout == AITER_KV_X_PACKED) return start + (h * D + d) * P + t;
    return start + ((h * (P / x) + t / x) * D + d) * x + t % x;
}

/* All bytes 0xff: NaN in every float, and -1. */
static void cache_new(cache *c)
{
    for (int v = 0; v < 2; v++) {
        const int64_t n = c->blocks * block_elements(c, v);
        c->buffer[v] = buffer_new((size_t)n * (size_t)aiter_dtype_bits(c->type[v]) / 8);
        memset(c->buffer[v].data, 0xff, c->buffer[v].bytes);
    }
}

static void cache_free(cache *c)
{
    for (int v = 0; v < 2; v++) {
        CHECK(buffer_guard_is_whole(&c->buffer[v]), "memory beside the cache was written");
        buffer_free(&c->buffer[v]);
    }
}

static aiter_tensor cache_tensor(const cache *c, int v)
{
    const void *data = c->buffer[v].data;
    const int P = c->page, D = c->dim[v], x = c->x[v];
    aiter_tensor t;
    if (c->layout == AITER_KV_NHD)
        t = aiter_tensor_4d(data, c->type[v], c->blocks, P, HEADS_K, D);
    else if (!v)
        t = aiter_tensor_5d(data, c->type[v], c->blocks, HEADS_K, D / x, P, x);
    else if (c->layout == AITER_KV_X_PACKED)
        t = aiter_tensor_4d(data, c->type[v], c->blocks, HEADS_K, D, P);
    else
        t = aiter_tensor_5d(data, c->type[v], c->blocks, HEADS_K, P / x, D, x);
    t = aiter_tensor_transpose(t, 0, 0); /* strides that are said */
    t.stride[0] = block_elements(c, v);
    return t;
}

static aiter_kv cache_kv(const cache *c)
{
    aiter_kv kv;
    memset(&kv, 0, sizeof kv);
    kv.layout = c->layout;
    kv.k = cache_tensor(c, 0);
    kv.v = cache_tensor(c, 1);
    return kv;
}

/* Values that the type holds, by place. */
static double value_at(aiter_dtype type, int v, int block, int t, int h, int d)
{
    const uint64_t row = (uint64_t)v << 50 ^ (uint64_t)block << 32 ^ (uint64_t)t << 16;
    const double x = rng_unit(test_mix(row ^ (uint64_t)h) + (uint64_t)d);
    return type == AITER_I8 ? x * 127 : x;
}

/* Tokens [0, used) of each block. */
static void cache_fill(cache *c, int used)
{
    for (int v = 0; v < 2; v++)
        for (int b = 0; b < c->blocks; b++)
            for (int t = 0; t < used; t++)
                for (int h = 0; h < HEADS_K; h++)
                    for (int d = 0; d < c->dim[v]; d++)
                        ref_store(c->type[v], c->buffer[v].data, element_at(c, v, b, t, h, d),
                                  value_at(c->type[v], v, b, t, h, d));
}

/* ---- readers ---- */

typedef struct reading {
    aiter_dtype type[2];
    int page, dim[2], x[2], rows, window, sinks, lists, pad;
    aiter_dtype out;
} reading;

enum { PAGES = 5 };

/* One call over pages of a layout; `used` tokens of the last one. */
static void read_cache(const reading *r, aiter_kv_layout layout, int used, aiter_context *ctx,
                       test_buffer *out)
{
    static const int32_t table[BATCH][PAGES] = {{3, 0, 6, 1, 8}, {7, 2, 9, 4, 5}};
    static const int32_t indptr[BATCH + 1] = {0, PAGES, 2 * PAGES};
    cache c = {layout,
               {r->type[0], r->type[1]},
               r->page,
               10,
               {r->dim[0], r->dim[1]},
               {r->x[0], r->x[1]},
               r->pad,
               {{0}}};
    const int32_t lens[BATCH] = {(PAGES - 1) * r->page + used, (PAGES - 1) * r->page + used};
    const int32_t last[BATCH] = {used, used};
    const float scale[1] = {0.01f};
    float q[BATCH * 24 * HEADS_Q * 128];
    aiter_flash_attn_fwd_args a;
    cache_new(&c);
    cache_fill(&c, r->page);
    for (int v = 0; v < 2; v++) /* what nobody sees is NaN */
        for (int b = 0; b < BATCH; b++)
            for (int t = used; t < r->page; t++)
                for (int h = 0; h < HEADS_K; h++)
                    for (int d = 0; d < c.dim[v]; d++)
                        if (c.type[v] != AITER_I8)
                            ref_store(c.type[v], c.buffer[v].data,
                                      element_at(&c, v, table[b][PAGES - 1], t, h, d),
                                      double_of_bits(BITS_NAN));
    for (int i = 0; i < COUNT(q); i++) q[i] = (float)rng_unit((uint64_t)i);
    memset(&a, 0, sizeof a);
    a.q = aiter_tensor_4d(q, AITER_F32, BATCH, r->rows, HEADS_Q, r->dim[0]);
    a.kv = cache_kv(&c);
    a.kv.block_table = aiter_tensor_2d(table, AITER_I32, BATCH, PAGES);
    a.kv.seq_lens = aiter_tensor_1d(lens, AITER_I32, BATCH);
    if (r->lists) {
        memset(&a.kv.block_table, 0, sizeof a.kv.block_table);
        memset(&a.kv.seq_lens, 0, sizeof a.kv.seq_lens);
        a.kv.indptr = aiter_tensor_1d(indptr, AITER_I32, BATCH + 1);
        a.kv.indices = aiter_tensor_1d(table, AITER_I32, BATCH * PAGES);
        a.kv.last_page_lens = aiter_tensor_1d(last, AITER_I32, BATCH);
    }
    if (r->type[0] == AITER_I8) a.kv.k_scale = aiter_tensor_1d(scale, AITER_F32, 1);
    if (r->type[1] == AITER_I8) a.kv.v_scale = aiter_tensor_1d(scale, AITER_F32, 1);
    a.score.mask = r->window ? AITER_MASK_WINDOW : AITER_MASK_CAUSAL;
    a.score.window_left = r->window ? r->window : 0;
    a.score.sink_tokens = r->sinks;
    a.out = aiter_tensor_4d(out->data, r->out, BATCH, r->rows, HEADS_Q, r->dim[1]);
    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "%s", aiter_last_error());
    cache_free(&c);
}

static void readings(const reading *r, aiter_context *ctx)
{
    const size_t bytes =
        (size_t)(BATCH * r->rows * HEADS_Q * r->dim[1] * aiter_dtype_bits(r->out) / 8);
    for (int used = r->page; used > 0; used -= 1 + r->page / 3) {
        test_buffer out[3];
        for (int layout = 0; layout < 3; layout++) {
            out[layout] = buffer_new(bytes);
            read_cache(r, (aiter_kv_layout)layout, used, ctx, &out[layout]);
        }
        for (int layout = 1; layout < 3; layout++)
            CHECK(memcmp(out[0].data, out[layout].data, bytes) == 0,
                  "layout %d, %s/%s, page %d, %d of the last, d %d/%d, x %d/%d, rows %d", layout,
                  aiter_dtype_name(r->type[0]), aiter_dtype_name(r->type[1]), r->page, used,
                  r->dim[0], r->dim[1], r->x[0], r->x[1], r->rows);
        for (int layout = 0; layout < 3; layout++) buffer_free(&out[layout]);
        test_global.cases++;
    }
}

/* Each type at the x of 16 bytes and at others, pages of odd sizes, one row and many. */
static void every_reading(aiter_context *ctx)
{
    static const aiter_dtype types[] = {AITER_F32,       AITER_F16,         AITER_BF16,
                                        AITER_F8_E4M3FN, AITER_F8_E4M3FNUZ, AITER_F8_E5M2,
                                        AITER_I8};
    static const int pages[][2] = {{16, 16}, {1, 1}, {6, 3}, {64, 8}, {40, 4}, {17, 17}, {32, 1}};
    static const int dims[][4] = {{128, 128, 16, 0}, {64, 96, 8, 0}, {24, 24, 4, 0},
                                  {8, 20, 8, 0},     {21, 5, 1, 0},  {48, 112, 3, 0}};
    for (int t = 0; t < COUNT(types); t++)
        for (int n = 0; n < (test_is_slow() ? 6 : 14); n++) {
            const int *page = pages[(n + t) % COUNT(pages)], *dim = dims[n % COUNT(dims)];
            const aiter_dtype other = types[(t + n / 7) % COUNT(types)];
            const int bytes = aiter_dtype_bits(types[t]) / 8, own = 16 / bytes;
            reading r = {{types[t], other},
                         page[0],
                         {dim[0], dim[1]},
                         {dim[2], page[1]},
                         n % 3 == 2 ? 19 : 1 + n % 3,
                         0,
                         0,
                         n % 2,
                         n % 4 == 3 ? 5 : 0,
                         AITER_F32};
            if (n % 2 == 0 && dim[0] % own == 0) r.x[0] = own;
            if (n % 5 == 4) r.window = page[0] + 3, r.sinks = n % 2 ? 3 : 0;
            if (n % 6 == 5) r.out = AITER_BF16;
            readings(&r, ctx);
        }
}

/* ---- the writer ---- */

typedef struct writing {
    aiter_dtype type;
    int page, dim[2], x[2], tokens, computes;
} writing;

static void write_cache(const writing *w, cache *c, aiter_context *ctx, float *scales[2])
{
    enum { MOST = 40 };
    static float rows[2][MOST * HEADS_K * 128];
    int64_t slots[MOST];
    aiter_reshape_and_cache_args a;
    for (int i = 0; i < w->tokens; i++) slots[i] = i % 7 == 6 ? -1 : (i * 5 + 3) % (w->page * 4);
    for (int i = 0; i < w->tokens; i++)
        for (int j = 0; j < i; j++)
            if (slots[j] == slots[i]) slots[i] = -1;
    for (int v = 0; v < 2; v++)
        for (int i = 0; i < w->tokens * HEADS_K * w->dim[v]; i++)
            rows[v][i] = (float)rng_unit((uint64_t)(i * 2 + v));
    memset(&a, 0, sizeof a);
    a.k = aiter_tensor_3d(rows[0], AITER_F32, w->tokens, HEADS_K, w->dim[0]);
    a.v = aiter_tensor_3d(rows[1], AITER_F32, w->tokens, HEADS_K, w->dim[1]);
    a.kv = cache_kv(c);
    a.slot_mapping = aiter_tensor_1d(slots, AITER_I64, w->tokens);
    if (w->computes) {
        a.quantisation.to = w->type;
        a.kv.k_scale = aiter_tensor_3d(scales[0], AITER_F32, c->blocks, w->page, HEADS_K);
        a.kv.v_scale = aiter_tensor_3d(scales[1], AITER_F32, c->blocks, w->page, HEADS_K);
    }
    CHECK(aiter_reshape_and_cache(&a, ctx) == AITER_OK, "%s", aiter_last_error());
}

static void writings(const writing *w, aiter_context *ctx)
{
    const size_t size = (size_t)aiter_dtype_bits(w->type) / 8;
    float *scales[3][2];
    cache c[3];
    int64_t bad = 0;
    for (int layout = 0; layout < 3; layout++) {
        cache one = {(aiter_kv_layout)layout, {w->type, w->type}, w->page, 4,
                     {w->dim[0], w->dim[1]},  {w->x[0], w->x[1]}, 3,       {{0}}};
        c[layout] = one;
        cache_new(&c[layout]);
        for (int v = 0; v < 2; v++)
            scales[layout][v] = (float *)calloc((size_t)(4 * w->page * HEADS_K), sizeof(float));
        write_cache(w, &c[layout], ctx, scales[layout]);
        for (int v = 0; v < 2; v++) {
            size_t others = c[layout].buffer[v].bytes;
            bad += memcmp(scales[layout][v], scales[0][v],
                          (size_t)(4 * w->page * HEADS_K) * sizeof(float)) != 0;
            for (int b = 0; b < 4; b++)
                for (int t = 0; t < w->page; t++)
                    for (int h = 0; h < HEADS_K; h++)
                        for (int d = 0; d < w->dim[v]; d++, others -= size)
                            bad += memcmp(c[layout].buffer[v].data +
                                              (size_t)element_at(&c[layout], v, b, t, h, d) * size,
                                          c[0].buffer[v].data +
                                              (size_t)element_at(&c[0], v, b, t, h, d) * size,
                                          size) != 0;
            CHECK(others == 4 * 3 * size, "elements of layout %d", layout);
            for (int b = 0; b < 4; b++)
                for (size_t i = 0; i < 3 * size; i++)
                    bad +=
                        c[layout]
                            .buffer[v]
                            .data[((size_t)(b + 1) * (size_t)block_elements(&c[layout], v)) * size -
                                  1 - i] != 0xff;
        }
    }
    CHECK(bad == 0, "%s page %d d %d/%d x %d/%d: %d differ", aiter_dtype_name(w->type), w->page,
          w->dim[0], w->dim[1], w->x[0], w->x[1], (int)bad);
    for (int layout = 0; layout < 3; layout++) {
        for (int v = 0; v < 2; v++) free(scales[layout][v]);
        cache_free(&c[layout]);
    }
    test_global.cases++;
}

static void every_writing(aiter_context *ctx)
{
    static const writing list[] = {{AITER_F16, 16, {128, 128}, {8, 8}, 33, 0},
                                   {AITER_BF16, 16, {64, 80}, {8, 8}, 20, 0},
                                   {AITER_F32, 8, {24, 20}, {4, 4}, 17, 0},
                                   {AITER_I8, 32, {64, 48}, {16, 16}, 40, 1},
                                   {AITER_F8_E4M3FN, 16, {32, 32}, {16, 16}, 9, 1},
                                   {AITER_F8_E5M2, 6, {12, 5}, {3, 2}, 11, 0},
                                   {AITER_I8, 5, {7, 9}, {1, 5}, 12, 1},
                                   {AITER_F16, 1, {8, 8}, {8, 1}, 3, 0},
                                   {AITER_F8_E4M3FNUZ, 64, {48, 112}, {16, 16}, 40, 1}};
    for (int n = 0; n < COUNT(list); n++) writings(&list[n], ctx);
}

/* ---- refusals ---- */

static int refused(const aiter_flash_attn_fwd_args *a, aiter_context *ctx, aiter_status status,
                   const char *words)
{
    return aiter_flash_attn_fwd(a, ctx) == status && strstr(aiter_last_error(), words);
}

static void refusals(aiter_context *ctx)
{
    cache c = {AITER_KV_SHUFFLED, {AITER_F16, AITER_F16}, 16, 2, {16, 16}, {8, 8}, 0, {{0}}};
    static const int32_t table[1] = {1}, lens[1] = {16};
    float q[HEADS_Q * 16], out[HEADS_Q * 16];
    aiter_flash_attn_fwd_args good, a;
    cache_new(&c);
    cache_fill(&c, 16);
    memset(q, 0, sizeof q);
    memset(&good, 0, sizeof good);
    good.q = aiter_tensor_4d(q, AITER_F32, 1, 1, HEADS_Q, 16);
    good.out = aiter_tensor_4d(out, AITER_F32, 1, 1, HEADS_Q, 16);
    good.kv = cache_kv(&c);
    good.kv.block_table = aiter_tensor_2d(table, AITER_I32, 1, 1);
    good.kv.seq_lens = aiter_tensor_1d(lens, AITER_I32, 1);
#define REFUSED(change, status, words)                                               \
    do {                                                                             \
        a = good;                                                                    \
        change;                                                                      \
        CHECK(refused(&a, ctx, status, words), "%s: %s", words, aiter_last_error()); \
    } while (0)
    CHECK(aiter_flash_attn_fwd(&good, ctx) == AITER_OK, "%s", aiter_last_error());
    REFUSED(a.kv.layout = AITER_KV_LAYOUT_COUNT, AITER_INVALID_ARGUMENT, "kv.layout: 3 is no");
    REFUSED(a.kv.layout = (aiter_kv_layout)-1, AITER_INVALID_ARGUMENT, "kv.layout: -1 is no");
    REFUSED(a.kv.layout = AITER_KV_NHD, AITER_INVALID_ARGUMENT, "kv.k: ndim is 5");
    REFUSED(a.kv.layout = AITER_KV_X_PACKED, AITER_INVALID_ARGUMENT, "kv.v: ndim is 5");
    REFUSED(a.kv.block_table.ndim = a.kv.seq_lens.ndim = 0, AITER_INVALID_ARGUMENT,
            "kv.layout: expected AITER_KV_NHD");
    REFUSED(a.kv.v.ndim = 0; a.kv.dim_v = 16, AITER_INVALID_ARGUMENT, "kv.v: expected pages");
    REFUSED(a.kv.k.ndim = 4, AITER_INVALID_ARGUMENT, "kv.k: ndim is 4");
    REFUSED(a.kv.k.ndim = INT32_MIN, AITER_INVALID_ARGUMENT, "kv.k: ndim is -2147483648");
    REFUSED(a.kv.v.ndim = INT32_MIN, AITER_INVALID_ARGUMENT, "kv.v: ndim is -2147483648");
    REFUSED(a.kv.k.shape[2] = 1, AITER_INVALID_ARGUMENT, "kv.k: shape[3] is 8, expected 16");
    REFUSED(a.kv.k.shape[2] = 0, AITER_INVALID_ARGUMENT, "kv.k: shape[2]");
    REFUSED(a.kv.v.shape[2] = 1, AITER_INVALID_ARGUMENT, "kv.v: shape[1] is 8, expected 16");
    REFUSED(a.kv.v.shape[1] = 1, AITER_INVALID_ARGUMENT, "kv.v: shape[2] is 1, expected 2");
    REFUSED(a.kv.v.shape[2] = 0;
            a.kv.v.dtype = AITER_I4, AITER_UNSUPPORTED,
            "kv.v: dtype is i4, expected one of whole bytes"); /* 16 tokens have no 32 */
    REFUSED(a.kv.k.stride[4] = 2, AITER_INVALID_ARGUMENT, "kv.k: stride[4] is 2, expected 1");
    REFUSED(a.kv.v.stride[4] = 3, AITER_INVALID_ARGUMENT, "kv.v: stride[4] is 3, expected 1");
    REFUSED(a.kv.k.dtype = AITER_I32, AITER_INVALID_ARGUMENT, "kv.k: dtype is i32");
    REFUSED(a.out.data = a.kv.v.data, AITER_INVALID_ARGUMENT, "kv.v");
    /* The last byte of the keys, which their view as NHD does not reach. */
    REFUSED(a.lse = aiter_tensor_3d(c.buffer[0].data + c.buffer[0].bytes - 4 * HEADS_Q, AITER_F32,
                                    1, HEADS_Q, 1),
            AITER_INVALID_ARGUMENT, "lse");
#undef REFUSED
    cache_free(&c);
}

int main(void)
{
    aiter_isa tiers[AITER_ISA_COUNT];
    test_begin("kv_layout", 1e9);
    const int n = test_tiers(tiers);
    for (int i = 0; i < n; i++) {
        aiter_context *ctx = test_context(tiers[i], 1 + i % 2);
        every_reading(ctx);
        every_writing(ctx);
        refusals(ctx);
        aiter_context_destroy(ctx);
    }
    return test_end();
}
