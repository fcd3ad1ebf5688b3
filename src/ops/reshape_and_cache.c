/* reshape_and_cache.c -- new K and V rows into their slots of a paged cache, converted or
 * quantised. */
#ifndef AITERI_RESHAPE_AND_CACHE_C
#define AITERI_RESHAPE_AND_CACHE_C

#include "../api_ops.h"
#include "../base/argument.c"
#include "../cpu/engine_rows.c"
#include "../base/context.c"
#if AITERI_GPU
#include "../gpu/cache.c"
#endif

/* K or V: where it comes from, where it goes, and its scales. */
typedef struct aiteri_cache_side {
    const aiter_tensor *src, *cache, *scale;
} aiteri_cache_side;

typedef struct aiteri_cache_run {
    const aiter_reshape_and_cache_args *a;
    const aiteri_kernels *kernels;
    float *rows; /* one row of AITERI_MAX_HEAD_DIM per worker */
    int32_t workers;
} aiteri_cache_run;

static int64_t aiteri_slot_of(const aiter_tensor *t, int64_t token)
{
    const int64_t at = token * t->stride[0];
    return t->dtype == AITER_I64 ? ((const int64_t *)t->data)[at] : ((const int32_t *)t->data)[at];
}

/* The type of a cache follows from quant. */
static void aiteri_check_cache_type(aiteri_check *c, const char *field, const aiter_tensor *t,
                                    int quantised)
{
    if (t->ndim == 4 && t->dtype == AITER_I8 && !quantised)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: dtype is i8, but quant is AITER_QUANT_CONVERT; set quant = "
                      "AITER_QUANT_STATIC or AITER_QUANT_PER_TOKEN_HEAD",
                      c->op, field);
    if (t->ndim == 4 && aiter_dtype_bits(t->dtype) > 8 && quantised)
        aiteri_reject(
            c, AITER_INVALID_ARGUMENT,
            "%s.%s: dtype is %s, expected i8 as quant asks; AITER_QUANT_CONVERT stores floats",
            c->op, field, aiter_dtype_name(t->dtype));
}

static void aiteri_check_cache_side(aiteri_check *c, aiter_reshape_and_cache_args *a, int value)
{
    aiter_tensor *src = value ? &a->v : &a->k, *cache = value ? &a->v_cache : &a->k_cache;
    aiter_tensor *scale = value ? &a->v_scale : &a->k_scale;
    const char *names[3] = {value ? "v" : "k", value ? "v_cache" : "k_cache",
                            value ? "v_scale" : "k_scale"};
    const int quantised = a->quant != AITER_QUANT_CONVERT;
    aiteri_check_tensor(c, names[0], src, 3, 3, AITERI_FLOATS, 1, "[tokens, Hk, D]");
    aiteri_check_cache_type(c, names[1], cache, quantised);
    aiteri_check_tensor(c, names[1], cache, 4, 4,
                        quantised ? AITERI_TYPE_BIT(AITER_I8) : (unsigned)AITERI_FLOATS, 1,
                        "[num_blocks, P, Hk, D]");
    if (c->status != AITER_OK) return;
    aiteri_check_extent(c, names[0], src, 0, a->k.shape[0], "tokens of k");
    aiteri_check_extent(c, names[0], src, 1, a->k.shape[1], "heads of k");
    aiteri_check_extent(c, names[1], cache, 2, a->k.shape[1], "heads of k");
    aiteri_check_extent(c, names[1], cache, 3, src->shape[2], "the head_dim of the new rows");
    aiteri_check_axis(c, names[0], src, 2, "head_dim", 1, AITERI_MAX_HEAD_DIM);
    aiteri_check_axis(c, names[0], src, 1, "heads", 1, 65535);
    aiteri_check_extent(c, names[1], cache, 0, a->k_cache.shape[0], "blocks of k_cache");
    aiteri_check_extent(c, names[1], cache, 1, a->k_cache.shape[1], "page size of k_cache");
    aiteri_check_axis(c, names[1], cache, 1, "page size", 1, INT32_MAX - 1);
    aiteri_check_axis(c, names[1], cache, 0, "blocks", 0, INT32_MAX - 1);
    const int per_token = a->quant == AITER_QUANT_PER_TOKEN_HEAD;
    if (!quantised) {
        aiteri_check_true(c, scale->ndim == 0, names[2],
                          "none when converting: quant chooses what uses scales");
        return;
    }
    if (!aiteri_check_tensor(c, names[2], scale, per_token ? 3 : 1, per_token ? 3 : 1,
                             AITERI_ONLY_F32, 1,
                             per_token ? "f32 [num_blocks, P, Hk] for the scales to be written"
                                       : "f32 [1] or [Hk], the scales of the cache"))
        return;
    if (per_token)
        for (int32_t i = 0; i < 3; i++)
            aiteri_check_extent(c, names[2], scale, i, cache->shape[i], "the cache");
    else if (scale->shape[0] != 1)
        aiteri_check_extent(c, names[2], scale, 0, cache->shape[2], "kv heads; or 1 for one scale");
}

static void aiteri_check_cache(aiteri_check *c, aiter_reshape_and_cache_args *a)
{
    aiteri_check_enum(c, "quant", (int)a->quant, AITER_QUANT_COUNT, "aiter_quant");
    if (c->status != AITER_OK) return;
    aiteri_check_cache_side(c, a, 0);
    if (c->status != AITER_OK) return;
    aiteri_check_cache_side(c, a, 1);
    if (c->status != AITER_OK) return;
    if (a->k.dtype != a->v.dtype)
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.v: dtype is %s, expected %s (= k.dtype)",
                      c->op, aiter_dtype_name(a->v.dtype), aiter_dtype_name(a->k.dtype));
    if (a->k_cache.dtype != a->v_cache.dtype)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.v_cache: dtype is %s, expected %s (= k_cache.dtype)", c->op,
                      aiter_dtype_name(a->v_cache.dtype), aiter_dtype_name(a->k_cache.dtype));
    if (aiteri_check_tensor(c, "slot_mapping", &a->slot_mapping, 1, 1,
                            AITERI_TYPE_BIT(AITER_I32) | AITERI_TYPE_BIT(AITER_I64), 1, "[tokens]"))
        aiteri_check_extent(c, "slot_mapping", &a->slot_mapping, 0, a->k.shape[0], "tokens of k");
}

/* Addresses are compared, nothing is read. */
static void aiteri_check_cache_overlap(aiteri_check *c, const aiter_reshape_and_cache_args *a)
{
    const aiter_tensor none = aiteri_tensor_make(NULL, AITER_F32, 0, 0, 0, 0, 0, 0);
    const int writes_scales = a->quant == AITER_QUANT_PER_TOKEN_HEAD;
    const aiter_tensor workspace = aiteri_memory_operand(a->workspace, a->workspace_bytes);
    const aiteri_operand operand[] = {{"k_cache", &a->k_cache},
                                      {"v_cache", &a->v_cache},
                                      {"k_scale", writes_scales ? &a->k_scale : &none},
                                      {"v_scale", writes_scales ? &a->v_scale : &none},
                                      {"workspace", &workspace},
                                      {"k", &a->k},
                                      {"v", &a->v},
                                      {"slot_mapping", &a->slot_mapping},
                                      {"k_scale", writes_scales ? &none : &a->k_scale},
                                      {"v_scale", writes_scales ? &none : &a->v_scale}};
    aiteri_check_overlap(c, operand, 10, 5);
}

/* Scales that are read: positive and finite. */
static void aiteri_check_static_scales(aiteri_check *c, const char *field, const aiter_tensor *t)
{
    for (int64_t h = 0; c->status == AITER_OK && h < t->shape[0]; h++) {
        const float x = ((const float *)t->data)[h * t->stride[0]];
        const uint32_t bits = aiteri_bits_of_f32(x);
        if (bits == 0 || bits >= 0x7f800000u)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.%s: [%lld] is %g, expected a positive finite scale", c->op, field,
                          (long long)h, (double)x);
    }
}

/* Slots in range, none twice: one bit per slot in `seen`. */
static void aiteri_check_slots(aiteri_check *c, const aiter_reshape_and_cache_args *a,
                               uint8_t *seen)
{
    const int64_t slots = a->k_cache.shape[0] * a->k_cache.shape[1];
    memset(seen, 0, (size_t)((slots + 7) / 8));
    for (int64_t n = 0; n < a->k.shape[0] && c->status == AITER_OK; n++) {
        const int64_t slot = aiteri_slot_of(&a->slot_mapping, n);
        if (slot < -1 || slot >= slots)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.slot_mapping: [%lld] is %lld, expected -1 (skip) or one of the %lld "
                          "slots (num_blocks * P) of k_cache, from 0 on",
                          c->op, (long long)n, (long long)slot, (long long)slots);
        if (c->status != AITER_OK || slot < 0) continue;
        if (seen[slot / 8] >> (slot % 8) & 1)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.slot_mapping: [%lld] is %lld, a slot that an earlier token has",
                          c->op, (long long)n, (long long)slot);
        seen[slot / 8] |= (uint8_t)(1u << (slot % 8));
    }
}

/* One row of one head: widened, divided by its scale, rounded into the cache. */
static void aiteri_cache_row(const aiteri_cache_run *run, const aiteri_cache_side *side,
                             int64_t token, int64_t slot, int64_t h, float *row)
{
    const aiter_tensor *src = side->src, *cache = side->cache, *scale = side->scale;
    const int32_t dim = (int32_t)src->shape[2];
    const int64_t page = cache->shape[1], block = slot / page, at = slot % page;
    aiteri_gather_row(run->kernels, row,
                      (const char *)src->data +
                          aiteri_bytes_of(src->dtype, token * src->stride[0] + h * src->stride[1]),
                      src->dtype, src->stride[2], dim);
    float step = 1.0f;
    if (run->a->quant == AITER_QUANT_STATIC) {
        step = ((const float *)scale->data)[scale->shape[0] == 1 ? 0 : h * scale->stride[0]];
    } else if (run->a->quant == AITER_QUANT_PER_TOKEN_HEAD) {
        step = aiteri_rounded(run->kernels->row_amax(row, dim) / 127.0f);
        ((float *)
             scale->data)[block * scale->stride[0] + at * scale->stride[1] + h * scale->stride[2]] =
            step;
    }
    if (run->a->quant != AITER_QUANT_CONVERT)
        for (int32_t d = 0; d < dim; d++) row[d] = step != 0.0f ? row[d] / step : 0.0f;
    aiteri_scatter_row(run->kernels,
                       (char *)cache->data +
                           aiteri_bytes_of(cache->dtype, block * cache->stride[0] +
                                                             at * cache->stride[1] +
                                                             h * cache->stride[2]),
                       cache->dtype, cache->stride[3], row, dim);
}

static void aiteri_cache_worker(void *arg, int32_t i)
{
    const aiteri_cache_run *run = (const aiteri_cache_run *)arg;
    const aiter_reshape_and_cache_args *a = run->a;
    const aiteri_cache_side side[2] = {{&a->k, &a->k_cache, &a->k_scale},
                                       {&a->v, &a->v_cache, &a->v_scale}};
    const int64_t tokens = a->k.shape[0];
    float *row = run->rows + (int64_t)i * AITERI_MAX_HEAD_DIM;
    const int64_t end = aiteri_share_of(tokens, i + 1, run->workers);
    for (int64_t n = aiteri_share_of(tokens, i, run->workers); n < end; n++) {
        const int64_t slot = aiteri_slot_of(&a->slot_mapping, n);
        for (int64_t h = 0; slot >= 0 && h < a->k.shape[1]; h++)
            for (int kv = 0; kv < 2; kv++) aiteri_cache_row(run, &side[kv], n, slot, h, row);
    }
}

/* One layout for the query and the run: rows of the workers, then a bit per slot. */
static uint8_t *aiteri_cache_layout(const aiter_reshape_and_cache_args *a, int32_t workers,
                                    aiteri_arena *arena, float **rows)
{
    const size_t slots = aiteri_mul_size((size_t)a->k_cache.shape[0], (size_t)a->k_cache.shape[1]);
    *rows = (float *)aiteri_carve(arena, (size_t)workers * AITERI_MAX_HEAD_DIM, sizeof(float));
    return (uint8_t *)aiteri_carve(arena, slots / 8 + 1, 1);
}

static aiter_status aiteri_cache_prepare(const aiter_reshape_and_cache_args *args,
                                         aiter_context *ctx, aiter_reshape_and_cache_args *a)
{
    aiteri_check c = {"aiter_reshape_and_cache", ctx, AITER_OK};
    aiteri_context_begin(ctx);
    if (!args)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT, "%s.args: is NULL, expected a pointer",
                           c.op);
    *a = *args;
    aiteri_check_cache(&c, a);
    return c.status;
}

AITER_API aiter_status aiter_reshape_and_cache(const aiter_reshape_and_cache_args *args,
                                               aiter_context *ctx)
{
    aiter_reshape_and_cache_args a;
    AITERI_TRY(aiteri_cache_prepare(args, ctx, &a));
    aiteri_check c = {"aiter_reshape_and_cache", ctx, AITER_OK};
    aiteri_check_cache_overlap(&c, &a);
    if (c.status != AITER_OK) return c.status;
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(c.op, ctx);
        return aiteri_gpu_cache_run(&call, &a);
    }
#endif
    if (a.quant == AITER_QUANT_STATIC) {
        aiteri_check_static_scales(&c, "k_scale", &a.k_scale);
        aiteri_check_static_scales(&c, "v_scale", &a.v_scale);
        if (c.status != AITER_OK) return c.status;
    }
    aiteri_cache_run run = {&a, aiteri_context_kernels(ctx), NULL, aiteri_context_workers(ctx)};
    aiteri_arena measure = {NULL, 0};
    aiteri_cache_layout(&a, run.workers, &measure, &run.rows);
    aiteri_scratch scratch;
    AITERI_TRY(
        aiteri_scratch_take(c.op, ctx, a.workspace, a.workspace_bytes, measure.used, &scratch));
    uint8_t *seen = aiteri_cache_layout(&a, run.workers, &scratch.arena, &run.rows);
    aiteri_check_slots(&c, &a, seen);
    if (c.status == AITER_OK && a.k.shape[0] > 0)
        aiteri_parallel(ctx, aiteri_cache_worker, &run,
                        (int32_t)aiteri_min(run.workers, AITERI_MAX_THREADS));
    aiteri_scratch_give_back(&scratch);
    return c.status;
}

AITER_API aiter_status aiter_reshape_and_cache_workspace(const aiter_reshape_and_cache_args *args,
                                                         aiter_context *ctx, size_t *bytes)
{
    aiter_reshape_and_cache_args a;
    AITERI_TRY(aiteri_cache_prepare(args, ctx, &a));
    aiteri_arena measure = {NULL, 0};
    float *rows;
    if (!aiteri_context_on_device(ctx)) /* where slots are not looked at */
        aiteri_cache_layout(&a, aiteri_context_workers(ctx), &measure, &rows);
    return aiteri_scratch_answer("aiter_reshape_and_cache", ctx, measure.used, bytes);
}

#endif /* AITERI_RESHAPE_AND_CACHE_C */
