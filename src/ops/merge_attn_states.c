/* merge_attn_states.c -- joins two attention results over disjoint keys by their log-sum-exp.
 *
 *     m = max(lse_a, lse_b), w_x = exp(lse_x - m), out = (w_a out_a + w_b out_b) / (w_a + w_b) */
#ifndef AITERI_MERGE_ATTN_STATES_C
#define AITERI_MERGE_ATTN_STATES_C

#include "../api_ops.h"
#include "../base/argument.c"
#include "../cpu/rows.c"
#include "call_begin.c"
#if AITERI_GPU
#include "../gpu/merge.c"
#endif

static void aiteri_merge_check(aiteri_check *c, aiter_merge_attn_states_args *a)
{
    aiter_tensor *outs[3] = {&a->out_a, &a->out_b, &a->out};
    aiter_tensor *lses[3] = {&a->lse_a, &a->lse_b, &a->lse};
    const char *out_names[3] = {"out_a", "out_b", "out"}, *lse_names[3] = {"lse_a", "lse_b", "lse"};
    for (int i = 0; i < 3; i++) {
        aiteri_check_tensor(c, out_names[i], outs[i], 3, 4, AITERI_FLOATS, 1,
                            "[tokens, H, D] or [B, S, H, D]");
        aiteri_check_tensor(c, lse_names[i], lses[i], 2, 3, AITERI_ONLY_F32, i < 2,
                            "[H, tokens], or [B, H, S] beside rows of four dimensions");
    }
    if (c->status != AITER_OK) return;
    for (int32_t d = 0; d < a->out_a.ndim; d++)
        aiteri_check_axis(c, "out_a", &a->out_a, d, "batch, tokens, heads or D", 0, INT32_MAX - 1);
    const int32_t n = a->out_a.ndim; /* [.., tokens, H, D] beside [.., H, tokens] */
    for (int i = 0; i < 3; i++) {
        if (outs[i]->ndim != n)
            aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: ndim is %d, expected %d (= out_a)",
                          c->op, out_names[i], (int)outs[i]->ndim, (int)n);
        for (int32_t d = 0; d < n; d++)
            aiteri_check_extent(c, out_names[i], outs[i], d, a->out_a.shape[d], "out_a");
        if (lses[i]->ndim == 0) continue;
        if (lses[i]->ndim != n - 1) {
            aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: ndim is %d, expected %d: %s", c->op,
                          lse_names[i], (int)lses[i]->ndim, (int)n - 1,
                          n == 4 ? "[B, H, S] beside [B, S, H, D]"
                                 : "[H, tokens] beside [tokens, H, D]");
            continue;
        }
        if (n == 4)
            aiteri_check_extent(c, lse_names[i], lses[i], 0, a->out_a.shape[0], "the batch");
        aiteri_check_extent(c, lse_names[i], lses[i], n - 3, a->out_a.shape[n - 2],
                            "heads of out_a");
        aiteri_check_extent(c, lse_names[i], lses[i], n - 2, a->out_a.shape[n - 3],
                            "rows of out_a");
    }
    if (c->status != AITER_OK) return;
    const aiter_tensor none = aiteri_tensor_make(NULL, AITER_F32, 0, 0, 0, 0, 0, 0);
    const aiteri_operand operand[] = {
        {"out", &a->out},
        {"lse", &a->lse},
        {"out_a", aiteri_same_view(&a->out, &a->out_a) ? &none : &a->out_a},
        {"lse_a", aiteri_same_view(&a->lse, &a->lse_a) ? &none : &a->lse_a},
        {"out_b", &a->out_b},
        {"lse_b", &a->lse_b}};
    aiteri_check_overlap(c, operand, 6, 2);
}

static char *aiteri_merge_row_at(const aiter_tensor *t, int64_t b, int64_t s, int64_t h)
{
    const int32_t n = t->ndim;
    return (char *)t->data +
           aiteri_bytes_of(t->dtype, (n == 4 ? b * t->stride[0] : 0) + s * t->stride[n - 3] +
                                         h * t->stride[n - 2]);
}

static float *aiteri_lse_at(const aiter_tensor *t, int64_t b, int64_t s, int64_t h)
{
    const int32_t n = t->ndim;
    return (float *)t->data + (n == 3 ? b * t->stride[0] : 0) + h * t->stride[n - 2] +
           s * t->stride[n - 1];
}

/* A call, and what its workers share. */
typedef struct aiteri_merge {
    aiter_merge_attn_states_args a;
    int64_t batch, tokens, heads, dim; /* batch of [tokens, H, D] is 1 */
    const aiteri_kernels *kernels;
    int32_t workers, row; /* row: of the registry, on a device */
} aiteri_merge;

enum { AITERI_MERGE_STRIP = 128 }; /* elements of a row at a time, on the stack */

/* out = share_a out_a + share_b out_b, strip by strip; a side whose share is 0 is not read. */
static void aiteri_merge_row(const aiteri_merge *run, int64_t b, int64_t s, int64_t h,
                             const float share[2])
{
    const aiter_merge_attn_states_args *a = &run->a;
    const aiter_tensor *side[2] = {&a->out_a, &a->out_b};
    const int32_t last = a->out.ndim - 1, dim = (int32_t)a->out.shape[last];
    char *out = aiteri_merge_row_at(&a->out, b, s, h);
    for (int32_t d = 0; d < dim; d += AITERI_MERGE_STRIP) {
        const int32_t n = (int32_t)aiteri_min(AITERI_MERGE_STRIP, dim - d);
        float sum[AITERI_MERGE_STRIP], x[AITERI_MERGE_STRIP];
        memset(sum, 0, sizeof sum);
        memset(x, 0, sizeof x);
        for (int i = 0; i < 2; i++) {
            if (share[i] == 0.0f) continue;
            aiteri_gather_row(run->kernels, x,
                              aiteri_merge_row_at(side[i], b, s, h) +
                                  aiteri_bytes_of(side[i]->dtype, d * side[i]->stride[last]),
                              side[i]->dtype, side[i]->stride[last], n);
            run->kernels->row_add_scaled(sum, x, aiteri_padded(n), share[i]);
        }
        aiteri_store_out(run->kernels, out + aiteri_bytes_of(a->out.dtype, d * a->out.stride[last]),
                         a->out.dtype, a->out.stride[last], sum, n, 1.0f);
    }
}

/* No key on this side: -infinity, or the +infinity that flash-attention gives such a row. */
static int aiteri_lse_is_empty(float lse)
{
    return (aiteri_bits_of_f32(lse) & 0x7fffffffu) == 0x7f800000u;
}

/* The two shares of a row and its joint log-sum-exp. */
static void aiteri_merge_state(const aiteri_merge *run, int64_t b, int64_t s, int64_t h)
{
    const aiter_merge_attn_states_args *a = &run->a;
    const float lse[2] = {*aiteri_lse_at(&a->lse_a, b, s, h), *aiteri_lse_at(&a->lse_b, b, s, h)};
    const int empty[2] = {aiteri_lse_is_empty(lse[0]), aiteri_lse_is_empty(lse[1])};
    double m = (double)lse[1], weight[2] = {0.0, 0.0}, sum = 0.0;
    float share[2] = {0.0f, 0.0f};
    if (!empty[0] && (empty[1] || lse[0] > lse[1])) m = (double)lse[0];
    for (int i = 0; i < 2; i++) {
        if (!empty[i]) weight[i] = aiteri_rounded_f64(exp((double)lse[i] - m));
        sum += weight[i];
    }
    for (int i = 0; i < 2; i++)
        if (weight[i] != 0.0) share[i] = aiteri_rounded((float)aiteri_rounded_f64(weight[i] / sum));
    aiteri_merge_row(run, b, s, h, share);
    if (!a->lse.ndim) return;
    float *lse_out = aiteri_lse_at(&a->lse, b, s, h);
    if (sum == 0.0)
        *lse_out = aiteri_minus_inf();
    else
        *lse_out = (float)aiteri_rounded_f64(m + log(sum));
}

static void aiteri_merge_worker(void *arg, int32_t i)
{
    const aiteri_merge *x = (const aiteri_merge *)arg;
    const int64_t rows = x->batch * x->tokens;
    const int64_t first = aiteri_share_of(rows, i, x->workers);
    for (int64_t r = first; r < aiteri_share_of(rows, i + 1, x->workers); r++)
        for (int64_t h = 0; h < x->heads; h++)
            aiteri_merge_state(x, r / x->tokens, r % x->tokens, h);
}

static aiter_status aiteri_merge_begin(const char *op, const char *call,
                                       const aiter_merge_attn_states_args *args, aiter_context *ctx,
                                       aiteri_merge *x)
{
    memset(x, 0, sizeof *x);
    AITERI_TRY(aiteri_call_begin(op, call, ctx, args, sizeof *args));
    x->a = *args;
    return AITER_OK;
}

static aiter_status aiteri_merge_workspace(const aiteri_merge *x, aiter_context *ctx, size_t *bytes)
{
    (void)x;
    return aiteri_scratch_answer("aiter_merge_attn_states", ctx, 0, bytes);
}

/* Everything but the run: all that shapes tell, and which kernel. */
static aiter_status aiteri_merge_supported(aiteri_merge *x, aiter_context *ctx, size_t *bytes)
{
    aiteri_check c = {"aiter_merge_attn_states", ctx, AITER_OK};
    aiteri_merge_check(&c, &x->a);
    if (c.status != AITER_OK) return c.status;
    const int32_t n = x->a.out.ndim;
    x->batch = n == 4 ? x->a.out.shape[0] : 1;
    x->tokens = x->a.out.shape[n - 3];
    x->heads = x->a.out.shape[n - 2];
    x->dim = x->a.out.shape[n - 1];
    *bytes = 0;
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(c.op, ctx);
        return aiteri_gpu_merge_choose(&call, &x->a, &x->row);
    }
#endif
    return AITER_OK;
}

static aiter_status aiteri_merge_explain(const aiteri_merge *x, aiter_context *ctx, aiteri_text *t)
{
    const aiter_merge_attn_states_args *a = &x->a;
    const double rows = (double)x->batch * (double)x->tokens * (double)x->heads;
    const double row_bytes =
        (double)x->dim * (aiteri_bytes_per(a->out_a.dtype) + aiteri_bytes_per(a->out_b.dtype));
    aiteri_say(t, "problem: batch %lld, %lld tokens, heads %lld, D %lld\n", (long long)x->batch,
               (long long)x->tokens, (long long)x->heads, (long long)x->dim);
    aiteri_say(t, "types: out_a %s, out_b %s, out %s, %s\n", aiter_dtype_name(a->out_a.dtype),
               aiter_dtype_name(a->out_b.dtype), aiter_dtype_name(a->out.dtype),
               a->lse.ndim ? "lse f32" : "no lse");
    aiteri_explain_rows(t, ctx, x->row, "rows of heads", x->tokens * x->heads, x->batch);
    aiteri_say(t, "bytes: at most %.3g read, %.3g written\n", rows * (row_bytes + 8),
               rows * ((double)x->dim * aiteri_bytes_per(a->out.dtype) + (a->lse.ndim ? 4 : 0)));
    aiteri_say(t,
               "error: (12 + 2 |lse_a - lse_b|) 2^-24 of |out_a| + |out_b|, half a unit of %s "
               "(docs/guide.md, 5)\n",
               aiter_dtype_name(a->out.dtype));
    return AITER_OK;
}

static aiter_status aiteri_merge_run(aiteri_merge *x, aiter_context *ctx)
{
    size_t bytes;
    AITERI_TRY(aiteri_merge_supported(x, ctx, &bytes));
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of("aiter_merge_attn_states", ctx);
        return aiteri_gpu_merge_run(&call, &x->a, x->row);
    }
#endif
    const int empty = x->heads == 0 || (x->dim == 0 && x->a.lse.ndim == 0);
    x->kernels = aiteri_context_kernels(ctx);
    x->workers = aiteri_context_workers(ctx);
    if (x->batch * x->tokens > 0 && !empty)
        aiteri_parallel(ctx, aiteri_merge_worker, x, x->workers);
    return AITER_OK;
}

AITERI_CALLS(merge_attn_states, merge, "aiter_merge_attn_states")

#endif /* AITERI_MERGE_ATTN_STATES_C */
