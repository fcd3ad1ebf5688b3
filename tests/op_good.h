/* op_good.h -- good arguments of every op of op_list.h, several kinds of each: what the sweeps then
 * spoil. An op brings op_good_<its last column>, which answers 0 where it has no such variant. */
#ifndef AITER_TEST_OP_GOOD_H
#define AITER_TEST_OP_GOOD_H

#include "refusals.h"
#include "cache_mode.h"

typedef struct op_case {
    const op_entry *op;
    any_args args;
    op_role roles[OP_MOST_FIELDS];
    attn_problem p; /* its buffers hold every tensor */
    char text[64];
} op_case;

/* The tensor `name` of a case, compact, in a buffer of its own; 0 where the op has no such field.
 */
static inline void op_place(op_case *g, const char *name, aiter_tensor t, const void *values)
{
    int i;
    int64_t bytes;
    t.data = NULL;
    bytes = span_bytes(&t);
    t.data = problem_buffer(&g->p, (size_t)bytes, 9)->data;
    if (values) memcpy(t.data, values, (size_t)bytes);
    for (i = 0; i < g->op->num_fields; i++) {
        if (strcmp(g->op->fields[i].name, name) == 0) *op_tensor(&g->args, &g->op->fields[i]) = t;
    }
}

static inline void op_sets_role(op_case *g, const char *name, op_role role)
{
    int i;
    for (i = 0; i < g->op->num_fields; i++) {
        if (strcmp(g->op->fields[i].name, name) == 0) g->roles[i] = role;
    }
}

static inline int op_good_attention(op_case *g, int op, int variant)
{
    static const struct {
        int op;
        attn_form form;
        int sq, hk;
        aiter_mask mask;
        aiter_scale_kind int8;
    } rows[] = {{OP_FLASH, FORM_DENSE, 5, 2, AITER_MASK_DEFAULT, AITER_SCALE_BY_SHAPE},
                {OP_FLASH, FORM_PADDED, 5, 2, AITER_MASK_CAUSAL, AITER_SCALE_BY_SHAPE},
                {OP_FLASH, FORM_VARLEN, 5, 2, AITER_MASK_CAUSAL, AITER_SCALE_BY_SHAPE},
                {OP_FLASH, FORM_PAGED, 5, 2, AITER_MASK_DEFAULT, AITER_SCALE_BY_SHAPE},
                {OP_FLASH, FORM_MIXED, 5, 2, AITER_MASK_CAUSAL, AITER_SCALE_BY_SHAPE},
                {OP_FLASH, FORM_DENSE, 5, 4, AITER_MASK_DEFAULT, AITER_SCALE_PER_TENSOR},
                {OP_FLASH, FORM_DENSE, 5, 4, AITER_MASK_DEFAULT, AITER_SCALE_PER_HEAD},
                {OP_FLASH, FORM_DENSE, 5, 4, AITER_MASK_DEFAULT, AITER_SCALE_PER_TOKEN_HEAD},
                {OP_FLASH, FORM_VARLEN, 5, 4, AITER_MASK_DEFAULT, AITER_SCALE_PER_TOKEN_HEAD},
                {OP_FLASH, FORM_MIXED, 5, 4, AITER_MASK_DEFAULT, AITER_SCALE_PER_TENSOR},
                {OP_FLASH, FORM_MIXED, 5, 4, AITER_MASK_DEFAULT, AITER_SCALE_PER_HEAD},
                {OP_FLASH, FORM_MIXED, 5, 4, AITER_MASK_DEFAULT, AITER_SCALE_PER_TOKEN_HEAD},
                {OP_FLASH, FORM_DENSE, 1, 1, AITER_MASK_DEFAULT, AITER_SCALE_BY_SHAPE},
                {OP_FLASH, FORM_VARLEN, 1, 1, AITER_MASK_DEFAULT, AITER_SCALE_BY_SHAPE},
                {OP_FLASH, FORM_PAGED, 1, 1, AITER_MASK_DEFAULT, AITER_SCALE_PER_TOKEN_HEAD},
                {OP_DECODE, FORM_PAGED, 1, 2, AITER_MASK_DEFAULT, AITER_SCALE_BY_SHAPE},
                {OP_DECODE, FORM_PAGED, 3, 2, AITER_MASK_DEFAULT, AITER_SCALE_BY_SHAPE},
                {OP_DECODE, FORM_PAGED, 3, 2, AITER_MASK_DEFAULT, AITER_SCALE_PER_TOKEN_HEAD},
                {OP_GQA, FORM_DENSE, 5, 2, AITER_MASK_DEFAULT, AITER_SCALE_BY_SHAPE},
                {OP_MQA, FORM_DENSE, 5, 1, AITER_MASK_CAUSAL, AITER_SCALE_BY_SHAPE},
                {OP_VARLEN, FORM_VARLEN, 5, 2, AITER_MASK_CAUSAL, AITER_SCALE_BY_SHAPE},
                {OP_DECODE_ONE, FORM_DENSE, 1, 1, AITER_MASK_DEFAULT, AITER_SCALE_BY_SHAPE},
                {OP_DECODE_GQA, FORM_DENSE, 1, 2, AITER_MASK_DEFAULT, AITER_SCALE_BY_SHAPE}};
    static const char *const forms[] = {"dense", "padded", "varlen", "paged", "mixed"};
    static const char *const scales[] = {"", ", int8 by tensor", ", int8 by head",
                                         ", int8 by token and head"};
    attn_case c;
    attn_call call;
    int i = 0;
    while (i < COUNT(rows) && (rows[i].op != op || variant-- > 0)) i++;
    if (i == COUNT(rows)) return 0;
    c = base(rows[i].form);
    c.op = (attn_op)op;
    c.sq = rows[i].sq;
    c.hk = rows[i].hk;
    c.mask = rows[i].mask;
    if (op == OP_FLASH && c.sq == 1) c.b = c.hq = c.sk = c.page = 1; /* one of everything */
    if (op > OP_DECODE) c.alibi = c.sinks = 0, c.bias = c.visible = BIAS_NONE;
    if (op == OP_DECODE_ONE || op == OP_DECODE_GQA) c.b = 1;
    if (op == OP_DECODE_ONE) c.hq = 1;
    if (rows[i].int8) {
        c.q_type = AITER_F32;
        c.kv_type = AITER_I8;
        c.scale_kind = rows[i].int8;
        if (case_is_paged(&c)) c.lists = rows[i].int8 % 3;
    }
    memset(&call, 0, sizeof call);
    problem_new(&g->p, &c);
    problem_store(&g->p, SLACK_NAN);
    g->op->fill(&g->args, &g->p, &call);
    snprintf(g->text, sizeof g->text, "%s%s, %d rows", forms[c.form], scales[rows[i].int8], c.sq);
    return 1;
}

/* Every slot of the cache gets a token: whatever is written is written whole. */
static inline int op_good_cache(op_case *g, int op, int variant)
{
    static const float one[2] = {1, 2};
    int64_t slots[12];
    int i;
    aiter_reshape_and_cache_args *a = &g->args.reshape_and_cache;
    aiter_dtype type = variant ? AITER_I8 : AITER_F16;
    float values[12 * 2 * 8];
    (void)op;
    const int blocks = variant == CACHE_MODES; /* scales of them */
    if (variant > CACHE_MODES) return 0;
    for (i = 0; i < 12; i++) slots[i] = (i * 5 + 3) % 12;
    for (i = 0; i < COUNT(values); i++) values[i] = (float)rng_unit((uint64_t)i);
    a->quantisation = cache_quantisation(variant);
    op_place(g, "k", aiter_tensor_3d(NULL, AITER_F32, 12, 2, 8), values);
    op_place(g, "v", aiter_tensor_3d(NULL, AITER_F32, 12, 2, 8), values);
    op_place(g, "kv.k", aiter_tensor_4d(NULL, type, 3, 4, 2, 8), NULL);
    op_place(g, "kv.v", aiter_tensor_4d(NULL, type, 3, 4, 2, 8), NULL);
    op_place(g, "slot_mapping", aiter_tensor_1d(NULL, AITER_I64, 12), slots);
    snprintf(g->text, sizeof g->text, "quant %d", variant);
    if (variant == CACHE_SCALE_GIVEN) {
        op_place(g, "kv.k_scale", aiter_tensor_1d(NULL, AITER_F32, 2), one);
        op_place(g, "kv.v_scale", aiter_tensor_1d(NULL, AITER_F32, 2), one);
    } else if (variant != CACHE_CONVERTS) {
        const aiter_tensor t = blocks ? aiter_tensor_2d(NULL, AITER_F32, 3, 2)
                                      : aiter_tensor_3d(NULL, AITER_F32, 3, 4, 2);
        op_place(g, "kv.k_scale", t, NULL);
        op_place(g, "kv.v_scale", t, NULL);
        if (blocks) a->quantisation.per = AITER_SCALE_PER_BLOCK_HEAD;
        op_sets_role(g, "kv.k_scale", ROLE_OUTPUT);
        op_sets_role(g, "kv.v_scale", ROLE_OUTPUT);
    }
    return 1;
}

/* Every block of dst is written; int8 with I32 pairs, f16 with I64 ones. */
static inline int op_good_swap(op_case *g, int op, int variant)
{
    static const int64_t wide[3 * 2] = {3, 0, 0, 2, 3, 1};
    static const int32_t narrow[3 * 2] = {1, 1, 2, 0, 0, 2};
    const aiter_dtype type = variant ? AITER_I8 : AITER_F16;
    float values[4 * 4 * 2 * 8];
    int i;
    (void)op;
    if (variant == 2) return 0;
    for (i = 0; i < COUNT(values); i++) values[i] = (float)rng_unit((uint64_t)i);
    op_place(g, "src", aiter_tensor_4d(NULL, type, 4, 4, 2, 8), values);
    op_place(g, "dst", aiter_tensor_4d(NULL, type, 3, 4, 2, 8), NULL);
    op_place(g, "mapping", aiter_tensor_2d(NULL, variant ? AITER_I32 : AITER_I64, 3, 2),
             variant ? (const void *)narrow : (const void *)wide);
    snprintf(g->text, sizeof g->text, "swap %d", variant);
    return 1;
}

/* K, V and the scales of a layer; the sweeps know the pairs alone. */
static inline int op_good_copy(op_case *g, int op, int variant)
{
    static const int64_t pairs[3 * 2] = {3, 0, 1, 2, 3, 4};
    static aiter_tensor caches[3];
    aiter_copy_blocks_args *a = &g->args.copy_blocks;
    int i;
    (void)op;
    if (variant == 1) return 0;
    for (i = 0; i < 3; i++) {
        caches[i] = i == 2 ? aiter_tensor_3d(NULL, AITER_F32, 5, 4, 2)
                           : aiter_tensor_4d(NULL, AITER_I8, 5, 4, 2, 8);
        caches[i].data = problem_buffer(&g->p, (size_t)span_bytes(&caches[i]), 9)->data;
    }
    a->caches = caches;
    a->num_caches = 3;
    op_place(g, "mapping", aiter_tensor_2d(NULL, AITER_I64, 3, 2), pairs);
    snprintf(g->text, sizeof g->text, "three caches");
    return 1;
}

static inline int op_good_merge(op_case *g, int op, int variant)
{
    static const char *const rows[] = {"out_a", "out_b", "out"}, *const lses[] = {"lse_a", "lse_b",
                                                                                  "lse"};
    float values[2 * 3 * 4 * 8];
    int i;
    (void)op;
    if (variant == 2) return 0;
    for (i = 0; i < COUNT(values); i++) values[i] = (float)rng_unit((uint64_t)i);
    for (i = 0; i < 3; i++) {
        op_place(g, rows[i],
                 variant ? aiter_tensor_3d(NULL, AITER_F32, 6, 4, 8)
                         : aiter_tensor_4d(NULL, AITER_F32, 2, 3, 4, 8),
                 values);
        op_place(g, lses[i],
                 variant ? aiter_tensor_2d(NULL, AITER_F32, 4, 6)
                         : aiter_tensor_3d(NULL, AITER_F32, 2, 4, 3),
                 values);
    }
    snprintf(g->text, sizeof g->text, variant ? "packed" : "batched");
    return 1;
}

/* One position a token with offsets, three of packed rows, those of an image. */
static inline int op_good_rope(op_case *g, int op, int variant)
{
    static const int64_t positions[3 * 6] = {0, 8, 3, 1, 2, 4, 7, 5, 6, 1, 0, 2, 8, 8, 3, 5, 4, 6};
    static const int32_t offsets[6] = {1, 0, 2, 1, 2, 3};
    aiter_rope *r = &g->args.rope_fwd.rope;
    const int packed = variant == 1;
    float values[2 * 3 * 4 * 16];
    int i;
    (void)op;
    if (variant == 3) return 0;
    for (i = 0; i < COUNT(values); i++) values[i] = (float)rng_unit((uint64_t)i);
    for (i = 0; i < 2; i++) {
        op_place(g, i ? "y" : "x",
                 packed ? aiter_tensor_3d(NULL, AITER_F32, 6, 4, 16)
                        : aiter_tensor_4d(NULL, AITER_F32, 2, 3, 4, 16),
                 values);
        op_place(g, i ? "rope.sin" : "rope.cos", aiter_tensor_2d(NULL, AITER_F32, 9, 8), values);
    }
    if (packed) {
        r->kind = AITER_ROPE_MULTI;
        r->sections[0] = 4, r->sections[1] = 3, r->sections[2] = 1;
        op_place(g, "rope.positions", aiter_tensor_2d(NULL, AITER_I64, 3, 6), positions);
    } else {
        op_place(g, "rope.offsets", aiter_tensor_2d(NULL, AITER_I32, 2, 3), offsets);
    }
    if (variant == 2) r->kind = AITER_ROPE_2D, r->width = 2;
    snprintf(g->text, sizeof g->text, "rope %d", variant);
    return 1;
}

/* Types of 8 bits: the sweeps move tensors by whole elements. */
static inline int op_good_quant(op_case *g, int variant, int encodes)
{
    static const struct {
        aiter_dtype codes, scale;
        int dims, group, given;
        const char *text;
    } rows[] = {{AITER_I8, AITER_F32, 1, 0, 0, "int8 per tensor"},
                {AITER_F8_E4M3FN, AITER_F32, 3, 0, 0, "fp8 per token and head"},
                {AITER_F8_E5M2, AITER_F8_E8M0, 4, 4, 0, "fp8 by groups"},
                {AITER_F8_E4M3FNUZ, AITER_F32, 1, 0, 1, "fp8 per head"}};
    const char *const numbers = encodes ? "x" : "y", *const codes = encodes ? "y" : "x";
    aiter_quantize_args *a = &g->args.quantize;
    float values[2 * 3 * 4 * 8], ones[2 * 3 * 4];
    unsigned char bytes[2 * 3 * 4 * 8];
    aiter_tensor scale;
    int i;
    if (variant == COUNT(rows)) return 0;
    for (i = 0; i < COUNT(values); i++) values[i] = (float)rng_unit((uint64_t)i);
    for (i = 0; i < COUNT(bytes); i++) bytes[i] = (unsigned char)(i % 100);
    for (i = 0; i < COUNT(ones); i++) ones[i] = (float)(1 + i % 5);
    op_place(g, numbers, aiter_tensor_4d(NULL, AITER_F32, 2, 3, 4, 8), values);
    op_place(g, codes, aiter_tensor_4d(NULL, rows[variant].codes, 2, 3, 4, 8), bytes);
    scale = aiter_tensor_4d(NULL, rows[variant].scale, 2, 3, 4, 2);
    if (rows[variant].dims == 3) scale = aiter_tensor_3d(NULL, rows[variant].scale, 2, 3, 4);
    if (rows[variant].dims == 1)
        scale = aiter_tensor_1d(NULL, rows[variant].scale, rows[variant].given ? 4 : 1);
    if (rows[variant].scale == AITER_F32)
        op_place(g, "scale", scale, ones);
    else
        op_place(g, "scale", scale, bytes);
    a->quantisation.group = rows[variant].group;
    if (variant == 0) a->quantisation.per = AITER_SCALE_PER_TENSOR; /* and so not per head */
    a->quantisation.scale_given = encodes && rows[variant].given;
    if (encodes && !rows[variant].given) op_sets_role(g, "scale", ROLE_OUTPUT);
    snprintf(g->text, sizeof g->text, "%s", rows[variant].text);
    return 1;
}

static inline int op_good_quantize(op_case *g, int op, int variant)
{
    (void)op;
    return op_good_quant(g, variant, 1);
}

static inline int op_good_dequantize(op_case *g, int op, int variant)
{
    (void)op;
    return op_good_quant(g, variant, 0);
}

/* Good arguments number `variant` of an op; 0: there are no more. */
static inline int op_good(op_case *g, int op, int variant)
{
#define OP_GOOD(id, word, name, fields, workspace, plan, good) op_good_##good,
    static int (*const makers[])(op_case *, int, int) = {OP_LIST(OP_GOOD)};
#undef OP_GOOD
    int i;
    memset(g, 0, sizeof *g);
    g->op = &op_table[op];
    for (i = 0; i < g->op->num_fields; i++) g->roles[i] = g->op->fields[i].role;
    return makers[op](g, op, variant);
}

static inline void op_case_free(op_case *g) { problem_free(&g->p); }

#endif /* AITER_TEST_OP_GOOD_H */
