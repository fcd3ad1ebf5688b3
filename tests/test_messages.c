/* test_messages.c -- every status of every op with its text, against tests/data/messages.txt. */
#include "messages.h"

/* ---- arguments in memory that is there ---- */

static char memory[1 << 16];
static size_t memory_used;

static aiter_tensor fresh(aiter_tensor t)
{
    t.data = memory + memory_used;
    memory_used += (size_t)(span_bytes(&t) + 63) / 64 * 64;
    if (memory_used > sizeof memory) exit(test_record(0, __FILE__, __LINE__, "no room"));
    return t;
}

static aiter_tensor f32_2(int64_t a, int64_t b)
{
    return fresh(aiter_tensor_2d(NULL, AITER_F32, a, b));
}
static aiter_tensor f32_3(int64_t a, int64_t b, int64_t c)
{
    return fresh(aiter_tensor_3d(NULL, AITER_F32, a, b, c));
}
static aiter_tensor f32_4(int64_t a, int64_t b, int64_t c, int64_t d)
{
    return fresh(aiter_tensor_4d(NULL, AITER_F32, a, b, c, d));
}
static aiter_tensor as_type(aiter_tensor t, aiter_dtype type)
{
    t.dtype = type;
    return t;
}

static aiter_tensor ints(int n, int a, int b, int c)
{
    int32_t values[3] = {a, b, c};
    aiter_tensor t = fresh(aiter_tensor_1d(NULL, AITER_I32, n));
    memcpy(t.data, values, (size_t)n * 4);
    return t;
}

static aiter_flash_attn_fwd_args dense(void)
{
    aiter_flash_attn_fwd_args a;
    memset(&a, 0, sizeof a);
    memset(memory, 0, sizeof memory);
    memory_used = 0;
    a.q = f32_4(2, 6, 8, 16);
    a.kv.k = f32_4(2, 10, 2, 16);
    a.kv.v = f32_4(2, 10, 2, 16);
    a.out = f32_4(2, 6, 8, 16);
    a.lse = f32_3(2, 8, 6);
    return a;
}

static aiter_flash_attn_fwd_args packed(void)
{
    aiter_flash_attn_fwd_args a = dense();
    a.q = f32_3(9, 8, 16);
    a.kv.k = f32_3(12, 2, 16);
    a.kv.v = f32_3(12, 2, 16);
    a.out = f32_3(9, 8, 16);
    a.lse = f32_2(8, 9);
    a.cu_seqlens_q = ints(3, 0, 4, 9);
    a.kv.cu_seqlens = ints(3, 0, 5, 12);
    return a;
}

static aiter_flash_attn_fwd_args paged(void)
{
    aiter_flash_attn_fwd_args a = dense();
    a.kv.k = f32_4(8, 4, 2, 16);
    a.kv.v = f32_4(8, 4, 2, 16);
    a.kv.block_table = fresh(aiter_tensor_2d(NULL, AITER_I32, 2, 3));
    a.kv.seq_lens = ints(2, 10, 7, 0);
    return a;
}

static aiter_flash_attn_fwd_args int8(void)
{
    aiter_flash_attn_fwd_args a = paged();
    a.kv.k.dtype = a.kv.v.dtype = AITER_I8;
    a.kv.k_scale = fresh(aiter_tensor_1d(NULL, AITER_F32, 2));
    a.kv.v_scale = fresh(aiter_tensor_1d(NULL, AITER_F32, 2));
    return a;
}

#define FLASH(form, title, statement)                          \
    do {                                                       \
        aiter_flash_attn_fwd_args a = form();                  \
        statement;                                             \
        say(#form ": " title, aiter_flash_attn_fwd(&a, NULL)); \
    } while (0)

static void layouts(void)
{
    say_heading("flash_attn_fwd: layouts that people bring");
    FLASH(dense, "q, k, v, out are [B, H, S, D]",
          (a.q = a.out = f32_4(2, 8, 10, 16), a.kv.k = a.kv.v = f32_4(2, 2, 12, 16)));
    FLASH(dense, "k and v alone are [B, H, S, D]", (a.kv.k = a.kv.v = f32_4(2, 2, 10, 16)));
    FLASH(dense, "out alone is [B, H, S, D]", a.out = f32_4(2, 8, 6, 16));
    FLASH(dense, "v alone is [B, H, S, D]", a.kv.v = f32_4(2, 2, 10, 16));
    FLASH(dense, "all are [B, H, S, D] and Sq = Sk; lse shows it",
          (a.q = f32_4(2, 8, 6, 16), a.out = f32_4(2, 8, 6, 16),
           a.kv.k = a.kv.v = f32_4(2, 8, 6, 16)));
    FLASH(packed, "all are [H, total, D]",
          (a.q = a.out = f32_3(8, 9, 16), a.kv.k = a.kv.v = f32_3(2, 12, 16)));
    FLASH(paged, "pages are [num_blocks, H, P, D]", (a.kv.k = a.kv.v = f32_4(8, 2, 3, 16)));
    FLASH(dense, "k and v exchanged", (a.kv.k = f32_4(2, 10, 2, 24), a.kv.v = f32_4(2, 10, 2, 16)));
    FLASH(dense, "out has the head_dim of q, not of v", a.kv.v = f32_4(2, 10, 2, 24));
    FLASH(dense, "lse is [B, Sq, Hq]", a.lse = f32_3(2, 6, 8));
    FLASH(dense, "lse is [B, Hq, Sq, 1]", a.lse = f32_4(2, 8, 6, 1));
    FLASH(dense, "lse is [Hq, B * Sq]", a.lse = f32_2(8, 12));
    FLASH(packed, "lse is [total_q, Hq]", a.lse = f32_2(9, 8));
    FLASH(dense, "lse in f16", a.lse.dtype = AITER_F16);
    FLASH(dense, "a flipped view",
          (a.kv.k = aiter_tensor_transpose(a.kv.k, 0, 0), a.kv.k.stride[1] = -32));
    FLASH(dense, "an expanded output",
          (a.out = aiter_tensor_transpose(a.out, 0, 0), a.out.stride[0] = 0));
    FLASH(dense, "k of another batch", a.kv.k = f32_4(3, 10, 2, 16));
    FLASH(dense, "v shorter than k", a.kv.v = f32_4(2, 9, 2, 16));
    FLASH(dense, "heads that do not divide", (a.kv.k = a.kv.v = f32_4(2, 10, 3, 16)));
    FLASH(dense, "head_dim 577",
          (a.q = a.kv.k = f32_4(1, 1, 1, 577), a.kv.v = f32_4(1, 1, 1, 16),
           a.out = f32_4(1, 1, 1, 16)));
    FLASH(dense, "q without heads", (a.q = f32_4(2, 6, 0, 16), a.out = f32_4(2, 6, 0, 16)));
}

static void lengths(void)
{
    say_heading("flash_attn_fwd: lengths and tables");
    FLASH(packed, "no cu_seqlens", a.cu_seqlens_q.ndim = a.kv.cu_seqlens.ndim = 0);
    FLASH(packed, "no cu_seqlens_k", a.kv.cu_seqlens.ndim = 0);
    FLASH(packed, "no cu_seqlens_q", a.cu_seqlens_q.ndim = 0);
    FLASH(dense, "cu_seqlens with dense tensors",
          (a.cu_seqlens_q = ints(3, 0, 4, 9), a.kv.cu_seqlens = ints(3, 0, 5, 12)));
    FLASH(packed, "cu_seqlens_k without its last number", a.kv.cu_seqlens.shape[0] = 2);
    FLASH(packed, "lengths in place of cu_seqlens_q", a.cu_seqlens_q = ints(3, 4, 5, 0));
    FLASH(packed, "cu_seqlens_q falls", a.cu_seqlens_q = ints(3, 0, 6, 5));
    FLASH(packed, "cu_seqlens_k ends past the tokens", a.kv.cu_seqlens = ints(3, 0, 5, 13));
    FLASH(packed, "cu_seqlens in 64 bits", a.cu_seqlens_q.dtype = AITER_I64);
    FLASH(packed, "an empty cu_seqlens_q", a.cu_seqlens_q.shape[0] = 0);
    FLASH(packed, "max_seqlen_q too small", a.max_seqlen_q = 4);
    FLASH(packed, "max_seqlen_k too small", a.kv.max_seqlen = 6);
    FLASH(packed, "more rows than there is room for", a.seqused_q = ints(2, 1, 99, 0));
    FLASH(packed, "fewer than no rows", a.seqused_q = ints(2, 1, -1, 0));
    FLASH(packed, "more rows than up to the next one", a.seqused_q = ints(2, 5, 1, 0));
    FLASH(packed, "more keys than up to the next one", a.kv.seq_lens = ints(2, 6, 1, 0));
    FLASH(dense, "max_seqlen_q below Sq", a.max_seqlen_q = 5);
    FLASH(dense, "max_seqlen_k below Sk", a.kv.max_seqlen = 9);
    FLASH(dense, "max_seqlen_k negative", a.kv.max_seqlen = -1);
    FLASH(dense, "seqused_k past Sk", a.kv.seq_lens = ints(2, 10, 11, 0));
    FLASH(dense, "seqused_k negative", a.kv.seq_lens = ints(2, 10, -1, 0));
    FLASH(dense, "running sums in place of seqused_k", a.kv.seq_lens = ints(3, 0, 5, 10));
    FLASH(dense, "seqused_k in floats", a.kv.seq_lens = as_type(ints(2, 0, 0, 0), AITER_F32));
    FLASH(paged, "block_table forgotten", a.kv.block_table.ndim = 0);
    FLASH(paged, "seqused_k forgotten", a.kv.seq_lens.ndim = 0);
    FLASH(paged, "block_table is [max_blocks, B]",
          a.kv.block_table = fresh(aiter_tensor_2d(NULL, AITER_I32, 3, 2)));
    FLASH(paged, "block_table in 64 bits", a.kv.block_table.dtype = AITER_I64);
    FLASH(paged, "block_table is one row", a.kv.block_table = ints(3, 0, 1, 2));
    FLASH(paged, "seqused_k past the table", a.kv.seq_lens = ints(2, 13, 7, 0));
    FLASH(paged, "a block that is not there", ((int32_t *)a.kv.block_table.data)[4] = 8);
    FLASH(paged, "a block of -1", ((int32_t *)a.kv.block_table.data)[0] = -1);
    FLASH(paged, "no blocks", a.kv.k.shape[0] = a.kv.v.shape[0] = 0);
    FLASH(paged, "a page size of 0", a.kv.k.shape[1] = a.kv.v.shape[1] = 0);
    FLASH(paged, "cu_seqlens_k beside block_table", a.kv.cu_seqlens = ints(3, 0, 5, 12));
}

#include "messages_types.h"

static aiter_plan plan_of(const aiter_flash_attn_fwd_args *a, void *data)
{
    aiter_plan plan;
    memset(&plan, 0, sizeof plan);
    CHECK(aiter_flash_attn_fwd_plan(a, NULL, &plan) == AITER_OK, "%s", aiter_last_error());
    plan.data = data;
    CHECK(aiter_flash_attn_fwd_plan(a, NULL, &plan) == AITER_OK, "%s", aiter_last_error());
    return plan;
}

/* 2^30 times the same. */
static aiter_tensor wide_batch(aiter_tensor t)
{
    t = aiter_tensor_transpose(t, 0, 0);
    t.stride[0] = 0;
    t.shape[0] = 1 << 30;
    return t;
}

static void *refuse_large(void *user, size_t bytes, size_t align, aiter_memory kind)
{
    (void)user, (void)align, (void)kind;
    return bytes > 20000 ? NULL : malloc(bytes);
}
static void give_back_to_malloc(void *user, void *data, size_t bytes, aiter_memory kind)
{
    (void)user, (void)bytes, (void)kind;
    free(data);
}

static void call_memory(void)
{
    static int64_t buffer[1 << 13];
    aiter_flash_attn_fwd_args a = paged();
    aiter_plan plan = plan_of(&a, buffer), bad;
    aiter_context_desc desc;
    aiter_context *ctx;
    size_t bytes;
    say_heading("flash_attn_fwd: memory, workspace, plan");
    FLASH(dense, "data NULL", a.q.data = NULL);
    FLASH(dense, "data not aligned", a.q.data = (char *)a.q.data + 2);
    FLASH(paged, "table not aligned", a.kv.block_table.data = (char *)a.kv.block_table.data + 1);
    FLASH(dense, "a negative extent", a.kv.k.shape[1] = -10);
    FLASH(dense, "extents without end", a.kv.k.shape[1] = INT64_MAX);
    FLASH(dense, "out over q", a.out.data = a.q.data);
    FLASH(dense, "out an element before the end of k", a.out.data = (char *)a.kv.k.data + 2556);
    FLASH(dense, "lse over out", a.lse.data = a.out.data);
    FLASH(paged, "workspace over block_table",
          (a.call.workspace = a.kv.block_table.data, a.call.workspace_bytes = 100000));
    FLASH(dense, "workspace over out",
          (a.call.workspace = a.out.data, a.call.workspace_bytes = 100000));
    FLASH(dense, "a workspace of 1 byte", (a.call.workspace = buffer, a.call.workspace_bytes = 1));
    say("NULL args", aiter_flash_attn_fwd(NULL, NULL));
    say("workspace of NULL args", aiter_flash_attn_fwd_workspace(NULL, NULL, &bytes));
    say("workspace into NULL", aiter_flash_attn_fwd_workspace(&a, NULL, NULL));
    say("plan into NULL", aiter_flash_attn_fwd_plan(&a, NULL, NULL));
    bad = plan, bad.bytes = 8;
    say("plan into 8 bytes", aiter_flash_attn_fwd_plan(&a, NULL, &bad));
    bad = plan, bad.data = (char *)buffer + 4;
    say("plan not aligned", aiter_flash_attn_fwd_plan(&a, NULL, &bad));
    a.call.plan = &bad;
    say("run by a plan that is not aligned", aiter_flash_attn_fwd(&a, NULL));
    bad = plan, bad.data = NULL;
    say("run by a plan without data", aiter_flash_attn_fwd(&a, NULL));
    bad = plan, bad.data = a.kv.seq_lens.data;
    say("plan over seqused_k", aiter_flash_attn_fwd_plan(&a, NULL, &bad));
    bad.data = a.out.data;
    say("run by a plan over out", aiter_flash_attn_fwd(&a, NULL));
    a.call.plan = &plan;
    ((int32_t *)a.kv.seq_lens.data)[0] = 9;
    say("run by a plan of other lengths", aiter_flash_attn_fwd(&a, NULL));
    a.call.plan = NULL;
    memset(&desc, 0, sizeof desc);
    desc.num_threads = 1;
    desc.arena_bytes = 64;
    CHECK(aiter_context_create(&desc, &ctx) == AITER_OK, "%s", aiter_last_error());
    say("a context whose arena is too small", aiter_flash_attn_fwd(&a, ctx));
    aiter_context_destroy(ctx);
    desc.arena_bytes = 0;
    desc.alloc = refuse_large;
    desc.free = give_back_to_malloc;
    CHECK(aiter_context_create(&desc, &ctx) == AITER_OK, "%s", aiter_last_error());
    say("a context whose memory is spent", aiter_flash_attn_fwd(&a, ctx));
    aiter_context_destroy(ctx);
    a = dense();
    a.lse.ndim = 0;
    a.q = wide_batch(a.q);
    a.kv.k = wide_batch(a.kv.k);
    a.kv.v = wide_batch(a.kv.v);
    a.out = wide_batch(a.out);
    say("a batch of 2^30", aiter_flash_attn_fwd_workspace(&a, NULL, &bytes));
}

/* ---- the other ops: good arguments, one thing wrong ---- */

static op_case good;

#define OTHER(id, variant, args_type, title, statement) \
    do {                                                \
        args_type a;                                    \
        op_good(&good, OP_##id, variant);               \
        memcpy(&a, &good.args, sizeof a);               \
        statement;                                      \
        say(title, good.op->run(&a, NULL));             \
        op_case_free(&good);                            \
    } while (0)
#define DECODE(variant, title, statement) \
    OTHER(DECODE, variant, aiter_paged_attn_decode_args, title, statement)
#define SHORT_FORM(id, type, title, statement) OTHER(id, 0, aiter_##type##_args, title, statement)
#define CACHE(variant, title, statement) \
    OTHER(CACHE, variant, aiter_reshape_and_cache_args, title, statement)
#define SWAP(variant, title, statement) \
    OTHER(SWAP, variant, aiter_swap_blocks_args, title, statement)
#define COPY(title, statement) OTHER(COPY, 0, aiter_copy_blocks_args, title, statement)
#define MERGE(variant, title, statement) \
    OTHER(MERGE, variant, aiter_merge_attn_states_args, title, statement)
#define ROPE(variant, title, statement) OTHER(ROPE, variant, aiter_rope_fwd_args, title, statement)
#define QUANTIZE(variant, title, statement) \
    OTHER(QUANTIZE, variant, aiter_quantize_args, title, statement)
#define DEQUANTIZE(variant, title, statement) \
    OTHER(DEQUANTIZE, variant, aiter_dequantize_args, title, statement)

static void decode(void)
{
    say_heading("paged_attn_decode");
    DECODE(0, "q and out are [B, Hq, 1, D]",
           (a.q = aiter_tensor_4d(a.q.data, AITER_F32, 2, 4, 1, 8),
            a.out = aiter_tensor_4d(a.out.data, AITER_F32, 2, 4, 1, 8), a.lse.ndim = 0));
    DECODE(0, "no block_table", a.kv.block_table.ndim = 0);
    DECODE(0, "no seq_lens", a.kv.seq_lens.ndim = 0);
    DECODE(0, "q is [B * Hq, D]", (a.q = aiter_tensor_2d(a.q.data, AITER_F32, 8, 8)));
    DECODE(0, "out with a token axis, q without",
           a.out = aiter_tensor_4d(a.out.data, AITER_F32, 2, 1, 4, 8));
    DECODE(0, "out of another batch", a.out.shape[0] = 1);
    DECODE(0, "a page size of 0", a.kv.k.shape[1] = a.kv.v.shape[1] = 0);
    DECODE(0, "no blocks", a.kv.k.shape[0] = a.kv.v.shape[0] = 0);
    DECODE(0, "caches are [num_blocks, Hk, P, D]",
           (a.kv.k = aiter_tensor_transpose(a.kv.k, 1, 2),
            a.kv.v = aiter_tensor_transpose(a.kv.v, 1, 2), a.kv.k.shape[2] = 3,
            a.kv.v.shape[2] = 3));
    DECODE(0, "seq_lens in 64 bits", a.kv.seq_lens.dtype = AITER_I64);
    DECODE(0, "seq_lens past the table", ((int32_t *)a.kv.seq_lens.data)[1] = 1000);
    DECODE(0, "max_seqlen_k too small", a.kv.max_seqlen = 20);
    DECODE(0, "a block that is not there", ((int32_t *)a.kv.block_table.data)[0] = 1000);
    DECODE(0, "lse is [B, Hq]", a.lse = aiter_tensor_2d(a.lse.data, AITER_F32, 2, 4));
    DECODE(2, "no k_scale", a.kv.k_scale.ndim = 0);
    DECODE(0, "window_left without its mask", a.score.window_left = 4095);
    DECODE(0, "out over k_cache", a.out.data = a.kv.k.data);
    DECODE(0, "v_cache of other pages", a.kv.v.shape[1] = 3);
    DECODE(0, "lists beside a table", a.kv.indptr = ints(3, 0, 1, 2));
    DECODE(0, "indptr alone", (a.kv.block_table.ndim = 0, a.kv.indptr = ints(3, 0, 1, 2)));
    DECODE(0, "indices alone", a.kv.indices = ints(3, 0, 1, 2));
    DECODE(0, "last_page_lens alone", a.kv.last_page_lens = ints(2, 1, 1, 0));
    DECODE(0, "lists without lengths",
           (a.kv.block_table.ndim = 0, a.kv.indptr = ints(3, 0, 1, 2),
            a.kv.indices = ints(2, 0, 1, 0), a.kv.seq_lens.ndim = 0));
    DECODE(0, "lists of two lengths",
           (a.kv.block_table.ndim = 0, a.kv.indptr = ints(3, 0, 1, 2),
            a.kv.indices = ints(2, 0, 1, 0), a.kv.last_page_lens = ints(2, 1, 1, 0)));
    DECODE(0, "seq_lens past the pages",
           (a.kv.block_table.ndim = 0, a.kv.indptr = ints(3, 0, 1, 2), a.kv.max_seqlen = 0,
            a.kv.indices = ints(2, 0, 1, 0), a.kv.seq_lens = ints(2, 5, 1, 0)));
    DECODE(0, "a last page of no keys",
           (a.kv.block_table.ndim = 0, a.kv.indptr = ints(3, 0, 1, 2), a.kv.max_seqlen = 0,
            a.kv.indices = ints(2, 0, 1, 0), a.kv.seq_lens.ndim = 0,
            a.kv.last_page_lens = ints(2, 0, 1, 0)));
    DECODE(0, "a list past max_seqlen",
           (a.kv.block_table.ndim = 0, a.kv.indptr = ints(3, 0, 2, 2), a.kv.max_seqlen = 4,
            a.kv.indices = ints(2, 0, 1, 0), a.kv.seq_lens.ndim = 0,
            a.kv.last_page_lens = ints(2, 1, 1, 0)));
    DECODE(0, "a listed block that is not there",
           (a.kv.block_table.ndim = 0, a.kv.indptr = ints(3, 0, 1, 2), a.kv.max_seqlen = 0,
            a.kv.indices = ints(2, 0, 99, 0), a.kv.seq_lens.ndim = 0,
            a.kv.last_page_lens = ints(2, 1, 1, 0)));
    DECODE(0, "packed q", a.cu_seqlens_q = ints(3, 0, 1, 2));
    DECODE(0, "lengths of q", a.seqused_q = ints(2, 1, 1, 0));
}

static void short_forms(void)
{
    say_heading("grouped_query_attention, multi_query_attention");
    SHORT_FORM(GQA, grouped_query_attention, "packed q",
               a.q = aiter_tensor_3d(a.q.data, AITER_F32, 10, 4, 8));
    SHORT_FORM(GQA, grouped_query_attention, "int8 keys", a.kv.k.dtype = a.kv.v.dtype = AITER_I8);
    SHORT_FORM(GQA, grouped_query_attention, "window_left without its mask",
               a.score.window_left = 7);
    SHORT_FORM(MQA, multi_query_attention, "two kv heads", a.kv.k.shape[2] = a.kv.v.shape[2] = 2);
    SHORT_FORM(MQA, multi_query_attention, "k is [B, 1, Sk, D]",
               (a.kv.k.shape[2] = a.kv.k.shape[1], a.kv.k.shape[1] = 1));
    say_heading("variable_length_attention");
    SHORT_FORM(VARLEN, variable_length_attention, "no cu_seqlens_k", a.kv.cu_seqlens.ndim = 0);
    SHORT_FORM(VARLEN, variable_length_attention, "no cu_seqlens_q", a.cu_seqlens_q.ndim = 0);
    SHORT_FORM(VARLEN, variable_length_attention, "dense q",
               a.q = aiter_tensor_4d(a.q.data, AITER_F32, 2, 5, 4, 8));
    SHORT_FORM(VARLEN, variable_length_attention, "max_seqlen_q too small", a.max_seqlen_q = 4);
    say_heading("decode_attention, decode_attention_gqa");
    SHORT_FORM(DECODE_ONE, decode_attention, "q is [D]",
               a.q = aiter_tensor_1d(a.q.data, AITER_F32, 8));
    SHORT_FORM(DECODE_ONE, decode_attention, "k is [Sk, D]",
               a.kv.k = aiter_tensor_2d(a.kv.k.data, AITER_F32, 21, 8));
    SHORT_FORM(DECODE_ONE, decode_attention, "several query heads", a.q.shape[1] = 2);
    SHORT_FORM(DECODE_ONE, decode_attention, "out is [D, 1]",
               a.out = aiter_tensor_2d(a.out.data, AITER_F32, 8, 1));
    SHORT_FORM(DECODE_GQA, decode_attention_gqa, "q is [Hq, D]",
               a.q = aiter_tensor_2d(a.q.data, AITER_F32, 4, 8));
    SHORT_FORM(DECODE_GQA, decode_attention_gqa, "k and v are [D, Sk]",
               a.kv.k.ndim = a.kv.v.ndim = 2);
    SHORT_FORM(DECODE_GQA, decode_attention_gqa, "v a key short", a.kv.v.shape[2] = 20);
    SHORT_FORM(DECODE_GQA, decode_attention_gqa, "an lse", a.lse = f32_2(4, 1));
    SHORT_FORM(DECODE_GQA, decode_attention_gqa, "lengths", a.kv.seq_lens = ints(1, 21, 0, 0));
    SHORT_FORM(DECODE_GQA, decode_attention_gqa, "a table", a.kv.block_table = ints(1, 0, 0, 0));
    SHORT_FORM(DECODE_GQA, decode_attention_gqa, "a plan",
               a.call.plan = (const aiter_plan *)memory);
    SHORT_FORM(DECODE_GQA, decode_attention_gqa, "heads that do not divide",
               a.kv.k.shape[0] = a.kv.v.shape[0] = 3);
}

static void cache_and_merge(void)
{
    say_heading("reshape_and_cache");
    CACHE(0, "an int8 cache without quant", a.kv.k.dtype = a.kv.v.dtype = AITER_I8);
    CACHE(1, "an f16 cache with quant", a.kv.k.dtype = a.kv.v.dtype = AITER_F16);
    CACHE(0, "a granularity that there is not", a.quantisation.per = AITER_SCALE_COUNT);
    CACHE(0, "a granularity when converting", a.quantisation.per = AITER_KV_8BIT_PER_TOKEN);
    CACHE(0, "given scales when converting", a.quantisation.scale_given = 1);
    CACHE(1, "given scales per token", a.quantisation.per = AITER_KV_8BIT_PER_TOKEN);
    CACHE(2, "computed scales per head", a.quantisation.per = AITER_KV_8BIT_PER_HEAD);
    CACHE(1, "quantised to f16", a.quantisation.to = AITER_F16);
    CACHE(1, "quantised to int4 beside an int8 cache", a.quantisation.to = AITER_I4);
    CACHE(0, "an int4 cache without quant", a.kv.k.dtype = a.kv.v.dtype = AITER_I4);
    CACHE(2, "an int4 cache of odd rows",
          (a.quantisation.to = a.kv.k.dtype = a.kv.v.dtype = AITER_I4,
           a.k.shape[2] = a.v.shape[2] = a.kv.k.shape[3] = a.kv.v.shape[3] = 7));
    CACHE(2, "an int4 cache that shares a byte with its values",
          (a.quantisation.to = a.kv.k.dtype = a.kv.v.dtype = AITER_I4,
           a.kv.v.data = (char *)a.kv.k.data + 95));
    CACHE(0, "a plan", a.call.plan = (const aiter_plan *)memory);
    CACHE(0, "scales when converting", a.kv.k_scale = aiter_tensor_1d(a.k.data, AITER_F32, 1));
    CACHE(1, "no scales", a.kv.k_scale.ndim = 0);
    CACHE(1, "a scale of 0", ((float *)a.kv.k_scale.data)[1] = 0);
    CACHE(1, "3 scales", a.kv.v_scale.shape[0] = 3);
    CACHE(2, "scales of one per head",
          a.kv.k_scale = aiter_tensor_1d(a.kv.k_scale.data, AITER_F32, 2));
    CACHE(0, "k is [B, S, H, D]", a.k = aiter_tensor_4d(a.k.data, AITER_F32, 3, 4, 2, 8));
    CACHE(0, "caches are [num_blocks, Hk, P, D]",
          (a.kv.k = aiter_tensor_4d(a.kv.k.data, AITER_F16, 3, 2, 4, 8)));
    CACHE(0, "a page size of 0", a.kv.k.shape[1] = a.kv.v.shape[1] = 0);
    CACHE(0, "a slot past the cache", ((int64_t *)a.slot_mapping.data)[3] = 12);
    CACHE(0, "a slot of -2", ((int64_t *)a.slot_mapping.data)[3] = -2);
    CACHE(0, "a slot twice",
          ((int64_t *)a.slot_mapping.data)[3] = ((int64_t *)a.slot_mapping.data)[1]);
    CACHE(0, "slots in floats", a.slot_mapping.dtype = AITER_F32);
    CACHE(0, "slots of other tokens", a.slot_mapping.shape[0] = 11);
    CACHE(0, "k over its cache", a.kv.k.data = a.k.data);
    CACHE(0, "a workspace of 1 byte", (a.call.workspace = memory, a.call.workspace_bytes = 1));
    CACHE(0, "a workspace over slot_mapping",
          (a.call.workspace = a.slot_mapping.data, a.call.workspace_bytes = 65536));
    say_heading("merge_attn_states");
    MERGE(0, "lse is [B, S, H]", a.lse_a = aiter_tensor_transpose(a.lse_a, 1, 2));
    MERGE(1, "lse is [tokens, H]", a.lse_b = aiter_tensor_transpose(a.lse_b, 0, 1));
    MERGE(0, "no lse_a", a.lse_a.ndim = 0);
    MERGE(1, "lse_a of another rank", a.lse_a = aiter_tensor_3d(a.lse_a.data, AITER_F32, 1, 4, 6));
    MERGE(0, "out_b with other heads", a.out_b.shape[2] = 3);
    MERGE(0, "out_b packed, out_a not",
          a.out_b = aiter_tensor_3d(a.out_b.data, AITER_F32, 6, 4, 8));
    MERGE(0, "out over half of out_a", a.out.data = (char *)a.out_a.data + 32);
    MERGE(0, "lse over out_b", a.lse.data = a.out_b.data);
    MERGE(0, "lse_a in f16", a.lse_a.dtype = AITER_F16);
}

#include "messages_rows.h"

static void guard_and_context(void)
{
    aiter_padding_guard_args g;
    aiter_context_desc d;
    aiter_context *ctx = NULL;
    int32_t safe = 1;
    void *data = NULL;
    say_heading("padding_guard");
    memset(&g, 0, sizeof g);
    say("NULL", aiter_padding_guard(NULL, NULL, NULL));
    say("seqlen 0", aiter_padding_guard(&g, NULL, NULL));
    g.seqlen = 129, g.tile = -1;
    say("tile -1", aiter_padding_guard(&g, NULL, NULL));
    g.tile = 0, g.mask = AITER_MASK_WINDOW;
    say("a window", aiter_padding_guard(&g, NULL, NULL));
    g.mask = AITER_MASK_NONE, g.threshold = 5;
    say("a threshold in percent", aiter_padding_guard(&g, NULL, NULL));
    g.threshold = 0, g.seqlen = INT64_MAX - 1;
    say("a length without end", aiter_padding_guard(&g, NULL, NULL));
    g.seqlen = 129;
    CHECK(aiter_padding_guard(&g, NULL, &safe) == AITER_OK && !safe, "129 of 256 is safe");
    said_append("129 of 256, which is unsafe\n    ok: ");
    said_append(aiter_last_error());
    said_append("\n");
    say_heading("context and memory");
    say("no place", aiter_context_create(NULL, NULL));
    memset(&d, 0, sizeof d);
    d.num_threads = -1;
    say("num_threads -1", aiter_context_create(&d, &ctx));
    memset(&d, 0, sizeof d);
    d.alloc = refuse_large;
    say("alloc without free", aiter_context_create(&d, &ctx));
    memset(&d, 0, sizeof d);
    d.isa_max = (aiter_isa)99;
    say("an isa that there is not", aiter_context_create(&d, &ctx));
    memset(&d, 0, sizeof d);
    d.device = AITER_DEVICE_HIP;
    say("a device that is not compiled in", aiter_context_create(&d, &ctx));
    d.exact_arithmetic = 1;
    say("exact arithmetic on a device", aiter_context_create(&d, &ctx));
    say("memory into NULL", aiter_memory_alloc(NULL, AITER_MEMORY_HOST, 8, NULL));
    say("no bytes", aiter_memory_alloc(NULL, AITER_MEMORY_HOST, 0, &data));
    say("a kind that there is not", aiter_memory_alloc(NULL, (aiter_memory)7, 8, &data));
    say("a copy from NULL",
        aiter_memory_copy(NULL, &d, AITER_MEMORY_HOST, NULL, AITER_MEMORY_HOST, 8));
}

/* Each tensor of each op: absent, of another rank, type, extent, data. */
static void each_tensor(void)
{
    static const int faults[] = {FAULT_ABSENT,    FAULT_NDIM_6,         FAULT_DTYPE_WRONG,
                                 FAULT_DATA_NULL, FAULT_SHAPE_NEGATIVE, FAULT_MISALIGNED};
    int op, variant, i, n;
    for (op = 0; op < OP_COUNT; op++) {
        say_heading(op_table[op].name + strlen("aiter_"));
        for (variant = 0; op_good(&good, op, variant); variant++) {
            for (i = 0; i < good.op->num_fields; i++) {
                for (n = 0; n < COUNT(faults); n++) {
                    const op_field *f = &good.op->fields[i];
                    any_args a = good.args;
                    char title[128];
                    if (op_tensor(&a, f)->ndim == 0) continue;
                    if (!fault_apply(op_tensor(&a, f), f, good.roles[i], faults[n])) continue;
                    snprintf(title, sizeof title, "%s: %s: %s", good.text, f->name,
                             fault_names[faults[n]]);
                    if (good.op->run(&a, NULL) != AITER_OK && is_said(aiter_last_error()))
                        continue; /* in the same words of another variant */
                    say(title, good.op->run(&a, NULL));
                }
            }
            op_case_free(&good);
        }
    }
}

int main(void)
{
    test_begin("messages", 1);
    said_append("What the library says to each mistake, by tests/test_messages.c.\n");
    layouts();
    lengths();
    types();
    pairs_and_scales();
    score_values();
    call_memory();
    decode();
    short_forms();
    cache_and_merge();
    blocks();
    rope();
    quantisers();
    guard_and_context();
    each_tensor();
    messages_compare("tests/data/messages.txt");
    return test_end();
}
