/* source.hpp -- a sequence of the batch on the device: its lengths, which keys a query row sees
 * (the rule of src/plan/mask.c), and where the rows of keys and values lie. */
#ifndef AITERI_TILE_SOURCE_HPP
#define AITERI_TILE_SOURCE_HPP

#include "element.hpp"
#include "../args.h"

namespace aiteri
{

/* As the host's enum aiter_mask and aiter_dtype. */
enum { MASK_NONE = 1, MASK_CAUSAL, MASK_CAUSAL_TOP_LEFT, MASK_WINDOW };
enum { DTYPE_F32 = 1, DTYPE_F16, DTYPE_BF16 };

/* Rows of queries begin at q_start of a packed tensor, keys at k_start, a list of pages at entry
 * k_start. */
struct Sequence {
    int index, seqlen_q, seqlen_k;
    int64_t q_start, k_start;
};

/* Of packed rows with gaps cu gives the start and the room. */
AITERI_FN int length_of(const aiteri_gpu_lengths &l, int b, int64_t *start)
{
    int64_t n = l.seqlen;
    *start = 0;
    if (l.cu) {
        const Global<const int32_t> cu = global<const int32_t>(l.cu);
        *start = cu[b * l.cu_stride];
        n = cu[(b + 1) * l.cu_stride] - *start;
    }
    if (l.used) {
        const int64_t used = global<const int32_t>(l.used)[b * l.used_stride];
        n = l.cu ? smaller_of(n, used) : used;
    }
    return (int)clamp<int64_t>(n, 0, l.most);
}

/* The keys of a list of pages: `used` of them, or what its last page says. */
AITERI_FN int keys_of_list(const aiteri_gpu_pages &p, int b, int most, int used, int64_t *start)
{
    const Global<const int32_t> indptr = global<const int32_t>(p.indptr);
    const int first = indptr[b * p.stride_indptr], next = indptr[(b + 1) * p.stride_indptr];
    const bool listed = (first >= 0) & (first < next) & (next <= p.entries);
    const int64_t keys = listed ? (int64_t)(next - first) * p.page_size : 0;
    *start = listed ? first : 0;
    if (!p.last_lens) return (int)smaller_of<int64_t>(keys, used);
    const int last = global<const int32_t>(p.last_lens)[b * p.stride_last];
    const int64_t there = keys - p.page_size + clamp(last, 0, p.page_size);
    return (int)clamp<int64_t>(there, 0, most);
}

AITERI_FN Sequence sequence_of(const aiteri_gpu_attention &a, int b)
{
    Sequence s = {b, 0, 0, 0, 0};
    s.seqlen_q = length_of(a.q_lengths, b, &s.q_start);
    s.seqlen_k = length_of(a.k_lengths, b, &s.k_start);
    if (a.pages.indptr)
        s.seqlen_k = keys_of_list(a.pages, b, a.k_lengths.most, s.seqlen_k, &s.k_start);
    return s;
}

/* ---- masks ---- */

AITERI_FN uint64_t bits_below(int n)
{
    const uint64_t below = ((uint64_t)1 << (n & 63)) - 1;
    return n <= 0 ? 0 : n >= 64 ? ~(uint64_t)0 : below;
}

/* Keys [0, sink) and [lo, hi). */
struct KeyRange {
    int sink, lo, hi;

    AITERI_METHOD bool holds(int key) const { return ((key >= lo) & (key < hi)) | (key < sink); }
    AITERI_METHOD bool meets(int first, int end) const
    {
        return (first < hi && end > lo && lo < hi) || first < sink;
    }
    /* Of keys [first, first + 64). */
    AITERI_METHOD uint64_t bits(int first) const
    {
        return (bits_below(hi - first) & ~bits_below(lo - first)) | bits_below(sink - first);
    }
    AITERI_METHOD bool holds_all(int first, int end) const { return first >= lo && end <= hi; }
};

AITERI_FN KeyRange key_range(int64_t lo, int64_t hi, int64_t sink)
{
    KeyRange r = {(int)smaller_of(sink, hi), (int)smaller_of(lo, hi), (int)hi};
    if (r.sink >= r.lo) {
        if (r.sink > 0) r.lo = 0;
        r.sink = 0;
    }
    return r;
}

/* The keys of query token i. */
AITERI_FN KeyRange visible_keys(const aiteri_gpu_mask &m, const Sequence &s, int i)
{
    const int64_t at = (int64_t)i + s.seqlen_k - s.seqlen_q, n = s.seqlen_k;
    int64_t lo = 0, hi = n, sink = 0;
    if (m.mask == MASK_CAUSAL) hi = clamp<int64_t>(at + 1, 0, n);
    if (m.mask == MASK_CAUSAL_TOP_LEFT) hi = smaller_of<int64_t>((int64_t)i + 1, n);
    if (m.mask == MASK_WINDOW) {
        if (m.window_left >= 0) lo = clamp<int64_t>(at - m.window_left, 0, n);
        if (m.window_right >= 0) hi = clamp<int64_t>(at + m.window_right + 1, 0, n);
        sink = m.sink_tokens;
    }
    return key_range(lo, hi, sink);
}

/* The keys that some row from `first` to `last` sees: both bounds never fall from a row to the
 * next. */
AITERI_FN KeyRange keys_of_some(const KeyRange &first, const KeyRange &last)
{
    return key_range(first.lo, last.hi, larger_of(first.sink, last.sink));
}

/* ---- keys and values ---- */

/* The ids of the sequence's pages, stride_entry apart. */
AITERI_FN Global<const int32_t> page_table(const aiteri_gpu_pages &p, const Sequence &s)
{
    return global<const int32_t>(p.table) + s.index * p.stride_batch + s.k_start * p.stride_entry;
}

/* Division by a page size without a division: q = (high half of magic * n, + n) >> shift, exact for
 * n below 2^31 (Granlund and Montgomery 1994). */
struct Divisor {
    uint32_t size, magic;
    int shift;

    AITERI_METHOD static Divisor of(uint32_t size)
    {
        Divisor d = {size, 0, 0};
        while (((uint64_t)1 << d.shift) < size) d.shift++;
        uint32_t rest = (uint32_t)(((uint64_t)1 << d.shift) - size);
#pragma clang loop unroll(disable)
        for (int i = 0; i < 32; i++) { /* rest * 2^32 / size */
            rest *= 2;
            d.magic = d.magic * 2 + (rest >= size);
            rest -= rest >= size ? size : 0;
        }
        d.magic++;
        return d;
    }
    AITERI_METHOD uint32_t quotient(uint32_t n) const
    {
        return ((uint32_t)((uint64_t)magic * n >> 32) + n) >> shift;
    }
};

/* Rows of K or V of one sequence and kv head: what a stage asks. */
struct SourceRows {
    RowShape shape;
    uint64_t base; /* of the head, and of the sequence where there are no pages */
    int64_t outer_bytes, token_bytes; /* strides */
    Global<const int32_t> table;      /* of the sequence; null: not paged */
    int64_t entry_stride;
    Divisor page;
    int blocks;
    int end; /* keys from here on are not there */

    /* Where key stands; `here` false: nowhere, and the answer is a row that can be read. */
    template <bool PAGED> AITERI_METHOD uint64_t row(int key, bool *here) const
    {
        *here = key < end;
        key = *here ? key : 0;
        if constexpr (!PAGED) return base + (uint64_t)(key * token_bytes);
        const int entry = (int)page.quotient((uint32_t)key), token = key - entry * (int)page.size;
        const int id = table[entry * entry_stride];
        *here = *here & ((uint32_t)id < (uint32_t)blocks);
        return base + (*here ? (uint64_t)(id * outer_bytes + token * token_bytes) : 0);
    }

    /* Calls f with Paged or Dense: one branch for many rows. */
    struct Paged {
        static constexpr bool value = true;
    };
    struct Dense {
        static constexpr bool value = false;
    };
    template <class F> AITERI_METHOD void either(F f) const
    {
        if (table)
            f(Paged{});
        else
            f(Dense{});
    }

    template <bool PAGED>
    AITERI_METHOD Global<const u32x4> chunk_at(int key, int c, bool *here) const
    {
        const uint64_t at = row<PAGED>(key, here);
        const bool inside = c * CHUNK < shape.dim;
        *here = *here & inside;
        return global<const u32x4>(at + (inside ? c * 16 : 0));
    }

    template <bool PAGED> AITERI_METHOD u32x4 chunk(int key, int c, bool *here) const
    {
        const Global<const u32x4> at = chunk_at<PAGED>(key, c, here);
        if (shape.chunked) return *at;
        return load_chunk_slowly((Global<const uint16_t>)at, shape.dim - c * CHUNK);
    }

    /* Is key in a page that exists? */
    AITERI_METHOD bool mapped(int key) const
    {
        bool here;
        row<true>(key, &here);
        return here;
    }
};

/* A tile element by element, for rows that 16-byte loads must not touch. */
template <class Tile, int KEYS, int D, int THREADS>
AITERI_FN void store_slowly(Local<u32x4> tile, const SourceRows &rows, int first, int thread)
{
    const Local<uint16_t> to = (Local<uint16_t>)tile;
    rows.either([&](auto paged) AITERI_INLINE {
#pragma clang loop unroll(disable)
        for (int i = thread; i < KEYS * D; i += THREADS) {
            const int key = i / D, d = i % D;
            bool here;
            const uint64_t row = rows.template row<paged.value>(first + key, &here);
            uint16_t x = 0;
            if (here && d < rows.shape.dim) x = global<const uint16_t>(row)[d];
            to[Tile::element(key, d)] = x;
        }
    });
}

/* Element size 2. `end`: keys from there on are not loaded. */
AITERI_FN SourceRows source_rows(const aiteri_gpu_attention &a, const aiteri_gpu_source &source,
                                 int dim, const Sequence &s, int head, int end)
{
    const aiteri_gpu_pages &p = a.pages;
    SourceRows r = {};
    r.shape = RowShape::of(dim, source.data, source.stride_outer, source.stride_token,
                           source.stride_head);
    r.outer_bytes = source.stride_outer * 2;
    r.token_bytes = source.stride_token * 2;
    r.base = source.data + (uint64_t)(head * source.stride_head * 2);
    r.end = end;
    if (p.table) {
        r.table = page_table(p, s);
        r.entry_stride = p.stride_entry;
        r.page = Divisor::of((uint32_t)p.page_size);
        r.end = (int)smaller_of<int64_t>(end, (int64_t)p.entries * p.page_size);
        r.blocks = p.num_blocks;
    } else if (a.k_lengths.cu) {
        r.base += (uint64_t)(s.k_start * r.token_bytes);
    } else {
        r.base += (uint64_t)(s.index * r.outer_bytes);
    }
    return r;
}

} // namespace aiteri

#endif /* AITERI_TILE_SOURCE_HPP */
