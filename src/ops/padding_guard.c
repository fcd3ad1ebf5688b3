/* padding_guard.c -- how much a softmax without mask would suffer from zero keys up to a tile's
 * edge. */
#ifndef AITERI_PADDING_GUARD_C
#define AITERI_PADDING_GUARD_C

#include "../api_ops.h"
#include "../base/argument.c"
#include "call_begin.c"

AITER_ATTN_API aiter_status aiter_padding_guard(const aiter_padding_guard_args *args, double *ratio,
                                                int32_t *safe)
{
    aiteri_check c = {"aiter_padding_guard", NULL, AITER_OK};
    AITERI_TRY(aiteri_call_begin(c.op, "", NULL, args, sizeof *args));
    const int64_t tile = args->tile ? args->tile : 128;
    uint64_t bits; /* judged by them, so that no compiler flag can wave NaN through */
    memcpy(&bits, &args->threshold, sizeof bits);
    const double threshold = bits << 1 != 0 ? args->threshold : 0.005;
    const int in_range = bits << 1 == 0 || bits < UINT64_C(0x3ff0000000000000); /* 1.0 */
    aiteri_check_range(&c, "seqlen", args->seqlen, 1, INT64_MAX);
    aiteri_check_range(&c, "tile", tile, 1, INT64_MAX);
    if ((int)args->mask < 0 || args->mask > AITER_MASK_CAUSAL)
        aiteri_reject(&c, AITER_INVALID_ARGUMENT,
                      "%s.mask: is %d, expected AITER_MASK_DEFAULT, AITER_MASK_NONE or "
                      "AITER_MASK_CAUSAL",
                      c.op, (int)args->mask);
    if (!in_range)
        aiteri_reject(&c, AITER_INVALID_ARGUMENT,
                      "%s.threshold: is %g, expected 0 (for 0.005) or a share between 0 and 1",
                      c.op, threshold);
    if (c.status != AITER_OK) return c.status;
    const int64_t padding = (tile - args->seqlen % tile) % tile;
    if (padding > INT64_MAX - args->seqlen)
        aiteri_reject(&c, AITER_INVALID_ARGUMENT,
                      "%s.seqlen: is %lld, which padded to tiles of %lld exceeds 2^63 - 1", c.op,
                      (long long)args->seqlen, (long long)tile);
    if (c.status != AITER_OK) return c.status;
    const double share = aiteri_rounded_f64(aiteri_rounded_f64((double)padding) /
                                            aiteri_rounded_f64((double)(args->seqlen + padding)));
    if (ratio) *ratio = share;
    const int is_safe = args->mask == AITER_MASK_CAUSAL || share <= threshold;
    if (safe) *safe = is_safe;
    if (!is_safe) /* a verdict, no failure: the words for it */
        aiteri_fail(NULL, AITER_OK,
                    "%s: %.3g %% of %lld keys would be padding, above the limit of %.3g %%; mask = "
                    "AITER_MASK_CAUSAL, a seqlen that is a multiple of %lld, or an attention that "
                    "masks its tail (every op here) avoids it",
                    c.op, 100.0 * share, (long long)(args->seqlen + padding), 100.0 * threshold,
                    (long long)tile);
    return AITER_OK;
}

#endif /* AITERI_PADDING_GUARD_C */
