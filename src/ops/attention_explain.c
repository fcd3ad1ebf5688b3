/* attention_explain.c -- the long answer of an _explain: what would run a problem, cut how, at what
 * cost, how exactly. Everything follows from shapes and bounds; no tensor is read. */
#ifndef AITERI_ATTENTION_EXPLAIN_C
#define AITERI_ATTENTION_EXPLAIN_C

#include "attention_lower.c"
#include "call_begin.c"
#include "../cpu/engine.c"
#if AITERI_GPU
#include "../gpu/attention_choose.c"
#endif

static aiter_scale_kind aiteri_scale_kind_of(const aiteri_scales *s, const aiteri_channels *c,
                                             int paged)
{
    return c->data           ? AITER_SCALE_PER_CHANNEL
           : !s->data        ? AITER_SCALE_BY_SHAPE
           : s->group        ? AITER_SCALE_PER_GROUP
           : s->stride_token ? AITER_SCALE_PER_TOKEN_HEAD
           : s->stride_outer ? (paged ? AITER_SCALE_PER_BLOCK_HEAD : AITER_SCALE_PER_BATCH_HEAD)
           : s->stride_head  ? AITER_SCALE_PER_HEAD
                             : AITER_SCALE_PER_TENSOR;
}

/* Where the keys lie, and of what types everything is. */
static void aiteri_explain_operands(aiteri_text *t, const aiteri_problem *p)
{
    const char *keys = p->page_indptr    ? "lists of pages"
                       : p->block_table  ? "paged"
                       : p->cu_seqlens_k ? "packed"
                       : p->seqused_k    ? "padded"
                                         : "dense";
    aiteri_say(t, "problem: batch %d, heads %d/%d, up to %d queries and %d keys, D %d/%d\n",
               (int)p->batch, (int)p->heads_q, (int)p->heads_k, (int)p->max_seqlen_q,
               (int)p->max_seqlen_k, (int)p->k.dim, (int)p->v.dim);
    aiteri_say(t, "types: q %s, k %s%s, ", aiter_dtype_name(p->q.dtype),
               aiter_dtype_name(p->k.dtype),
               aiteri_scale_words(
                   aiteri_scale_kind_of(&p->k.scales, &p->k_channels, p->block_table != NULL)));
    if (p->v_in_k)
        aiteri_say(t, "v the first %d columns of k (kv.v is absent), ", (int)p->v.dim);
    else
        aiteri_say(t, "v %s%s, ", aiter_dtype_name(p->v.dtype),
                   aiteri_scale_words(
                       aiteri_scale_kind_of(&p->v.scales, &p->v_channels, p->block_table != NULL)));
    aiteri_say(t, "out %s; keys %s", aiter_dtype_name(p->out.dtype), keys);
    if (p->block_table) aiteri_say(t, ", page size %d", (int)p->page_size);
    char features[256];
    aiteri_describe_features(features, sizeof features, p->features);
    aiteri_say(t, "\nfeatures: %s\n", features);
}

/* Whose loop reads the rows of K or V where keys are streamed. */
static void aiteri_explain_rows_of(aiteri_text *t, const char *name, const aiteri_source *source,
                                   const aiteri_kernels *kernels)
{
    const aiter_dtype loop = aiteri_stream_type(kernels, source);
    aiteri_say(t, "%s %s ", name, aiter_dtype_name(source->dtype));
    if (loop == AITER_DTYPE_UNSET)
        aiteri_say(t, "widened to f32 first");
    else if (loop != source->dtype)
        aiteri_say(t, "by the loop of %s", aiter_dtype_name(loop));
    else
        aiteri_say(t, "by its own loop");
}

/* The loops of the CPU that sequences of these lengths may take, and their pieces. */
static void aiteri_explain_loops(aiteri_text *t, const aiteri_problem *p,
                                 const aiteri_kernels *kernels)
{
    const int32_t stream_rows = AITERI_STREAM_ROWS / p->group;
    const int64_t stream = aiteri_most_splits(p, 1, p->max_seqlen_k);
    const int64_t tile = aiteri_most_splits(p, 0, p->max_seqlen_k);
    if (stream_rows > 0) {
        aiteri_say(t, "loop: sequences of up to %d queries stream their keys, in %lld piece%s: ",
                   (int)stream_rows, (long long)stream, stream == 1 ? "" : "s");
        aiteri_explain_rows_of(t, "k", &p->k, kernels);
        if (!p->v_in_k) aiteri_explain_rows_of(t, ", v", &p->v, kernels);
        aiteri_say(t, "\n");
    }
    if (p->max_seqlen_q > stream_rows)
        aiteri_say(t,
                   "loop: longer ones take tiles of %d rows x %d keys, up to %d a work, keys in up "
                   "to %lld piece%s\n",
                   (int)kernels->tile_lanes, (int)AITERI_TILE_KEYS,
                   (int)aiteri_most_tiles(p, kernels->tile_lanes), (long long)tile,
                   tile == 1 ? "" : "s");
}

/* Upper bounds: every row sees every key, and no operand is read twice. */
static void aiteri_explain_cost(aiteri_text *t, const aiteri_problem *p)
{
    const double rows = (double)p->batch * (double)p->max_seqlen_q;
    const double queries =
        (rows < (double)p->total_q ? rows : (double)p->total_q) * (double)p->heads_q;
    const double keys = (double)aiteri_most_keys(p) * (double)p->heads_k;
    const double row_bytes =
        p->k.dim * aiteri_bytes_per(p->q.dtype) + p->v.dim * aiteri_bytes_per(p->out.dtype);
    const double key_bytes = p->k.dim * aiteri_bytes_per(p->k.dtype) +
                             (p->v_in_k ? 0 : p->v.dim) * aiteri_bytes_per(p->v.dtype);
    aiteri_say(t, "flops: at most %.3g (without what the mask hides)\n",
               2.0 * queries * (double)p->max_seqlen_k * ((double)p->k.dim + (double)p->v.dim));
    aiteri_say(t, "bytes: at most %.3g of q and out, %.3g of %s\n", queries * row_bytes,
               keys * key_bytes, p->v_in_k ? "k" : "k and v");
}

/* gamma(n) of docs/guide.md, section 5. */
static double aiteri_rounding_of(double n)
{
    const double root = 8.0 * sqrt(n);
    return (n < root ? n : root) / 16777216.0;
}

static aiter_status aiteri_attention_explain(const aiteri_attention *x, aiter_context *ctx,
                                             aiteri_text *t)
{
    const aiteri_problem *p = &x->problem;
    aiteri_explain_operands(t, p);
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(x->op->name, ctx);
        char kernel[256];
        AITERI_TRY(aiteri_gpu_attention_name(&call, p, kernel, sizeof kernel));
        aiteri_say(t, "kernel: %s\n", kernel);
    } else
#endif
        aiteri_explain_loops(t, p, aiteri_kernels_for(p, ctx));
    aiteri_explain_cost(t, p);
    aiteri_say(
        t,
        "error: a score %.2g of its largest scale * sum |q k|, a row %.2g of sum P |v|, half "
        "a unit of %s (docs/guide.md, 5)\n",
        aiteri_rounding_of(p->k.dim + 4.0), aiteri_rounding_of((double)p->max_seqlen_k),
        aiter_dtype_name(p->out.dtype));
    return AITER_OK;
}

#endif /* AITERI_ATTENTION_EXPLAIN_C */
