/* args.h -- what the host hands to a kernel, by value: one struct per op, built from shared parts.
 * Read by the C header and by device code, so: fixed widths, 8-byte parts, addresses as uint64_t,
 * strides in elements. Any change changes abi_hash.h and with it every code object. */
#ifndef AITERI_KERNEL_ARGS_H
#define AITERI_KERNEL_ARGS_H

/* Rows of q or out: element (b, t, h, d) at data[b*batch + t*token + h*head + d]. In a packed
 * (varlen) tensor stride_batch is 0 and t counts from the tensor's start. */
typedef struct aiteri_gpu_rows {
    uint64_t data;
    int64_t stride_batch, stride_token, stride_head;
} aiteri_gpu_rows;

/* K or V: element (outer, t, h, d) at outer*outer + t*token + h*head + d*dim; outer is the batch
 * row, or the page, t counts inside it. Pages may have columns in pieces, tokens in bundles, of so
 * many, 0 where strides say it: then d is d / piece * stride_piece + d % piece * stride_dim, and so
 * is t. scales: f32, same index order, strides 0 where a scale does not vary; 0: none. dtype: an
 * aiter_dtype, where an instance serves several types (f8). */
typedef struct aiteri_gpu_source {
    uint64_t data;
    int64_t stride_outer, stride_token, stride_head, stride_dim;
    int64_t stride_piece, stride_bundle;
    int32_t piece, bundle;
    uint64_t scales;
    int64_t scale_stride_outer, scale_stride_token, scale_stride_head;
    int32_t dtype, unused;
} aiteri_gpu_source;

/* Lengths live on the device; pointers may be 0. Per sequence b:
 *   cu:   [b*stride], [(b+1)*stride]; else used: [b*stride]; else `seqlen`.
 * `most` is the host's bound, and a kernel clamps to it. */
typedef struct aiteri_gpu_lengths {
    uint64_t cu, used;
    int64_t cu_stride, used_stride;
    int32_t seqlen, most;
} aiteri_gpu_lengths;

/* Key j of sequence b is token j % page_size of block table[b*batch + (j / page_size)*entry]; an
 * id outside [0, num_blocks) is an unmapped page: its keys are not visible. table 0: not paged.
 * With indptr the table is lists one after the other, `entries` in all, stride_batch 0: that of b
 * begins at entry indptr[b*stride] and ends before [(b+1)*stride], of its last page last_lens
 * [b*stride] keys are there; last_lens 0: k_lengths counts them. A list that falls, or leaves the
 * entries, has no pages. */
typedef struct aiteri_gpu_pages {
    uint64_t table, indptr, last_lens;
    int64_t stride_batch, stride_entry, stride_indptr, stride_last;
    int32_t page_size, num_blocks, entries, unused;
} aiteri_gpu_pages;

/* mask: an aiter_mask, never DEFAULT. The rule is aiteri_visible_keys of src/plan/mask.c. */
typedef struct aiteri_gpu_mask {
    int32_t mask, window_left, window_right, sink_tokens;
} aiteri_gpu_mask;

/* What happens to a score before the softmax, in this order: times softmax_scale (and the K scale),
 * softcap, bias, ALiBi. bias element (b, i, h, j), f32, f16 or bf16 by bias_dtype (an aiter_dtype).
 * sinks: one f32 logit per query head that joins the denominator. Pointers 0: none. */
typedef struct aiteri_gpu_score {
    float softmax_scale, softcap;
    uint64_t alibi;
    int64_t alibi_stride_batch, alibi_stride_head;
    uint64_t bias;
    int64_t bias_stride_batch, bias_stride_token, bias_stride_head, bias_stride_key;
    uint64_t sinks;
    int64_t sinks_stride;
    int32_t bias_dtype, unused;
} aiteri_gpu_score;

/* Keys are cut at multiples of split_keys, a multiple of the instance's keys. With count > 1 split
 * s writes its unnormalised output row and {maximum, sum} (natural logarithm units) to o [(s*rows +
 * r)*dim_v + d], ml [(s*rows + r)*2], r = (b*heads_q + h)*max_seqlen_q + t and `combine` merges
 * splits 0 .. ceil(seqlen_k / split_keys) - 1 in that order. Splits past the sequence's keys write
 * nothing. The maximum of a plain kernel may be too low by log 256: it is what sum and o are
 * relative to. */
typedef struct aiteri_gpu_split {
    uint64_t o, ml;
    int64_t rows, split_keys;
    int32_t count, unused;
} aiteri_gpu_split;

/* A plan's works, at `list`: {0, count}, then work_info [count] of aiter_plan. Workgroup i does
 * work i, those from `count` on leave. list 0: workgroups find theirs from the bounds. */
typedef struct aiteri_gpu_work {
    uint64_t list;
} aiteri_gpu_work;

/* flash_fwd, paged_decode and combine. lse element (b, h, t), f32; 0: not wanted. */
typedef struct aiteri_gpu_attention {
    aiteri_gpu_rows q, out;
    uint64_t lse;
    int64_t lse_stride_batch, lse_stride_head, lse_stride_token;
    aiteri_gpu_source k, v;
    aiteri_gpu_lengths q_lengths, k_lengths;
    aiteri_gpu_pages pages;
    aiteri_gpu_mask mask;
    aiteri_gpu_score score;
    aiteri_gpu_split split;
    aiteri_gpu_work work;                   /* of paged_decode */
    int32_t batch, heads_q, heads_k, group; /* group = heads_q / heads_k */
    int32_t dim_q, dim_v;                   /* of the tensors; the instance's are padded */
    int32_t tiles, xcds;                    /* query tiles per (batch, head); dies of the chip */
} aiteri_gpu_attention;

/* One side (K or V) of reshape_and_cache: src (token, head, d), cache (block, in block, head, d).
 * In a block token t is at t / bundle bundles and t % bundle tokens, in a row element d at d /
 * piece pieces and d % piece elements; 0: all are in one. */
typedef struct aiteri_gpu_cache_side {
    uint64_t src, cache, scale;
    int64_t src_stride_token, src_stride_head, src_stride_dim;
    int64_t cache_stride_block, cache_stride_token, cache_stride_head, cache_stride_dim;
    int64_t cache_stride_bundle, cache_stride_piece;
    int64_t scale_stride_block, scale_stride_token, scale_stride_head;
    int32_t dim, bundle, piece, unused;
} aiteri_gpu_cache_side;

/* slot_bits: 32 or 64. quant: an aiteri_cache_mode. A slot outside [0, slots) is skipped. The cache
 * is of cache_dtype (an aiter_dtype), of which a computed scale makes `largest` the largest. */
typedef struct aiteri_gpu_reshape_and_cache {
    aiteri_gpu_cache_side k, v;
    uint64_t slot_mapping;
    int64_t slot_stride, tokens, slots;
    int32_t heads, page_size, slot_bits, quant;
    int32_t cache_dtype;
    float largest;
} aiteri_gpu_reshape_and_cache;

/* Block mapping (pair, 0) of src becomes block mapping (pair, 1) of dst. Everything is in bytes: a
 * block has `units` of `unit` (16, 8, 4, 2 or 1), contiguous ones in pieces, those `from` and `to`
 * apart along `dims` extents, the inner ones last. A pair with a block outside [0, src_blocks) or
 * [0, dst_blocks) is skipped. Workgroup i does part i % parts of pair i / parts. */
typedef struct aiteri_gpu_copy_blocks {
    uint64_t src, dst, mapping;
    int64_t src_stride_block, dst_stride_block, src_blocks, dst_blocks;
    int64_t mapping_stride_pair, mapping_stride_side;
    int64_t shape[4], from[4], to[4];
    int64_t units, units_in_piece, parts;
    int32_t dims, unit, mapping_bits, unused;
} aiteri_gpu_copy_blocks;

/* out = softmax-weighted mean of two partial results, lse = ln(e^lse_a + e^lse_b); the layouts of
 * aiter_merge_attn_states: rows (token, head, d), lse (head, token). */
typedef struct aiteri_gpu_merge {
    aiteri_gpu_rows a, b, out; /* stride_batch 0 */
    uint64_t lse_a, lse_b, lse;
    int64_t lse_a_stride_head, lse_a_stride_token, lse_b_stride_head, lse_b_stride_token;
    int64_t lse_stride_head, lse_stride_token;
    int64_t tokens;
    int32_t heads, dim;
} aiteri_gpu_merge;

#endif /* AITERI_KERNEL_ARGS_H */
