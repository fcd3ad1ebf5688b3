/* source_layouts.h -- the keys of an inner_problem laid out as pages, or as two parts. */
#ifndef AITER_TEST_SOURCE_LAYOUTS_H
#define AITER_TEST_SOURCE_LAYOUTS_H

#include "inner_problem.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

/* Both families, blocks of 32 and 96 keys crossed, pieces, a sequence without keys. */
static const inner_shape shapes[] = {
    {4, 2, 21, 21, {2, 1, 3}, {70, 33, 0}, 0, AITER_MASK_NONE, 0, 0, 0, 0},
    {2, 2, 16, 24, {40, 17, 1}, {130, 97, 5}, 0, AITER_MASK_CAUSAL, 0, 0, 0, 0},
    {4, 1, 8, 8, {30, 3, 60}, {200, 64, 96}, 1, AITER_MASK_CAUSAL_TOP_LEFT, 0, 0, 0, 3},
    {2, 1, 32, 32, {4, 0, 7}, {300, 20, 129}, 0, AITER_MASK_WINDOW, 40, 3, 5, 2},
    {4, 2, 24, 16, {20, 5, 8}, {0, 1, 250}, 1, AITER_MASK_WINDOW, 60, -1, 9, 0}};

static const int pages[] = {1, 2, 7, 16, 64, 500};

/* The keys of an inner_problem in pages, in an order of their own; NaN where there is no key. */
typedef struct paged {
    int page, blocks, entry_stride, table_width;
    float *k, *v;
    int32_t *list;
    int32_t indptr[2 * INNER_BATCH + 2], last[3 * INNER_BATCH];
    int first[INNER_BATCH]; /* entry of the list */
} paged;

static inline int pages_of(const inner_problem *x, int b, int page)
{
    return (x->s.sk[b] + page - 1) / page;
}

static inline void *paged_floats(size_t n, int nan)
{
    float *x = (float *)malloc((n + 1) * sizeof(float));
    if (!x) exit(3);
    for (size_t i = 0; i <= n; i++) x[i] = nan ? float_of_bits(0x7fc00000) : 0;
    return x;
}

/* Ids of a permutation, by steps that share no factor with the number of blocks. */
static inline void paged_new(paged *g, const inner_problem *x, int page, int ragged)
{
    int total = 0, used = 0;
    memset(g, 0, sizeof *g);
    g->page = page, g->entry_stride = ragged ? 1 + page % 3 : 1 + page % 2;
    for (int b = 0; b < INNER_BATCH; b++) total += pages_of(x, b, page);
    g->blocks = total + 4;
    while (g->blocks % 7 == 0) g->blocks++;
    g->table_width = pages_of(x, 0, page) + pages_of(x, 1, page) + pages_of(x, 2, page) + 1;
    g->k = (float *)paged_floats((size_t)(g->blocks * page * x->s.hk * x->s.d), 1);
    g->v = (float *)paged_floats((size_t)(g->blocks * page * x->s.hk * x->s.dv), 1);
    g->list = (int32_t *)malloc(sizeof(int32_t) *
                                (size_t)(INNER_BATCH * (g->table_width + 1) * g->entry_stride));
    if (!g->list) exit(3);
    for (int b = 0; b < INNER_BATCH; b++) {
        const int count = pages_of(x, b, page);
        g->first[b] = ragged ? used : b * g->table_width;
        g->indptr[2 * b] = used;
        g->last[3 * b] = x->s.sk[b] ? x->s.sk[b] - (count - 1) * page : 99; /* 99: not read */
        for (int i = 0; i < count; i++)
            g->list[(g->first[b] + i) * g->entry_stride] = (used + i + 3) * 7 % g->blocks;
        used += count;
    }
    g->indptr[2 * INNER_BATCH] = used;
}

static inline void paged_free(paged *g) { free(g->k), free(g->v), free(g->list); }

static inline int32_t *entry_of(const paged *g, int b, int j)
{
    return &g->list[(g->first[b] + j / g->page) * g->entry_stride];
}

/* Copies rows of `bytes` from dense places to their pages. */
static inline void to_pages(const paged *g, const inner_problem *x, void *to, const void *from,
                            size_t bytes)
{
    for (int b = 0; b < INNER_BATCH; b++)
        for (int j = 0; j < x->s.sk[b]; j++) {
            const int64_t at = (int64_t)*entry_of(g, b, j) * g->page + j % g->page;
            memcpy((char *)to + (size_t)at * bytes,
                   (const char *)from + (size_t)inner_row_of_k(x, b, j) * bytes, bytes);
        }
}

static inline void use_pages(inner_problem *x, const paged *g, int ragged)
{
    aiteri_problem *p = &x->p;
    to_pages(g, x, g->k, x->k, (size_t)(x->s.hk * x->s.d) * sizeof(float));
    to_pages(g, x, g->v, x->v, (size_t)(x->s.hk * x->s.dv) * sizeof(float));
    p->k.data = (const char *)g->k, p->v.data = (const char *)g->v;
    p->k.stride_outer = g->page * p->k.stride_token;
    p->v.stride_outer = g->page * p->v.stride_token;
    p->cu_seqlens_k = NULL;
    p->block_table = g->list;
    p->table_stride_entry = g->entry_stride;
    p->page_size = g->page, p->num_blocks = g->blocks;
    p->seqused_k = x->len_k;
    if (ragged) {
        p->page_indptr = g->indptr, p->page_indptr_stride = 2;
        p->table_stride_batch = INT64_MAX; /* not used */
        if (ragged > 1) return;            /* lengths by seqused_k */
        p->last_page_lens = g->last, p->last_page_stride = 3;
        p->seqused_k = NULL;
    } else {
        p->table_entries = g->table_width;
        p->table_stride_batch = (int64_t)g->table_width * g->entry_stride;
    }
}

/* Keys [first[b], first[b] + count[b]) of each sequence as a source of their own, packed or with
 * gaps; nothing else is in it. */
typedef struct part {
    int32_t len[INNER_BATCH], cu[INNER_BATCH + 1];
    float *k, *v;
} part;

static inline void part_new(part *t, const inner_problem *x, const int *first, const int *count)
{
    const size_t k = (size_t)(x->s.hk * x->s.d), v = (size_t)(x->s.hk * x->s.dv);
    const size_t rows = (size_t)(INNER_BATCH * (x->most_k + 2));
    memset(t, 0, sizeof *t);
    t->k = (float *)paged_floats(rows * k, 1), t->v = (float *)paged_floats(rows * v, 1);
    for (int b = 0; b < INNER_BATCH; b++) {
        t->len[b] = count[b], t->cu[b + 1] = t->cu[b] + count[b];
        for (int j = 0; j < count[b]; j++) {
            const size_t was = (size_t)inner_row_of_k(x, b, first[b] + j);
            const size_t at = (size_t)(x->s.packed ? t->cu[b] + j : b * (x->most_k + 2) + j);
            memcpy(t->k + at * k, x->k + was * k, k * sizeof(float));
            memcpy(t->v + at * v, x->v + was * v, v * sizeof(float));
        }
    }
}

static inline void part_use(const part *t, const inner_problem *x, aiteri_source *k,
                            aiteri_source *v)
{
    *k = x->p.k, *v = x->p.v;
    k->data = (const char *)t->k, v->data = (const char *)t->v;
    k->stride_token = (int64_t)x->s.hk * x->s.d, v->stride_token = (int64_t)x->s.hk * x->s.dv;
    k->stride_outer = x->s.packed ? 0 : (x->most_k + 2) * k->stride_token;
    v->stride_outer = x->s.packed ? 0 : (x->most_k + 2) * v->stride_token;
}

#endif /* AITER_TEST_SOURCE_LAYOUTS_H */
