/* editor.h: lets an editor parse a kernel template (*.inl.h) on its own, as the AVX2 instance that
 * instantiate.c makes of it. Named in .clangd with AITERI_EDITOR_LEVEL, the number of templates
 * that come before the one on the screen; never part of a build. */
#include "../api_types.h"
#include "../base/platform.h"
#include "kernel_table.h"
#include "block_f32.c"
#define AITERI_K(name)        AITERI_CAT(aiteri_avx2, name)
#define AITERI_K_NAME         "avx2"
#define AITERI_K_ISA          AITER_ISA_AVX2
#define AITERI_K_NEEDS        AITERI_CPU_AVX2
#define AITERI_K_BELOW        NULL
#define AITERI_TILE_VECTORS   3
#define AITERI_TILE_ROWS      4
#define AITERI_NARROW_VECTORS 2
#define AITERI_NARROW_ROWS    6
#define AITERI_TILE_STEPS     2
#define AITERI_TILE_NEXT      AITERI_NOT_BEFORE_3
#define AITERI_DOT_KEYS       2
#define AITERI_AXPY_VECTORS   2
#define AITERI_STREAM_TYPES   1
#define AITERI_CONVERTS       1
#include "simd_avx2.h"
#if AITERI_EDITOR_LEVEL >= 1
#include "k_math.inl.h"
#endif
#if AITERI_EDITOR_LEVEL >= 2
#include "k_convert.inl.h"
#include "k_tile.inl.h"
#endif
#if AITERI_EDITOR_LEVEL >= 3
#define AITERI_TYPE        f32
#define AITERI_TYPE_C      float
#define AITERI_TYPE_LOAD   AITERI_K(load)
#define AITERI_TYPE_LOAD_N AITERI_K(load_n)
#endif
