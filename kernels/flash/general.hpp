/* general.hpp -- flash_fwd with every mask, score option and source: one workgroup takes a tile of
 * query rows of one head through the keys that they see, with an online softmax in f32.
 *
 * A step needs two barriers, with one LDS tile each for K and V: while the scores of step n are
 * computed from K, V of step n lands; while the values are weighted, K of step n + 1 lands. */
#ifndef AITERI_FLASH_GENERAL_HPP
#define AITERI_FLASH_GENERAL_HPP

#include "finish.hpp"

namespace aiteri
{

/* Bit j: key + j is in a page. */
template <int KEYS> AITERI_FN uint64_t mapped_keys(const SourceRows &rows, int key, int lane)
{
    if (!rows.table) return ~(uint64_t)0;
    uint64_t bits = KEYS < 64 ? ~(uint64_t)0 << KEYS % 64 : 0;
#pragma unroll
    for (int j = 0; j < KEYS; j += WAVE)
        bits |= ballot(j + lane >= KEYS || rows.mapped(key + j + lane)) << j;
    return bits;
}

template <class T, int DQ, int DV, int THREADS, int ROWS, int KEYS> struct Flash {
    enum { TILE_ROWS = ROWS, WAVES = THREADS / WAVE };
    typedef Matrix<T, TILE_ROWS / WAVES> M;
    typedef KeyTile<M, KEYS, DQ> KTile;
    typedef ValueTile<M, KEYS, DV> VTile;
    typedef Scores<M, KEYS> S;
    enum {
        OUT = DV / M::COLS,
        DEPTH = DQ / M::STEP,
        K_BYTES = KTile::BYTES,
        V_BYTES = VTile::BYTES,
        LDS_BYTES = K_BYTES + V_BYTES
    };

    const aiteri_gpu_attention &a;
    FlashWork w;
    int lane, first; /* first: query row of the wave */
    int row[M::LANE_ROWS];
    KeyRange seen[M::LANE_ROWS];
    ScoreRule rule;
    typename M::Operand q[DEPTH];
    typename M::Acc o[OUT];
    RowState<M> state;

    AITERI_METHOD Flash(const aiteri_gpu_attention &args, const FlashWork &work)
        : a(args), w(work), lane(lane_id()), first(work.first + wave_id() * M::ROWS),
          rule(ScoreRule::of(args, work.s, work.head))
    {
#pragma unroll
        for (int r = 0; r < M::LANE_ROWS; r++) {
            row[r] = first + M::row(lane, r);
            seen[r] = row[r] < w.s.seqlen_q ? visible_keys(a.mask, w.s, row[r]) : KeyRange{0, 0, 0};
        }
        state.clear();
#pragma unroll
        for (int d = 0; d < OUT; d++) o[d] = typename M::Acc{};
    }

    AITERI_METHOD void load_queries()
    {
        const RowShape shape =
            RowShape::of(a.dim_q, a.q.data, a.q.stride_batch, a.q.stride_token, a.q.stride_head);
        const auto at = [&](int i) AITERI_INLINE {
            return global<const uint16_t>(first + i < w.s.seqlen_q ? row_address(a.q, w, first + i)
                                                                   : 0);
        };
        if (shape.chunked) {
#pragma unroll
            for (int i = 0; i < DEPTH; i++) q[i] = M::load_rows(at, {a.dim_q, true}, i, lane);
        } else {
#pragma unroll
            for (int i = 0; i < DEPTH; i++) q[i] = M::load_rows(at, {a.dim_q, false}, i, lane);
        }
    }

    AITERI_METHOD void score(Local<const u32x4> k, S &s) const
    {
        typename M::Acc acc[S::BLOCKS];
#pragma unroll
        for (int b = 0; b < S::BLOCKS; b++) {
            acc[b] = typename M::Acc{};
#pragma unroll
            for (int i = 0; i < DEPTH; i++)
                acc[b] = M::mma(q[i], KTile::cols(k, b, i, lane), acc[b]);
        }
        s.take(acc, rule);
    }

    /* Does some row of the wave see some of the tile, do all see all of it? */
    AITERI_METHOD bool sees_any(int key) const
    {
        bool any = false;
#pragma unroll
        for (int r = 0; r < M::LANE_ROWS; r++) any |= seen[r].meets(key, key + KEYS);
        return any_lane(any);
    }
    AITERI_METHOD bool sees_all(int key) const
    {
        bool all = true;
#pragma unroll
        for (int r = 0; r < M::LANE_ROWS; r++) all &= seen[r].holds_all(key, key + KEYS);
        return !any_lane(!all);
    }

    AITERI_METHOD void weigh(const SourceRows &rows, int key, S &s)
    {
        const uint64_t pages = mapped_keys<KEYS>(rows, key, lane);
        const bool partial = !sees_all(key) || ~pages != 0;
        if (partial || !rule.plain) s.look(seen, pages, key, lane);
        adjust(key, s);
        if (partial || !rule.plain) s.mask();
        float shrink[M::LANE_ROWS];
        state.update(s, shrink);
        bool same = true;
#pragma unroll
        for (int r = 0; r < M::LANE_ROWS; r++) same = same && shrink[r] == 1.0f;
        if (!any_lane(!same)) return;
#pragma unroll
        for (int d = 0; d < OUT; d++)
#pragma unroll
            for (int e = 0; e < M::ELEMENTS; e++) o[d][e] *= shrink[M::row_of(e)];
    }

    /* What follows from the options takes scalar registers, of which most instances have too few
     * for all of it through the loop. */
    AITERI_METHOD void adjust(int key, S &s) const
    {
        if (rule.plain) return;
        if constexpr (DQ == 128)
            s.adjust(rule, row, key, lane);
        else
            s.adjust(ScoreRule::of(arguments_again(a), w.s, w.head), row, key, lane);
    }

    AITERI_METHOD void add_values(Local<const u32x4> v, const S &s)
    {
        if (any_lane(s.any_hidden()) && any_lane(tile_has_non_finite(v))) return add_guarded(v, s);
#pragma unroll
        for (int i = 0; i < S::STEPS; i++) {
            const typename M::Operand p = s.weights(i);
#pragma unroll
            for (int d = 0; d < OUT; d++) o[d] = M::mma(p, VTile::cols(v, d, i, lane), o[d]);
        }
    }

    /* Rolled and in the order of memory: it must not keep the operands of the product alive. */
    AITERI_METHOD bool tile_has_non_finite(Local<const u32x4> v) const
    {
        bool found = false;
#pragma clang loop unroll(disable)
        for (int i = lane; i < V_BYTES / 16; i += WAVE) found = has_non_finite<T>(v[i]) || found;
        return found;
    }

    /* 0 times NaN is NaN: a key that a row does not see must not reach it. */
    AITERI_METHOD void add_guarded(Local<const u32x4> v, const S &s)
    {
#pragma unroll
        for (int d = 0; d < OUT; d++) {
            typename M::Acc count = {};
#pragma unroll
            for (int i = 0; i < S::STEPS; i++) {
                const auto x = VTile::cols(v, d, i, lane);
                o[d] = M::mma(s.weights(i), M::map(x, finite_or_zero<T>), o[d]);
                count = M::mma(s.parts(i), M::map(x, census_code<T>), count);
            }
#pragma unroll
            for (int e = 0; e < M::ELEMENTS; e++) o[d][e] += census_verdict(count[e]);
        }
    }

    AITERI_METHOD void run(Local<u32x4> k, Local<u32x4> v)
    {
        SourceRows k_rows = source_rows(a, a.k, a.dim_q, w.s, w.head / a.group, w.s.seqlen_k);
        SourceRows v_rows = source_rows(a, a.v, a.dim_v, w.s, w.head / a.group, w.s.seqlen_k);
        k_rows.shape.chunked = v_rows.shape.chunked = k_rows.shape.chunked & v_rows.shape.chunked;
        const TileWalk tiles = flash_walk(a, w, TILE_ROWS, KEYS);
        const int thread = thread_id();
        KeyStage<KTile, KEYS, DQ, THREADS> k_stage;
        ValueStage<VTile, KEYS, DV, THREADS> v_stage;
        int n = tiles.first;
        if (n >= tiles.end || (k_rows.table && k_rows.blocks < 1)) return;
        k_stage.fetch(k_rows, n * KEYS, thread);
        v_stage.fetch(v_rows, n * KEYS, thread);
        load_queries();
        k_stage.store(k, k_rows, n * KEYS, thread);
        while (true) {
            const int next = tiles.after(n), key = n * KEYS;
            const bool last = next >= tiles.end, mine = sees_any(key);
            if (!last) k_stage.fetch(k_rows, next * KEYS, thread);
            k_stage.wait();
            barrier(); /* K of this step is there, and nobody reads V of the last one */
            v_stage.store(v, v_rows, key, thread);
            if (!last) v_stage.fetch(v_rows, next * KEYS, thread);
            S s;
            if (mine) score(k, s);
            v_stage.wait();
            barrier(); /* V of this step is there, and nobody reads its K */
            if (!last) k_stage.store(k, k_rows, next * KEYS, thread);
            if (mine) {
                weigh(k_rows, key, s);
                add_values(v, s);
            }
            if (last) return;
            n = next;
        }
    }

    AITERI_METHOD void finish()
    {
        /* The work again: it need not live through the loop. */
        FlashRows<M, DV>{a, flash_work(a, TILE_ROWS), lane, row, o, state}.finish();
    }
};

} // namespace aiteri

/* One array per buffer on AMD; on NVIDIA the launch says how much shared memory there is. */
#if defined(AITERI_TILE_HOST)
#define AITERI_TILES(k, v, F) static aiteri::u32x4 k[F::K_BYTES / 16], v[F::V_BYTES / 16];
#elif defined(__NVPTX__)
extern __attribute__((shared)) aiteri::u32x4 aiteri_dynamic[];
#define AITERI_TILES(k, v, F) \
    aiteri::u32x4 *const k = aiteri_dynamic, *const v = aiteri_dynamic + F::K_BYTES / 16;
#else
#define AITERI_TILES(k, v, F)                                 \
    __attribute__((shared)) aiteri::u32x4 k[F::K_BYTES / 16]; \
    __attribute__((shared)) aiteri::u32x4 v[F::V_BYTES / 16];
#endif

#define AITERI_FLASH_general(F, T, dq, dv, threads, rows, keys)                      \
    typedef aiteri::Flash<T, dq, dv, threads, rows, keys> F;                         \
    AITERI_TILES(k_tile, v_tile, F)                                                  \
    aiteri::flash_fwd<F>(aiteri::arguments(a), (aiteri::Local<aiteri::u32x4>)k_tile, \
                         (aiteri::Local<aiteri::u32x4>)v_tile);

#endif /* AITERI_FLASH_GENERAL_HPP */
