/* parallel.c -- a call's tasks on the caller's threads, the context's, or this one. */
#ifndef AITERI_PARALLEL_C
#define AITERI_PARALLEL_C

#include "hooks.c"

/* A task in the library's own float mode. */
typedef struct aiteri_task {
    aiteri_task_fn body;
    void *arg;
} aiteri_task;

static void aiteri_task_run(void *arg, int32_t i)
{
    const aiteri_task *task = (const aiteri_task *)arg;
    const aiteri_float_mode mode = aiteri_float_mode_enter();
    task->body(task->arg, i);
    aiteri_float_mode_leave(mode);
}

/* body(arg, i) for i in [0, n), n <= the context's threads. */
static void aiteri_parallel(aiter_context *ctx, aiteri_task_fn body, void *arg, int32_t n)
{
    aiteri_task task = {body, arg};
    if (ctx && ctx->desc.parallel_for && n > 1) {
        ctx->desc.parallel_for(ctx->desc.user, aiteri_task_run, &task, n);
        return;
    }
#if !defined(AITERI_THREADS_NONE)
    if (ctx && ctx->workers && n > 1 && aiteri_pool_is_ours(&ctx->pool)) {
        aiteri_pool_run(&ctx->pool, aiteri_task_run, &task, n);
        return;
    }
#endif
    for (int32_t i = 0; i < n; i++) aiteri_task_run(&task, i);
}

#endif /* AITERI_PARALLEL_C */
