/* device_calls.h -- contexts on the fake driver, arguments whose tensors lie on a device, and a
 * look at what was launched for them. */
#ifndef AITER_TEST_DEVICE_CALLS_H
#define AITER_TEST_DEVICE_CALLS_H

#include "fake_files.h"

/* Device memory as the host sees it: addresses that no test may read. */
#define AT(n) ((void *)(uintptr_t)(0x100000000000 + (uint64_t)(n) * 0x1000000000))

static inline aiter_context *device_context(aiter_device device)
{
    aiter_context *ctx = NULL;
    fake_reset();
    const aiter_context_desc d = fake_desc(device);
    CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
    return ctx;
}

/* Closes it; nothing of it may be left with the driver. */
static inline void close_context(aiter_context *ctx)
{
    aiter_context_destroy(ctx);
    CHECK(!aiteri_devices && fake.live_blocks == 0 && fake.live_modules == 0 && fake.retained == 0,
          "left: %d blocks, %d modules, %d contexts", (int)fake.live_blocks, (int)fake.live_modules,
          (int)fake.retained);
    CHECK(fake.freed_running == 0, "memory is freed while work runs");
}

static inline aiter_flash_attn_fwd_args dense(int b, int sq, int sk, int hq, int hk, int d)
{
    aiter_flash_attn_fwd_args a;
    memset(&a, 0, sizeof a);
    a.q = aiter_tensor_4d(AT(1), AITER_BF16, b, sq, hq, d);
    a.kv.k = aiter_tensor_4d(AT(2), AITER_BF16, b, sk, hk, d);
    a.kv.v = aiter_tensor_4d(AT(3), AITER_BF16, b, sk, hk, d);
    a.out = aiter_tensor_4d(AT(4), AITER_BF16, b, sq, hq, d);
    a.num_splits = 1;
    return a;
}

static inline aiter_paged_attn_decode_args decode(int b, int q_len, int hq, int hk, aiter_dtype kv)
{
    aiter_paged_attn_decode_args a;
    memset(&a, 0, sizeof a);
    a.q = aiter_tensor_4d(AT(1), AITER_BF16, b, q_len, hq, 128);
    a.kv.k = aiter_tensor_4d(AT(2), kv, 1000, 16, hk, 128);
    a.kv.v = aiter_tensor_4d(AT(3), kv, 1000, 16, hk, 128);
    a.out = aiter_tensor_4d(AT(4), AITER_BF16, b, q_len, hq, 128);
    a.kv.block_table = aiter_tensor_2d(AT(5), AITER_I32, b, 64);
    a.kv.seq_lens = aiter_tensor_1d(AT(6), AITER_I32, b);
    if (kv == AITER_I8) {
        a.kv.k_scale = aiter_tensor_3d(AT(7), AITER_F32, 1000, 16, hk);
        a.kv.v_scale = aiter_tensor_1d(AT(8), AITER_F32, hk);
    }
    a.num_splits = 1;
    return a;
}

/* 2 sequences over pages of 16 tokens, 3 blocks each: q packed. */
static inline aiter_flash_attn_fwd_args mixed(void)
{
    aiter_flash_attn_fwd_args a;
    memset(&a, 0, sizeof a);
    a.q = aiter_tensor_3d(AT(1), AITER_BF16, 40, 8, 128);
    a.kv.k = aiter_tensor_4d(AT(2), AITER_BF16, 100, 16, 2, 128);
    a.kv.v = aiter_tensor_4d(AT(3), AITER_BF16, 100, 16, 2, 128);
    a.out = aiter_tensor_3d(AT(4), AITER_BF16, 40, 8, 128);
    a.lse = aiter_tensor_2d(AT(5), AITER_F32, 8, 40);
    a.cu_seqlens_q = aiter_tensor_1d(AT(6), AITER_I32, 3);
    a.kv.seq_lens = aiter_tensor_1d(AT(7), AITER_I32, 2);
    a.kv.block_table = aiter_tensor_2d(AT(8), AITER_I32, 2, 3);
    a.score.mask = AITER_MASK_CAUSAL;
    a.num_splits = 1;
    return a;
}

/* The arguments of the launch before the last `back` ones. */
static inline const fake_launch_record *last_launch(int back)
{
    return &fake.launch[(fake.launches - 1 - back) % FAKE_LAUNCHES];
}

static inline const aiteri_gpu_row *row_of(const fake_launch_record *r, int arch)
{
    const aiteri_gpu_row *best = NULL;
    for (int i = 0; i < AITERI_GPU_ROW_COUNT; i++) {
        const aiteri_gpu_row *row = &aiteri_gpu_rows_table[i];
        if (strcmp(row->symbol, r->symbol) != 0 || !(row->archs & arch)) continue;
        if (!best || aiteri_gpu_row_is_better(row, best)) best = row;
    }
    CHECK(best, "no row %s", r->symbol);
    return best ? best : &aiteri_gpu_rows_table[0];
}

static inline int arch_of(aiter_device device)
{
    return device == AITER_DEVICE_HIP ? AITERI_GPU_ARCH_GFX942
                                      : AITERI_GPU_ARCH_SM80 | AITERI_GPU_ARCH_SM90A;
}

static inline void check_geometry(const fake_launch_record *r, aiter_device device, int64_t groups)
{
    const aiteri_gpu_row *row = row_of(r, arch_of(device));
    const unsigned shared = device == AITER_DEVICE_CUDA ? (unsigned)row->lds_bytes : 0;
    CHECK(r->grid[0] == groups && r->grid[1] == 1 && r->grid[2] == 1, "%s: grid %u, expected %d",
          r->symbol, r->grid[0], (int)groups);
    CHECK(r->block[0] == (unsigned)row->threads && r->block[1] == 1 && r->block[2] == 1, "block");
    CHECK(r->shared == shared, "%u bytes of shared memory, expected %u", r->shared, shared);
}

#endif /* AITER_TEST_DEVICE_CALLS_H */
