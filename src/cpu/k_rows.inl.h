/* k_rows.inl.h -- what every op does to a row of f32: scale it, finish it, add it to another. */

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

static float AITERI_K(row_amax)(const float *x, int32_t n)
{
    AITERI_K(vf) top = AITERI_K(zero)();
    int32_t i = 0;
    for (; i + AITERI_LANES <= n; i += AITERI_LANES)
        top = AITERI_K(max)(AITERI_K(abs)(AITERI_K(load)(x + i)), top);
    float amax = AITERI_K(hmax)(top);
    for (; i < n; i++) {
        const float a = aiteri_f32_of_bits(aiteri_bits_of_f32(x[i]) & 0x7fffffffu);
        if (a > amax) amax = a;
    }
    return amax;
}
