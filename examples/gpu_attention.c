/* gpu_attention.c -- 01_attention.c on a GPU: the same call with a device context and device
 * memory. With no driver or no device it says so and runs on the CPU.
 *
 *     cc -std=c99 -O2 examples/gpu_attention.c -o gpu_attention -lm -lpthread -ldl
 *     ./gpu_attention hip build/kernels    # or cuda; the folder that holds the compiled kernels
 */
#define AITER_ATTN_HIP
#define AITER_ATTN_CUDA
#define AITER_ATTN_IMPLEMENTATION
#include "../aiter_attn.h"
#include <math.h>
#include <stdio.h>

enum {
    B = 2,
    S = 100,
    HQ = 8,
    HK = 2,
    D = 64,
    Q_COUNT = B * S * HQ * D,
    KV_COUNT = B * S * HK * D
};

static uint16_t q[Q_COUNT], k[KV_COUNT], v[KV_COUNT], out[Q_COUNT], cpu_out[Q_COUNT];

static void fill(uint16_t *x, int count, unsigned seed)
{
    for (int i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        aiter_store_element(AITER_BF16, x, i, (float)(seed >> 8) / 8388608.0f - 1.0f);
    }
}

static void must(aiter_status status)
{
    if (status == AITER_OK) return;
    printf("%s: %s\n", aiter_status_name(status), aiter_last_error());
    exit(1);
}

static aiter_flash_attn_fwd_args arguments(const void *query, const void *key, const void *value,
                                           void *result)
{
    aiter_flash_attn_fwd_args a = {
        .q = aiter_tensor_4d(query, AITER_BF16, B, S, HQ, D),
        .kv.k = aiter_tensor_4d(key, AITER_BF16, B, S, HK, D),
        .kv.v = aiter_tensor_4d(value, AITER_BF16, B, S, HK, D),
        .out = aiter_tensor_4d(result, AITER_BF16, B, S, HQ, D),
        .score.mask = AITER_MASK_CAUSAL,
    };
    return a;
}

/* A copy of `data` where the context computes. */
static void *upload(aiter_context *ctx, const void *data, size_t bytes)
{
    void *there;
    must(aiter_memory_alloc(ctx, AITER_MEMORY_DEVICE, bytes, &there));
    must(aiter_memory_copy(ctx, there, AITER_MEMORY_DEVICE, data, AITER_MEMORY_HOST, bytes));
    return there;
}

int main(int argc, char **argv)
{
    fill(q, Q_COUNT, 1);
    fill(k, KV_COUNT, 2);
    fill(v, KV_COUNT, 3);

    aiter_context_desc desc = {.device = AITER_DEVICE_HIP,
                               .kernel_path = argc > 2 ? argv[2] : NULL};
    if (argc > 1 && strcmp(argv[1], "cuda") == 0) desc.device = AITER_DEVICE_CUDA;
    aiter_context *ctx;
    if (aiter_context_create(&desc, &ctx) != AITER_OK) {
        printf("%s\n", aiter_last_error());
        desc.device = AITER_DEVICE_CPU;
        must(aiter_context_create(&desc, &ctx));
    }
    printf("on %s (%s)\n", aiter_context_info(ctx).device_name,
           aiter_context_info(ctx).architecture);

    void *on_q = upload(ctx, q, sizeof q), *on_k = upload(ctx, k, sizeof k);
    void *on_v = upload(ctx, v, sizeof v), *on_out = upload(ctx, out, sizeof out);
    aiter_flash_attn_fwd_args a = arguments(on_q, on_k, on_v, on_out);
    must(aiter_flash_attn_fwd(&a, ctx)); /* returns when the work is queued */
    must(aiter_memory_copy(ctx, out, AITER_MEMORY_HOST, on_out, AITER_MEMORY_DEVICE, sizeof out));
    must(aiter_context_synchronize(ctx)); /* until here the device's memory was the device's */

    a = arguments(q, k, v, cpu_out);
    must(aiter_flash_attn_fwd(&a, NULL));
    float worst = 0;
    for (int i = 0; i < Q_COUNT; i++) {
        const float x = aiter_load_element(AITER_BF16, out, i);
        const float y = aiter_load_element(AITER_BF16, cpu_out, i);
        if (!(fabsf(x - y) <= worst)) worst = fabsf(x - y);
    }
    printf("largest difference from the CPU: %.1e\n", worst);

    void *const data[4] = {on_q, on_k, on_v, on_out};
    const size_t bytes[4] = {sizeof q, sizeof k, sizeof v, sizeof out};
    for (int i = 0; i < 4; i++)
        must(aiter_memory_free(ctx, AITER_MEMORY_DEVICE, data[i], bytes[i]));
    aiter_context_destroy(ctx);
    return worst < 0.02f ? 0 : 1;
}
