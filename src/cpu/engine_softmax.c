/* engine_softmax.c -- the program of softmax attention: each tile's maximum, sum and output follow
 * the blocks, and a finished row is normalised. */
#ifndef AITERI_ENGINE_SOFTMAX_C
#define AITERI_ENGINE_SOFTMAX_C

#include "engine_walk.c"

static void aiteri_softmax_begin(const aiteri_walk *x, aiteri_tile *tile)
{
    const int32_t lanes = x->e->kernels->tile_lanes;
    for (int32_t lane = 0; lane < lanes; lane++) {
        tile->m[lane] = aiteri_minus_inf();
        tile->l[lane] = 0.0f;
    }
    memset(tile->ot, 0, (size_t)lanes * (size_t)x->e->problem->v.dim * sizeof(float));
}

/* The values of keys [first, end) of a loaded block. */
static aiteri_block_run aiteri_values_run(const aiteri_walk *x, const aiteri_key_block *b,
                                          int32_t first, int32_t end)
{
    const aiteri_problem *p = x->e->problem;
    const int32_t row_dim = aiteri_block_is_shared(p, x->e->kernels) ? p->k.dim : p->v.dim;
    const aiteri_block_run values = {x->t->v, first - b->start, end - first, p->v.dim, row_dim};
    return values;
}

/* Every V row that the block holds is finite: then weight 0 hides a key wholly. */
static int aiteri_key_block_finite(const aiteri_walk *x, aiteri_key_block *b)
{
    if (b->v_finite < 0) {
        const aiteri_block_run prefix = aiteri_values_run(x, b, b->first, b->gap);
        const aiteri_block_run window = aiteri_values_run(x, b, b->resume, b->end);
        b->v_finite = x->e->kernels->v_finite(&prefix) && x->e->kernels->v_finite(&window);
    }
    return b->v_finite;
}

static void aiteri_softmax_step(const aiteri_walk *x, aiteri_tile *tile, aiteri_key_block *loaded,
                                const aiteri_key_block *own, int masked)
{
    const aiteri_problem *p = x->e->problem;
    const aiteri_kernels *kernels = x->e->kernels;
    float *st = x->t->st, *before = x->t->before;
    const int32_t lanes = kernels->tile_lanes, n = own->end - own->first;
    /* By the mask where it alone hides: a score of -infinity that a tile without hidden keys would
     * not look at must not hide here, or the cutting into tiles could be seen. */
    const int pairs = aiteri_reads_pairs(p);
    const int guarded = (masked || pairs) && !aiteri_key_block_finite(x, loaded);
    if (guarded && pairs) memcpy(before, st, (size_t)n * (size_t)lanes * sizeof(float));
    kernels->tile_softmax(st, n, x->e->rule.softmax, tile->m, tile->l, tile->ot, p->v.dim,
                          tile->vectors);
    const int32_t runs[2][2] = {{own->first, own->gap}, {own->resume, own->end}};
    for (int i = 0; i < 2; i++) {
        const int32_t at = (runs[i][0] - own->first) * lanes;
        const aiteri_block_run values = aiteri_values_run(x, loaded, runs[i][0], runs[i][1]);
        if (values.n == 0) continue;
        if (guarded)
            kernels->tile_value_guarded(tile->ot, &values, runs[i][0], st + at, tile->mask,
                                        pairs ? before + at : NULL, tile->vectors);
        else
            kernels->tile_value(tile->ot, &values, st + at, tile->vectors);
    }
}

static void aiteri_softmax_end(const aiteri_walk *x, aiteri_tile *tile)
{
    const aiteri_engine *e = x->e;
    const int32_t dim_v = e->problem->v.dim, stride = aiteri_padded(dim_v);
    e->kernels->tile_unpack(x->t->rows, stride, tile->ot, dim_v);
    for (int32_t lane = 0; lane < tile->rows; lane++) {
        float *row = x->t->rows + lane * stride;
        const aiteri_packed_row at = aiteri_packed_row_of(x->w, tile, lane);
        const aiteri_row_state state = {tile->m[lane], tile->l[lane], AITERI_TILE_UNIT};
        for (int32_t d = dim_v; d < stride; d++) row[d] = 0.0f;
        if (x->w->partial_row >= 0)
            aiteri_store_partial(e, x->w->partial_row + tile->first + lane, row, state.m, state.l);
        else
            aiteri_finish_row(e, &x->s, at.token, at.head, row, state);
    }
}

static const aiteri_program aiteri_softmax_program = {1, aiteri_softmax_begin, aiteri_softmax_step,
                                                      aiteri_softmax_end, aiteri_merge_pieces};

#endif /* AITERI_ENGINE_SOFTMAX_C */
