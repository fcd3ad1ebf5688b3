/* k_rows.inl.h -- what every op does to a row of f32: scale it, finish it, add it to another, turn
 * it. */

static void AITERI_K(row_scale)(float *o, int32_t dim, float factor)
{
    AITERI_ASSERT(dim > 0 && dim % AITERI_PAD == 0);
    for (int32_t d = 0; d < dim; d += AITERI_LANES)
        AITERI_K(store)(o + d, AITERI_K(mul)(AITERI_K(load)(o + d), AITERI_K(set1)(factor)));
}

/* By bits: no comparison of floats tells -0 from 0. */
static void AITERI_K(row_finish)(float *o, int32_t dim, float factor, int32_t least)
{
    for (int32_t d = 0; d < dim; d += AITERI_LANES) {
        const AITERI_K(vf) x = AITERI_K(mul)(AITERI_K(load)(o + d), AITERI_K(set1)(factor));
        const AITERI_K(vm) seen =
            AITERI_K(lt_i)(AITERI_K(set1_i)(least), AITERI_K(magnitude_bits)(x));
        AITERI_K(store)(o + d, AITERI_K(keep)(seen, x));
    }
}

static void AITERI_K(row_add_scaled)(float *o, const float *x, int32_t dim, float factor)
{
    for (int32_t d = 0; d < dim; d += AITERI_LANES)
        AITERI_K(store)(o + d, AITERI_K(fma)(AITERI_K(set1)(factor), AITERI_K(load)(x + d),
                                             AITERI_K(load)(o + d)));
}

static void AITERI_K(row_divide)(float *o, int32_t n, float divisor)
{
    int32_t i = 0;
    for (; i + AITERI_LANES <= n; i += AITERI_LANES)
        AITERI_K(store)(o + i, AITERI_K(div)(AITERI_K(load)(o + i), AITERI_K(set1)(divisor)));
    for (; i < n; i++) o[i] /= divisor;
}

/* By bits: as integers magnitudes are in order, and NaN is above them all. */
static float AITERI_K(row_amax)(const float *x, int32_t n)
{
    AITERI_K(vi) top = AITERI_K(set1_i)(0);
    float lane[AITERI_LANES];
    uint32_t most = 0;
    int32_t i = 0;
    for (; i + AITERI_LANES <= n; i += AITERI_LANES) {
        const AITERI_K(vi) a = AITERI_K(magnitude_bits)(AITERI_K(load)(x + i));
        top = AITERI_K(select_i)(AITERI_K(lt_i)(top, a), a, top);
    }
    AITERI_K(store)(lane, AITERI_K(as_f)(top));
    for (int32_t k = 0; k < AITERI_LANES; k++) most = aiteri_larger_magnitude(most, lane[k]);
    for (; i < n; i++) most = aiteri_larger_magnitude(most, x[i]);
    return aiteri_f32_of_bits(most > 0x7f800000u ? 0x7fc00000u : most);
}

#if AITERI_HAS_ROPE
/* The sum of products is rounded in each of its steps: the bits of every set are the same. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(turned)(AITERI_K(vf) x, AITERI_K(vf) c, AITERI_K(vf) partner, AITERI_K(vf) s)
{
    return AITERI_K(add)(AITERI_K(mul)(x, c), AITERI_K(mul)(partner, s));
}

static void AITERI_K(row_turn)(float *y, const float *x, const float *partner, const float *c,
                               const float *s, int32_t n)
{
    int32_t i = 0;
    for (; i + AITERI_LANES <= n; i += AITERI_LANES)
        AITERI_K(store)(y + i,
                        AITERI_K(turned)(AITERI_K(load)(x + i), AITERI_K(load)(c + i),
                                         AITERI_K(load)(partner + i), AITERI_K(load)(s + i)));
    const int rest = (int)(n - i);
    if (rest > 0)
        AITERI_K(store_n)(
            y + i,
            AITERI_K(turned)(AITERI_K(load_n)(x + i, rest), AITERI_K(load_n)(c + i, rest),
                             AITERI_K(load_n)(partner + i, rest), AITERI_K(load_n)(s + i, rest)),
            rest);
}
#endif
