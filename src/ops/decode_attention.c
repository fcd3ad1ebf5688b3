/* decode_attention.c -- one token in the transposed layouts of tile accelerators: q [D, Hq], k and
 * v [Hk, D, Sk], out [Hq, D], as [B, S, H, D] with B = Sq = 1. */
#ifndef AITERI_DECODE_ATTENTION_C
#define AITERI_DECODE_ATTENTION_C

#include "attention_calls.c"

/* An argument of which every index was checked seen as four dimensions: order[i] is the dimension
 * of `t` that becomes dimension i, or -1 for an extent of 1. */
static aiter_tensor aiteri_as_4d(const aiter_tensor *t, int32_t d0, int32_t d1, int32_t d2,
                                 int32_t d3)
{
    const int32_t order[4] = {d0, d1, d2, d3};
    aiter_tensor r = *t;
    r.ndim = 4;
    for (int32_t i = 0; i < 4; i++) {
        r.shape[i] = order[i] < 0 ? 1 : t->shape[order[i]];
        r.stride[i] = order[i] < 0 ? 0 : t->stride[order[i]];
    }
    return r;
}

/* What the layout has no place for. */
static void aiteri_check_transposed_fields(aiteri_check *c, const aiter_attention_args *a)
{
    const char *why = "the layout has one sequence, whose keys are all of kv.k";
    aiteri_check_true(c, a->call.plan == NULL, "call.plan", "none: this op has no plan");
    aiteri_check_absent(c, "lse", &a->lse, "aiter_flash_attn_fwd gives it");
    aiteri_check_absent(c, "cu_seqlens_q", &a->cu_seqlens_q, why);
    aiteri_check_absent(c, "seqused_q", &a->seqused_q, why);
    aiteri_check_absent(c, "kv.seq_lens", &a->kv.seq_lens, why);
    aiteri_check_absent(c, "kv.cu_seqlens", &a->kv.cu_seqlens, why);
    aiteri_check_absent(c, "kv.block_table", &a->kv.block_table, why);
    aiteri_check_absent(c, "kv.indptr", &a->kv.indptr, why);
    aiteri_check_absent(c, "kv.indices", &a->kv.indices, why);
    aiteri_check_absent(c, "kv.last_page_lens", &a->kv.last_page_lens, why);
}

/* Checked as the caller wrote them, so that a text names the caller's indices. `one`: without the
 * head axes. */
static aiter_status aiteri_transposed_begin(aiteri_attention *x, int one, aiter_context *ctx)
{
    aiter_tensor *q = &x->a.q, *k = &x->a.kv.k, *v = &x->a.kv.v, *out = &x->a.out;
    aiteri_check check = {x->op->name, ctx, AITER_OK};
    aiteri_check *c = &check;
    const char *keys = one ? "[D, Sk]" : "[Hk, D, Sk]";
    const int32_t n = one ? 2 : 3;
    aiteri_check_transposed_fields(c, &x->a);
    aiteri_check_tensor(c, "q", q, 2, 2, AITERI_ROW_TYPES, 1, one ? "[D, 1]" : "[D, Hq]");
    aiteri_check_tensor(c, "kv.k", k, n, n, AITERI_FLOATS, 1, keys);
    aiteri_check_tensor(c, "kv.v", v, n, n, AITERI_FLOATS, 1, keys);
    aiteri_check_tensor(c, "out", out, 2, 2, AITERI_ROW_TYPES, 1, one ? "[1, D]" : "[Hq, D]");
    if (c->status != AITER_OK) return c->status;
    if (one) aiteri_check_extent(c, "q", q, 1, 1, "one query head: q is [D, 1]");
    aiteri_check_extent(c, "kv.k", k, n - 2, q->shape[0],
                        one ? "D of q, which is [D, 1]" : "D of q, which is [D, Hq]");
    aiteri_check_axis(c, "q", q, 0, "head_dim", 1, AITERI_MAX_HEAD_DIM);
    aiteri_check_axis(c, "q", q, 1, "heads", 1, 65535);
    aiteri_check_axis(c, "kv.k", k, n - 1, "keys", 0, INT32_MAX - 1);
    for (int32_t i = 0; i < n; i++) aiteri_check_extent(c, "kv.v", v, i, k->shape[i], "kv.k");
    aiteri_check_extent(c, "out", out, 0, q->shape[1], "heads of q");
    aiteri_check_extent(c, "out", out, 1, q->shape[0], "D of q");
    if (c->status != AITER_OK) return c->status;
    *q = aiteri_as_4d(q, -1, -1, 1, 0);
    *k = aiteri_as_4d(k, -1, n - 1, n - 3, n - 2);
    *v = aiteri_as_4d(v, -1, n - 1, n - 3, n - 2);
    *out = aiteri_as_4d(out, -1, -1, 0, 1);
    return AITER_OK;
}

static aiter_status aiteri_decode_attention_begin(aiteri_attention *x, aiter_context *ctx)
{
    return aiteri_transposed_begin(x, 1, ctx);
}

static const aiteri_attention_op aiteri_decode_attention_op = {
    "aiter_decode_attention", AITER_MASK_NONE, 0, aiteri_decode_attention_begin};

AITERI_ATTENTION_CALLS(decode_attention)

static aiter_status aiteri_decode_attention_gqa_begin(aiteri_attention *x, aiter_context *ctx)
{
    return aiteri_transposed_begin(x, 0, ctx);
}

static const aiteri_attention_op aiteri_decode_attention_gqa_op = {
    "aiter_decode_attention_gqa", AITER_MASK_NONE, 0, aiteri_decode_attention_gqa_begin};

AITERI_ATTENTION_CALLS(decode_attention_gqa)

#endif /* AITERI_DECODE_ATTENTION_C */
