/* tile.hpp -- the tile layer: matrix fragments that know which row and column their elements are,
 * LDS tiles, and the stages that fill them. One interface; cdna.hpp, nvidia.hpp and a test's own
 * file (AITERI_TILE_HOST names it) implement it.
 *
 * A wave multiplies ROWS matrix rows (queries, or packed heads) by blocks of COLS matrix columns
 * (keys, or elements of V), STEP deep (elements of the head, or keys):
 *
 *     typedef Matrix<bf16, 32> M;              // CDNA: 16 or 32 rows; NVIDIA: 16
 *     M::Operand q = M::load_rows(row_at, shape, step, lane_id());    // row_at(i): pointer or null
 *     M::Acc s[KEYS / M::COLS];                                       // scores of a tile of keys
 *     s[b] = M::mma(q, KeyTile<M, KEYS, D>::cols(lds_k, b, step, lane), s[b]);
 *
 * Element e of block b on a lane is row M::row(lane, M::row_of(e)), of which the lane has
 * LANE_ROWS, and column b * COLS + M::col_of(e) + M::col_of_lane(lane). RUN elements from a
 * multiple of RUN on lie side by side in one row. A row is spread over several lanes: M::row_max
 * and row_sum join them, leads() is true in one of them.
 *
 * All scores of a lane as one array p: elements [OPERAND * i, OPERAND * (i + 1)) converted by
 * M::weights are the row operand of keys [STEP * i, STEP * (i + 1)), whatever the layout:
 *
 *     o[d] = M::mma(M::weights(p + M::OPERAND * i), ValueTile<M, KEYS, D>::cols(lds_v, d, i, lane),
 *                   o[d]);
 *
 * Filling: KeyStage<KeyTile<..>, KEYS, D, THREADS> k; k.fetch(rows, first_key, thread_id()) starts,
 * k.store(lds, rows, first_key, thread_id()) lands in LDS, k.wait() and a barrier() make it
 * visible. rows (SourceRows) says which keys exist: the others become zeros, whatever lies there.
 */
#ifndef AITERI_TILE_TILE_HPP
#define AITERI_TILE_TILE_HPP

#include "source.hpp"
#if defined(AITERI_TILE_HOST)
#include AITERI_TILE_HOST
#elif defined(__NVPTX__)
#include "nvidia.hpp"
#else
#include "cdna.hpp"
#endif

namespace aiteri
{

/* A chip's own order of work: workgroup i of n to the place that keeps neighbours on one die,
 * where hardware deals workgroups to dies in turn. */
AITERI_FN int place_on_die(int i, int n, int dies)
{
    if (dies <= 1) return i;
    const int die = i % dies, each = n / dies, more = n % dies;
    return die * each + smaller_of(die, more) + i / dies;
}

/* tanh from exp2: an error of a few units of 2^-24, absolute. */
AITERI_FN float tanh(float x) { return 1.0f - 2.0f * reciprocal(1.0f + exp2(x * (2.0f * LOG2_E))); }

/* A score under a softcap. What the cap cannot be seen in stays, whatever the error of tanh. */
AITERI_FN float capped(float x, float cap, float inverse)
{
    const float share = x * inverse;
    return __builtin_fabsf(share) < 0x1p-12f ? x : cap * tanh(share);
}

/* Two elements of an attention's `out`. */
template <class T> AITERI_FN uint32_t pack_out(float lo, float hi)
{
    return without_minus_zero(T::pack(lo, hi));
}

/* Elements [d, d + RUN) of a 16-bit row of `out`. aligned: they lie at a multiple of their size,
 * and dim is a multiple of RUN. */
template <class T, int RUN>
AITERI_FN void store_run(Global<uint16_t> row, int d, int dim, bool aligned, const float *x)
{
    if (aligned) {
        if (d >= dim) return;
#pragma unroll
        for (int i = 0; i < RUN; i += 4) {
            if constexpr (RUN >= 4)
                *(Global<u32x2>)(row + d + i) =
                    u32x2{pack_out<T>(x[i], x[i + 1]), pack_out<T>(x[i + 2], x[i + 3])};
            else
                *(Global<uint32_t>)(row + d + i) = pack_out<T>(x[i], x[i + 1]);
        }
        return;
    }
#pragma unroll
    for (int i = 0; i < RUN; i++)
        if (d + i < dim) row[d + i] = (uint16_t)without_minus_zero(T::round(x[i]));
}

} // namespace aiteri

#endif /* AITERI_TILE_TILE_HPP */
