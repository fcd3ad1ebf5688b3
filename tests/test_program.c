/* test_program.c -- programs beside softmax attention on the same walk: logits, which have no V and
 * no softmax, and attention by SiLU; and several problems in one launch. Near sums in fp64, under
 * each kernel set. */
#include "test.h"
#include "reference.c"
#include "inner_problem.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

/* Tiles of one row to several; windows with a gap behind sink tokens. */
static const inner_shape shapes[] = {
    {4, 2, 32, 24, {70, 3, 1}, {120, 40, 1}, 1, AITER_MASK_NONE, 0, 0, 0, 1},
    {6, 2, 21, 33, {40, 9, 30}, {200, 97, 30}, 0, AITER_MASK_CAUSAL, 0, 0, 0, 1},
    {2, 1, 300, 16, {60, 20, 2}, {310, 96, 5}, 1, AITER_MASK_WINDOW, 40, 0, 9, 1},
    {2, 2, 16, 8, {5, 33, 17}, {100, 33, 64}, 0, AITER_MASK_CAUSAL_TOP_LEFT, 0, 0, 0, 3}};

static int sees(const inner_problem *x, int b, int i, int j)
{
    const ref_mask mask = {x->s.mask, x->s.left, x->s.right, x->s.sink_tokens};
    return ref_visible(&mask, i, j, x->s.sq[b], x->s.sk[b]);
}

/* softmax_scale * q . k, and the same of magnitudes. */
static double logit(const inner_problem *x, int b, int h, int i, int j, double *magnitude)
{
    const inner_shape *s = &x->s;
    const float *q = x->q + (inner_row_of_q(x, b, i) * s->hq + h) * s->d;
    const float *k = x->k + (inner_row_of_k(x, b, j) * s->hk + h / (s->hq / s->hk)) * s->d;
    double sum = 0;
    *magnitude = 0;
    for (int d = 0; d < s->d; d++) {
        sum += (double)0.4f * q[d] * k[d];
        *magnitude += fabs((double)0.4f * q[d] * k[d]);
    }
    return sum;
}

static double error_of(const inner_problem *x, double magnitude)
{
    return (x->s.d + 8) * ldexp(magnitude, -23);
}

/* ---- logits ---- */

enum { MOST_KEYS = 320 };
static float *logits; /* [rows of q][heads][MOST_KEYS] */
static const inner_problem *of_logits;

static void nothing(const aiteri_walk *x, aiteri_tile *tile) { (void)x, (void)tile; }

static void logits_step(const aiteri_walk *x, aiteri_tile *tile, aiteri_key_block *loaded,
                        const aiteri_key_block *own, int masked)
{
    const int lanes = x->e->kernels->tile_lanes;
    (void)loaded, (void)masked;
    for (int lane = 0; lane < tile->rows; lane++) {
        const aiteri_packed_row row = aiteri_packed_row_of(x->w, tile, lane);
        float *to = logits + (inner_row_of_q(of_logits, x->s.index, row.token) * of_logits->s.hq +
                              row.head) *
                                 MOST_KEYS;
        for (int j = own->first; j < own->end; j++)
            to[j] = x->t->st[(j - own->first) * lanes + lane];
    }
}

static const aiteri_program logits_program = {0, nothing, logits_step, nothing, NULL};

static void expect_logits(const inner_problem *x, int b, int h, int i)
{
    const float *row = logits + (inner_row_of_q(x, b, i) * x->s.hq + h) * MOST_KEYS;
    int shown = 0, hidden = 0;
    for (int j = 0; j < x->s.sk[b]; j++) {
        double magnitude;
        const double want = logit(x, b, h, i, j, &magnitude);
        if (!sees(x, b, i, j))
            hidden += row[j] > -INFINITY;
        else
            shown += !(fabs(row[j] - want) <= error_of(x, magnitude));
    }
    CHECK(shown == 0, "b %d h %d i %d: %d logits are wrong", b, h, i, shown);
    CHECK(hidden == 0, "b %d h %d i %d: %d hidden logits", b, h, i, hidden);
}

/* ---- sums of SiLU(logit) * v ---- */

static void silu_begin(const aiteri_walk *x, aiteri_tile *tile)
{
    memset(tile->ot, 0,
           (size_t)x->e->kernels->tile_lanes * (size_t)x->e->problem->v.dim * sizeof(float));
}

static float silu(float x) { return x > -INFINITY ? x / (1.0f + expf(-x)) : 0.0f; }

static void silu_step(const aiteri_walk *x, aiteri_tile *tile, aiteri_key_block *loaded,
                      const aiteri_key_block *own, int masked)
{
    const int lanes = x->e->kernels->tile_lanes;
    const int32_t runs[2][2] = {{own->first, own->gap}, {own->resume, own->end}};
    (void)masked;
    for (int32_t i = 0; i < (own->end - own->first) * lanes; i++)
        x->t->st[i] = i % lanes < tile->rows ? silu(x->t->st[i]) : 0.0f;
    for (int i = 0; i < 2; i++) {
        const aiteri_block_run values = aiteri_values_run(x, loaded, runs[i][0], runs[i][1]);
        if (values.n > 0)
            x->e->kernels->tile_value(tile->ot, &values,
                                      x->t->st + (runs[i][0] - own->first) * lanes, tile->vectors);
    }
}

static void silu_end(const aiteri_walk *x, aiteri_tile *tile)
{
    const aiteri_problem *p = x->e->problem;
    const int stride = aiteri_padded(p->v.dim);
    x->e->kernels->tile_unpack(x->t->rows, stride, tile->ot, p->v.dim);
    for (int lane = 0; lane < tile->rows; lane++) {
        const aiteri_packed_row row = aiteri_packed_row_of(x->w, tile, lane);
        memcpy(aiteri_row_at(&p->out, &x->s, row.token, row.head), x->t->rows + lane * stride,
               (size_t)p->v.dim * sizeof(float));
    }
}

static const aiteri_program silu_program = {1, silu_begin, silu_step, silu_end, NULL};

static void expect_silu(const inner_problem *x, int b, int h, int i)
{
    const inner_shape *s = &x->s;
    const float *row = x->out + (inner_row_of_q(x, b, i) * s->hq + h) * s->dv;
    int bad = 0;
    for (int d = 0; d < s->dv; d++) {
        double want = 0, error = 1e-30;
        for (int j = 0; j < s->sk[b]; j++) {
            double magnitude;
            const double t = logit(x, b, h, i, j, &magnitude);
            const int64_t at = (inner_row_of_k(x, b, j) * s->hk + h / (s->hq / s->hk)) * s->dv + d;
            if (!sees(x, b, i, j)) continue;
            want += t / (1 + exp(-t)) * x->v[at];
            error += 2 * fabs((double)x->v[at]) *
                     (error_of(x, magnitude) + ldexp(fabs(t) * (s->sk[b] + 8), -23));
        }
        bad += !(fabs(row[d] - want) <= error);
    }
    CHECK(bad == 0, "b %d h %d i %d: %d columns are wrong", b, h, i, bad);
}

/* ---- all rows ---- */

typedef void (*expect_fn)(const inner_problem *x, int b, int h, int i);

static void run_program(inner_problem *x, const aiteri_program *program, expect_fn expect,
                        aiter_context *ctx)
{
    x->p.program = program;
    CHECK(inner_run(x, ctx) == AITER_OK, "%s", aiter_last_error());
    for (int b = 0; b < INNER_BATCH; b++)
        for (int i = 0; i < x->s.sq[b]; i++)
            for (int h = 0; h < x->s.hq; h++) expect(x, b, h, i);
    test_global.cases++;
}

static void programs(aiter_context *ctx)
{
    for (int n = 0; n < COUNT(shapes); n++) {
        inner_problem x;
        inner_new(&x, &shapes[n], (uint64_t)n + 3100);
        run_program(&x, &silu_program, expect_silu, ctx);
        logits = (float *)malloc(x.lse_floats * MOST_KEYS * sizeof(float));
        if (!logits) exit(3);
        for (size_t i = 0; i < x.lse_floats * MOST_KEYS; i++) logits[i] = -INFINITY;
        of_logits = &x;
        x.p.v.data = NULL; /* not looked at */
        run_program(&x, &logits_program, expect_logits, ctx);
        free(logits);
        inner_free(&x);
    }
}

/* ---- several problems in one launch ---- */

/* Attention cut and whole, SiLU, attention again, and one that has no rows: each as alone. */
static void launches(aiter_context *ctx)
{
    static const inner_shape few = {4, 4, 24, 40, {1, 2, 1}, {400, 7, 90}, 0, AITER_MASK_NONE,
                                    0, 0, 0,  3},
                             none = {2, 1, 16, 16, {0, 0, 0}, {5, 3, 4}, 1, AITER_MASK_NONE,
                                     0, 0, 0,  1};
    const inner_shape *shape[AITERI_MOST_PROBLEMS] = {&shapes[1], &few, &none, &shapes[2]};
    for (int first = 0; first < AITERI_MOST_PROBLEMS; first++)
        for (int count = 1; count <= AITERI_MOST_PROBLEMS; count++) {
            inner_problem x[AITERI_MOST_PROBLEMS], alone[AITERI_MOST_PROBLEMS];
            inner_problem *all[AITERI_MOST_PROBLEMS];
            for (int i = 0; i < count; i++) {
                const int which = (first + i) % AITERI_MOST_PROBLEMS;
                all[i] = &x[i];
                inner_new(&x[i], shape[which], (uint64_t)which + 3200);
                if (which == 3) x[i].p.program = &silu_program;
                CHECK(inner_run(&x[i], ctx) == AITER_OK, "%s", aiter_last_error());
                alone[i] = inner_kept(&x[i]);
            }
            CHECK(inner_run_all(all, count, ctx) == AITER_OK, "%s", aiter_last_error());
            for (int i = 0; i < count; i++) {
                CHECK(inner_different(&x[i], &alone[i]) == 0, "problem %d of %d from %d", i, count,
                      first);
                inner_drop(&alone[i]);
                inner_free(&x[i]);
            }
            test_global.cases++;
        }
}

int main(void)
{
    aiter_isa tiers[AITER_ISA_COUNT];
    test_begin("program", 1);
    const int count = test_tiers(tiers);
    for (int t = 0; t < count; t++) {
        aiter_context *ctx = test_context(tiers[t], 1);
        programs(ctx);
        launches(ctx);
        aiter_context_destroy(ctx);
        ctx = test_context(tiers[t], 3);
        launches(ctx);
        aiter_context_destroy(ctx);
    }
    return test_end();
}
