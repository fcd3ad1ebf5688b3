/* source.c -- where keys and values lie: one cursor over dense, varlen and paged K and V. */
#ifndef AITERI_SOURCE_C
#define AITERI_SOURCE_C

#include "mask.c"
#include "../base/dtype.c"

/* Bytes from the start of the data to an element offset; I4 offsets are even by the checks. */
AITERI_FORCE_INLINE int64_t aiteri_bytes_of(aiter_dtype dtype, int64_t elements)
{
    return elements * aiter_dtype_bits(dtype) / 8;
}

/* Where key j of a sequence stands: the outer index (batch row or page), the token inside it, and
 * how many keys from j on lie one token stride apart (to the end of the page, or for ever). */
typedef struct aiteri_key_place {
    int64_t outer, token;
    int32_t run;
} aiteri_key_place;

static aiteri_key_place aiteri_place_of_key(const aiteri_problem *p, const aiteri_sequence *s,
                                            int32_t j)
{
    AITERI_ASSERT(0 <= j && j < s->seqlen_k);
    aiteri_key_place at = {s->index, j, INT32_MAX};
    if (p->block_table) {
        const int32_t entry = j / p->page_size;
        at.outer = p->block_table[s->index * p->table_stride_batch + entry * p->table_stride_entry];
        at.token = j - entry * p->page_size;
        at.run = p->page_size - (int32_t)at.token;
        AITERI_ASSERT(entry < p->table_entries);
        AITERI_ASSERT(0 <= at.outer && at.outer < p->num_blocks);
    } else if (p->cu_seqlens_k) {
        at.outer = 0;
        at.token = s->k_start + j;
    }
    return at;
}

/* row[i] = key or value first + i of kv head h, for keys [first, end). */
static void aiteri_source_rows(const aiteri_problem *p, const aiteri_sequence *s,
                               const aiteri_source *source, int32_t h, int32_t first, int32_t end,
                               const void **row)
{
    const int64_t step = aiteri_bytes_of(source->dtype, source->stride_token);
    for (int32_t j = first; j < end;) {
        const aiteri_key_place at = aiteri_place_of_key(p, s, j);
        const int32_t run = (int32_t)aiteri_min(end - j, at.run);
        const char *data =
            source->data + aiteri_bytes_of(source->dtype, at.outer * source->stride_outer +
                                                              at.token * source->stride_token +
                                                              h * source->stride_head);
        for (int32_t i = 0; i < run; i++) row[j - first + i] = data + i * step;
        j += run;
    }
}

/* scale[i] = the scale of key or value first + i of kv head h. */
static void aiteri_source_scales(const aiteri_problem *p, const aiteri_sequence *s,
                                 const aiteri_scales *scales, int32_t h, int32_t first, int32_t end,
                                 float *scale)
{
    for (int32_t j = first; j < end;) {
        const aiteri_key_place at = aiteri_place_of_key(p, s, j);
        const int32_t run = (int32_t)aiteri_min(end - j, at.run);
        const float *data = scales->data + at.outer * scales->stride_outer +
                            at.token * scales->stride_token + h * scales->stride_head;
        for (int32_t i = 0; i < run; i++) scale[j - first + i] = data[i * scales->stride_token];
        j += run;
    }
}

#endif /* AITERI_SOURCE_C */
