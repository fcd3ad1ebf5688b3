/* flat_calls.c -- the calls that compare_torch.py measures, with plain arguments: a shared library
 * for Python. It builds it itself. */
#define AITER_ATTN_HIP
#define AITER_ATTN_CUDA
#define AITER_ATTN_IMPLEMENTATION
#include "../../aiter_attn.h"

const char *flat_error(void) { return aiter_last_error(); }

void *flat_open(const char *device, const char *folder, void *stream)
{
    aiter_context_desc d;
    aiter_context *ctx = NULL;
    memset(&d, 0, sizeof d);
    d.device = strcmp(device, "hip") == 0 ? AITER_DEVICE_HIP : AITER_DEVICE_CUDA;
    d.kernel_path = folder;
    d.stream = stream;
    return aiter_context_create(&d, &ctx) == AITER_OK ? ctx : NULL;
}

/* bf16 [B, S, H, D] and [B, S, Hk, D]; shape holds B, S, H, Hk, D. */
int flat_flash(void *ctx, void *q, void *k, void *v, void *out, const int64_t *shape, int causal)
{
    const int64_t b = shape[0], s = shape[1], h = shape[2], hk = shape[3], d = shape[4];
    aiter_flash_attn_fwd_args a;
    memset(&a, 0, sizeof a);
    a.q = aiter_tensor_4d(q, AITER_BF16, b, s, h, d);
    a.kv.k = aiter_tensor_4d(k, AITER_BF16, b, s, hk, d);
    a.kv.v = aiter_tensor_4d(v, AITER_BF16, b, s, hk, d);
    a.out = aiter_tensor_4d(out, AITER_BF16, b, s, h, d);
    a.score.mask = causal ? AITER_MASK_CAUSAL : AITER_MASK_NONE;
    return aiter_flash_attn_fwd(&a, (aiter_context *)ctx);
}

/* bf16 [B, H, D], pages [blocks, page, Hk, D], table [B, width]; shape holds B, H, Hk, D, blocks,
 * page, width. */
int flat_decode(void *ctx, void *q, void *k, void *v, void *out, void *table, void *lengths,
                const int64_t *shape)
{
    const int64_t b = shape[0], h = shape[1], hk = shape[2], d = shape[3];
    const int64_t blocks = shape[4], page = shape[5], width = shape[6];
    aiter_paged_attn_decode_args a;
    memset(&a, 0, sizeof a);
    a.q = aiter_tensor_3d(q, AITER_BF16, b, h, d);
    a.out = aiter_tensor_3d(out, AITER_BF16, b, h, d);
    a.kv.k = aiter_tensor_4d(k, AITER_BF16, blocks, page, hk, d);
    a.kv.v = aiter_tensor_4d(v, AITER_BF16, blocks, page, hk, d);
    a.kv.block_table = aiter_tensor_2d(table, AITER_I32, b, width);
    a.kv.seq_lens = aiter_tensor_1d(lengths, AITER_I32, b);
    return aiter_paged_attn_decode(&a, (aiter_context *)ctx);
}

/* For --self-check, where no PyTorch owns the memory. */
void *flat_upload(void *ctx, const void *data, int64_t bytes)
{
    void *there = NULL;
    aiter_context *c = (aiter_context *)ctx;
    if (aiter_memory_alloc(c, AITER_MEMORY_DEVICE, (size_t)bytes, &there) != AITER_OK) return NULL;
    aiter_memory_copy(c, there, AITER_MEMORY_DEVICE, data, AITER_MEMORY_HOST, (size_t)bytes);
    return aiter_context_synchronize(c) == AITER_OK ? there : NULL;
}

int flat_download(void *ctx, void *data, const void *from, int64_t bytes)
{
    aiter_context *c = (aiter_context *)ctx;
    aiter_memory_copy(c, data, AITER_MEMORY_HOST, from, AITER_MEMORY_DEVICE, (size_t)bytes);
    return aiter_context_synchronize(c);
}
