/* messages_types.h -- the mistakes of test_messages.c in types, scales and values of attention. */
#ifndef AITER_TEST_MESSAGES_TYPES_H
#define AITER_TEST_MESSAGES_TYPES_H

static void types(void)
{
    say_heading("flash_attn_fwd: types, scales, values");
    FLASH(dense, "a bias in fp8", a.score.bias = as_type(f32_2(6, 10), AITER_F8_E5M2));
    FLASH(dense, "scales of q of other kv heads", a.score.q_scale = f32_2(2, 8));
    FLASH(dense, "scales of q by token alone", a.score.q_scale = f32_3(2, 6, 1));
    FLASH(dense, "scales of q for each element", a.score.q_scale = f32_4(2, 6, 8, 16));
    FLASH(packed, "scales of q by token of another batch", a.score.q_scale = f32_3(5, 8, 1));
    FLASH(dense, "scales of out for each row", a.out_scale = f32_4(2, 6, 8, 1));
    FLASH(dense, "scales of out of another batch", a.out_scale = f32_2(3, 2));
    FLASH(dense, "a scale of out that is 0",
          (a.out_scale = f32_2(2, 2), ((float *)a.out_scale.data)[2] = 0));
    FLASH(dense, "q in int8", a.q.dtype = AITER_I8);
    FLASH(dense, "q in int4", a.q.dtype = AITER_I4);
    FLASH(dense, "k in int4 without scales", a.kv.k.dtype = AITER_I4);
    FLASH(int8, "int4 rows of 15 columns",
          (a.q.shape[3] = a.kv.k.shape[3] = 15, a.kv.k.dtype = AITER_I4));
    FLASH(int8, "int4 heads an odd number of columns apart",
          (a.kv.v = aiter_tensor_transpose(a.kv.v, 0, 0), a.kv.v.dtype = AITER_I4,
           a.kv.v.stride[2] = 17));
    FLASH(int8, "int4 columns apart",
          (a.kv.k = aiter_tensor_transpose(a.kv.k, 0, 0), a.kv.k.dtype = AITER_I4,
           a.kv.k.stride[3] = 2));
    FLASH(int8, "int4 scales of another shape",
          (a.kv.v.dtype = AITER_I4, a.kv.v_scale.shape[0] = 3));
    FLASH(dense, "v in another type than any", a.kv.v.dtype = AITER_I32);
    FLASH(dense, "no v", a.kv.v.ndim = 0);
    FLASH(dense, "a boolean mask in f32", a.score.visible = f32_2(6, 10));
    FLASH(dense, "a boolean mask of other keys", a.score.visible = as_type(f32_2(6, 9), AITER_U8));
    FLASH(dense, "a boolean mask [B, Sq, Sk]",
          a.score.visible = as_type(f32_3(2, 6, 10), AITER_U8));
    FLASH(dense, "more columns of V than k has", (a.kv.v.ndim = 0, a.kv.dim_v = 17));
    FLASH(dense, "V of latent rows with scales",
          (a.kv.v.ndim = 0, a.kv.dim_v = 16, a.kv.v_scale = f32_2(1, 1)));
    FLASH(dense, "dim_v beside another v", a.kv.dim_v = 8);
    FLASH(dense, "a struct of another header", a.struct_bytes = 16);
    FLASH(dense, "a dtype that was not set", a.q.dtype = AITER_DTYPE_UNSET);
    FLASH(dense, "a dtype that there is not", a.out.dtype = (aiter_dtype)99);
}

static void pairs_and_scales(void)
{
    FLASH(dense, "a boolean mask as bias",
          a.score.bias = fresh(aiter_tensor_2d(NULL, AITER_U8, 6, 10)));
    FLASH(dense, "bias is [B, Sk]", a.score.bias = f32_2(2, 10));
    FLASH(dense, "bias is [B, Sq, Sk]", a.score.bias = f32_3(2, 6, 10));
    FLASH(dense, "bias is [Hq, Sk, Sq]", a.score.bias = f32_3(8, 10, 6));
    FLASH(dense, "bias a key short", a.score.bias = f32_2(6, 9));
    FLASH(paged, "bias a key short", a.score.bias = f32_2(6, 9));
    FLASH(packed, "bias is [B, Hq, Sq, Sk]", a.score.bias = f32_4(2, 8, 6, 10));
    FLASH(packed, "bias of other rows", a.score.bias = f32_2(5, 10));
    FLASH(dense, "alibi_slopes of the kv heads",
          a.score.alibi_slopes = fresh(aiter_tensor_1d(NULL, AITER_F32, 2)));
    FLASH(dense, "sinks in bf16", a.score.sinks = fresh(aiter_tensor_1d(NULL, AITER_BF16, 8)));
    FLASH(int8, "no k_scale", a.kv.k_scale.ndim = 0);
    FLASH(int8, "no v_scale", a.kv.v_scale.ndim = 0);
    FLASH(int8, "scales of the query heads", a.kv.k_scale = f32_2(1, 8));
    FLASH(int8, "3 scales", a.kv.k_scale = fresh(aiter_tensor_1d(NULL, AITER_F32, 3)));
    FLASH(int8, "scales are [num_blocks, Hk, P]", a.kv.k_scale = f32_3(8, 2, 4));
    FLASH(int8, "scales in fp8", a.kv.v_scale.dtype = AITER_F8_E4M3FN);
    FLASH(int8, "scales of other pages", a.kv.k_scale = f32_2(7, 2));
    FLASH(int8, "scales of batch rows beside pages",
          (a.kv.k_scale = f32_2(2, 2), a.kv.k_scale_kind = AITER_SCALE_PER_BATCH_HEAD));
    FLASH(int8, "scales of channels of q",
          (a.kv.k_scale = f32_2(8, 16), a.kv.k_scale_kind = AITER_SCALE_PER_CHANNEL));
    FLASH(int8, "groups of 8 columns", a.kv.v_scale = f32_4(8, 4, 2, 2));
    FLASH(int8, "groups of 3 columns and a third", a.kv.v_scale = f32_4(8, 4, 2, 5));
    FLASH(int8, "scale_kind of another shape", a.kv.k_scale_kind = AITER_SCALE_PER_TENSOR);
    FLASH(int8, "scale_kind of another rank", a.kv.v_scale_kind = AITER_SCALE_PER_TOKEN_HEAD);
    FLASH(int8, "a scale_kind that there is not", a.kv.k_scale_kind = AITER_SCALE_COUNT);
    FLASH(dense, "scales of f32 keys", a.kv.k_scale = fresh(aiter_tensor_1d(NULL, AITER_F32, 1)));
}

static void score_values(void)
{
    float nan = float_of_bits(0x7FC00000u), inf = float_of_bits(0x7F800000u);
    FLASH(dense, "window_size (4096, 0) without its mask",
          (a.score.mask = AITER_MASK_CAUSAL, a.score.window_left = 4096));
    FLASH(dense, "window_right without its mask", a.score.window_right = 3);
    FLASH(dense, "window_left -2", (a.score.mask = AITER_MASK_WINDOW, a.score.window_left = -2));
    FLASH(dense, "a mask that there is not", a.score.mask = (aiter_mask)17);
    FLASH(dense, "sink_tokens negative", a.score.sink_tokens = -1);
    FLASH(dense, "softmax_scale NaN", a.score.softmax_scale = nan);
    FLASH(dense, "softmax_scale negative", a.score.softmax_scale = -0.125f);
    FLASH(dense, "softcap infinite", a.score.softcap = inf);
    FLASH(dense, "num_splits negative", a.num_splits = -1);
}

#endif /* AITER_TEST_MESSAGES_TYPES_H */
