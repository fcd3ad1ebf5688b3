/* ops.h -- the ops that fuzz_args.c calls, one table entry each: the calls, and the fields with
 * what a good call puts there. A new op is one list of fields and one row of fuzz_ops. */
#ifndef AITER_FUZZ_OPS_H
#define AITER_FUZZ_OPS_H

#include <stddef.h>

/* What a tensor holds. */
typedef enum fuzz_holds {
    HOLDS_NUMBERS = 0,
    HOLDS_SCALES, /* positive and finite */
    HOLDS_USED_Q, /* lengths up to Sq */
    HOLDS_USED_K, /* lengths up to the keys that there is room for */
    HOLDS_USED_LISTS,
    HOLDS_STARTS_Q, /* cumulative, up to the packed tokens */
    HOLDS_STARTS_K,
    HOLDS_STARTS_PAGES, /* cumulative, up to the pages of all */
    HOLDS_LAST_PAGE,    /* 1 to the page size */
    HOLDS_BLOCKS,       /* block ids */
    HOLDS_SLOTS,        /* each once, or -1 */
    HOLDS_PAIRS,        /* of blocks, the second ones each once */
    HOLDS_APART         /* the same, and none of the first ones is a second one */
} fuzz_holds;

typedef enum fuzz_kind {
    KIND_IN = 0, /* tensors */
    KIND_OUT,
    KIND_I32, /* scalars, 0 in a good call; enums too */
    KIND_I64,
    KIND_F32,
    KIND_F64
} fuzz_kind;

/* `shape` spells the extents of a good call: B batch, 1 one more than it, S queries, K keys, T and
 * U packed queries and keys, H and G query and kv heads, D and V head dims, N blocks, P page size,
 * M blocks of a sequence, L of all, m half of N, t new tokens, o one, 2 two; ?k, ?v, ?q, ?o scales
 * of K, V, q, out, whose shapes good_call.h chooses, as it does those of pages in another
 * kv.layout. `type`: q, k, v, o, c the call's types of queries, keys, values, outputs, a cache
 * being written, x of scales, e of codes, a any; r, w floats of 16 or 32 bits; f, i, s, b: F32,
 * I32, I32 or I64, U8. `chance`: of 16, how often an optional tensor is there, 16 for the others.
 */
typedef struct fuzz_field {
    const char *name;
    size_t offset;
    fuzz_kind kind;
    const char *shape;
    char type;
    fuzz_holds holds;
    int chance;
} fuzz_field;

typedef struct fuzz_op {
    const char *name;
    size_t args_bytes, workspace_at, workspace_bytes_at, plan_at; /* offsets, or FUZZ_NONE */
    aiter_status (*run)(const void *args, aiter_context *ctx);
    aiter_status (*workspace)(const void *args, aiter_context *ctx, size_t *bytes);
    aiter_status (*plan)(const void *args, aiter_context *ctx, aiter_plan *plan);
    const fuzz_field *fields;
    int count;
} fuzz_op;

#define FUZZ_NONE ((size_t)-1)

#define TENSOR(args, name, kind, shape, type, holds, chance) \
    {#name, offsetof(args, name), kind, shape, type, holds, chance}
#define SCALAR(args, name, kind) {#name, offsetof(args, name), kind, "", 0, HOLDS_NUMBERS, 0}

#define RUN_AND_WORKSPACE(op)                                                            \
    static aiter_status run_##op(const void *a, aiter_context *ctx)                      \
    {                                                                                    \
        return aiter_##op((const aiter_##op##_args *)a, ctx);                            \
    }                                                                                    \
    static aiter_status workspace_##op(const void *a, aiter_context *ctx, size_t *bytes) \
    {                                                                                    \
        return aiter_##op##_workspace((const aiter_##op##_args *)a, ctx, bytes);         \
    }
#define PLAN(op)                                                                       \
    static aiter_status plan_##op(const void *a, aiter_context *ctx, aiter_plan *plan) \
    {                                                                                  \
        return aiter_##op##_plan((const aiter_##op##_args *)a, ctx, plan);             \
    }

RUN_AND_WORKSPACE(flash_attn_fwd)
PLAN(flash_attn_fwd)
RUN_AND_WORKSPACE(paged_attn_decode)
PLAN(paged_attn_decode)
RUN_AND_WORKSPACE(reshape_and_cache)
RUN_AND_WORKSPACE(swap_blocks)
RUN_AND_WORKSPACE(merge_attn_states)
RUN_AND_WORKSPACE(rope_fwd)
RUN_AND_WORKSPACE(quantize)
RUN_AND_WORKSPACE(dequantize)
RUN_AND_WORKSPACE(grouped_query_attention)
PLAN(grouped_query_attention)
RUN_AND_WORKSPACE(multi_query_attention)
PLAN(multi_query_attention)
RUN_AND_WORKSPACE(variable_length_attention)
PLAN(variable_length_attention)
RUN_AND_WORKSPACE(decode_attention)
RUN_AND_WORKSPACE(decode_attention_gqa)

#define FLASH(name, kind, shape, type, holds, chance) \
    TENSOR(aiter_flash_attn_fwd_args, name, kind, shape, type, holds, chance)
#define FLASH_SCORE                                                       \
    FLASH(score.q_scale, KIND_IN, "?q", 'f', HOLDS_SCALES, 4),            \
        FLASH(out_scale, KIND_IN, "?o", 'f', HOLDS_SCALES, 4),            \
        FLASH(score.sinks, KIND_IN, "H", 'f', HOLDS_NUMBERS, 4),          \
        FLASH(score.alibi_slopes, KIND_IN, "BH", 'f', HOLDS_NUMBERS, 4),  \
        SCALAR(aiter_flash_attn_fwd_args, score.mask, KIND_I32),          \
        SCALAR(aiter_flash_attn_fwd_args, score.window_left, KIND_I32),   \
        SCALAR(aiter_flash_attn_fwd_args, score.window_right, KIND_I32),  \
        SCALAR(aiter_flash_attn_fwd_args, score.sink_tokens, KIND_I32),   \
        SCALAR(aiter_flash_attn_fwd_args, score.softmax_scale, KIND_F32), \
        SCALAR(aiter_flash_attn_fwd_args, score.softcap, KIND_F32),       \
        SCALAR(aiter_flash_attn_fwd_args, num_splits, KIND_I32),          \
        SCALAR(aiter_flash_attn_fwd_args, max_seqlen_q, KIND_I32),        \
        SCALAR(aiter_flash_attn_fwd_args, kv.max_seqlen, KIND_I32),       \
        SCALAR(aiter_flash_attn_fwd_args, kv.k_scale_kind, KIND_I32),     \
        SCALAR(aiter_flash_attn_fwd_args, kv.v_scale_kind, KIND_I32),     \
        SCALAR(aiter_flash_attn_fwd_args, kv.dim_v, KIND_I32),            \
        SCALAR(aiter_flash_attn_fwd_args, kv.layout, KIND_I32),           \
        SCALAR(aiter_flash_attn_fwd_args, struct_bytes, KIND_I32)

static const fuzz_field flash_dense[] = {FLASH(q, KIND_IN, "BSHD", 'q', HOLDS_NUMBERS, 16),
                                         FLASH(kv.k, KIND_IN, "BKGD", 'k', HOLDS_NUMBERS, 16),
                                         FLASH(kv.v, KIND_IN, "BKGV", 'v', HOLDS_NUMBERS, 16),
                                         FLASH(out, KIND_OUT, "BSHV", 'o', HOLDS_NUMBERS, 16),
                                         FLASH(lse, KIND_OUT, "BHS", 'f', HOLDS_NUMBERS, 8),
                                         FLASH(score.bias, KIND_IN, "BHSK", 'r', HOLDS_NUMBERS, 4),
                                         FLASH(seqused_q, KIND_IN, "B", 'i', HOLDS_USED_Q, 4),
                                         FLASH(kv.seq_lens, KIND_IN, "B", 'i', HOLDS_USED_K, 4),
                                         FLASH(kv.k_scale, KIND_IN, "?k", 'x', HOLDS_SCALES, 0),
                                         FLASH(kv.v_scale, KIND_IN, "?v", 'x', HOLDS_SCALES, 0),
                                         FLASH(cu_seqlens_q, KIND_IN, "1", 'i', HOLDS_STARTS_Q, 0),
                                         FLASH(kv.block_table, KIND_IN, "BM", 'i', HOLDS_BLOCKS, 0),
                                         FLASH_SCORE};
static const fuzz_field flash_packed[] = {
    FLASH(q, KIND_IN, "THD", 'q', HOLDS_NUMBERS, 16),
    FLASH(kv.k, KIND_IN, "UGD", 'k', HOLDS_NUMBERS, 16),
    FLASH(kv.v, KIND_IN, "UGV", 'v', HOLDS_NUMBERS, 16),
    FLASH(out, KIND_OUT, "THV", 'o', HOLDS_NUMBERS, 16),
    FLASH(lse, KIND_OUT, "HT", 'f', HOLDS_NUMBERS, 8),
    FLASH(score.bias, KIND_IN, "HTK", 'f', HOLDS_NUMBERS, 4),
    FLASH(cu_seqlens_q, KIND_IN, "1", 'i', HOLDS_STARTS_Q, 16),
    FLASH(kv.cu_seqlens, KIND_IN, "1", 'i', HOLDS_STARTS_K, 16),
    FLASH(seqused_q, KIND_IN, "B", 'i', HOLDS_USED_Q, 4),
    FLASH(kv.seq_lens, KIND_IN, "B", 'i', HOLDS_USED_K, 4),
    FLASH(kv.k_scale, KIND_IN, "?k", 'x', HOLDS_SCALES, 0),
    FLASH(kv.v_scale, KIND_IN, "?v", 'x', HOLDS_SCALES, 0),
    FLASH_SCORE};
static const fuzz_field flash_mixed[] = {
    FLASH(q, KIND_IN, "THD", 'q', HOLDS_NUMBERS, 16),
    FLASH(kv.k, KIND_IN, "NPGD", 'k', HOLDS_NUMBERS, 16),
    FLASH(kv.v, KIND_IN, "NPGV", 'v', HOLDS_NUMBERS, 16),
    FLASH(out, KIND_OUT, "THV", 'o', HOLDS_NUMBERS, 16),
    FLASH(lse, KIND_OUT, "HT", 'f', HOLDS_NUMBERS, 8),
    FLASH(cu_seqlens_q, KIND_IN, "1", 'i', HOLDS_STARTS_Q, 16),
    FLASH(kv.block_table, KIND_IN, "BM", 'i', HOLDS_BLOCKS, 16),
    FLASH(kv.seq_lens, KIND_IN, "B", 'i', HOLDS_USED_K, 16),
    FLASH(kv.k_scale, KIND_IN, "?k", 'x', HOLDS_SCALES, 0),
    FLASH(kv.v_scale, KIND_IN, "?v", 'x', HOLDS_SCALES, 0),
    FLASH_SCORE};

static const fuzz_field flash_listed[] = {
    FLASH(q, KIND_IN, "THD", 'q', HOLDS_NUMBERS, 16),
    FLASH(kv.k, KIND_IN, "NPGD", 'k', HOLDS_NUMBERS, 16),
    FLASH(kv.v, KIND_IN, "NPGV", 'v', HOLDS_NUMBERS, 16),
    FLASH(out, KIND_OUT, "THV", 'o', HOLDS_NUMBERS, 16),
    FLASH(lse, KIND_OUT, "HT", 'f', HOLDS_NUMBERS, 8),
    FLASH(cu_seqlens_q, KIND_IN, "1", 'i', HOLDS_STARTS_Q, 16),
    FLASH(kv.indptr, KIND_IN, "1", 'i', HOLDS_STARTS_PAGES, 16),
    FLASH(kv.indices, KIND_IN, "L", 'i', HOLDS_BLOCKS, 16),
    FLASH(kv.last_page_lens, KIND_IN, "B", 'i', HOLDS_LAST_PAGE, 16),
    FLASH(score.visible, KIND_IN, "oo", 'b', HOLDS_NUMBERS, 2),
    FLASH(kv.k_scale, KIND_IN, "?k", 'x', HOLDS_SCALES, 0),
    FLASH(kv.v_scale, KIND_IN, "?v", 'x', HOLDS_SCALES, 0),
    FLASH_SCORE};

static const fuzz_field paged_decode[] = {
    FLASH(q, KIND_IN, "BSHD", 'q', HOLDS_NUMBERS, 16),
    FLASH(kv.k, KIND_IN, "NPGD", 'k', HOLDS_NUMBERS, 16),
    FLASH(kv.v, KIND_IN, "NPGV", 'v', HOLDS_NUMBERS, 16),
    FLASH(out, KIND_OUT, "BSHV", 'o', HOLDS_NUMBERS, 16),
    FLASH(lse, KIND_OUT, "BHS", 'f', HOLDS_NUMBERS, 8),
    FLASH(kv.block_table, KIND_IN, "BM", 'i', HOLDS_BLOCKS, 16),
    FLASH(kv.seq_lens, KIND_IN, "B", 'i', HOLDS_USED_K, 16),
    FLASH(kv.k_scale, KIND_IN, "?k", 'x', HOLDS_SCALES, 0),
    FLASH(kv.v_scale, KIND_IN, "?v", 'x', HOLDS_SCALES, 0),
    FLASH_SCORE};

static const fuzz_field listed_decode[] = {
    FLASH(q, KIND_IN, "BSHD", 'q', HOLDS_NUMBERS, 16),
    FLASH(kv.k, KIND_IN, "NPGD", 'k', HOLDS_NUMBERS, 16),
    FLASH(kv.v, KIND_IN, "NPGV", 'v', HOLDS_NUMBERS, 16),
    FLASH(out, KIND_OUT, "BSHV", 'o', HOLDS_NUMBERS, 16),
    FLASH(lse, KIND_OUT, "BHS", 'f', HOLDS_NUMBERS, 8),
    FLASH(kv.indptr, KIND_IN, "1", 'i', HOLDS_STARTS_PAGES, 16),
    FLASH(kv.indices, KIND_IN, "L", 'i', HOLDS_BLOCKS, 16),
    FLASH(kv.seq_lens, KIND_IN, "B", 'i', HOLDS_USED_LISTS, 16),
    FLASH(kv.k_scale, KIND_IN, "?k", 'x', HOLDS_SCALES, 0),
    FLASH(kv.v_scale, KIND_IN, "?v", 'x', HOLDS_SCALES, 0),
    FLASH_SCORE};

#define CACHE(name, kind, shape, type, holds, chance) \
    TENSOR(aiter_reshape_and_cache_args, name, kind, shape, type, holds, chance)
static const fuzz_field cache[] = {
    CACHE(k, KIND_IN, "tGD", 'r', HOLDS_NUMBERS, 16),
    CACHE(v, KIND_IN, "tGV", 'r', HOLDS_NUMBERS, 16),
    CACHE(kv.k, KIND_OUT, "NPGD", 'c', HOLDS_NUMBERS, 16),
    CACHE(kv.v, KIND_OUT, "NPGV", 'c', HOLDS_NUMBERS, 16),
    CACHE(slot_mapping, KIND_IN, "t", 's', HOLDS_SLOTS, 16),
    CACHE(kv.k_scale, KIND_OUT, "?k", 'f', HOLDS_SCALES, 0),
    CACHE(kv.v_scale, KIND_OUT, "?v", 'f', HOLDS_SCALES, 0),
    SCALAR(aiter_reshape_and_cache_args, kv.layout, KIND_I32),
    SCALAR(aiter_reshape_and_cache_args, quantisation.to, KIND_I32),
    SCALAR(aiter_reshape_and_cache_args, quantisation.per, KIND_I32),
    SCALAR(aiter_reshape_and_cache_args, quantisation.scale_given, KIND_I32)};

#define SWAP(name, kind, shape, type, holds, chance) \
    TENSOR(aiter_swap_blocks_args, name, kind, shape, type, holds, chance)
static const fuzz_field swap[] = {SWAP(src, KIND_IN, "NPGD", 'a', HOLDS_NUMBERS, 16),
                                  SWAP(dst, KIND_OUT, "NPGD", 'a', HOLDS_NUMBERS, 16),
                                  SWAP(mapping, KIND_IN, "N2", 's', HOLDS_PAIRS, 16)};
/* The caches lie behind the args, which point at them. */
typedef struct fuzz_copy {
    aiter_copy_blocks_args args;
    aiter_tensor caches[2];
} fuzz_copy;

static aiter_copy_blocks_args with_caches(const void *a)
{
    const fuzz_copy *x = (const fuzz_copy *)a;
    aiter_copy_blocks_args args = x->args;
    args.caches = x->caches;
    if (args.num_caches > 2) args.num_caches = 2; /* what it points at is trusted */
    return args;
}

static aiter_status run_copies(const void *a, aiter_context *ctx)
{
    const aiter_copy_blocks_args args = with_caches(a);
    return aiter_copy_blocks(&args, ctx);
}

static aiter_status workspace_copies(const void *a, aiter_context *ctx, size_t *bytes)
{
    const aiter_copy_blocks_args args = with_caches(a);
    return aiter_copy_blocks_workspace(&args, ctx, bytes);
}

static const fuzz_field copy[] = {
    TENSOR(fuzz_copy, caches[0], KIND_OUT, "NPGD", 'a', HOLDS_NUMBERS, 16),
    TENSOR(fuzz_copy, caches[1], KIND_OUT, "NGP", 'f', HOLDS_NUMBERS, 8),
    TENSOR(fuzz_copy, args.mapping, KIND_IN, "m2", 's', HOLDS_APART, 16),
    SCALAR(fuzz_copy, args.num_caches, KIND_I32)};

#define MERGE(name, kind, shape, type, holds, chance) \
    TENSOR(aiter_merge_attn_states_args, name, kind, shape, type, holds, chance)
static const fuzz_field merge[] = {MERGE(out_a, KIND_IN, "BSHV", 'r', HOLDS_NUMBERS, 16),
                                   MERGE(out_b, KIND_IN, "BSHV", 'w', HOLDS_NUMBERS, 16),
                                   MERGE(lse_a, KIND_IN, "BHS", 'f', HOLDS_NUMBERS, 16),
                                   MERGE(lse_b, KIND_IN, "BHS", 'f', HOLDS_NUMBERS, 16),
                                   MERGE(out, KIND_OUT, "BSHV", 'r', HOLDS_NUMBERS, 16),
                                   MERGE(lse, KIND_OUT, "BHS", 'f', HOLDS_NUMBERS, 8)};

#define ROPE(name, kind, shape, type, holds, chance) \
    TENSOR(aiter_rope_fwd_args, name, kind, shape, type, holds, chance)
static const fuzz_field rope[] = {ROPE(x, KIND_IN, "THD", 'r', HOLDS_NUMBERS, 16),
                                  ROPE(y, KIND_OUT, "THD", 'w', HOLDS_NUMBERS, 16),
                                  ROPE(cu_seqlens, KIND_IN, "1", 'i', HOLDS_STARTS_Q, 4),
                                  ROPE(rope.cos, KIND_IN, "To", 'r', HOLDS_NUMBERS, 16),
                                  ROPE(rope.sin, KIND_IN, "To", 'r', HOLDS_NUMBERS, 16),
                                  ROPE(rope.positions, KIND_IN, "T", 's', HOLDS_BLOCKS, 2),
                                  ROPE(rope.offsets, KIND_IN, "T", 's', HOLDS_BLOCKS, 2),
                                  SCALAR(aiter_rope_fwd_args, rope.dim, KIND_I32),
                                  SCALAR(aiter_rope_fwd_args, rope.pairing, KIND_I32),
                                  SCALAR(aiter_rope_fwd_args, rope.kind, KIND_I32),
                                  SCALAR(aiter_rope_fwd_args, rope.nope_first, KIND_I32),
                                  SCALAR(aiter_rope_fwd_args, rope.sections[1], KIND_I32),
                                  SCALAR(aiter_rope_fwd_args, rope.width, KIND_I32)};

#define QUANT(name, kind, shape, type, holds, chance) \
    TENSOR(aiter_quantize_args, name, kind, shape, type, holds, chance)
#define QUANT_OPTIONS                                                       \
    QUANT(global_scale, KIND_IN, "o", 'f', HOLDS_SCALES, 0),                \
        SCALAR(aiter_quantize_args, quantisation.to, KIND_I32),             \
        SCALAR(aiter_quantize_args, quantisation.per, KIND_I32),            \
        SCALAR(aiter_quantize_args, quantisation.scale_given, KIND_I32),    \
        SCALAR(aiter_quantize_args, quantisation.group, KIND_I32),          \
        SCALAR(aiter_quantize_args, quantisation.rounding, KIND_I32),       \
        SCALAR(aiter_quantize_args, quantisation.scale_rounding, KIND_I32), \
        SCALAR(aiter_quantize_args, quantisation.overflow, KIND_I32),       \
        SCALAR(aiter_quantize_args, quantisation.zero_block, KIND_I32),     \
        SCALAR(aiter_quantize_args, quantisation.by_reciprocal, KIND_I32)
static const fuzz_field to_codes[] = {QUANT(x, KIND_IN, "BSHD", 'r', HOLDS_NUMBERS, 16),
                                      QUANT(y, KIND_OUT, "BSHD", 'e', HOLDS_NUMBERS, 16),
                                      QUANT(scale, KIND_OUT, "BSH", 'f', HOLDS_SCALES, 16),
                                      QUANT_OPTIONS};
static const fuzz_field from_codes[] = {QUANT(x, KIND_IN, "BSHD", 'e', HOLDS_NUMBERS, 16),
                                        QUANT(y, KIND_OUT, "BSHD", 'w', HOLDS_NUMBERS, 16),
                                        QUANT(scale, KIND_IN, "BSH", 'f', HOLDS_SCALES, 16),
                                        QUANT_OPTIONS};

static const fuzz_field multi[] = {FLASH(q, KIND_IN, "BSHD", 'q', HOLDS_NUMBERS, 16),
                                   FLASH(kv.k, KIND_IN, "BKoD", 'k', HOLDS_NUMBERS, 16),
                                   FLASH(kv.v, KIND_IN, "BKoV", 'v', HOLDS_NUMBERS, 16),
                                   FLASH(out, KIND_OUT, "BSHV", 'o', HOLDS_NUMBERS, 16),
                                   FLASH(lse, KIND_OUT, "BHS", 'f', HOLDS_NUMBERS, 16),
                                   FLASH(kv.k_scale, KIND_IN, "?k", 'x', HOLDS_SCALES, 0),
                                   FLASH(kv.v_scale, KIND_IN, "?v", 'x', HOLDS_SCALES, 0),
                                   FLASH_SCORE};

#define ONE(args, name, kind, shape, type) TENSOR(args, name, kind, shape, type, HOLDS_NUMBERS, 16)
static const fuzz_field one[] = {
    ONE(aiter_decode_attention_args, q, KIND_IN, "Do", 'r'),
    ONE(aiter_decode_attention_args, kv.k, KIND_IN, "DK", 'r'),
    ONE(aiter_decode_attention_args, kv.v, KIND_IN, "DK", 'r'),
    ONE(aiter_decode_attention_args, out, KIND_OUT, "oD", 'w'),
    SCALAR(aiter_decode_attention_args, score.softmax_scale, KIND_F32)};
static const fuzz_field one_gqa[] = {
    ONE(aiter_decode_attention_gqa_args, q, KIND_IN, "DH", 'r'),
    ONE(aiter_decode_attention_gqa_args, kv.k, KIND_IN, "GDK", 'r'),
    ONE(aiter_decode_attention_gqa_args, kv.v, KIND_IN, "GDK", 'r'),
    ONE(aiter_decode_attention_gqa_args, out, KIND_OUT, "HD", 'w'),
    SCALAR(aiter_decode_attention_gqa_args, score.softmax_scale, KIND_F32)};

#define FIELDS(list) list, (int)(sizeof(list) / sizeof(list)[0])
#define WITH_WORKSPACE(op)                                                  \
    sizeof(aiter_##op##_args), offsetof(aiter_##op##_args, call.workspace), \
        offsetof(aiter_##op##_args, call.workspace_bytes)
#define PLANNED(op, list)                                                      \
    {"aiter_" #op, WITH_WORKSPACE(op), offsetof(aiter_##op##_args, call.plan), \
     run_##op,     workspace_##op,     plan_##op,                              \
     FIELDS(list)}
#define UNPLANNED(op, list) \
    {"aiter_" #op, WITH_WORKSPACE(op), FUZZ_NONE, run_##op, workspace_##op, NULL, FIELDS(list)}

static const fuzz_op fuzz_ops[] = {
    PLANNED(flash_attn_fwd, flash_dense),
    PLANNED(flash_attn_fwd, flash_packed),
    PLANNED(flash_attn_fwd, flash_mixed),
    PLANNED(paged_attn_decode, paged_decode),
    UNPLANNED(reshape_and_cache, cache),
    {"aiter_merge_attn_states", sizeof(aiter_merge_attn_states_args), FUZZ_NONE, FUZZ_NONE,
     FUZZ_NONE, run_merge_attn_states, workspace_merge_attn_states, NULL, FIELDS(merge)},
    PLANNED(grouped_query_attention, flash_dense),
    PLANNED(multi_query_attention, multi),
    PLANNED(variable_length_attention, flash_packed),
    UNPLANNED(decode_attention, one),
    UNPLANNED(decode_attention_gqa, one_gqa),
    PLANNED(flash_attn_fwd, flash_listed),
    PLANNED(paged_attn_decode, listed_decode),
    {"aiter_rope_fwd", sizeof(aiter_rope_fwd_args), FUZZ_NONE, FUZZ_NONE, FUZZ_NONE, run_rope_fwd,
     workspace_rope_fwd, NULL, FIELDS(rope)},
    {"aiter_quantize", sizeof(aiter_quantize_args), FUZZ_NONE, FUZZ_NONE, FUZZ_NONE, run_quantize,
     workspace_quantize, NULL, FIELDS(to_codes)},
    {"aiter_dequantize", sizeof(aiter_dequantize_args), FUZZ_NONE, FUZZ_NONE, FUZZ_NONE,
     run_dequantize, workspace_dequantize, NULL, FIELDS(from_codes)},
    UNPLANNED(swap_blocks, swap),
    {"aiter_copy_blocks", sizeof(aiter_copy_blocks_args),
     offsetof(aiter_copy_blocks_args, call.workspace),
     offsetof(aiter_copy_blocks_args, call.workspace_bytes), FUZZ_NONE, run_copies,
     workspace_copies, NULL, FIELDS(copy)}};

enum { FUZZ_OPS = (int)(sizeof fuzz_ops / sizeof fuzz_ops[0]), FUZZ_MOST_FIELDS = 40 };

/* ---- no op and no field is forgotten ---- */

#if defined(__has_include)
#if __has_include("../op_list.h")
#include "../op_list.h"

/* The attentions have one struct: a field that one of them lists is tried. */
static int shares_struct(const char *name)
{
    return strcmp(name, "reshape_and_cache") != 0 && strcmp(name, "swap_blocks") != 0 &&
           strcmp(name, "copy_blocks") != 0 && strcmp(name, "merge_attn_states") != 0 &&
           strcmp(name, "rope_fwd") != 0 && strcmp(name, "quantize") != 0 &&
           strcmp(name, "dequantize") != 0;
}

static int table_has(const char *name, size_t offset)
{
    for (int i = 0; i < FUZZ_OPS; i++) {
        const fuzz_op *op = &fuzz_ops[i];
        if (strcmp(op->name + strlen("aiter_"), name) != 0 &&
            !(shares_struct(name) && shares_struct(op->name + strlen("aiter_"))))
            continue;
        if (offset == op->workspace_at || offset == op->workspace_bytes_at || offset == op->plan_at)
            return 1;
        for (int f = 0; f < op->count; f++)
            if (op->fields[f].offset == offset) return 1;
    }
    return 0;
}

#define KNOWN_VALUE(args, field, value) \
    FUZZ_CHECK(table_has(op, offsetof(args, field)), "%s.%s is not in ops.h", op, #field);
#define KNOWN_TENSOR(args, field, role, wrong, value) KNOWN_VALUE(args, field, value)
#define KNOWN_OP(id, word, name, fields, workspace, plan, good) \
    {                                                           \
        const char *op = #name;                                 \
        fields(KNOWN_TENSOR, KNOWN_VALUE, aiter_##name##_args)  \
    }

static void check_table(void)
{
    OP_LIST(KNOWN_OP)
    (void)op_words;
}
#else
static void check_table(void) {}
#endif
#else
static void check_table(void) {}
#endif

#endif /* AITER_FUZZ_OPS_H */
