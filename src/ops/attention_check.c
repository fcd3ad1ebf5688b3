/* attention_check.c -- what every softmax attention checks, and how its arguments become a problem.
 *
 * Ops fill an aiter_flash_attn_fwd_args with their own field names beside it; this file alone knows
 * which combinations are legal. It sees shapes only: workspace queries must not read data. */
#ifndef AITERI_ATTENTION_CHECK_C
#define AITERI_ATTENTION_CHECK_C

#include "../api_ops.h"
#include "attention_advice.c"
#include "../cpu/engine.c"

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

/* Which of the optional forms it is: what must come together, and what must not. */
static void aiteri_check_form(aiteri_check *c, const aiteri_attention *x)
{
    const aiter_flash_attn_fwd_args *a = &x->a;
    const int keys_packed = a->cu_seqlens_k.ndim != 0;
    aiteri_check_true(c, !(x->paged && keys_packed), "cu_seqlens_k",
                      "none beside block_table, which takes seqused_k");
    aiteri_check_true(c, x->packed || !keys_packed, "cu_seqlens_q",
                      "I32 [B + 1], it is absent: cu_seqlens_k is given, and they come together");
    aiteri_check_true(c, !x->packed || x->paged || keys_packed, "cu_seqlens_k",
                      "I32 [B + 1], it is absent: cu_seqlens_q is given, and they come together "
                      "unless keys are pages with a block_table");
    aiteri_check_true(c, !x->packed || a->seqused_q.ndim == 0, "seqused_q",
                      "none beside cu_seqlens_q");
    aiteri_check_true(c, !keys_packed || a->seqused_k.ndim == 0, x->names.seqused_k,
                      "none beside cu_seqlens_k");
    aiteri_check_true(c, !x->paged || a->seqused_k.ndim != 0, x->names.seqused_k,
                      "I32 [B], it is absent: block_table is given, whose keys it counts");
}

static void aiteri_check_heads(aiteri_check *c, const aiteri_attention *x)
{
    const aiter_flash_attn_fwd_args *a = &x->a;
    const int32_t qd = a->q.ndim - 1, kd = a->k.ndim - 1;
    const int64_t heads_q = a->q.shape[qd - 1], heads_k = a->k.shape[kd - 1];
    aiteri_check_axis(c, x->names.q, &a->q, qd - 1, "heads", 1, 65535);
    if (c->status == AITER_OK && (heads_k < 1 || heads_q % heads_k != 0))
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: has %lld heads, expected a divisor of %lld (= heads of q)%s", c->op,
                      x->names.k, (long long)heads_k, (long long)heads_q,
                      aiteri_head_major_advice(&a->q, &a->k, x->paged));
    aiteri_check_axis(c, x->names.q, &a->q, qd, "head_dim", 1, AITERI_MAX_HEAD_DIM);
    aiteri_check_axis(c, x->names.v, &a->v, kd, "head_dim", 1, AITERI_MAX_HEAD_DIM);
    if (x->paged) aiteri_check_axis(c, x->names.k, &a->k, 1, "page size", 1, INT32_MAX - 1);
    for (int32_t i = 0; i < qd - 1; i++)
        aiteri_check_axis(c, x->names.q, &a->q, i, "batch or rows", 0, INT32_MAX - 1);
    for (int32_t i = 0; i < kd - 1; i++)
        aiteri_check_axis(c, x->names.k, &a->k, i, "batch, blocks or keys", 0, INT32_MAX - 1);
}

static void aiteri_check_qkv(aiteri_check *c, aiteri_attention *x)
{
    aiter_flash_attn_fwd_args *a = &x->a;
    const int keys_packed = a->cu_seqlens_k.ndim != 0;
    const int32_t q_ndim = x->packed ? 3 : 4, k_ndim = keys_packed ? 3 : 4;
    const char *rows = aiteri_rows_layout(&x->names, x->packed);
    const char *keys = aiteri_keys_layout(&x->names, keys_packed, x->paged);
    const unsigned types = x->names.has_scales ? AITERI_FLOATS_OR_I8 : AITERI_FLOATS;
    aiteri_check_tensor(c, x->names.q, &a->q, q_ndim, q_ndim, AITERI_FLOATS, 1, rows);
    aiteri_check_tensor(c, x->names.k, &a->k, k_ndim, k_ndim, types, 1, keys);
    aiteri_check_tensor(c, x->names.v, &a->v, k_ndim, k_ndim, types, 1, keys);
    aiteri_check_tensor(c, "out", &a->out, q_ndim, q_ndim, AITERI_FLOATS, 1, rows);
    if (c->status != AITER_OK) return;
    const int32_t qd = q_ndim - 1, kd = k_ndim - 1;
    if (a->k.dtype != a->v.dtype)
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: dtype is %s, expected %s (= %s.dtype)",
                      c->op, x->names.v, aiter_dtype_name(a->v.dtype), aiter_dtype_name(a->k.dtype),
                      x->names.k);
    for (int32_t i = 0; i < qd; i++) aiteri_check_extent(c, "out", &a->out, i, a->q.shape[i], "q");
    if (!x->packed && !x->paged)
        aiteri_check_extent(c, x->names.k, &a->k, 0, a->q.shape[0],
                            aiteri_batch_of_keys(&x->names));
    for (int32_t i = 0; i < kd; i++)
        aiteri_check_extent(c, x->names.v, &a->v, i, a->k.shape[i], x->names.k);
    aiteri_check_extent(c, x->names.k, &a->k, kd, a->q.shape[qd], aiteri_head_dim_of(&a->q, &a->v));
    aiteri_check_extent(c, "out", &a->out, qd, a->v.shape[kd], "the head_dim of v");
    aiteri_check_heads(c, x);
}

/* An optional I32 vector of n elements. */
static void aiteri_check_lengths(aiteri_check *c, const char *field, aiter_tensor *t, int64_t n)
{
    if (!aiteri_check_tensor(c, field, t, 1, 1, AITERI_ONLY_I32, 0, "[B]")) return;
    aiteri_check_extent(c, field, t, 0, n,
                        t->shape[0] == n + 1 ? "the batch: lengths, not their running sum"
                                             : "the batch");
}

static void aiteri_check_lengths_shapes(aiteri_check *c, aiteri_attention *x)
{
    aiter_flash_attn_fwd_args *a = &x->a;
    if (c->status != AITER_OK) return;
    int64_t batch = a->q.shape[0];
    if (x->packed) {
        aiteri_check_tensor(c, "cu_seqlens_q", &a->cu_seqlens_q, 1, 1, AITERI_ONLY_I32, 1,
                            "[B + 1]");
        aiteri_check_axis(c, "cu_seqlens_q", &a->cu_seqlens_q, 0, "batch + 1", 1, INT32_MAX - 1);
        if (c->status != AITER_OK) return; /* nothing is known of the batch */
        batch = a->cu_seqlens_q.shape[0] - 1;
    }
    x->problem.batch = (int32_t)batch;
    if (aiteri_check_tensor(c, "cu_seqlens_k", &a->cu_seqlens_k, 1, 1, AITERI_ONLY_I32, 0,
                            "[B + 1]"))
        aiteri_check_extent(c, "cu_seqlens_k", &a->cu_seqlens_k, 0, batch + 1,
                            "batch + 1, the extent of cu_seqlens_q");
    aiteri_check_lengths(c, "seqused_q", &a->seqused_q, batch);
    aiteri_check_lengths(c, x->names.seqused_k, &a->seqused_k, batch);
    if (aiteri_check_tensor(c, "block_table", &a->block_table, 2, 2, AITERI_ONLY_I32, 0,
                            "[B, max_blocks]")) {
        aiteri_check_extent(c, "block_table", &a->block_table, 0, batch, "the batch");
        aiteri_check_axis(c, "block_table", &a->block_table, 1, "max_blocks", 0, INT32_MAX - 1);
    }
    aiteri_check_range(c, "max_seqlen_q", a->max_seqlen_q, 0, INT32_MAX - 1);
    aiteri_check_range(c, "max_seqlen_k", a->max_seqlen_k, 0, INT32_MAX - 1);
}

/* One side of a window; of another mask it must be 0 or -1, which people write for none. */
static void aiteri_check_window(aiteri_check *c, const char *field, aiter_mask mask, int32_t side)
{
    if (mask == AITER_MASK_WINDOW) {
        if (side < -1)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.%s: is %d, expected 0 or more keys, or -1 (open)", c->op, field,
                          (int)side);
    } else if (side != 0 && side != -1) {
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: is %d, expected 0 or -1 without a window: set mask = "
                      "AITER_MASK_WINDOW (of a causal one window_right is 0)",
                      c->op, field, (int)side);
    }
}

static void aiteri_check_score(aiteri_check *c, aiteri_attention *x)
{
    aiter_flash_attn_fwd_args *a = &x->a;
    aiteri_check_enum(c, "mask", (int)a->mask, AITER_MASK_COUNT, "aiter_mask");
    aiteri_check_window(c, "window_left", a->mask, a->window_left);
    aiteri_check_window(c, "window_right", a->mask, a->window_right);
    aiteri_check_range(c, "sink_tokens", a->sink_tokens, 0, INT32_MAX);
    aiteri_check_range(c, "num_splits", a->num_splits, 0, INT32_MAX);
    aiteri_check_scale(c, "softmax_scale", a->softmax_scale);
    aiteri_check_scale(c, "softcap", a->softcap);
}

/* 1 / sqrt(dim) to nearest even, whatever rounding the caller has set: checks run in its mode. */
static float aiteri_default_scale(int32_t dim)
{
    double scale = 1.0 / aiteri_rounded_f64(sqrt((double)dim));
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
    p->num_splits = a->num_splits;
    /* By bits: a subnormal is not 0, whatever the caller's flags. No softmax can tell a score of
     * 2^-40 from one of 0, so that a smaller softcap may be that. */
    const uint32_t least_cap = (127u - 40) << 23, cap = aiteri_bits_of_f32(a->softcap) << 1 >> 1;
    p->softcap = aiteri_f32_of_bits(cap == 0 || cap > least_cap ? cap : least_cap);
    p->softmax_scale = aiteri_bits_of_f32(a->softmax_scale) << 1 != 0
                           ? a->softmax_scale
                           : aiteri_default_scale(p->k.dim);
}

static void aiteri_lower_alibi_and_sinks(aiteri_check *c, aiteri_attention *x)
{
    aiter_flash_attn_fwd_args *a = &x->a;
    aiteri_problem *p = &x->problem;
    if (aiteri_check_tensor(c, "alibi_slopes", &a->alibi_slopes, 1, 2, AITERI_ONLY_F32, 0,
                            "[Hq] or [B, Hq]")) {
        const aiter_tensor *t = &a->alibi_slopes;
        if (t->ndim == 2) aiteri_check_extent(c, "alibi_slopes", t, 0, p->batch, "the batch");
        aiteri_check_extent(c, "alibi_slopes", t, t->ndim - 1, p->heads_q, "heads of q");
        p->alibi_slopes = (const float *)t->data;
        p->alibi_stride_batch = t->ndim == 2 ? t->stride[0] : 0;
        p->alibi_stride_head = t->stride[t->ndim - 1];
    }
    if (aiteri_check_tensor(c, "sinks", &a->sinks, 1, 1, AITERI_ONLY_F32, 0, "[Hq]")) {
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
    if (t->ndim != 0 && t->dtype == AITER_U8)
        aiteri_reject(
            c, AITER_INVALID_ARGUMENT,
            "%s.bias: dtype is u8, expected f32, f16, bf16; of a boolean mask make 0 where "
            "a key shows and -infinity where it is hidden",
            c->op);
    if (!aiteri_check_tensor(c, "bias", t, 2, x->packed ? 3 : 4, AITERI_FLOATS, 0,
                             x->packed ? "[total_q, keys] or [Hq, total_q, keys]"
                                       : "[Sq, Sk], [Hq, Sq, Sk] or [B, Hq, Sq, Sk]"))
        return;
    const int32_t n = t->ndim;
    const int64_t rows = x->packed ? p->total_q : p->seqlen_q;
    const int any_keys = x->packed || x->paged; /* checked against the lengths */
    static const char *const what[4] = {"the batch", "heads of q", "rows of q", "keys of k"};
    const int64_t expected[4] = {p->batch, p->heads_q, rows,
                                 any_keys ? t->shape[n - 1] : p->seqlen_k};
    for (int32_t i = 0; i < n; i++) {
        const int64_t want = expected[4 - n + i];
        if (t->shape[i] != 1 && t->shape[i] != want)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.bias: shape[%d] is %lld, expected 1 or %lld (= %s)%s", c->op, (int)i,
                          (long long)t->shape[i], (long long)want, what[4 - n + i],
                          x->packed ? "" : aiteri_bias_advice(t, i, p->batch, want));
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
    if (!aiteri_check_tensor(c, "lse", t, packed ? 2 : 3, packed ? 2 : 3, AITERI_ONLY_F32, 0,
                             x->packed       ? "[Hq, total_q]"
                             : x->lse_packed ? "[Hq, B]"
                                             : "[B, Hq, Sq]"))
        return;
    if (!packed && aiteri_lse_is_exchanged(t, &x->a.q))
        aiteri_reject(
            c, AITER_INVALID_ARGUMENT,
            "%s.lse: has %lld heads and %lld rows, but %s has %lld and %lld; either lse, or "
            "q, k, v and out have their axes exchanged: aiter_tensor_transpose(t, 1, 2)",
            c->op, (long long)t->shape[1], (long long)t->shape[2], x->names.q,
            (long long)t->shape[2], (long long)t->shape[1]);
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
    if (!aiteri_check_tensor(c, field, t, 1, rank, AITERI_ONLY_F32, data->dtype == AITER_I8,
                             "f32 scales of the i8 data: [1], [Hk], or its shape without D"))
        return;
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
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.%s: ndim is %d, expected %d: the data's shape without D", c->op,
                          field, (int)t->ndim, (int)rank);
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
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: ndim is %d, expected 1 for this scale_kind", c->op, field,
                      (int)t->ndim);
    aiteri_check_extent(c, field, t, 0, kind == AITER_SCALE_TENSOR ? 1 : data->shape[rank - 1],
                        kind == AITER_SCALE_TENSOR ? "one scale" : "kv heads; or 1 for one scale");
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
    aiteri_check_form(c, x);
    aiteri_check_qkv(c, x);
    aiteri_check_lengths_shapes(c, x);
    aiteri_check_score(c, x);
    aiteri_lower_shapes(c, x);
    aiteri_lower_score(c, x);
    if (c->status == AITER_OK) {
        aiteri_check_enum(c, "scale_kind", (int)x->a.scale_kind, AITER_SCALE_COUNT,
                          "aiter_scale_kind");
        aiteri_lower_scales(c, x, "k_scale", &x->a.k_scale, &x->a.k, &x->problem.k);
        aiteri_lower_scales(c, x, "v_scale", &x->a.v_scale, &x->a.v, &x->problem.v);
        aiteri_lower_alibi_and_sinks(c, x);
        aiteri_lower_bias(c, x);
        aiteri_lower_lse(c, x);
    }
    x->problem.features = aiteri_problem_features(&x->problem);
    if (c->status == AITER_OK) {
        const aiteri_schedule_bounds n = aiteri_schedule_bounds_of(&x->problem, 1);
        if (n.works > INT32_MAX || n.partial_rows > INT32_MAX)
            aiteri_reject(c, AITER_UNSUPPORTED,
                          "%s: the shapes could need more than 2^31 works; pass max_seqlen_q and "
                          "max_seqlen_k, or cut the batch",
                          c->op);
    }
    return c->status;
}

#endif /* AITERI_ATTENTION_CHECK_C */
