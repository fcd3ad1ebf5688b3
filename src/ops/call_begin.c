/* call_begin.c -- what is the same of all ops: their args are there, and of this header; and the
 * calls that an op makes of its family. */
#ifndef AITERI_CALL_BEGIN_C
#define AITERI_CALL_BEGIN_C

#include "../api_ops.h"
#include "explain.c"

/* `call` is "" or what follows the op's name: "_plan". */
static aiter_status aiteri_call_begin(const char *op, const char *call, aiter_context *ctx,
                                      const void *args, size_t bytes)
{
    uint32_t given;
    aiteri_context_begin(ctx);
    if (!args)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT, "%s%s.args: is NULL, expected a pointer",
                           op, call);
    memcpy(&given, args, sizeof given); /* struct_bytes is the first field of each */
    if (given != 0 && given != bytes)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT,
                           "%s.struct_bytes: is %lu, expected 0 or %lu; was the caller compiled "
                           "with the header of another version than " AITER_ATTN_VERSION_STRING "?",
                           op, (unsigned long)given, (unsigned long)bytes);
    return AITER_OK;
}

/* What an op without kernels for devices answers there. */
AITERI_UNUSED static aiter_status aiteri_needs_cpu(const char *op, aiter_context *ctx)
{
    if (!aiteri_context_on_device(ctx)) return AITER_OK;
    return aiteri_fail(ctx, AITER_NO_KERNEL,
                       "%s: has no device kernel: call it with a CPU context and host memory", op);
}

/* The calls of aiter_<name>, whose args `family` takes:
 *     begin(op, call, args, ctx, x)   x holds a copy of args that are there, and what `op` tells
 *     run(x, ctx)                     checks and runs it
 *     workspace(x, ctx, bytes)        answers the query
 *     supported(x, ctx, bytes)        checks all that shapes tell; the bytes of its workspace
 *     explain(x, ctx, text)           what such an x would do, in words */
#define AITERI_CALLS(name, family, op)                                                            \
    AITER_ATTN_API aiter_status aiter_##name(const aiter_##name##_args *args, aiter_context *ctx) \
    {                                                                                             \
        aiteri_##family x;                                                                        \
        AITERI_TRY(aiteri_##family##_begin(op, "", args, ctx, &x));                               \
        return aiteri_##family##_run(&x, ctx);                                                    \
    }                                                                                             \
    AITER_ATTN_API aiter_status aiter_##name##_workspace(const aiter_##name##_args *args,         \
                                                         aiter_context *ctx, size_t *bytes)       \
    {                                                                                             \
        aiteri_##family x;                                                                        \
        AITERI_TRY(aiteri_##family##_begin(op, "_workspace", args, ctx, &x));                     \
        return aiteri_##family##_workspace(&x, ctx, bytes);                                       \
    }                                                                                             \
    AITER_ATTN_API aiter_status aiter_##name##_supported(const aiter_##name##_args *args,         \
                                                         aiter_context *ctx)                      \
    {                                                                                             \
        aiteri_##family x;                                                                        \
        size_t bytes;                                                                             \
        AITERI_TRY(aiteri_##family##_begin(op, "_supported", args, ctx, &x));                     \
        return aiteri_##family##_supported(&x, ctx, &bytes);                                      \
    }                                                                                             \
    AITER_ATTN_API aiter_status aiter_##name##_explain(                                           \
        const aiter_##name##_args *args, aiter_context *ctx, char *text, size_t bytes)            \
    {                                                                                             \
        aiteri_##family x;                                                                        \
        aiteri_text t;                                                                            \
        size_t need = 0;                                                                          \
        aiter_status status = aiteri_##family##_begin(op, "_explain", args, ctx, &x);             \
        if (status == AITER_OK) status = aiteri_##family##_supported(&x, ctx, &need);             \
        status = aiteri_explain_begin("aiter_" #name, ctx, status, need, text, bytes, &t);        \
        return status == AITER_OK ? aiteri_##family##_explain(&x, ctx, &t) : status;              \
    }

#endif /* AITERI_CALL_BEGIN_C */
