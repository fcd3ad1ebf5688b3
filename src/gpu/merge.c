/* merge.c -- aiter_merge_attn_states on a device: one launch for each row of the batch. */
#ifndef AITERI_GPU_MERGE_C
#define AITERI_GPU_MERGE_C

#include "launch.c"
#include "../api_ops.h"

/* Batch row b of [.., tokens, H, D]. */
static aiteri_gpu_rows aiteri_gpu_merge_rows(const aiter_tensor *t, int64_t b)
{
    const int32_t n = t->ndim;
    const int64_t bytes = aiter_dtype_bits(t->dtype) / 8;
    aiteri_gpu_rows r;
    r.data = (uint64_t)(uintptr_t)t->data + (uint64_t)(n == 4 ? b * t->stride[0] * bytes : 0);
    r.stride_batch = 0;
    r.stride_token = t->stride[n - 3];
    r.stride_head = t->stride[n - 2];
    return r;
}

/* Batch row b of [.., H, tokens]; 0 where the tensor is absent. */
static uint64_t aiteri_gpu_merge_lse(const aiter_tensor *t, int64_t b, int64_t *stride_head,
                                     int64_t *stride_token)
{
    const int32_t n = t->ndim;
    *stride_head = *stride_token = 0;
    if (n == 0) return 0;
    *stride_head = t->stride[n - 2];
    *stride_token = t->stride[n - 1];
    return (uint64_t)(uintptr_t)t->data +
           (uint64_t)(n == 3 ? b * t->stride[0] * (int64_t)sizeof(float) : 0);
}

static aiter_status aiteri_gpu_merge_launch(const aiteri_gpu_call *c,
                                            const aiter_merge_attn_states_args *a, int32_t row,
                                            int64_t b)
{
    const int32_t n = a->out.ndim;
    aiteri_gpu_merge x;
    memset(&x, 0, sizeof x);
    x.a = aiteri_gpu_merge_rows(&a->out_a, b);
    x.b = aiteri_gpu_merge_rows(&a->out_b, b);
    x.out = aiteri_gpu_merge_rows(&a->out, b);
    x.lse_a = aiteri_gpu_merge_lse(&a->lse_a, b, &x.lse_a_stride_head, &x.lse_a_stride_token);
    x.lse_b = aiteri_gpu_merge_lse(&a->lse_b, b, &x.lse_b_stride_head, &x.lse_b_stride_token);
    x.lse = aiteri_gpu_merge_lse(&a->lse, b, &x.lse_stride_head, &x.lse_stride_token);
    x.tokens = a->out.shape[n - 3];
    x.heads = (int32_t)a->out.shape[n - 2];
    x.dim = (int32_t)a->out.shape[n - 1];
    return aiteri_gpu_launch(
        c, row, aiteri_ceil_div(x.tokens * x.heads, aiteri_gpu_rows_table[row].rows), &x);
}

/* The row of the registry that serves it; shapes were checked. */
static aiter_status aiteri_gpu_merge_choose(const aiteri_gpu_call *c,
                                            const aiter_merge_attn_states_args *a, int32_t *row)
{
    const aiteri_operand rows[3] = {{"out_a", &a->out_a}, {"out_b", &a->out_b}, {"out", &a->out}};
    aiteri_gpu_want want;
    memset(&want, 0, sizeof want);
    want.op = AITERI_GPU_OP_merge_attn_states;
    want.arch = c->gpu->device->arch_bits;
    want.features = AITERI_BIT(DENSE_KEYS);
    want.q = a->out_a.dtype;
    want.kv = a->out_b.dtype;
    want.out = a->out.dtype;
    AITERI_TRY(aiteri_gpu_check_dense(c, rows, 3));
    return aiteri_gpu_need_row(c, &want, row);
}

/* By the row that was chosen. */
static aiter_status aiteri_gpu_merge_run(const aiteri_gpu_call *c,
                                         const aiter_merge_attn_states_args *a, int32_t row)
{
    const int32_t n = a->out.ndim;
    const int64_t batch = n == 4 ? a->out.shape[0] : 1;
    aiteri_current was;
    aiter_status status = AITER_OK;
    if (a->out.shape[n - 3] == 0 || a->out.shape[n - 2] == 0) return AITER_OK;
    AITERI_TRY(aiteri_device_enter(c->ctx, c->op, c->gpu->device, &was));
    for (int64_t b = 0; b < batch && status == AITER_OK; b++)
        status = aiteri_gpu_merge_launch(c, a, row, b);
    aiteri_device_leave(c->gpu->device, &was);
    return status;
}

#endif /* AITERI_GPU_MERGE_C */
