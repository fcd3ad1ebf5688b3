/* api_parts.h -- what the argument structs share: keys and values as they lie, what happens from
 * q . k to the softmax, how a cache is quantised, how rows turn, a call's own memory. One thing is
 * said in one way, whatever the op; zero is the default of every field, and where a field means
 * nothing to an op, setting it is an error that says so; a writer alone takes the readers' whole
 * kv. C calls stay flat: .kv.k = ..., .score.softcap = 30. */
#ifndef AITER_API_PARTS_H
#define AITER_API_PARTS_H

#include "api_types.h"

/* Keys and values, described once and handed to every op that reads or writes them. Where key j of
 * batch row b stands:
 *   dense    k[b, j]: nothing but k and v; or, with seq_lens, the first seq_lens[b] of Sk
 *   packed   k[cu_seqlens[b] + j]; or, with seq_lens, with gaps: the first seq_lens[b] of the room
 *            up to cu_seqlens[b + 1]
 *   paged    k[block_table[b, j / P], j % P], of seq_lens[b] keys
 *   lists    k[indices[indptr[b] + j / P], j % P], of the pages up to indptr[b + 1], the last of
 *            which holds last_page_lens[b] keys; or of seq_lens[b] keys
 * Other orders of memory are strides: pages [num_blocks, Hk, P, D] are a transpose of dimensions 1
 * and 2, K and V interleaved as [num_blocks, 2, P, Hk, D] two slices. */
typedef struct aiter_kv {
    aiter_tensor k; /* [B, Sk, Hk, Dq]; packed [total_k, Hk, Dq]; pages [num_blocks, P, Hk, Dq];
                       F32, F16, BF16, I8, I4, fp8: a device reads the last two by
                       paged_attn_decode alone */
    aiter_tensor v; /* as k with Dv, its dtype may differ. Absent: V is the first dim_v columns of k
                       (latent rows) */
    int32_t dim_v;  /* needed without a v; with one 0 or Dv */
    aiter_kv_layout layout;   /* 0: NHD. Pages of another order have the shapes that it says, last
                                 strides of 1 and types of whole bytes; their scales, and errors
                                 about extents, count them as [num_blocks, P, Hk, D] all the same */
    aiter_tensor seq_lens;    /* I32 [B]: keys in use, new tokens included; needed with
                                 block_table */
    aiter_tensor cu_seqlens;  /* I32 [B + 1], non-decreasing from 0 */
    aiter_tensor block_table; /* I32 [B, max_blocks]: the page of keys [n * P, (n + 1) * P) */
    aiter_tensor indptr, indices; /* I32 [B + 1], non-decreasing from 0, and I32 [pages]: lists of
                                     pages in place of a table */
    aiter_tensor last_page_lens;  /* I32 [B], 1 to P: with indptr, in place of seq_lens */
    int32_t max_seqlen;   /* bound of the lengths: for the workspace, and on a device for the number
                             of workgroups and splits; 0: the largest that the shapes allow,
                             with indptr all pages for every sequence: give it there */
    aiter_tensor k_scale; /* needed for I8 and I4, may be for fp8: real = stored * scale. The shapes
                             of aiter_scale_kind; F32, F16, BF16, F8_E8M0, on a device F32. Values
                             are not looked at */
    aiter_tensor v_scale; /* the same; an absent v has the scales of k */
    aiter_scale_kind k_scale_kind, v_scale_kind; /* 0: by shape */
} aiter_kv;

/* From q . k to the softmax, in this order; the formula is at aiter_flash_attn_fwd. */
typedef struct aiter_score {
    float softmax_scale;  /* 0: 1 / sqrt(Dq) */
    aiter_tensor q_scale; /* optional F32: real q = stored * q_scale. [1], positive; or not looked
                             at [B, Hk], or q's shape with 1 for D, one a row */
    float softcap;        /* 0: off */
    aiter_tensor bias;    /* optional F32, F16, BF16: [Sq, Sk], [Hq, Sq, Sk] or [B, Hq, Sq, Sk],
                             any extent 1; with cu_seqlens_q rows are packed: [total_q, keys] or
                             [Hq, total_q, keys], keys at least the longest sequence's */
    aiter_tensor alibi_slopes;         /* optional F32 [Hq] or [B, Hq] */
    aiter_mask mask;                   /* DEFAULT: what the op says, NONE or CAUSAL */
    int32_t window_left, window_right; /* of AITER_MASK_WINDOW, -1: open; else 0 or -1 */
    aiter_tensor visible; /* optional U8, 1 where the key shows, 0 where it is hidden; shapes as of
                             bias. With it DEFAULT is NONE; beside another mask a key shows where
                             both show it */
    int32_t sink_tokens;  /* keys [0, sink_tokens) stay visible left of a window */
    aiter_tensor sinks;   /* optional F32 [Hq], logits in the scaled domain */
} aiter_score;

/* How numbers become codes. aiter_quantize takes all of it and says how; of aiter_reshape_and_cache
 * `group` and what follows are 0. All 0 there: rounded to the destination's dtype. With `to` = I8,
 * I4 or an fp8 type, of which M is the largest number (127, 7, 448, 240, 57344):
 *   scale_given 1   stored = x / scale, by scales that are read: PER_TENSOR or PER_HEAD
 *   scale_given 0   PER_TOKEN_HEAD: scale = max |x| / M over the D values of each token and head
 *                   is written, x / scale rounded to nearest even, clamped to +-M; a row of zeros
 *                   has scale 0; a row with a NaN scale NaN and codes 0, in fp8 NaN
 *                   PER_BLOCK_HEAD: the tokens of this call that go into one block count together,
 * in whatever order they come: own = max(max |x|, 1e-6) / M. If one of them goes to row 0 of the
 * block, or own > the scale that is there (or own is NaN, or that negative), own is written, and
 * the rows before the first of them are rounded again: stored * old / own; else the old scale
 * serves. Rows behind the first one that are not of this call keep their codes. A NaN scale stays
 * until row 0 is written; all codes under it are 0, in fp8 NaN. `per` 0 takes the granularity that
 * the shape of the scales has. */
typedef struct aiter_quantisation {
    aiter_dtype to; /* 0: what the destination is; else its dtype */
    aiter_scale_kind per;
    int32_t scale_given;     /* 1: scales are read, 0: computed and written */
    int32_t group;           /* elements of the last axis under one scale; 0: all of them */
    aiter_rounding rounding; /* TOWARD_ZERO: of F4_E2M1 alone */
    aiter_scale_rounding scale_rounding; /* of computed F8_E8M0 scales */
    aiter_overflow overflow;             /* TO_NAN: of the fp8 types alone */
    aiter_zero_block zero_block;         /* of computed scales */
    int32_t by_reciprocal; /* 1: x times the rounded 1 / scale, as AITER's kernels; 0: x / scale */
} aiter_quantisation;

/* Rotary position embedding: where dim elements of a row turn, pair by pair, by angles that belong
 * to the token's position. The formula is at aiter_rope_fwd. */
typedef struct aiter_rope {
    aiter_tensor cos, sin;      /* F32, F16, BF16 [max_pos, dim / 2], a column for each pair, or
                                   [max_pos, dim], one for each element; 2D: those of the rows, then
                                   those of the columns. vLLM's cos_sin_cache is two slices */
    aiter_tensor positions;     /* optional I32, I64, rows of the tables: [tokens] or [B, S] as the
                                   rows that turn; 2D [2, ...], MULTI [3, ...]. Absent: the token's
                                   index in its sequence */
    aiter_tensor offsets;       /* optional I32, I64 [tokens] or [B, S], added to the positions */
    int32_t dim;                /* elements that turn; 0: twice the columns of the tables */
    aiter_rope_pairing pairing; /* 0: NEOX */
    aiter_rope_kind kind;       /* 0: ONE position a token */
    int32_t nope_first;         /* 0: the first dim elements turn, 1: the last */
    int32_t sections[3];        /* of MULTI: pairs for each position, dim / 2 together */
    int32_t width;              /* of 2D without positions: token = row * width + column */
} aiter_rope;

/* A call's own memory; all of it optional. */
typedef struct aiter_call {
    const aiter_plan *plan; /* from the op's _plan with the same lengths */
    void *workspace;        /* NULL: scratch from the context. All of it counts as an output */
    size_t workspace_bytes; /* at least what _workspace says */
} aiter_call;

#endif /* AITER_API_PARTS_H */
