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

/* Which of an op's calls it is, and where its answer goes. */
typedef struct aiteri_answer {
    const char *call; /* "", or what follows the op's name: "_plan" */
    size_t *bytes;    /* _workspace */
    aiter_plan *plan; /* _plan */
    char *text;       /* _explain, with text_bytes */
    size_t text_bytes;
} aiteri_answer;

static aiter_status aiteri_attention_answer(const aiteri_attention_op *op,
                                            const aiter_attention_args *args, aiter_context *ctx,
                                            const aiteri_answer *to)
{
    aiteri_attention x;
    aiter_status status = aiteri_attention_begin(op, to->call, args, ctx, &x);
    if (status == AITER_OK && op->begin) status = op->begin(&x, ctx);
    if (strcmp(to->call, "_explain") == 0) {
        if (status == AITER_OK) status = aiteri_attention_supported(&x, ctx);
        return aiteri_attention_explain(&x, ctx, status, to->text, to->text_bytes);
    }
    if (status != AITER_OK) return status;
    if (strcmp(to->call, "_workspace") == 0) return aiteri_attention_workspace(&x, ctx, to->bytes);
    if (strcmp(to->call, "_supported") == 0) return aiteri_attention_supported(&x, ctx);
    if (strcmp(to->call, "_plan") == 0) return aiteri_attention_plan(&x, ctx, to->plan);
    return aiteri_attention_run(&x, ctx);
}

/* The calls of aiteri_<name>_op. */
#define AITERI_ATTENTION_CALLS(name)                                                               \
    AITER_ATTN_API aiter_status aiter_##name(const aiter_attention_args *args, aiter_context *ctx) \
    {                                                                                              \
        const aiteri_answer to = {"", NULL, NULL, NULL, 0};                                        \
        return aiteri_attention_answer(&aiteri_##name##_op, args, ctx, &to);                       \
    }                                                                                              \
    AITER_ATTN_API aiter_status aiter_##name##_workspace(const aiter_attention_args *args,         \
                                                         aiter_context *ctx, size_t *bytes)        \
    {                                                                                              \
        const aiteri_answer to = {"_workspace", bytes, NULL, NULL, 0};                             \
        return aiteri_attention_answer(&aiteri_##name##_op, args, ctx, &to);                       \
    }                                                                                              \
    AITER_ATTN_API aiter_status aiter_##name##_supported(const aiter_attention_args *args,         \
                                                         aiter_context *ctx)                       \
    {                                                                                              \
        const aiteri_answer to = {"_supported", NULL, NULL, NULL, 0};                              \
        return aiteri_attention_answer(&aiteri_##name##_op, args, ctx, &to);                       \
    }                                                                                              \
    AITER_ATTN_API aiter_status aiter_##name##_explain(                                            \
        const aiter_attention_args *args, aiter_context *ctx, char *text, size_t bytes)            \
    {                                                                                              \
        const aiteri_answer to = {"_explain", NULL, NULL, text, bytes};                            \
        return aiteri_attention_answer(&aiteri_##name##_op, args, ctx, &to);                       \
    }
#define AITERI_ATTENTION_PLAN(name)                                                       \
    AITER_ATTN_API aiter_status aiter_##name##_plan(const aiter_attention_args *args,     \
                                                    aiter_context *ctx, aiter_plan *plan) \
    {                                                                                     \
        const aiteri_answer to = {"_plan", NULL, plan, NULL, 0};                          \
        return aiteri_attention_answer(&aiteri_##name##_op, args, ctx, &to);              \
    }

#endif /* AITERI_ATTENTION_CALLS_C */
