/* engine_walk.c -- one work of the tile family: several tiles of query rows against a run of keys.
 * The walk makes the scores of a tile and a block; what becomes of them is a program's.
 *
 * Blocks of keys start at multiples of AITERI_TILE_KEYS from key 0. A block is loaded (widened)
 * once and serves every tile of the work. Rows are packed (token, head of the group), heads
 * fastest. */
#ifndef AITERI_ENGINE_WALK_C
#define AITERI_ENGINE_WALK_C

#include "engine_rows.c"

/* One tile of packed query rows and its running state. */
typedef struct aiteri_tile {
    void *q;                 /* the kernel set's */
    float *ot, *m, *l;       /* [dim_v][lanes], [lanes], [lanes] */
    float *slope, *position; /* ALiBi, [lanes] */
    aiteri_lane_mask *mask;
    int32_t first;          /* of the packed rows */
    int32_t rows, vectors;  /* lanes in use, and the vectors that hold them */
    aiteri_key_range seen;  /* by any row */
    int32_t lo_max, hi_min; /* keys [lo_max, hi_min) are seen by every row */
} aiteri_tile;

typedef struct aiteri_tile_scratch {
    aiteri_tile tile[AITERI_TILES_PER_WORK];
    float *st;
    float *before; /* with a bias: a block's biases, then its scores */
    void *k, *v;   /* the kernel set's */
    float *rows;
    aiteri_row_room room;
} aiteri_tile_scratch;

/* Whether the block of K serves as the block of V. */
static int aiteri_block_is_shared(const aiteri_problem *p, const aiteri_kernels *kernels)
{
    return p->v_in_k && kernels->v_in_k;
}

/* The same layout function measures (arena without base) and hands out. */
static void aiteri_tile_scratch_carve(aiteri_tile_scratch *t, aiteri_arena *arena,
                                      const aiteri_problem *p, const aiteri_kernels *kernels)
{
    const int32_t lanes = kernels->tile_lanes;
    const size_t n = (size_t)lanes, dim_v = (size_t)p->v.dim;
    const size_t padded = (size_t)aiteri_padded(p->k.dim),
                 padded_v = (size_t)aiteri_padded(p->v.dim);
    const int32_t tiles = aiteri_most_tiles(p, lanes);
    for (int32_t i = 0; i < tiles; i++) {
        aiteri_tile *tile = &t->tile[i];
        tile->q = aiteri_carve(arena, kernels->query_bytes(p->k.dim, lanes), 1);
        tile->ot = (float *)aiteri_carve(arena, (dim_v + AITERI_TILE_SLACK) * n, sizeof(float));
        tile->m = (float *)aiteri_carve(arena, n, sizeof(float));
        tile->l = (float *)aiteri_carve(arena, n, sizeof(float));
        tile->slope = (float *)aiteri_carve(arena, n, sizeof(float));
        tile->position = (float *)aiteri_carve(arena, n, sizeof(float));
        tile->mask = (aiteri_lane_mask *)aiteri_carve(arena, 1, sizeof(aiteri_lane_mask));
    }
    t->st = (float *)aiteri_carve(arena, AITERI_TILE_ROOM * n, sizeof(float));
    t->before = (float *)aiteri_carve(arena, aiteri_reads_pairs(p) ? AITERI_TILE_KEYS * n : 0,
                                      sizeof(float));
    t->k = aiteri_carve(arena, kernels->k_bytes(p->k.dim), 1);
    t->v = aiteri_block_is_shared(p, kernels) ? t->k
                                              : aiteri_carve(arena, kernels->v_bytes(p->v.dim), 1);
    t->rows =
        (float *)aiteri_carve(arena, n * (padded > padded_v ? padded : padded_v), sizeof(float));
    t->room.row = (const void **)aiteri_carve(arena, AITERI_TILE_KEYS, sizeof(void *));
    t->room.staged = (char *)aiteri_carve(arena, aiteri_staged_bytes(p, AITERI_TILE_KEYS), 1);
}

/* The work being run, for the functions below and the program. */
typedef struct aiteri_walk {
    const aiteri_engine *e;
    const aiteri_work *w;
    aiteri_tile_scratch *t;
    aiteri_sequence s;
} aiteri_walk;

/* A block of keys. Keys [gap, resume) between a sink prefix and the window are not loaded. The
 * place of a key counts from the block's own start, whatever is clipped. */
typedef struct aiteri_key_block {
    int32_t start, first, end, gap, resume;
    int v_finite; /* -1: not looked yet */
} aiteri_key_block;

/* What a work makes of its scores. */
struct aiteri_program {
    int uses_v; /* V is loaded */
    /* A tile before its first block. */
    void (*begin)(const aiteri_walk *x, aiteri_tile *tile);
    /* t->st holds the scores of the tile's rows and the keys of `own`, a part of the block that is
     * loaded: a row for each key, -infinity where a row does not see it. `masked`: such there may
     * be. */
    void (*step)(const aiteri_walk *x, aiteri_tile *tile, aiteri_key_block *loaded,
                 const aiteri_key_block *own, int masked);
    /* The same behind its last block. */
    void (*end)(const aiteri_walk *x, aiteri_tile *tile);
    /* Joins the pieces of rows whose keys were split; NULL: they need it not. */
    void (*merge)(const aiteri_engine *e, const int32_t *final_map, const int32_t *first_rows,
                  int32_t pieces, float *row);
};

typedef struct aiteri_packed_row {
    int32_t token, head;
} aiteri_packed_row;

/* Of a lane of a tile. */
static aiteri_packed_row aiteri_packed_row_of(const aiteri_work *w, const aiteri_tile *tile,
                                              int32_t lane)
{
    const int32_t heads = w->head_end - w->head_start, r = tile->first + lane;
    const aiteri_packed_row row = {w->q_start + r / heads, w->head_start + r % heads};
    return row;
}

static void aiteri_tile_lanes_fill(const aiteri_walk *x, aiteri_tile *tile)
{
    const aiteri_problem *p = x->e->problem;
    const aiteri_sequence *s = &x->s;
    const int32_t lanes = x->e->kernels->tile_lanes;
    tile->lo_max = 0;
    tile->hi_min = s->seqlen_k;
    tile->mask->most_sink = 0;
    for (int32_t lane = 0; lane < lanes; lane++) {
        tile->mask->lo[lane] = tile->mask->hi[lane] = tile->mask->sink[lane] = 0;
        tile->slope[lane] = tile->position[lane] = 0.0f;
        if (lane >= tile->rows) continue;
        const aiteri_packed_row row = aiteri_packed_row_of(x->w, tile, lane);
        const aiteri_key_range r = aiteri_visible_keys(p, s, row.token);
        tile->mask->lo[lane] = r.lo;
        tile->mask->hi[lane] = r.hi;
        tile->mask->sink[lane] = r.sink;
        tile->mask->most_sink = (int32_t)aiteri_max(tile->mask->most_sink, r.sink);
        tile->lo_max = (int32_t)aiteri_max(tile->lo_max, r.lo);
        tile->hi_min = (int32_t)aiteri_min(tile->hi_min, r.hi);
        if (p->alibi_slopes) {
            tile->slope[lane] = aiteri_slope_of(p, s, row.head);
            tile->position[lane] = aiteri_position_of(s, row.token);
        }
    }
    const aiteri_packed_row a = aiteri_packed_row_of(x->w, tile, 0);
    const aiteri_packed_row b = aiteri_packed_row_of(x->w, tile, tile->rows - 1);
    tile->seen = aiteri_visible_keys_of_span(p, s, a.token, b.token + 1);
}

static void aiteri_tile_begin(const aiteri_walk *x, int32_t first, int32_t rows, aiteri_tile *tile)
{
    const aiteri_kernels *kernels = x->e->kernels;
    const int32_t dim = x->e->problem->k.dim, stride = aiteri_padded(dim);
    tile->first = first;
    tile->rows = rows;
    tile->vectors = (rows + kernels->lanes - 1) / kernels->lanes;
    aiteri_tile_lanes_fill(x, tile);
    for (int32_t lane = 0; lane < kernels->tile_lanes; lane++) {
        float *to = x->t->rows + lane * stride;
        if (lane >= rows) {
            memset(to, 0, (size_t)stride * sizeof(float));
            continue;
        }
        const aiteri_packed_row row = aiteri_packed_row_of(x->w, tile, lane);
        aiteri_load_query(x->e, &x->s, row.token, row.head, to);
    }
    kernels->pack_query(tile->q, x->t->rows, stride, dim, x->e->rule.query);
    x->e->program->begin(x, tile);
}

/* The part of [first, end) that the range needs; empty if first == end. */
static aiteri_key_block aiteri_key_block_clip(aiteri_key_range seen, int32_t first, int32_t end)
{
    aiteri_key_block b;
    memset(&b, 0, sizeof b);
    b.v_finite = -1;
    b.start = first;
    const int32_t lo = (int32_t)aiteri_max(first, seen.lo), hi = (int32_t)aiteri_min(end, seen.hi);
    const int32_t sink = (int32_t)aiteri_min(end, seen.sink);
    const int window = lo<hi, prefix = sink> first;
    b.first = prefix ? first : lo;
    b.end = window ? hi : prefix ? sink : b.first;
    b.gap = b.resume = b.end;
    if (window && prefix) {
        b.gap = sink;
        b.resume = lo;
    }
    return b;
}

/* Keys [first, end) of a loaded block. */
static aiteri_block_run aiteri_keys_run(const aiteri_walk *x, const aiteri_key_block *b,
                                        int32_t first, int32_t end)
{
    const int32_t dim = x->e->problem->k.dim;
    const aiteri_block_run keys = {x->t->k, first - b->start, end - first, dim, dim};
    return keys;
}

static void aiteri_key_block_load(const aiteri_walk *x, const aiteri_key_block *b)
{
    const aiteri_problem *p = x->e->problem;
    aiteri_tile_scratch *t = x->t;
    const int32_t runs[2][2] = {{b->first, b->gap}, {b->resume, b->end}};
    const int32_t head = x->w->head_start / p->group;
    const int loads_v = x->e->program->uses_v && !aiteri_block_is_shared(p, x->e->kernels);
    for (int i = 0; i < 2; i++) {
        const int32_t place = runs[i][0] - b->start, first = runs[i][0], end = runs[i][1];
        if (first >= end) continue;
        aiteri_source_block(x->e, &x->s, &p->k, head, first, end, &t->room, t->k, place);
        if (loads_v)
            aiteri_source_block(x->e, &x->s, &p->v, head, first, end, &t->room, t->v, place);
    }
}

/* The bias of every (key, lane) of a block. */
static void aiteri_tile_bias(const aiteri_walk *x, const aiteri_tile *tile, int32_t first,
                             int32_t end)
{
    const int32_t lanes = x->e->kernels->tile_lanes;
    for (int32_t lane = 0; lane < lanes; lane++) {
        const aiteri_packed_row row = aiteri_packed_row_of(x->w, tile, lane);
        for (int32_t j = first; j < end; j++)
            x->t->before[(j - first) * lanes + lane] =
                lane < tile->rows
                    ? aiteri_bias_at(x->e->problem, &x->s, row.token, row.head, tile->seen, j)
                    : 0.0f;
    }
}

/* Softcap, bias, ALiBi and mask on a tile's scores of keys [first, end). */
static void aiteri_tile_adjust_scores(const aiteri_walk *x, const aiteri_tile *tile, int32_t first,
                                      int32_t end, int masked)
{
    aiteri_adjust adjust = aiteri_adjust_of(x->e, tile->slope, tile->position);
    if (masked) adjust.mask = tile->mask;
    if (aiteri_reads_pairs(x->e->problem)) {
        aiteri_tile_bias(x, tile, first, end);
        adjust.bias = x->t->before;
    }
    if (!masked && !adjust.softcap && !adjust.bias && !adjust.slope) return;
    x->e->kernels->tile_adjust(x->t->st, first, end - first, &adjust, tile->vectors);
}

/* One tile against one loaded block, clipped to what the tile itself can see. */
static void aiteri_tile_step(const aiteri_walk *x, aiteri_tile *tile, aiteri_key_block *b)
{
    float *st = x->t->st;
    const int32_t lanes = x->e->kernels->tile_lanes;
    const aiteri_key_block own = aiteri_key_block_clip(tile->seen, b->first, b->end);
    if (own.first >= own.end) return;
    AITERI_ASSERT(b->first <= own.first && own.end <= b->end);
    AITERI_ASSERT(own.first <= own.gap && own.gap <= own.resume && own.resume <= own.end);
    const int32_t runs[2][2] = {{own.first, own.gap}, {own.resume, own.end}};
    for (int i = 0; i < 2; i++) {
        const aiteri_block_run keys = aiteri_keys_run(x, b, runs[i][0], runs[i][1]);
        x->e->kernels->tile_score(st + (runs[i][0] - own.first) * lanes, &keys, tile->q,
                                  tile->vectors);
    }
    for (int32_t i = (own.gap - own.first) * lanes; i < (own.resume - own.first) * lanes; i++)
        st[i] = aiteri_minus_inf();
    const int masked = own.gap != own.resume || own.first < tile->lo_max || own.end > tile->hi_min;
    aiteri_tile_adjust_scores(x, tile, own.first, own.end, masked);
    x->e->program->step(x, tile, b, &own, masked);
}

static void aiteri_run_tile_work(const aiteri_engine *e, const aiteri_work *w,
                                 aiteri_tile_scratch *t)
{
    const aiteri_problem *p = e->problem;
    const aiteri_walk x = {e, w, t, aiteri_sequence_of(p, w->batch)};
    const int32_t lanes = e->kernels->tile_lanes;
    const int32_t rows = (w->q_end - w->q_start) * (w->head_end - w->head_start);
    const int32_t tiles = (rows + lanes - 1) / lanes;
    AITERI_ASSERT(0 < tiles && tiles <= aiteri_most_tiles(p, lanes));
    AITERI_ASSERT(w->head_start / p->group == (w->head_end - 1) / p->group);
    for (int32_t i = 0; i < tiles; i++)
        aiteri_tile_begin(&x, i * lanes, (int32_t)aiteri_min(lanes, rows - i * lanes), &t->tile[i]);
    const aiteri_key_range seen = aiteri_visible_keys_of_span(p, &x.s, w->q_start, w->q_end);
    for (int32_t at = w->kv_start; at < w->kv_end; at += AITERI_TILE_KEYS) {
        const int32_t end = (int32_t)aiteri_min((int64_t)at + AITERI_TILE_KEYS, w->kv_end);
        aiteri_key_block block = aiteri_key_block_clip(seen, at, end);
        if (block.first >= block.end) continue;
        aiteri_key_block_load(&x, &block);
        for (int32_t i = 0; i < tiles; i++) aiteri_tile_step(&x, &t->tile[i], &block);
    }
    for (int32_t i = 0; i < tiles; i++) e->program->end(&x, &t->tile[i]);
}

#endif /* AITERI_ENGINE_WALK_C */
