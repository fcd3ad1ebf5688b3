/* test_arguments_ops.c -- every field of the other ops made wrong, one at a time. */
#include "refusals.h"

RUNNER(paged_attn_decode)
RUNNER(grouped_query_attention)
RUNNER(multi_query_attention)
RUNNER(variable_length_attention)
RUNNER(decode_attention)
RUNNER(decode_attention_gqa)
RUNNER(reshape_and_cache)
RUNNER(merge_attn_states)

static const tensor_field decode_fields[] = {
    FIELD(aiter_paged_attn_decode_args, q, 1, 0, AITER_I8),
    FIELD(aiter_paged_attn_decode_args, k_cache, 1, 0, AITER_I32),
    FIELD(aiter_paged_attn_decode_args, v_cache, 1, 0, AITER_I32),
    FIELD(aiter_paged_attn_decode_args, block_table, 1, 0, AITER_I64),
    FIELD(aiter_paged_attn_decode_args, seq_lens, 1, 0, AITER_I64),
    FIELD(aiter_paged_attn_decode_args, out, 1, 1, AITER_I8),
    FIELD(aiter_paged_attn_decode_args, lse, 0, 1, AITER_F16),
    FIELD(aiter_paged_attn_decode_args, alibi_slopes, 0, 0, AITER_F16),
    FIELD(aiter_paged_attn_decode_args, sinks, 0, 0, AITER_F16),
    FIELD(aiter_paged_attn_decode_args, k_scale, 1, 0, AITER_F16),
    FIELD(aiter_paged_attn_decode_args, v_scale, 1, 0, AITER_F16),
};

static void decode(int new_tokens, int int8)
{
    attn_case c = base(FORM_PAGED);
    attn_problem p;
    attn_call call;
    any_args all;
    aiter_paged_attn_decode_args good, a;
    subject s = SUBJECT(paged_attn_decode, &p);
    float nan = float_of_bits(0x7FC00000u);
    memset(&call, 0, sizeof call);
    c.op = OP_DECODE;
    c.sq = new_tokens;
    if (int8) c.q_type = AITER_F32, c.kv_type = AITER_I8, c.scale_kind = AITER_SCALE_TOKEN_HEAD;
    problem_new(&p, &c);
    problem_store(&p, SLACK_NAN);
    memset(&all, 0, sizeof all);
    good = all.decode = problem_decode_args(&p, &call);
    if (new_tokens == 1) { /* [B, Hq, D] with one dimension more is [B, q_len, Hq, D] */
        tensors(&s, &all, decode_fields + 1, 4);
        tensors(&s, &all, decode_fields + 6, COUNT(decode_fields) - 6);
    } else {
        tensors(&s, &all, decode_fields, COUNT(decode_fields));
    }
    INVALID("mask", a.mask = (aiter_mask)17);
    INVALID("window_left", (a.mask = AITER_MASK_WINDOW, a.window_left = -2));
    INVALID("window_right", (a.mask = AITER_MASK_WINDOW, a.window_right = -2));
    INVALID("sink_tokens", a.sink_tokens = -3);
    INVALID("softmax_scale", a.softmax_scale = nan);
    INVALID("softcap", a.softcap = -1);
    INVALID("num_splits", a.num_splits = -1);
    INVALID("max_seqlen_k", a.max_seqlen_k = -1);
    INVALID("scale_kind", a.scale_kind = AITER_SCALE_COUNT);
    INVALID("v_cache", a.v_cache.dtype = AITER_BF16);
    INVALID("v_cache", a.v_cache.shape[1] = 3);
    INVALID("k_cache", a.k_cache.shape[3] = 7);
    INVALID("seq_lens", a.seq_lens.shape[0] = 1);
    INVALID("seq_lens", a.seq_lens.ndim = 0);
    INVALID("block_table", a.block_table.ndim = 0);
    INVALID("block_table", a.block_table.shape[0] = 3);
    INVALID("lse", a.lse.shape[0] += 1);
    INVALID("out", a.out.shape[0] = 1);
    INVALID_DATA("seq_lens", a.seq_lens = with_entry(a.seq_lens, 1, 1000));
    INVALID_DATA("seq_lens", a.seq_lens = with_entry(a.seq_lens, 0, -1));
    INVALID_DATA("seq_lens", a.max_seqlen_k = 20);
    INVALID_DATA("block_table", a.block_table = with_entry(a.block_table, 0, -1));
    INVALID_DATA("block_table", a.block_table = with_entry(a.block_table, 5, p.num_blocks));
    INVALID_DATA("out", a.out.data = a.k_cache.data);
    INVALID_DATA("out", a.out.data = a.q.data);
    INVALID_DATA("lse", a.lse.data = a.out.data);
    CHECK(aiter_paged_attn_decode(NULL, NULL) == AITER_INVALID_ARGUMENT, "NULL args");
    CHECK(aiter_paged_attn_decode_plan(&good, NULL, NULL) == AITER_INVALID_ARGUMENT, "no plan");
    CHECK(aiter_paged_attn_decode(&good, NULL) == AITER_OK, "the good arguments: %s",
          aiter_last_error());
    problem_free(&p);
}

static const tensor_field gqa_fields[] = {
    FIELD(aiter_grouped_query_attention_args, q, 1, 0, AITER_I8),
    FIELD(aiter_grouped_query_attention_args, k, 1, 0, AITER_I8),
    FIELD(aiter_grouped_query_attention_args, v, 1, 0, AITER_I32),
    FIELD(aiter_grouped_query_attention_args, out, 1, 1, AITER_I8),
    FIELD(aiter_grouped_query_attention_args, lse, 0, 1, AITER_F16),
};
static const tensor_field varlen_fields[] = {
    FIELD(aiter_variable_length_attention_args, q, 1, 0, AITER_I8),
    FIELD(aiter_variable_length_attention_args, k, 1, 0, AITER_I8),
    FIELD(aiter_variable_length_attention_args, v, 1, 0, AITER_I32),
    FIELD(aiter_variable_length_attention_args, out, 1, 1, AITER_I8),
    FIELD(aiter_variable_length_attention_args, lse, 0, 1, AITER_F16),
    FIELD(aiter_variable_length_attention_args, cu_seqlens_q, 1, 0, AITER_I64),
    FIELD(aiter_variable_length_attention_args, cu_seqlens_k, 0, 0, AITER_I64),
};
static const tensor_field one_fields[] = {
    FIELD(aiter_decode_attention_args, q, 1, 0, AITER_I8),
    FIELD(aiter_decode_attention_args, k, 1, 0, AITER_I8),
    FIELD(aiter_decode_attention_args, v, 1, 0, AITER_I8),
    FIELD(aiter_decode_attention_args, out, 1, 1, AITER_I8),
};

static void short_forms(void)
{
    static attn_problem p;
    const struct {
        subject s;
        attn_op op;
        const tensor_field *fields;
        int n;
    } forms[] = {
        {SUBJECT(grouped_query_attention, &p), OP_GQA, gqa_fields, COUNT(gqa_fields)},
        {SUBJECT(multi_query_attention, &p), OP_MQA, gqa_fields, COUNT(gqa_fields)},
        {SUBJECT(variable_length_attention, &p), OP_VARLEN, varlen_fields, COUNT(varlen_fields)},
        {SUBJECT(decode_attention, &p), OP_DECODE_ONE, one_fields, COUNT(one_fields)},
        {SUBJECT(decode_attention_gqa, &p), OP_DECODE_GQA, one_fields, COUNT(one_fields)},
    };
    int i;
    for (i = 0; i < COUNT(forms); i++) {
        attn_case c = {.op = forms[i].op, .b = 2, .hq = 4, .hk = 2, .sq = 5, .sk = 21, .dq = 8};
        attn_call call;
        any_args good, a;
        subject s = forms[i].s;
        memset(&call, 0, sizeof call);
        memset(&good, 0, sizeof good);
        if (c.op == OP_VARLEN) c.form = FORM_VARLEN;
        if (c.op == OP_MQA || c.op == OP_DECODE_ONE) c.hk = 1;
        if (c.op >= OP_DECODE_ONE) c.b = c.sq = 1;
        if (c.op == OP_DECODE_ONE) c.hq = 1;
        problem_new(&p, &c);
        problem_store(&p, SLACK_NAN);
        SHORT_ARGS(good.gqa, &p, &call);
        if (c.op == OP_GQA || c.op == OP_MQA) {
            MASK_ARGS(good.gqa, &p);
        } else if (c.op == OP_VARLEN) {
            SHORT_ARGS(good.varlen, &p, &call);
            MASK_ARGS(good.varlen, &p);
            good.varlen.cu_seqlens_q = p.cu_q;
            good.varlen.cu_seqlens_k = p.cu_k;
        } else {
            SHORT_ARGS(good.one, &p, &call);
        }
        tensors(&s, &good, forms[i].fields, forms[i].n);
        CHECK(s.run(NULL, NULL) == AITER_INVALID_ARGUMENT && strstr(aiter_last_error(), s.op),
              "%s of NULL", s.op);
        CHECK(s.workspace(&good, NULL, NULL) == AITER_INVALID_ARGUMENT, "no place");
        CHECK(s.run(&good, NULL) == AITER_OK, "the good arguments: %s", aiter_last_error());
        if (c.op == OP_GQA || c.op == OP_MQA) {
            INVALID("mask", a.gqa.mask = AITER_MASK_COUNT);
            INVALID("window_left", (a.gqa.mask = AITER_MASK_WINDOW, a.gqa.window_left = -9));
            INVALID("softmax_scale", a.gqa.softmax_scale = -1);
            INVALID_DATA("out", a.gqa.out.data = a.gqa.v.data);
            if (c.op == OP_MQA) INVALID("k", a.gqa.k.shape[2] = a.gqa.v.shape[2] = 2);
        } else if (c.op == OP_VARLEN) {
            INVALID("softmax_scale", a.varlen.softmax_scale = -1);
            INVALID("max_seqlen_q", a.varlen.max_seqlen_q = -1);
            INVALID_DATA("cu_seqlens_q",
                         a.varlen.cu_seqlens_q = with_entry(a.varlen.cu_seqlens_q, 1, 12));
            INVALID_DATA("cu_seqlens_k",
                         a.varlen.cu_seqlens_k = with_entry(a.varlen.cu_seqlens_k, 1, -1));
        } else {
            INVALID("softmax_scale", a.one.softmax_scale = -1);
            INVALID("v", a.one.v.shape[a.one.v.ndim - 1] = 20);
            INVALID_DATA("out", a.one.out.data = a.one.q.data);
        }
        problem_free(&p);
    }
}

/* ---- cache and merge ---- */

static const tensor_field cache_fields[] = {
    FIELD(aiter_reshape_and_cache_args, k, 1, 0, AITER_I8),
    FIELD(aiter_reshape_and_cache_args, v, 1, 0, AITER_I8),
    FIELD(aiter_reshape_and_cache_args, k_cache, 1, 1, AITER_I32),
    FIELD(aiter_reshape_and_cache_args, v_cache, 1, 1, AITER_I32),
    FIELD(aiter_reshape_and_cache_args, slot_mapping, 1, 0, AITER_F32),
    FIELD(aiter_reshape_and_cache_args, k_scale, 1, 0, AITER_F16),
    FIELD(aiter_reshape_and_cache_args, v_scale, 1, 0, AITER_F16),
};

static void cache(aiter_quant quant)
{
    attn_problem p;
    any_args all;
    aiter_reshape_and_cache_args good, a;
    subject s = SUBJECT(reshape_and_cache, &p);
    aiter_dtype type = quant ? AITER_I8 : AITER_F16;
    int32_t slots[3] = {5, -1, 11};
    int i;
    memset(&p, 0, sizeof p);
    memset(&all, 0, sizeof all);
    good = all.cache;
    good.quant = quant;
    good.k = aiter_tensor_3d(problem_buffer(&p, 3 * 2 * 8 * 4, 0)->data, AITER_F32, 3, 2, 8);
    good.v = aiter_tensor_3d(problem_buffer(&p, 3 * 2 * 8 * 4, 0)->data, AITER_F32, 3, 2, 8);
    good.k_cache =
        aiter_tensor_4d(problem_buffer(&p, 3 * 4 * 2 * 8 * 2, 9)->data, type, 3, 4, 2, 8);
    good.v_cache =
        aiter_tensor_4d(problem_buffer(&p, 3 * 4 * 2 * 8 * 2, 9)->data, type, 3, 4, 2, 8);
    good.slot_mapping = aiter_tensor_1d(problem_buffer(&p, 12, 0)->data, AITER_I32, 3);
    memcpy(good.slot_mapping.data, slots, 12);
    for (i = 0; quant && i < 2; i++) {
        aiter_tensor *t = i ? &good.v_scale : &good.k_scale;
        float one[2] = {1, 1};
        *t = aiter_tensor_1d(problem_buffer(&p, 8, 0)->data, AITER_F32, 2);
        memcpy(t->data, one, 8);
        if (quant == AITER_QUANT_PER_TOKEN_HEAD) {
            *t = aiter_tensor_3d(problem_buffer(&p, 3 * 4 * 2 * 4, 9)->data, AITER_F32, 3, 4, 2);
        }
    }
    all.cache = good;
    tensors(&s, &all, cache_fields, COUNT(cache_fields));
    INVALID("quant", a.quant = (aiter_quant)7);
    INVALID("quant", a.quant = (aiter_quant)-1);
    INVALID("v", a.v.dtype = AITER_F16);
    INVALID("v", a.v.shape[0] = 2);
    INVALID("v_cache", a.v_cache.dtype = quant ? AITER_F32 : AITER_BF16);
    INVALID("k_cache", a.k_cache.shape[2] = 1);
    INVALID("v_cache", a.v_cache.shape[1] = 3);
    INVALID("k_cache", a.k_cache.shape[3] = 4);
    INVALID("slot_mapping", a.slot_mapping.shape[0] = 2);
    INVALID("k_cache", a.k_cache.dtype = a.v_cache.dtype = quant ? AITER_F16 : AITER_I8);
    INVALID_DATA("slot_mapping", a.slot_mapping = with_entry(a.slot_mapping, 0, -2));
    INVALID_DATA("slot_mapping", a.slot_mapping = with_entry(a.slot_mapping, 2, 12));
    INVALID_DATA("slot_mapping", a.slot_mapping = with_entry(a.slot_mapping, 2, INT32_MAX));
    INVALID_DATA("slot_mapping", a.slot_mapping = with_entry(a.slot_mapping, 2, 5));
    INVALID_DATA("cache", a.v_cache.data = a.k_cache.data);
    INVALID_DATA("k_cache", a.k_cache.data = a.k.data);
    if (!quant) INVALID("k_scale", a.k_scale = aiter_tensor_1d(slots, AITER_F32, 1));
    if (quant == AITER_QUANT_STATIC) {
        static const uint32_t wrong[] = {0, 0x80000000u, 0xBF800000u, 0x7FC00000u, 0x7F800000u};
        for (i = 0; i < COUNT(wrong); i++) {
            INVALID_DATA("k_scale", a.k_scale = with_entry(a.k_scale, 1, (int32_t)wrong[i]));
            INVALID_DATA("v_scale", a.v_scale = with_entry(a.v_scale, 0, (int32_t)wrong[i]));
        }
        INVALID("k_scale", a.k_scale.shape[0] = 3);
    }
    if (quant == AITER_QUANT_PER_TOKEN_HEAD) {
        INVALID("k_scale", a.k_scale.shape[2] = 1);
        INVALID_DATA("k_scale", a.k_scale.data = a.v_scale.data);
    }
    CHECK(aiter_reshape_and_cache(NULL, NULL) == AITER_INVALID_ARGUMENT, "NULL args");
    CHECK(aiter_reshape_and_cache(&good, NULL) == AITER_OK, "the good arguments: %s",
          aiter_last_error());
    problem_unstore(&p);
}

static const tensor_field merge_fields[] = {
    FIELD(aiter_merge_attn_states_args, out_a, 1, 0, AITER_I8),
    FIELD(aiter_merge_attn_states_args, out_b, 1, 0, AITER_I8),
    FIELD(aiter_merge_attn_states_args, lse_a, 1, 0, AITER_F16),
    FIELD(aiter_merge_attn_states_args, lse_b, 1, 0, AITER_F16),
    FIELD(aiter_merge_attn_states_args, out, 1, 1, AITER_I8),
    FIELD(aiter_merge_attn_states_args, lse, 0, 1, AITER_F16),
};

static void merge(void)
{
    attn_problem p;
    any_args all;
    aiter_merge_attn_states_args good, a;
    subject s = SUBJECT(merge_attn_states, &p);
    memset(&p, 0, sizeof p);
    memset(&all, 0, sizeof all);
    good = all.merge;
    good.out_a =
        aiter_tensor_4d(problem_buffer(&p, 2 * 3 * 4 * 8 * 4, 0)->data, AITER_F32, 2, 3, 4, 8);
    good.out_b =
        aiter_tensor_4d(problem_buffer(&p, 2 * 3 * 4 * 8 * 4, 0)->data, AITER_F32, 2, 3, 4, 8);
    good.out =
        aiter_tensor_4d(problem_buffer(&p, 2 * 3 * 4 * 8 * 4, 9)->data, AITER_F32, 2, 3, 4, 8);
    good.lse_a = aiter_tensor_3d(problem_buffer(&p, 2 * 4 * 3 * 4, 0)->data, AITER_F32, 2, 4, 3);
    good.lse_b = aiter_tensor_3d(problem_buffer(&p, 2 * 4 * 3 * 4, 0)->data, AITER_F32, 2, 4, 3);
    good.lse = aiter_tensor_3d(problem_buffer(&p, 2 * 4 * 3 * 4, 9)->data, AITER_F32, 2, 4, 3);
    all.merge = good;
    tensors(&s, &all, merge_fields, COUNT(merge_fields)); /* its workspace query looks at nothing */
    INVALID_DATA("out_b", a.out_b.shape[2] = 3);
    INVALID_DATA("lse_a", a.lse_a.shape[1] = 3);
    INVALID_DATA("lse_b", a.lse_b.shape[2] = 4);
    INVALID_DATA("out", a.out.shape[3] = 7);
    INVALID_DATA("lse", a.lse.shape[0] = 1);
    INVALID_DATA("out", a.out.data = a.out_b.data);
    INVALID_DATA("out", a.out.data = (char *)a.out_a.data + 4);
    INVALID_DATA("out", a.out.data = a.lse_a.data);
    INVALID_DATA("lse", a.lse.data = a.lse_b.data);
    INVALID_DATA("lse", a.lse.data = a.out.data);
    CHECK(aiter_merge_attn_states(NULL, NULL) == AITER_INVALID_ARGUMENT, "NULL args");
    CHECK(aiter_merge_attn_states_workspace(&good, NULL, NULL) == AITER_INVALID_ARGUMENT, "place");
    CHECK(aiter_merge_attn_states(&good, NULL) == AITER_OK, "%s", aiter_last_error());
    problem_unstore(&p);
}

int main(void)
{
    int quant;
    test_begin("arguments_ops", 1);
    decode(1, 0);
    decode(3, 0);
    decode(3, 1);
    short_forms();
    for (quant = 0; quant < AITER_QUANT_COUNT; quant++) cache((aiter_quant)quant);
    merge();
    return test_end();
}
