// naive_flash_fwd.hip -- the plain class of flash_fwd as one would write it first: the same tiles,
// products and softmax, but one buffer, and all waves in step: move a tile, multiply, soften,
// multiply. It stands beside the real one in docs/instances.md, and computes the same thing.
#include "flash/general.hpp"
#include "flash/plain.hpp"

namespace aiteri
{

#if defined(__gfx942__)

template <class T, int D, int THREADS, int ROWS, int KEYS>
struct Naive : PlainFlash<T, D, THREADS, ROWS, KEYS> {
    typedef PlainFlash<T, D, THREADS, ROWS, KEYS> Plain;
    typedef typename Plain::Tiles Tiles;
    using Plain::Plain;

    AITERI_METHOD void run(Local<u32x4> k, Local<u32x4> v)
    {
        const TileWalk walk = flash_walk(this->a, this->w, ROWS, KEYS);
        const int end = smaller_of(walk.end * KEYS, this->w.s.seqlen_k), row = this->row[0];
        const int seen =
            row < this->w.s.seqlen_q ? visible_keys(this->a.mask, this->w.s, row).hi : 0;
        const int whole =
            smaller_of(visible_keys(this->a.mask, this->w.s, this->w.first).hi, end) / KEYS;
        int key = walk.first * KEYS, left = whole - walk.first;
        Tiles tiles(k, v, TileRows::of(this->rows_of(this->a.k), key, KEYS),
                    TileRows::of(this->rows_of(this->a.v), key, KEYS),
                    this->a.score.softmax_scale * LOG2_E, this->q, this->o);
        this->load_queries();
        if (left > 0) {
            tiles.fetch_k(true);
            tiles.fetch_v(true);
            key += left * KEYS;
            for (; left > 0; left--) step(tiles, left > 1);
        }
        tiles.finish(k, v, end - key, smaller_of(seen, end) - key);
        tiles.row.leave(this->state);
    }

    AITERI_METHOD static void step(Tiles &tiles, bool more)
    {
        barrier();
        tiles.store_k(0);
        tiles.store_v(0, tiles.v_piece);
        barrier();
        if (more) {
            tiles.fetch_k(true);
            tiles.fetch_v(true);
        }
#pragma unroll
        for (int i = 0; i < Tiles::K_READS; i++) tiles.add_score(tiles.read_k(0, i), i);
        tiles.rebase();
        tiles.weigh(0, Tiles::PAIRS);
#pragma unroll
        for (int i = 0; i < Tiles::V_READS; i++) tiles.add_value(tiles.read_v(0, i), i);
    }
};

#elif defined(__gfx950__)

template <class T, int DQ, int DV, int THREADS, int ROWS, int KEYS>
struct Naive : PlainFlash<T, DQ, DV, THREADS, ROWS, KEYS> {
    typedef PlainFlash<T, DQ, DV, THREADS, ROWS, KEYS> Plain;
    typedef typename Plain::M M;
    typedef typename Plain::KStage KStage;
    typedef typename Plain::VStage VStage;
    using Plain::Plain;

    AITERI_METHOD SourceRows rows_of(const aiteri_gpu_source &source, int dim) const
    {
        return source_rows(this->a, source, dim, this->w.s, this->w.head / this->a.group,
                           this->w.s.seqlen_k);
    }

    AITERI_METHOD void run(Local<u32x4> k0, Local<u32x4> k1, Local<u32x4> k2, Local<u32x4> v0,
                           Local<u32x4> v1, Local<u32x4> v2, Local<int> odd)
    {
        const TileWalk tiles = flash_walk(this->a, this->w, ROWS, KEYS);
        int n = tiles.first;
        this->odd_tiles = odd;
        this->k_tiles[0] = k0, this->k_tiles[1] = k1, this->k_tiles[2] = k2;
        this->v_tiles[0] = v0, this->v_tiles[1] = v1, this->v_tiles[2] = v2;
        KStage k_stage(rows_of(this->a.k, DQ), n * KEYS, thread_id());
        VStage v_stage(rows_of(this->a.v, DV), n * KEYS, thread_id());
        this->hi = smaller_of(this->hi, tiles.end * KEYS);
        this->load_queries();
        if (thread_id() < Plain::BUFFERS * Plain::WAVES) odd[thread_id()] = -1;
        const int whole = visible_keys(this->a.mask, this->w.s, this->w.first).hi / KEYS;
        for (; n < smaller_of(whole, tiles.end); n++) step<false>(k_stage, v_stage, n);
        for (; n < tiles.end; n++) step<true>(k_stage, v_stage, n);
    }

    template <bool MASKED> AITERI_METHOD void step(KStage &k_stage, VStage &v_stage, int n)
    {
        typename M::Operand p[Plain::STEPS];
        wait_for_lds();
        bare_barrier();
        k_stage.load(this->k_tiles[0]);
        v_stage.load(this->v_tiles[0]);
        wait_for_loads<0>();
        if (MASKED) {
            this->template note_odd_values<0>(n);
            wait_for_lds();
        }
        bare_barrier();
        if (MASKED) this->template separate_odd_values<0>(n);
#pragma unroll
        for (int i = 0; i < Plain::K_COUNT; i++) {
            typename M::Acc &s = this->s[i % Plain::BLOCKS];
            s = M::mma(this->q[i / Plain::BLOCKS], this->template key_operand<0>(i),
                       i < Plain::BLOCKS ? typename M::Acc{} : s);
        }
        if (MASKED) this->mask(n);
        this->raise(this->largest(this->s));
        weigh(p);
#pragma unroll
        for (int i = 0; i < Plain::V_COUNT; i++) {
            typename M::Acc &o = this->o[i % Plain::OUT];
            o = M::mma(p[i / Plain::OUT], this->template value_operand<0>(i), o);
        }
    }

    AITERI_METHOD void weigh(typename M::Operand *p)
    {
        float x[M::OPERAND];
#pragma unroll
        for (int i = 0; i < Plain::COUNT; i += 2) {
            const auto y = this->exponent(i);
            const f32x2 e = {exp2(y.x), exp2(y.y)};
            this->sum += e;
            x[i % M::OPERAND] = e.x;
            x[i % M::OPERAND + 1] = e.y;
            if (i % M::OPERAND == M::OPERAND - 2) p[i / M::OPERAND] = M::weights(x);
        }
    }
};

#endif

} // namespace aiteri

/* The kernels of flash_fwd.hip, with it in the other's place. */
#define PlainFlash Naive
#include "flash_fwd.hip"
