/* fuzz_plan.c -- the planner alone, on lengths without tensors: every visible (row, head, key) is
 * worked on exactly once, partial rows and merges fit together, the bounds hold, and a sequence is
 * cut the same way in any company. It includes src/plan, no kernels. */
#include "fuzz.h"

#include "../../src/api_ops.h"
#include "../../src/plan/plan.c"

/* Of context/hooks.c, which is not here: the planner never fails. */
static void aiteri_context_failed(aiter_context *ctx, const char *text)
{
    (void)ctx;
    FUZZ_CHECK(0, "%s", text);
}

enum { MOST_BATCH = 6, MOST_WORKS = 1 << 12, MOST_KEYS = 200000 };

static union {
    uint64_t align;
    unsigned char bytes[(1 << 20) + 256];
} memory, again;

typedef struct fuzz_lengths {
    int32_t q[MOST_BATCH], k[MOST_BATCH];
} fuzz_lengths;

static int32_t a_length(fuzz_input *in, int32_t most)
{
    const uint32_t kind = fuzz_u8(in);
    const int32_t x = kind < 200 ? (int32_t)kind % 40 : (int32_t)(fuzz_u64(in, 3) % (uint64_t)most);
    return x < most ? x : most;
}

static aiteri_problem a_problem(fuzz_input *in, fuzz_lengths *l)
{
    static const int32_t groups[] = {1, 2, 3, 5, 7, 8, 16, 17, 48, 128};
    aiteri_problem p;
    memset(&p, 0, sizeof p);
    p.batch = 1 + fuzz_below(in, MOST_BATCH);
    p.heads_k = 1 + fuzz_below(in, 4);
    p.group = groups[fuzz_below(in, 10)];
    p.heads_q = p.heads_k * p.group;
    p.k.dim = 1 + (int32_t)(fuzz_u64(in, 2) % 576);
    p.v.dim = 1 + (int32_t)(fuzz_u64(in, 2) % 576);
    p.k.stride_head = fuzz_u8(in) & 1 ? p.k.dim : (int64_t)1 << 32;
    p.k.stride_token = (int64_t)p.k.dim * p.heads_k;
    p.mask = (aiter_mask)(AITER_MASK_NONE + fuzz_below(in, 4));
    p.window_left =
        fuzz_below(in, 4) ? a_length(in, 3000) - 1 : (int32_t)fuzz_u64(in, 4) & INT32_MAX;
    p.window_right =
        fuzz_below(in, 4) ? a_length(in, 300) - 1 : (int32_t)fuzz_u64(in, 4) & INT32_MAX;
    p.sink_tokens = fuzz_below(in, 2) ? 0 : fuzz_below(in, 8) ? a_length(in, 600) : INT32_MAX;
    p.num_splits = fuzz_below(in, 3) ? 0 : 1 + fuzz_below(in, 40);
    if (p.num_splits == 40) p.num_splits = INT32_MAX;
    for (int b = 0; b < p.batch; b++) {
        l->q[b] = a_length(in, 400);
        l->k[b] = a_length(in, MOST_KEYS);
        if (l->q[b] > p.max_seqlen_q) p.max_seqlen_q = l->q[b];
        if (l->k[b] > p.max_seqlen_k) p.max_seqlen_k = l->k[b];
        p.total_q += l->q[b];
        if (p.batch % 2) p.total_k += l->k[b]; /* else every sequence has the longest */
    }
    p.seqused_q = l->q;
    p.seqused_k = l->k;
    p.used_stride_q = p.used_stride_k = 1;
    return p;
}

static aiteri_geometry a_geometry(fuzz_input *in, const aiteri_problem *p)
{
    static const int32_t lanes[] = {4, 24, 48, 16};
    const int32_t tile_lanes = lanes[fuzz_below(in, 4)];
    aiteri_geometry g = aiteri_geometry_of(p, AITER_ISA_SCALAR, tile_lanes, 1 + fuzz_below(in, 9));
    if (fuzz_below(in, 8) == 0) g.split_keys = AITERI_TILE_KEYS * (1 + fuzz_below(in, 64));
    return g;
}

/* Makes it in `to`, or returns 0: more works than are looked at here. */
static int make(const aiteri_problem *p, const aiteri_geometry *g, aiteri_schedule *s, void *to)
{
    *s = aiteri_schedule_count(p, g);
    if (s->works > MOST_WORKS) return 0;
    const size_t bytes =
        aiteri_plan_bytes(g->workers, (size_t)s->works, (size_t)s->reduces, (size_t)s->partials);
    if (bytes > sizeof memory.bytes - 256) return 0;
    FUZZ_SHOW(to, bytes);
    FUZZ_HIDE((char *)to + bytes, 256);
    aiteri_schedule_write(s, p, g, to);
    return 1;
}

static int64_t keys_of_row(const aiteri_problem *p, const aiteri_sequence *s, int32_t row,
                           int64_t first, int64_t end)
{
    return aiteri_keys_in_range(aiteri_visible_keys(p, s, row), first, end);
}

/* All pieces of one span follow each other: their keys are disjoint and hold what each row sees. */
static int64_t check_span(const aiteri_problem *p, const aiteri_schedule *s, int64_t first)
{
    const aiteri_work w = aiteri_work_at(s->work_info, first);
    const aiteri_sequence q = aiteri_sequence_of(p, w.batch);
    int64_t end = first + 1;
    if (w.reduce >= 0)
        while (end < s->works && aiteri_work_at(s->work_info, end).reduce == w.reduce) end++;
    FUZZ_CHECK(w.q_start >= 0 && w.q_start < w.q_end && w.q_end <= q.seqlen_q, "rows %d to %d",
               (int)w.q_start, (int)w.q_end);
    for (int64_t i = first; i < end; i++) {
        const aiteri_work piece = aiteri_work_at(s->work_info, i);
        FUZZ_CHECK(piece.kv_start >= 0 && piece.kv_start <= piece.kv_end &&
                       piece.kv_end <= q.seqlen_k,
                   "keys %d to %d of %d", (int)piece.kv_start, (int)piece.kv_end, (int)q.seqlen_k);
        FUZZ_CHECK(i == first || piece.kv_start >= aiteri_work_at(s->work_info, i - 1).kv_end,
                   "pieces share keys");
    }
    for (int32_t row = w.q_start; row < w.q_end; row++) {
        int64_t seen = 0;
        for (int64_t i = first; i < end; i++) {
            const aiteri_work piece = aiteri_work_at(s->work_info, i);
            seen += keys_of_row(p, &q, row, piece.kv_start, piece.kv_end);
        }
        FUZZ_CHECK(seen == keys_of_row(p, &q, row, 0, q.seqlen_k), "row %d: %lld keys", (int)row,
                   (long long)seen);
    }
    return end;
}

/* Each (row, head) of each sequence lies in one span; partial rows follow each other. */
static void check_cover(const aiteri_problem *p, const aiteri_schedule *s)
{
    static unsigned char rows[400][512];
    int64_t next_partial = 0, i = 0;
    for (int32_t b = 0; b < p->batch; b++) {
        const aiteri_sequence q = aiteri_sequence_of(p, b);
        for (int32_t r = 0; r < q.seqlen_q; r++) memset(rows[r], 0, (size_t)p->heads_q);
        while (i < s->works && aiteri_work_at(s->work_info, i).batch == b) {
            const aiteri_work w = aiteri_work_at(s->work_info, i);
            const int64_t end = check_span(p, s, i);
            FUZZ_CHECK(w.head_start < w.head_end && w.head_end <= p->heads_q, "heads");
            for (int32_t r = w.q_start; r < w.q_end; r++)
                for (int32_t h = w.head_start; h < w.head_end; h++)
                    FUZZ_CHECK(rows[r][h]++ == 0, "row %d of head %d twice", (int)r, (int)h);
            FUZZ_CHECK((w.reduce >= 0) == (w.partial_row >= 0) && (w.reduce >= 0) == (end > i + 1),
                       "a merge of one piece");
            for (; i < end; i++) {
                const aiteri_work piece = aiteri_work_at(s->work_info, i);
                if (piece.partial_row < 0) continue;
                FUZZ_CHECK(piece.partial_row == next_partial, "partial rows overlap");
                next_partial += (int64_t)(w.q_end - w.q_start) * (w.head_end - w.head_start);
            }
        }
        for (int32_t r = 0; r < q.seqlen_q; r++)
            for (int32_t h = 0; h < p->heads_q; h++)
                FUZZ_CHECK(rows[r][h] == 1, "row %d of head %d is nobody's", (int)r, (int)h);
    }
    FUZZ_CHECK(i == s->works && next_partial == s->partial_rows, "works or partial rows are left");
}

static void check_maps(const aiteri_schedule *s, const aiteri_geometry *g)
{
    int64_t pieces = 0, groups = 0;
    FUZZ_CHECK(s->work_indptr[0] == 0 && s->work_indptr[g->workers] == s->works, "work_indptr");
    for (int32_t w = 0; w < g->workers; w++)
        FUZZ_CHECK(s->work_indptr[w] <= s->work_indptr[w + 1], "work_indptr falls");
    for (int64_t i = 0; i < s->works; i++) {
        const aiteri_work w = aiteri_work_at(s->work_info, i);
        if (w.reduce < 0) continue;
        if (w.reduce == groups) groups++;
        FUZZ_CHECK(w.reduce == groups - 1, "merge groups out of order");
        const int32_t *of = s->reduce_final_map + (int64_t)w.reduce * AITERI_REDUCE_INTS;
        FUZZ_CHECK(of[0] == w.batch && of[1] == w.q_start && of[2] == w.q_end &&
                       (uint32_t)of[3] == ((uint32_t)w.head_start | (uint32_t)w.head_end << 16),
                   "a merge of other rows");
        FUZZ_CHECK(s->reduce_indptr[w.reduce] <= pieces &&
                       pieces < s->reduce_indptr[w.reduce + 1] &&
                       s->reduce_partial_map[pieces] == w.partial_row,
                   "a merge of other pieces");
        pieces++;
    }
    FUZZ_CHECK(groups == s->reduces && pieces == s->partials, "merges without pieces");
}

static void check_bounds(const aiteri_problem *p, const aiteri_schedule *s, int32_t lanes)
{
    const aiteri_schedule_bounds n = aiteri_schedule_bounds_of(p, lanes);
    FUZZ_CHECK((size_t)s->works <= n.works && (size_t)s->reduces <= n.reduces &&
                   (size_t)s->partials <= n.partials && (size_t)s->partial_rows <= n.partial_rows,
               "%lld works, %lld merges, %lld pieces, %lld rows", (long long)s->works,
               (long long)s->reduces, (long long)s->partials, (long long)s->partial_rows);
}

/* A sequence alone, on one worker: its keys are cut at the same places. */
static void check_alone(const aiteri_problem *p, const aiteri_geometry *g, const aiteri_schedule *s,
                        int32_t b)
{
    aiteri_problem alone = *p;
    aiteri_geometry one = *g;
    aiteri_schedule other;
    int64_t i = 0;
    alone.batch = 1;
    alone.seqused_q = p->seqused_q + b;
    alone.seqused_k = p->seqused_k + b;
    if (!make(&alone, &one, &other, again.bytes)) return;
    while (i < s->works && aiteri_work_at(s->work_info, i).batch != b) i++;
    for (int64_t j = 0; j < other.works; j++, i++) {
        FUZZ_CHECK(i < s->works, "a sequence has fewer works in company");
        const aiteri_work x = aiteri_work_at(s->work_info, i),
                          y = aiteri_work_at(other.work_info, j);
        FUZZ_CHECK(x.batch == b && x.q_start == y.q_start && x.q_end == y.q_end &&
                       x.kv_start == y.kv_start && x.kv_end == y.kv_end &&
                       x.head_start == y.head_start && x.head_end == y.head_end,
                   "work %lld of sequence %d differs in company", (long long)j, (int)b);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, size, 0};
    fuzz_lengths l;
    aiteri_schedule s;
    const aiteri_problem p = a_problem(&in, &l);
    const aiteri_geometry g = a_geometry(&in, &p);
    int64_t cells = 0;
    for (int32_t b = 0; b < p.batch; b++)
        cells += (int64_t)l.q[b] * (p.heads_q + aiteri_ceil_div(l.k[b], AITERI_STREAM_KEYS));
    if (cells > 1 << 14 || !make(&p, &g, &s, memory.bytes)) return 0;
    check_cover(&p, &s);
    check_maps(&s, &g);
    if (!g.split_keys) check_bounds(&p, &s, g.tile_lanes);
    check_alone(&p, &g, &s, fuzz_below(&in, p.batch));
    return 0;
}
