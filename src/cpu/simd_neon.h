/* simd_neon.h -- the vector layer on AArch64 Advanced SIMD: four lanes, partial loads and stores
 * through a copy. simd_scalar.h says what each function means. */
typedef float32x4_t AITERI_K(vf);
typedef int32x4_t AITERI_K(vi);
typedef uint32x4_t AITERI_K(vm); /* all bits of a lane set, or none */
#define AITERI_LANES   4
#define AITERI_SQUARES 1

AITERI_FORCE_INLINE float32x4_t AITERI_K(zero)(void) { return vdupq_n_f32(0.0f); }
AITERI_FORCE_INLINE float32x4_t AITERI_K(set1)(float x) { return vdupq_n_f32(x); }
AITERI_FORCE_INLINE int32x4_t AITERI_K(set1_i)(int32_t x) { return vdupq_n_s32(x); }
AITERI_FORCE_INLINE int32x4_t AITERI_K(iota_i)(void)
{
    return vreinterpretq_s32_s64(
        vcombine_s64(vcreate_s64(0x0000000100000000u), vcreate_s64(0x0000000300000002u)));
}
AITERI_FORCE_INLINE int32x4_t AITERI_K(add_i)(int32x4_t a, int32x4_t b) { return vaddq_s32(a, b); }
AITERI_FORCE_INLINE int32x4_t AITERI_K(sub_i)(int32x4_t a, int32x4_t b) { return vsubq_s32(a, b); }
AITERI_FORCE_INLINE int32x4_t AITERI_K(and_i)(int32x4_t a, int32x4_t b) { return vandq_s32(a, b); }
AITERI_FORCE_INLINE int32x4_t AITERI_K(or_i)(int32x4_t a, int32x4_t b) { return vorrq_s32(a, b); }
AITERI_FORCE_INLINE int32x4_t AITERI_K(shl_i)(int32x4_t a, int n)
{
    return vshlq_s32(a, vdupq_n_s32(n));
}
AITERI_FORCE_INLINE int32x4_t AITERI_K(shr_i)(int32x4_t a, int n)
{
    return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a), vdupq_n_s32(-n)));
}
AITERI_FORCE_INLINE uint32x4_t AITERI_K(lt_i)(int32x4_t a, int32x4_t b) { return vcltq_s32(a, b); }
AITERI_FORCE_INLINE uint32x4_t AITERI_K(eq_i)(int32x4_t a, int32x4_t b) { return vceqq_s32(a, b); }
AITERI_FORCE_INLINE int32x4_t AITERI_K(select_i)(uint32x4_t m, int32x4_t a, int32x4_t b)
{
    return vbslq_s32(m, a, b);
}
AITERI_FORCE_INLINE int32x4_t AITERI_K(to_i)(float32x4_t a) { return vcvtnq_s32_f32(a); }
AITERI_FORCE_INLINE float32x4_t AITERI_K(to_f)(int32x4_t a) { return vcvtq_f32_s32(a); }
AITERI_FORCE_INLINE int32x4_t AITERI_K(as_i)(float32x4_t a) { return vreinterpretq_s32_f32(a); }
AITERI_FORCE_INLINE float32x4_t AITERI_K(as_f)(int32x4_t a) { return vreinterpretq_f32_s32(a); }
AITERI_FORCE_INLINE float32x4_t AITERI_K(iota)(void) { return AITERI_K(to_f)(AITERI_K(iota_i)()); }

AITERI_FORCE_INLINE float32x4_t AITERI_K(load)(const float *p) { return vld1q_f32(p); }
AITERI_FORCE_INLINE void AITERI_K(store)(float *p, float32x4_t x) { vst1q_f32(p, x); }
AITERI_FORCE_INLINE float32x4_t AITERI_K(load_n)(const float *p, int n)
{
    float tail[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    memcpy(tail, p, (size_t)n * sizeof *p);
    return vld1q_f32(tail);
}
AITERI_FORCE_INLINE void AITERI_K(store_n)(float *p, float32x4_t x, int n)
{
    float tail[4];
    vst1q_f32(tail, x);
    memcpy(p, tail, (size_t)n * sizeof *p);
}

AITERI_FORCE_INLINE float32x4_t AITERI_K(fma)(float32x4_t a, float32x4_t b, float32x4_t c)
{
#if AITERI_HAS_BUILTIN(__builtin_elementwise_fma)
    return __builtin_elementwise_fma(a, b, c);
#else
    return vfmaq_f32(c, a, b);
#endif
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(add)(float32x4_t a, float32x4_t b)
{
    return AITERI_VECTOR_OP(vaddq_f32, a, +, b);
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(sub)(float32x4_t a, float32x4_t b)
{
    return AITERI_VECTOR_OP(vsubq_f32, a, -, b);
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(mul)(float32x4_t a, float32x4_t b)
{
    float32x4_t product = AITERI_VECTOR_OP(vmulq_f32, a, *, b);
    AITERI_FENCE_PRODUCT(product);
    return product;
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(div)(float32x4_t a, float32x4_t b)
{
    return AITERI_VECTOR_OP(vdivq_f32, a, /, b);
}
/* Not FMAX, which prefers NaN to the second operand. */
AITERI_FORCE_INLINE float32x4_t AITERI_K(max)(float32x4_t a, float32x4_t b)
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(min)(float32x4_t a, float32x4_t b)
{
    return vbslq_f32(vcltq_f32(a, b), a, b);
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(abs)(float32x4_t a) { return vabsq_f32(a); }
AITERI_FORCE_INLINE float32x4_t AITERI_K(copysign)(float32x4_t a, float32x4_t b)
{
    return vbslq_f32(vdupq_n_u32(0x80000000u), b, a);
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(round)(float32x4_t a) { return vrndnq_f32(a); }
AITERI_FORCE_INLINE float32x4_t AITERI_K(scale2)(float32x4_t a, float32x4_t n)
{
    const int32x4_t e = vshlq_n_s32(vcvtnq_s32_f32(n), 23);
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(a), e));
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(ldexp)(float32x4_t a, float32x4_t n)
{
    const int32x4_t one = vdupq_n_s32(0x3f800000);
    const int32x4_t i = vcvtnq_s32_f32(n), half = vshrq_n_s32(i, 1), rest = vsubq_s32(i, half);
    a = AITERI_K(mul)(a, vreinterpretq_f32_s32(vaddq_s32(one, vshlq_n_s32(half, 23))));
    return AITERI_K(mul)(a, vreinterpretq_f32_s32(vaddq_s32(one, vshlq_n_s32(rest, 23))));
}

AITERI_FORCE_INLINE uint32x4_t AITERI_K(lt)(float32x4_t a, float32x4_t b)
{
    return vcltq_f32(a, b);
}
AITERI_FORCE_INLINE uint32x4_t AITERI_K(gt)(float32x4_t a, float32x4_t b)
{
    return vcgtq_f32(a, b);
}
AITERI_FORCE_INLINE uint32x4_t AITERI_K(nlt)(float32x4_t a, float32x4_t b)
{
    return vmvnq_u32(vcltq_f32(a, b));
}
AITERI_FORCE_INLINE uint32x4_t AITERI_K(and_m)(uint32x4_t a, uint32x4_t b)
{
    return vandq_u32(a, b);
}
AITERI_FORCE_INLINE uint32x4_t AITERI_K(or_m)(uint32x4_t a, uint32x4_t b)
{
    return vorrq_u32(a, b);
}
AITERI_FORCE_INLINE uint32x4_t AITERI_K(not_m)(uint32x4_t a) { return vmvnq_u32(a); }
AITERI_FORCE_INLINE int AITERI_K(any)(uint32x4_t m) { return vmaxvq_u32(m) != 0; }
AITERI_FORCE_INLINE int AITERI_K(all)(uint32x4_t m) { return vminvq_u32(m) != 0; }
AITERI_FORCE_INLINE float32x4_t AITERI_K(select)(uint32x4_t m, float32x4_t a, float32x4_t b)
{
    return vbslq_f32(m, a, b);
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(keep)(uint32x4_t m, float32x4_t a)
{
    return vreinterpretq_f32_u32(vandq_u32(m, vreinterpretq_u32_f32(a)));
}

/* Pairs 0+1 and 2+3, then their sum. */
AITERI_FORCE_INLINE float32x4_t AITERI_K(add_pairs)(float32x4_t a, float32x4_t b)
{
    return AITERI_K(add)(vuzp1q_f32(a, b), vuzp2q_f32(a, b));
}
AITERI_FORCE_INLINE void AITERI_K(hsum4)(float32x4_t a, float32x4_t b, float32x4_t c, float32x4_t d,
                                         float *out)
{
    vst1q_f32(out, AITERI_K(add_pairs)(AITERI_K(add_pairs)(a, b), AITERI_K(add_pairs)(c, d)));
}
AITERI_FORCE_INLINE void AITERI_K(hsum16)(const float32x4_t *v, float *out)
{
    AITERI_UNROLL(4)
    for (int i = 0; i < 16; i += 4) AITERI_K(hsum4)(v[i], v[i + 1], v[i + 2], v[i + 3], out + i);
}
AITERI_FORCE_INLINE float AITERI_K(hsum)(float32x4_t a)
{
    const float32x4_t pairs = AITERI_K(add_pairs)(a, a);
    return vgetq_lane_f32(AITERI_K(add_pairs)(pairs, pairs), 0);
}
AITERI_FORCE_INLINE float AITERI_K(hmax)(float32x4_t a)
{
    const float32x4_t x = AITERI_K(max)(a, vextq_f32(a, a, 2));
    return vgetq_lane_f32(AITERI_K(max)(x, vextq_f32(x, x, 1)), 0);
}

AITERI_COLD void AITERI_K(transpose)(const float *src, int64_t ld_src, float *dst, int64_t ld_dst)
{
    const float32x4_t a = vld1q_f32(src), b = vld1q_f32(src + ld_src);
    const float32x4_t c = vld1q_f32(src + 2 * ld_src), d = vld1q_f32(src + 3 * ld_src);
    const float32x4_t ac0 = vzip1q_f32(a, c), ac2 = vzip2q_f32(a, c);
    const float32x4_t bd0 = vzip1q_f32(b, d), bd2 = vzip2q_f32(b, d);
    vst1q_f32(dst, vzip1q_f32(ac0, bd0));
    vst1q_f32(dst + ld_dst, vzip2q_f32(ac0, bd0));
    vst1q_f32(dst + 2 * ld_dst, vzip1q_f32(ac2, bd2));
    vst1q_f32(dst + 3 * ld_dst, vzip2q_f32(ac2, bd2));
}

AITERI_FORCE_INLINE uint16x4_t AITERI_K(load_x16_n)(const uint16_t *p, int n)
{
    uint16_t tail[4] = {0, 0, 0, 0};
    memcpy(tail, p, (size_t)n * sizeof *p);
    return vld1_u16(tail);
}
/* Four bytes in the low half of a register. */
AITERI_FORCE_INLINE uint8x8_t AITERI_K(load_x8_n)(const void *p, int n)
{
    uint32_t four = 0;
    memcpy(&four, p, (size_t)n);
    return vreinterpret_u8_u32(vdup_n_u32(four));
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(expand_f16)(uint16x4_t x)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(x));
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(expand_bf16)(uint16x4_t x)
{
    return vreinterpretq_f32_u32(vshll_n_u16(x, 16));
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(load_f16)(const uint16_t *p)
{
    return AITERI_K(expand_f16)(vld1_u16(p));
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(load_f16_n)(const uint16_t *p, int n)
{
    return AITERI_K(expand_f16)(AITERI_K(load_x16_n)(p, n));
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(load_bf16)(const uint16_t *p)
{
    return AITERI_K(expand_bf16)(vld1_u16(p));
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(load_bf16_n)(const uint16_t *p, int n)
{
    return AITERI_K(expand_bf16)(AITERI_K(load_x16_n)(p, n));
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(load_i8_n)(const int8_t *p, int n)
{
    const int16x8_t x = vmovl_s8(vreinterpret_s8_u8(AITERI_K(load_x8_n)(p, n)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(x)));
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(load_i8)(const int8_t *p)
{
    return AITERI_K(load_i8_n)(p, 4);
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(load_e5m2_raw)(const uint8_t *p)
{
    return AITERI_K(expand_f16)(vget_low_u16(vshll_n_u8(AITERI_K(load_x8_n)(p, 4), 8)));
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(load_e4m3_raw)(const uint8_t *p)
{
    const int16x8_t x = vshll_n_s8(vreinterpret_s8_u8(AITERI_K(load_x8_n)(p, 4)), 7);
    return AITERI_K(expand_f16)(
        vand_u16(vget_low_u16(vreinterpretq_u16_s16(x)), vdup_n_u16(0xbf80)));
}

AITERI_FORCE_INLINE uint16x4_t AITERI_K(pack_f16)(float32x4_t x)
{
    return vreinterpret_u16_f16(vcvt_f16_f32(x));
}
AITERI_FORCE_INLINE void AITERI_K(store_part)(uint16_t *p, uint16x4_t x, int n)
{
    uint16_t tail[4];
    vst1_u16(tail, x);
    memcpy(p, tail, (size_t)n * sizeof *p);
}
AITERI_FORCE_INLINE uint16x4_t AITERI_K(pack_x16)(int32x4_t x)
{
    return vmovn_u32(vreinterpretq_u32_s32(x));
}
AITERI_FORCE_INLINE void AITERI_K(store_x16)(uint16_t *p, int32x4_t x)
{
    vst1_u16(p, AITERI_K(pack_x16)(x));
}
AITERI_FORCE_INLINE void AITERI_K(store_x16_n)(uint16_t *p, int32x4_t x, int n)
{
    AITERI_K(store_part)(p, AITERI_K(pack_x16)(x), n);
}
AITERI_FORCE_INLINE void AITERI_K(store_x8)(uint8_t *p, int32x4_t x)
{
    const uint16x4_t y = AITERI_K(pack_x16)(x);
    const uint32_t four = vget_lane_u32(vreinterpret_u32_u8(vmovn_u16(vcombine_u16(y, y))), 0);
    memcpy(p, &four, sizeof four);
}
AITERI_FORCE_INLINE void AITERI_K(store_f16)(uint16_t *p, float32x4_t x)
{
    vst1_u16(p, AITERI_K(pack_f16)(x));
}
AITERI_FORCE_INLINE void AITERI_K(store_f16_n)(uint16_t *p, float32x4_t x, int n)
{
    AITERI_K(store_part)(p, AITERI_K(pack_f16)(x), n);
}

/* Bytes. */
typedef uint8x16_t AITERI_K(vb);
AITERI_FORCE_INLINE uint8x16_t AITERI_K(load_16s)(const char *p, int64_t step)
{
    (void)step;
    return vld1q_u8((const uint8_t *)p);
}
AITERI_FORCE_INLINE void AITERI_K(store_16s)(char *p, uint8x16_t x) { vst1q_u8((uint8_t *)p, x); }
AITERI_FORCE_INLINE uint8x16_t AITERI_K(zip_low)(uint8x16_t a, uint8x16_t b, const int size)
{
    const uint16x8_t a2 = vreinterpretq_u16_u8(a), b2 = vreinterpretq_u16_u8(b);
    const uint32x4_t a4 = vreinterpretq_u32_u8(a), b4 = vreinterpretq_u32_u8(b);
    return size == 1   ? vzip1q_u8(a, b)
           : size == 2 ? vreinterpretq_u8_u16(vzip1q_u16(a2, b2))
                       : vreinterpretq_u8_u32(vzip1q_u32(a4, b4));
}
AITERI_FORCE_INLINE uint8x16_t AITERI_K(zip_high)(uint8x16_t a, uint8x16_t b, const int size)
{
    const uint16x8_t a2 = vreinterpretq_u16_u8(a), b2 = vreinterpretq_u16_u8(b);
    const uint32x4_t a4 = vreinterpretq_u32_u8(a), b4 = vreinterpretq_u32_u8(b);
    return size == 1   ? vzip2q_u8(a, b)
           : size == 2 ? vreinterpretq_u8_u16(vzip2q_u16(a2, b2))
                       : vreinterpretq_u8_u32(vzip2q_u32(a4, b4));
}

/* As in simd_avx2.h. */
#define AITERI_F8_CODES 16
AITERI_FORCE_INLINE void AITERI_K(f16_of_f8)(void *dst, const uint8_t *src, const aiter_dtype type)
{
    static const uint8_t below[16] = {0, 8, 5, 3, 2, 1, 1, 0};
    const int fn = type == AITER_F8_E4M3FN;
    const uint8x16_t bias = vdupq_n_u8(fn ? 0x20 : 0x1c);
    const uint8x16_t table = vsetq_lane_u8(fn ? 0x20 : 0x1c, vld1q_u8(below), 0);
    const uint8x16_t x = vld1q_u8(src), sign = vdupq_n_u8(0x80), rest = vdupq_n_u8(0x7f);
    const uint8x16_t a = vandq_u8(x, rest);
    const uint8x16_t nan = fn ? vceqq_u8(a, rest) : vceqq_u8(x, sign);
    const uint8x16_t value = vsubq_u8(vaddq_u8(vshrq_n_u8(a, 1), bias), vqtbl1q_u8(table, a));
    uint8x16_t high = vorrq_u8(vorrq_u8(value, vandq_u8(x, sign)), nan);
    uint8x16_t low = vandq_u8(vshlq_n_u8(a, 7), vcgtq_u8(a, vdupq_n_u8(7)));
    if (type == AITER_F8_E5M2) high = x, low = vdupq_n_u8(0);
    vst1q_u8((uint8_t *)dst, vzip1q_u8(low, high));
    vst1q_u8((uint8_t *)dst + 16, vzip2q_u8(low, high));
}

#define AITERI_SPREAD 16
AITERI_FORCE_INLINE void AITERI_K(spread)(int8_t *dst, const uint8_t *src)
{
    const int8x16_t x = vreinterpretq_s8_u8(vld1q_u8(src));
    const int8x16_t low = vshrq_n_s8(vshlq_n_s8(x, 4), 4), high = vshrq_n_s8(x, 4);
    vst1q_s8(dst, vzip1q_s8(low, high));
    vst1q_s8(dst + 16, vzip2q_s8(low, high));
}
