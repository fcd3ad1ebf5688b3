/* codes.hpp -- f32 to any type that a cache holds and back, to the bit what src/base/dtype.c does:
 * NaN keeps its sign where there is one, and its payload in 16 bits. */
#ifndef AITERI_TILE_CODES_HPP
#define AITERI_TILE_CODES_HPP

#include "target.hpp"

namespace aiteri
{

/* As the host's enum aiter_dtype. */
enum {
    CODE_F32 = 1,
    CODE_F16,
    CODE_BF16,
    CODE_F8_E4M3FN,
    CODE_F8_E4M3FNUZ,
    CODE_F8_E5M2,
    CODE_I8,
    CODE_I4
};
enum { INFINITY_BITS = 0x7f800000, NAN_BITS = 0x7fc00000 };

AITERI_FN uint32_t bits_of(float x) { return __builtin_bit_cast(uint32_t, x); }
AITERI_FN float f32_of(uint32_t u) { return __builtin_bit_cast(float, u); }
AITERI_FN uint32_t magnitude_bits(float x) { return bits_of(x) & 0x7fffffff; }

struct F32Code {
    typedef float Bits;
    AITERI_METHOD float narrow(float x) const { return x; }
    AITERI_METHOD static float widen(float x) { return x; }
};

struct F16Code {
    typedef uint16_t Bits;
    AITERI_METHOD uint16_t narrow(float x) const
    {
        const uint32_t u = bits_of(x);
        if (x != x) return (uint16_t)((u >> 16 & 0x8000) | 0x7e00 | (u >> 13 & 0x3ff));
        return __builtin_bit_cast(uint16_t, (_Float16)x);
    }
    AITERI_METHOD static float widen(uint16_t h)
    {
        if ((h & 0x7fff) > 0x7c00)
            return f32_of((uint32_t)(h & 0x8000) << 16 | NAN_BITS | (uint32_t)(h & 0x3ff) << 13);
        return (float)__builtin_bit_cast(_Float16, h);
    }
};

struct BF16Code {
    typedef uint16_t Bits;
    AITERI_METHOD uint16_t narrow(float x) const
    {
        const uint32_t u = bits_of(x);
        return (uint16_t)(x != x ? u >> 16 | 0x40 : (u + 0x7fff + (u >> 16 & 1)) >> 16);
    }
    AITERI_METHOD static float widen(uint16_t h) { return f32_of((uint32_t)h << 16); }
};

/* The fp8 types differ in a few figures. */
struct F8Code {
    typedef uint8_t Bits;
    uint32_t mantissa, bias, largest; /* largest: the code of what is too large */
    bool one_zero;                    /* and one NaN, in place of the other */

    AITERI_METHOD static F8Code of(int dtype)
    {
        if (dtype == CODE_F8_E4M3FN) return {3, 7, 0x7e, false};
        if (dtype == CODE_F8_E4M3FNUZ) return {3, 8, 0x7f, true};
        return {2, 15, 0x7b, false};
    }
    /* Of the bits of |x|: to nearest even, unbounded above. */
    AITERI_METHOD uint32_t nearest(uint32_t a) const
    {
        const uint32_t rebias = 127 - bias, exponent = a >> 23;
        const bool normal = exponent > rebias;
        const uint32_t shift = 23 - mantissa + (normal ? 0 : rebias + 1 - exponent);
        const uint32_t whole = normal ? a : (a & 0x7fffff) | 0x800000;
        if (shift > 24) return 0;
        const uint32_t odd = whole >> shift & 1;
        return ((whole + (1u << (shift - 1)) - 1 + odd) >> shift) -
               (normal ? rebias << mantissa : 0);
    }
    AITERI_METHOD uint8_t narrow(float x) const
    {
        const uint32_t sign = bits_of(x) >> 24 & 0x80;
        if (x != x) return (uint8_t)(one_zero ? 0x80 : sign | 0x7f);
        const uint32_t code = smaller_of(nearest(magnitude_bits(x)), largest);
        return (uint8_t)(one_zero && code == 0 ? 0 : sign | code);
    }
    AITERI_METHOD float widen(uint8_t h) const
    {
        const uint32_t code = h & 0x7f, sign = (uint32_t)(h & 0x80) << 24, rebias = 127 - bias;
        if (one_zero && h == 0x80) return f32_of(0x80000000 | NAN_BITS);
        if (code > largest)
            return f32_of(sign | (mantissa == 2 && code == 0x7c ? INFINITY_BITS : NAN_BITS));
        if (code >> mantissa) return f32_of(sign | ((code << (23 - mantissa)) + (rebias << 23)));
        return f32_of(sign | bits_of((float)code * f32_of((rebias + 1 - mantissa) << 23)));
    }
};

/* Integers to +-most; NaN gives 0. */
struct IntegerCode {
    typedef int8_t Bits;
    float most;
    AITERI_METHOD int8_t narrow(float x) const
    {
        return (int8_t)(int)__builtin_rintf(x == x ? clamp(x, -most, most) : 0.0f);
    }
    AITERI_METHOD static float widen(int8_t x) { return (float)x; }
};

/* x where it is a number; else the NaN that an operation on a and b gives on x86, wherever it is
 * computed: fp8 keeps the sign. */
AITERI_FN float settled(float x, float a, float b)
{
    if (x == x) return x;
    return a != a ? a : b != b ? b : f32_of(0x80000000 | NAN_BITS);
}

/* How many steps x is; none where a step is 0. */
AITERI_FN float steps_of(float x, float step)
{
    return step != 0.0f ? settled(x / step, x, step) : 0.0f;
}

} // namespace aiteri

#endif /* AITERI_TILE_CODES_HPP */
