/* context.c -- contexts made, described and ended; and what calls without one use. */
#ifndef AITERI_CONTEXT_C
#define AITERI_CONTEXT_C

#include "choose.c"
#include "scratch.c"

static int aiteri_device_is_compiled_in(aiter_device device)
{
#if defined(AITER_ATTN_HIP)
    if (device == AITER_DEVICE_HIP) return 1;
#endif
#if defined(AITER_ATTN_CUDA)
    if (device == AITER_DEVICE_CUDA) return 1;
#endif
    return device == AITER_DEVICE_CPU;
}

static aiter_status aiteri_context_check(const aiter_context_desc *d)
{
    const char *op = "aiter_context_create";
    if (d->num_threads < 0 || d->num_threads > AITERI_MAX_THREADS)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT, "%s.num_threads: is %d, expected 0 to %d",
                           op, (int)d->num_threads, (int)AITERI_MAX_THREADS);
    if (d->parallel_for && d->num_threads == 0)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT,
                           "%s.num_threads: is 0, expected the number of threads of parallel_for",
                           op);
    if ((d->alloc == NULL) != (d->free == NULL))
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT,
                           "%s.%s: is NULL, expected both hooks or neither", op,
                           d->alloc ? "free" : "alloc");
    if ((int)d->isa_max < 0 || d->isa_max >= AITER_ISA_COUNT)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT, "%s.isa_max: %d is no aiter_isa", op,
                           (int)d->isa_max);
    if ((int)d->kernel_class < 0 || d->kernel_class >= AITER_KERNEL_CLASS_COUNT)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT,
                           "%s.kernel_class: %d is no aiter_kernel_class", op,
                           (int)d->kernel_class);
    if (d->exact_arithmetic != 0 && d->exact_arithmetic != 1)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT,
                           "%s.exact_arithmetic: is %d, expected 0 or 1", op,
                           (int)d->exact_arithmetic);
    if (d->device_index < 0)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT,
                           "%s.device_index: is %d, expected 0 or more", op, (int)d->device_index);
    if ((int)d->device < 0 || d->device > AITER_DEVICE_CUDA)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT, "%s.device: %d is no aiter_device", op,
                           (int)d->device);
    if (d->device != AITER_DEVICE_CPU && d->exact_arithmetic)
        return aiteri_fail(NULL, AITER_UNSUPPORTED,
                           "%s.exact_arithmetic: is 1, but a device rounds weights to 16 bits", op);
    if (!aiteri_device_is_compiled_in(d->device))
        return aiteri_fail(NULL, AITER_NO_DEVICE,
                           "%s.device: this build has no %s: define AITER_ATTN_%s where the "
                           "implementation is made",
                           op, d->device == AITER_DEVICE_HIP ? "HIP" : "CUDA",
                           d->device == AITER_DEVICE_HIP ? "HIP" : "CUDA");
    if (d->isa_max != AITER_ISA_AUTO && aiteri_kernels_of(d->isa_max) == NULL)
        return aiteri_fail(NULL, AITER_UNSUPPORTED, "%s.isa_max: %s is of another architecture", op,
                           aiter_isa_name(d->isa_max));
    return AITER_OK;
}

static aiter_status aiteri_context_start(aiter_context *ctx)
{
#if AITERI_GPU
    if (ctx->desc.device != AITER_DEVICE_CPU)
        return aiteri_gpu_start(&ctx->gpu, &ctx->desc, ctx->desc.alloc == aiteri_malloc_hook);
#endif
    if (ctx->desc.arena_bytes > 0 && !aiteri_context_grow(ctx, ctx->desc.arena_bytes))
        return aiteri_fail(NULL, AITER_OUT_OF_MEMORY,
                           "aiter_context_create.arena_bytes: no %zu bytes", ctx->desc.arena_bytes);
#if !defined(AITERI_THREADS_NONE)
    const int32_t n = ctx->desc.num_threads;
    if (ctx->desc.parallel_for || n < 2) return AITER_OK;
    ctx->workers = (aiteri_pool_worker *)ctx->desc.alloc(
        ctx->desc.user, (size_t)n * sizeof *ctx->workers, AITERI_LINE, AITER_MEMORY_HOST);
    if (!ctx->workers || !aiteri_pool_start(&ctx->pool, ctx->workers, n)) {
        if (ctx->workers)
            ctx->desc.free(ctx->desc.user, ctx->workers, (size_t)n * sizeof *ctx->workers,
                           AITER_MEMORY_HOST);
        ctx->workers = NULL;
        return aiteri_fail(NULL, AITER_OUT_OF_MEMORY,
                           "aiter_context_create.num_threads: could not start %d threads", (int)n);
    }
#endif
    return AITER_OK;
}

AITER_ATTN_API aiter_status aiter_context_create(const aiter_context_desc *desc,
                                                 aiter_context **out)
{
    if (!out) return aiteri_fail(NULL, AITER_INVALID_ARGUMENT, "aiter_context_create.out: is NULL");
    *out = NULL;
    aiter_context_desc d;
    memset(&d, 0, sizeof d);
    if (desc) d = *desc;
    AITERI_TRY(aiteri_context_check(&d));
    if (!d.alloc) {
        d.alloc = aiteri_malloc_hook;
        d.free = aiteri_free_hook;
    }
    if (d.device != AITER_DEVICE_CPU) d.num_threads = 1; /* the work is the device's */
    if (d.num_threads == 0) d.num_threads = aiteri_usable_cpus();
#if defined(AITERI_THREADS_NONE)
    if (!d.parallel_for) d.num_threads = 1;
#endif
    aiter_context *ctx =
        (aiter_context *)d.alloc(d.user, sizeof *ctx, AITERI_LINE, AITER_MEMORY_HOST);
    if (!ctx)
        return aiteri_fail(NULL, AITER_OUT_OF_MEMORY, "aiter_context_create.alloc: gave NULL");
    memset(ctx, 0, sizeof *ctx);
    const char *no_class;
    ctx->desc = d;
    ctx->desc.kernel_class = aiteri_kernel_class_of(d.kernel_class, &no_class);
    ctx->kernels = aiteri_choose_kernels(d.isa_max);
    const aiter_status status = aiteri_context_start(ctx);
    if (status != AITER_OK) {
        aiter_context_destroy(ctx);
        return status;
    }
    const char *cap = getenv("AITER_ISA");
    if (cap && !aiteri_kernels_of(aiteri_isa_from_environment()))
        aiteri_log(&ctx->desc, AITER_LOG_WARNING,
                   "the environment's AITER_ISA is ignored: no kernel set %s", cap);
    if (no_class && no_class[0])
        aiteri_log(&ctx->desc, AITER_LOG_WARNING,
                   "the environment's AITER_KERNEL_CLASS is ignored: no class %s", no_class);
    const aiter_context_details info = aiter_context_info(ctx);
    aiteri_log(&ctx->desc, AITER_LOG_INFO, "aiter_attn %s: %s, kernels %s, up to %d threads",
               AITER_ATTN_VERSION_STRING, info.device_name, info.architecture, (int)d.num_threads);
    *out = ctx;
    return AITER_OK;
}

AITER_ATTN_API void aiter_context_destroy(aiter_context *ctx)
{
    if (!ctx) return;
    const aiter_context_desc d = ctx->desc;
#if AITERI_GPU
    aiteri_gpu_stop(&ctx->gpu, &d);
#endif
#if !defined(AITERI_THREADS_NONE)
    if (ctx->workers) {
        aiteri_pool_stop(&ctx->pool);
        d.free(d.user, ctx->workers, (size_t)d.num_threads * sizeof *ctx->workers,
               AITER_MEMORY_HOST);
    }
#endif
    if (ctx->scratch) d.free(d.user, ctx->scratch, ctx->scratch_bytes, AITER_MEMORY_HOST);
    d.free(d.user, ctx, sizeof *ctx, AITER_MEMORY_HOST);
}

static const aiteri_kernels *aiteri_context_kernels(const aiter_context *ctx)
{
    return ctx ? ctx->kernels : aiteri_choose_kernels(AITER_ISA_AUTO);
}

static int32_t aiteri_context_workers(const aiter_context *ctx)
{
    return ctx ? ctx->desc.num_threads : 1;
}

AITER_ATTN_API aiter_context_details aiter_context_info(const aiter_context *ctx)
{
    aiter_context_details info;
    memset(&info, 0, sizeof info);
    info.isa = aiteri_context_kernels(ctx)->isa;
    info.isa_name = aiteri_context_kernels(ctx)->name;
    info.device = AITER_DEVICE_CPU;
    info.device_name = "cpu";
    info.num_threads = aiteri_context_workers(ctx);
    info.compute_units = aiteri_usable_cpus();
    info.arena_bytes = ctx ? ctx->scratch_bytes : 0;
    info.arena_high_water = ctx ? ctx->high_water : 0;
    info.architecture = info.isa_name;
#if AITERI_GPU
    if (ctx && ctx->gpu.device) {
        const aiteri_device *device = ctx->gpu.device;
        info.device = device->driver->kind;
        info.device_name = device->name;
        info.architecture = device->arch;
        info.compute_units = device->compute_units;
        info.arena_bytes = aiteri_gpu_arena_bytes(&ctx->gpu);
        info.arena_high_water = ctx->gpu.high_water;
    }
#endif
    return info;
}

AITER_ATTN_API const char *aiter_last_error(void) { return aiteri_error_text; }

AITER_ATTN_API const char *aiter_context_error(const aiter_context *ctx)
{
    return ctx ? ctx->text : aiteri_error_text;
}

/* Every call on a context starts here: its last failure is forgotten. */
static void aiteri_context_begin(aiter_context *ctx)
{
    if (ctx) ctx->text[0] = 0;
}

#endif /* AITERI_CONTEXT_C */
