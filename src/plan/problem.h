/* problem.h -- every softmax attention, once: query rows x a source of keys and values x a score
 * pipeline x an epilogue. Ops lower their arguments to this; the planner and the engine know no op.
 */
#ifndef AITERI_PROBLEM_H
#define AITERI_PROBLEM_H

#include "../api_types.h"
#include "../base/check.h"

/* Rows of q or out: element (b, t, h, d) at data[b*batch + t*token + h*head + d*dim]. In a packed
 * (varlen) tensor stride_batch is 0 and t counts from the tensor's start. */
typedef struct aiteri_rows {
    char *data;
    aiter_dtype dtype;
    int64_t stride_batch, stride_token, stride_head, stride_dim;
} aiteri_rows;

/* Scales of a quantised source, same index order: element (outer, t, h, d) has the one at place
 * outer, t / block, h, d / group. Strides are 0 where a scale does not vary. */
typedef struct aiteri_scales {
    const void *data;  /* NULL: none */
    aiter_dtype dtype; /* F32, F16, BF16, F8_E8M0 */
    int32_t block;     /* tokens under one scale; 0: 1 */
    int32_t group;     /* columns under one scale, a multiple of 16; 0: the whole row */
    int64_t stride_outer, stride_token, stride_head, stride_group;
} aiteri_scales;

/* Orders of memory that no strides say: columns in pieces, tokens in bundles of so many. 0: none.
 */
typedef struct aiteri_tiles {
    int32_t piece, bundle;
    int64_t stride_piece, stride_bundle; /* stride_dim and stride_token within one */
} aiteri_tiles;

/* K or V: element (outer, t, h, d); outer is the batch row, or the page, t counts inside it. A row
 * may come in segments, as latent codes beside their rope columns: the first columns, a multiple of
 * 16, are here, and `rest` has the others. */
typedef struct aiteri_source {
    const char *data;
    aiter_dtype dtype;
    int32_t dim;                      /* columns, those of the rest too */
    const struct aiteri_source *rest; /* NULL: all are here */
    int64_t stride_outer, stride_token, stride_head, stride_dim;
    aiteri_tiles tiles;
    aiteri_scales scales;
} aiteri_source;

/* Scales of columns: that of (h, d), whatever the key, at place h, d. K's multiply q, V's out. */
typedef struct aiteri_channels {
    const void *data;  /* NULL: none */
    aiter_dtype dtype; /* as of aiteri_scales */
    int64_t stride_head, stride_dim;
} aiteri_channels;

/* Scales of the rows of q or out: that of (b, t, h) at place b, t, h / heads. Strides are 0 where a
 * scale does not vary, t counts as in aiteri_rows. */
typedef struct aiteri_row_scales {
    const float *data; /* NULL: none */
    int32_t heads;
    int64_t stride_batch, stride_token, stride_head;
} aiteri_row_scales;

typedef struct aiteri_program aiteri_program; /* cpu/engine_walk.c */

typedef struct aiteri_problem {
    const aiteri_program *program; /* what becomes of the scores; NULL: softmax attention */
    int32_t batch, heads_q, heads_k, group; /* group = heads_q / heads_k */
    aiteri_rows q, out;
    float *lse; /* NULL: not wanted */
    int64_t lse_stride_batch, lse_stride_head, lse_stride_token;
    aiteri_source k, v;
    aiteri_channels k_channels, v_channels;
    int32_t v_in_k; /* V is the first columns of K, in both parts: it need not be loaded again */

    /* Lengths: cu_* packed, used_* per batch row, else seqlen_* for all. With both cu_* says where
     * rows begin and which room they have, used_* how many there are. */
    int32_t seqlen_q, seqlen_k;
    const int32_t *cu_seqlens_q, *cu_seqlens_k, *seqused_q, *seqused_k;
    int64_t cu_stride_q, cu_stride_k, used_stride_q, used_stride_k;
    int64_t total_q; /* query tokens of all sequences, a bound */
    int64_t total_k; /* the same of keys, of both parts; 0: max_seqlen_k of each sequence */
    int32_t max_seqlen_q, max_seqlen_k;

    /* Pages: key j of sequence b is token j % page_size of page list_b[j / page_size], with list_b
     * at block_table + b * table_stride_batch, or, ragged, at entry page_indptr[b] of block_table,
     * up to page_indptr[b + 1], the last page holding last_page_lens[b] keys. With has_holes an id
     * below 0 says that the page's keys are not there: they are hidden. */
    const int32_t *block_table; /* NULL: not paged */
    int64_t table_stride_batch, table_stride_entry;
    const int32_t *page_indptr, *last_page_lens; /* NULL: a table, lengths by seqused_k */
    int64_t page_indptr_stride, last_page_stride;
    int32_t page_size, num_blocks, table_entries, has_holes;

    /* A second part, the new tokens behind the keys above: rows as dense keys lie, or packed ones,
     * of the same sizes, with types, strides and scales of their own. */
    aiteri_source k_tail, v_tail; /* data NULL: none */
    const int32_t *cu_seqlens_tail, *seqused_tail;
    int64_t cu_stride_tail, used_stride_tail;
    int32_t seqlen_tail;

    aiter_mask mask; /* never DEFAULT */
    int32_t window_left, window_right, sink_tokens;
    float softmax_scale, softcap;
    const float *alibi_slopes; /* NULL: none */
    int64_t alibi_stride_batch, alibi_stride_head;
    /* (b, i, h, j): stride_token per query, stride_dim per key; data NULL: none. `visible` is U8,
     * 0 where the key is hidden, whatever its score, K and V. */
    aiteri_rows bias, visible;
    /* The stored q and out times their scales are real. Of q one is q_scale, which belongs to
     * softmax_scale, others are q_scales. */
    const float *q_scale; /* NULL: none */
    aiteri_row_scales q_scales, out_scales;
    const float *sinks;
    int64_t sinks_stride;
    int32_t num_splits;
    uint64_t features; /* aiteri_problem_features: what it asks of a kernel */
} aiteri_problem;

/* One sequence of the batch. The last `tail` of the seqlen_k keys are of the second part. Packed
 * rows start at token q_start; packed keys at token k_start, a list of pages at element k_start of
 * block_table. */
typedef struct aiteri_sequence {
    int32_t index;
    int32_t seqlen_q, seqlen_k, tail;
    int64_t q_start, k_start;
} aiteri_sequence;

AITERI_UNUSED static aiteri_sequence aiteri_sequence_of(const aiteri_problem *p, int32_t b)
{
    aiteri_sequence s = {b, p->seqlen_q, p->seqlen_k, 0, 0, 0};
    if (p->cu_seqlens_q) {
        s.q_start = p->cu_seqlens_q[b * p->cu_stride_q];
        s.seqlen_q = (int32_t)(p->cu_seqlens_q[(b + 1) * p->cu_stride_q] - s.q_start);
    }
    if (p->seqused_q) s.seqlen_q = p->seqused_q[b * p->used_stride_q];
    if (p->cu_seqlens_k) {
        s.k_start = p->cu_seqlens_k[b * p->cu_stride_k];
        s.seqlen_k = (int32_t)(p->cu_seqlens_k[(b + 1) * p->cu_stride_k] - s.k_start);
    }
    if (p->seqused_k) s.seqlen_k = p->seqused_k[b * p->used_stride_k];
    if (p->page_indptr) {
        const int32_t first = p->page_indptr[b * p->page_indptr_stride];
        const int32_t pages = p->page_indptr[(b + 1) * p->page_indptr_stride] - first;
        s.k_start = first * p->table_stride_entry;
        if (p->last_page_lens)
            s.seqlen_k =
                pages > 0 ? (pages - 1) * p->page_size + p->last_page_lens[b * p->last_page_stride]
                          : 0;
    } else if (p->block_table) {
        s.k_start = b * p->table_stride_batch;
    }
    if (p->k_tail.data) {
        s.tail = p->seqlen_tail;
        if (p->cu_seqlens_tail)
            s.tail = p->cu_seqlens_tail[(b + 1) * p->cu_stride_tail] -
                     p->cu_seqlens_tail[b * p->cu_stride_tail];
        else if (p->seqused_tail)
            s.tail = p->seqused_tail[b * p->used_stride_tail];
        s.seqlen_k += s.tail;
    }
    return s;
}

#endif /* AITERI_PROBLEM_H */
