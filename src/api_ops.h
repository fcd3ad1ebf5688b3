/* api_ops.h -- the ops: one argument struct and its calls each. Zero means default in every field.
 *
 * Letters: B batch, Hq query heads, Hk kv heads (Hq % Hk == 0; query head h reads kv head
 * h / (Hq / Hk)), Sq and Sk lengths, Dq = D of q and k, Dv of v and out, P page size.
 * Every op of AITER_OP_LIST comes as
 *     aiter_<op>            runs it
 *     aiter_<op>_workspace  the scratch bytes it needs: reads no tensor data, monotone in every
 *                           extent and in max_seqlen_q and kv.max_seqlen (0: the largest the shapes
 *                           allow), so one query with the maxima serves all smaller calls of the
 *                           same context
 *     aiter_<op>_supported  would it run? The same code without the run: it reads no tensor data,
 *                           so that lengths, tables and slots are still to be checked
 *     aiter_<op>_explain    the same answer as text: what would run, cut how, at what cost, or why
 *                           nothing would. Writes at most `bytes` with the closing 0 and returns
 *                           the status that _supported returns
 *     aiter_<op>_plan       where lengths decide the work: schedules once for many calls
 * Statuses of all: INVALID_ARGUMENT (a field's shape, dtype, value or overlap; the text names it),
 * UNSUPPORTED (a valid combination without a kernel), WORKSPACE_TOO_SMALL, OUT_OF_MEMORY; with a
 * device NO_KERNEL and DEVICE. A call that fails has written nothing. Outputs share no element with
 * inputs or each other; the whole workspace is an output, and so is the memory of a plan while it
 * is made. struct_bytes begins each struct: 0, or its sizeof where the caller was compiled, so that
 * a binding of another version is refused and not misread. */
#ifndef AITER_API_OPS_H
#define AITER_API_OPS_H

#include "api_parts.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Every op: OP(name, family, HAS_PLAN or NO_PLAN). Families can be left out of the implementation:
 * AITER_ATTN_NO_CACHE, AITER_ATTN_ONLY_FLASH and so on, see docs/guide.md. What is left out returns
 * UNSUPPORTED from each of its calls. */
#define AITER_OP_LIST(OP)                          \
    OP(flash_attn_fwd, FLASH, HAS_PLAN)            \
    OP(paged_attn_decode, DECODE, HAS_PLAN)        \
    OP(grouped_query_attention, FLASH, HAS_PLAN)   \
    OP(multi_query_attention, FLASH, HAS_PLAN)     \
    OP(variable_length_attention, FLASH, HAS_PLAN) \
    OP(decode_attention, DECODE, NO_PLAN)          \
    OP(decode_attention_gqa, DECODE, NO_PLAN)      \
    OP(reshape_and_cache, CACHE, NO_PLAN)          \
    OP(swap_blocks, CACHE, NO_PLAN)                \
    OP(copy_blocks, CACHE, NO_PLAN)                \
    OP(merge_attn_states, MERGE, NO_PLAN)          \
    OP(rope_fwd, ROPE, NO_PLAN)                    \
    OP(quantize, QUANT, NO_PLAN)                   \
    OP(dequantize, QUANT, NO_PLAN)

/* What every softmax attention takes: the query rows, the keys, the score, the call. An op says
 * which shapes it gives q and which fields mean nothing to it. */
typedef struct aiter_attention_args {
    uint32_t struct_bytes;
    aiter_tensor q;   /* [B, Sq, Hq, Dq], or [total_q, Hq, Dq] with cu_seqlens_q; F32, F16, BF16,
                         on a CPU the fp8 types */
    aiter_tensor out; /* as q with Dv; the same types; fp8 saturates */
    aiter_tensor lse; /* optional F32 [B, Hq, Sq], or [Hq, total_q] with cu_seqlens_q */
    aiter_tensor
        cu_seqlens_q;       /* optional I32 [B + 1], non-decreasing from 0; packed or paged keys */
    aiter_tensor seqused_q; /* optional I32 [B]: rows past it are neither read nor written. Beside
                               cu_seqlens_q rows with gaps: that says where each sequence begins
                               and which room it has, this how many rows are there */
    int32_t max_seqlen_q;   /* bound of the query lengths, as kv.max_seqlen */
    int32_t num_splits;     /* 0: from Sq and Sk; 1: never split the keys; n: at most n pieces */
    aiter_tensor out_scale; /* optional F32 [1] or [B, Hk], positive: real out = stored *
                               out_scale */
    aiter_kv kv;
    aiter_score score;
    aiter_call call;
} aiter_attention_args;

/* Softmax attention, dense, padded, varlen or paged:
 *     t(i,j) = softmax_scale * q_i . k_j          then softcap * tanh(t / softcap) if softcap > 0
 *     t     += bias(i,j) - alibi_slope * |i + delta - j|,   delta = Sk - Sq
 *     out_i  = sum_j softmax_j(t(i,j)) v_j         over the keys that the mask shows
 *     lse_i  = ln sum_j exp t(i,j)                 natural logarithm, f32
 * A learned sink adds exp(sink_h) to the denominator and to the sum in lse. A score of -infinity,
 * by the mask or a bias, hides its key wholly: NaN in that k or v reaches nothing. out never holds
 * -0. Domain: the partial sums of q_i . k_j, the scores where a bias or ALiBi is added to them, and
 * keys of a row * max |v| (fp8, int8, int4: times their scales) are below 2^127; f16 is always
 * inside. There every finite softmax_scale, softcap, slope and sink serves, and a row is what exact
 * arithmetic gives, within the bounds of docs/guide.md. ALiBi: a slope beyond 1.7e38 / (Sq + Sk)
 * counts as that. Values are not looked at: outside, a row may be NaN or infinite. Follows
 * FlashAttention-2 (Dao 2023) and the AITER flash_attn / mha_batch_prefill semantics. */
typedef aiter_attention_args aiter_flash_attn_fwd_args;

/* Runs it; score.mask DEFAULT is NONE. Errors as at the top of this file, and: a length outside its
 * tensor, a block id outside [0, num_blocks) in an entry that holds a visible key, a plan of other
 * lengths, shapes, kernel set or threads. Example: aiter_flash_attn_fwd(
 * &(aiter_flash_attn_fwd_args){.q = q, .kv.k = k, .kv.v = v, .out = o}, NULL). */
AITER_ATTN_API aiter_status aiter_flash_attn_fwd(const aiter_flash_attn_fwd_args *args,
                                                 aiter_context *ctx);

/* Decode over a paged cache: the q_len new tokens of a sequence are the last of its kv.seq_lens
 * keys, already in the cache. q is [B, Hq, Dq] with lse [Hq, B], or [B, q_len, Hq, Dq] with lse
 * [B, Hq, q_len]. AITER's paged_attention_v1 / v2 and their reductions in one call; the split over
 * the keys depends on the sequence's own length only. A sequence of length 0 gives rows of 0. */
typedef aiter_attention_args aiter_paged_attn_decode_args;

/* Runs it: the formula of aiter_flash_attn_fwd, score.mask DEFAULT is CAUSAL. INVALID_ARGUMENT
 * also: no pages (kv.block_table with kv.seq_lens, or kv.indptr), a cu_seqlens_q or seqused_q.
 * aiter_paged_attn_decode_plan with a device context reads kv.seq_lens in host memory and answers
 * UNSUPPORTED where another kernel than paged_decode would run. */
AITER_ATTN_API aiter_status aiter_paged_attn_decode(const aiter_paged_attn_decode_args *args,
                                                    aiter_context *ctx);

/* Writes new tokens into the pages of a cache: token n goes to slot s = slot_mapping[n], row s % P
 * of block s / P. Slot -1 skips the token. vLLM's reshape_and_cache_flash. On a device the same, by
 * the same bits; slots are judged there: one that is none is skipped, and of two tokens for one
 * slot either may be in it. */
typedef struct aiter_reshape_and_cache_args {
    uint32_t struct_bytes;
    aiter_tensor k; /* [tokens, Hk, Dq]; F32, F16, BF16 */
    aiter_tensor v; /* [tokens, Hk, Dv]; same dtype */
    aiter_kv kv; /* the cache: k and v are pages, F32, F16, BF16, fp8, or I8 and I4 when quantising;
                    k_scale and v_scale are read as [1] or [Hk], or written as
                    [num_blocks, P, Hk], or both as [num_blocks, Hk]. The same kv as the readers
                    take: how they look keys up is not looked at */
    aiter_tensor slot_mapping; /* I32 or I64 [tokens] */
    aiter_quantisation quantisation;
    aiter_call call; /* no plan; the workspace has a bit per slot, to find one given twice,
                        and by blocks 16 bytes a token */
} aiter_reshape_and_cache_args;

/* Runs it. INVALID_ARGUMENT also: a slot below -1 or past the cache, the same slot twice, a given
 * scale that is not positive and finite. */
AITER_ATTN_API aiter_status aiter_reshape_and_cache(const aiter_reshape_and_cache_args *args,
                                                    aiter_context *ctx);

/* Whole blocks from one cache to another, as they are: block mapping[i][0] of src becomes block
 * mapping[i][1] of dst. One tensor a call: K, then V, then their scales; both may lie in any
 * strides. vLLM's swap_blocks where both caches are in memory of the context. On a device ids are
 * judged there: a pair with a block that there is not is skipped, and of two pairs that write one
 * block either may be in it. */
typedef struct aiter_swap_blocks_args {
    uint32_t struct_bytes;
    aiter_tensor src;     /* [num_blocks, ..], 1 to 5 dimensions, of every type */
    aiter_tensor dst;     /* as src, but for the number of blocks */
    aiter_tensor mapping; /* I32 or I64 [n, 2]: from, to */
    aiter_call call;      /* no plan; the workspace has a bit per block of dst */
} aiter_swap_blocks_args;

/* Runs it. INVALID_ARGUMENT also: a block that there is not, a block of dst twice, src and dst that
 * share memory (copy_blocks does that), an I4 or F4_E2M1 row that starts inside a byte. */
AITER_ATTN_API aiter_status aiter_swap_blocks(const aiter_swap_blocks_args *args,
                                              aiter_context *ctx);

/* Block mapping[i][0] becomes block mapping[i][1] inside each of the caches: the K and V of all
 * layers, and their scales, in any order. The pairs have no order: no block is both read and
 * written. vLLM's copy_blocks, whose chains are undefined, as they are on a device here: ids are
 * judged there, as those of swap_blocks. */
typedef struct aiter_copy_blocks_args {
    uint32_t struct_bytes;
    int32_t num_caches;
    const aiter_tensor *caches; /* [num_blocks, ..] each, 1 to 5 dimensions, of every type */
    aiter_tensor mapping;       /* I32 or I64 [n, 2]: from, to */
    aiter_call call;            /* no plan; the workspace has a bit per block */
} aiter_copy_blocks_args;

/* Runs it. INVALID_ARGUMENT also: a block that there is not, one that two pairs write, one that a
 * pair reads and a pair writes (a chain is several calls), caches that share memory or differ in
 * the number of blocks. */
AITER_ATTN_API aiter_status aiter_copy_blocks(const aiter_copy_blocks_args *args,
                                              aiter_context *ctx);

/* Joins two attention results over disjoint keys:
 *     m = max(lse_a, lse_b), w_x = exp(lse_x - m)
 *     out = (w_a out_a + w_b out_b) / (w_a + w_b),  lse = m + ln(w_a + w_b)
 * A side whose lse is infinite is empty (-infinity here, +infinity in flash-attention): it is not
 * read, so its NaN stays out; both: 0 and -infinity. out is an attention's: it never holds -0. A
 * learned sink must have been given to one side only. out and lse may be exactly out_a and lse_a.
 */
typedef struct aiter_merge_attn_states_args {
    uint32_t struct_bytes;
    aiter_tensor out_a, out_b; /* [tokens, H, D] or [B, S, H, D]; F32, F16, BF16 */
    aiter_tensor lse_a, lse_b; /* F32 [H, tokens], or [B, H, S] */
    aiter_tensor out;          /* as out_a; F32, F16, BF16 */
    aiter_tensor lse;          /* optional, as lse_a */
} aiter_merge_attn_states_args;

/* Runs it. Needs no workspace. */
AITER_ATTN_API aiter_status aiter_merge_attn_states(const aiter_merge_attn_states_args *args,
                                                    aiter_context *ctx);

/* Rotary position embedding (Su et al. 2021): each pair (x1, x2) of a row turns by the angle that
 * the tables hold for its position,
 *     y1 = x1 cos - x2 sin,  y2 = x2 cos + x1 sin
 * (with a column per element y1 takes those of x1, y2 those of x2), products and sum rounded to f32
 * each, then to y's type. Elements that do not turn are copied. Other orders of memory (sbhd) are
 * strides. y may be exactly x. */
typedef struct aiter_rope_fwd_args {
    uint32_t struct_bytes;
    aiter_tensor x;          /* [tokens, H, D] or [B, S, H, D]; F32, F16, BF16 */
    aiter_tensor y;          /* as x; F32, F16, BF16 */
    aiter_tensor cu_seqlens; /* optional I32 [B + 1], non-decreasing from 0, of packed rows without
                                positions: each sequence counts from 0. Rows past its last are
                                neither read nor written */
    aiter_rope rope;
} aiter_rope_fwd_args;

/* Runs it. INVALID_ARGUMENT also: a position outside the tables. Needs no workspace; the bits are
 * the same in every kernel set. With a device: NO_KERNEL. */
AITER_ATTN_API aiter_status aiter_rope_fwd(const aiter_rope_fwd_args *args, aiter_context *ctx);

/* Numbers to codes under scales, and back: x ~ codes * scale (* global_scale).
 *   scale    of x [.., D] without the last axis, one each row; any of its extents may be 1, one
 *            scale for all of that axis: [T, H] per token and head, [T, 1] per token, [1, H] or [H]
 *            per head, [1] one for all; a page's [num_blocks, 1, Hk]. With quantisation.group = g
 *            there is the axis ceil(D / g) behind, whose last group may be short; g = 1 beside
 *            extents of 1 is a scale per channel
 *   types    F32 for every code; F8_E8M0 for the fp8 types and F4_E2M1; F8_E4M3FN for F4_E2M1
 *            MXFP4 is F4_E2M1, F8_E8M0, group 32; MXFP8 fp8, F8_E8M0, group 32; NVFP4 F4_E2M1,
 *            F8_E4M3FN, group 16
 *   computed F32 max |x| / F with F the largest code (448, 240, 57344, 127, 7, 6); F8_E8M0 by
 *            quantisation.scale_rounding; F8_E4M3FN max |x| / 6 (/ global_scale), rounded
 *   codes    x / scale by the scale as it is stored, to nearest even, clamped to +-F. Where the
 *            scale is 0 they are 0. A NaN or an infinity makes its scale NaN, but an F32 one, which
 *            an infinity makes infinite: nothing of that group reads back as a number. Under a
 *            given scale NaN stays NaN in the fp8 types and is 0 in I8, I4 and F4_E2M1, and an
 *            infinity is clamped. The sign of a NaN is dropped
 * The types of 4 bits need rows that start at whole bytes, of stride 1: with an odd D a gap. */
typedef struct aiter_quantize_args {
    uint32_t struct_bytes;
    aiter_tensor x;     /* 1 to 4 dimensions; F32, F16, BF16. aiter_dequantize: the codes */
    aiter_tensor y;     /* as x: F8_E4M3FN, F8_E4M3FNUZ, F8_E5M2, I8, I4, F4_E2M1. aiter_dequantize:
                           F32, F16, BF16 */
    aiter_tensor scale; /* written, or with quantisation.scale_given = 1 read: positive, finite */
    aiter_tensor global_scale;       /* optional F32 [1], positive, beside F8_E4M3FN scales */
    aiter_quantisation quantisation; /* aiter_dequantize: `to` (0 or the codes' type), per, group */
} aiter_quantize_args;

/* Runs it. INVALID_ARGUMENT also: a given scale that is not positive and finite. UNSUPPORTED:
 * scales of another type than above. NO_KERNEL with a device context: it runs on the CPU. Needs no
 * workspace. Example: aiter_quantize(&(aiter_quantize_args){.x = x, .y = y, .scale = scale,
 * .quantisation.group = 32}, NULL). */
AITER_ATTN_API aiter_status aiter_quantize(const aiter_quantize_args *args, aiter_context *ctx);

/* From x, the codes, to y = x * scale (* global_scale) in f32, rounded to y's type. */
typedef aiter_quantize_args aiter_dequantize_args;

/* Runs it; errors as aiter_quantize. Scales are not looked at: 0 and NaN do what they do. */
AITER_ATTN_API aiter_status aiter_dequantize(const aiter_dequantize_args *args, aiter_context *ctx);

/* aiter_flash_attn_fwd by the name that groups of query heads sharing a kv head have elsewhere.
 * Ainslie et al. 2023. */
typedef aiter_attention_args aiter_grouped_query_attention_args;

/* Runs it; errors as aiter_flash_attn_fwd. */
AITER_ATTN_API aiter_status
aiter_grouped_query_attention(const aiter_grouped_query_attention_args *args, aiter_context *ctx);

/* The same, and kv has exactly one head. Shazeer 2019. */
typedef aiter_attention_args aiter_multi_query_attention_args;

/* Runs it. INVALID_ARGUMENT also: Hk is not 1. */
AITER_ATTN_API aiter_status
aiter_multi_query_attention(const aiter_multi_query_attention_args *args, aiter_context *ctx);

/* The same over packed sequences of different lengths: cu_seqlens_q is needed, and kv.cu_seqlens or
 * pages. */
typedef aiter_attention_args aiter_variable_length_attention_args;

/* Runs it. INVALID_ARGUMENT also: no cu_seqlens_q, neither kv.cu_seqlens nor pages. */
AITER_ATTN_API aiter_status aiter_variable_length_attention(
    const aiter_variable_length_attention_args *args, aiter_context *ctx);

/* One query of one head in the transposed layout of tile accelerators, out = softmax(scale q^T k)
 * v^T: q [D, 1], kv.k and kv.v [D, Sk], out [1, D]; k and v F32, F16, BF16. */
typedef aiter_attention_args aiter_decode_attention_args;

/* Runs it. Of kv the lengths and tables and of the rest cu_seqlens_q, seqused_q and lse mean
 * nothing here. */
AITER_ATTN_API aiter_status aiter_decode_attention(const aiter_decode_attention_args *args,
                                                   aiter_context *ctx);

/* One token of Hq query heads over Hk kv heads: q [D, Hq], kv.k and kv.v [Hk, D, Sk], out [Hq, D].
 */
typedef aiter_attention_args aiter_decode_attention_gqa_args;

/* Runs it; fields as aiter_decode_attention. */
AITER_ATTN_API aiter_status aiter_decode_attention_gqa(const aiter_decode_attention_gqa_args *args,
                                                       aiter_context *ctx);

/* The companions of every op, see the top of this file. */
#define AITER_DECLARE_HAS_PLAN(op)                                               \
    AITER_ATTN_API aiter_status aiter_##op##_plan(const aiter_##op##_args *args, \
                                                  aiter_context *ctx, aiter_plan *plan);
#define AITER_DECLARE_NO_PLAN(op)
#define AITER_DECLARE(op, family, plan)                                                    \
    AITER_ATTN_API aiter_status aiter_##op##_workspace(const aiter_##op##_args *args,      \
                                                       aiter_context *ctx, size_t *bytes); \
    AITER_ATTN_API aiter_status aiter_##op##_supported(const aiter_##op##_args *args,      \
                                                       aiter_context *ctx);                \
    AITER_ATTN_API aiter_status aiter_##op##_explain(                                      \
        const aiter_##op##_args *args, aiter_context *ctx, char *text, size_t bytes);      \
    AITER_DECLARE_##plan(op)
AITER_OP_LIST(AITER_DECLARE)
#undef AITER_DECLARE
#undef AITER_DECLARE_HAS_PLAN
#undef AITER_DECLARE_NO_PLAN

/* Would padding a sequence with zero keys up to a multiple of a tile spoil a softmax without mask?
 * For kernels of others that do so; the ops here mask their tails and need no guard. */
typedef struct aiter_padding_guard_args {
    uint32_t struct_bytes; /* as above */
    int64_t seqlen;
    int64_t tile;     /* 0: 128 */
    aiter_mask mask;  /* CAUSAL hides the padding: always safe. DEFAULT: NONE */
    double threshold; /* 0: 0.005, the padded share of the keys that is still allowed */
} aiter_padding_guard_args;

/* ratio: (padded - seqlen) / padded. safe: 1 or 0. Either may be NULL. An unsafe verdict is OK,
 * too, and leaves words in aiter_last_error(): the limit and what to do instead. INVALID_ARGUMENT:
 * seqlen or tile not positive, a padded length beyond 2^63, a threshold outside [0, 1), a mask
 * other than NONE and CAUSAL. */
AITER_ATTN_API aiter_status aiter_padding_guard(const aiter_padding_guard_args *args, double *ratio,
                                                int32_t *safe);

/* Where AITER_ATTN_SELFTEST is defined: every op on every kernel set of this machine, and on ctx's
 * device if it has one, against the scalar set. Small inputs from a counter; types, masks, pages,
 * lists, gaps, scales, groups of heads and odd sizes change from case to case. `budget`: the
 * multiply-adds that the scalar set does, 0: 4e8, about a second; every op has one case at least,
 * and equal budgets try equal cases. ctx NULL: on this thread; else with its threads and memory
 * hooks. DEVICE: a set or the device computes something else; the text names op, set, case,
 * element, what it is and what it should be. What a device or this build has not is left out.
 * INVALID_ARGUMENT: a negative budget or NaN. Example:
 * if (aiter_selftest(NULL, 0) != AITER_OK) puts(aiter_last_error()); */
#ifdef AITER_ATTN_SELFTEST
AITER_ATTN_API aiter_status aiter_selftest(aiter_context *ctx, double budget);
#endif

#ifdef __cplusplus
} /* extern "C" */

/* C++17 spells a call with a reference: aiter_flash_attn_fwd(args, ctx),
 * aiter_flash_attn_fwd(args). Ops that share a struct differ in name. */
#define AITER_CXX_HAS_PLAN(op)                                                               \
    inline aiter_status aiter_##op##_plan(const aiter_##op##_args &args, aiter_context *ctx, \
                                          aiter_plan &plan)                                  \
    {                                                                                        \
        return aiter_##op##_plan(&args, ctx, &plan);                                         \
    }
#define AITER_CXX_NO_PLAN(op)
#define AITER_CXX(op, family, plan)                                                               \
    inline aiter_status aiter_##op(const aiter_##op##_args &args, aiter_context *ctx = nullptr)   \
    {                                                                                             \
        return aiter_##op(&args, ctx);                                                            \
    }                                                                                             \
    inline aiter_status aiter_##op##_supported(const aiter_##op##_args &args,                     \
                                               aiter_context *ctx = nullptr)                      \
    {                                                                                             \
        return aiter_##op##_supported(&args, ctx);                                                \
    }                                                                                             \
    inline aiter_status aiter_##op##_workspace(const aiter_##op##_args &args, aiter_context *ctx, \
                                               size_t &bytes)                                     \
    {                                                                                             \
        return aiter_##op##_workspace(&args, ctx, &bytes);                                        \
    }                                                                                             \
    inline aiter_status aiter_##op##_explain(const aiter_##op##_args &args, aiter_context *ctx,   \
                                             char *text, size_t bytes)                            \
    {                                                                                             \
        return aiter_##op##_explain(&args, ctx, text, bytes);                                     \
    }                                                                                             \
    AITER_CXX_##plan(op)
AITER_OP_LIST(AITER_CXX)
#undef AITER_CXX
#undef AITER_CXX_HAS_PLAN
#undef AITER_CXX_NO_PLAN
#endif /* __cplusplus */

#endif /* AITER_API_OPS_H */
