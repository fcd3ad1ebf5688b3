/* cache_mode.h -- the ways in which aiter_reshape_and_cache stores, as a number to count through.
 */
#ifndef AITER_TEST_CACHE_MODE_H
#define AITER_TEST_CACHE_MODE_H

typedef enum cache_mode {
    CACHE_CONVERTS = 0,
    CACHE_SCALE_GIVEN,
    CACHE_SCALE_COMPUTED,
    CACHE_MODES
} cache_mode;

static inline aiter_quantisation cache_quantisation(int mode)
{
    aiter_quantisation q;
    memset(&q, 0, sizeof q);
    if (mode != CACHE_CONVERTS) q.to = AITER_I8;
    q.scale_given = mode == CACHE_SCALE_GIVEN;
    return q;
}

#endif /* AITER_TEST_CACHE_MODE_H */
