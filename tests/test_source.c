/* test_source.c -- where keys and values lie: tables of pages, ragged lists of pages (page size 1
 * too), lists with holes and keys in two parts give the bits of the same keys laid out densely;
 * every key's place, row and scale. */
#include "test.h"
#include "reference.c"
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

static int pages_of(const inner_problem *x, int b, int page)
{
    return (x->s.sk[b] + page - 1) / page;
}

static void *paged_floats(size_t n, int nan)
{
    float *x = (float *)malloc((n + 1) * sizeof(float));
    if (!x) exit(3);
    for (size_t i = 0; i <= n; i++) x[i] = nan ? float_of_bits(0x7fc00000) : 0;
    return x;
}

/* Ids of a permutation, by steps that share no factor with the number of blocks. */
static void paged_new(paged *g, const inner_problem *x, int page, int ragged)
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

static void paged_free(paged *g) { free(g->k), free(g->v), free(g->list); }

static int32_t *entry_of(const paged *g, int b, int j)
{
    return &g->list[(g->first[b] + j / g->page) * g->entry_stride];
}

/* Copies rows of `bytes` from dense places to their pages. */
static void to_pages(const paged *g, const inner_problem *x, void *to, const void *from,
                     size_t bytes)
{
    for (int b = 0; b < INNER_BATCH; b++)
        for (int j = 0; j < x->s.sk[b]; j++) {
            const int64_t at = (int64_t)*entry_of(g, b, j) * g->page + j % g->page;
            memcpy((char *)to + (size_t)at * bytes,
                   (const char *)from + (size_t)inner_row_of_k(x, b, j) * bytes, bytes);
        }
}

static void use_pages(inner_problem *x, const paged *g, int ragged)
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

static void layouts(aiter_context *ctx, aiter_context *threads)
{
    for (int n = 0; n < COUNT(shapes) * COUNT(pages) * 3; n++) {
        const int ragged = n / COUNT(shapes) % 3;
        inner_problem x;
        paged g;
        inner_new(&x, &shapes[n % COUNT(shapes)], (uint64_t)n + 1);
        CHECK(inner_run(&x, ctx) == AITER_OK, "%s", aiter_last_error());
        inner_problem want = inner_kept(&x);
        paged_new(&g, &x, pages[n / COUNT(shapes) / 3], ragged);
        use_pages(&x, &g, ragged);
        for (int t = 0; t < 2; t++) {
            CHECK(inner_run(&x, t ? threads : ctx) == AITER_OK, "%s", aiter_last_error());
            CHECK(inner_different(&x, &want) == 0, "shape %d, pages of %d, %s: other bits", n,
                  g.page, ragged ? "ragged" : "a table");
        }
        CHECK(x.p.features & (ragged ? AITERI_BIT(PAGE_LISTS) : AITERI_BIT(PAGED_KEYS)), "bits");
        test_global.cases++;
        inner_drop(&want);
        paged_free(&g);
        inner_free(&x);
    }
}

/* int8 with a scale for each token and head: both in pages. */
static void scales(aiter_context *ctx)
{
    for (int n = 0; n < COUNT(shapes) * COUNT(pages) * 2; n++) {
        const inner_shape *s = &shapes[n % COUNT(shapes)];
        inner_problem x;
        paged g;
        inner_new(&x, s, (uint64_t)n + 100);
        const size_t rows = x.k_floats / (size_t)s->d; /* of keys and heads */
        int8_t *k = (int8_t *)calloc(x.k_floats + 1, 1), *v = (int8_t *)calloc(x.v_floats + 1, 1);
        float *scale = inner_floats(rows, (uint64_t)n + 5);
        if (!k || !v) exit(3);
        for (size_t i = 0; i < x.k_floats; i++) k[i] = (int8_t)(127 * x.k[i]);
        for (size_t i = 0; i < x.v_floats; i++) v[i] = (int8_t)(127 * x.v[i]);
        x.p.k.dtype = x.p.v.dtype = AITER_I8;
        x.p.k.data = (const char *)k, x.p.v.data = (const char *)v;
        x.p.k.scales.data = x.p.v.scales.data = scale;
        x.p.k.scales.stride_head = x.p.v.scales.stride_head = 1;
        x.p.k.scales.stride_token = x.p.v.scales.stride_token = s->hk;
        x.p.k.scales.stride_outer = x.p.v.scales.stride_outer =
            s->packed ? 0 : (int64_t)x.most_k * s->hk;
        CHECK(inner_run(&x, ctx) == AITER_OK, "%s", aiter_last_error());
        inner_problem want = inner_kept(&x);
        const int ragged = n / COUNT(shapes) % 2;
        paged_new(&g, &x, pages[n / COUNT(shapes) / 2], ragged);
        float *placed = (float *)paged_floats((size_t)(g.blocks * g.page * s->hk), 1);
        use_pages(&x, &g, ragged);
        to_pages(&g, &x, g.k, k, (size_t)(s->hk * s->d));
        to_pages(&g, &x, g.v, v, (size_t)(s->hk * s->dv));
        to_pages(&g, &x, placed, scale, (size_t)s->hk * sizeof(float));
        x.p.k.scales.data = x.p.v.scales.data = placed;
        x.p.k.scales.stride_outer = x.p.v.scales.stride_outer = (int64_t)g.page * s->hk;
        CHECK(inner_run(&x, ctx) == AITER_OK, "%s", aiter_last_error());
        CHECK(inner_different(&x, &want) == 0, "shape %d, int8 pages of %d: other bits", n, g.page);
        test_global.cases++;
        inner_drop(&want);
        free(k), free(v), free(scale), free(placed);
        paged_free(&g);
        inner_free(&x);
    }
}

/* Pages of -1: their keys are hidden, near the oracle; the others have their bits whoever is beside
 * them. */
static void holes(aiter_context *ctx)
{
    for (int n = 0; n < COUNT(shapes) * COUNT(pages) * 3; n++) {
        const int ragged = n / COUNT(shapes) % 3;
        inner_problem x;
        paged g;
        inner_new(&x, &shapes[n % COUNT(shapes)], (uint64_t)n + 300);
        paged_new(&g, &x, pages[n / COUNT(shapes) / 3], ragged);
        use_pages(&x, &g, ragged);
        for (int b = 0; b < INNER_BATCH; b++)
            for (int j = 0; j < x.s.sk[b]; j += g.page)
                if ((j / g.page * 5 + n + b) % 3 == 0) *entry_of(&g, b, j) = n % 2 ? -1 : INT32_MIN;
        x.p.has_holes = 1;
        CHECK(inner_run(&x, ctx) == AITER_OK, "%s", aiter_last_error());
        for (int b = 0; b < INNER_BATCH; b++) {
            unsigned char shown[500];
            for (int j = 0; j < x.s.sk[b]; j++) shown[j] = *entry_of(&g, b, j) >= 0;
            for (int i = 0; i < x.s.sq[b]; i++)
                for (int h = 0; h < x.s.hq; h++) inner_expect_row(&x, shown, b, h, i);
        }
        inner_problem want = inner_kept(&x);
        if (n % 4 == 0) x.p.k.data = x.p.v.data = NULL, x.p.num_blocks = 0; /* nothing is there */
        for (int b = 0; n % 4 == 0 && b < INNER_BATCH; b++)
            for (int j = 0; j < x.s.sk[b]; j++) *entry_of(&g, b, j) = -1;
        CHECK(inner_run(&x, ctx) == AITER_OK, "%s", aiter_last_error());
        if (n % 4 == 0) {
            int bad = 0;
            for (int b = 0; b < INNER_BATCH; b++)
                for (int i = 0; i < x.s.sq[b]; i++)
                    for (int h = 0; h < x.s.hq; h++)
                        bad += bits_of_float(x.lse[inner_row_of_q(&x, b, i) * x.s.hq + h]) !=
                               0xff800000;
            CHECK(bad == 0, "%d rows see keys that are not there", bad);
        } else {
            CHECK(inner_different(&x, &want) == 0, "shape %d: other bits", n);
        }
        test_global.cases++;
        inner_drop(&want);
        paged_free(&g);
        inner_free(&x);
    }
}

/* V of another type than K: bf16 values beside f32 keys, and the same values as f32. */
static void two_types(aiter_context *ctx)
{
    for (int n = 0; n < COUNT(shapes) * 3; n++) {
        inner_problem x;
        inner_new(&x, &shapes[n % COUNT(shapes)], (uint64_t)n + 500);
        uint16_t *v = (uint16_t *)malloc((x.v_floats + 1) * sizeof(uint16_t));
        if (!v) exit(3);
        for (size_t i = 0; i < x.v_floats; i++) {
            ref_store(AITER_BF16, v, (int64_t)i, x.v[i]);
            x.v[i] = (float)ref_load(AITER_BF16, v, (int64_t)i);
        }
        CHECK(inner_run(&x, ctx) == AITER_OK, "%s", aiter_last_error());
        inner_problem want = inner_kept(&x);
        x.p.v.data = (const char *)v;
        x.p.v.dtype = AITER_BF16;
        CHECK(inner_run(&x, ctx) == AITER_OK && (x.p.features & AITERI_BIT(KV_TYPES)), "%s",
              aiter_last_error());
        CHECK(inner_different(&x, &want) == 0, "shape %d: V as bf16 has other bits", n);
        test_global.cases++;
        inner_drop(&want);
        free(v);
        inner_free(&x);
    }
}

/* Keys [first[b], first[b] + count[b]) of each sequence as a source of their own, packed or with
 * gaps; nothing else is in it. */
typedef struct part {
    int32_t len[INNER_BATCH], cu[INNER_BATCH + 1];
    float *k, *v;
} part;

static void part_new(part *t, const inner_problem *x, const int *first, const int *count)
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

static void part_use(const part *t, const inner_problem *x, aiteri_source *k, aiteri_source *v)
{
    *k = x->p.k, *v = x->p.v;
    k->data = (const char *)t->k, v->data = (const char *)t->v;
    k->stride_token = (int64_t)x->s.hk * x->s.d, v->stride_token = (int64_t)x->s.hk * x->s.dv;
    k->stride_outer = x->s.packed ? 0 : (x->most_k + 2) * k->stride_token;
    v->stride_outer = x->s.packed ? 0 : (x->most_k + 2) * v->stride_token;
}

/* Scales of both parts, in one walk; those of a key are its first element in each head. */
static void part_scales(inner_problem *x, const part *first, const part *second)
{
    static const void *row[512];
    static float scale[512];
    const part *const of[2] = {first, second};
    aiteri_source *const source[2] = {&x->p.k, &x->p.k_tail};
    int64_t bad = 0;
    for (int i = 0; i < 2; i++) {
        source[i]->scales.data = of[i]->k;
        source[i]->scales.stride_outer = source[i]->stride_outer;
        source[i]->scales.stride_token = source[i]->stride_token;
        source[i]->scales.stride_head = source[i]->stride_head;
    }
    for (int b = 0; b < INNER_BATCH; b++) {
        const aiteri_sequence s = aiteri_sequence_of(&x->p, b);
        for (int from = 0; from < s.seqlen_k; from += 1 + from / 4) {
            const int h = from % x->s.hk;
            memset(scale, 0xa5, sizeof scale);
            aiteri_source_rows(&x->p, &s, &x->p.k, h, from, s.seqlen_k, row, scale);
            for (int j = from; j < s.seqlen_k; j++) {
                const part *t = of[j >= first->len[b]];
                const int k = j - (j >= first->len[b] ? first->len[b] : 0);
                const int64_t at = x->s.packed ? t->cu[b] + k : (int64_t)b * (x->most_k + 2) + k;
                const float *want = t->k + (at * x->s.hk + h) * x->s.d;
                bad += row[j - from] != want || memcmp(&scale[j - from], want, sizeof *want) != 0;
                bad += aiteri_place_of_key(&x->p, &s, j).part != (j >= first->len[b]);
            }
        }
    }
    CHECK(bad == 0, "%d rows or scales of two parts", (int)bad);
}

/* The last keys of each sequence as a second part, behind each layout. */
static void two_parts(aiter_context *ctx)
{
    for (int n = 0; n < COUNT(shapes) * COUNT(pages) * 3; n++) {
        const int layout = n / COUNT(shapes) % 3; /* rows, a table, lists */
        const int none[INNER_BATCH] = {0};
        int head[INNER_BATCH], tail[INNER_BATCH];
        inner_problem x;
        paged g;
        part first, second;
        inner_new(&x, &shapes[n % COUNT(shapes)], (uint64_t)n + 900);
        CHECK(inner_run(&x, ctx) == AITER_OK, "%s", aiter_last_error());
        inner_problem want = inner_kept(&x);
        for (int b = 0; b < INNER_BATCH; b++) {
            tail[b] = (n * 13 + b * 31) % (x.s.sk[b] + 1);
            head[b] = x.s.sk[b] - tail[b];
        }
        part_new(&first, &x, none, head);
        part_new(&second, &x, head, tail);
        paged_new(&g, &x, pages[n / COUNT(shapes) / 3], layout == 2);
        if (layout) use_pages(&x, &g, layout == 2 ? 2 : 0);
        if (!layout) part_use(&first, &x, &x.p.k, &x.p.v);
        for (int b = 0; b < INNER_BATCH && layout; b++) /* pages that nothing may look at */
            for (int j = 0; j < x.s.sk[b]; j += g.page)
                if (j >= head[b]) *entry_of(&g, b, j) = INT32_MAX;
        if (!layout && x.s.packed)
            x.p.cu_seqlens_k = first.cu;
        else
            x.p.seqused_k = first.len;
        part_use(&second, &x, &x.p.k_tail, &x.p.v_tail);
        x.p.cu_seqlens_tail = x.s.packed ? second.cu : NULL, x.p.cu_stride_tail = 1;
        x.p.seqused_tail = x.s.packed ? NULL : second.len, x.p.used_stride_tail = 1;
        CHECK(inner_run(&x, ctx) == AITER_OK, "%s", aiter_last_error());
        CHECK(inner_different(&x, &want) == 0, "shape %d, layout %d: other bits in two parts", n,
              layout);
        if (!layout) part_scales(&x, &first, &second);
        test_global.cases++;
        inner_drop(&want);
        free(first.k), free(first.v), free(second.k), free(second.v);
        paged_free(&g);
        inner_free(&x);
    }
}

/* A source of rows of floats turned into one of `type`, in place of them: the floats become what
 * the codes stand for, int8 by a scale for each row. To be freed: memory[0] and [1]. */
static void retype(aiteri_source *s, float *x, size_t floats, aiter_dtype type, void **memory)
{
    const size_t rows = floats / (size_t)s->dim;
    char *data = (char *)calloc(floats + 1, 4);
    float *scale = (float *)paged_floats(rows, 1);
    if (!data) exit(3);
    for (size_t i = 0; i < rows * (size_t)s->dim; i++) {
        const size_t row = i / (size_t)s->dim;
        if (x[i] != x[i]) continue;
        if (type == AITER_I8) {
            scale[row] = (float)(5 + row % 7) / 512;
            ((int8_t *)data)[i] = (int8_t)(x[i] / scale[row]);
            x[i] = (float)((int8_t *)data)[i] * scale[row];
        } else {
            ref_store(type, data, (int64_t)i, x[i]);
            x[i] = (float)ref_load(type, data, (int64_t)i);
        }
    }
    s->data = data, s->dtype = type;
    if (type == AITER_I8) {
        s->scales.data = scale;
        s->scales.stride_outer = s->stride_outer / s->dim;
        s->scales.stride_token = s->stride_token / s->dim;
        s->scales.stride_head = s->stride_head / s->dim;
    }
    memory[0] = data, memory[1] = scale;
}

/* Rows of a part back to their dense places. */
static void part_back(const part *t, inner_problem *x, const int *first, const int *count)
{
    const size_t k = (size_t)(x->s.hk * x->s.d), v = (size_t)(x->s.hk * x->s.dv);
    for (int b = 0; b < INNER_BATCH; b++)
        for (int j = 0; j < count[b]; j++) {
            const size_t to = (size_t)inner_row_of_k(x, b, first[b] + j);
            const size_t at = (size_t)(x->s.packed ? t->cu[b] + j : b * (x->most_k + 2) + j);
            memcpy(x->k + to * k, t->k + at * k, k * sizeof(float));
            memcpy(x->v + to * v, t->v + at * v, v * sizeof(float));
        }
}

static void expect_rows(const inner_problem *x)
{
    unsigned char shown[500];
    memset(shown, 1, sizeof shown);
    for (int b = 0; b < INNER_BATCH; b++)
        for (int i = 0; i < x->s.sq[b]; i++)
            for (int h = 0; h < x->s.hq; h++) inner_expect_row(x, shown, b, h, i);
}

/* Two parts, each of a type of its own, with scales where that is int8. */
static void part_types(aiter_context *ctx)
{
    static const aiter_dtype types[][4] = {/* K and V, then those of the new tokens */
                                           {AITER_I8, AITER_I8, AITER_BF16, AITER_BF16},
                                           {AITER_F16, AITER_BF16, AITER_I8, AITER_F32},
                                           {AITER_I8, AITER_F32, AITER_I8, AITER_I8}};
    for (int n = 0; n < COUNT(shapes) * COUNT(types); n++) {
        const aiter_dtype *type = types[n / COUNT(shapes)];
        const int none[INNER_BATCH] = {0};
        int head[INNER_BATCH], tail[INNER_BATCH];
        inner_problem x;
        part of[2];
        void *memory[8];
        inner_new(&x, &shapes[n % COUNT(shapes)], (uint64_t)n + 1300);
        for (int b = 0; b < INNER_BATCH; b++) {
            tail[b] = (n * 17 + b * 29 + 5) % (x.s.sk[b] + 1);
            head[b] = x.s.sk[b] - tail[b];
        }
        part_new(&of[0], &x, none, head);
        part_new(&of[1], &x, head, tail);
        part_use(&of[1], &x, &x.p.k_tail, &x.p.v_tail);
        part_use(&of[0], &x, &x.p.k, &x.p.v);
        const size_t rows = (size_t)(INNER_BATCH * (x.most_k + 2) * x.s.hk);
        aiteri_source *const source[4] = {&x.p.k, &x.p.v, &x.p.k_tail, &x.p.v_tail};
        for (int i = 0; i < 4; i++)
            retype(source[i], i & 1 ? of[i / 2].v : of[i / 2].k, rows * (size_t)source[i]->dim,
                   type[i], memory + 2 * i);
        part_back(&of[0], &x, none, head);
        part_back(&of[1], &x, head, tail);
        if (x.s.packed)
            x.p.cu_seqlens_k = of[0].cu, x.p.cu_seqlens_tail = of[1].cu, x.p.cu_stride_tail = 1;
        else
            x.p.seqused_k = of[0].len, x.p.seqused_tail = of[1].len, x.p.used_stride_tail = 1;
        CHECK(inner_run(&x, ctx) == AITER_OK, "%s", aiter_last_error());
        CHECK((x.p.features & AITERI_BIT(PART_TYPES)) != 0, "bits");
        expect_rows(&x);
        test_global.cases++;
        for (int i = 0; i < 8; i++) free(memory[i]);
        for (int i = 0; i < 2; i++) free(of[i].k), free(of[i].v);
        inner_free(&x);
    }
}

/* Rows and scales of every run of keys, each by its place. */
static void places(void)
{
    static const void *row[512];
    static float scale[512];
    for (int n = 0; n < COUNT(shapes) * COUNT(pages) * 3; n++) {
        const int ragged = n / COUNT(shapes) % 3;
        inner_problem x;
        paged g;
        int64_t bad = 0;
        inner_new(&x, &shapes[n % COUNT(shapes)], (uint64_t)n + 700);
        paged_new(&g, &x, pages[n / COUNT(shapes) / 3], ragged);
        use_pages(&x, &g, ragged);
        x.p.k.scales.data = g.k; /* any floats: a place is compared */
        x.p.k.scales.stride_outer = 3, x.p.k.scales.stride_token = 2, x.p.k.scales.stride_head = 1;
        for (int b = 0; b < INNER_BATCH; b++) {
            const aiteri_sequence s = aiteri_sequence_of(&x.p, b);
            bad += s.seqlen_k != x.s.sk[b] || s.index != b || s.seqlen_q != x.s.sq[b];
            for (int first = 0; first < s.seqlen_k; first += 1 + first / 9) {
                const int end = first + 1 + (first * 7 + n) % (s.seqlen_k - first);
                const int h = first % x.s.hk, both = first % 3;
                memset(row, 0xa5, sizeof row), memset(scale, 0xa5, sizeof scale);
                aiteri_source_rows(&x.p, &s, &x.p.k, h, first, end, both != 1 ? row : NULL,
                                   both != 2 ? scale : NULL);
                for (int j = first; j < end; j++) {
                    const int64_t id = *entry_of(&g, b, j), in = j % g.page;
                    const float *at = g.k + ((id * g.page + in) * x.s.hk + h) * x.s.d;
                    const aiteri_key_place place = aiteri_place_of_key(&x.p, &s, j);
                    bad += place.outer != id || place.token != in || !place.present ||
                           place.run != g.page - in || place.part;
                    bad += both != 1 && row[j - first] != at;
                    bad += both != 2 && memcmp(&scale[j - first], &g.k[id * 3 + in * 2 + h], 4);
                    bad += aiteri_source_at(&x.p.k, id, in, h) != (const char *)at;
                    bad += aiteri_scale_at(&x.p.k.scales, id, in, h) != g.k + id * 3 + in * 2 + h;
                }
            }
        }
        CHECK(bad == 0, "shape %d, pages of %d: %d places", n, g.page, (int)bad);
        test_global.cases++;
        paged_free(&g);
        inner_free(&x);
    }
}

int main(void)
{
    aiter_isa tiers[AITER_ISA_COUNT];
    test_begin("source", 1);
    const int count = test_tiers(tiers);
    places();
    for (int t = 0; t < count; t++) {
        aiter_context *ctx = test_context(tiers[t], 1), *threads = test_context(tiers[t], 3);
        layouts(ctx, threads);
        scales(ctx);
        holes(ctx);
        two_types(ctx);
        two_parts(ctx);
        part_types(ctx);
        aiter_context_destroy(ctx);
        aiter_context_destroy(threads);
    }
    return test_end();
}
