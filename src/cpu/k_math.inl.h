/* k_math.inl.h -- exp2 and tanh of a vector and rounding stores to bfloat16, written once over the
 * vector layer. */

/* 2^x times `unit`, a constant power of two that costs nothing; 2^least * unit is the smallest
 * normal number. Error below 0.8 ulp (1.1 without FMA); exact at integers; x < least gives an exact
 * zero, never a subnormal, which would slow every operation after it; 128 and above give infinity
 * if unit is 1; NaN stays NaN. 2^x = 2^n 2^f with |f| <= 1/2 and a minimax polynomial for 2^f that
 * is exact at 0. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(exp2_unit)(AITERI_K(vf) x, const float unit, const float least)
{
    const AITERI_K(vm) live = AITERI_K(nlt)(x, AITERI_K(set1)(least));
    x = AITERI_K(min)(AITERI_K(set1)(128.0f), x);
    const AITERI_K(vf) n = AITERI_K(round)(x);
    const AITERI_K(vf) f = AITERI_K(sub)(x, n);
    AITERI_K(vf) p = AITERI_K(set1)(1.53264686e-4f * unit);
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(1.33908063e-3f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(9.61850584e-3f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(5.55035993e-2f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(0.240226477f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(0.693147182f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(unit));
    return AITERI_K(keep)(live, AITERI_K(scale2)(p, n));
}

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(exp2)(AITERI_K(vf) x)
{
    return AITERI_K(exp2_unit)(x, 1.0f, -126.0f);
}

/* tanh(x), relative error below 2 ulp everywhere: an odd polynomial near zero, where the other form
 * would cancel, and 1 - 2 / (e^2|x| + 1) beyond. */
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(tanh)(AITERI_K(vf) x)
{
    const AITERI_K(vf) one = AITERI_K(set1)(1.0f);
    const AITERI_K(vf) a = AITERI_K(abs)(x);
    const AITERI_K(vf) u = AITERI_K(mul)(a, a);
    AITERI_K(vf) p = AITERI_K(set1)(-5.6922962e-3f);
    p = AITERI_K(fma)(p, u, AITERI_K(set1)(2.06281673e-2f));
    p = AITERI_K(fma)(p, u, AITERI_K(set1)(-5.37365153e-2f));
    p = AITERI_K(fma)(p, u, AITERI_K(set1)(0.133314058f));
    p = AITERI_K(fma)(p, u, AITERI_K(set1)(-0.333332807f));
    p = AITERI_K(fma)(AITERI_K(mul)(p, u), a, a);
    const AITERI_K(vf) y =
        AITERI_K(mul)(AITERI_K(min)(AITERI_K(set1)(10.0f), a), AITERI_K(set1)(2.88539008f));
    const AITERI_K(vf) e = AITERI_K(add)(AITERI_K(exp2)(y), one);
    const AITERI_K(vf) big = AITERI_K(sub)(one, AITERI_K(div)(AITERI_K(set1)(2.0f), e));
    const AITERI_K(vm) near_zero = AITERI_K(lt)(a, AITERI_K(set1)(0.625f));
    return AITERI_K(copysign)(AITERI_K(select)(near_zero, p, big), x);
}

/* A score under a softcap. */
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(capped)(AITERI_K(vf) x, const aiteri_softcap *softcap)
{
    const AITERI_K(vf) cap = AITERI_K(set1)(softcap->cap);
    AITERI_K(vf) share = x;
    if (softcap->wide)
        share = AITERI_K(mul)(AITERI_K(mul)(x, AITERI_K(set1)(softcap->before)),
                              AITERI_K(set1)(softcap->inverse));
    const AITERI_K(vf) y = AITERI_K(mul)(cap, AITERI_K(tanh)(share));
    if (!softcap->wide) return y;
    const AITERI_K(vm) unseen =
        AITERI_K(lt)(AITERI_K(abs)(share), AITERI_K(set1)(1.220703125e-4f)); /* 2^-13 */
    return AITERI_K(select)(unseen, x, y);
}

/* Bits of x as bfloat16: to nearest even, overflow to infinity, NaN kept and made quiet. */
AITERI_FORCE_INLINE AITERI_K(vi) AITERI_K(bf16_bits)(AITERI_K(vf) x)
{
    const AITERI_K(vi) u = AITERI_K(as_i)(x);
    const AITERI_K(vi) high = AITERI_K(shr_i)(u, 16);
    const AITERI_K(vi) odd = AITERI_K(and_i)(high, AITERI_K(set1_i)(1));
    const AITERI_K(vi) up = AITERI_K(add_i)(AITERI_K(add_i)(u, AITERI_K(set1_i)(0x7fff)), odd);
    const AITERI_K(vm) nan = AITERI_K(lt_i)(AITERI_K(set1_i)(0x7f800000),
                                            AITERI_K(and_i)(u, AITERI_K(set1_i)(0x7fffffff)));
    return AITERI_K(select_i)(nan, AITERI_K(or_i)(high, AITERI_K(set1_i)(0x40)),
                              AITERI_K(shr_i)(up, 16));
}

AITERI_FORCE_INLINE void AITERI_K(store_bf16)(uint16_t *p, AITERI_K(vf) x)
{
    AITERI_K(store_x16)(p, AITERI_K(bf16_bits)(x));
}

AITERI_FORCE_INLINE void AITERI_K(store_bf16_n)(uint16_t *p, AITERI_K(vf) x, int n)
{
    AITERI_K(store_x16_n)(p, AITERI_K(bf16_bits)(x), n);
}
