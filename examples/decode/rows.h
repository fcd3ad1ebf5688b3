/* rows.h -- the operations of a decoder on one row of activations, other than products and
 * attention. Their order of additions is fixed, so a row has the same bits wherever it stands. */
#ifndef DECODE_ROWS_H
#define DECODE_ROWS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef float row_f4 __attribute__((vector_size(16)));
typedef int32_t row_i4 __attribute__((vector_size(16)));

static inline row_f4 row_all(float x) { return (row_f4){x, x, x, x}; }

static inline row_f4 row_choose(row_i4 mask, row_f4 yes, row_f4 no)
{
    return (row_f4)((mask & (row_i4)yes) | (~mask & (row_i4)no));
}

/* exp within 4 units in the last place; arguments beyond -87 and 88 count as these. */
static inline row_f4 row_exp(row_f4 x)
{
    x = row_choose(x < row_all(-87.0f), row_all(-87.0f), x);
    x = row_choose(x > row_all(88.0f), row_all(88.0f), x);
    row_f4 half = row_choose(x < row_all(0.0f), row_all(-0.5f), row_all(0.5f));
    row_i4 n = __builtin_convertvector(x * 1.44269504f + half, row_i4);
    row_f4 whole = __builtin_convertvector(n, row_f4);
    row_f4 r = x - whole * 0.693359375f + whole * 2.12194440e-4f;
    row_f4 p = row_all(1.0f / 5040);
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r * r + r + 1.0f;
    return p * (row_f4)((n + 127) << 23);
}

/* y = x / sqrt(mean(x^2) + eps) * weight. The sum has eight fixed lanes. */
static inline void row_norm(const float *x, const float *weight, float eps, int32_t n, float *y)
{
    double lanes[8] = {0}, sum = 0;
    int32_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int j = 0; j < 8; j++) lanes[j] += (double)x[i + j] * x[i + j];
    for (; i < n; i++) lanes[0] += (double)x[i] * x[i];
    for (int j = 0; j < 8; j++) sum += lanes[j];
    float scale = (float)(1.0 / sqrt(sum / n + (double)eps));
    for (i = 0; i < n; i++) y[i] = x[i] * scale * weight[i];
}

static inline void row_add(float *x, const float *y, int32_t n)
{
    for (int32_t i = 0; i < n; i++) x[i] += y[i];
}

static inline void row_swiglu_some(float *gate, const float *up, size_t bytes)
{
    row_f4 g = {0}, u = {0};
    memcpy(&g, gate, bytes);
    memcpy(&u, up, bytes);
    g = g / (1.0f + row_exp(-g)) * u;
    memcpy(gate, &g, bytes);
}

/* gate = silu(gate) * up */
static inline void row_swiglu(float *gate, const float *up, int32_t n)
{
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) row_swiglu_some(gate + i, up + i, 4 * sizeof *gate);
    if (i < n) row_swiglu_some(gate + i, up + i, (size_t)(n - i) * sizeof *gate);
}

#endif /* DECODE_ROWS_H */
