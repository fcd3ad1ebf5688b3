/* attention_calls.c -- how every softmax attention begins, and the five calls that each op has. */
#ifndef AITERI_ATTENTION_CALLS_C
#define AITERI_ATTENTION_CALLS_C

#include "attention_explain.c"
#include "attention_run.c"

/* The arguments of an op as the family takes them. */
static aiter_status aiteri_attention_begin(const aiteri_attention_op *op, const char *call,
                                           const aiter_attention_args *args, aiter_context *ctx,
                                           aiteri_attention *x)
{
    memset(x, 0, sizeof *x);
    AITERI_TRY(aiteri_call_begin(op->name, call, ctx, args, sizeof *args));
    x->op = op;
    x->a = *args;
    if (x->a.score.mask == AITER_MASK_DEFAULT)
        x->a.score.mask = x->a.score.visible.ndim ? AITER_MASK_NONE : op->mask;
    return op->begin ? op->begin(x, ctx) : AITER_OK;
}

/* The calls of aiteri_<name>_op. */
#define AITERI_ATTENTION_CALLS(name) AITERI_CALLS(name, attention, &aiteri_##name##_op)
#define AITERI_ATTENTION_PLAN(name)                                                       \
    AITER_ATTN_API aiter_status aiter_##name##_plan(const aiter_attention_args *args,     \
                                                    aiter_context *ctx, aiter_plan *plan) \
    {                                                                                     \
        aiteri_attention x;                                                               \
        AITERI_TRY(aiteri_attention_begin(&aiteri_##name##_op, "_plan", args, ctx, &x));  \
        return aiteri_attention_plan(&x, ctx, plan);                                      \
    }

#endif /* AITERI_ATTENTION_CALLS_C */
