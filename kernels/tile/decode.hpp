/* decode.hpp -- fragments for few query rows against many keys: K and V go from memory straight to
 * the registers that the matrix instructions read, in pieces of 8 elements, on every chip.
 *
 * A wave is a grid of 4 quarters x LINES lanes. A block is KEYS keys, EACH of them to a quarter:
 *
 *     scores    S = Q K^T: a lane has rows line + LINES * i and the keys of its quarter
 *     keys      2 sets of rows; a lane loads, for each 32 columns, 8 of one key of its line
 *     values    a lane loads 8 columns (from 8 * line on) of all keys of its quarter; instruction j
 *               takes element j of each, so O^T = V^T P^T needs neither LDS nor a lane exchange
 *
 * Which 8 of 32 columns, and which keys of 4 * EACH, is free: a product does not depend on the
 * order of its terms, and Q and the weights have the same one. */
#ifndef AITERI_TILE_DECODE_HPP
#define AITERI_TILE_DECODE_HPP

#include "storage.hpp"
#include "tile.hpp"
#include "wave.hpp"

namespace aiteri
{

enum { DECODE_CHUNK_COLUMNS = 128 };
typedef float f32x4 __attribute__((ext_vector_type(4)));

/* Eight stored elements of K or V. */
template <class KV> struct Piece {
    typedef uint16_t Element;
    typedef u32x4 Raw;
};
template <> struct Piece<i8> {
    typedef uint8_t Element;
    typedef u32x2 Raw;
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

AITERI_FN float byte_of(u32x2 x, int j) { return (float)(int8_t)(x[j / 4] >> (j % 4 * 8)); }

/* Two small integers, which both 16-bit types hold exactly. */
template <class T> AITERI_FN uint32_t pack_exactly(float a, float b)
{
    if constexpr (__is_same(T, f16))
        return f16::pack(a, b);
    else
        return pair_halves(__builtin_bit_cast(uint32_t, a), __builtin_bit_cast(uint32_t, b), true);
}

/* The eight elements as an operand of type T. */
template <class T> AITERI_FN u32x4 operand_of(u32x4 x) { return x; }
template <class T> AITERI_FN u32x4 operand_of(u32x2 x)
{
    u32x4 y;
#pragma unroll
    for (int i = 0; i < 4; i++) y[i] = pack_exactly<T>(byte_of(x, 2 * i), byte_of(x, 2 * i + 1));
    return y;
}

/* Element j of two pieces. */
template <class T> AITERI_FN uint32_t element_pair(u32x4 a, u32x4 b, int j)
{
    return pair_halves(a[j / 2], b[j / 2], j % 2 != 0);
}
template <class T> AITERI_FN uint32_t element_pair(u32x2 a, u32x2 b, int j)
{
    return pack_exactly<T>(byte_of(a, j), byte_of(b, j));
}

#if defined(__NVPTX__)
enum { LINES = 8, EACH = 4 };
AITERI_FN int line_of(int lane) { return lane / 4; }
AITERI_FN int quarter_of(int lane) { return lane % 4; }
#else
enum { LINES = 16, EACH = 8 };
AITERI_FN int line_of(int lane) { return lane % LINES; }
AITERI_FN int quarter_of(int lane) { return lane / LINES; }
#endif
enum { DECODE_KEYS = 4 * EACH, SETS = 2 };

/* The place in its block of the key that a lane loads for set t, and of key e of its quarter. */
AITERI_FN int key_of_set(int lane, int t)
{
    const int line = line_of(lane), half = EACH / SETS;
    return line / half * EACH + t * half + line % half;
}
AITERI_FN int key_of_quarter(int lane, int e) { return quarter_of(lane) * EACH + e; }

template <class T, class KV, int DQ, int DV, int ROWS> struct DecodeFragments {
    typedef typename Piece<KV>::Raw Raw;
    enum {
        STEPS = DQ / 32,
        PIECES = DV / (CHUNK * LINES),
        CHUNKS = DV / DECODE_CHUNK_COLUMNS,
        LANE_ROWS = ROWS / LINES
    };
    static_assert(LANE_ROWS == 1 || LANE_ROWS * LINES == 16, "rows of one instruction");
    static_assert(DQ % 32 == 0 && DV % DECODE_CHUNK_COLUMNS == 0, "whole instructions");

    struct Queries {
        u32x4 x[STEPS][LANE_ROWS];
    };
    struct Keys {
        Raw x[SETS][STEPS];
    };
    struct Values {
        Raw x[PIECES][EACH];
    };
    struct Lane {
        float x[LANE_ROWS][EACH];
    };

    /* First columns of what a lane loads. */
    AITERI_METHOD static int key_column(int lane, int step)
    {
        return step * 32 + quarter_of(lane) * CHUNK;
    }
    AITERI_METHOD static int value_column(int lane, int piece)
    {
        return (piece * LINES + line_of(lane)) * CHUNK;
    }

#if defined(__NVPTX__)

    struct Sums {
        f32x4 x[CHUNKS][CHUNK][LANE_ROWS];
    };

    AITERI_METHOD static void scores(const Queries &q, const Keys &k, Lane &s)
    {
        f32x4 acc[SETS] = {};
#pragma unroll
        for (int step = 0; step < STEPS; step++)
#pragma unroll
            for (int t = 0; t < SETS; t++) {
                const u32x4 b = operand_of<T>(k.x[t][step]), top = q.x[step][0];
                u32x4 low = {0, 0, 0, 0};
                if constexpr (LANE_ROWS > 1) low = q.x[step][1];
                nvidia_mma<T>(u32x4{top.x, low.x, top.y, low.y}, b.x, b.y, acc[t]);
                nvidia_mma<T>(u32x4{top.z, low.z, top.w, low.w}, b.z, b.w, acc[t]);
            }
#pragma unroll
        for (int e = 0; e < EACH; e++)
#pragma unroll
            for (int i = 0; i < LANE_ROWS; i++) s.x[i][e] = acc[e / 2][i * 2 + e % 2];
    }

    /* Rows from 8 on are left out where there are none. */
    AITERI_METHOD static void add_values(Sums &o, const Lane &p, const Values &v, bool second)
    {
        u32x2 weight[LANE_ROWS];
#pragma unroll
        for (int i = 0; i < LANE_ROWS; i++)
            weight[i] =
                u32x2{T::pack_weights(p.x[i][0], p.x[i][1]), T::pack_weights(p.x[i][2], p.x[i][3])};
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
#pragma unroll
            for (int j = 0; j < CHUNK; j++) {
                const Raw *lo = v.x[2 * c], *hi = v.x[2 * c + 1];
                const u32x4 a = {element_pair<T>(lo[0], lo[1], j), element_pair<T>(hi[0], hi[1], j),
                                 element_pair<T>(lo[2], lo[3], j),
                                 element_pair<T>(hi[2], hi[3], j)};
                nvidia_mma<T>(a, weight[0].x, weight[0].y, o.x[c][j][0]);
                if constexpr (LANE_ROWS > 1)
                    if (second) nvidia_mma<T>(a, weight[1].x, weight[1].y, o.x[c][j][1]);
            }
    }

    /* factor: of the rows of this lane's scores; the sums' rows are other lanes'. */
    AITERI_METHOD static void rescale(Sums &o, const float *factor, int lane)
    {
#pragma unroll
        for (int i = 0; i < LANE_ROWS; i++) {
            const float even = lane_read(factor[i], quarter_of(lane) * 8);
            const float odd = lane_read(factor[i], quarter_of(lane) * 8 + 4);
#pragma unroll
            for (int c = 0; c < CHUNKS; c++)
#pragma unroll
                for (int j = 0; j < CHUNK; j++) o.x[c][j][i] *= f32x4{even, odd, even, odd};
        }
    }

    /* Columns [128 c, 128 c + 128) of all rows to LDS, `stride` floats from row to row. */
    AITERI_METHOD static void store(const Sums &o, int c, Local<float> to, int stride, int lane)
    {
#pragma unroll
        for (int i = 0; i < LANE_ROWS; i++)
#pragma unroll
            for (int r = 0; r < 4; r++) {
                const int row = i * LINES + quarter_of(lane) * 2 + r % 2;
                const int column = (r / 2 * LINES + line_of(lane)) * CHUNK;
                const Local<f32x4> at = (Local<f32x4>)(to + row * stride + column);
                at[0] = {o.x[c][0][i][r], o.x[c][1][i][r], o.x[c][2][i][r], o.x[c][3][i][r]};
                at[1] = {o.x[c][4][i][r], o.x[c][5][i][r], o.x[c][6][i][r], o.x[c][7][i][r]};
            }
    }

#else

    struct Sums {
        f32x4 x[CHUNKS][CHUNK];
    };

    AITERI_METHOD static void scores(const Queries &q, const Keys &k, Lane &s)
    {
        f32x4 acc[SETS] = {};
#pragma unroll
        for (int step = 0; step < STEPS; step++)
#pragma unroll
            for (int t = 0; t < SETS; t++)
                acc[t] = cdna_mfma<T, 16>(operand_of<T>(k.x[t][step]), q.x[step][0], acc[t]);
#pragma unroll
        for (int e = 0; e < EACH; e++) s.x[0][e] = acc[e / 4][e % 4];
    }

    AITERI_METHOD static void add_values(Sums &o, const Lane &p, const Values &v, bool)
    {
        u32x4 weight;
#pragma unroll
        for (int i = 0; i < 4; i++) weight[i] = T::pack_weights(p.x[0][2 * i], p.x[0][2 * i + 1]);
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
#pragma unroll
            for (int j = 0; j < CHUNK; j++) {
                u32x4 a;
#pragma unroll
                for (int i = 0; i < 4; i++)
                    a[i] = element_pair<T>(v.x[c][2 * i], v.x[c][2 * i + 1], j);
                o.x[c][j] = cdna_mfma<T, 16>(a, weight, o.x[c][j]);
            }
    }

    AITERI_METHOD static void rescale(Sums &o, const float *factor, int)
    {
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
#pragma unroll
            for (int j = 0; j < CHUNK; j++) o.x[c][j] *= factor[0];
    }

    /* Columns [128 c, 128 c + 128) of all rows to LDS, `stride` floats from row to row. */
    AITERI_METHOD static void store(const Sums &o, int c, Local<float> to, int stride, int lane)
    {
#pragma unroll
        for (int r = 0; r < 4; r++) {
            const int column = (quarter_of(lane) * 4 + r) * CHUNK;
            const Local<f32x4> at = (Local<f32x4>)(to + line_of(lane) * stride + column);
            at[0] = {o.x[c][0][r], o.x[c][1][r], o.x[c][2][r], o.x[c][3][r]};
            at[1] = {o.x[c][4][r], o.x[c][5][r], o.x[c][6][r], o.x[c][7][r]};
        }
    }

#endif
};

} // namespace aiteri

#endif /* AITERI_TILE_DECODE_HPP */
