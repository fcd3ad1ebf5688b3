/* device_ops.h -- reshape_and_cache and merge_attn_states on a device against the CPU's own. */
#ifndef AITER_TEST_DEVICE_OPS_H
#define AITER_TEST_DEVICE_OPS_H

#include "device_run.h"
#include "../cache_mode.h"

/* n random elements of a type. */
static inline void *random_elements(aiter_dtype dtype, int64_t n, uint64_t seed, double size)
{
    unsigned char *x = (unsigned char *)calloc((size_t)n + 1, 4);
    int64_t i;
    for (i = 0; i < n; i++) ref_store(dtype, x, i, size * rng_unit(seed * 1000003 + (uint64_t)i));
    return x;
}

static inline size_t bytes_of(aiter_dtype dtype, int64_t n)
{
    return (size_t)n * (size_t)aiter_dtype_bits(dtype) / 8;
}

/* ---- reshape_and_cache: equal bits ---- */

enum { CACHE_TOKENS = 37, CACHE_BLOCKS = 9, CACHE_PAGE = 16, CACHE_X = 8 };
enum { ORDER_NHD, ORDER_X_PACKED, ORDER_SHUFFLED, ORDER_COLUMNS, ORDERS }; /* COLUMNS: by strides */
enum { ROWS_RANDOM, ROWS_EVERY_VALUE };

typedef struct cache_case {
    aiter_dtype src, dst, slots;
    cache_mode quant; /* CACHE_MODES: scales of blocks */
    int heads, dk, dv, one_scale, order, rows;
} cache_case;

/* k, v, k_cache, v_cache, slots, k_scale, v_scale: elements and types. */
static inline void cache_sizes(const cache_case *c, int64_t n[7], aiter_dtype type[7])
{
    const int64_t rows = CACHE_BLOCKS * CACHE_PAGE * c->heads;
    const int64_t scales = c->quant == CACHE_MODES            ? CACHE_BLOCKS * c->heads
                           : c->quant == CACHE_SCALE_COMPUTED ? rows
                           : c->one_scale                     ? 1
                                                              : c->heads;
    const int odd = aiter_dtype_bits(c->dst) < 8; /* its rows take whole bytes */
    const int64_t all[7] = {CACHE_TOKENS * c->heads * c->dk,
                            CACHE_TOKENS * c->heads * c->dv,
                            rows * (c->dk + (odd & c->dk)),
                            rows * (c->dv + (odd & c->dv)),
                            CACHE_TOKENS,
                            scales,
                            scales};
    const aiter_dtype types[7] = {c->src, c->src, c->dst, c->dst, c->slots, AITER_F32, AITER_F32};
    memcpy(n, all, sizeof all);
    memcpy(type, types, sizeof types);
}

/* Pages of K or V in the order of a case. */
static inline aiter_tensor cache_pages(const cache_case *c, void *at, int value)
{
    const int64_t nb = CACHE_BLOCKS, p = CACHE_PAGE, h = c->heads, d = value ? c->dv : c->dk;
    aiter_tensor t = aiter_tensor_4d(at, c->dst, nb, p, h, d);
    if (c->order == ORDER_COLUMNS) {
        t.stride[0] = p * h * d, t.stride[1] = 1, t.stride[2] = p, t.stride[3] = p * h;
    } else if (c->order != ORDER_NHD) {
        t.ndim = 5;
        t.shape[1] = h, t.shape[2] = d / CACHE_X, t.shape[3] = p, t.shape[4] = CACHE_X;
        if (value && c->order == ORDER_SHUFFLED)
            t.shape[2] = p / CACHE_X, t.shape[3] = d;
        else if (value)
            t.ndim = 4, t.shape[2] = d, t.shape[3] = p;
    } else if (aiter_dtype_bits(c->dst) < 8) {
        const int64_t row = d + d % 2;
        t.stride[0] = p * h * row, t.stride[1] = h * row, t.stride[2] = row, t.stride[3] = 1;
    }
    return t;
}

static inline aiter_tensor cache_rows(const cache_case *c, void *at, int value)
{
    const int64_t d = value ? c->dv : c->dk;
    aiter_tensor t = aiter_tensor_3d(at, c->src, CACHE_TOKENS, c->heads, d);
    if (c->order == ORDER_COLUMNS)
        t.stride[0] = c->heads * d, t.stride[1] = 1, t.stride[2] = c->heads;
    return t;
}

static inline aiter_tensor cache_scales(const cache_case *c, void *at)
{
    if (c->quant == CACHE_MODES) return aiter_tensor_2d(at, AITER_F32, CACHE_BLOCKS, c->heads);
    if (c->quant == CACHE_SCALE_GIVEN)
        return aiter_tensor_1d(at, AITER_F32, c->one_scale ? 1 : c->heads);
    return aiter_tensor_3d(at, AITER_F32, CACHE_BLOCKS, CACHE_PAGE, c->heads);
}

static inline aiter_reshape_and_cache_args cache_args(const cache_case *c, void *const at[7])
{
    aiter_reshape_and_cache_args a;
    memset(&a, 0, sizeof a);
    a.k = cache_rows(c, at[0], 0);
    a.v = cache_rows(c, at[1], 1);
    a.kv.k = cache_pages(c, at[2], 0);
    a.kv.v = cache_pages(c, at[3], 1);
    a.kv.layout = c->order == ORDER_X_PACKED   ? AITER_KV_X_PACKED
                  : c->order == ORDER_SHUFFLED ? AITER_KV_SHUFFLED
                                               : AITER_KV_NHD;
    a.slot_mapping = aiter_tensor_1d(at[4], c->slots, CACHE_TOKENS);
    if (c->quant == CACHE_CONVERTS) return a;
    a.quantisation = cache_quantisation(c->quant);
    a.quantisation.to = c->dst;
    a.kv.k_scale = cache_scales(c, at[5]);
    a.kv.v_scale = cache_scales(c, at[6]);
    return a;
}

static inline void store_slot(void *slots, aiter_dtype type, int64_t i, int64_t slot)
{
    if (type == AITER_I64)
        ((int64_t *)slots)[i] = slot;
    else
        ((int32_t *)slots)[i] = (int32_t)slot;
}

/* Every pattern of 16 bits, from `first` on; of 32 the values of all codes of the cache, what lies
 * halfway between them, the floats beside that, and everything else at random. */
static inline void cache_every_value(const cache_case *c, void *row, int64_t n, int64_t first)
{
    int64_t i;
    for (i = 0; i < n; i++) {
        const uint8_t code[2] = {(uint8_t)(i / 8), (uint8_t)(i / 8 + 1)};
        const double low = ref_load(c->dst, code, 0), high = ref_load(c->dst, code, 1);
        const float value = (float)(i % 8 == 0 ? low : low / 2 + high / 2);
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        if (i % 8 > 5) bits = (uint32_t)test_mix((uint64_t)(first + i));
        if (i % 8 < 6) bits += (uint32_t)(i % 8 == 2) - (uint32_t)(i % 8 == 3);
        if (c->src == AITER_F32)
            ((uint32_t *)row)[i] = bits;
        else
            ((uint16_t *)row)[i] = (uint16_t)(first + i);
    }
}

/* Rows with a NaN, an infinity, nothing but zeros. */
static inline void cache_wild_rows(const cache_case *c, void *row, int64_t d)
{
    static const uint64_t wild[3] = {BITS_INF | 1, BITS_INF, BITS_NEG_INF};
    int64_t i, at;
    for (i = 4; i < CACHE_TOKENS * c->heads; i += 5)
        if (i % 4 < 3)
            ref_store(c->src, row, i * d + i % d, double_of_bits(wild[i % 4]));
        else
            for (at = 0; at < d; at++) ref_store(c->src, row, i * d + at, 0);
}

/* All tokens of one page are zeros. */
static inline void cache_zero_page(const cache_case *c, const void *slots, void *row, int64_t d)
{
    int64_t i, at;
    for (i = 0; i < CACHE_TOKENS; i++) {
        const int64_t slot =
            c->slots == AITER_I64 ? ((const int64_t *)slots)[i] : ((const int32_t *)slots)[i];
        for (at = 0; at < c->heads * d && slot >= 0 && slot / CACHE_PAGE == 2; at++)
            ref_store(c->src, row, i * c->heads * d + at, 0);
    }
}

/* What is there before: codes of every kind, scales that an append may keep. */
static inline void cache_old_values(const cache_case *c, const int64_t n[7], void *host[7])
{
    static const float old[6] = {0.05f, 1e-3f, -1.0f, 0.0f, 0.02f, 1e6f};
    int64_t i;
    int b;
    for (b = 2; b < 4; b++)
        for (i = 0; i < (int64_t)bytes_of(c->dst, n[b]); i++)
            ((uint8_t *)host[b])[i] = (uint8_t)test_mix((uint64_t)(i + b * 100003));
    for (b = 5; b < 7; b++)
        for (i = 0; i < n[b]; i++)
            ((float *)host[b])[i] =
                c->quant == CACHE_MODES ? old[(i + b) % 6] : 0.01f + 0.001f * (float)i;
    if (c->quant == CACHE_MODES) ref_store(AITER_F32, host[5], 4, double_of_bits(BITS_INF | 1));
}

/* Arrays of random rows, slots of which some are -1, and scales. */
static inline void cache_values(const cache_case *c, const int64_t n[7], const aiter_dtype type[7],
                                void *host[7])
{
    int64_t i;
    int b;
    for (b = 0; b < 7; b++)
        host[b] = random_elements(b == 4 ? AITER_F32 : type[b], n[b] * 2, 7 + b, 3);
    for (i = 0; i < CACHE_TOKENS; i++)
        store_slot(host[4], c->slots, i, i % 7 == 3 ? -1 : (i * 31) % (CACHE_BLOCKS * CACHE_PAGE));
    cache_old_values(c, n, host);
    if (c->rows == ROWS_EVERY_VALUE) {
        for (b = 0; b < 2; b++) cache_every_value(c, host[b], n[b], b ? n[0] : 0);
        return;
    }
    if (c->quant == CACHE_SCALE_GIVEN && c->src == AITER_F32) /* halves of steps, as they divide */
        for (i = 0; i < n[0]; i += 2)
            ((float *)host[0])[i] = ((float)(i % 254 - 127) + 0.5f) *
                                    ((float *)host[5])[c->one_scale ? 0 : i / c->dk % c->heads];
    for (b = 0; b < 2; b++) {
        cache_wild_rows(c, host[b], b ? c->dv : c->dk);
        cache_zero_page(c, host[4], host[b], b ? c->dv : c->dk);
    }
}

static inline void device_cache_case(const cache_case *c)
{
    void *host[7], *on_device[7];
    int64_t n[7], i;
    aiter_dtype type[7];
    int b;
    cache_sizes(c, n, type);
    cache_values(c, n, type, host);
    for (b = 0; b < 7; b++) on_device[b] = device_new(host[b], bytes_of(type[b], n[b]));
    /* What the host refuses the device skips. */
    void *wild = malloc(bytes_of(c->slots, CACHE_TOKENS));
    memcpy(wild, host[4], bytes_of(c->slots, CACHE_TOKENS));
    for (i = 3; i < CACHE_TOKENS; i += 7)
        store_slot(wild, c->slots, i,
                   i % 2   ? INT32_MIN
                   : i % 3 ? INT32_MAX
                           : CACHE_BLOCKS * CACHE_PAGE);
    driver_ok(device.call.write(on_device[4], wild, bytes_of(c->slots, CACHE_TOKENS)), "slots");
    free(wild);
    const aiter_reshape_and_cache_args a = cache_args(c, host), d = cache_args(c, on_device);
    const aiter_status status = aiter_reshape_and_cache(&d, device.ctx);
    device_wait("reshape_and_cache");
    device_note(status, "reshape_and_cache");
    CHECK(aiter_reshape_and_cache(&a, NULL) == AITER_OK, "%s", aiter_last_error());
    for (b = 0; b < 7; b++) {
        void *back = malloc(bytes_of(type[b], n[b]) + 1);
        device_read(back, on_device[b], bytes_of(type[b], n[b]));
        CHECK(b == 4 || status == AITER_NO_KERNEL ||
                  memcmp(back, host[b], bytes_of(type[b], n[b])) == 0,
              "reshape_and_cache %s to %s, order %d, quant %d, heads %d, dims %d/%d: array %d "
              "differs (%s)",
              aiter_dtype_name(c->src), aiter_dtype_name(c->dst), c->order, (int)c->quant, c->heads,
              c->dk, c->dv, b, aiter_context_error(device.ctx));
        free(back);
        free(host[b]);
        driver_ok(device.driver->memory_free(on_device[b]), "freeing");
    }
}

/* int8 by scales of every kind, heads and sizes of many. */
static inline void device_cache_int8(aiter_dtype src)
{
    cache_case c = {src, AITER_I8, AITER_I32, CACHE_CONVERTS, 3, 128, 40, 0, 0, 0};
    int q;
    for (q = 0; q < 4; q++) {
        c.quant = q < 2 ? CACHE_SCALE_GIVEN : CACHE_SCALE_COMPUTED;
        c.one_scale = q == 1;
        c.slots = q % 2 ? AITER_I64 : AITER_I32;
        for (c.heads = 1; c.heads <= 6; c.heads++) {
            c.dk = (q == 3 ? 250 : 59) + c.heads;
            device_cache_case(&c);
        }
    }
}

/* To a type: every value, every kind of scales, and in every order of the cache. */
static inline void device_cache_type(aiter_dtype src, aiter_dtype dst)
{
    const int halves = aiter_dtype_bits(dst) < 8, converts = dst != AITER_I8 && !halves;
    const int quantises = aiter_dtype_bits(dst) <= 8;
    cache_case c = {src, dst, AITER_I32, CACHE_CONVERTS, 7, 128, 128, 0, 0, ROWS_EVERY_VALUE};
    int q;
    if (converts) device_cache_case(&c);
    c.rows = ROWS_RANDOM;
    c.heads = 3;
    for (c.order = 0; c.order < (halves ? 1 : ORDERS); c.order++)
        for (q = 0; q < (quantises ? 5 : 1); q++) {
            if (q == 0 && !converts) continue;
            c.quant = q < 2 ? (cache_mode)q : (cache_mode)(q - 1);
            c.one_scale = q == 2;
            c.slots = q % 2 ? AITER_I64 : AITER_I32;
            c.dk = 72, c.dv = c.order % 3 == 0 ? 39 + q % 2 : 40; /* the others in pieces */
            device_cache_case(&c);
        }
}

static inline void device_cache_cases(void)
{
    static const aiter_dtype floats[3] = {AITER_F32, AITER_F16, AITER_BF16};
    int s, dst;
    for (s = 0; s < 3; s++) {
        device_cache_int8(floats[s]);
        for (dst = AITER_F32; dst <= AITER_I4; dst++)
            device_cache_type(floats[s], (aiter_dtype)dst);
    }
}

/* ---- merge: a few units in the last place ---- */

static inline double merge_bound(aiter_dtype type, double x)
{
    return bound_rounding(type, x) * 1.01 + 3e-6 * (fabs(x) + 1);
}

static inline void merge_compare(aiter_dtype type, const void *got, const void *want, int64_t n,
                                 const char *what)
{
    double worst = 0;
    int64_t i;
    for (i = 0; i < n; i++) {
        const double x = ref_load(type, want, i);
        const double r = error_ratio(ref_load(type, got, i), x, 2 * merge_bound(type, x));
        if (r > worst) worst = r;
    }
    CHECK(worst <= 1, "merge, %s of %s: %.3g of its bound", what, aiter_dtype_name(type), worst);
}

static inline void device_merge_case(aiter_dtype type, int b, int tokens, int heads, int dim)
{
    const int64_t rows = (int64_t)(b ? b : 1) * tokens * heads, n = rows * dim;
    const int64_t count[6] = {n, n, n, rows, rows, rows};
    void *host[6], *at[6];
    aiter_merge_attn_states_args a[2];
    int i, k, side;
    memset(a, 0, sizeof a);
    for (i = 0; i < 6; i++)
        host[i] = random_elements(i < 3 ? type : AITER_F32, count[i], 90 + i, 4);
    for (i = 0; i < rows; i++) { /* sides that saw nothing, with NaN in their place */
        if (i % 5 == 1 || i % 11 == 0)
            ref_store(AITER_F32, host[3], i, double_of_bits(i % 2 ? BITS_INF : BITS_NEG_INF));
        if (i % 7 == 2 || i % 11 == 0)
            ref_store(AITER_F32, host[4], i, double_of_bits(i % 3 ? BITS_INF : BITS_NEG_INF));
        for (side = 0; side < 2; side++) {
            const double lse = ref_load(AITER_F32, host[3 + side], i);
            /* lse is [B, H, tokens], a row stands in [B, tokens, H] */
            const int64_t at_b = i / (tokens * heads), h = i / tokens % heads, t = i % tokens;
            const int64_t row = (at_b * tokens + t) * heads + h;
            for (k = 0; k < dim && !is_finite(lse); k++)
                ref_store(type, host[side], row * dim + k, double_of_bits(BITS_INF | 1));
        }
    }
    for (i = 0; i < 6; i++)
        at[i] = device_new(host[i], bytes_of(i < 3 ? type : AITER_F32, count[i]));
    for (side = 0; side < 2; side++) {
        void *const *x = side ? at : host;
        aiter_tensor t[6];
        for (i = 0; i < 6; i++)
            t[i] = i < 3 ? b ? aiter_tensor_4d(x[i], type, b, tokens, heads, dim)
                             : aiter_tensor_3d(x[i], type, tokens, heads, dim)
                   : b ? aiter_tensor_3d(x[i], AITER_F32, b, heads, tokens)
                         : aiter_tensor_2d(x[i], AITER_F32, heads, tokens);
        a[side].out_a = t[0], a[side].out_b = t[1], a[side].out = t[2];
        a[side].lse_a = t[3], a[side].lse_b = t[4], a[side].lse = t[5];
    }
    CHECK(aiter_merge_attn_states(&a[0], NULL) == AITER_OK, "%s", aiter_last_error());
    const aiter_status status = aiter_merge_attn_states(&a[1], device.ctx);
    device_note(status, "merge_attn_states");
    device_wait("merge_attn_states");
    for (i = 2; i < 6; i += 3) {
        const aiter_dtype of = i == 2 ? type : AITER_F32;
        void *back = malloc(bytes_of(of, count[i]) + 1);
        device_read(back, at[i], bytes_of(of, count[i]));
        if (status == AITER_OK) merge_compare(of, back, host[i], count[i], i == 2 ? "out" : "lse");
        free(back);
    }
    for (i = 0; i < 6; i++) {
        free(host[i]);
        driver_ok(device.driver->memory_free(at[i]), "freeing");
    }
}

static inline void device_merge_cases(void)
{
    static const aiter_dtype floats[3] = {AITER_F32, AITER_F16, AITER_BF16};
    int i, n;
    for (i = 0; i < 3; i++) {
        device_merge_case(floats[i], 0, 33, 5, 128);
        for (n = 0; n < 11; n++)
            device_merge_case(floats[i], n % 4, 2 + 3 * n, 1 + n % 5, 5 + 12 * n);
    }
}

#endif /* AITER_TEST_DEVICE_OPS_H */
