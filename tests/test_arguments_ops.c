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
    INVALID("mask", a.score.mask = (aiter_mask)17);
    INVALID("window_left", (a.score.mask = AITER_MASK_WINDOW, a.score.window_left = -2));
    INVALID("window_right", (a.score.mask = AITER_MASK_WINDOW, a.score.window_right = -2));
    INVALID("AITER_MASK_WINDOW", a.score.window_left = 4095);
    INVALID("AITER_MASK_WINDOW", a.score.window_right = 2);
    for (i = 0; i < COUNT(negative); i++) INVALID("sink_tokens", a.score.sink_tokens = negative[i]);
    for (i = 0; i < COUNT(negative); i++) {
        INVALID("k_scale_kind", a.kv.k_scale_kind = (aiter_scale_kind)negative[i]);
        INVALID("v_scale_kind", a.kv.v_scale_kind = (aiter_scale_kind)(AITER_SCALE_COUNT + i));
    }
    for (i = AITER_MASK_DEFAULT; i <= AITER_MASK_CAUSAL; i++) {
        INVALID("seq_lens: is absent (ndim 0)",
                (a.kv.seq_lens.ndim = 0, a.score.mask = (aiter_mask)i));
        INVALID("block_table: is absent (ndim 0)",
                (a.kv.block_table.ndim = 0, a.score.mask = (aiter_mask)i));
    }
    INVALID("page size", a.kv.k.shape[1] = a.kv.v.shape[1] = 0);
    INVALID("softmax_scale", a.score.softmax_scale = nan);
    INVALID("softcap", a.score.softcap = -1);
    INVALID("num_splits", a.num_splits = -1);
    INVALID("kv.max_seqlen", a.kv.max_seqlen = -1);
    INVALID("kv.v", a.kv.v.shape[1] = 3);
    INVALID("kv.k", a.kv.k.shape[3] = 7);
    INVALID("seq_lens", a.kv.seq_lens.shape[0] = 1);
    INVALID("block_table", a.kv.block_table.shape[0] = 3);
    INVALID("lse", a.lse.shape[0] += 1);
    INVALID("out", a.out.shape[0] = 1);
    INVALID_DATA("seq_lens", a.kv.seq_lens = with_entry(a.kv.seq_lens, 1, 1000));
    INVALID_DATA("seq_lens", a.kv.seq_lens = with_entry(a.kv.seq_lens, 0, -1));
    INVALID_DATA("seq_lens", a.kv.max_seqlen = 20);
    INVALID_DATA("block_table", a.kv.block_table = with_entry(a.kv.block_table, 0, -1));
    INVALID_DATA("block_table", a.kv.block_table = with_entry(a.kv.block_table, 5, g.p.num_blocks));
    for (i = 1; i < 7; i++) {
        const aiter_tensor ints = aiter_tensor_1d(good.q.data, AITER_I32, i);
        INVALID("cu_seqlens_q: expected none", a.cu_seqlens_q = ints);
        INVALID("seqused_q: expected none", a.seqused_q = ints);
        INVALID("kv.cu_seqlens: expected none", a.kv.cu_seqlens = ints);
    }
    good_again("decode");
}

/* Lists of pages in place of the table, with one thing wrong. */
static void decode_lists(int lists)
{
    attn_case c = base(FORM_PAGED);
    attn_call call;
    aiter_paged_attn_decode_args good, a;
    subject s = SUBJECT(DECODE, &g.p);
    int i;
    memset(&call, 0, sizeof call);
    memset(&g, 0, sizeof g);
    c.op = OP_DECODE;
    c.lists = lists;
    g.op = &op_table[OP_DECODE];
    problem_new(&g.p, &c);
    problem_store(&g.p, SLACK_NAN);
    g.op->fill(&g.args, &g.p, &call);
    good = g.args.paged_attn_decode;
    for (i = 0; i < 2; i++) {
        if (lists == 1) {
            INVALID_DATA("kv.last_page_lens: [",
                         a.kv.last_page_lens = with_entry(a.kv.last_page_lens, i, 0));
            INVALID_DATA("kv.last_page_lens: [",
                         a.kv.last_page_lens = with_entry(a.kv.last_page_lens, i, 5));
        } else {
            INVALID_DATA("kv.seq_lens: [", a.kv.seq_lens = with_entry(a.kv.seq_lens, i, 25));
        }
    }
    for (i = 1; i < 6; i++) {
        const aiter_tensor table = aiter_tensor_2d(good.kv.indices.data, AITER_I32, 2, i);
        const aiter_tensor ints = aiter_tensor_1d(good.kv.indices.data, AITER_I32, i);
        INVALID("kv.indptr: expected none", a.kv.block_table = table);
        INVALID("kv.cu_seqlens: expected none", a.kv.cu_seqlens = ints);
        if (lists == 1) INVALID("kv.last_page_lens: expected none", a.kv.seq_lens = ints);
    }
    INVALID("kv.indices", a.kv.indices.ndim = 0);
    INVALID("kv.last_page_lens: expected I32", a.kv.last_page_lens.ndim = a.kv.seq_lens.ndim = 0);
    if (lists == 1) INVALID("kv.", a.kv.indptr.ndim = 0);
    good_again("decode over lists");
}

static void grouped(int op)
{
    aiter_grouped_query_attention_args good, a;
    subject s = {&op_table[op], &g.p};
    int n;
    op_good(&g, op, 0);
    good = g.args.grouped_query_attention;
    INVALID("mask", a.score.mask = AITER_MASK_COUNT);
    INVALID("window_left", (a.score.mask = AITER_MASK_WINDOW, a.score.window_left = -9));
    INVALID("AITER_MASK_WINDOW", (a.score.mask = AITER_MASK_CAUSAL, a.score.window_left = 64));
    INVALID("AITER_MASK_WINDOW", (a.score.mask = AITER_MASK_NONE, a.score.window_right = 64));
    INVALID("softmax_scale", a.score.softmax_scale = -1);
    for (n = 2; n < 14 && op == OP_MQA; n++) {
        INVALID("expected 1 kv head", a.kv.k.shape[2] = a.kv.v.shape[2] = n);
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
    INVALID("softmax_scale", a.score.softmax_scale = -1);
    for (i = 0; i < COUNT(negative); i++) {
        INVALID("max_seqlen_q", a.max_seqlen_q = negative[i]);
        INVALID("kv.max_seqlen", a.kv.max_seqlen = negative[i]);
    }
    for (i = 0; i <= AITER_MASK_CAUSAL_TOP_LEFT; i++) {
        good.score.mask = (aiter_mask)i;
        INVALID("AITER_MASK_WINDOW", a.score.window_left = 1);
        INVALID("AITER_MASK_WINDOW", a.score.window_right = 1);
        INVALID("AITER_MASK_WINDOW", a.score.window_right = INT32_MAX);
        INVALID("AITER_MASK_WINDOW", a.score.window_right = INT32_MIN);
        INVALID("cu_seqlens_q: is absent (ndim 0)", a.cu_seqlens_q.ndim = 0);
        INVALID("kv.cu_seqlens: is absent (ndim 0)", a.kv.cu_seqlens.ndim = 0);
        INVALID("kv.cu_seqlens: is absent (ndim 0)", memset(&a.kv.cu_seqlens, 0, sizeof a.q));
        INVALID("cu_seqlens_q: is absent (ndim 0)", a.cu_seqlens_q.ndim = a.kv.cu_seqlens.ndim = 0);
    }
    good.score.mask = AITER_MASK_WINDOW;
    for (i = 1; i < COUNT(negative); i++) {
        INVALID("window_left", a.score.window_left = negative[i]);
        INVALID("window_right", a.score.window_right = negative[i]);
    }
    INVALID_DATA("cu_seqlens_q", a.cu_seqlens_q = with_entry(a.cu_seqlens_q, 1, 12));
    INVALID_DATA("kv.cu_seqlens", a.kv.cu_seqlens = with_entry(a.kv.cu_seqlens, 1, -1));
    good_again("varlen");
}

/* Lengths, tables and an lse have no place in the transposed layouts. */
static void transposed_fields(const subject *subject_of, aiter_attention_args good)
{
    subject s = *subject_of;
    aiter_attention_args a;
    aiter_plan plan;
    int n;
    memset(&plan, 0, sizeof plan);
    INVALID("call.plan: expected none", a.call.plan = &plan);
    for (n = 1; n < 7; n++) {
        const aiter_tensor ints = aiter_tensor_1d(good.q.data, AITER_I32, n);
        INVALID("lse: expected none", a.lse = aiter_tensor_1d(good.q.data, AITER_F32, n));
        INVALID("cu_seqlens_q: expected none", a.cu_seqlens_q = ints);
        INVALID("seqused_q: expected none", a.seqused_q = ints);
        INVALID("kv.cu_seqlens: expected none", a.kv.cu_seqlens = ints);
        INVALID("kv.seq_lens: expected none", a.kv.seq_lens = ints);
        INVALID("kv.indptr: expected none", a.kv.indptr = ints);
        INVALID("kv.indices: expected none: the layout", a.kv.indices = ints);
        INVALID("kv.last_page_lens: expected none: the layout", a.kv.last_page_lens = ints);
        INVALID("kv.block_table: expected none",
                a.kv.block_table = aiter_tensor_2d(good.q.data, AITER_I32, 1, n));
    }
}

/* The caller's own indices in the texts of the transposed layouts. */
static void transposed(void)
{
    aiter_decode_attention_args good, a;
    subject s = SUBJECT(DECODE_ONE, &g.p);
    int n;
    op_good(&g, OP_DECODE_ONE, 0);
    good = g.args.decode_attention;
    INVALID("softmax_scale", a.score.softmax_scale = -1);
    for (n = 0; n < 20; n++) {
        INVALID("v: shape[1] is ", a.kv.v.shape[1] = n);
        if (n != a.kv.k.shape[0]) INVALID("v: shape[0] is ", a.kv.v.shape[0] = n);
    }
    INVALID("k: shape[0] is 7", a.kv.k.shape[0] = a.kv.v.shape[0] = 7);
    for (n = 0; n < 12; n++) {
        if (n == 1) continue;
        INVALID("q: shape[1]", a.q.shape[1] = n);
        INVALID("q: shape[1]", a.q.shape[1] = a.out.shape[0] = n);
    }
    INVALID("out: shape[1] is 9", a.out.shape[1] = 9);
    transposed_fields(&s, good);
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
        INVALID("v: shape[2] is ", a.kv.v.shape[2] = n);
        if (n != a.kv.k.shape[1]) INVALID("v: shape[1] is ", a.kv.v.shape[1] = n);
        if (n != a.kv.k.shape[0]) INVALID("v: shape[0] is ", a.kv.v.shape[0] = n);
    }
    INVALID("heads", a.kv.k.shape[0] = a.kv.v.shape[0] = 3);
    INVALID("out: shape[0] is 5", a.out.shape[0] = 5);
    transposed_fields(&s, good);
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
    aiter_tensor *rows[] = {&good.k, &good.v}, *caches[] = {&good.kv.k, &good.kv.v};
    static float ones[16];
    int heads, h, i;
    for (i = 0; i < COUNT(ones); i++) ones[i] = 1;
    for (heads = 1; heads <= 16; heads *= 2) {
        for (i = 0; i < 2; i++) {
            rows[i]->shape[1] = caches[i]->shape[2] = heads;
            rows[i]->shape[2] = caches[i]->shape[3] = 16 / heads;
        }
        good.kv.k_scale = good.kv.v_scale = aiter_tensor_1d(ones, AITER_F32, heads);
        CHECK(aiter_reshape_and_cache(&good, NULL) == AITER_OK, "%s", aiter_last_error());
        for (h = 0; h < heads; h++) {
            for (i = 0; i < COUNT(wrong); i++) {
                INVALID_DATA("k_scale",
                             a.kv.k_scale = with_entry(a.kv.k_scale, h, (int32_t)wrong[i]));
                INVALID_DATA("v_scale",
                             a.kv.v_scale = with_entry(a.kv.v_scale, h, (int32_t)wrong[i]));
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
    const int shift = (int)aiter_dtype_bits(good.kv.k.dtype) / 8;
    int i, n;
    good.kv.k.data = caches[0];
    good.kv.v.data = caches[1];
    if (good.quantisation.to == AITER_I8 && !good.quantisation.scale_given) {
        good.kv.k_scale.data = scales[0];
        good.kv.v_scale.data = scales[1];
    }
    for (i = 0; i < SLOTS; i++) {
        for (n = SLOTS; n < 2 * SLOTS; n += 3) {
            INVALID_DATA("slot_mapping", a.slot_mapping = with_slot(a.slot_mapping, i, n));
        }
        INVALID_DATA("slot_mapping", a.slot_mapping = with_slot(a.slot_mapping, i, SLOTS));
    }
    memcpy(rows, good.k.data, (size_t)(SLOTS * 2 * 8) * sizeof rows[0]);
    for (i = -6; i <= 6; i++) {
        INVALID_DATA("shares memory",
                     (a.kv.k.data = (char *)(arena + 400) + i * shift, a.kv.v.data = arena + 400));
        INVALID_DATA("shares memory",
                     (a.k.data = rows + 100, a.kv.v.data = (char *)(rows + 100) + i * shift));
    }
}

/* Rows that the scratch has no room for. */
static void cache_extents(void)
{
    static const int64_t dims[] = {0, 577, 578, 640, 1024, 1152, 2304};
    subject s = SUBJECT(CACHE, &g.p);
    aiter_reshape_and_cache_args good = g.args.reshape_and_cache, a;
    int i;
    for (i = 0; i < COUNT(dims); i++) {
        INVALID("k: shape[2], the head_dim", a.k.shape[2] = a.kv.k.shape[3] = dims[i]);
        INVALID("v: shape[2], the head_dim", a.v.shape[2] = a.kv.v.shape[3] = dims[i]);
    }
}

/* A cache of floats has no scales. */
static void quantisation_of_floats(void)
{
    subject s = SUBJECT(CACHE, &g.p);
    aiter_reshape_and_cache_args good = g.args.reshape_and_cache, a;
    int i, given;
    for (given = 0; given < 2; given++) {
        for (i = AITER_DTYPE_UNSET; i <= AITER_BF16; i++) {
            good.quantisation.to = (aiter_dtype)i;
            if (given) INVALID("quantisation.scale_given: is 1", a.quantisation.scale_given = 1);
            INVALID("quantisation.per: is 1", a.quantisation.per = AITER_KV_8BIT_PER_TENSOR);
            INVALID("quantisation.per: is 2", a.quantisation.per = AITER_KV_8BIT_PER_HEAD);
            INVALID("quantisation.per: is 3", a.quantisation.per = AITER_KV_8BIT_PER_TOKEN);
        }
    }
}

/* A granularity is one of its kind of scales, and the scales have its shape. */
static void quantisation_of_int8(int given)
{
    subject s = SUBJECT(CACHE, &g.p);
    aiter_reshape_and_cache_args good = g.args.reshape_and_cache, a;
    int n;
    INVALID("quantisation.to is unset",
            (a.quantisation.to = AITER_DTYPE_UNSET, a.quantisation.scale_given = 0));
    if (!given) {
        BAD(AITER_UNSUPPORTED, "quantisation.per", SEEN_BY_QUERY,
            a.quantisation.per = AITER_KV_8BIT_PER_TENSOR);
        BAD(AITER_UNSUPPORTED, "quantisation.per", SEEN_BY_QUERY,
            a.quantisation.per = AITER_KV_8BIT_PER_HEAD);
        return;
    }
    BAD(AITER_UNSUPPORTED, "quantisation.per", SEEN_BY_QUERY,
        a.quantisation.per = AITER_KV_8BIT_PER_TOKEN);
    good.quantisation.per = AITER_KV_8BIT_PER_HEAD;
    CHECK(aiter_reshape_and_cache(&good, NULL) == AITER_OK, "%s", aiter_last_error());
    for (n = 1; n < 12; n++) {
        if (n != 2) INVALID("kv.k_scale: shape[0]", a.kv.k_scale.shape[0] = n);
        if (n != 2) INVALID("kv.v_scale: shape[0]", a.kv.v_scale.shape[0] = n);
    }
    good.quantisation.per = AITER_KV_8BIT_PER_TENSOR;
    for (n = 2; n < 12; n++) {
        INVALID("kv.k_scale: shape[0]", a.kv.k_scale.shape[0] = a.kv.v_scale.shape[0] = n);
        INVALID("kv.v_scale: shape[0]", (a.kv.k_scale.shape[0] = 1, a.kv.v_scale.shape[0] = n));
    }
}

/* Quantisations that there are not, and those that another kind of cache has. */
static void cache_quantisations(void)
{
    static const int wrong[] = {
        AITER_DTYPE_COUNT, AITER_DTYPE_COUNT + 1, 31, 32, 99, -1, INT32_MAX, INT32_MIN, AITER_I32,
        AITER_U8};
    subject s = SUBJECT(CACHE, &g.p);
    aiter_reshape_and_cache_args good = g.args.reshape_and_cache, a;
    const int quantises = good.quantisation.to == AITER_I8;
    const int given = good.quantisation.scale_given;
    int i;
    for (i = 0; i < COUNT(wrong); i++)
        INVALID("quantisation.to: is", a.quantisation.to = (aiter_dtype)wrong[i]);
    for (i = 0; i < COUNT(negative); i++) {
        INVALID("quantisation.per: ", a.quantisation.per = (aiter_scale_kind)negative[i]);
        INVALID("quantisation.per: ",
                a.quantisation.per = (aiter_scale_kind)(AITER_SCALE_COUNT + i));
        INVALID("quantisation.scale_given: ", a.quantisation.scale_given = negative[i]);
        INVALID("quantisation.scale_given: ", a.quantisation.scale_given = 2 + i);
    }
    for (i = AITER_F32; i <= AITER_I4; i++) { /* each other type that rows may be stored as */
        if (i != (int)good.kv.k.dtype)
            INVALID("kv.k: dtype is", (a.quantisation.to = (aiter_dtype)i,
                                       a.quantisation.scale_given &= i > AITER_BF16));
    }
    if (quantises)
        quantisation_of_int8(given);
    else
        quantisation_of_floats();
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
            if (to != AITER_F16) INVALID("kv.v: dtype", a.kv.v.dtype = (aiter_dtype)to);
            if (to != AITER_F16) INVALID("kv.v: dtype", a.kv.k.dtype = (aiter_dtype)to);
        }
    }
}

static void cache(cache_mode quant)
{
    aiter_reshape_and_cache_args good, a;
    subject s = SUBJECT(CACHE, &g.p);
    op_good(&g, OP_CACHE, quant);
    good = g.args.reshape_and_cache;
    cache_memory();
    cache_extents();
    cache_quantisations();
    if (!quant) cache_types(good);
    INVALID("v", a.v.dtype = AITER_F16);
    INVALID("v", a.v.shape[0] = 2);
    INVALID("kv.v", a.kv.v.dtype = quant ? AITER_F32 : AITER_BF16);
    INVALID("kv.k", a.kv.k.shape[2] = 1);
    INVALID("kv.v", a.kv.v.shape[1] = 3);
    INVALID("kv.k", a.kv.k.shape[3] = 4);
    INVALID("slot_mapping", a.slot_mapping.shape[0] = 2);
    INVALID("kv.k", a.kv.k.dtype = a.kv.v.dtype = quant ? AITER_F16 : AITER_I8);
    INVALID("kv.k", a.kv.k.dtype = a.kv.v.dtype = AITER_I4);
    INVALID_DATA("slot_mapping", a.slot_mapping = with_slot(a.slot_mapping, 0, -2));
    INVALID_DATA("slot_mapping", a.slot_mapping = with_slot(a.slot_mapping, 11, INT64_MIN));
    INVALID_DATA("slot_mapping", a.slot_mapping = with_slot(a.slot_mapping, 3, INT64_C(1) << 32));
    INVALID_DATA("slot_mapping", a.slot_mapping = with_slot(a.slot_mapping, 2, 12));
    INVALID_DATA("slot_mapping", a.slot_mapping = with_slot(a.slot_mapping, 2, INT64_MAX));
    INVALID_DATA("slot_mapping", a.slot_mapping = with_slot(a.slot_mapping, 2, 8));
    if (!quant) INVALID("k_scale", a.kv.k_scale = aiter_tensor_1d(a.k.data, AITER_F32, 1));
    if (quant == CACHE_SCALE_GIVEN) {
        static_scales(&good);
        INVALID("k_scale", a.kv.k_scale.shape[0] = 3);
    }
    if (quant == CACHE_SCALE_COMPUTED) { INVALID("k_scale", a.kv.k_scale.shape[2] = 1); }
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
    for (i = 1; i < 3; i++) decode_lists(i);
    grouped(OP_GQA);
    grouped(OP_MQA);
    varlen();
    transposed();
    transposed_groups();
    for (i = 0; i < CACHE_MODES; i++) cache((cache_mode)i);
    merge();
    return test_end();
}
