/* memory.c -- device and pinned memory for the caller, and copies in the stream's order. */
#ifndef AITERI_GPU_MEMORY_C
#define AITERI_GPU_MEMORY_C

#include "launch.c"

/* What one call does while the device is current. */
typedef struct aiteri_gpu_memory_job {
    aiter_memory to_kind, from_kind;
    void *to;
    const void *from;
    size_t bytes;
} aiteri_gpu_memory_job;

typedef aiter_status (*aiteri_gpu_memory_step)(const aiteri_gpu_call *c, aiteri_gpu_memory_job *j);

static aiter_status aiteri_gpu_memory_run(const aiteri_gpu_call *c, aiteri_gpu_memory_step step,
                                          aiteri_gpu_memory_job *j)
{
    aiteri_current was;
    AITERI_TRY(aiteri_device_enter(c->ctx, c->op, c->gpu->device, &was));
    const aiter_status status = step(c, j);
    aiteri_device_leave(c->gpu->device, &was);
    return status;
}

static aiter_status aiteri_gpu_alloc_step(const aiteri_gpu_call *c, aiteri_gpu_memory_job *j)
{
    const aiteri_driver *driver = c->gpu->device->driver;
    if (!c->gpu->own_memory) {
        j->to = c->desc->alloc(c->desc->user, j->bytes, AITERI_GPU_ALIGN, j->to_kind);
        return j->to ? AITER_OK
                     : aiteri_fail(c->ctx, AITER_OUT_OF_MEMORY,
                                   "%s.bytes: the alloc hook gave no %zu bytes", c->op, j->bytes);
    }
    if (j->to_kind == AITER_MEMORY_DEVICE)
        AITERI_GPU_TRY(c->ctx, driver, c->op, memory_alloc, (&j->to, j->bytes));
    else
        AITERI_GPU_TRY(c->ctx, driver, c->op, pinned_alloc, (&j->to, j->bytes, 0));
    return AITER_OK;
}

static aiter_status aiteri_gpu_memory_alloc(const aiteri_gpu_call *c, aiter_memory kind,
                                            size_t bytes, void **out)
{
    aiteri_gpu_memory_job j = {kind, kind, NULL, NULL, bytes};
    AITERI_TRY(aiteri_gpu_memory_run(c, aiteri_gpu_alloc_step, &j));
    *out = j.to;
    return AITER_OK;
}

static aiter_status aiteri_gpu_free_step(const aiteri_gpu_call *c, aiteri_gpu_memory_job *j)
{
    const aiteri_driver *driver = c->gpu->device->driver;
    if (!c->gpu->own_memory)
        c->desc->free(c->desc->user, j->to, j->bytes, j->to_kind);
    else if (j->to_kind == AITER_MEMORY_DEVICE)
        AITERI_GPU_TRY(c->ctx, driver, c->op, memory_free, (j->to));
    else
        AITERI_GPU_TRY(c->ctx, driver, c->op, pinned_free, (j->to));
    return AITER_OK;
}

static aiter_status aiteri_gpu_memory_free(const aiteri_gpu_call *c, aiter_memory kind, void *data,
                                           size_t bytes)
{
    aiteri_gpu_memory_job j = {kind, kind, data, NULL, bytes};
    return aiteri_gpu_memory_run(c, aiteri_gpu_free_step, &j);
}

static aiter_status aiteri_gpu_copy_step(const aiteri_gpu_call *c, aiteri_gpu_memory_job *j)
{
    const aiteri_driver *driver = c->gpu->device->driver;
    void *from = (void *)(uintptr_t)j->from; /* HIP's prototypes know no const */
    if (j->from_kind != AITER_MEMORY_DEVICE && driver->kind == AITER_DEVICE_HIP)
        AITERI_GPU_TRY(c->ctx, driver, c->op, hip_copy_in, (j->to, from, j->bytes, c->gpu->stream));
    else if (j->from_kind != AITER_MEMORY_DEVICE)
        AITERI_GPU_TRY(c->ctx, driver, c->op, cuda_copy_in,
                       (j->to, from, j->bytes, c->gpu->stream));
    else if (j->to_kind != AITER_MEMORY_DEVICE)
        AITERI_GPU_TRY(c->ctx, driver, c->op, copy_out, (j->to, from, j->bytes, c->gpu->stream));
    else
        AITERI_GPU_TRY(c->ctx, driver, c->op, copy_inside, (j->to, from, j->bytes, c->gpu->stream));
    return AITER_OK;
}

static aiter_status aiteri_gpu_memory_copy(const aiteri_gpu_call *c, void *to, aiter_memory to_kind,
                                           const void *from, aiter_memory from_kind, size_t bytes)
{
    aiteri_gpu_memory_job j = {to_kind, from_kind, to, from, bytes};
    return aiteri_gpu_memory_run(c, aiteri_gpu_copy_step, &j);
}

static aiter_status aiteri_gpu_wait_step(const aiteri_gpu_call *c, aiteri_gpu_memory_job *j)
{
    (void)j;
    AITERI_GPU_TRY(c->ctx, c->gpu->device->driver, c->op, stream_wait, (c->gpu->stream));
    return AITER_OK;
}

static aiter_status aiteri_gpu_synchronize(const aiteri_gpu_call *c)
{
    aiteri_gpu_memory_job j = {AITER_MEMORY_HOST, AITER_MEMORY_HOST, NULL, NULL, 0};
    return aiteri_gpu_memory_run(c, aiteri_gpu_wait_step, &j);
}

#endif /* AITERI_GPU_MEMORY_C */
