/* float_formats.h -- what the storage types mean, by their definition in double, and f32 bit
 * patterns worth trying. The library's conversions are checked against this and share no line with
 * it. */
#ifndef AITER_TEST_FLOAT_FORMATS_H
#define AITER_TEST_FLOAT_FORMATS_H

#include "test.h"
#include <math.h>

typedef struct float_format {
    aiter_dtype dtype;
    int bits, mantissa, bias;
    uint32_t last;     /* the largest finite code without sign */
    uint32_t infinity; /* its code; 0: none */
    uint32_t overflow; /* what a value beyond the range becomes, infinity too */
    int one_nan;       /* its code is minus zero, which does not exist */
} float_format;

static const float_format float_formats[] = {
    {AITER_F16, 16, 10, 15, 0x7bff, 0x7c00, 0x7c00, 0},
    {AITER_BF16, 16, 7, 127, 0x7f7f, 0x7f80, 0x7f80, 0},
    {AITER_F8_E4M3FN, 8, 3, 7, 0x7e, 0, 0x7e, 0},
    {AITER_F8_E4M3FNUZ, 8, 3, 8, 0x7f, 0, 0x7f, 1},
    {AITER_F8_E5M2, 8, 2, 15, 0x7b, 0x7c, 0x7b, 0},
};
enum { FLOAT_FORMATS = 5 };

/* (1 + m / 2^M) 2^(e - bias), or m / 2^M 2^(1 - bias) for e = 0; code has no sign. One past the
 * last finite code gives the value that would come next. */
static inline double format_value(const float_format *f, uint32_t code)
{
    const int e = (int)(code >> f->mantissa);
    const double m = (double)(code & ((1u << f->mantissa) - 1)), one = (double)(1 << f->mantissa);
    return e ? ldexp(one + m, e - f->bias - f->mantissa) : ldexp(m, 1 - f->bias - f->mantissa);
}

/* |x| of a finite f32 in double, and back for doubles that are f32 numbers: by integers, because
 * the caller may have set flush-to-zero. */
static inline double value_of_f32_bits(uint32_t a)
{
    const uint32_t e = a >> 23, m = a & 0x7fffff;
    return e ? ldexp((double)(m | 0x800000), (int)e - 150) : ldexp((double)m, -149);
}
static inline uint32_t f32_bits_of_value(double x)
{
    const uint64_t u = bits_of_double(x);
    const int e = (int)(u >> 52) - 1023;
    const uint64_t m = (u & 0xfffffffffffffu) | 0x10000000000000u;
    if (u == 0) return 0;
    if (e >= -126) return ((uint32_t)(e + 127) << 23) | ((uint32_t)(m >> 29) & 0x7fffff);
    return (uint32_t)(m >> (29 - 126 - e));
}

/* The code nearest to |x|, ties to even, for patterns that come in ascending order: `*floor_code`
 * starts at 0 and follows them. a is below NaN. */
static inline uint32_t format_nearest(const float_format *f, uint32_t a, uint32_t *floor_code)
{
    uint32_t c = *floor_code;
    double x, below, above;
    if (a == 0x7f800000) return f->overflow;
    x = value_of_f32_bits(a);
    while (c <= f->last && format_value(f, c + 1) <= x) c++;
    *floor_code = c;
    if (c > f->last) return f->overflow;
    below = x - format_value(f, c);
    above = format_value(f, c + 1) - x;
    if (below > above || (below == above && (c & 1))) c++;
    return c > f->last ? f->overflow : c;
}

/* The same with the sign of the pattern u; NaN gives the canonical code, its sign kept. */
static inline uint32_t format_with_sign(const float_format *f, uint32_t u, uint32_t code)
{
    const uint32_t sign = (u >> 31) << (f->bits - 1);
    if (f->one_nan && code == 0) return 0;
    return code | sign;
}
static inline int format_is_nan(const float_format *f, uint32_t code)
{
    const uint32_t top = 1u << (f->bits - 1);
    if (f->one_nan) return code == top;
    return (code & (top - 1)) > (f->infinity ? f->infinity : f->last);
}

/* The pattern halfway between two neighbouring codes. */
static inline uint32_t format_tie(const float_format *f, uint32_t code)
{
    return f32_bits_of_value((format_value(f, code) + format_value(f, code + 1)) / 2);
}

/* Results below the normal range become zero, and such operands read as zero; returns 0 where this
 * machine has no such switch. */
#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
static inline int test_is_flushing(void) { return (_mm_getcsr() & 0x8000u) != 0; }
static inline int test_flush_subnormals(int on)
{
    const unsigned others = _mm_getcsr() & ~0x8040u;
    _mm_setcsr(on ? others | 0x8040u : others);
    return 1;
}
#elif defined(__aarch64__)
static inline uint64_t test_fpcr(void)
{
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return fpcr;
}
static inline int test_is_flushing(void) { return (test_fpcr() >> 24 & 1) != 0; }
static inline int test_flush_subnormals(int on)
{
    const uint64_t flush = (uint64_t)1 << 24;
    const uint64_t fpcr = on ? test_fpcr() | flush : test_fpcr() & ~flush;
    __asm__ volatile("msr fpcr, %0" : : "r"(fpcr));
    return 1;
}
#else
static inline int test_is_flushing(void) { return 0; }
static inline int test_flush_subnormals(int on) { return !on; }
#endif

#endif /* AITER_TEST_FLOAT_FORMATS_H */
