/* engine.c -- runs a problem: one workspace layout, one schedule, workers that take works from it.
 */
#ifndef AITERI_ENGINE_C
#define AITERI_ENGINE_C

#include "engine_stream.c"
#include "../base/context.c"

/* What stands at the head of a plan's buffer: everything the schedule was made from. */
typedef struct aiteri_plan_head {
    uint64_t fingerprint;
    int64_t works, reduces, partial_rows, partials;
    int32_t workers, tiles, stream_heads, unused;
} aiteri_plan_head;

typedef struct aiteri_workspace {
    aiteri_schedule_bounds bounds;
    void *plan;           /* aiteri_plan_head and arrays, when the caller brought none */
    int64_t *cursor;      /* [workers][8], a line each: the next work of each range */
    int64_t *pieces_left; /* [reduces] */
    float *partials;
    char *slot; /* [workers][slot_bytes] */
    size_t plan_bytes, slot_bytes, bytes;
} aiteri_workspace;

static size_t aiteri_plan_bytes(int64_t workers, size_t works, size_t reduces, size_t partials)
{
    size_t ints = aiteri_mul_size(works, AITERI_WORK_INTS);
    ints = aiteri_add_size(ints, (size_t)workers + 1);
    ints = aiteri_add_size(ints, aiteri_add_size(reduces, 1));
    ints = aiteri_add_size(ints, aiteri_mul_size(reduces, AITERI_REDUCE_INTS));
    ints = aiteri_add_size(ints, partials);
    return aiteri_pad_size(
        aiteri_add_size(sizeof(aiteri_plan_head), aiteri_mul_size(ints, sizeof(int32_t))), 8);
}

static int64_t aiteri_partial_stride(const aiteri_problem *p)
{
    return aiteri_padded(p->v.dim) + AITERI_PAD;
}

/* Scratch of one worker: the two families never run at once, so they overlap. */
static size_t aiteri_slot_bytes(const aiteri_problem *p, int32_t lanes)
{
    aiteri_arena arena = {NULL, 0};
    aiteri_tile_scratch tiles;
    aiteri_tile_scratch_carve(&tiles, &arena, p, lanes);
    aiteri_arena other = {NULL, 0};
    aiteri_stream_scratch stream;
    aiteri_stream_scratch_carve(&stream, &other, p);
    return arena.used > other.used ? arena.used : other.used;
}

/* One layout for the query and the run. */
static aiteri_workspace aiteri_workspace_of(const aiteri_problem *p, int32_t lanes, int32_t workers,
                                            aiteri_arena *arena)
{
    aiteri_workspace w;
    memset(&w, 0, sizeof w);
    w.bounds = aiteri_schedule_bounds_of(p, lanes);
    w.plan_bytes = aiteri_plan_bytes(workers, w.bounds.works, w.bounds.reduces, w.bounds.partials);
    w.slot_bytes = aiteri_slot_bytes(p, lanes);
    w.plan = aiteri_carve(arena, w.plan_bytes, 1);
    w.cursor = (int64_t *)aiteri_carve(arena, (size_t)workers * 8, sizeof(int64_t));
    w.pieces_left = (int64_t *)aiteri_carve(arena, w.bounds.reduces, sizeof(int64_t));
    w.partials = (float *)aiteri_carve(
        arena, aiteri_mul_size(w.bounds.partial_rows, (size_t)aiteri_partial_stride(p)),
        sizeof(float));
    w.slot = (char *)aiteri_carve(arena, (size_t)workers, w.slot_bytes);
    w.bytes = arena->used;
    return w;
}

static uint64_t aiteri_hash(uint64_t hash, int64_t value)
{
    for (int i = 0; i < 8; i++)
        hash = (hash ^ ((uint64_t)value >> (8 * i) & 0xff)) * 0x100000001b3u;
    return hash;
}

/* Equal for two calls whose schedules are equal: lengths, shapes, mask, kernel set, threads. */
static uint64_t aiteri_fingerprint(const aiteri_problem *p, const aiteri_geometry *g)
{
    const int64_t values[] = {p->batch,
                              p->heads_q,
                              p->heads_k,
                              p->k.dim,
                              p->v.dim,
                              p->mask,
                              p->mask == AITER_MASK_WINDOW ? p->window_left : 0,
                              p->mask == AITER_MASK_WINDOW ? p->window_right : 0,
                              p->mask == AITER_MASK_WINDOW ? p->sink_tokens : 0,
                              p->num_splits,
                              g->isa,
                              g->workers,
                              g->tiles,
                              g->stream_heads};
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        hash = aiteri_hash(hash, values[i]);
    for (int32_t b = 0; b < p->batch; b++) {
        const aiteri_sequence s = aiteri_sequence_of(p, b);
        hash = aiteri_hash(aiteri_hash(hash, s.seqlen_q), s.seqlen_k);
    }
    return hash;
}

/* Points a schedule's arrays into a buffer of aiteri_plan_bytes. */
static void aiteri_schedule_place(aiteri_schedule *s, void *buffer, int32_t workers)
{
    int32_t *at = (int32_t *)(void *)((char *)buffer + sizeof(aiteri_plan_head));
    s->work_indptr = at;
    at += workers + 1;
    s->work_info = at;
    at += s->works * AITERI_WORK_INTS;
    s->reduce_indptr = at;
    at += s->reduces + 1;
    s->reduce_final_map = at;
    at += s->reduces * AITERI_REDUCE_INTS;
    s->reduce_partial_map = at;
}

static aiteri_schedule aiteri_schedule_count(const aiteri_problem *p, const aiteri_geometry *g)
{
    aiteri_schedule s;
    memset(&s, 0, sizeof s);
    aiteri_schedule_all(&s, p, g);
    return s;
}

static void aiteri_schedule_write(aiteri_schedule *s, const aiteri_problem *p,
                                  const aiteri_geometry *g, void *buffer)
{
    aiteri_plan_head head;
    memset(&head, 0, sizeof head);
    head.fingerprint = aiteri_fingerprint(p, g);
    head.works = s->works;
    head.reduces = s->reduces;
    head.partial_rows = s->partial_rows;
    head.partials = s->partials;
    head.workers = g->workers;
    head.tiles = g->tiles;
    head.stream_heads = g->stream_heads;
    memcpy(buffer, &head, sizeof head);
    aiteri_schedule_place(s, buffer, g->workers);
    aiteri_schedule_all(s, p, g);
}

typedef struct aiteri_engine_run {
    aiteri_engine engine;
    aiteri_schedule schedule;
    aiteri_workspace workspace;
} aiteri_engine_run;

static void aiteri_run_work(aiteri_engine_run *run, int64_t index, int64_t end, char *slot)
{
    const aiteri_engine *e = &run->engine;
    const aiteri_work w = aiteri_work_at(run->schedule.work_info, index);
    const aiteri_sequence s = aiteri_sequence_of(e->problem, w.batch);
    aiteri_arena arena = {slot, 0};
    if (aiteri_takes_stream(e->problem, s.seqlen_q)) {
        aiteri_stream_scratch scratch;
        aiteri_stream_scratch_carve(&scratch, &arena, e->problem);
        aiteri_work after = w;
        if (index + 1 < end) after = aiteri_work_at(run->schedule.work_info, index + 1);
        const int known =
            index + 1 < end &&
            aiteri_takes_stream(e->problem, aiteri_sequence_of(e->problem, after.batch).seqlen_q);
        aiteri_run_stream_work(e, &w, known ? &after : NULL, &scratch);
    } else {
        aiteri_tile_scratch scratch;
        aiteri_tile_scratch_carve(&scratch, &arena, e->problem, e->kernels->tile_lanes);
        aiteri_run_tile_work(e, &w, &scratch);
    }
    if (w.reduce < 0) return;
    /* Whoever finishes the last piece merges them all, in key order: same bits, no second phase. */
    if (aiteri_atomic_add_i64(&run->workspace.pieces_left[w.reduce], -1) > 1) return;
    const int32_t first = run->schedule.reduce_indptr[w.reduce];
    aiteri_merge_pieces(e, run->schedule.reduce_final_map + (int64_t)w.reduce * AITERI_REDUCE_INTS,
                        run->schedule.reduce_partial_map + first,
                        run->schedule.reduce_indptr[w.reduce + 1] - first, (float *)(void *)slot);
}

/* Worker i takes its own range first, then helps the others with theirs. */
static void aiteri_worker(void *arg, int32_t i)
{
    aiteri_engine_run *run = (aiteri_engine_run *)arg;
    const int32_t workers = run->engine.geometry.workers;
    char *slot = run->workspace.slot + (size_t)i * run->workspace.slot_bytes;
    for (int32_t step = 0; step < workers; step++) {
        const int32_t owner = (i + step) % workers;
        const int64_t end = run->schedule.work_indptr[owner + 1];
        for (;;) {
            const int64_t index = aiteri_atomic_add_i64(&run->workspace.cursor[owner * 8], 1);
            if (index >= end) break;
            aiteri_run_work(run, index, end, slot);
        }
    }
}

/* The caller's plan, if it was made for exactly this. */
static aiter_status aiteri_plan_take(const char *op, const aiteri_problem *p, aiter_context *ctx,
                                     const aiter_plan *plan, aiteri_engine_run *run)
{
    aiteri_plan_head head;
    if (plan->data == NULL || plan->bytes < sizeof head || (uintptr_t)plan->data % 8 != 0)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT,
                           "%s.plan: data %s, expected the buffer that %s_plan filled", op,
                           plan->data ? "is too small or not aligned to 8" : "is NULL", op);
    memcpy(&head, plan->data, sizeof head);
    const size_t most = INT32_MAX;
    if (head.fingerprint != aiteri_fingerprint(p, &run->engine.geometry) || head.works < 0 ||
        (uint64_t)head.works > most || head.reduces < 0 || (uint64_t)head.reduces > most ||
        head.partials < 0 || (uint64_t)head.partials > most ||
        plan->bytes < aiteri_plan_bytes(head.workers, (size_t)head.works, (size_t)head.reduces,
                                        (size_t)head.partials))
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT,
                           "%s.plan: made for other lengths, shapes, mask, kernel set or threads",
                           op);
    run->schedule.works = head.works;
    run->schedule.reduces = head.reduces;
    run->schedule.partial_rows = head.partial_rows;
    run->schedule.partials = head.partials;
    aiteri_schedule_place(&run->schedule, plan->data, head.workers);
    return AITER_OK;
}

/* Workspace, schedule, workers. `op` names the caller in error texts. */
static aiter_status aiteri_engine_execute(const char *op, const aiteri_problem *p,
                                          aiter_context *ctx, const aiter_plan *plan,
                                          void *workspace, size_t workspace_bytes)
{
    aiteri_engine_run run;
    memset(&run, 0, sizeof run);
    const int32_t workers = aiteri_context_workers(ctx);
    run.engine.problem = p;
    run.engine.kernels = aiteri_context_kernels(ctx);
    run.engine.geometry = aiteri_geometry_of(p, run.engine.kernels, workers);
    run.engine.partial_stride = aiteri_partial_stride(p);
    if (plan)
        AITERI_TRY(aiteri_plan_take(op, p, ctx, plan, &run));
    else
        run.schedule = aiteri_schedule_count(p, &run.engine.geometry);

    const int32_t lanes = run.engine.kernels->tile_lanes;
    aiteri_arena measure = {NULL, 0};
    const size_t bytes = aiteri_workspace_of(p, lanes, workers, &measure).bytes;
    aiteri_scratch scratch;
    AITERI_TRY(aiteri_scratch_take(op, ctx, workspace, workspace_bytes, bytes, &scratch));
    run.workspace = aiteri_workspace_of(p, lanes, workers, &scratch.arena);
    run.engine.partials = run.workspace.partials;
    if (!plan) aiteri_schedule_write(&run.schedule, p, &run.engine.geometry, run.workspace.plan);

    for (int32_t i = 0; i < workers; i++) run.workspace.cursor[i * 8] = run.schedule.work_indptr[i];
    for (int64_t i = 0; i < run.schedule.reduces; i++)
        run.workspace.pieces_left[i] =
            run.schedule.reduce_indptr[i + 1] - run.schedule.reduce_indptr[i];
    if (run.schedule.works > 0)
        aiteri_parallel(ctx, aiteri_worker, &run, (int32_t)aiteri_min(workers, run.schedule.works));
    aiteri_scratch_give_back(&scratch);
    return AITER_OK;
}

static aiter_status aiteri_engine_workspace(const char *op, const aiteri_problem *p,
                                            aiter_context *ctx, size_t *bytes)
{
    aiteri_arena measure = {NULL, 0};
    const size_t need = aiteri_workspace_of(p, aiteri_context_kernels(ctx)->tile_lanes,
                                            aiteri_context_workers(ctx), &measure)
                            .bytes;
    return aiteri_scratch_answer(op, ctx, need, bytes);
}

/* Fills, or with data NULL sizes, the caller's plan. */
static aiter_status aiteri_engine_plan(const char *op, const aiteri_problem *p, aiter_context *ctx,
                                       aiter_plan *plan)
{
    const aiteri_geometry g =
        aiteri_geometry_of(p, aiteri_context_kernels(ctx), aiteri_context_workers(ctx));
    aiteri_schedule s = aiteri_schedule_count(p, &g);
    const size_t bytes =
        aiteri_plan_bytes(g.workers, (size_t)s.works, (size_t)s.reduces, (size_t)s.partials);
    if (plan->data == NULL) {
        plan->bytes = bytes;
        return AITER_OK;
    }
    if ((uintptr_t)plan->data % 8 != 0)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT,
                           "%s_plan.plan: data is not aligned to 8 bytes", op);
    if (plan->bytes < bytes)
        return aiteri_fail(ctx, AITER_WORKSPACE_TOO_SMALL,
                           "%s_plan.plan: bytes is %zu, expected at least %zu", op, plan->bytes,
                           bytes);
    aiteri_schedule_write(&s, p, &g, plan->data);
    plan->num_workers = g.workers;
    plan->num_works = (int32_t)s.works;
    plan->num_reduces = (int32_t)s.reduces;
    plan->num_partial_rows = (int32_t)s.partial_rows;
    plan->work_indptr = s.work_indptr;
    plan->work_info = s.work_info;
    plan->reduce_indptr = s.reduce_indptr;
    plan->reduce_final_map = s.reduce_final_map;
    plan->reduce_partial_map = s.reduce_partial_map;
    return AITER_OK;
}

#endif /* AITERI_ENGINE_C */
