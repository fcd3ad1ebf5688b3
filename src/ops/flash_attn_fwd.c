/* flash_attn_fwd.c -- the general softmax attention: its arguments are the shared ones. */
#ifndef AITERI_FLASH_ATTN_FWD_C
#define AITERI_FLASH_ATTN_FWD_C

#include "../api_ops.h"
#include "attention_run.c"

static aiteri_attention aiteri_flash_attention(const aiter_flash_attn_fwd_args *args)
{
    const aiteri_field_names names = {"aiter_flash_attn_fwd", "q", "k", "v", "seqused_k", 1, 1, 1};
    aiteri_attention x;
    memset(&x, 0, sizeof x);
    x.a = *args;
    x.names = names;
    return x;
}

AITER_API aiter_status aiter_flash_attn_fwd(const aiter_flash_attn_fwd_args *args,
                                            aiter_context *ctx)
{
    if (!args) return aiteri_no_args("aiter_flash_attn_fwd", ctx);
    aiteri_attention x = aiteri_flash_attention(args);
    return aiteri_attention_run(&x, ctx);
}

AITER_API aiter_status aiter_flash_attn_fwd_workspace(const aiter_flash_attn_fwd_args *args,
                                                      aiter_context *ctx, size_t *bytes)
{
    if (!args) return aiteri_no_args("aiter_flash_attn_fwd_workspace", ctx);
    aiteri_attention x = aiteri_flash_attention(args);
    return aiteri_attention_workspace(&x, ctx, bytes);
}

AITER_API aiter_status aiter_flash_attn_fwd_plan(const aiter_flash_attn_fwd_args *args,
                                                 aiter_context *ctx, aiter_plan *plan)
{
    if (!args) return aiteri_no_args("aiter_flash_attn_fwd_plan", ctx);
    aiteri_attention x = aiteri_flash_attention(args);
    return aiteri_attention_plan(&x, ctx, plan);
}

#endif /* AITERI_FLASH_ATTN_FWD_C */
