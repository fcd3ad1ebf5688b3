/* schedule.c -- cuts a problem into works and merges. Integer maths only, no tensor data but
 * lengths.
 *
 * A work is a span of query tokens x a range of query heads x a piece of the keys. Which family of
 * kernels a sequence takes and where its keys are split follow from its own Sq and Sk alone, so its
 * bits do not depend on the batch, the threads or the page size; how many tokens and heads share a
 * work does, and cannot be seen in the bits (kernel_table.h). */
#ifndef AITERI_SCHEDULE_C
#define AITERI_SCHEDULE_C

#include "mask.c"
#include "families.h"
#include "../base/arena.c"

enum {
    AITERI_STREAM_ROWS = 16,    /* packed rows up to which a sequence takes the stream family */
    AITERI_STREAM_SPLIT = 1024, /* keys per piece of a stream ... */
    AITERI_STREAM_SPLITS = 64,  /* ... doubled until there are at most so many */
    AITERI_TILE_SPLIT = 2304,   /* the same for tiles, of sequences with few query rows */
    AITERI_TILE_SPLITS = 32,
    AITERI_TILE_SPLIT_ROWS = 1024, /* packed rows up to which tiles are split at all */
    AITERI_TILES_PER_WORK = 12,
    AITERI_TILE_STATE_BYTES = 672 * 1024, /* Q^T and O^T of one work */
    AITERI_STREAM_STATE_ROWS = 128,
    AITERI_WORK_INTS = 8,
    AITERI_REDUCE_INTS = 4
};

/* What the cutting depends on besides the problem. */
typedef struct aiteri_geometry {
    aiter_isa isa;
    int32_t workers, tile_lanes;
    int32_t tiles;        /* per work */
    int32_t stream_heads; /* kv heads per work */
    int64_t split_keys;   /* 0: of each sequence by its lengths; a device: tiles for all, so cut */
} aiteri_geometry;

/* One row of work_info, unpacked. */
typedef struct aiteri_work {
    int32_t batch, partial_row, q_start, q_end, kv_start, kv_end, reduce, head_start, head_end;
} aiteri_work;

/* The arrays of a plan under construction; NULL arrays: count only. */
typedef struct aiteri_schedule {
    int32_t *work_indptr, *work_info, *reduce_indptr, *reduce_final_map, *reduce_partial_map;
    int64_t works, reduces, partial_rows, partials;
    int64_t cost, total_cost;
    int32_t workers, worker; /* the worker whose range is being filled */
} aiteri_schedule;

/* Upper bounds of a schedule's sizes, from shapes alone. */
typedef struct aiteri_schedule_bounds {
    size_t works, reduces, partial_rows, partials;
} aiteri_schedule_bounds;

static int aiteri_takes_stream(const aiteri_problem *p, int64_t seqlen_q)
{
    return seqlen_q * p->group <= AITERI_STREAM_ROWS && (p->features & ~AITERI_STREAM_TAKES) == 0;
}

/* Keys per piece; at least seqlen_k when the keys are not split. */
static int64_t aiteri_split_keys(const aiteri_problem *p, int64_t seqlen_q, int64_t seqlen_k)
{
    const int stream = aiteri_takes_stream(p, seqlen_q);
    const int64_t unit = stream ? AITERI_STREAM_KEYS : AITERI_TILE_KEYS;
    const int64_t most = stream ? AITERI_STREAM_SPLITS : AITERI_TILE_SPLITS;
    int64_t keys = stream ? AITERI_STREAM_SPLIT : AITERI_TILE_SPLIT;
    if (p->num_splits > 0)
        return aiteri_round_up(aiteri_max(1, aiteri_ceil_div(seqlen_k, p->num_splits)), unit);
    if (!stream && (seqlen_q * p->group > AITERI_TILE_SPLIT_ROWS || seqlen_k <= 2 * keys))
        return aiteri_round_up(aiteri_max(1, seqlen_k), unit);
    while (aiteri_ceil_div(seqlen_k, keys) > most) keys *= 2;
    return keys;
}

/* The most pieces any sequence of up to max_k keys is cut into; monotone in max_k. */
static int64_t aiteri_most_splits(const aiteri_problem *p, int stream, int64_t max_k)
{
    const int64_t unit = stream ? AITERI_STREAM_KEYS : AITERI_TILE_KEYS;
    if (p->num_splits > 0) return aiteri_min(p->num_splits, aiteri_ceil_div(max_k, unit));
    if (stream)
        return aiteri_min(AITERI_STREAM_SPLITS, aiteri_ceil_div(max_k, AITERI_STREAM_SPLIT));
    if (max_k <= 2 * AITERI_TILE_SPLIT) return 1;
    return aiteri_min(AITERI_TILE_SPLITS, aiteri_ceil_div(max_k, AITERI_TILE_SPLIT));
}

static int32_t aiteri_most_tiles(const aiteri_problem *p, int32_t tile_lanes)
{
    const int64_t bytes = (int64_t)tile_lanes * (p->k.dim + p->v.dim) * (int64_t)sizeof(float);
    return (int32_t)aiteri_clamp(AITERI_TILE_STATE_BYTES / bytes, 1, AITERI_TILES_PER_WORK);
}

/* kv heads that may share a stream work: all of them where a token's heads lie side by side. */
static int32_t aiteri_most_stream_heads(const aiteri_problem *p)
{
    const int token_major = p->k.stride_token > p->k.stride_head && p->heads_k > 1;
    const int64_t rows = aiteri_max(p->group, AITERI_STREAM_ROWS / p->group * p->group);
    if (!token_major) return 1;
    return (int32_t)aiteri_clamp(AITERI_STREAM_STATE_ROWS / rows, 1, p->heads_k);
}

/* Fewer tiles and heads per work when there would be too few works for the workers. */
static aiteri_geometry aiteri_geometry_of(const aiteri_problem *p, aiter_isa isa,
                                          int32_t tile_lanes, int32_t workers)
{
    aiteri_geometry g = {
        isa, workers, tile_lanes, aiteri_most_tiles(p, tile_lanes), aiteri_most_stream_heads(p), 0};
    int64_t tile_rows = 0, pieces = 0;
    for (int32_t b = 0; b < p->batch; b++) {
        const aiteri_sequence s = aiteri_sequence_of(p, b);
        if (aiteri_takes_stream(p, s.seqlen_q))
            pieces += aiteri_ceil_div(s.seqlen_k, aiteri_split_keys(p, s.seqlen_q, s.seqlen_k));
        else
            tile_rows += (int64_t)s.seqlen_q * p->heads_q;
    }
    const int64_t wanted = 4 * (int64_t)workers;
    if (workers > 1) {
        g.tiles = (int32_t)aiteri_clamp(tile_rows / (wanted * g.tile_lanes), 1, g.tiles);
        g.stream_heads = (int32_t)aiteri_clamp(pieces * p->heads_k / wanted, 1, g.stream_heads);
    }
    return g;
}

/* Counts a work, and writes it once the arrays are there. Workers own stretches of equal cost. */
static void aiteri_add_work(aiteri_schedule *s, const aiteri_work *w, int64_t cost)
{
    AITERI_ASSERT(w->q_start < w->q_end && w->kv_start <= w->kv_end);
    AITERI_ASSERT(w->head_start < w->head_end && (w->partial_row < 0) == (w->reduce < 0));
    if (s->work_info) {
        while (s->worker < s->workers - 1 &&
               s->cost >= aiteri_ceil_div(s->total_cost * (s->worker + 1), s->workers))
            s->work_indptr[++s->worker] = (int32_t)s->works;
        int32_t *row = s->work_info + s->works * AITERI_WORK_INTS;
        row[0] = w->batch;
        row[1] = w->partial_row;
        row[2] = w->q_start;
        row[3] = w->q_end;
        row[4] = w->kv_start;
        row[5] = w->kv_end;
        row[6] = w->reduce;
        row[7] = (int32_t)((uint32_t)w->head_start | (uint32_t)w->head_end << 16);
    }
    s->works++;
    s->cost += cost;
}

static aiteri_work aiteri_work_at(const int32_t *work_info, int64_t i)
{
    const int32_t *row = work_info + i * AITERI_WORK_INTS;
    const aiteri_work w = {row[0],
                           row[1],
                           row[2],
                           row[3],
                           row[4],
                           row[5],
                           row[6],
                           (int32_t)((uint32_t)row[7] & 0xffffu),
                           (int32_t)((uint32_t)row[7] >> 16)};
    return w;
}

/* Keys of [first, end) that the range shows. */
static int64_t aiteri_keys_in_range(aiteri_key_range r, int64_t first, int64_t end)
{
    return aiteri_max(0, aiteri_min(end, r.hi) - aiteri_max(first, r.lo)) +
           aiteri_max(0, aiteri_min(end, r.sink) - first);
}

/* The works of one span of tokens and heads: one per piece of the keys that the span can see. */
static void aiteri_schedule_span(aiteri_schedule *s, const aiteri_problem *p,
                                 const aiteri_geometry *g, const aiteri_sequence *q, aiteri_work w)
{
    const aiteri_key_range seen = aiteri_visible_keys_of_span(p, q, w.q_start, w.q_end);
    const int64_t keys =
        g->split_keys ? g->split_keys : aiteri_split_keys(p, q->seqlen_q, q->seqlen_k);
    const int64_t rows = (int64_t)(w.q_end - w.q_start) * (w.head_end - w.head_start);
    int64_t pieces = 0, last = 0;
    for (int64_t at = 0; at < q->seqlen_k; at += keys)
        if (aiteri_range_meets(seen, at, at + keys)) {
            pieces++;
            last = at;
        }
    w.partial_row = w.reduce = -1;
    if (pieces <= 1) {
        w.kv_start = (int32_t)last;
        w.kv_end = pieces ? (int32_t)aiteri_min(last + keys, q->seqlen_k) : w.kv_start;
        aiteri_add_work(s, &w, rows * (16 + aiteri_keys_in_range(seen, w.kv_start, w.kv_end)));
        return;
    }
    w.reduce = (int32_t)s->reduces;
    if (s->reduce_final_map) {
        int32_t *row = s->reduce_final_map + s->reduces * AITERI_REDUCE_INTS;
        row[0] = w.batch;
        row[1] = w.q_start;
        row[2] = w.q_end;
        row[3] = (int32_t)((uint32_t)w.head_start | (uint32_t)w.head_end << 16);
    }
    for (int64_t at = 0; at < q->seqlen_k; at += keys) {
        if (!aiteri_range_meets(seen, at, at + keys)) continue;
        w.partial_row = (int32_t)s->partial_rows;
        w.kv_start = (int32_t)at;
        w.kv_end = (int32_t)aiteri_min(at + keys, q->seqlen_k);
        aiteri_add_work(s, &w, rows * (16 + aiteri_keys_in_range(seen, w.kv_start, w.kv_end)));
        if (s->reduce_partial_map) s->reduce_partial_map[s->partials] = w.partial_row;
        s->partials++;
        s->partial_rows += rows;
    }
    s->reduces++;
    if (s->reduce_indptr) s->reduce_indptr[s->reduces] = (int32_t)s->partials;
}

/* Spans of a sequence: tile works hold one kv head, the longest causal spans first; stream works
 * hold the whole query and several kv heads. */
static void aiteri_schedule_sequence(aiteri_schedule *s, const aiteri_problem *p,
                                     const aiteri_geometry *g, int32_t b)
{
    const aiteri_sequence q = aiteri_sequence_of(p, b);
    if (q.seqlen_q == 0) return;
    const int stream = !g->split_keys && aiteri_takes_stream(p, q.seqlen_q);
    const int32_t rows = g->tiles * g->tile_lanes;
    const int32_t heads = stream ? g->stream_heads * p->group : (int32_t)aiteri_min(p->group, rows);
    const int32_t tokens = stream ? q.seqlen_q : rows / heads;
    for (int32_t head = 0; head < p->heads_q;) {
        /* A tile work stays inside one kv head. */
        const int64_t limit = stream ? p->heads_q : (int64_t)(head / p->group + 1) * p->group;
        aiteri_work w = {b, -1, 0, 0, 0, 0, -1, head, (int32_t)aiteri_min(head + heads, limit)};
        for (int64_t start = (q.seqlen_q - 1) / tokens * (int64_t)tokens; start >= 0;
             start -= tokens) {
            w.q_start = (int32_t)start;
            w.q_end = (int32_t)aiteri_min(start + tokens, q.seqlen_q);
            aiteri_schedule_span(s, p, g, &q, w);
        }
        head = w.head_end;
    }
}

/* Counts (arrays NULL) or fills the schedule; filling needs total_cost of the counting pass. */
static void aiteri_schedule_all(aiteri_schedule *s, const aiteri_problem *p,
                                const aiteri_geometry *g)
{
    s->works = s->reduces = s->partial_rows = s->partials = s->cost = 0;
    s->workers = g->workers;
    s->worker = 0;
    if (s->work_indptr) s->work_indptr[0] = 0;
    if (s->reduce_indptr) s->reduce_indptr[0] = 0;
    for (int32_t b = 0; b < p->batch; b++) aiteri_schedule_sequence(s, p, g, b);
    if (s->work_indptr)
        while (s->worker < s->workers) s->work_indptr[++s->worker] = (int32_t)s->works;
    else
        s->total_cost = s->cost;
}

/* Keys of all sequences, a bound. */
static int64_t aiteri_most_keys(const aiteri_problem *p)
{
    const int64_t each = (int64_t)p->batch * p->max_seqlen_k;
    return p->total_k > 0 ? aiteri_min(p->total_k, each) : each;
}

/* What splits add in one family. A sequence that is split has `most_tokens` at most, in spans of
 * `per_span`, each of them once for each of `head_parts`, and more keys than one piece takes: where
 * all sequences together have few, few are split. A piece is `unit` keys but for each sequence's
 * last. */
static void aiteri_add_split_bounds(aiteri_schedule_bounds *n, const aiteri_problem *p, int stream,
                                    size_t most_tokens, size_t per_span, size_t head_parts)
{
    const int64_t keys = aiteri_most_keys(p);
    const int64_t block = stream ? AITERI_STREAM_KEYS : AITERI_TILE_KEYS;
    const int64_t piece = stream ? AITERI_STREAM_SPLIT : AITERI_TILE_SPLIT;
    const int64_t unit = p->num_splits > 0 ? block : piece;
    const int64_t whole = p->num_splits > 0 || stream ? unit : 2 * unit; /* keys of one piece */
    const int64_t split = aiteri_min(p->batch, keys / (whole + 1));
    const size_t splits = (size_t)aiteri_most_splits(p, stream, p->max_seqlen_k);
    if (splits <= 1 || split == 0 || most_tokens == 0) return;
    size_t pieces = aiteri_mul_size((size_t)split, splits);
    if ((uint64_t)(keys / unit + split) < pieces) pieces = (size_t)(keys / unit + split);
    size_t tokens = aiteri_mul_size((size_t)split, most_tokens);
    if (tokens > (uint64_t)p->total_q) tokens = (size_t)p->total_q;

    const size_t spans =
        aiteri_mul_size(aiteri_add_size(tokens / per_span, (size_t)split), head_parts);
    const size_t each = aiteri_mul_size(most_tokens / per_span + 1, head_parts);
    const size_t partials = aiteri_mul_size(spans, splits), fewer = aiteri_mul_size(each, pieces);
    const size_t rows = aiteri_mul_size(tokens, splits),
                 less = aiteri_mul_size(most_tokens, pieces);
    n->reduces = aiteri_add_size(n->reduces, spans);
    n->partials = aiteri_add_size(n->partials, partials < fewer ? partials : fewer);
    n->partial_rows = aiteri_add_size(
        n->partial_rows, aiteri_mul_size(rows < less ? rows : less, (size_t)p->heads_q));
}

/* Sizes that no schedule of these shapes exceeds; monotone in every extent and maximum. */
static aiteri_schedule_bounds aiteri_schedule_bounds_of(const aiteri_problem *p, int32_t tile_lanes)
{
    const size_t batch = (size_t)p->batch, heads_q = (size_t)p->heads_q;
    const size_t group = (size_t)p->group, lanes = (size_t)tile_lanes;
    const size_t most_q = (size_t)p->max_seqlen_q;
    const size_t tokens = (size_t)aiteri_min(p->total_q, (int64_t)p->batch * p->max_seqlen_q);
    const size_t per_tile = (size_t)aiteri_max(1, tile_lanes / p->group);
    const size_t head_parts = heads_q / group * ((group + lanes - 1) / lanes);
    const size_t stream_q = (size_t)AITERI_STREAM_ROWS / group;
    /* Explicit splits concern every sequence. */
    const size_t split_q = p->num_splits > 0 ? most_q : (size_t)AITERI_TILE_SPLIT_ROWS / group + 1;
    const size_t spans = aiteri_mul_size(aiteri_add_size(tokens / per_tile, batch), head_parts);
    const size_t stream_spans = aiteri_mul_size(batch, (size_t)p->heads_k);
    aiteri_schedule_bounds n = {0, 0, 0, 0};
    if (!aiteri_takes_stream(p, p->max_seqlen_q)) /* else all are streams */
        aiteri_add_split_bounds(&n, p, 0, split_q < most_q ? split_q : most_q, per_tile,
                                head_parts);
    aiteri_add_split_bounds(&n, p, 1, stream_q < most_q ? stream_q : most_q, SIZE_MAX,
                            (size_t)p->heads_k);
    n.works = aiteri_add_size(aiteri_add_size(spans, stream_spans), n.partials);
    return n;
}

#endif /* AITERI_SCHEDULE_C */
