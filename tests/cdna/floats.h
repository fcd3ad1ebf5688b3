/* floats.h -- conversions between number formats, branch-free so that loops over lanes vectorise.
 */
#ifndef CDNA_FLOATS_H
#define CDNA_FLOATS_H

#include <cmath>
#include <cstdint>
#include <cstring>

namespace cdna
{

template <class To, class From> inline To cast(From x)
{
    static_assert(sizeof(To) == sizeof(From), "same size");
    To y;
    memcpy(&y, &x, sizeof y);
    return y;
}

/* To odd, so that a second rounding, to a type of half as many digits, is right. */
inline float double_to_float_odd(double x)
{
    float f = float(x);
    uint32_t u = cast<uint32_t>(f);
    if (double(f) == x || std::isnan(x) || std::isinf(f)) return f;
    if (std::fabs(double(f)) > std::fabs(x)) u--;
    return cast<float>(u | 1);
}

inline float half_to_float(uint16_t h)
{
    uint32_t rest = h & 0x7fffu, sign = uint32_t(h & 0x8000) << 16;
    float finite = cast<float>(rest << 13) * 0x1p112f;
    uint32_t bits = rest >= 0x7c00 ? 0x7f800000u | (rest & 0x3ff) << 13 : cast<uint32_t>(finite);
    return cast<float>(bits | sign);
}

/* To nearest even: adding 2^k puts the last bit of the result at the last bit of the sum. */
inline uint16_t float_to_half(float f)
{
    uint32_t u = cast<uint32_t>(f), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    uint32_t small = cast<uint32_t>(cast<float>(a) + 0.5f) - cast<uint32_t>(0.5f);
    uint32_t normal = (a + 0xfffu + (a >> 13 & 1) - (112u << 23)) >> 13;
    uint32_t h = a < (113u << 23) ? small : normal;
    h = a >= (143u << 23) ? 0x7c00u : h;
    h = a > 0x7f800000u ? 0x7e00u | (a >> 13 & 0x3ff) : h;
    return uint16_t(h | sign);
}

/* Towards zero; beyond the range: the largest finite value. */
inline uint16_t float_to_half_zero(float f)
{
    uint32_t u = cast<uint32_t>(f), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    if (a >= 0x7f800000u) return float_to_half(f);
    uint32_t small = uint32_t(cast<float>(a) * 0x1p24f);
    uint32_t normal = (a - (112u << 23)) >> 13;
    uint32_t h = a < (113u << 23) ? small : normal;
    return uint16_t((a >= (143u << 23) ? 0x7bffu : h) | sign);
}

inline float bf16_to_float(uint16_t x) { return cast<float>(uint32_t(x) << 16); }

inline uint16_t float_to_bf16(float f)
{
    uint32_t u = cast<uint32_t>(f);
    uint32_t rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16;
    return uint16_t((u & 0x7fffffff) > 0x7f800000u ? u >> 16 | 0x40 : rounded);
}

/* 8-bit floats: e4m3 or e5m2; fnuz: AMD's own with bias + 1, one NaN (0x80) and no infinity. */
inline float fp8_to_float(uint8_t x, bool e5m2, bool fnuz)
{
    int mantissa_bits = e5m2 ? 2 : 3, bias = (e5m2 ? 15 : 7) + fnuz;
    int e = (x & 0x7f) >> mantissa_bits, m = x & ((1 << mantissa_bits) - 1);
    if (fnuz ? x == 0x80 : e5m2 ? e == 31 && m : (x & 0x7f) == 0x7f) return NAN;
    if (!fnuz && e5m2 && e == 31) return x & 0x80 ? -INFINITY : INFINITY;
    float f = e ? std::ldexp(1.0f + float(m) / float(1 << mantissa_bits), e - bias)
                : std::ldexp(float(m) / float(1 << mantissa_bits), 1 - bias);
    return x & 0x80 ? -f : f;
}

/* To nearest even. Beyond the range: NaN (infinity in OCP e5m2), as with FP16_OVFL off. */
inline uint8_t float_to_fp8(float f, bool e5m2, bool fnuz)
{
    int mantissa_bits = e5m2 ? 2 : 3, bias = (e5m2 ? 15 : 7) + fnuz;
    uint8_t sign = std::signbit(f) ? 0x80 : 0;
    uint8_t nan = fnuz ? 0x80 : uint8_t(sign | 0x7f);
    uint8_t over = fnuz ? 0x80 : e5m2 ? uint8_t(sign | 0x7c) : nan;
    if (std::isnan(f)) return nan;
    if (std::isinf(f)) return over;
    float a = std::fabs(f);
    int e = a == 0 ? -1000 : std::ilogb(a);
    e = e < 1 - bias ? 1 - bias : e;
    int units = int(std::nearbyint(std::ldexp(a, mantissa_bits - e))); /* of the last place */
    if (!units) return fnuz ? 0 : sign;
    int code = units + ((e + bias - 1) << mantissa_bits);
    int most = fnuz ? 0x7f : e5m2 ? 0x7b : 0x7e;
    return code > most ? over : uint8_t(code | sign);
}

} // namespace cdna

#endif /* CDNA_FLOATS_H */
