/* matmul_simd.inl.h -- the vector layer of one tier: matmul.h includes it once per tier inside a
 * target region, with MATMUL_TIER set to 0 (baseline: SSE2, NEON or plain C), 1 (AVX2) or 2
 * (AVX-512). Every function is exact except MM(fma), which rounds once on tiers that fuse. */

#if MATMUL_TIER == 2
#define MM(name) matmul_##name##_avx512
#define MM_LANES 16
#define MM_ROWS  6
#elif MATMUL_TIER == 1
#define MM(name) matmul_##name##_avx2
#define MM_LANES 8
#define MM_ROWS  3
#else
#define MM(name) matmul_##name##_base
#define MM_LANES 4
#define MM_ROWS  2
#endif
#define MM_PER_16    (16 / MM_LANES) /* vectors that hold 16 weights */
#define MM_PER_32    (32 / MM_LANES)
#define MM_VI        MM(integers)
#define MM_VF        MM(vector)
#define MM_UNALIGNED MM(unaligned)

typedef float MM_VF __attribute__((vector_size(4 * MM_LANES)));
typedef int32_t MM_VI __attribute__((vector_size(4 * MM_LANES)));
typedef float MM_UNALIGNED __attribute__((vector_size(4 * MM_LANES), aligned(4), may_alias));

MATMUL_INLINE MM_VF MM(load)(const float *p) { return *(const MM_UNALIGNED *)p; }
MATMUL_INLINE void MM(store)(float *p, MM_VF v) { *(MM_UNALIGNED *)p = v; }

#if MATMUL_TIER == 2

MATMUL_INLINE MM_VF MM(set)(float s) { return (MM_VF)_mm512_set1_ps(s); }
MATMUL_INLINE MM_VI MM(set_bits)(uint32_t s) { return (MM_VI)_mm512_set1_epi32((int)s); }

MATMUL_INLINE MM_VF MM(fma)(MM_VF a, MM_VF b, MM_VF c)
{
    return (MM_VF)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}

/* Two halves: the one at p in the even lanes, the next one in the odd lanes. */
MATMUL_INLINE MM_VF MM(halves)(const uint8_t *p)
{
    return (MM_VF)_mm512_cvtph_ps(_mm256_set1_epi32((int)matmul_load32(p)));
}

MATMUL_INLINE MM_VF MM(even)(MM_VF v) { return (MM_VF)_mm512_moveldup_ps((__m512)v); }
MATMUL_INLINE MM_VF MM(odd)(MM_VF v) { return (MM_VF)_mm512_movehdup_ps((__m512)v); }

/* 16 bytes as integers: unsigned or signed ones at p, signed ones in a vector. */
MATMUL_INLINE void MM(widen_u8)(const uint8_t *p, MM_VI *out)
{
    out[0] = (MM_VI)_mm512_cvtepu8_epi32((__m128i)matmul_load16(p));
}

MATMUL_INLINE void MM(widen_i8)(const uint8_t *p, MM_VI *out)
{
    out[0] = (MM_VI)_mm512_cvtepi8_epi32((__m128i)matmul_load16(p));
}

MATMUL_INLINE void MM(widen_vector)(matmul_b16 q, MM_VI *out)
{
    out[0] = (MM_VI)_mm512_cvtepi8_epi32((__m128i)q);
}

MATMUL_INLINE MM_VF MM(to_float)(MM_VI v) { return (MM_VF)_mm512_cvtepi32_ps((__m512i)v); }

MATMUL_INLINE void MM(from_f16)(const uint8_t *p, MM_VF *out)
{
    out[0] = (MM_VF)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

MATMUL_INLINE void MM(from_bf16)(const uint8_t *p, MM_VF *out)
{
    __m256i bits = _mm256_loadu_si256((const __m256i *)(const void *)p);
    out[0] = (MM_VF)_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16);
}

/* Lane i of the result is the sum of the lanes i mod 4, halves first. */
MATMUL_INLINE matmul_f4 MM(quarter)(MM_VF v)
{
    __m512 all = (__m512)v;
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
    return (matmul_f4)_mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

#elif MATMUL_TIER == 1

MATMUL_INLINE MM_VF MM(set)(float s) { return (MM_VF)_mm256_set1_ps(s); }
MATMUL_INLINE MM_VI MM(set_bits)(uint32_t s) { return (MM_VI)_mm256_set1_epi32((int)s); }

MATMUL_INLINE MM_VF MM(fma)(MM_VF a, MM_VF b, MM_VF c)
{
    return (MM_VF)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}

MATMUL_INLINE MM_VF MM(halves)(const uint8_t *p)
{
    return (MM_VF)_mm256_cvtph_ps(_mm_set1_epi32((int)matmul_load32(p)));
}

MATMUL_INLINE MM_VF MM(even)(MM_VF v) { return (MM_VF)_mm256_moveldup_ps((__m256)v); }
MATMUL_INLINE MM_VF MM(odd)(MM_VF v) { return (MM_VF)_mm256_movehdup_ps((__m256)v); }

MATMUL_INLINE __m128i MM(load8)(const uint8_t *p)
{
    return _mm_loadl_epi64((const __m128i *)(const void *)p);
}

MATMUL_INLINE void MM(widen_u8)(const uint8_t *p, MM_VI *out)
{
    out[0] = (MM_VI)_mm256_cvtepu8_epi32(MM(load8)(p));
    out[1] = (MM_VI)_mm256_cvtepu8_epi32(MM(load8)(p + 8));
}

MATMUL_INLINE void MM(widen_i8)(const uint8_t *p, MM_VI *out)
{
    out[0] = (MM_VI)_mm256_cvtepi8_epi32(MM(load8)(p));
    out[1] = (MM_VI)_mm256_cvtepi8_epi32(MM(load8)(p + 8));
}

MATMUL_INLINE void MM(widen_vector)(matmul_b16 q, MM_VI *out)
{
    out[0] = (MM_VI)_mm256_cvtepi8_epi32((__m128i)q);
    out[1] = (MM_VI)_mm256_cvtepi8_epi32(_mm_srli_si128((__m128i)q, 8));
}

MATMUL_INLINE MM_VF MM(to_float)(MM_VI v) { return (MM_VF)_mm256_cvtepi32_ps((__m256i)v); }

MATMUL_INLINE void MM(from_f16)(const uint8_t *p, MM_VF *out)
{
    for (int i = 0; i < 2; i++)
        out[i] = (MM_VF)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p + i));
}

MATMUL_INLINE void MM(from_bf16)(const uint8_t *p, MM_VF *out)
{
    for (int i = 0; i < 2; i++) {
        __m128i bits = _mm_loadu_si128((const __m128i *)(const void *)p + i);
        out[i] = (MM_VF)_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16);
    }
}

MATMUL_INLINE matmul_f4 MM(quarter)(MM_VF v)
{
    __m256 all = (__m256)v;
    return (matmul_f4)_mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
}

#else

MATMUL_INLINE MM_VF MM(set)(float s)
{
    MM_VF v = {s, s, s, s};
    return v;
}

MATMUL_INLINE MM_VI MM(set_bits)(uint32_t s)
{
    MM_VI v = {(int32_t)s, (int32_t)s, (int32_t)s, (int32_t)s};
    return v;
}

/* Where the target can fuse, fusing is spelt out: left to the compiler, it would fuse in one
 * kernel and not in the other. */
MATMUL_INLINE MM_VF MM(fma)(MM_VF a, MM_VF b, MM_VF c)
{
#if defined(__aarch64__)
    return (MM_VF)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#elif defined(__FP_FAST_FMAF)
    for (int i = 0; i < 4; i++) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return c;
#else
    return a * b + c;
#endif
}

MATMUL_INLINE MM_VF MM(halves)(const uint8_t *p)
{
#if defined(__aarch64__)
    __fp16 halves[2];
    memcpy(halves, p, sizeof halves);
    MM_VF v = {(float)halves[0], (float)halves[1], 0, 0};
#else
    MM_VF v = {weight_load_f16(p), weight_load_f16(p + 2), 0, 0};
#endif
    return v;
}

MATMUL_INLINE MM_VF MM(even)(MM_VF v) { return MATMUL_SHUFFLE(v, v, 0, 0, 0, 0); }
MATMUL_INLINE MM_VF MM(odd)(MM_VF v) { return MATMUL_SHUFFLE(v, v, 1, 1, 1, 1); }

MATMUL_INLINE void MM(widen_vector)(matmul_b16 q, MM_VI *out)
{
#if defined(__aarch64__)
    int16x8_t low = vmovl_s8(vget_low_s8((int8x16_t)q));
    int16x8_t high = vmovl_s8(vget_high_s8((int8x16_t)q));
    out[0] = (MM_VI)vmovl_s16(vget_low_s16(low));
    out[1] = (MM_VI)vmovl_s16(vget_high_s16(low));
    out[2] = (MM_VI)vmovl_s16(vget_low_s16(high));
    out[3] = (MM_VI)vmovl_s16(vget_high_s16(high));
#elif defined(__x86_64__)
    __m128i low = _mm_unpacklo_epi8((__m128i)q, (__m128i)q);
    __m128i high = _mm_unpackhi_epi8((__m128i)q, (__m128i)q);
    out[0] = (MM_VI)_mm_srai_epi32(_mm_unpacklo_epi16(low, low), 24);
    out[1] = (MM_VI)_mm_srai_epi32(_mm_unpackhi_epi16(low, low), 24);
    out[2] = (MM_VI)_mm_srai_epi32(_mm_unpacklo_epi16(high, high), 24);
    out[3] = (MM_VI)_mm_srai_epi32(_mm_unpackhi_epi16(high, high), 24);
#else
    for (int i = 0; i < 16; i++) out[i / 4][i % 4] = (int8_t)q[i];
#endif
}

MATMUL_INLINE void MM(widen_i8)(const uint8_t *p, MM_VI *out)
{
    MM(widen_vector)(matmul_load16(p), out);
}

MATMUL_INLINE void MM(widen_u8)(const uint8_t *p, MM_VI *out)
{
    MM(widen_i8)(p, out);
    for (int i = 0; i < 4; i++) out[i] &= 255;
}

MATMUL_INLINE MM_VF MM(to_float)(MM_VI v)
{
#if defined(__aarch64__)
    return (MM_VF)vcvtq_f32_s32((int32x4_t)v);
#elif defined(__x86_64__)
    return (MM_VF)_mm_cvtepi32_ps((__m128i)v);
#else
    MM_VF out = {(float)v[0], (float)v[1], (float)v[2], (float)v[3]};
    return out;
#endif
}

MATMUL_INLINE void MM(load16)(const float *p, MM_VF *out)
{
    for (int i = 0; i < 4; i++) out[i] = MM(load)(p + 4 * i);
}

MATMUL_INLINE void MM(from_f16)(const uint8_t *p, MM_VF *out)
{
    float values[16];
#if defined(__aarch64__)
    __fp16 halves[16];
    memcpy(halves, p, sizeof halves);
    for (int i = 0; i < 16; i++) values[i] = (float)halves[i];
#else
    for (int i = 0; i < 16; i++) values[i] = weight_load_f16(p + 2 * i);
#endif
    MM(load16)(values, out);
}

MATMUL_INLINE void MM(from_bf16)(const uint8_t *p, MM_VF *out)
{
    float values[16];
    for (int i = 0; i < 16; i++) values[i] = weight_float_of_bits(weight_load_u16(p + 2 * i) << 16);
    MM(load16)(values, out);
}

MATMUL_INLINE matmul_f4 MM(quarter)(MM_VF v) { return (matmul_f4)v; }

#endif
