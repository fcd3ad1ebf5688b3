/* test_arguments_ops.c -- what is particular to each of the other ops, made wrong one at a time;
 * what all ops share is in test_op_sweeps.c. */
#include "op_good.h"

static op_case g; /* the good arguments, and their memory */

static void good_again(const char *op)
{
    CHECK(g.op->run(&g.args, NULL) == AITER_OK, "the good arguments of %s: %s", op,
          aiter_last_error());
    op_case_free(&g);
}

static const int negative[] = {-1, -2, -3, -100, INT32_MIN};

static void decode(int variant)
{
    aiter_paged_attn_decode_args good, a;
    subject s = SUBJECT(DECODE, &g.p);
    float nan = float_of_bits(0x7FC00000u);
    int i;
    op_good(&g, OP_DECODE, variant);
    good = g.args.paged_attn_decode;
    INVALID("mask", a.mask = (aiter_mask)17);
    INVALID("window_left", (a.mask = AITER_MASK_WINDOW, a.window_left = -2));
    INVALID("window_right", (a.mask = AITER_MASK_WINDOW, a.window_right = -2));
    INVALID("AITER_MASK_WINDOW", a.window_left = 4095);
    INVALID("AITER_MASK_WINDOW", a.window_right = 2);
    for (i = 0; i < COUNT(negative); i++) INVALID("sink_tokens", a.sink_tokens = negative[i]);
    for (i = 0; i < COUNT(negative); i++) {
        INVALID("scale_kind", a.scale_kind = (aiter_scale_kind)negative[i]);
        INVALID("scale_kind", a.scale_kind = (aiter_scale_kind)(AITER_SCALE_COUNT + i));
    }
    for (i = AITER_MASK_DEFAULT; i <= AITER_MASK_CAUSAL; i++) {
        INVALID("seq_lens: is absent (ndim 0)", (a.seq_lens.ndim = 0, a.mask = (aiter_mask)i));
        INVALID("block_table: is absent (ndim 0)",
                (a.block_table.ndim = 0, a.mask = (aiter_mask)i));
    }
    INVALID("page size", a.k_cache.shape[1] = a.v_cache.shape[1] = 0);
    INVALID("softmax_scale", a.softmax_scale = nan);
    INVALID("softcap", a.softcap = -1);
    INVALID("num_splits", a.num_splits = -1);
    INVALID("max_seqlen_k", a.max_seqlen_k = -1);
    INVALID("v_cache", a.v_cache.dtype = AITER_BF16);
    INVALID("v_cache", a.v_cache.shape[1] = 3);
    INVALID("k_cache", a.k_cache.shape[3] = 7);
    INVALID("seq_lens", a.seq_lens.shape[0] = 1);
    INVALID("block_table", a.block_table.shape[0] = 3);
    INVALID("lse", a.lse.shape[0] += 1);
    INVALID("out", a.out.shape[0] = 1);
    INVALID_DATA("seq_lens", a.seq_lens = with_entry(a.seq_lens, 1, 1000));
    INVALID_DATA("seq_lens", a.seq_lens = with_entry(a.seq_lens, 0, -1));
    INVALID_DATA("seq_lens", a.max_seqlen_k = 20);
    INVALID_DATA("block_table", a.block_table = with_entry(a.block_table, 0, -1));
    INVALID_DATA("block_table", a.block_table = with_entry(a.block_table, 5, g.p.num_blocks));
    good_again("decode");
}

static void grouped(int op)
{
    aiter_grouped_query_attention_args good, a;
    subject s = {&op_table[op], &g.p};
    int n;
    op_good(&g, op, 0);
    good = g.args.grouped_query_attention;
    INVALID("mask", a.mask = AITER_MASK_COUNT);
    INVALID("window_left", (a.mask = AITER_MASK_WINDOW, a.window_left = -9));
    INVALID("AITER_MASK_WINDOW", (a.mask = AITER_MASK_CAUSAL, a.window_left = 64));
    INVALID("AITER_MASK_WINDOW", (a.mask = AITER_MASK_NONE, a.window_right = 64));
    INVALID("softmax_scale", a.softmax_scale = -1);
    for (n = 2; n < 14 && op == OP_MQA; n++) {
        INVALID("expected 1 kv head", a.k.shape[2] = a.v.shape[2] = n);
    }
    good_again("grouped and multi query attention");
}

static void varlen(void)
{
    aiter_variable_length_attention_args good, a;
    subject s = SUBJECT(VARLEN, &g.p);
    int i;
    op_good(&g, OP_VARLEN, 0);
    good = g.args.variable_length_attention;
    INVALID("softmax_scale", a.softmax_scale = -1);
    for (i = 0; i < COUNT(negative); i++) {
        INVALID("max_seqlen_q", a.max_seqlen_q = negative[i]);
        INVALID("max_seqlen_k", a.max_seqlen_k = negative[i]);
    }
    for (i = 0; i <= AITER_MASK_CAUSAL_TOP_LEFT; i++) {
        good.mask = (aiter_mask)i;
        INVALID("AITER_MASK_WINDOW", a.window_left = 1);
        INVALID("AITER_MASK_WINDOW", a.window_right = 1);
        INVALID("AITER_MASK_WINDOW", a.window_right = INT32_MAX);
        INVALID("AITER_MASK_WINDOW", a.window_right = INT32_MIN);
        INVALID("cu_seqlens_q: is absent (ndim 0)", a.cu_seqlens_q.ndim = 0);
        INVALID("cu_seqlens_k: is absent (ndim 0)", a.cu_seqlens_k.ndim = 0);
        INVALID("cu_seqlens_k: is absent (ndim 0)", memset(&a.cu_seqlens_k, 0, sizeof a.q));
        INVALID("cu_seqlens_q: is absent (ndim 0)", a.cu_seqlens_q.ndim = a.cu_seqlens_k.ndim = 0);
    }
    good.mask = AITER_MASK_WINDOW;
    for (i = 1; i < COUNT(negative); i++) {
        INVALID("window_left", a.window_left = negative[i]);
        INVALID("window_right", a.window_right = negative[i]);
    }
    INVALID_DATA("cu_seqlens_q", a.cu_seqlens_q = with_entry(a.cu_seqlens_q, 1, 12));
    INVALID_DATA("cu_seqlens_k", a.cu_seqlens_k = with_entry(a.cu_seqlens_k, 1, -1));
    good_again("varlen");
}

/* The caller's own indices in the texts of the transposed layouts. */
static void transposed(void)
{
    aiter_decode_attention_args good, a;
    subject s = SUBJECT(DECODE_ONE, &g.p);
    int n;
    op_good(&g, OP_DECODE_ONE, 0);
    good = g.args.decode_attention;
    INVALID("softmax_scale", a.softmax_scale = -1);
    for (n = 0; n < 20; n++) {
        INVALID("v: shape[1] is ", a.v.shape[1] = n);
        if (n != a.k.shape[0]) INVALID("v: shape[0] is ", a.v.shape[0] = n);
    }
    INVALID("k: shape[0] is 7", a.k.shape[0] = a.v.shape[0] = 7);
    for (n = 0; n < 12; n++) {
        if (n == 1) continue;
        INVALID("q: shape[1]", a.q.shape[1] = n);
        INVALID("q: shape[1]", a.q.shape[1] = a.out.shape[0] = n);
    }
    INVALID("out: shape[1] is 9", a.out.shape[1] = 9);
    good_again("decode_attention");
}

static void transposed_groups(void)
{
    aiter_decode_attention_gqa_args good, a;
    subject s = SUBJECT(DECODE_GQA, &g.p);
    int n;
    op_good(&g, OP_DECODE_GQA, 0);
    good = g.args.decode_attention_gqa;
    for (n = 0; n < 20; n++) {
        INVALID("v: shape[2] is ", a.v.shape[2] = n);
        if (n != a.k.shape[1]) INVALID("v: shape[1] is ", a.v.shape[1] = n);
        if (n != a.k.shape[0]) INVALID("v: shape[0] is ", a.v.shape[0] = n);
    }
    INVALID("heads", a.k.shape[0] = a.v.shape[0] = 3);
    INVALID("out: shape[0] is 5", a.out.shape[0] = 5);
    good_again("decode_attention_gqa");
}

/* ---- cache and merge ---- */

static aiter_tensor with_slot(aiter_tensor t, int at, int64_t value)
{
    static int64_t copy[64];
    memcpy(copy, t.data, (size_t)t.shape[0] * sizeof copy[0]);
    copy[at] = value;
    t.data = copy;
    return t;
}

/* Every scale that is read, of as many heads as the rows can be cut into. */
static void static_scales(const aiter_reshape_and_cache_args *cut)
{
    static const uint32_t wrong[] = {0,           0x80000000u, 0xBF800000u, 0x80000001u,
                                     0x7FC00000u, 0xFFC00000u, 0x7F800000u, 0xFF800000u,
                                     0x7F800001u, 0xFF7FFFFFu};
    subject s = SUBJECT(CACHE, &g.p);
    aiter_reshape_and_cache_args good = *cut, a;
    aiter_tensor *rows[] = {&good.k, &good.v}, *caches[] = {&good.k_cache, &good.v_cache};
    static float ones[16];
    int heads, h, i;
    for (i = 0; i < COUNT(ones); i++) ones[i] = 1;
    for (heads = 1; heads <= 16; heads *= 2) {
        for (i = 0; i < 2; i++) {
            rows[i]->shape[1] = caches[i]->shape[2] = heads;
            rows[i]->shape[2] = caches[i]->shape[3] = 16 / heads;
        }
        good.k_scale = good.v_scale = aiter_tensor_1d(ones, AITER_F32, heads);
        CHECK(aiter_reshape_and_cache(&good, NULL) == AITER_OK, "%s", aiter_last_error());
        for (h = 0; h < heads; h++) {
            for (i = 0; i < COUNT(wrong); i++) {
                INVALID_DATA("k_scale", a.k_scale = with_entry(a.k_scale, h, (int32_t)wrong[i]));
                INVALID_DATA("v_scale", a.v_scale = with_entry(a.v_scale, h, (int32_t)wrong[i]));
            }
        }
    }
}

/* Caches with as much memory again behind them: slots there are refused, and so are caches that
 * share any of it with each other or with the new rows. */
static void cache_memory(void)
{
    enum { SLOTS = 12 };
    static float arena[4 * SLOTS * 2 * 8], scales[2][2 * SLOTS * 2], rows[2 * SLOTS * 2 * 8];
    static char caches[2][2 * SLOTS * 2 * 8 * 4];
    subject s = SUBJECT(CACHE, &g.p);
    aiter_reshape_and_cache_args good = g.args.reshape_and_cache, a;
    const int shift = (int)aiter_dtype_bits(good.k_cache.dtype) / 8;
    int i, n;
    good.k_cache.data = caches[0];
    good.v_cache.data = caches[1];
    if (good.quant == AITER_QUANT_PER_TOKEN_HEAD) {
        good.k_scale.data = scales[0];
        good.v_scale.data = scales[1];
    }
    for (i = 0; i < SLOTS; i++) {
        for (n = SLOTS; n < 2 * SLOTS; n += 3) {
            INVALID_DATA("slot_mapping", a.slot_mapping = with_slot(a.slot_mapping, i, n));
        }
        INVALID_DATA("slot_mapping", a.slot_mapping = with_slot(a.slot_mapping, i, SLOTS));
    }
    memcpy(rows, good.k.data, (size_t)(SLOTS * 2 * 8) * sizeof rows[0]);
    for (i = -6; i <= 6; i++) {
        INVALID_DATA("shares memory", (a.k_cache.data = (char *)(arena + 400) + i * shift,
                                       a.v_cache.data = arena + 400));
        INVALID_DATA("shares memory",
                     (a.k.data = rows + 100, a.v_cache.data = (char *)(rows + 100) + i * shift));
    }
}

/* Rows that the scratch has no room for, modes that there are not. */
static void cache_extents(void)
{
    static const int64_t dims[] = {0, 577, 578, 640, 1024, 1152, 2304};
    static const int modes[] = {AITER_QUANT_COUNT, AITER_QUANT_COUNT + 1, 7, -1, -2, INT32_MAX,
                                INT32_MIN};
    subject s = SUBJECT(CACHE, &g.p);
    aiter_reshape_and_cache_args good = g.args.reshape_and_cache, a;
    int i;
    for (i = 0; i < COUNT(dims); i++) {
        INVALID("k: shape[2], the head_dim", a.k.shape[2] = a.k_cache.shape[3] = dims[i]);
        INVALID("v: shape[2], the head_dim", a.v.shape[2] = a.v_cache.shape[3] = dims[i]);
    }
    for (i = 0; i < COUNT(modes); i++) INVALID("quant: ", a.quant = (aiter_quant)modes[i]);
}

/* Caches of two float types, whatever the type of the new rows. */
static void cache_types(aiter_reshape_and_cache_args good)
{
    subject s = SUBJECT(CACHE, &g.p);
    aiter_reshape_and_cache_args a;
    int from, to;
    for (from = AITER_F32; from <= AITER_BF16; from++) {
        good.k.dtype = good.v.dtype = (aiter_dtype)from;
        for (to = AITER_F32; to <= AITER_BF16; to++) {
            if (to != AITER_F16) INVALID("v_cache: dtype", a.v_cache.dtype = (aiter_dtype)to);
            if (to != AITER_F16) INVALID("v_cache: dtype", a.k_cache.dtype = (aiter_dtype)to);
        }
    }
}

static void cache(aiter_quant quant)
{
    aiter_reshape_and_cache_args good, a;
    subject s = SUBJECT(CACHE, &g.p);
    op_good(&g, OP_CACHE, quant);
    good = g.args.reshape_and_cache;
    cache_memory();
    cache_extents();
    if (!quant) cache_types(good);
    INVALID("v", a.v.dtype = AITER_F16);
    INVALID("v", a.v.shape[0] = 2);
    INVALID("v_cache", a.v_cache.dtype = quant ? AITER_F32 : AITER_BF16);
    INVALID("k_cache", a.k_cache.shape[2] = 1);
    INVALID("v_cache", a.v_cache.shape[1] = 3);
    INVALID("k_cache", a.k_cache.shape[3] = 4);
    INVALID("slot_mapping", a.slot_mapping.shape[0] = 2);
    INVALID("k_cache", a.k_cache.dtype = a.v_cache.dtype = quant ? AITER_F16 : AITER_I8);
    INVALID_DATA("slot_mapping", a.slot_mapping = with_slot(a.slot_mapping, 0, -2));
    INVALID_DATA("slot_mapping", a.slot_mapping = with_slot(a.slot_mapping, 11, INT64_MIN));
    INVALID_DATA("slot_mapping", a.slot_mapping = with_slot(a.slot_mapping, 3, INT64_C(1) << 32));
    INVALID_DATA("slot_mapping", a.slot_mapping = with_slot(a.slot_mapping, 2, 12));
    INVALID_DATA("slot_mapping", a.slot_mapping = with_slot(a.slot_mapping, 2, INT64_MAX));
    INVALID_DATA("slot_mapping", a.slot_mapping = with_slot(a.slot_mapping, 2, 8));
    if (!quant) INVALID("k_scale", a.k_scale = aiter_tensor_1d(a.k.data, AITER_F32, 1));
    if (quant == AITER_QUANT_STATIC) {
        static_scales(&good);
        INVALID("k_scale", a.k_scale.shape[0] = 3);
    }
    if (quant == AITER_QUANT_PER_TOKEN_HEAD) { INVALID("k_scale", a.k_scale.shape[2] = 1); }
    good_again("cache");
}

static void merge(void)
{
    aiter_merge_attn_states_args good, a;
    subject s = SUBJECT(MERGE, &g.p);
    op_good(&g, OP_MERGE, 0);
    good = g.args.merge_attn_states;
    INVALID_DATA("out_b", a.out_b.shape[2] = 3);
    INVALID_DATA("lse_a", a.lse_a.shape[1] = 3);
    INVALID_DATA("lse_b", a.lse_b.shape[2] = 4);
    INVALID_DATA("out", a.out.shape[3] = 7);
    INVALID_DATA("lse", a.lse.shape[0] = 1);
    INVALID_DATA("out_a", a.out_a.shape[0] = (int64_t)1 << 31);
    good_again("merge");
}

int main(void)
{
    int i;
    test_begin("arguments_ops", 1);
    for (i = 0; i < 3; i++) decode(i);
    grouped(OP_GQA);
    grouped(OP_MQA);
    varlen();
    transposed();
    transposed_groups();
    for (i = 0; i < AITER_QUANT_COUNT; i++) cache((aiter_quant)i);
    merge();
    return test_end();
}
