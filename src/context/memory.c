/* memory.c -- memory and copies for programs that bring no driver of their own. */
#ifndef AITERI_MEMORY_C
#define AITERI_MEMORY_C

#include "context.c"

static aiter_status aiteri_memory_check(const char *op, aiter_context *ctx, aiter_memory kind,
                                        size_t bytes)
{
    aiteri_context_begin(ctx);
    if ((int)kind < 0 || kind > AITER_MEMORY_PINNED)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT, "%s.kind: %d is no aiter_memory", op,
                           (int)kind);
    if (bytes == 0)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT, "%s.bytes: is 0, expected 1 or more", op);
    return AITER_OK;
}

#if AITERI_GPU
/* Whether the driver gives this kind of memory; else it is host memory of the context's hooks. */
static int aiteri_memory_is_drivers(const aiter_context *ctx, aiter_memory kind)
{
    return aiteri_context_on_device(ctx) && kind != AITER_MEMORY_HOST;
}
#endif

AITER_ATTN_API aiter_status aiter_memory_alloc(aiter_context *ctx, aiter_memory kind, size_t bytes,
                                               void **out)
{
    const char *op = "aiter_memory_alloc";
    if (!out) return aiteri_fail(ctx, AITER_INVALID_ARGUMENT, "%s.out: is NULL", op);
    *out = NULL;
    AITERI_TRY(aiteri_memory_check(op, ctx, kind, bytes));
#if AITERI_GPU
    if (aiteri_memory_is_drivers(ctx, kind)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(op, ctx);
        return aiteri_gpu_memory_alloc(&call, kind, bytes, out);
    }
#endif
    *out = ctx ? ctx->desc.alloc(ctx->desc.user, bytes, AITERI_LINE, kind) : malloc(bytes);
    if (!*out)
        return aiteri_fail(ctx, AITER_OUT_OF_MEMORY, "%s.bytes: no %zu bytes of host memory", op,
                           bytes);
    return AITER_OK;
}

AITER_ATTN_API aiter_status aiter_memory_free(aiter_context *ctx, aiter_memory kind, void *data,
                                              size_t bytes)
{
    const char *op = "aiter_memory_free";
    if (!data) return AITER_OK;
    AITERI_TRY(aiteri_memory_check(op, ctx, kind, bytes));
#if AITERI_GPU
    if (aiteri_memory_is_drivers(ctx, kind)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(op, ctx);
        return aiteri_gpu_memory_free(&call, kind, data, bytes);
    }
#endif
    if (ctx)
        ctx->desc.free(ctx->desc.user, data, bytes, kind);
    else
        free(data);
    return AITER_OK;
}

AITER_ATTN_API aiter_status aiter_memory_copy(aiter_context *ctx, void *to, aiter_memory to_kind,
                                              const void *from, aiter_memory from_kind,
                                              size_t bytes)
{
    const char *op = "aiter_memory_copy";
    aiteri_context_begin(ctx);
    if (bytes == 0) return AITER_OK;
    AITERI_TRY(aiteri_memory_check(op, ctx, to_kind, bytes));
    AITERI_TRY(aiteri_memory_check(op, ctx, from_kind, bytes));
    if (!to || !from)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT, "%s.%s: is NULL", op, to ? "from" : "to");
#if AITERI_GPU
    if (aiteri_context_on_device(ctx) &&
        (to_kind == AITER_MEMORY_DEVICE || from_kind == AITER_MEMORY_DEVICE)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(op, ctx);
        return aiteri_gpu_memory_copy(&call, to, to_kind, from, from_kind, bytes);
    }
#endif
    memmove(to, from, bytes);
    return AITER_OK;
}

AITER_ATTN_API aiter_status aiter_context_synchronize(aiter_context *ctx)
{
    aiteri_context_begin(ctx);
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of("aiter_context_synchronize", ctx);
        return aiteri_gpu_synchronize(&call);
    }
#endif
    return AITER_OK;
}

#endif /* AITERI_MEMORY_C */
