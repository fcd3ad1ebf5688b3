/* probe_expect.h -- what flash_fwd_probe.c expects: the softmax of each row by definition in fp64,
 * and how far f32 arithmetic with 16-bit weights may be from it.
 *
 * The bound is the one of tests/bounds.h and, on top, the rounding of the weights to the type:
 * u_type sum p |v|. */
#ifndef PROBE_EXPECT_H
#define PROBE_EXPECT_H

#define U 5.9604644775390625e-8 /* 2^-24 */

typedef struct verdict {
    double out, out_bound, lse, lse_bound; /* the worst error, and the bound there */
    int wrong;
    char first[160];
} verdict;

typedef struct expected_row {
    double out[MAX_DIM], abs_out[MAX_DIM], lse, weight_error, max_v;
    int visible;
} expected_row;

static double gamma_of(double n)
{
    const double likely = 8 * sqrt(n);
    return (n < likely ? n : likely) * U;
}

/* Scores of a row; returns how many keys take part. */
static int expected_scores(const probe *p, int b, int h, int i, double *t, expected_row *e)
{
    const probe_case *c = p->c;
    const uint16_t *q = (const uint16_t *)p->q.host + query_row(p, &p->a.q, b, h, i);
    const int sq = p->seqlen_q[b], sk = p->seqlen_k[b], hk = h / p->a.group;
    double max_dot = 0, max_term = 0;
    int n = 0;
    for (int j = 0; j < sk; j++) {
        const int64_t row = key_row(p, &p->a.k, b, hk, j);
        const double bias = row >= 0 && visible(c, sq, sk, i, j) ? bias_at(p, b, h, i, j) : 0;
        double dot = 0, magnitude = 0, distance = 0;
        t[j] = -INFINITY;
        if (row < 0 || !visible(c, sq, sk, i, j) || bias == -INFINITY) continue;
        for (int d = 0; d < c->dim; d++) {
            const double x = decode(q[d], type_is_bf16) *
                             decode(((const uint16_t *)p->k.host)[row + d], type_is_bf16);
            dot += x;
            magnitude += fabs(x);
        }
        t[j] = dot * p->scale;
        max_dot = fmax(max_dot, magnitude * p->scale);
        max_term = fmax(max_term, fabs(t[j]));
        if (c->softcap > 0) t[j] = c->softcap * tanh(t[j] / c->softcap);
        if (c->alibi) distance = fabs((double)(i + sk - sq - j)) * ldexp(1, -h - 1);
        t[j] += bias - distance;
        max_term = fmax(fmax(max_term, fabs(t[j])), fmax(fabs(bias), distance));
        n++;
    }
    e->weight_error = gamma_of(c->dim + 4) * max_dot + 8 * U * (c->softcap + max_term) +
                      gamma_of(2 + n / 64.0) + 4 * U;
    return n;
}

/* Keys [first, end) of a row; sink NULL: none. Returns the maximum. */
static double expected_softmax(const probe *p, int b, int h, const double *t, int first, int end,
                               const float *sink, expected_row *e, double *sum)
{
    const int dim = p->c->dim_v;
    double m = sink ? *sink : -INFINITY;
    for (int j = first; j < end; j++) m = fmax(m, t[j]);
    *sum = sink ? exp(*sink - m) : 0;
    memset(e->out, 0, sizeof e->out);
    memset(e->abs_out, 0, sizeof e->abs_out);
    e->max_v = 0;
    for (int j = first; j < end; j++) {
        const int64_t row = key_row(p, &p->a.v, b, h / p->a.group, j);
        if (t[j] == -INFINITY) continue;
        const double w = exp(t[j] - m);
        *sum += w;
        for (int d = 0; d < dim; d++) {
            const double v = decode(((const uint16_t *)p->v.host)[row + d], type_is_bf16);
            e->out[d] += w * v;
            e->abs_out[d] += w * fabs(v);
            if (isfinite(v)) e->max_v = fmax(e->max_v, fabs(v));
        }
    }
    return m;
}

static void note(verdict *v, const probe *p, int b, int h, int i, int d, double got, double want,
                 double bound)
{
    (void)p;
    if (v->wrong++) return;
    snprintf(v->first, sizeof v->first, "b %d h %d i %d %s %d: got %.9g, expected %.9g within %.2e",
             b, h, i, d < 0 ? "lse" : "d", d, got, want, bound);
}

/* One number against its bound; not finite values must be the same. */
static void judge(verdict *v, const probe *p, int b, int h, int i, int d, double got, double want,
                  double bound)
{
    const double error = fabs(got - want);
    double *worst = d < 0 ? &v->lse : &v->out, *limit = d < 0 ? &v->lse_bound : &v->out_bound;
    if (!isfinite(want)) {
        if (isnan(want) ? !isnan(got) : got != want) note(v, p, b, h, i, d, got, want, 0);
        return;
    }
    if (!(error <= bound)) note(v, p, b, h, i, d, got, want, bound);
    if (*limit == 0 || error * *limit > *worst * bound) *worst = error, *limit = bound;
}

static double bound_of(const probe *p, const expected_row *e, int n, double abs_out)
{
    const double type = type_is_bf16 ? 1.0 / 256 : 1.0 / 2048;
    const double least = type_is_bf16 ? 0 : ldexp(1, -25); /* subnormal weights */
    (void)p;
    return (2 * (e->weight_error + gamma_of(n + 2)) + type) * abs_out +
           n * (least + ldexp(1, -126)) * fmax(1, e->max_v);
}

static void compare_partial(const probe *p, int b, int h, int i, const double *t, int n,
                            expected_row *e, verdict *v)
{
    const probe_case *c = p->c;
    const int sk = p->seqlen_k[b], each = c->split_keys;
    for (int s = 0; s * each < sk; s++) {
        const int64_t place = s * p->a.split.rows + ((int64_t)b * c->heads_q + h) * c->sq + i;
        const float *ml = (const float *)p->ml.host + place * 2;
        const float *o = (const float *)p->o.host + place * c->dim_v;
        const int end = s * each + each < sk ? s * each + each : sk;
        double l;
        const double m = expected_softmax(p, b, h, t, s * each, end, NULL, e, &l);
        const int lazy = ml[0] <= m && ml[0] >= m - 8 * log(2);
        judge(v, p, b, h, i, -1, lazy ? m : ml[0], m, 2 * e->weight_error + 4 * U * fabs(m));
        const double factor = l > 0 ? exp(ml[0] - m) : 1;
        judge(v, p, b, h, i, -2, ml[1] * factor, l, l * 2 * (e->weight_error + gamma_of(n + 2)));
        for (int d = 0; d < c->dim_v; d++)
            judge(v, p, b, h, i, d, o[d] * factor, e->out[d], bound_of(p, e, n, e->abs_out[d]));
    }
}

static void compare_row(const probe *p, int b, int h, int i, double *t, verdict *v)
{
    const probe_case *c = p->c;
    const uint16_t *out = (const uint16_t *)p->out.host + query_row(p, &p->a.out, b, h, i);
    const float lse =
        ((const float *)
             p->lse.host)[b * p->a.lse_stride_batch + h * p->a.lse_stride_head + p->q_start[b] + i];
    const double half = type_is_bf16 ? 1.0 / 256 : 1.0 / 2048;
    expected_row e;
    const int n = expected_scores(p, b, h, i, t, &e);
    if (c->split_keys) {
        compare_partial(p, b, h, i, t, n, &e, v);
        return;
    }
    double l, m;
    m = expected_softmax(p, b, h, t, 0, p->seqlen_k[b],
                         c->sinks ? (const float *)p->sinks.host + h : NULL, &e, &l);
    e.lse = l > 0 ? m + log(l) : -INFINITY;
    judge(v, p, b, h, i, -1, lse, e.lse,
          e.weight_error + gamma_of(n + 2) + 4 * U * fabs(e.lse) + 4 * U);
    for (int d = 0; d < c->dim_v; d++) {
        const double want = l > 0 ? e.out[d] / l : 0;
        const double error = bound_of(p, &e, n, l > 0 ? e.abs_out[d] / l : 0);
        judge(v, p, b, h, i, d, decode(out[d], type_is_bf16), want,
              error + half * (fabs(want) + error) + ldexp(1, type_is_bf16 ? -126 : -25));
    }
}

static verdict probe_compare(const probe *p)
{
    static double t[MAX_KEYS];
    verdict v;
    memset(&v, 0, sizeof v);
    for (int b = 0; b < p->c->batch; b++)
        for (int h = 0; h < p->c->heads_q; h++)
            for (int i = 0; i < p->seqlen_q[b]; i++) compare_row(p, b, h, i, t, &v);
    return v;
}

#endif /* PROBE_EXPECT_H */
