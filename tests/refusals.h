/* refusals.h -- how a wrong argument is tried: the op called with it, the status, the text that
 * must name op and field, the memory that must stay; and the faults that any tensor can have. */
#ifndef AITER_TEST_REFUSALS_H
#define AITER_TEST_REFUSALS_H

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
static inline void refused(const subject *s, const void *args, aiter_status want, const char *field,
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

static inline void make_explicit(aiter_tensor *t)
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
static inline int fault_apply(aiter_tensor *t, const tensor_field *f, int fault)
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

static inline void tensors(const subject *s, const any_args *good, const tensor_field *fields,
                           int n)
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

/* ---- describing an op ---- */

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
#define SUBJECT(op, problem) {#op, run_##op, workspace_##op, problem}

/* `statement` changes `a`, a copy of the good arguments. */
#define BAD(want, field, shape_only, statement)               \
    do {                                                      \
        a = good;                                             \
        statement;                                            \
        refused(&s, &a, want, field, #statement, shape_only); \
    } while (0)
#define INVALID(field, statement)      BAD(AITER_INVALID_ARGUMENT, field, 1, statement)
#define INVALID_DATA(field, statement) BAD(AITER_INVALID_ARGUMENT, field, 0, statement)

static inline attn_case base(attn_form form)
{
    attn_case c = {.form = form, .b = 2, .hq = 4, .hk = 2, .sq = 5, .sk = 21, .dq = 8, .page = 4};
    c.seed = 2;
    c.alibi = 2;
    c.sinks = 1;
    c.bias = form == FORM_DENSE ? BIAS_B_H_SQ_SK : BIAS_NONE;
    return c;
}

/* A copy of an i32 tensor with element `at` replaced, in memory of its own. */
static inline aiter_tensor with_entry(aiter_tensor t, int64_t at, int32_t value)
{
    static int32_t copy[256];
    int64_t n = 1, i;
    for (i = 0; i < t.ndim; i++) n *= t.shape[i];
    memcpy(copy, t.data, (size_t)n * 4);
    copy[at] = value;
    t.data = copy;
    return t;
}

#endif /* AITER_TEST_REFUSALS_H */
