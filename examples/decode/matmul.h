/* matmul.h -- products of float rows with stored weights: y[r][n] = x[r][k] * W[n][k]^T.
 *
 *   matmul_engine e = {0};                 one thread, baseline tier
 *   e.tier = 0, 1 (AVX2, FMA, F16C) or 2 (AVX-512 F, BW, DQ, VL): never above what the machine has
 *   e.threads = 2; e.parallel = run_all; e.user = pool;      optional: run_all calls body(arg, i)
 * for i in [0, n), on any threads, then returns matmul_job jobs[3] = {{W, WEIGHT_Q4_1, n, k, x,
 * x_stride, y, y_stride, rows, bias or NULL}, ...}; if (matmul_run(&e, jobs, 3) != 0) ...  the jobs
 * run as one batch; no job may read another's y matmul_release(&e);
 *
 * matmul_run returns -1 for a type without a reader, a negative size, a k that is no whole number
 * of blocks, or when memory runs out. Activations stay floats: a result differs from the exact one
 * by the rounding of float sums alone.
 *
 * The promise: a row of y has the same bits for any number of rows in the job, any number of jobs,
 * threads and tasks (not across tiers). matmul_promises_bits() says 0 where it is off: with CBLAS
 * (compile with -DDECODE_USE_CBLAS, link it; it takes over products of two rows or more), with
 * -ffast-math and on an x87. */
#ifndef DECODE_MATMUL_H
#define DECODE_MATMUL_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "weights.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif
#ifdef DECODE_USE_CBLAS
#include <cblas.h>
#endif

typedef void (*matmul_parallel)(void *user, void (*body)(void *arg, int32_t i), void *arg,
                                int32_t n);

typedef struct matmul_engine {
    int tier;
    int32_t threads;
    matmul_parallel parallel; /* NULL: this thread */
    void *user;
    float *scratch; /* grows as needed, see matmul_release */
    size_t scratch_floats;
} matmul_engine;

typedef struct matmul_job {
    const void *weights; /* [n][k], rows without gaps */
    uint32_t type;       /* a weight_type */
    int64_t n, k;
    const float *x; /* [rows][k], x_stride floats from row to row */
    int64_t x_stride;
    float *y; /* [rows][n] */
    int64_t y_stride;
    int64_t rows;
    const float *bias; /* [n] or NULL */
} matmul_job;

static inline int matmul_promises_bits(void)
{
#if defined(DECODE_USE_CBLAS) || defined(__FAST_MATH__) || \
    (defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0)
    return 0;
#else
    return 1;
#endif
}

/* ---- What the kernels of every tier share ---- */

#define MATMUL_INLINE static inline __attribute__((always_inline, unused))
#if defined(__clang__)
#define MATMUL_UNROLL                    _Pragma("clang loop unroll(full)")
#define MATMUL_SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define MATMUL_UNROLL                    _Pragma("GCC unroll 8")
#define MATMUL_SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, (matmul_i4){i, j, k, l})
#endif

/* Name, elements and bytes of the pieces in which a row is read (32 weights at least). */
#define MATMUL_TYPES(X) \
    X(F32, 32, 128)     \
    X(F16, 32, 64)      \
    X(BF16, 32, 64)     \
    X(Q4_0, 32, 18)     \
    X(Q4_1, 32, 20)     \
    X(Q5_0, 32, 22)     \
    X(Q5_1, 32, 24)     \
    X(Q8_0, 32, 34)     \
    X(Q4_K, 256, 144)   \
    X(Q5_K, 256, 176)   \
    X(Q6_K, 256, 210)

typedef float matmul_f4 __attribute__((vector_size(16)));
typedef int32_t matmul_i4 __attribute__((vector_size(16)));
typedef uint32_t matmul_u4 __attribute__((vector_size(16)));
typedef uint8_t matmul_b16 __attribute__((vector_size(16)));

/* One chunk of one tile; see MM(tile). */
typedef struct matmul_tile {
    const float *panel, *x;
    int64_t x_stride, k;
    float *acc, *y; /* acc: [rows][4] vectors, y: [rows][4] */
    int first, last;
} matmul_tile;

typedef struct matmul_row_kernels {
    uint32_t type;
    void (*dot)(const uint8_t *const *rows, int64_t k, const float *x, float *y);
    void (*expand)(const uint8_t *row, int64_t k, float *dst);
} matmul_row_kernels;

typedef struct matmul_kernels {
    int lanes, tile_rows;
    void (*tile)(int rows, const matmul_tile *t);
    matmul_row_kernels types[11];
} matmul_kernels;

MATMUL_INLINE matmul_b16 matmul_load16(const uint8_t *p)
{
    matmul_b16 v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* As the machine orders bytes: GGUF files are read on little-endian machines only. */
MATMUL_INLINE uint32_t matmul_load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* How far ahead the four rows of a dot product are fetched: the same place in the next four rows,
 * as short rows end before the machine has noticed four streams. Long rows of plain floats come
 * fastest when left alone (0). */
MATMUL_INLINE uintptr_t matmul_ahead(int elements, int bytes, int64_t k)
{
    uintptr_t row_bytes = (uintptr_t)(k / elements) * (uintptr_t)bytes;
    if (row_bytes <= 4096) return 4 * row_bytes;
    return bytes >= 2 * elements ? 0 : 2048;
}

MATMUL_INLINE void matmul_prefetch(const uint8_t *p, uintptr_t ahead, int bytes)
{
    for (int i = 0; i < bytes; i += 64)
        __builtin_prefetch((const void *)((uintptr_t)p + ahead + (uintptr_t)i));
}

MATMUL_INLINE void matmul_store4(float *p, matmul_f4 v) { memcpy(p, &v, sizeof v); }

/* The packed six-bit fields of a Q4_K or Q5_K block (see weight_k_scale): 8 scales, 8 minima. */
MATMUL_INLINE matmul_b16 matmul_k_scales(const uint8_t *p)
{
    uint32_t scales = matmul_load32(p), mins = matmul_load32(p + 4);
    uint32_t high = matmul_load32(p + 8);
    matmul_u4 fields = {scales & 0x3F3F3F3Fu, (high & 0x0F0F0F0Fu) | (scales >> 2 & 0x30303030u),
                        mins & 0x3F3F3F3Fu, (high >> 4 & 0x0F0F0F0Fu) | (mins >> 2 & 0x30303030u)};
    return (matmul_b16)fields;
}

/* The sums of a, b, c and d: lanes 0 + 2 and 1 + 3 first, then those two. */
MATMUL_INLINE matmul_f4 matmul_sum4(matmul_f4 a, matmul_f4 b, matmul_f4 c, matmul_f4 d)
{
    matmul_f4 ab = MATMUL_SHUFFLE(a, b, 0, 1, 4, 5) + MATMUL_SHUFFLE(a, b, 2, 3, 6, 7);
    matmul_f4 cd = MATMUL_SHUFFLE(c, d, 0, 1, 4, 5) + MATMUL_SHUFFLE(c, d, 2, 3, 6, 7);
    return MATMUL_SHUFFLE(ab, cd, 0, 2, 4, 6) + MATMUL_SHUFFLE(ab, cd, 1, 3, 5, 7);
}

/* ---- The tiers ---- */

#define MATMUL_STRING(...) #__VA_ARGS__
#if defined(__clang__)
#define MATMUL_TARGET_BEGIN(list) \
    _Pragma(MATMUL_STRING(clang attribute push(__attribute__((target(list))), apply_to = function)))
#define MATMUL_TARGET_END _Pragma("clang attribute pop")
#else
#define MATMUL_TARGET_BEGIN(list) \
    _Pragma("GCC push_options") _Pragma(MATMUL_STRING(GCC target(list)))
#define MATMUL_TARGET_END _Pragma("GCC pop_options")
#endif

/* clang 18 to 21 split "may use zmm" off avx512f; others drop a list that names it. */
#if defined(__clang__) && __clang_major__ < 22 && \
    (__clang_major__ >= 18 || (defined(__apple_build_version__) && __clang_major__ >= 17))
#define MATMUL_EVEX512 ",evex512"
#else
#define MATMUL_EVEX512 ""
#endif

#if defined(__clang__) /* an unrolling that did not happen costs time only */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpass-failed"
#endif

#define MATMUL_TIER 0
#include "matmul_simd.inl.h"
#include "matmul_kernels.inl.h"
#undef MATMUL_TIER

#if defined(__x86_64__)
MATMUL_TARGET_BEGIN("avx2,fma,f16c")
#define MATMUL_TIER 1
#include "matmul_simd.inl.h"
#include "matmul_kernels.inl.h"
#undef MATMUL_TIER
MATMUL_TARGET_END

MATMUL_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl" MATMUL_EVEX512)
#define MATMUL_TIER 2
#include "matmul_simd.inl.h"
#include "matmul_kernels.inl.h"
#undef MATMUL_TIER
MATMUL_TARGET_END
#endif

#if defined(__clang__)
#pragma clang diagnostic pop
#endif

static const matmul_kernels *matmul_kernels_of(int tier)
{
#if defined(__x86_64__)
    if (tier >= 2) return &matmul_kernels_avx512;
    if (tier == 1) return &matmul_kernels_avx2;
#endif
    (void)tier;
    return &matmul_kernels_base;
}

#include "matmul_run.inl.h"

#endif
