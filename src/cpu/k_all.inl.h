/* k_all.inl.h -- one kernel set: the templates in order, the table that lists them, and the
 * clean-up. */
#include "k_math.inl.h"
#include "k_convert.inl.h"
#include "k_tile.inl.h"
#include "k_stream.inl.h"

#if AITERI_STREAM_TYPES
#define AITERI_K_TYPED(name) AITERI_K(name)
#else
#define AITERI_K_TYPED(name) NULL
#endif

static const aiteri_kernels AITERI_K(kernels) = {
    AITERI_K_NAME,
    AITERI_K_ISA,
    AITERI_LANES,
    AITERI_TILE_LANES,
    AITERI_K(widen),
    AITERI_K(narrow),
    AITERI_K(tile_pack),
    AITERI_K(tile_unpack),
    AITERI_K(tile_score),
    AITERI_K(tile_adjust),
    AITERI_K(tile_softmax),
    AITERI_K(tile_value),
    AITERI_K(tile_value_guarded),
    AITERI_K(all_finite),
    {NULL, AITERI_K(stream_dot_f32), AITERI_K_TYPED(stream_dot_f16),
     AITERI_K_TYPED(stream_dot_bf16), NULL, NULL, NULL, AITERI_K_TYPED(stream_dot_i8), NULL, NULL,
     NULL, NULL},
    {NULL, AITERI_K(stream_axpy_f32), AITERI_K_TYPED(stream_axpy_f16),
     AITERI_K_TYPED(stream_axpy_bf16), NULL, NULL, NULL, AITERI_K_TYPED(stream_axpy_i8), NULL, NULL,
     NULL, NULL},
    AITERI_K(stream_softmax),
    AITERI_K(stream_softcap),
    AITERI_K(row_scale),
    AITERI_K(row_finish),
    AITERI_K(row_add_scaled),
    AITERI_K(stream_mul),
    AITERI_K(row_amax),
};

#undef AITERI_K
#undef AITERI_K_NAME
#undef AITERI_K_ISA
#undef AITERI_LANES
#undef AITERI_TILE_LANES
#undef AITERI_TILE_VECTORS
#undef AITERI_TILE_ROWS
#undef AITERI_TILE_NEXT
#undef AITERI_DOT_KEYS
#undef AITERI_AXPY_VECTORS
#undef AITERI_STREAM_TYPES
#undef AITERI_CONVERTS
#undef AITERI_CONVERT_OF
#undef AITERI_K_TYPED
#undef AITERI_RESCALE_AT
