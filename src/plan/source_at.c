/* source_at.c -- a tensor of keys or values as a source, and the addresses of its rows and scales:
 * the same for those who read a cache and those who write it. */
#ifndef AITERI_SOURCE_AT_C
#define AITERI_SOURCE_AT_C

#include "problem.h"
#include "../base/argument.c"

/* A stride that never moves where the extent is 1: such dimensions broadcast. */
static int64_t aiteri_broadcast_stride(const aiter_tensor *t, int32_t dim)
{
    return t->shape[dim] == 1 ? 0 : t->stride[dim];
}

/* K or V in the order [outer,] token, head, element: readers and the writer of a cache. */
AITERI_UNUSED static aiteri_source aiteri_source_of(const aiter_tensor *t)
{
    aiteri_source s;
    const int32_t n = t->ndim;
    memset(&s, 0, sizeof s);
    s.data = (const char *)t->data;
    s.dtype = t->dtype;
    s.dim = (int32_t)t->shape[n - 1];
    s.stride_outer = n == 4 ? t->stride[0] : 0;
    s.stride_token = t->stride[n - 3];
    s.stride_head = t->stride[n - 2];
    s.stride_dim = t->shape[n - 1] == 1 ? 1 : t->stride[n - 1];
    return s;
}

/* Scales of a kind whose shape was checked, (outer,) (token,) head (, group); none of channels. */
AITERI_UNUSED static aiteri_scales aiteri_scales_of(const aiter_tensor *t, aiter_scale_kind kind)
{
    aiteri_scales s;
    const int grouped = kind == AITER_SCALE_PER_GROUP;
    const int tokens = grouped || kind == AITER_SCALE_PER_TOKEN_HEAD;
    const int32_t head = t->ndim - 1 - grouped;
    memset(&s, 0, sizeof s);
    s.data = t->data;
    s.dtype = t->dtype;
    s.stride_head = head == 0 ? aiteri_broadcast_stride(t, 0) : t->stride[head];
    if (tokens && head > 0) s.stride_token = t->stride[head - 1];
    if (head > tokens) s.stride_outer = t->stride[0];
    if (grouped) s.stride_group = t->stride[head + 1];
    return s;
}

/* The row of token `token` of batch row or page `outer`, kv head h. */
AITERI_FORCE_INLINE const char *aiteri_source_at(const aiteri_source *source, int64_t outer,
                                                 int64_t token, int64_t h)
{
    const aiteri_tiles *tiles = &source->tiles;
    int64_t at = outer * source->stride_outer + h * source->stride_head;
    if (tiles->bundle) {
        at += (int32_t)token / tiles->bundle * tiles->stride_bundle; /* within a page */
        token = (int32_t)token % tiles->bundle;
    }
    return source->data + aiteri_bytes_of(source->dtype, at + token * source->stride_token);
}

/* The place of its scale, or of the first of them, in elements. */
AITERI_FORCE_INLINE int64_t aiteri_scale_place(const aiteri_scales *scales, int64_t outer,
                                               int64_t token, int64_t h)
{
    const int64_t block = scales->block > 1 ? token / scales->block : token;
    return outer * scales->stride_outer + block * scales->stride_token + h * scales->stride_head;
}

#endif /* AITERI_SOURCE_AT_C */
