/* simd_avx2.h -- the vector layer on AVX2, FMA and F16C: eight lanes. simd_scalar.h says what each
 * function means. */
typedef __m256 AITERI_K(vf);
typedef __m256i AITERI_K(vi);
typedef __m256 AITERI_K(vm); /* all bits of a lane set, or none */
#define AITERI_LANES   8
#define AITERI_SQUARES 2

AITERI_FORCE_INLINE __m256 AITERI_K(zero)(void) { return _mm256_setzero_ps(); }
AITERI_FORCE_INLINE __m256 AITERI_K(set1)(float x) { return _mm256_set1_ps(x); }
AITERI_FORCE_INLINE __m256 AITERI_K(iota)(void)
{
    return _mm256_setr_ps(0.0f, 1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f, 7.0f);
}

AITERI_FORCE_INLINE __m256i AITERI_K(set1_i)(int32_t x) { return _mm256_set1_epi32(x); }
AITERI_FORCE_INLINE __m256i AITERI_K(iota_i)(void)
{
    return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
}
AITERI_FORCE_INLINE __m256i AITERI_K(add_i)(__m256i a, __m256i b) { return _mm256_add_epi32(a, b); }
AITERI_FORCE_INLINE __m256i AITERI_K(sub_i)(__m256i a, __m256i b) { return _mm256_sub_epi32(a, b); }
AITERI_FORCE_INLINE __m256i AITERI_K(and_i)(__m256i a, __m256i b) { return _mm256_and_si256(a, b); }
AITERI_FORCE_INLINE __m256i AITERI_K(or_i)(__m256i a, __m256i b) { return _mm256_or_si256(a, b); }
AITERI_FORCE_INLINE __m256i AITERI_K(shl_i)(__m256i a, int n) { return _mm256_slli_epi32(a, n); }
AITERI_FORCE_INLINE __m256i AITERI_K(shr_i)(__m256i a, int n) { return _mm256_srli_epi32(a, n); }
AITERI_FORCE_INLINE __m256 AITERI_K(lt_i)(__m256i a, __m256i b)
{
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(b, a));
}
AITERI_FORCE_INLINE __m256 AITERI_K(eq_i)(__m256i a, __m256i b)
{
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b));
}
AITERI_FORCE_INLINE __m256i AITERI_K(select_i)(__m256 m, __m256i a, __m256i b)
{
    return _mm256_blendv_epi8(b, a, _mm256_castps_si256(m));
}
AITERI_FORCE_INLINE __m256i AITERI_K(to_i)(__m256 a) { return _mm256_cvtps_epi32(a); }
AITERI_FORCE_INLINE __m256 AITERI_K(to_f)(__m256i a) { return _mm256_cvtepi32_ps(a); }
AITERI_FORCE_INLINE __m256i AITERI_K(as_i)(__m256 a) { return _mm256_castps_si256(a); }
AITERI_FORCE_INLINE __m256 AITERI_K(as_f)(__m256i a) { return _mm256_castsi256_ps(a); }

AITERI_FORCE_INLINE __m256i AITERI_K(first)(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), AITERI_K(iota_i)());
}
AITERI_FORCE_INLINE __m256 AITERI_K(load)(const float *p) { return _mm256_loadu_ps(p); }
AITERI_FORCE_INLINE void AITERI_K(store)(float *p, __m256 x) { _mm256_storeu_ps(p, x); }
AITERI_FORCE_INLINE __m256 AITERI_K(load_n)(const float *p, int n)
{
    return _mm256_maskload_ps(p, AITERI_K(first)(n));
}
AITERI_FORCE_INLINE void AITERI_K(store_n)(float *p, __m256 x, int n)
{
    _mm256_maskstore_ps(p, AITERI_K(first)(n), x);
}

AITERI_FORCE_INLINE __m256 AITERI_K(fma)(__m256 a, __m256 b, __m256 c)
{
    return AITERI_VECTOR_FMA(_mm256_fmadd_ps, a, b, c);
}
AITERI_FORCE_INLINE __m256 AITERI_K(add)(__m256 a, __m256 b)
{
    return AITERI_VECTOR_OP(_mm256_add_ps, a, +, b);
}
AITERI_FORCE_INLINE __m256 AITERI_K(sub)(__m256 a, __m256 b)
{
    return AITERI_VECTOR_OP(_mm256_sub_ps, a, -, b);
}
AITERI_FORCE_INLINE __m256 AITERI_K(mul)(__m256 a, __m256 b)
{
    __m256 product = AITERI_VECTOR_OP(_mm256_mul_ps, a, *, b);
    AITERI_FENCE_PRODUCT(product);
    return product;
}
AITERI_FORCE_INLINE __m256 AITERI_K(div)(__m256 a, __m256 b)
{
    return AITERI_VECTOR_OP(_mm256_div_ps, a, /, b);
}
AITERI_FORCE_INLINE __m256 AITERI_K(max)(__m256 a, __m256 b) { return _mm256_max_ps(a, b); }
AITERI_FORCE_INLINE __m256 AITERI_K(min)(__m256 a, __m256 b) { return _mm256_min_ps(a, b); }
AITERI_FORCE_INLINE __m256 AITERI_K(abs)(__m256 a)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}
AITERI_FORCE_INLINE __m256 AITERI_K(copysign)(__m256 a, __m256 b)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_andnot_ps(sign, a), _mm256_and_ps(sign, b));
}
AITERI_FORCE_INLINE __m256 AITERI_K(round)(__m256 a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
AITERI_FORCE_INLINE __m256 AITERI_K(scale2)(__m256 a, __m256 n)
{
    const __m256i e = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), e));
}
AITERI_FORCE_INLINE __m256 AITERI_K(ldexp)(__m256 a, __m256 n)
{
    const __m256 one = _mm256_set1_ps(1.0f);
    const __m256i i = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(i, 1);
    const __m256i rest = _mm256_sub_epi32(i, half);
    const __m256i bits = _mm256_castps_si256(one);
    a = AITERI_K(mul)(a, _mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_slli_epi32(half, 23))));
    return AITERI_K(mul)(a,
                         _mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_slli_epi32(rest, 23))));
}

AITERI_FORCE_INLINE __m256 AITERI_K(lt)(__m256 a, __m256 b)
{
    return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}
AITERI_FORCE_INLINE __m256 AITERI_K(gt)(__m256 a, __m256 b)
{
    return _mm256_cmp_ps(a, b, _CMP_GT_OQ);
}
AITERI_FORCE_INLINE __m256 AITERI_K(nlt)(__m256 a, __m256 b)
{
    return _mm256_cmp_ps(a, b, _CMP_NLT_UQ);
}
AITERI_FORCE_INLINE __m256 AITERI_K(and_m)(__m256 a, __m256 b) { return _mm256_and_ps(a, b); }
AITERI_FORCE_INLINE __m256 AITERI_K(or_m)(__m256 a, __m256 b) { return _mm256_or_ps(a, b); }
AITERI_FORCE_INLINE __m256 AITERI_K(not_m)(__m256 a)
{
    return _mm256_xor_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(-1)));
}
AITERI_FORCE_INLINE int AITERI_K(any)(__m256 m) { return _mm256_movemask_ps(m) != 0; }
AITERI_FORCE_INLINE int AITERI_K(all)(__m256 m) { return _mm256_movemask_ps(m) == 0xff; }
AITERI_FORCE_INLINE __m256 AITERI_K(select)(__m256 m, __m256 a, __m256 b)
{
    return _mm256_blendv_ps(b, a, m);
}
AITERI_FORCE_INLINE __m256 AITERI_K(keep)(__m256 m, __m256 a) { return _mm256_and_ps(m, a); }

/* Sums of four vectors inside each half; hsum adds in the same order. */
AITERI_FORCE_INLINE __m256 AITERI_K(fold4)(__m256 a, __m256 b, __m256 c, __m256 d)
{
    const __m256 ab =
        AITERI_K(add)(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)); /* a02 b02 a13 b13 */
    const __m256 cd = AITERI_K(add)(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
    return AITERI_K(add)(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
}
AITERI_FORCE_INLINE void AITERI_K(hsum4)(__m256 a, __m256 b, __m256 c, __m256 d, float *out)
{
    const __m256 s = AITERI_K(fold4)(a, b, c, d);
    _mm_storeu_ps(out, AITERI_VECTOR_OP(_mm_add_ps, _mm256_castps256_ps128(s), +,
                                        _mm256_extractf128_ps(s, 1)));
}
AITERI_FORCE_INLINE void AITERI_K(hsum16)(const __m256 *v, float *out)
{
    for (int i = 0; i < 16; i += 4) AITERI_K(hsum4)(v[i], v[i + 1], v[i + 2], v[i + 3], out + i);
}
AITERI_FORCE_INLINE float AITERI_K(hsum)(__m256 a)
{
    const __m256 t = AITERI_K(add)(a, _mm256_permute_ps(a, 0x4e));
    const __m256 s = AITERI_K(add)(t, _mm256_permute_ps(t, 0xb1));
    return _mm_cvtss_f32(
        AITERI_VECTOR_OP(_mm_add_ps, _mm256_castps256_ps128(s), +, _mm256_extractf128_ps(s, 1)));
}
AITERI_FORCE_INLINE float AITERI_K(hmax)(__m256 a)
{
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}

AITERI_FORCE_INLINE __m256 AITERI_K(load_half)(const float *p, int64_t ld)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + 4 * ld),
                                1);
}
AITERI_COLD void AITERI_K(transpose)(const float *src, int64_t ld_src, float *dst, int64_t ld_dst)
{
    AITERI_UNROLL(2)
    for (int h = 0; h < 2; h++) { /* columns 4h to 4h+3; halves hold rows i and i+4 */
        const __m256 a = AITERI_K(load_half)(src + 4 * h, ld_src);
        const __m256 b = AITERI_K(load_half)(src + 4 * h + ld_src, ld_src);
        const __m256 c = AITERI_K(load_half)(src + 4 * h + 2 * ld_src, ld_src);
        const __m256 d = AITERI_K(load_half)(src + 4 * h + 3 * ld_src, ld_src);
        const __m256 ab0 = _mm256_unpacklo_ps(a, b), ab2 = _mm256_unpackhi_ps(a, b);
        const __m256 cd0 = _mm256_unpacklo_ps(c, d), cd2 = _mm256_unpackhi_ps(c, d);
        float *out = dst + 4 * h * ld_dst;
        _mm256_storeu_ps(out, _mm256_shuffle_ps(ab0, cd0, 0x44));
        _mm256_storeu_ps(out + ld_dst, _mm256_shuffle_ps(ab0, cd0, 0xee));
        _mm256_storeu_ps(out + 2 * ld_dst, _mm256_shuffle_ps(ab2, cd2, 0x44));
        _mm256_storeu_ps(out + 3 * ld_dst, _mm256_shuffle_ps(ab2, cd2, 0xee));
    }
}

/* The first n of sixteen bytes; short rows go through a copy so that no byte past n is touched. */
AITERI_FORCE_INLINE __m128i AITERI_K(load_bytes)(const void *p, int bytes)
{
    uint8_t tail[16] = {0};
    memcpy(tail, p, (size_t)bytes);
    return _mm_loadu_si128((const __m128i *)(const void *)tail);
}
AITERI_FORCE_INLINE void AITERI_K(store_bytes)(void *p, __m128i x, int bytes)
{
    uint8_t tail[16];
    _mm_storeu_si128((__m128i *)(void *)tail, x);
    memcpy(p, tail, (size_t)bytes);
}
AITERI_FORCE_INLINE __m128i AITERI_K(load_x16)(const uint16_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}
AITERI_FORCE_INLINE __m256 AITERI_K(expand_bf16)(__m128i x)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
}
AITERI_FORCE_INLINE __m256 AITERI_K(expand_i8)(__m128i x)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(x));
}
AITERI_FORCE_INLINE __m256 AITERI_K(load_f16)(const uint16_t *p)
{
    return _mm256_cvtph_ps(AITERI_K(load_x16)(p));
}
AITERI_FORCE_INLINE __m256 AITERI_K(load_f16_n)(const uint16_t *p, int n)
{
    return _mm256_cvtph_ps(AITERI_K(load_bytes)(p, 2 * n));
}
AITERI_FORCE_INLINE __m256 AITERI_K(load_bf16)(const uint16_t *p)
{
    return AITERI_K(expand_bf16)(AITERI_K(load_x16)(p));
}
AITERI_FORCE_INLINE __m256 AITERI_K(load_bf16_n)(const uint16_t *p, int n)
{
    return AITERI_K(expand_bf16)(AITERI_K(load_bytes)(p, 2 * n));
}
AITERI_FORCE_INLINE __m256 AITERI_K(load_i8)(const int8_t *p)
{
    return AITERI_K(expand_i8)(_mm_loadl_epi64((const __m128i *)(const void *)p));
}
AITERI_FORCE_INLINE __m256 AITERI_K(load_i8_n)(const int8_t *p, int n)
{
    return AITERI_K(expand_i8)(AITERI_K(load_bytes)(p, n));
}
AITERI_FORCE_INLINE __m256 AITERI_K(load_e5m2_raw)(const uint8_t *p)
{
    const __m128i x = _mm_loadl_epi64((const __m128i *)(const void *)p);
    return _mm256_cvtph_ps(_mm_unpacklo_epi8(_mm_setzero_si128(), x));
}
AITERI_FORCE_INLINE __m256 AITERI_K(load_e4m3_raw)(const uint8_t *p)
{
    const __m128i x = _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)p));
    return _mm256_cvtph_ps(
        _mm_and_si128(_mm_slli_epi16(x, 7), _mm_set1_epi16((int16_t)(uint16_t)0xbf80)));
}

/* The low halves of eight 32-bit lanes, none above 0xffff. */
AITERI_FORCE_INLINE __m128i AITERI_K(pack_x16)(__m256i x)
{
    return _mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
}
AITERI_FORCE_INLINE __m128i AITERI_K(pack_f16)(__m256 x)
{
    return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
AITERI_FORCE_INLINE void AITERI_K(store_x16)(uint16_t *p, __m256i x)
{
    _mm_storeu_si128((__m128i *)(void *)p, AITERI_K(pack_x16)(x));
}
AITERI_FORCE_INLINE void AITERI_K(store_x16_n)(uint16_t *p, __m256i x, int n)
{
    AITERI_K(store_bytes)(p, AITERI_K(pack_x16)(x), 2 * n);
}
AITERI_FORCE_INLINE void AITERI_K(store_x8)(uint8_t *p, __m256i x)
{
    const __m128i y = AITERI_K(pack_x16)(x);
    _mm_storel_epi64((__m128i *)(void *)p, _mm_packus_epi16(y, y));
}
AITERI_FORCE_INLINE void AITERI_K(store_f16)(uint16_t *p, __m256 x)
{
    _mm_storeu_si128((__m128i *)(void *)p, AITERI_K(pack_f16)(x));
}
AITERI_FORCE_INLINE void AITERI_K(store_f16_n)(uint16_t *p, __m256 x, int n)
{
    AITERI_K(store_bytes)(p, AITERI_K(pack_f16)(x), 2 * n);
}

/* Bytes, 16 of them in each half; zipped within it. */
typedef __m256i AITERI_K(vb);
AITERI_FORCE_INLINE __m256i AITERI_K(load_16s)(const char *p, int64_t step)
{
    return _mm256_setr_m128i(_mm_loadu_si128((const __m128i *)(const void *)p),
                             _mm_loadu_si128((const __m128i *)(const void *)(p + step)));
}
AITERI_FORCE_INLINE void AITERI_K(store_16s)(char *p, __m256i x)
{
    _mm256_storeu_si256((__m256i *)(void *)p, x);
}
AITERI_FORCE_INLINE __m256i AITERI_K(zip_low)(__m256i a, __m256i b, const int size)
{
    return size == 1   ? _mm256_unpacklo_epi8(a, b)
           : size == 2 ? _mm256_unpacklo_epi16(a, b)
                       : _mm256_unpacklo_epi32(a, b);
}
AITERI_FORCE_INLINE __m256i AITERI_K(zip_high)(__m256i a, __m256i b, const int size)
{
    return size == 1   ? _mm256_unpackhi_epi8(a, b)
           : size == 2 ? _mm256_unpackhi_epi16(a, b)
                       : _mm256_unpackhi_epi32(a, b);
}

/* Codes of fp8 as f16, which has all their numbers: the two bytes of each are made apart. From code
 * 7 on the upper one is at a fixed distance; e4m3's subnormals, below, have theirs from the table.
 */
#define AITERI_F8_CODES 32
AITERI_FORCE_INLINE void AITERI_K(f16_of_f8)(void *dst, const uint8_t *src, const aiter_dtype type)
{
    const char b = type == AITER_F8_E4M3FN ? 0x20 : 0x1c;
    const __m256i distance = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, b - 8, b - 5, b - 3, b - 2, b - 1, b - 1, b, b, b, b, b, b, b, b, b));
    const __m256i x =
        _mm256_permute4x64_epi64(_mm256_loadu_si256((const __m256i *)(const void *)src), 0xd8);
    const __m256i sign = _mm256_set1_epi8(-128), rest = _mm256_set1_epi8(0x7f);
    const __m256i a = _mm256_and_si256(x, rest);
    const __m256i half = _mm256_and_si256(_mm256_srli_epi16(a, 1), _mm256_set1_epi8(0x3f));
    const __m256i at = _mm256_min_epu8(a, _mm256_set1_epi8(15));
    const __m256i small = _mm256_cmpgt_epi8(_mm256_set1_epi8(8), a);
    const __m256i nan =
        type == AITER_F8_E4M3FN ? _mm256_cmpeq_epi8(a, rest) : _mm256_cmpeq_epi8(x, sign);
    const __m256i value = _mm256_add_epi8(half, _mm256_shuffle_epi8(distance, at));
    __m256i high = _mm256_or_si256(_mm256_or_si256(value, _mm256_and_si256(x, sign)), nan);
    __m256i low = _mm256_andnot_si256(small, _mm256_and_si256(_mm256_slli_epi16(a, 7), sign));
    if (type == AITER_F8_E5M2) high = x, low = _mm256_setzero_si256();
    _mm256_storeu_si256((__m256i *)dst, _mm256_unpacklo_epi8(low, high));
    _mm256_storeu_si256((__m256i *)dst + 1, _mm256_unpackhi_epi8(low, high));
}

#define AITERI_SPREAD 16
AITERI_FORCE_INLINE void AITERI_K(spread)(int8_t *dst, const uint8_t *src)
{
    const __m256i wide = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)src));
    const __m256i both = _mm256_or_si256(wide, _mm256_slli_epi16(wide, 4)); /* high half too */
    const __m256i code = _mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1, 0,
                                          1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1);
    _mm256_storeu_si256((__m256i *)(void *)dst,
                        _mm256_shuffle_epi8(code, _mm256_and_si256(both, _mm256_set1_epi8(15))));
}
