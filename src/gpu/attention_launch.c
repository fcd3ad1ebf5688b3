/* attention_launch.c -- a problem on a device whose kernel is chosen: the kernel's arguments, its
 * works from a plan, its launch and that of the merge. */
#ifndef AITERI_GPU_ATTENTION_LAUNCH_C
#define AITERI_GPU_ATTENTION_LAUNCH_C

#include "attention_choose.c"
#include "memory.c"
#include "../plan/plan.c"

static aiteri_gpu_rows aiteri_gpu_rows_of(const aiteri_rows *r)
{
    aiteri_gpu_rows out;
    out.data = (uint64_t)(uintptr_t)r->data;
    out.stride_batch = r->stride_batch;
    out.stride_token = r->stride_token;
    out.stride_head = r->stride_head;
    return out;
}

static aiteri_gpu_source aiteri_gpu_source_of(const aiteri_source *s)
{
    aiteri_gpu_source out;
    out.data = (uint64_t)(uintptr_t)s->data;
    out.stride_outer = s->stride_outer;
    out.stride_token = s->stride_token;
    out.stride_head = s->stride_head;
    out.stride_dim = s->stride_dim;
    out.stride_piece = s->tiles.stride_piece;
    out.stride_bundle = s->tiles.stride_bundle;
    out.piece = s->tiles.piece;
    out.bundle = s->tiles.bundle;
    out.scales = (uint64_t)(uintptr_t)s->scales.data;
    out.scale_stride_outer = s->scales.stride_outer;
    out.scale_stride_token = s->scales.stride_token;
    out.scale_stride_head = s->scales.stride_head;
    out.dtype = (int32_t)s->dtype;
    out.unused = 0;
    return out;
}

static aiteri_gpu_lengths aiteri_gpu_lengths_of(const int32_t *cu, int64_t cu_stride,
                                                const int32_t *used, int64_t used_stride,
                                                int32_t seqlen, int32_t most)
{
    aiteri_gpu_lengths out;
    out.cu = (uint64_t)(uintptr_t)cu;
    out.used = (uint64_t)(uintptr_t)used;
    out.cu_stride = cu_stride;
    out.used_stride = used_stride;
    out.seqlen = seqlen;
    out.most = most;
    return out;
}

static void aiteri_gpu_fill_score(aiteri_gpu_score *s, const aiteri_problem *p)
{
    s->softmax_scale = p->softmax_scale;
    /* Its inverse must be a normal float. */
    s->softcap = p->softcap < aiteri_power_of_two(100) ? p->softcap : aiteri_power_of_two(100);
    s->alibi = (uint64_t)(uintptr_t)p->alibi_slopes;
    s->alibi_stride_batch = p->alibi_stride_batch;
    s->alibi_stride_head = p->alibi_stride_head;
    s->bias = (uint64_t)(uintptr_t)p->bias.data;
    s->bias_stride_batch = p->bias.stride_batch;
    s->bias_stride_token = p->bias.stride_token;
    s->bias_stride_head = p->bias.stride_head;
    s->bias_stride_key = p->bias.stride_dim;
    s->bias_dtype = p->bias.dtype;
    s->sinks = (uint64_t)(uintptr_t)p->sinks;
    s->sinks_stride = p->sinks_stride;
}

/* Everything but where the partial results go. */
static void aiteri_gpu_fill(aiteri_gpu_attention *x, const aiteri_gpu *g, const aiteri_problem *p,
                            const aiteri_gpu_shape *s)
{
    memset(x, 0, sizeof *x);
    x->q = aiteri_gpu_rows_of(&p->q);
    x->out = aiteri_gpu_rows_of(&p->out);
    x->lse = (uint64_t)(uintptr_t)p->lse;
    x->lse_stride_batch = p->lse_stride_batch;
    x->lse_stride_head = p->lse_stride_head;
    x->lse_stride_token = p->lse_stride_token;
    x->k = aiteri_gpu_source_of(&p->k);
    x->v = aiteri_gpu_source_of(&p->v);
    x->q_lengths = aiteri_gpu_lengths_of(p->cu_seqlens_q, p->cu_stride_q, p->seqused_q,
                                         p->used_stride_q, p->seqlen_q, p->max_seqlen_q);
    x->k_lengths = aiteri_gpu_lengths_of(p->cu_seqlens_k, p->cu_stride_k, p->seqused_k,
                                         p->used_stride_k, p->seqlen_k, p->max_seqlen_k);
    x->pages.table = (uint64_t)(uintptr_t)p->block_table;
    x->pages.stride_batch = p->table_stride_batch;
    x->pages.stride_entry = p->table_stride_entry;
    x->pages.indptr = (uint64_t)(uintptr_t)p->page_indptr;
    x->pages.stride_indptr = p->page_indptr_stride;
    x->pages.last_lens = (uint64_t)(uintptr_t)p->last_page_lens;
    x->pages.stride_last = p->last_page_stride;
    x->pages.page_size = p->page_size;
    x->pages.num_blocks = p->num_blocks;
    x->pages.entries = p->table_entries;
    x->mask.mask = (int32_t)p->mask;
    x->mask.window_left = p->window_left;
    x->mask.window_right = p->window_right;
    x->mask.sink_tokens = p->sink_tokens;
    aiteri_gpu_fill_score(&x->score, p);
    x->split.rows = s->rows;
    x->split.split_keys = s->split_keys;
    x->split.count = (int32_t)s->splits;
    x->batch = p->batch;
    x->heads_q = p->heads_q;
    x->heads_k = p->heads_k;
    x->group = p->group;
    x->dim_q = p->k.dim;
    x->dim_v = p->v.dim;
    x->tiles = (int32_t)s->tiles;
    x->xcds = g->device->dies;
}

/* ---- plans: works of the planner, in the caller's device memory ---- */

/* The works of a plan that was made for these shapes, as many as its memory holds: a graph that was
 * captured now replays with every later refill. */
static aiter_status aiteri_gpu_take_plan(const aiteri_gpu_call *c, const aiteri_problem *p,
                                         const aiteri_gpu_shape *s, const aiter_plan *plan,
                                         uint64_t *list, int64_t *groups)
{
    const aiteri_geometry g = aiteri_gpu_geometry(s);
    const size_t work_bytes = AITERI_WORK_INTS * sizeof(int32_t);
    aiteri_schedule made;
    AITERI_TRY(aiteri_gpu_check_plan(c, ".call", s, plan));
    AITERI_TRY(aiteri_plan_take(c->op, p, c->ctx, &g, plan, &made));
    *list = (uint64_t)(uintptr_t)plan->device + sizeof(aiteri_plan_head);
    *groups = aiteri_min(*groups, (int64_t)(plan->bytes / work_bytes));
    return AITER_OK;
}

/* Fills the plan for lengths that the host can read, and queues its copy to the device. */
static aiter_status aiteri_gpu_attention_plan(const aiteri_gpu_call *c, const aiteri_problem *p,
                                              aiter_plan *plan)
{
    aiteri_gpu_shape s;
    AITERI_TRY(aiteri_gpu_choose_planned(c, p, plan, &s));
    aiteri_gpu_cut(c->gpu, p, &s);
    const aiteri_geometry g = aiteri_gpu_geometry(&s);
    if (!plan->data) return aiteri_plan_fill(c->op, p, c->ctx, &g, plan);
    AITERI_TRY(aiteri_gpu_check_capture(c, "refill a plan"));
    AITERI_TRY(aiteri_plan_fill(c->op, p, c->ctx, &g, plan));
    return aiteri_gpu_memory_copy(c, plan->device, AITER_MEMORY_DEVICE, plan->data,
                                  AITER_MEMORY_PINNED,
                                  aiteri_plan_bytes(1, (size_t)plan->num_works, 0, 0));
}

/* ---- the launch ---- */

/* The attention kernel, and the merge of its splits; the device is current. */
static aiter_status aiteri_gpu_attention_launch(const aiteri_gpu_call *c, const aiteri_problem *p,
                                                const aiteri_gpu_shape *s, const aiter_plan *plan,
                                                void *workspace, size_t workspace_bytes)
{
    int64_t groups = s->units * s->splits;
    aiteri_gpu_attention x;
    int32_t combine = -1;
    aiteri_gpu_fill(&x, c->gpu, p, s);
    if (s->splits > 1) {
        const int64_t rows = s->rows * s->splits;
        aiteri_gpu_want want = aiteri_gpu_want_of(c, p, AITERI_GPU_OP_combine);
        char *scratch;
        want.features = 0; /* what the pieces were made of does not matter */
        want.kernel_class = AITER_KERNEL_CLASS_AUTO;
        AITERI_TRY(aiteri_gpu_need_row(c, &want, &combine));
        AITERI_TRY(aiteri_gpu_scratch(c, workspace, workspace_bytes,
                                      aiteri_gpu_partial_bytes(p, rows), &scratch));
        x.split.o = (uint64_t)(uintptr_t)scratch;
        x.split.ml = x.split.o + (uint64_t)rows * (uint64_t)p->v.dim * sizeof(float);
    }
    if (plan) AITERI_TRY(aiteri_gpu_take_plan(c, p, s, plan, &x.work.list, &groups));
    AITERI_TRY(aiteri_gpu_launch(c, s->row, groups, &x));
    if (combine < 0) return AITER_OK;
    const int64_t rows = aiteri_gpu_rows_table[combine].rows;
    return aiteri_gpu_launch(c, combine, aiteri_ceil_div(s->rows, rows), &x);
}

/* Runs a problem whose shapes were checked. */
static aiter_status aiteri_gpu_attention_run(const aiteri_gpu_call *c, const aiteri_problem *p,
                                             const aiter_plan *plan, void *workspace,
                                             size_t workspace_bytes)
{
    aiteri_gpu_shape s;
    aiteri_current was;
    AITERI_TRY(aiteri_gpu_check_strides(c, p));
    AITERI_TRY(aiteri_gpu_choose(c, p, &s));
    if (s.units == 0) return AITER_OK;
    aiteri_gpu_cut(c->gpu, p, &s);
    AITERI_TRY(aiteri_device_enter(c->ctx, c->op, c->gpu->device, &was));
    const aiter_status status =
        aiteri_gpu_attention_launch(c, p, &s, plan, workspace, workspace_bytes);
    aiteri_device_leave(c->gpu->device, &was);
    return status;
}

#endif /* AITERI_GPU_ATTENTION_LAUNCH_C */
