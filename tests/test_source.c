/* test_source.c -- where keys and values lie: tables of pages, ragged lists of pages (page size 1
 * too), lists with holes and keys in two parts give the bits of the same keys laid out densely;
 * every key's place, row and scale. */
#include "test.h"
#include "reference.c"
#include "source_layouts.h"

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
        x.p.k.scales.dtype = x.p.v.scales.dtype = AITER_F32;
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

/* Scales of both parts, in one walk; those of a key are its first element in each head. */
static void part_scales(inner_problem *x, const part *first, const part *second)
{
    static const void *row[512];
    static float scale[512];
    const part *const of[2] = {first, second};
    aiteri_source *const source[2] = {&x->p.k, &x->p.k_tail};
    int64_t bad = 0;
    for (int i = 0; i < 2; i++) {
        source[i]->scales.data = of[i]->k, source[i]->scales.dtype = AITER_F32;
        source[i]->scales.stride_outer = source[i]->stride_outer;
        source[i]->scales.stride_token = source[i]->stride_token;
        source[i]->scales.stride_head = source[i]->stride_head;
    }
    for (int b = 0; b < INNER_BATCH; b++) {
        const aiteri_sequence s = aiteri_sequence_of(&x->p, b);
        for (int from = 0; from < s.seqlen_k; from += 1 + from / 4) {
            const int h = from % x->s.hk;
            memset(scale, 0xa5, sizeof scale);
            for (int at = from, end; at < s.seqlen_k; at = end) {
                const aiteri_source *of_key = aiteri_part_of(&x->p, &s, &x->p.k, at);
                end = aiteri_part_end(&s, at, s.seqlen_k);
                const aiteri_key_place place = aiteri_place_of_key(&x->p, &s, at);
                aiteri_source_rows(&x->p, &s, of_key, place, h, end - at, row + (at - from));
                aiteri_source_scales(&x->p, &s, of_key, place, h, end - at, scale + (at - from));
            }
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
        x.p.k.scales.data = g.k, x.p.k.scales.dtype = AITER_F32; /* any: a place is compared */
        x.p.k.scales.stride_outer = 3, x.p.k.scales.stride_token = 2, x.p.k.scales.stride_head = 1;
        for (int b = 0; b < INNER_BATCH; b++) {
            const aiteri_sequence s = aiteri_sequence_of(&x.p, b);
            bad += s.seqlen_k != x.s.sk[b] || s.index != b || s.seqlen_q != x.s.sq[b];
            for (int first = 0; first < s.seqlen_k; first += 1 + first / 9) {
                const int end = first + 1 + (first * 7 + n) % (s.seqlen_k - first);
                const int h = first % x.s.hk;
                memset(row, 0xa5, sizeof row), memset(scale, 0xa5, sizeof scale);
                const aiteri_key_place from = aiteri_place_of_key(&x.p, &s, first);
                aiteri_source_rows(&x.p, &s, &x.p.k, from, h, end - first, row);
                aiteri_source_scales(&x.p, &s, &x.p.k, from, h, end - first, scale);
                for (int j = first; j < end; j++) {
                    const int64_t id = *entry_of(&g, b, j), in = j % g.page;
                    const float *at = g.k + ((id * g.page + in) * x.s.hk + h) * x.s.d;
                    const aiteri_key_place place = aiteri_place_of_key(&x.p, &s, j);
                    bad += place.outer != id || place.token != in || !place.present ||
                           place.run != g.page - in || place.part;
                    bad += row[j - first] != at;
                    bad += memcmp(&scale[j - first], &g.k[id * 3 + in * 2 + h], 4) != 0;
                    bad += aiteri_source_at(&x.p.k, id, in, h) != (const char *)at;
                    bad += aiteri_scale_place(&x.p.k.scales, id, in, h) != id * 3 + in * 2 + h;
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
        aiter_context_destroy(ctx);
        aiter_context_destroy(threads);
    }
    return test_end();
}
