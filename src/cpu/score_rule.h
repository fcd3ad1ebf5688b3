/* score_rule.h -- how softmax_scale and softcap reach the scores, for every finite value of both.
 *
 * A scale from 2^-40 to 1 goes to the query rows. A larger one would take bits from subnormal
 * queries, or make a row too large: it is left for the scores, but for a 2 that keeps scale / ln 2
 * finite. Of a smaller one the rows take the mantissa. Where nothing is added to the scores the
 * rest stays away from them too, and multiplies their differences in the softmax: no product of q
 * and k that is finite is then out of reach of a scale. */
#ifndef AITERI_SCORE_RULE_H
#define AITERI_SCORE_RULE_H

#include "../plan/problem.h"

/* cap * tanh(x / cap). The scores arrive divided, or, wide, as they are: they are divided in two
 * steps then, and those that the cap cannot be seen in stay. */
typedef struct aiteri_softcap {
    float cap, before, inverse; /* before * inverse = 1 / cap */
    int wide;
} aiteri_softcap;

typedef struct aiteri_score_rule {
    float query;   /* factor of the query rows */
    float score;   /* of a score, before softcap, bias and ALiBi */
    float softmax; /* of a difference of scores; this or `score` is 1 */
    aiteri_softcap softcap;
} aiteri_score_rule;

/* Exact, also where the caller's flags make a subnormal float 0. */
AITERI_FORCE_INLINE double aiteri_double_of_f32(float x)
{
    const uint32_t bits = aiteri_bits_of_f32(x);
    return bits < 0x00800000u ? ldexp((double)bits, -149) : (double)x;
}

/* 2^n of a normal float. */
AITERI_FORCE_INLINE float aiteri_power_of_two(int n)
{
    return aiteri_f32_of_bits((uint32_t)(n + 127) << 23);
}

AITERI_UNUSED static aiteri_score_rule aiteri_score_rule_of(const aiteri_problem *p)
{
    const double usual = 1099511627776.0, scale = aiteri_double_of_f32(p->softmax_scale); /* 2^40 */
    const int natural = p->softcap > 0.0f || p->bias.data || p->alibi_slopes;
    aiteri_score_rule r = {1.0f, 1.0f, 1.0f, {p->softcap, 1.0f, 1.0f, 0}};
    double factor = scale;
    float rest = 1.0f;
    int n;
    if (p->softcap > 0.0f) {
        const double cap = p->softcap;
        r.softcap.wide = cap > usual || scale / cap > usual;
        if (cap > usual) r.softcap.before = aiteri_power_of_two(-64);
        r.softcap.inverse = (float)(1.0 / cap / (double)r.softcap.before);
        if (!r.softcap.wide) factor = scale / cap;
    }
    if (factor > 1.0) {
        r.query = factor < 1.7e38 ? 1.0f : 2.0f; /* below 2^127 */
        rest = (float)(factor / (double)r.query);
    } else if (factor * usual < 1.0) {
        frexp(factor, &n);
        n = n < -125 ? -125 : n;
        rest = aiteri_power_of_two(n);
        r.query = (float)ldexp(factor, -n);
    } else
        r.query = (float)factor;
    if (natural)
        r.score = rest;
    else
        r.softmax = rest;
    return r;
}

#endif /* AITERI_SCORE_RULE_H */
