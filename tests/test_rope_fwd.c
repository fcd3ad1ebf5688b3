/* test_rope_fwd.c -- rotary position embedding against the definition in fp64: every kind, pairing,
 * type, order of memory; equal bits in every kernel set. */
#include "test.h"
#include "reference.c"
#include "case_run.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

enum { ROPE_ROWS = 40 }; /* of the tables */

typedef struct rope_case {
    int b, s, h, d, packed; /* packed: [tokens, H, D] */
    aiter_dtype x_type, y_type, cos_type, sin_type;
    aiter_rope_pairing pairing;
    aiter_rope_kind kind;
    int dim, per_element, nope_first;
    int positions, offsets; /* 0: none, 1: I32, 2: I64 */
    int sequences;          /* of cu_seqlens; 0: none */
    int order, in_place;    /* order of memory: bshd, sbhd, bhsd with gaps, every second element */
    int strange;            /* some elements are NaN or infinite */
    uint64_t seed;
} rope_case;

typedef struct rope_run {
    attn_problem p;
    attn_place x, y, cos, sin;
    aiter_rope_fwd_args a;
    int32_t starts[8];
    int64_t position[3][512], offset[512]; /* what is given, of token b * s + t */
    int32_t narrow[2][3 * 512];            /* the same as I32: positions, offsets */
} rope_run;

static double x_value(const rope_case *m, int b, int s, int h, int d)
{
    const uint64_t key = test_mix(m->seed * 7 + (uint64_t)(((b * 50 + s) * 9 + h) * 600 + d));
    const double x = 4 * problem_value(m->seed, 1, b, h, s, d);
    if (m->strange && key % 23 == 0)
        return double_of_bits(key % 2 ? BITS_NAN : key % 4 ? BITS_INF : BITS_NEG_INF);
    return problem_round(m->x_type, x);
}

static double table_value(const rope_case *m, int which, int64_t row, int column)
{
    const double angle = (double)row * pow(100, -(double)column / 40) + 0.1;
    return problem_round(which ? m->sin_type : m->cos_type, which ? sin(angle) : cos(angle));
}

static int sequence_of(const rope_run *r, const rope_case *m, int s)
{
    int i = 0;
    while (i + 1 < m->sequences && r->starts[i + 1] <= s) i++;
    return i;
}

/* Tokens that are there. */
static int used_tokens(const rope_run *r, const rope_case *m)
{
    return m->sequences ? r->starts[m->sequences] : m->s;
}

enum { WIDTH = 5 };

/* Where a token stands, by the words of the header. */
static int64_t stands(const rope_run *r, const rope_case *m, int axis, int b, int s)
{
    const int token = b * m->s + s;
    int64_t at = m->sequences ? s - r->starts[sequence_of(r, m, s)] : s;
    if (m->kind == AITER_ROPE_2D) at = axis ? at % WIDTH : at / WIDTH;
    if (m->positions) at = r->position[axis][token];
    return at + (m->offsets ? r->offset[token] : 0);
}

static int axes_of(const rope_case *m)
{
    return m->kind == AITER_ROPE_ONE ? 1 : m->kind == AITER_ROPE_2D ? 2 : 3;
}

static int axis_of_pair(const rope_run *r, const rope_case *m, int pair)
{
    const int32_t *n = r->a.rope.sections;
    if (m->kind == AITER_ROPE_ONE) return 0;
    if (m->kind == AITER_ROPE_2D) return pair < m->dim / 4 ? 0 : 1;
    if (m->kind == AITER_ROPE_MULTI) return pair < n[0] ? 0 : pair < n[0] + n[1] ? 1 : 2;
    if (pair % 3 == 1 && pair < 3 * n[1]) return 1;
    if (pair % 3 == 2 && pair < 3 * n[2]) return 2;
    return 0;
}

/* The elements of pair i, from the first that turns on. */
static void pair_elements(const rope_case *m, int pair, int *first, int *second)
{
    const int halves = m->kind == AITER_ROPE_2D ? 2 : 1, span = m->dim / halves;
    const int from = pair / (span / 2) * span, i = pair % (span / 2);
    *first = from + (m->pairing == AITER_ROPE_GPTJ ? 2 * i : i);
    *second = m->pairing == AITER_ROPE_GPTJ ? *first + 1 : *first + span / 2;
}

/* One row of y, and the bound of each element. */
static void rope_expect(const rope_run *r, const rope_case *m, int b, int s, int h, double *y,
                        double *bound)
{
    const int start = m->nope_first ? m->d - m->dim : 0;
    int d, pair, k;
    for (d = 0; d < m->d; d++) {
        y[d] = x_value(m, b, s, h, d);
        bound[d] = is_finite(y[d]) ? bound_rounding(m->y_type, y[d]) : 0;
    }
    for (pair = 0; pair < m->dim / 2; pair++) {
        const int64_t row = stands(r, m, axis_of_pair(r, m, pair), b, s);
        int e[2];
        double x[2];
        pair_elements(m, pair, &e[0], &e[1]);
        for (k = 0; k < 2; k++) x[k] = x_value(m, b, s, h, start + e[k]);
        for (k = 0; k < 2; k++) {
            const int column = m->per_element ? e[k] : pair;
            const double c = table_value(m, 0, row, column), t = table_value(m, 1, row, column);
            const double sum = k ? x[1] * c + x[0] * t : x[0] * c - x[1] * t;
            const double all = fabs(x[0]) + fabs(x[1]);
            const double error =
                is_finite(all)
                    ? 2.001 * BOUND_U * (fabs(x[k] * c) + fabs(x[1 - k] * t)) + BOUND_FLUSH
                    : 0;
            y[start + e[k]] = sum;
            bound[start + e[k]] = error + bound_rounding(m->y_type, fabs(sum) + error);
        }
    }
}

static void rope_check(const rope_run *r, const rope_case *m)
{
    double y[640], bound[640], worst = 0;
    int b, s, h, d;
    for (b = 0; b < m->b; b++) {
        for (s = 0; s < used_tokens(r, m); s++) {
            for (h = 0; h < m->h; h++) {
                rope_expect(r, m, b, s, h, y, bound);
                for (d = 0; d < m->d; d++) {
                    const int64_t at = place_at(&r->y, b, s, h, d);
                    const double got = ref_load(m->y_type, r->y.buffer->data, at);
                    const double ratio = error_ratio(got, y[d], bound[d]);
                    if (ratio > worst) worst = ratio;
                }
            }
        }
    }
    run_stats.rows += (int64_t)m->b * m->s * m->h;
    if (worst > run_stats.worst[m->y_type]) run_stats.worst[m->y_type] = worst;
    CHECK(
        worst <= 1,
        "y %.3g of bound: kind %d, pairing %d, dim %d of %d, per element %d, nope first %d, "
        "positions %d, offsets %d, sequences %d, order %d, in place %d, strange %d, seed %" PRIu64,
        worst, (int)m->kind, (int)m->pairing, m->dim, m->d, m->per_element, m->nope_first,
        m->positions, m->offsets, m->sequences, m->order, m->in_place, m->strange, m->seed);
}

/* ---- storing a case ---- */

static void place_rows(rope_run *r, const rope_case *m, attn_place *t, aiter_dtype type, int by)
{
    static const char *const order[] = {"0123", "1023", "0213", "0123"};
    place_extent(t, type, m->b, m->s, m->h, m->d);
    place_alone(&r->p, t, order[by], by ? 2 : 0, by == 3 ? 2 : 1, SLACK_NAN);
}

static void store_rows(rope_run *r, const rope_case *m)
{
    int b, s, h, d;
    for (b = 0; b < m->b; b++) {
        for (s = 0; s < m->s; s++) {
            for (h = 0; h < m->h; h++) {
                for (d = 0; d < m->d; d++)
                    ref_store(m->x_type, r->x.buffer->data, place_at(&r->x, b, s, h, d),
                              x_value(m, b, s, h, d));
            }
        }
    }
}

static aiter_tensor store_table(rope_run *r, const rope_case *m, attn_place *t, int which)
{
    int64_t row;
    int column;
    place_extent(t, which ? m->sin_type : m->cos_type, 1, 1, ROPE_ROWS,
                 m->per_element ? m->dim : m->dim / 2);
    place_alone(&r->p, t, m->order == 2 ? "0132" : "0123", m->order, 1, SLACK_NAN);
    for (row = 0; row < t->n[2]; row++) {
        for (column = 0; column < t->n[3]; column++)
            ref_store(t->dtype, t->buffer->data, place_at(t, 0, 0, row, column),
                      table_value(m, which, row, column));
    }
    return place_tensor(&r->p, t, "23");
}

/* `axes` times a value for each token, as I32 or I64. */
static aiter_tensor index_tensor(int32_t *narrow, const rope_case *m, int64_t *values, int axes,
                                 int type)
{
    aiter_tensor t;
    int i, a;
    for (a = 0; a < axes; a++) {
        for (i = 0; i < m->b * m->s; i++) narrow[a * 512 + i] = (int32_t)values[a * 512 + i];
    }
    t = aiter_tensor_3d(type == 1 ? (void *)narrow : (void *)values,
                        type == 1 ? AITER_I32 : AITER_I64, axes, m->b, m->s);
    t.stride[0] = 512;
    t.stride[1] = m->s;
    t.stride[2] = 1;
    if (m->packed) {
        t.shape[1] = m->s;
        t.stride[1] = 1;
        t.ndim = 2;
    }
    if (axes > 1) return t;
    t.ndim--;
    memmove(t.shape, t.shape + 1, 2 * sizeof t.shape[0]);
    memmove(t.stride, t.stride + 1, 2 * sizeof t.stride[0]);
    return t;
}

/* Positions from the first row of the tables to the last, whatever the offsets. */
static void store_indices(rope_run *r, const rope_case *m)
{
    int axis, i, least = m->sequences || !m->positions ? 0 : -20;
    for (i = 0; i < m->b * m->s; i++) {
        const uint64_t key = test_mix(m->seed * 3 + (uint64_t)i);
        /* without positions a token's index is up to s - 1 */
        r->offset[i] = m->positions ? least + (int)(key % 41)
                                    : (int64_t)(key % (uint64_t)(ROPE_ROWS - m->s + 1));
        for (axis = 0; axis < 3; axis++) {
            const uint64_t draw = test_mix(key + (uint64_t)axis + 1) % (ROPE_ROWS + 10);
            const int64_t row = draw < 5                ? 0
                                : draw >= ROPE_ROWS + 5 ? ROPE_ROWS - 1
                                                        : (int64_t)draw - 5;
            r->position[axis][i] = row - (m->offsets ? r->offset[i] : 0);
        }
    }
    if (m->positions)
        r->a.rope.positions =
            index_tensor(r->narrow[0], m, r->position[0], axes_of(m), m->positions);
    if (m->offsets) r->a.rope.offsets = index_tensor(r->narrow[1], m, r->offset, 1, m->offsets);
    for (i = 0; i <= m->sequences; i++) /* an empty one, and rows that are nobody's */
        r->starts[i] = i == m->sequences && i > 1 ? m->s - 1 : i == 2 ? r->starts[1] : i * m->s / 5;
    if (m->sequences) r->a.cu_seqlens = aiter_tensor_1d(r->starts, AITER_I32, m->sequences + 1);
}

static void rope_store(rope_run *r, const rope_case *m)
{
    const char *dims = m->packed ? "123" : "0123";
    aiter_rope *rope = &r->a.rope;
    memset(r, 0, sizeof *r);
    r->p.c.seed = m->seed;
    place_rows(r, m, &r->x, m->x_type, m->order);
    store_rows(r, m);
    if (m->in_place)
        r->y = r->x;
    else
        place_rows(r, m, &r->y, m->y_type, (m->order + (int)(m->seed / 2 % 4)) % 4);
    r->a.x = place_tensor(&r->p, &r->x, dims);
    r->a.y = place_tensor(&r->p, &r->y, dims);
    rope->cos = store_table(r, m, &r->cos, 0);
    rope->sin = store_table(r, m, &r->sin, 1);
    store_indices(r, m);
    rope->pairing = m->pairing;
    rope->kind = m->kind;
    rope->nope_first = m->nope_first;
    rope->dim = m->per_element || m->seed % 2 ? m->dim : 0;
    if (m->kind == AITER_ROPE_2D && !m->positions) rope->width = WIDTH;
    if (m->kind >= AITER_ROPE_MULTI) { /* as 12, 10, 10 of 32 */
        rope->sections[1] = m->dim / 2 * 5 / 16;
        rope->sections[2] = m->dim / 2 * 5 / 16;
        rope->sections[0] = m->dim / 2 - 2 * rope->sections[1];
    }
}

/* A hash of y's own elements; nothing else of its buffer may have changed. */
static uint64_t rope_bits(const rope_run *r, const rope_case *m, unsigned char *before)
{
    const size_t size = (size_t)aiter_dtype_bits(m->y_type) / 8;
    uint64_t hash = 1;
    int b, s, h, d;
    for (b = 0; b < m->b; b++) {
        for (s = 0; s < used_tokens(r, m); s++) {
            for (h = 0; h < m->h; h++) {
                for (d = 0; d < m->d; d++) {
                    const size_t at = (size_t)place_at(&r->y, b, s, h, d) * size;
                    memcpy(before + at, r->y.buffer->data + at, size);
                    hash = test_mix(hash ^ test_hash(before + at, size));
                }
            }
        }
    }
    CHECK(memcmp(before, r->y.buffer->data, r->y.buffer->bytes) == 0,
          "written outside y, order %d, seed %" PRIu64, m->order, m->seed);
    return hash;
}

/* Every set, two threads and no context: within the bound, and the same bits. */
static void rope_everywhere(const rope_case *m)
{
    static rope_run r;
    uint64_t first = 0;
    int t, i;
    for (t = 0; t < run_on.tiers + 2; t++) {
        aiter_context *ctx = t < run_on.tiers    ? run_on.one[t]
                             : t == run_on.tiers ? run_on.two
                                                 : NULL;
        unsigned char *before;
        uint64_t bits, x_hash;
        size_t bytes = 9;
        rope_store(&r, m);
        before = copy_of(r.y.buffer);
        x_hash = test_hash(r.x.buffer->data, r.x.buffer->bytes);
        CHECK(aiter_rope_fwd_workspace(&r.a, ctx, &bytes) == AITER_OK && bytes == 0, "workspace");
        if (CHECK(aiter_rope_fwd(&r.a, ctx) == AITER_OK, "%s", aiter_last_error())) {
            if (t == 0 || m->strange) rope_check(&r, m);
            bits = rope_bits(&r, m, before);
            if (t == 0) first = bits;
            CHECK(m->strange || bits == first, "context %d has other bits, seed %" PRIu64, t,
                  m->seed);
            CHECK(m->in_place || x_hash == test_hash(r.x.buffer->data, r.x.buffer->bytes),
                  "x changed");
        }
        for (i = 0; i < r.p.buffers; i++) CHECK(buffer_guard_is_whole(&r.p.buffer[i]), "guard");
        free(before);
        problem_unstore(&r.p);
    }
}

/* dim, D, and how many of the small draws below. */
static void shapes_of_the_spec(void)
{
    /* D with dim: whole heads, halves, sections 12, 10, 10 and 24, 20, 20, latent rows' 64 */
    static const int dims[][2] = {{64, 64},  {64, 128}, {128, 128}, {64, 256}, {256, 256},
                                  {32, 128}, {64, 576}, {4, 4},     {8, 9},    {20, 33},
                                  {12, 12},  {2, 2},    {576, 576}, {6, 8},    {36, 40}};
    test_rng rng = {test_seed(5)};
    int i, n;
    for (i = 0; i < COUNT(dims); i++) {
        for (n = 0; n < 48; n++) {
            rope_case m;
            memset(&m, 0, sizeof m);
            m.seed = rng_next(&rng) % 100000;
            m.dim = dims[i][0];
            m.d = dims[i][1];
            m.pairing = (aiter_rope_pairing)(n % 2);
            m.kind = (aiter_rope_kind)(n / 2 % 4);
            if (m.kind == AITER_ROPE_2D && m.dim % 4) m.kind = AITER_ROPE_ONE;
            m.packed = n / 8 % 2;
            m.b = m.packed ? 1 : rng_int(&rng, 1, 3);
            m.s = rng_int(&rng, m.packed ? 7 : 1, 12);
            m.h = rng_int(&rng, 1, 4);
            m.per_element = rng_int(&rng, 0, 1);
            m.nope_first = rng_int(&rng, 0, 1);
            m.positions = rng_int(&rng, 0, 2);
            m.offsets = rng_int(&rng, 0, 2);
            m.sequences = m.packed && !m.positions ? rng_int(&rng, 0, 4) : 0;
            m.order = rng_int(&rng, 0, 3);
            m.in_place = n % 3 == 2;
            m.strange = n % 11 == 10;
            m.x_type = (aiter_dtype)(AITER_F32 + rng_int(&rng, 0, 2));
            m.y_type =
                m.in_place || n % 2 ? m.x_type : (aiter_dtype)(AITER_F32 + rng_int(&rng, 0, 2));
            m.cos_type = (aiter_dtype)(AITER_F32 + rng_int(&rng, 0, 2));
            m.sin_type = n % 4 ? m.cos_type : (aiter_dtype)(AITER_F32 + rng_int(&rng, 0, 2));
            if (test_afford(n < 16, 100.0 * m.b * m.s * m.h * m.d)) rope_everywhere(&m);
        }
    }
}

/* ---- what plain float arithmetic gives, bit for bit ---- */

static void exact_bits(void)
{
    enum { T = 5, H = 3, D = 48, HALF = D / 2 };
    static float x[T * H * D], y[T * H * D], c[T * HALF], s[T * HALF];
    aiter_rope_fwd_args a;
    int i, t, h;
    memset(&a, 0, sizeof a);
    for (i = 0; i < T * H * D; i++) x[i] = (float)rng_unit((uint64_t)i);
    for (i = 0; i < T * HALF; i++) {
        c[i] = (float)cos(i * 0.37);
        s[i] = (float)sin(i * 0.37);
    }
    a.x = aiter_tensor_3d(x, AITER_F32, T, H, D);
    a.y = aiter_tensor_3d(y, AITER_F32, T, H, D);
    a.rope.cos = aiter_tensor_2d(c, AITER_F32, T, HALF);
    a.rope.sin = aiter_tensor_2d(s, AITER_F32, T, HALF);
    CHECK(aiter_rope_fwd(&a, NULL) == AITER_OK, "%s", aiter_last_error());
    for (t = 0; t < T; t++) {
        for (h = 0; h < H; h++) {
            const float *in = x + (t * H + h) * D, *out = y + (t * H + h) * D;
            for (i = 0; i < HALF; i++) {
                const float cosine = c[t * HALF + i], sine = s[t * HALF + i];
                volatile float p[4];
                volatile float first, second;
                p[0] = in[i] * cosine;
                p[1] = in[i + HALF] * sine;
                p[2] = in[i + HALF] * cosine;
                p[3] = in[i] * sine;
                first = p[0] - p[1];
                second = p[2] + p[3];
                CHECK(bits_of_float(out[i]) == bits_of_float(first) &&
                          bits_of_float(out[i + HALF]) == bits_of_float(second),
                      "token %d head %d pair %d", t, h, i);
            }
        }
    }
}

/* What does not turn is copied bit by bit, a NaN's payload too. */
static void rest_is_copied(void)
{
    static const aiter_dtype types[] = {AITER_F32, AITER_F16, AITER_BF16};
    int i, first;
    for (i = 0; i < 3; i++) {
        for (first = 0; first < 2; first++) {
            static unsigned char x[24 * 4], y[24 * 4];
            static float table[2];
            const size_t size = (size_t)aiter_dtype_bits(types[i]) / 8, at = first ? 0 : 4 * size;
            aiter_rope_fwd_args a;
            memset(&a, 0, sizeof a);
            memset(x, 0x7F, sizeof x); /* a signalling NaN in f16 and bf16 */
            x[at] = 1;
            a.x = aiter_tensor_3d(x, types[i], 1, 1, 24);
            a.y = aiter_tensor_3d(y, types[i], 1, 1, 24);
            a.rope.cos = a.rope.sin = aiter_tensor_2d(table, AITER_F32, 1, 2);
            a.rope.nope_first = first;
            CHECK(aiter_rope_fwd(&a, NULL) == AITER_OK, "%s", aiter_last_error());
            CHECK(memcmp(x + at, y + at, 20 * size) == 0, "type %d, nope first %d", i, first);
        }
    }
}

int main(void)
{
    test_begin("rope_fwd", 1e9);
    run_begin();
    exact_bits();
    rest_is_copied();
    shapes_of_the_spec();
    run_end();
    return test_end();
}
