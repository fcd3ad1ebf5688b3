/* dtype.c -- one element of any storage type to f32 and back, exactly, and the dtype table.
 *
 * Everything that rounds works on integers: the caller's flush-to-zero flags and -ffast-math change
 * nothing. All rounding is to nearest even. What has no place in the target:
 *   NaN       stays NaN with its sign (e4m3fnuz has one NaN, 0x80; integers take 0)
 *   infinity  f16 and bf16 have one; all else saturates, e5m2, too
 *   too big   f16 and bf16 become infinity; the fp8 types saturate to 448, 240, 57344
 *   int8, int4  saturate to +-127 and +-7, so that negation is exact
 *   e2m1      saturates to +-6, has no NaN and takes 0
 *   e8m0      has no sign, zero or infinity: NaN, but 2^-127 for 0; ties go up. */
#ifndef AITERI_DTYPE_C
#define AITERI_DTYPE_C

#include "../api_types.h"
#include "platform.h"

/* whole / 2^shift to nearest even, for 0 < shift < 32. */
AITERI_FORCE_INLINE uint32_t aiteri_shift_round(uint32_t whole, uint32_t shift)
{
    const uint32_t q = whole >> shift;
    const uint32_t rest = whole & ((1u << shift) - 1), half = 1u << (shift - 1);
    return q + (rest > half || (rest == half && (q & 1)));
}

/* |x| as a float with `mantissa` bits and exponent bias `bias`, unbounded above; a = finite bits of
 * |x|. The result counts in steps of the smallest subnormal or carries exponent and mantissa. */
AITERI_FORCE_INLINE uint32_t aiteri_narrow_float(uint32_t a, uint32_t mantissa, uint32_t bias)
{
    const uint32_t rebias = 127 - bias, drop = 23 - mantissa, exponent = a >> 23;
    if (exponent > rebias) {
        const uint32_t odd = (a >> drop) & 1;
        return ((a + (1u << (drop - 1)) - 1 + odd) >> drop) - (rebias << mantissa);
    }
    const uint32_t shift = drop + rebias + 1 - exponent;
    if (shift > 24) return 0;
    return aiteri_shift_round((a & 0x7fffff) | 0x800000, shift);
}

/* The bits of the non-negative value of such a code; there is no infinity or NaN in sight. */
AITERI_FORCE_INLINE uint32_t aiteri_widen_float(uint32_t code, uint32_t mantissa, uint32_t bias)
{
    const uint32_t rebias = 127 - bias;
    if (code >> mantissa) return (code << (23 - mantissa)) + (rebias << 23);
    const float step = aiteri_f32_of_bits((rebias + 1 - mantissa) << 23);
    return aiteri_bits_of_f32((float)code * step);
}

/* The f32 bits of one element, and back. Floats would do as well, but for targets that return them
 * in x87 registers, where a signalling NaN turns quiet on the way. */
AITERI_UNUSED static uint32_t aiteri_bits_from_f16(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, code = h & 0x7fff;
    if (code < 0x7c00) return sign | aiteri_widen_float(code, 10, 15);
    const uint32_t quiet = code > 0x7c00 ? 0x400000 : 0;
    return sign | 0x7f800000 | quiet | (code & 0x3ff) << 13;
}

AITERI_UNUSED static uint16_t aiteri_f16_from_bits(uint32_t u)
{
    const uint32_t a = u & 0x7fffffff, sign = (u >> 16) & 0x8000;
    if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00 | ((a >> 13) & 0x3ff));
    const uint32_t code = aiteri_narrow_float(a, 10, 15);
    return (uint16_t)(sign | (code > 0x7c00 ? 0x7c00 : code));
}

AITERI_UNUSED static uint32_t aiteri_bits_from_bf16(uint16_t h) { return (uint32_t)h << 16; }

AITERI_UNUSED static uint16_t aiteri_bf16_from_bits(uint32_t u)
{
    if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}

AITERI_UNUSED static uint32_t aiteri_bits_from_e4m3fn(uint8_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x80) << 24, code = h & 0x7f;
    if (code == 0x7f) return sign | 0x7ff00000;
    return sign | aiteri_widen_float(code, 3, 7);
}

AITERI_UNUSED static uint8_t aiteri_e4m3fn_from_bits(uint32_t u)
{
    const uint32_t a = u & 0x7fffffff, sign = (u >> 24) & 0x80;
    if (a > 0x7f800000) return (uint8_t)(sign | 0x7f);
    const uint32_t code = aiteri_narrow_float(a, 3, 7);
    return (uint8_t)(sign | (code > 0x7e ? 0x7e : code));
}

AITERI_UNUSED static uint32_t aiteri_bits_from_e4m3fnuz(uint8_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x80) << 24, code = h & 0x7f;
    if (h == 0x80) return 0xffc00000;
    return sign | aiteri_widen_float(code, 3, 8);
}

AITERI_UNUSED static uint8_t aiteri_e4m3fnuz_from_bits(uint32_t u)
{
    const uint32_t a = u & 0x7fffffff, sign = (u >> 24) & 0x80;
    if (a > 0x7f800000) return 0x80;
    const uint32_t code = aiteri_narrow_float(a, 3, 8);
    if (code == 0) return 0; /* there is no negative zero */
    return (uint8_t)(sign | (code > 0x7f ? 0x7f : code));
}

/* e5m2 is the upper half of f16. */
AITERI_UNUSED static uint32_t aiteri_bits_from_e5m2(uint8_t h)
{
    return aiteri_bits_from_f16((uint16_t)(h << 8));
}

AITERI_UNUSED static uint8_t aiteri_e5m2_from_bits(uint32_t u)
{
    const uint32_t a = u & 0x7fffffff, sign = (u >> 24) & 0x80;
    if (a > 0x7f800000) return (uint8_t)(sign | 0x7f);
    const uint32_t code = aiteri_narrow_float(a, 2, 15);
    return (uint8_t)(sign | (code > 0x7b ? 0x7b : code));
}

/* The four bits of e2m1. */
AITERI_UNUSED static uint32_t aiteri_bits_from_e2m1(uint32_t code)
{
    return (code & 8) << 28 | aiteri_widen_float(code & 7, 1, 1);
}

AITERI_UNUSED static uint32_t aiteri_e2m1_from_bits(uint32_t u)
{
    const uint32_t a = u & 0x7fffffff, sign = (u >> 28) & 8;
    if (a > 0x7f800000) return 0;
    const uint32_t code = aiteri_narrow_float(a, 1, 1);
    return sign | (code > 7 ? 7 : code);
}

/* The same with ties toward zero: what lies halfway between codes i and i + 1 becomes i. */
AITERI_UNUSED static uint32_t aiteri_e2m1_from_bits_down(uint32_t u)
{
    static const uint32_t tie[7] = {0x3e800000, 0x3f400000, 0x3fa00000, 0x3fe00000,
                                    0x40200000, 0x40600000, 0x40a00000};
    for (uint32_t i = 0; i < 7; i++)
        if ((u & 0x7fffffff) == tie[i]) return ((u >> 28) & 8) | i;
    return aiteri_e2m1_from_bits(u);
}

AITERI_UNUSED static uint32_t aiteri_bits_from_e8m0(uint32_t code)
{
    return code == 0 ? 0x00400000 : code == 255 ? 0x7fc00000 : code << 23;
}

AITERI_UNUSED static uint8_t aiteri_e8m0_from_bits(uint32_t u)
{
    if (u == 0x80000000) return 0;
    if (u >= 0x7f800000) return 255; /* what is negative, too */
    if (u < 0x800000) return u >= 0x600000;
    const uint32_t code = (u + 0x400000) >> 23;
    return (uint8_t)(code > 254 ? 254 : code);
}

/* To nearest even within [low, high]; NaN gives 0. */
AITERI_UNUSED static int64_t aiteri_i64_from_bits(uint32_t u, int64_t low, int64_t high)
{
    const uint32_t a = u & 0x7fffffff, exponent = a >> 23;
    const uint64_t whole = (a & 0x7fffff) | 0x800000;
    if (a > 0x7f800000 || exponent < 126) return 0; /* NaN, and all below 1/2 */
    if (exponent >= 127 + 63) return u >> 31 ? low : high;
    const int64_t size = exponent >= 150
                             ? (int64_t)(whole << (exponent - 150))
                             : (int64_t)aiteri_shift_round((uint32_t)whole, 150 - exponent);
    const int64_t value = u >> 31 ? -size : size;
    return value < low ? low : value > high ? high : value;
}

AITERI_UNUSED static uint32_t aiteri_nibble_of_byte(uint32_t byte, int64_t index)
{
    return byte >> (index & 1 ? 4 : 0) & 15;
}

AITERI_UNUSED static int32_t aiteri_i4_of_byte(uint32_t byte, int64_t index)
{
    const int32_t nibble = (int32_t)aiteri_nibble_of_byte(byte, index);
    return nibble >= 8 ? nibble - 16 : nibble;
}

/* The other half of the byte stays as it was. */
AITERI_UNUSED static void aiteri_store_nibble(void *ptr, int64_t index, uint32_t nibble)
{
    uint8_t *byte = (uint8_t *)ptr + (index >> 1);
    const int shift = index & 1 ? 4 : 0;
    *byte = (uint8_t)((*byte & ~(15u << shift)) | nibble << shift);
}

AITERI_UNUSED static uint32_t aiteri_load_bits(aiter_dtype dtype, const void *ptr, int64_t index)
{
    uint32_t u;
    switch (dtype) {
    case AITER_F32: memcpy(&u, (const float *)ptr + index, sizeof u); return u;
    case AITER_F16: return aiteri_bits_from_f16(((const uint16_t *)ptr)[index]);
    case AITER_BF16: return aiteri_bits_from_bf16(((const uint16_t *)ptr)[index]);
    case AITER_F8_E4M3FN: return aiteri_bits_from_e4m3fn(((const uint8_t *)ptr)[index]);
    case AITER_F8_E4M3FNUZ: return aiteri_bits_from_e4m3fnuz(((const uint8_t *)ptr)[index]);
    case AITER_F8_E5M2: return aiteri_bits_from_e5m2(((const uint8_t *)ptr)[index]);
    case AITER_I8: return aiteri_bits_of_f32((float)((const int8_t *)ptr)[index]);
    case AITER_I4:
        return aiteri_bits_of_f32(
            (float)aiteri_i4_of_byte(((const uint8_t *)ptr)[index >> 1], index));
    case AITER_I32: return aiteri_bits_of_f32((float)((const int32_t *)ptr)[index]);
    case AITER_I64: return aiteri_bits_of_f32((float)((const int64_t *)ptr)[index]);
    case AITER_U8: return aiteri_bits_of_f32((float)((const uint8_t *)ptr)[index]);
    case AITER_F4_E2M1:
        return aiteri_bits_from_e2m1(
            aiteri_nibble_of_byte(((const uint8_t *)ptr)[index >> 1], index));
    case AITER_F8_E8M0: return aiteri_bits_from_e8m0(((const uint8_t *)ptr)[index]);
    default: return 0;
    }
}

AITERI_UNUSED static void aiteri_store_bits(aiter_dtype dtype, void *ptr, int64_t index, uint32_t u)
{
    switch (dtype) {
    case AITER_F32: memcpy((float *)ptr + index, &u, sizeof u); break;
    case AITER_F16: ((uint16_t *)ptr)[index] = aiteri_f16_from_bits(u); break;
    case AITER_BF16: ((uint16_t *)ptr)[index] = aiteri_bf16_from_bits(u); break;
    case AITER_F8_E4M3FN: ((uint8_t *)ptr)[index] = aiteri_e4m3fn_from_bits(u); break;
    case AITER_F8_E4M3FNUZ: ((uint8_t *)ptr)[index] = aiteri_e4m3fnuz_from_bits(u); break;
    case AITER_F8_E5M2: ((uint8_t *)ptr)[index] = aiteri_e5m2_from_bits(u); break;
    case AITER_I8: ((int8_t *)ptr)[index] = (int8_t)aiteri_i64_from_bits(u, -127, 127); break;
    case AITER_I4:
        aiteri_store_nibble(ptr, index, (uint32_t)aiteri_i64_from_bits(u, -7, 7) & 15);
        break;
    case AITER_I32:
        ((int32_t *)ptr)[index] = (int32_t)aiteri_i64_from_bits(u, INT32_MIN, INT32_MAX);
        break;
    case AITER_I64: ((int64_t *)ptr)[index] = aiteri_i64_from_bits(u, INT64_MIN, INT64_MAX); break;
    case AITER_U8: ((uint8_t *)ptr)[index] = (uint8_t)aiteri_i64_from_bits(u, 0, 255); break;
    case AITER_F4_E2M1: aiteri_store_nibble(ptr, index, aiteri_e2m1_from_bits(u)); break;
    case AITER_F8_E8M0: ((uint8_t *)ptr)[index] = aiteri_e8m0_from_bits(u); break;
    default: break;
    }
}

/* The larger of `most` and the bits of |x|; NaN is above all. */
AITERI_FORCE_INLINE uint32_t aiteri_larger_magnitude(uint32_t most, float x)
{
    const uint32_t a = aiteri_bits_of_f32(x) & 0x7fffffff;
    return a > most ? a : most;
}

AITERI_UNUSED static float aiteri_load_f32(aiter_dtype dtype, const void *ptr, int64_t index)
{
    return aiteri_f32_of_bits(aiteri_load_bits(dtype, ptr, index));
}

AITERI_UNUSED static void aiteri_store_f32(aiter_dtype dtype, void *ptr, int64_t index, float x)
{
    aiteri_store_bits(dtype, ptr, index, aiteri_bits_of_f32(x));
}

typedef struct aiteri_dtype_row {
    const char *name;
    int32_t bits;
    float largest; /* what a number that is too large becomes; 0: what no cache is quantised to */
} aiteri_dtype_row;

/* In the order of aiter_dtype. */
static const aiteri_dtype_row aiteri_dtype_table[AITER_DTYPE_COUNT] = {
    {"unset", 0, 0},          {"f32", 32, 0},           {"f16", 16, 0},
    {"bf16", 16, 0},          {"f8_e4m3fn", 8, 448.0f}, {"f8_e4m3fnuz", 8, 240.0f},
    {"f8_e5m2", 8, 57344.0f}, {"i8", 8, 127.0f},        {"i4", 4, 7.0f},
    {"i32", 32, 0},           {"i64", 64, 0},           {"u8", 8, 0},
    {"f4_e2m1", 4, 6.0f},     {"f8_e8m0", 8, 0},
};

AITERI_UNUSED static float aiteri_largest_of(aiter_dtype dtype)
{
    return aiteri_dtype_table[dtype].largest;
}

/* 0 bits and "unknown" for what is no dtype. */
AITERI_UNUSED static int32_t aiteri_dtype_bits(aiter_dtype dtype)
{
    return (uint32_t)dtype < AITER_DTYPE_COUNT ? aiteri_dtype_table[dtype].bits : 0;
}

AITERI_UNUSED static const char *aiteri_dtype_name(aiter_dtype dtype)
{
    return (uint32_t)dtype < AITER_DTYPE_COUNT ? aiteri_dtype_table[dtype].name : "unknown";
}

#endif /* AITERI_DTYPE_C */
