/* sequence.hpp -- lengths of one sequence and which keys its queries see: what src/plan/problem.h
 * and src/plan/mask.c say, read on the device. */
#ifndef AITERI_TILE_SEQUENCE_HPP
#define AITERI_TILE_SEQUENCE_HPP

#include "target.hpp"

#include "../args.h"

namespace aiteri
{

/* Tokens [start, start + length) of a packed tensor; start is 0 in one that is not packed. */
struct TokenSpan {
    int64_t start;
    int length;
};

AITERI_FN TokenSpan token_span(const aiteri_gpu_lengths &lengths, int b)
{
    TokenSpan span = {0, lengths.seqlen};
    if (lengths.cu) {
        const Global<const int32_t> cu = global<const int32_t>(lengths.cu) + b * lengths.cu_stride;
        span.start = cu[0];
        span.length = cu[lengths.cu_stride] - cu[0];
    } else if (lengths.used) {
        span.length = global<const int32_t>(lengths.used)[b * lengths.used_stride];
    }
    span.length = clamp(span.length, 0, lengths.most);
    return span;
}

/* Keys of a sequence: no more than its row of the block table has places for. */
AITERI_FN TokenSpan key_span(const aiteri_gpu_attention &a, int b)
{
    TokenSpan span = token_span(a.k_lengths, b);
    if (a.pages.table) {
        const int64_t places = (int64_t)a.pages.entries * a.pages.page_size;
        span.length = (int)smaller_of((int64_t)span.length, places);
    }
    return span;
}

/* Keys [0, sink) and [lo, hi); sink <= lo, and sink == 0 when the two would touch. */
struct KeyRange {
    int sink, lo, hi;

    AITERI_METHOD bool holds(int j) const { return j < sink || (j >= lo && j < hi); }
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

/* The enum aiter_mask of src/api_types.h. */
enum { MASK_NONE = 1, MASK_CAUSAL, MASK_CAUSAL_TOP_LEFT, MASK_WINDOW };

/* The keys of query token i. */
AITERI_FN KeyRange visible_keys(const aiteri_gpu_mask &m, int length_q, int length_k, int i)
{
    const int64_t at = (int64_t)i + length_k - length_q, end = length_k;
    int64_t lo = 0, hi = end, sink = 0;
    if (m.mask == MASK_CAUSAL) hi = clamp<int64_t>(at + 1, 0, end);
    if (m.mask == MASK_CAUSAL_TOP_LEFT) hi = smaller_of<int64_t>((int64_t)i + 1, end);
    if (m.mask == MASK_WINDOW) {
        if (m.window_left >= 0) lo = clamp<int64_t>(at - m.window_left, 0, end);
        if (m.window_right >= 0) hi = clamp<int64_t>(at + m.window_right + 1, 0, end);
        sink = m.sink_tokens;
    }
    return key_range(lo, hi, sink);
}

/* The keys that some token of [first, end) sees; end > first. */
AITERI_FN KeyRange visible_keys_of_span(const aiteri_gpu_mask &m, int length_q, int length_k,
                                        int first, int end)
{
    const KeyRange a = visible_keys(m, length_q, length_k, first);
    const KeyRange b = visible_keys(m, length_q, length_k, end - 1);
    return key_range(a.lo, b.hi, larger_of(a.sink, b.sink));
}

} // namespace aiteri

#endif /* AITERI_TILE_SEQUENCE_HPP */
