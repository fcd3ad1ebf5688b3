/* cells_writer.h -- aiter_reshape_and_cache in every cell that runs: each code is the source over
 * its scale, rounded once; whatever is no slot of a token keeps its bytes. */
#ifndef AITER_TEST_CELLS_WRITER_H
#define AITER_TEST_CELLS_WRITER_H

#include "cells_values.h"

typedef struct writer {
    attn_problem p; /* pk, pv: the cache; its buffers */
    cell c;
    int tokens, hk, page, blocks, d[2];
    attn_place rows[2], scale[2];
    aiter_tensor rows_t[2], scale_t[2];
    unsigned char *before[2]; /* the cache's bytes */
} writer;

enum { WRITER_SCALE = 0x7E }; /* four of these: 8e37, which no token may take for its scale */

static int64_t writer_rows;

static inline attn_place *writer_pages(writer *w, int v) { return v ? &w->p.pv : &w->p.pk; }

/* Whole blocks from the last one on, tokens of each in turn; every fourth token is skipped. */
static inline int64_t writer_slot(const writer *w, int token)
{
    const int n = token - token / 4; /* of those that are stored */
    const int64_t block = w->blocks - 1 - n / w->page;
    return token % 4 == 3 || block < 0 ? -1 : block * w->page + n % w->page;
}

static inline double writer_value(const writer *w, int v, int token, int h, int d)
{
    return problem_round(w->c.q, problem_value(w->p.c.seed, 40 + v, 0, h, token, d));
}

static inline double writer_given(const writer *w, int v, int h)
{
    h = w->c.kind == AITER_SCALE_PER_HEAD ? h : 0;
    return case_float(0.02 * (1.5 + problem_value(w->p.c.seed, 42 + v, 0, h, 0, 0)));
}

static inline void writer_place_rows(writer *w, int v, int pad)
{
    attn_place *t = &w->rows[v];
    int token, h, d;
    place_extent(t, w->c.q, 1, w->tokens, w->hk, w->d[v]);
    place_alone(&w->p, t, pad ? "0213" : "0123", pad, 1, SLACK_NAN);
    for (token = 0; token < w->tokens; token++)
        for (h = 0; h < w->hk && writer_slot(w, token) >= 0; h++)
            for (d = 0; d < w->d[v]; d++)
                ref_store(w->c.q, t->buffer->data, place_at(t, 0, token, h, d),
                          writer_value(w, v, token, h, d));
    w->rows_t[v] = place_tensor(&w->p, t, "123");
}

/* Scales of the kind, given ones filled in. */
static inline void writer_place_scales(writer *w, int v, int pad)
{
    attn_place *t = &w->scale[v];
    const int token = w->c.kind == AITER_SCALE_PER_TOKEN_HEAD;
    const int one = w->c.kind == AITER_SCALE_PER_TENSOR;
    int h;
    if (!w->c.kind) return;
    place_extent(t, AITER_F32, w->c.given ? 1 : w->blocks, token ? w->page : 1, one ? 1 : w->hk, 1);
    place_alone(&w->p, t, pad ? "0213" : "0123", pad, 1, w->c.given ? SLACK_NAN : WRITER_SCALE);
    for (h = 0; w->c.given && h < t->n[2]; h++)
        ref_store(AITER_F32, t->buffer->data, place_at(t, 0, 0, h, 0), writer_given(w, v, h));
    w->scale_t[v] = place_tensor(&w->p, t, w->c.given ? "2" : token ? "012" : "02");
}

static inline void writer_place_cache(writer *w, int pad)
{
    static const attn_layout layouts[] = {LAYOUT_BSHD, LAYOUT_BHSD,     LAYOUT_KV,
                                          LAYOUT_BSHD, LAYOUT_X_PACKED, LAYOUT_SHUFFLED};
    int v;
    w->p.c.layout = layouts[w->c.order];
    for (v = 0; v < 2; v++)
        place_extent(writer_pages(w, v), w->c.k, w->blocks, w->page, w->hk, w->d[v]);
    if (w->c.order == ORDER_FUSED) {
        place_kv_together(&w->p, 0xC3);
    } else {
        for (v = 0; v < 2; v++) {
            attn_place *t = writer_pages(w, v);
            if (case_tiles(&w->p.c))
                place_tiles(&w->p, t, v, 0xC3);
            else
                place_alone(&w->p, t, w->c.order == ORDER_HND ? "0213" : "0123", pad, 1, 0xC3);
        }
    }
}

static inline void writer_fill(writer *w, aiter_reshape_and_cache_args *a)
{
    static int slots[64];
    const int tiled = case_tiles(&w->p.c) != AITER_KV_NHD;
    int token;
    memset(a, 0, sizeof *a);
    for (token = 0; token < w->tokens; token++) slots[token] = (int)writer_slot(w, token);
    a->k = w->rows_t[0], a->v = w->rows_t[1];
    a->kv.k = tiled ? place_tiles_tensor(&w->p.pk, 0) : place_tensor(&w->p, &w->p.pk, "0123");
    a->kv.v = tiled ? place_tiles_tensor(&w->p.pv, 1) : place_tensor(&w->p, &w->p.pv, "0123");
    a->kv.layout = w->c.order == ORDER_X_PACKED   ? AITER_KV_X_PACKED
                   : w->c.order == ORDER_SHUFFLED ? AITER_KV_SHUFFLED
                                                  : AITER_KV_NHD;
    a->kv.k_scale = w->scale_t[0], a->kv.v_scale = w->scale_t[1];
    a->slot_mapping = problem_ints(&w->p, slots, w->tokens);
    if (w->c.kind) a->quantisation.to = w->c.k;
    a->quantisation.per = w->p.c.seed % 2 ? w->c.kind : AITER_SCALE_BY_SHAPE;
    a->quantisation.scale_given = w->c.given;
}

/* What a scale that was computed has to be: of the row, or of all rows of its block. */
static inline double writer_computed(const writer *w, int v, int token, int h)
{
    const int64_t slot = writer_slot(w, token);
    double most = 0;
    int t, d;
    for (t = 0; t < w->tokens; t++) {
        const int64_t s = writer_slot(w, t);
        if (s < 0 ||
            (w->c.kind == AITER_SCALE_PER_TOKEN_HEAD ? t != token : s / w->page != slot / w->page))
            continue;
        for (d = 0; d < w->d[v]; d++) most = fmax(most, fabs(writer_value(w, v, t, h, d)));
    }
    return most / (type_is_integer(w->c.k) ? problem_round(w->c.k, 1e30) : type_largest(w->c.k));
}

/* The code of x under a scale: the f32 quotient, rounded to nearest even. */
static inline double writer_code(aiter_dtype type, double x, double scale)
{
    const double most = type == AITER_I4 ? 7 : 127;
    double step = (float)(x / scale);
    if (type_is_integer(type)) step = fmax(fmin(step, most), -most);
    return problem_round(type, step);
}

/* Compares the rows of a token, and puts the old bytes back. */
static inline void writer_check_row(writer *w, int v, int token, int h)
{
    attn_place *t = writer_pages(w, v), *s = &w->scale[v];
    const int64_t slot = writer_slot(w, token), block = slot / w->page, row = slot % w->page;
    double scale = 1;
    int64_t bad = 0;
    int d;
    if (w->c.given) scale = writer_given(w, v, h);
    if (w->c.kind && !w->c.given) {
        const int64_t at = place_at(s, block, s->n[1] > 1 ? row : 0, h, 0);
        const double want = writer_computed(w, v, token, h);
        scale = ref_load(AITER_F32, s->buffer->data, at);
        CHECK(fabs(scale - want) <= 2 * BOUND_U * want, "scale %g, expected %g", scale, want);
    }
    for (d = 0; d < w->d[v]; d++) {
        const int64_t at = place_at(t, block, row, h, d);
        const double x = writer_value(w, v, token, h, d);
        const double want = w->c.kind ? writer_code(w->c.k, x, scale) : problem_round(w->c.k, x);
        bad += !(ref_load(w->c.k, t->buffer->data, at) == want);
        ref_store(w->c.k, t->buffer->data, at, ref_load(w->c.k, w->before[v], at));
    }
    CHECK(bad == 0, "%d codes of %s wrong: %s to %s, %s, scales per %s", (int)bad, v ? "v" : "k",
          aiter_dtype_name(w->c.q), aiter_dtype_name(w->c.k), order_names[w->c.order],
          kind_names[w->c.kind]);
    writer_rows++;
}

/* Scales that belong to a token become what they were; then all memory has to be as before. */
static inline void writer_check(writer *w)
{
    int v, token, h;
    for (v = 0; v < 2; v++) {
        attn_place *t = writer_pages(w, v), *s = &w->scale[v];
        for (token = 0; token < w->tokens; token++)
            for (h = 0; h < w->hk && writer_slot(w, token) >= 0; h++)
                writer_check_row(w, v, token, h);
        for (token = 0; w->c.kind && !w->c.given && token < w->tokens; token++) {
            const int64_t slot = writer_slot(w, token), row = s->n[1] > 1 ? slot % w->page : 0;
            for (h = 0; h < w->hk && slot >= 0; h++)
                memset(s->buffer->data + 4 * place_at(s, slot / w->page, row, h, 0), WRITER_SCALE,
                       4);
        }
        for (size_t i = 0; w->c.kind && !w->c.given && i < s->buffer->bytes; i++)
            if (!CHECK(s->buffer->data[i] == WRITER_SCALE, "a scale of no token was written"))
                break;
        if (v || w->c.order != ORDER_FUSED)
            CHECK(memcmp(t->buffer->data, w->before[v], t->buffer->bytes) == 0,
                  "written outside the slots: %s to %s, %s", aiter_dtype_name(w->c.q),
                  aiter_dtype_name(w->c.k), order_names[w->c.order]);
    }
    for (v = 0; v < w->p.buffers; v++)
        CHECK(buffer_guard_is_whole(&w->p.buffer[v]), "written before a buffer");
}

/* Memory for a shape, and the call on it. */
static inline void writer_begin(writer *w, aiter_reshape_and_cache_args *a)
{
    const int pad = (int)(w->p.c.seed >> 3 & 1) * 2;
    int v;
    w->p.c.form = FORM_PAGED;
    for (v = 0; v < 2; v++) writer_place_rows(w, v, pad);
    for (v = 0; v < 2; v++) writer_place_scales(w, v, pad);
    writer_place_cache(w, pad);
    writer_fill(w, a);
}

static inline void writer_run(const writer *shape, int tier)
{
    aiter_reshape_and_cache_args a;
    writer w = *shape;
    int v;
    writer_begin(&w, &a);
    for (v = 0; v < 2; v++) w.before[v] = copy_of(writer_pages(&w, v)->buffer);
    CHECK(aiter_reshape_and_cache_supported(&a, run_on.one[tier]) == AITER_OK, "%s",
          aiter_last_error());
    if (CHECK(aiter_reshape_and_cache(&a, run_on.one[tier]) == AITER_OK, "%s", aiter_last_error()))
        writer_check(&w);
    for (v = 0; v < 2; v++) free(w.before[v]);
    problem_unstore(&w.p);
}

/* ---- appended, in every order of memory ---- */

/* The codes of all slots of tokens and the scales of their blocks after two calls, the first with
 * the lower half of each page's rows: what is there counts for the scale, and is rounded again. */
static inline output_bits writer_append(const writer *shape, cell_order order, int tier)
{
    aiter_reshape_and_cache_args a;
    output_bits bits;
    writer w = *shape;
    int half, v, token, h, d;
    double *to = doubles((int64_t)w.tokens * w.hk * (w.d[0] + w.d[1] + 2));
    bits.data = (unsigned char *)to;
    w.c.order = order;
    writer_begin(&w, &a);
    for (half = 0; half < 2; half++) {
        for (token = 0; token < w.tokens; token++) {
            const int64_t slot = writer_slot(&w, token);
            const int upper = slot >= 0 && slot % w.page >= w.page / 2;
            const int32_t now = upper == half ? (int32_t)slot : -1;
            memcpy((char *)a.slot_mapping.data + 4 * token, &now, 4);
        }
        CHECK(aiter_reshape_and_cache(&a, run_on.one[tier]) == AITER_OK, "%s", aiter_last_error());
    }
    for (v = 0; v < 2; v++)
        for (token = 0; token < w.tokens; token++)
            for (h = 0; h < w.hk && writer_slot(&w, token) >= 0; h++) {
                const int64_t slot = writer_slot(&w, token), block = slot / w.page;
                const attn_place *t = writer_pages(&w, v), *s = &w.scale[v];
                *to++ = ref_load(AITER_F32, s->buffer->data, place_at(s, block, 0, h, 0));
                for (d = 0; d < w.d[v]; d++)
                    *to++ =
                        ref_load(w.c.k, t->buffer->data, place_at(t, block, slot % w.page, h, d));
            }
    bits.bytes = (char *)to - (char *)bits.data;
    problem_unstore(&w.p);
    return bits;
}

/* All orders of a cell of scales by page that is appended to have the codes of NHD. */
static inline void writer_orders(const writer *shape)
{
    const output_bits nhd = writer_append(shape, ORDER_NHD, 0);
    int order, tier;
    for (order = 0; order < ORDER_COUNT; order++) {
        if (order == ORDER_ONE || (order > ORDER_ONE && shape->c.k == AITER_I4)) continue;
        for (tier = 0; tier < run_on.tiers; tier++) {
            const output_bits other = writer_append(shape, (cell_order)order, tier);
            CHECK(bits_equal(&nhd, &other), "%s to %s appended in pages: %s differs from NHD",
                  aiter_dtype_name(shape->c.q), aiter_dtype_name(shape->c.k), order_names[order]);
            free(other.data);
        }
    }
    free(nhd.data);
}

/* Mode m of a cell, as the table counts them. */
static inline void writer_mode(cell *c, int m)
{
    c->given = m > 0 && m < AITER_SCALE_COUNT;
    c->kind = (aiter_scale_kind)(m < AITER_SCALE_COUNT ? m : m - AITER_SCALE_COUNT + 1);
}

/* Sizes at random, every one of them crossed with nothing else. */
static inline void writer_shape(writer *w, uint64_t seed)
{
    static const int dims[] = {32, 64, 17, 1, 80, 130, 40, 24};
    test_rng r = {seed};
    int v;
    w->p.c.seed = seed >> 20;
    w->hk = rng_int(&r, 1, 3);
    w->page = w->c.order == ORDER_ONE ? 1 : rng_int(&r, 2, 19);
    w->blocks = rng_int(&r, 1, 4);
    w->tokens = rng_int(&r, 0, 24);
    for (v = 0; v < 2; v++) w->d[v] = dims[rng_int(&r, 0, COUNT(dims) - 1)];
}

/* Every cell that runs, each in a shape of its own. */
static inline void writer_cells(uint64_t seed)
{
    any_args args;
    int q, k, m, order, tier, cells = 0;
    for (order = 0; order < ORDER_COUNT; order++)
        for (m = 0; m < WRITER_MODES; m++)
            for (k = 0; k < CASE_KV_TYPES; k++)
                for (q = 0; q < 3; q++) {
                    writer w;
                    memset(&w, 0, sizeof w);
                    w.c.op = OP_CACHE;
                    w.c.order = (cell_order)order;
                    w.c.q = case_row_types[q], w.c.k = w.c.v = case_kv_types[k];
                    w.c.scale_floats = 1;
                    writer_mode(&w.c, m);
                    cell_fill(&w.c, &args);
                    if (aiter_reshape_and_cache_supported(&args.reshape_and_cache, run_on.one[0]) !=
                        AITER_OK)
                        continue;
                    cells++;
                    writer_shape(&w, test_mix(seed + (uint64_t)cells));
                    for (tier = 0; tier < run_on.tiers; tier++) writer_run(&w, tier);
                    if (order == ORDER_NHD && !w.c.given && w.c.kind == AITER_SCALE_PER_BLOCK_HEAD)
                        writer_orders(&w);
                }
    test_say("the writer: %d cells, %" PRId64 " rows of a head compared\n", cells, writer_rows);
}

#endif /* AITER_TEST_CELLS_WRITER_H */
