/* work.hpp -- which rows, head, keys and split a workgroup of flash_fwd takes. */
#ifndef AITERI_FLASH_WORK_HPP
#define AITERI_FLASH_WORK_HPP

#include "../tile/softmax.hpp"

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

/* The keys of the whole workgroup, and of its split, in tiles. */
AITERI_FN TileWalk flash_walk(const aiteri_gpu_attention &a, const FlashWork &w, int tile_rows,
                              int tile_keys)
{
    const int end = smaller_of(w.first + tile_rows, w.s.seqlen_q);
    const KeyRange keys =
        keys_of_some(visible_keys(a.mask, w.s, w.first), visible_keys(a.mask, w.s, end - 1));
    const int tiles = (w.s.seqlen_k + tile_keys - 1) / tile_keys;
    if (a.split.count <= 1) return TileWalk::of(keys, 0, tiles, tile_keys);
    const int64_t each = a.split.split_keys / tile_keys, begin = w.split * each;
    return TileWalk::of(keys, (int)smaller_of<int64_t>(begin, tiles),
                        (int)smaller_of<int64_t>(begin + each, tiles), tile_keys);
}

/* Of a class of rows, F: Flash<..> or a plain one. */
template <class F, class... Tiles>
AITERI_FN void flash_fwd(const aiteri_gpu_attention &a, Tiles... tiles)
{
    const FlashWork w = flash_work(a, F::TILE_ROWS);
    if (w.first >= w.s.seqlen_q) return;
    if (w.split > 0 && w.split * a.split.split_keys >= w.s.seqlen_k) return;
    F flash(a, w);
    flash.run(tiles...);
    flash.finish();
}

} // namespace aiteri

#endif /* AITERI_FLASH_WORK_HPP */
