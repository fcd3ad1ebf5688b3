/* cache.c -- aiter_reshape_and_cache on a device: one launch, slots are read and judged there. */
#ifndef AITERI_GPU_CACHE_C
#define AITERI_GPU_CACHE_C

#include "launch.c"
#include "../api_ops.h"

static void aiteri_gpu_fill_cache_side(aiteri_gpu_cache_side *s, const aiter_tensor *src,
                                       const aiter_tensor *cache, const aiter_tensor *scale)
{
    s->src = (uint64_t)(uintptr_t)src->data;
    s->cache = (uint64_t)(uintptr_t)cache->data;
    s->src_stride_token = src->stride[0];
    s->src_stride_head = src->stride[1];
    s->cache_stride_block = cache->stride[0];
    s->cache_stride_token = cache->stride[1];
    s->cache_stride_head = cache->stride[2];
    s->dim = (int32_t)src->shape[2];
    if (scale->ndim == 0) return;
    s->scale = (uint64_t)(uintptr_t)scale->data;
    s->scale_stride_block = scale->ndim == 3 ? scale->stride[0] : 0;
    s->scale_stride_token = scale->ndim == 3 ? scale->stride[1] : 0;
    s->scale_stride_head = scale->ndim == 3       ? scale->stride[2]
                           : scale->shape[0] == 1 ? 0
                                                  : scale->stride[0];
}

/* The row of the registry that serves it; shapes were checked. */
static aiter_status aiteri_gpu_cache_choose(const aiteri_gpu_call *c,
                                            const aiter_reshape_and_cache_args *a, int32_t *row)
{
    const aiteri_operand rows[4] = {
        {"k", &a->k}, {"v", &a->v}, {"kv.k", &a->kv.k}, {"kv.v", &a->kv.v}};
    aiteri_gpu_want want;
    memset(&want, 0, sizeof want);
    want.op = AITERI_GPU_OP_reshape_and_cache;
    want.arch = c->gpu->device->arch_bits;
    want.q = a->k.dtype;
    want.kv = a->kv.k.dtype;
    want.dq = (int32_t)a->k.shape[2];
    want.dv = (int32_t)a->v.shape[2];
    want.features = AITERI_BIT(PAGED_KEYS);
    if (a->kv.k_scale.ndim != 0) want.features |= AITERI_BIT(SCALE_TOKEN);
    if (a->kv.k_scale.ndim == 2) want.features |= AITERI_BIT(SCALE_BLOCK);
    AITERI_TRY(aiteri_gpu_check_dense(c, rows, 4));
    return aiteri_gpu_need_row(c, &want, row);
}

/* By the row that was chosen. */
static aiter_status aiteri_gpu_cache_run(const aiteri_gpu_call *c,
                                         const aiter_reshape_and_cache_args *a, int32_t mode,
                                         int32_t row)
{
    aiteri_gpu_reshape_and_cache x;
    aiteri_current was;
    memset(&x, 0, sizeof x);
    aiteri_gpu_fill_cache_side(&x.k, &a->k, &a->kv.k, &a->kv.k_scale);
    aiteri_gpu_fill_cache_side(&x.v, &a->v, &a->kv.v, &a->kv.v_scale);
    x.slot_mapping = (uint64_t)(uintptr_t)a->slot_mapping.data;
    x.slot_stride = a->slot_mapping.stride[0];
    x.tokens = a->k.shape[0];
    x.slots = a->kv.k.shape[0] * a->kv.k.shape[1];
    x.heads = (int32_t)a->k.shape[1];
    x.page_size = (int32_t)a->kv.k.shape[1];
    x.slot_bits = aiter_dtype_bits(a->slot_mapping.dtype);
    x.quant = mode;
    if (x.tokens == 0) return AITER_OK;
    AITERI_TRY(aiteri_device_enter(c->ctx, c->op, c->gpu->device, &was));
    const aiter_status status =
        aiteri_gpu_launch(c, row, aiteri_ceil_div(x.tokens, aiteri_gpu_rows_table[row].rows), &x);
    aiteri_device_leave(c->gpu->device, &was);
    return status;
}

#endif /* AITERI_GPU_CACHE_C */
