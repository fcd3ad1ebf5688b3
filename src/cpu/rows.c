/* rows.c -- rows of f32 to where they are stored, whatever the op. */
#ifndef AITERI_ROWS_C
#define AITERI_ROWS_C

#include "block_f32.c"

AITERI_FORCE_INLINE float aiteri_minus_inf(void) { return aiteri_f32_of_bits(0xff800000u); }

/* n parts of a row, `stride` bytes apart. */
static void aiteri_spread(char *dst, int64_t stride, const char *row, int64_t bytes, int32_t n)
{
#define AITERI_SPREAD(bytes) \
    for (int32_t i = 0; i < n; i++) memcpy(dst + i * stride, row + i * (bytes), (size_t)(bytes))
    switch (bytes) { /* each a store of its own */
    case 1: AITERI_SPREAD(1); break;
    case 2: AITERI_SPREAD(2); break;
    case 4: AITERI_SPREAD(4); break;
    case 16: AITERI_SPREAD(16); break;
    default: AITERI_SPREAD(bytes); break;
    }
#undef AITERI_SPREAD
}

static void aiteri_scatter_row(const aiteri_kernels *kernels, char *dst, aiter_dtype dtype,
                               int64_t stride, const float *src, int32_t n)
{
    AITERI_ASSERT(n > 0 && (stride > 0 || n == 1) && kernels->narrow[dtype]);
    if (stride == 1) {
        kernels->narrow[dtype](dst, src, n);
        return;
    }
    const int64_t step = aiteri_bytes_of(dtype, stride);
    char block[128 * sizeof(float)];
    for (int32_t i = 0; aiter_dtype_bits(dtype) < 8 && i < n; i++) {
        uint32_t bits;
        memcpy(&bits, src + i, sizeof bits);
        aiteri_store_bits(dtype, dst, i * stride, bits);
    }
    for (int32_t i = 0, count; aiter_dtype_bits(dtype) >= 8 && i < n; i += count) {
        count = (int32_t)aiteri_min(128, n - i);
        kernels->narrow[dtype](block, src + i, count);
        aiteri_spread(dst + i * step, step, block, aiter_dtype_bits(dtype) / 8, count);
    }
}

/* What codes count: row / step, zeros where a step is 0. */
AITERI_UNUSED static void aiteri_count_steps(const aiteri_kernels *kernels, float *row, int32_t n,
                                             float step)
{
    if (step != 0.0f)
        kernels->row_divide(row, n, step);
    else
        memset(row, 0, (size_t)n * sizeof *row);
}

/* Writes n elements of an attention's row, times factor; row is padded. What would be stored as -0
 * is +0: every `out` passes here, so that no key without weight leaves its sign in one. */
AITERI_UNUSED static void aiteri_store_out(const aiteri_kernels *kernels, char *dst,
                                           aiter_dtype dtype, int64_t stride, float *row, int32_t n,
                                           float factor)
{
    /* Bits of the largest magnitude that the type rounds to 0. */
    static const int32_t least[] = {0, 0, 0x33000000, 0x8000, 0x3a800000, 0x3a000000, 0x37000000};
    AITERI_ASSERT((size_t)dtype < sizeof least / sizeof least[0]);
    kernels->row_finish(row, aiteri_padded(n), factor, least[dtype]);
    aiteri_scatter_row(kernels, dst, dtype, stride, row, n);
}

#endif /* AITERI_ROWS_C */
