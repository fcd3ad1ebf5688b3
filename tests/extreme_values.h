/* extreme_values.h -- what makes a problem extreme, for the CPU's test and the devices'. Include
 * after case_run.h. */
#ifndef AITER_TEST_EXTREME_VALUES_H
#define AITER_TEST_EXTREME_VALUES_H

#define FLT_TOP 3.4028234663852886e38

/* What a kind does to a problem before the oracle sees it. */
typedef void (*change_fn)(attn_problem *p, double x);

static inline double small_int(uint64_t seed, int64_t i)
{
    return floor(rng_unit(seed + (uint64_t)i) * 3);
}

/* q and k become small integers times powers of two, so that products and their sums are exact. */
static inline void whole_numbers(attn_problem *p, int q_exponent, int k_exponent)
{
    const attn_case *c = &p->c;
    const int64_t nq = p->start_q[c->b] * c->hq * c->dq, nk = p->start_k[c->b] * c->hk * c->dq;
    int64_t i;
    for (i = 0; i < nq; i++)
        p->q[i] = problem_round(c->q_type, ldexp(small_int(c->seed * 3, i), q_exponent));
    for (i = 0; i < nk; i++)
        p->k[i] = problem_round(c->kv_type, ldexp(small_int(c->seed * 5, i), k_exponent));
}

/* Scores are exact: errors of a dot product are none, and large terms no excuse. */
static inline void forgive_nothing(attn_problem *p)
{
    int64_t i;
    for (i = 0; i < p->num_rows; i++) {
        ref_facts *f = &p->rows[i].facts;
        if (f->max_dot > 100) f->max_dot = 100;
        if (f->max_term > 100) f->max_term = 100;
    }
}

static inline void change_scale(attn_problem *p, double exponent)
{
    /* Scores of a few units where the types reach so far, and dot products of the other end. */
    int sum = -(int)exponent;
    if (sum > 110) sum = 110;
    if (sum < -120) sum = -120;
    whole_numbers(p, sum / 2, sum - sum / 2);
}
/* Subnormal queries, which a factor that is no power of two would round. */
static inline void change_tiny_queries(attn_problem *p, double exponent)
{
    whole_numbers(p, -148, 148 - (int)exponent);
}
static inline void change_unit(attn_problem *p, double exponent)
{
    (void)exponent;
    whole_numbers(p, 0, 0);
}

static inline void change_slopes(attn_problem *p, double slope)
{
    int i;
    whole_numbers(p, 0, 0);
    for (i = 0; i < p->c.b * p->c.hq; i++) p->slopes[i] = problem_round(AITER_F32, slope);
}
static inline void change_sinks(attn_problem *p, double sink)
{
    int i;
    for (i = 0; i < p->c.hq; i++) p->sinks[i] = problem_round(AITER_F32, i ? -sink : sink);
}
static inline void change_int8(attn_problem *p, double exponent)
{
    const attn_case *c = &p->c;
    const int64_t n = p->start_k[c->b] * c->hk;
    int64_t i;
    p->own_scale[0] = float_of_bits(bits_of_float(1.0f) + (uint32_t)((int)exponent * 0x800000));
    p->own_scale[1] = float_of_bits(bits_of_float(1.0f) - (uint32_t)((int)exponent * 0x800000));
    for (i = 0; i < n * c->dq; i++) p->k[i] = ldexp(small_int(c->seed, i), (int)exponent);
    for (i = 0; i < n * c->dv; i++) p->v[i] = ldexp(small_int(c->seed + 9, i), -(int)exponent);
    for (i = 0; i < p->start_q[c->b] * c->hq * c->dq; i++)
        p->q[i] = problem_round(c->q_type, ldexp(small_int(c->seed + 7, i), -(int)exponent));
}

/* One key's score is `step` above the others', late in the row; values take all the room that the
 * number of keys leaves. */
static inline void change_values(attn_problem *p, double step)
{
    const attn_case *c = &p->c;
    const double top = FLT_TOP / (1.02 * p->len_k[0]);
    int64_t i, n = p->start_k[c->b] * c->hk;
    for (i = 0; i < p->start_q[c->b] * c->hq * c->dq; i++) p->q[i] = i % c->dq == 0;
    for (i = 0; i < n * c->dq; i++) {
        const int64_t j = i / c->dq;
        const double score = step < 0 ? -step * (double)j / (double)n : j > n * 3 / 4 ? step : 0;
        p->k[i] = problem_round(c->kv_type, i % c->dq == 0 ? score : 0);
    }
    for (i = 0; i < n * c->dv; i++) {
        double v = top * (i % c->dv % 2 ? rng_unit(c->seed + (uint64_t)i) : 0.99);
        if (i % c->dv == 2) v = -top * 0.99;
        p->v[i] = problem_round(c->kv_type, v);
    }
}

static inline void change_scores(attn_problem *p, double size)
{
    int64_t i;
    whole_numbers(p, 0, 0);
    for (i = 0; i < p->start_k[p->c.b] * p->c.hk * p->c.dq; i++)
        p->k[i] = problem_round(p->c.kv_type, p->k[i] * size);
}

static inline void change_weights(attn_problem *p, double depth)
{
    const attn_case *c = &p->c;
    int64_t i;
    change_values(p, 0);
    for (i = 0; i < p->start_k[c->b] * c->hk; i++) {
        const int last = i == p->start_k[c->b] * c->hk - 1;
        p->k[i * c->dq] = problem_round(c->kv_type, last ? 0 : -depth);
        p->v[i * c->dv] = last ? 0 : 1; /* column 0 has only what is small */
        p->v[i * c->dv + 1] = 1;
    }
}

/* NaN and infinities in the keys and values that some row does not see for its bias. */
static inline void change_hidden(attn_problem *p, double which)
{
    const attn_case *c = &p->c;
    int64_t j, d;
    for (j = 0; j < p->start_k[c->b] * c->hk; j++) {
        if (!is_neg_inf(problem_bias(p, 0, 0, 0, j))) continue;
        for (d = 0; d < c->dq; d++) p->k[j * c->dq + d] = double_of_bits(BITS_NAN);
        for (d = 0; d < c->dv; d++)
            p->v[j * c->dv + d] = double_of_bits(which == 0   ? BITS_NAN
                                                 : which == 1 ? BITS_INF
                                                              : BITS_NEG_INF);
    }
}

/* Values that are not finite, in a few columns of one key in eleven: who does not see the key keeps
 * them finite. Infinity has no place in fp8. */
static inline void change_not_finite(attn_problem *p, double which)
{
    static const uint64_t bits[] = {BITS_NAN, BITS_INF, BITS_NEG_INF};
    const attn_case *c = &p->c;
    int64_t j;
    whole_numbers(p, -2, -2);
    for (j = 7; j < p->start_k[c->b] * c->hk; j += 11)
        p->v[j * c->dv + (j / 11 * 5 + (int)which) % c->dv] =
            double_of_bits(bits[type_is_fp8(c->v_type) ? 0 : j % 3]);
}

/* One sequence: every score is `floor`, but for one of each head, `step` above. */
static inline void change_peak(attn_problem *p, double floor, double step)
{
    const attn_case *c = &p->c;
    const int64_t n = p->start_k[c->b], peak = n * 4 / 7;
    int64_t i;
    for (i = 0; i < p->start_q[c->b] * c->hq * c->dq; i++) p->q[i] = i % c->dq == 0;
    for (i = 0; i < n * c->hk * c->dq; i++) {
        const double score = i / c->dq % n == peak ? floor + step : floor;
        p->k[i] = problem_round(c->kv_type, i % c->dq ? 0 : score);
    }
}
static inline void change_high_peak(attn_problem *p, double step) { change_peak(p, 0, step); }
static inline void change_deep(attn_problem *p, double floor) { change_peak(p, floor, 1); }

static inline void change_zeros(attn_problem *p, double tiny)
{
    const attn_case *c = &p->c;
    int64_t i;
    for (i = 0; i < p->start_k[c->b] * c->hk * c->dv; i++) {
        const int draw = (int)(test_mix(c->seed + (uint64_t)i) % 8);
        const double x = draw < 5   ? double_of_bits((uint64_t)1 << 63)
                         : draw < 7 ? -tiny
                                    : (double)(i % 7 == 0);
        p->v[i] = problem_round(c->kv_type, x);
    }
    if (tiny == 1e-45 && c->dv == 1 && c->kv_type == AITER_F32) {
        p->v[0] = -1.401298464324817e-45;
        for (i = 1; i < 4 && i < p->len_k[0]; i++) p->v[i] = double_of_bits((uint64_t)1 << 63);
    }
}

#endif /* AITER_TEST_EXTREME_VALUES_H */
