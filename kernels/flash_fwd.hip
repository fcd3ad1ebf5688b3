/* flash_fwd.hip -- attention of many query rows: one workgroup takes a tile of query rows of one
 * head through the keys that they see, with an online softmax in f32.
 *
 * A step needs two barriers, with one LDS tile each for K and V: while the scores of step n are
 * computed from K, V of step n lands; while the values are weighted, K of step n + 1 lands. */
#include "tile/softmax.hpp"

namespace aiteri
{

/* What one workgroup computes. */
struct FlashWork {
    Sequence s;
    int head, split, first; /* first: query row */
};

AITERI_FN FlashWork flash_work(const aiteri_gpu_attention &a, int tile_rows)
{
    const int splits = larger_of(a.split.count, 1);
    const int n = a.batch * a.heads_q * splits * a.tiles;
    int id = place_on_die(workgroup_id(), n, a.xcds);
    FlashWork w;
    w.first = (a.tiles - 1 - id % a.tiles) * tile_rows; /* a causal mask's long tiles first */
    id /= a.tiles;
    w.split = id % splits;
    id /= splits;
    w.head = id % a.heads_q;
    w.s = sequence_of(a, id / a.heads_q);
    return w;
}

/* Tiles of keys to visit: those below sink_end, then those from lo on, all below end. */
struct TileWalk {
    int first, sink_end, lo, end;

    AITERI_METHOD static TileWalk of(const KeyRange &seen, int begin, int end, int keys)
    {
        TileWalk w;
        w.sink_end = smaller_of((seen.sink + keys - 1) / keys, end);
        w.lo = larger_of(seen.lo / keys, begin);
        w.end = seen.lo < seen.hi ? smaller_of((seen.hi + keys - 1) / keys, end) : w.sink_end;
        w.end = larger_of(w.end, w.sink_end);
        w.first = begin < w.sink_end ? begin : w.lo;
        return w;
    }
    AITERI_METHOD int after(int n) const { return n + 1 < sink_end ? n + 1 : larger_of(n + 1, lo); }
};

template <class T, int DQ, int DV, int THREADS, int TILE_ROWS, int KEYS> struct Flash {
    enum { WAVES = THREADS / WAVE };
    typedef Matrix<T, TILE_ROWS / WAVES> M;
    typedef KeyTile<M, KEYS, DQ> KTile;
    typedef ValueTile<M, KEYS, DV> VTile;
    typedef Scores<M, KEYS> S;
    enum {
        OUT = DV / M::COLS,
        DEPTH = DQ / M::STEP,
        K_BYTES = KTile::BYTES,
        V_BYTES = VTile::BYTES
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

    AITERI_METHOD uint64_t row_address(const aiteri_gpu_rows &x, int token) const
    {
        return x.data +
               2 * (uint64_t)(w.s.index * x.stride_batch + (w.s.q_start + token) * x.stride_token +
                              w.head * x.stride_head);
    }

    AITERI_METHOD void load_queries()
    {
        const RowShape shape =
            RowShape::of(a.dim_q, a.q.data, a.q.stride_batch, a.q.stride_token, a.q.stride_head);
        const auto at = [&](int i) AITERI_INLINE {
            return global<const uint16_t>(first + i < w.s.seqlen_q ? row_address(a.q, first + i)
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

    /* The keys of the whole workgroup, and of its split, in tiles. */
    AITERI_METHOD TileWalk walk() const
    {
        const int end = smaller_of(w.first + TILE_ROWS, w.s.seqlen_q);
        const KeyRange keys =
            keys_of_some(visible_keys(a.mask, w.s, w.first), visible_keys(a.mask, w.s, end - 1));
        const int tiles = (w.s.seqlen_k + KEYS - 1) / KEYS;
        if (a.split.count <= 1) return TileWalk::of(keys, 0, tiles, KEYS);
        const int64_t each = a.split.split_keys / KEYS, begin = w.split * each;
        return TileWalk::of(keys, (int)smaller_of<int64_t>(begin, tiles),
                            (int)smaller_of<int64_t>(begin + each, tiles), KEYS);
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

    /* Bit j: key + j is in a page. */
    AITERI_METHOD uint64_t mapped(const SourceRows &rows, int key) const
    {
        if (!rows.table) return ~(uint64_t)0;
        uint64_t bits = KEYS < 64 ? ~(uint64_t)0 << KEYS % 64 : 0;
#pragma unroll
        for (int j = 0; j < KEYS; j += WAVE)
            bits |= ballot(j + lane >= KEYS || rows.mapped(key + j + lane)) << j;
        return bits;
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
        const uint64_t pages = mapped(rows, key);
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
        const TileWalk tiles = walk();
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
        w = flash_work(a, TILE_ROWS); /* again: it need not live through the loop */
        const uint64_t even = a.out.data / 2 | (uint64_t)a.out.stride_batch |
                              (uint64_t)a.out.stride_token | (uint64_t)a.out.stride_head |
                              (uint64_t)a.dim_v;
#pragma unroll
        for (int r = 0; r < M::LANE_ROWS; r++) {
            state.sum[r] = M::row_sum(state.sum[r]);
            if (row[r] >= w.s.seqlen_q) continue;
            if (a.split.count > 1)
                store_partial(r);
            else
                store(r, even % M::RUN == 0);
        }
    }

    AITERI_METHOD void store(int r, bool aligned)
    {
        float lse, sink = 0.0f;
        if (a.score.sinks) sink = global<const float>(a.score.sinks)[w.head * a.score.sinks_stride];
        const float factor = state.finish(r, a.score.sinks != 0, sink, &lse);
        const Global<uint16_t> out = global<uint16_t>(row_address(a.out, row[r]));
        if (aligned)
            put<true>(r, out, factor);
        else
            put<false>(r, out, factor);
        if (a.lse && M::leads(lane))
            global<float>(a.lse)[w.s.index * a.lse_stride_batch + w.head * a.lse_stride_head +
                                 (w.s.q_start + row[r]) * a.lse_stride_token] = lse;
    }

    template <bool ALIGNED> AITERI_METHOD void put(int r, Global<uint16_t> out, float factor) const
    {
        each_run(r, [&](int d, const float *x) AITERI_INLINE {
            float y[M::RUN];
#pragma unroll
            for (int i = 0; i < M::RUN; i++) y[i] = factor == 0.0f ? 0.0f : x[i] * factor;
            store_run<T, M::RUN>(out, d, a.dim_v, ALIGNED, y);
        });
    }

    AITERI_METHOD void store_partial(int r)
    {
        const int max_q = a.q_lengths.most;
        const int64_t index = ((int64_t)w.s.index * a.heads_q + w.head) * max_q + row[r];
        const int64_t place = w.split * a.split.rows + index;
        const Global<float> out = global<float>(a.split.o) + place * a.dim_v;
        each_run(r, [&](int d, const float *x) AITERI_INLINE {
#pragma unroll
            for (int i = 0; i < M::RUN; i++)
                if (d + i < a.dim_v) out[d + i] = x[i];
        });
        if (!M::leads(lane)) return;
        const Global<float> ml = global<float>(a.split.ml) + place * 2;
        ml[0] = state.max[r] * LN_2;
        ml[1] = state.sum[r];
    }

    /* f(column, elements) for the runs of elements of row r. */
    template <class F> AITERI_METHOD void each_run(int r, F f) const
    {
#pragma unroll
        for (int b = 0; b < OUT; b++)
#pragma unroll
            for (int e = 0; e < M::ELEMENTS; e += M::RUN) {
                float x[M::RUN];
#pragma unroll
                for (int i = 0; i < M::RUN; i++) x[i] = o[b][e + i];
                if (M::row_of(e) == r) f(b * M::COLS + M::col_of(e) + M::col_of_lane(lane), x);
            }
    }
};

template <class F>
AITERI_FN void flash_fwd(const aiteri_gpu_attention &a, int tile_rows, Local<u32x4> k,
                         Local<u32x4> v)
{
    const FlashWork w = flash_work(a, tile_rows);
    if (w.first >= w.s.seqlen_q) return;
    if (w.split > 0 && w.split * a.split.split_keys >= w.s.seqlen_k) return;
    F flash(a, w);
    flash.run(k, v);
    flash.finish();
}

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

#define AITERI_FLASH_FWD(op, arch, q, kv, out, dq, dv, layout, scales, kind, source, threads,  \
                         rows, keys, lds, waves)                                               \
    AITERI_KERNEL(threads)                                                                     \
    void aiteri_##op##_##q##_##kv##_##out##_##dq##_##dv##_##kind(const aiteri_gpu_attention a) \
    {                                                                                          \
        typedef aiteri::Flash<aiteri::q, dq, dv, threads, rows, keys> F;                       \
        static_assert(F::K_BYTES + F::V_BYTES == lds, "instances.def states the LDS");         \
        AITERI_TILES(k_tile, v_tile, F)                                                        \
        aiteri::flash_fwd<F>(aiteri::arguments(a), rows, (aiteri::Local<aiteri::u32x4>)k_tile, \
                             (aiteri::Local<aiteri::u32x4>)v_tile);                            \
    }

/* The build hands over the lines of instances.def that this compile is for. */
AITERI_ROWS(AITERI_FLASH_FWD)
