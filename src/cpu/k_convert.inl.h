/* k_convert.inl.h -- rows of any storage type to f32 and back, the same bits as dtype.c, written
 * once over the vector layer. n counts elements; an I4 or F4 row starts at a whole byte. */

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_f8_e4m3fn)(const uint8_t *p)
{
    const AITERI_K(vf) raw = AITERI_K(load_e4m3_raw)(p);
    const AITERI_K(vi) u = AITERI_K(as_i)(AITERI_K(mul)(raw, AITERI_K(set1)(256.0f)));
    const AITERI_K(vm) nan = AITERI_K(gt)(AITERI_K(abs)(raw), AITERI_K(set1)(1.75f));
    const AITERI_K(vi) all_ones = AITERI_K(or_i)(u, AITERI_K(set1_i)(0x7ff00000));
    return AITERI_K(as_f)(AITERI_K(select_i)(nan, all_ones, u));
}

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_f8_e4m3fnuz)(const uint8_t *p)
{
    const AITERI_K(vf) raw = AITERI_K(load_e4m3_raw)(p);
    const AITERI_K(vi) u = AITERI_K(as_i)(AITERI_K(mul)(raw, AITERI_K(set1)(128.0f)));
    const AITERI_K(vm) minus_zero = AITERI_K(eq_i)(u, AITERI_K(set1_i)(INT32_MIN));
    const AITERI_K(vi) nan = AITERI_K(set1_i)(INT32_MIN | 0x7fc00000);
    return AITERI_K(as_f)(AITERI_K(select_i)(minus_zero, nan, u));
}

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_f8_e5m2)(const uint8_t *p)
{
    return AITERI_K(load_e5m2_raw)(p);
}

AITERI_FORCE_INLINE AITERI_K(vi) AITERI_K(magnitude_bits)(AITERI_K(vf) x)
{
    return AITERI_K(and_i)(AITERI_K(as_i)(x), AITERI_K(set1_i)(0x7fffffff));
}
AITERI_FORCE_INLINE AITERI_K(vm) AITERI_K(is_nan)(AITERI_K(vf) x)
{
    return AITERI_K(lt_i)(AITERI_K(set1_i)(0x7f800000), AITERI_K(magnitude_bits)(x));
}
AITERI_FORCE_INLINE AITERI_K(vi) AITERI_K(f8_sign)(AITERI_K(vf) x)
{
    return AITERI_K(and_i)(AITERI_K(shr_i)(AITERI_K(as_i)(x), 24), AITERI_K(set1_i)(0x80));
}

/* |x| as a float with so many mantissa bits and that bias, at most `max`. Subnormals come from a
 * sum with the number whose last bit is worth one step: it is normal, so flushing has no hold on
 * it. */
AITERI_FORCE_INLINE AITERI_K(vi)
    AITERI_K(f8_magnitude)(AITERI_K(vf) x, const int mantissa, const int bias, const int32_t max)
{
    const int drop = 23 - mantissa, rebias = 127 - bias;
    const int32_t half = (1 << (drop - 1)) - 1, base = rebias << mantissa;
    const AITERI_K(vi) a = AITERI_K(magnitude_bits)(x);
    const AITERI_K(vi) odd = AITERI_K(and_i)(AITERI_K(shr_i)(a, drop), AITERI_K(set1_i)(1));
    const AITERI_K(vi) up = AITERI_K(add_i)(AITERI_K(add_i)(a, AITERI_K(set1_i)(half)), odd);
    const AITERI_K(vi) normal = AITERI_K(sub_i)(AITERI_K(shr_i)(up, drop), AITERI_K(set1_i)(base));
    const AITERI_K(vi) magic = AITERI_K(set1_i)((rebias + 1 + drop) << 23);
    const AITERI_K(vf) sum = AITERI_K(add)(AITERI_K(as_f)(a), AITERI_K(as_f)(magic));
    const AITERI_K(vi) small = AITERI_K(sub_i)(AITERI_K(as_i)(sum), magic);
    const AITERI_K(vm) is_small = AITERI_K(lt_i)(a, AITERI_K(set1_i)((rebias + 1) << 23));
    const AITERI_K(vi) code = AITERI_K(select_i)(is_small, small, normal);
    const AITERI_K(vi) top = AITERI_K(set1_i)(max);
    return AITERI_K(select_i)(AITERI_K(lt_i)(top, code), top, code);
}

AITERI_FORCE_INLINE void AITERI_K(store_f8_e4m3fn)(uint8_t *p, AITERI_K(vf) x)
{
    const AITERI_K(vi) code = AITERI_K(f8_magnitude)(x, 3, 7, 0x7e);
    const AITERI_K(vi) kept = AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0x7f), code);
    AITERI_K(store_x8)(p, AITERI_K(or_i)(kept, AITERI_K(f8_sign)(x)));
}

AITERI_FORCE_INLINE void AITERI_K(store_f8_e4m3fnuz)(uint8_t *p, AITERI_K(vf) x)
{
    const AITERI_K(vi) zero = AITERI_K(set1_i)(0);
    const AITERI_K(vi) code = AITERI_K(f8_magnitude)(x, 3, 8, 0x7f);
    const AITERI_K(vi) value = AITERI_K(select_i)(AITERI_K(eq_i)(code, zero), zero,
                                                  AITERI_K(or_i)(code, AITERI_K(f8_sign)(x)));
    AITERI_K(store_x8)(p, AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0x80), value));
}

AITERI_FORCE_INLINE void AITERI_K(store_f8_e5m2)(uint8_t *p, AITERI_K(vf) x)
{
    const AITERI_K(vi) code = AITERI_K(f8_magnitude)(x, 2, 15, 0x7b);
    const AITERI_K(vi) kept = AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0x7f), code);
    AITERI_K(store_x8)(p, AITERI_K(or_i)(kept, AITERI_K(f8_sign)(x)));
}

AITERI_FORCE_INLINE void AITERI_K(store_int8)(int8_t *p, AITERI_K(vf) x, const float limit)
{
    const AITERI_K(vf) low = AITERI_K(max)(AITERI_K(set1)(-limit), x);
    const AITERI_K(vi) i = AITERI_K(to_i)(AITERI_K(min)(AITERI_K(set1)(limit), low));
    const AITERI_K(vi) kept = AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0), i);
    AITERI_K(store_x8)((uint8_t *)p, AITERI_K(and_i)(kept, AITERI_K(set1_i)(0xff)));
}
AITERI_FORCE_INLINE void AITERI_K(store_i8)(int8_t *p, AITERI_K(vf) x)
{
    AITERI_K(store_int8)(p, x, 127.0f);
}
AITERI_FORCE_INLINE void AITERI_K(store_i4_byte)(int8_t *p, AITERI_K(vf) x)
{
    AITERI_K(store_int8)(p, x, 7.0f);
}
AITERI_FORCE_INLINE void AITERI_K(store_f4_byte)(int8_t *p, AITERI_K(vf) x)
{
    const AITERI_K(vi) sign =
        AITERI_K(and_i)(AITERI_K(shr_i)(AITERI_K(as_i)(x), 28), AITERI_K(set1_i)(8));
    const AITERI_K(vi) code = AITERI_K(or_i)(AITERI_K(f8_magnitude)(x, 1, 1, 7), sign);
    AITERI_K(store_x8)((uint8_t *)p,
                       AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0), code));
}

/* The loop over a row; its last partial vector goes through a copy. */
#define AITERI_WIDEN(name, type)                                               \
    static void AITERI_K(widen_##name)(float *dst, const void *src, int64_t n) \
    {                                                                          \
        const type *p = (const type *)src;                                     \
        int64_t i = 0;                                                         \
        for (; i + AITERI_LANES <= n; i += AITERI_LANES)                       \
            AITERI_K(store)(dst + i, AITERI_K(load_##name)(p + i));            \
        if (i >= n) return;                                                    \
        type tail[AITERI_LANES] = {0};                                         \
        memcpy(tail, p + i, (size_t)(n - i) * sizeof *p);                      \
        AITERI_K(store_n)(dst + i, AITERI_K(load_##name)(tail), (int)(n - i)); \
    }

#define AITERI_NARROW(name, type)                                               \
    static void AITERI_K(narrow_##name)(void *dst, const float *src, int64_t n) \
    {                                                                           \
        type *p = (type *)dst;                                                  \
        int64_t i = 0;                                                          \
        for (; i + AITERI_LANES <= n; i += AITERI_LANES)                        \
            AITERI_K(store_##name)(p + i, AITERI_K(load)(src + i));             \
        if (i >= n) return;                                                     \
        type tail[AITERI_LANES];                                                \
        AITERI_K(store_##name)(tail, AITERI_K(load_n)(src + i, (int)(n - i)));  \
        memcpy(p + i, tail, (size_t)(n - i) * sizeof *p);                       \
    }

AITERI_WIDEN(f16, uint16_t)
AITERI_WIDEN(bf16, uint16_t)
AITERI_WIDEN(i8, int8_t)
#if AITERI_READS_CODES
/* n codes of four bits to bytes; the last ones go through copies. */
AITERI_FORCE_INLINE void AITERI_K(spread_row)(int8_t *dst, const uint8_t *p, int64_t n)
{
    int64_t i = 0;
    for (; i + 2 * AITERI_SPREAD <= n; i += 2 * AITERI_SPREAD) AITERI_K(spread)(dst + i, p + i / 2);
    if (i >= n) return;
    uint8_t tail[AITERI_SPREAD] = {0};
    int8_t code[2 * AITERI_SPREAD];
    memcpy(tail, p + i / 2, (size_t)(n - i + 1) / 2);
    AITERI_K(spread)(code, tail);
    memcpy(dst + i, code, (size_t)(n - i));
}
#endif
#if AITERI_CONVERTS /* else the set below has them */
AITERI_NARROW(f16, uint16_t)
AITERI_NARROW(bf16, uint16_t)
#if AITERI_READS_CODES
AITERI_WIDEN(f8_e4m3fn, uint8_t)
AITERI_WIDEN(f8_e4m3fnuz, uint8_t)
AITERI_WIDEN(f8_e5m2, uint8_t)

/* The types of 4 bits go by blocks through bytes. */
static void AITERI_K(widen_i4)(float *dst, const void *src, int64_t n)
{
    int8_t block[128];
    for (int64_t i = 0; i < n; i += 128) {
        const int64_t count = n - i < 128 ? n - i : 128;
        AITERI_K(spread_row)(block, (const uint8_t *)src + i / 2, count);
        AITERI_K(widen_i8)(dst + i, block, count);
    }
}
#endif
#if AITERI_WRITES_CODES
AITERI_NARROW(f8_e4m3fn, uint8_t)
AITERI_NARROW(f8_e4m3fnuz, uint8_t)
AITERI_NARROW(f8_e5m2, uint8_t)
AITERI_NARROW(i8, int8_t)
AITERI_NARROW(i4_byte, int8_t)

AITERI_FORCE_INLINE void AITERI_K(narrow_halves)(void *dst, const float *src, int64_t n,
                                                 aiteri_narrow_fn to_bytes)
{
    uint8_t *p = (uint8_t *)dst;
    int8_t block[128];
    for (int64_t i = 0; i < n; i += 128) {
        const int64_t count = n - i < 128 ? n - i : 128;
        to_bytes(block, src + i, count);
        if (count & 1) block[count] = (int8_t)(p[i / 2 + count / 2] >> 4);
        for (int64_t k = 0; k < (count + 1) / 2; k++)
            p[i / 2 + k] = (uint8_t)((block[2 * k] & 15) | (block[2 * k + 1] & 15) << 4);
    }
}

static void AITERI_K(narrow_i4)(void *dst, const float *src, int64_t n)
{
    AITERI_K(narrow_halves)(dst, src, n, AITERI_K(narrow_i4_byte));
}
#if AITERI_HAS_QUANT
AITERI_NARROW(f4_byte, int8_t)

static void AITERI_K(narrow_f4)(void *dst, const float *src, int64_t n)
{
    AITERI_K(narrow_halves)(dst, src, n, AITERI_K(narrow_f4_byte));
}

static void AITERI_K(widen_f4)(float *dst, const void *src, int64_t n)
{
    static const float value[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                    -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};
    const uint8_t *p = (const uint8_t *)src;
    for (int64_t i = 0; i + 1 < n; i += 2) {
        dst[i] = value[p[i / 2] & 15];
        dst[i + 1] = value[p[i / 2] >> 4];
    }
    if (n & 1) dst[n - 1] = value[p[n / 2] & 15];
}
#endif
#endif /* AITERI_WRITES_CODES */

static void AITERI_K(widen_f32)(float *dst, const void *src, int64_t n)
{
    if (n > 0) memcpy(dst, src, (size_t)n * sizeof *dst);
}

static void AITERI_K(narrow_f32)(void *dst, const float *src, int64_t n)
{
    if (n > 0) memcpy(dst, src, (size_t)n * sizeof *src);
}

#define AITERI_CONVERT_OF(name) AITERI_K(name)
#endif
#if AITERI_READS_CODES
#define AITERI_READER_CONVERT_OF(name) AITERI_CONVERT_OF(name)
#else
#define AITERI_READER_CONVERT_OF(name) NULL
#endif
#if AITERI_WRITES_CODES
#define AITERI_WRITER_CONVERT_OF(name) AITERI_CONVERT_OF(name)
#else
#define AITERI_WRITER_CONVERT_OF(name) NULL
#endif
#if AITERI_HAS_QUANT
#define AITERI_F4_CONVERT_OF(name) AITERI_CONVERT_OF(name)
#else
#define AITERI_F4_CONVERT_OF(name) NULL
#endif
#undef AITERI_WIDEN
#undef AITERI_NARROW

/* In the order of aiter_dtype. */
static const aiteri_widen_fn AITERI_K(widen)[AITER_DTYPE_COUNT] = {
    NULL,
    AITERI_CONVERT_OF(widen_f32),
    AITERI_K(widen_f16),
    AITERI_K(widen_bf16),
    AITERI_READER_CONVERT_OF(widen_f8_e4m3fn),
    AITERI_READER_CONVERT_OF(widen_f8_e4m3fnuz),
    AITERI_READER_CONVERT_OF(widen_f8_e5m2),
    AITERI_K(widen_i8),
    AITERI_READER_CONVERT_OF(widen_i4),
    NULL,
    NULL,
    NULL,
    AITERI_F4_CONVERT_OF(widen_f4),
    NULL,
};

static const aiteri_narrow_fn AITERI_K(narrow)[AITER_DTYPE_COUNT] = {
    NULL,
    AITERI_CONVERT_OF(narrow_f32),
    AITERI_CONVERT_OF(narrow_f16),
    AITERI_CONVERT_OF(narrow_bf16),
    AITERI_WRITER_CONVERT_OF(narrow_f8_e4m3fn),
    AITERI_WRITER_CONVERT_OF(narrow_f8_e4m3fnuz),
    AITERI_WRITER_CONVERT_OF(narrow_f8_e5m2),
    AITERI_WRITER_CONVERT_OF(narrow_i8),
    AITERI_WRITER_CONVERT_OF(narrow_i4),
    NULL,
    NULL,
    NULL,
    AITERI_F4_CONVERT_OF(narrow_f4),
    NULL,
};
#undef AITERI_READER_CONVERT_OF
#undef AITERI_WRITER_CONVERT_OF
#undef AITERI_F4_CONVERT_OF
