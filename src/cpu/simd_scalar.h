/* simd_scalar.h -- the vector layer on any CPU: one lane. The reference for the other layers.
 *
 * Each simd_<isa>.h is included inside its target region, with AITERI_K(name) spelling the
 * ISA's own name, and defines AITERI_LANES and the types vf (float lanes), vi (int32 lanes) and
 * vm (one truth value a lane). Pointers need no alignment. A name ending in _n takes only the first
 * n <= AITERI_LANES lanes: the others read as zero and their memory is never touched. */
#if AITERI_EXCESS_PRECISION
/* A lane is kept as its bits: every result is rounded, and loads and stores touch no NaN. */
typedef struct AITERI_K(vf) {
    uint32_t bits;
} AITERI_K(vf);
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(set1)(float x)
{
    AITERI_K(vf) a;
    a.bits = aiteri_bits_of_f32(x);
    return a;
}
AITERI_FORCE_INLINE float AITERI_K(number)(AITERI_K(vf) a) { return aiteri_f32_of_bits(a.bits); }
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(select)(int m, AITERI_K(vf) a, AITERI_K(vf) b)
{
    return m ? a : b;
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load)(const float *p)
{
    AITERI_K(vf) a;
    memcpy(&a.bits, p, sizeof a.bits);
    return a;
}
AITERI_FORCE_INLINE void AITERI_K(store)(float *p, AITERI_K(vf) x)
{
    memcpy(p, &x.bits, sizeof x.bits);
}
#else
typedef float AITERI_K(vf);
AITERI_FORCE_INLINE float AITERI_K(set1)(float x) { return x; }
AITERI_FORCE_INLINE float AITERI_K(number)(float a) { return a; }
AITERI_FORCE_INLINE float AITERI_K(select)(int m, float a, float b)
{
    return aiteri_select_f32(m, a, b);
}
AITERI_FORCE_INLINE float AITERI_K(load)(const float *p) { return p[0]; }
AITERI_FORCE_INLINE void AITERI_K(store)(float *p, float x) { p[0] = x; }
#endif
typedef int32_t AITERI_K(vi);
typedef int AITERI_K(vm);
#define AITERI_LANES   1
#define AITERI_SQUARES 0

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(zero)(void) { return AITERI_K(set1)(0.0f); }
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(iota)(void)
{
    return AITERI_K(zero)();
} /* 0, 1, 2, ... */

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
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(to_f)(int32_t a) { return AITERI_K(set1)((float)a); }
AITERI_FORCE_INLINE int32_t AITERI_K(as_i)(AITERI_K(vf) a)
{
    int32_t i;
    memcpy(&i, &a, sizeof i);
    return i;
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(as_f)(int32_t a)
{
#if AITERI_EXCESS_PRECISION
    AITERI_K(vf) x;
    x.bits = (uint32_t)a;
    return x;
#else
    return aiteri_f32_of_bits((uint32_t)a);
#endif
}

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_n)(const float *p, int n)
{
    int32_t i = 0;
    if (n > 0) memcpy(&i, p, sizeof i);
    return AITERI_K(as_f)(i);
}
AITERI_FORCE_INLINE void AITERI_K(store_n)(float *p, AITERI_K(vf) x, int n)
{
    if (n > 0) AITERI_K(store)(p, x);
}

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(add)(AITERI_K(vf) a, AITERI_K(vf) b)
{
    return AITERI_K(set1)(AITERI_K(number)(a) + AITERI_K(number)(b));
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(sub)(AITERI_K(vf) a, AITERI_K(vf) b)
{
    return AITERI_K(set1)(AITERI_K(number)(a) - AITERI_K(number)(b));
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(mul)(AITERI_K(vf) a, AITERI_K(vf) b)
{
    float product = AITERI_K(number)(a) * AITERI_K(number)(b);
    AITERI_FENCE_PRODUCT(product);
    return AITERI_K(set1)(product);
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(div)(AITERI_K(vf) a, AITERI_K(vf) b)
{
    return AITERI_K(set1)(AITERI_K(number)(a) / AITERI_K(number)(b));
}
/* a*b + c, rounded once where the CPU does it at full speed. */
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(fma)(AITERI_K(vf) a, AITERI_K(vf) b, AITERI_K(vf) c)
{
#if defined(__FMA__) || defined(FP_FAST_FMAF) || defined(__aarch64__)
    return AITERI_K(set1)(fmaf(AITERI_K(number)(a), AITERI_K(number)(b), AITERI_K(number)(c)));
#else
    return AITERI_K(add)(AITERI_K(mul)(a, b), c);
#endif
}
/* lt and gt are false for NaN, nlt ("not less") is true for it. */
AITERI_FORCE_INLINE int AITERI_K(lt)(AITERI_K(vf) a, AITERI_K(vf) b)
{
    return AITERI_K(number)(a) < AITERI_K(number)(b);
}
AITERI_FORCE_INLINE int AITERI_K(gt)(AITERI_K(vf) a, AITERI_K(vf) b)
{
    return AITERI_K(number)(a) > AITERI_K(number)(b);
}
AITERI_FORCE_INLINE int AITERI_K(nlt)(AITERI_K(vf) a, AITERI_K(vf) b)
{
    return !AITERI_K(lt)(a, b);
}
/* The second operand if either is NaN or both are zero, on every ISA. */
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(max)(AITERI_K(vf) a, AITERI_K(vf) b)
{
    return AITERI_K(select)(AITERI_K(gt)(a, b), a, b);
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(min)(AITERI_K(vf) a, AITERI_K(vf) b)
{
    return AITERI_K(select)(AITERI_K(lt)(a, b), a, b);
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(copysign)(AITERI_K(vf) a, AITERI_K(vf) b)
{
    return AITERI_K(as_f)((AITERI_K(as_i)(a) & 0x7fffffff) | (AITERI_K(as_i)(b) & INT32_MIN));
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(abs)(AITERI_K(vf) a)
{
    return AITERI_K(as_f)(AITERI_K(as_i)(a) & 0x7fffffff);
}
/* To nearest, ties to even, the sign kept: adding 2^23 leaves no bits below one. */
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(round)(AITERI_K(vf) a)
{
    const AITERI_K(vf) x = AITERI_K(abs)(a), big = AITERI_K(set1)(8388608.0f);
    const AITERI_K(vf) whole = AITERI_K(sub)(AITERI_K(add)(x, big), big);
    return AITERI_K(select)(AITERI_K(lt)(x, big), AITERI_K(copysign)(whole, a), a);
}
AITERI_FORCE_INLINE int32_t AITERI_K(to_i)(AITERI_K(vf) a)
{
    return AITERI_K(lt)(AITERI_K(abs)(a), AITERI_K(set1)(2147483648.0f))
               ? (int32_t)AITERI_K(number)(AITERI_K(round)(a))
               : INT32_MIN;
}
/* a * 2^n for an integral n where both are normal: on the exponent alone. */
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(scale2)(AITERI_K(vf) a, AITERI_K(vf) n)
{
    return AITERI_K(as_f)(
        AITERI_K(add_i)(AITERI_K(as_i)(a), AITERI_K(shl_i)(AITERI_K(to_i)(n), 23)));
}
/* a * 2^n for any a and an integral n in [-150, 130]; underflows and overflows as a product. */
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(ldexp)(AITERI_K(vf) a, AITERI_K(vf) n)
{
    const int32_t i = (int32_t)AITERI_K(number)(n), half = (i - (i & 1)) / 2;
    a = AITERI_K(mul)(a, AITERI_K(as_f)((half + 127) << 23));
    return AITERI_K(mul)(a, AITERI_K(as_f)((i - half + 127) << 23));
}

AITERI_FORCE_INLINE int AITERI_K(and_m)(int a, int b) { return a & b; }
AITERI_FORCE_INLINE int AITERI_K(or_m)(int a, int b) { return a | b; }
AITERI_FORCE_INLINE int AITERI_K(not_m)(int a) { return !a; }
AITERI_FORCE_INLINE int AITERI_K(any)(int m) { return m; }
AITERI_FORCE_INLINE int AITERI_K(all)(int m) { return m; }
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(keep)(int m, AITERI_K(vf) a)
{
    return AITERI_K(select)(m, a, AITERI_K(zero)());
} /* or +0 */

/* Horizontal sums in one order per ISA: hsum4 and hsum16 give hsum's bits for each vector. */
AITERI_FORCE_INLINE float AITERI_K(hsum)(AITERI_K(vf) a) { return AITERI_K(number)(a); }
AITERI_FORCE_INLINE float AITERI_K(hmax)(AITERI_K(vf) a) { return AITERI_K(number)(a); }
AITERI_FORCE_INLINE void AITERI_K(hsum4)(AITERI_K(vf) a, AITERI_K(vf) b, AITERI_K(vf) c,
                                         AITERI_K(vf) d, float *out)
{
    AITERI_K(store)(out, a);
    AITERI_K(store)(out + 1, b);
    AITERI_K(store)(out + 2, c);
    AITERI_K(store)(out + 3, d);
}
AITERI_FORCE_INLINE void AITERI_K(hsum16)(const AITERI_K(vf) * v, float *out)
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
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_f16)(const uint16_t *p)
{
    return AITERI_K(as_f)((int32_t)aiteri_bits_from_f16(p[0]));
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_f16_n)(const uint16_t *p, int n)
{
    return AITERI_K(as_f)((int32_t)aiteri_bits_from_f16(n > 0 ? p[0] : (uint16_t)0));
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_bf16)(const uint16_t *p)
{
    return AITERI_K(as_f)((int32_t)aiteri_bits_from_bf16(p[0]));
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_bf16_n)(const uint16_t *p, int n)
{
    return AITERI_K(as_f)((int32_t)aiteri_bits_from_bf16(n > 0 ? p[0] : (uint16_t)0));
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_i8)(const int8_t *p)
{
    return AITERI_K(set1)((float)p[0]);
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_i8_n)(const int8_t *p, int n)
{
    return AITERI_K(set1)((float)(n > 0 ? p[0] : 0));
}
/* fp8 codes read as the f16 with the same exponent and mantissa fields: e4m3 comes out 2^-8 (fn) or
 * 2^-7 (fnuz) times its value, its NaN codes as numbers. */
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_e5m2_raw)(const uint8_t *p)
{
    return AITERI_K(as_f)((int32_t)aiteri_bits_from_f16((uint16_t)(p[0] << 8)));
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_e4m3_raw)(const uint8_t *p)
{
    return AITERI_K(as_f)(
        (int32_t)aiteri_bits_from_f16((uint16_t)(((p[0] & 0x80) << 8) | ((p[0] & 0x7f) << 7))));
}
AITERI_FORCE_INLINE void AITERI_K(store_f16)(uint16_t *p, AITERI_K(vf) x)
{
    p[0] = aiteri_f16_from_bits((uint32_t)AITERI_K(as_i)(x));
}
AITERI_FORCE_INLINE void AITERI_K(store_f16_n)(uint16_t *p, AITERI_K(vf) x, int n)
{
    if (n > 0) p[0] = aiteri_f16_from_bits((uint32_t)AITERI_K(as_i)(x));
}
/* The low 16 or 8 bits of each lane; the bits above must be zero. */
AITERI_FORCE_INLINE void AITERI_K(store_x16)(uint16_t *p, int32_t x) { p[0] = (uint16_t)x; }
AITERI_FORCE_INLINE void AITERI_K(store_x16_n)(uint16_t *p, int32_t x, int n)
{
    if (n > 0) p[0] = (uint16_t)x;
}
AITERI_FORCE_INLINE void AITERI_K(store_x8)(uint8_t *p, int32_t x) { p[0] = (uint8_t)x; }

/* Codes of four bits, signed and low halves first, of AITERI_SPREAD bytes to a byte each. */
#define AITERI_SPREAD 1
AITERI_FORCE_INLINE void AITERI_K(spread)(int8_t *dst, const uint8_t *src)
{
    dst[0] = (int8_t)(((src[0] & 15) ^ 8) - 8);
    dst[1] = (int8_t)((src[0] >> 4 ^ 8) - 8);
}
