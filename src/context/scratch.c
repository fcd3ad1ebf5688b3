/* scratch.c -- scratch memory: a context's own, the caller's, or malloc's. */
#ifndef AITERI_SCRATCH_C
#define AITERI_SCRATCH_C

#include "hooks.c"

/* Grows the context's scratch; what it held is lost. */
static int aiteri_context_grow(aiter_context *ctx, size_t bytes)
{
    void *grown = ctx->desc.alloc(ctx->desc.user, bytes, AITERI_LINE, AITER_MEMORY_HOST);
    if (!grown) return 0;
    if (ctx->scratch)
        ctx->desc.free(ctx->desc.user, ctx->scratch, ctx->scratch_bytes, AITER_MEMORY_HOST);
    aiteri_log(&ctx->desc, AITER_LOG_INFO, "scratch memory grows from %zu to %zu bytes",
               ctx->scratch_bytes, bytes);
    ctx->scratch = grown;
    ctx->scratch_bytes = bytes;
    return 1;
}

/* Scratch memory of one call: the caller's, the context's, or malloc's. */
typedef struct aiteri_scratch {
    aiteri_arena arena;
    void *owned; /* to be freed on return */
} aiteri_scratch;

/* `need` carved bytes may have to skip to a line first. */
static size_t aiteri_scratch_bytes(size_t need) { return aiteri_add_size(need, AITERI_LINE); }

static aiter_status aiteri_scratch_answer(const char *op, aiter_context *ctx, size_t need,
                                          size_t *bytes)
{
    if (!bytes)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT,
                           "%s_workspace.bytes: is NULL, expected a pointer", op);
    if (aiteri_scratch_bytes(need) > SIZE_MAX / 2)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT,
                           "%s_workspace: the shapes need more memory than can be addressed", op);
    *bytes = need ? aiteri_scratch_bytes(need) : 0;
    return AITER_OK;
}

AITERI_UNUSED static aiter_status aiteri_scratch_take(const char *op, aiter_context *ctx,
                                                      void *workspace, size_t workspace_bytes,
                                                      size_t need, aiteri_scratch *s)
{
    const size_t bytes = aiteri_scratch_bytes(need);
    void *block = workspace;
    s->owned = NULL;
    if (workspace && workspace_bytes < bytes)
        return aiteri_fail(ctx, AITER_WORKSPACE_TOO_SMALL,
                           "%s.call.workspace_bytes: is %zu, expected at least %zu", op,
                           workspace_bytes, bytes);
    if (bytes > SIZE_MAX / 2)
        return aiteri_fail(ctx, AITER_OUT_OF_MEMORY,
                           "%s: the shapes need more memory than can be addressed", op);
    if (!block && ctx) {
        if (bytes > ctx->scratch_bytes && ctx->desc.arena_bytes > 0)
            return aiteri_fail(ctx, AITER_WORKSPACE_TOO_SMALL,
                               "%s: needs %zu bytes, the context's arena_bytes is %zu", op, bytes,
                               ctx->scratch_bytes);
        if (bytes > ctx->scratch_bytes && !aiteri_context_grow(ctx, bytes))
            return aiteri_fail(ctx, AITER_OUT_OF_MEMORY, "%s: no %zu bytes of scratch memory", op,
                               bytes);
        if (bytes > ctx->high_water) ctx->high_water = bytes;
        block = ctx->scratch;
    } else if (!block) {
        block = s->owned = malloc(bytes);
        if (!block)
            return aiteri_fail(ctx, AITER_OUT_OF_MEMORY, "%s: no %zu bytes of scratch memory", op,
                               bytes);
    }
    s->arena = aiteri_arena_over(block);
    return AITER_OK;
}

AITERI_UNUSED static void aiteri_scratch_give_back(aiteri_scratch *s) { free(s->owned); }

#endif /* AITERI_SCRATCH_C */
