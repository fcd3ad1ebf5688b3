/* 04_varlen_mixed_batch.c -- one serving step in one call: a chunk of a long prompt and single new
 * tokens of other sequences, over one paged cache. A sequence's bits do not depend on the company
 * it keeps: each one alone gives the same.
 *
 *     cc -std=c99 -O2 examples/04_varlen_mixed_batch.c -o mixed -lm -lpthread && ./mixed
 */
#define AITER_ATTN_IMPLEMENTATION
#include "../aiter_attn.h"
#include <stdio.h>
#include <string.h>

enum { B = 4, HQ = 8, HK = 2, D = 64, PAGE = 16, MAX_BLOCKS = 20, TOTAL_Q = 64 + 1 + 1 + 3 };
enum { NUM_BLOCKS = B * MAX_BLOCKS };

static float k_cache[NUM_BLOCKS * PAGE * HK * D], v_cache[NUM_BLOCKS * PAGE * HK * D];
static float q[TOTAL_Q * HQ * D], out[TOTAL_Q * HQ * D], alone[TOTAL_Q * HQ * D];
static int32_t block_table[B * MAX_BLOCKS];

/* Sequence 0 prefills tokens 128 to 191 of its prompt; 1 and 2 decode; 3 checks three drafted
 * tokens. The queries are always the last tokens of the sequence's keys. */
static const int32_t cu_seqlens_q[B + 1] = {0, 64, 65, 66, TOTAL_Q};
static const int32_t seqused_k[B] = {192, 17, 300, 80};

static void fill(float *x, size_t count, unsigned seed)
{
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    }
}

int main(void)
{
    int good = 1;
    fill(k_cache, sizeof k_cache / sizeof *k_cache, 1);
    fill(v_cache, sizeof v_cache / sizeof *v_cache, 2);
    fill(q, sizeof q / sizeof *q, 3);
    for (int i = 0; i < NUM_BLOCKS; i++) block_table[i] = i * 7 % NUM_BLOCKS; /* scattered pages */

    aiter_flash_attn_fwd_args a = {
        .q = aiter_tensor_3d(q, AITER_F32, TOTAL_Q, HQ, D),
        .kv.k = aiter_tensor_4d(k_cache, AITER_F32, NUM_BLOCKS, PAGE, HK, D),
        .kv.v = aiter_tensor_4d(v_cache, AITER_F32, NUM_BLOCKS, PAGE, HK, D),
        .out = aiter_tensor_3d(out, AITER_F32, TOTAL_Q, HQ, D),
        .score.mask = AITER_MASK_CAUSAL,
        .cu_seqlens_q = aiter_tensor_1d(cu_seqlens_q, AITER_I32, B + 1),
        .kv.seq_lens = aiter_tensor_1d(seqused_k, AITER_I32, B),
        .kv.block_table = aiter_tensor_2d(block_table, AITER_I32, B, MAX_BLOCKS),
    };
    if (aiter_flash_attn_fwd(&a, NULL) != AITER_OK) {
        puts(aiter_last_error());
        return 1;
    }

    /* Each sequence in a call of its own, dense in q, over the same pages. */
    for (int b = 0; b < B; b++) {
        int32_t start = cu_seqlens_q[b], rows = cu_seqlens_q[b + 1] - start;
        aiter_flash_attn_fwd_args one = {
            .q = aiter_tensor_4d(q + start * HQ * D, AITER_F32, 1, rows, HQ, D),
            .kv.k = a.kv.k,
            .kv.v = a.kv.v,
            .out = aiter_tensor_4d(alone + start * HQ * D, AITER_F32, 1, rows, HQ, D),
            .score.mask = AITER_MASK_CAUSAL,
            .kv.seq_lens = aiter_tensor_1d(seqused_k + b, AITER_I32, 1),
            .kv.block_table =
                aiter_tensor_2d(block_table + b * MAX_BLOCKS, AITER_I32, 1, MAX_BLOCKS),
        };
        if (aiter_flash_attn_fwd(&one, NULL) != AITER_OK) {
            puts(aiter_last_error());
            return 1;
        }
        size_t bytes = sizeof(float) * (size_t)(rows * HQ * D);
        int same = memcmp(out + start * HQ * D, alone + start * HQ * D, bytes) == 0;
        printf("sequence %d: %2d queries over %3d keys: %s\n", b, rows, seqused_k[b],
               same ? "same bits alone and in the batch" : "OTHER BITS alone");
        good &= same;
    }
    return good ? 0 : 1;
}
