/* engine_rows.c -- what both families share: query rows in, finished rows and partial states out.
 */
#ifndef AITERI_ENGINE_ROWS_C
#define AITERI_ENGINE_ROWS_C

#include "rows.c"
#include "stage.c"
#include "../plan/schedule.c"
#include "../plan/source.c"

/* A running call: what every worker reads. */
typedef struct aiteri_engine {
    const aiteri_problem *problem;
    const aiteri_kernels *kernels;
    const aiteri_program *program;
    aiteri_geometry geometry;
    aiteri_score_rule rule;
    float *partials; /* [partial_rows][partial_stride]: dim_v sums, then m and l */
    int64_t partial_stride;
} aiteri_engine;

static char *aiteri_row_at(const aiteri_rows *rows, const aiteri_sequence *s, int32_t token,
                           int32_t head)
{
    return rows->data + aiteri_bytes_of(rows->dtype, s->index * rows->stride_batch +
                                                         (s->q_start + token) * rows->stride_token +
                                                         head * rows->stride_head);
}

/* The scale of a row, 1 where there is none. */
static float aiteri_row_scale_of(const aiteri_row_scales *scales, const aiteri_sequence *s,
                                 int32_t token, int32_t head)
{
    return !scales->data ? 1.0f
                         : scales->data[s->index * scales->stride_batch +
                                        (s->q_start + token) * scales->stride_token +
                                        head / scales->heads * scales->stride_head];
}

/* A row times the scales of its kv head's columns. */
static void aiteri_scale_channels(const aiteri_channels *c, int32_t h, float *row, int32_t dim)
{
    for (int32_t d = 0; c->data && d < dim; d++)
        row[d] = aiteri_rounded(
            row[d] * aiteri_load_f32(c->dtype, c->data, h * c->stride_head + d * c->stride_dim));
}

/* A row of q as numbers, padded with zeros. */
static void aiteri_load_query(const aiteri_engine *e, const aiteri_sequence *s, int32_t token,
                              int32_t head, float *row)
{
    const aiteri_problem *p = e->problem;
    const int32_t dim = p->k.dim, padded = aiteri_padded(dim);
    aiteri_gather_row(e->kernels, row, aiteri_row_at(&p->q, s, token, head), p->q.dtype,
                      p->q.stride_dim, dim);
    for (int32_t d = dim; d < padded; d++) row[d] = 0.0f;
    if (p->q_scales.data)
        e->kernels->row_scale(row, padded, aiteri_row_scale_of(&p->q_scales, s, token, head));
    aiteri_scale_channels(&p->k_channels, head / p->group, row, dim);
}

/* Rows whose scales fit into the room that there is for them: more than none. */
static int32_t aiteri_rows_at_once(const aiteri_source *part)
{
    int32_t n = AITERI_TILE_KEYS;
    for (; part; part = part->rest)
        n = (int32_t)aiteri_min(n, AITERI_MAX_HEAD_DIM / aiteri_scales_of_row(part));
    return n;
}

/* Where rows that are being loaded stand: their addresses, and room for those to be staged. */
typedef struct aiteri_row_room {
    const void **row;
    char *staged;
} aiteri_row_room;

/* K or V rows [first, end) of a kv head to `place` of a block that `load` fills: layout, then type
 * and scales, part by part and segment by segment. With `sums` one scale of a row is left to its
 * sums. */
static void aiteri_load_rows(const aiteri_engine *e, const aiteri_sequence *s,
                             const aiteri_source *source, int32_t h, int32_t first, int32_t end,
                             const aiteri_row_room *room, int sums, aiteri_load_fn load,
                             void *block, int32_t place)
{
    const aiteri_problem *p = e->problem;
    float scale[AITERI_MAX_HEAD_DIM];
    AITERI_ASSERT(0 <= place && place + end - first <= AITERI_TILE_KEYS && h < p->heads_k);
    for (int32_t stop; first < end; place += stop - first, first = stop) {
        const aiteri_source *part = aiteri_part_of(p, s, source, first);
        stop =
            (int32_t)aiteri_min(aiteri_part_end(s, first, end), first + aiteri_rows_at_once(part));
        const aiteri_key_place at = aiteri_place_of_key(p, s, first);
        int32_t column = 0;
        for (const aiteri_source *x = part; x; column += aiteri_own_dim(x), x = x->rest) {
            const int scaled = x->scales.data && !(sums && aiteri_scales_rows(part));
            const int32_t dim = aiteri_own_dim(x);
            const aiteri_block_rows rows = {room->row,
                                            stop - first,
                                            dim,
                                            column,
                                            part->dim,
                                            x->dtype,
                                            aiteri_is_tiled(x) ? 1 : x->stride_dim,
                                            scaled ? scale : NULL,
                                            x->scales.group ? x->scales.group : dim};
            AITERI_ASSERT(column % AITERI_PAD == 0 && x->scales.group % AITERI_PAD == 0);
            aiteri_stored_rows(e->kernels, p, s, x, at, h, stop - first, room->row, room->staged);
            if (scaled) aiteri_source_scales(p, s, x, at, h, stop - first, scale);
            load(e->kernels, block, place, &rows);
        }
    }
}

/* The same to a block of the tile family. */
static void aiteri_source_block(const aiteri_engine *e, const aiteri_sequence *s,
                                const aiteri_source *source, int32_t h, int32_t first, int32_t end,
                                const aiteri_row_room *room, void *block, int32_t place)
{
    aiteri_load_rows(e, s, source, h, first, end, room, 0,
                     source == &e->problem->k ? e->kernels->load_k : e->kernels->load_v, block,
                     place);
}

/* Whether something is read for every pair of a query and a key. */
AITERI_FORCE_INLINE int aiteri_reads_pairs(const aiteri_problem *p)
{
    return p->bias.data != NULL || p->visible.data != NULL || p->has_holes;
}

/* What is added to the score of query token i and key j: its bias, and -infinity if it is hidden.
 * Of keys outside `seen` the mask tells, and nothing is read. */
static float aiteri_bias_at(const aiteri_problem *p, const aiteri_sequence *s, int32_t token,
                            int32_t head, aiteri_key_range seen, int32_t j)
{
    if (!aiteri_range_meets(seen, j, (int64_t)j + 1)) return 0.0f;
    if (p->visible.data &&
        aiteri_row_at(&p->visible, s, token, head)[j * p->visible.stride_dim] == 0)
        return aiteri_minus_inf();
    if (p->has_holes && !aiteri_place_of_key(p, s, j).present) return aiteri_minus_inf();
    if (!p->bias.data) return 0.0f;
    const char *row = aiteri_row_at(&p->bias, s, token, head);
    return aiter_load_element(p->bias.dtype, row, j * p->bias.stride_dim);
}

/* A head's ALiBi slope, no larger than leaves every distance of the sequence its own finite term.
 */
static float aiteri_slope_of(const aiteri_problem *p, const aiteri_sequence *s, int32_t head)
{
    const float slope =
        p->alibi_slopes[s->index * p->alibi_stride_batch + head * p->alibi_stride_head];
    const float most = 1.7e38f / ((float)s->seqlen_q + (float)s->seqlen_k);
    if (slope > most) return most;
    return slope < -most ? -most : slope;
}

/* Where query token i stands among the keys: ALiBi counts from there. */
static float aiteri_position_of(const aiteri_sequence *s, int32_t token)
{
    return aiteri_rounded((float)((int64_t)token + s->seqlen_k - s->seqlen_q));
}

/* What every score of a problem meets; slopes and positions where it has ALiBi. */
static aiteri_adjust aiteri_adjust_of(const aiteri_engine *e, const float *slope,
                                      const float *position)
{
    const aiteri_problem *p = e->problem;
    aiteri_adjust adjust = {e->rule.score, NULL, NULL, NULL, NULL, NULL};
    if (p->softcap > 0.0f) adjust.softcap = &e->rule.softcap;
    if (!p->alibi_slopes) return adjust;
    adjust.slope = slope;
    adjust.position = position;
    return adjust;
}

/* What a row has summed up: its weights are exp(stretch * (score - m)) times unit. */
typedef struct aiteri_row_state {
    float m, l, unit;
} aiteri_row_state;

/* The factor that turns a row's sums into its output under a scale, and its log-sum-exp, with the
 * learned sink: a logit without a value. A row that saw nothing gives 0 and -inf, or the sink. */
static float aiteri_finish_state(const aiteri_engine *e, int32_t head, aiteri_row_state state,
                                 float out_scale, float *lse)
{
    const aiteri_problem *p = e->problem;
    const double unit = state.unit, m = (double)state.m * (double)e->rule.softmax;
    const float l = state.l;
    double top = m, sum = (double)l / unit, factor = 1.0;
    if (p->sinks) {
        const double sink = p->sinks[head * p->sinks_stride];
        if (l == 0.0f) {
            *lse = (float)sink;
            return 0.0f;
        }
        if (sink > top) top = sink;
        factor = exp(m - top);
        sum = aiteri_rounded_f64(aiteri_rounded_f64(sum * factor) + exp(sink - top));
    } else if (l == 0.0f) {
        *lse = aiteri_minus_inf();
        return 0.0f;
    }
    *lse = aiteri_rounded((float)aiteri_rounded_f64(top + log(sum)));
    return aiteri_rounded((float)aiteri_rounded_f64(factor / sum / unit / (double)out_scale));
}

static void aiteri_store_lse(const aiteri_problem *p, const aiteri_sequence *s, int32_t token,
                             int32_t head, float lse)
{
    if (!p->lse) return;
    p->lse[s->index * p->lse_stride_batch + head * p->lse_stride_head +
           (s->q_start + token) * p->lse_stride_token] = lse;
}

/* Normalises one row of sums in place and writes it out. */
static void aiteri_finish_row(const aiteri_engine *e, const aiteri_sequence *s, int32_t token,
                              int32_t head, float *row, aiteri_row_state state)
{
    const aiteri_problem *p = e->problem;
    float lse;
    const float factor = aiteri_finish_state(
        e, head, state, aiteri_row_scale_of(&p->out_scales, s, token, head), &lse);
    if (state.l != 0.0f) /* else the row is 0 */
        aiteri_scale_channels(&p->v_channels, head / p->group, row, p->v.dim);
    aiteri_store_out(e->kernels, aiteri_row_at(&p->out, s, token, head), p->out.dtype,
                     p->out.stride_dim, row, p->v.dim, factor);
    aiteri_store_lse(p, s, token, head, lse);
}

/* Leaves one row's state for a later merge; all pieces of a row have the same unit. */
static void aiteri_store_partial(const aiteri_engine *e, int64_t partial_row, const float *row,
                                 float m, float l)
{
    const int32_t dim = aiteri_padded(e->problem->v.dim);
    float *out = e->partials + partial_row * e->partial_stride;
    memcpy(out, row, (size_t)dim * sizeof(float));
    out[dim] = m;
    out[dim + 1] = l;
}

/* Merges the pieces of one reduce group, in key order, and finishes its rows. */
static void aiteri_merge_pieces(const aiteri_engine *e, const int32_t *final_map,
                                const int32_t *first_rows, int32_t pieces, float *row)
{
    const aiteri_problem *p = e->problem;
    const aiteri_sequence s = aiteri_sequence_of(p, final_map[0]);
    const int32_t dim = aiteri_padded(p->v.dim);
    const int32_t head_start = (int32_t)((uint32_t)final_map[3] & 0xffffu);
    const int32_t heads = (int32_t)((uint32_t)final_map[3] >> 16) - head_start;
    const int64_t rows = (int64_t)(final_map[2] - final_map[1]) * heads;
    const float unit = aiteri_takes_stream(p, s.seqlen_q) ? 1.0f : AITERI_TILE_UNIT;
    AITERI_ASSERT(pieces > 1 && rows > 0 && final_map[2] <= s.seqlen_q);
    for (int64_t r = 0; r < rows; r++) {
        float m = aiteri_minus_inf(), l = 0.0f;
        for (int32_t i = 0; i < pieces; i++) {
            const float *part = e->partials + (first_rows[i] + r) * e->partial_stride;
            if (part[dim] > m) m = part[dim];
        }
        memset(row, 0, (size_t)dim * sizeof(float));
        for (int32_t i = 0; i < pieces; i++) {
            const float *part = e->partials + (first_rows[i] + r) * e->partial_stride;
            if (part[dim + 1] == 0.0f) continue; /* saw no key */
            const double below = aiteri_rounded_f64((double)part[dim] - (double)m);
            const float weight = aiteri_rounded((float)exp(below * (double)e->rule.softmax));
            e->kernels->row_add_scaled(row, part, dim, weight);
            l = aiteri_rounded(l + aiteri_rounded(weight * part[dim + 1]));
        }
        const aiteri_row_state state = {m, l, unit};
        aiteri_finish_row(e, &s, final_map[1] + (int32_t)(r / heads),
                          head_start + (int32_t)(r % heads), row, state);
    }
}

#endif /* AITERI_ENGINE_ROWS_C */
