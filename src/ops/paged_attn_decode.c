/* paged_attn_decode.c -- decode over pages: the new tokens are the last keys of their sequences. */
#ifndef AITERI_PAGED_ATTN_DECODE_C
#define AITERI_PAGED_ATTN_DECODE_C

#include "../api_ops.h"
#include "attention_run.c"

/* [B, Hq, D] seen as [B, 1, Hq, D]; other ranks as they are. */
static aiter_tensor aiteri_with_token_dim(aiter_tensor t)
{
    if (t.ndim != 3) return t;
    aiteri_tensor_fill_strides(&t);
    memmove(t.shape + 2, t.shape + 1, 2 * sizeof t.shape[0]);
    memmove(t.stride + 2, t.stride + 1, 2 * sizeof t.stride[0]);
    t.ndim = 4;
    t.shape[1] = 1;
    return t;
}

static aiteri_attention aiteri_paged_attention(const aiter_paged_attn_decode_args *args)
{
    const aiteri_field_names names = {
        "aiter_paged_attn_decode", "q", "k_cache", "v_cache", "seq_lens", 0, 1, 1};
    aiteri_attention x;
    memset(&x, 0, sizeof x);
    x.names = names;
    x.lse_packed = args->q.ndim == 3;
    x.a.q = aiteri_with_token_dim(args->q);
    x.a.out = args->q.ndim == 3 ? aiteri_with_token_dim(args->out) : args->out;
    x.a.k = args->k_cache;
    x.a.v = args->v_cache;
    x.a.block_table = args->block_table;
    x.a.seqused_k = args->seq_lens;
    x.a.lse = args->lse;
    x.a.mask = args->mask == AITER_MASK_DEFAULT ? AITER_MASK_CAUSAL : args->mask;
    x.a.window_left = args->window_left;
    x.a.window_right = args->window_right;
    x.a.sink_tokens = args->sink_tokens;
    x.a.softmax_scale = args->softmax_scale;
    x.a.softcap = args->softcap;
    x.a.alibi_slopes = args->alibi_slopes;
    x.a.sinks = args->sinks;
    x.a.num_splits = args->num_splits;
    x.a.max_seqlen_k = args->max_seqlen_k;
    x.a.k_scale = args->k_scale;
    x.a.v_scale = args->v_scale;
    x.a.scale_kind = args->scale_kind;
    x.a.plan = args->plan;
    x.a.workspace = args->workspace;
    x.a.workspace_bytes = args->workspace_bytes;
    return x;
}

/* q and out of one token each, as the caller wrote them: a text names the caller's indices. */
static aiter_status aiteri_paged_check_rows(const aiter_paged_attn_decode_args *args,
                                            aiter_context *ctx)
{
    const char *layout = "[B, Hq, D] or [B, q_len, Hq, D]";
    aiter_tensor q = args->q, out = args->out;
    aiteri_check check = {"aiter_paged_attn_decode", ctx, AITER_OK};
    aiteri_check *c = &check;
    aiteri_check_tensor(c, "q", &q, 3, 4, AITERI_FLOATS, 1, layout);
    aiteri_check_tensor(c, "out", &out, q.ndim, q.ndim, AITERI_FLOATS, 1,
                        q.ndim == 3 ? "[B, Hq, D], as q" : "[B, q_len, Hq, D], as q");
    for (int32_t i = 0; c->status == AITER_OK && i < q.ndim - 1; i++)
        aiteri_check_extent(c, "out", &out, i, q.shape[i], "q");
    if (c->status != AITER_OK) return c->status;
    aiteri_check_axis(c, "q", &q, q.ndim - 1, "head_dim", 1, AITERI_MAX_HEAD_DIM);
    aiteri_check_axis(c, "q", &q, q.ndim - 2, "heads", 1, 65535);
    return c->status;
}

/* block_table and seq_lens choose the paged form inside; without them it would be another op. */
static aiter_status aiteri_paged_check(const aiter_paged_attn_decode_args *args, aiter_context *ctx)
{
    aiteri_context_begin(ctx);
    if (args->block_table.ndim == 0)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT,
                           "aiter_paged_attn_decode.block_table: is absent (ndim 0), expected I32 "
                           "[B, max_blocks]");
    if (args->seq_lens.ndim == 0)
        return aiteri_fail(
            ctx, AITER_INVALID_ARGUMENT,
            "aiter_paged_attn_decode.seq_lens: is absent (ndim 0), expected I32 [B]");
    return aiteri_paged_check_rows(args, ctx);
}

AITER_API aiter_status aiter_paged_attn_decode(const aiter_paged_attn_decode_args *args,
                                               aiter_context *ctx)
{
    if (!args) return aiteri_no_args("aiter_paged_attn_decode", ctx);
    AITERI_TRY(aiteri_paged_check(args, ctx));
    aiteri_attention x = aiteri_paged_attention(args);
    return aiteri_attention_run(&x, ctx);
}

AITER_API aiter_status aiter_paged_attn_decode_workspace(const aiter_paged_attn_decode_args *args,
                                                         aiter_context *ctx, size_t *bytes)
{
    if (!args) return aiteri_no_args("aiter_paged_attn_decode_workspace", ctx);
    AITERI_TRY(aiteri_paged_check(args, ctx));
    aiteri_attention x = aiteri_paged_attention(args);
    return aiteri_attention_workspace(&x, ctx, bytes);
}

AITER_API aiter_status aiter_paged_attn_decode_plan(const aiter_paged_attn_decode_args *args,
                                                    aiter_context *ctx, aiter_plan *plan)
{
    if (!args) return aiteri_no_args("aiter_paged_attn_decode_plan", ctx);
    AITERI_TRY(aiteri_paged_check(args, ctx));
    aiteri_attention x = aiteri_paged_attention(args);
    return aiteri_attention_plan(&x, ctx, plan);
}

#endif /* AITERI_PAGED_ATTN_DECODE_C */
