/* cache.c -- aiter_reshape_and_cache on a device: one launch, slots are read and judged there. */
#ifndef AITERI_GPU_CACHE_C
#define AITERI_GPU_CACHE_C

#include "launch.c"
#include "../api_ops.h"
#include "../plan/problem.h"

/* From the rows of new tokens to the cache, as readers see both. */
static void aiteri_gpu_fill_cache_side(aiteri_gpu_cache_side *s, const aiteri_source *src,
                                       const aiteri_source *cache)
{
    s->src = (uint64_t)(uintptr_t)src->data;
    s->src_stride_token = src->stride_token;
    s->src_stride_head = src->stride_head;
    s->src_stride_dim = src->stride_dim;
    s->dim = src->dim;
    s->cache = (uint64_t)(uintptr_t)cache->data;
    s->cache_stride_block = cache->stride_outer;
    s->cache_stride_token = cache->stride_token;
    s->cache_stride_head = cache->stride_head;
    s->cache_stride_dim = cache->stride_dim;
    s->bundle = cache->tiles.bundle;
    s->cache_stride_bundle = cache->tiles.stride_bundle;
    s->piece = cache->tiles.piece;
    s->cache_stride_piece = cache->tiles.stride_piece;
    s->scale = (uint64_t)(uintptr_t)cache->scales.data;
    s->scale_stride_block = cache->scales.stride_outer;
    s->scale_stride_token = cache->scales.stride_token;
    s->scale_stride_head = cache->scales.stride_head;
}

/* The row of the registry that serves it: one for each type of new rows takes every cache. */
static aiter_status aiteri_gpu_cache_choose(const aiteri_gpu_call *c,
                                            const aiter_reshape_and_cache_args *a, int32_t *row)
{
    aiteri_gpu_want want;
    memset(&want, 0, sizeof want);
    want.op = AITERI_GPU_OP_reshape_and_cache;
    want.arch = c->gpu->device->arch_bits;
    want.q = a->k.dtype;
    want.kv = a->kv.k.dtype;
    want.features = AITERI_BIT(PAGED_KEYS);
    return aiteri_gpu_need_row(c, &want, row);
}

/* By the row that was chosen; src and cache of K, then of V. */
static aiter_status aiteri_gpu_cache_run(const aiteri_gpu_call *c,
                                         const aiter_reshape_and_cache_args *a,
                                         const aiteri_source *const side[4], int32_t mode,
                                         int32_t row)
{
    aiteri_gpu_reshape_and_cache x;
    aiteri_current was;
    memset(&x, 0, sizeof x);
    aiteri_gpu_fill_cache_side(&x.k, side[0], side[1]);
    aiteri_gpu_fill_cache_side(&x.v, side[2], side[3]);
    x.slot_mapping = (uint64_t)(uintptr_t)a->slot_mapping.data;
    x.slot_stride = a->slot_mapping.stride[0];
    x.tokens = a->k.shape[0];
    x.slots = a->kv.k.shape[0] * a->kv.k.shape[1];
    x.heads = (int32_t)a->k.shape[1];
    x.page_size = (int32_t)a->kv.k.shape[1];
    x.slot_bits = aiter_dtype_bits(a->slot_mapping.dtype);
    x.quant = mode;
    x.cache_dtype = (int32_t)a->kv.k.dtype;
    x.largest = aiteri_largest_of(a->kv.k.dtype);
    if (x.tokens == 0) return AITER_OK;
    AITERI_TRY(aiteri_device_enter(c->ctx, c->op, c->gpu->device, &was));
    const aiter_status status =
        aiteri_gpu_launch(c, row, aiteri_ceil_div(x.tokens, aiteri_gpu_rows_table[row].rows), &x);
    aiteri_device_leave(c->gpu->device, &was);
    return status;
}

#endif /* AITERI_GPU_CACHE_C */
