/* piece.hpp -- eight stored elements of K or V, as paged_decode loads them, and their way to the
 * 16-bit operands of the matrix instructions. What is narrower goes exactly, by integer steps that
 * every chip has, through f16, which holds each such value; f16 becomes bf16 through f32. */
#ifndef AITERI_TILE_PIECE_HPP
#define AITERI_TILE_PIECE_HPP

#include "source.hpp"
#include "storage.hpp"

namespace aiteri
{

/* Names of instances.def. */
struct f8 {
};
struct i4 {
};

/* Halves `high` of two dwords, that of a below that of b. */
AITERI_FN uint32_t pair_halves(uint32_t a, uint32_t b, bool high)
{
#if defined(__AMDGCN__)
    return __builtin_amdgcn_perm(b, a, high ? 0x07060302 : 0x05040100);
#elif defined(__NVPTX__)
    return __nvvm_prmt(a, b, high ? 0x7632 : 0x5410);
#else
    return high ? a >> 16 | (b & 0xffff0000u) : (a & 0xffffu) | b << 16;
#endif
}

/* Byte i of a above byte j of b in the upper bytes of two halves, b's in the upper half; what is in
 * the lower bytes is not said. */
AITERI_FN uint32_t pair_bytes(uint32_t a, int i, uint32_t b, int j)
{
#if defined(__AMDGCN__)
    return __builtin_amdgcn_perm(b, a, (uint32_t)(j + 4) << 24 | 0x000c000c | (uint32_t)i << 8);
#elif defined(__NVPTX__)
    return __nvvm_prmt(a, b, (j + 4) << 12 | i << 4);
#else
    return (a >> i * 8 & 0xff) << 8 | (b >> j * 8 & 0xff) << 24;
#endif
}

/* Two floats, which both 16-bit types hold exactly. */
template <class T> AITERI_FN uint32_t pack_exactly(float a, float b)
{
    if constexpr (__is_same(T, f16))
        return f16::pack(a, b);
    else
        return pair_halves(__builtin_bit_cast(uint32_t, a), __builtin_bit_cast(uint32_t, b), true);
}

typedef _Float16 f16x2 __attribute__((ext_vector_type(2)));
typedef int16_t s16x2 __attribute__((ext_vector_type(2)));

/* A pair of f16, which T holds exactly. */
template <class T> AITERI_FN uint32_t narrow_pair(f16x2 x)
{
    if constexpr (__is_same(T, f16))
        return __builtin_bit_cast(uint32_t, x);
    else
        return pack_exactly<T>((float)x.x, (float)x.y);
}

/* As the host's aiter_dtype. */
enum { DTYPE_F8_E4M3FN = 4, DTYPE_F8_E4M3FNUZ, DTYPE_F8_E5M2 };

/* The same number in a register of each lane, and asked for again each time: there are not enough
 * registers for it to stay through the loop over keys. */
AITERI_FN uint32_t in_lanes(uint32_t x)
{
#if defined(__AMDGCN__)
    asm volatile("v_mov_b32 %0, %1" : "=v"(x) : "s"(x));
#endif
    return x;
}

struct NoRule {
    AITERI_METHOD static NoRule of(int) { return {}; }
};

/* SCALED: rows have scales. FINITE: no element is infinite or NaN. COLUMNS: pieces of a column are
 * read, too, where memory has them; else tiles are read element by element. Element: what memory is
 * read by where pieces must not be; PER of the columns are in one. */
template <class KV> struct Piece {
    static constexpr bool SCALED = false, FINITE = false, COLUMNS = true;
    enum { PER = 1 };
    typedef uint16_t Element;
    typedef u32x4 Raw;
    typedef NoRule Rule;

    /* The eight elements as an operand of type T. */
    template <class T> AITERI_METHOD static u32x4 operand(Raw x, Rule) { return x; }
    /* Element j of two pieces. */
    template <class T> AITERI_METHOD static uint32_t pair(Raw a, Raw b, int j, Rule)
    {
        return pair_halves(a[j / 2], b[j / 2], j % 2 != 0);
    }
    AITERI_METHOD static bool non_finite(Raw x, Rule) { return has_non_finite<KV>(x); }
    AITERI_METHOD static Raw finite(Raw x, Rule) { return map_halves(x, finite_or_zero<KV>); }
};

template <> struct Piece<i8> {
    static constexpr bool SCALED = true, FINITE = true, COLUMNS = true;
    enum { PER = 1 };
    typedef uint8_t Element;
    typedef u32x2 Raw;
    typedef NoRule Rule;

    AITERI_METHOD static float byte_of(Raw x, int j)
    {
#if defined(__NVPTX__) /* 2^23 + 128 + the byte, by its bits: conversions have half the rate */
        const uint32_t bits = __nvvm_prmt(x[j / 4] ^ 0x80808080, 0x4b000000, 0x7650 | j % 4);
        return __builtin_bit_cast(float, bits) - 8388736.0f;
#else
        return (float)(int8_t)(x[j / 4] >> (j % 4 * 8));
#endif
    }
    template <class T> AITERI_METHOD static u32x4 operand(Raw x, Rule)
    {
        u32x4 y;
#pragma unroll
        for (int i = 0; i < 4; i++)
            y[i] = pack_exactly<T>(byte_of(x, 2 * i), byte_of(x, 2 * i + 1));
        return y;
    }
    template <class T> AITERI_METHOD static uint32_t pair(Raw a, Raw b, int j, Rule)
    {
        return pack_exactly<T>(byte_of(a, j), byte_of(b, j));
    }
};

/* Two's complement of four bits, the low half of a byte first. */
template <> struct Piece<i4> {
    static constexpr bool SCALED = true, FINITE = true, COLUMNS = false;
    enum { PER = 2 };
    typedef uint8_t Element;
    typedef uint32_t Raw;
    typedef NoRule Rule;

    /* Of the lowest four bits of both halves: 1024 + 8 + their number is a bit pattern of f16. */
    template <class T> AITERI_METHOD static uint32_t numbers(uint32_t x)
    {
        const f16x2 y = __builtin_bit_cast(f16x2, (x & 0x000f000f) ^ 0x64086408);
        return narrow_pair<T>(y - f16x2{1032, 1032});
    }
    template <class T> AITERI_METHOD static u32x4 operand(Raw x, Rule)
    {
        u32x4 y;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const uint32_t both = x >> i * 8 & 0xff;
            y[i] = numbers<T>(both | both << 12);
        }
        return y;
    }
    template <class T> AITERI_METHOD static uint32_t pair(Raw a, Raw b, int j, Rule)
    {
        return numbers<T>(pair_bytes(a, j / 2, b, j / 2) >> (8 + j % 2 * 4));
    }
};

/* The three fp8 types. A code is moved to where f16 has its sign, exponent and mantissa; their
 * biases differ by a power of two, which then multiplies: subnormal codes need nothing more. */
template <> struct Piece<f8> {
    static constexpr bool SCALED = true, FINITE = false, COLUMNS = false;
    enum { PER = 1 };
    typedef uint8_t Element;
    typedef u32x2 Raw;

    struct Rule {
        uint32_t shift, mask; /* of the magnitude, below its sign's place */
        uint32_t top;         /* carries from e4m3fn's NaN alone, the highest, into bit 14 */
        uint32_t one;         /* finds e4m3fnuz's NaN, which f16 takes for -0 */
        uint32_t factor;      /* f16 */
        uint32_t wild;        /* a byte's magnitude plus this carries into bit 7: see not_finite */

        AITERI_METHOD static Rule of(int dtype)
        {
            Rule r = {1, 0x3f803f80, 0, 0x00010001, 0x58005800, 0x7f7f7f7f}; /* 128 */
            if (dtype == DTYPE_F8_E4M3FN)
                r = {1, 0x3f803f80, 0x00800080, 0, 0x5c005c00, 0x01010101};                /* 256 */
            if (dtype == DTYPE_F8_E5M2) r = {0, 0x7f007f00, 0, 0, 0x3c003c00, 0x04040404}; /* 1 */
            return {in_lanes(r.shift), in_lanes(r.mask),   in_lanes(r.top),
                    in_lanes(r.one),   in_lanes(r.factor), in_lanes(r.wild)};
        }
    };

    /* Of the codes in the upper bytes of both halves. An exponent of ones makes NaN of e4m3fn's. */
    template <class T> AITERI_METHOD static uint32_t numbers(uint32_t x, Rule r)
    {
        uint32_t y = (x & 0x80008000) | (x >> r.shift & r.mask);
        y |= (y + r.top) & 0x40004000;
        y = with_nan_of_minus_0(y, r.one);
        return narrow_pair<T>(__builtin_bit_cast(f16x2, y) * __builtin_bit_cast(f16x2, r.factor));
    }
    /* To take one from -0 as an integer and give it back, saturated, makes NaN of it, and of
     * nothing else. */
    AITERI_METHOD static uint32_t with_nan_of_minus_0(uint32_t y, uint32_t one)
    {
#if defined(__NVPTX__) /* which has no saturating sum of halves */
        if (!one) return y;
        const uint32_t some = (y & 0x7fff7fff) + 0x7fff7fff, minus_0 = y & ~some & 0x80008000;
        return y | (minus_0 - (minus_0 >> 6));
#else
        const s16x2 step = __builtin_bit_cast(s16x2, one);
        const s16x2 z = __builtin_elementwise_add_sat(__builtin_bit_cast(s16x2, y) - step, step);
        return __builtin_bit_cast(uint32_t, z);
#endif
    }
    template <class T> AITERI_METHOD static u32x4 operand(Raw x, Rule r)
    {
        u32x4 y;
#pragma unroll
        for (int i = 0; i < 4; i++)
            y[i] = numbers<T>(pair_bytes(x[i / 2], i % 2 * 2, x[i / 2], i % 2 * 2 + 1), r);
        return y;
    }
    template <class T> AITERI_METHOD static uint32_t pair(Raw a, Raw b, int j, Rule r)
    {
        return numbers<T>(pair_bytes(a[j / 4], j % 4, b[j / 4], j % 4), r);
    }

    /* Bit 7 of each byte that is infinite or NaN: the highest magnitudes, or e4m3fnuz's 0x80. */
    AITERI_METHOD static uint32_t not_finite(uint32_t x, Rule r)
    {
        const uint32_t sum = (x & 0x7f7f7f7f) + r.wild;
        return (r.one ? x & ~sum : sum) & 0x80808080;
    }
    AITERI_METHOD static uint32_t whole_bytes(uint32_t bits) { return (bits << 1) - (bits >> 7); }

    AITERI_METHOD static bool non_finite(Raw x, Rule r)
    {
        return (not_finite(x.x, r) | not_finite(x.y, r)) != 0;
    }
    AITERI_METHOD static Raw finite(Raw x, Rule r)
    {
#pragma unroll
        for (int i = 0; i < 2; i++) { x[i] &= ~whole_bytes(not_finite(x[i], r)); }
        return x;
    }

    /* Codes whose sums tell what was not finite, as census_code: 2^-9 for infinity, 128 times that
     * for -infinity, and 128 times that for NaN. */
    static constexpr float CENSUS = 512.0f;
    AITERI_METHOD static Raw census_codes(Raw x, bool turned, Rule r)
    {
        const bool e5m2 = r.shift == 0;
        const uint32_t nan_code = e5m2 ? 0x50505050 : r.one ? 0x68686868 : 0x60606060;
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const uint32_t sum = (x[i] & 0x7f7f7f7f) + 0x03030303; /* carries of e5m2's NaN */
            const uint32_t found = not_finite(x[i], r), nan = e5m2 ? found & sum : found;
            const uint32_t infinite = found & ~nan, minus = x[i] ^ (turned ? 0x80808080 : 0);
            x[i] = (whole_bytes(nan) & nan_code) | (whole_bytes(infinite & minus) & 0x34343434) |
                   (whole_bytes(infinite & ~minus) & 0x18181818);
        }
        return x;
    }
};

} // namespace aiteri

#endif /* AITERI_TILE_PIECE_HPP */
