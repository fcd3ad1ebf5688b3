/* launch.c -- what a context has of a device: its stream, its arena in device memory, its launches.
 * A warm call takes no lock, allocates nothing and waits for nothing. */
#ifndef AITERI_GPU_LAUNCH_C
#define AITERI_GPU_LAUNCH_C

#include "code.c"
#include "../base/argument.c"
#include "../../kernels/args.h"

enum { AITERI_GPU_ALIGN = 256, AITERI_GPU_RETIRED = 64 };

typedef struct aiteri_gpu_block {
    void *data;
    size_t bytes;
} aiteri_gpu_block;

/* The part of a context that a device needs; device NULL: a context of the CPU. */
typedef struct aiteri_gpu {
    aiteri_device *device;
    void *stream;
    int own_memory; /* the caller's hooks give none: ask the driver */
    /* The last is the arena; earlier ones may still be in use by work that runs. Each is at least
     * twice the one before. */
    aiteri_gpu_block block[AITERI_GPU_RETIRED];
    int32_t blocks;
    size_t high_water;
    /* The last answer of the registry for each op. */
    aiteri_gpu_want want[AITERI_GPU_OPS];
    int32_t row[AITERI_GPU_OPS];
} aiteri_gpu;

/* Who calls: what failing and allocating need to know. */
typedef struct aiteri_gpu_call {
    const char *op;
    aiter_context *ctx; /* NULL while the context is being made */
    aiteri_gpu *gpu;
    const aiter_context_desc *desc;
} aiteri_gpu_call;

static size_t aiteri_gpu_arena_bytes(const aiteri_gpu *g)
{
    return g->blocks ? g->block[g->blocks - 1].bytes : 0;
}

/* Kernels step through a head one element at a time. */
static aiter_status aiteri_gpu_check_last_stride(const aiteri_gpu_call *c, const char *name,
                                                 int64_t stride)
{
    if (stride == 1) return AITER_OK;
    return aiteri_fail(c->ctx, AITER_UNSUPPORTED,
                       "%s.%s: its last stride is %lld, on a device it must be 1; pass a copy that "
                       "is dense there",
                       c->op, name, (long long)stride);
}

/* The same for tensors whose strides are filled; one element has no stride. */
AITERI_UNUSED static aiter_status aiteri_gpu_check_dense(const aiteri_gpu_call *c,
                                                         const aiteri_operand *rows, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        const aiter_tensor *t = rows[i].tensor;
        const int32_t last = t->ndim - 1;
        AITERI_TRY(aiteri_gpu_check_last_stride(c, rows[i].field,
                                                t->shape[last] > 1 ? t->stride[last] : 1));
    }
    return AITER_OK;
}

static aiter_status aiteri_gpu_allocate(const aiteri_gpu_call *c, size_t bytes)
{
    aiteri_gpu *g = c->gpu;
    void *data = NULL;
    if (g->own_memory)
        AITERI_GPU_TRY(c->ctx, g->device->driver, c->op, memory_alloc, (&data, bytes));
    else
        data = c->desc->alloc(c->desc->user, bytes, AITERI_GPU_ALIGN, AITER_MEMORY_DEVICE);
    if (!data)
        return aiteri_fail(c->ctx, AITER_OUT_OF_MEMORY, "%s: no %zu bytes of device memory", c->op,
                           bytes);
    g->block[g->blocks].data = data;
    g->block[g->blocks++].bytes = bytes;
    return AITER_OK;
}

/* Loading and allocating would break a capture: better a refusal that leaves it whole. */
static aiter_status aiteri_gpu_check_capture(const aiteri_gpu_call *c, const char *what)
{
    aiteri_gpu_capture state = 0;
    AITERI_GPU_TRY(c->ctx, c->gpu->device->driver, c->op, stream_capturing,
                   (c->gpu->stream, &state));
    if (state == 0) return AITER_OK;
    return aiteri_fail(c->ctx, AITER_UNSUPPORTED,
                       "%s: must %s, which a stream under capture cannot: make the same call once "
                       "before the capture",
                       c->op, what);
}

/* context/hooks.c has the log. */
static void aiteri_gpu_log_growth(const aiteri_gpu_call *c, size_t held);

static aiter_status aiteri_gpu_grow(const aiteri_gpu_call *c, size_t bytes)
{
    const size_t held = aiteri_gpu_arena_bytes(c->gpu), twice = aiteri_mul_size(held, 2);
    AITERI_TRY(aiteri_gpu_check_capture(c, "allocate device memory"));
    AITERI_ASSERT(c->gpu->blocks < AITERI_GPU_RETIRED); /* doubled as often: beyond any memory */
    AITERI_TRY(aiteri_gpu_allocate(c, bytes > twice ? bytes : twice));
    aiteri_gpu_log_growth(c, held);
    return AITER_OK;
}

/* Device bytes that serve `need` from wherever a block starts. */
static size_t aiteri_gpu_scratch_bytes(size_t need)
{
    return need ? aiteri_add_size(need, AITERI_GPU_ALIGN) : 0;
}

/* `need` bytes of device scratch: the caller's, or the arena's. */
AITERI_UNUSED static aiter_status aiteri_gpu_scratch(const aiteri_gpu_call *c, void *workspace,
                                                     size_t workspace_bytes, size_t need,
                                                     char **out)
{
    const size_t bytes = aiteri_gpu_scratch_bytes(need);
    const size_t held = aiteri_gpu_arena_bytes(c->gpu);
    void *block = workspace;
    *out = NULL;
    if (bytes > SIZE_MAX / 2)
        return aiteri_fail(c->ctx, AITER_OUT_OF_MEMORY,
                           "%s: the shapes need more memory than can be addressed", c->op);
    if (workspace && workspace_bytes < bytes)
        return aiteri_fail(c->ctx, AITER_WORKSPACE_TOO_SMALL,
                           "%s.call.workspace_bytes: is %zu, expected at least %zu", c->op,
                           workspace_bytes, bytes);
    if (!workspace && bytes > held && c->desc->arena_bytes > 0)
        return aiteri_fail(c->ctx, AITER_WORKSPACE_TOO_SMALL,
                           "%s: needs %zu bytes, the context's arena_bytes is %zu", c->op, bytes,
                           held);
    if (!workspace) {
        if (bytes > held) AITERI_TRY(aiteri_gpu_grow(c, bytes));
        if (bytes > c->gpu->high_water) c->gpu->high_water = bytes;
        block = c->gpu->block[c->gpu->blocks - 1].data;
    }
    const uintptr_t address = (uintptr_t)block;
    *out = (char *)block + (AITERI_GPU_ALIGN - address % AITERI_GPU_ALIGN) % AITERI_GPU_ALIGN;
    return AITER_OK;
}

/* The row that serves; a call like the last one is answered from memory. */
static int32_t aiteri_gpu_row_of(aiteri_gpu *g, const aiteri_gpu_want *want)
{
    if (memcmp(&g->want[want->op], want, sizeof *want) != 0) {
        g->row[want->op] = aiteri_gpu_find_row(want);
        g->want[want->op] = *want;
    }
    return g->row[want->op];
}

/* The same, or NO_KERNEL. */
AITERI_UNUSED static aiter_status aiteri_gpu_need_row(const aiteri_gpu_call *c,
                                                      const aiteri_gpu_want *want, int32_t *row)
{
    *row = aiteri_gpu_row_of(c->gpu, want);
    return *row >= 0 ? AITER_OK : aiteri_gpu_refuse(c->ctx, c->op, c->gpu->device->arch, want);
}

/* The row's function, loaded if this device has not had it yet. */
static aiter_status aiteri_gpu_function_of(const aiteri_gpu_call *c, int32_t row,
                                           aiteri_gpu_function *out)
{
    aiteri_device *d = c->gpu->device;
    aiteri_counter function = aiteri_atomic_load(&d->function[row]);
    if (function == 0) {
        AITERI_TRY(aiteri_gpu_check_capture(c, "load a kernel"));
        aiteri_gpu_lock();
        const aiter_status status = aiteri_gpu_load_row(c->ctx, c->op, d, row);
        function = d->function[row];
        aiteri_gpu_unlock();
        if (status != AITER_OK) return status;
    }
    *out = (aiteri_gpu_function)(uintptr_t)function;
    return AITER_OK;
}

/* One launch of `groups` workgroups on the current device; `args` is the op's struct of
 * kernels/args.h. Both drivers copy it before they return. */
AITERI_UNUSED static aiter_status aiteri_gpu_launch(const aiteri_gpu_call *c, int32_t row,
                                                    int64_t groups, void *args)
{
    const aiteri_gpu_row *r = &aiteri_gpu_rows_table[row];
    const aiteri_driver *driver = c->gpu->device->driver;
    const unsigned threads = (unsigned)r->threads;
    const unsigned shared = driver->kind == AITER_DEVICE_CUDA ? (unsigned)r->lds_bytes : 0;
    aiteri_gpu_function function = NULL;
    void *parameters[1];
    if (groups > INT32_MAX || groups * r->threads > (int64_t)UINT32_MAX)
        return aiteri_fail(c->ctx, AITER_UNSUPPORTED,
                           "%s: needs %lld workgroups of %d threads, more than a launch takes: cut "
                           "the batch, or pass smaller max_seqlen_q and kv.max_seqlen",
                           c->op, (long long)groups, (int)r->threads);
    AITERI_TRY(aiteri_gpu_function_of(c, row, &function));
    parameters[0] = args;
    AITERI_GPU_TRY(c->ctx, driver, c->op, launch,
                   (function, (unsigned)groups, 1, 1, threads, 1, 1, shared, c->gpu->stream,
                    parameters, NULL));
    return AITER_OK;
}

/* ---- contexts ---- */

static aiter_status aiteri_gpu_start(aiteri_gpu *g, const aiter_context_desc *desc, int own_memory)
{
    const aiteri_gpu_call c = {"aiter_context_create.arena_bytes", NULL, g, desc};
    aiteri_current was;
    AITERI_TRY(aiteri_device_acquire(desc, &g->device));
    g->stream = desc->stream;
    g->own_memory = own_memory;
    if (desc->arena_bytes == 0) return AITER_OK;
    AITERI_TRY(aiteri_device_enter(NULL, c.op, g->device, &was));
    const aiter_status status = aiteri_gpu_allocate(&c, desc->arena_bytes);
    aiteri_device_leave(g->device, &was);
    return status;
}

/* Waits for the stream if there is memory that its work may still use. */
static void aiteri_gpu_stop(aiteri_gpu *g, const aiter_context_desc *desc)
{
    aiteri_current was;
    if (!g->device) return;
    const aiteri_driver *driver = g->device->driver;
    const int entered = g->blocks && aiteri_device_enter(NULL, "aiter_context_destroy", g->device,
                                                         &was) == AITER_OK;
    if (entered) driver->stream_wait(g->stream);
    for (int32_t i = 0; i < g->blocks; i++)
        if (!g->own_memory)
            desc->free(desc->user, g->block[i].data, g->block[i].bytes, AITER_MEMORY_DEVICE);
        else if (entered)
            driver->memory_free(g->block[i].data);
    if (entered) aiteri_device_leave(g->device, &was);
    aiteri_device_release(g->device);
}

#endif /* AITERI_GPU_LAUNCH_C */
