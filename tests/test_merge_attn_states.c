/* test_merge_attn_states.c -- two attention results joined, against the oracle. */
#include "test.h"
#include "reference.c"
#include "case_run.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

/* What the log-sum-exps of a case look like. */
typedef enum lse_kind {
    LSE_PLAIN = 0,
    LSE_WIDE,  /* +-1e4 */
    LSE_HUGE,  /* +-3e38 */
    LSE_HOLES, /* -infinity on one side or both; NaN in the rows that must not be read */
    LSE_PLUS,  /* the same with +infinity, or one of each */
    LSE_EQUAL,
    LSE_COUNT
} lse_kind;

typedef struct merge_case {
    int b, s, h, d, packed; /* packed: [tokens, H, D] */
    aiter_dtype a_type, b_type, out_type;
    int gaps, in_place, no_lse;
    lse_kind kind;
    uint64_t seed;
} merge_case;

typedef struct merge_side {
    attn_place out, lse;
    aiter_tensor out_t, lse_t;
} merge_side;

static merge_side side_new(attn_problem *p, const merge_case *m, aiter_dtype dtype)
{
    merge_side side;
    place_extent(&side.out, dtype, m->b, m->s, m->h, m->d);
    place_alone(p, &side.out, m->gaps == 2 ? "0213" : "0123", m->gaps ? 2 : 0, m->gaps == 3 ? 2 : 1,
                SLACK_NAN);
    place_extent(&side.lse, AITER_F32, m->b, m->h, m->s, 1);
    place_alone(p, &side.lse, "0123", m->gaps ? 1 : 0, 1, SLACK_NAN);
    side.out_t = place_tensor(p, &side.out, m->packed ? "123" : "0123");
    side.lse_t = place_tensor(p, &side.lse, m->packed ? "12" : "012");
    return side;
}

static double lse_value(const merge_case *m, int which, int b, int h, int s)
{
    uint64_t key = test_mix(m->seed * 4 + (uint64_t)which) + (uint64_t)((b * 64 + h) * 4096 + s);
    double x = rng_unit(key);
    uint64_t hole = test_mix(m->seed ^ (uint64_t)((b * 64 + h) * 4096 + s)) % 4;
    if ((m->kind == LSE_HOLES || m->kind == LSE_PLUS) && (hole == 3 || hole == (uint64_t)which)) {
        return double_of_bits(m->kind == LSE_PLUS && key % 4 ? BITS_INF : BITS_NEG_INF);
    }
    return problem_round(AITER_F32, m->kind == LSE_WIDE    ? x * 1e4
                                    : m->kind == LSE_HUGE  ? x * 3e38
                                    : m->kind == LSE_EQUAL ? 5.5
                                                           : x * 10);
}

/* Some of them -0. */
static double row_value(const merge_case *m, int which, int b, int h, int s, int d)
{
    const double x = problem_value(m->seed, 10 + which, b, h, s, d);
    return x > -0.4 && x < 0.4 ? double_of_bits((uint64_t)1 << 63) : x;
}

static void side_fill(const merge_case *m, const merge_side *side, int which)
{
    int b, s, h, d;
    for (b = 0; b < m->b; b++) {
        for (s = 0; s < m->s; s++) {
            for (h = 0; h < m->h; h++) {
                double lse = lse_value(m, which, b, h, s);
                ref_store(AITER_F32, side->lse.buffer->data, place_at(&side->lse, b, h, s, 0), lse);
                for (d = 0; d < m->d; d++) {
                    double x = row_value(m, which, b, h, s, d);
                    if (!is_finite(lse)) x = double_of_bits(BITS_NAN);
                    ref_store(side->out.dtype, side->out.buffer->data,
                              place_at(&side->out, b, s, h, d), x);
                }
            }
        }
    }
}

/* The weights are off by the rounding of lse_a - lse_b, of exp, of the sum and of the division. */
static double merge_bound(double lse_a, double lse_b, double sum_abs, aiter_dtype dtype, double out)
{
    double gap = is_finite(lse_a) && is_finite(lse_b) ? fabs(lse_a - lse_b) : 0;
    double error = (12 + (gap < 100 ? 2 * gap : 0)) * BOUND_U * sum_abs + 4 * BOUND_FLUSH;
    return error + bound_rounding(dtype, fabs(out) + error);
}

static void merge_check(const merge_case *m, const merge_side *to)
{
    double a[640], bb[640], out[640], lse, worst = 0;
    int b, s, h, d;
    for (b = 0; b < m->b; b++) {
        for (s = 0; s < m->s; s++) {
            for (h = 0; h < m->h; h++) {
                double la = lse_value(m, 0, b, h, s), lb = lse_value(m, 1, b, h, s), r;
                for (d = 0; d < m->d; d++) {
                    a[d] = problem_round(m->a_type, row_value(m, 0, b, h, s, d));
                    bb[d] = problem_round(m->b_type, row_value(m, 1, b, h, s, d));
                }
                ref_merge(m->d, a, la, bb, lb, out, &lse);
                for (d = 0; d < m->d; d++) {
                    const int64_t at = place_at(&to->out, b, s, h, d);
                    double bound =
                        merge_bound(la, lb, fabs(a[d]) + fabs(bb[d]), m->out_type, out[d]);
                    r = error_ratio(ref_load(m->out_type, to->out.buffer->data, at), out[d], bound);
                    if (is_minus_zero(m->out_type, to->out.buffer->data, at)) r = 1e9;
                    if (r > worst) worst = r;
                }
                if (m->no_lse) continue;
                r = error_ratio(
                    ref_load(AITER_F32, to->lse.buffer->data, place_at(&to->lse, b, h, s, 0)), lse,
                    is_finite(lse) ? (4 * fabs(lse) + 4) * BOUND_U : 0);
                if (r > run_stats.worst_lse) run_stats.worst_lse = r;
                CHECK(r <= 1, "lse %.3g of bound (a %g, b %g)", r, la, lb);
            }
        }
    }
    run_stats.rows += (int64_t)m->b * m->s * m->h;
    if (worst > run_stats.worst[m->out_type]) run_stats.worst[m->out_type] = worst;
    CHECK(worst <= 1, "out %.3g of bound, kind %d, seed %" PRIu64, worst, (int)m->kind, m->seed);
}

static void merge_run(const merge_case *m, aiter_context *ctx)
{
    attn_problem p;
    aiter_merge_attn_states_args args;
    merge_side a, b, to;
    aiter_status status;
    size_t bytes = 9;
    int i;
    memset(&p, 0, sizeof p);
    memset(&args, 0, sizeof args);
    p.c.seed = m->seed;
    a = side_new(&p, m, m->a_type);
    b = side_new(&p, m, m->b_type);
    side_fill(m, &a, 0);
    side_fill(m, &b, 1);
    to = m->in_place ? a : side_new(&p, m, m->out_type);
    args.out_a = a.out_t;
    args.lse_a = a.lse_t;
    args.out_b = b.out_t;
    args.lse_b = b.lse_t;
    args.out = to.out_t;
    if (!m->no_lse) args.lse = to.lse_t;
    CHECK(aiter_merge_attn_states_workspace(&args, ctx, &bytes) == AITER_OK && bytes == 0,
          "workspace: %s", aiter_last_error());
    status = aiter_merge_attn_states(&args, ctx);
    if (CHECK(status == AITER_OK, "%s", aiter_last_error())) merge_check(m, &to);
    for (i = 0; i < p.buffers; i++) {
        CHECK(buffer_guard_is_whole(&p.buffer[i]), "written before a buffer");
    }
    problem_unstore(&p);
}

/* A square cut of a tensor, its axes in order number `n`; 0: there is no such order. */
static int reordered(aiter_tensor *t, int n)
{
    int64_t stride[5];
    int left[5], i, used = t->ndim;
    memcpy(stride, t->stride, sizeof stride);
    for (i = 0; i < used; i++) left[i] = i;
    for (i = 0; i < t->ndim; i++, used--) {
        int at = n % used;
        n /= used;
        t->stride[i] = stride[left[at]];
        memmove(left + at, left + at + 1, (size_t)(used - at - 1) * sizeof left[0]);
    }
    return n == 0;
}

enum { EDGE = 3 };

/* Good arguments of an edge of EDGE everywhere, in memory that has room for one more. */
static aiter_merge_attn_states_args cube(int ndim)
{
    static float rows[3][256], lses[3][64];
    aiter_merge_attn_states_args a;
    aiter_tensor *outs[] = {&a.out_a, &a.out_b, &a.out}, *sums[] = {&a.lse_a, &a.lse_b, &a.lse};
    int i;
    memset(&a, 0, sizeof a);
    for (i = 0; i < 3; i++) {
        *outs[i] = ndim == 4 ? aiter_tensor_4d(rows[i], AITER_F32, EDGE, EDGE, EDGE, EDGE)
                             : aiter_tensor_3d(rows[i], AITER_F32, EDGE, EDGE, EDGE);
        *sums[i] = ndim == 4 ? aiter_tensor_3d(lses[i], AITER_F32, EDGE, EDGE, EDGE)
                             : aiter_tensor_2d(lses[i], AITER_F32, EDGE, EDGE);
        *outs[i] = aiter_tensor_transpose(*outs[i], 0, 0); /* strides in words */
        *sums[i] = aiter_tensor_transpose(*sums[i], 0, 0);
    }
    return a;
}

static void merge_refused(const aiter_merge_attn_states_args *a, const char *text, const char *why,
                          int n)
{
    CHECK(aiter_merge_attn_states(a, NULL) == AITER_INVALID_ARGUMENT, "%s, %d", why, n);
    CHECK(strstr(aiter_last_error(), text), "%s, %d: %s", why, n, aiter_last_error());
}

/* out over out_a in any other order of its axes, and lse over lse_a: refused; in the same: taken.
 */
static void other_views(int ndim)
{
    const aiter_merge_attn_states_args good = cube(ndim);
    aiter_merge_attn_states_args a;
    int n;
    CHECK(aiter_merge_attn_states(&good, NULL) == AITER_OK, "%s", aiter_last_error());
    for (n = 0; a = good, a.out = a.out_a, reordered(&a.out, n); n++) {
        if (n) merge_refused(&a, "shares memory", "out over out_a, order", n);
        CHECK(n || aiter_merge_attn_states(&a, NULL) == AITER_OK, "%s", aiter_last_error());
    }
    for (n = 0; a = good, a.lse = a.lse_a, reordered(&a.lse, n); n++) {
        if (n) merge_refused(&a, "shares memory", "lse over lse_a, order", n);
        CHECK(n || aiter_merge_attn_states(&a, NULL) == AITER_OK, "%s", aiter_last_error());
    }
}

/* Each extent of each side one less and one more; rows of the other rank, as far as they go. */
static void other_extents(int ndim)
{
    const aiter_merge_attn_states_args good = cube(ndim);
    aiter_merge_attn_states_args a;
    aiter_tensor *const sides[] = {&a.out_b, &a.out, &a.lse_a, &a.lse_b, &a.lse};
    int i, d, n;
    for (i = 0; i < COUNT(sides); i++) {
        for (d = 0; d < (i < 2 ? ndim : ndim - 1); d++) {
            for (n = 2; n <= 4; n += 2) {
                a = good;
                sides[i]->shape[d] = n;
                merge_refused(&a, "shape[", "another extent of side", i);
            }
        }
        for (n = 1; n <= 4; n++) {
            a = good;
            if (i < 2) { /* the fourth extent means nothing to three axes */
                sides[i]->shape[3] = n;
                sides[i]->stride[3] = 1;
                sides[i]->ndim = 7 - ndim;
                merge_refused(&a, "ndim is", "another rank of side", i);
            }
        }
    }
}

int main(void)
{
    static const int shapes[][5] = {{1, 1, 1, 1, 1},   {1, 5, 3, 8, 1},   {2, 7, 2, 33, 0},
                                    {1, 17, 4, 64, 0}, {3, 2, 5, 128, 0}, {1, 300, 2, 16, 1},
                                    {1, 0, 2, 8, 1},   {1, 2, 1, 576, 0}, {1, 9, 16, 7, 1}};
    int i, kind, n = 0, t;
    test_begin("merge_attn_states", 1e9);
    run_begin();
    for (i = 3; i <= 4; i++) {
        other_views(i);
        other_extents(i);
    }
    for (t = 0; t < run_on.tiers + 2; t++) {
        aiter_context *ctx = t < run_on.tiers    ? run_on.one[t]
                             : t == run_on.tiers ? run_on.two
                                                 : NULL;
        for (i = 0; i < COUNT(shapes); i++) {
            for (kind = 0; kind < LSE_COUNT * 3; kind++, n++) {
                merge_case m;
                memset(&m, 0, sizeof m);
                m.b = shapes[i][0];
                m.s = shapes[i][1];
                m.h = shapes[i][2];
                m.d = shapes[i][3];
                m.packed = shapes[i][4];
                m.kind = (lse_kind)(kind % LSE_COUNT);
                m.a_type = (aiter_dtype)(AITER_F32 + n % 3);
                m.b_type = (aiter_dtype)(AITER_F32 + (n / 3 + kind) % 3);
                m.in_place = n % 5 == 4;
                m.out_type = m.in_place ? m.a_type : (aiter_dtype)(AITER_F32 + (n / 9 + i) % 3);
                m.gaps = n / 2 % 4;
                m.no_lse = n % 7 == 6;
                m.seed = (uint64_t)n;
                merge_run(&m, ctx);
            }
        }
    }
    run_end();
    return test_end();
}
