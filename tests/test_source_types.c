/* test_source_types.c -- what keys and values are made of: parts of two types, scales of every type
 * and granularity, rows in segments; near the oracle, under each kernel set. */
#include "test.h"
#include "float_formats.h"
#include "reference.c"
#include "source_layouts.h"

/* More scales of a block than are loaded at once. */
static const inner_shape wide = {4, 2, 160, 144, {9, 1, 5}, {100, 97, 40}, 1, AITER_MASK_NONE,
                                 0, 0, 0,   0};

/* How a source is scaled; zeros: int8 by f32 for each row. */
typedef struct scaling {
    aiter_dtype dtype;
    int group, block;
} scaling;

/* Scale n of a source, and its value. */
static float scale_of(const scaling *how, int64_t n, void *to)
{
    const float value =
        how->dtype == AITER_F8_E8M0 ? (float)(1 << n % 3) / 256 : (float)(5 + n % 7) / 512;
    if (how->dtype == AITER_F8_E8M0)
        ((uint8_t *)to)[n] = (uint8_t)(127 - 8 + n % 3);
    else
        ref_store(how->dtype, to, n, value);
    return value;
}

/* A source of rows of floats turned into one of `type`, in place of them: the floats become what
 * the codes stand for, which have scales if `how` has a type. To be freed: memory[0] and [1]. */
static void retype(aiteri_source *s, float *x, size_t floats, aiter_dtype type, const scaling *how,
                   void **memory)
{
    const int64_t dim = s->dim, heads = s->stride_token / dim, rows = (int64_t)floats / dim;
    const int64_t wide = dim + (type == AITER_I4 && dim % 2); /* rows start at whole bytes */
    const int64_t tokens = s->stride_outer ? s->stride_outer / s->stride_token : rows / heads;
    const int64_t block = how->block ? how->block : 1, blocks = (tokens + block - 1) / block;
    const int64_t groups = how->group ? (dim + how->group - 1) / how->group : 1;
    char *data = (char *)calloc((size_t)(rows * wide) + 1, 4);
    void *scale = paged_floats((size_t)(rows * groups), 1);
    if (!data) exit(3);
    for (int64_t i = 0; i < rows * dim; i++) {
        const int64_t token = i / dim / heads, outer = token / tokens;
        const int64_t place = (outer * blocks + token % tokens / block) * heads + i / dim % heads;
        const int64_t group = how->group ? i % dim / how->group : 0;
        const float step = how->dtype ? scale_of(how, place * groups + group, scale) : 1;
        if (x[i] != x[i]) continue;
        ref_store(type, data, i / dim * wide + i % dim, x[i] / step);
        x[i] = (float)ref_load(type, data, i / dim * wide + i % dim) * step;
    }
    s->data = data, s->dtype = type;
    s->stride_head = s->stride_head / dim * wide, s->stride_token = s->stride_token / dim * wide;
    s->stride_outer = s->stride_outer / dim * wide;
    memory[0] = data, memory[1] = scale;
    if (!how->dtype) return;
    s->scales.data = scale, s->scales.dtype = how->dtype;
    s->scales.group = how->group, s->scales.block = how->block;
    s->scales.stride_group = how->group ? 1 : 0;
    s->scales.stride_head = groups, s->scales.stride_token = groups * heads;
    s->scales.stride_outer = s->stride_outer ? groups * heads * blocks : 0;
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

/* Against the oracle; keys of pages that are not there are hidden, where there is a list. */
static void expect_rows(const inner_problem *x, const paged *g)
{
    unsigned char shown[500];
    for (int b = 0; b < INNER_BATCH; b++) {
        for (int j = 0; j < x->s.sk[b]; j++) shown[j] = !g || *entry_of(g, b, j) >= 0;
        for (int i = 0; i < x->s.sq[b]; i++)
            for (int h = 0; h < x->s.hq; h++) inner_expect_row(x, shown, b, h, i);
    }
}

/* A problem whose keys are two parts: memory of its own for each, and where they begin. */
typedef struct in_parts {
    part of[2];
    int none[INNER_BATCH], head[INNER_BATCH], tail[INNER_BATCH];
    size_t rows; /* of each part's K and V */
} in_parts;

static aiteri_source *source_of_part(inner_problem *x, int i)
{
    aiteri_source *const source[4] = {&x->p.k, &x->p.v, &x->p.k_tail, &x->p.v_tail};
    return source[i];
}

static float *floats_of_part(const in_parts *g, int i)
{
    return i & 1 ? g->of[i / 2].v : g->of[i / 2].k;
}

/* tail[b] = (step * b + start) modulo its keys and none. */
static void parts_new(in_parts *g, inner_problem *x, int start, int step)
{
    memset(g, 0, sizeof *g);
    for (int b = 0; b < INNER_BATCH; b++) {
        g->tail[b] = (start + b * step) % (x->s.sk[b] + 1);
        g->head[b] = x->s.sk[b] - g->tail[b];
    }
    part_new(&g->of[0], x, g->none, g->head);
    part_new(&g->of[1], x, g->head, g->tail);
    part_use(&g->of[1], x, &x->p.k_tail, &x->p.v_tail);
    part_use(&g->of[0], x, &x->p.k, &x->p.v);
    g->rows = (size_t)(INNER_BATCH * (x->most_k + 2) * x->s.hk);
    if (x->s.packed)
        x->p.cu_seqlens_k = g->of[0].cu, x->p.cu_seqlens_tail = g->of[1].cu,
        x->p.cu_stride_tail = 1;
    else
        x->p.seqused_k = g->of[0].len, x->p.seqused_tail = g->of[1].len, x->p.used_stride_tail = 1;
}

/* What the parts hold now, to the oracle. */
static void parts_back(const in_parts *g, inner_problem *x)
{
    part_back(&g->of[0], x, g->none, g->head);
    part_back(&g->of[1], x, g->head, g->tail);
}

static void parts_free(in_parts *g)
{
    for (int i = 0; i < 2; i++) free(g->of[i].k), free(g->of[i].v);
}

/* V is the first columns of K. */
static void values_of_keys(inner_problem *x)
{
    const size_t d = (size_t)x->s.d, dv = (size_t)x->s.dv;
    for (size_t r = 0; r < x->v_floats / dv; r++)
        memcpy(x->v + r * dv, x->k + r * d, dv * sizeof(float));
}

/* Two parts, each of a type of its own, with scales where that is an integer. */
static void part_types(aiter_context *ctx)
{
    static const aiter_dtype types[][4] = {/* K and V, then those of the new tokens */
                                           {AITER_I8, AITER_I8, AITER_BF16, AITER_BF16},
                                           {AITER_F16, AITER_BF16, AITER_I8, AITER_F32},
                                           {AITER_I8, AITER_F32, AITER_I8, AITER_I8},
                                           {AITER_I4, AITER_I4, AITER_F16, AITER_I4},
                                           {AITER_I4, AITER_F16, AITER_I4, AITER_I8}};
    const scaling none_at_all = {AITER_DTYPE_UNSET, 0, 0}, by_group = {AITER_F32, 16, 0};
    const scaling by_row = {AITER_F32, 0, 0};
    for (int n = 0; n < COUNT(shapes) * COUNT(types); n++) {
        const aiter_dtype *type = types[n / COUNT(shapes)];
        inner_problem x;
        in_parts g;
        void *memory[8];
        inner_new(&x, &shapes[n % COUNT(shapes)], (uint64_t)n + 1300);
        parts_new(&g, &x, n * 17 + 5, 29);
        for (int i = 0; i < 4; i++)
            retype(source_of_part(&x, i), floats_of_part(&g, i),
                   g.rows * (size_t)source_of_part(&x, i)->dim, type[i],
                   type[i] != AITER_I8 && type[i] != AITER_I4 ? &none_at_all
                   : i == 0 && n % 2                          ? &by_group
                                                              : &by_row,
                   memory + 2 * i);
        parts_back(&g, &x);
        CHECK(inner_run(&x, ctx) == AITER_OK, "%s", aiter_last_error());
        CHECK((x.p.features & AITERI_BIT(PART_TYPES)) != 0, "bits");
        expect_rows(&x, NULL);
        if (x.s.dv <= x.s.d) {
            x.p.v = x.p.k, x.p.v_tail = x.p.k_tail, x.p.v_in_k = 1;
            x.p.v.dim = x.p.v_tail.dim = x.s.dv;
            values_of_keys(&x);
            CHECK(inner_run(&x, ctx) == AITER_OK, "%s", aiter_last_error());
            expect_rows(&x, NULL);
        }
        test_global.cases++;
        for (int i = 0; i < 8; i++) free(memory[i]);
        parts_free(&g);
        inner_free(&x);
    }
}

/* Codes of E8M0, all of them. */
static void powers_of_two(void)
{
    for (int code = 0; code < 256; code++) {
        const uint32_t bits = aiteri_bits_from_e8m0((uint8_t)code);
        if (code == 255)
            CHECK((bits & 0x7fffffff) > 0x7f800000, "code 255 is no NaN");
        else
            CHECK(value_of_f32_bits(bits) == ldexp(1, code - 127), "code %d", code);
    }
}

/* Rows back from their pages. */
static void pages_back(const paged *g, inner_problem *x)
{
    const size_t k = (size_t)(x->s.hk * x->s.d), v = (size_t)(x->s.hk * x->s.dv);
    for (int b = 0; b < INNER_BATCH; b++)
        for (int j = 0; j < x->s.sk[b]; j++) {
            const size_t at = (size_t)(*entry_of(g, b, j) * g->page + j % g->page);
            const size_t to = (size_t)inner_row_of_k(x, b, j);
            memcpy(x->k + to * k, g->k + at * k, k * sizeof(float));
            memcpy(x->v + to * v, g->v + at * v, v * sizeof(float));
        }
}

/* Scales of every type, of groups of columns and of several tokens: dense and in pages, near the
 * oracle; of one type, in one part, of both. */
static void kinds_of_scales(aiter_context *ctx)
{
    static const scaling kinds[][2] = {{{AITER_F32, 16, 0}, {AITER_F32, 0, 4}},
                                       {{AITER_F8_E8M0, 16, 3}, {AITER_BF16, 16, 0}},
                                       {{AITER_F16, 0, 0}, {AITER_F8_E8M0, 32, 0}},
                                       {{AITER_BF16, 0, 7}, {AITER_F16, 16, 2}}};
    const int count = COUNT(shapes) + 1;
    for (int n = 0; n < count * COUNT(kinds) * 2; n++) {
        const scaling *how = kinds[n / count % COUNT(kinds)];
        const inner_shape *shape = n % count ? &shapes[n % count - 1] : &wide;
        const int in_pages = n >= count * COUNT(kinds);
        inner_problem x;
        paged g;
        void *memory[4];
        inner_new(&x, shape, (uint64_t)n + 1700);
        paged_new(&g, &x, pages[n % COUNT(pages)], 0);
        if (in_pages) use_pages(&x, &g, 0);
        const size_t rows =
            in_pages ? (size_t)(g.blocks * g.page) * (size_t)x.s.hk : x.k_floats / (size_t)x.s.d;
        retype(&x.p.k, in_pages ? g.k : x.k, rows * (size_t)x.s.d, n % 5 ? AITER_I8 : AITER_I4,
               &how[0], memory);
        retype(&x.p.v, in_pages ? g.v : x.v, rows * (size_t)x.s.dv, n % 3 ? AITER_I8 : AITER_F16,
               &how[1], memory + 2);
        if (in_pages) pages_back(&g, &x);
        x.p.has_holes = in_pages && n % 2;
        for (int b = 0; b < INNER_BATCH && x.p.has_holes; b++)
            for (int j = b; j < x.s.sk[b]; j += 3 * g.page) *entry_of(&g, b, j) = -1;
        CHECK(inner_run(&x, ctx) == AITER_OK, "%s", aiter_last_error());
        expect_rows(&x, in_pages ? &g : NULL);
        test_global.cases++;
        for (int i = 0; i < 4; i++) free(memory[i]);
        paged_free(&g);
        inner_free(&x);
    }
}

/* A source of floats as two segments: the first columns of one type, the rest of another; the
 * floats become what the segments stand for. To be freed: memory[0] to [3]. */
static void cut_rows(aiteri_source *s, aiteri_source *rest, float *x, size_t rows, int first,
                     const aiter_dtype *type, const scaling *how, void **memory)
{
    const int dim = s->dim;
    aiteri_source piece[2];
    for (int i = 0, column = 0; i < 2; column += piece[i++].dim) {
        const int own = i ? dim - first : first;
        float *t = (float *)paged_floats(rows * (size_t)own, 1);
        piece[i] = *s;
        piece[i].dim = own;
        piece[i].stride_head = s->stride_head / dim * own;
        piece[i].stride_token = s->stride_token / dim * own;
        piece[i].stride_outer = s->stride_outer / dim * own;
        for (size_t r = 0; r < rows; r++)
            memcpy(t + r * (size_t)own, x + r * (size_t)dim + column, (size_t)own * sizeof *t);
        retype(&piece[i], t, rows * (size_t)own, type[i], &how[i], memory + 2 * i);
        for (size_t r = 0; r < rows; r++)
            memcpy(x + r * (size_t)dim + column, t + r * (size_t)own, (size_t)own * sizeof *t);
        free(t);
    }
    *rest = piece[1], *s = piece[0];
    s->dim = dim, s->rest = rest;
}

static const aiter_dtype segment_types[][2] = {
    {AITER_I8, AITER_BF16}, {AITER_BF16, AITER_F32}, {AITER_I4, AITER_I8}};
static const scaling segment_scales[][2] = {{{AITER_F32, 16, 0}, {AITER_DTYPE_UNSET, 0, 0}},
                                            {{AITER_DTYPE_UNSET, 0, 0}, {AITER_DTYPE_UNSET, 0, 0}},
                                            {{AITER_F8_E8M0, 64, 2}, {AITER_BF16, 0, 0}}};

/* Where V is: a source of its own, or so many first columns of K. */
static int columns_of_v(int mode, const inner_shape *s, int first)
{
    const int columns[4] = {s->dv, first, first + (s->d - first) / 2, s->d};
    return columns[mode];
}

/* Latent rows: codes with scales beside columns of another type; V its own, or the first columns of
 * K, in one segment or in both. */
static void segments(aiter_context *ctx)
{
    for (int n = 0; n < 4 * 3 * 4; n++) {
        const int mode = n % 4, kind = n / 4 % 3, in_pages = n / 12 & 1;
        inner_shape shape = n % 5 == 0 ? wide : shapes[n % 3 ? 3 : 0]; /* d 32, or 21 */
        const int first = shape.d > 64 ? 128 : 16;
        inner_problem x;
        aiteri_source rest, rest_v;
        paged g;
        void *memory[4];
        shape.dv = columns_of_v(mode, &shape, first);
        inner_new(&x, &shape, (uint64_t)n + 2100);
        paged_new(&g, &x, pages[n % COUNT(pages)], 0);
        if (in_pages) use_pages(&x, &g, 0);
        const size_t rows =
            in_pages ? (size_t)(g.blocks * g.page * x.s.hk) : x.k_floats / (size_t)x.s.d;
        cut_rows(&x.p.k, &rest, in_pages ? g.k : x.k, rows, first, segment_types[kind],
                 segment_scales[kind], memory);
        if (in_pages) pages_back(&g, &x);
        if (mode) {
            x.p.v = x.p.k, x.p.v.dim = shape.dv;
            rest_v = rest, rest_v.dim = shape.dv - first;
            x.p.v.rest = rest_v.dim ? &rest_v : NULL;
            values_of_keys(&x);
        }
        x.p.has_holes = in_pages && n % 3 == 1;
        for (int b = 0; b < INNER_BATCH && x.p.has_holes; b++)
            for (int j = b; j < x.s.sk[b]; j += 3 * g.page) *entry_of(&g, b, j) = -1;
        for (x.p.v_in_k = 0; x.p.v_in_k <= (mode > 0); x.p.v_in_k++) { /* loaded, or K's own */
            CHECK(inner_run(&x, ctx) == AITER_OK && (x.p.features & AITERI_BIT(SEGMENTS)), "%s",
                  aiter_last_error());
            expect_rows(&x, in_pages ? &g : NULL);
        }
        test_global.cases++;
        for (int i = 0; i < 4; i++) free(memory[i]);
        paged_free(&g);
        inner_free(&x);
    }
}

/* Segments in the first part, other ones or none in the second. */
static void segments_in_parts(aiter_context *ctx)
{
    for (int n = 0; n < 12; n++) {
        const inner_shape *shape = n % 3 == 0 ? &wide : n % 3 == 1 ? &shapes[3] : &shapes[0];
        inner_problem x;
        in_parts g;
        aiteri_source rest[4];
        void *memory[16] = {0};
        inner_new(&x, shape, (uint64_t)n + 2500);
        parts_new(&g, &x, n * 23 + 7, 37);
        for (int i = 0; i < 4; i++)
            if ((n >> 1 & 1) != i / 2) /* one part whole now and then */
                cut_rows(source_of_part(&x, i), &rest[i], floats_of_part(&g, i), g.rows, 16,
                         segment_types[(n + i) % 3], segment_scales[(n + i) % 3], memory + 4 * i);
        parts_back(&g, &x);
        CHECK(inner_run(&x, ctx) == AITER_OK, "%s", aiter_last_error());
        expect_rows(&x, NULL);
        test_global.cases++;
        for (int i = 0; i < 16; i++) free(memory[i]);
        parts_free(&g);
        inner_free(&x);
    }
}

int main(void)
{
    aiter_isa tiers[AITER_ISA_COUNT];
    test_begin("source_types", 1);
    const int count = test_tiers(tiers);
    powers_of_two();
    for (int t = 0; t < count; t++) {
        aiter_context *ctx = test_context(tiers[t], 1);
        part_types(ctx);
        kinds_of_scales(ctx);
        segments(ctx);
        segments_in_parts(ctx);
        aiter_context_destroy(ctx);
    }
    return test_end();
}
