/* block_f32.c -- the blocks of the sets that compute in f32: rows as they are read, one behind the
 * other. */
#ifndef AITERI_BLOCK_F32_C
#define AITERI_BLOCK_F32_C

#include "kernel_table.h"
#include "../base/dtype.c"

AITERI_FORCE_INLINE int32_t aiteri_padded(int32_t dim)
{
    return (dim + AITERI_PAD - 1) / AITERI_PAD * AITERI_PAD;
}

/* Row stride of a block in elements of 4 bytes: an odd number of cache lines, so that a column of
 * the block spreads over all sets of the cache. Power-of-two strides of user tensors are why rows
 * are copied at all. */
AITERI_FORCE_INLINE int64_t aiteri_block_stride(int32_t dim)
{
    const int64_t lines = aiteri_ceil_div(dim, AITERI_PAD);
    return (lines + (lines % 2 == 0)) * AITERI_PAD;
}

AITERI_UNUSED static size_t aiteri_f32_block_bytes(int32_t dim)
{
    return AITERI_TILE_ROOM * (size_t)aiteri_block_stride(dim) * sizeof(float);
}

AITERI_UNUSED static size_t aiteri_f32_query_bytes(int32_t dim, int32_t tile_lanes)
{
    return (size_t)dim * (size_t)tile_lanes * sizeof(float);
}

/* n elements `stride` apart to consecutive f32. */
static void aiteri_gather_row(const aiteri_kernels *kernels, float *dst, const char *src,
                              aiter_dtype dtype, int64_t stride, int32_t n)
{
    AITERI_ASSERT(n > 0 && stride >= 0 && kernels->widen[dtype]);
    if (stride == 1) {
        kernels->widen[dtype](dst, src, n);
        return;
    }
    for (int32_t i = 0; i < n; i++) {
        const uint32_t bits = aiteri_load_bits(dtype, src, i * stride);
        memcpy(dst + i, &bits, sizeof bits);
    }
}

AITERI_UNUSED static void aiteri_f32_load(const aiteri_kernels *kernels, void *block, int32_t place,
                                          const aiteri_block_rows *rows)
{
    const int64_t stride = aiteri_block_stride(rows->width), room = stride - rows->column;
    const int64_t of_row = rows->scale ? aiteri_ceil_div(rows->dim, rows->group) : 0;
    for (int32_t i = 0; i < rows->n; i++) {
        float *row = (float *)block + (place + i) * stride + rows->column;
        if (!rows->row[i]) {
            memset(row, 0, (size_t)room * sizeof(float));
            continue;
        }
        aiteri_gather_row(kernels, row, (const char *)rows->row[i], rows->dtype, rows->stride_dim,
                          rows->dim);
        if (!rows->scale) continue;
        for (int32_t d = rows->dim; d < room; d++) row[d] = 0.0f;
        const float *scale = rows->scale + i * of_row;
        for (int32_t d = 0; d < rows->dim; d += rows->group, scale++)
            kernels->row_scale(
                row + d, aiteri_padded((int32_t)aiteri_min(rows->group, rows->dim - d)), scale[0]);
    }
}

#endif /* AITERI_BLOCK_F32_C */
