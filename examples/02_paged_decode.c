/* 02_paged_decode.c -- a decode loop over a paged cache: each step writes the new token's K and V
 * into its page, then attends over all tokens so far. Checked against dense attention.
 *
 *     cc -std=c99 -O2 examples/02_paged_decode.c -o paged_decode -lm -lpthread && ./paged_decode
 */
#define AITER_ATTN_IMPLEMENTATION
#include "../aiter_attn.h"
#include <math.h>
#include <stdio.h>

enum { B = 2, HQ = 8, HK = 2, D = 64, PAGE = 16, MAX_BLOCKS = 4, NUM_BLOCKS = 10, STEPS = 40 };

/* The pages hold 16-bit floats; the new K and V come as f32 and are rounded on the way in. */
static uint16_t k_cache[NUM_BLOCKS * PAGE * HK * D], v_cache[NUM_BLOCKS * PAGE * HK * D];
static int32_t block_table[B * MAX_BLOCKS] = {7, 2, 9, 0, 4, 1, 8, 0}, seq_lens[B];
static int32_t slots[B];

/* The same tokens side by side, for the check. */
static float k_all[B * STEPS * HK * D], v_all[B * STEPS * HK * D];
static float q[B * HQ * D], k[B * HK * D], v[B * HK * D], out[B * HQ * D], expected[B * HQ * D];

static void fill(float *x, size_t count, unsigned seed)
{
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    }
}

/* What a model would do here: new q, k and v of one token per sequence. */
static void next_token(int step)
{
    fill(q, B * HQ * D, 3u * (unsigned)step + 1);
    fill(k, B * HK * D, 3u * (unsigned)step + 2);
    fill(v, B * HK * D, 3u * (unsigned)step + 3);
    for (int b = 0; b < B; b++) {
        for (int i = 0; i < HK * D; i++) {
            k_all[(b * STEPS + step) * HK * D + i] = k[b * HK * D + i];
            v_all[(b * STEPS + step) * HK * D + i] = v[b * HK * D + i];
        }
    }
}

/* The larger of the two; a NaN counts as infinite, so it cannot hide. */
static double worse(double worst, double difference)
{
    return difference <= worst ? worst : difference > worst ? difference : INFINITY;
}

/* Largest difference between this step's output and dense f32 attention over the same tokens. */
static double check(int step)
{
    aiter_tensor keys = aiter_tensor_4d(k_all, AITER_F32, B, STEPS, HK, D);
    aiter_tensor values = aiter_tensor_4d(v_all, AITER_F32, B, STEPS, HK, D);
    aiter_flash_attn_fwd_args a = {
        .q = aiter_tensor_4d(q, AITER_F32, B, 1, HQ, D),
        .kv.k = aiter_tensor_slice(keys, 1, 0, step + 1),
        .kv.v = aiter_tensor_slice(values, 1, 0, step + 1),
        .out = aiter_tensor_4d(expected, AITER_F32, B, 1, HQ, D),
    };
    if (aiter_flash_attn_fwd(&a, NULL) != AITER_OK) return INFINITY;
    double worst = 0;
    for (int i = 0; i < B * HQ * D; i++) worst = worse(worst, fabs((double)out[i] - expected[i]));
    return worst;
}

int main(void)
{
    aiter_context *ctx;
    if (aiter_context_create(NULL, &ctx) != AITER_OK) {
        puts(aiter_last_error());
        return 1;
    }
    aiter_reshape_and_cache_args write = {
        .k = aiter_tensor_3d(k, AITER_F32, B, HK, D),
        .v = aiter_tensor_3d(v, AITER_F32, B, HK, D),
        .kv.k = aiter_tensor_4d(k_cache, AITER_F16, NUM_BLOCKS, PAGE, HK, D),
        .kv.v = aiter_tensor_4d(v_cache, AITER_F16, NUM_BLOCKS, PAGE, HK, D),
        .slot_mapping = aiter_tensor_1d(slots, AITER_I32, B),
    };
    aiter_paged_attn_decode_args attend = {
        .q = aiter_tensor_3d(q, AITER_F32, B, HQ, D),
        .kv.k = write.kv.k,
        .kv.v = write.kv.v,
        .kv.block_table = aiter_tensor_2d(block_table, AITER_I32, B, MAX_BLOCKS),
        .kv.seq_lens = aiter_tensor_1d(seq_lens, AITER_I32, B),
        .out = aiter_tensor_3d(out, AITER_F32, B, HQ, D),
    };
    double worst = 0;
    for (int step = 0; step < STEPS; step++) {
        next_token(step);
        for (int b = 0; b < B; b++) {
            int block = block_table[b * MAX_BLOCKS + step / PAGE];
            slots[b] = block * PAGE + step % PAGE; /* where the token goes */
            seq_lens[b] = step + 1;                /* the new token counts */
        }
        if (aiter_reshape_and_cache(&write, ctx) != AITER_OK ||
            aiter_paged_attn_decode(&attend, ctx) != AITER_OK) {
            puts(aiter_context_error(ctx));
            return 1;
        }
        worst = worse(worst, check(step));
    }
    printf("%d sequences, %d tokens each, pages of %d in any order\n", B, STEPS, PAGE);
    printf("largest difference from dense f32 attention: %.1e (the cache is f16)\n", worst);
    aiter_context_destroy(ctx);
    return worst < 2e-3 ? 0 : 1;
}
