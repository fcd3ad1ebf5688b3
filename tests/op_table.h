/* op_table.h -- what op_list.h says, as tables and functions: an op's fields by offset, how a case
 * fills them, how it is called. Included by case_run.h. */
#ifndef AITER_TEST_OP_TABLE_H
#define AITER_TEST_OP_TABLE_H

#include "op_list.h"
#include <stddef.h>

typedef enum call_kind { CALL_RUN = 0, CALL_WORKSPACE, CALL_PLAN } call_kind;

typedef struct attn_call {
    call_kind kind;
    aiter_context *ctx;
    void *workspace;
    size_t workspace_bytes;
    size_t *bytes;          /* CALL_WORKSPACE */
    aiter_plan *plan_out;   /* CALL_PLAN */
    const aiter_plan *plan; /* CALL_RUN: to be used */
    int max_seqlen_q, max_seqlen_k;
} attn_call;

typedef enum op_role { /* see op_list.h; inputs, then outputs */
                       ROLE_NEEDED = 0,
                       ROLE_SCALE,
                       ROLE_TABLE,
                       ROLE_OPTIONAL,
                       ROLE_FLEXIBLE,
                       ROLE_BLOCKS,
                       ROLE_OUTPUT,
                       ROLE_OPTIONAL_OUTPUT,
                       ROLE_OUTPUT_BLOCKS
} op_role;

typedef struct op_field {
    const char *name;
    size_t offset;
    op_role role;
    aiter_dtype wrong_type;
} op_field;

/* A field that is no tensor. */
typedef struct op_value {
    const char *name;
    size_t offset, bytes;
} op_value;

enum { OP_MOST_FIELDS = 32 };

typedef struct op_entry {
    const char *name; /* "aiter_flash_attn_fwd" */
    size_t args_bytes;
    const op_field *fields;
    int num_fields;
    const op_value *values;
    int num_values;
    size_t workspace_at, workspace_bytes_at, plan_at; /* OP_ABSENT: no such field */
    aiter_status (*run)(const void *args, aiter_context *ctx);
    aiter_status (*workspace)(const void *args, aiter_context *ctx, size_t *bytes);
    aiter_status (*plan)(const void *args, aiter_context *ctx, aiter_plan *plan); /* or NULL */
    aiter_status (*supported)(const void *args, aiter_context *ctx);
    aiter_status (*explain)(const void *args, aiter_context *ctx, char *text, size_t bytes);
    void (*fill)(void *args, const attn_problem *p, const attn_call *call);
} op_entry;

#define OP_ABSENT ((size_t)-1)

static const aiter_tensor op_none; /* where a case keeps nothing */

/* ---- expansions ---- */

#define OP_IGNORE(A, name, value)
#define OP_IGNORE_TENSOR(A, name, role, wrong, from)
#define OP_FIELD_ROW(A, name, role, wrong, from)   {#name, offsetof(A, name), ROLE_##role, wrong},
#define OP_VALUE_ROW(A, name, value)               {#name, offsetof(A, name), sizeof((A *)0)->name},
#define OP_FILL_TENSOR(A, name, role, wrong, from) a->name = from;
#define OP_FILL_VALUE(A, name, value)              a->name = value;

#define OP_PLAN_OF_HAS_PLAN(name)                                                              \
    static aiter_status op_plan_##name(const void *args, aiter_context *ctx, aiter_plan *plan) \
    {                                                                                          \
        return aiter_##name##_plan((const aiter_##name##_args *)args, ctx, plan);              \
    }
#define OP_PLAN_OF_NO_PLAN(name)

#define OP_DEFINE(id, word, name, fields, workspace, plan, good)                                 \
    static const op_field op_fields_##name[] = {                                                 \
        fields(OP_FIELD_ROW, OP_IGNORE, aiter_##name##_args)};                                   \
    static const op_value op_values_##name[] = {                                                 \
        fields(OP_IGNORE_TENSOR, OP_VALUE_ROW, aiter_##name##_args){"", 0, 0}};                  \
    static aiter_status op_run_##name(const void *args, aiter_context *ctx)                      \
    {                                                                                            \
        return aiter_##name((const aiter_##name##_args *)args, ctx);                             \
    }                                                                                            \
    static aiter_status op_workspace_##name(const void *args, aiter_context *ctx, size_t *bytes) \
    {                                                                                            \
        return aiter_##name##_workspace((const aiter_##name##_args *)args, ctx, bytes);          \
    }                                                                                            \
    static aiter_status op_supported_##name(const void *args, aiter_context *ctx)                \
    {                                                                                            \
        return aiter_##name##_supported((const aiter_##name##_args *)args, ctx);                 \
    }                                                                                            \
    static aiter_status op_explain_##name(const void *args, aiter_context *ctx, char *text,      \
                                          size_t bytes)                                          \
    {                                                                                            \
        return aiter_##name##_explain((const aiter_##name##_args *)args, ctx, text, bytes);      \
    }                                                                                            \
    OP_PLAN_OF_##plan(name) static void op_fill_##name(void *args, const attn_problem *p,        \
                                                       const attn_call *call)                    \
    {                                                                                            \
        aiter_##name##_args *a = (aiter_##name##_args *)args;                                    \
        memset(a, 0, sizeof *a);                                                                 \
        fields(OP_FILL_TENSOR, OP_FILL_VALUE, aiter_##name##_args)(void) p;                      \
        (void)call;                                                                              \
    }
OP_LIST(OP_DEFINE)

#define OP_PLAN_ENTRY_HAS_PLAN(op)        op_plan_##op
#define OP_PLAN_ENTRY_NO_PLAN(op)         NULL
#define OP_OFFSET_HAS_WORKSPACE(A, field) offsetof(A, field)
#define OP_OFFSET_NO_WORKSPACE(A, field)  OP_ABSENT
#define OP_OFFSET_HAS_PLAN(A, field)      offsetof(A, field)
#define OP_OFFSET_NO_PLAN(A, field)       OP_ABSENT

#define OP_ENTRY(id, word, op, list, has_workspace, has_plan, good)      \
    {"aiter_" #op,                                                       \
     sizeof(aiter_##op##_args),                                          \
     op_fields_##op,                                                     \
     (int)(sizeof op_fields_##op / sizeof op_fields_##op[0]),            \
     op_values_##op,                                                     \
     (int)(sizeof op_values_##op / sizeof op_values_##op[0]) - 1,        \
     OP_OFFSET_##has_workspace(aiter_##op##_args, call.workspace),       \
     OP_OFFSET_##has_workspace(aiter_##op##_args, call.workspace_bytes), \
     OP_OFFSET_##has_plan(aiter_##op##_args, call.plan),                 \
     op_run_##op,                                                        \
     op_workspace_##op,                                                  \
     OP_PLAN_ENTRY_##has_plan(op),                                       \
     op_supported_##op,                                                  \
     op_explain_##op,                                                    \
     op_fill_##op},
static const op_entry op_table[] = {OP_LIST(OP_ENTRY)};

/* Arguments of any op. */
#define OP_MEMBER(id, word, op, list, has_workspace, has_plan, good) aiter_##op##_args op;
typedef union any_args {
    OP_LIST(OP_MEMBER)
} any_args;

static inline aiter_tensor *op_tensor(void *args, const op_field *f)
{
    return (aiter_tensor *)(void *)((char *)args + f->offset);
}

static inline void op_set_workspace(const op_entry *op, void *args, void *data, size_t bytes)
{
    memcpy((char *)args + op->workspace_at, &data, sizeof data);
    memcpy((char *)args + op->workspace_bytes_at, &bytes, sizeof bytes);
}

static inline aiter_status op_call(const op_entry *op, const void *args, const attn_call *call)
{
    if (call->kind == CALL_WORKSPACE) return op->workspace(args, call->ctx, call->bytes);
    if (call->kind == CALL_PLAN && op->plan) return op->plan(args, call->ctx, call->plan_out);
    return op->run(args, call->ctx);
}

static inline aiter_status problem_call(const attn_problem *p, const attn_call *call)
{
    const op_entry *op = &op_table[p->c.op];
    any_args args;
    op->fill(&args, p, call);
    return op_call(op, &args, call);
}

static inline aiter_flash_attn_fwd_args problem_flash_args(const attn_problem *p,
                                                           const attn_call *call)
{
    aiter_flash_attn_fwd_args a;
    op_table[OP_FLASH].fill(&a, p, call);
    return a;
}

#endif /* AITER_TEST_OP_TABLE_H */
