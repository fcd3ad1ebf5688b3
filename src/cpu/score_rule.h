/* score_rule.h -- how softmax_scale and softcap reach the scores, for every finite value of both.
 *
 * The scale goes to the query rows, as the part of it that makes no row larger; a power of two is
 * left for the scores, which takes no bit from them: it is 1 for scales from 2^-40 to 1. Where
 * nothing is added to the scores it stays away from them too, and multiplies their differences in
 * the softmax: no product of q and k that is finite is then out of reach of a scale. */
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

static aiteri_score_rule aiteri_score_rule_of(const aiteri_problem *p)
{
    const double usual = 1099511627776.0, scale = aiteri_double_of_f32(p->softmax_scale); /* 2^40 */
    const int natural = p->softcap > 0.0f || p->bias.data || p->alibi_slopes;
    aiteri_score_rule r = {1.0f, 1.0f, 1.0f, {p->softcap, 1.0f, 1.0f, 0}};
    double factor = scale;
    int n = 0;
    if (p->softcap > 0.0f) {
        const double cap = p->softcap;
        r.softcap.wide = cap > usual || scale / cap > usual;
        if (cap > usual) r.softcap.before = aiteri_power_of_two(-64);
        r.softcap.inverse = (float)(1.0 / cap / (double)r.softcap.before);
        if (!r.softcap.wide) factor = scale / cap;
    }
    if (factor > 1.0 || factor * usual < 1.0) frexp(factor, &n);
    n = (int)aiteri_clamp(n, -125, 127);
    r.query = (float)ldexp(factor, -n);
    if (natural)
        r.score = aiteri_power_of_two(n);
    else
        r.softmax = aiteri_power_of_two(n);
    return r;
}

#endif /* AITERI_SCORE_RULE_H */
