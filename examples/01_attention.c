/* 01_attention.c -- the first call: causal attention with grouped heads, checked against a plain
 * loop.
 *
 *     cc -std=c99 -O2 examples/01_attention.c -o attention -lm -lpthread && ./attention
 */
#define AITER_ATTN_IMPLEMENTATION
#include "../aiter_attn.h"
#include <math.h>
#include <stdio.h>

enum { B = 2, S = 100, HQ = 8, HK = 2, D = 64 };

static float q[B * S * HQ * D], k[B * S * HK * D], v[B * S * HK * D];
static float out[B * S * HQ * D], lse[B * HQ * S];

static void fill(float *x, size_t count, unsigned seed)
{
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    }
}

/* The larger of the two; a NaN counts as infinite, so it cannot hide. */
static double worse(double worst, double difference)
{
    return difference <= worst ? worst : difference > worst ? difference : INFINITY;
}

/* One output row as the formula says it, in double. Returns the largest difference from the
 * library's row, the one in the log-sum-exp included. */
static double check_row(int b, int i, int h)
{
    const float *query = q + ((b * S + i) * HQ + h) * D, *result = out + ((b * S + i) * HQ + h) * D;
    int group = h / (HQ / HK); /* HQ / HK query heads share one kv head */
    double p[S], sum = 0, sums[D] = {0}, worst;
    for (int j = 0; j <= i; j++) { /* causal: key j is visible up to the query's own position */
        const float *key = k + ((b * S + j) * HK + group) * D;
        const float *value = v + ((b * S + j) * HK + group) * D;
        double dot = 0;
        for (int d = 0; d < D; d++) dot += (double)query[d] * key[d];
        p[j] = exp(dot / sqrt(D));
        sum += p[j];
        for (int d = 0; d < D; d++) sums[d] += p[j] * value[d];
    }
    worst = fabs(log(sum) - lse[(b * HQ + h) * S + i]);
    for (int d = 0; d < D; d++) worst = worse(worst, fabs(sums[d] / sum - result[d]));
    return worst;
}

int main(void)
{
    fill(q, sizeof q / sizeof *q, 1);
    fill(k, sizeof k / sizeof *k, 2);
    fill(v, sizeof v / sizeof *v, 3);

    aiter_flash_attn_fwd_args a = {
        .q = aiter_tensor_4d(q, AITER_F32, B, S, HQ, D),
        .kv.k = aiter_tensor_4d(k, AITER_F32, B, S, HK, D),
        .kv.v = aiter_tensor_4d(v, AITER_F32, B, S, HK, D),
        .out = aiter_tensor_4d(out, AITER_F32, B, S, HQ, D),
        .lse = aiter_tensor_3d(lse, AITER_F32, B, HQ, S), /* optional: asked for by passing it */
        .score.mask = AITER_MASK_CAUSAL,
    };
    if (aiter_flash_attn_fwd(&a, NULL) != AITER_OK) { /* NULL: this thread, nothing to set up */
        puts(aiter_last_error());
        return 1;
    }

    double worst = 0;
    for (int b = 0; b < B; b++) {
        for (int i = 0; i < S; i++) {
            for (int h = 0; h < HQ; h++) worst = worse(worst, check_row(b, i, h));
        }
    }
    printf("out[0][5][0][0..3] = %.5f %.5f %.5f %.5f\n", out[5 * HQ * D], out[5 * HQ * D + 1],
           out[5 * HQ * D + 2], out[5 * HQ * D + 3]);
    printf("largest difference from the plain loop: %.1e\n", worst);

    /* What ran it, and at what cost: asked without a run, from the shapes alone. */
    char text[1024];
    if (aiter_flash_attn_fwd_explain(&a, NULL, text, sizeof text) != AITER_OK) return 1;
    printf("%s", text);

    /* Errors are values, with a text that names the field. */
    a.kv.k.shape[2] = 3;
    if (aiter_flash_attn_fwd(&a, NULL) == AITER_OK) return 1;
    printf("8 query heads over 3 kv heads: %s\n", aiter_last_error());
    return worst < 2e-6 ? 0 : 1;
}
