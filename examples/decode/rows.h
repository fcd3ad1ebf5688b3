/* rows.h -- the operations of a decoder on one row of activations, other than products and
 * attention. Their order of additions is fixed, so a row has the same bits wherever it stands. */
#ifndef DECODE_ROWS_H
#define DECODE_ROWS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* exp within 2 units in the last place, without a branch, so that compilers vectorise its loops. */
static inline float row_exp(float x)
{
    x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
    int32_t n = (int32_t)(x * 1.44269504f + (x < 0 ? -0.5f : 0.5f));
    float r = x - (float)n * 0.693359375f + (float)n * 2.12194440e-4f;
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r * r + r + 1.0f;
    uint32_t bits = (uint32_t)(n + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
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

/* gate = silu(gate) * up */
static inline void row_swiglu(float *gate, const float *up, int32_t n)
{
    for (int32_t i = 0; i < n; i++) gate[i] = gate[i] / (1.0f + row_exp(-gate[i])) * up[i];
}

/* Rotates the first `rotary` values of each head; table holds cos and sin of each pair. */
static inline void row_rope(float *x, const float *table, int32_t heads, int32_t dim,
                            int32_t rotary, int32_t halves)
{
    const int32_t step = halves ? 1 : 2, partner = halves ? rotary / 2 : 1;
    for (int32_t head = 0; head < heads; head++, x += dim) {
        for (int32_t i = 0; i < rotary / 2; i++) {
            float c = table[2 * i], s = table[2 * i + 1];
            float *a = &x[i * step], *b = a + partner, first = *a, second = *b;
            *a = first * c - second * s;
            *b = first * s + second * c;
        }
    }
}

#endif /* DECODE_ROWS_H */
