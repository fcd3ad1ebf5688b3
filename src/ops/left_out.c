/* left_out.c -- the calls of the ops whose family was left out: declared and linkable, and all they
 * do is to say so. */
#ifndef AITERI_OPS_LEFT_OUT_C
#define AITERI_OPS_LEFT_OUT_C

#include "../base/left_out.h"
#include "call_begin.c"

AITERI_UNUSED static aiter_status aiteri_left_out(const char *op, const char *family,
                                                  aiter_context *ctx)
{
    aiteri_context_begin(ctx);
    if (AITERI_ONLY)
        return aiteri_fail(ctx, AITER_UNSUPPORTED,
                           "%s: compiled out by the AITER_ATTN_ONLY_ macros, of which none is "
                           "AITER_ATTN_ONLY_%s",
                           op, family);
    return aiteri_fail(ctx, AITER_UNSUPPORTED, "%s: compiled out by AITER_ATTN_NO_%s", op, family);
}

AITERI_UNUSED static aiter_status aiteri_left_out_explain(const char *op, const char *family,
                                                          aiter_context *ctx, char *text,
                                                          size_t bytes)
{
    aiteri_text t;
    return aiteri_explain_begin(op, ctx, aiteri_left_out(op, family, ctx), 0, text, bytes, &t);
}

#define AITERI_LEFT_OUT_NO_PLAN(op, family)
#define AITERI_LEFT_OUT_HAS_PLAN(op, family)                                            \
    AITER_ATTN_API aiter_status aiter_##op##_plan(const aiter_##op##_args *args,        \
                                                  aiter_context *ctx, aiter_plan *plan) \
    {                                                                                   \
        (void)args;                                                                     \
        (void)plan;                                                                     \
        return aiteri_left_out("aiter_" #op, family, ctx);                              \
    }
#define AITERI_LEFT_OUT_1(op, family, planned) /* it is there */
#define AITERI_LEFT_OUT_0(op, family, planned)                                                     \
    AITER_ATTN_API aiter_status aiter_##op(const aiter_##op##_args *args, aiter_context *ctx)      \
    {                                                                                              \
        (void)args;                                                                                \
        return aiteri_left_out("aiter_" #op, family, ctx);                                         \
    }                                                                                              \
    AITER_ATTN_API aiter_status aiter_##op##_workspace(const aiter_##op##_args *args,              \
                                                       aiter_context *ctx, size_t *bytes)          \
    {                                                                                              \
        (void)args;                                                                                \
        (void)bytes;                                                                               \
        return aiteri_left_out("aiter_" #op, family, ctx);                                         \
    }                                                                                              \
    AITER_ATTN_API aiter_status aiter_##op##_supported(const aiter_##op##_args *args,              \
                                                       aiter_context *ctx)                         \
    {                                                                                              \
        (void)args;                                                                                \
        return aiteri_left_out("aiter_" #op, family, ctx);                                         \
    }                                                                                              \
    AITER_ATTN_API aiter_status aiter_##op##_explain(const aiter_##op##_args *args,                \
                                                     aiter_context *ctx, char *text, size_t bytes) \
    {                                                                                              \
        (void)args;                                                                                \
        return aiteri_left_out_explain("aiter_" #op, family, ctx, text, bytes);                    \
    }                                                                                              \
    planned(op, family)
#define AITERI_LEFT_OUT_IF(has)     AITERI_LEFT_OUT_PASTED(has)
#define AITERI_LEFT_OUT_PASTED(has) AITERI_LEFT_OUT_##has
#define AITERI_LEFT_OUT_ROW(op, family, plan) \
    AITERI_LEFT_OUT_IF(AITERI_HAS_##family)(op, #family, AITERI_LEFT_OUT_##plan)
AITER_OP_LIST(AITERI_LEFT_OUT_ROW)

#endif /* AITERI_OPS_LEFT_OUT_C */
