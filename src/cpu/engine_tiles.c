/* engine_tiles.c -- one work of the tile family: several tiles of query rows against a run of keys.
 *
 * Blocks of keys start at multiples of AITERI_TILE_KEYS from key 0. A block is loaded (widened)
 * once and serves every tile of the work. Rows are packed (token, head of the group), heads
 * fastest. */
#ifndef AITERI_ENGINE_TILES_C
#define AITERI_ENGINE_TILES_C

#include "engine_rows.c"

/* One tile of packed query rows and its running state. */
typedef struct aiteri_tile {
    void *q;                 /* the kernel set's */
    float *ot, *m, *l;       /* [dim_v][lanes], [lanes], [lanes] */
    float *slope, *position; /* ALiBi, [lanes] */
    aiteri_lane_mask *mask;
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
    const void **pointers;
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
        tile->ot = (float *)aiteri_carve(arena, dim_v * n, sizeof(float));
        tile->m = (float *)aiteri_carve(arena, n, sizeof(float));
        tile->l = (float *)aiteri_carve(arena, n, sizeof(float));
        tile->slope = (float *)aiteri_carve(arena, n, sizeof(float));
        tile->position = (float *)aiteri_carve(arena, n, sizeof(float));
        tile->mask = (aiteri_lane_mask *)aiteri_carve(arena, 1, sizeof(aiteri_lane_mask));
    }
    t->st = (float *)aiteri_carve(arena, AITERI_TILE_KEYS * n, sizeof(float));
    t->before = (float *)aiteri_carve(arena, aiteri_reads_pairs(p) ? AITERI_TILE_KEYS * n : 0,
                                      sizeof(float));
    t->k = aiteri_carve(arena, kernels->k_bytes(p->k.dim), 1);
    t->v = aiteri_block_is_shared(p, kernels) ? t->k
                                              : aiteri_carve(arena, kernels->v_bytes(p->v.dim), 1);
    t->rows =
        (float *)aiteri_carve(arena, n * (padded > padded_v ? padded : padded_v), sizeof(float));
    t->pointers = (const void **)aiteri_carve(arena, AITERI_TILE_KEYS, sizeof(void *));
}

typedef struct aiteri_packed_row {
    int32_t token, head;
} aiteri_packed_row;

static aiteri_packed_row aiteri_packed_row_of(const aiteri_work *w, int32_t r)
{
    const int32_t heads = w->head_end - w->head_start;
    const aiteri_packed_row row = {w->q_start + r / heads, w->head_start + r % heads};
    return row;
}

static void aiteri_tile_lanes_fill(const aiteri_engine *e, const aiteri_sequence *s,
                                   const aiteri_work *w, int32_t first, aiteri_tile *tile)
{
    const aiteri_problem *p = e->problem;
    const int32_t lanes = e->kernels->tile_lanes;
    tile->lo_max = 0;
    tile->hi_min = s->seqlen_k;
    tile->mask->most_sink = 0;
    for (int32_t lane = 0; lane < lanes; lane++) {
        tile->mask->lo[lane] = tile->mask->hi[lane] = tile->mask->sink[lane] = 0;
        tile->m[lane] = aiteri_minus_inf();
        tile->l[lane] = tile->slope[lane] = tile->position[lane] = 0.0f;
        if (lane >= tile->rows) continue;
        const aiteri_packed_row row = aiteri_packed_row_of(w, first + lane);
        const aiteri_key_range r = aiteri_visible_keys(p, s, row.token);
        tile->mask->lo[lane] = r.lo;
        tile->mask->hi[lane] = r.hi;
        tile->mask->sink[lane] = r.sink;
        tile->mask->most_sink = (int32_t)aiteri_max(tile->mask->most_sink, r.sink);
        tile->lo_max = (int32_t)aiteri_max(tile->lo_max, r.lo);
        tile->hi_min = (int32_t)aiteri_min(tile->hi_min, r.hi);
        if (p->alibi_slopes) {
            tile->slope[lane] = aiteri_slope_of(p, s, row.head);
            tile->position[lane] = (float)((int64_t)row.token + s->seqlen_k - s->seqlen_q);
        }
    }
    const aiteri_packed_row a = aiteri_packed_row_of(w, first);
    const aiteri_packed_row b = aiteri_packed_row_of(w, first + tile->rows - 1);
    tile->seen = aiteri_visible_keys_of_span(p, s, a.token, b.token + 1);
}

static void aiteri_tile_begin(const aiteri_engine *e, const aiteri_sequence *s,
                              const aiteri_work *w, int32_t first, int32_t rows, aiteri_tile *tile,
                              float *buffer)
{
    const aiteri_problem *p = e->problem;
    const int32_t lanes = e->kernels->tile_lanes, stride = aiteri_padded(p->k.dim);
    tile->rows = rows;
    tile->vectors = (rows + e->kernels->lanes - 1) / e->kernels->lanes;
    aiteri_tile_lanes_fill(e, s, w, first, tile);
    for (int32_t lane = 0; lane < lanes; lane++) {
        if (lane >= rows) {
            memset(buffer + lane * stride, 0, (size_t)stride * sizeof(float));
            continue;
        }
        const aiteri_packed_row row = aiteri_packed_row_of(w, first + lane);
        aiteri_gather_row(e->kernels, buffer + lane * stride,
                          aiteri_row_at(&p->q, s, row.token, row.head), p->q.dtype, p->q.stride_dim,
                          p->k.dim);
    }
    e->kernels->pack_query(tile->q, buffer, stride, p->k.dim, e->rule.query);
    memset(tile->ot, 0, (size_t)lanes * (size_t)p->v.dim * sizeof(float));
}

/* The bias of every (key, lane) of a block. */
static void aiteri_tile_bias(const aiteri_engine *e, const aiteri_sequence *s, const aiteri_work *w,
                             const aiteri_tile *tile, int32_t first, int32_t key, int32_t end,
                             float *bias)
{
    const int32_t lanes = e->kernels->tile_lanes;
    for (int32_t lane = 0; lane < lanes; lane++) {
        const aiteri_packed_row row = aiteri_packed_row_of(w, first + lane);
        for (int32_t j = key; j < end; j++)
            bias[(j - key) * lanes + lane] =
                lane < tile->rows && aiteri_range_meets(tile->seen, j, j + 1)
                    ? aiteri_bias_at(e->problem, s, row.token, row.head, j)
                    : 0.0f;
    }
}

/* A block of keys. Keys [gap, resume) between a sink prefix and the window are not loaded. The
 * place of a key counts from the block's own start, whatever is clipped. */
typedef struct aiteri_key_block {
    int32_t start, first, end, gap, resume;
    int v_finite; /* -1: not looked yet */
} aiteri_key_block;

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

/* Keys [first, end) of a loaded block, and their values. */
static aiteri_block_run aiteri_keys_run(const aiteri_engine *e, const aiteri_tile_scratch *t,
                                        const aiteri_key_block *b, int32_t first, int32_t end)
{
    const int32_t dim = e->problem->k.dim;
    const aiteri_block_run keys = {t->k, first - b->start, end - first, dim, dim};
    return keys;
}

static aiteri_block_run aiteri_values_run(const aiteri_engine *e, const aiteri_tile_scratch *t,
                                          const aiteri_key_block *b, int32_t first, int32_t end)
{
    const aiteri_problem *p = e->problem;
    const int32_t row_dim = aiteri_block_is_shared(p, e->kernels) ? p->k.dim : p->v.dim;
    const aiteri_block_run values = {t->v, first - b->start, end - first, p->v.dim, row_dim};
    return values;
}

static void aiteri_key_block_load(const aiteri_engine *e, const aiteri_sequence *s, int32_t kv_head,
                                  aiteri_tile_scratch *t, const aiteri_key_block *b)
{
    const aiteri_problem *p = e->problem;
    const int32_t runs[2][2] = {{b->first, b->gap}, {b->resume, b->end}};
    for (int i = 0; i < 2; i++) {
        const int32_t place = runs[i][0] - b->start;
        if (runs[i][0] >= runs[i][1]) continue;
        aiteri_source_block(e, s, &p->k, kv_head, runs[i][0], runs[i][1], t->pointers, t->k, place);
        if (!aiteri_block_is_shared(p, e->kernels))
            aiteri_source_block(e, s, &p->v, kv_head, runs[i][0], runs[i][1], t->pointers, t->v,
                                place);
    }
}

/* Every V row that the block holds is finite: then weight 0 hides a key wholly. */
static int aiteri_key_block_finite(const aiteri_engine *e, const aiteri_tile_scratch *t,
                                   aiteri_key_block *b)
{
    if (b->v_finite < 0) {
        const aiteri_block_run prefix = aiteri_values_run(e, t, b, b->first, b->gap);
        const aiteri_block_run window = aiteri_values_run(e, t, b, b->resume, b->end);
        b->v_finite = e->kernels->v_finite(&prefix) && e->kernels->v_finite(&window);
    }
    return b->v_finite;
}

/* Softcap, bias, ALiBi and mask on a tile's scores of keys [first, end). */
static void aiteri_tile_adjust_scores(const aiteri_engine *e, const aiteri_sequence *s,
                                      const aiteri_work *w, aiteri_tile_scratch *t, int32_t index,
                                      int32_t first, int32_t end, int masked)
{
    const aiteri_problem *p = e->problem;
    const aiteri_tile *tile = &t->tile[index];
    aiteri_tile_adjust adjust = {e->rule.score, NULL, NULL, NULL, NULL, NULL};
    if (!masked && p->softcap == 0.0f && !aiteri_reads_pairs(p) && !p->alibi_slopes) return;
    if (p->softcap > 0.0f) adjust.softcap = &e->rule.softcap;
    if (aiteri_reads_pairs(p)) {
        aiteri_tile_bias(e, s, w, tile, index * e->kernels->tile_lanes, first, end, t->before);
        adjust.bias = t->before;
    }
    if (p->alibi_slopes) {
        adjust.slope = tile->slope;
        adjust.position = tile->position;
    }
    if (masked) adjust.mask = tile->mask;
    e->kernels->tile_adjust(t->st, first, end - first, &adjust, tile->vectors);
}

/* One tile against one loaded block, clipped to what the tile itself can see. */
static void aiteri_tile_step(const aiteri_engine *e, const aiteri_sequence *s, const aiteri_work *w,
                             aiteri_tile_scratch *t, int32_t index, aiteri_key_block *b)
{
    const aiteri_problem *p = e->problem;
    const aiteri_kernels *kernels = e->kernels;
    aiteri_tile *tile = &t->tile[index];
    const int32_t lanes = kernels->tile_lanes;
    const aiteri_key_block own = aiteri_key_block_clip(tile->seen, b->first, b->end);
    if (own.first >= own.end) return;
    AITERI_ASSERT(b->first <= own.first && own.end <= b->end);
    AITERI_ASSERT(own.first <= own.gap && own.gap <= own.resume && own.resume <= own.end);
    const int32_t runs[2][2] = {{own.first, own.gap}, {own.resume, own.end}};
    for (int i = 0; i < 2; i++) {
        const aiteri_block_run keys = aiteri_keys_run(e, t, b, runs[i][0], runs[i][1]);
        kernels->tile_score(t->st + (runs[i][0] - own.first) * lanes, &keys, tile->q,
                            tile->vectors);
    }
    for (int32_t i = (own.gap - own.first) * lanes; i < (own.resume - own.first) * lanes; i++)
        t->st[i] = aiteri_minus_inf();

    const int masked = own.gap != own.resume || own.first < tile->lo_max || own.end > tile->hi_min;
    aiteri_tile_adjust_scores(e, s, w, t, index, own.first, own.end, masked);
    /* By the mask where it alone hides: a score of -infinity that a tile without hidden keys would
     * not look at must not hide here, or the cutting into tiles could be seen. */
    const int pairs = aiteri_reads_pairs(p);
    const int guarded = (masked || pairs) && !aiteri_key_block_finite(e, t, b);
    if (guarded && pairs)
        memcpy(t->before, t->st, (size_t)(own.end - own.first) * (size_t)lanes * sizeof(float));
    kernels->tile_softmax(t->st, own.end - own.first, e->rule.softmax, tile->m, tile->l, tile->ot,
                          p->v.dim, tile->vectors);
    for (int i = 0; i < 2; i++) {
        const int32_t at = (runs[i][0] - own.first) * lanes;
        const aiteri_block_run values = aiteri_values_run(e, t, b, runs[i][0], runs[i][1]);
        if (values.n == 0) continue;
        if (guarded)
            kernels->tile_value_guarded(tile->ot, &values, runs[i][0], t->st + at, tile->mask,
                                        pairs ? t->before + at : NULL, tile->vectors);
        else
            kernels->tile_value(tile->ot, &values, t->st + at, tile->vectors);
    }
}

static void aiteri_tile_end(const aiteri_engine *e, const aiteri_sequence *s, const aiteri_work *w,
                            int32_t first, aiteri_tile *tile, aiteri_tile_scratch *t)
{
    const aiteri_problem *p = e->problem;
    const int32_t stride = aiteri_padded(p->v.dim);
    e->kernels->tile_unpack(t->rows, stride, tile->ot, p->v.dim);
    for (int32_t lane = 0; lane < tile->rows; lane++) {
        float *row = t->rows + lane * stride;
        const aiteri_packed_row at = aiteri_packed_row_of(w, first + lane);
        const aiteri_row_state state = {tile->m[lane], tile->l[lane], AITERI_TILE_UNIT};
        for (int32_t d = p->v.dim; d < stride; d++) row[d] = 0.0f;
        if (w->partial_row >= 0)
            aiteri_store_partial(e, w->partial_row + first + lane, row, state.m, state.l);
        else
            aiteri_finish_row(e, s, at.token, at.head, row, state);
    }
}

static void aiteri_run_tile_work(const aiteri_engine *e, const aiteri_work *w,
                                 aiteri_tile_scratch *t)
{
    const aiteri_problem *p = e->problem;
    const aiteri_sequence s = aiteri_sequence_of(p, w->batch);
    const int32_t lanes = e->kernels->tile_lanes;
    const int32_t rows = (w->q_end - w->q_start) * (w->head_end - w->head_start);
    const int32_t tiles = (rows + lanes - 1) / lanes;
    AITERI_ASSERT(0 < tiles && tiles <= aiteri_most_tiles(p, lanes));
    AITERI_ASSERT(w->head_start / p->group == (w->head_end - 1) / p->group);
    for (int32_t i = 0; i < tiles; i++)
        aiteri_tile_begin(e, &s, w, i * lanes, (int32_t)aiteri_min(lanes, rows - i * lanes),
                          &t->tile[i], t->rows);
    const aiteri_key_range seen = aiteri_visible_keys_of_span(p, &s, w->q_start, w->q_end);
    for (int32_t at = w->kv_start; at < w->kv_end; at += AITERI_TILE_KEYS) {
        const int32_t end = (int32_t)aiteri_min((int64_t)at + AITERI_TILE_KEYS, w->kv_end);
        aiteri_key_block block = aiteri_key_block_clip(seen, at, end);
        if (block.first >= block.end) continue;
        aiteri_key_block_load(e, &s, w->head_start / p->group, t, &block);
        for (int32_t i = 0; i < tiles; i++) aiteri_tile_step(e, &s, w, t, i, &block);
    }
    for (int32_t i = 0; i < tiles; i++) aiteri_tile_end(e, &s, w, i * lanes, &t->tile[i], t);
}

#endif /* AITERI_ENGINE_TILES_C */
