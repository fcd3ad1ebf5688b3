/* element.hpp -- the 16-bit types of queries, keys and values: widening, rounding to nearest even,
 * and 16-byte pieces ("chunks", 8 elements) of rows in device memory of any alignment and size. */
#ifndef AITERI_TILE_ELEMENT_HPP
#define AITERI_TILE_ELEMENT_HPP

#include "target.hpp"

namespace aiteri
{

enum { CHUNK = 8 }; /* elements of 16 bytes */

/* What an attention stores in `out`: +0 for a -0, of both halves. */
AITERI_FN uint32_t without_minus_zero(uint32_t pair)
{
    const uint32_t magnitude = pair & 0x7fff7fff;
    return magnitude | (pair & (magnitude + 0x7fff7fff) & 0x80008000);
}

/* WEIGHT_BIAS: a softmax that lets weights grow by 2^8 before it rescales begins so far below 1:
 * none exceeds 1 then, and sums of values near the end of f32 stay what they are. Values of f16 are
 * far from there, and its small weights would be lost. */
struct f16 {
    static constexpr uint16_t EXPONENT = 0x7c00;
    static constexpr float WEIGHT_BIAS = 0.0f;
    AITERI_METHOD static float widen(uint16_t x) { return (float)__builtin_bit_cast(_Float16, x); }
    AITERI_METHOD static uint16_t round(float x)
    {
        return __builtin_bit_cast(uint16_t, (_Float16)x);
    }
    AITERI_METHOD static uint32_t pack(float lo, float hi)
    {
#if defined(__NVPTX__)
        return __builtin_bit_cast(uint32_t, __nvvm_ff2f16x2_rn(hi, lo));
#else
        typedef _Float16 pair __attribute__((ext_vector_type(2)));
        return __builtin_bit_cast(uint32_t, pair{(_Float16)lo, (_Float16)hi});
#endif
    }
    AITERI_METHOD static uint32_t pack_weights(float lo, float hi) { return pack(lo, hi); }
};

struct bf16 {
    static constexpr uint16_t EXPONENT = 0x7f80;
    static constexpr float WEIGHT_BIAS = 8.0f;
    AITERI_METHOD static float widen(uint16_t x)
    {
        return __builtin_bit_cast(float, (uint32_t)x << 16);
    }
    AITERI_METHOD static uint32_t rounded_bits(float x)
    {
        const uint32_t u = __builtin_bit_cast(uint32_t, x);
        return u + 0x7fff + (u >> 16 & 1);
    }
    AITERI_METHOD static uint16_t round(float x)
    {
        const uint32_t u = x == x ? rounded_bits(x) : 0x7fc00000;
        return (uint16_t)(u >> 16);
    }
    AITERI_METHOD static uint32_t pack(float lo, float hi)
    {
#if defined(__NVPTX__)
        return __builtin_bit_cast(uint32_t, __nvvm_ff2bf16x2_rn(hi, lo));
#elif defined(__gfx950__)
        typedef __bf16 pair __attribute__((ext_vector_type(2)));
        return __builtin_bit_cast(uint32_t, pair{(__bf16)lo, (__bf16)hi});
#else
        return (uint32_t)round(hi) << 16 | round(lo);
#endif
    }
    /* Without the NaN path: a weight is NaN only where its row's sum is, and that makes the row. */
    AITERI_METHOD static uint32_t pack_weights(float lo, float hi)
    {
#if defined(__AMDGCN__) && !defined(__gfx950__)
        return __builtin_amdgcn_perm(rounded_bits(hi), rounded_bits(lo), 0x07060302);
#else
        return pack(lo, hi);
#endif
    }
};

AITERI_FN uint16_t half_of(u32x4 x, int e) { return (uint16_t)(x[e / 2] >> (e % 2 * 16)); }

/* Applies f(uint16_t) -> uint16_t to the eight elements. */
template <class F> AITERI_FN u32x4 map_halves(u32x4 x, F f)
{
    u32x4 y;
#pragma unroll
    for (int i = 0; i < 4; i++)
        y[i] = (uint32_t)f((uint16_t)(x[i] >> 16)) << 16 | f((uint16_t)x[i]);
    return y;
}

/* Is an exponent all ones? Adding one carries into the sign's place. */
template <class T> AITERI_FN bool has_non_finite(u32x4 x)
{
    constexpr uint32_t exponent = T::EXPONENT * 0x10001u;
    constexpr uint32_t one = 0x80008000u - exponent; /* of the exponent, in both halves */
    uint32_t carry = 0;
#pragma unroll
    for (int i = 0; i < 4; i++) carry |= (x[i] & exponent) + one;
    return (carry & 0x80008000u) != 0;
}

/* Rows of elements of 2 bytes: how long they are, and whether 16-byte loads may touch them. */
struct RowShape {
    int dim;
    bool chunked; /* every row begins at a multiple of 16 bytes and dim is a multiple of 8 */

    AITERI_METHOD static RowShape of(int dim, uint64_t data, int64_t a, int64_t b, int64_t c)
    {
        const uint64_t odd = data / 2 | (uint64_t)a | (uint64_t)b | (uint64_t)c | (uint64_t)dim;
        return {dim, data % 2 == 0 && odd % CHUNK == 0};
    }
};

/* A chunk of which `left` elements are there, zeros after them. Rolled: it is rare, and code is not
 * free. Without branches: they would take registers that a kernel's loop has not. */
AITERI_FN u32x4 load_chunk_slowly(Global<const uint16_t> chunk, int left)
{
    u32x4 x = {0, 0, 0, 0};
#pragma clang loop unroll(disable)
    for (int e = 0; e < CHUNK; e += 2) {
        const uint32_t lo = chunk[e < left ? e : 0], hi = chunk[e + 1 < left ? e + 1 : 0];
        x = u32x4{x.y, x.z, x.w, (e + 1 < left ? hi << 16 : 0) | (e < left ? lo : 0)};
    }
    return x;
}

AITERI_FN u32x4 load_chunk(Global<const uint16_t> row, int c, RowShape shape)
{
    if (c * CHUNK >= shape.dim) return u32x4{0, 0, 0, 0};
    if (!shape.chunked) return load_chunk_slowly(row + c * CHUNK, shape.dim - c * CHUNK);
    return *(Global<const u32x4>)(row + c * CHUNK);
}

} // namespace aiteri

#endif /* AITERI_TILE_ELEMENT_HPP */
