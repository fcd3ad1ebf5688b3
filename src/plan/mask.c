/* mask.c -- which keys a query row sees: the one truth for the planner, the engine and the tests.
 *
 * What a row sees is [lo, hi) plus a prefix [0, sink). Each kind of mask states, once, the least
 * such range that holds all that a span of rows sees; a row is a span of one. */
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

/* The keys that some token of [first, end) sees; end > first. */
static aiteri_key_range aiteri_visible_keys_of_span(const aiteri_problem *p,
                                                    const aiteri_sequence *s, int32_t first,
                                                    int32_t end)
{
    const int64_t keys = s->seqlen_k, at = (int64_t)first + keys - s->seqlen_q;
    const int64_t last = (int64_t)end - 1, last_at = last + keys - s->seqlen_q;
    int64_t lo = 0, hi = keys, sink = 0;
    AITERI_ASSERT(0 <= first && first < end && end <= s->seqlen_q);
    switch (p->mask) {
    case AITER_MASK_CAUSAL: hi = aiteri_clamp(last_at + 1, 0, keys); break;
    case AITER_MASK_CAUSAL_TOP_LEFT: hi = aiteri_min(last + 1, keys); break;
    case AITER_MASK_WINDOW:
        if (p->window_left >= 0) lo = aiteri_clamp(at - p->window_left, 0, keys);
        if (p->window_right >= 0) hi = aiteri_clamp(last_at + p->window_right + 1, 0, keys);
        sink = p->sink_tokens;
        break;
    default: break;
    }
    return aiteri_key_range_make(lo, hi, sink);
}

/* The keys of query token i, as far as the mask's kind tells. */
static aiteri_key_range aiteri_visible_keys(const aiteri_problem *p, const aiteri_sequence *s,
                                            int32_t i)
{
    return aiteri_visible_keys_of_span(p, s, i, i + 1);
}

/* Does the range hold any of keys [first, end)? */
static int aiteri_range_meets(aiteri_key_range r, int64_t first, int64_t end)
{
    return (first < r.hi && end > r.lo && r.lo < r.hi) || first < r.sink;
}

#endif /* AITERI_MASK_C */
