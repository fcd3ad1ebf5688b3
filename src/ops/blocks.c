/* blocks.c -- whole blocks of caches as they are: from one cache to another, or inside each. */
#ifndef AITERI_BLOCKS_C
#define AITERI_BLOCKS_C

#include "../api_ops.h"
#include "../base/argument.c"
#include "call_begin.c"
#if AITERI_GPU
#include "../gpu/blocks.c"
#endif

typedef struct aiteri_blocks_op {
    const char *name;
    size_t args_bytes;
    int swaps; /* from src to dst; else inside each of the caches */
} aiteri_blocks_op;

static const aiteri_blocks_op aiteri_swap_blocks_op = {"aiter_swap_blocks",
                                                       sizeof(aiter_swap_blocks_args), 1};
static const aiteri_blocks_op aiteri_copy_blocks_op = {"aiter_copy_blocks",
                                                       sizeof(aiter_copy_blocks_args), 0};

/* A call, and what its workers share. */
typedef struct aiteri_blocks {
    const aiteri_blocks_op *op;
    aiter_tensor src, dst, mapping;
    const aiter_tensor *caches;
    int32_t num_caches; /* 1 of swap_blocks */
    int32_t workers;
    int32_t row; /* of the registry, on a device */
    aiter_call call;
} aiteri_blocks;

static aiter_status aiteri_blocks_begin(const aiteri_blocks_op *op, const char *call,
                                        const void *args, aiter_context *ctx, aiteri_blocks *x)
{
    memset(x, 0, sizeof *x);
    AITERI_TRY(aiteri_call_begin(op->name, call, ctx, args, op->args_bytes));
    x->op = op;
    if (op->swaps) {
        const aiter_swap_blocks_args *a = (const aiter_swap_blocks_args *)args;
        x->src = a->src;
        x->dst = a->dst;
        x->mapping = a->mapping;
        x->num_caches = 1;
        x->call = a->call;
    } else {
        const aiter_copy_blocks_args *a = (const aiter_copy_blocks_args *)args;
        x->caches = a->caches;
        x->num_caches = a->num_caches;
        x->mapping = a->mapping;
        x->call = a->call;
    }
    return AITER_OK;
}

/* ---- what shapes tell ---- */

/* A cache as elements of whole bytes: a pair of codes of 4 bits is one, and so is the last of an
 * odd row. Strides are filled. */
static aiter_tensor aiteri_in_bytes(aiter_tensor t)
{
    const int32_t last = t.ndim - 1, halves = aiter_dtype_bits(t.dtype) < 8;
    aiteri_tensor_fill_strides(&t);
    for (int32_t i = 0; i <= last; i++) {
        if (t.shape[i] <= 1) t.stride[i] = 0;
        if (halves && (i < last || last == 0)) t.stride[i] /= 2;
    }
    if (halves && last > 0) t.shape[last] = aiteri_ceil_div(t.shape[last], 2);
    if (halves) t.dtype = AITER_U8;
    return t;
}

/* A cache of any type; of two codes a byte, rows that start at whole bytes. */
static void aiteri_check_block_tensor(aiteri_check *c, const char *field, aiter_tensor *t,
                                      int32_t ndim_low, int32_t ndim_high)
{
    const unsigned every = (1u << AITER_DTYPE_COUNT) - 2;
    if (!aiteri_check_tensor(c, field, t, ndim_low, ndim_high, every, 1, "[num_blocks, ..]"))
        return;
    aiteri_check_axis(c, field, t, 0, "blocks", 0, INT32_MAX - 1);
    if (t->ndim > 1)
        aiteri_check_halves(c, field, t);
    else if (aiter_dtype_bits(t->dtype) < 8 && t->shape[0] > 1 && t->stride[0] % 2 != 0)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: stride[0] is %lld, expected an even one: rows of %s start at whole "
                      "bytes",
                      c->op, field, (long long)t->stride[0], aiter_dtype_name(t->dtype));
}

/* dst as src but for the number of blocks. */
static void aiteri_check_swap(aiteri_check *c, aiteri_blocks *x)
{
    aiteri_check_block_tensor(c, "src", &x->src, 1, 5);
    aiteri_check_block_tensor(c, "dst", &x->dst, x->src.ndim, x->src.ndim);
    if (c->status == AITER_OK && x->src.dtype != x->dst.dtype)
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.dst: dtype is %s, expected %s (= src.dtype)",
                      c->op, aiter_dtype_name(x->dst.dtype), aiter_dtype_name(x->src.dtype));
    for (int32_t i = 1; c->status == AITER_OK && i < x->src.ndim; i++)
        aiteri_check_extent(c, "dst", &x->dst, i, x->src.shape[i], "src");
    if (c->status != AITER_OK) return;
    x->src = aiteri_in_bytes(x->src);
    x->dst = aiteri_in_bytes(x->dst);
}

/* "caches[5]" */
typedef struct aiteri_cache_name {
    char text[24];
} aiteri_cache_name;

static aiteri_cache_name aiteri_cache_name_of(int32_t i)
{
    aiteri_cache_name name;
    snprintf(name.text, sizeof name.text, "caches[%d]", (int)i);
    return name;
}

/* Each of the caches, in dst the first. */
static void aiteri_check_copy(aiteri_check *c, aiteri_blocks *x)
{
    aiteri_check_range(c, "num_caches", x->num_caches, 1, INT32_MAX - 1);
    if (!x->caches)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.caches: is NULL, expected num_caches tensors [num_blocks, ..]", c->op);
    for (int32_t i = 0; i < x->num_caches && c->status == AITER_OK; i++) {
        const aiteri_cache_name name = aiteri_cache_name_of(i);
        aiter_tensor t = x->caches[i];
        aiteri_check_block_tensor(c, name.text, &t, 1, 5);
        if (c->status != AITER_OK) return;
        if (i == 0) x->dst = aiteri_in_bytes(t);
        aiteri_check_extent(c, name.text, &t, 0, x->dst.shape[0], "blocks of caches[0]");
    }
}

static void aiteri_check_block_moves(aiteri_check *c, aiteri_blocks *x)
{
    aiteri_check_true(c, x->call.plan == NULL, "call.plan", "none: this op has no plan");
    if (x->op->swaps)
        aiteri_check_swap(c, x);
    else
        aiteri_check_copy(c, x);
    if (aiteri_check_tensor(c, "mapping", &x->mapping, 2, 2, AITERI_INDICES, 1, "[n, 2]"))
        aiteri_check_extent(c, "mapping", &x->mapping, 1, 2, "a pair: from, to");
}

/* Addresses are compared, nothing is read. */
static void aiteri_check_blocks_apart(aiteri_check *c, const aiteri_blocks *x)
{
    const aiter_tensor workspace =
        aiteri_memory_operand(x->call.workspace, x->call.workspace_bytes);
    const aiteri_operand swaps[] = {{"dst", &x->dst},
                                    {"call.workspace", &workspace},
                                    {"src", &x->src},
                                    {"mapping", &x->mapping}};
    const aiteri_operand copies[] = {{"call.workspace", &workspace}, {"mapping", &x->mapping}};
    aiteri_check_overlap(c, x->op->swaps ? swaps : copies, x->op->swaps ? 4 : 2,
                         x->op->swaps ? 2 : 1);
    for (int32_t i = 0; i < x->num_caches && !x->op->swaps && c->status == AITER_OK; i++) {
        const aiteri_cache_name name = aiteri_cache_name_of(i);
        const aiter_tensor t = aiteri_in_bytes(x->caches[i]);
        const uintptr_t bytes = aiteri_operand_bytes(&t);
        const aiteri_operand operand[] = {
            {name.text, &t}, {"call.workspace", &workspace}, {"mapping", &x->mapping}};
        aiteri_check_overlap(c, operand, 3, 1);
        for (int32_t j = 0; j < i && bytes > 0; j++) {
            const aiter_tensor other = aiteri_in_bytes(x->caches[j]);
            if (aiteri_operands_meet(&t, bytes, &other))
                aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: shares memory with caches[%d]",
                              c->op, name.text, (int)j);
        }
    }
}

/* A bit per block of the destination. */
static uint8_t *aiteri_blocks_layout(const aiteri_blocks *x, aiteri_arena *arena)
{
    return (uint8_t *)aiteri_carve(arena, (size_t)x->dst.shape[0] / 8 + 1, 1);
}

/* None on a device, where ids are not looked at. */
static size_t aiteri_blocks_need(const aiteri_blocks *x, aiter_context *ctx)
{
    aiteri_arena measure = {NULL, 0};
    if (aiteri_context_on_device(ctx)) return 0;
    aiteri_blocks_layout(x, &measure);
    return measure.used;
}

/* Everything but the run: all that shapes tell, and which kernel. */
static aiter_status aiteri_blocks_supported(aiteri_blocks *x, aiter_context *ctx, size_t *bytes)
{
    aiteri_check c = {x->op->name, ctx, AITER_OK};
    aiteri_check_block_moves(&c, x);
    if (c.status == AITER_OK) aiteri_check_blocks_apart(&c, x);
    if (c.status != AITER_OK) return c.status;
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(c.op, ctx);
        AITERI_TRY(aiteri_gpu_blocks_choose(&call, &x->row));
    }
#endif
    return aiteri_scratch_answer(c.op, ctx, aiteri_blocks_need(x, ctx), bytes);
}

static aiter_status aiteri_blocks_workspace(aiteri_blocks *x, aiter_context *ctx, size_t *bytes)
{
    aiteri_check c = {x->op->name, ctx, AITER_OK};
    aiteri_check_block_moves(&c, x);
    if (c.status != AITER_OK) return c.status;
    return aiteri_scratch_answer(c.op, ctx, aiteri_blocks_need(x, ctx), bytes);
}

/* ---- the copies ---- */

/* How a block lies in both caches, in bytes: steps from the outer to the inner, then pieces that
 * are contiguous in both. */
typedef struct aiteri_block_way {
    char *dst;
    const char *src;
    int64_t dst_block, src_block;
    int32_t ndim;
    int64_t shape[4], from[4], to[4];
    size_t piece; /* 0: blocks are empty */
} aiteri_block_way;

static aiteri_block_way aiteri_block_way_of(const aiter_tensor *src, const aiter_tensor *dst)
{
    const int64_t size = aiter_dtype_bits(dst->dtype) / 8;
    aiteri_block_way w;
    memset(&w, 0, sizeof w);
    w.dst = (char *)dst->data;
    w.src = (const char *)src->data;
    w.dst_block = dst->stride[0] * size;
    w.src_block = src->stride[0] * size;
    w.piece = (size_t)size;
    for (int32_t i = 1; i < dst->ndim; i++) {
        const int64_t to = dst->stride[i] * size;
        int32_t at = w.ndim;
        if (dst->shape[i] == 0) w.piece = 0;
        if (dst->shape[i] <= 1) continue;
        for (w.ndim++; at > 0 && w.to[at - 1] < to; at--) {
            w.to[at] = w.to[at - 1];
            w.from[at] = w.from[at - 1];
            w.shape[at] = w.shape[at - 1];
        }
        w.to[at] = to;
        w.from[at] = src->stride[i] * size;
        w.shape[at] = dst->shape[i];
    }
    for (; w.ndim > 0 && w.piece > 0; w.ndim--) {
        const int32_t inner = w.ndim - 1;
        if (w.to[inner] != (int64_t)w.piece || w.from[inner] != (int64_t)w.piece) break;
        w.piece *= (size_t)w.shape[inner];
    }
    return w;
}

/* Of cache i. */
static aiteri_block_way aiteri_blocks_way(const aiteri_blocks *x, int32_t i)
{
    if (x->op->swaps) return aiteri_block_way_of(&x->src, &x->dst);
    const aiter_tensor t = aiteri_in_bytes(x->caches[i]);
    return aiteri_block_way_of(&t, &t);
}

static void aiteri_block_copy(const aiteri_block_way *w, int32_t dim, char *dst, const char *src)
{
    if (dim == w->ndim) {
        memcpy(dst, src, w->piece);
        return;
    }
    for (int64_t i = 0; i < w->shape[dim]; i++)
        aiteri_block_copy(w, dim + 1, dst + i * w->to[dim], src + i * w->from[dim]);
}

/* Block of the source (0) or of the destination (1) of a pair. */
static int64_t aiteri_mapped_block(const aiteri_blocks *x, int64_t pair, int which)
{
    const aiter_tensor *t = &x->mapping;
    return aiteri_index_at(t, pair * t->stride[0] + which * t->stride[1]);
}

static void aiteri_blocks_worker(void *arg, int32_t i)
{
    const aiteri_blocks *x = (const aiteri_blocks *)arg;
    const int64_t pairs = x->mapping.shape[0], all = pairs * x->num_caches;
    const int64_t first = aiteri_share_of(all, i, x->workers);
    const int64_t end = aiteri_share_of(all, i + 1, x->workers);
    aiteri_block_way w;
    for (int64_t n = first; n < end; n++) {
        if (n == first || n % pairs == 0) w = aiteri_blocks_way(x, (int32_t)(n / pairs));
        if (w.piece == 0) continue;
        aiteri_block_copy(&w, 0, w.dst + aiteri_mapped_block(x, n % pairs, 1) * w.dst_block,
                          w.src + aiteri_mapped_block(x, n % pairs, 0) * w.src_block);
    }
}

/* ---- the run ---- */

static void aiteri_check_block_id(aiteri_check *c, const aiteri_blocks *x, int64_t pair, int which,
                                  int64_t blocks)
{
    const int64_t id = aiteri_mapped_block(x, pair, which);
    if (id < 0 || id >= blocks)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.mapping: [%lld][%d] is %lld, expected one of the %lld blocks of %s, from "
                      "0 on",
                      c->op, (long long)pair, which, (long long)id, (long long)blocks,
                      !x->op->swaps ? "the caches"
                      : which       ? "dst"
                                    : "src");
}

/* Ids in range, no destination twice, none of them a source beside it: pairs have no order. */
static void aiteri_check_mapping(aiteri_check *c, const aiteri_blocks *x, uint8_t *written)
{
    const int64_t pairs = x->mapping.shape[0], blocks = x->dst.shape[0];
    memset(written, 0, (size_t)(blocks / 8 + 1));
    for (int64_t n = 0; n < pairs && c->status == AITER_OK; n++) {
        const int64_t to = aiteri_mapped_block(x, n, 1);
        aiteri_check_block_id(c, x, n, 0, x->op->swaps ? x->src.shape[0] : blocks);
        aiteri_check_block_id(c, x, n, 1, blocks);
        if (c->status != AITER_OK) return;
        if (written[to / 8] >> (to % 8) & 1)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.mapping: [%lld][1] is %lld, a block that an earlier pair writes",
                          c->op, (long long)n, (long long)to);
        written[to / 8] |= (uint8_t)(1u << (to % 8));
    }
    for (int64_t n = 0; n < pairs && c->status == AITER_OK && !x->op->swaps; n++) {
        const int64_t from = aiteri_mapped_block(x, n, 0);
        if (written[from / 8] >> (from % 8) & 1)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.mapping: [%lld][0] is %lld, a block that a pair of this call writes; "
                          "make a chain in several calls",
                          c->op, (long long)n, (long long)from);
    }
}

#if AITERI_GPU
/* Cache i, on the device that is current. */
static aiter_status aiteri_blocks_launch(const aiteri_gpu_call *c, const aiteri_blocks *x,
                                         int32_t i)
{
    const aiteri_block_way w = aiteri_blocks_way(x, i);
    aiteri_gpu_copy_blocks to;
    memset(&to, 0, sizeof to);
    to.src = (uint64_t)(uintptr_t)w.src;
    to.dst = (uint64_t)(uintptr_t)w.dst;
    to.src_stride_block = w.src_block;
    to.dst_stride_block = w.dst_block;
    to.src_blocks = x->op->swaps ? x->src.shape[0] : x->dst.shape[0];
    to.dst_blocks = x->dst.shape[0];
    to.dims = w.ndim;
    memcpy(to.shape, w.shape, sizeof to.shape);
    memcpy(to.from, w.from, sizeof to.from);
    memcpy(to.to, w.to, sizeof to.to);
    return aiteri_gpu_blocks_launch(c, x->row, &x->mapping, (int64_t)w.piece, &to);
}

static aiter_status aiteri_blocks_on_device(const aiteri_blocks *x, aiter_context *ctx)
{
    const aiteri_gpu_call c = aiteri_gpu_call_of(x->op->name, ctx);
    aiteri_current was;
    aiter_status status = AITER_OK;
    AITERI_TRY(aiteri_device_enter(ctx, c.op, c.gpu->device, &was));
    for (int32_t i = 0; i < x->num_caches && status == AITER_OK; i++)
        status = aiteri_blocks_launch(&c, x, i);
    aiteri_device_leave(c.gpu->device, &was);
    return status;
}
#endif

static aiter_status aiteri_blocks_run(aiteri_blocks *x, aiter_context *ctx)
{
    size_t bytes;
    aiteri_scratch scratch;
    AITERI_TRY(aiteri_blocks_supported(x, ctx, &bytes));
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) return aiteri_blocks_on_device(x, ctx);
#endif
    aiteri_check c = {x->op->name, ctx, AITER_OK};
    AITERI_TRY(aiteri_scratch_take(c.op, ctx, x->call.workspace, x->call.workspace_bytes,
                                   aiteri_blocks_need(x, ctx), &scratch));
    aiteri_check_mapping(&c, x, aiteri_blocks_layout(x, &scratch.arena));
    aiteri_scratch_give_back(&scratch);
    x->workers =
        (int32_t)aiteri_min(aiteri_context_workers(ctx), x->mapping.shape[0] * x->num_caches);
    if (c.status == AITER_OK && x->workers > 0)
        aiteri_parallel(ctx, aiteri_blocks_worker, x, x->workers);
    return c.status;
}

static void aiteri_blocks_explain_work(const aiteri_blocks *x, aiter_context *ctx, aiteri_text *t)
{
    const int64_t pairs = x->mapping.shape[0];
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        aiteri_say(t, "kernel: %s, %lld pairs x %d launches", aiteri_gpu_rows_table[x->row].symbol,
                   (long long)pairs, (int)x->num_caches);
        return;
    }
#endif
    (void)ctx;
    aiteri_say(t, "work: %lld copies, a stretch of them for each thread",
               (long long)(pairs * x->num_caches));
}

static aiter_status aiteri_blocks_explain(const aiteri_blocks *x, aiter_context *ctx,
                                          aiteri_text *t)
{
    double all = 0;
    size_t least = SIZE_MAX;
    for (int32_t i = 0; i < x->num_caches; i++) {
        const aiteri_block_way w = aiteri_blocks_way(x, i);
        double bytes = (double)w.piece;
        for (int32_t d = 0; d < w.ndim; d++) bytes *= (double)w.shape[d];
        all += bytes * (double)x->mapping.shape[0];
        if (w.piece < least) least = w.piece;
    }
    aiteri_say(t, "problem: %lld blocks in %d cache%s of %lld blocks\n",
               (long long)x->mapping.shape[0], (int)x->num_caches, x->num_caches > 1 ? "s" : "",
               (long long)x->dst.shape[0]);
    aiteri_say(t, "types: mapping %s, blocks as they are\n", aiter_dtype_name(x->mapping.dtype));
    aiteri_blocks_explain_work(x, ctx, t);
    aiteri_say(t, ", in pieces of %zu bytes\n", least);
    aiteri_say(t, "bytes: at most %.3g read, %.3g written\n", all, all);
    aiteri_say(t, "error: none\n");
    return AITER_OK;
}

AITERI_CALLS(swap_blocks, blocks, &aiteri_swap_blocks_op)
AITERI_CALLS(copy_blocks, blocks, &aiteri_copy_blocks_op)

#endif /* AITERI_BLOCKS_C */
