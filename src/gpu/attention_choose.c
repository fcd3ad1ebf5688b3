/* attention_choose.c -- a problem on a device: which kernel, cut into how many splits, in how much
 * memory. Everything follows from shapes and bounds: nothing is launched, lengths are not read. */
#ifndef AITERI_GPU_ATTENTION_CHOOSE_C
#define AITERI_GPU_ATTENTION_CHOOSE_C

#include "launch.c"
#include "../plan/schedule.c"

enum {
    AITERI_GPU_DECODE_ROWS =
        16, /* packed rows of a kv head up to which decoding is its own kernel */
    AITERI_GPU_DECODE_UNITS = 4, /* workgroups of decoding that are wanted for a compute unit */
    AITERI_GPU_SPLITS = 64,
    AITERI_GPU_SPLIT_KEYS = 256 /* a piece has at least so many keys */
};

/* How a problem meets a row of the registry. */
typedef struct aiteri_gpu_shape {
    aiteri_gpu_want want; /* aiteri_gpu_row_refuses tells why it is no other row */
    int32_t row, decode;  /* decode: paged_decode, which packs the heads of a group */
    int64_t tiles, units; /* query tiles per head; workgroups without splits */
    int64_t rows;         /* of partial results, per split */
    int64_t splits, split_keys;
} aiteri_gpu_shape;

static aiteri_gpu_want aiteri_gpu_want_of(const aiteri_gpu_call *c, const aiteri_problem *p,
                                          int32_t op)
{
    aiteri_gpu_want w;
    memset(&w, 0, sizeof w);
    AITERI_ASSERT((aiteri_problem_features(p) & ~p->features) == 0);
    w.features = p->features;
    /* To a kernel that reads them all, two fp8 types are one. */
    if (aiteri_gpu_is_fp8(p->k.dtype) && aiteri_gpu_is_fp8(p->v.dtype))
        w.features &= ~AITERI_BIT(KV_TYPES);
    w.op = op;
    w.arch = c->gpu->device->arch_bits;
    w.q = p->q.dtype;
    w.kv = p->k.dtype;
    w.out = p->out.dtype;
    w.dq = p->k.dim;
    w.dv = p->v.dim;
    w.kernel_class = c->desc->kernel_class;
    return w;
}

/* Rows of a few tokens over pages decode, and any number over pages that only decoding can read;
 * all else, and what no kernel of decoding takes, is flash. */
static aiter_status aiteri_gpu_choose(const aiteri_gpu_call *c, const aiteri_problem *p,
                                      aiteri_gpu_shape *s)
{
    const int64_t packed = (int64_t)p->group * p->max_seqlen_q;
    const int other = (p->features & (AITERI_BIT(TILES) | AITERI_BIT(STRIDED_DIM))) != 0;
    memset(s, 0, sizeof *s);
    s->row = -1;
    s->want = aiteri_gpu_want_of(c, p, AITERI_GPU_OP_paged_decode);
    if (p->block_table && (packed <= AITERI_GPU_DECODE_ROWS || p->k.dtype != p->q.dtype || other)) {
        s->row = aiteri_gpu_row_of(c->gpu, &s->want);
        s->decode = s->row >= 0;
    }
    if (!s->decode) {
        const aiteri_gpu_want decode = s->want;
        s->want.op = AITERI_GPU_OP_flash_fwd;
        s->row = aiteri_gpu_row_of(c->gpu, &s->want);
        /* Of pages that flash does not read at all the reason is what decoding lacks. */
        if (s->row < 0 && p->block_table && aiteri_gpu_nearest_row(&s->want) < 0 &&
            aiteri_gpu_nearest_row(&decode) >= 0)
            s->want = decode;
        if (s->row < 0) return aiteri_gpu_refuse(c->ctx, c->op, c->gpu->device->arch, &s->want);
    }
    const aiteri_gpu_row *r = &aiteri_gpu_rows_table[s->row];
    s->tiles = s->decode ? aiteri_ceil_div(p->group, r->rows) *
                               aiteri_ceil_div(p->max_seqlen_q, aiteri_max(1, r->rows / p->group))
                         : aiteri_ceil_div(p->max_seqlen_q, r->rows);
    const int64_t heads = s->decode ? p->heads_k : p->heads_q;
    const size_t units = aiteri_mul_size((size_t)(s->tiles * heads), (size_t)p->batch);
    if (units > INT32_MAX)
        return aiteri_fail(c->ctx, AITER_UNSUPPORTED,
                           "%s: the shapes need more than 2^31 workgroups; pass max_seqlen_q, or "
                           "cut the batch",
                           c->op);
    s->units = (int64_t)units;
    s->rows = (int64_t)p->batch * p->heads_q * p->max_seqlen_q;
    return AITER_OK;
}

/* Workgroups wanted in all: those of decoding are small, several share a unit and hide each
 * other's memory latency. */
static int64_t aiteri_gpu_wanted_units(const aiteri_gpu *g, int decode)
{
    return (int64_t)g->device->compute_units * (decode ? AITERI_GPU_DECODE_UNITS : 1);
}

static int64_t aiteri_gpu_most_splits(const aiteri_problem *p)
{
    return aiteri_clamp(p->max_seqlen_k / AITERI_GPU_SPLIT_KEYS, 1, AITERI_GPU_SPLITS);
}

/* Splits fill the chip when there are fewer workgroups than that. Pieces are whole steps. */
static void aiteri_gpu_cut(const aiteri_gpu *g, const aiteri_problem *p, aiteri_gpu_shape *s)
{
    const int64_t step = aiteri_max(1, aiteri_gpu_rows_table[s->row].keys);
    const int64_t keys = aiteri_max(1, p->max_seqlen_k);
    int64_t splits = p->num_splits;
    if (splits == 0)
        splits = aiteri_clamp(aiteri_gpu_wanted_units(g, s->decode) / aiteri_max(1, s->units), 1,
                              aiteri_gpu_most_splits(p));
    s->split_keys = aiteri_round_up(aiteri_ceil_div(keys, splits), step);
    s->splits = aiteri_ceil_div(keys, s->split_keys);
}

/* How the planner cuts the same: a tile is whole tokens, or some heads of one. */
static aiteri_geometry aiteri_gpu_geometry(const aiteri_gpu_shape *s)
{
    const aiteri_geometry g = {AITER_ISA_AUTO, 1, aiteri_gpu_rows_table[s->row].rows, 1, 1,
                               s->split_keys};
    return g;
}

static size_t aiteri_gpu_partial_bytes(const aiteri_problem *p, int64_t rows)
{
    return aiteri_mul_size((size_t)rows, (size_t)(p->v.dim + 2) * sizeof(float));
}

/* The most query rows of one workgroup in any flash kernel. */
static int64_t aiteri_gpu_most_rows(void)
{
    int64_t most = 1;
    for (int32_t i = 0; i < AITERI_GPU_ROW_COUNT; i++)
        if (aiteri_gpu_rows_table[i].op == AITERI_GPU_OP_flash_fwd)
            most = aiteri_max(most, aiteri_gpu_rows_table[i].rows);
    return most;
}

/* Bytes for this problem and every smaller one. A smaller one may be split more often, but only
 * while it has fewer workgroups than the chip wants: splits x units <= wanted. */
static size_t aiteri_gpu_most_partial_bytes(const aiteri_gpu *g, const aiteri_problem *p,
                                            const aiteri_gpu_shape *s)
{
    const int64_t most =
        p->num_splits > 0 ? aiteri_min(p->num_splits, p->max_seqlen_k) : aiteri_gpu_most_splits(p);
    const size_t bytes = aiteri_mul_size(aiteri_gpu_partial_bytes(p, s->rows), (size_t)most);
    if (most <= 1) return 0;
    if (p->num_splits > 0) return bytes;
    int64_t rows = aiteri_gpu_wanted_units(g, 1) * AITERI_GPU_DECODE_ROWS;
    if (!s->decode) rows = aiteri_max(rows, aiteri_gpu_wanted_units(g, 0) * aiteri_gpu_most_rows());
    const size_t filled = aiteri_gpu_partial_bytes(p, rows);
    return bytes < filled ? bytes : filled;
}

static aiter_status aiteri_gpu_check_strides(const aiteri_gpu_call *c, const aiteri_problem *p)
{
    AITERI_TRY(aiteri_gpu_check_last_stride(c, "q", p->q.stride_dim));
    if (!p->block_table) { /* pages have them as their layout says */
        AITERI_TRY(aiteri_gpu_check_last_stride(c, "k", p->k.stride_dim));
        AITERI_TRY(aiteri_gpu_check_last_stride(c, "v", p->v.stride_dim));
    }
    return aiteri_gpu_check_last_stride(c, "out", p->out.stride_dim);
}

static aiter_status aiteri_gpu_check_plan(const aiteri_gpu_call *c, const char *call,
                                          const aiteri_gpu_shape *s, const aiter_plan *plan)
{
    if (!s->decode)
        return aiteri_fail(c->ctx, AITER_UNSUPPORTED,
                           "%s%s.plan: flash_fwd takes its works from bounds on a device, expected "
                           "no plan",
                           c->op, call);
    if (plan->data && !plan->device)
        return aiteri_fail(c->ctx, AITER_INVALID_ARGUMENT,
                           "%s%s.plan: device is NULL, expected %zu bytes of device memory", c->op,
                           call, plan->bytes);
    return AITER_OK;
}

/* Whether a kernel with works from a plan takes the problem; no length is read. */
static aiter_status aiteri_gpu_choose_planned(const aiteri_gpu_call *c, const aiteri_problem *p,
                                              const aiter_plan *plan, aiteri_gpu_shape *s)
{
    AITERI_TRY(aiteri_gpu_check_strides(c, p));
    AITERI_TRY(aiteri_gpu_choose(c, p, s));
    return aiteri_gpu_check_plan(c, "_plan", s, plan);
}

/* Device bytes of a problem and all smaller ones. */
static aiter_status aiteri_gpu_attention_workspace(const aiteri_gpu_call *c,
                                                   const aiteri_problem *p, size_t *bytes)
{
    aiteri_gpu_shape s;
    AITERI_TRY(aiteri_gpu_check_strides(c, p));
    AITERI_TRY(aiteri_gpu_choose(c, p, &s));
    const size_t need = aiteri_gpu_scratch_bytes(aiteri_gpu_most_partial_bytes(c->gpu, p, &s));
    if (!bytes)
        return aiteri_fail(c->ctx, AITER_INVALID_ARGUMENT,
                           "%s_workspace.bytes: is NULL, expected a pointer", c->op);
    if (need > SIZE_MAX / 2)
        return aiteri_fail(c->ctx, AITER_INVALID_ARGUMENT,
                           "%s_workspace: the shapes need more memory than can be addressed",
                           c->op);
    *bytes = need;
    return AITER_OK;
}

/* The kernel of a problem that is supported, in words. */
static aiter_status aiteri_gpu_attention_name(const aiteri_gpu_call *c, const aiteri_problem *p,
                                              char *text, size_t bytes)
{
    aiteri_gpu_shape s;
    AITERI_TRY(aiteri_gpu_choose(c, p, &s));
    aiteri_gpu_cut(c->gpu, p, &s);
    const aiteri_gpu_row *r = &aiteri_gpu_rows_table[s.row];
    snprintf(text, bytes,
             "%s, tiles of %d rows x %d keys by %d threads, %lld workgroups x %lld splits",
             r->symbol, (int)r->rows, (int)r->keys, (int)r->threads, (long long)s.units,
             (long long)s.splits);
    return AITER_OK;
}

#endif /* AITERI_GPU_ATTENTION_CHOOSE_C */
