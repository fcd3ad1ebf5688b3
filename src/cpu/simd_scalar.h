/* simd_scalar.h -- the vector layer on any CPU: one lane. The reference for the other layers.
 *
 * Each simd_<isa>.h is included inside its target region, with AITERI_K(name) spelling the
 * ISA's own name, and defines AITERI_LANES and the types vf (float lanes), vi (int32 lanes) and
 * vm (one truth value a lane). Pointers need no alignment. A name ending in _n takes only the first
 * n <= AITERI_LANES lanes: the others read as zero and their memory is never touched. */
typedef float AITERI_K(vf);
typedef int32_t AITERI_K(vi);
typedef int AITERI_K(vm);
#define AITERI_LANES 1

AITERI_FORCE_INLINE float AITERI_K(zero)(void) { return 0.0f; }
AITERI_FORCE_INLINE float AITERI_K(set1)(float x) { return x; }
AITERI_FORCE_INLINE float AITERI_K(iota)(void) { return 0.0f; } /* 0, 1, 2, ... */

/* Integers wrap; shifts are logical, by 0 to 31. to_i rounds to nearest even, and what does not fit
 * (NaN too) has no promised value; as_i and as_f keep the bits. */
AITERI_FORCE_INLINE int32_t AITERI_K(set1_i)(int32_t x) { return x; }
AITERI_FORCE_INLINE int32_t AITERI_K(iota_i)(void) { return 0; }
AITERI_FORCE_INLINE int32_t AITERI_K(add_i)(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a + (uint32_t)b);
}
AITERI_FORCE_INLINE int32_t AITERI_K(sub_i)(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a - (uint32_t)b);
}
AITERI_FORCE_INLINE int32_t AITERI_K(and_i)(int32_t a, int32_t b) { return a & b; }
AITERI_FORCE_INLINE int32_t AITERI_K(or_i)(int32_t a, int32_t b) { return a | b; }
AITERI_FORCE_INLINE int32_t AITERI_K(shl_i)(int32_t a, int n)
{
    return (int32_t)((uint32_t)a << n);
}
AITERI_FORCE_INLINE int32_t AITERI_K(shr_i)(int32_t a, int n)
{
    return (int32_t)((uint32_t)a >> n);
}
AITERI_FORCE_INLINE int AITERI_K(lt_i)(int32_t a, int32_t b) { return a < b; }
AITERI_FORCE_INLINE int AITERI_K(eq_i)(int32_t a, int32_t b) { return a == b; }
AITERI_FORCE_INLINE int32_t AITERI_K(select_i)(int m, int32_t a, int32_t b) { return m ? a : b; }
AITERI_FORCE_INLINE float AITERI_K(to_f)(int32_t a) { return (float)a; }
AITERI_FORCE_INLINE int32_t AITERI_K(as_i)(float a) { return (int32_t)aiteri_bits_of_f32(a); }
AITERI_FORCE_INLINE float AITERI_K(as_f)(int32_t a) { return aiteri_f32_of_bits((uint32_t)a); }

AITERI_FORCE_INLINE float AITERI_K(load)(const float *p) { return p[0]; }
AITERI_FORCE_INLINE void AITERI_K(store)(float *p, float x) { p[0] = x; }
AITERI_FORCE_INLINE float AITERI_K(load_n)(const float *p, int n)
{
    return aiteri_f32_of_bits(n > 0 ? aiteri_bits_of_f32(p[0]) : 0);
}
AITERI_FORCE_INLINE void AITERI_K(store_n)(float *p, float x, int n)
{
    if (n > 0) p[0] = x;
}

/* a*b + c, rounded once where the CPU does it at full speed. */
AITERI_FORCE_INLINE float AITERI_K(fma)(float a, float b, float c)
{
#if defined(__FMA__) || defined(FP_FAST_FMAF) || defined(__aarch64__)
    return fmaf(a, b, c);
#else
    return a * b + c;
#endif
}
AITERI_FORCE_INLINE float AITERI_K(add)(float a, float b) { return a + b; }
AITERI_FORCE_INLINE float AITERI_K(sub)(float a, float b) { return a - b; }
AITERI_FORCE_INLINE float AITERI_K(mul)(float a, float b) { return a * b; }
AITERI_FORCE_INLINE float AITERI_K(div)(float a, float b) { return a / b; }
/* The second operand if either is NaN or both are zero, on every ISA. */
AITERI_FORCE_INLINE float AITERI_K(max)(float a, float b) { return aiteri_select_f32(a > b, a, b); }
AITERI_FORCE_INLINE float AITERI_K(min)(float a, float b) { return aiteri_select_f32(a < b, a, b); }
AITERI_FORCE_INLINE float AITERI_K(copysign)(float a, float b)
{
    return aiteri_f32_of_bits((aiteri_bits_of_f32(a) & 0x7fffffffu) |
                              (aiteri_bits_of_f32(b) & 0x80000000u));
}
AITERI_FORCE_INLINE float AITERI_K(abs)(float a)
{
    return aiteri_f32_of_bits(aiteri_bits_of_f32(a) & 0x7fffffffu);
}
/* To nearest, ties to even, the sign kept: adding 2^23 leaves no bits below one. */
AITERI_FORCE_INLINE float AITERI_K(round)(float a)
{
    const float x = AITERI_K(abs)(a);
    return aiteri_select_f32(x < 8388608.0f, AITERI_K(copysign)((x + 8388608.0f) - 8388608.0f, a),
                             a);
}
AITERI_FORCE_INLINE int32_t AITERI_K(to_i)(float a)
{
    return AITERI_K(abs)(a) < 2147483648.0f ? (int32_t)AITERI_K(round)(a) : INT32_MIN;
}
/* a * 2^n for an integral n where both are normal: on the exponent alone. */
AITERI_FORCE_INLINE float AITERI_K(scale2)(float a, float n)
{
    return AITERI_K(as_f)(
        AITERI_K(add_i)(AITERI_K(as_i)(a), AITERI_K(shl_i)(AITERI_K(to_i)(n), 23)));
}
/* a * 2^n for any a and an integral n in [-150, 130]; underflows and overflows as a product. */
AITERI_FORCE_INLINE float AITERI_K(ldexp)(float a, float n)
{
    const int32_t i = (int32_t)n, half = (i - (i & 1)) / 2;
    a *= aiteri_f32_of_bits((uint32_t)(half + 127) << 23);
    return a * aiteri_f32_of_bits((uint32_t)(i - half + 127) << 23);
}

/* lt and gt are false for NaN, nlt ("not less") is true for it. */
AITERI_FORCE_INLINE int AITERI_K(lt)(float a, float b) { return a < b; }
AITERI_FORCE_INLINE int AITERI_K(gt)(float a, float b) { return a > b; }
AITERI_FORCE_INLINE int AITERI_K(nlt)(float a, float b) { return !(a < b); }
AITERI_FORCE_INLINE int AITERI_K(and_m)(int a, int b) { return a & b; }
AITERI_FORCE_INLINE int AITERI_K(or_m)(int a, int b) { return a | b; }
AITERI_FORCE_INLINE int AITERI_K(not_m)(int a) { return !a; }
AITERI_FORCE_INLINE int AITERI_K(any)(int m) { return m; }
AITERI_FORCE_INLINE int AITERI_K(all)(int m) { return m; }
AITERI_FORCE_INLINE float AITERI_K(select)(int m, float a, float b)
{
    return aiteri_select_f32(m, a, b);
}
AITERI_FORCE_INLINE float AITERI_K(keep)(int m, float a)
{
    return aiteri_select_f32(m, a, 0.0f);
} /* or +0 */

/* Horizontal sums in one order per ISA: hsum4 and hsum16 give hsum's bits for each vector. */
AITERI_FORCE_INLINE float AITERI_K(hsum)(float a) { return a; }
AITERI_FORCE_INLINE float AITERI_K(hmax)(float a) { return a; }
AITERI_FORCE_INLINE void AITERI_K(hsum4)(float a, float b, float c, float d, float *out)
{
    out[0] = a;
    out[1] = b;
    out[2] = c;
    out[3] = d;
}
AITERI_FORCE_INLINE void AITERI_K(hsum16)(const float *v, float *out)
{
    memcpy(out, v, 16 * sizeof *v);
}

/* A block of AITERI_LANES x AITERI_LANES floats, rows ld apart; src and dst do not overlap. */
AITERI_FORCE_INLINE void AITERI_K(transpose)(const float *src, int64_t ld_src, float *dst,
                                             int64_t ld_dst)
{
    (void)ld_src;
    (void)ld_dst;
    dst[0] = src[0];
}

/* Converting loads and stores are exact, the stores to nearest even; the flush-to-zero flags of the
 * caller change nothing. */
AITERI_FORCE_INLINE float AITERI_K(load_f16)(const uint16_t *p)
{
    return aiteri_f32_from_f16(p[0]);
}
AITERI_FORCE_INLINE float AITERI_K(load_f16_n)(const uint16_t *p, int n)
{
    return aiteri_f32_from_f16(n > 0 ? p[0] : (uint16_t)0);
}
AITERI_FORCE_INLINE float AITERI_K(load_bf16)(const uint16_t *p)
{
    return aiteri_f32_from_bf16(p[0]);
}
AITERI_FORCE_INLINE float AITERI_K(load_bf16_n)(const uint16_t *p, int n)
{
    return aiteri_f32_from_bf16(n > 0 ? p[0] : (uint16_t)0);
}
AITERI_FORCE_INLINE float AITERI_K(load_i8)(const int8_t *p) { return (float)p[0]; }
AITERI_FORCE_INLINE float AITERI_K(load_i8_n)(const int8_t *p, int n)
{
    return (float)(n > 0 ? p[0] : 0);
}
/* fp8 codes read as the f16 with the same exponent and mantissa fields: e4m3 comes out 2^-8 (fn) or
 * 2^-7 (fnuz) times its value, its NaN codes as numbers. */
AITERI_FORCE_INLINE float AITERI_K(load_e5m2_raw)(const uint8_t *p)
{
    return aiteri_f32_from_f16((uint16_t)(p[0] << 8));
}
AITERI_FORCE_INLINE float AITERI_K(load_e4m3_raw)(const uint8_t *p)
{
    return aiteri_f32_from_f16((uint16_t)(((p[0] & 0x80) << 8) | ((p[0] & 0x7f) << 7)));
}
AITERI_FORCE_INLINE void AITERI_K(store_f16)(uint16_t *p, float x)
{
    p[0] = aiteri_f16_from_f32(x);
}
AITERI_FORCE_INLINE void AITERI_K(store_f16_n)(uint16_t *p, float x, int n)
{
    if (n > 0) p[0] = aiteri_f16_from_f32(x);
}
/* The low 16 or 8 bits of each lane; the bits above must be zero. */
AITERI_FORCE_INLINE void AITERI_K(store_x16)(uint16_t *p, int32_t x) { p[0] = (uint16_t)x; }
AITERI_FORCE_INLINE void AITERI_K(store_x16_n)(uint16_t *p, int32_t x, int n)
{
    if (n > 0) p[0] = (uint16_t)x;
}
AITERI_FORCE_INLINE void AITERI_K(store_x8)(uint8_t *p, int32_t x) { p[0] = (uint8_t)x; }
