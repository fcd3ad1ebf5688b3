/* context.c -- threads, scratch memory and the kernel set of a caller; and what calls without one
 * use. */
#ifndef AITERI_CONTEXT_C
#define AITERI_CONTEXT_C

#include "arena.c"
#include "threads.c"
#include "../cpu/cpuid.c"
#include "../cpu/instantiate.c"
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
static int aiteri_context_on_device(const aiter_context *ctx)
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

/* The environment variable AITER_ISA as an enum; AUTO when unset or unknown. */
static aiter_isa aiteri_isa_from_environment(void)
{
    const char *text = getenv("AITER_ISA");
    for (int i = AITER_ISA_SCALAR; text && i < AITER_ISA_COUNT; i++)
        if (strcmp(text, aiter_isa_name((aiter_isa)i)) == 0) return (aiter_isa)i;
    return AITER_ISA_AUTO;
}

/* Whether a kernel set is `top` or one of those below it. */
static int aiteri_is_under(const aiteri_kernels *set, const aiteri_kernels *top)
{
    while (top && top != set) top = top->below;
    return top != NULL;
}

/* The best kernel set under the caps; the caps name sets of this architecture only. */
static const aiteri_kernels *aiteri_choose_kernels(aiter_isa isa_max)
{
    const uint32_t features = aiteri_cpu_features();
    const aiteri_kernels *caps[2] = {aiteri_kernels_of(isa_max),
                                     aiteri_kernels_of(aiteri_isa_from_environment())};
    const aiteri_kernels *best = caps[0] ? caps[0] : caps[1];
    if (!best) best = aiteri_kernels_of((aiter_isa)AITERI_TOP_ISA);
    while ((best->needs & ~features) || (caps[1] && !aiteri_is_under(best, caps[1])))
        best = best->below;
    return best;
}

/* AITER_KERNEL_CLASS of the environment, else `given`; *ignored: it names no class. */
static aiter_kernel_class aiteri_kernel_class_of(aiter_kernel_class given, const char **ignored)
{
    static const char *const name[AITER_KERNEL_CLASS_COUNT] = {"auto", "general", "plain"};
    const char *text = getenv("AITER_KERNEL_CLASS");
    *ignored = NULL;
    for (int i = AITER_KERNEL_CLASS_AUTO; text && i < AITER_KERNEL_CLASS_COUNT; i++)
        if (strcmp(text, name[i]) == 0) return (aiter_kernel_class)i;
    *ignored = text;
    return given;
}

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

static aiter_status aiteri_scratch_take(const char *op, aiter_context *ctx, void *workspace,
                                        size_t workspace_bytes, size_t need, aiteri_scratch *s)
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

static void aiteri_scratch_give_back(aiteri_scratch *s) { free(s->owned); }

#endif /* AITERI_CONTEXT_C */
