/* plain_nvidia.hpp -- the plain class of flash_fwd on NVIDIA, sm_80 and up: four warps of 32 query
 * rows, of which every fragment of K and V serves two blocks of 16.
 *
 * K and V are double buffered by cp.async: a tile has the time of a whole step to land, and a step
 * needs one barrier. Output rows are rescaled only when a maximum grew by more than 2^8. */
#ifndef AITERI_FLASH_PLAIN_NVIDIA_HPP
#define AITERI_FLASH_PLAIN_NVIDIA_HPP

#include "nvidia_rows.hpp"

namespace aiteri
{

/* Where a lane's part of a fragment begins. With chunk 2 i for 0 it is that XOR 32 i, and 16 rows
 * further a constant more. */
AITERI_FN uint32_t fragment_place(int row, int chunk, int row_bytes)
{
    return (uint32_t)(row * row_bytes + (chunk ^ row % 8) * 16);
}

template <class T, int D, int KEYS, int THREADS>
struct PlainNvidia : NvidiaRows<T, D, 2, WholeRows<D>, THREADS, KEYS> {
    typedef NvidiaRows<T, D, 2, WholeRows<D>, THREADS, KEYS> Base;
    typedef typename Base::Scores Scores;
    typedef typename Base::Copies Copies;
    enum {
        BLOCKS = 2,
        LANE_ROWS = Base::LANE_ROWS,
        ROW_BYTES = D * 2,
        DEPTH = D / 16,
        STEPS = Base::STEPS,
        TILE_BYTES = Base::TILE_BYTES,
        LDS_BYTES = Base::Q_BYTES + 4 * TILE_BYTES /* Q, then K twice, then V twice */
    };
    using Base::a, Base::w, Base::shared, Base::lane, Base::first, Base::scale, Base::o, Base::top,
        Base::sum;

    int sure, some; /* keys below sure are seen by all rows of the warp, from `some` on by none */

    AITERI_METHOD PlainNvidia(const aiteri_gpu_attention &args, const FlashWork &work)
        : Base(args, work)
    {
        const int end = smaller_of(first + (int)Base::ROWS, w.s.seqlen_q);
        sure = this->limit(first);
        some = first < w.s.seqlen_q ? this->limit(end - 1) : 0;
    }

    AITERI_METHOD void score(uint32_t k, Scores &s) const
    {
        const int row = thread_id() / WAVE * Base::ROWS + lane % 16;
        const uint32_t q = shared + fragment_place(row, lane / 16, ROW_BYTES);
        k += fragment_place(lane / 16 * 8 + lane % 8, lane / 8 % 2, ROW_BYTES);
#pragma unroll
        for (int m = 0; m < BLOCKS; m++)
#pragma unroll
            for (int b = 0; b < KEYS / 8; b++) s.at[m][b] = f32x4{};
#pragma unroll
        for (int i = 0; i < DEPTH; i++) {
            u32x4 rows[BLOCKS];
#pragma unroll
            for (int m = 0; m < BLOCKS; m++)
                rows[m] = nvidia_matrices(q ^ i * 32, m * 16 * ROW_BYTES);
#pragma unroll
            for (int b = 0; b < STEPS; b++) {
                const u32x4 keys = nvidia_matrices(k ^ i * 32, b * 16 * ROW_BYTES);
#pragma unroll
                for (int m = 0; m < BLOCKS; m++) {
                    nvidia_mma<T>(rows[m], keys.x, keys.y, s.at[m][2 * b]);
                    nvidia_mma<T>(rows[m], keys.z, keys.w, s.at[m][2 * b + 1]);
                }
            }
        }
    }

    /* Sees to it that no weight exceeds 2^8. */
    AITERI_METHOD void keep_in_range(const Scores &s)
    {
        float most[LANE_ROWS];
        bool grew = false;
#pragma unroll
        for (int r = 0; r < LANE_ROWS; r++) {
            most[r] = minus_infinity();
#pragma unroll
            for (int b = 0; b < KEYS / 8; b++)
                most[r] = larger(larger(most[r], s.at[r / 2][b][r % 2 * 2]),
                                 s.at[r / 2][b][r % 2 * 2 + 1]);
            most[r] *= scale;
            grew = grew || most[r] > top[r] + (8.0f - T::WEIGHT_BIAS);
        }
        if (!any_lane(grew)) return;
#pragma unroll
        for (int r = 0; r < LANE_ROWS; r++) {
            float x = larger(most[r], lane_xor(most[r], 1));
            x = larger(x, lane_xor(x, 2));
            const float factor = this->raise(r, x);
            sum[r] *= factor;
            this->shrink(r, factor);
        }
    }

    /* Weights of keys [16 i, 16 i + 16) as operands. */
    AITERI_METHOD void weigh(const Scores &s, int i, const float *base, u32x4 *p)
    {
#pragma unroll
        for (int m = 0; m < BLOCKS; m++)
#pragma unroll
            for (int half = 0; half < 2; half++)
#pragma unroll
                for (int r = 0; r < 2; r++) {
                    const f32x4 x = s.at[m][2 * i + half];
                    const float y = exp2(__builtin_fmaf(x[2 * r], scale, -base[2 * m + r]));
                    const float z = exp2(__builtin_fmaf(x[2 * r + 1], scale, -base[2 * m + r]));
                    sum[2 * m + r] += y;
                    sum[2 * m + r] += z;
                    p[m][2 * half + r] = T::pack_weights(y, z);
                }
    }

    AITERI_METHOD void add_values(uint32_t v, const Scores &s)
    {
        float base[LANE_ROWS];
        v += fragment_place(lane % 16, lane / 16, ROW_BYTES);
#pragma unroll
        for (int r = 0; r < LANE_ROWS; r++) base[r] = this->base(r);
#pragma unroll
        for (int i = 0; i < STEPS; i++) {
            u32x4 p[BLOCKS];
            weigh(s, i, base, p);
#pragma unroll
            for (int d = 0; d < DEPTH; d++) {
                const u32x4 x = nvidia_matrices_transposed(v ^ d * 32, i * 16 * ROW_BYTES);
#pragma unroll
                for (int m = 0; m < BLOCKS; m++) {
                    nvidia_mma<T>(p[m], x.x, x.y, o[m][2 * d]);
                    nvidia_mma<T>(p[m], x.z, x.w, o[m][2 * d + 1]);
                }
            }
        }
    }

    AITERI_METHOD void tile(uint32_t k, uint32_t v, int key)
    {
        Scores s;
        if (key + KEYS > this->limit(w.first)) this->move_non_finite(v, key);
        if (key >= some) return;
        score(k, s);
        if (key + KEYS > sure) this->mask(s, key);
        keep_in_range(s);
        add_values(v, s);
    }

    AITERI_METHOD void run(Local<u32x4> tiles)
    {
        const TileWalk walk = flash_walk(a, w, Base::TILE_ROWS, KEYS);
        shared = (uint32_t)(uint64_t)tiles;
        if (walk.first >= walk.end) return;
        const int n = w.s.seqlen_k, from = walk.first * KEYS;
        Copies q = Copies::of(row_address(a.q, w, 0), a.q.stride_token, w.first);
        Copies k = Copies::of(source_address(a.k, w, a.group), a.k.stride_token, from);
        Copies v = Copies::of(source_address(a.v, w, a.group), a.v.stride_token, from);
        uint32_t at = shared + Base::Q_BYTES, other = at + TILE_BYTES;
        q.template start<Base::TILE_ROWS>(shared, w.first, w.s.seqlen_q);
        k.template start<KEYS>(at, from, n);
        v.template start<KEYS>(at + 2 * TILE_BYTES, from, n);
        if (a.score.softmax_scale < 0.0f) {
            nvidia_copies_done();
            barrier();
            this->negate_queries();
        }
#pragma clang loop unroll(disable)
        for (int i = walk.first; i < walk.end; i++) {
            nvidia_copies_done();
            barrier(); /* this tile is there, and nobody reads the last one */
            if (i + 1 < walk.end) {
                k.template start<KEYS>(other, (i + 1) * KEYS, n);
                v.template start<KEYS>(other + 2 * TILE_BYTES, (i + 1) * KEYS, n);
            }
            tile(at, at + 2 * TILE_BYTES, i * KEYS);
            const uint32_t was = at;
            at = other;
            other = was;
        }
    }
};

} // namespace aiteri

#define AITERI_FLASH_plain(F, T, dq, dv, threads, rows, keys)    \
    typedef aiteri::PlainNvidia<T, dq, keys, threads> F;         \
    static_assert(dq == dv && rows == F::TILE_ROWS, "geometry"); \
    aiteri::flash_fwd<F>(aiteri::arguments(a), (aiteri::Local<aiteri::u32x4>)aiteri_aligned);

#endif /* AITERI_FLASH_PLAIN_NVIDIA_HPP */
