/* instantiate.c -- one block per ISA: open the target region, pick the vector layer and the
 * register tiling, stamp the kernels. Adding an ISA is a block here, a simd_<isa>.h and a line in
 * cpuid.c. */
#ifndef AITERI_INSTANTIATE_C
#define AITERI_INSTANTIATE_C

#include "kernel_table.h"
#include "block_f32.c"

/* AITERI_TILE_ROWS are the rows of K at once against a whole tile, AITERI_NARROW_ROWS against the
 * first AITERI_NARROW_VECTORS of it; 0: every tile is worked on whole. */

/* One K row at a time: with two, gcc 12.2 vectorises across them and reads past the last row. */
#define AITERI_K(name)             AITERI_CAT(aiteri_scalar, name)
#define AITERI_K_NAME              "scalar"
#define AITERI_K_ISA               AITER_ISA_SCALAR
#define AITERI_K_NEEDS             0
#define AITERI_K_BELOW             NULL
#define AITERI_TILE_VECTORS        16
#define AITERI_TILE_NEXT(place, x) ((void)0)
#define AITERI_TILE_ROWS           1
#define AITERI_NARROW_VECTORS      0
#define AITERI_NARROW_ROWS         0
#define AITERI_TILE_STEPS          1
#define AITERI_DOT_KEYS            2
#define AITERI_AXPY_VECTORS        2
#define AITERI_STREAM_TYPES        0
#define AITERI_CONVERTS            1
#include "simd_scalar.h"
#include "k_all.inl.h"

#if AITERI_X86
AITERI_TARGET_BEGIN(AITERI_TARGET_AVX2)
#define AITERI_K(name)        AITERI_CAT(aiteri_avx2, name)
#define AITERI_K_NAME         "avx2"
#define AITERI_K_ISA          AITER_ISA_AVX2
#define AITERI_K_NEEDS        AITERI_CPU_AVX2
#define AITERI_K_BELOW        &aiteri_scalar_kernels
#define AITERI_TILE_VECTORS   3
#define AITERI_TILE_NEXT      AITERI_NOT_BEFORE_3
#define AITERI_TILE_ROWS      4
#define AITERI_NARROW_VECTORS 2
#define AITERI_NARROW_ROWS    6
#define AITERI_TILE_STEPS     2
#define AITERI_DOT_KEYS       2
#define AITERI_AXPY_VECTORS   2
#define AITERI_STREAM_TYPES   1
#define AITERI_CONVERTS       1
#include "simd_avx2.h"
#include "k_all.inl.h"
AITERI_TARGET_END

AITERI_TARGET_BEGIN(AITERI_TARGET_AVX512)
#define AITERI_K(name)             AITERI_CAT(aiteri_avx512, name)
#define AITERI_K_NAME              "avx512"
#define AITERI_K_ISA               AITER_ISA_AVX512
#define AITERI_K_NEEDS             AITERI_CPU_AVX512
#define AITERI_K_BELOW             &aiteri_avx2_kernels
#define AITERI_TILE_VECTORS        3
#define AITERI_TILE_NEXT(place, x) ((void)0)
#define AITERI_TILE_ROWS           8
#define AITERI_NARROW_VECTORS      1
#define AITERI_NARROW_ROWS         8
#define AITERI_TILE_STEPS          2
#define AITERI_DOT_KEYS            4
#define AITERI_AXPY_VECTORS        4
#define AITERI_STREAM_TYPES        1
#define AITERI_CONVERTS            0
#define AITERI_CONVERT_OF(name)    AITERI_CAT(aiteri_avx2, name)
#include "simd_avx512.h"
#include "k_all.inl.h"
AITERI_TARGET_END
#endif /* AITERI_X86 */

#if AITERI_X86_BF16 && AITERI_ATTENTION && !AITERI_ONLY
AITERI_TARGET_BEGIN(AITERI_TARGET_AVX512_BF16)
#include "kernels_avx512_bf16.inl.h"
AITERI_TARGET_END
#elif AITERI_X86_BF16 /* what tells it from the set below is attention's, and no family's need */
#define AITERI_OF_AVX512(name) AITERI_CAT(aiteri_avx512, name)
static const aiteri_kernels aiteri_avx512bf16_kernels = {"avx512_bf16",
                                                         AITER_ISA_AVX512_BF16,
                                                         AITERI_CPU_AVX512_BF16,
                                                         &aiteri_avx512_kernels,
                                                         NULL,
                                                         16,
                                                         16,
                                                         AITERI_F32_FORMAT,
                                                         AITERI_BLOCK_ENTRIES(AITERI_OF_AVX512),
                                                         AITERI_OTHER_ENTRIES(AITERI_OF_AVX512)};
#undef AITERI_OF_AVX512
#endif

#if AITERI_NEON
#define AITERI_K(name)        AITERI_CAT(aiteri_neon, name)
#define AITERI_K_NAME         "neon"
#define AITERI_K_ISA          AITER_ISA_NEON
#define AITERI_K_NEEDS        AITERI_CPU_NEON
#define AITERI_K_BELOW        &aiteri_scalar_kernels
#define AITERI_TILE_VECTORS   4
#define AITERI_TILE_NEXT      AITERI_NOT_BEFORE_4
#define AITERI_TILE_ROWS      6
#define AITERI_NARROW_VECTORS 2
#define AITERI_NARROW_ROWS    8
#define AITERI_TILE_STEPS     1
#define AITERI_DOT_KEYS       4
#define AITERI_AXPY_VECTORS   4
#define AITERI_STREAM_TYPES   1
#define AITERI_CONVERTS       1
#include "simd_neon.h"
#include "k_all.inl.h"
#endif /* AITERI_NEON */

/* All of this architecture, best first. */
static const aiteri_kernels *const aiteri_kernel_sets[] = {
#if AITERI_X86_BF16
    &aiteri_avx512bf16_kernels,
#endif
#if AITERI_X86
    &aiteri_avx512_kernels,
    &aiteri_avx2_kernels,
#elif AITERI_NEON
    &aiteri_neon_kernels,
#endif
    &aiteri_scalar_kernels,
};

/* The kernel set of an ISA; NULL: of another architecture. */
static const aiteri_kernels *aiteri_kernels_of(aiter_isa isa)
{
    const size_t n = sizeof aiteri_kernel_sets / sizeof aiteri_kernel_sets[0];
    for (size_t i = 0; i < n; i++)
        if (aiteri_kernel_sets[i]->isa == isa) return aiteri_kernel_sets[i];
    return NULL;
}

#endif /* AITERI_INSTANTIATE_C */
