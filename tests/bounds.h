/* bounds.h -- how far f32 arithmetic in any order may be from the oracle. Nothing here is fitted to
 * what the library happens to do: each term is one rounding that any f32 implementation makes.
 *
 * u = 2^-24. A sum of n products in any order is off by at most n u times the sum of magnitudes;
 * for independent roundings 8 sqrt(n) u holds with probability 1 - 2 exp(-32) (Higham and Mary
 * 2019), so gamma(n) = min(n, 8 sqrt n) u. With A = scale * sum |q_d k_d| the largest over the
 * row's visible keys, T the largest |term| that is added on the way, N the visible keys: score t E
 * = gamma(D + 4) A + 8 u c + 8 u T   dot, scale, descale; tanh; adds, log2 e p = exp(t - m) E +
 * gamma(2 + N / 64) + 4 u           exp, one rescale per tile of keys out = sum p v / sum p 2
 * (relative error of p + gamma(N)) sum P|v| lse the same without v, + 4 u |lse| + 4 u and where the
 * relative error is no longer small, out stays a mean of values: 2 max |v|. Flushed subnormals add
 * N 2^-126 max(1, |v|). Then half a unit of the output's last place. */
#ifndef AITER_TEST_BOUNDS_H
#define AITER_TEST_BOUNDS_H

#include <math.h>

#define BOUND_U     5.9604644775390625e-8  /* 2^-24 */
#define BOUND_FLUSH 1.1754943508222875e-38 /* 2^-126 */

static inline double bound_gamma(double n)
{
    double likely = 8 * sqrt(n);
    return (n < likely ? n : likely) * BOUND_U;
}

/* Relative error of one softmax weight before normalisation. */
static inline double bound_weight(const ref_facts *f, int64_t dq, double softcap)
{
    double score = bound_gamma((double)dq + 4) * f->max_dot + 8 * BOUND_U * softcap +
                   8 * BOUND_U * f->max_term + (double)dq * BOUND_FLUSH;
    return score + bound_gamma(2 + (double)f->visible / 64) + 4 * BOUND_U;
}

/* Half a unit in the last place of x as dtype stores it. */
static inline double bound_rounding(aiter_dtype dtype, double x)
{
    double relative = dtype == AITER_BF16                                      ? 1.0 / 256
                      : dtype == AITER_F16                                     ? 1.0 / 2048
                      : dtype == AITER_F8_E5M2                                 ? 1.0 / 8
                      : dtype == AITER_F8_E4M3FN || dtype == AITER_F8_E4M3FNUZ ? 1.0 / 16
                                                                               : BOUND_U;
    double least = dtype == AITER_F16           ? 1.0 / 33554432
                   : dtype == AITER_F8_E4M3FN   ? 1.0 / 1024
                   : dtype == AITER_F8_E4M3FNUZ ? 1.0 / 2048
                   : dtype == AITER_F8_E5M2     ? 1.0 / 131072
                                                : BOUND_FLUSH;
    x = fabs(x) * relative;
    return x > least ? x : least;
}

static inline double bound_out(const ref_facts *f, int64_t dq, double softcap, aiter_dtype dtype,
                               double out, double abs_out)
{
    double relative = 2 * (bound_weight(f, dq, softcap) + bound_gamma((double)f->visible + 2));
    double big = f->max_abs_v > 1 ? f->max_abs_v : 1, error = relative * abs_out;
    if (error > 2 * f->max_abs_v) error = 2 * f->max_abs_v;
    error += (double)(f->visible + 2) * BOUND_FLUSH * big;
    return error + bound_rounding(dtype, fabs(out) + error);
}

static inline double bound_lse(const ref_facts *f, int64_t dq, double softcap, double lse)
{
    return bound_weight(f, dq, softcap) + bound_gamma((double)f->visible + 2) +
           4 * BOUND_U * fabs(lse) + 4 * BOUND_U;
}

#endif /* AITER_TEST_BOUNDS_H */
