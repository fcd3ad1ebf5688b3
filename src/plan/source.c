/* source.c -- where keys and values lie: one cursor over every layout of K and V. Layout gives
 * addresses of rows and their scales, and knows no type; types turn rows into blocks
 * (cpu/engine_rows.c), and know no layout. */
#ifndef AITERI_SOURCE_C
#define AITERI_SOURCE_C

#include "mask.c"
#include "../base/names.c"

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

/* Key j of the first part. */
AITERI_FORCE_INLINE aiteri_key_place aiteri_place_in_front(const aiteri_problem *p,
                                                           const aiteri_sequence *s, int32_t j)
{
    if (p->block_table) {
        const int32_t entry = j / p->page_size;
        aiteri_key_place at = aiteri_place_of_page(p, s, entry);
        at.token = j - entry * p->page_size;
        at.run -= (int32_t)at.token;
        return at;
    }
    const int packed = p->cu_seqlens_k != NULL;
    const aiteri_key_place at = {
        packed ? 0 : s->index, packed ? s->k_start + j : j, INT32_MAX, 1, 0, 0};
    return at;
}

/* Key j of the second part, the new tokens. */
AITERI_FORCE_INLINE aiteri_key_place aiteri_place_in_tail(const aiteri_problem *p,
                                                          const aiteri_sequence *s, int32_t j)
{
    const int32_t *cu = p->cu_seqlens_tail;
    const int64_t start = cu ? cu[s->index * p->cu_stride_tail] : 0;
    const aiteri_key_place at = {cu ? 0 : s->index, start + j, INT32_MAX, 1, 0, 1};
    return at;
}

static aiteri_key_place aiteri_place_of_key(const aiteri_problem *p, const aiteri_sequence *s,
                                            int32_t j)
{
    const int32_t front = s->seqlen_k - s->tail;
    AITERI_ASSERT(0 <= j && j < s->seqlen_k);
    return j < front ? aiteri_place_in_front(p, s, j) : aiteri_place_in_tail(p, s, j - front);
}

/* n keys or values of kv head h from `at` on, all of the part that `source` is. */
AITERI_FORCE_INLINE void aiteri_part_rows(const aiteri_problem *p, const aiteri_sequence *s,
                                          const aiteri_source *source, int32_t h,
                                          aiteri_key_place at, int32_t n, const void **row,
                                          float *scale)
{
    const int64_t token = aiteri_bytes_of(source->dtype, source->stride_token);
    const float none = 0.0f;
    for (int32_t j = 0;; at = aiteri_place_of_page(p, s, at.entry + 1)) {
        const int32_t run = (int32_t)aiteri_min(n - j, at.run);
        if (row) {
            const char *data = at.present ? aiteri_source_at(source, at.outer, at.token, h) : NULL;
            const int64_t step = at.present ? token : 0;
            const void **to = row + j;
            for (int32_t i = 0; i < run; i++, data += step) to[i] = data; /* gcc: two at a time */
        }
        if (scale) {
            const float *data =
                at.present ? aiteri_scale_at(&source->scales, at.outer, at.token, h) : &none;
            const int64_t step = at.present ? source->scales.stride_token : 0;
            for (int32_t i = 0; i < run; i++) scale[j + i] = data[i * step];
        }
        j += run;
        if (j == n) return;
    }
}

/* Keys or values [first, end) of kv head h, `source` being k or v of the problem: the address of
 * each row, or NULL of one that is not present, and its scale. `row` and `scale` may be NULL. */
static void aiteri_source_rows(const aiteri_problem *p, const aiteri_sequence *s,
                               const aiteri_source *source, int32_t h, int32_t first, int32_t end,
                               const void **row, float *scale)
{
    const int32_t front = s->seqlen_k - s->tail, behind = (int32_t)aiteri_max(first, front);
    AITERI_ASSERT(source == &p->k || source == &p->v);
    AITERI_ASSERT(first >= end || (0 <= first && end <= s->seqlen_k));
    if (first < end && first < front)
        aiteri_part_rows(p, s, source, h, aiteri_place_in_front(p, s, first),
                         (int32_t)aiteri_min(end, front) - first, row, scale);
    if (behind < end)
        aiteri_part_rows(p, s, source == &p->k ? &p->k_tail : &p->v_tail, h,
                         aiteri_place_in_tail(p, s, behind - front), end - behind,
                         row ? row + (behind - first) : NULL,
                         scale ? scale + (behind - first) : NULL);
}

#endif /* AITERI_SOURCE_C */
