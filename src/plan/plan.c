/* plan.c -- a schedule in memory: who made it, its arrays, and the caller's aiter_plan around it.
 */
#ifndef AITERI_PLAN_C
#define AITERI_PLAN_C

#include "schedule.c"

/* What stands at the head of a plan's buffer: everything the schedule was made from. */
typedef struct aiteri_plan_head {
    uint64_t fingerprint;
    int64_t works, reduces, partial_rows, partials;
    int32_t workers, tiles, stream_heads, unused;
} aiteri_plan_head;

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

static uint64_t aiteri_hash(uint64_t hash, int64_t value)
{
    for (int i = 0; i < 8; i++)
        hash = (hash ^ ((uint64_t)value >> (8 * i) & 0xff)) * 0x100000001b3u;
    return hash;
}

/* Equal for two calls whose schedules are equal: lengths, shapes, mask, kernel set, threads. The
 * lengths of a device's call are not read. */
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
                              aiteri_takes_stream(p, 0),
                              g->isa,
                              g->workers,
                              g->tiles,
                              g->stream_heads,
                              g->tile_lanes,
                              g->split_keys};
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        hash = aiteri_hash(hash, values[i]);
    for (int32_t b = 0; b < p->batch && !g->split_keys; b++) {
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
    AITERI_ASSERT(s->works == head.works && s->reduces == head.reduces);
    AITERI_ASSERT(s->partials == head.partials && s->partial_rows == head.partial_rows);
}

/* The caller's plan, if it was made for exactly this. */
static aiter_status aiteri_plan_take(const char *op, const aiteri_problem *p, aiter_context *ctx,
                                     const aiteri_geometry *g, const aiter_plan *plan,
                                     aiteri_schedule *s)
{
    aiteri_plan_head head;
    if (plan->data == NULL || plan->bytes < sizeof head || (uintptr_t)plan->data % 8 != 0)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT,
                           "%s.call.plan: data %s, expected the buffer that %s_plan filled", op,
                           plan->data ? "is too small or not aligned to 8" : "is NULL", op);
    memcpy(&head, plan->data, sizeof head);
    const size_t most = INT32_MAX;
    if (head.fingerprint != aiteri_fingerprint(p, g) || head.works < 0 ||
        (uint64_t)head.works > most || head.reduces < 0 || (uint64_t)head.reduces > most ||
        head.partials < 0 || (uint64_t)head.partials > most ||
        plan->bytes < aiteri_plan_bytes(head.workers, (size_t)head.works, (size_t)head.reduces,
                                        (size_t)head.partials))
        return aiteri_fail(
            ctx, AITER_INVALID_ARGUMENT,
            "%s.call.plan: made for other lengths, shapes, mask, kernel set or threads; "
            "make it again by %s_plan",
            op, op);
    s->works = head.works;
    s->reduces = head.reduces;
    s->partial_rows = head.partial_rows;
    s->partials = head.partials;
    aiteri_schedule_place(s, plan->data, head.workers);
    return AITER_OK;
}

/* Fills, or with data NULL sizes, the caller's plan. */
static aiter_status aiteri_plan_fill(const char *op, const aiteri_problem *p, aiter_context *ctx,
                                     const aiteri_geometry *g, aiter_plan *plan)
{
    aiteri_schedule s = aiteri_schedule_count(p, g);
    const size_t bytes =
        aiteri_plan_bytes(g->workers, (size_t)s.works, (size_t)s.reduces, (size_t)s.partials);
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
    aiteri_schedule_write(&s, p, g, plan->data);
    plan->num_workers = g->workers;
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

#endif /* AITERI_PLAN_C */
