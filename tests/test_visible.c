/* test_visible.c -- a mask of bytes, one for each pair of a query and a key: the same bits as a
 * bias of 0 and -infinity and as the mask that it spells, near the fp64 oracle, composed with every
 * mask, broadcast and packed; a hidden key leaves no trace. */
#include "test.h"
#include "reference.c"
#include "inner_problem.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

/* Both families; blocks of 32 and 96 keys crossed; pieces; a row, a key, nothing. */
static const inner_shape shapes[] = {
    {4, 2, 21, 21, {2, 1, 3}, {70, 33, 0}, 0, AITER_MASK_NONE, 0, 0, 0, 0},
    {2, 2, 16, 24, {40, 17, 1}, {130, 97, 5}, 0, AITER_MASK_NONE, 0, 0, 0, 0},
    {4, 1, 8, 8, {30, 3, 60}, {200, 64, 96}, 1, AITER_MASK_NONE, 0, 0, 0, 3},
    {2, 1, 32, 32, {4, 0, 7}, {300, 20, 129}, 0, AITER_MASK_NONE, 0, 0, 0, 2},
    {4, 2, 21, 16, {3, 50, 8}, {90, 120, 31}, 0, AITER_MASK_CAUSAL, 0, 0, 0, 0},
    {2, 2, 24, 24, {60, 4, 12}, {110, 40, 12}, 1, AITER_MASK_CAUSAL_TOP_LEFT, 0, 0, 0, 0},
    {4, 2, 16, 21, {6, 40, 1}, {140, 230, 9}, 0, AITER_MASK_WINDOW, 31, 2, 7, 0},
    {4, 2, 8, 8, {60, 30, 52}, {52, 22, 44}, 0, AITER_MASK_WINDOW, 1, 0, 1, 0},
    {2, 1, 8, 40, {24, 3, 30}, {310, 100, 96}, 1, AITER_MASK_WINDOW, 40, 0, 60, 2}};

typedef enum form { FORM_ALL, FORM_ONE_HEAD, FORM_KEYS, FORM_ROWS, FORMS } form;

/* A byte and a float for each pair, with the same strides, in one of the broadcasts. */
typedef struct pairs {
    form form;
    unsigned char *byte;
    float *bias;
    int64_t batch, token, head, key;
    size_t count;
} pairs;

static void pairs_new(pairs *m, const inner_problem *x, form f)
{
    const int64_t keys = f == FORM_ROWS ? 1 : x->most_k + 1;
    const int64_t tokens = f == FORM_KEYS ? 1 : x->s.packed ? x->cu_q[INNER_BATCH] : x->most_q;
    const int64_t heads = f == FORM_ALL ? x->s.hq : 1;
    memset(m, 0, sizeof *m);
    m->form = f;
    m->key = f == FORM_ROWS ? 0 : 1;
    m->token = f == FORM_KEYS ? 0 : keys;
    m->head = f == FORM_ALL ? keys * tokens : 0;
    m->batch = x->s.packed ? 0 : keys * tokens * heads;
    m->count = (size_t)(keys * tokens * heads * INNER_BATCH);
    m->byte = (unsigned char *)malloc(m->count + 1);
    m->bias = (float *)malloc((m->count + 1) * sizeof(float));
    if (!m->byte || !m->bias) exit(3);
}

static void pairs_free(pairs *m) { free(m->byte), free(m->bias); }

static int64_t pair_at(const pairs *m, const inner_problem *x, int b, int h, int i, int j)
{
    return b * m->batch + h * m->head + (x->s.packed ? x->cu_q[b] + i : i) * m->token + j * m->key;
}

/* Bytes that show about one pair of `part`, as 1 or another byte that is not 0. */
static void pairs_random(pairs *m, uint64_t seed, int part)
{
    static const unsigned char shown[4] = {1, 255, 2, 128};
    for (size_t i = 0; i < m->count; i++) {
        const uint32_t r = (uint32_t)(test_mix(seed * 1000003 + i) >> 32);
        m->byte[i] = r % 97 % (uint32_t)part == 0 ? shown[r % 4] : 0;
        m->bias[i] = m->byte[i] ? 0.0f : float_of_bits(0xff800000);
    }
}

static void set_rows(aiteri_rows *r, const pairs *m, void *data, aiter_dtype dtype)
{
    r->data = (char *)data;
    r->dtype = dtype;
    r->stride_batch = m->batch, r->stride_token = m->token;
    r->stride_head = m->head, r->stride_dim = m->key;
}

static void use_bytes(inner_problem *x, const pairs *m)
{
    set_rows(&x->p.visible, m, m->byte, AITER_U8);
}
static void use_bias(inner_problem *x, const pairs *m)
{
    set_rows(&x->p.bias, m, m->bias, AITER_F32);
}

static int same(inner_problem *x, const inner_problem *want, aiter_context *ctx, const char *what,
                int n)
{
    CHECK(inner_run(x, ctx) == AITER_OK, "%s", aiter_last_error());
    const int64_t bad = inner_different(x, want);
    test_global.cases++;
    return CHECK(bad == 0, "shape %d: %d rows differ from %s", n, (int)bad, what);
}

/* ---- the same as what is known ---- */

static void as_bias(aiter_context *ctx, aiter_context *threads)
{
    for (int n = 0; n < COUNT(shapes) * FORMS * 3; n++) {
        inner_problem x;
        pairs m;
        inner_new(&x, &shapes[n % COUNT(shapes)], (uint64_t)n + 1);
        pairs_new(&m, &x, (form)(n / COUNT(shapes) % FORMS));
        pairs_random(&m, (uint64_t)n * 31 + 5, 2 + n / COUNT(shapes) / FORMS * 9);
        use_bias(&x, &m);
        CHECK(inner_run(&x, ctx) == AITER_OK, "%s", aiter_last_error());
        inner_problem want = inner_kept(&x);
        x.p.bias.data = NULL;
        use_bytes(&x, &m);
        same(&x, &want, ctx, "a bias", n);
        same(&x, &want, threads, "a bias, by threads", n);
        inner_drop(&want);
        for (size_t i = 0; i < m.count; i++) /* both: the bias where it shows */
            m.bias[i] = m.byte[i] ? (float)rng_unit(i + 77) : m.bias[i];
        x.p.visible.data = NULL;
        use_bias(&x, &m);
        CHECK(inner_run(&x, ctx) == AITER_OK, "%s", aiter_last_error());
        want = inner_kept(&x);
        for (size_t i = 0; i < m.count; i++)
            if (!m.byte[i]) m.bias[i] = i % 3 ? float_of_bits(0x7fc00000) : 3e38f;
        use_bytes(&x, &m);
        same(&x, &want, ctx, "a bias beside bytes", n);
        inner_drop(&want);
        pairs_free(&m);
        inner_free(&x);
    }
}

/* Bytes that spell a mask, and the mask. */
static void as_mask(aiter_context *ctx)
{
    for (int n = 0; n < COUNT(shapes) * 3; n++) {
        inner_problem x;
        pairs m;
        inner_shape s = shapes[n % COUNT(shapes)];
        if (s.mask == AITER_MASK_NONE) s.mask = n % 2 ? AITER_MASK_CAUSAL : AITER_MASK_WINDOW;
        if (s.mask == AITER_MASK_WINDOW && s.left == 0) s.left = 9 + n, s.right = -1;
        const ref_mask mask = {s.mask, s.left, s.right, s.sink_tokens};
        inner_new(&x, &s, (uint64_t)n + 200);
        pairs_new(&m, &x, n % 2 ? FORM_ALL : FORM_ONE_HEAD);
        memset(m.byte, 0, m.count);
        for (int b = 0; b < INNER_BATCH; b++)
            for (int i = 0; i < s.sq[b]; i++)
                for (int j = 0; j < s.sk[b]; j++)
                    for (int h = 0; h < s.hq; h++)
                        m.byte[pair_at(&m, &x, b, h, i, j)] =
                            ref_visible(&mask, i, j, s.sq[b], s.sk[b]) != 0;
        CHECK(inner_run(&x, ctx) == AITER_OK, "%s", aiter_last_error());
        inner_problem want = inner_kept(&x);
        use_bytes(&x, &m);
        same(&x, &want, ctx, "the mask alone", n);
        x.p.mask = AITER_MASK_NONE;
        same(&x, &want, ctx, "the mask", n);
        inner_drop(&want);
        pairs_free(&m);
        inner_free(&x);
    }
}

/* ---- the oracle ---- */

static void expect_row(const inner_problem *x, const pairs *m, int b, int h, int i)
{
    unsigned char shown[400];
    for (int j = 0; j < x->s.sk[b]; j++) shown[j] = m->byte[pair_at(m, x, b, h, i, j)];
    inner_expect_row(x, shown, b, h, i);
}

static void oracle(aiter_context *ctx)
{
    for (int n = 0; n < COUNT(shapes) * FORMS; n++) {
        inner_problem x;
        pairs m;
        inner_new(&x, &shapes[n % COUNT(shapes)], (uint64_t)n + 300);
        pairs_new(&m, &x, (form)(n / COUNT(shapes)));
        pairs_random(&m, (uint64_t)n * 37 + 11, n % 3 ? 2 : 40); /* rows that see nothing, too */
        use_bytes(&x, &m);
        CHECK(inner_run(&x, ctx) == AITER_OK, "%s", aiter_last_error());
        for (int b = 0; b < INNER_BATCH; b++)
            for (int i = 0; i < x.s.sq[b]; i++)
                for (int h = 0; h < x.s.hq; h++) expect_row(&x, &m, b, h, i);
        test_global.cases++;
        pairs_free(&m);
        inner_free(&x);
    }
}

/* ---- no trace ---- */

/* Key j of sequence b: its K and V in all heads become NaN and infinity. */
static void spoil(inner_problem *x, int b, int j)
{
    const inner_shape *s = &x->s;
    const int64_t at = inner_row_of_k(x, b, j) * s->hk;
    for (int i = 0; i < s->hk * s->d; i++) x->k[at * s->d + i] = float_of_bits(0x7fc00000);
    for (int i = 0; i < s->hk * s->dv; i++)
        x->v[at * s->dv + i] = float_of_bits(j % 2 ? 0x7f800000 : 0x7fc00000);
}

static void no_trace(aiter_context *ctx)
{
    for (int n = 0; n < COUNT(shapes) * 6; n++) {
        inner_problem x;
        pairs m;
        const int b = n % INNER_BATCH;
        int touched = 0, lost = 0;
        inner_new(&x, &shapes[n % COUNT(shapes)], (uint64_t)n + 400);
        const int j = x.s.sk[b] ? (n * 29 + 3) % x.s.sk[b] : 0;
        const ref_mask mask = {x.s.mask, x.s.left, x.s.right, x.s.sink_tokens};
        pairs_new(&m, &x, (form)(n / COUNT(shapes) % 3)); /* a byte of its own for each key */
        pairs_random(&m, (uint64_t)n * 41 + 1, 2);
        use_bytes(&x, &m);
        CHECK(inner_run(&x, ctx) == AITER_OK, "%s", aiter_last_error());
        const inner_problem clean = inner_kept(&x);
        if (x.s.sk[b]) spoil(&x, b, j);
        CHECK(inner_run(&x, ctx) == AITER_OK, "%s", aiter_last_error());
        for (int i = 0; i < x.s.sq[b] && x.s.sk[b]; i++) {
            for (int h = 0; h < x.s.hq; h++) {
                const int64_t at = inner_row_of_q(&x, b, i) * x.s.hq + h;
                const int seen = ref_visible(&mask, i, j, x.s.sq[b], x.s.sk[b]) &&
                                 m.byte[pair_at(&m, &x, b, h, i, j)];
                for (int d = 0; d < x.s.dv; d++) {
                    const uint32_t bits = bits_of_float(x.out[at * x.s.dv + d]);
                    if (!seen) touched += bits != bits_of_float(clean.out[at * x.s.dv + d]);
                    if (seen) lost += (bits & 0x7fffffff) < 0x7f800000;
                }
                if (!seen) touched += bits_of_float(x.lse[at]) != bits_of_float(clean.lse[at]);
            }
        }
        CHECK(touched == 0, "shape %d: hidden key %d reaches %d numbers", n, j, touched);
        CHECK(lost == 0, "shape %d: key %d is lost in %d numbers that see it", n, j, lost);
        test_global.cases++;
        inner_problem copy = clean;
        inner_drop(&copy);
        pairs_free(&m);
        inner_free(&x);
    }
}

int main(void)
{
    aiter_isa tiers[AITER_ISA_COUNT];
    test_begin("visible", 1);
    const int count = test_tiers(tiers);
    for (int t = 0; t < count; t++) {
        aiter_context *ctx = test_context(tiers[t], 1), *threads = test_context(tiers[t], 3);
        as_bias(ctx, threads);
        as_mask(ctx);
        oracle(ctx);
        no_trace(ctx);
        aiter_context_destroy(ctx);
        aiter_context_destroy(threads);
    }
    return test_end();
}
