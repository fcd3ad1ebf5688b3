/* test_mask.c -- the one truth about visible keys, against the definition, for every small shape.
 */
#include "test.h"
#include "reference.c"

static aiteri_problem masked(aiter_mask kind, int left, int right, int sink)
{
    aiteri_problem p;
    memset(&p, 0, sizeof p);
    p.mask = kind;
    p.window_left = left;
    p.window_right = right;
    p.sink_tokens = sink;
    return p;
}

static int in_range(aiteri_key_range r, int j) { return j < r.sink || (j >= r.lo && j < r.hi); }

/* All rows, and all spans of rows, of one shape under one mask. Returns the number of deviations.
 */
static int64_t shape(const aiteri_problem *p, const ref_mask *m, int sq, int sk)
{
    const aiteri_sequence s = {0, sq, sk, 0, 0, 0};
    int64_t bad = 0;
    int i, j, end, last;
    for (i = 0; i < sq; i++) {
        aiteri_key_range r = aiteri_visible_keys(p, &s, i);
        bad += r.sink < 0 || r.lo < 0 || r.hi > sk || r.lo > r.hi || (r.sink && r.sink >= r.lo);
        for (j = 0; j < sk; j++) bad += in_range(r, j) != ref_visible(m, i, j, sq, sk);
        for (end = i + 1; end <= sq; end++) {
            aiteri_key_range span = aiteri_visible_keys_of_span(p, &s, i, end);
            for (j = 0; j < sk; j++) { /* a span may take more than its rows see, never less */
                int seen = 0;
                for (last = i; last < end && !seen; last++) seen = ref_visible(m, last, j, sq, sk);
                bad += seen && !in_range(span, j);
                bad += aiteri_range_meets(span, j, j + 1) != in_range(span, j);
                bad += aiteri_range_meets(span, j, j + 3) !=
                       (in_range(span, j) || in_range(span, j + 1) || in_range(span, j + 2));
            }
        }
    }
    return bad;
}

static void exhaustive(void)
{
    int most = test_is_slow() ? 4 : 6, sq, sk, left, right, sink, kind;
    for (sq = 1; sq <= most; sq++) {
        for (sk = 0; sk <= most; sk++) {
            for (kind = AITER_MASK_NONE; kind <= AITER_MASK_WINDOW; kind++) {
                int widest = kind == AITER_MASK_WINDOW ? most : -1;
                for (left = -1; left <= widest; left++) {
                    for (right = -1; right <= widest; right++) {
                        for (sink = 0; sink <= widest + 1; sink++) {
                            aiteri_problem p = masked((aiter_mask)kind, left, right, sink);
                            ref_mask m = {(aiter_mask)kind, left, right, sink};
                            CHECK(shape(&p, &m, sq, sk) == 0,
                                  "mask %d (%d, %d, %d) for %d queries, %d keys", kind, left, right,
                                  sink, sq, sk);
                        }
                    }
                }
            }
        }
    }
}

/* Lengths and windows near 2^31 do not wrap. */
static void large(void)
{
    static const int n[] = {1, 1000, INT32_MAX - 1};
    int a, b, c, kind;
    for (a = 0; a < 3; a++) {
        for (b = 0; b < 3; b++) {
            for (c = 0; c < 27; c++) {
                for (kind = AITER_MASK_NONE; kind <= AITER_MASK_WINDOW; kind++) {
                    int left = n[c % 3], right = n[c / 3 % 3], sink = c / 9 ? n[c / 9] : 0;
                    aiteri_problem p = masked((aiter_mask)kind, left, right, sink);
                    ref_mask m = {(aiter_mask)kind, left, right, sink};
                    int rows[2] = {0, n[a] - 1}, keys[3] = {0, n[b] / 2, n[b] - 1}, i, j;
                    const aiteri_sequence s = {0, n[a], n[b], 0, 0, 0};
                    for (i = 0; i < 2; i++) {
                        aiteri_key_range r = aiteri_visible_keys(&p, &s, rows[i]);
                        for (j = 0; j < 3; j++) {
                            CHECK(in_range(r, keys[j]) ==
                                      ref_visible(&m, rows[i], keys[j], n[a], n[b]),
                                  "mask %d (%d, %d, %d), row %d of %d, key %d of %d", kind, left,
                                  right, sink, rows[i], n[a], keys[j], n[b]);
                        }
                    }
                }
            }
        }
    }
}

int main(void)
{
    test_begin("mask", 1e9);
    exhaustive();
    large();
    return test_end();
}
