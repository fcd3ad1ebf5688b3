/* inner_problem.h -- an aiteri_problem over f32 rows, to be changed by a test and run by the
 * engine: for what the planner and the engine can do before an op has a field for it. */
#ifndef AITER_TEST_INNER_PROBLEM_H
#define AITER_TEST_INNER_PROBLEM_H

#include "bounds.h"

enum { INNER_BATCH = 3 };

typedef struct inner_shape {
    int hq, hk, d, dv, sq[INNER_BATCH], sk[INNER_BATCH];
    int packed; /* cu_seqlens_q and _k */
    aiter_mask mask;
    int left, right, sink_tokens, splits;
} inner_shape;

typedef struct inner_problem {
    inner_shape s;
    aiteri_problem p;
    int most_q, most_k;
    int32_t len_q[INNER_BATCH], len_k[INNER_BATCH], cu_q[INNER_BATCH + 1], cu_k[INNER_BATCH + 1];
    float *q, *k, *v, *out, *lse; /* [B][most][H][D] or packed; lse as rows of q */
    size_t q_floats, k_floats, v_floats, out_floats, lse_floats;
} inner_problem;

static inline float *inner_floats(size_t n, uint64_t seed)
{
    float *x = (float *)malloc((n + 1) * sizeof *x);
    if (!x) exit(3);
    for (size_t i = 0; i <= n; i++) x[i] = (float)rng_unit(seed + i);
    return x;
}

static inline int64_t inner_row_of_q(const inner_problem *x, int b, int i)
{
    return x->s.packed ? x->cu_q[b] + i : (int64_t)b * x->most_q + i;
}

static inline int64_t inner_row_of_k(const inner_problem *x, int b, int j)
{
    return x->s.packed ? x->cu_k[b] + j : (int64_t)b * x->most_k + j;
}

static inline void inner_strides(inner_problem *x)
{
    aiteri_problem *p = &x->p;
    const inner_shape *s = &x->s;
    p->q.data = (char *)x->q, p->out.data = (char *)x->out;
    p->q.dtype = p->out.dtype = p->k.dtype = p->v.dtype = AITER_F32;
    p->q.stride_dim = p->out.stride_dim = p->k.stride_dim = p->v.stride_dim = 1;
    p->q.stride_head = p->k.stride_head = s->d;
    p->out.stride_head = p->v.stride_head = s->dv;
    p->q.stride_token = (int64_t)s->hq * s->d, p->out.stride_token = (int64_t)s->hq * s->dv;
    p->k.stride_token = (int64_t)s->hk * s->d, p->v.stride_token = (int64_t)s->hk * s->dv;
    p->k.data = (const char *)x->k, p->v.data = (const char *)x->v;
    p->k.dim = s->d, p->v.dim = s->dv;
    p->lse = x->lse;
    p->lse_stride_head = 1, p->lse_stride_token = s->hq;
    if (s->packed) return;
    p->q.stride_batch = x->most_q * p->q.stride_token;
    p->out.stride_batch = x->most_q * p->out.stride_token;
    p->k.stride_outer = x->most_k * p->k.stride_token;
    p->v.stride_outer = x->most_k * p->v.stride_token;
    p->lse_stride_batch = x->most_q * p->lse_stride_token;
}

/* Random rows; lengths by seqused_q and seqused_k, or packed. */
static inline void inner_new(inner_problem *x, const inner_shape *s, uint64_t seed)
{
    aiteri_problem *p = &x->p;
    memset(x, 0, sizeof *x);
    x->s = *s;
    for (int b = 0; b < INNER_BATCH; b++) {
        x->len_q[b] = s->sq[b], x->len_k[b] = s->sk[b];
        x->cu_q[b + 1] = x->cu_q[b] + s->sq[b], x->cu_k[b + 1] = x->cu_k[b] + s->sk[b];
        x->most_q = s->sq[b] > x->most_q ? s->sq[b] : x->most_q;
        x->most_k = s->sk[b] > x->most_k ? s->sk[b] : x->most_k;
    }
    const size_t rows_q = (size_t)(s->packed ? x->cu_q[INNER_BATCH] : INNER_BATCH * x->most_q);
    const size_t rows_k = (size_t)(s->packed ? x->cu_k[INNER_BATCH] : INNER_BATCH * x->most_k);
    x->q_floats = rows_q * (size_t)(s->hq * s->d), x->k_floats = rows_k * (size_t)(s->hk * s->d);
    x->v_floats = rows_k * (size_t)(s->hk * s->dv),
    x->out_floats = rows_q * (size_t)(s->hq * s->dv);
    x->lse_floats = rows_q * (size_t)s->hq;
    x->q = inner_floats(x->q_floats, seed * 7919), x->k = inner_floats(x->k_floats, seed * 104729);
    x->v = inner_floats(x->v_floats, seed * 1299709), x->out = inner_floats(x->out_floats, 1);
    x->lse = inner_floats(x->lse_floats, 1);
    inner_strides(x);
    p->batch = INNER_BATCH, p->heads_q = s->hq, p->heads_k = s->hk, p->group = s->hq / s->hk;
    p->seqlen_q = s->packed ? 0 : x->most_q, p->seqlen_k = s->packed ? 0 : x->most_k;
    p->total_q = (int64_t)rows_q;
    p->max_seqlen_q = x->most_q, p->max_seqlen_k = x->most_k;
    p->cu_stride_q = p->cu_stride_k = p->used_stride_q = p->used_stride_k = 1;
    if (s->packed)
        p->cu_seqlens_q = x->cu_q, p->cu_seqlens_k = x->cu_k;
    else
        p->seqused_q = x->len_q, p->seqused_k = x->len_k;
    p->mask = s->mask, p->window_left = s->left, p->window_right = s->right;
    p->sink_tokens = s->sink_tokens, p->num_splits = s->splits;
    p->softmax_scale = 0.4f;
}

/* Runs problems as they stand in one launch; what is not written keeps a pattern. */
static inline aiter_status inner_run_all(inner_problem *const *x, int count, aiter_context *ctx)
{
    const aiteri_problem *p[AITERI_MOST_PROBLEMS];
    for (int i = 0; i < count; i++) {
        memset(x[i]->out, 0xa5, x[i]->out_floats * sizeof(float));
        memset(x[i]->lse, 0xa5, x[i]->lse_floats * sizeof(float));
        x[i]->p.features = aiteri_problem_features(&x[i]->p);
        p[i] = &x[i]->p;
    }
    return aiteri_engine_execute("inner", p, count, ctx, NULL, NULL, 0);
}
static inline aiter_status inner_run(inner_problem *x, aiter_context *ctx)
{
    return inner_run_all(&x, 1, ctx);
}

/* Rows that differ by a bit between two runs of one shape. */
static inline int64_t inner_different(const inner_problem *a, const inner_problem *b)
{
    int64_t bad = 0;
    const size_t bytes = (size_t)a->s.dv * sizeof(float);
    for (size_t r = 0; r < a->lse_floats; r++)
        bad += memcmp(a->out + r * (size_t)a->s.dv, b->out + r * (size_t)a->s.dv, bytes) != 0 ||
               memcmp(a->lse + r, b->lse + r, sizeof(float)) != 0;
    return bad;
}

/* A copy of a finished run, to compare with. */
static inline inner_problem inner_kept(const inner_problem *x)
{
    inner_problem y = *x;
    y.out = (float *)malloc(x->out_floats * sizeof(float) + 1);
    y.lse = (float *)malloc(x->lse_floats * sizeof(float) + 1);
    if (!y.out || !y.lse) exit(3);
    memcpy(y.out, x->out, x->out_floats * sizeof(float));
    memcpy(y.lse, x->lse, x->lse_floats * sizeof(float));
    return y;
}
static inline void inner_drop(inner_problem *y) { free(y->out), free(y->lse); }

/* A finished row against the oracle; shown[j] 0 hides key j. */
static inline void inner_expect_row(const inner_problem *x, const unsigned char *shown, int b,
                                    int h, int i)
{
    const inner_shape *s = &x->s;
    const int sk = s->sk[b], kv = h / (s->hq / s->hk);
    double *v = (double *)malloc((size_t)(sk + 1) * (size_t)(s->d + s->dv + 2) * sizeof(double));
    double q[AITERI_MAX_HEAD_DIM], out[AITERI_MAX_HEAD_DIM], abs_out[AITERI_MAX_HEAD_DIM], lse, *k,
        *bias, *work;
    ref_facts facts;
    ref_row row;
    if (!v) exit(3);
    k = v + (sk + 1) * s->dv, bias = k + (sk + 1) * s->d, work = bias + sk + 1;
    memset(&row, 0, sizeof row);
    for (int d = 0; d < s->d; d++) q[d] = x->q[(inner_row_of_q(x, b, i) * s->hq + h) * s->d + d];
    for (int j = 0; j < sk; j++) {
        const int64_t at = inner_row_of_k(x, b, j) * s->hk + kv;
        for (int d = 0; d < s->d; d++) k[j * s->d + d] = x->k[at * s->d + d];
        for (int d = 0; d < s->dv; d++) v[j * s->dv + d] = x->v[at * s->dv + d];
        bias[j] = shown[j] ? 0 : double_of_bits(BITS_NEG_INF);
    }
    row.i = i, row.sq = s->sq[b], row.sk = sk, row.dq = s->d, row.dv = s->dv;
    row.q = q, row.k = k, row.v = v, row.bias = bias;
    row.mask.kind = s->mask, row.mask.left = s->left, row.mask.right = s->right;
    row.mask.sink_tokens = s->sink_tokens;
    row.scale = (double)0.4f;
    ref_attention_row(&row, work, out, abs_out, &lse, &facts);
    const int64_t at = inner_row_of_q(x, b, i) * s->hq + h;
    int bad = 0;
    for (int d = 0; d < s->dv; d++)
        bad += fabs((double)x->out[at * s->dv + d] - out[d]) >
               bound_out(&facts, s->d, 0, AITER_F32, out[d], abs_out[d]);
    if (is_neg_inf(lse))
        bad += bits_of_float(x->lse[at]) != 0xff800000;
    else
        bad += fabs((double)x->lse[at] - lse) > bound_lse(&facts, s->d, 0, lse);
    CHECK(bad == 0, "row %d, head %d of sequence %d: %d numbers", i, h, b, bad);
    free(v);
}

static inline void inner_free(inner_problem *x)
{
    free(x->q), free(x->k), free(x->v), free(x->out), free(x->lse);
}

#endif /* AITER_TEST_INNER_PROBLEM_H */
