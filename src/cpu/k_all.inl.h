/* k_all.inl.h -- one kernel set: the templates in order, the table that lists them, and the
 * clean-up. */
#include "k_math.inl.h"
#include "k_convert.inl.h"
#include "k_rows.inl.h"
#if AITERI_ATTENTION
#include "k_tile.inl.h"
#include "k_stream.inl.h"
#include "k_stage.inl.h"

#if AITERI_STREAM_TYPES && AITERI_HAS_DECODE
#define AITERI_K_TYPED(name) AITERI_K(name)
#else
#define AITERI_K_TYPED(name) NULL
#endif

/* In the order of aiter_dtype. */
static const aiteri_dot_fn AITERI_K(stream_dot)[AITER_DTYPE_COUNT] = {
    NULL,
    AITERI_K(stream_dot_f32),
    AITERI_K_TYPED(stream_dot_f16),
    AITERI_K_TYPED(stream_dot_bf16),
    NULL,
    NULL,
    NULL,
    AITERI_K_TYPED(stream_dot_i8),
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL};
static const aiteri_axpy_fn AITERI_K(stream_axpy)[AITER_DTYPE_COUNT] = {
    NULL,
    AITERI_K(stream_axpy_f32),
    AITERI_K_TYPED(stream_axpy_f16),
    AITERI_K_TYPED(stream_axpy_bf16),
    NULL,
    NULL,
    NULL,
    AITERI_K_TYPED(stream_axpy_i8),
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL};
static const aiteri_spread_fn AITERI_K(spread_rows)[AITER_DTYPE_COUNT] = {
    NULL,
    NULL,
    NULL,
    NULL,
    AITERI_K_TYPED(spread_f8_e4m3fn),
    AITERI_K_TYPED(spread_f8_e4m3fnuz),
    AITERI_K_TYPED(spread_f8_e5m2),
    NULL,
    AITERI_K_TYPED(spread_i4),
    NULL,
    NULL,
    NULL,
    NULL,
    NULL};
#else
#define AITERI_TILE_LANES AITERI_LANES
#endif

static const aiteri_kernels AITERI_K(kernels) = {AITERI_K_NAME,
                                                 AITERI_K_ISA,
                                                 AITERI_K_NEEDS,
                                                 AITERI_K_BELOW,
                                                 NULL,
                                                 AITERI_LANES,
                                                 AITERI_TILE_LANES,
                                                 AITERI_F32_FORMAT,
                                                 AITERI_BLOCK_ENTRIES(AITERI_K),
                                                 AITERI_OTHER_ENTRIES(AITERI_K)};

#undef AITERI_K
#undef AITERI_K_NAME
#undef AITERI_K_ISA
#undef AITERI_K_NEEDS
#undef AITERI_K_BELOW
#undef AITERI_LANES
#undef AITERI_SQUARES
#undef AITERI_TILE_LANES
#undef AITERI_TILE_VECTORS
#undef AITERI_TILE_ROWS
#undef AITERI_NARROW_VECTORS
#undef AITERI_NARROW_ROWS
#undef AITERI_TILE_GROUP
#undef AITERI_TILE_MOST
#undef AITERI_TILE_CHUNK
#undef AITERI_TILE_STEPS
#undef AITERI_TILE_NEXT
#undef AITERI_DOT_KEYS
#undef AITERI_AXPY_VECTORS
#undef AITERI_STREAM_TYPES
#undef AITERI_SPREAD
#undef AITERI_F8_CODES
#undef AITERI_CONVERTS
#undef AITERI_CONVERT_OF
#undef AITERI_K_TYPED
#undef AITERI_RESCALE_AT
