/* attention_calls.c -- how every softmax attention begins, and the five calls that each op has. */
#ifndef AITERI_ATTENTION_CALLS_C
#define AITERI_ATTENTION_CALLS_C

#include "../api_ops.h"
#include "call_begin.c"
#include "attention_explain.c"
#include "attention_run.c"

/* The arguments of an op as the family takes them. */
static aiter_status aiteri_attention_begin(const aiteri_attention_op *op, const char *call,
                                           const aiter_attention_args *args, aiter_context *ctx,
                                           aiteri_attention *x)
{
    memset(x, 0, sizeof *x);
    x->op = op; /* first: an explanation names it, whatever fails */
    AITERI_TRY(aiteri_call_begin(op->name, call, ctx, args, sizeof *args));
    x->a = *args;
    if (x->a.score.mask == AITER_MASK_DEFAULT)
        x->a.score.mask = x->a.score.visible.ndim ? AITER_MASK_NONE : op->mask;
    return AITER_OK;
}

/* The calls of an op whose arguments `op` and aiteri_<name>_begin(x, ctx) complete. */
#define AITERI_ATTENTION_CALL(name, call, list, answer)                                \
    AITER_ATTN_API aiter_status aiter_##name##call list                                \
    {                                                                                  \
        aiteri_attention x;                                                            \
        AITERI_TRY(aiteri_attention_begin(&aiteri_##name##_op, #call, args, ctx, &x)); \
        AITERI_TRY(aiteri_##name##_begin(&x, ctx));                                    \
        return answer;                                                                 \
    }
#define AITERI_ATTENTION_CALLS(name)                                                             \
    AITERI_ATTENTION_CALL(name, , (const aiter_attention_args *args, aiter_context *ctx),        \
                          aiteri_attention_run(&x, ctx))                                         \
    AITERI_ATTENTION_CALL(name, _workspace,                                                      \
                          (const aiter_attention_args *args, aiter_context *ctx, size_t *bytes), \
                          aiteri_attention_workspace(&x, ctx, bytes))                            \
    AITERI_ATTENTION_CALL(name, _supported,                                                      \
                          (const aiter_attention_args *args, aiter_context *ctx),                \
                          aiteri_attention_supported(&x, ctx))                                   \
    AITER_ATTN_API aiter_status aiter_##name##_explain(                                          \
        const aiter_attention_args *args, aiter_context *ctx, char *text, size_t bytes)          \
    {                                                                                            \
        aiteri_attention x;                                                                      \
        aiter_status status =                                                                    \
            aiteri_attention_begin(&aiteri_##name##_op, "_explain", args, ctx, &x);              \
        if (status == AITER_OK) status = aiteri_##name##_begin(&x, ctx);                         \
        if (status == AITER_OK) status = aiteri_attention_supported(&x, ctx);                    \
        return aiteri_attention_explain(&x, ctx, status, text, bytes);                           \
    }
#define AITERI_ATTENTION_PLAN(name)                                                            \
    AITERI_ATTENTION_CALL(                                                                     \
        name, _plan, (const aiter_attention_args *args, aiter_context *ctx, aiter_plan *plan), \
        aiteri_attention_plan(&x, ctx, plan))

#endif /* AITERI_ATTENTION_CALLS_C */
