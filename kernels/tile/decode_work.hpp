/* decode_work.hpp -- what one workgroup of paged_decode computes: which rows of queries, which
 * blocks of keys, where the rows of K and V stand, and where its own go. */
#ifndef AITERI_TILE_DECODE_WORK_HPP
#define AITERI_TILE_DECODE_WORK_HPP

#include "decode.hpp"
#include "finish.hpp"
#include "source.hpp"

namespace aiteri
{

/* Blocks of keys that some row of a workgroup sees: those of the sink prefix, then the others. */
struct BlockList {
    int sink_first, sink_count, first, count;

    /* Of keys [begin, end); begin is a multiple of the block. */
    AITERI_METHOD static BlockList of(const KeyRange &seen, int begin, int end)
    {
        const int sink = smaller_of(seen.sink, end), hi = smaller_of(seen.hi, end);
        const int lo = larger_of(seen.lo, begin);
        BlockList b;
        b.sink_first = begin / DECODE_KEYS;
        b.sink_count = larger_of((sink + DECODE_KEYS - 1) / DECODE_KEYS - b.sink_first, 0);
        b.first = larger_of(lo / DECODE_KEYS, b.sink_first + b.sink_count);
        const int last = lo < hi ? (hi + DECODE_KEYS - 1) / DECODE_KEYS : 0;
        b.count = b.sink_count + larger_of(last - b.first, 0);
        return b;
    }
    AITERI_METHOD int key(int i) const
    {
        return (i < sink_count ? sink_first + i : first + i - sink_count) * DECODE_KEYS;
    }
};

/* What one workgroup computes. Its packed rows are whole tokens, or some heads of one token where a
 * group has more of them than a tile has rows: works of src/plan/schedule.c. */
struct DecodeWork {
    Sequence s;
    int head, split, first, rows; /* head: of K and V; rows: packed ones from `first` on */

    /* rows is 0 where there is nothing to do. */
    AITERI_METHOD static DecodeWork of(const aiteri_gpu_attention &a, int tile)
    {
        return a.work.list ? planned(a, tile) : bounded(a, tile);
    }

    AITERI_METHOD static DecodeWork bounded(const aiteri_gpu_attention &a, int tile)
    {
        const int splits = larger_of(a.split.count, 1), parts = (a.group + tile - 1) / tile;
        int id = workgroup_id();
        DecodeWork w;
        const int part = id % a.tiles;
        id /= a.tiles;
        w.head = id % a.heads_k;
        id /= a.heads_k;
        w.split = id % splits;
        w.s = sequence_of(a, id / splits);
        w.take(a, tile, part / parts * tokens(a, tile), part % parts * tile);
        return w;
    }

    AITERI_METHOD static DecodeWork planned(const aiteri_gpu_attention &a, int tile)
    {
        const Global<const int32_t> list = global<const int32_t>(a.work.list);
        const Global<const int32_t> info = list + 2 + workgroup_id() * 8;
        DecodeWork w = {};
        if (workgroup_id() >= list[1]) return w;
        const int head = info[7] & 0xffff;
        w.s = sequence_of(a, info[0]);
        w.head = head / a.group;
        w.split = info[4] / (int)a.split.split_keys;
        w.take(a, tile, info[2], head % a.group);
        return w;
    }

    AITERI_METHOD static int tokens(const aiteri_gpu_attention &a, int tile)
    {
        return larger_of(tile / a.group, 1);
    }
    AITERI_METHOD void take(const aiteri_gpu_attention &a, int tile, int token, int head_of_group)
    {
        first = token * a.group + head_of_group;
        rows = smaller_of(tokens(a, tile), s.seqlen_q - token) *
               smaller_of(tile, a.group - head_of_group);
    }

    AITERI_METHOD int token(const aiteri_gpu_attention &a, int r) const
    {
        return (first + r) / a.group;
    }
    AITERI_METHOD int query_head(const aiteri_gpu_attention &a, int r) const
    {
        return head * a.group + (first + r) % a.group;
    }
    /* Where row r of q or out stands, in elements. */
    AITERI_METHOD int64_t place(const aiteri_gpu_attention &a, const aiteri_gpu_rows &x,
                                int r) const
    {
        return s.index * x.stride_batch + (s.q_start + token(a, r)) * x.stride_token +
               query_head(a, r) * x.stride_head;
    }

    /* Columns [column, column + 8) of row r, of this split or of all keys. */
    AITERI_METHOD void store_partial(const aiteri_gpu_attention &a, int r, int column, float m,
                                     float l, const float *x) const
    {
        const int64_t row = ((int64_t)s.index * a.heads_q + query_head(a, r)) * a.q_lengths.most +
                            token(a, r) + split * a.split.rows;
        const Global<float> to = global<float>(a.split.o) + row * a.dim_v;
#pragma unroll
        for (int e = 0; e < CHUNK; e++)
            if (column + e < a.dim_v) to[column + e] = x[e];
        if (column > 0) return;
        const Global<float> state = global<float>(a.split.ml) + row * 2;
        state[0] = m * LN_2;
        state[1] = l;
    }

    template <class T>
    AITERI_METHOD void store_row(const aiteri_gpu_attention &a, int r, int column, float m, float l,
                                 const float *x) const
    {
        const int head = query_head(a, r);
        float lse;
        const float factor = finish_state(a.score, head, m * LN_2, l, &lse);
        const RowShape shape = RowShape::of(a.dim_v, a.out.data, a.out.stride_batch,
                                            a.out.stride_token, a.out.stride_head);
        const Global<uint16_t> out = global<uint16_t>(a.out.data) + place(a, a.out, r) + column;
        if (shape.chunked && column < a.dim_v)
            *(Global<u32x4>)out = u32x4{pack_out<T>(x[0] * factor, x[1] * factor),
                                        pack_out<T>(x[2] * factor, x[3] * factor),
                                        pack_out<T>(x[4] * factor, x[5] * factor),
                                        pack_out<T>(x[6] * factor, x[7] * factor)};
        else
#pragma unroll
            for (int e = 0; e < CHUNK; e++)
                if (column + e < a.dim_v)
                    out[e] = (uint16_t)without_minus_zero(T::round(x[e] * factor));
        if (column == 0 && a.lse)
            global<float>(a.lse)[s.index * a.lse_stride_batch + head * a.lse_stride_head +
                                 (s.q_start + token(a, r)) * a.lse_stride_token] = lse;
    }
};

/* How a workgroup reads its keys and values: element by element, whatever their strides; by rows,
 * in pieces of 8 columns of a key; or, where a column's tokens lie side by side, values by columns,
 * in pieces of the keys of a quarter, and keys by pieces that may lie apart. */
enum DecodePath { BY_ELEMENTS, BY_ROWS, BY_COLUMNS };

/* The rows of K, or V, of one sequence and kv head. */
struct PagedRows {
    uint64_t base, scales;
    int64_t outer, token, scale_outer, scale_token; /* bytes */
    int64_t apart;                                  /* bundles, beyond their tokens */
    int bundle;

    /* `per` elements are in so many bytes; rows start at whole ones. */
    AITERI_METHOD static PagedRows of(const aiteri_gpu_source &x, int head, int bytes, int per)
    {
        const uint64_t scales = x.scales + (uint64_t)(head * x.scale_stride_head * 4);
        return {x.data + (uint64_t)(head * x.stride_head / per * bytes),
                x.scales ? scales : 0,
                x.stride_outer / per * bytes,
                x.stride_token / per * bytes,
                x.scale_stride_outer * 4,
                x.scale_stride_token * 4,
                x.bundle ? (x.stride_bundle - x.bundle * x.stride_token) / per * bytes : 0,
                larger_of(x.bundle, 1)};
    }
    /* Are columns read by pieces? gfx90a has too few scalar registers for a third loop of 16-bit
     * values. */
    template <class P> AITERI_METHOD static constexpr bool streams_columns()
    {
#if defined(__gfx90a__)
        return false;
#else
        return P::COLUMNS;
#endif
    }
    enum : uint64_t { FAR = 1 << 22 }; /* elements; 256 columns of twice the bytes are below 2^32 */

    /* May pieces of a row's columns, CHUNK elements in so many bytes, be read whole? */
    AITERI_METHOD static bool whole_pieces(const aiteri_gpu_source &x, int dim, int bytes)
    {
        const uint64_t strides = (uint64_t)x.stride_outer | (uint64_t)x.stride_token |
                                 (uint64_t)x.stride_head | (uint64_t)x.stride_piece | (uint64_t)dim;
        return strides % CHUNK == 0 && x.data % (uint64_t)bytes == 0 && x.stride_dim == 1;
    }
    AITERI_METHOD static bool whole_rows(const aiteri_gpu_source &x, int dim, int bytes)
    {
        return whole_pieces(x, dim, bytes) && !x.piece && !x.bundle;
    }
    /* Pieces of EACH tokens of a column? A page, and a bundle, has a whole number of them. */
    AITERI_METHOD static bool whole_columns(const aiteri_gpu_source &x, int dim, int bytes,
                                            int page_size)
    {
        const uint64_t strides = (uint64_t)x.stride_outer | (uint64_t)x.stride_head |
                                 (uint64_t)x.stride_dim | (uint64_t)x.stride_bundle |
                                 (uint64_t)x.bundle | (uint64_t)page_size;
        return strides % EACH == 0 && x.data % (uint64_t)(bytes * EACH / CHUNK) == 0 &&
               dim % CHUNK == 0 && x.stride_token == 1 && !x.piece;
    }
    /* Where a column stands in a row, in elements of memory. */
    AITERI_METHOD static int64_t column_at(const aiteri_gpu_source &x, int column)
    {
        if (!x.piece) return column * x.stride_dim;
        return (uint32_t)column / (uint32_t)x.piece * x.stride_piece +
               (uint32_t)column % (uint32_t)x.piece * x.stride_dim;
    }

    template <class P> AITERI_METHOD static DecodePath path(const aiteri_gpu_attention &a)
    {
        constexpr int bytes = (int)sizeof(typename P::Raw);
        if (whole_rows(a.k, a.dim_q, bytes) && whole_rows(a.v, a.dim_v, bytes)) return BY_ROWS;
        const uint64_t steps =
            (uint64_t)a.k.stride_piece | (uint64_t)a.v.stride_dim | (uint64_t)a.v.stride_bundle;
        if (!streams_columns<P>() || steps >= FAR) return BY_ELEMENTS;
        const bool keys = whole_pieces(a.k, a.dim_q, bytes) && !a.k.bundle &&
                          (a.k.piece == 0 || a.k.piece == 8 || a.k.piece == 16 || a.k.piece == 32);
        return keys && whole_columns(a.v, a.dim_v, bytes, a.pages.page_size) ? BY_COLUMNS
                                                                             : BY_ELEMENTS;
    }
};

} // namespace aiteri

#endif /* AITERI_TILE_DECODE_WORK_HPP */
