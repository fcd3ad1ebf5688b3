/* mask.c -- which keys a query row sees: the one truth for the planner, the engine and the tests.
 *
 * Every mask here is, per row, [lo, hi) plus a prefix [0, sink): lo and hi never fall from a row to
 * the next, so a span of rows sees at most [lo(first), hi(last)) plus the prefix. */
#ifndef AITERI_MASK_C
#define AITERI_MASK_C

#include "problem.h"

/* Keys [0, sink) and [lo, hi); sink <= lo, and sink == 0 when the two would touch. */
typedef struct aiteri_key_range {
    int32_t sink, lo, hi;
} aiteri_key_range;

static aiteri_key_range aiteri_key_range_make(int64_t lo, int64_t hi, int64_t sink)
{
    aiteri_key_range r;
    r.hi = (int32_t)hi;
    r.lo = (int32_t)(lo > hi ? hi : lo);
    r.sink = (int32_t)(sink > hi ? hi : sink);
    if (r.sink >= r.lo) {
        if (r.sink > 0) r.lo = 0;
        r.sink = 0;
    }
    AITERI_ASSERT(0 <= r.sink && r.sink <= r.lo && r.lo <= r.hi);
    return r;
}

/* The keys of query token i. */
static aiteri_key_range aiteri_visible_keys(const aiteri_problem *p, int32_t seqlen_q,
                                            int32_t seqlen_k, int32_t i)
{
    const int64_t at = (int64_t)i + seqlen_k - seqlen_q;
    int64_t lo = 0, hi = seqlen_k, sink = 0;
    switch (p->mask) {
    case AITER_MASK_CAUSAL: hi = aiteri_clamp(at + 1, 0, seqlen_k); break;
    case AITER_MASK_CAUSAL_TOP_LEFT: hi = aiteri_min((int64_t)i + 1, seqlen_k); break;
    case AITER_MASK_WINDOW:
        if (p->window_left >= 0) lo = aiteri_clamp(at - p->window_left, 0, seqlen_k);
        if (p->window_right >= 0) hi = aiteri_clamp(at + p->window_right + 1, 0, seqlen_k);
        sink = p->sink_tokens;
        break;
    default: break;
    }
    return aiteri_key_range_make(lo, hi, sink);
}

/* The keys that some token of [first, end) sees; end > first. */
static aiteri_key_range aiteri_visible_keys_of_span(const aiteri_problem *p, int32_t seqlen_q,
                                                    int32_t seqlen_k, int32_t first, int32_t end)
{
    const aiteri_key_range a = aiteri_visible_keys(p, seqlen_q, seqlen_k, first);
    const aiteri_key_range b = aiteri_visible_keys(p, seqlen_q, seqlen_k, end - 1);
    AITERI_ASSERT(0 <= first && first < end && end <= seqlen_q);
    AITERI_ASSERT(a.hi <= b.hi && (a.lo <= b.lo || a.lo == a.hi || b.lo == 0));
    const int32_t sink = a.sink > b.sink ? a.sink : b.sink;
    return aiteri_key_range_make(a.lo, b.hi, sink);
}

/* Does the range hold any of keys [first, end)? */
static int aiteri_range_meets(aiteri_key_range r, int64_t first, int64_t end)
{
    return (first < r.hi && end > r.lo && r.lo < r.hi) || first < r.sink;
}

#endif /* AITERI_MASK_C */
