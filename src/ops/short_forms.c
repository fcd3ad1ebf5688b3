/* short_forms.c -- ops that are the general attention under another name or in another layout. */
#ifndef AITERI_SHORT_FORMS_C
#define AITERI_SHORT_FORMS_C

#include "../api_ops.h"
#include "attention_run.c"

static aiteri_attention aiteri_short_form(const char *op)
{
    const aiteri_field_names names = {op, "q", "k", "v", "seqused_k", 0, 0, 0};
    aiteri_attention x;
    memset(&x, 0, sizeof x);
    x.names = names;
    return x;
}

static aiteri_attention aiteri_grouped_attention(const char *op,
                                                 const aiter_grouped_query_attention_args *args)
{
    aiteri_attention x = aiteri_short_form(op);
    x.a.q = args->q;
    x.a.k = args->k;
    x.a.v = args->v;
    x.a.out = args->out;
    x.a.lse = args->lse;
    x.a.mask = args->mask;
    x.a.window_left = args->window_left;
    x.a.window_right = args->window_right;
    x.a.softmax_scale = args->softmax_scale;
    x.a.workspace = args->workspace;
    x.a.workspace_bytes = args->workspace_bytes;
    return x;
}

AITER_API aiter_status aiter_grouped_query_attention(const aiter_grouped_query_attention_args *args,
                                                     aiter_context *ctx)
{
    if (!args) return aiteri_no_args("aiter_grouped_query_attention", ctx);
    aiteri_attention x = aiteri_grouped_attention("aiter_grouped_query_attention", args);
    return aiteri_attention_run(&x, ctx);
}

AITER_API aiter_status aiter_grouped_query_attention_workspace(
    const aiter_grouped_query_attention_args *args, aiter_context *ctx, size_t *bytes)
{
    if (!args) return aiteri_no_args("aiter_grouped_query_attention_workspace", ctx);
    aiteri_attention x = aiteri_grouped_attention("aiter_grouped_query_attention", args);
    return aiteri_attention_workspace(&x, ctx, bytes);
}

static aiter_status aiteri_check_one_kv_head(const aiter_multi_query_attention_args *args,
                                             aiter_context *ctx)
{
    aiteri_context_begin(ctx);
    if (args->k.ndim == 4 && args->k.shape[2] != 1)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT,
                           "aiter_multi_query_attention.k: shape[2] is %lld, expected 1 kv head "
                           "(%s)",
                           (long long)args->k.shape[2],
                           args->k.shape[1] == 1 ? "of tensors whose axes are [B, H, S, D] pass "
                                                   "aiter_tensor_transpose(t, 1, 2)"
                                                 : "aiter_grouped_query_attention takes more");
    return AITER_OK;
}

AITER_API aiter_status aiter_multi_query_attention(const aiter_multi_query_attention_args *args,
                                                   aiter_context *ctx)
{
    if (!args) return aiteri_no_args("aiter_multi_query_attention", ctx);
    AITERI_TRY(aiteri_check_one_kv_head(args, ctx));
    aiteri_attention x = aiteri_grouped_attention("aiter_multi_query_attention", args);
    return aiteri_attention_run(&x, ctx);
}

AITER_API aiter_status aiter_multi_query_attention_workspace(
    const aiter_multi_query_attention_args *args, aiter_context *ctx, size_t *bytes)
{
    if (!args) return aiteri_no_args("aiter_multi_query_attention_workspace", ctx);
    AITERI_TRY(aiteri_check_one_kv_head(args, ctx));
    aiteri_attention x = aiteri_grouped_attention("aiter_multi_query_attention", args);
    return aiteri_attention_workspace(&x, ctx, bytes);
}

static aiteri_attention aiteri_packed_attention(const aiter_variable_length_attention_args *args)
{
    aiteri_attention x = aiteri_short_form("aiter_variable_length_attention");
    x.names.has_packed = 1;
    x.a.q = args->q;
    x.a.k = args->k;
    x.a.v = args->v;
    x.a.out = args->out;
    x.a.lse = args->lse;
    x.a.cu_seqlens_q = args->cu_seqlens_q;
    x.a.cu_seqlens_k = args->cu_seqlens_k;
    x.a.max_seqlen_q = args->max_seqlen_q;
    x.a.max_seqlen_k = args->max_seqlen_k;
    x.a.mask = args->mask;
    x.a.window_left = args->window_left;
    x.a.window_right = args->window_right;
    x.a.softmax_scale = args->softmax_scale;
    x.a.workspace = args->workspace;
    x.a.workspace_bytes = args->workspace_bytes;
    return x;
}

static aiter_status aiteri_check_packed(const aiter_variable_length_attention_args *args,
                                        aiter_context *ctx)
{
    aiteri_context_begin(ctx);
    if (args->cu_seqlens_q.ndim == 0 || args->cu_seqlens_k.ndim == 0)
        return aiteri_fail(
            ctx, AITER_INVALID_ARGUMENT,
            "aiter_variable_length_attention.%s: is absent (ndim 0), expected I32 [B + 1]",
            args->cu_seqlens_q.ndim == 0 ? "cu_seqlens_q" : "cu_seqlens_k");
    return AITER_OK;
}

AITER_API aiter_status aiter_variable_length_attention(
    const aiter_variable_length_attention_args *args, aiter_context *ctx)
{
    if (!args) return aiteri_no_args("aiter_variable_length_attention", ctx);
    AITERI_TRY(aiteri_check_packed(args, ctx));
    aiteri_attention x = aiteri_packed_attention(args);
    return aiteri_attention_run(&x, ctx);
}

AITER_API aiter_status aiter_variable_length_attention_workspace(
    const aiter_variable_length_attention_args *args, aiter_context *ctx, size_t *bytes)
{
    if (!args) return aiteri_no_args("aiter_variable_length_attention_workspace", ctx);
    AITERI_TRY(aiteri_check_packed(args, ctx));
    aiteri_attention x = aiteri_packed_attention(args);
    return aiteri_attention_workspace(&x, ctx, bytes);
}

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

/* Transposed layouts: q [D, Hq], k and v [Hk, D, Sk], out [Hq, D], as [B, S, H, D] with B = Sq = 1.
 * Checked as the caller wrote them, so that a text names the caller's indices. `one`: without the
 * head axes. */
static aiter_status aiteri_transposed_attention(const char *op,
                                                const aiter_decode_attention_gqa_args *args,
                                                int one, aiter_context *ctx, aiteri_attention *x)
{
    aiter_decode_attention_gqa_args a = *args;
    aiteri_check check = {op, ctx, AITER_OK};
    aiteri_check *c = &check;
    const char *keys = one ? "[D, Sk]" : "[Hk, D, Sk]";
    const int32_t n = one ? 2 : 3;
    aiteri_context_begin(ctx);
    *x = aiteri_short_form(op);
    aiteri_check_tensor(c, "q", &a.q, 2, 2, AITERI_FLOATS, 1, one ? "[D, 1]" : "[D, Hq]");
    aiteri_check_tensor(c, "k", &a.k, n, n, AITERI_FLOATS, 1, keys);
    aiteri_check_tensor(c, "v", &a.v, n, n, AITERI_FLOATS, 1, keys);
    aiteri_check_tensor(c, "out", &a.out, 2, 2, AITERI_FLOATS, 1, one ? "[1, D]" : "[Hq, D]");
    if (c->status != AITER_OK) return c->status;
    if (one) aiteri_check_extent(c, "q", &a.q, 1, 1, "one query head: q is [D, 1]");
    aiteri_check_extent(c, "k", &a.k, n - 2, a.q.shape[0],
                        one ? "D of q, which is [D, 1]" : "D of q, which is [D, Hq]");
    aiteri_check_axis(c, "q", &a.q, 0, "head_dim", 1, AITERI_MAX_HEAD_DIM);
    aiteri_check_axis(c, "q", &a.q, 1, "heads", 1, 65535);
    aiteri_check_axis(c, "k", &a.k, n - 1, "keys", 0, INT32_MAX - 1);
    for (int32_t i = 0; i < n; i++) aiteri_check_extent(c, "v", &a.v, i, a.k.shape[i], "k");
    aiteri_check_extent(c, "out", &a.out, 0, a.q.shape[1], "heads of q");
    aiteri_check_extent(c, "out", &a.out, 1, a.q.shape[0], "D of q");
    if (c->status != AITER_OK) return c->status;
    x->a.q = aiteri_as_4d(&a.q, -1, -1, 1, 0);
    x->a.k = aiteri_as_4d(&a.k, -1, n - 1, n - 3, n - 2);
    x->a.v = aiteri_as_4d(&a.v, -1, n - 1, n - 3, n - 2);
    x->a.out = aiteri_as_4d(&a.out, -1, -1, 0, 1);
    x->a.softmax_scale = a.softmax_scale;
    x->a.workspace = a.workspace;
    x->a.workspace_bytes = a.workspace_bytes;
    return AITER_OK;
}

static aiter_status aiteri_single_attention(const aiter_decode_attention_args *args,
                                            aiter_context *ctx, aiteri_attention *x)
{
    aiter_decode_attention_gqa_args gqa;
    memset(&gqa, 0, sizeof gqa);
    gqa.q = args->q;
    gqa.k = args->k;
    gqa.v = args->v;
    gqa.out = args->out;
    gqa.softmax_scale = args->softmax_scale;
    gqa.workspace = args->workspace;
    gqa.workspace_bytes = args->workspace_bytes;
    return aiteri_transposed_attention("aiter_decode_attention", &gqa, 1, ctx, x);
}

AITER_API aiter_status aiter_decode_attention(const aiter_decode_attention_args *args,
                                              aiter_context *ctx)
{
    aiteri_attention x;
    if (!args) return aiteri_no_args("aiter_decode_attention", ctx);
    AITERI_TRY(aiteri_single_attention(args, ctx, &x));
    return aiteri_attention_run(&x, ctx);
}

AITER_API aiter_status aiter_decode_attention_workspace(const aiter_decode_attention_args *args,
                                                        aiter_context *ctx, size_t *bytes)
{
    aiteri_attention x;
    if (!args) return aiteri_no_args("aiter_decode_attention_workspace", ctx);
    AITERI_TRY(aiteri_single_attention(args, ctx, &x));
    return aiteri_attention_workspace(&x, ctx, bytes);
}

AITER_API aiter_status aiter_decode_attention_gqa(const aiter_decode_attention_gqa_args *args,
                                                  aiter_context *ctx)
{
    aiteri_attention x;
    if (!args) return aiteri_no_args("aiter_decode_attention_gqa", ctx);
    AITERI_TRY(aiteri_transposed_attention("aiter_decode_attention_gqa", args, 0, ctx, &x));
    return aiteri_attention_run(&x, ctx);
}

AITER_API aiter_status aiter_decode_attention_gqa_workspace(
    const aiter_decode_attention_gqa_args *args, aiter_context *ctx, size_t *bytes)
{
    aiteri_attention x;
    if (!args) return aiteri_no_args("aiter_decode_attention_gqa_workspace", ctx);
    AITERI_TRY(aiteri_transposed_attention("aiter_decode_attention_gqa", args, 0, ctx, &x));
    return aiteri_attention_workspace(&x, ctx, bytes);
}

#endif /* AITERI_SHORT_FORMS_C */
