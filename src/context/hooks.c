/* hooks.c -- what a context is, its log and its memory hooks, the text of its last failure. */
#ifndef AITERI_HOOKS_C
#define AITERI_HOOKS_C

#include "../base/arena.c"
#include "../base/threads.c"
#include "../cpu/kernel_table.h"
#if AITERI_GPU
#include "../gpu/memory.c"
#endif

struct aiter_context {
    aiter_context_desc desc; /* with num_threads resolved and both memory hooks set */
    const aiteri_kernels *kernels;
    void *scratch;
    size_t scratch_bytes, high_water;
#if !defined(AITERI_THREADS_NONE)
    aiteri_pool pool;
    aiteri_pool_worker *workers;
#endif
#if AITERI_GPU
    aiteri_gpu gpu;
#endif
    char text[AITERI_ERROR_BYTES];
};

/* One line to the caller's log hook. */
static void aiteri_log(const aiter_context_desc *d, aiter_log_level level, const char *format, ...)
    AITERI_PRINTF(3, 4);
static void aiteri_log(const aiter_context_desc *d, aiter_log_level level, const char *format, ...)
{
    if (!d->log) return;
    char line[AITERI_ERROR_BYTES];
    va_list list;
    va_start(list, format);
    vsnprintf(line, sizeof line, format, list);
    va_end(list);
    d->log(d->user, level, line);
}

static void aiteri_context_failed(aiter_context *ctx, const char *text)
{
    if (!ctx) return;
    memcpy(ctx->text, text, AITERI_ERROR_BYTES);
    aiteri_log(&ctx->desc, AITER_LOG_ERROR, "%s", text);
}

#if AITERI_GPU
static aiteri_gpu_call aiteri_gpu_call_of(const char *op, aiter_context *ctx)
{
    const aiteri_gpu_call call = {op, ctx, &ctx->gpu, &ctx->desc};
    return call;
}

static void aiteri_gpu_log_growth(const aiteri_gpu_call *c, size_t held)
{
    aiteri_log(c->desc, AITER_LOG_INFO, "device memory grows from %zu to %zu bytes", held,
               aiteri_gpu_arena_bytes(c->gpu));
}
#endif

/* Whether calls go to a device. */
AITERI_UNUSED static int aiteri_context_on_device(const aiter_context *ctx)
{
    return ctx && ctx->desc.device != AITER_DEVICE_CPU;
}

/* malloc gives 16 bytes of alignment; arenas align themselves (aiteri_arena_over). */
static void *aiteri_malloc_hook(void *user, size_t bytes, size_t align, aiter_memory kind)
{
    (void)user;
    (void)align;
    (void)kind;
    return malloc(bytes);
}

static void aiteri_free_hook(void *user, void *ptr, size_t bytes, aiter_memory kind)
{
    (void)user;
    (void)bytes;
    (void)kind;
    free(ptr);
}

#endif /* AITERI_HOOKS_C */
