/* op_list.h -- every op once. A new op is one OP line and its list of fields; from these come how a
 * test case fills its arguments (op_table.h), and every sweep of refusals (op_sweeps.h): wrong
 * types, ranks, extents, strides and pointers of each tensor, each pair that may not overlap, the
 * workspace and the plan over each operand, queries that may read nothing, poisoned memory.
 *
 *   TENSOR(args, name, role, wrong type, where a case keeps it: an expression of p)
 *   VALUE(args, name, expression of p (attn_problem) and call (attn_call))
 * Roles: an input is NEEDED or OPTIONAL, or FLEXIBLE: optional in several ranks, and its last
 * extent may be larger; SCALE: needed wherever it may be given, in several ranks; TABLE: so too,
 * its last extent may be larger; BLOCKS: its first may be. An output is OUTPUT, OPTIONAL_OUTPUT or
 * OUTPUT_BLOCKS. */
#ifndef AITER_TEST_OP_LIST_H
#define AITER_TEST_OP_LIST_H

/* Argument values that a case spells in another way. */
#define CASE_LEFT(p) ((p)->c.mask == AITER_MASK_WINDOW ? (p)->c.left : -(int)((p)->c.seed & 1))
#define CASE_RIGHT(p) \
    ((p)->c.mask == AITER_MASK_WINDOW ? (p)->c.right : -(int)((p)->c.seed >> 1 & 1))
/* Two kinds must be said: [Hk, D], and [B, Hk] of packed keys. */
#define CASE_SCALE_KIND(p)                                                                    \
    ((p)->c.seed % 3 && (p)->c.scale_kind != AITER_SCALE_PER_CHANNEL &&                       \
             !((p)->c.scale_kind == AITER_SCALE_PER_BATCH_HEAD && (p)->c.form == FORM_VARLEN) \
         ? AITER_SCALE_BY_SHAPE                                                               \
         : (p)->c.scale_kind)
/* A packed bias has rows of this length. */
#define CASE_MAX_SEQLEN_K(p, call) \
    ((p)->c.bias || (p)->c.visible ? (p)->c.sk : (call)->max_seqlen_k)

/* Needed without a v; beside one it may be said. */
#define CASE_DIM_V(p) ((p)->c.latent || (p)->c.seed & 4 ? (p)->c.dv : 0)

#define FIELDS_ROWS(T, V, A)                          \
    T(A, q, NEEDED, AITER_I8, p->q_t)                 \
    T(A, kv.k, NEEDED, AITER_I32, p->k_t)             \
    T(A, kv.v, NEEDED, AITER_U8, p->v_t)              \
    T(A, out, OUTPUT, AITER_I8, p->out_t)             \
    V(A, score.softmax_scale, case_float(p->c.scale)) \
    V(A, call.workspace, call->workspace)             \
    V(A, call.workspace_bytes, call->workspace_bytes)

/* What every form of the general attention has beyond the above. */
#define FIELDS_SCORE(T, V, A)                                 \
    T(A, lse, OPTIONAL_OUTPUT, AITER_F16, p->lse_t)           \
    V(A, score.mask, p->c.mask)                               \
    V(A, score.window_left, CASE_LEFT(p))                     \
    V(A, score.window_right, CASE_RIGHT(p))                   \
    T(A, score.alibi_slopes, FLEXIBLE, AITER_F16, p->alibi_t) \
    T(A, score.sinks, OPTIONAL, AITER_BF16, p->sinks_t)       \
    T(A, score.bias, FLEXIBLE, AITER_I8, p->bias_t)           \
    T(A, score.q_scale, FLEXIBLE, AITER_F16, p->q_scale)      \
    T(A, out_scale, FLEXIBLE, AITER_F16, p->out_scale)        \
    T(A, score.visible, FLEXIBLE, AITER_I8, p->visible_t)     \
    T(A, kv.block_table, TABLE, AITER_I64, p->table)          \
    T(A, kv.indptr, NEEDED, AITER_I64, p->indptr)             \
    T(A, kv.indices, TABLE, AITER_I64, p->indices)            \
    T(A, kv.last_page_lens, NEEDED, AITER_I64, p->last_pages) \
    T(A, kv.k_scale, SCALE, AITER_I8, p->k_scale)             \
    T(A, kv.v_scale, SCALE, AITER_I8, p->v_scale)             \
    V(A, kv.dim_v, CASE_DIM_V(p))                             \
    V(A, kv.layout, case_tiles(&(p)->c))                      \
    V(A, kv.k_scale_kind, CASE_SCALE_KIND(p))                 \
    V(A, kv.v_scale_kind, CASE_SCALE_KIND(p))                 \
    V(A, kv.max_seqlen, CASE_MAX_SEQLEN_K(p, call))           \
    V(A, score.sink_tokens, p->c.sink_tokens)                 \
    V(A, score.softcap, case_float(p->c.softcap))             \
    V(A, num_splits, p->c.splits)                             \
    V(A, call.plan, call->plan)

#define FIELDS_FLASH(T, V, A)                            \
    FIELDS_ROWS(T, V, A)                                 \
    FIELDS_SCORE(T, V, A)                                \
    T(A, seqused_q, OPTIONAL, AITER_I64, p->seqused_q)   \
    T(A, kv.seq_lens, OPTIONAL, AITER_F32, p->seqused_k) \
    T(A, cu_seqlens_q, OPTIONAL, AITER_I64, p->cu_q)     \
    T(A, kv.cu_seqlens, OPTIONAL, AITER_I64, p->cu_k)    \
    V(A, max_seqlen_q, call->max_seqlen_q)

#define FIELDS_DECODE(T, V, A) \
    FIELDS_ROWS(T, V, A)       \
    FIELDS_SCORE(T, V, A)      \
    T(A, kv.seq_lens, NEEDED, AITER_I64, p->seqused_k)

/* Not softmax attentions: their tensors come from tests/op_good.h. Scales are written where they
 * are computed; op_good says so. */
#define FIELDS_CACHE(T, V, A)                      \
    T(A, k, NEEDED, AITER_I8, op_none)             \
    T(A, v, NEEDED, AITER_I8, op_none)             \
    T(A, kv.k, OUTPUT, AITER_I32, op_none)         \
    T(A, kv.v, OUTPUT, AITER_I32, op_none)         \
    T(A, slot_mapping, NEEDED, AITER_F32, op_none) \
    T(A, kv.k_scale, SCALE, AITER_F16, op_none)    \
    T(A, kv.v_scale, SCALE, AITER_F16, op_none)    \
    V(A, call.workspace, call->workspace)          \
    V(A, call.workspace_bytes, call->workspace_bytes)

#define FIELDS_SWAP(T, V, A)                     \
    T(A, src, BLOCKS, AITER_I64, op_none)        \
    T(A, dst, OUTPUT_BLOCKS, AITER_I64, op_none) \
    T(A, mapping, BLOCKS, AITER_F32, op_none)    \
    V(A, call.workspace, call->workspace)        \
    V(A, call.workspace_bytes, call->workspace_bytes)

#define FIELDS_COPY(T, V, A)                  \
    V(A, num_caches, 0)                       \
    T(A, mapping, BLOCKS, AITER_F32, op_none) \
    V(A, call.workspace, call->workspace)     \
    V(A, call.workspace_bytes, call->workspace_bytes)

#define FIELDS_MERGE(T, V, A)               \
    T(A, out_a, NEEDED, AITER_I8, op_none)  \
    T(A, out_b, NEEDED, AITER_I8, op_none)  \
    T(A, lse_a, NEEDED, AITER_F16, op_none) \
    T(A, lse_b, NEEDED, AITER_F16, op_none) \
    T(A, out, OUTPUT, AITER_I8, op_none)    \
    T(A, lse, OPTIONAL_OUTPUT, AITER_F16, op_none)

#define FIELDS_ROPE(T, V, A)                           \
    T(A, x, NEEDED, AITER_I8, op_none)                 \
    T(A, y, OUTPUT, AITER_I8, op_none)                 \
    T(A, cu_seqlens, OPTIONAL, AITER_I64, op_none)     \
    T(A, rope.cos, NEEDED, AITER_I8, op_none)          \
    T(A, rope.sin, NEEDED, AITER_I8, op_none)          \
    T(A, rope.positions, OPTIONAL, AITER_F32, op_none) \
    T(A, rope.offsets, OPTIONAL, AITER_F32, op_none)

/* Of good arguments scales are written or read. */
#define FIELDS_QUANT(T, V, A)                        \
    T(A, x, NEEDED, AITER_I32, op_none)              \
    T(A, y, OUTPUT, AITER_I64, op_none)              \
    T(A, scale, SCALE, AITER_F16, op_none)           \
    T(A, global_scale, OPTIONAL, AITER_F16, op_none) \
    V(A, quantisation.group, 0)                      \
    V(A, quantisation.scale_given, 0)                \
    V(A, quantisation.by_reciprocal, 0)

/* OP(id, word for texts, name, fields, workspace or not, plan or not, its good arguments) */
#define OP_LIST(OP)                                                                            \
    OP(FLASH, "flash", flash_attn_fwd, FIELDS_FLASH, HAS_WORKSPACE, HAS_PLAN, attention)       \
    OP(DECODE, "decode", paged_attn_decode, FIELDS_DECODE, HAS_WORKSPACE, HAS_PLAN, attention) \
    OP(GQA, "gqa", grouped_query_attention, FIELDS_FLASH, HAS_WORKSPACE, HAS_PLAN, attention)  \
    OP(MQA, "mqa", multi_query_attention, FIELDS_FLASH, HAS_WORKSPACE, HAS_PLAN, attention)    \
    OP(VARLEN, "varlen", variable_length_attention, FIELDS_FLASH, HAS_WORKSPACE, HAS_PLAN,     \
       attention)                                                                              \
    OP(DECODE_ONE, "one", decode_attention, FIELDS_ROWS, HAS_WORKSPACE, NO_PLAN, attention)    \
    OP(DECODE_GQA, "one_gqa", decode_attention_gqa, FIELDS_ROWS, HAS_WORKSPACE, NO_PLAN,       \
       attention)                                                                              \
    OP(CACHE, "cache", reshape_and_cache, FIELDS_CACHE, HAS_WORKSPACE, NO_PLAN, cache)         \
    OP(SWAP, "swap", swap_blocks, FIELDS_SWAP, HAS_WORKSPACE, NO_PLAN, swap)                   \
    OP(COPY, "copy", copy_blocks, FIELDS_COPY, HAS_WORKSPACE, NO_PLAN, copy)                   \
    OP(MERGE, "merge", merge_attn_states, FIELDS_MERGE, NO_WORKSPACE, NO_PLAN, merge)          \
    OP(ROPE, "rope", rope_fwd, FIELDS_ROPE, NO_WORKSPACE, NO_PLAN, rope)                       \
    OP(QUANTIZE, "quantize", quantize, FIELDS_QUANT, NO_WORKSPACE, NO_PLAN, quantize)          \
    OP(DEQUANTIZE, "dequantize", dequantize, FIELDS_QUANT, NO_WORKSPACE, NO_PLAN, dequantize)

#define OP_ID(id, word, name, fields, workspace, plan, good) OP_##id,
typedef enum attn_op { OP_LIST(OP_ID) OP_COUNT } attn_op;
#undef OP_ID

#define OP_WORD(id, word, name, fields, workspace, plan, good) word,
static const char *const op_words[] = {OP_LIST(OP_WORD)};
#undef OP_WORD

#endif /* AITER_TEST_OP_LIST_H */
