/* refusals.h -- how a wrong argument is tried: the op called with it, the status, the text that
 * must name op and field, the memory that must stay; and the faults that any tensor can have. */
#ifndef AITER_TEST_REFUSALS_H
#define AITER_TEST_REFUSALS_H

#include "test.h"
#include "reference.c"
#include "case_run.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

/* The op under test, and the memory to compare afterwards. */
typedef struct subject {
    const op_entry *op;
    const attn_problem *problem;
} subject;
#define SUBJECT(id, problem) {&op_table[OP_##id], problem}

static inline uint64_t problem_hash(const attn_problem *p)
{
    uint64_t hash = 0;
    int i;
    for (i = 0; i < p->buffers; i++) {
        hash = test_mix(hash ^ test_hash(p->buffer[i].data, p->buffer[i].bytes));
    }
    return hash;
}

/* The text names op and field. */
static inline void named(const subject *s, const char *field, const char *why)
{
    const char *text = aiter_last_error();
    CHECK(strncmp(text, s->op->name, strlen(s->op->name)) == 0 && strstr(text, field),
          "\"%s\" does not name %s and %s (%s)", text, s->op->name, field, why);
    CHECK(strlen(text) < 255, "a text of %zu bytes was cut (%s): %s", strlen(text), why, text);
}

/* Who beside the call itself must refuse: a workspace query and a plan see shapes, a plan data too.
 */
typedef enum refusal_seen { SEEN_BY_CALL = 0, SEEN_BY_QUERY, SEEN_BY_PLAN } refusal_seen;

/* What may not read the tensors: the workspace query, and the plan. Returns whether they refused.
 */
static inline int refused_ahead(const subject *s, const void *args, aiter_status want,
                                const char *field, const char *why, refusal_seen seen)
{
    const op_entry *op = s->op;
    size_t bytes = 12345;
    aiter_status status;
    aiter_plan plan, before;
    int good = 1;
    if (seen == SEEN_BY_QUERY && op->workspace_at != OP_ABSENT) {
        status = op->workspace(args, NULL, &bytes);
        good &= CHECK(status == want, "%s_workspace.%s (%s): %s", op->name, field, why,
                      aiter_status_name(status));
        if (status != AITER_OK) named(s, field, why);
        good &= CHECK(status == AITER_OK || bytes == 12345,
                      "%s_workspace.%s (%s): a refused query wrote", op->name, field, why);
    }
    if (seen == SEEN_BY_CALL || !op->plan) return good;
    memset(&plan, 0, sizeof plan);
    before = plan;
    status = op->plan(args, NULL, &plan);
    if (status != AITER_OK) named(s, field, why);
    good &= CHECK(status == want, "%s_plan.%s (%s): %s", op->name, field, why,
                  aiter_status_name(status));
    return good & CHECK(status == AITER_OK || memcmp(&plan, &before, sizeof plan) == 0,
                        "%s_plan.%s (%s): a refused plan was written", op->name, field, why);
}

/* The question without a run: it refuses by shapes what the run refuses, never more, and says it in
 * the run's words. */
static inline int refused_in_words(const subject *s, const void *args, aiter_status want,
                                   const char *field, const char *why, refusal_seen seen)
{
    const op_entry *op = s->op;
    char text[1024] = "";
    aiter_status status = op->supported(args, NULL);
    int good;
    if (status != AITER_OK) named(s, field, why);
    good = CHECK(status == want || (seen != SEEN_BY_QUERY && status == AITER_OK),
                 "%s_supported.%s (%s): %s", op->name, field, why, aiter_status_name(status));
    good &= CHECK(op->explain(args, NULL, text, sizeof text) == status,
                  "%s_explain.%s (%s): another status", op->name, field, why);
    return good & CHECK(status == AITER_OK || strstr(text, aiter_last_error()),
                        "%s_explain.%s (%s) says: %s", op->name, field, why, text);
}

/* Calls with wrong arguments; what a query or a plan took is not run. */
static inline void refused(const subject *s, const void *args, aiter_status want, const char *field,
                           const char *why, refusal_seen seen)
{
    const op_entry *op = s->op;
    uint64_t hash = problem_hash(s->problem);
    aiter_status status;
    if (!refused_ahead(s, args, want, field, why, seen)) return;
    if (!refused_in_words(s, args, want, field, why, seen)) return;
    status = op->run(args, NULL);
    CHECK(status == want, "%s.%s (%s): %s instead of %s", op->name, field, why,
          aiter_status_name(status), aiter_status_name(want));
    if (status == AITER_OK) return;
    named(s, field, why);
    CHECK(hash == problem_hash(s->problem), "%s.%s (%s): a refused call wrote", op->name, field,
          why);
}

/* ---- what can be wrong with any tensor ---- */

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
    FAULT_MISALIGNED,
    FAULT_WRAPS,
    FAULT_STRIDE_SHARED, /* the last: queries do not see it */
    FAULT_COUNT
};

static const char *const fault_names[] = {
    "absent",         "ndim -1",        "ndim 6",          "one dimension more", "dtype unset",
    "dtype 99",       "dtype -1",       "wrong dtype",     "data NULL",          "negative extent",
    "another extent", "extent 2^62",    "negative stride", "stride 2^62",        "not aligned",
    "past the end",   "elements shared"};

static inline void make_explicit(aiter_tensor *t)
{
    uint64_t size = 1;
    int i, all_zero = 1;
    if (t->ndim < 0 || t->ndim > 5) return;
    for (i = 0; i < t->ndim; i++) all_zero &= t->stride[i] == 0;
    for (i = t->ndim - 1; i >= 0 && all_zero; i--) {
        t->stride[i] = (int64_t)size;
        size *= (uint64_t)t->shape[i];
    }
}

/* From the first element to one past the last, in bytes. */
static inline int64_t span_bytes(const aiter_tensor *tensor)
{
    aiter_tensor t = *tensor;
    int64_t last = 0;
    int i;
    make_explicit(&t);
    for (i = 0; i < t.ndim; i++) {
        if (t.shape[i] == 0) return 0;
        last += (t.shape[i] - 1) * t.stride[i];
    }
    return (last + 1) * aiter_dtype_bits(t.dtype) / 8;
}

/* Returns 0 where the fault would not be one. */
static inline int fault_apply(aiter_tensor *t, const op_field *f, op_role role, int fault)
{
    int i, dim = -1, size = aiter_dtype_bits(t->dtype) / 8;
    for (i = 0; i < t->ndim; i++) {
        if (t->shape[i] > 1) dim = i;
    }
    switch (fault) {
    case FAULT_ABSENT:
        t->ndim = 0;
        return role != ROLE_OPTIONAL && role != ROLE_FLEXIBLE && role != ROLE_OPTIONAL_OUTPUT;
    case FAULT_NDIM_NEGATIVE: t->ndim = -1; return 1;
    case FAULT_NDIM_6: t->ndim = 6; return 1;
    case FAULT_NDIM_ONE_MORE:
        if (t->ndim == 5 || role == ROLE_FLEXIBLE || role == ROLE_SCALE) return 0;
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
        if (role == ROLE_TABLE && t->ndim == 1) return 0; /* may be longer */
        if (role == ROLE_FLEXIBLE || role == ROLE_TABLE) dim = 0;
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
    case FAULT_MISALIGNED: t->data = (char *)t->data + 1; return size > 1;
    case FAULT_WRAPS:
        if (span_bytes(t) < 8) return 0;
        t->data = (void *)(UINTPTR_MAX & ~(uintptr_t)7);
        return 1;
    case FAULT_STRIDE_SHARED: /* outputs may not broadcast */
        if (role < ROLE_OUTPUT || dim < 0) return 0;
        make_explicit(t);
        t->stride[dim] = 0;
        return 1;
    default: return 0;
    }
}

/* `statement` changes `a`, a copy of the good arguments. */
#define BAD(want, field, seen, statement)               \
    do {                                                \
        a = good;                                       \
        statement;                                      \
        refused(&s, &a, want, field, #statement, seen); \
    } while (0)
#define INVALID(field, statement)      BAD(AITER_INVALID_ARGUMENT, field, SEEN_BY_QUERY, statement)
#define INVALID_DATA(field, statement) BAD(AITER_INVALID_ARGUMENT, field, SEEN_BY_PLAN, statement)

static inline attn_case base(attn_form form)
{
    attn_case c = {.form = form, .b = 2, .hq = 4, .hk = 2, .sq = 5, .sk = 21, .dq = 8, .page = 4};
    c.seed = 2;
    c.alibi = 2;
    c.sinks = 1;
    c.q_scale = 0.75;
    c.out_scale = 1.5;
    c.q_scales = form % 3;
    c.out_scales = form % 2;
    c.bias = form == FORM_DENSE ? BIAS_B_H_SQ_SK : BIAS_NONE;
    if (form == FORM_PADDED || form == FORM_PAGED) c.visible = BIAS_B_H_SQ_SK;
    if (form == FORM_VARLEN) c.visible = BIAS_H_SQ_SK;
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
