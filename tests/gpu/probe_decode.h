/* probe_decode.h -- cases of paged_decode, alone or followed by combine, against the softmax of
 * each row by definition in fp64.
 *
 * The bound, u being half a unit of the type and A the mean of |v| by the true weights:
 *     score    e = 2^-19 (1 + largest sum of |q k| scale): f32 sums, tensor cores may truncate
 *     out      (2 e + u) A for the weights and their rounding, u |out| for the result, and where
 *              weights are subnormal f16 numbers 2^-25 of each value
 *     lse      e + 2^-20 (1 + |lse|) */
#ifndef PROBE_DECODE_H
#define PROBE_DECODE_H

#include "probe_modules.h"

enum { MASK_NONE = 1, MASK_CAUSAL, MASK_TOP_LEFT, MASK_WINDOW }; /* aiter_mask */
enum { PLAIN = 0, INT8_ROW = 1, INT8_HEAD = 2, INT8_ONE = 3 };
enum { MAX_BATCH = 4, MAX_LENGTH = 2048, MAX_DIM = 256 };

typedef struct decode_case {
    const char *name;
    int page, splits, group, heads_k, tokens, longest, dim, dim_v; /* page: keys */
    int cache;                                                     /* PLAIN or how int8 is scaled */
    int mask, left, right, sink_tokens;
    int holes, odd; /* every so many pages one is unmapped; odd: strides of odd numbers */
    float softcap;
    int alibi, sinks, poison; /* poison: NaN in values that some rows do not see */
} decode_case;

static const decode_case decode_cases[] = {
    {"plain", 16, 1, 4, 2, 1, 300, 128, 128, 0, MASK_CAUSAL},
    {"one key", 16, 1, 1, 1, 1, 1, 128, 128, 0, MASK_CAUSAL},
    {"pages of 1", 1, 1, 8, 2, 1, 333, 128, 128, 0, MASK_CAUSAL},
    {"pages of 64", 64, 1, 4, 3, 1, 700, 128, 128, 0, MASK_CAUSAL},
    {"pages of 5", 5, 1, 2, 2, 1, 260, 128, 128, 0, MASK_NONE},
    {"split in 3", 16, 3, 4, 2, 1, 900, 128, 128, 0, MASK_CAUSAL},
    {"split in 3, pages of 1", 1, 3, 4, 2, 2, 900, 128, 128, 0, MASK_CAUSAL},
    {"4 new tokens", 16, 1, 4, 2, 4, 300, 128, 128, 0, MASK_CAUSAL},
    {"4 new tokens, split", 64, 3, 4, 2, 4, 900, 128, 128, 0, MASK_CAUSAL},
    {"more rows than one tile", 16, 3, 12, 1, 5, 500, 128, 128, 0, MASK_CAUSAL},
    {"top left", 16, 1, 2, 2, 4, 100, 128, 128, 0, MASK_TOP_LEFT},
    {"window", 16, 1, 4, 2, 3, 500, 128, 128, 0, MASK_WINDOW, 60, 0},
    {"window and sink prefix, split", 16, 3, 4, 2, 4, 900, 128, 128, 0, MASK_WINDOW, 70, 0, 37},
    {"window, both sides", 1, 1, 4, 2, 6, 200, 128, 128, 0, MASK_WINDOW, 20, 2},
    {"unmapped pages", 16, 1, 4, 2, 1, 400, 128, 128, 0, MASK_CAUSAL, 0, 0, 0, 3},
    {"unmapped pages, split", 1, 3, 4, 2, 2, 400, 128, 128, 0, MASK_CAUSAL, 0, 0, 0, 2},
    {"int8, row scales", 16, 1, 4, 2, 1, 400, 128, 128, INT8_ROW, MASK_CAUSAL},
    {"int8, row scales, split", 1, 3, 8, 2, 4, 900, 128, 128, INT8_ROW, MASK_CAUSAL},
    {"int8, head scales", 64, 1, 4, 2, 2, 400, 128, 128, INT8_HEAD, MASK_CAUSAL},
    {"int8, one scale, holes", 16, 3, 4, 2, 1, 700, 96, 64, INT8_ONE, MASK_CAUSAL, 0, 0, 0, 4},
    {"softcap", 16, 1, 4, 2, 2, 300, 128, 128, 0, MASK_CAUSAL, 0, 0, 0, 0, 0, 3.0f},
    {"ALiBi", 16, 3, 4, 2, 2, 400, 128, 128, 0, MASK_CAUSAL, 0, 0, 0, 0, 0, 0, 1},
    {"learned sinks", 16, 1, 4, 2, 2, 100, 128, 128, 0, MASK_CAUSAL, 0, 0, 0, 0, 0, 0, 0, 1},
    {"learned sinks, split", 16, 3, 4, 2, 2, 700, 128, 128, 0, MASK_CAUSAL, 0, 0, 0, 0, 0, 0, 0, 1},
    {"D 64", 16, 1, 4, 2, 1, 300, 64, 64, 0, MASK_CAUSAL},
    {"D 40 and 80", 16, 3, 4, 2, 1, 500, 40, 80, 0, MASK_CAUSAL},
    {"D 1", 16, 1, 4, 2, 1, 100, 1, 1, 0, MASK_CAUSAL},
    {"D 256", 16, 1, 4, 2, 2, 300, 256, 256, 0, MASK_CAUSAL},
    {"D 192 and 128, split", 16, 3, 16, 1, 1, 900, 192, 128, 0, MASK_CAUSAL},
    {"D 256, int8", 16, 3, 4, 2, 3, 500, 256, 256, INT8_ROW, MASK_CAUSAL},
    {"odd strides", 16, 3, 4, 2, 2, 500, 128, 128, 0, MASK_CAUSAL, 0, 0, 0, 0, 1},
    {"odd strides, D 100 and 36", 1, 1, 4, 2, 2, 200, 100, 36, 0, MASK_CAUSAL, 0, 0, 0, 0, 1},
    {"odd strides, int8", 16, 1, 4, 2, 2, 200, 60, 128, INT8_ROW, MASK_CAUSAL, 0, 0, 0, 0, 1},
    {"all at once", 8, 3, 4, 2, 4, 700, 80, 72, INT8_ROW, MASK_WINDOW, 200, 1, 9, 5, 0, 9.0f, 1, 1},
    {"NaN in hidden values",
     16,
     1,
     4,
     2,
     4,
     300,
     128,
     128,
     0,
     MASK_WINDOW,
     40,
     0,
     3,
     0,
     0,
     0,
     0,
     0,
     1},
};
enum { DECODE_CASES = sizeof decode_cases / sizeof *decode_cases };

typedef struct decode_run {
    const decode_case *c;
    number type, cache;
    int lengths[MAX_BATCH], entries, blocks, heads_q, dim_class;
    const int32_t *table;
    buffer *q, *source[2], *scales[2], *out, *lse, *alibi, *sinks, *o, *ml;
    aiteri_gpu_attention a;
} decode_run;

/* Which block holds key j of sequence b, or -1. */
static int decode_block(const decode_run *r, int b, int j)
{
    const int id = r->table[b * (r->entries + 1) + j / r->c->page];
    return id < 0 || id >= r->blocks ? -1 : id;
}

static int decode_visible(const decode_case *c, int keys, int t, int j)
{
    const int at = t + keys - c->tokens;
    switch (c->mask) {
    case MASK_CAUSAL: return j <= at;
    case MASK_TOP_LEFT: return j <= t;
    case MASK_WINDOW: return j <= at + c->right && (j >= at - c->left || j < c->sink_tokens);
    default: return 1;
    }
}

static void decode_pages(decode_run *r)
{
    const decode_case *c = r->c;
    const int per_row = (c->longest + c->page - 1) / c->page;
    r->entries = per_row + 2;
    r->blocks = per_row * MAX_BATCH + 3;
    buffer *lengths = buffer_new(MAX_BATCH * 2, 4);
    buffer *table = buffer_new((int64_t)MAX_BATCH * (r->entries + 1), 4);
    int32_t *id = (int32_t *)table->host;
    for (int b = 0; b < MAX_BATCH; b++) {
        r->lengths[b] = b == 3 ? 0 : b == 2 ? c->tokens / 2 + 1 : c->longest - c->longest / 3 * b;
        ((int32_t *)lengths->host)[b * 2] = r->lengths[b];
        for (int e = 0; e < per_row; e++) {
            int32_t *at = &id[b * (r->entries + 1) + e];
            *at = r->blocks - 1 - (e * MAX_BATCH + b);
            if (c->holes && (e + b) % c->holes == 1) *at = e % 2 ? -1 : r->blocks + 5;
        }
    }
    r->table = id;
    r->a.pages.table = buffer_send(table);
    r->a.pages.stride_batch = r->entries + 1;
    r->a.pages.stride_entry = 1;
    r->a.pages.page_size = c->page;
    r->a.pages.num_blocks = r->blocks;
    r->a.pages.entries = r->entries;
    r->a.k_lengths.used = buffer_send(lengths);
    r->a.k_lengths.used_stride = 2;
    r->a.k_lengths.most = c->longest;
    r->a.q_lengths.seqlen = r->a.q_lengths.most = c->tokens;
}

static int64_t element_at(const decode_run *r, const aiteri_gpu_source *s, int b, int h, int j)
{
    return (int64_t)decode_block(r, b, j) * s->stride_outer + j % r->c->page * s->stride_token +
           h * s->stride_head;
}
static double scale_at(const decode_run *r, const aiteri_gpu_source *s, const buffer *scales, int b,
                       int h, int j)
{
    if (r->cache != I8) return 1;
    return get(scales->host, F32,
               decode_block(r, b, j) * s->scale_stride_outer +
                   j % r->c->page * s->scale_stride_token + h * s->scale_stride_head);
}

/* Everything is NaN, or a wild number with a NaN scale, but the rows that sequences have. */
static void decode_source(decode_run *r, int i, int dim)
{
    const decode_case *c = r->c;
    aiteri_gpu_source *s = i ? &r->a.v : &r->a.k;
    s->stride_head = dim + (c->odd ? 3 : 0);
    s->stride_dim = 1;
    s->stride_token = s->stride_head * c->heads_k + (c->odd ? 1 : 0);
    s->stride_outer = s->stride_token * c->page + (c->odd ? 5 : 0);
    r->source[i] = buffer_new(s->stride_outer * r->blocks, type_bytes[r->cache]);
    r->scales[i] = buffer_new((int64_t)r->blocks * c->page * c->heads_k, 4);
    s->scale_stride_head = c->cache == INT8_ONE ? 0 : 1;
    s->scale_stride_token = c->cache == INT8_ROW ? c->heads_k : 0;
    s->scale_stride_outer = s->scale_stride_token * c->page;
    for (int b = 0; b < MAX_BATCH; b++)
        for (int h = 0; h < c->heads_k; h++)
            for (int j = 0; j < r->lengths[b]; j++) {
                if (decode_block(r, b, j) < 0) continue;
                const int64_t at = element_at(r, s, b, h, j);
                const double size = r->cache == I8 ? 127.4 : 1;
                for (int d = 0; d < dim; d++)
                    put(r->source[i]->host, r->cache, at + d, random_unit() * size);
                if (c->poison && i == 1 && j % 5 == 1)
                    put(r->source[1]->host, F16, at + j % dim, 0),
                        ((uint16_t *)r->source[1]->host)[at + j % dim] = 0x7fff;
                if (r->cache != I8) continue;
                const double scale =
                    (i ? 0.002 : 0.01) * (1.5 + (c->cache == INT8_ROW ? random_unit() : 0.2 * h));
                put(r->scales[i]->host, F32,
                    decode_block(r, b, j) * s->scale_stride_outer +
                        j % c->page * s->scale_stride_token + h * s->scale_stride_head,
                    c->cache == INT8_ONE ? 0.008 : scale);
            }
    s->data = buffer_send(r->source[i]);
    if (r->cache == I8) s->scales = buffer_send(r->scales[i]);
}

static aiteri_gpu_rows decode_rows(const decode_run *r, buffer **b, int dim)
{
    aiteri_gpu_rows x;
    x.stride_head = dim + (r->c->odd ? 1 : 0);
    x.stride_token = x.stride_head * r->heads_q;
    x.stride_batch = x.stride_token * r->c->tokens + (r->c->odd ? 3 : 8);
    *b = buffer_new(x.stride_batch * MAX_BATCH, 2);
    x.data = (*b)->device;
    return x;
}

static void decode_scores(decode_run *r)
{
    const decode_case *c = r->c;
    aiteri_gpu_score *s = &r->a.score;
    s->softmax_scale = (float)(1 / sqrt(c->dim));
    s->softcap = c->softcap;
    r->alibi = buffer_new(r->heads_q, 4);
    r->sinks = buffer_new(r->heads_q, 4);
    for (int h = 0; h < r->heads_q; h++) {
        put(r->alibi->host, F32, h, ldexp(1, -h - 2));
        put(r->sinks->host, F32, h, 2 * random_unit());
    }
    if (c->alibi) s->alibi = buffer_send(r->alibi), s->alibi_stride_head = 1;
    if (c->sinks) s->sinks = buffer_send(r->sinks), s->sinks_stride = 1;
}

static void decode_make(decode_run *r, const instance *k)
{
    const decode_case *c = r->c;
    aiteri_gpu_attention *a = &r->a;
    decode_pages(r);
    decode_source(r, 0, c->dim);
    decode_source(r, 1, c->dim_v);
    a->q = decode_rows(r, &r->q, c->dim);
    a->out = decode_rows(r, &r->out, c->dim_v);
    for (int64_t i = 0; i < a->q.stride_batch * MAX_BATCH; i++)
        put(r->q->host, r->type, i, 3 * random_unit());
    buffer_send(r->q), buffer_send(r->out);
    r->lse = buffer_new((int64_t)MAX_BATCH * r->heads_q * c->tokens, 4);
    a->lse = buffer_send(r->lse);
    a->lse_stride_token = 1;
    a->lse_stride_head = c->tokens;
    a->lse_stride_batch = (int64_t)r->heads_q * c->tokens;
    a->mask.mask = c->mask;
    a->mask.window_left = c->left, a->mask.window_right = c->right;
    a->mask.sink_tokens = c->sink_tokens;
    decode_scores(r);
    a->batch = MAX_BATCH;
    a->heads_q = r->heads_q, a->heads_k = c->heads_k, a->group = c->group;
    a->dim_q = c->dim, a->dim_v = c->dim_v;
    const int parts = (c->group + k->rows - 1) / k->rows; /* of a group's heads */
    const int tokens = k->rows > c->group ? k->rows / c->group : 1;
    a->tiles = parts * ((c->tokens + tokens - 1) / tokens);
    a->xcds = 1;
    a->split.count = c->splits;
    a->split.rows = (int64_t)MAX_BATCH * r->heads_q * c->tokens;
    a->split.split_keys =
        ((c->longest + c->splits - 1) / c->splits + k->keys - 1) / k->keys * k->keys;
    r->o = buffer_new(c->splits * a->split.rows * c->dim_v, 4);
    r->ml = buffer_new(c->splits * a->split.rows * 2, 4);
    a->split.o = buffer_send(r->o), a->split.ml = buffer_send(r->ml);
}

/* The scores of one row, -INFINITY where a key is hidden; returns the score bound. */
static double decode_expect_scores(const decode_run *r, int b, int h, int t, double *score)
{
    const decode_case *c = r->c;
    const int keys = r->lengths[b];
    const int64_t q = b * r->a.q.stride_batch + t * r->a.q.stride_token + h * r->a.q.stride_head;
    double most = 0;
    for (int j = 0; j < keys; j++) {
        double dot = 0, size = 0;
        score[j] = -INFINITY;
        if (decode_block(r, b, j) < 0 || !decode_visible(c, keys, t, j)) continue;
        const int64_t at = element_at(r, &r->a.k, b, h / c->group, j);
        const double scale =
            scale_at(r, &r->a.k, r->scales[0], b, h / c->group, j) * r->a.score.softmax_scale;
        for (int d = 0; d < c->dim; d++) {
            const double x =
                get(r->q->host, r->type, q + d) * get(r->source[0]->host, r->cache, at + d);
            dot += x * scale;
            size += fabs(x * scale);
        }
        if (c->softcap > 0) dot = c->softcap * tanh(dot / c->softcap), size += c->softcap;
        const double distance = fabs((double)(t + keys - c->tokens - j));
        if (c->alibi) dot -= ldexp(distance, -h - 2), size += ldexp(distance, -h - 2);
        score[j] = dot;
        most = fmax(most, size);
    }
    return ldexp(1 + most, -19);
}

static void decode_compare_row(const decode_run *r, int b, int h, int t, double *score)
{
    const decode_case *c = r->c;
    const int keys = r->lengths[b];
    const double error = decode_expect_scores(r, b, h, t, score), u = half_unit[r->type];
    const int64_t row = ((int64_t)b * r->heads_q + h) * c->tokens + t;
    double m = c->sinks ? get(r->sinks->host, F32, h) : -INFINITY, sum = 0, lse;
    for (int j = 0; j < keys; j++) m = fmax(m, score[j]);
    if (c->sinks) sum = exp(get(r->sinks->host, F32, h) - m);
    for (int j = 0; j < keys; j++)
        if (score[j] != -INFINITY) sum += exp(score[j] - m);
    lse = sum > 0 ? m + log(sum) : -INFINITY;
    judge(get(r->lse->host, F32, row), lse, error + ldexp(1 + fabs(lse), -20), "lse", row);
    for (int d = 0; d < c->dim_v; d++) {
        double want = 0, size = 0, values = 0;
        for (int j = 0; j < keys; j++) {
            if (score[j] == -INFINITY) continue;
            const int64_t at = element_at(r, &r->a.v, b, h / c->group, j);
            const double v = get(r->source[1]->host, r->cache, at + d) *
                             scale_at(r, &r->a.v, r->scales[1], b, h / c->group, j);
            want += exp(score[j] - m) / sum * v;
            size += exp(score[j] - m) / sum * fabs(v);
            values += fabs(v);
        }
        const double got = get(r->out->host, r->type,
                               b * r->a.out.stride_batch + t * r->a.out.stride_token +
                                   h * r->a.out.stride_head + d);
        const double tiny = r->type == F16 ? ldexp(values, -25) : 0;
        judge(got, want, (2 * error + u) * size + u * fabs(want) + tiny + least_step[r->type],
              "out", row * c->dim_v + d);
    }
}

static int decode_launch(decode_run *r, const instance *k)
{
    const aiteri_gpu_attention *a = &r->a;
    char symbol[128];
    const int64_t n = (int64_t)a->batch * a->split.count * a->heads_k * a->tiles;
    if (!run_kernel(k, n, &r->a)) return 0;
    if (a->split.count == 1) return 1;
    snprintf(symbol, sizeof symbol, "aiteri_combine_any_any_%s_0_%d_general", type_names[r->type],
             a->dim_v <= 128 ? 128 : 256);
    k = instance_find(symbol);
    return k && run_kernel(k, (a->split.rows + k->rows - 1) / k->rows, &r->a);
}

static void decode_case_run(const decode_case *c, number type)
{
    static double score[MAX_LENGTH];
    decode_run r;
    char symbol[128], name[128];
    int ran = 0;
    memset(&r, 0, sizeof r);
    r.c = c, r.type = type, r.cache = c->cache ? I8 : type, r.heads_q = c->group * c->heads_k;
    r.dim_class = c->dim <= 128 && c->dim_v <= 128 ? 128 : 256;
    snprintf(symbol, sizeof symbol, "aiteri_paged_decode_%s_%s_%s_%d_%d_general", type_names[type],
             type_names[r.cache], type_names[type], r.dim_class, r.dim_class);
    snprintf(name, sizeof name, "decode %s %s: %s", type_names[type], type_names[r.cache], c->name);
    const instance *k = instance_find(symbol);
    if (k) {
        decode_make(&r, k);
        ran = decode_launch(&r, k);
        buffer_fetch(r.out), buffer_fetch(r.lse);
        for (int b = 0; b < MAX_BATCH && ran; b++)
            for (int h = 0; h < r.heads_q; h++)
                for (int t = 0; t < c->tokens; t++) decode_compare_row(&r, b, h, t, score);
    }
    case_end(name, ran);
}

#endif /* PROBE_DECODE_H */
