/* decode.hpp -- fragments for few query rows against many keys: K and V go from memory straight to
 * the registers that the matrix instructions read, in pieces of 8 elements, on every chip.
 *
 * A wave is a grid of 4 quarters x LINES lanes. A block is KEYS keys, EACH of them to a quarter:
 *
 *     scores    S = Q K^T: a lane has the row of its line and the keys of its quarter
 *     keys      2 sets of rows; a lane loads, for each 32 columns, 8 of one key of its line
 *     values    a lane loads 8 columns (from 8 * line on) of all keys of its quarter; instruction j
 *               takes element j of each, so O^T = V^T P^T needs neither LDS nor a lane exchange.
 *               ACROSS: it loads the same, a column at a time
 *
 * Which 8 of 32 columns, and which keys of 4 * EACH, is free: a product does not depend on the
 * order of its terms, and Q and the weights have the same one. */
#ifndef AITERI_TILE_DECODE_HPP
#define AITERI_TILE_DECODE_HPP

#include "softmax.hpp"
#include "piece.hpp"
#include "wave.hpp"

namespace aiteri
{

enum { DECODE_CHUNK_COLUMNS = 128 };
typedef float f32x4 __attribute__((ext_vector_type(4)));

/* A factor of packed products, in both halves of its pair of registers. Told of one alone, the
 * compiler takes whatever the other one is, even what is still being loaded, and waits for it. */
struct Twice {
    float x[2];
    AITERI_METHOD static Twice of(float x)
    {
        float y = x;
#if defined(__AMDGCN__)
        asm("v_mov_b32 %0, %1" : "=v"(y) : "v"(x));
#endif
        return {{x, y}};
    }
};

/* The first or the second half of a piece. */
template <class Raw> struct HalfOf {
    typedef u32x2 Type;
};
template <> struct HalfOf<u32x2> {
    typedef uint32_t Type;
};

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

template <class T, class KV, int DQ, int DV> struct DecodeFragments {
    typedef Piece<KV> P;
    typedef typename P::Raw Raw;
    typedef typename P::Rule Rule;
    enum { STEPS = DQ / 32, PIECES = DV / (CHUNK * LINES), CHUNKS = DV / DECODE_CHUNK_COLUMNS };
    static_assert(DQ % 32 == 0 && DV % DECODE_CHUNK_COLUMNS == 0, "whole instructions");

    struct Queries {
        u32x4 x[STEPS];
    };
    struct Keys {
        Raw x[SETS][STEPS];
    };
    /* Eight columns of a key, or with ACROSS of one column, and on NVIDIA of a second one, EACH
     * keys. */
    struct Values {
        Raw x[PIECES][EACH];
    };
    struct Lane {
        float x[EACH];
    };

    /* Column j of a piece's eight. */
#if defined(__NVPTX__)
    static_assert(EACH * 2 == CHUNK, "two columns");
    typedef typename HalfOf<Raw>::Type Column;
    AITERI_METHOD static void set_column(Values &v, int p, int j, Column x)
    {
        if (j % 2)
            v.x[p][j / 2].hi = x;
        else
            v.x[p][j / 2].lo = x;
    }
#else
    typedef Raw Column;
    AITERI_METHOD static void set_column(Values &v, int p, int j, Column x) { v.x[p][j] = x; }
#endif

    /* First columns of what a lane loads. */
    AITERI_METHOD static int key_column(int lane, int step)
    {
        return step * 32 + quarter_of(lane) * CHUNK;
    }
    AITERI_METHOD static int value_column(int lane, int piece)
    {
        return (piece * LINES + line_of(lane)) * CHUNK;
    }

    struct Sums {
        f32x4 x[CHUNKS][CHUNK];
    };

    AITERI_METHOD static bool non_finite(const Values &v, const Rule &rule)
    {
        bool found = false;
        if constexpr (!P::FINITE) {
#pragma unroll
            for (int p = 0; p < PIECES; p++)
#pragma unroll
                for (int e = 0; e < EACH; e++) found = P::non_finite(v.x[p][e], rule) || found;
        }
        return found;
    }

    /* The operand for columns j of each eight, of chunk c. */
    template <bool ACROSS>
    AITERI_METHOD static u32x4 value_operand(const Values &v, int c, int j, const Rule &rule)
    {
        if constexpr (ACROSS) return column_operand(v, c, j, rule);
        const auto pair = [&](const Raw *x, int e) AITERI_INLINE {
            return P::template pair<T>(x[e], x[e + 1], j, rule);
        };
#if defined(__NVPTX__)
        const Raw *lo = v.x[2 * c], *hi = v.x[2 * c + 1];
        return {pair(lo, 0), pair(hi, 0), pair(lo, 2), pair(hi, 2)};
#else
        const Raw *x = v.x[c];
        return {pair(x, 0), pair(x, 2), pair(x, 4), pair(x, 6)};
#endif
    }

    AITERI_METHOD static u32x4 column_operand(const Values &v, int c, int j, const Rule &rule)
    {
#if defined(__NVPTX__)
        const u32x4 lo = P::template operand<T>(v.x[2 * c][j / 2], rule),
                    hi = P::template operand<T>(v.x[2 * c + 1][j / 2], rule);
        return j % 2 ? u32x4{lo.z, hi.z, lo.w, hi.w} : u32x4{lo.x, hi.x, lo.y, hi.y};
#else
        return P::template operand<T>(v.x[c][j], rule);
#endif
    }

    AITERI_METHOD static u32x4 weight_operand(const Lane &p)
    {
        u32x4 x = {0, 0, 0, 0};
#pragma unroll
        for (int e = 0; e < EACH; e += 2) x[e / 2] = T::pack_weights(p.x[e], p.x[e + 1]);
        return x;
    }

    AITERI_METHOD static void multiply(u32x4 values, u32x4 weights, f32x4 &sum)
    {
#if defined(__NVPTX__)
        nvidia_mma<T>(values, weights.x, weights.y, sum);
#else
        sum = cdna_mfma<T, 16>(values, weights, sum);
#endif
    }

    /* O^T += V^T P^T. */
    template <bool ACROSS>
    AITERI_METHOD static void add_chunk(Sums &o, int c, u32x4 weight, const Values &v,
                                        const Rule &rule)
    {
#pragma unroll
        for (int j = 0; j < CHUNK; j++)
            multiply(value_operand<ACROSS>(v, c, j, rule), weight, o.x[c][j]);
    }
    template <bool ACROSS>
    AITERI_METHOD static void add_values(Sums &o, const Lane &p, const Values &v, const Rule &rule)
    {
        const u32x4 weight = weight_operand(p);
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) add_chunk<ACROSS>(o, c, weight, v, rule);
    }

    /* Values that are not finite go into the sums by themselves, and become 0: 0 times NaN is NaN,
     * and a key that a row does not see must not reach it. part: 1 where a key takes part. */
    template <bool ACROSS>
    AITERI_METHOD static void take_non_finite(Sums &o, const Lane &part, Values &v,
                                              const Rule &rule)
    {
        const u32x4 one = weight_operand(part);
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
#pragma unroll
            for (int j = 0; j < CHUNK; j++) {
                const u32x4 code = map_halves(value_operand<ACROSS>(v, c, j, rule), census_code<T>);
                if (!any_lane((code.x | code.y | code.z | code.w) != 0)) continue;
                f32x4 count = {};
                multiply(code, one, count);
#pragma unroll
                for (int e = 0; e < 4; e++) o.x[c][j][e] += census_verdict(count[e]);
                if constexpr (ACROSS && EACH == CHUNK) {
                    u32x4 x = v.x[c][j];
#if defined(__AMDGCN__) /* its masks are not those of the census: they would fill all scalars */
                    asm("" : "+v"(x));
#endif
                    v.x[c][j] = P::finite(x, rule);
                }
            }
        if (ACROSS && EACH == CHUNK) return;
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
            each_piece(c,
                       [&](int i, int e) AITERI_INLINE { v.x[i][e] = P::finite(v.x[i][e], rule); });
    }

    /* The same of values that are converted first, which is too much code to have it twice: a first
     * round by the instructions of the second gives codes to the sums. scale: of the keys' values.
     */
    AITERI_METHOD static void add_codes_then_values(Sums &o, const Lane &part, const Lane &scale,
                                                    const Lane &p, Values &v, const Rule &rule,
                                                    bool wild)
    {
        const u32x4 weights = weight_operand(p);
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            Values x = v;
            Sums kept = o;
            u32x4 weight = weights;
#pragma unroll 1
            for (int round = wild ? 0 : 1; round < 2; round++) {
                if (round == 0) {
                    weight = weight_operand(part);
                    each_piece(c, [&](int i, int e) AITERI_INLINE {
                        x.x[i][e] = P::census_codes(v.x[i][e], scale.x[e] < 0.0f, rule);
                        v.x[i][e] = P::finite(v.x[i][e], rule);
                    });
#pragma unroll
                    for (int j = 0; j < CHUNK; j++) o.x[c][j] = f32x4{};
                }
                add_chunk<false>(o, c, weight, x, rule);
                if (round == 0) {
                    weight = weights;
                    each_piece(c, [&](int i, int e) AITERI_INLINE { x.x[i][e] = v.x[i][e]; });
#pragma unroll
                    for (int j = 0; j < CHUNK; j++)
#pragma unroll
                        for (int e = 0; e < 4; e++)
                            o.x[c][j][e] =
                                kept.x[c][j][e] + census_verdict(o.x[c][j][e] * P::CENSUS);
                }
            }
        }
    }
    /* Calls f with the places of chunk c's pieces. */
    template <class F> AITERI_METHOD static void each_piece(int c, F f)
    {
        constexpr int OF_CHUNK = PIECES / CHUNKS;
#pragma unroll
        for (int i = 0; i < OF_CHUNK; i++)
#pragma unroll
            for (int e = 0; e < EACH; e++) f(c * OF_CHUNK + i, e);
    }

#if defined(__NVPTX__)

    /* The lower rows of the instruction are empty. */
    AITERI_METHOD static void scores(const Queries &q, const Keys &k, Lane &s, const Rule &rule)
    {
        f32x4 acc[SETS] = {};
#pragma unroll
        for (int step = 0; step < STEPS; step++)
#pragma unroll
            for (int t = 0; t < SETS; t++) {
                const u32x4 a = q.x[step], b = P::template operand<T>(k.x[t][step], rule);
                nvidia_mma<T>(u32x4{a.x, 0, a.y, 0}, b.x, b.y, acc[t]);
                nvidia_mma<T>(u32x4{a.z, 0, a.w, 0}, b.z, b.w, acc[t]);
            }
#pragma unroll
        for (int e = 0; e < EACH; e++) s.x[e] = acc[e / 2][e % 2];
    }

    /* factor: of the row of this lane's scores; the sums' rows are other lanes'. */
    AITERI_METHOD static void rescale(Sums &o, float factor, int lane)
    {
        const float even = lane_read(factor, quarter_of(lane) * 8);
        const float odd = lane_read(factor, quarter_of(lane) * 8 + 4);
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
#pragma unroll
            for (int j = 0; j < CHUNK; j++) o.x[c][j] *= f32x4{even, odd, even, odd};
    }

    /* Where element r of a lane's sums stands: its row, and first column of 8 in a chunk. */
    AITERI_METHOD static int sum_row(int lane, int r) { return quarter_of(lane) * 2 + r % 2; }
    AITERI_METHOD static int sum_column(int lane, int r)
    {
        return (r / 2 * LINES + line_of(lane)) * CHUNK;
    }

#else

    AITERI_METHOD static void scores(const Queries &q, const Keys &k, Lane &s, const Rule &rule)
    {
        f32x4 acc[SETS] = {};
#pragma unroll
        for (int step = 0; step < STEPS; step++)
#pragma unroll
            for (int t = 0; t < SETS; t++)
                acc[t] =
                    cdna_mfma<T, 16>(P::template operand<T>(k.x[t][step], rule), q.x[step], acc[t]);
#pragma unroll
        for (int e = 0; e < EACH; e++) s.x[e] = acc[e / 4][e % 4];
    }

    AITERI_METHOD static void rescale(Sums &o, float factor, int)
    {
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
#pragma unroll
            for (int j = 0; j < CHUNK; j++) o.x[c][j] *= factor;
    }

    /* Where element r of a lane's sums stands: its row, and first column of 8 in a chunk. */
    AITERI_METHOD static int sum_row(int lane, int) { return line_of(lane); }
    AITERI_METHOD static int sum_column(int lane, int r)
    {
        return (quarter_of(lane) * 4 + r) * CHUNK;
    }

#endif

    /* Columns [128 c, 128 c + 128) of all rows to LDS, `stride` floats from row to row. */
    AITERI_METHOD static void store(const Sums &o, int c, Local<float> to, int stride, int lane)
    {
#pragma unroll
        for (int r = 0; r < 4; r++) {
            const Local<f32x4> at =
                (Local<f32x4>)(to + sum_row(lane, r) * stride + sum_column(lane, r));
            at[0] = {o.x[c][0][r], o.x[c][1][r], o.x[c][2][r], o.x[c][3][r]};
            at[1] = {o.x[c][4][r], o.x[c][5][r], o.x[c][6][r], o.x[c][7][r]};
        }
    }
};

} // namespace aiteri

#endif /* AITERI_TILE_DECODE_HPP */
