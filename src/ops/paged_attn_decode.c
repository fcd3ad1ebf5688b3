/* paged_attn_decode.c -- decode over pages: the new tokens are the last keys of their sequences. */
#ifndef AITERI_PAGED_ATTN_DECODE_C
#define AITERI_PAGED_ATTN_DECODE_C

#include "attention_calls.c"

/* [B, Hq, D] seen as [B, 1, Hq, D]. */
static aiter_tensor aiteri_with_token_dim(aiter_tensor t)
{
    memmove(t.shape + 2, t.shape + 1, 2 * sizeof t.shape[0]);
    memmove(t.stride + 2, t.stride + 1, 2 * sizeof t.stride[0]);
    t.ndim = 4;
    t.shape[1] = 1;
    return t;
}

/* q and out as the caller wrote them, of one token each perhaps: a text names the caller's indices.
 */
static aiter_status aiteri_paged_check_rows(aiteri_attention *x, aiter_context *ctx)
{
    aiter_tensor *q = &x->a.q, *out = &x->a.out;
    aiteri_check check = {x->op->name, ctx, AITER_OK};
    aiteri_check *c = &check;
    aiteri_check_tensor(c, "q", q, 3, 4, AITERI_ROW_TYPES, 1, aiteri_rows_layout(1, 0));
    aiteri_check_tensor(c, "out", out, q->ndim, q->ndim, AITERI_ROW_TYPES, 1,
                        q->ndim == 3 ? "[B, Hq, D], as q" : "[B, q_len, Hq, D], as q");
    for (int32_t i = 0; c->status == AITER_OK && i < q->ndim - 1; i++)
        aiteri_check_extent(c, "out", out, i, q->shape[i], "q");
    if (c->status != AITER_OK) return c->status;
    aiteri_check_axis(c, "q", q, q->ndim - 1, "head_dim", 1, AITERI_MAX_HEAD_DIM);
    aiteri_check_axis(c, "q", q, q->ndim - 2, "heads", 1, 65535);
    return c->status;
}

/* The table and the lengths choose the paged form inside; without them it would be another op. */
static aiter_status aiteri_paged_attn_decode_begin(aiteri_attention *x, aiter_context *ctx)
{
    aiteri_check check = {x->op->name, ctx, AITER_OK};
    aiteri_check *c = &check;
    const int listed = x->a.kv.indptr.ndim != 0;
    if (x->a.kv.block_table.ndim == 0 && !listed)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.kv.block_table: is absent (ndim 0), expected I32 [B, max_blocks]", c->op);
    if (x->a.kv.seq_lens.ndim == 0 && !listed)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.kv.seq_lens: is absent (ndim 0), expected I32 [B]", c->op);
    aiteri_check_absent(c, "cu_seqlens_q", &x->a.cu_seqlens_q,
                        "q has as many tokens of every sequence; aiter_flash_attn_fwd takes a "
                        "mixed batch");
    aiteri_check_absent(c, "seqused_q", &x->a.seqused_q,
                        "q has as many tokens of every sequence; aiter_flash_attn_fwd takes a "
                        "padded batch");
    if (c->status != AITER_OK) return c->status;
    AITERI_TRY(aiteri_paged_check_rows(x, ctx));
    x->lse_packed = x->a.q.ndim == 3;
    if (!x->lse_packed) return AITER_OK;
    x->a.q = aiteri_with_token_dim(x->a.q);
    x->a.out = aiteri_with_token_dim(x->a.out);
    return AITER_OK;
}

static const aiteri_attention_op aiteri_paged_attn_decode_op = {
    "aiter_paged_attn_decode", AITER_MASK_CAUSAL, 1, aiteri_paged_attn_decode_begin};

AITERI_ATTENTION_CALLS(paged_attn_decode)
AITERI_ATTENTION_PLAN(paged_attn_decode)

#endif /* AITERI_PAGED_ATTN_DECODE_C */
