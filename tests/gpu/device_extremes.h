/* device_extremes.h -- scalars over their whole range, scores and values to the end of f32, keys
 * that a bias hides and zeros, on a device: tests/test_extremes.c has the same on the CPU. */
#ifndef AITER_TEST_DEVICE_EXTREMES_H
#define AITER_TEST_DEVICE_EXTREMES_H

#include "device_run.h"
#include "../extreme_values.h"

static inline void device_extreme(const attn_case *c, change_fn change, double x, int exact)
{
    attn_problem p;
    problem_new(&p, c);
    change(&p, x);
    problem_expect(&p, 1e9);
    if (exact) forgive_nothing(&p);
    device_rounds(p.c.q_type);
    if (device_run(&p, SLACK_NAN, 1) == AITER_OK) problem_compare(&p, "device");
    problem_free(&p);
}

/* Flash, in a plain kernel's shape or not, in pieces or not, and decoding from pages. */
static inline attn_case device_extreme_case(int i, aiter_dtype type, uint64_t seed)
{
    attn_case c;
    memset(&c, 0, sizeof c);
    c.b = 1;
    c.hq = 2;
    c.hk = 1;
    c.q_type = type;
    c.seed = seed;
    c.core = 1;
    c.page = 16;
    c.sq = i % 4 == 3 ? 1 : 40;
    c.sk = 150;
    c.dq = i % 2 ? 128 : 64;
    c.form = i % 4 == 3 ? FORM_PAGED : FORM_DENSE;
    c.mask = i % 3 == 1 ? AITER_MASK_CAUSAL : AITER_MASK_NONE;
    c.splits = i % 4 == 2 ? 2 : 1;
    return c;
}
enum { DEVICE_EXTREMES = 4 };

static inline void device_extreme_scalars(aiter_dtype type, int i)
{
    static const int scale[] = {-140, -126, -60, 3, 100, 126, 127};
    static const double cap[] = {1e-40, 1e-38, 1e-12, 1e6, 1e20, 1e38, FLT_TOP};
    static const double slope[] = {FLT_TOP, 1e30, -1e38};
    size_t n;
    for (n = 0; n < sizeof scale / sizeof scale[0] && type == AITER_BF16; n++) {
        attn_case c = device_extreme_case(i, type, 1100 + n);
        c.scale = ldexp(1.0, scale[n]);
        device_extreme(&c, change_scale, scale[n], 1);
    }
    for (n = 0; n < sizeof cap / sizeof cap[0]; n++) {
        attn_case c = device_extreme_case(i, type, 1200 + n);
        c.softcap = cap[n];
        device_extreme(&c, change_unit, 0, 0);
    }
    for (n = 0; n < sizeof slope / sizeof slope[0]; n++) {
        attn_case c = device_extreme_case(i, type, 1300 + n);
        c.alibi = 1;
        c.mask = AITER_MASK_CAUSAL;
        c.no_lse = slope[n] < 0;
        device_extreme(&c, change_slopes, slope[n], 1);
        c = device_extreme_case(i, type, 1310 + n);
        c.sinks = 1;
        device_extreme(&c, change_sinks, slope[n], 0);
    }
}

static inline void device_extreme_values(aiter_dtype type, int i)
{
    static const double step[] = {0, 5.4, 5.6, 20, 90, -12, -90};
    static const int size[] = {10, 20, 26, 30, 34, 60, 100, 120};
    size_t n;
    for (n = 0; n < sizeof step / sizeof step[0] && type == AITER_BF16; n++) {
        attn_case c = device_extreme_case(i, type, 1400 + n);
        c.scale = 1;
        device_extreme(&c, change_values, step[n], 1);
    }
    for (n = 0; n < sizeof size / sizeof size[0]; n++) {
        attn_case c = device_extreme_case(i, type, 1500 + n);
        const int in_scale = type == AITER_F16 ? size[n] - 10 : 0;
        c.scale = ldexp(1.0, in_scale);
        device_extreme(&c, change_scores, ldexp(1.0, size[n] - in_scale), 1);
        device_extreme(&c, change_scores, -ldexp(1.0, size[n] - in_scale), 1);
    }
}

static inline void device_extreme_rest(aiter_dtype type, int i)
{
    static const double tiny[] = {1e-45, 2e-8, 1e-40};
    static const int scale[] = {-100, 60, 110};
    size_t n;
    for (n = 0; n < sizeof tiny / sizeof tiny[0]; n++) {
        attn_case c = device_extreme_case(i, type, 1600 + n);
        c.mask = AITER_MASK_CAUSAL;
        device_extreme(&c, change_zeros, tiny[n], 0);
        c = device_extreme_case(i, type, 1610 + n);
        c.bias = BIAS_SQ_SK;
        c.bias_holes = 3;
        device_extreme(&c, change_hidden, (double)n, 0);
        c = device_extreme_case(3, type, 1620 + n);
        c.kv_type = AITER_I8;
        c.scale = 1;
        c.scale_kind = (aiter_scale_kind)(1 + n);
        if (type == AITER_BF16) device_extreme(&c, change_int8, scale[n], 0);
    }
}

static inline void device_extremes(aiter_dtype type)
{
    int i;
    for (i = 0; i < DEVICE_EXTREMES; i++) {
        device_extreme_scalars(type, i);
        device_extreme_values(type, i);
        device_extreme_rest(type, i);
    }
}

#endif /* AITER_TEST_DEVICE_EXTREMES_H */
