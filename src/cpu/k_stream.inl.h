/* k_stream.inl.h -- head_dim in the lanes: a few query rows against a stream of K and V rows.
 *
 * AITERI_DOT_KEYS x 4 accumulators take one converted load of each key for several query
 * rows; 4 x AITERI_AXPY_VECTORS keep a strip of the output in registers over a block of
 * keys. Every (row, key) score and every (row, dim) sum is one chain in ascending order, whatever
 * the grouping. The loads come from k_stream_types.inl.h, once per storage type. */

/* `bytes` of memory from p on. */
AITERI_FORCE_INLINE void AITERI_K(fetch)(const void *p, int32_t bytes)
{
    for (int32_t at = 0; at < bytes; at += AITERI_LINE) AITERI_PREFETCH((const char *)p + at);
}

/* Horizontal sums of acc[rows][AITERI_DOT_KEYS] into s, the same order for every one of them. */
AITERI_FORCE_INLINE void AITERI_K(store_sums)(float *s, int64_t s_stride, const AITERI_K(vf) * acc,
                                              const int rows)
{
    float sum[16];
    const int count = rows * AITERI_DOT_KEYS, last = count - 1;
#if AITERI_DOT_KEYS == 4
    if (count == 16) {
        AITERI_K(hsum16)(acc, sum);
    } else
#endif
    {
        AITERI_UNROLL(8)
        for (int i = 0; i < count; i += 4)
            AITERI_K(hsum4)(acc[i], acc[i + 1 < last ? i + 1 : last],
                            acc[i + 2 < last ? i + 2 : last], acc[i + 3 < last ? i + 3 : last],
                            sum + i);
    }
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++)
        memcpy(s + r * s_stride, sum + r * AITERI_DOT_KEYS, AITERI_DOT_KEYS * sizeof(float));
}

static float AITERI_K(stream_softmax)(float *s, float stretch, float *m, float *l)
{
    const AITERI_K(vf) minus_inf = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    AITERI_K(vf) top = minus_inf;
    for (int32_t i = 0; i < AITERI_STREAM_KEYS; i += AITERI_LANES)
        top = AITERI_K(max)(AITERI_K(load)(s + i), top);
    const float old = *m, block = AITERI_K(hmax)(top);
    const float raised = aiteri_select_f32(block > old, block, old);
    const float shift = aiteri_select_f32(raised > aiteri_f32_of_bits(0xff800000u), raised, 0.0f);
    AITERI_K(vf) sum = AITERI_K(zero)();
    for (int32_t i = 0; i < AITERI_STREAM_KEYS; i += AITERI_LANES) {
        const AITERI_K(vf) p =
            AITERI_K(weight)(AITERI_K(load)(s + i), AITERI_K(set1)(shift), stretch);
        sum = AITERI_K(add)(sum, p);
        AITERI_K(store)(s + i, p);
    }
    float factor = 1.0f;
    if (raised > old) {
        float lane[AITERI_LANES];
        AITERI_K(store)
        (lane, AITERI_K(weight)(AITERI_K(set1)(old), AITERI_K(set1)(raised), stretch));
        factor = lane[0];
    }
    *m = raised;
    *l = aiteri_rounded(*l * factor) + AITERI_K(hsum)(sum);
    return factor;
}

static void AITERI_K(stream_mul)(float *x, const float *y)
{
    for (int32_t i = 0; i < AITERI_STREAM_KEYS; i += AITERI_LANES)
        AITERI_K(store)(x + i, AITERI_K(mul)(AITERI_K(load)(x + i), AITERI_K(load)(y + i)));
}

#define AITERI_TYPE        f32
#define AITERI_TYPE_C      float
#define AITERI_TYPE_LOAD   AITERI_K(load)
#define AITERI_TYPE_LOAD_N AITERI_K(load_n)
#include "k_stream_types.inl.h"
#if AITERI_STREAM_TYPES && AITERI_HAS_DECODE /* else rows of other types are widened first */
#define AITERI_TYPE        f16
#define AITERI_TYPE_C      uint16_t
#define AITERI_TYPE_LOAD   AITERI_K(load_f16)
#define AITERI_TYPE_LOAD_N AITERI_K(load_f16_n)
#include "k_stream_types.inl.h"
#define AITERI_TYPE        bf16
#define AITERI_TYPE_C      uint16_t
#define AITERI_TYPE_LOAD   AITERI_K(load_bf16)
#define AITERI_TYPE_LOAD_N AITERI_K(load_bf16_n)
#include "k_stream_types.inl.h"
#define AITERI_TYPE        i8
#define AITERI_TYPE_C      int8_t
#define AITERI_TYPE_LOAD   AITERI_K(load_i8)
#define AITERI_TYPE_LOAD_N AITERI_K(load_i8_n)
#include "k_stream_types.inl.h"
#endif
