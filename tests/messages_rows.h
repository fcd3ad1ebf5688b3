/* messages_rows.h -- the mistakes of test_messages.c in the ops that work on rows or blocks alone:
 * the copies of blocks, RoPE and the quantisers. */
#ifndef AITER_TEST_MESSAGES_ROWS_H
#define AITER_TEST_MESSAGES_ROWS_H

static void blocks(void)
{
    static const int64_t chain[4] = {0, 1, 1, 2}, one[2] = {1, 1};
    aiter_tensor two[2];
    say_heading("swap_blocks");
    SWAP(0, "no src", a.src.ndim = 0);
    SWAP(0, "a dst of another type", a.dst.dtype = AITER_BF16);
    SWAP(0, "a dst of other heads", a.dst.shape[2] = 1);
    SWAP(0, "a dst of another rank", a.dst.ndim = 3);
    SWAP(0, "pairs in two tensors", a.mapping = aiter_tensor_1d(a.mapping.data, AITER_I64, 6));
    SWAP(0, "triples", a.mapping = aiter_tensor_2d(a.mapping.data, AITER_I64, 2, 3));
    SWAP(0, "pairs in floats", a.mapping.dtype = AITER_F32);
    SWAP(0, "a block past src", ((int64_t *)a.mapping.data)[2] = 4);
    SWAP(0, "a block past dst", ((int64_t *)a.mapping.data)[3] = 3);
    SWAP(1, "a block of -1", ((int32_t *)a.mapping.data)[4] = -1);
    SWAP(0, "a block of dst twice", ((int64_t *)a.mapping.data)[5] = 2);
    SWAP(0, "inside one cache", a.dst = a.src);
    SWAP(0, "mapping inside dst", a.mapping.data = a.dst.data);
    SWAP(1, "int4 rows of 3 bytes and a half",
         (a.src.dtype = a.dst.dtype = AITER_I4, a.src.shape[3] = a.dst.shape[3] = 7));
    SWAP(0, "a plan", a.call.plan = (const aiter_plan *)memory);
    SWAP(0, "a workspace of 1 byte", (a.call.workspace = memory, a.call.workspace_bytes = 1));
    say_heading("copy_blocks");
    COPY("no caches", a.caches = NULL);
    COPY("caches that nobody counted", a.num_caches = 0);
    COPY("a cache that is absent",
         (two[0] = a.caches[0], two[1].ndim = 0, a.caches = two, a.num_caches = 2));
    COPY("caches of other blocks", (two[0] = a.caches[0], two[1] = a.caches[1], two[1].shape[0] = 4,
                                    a.caches = two, a.num_caches = 2));
    COPY("a cache twice", (two[0] = two[1] = a.caches[0], a.caches = two, a.num_caches = 2));
    COPY("a chain", a.mapping = aiter_tensor_2d(chain, AITER_I64, 2, 2));
    COPY("a block onto itself", a.mapping = aiter_tensor_2d(one, AITER_I64, 1, 2));
    COPY("a block that two pairs write", ((int64_t *)a.mapping.data)[5] = 0);
    COPY("a block past the caches", ((int64_t *)a.mapping.data)[0] = 5);
}

static void rope(void)
{
    static const int64_t far[6] = {0, 1, 2, 3, 4, 9};
    static const int32_t sums[3] = {0, 2, 7};
    say_heading("rope_fwd");
    ROPE(0, "no tables", a.rope.cos.ndim = 0);
    ROPE(0, "sin of other positions", a.rope.sin.shape[0] = 5);
    ROPE(0, "a column per element, dim not said",
         a.rope.cos = a.rope.sin = aiter_tensor_2d(a.rope.cos.data, AITER_F32, 4, 16));
    ROPE(0, "an unknown kind", a.rope.kind = (aiter_rope_kind)7);
    ROPE(0, "sections of ONE position", a.rope.sections[0] = 8);
    ROPE(1, "sections that miss a pair", a.rope.sections[0] = 3);
    ROPE(1, "one position a token for MULTI",
         a.rope.positions = aiter_tensor_1d(a.rope.positions.data, AITER_I64, 6));
    ROPE(1, "positions in f32", a.rope.positions.dtype = AITER_F32);
    ROPE(1, "a position past the tables",
         (a.rope.kind = AITER_ROPE_ONE, memset(a.rope.sections, 0, sizeof a.rope.sections),
          a.rope.positions = aiter_tensor_1d(far, AITER_I64, 6)));
    ROPE(1, "cu_seqlens beside positions", a.cu_seqlens = aiter_tensor_1d(sums, AITER_I32, 3));
    ROPE(1, "cu_seqlens past the tokens",
         (a.rope.positions.ndim = 0, a.cu_seqlens = aiter_tensor_1d(sums, AITER_I32, 3)));
    ROPE(0, "cu_seqlens of [B, S, H, D]", a.cu_seqlens = aiter_tensor_1d(sums, AITER_I32, 3));
    ROPE(2, "an image without a width", a.rope.width = 0);
    ROPE(0, "an offset past the tables", a.rope.cos.shape[0] = a.rope.sin.shape[0] = 5);
    ROPE(0, "more tokens than the tables",
         (a.rope.offsets.ndim = 0, a.rope.cos.shape[0] = a.rope.sin.shape[0] = 2));
    ROPE(0, "y over half of x", a.y.data = (char *)a.x.data + 32);
}

static void quantisers(void)
{
    say_heading("quantize, dequantize");
    QUANTIZE(1, "to another type", a.quantisation.to = AITER_I8);
    QUANTIZE(1, "y in 16 bits", a.y.dtype = AITER_F16);
    QUANTIZE(1, "y with another D", a.y.shape[3] = 7);
    QUANTIZE(1, "scales of each element",
             a.scale = aiter_tensor_4d(a.scale.data, AITER_F32, 2, 3, 4, 8));
    QUANTIZE(1, "groups without their axis", a.quantisation.group = 4);
    QUANTIZE(1, "scales with the axes of another batch", a.scale.shape[0] = 3);
    QUANTIZE(1, "a granularity that the scales have not",
             a.quantisation.per = AITER_SCALE_PER_HEAD);
    QUANTIZE(3, "a scale of 0", ((float *)a.scale.data)[2] = 0);
    QUANTIZE(0, "int8 under E8M0", a.scale.dtype = AITER_F8_E8M0);
    QUANTIZE(1, "fp8 under fp8 scales", a.scale.dtype = AITER_F8_E4M3FN);
    QUANTIZE(1, "a global scale of fp8", a.global_scale = aiter_tensor_1d(a.x.data, AITER_F32, 1));
    QUANTIZE(0, "int8 that overflows to NaN", a.quantisation.overflow = AITER_OVERFLOW_TO_NAN);
    QUANTIZE(1, "fp8 with ties toward zero",
             a.quantisation.rounding = AITER_ROUND_TIES_TOWARD_ZERO);
    QUANTIZE(1, "int4 rows of 7 bytes and a half",
             (a.y.dtype = AITER_I4, a.x.shape[3] = a.y.shape[3] = 7));
    QUANTIZE(1, "y over x", a.y.data = a.x.data);
    DEQUANTIZE(1, "given scales", a.quantisation.scale_given = 1);
    CACHE(2, "groups in a cache", a.quantisation.group = 32);
    CACHE(2, "scales of blocks that are given",
          (a.quantisation.per = AITER_SCALE_PER_BLOCK_HEAD, a.quantisation.scale_given = 1));
    CACHE(2, "scales of tokens for those of blocks",
          a.quantisation.per = AITER_SCALE_PER_BLOCK_HEAD);
    CACHE(2, "computed scales of channels", a.quantisation.per = AITER_SCALE_PER_CHANNEL);
    CACHE(3, "scales of other blocks", a.kv.v_scale.shape[0] += 1);
    CACHE(3, "scales of other kv heads", a.kv.k_scale.shape[1] += 1);
    CACHE(3, "v_scale by token, k_scale by block",
          (a.quantisation.per = AITER_SCALE_BY_SHAPE, a.kv.v_scale.ndim = 3));
}

#endif /* AITER_TEST_MESSAGES_ROWS_H */
