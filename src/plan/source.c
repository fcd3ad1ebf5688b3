/* source.c -- where keys and values lie: one cursor over every layout of K and V. Layout gives
 * addresses of rows and their scales, and knows no type; types turn rows into blocks
 * (cpu/engine_rows.c), and know no layout. */
#ifndef AITERI_SOURCE_C
#define AITERI_SOURCE_C

#include "mask.c"
#include "source_at.c"

/* Columns of the first segment. */
AITERI_FORCE_INLINE int32_t aiteri_own_dim(const aiteri_source *source)
{
    return source->rest ? source->dim - source->rest->dim : source->dim;
}

/* Whether a row is one piece under one scale at most: loops read it where it lies, and sums may be
 * multiplied by the scale in place of elements. */
AITERI_FORCE_INLINE int aiteri_rows_are_whole(const aiteri_source *source)
{
    return !source->rest && !source->scales.group;
}

/* Whether rows are none in memory, and tiles of them are worth bringing into rows: a column's
 * tokens lie side by side, or a token's columns in pieces. Other strides are followed element by
 * element. */
AITERI_FORCE_INLINE int aiteri_is_tiled(const aiteri_source *source)
{
    return source->tiles.piece || (source->stride_dim != 1 && source->stride_token == 1);
}

AITERI_FORCE_INLINE int aiteri_scales_rows(const aiteri_source *source)
{
    return source->scales.data && aiteri_rows_are_whole(source);
}

/* Scales of a row's first segment. */
AITERI_FORCE_INLINE int32_t aiteri_scales_of_row(const aiteri_source *source)
{
    const int32_t group = source->scales.group;
    return group ? (int32_t)aiteri_ceil_div(aiteri_own_dim(source), group) : 1;
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
    const aiteri_key_place at = {s->index, packed ? s->k_start + j : j, INT32_MAX, 1, 0, 0};
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

/* The new tokens that follow the keys or values that `source` is, k or v of the problem. */
AITERI_FORCE_INLINE const aiteri_source *aiteri_tail_of(const aiteri_problem *p,
                                                        const aiteri_source *source)
{
    AITERI_ASSERT(source == &p->k || source == &p->v);
    return source == &p->k ? &p->k_tail : &p->v_tail;
}

/* The part that holds key j. */
AITERI_FORCE_INLINE const aiteri_source *aiteri_part_of(const aiteri_problem *p,
                                                        const aiteri_sequence *s,
                                                        const aiteri_source *source, int32_t j)
{
    return j < s->seqlen_k - s->tail ? source : aiteri_tail_of(p, source);
}

/* Where the keys of [first, end) end that are of one part with the first. */
AITERI_FORCE_INLINE int32_t aiteri_part_end(const aiteri_sequence *s, int32_t first, int32_t end)
{
    const int32_t front = s->seqlen_k - s->tail;
    return first < front && front < end ? front : end;
}

/* The address of each of n rows of keys or values from `at` on, all of one part, or NULL of one
 * that is not present; `part` is that of the source, or a segment of it; kv head h. */
static void aiteri_source_rows(const aiteri_problem *p, const aiteri_sequence *s,
                               const aiteri_source *part, aiteri_key_place at, int32_t h, int32_t n,
                               const void **row)
{
    const int64_t token = aiteri_bytes_of(part->dtype, part->stride_token);
    for (;; at = aiteri_place_of_page(p, s, at.entry + 1)) {
        const int32_t run = (int32_t)aiteri_min(n, at.run);
        const char *data = at.present ? aiteri_source_at(part, at.outer, at.token, h) : NULL;
        const int64_t step = at.present ? token : 0;
        for (int32_t i = 0; i < run; i++, data += step) row[i] = data; /* gcc: two at a time */
        row += run;
        n -= run;
        if (n == 0) return;
    }
}

/* Scales of every kind of n rows from `at` on. */
static void aiteri_load_scales(const aiteri_source *part, const aiteri_key_place *at, int32_t h,
                               int32_t n, float *scale)
{
    const aiteri_scales *scales = &part->scales;
    const int32_t of_row = aiteri_scales_of_row(part);
    for (int32_t i = 0; i < n * of_row; i++) {
        const int64_t place = aiteri_scale_place(scales, at->outer, at->token + i / of_row, h) +
                              i % of_row * scales->stride_group;
        const uint32_t bits = aiteri_load_bits(scales->dtype, scales->data, place);
        memcpy(scale + i, &bits, sizeof bits);
    }
}

/* The scales of the same rows, those of one behind those of another: 1 in a part without scales, 0
 * of a row that is not present. */
static void aiteri_source_scales(const aiteri_problem *p, const aiteri_sequence *s,
                                 const aiteri_source *part, aiteri_key_place at, int32_t h,
                                 int32_t n, float *scale)
{
    const aiteri_scales *scales = &part->scales;
    const int plain = scales->dtype == AITER_F32 && !scales->block && !scales->group;
    const int32_t of_row = aiteri_scales_of_row(part);
    for (;; at = aiteri_place_of_page(p, s, at.entry + 1)) {
        const int32_t run = (int32_t)aiteri_min(n, at.run);
        if (at.present && scales->data && plain) {
            const float *data =
                (const float *)scales->data + aiteri_scale_place(scales, at.outer, at.token, h);
            for (int32_t i = 0; i < run; i++) scale[i] = data[i * scales->stride_token];
        } else if (at.present && scales->data) {
            aiteri_load_scales(part, &at, h, run, scale);
        } else {
            const float same = at.present ? 1.0f : 0.0f;
            for (int32_t i = 0; i < run * of_row; i++) scale[i] = same;
        }
        scale += run * of_row;
        n -= run;
        if (n == 0) return;
    }
}

#endif /* AITERI_SOURCE_C */
