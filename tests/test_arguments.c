/* test_arguments.c -- every field of every op made wrong, one at a time: the status, a text that
 * names op and field, and not one byte written. */
#include "test.h"
#include "reference.c"
#include "case_run.h"
#include <stddef.h>

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

/* The op under test: how to call it, what to compare afterwards. */
typedef struct subject {
    const char *op;
    aiter_status (*run)(const void *args, aiter_context *ctx);
    aiter_status (*workspace)(const void *args, aiter_context *ctx, size_t *bytes);
    attn_problem *problem;
} subject;

/* Calls with wrong arguments. `shape_only`: the workspace query sees it too. */
static void refused(const subject *s, const void *args, aiter_status want, const char *field,
                    const char *why, int shape_only)
{
    uint64_t hash[BUFFERS];
    size_t bytes = 12345;
    int i, same = 1;
    aiter_status status;
    for (i = 0; i < s->problem->buffers; i++) {
        hash[i] = test_hash(s->problem->buffer[i].data, s->problem->buffer[i].bytes);
    }
    status = s->run(args, NULL);
    CHECK(status == want, "%s.%s (%s): %s instead of %s", s->op, field, why,
          aiter_status_name(status), aiter_status_name(want));
    if (status == AITER_OK) return;
    CHECK(strstr(aiter_last_error(), s->op) && strstr(aiter_last_error(), field),
          "\"%s\" does not name %s and %s (%s)", aiter_last_error(), s->op, field, why);
    for (i = 0; i < s->problem->buffers; i++) {
        same &= hash[i] == test_hash(s->problem->buffer[i].data, s->problem->buffer[i].bytes);
    }
    CHECK(same, "%s.%s (%s): a refused call wrote", s->op, field, why);
    if (!shape_only) return;
    status = s->workspace(args, NULL, &bytes);
    CHECK(status == want, "%s_workspace.%s (%s): %s", s->op, field, why, aiter_status_name(status));
    CHECK(bytes == 12345, "%s_workspace.%s (%s): a refused query wrote", s->op, field, why);
}

/* ---- what can be wrong with any tensor ---- */

typedef struct tensor_field {
    const char *name;
    size_t offset;
    int required, output;
    aiter_dtype wrong_type;
} tensor_field;

/* Copies the args, lets the caller change one tensor of them, expects refusal. */
typedef union any_args {
    aiter_flash_attn_fwd_args flash;
    aiter_paged_attn_decode_args decode;
    aiter_grouped_query_attention_args gqa;
    aiter_variable_length_attention_args varlen;
    aiter_decode_attention_args one;
    aiter_decode_attention_gqa_args one_gqa;
    aiter_reshape_and_cache_args cache;
    aiter_merge_attn_states_args merge;
} any_args;

enum tensor_fault {
    FAULT_ABSENT = 0,
    FAULT_NDIM_NEGATIVE,
    FAULT_NDIM_6,
    FAULT_NDIM_ONE_MORE,
    FAULT_DTYPE_UNSET,
    FAULT_DTYPE_UNKNOWN,
    FAULT_DTYPE_NEGATIVE,
    FAULT_DTYPE_WRONG,
    FAULT_DATA_NULL,
    FAULT_SHAPE_NEGATIVE,
    FAULT_SHAPE_LARGER,
    FAULT_SHAPE_HUGE,
    FAULT_STRIDE_NEGATIVE,
    FAULT_STRIDE_HUGE,
    FAULT_STRIDE_SHARED,
    FAULT_COUNT
};

static const char *const fault_names[] = {
    "absent",         "ndim -1",     "ndim 6",          "one dimension more", "dtype unset",
    "dtype 99",       "dtype -1",    "wrong dtype",     "data NULL",          "negative extent",
    "another extent", "extent 2^62", "negative stride", "stride 2^62",        "elements shared"};

static void make_explicit(aiter_tensor *t)
{
    int64_t size = 1;
    int i, all_zero = 1;
    for (i = 0; i < t->ndim; i++) all_zero &= t->stride[i] == 0;
    for (i = t->ndim - 1; i >= 0 && all_zero; i--) {
        t->stride[i] = size;
        size *= t->shape[i];
    }
}

/* Returns 0 where the fault would not be one. */
static int fault_apply(aiter_tensor *t, const tensor_field *f, int fault)
{
    int i, dim = -1;
    for (i = 0; i < t->ndim; i++) {
        if (t->shape[i] > 1) dim = i;
    }
    switch (fault) {
    case FAULT_ABSENT: t->ndim = 0; return f->required;
    case FAULT_NDIM_NEGATIVE: t->ndim = -1; return 1;
    case FAULT_NDIM_6: t->ndim = 6; return 1;
    case FAULT_NDIM_ONE_MORE:
        if (t->ndim == 5 || strcmp(f->name, "bias") == 0 || strcmp(f->name, "alibi_slopes") == 0 ||
            strstr(f->name, "_scale")) {
            return 0;
        }
        memmove(t->shape + 1, t->shape, (size_t)t->ndim * sizeof t->shape[0]);
        memset(t->stride, 0, sizeof t->stride);
        t->shape[0] = 1;
        t->ndim++;
        return 1;
    case FAULT_DTYPE_UNSET: t->dtype = AITER_DTYPE_UNSET; return 1;
    case FAULT_DTYPE_UNKNOWN: t->dtype = (aiter_dtype)99; return 1;
    case FAULT_DTYPE_NEGATIVE: t->dtype = (aiter_dtype)-1; return 1;
    case FAULT_DTYPE_WRONG: t->dtype = f->wrong_type; return 1;
    case FAULT_DATA_NULL: t->data = NULL; return 1;
    case FAULT_SHAPE_NEGATIVE: t->shape[t->ndim - 1] = -5; return 1;
    case FAULT_SHAPE_LARGER:
        if (strcmp(f->name, "bias") == 0 || strcmp(f->name, "block_table") == 0) dim = 0;
        t->shape[dim < 0 ? 0 : dim] += 1;
        return 1;
    case FAULT_SHAPE_HUGE: t->shape[0] = INT64_C(1) << 62; return 1;
    case FAULT_STRIDE_NEGATIVE:
        make_explicit(t);
        t->stride[dim < 0 ? 0 : dim] = -1;
        return dim >= 0;
    case FAULT_STRIDE_HUGE:
        make_explicit(t);
        t->stride[dim < 0 ? 0 : dim] = INT64_C(1) << 62;
        return dim >= 0;
    case FAULT_STRIDE_SHARED: /* outputs may not broadcast */
        if (!f->output || dim < 0) return 0;
        make_explicit(t);
        t->stride[dim] = 0;
        return 1;
    default: return 0;
    }
}

static void tensors(const subject *s, const any_args *good, const tensor_field *fields, int n)
{
    int i, fault;
    for (i = 0; i < n; i++) {
        for (fault = 0; fault < FAULT_COUNT; fault++) {
            any_args bad = *good;
            aiter_tensor *t = (aiter_tensor *)(void *)((char *)&bad + fields[i].offset);
            if (t->ndim == 0 || !fault_apply(t, &fields[i], fault)) continue;
            /* Another extent of q shows where the tensors that follow q do not match it. */
            refused(s, &bad, AITER_INVALID_ARGUMENT,
                    fault == FAULT_SHAPE_LARGER || fault == FAULT_SHAPE_HUGE ? "" : fields[i].name,
                    fault_names[fault], 0);
        }
    }
}

/* ---- flash ---- */

#define FIELD(args, name, required, output, wrong) \
    {#name, offsetof(args, name), required, output, wrong}

#define RUNNER(op)                                                                          \
    static aiter_status run_##op(const void *args, aiter_context *ctx)                      \
    {                                                                                       \
        return aiter_##op((const aiter_##op##_args *)args, ctx);                            \
    }                                                                                       \
    static aiter_status workspace_##op(const void *args, aiter_context *ctx, size_t *bytes) \
    {                                                                                       \
        return aiter_##op##_workspace((const aiter_##op##_args *)args, ctx, bytes);         \
    }
RUNNER(flash_attn_fwd)
RUNNER(paged_attn_decode)
RUNNER(grouped_query_attention)
RUNNER(multi_query_attention)
RUNNER(variable_length_attention)
RUNNER(decode_attention)
RUNNER(decode_attention_gqa)
RUNNER(reshape_and_cache)
RUNNER(merge_attn_states)
#define SUBJECT(op, problem) {#op, run_##op, workspace_##op, problem}

static const tensor_field flash_fields[] = {
    FIELD(aiter_flash_attn_fwd_args, q, 1, 0, AITER_I8),
    FIELD(aiter_flash_attn_fwd_args, k, 1, 0, AITER_I32),
    FIELD(aiter_flash_attn_fwd_args, v, 1, 0, AITER_U8),
    FIELD(aiter_flash_attn_fwd_args, out, 1, 1, AITER_I8),
    FIELD(aiter_flash_attn_fwd_args, lse, 0, 1, AITER_F16),
    FIELD(aiter_flash_attn_fwd_args, alibi_slopes, 0, 0, AITER_F16),
    FIELD(aiter_flash_attn_fwd_args, bias, 0, 0, AITER_I8),
    FIELD(aiter_flash_attn_fwd_args, sinks, 0, 0, AITER_BF16),
    FIELD(aiter_flash_attn_fwd_args, seqused_q, 0, 0, AITER_I64),
    FIELD(aiter_flash_attn_fwd_args, seqused_k, 0, 0, AITER_F32),
    FIELD(aiter_flash_attn_fwd_args, cu_seqlens_q, 0, 0, AITER_I64),
    FIELD(aiter_flash_attn_fwd_args, cu_seqlens_k, 0, 0, AITER_I64),
    FIELD(aiter_flash_attn_fwd_args, block_table, 0, 0, AITER_I64),
    FIELD(aiter_flash_attn_fwd_args, k_scale, 1, 0, AITER_F16),
    FIELD(aiter_flash_attn_fwd_args, v_scale, 1, 0, AITER_F16),
};

/* `statement` changes `a`, a copy of the good arguments. */
#define BAD(want, field, shape_only, statement)               \
    do {                                                      \
        a = good;                                             \
        statement;                                            \
        refused(&s, &a, want, field, #statement, shape_only); \
    } while (0)
#define INVALID(field, statement)      BAD(AITER_INVALID_ARGUMENT, field, 1, statement)
#define INVALID_DATA(field, statement) BAD(AITER_INVALID_ARGUMENT, field, 0, statement)

static attn_case base(attn_form form)
{
    attn_case c = {.form = form, .b = 2, .hq = 4, .hk = 2, .sq = 5, .sk = 21, .dq = 8, .page = 4};
    c.seed = 2;
    c.alibi = 2;
    c.sinks = 1;
    c.bias = form == FORM_DENSE ? BIAS_B_H_SQ_SK : BIAS_NONE;
    return c;
}

static void flash_numbers(attn_problem *p, aiter_flash_attn_fwd_args good)
{
    subject s = SUBJECT(flash_attn_fwd, p);
    aiter_flash_attn_fwd_args a;
    float nan = float_of_bits(0x7FC00000u), inf = float_of_bits(0x7F800000u);
    INVALID("mask", a.mask = (aiter_mask)17);
    INVALID("mask", a.mask = (aiter_mask)-1);
    INVALID("window_left", (a.mask = AITER_MASK_WINDOW, a.window_left = -2));
    INVALID("window_right", (a.mask = AITER_MASK_WINDOW, a.window_right = -7));
    INVALID("sink_tokens", a.sink_tokens = -1);
    INVALID("softmax_scale", a.softmax_scale = -1);
    INVALID("softmax_scale", a.softmax_scale = nan);
    INVALID("softmax_scale", a.softmax_scale = inf);
    INVALID("softcap", a.softcap = -0.5f);
    INVALID("softcap", a.softcap = nan);
    INVALID("softcap", a.softcap = inf);
    INVALID("num_splits", a.num_splits = -1);
    INVALID("max_seqlen_q", a.max_seqlen_q = -1);
    INVALID("max_seqlen_k", a.max_seqlen_k = -1);
    INVALID("scale_kind", a.scale_kind = (aiter_scale_kind)9);
    INVALID("scale_kind", a.scale_kind = (aiter_scale_kind)-1);
}

static void flash_dense(void)
{
    attn_case c = base(FORM_DENSE);
    attn_problem p;
    attn_call call;
    any_args all;
    aiter_flash_attn_fwd_args good, a;
    subject s = SUBJECT(flash_attn_fwd, &p);
    size_t bytes;
    memset(&call, 0, sizeof call);
    problem_new(&p, &c);
    problem_store(&p, SLACK_NAN);
    memset(&all, 0, sizeof all);
    good = all.flash = problem_flash_args(&p, &call);
    tensors(&s, &all, flash_fields, COUNT(flash_fields));
    flash_numbers(&p, good);
    INVALID("v", a.v.dtype = AITER_F16);
    INVALID("k", a.k.shape[0] = 1);
    INVALID("k", a.k.shape[3] = 7);
    INVALID("heads", a.k.shape[2] = a.v.shape[2] = 3);
    INVALID("heads", a.k.shape[2] = a.v.shape[2] = 0);
    INVALID("head_dim", (a.q.shape[3] = a.k.shape[3] = 0));
    INVALID("out", a.out.shape[3] = 7);
    INVALID("lse", a.lse.shape[1] = 2);
    INVALID("bias", a.bias.shape[1] = 2);
    INVALID("bias", a.bias.shape[3] = 20);
    INVALID("alibi_slopes", a.alibi_slopes.shape[1] = 3);
    INVALID("sinks", a.sinks.shape[0] = 2);
    INVALID("ndim", a.cu_seqlens_q = aiter_tensor_1d(a.q.data, AITER_I32, 3));
    INVALID("k_scale", a.k_scale = aiter_tensor_1d(a.q.data, AITER_F32, 1));
    INVALID("v_scale", a.v_scale = aiter_tensor_1d(a.q.data, AITER_F32, 1));
    INVALID_DATA("out", a.out.data = a.q.data);
    INVALID_DATA("out", a.out.data = (char *)a.k.data + 4);
    INVALID_DATA("out", a.out.data = a.bias.data);
    INVALID_DATA("lse", a.lse.data = a.out.data);
    INVALID_DATA("lse", a.lse.data = a.sinks.data);
    CHECK(aiter_flash_attn_fwd(NULL, NULL) == AITER_INVALID_ARGUMENT, "NULL args");
    CHECK(aiter_flash_attn_fwd_workspace(NULL, NULL, &bytes) == AITER_INVALID_ARGUMENT, "NULL");
    CHECK(aiter_flash_attn_fwd_workspace(&good, NULL, NULL) == AITER_INVALID_ARGUMENT, "no place");
    CHECK(aiter_flash_attn_fwd_plan(&good, NULL, NULL) == AITER_INVALID_ARGUMENT, "no plan");
    CHECK(aiter_flash_attn_fwd(&good, NULL) == AITER_OK, "the good arguments: %s",
          aiter_last_error());
    problem_free(&p);
}

/* A copy of an i32 tensor with element `at` replaced, in memory of its own. */
static aiter_tensor with_entry(aiter_tensor t, int64_t at, int32_t value)
{
    static int32_t copy[256];
    int64_t n = 1, i;
    for (i = 0; i < t.ndim; i++) n *= t.shape[i];
    memcpy(copy, t.data, (size_t)n * 4);
    copy[at] = value;
    t.data = copy;
    return t;
}

static void flash_lengths(attn_form form)
{
    attn_case c = base(form);
    attn_problem p;
    attn_call call;
    any_args all;
    aiter_flash_attn_fwd_args good, a;
    subject s = SUBJECT(flash_attn_fwd, &p);
    int paged = case_is_paged(&c), packed = case_is_packed(&c);
    memset(&call, 0, sizeof call);
    if (form != FORM_PAGED) c.mask = AITER_MASK_CAUSAL;
    problem_new(&p, &c);
    problem_store(&p, SLACK_NAN);
    memset(&all, 0, sizeof all);
    good = all.flash = problem_flash_args(&p, &call);
    tensors(&s, &all, flash_fields, COUNT(flash_fields));
    flash_numbers(&p, good);
    if (packed) {
        INVALID_DATA("cu_seqlens_q", a.cu_seqlens_q = with_entry(a.cu_seqlens_q, 0, 1));
        INVALID_DATA("cu_seqlens_q", a.cu_seqlens_q = with_entry(a.cu_seqlens_q, 1, -1));
        INVALID_DATA("cu_seqlens_q", a.cu_seqlens_q = with_entry(a.cu_seqlens_q, 1, 11));
        INVALID_DATA("cu_seqlens_q", a.cu_seqlens_q = with_entry(a.cu_seqlens_q, 2, 3));
        INVALID_DATA("cu_seqlens_q", a.cu_seqlens_q = with_entry(a.cu_seqlens_q, 2, INT32_MAX));
        INVALID_DATA("cu_seqlens_q", a.cu_seqlens_q = with_entry(a.cu_seqlens_q, 2, INT32_MIN));
        INVALID_DATA("cu_seqlens_q", a.max_seqlen_q = 4);
        INVALID("seqused_q", a.seqused_q = aiter_tensor_1d(a.q.data, AITER_I32, 2));
    }
    if (form == FORM_VARLEN) {
        INVALID_DATA("cu_seqlens_k", a.cu_seqlens_k = with_entry(a.cu_seqlens_k, 0, 2));
        INVALID_DATA("cu_seqlens_k", a.cu_seqlens_k = with_entry(a.cu_seqlens_k, 2, 20));
        INVALID_DATA("cu_seqlens_k", a.cu_seqlens_k = with_entry(a.cu_seqlens_k, 2, 43));
        INVALID_DATA("cu_seqlens_k", a.max_seqlen_k = 20);
        INVALID("cu_seqlens_k", a.cu_seqlens_k.shape[0] = 2);
        INVALID("ndim", a.cu_seqlens_k.ndim = 0);
        INVALID("ndim", a.cu_seqlens_q.ndim = 0);
    }
    if (form == FORM_PADDED) {
        INVALID_DATA("seqused_q", a.seqused_q = with_entry(a.seqused_q, 1, 6));
        INVALID_DATA("seqused_q", a.seqused_q = with_entry(a.seqused_q, 0, -1));
        INVALID_DATA("seqused_q", a.max_seqlen_q = 4);
    }
    if (form == FORM_PADDED || paged) {
        INVALID_DATA("seqused_k", a.seqused_k = with_entry(a.seqused_k, 1, 1000));
        INVALID_DATA("seqused_k", a.seqused_k = with_entry(a.seqused_k, 1, INT32_MAX));
        INVALID_DATA("seqused_k", a.seqused_k = with_entry(a.seqused_k, 0, -1));
        INVALID_DATA("seqused_k", a.max_seqlen_k = 20);
        INVALID("seqused_k", a.seqused_k.shape[0] = 1);
    }
    if (paged) {
        INVALID_DATA("block_table", a.block_table = with_entry(a.block_table, 0, -1));
        INVALID_DATA("block_table", a.block_table = with_entry(a.block_table, 5, p.num_blocks));
        INVALID_DATA("block_table",
                     a.block_table = with_entry(a.block_table, p.max_blocks + 5, INT32_MIN));
        INVALID("seqused_k", a.seqused_k.ndim = 0);
        INVALID("block_table", a.block_table.shape[0] = 1);
        INVALID("page", a.k.shape[1] = a.v.shape[1] = 0);
        INVALID("ndim", a.cu_seqlens_k = a.seqused_k);
        INVALID_DATA("out", a.out.data = a.block_table.data);
    }
    CHECK(aiter_flash_attn_fwd(&good, NULL) == AITER_OK, "the good arguments: %s",
          aiter_last_error());
    problem_free(&p);
}

static void flash_int8(attn_form form, aiter_scale_kind kind)
{
    attn_case c = base(form);
    attn_problem p;
    attn_call call;
    any_args all;
    aiter_flash_attn_fwd_args good, a;
    subject s = SUBJECT(flash_attn_fwd, &p);
    memset(&call, 0, sizeof call);
    c.bias = BIAS_NONE;
    c.kv_type = AITER_I8;
    c.q_type = AITER_F32;
    c.scale_kind = kind;
    c.hk = 4;
    problem_new(&p, &c);
    problem_store(&p, SLACK_NAN);
    memset(&all, 0, sizeof all);
    good = all.flash = problem_flash_args(&p, &call);
    tensors(&s, &all, flash_fields, COUNT(flash_fields));
    INVALID("k_scale", a.k_scale.ndim = 0);
    INVALID("v_scale", a.v_scale.ndim = 0);
    INVALID("k_scale", a.k_scale = aiter_tensor_1d(a.k_scale.data, AITER_F32, 3));
    if (kind == AITER_SCALE_TENSOR) INVALID("scale", a.scale_kind = AITER_SCALE_TOKEN_HEAD);
    if (kind == AITER_SCALE_HEAD) INVALID("scale", a.scale_kind = AITER_SCALE_TENSOR);
    if (kind == AITER_SCALE_TOKEN_HEAD) INVALID("scale", a.scale_kind = AITER_SCALE_HEAD);
    CHECK(aiter_flash_attn_fwd(&good, NULL) == AITER_OK, "the good arguments: %s",
          aiter_last_error());
    problem_free(&p);
}

/* ---- decode and the short forms ---- */

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

/* Sizes that wrap: dimensions near 2^31, 2^32 and 2^63 in every extent are refused, not computed.
 */
static void sizes(void)
{
    static const int64_t large[] = {INT64_C(1) << 31, (INT64_C(1) << 32) + 1, INT64_C(1) << 61,
                                    INT64_MAX};
    attn_case c = base(FORM_DENSE);
    attn_problem p;
    attn_call call;
    aiter_flash_attn_fwd_args good, a;
    int i, n, m;
    memset(&call, 0, sizeof call);
    problem_new(&p, &c);
    problem_store(&p, SLACK_NAN);
    good = problem_flash_args(&p, &call);
    for (i = 0; i < 4; i++) {
        for (n = 0; n < COUNT(large); n++) {
            for (m = 1; m < 16; m++) {
                size_t bytes = 0;
                aiter_status status;
                a = good;
                a.bias.ndim = a.lse.ndim = a.alibi_slopes.ndim = 0;
                if (m & 1) a.q.shape[i] = large[n];
                if (m & 2) a.k.shape[i] = large[n];
                if (m & 4) a.v.shape[i] = large[n];
                if (m & 8) a.out.shape[i] = large[n];
                status = aiter_flash_attn_fwd_workspace(&a, NULL, &bytes);
                CHECK(status != AITER_OK || bytes < (size_t)1 << 50, "dimension %d: %zu bytes", i,
                      bytes);
                if (m != 15) CHECK(status != AITER_OK || i == 1, "extents that do not match");
            }
        }
    }
    problem_free(&p);
}

int main(void)
{
    int kind, form;
    test_begin("arguments", 1);
    flash_dense();
    for (form = FORM_PADDED; form < FORM_COUNT; form++) flash_lengths((attn_form)form);
    for (kind = AITER_SCALE_TENSOR; kind < AITER_SCALE_COUNT; kind++) {
        flash_int8(FORM_DENSE, (aiter_scale_kind)kind);
        flash_int8(FORM_MIXED, (aiter_scale_kind)kind);
    }
    decode(1, 0);
    decode(3, 0);
    decode(3, 1);
    short_forms();
    for (kind = 0; kind < AITER_QUANT_COUNT; kind++) cache((aiter_quant)kind);
    merge();
    sizes();
    return test_end();
}
