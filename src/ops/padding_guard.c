/* padding_guard.c -- how much a softmax without mask would suffer from zero keys up to a tile's
 * edge. */
#ifndef AITERI_PADDING_GUARD_C
#define AITERI_PADDING_GUARD_C

#include "../api_ops.h"
#include "../base/argument.c"

AITER_API aiter_status aiter_padding_guard(const aiter_padding_guard_args *args, double *ratio,
                                           int32_t *safe)
{
    aiteri_check c = {"aiter_padding_guard", NULL, AITER_OK};
    aiteri_check_true(&c, args != NULL, "args", "a pointer");
    if (c.status != AITER_OK) return c.status;
    const int64_t tile = args->tile ? args->tile : 128;
    const double threshold = args->threshold != 0.0 ? args->threshold : 0.005;
    aiteri_check_range(&c, "seqlen", args->seqlen, 1, INT64_MAX);
    aiteri_check_range(&c, "tile", tile, 1, INT64_MAX);
    aiteri_check_range(&c, "mask", (int64_t)args->mask, 0, AITER_MASK_CAUSAL);
    aiteri_check_true(&c, threshold > 0.0 && threshold < 1.0, "threshold", "0 or a share below 1");
    if (c.status != AITER_OK) return c.status;
    const int64_t padding = (tile - args->seqlen % tile) % tile;
    aiteri_check_range(&c, "seqlen: padding to the tile", padding, 0, INT64_MAX - args->seqlen);
    if (c.status != AITER_OK) return c.status;
    const double share = aiteri_rounded_f64(aiteri_rounded_f64((double)padding) /
                                            aiteri_rounded_f64((double)(args->seqlen + padding)));
    if (ratio) *ratio = share;
    if (safe) *safe = args->mask == AITER_MASK_CAUSAL || share <= threshold;
    return AITER_OK;
}

#endif /* AITERI_PADDING_GUARD_C */
