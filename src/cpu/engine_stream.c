/* engine_stream.c -- one work of the stream family: the few query rows of a sequence against a
 * piece of its keys, every K and V row loaded once for all rows of its kv head.
 *
 * Blocks of keys start at multiples of AITERI_STREAM_KEYS from key 0 and a score keeps its place in
 * the block, so sums over a block have one order however it is clipped. Where a token's heads lie
 * side by side all heads take a block before the next one, and the next block is prefetched line by
 * line. */
#ifndef AITERI_ENGINE_STREAM_C
#define AITERI_ENGINE_STREAM_C

#include "engine_softmax.c"

typedef struct aiteri_stream_scratch {
    float *q, *o, *m, *l; /* rows of every kv head of the work: [kv heads][rows][...] */
    float *s;             /* [rows][AITERI_STREAM_KEYS + slack] */
    float *k, *v;         /* widened rows, for types and strides without a loop of their own */
    float *k_scale, *v_scale, *bias;
    uint32_t *seen; /* of each row: bit i is set if the score at place i is not -infinity */
    const void **k_rows, **v_rows;
    char *staged;          /* rows of tiled sources */
    const void **next[2];  /* rows of the next block, K and V, of its first head */
    const void **ahead[2]; /* the share of them that a head brings nearer */
} aiteri_stream_scratch;

enum {
    AITERI_SCORE_STRIDE = AITERI_STREAM_KEYS + AITERI_PAD,
    AITERI_STREAM_RUNS = 3 /* of a block: before and behind a gap, one of them of two parts */
};

static void aiteri_stream_scratch_carve(aiteri_stream_scratch *t, aiteri_arena *arena,
                                        const aiteri_problem *p)
{
    const size_t rows =
        p->group > AITERI_STREAM_ROWS ? 0 : (size_t)(AITERI_STREAM_ROWS / p->group * p->group);
    const size_t all = rows * (size_t)aiteri_most_stream_heads(p);
    const size_t dim = (size_t)aiteri_padded(p->k.dim), dim_v = (size_t)aiteri_padded(p->v.dim);
    const size_t keys = AITERI_STREAM_KEYS + AITERI_STREAM_SLACK;
    const size_t rows_of_runs =
        AITERI_STREAM_KEYS + (size_t)AITERI_STREAM_RUNS * (size_t)AITERI_STREAM_SLACK;
    t->q = (float *)aiteri_carve(arena, all * dim, sizeof(float));
    t->o = (float *)aiteri_carve(arena, all * dim_v, sizeof(float));
    t->m = (float *)aiteri_carve(arena, all, sizeof(float));
    t->l = (float *)aiteri_carve(arena, all, sizeof(float));
    t->s = (float *)aiteri_carve(arena, rows * AITERI_SCORE_STRIDE, sizeof(float));
    t->k = (float *)aiteri_carve(arena, AITERI_STREAM_KEYS * (size_t)aiteri_block_stride(p->k.dim),
                                 sizeof(float));
    t->v = (float *)aiteri_carve(arena, AITERI_STREAM_KEYS * (size_t)aiteri_block_stride(p->v.dim),
                                 sizeof(float));
    t->k_scale = (float *)aiteri_carve(arena, AITERI_STREAM_KEYS, sizeof(float));
    t->v_scale =
        p->v_in_k ? t->k_scale : (float *)aiteri_carve(arena, AITERI_STREAM_KEYS, sizeof(float));
    t->bias =
        (float *)aiteri_carve(arena, aiteri_reads_pairs(p) ? AITERI_STREAM_KEYS : 0, sizeof(float));
    t->seen = (uint32_t *)aiteri_carve(arena, rows, sizeof(uint32_t));
    t->k_rows = (const void **)aiteri_carve(arena, rows_of_runs, sizeof(void *));
    t->v_rows = (const void **)aiteri_carve(arena, rows_of_runs, sizeof(void *));
    t->staged = (char *)aiteri_carve(arena, aiteri_staged_bytes(p, AITERI_STREAM_KEYS), 1);
    for (int kv = 0; kv < 2; kv++) { /* a head's share may be a token more than its places */
        t->next[kv] = (const void **)aiteri_carve(arena, AITERI_STREAM_KEYS, sizeof(void *));
        t->ahead[kv] = (const void **)aiteri_carve(
            arena, keys + (size_t)aiteri_most_stream_heads(p), sizeof(void *));
    }
}

/* The work being run, for the functions below. */
typedef struct aiteri_stream {
    const aiteri_engine *e;
    const aiteri_work *w;
    aiteri_stream_scratch *t;
    aiteri_sequence s;
    int32_t rows; /* query tokens * group: of one kv head */
    int32_t kv_start, kv_heads;
    aiteri_key_range seen;
    int32_t run[AITERI_STREAM_RUNS][2], runs; /* of keys that are loaded, each of one part */
    aiteri_key_place at[AITERI_STREAM_RUNS];  /* of the first key of each */
    int32_t lo_max, hi_min;                   /* every row sees keys [lo_max, hi_min) */
    aiter_dtype k_type[AITERI_STREAM_RUNS];   /* of each run's rows of K as the kernels read them */
    int k_scales, v_scales;   /* scores are multiplied by scales of K, weights by those of V */
    int adjusts;              /* something but the mask changes scores */
    const aiteri_work *after; /* what this worker will probably run next, or NULL */
} aiteri_stream;

static void aiteri_stream_begin(aiteri_stream *x)
{
    const aiteri_problem *p = x->e->problem;
    const int32_t dim = aiteri_padded(p->k.dim), dim_v = aiteri_padded(p->v.dim);
    const int32_t all = x->rows * x->kv_heads;
    for (int32_t i = 0; i < all; i++) {
        const int32_t r = i % x->rows, h = x->kv_start + i / x->rows;
        float *q = x->t->q + (int64_t)i * dim;
        aiteri_load_query(x->e, &x->s, x->w->q_start + r / p->group, h * p->group + r % p->group,
                          q);
        x->e->kernels->row_scale(q, dim, x->e->rule.query);
        x->t->m[i] = aiteri_minus_inf();
        x->t->l[i] = 0.0f;
    }
    memset(x->t->o, 0, (size_t)all * (size_t)dim_v * sizeof(float));
}

/* Whether sums are multiplied by scales of a part. */
static int aiteri_stream_scales(const aiteri_problem *p, const aiteri_source *source)
{
    return aiteri_scales_rows(source) || aiteri_scales_rows(aiteri_tail_of(p, source));
}

/* What sums over the keys of run i are multiplied by. */
static void aiteri_stream_scales_load(const aiteri_stream *x, const aiteri_source *source,
                                      int32_t h, int32_t i, float *scale)
{
    const int32_t first = x->run[i][0], n = x->run[i][1] - first;
    const aiteri_source *part = aiteri_part_of(x->e->problem, &x->s, source, first);
    if (aiteri_rows_are_whole(part))
        aiteri_source_scales(x->e->problem, &x->s, part, x->at[i], x->kv_start + h, n, scale);
    else /* its elements are */
        for (int32_t k = 0; k < n; k++) scale[k] = 1.0f;
}

/* The type whose loops read rows of a part: its own, or that of codes that are spread, which takes
 * less than the way to f32. UNSET: they are widened to it first. */
static aiter_dtype aiteri_stream_type(const aiteri_kernels *kernels, const aiteri_source *part)
{
    const aiter_dtype type =
        kernels->spread_rows[part->dtype] ? aiteri_spread_type(part->dtype) : part->dtype;
    if ((part->stride_dim != 1 && !aiteri_is_tiled(part)) || !kernels->stream_dot[type] ||
        !aiteri_rows_are_whole(part))
        return AITER_DTYPE_UNSET;
    return type;
}

/* Row pointers of run i for the loops of the type returned: the source's own rows, which are those
 * of the head before and a step, or widened ones. The list is padded with its last entry. */
static aiter_dtype aiteri_stream_rows(const aiteri_stream *x, const aiteri_source *source,
                                      int32_t h, int32_t i, const void **rows, float *scratch)
{
    const aiteri_problem *p = x->e->problem;
    const int32_t first = x->run[i][0], end = x->run[i][1], n = end - first;
    const aiteri_source *part = aiteri_part_of(p, &x->s, source, first);
    const aiter_dtype type = aiteri_stream_type(x->e->kernels, part);
    const int tiled = aiteri_is_tiled(part), spreads = type != part->dtype;
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS);
    if (type == AITER_DTYPE_UNSET) {
        const aiteri_row_room room = {rows, x->t->staged};
        aiteri_load_rows(x->e, &x->s, source, x->kv_start + h, first, end, &room, 1,
                         aiteri_f32_load, scratch, 0);
        for (int32_t k = 0; k < n + AITERI_STREAM_SLACK; k++)
            rows[k] = scratch + (k < n ? k : n - 1) * aiteri_block_stride(part->dim);
        return AITER_F32;
    }
    if (h > 0 && !tiled && !spreads) {
        const int64_t step = aiteri_bytes_of(type, part->stride_head);
        for (int32_t k = 0; k < n + AITERI_STREAM_SLACK; k++)
            rows[k] = (const char *)rows[k] + step;
        return type;
    }
    char *staged = x->t->staged + first % AITERI_STREAM_KEYS * aiteri_staged_stride(part);
    aiteri_stored_rows(x->e->kernels, p, &x->s, part, x->at[i], x->kv_start + h, n, rows, staged);
    if (spreads)
        x->e->kernels->spread_rows[part->dtype](
            (char *)scratch, aiteri_block_stride(part->dim) * (int64_t)sizeof(float), rows, n,
            part->dim);
    for (int32_t k = n; k < n + AITERI_STREAM_SLACK; k++) rows[k] = rows[n - 1];
    return type;
}

/* Where the rows of run i begin in their list: behind those of the runs before and their padding.
 */
static int32_t aiteri_stream_place(const aiteri_stream *x, int32_t block, int32_t i)
{
    return x->run[i][0] - block + i * AITERI_STREAM_SLACK;
}

/* Scores of run i of keys, at their places in the block that starts at `block`. */
static void aiteri_stream_scores(aiteri_stream *x, int32_t h, int32_t block, int32_t i)
{
    const aiteri_problem *p = x->e->problem;
    aiteri_stream_scratch *t = x->t;
    const int32_t first = x->run[i][0], end = x->run[i][1], place = first - block;
    const int32_t dim = aiteri_padded(p->k.dim);
    const void **rows = t->k_rows + aiteri_stream_place(x, block, i);
    AITERI_ASSERT(block <= first && end <= block + AITERI_STREAM_KEYS);
    x->k_type[i] =
        aiteri_stream_rows(x, &p->k, h, i, rows, t->k + place * aiteri_block_stride(p->k.dim));
    x->e->kernels->stream_dot[x->k_type[i]](t->s + place, AITERI_SCORE_STRIDE,
                                            t->q + (int64_t)h * x->rows * dim, dim, x->rows,
                                            p->k.dim, rows, end - first, t->ahead[0] + place);
}

/* What one row does to its scores before the softmax; hidden places become -inf. A whole block has
 * none. */
static void aiteri_stream_adjust(const aiteri_stream *x, int32_t h, int32_t r, int32_t block,
                                 int whole)
{
    const aiteri_problem *p = x->e->problem;
    float *s = x->t->s + (int64_t)r * AITERI_SCORE_STRIDE;
    if (x->k_scales) x->e->kernels->stream_mul(s, x->t->k_scale);
    x->t->seen[r] = 0xffffffffu;
    if (whole && !x->adjusts) return;
    const int32_t token = x->w->q_start + r / p->group;
    const int32_t head = (x->kv_start + h) * p->group + r % p->group;
    const float slope = p->alibi_slopes ? aiteri_slope_of(p, &x->s, head) : 0.0f;
    const float position = aiteri_position_of(&x->s, token);
    aiteri_adjust adjust = aiteri_adjust_of(x->e, &slope, &position);
    aiteri_lane_mask mask;
    if (!whole || aiteri_reads_pairs(p)) {
        const aiteri_key_range own = aiteri_visible_keys(p, &x->s, token);
        mask.lo[0] = own.lo;
        mask.hi[0] = own.hi;
        mask.sink[0] = mask.most_sink = own.sink;
        if (!whole) adjust.mask = &mask;
        if (aiteri_reads_pairs(p)) {
            for (int32_t i = 0; i < AITERI_STREAM_KEYS; i++)
                x->t->bias[i] = aiteri_bias_at(p, &x->s, token, head, own, block + i);
            adjust.bias = x->t->bias;
        }
    }
    const int hides = adjust.mask || adjust.bias || adjust.slope;
    if (hides || adjust.softcap) /* a factor comes with one of them */
        x->e->kernels->stream_adjust(s, block, &adjust);
    for (int32_t i = 0; hides && i < AITERI_STREAM_KEYS; i++)
        if (aiteri_bits_of_f32(s[i]) == 0xff800000u) x->t->seen[r] &= ~((uint32_t)1 << i);
}

/* Does every row of the work see all of the block's loaded keys? */
static int aiteri_stream_sees_all(const aiteri_stream *x, const aiteri_key_block *b)
{
    return b->gap == b->resume && b->first >= x->lo_max && b->end <= x->hi_min;
}

/* Bits [first, end) of a word; end > first. */
AITERI_FORCE_INLINE uint32_t aiteri_bits_between(int32_t first, int32_t end)
{
    return (0xffffffffu >> (32 - (end - first))) << first;
}

/* o += p v over run i of keys: all rows at once, or each over the keys that it sees itself, so that
 * a hidden V row cannot reach it whatever it holds. */
static void aiteri_stream_values(aiteri_stream *x, int32_t h, int32_t block, int32_t i)
{
    const aiteri_problem *p = x->e->problem;
    const aiteri_kernels *kernels = x->e->kernels;
    aiteri_stream_scratch *t = x->t;
    const int32_t first = x->run[i][0], end = x->run[i][1];
    const int32_t stride = aiteri_padded(p->v.dim);
    const void **rows = (p->v_in_k ? t->k_rows : t->v_rows) + aiteri_stream_place(x, block, i);
    const aiter_dtype type =
        p->v_in_k ? x->k_type[i] : aiteri_stream_rows(x, &p->v, h, i, rows, t->v);
    const aiteri_axpy_fn axpy = kernels->stream_axpy[type];
    float *o = t->o + (int64_t)h * x->rows * stride;
    const uint32_t run = aiteri_bits_between(first - block, end - block);
    uint32_t all = run;
    for (int32_t r = 0; r < x->rows; r++) all &= t->seen[r];
    if (all == run) {
        axpy(o, stride, t->s + (first - block), AITERI_SCORE_STRIDE, x->rows, p->v.dim, rows,
             end - first, t->ahead[1] + (first - block));
        return;
    }
    for (int32_t r = 0; r < x->rows; r++) {
        const uint32_t seen = t->seen[r] & run;
        for (int32_t at = first - block, to; at < end - block; at = to) {
            to = at + 1;
            if (!(seen >> at & 1)) continue;
            while (to < end - block && seen >> to & 1) to++;
            axpy(o + (int64_t)r * stride, stride, t->s + (int64_t)r * AITERI_SCORE_STRIDE + at,
                 AITERI_SCORE_STRIDE, 1, p->v.dim, rows + (at + block - first), to - at,
                 t->ahead[1] + at);
        }
    }
}

/* The block that will be worked on after this one: of this work, or the first of the next; its keys
 * of one part. */
typedef struct aiteri_next_block {
    aiteri_sequence s;
    int32_t kv_start, first, end;
} aiteri_next_block;

static aiteri_next_block aiteri_stream_next(const aiteri_stream *x, int32_t end)
{
    const aiteri_problem *p = x->e->problem;
    const int32_t first = (int32_t)aiteri_max(end, x->seen.lo);
    const int32_t stop = (int32_t)aiteri_min(
        aiteri_min((int64_t)end + AITERI_STREAM_KEYS, x->w->kv_end), x->seen.hi);
    aiteri_next_block n = {x->s, x->kv_start, first, aiteri_part_end(&x->s, first, stop)};
    if (first < stop || !x->after) return n;
    n.s = aiteri_sequence_of(p, x->after->batch);
    n.kv_start = x->after->head_start / p->group;
    const aiteri_key_range seen =
        aiteri_visible_keys_of_span(p, &n.s, x->after->q_start, x->after->q_end);
    n.first = (int32_t)aiteri_max(x->after->kv_start, seen.lo);
    n.end = (int32_t)aiteri_min(
        aiteri_min((int64_t)x->after->kv_start + AITERI_STREAM_KEYS, x->after->kv_end), seen.hi);
    n.end = aiteri_part_end(&n.s, n.first, n.end);
    return n;
}

/* The rows of the next block's first head. V in K comes with K. */
static void aiteri_stream_look(const aiteri_stream *x, const aiteri_next_block *n)
{
    const aiteri_problem *p = x->e->problem;
    if (n->first >= n->end) return;
    const aiteri_key_place at = aiteri_place_of_key(p, &n->s, n->first);
    for (int kv = 0; kv < (p->v_in_k ? 1 : 2); kv++)
        aiteri_stored_rows(x->e->kernels, p, &n->s,
                           aiteri_part_of(p, &n->s, kv ? &p->v : &p->k, n->first), at, n->kv_start,
                           n->end - n->first, x->t->next[kv], NULL);
}

/* Spreads kv head h's share of the next block over the places of this one: where the heads of a
 * token lie side by side, all heads of a slice of its tokens, in the order of memory; else this
 * head's own rows. */
static void aiteri_stream_aim(const aiteri_stream *x, int32_t h, const aiteri_next_block *n)
{
    const aiteri_problem *p = x->e->problem;
    for (int kv = 0; kv < 2; kv++) {
        const aiteri_source *src = aiteri_part_of(p, &n->s, kv ? &p->v : &p->k, n->first);
        const void **ahead = x->t->ahead[kv];
        const int joined = x->kv_heads > 1 && src->stride_head == src->dim;
        const int32_t keys = kv && p->v_in_k ? 0 : (int32_t)aiteri_max(0, n->end - n->first);
        const int32_t heads = joined ? x->kv_heads : 1, share = joined ? h : 0;
        const int32_t from = keys * share / heads, to = keys * (share + 1) / heads;
        const int64_t step = aiteri_bytes_of(src->dtype, src->stride_head);
        for (int32_t t = from; t < to; t++) {
            const char *row = (const char *)x->t->next[kv][t] + (joined ? 0 : h * step);
            for (int32_t head = 0; head < heads; head++) *ahead++ = row + head * step;
        }
        while (ahead < x->t->ahead[kv] + AITERI_STREAM_KEYS + AITERI_STREAM_SLACK)
            *ahead++ = x->t->q; /* nothing to bring: a line that is here already */
    }
}

static void aiteri_stream_runs(aiteri_stream *x, const aiteri_key_block *b)
{
    const int32_t ends[2][2] = {{b->first, b->gap}, {b->resume, b->end}};
    x->runs = 0;
    for (int i = 0; i < 2; i++)
        for (int32_t at = ends[i][0]; at < ends[i][1];) {
            int32_t *run = x->run[x->runs];
            x->at[x->runs++] = aiteri_place_of_key(x->e->problem, &x->s, at);
            run[0] = at;
            run[1] = at = aiteri_part_end(&x->s, at, ends[i][1]);
        }
}

/* One kv head against one block. */
static void aiteri_stream_step(aiteri_stream *x, int32_t h, int32_t block,
                               const aiteri_key_block *b)
{
    const aiteri_problem *p = x->e->problem;
    const aiteri_kernels *kernels = x->e->kernels;
    aiteri_stream_scratch *t = x->t;
    const int32_t dim_v = aiteri_padded(p->v.dim);
    const int whole =
        b->first == block && b->end == block + AITERI_STREAM_KEYS && aiteri_stream_sees_all(x, b);
    if (x->v_scales && !whole) memset(t->v_scale, 0, AITERI_STREAM_KEYS * sizeof(float));
    if (x->k_scales && !whole) memset(t->k_scale, 0, AITERI_STREAM_KEYS * sizeof(float));
    for (int32_t i = 0; i < x->runs; i++) {
        const int32_t place = x->run[i][0] - block;
        aiteri_stream_scores(x, h, block, i);
        if (x->k_scales) aiteri_stream_scales_load(x, &p->k, h, i, t->k_scale + place);
        if (x->v_scales && !p->v_in_k)
            aiteri_stream_scales_load(x, &p->v, h, i, t->v_scale + place);
    }
    for (int32_t r = 0; r < x->rows; r++) {
        float *s = t->s + (int64_t)r * AITERI_SCORE_STRIDE;
        const int64_t i = (int64_t)h * x->rows + r;
        aiteri_stream_adjust(x, h, r, block, whole);
        const float factor = kernels->stream_softmax(s, x->e->rule.softmax, &t->m[i], &t->l[i]);
        if (factor != 1.0f) kernels->row_scale(t->o + i * dim_v, dim_v, factor);
        if (x->v_scales) kernels->stream_mul(s, t->v_scale);
    }
    for (int32_t i = 0; i < x->runs; i++) aiteri_stream_values(x, h, block, i);
}

static void aiteri_stream_end(aiteri_stream *x)
{
    const aiteri_problem *p = x->e->problem;
    const int32_t dim_v = aiteri_padded(p->v.dim);
    const int32_t heads = x->w->head_end - x->w->head_start;
    for (int32_t i = 0; i < x->rows * x->kv_heads; i++) {
        const int32_t r = i % x->rows, token = r / p->group;
        const int32_t head = i / x->rows * p->group + r % p->group; /* within the work */
        float *row = x->t->o + (int64_t)i * dim_v;
        const aiteri_row_state state = {x->t->m[i], x->t->l[i], 1.0f};
        if (x->w->partial_row >= 0)
            aiteri_store_partial(x->e, x->w->partial_row + (int64_t)token * heads + head, row,
                                 state.m, state.l);
        else
            aiteri_finish_row(x->e, &x->s, x->w->q_start + token, x->w->head_start + head, row,
                              state);
    }
}

static void aiteri_run_stream_work(const aiteri_engine *e, const aiteri_work *w,
                                   const aiteri_work *after, aiteri_stream_scratch *t)
{
    const aiteri_problem *p = e->problem;
    aiteri_stream x;
    memset(&x, 0, sizeof x);
    x.e = e;
    x.w = w;
    x.after = after;
    x.t = t;
    x.s = aiteri_sequence_of(p, w->batch);
    x.rows = (w->q_end - w->q_start) * p->group;
    x.kv_start = w->head_start / p->group;
    x.kv_heads = (w->head_end - w->head_start) / p->group;
    x.seen = aiteri_visible_keys_of_span(p, &x.s, w->q_start, w->q_end);
    x.k_scales = aiteri_stream_scales(p, &p->k);
    x.v_scales = p->v_in_k ? x.k_scales : aiteri_stream_scales(p, &p->v);
    x.adjusts = p->softcap > 0.0f || p->alibi_slopes || aiteri_reads_pairs(p);
    x.hi_min = x.s.seqlen_k;
    for (int32_t i = w->q_start; i < w->q_end; i++) {
        const aiteri_key_range own = aiteri_visible_keys(p, &x.s, i);
        x.lo_max = (int32_t)aiteri_max(x.lo_max, own.lo);
        x.hi_min = (int32_t)aiteri_min(x.hi_min, own.hi);
    }
    AITERI_ASSERT(0 < x.rows && x.rows <= AITERI_STREAM_ROWS);
    AITERI_ASSERT(0 < x.kv_heads && x.kv_heads <= aiteri_most_stream_heads(p));
    AITERI_ASSERT(w->head_start % p->group == 0 && w->kv_start % AITERI_STREAM_KEYS == 0);
    aiteri_stream_begin(&x);
    for (int32_t at = w->kv_start; at < w->kv_end; at += AITERI_STREAM_KEYS) {
        const int32_t end = (int32_t)aiteri_min((int64_t)at + AITERI_STREAM_KEYS, w->kv_end);
        const aiteri_key_block b = aiteri_key_block_clip(x.seen, at, end);
        if (b.first >= b.end) continue;
        aiteri_stream_runs(&x, &b);
        const aiteri_next_block next = aiteri_stream_next(&x, end);
        aiteri_stream_look(&x, &next);
        for (int32_t h = 0; h < x.kv_heads; h++) {
            aiteri_stream_aim(&x, h, &next);
            aiteri_stream_step(&x, h, at, &b);
        }
    }
    aiteri_stream_end(&x);
}

#endif /* AITERI_ENGINE_STREAM_C */
