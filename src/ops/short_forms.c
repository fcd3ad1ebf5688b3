/* short_forms.c -- ops that are the general attention under another name or in another layout. */
#ifndef AITERI_SHORT_FORMS_C
#define AITERI_SHORT_FORMS_C

#include "../api_ops.h"
#include "attention_check.c"

static aiteri_attention aiteri_short_form(const char *op)
{
    const aiteri_field_names names = {op, "q", "k", "v", "seqused_k"};
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
                           "aiter_multi_query_attention.k: shape[2] is %lld, expected 1 kv head",
                           (long long)args->k.shape[2]);
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
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT,
                           "aiter_variable_length_attention.%s: is absent, expected [B + 1]",
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

/* A rank-2 or rank-3 argument seen as four dimensions: order[i] is the dimension of `t` that
 * becomes dimension i, or -1 for an extent of 1. Another rank gives an absent tensor of its dtype,
 * so that the shared check would name the wrong rank; callers check ranks first. */
static aiter_tensor aiteri_as_4d(aiter_tensor t, int32_t d0, int32_t d1, int32_t d2, int32_t d3)
{
    const int32_t order[4] = {d0, d1, d2, d3};
    aiter_tensor r = t;
    aiteri_tensor_fill_strides(&t);
    r.ndim = 4;
    for (int32_t i = 0; i < 4; i++) {
        r.shape[i] = order[i] < 0 ? 1 : t.shape[order[i]];
        r.stride[i] = order[i] < 0 ? 0 : t.stride[order[i]];
    }
    return r;
}

static aiter_status aiteri_check_rank(const char *op, const char *field, const aiter_tensor *t,
                                      int32_t rank, aiter_context *ctx)
{
    if (t->ndim == rank) return AITER_OK;
    return aiteri_fail(ctx, AITER_INVALID_ARGUMENT, "%s.%s: ndim is %d, expected %d", op, field,
                       (int)t->ndim, (int)rank);
}

/* Transposed layouts: q [D, Hq], k and v [Hk, D, Sk], out [Hq, D], as [B, S, H, D] with B = Sq = 1.
 */
static aiter_status aiteri_transposed_attention(const char *op,
                                                const aiter_decode_attention_gqa_args *args,
                                                aiter_context *ctx, aiteri_attention *x)
{
    aiteri_context_begin(ctx);
    *x = aiteri_short_form(op);
    AITERI_TRY(aiteri_check_rank(op, "q", &args->q, 2, ctx));
    AITERI_TRY(aiteri_check_rank(op, "k", &args->k, 3, ctx));
    AITERI_TRY(aiteri_check_rank(op, "v", &args->v, 3, ctx));
    AITERI_TRY(aiteri_check_rank(op, "out", &args->out, 2, ctx));
    if (args->k.shape[1] != args->v.shape[1])
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT, "%s.v: D is %lld, expected %lld (= D of k)",
                           op, (long long)args->v.shape[1], (long long)args->k.shape[1]);
    x->a.q = aiteri_as_4d(args->q, -1, -1, 1, 0);
    x->a.k = aiteri_as_4d(args->k, -1, 2, 0, 1);
    x->a.v = aiteri_as_4d(args->v, -1, 2, 0, 1);
    x->a.out = aiteri_as_4d(args->out, -1, -1, 0, 1);
    x->a.softmax_scale = args->softmax_scale;
    x->a.workspace = args->workspace;
    x->a.workspace_bytes = args->workspace_bytes;
    return AITER_OK;
}

/* [D, Sk] seen as [1, D, Sk]. */
static aiter_tensor aiteri_with_head_dim(aiter_tensor t)
{
    if (t.ndim != 2) return t;
    aiteri_tensor_fill_strides(&t);
    memmove(t.shape + 1, t.shape, 2 * sizeof t.shape[0]);
    memmove(t.stride + 1, t.stride, 2 * sizeof t.stride[0]);
    t.ndim = 3;
    t.shape[0] = 1;
    return t;
}

static aiter_status aiteri_single_attention(const aiter_decode_attention_args *args,
                                            aiter_context *ctx, aiteri_attention *x)
{
    const char *op = "aiter_decode_attention";
    aiter_decode_attention_gqa_args gqa;
    aiteri_context_begin(ctx);
    AITERI_TRY(aiteri_check_rank(op, "k", &args->k, 2, ctx));
    AITERI_TRY(aiteri_check_rank(op, "v", &args->v, 2, ctx));
    if (args->q.ndim == 2 && args->q.shape[1] != 1)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT, "%s.q: shape[1] is %lld, expected 1", op,
                           (long long)args->q.shape[1]);
    memset(&gqa, 0, sizeof gqa);
    gqa.q = args->q;
    gqa.k = aiteri_with_head_dim(args->k);
    gqa.v = aiteri_with_head_dim(args->v);
    gqa.out = args->out;
    gqa.softmax_scale = args->softmax_scale;
    gqa.workspace = args->workspace;
    gqa.workspace_bytes = args->workspace_bytes;
    return aiteri_transposed_attention(op, &gqa, ctx, x);
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
    AITERI_TRY(aiteri_transposed_attention("aiter_decode_attention_gqa", args, ctx, &x));
    return aiteri_attention_run(&x, ctx);
}

AITER_API aiter_status aiter_decode_attention_gqa_workspace(
    const aiter_decode_attention_gqa_args *args, aiter_context *ctx, size_t *bytes)
{
    aiteri_attention x;
    if (!args) return aiteri_no_args("aiter_decode_attention_gqa_workspace", ctx);
    AITERI_TRY(aiteri_transposed_attention("aiter_decode_attention_gqa", args, ctx, &x));
    return aiteri_attention_workspace(&x, ctx, bytes);
}

#endif /* AITERI_SHORT_FORMS_C */
