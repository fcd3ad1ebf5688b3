/* attention_check.c -- what every softmax attention checks, and how its arguments become a problem.
 *
 * Ops fill an aiter_flash_attn_fwd_args with their own field names beside it; this file alone knows
 * which combinations are legal. Checks of data (lengths, tables) are apart from checks of shapes,
 * since workspace queries must not read data. */
#ifndef AITERI_ATTENTION_CHECK_C
#define AITERI_ATTENTION_CHECK_C

#include "../api_ops.h"
#include "../base/argument.c"
#include "../cpu/engine.c"
#if AITERI_GPU
#include "../gpu/attention.c"
#endif

/* Field names as the calling op spells them. */
typedef struct aiteri_field_names {
    const char *op, *q, *k, *v, *seqused_k;
} aiteri_field_names;

/* The arguments with strides filled, and what they mean. */
typedef struct aiteri_attention {
    aiter_flash_attn_fwd_args a;
    aiteri_field_names names;
    aiteri_problem problem;
    int packed, paged, lse_packed;
} aiteri_attention;

static aiteri_rows aiteri_rows_of(const aiter_tensor *t, int packed)
{
    aiteri_rows r;
    const int32_t at = packed ? 0 : 1;
    r.data = (char *)t->data;
    r.dtype = t->dtype;
    r.stride_batch = packed ? 0 : t->stride[0];
    r.stride_token = t->stride[at];
    r.stride_head = t->stride[at + 1];
    r.stride_dim = t->stride[at + 2];
    return r;
}

/* A stride that never moves where the extent is 1: such dimensions broadcast. */
static int64_t aiteri_broadcast_stride(const aiter_tensor *t, int32_t dim)
{
    return t->shape[dim] == 1 ? 0 : t->stride[dim];
}

static void aiteri_check_qkv(aiteri_check *c, aiteri_attention *x)
{
    aiter_flash_attn_fwd_args *a = &x->a;
    const int32_t q_ndim = x->packed ? 3 : 4, k_ndim = a->cu_seqlens_k.ndim ? 3 : 4;
    aiteri_check_tensor(c, x->names.q, &a->q, q_ndim, q_ndim, AITERI_FLOATS, 1);
    aiteri_check_tensor(c, x->names.k, &a->k, k_ndim, k_ndim, AITERI_FLOATS_OR_I8, 1);
    aiteri_check_tensor(c, x->names.v, &a->v, k_ndim, k_ndim, AITERI_FLOATS_OR_I8, 1);
    aiteri_check_tensor(c, "out", &a->out, q_ndim, q_ndim, AITERI_FLOATS, 1);
    if (c->status != AITER_OK) return;
    const int32_t qd = q_ndim - 1, kd = k_ndim - 1;
    if (a->k.dtype != a->v.dtype)
        AITERI_REJECT(c, AITER_INVALID_ARGUMENT, "%s.%s: dtype is %s, expected %s (= %s.dtype)",
                      c->op, x->names.v, aiter_dtype_name(a->v.dtype), aiter_dtype_name(a->k.dtype),
                      x->names.k);
    for (int32_t i = 0; i < qd; i++) aiteri_check_extent(c, "out", &a->out, i, a->q.shape[i], "q");
    for (int32_t i = 0; i < kd; i++)
        aiteri_check_extent(c, x->names.v, &a->v, i, a->k.shape[i], x->names.k);
    aiteri_check_extent(c, x->names.k, &a->k, kd, a->q.shape[qd], "the head_dim of q");
    aiteri_check_extent(c, "out", &a->out, qd, a->v.shape[kd], "the head_dim of v");
    if (!x->packed && !x->paged && k_ndim == 4)
        aiteri_check_extent(c, x->names.k, &a->k, 0, a->q.shape[0], "the batch of q");
    const int64_t heads_q = a->q.shape[qd - 1], heads_k = a->k.shape[kd - 1];
    aiteri_check_range(c, "q: heads", heads_q, 1, 65535);
    if (c->status == AITER_OK && (heads_k < 1 || heads_q % heads_k != 0))
        AITERI_REJECT(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: has %lld heads, expected a divisor of %lld (= heads of q)", c->op,
                      x->names.k, (long long)heads_k, (long long)heads_q);
    aiteri_check_range(c, "q: head_dim", a->q.shape[qd], 1, AITERI_MAX_HEAD_DIM);
    aiteri_check_range(c, "v: head_dim", a->v.shape[kd], 1, AITERI_MAX_HEAD_DIM);
    for (int32_t i = 0; i < qd - 1; i++)
        aiteri_check_range(c, "q: extent", a->q.shape[i], 0, INT32_MAX - 1);
    for (int32_t i = 0; i < kd - 1; i++)
        aiteri_check_range(c, "k: extent", a->k.shape[i], 0, INT32_MAX - 1);
}

/* An optional I32 vector of n elements. */
static void aiteri_check_lengths(aiteri_check *c, const char *field, aiter_tensor *t, int64_t n)
{
    if (aiteri_check_tensor(c, field, t, 1, 1, AITERI_ONLY_I32, 0))
        aiteri_check_extent(c, field, t, 0, n, "the batch");
}

static void aiteri_check_lengths_shapes(aiteri_check *c, aiteri_attention *x)
{
    aiter_flash_attn_fwd_args *a = &x->a;
    if (c->status != AITER_OK) return;
    int64_t batch = a->q.shape[0];
    if (x->packed) {
        if (aiteri_check_tensor(c, "cu_seqlens_q", &a->cu_seqlens_q, 1, 1, AITERI_ONLY_I32, 1))
            aiteri_check_range(c, "cu_seqlens_q: shape[0]", a->cu_seqlens_q.shape[0], 1,
                               INT32_MAX - 1);
        batch = a->cu_seqlens_q.shape[0] - 1;
        aiteri_check_true(c, a->seqused_q.ndim == 0, "seqused_q", "none beside cu_seqlens_q");
    }
    x->problem.batch = (int32_t)batch;
    if (a->cu_seqlens_k.ndim != 0) {
        if (aiteri_check_tensor(c, "cu_seqlens_k", &a->cu_seqlens_k, 1, 1, AITERI_ONLY_I32, 1))
            aiteri_check_extent(c, "cu_seqlens_k", &a->cu_seqlens_k, 0, batch + 1, "batch + 1");
        aiteri_check_true(c, !x->paged, "cu_seqlens_k",
                          "none beside block_table, which takes seqused_k");
        aiteri_check_true(c, x->packed, "cu_seqlens_q", "to be given with cu_seqlens_k");
        aiteri_check_true(c, a->seqused_k.ndim == 0, x->names.seqused_k,
                          "none beside cu_seqlens_k");
    } else if (x->packed && !x->paged) {
        aiteri_check_true(c, 0, "cu_seqlens_k", "to be given with cu_seqlens_q, or a block_table");
    }
    aiteri_check_lengths(c, "seqused_q", &a->seqused_q, batch);
    aiteri_check_lengths(c, x->names.seqused_k, &a->seqused_k, batch);
    if (x->paged) {
        if (aiteri_check_tensor(c, "block_table", &a->block_table, 2, 2, AITERI_ONLY_I32, 1))
            aiteri_check_extent(c, "block_table", &a->block_table, 0, batch, "the batch");
        aiteri_check_true(c, a->seqused_k.ndim == 1, x->names.seqused_k,
                          "lengths [B] with block_table");
        aiteri_check_range(c, "k: page_size", a->k.shape[1], 1, INT32_MAX - 1);
        aiteri_check_range(c, "block_table: shape[1]", a->block_table.shape[1], 0, INT32_MAX - 1);
    }
    aiteri_check_range(c, "max_seqlen_q", a->max_seqlen_q, 0, INT32_MAX - 1);
    aiteri_check_range(c, "max_seqlen_k", a->max_seqlen_k, 0, INT32_MAX - 1);
}

static void aiteri_check_score(aiteri_check *c, aiteri_attention *x)
{
    aiter_flash_attn_fwd_args *a = &x->a;
    aiteri_check_range(c, "mask", (int64_t)a->mask, 0, AITER_MASK_COUNT - 1);
    if (a->mask == AITER_MASK_WINDOW) {
        aiteri_check_range(c, "window_left", a->window_left, -1, INT32_MAX);
        aiteri_check_range(c, "window_right", a->window_right, -1, INT32_MAX);
    }
    aiteri_check_range(c, "sink_tokens", a->sink_tokens, 0, INT32_MAX);
    aiteri_check_range(c, "num_splits", a->num_splits, 0, INT32_MAX);
    aiteri_check_scale(c, "softmax_scale", a->softmax_scale);
    aiteri_check_scale(c, "softcap", a->softcap);
}

/* 1 / sqrt(dim) to nearest even, whatever rounding the caller has set: checks run in its mode. */
static float aiteri_default_scale(int32_t dim)
{
    double scale = 1.0 / sqrt((double)dim);
    uint64_t u;
    memcpy(&u, &scale, sizeof u);
    u = (u + 0x0fffffff + (u >> 29 & 1)) & ~(uint64_t)0x1fffffff; /* the 24 bits of a float */
    memcpy(&scale, &u, sizeof scale);
    return (float)scale;
}

static void aiteri_lower_score(aiteri_check *c, aiteri_attention *x)
{
    const aiter_flash_attn_fwd_args *a = &x->a;
    aiteri_problem *p = &x->problem;
    if (c->status != AITER_OK) return;
    p->mask = a->mask == AITER_MASK_DEFAULT ? AITER_MASK_NONE : a->mask;
    p->window_left = a->window_left;
    p->window_right = a->window_right;
    p->sink_tokens = a->sink_tokens;
    p->softcap = a->softcap;
    p->num_splits = a->num_splits;
    p->softmax_scale = a->softmax_scale > 0.0f ? a->softmax_scale : aiteri_default_scale(p->k.dim);
}

static void aiteri_lower_alibi_and_sinks(aiteri_check *c, aiteri_attention *x)
{
    aiter_flash_attn_fwd_args *a = &x->a;
    aiteri_problem *p = &x->problem;
    if (aiteri_check_tensor(c, "alibi_slopes", &a->alibi_slopes, 1, 2, AITERI_ONLY_F32, 0)) {
        const aiter_tensor *t = &a->alibi_slopes;
        if (t->ndim == 2) aiteri_check_extent(c, "alibi_slopes", t, 0, p->batch, "the batch");
        aiteri_check_extent(c, "alibi_slopes", t, t->ndim - 1, p->heads_q, "heads of q");
        p->alibi_slopes = (const float *)t->data;
        p->alibi_stride_batch = t->ndim == 2 ? t->stride[0] : 0;
        p->alibi_stride_head = t->stride[t->ndim - 1];
    }
    if (aiteri_check_tensor(c, "sinks", &a->sinks, 1, 1, AITERI_ONLY_F32, 0)) {
        aiteri_check_extent(c, "sinks", &a->sinks, 0, p->heads_q, "heads of q");
        p->sinks = (const float *)a->sinks.data;
        p->sinks_stride = a->sinks.stride[0];
    }
}

/* bias [(B,) (Hq,) rows, keys], extents of 1 broadcast. Packed rows have no batch dimension. */
static void aiteri_lower_bias(aiteri_check *c, aiteri_attention *x)
{
    aiter_tensor *t = &x->a.bias;
    aiteri_problem *p = &x->problem;
    if (!aiteri_check_tensor(c, "bias", t, 2, x->packed ? 3 : 4, AITERI_FLOATS, 0)) return;
    const int32_t n = t->ndim;
    const int64_t rows = x->packed ? p->total_q : p->seqlen_q;
    const int any_keys = x->packed || x->paged; /* checked against the lengths */
    const int64_t expected[4] = {p->batch, p->heads_q, rows,
                                 any_keys ? t->shape[n - 1] : p->seqlen_k};
    for (int32_t i = 0; i < n; i++) {
        const int64_t want = expected[4 - n + i];
        if (t->shape[i] != 1 && t->shape[i] != want)
            AITERI_REJECT(c, AITER_INVALID_ARGUMENT,
                          "%s.bias: shape[%d] is %lld, expected 1 or %lld", c->op, (int)i,
                          (long long)t->shape[i], (long long)want);
    }
    p->bias.data = (char *)t->data;
    p->bias.dtype = t->dtype;
    p->bias.stride_batch = n == 4 ? aiteri_broadcast_stride(t, 0) : 0;
    p->bias.stride_head = n >= 3 ? aiteri_broadcast_stride(t, n - 3) : 0;
    p->bias.stride_token = aiteri_broadcast_stride(t, n - 2);
    p->bias.stride_dim = aiteri_broadcast_stride(t, n - 1);
}

static void aiteri_lower_lse(aiteri_check *c, aiteri_attention *x)
{
    aiter_tensor *t = &x->a.lse;
    aiteri_problem *p = &x->problem;
    const int packed = x->packed || x->lse_packed;
    if (!aiteri_check_tensor(c, "lse", t, packed ? 2 : 3, packed ? 2 : 3, AITERI_ONLY_F32, 0))
        return;
    const int32_t at = packed ? 0 : 1;
    if (!packed) aiteri_check_extent(c, "lse", t, 0, p->batch, "the batch");
    aiteri_check_extent(c, "lse", t, at, p->heads_q, "heads of q");
    aiteri_check_extent(c, "lse", t, at + 1,
                        x->packed       ? p->total_q
                        : x->lse_packed ? p->batch
                                        : p->seqlen_q,
                        "rows of q");
    p->lse = (float *)t->data;
    p->lse_stride_batch = x->packed ? 0 : x->lse_packed ? t->stride[1] : t->stride[0];
    p->lse_stride_head = t->stride[at];
    p->lse_stride_token = x->lse_packed ? 0 : t->stride[at + 1];
}

/* Scales of one int8 source, [1], [Hk] or the source's shape without D. */
static void aiteri_lower_scales(aiteri_check *c, aiteri_attention *x, const char *field,
                                aiter_tensor *t, const aiter_tensor *data, aiteri_source *source)
{
    const int32_t rank = data->ndim - 1;
    const int present =
        aiteri_check_tensor(c, field, t, 1, rank, AITERI_ONLY_F32, data->dtype == AITER_I8);
    if (!present) return;
    if (data->dtype != AITER_I8) {
        aiteri_check_true(c, 0, field, "none: only I8 keys and values have scales");
        return;
    }
    aiter_scale_kind kind = x->a.scale_kind;
    if (kind == AITER_SCALE_BY_SHAPE)
        kind = t->ndim > 1                                      ? AITER_SCALE_TOKEN_HEAD
               : t->shape[0] == 1 && data->shape[rank - 1] != 1 ? AITER_SCALE_TENSOR
                                                                : AITER_SCALE_HEAD;
    source->scales.data = (const float *)t->data;
    if (kind == AITER_SCALE_TOKEN_HEAD) {
        if (t->ndim != rank) {
            AITERI_REJECT(c, AITER_INVALID_ARGUMENT, "%s.%s: ndim is %d, expected %d", c->op, field,
                          (int)t->ndim, (int)rank);
            return;
        }
        for (int32_t i = 0; i < rank; i++)
            aiteri_check_extent(c, field, t, i, data->shape[i], "the data's shape");
        source->scales.stride_outer = rank == 3 ? t->stride[0] : 0;
        source->scales.stride_token = t->stride[rank - 2];
        source->scales.stride_head = t->stride[rank - 1];
        return;
    }
    if (t->ndim != 1)
        AITERI_REJECT(c, AITER_INVALID_ARGUMENT, "%s.%s: ndim is %d, expected 1", c->op, field,
                      (int)t->ndim);
    aiteri_check_extent(c, field, t, 0, kind == AITER_SCALE_TENSOR ? 1 : data->shape[rank - 1],
                        kind == AITER_SCALE_TENSOR ? "one scale" : "kv heads");
    source->scales.stride_head = kind == AITER_SCALE_TENSOR ? 0 : t->stride[0];
}

static aiteri_source aiteri_source_of(const aiter_tensor *t)
{
    aiteri_source s;
    const int32_t n = t->ndim;
    memset(&s, 0, sizeof s);
    s.data = (const char *)t->data;
    s.dtype = t->dtype;
    s.dim = (int32_t)t->shape[n - 1];
    s.stride_outer = n == 4 ? t->stride[0] : 0;
    s.stride_token = t->stride[n - 3];
    s.stride_head = t->stride[n - 2];
    s.stride_dim = t->shape[n - 1] == 1 ? 1 : t->stride[n - 1];
    return s;
}

/* Rows, sources, lengths: everything that needs no further check than those above. */
static void aiteri_lower_shapes(aiteri_check *c, aiteri_attention *x)
{
    const aiter_flash_attn_fwd_args *a = &x->a;
    aiteri_problem *p = &x->problem;
    if (c->status != AITER_OK) return;
    const int32_t qd = a->q.ndim - 1;
    p->heads_q = (int32_t)a->q.shape[qd - 1];
    p->heads_k = (int32_t)a->k.shape[a->k.ndim - 2];
    p->group = p->heads_q / p->heads_k;
    p->q = aiteri_rows_of(&a->q, x->packed);
    p->out = aiteri_rows_of(&a->out, x->packed);
    if (a->q.shape[qd] == 1) p->q.stride_dim = 1;
    if (a->out.shape[qd] == 1) p->out.stride_dim = 1;
    p->k = aiteri_source_of(&a->k);
    p->v = aiteri_source_of(&a->v);
    p->seqlen_q = (int32_t)(x->packed ? 0 : a->q.shape[1]);
    p->seqlen_k = (int32_t)(x->paged || a->k.ndim == 3 ? 0 : a->k.shape[1]);
    p->total_q = x->packed ? a->q.shape[0] : a->q.shape[0] * a->q.shape[1];
    p->cu_seqlens_q = (const int32_t *)(a->cu_seqlens_q.ndim ? a->cu_seqlens_q.data : NULL);
    p->cu_seqlens_k = (const int32_t *)(a->cu_seqlens_k.ndim ? a->cu_seqlens_k.data : NULL);
    p->seqused_q = (const int32_t *)(a->seqused_q.ndim ? a->seqused_q.data : NULL);
    p->seqused_k = (const int32_t *)(a->seqused_k.ndim ? a->seqused_k.data : NULL);
    p->cu_stride_q = a->cu_seqlens_q.stride[0];
    p->cu_stride_k = a->cu_seqlens_k.stride[0];
    p->used_stride_q = a->seqused_q.stride[0];
    p->used_stride_k = a->seqused_k.stride[0];
    int64_t most_k = a->k.ndim == 3 ? a->k.shape[0] : a->k.shape[1];
    if (x->paged) {
        p->page_size = (int32_t)a->k.shape[1];
        p->num_blocks = (int32_t)a->k.shape[0];
        p->block_table = (const int32_t *)a->block_table.data;
        p->table_entries = (int32_t)a->block_table.shape[1];
        p->table_stride_batch = a->block_table.stride[0];
        p->table_stride_entry = a->block_table.stride[1];
        most_k = aiteri_min((int64_t)p->table_entries * p->page_size, INT32_MAX - 1);
    }
    const int64_t most_q = x->packed ? a->q.shape[0] : a->q.shape[1];
    p->max_seqlen_q = (int32_t)(a->max_seqlen_q ? aiteri_min(a->max_seqlen_q, most_q) : most_q);
    p->max_seqlen_k = (int32_t)(a->max_seqlen_k ? aiteri_min(a->max_seqlen_k, most_k) : most_k);
}

/* Shapes only: what a workspace query may look at. */
static aiter_status aiteri_attention_lower(aiteri_attention *x, aiter_context *ctx)
{
    aiteri_check check = {x->names.op, ctx, AITER_OK};
    aiteri_check *c = &check;
    memset(&x->problem, 0, sizeof x->problem);
    x->packed = x->a.cu_seqlens_q.ndim != 0;
    x->paged = x->a.block_table.ndim != 0;
    aiteri_check_qkv(c, x);
    aiteri_check_lengths_shapes(c, x);
    aiteri_check_score(c, x);
    aiteri_lower_shapes(c, x);
    aiteri_lower_score(c, x);
    if (c->status == AITER_OK) {
        aiteri_check_range(c, "scale_kind", (int64_t)x->a.scale_kind, 0, AITER_SCALE_COUNT - 1);
        aiteri_lower_scales(c, x, "k_scale", &x->a.k_scale, &x->a.k, &x->problem.k);
        aiteri_lower_scales(c, x, "v_scale", &x->a.v_scale, &x->a.v, &x->problem.v);
        aiteri_lower_alibi_and_sinks(c, x);
        aiteri_lower_bias(c, x);
        aiteri_lower_lse(c, x);
    }
    if (c->status == AITER_OK) {
        const aiteri_schedule_bounds n = aiteri_schedule_bounds_of(&x->problem, 1);
        if (n.works > INT32_MAX || n.partial_rows > INT32_MAX)
            AITERI_REJECT(c, AITER_UNSUPPORTED,
                          "%s: the shapes could need more than 2^31 works; pass max_seqlen_q and "
                          "max_seqlen_k, or cut the batch",
                          c->op);
    }
    return c->status;
}

/* cu[0] == 0, never falling, the last within the tensor, no length above its bound. */
static void aiteri_check_cu_seqlens(aiteri_check *c, const char *field, const int32_t *cu,
                                    int64_t stride, int32_t batch, int64_t total, int32_t longest)
{
    if (!cu || c->status != AITER_OK) return;
    if (cu[0] != 0)
        AITERI_REJECT(c, AITER_INVALID_ARGUMENT, "%s.%s: [0] is %d, expected 0", c->op, field,
                      (int)cu[0]);
    for (int32_t b = 0; b < batch; b++) {
        const int64_t length = (int64_t)cu[(b + 1) * stride] - cu[b * stride];
        if (length < 0 || length > longest)
            AITERI_REJECT(c, AITER_INVALID_ARGUMENT,
                          "%s.%s: [%d] gives a length of %lld, expected 0 to %d", c->op, field,
                          (int)(b + 1), (long long)length, (int)longest);
    }
    if (cu[batch * stride] > total)
        AITERI_REJECT(c, AITER_INVALID_ARGUMENT, "%s.%s: [%d] is %d, expected at most %lld tokens",
                      c->op, field, (int)batch, (int)cu[batch * stride], (long long)total);
}

static void aiteri_check_used(aiteri_check *c, const char *field, const int32_t *used,
                              int64_t stride, int32_t batch, int64_t longest)
{
    for (int32_t b = 0; used && b < batch && c->status == AITER_OK; b++)
        if (used[b * stride] < 0 || used[b * stride] > longest)
            AITERI_REJECT(c, AITER_INVALID_ARGUMENT, "%s.%s: [%d] is %d, expected 0 to %lld", c->op,
                          field, (int)b, (int)used[b * stride], (long long)longest);
}

/* Block ids of entries that hold a visible key. */
static void aiteri_check_blocks(aiteri_check *c, const aiteri_problem *p)
{
    for (int32_t b = 0; p->block_table && b < p->batch && c->status == AITER_OK; b++) {
        const aiteri_sequence s = aiteri_sequence_of(p, b);
        if (s.seqlen_q == 0 || s.seqlen_k == 0) continue;
        const aiteri_key_range seen =
            aiteri_visible_keys_of_span(p, s.seqlen_q, s.seqlen_k, 0, s.seqlen_q);
        const int32_t entries = (int32_t)aiteri_ceil_div(s.seqlen_k, p->page_size);
        for (int32_t i = 0; i < entries; i++) {
            const int64_t first = (int64_t)i * p->page_size;
            if (!aiteri_range_meets(seen, first, first + p->page_size)) continue;
            const int32_t id =
                p->block_table[b * p->table_stride_batch + i * p->table_stride_entry];
            if (id < 0 || id >= p->num_blocks)
                AITERI_REJECT(c, AITER_INVALID_ARGUMENT,
                              "%s.block_table: [%d][%d] is %d, expected 0 to %d", c->op, (int)b,
                              (int)i, (int)id, (int)p->num_blocks - 1);
        }
    }
}

/* What only data can tell; of a device's plan the lengths alone are host memory. */
static aiter_status aiteri_attention_check_data(aiteri_attention *x, aiter_context *ctx)
{
    aiteri_check check = {x->names.op, ctx, AITER_OK};
    aiteri_check *c = &check;
    const aiter_flash_attn_fwd_args *a = &x->a;
    const aiteri_problem *p = &x->problem;
    aiteri_check_cu_seqlens(c, "cu_seqlens_q", p->cu_seqlens_q, p->cu_stride_q, p->batch,
                            p->total_q, p->max_seqlen_q);
    aiteri_check_cu_seqlens(c, "cu_seqlens_k", p->cu_seqlens_k, p->cu_stride_k, p->batch,
                            a->k.shape[0], p->max_seqlen_k);
    aiteri_check_used(c, "seqused_q", p->seqused_q, p->used_stride_q, p->batch, p->max_seqlen_q);
    aiteri_check_used(c, x->names.seqused_k, p->seqused_k, p->used_stride_k, p->batch,
                      p->max_seqlen_k);
    if (!aiteri_context_on_device(ctx)) aiteri_check_blocks(c, p); /* the table is there */
    for (int32_t b = 0; a->bias.ndim && b < p->batch && c->status == AITER_OK; b++) {
        const int64_t keys = a->bias.shape[a->bias.ndim - 1],
                      longest = aiteri_sequence_of(p, b).seqlen_k;
        if (keys != 1 && keys < longest)
            AITERI_REJECT(c, AITER_INVALID_ARGUMENT,
                          "%s.bias: has %lld keys, expected %lld or more for row %d of the batch",
                          c->op, (long long)keys, (long long)longest, (int)b);
    }
    return c->status;
}

/* Bounds against extents, and overlaps: addresses are compared, nothing is read. */
static aiter_status aiteri_attention_check_bounds(aiteri_attention *x, aiter_context *ctx)
{
    aiteri_check check = {x->names.op, ctx, AITER_OK};
    aiteri_check *c = &check;
    const aiter_flash_attn_fwd_args *a = &x->a;
    const aiteri_problem *p = &x->problem;
    if (!p->cu_seqlens_q && !p->seqused_q)
        aiteri_check_range(c, "max_seqlen_q", p->max_seqlen_q, p->seqlen_q, INT32_MAX);
    if (!p->cu_seqlens_k && !p->seqused_k)
        aiteri_check_range(c, "max_seqlen_k", p->max_seqlen_k, p->seqlen_k, INT32_MAX);
    if (a->bias.ndim && aiteri_context_on_device(ctx)) {
        const int64_t keys = a->bias.shape[a->bias.ndim - 1];
        if (keys != 1 && keys < p->max_seqlen_k)
            AITERI_REJECT(c, AITER_INVALID_ARGUMENT,
                          "%s.bias: has %lld keys, expected %d or more (the bound of the lengths; "
                          "max_seqlen_k lowers it)",
                          c->op, (long long)keys, (int)p->max_seqlen_k);
    }
    const aiteri_operand operand[] = {{"out", &a->out},
                                      {"lse", &a->lse},
                                      {x->names.q, &a->q},
                                      {x->names.k, &a->k},
                                      {x->names.v, &a->v},
                                      {"bias", &a->bias},
                                      {"alibi_slopes", &a->alibi_slopes},
                                      {"sinks", &a->sinks},
                                      {"block_table", &a->block_table},
                                      {"cu_seqlens_q", &a->cu_seqlens_q},
                                      {"cu_seqlens_k", &a->cu_seqlens_k},
                                      {"seqused_q", &a->seqused_q},
                                      {x->names.seqused_k, &a->seqused_k},
                                      {"k_scale", &a->k_scale},
                                      {"v_scale", &a->v_scale}};
    aiteri_check_overlap(c, operand, (int32_t)(sizeof operand / sizeof operand[0]), 2);
    return c->status;
}

/* The three calls of every softmax attention op, given its arguments as flash arguments. */
static aiter_status aiteri_attention_run(aiteri_attention *x, aiter_context *ctx)
{
    const aiter_flash_attn_fwd_args *a = &x->a;
    aiteri_context_begin(ctx);
    AITERI_TRY(aiteri_attention_lower(x, ctx));
    if (!aiteri_context_on_device(ctx)) AITERI_TRY(aiteri_attention_check_data(x, ctx));
    AITERI_TRY(aiteri_attention_check_bounds(x, ctx));
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(x->names.op, ctx);
        return aiteri_gpu_attention_run(&call, &x->problem, a->plan, a->workspace,
                                        a->workspace_bytes);
    }
#endif
    return aiteri_engine_execute(x->names.op, &x->problem, ctx, a->plan, a->workspace,
                                 a->workspace_bytes);
}

static aiter_status aiteri_attention_workspace(aiteri_attention *x, aiter_context *ctx,
                                               size_t *bytes)
{
    aiteri_context_begin(ctx);
    AITERI_TRY(aiteri_attention_lower(x, ctx));
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(x->names.op, ctx);
        return aiteri_gpu_attention_workspace(&call, &x->problem, bytes);
    }
#endif
    return aiteri_engine_workspace(x->names.op, &x->problem, ctx, bytes);
}

static aiter_status aiteri_attention_plan(aiteri_attention *x, aiter_context *ctx, aiter_plan *plan)
{
    aiteri_context_begin(ctx);
    if (!plan)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT, "%s_plan.plan: is NULL", x->names.op);
    AITERI_TRY(aiteri_attention_lower(x, ctx));
    AITERI_TRY(aiteri_attention_check_data(x, ctx));
    AITERI_TRY(aiteri_attention_check_bounds(x, ctx));
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(x->names.op, ctx);
        return aiteri_gpu_attention_plan(&call, &x->problem, plan);
    }
#endif
    return aiteri_engine_plan(x->names.op, &x->problem, ctx, plan);
}

/* args == NULL, said in the op's name. */
static aiter_status aiteri_no_args(const char *op, aiter_context *ctx)
{
    aiteri_context_begin(ctx);
    return aiteri_fail(ctx, AITER_INVALID_ARGUMENT, "%s.args: is NULL", op);
}

#endif /* AITERI_ATTENTION_CHECK_C */
