/* test_extremes.c -- every finite scale, softcap, slope, sink and int8 scale, scores and values up
 * to the end of f32, keys that a bias hides: against the oracle, on every tier, family, source and
 * type. No output is ever -0. */
#include "test.h"
#include "reference.c"
#include "case_run.h"
#include "extreme_values.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

static uint64_t seed_now;

static void extreme(const attn_case *c, change_fn change, double x, int exact)
{
    attn_problem p;
    problem_new(&p, c);
    if (change) change(&p, x);
    problem_expect(&p, 1e9);
    if (exact) forgive_nothing(&p);
    problem_run_everywhere(&p);
    problem_free(&p);
}

/* One, few and many query rows, dense and paged, masked and not, whole and in pieces. */
static attn_case shape_of(int i, aiter_dtype type)
{
    static const int sq[] = {1, 3, 40, 70, 1, 20}, sk[] = {40, 130, 45, 200, 400, 20};
    attn_case c;
    memset(&c, 0, sizeof c);
    c.b = 1;
    c.hq = i % 6 == 5 ? 5 : 2;
    c.hk = 1;
    c.sq = sq[i % 6];
    c.sk = sk[i % 6];
    c.dq = i % 2 ? 8 : 17;
    c.q_type = type;
    c.form = i % 4 == 1 ? FORM_PAGED : FORM_DENSE;
    c.page = 16;
    c.mask = i % 3 == 1 ? AITER_MASK_CAUSAL : AITER_MASK_NONE;
    c.splits = i % 5 == 4 ? 3 : 0;
    c.seed = seed_now++;
    c.core = 1;
    return c;
}
enum { SHAPES = 6 };

static const aiter_dtype types[] = {AITER_F32, AITER_BF16, AITER_F16};

/* ---- scales ---- */

static void scales(void)
{
    static const int exponents[] = {-149, -140, -127, -126, -125, -100, -50, -41, -40, -39,
                                    -5,   0,    1,    2,    10,   41,   64,  100, 126, 127};
    int i, n = 0;
    for (i = 0; i < COUNT(exponents); i++) {
        attn_case c;
        int mix;
        for (mix = 0; mix < 6; mix++, n++) {
            c = shape_of(n, types[(i + mix) % 2]);
            c.scale = ldexp(1.0, exponents[i]);
            if (mix >= 3) c.sinks = 1, c.splits = 2;
            if (mix == 2) c.bias = BIAS_SQ_SK;
            if (mix == 2 && exponents[i] > 100) continue; /* added to a bias: below FLT_MAX */
            extreme(&c, mix % 2 ? change_unit : change_scale, exponents[i], 1);
            c.scale *= 1.75; /* not exact, judged as ordinary scores are */
            if (mix < 2) extreme(&c, change_scale, exponents[i], 0);
        }
    }
    for (i = 0; i < 24; i++) { /* subnormal queries meet large scales */
        attn_case c = shape_of(i, types[i % 2]);
        const int exponent = 40 + i / 6 * 29;
        c.scale = ldexp(1.4375, exponent);
        if (i % 3 == 1) c.sinks = 1;
        if (i % 3 == 2) c.softcap = ldexp(1.4375, exponent - 20);
        extreme(&c, change_tiny_queries, exponent, 1);
    }
    for (i = 0; i < 12; i++) { /* f32 to its end: q times the scale would pass it */
        attn_case c = shape_of(i, AITER_F32);
        c.scale = i % 2 ? FLT_TOP : 3e38;
        extreme(&c, change_scale, 127, 0);
    }
}

/* ---- softcaps ---- */

static void softcaps(void)
{
    static const int exponents[] = {-149, -140, -127, -126, -100, -60, -41, -40, -39, -10,
                                    0,    5,    20,   39,   40,   41,  60,  100, 126, 127};
    static const double scale[] = {0, 1, 1e-40, 1e-30, 1e20, 3e38};
    int i, s, n = 0;
    for (i = 0; i < COUNT(exponents); i++) {
        for (s = 0; s < COUNT(scale); s++, n++) {
            attn_case c = shape_of(n, types[n % 3]);
            c.softcap = ldexp(1 + 0.5 * (n % 2), exponents[i]);
            if (c.softcap > FLT_TOP) c.softcap = FLT_TOP;
            c.scale = scale[s];
            c.sinks = n % 7 == 3;
            extreme(&c, scale[s] > 1 ? change_scale : NULL, scale[s] > 1e30 ? 127 : 66, 0);
            if (c.softcap > 1e12 && scale[s] <= 1) { /* as without one */
                attn_problem p;
                problem_new(&p, &c);
                change_unit(&p, 0);
                p.c.softcap = 0;
                problem_expect(&p, 1e9);
                p.c.softcap = c.softcap;
                forgive_nothing(&p);
                problem_run_everywhere(&p);
                problem_free(&p);
            }
        }
    }
}

/* ---- ALiBi, sinks, int8 scales ---- */

static void tables(void)
{
    static const double slopes[] = {FLT_TOP, 1e38, 1e30, 1e10, 1e-40, 0};
    static const int exponents[] = {-120, -60, 60, 115};
    int i, n;
    for (i = 0; i < COUNT(slopes); i++) {
        for (n = 0; n < SHAPES; n++) {
            attn_case c = shape_of(n, types[(n + i) % 3]);
            c.alibi = 1 + n % 2;
            c.mask = AITER_MASK_CAUSAL; /* a row's own key is at distance 0 */
            extreme(&c, change_slopes, slopes[i], 1);
            c.no_lse = 1;
            extreme(&c, change_slopes, -slopes[i], 1);
            c.mask = AITER_MASK_CAUSAL_TOP_LEFT; /* where Sk is larger, every key is far off */
            extreme(&c, change_slopes, slopes[i], 1);
            c = shape_of(n, types[(n + i) % 3]);
            c.sinks = 1;
            extreme(&c, change_sinks, slopes[i], 0);
        }
    }
    for (i = 0; i < COUNT(exponents); i++) {
        for (n = 0; n < SHAPES; n++) {
            attn_case c = shape_of(n, types[n % 2]);
            c.kv_type = AITER_I8;
            c.out_type = AITER_F32;
            c.scale_kind = (aiter_scale_kind)(1 + n % 3);
            c.scale = 1;
            extreme(&c, change_int8, exponents[i], 0);
        }
    }
}

/* ---- values to the end of f32, beside scores that grow ---- */

static void values(void)
{
    static const double steps[] = {0,  1,  2.06, 2.08, 5.4, 5.51, 8,  20,
                                   60, 87, 100,  300,  -5,  -12,  -90};
    int i, n;
    for (i = 0; i < COUNT(steps); i++) {
        for (n = 0; n < 2 * SHAPES; n++) {
            attn_case c = shape_of(n, types[n / SHAPES]);
            c.scale = 1;
            c.splits = n % 4 ? c.splits : 2;
            c.dv = 5;
            extreme(&c, change_values, steps[i], 1);
        }
    }
}

/* ---- scores to the end of f32 ---- */

static void scores(void)
{
    int e, n;
    for (e = 10; e <= 120; e += 10) {
        for (n = 0; n < SHAPES; n++) {
            attn_case c = shape_of(n, types[n % 2]);
            c.scale = n % 2 ? 1 : 0.125;
            c.sinks = n == 2;
            extreme(&c, change_scores, ldexp(1.0, e), 1);
            extreme(&c, change_scores, -ldexp(1.0, e), 1);
        }
    }
}

/* ---- small weights: what is e^-x of the row is still there ---- */

static void weights(void)
{
    int depth, n;
    for (depth = 2; depth <= 80; depth += 6)
        for (n = 0; n < SHAPES; n++) {
            attn_case c = shape_of(n, AITER_F32);
            c.scale = 1;
            c.dv = 2;
            extreme(&c, change_weights, depth, 1);
        }
}

/* ---- a score of -infinity hides a key wholly ---- */

static void hidden(void)
{
    static const attn_bias biases[] = {BIAS_ONE_KEY, BIAS_SQ_SK, BIAS_H_SQ_SK};
    int kind, holes, n;
    for (kind = 0; kind < 3; kind++)
        for (holes = 1; holes <= 5; holes += 2)
            for (n = 0; n < 2 * SHAPES; n++) {
                attn_case c = shape_of(n, types[(n + holes) % 3]);
                c.bias = biases[kind];
                c.bias_holes = holes;
                c.bias_type = types[n % 3];
                c.alibi = n % 4 == 3;
                c.softcap = n % 5 == 2 ? 3 : 0;
                extreme(&c, change_hidden, n % 3, 0);
            }
}

/* The same beside keys that a window hides: a block in two runs, behind sinks and in the window. */
static void hidden_beside_gaps(void)
{
    static const int rows[][4] = {{40, 90, 20, 5},   {9, 60, 10, 17}, {20, 96, 12, 40},
                                  {30, 140, 25, 70}, {12, 50, 8, 1},  {3, 80, 20, 9},
                                  {64, 190, 33, 20}, {1, 70, 31, 6}};
    int n, holes;
    for (n = 0; n < COUNT(rows); n++)
        for (holes = 2; holes <= 6; holes += 2) {
            attn_case c = shape_of(n, types[(n + holes / 2) % 3]);
            c.sq = rows[n][0];
            c.sk = rows[n][1];
            c.mask = AITER_MASK_WINDOW;
            c.left = rows[n][2];
            c.sink_tokens = rows[n][3];
            c.bias = n % 2 ? BIAS_SQ_SK : BIAS_ONE_KEY;
            c.bias_holes = holes;
            extreme(&c, change_hidden, n % 3, 0);
        }
}

/* ---- zeros: the sign of one never depends on what is hidden ---- */

static void zeros(void)
{
    static const double tiny[] = {1e-45, 1e-40, 6e-8, 2e-8, 1e-30};
    int i, n, type, out;
    for (i = 0; i < COUNT(tiny); i++)
        for (n = 0; n < 2 * SHAPES; n++)
            for (type = 0; type < 3; type++) {
                attn_case c = shape_of(n, types[type]);
                out = (n + i + type) % 3;
                c.out_type = types[out];
                c.mask = AITER_MASK_CAUSAL;
                c.dq = 1;
                c.dv = n % 2 ? 1 : 9;
                c.sinks = n % 5 == 1;
                extreme(&c, change_zeros, tiny[i], 0);
            }
}

/* ---- the inputs that were wrong once ---- */

static void named(const char *what, double q, double k, double scale, double softcap, double lse)
{
    int t, i, rows;
    for (t = 0; t < run_on.tiers; t++)
        for (rows = 1; rows <= 40; rows += 39) {
            float qs[40], ks[3], vs[3] = {1, 1, 1}, out[40], got[40];
            aiter_flash_attn_fwd_args a;
            memset(&a, 0, sizeof a);
            for (i = 0; i < 40; i++) qs[i] = case_float(q);
            for (i = 0; i < 3; i++) ks[i] = case_float(k);
            a.q = aiter_tensor_4d(qs, AITER_F32, 1, rows, 1, 1);
            a.kv.k = aiter_tensor_4d(ks, AITER_F32, 1, 3, 1, 1);
            a.kv.v = aiter_tensor_4d(vs, AITER_F32, 1, 3, 1, 1);
            a.out = aiter_tensor_4d(out, AITER_F32, 1, rows, 1, 1);
            a.lse = aiter_tensor_3d(got, AITER_F32, 1, 1, rows);
            a.score.softmax_scale = case_float(scale);
            a.score.softcap = case_float(softcap);
            CHECK(aiter_flash_attn_fwd(&a, run_on.one[t]) == AITER_OK, "%s", aiter_last_error());
            for (i = 0; i < rows; i++)
                CHECK(bits_of_float(out[i]) == 0x3f800000u &&
                          fabs(ref_load(AITER_F32, got, i) - lse) < 1e-5,
                      "%s, %s: out %g, lse %g, expected 1 and %g", what,
                      aiter_isa_name(run_on.isa[t]), (double)out[i], (double)got[i], lse);
        }
}

/* A score that a bias takes to -infinity: outside the domain, and hidden in both families. */
static void sums_hide(void)
{
    int t, i, rows;
    for (t = 0; t < run_on.tiers; t++)
        for (rows = 1; rows <= 40; rows += 39) {
            float qs[40], ks[2] = {0, -3e38f}, vs[2] = {1, 0}, out[40], bias[2] = {0, -3e38f};
            aiter_flash_attn_fwd_args a;
            memset(&a, 0, sizeof a);
            vs[1] = float_of_bits(0x7fc00000u);
            for (i = 0; i < 40; i++) qs[i] = 1;
            a.q = aiter_tensor_4d(qs, AITER_F32, 1, rows, 1, 1);
            a.kv.k = aiter_tensor_4d(ks, AITER_F32, 1, 2, 1, 1);
            a.kv.v = aiter_tensor_4d(vs, AITER_F32, 1, 2, 1, 1);
            a.out = aiter_tensor_4d(out, AITER_F32, 1, rows, 1, 1);
            a.score.bias = aiter_tensor_2d(bias, AITER_F32, 1, 2);
            CHECK(aiter_flash_attn_fwd(&a, run_on.one[t]) == AITER_OK, "%s", aiter_last_error());
            for (i = 0; i < rows; i++)
                CHECK(bits_of_float(out[i]) == 0x3f800000u, "%s, row %d of %d: not hidden",
                      aiter_isa_name(run_on.isa[t]), i, rows);
        }
}

static void change_named_values(attn_problem *p, double v)
{
    int64_t i;
    change_values(p, 5.4);
    for (i = 0; i < p->start_k[p->c.b] * p->c.hk * p->c.dv; i++)
        p->v[i] = problem_round(p->c.kv_type, v);
}

/* One thread and two, on every tier. */
static void threads_agree(const attn_case *c)
{
    attn_problem p;
    int t;
    problem_new(&p, c);
    change_zeros(&p, 1e-45);
    problem_expect(&p, 1e9);
    for (t = 0; t < run_on.tiers; t++) {
        aiter_context *two = test_context(run_on.isa[t], 2);
        output_bits a = problem_run(&p, run_on.one[t], SLACK_ZERO, 0, "one thread"), b;
        b = problem_run(&p, two, SLACK_ZERO, 0, "two threads");
        problem_compare(&p, "two threads");
        CHECK(bits_equal(&a, &b), "%s: zeros depend on threads", aiter_isa_name(run_on.isa[t]));
        free(a.data);
        free(b.data);
        aiter_context_destroy(two);
    }
    problem_free(&p);
}

static void all_named(void)
{
    attn_case c = shape_of(2, AITER_F32);
    named("softcap 1e-40, q 0", 0, 1, 0, 1e-40, log(3.0));
    named("softcap 1e-38, q 30, q.k 0", 30, 0, 0, 1e-38, log(3.0));
    named("softmax_scale 3e38", 2, 2e-38, 3e38, 0, 12 + log(3.0));
    sums_hide();
    c.scale = 1;
    extreme(&c, change_named_values, 1e35, 1);
    c = shape_of(5, AITER_F32);
    c.dq = 1;
    c.mask = AITER_MASK_CAUSAL;
    extreme(&c, change_zeros, 1e-45, 0);
    threads_agree(&c);
}

/* ---- every code of the narrow types, as V and as K ---- */

enum { CODES = 256, CODE_ROWS = 40 };

static void one_key(aiter_context *ctx, aiter_dtype type, int dim, const uint8_t *k,
                    const uint8_t *v, int first, int rows, float *out, float *lse)
{
    static float q[CODE_ROWS * CODES], one = 1;
    aiter_flash_attn_fwd_args a;
    int r;
    memset(&a, 0, sizeof a);
    memset(q, 0, sizeof q);
    for (r = 0; r < rows; r++) q[r * dim + (first + r) % dim] = 1024;
    a.q = aiter_tensor_4d(q, AITER_F32, 1, rows, 1, dim);
    a.kv.k = aiter_tensor_4d((void *)(uintptr_t)k, type, 1, 1, 1, dim);
    a.kv.v = aiter_tensor_4d((void *)(uintptr_t)v, type, 1, 1, 1, dim);
    if (type == AITER_I8 || type == AITER_I4)
        a.kv.k_scale = a.kv.v_scale = aiter_tensor_1d(&one, AITER_F32, 1);
    a.out = aiter_tensor_4d(out, AITER_F32, 1, rows, 1, dim);
    a.lse = aiter_tensor_3d(lse, AITER_F32, 1, 1, rows);
    a.score.softmax_scale = 1;
    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "%s", aiter_last_error());
}

static void codes_of(aiter_dtype type, int t, int rows, int dim)
{
    static float out[CODE_ROWS * CODES], lse[CODE_ROWS];
    static const uint8_t zeros_of_k[CODES] = {0};
    uint8_t codes[CODES];
    int i, r;
    for (i = 0; i < CODES; i++)
        codes[i] = (uint8_t)(type == AITER_I4 ? i * 2 | (i * 2 + 1) << 4 : i);
    for (i = 0; i < dim; i++) /* as K what is not finite would reach every score */
        if (is_nan(ref_load(type, codes, i)) || fabs(ref_load(type, codes, i)) > 1e9) codes[i] = 0;
    for (i = 0; i < dim; i += rows) {
        one_key(run_on.one[t], type, dim, codes, codes, i, rows, out, lse);
        for (r = 0; r < rows; r++) {
            const double score = 1024 * ref_load(type, codes, (i + r) % dim);
            CHECK(fabs(ref_load(AITER_F32, lse, r) - score) <= 1e-6 * (1 + fabs(score)),
                  "%s, %s, %d rows: code %d as K is %g", aiter_isa_name(run_on.isa[t]),
                  aiter_dtype_name(type), rows, (i + r) % dim, (double)lse[r] / 1024);
        }
    }
    for (i = 0; type != AITER_I4 && i < CODES; i++) codes[i] = (uint8_t)i;
    one_key(run_on.one[t], type, dim, zeros_of_k, codes, 0, rows, out, lse);
    for (i = 0; i < dim; i++) {
        const double value = ref_load(type, codes, i);
        CHECK(is_nan(value) ? is_nan(out[i]) : ref_load(AITER_F32, out, i) == value,
              "%s, %s, %d rows: code %d as V is %g, expected %g", aiter_isa_name(run_on.isa[t]),
              aiter_dtype_name(type), rows, i, (double)out[i], value);
    }
}

static void every_code(void)
{
    static const aiter_dtype narrow[] = {AITER_F8_E4M3FN, AITER_F8_E4M3FNUZ, AITER_F8_E5M2,
                                         AITER_I8, AITER_I4};
    int i, t;
    for (i = 0; i < COUNT(narrow); i++)
        for (t = 0; t < run_on.tiers; t++) {
            const int most = narrow[i] == AITER_I4 ? 16 : CODES;
            codes_of(narrow[i], t, 1, most);
            codes_of(narrow[i], t, 3, most - 9);
            codes_of(narrow[i], t, CODE_ROWS, most);
        }
}

int main(void)
{
    test_begin("extremes", 1e9);
    run_begin();
    seed_now = 1;
    test_say("seeds count from %d\n", (int)seed_now);
    all_named();
    every_code();
    scales();
    softcaps();
    tables();
    values();
    scores();
    weights();
    hidden();
    hidden_beside_gaps();
    zeros();
    test_say("%d problems\n", (int)seed_now - 1);
    run_end();
    return test_end();
}
