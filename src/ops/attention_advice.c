/* attention_advice.c -- what a refusal says beyond got and expected: the mistakes that people bring
 * from other libraries, told by the shapes that they leave. Nothing here decides a status. */
#ifndef AITERI_ATTENTION_ADVICE_C
#define AITERI_ATTENTION_ADVICE_C

#include "../api_ops.h"
#include "../base/argument.c"

/* The axes of q and out. */
static const char *aiteri_rows_layout(int decodes, int packed)
{
    if (packed) return "[total_q, Hq, D], packed, as cu_seqlens_q is given";
    return decodes ? "[B, Hq, D] or [B, q_len, Hq, D]"
                   : "[B, Sq, Hq, D], or packed [total_q, Hq, D] with cu_seqlens_q";
}

/* The axes of k and v. */
static const char *aiteri_keys_layout(int packed, int paged)
{
    if (packed) return "[total_k, Hk, D], packed, as kv.cu_seqlens is given";
    if (paged) return "pages [num_blocks, P, Hk, D]";
    return "[B, Sk, Hk, D], or packed [total_k, Hk, D] with kv.cu_seqlens";
}

/* Heads before tokens: with these two axes of k, of q or of all exchanged the heads divide. */
static const char *aiteri_head_major_advice(const aiter_tensor *q, const aiter_tensor *k, int paged)
{
    const int64_t *of_q = q->shape + q->ndim - 3, *of_k = k->shape + k->ndim - 3;
    const int k_alone = of_k[0] > 0 && of_q[1] % of_k[0] == 0;
    const int q_alone = of_q[1] < of_k[1] && of_q[0] > 0 && of_q[0] % of_k[1] == 0 && q->ndim == 4;
    if (paged && k_alone)
        return "; of pages [num_blocks, Hk, P, D] pass aiter_tensor_transpose(t, 1, 2)";
    if (k_alone || (!paged && of_k[0] > 0 && of_q[0] > 0 && of_q[0] % of_k[0] == 0))
        return q->ndim == 4 ? "; of tensors whose axes are [B, H, S, D] pass "
                              "aiter_tensor_transpose(t, 1, 2)"
                            : "; of tensors whose axes are [H, total, D] pass "
                              "aiter_tensor_transpose(t, 0, 1)";
    return q_alone ? "; of q and out whose axes are [B, H, S, D] pass "
                     "aiter_tensor_transpose(t, 1, 2)"
                   : "";
}

/* Of a bias whose extent i is refused. */
static const char *aiteri_bias_advice(const aiter_tensor *t, int32_t i, int64_t batch,
                                      int64_t expected)
{
    if (t->ndim == 3 && i == 0 && t->shape[0] == batch)
        return "; [B, Sq, Sk] is passed as [B, 1, Sq, Sk]";
    return i == t->ndim - 2 && t->shape[i + 1] == expected ? "; are its last two axes exchanged?"
                                                           : "";
}

/* lse has the rows of q where it should have its heads, and the other way round. */
static int aiteri_lse_is_exchanged(const aiter_tensor *lse, const aiter_tensor *q)
{
    return q->ndim == 4 && lse->ndim == 3 && q->shape[1] != q->shape[2] &&
           lse->shape[1] == q->shape[1] && lse->shape[2] == q->shape[2];
}

/* Whose head_dim the keys must have. */
static const char *aiteri_head_dim_of(const aiter_tensor *q, const aiter_tensor *v)
{
    return v->shape[v->ndim - 1] == q->shape[q->ndim - 1]
               ? "the head_dim of q, which v has: are k and v exchanged?"
               : "the head_dim of q";
}

#endif /* AITERI_ATTENTION_ADVICE_C */
