/* attention_lower.c -- checked arguments become a problem: rows, sources, lengths, score, outputs.
 * What only lowering can tell, the shapes of scales, bias, slopes and lse, is checked on the way.
 */
#ifndef AITERI_ATTENTION_LOWER_C
#define AITERI_ATTENTION_LOWER_C

#include "../plan/source_at.c"
#include "attention_check.c"
#include "../plan/features.c"
#include "../plan/schedule.c"

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
    const aiter_attention_args *a = &x->a;
    aiteri_problem *p = &x->problem;
    if (c->status != AITER_OK) return;
    p->mask = a->score.mask;
    p->window_left = a->score.window_left;
    p->window_right = a->score.window_right;
    p->sink_tokens = a->score.sink_tokens;
    p->num_splits = a->num_splits;
    /* By bits: a subnormal is not 0, whatever the caller's flags. No softmax can tell a score of
     * 2^-40 from one of 0, so that a smaller softcap may be that. */
    const uint32_t least_cap = (127u - 40) << 23,
                   cap = aiteri_bits_of_f32(a->score.softcap) << 1 >> 1;
    p->softcap = aiteri_f32_of_bits(cap == 0 || cap > least_cap ? cap : least_cap);
    p->softmax_scale = aiteri_bits_of_f32(a->score.softmax_scale) << 1 != 0
                           ? a->score.softmax_scale
                           : aiteri_default_scale(p->k.dim);
}

/* Scales of the rows of q or out: one, one for each batch row and kv head, or, `each`, for each
 * row: q's shape with 1 for D. */
static aiteri_row_scales aiteri_lower_row_scales(aiteri_check *c, const aiteri_attention *x,
                                                 const char *field, aiter_tensor *t, int each)
{
    const aiteri_problem *p = &x->problem;
    const aiter_tensor *q = &x->a.q;
    aiteri_row_scales s = {NULL, 1, 0, 0, 0};
    const int32_t rank = x->lse_packed ? 3 : q->ndim; /* as the caller has it */
    if (!aiteri_check_tensor(c, field, t, 1, each ? rank : 2, AITERI_ONLY_F32, 0,
                             !each ? "[1] or [B, Hk]" : "[1], [B, Hk], or q's with 1 for D"))
        return s;
    s.data = (const float *)t->data;
    if (t->ndim == 1) {
        aiteri_check_extent(c, field, t, 0, 1, "one scale");
    } else if (t->ndim == 2) {
        aiteri_check_extent(c, field, t, 0, p->batch, "the batch");
        aiteri_check_extent(c, field, t, 1, p->heads_k, "kv heads");
        s.stride_batch = t->stride[0];
        s.stride_head = t->stride[1];
        s.heads = p->group;
    } else if (t->ndim == rank) {
        for (int32_t i = 0; i < rank - 2; i++)
            aiteri_check_extent(c, field, t, i, q->shape[i], "q");
        aiteri_check_extent(c, field, t, rank - 2, p->heads_q, "heads of q");
        aiteri_check_extent(c, field, t, rank - 1, 1, "one scale for a row");
        s.stride_batch = x->packed ? 0 : t->stride[0];
        s.stride_token = x->lse_packed ? 0 : t->stride[rank - 3];
        s.stride_head = t->stride[rank - 2];
    } else {
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: ndim is 3, expected 1, 2 or 4: [1], [B, Hk], or q's with 1 for D",
                      c->op, field);
    }
    return s;
}

/* One scale of q belongs to softmax_scale, others to the rows. */
static void aiteri_lower_q_and_out_scales(aiteri_check *c, aiteri_attention *x)
{
    aiteri_problem *p = &x->problem;
    const aiteri_row_scales q =
        aiteri_lower_row_scales(c, x, "score.q_scale", &x->a.score.q_scale, 1);
    if (x->a.score.q_scale.ndim == 1)
        p->q_scale = q.data;
    else
        p->q_scales = q;
    p->out_scales = aiteri_lower_row_scales(c, x, "out_scale", &x->a.out_scale, 0);
}

static void aiteri_lower_alibi_and_sinks(aiteri_check *c, aiteri_attention *x)
{
    aiter_attention_args *a = &x->a;
    aiteri_problem *p = &x->problem;
    if (aiteri_check_tensor(c, "score.alibi_slopes", &a->score.alibi_slopes, 1, 2, AITERI_ONLY_F32,
                            0, "[Hq] or [B, Hq]")) {
        const aiter_tensor *t = &a->score.alibi_slopes;
        if (t->ndim == 2) aiteri_check_extent(c, "score.alibi_slopes", t, 0, p->batch, "the batch");
        aiteri_check_extent(c, "score.alibi_slopes", t, t->ndim - 1, p->heads_q, "heads of q");
        p->alibi_slopes = (const float *)t->data;
        p->alibi_stride_batch = t->ndim == 2 ? t->stride[0] : 0;
        p->alibi_stride_head = t->stride[t->ndim - 1];
    }
    if (aiteri_check_tensor(c, "score.sinks", &a->score.sinks, 1, 1, AITERI_ONLY_F32, 0, "[Hq]")) {
        aiteri_check_extent(c, "score.sinks", &a->score.sinks, 0, p->heads_q, "heads of q");
        p->sinks = (const float *)a->score.sinks.data;
        p->sinks_stride = a->score.sinks.stride[0];
    }
}

/* A value for each pair of a row and a key, [(B,) (Hq,) rows, keys]: extents of 1 broadcast, packed
 * rows have no batch dimension. */
static void aiteri_lower_pairs(aiteri_check *c, aiteri_attention *x, const char *field,
                               aiter_tensor *t, unsigned types, aiteri_rows *pairs)
{
    const aiteri_problem *p = &x->problem;
    if (!aiteri_check_tensor(c, field, t, 2, x->packed ? 3 : 4, types, 0,
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
                          "%s.%s: shape[%d] is %lld, expected 1 or %lld (= %s)%s", c->op, field,
                          (int)i, (long long)t->shape[i], (long long)want, what[4 - n + i],
                          x->packed ? "" : aiteri_bias_advice(t, i, p->batch, want));
    }
    pairs->data = (char *)t->data;
    pairs->dtype = t->dtype;
    pairs->stride_batch = n == 4 ? aiteri_broadcast_stride(t, 0) : 0;
    pairs->stride_head = n >= 3 ? aiteri_broadcast_stride(t, n - 3) : 0;
    pairs->stride_token = aiteri_broadcast_stride(t, n - 2);
    pairs->stride_dim = aiteri_broadcast_stride(t, n - 1);
}

static void aiteri_lower_bias(aiteri_check *c, aiteri_attention *x)
{
    aiter_score *s = &x->a.score;
    if (s->bias.ndim != 0 && s->bias.dtype == AITER_U8)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.score.bias: dtype is u8, expected f32, f16, bf16; pass a boolean mask as "
                      "score.visible, 1 where a key shows",
                      c->op);
    aiteri_lower_pairs(c, x, "score.bias", &s->bias, AITERI_FLOATS, &x->problem.bias);
    aiteri_lower_pairs(c, x, "score.visible", &s->visible, AITERI_TYPE_BIT(AITER_U8),
                       &x->problem.visible);
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
            "%s.lse: has %lld heads and %lld rows, but q has %lld and %lld; either lse, or "
            "q, k, v and out have their axes exchanged: aiter_tensor_transpose(t, 1, 2)",
            c->op, (long long)t->shape[1], (long long)t->shape[2], (long long)t->shape[2],
            (long long)t->shape[1]);
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

/* What scales are that no kind was given for. */
static aiter_scale_kind aiteri_scale_kind_by_shape(const aiter_tensor *t, const aiter_tensor *data,
                                                   int paged)
{
    if (t->ndim == data->ndim) return AITER_SCALE_PER_GROUP;
    if (t->ndim == data->ndim - 1) return AITER_SCALE_PER_TOKEN_HEAD;
    if (t->ndim == 2) return paged ? AITER_SCALE_PER_BLOCK_HEAD : AITER_SCALE_PER_BATCH_HEAD;
    return t->shape[0] == 1 && data->shape[data->ndim - 2] != 1 ? AITER_SCALE_PER_TENSOR
                                                                : AITER_SCALE_PER_HEAD;
}

/* The extents of scales of a kind, but for the groups of a row. */
static void aiteri_check_scale_shape(aiteri_check *c, const aiteri_attention *x, const char *field,
                                     const aiter_tensor *t, aiter_scale_kind kind,
                                     const aiter_tensor *data)
{
    static const char *const layout[] = {"",
                                         "[1]",
                                         "[Hk]",
                                         "the data's shape without D",
                                         "[num_blocks, Hk]",
                                         "[B, Hk]",
                                         "[Hk, D]",
                                         "the data's shape with groups of columns for D"};
    const int32_t n = data->ndim;
    const int64_t heads = data->shape[n - 2];
    const int by_row = kind == AITER_SCALE_PER_TOKEN_HEAD || kind == AITER_SCALE_PER_GROUP;
    const int32_t ndim =
        by_row ? n - (kind == AITER_SCALE_PER_TOKEN_HEAD) : 1 + (kind > AITER_SCALE_PER_TOKEN_HEAD);
    if (t->ndim != ndim) {
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: ndim is %d, expected %d: %s", c->op, field,
                      (int)t->ndim, (int)ndim, layout[kind]);
    } else if (by_row) {
        for (int32_t i = 0; i < n - 1; i++)
            aiteri_check_extent(c, field, t, i, data->shape[i], "the data's shape");
    } else if (kind == AITER_SCALE_PER_TENSOR) {
        aiteri_check_extent(c, field, t, 0, 1, "one scale");
    } else if (kind == AITER_SCALE_PER_HEAD) {
        aiteri_check_extent(c, field, t, 0, heads, "kv heads; or 1 for one scale");
    } else if (kind == AITER_SCALE_PER_CHANNEL) {
        aiteri_check_extent(c, field, t, 0, heads, "kv heads");
        aiteri_check_extent(c, field, t, 1, data->shape[n - 1], "the data's head_dim");
    } else {
        const int blocks = kind == AITER_SCALE_PER_BLOCK_HEAD;
        if (blocks != x->paged)
            aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s_kind: is %s", c->op, field,
                          blocks
                              ? "AITER_SCALE_PER_BLOCK_HEAD, expected AITER_SCALE_PER_BATCH_HEAD "
                                "for [B, Hk]: keys are not pages"
                              : "AITER_SCALE_PER_BATCH_HEAD, expected AITER_SCALE_PER_BLOCK_HEAD "
                                "for [num_blocks, Hk]: keys are pages");
        aiteri_check_extent(c, field, t, 0, blocks ? data->shape[0] : x->problem.batch,
                            blocks ? "blocks of kv.k" : "the batch");
        aiteri_check_extent(c, field, t, 1, heads, "kv heads");
    }
}

/* Scales of one quantised source. Integers need them. */
static void aiteri_lower_scales(aiteri_check *c, const aiteri_attention *x, const char *field,
                                aiter_tensor *t, aiter_scale_kind kind, const aiter_tensor *data,
                                aiteri_source *source, aiteri_channels *channels)
{
    const int64_t dim = data->shape[data->ndim - 1];
    if (!aiteri_check_tensor(c, field, t, 1, data->ndim, AITERI_SCALE_TYPES,
                             aiteri_is_type(data->dtype, AITERI_INTEGERS),
                             "scales of the data: [1], [Hk], its shape without D, or another of "
                             "aiter_scale_kind"))
        return;
    if (!aiteri_is_type(data->dtype, AITERI_QUANTISED)) {
        aiteri_check_true(c, 0, field, "none: only I8, I4 and fp8 keys and values have scales");
        return;
    }
    if (kind == AITER_SCALE_BY_SHAPE) kind = aiteri_scale_kind_by_shape(t, data, x->paged);
    aiteri_check_scale_shape(c, x, field, t, kind, data);
    if (c->status != AITER_OK) return;
    if (kind == AITER_SCALE_PER_CHANNEL) {
        const aiteri_channels of = {t->data, t->dtype, t->stride[0], t->stride[1]};
        *channels = of;
        return;
    }
    source->scales = aiteri_scales_of(t, kind);
    const int64_t groups = kind == AITER_SCALE_PER_GROUP ? t->shape[t->ndim - 1] : 1;
    if (groups == 1) return;
    if (groups < 1 || dim % groups != 0 || dim / groups % AITERI_PAD != 0)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: shape[%d] is %lld groups of %lld columns, expected groups of a "
                      "multiple of %d columns each",
                      c->op, field, (int)t->ndim - 1, (long long)groups, (long long)dim,
                      (int)AITERI_PAD);
    else
        source->scales.group = (int32_t)(dim / groups);
}

static void aiteri_lower_kv_scales(aiteri_check *c, aiteri_attention *x)
{
    aiter_kv *kv = &x->a.kv;
    aiteri_problem *p = &x->problem;
    aiteri_check_enum(c, "kv.k_scale_kind", (int)kv->k_scale_kind, AITER_SCALE_COUNT,
                      "aiter_scale_kind");
    aiteri_check_enum(c, "kv.v_scale_kind", (int)kv->v_scale_kind, AITER_SCALE_COUNT,
                      "aiter_scale_kind");
    aiteri_lower_scales(c, x, "kv.k_scale", &kv->k_scale, kv->k_scale_kind, &kv->k, &p->k,
                        &p->k_channels);
    if (!p->v_in_k)
        aiteri_lower_scales(c, x, "kv.v_scale", &kv->v_scale, kv->v_scale_kind, &kv->v, &p->v,
                            &p->v_channels);
    p->v.scales = p->v_in_k ? p->k.scales : p->v.scales;
    p->v_channels = p->v_in_k ? p->k_channels : p->v_channels;
}

/* A table of pages, or lists of them one after the other. */
static void aiteri_lower_pages(aiteri_problem *p, const aiter_kv *kv, int listed)
{
    const aiter_tensor *table = listed ? &kv->indices : &kv->block_table;
    p->block_table = (const int32_t *)table->data;
    p->table_entries = (int32_t)table->shape[table->ndim - 1];
    p->table_stride_entry = table->stride[table->ndim - 1];
    p->table_stride_batch = listed ? 0 : table->stride[0];
    if (!listed) return;
    p->page_indptr = (const int32_t *)kv->indptr.data;
    p->page_indptr_stride = kv->indptr.stride[0];
    p->last_page_lens = (const int32_t *)(kv->last_page_lens.ndim ? kv->last_page_lens.data : NULL);
    p->last_page_stride = kv->last_page_lens.stride[0];
}

/* Rows, sources, lengths: everything that needs no further check than those above. */
static void aiteri_lower_shapes(aiteri_check *c, aiteri_attention *x)
{
    const aiter_attention_args *a = &x->a;
    aiteri_problem *p = &x->problem;
    if (c->status != AITER_OK) return;
    const int32_t qd = a->q.ndim - 1;
    p->heads_q = (int32_t)a->q.shape[qd - 1];
    p->heads_k = (int32_t)a->kv.k.shape[a->kv.k.ndim - 2];
    p->group = p->heads_q / p->heads_k;
    p->q = aiteri_rows_of(&a->q, x->packed);
    p->out = aiteri_rows_of(&a->out, x->packed);
    if (a->q.shape[qd] == 1) p->q.stride_dim = 1;
    if (a->out.shape[qd] == 1) p->out.stride_dim = 1;
    p->k = aiteri_source_of(&a->kv.k);
    p->v = aiteri_source_of(&a->kv.v);
    p->k.tiles = x->order.tiles[0];
    p->v.tiles = x->order.tiles[1];
    p->seqlen_q = (int32_t)(x->packed ? 0 : a->q.shape[1]);
    p->seqlen_k = (int32_t)(x->paged || a->kv.k.ndim == 3 ? 0 : a->kv.k.shape[1]);
    p->total_q = x->packed ? a->q.shape[0] : a->q.shape[0] * a->q.shape[1];
    p->cu_seqlens_q = (const int32_t *)(a->cu_seqlens_q.ndim ? a->cu_seqlens_q.data : NULL);
    p->cu_seqlens_k = (const int32_t *)(a->kv.cu_seqlens.ndim ? a->kv.cu_seqlens.data : NULL);
    p->seqused_q = (const int32_t *)(a->seqused_q.ndim ? a->seqused_q.data : NULL);
    p->seqused_k = (const int32_t *)(a->kv.seq_lens.ndim ? a->kv.seq_lens.data : NULL);
    p->cu_stride_q = a->cu_seqlens_q.stride[0];
    p->cu_stride_k = a->kv.cu_seqlens.stride[0];
    p->used_stride_q = a->seqused_q.stride[0];
    p->used_stride_k = a->kv.seq_lens.stride[0];
    int64_t most_k = a->kv.k.ndim == 3 ? a->kv.k.shape[0] : a->kv.k.shape[1];
    if (x->paged) {
        p->page_size = (int32_t)a->kv.k.shape[1];
        p->num_blocks = (int32_t)a->kv.k.shape[0];
        aiteri_lower_pages(p, &a->kv, x->listed);
        most_k = (int64_t)p->table_entries * p->page_size;
    }
    /* A page may stand in several lists, but each of their entries in one alone. */
    if (x->listed || a->kv.k.ndim == 3) p->total_k = most_k;
    most_k = aiteri_min(most_k, INT32_MAX - 1);
    const int64_t most_q = x->packed ? a->q.shape[0] : a->q.shape[1];
    p->max_seqlen_q = (int32_t)(a->max_seqlen_q ? aiteri_min(a->max_seqlen_q, most_q) : most_q);
    p->max_seqlen_k = (int32_t)(a->kv.max_seqlen ? aiteri_min(a->kv.max_seqlen, most_k) : most_k);
}

/* Shapes only: what a workspace query may look at. */
static aiter_status aiteri_attention_lower(aiteri_attention *x, aiter_context *ctx)
{
    aiteri_check check = {x->op->name, ctx, AITER_OK};
    aiteri_check *c = &check;
    memset(&x->problem, 0, sizeof x->problem);
    x->packed = x->a.cu_seqlens_q.ndim != 0;
    x->listed = x->a.kv.indptr.ndim != 0;
    x->paged = x->listed || x->a.kv.block_table.ndim != 0;
    aiteri_check_form(c, x);
    aiteri_check_lists_form(c, x);
    aiteri_check_layout(c, &x->a.kv, x->paged, AITERI_KEY_TYPES, &x->order);
    aiteri_check_qkv(c, x);
    aiteri_check_lengths_shapes(c, x);
    aiteri_check_score(c, x);
    aiteri_lower_shapes(c, x);
    aiteri_lower_score(c, x);
    if (c->status == AITER_OK) {
        aiteri_lower_kv_scales(c, x);
        aiteri_lower_alibi_and_sinks(c, x);
        aiteri_lower_q_and_out_scales(c, x);
        aiteri_lower_bias(c, x);
        aiteri_lower_lse(c, x);
    }
    x->problem.features = aiteri_problem_features(&x->problem);
    if (c->status == AITER_OK) {
        const aiteri_schedule_bounds n = aiteri_schedule_bounds_of(&x->problem, 1);
        if (n.works > INT32_MAX || n.partial_rows > INT32_MAX)
            aiteri_reject(c, AITER_UNSUPPORTED,
                          "%s: the shapes could need more than 2^31 works; pass max_seqlen_q and "
                          "kv.max_seqlen, or cut the batch",
                          c->op);
    }
    return c->status;
}

#endif /* AITERI_ATTENTION_LOWER_C */
