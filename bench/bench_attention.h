/* bench_attention.h -- K/V data in every layout, in several sets so that no cache serves them, and
 * a check of a few output rows against fp64: a fast wrong kernel must not look good. */
#ifndef BENCH_ATTENTION_H
#define BENCH_ATTENTION_H

#include "bench.h"

/* Head-major: each head's keys side by side. Token-major: all heads of a token side by side. */
typedef enum kv_layout { KV_HEAD_MAJOR, KV_TOKEN_MAJOR, KV_PAGED } kv_layout;

/* `sets` copies of K and V for `tokens` tokens (all sequences together). */
typedef struct kv_store {
    aiter_dtype dtype;
    kv_layout layout;
    int64_t batch, tokens, heads, dim, page; /* page: KV_PAGED only */
    int64_t sets;
    char *k, *v;
    float *k_scale, *v_scale; /* I8, I4: one per token and head */
    int32_t *table;           /* KV_PAGED: the same shuffled blocks in every set */
    int64_t dim_v;            /* latent rows: V is so many columns of K; 0: V of its own */
} kv_store;

/* Whether each token and head has a scale. */
static int kv_is_scaled(aiter_dtype type) { return type == AITER_I8 || type == AITER_I4; }

static int64_t kv_row_count(const kv_store *s) { return s->tokens * s->heads; }

/* Bytes of K and V that one call must read, scales included. */
static double kv_bytes(const kv_store *s)
{
    double width =
        (double)s->dim * aiter_dtype_bits(s->dtype) / 8 + (kv_is_scaled(s->dtype) ? 4 : 0);
    return (s->dim_v ? 1.0 : 2.0) * width * (double)kv_row_count(s);
}

static void kv_fill_scales(float *scale, int64_t count, int32_t period, aiter_dtype type)
{
    const float unit = type == AITER_I4 ? 4.1f : 74.0f;
    for (int64_t i = 0; i < count; i++) scale[i] = (1.0f + 0.1f * (float)(i % period)) / unit;
}

static void kv_shuffle(int32_t *table, int64_t count)
{
    uint32_t seed = 12345;
    for (int64_t i = 0; i < count; i++) table[i] = (int32_t)i;
    for (int64_t i = count - 1; i > 0; i--) {
        seed = seed * 1664525u + 1013904223u;
        int64_t j = (int64_t)(seed >> 8) % (i + 1);
        int32_t swap = table[i];
        table[i] = table[j];
        table[j] = swap;
    }
}

/* Allocates and fills. cold_bytes: so much data, or more, before a set comes again. */
static void kv_start(kv_store *s, double cold_bytes)
{
    s->sets = 1 + (int64_t)(cold_bytes / kv_bytes(s));
    if (cold_bytes == 0) s->sets = 1;
    int64_t rows = s->sets * kv_row_count(s), count = rows * s->dim;
    size_t bytes = (size_t)count * (size_t)aiter_dtype_bits(s->dtype) / 8;
    s->k = (char *)bench_alloc(bytes);
    s->v = s->dim_v ? s->k : (char *)bench_alloc(bytes);
    bench_fill(s->k, s->dtype, count, 1);
    if (!s->dim_v) bench_fill(s->v, s->dtype, count, 2);
    s->k_scale = s->v_scale = NULL;
    s->table = NULL;
    if (kv_is_scaled(s->dtype)) {
        s->k_scale = (float *)bench_alloc((size_t)rows * sizeof(float));
        s->v_scale = (float *)bench_alloc((size_t)rows * sizeof(float));
        kv_fill_scales(s->k_scale, rows, 7, s->dtype);
        kv_fill_scales(s->v_scale, rows, 5, s->dtype);
    }
    if (s->layout == KV_PAGED) {
        s->table = (int32_t *)bench_alloc((size_t)(s->tokens / s->page) * sizeof(int32_t));
        kv_shuffle(s->table, s->tokens / s->page);
    }
}

static void kv_stop(kv_store *s)
{
    free(s->k);
    if (!s->dim_v) free(s->v);
    free(s->k_scale);
    free(s->v_scale);
    free(s->table);
}

/* [n0, n1, heads, width] with explicit strides for a store's layout; width 0: the scales. */
static aiter_tensor kv_view(const kv_store *s, const void *data, aiter_dtype dtype, int64_t width)
{
    int64_t w = width ? width : 1, length = s->tokens / s->batch;
    aiter_tensor t = aiter_tensor_4d(data, dtype, s->batch, length, s->heads, w);
    if (s->layout == KV_PAGED) t.shape[0] = s->tokens / s->page, t.shape[1] = s->page;
    int major = s->layout == KV_HEAD_MAJOR;
    t.stride[0] = t.shape[1] * s->heads * w;
    t.stride[1] = major ? w : s->heads * w;
    t.stride[2] = major ? t.shape[1] * w : w;
    t.stride[3] = 1;
    if (!width) t.ndim = 3;
    return t;
}

/* The tensors of one set. */
static void kv_tensors(const kv_store *s, int64_t set, aiter_tensor *k, aiter_tensor *v,
                       aiter_tensor *k_scale, aiter_tensor *v_scale)
{
    int64_t rows = set * kv_row_count(s);
    size_t bytes = (size_t)(rows * s->dim) * (size_t)aiter_dtype_bits(s->dtype) / 8;
    *k = kv_view(s, s->k + bytes, s->dtype, s->dim);
    *v = kv_view(s, s->v + bytes, s->dtype, s->dim);
    if (!kv_is_scaled(s->dtype)) return;
    *k_scale = kv_view(s, s->k_scale + rows, AITER_F32, 0);
    *v_scale = kv_view(s, s->v_scale + rows, AITER_F32, 0);
}

/* A batch of attention problems over one set of a store, as the check sees it. q and out are f32
 * [rows, heads_q, dim]; sequence b owns rows first_q[b] up to first_q[b + 1]. Its keys start at
 * first_k[b] of a dense store of one packed batch row, or of its own batch row (first_k NULL). */
typedef struct attention_check {
    const kv_store *kv;
    const float *q, *out;
    int64_t heads_q, batch;
    const int32_t *first_q, *first_k, *len_k;
    int causal;
} attention_check;

/* Where key j of sequence b lies, in rows of the store. */
static int64_t key_row(const attention_check *c, int64_t b, int64_t j, int64_t head)
{
    const kv_store *s = c->kv;
    int64_t length = s->tokens / s->batch, row = j;
    if (s->layout == KV_PAGED) {
        int64_t blocks = s->tokens / s->page / c->batch;
        row = s->table[b * blocks + j / s->page] * s->page + j % s->page;
    } else {
        row += c->first_k ? c->first_k[b] : b * length;
    }
    if (s->layout != KV_HEAD_MAJOR) return row * s->heads + head;
    return (row / length * s->heads + head) * length + row % length;
}

static double key_value(const kv_store *s, const char *data, const float *scale, int64_t row,
                        int64_t d)
{
    double stored = aiter_load_element(s->dtype, data, row * s->dim + d);
    return scale ? stored * scale[row] : stored;
}

/* Worst difference of one output row from fp64 attention. */
static double row_error(const attention_check *c, int64_t b, int64_t i, int64_t h)
{
    const kv_store *s = c->kv;
    int64_t len_q = c->first_q[b + 1] - c->first_q[b], head = h / (c->heads_q / s->heads);
    int64_t keys = c->causal ? i + c->len_k[b] - len_q + 1 : c->len_k[b];
    int64_t at = (c->first_q[b] + i) * c->heads_q + h, width = s->dim_v ? s->dim_v : s->dim;
    double *p = (double *)bench_alloc((size_t)keys * sizeof(double));
    double highest = -INFINITY, sum = 0, worst = 0;
    for (int64_t j = 0; j < keys; j++) {
        int64_t row = key_row(c, b, j, head);
        double dot = 0;
        for (int64_t d = 0; d < s->dim; d++) {
            dot += c->q[at * s->dim + d] * key_value(s, s->k, s->k_scale, row, d);
        }
        p[j] = dot / sqrt((double)s->dim);
        highest = fmax(highest, p[j]);
    }
    for (int64_t j = 0; j < keys; j++) sum += p[j] = exp(p[j] - highest);
    for (int64_t d = 0; d < width; d++) {
        double expected = 0;
        for (int64_t j = 0; j < keys; j++) {
            expected += p[j] / sum * key_value(s, s->v, s->v_scale, key_row(c, b, j, head), d);
        }
        worst = bench_worse(worst, fabs(expected - c->out[at * width + d]));
    }
    free(p);
    return worst;
}

/* The worst of eight rows spread over sequences, positions and heads; the last row always. */
static double attention_error(const attention_check *c)
{
    double worst = 0;
    for (int64_t n = 0; n < 8; n++) {
        int64_t b = (n * 5 + c->batch - 1) % c->batch;
        int64_t len_q = c->first_q[b + 1] - c->first_q[b];
        int64_t i = n == 0 ? len_q - 1 : n * 7919 % len_q;
        worst = bench_worse(worst, row_error(c, b, i, (n * 13 + 3) % c->heads_q));
    }
    return worst;
}

#endif /* BENCH_ATTENTION_H */
