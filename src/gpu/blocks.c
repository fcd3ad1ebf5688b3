/* blocks.c -- aiter_swap_blocks and aiter_copy_blocks on a device: a launch for each cache, ids are
 * read and judged there. */
#ifndef AITERI_GPU_BLOCKS_C
#define AITERI_GPU_BLOCKS_C

#include "launch.c"

enum { AITERI_GPU_COPIES = 8, AITERI_GPU_PARTS = 1024 }; /* units of a thread; parts of a block */

static aiter_status aiteri_gpu_blocks_choose(const aiteri_gpu_call *c, int32_t *row)
{
    aiteri_gpu_want want;
    memset(&want, 0, sizeof want);
    want.op = AITERI_GPU_OP_copy_blocks;
    want.arch = c->gpu->device->arch_bits;
    want.features = AITERI_BIT(PAGED_KEYS);
    return aiteri_gpu_need_row(c, &want, row);
}

/* The most bytes, 16 at most, of which everything is a multiple. */
static int32_t aiteri_gpu_copy_unit(const aiteri_gpu_copy_blocks *x, int64_t piece)
{
    uint64_t all = 16 | x->src | x->dst | (uint64_t)x->src_stride_block |
                   (uint64_t)x->dst_stride_block | (uint64_t)piece;
    for (int32_t i = 0; i < x->dims; i++) all |= (uint64_t)x->from[i] | (uint64_t)x->to[i];
    return (int32_t)(all & (~all + 1));
}

/* The pairs of `mapping` in one cache, of which x says where blocks lie in bytes and in pieces of
 * how many; the device is current. */
static aiter_status aiteri_gpu_blocks_launch(const aiteri_gpu_call *c, int32_t row,
                                             const aiter_tensor *mapping, int64_t piece,
                                             aiteri_gpu_copy_blocks *x)
{
    const int64_t pairs = mapping->shape[0];
    x->mapping = (uint64_t)(uintptr_t)mapping->data;
    x->mapping_stride_pair = mapping->stride[0];
    x->mapping_stride_side = mapping->stride[1];
    x->mapping_bits = aiter_dtype_bits(mapping->dtype);
    x->unit = aiteri_gpu_copy_unit(x, piece);
    x->units = x->units_in_piece = piece / x->unit;
    for (int32_t i = 0; i < x->dims; i++) x->units *= x->shape[i];
    if (pairs == 0 || x->units == 0) return AITER_OK;
    const int64_t share = (int64_t)AITERI_GPU_COPIES * aiteri_gpu_rows_table[row].threads;
    x->parts = aiteri_min(aiteri_ceil_div(x->units, share), AITERI_GPU_PARTS);
    return aiteri_gpu_launch(c, row, pairs * x->parts, x);
}

#endif /* AITERI_GPU_BLOCKS_C */
