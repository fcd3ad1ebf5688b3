/* source.c -- where keys and values lie: one cursor over every layout of K and V. Layout gives
 * addresses of rows and their scales, and knows no type; types turn rows into blocks
 * (cpu/engine_rows.c), and know no layout. */
#ifndef AITERI_SOURCE_C
#define AITERI_SOURCE_C

#include "mask.c"
#include "../base/dtype.c"

/* Bytes from the start of the data to an element offset; I4 offsets are even by the checks. */
AITERI_FORCE_INLINE int64_t aiteri_bytes_of(aiter_dtype dtype, int64_t elements)
{
    return elements * aiter_dtype_bits(dtype) / 8;
}

/* The row of token `token` of batch row or page `outer`, kv head h. */
AITERI_FORCE_INLINE const char *aiteri_source_at(const aiteri_source *source, int64_t outer,
                                                 int64_t token, int64_t h)
{
    return source->data + aiteri_bytes_of(source->dtype, outer * source->stride_outer +
                                                             token * source->stride_token +
                                                             h * source->stride_head);
}

/* Its scale. */
AITERI_FORCE_INLINE const float *aiteri_scale_at(const aiteri_scales *scales, int64_t outer,
                                                 int64_t token, int64_t h)
{
    return scales->data + outer * scales->stride_outer + token * scales->stride_token +
           h * scales->stride_head;
}

/* Entry `entry` of a sequence's list of pages. */
AITERI_FORCE_INLINE int32_t aiteri_page_of(const aiteri_problem *p, const aiteri_sequence *s,
                                           int32_t entry)
{
    return p->block_table[s->k_start + entry * p->table_stride_entry];
}

/* Where key j of a sequence stands: the outer index (batch row or page), the token inside it, and
 * how many keys from j on lie one token stride apart (to the end of the page, or for ever). A key
 * that is not present has no row. */
typedef struct aiteri_key_place {
    int64_t outer, token;
    int32_t run, present, entry; /* entry: of the list of pages */
    int32_t part;
} aiteri_key_place;

/* The first key of an entry of the list of pages. */
AITERI_FORCE_INLINE aiteri_key_place aiteri_place_of_page(const aiteri_problem *p,
                                                          const aiteri_sequence *s, int32_t entry)
{
    const int32_t page = aiteri_page_of(p, s, entry);
    const aiteri_key_place at = {page >= 0 ? page : 0, 0, p->page_size, page >= 0, entry, 0};
    AITERI_ASSERT(p->page_indptr || entry < p->table_entries);
    AITERI_ASSERT(page < p->num_blocks && (at.present || p->has_holes));
    return at;
}

AITERI_FORCE_INLINE aiteri_key_place aiteri_place_of_key(const aiteri_problem *p,
                                                         const aiteri_sequence *s, int32_t j)
{
    const int32_t behind = j - (s->seqlen_k - s->tail); /* the first part */
    AITERI_ASSERT(0 <= j && j < s->seqlen_k);
    if (behind >= 0) {
        const aiteri_key_place tail = {
            p->cu_seqlens_tail ? 0 : s->index, s->tail_start + behind, INT32_MAX, 1, 0, 1};
        return tail;
    }
    if (p->block_table) {
        const int32_t entry = j / p->page_size;
        aiteri_key_place at = aiteri_place_of_page(p, s, entry);
        at.token = j - entry * p->page_size;
        at.run -= (int32_t)at.token;
        return at;
    }
    const aiteri_key_place dense = {s->index, j, INT32_MAX, 1, 0, 0};
    const aiteri_key_place packed = {0, s->k_start + j, INT32_MAX, 1, 0, 0};
    return p->cu_seqlens_k ? packed : dense;
}

/* Keys or values [first, end) of kv head h, all in one part, whose source it is. */
static void aiteri_part_rows(const aiteri_problem *p, const aiteri_sequence *s,
                             const aiteri_source *source, int32_t h, int32_t first, int32_t end,
                             const void **row, float *scale)
{
    const char *head = aiteri_source_at(source, 0, 0, h);
    const float *head_scale = scale ? aiteri_scale_at(&source->scales, 0, 0, h) : NULL;
    const int64_t outer = aiteri_bytes_of(source->dtype, source->stride_outer);
    const int64_t token = aiteri_bytes_of(source->dtype, source->stride_token);
    const int64_t scale_outer = source->scales.stride_outer;
    const int64_t scale_token = source->scales.stride_token;
    aiteri_key_place at = aiteri_place_of_key(p, s, first);
    for (int32_t j = 0;; at = aiteri_place_of_page(p, s, at.entry + 1)) {
        const int32_t to = (int32_t)aiteri_min(end - first, (int64_t)j + at.run);
        const char *data = head + at.outer * outer + at.token * token;
        for (int32_t i = j; row && i < to; i++, data += token) row[i] = at.present ? data : NULL;
        const int64_t place = at.outer * scale_outer + at.token * scale_token;
        for (int32_t i = j; scale && i < to; i++)
            scale[i] = at.present ? head_scale[place + (i - j) * scale_token] : 0.0f;
        j = to;
        if (j == end - first) return;
    }
}

/* Keys or values [first, end) of kv head h, `source` being k or v of the problem: the address of
 * each row, or NULL of one that is not present, and its scale. `row` and `scale` may be NULL. */
static void aiteri_source_rows(const aiteri_problem *p, const aiteri_sequence *s,
                               const aiteri_source *source, int32_t h, int32_t first, int32_t end,
                               const void **row, float *scale)
{
    const int32_t tail = s->seqlen_k - s->tail, behind = (int32_t)aiteri_max(first, tail);
    AITERI_ASSERT(source == &p->k || source == &p->v);
    if (first < end && first < tail)
        aiteri_part_rows(p, s, source, h, first, (int32_t)aiteri_min(end, tail), row, scale);
    if (behind < end)
        aiteri_part_rows(p, s, source == &p->k ? &p->k_tail : &p->v_tail, h, behind, end,
                         row ? row + (behind - first) : NULL,
                         scale ? scale + (behind - first) : NULL);
}

#endif /* AITERI_SOURCE_C */
