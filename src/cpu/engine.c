/* engine.c -- runs problems: of each one workspace layout and one schedule, workers that take works
 * from it. */
#ifndef AITERI_ENGINE_C
#define AITERI_ENGINE_C

#include "engine_stream.c"
#include "../context/context.c"
#include "../plan/plan.c"

typedef struct aiteri_workspace {
    aiteri_schedule_bounds bounds;
    void *plan;                  /* aiteri_plan_head and arrays, when the caller brought none */
    aiteri_counter *cursor;      /* [workers][8], a line each: the next work of each range */
    aiteri_counter *pieces_left; /* [reduces] */
    float *partials;
    char *slot; /* [workers][slot_bytes] */
    size_t plan_bytes, slot_bytes;
} aiteri_workspace;

static int64_t aiteri_partial_stride(const aiteri_problem *p)
{
    return aiteri_padded(p->v.dim) + AITERI_PAD;
}

/* The context's kernel set, or the next one below it that takes the problem. */
static const aiteri_kernels *aiteri_kernels_for(const aiteri_problem *p, const aiter_context *ctx)
{
    const aiteri_kernels *kernels = aiteri_context_kernels(ctx);
    while (kernels->takes && !kernels->takes(p, ctx ? ctx->desc.exact_arithmetic : 0))
        kernels = kernels->below;
    return kernels;
}

/* Scratch of one worker: the two families never run at once, so they overlap. */
static size_t aiteri_slot_bytes(const aiteri_problem *p, const aiteri_kernels *kernels)
{
    aiteri_arena arena = {NULL, 0};
    aiteri_tile_scratch tiles;
    aiteri_tile_scratch_carve(&tiles, &arena, p, kernels);
    aiteri_arena other = {NULL, 0};
    aiteri_stream_scratch stream;
    aiteri_stream_scratch_carve(&stream, &other, p);
    return arena.used > other.used ? arena.used : other.used;
}

/* One layout for the query and the run. */
static aiteri_workspace aiteri_workspace_of(const aiteri_problem *p, const aiteri_kernels *kernels,
                                            int32_t workers, aiteri_arena *arena)
{
    aiteri_workspace w;
    memset(&w, 0, sizeof w);
    w.bounds = aiteri_schedule_bounds_of(p, kernels->tile_lanes);
    w.plan_bytes = aiteri_plan_bytes(workers, w.bounds.works, w.bounds.reduces, w.bounds.partials);
    w.slot_bytes = aiteri_slot_bytes(p, kernels);
    w.plan = aiteri_carve(arena, w.plan_bytes, 1);
    w.cursor = (aiteri_counter *)aiteri_carve(arena, (size_t)workers * 8, sizeof(int64_t));
    w.pieces_left = (aiteri_counter *)aiteri_carve(arena, w.bounds.reduces, sizeof(int64_t));
    w.partials = (float *)aiteri_carve(
        arena, aiteri_mul_size(w.bounds.partial_rows, (size_t)aiteri_partial_stride(p)),
        sizeof(float));
    w.slot = (char *)aiteri_carve(arena, (size_t)workers, w.slot_bytes);
    return w;
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
    AITERI_ASSERT(0 <= index && index < end && end <= run->schedule.works);
    AITERI_ASSERT(w.q_end <= s.seqlen_q && w.kv_end <= s.seqlen_k);
    AITERI_ASSERT(w.head_end <= e->problem->heads_q && w.reduce < run->schedule.reduces);
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
        aiteri_tile_scratch_carve(&scratch, &arena, e->problem, e->kernels);
        aiteri_run_tile_work(e, &w, &scratch);
    }
    if (w.reduce < 0 || !e->program->merge) return;
    /* Whoever finishes the last piece merges them all, in key order: same bits, no second phase. */
    if (aiteri_atomic_add(&run->workspace.pieces_left[w.reduce], -1) > 1) return;
    const int32_t first = run->schedule.reduce_indptr[w.reduce];
    e->program->merge(e, run->schedule.reduce_final_map + (int64_t)w.reduce * AITERI_REDUCE_INTS,
                      run->schedule.reduce_partial_map + first,
                      run->schedule.reduce_indptr[w.reduce + 1] - first, (float *)(void *)slot);
}

/* Worker i takes its own range first, then helps the others with theirs. */
static void aiteri_run_works(aiteri_engine_run *run, int32_t i)
{
    const int32_t workers = run->engine.geometry.workers;
    char *slot = run->workspace.slot + (size_t)i * run->workspace.slot_bytes;
    for (int32_t step = 0; step < workers; step++) {
        const int32_t owner = (i + step) % workers;
        const int64_t end = run->schedule.work_indptr[owner + 1];
        for (;;) {
            const int64_t index = aiteri_atomic_add(&run->workspace.cursor[owner * 8], 1);
            if (index >= end) break;
            aiteri_run_work(run, index, end, slot);
        }
    }
}

enum { AITERI_MOST_PROBLEMS = 4 };

/* Problems that share the workers, each with a schedule and a workspace of its own: who finds one
 * done goes on with the next. */
typedef struct aiteri_launch {
    aiteri_engine_run run[AITERI_MOST_PROBLEMS];
    int32_t count;
} aiteri_launch;

static void aiteri_worker(void *arg, int32_t i)
{
    aiteri_launch *launch = (aiteri_launch *)arg;
    for (int32_t k = 0; k < launch->count; k++) aiteri_run_works(&launch->run[k], i);
}

static aiteri_geometry aiteri_kernels_geometry(const aiteri_problem *p,
                                               const aiteri_kernels *kernels, int32_t workers)
{
    return aiteri_geometry_of(p, kernels->isa, kernels->tile_lanes, workers);
}

/* The tile family serves every length, so what it does not take no CPU kernel does. */
static aiter_status aiteri_engine_takes(const char *op, const aiteri_problem *p, aiter_context *ctx)
{
    const uint64_t lacks = p->features & ~AITERI_TILE_TAKES;
    AITERI_ASSERT((aiteri_problem_features(p) & ~p->features) == 0);
    if (lacks == 0) return AITER_OK;
    const char *instead = aiteri_instead_of_features(lacks);
    char words[128];
    aiteri_describe_features(words, sizeof words, lacks);
    return aiteri_fail(ctx, AITER_UNSUPPORTED, "%s: no CPU kernel takes %s%s%s", op, words,
                       instead ? "; " : "", instead ? instead : "");
}

/* What a run needs to know before it has memory: kernels, program, and how many works there are. */
static aiter_status aiteri_run_prepare(const char *op, const aiteri_problem *p, aiter_context *ctx,
                                       const aiter_plan *plan, aiteri_engine_run *run)
{
    AITERI_TRY(aiteri_engine_takes(op, p, ctx));
    aiteri_engine *e = &run->engine;
    memset(run, 0, sizeof *run);
    e->problem = p;
    e->kernels = aiteri_kernels_for(p, ctx);
    e->geometry = aiteri_kernels_geometry(p, e->kernels, aiteri_context_workers(ctx));
    e->program = p->program ? p->program : &aiteri_softmax_program;
    e->rule = aiteri_score_rule_of(p);
    e->partial_stride = aiteri_partial_stride(p);
    if (plan) return aiteri_plan_take(op, p, ctx, &e->geometry, plan, &run->schedule);
    run->schedule = aiteri_schedule_count(p, &e->geometry);
    return AITER_OK;
}

/* Takes the workspace; `planned`: the schedule's arrays are there. */
static void aiteri_run_start(aiteri_engine_run *run, int planned, aiteri_arena *arena)
{
    aiteri_engine *e = &run->engine;
    const int32_t workers = e->geometry.workers;
    run->workspace = aiteri_workspace_of(e->problem, e->kernels, workers, arena);
    e->partials = run->workspace.partials;
    const aiteri_schedule_bounds *most = &run->workspace.bounds;
    AITERI_ASSERT((size_t)run->schedule.reduces <= most->reduces);
    AITERI_ASSERT((size_t)run->schedule.partial_rows <= most->partial_rows);
    AITERI_ASSERT(planned || ((size_t)run->schedule.works <= most->works &&
                              (size_t)run->schedule.partials <= most->partials));
    (void)most;
    if (!planned)
        aiteri_schedule_write(&run->schedule, e->problem, &e->geometry, run->workspace.plan);
    for (int32_t i = 0; i < workers; i++)
        run->workspace.cursor[i * 8] = run->schedule.work_indptr[i];
    for (int64_t i = 0; i < run->schedule.reduces; i++)
        run->workspace.pieces_left[i] =
            run->schedule.reduce_indptr[i + 1] - run->schedule.reduce_indptr[i];
}

/* Workspace, schedules, workers, for problems that write to different places. `op` names the caller
 * in error texts; a plan is of one problem. */
static aiter_status aiteri_engine_execute(const char *op, const aiteri_problem *const *problems,
                                          int32_t count, aiter_context *ctx, const aiter_plan *plan,
                                          void *workspace, size_t workspace_bytes)
{
    AITERI_ASSERT(0 < count && count <= AITERI_MOST_PROBLEMS && (!plan || count == 1));
    aiteri_launch launch;
    aiteri_arena measure = {NULL, 0};
    int64_t works = 0;
    launch.count = count;
    for (int32_t k = 0; k < count; k++) {
        aiteri_engine_run *run = &launch.run[k];
        AITERI_TRY(aiteri_run_prepare(op, problems[k], ctx, plan, run));
        aiteri_workspace_of(problems[k], run->engine.kernels, run->engine.geometry.workers,
                            &measure);
        works += run->schedule.works;
    }
    aiteri_scratch scratch;
    AITERI_TRY(aiteri_scratch_take(op, ctx, workspace, workspace_bytes, measure.used, &scratch));
    for (int32_t k = 0; k < count; k++)
        aiteri_run_start(&launch.run[k], plan != NULL, &scratch.arena);
    if (works > 0)
        aiteri_parallel(ctx, aiteri_worker, &launch,
                        (int32_t)aiteri_min(aiteri_context_workers(ctx), works));
    aiteri_scratch_give_back(&scratch);
    return AITER_OK;
}

static aiter_status aiteri_engine_workspace(const char *op, const aiteri_problem *const *problems,
                                            int32_t count, aiter_context *ctx, size_t *bytes)
{
    aiteri_arena measure = {NULL, 0};
    for (int32_t k = 0; k < count; k++) {
        AITERI_TRY(aiteri_engine_takes(op, problems[k], ctx));
        aiteri_workspace_of(problems[k], aiteri_kernels_for(problems[k], ctx),
                            aiteri_context_workers(ctx), &measure);
    }
    return aiteri_scratch_answer(op, ctx, measure.used, bytes);
}

static aiter_status aiteri_engine_plan(const char *op, const aiteri_problem *p, aiter_context *ctx,
                                       aiter_plan *plan)
{
    AITERI_TRY(aiteri_engine_takes(op, p, ctx));
    const aiteri_geometry g =
        aiteri_kernels_geometry(p, aiteri_kernels_for(p, ctx), aiteri_context_workers(ctx));
    return aiteri_plan_fill(op, p, ctx, &g, plan);
}

#endif /* AITERI_ENGINE_C */
