/* plain_sm90a.hpp -- the plain class of flash_fwd on sm_90a: two warpgroups of 64 query rows, whose
 * products run on while they compute weights.
 *
 * A step weighs the values of a tile while it scores the keys of the next one; those scores become
 * weights beside the product with the values. K and V are double buffered by cp.async. No barrier
 * joins the groups, they need not be in step: what one computes, the other's products hide. A phase
 * says that a tile is there (all threads copy a part of it), another that a step of both is done.
 */
#ifndef AITERI_FLASH_PLAIN_SM90A_HPP
#define AITERI_FLASH_PLAIN_SM90A_HPP

#include "nvidia_rows.hpp"
#include "../tile/wgmma.hpp"

namespace aiteri
{

/* What this thread copied and stored is there for the products of all. */
AITERI_FN void meet_with_copies()
{
    nvidia_copies_done();
    wgmma_see_shared();
    barrier();
}

template <class T, int D, int KEYS, int THREADS>
struct PlainSm90a : NvidiaRows<T, D, 1, HalfRows, THREADS, KEYS> {
    typedef NvidiaRows<T, D, 1, HalfRows, THREADS, KEYS> Base;
    typedef typename Base::Scores Scores;
    typedef typename Base::Copies Copies;
    enum {
        STEPS = Base::STEPS,
        TILE_ROWS = Base::TILE_ROWS,
        TILE_BYTES = Base::TILE_BYTES,
        PHASES = Base::Q_BYTES + 4 * TILE_BYTES, /* Q, then K twice, then V twice */
        LDS_BYTES = PHASES + 32,
        ROW_BYTES = HalfRows::STEP,
        GROUP_THREADS = 128,
        GROUP_ROWS = 64
    };
    static_assert(D == 128 && KEYS == 128, "one form of the instruction");
    using Base::a, Base::w, Base::shared, Base::scale, Base::o, Base::top, Base::sum;

    Copies k, v;
    uint64_t q_tile, k_tile, v_tile; /* of the first buffers */
    u32x4 p[STEPS];                  /* weights of the tile whose values come next */

    AITERI_METHOD PlainSm90a(const aiteri_gpu_attention &args, const FlashWork &work)
        : Base(args, work)
    {
    }

    /* Starts s = Q times the keys of a buffer. */
    AITERI_METHOD void score(uint32_t buffer, Scores &s) const
    {
        const uint64_t keys = wgmma_moved(k_tile, (int)buffer * TILE_BYTES);
#pragma unroll
        for (int i = 0; i < D / 16; i++) {
            const uint64_t rows = wgmma_moved(q_tile, (i / 4 * TILE_ROWS * 4 + i % 4) * 32);
            const uint64_t cols = wgmma_moved(keys, (i / 4 * KEYS * 4 + i % 4) * 32);
            if (i == 0)
                wgmma_set<T>(s.at[0], rows, cols);
            else
                wgmma_add<T>(s.at[0], rows, cols);
        }
        wgmma_commit();
    }

    /* Starts o += weights times the values of a buffer. */
    AITERI_METHOD void add_values(uint32_t buffer)
    {
        const uint64_t values = wgmma_moved(v_tile, (int)buffer * TILE_BYTES);
#pragma unroll
        for (int i = 0; i < STEPS; i++)
            wgmma_add<T>(o[0], p[i], wgmma_moved(values, i * 16 * ROW_BYTES));
        wgmma_commit();
    }

    AITERI_METHOD void settle()
    {
        wgmma_settle(o[0]);
#pragma unroll
        for (int i = 0; i < STEPS; i++) wgmma_settle(p[i]);
    }

    /* Scores become weights; factor[r]: what the row so far must be multiplied by. A maximum that
     * grew by no more than 2^8 stays. */
    AITERI_METHOD void weigh(Scores &s, float *factor)
    {
#pragma unroll
        for (int r = 0; r < 2; r++) {
            float x = minus_infinity();
#pragma unroll
            for (int b = 0; b < KEYS / 8; b++)
                x = larger(larger(x, s.at[0][b][r * 2]), s.at[0][b][r * 2 + 1]);
            x = larger(x, lane_xor(x, 1));
            x = larger(x, lane_xor(x, 2)) * scale;
            factor[r] = this->raise(r, x);
            const float base = this->base(r);
            float part[2] = {sum[r] * factor[r], 0.0f};
#pragma unroll
            for (int b = 0; b < KEYS / 8; b++)
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    const float y = exp2(__builtin_fmaf(s.at[0][b][r * 2 + e], scale, -base));
                    s.at[0][b][r * 2 + e] = y;
                    part[e] += y;
                }
            sum[r] = part[0] + part[1];
        }
    }

    AITERI_METHOD void rescale(const float *factor)
    {
        if (!any_lane(factor[0] != 1.0f || factor[1] != 1.0f)) return;
#pragma unroll
        for (int r = 0; r < 2; r++) this->shrink(r, factor[r]);
    }

    AITERI_METHOD void pack(const Scores &s)
    {
#pragma unroll
        for (int i = 0; i < STEPS; i++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const f32x4 x = s.at[0][2 * i + e / 2];
                p[i][e] = T::pack_weights(x[e % 2 * 2], x[e % 2 * 2 + 1]);
            }
    }

    AITERI_METHOD void clean_values(const TileWalk &tiles, int i)
    {
        this->move_non_finite(values(i - tiles.first), i * KEYS);
        wgmma_see_shared();
        barrier();
    }
    AITERI_METHOD uint32_t values(int n) const
    {
        return shared + (uint32_t)(Base::Q_BYTES + (2 + n % 2) * TILE_BYTES);
    }
    AITERI_METHOD uint32_t keys(int n) const
    {
        return shared + (uint32_t)(Base::Q_BYTES + n % 2 * TILE_BYTES);
    }

    /* Phases of step n: its values and next keys are there; the steps before it are done. */
    AITERI_METHOD uint32_t filled(int n) const { return shared + (uint32_t)(PHASES + n % 2 * 8); }
    AITERI_METHOD uint32_t done(int n) const
    {
        return shared + (uint32_t)(PHASES + 16 + n % 2 * 8);
    }
    AITERI_METHOD static int parity(int n) { return n / 2 % 2; }

    AITERI_METHOD void await_tiles(int n) const
    {
        phase_wait(filled(n), parity(n));
        wgmma_see_shared();
    }
    AITERI_METHOD void tell_done(int n) const
    {
        if (this->lane == 0) phase_arrive(done(n));
    }

    /* Into the buffers of the step before, for the next one. */
    AITERI_METHOD void start_copies(const TileWalk &tiles, int i)
    {
        const int n = i - tiles.first, end = w.s.seqlen_k;
        phase_wait(done(n), parity(n));
        if (i + 2 < tiles.end) k.template start<KEYS>(keys(n), (i + 2) * KEYS, end);
        v.template start<KEYS>(values(n + 1), (i + 1) * KEYS, end);
        phase_arrive_after_copies(filled(n + 1));
    }

    /* Values of tile i, keys of the next one. MASKED: some row may not see all of either. */
    template <bool MASKED> AITERI_METHOD void step(const TileWalk &tiles, int i, int whole)
    {
        const int n = i - tiles.first;
        Scores s;
        float factor[2];
        await_tiles(n);
        if (MASKED && i >= whole) clean_values(tiles, i);
        settle();
        wgmma_fence();
        score((n + 1) % 2, s);
        add_values(n % 2);
        start_copies(tiles, i);
        wgmma_wait<1>(s.at[0]);
        if (MASKED) this->mask(s, (i + 1) * KEYS);
        weigh(s, factor);
        wgmma_settle(s.at[0]);
        /* Never: sums are not negative. A branch that needs the weights keeps ptxas from waiting
         * for the product before it computes them. */
        if (sum[0] + sum[1] < 0.0f) wave_fence();
        wgmma_wait<0>(o[0]);
        settle();
        tell_done(n + 1);
        rescale(factor);
        pack(s);
    }

    /* The scores of the first tile, alone. */
    AITERI_METHOD void begin(int key, bool masked)
    {
        Scores s;
        float factor[2];
        wgmma_fence();
        score(0, s);
        wgmma_wait<0>(s.at[0]);
        if (masked) this->mask(s, key);
        weigh(s, factor);
        pack(s);
    }

    /* Q and the first keys are there, the first values and the second keys on their way. */
    AITERI_METHOD void open(const TileWalk &tiles)
    {
        const int end = w.s.seqlen_k, from = tiles.first * KEYS;
        const int group = uniform(thread_id() / GROUP_THREADS);
        Copies q = Copies::of(row_address(a.q, w, 0), a.q.stride_token, w.first);
        k = Copies::of(source_address(a.k, w, a.group), a.k.stride_token, from);
        v = Copies::of(source_address(a.v, w, a.group), a.v.stride_token, from);
        q_tile = wgmma_tile(shared + (uint32_t)(group * GROUP_ROWS * ROW_BYTES), 16, 1024);
        k_tile = wgmma_tile(keys(0), 16, 1024);
        v_tile = wgmma_tile(values(0), KEYS * ROW_BYTES, 1024);
        if (thread_id() < 2) {
            phase_begin(filled(thread_id()), THREADS);
            phase_begin(done(thread_id()), THREADS / WAVE);
        }
        q.template start<TILE_ROWS>(shared, w.first, w.s.seqlen_q);
        k.template start<KEYS>(keys(0), from, end);
        if (a.score.softmax_scale < 0.0f) {
            nvidia_copies_done();
            barrier();
            this->negate_queries();
        }
        meet_with_copies();
        v.template start<KEYS>(values(0), from, end);
        if (tiles.first + 1 < tiles.end) k.template start<KEYS>(keys(1), from + KEYS, end);
        phase_arrive_after_copies(filled(0));
    }

    AITERI_METHOD void run(Local<u32x4> memory)
    {
        const TileWalk tiles = flash_walk(a, w, TILE_ROWS, KEYS);
        const int whole = this->limit(w.first) / KEYS;
        shared = (uint32_t)(uint64_t)memory;
        if (tiles.first >= tiles.end) return;
        open(tiles);
        begin(tiles.first * KEYS, tiles.first >= whole);
        tell_done(0);
        int i = tiles.first;
#pragma clang loop unroll(disable)
        for (; i + 1 < smaller_of(whole, tiles.end); i++) step<false>(tiles, i, whole);
#pragma clang loop unroll(disable)
        for (; i + 1 < tiles.end; i++) step<true>(tiles, i, whole);
        await_tiles(i - tiles.first);
        if (i >= whole) clean_values(tiles, i);
        settle();
        wgmma_fence();
        add_values((i - tiles.first) % 2);
        phase_wait(done(i - tiles.first),
                   parity(i - tiles.first)); /* Q is read for the last time */
        wgmma_wait<0>(o[0]);
    }
};

} // namespace aiteri

#define AITERI_FLASH_plain(F, T, dq, dv, threads, rows, keys)    \
    typedef aiteri::PlainSm90a<T, dq, keys, threads> F;          \
    static_assert(dq == dv && rows == F::TILE_ROWS, "geometry"); \
    aiteri::flash_fwd<F>(aiteri::arguments(a), (aiteri::Local<aiteri::u32x4>)aiteri_aligned);

#endif /* AITERI_FLASH_PLAIN_SM90A_HPP */
