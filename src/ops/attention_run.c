/* attention_run.c -- the three calls of every softmax attention: what data and addresses tell
 * beyond shapes, then the engine or the device. */
#ifndef AITERI_ATTENTION_RUN_C
#define AITERI_ATTENTION_RUN_C

#include "attention_lower.c"
#include "../cpu/engine.c"
#if AITERI_GPU
#include "../gpu/attention_launch.c"
#endif

static aiteri_length_bound aiteri_bound_of(int32_t most, int32_t given, const char *field,
                                           const char *otherwise)
{
    const aiteri_length_bound bound = {most, given != 0 && most == given ? field : otherwise};
    return bound;
}

static void aiteri_check_used(aiteri_check *c, const char *field, const int32_t *used,
                              int64_t stride, int32_t batch, aiteri_length_bound bound)
{
    for (int32_t b = 0; used && b < batch && c->status == AITER_OK; b++)
        if (used[b * stride] < 0 || used[b * stride] > bound.most)
            aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: [%d] is %d, expected 0 to %lld (= %s)",
                          c->op, field, (int)b, (int)used[b * stride], (long long)bound.most,
                          bound.name);
}

/* Packed rows with gaps: as many as there is room for. */
static void aiteri_check_room(aiteri_check *c, const char *field, const char *cu_field,
                              const int32_t *used, int64_t stride, const int32_t *cu,
                              int64_t cu_stride, int32_t batch)
{
    for (int32_t b = 0; used && cu && b < batch && c->status == AITER_OK; b++) {
        const int64_t room = (int64_t)cu[(b + 1) * cu_stride] - cu[b * cu_stride];
        if (used[b * stride] > room)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.%s: [%d] is %d, expected 0 to %lld (= the room that %s gives)", c->op,
                          field, (int)b, (int)used[b * stride], (long long)room, cu_field);
    }
}

/* Lists of pages: running sums within kv.indices, lengths within the pages and the bound. */
static void aiteri_check_lists(aiteri_check *c, const aiteri_problem *p, aiteri_length_bound most_k)
{
    const aiteri_length_bound all = {p->table_entries, "the pages of kv.indices"};
    if (!p->page_indptr) return;
    aiteri_check_cu_seqlens(c, "kv.indptr", p->page_indptr, p->page_indptr_stride, p->batch,
                            p->table_entries, all);
    for (int32_t b = 0; b < p->batch && c->status == AITER_OK; b++) {
        const int64_t pages = (int64_t)p->page_indptr[(b + 1) * p->page_indptr_stride] -
                              p->page_indptr[b * p->page_indptr_stride];
        const int64_t keys = pages * p->page_size;
        if (!p->last_page_lens) {
            const int32_t length = p->seqused_k[b * p->used_stride_k];
            if (length > keys)
                aiteri_reject(
                    c, AITER_INVALID_ARGUMENT,
                    "%s.kv.seq_lens: [%d] is %d, expected 0 to %lld (= keys of its pages)", c->op,
                    (int)b, (int)length, (long long)keys);
            continue;
        }
        const int32_t last = p->last_page_lens[b * p->last_page_stride];
        const int64_t length = pages > 0 ? keys - p->page_size + last : 0;
        if (pages > 0 && (last < 1 || last > p->page_size))
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.kv.last_page_lens: [%d] is %d, expected 1 to %d (= page size)", c->op,
                          (int)b, (int)last, (int)p->page_size);
        if (length > most_k.most)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.kv.last_page_lens: [%d] gives a length of %lld, expected 0 to %lld "
                          "(= %s)",
                          c->op, (int)b, (long long)length, (long long)most_k.most, most_k.name);
    }
}

/* A page that is none of the blocks: entry `entry` of sequence b. */
static void aiteri_reject_block(aiteri_check *c, const aiteri_problem *p, int32_t b, int32_t entry,
                                int32_t id)
{
    char place[64];
    if (p->page_indptr)
        snprintf(place, sizeof place, "indices: [%d]",
                 (int)(p->page_indptr[b * p->page_indptr_stride] + entry));
    else
        snprintf(place, sizeof place, "block_table: [%d][%d]", (int)b, (int)entry);
    if (p->num_blocks == 0)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.kv.%s is %d, but kv.k has no blocks: its shape[0] is 0", c->op, place,
                      (int)id);
    else
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.kv.%s is %d, expected 0 to %d (the blocks of kv.k)", c->op, place,
                      (int)id, (int)p->num_blocks - 1);
}

/* Block ids of entries that hold a visible key. */
static void aiteri_check_blocks(aiteri_check *c, const aiteri_problem *p)
{
    for (int32_t b = 0; p->block_table && b < p->batch && c->status == AITER_OK; b++) {
        const aiteri_sequence s = aiteri_sequence_of(p, b);
        if (s.seqlen_q == 0 || s.seqlen_k == 0) continue;
        const aiteri_key_range seen = aiteri_visible_keys_of_span(p, &s, 0, s.seqlen_q);
        const int32_t entries = (int32_t)aiteri_ceil_div(s.seqlen_k, p->page_size);
        for (int32_t i = 0; i < entries; i++) {
            const int64_t first = (int64_t)i * p->page_size;
            if (!aiteri_range_meets(seen, first, first + p->page_size)) continue;
            const int32_t id = aiteri_page_of(p, &s, i);
            if (id < 0 || id >= p->num_blocks) aiteri_reject_block(c, p, b, i, id);
        }
    }
}

/* A bias or a mask has a value for every key of the longest sequence. */
static void aiteri_check_pairs(aiteri_check *c, const aiteri_attention *x, const char *field,
                               const aiter_tensor *t)
{
    const int64_t keys = t->ndim ? t->shape[t->ndim - 1] : 1;
    for (int32_t b = 0; keys != 1 && b < x->problem.batch && c->status == AITER_OK; b++) {
        const int64_t longest = aiteri_sequence_of(&x->problem, b).seqlen_k;
        if (keys < longest)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.%s: has %lld keys, expected %lld or more for row %d of the batch",
                          c->op, field, (long long)keys, (long long)longest, (int)b);
    }
}

/* a * b to nearest with subnormals: checks run in the caller's mode. volatile holds the product
 * between the two changes of it. */
static float aiteri_product(float a, float b)
{
    volatile float x = a, product;
    const aiteri_float_mode mode = aiteri_float_mode_enter();
    product = x * b;
    aiteri_float_mode_leave(mode);
    return product;
}

/* What out is divided by. */
static void aiteri_check_out_scales(aiteri_check *c, const aiter_tensor *t)
{
    const int64_t columns = t->ndim == 2 ? t->shape[1] : 1;
    for (int64_t i = 0; t->ndim != 0 && i < t->shape[0] * columns; i++)
        aiteri_check_positive(
            c, "out_scale", i,
            ((const float *)
                 t->data)[i / columns * t->stride[0] + i % columns * t->stride[t->ndim - 1]]);
}

/* The one scale of q is one of the scores. */
static void aiteri_fold_q_scale(aiteri_check *c, aiteri_problem *p)
{
    aiteri_check_positive(c, "score.q_scale", 0, p->q_scale ? p->q_scale[0] : 1.0f);
    if (c->status != AITER_OK || !p->q_scale) return;
    const float scale = aiteri_product(p->softmax_scale, p->q_scale[0]);
    if (aiteri_bits_of_f32(scale) >= 0x7f800000u)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.score.q_scale: is %g, which times softmax_scale (%g) is beyond f32",
                      c->op, (double)p->q_scale[0], (double)p->softmax_scale);
    p->softmax_scale = scale;
    p->features = aiteri_problem_features(p); /* the scale may be far now */
}

/* What only data can tell; of a device's plan the lengths alone are host memory. */
static aiter_status aiteri_attention_check_data(aiteri_attention *x, aiter_context *ctx)
{
    aiteri_check check = {x->op->name, ctx, AITER_OK};
    aiteri_check *c = &check;
    const aiter_attention_args *a = &x->a;
    const aiteri_problem *p = &x->problem;
    const aiteri_length_bound most_q =
        aiteri_bound_of(p->max_seqlen_q, a->max_seqlen_q, "max_seqlen_q", "rows of q");
    const aiteri_length_bound most_k =
        aiteri_bound_of(p->max_seqlen_k, a->kv.max_seqlen, "kv.max_seqlen",
                        x->listed  ? "pages * page size"
                        : x->paged ? "max_blocks * page size"
                                   : "keys of k");
    const int64_t total_k = a->kv.k.shape[0];
    const aiteri_length_bound room_q = {p->total_q, "tokens of q"},
                              room_k = {total_k, "tokens of k"};
    aiteri_check_cu_seqlens(c, "cu_seqlens_q", p->cu_seqlens_q, p->cu_stride_q, p->batch,
                            p->total_q, p->seqused_q ? room_q : most_q);
    aiteri_check_cu_seqlens(c, "kv.cu_seqlens", p->cu_seqlens_k, p->cu_stride_k, p->batch, total_k,
                            p->seqused_k ? room_k : most_k);
    aiteri_check_used(c, "seqused_q", p->seqused_q, p->used_stride_q, p->batch, most_q);
    aiteri_check_used(c, "kv.seq_lens", p->seqused_k, p->used_stride_k, p->batch, most_k);
    aiteri_check_room(c, "seqused_q", "cu_seqlens_q", p->seqused_q, p->used_stride_q,
                      p->cu_seqlens_q, p->cu_stride_q, p->batch);
    aiteri_check_room(c, "kv.seq_lens", "kv.cu_seqlens", p->seqused_k, p->used_stride_k,
                      p->cu_seqlens_k, p->cu_stride_k, p->batch);
    aiteri_check_lists(c, p, most_k);
    if (!aiteri_context_on_device(ctx)) aiteri_check_blocks(c, p); /* the table is there */
    if (!aiteri_context_on_device(ctx)) aiteri_fold_q_scale(c, &x->problem);
    if (!aiteri_context_on_device(ctx)) aiteri_check_out_scales(c, &a->out_scale);
    aiteri_check_pairs(c, x, "score.bias", &a->score.bias);
    aiteri_check_pairs(c, x, "score.visible", &a->score.visible);
    return c->status;
}

/* Where every sequence has all rows of its tensor, a bound below them is wrong. */
static void aiteri_check_dense_bound(aiteri_check *c, const char *field, int32_t most,
                                     int32_t length, const char *tensor)
{
    if (most < length)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: is %d, expected 0 or at least %d, the length that %s has", c->op,
                      field, (int)most, (int)length, tensor);
}

/* On a device the lengths cannot be looked at: their bound counts. */
static void aiteri_check_pairs_bound(aiteri_check *c, const char *field, const aiter_tensor *t,
                                     int32_t most)
{
    const int64_t keys = t->ndim ? t->shape[t->ndim - 1] : 1;
    if (keys != 1 && keys < most)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: has %lld keys, expected %d or more (the bound of the lengths; "
                      "kv.max_seqlen lowers it)",
                      c->op, field, (long long)keys, (int)most);
}

/* Memory of the call itself: the workspace is written, the plan read; a new plan is written. */
typedef struct aiteri_call_memory {
    aiter_tensor workspace, plan, plan_device, plan_struct;
    int plan_is_written;
} aiteri_call_memory;

static aiteri_call_memory aiteri_call_memory_of(const aiter_attention_args *a,
                                                const aiter_plan *made, int on_device)
{
    const aiter_plan *plan = made ? made : a->call.plan;
    aiteri_call_memory m;
    memset(&m, 0, sizeof m);
    m.workspace = aiteri_memory_operand(a->call.workspace, a->call.workspace_bytes);
    m.plan_is_written = made != NULL;
    if (plan) m.plan_struct = aiteri_memory_operand(plan, sizeof *plan);
    if (!plan || !plan->data) return m; /* without data its bytes are still to be asked for */
    m.plan = aiteri_memory_operand(plan->data, plan->bytes);
    if (on_device) m.plan_device = aiteri_memory_operand(plan->device, plan->bytes);
    return m;
}

/* Bounds against extents, and overlaps: addresses are compared, nothing is read. `made`: the plan
 * that the call fills, or NULL. */
static aiter_status aiteri_attention_check_bounds(aiteri_attention *x, aiter_context *ctx,
                                                  const aiter_plan *made)
{
    aiteri_check check = {x->op->name, ctx, AITER_OK};
    aiteri_check *c = &check;
    const aiter_attention_args *a = &x->a;
    const aiteri_problem *p = &x->problem;
    aiteri_check_dense_bound(c, "max_seqlen_q", p->max_seqlen_q,
                             p->cu_seqlens_q || p->seqused_q ? 0 : p->seqlen_q, "q");
    aiteri_check_dense_bound(c, "kv.max_seqlen", p->max_seqlen_k,
                             p->cu_seqlens_k || p->seqused_k || x->listed ? 0 : p->seqlen_k,
                             "kv.k");
    if (aiteri_context_on_device(ctx)) {
        aiteri_check_pairs_bound(c, "score.bias", &a->score.bias, p->max_seqlen_k);
        aiteri_check_pairs_bound(c, "score.visible", &a->score.visible, p->max_seqlen_k);
    }
    const aiteri_call_memory m = aiteri_call_memory_of(a, made, aiteri_context_on_device(ctx));
    const aiteri_operand operand[] = {{"out", &a->out},
                                      {"lse", &a->lse},
                                      {"call.workspace", &m.workspace},
                                      {"call.plan", &m.plan},
                                      {"call.plan.device", &m.plan_device},
                                      {"q", &a->q},
                                      {"kv.k", aiteri_given_of(&a->kv, &x->order, 0)},
                                      {"kv.v", aiteri_given_of(&a->kv, &x->order, 1)},
                                      {"score.bias", &a->score.bias},
                                      {"score.visible", &a->score.visible},
                                      {"score.alibi_slopes", &a->score.alibi_slopes},
                                      {"score.sinks", &a->score.sinks},
                                      {"score.q_scale", &a->score.q_scale},
                                      {"out_scale", &a->out_scale},
                                      {"kv.block_table", &a->kv.block_table},
                                      {"kv.indptr", &a->kv.indptr},
                                      {"kv.indices", &a->kv.indices},
                                      {"kv.last_page_lens", &a->kv.last_page_lens},
                                      {"cu_seqlens_q", &a->cu_seqlens_q},
                                      {"kv.cu_seqlens", &a->kv.cu_seqlens},
                                      {"seqused_q", &a->seqused_q},
                                      {"kv.seq_lens", &a->kv.seq_lens},
                                      {"kv.k_scale", &a->kv.k_scale},
                                      {"kv.v_scale", &a->kv.v_scale},
                                      {"call.plan", &m.plan_struct}};
    aiteri_check_overlap(c, operand, (int32_t)(sizeof operand / sizeof operand[0]),
                         m.plan_is_written ? 5 : 3);
    return c->status;
}

/* The three calls of every softmax attention op, given its arguments as flash arguments. */
static aiter_status aiteri_attention_run(aiteri_attention *x, aiter_context *ctx)
{
    const aiter_attention_args *a = &x->a;
    AITERI_TRY(aiteri_attention_lower(x, ctx));
    AITERI_TRY(aiteri_attention_check_bounds(x, ctx, NULL));
    if (!aiteri_context_on_device(ctx)) AITERI_TRY(aiteri_attention_check_data(x, ctx));
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(x->op->name, ctx);
        return aiteri_gpu_attention_run(&call, &x->problem, a->call.plan, a->call.workspace,
                                        a->call.workspace_bytes);
    }
#endif
    const aiteri_problem *problem = &x->problem;
    return aiteri_engine_execute(x->op->name, &problem, 1, ctx, a->call.plan, a->call.workspace,
                                 a->call.workspace_bytes);
}

/* Bytes for a problem that was lowered. */
static aiter_status aiteri_attention_need(const aiteri_attention *x, aiter_context *ctx,
                                          size_t *bytes)
{
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(x->op->name, ctx);
        return aiteri_gpu_attention_workspace(&call, &x->problem, bytes);
    }
#endif
    const aiteri_problem *problem = &x->problem;
    return aiteri_engine_workspace(x->op->name, &problem, 1, ctx, bytes);
}

static aiter_status aiteri_attention_workspace(aiteri_attention *x, aiter_context *ctx,
                                               size_t *bytes)
{
    AITERI_TRY(aiteri_attention_lower(x, ctx));
    return aiteri_attention_need(x, ctx, bytes);
}

/* The same as a run up to where it would read a tensor. */
static aiter_status aiteri_attention_supported(aiteri_attention *x, aiter_context *ctx,
                                               size_t *bytes)
{
    AITERI_TRY(aiteri_attention_lower(x, ctx));
    AITERI_TRY(aiteri_attention_check_bounds(x, ctx, NULL));
    return aiteri_attention_need(x, ctx, bytes);
}

static aiter_status aiteri_attention_plan(aiteri_attention *x, aiter_context *ctx, aiter_plan *plan)
{
    if (!plan)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT, "%s_plan.plan: is NULL, expected a pointer",
                           x->op->name);
    AITERI_TRY(aiteri_attention_lower(x, ctx));
    AITERI_TRY(aiteri_attention_check_bounds(x, ctx, plan));
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(x->op->name, ctx);
        aiteri_gpu_shape s; /* of what is refused the lengths may be on the device */
        AITERI_TRY(aiteri_gpu_choose_planned(&call, &x->problem, plan, &s));
        AITERI_TRY(aiteri_attention_check_data(x, ctx));
        return aiteri_gpu_attention_plan(&call, &x->problem, plan);
    }
#endif
    AITERI_TRY(aiteri_attention_check_data(x, ctx));
    return aiteri_engine_plan(x->op->name, &x->problem, ctx, plan);
}

#endif /* AITERI_ATTENTION_RUN_C */
