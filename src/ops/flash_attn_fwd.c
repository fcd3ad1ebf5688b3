/* flash_attn_fwd.c -- the general softmax attention, and the names that some of its forms have
 * elsewhere. */
#ifndef AITERI_FLASH_ATTN_FWD_C
#define AITERI_FLASH_ATTN_FWD_C

#include "attention_calls.c"

static const aiteri_attention_op aiteri_flash_attn_fwd_op = {"aiter_flash_attn_fwd",
                                                             AITER_MASK_NONE, 0, NULL};

AITERI_ATTENTION_CALLS(flash_attn_fwd)
AITERI_ATTENTION_PLAN(flash_attn_fwd)

/* ---- aiter_grouped_query_attention ---- */

static const aiteri_attention_op aiteri_grouped_query_attention_op = {
    "aiter_grouped_query_attention", AITER_MASK_NONE, 0, NULL};

AITERI_ATTENTION_CALLS(grouped_query_attention)
AITERI_ATTENTION_PLAN(grouped_query_attention)

/* ---- aiter_multi_query_attention ---- */

static aiter_status aiteri_multi_query_attention_begin(aiteri_attention *x, aiter_context *ctx)
{
    const aiter_tensor *k = &x->a.kv.k;
    const int32_t axis = k->ndim == 4 ? 2 : 1;
    if (k->ndim >= 3 && k->ndim <= 5 && k->shape[axis] != 1)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT,
                           "aiter_multi_query_attention.kv.k: shape[%d] is %lld, expected 1 kv "
                           "head (%s)",
                           (int)axis, (long long)k->shape[axis],
                           k->ndim == 4 && k->shape[1] == 1
                               ? "of tensors whose axes are [B, H, S, D] pass "
                                 "aiter_tensor_transpose(t, 1, 2)"
                               : "aiter_grouped_query_attention takes more");
    return AITER_OK;
}

static const aiteri_attention_op aiteri_multi_query_attention_op = {
    "aiter_multi_query_attention", AITER_MASK_NONE, 0, aiteri_multi_query_attention_begin};

AITERI_ATTENTION_CALLS(multi_query_attention)
AITERI_ATTENTION_PLAN(multi_query_attention)

/* ---- aiter_variable_length_attention ---- */

static aiter_status aiteri_variable_length_attention_begin(aiteri_attention *x, aiter_context *ctx)
{
    const int keys =
        x->a.kv.cu_seqlens.ndim != 0 || x->a.kv.block_table.ndim != 0 || x->a.kv.indptr.ndim != 0;
    if (x->a.cu_seqlens_q.ndim == 0 || !keys)
        return aiteri_fail(
            ctx, AITER_INVALID_ARGUMENT,
            "aiter_variable_length_attention.%s: is absent (ndim 0), expected I32 [B + 1]",
            x->a.cu_seqlens_q.ndim == 0 ? "cu_seqlens_q" : "kv.cu_seqlens");
    return AITER_OK;
}

static const aiteri_attention_op aiteri_variable_length_attention_op = {
    "aiter_variable_length_attention", AITER_MASK_NONE, 0, aiteri_variable_length_attention_begin};

AITERI_ATTENTION_CALLS(variable_length_attention)
AITERI_ATTENTION_PLAN(variable_length_attention)

#endif /* AITERI_FLASH_ATTN_FWD_C */
