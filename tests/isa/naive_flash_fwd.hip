// naive_flash_fwd.hip -- the plain class of flash_fwd as one would write it first: the same tiles,
// products and softmax, but one buffer, and all waves in step: move a tile, multiply, soften,
// multiply. It stands beside the real one in docs/instances.md, and computes the same thing.
#include "flash/general.hpp"
#include "flash/plain.hpp"

namespace aiteri
{

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

} // namespace aiteri

#define NAIVE(op, arch, q, kv, out, dq, dv, layout, scales, kind, source, threads, rows, keys, \
              lds, waves)                                                                      \
    AITERI_KERNEL(threads)                                                                     \
    void aiteri_##op##_##q##_##kv##_##out##_##dq##_##dv##_##kind(const aiteri_gpu_attention a) \
    {                                                                                          \
        typedef aiteri::Naive<aiteri::q, dq, threads, rows, keys> F;                           \
        __attribute__((shared)) aiteri::u32x4 tiles[F::LDS_BYTES / 16];                        \
        aiteri::flash_fwd<F>(aiteri::arguments(a), (aiteri::Local<aiteri::u32x4>)tiles,        \
                             (aiteri::Local<aiteri::u32x4>)tiles + F::LDS_BYTES / 32);         \
    }
AITERI_ROWS(NAIVE)
