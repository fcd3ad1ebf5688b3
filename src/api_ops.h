/* api_ops.h -- one argument struct and its calls per op. Zero means default in every field.
 *
 * Letters: B batch, Hq query heads, Hk kv heads (Hq % Hk == 0; query head h reads kv head
 * h / (Hq / Hk)), Sq and Sk lengths, Dq = D of q and k, Dv of v and out, P page size.
 * Every op comes as
 *     aiter_<op>            runs it
 *     aiter_<op>_workspace  the scratch bytes it needs: reads no tensor data, monotone in every
 *                           extent and in max_seqlen_q/k (0: the largest the shapes allow), so one
 *                           query with the maxima serves all smaller calls of the same context
 *     aiter_<op>_plan       where lengths decide the work: schedules once for many calls
 * `workspace` and `workspace_bytes` in the args are optional: NULL takes scratch from the context.
 * Common statuses: INVALID_ARGUMENT (a field's shape, dtype, value or overlap; the text names it),
 * UNSUPPORTED (a valid combination without a kernel), WORKSPACE_TOO_SMALL, OUT_OF_MEMORY. A call
 * that fails has written nothing. Outputs share no element with inputs or each other; the whole
 * workspace is an output, and so is the memory of a plan while it is made. */
#ifndef AITER_ATTN_OPS
#define AITER_ATTN_OPS

#include "api_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Softmax attention, dense, padded, varlen or paged:
 *     t(i,j) = softmax_scale * q_i . k_j          then softcap * tanh(t / softcap) if softcap > 0
 *     t     += bias(i,j) - alibi_slope * |i + delta - j|,   delta = Sk - Sq
 *     out_i  = sum_j softmax_j(t(i,j)) v_j         over the keys that the mask shows
 *     lse_i  = ln sum_j exp t(i,j)                 natural logarithm, f32
 * A learned sink adds exp(sink_h) to the denominator and to the sum in lse. A score of -infinity,
 * by the mask or a bias, hides its key wholly: NaN in that k or v reaches nothing. out never holds
 * -0. Domain: the partial sums of q_i . k_j, the scores where a bias or ALiBi is added to them, and
 * keys of a row * max |v| (int8: times their scales) are below 2^127; f16 is always inside. There
 * every finite softmax_scale, softcap, slope and sink serves, and a row is what exact arithmetic
 * gives, within the bounds of docs/guide.md. ALiBi: a slope beyond 1.7e38 / (Sq + Sk) counts as
 * that. Values are not looked at: outside, a row may be NaN or infinite.
 * Follows FlashAttention-2 (Dao 2023) and the AITER flash_attn / mha_batch_prefill semantics. */
typedef struct aiter_flash_attn_fwd_args {
    aiter_tensor q;   /* [B, Sq, Hq, Dq], or [total_q, Hq, Dq] with cu_seqlens_q; F32, F16, BF16 */
    aiter_tensor k;   /* [B, Sk, Hk, Dq], or [total_k, Hk, Dq] with cu_seqlens_k, or pages
                         [num_blocks, P, Hk, Dq] with block_table; F32, F16, BF16, I8 */
    aiter_tensor v;   /* as k with Dv; same dtype as k */
    aiter_tensor out; /* as q with Dv; F32, F16, BF16 */
    aiter_tensor lse; /* optional F32 [B, Hq, Sq], or [Hq, total_q] with cu_seqlens_q */

    aiter_mask mask;                   /* DEFAULT: NONE */
    int32_t window_left, window_right; /* of AITER_MASK_WINDOW, -1: open; else 0 or -1 */
    int32_t sink_tokens;               /* keys [0, sink_tokens) stay visible left of a window */

    float softmax_scale; /* 0: 1 / sqrt(Dq) */
    float softcap;       /* 0: off */

    aiter_tensor alibi_slopes; /* optional F32 [Hq] or [B, Hq] */
    aiter_tensor bias;  /* optional F32, F16, BF16: [Sq, Sk], [Hq, Sq, Sk] or [B, Hq, Sq, Sk],
                           any extent 1; with cu_seqlens_q rows are packed: [total_q, max_seqlen_k]
                           or [Hq, total_q, max_seqlen_k] */
    aiter_tensor sinks; /* optional F32 [Hq], logits in the scaled domain */

    int32_t num_splits; /* 0: from Sq and Sk; 1: never split the keys; n: at most n pieces */

    aiter_tensor
        seqused_q; /* optional I32 [B], dense q: rows past it are neither read nor written */
    aiter_tensor seqused_k; /* optional I32 [B], dense k; needed with block_table */
    aiter_tensor cu_seqlens_q, cu_seqlens_k; /* optional I32 [B + 1], non-decreasing from 0 */
    int32_t max_seqlen_q,
        max_seqlen_k; /* bounds of the lengths: for the workspace, and on a device for the number
                         of workgroups and splits; 0: the largest the shapes allow */
    aiter_tensor
        block_table; /* optional I32 [B, max_blocks]: page of keys [n*P, (n+1)*P) of a sequence */

    aiter_tensor k_scale, v_scale; /* F32, needed for I8: real = stored * scale. [1], [Hk], or k's
                                      shape without D */
    aiter_scale_kind scale_kind;   /* 0: by shape */

    const aiter_plan *plan; /* optional, from aiter_flash_attn_fwd_plan with the same lengths */
    void *workspace;
    size_t workspace_bytes;
} aiter_flash_attn_fwd_args;

/* Runs it. Errors as at the top of this file, and: a length outside its tensor, a block id outside
 * [0, num_blocks) in an entry that holds a visible key, a plan of other lengths, shapes, kernel set
 * or threads. Example: aiter_flash_attn_fwd(&(aiter_flash_attn_fwd_args){.q = q, .k = k, .v = v,
 * .out = o}, NULL). */
AITER_API aiter_status aiter_flash_attn_fwd(const aiter_flash_attn_fwd_args *args,
                                            aiter_context *ctx);
/* Scratch bytes of aiter_flash_attn_fwd. */
AITER_API aiter_status aiter_flash_attn_fwd_workspace(const aiter_flash_attn_fwd_args *args,
                                                      aiter_context *ctx, size_t *bytes);
/* Schedules aiter_flash_attn_fwd for the lengths in args. Same results as without a plan. With a
 * device context as aiter_paged_attn_decode_plan. */
AITER_API aiter_status aiter_flash_attn_fwd_plan(const aiter_flash_attn_fwd_args *args,
                                                 aiter_context *ctx, aiter_plan *plan);

/* Decode over a paged cache: the q_len new tokens of a sequence are the last of its seq_lens keys,
 * already in the cache. Same formula as aiter_flash_attn_fwd, mask DEFAULT = CAUSAL among them.
 * AITER's paged_attention_v1 / v2 and their reductions in one call; the split over the keys depends
 * on the sequence's own length only. A sequence of length 0 gives rows of 0. */
typedef struct aiter_paged_attn_decode_args {
    aiter_tensor q;           /* [B, Hq, Dq] or [B, q_len, Hq, Dq]; F32, F16, BF16 */
    aiter_tensor k_cache;     /* [num_blocks, P, Hk, Dq]; F32, F16, BF16, I8 */
    aiter_tensor v_cache;     /* [num_blocks, P, Hk, Dv]; same dtype */
    aiter_tensor block_table; /* I32 [B, max_blocks] */
    aiter_tensor seq_lens;    /* I32 [B], the new tokens included */
    aiter_tensor out;         /* as q with Dv; F32, F16, BF16 */
    aiter_tensor lse;         /* optional F32 [Hq, B], or [B, Hq, q_len] */

    aiter_mask mask; /* DEFAULT: CAUSAL */
    int32_t window_left, window_right;
    int32_t sink_tokens;
    float softmax_scale; /* 0: 1 / sqrt(Dq) */
    float softcap;
    aiter_tensor alibi_slopes; /* optional F32 [Hq] or [B, Hq] */
    aiter_tensor sinks;        /* optional F32 [Hq] */
    int32_t num_splits;
    int32_t max_seqlen_k;          /* bound of seq_lens, as for flash; 0: max_blocks * P */
    aiter_tensor k_scale, v_scale; /* needed for I8: [1], [Hk] or [num_blocks, P, Hk] */
    aiter_scale_kind scale_kind;

    const aiter_plan *plan;
    void *workspace;
    size_t workspace_bytes;
} aiter_paged_attn_decode_args;

/* Runs it; errors as aiter_flash_attn_fwd. */
AITER_API aiter_status aiter_paged_attn_decode(const aiter_paged_attn_decode_args *args,
                                               aiter_context *ctx);
/* Scratch bytes of aiter_paged_attn_decode. */
AITER_API aiter_status aiter_paged_attn_decode_workspace(const aiter_paged_attn_decode_args *args,
                                                         aiter_context *ctx, size_t *bytes);
/* Schedules aiter_paged_attn_decode for the seq_lens in args, which are host memory even with a
 * device context. There UNSUPPORTED where another kernel than paged_decode would run. */
AITER_API aiter_status aiter_paged_attn_decode_plan(const aiter_paged_attn_decode_args *args,
                                                    aiter_context *ctx, aiter_plan *plan);

/* How aiter_reshape_and_cache stores. CONVERT rounds to the cache's dtype. STATIC divides by the
 * given scales and rounds to int8. PER_TOKEN_HEAD computes scale = max |x| / 127 over the D values
 * of each token and head, writes it, and rounds x / scale to nearest even, clamped to +-127; an
 * all-zero row has scale 0. */
typedef enum aiter_quant {
    AITER_QUANT_CONVERT = 0,
    AITER_QUANT_STATIC,
    AITER_QUANT_PER_TOKEN_HEAD,
    AITER_QUANT_COUNT
} aiter_quant;

/* Writes new tokens into the pages: token n goes to slot s = slot_mapping[n], row s % P of block
 * s / P. Slot -1 skips the token. vLLM's reshape_and_cache_flash. */
typedef struct aiter_reshape_and_cache_args {
    aiter_tensor k;            /* [tokens, Hk, Dq]; F32, F16, BF16 */
    aiter_tensor v;            /* [tokens, Hk, Dv]; same dtype */
    aiter_tensor k_cache;      /* [num_blocks, P, Hk, Dq]; F32, F16, BF16; I8 when quantising */
    aiter_tensor v_cache;      /* [num_blocks, P, Hk, Dv]; same dtype */
    aiter_tensor slot_mapping; /* I32 or I64 [tokens] */
    aiter_quant quant;
    aiter_tensor k_scale, v_scale; /* F32: STATIC reads [1] or [Hk]; PER_TOKEN_HEAD writes
                                      [num_blocks, P, Hk] */
    void *workspace;
    size_t workspace_bytes;
} aiter_reshape_and_cache_args;

/* Runs it. INVALID_ARGUMENT also: a slot below -1 or past the cache, the same slot twice, a STATIC
 * scale that is not positive and finite. */
AITER_API aiter_status aiter_reshape_and_cache(const aiter_reshape_and_cache_args *args,
                                               aiter_context *ctx);
/* Scratch bytes of aiter_reshape_and_cache (one bit per slot, to find a slot given twice). */
AITER_API aiter_status aiter_reshape_and_cache_workspace(const aiter_reshape_and_cache_args *args,
                                                         aiter_context *ctx, size_t *bytes);

/* Joins two attention results over disjoint keys:
 *     m = max(lse_a, lse_b), w_x = exp(lse_x - m)
 *     out = (w_a out_a + w_b out_b) / (w_a + w_b),  lse = m + ln(w_a + w_b)
 * A side whose lse is infinite is empty (-infinity here, +infinity in flash-attention): it is not
 * read, so its NaN stays out; both: 0 and -infinity. out is an attention's: it never holds -0. A
 * learned sink must have been given to one side only. out and lse may be exactly out_a and lse_a.
 */
typedef struct aiter_merge_attn_states_args {
    aiter_tensor out_a, out_b; /* [tokens, H, D] or [B, S, H, D]; F32, F16, BF16 */
    aiter_tensor lse_a, lse_b; /* F32 [H, tokens], or [B, H, S] */
    aiter_tensor out;          /* as out_a; F32, F16, BF16 */
    aiter_tensor lse;          /* optional, as lse_a */
} aiter_merge_attn_states_args;

/* Runs it. Needs no workspace. */
AITER_API aiter_status aiter_merge_attn_states(const aiter_merge_attn_states_args *args,
                                               aiter_context *ctx);
/* Always 0 bytes. */
AITER_API aiter_status aiter_merge_attn_states_workspace(const aiter_merge_attn_states_args *args,
                                                         aiter_context *ctx, size_t *bytes);

/* Dense attention with Hk kv heads shared by groups of query heads, the short form of
 * aiter_flash_attn_fwd. Ainslie et al. 2023. */
typedef struct aiter_grouped_query_attention_args {
    aiter_tensor q;   /* [B, Sq, Hq, Dq]; F32, F16, BF16 */
    aiter_tensor k;   /* [B, Sk, Hk, Dq]; F32, F16, BF16 */
    aiter_tensor v;   /* [B, Sk, Hk, Dv] */
    aiter_tensor out; /* [B, Sq, Hq, Dv] */
    aiter_tensor lse; /* optional F32 [B, Hq, Sq] */
    aiter_mask mask;  /* DEFAULT: NONE */
    int32_t window_left, window_right;
    float softmax_scale; /* 0: 1 / sqrt(Dq) */
    void *workspace;
    size_t workspace_bytes;
} aiter_grouped_query_attention_args;

/* Runs it; errors as aiter_flash_attn_fwd. */
AITER_API aiter_status aiter_grouped_query_attention(const aiter_grouped_query_attention_args *args,
                                                     aiter_context *ctx);
/* Scratch bytes of aiter_grouped_query_attention. */
AITER_API aiter_status aiter_grouped_query_attention_workspace(
    const aiter_grouped_query_attention_args *args, aiter_context *ctx, size_t *bytes);

/* aiter_grouped_query_attention whose k and v have exactly one head. Shazeer 2019. */
typedef aiter_grouped_query_attention_args aiter_multi_query_attention_args;

/* Runs it. INVALID_ARGUMENT also: Hk is not 1. */
AITER_API aiter_status aiter_multi_query_attention(const aiter_multi_query_attention_args *args,
                                                   aiter_context *ctx);
/* Scratch bytes of aiter_multi_query_attention. */
AITER_API aiter_status aiter_multi_query_attention_workspace(
    const aiter_multi_query_attention_args *args, aiter_context *ctx, size_t *bytes);

/* Packed sequences of different lengths, the short form of aiter_flash_attn_fwd with cu_seqlens. */
typedef struct aiter_variable_length_attention_args {
    aiter_tensor q;                          /* [total_q, Hq, Dq]; F32, F16, BF16 */
    aiter_tensor k;                          /* [total_k, Hk, Dq] */
    aiter_tensor v;                          /* [total_k, Hk, Dv] */
    aiter_tensor out;                        /* [total_q, Hq, Dv] */
    aiter_tensor lse;                        /* optional F32 [Hq, total_q] */
    aiter_tensor cu_seqlens_q, cu_seqlens_k; /* I32 [B + 1] */
    int32_t max_seqlen_q, max_seqlen_k;      /* as in aiter_flash_attn_fwd_args */
    aiter_mask mask;                         /* DEFAULT: NONE */
    int32_t window_left, window_right;
    float softmax_scale; /* 0: 1 / sqrt(Dq) */
    void *workspace;
    size_t workspace_bytes;
} aiter_variable_length_attention_args;

/* Runs it; errors as aiter_flash_attn_fwd. */
AITER_API aiter_status aiter_variable_length_attention(
    const aiter_variable_length_attention_args *args, aiter_context *ctx);
/* Scratch bytes of aiter_variable_length_attention. */
AITER_API aiter_status aiter_variable_length_attention_workspace(
    const aiter_variable_length_attention_args *args, aiter_context *ctx, size_t *bytes);

/* One query of one head in the transposed layout of tile accelerators: out = softmax(scale q^T k)
 * v^T. */
typedef struct aiter_decode_attention_args {
    aiter_tensor q;      /* [D, 1]; F32, F16, BF16 */
    aiter_tensor k, v;   /* [D, Sk] */
    aiter_tensor out;    /* [1, D] */
    float softmax_scale; /* 0: 1 / sqrt(D) */
    void *workspace;
    size_t workspace_bytes;
} aiter_decode_attention_args;

/* Runs it; errors as aiter_flash_attn_fwd. */
AITER_API aiter_status aiter_decode_attention(const aiter_decode_attention_args *args,
                                              aiter_context *ctx);
/* Scratch bytes of aiter_decode_attention. */
AITER_API aiter_status aiter_decode_attention_workspace(const aiter_decode_attention_args *args,
                                                        aiter_context *ctx, size_t *bytes);

/* One token of Hq query heads over Hk kv heads, transposed layouts. */
typedef struct aiter_decode_attention_gqa_args {
    aiter_tensor q;      /* [D, Hq]; F32, F16, BF16 */
    aiter_tensor k, v;   /* [Hk, D, Sk] */
    aiter_tensor out;    /* [Hq, D] */
    float softmax_scale; /* 0: 1 / sqrt(D) */
    void *workspace;
    size_t workspace_bytes;
} aiter_decode_attention_gqa_args;

/* Runs it; errors as aiter_flash_attn_fwd. */
AITER_API aiter_status aiter_decode_attention_gqa(const aiter_decode_attention_gqa_args *args,
                                                  aiter_context *ctx);
/* Scratch bytes of aiter_decode_attention_gqa. */
AITER_API aiter_status aiter_decode_attention_gqa_workspace(
    const aiter_decode_attention_gqa_args *args, aiter_context *ctx, size_t *bytes);

/* Would padding a sequence with zero keys up to a multiple of a tile spoil a softmax without mask?
 * For kernels of others that do so; the ops here mask their tails and need no guard. */
typedef struct aiter_padding_guard_args {
    int64_t seqlen;
    int64_t tile;     /* 0: 128 */
    aiter_mask mask;  /* CAUSAL hides the padding: always safe. DEFAULT: NONE */
    double threshold; /* 0: 0.005, the padded share of the keys that is still allowed */
} aiter_padding_guard_args;

/* ratio: (padded - seqlen) / padded. safe: 1 or 0. Either may be NULL. An unsafe verdict is OK,
 * too, and leaves words in aiter_last_error(): the limit and what to do instead. INVALID_ARGUMENT:
 * seqlen or tile not positive, a padded length beyond 2^63, a threshold outside [0, 1), a mask
 * other than NONE and CAUSAL. */
AITER_API aiter_status aiter_padding_guard(const aiter_padding_guard_args *args, double *ratio,
                                           int32_t *safe);

#ifdef __cplusplus
} /* extern "C" */

/* C++17 spells a call with a reference: aiter_flash_attn_fwd(args, ctx),
 * aiter_flash_attn_fwd(args). */
#define AITER_CXX_RUN(op)                                                       \
    inline aiter_status op(const op##_args &args, aiter_context *ctx = nullptr) \
    {                                                                           \
        return op(&args, ctx);                                                  \
    }
#define AITER_CXX_WORKSPACE(op)                                                                  \
    inline aiter_status op##_workspace(const op##_args &args, aiter_context *ctx, size_t &bytes) \
    {                                                                                            \
        return op##_workspace(&args, ctx, &bytes);                                               \
    }
#define AITER_CXX_PLAN(op)                                                                     \
    inline aiter_status op##_plan(const op##_args &args, aiter_context *ctx, aiter_plan &plan) \
    {                                                                                          \
        return op##_plan(&args, ctx, &plan);                                                   \
    }
AITER_CXX_RUN(aiter_flash_attn_fwd)
AITER_CXX_WORKSPACE(aiter_flash_attn_fwd)
AITER_CXX_PLAN(aiter_flash_attn_fwd)
AITER_CXX_RUN(aiter_paged_attn_decode)
AITER_CXX_WORKSPACE(aiter_paged_attn_decode)
AITER_CXX_PLAN(aiter_paged_attn_decode)
AITER_CXX_RUN(aiter_reshape_and_cache)
AITER_CXX_WORKSPACE(aiter_reshape_and_cache)
AITER_CXX_RUN(aiter_merge_attn_states)
AITER_CXX_WORKSPACE(aiter_merge_attn_states)
AITER_CXX_RUN(aiter_grouped_query_attention)
AITER_CXX_WORKSPACE(aiter_grouped_query_attention)
AITER_CXX_RUN(aiter_multi_query_attention)
AITER_CXX_WORKSPACE(aiter_multi_query_attention)
AITER_CXX_RUN(aiter_variable_length_attention)
AITER_CXX_WORKSPACE(aiter_variable_length_attention)
AITER_CXX_RUN(aiter_decode_attention)
AITER_CXX_WORKSPACE(aiter_decode_attention)
AITER_CXX_RUN(aiter_decode_attention_gqa)
AITER_CXX_WORKSPACE(aiter_decode_attention_gqa)
#undef AITER_CXX_RUN
#undef AITER_CXX_WORKSPACE
#undef AITER_CXX_PLAN
#endif /* __cplusplus */

#endif /* AITER_ATTN_OPS */
