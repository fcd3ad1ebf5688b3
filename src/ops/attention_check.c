/* attention_check.c -- what every softmax attention checks of its arguments: which combinations are
 * legal, and that extents agree. It sees shapes only: workspace queries must not read data. */
#ifndef AITERI_ATTENTION_CHECK_C
#define AITERI_ATTENTION_CHECK_C

#include "attention_advice.c"
#include "kv_layout.c"
#include "../plan/problem.h"
#include "../cpu/kernel_table.h"

struct aiteri_attention;

/* What tells the softmax attentions apart. */
typedef struct aiteri_attention_op {
    const char *name;
    aiter_mask mask; /* what AITER_MASK_DEFAULT means */
    int decodes;     /* q is a few new tokens of every sequence, its token axis may be left out */
    /* What this op alone checks, and how it sees its tensors; NULL: nothing. */
    aiter_status (*begin)(struct aiteri_attention *x, aiter_context *ctx);
} aiteri_attention_op;

/* The arguments with strides filled, and what they mean. */
typedef struct aiteri_attention {
    const aiteri_attention_op *op;
    aiter_attention_args a;
    aiteri_problem problem;
    aiteri_kv_order order;
    int packed, paged, listed, lse_packed; /* listed: pages by indptr, not by a table */
} aiteri_attention;

/* Which of the optional forms it is: what must come together, and what must not. */
static void aiteri_check_form(aiteri_check *c, const aiteri_attention *x)
{
    const aiter_attention_args *a = &x->a;
    const int keys_packed = a->kv.cu_seqlens.ndim != 0;
    aiteri_check_true(c, !(x->paged && keys_packed), "kv.cu_seqlens",
                      x->listed ? "none beside kv.indptr"
                                : "none beside kv.block_table, which takes kv.seq_lens");
    aiteri_check_true(c, x->packed || !keys_packed, "cu_seqlens_q",
                      "I32 [B + 1], it is absent: kv.cu_seqlens is given, and they come together");
    aiteri_check_true(c, !x->packed || x->paged || keys_packed, "kv.cu_seqlens",
                      "I32 [B + 1], it is absent: cu_seqlens_q is given, and they come together "
                      "unless keys are pages with a kv.block_table or kv.indptr");
    aiteri_check_true(c, !x->paged || x->listed || a->kv.seq_lens.ndim != 0, "kv.seq_lens",
                      "I32 [B], it is absent: kv.block_table is given, whose keys it counts");
}

/* Lists of pages: the table's place is theirs, and one field says how many keys they hold. */
static void aiteri_check_lists_form(aiteri_check *c, const aiteri_attention *x)
{
    const aiter_kv *kv = &x->a.kv;
    aiteri_check_true(c, !(x->listed && kv->block_table.ndim != 0), "kv.indptr",
                      "none beside kv.block_table");
    aiteri_check_true(c, x->listed || kv->indices.ndim == 0, "kv.indptr",
                      "I32 [B + 1], it is absent: kv.indices is given, and they come together");
    aiteri_check_true(c, !x->listed || kv->indices.ndim != 0, "kv.indices",
                      "I32 [pages], it is absent: kv.indptr is given, and they come together");
    aiteri_check_true(c, x->listed || kv->last_page_lens.ndim == 0, "kv.last_page_lens",
                      "none without kv.indptr");
    aiteri_check_true(c, kv->last_page_lens.ndim == 0 || kv->seq_lens.ndim == 0,
                      "kv.last_page_lens", "none beside kv.seq_lens");
    aiteri_check_true(c, !x->listed || kv->last_page_lens.ndim != 0 || kv->seq_lens.ndim != 0,
                      "kv.last_page_lens",
                      "I32 [B], it is absent: kv.indptr is given, whose last pages it counts; or "
                      "kv.seq_lens");
}

static void aiteri_check_heads(aiteri_check *c, const aiteri_attention *x)
{
    const aiter_attention_args *a = &x->a;
    const int32_t qd = a->q.ndim - 1, kd = a->kv.k.ndim - 1;
    const int64_t heads_q = a->q.shape[qd - 1], heads_k = a->kv.k.shape[kd - 1];
    aiteri_check_axis(c, "q", &a->q, qd - 1, "heads", 1, 65535);
    if (c->status == AITER_OK && (heads_k < 1 || heads_q % heads_k != 0))
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.kv.k: has %lld heads, expected a divisor of %lld (= heads of q)%s", c->op,
                      (long long)heads_k, (long long)heads_q,
                      aiteri_head_major_advice(&a->q, &a->kv.k, x->paged));
    aiteri_check_axis(c, "q", &a->q, qd, "head_dim", 1, AITERI_MAX_HEAD_DIM);
    aiteri_check_axis(c, "kv.v", &a->kv.v, kd, "head_dim", 1, AITERI_MAX_HEAD_DIM);
    if (x->paged) aiteri_check_axis(c, "kv.k", &a->kv.k, 1, "page size", 1, INT32_MAX - 1);
    for (int32_t i = 0; i < qd - 1; i++)
        aiteri_check_axis(c, "q", &a->q, i, "batch or rows", 0, INT32_MAX - 1);
    for (int32_t i = 0; i < kd - 1; i++)
        aiteri_check_axis(c, "kv.k", &a->kv.k, i, "batch, blocks or keys", 0, INT32_MAX - 1);
}

/* V as the first columns of the latent rows in k: the same view and scales, fewer columns. */
static void aiteri_check_latent(aiteri_check *c, aiteri_attention *x)
{
    aiter_kv *kv = &x->a.kv;
    if (c->status != AITER_OK) return;
    const int32_t kd = kv->k.ndim - 1;
    if (kv->dim_v < 1 || kv->dim_v > kv->k.shape[kd])
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.kv.dim_v: is %d, expected 1 to %lld (= the head_dim of kv.k): kv.v is "
                      "absent, and V its first columns",
                      c->op, (int)kv->dim_v, (long long)kv->k.shape[kd]);
    aiteri_check_true(c, kv->v_scale.ndim == 0, "kv.v_scale",
                      "none: kv.v is absent, and V has the scales of kv.k");
    if (c->status != AITER_OK) return;
    x->problem.v_in_k = 1;
    kv->v = kv->k;
    kv->v.shape[kd] = kv->dim_v;
}

/* Each alone; how they fit is for later. */
static void aiteri_check_operands(aiteri_check *c, aiteri_attention *x)
{
    aiter_attention_args *a = &x->a;
    const int keys_packed = a->kv.cu_seqlens.ndim != 0;
    const int32_t q_ndim = x->packed ? 3 : 4, k_ndim = keys_packed ? 3 : 4;
    const char *rows = aiteri_rows_layout(x->op->decodes, x->packed);
    const char *keys = aiteri_keys_layout(keys_packed, x->paged);
    aiteri_check_tensor(c, "q", &a->q, q_ndim, q_ndim, AITERI_ROW_TYPES, 1, rows);
    aiteri_check_tensor(c, "kv.k", &a->kv.k, k_ndim, k_ndim, AITERI_KEY_TYPES, 1, keys);
    if (a->kv.v.ndim == 0 && a->kv.dim_v == 0)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.kv.v: is absent (ndim 0), expected %s; kv.dim_v alone where V is the "
                      "first columns of kv.k",
                      c->op, keys);
    else if (a->kv.v.ndim == 0)
        aiteri_check_latent(c, x);
    else
        aiteri_check_tensor(c, "kv.v", &a->kv.v, k_ndim, k_ndim, AITERI_KEY_TYPES, 1, keys);
    aiteri_check_tensor(c, "out", &a->out, q_ndim, q_ndim, AITERI_ROW_TYPES, 1, rows);
}

static void aiteri_check_qkv(aiteri_check *c, aiteri_attention *x)
{
    const aiter_attention_args *a = &x->a;
    aiteri_check_operands(c, x);
    if (c->status != AITER_OK) return;
    const int32_t qd = a->q.ndim - 1, kd = a->kv.k.ndim - 1;
    for (int32_t i = 0; i < qd; i++) aiteri_check_extent(c, "out", &a->out, i, a->q.shape[i], "q");
    if (!x->packed && !x->paged)
        aiteri_check_extent(c, "kv.k", &a->kv.k, 0, a->q.shape[0],
                            "the batch of q; pages of keys need a kv.block_table");
    for (int32_t i = 0; i < kd; i++)
        aiteri_check_extent(c, "kv.v", &a->kv.v, i, a->kv.k.shape[i], "kv.k");
    aiteri_check_extent(c, "kv.k", &a->kv.k, kd, a->q.shape[qd],
                        aiteri_head_dim_of(&a->q, &a->kv.v));
    aiteri_check_extent(c, "out", &a->out, qd, a->kv.v.shape[kd], "the head_dim of v");
    if (a->kv.dim_v != 0 && a->kv.dim_v != a->kv.v.shape[kd])
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.kv.dim_v: is %d, expected 0 or %lld (= the head_dim of kv.v)", c->op,
                      (int)a->kv.dim_v, (long long)a->kv.v.shape[kd]);
    aiteri_check_heads(c, x);
}

/* An optional I32 vector of n elements. */
static void aiteri_check_lengths(aiteri_check *c, const char *field, aiter_tensor *t, int64_t n)
{
    if (!aiteri_check_tensor(c, field, t, 1, 1, AITERI_ONLY_I32, 0, "[B]")) return;
    aiteri_check_extent(c, field, t, 0, n,
                        t->shape[0] == n + 1 ? "the batch: lengths, not their running sum"
                                             : "the batch");
}

static void aiteri_check_lengths_shapes(aiteri_check *c, aiteri_attention *x)
{
    aiter_attention_args *a = &x->a;
    if (c->status != AITER_OK) return;
    int64_t batch = a->q.shape[0];
    if (x->packed) {
        aiteri_check_tensor(c, "cu_seqlens_q", &a->cu_seqlens_q, 1, 1, AITERI_ONLY_I32, 1,
                            "[B + 1]");
        aiteri_check_axis(c, "cu_seqlens_q", &a->cu_seqlens_q, 0, "batch + 1", 1, INT32_MAX - 1);
        if (c->status != AITER_OK) return; /* nothing is known of the batch */
        batch = a->cu_seqlens_q.shape[0] - 1;
    }
    x->problem.batch = (int32_t)batch;
    if (aiteri_check_tensor(c, "kv.cu_seqlens", &a->kv.cu_seqlens, 1, 1, AITERI_ONLY_I32, 0,
                            "[B + 1]"))
        aiteri_check_extent(c, "kv.cu_seqlens", &a->kv.cu_seqlens, 0, batch + 1,
                            "batch + 1, the extent of cu_seqlens_q");
    aiteri_check_lengths(c, "seqused_q", &a->seqused_q, batch);
    aiteri_check_lengths(c, "kv.seq_lens", &a->kv.seq_lens, batch);
    if (aiteri_check_tensor(c, "kv.block_table", &a->kv.block_table, 2, 2, AITERI_ONLY_I32, 0,
                            "[B, max_blocks]")) {
        aiteri_check_extent(c, "kv.block_table", &a->kv.block_table, 0, batch, "the batch");
        aiteri_check_axis(c, "kv.block_table", &a->kv.block_table, 1, "max_blocks", 0,
                          INT32_MAX - 1);
    }
    if (aiteri_check_tensor(c, "kv.indptr", &a->kv.indptr, 1, 1, AITERI_ONLY_I32, 0, "[B + 1]"))
        aiteri_check_extent(c, "kv.indptr", &a->kv.indptr, 0, batch + 1, "batch + 1");
    if (aiteri_check_tensor(c, "kv.indices", &a->kv.indices, 1, 1, AITERI_ONLY_I32, 0, "[pages]"))
        aiteri_check_axis(c, "kv.indices", &a->kv.indices, 0, "pages", 0, INT32_MAX - 1);
    aiteri_check_lengths(c, "kv.last_page_lens", &a->kv.last_page_lens, batch);
    aiteri_check_range(c, "max_seqlen_q", a->max_seqlen_q, 0, INT32_MAX - 1);
    aiteri_check_range(c, "kv.max_seqlen", a->kv.max_seqlen, 0, INT32_MAX - 1);
}

/* One side of a window; of another mask it must be 0 or -1, which people write for none. */
static void aiteri_check_window(aiteri_check *c, const char *field, aiter_mask mask, int32_t side)
{
    if (mask == AITER_MASK_WINDOW) {
        if (side < -1)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.%s: is %d, expected 0 or more keys, or -1 (open)", c->op, field,
                          (int)side);
    } else if (side != 0 && side != -1) {
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: is %d, expected 0 or -1 without a window: set score.mask = "
                      "AITER_MASK_WINDOW (of a causal one window_right is 0)",
                      c->op, field, (int)side);
    }
}

static void aiteri_check_score(aiteri_check *c, aiteri_attention *x)
{
    aiter_attention_args *a = &x->a;
    aiteri_check_enum(c, "score.mask", (int)a->score.mask, AITER_MASK_COUNT, "aiter_mask");
    aiteri_check_window(c, "score.window_left", a->score.mask, a->score.window_left);
    aiteri_check_window(c, "score.window_right", a->score.mask, a->score.window_right);
    aiteri_check_range(c, "score.sink_tokens", a->score.sink_tokens, 0, INT32_MAX);
    aiteri_check_range(c, "num_splits", a->num_splits, 0, INT32_MAX);
    aiteri_check_scale(c, "score.softmax_scale", a->score.softmax_scale);
    aiteri_check_scale(c, "score.softcap", a->score.softcap);
}

#endif /* AITERI_ATTENTION_CHECK_C */
