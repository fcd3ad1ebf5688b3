/* device_values.h -- values that are not finite and scores far from each other, in the shapes of
 * the plain kernels, the general ones and decoding: a row takes nothing from keys that it does not
 * see, and its weights neither overflow nor vanish, whatever came first. */
#ifndef AITER_TEST_DEVICE_VALUES_H
#define AITER_TEST_DEVICE_VALUES_H

#include "device_extremes.h"

static inline attn_case device_values_case(int sq, int sk, aiter_dtype type, uint64_t seed)
{
    attn_case c = device_extreme_case(1, type, seed);
    c.hq = 4;
    c.sq = sq;
    c.sk = sk;
    return c;
}

static inline void device_values_flash(aiter_dtype type)
{
    static const int lengths[][3] = {{140, 300, 1}, {130, 714, 1}, {140, 520, 3}, {70, 150, 2}};
    int i, mask;
    for (i = 0; i < 8; i++) {
        attn_case c =
            device_values_case(lengths[i % 4][0], lengths[i % 4][1], type, 1700 + (uint64_t)i);
        c.splits = lengths[i % 4][2];
        if (i >= 4) c.mask = AITER_MASK_WINDOW, c.left = i % 2 ? 90 : -1, c.right = i % 2;
        device_extreme(&c, change_not_finite, i, 0);
        c.scale = 1;
        device_extreme(&c, change_deep, -700, 0);
        if (i >= 4) continue;
        for (mask = AITER_MASK_NONE; mask <= AITER_MASK_CAUSAL; mask++) {
            c.mask = (aiter_mask)mask;
            device_extreme(&c, change_high_peak, 95, 0);
        }
    }
}

/* Tokens of a step see the edge of a block differently; a wave may have the only high score. */
static inline void device_values_decode(aiter_dtype type, aiter_dtype kv)
{
    static const int lengths[] = {160, 97, 706, 700, 322, 77};
    int i;
    for (i = 0; i < 6; i++) {
        attn_case c = device_values_case(i % 4 == 3 ? 1 : 4, lengths[i], type, 1720 + (uint64_t)i);
        c.op = OP_DECODE;
        c.form = FORM_PAGED;
        c.kv_type = kv;
        c.scale_kind = type_is_fp8(kv) ? AITER_SCALE_BY_SHAPE : AITER_SCALE_PER_TOKEN_HEAD;
        c.hq = 8;
        c.hk = 2;
        c.mask = AITER_MASK_CAUSAL;
        c.splits = 1 + (i == 1);
        device_case(&c);
        if (type_is_integer(kv)) { /* nobody wrote the scales of keys that the window hides */
            c.mask = AITER_MASK_WINDOW;
            c.left = 40 + i;
            c.sink_tokens = 3 + i;
            device_case(&c);
            continue;
        }
        device_extreme(&c, change_not_finite, i, 0);
        c.scale = 1;
        device_extreme(&c, change_deep, -700, 0);
        device_extreme(&c, change_high_peak, 95, 0);
    }
}

static inline void device_values(aiter_dtype type)
{
    device_values_flash(type);
    device_values_decode(type, type);
    device_values_decode(type, AITER_I8);
}

#endif /* AITER_TEST_DEVICE_VALUES_H */
