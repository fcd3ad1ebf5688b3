/* rope_fwd.c -- rotary position embedding of rows: what its arguments mean, then row by row. */
#ifndef AITERI_ROPE_FWD_C
#define AITERI_ROPE_FWD_C

#include "../api_ops.h"
#include "../base/argument.c"
#include "../cpu/rope.c"
#include "../cpu/rows.c"
#include "call_begin.c"

/* How many elements turn; 0 is what the tables say. */
static int32_t aiteri_rope_dim(const aiter_rope *r)
{
    return r->dim ? r->dim : 2 * (int32_t)r->cos.shape[1];
}

static void aiteri_check_rope_tables(aiteri_check *c, aiter_rope *r, int64_t row_dim)
{
    const char *layout = "[max_pos, dim / 2], or [max_pos, dim] with a column per element";
    aiteri_check_tensor(c, "rope.cos", &r->cos, 2, 2, AITERI_FLOATS, 1, layout);
    aiteri_check_tensor(c, "rope.sin", &r->sin, 2, 2, AITERI_FLOATS, 1, layout);
    if (c->status != AITER_OK) return;
    aiteri_check_axis(c, "rope.cos", &r->cos, 0, "positions", 1, INT32_MAX - 1);
    aiteri_check_axis(c, "rope.cos", &r->cos, 1, "angles", 1, AITERI_MAX_HEAD_DIM);
    aiteri_check_extent(c, "rope.sin", &r->sin, 0, r->cos.shape[0], "positions of rope.cos");
    aiteri_check_extent(c, "rope.sin", &r->sin, 1, r->cos.shape[1], "angles of rope.cos");
    if (c->status != AITER_OK) return;
    const int32_t columns = (int32_t)r->cos.shape[1], dim = aiteri_rope_dim(r);
    const int32_t step = r->kind == AITER_ROPE_2D ? 4 : 2;
    if (dim != columns && dim != 2 * columns)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.rope.dim: is %d, expected 0, %d (an angle per pair) or %d (per element): "
                      "rope.cos has %d columns",
                      c->op, (int)r->dim, (int)(2 * columns), (int)columns, (int)columns);
    if (dim % step != 0)
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.rope.dim: %d elements turn, expected %s",
                      c->op, (int)dim,
                      step == 4 ? "a multiple of 4 (2D: two halves of pairs)"
                                : "an even number, as they turn in pairs");
    if (dim > row_dim)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.rope.dim: %d elements turn, expected at most %lld, D of x%s", c->op,
                      (int)dim, (long long)row_dim,
                      !r->dim && columns <= row_dim
                          ? "; tables with a column per element: say rope.dim"
                          : "");
}

/* Fields that belong to one kind. */
static void aiteri_check_rope_kind(aiteri_check *c, const aiter_rope *r)
{
    const int32_t pairs = aiteri_rope_dim(r) / 2;
    const int multi = r->kind == AITER_ROPE_MULTI || r->kind == AITER_ROPE_MULTI_INTERLEAVED;
    int64_t sum = 0;
    for (int i = 0; i < 3; i++) {
        char field[24];
        snprintf(field, sizeof field, "rope.sections[%d]", i);
        if (multi) aiteri_check_range(c, field, r->sections[i], 0, pairs);
        sum += r->sections[i];
        if (!multi && r->sections[i])
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.%s: is %d, expected 0: sections go with rope.kind AITER_ROPE_MULTI "
                          "or AITER_ROPE_MULTI_INTERLEAVED",
                          c->op, field, (int)r->sections[i]);
    }
    if (multi && sum != pairs)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.rope.sections: their sum is %lld, expected %d, the pairs that turn",
                      c->op, (long long)sum, (int)pairs);
    if (r->kind == AITER_ROPE_2D && r->positions.ndim == 0)
        aiteri_check_range(c, "rope.width", r->width, 1, INT32_MAX - 1);
    else if (r->width != 0)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.rope.width: is %d, expected 0: it goes with rope.kind AITER_ROPE_2D "
                      "without rope.positions",
                      c->op, (int)r->width);
}

/* Positions or offsets: `axes` of them for each token of x. */
static void aiteri_check_rope_indices(aiteri_check *c, const char *field, aiter_tensor *t,
                                      int32_t axes, const aiter_tensor *x)
{
    char layout[48];
    const int32_t lead = x->ndim - 2, first = axes > 1, ndim = lead + first;
    const char *tokens = lead == 2 ? "B, S" : "tokens";
    if (first)
        snprintf(layout, sizeof layout, "[%d, %s]", (int)axes, tokens);
    else
        snprintf(layout, sizeof layout, "[%s]", tokens);
    if (!aiteri_check_tensor(c, field, t, ndim, ndim, AITERI_INDICES, 0, layout)) return;
    if (first) aiteri_check_extent(c, field, t, 0, axes, "the positions of a token, by rope.kind");
    for (int32_t i = 0; i < lead; i++)
        aiteri_check_extent(c, field, t, first + i, x->shape[i],
                            i + 1 < lead ? "the batch of x" : "tokens of x");
}

/* All that shapes tell about how the rows of x turn. */
static void aiteri_check_rope(aiteri_check *c, aiter_rope *r, const aiter_tensor *x)
{
    aiteri_check_enum(c, "rope.pairing", (int)r->pairing, AITER_ROPE_PAIRING_COUNT,
                      "aiter_rope_pairing");
    aiteri_check_enum(c, "rope.kind", (int)r->kind, AITER_ROPE_KIND_COUNT, "aiter_rope_kind");
    aiteri_check_range(c, "rope.nope_first", r->nope_first, 0, 1);
    aiteri_check_rope_tables(c, r, x->shape[x->ndim - 1]);
    if (c->status != AITER_OK) return;
    aiteri_check_rope_kind(c, r);
    aiteri_check_rope_indices(c, "rope.positions", &r->positions, aiteri_rope_axes(r->kind), x);
    aiteri_check_rope_indices(c, "rope.offsets", &r->offsets, 1, x);
}

static void aiteri_rope_fwd_check(aiteri_check *c, aiter_rope_fwd_args *a)
{
    const char *layout = "[tokens, H, D] or [B, S, H, D]";
    aiteri_check_tensor(c, "x", &a->x, 3, 4, AITERI_FLOATS, 1, layout);
    aiteri_check_tensor(c, "y", &a->y, a->x.ndim, a->x.ndim, AITERI_FLOATS, 1, layout);
    if (c->status != AITER_OK) return;
    const int32_t n = a->x.ndim;
    for (int32_t i = 0; i < n; i++) {
        aiteri_check_axis(c, "x", &a->x, i, i + 1 < n ? "batch, tokens or heads" : "head_dim",
                          i + 1 < n ? 0 : 1, i + 1 < n ? INT32_MAX - 1 : AITERI_MAX_HEAD_DIM);
        aiteri_check_extent(c, "y", &a->y, i, a->x.shape[i], "x");
    }
    aiteri_check_rope(c, &a->rope, &a->x);
    if (n == 4)
        aiteri_check_absent(c, "cu_seqlens", &a->cu_seqlens,
                            "x is [B, S, H, D], packed rows are [tokens, H, D]");
    if (a->rope.positions.ndim != 0)
        aiteri_check_absent(c, "cu_seqlens", &a->cu_seqlens,
                            "rope.positions say where each token stands");
    if (aiteri_check_tensor(c, "cu_seqlens", &a->cu_seqlens, 1, 1, AITERI_ONLY_I32, 0, "[B + 1]"))
        aiteri_check_axis(c, "cu_seqlens", &a->cu_seqlens, 0, "batch + 1", 1, INT32_MAX - 1);
    if (c->status != AITER_OK) return;
    const aiter_tensor none = aiteri_tensor_make(NULL, AITER_F32, 0, 0, 0, 0, 0, 0);
    const aiteri_operand operand[] = {{"y", &a->y},
                                      {"x", aiteri_same_view(&a->y, &a->x) ? &none : &a->x},
                                      {"cu_seqlens", &a->cu_seqlens},
                                      {"rope.cos", &a->rope.cos},
                                      {"rope.sin", &a->rope.sin},
                                      {"rope.positions", &a->rope.positions},
                                      {"rope.offsets", &a->rope.offsets}};
    aiteri_check_overlap(c, operand, 7, 1);
}

/* A call, and what its workers share. */
typedef struct aiteri_rope_fwd {
    aiter_rope_fwd_args a;
    int64_t batch, tokens, heads; /* batch of [tokens, H, D] is 1 */
    int32_t dim;                  /* D */
    int32_t workers;
    aiteri_rope rope;
} aiteri_rope_fwd;

static int64_t aiteri_add_indices(int64_t a, int64_t b)
{
    if (b > 0) return a > INT64_MAX - b ? INT64_MAX : a + b;
    return a < INT64_MIN - b ? INT64_MIN : a + b;
}

/* Where token s of batch row b stands in its sequence, or in its row. */
static int64_t aiteri_rope_token(const aiteri_rope_fwd *x, int64_t s)
{
    const aiter_tensor *t = &x->a.cu_seqlens;
    const int32_t *cu = (const int32_t *)t->data;
    if (!t->ndim) return s;
    int64_t low = 0, high = t->shape[0] - 1; /* cu[low] <= s < cu[high] */
    while (low + 1 < high) {
        const int64_t middle = (low + high) / 2;
        if (cu[middle * t->stride[0]] <= s)
            low = middle;
        else
            high = middle;
    }
    return s - cu[low * t->stride[0]];
}

/* The rows of the tables for a token, unchecked. */
static void aiteri_rope_positions(const aiteri_rope_fwd *x, int64_t b, int64_t s,
                                  int64_t position[3])
{
    const aiter_tensor *given = &x->a.rope.positions, *added = &x->a.rope.offsets;
    const int32_t width = x->a.rope.width, n = given->ndim, batched = x->a.x.ndim == 4;
    const int64_t token = n ? 0 : aiteri_rope_token(x, s);
    const int64_t offset = added->ndim
                               ? aiteri_index_at(added, (batched ? b * added->stride[0] : 0) +
                                                            s * added->stride[added->ndim - 1])
                               : 0;
    for (int32_t axis = 0; axis < x->rope.axes; axis++) {
        int64_t at = width == 0 ? token : axis ? token % width : token / width;
        if (n)
            at = aiteri_index_at(given, (x->rope.axes > 1 ? axis * given->stride[0] : 0) +
                                            (batched ? b * given->stride[n - 2] : 0) +
                                            s * given->stride[n - 1]);
        position[axis] = aiteri_add_indices(at, offset);
    }
}

/* Every position is a row of the tables. */
static void aiteri_check_rope_positions(aiteri_check *c, const aiteri_rope_fwd *x)
{
    const int64_t rows = x->a.rope.cos.shape[0];
    for (int64_t r = 0; r < x->batch * x->tokens && c->status == AITER_OK; r++) {
        int64_t position[3];
        aiteri_rope_positions(x, r / x->tokens, r % x->tokens, position);
        for (int32_t i = 0; i < x->rope.axes; i++)
            if (position[i] < 0 || position[i] >= rows)
                aiteri_reject(c, AITER_INVALID_ARGUMENT,
                              "%s.%s: token %lld is at %lld%s, expected 0 to %lld: rope.cos has "
                              "%lld rows",
                              c->op,
                              x->a.rope.positions.ndim ? "rope.positions"
                              : x->a.rope.offsets.ndim ? "rope.offsets"
                                                       : "rope.cos",
                              (long long)r, (long long)position[i],
                              x->a.rope.offsets.ndim ? " with its offset" : "", (long long)rows - 1,
                              (long long)rows);
    }
}

/* The row of token s of batch row b and head 0. */
static char *aiteri_rope_at(const aiter_tensor *t, int64_t b, int64_t s)
{
    const int32_t n = t->ndim;
    return (char *)t->data +
           aiteri_bytes_of(t->dtype, (n == 4 ? b * t->stride[0] : 0) + s * t->stride[n - 3]);
}

/* The way of a row from x to y: types, and bytes from head to head and between elements. */
typedef struct aiteri_rope_way {
    const aiteri_rope *rope;
    aiter_dtype from, to;
    int64_t from_step, to_step; /* in elements */
    int64_t from_bytes, to_bytes, from_head, to_head;
} aiteri_rope_way;

static aiteri_rope_way aiteri_rope_way_of(const aiteri_rope_fwd *x)
{
    const aiter_tensor *from = &x->a.x, *to = &x->a.y;
    const int32_t last = from->ndim - 1;
    aiteri_rope_way w;
    w.rope = &x->rope;
    w.from = from->dtype;
    w.to = to->dtype;
    w.from_step = from->stride[last];
    w.to_step = to->stride[last];
    w.from_bytes = aiteri_bytes_of(w.from, w.from_step);
    w.to_bytes = aiteri_bytes_of(w.to, w.to_step);
    w.from_head = aiteri_bytes_of(w.from, from->stride[last - 1]);
    w.to_head = aiteri_bytes_of(w.to, to->stride[last - 1]);
    return w;
}

/* Elements [first, end) of a row as they are. */
static void aiteri_rope_copy(const aiteri_rope_way *w, char *dst, const char *src, int32_t first,
                             int32_t end)
{
    float row[AITERI_MAX_HEAD_DIM];
    if (first == end || src == dst) return; /* in place */
    src += first * w->from_bytes;
    dst += first * w->to_bytes;
    if (w->from == w->to && w->from_step == 1 && w->to_step == 1) {
        memcpy(dst, src, (size_t)((end - first) * w->to_bytes));
        return;
    }
    aiteri_gather_row(w->rope->kernels, row, src, w->from, w->from_step, end - first);
    aiteri_scatter_row(w->rope->kernels, dst, w->to, w->to_step, row, end - first);
}

static void aiteri_rope_row(const aiteri_rope_way *w, char *dst, const char *src, int32_t row_dim,
                            const aiteri_rope_angles *angles)
{
    const aiteri_rope *r = w->rope;
    const int32_t start = r->start, end = start + r->dim;
    float x[AITERI_MAX_HEAD_DIM], y[AITERI_MAX_HEAD_DIM];
    aiteri_rope_copy(w, dst, src, 0, start);
    aiteri_rope_copy(w, dst, src, end, row_dim);
    aiteri_gather_row(r->kernels, x, src + start * w->from_bytes, w->from, w->from_step, r->dim);
    aiteri_rope_turn(r, y, x, angles);
    aiteri_scatter_row(r->kernels, dst + start * w->to_bytes, w->to, w->to_step, y, r->dim);
}

static void aiteri_rope_fwd_worker(void *arg, int32_t i)
{
    const aiteri_rope_fwd *x = (const aiteri_rope_fwd *)arg;
    const aiteri_rope_way way = aiteri_rope_way_of(x);
    const int64_t rows = x->batch * x->tokens;
    aiteri_rope_angles angles;
    int64_t position[3];
    for (int64_t r = aiteri_share_of(rows, i, x->workers);
         r < aiteri_share_of(rows, i + 1, x->workers); r++) {
        const int64_t b = r / x->tokens, s = r % x->tokens;
        const char *src = aiteri_rope_at(&x->a.x, b, s);
        char *dst = aiteri_rope_at(&x->a.y, b, s);
        aiteri_rope_positions(x, b, s, position);
        aiteri_rope_angles_at(&x->rope, position, &angles);
        for (int64_t h = 0; h < x->heads; h++, src += way.from_head, dst += way.to_head)
            aiteri_rope_row(&way, dst, src, x->dim, &angles);
    }
}

static aiter_status aiteri_rope_fwd_begin(const char *op, const char *call,
                                          const aiter_rope_fwd_args *args, aiter_context *ctx,
                                          aiteri_rope_fwd *x)
{
    memset(x, 0, sizeof *x);
    AITERI_TRY(aiteri_call_begin(op, call, ctx, args, sizeof *args));
    x->a = *args;
    return AITER_OK;
}

static aiter_status aiteri_rope_fwd_workspace(const aiteri_rope_fwd *x, aiter_context *ctx,
                                              size_t *bytes)
{
    (void)x;
    return aiteri_scratch_answer("aiter_rope_fwd", ctx, 0, bytes);
}

/* Everything but the run: all that shapes tell. */
static aiter_status aiteri_rope_fwd_supported(aiteri_rope_fwd *x, aiter_context *ctx, size_t *bytes)
{
    aiteri_check c = {"aiter_rope_fwd", ctx, AITER_OK};
    const int32_t n = x->a.x.ndim;
    aiteri_rope_fwd_check(&c, &x->a);
    if (c.status != AITER_OK) return c.status;
    x->batch = n == 4 ? x->a.x.shape[0] : 1;
    x->tokens = x->a.x.shape[n - 3];
    x->heads = x->a.x.shape[n - 2];
    x->dim = (int32_t)x->a.x.shape[n - 1];
    *bytes = 0;
    AITERI_TRY(aiteri_needs_cpu(c.op, ctx));
    x->rope = aiteri_rope_of(aiteri_context_kernels(ctx), &x->a.rope, aiteri_rope_dim(&x->a.rope),
                             x->dim);
    return AITER_OK;
}

static aiter_status aiteri_rope_fwd_explain(const aiteri_rope_fwd *x, aiter_context *ctx,
                                            aiteri_text *t)
{
    static const char *const kinds[AITER_ROPE_KIND_COUNT] = {
        "one position a token", "two positions a token, of an image",
        "three positions a token, by sections", "three positions a token, interleaved"};
    const aiter_rope *r = &x->a.rope;
    const double values = (double)x->batch * (double)x->tokens * (double)x->heads * (double)x->dim;
    aiteri_say(t, "problem: batch %lld, %lld tokens, heads %lld, D %d\n", (long long)x->batch,
               (long long)x->tokens, (long long)x->heads, (int)x->dim);
    aiteri_say(t, "types: x %s, y %s, cos %s, sin %s\n", aiter_dtype_name(x->a.x.dtype),
               aiter_dtype_name(x->a.y.dtype), aiter_dtype_name(r->cos.dtype),
               aiter_dtype_name(r->sin.dtype));
    aiteri_say(t, "rope: the %s %d elements turn in %s pairs, %s, of %lld in the tables\n",
               r->nope_first ? "last" : "first", (int)x->rope.dim,
               r->pairing == AITER_ROPE_NEOX ? "NeoX" : "GPT-J", kinds[r->kind],
               (long long)r->cos.shape[0]);
    aiteri_explain_rows(t, ctx, 0, "rows of heads", x->tokens * x->heads, x->batch);
    aiteri_say(t, "bytes: at most %.3g read, %.3g written\n",
               values * aiteri_bytes_per(x->a.x.dtype), values * aiteri_bytes_per(x->a.y.dtype));
    aiteri_say(t, "error: 2^-23 of |x1 cos| + |x2 sin|, half a unit of %s (docs/guide.md, 5)\n",
               aiter_dtype_name(x->a.y.dtype));
    return AITER_OK;
}

static aiter_status aiteri_rope_fwd_run(aiteri_rope_fwd *x, aiter_context *ctx)
{
    size_t bytes;
    AITERI_TRY(aiteri_rope_fwd_supported(x, ctx, &bytes));
    aiteri_check c = {"aiter_rope_fwd", ctx, AITER_OK};
    const aiter_tensor *cu = &x->a.cu_seqlens;
    if (cu->ndim) {
        const int32_t *starts = (const int32_t *)cu->data, batch = (int32_t)cu->shape[0] - 1;
        const aiteri_length_bound most = {x->tokens, "tokens of x"};
        aiteri_check_cu_seqlens(&c, "cu_seqlens", starts, cu->stride[0], batch, x->tokens, most);
        if (c.status != AITER_OK) return c.status;
        x->tokens = starts[batch * cu->stride[0]];
    }
    aiteri_check_rope_positions(&c, x);
    if (c.status != AITER_OK) return c.status;
    x->workers = (int32_t)aiteri_min(aiteri_context_workers(ctx), x->batch * x->tokens);
    if (x->batch * x->tokens * x->heads > 0)
        aiteri_parallel(ctx, aiteri_rope_fwd_worker, x, x->workers);
    return AITER_OK;
}

AITERI_CALLS(rope_fwd, rope_fwd, "aiter_rope_fwd")

#endif /* AITERI_ROPE_FWD_C */
