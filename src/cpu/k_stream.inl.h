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

static void AITERI_K(spread_i4)(char *dst, int64_t stride, const void **rows, int32_t n,
                                int32_t dim)
{
    for (int32_t i = 0; i < n; i++, dst += stride) {
        AITERI_K(spread_row)((int8_t *)dst, (const uint8_t *)rows[i], dim);
        rows[i] = dst;
    }
}

/* Rows of fp8 to rows of f16, column by column of AITERI_F8_CODES; the last goes through a copy. */
AITERI_FORCE_INLINE void AITERI_K(spread_f8)(char *dst, int64_t stride, const void **rows,
                                             int32_t n, int32_t dim, const aiter_dtype type)
{
    int32_t d = 0;
    for (; d + AITERI_F8_CODES <= dim; d += AITERI_F8_CODES)
        for (int32_t i = 0; i < n; i++)
            AITERI_K(f16_of_f8)(dst + i * stride + 2 * d, (const uint8_t *)rows[i] + d, type);
    for (int32_t i = 0; i < n; i++) {
        char *to = dst + i * stride;
        if (d < dim) {
            uint8_t tail[AITERI_F8_CODES] = {0}, wide[2 * AITERI_F8_CODES];
            memcpy(tail, (const uint8_t *)rows[i] + d, (size_t)(dim - d));
            AITERI_K(f16_of_f8)(wide, tail, type);
            memcpy(to + 2 * d, wide, 2 * (size_t)(dim - d));
        }
        rows[i] = to;
    }
}
#define AITERI_SPREAD_F8(name, type)                                                    \
    static void AITERI_K(name)(char *dst, int64_t stride, const void **rows, int32_t n, \
                               int32_t dim)                                             \
    {                                                                                   \
        AITERI_K(spread_f8)(dst, stride, rows, n, dim, type);                           \
    }
AITERI_SPREAD_F8(spread_f8_e4m3fn, AITER_F8_E4M3FN)
AITERI_SPREAD_F8(spread_f8_e4m3fnuz, AITER_F8_E4M3FNUZ)
AITERI_SPREAD_F8(spread_f8_e5m2, AITER_F8_E5M2)
#undef AITERI_SPREAD_F8
#endif
