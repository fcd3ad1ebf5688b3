/* simd_avx512.h -- the vector layer on AVX-512 F, BW, DQ, VL and CD: sixteen lanes, partial loads
 * and stores by mask register. simd_scalar.h says what each function means. */
typedef __m512 AITERI_K(vf);
typedef __m512i AITERI_K(vi);
typedef __mmask16 AITERI_K(vm);
#define AITERI_LANES   16
#define AITERI_SQUARES 4

AITERI_FORCE_INLINE __m512 AITERI_K(zero)(void) { return _mm512_setzero_ps(); }
AITERI_FORCE_INLINE __m512 AITERI_K(set1)(float x) { return _mm512_set1_ps(x); }
AITERI_FORCE_INLINE __m512 AITERI_K(iota)(void)
{
    return _mm512_setr_ps(0.0f, 1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f, 7.0f, 8.0f, 9.0f, 10.0f, 11.0f,
                          12.0f, 13.0f, 14.0f, 15.0f);
}

AITERI_FORCE_INLINE __m512i AITERI_K(set1_i)(int32_t x) { return _mm512_set1_epi32(x); }
AITERI_FORCE_INLINE __m512i AITERI_K(iota_i)(void)
{
    return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
AITERI_FORCE_INLINE __m512i AITERI_K(add_i)(__m512i a, __m512i b) { return _mm512_add_epi32(a, b); }
AITERI_FORCE_INLINE __m512i AITERI_K(sub_i)(__m512i a, __m512i b) { return _mm512_sub_epi32(a, b); }
AITERI_FORCE_INLINE __m512i AITERI_K(and_i)(__m512i a, __m512i b) { return _mm512_and_si512(a, b); }
AITERI_FORCE_INLINE __m512i AITERI_K(or_i)(__m512i a, __m512i b) { return _mm512_or_si512(a, b); }
/* Shifts by a vector: the immediate forms need a constant even at -O0. */
AITERI_FORCE_INLINE __m512i AITERI_K(shl_i)(__m512i a, int n)
{
    return _mm512_sllv_epi32(a, _mm512_set1_epi32(n));
}
AITERI_FORCE_INLINE __m512i AITERI_K(shr_i)(__m512i a, int n)
{
    return _mm512_srlv_epi32(a, _mm512_set1_epi32(n));
}
AITERI_FORCE_INLINE __mmask16 AITERI_K(lt_i)(__m512i a, __m512i b)
{
    return _mm512_cmplt_epi32_mask(a, b);
}
AITERI_FORCE_INLINE __mmask16 AITERI_K(eq_i)(__m512i a, __m512i b)
{
    return _mm512_cmpeq_epi32_mask(a, b);
}
AITERI_FORCE_INLINE __m512i AITERI_K(select_i)(__mmask16 m, __m512i a, __m512i b)
{
    return _mm512_mask_blend_epi32(m, b, a);
}
AITERI_FORCE_INLINE __m512i AITERI_K(to_i)(__m512 a) { return _mm512_cvtps_epi32(a); }
AITERI_FORCE_INLINE __m512 AITERI_K(to_f)(__m512i a) { return _mm512_cvtepi32_ps(a); }
AITERI_FORCE_INLINE __m512i AITERI_K(as_i)(__m512 a) { return _mm512_castps_si512(a); }
AITERI_FORCE_INLINE __m512 AITERI_K(as_f)(__m512i a) { return _mm512_castsi512_ps(a); }

AITERI_FORCE_INLINE __mmask16 AITERI_K(first)(int n) { return (__mmask16)((1u << n) - 1u); }
AITERI_FORCE_INLINE __m512 AITERI_K(load)(const float *p) { return _mm512_loadu_ps(p); }
AITERI_FORCE_INLINE void AITERI_K(store)(float *p, __m512 x) { _mm512_storeu_ps(p, x); }
AITERI_FORCE_INLINE __m512 AITERI_K(load_n)(const float *p, int n)
{
    return _mm512_maskz_loadu_ps(AITERI_K(first)(n), p);
}
AITERI_FORCE_INLINE void AITERI_K(store_n)(float *p, __m512 x, int n)
{
    _mm512_mask_storeu_ps(p, AITERI_K(first)(n), x);
}

AITERI_FORCE_INLINE __m512 AITERI_K(fma)(__m512 a, __m512 b, __m512 c)
{
    return AITERI_VECTOR_FMA(_mm512_fmadd_ps, a, b, c);
}
AITERI_FORCE_INLINE __m512 AITERI_K(add)(__m512 a, __m512 b)
{
    return AITERI_VECTOR_OP(_mm512_add_ps, a, +, b);
}
AITERI_FORCE_INLINE __m512 AITERI_K(sub)(__m512 a, __m512 b)
{
    return AITERI_VECTOR_OP(_mm512_sub_ps, a, -, b);
}
AITERI_FORCE_INLINE __m512 AITERI_K(mul)(__m512 a, __m512 b)
{
    __m512 product = AITERI_VECTOR_OP(_mm512_mul_ps, a, *, b);
    AITERI_FENCE_PRODUCT(product);
    return product;
}
AITERI_FORCE_INLINE __m512 AITERI_K(div)(__m512 a, __m512 b)
{
    return AITERI_VECTOR_OP(_mm512_div_ps, a, /, b);
}
AITERI_FORCE_INLINE __m512 AITERI_K(max)(__m512 a, __m512 b) { return _mm512_max_ps(a, b); }
AITERI_FORCE_INLINE __m512 AITERI_K(min)(__m512 a, __m512 b) { return _mm512_min_ps(a, b); }
AITERI_FORCE_INLINE __m512 AITERI_K(abs)(__m512 a)
{
    return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a);
}
AITERI_FORCE_INLINE __m512 AITERI_K(copysign)(__m512 a, __m512 b)
{
    const __m512 sign = _mm512_set1_ps(-0.0f);
    return _mm512_or_ps(_mm512_andnot_ps(sign, a), _mm512_and_ps(sign, b));
}
AITERI_FORCE_INLINE __m512 AITERI_K(round)(__m512 a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
AITERI_FORCE_INLINE __m512 AITERI_K(scale2)(__m512 a, __m512 n) { return _mm512_scalef_ps(a, n); }
AITERI_FORCE_INLINE __m512 AITERI_K(ldexp)(__m512 a, __m512 n) { return _mm512_scalef_ps(a, n); }

AITERI_FORCE_INLINE __mmask16 AITERI_K(lt)(__m512 a, __m512 b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
AITERI_FORCE_INLINE __mmask16 AITERI_K(gt)(__m512 a, __m512 b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
}
AITERI_FORCE_INLINE __mmask16 AITERI_K(nlt)(__m512 a, __m512 b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ);
}
AITERI_FORCE_INLINE __mmask16 AITERI_K(and_m)(__mmask16 a, __mmask16 b)
{
    return (__mmask16)(a & b);
}
AITERI_FORCE_INLINE __mmask16 AITERI_K(or_m)(__mmask16 a, __mmask16 b)
{
    return (__mmask16)(a | b);
}
AITERI_FORCE_INLINE __mmask16 AITERI_K(not_m)(__mmask16 a) { return (__mmask16)~a; }
AITERI_FORCE_INLINE int AITERI_K(any)(__mmask16 m) { return m != 0; }
AITERI_FORCE_INLINE int AITERI_K(all)(__mmask16 m) { return m == 0xffff; }
AITERI_FORCE_INLINE __m512 AITERI_K(select)(__mmask16 m, __m512 a, __m512 b)
{
    return _mm512_mask_blend_ps(m, b, a);
}
AITERI_FORCE_INLINE __m512 AITERI_K(keep)(__mmask16 m, __m512 a)
{
    return _mm512_maskz_mov_ps(m, a);
}

/* Sums of four vectors inside each quarter; hsum and hsum16 add in the same order. */
AITERI_FORCE_INLINE __m512 AITERI_K(fold4)(__m512 a, __m512 b, __m512 c, __m512 d)
{
    const __m512 ab =
        AITERI_K(add)(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)); /* a02 b02 a13 b13 */
    const __m512 cd = AITERI_K(add)(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    return AITERI_K(add)(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
}
/* (quarter 0 + quarter 2) + (quarter 1 + quarter 3). */
AITERI_FORCE_INLINE __m128 AITERI_K(fold_quarters)(__m512 s)
{
    const __m256 lo = _mm512_castps512_ps256(s), hi = _mm512_extractf32x8_ps(s, 1);
    const __m256 t = AITERI_VECTOR_OP(_mm256_add_ps, lo, +, hi);
    return AITERI_VECTOR_OP(_mm_add_ps, _mm256_castps256_ps128(t), +, _mm256_extractf128_ps(t, 1));
}
AITERI_FORCE_INLINE void AITERI_K(hsum4)(__m512 a, __m512 b, __m512 c, __m512 d, float *out)
{
    _mm_storeu_ps(out, AITERI_K(fold_quarters)(AITERI_K(fold4)(a, b, c, d)));
}
AITERI_FORCE_INLINE void AITERI_K(hsum16)(const __m512 *v, float *out)
{
    const __m512 a = AITERI_K(fold4)(v[0], v[1], v[2], v[3]);
    const __m512 b = AITERI_K(fold4)(v[4], v[5], v[6], v[7]);
    const __m512 c = AITERI_K(fold4)(v[8], v[9], v[10], v[11]);
    const __m512 d = AITERI_K(fold4)(v[12], v[13], v[14], v[15]);
    const __m512 ab = /* quarters a02 a13 b02 b13 */
        AITERI_K(add)(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    const __m512 cd =
        AITERI_K(add)(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
    _mm512_storeu_ps(
        out, AITERI_K(add)(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd)));
}
AITERI_FORCE_INLINE float AITERI_K(hsum)(__m512 a)
{
    const __m512 t = AITERI_K(add)(a, _mm512_permute_ps(a, 0x4e));
    return _mm_cvtss_f32(AITERI_K(fold_quarters)(AITERI_K(add)(t, _mm512_permute_ps(t, 0xb1))));
}
AITERI_FORCE_INLINE float AITERI_K(hmax)(__m512 a)
{
    const __m256 t = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(t), _mm256_extractf128_ps(t, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}

/* Columns c to c+3 of sixteen rows, a 4x4 block in each quarter: quarter j of out[i] is column c+i
 * of rows 4j to 4j+3, because quarter j was loaded from row 4j+i. */
AITERI_FORCE_INLINE __m512 AITERI_K(load_quarters)(const float *p, int64_t ld)
{
    __m512 x = _mm512_castps128_ps512(_mm_loadu_ps(p));
    x = _mm512_insertf32x4(x, _mm_loadu_ps(p + 4 * ld), 1);
    x = _mm512_insertf32x4(x, _mm_loadu_ps(p + 8 * ld), 2);
    return _mm512_insertf32x4(x, _mm_loadu_ps(p + 12 * ld), 3);
}
AITERI_COLD void AITERI_K(transpose)(const float *src, int64_t ld_src, float *dst, int64_t ld_dst)
{
    AITERI_UNROLL(4)
    for (int c = 0; c < 16; c += 4) {
        const __m512 x0 = AITERI_K(load_quarters)(src + c, ld_src);
        const __m512 x1 = AITERI_K(load_quarters)(src + c + ld_src, ld_src);
        const __m512 x2 = AITERI_K(load_quarters)(src + c + 2 * ld_src, ld_src);
        const __m512 x3 = AITERI_K(load_quarters)(src + c + 3 * ld_src, ld_src);
        const __m512 a0 = _mm512_unpacklo_ps(x0, x1), a2 = _mm512_unpackhi_ps(x0, x1);
        const __m512 b0 = _mm512_unpacklo_ps(x2, x3), b2 = _mm512_unpackhi_ps(x2, x3);
        float *out = dst + c * ld_dst;
        _mm512_storeu_ps(out, _mm512_shuffle_ps(a0, b0, 0x44));
        _mm512_storeu_ps(out + ld_dst, _mm512_shuffle_ps(a0, b0, 0xee));
        _mm512_storeu_ps(out + 2 * ld_dst, _mm512_shuffle_ps(a2, b2, 0x44));
        _mm512_storeu_ps(out + 3 * ld_dst, _mm512_shuffle_ps(a2, b2, 0xee));
    }
}

AITERI_FORCE_INLINE __m256i AITERI_K(load_x16)(const uint16_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
AITERI_FORCE_INLINE __m256i AITERI_K(load_x16_n)(const uint16_t *p, int n)
{
    return _mm256_maskz_loadu_epi16(AITERI_K(first)(n), p);
}
AITERI_FORCE_INLINE __m512 AITERI_K(expand_bf16)(__m256i x)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}
AITERI_FORCE_INLINE __m512 AITERI_K(expand_i8)(__m128i x)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(x));
}
AITERI_FORCE_INLINE __m512 AITERI_K(load_f16)(const uint16_t *p)
{
    return _mm512_cvtph_ps(AITERI_K(load_x16)(p));
}
AITERI_FORCE_INLINE __m512 AITERI_K(load_f16_n)(const uint16_t *p, int n)
{
    return _mm512_cvtph_ps(AITERI_K(load_x16_n)(p, n));
}
AITERI_FORCE_INLINE __m512 AITERI_K(load_bf16)(const uint16_t *p)
{
    return AITERI_K(expand_bf16)(AITERI_K(load_x16)(p));
}
AITERI_FORCE_INLINE __m512 AITERI_K(load_bf16_n)(const uint16_t *p, int n)
{
    return AITERI_K(expand_bf16)(AITERI_K(load_x16_n)(p, n));
}
AITERI_FORCE_INLINE __m512 AITERI_K(load_i8)(const int8_t *p)
{
    return AITERI_K(expand_i8)(_mm_loadu_si128((const __m128i *)(const void *)p));
}
AITERI_FORCE_INLINE __m512 AITERI_K(load_i8_n)(const int8_t *p, int n)
{
    return AITERI_K(expand_i8)(_mm_maskz_loadu_epi8(AITERI_K(first)(n), p));
}
AITERI_FORCE_INLINE __m512 AITERI_K(load_e5m2_raw)(const uint8_t *p)
{
    const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm512_cvtph_ps(_mm256_slli_epi16(_mm256_cvtepu8_epi16(x), 8));
}
AITERI_FORCE_INLINE __m512 AITERI_K(load_e4m3_raw)(const uint8_t *p)
{
    const __m256i x = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
    return _mm512_cvtph_ps(
        _mm256_and_si256(_mm256_slli_epi16(x, 7), _mm256_set1_epi16((int16_t)(uint16_t)0xbf80)));
}

AITERI_FORCE_INLINE __m256i AITERI_K(pack_f16)(__m512 x)
{
    return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
AITERI_FORCE_INLINE void AITERI_K(store_x16)(uint16_t *p, __m512i x)
{
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(x));
}
AITERI_FORCE_INLINE void AITERI_K(store_x16_n)(uint16_t *p, __m512i x, int n)
{
    _mm256_mask_storeu_epi16(p, AITERI_K(first)(n), _mm512_cvtepi32_epi16(x));
}
AITERI_FORCE_INLINE void AITERI_K(store_x8)(uint8_t *p, __m512i x)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtepi32_epi8(x));
}
AITERI_FORCE_INLINE void AITERI_K(store_f16)(uint16_t *p, __m512 x)
{
    _mm256_storeu_si256((__m256i *)(void *)p, AITERI_K(pack_f16)(x));
}
AITERI_FORCE_INLINE void AITERI_K(store_f16_n)(uint16_t *p, __m512 x, int n)
{
    _mm256_mask_storeu_epi16(p, AITERI_K(first)(n), AITERI_K(pack_f16)(x));
}

/* Bytes, 16 of them in each quarter; zipped within it. */
typedef __m512i AITERI_K(vb);
AITERI_FORCE_INLINE __m512i AITERI_K(load_16s)(const char *p, int64_t step)
{
    const __m128i *const at[4] = {(const __m128i *)(const void *)p,
                                  (const __m128i *)(const void *)(p + step),
                                  (const __m128i *)(const void *)(p + 2 * step),
                                  (const __m128i *)(const void *)(p + 3 * step)};
    __m512i x = _mm512_castsi128_si512(_mm_loadu_si128(at[0]));
    x = _mm512_inserti32x4(x, _mm_loadu_si128(at[1]), 1);
    x = _mm512_inserti32x4(x, _mm_loadu_si128(at[2]), 2);
    return _mm512_inserti32x4(x, _mm_loadu_si128(at[3]), 3);
}
AITERI_FORCE_INLINE void AITERI_K(store_16s)(char *p, __m512i x) { _mm512_storeu_si512(p, x); }
AITERI_FORCE_INLINE __m512i AITERI_K(zip_low)(__m512i a, __m512i b, const int size)
{
    return size == 1   ? _mm512_unpacklo_epi8(a, b)
           : size == 2 ? _mm512_unpacklo_epi16(a, b)
                       : _mm512_unpacklo_epi32(a, b);
}
AITERI_FORCE_INLINE __m512i AITERI_K(zip_high)(__m512i a, __m512i b, const int size)
{
    return size == 1   ? _mm512_unpackhi_epi8(a, b)
           : size == 2 ? _mm512_unpackhi_epi16(a, b)
                       : _mm512_unpackhi_epi32(a, b);
}

/* As in simd_avx2.h. */
#define AITERI_F8_CODES 64
AITERI_FORCE_INLINE void AITERI_K(f16_of_f8)(void *dst, const uint8_t *src, const aiter_dtype type)
{
    const char b = type == AITER_F8_E4M3FN ? 0x20 : 0x1c;
    const __m512i distance = _mm512_broadcast_i32x4(
        _mm_setr_epi8(0, b - 8, b - 5, b - 3, b - 2, b - 1, b - 1, b, b, b, b, b, b, b, b, b));
    const __m512i order = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
    const __m512i x = _mm512_permutexvar_epi64(order, _mm512_loadu_si512(src));
    const __m512i sign = _mm512_set1_epi8(-128), rest = _mm512_set1_epi8(0x7f);
    const __m512i a = _mm512_and_si512(x, rest);
    const __m512i half = _mm512_and_si512(_mm512_srli_epi16(a, 1), _mm512_set1_epi8(0x3f));
    const __m512i at = _mm512_min_epu8(a, _mm512_set1_epi8(15));
    const __mmask64 large = _mm512_cmpgt_epi8_mask(a, _mm512_set1_epi8(7));
    const __mmask64 nan =
        type == AITER_F8_E4M3FN ? _mm512_cmpeq_epi8_mask(a, rest) : _mm512_cmpeq_epi8_mask(x, sign);
    const __m512i value = _mm512_add_epi8(half, _mm512_shuffle_epi8(distance, at));
    __m512i high =
        _mm512_mask_mov_epi8(_mm512_or_si512(value, _mm512_and_si512(x, sign)), nan, rest);
    __m512i low = _mm512_maskz_mov_epi8(large, _mm512_and_si512(_mm512_slli_epi16(a, 7), sign));
    if (type == AITER_F8_E5M2) high = x, low = _mm512_setzero_si512();
    _mm512_storeu_si512(dst, _mm512_unpacklo_epi8(low, high));
    _mm512_storeu_si512((char *)dst + 64, _mm512_unpackhi_epi8(low, high));
}

#define AITERI_SPREAD 32
AITERI_FORCE_INLINE void AITERI_K(spread)(int8_t *dst, const uint8_t *src)
{
    const __m512i wide =
        _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)src));
    const __m512i both = _mm512_or_si512(wide, _mm512_slli_epi16(wide, 4)); /* high half too */
    const __m512i code = _mm512_broadcast_i32x4(
        _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1));
    _mm512_storeu_si512(dst,
                        _mm512_shuffle_epi8(code, _mm512_and_si512(both, _mm512_set1_epi8(15))));
}
