/* test_schedule.c -- the planner alone, on lengths without tensors: its bounds hold, workers get
 * stretches of the works, and a sequence is cut the same way in any company. */
#include "test.h"
#include "reference.c"

enum { MOST = 40 };

typedef struct lengths {
    int32_t q[MOST], k[MOST];
} lengths;

static aiteri_problem random_problem(test_rng *r, lengths *l, int64_t longest)
{
    static const int groups[] = {1, 2, 3, 5, 7, 8, 16, 17, 48, 128};
    aiteri_problem p;
    int b;
    memset(&p, 0, sizeof p);
    p.batch = rng_int(r, 1, MOST);
    p.heads_k = rng_int(r, 1, 9);
    p.group = groups[rng_int(r, 0, 9)];
    p.heads_q = p.heads_k * p.group;
    p.k.dim = rng_int(r, 1, 576);
    p.v.dim = rng_int(r, 1, 576);
    p.k.stride_head = rng_int(r, 0, 1) ? p.k.dim : (int64_t)1 << 32;
    p.k.stride_token = (int64_t)p.k.dim * p.heads_k;
    p.mask = (aiter_mask)rng_int(r, AITER_MASK_NONE, AITER_MASK_WINDOW);
    p.window_left = rng_int(r, -1, 3000);
    p.window_right = rng_int(r, -1, 300);
    p.sink_tokens = rng_int(r, 0, 1) ? 0 : rng_int(r, 1, 600);
    p.num_splits = rng_int(r, 0, 2) ? 0 : rng_int(r, 1, 40);
    for (b = 0; b < p.batch; b++) {
        l->q[b] = rng_int(r, 0, 1) ? rng_int(r, 0, 20) : rng_int(r, 0, 2000);
        l->k[b] =
            rng_int(r, 0, 3) ? rng_int(r, 0, 6000) : (int32_t)(rng_next(r) % (uint64_t)longest);
        if (l->q[b] > p.max_seqlen_q) p.max_seqlen_q = l->q[b];
        if (l->k[b] > p.max_seqlen_k) p.max_seqlen_k = l->k[b];
        p.total_q += l->q[b];
    }
    p.seqused_q = l->q;
    p.seqused_k = l->k;
    p.used_stride_q = p.used_stride_k = 1;
    return p;
}

static aiteri_kernels lanes_only(test_rng *r)
{
    static const int lanes[] = {4, 24, 48, 16};
    aiteri_kernels k;
    memset(&k, 0, sizeof k);
    k.isa = AITER_ISA_SCALAR;
    k.tile_lanes = lanes[rng_int(r, 0, 3)];
    return k;
}

/* One array behind the other: the workers' ranges, works, merges, their rows and their pieces. */
static void arrays_are_apart(const aiteri_schedule *s, int32_t workers, size_t bytes,
                             const void *memory)
{
    const int32_t *const end =
        (const int32_t *)(const void *)((const char *)memory + bytes / 4 * 4);
    CHECK(s->work_info - s->work_indptr >= workers + 1, "works lie on the workers' ranges");
    CHECK(s->reduce_indptr - s->work_info >= s->works * AITERI_WORK_INTS,
          "merges lie on the last of %d works", (int)s->works);
    CHECK(s->reduce_final_map - s->reduce_indptr >= s->reduces + 1, "rows of merges lie on them");
    CHECK(s->reduce_partial_map - s->reduce_final_map >= s->reduces * AITERI_REDUCE_INTS,
          "pieces lie on the rows of %d merges", (int)s->reduces);
    CHECK(end - s->reduce_partial_map >= s->partials, "%d pieces end outside the plan",
          (int)s->partials);
}

static aiteri_schedule scheduled(const aiteri_problem *p, const aiteri_geometry *g, void **memory)
{
    aiteri_schedule s = aiteri_schedule_count(p, g);
    const size_t bytes =
        aiteri_plan_bytes(g->workers, (size_t)s.works, (size_t)s.reduces, (size_t)s.partials);
    *memory = malloc(2 * bytes); /* what a plan too small would overrun */
    aiteri_schedule_place(&s, *memory, g->workers);
    arrays_are_apart(&s, g->workers, bytes, *memory);
    aiteri_schedule_all(&s, p, g);
    return s;
}

/* Only streams, or only split tiles, and nothing longer than they can be: bounds without slack. */
static void only_family(aiteri_problem *p, lengths *l, test_rng *r, int stream)
{
    static const int few[] = {1, 2, 16}, many[] = {17, 48, 128, 700};
    const int far = rng_int(r, 0, 1), rows = rng_int(r, 0, 1) ? 1 : rng_int(r, 1000, 2000);
    int b;
    p->batch = rng_int(r, 1, 3);
    p->group = stream ? few[rng_int(r, 0, 2)] : many[rng_int(r, 0, 3)];
    p->heads_q = p->heads_k * p->group;
    p->num_splits = 0;
    p->mask = AITER_MASK_NONE;
    p->max_seqlen_q = p->max_seqlen_k = 0;
    p->total_q = 0;
    for (b = 0; b < p->batch; b++) {
        l->q[b] = !stream ? rows / p->group + 1 : rows == 1 ? 1 : 16 / p->group;
        l->k[b] = far      ? stream ? 65536 : 400000
                  : stream ? rng_int(r, 1025, rng_int(r, 0, 1) ? 2048 : 4600)
                           : rng_int(r, 4609, 200000);
        if (l->q[b] > p->max_seqlen_q) p->max_seqlen_q = l->q[b];
        if (l->k[b] > p->max_seqlen_k) p->max_seqlen_k = l->k[b];
        p->total_q += l->q[b];
    }
}

/* A work starts at a block, stays in its sequence's piece and kv head, and shows some key. */
static void works_are_sound(const aiteri_problem *p, const aiteri_geometry *g,
                            const aiteri_schedule *s, uint64_t seed)
{
    int64_t n, odd = 0, wide = 0, long_ones = 0, blind = 0, most = 0;
    int32_t w;
    for (n = 0; n < s->works; n++) {
        const aiteri_work x = aiteri_work_at(s->work_info, n);
        const aiteri_sequence q = aiteri_sequence_of(p, x.batch);
        const int stream = (int64_t)q.seqlen_q * p->group <= AITERI_STREAM_ROWS;
        const int64_t keys = aiteri_split_keys(p, q.seqlen_q, q.seqlen_k);
        odd += x.kv_start % (stream ? AITERI_STREAM_KEYS : AITERI_TILE_KEYS) != 0;
        wide += !stream && x.head_start / p->group != (x.head_end - 1) / p->group;
        long_ones += x.kv_end - x.kv_start > keys;
        blind += x.reduce >= 0 &&
                 !aiteri_range_meets(aiteri_visible_keys_of_span(p, &q, x.q_start, x.q_end),
                                     x.kv_start, x.kv_end);
    }
    for (w = 0; w < g->workers; w++)
        most = aiteri_max(most, s->work_indptr[w + 1] - s->work_indptr[w]);
    CHECK(odd == 0, "seed %" PRIu64 ": %d works start inside a block", seed, (int)odd);
    CHECK(wide == 0, "seed %" PRIu64 ": %d works of several kv heads", seed, (int)wide);
    CHECK(long_ones == 0, "seed %" PRIu64 ": %d works longer than a piece", seed, (int)long_ones);
    CHECK(blind == 0, "seed %" PRIu64 ": %d pieces that nobody sees", seed, (int)blind);
    if (g->workers > 1 && s->works > 8 * g->workers)
        CHECK(most < s->works, "seed %" PRIu64 ": all works fall to one worker", seed);
}

/* Up to 16 packed rows are a stream: whole queries, and as many kv heads as share a work. */
static void streams_are_whole(void)
{
    int group, heads_k, sq, k;
    for (group = 1; group <= 17; group++)
        for (sq = 16 / group; sq <= 16 / group + 1; sq++)
            for (heads_k = 2; heads_k <= 3; heads_k++)
                for (k = 100; k <= 3000; k += 2900) {
                    test_rng r = {1};
                    lengths l;
                    aiteri_problem p = random_problem(&r, &l, 2000);
                    aiteri_kernels kernels = lanes_only(&r);
                    aiteri_geometry g;
                    const int is_stream = sq * group <= 16;
                    p.batch = 1;
                    p.heads_k = heads_k;
                    p.group = group;
                    p.heads_q = heads_k * group;
                    p.k.stride_head = p.k.dim;
                    p.k.stride_token = (int64_t)p.k.dim * heads_k;
                    p.mask = AITER_MASK_NONE;
                    p.num_splits = 0;
                    p.max_seqlen_q = l.q[0] = sq;
                    p.max_seqlen_k = l.k[0] = k;
                    p.total_q = sq;
                    if (sq == 0) continue;
                    g = aiteri_geometry_of(&p, kernels.isa, kernels.tile_lanes, 1);
                    aiteri_schedule s = aiteri_schedule_count(&p, &g);
                    CHECK(!is_stream || s.works == (k + 1023) / 1024,
                          "%d rows of %d heads: %d works for %d keys", sq, group, (int)s.works, k);
                    CHECK(aiteri_takes_stream(&p, sq) == is_stream, "family of %d x %d rows", sq,
                          group);
                }
}

/* Enough query rows for all workers give each of them several works. */
static void workers_are_busy(const aiteri_problem *p, const aiteri_geometry *g,
                             const aiteri_schedule *s, uint64_t seed)
{
    int64_t rows = 0;
    int b;
    for (b = 0; b < p->batch; b++)
        if ((int64_t)p->seqused_q[b] * p->group > AITERI_STREAM_ROWS)
            rows += (int64_t)p->seqused_q[b] * p->heads_q;
    if (g->workers > 1 && rows >= 4 * (int64_t)g->workers * g->tile_lanes)
        CHECK(s->works >= 4 * (int64_t)g->workers, "seed %" PRIu64 ": %d works for %d workers",
              seed, (int)s->works, (int)g->workers);
}

static void bounds_hold(uint64_t seed)
{
    test_rng r = {seed};
    lengths l;
    int32_t i;
    aiteri_problem p = random_problem(&r, &l, 2000000);
    if (seed % 4 == 3) only_family(&p, &l, &r, seed % 8 == 3);
    for (i = 0; seed / 4 % 2 && i < p.batch; i++) p.total_k += l.k[i]; /* as packed keys have */
    aiteri_kernels kernels = lanes_only(&r);
    aiteri_geometry g = aiteri_geometry_of(&p, kernels.isa, kernels.tile_lanes, rng_int(&r, 1, 70));
    aiteri_schedule counted = aiteri_schedule_count(&p, &g), s;
    aiteri_schedule_bounds most = aiteri_schedule_bounds_of(&p, kernels.tile_lanes), fewer;
    aiteri_problem larger = p;
    void *memory;
    int32_t w, falls = 0, lonely = 0;
    CHECK((size_t)counted.works <= most.works && (size_t)counted.reduces <= most.reduces &&
              (size_t)counted.partials <= most.partials &&
              (size_t)counted.partial_rows <= most.partial_rows,
          "seed %" PRIu64 ": %" PRId64 " works, %" PRId64 " merges, %" PRId64 " pieces, %" PRId64
          " partial rows; bounds %zu, %zu, %zu, %zu",
          seed, counted.works, counted.reduces, counted.partials, counted.partial_rows, most.works,
          most.reduces, most.partials, most.partial_rows);
    s = scheduled(&p, &g, &memory);
    CHECK(s.works == counted.works && s.reduces == counted.reduces &&
              s.partials == counted.partials && s.partial_rows == counted.partial_rows,
          "seed %" PRIu64 ": filling counts otherwise than counting", seed);
    CHECK(s.work_indptr[0] == 0 && s.work_indptr[g.workers] == s.works, "ends of work_indptr");
    for (w = 0; w < g.workers; w++) { falls += s.work_indptr[w] > s.work_indptr[w + 1]; }
    for (i = 0; i < s.reduces; i++) { lonely += s.reduce_indptr[i + 1] - s.reduce_indptr[i] < 2; }
    CHECK(falls == 0, "work_indptr falls, seed %" PRIu64, seed);
    CHECK(lonely == 0, "merges of one piece, seed %" PRIu64, seed);
    works_are_sound(&p, &g, &s, seed);
    workers_are_busy(&p, &g, &s, seed);
    larger.max_seqlen_q += rng_int(&r, 0, 500);
    larger.max_seqlen_k += rng_int(&r, 0, 50000);
    larger.total_q += rng_int(&r, 0, 5000);
    if (larger.total_k) larger.total_k += rng_int(&r, 0, 50000);
    fewer = most;
    most = aiteri_schedule_bounds_of(&larger, kernels.tile_lanes);
    CHECK(fewer.works <= most.works && fewer.reduces <= most.reduces &&
              fewer.partials <= most.partials && fewer.partial_rows <= most.partial_rows,
          "seed %" PRIu64 ": the bounds fall when an extent grows", seed);
    free(memory);
}

/* All keys may be those of one sequence, or those of many that are just long enough to be cut: the
 * bounds of both are met, and far below those of as many sequences of that length. */
static void all_keys_are_counted(int stream, int splits)
{
    static int32_t q[MOST], k[MOST];
    const int32_t unit = splits   ? stream ? AITERI_STREAM_KEYS : AITERI_TILE_KEYS
                         : stream ? AITERI_STREAM_SPLIT
                                  : 2 * AITERI_TILE_SPLIT;
    aiteri_geometry g = {AITER_ISA_SCALAR, 1, 16, 1, 1, 0};
    aiteri_problem p;
    aiteri_schedule s;
    aiteri_schedule_bounds most, loose;
    int b, n;
    memset(&p, 0, sizeof p);
    p.heads_q = p.heads_k = p.group = 1;
    p.k.dim = p.v.dim = 64;
    p.mask = AITER_MASK_NONE;
    p.num_splits = splits;
    p.seqused_q = q, p.seqused_k = k;
    p.used_stride_q = p.used_stride_k = 1;
    p.max_seqlen_q = stream ? 1 : 17;
    p.max_seqlen_k = p.total_k = (int64_t)MOST * (unit + 1);
    p.batch = MOST;
    p.total_q = (int64_t)MOST * p.max_seqlen_q;
    most = aiteri_schedule_bounds_of(&p, g.tile_lanes);
    for (n = 1; n <= MOST; n++) { /* so many sequences share the keys */
        for (b = 0; b < MOST; b++) {
            q[b] = p.max_seqlen_q;
            k[b] = b < n ? (int32_t)(p.total_k / n) : 0;
        }
        s = aiteri_schedule_count(&p, &g);
        CHECK((size_t)s.works <= most.works && (size_t)s.reduces <= most.reduces &&
                  (size_t)s.partials <= most.partials &&
                  (size_t)s.partial_rows <= most.partial_rows,
              "%d sequences, stream %d, %d splits: %d pieces in %d rows, %zu in %zu", n, stream,
              splits, (int)s.partials, (int)s.partial_rows, most.partials, most.partial_rows);
    }
    if (stream && splits != 1) /* the last, whose sequences are just too long for one piece */
        CHECK(s.partials == 2 * MOST && most.partials <= 2 * MOST + 1 &&
                  most.reduces == (size_t)s.reduces,
              "%d splits: %d pieces, room for %zu", splits, (int)s.partials, most.partials);
    p.total_k = 0;
    loose = aiteri_schedule_bounds_of(&p, g.tile_lanes);
    CHECK(most.partial_rows * (splits == 0 ? 8 : 1) <= loose.partial_rows &&
              (splits < 3 || most.partial_rows < loose.partial_rows),
          "stream %d, %d splits: %zu rows, %zu without the sum", stream, splits, most.partial_rows,
          loose.partial_rows);
}

/* Where the keys of sequence b are cut for query token i and head h, as a hash. */
static uint64_t cuts_of(const aiteri_schedule *s, int32_t b, int32_t i, int32_t h)
{
    uint64_t hash = 0;
    int64_t n;
    for (n = 0; n < s->works; n++) {
        const aiteri_work w = aiteri_work_at(s->work_info, n);
        if (w.batch != b || i < w.q_start || i >= w.q_end) continue;
        if (h < w.head_start || h >= w.head_end) continue;
        hash += test_mix((uint64_t)(uint32_t)w.kv_start << 32); /* the cuts, whatever the end */
    }
    return hash;
}

/* Alone or in a batch, with any number of workers: the same cuts. Windows may hide whole pieces
 * from a span, so only masks without a left edge are compared. */
static void company_does_not_matter(uint64_t seed)
{
    test_rng r = {seed};
    lengths l, one;
    aiteri_problem p = random_problem(&r, &l, 40000), alone;
    aiteri_kernels kernels = lanes_only(&r);
    aiteri_geometry g;
    aiteri_schedule all, single;
    void *memory, *other;
    int32_t b = rng_int(&r, 0, p.batch - 1), n;
    if (l.q[b] == 0) l.q[b] = 3;
    p.mask = AITER_MASK_NONE;
    if (seed % 2) p.num_splits = 0;
    alone = p;
    alone.batch = 1;
    if (seed % 3 == 0) { /* other heads, too */
        alone.heads_k = rng_int(&r, 1, 9);
        alone.heads_q = alone.heads_k * alone.group;
    }
    one.q[0] = l.q[b];
    one.k[0] = l.k[b];
    alone.seqused_q = one.q;
    alone.seqused_k = one.k;
    g = aiteri_geometry_of(&p, kernels.isa, kernels.tile_lanes, rng_int(&r, 1, 20));
    all = scheduled(&p, &g, &memory);
    g = aiteri_geometry_of(&alone, kernels.isa, kernels.tile_lanes, rng_int(&r, 1, 20));
    single = scheduled(&alone, &g, &other);
    for (n = 0; n < 6; n++) {
        int32_t i = rng_int(&r, 0, l.q[b] - 1), h;
        h = rng_int(&r, 0, (int)aiteri_min(p.heads_q, alone.heads_q) - 1);
        CHECK(cuts_of(&all, b, i, h) == cuts_of(&single, 0, i, h),
              "seed %" PRIu64 ": token %d, head %d is cut otherwise in a batch", seed, (int)i,
              (int)h);
    }
    free(memory);
    free(other);
}

/* ---- sizes ---- */

/* Products, sums and padding stop at SIZE_MAX and never wrap. */
static void sizes_saturate(void)
{
    const size_t most = SIZE_MAX;
    size_t n;
    for (n = 2; n < 40; n++) {
        CHECK(aiteri_mul_size(most / n + 1, n) == most && aiteri_mul_size(n, most / n + 1) == most,
              "a product of %zu", n);
        CHECK(aiteri_mul_size(most / n, n) == most / n * n, "a product of %zu that fits", n);
        CHECK(aiteri_add_size(most - n, n + 1) == most && aiteri_add_size(n, most - 1) == most,
              "a sum of %zu", n);
        CHECK(aiteri_add_size(most - n, n) == most, "a sum of %zu that fits", n);
        CHECK(aiteri_pad_size(most - n, 64) == most, "nearly SIZE_MAX, padded");
        CHECK(aiteri_pad_size(n, 8) == (n + 7) / 8 * 8, "%zu, padded to 8", n);
    }
    CHECK(aiteri_mul_size(0, most) == 0 && aiteri_mul_size(most, 0) == 0, "nothing times much");
}

/* ---- what a plan was made for ---- */

/* Changes field n of what a schedule follows from; 0: there is no such field. */
static int change(int n, aiteri_problem *p, aiteri_geometry *g, lengths *l, test_rng *r)
{
    const int b = rng_int(r, 0, p->batch - 1), more = rng_int(r, 1, 700);
    switch (n) {
    case 0: p->batch += more; return 1;
    case 1: p->heads_q += more; return 1;
    case 2: p->heads_k += more; return 1;
    case 3: p->k.dim += more; return 1;
    case 4: p->v.dim += more; return 1;
    case 5: p->mask = p->mask == AITER_MASK_NONE ? AITER_MASK_CAUSAL : AITER_MASK_NONE; return 1;
    case 6: p->window_left += more; return 1;
    case 7: p->window_right += more; return 1;
    case 8: p->sink_tokens += more; return 1;
    case 9: p->num_splits += more; return 1;
    case 10: l->q[b] += more; return 1;
    case 11: l->k[b] += more; return 1;
    case 12: l->k[p->batch - 1] += more; return 1;
    case 13: l->q[p->batch - 1] += more; return 1;
    case 14: l->k[b] += 256 * more; return 1;
    case 15: g->isa = (aiter_isa)(g->isa + 1); return 1;
    case 16: g->workers += more; return 1;
    case 17: g->tiles += more; return 1;
    case 18: g->stream_heads += more; return 1;
    case 19: g->tile_lanes += more; return 1;
    case 20: l->k[0] ^= l->k[b], l->k[b] ^= l->k[0], l->k[0] ^= l->k[b]; return l->k[0] != l->k[b];
    default: return 0;
    }
}
enum { CHANGES = 21 };

/* A plan is taken by what it was made for, and by nothing that differs in one number. */
static void foreign_plans_are_refused(const aiteri_problem *p, const aiteri_geometry *g, lengths *l,
                                      uint64_t seed)
{
    aiteri_schedule s = aiteri_schedule_count(p, g), taken;
    const lengths was = *l;
    test_rng r = {seed};
    aiter_plan plan;
    int n;
    memset(&plan, 0, sizeof plan);
    plan.bytes =
        aiteri_plan_bytes(g->workers, (size_t)s.works, (size_t)s.reduces, (size_t)s.partials);
    plan.data = malloc(plan.bytes);
    aiteri_schedule_write(&s, p, g, plan.data);
    memset(&taken, 0, sizeof taken);
    CHECK(aiteri_plan_take("op", p, NULL, g, &plan, &taken) == AITER_OK && taken.works == s.works &&
              taken.reduces == s.reduces && taken.partials == s.partials,
          "seed %" PRIu64 ": a plan is not taken: %s", seed, aiter_last_error());
    for (n = 1; n < CHANGES; n++) {
        aiteri_problem q = *p;
        aiteri_geometry h = *g;
        if (change(n, &q, &h, l, &r))
            CHECK(aiteri_plan_take("op", &q, NULL, &h, &plan, &taken) == AITER_INVALID_ARGUMENT,
                  "seed %" PRIu64 ": change %d, and the plan is taken", seed, n);
        *l = was;
    }
    free(plan.data);
}

/* Any change gives another fingerprint; but only a window reads window fields. */
static void fingerprint_tells(uint64_t seed)
{
    test_rng r = {seed};
    lengths l, was;
    aiteri_problem p = random_problem(&r, &l, 40000), q;
    aiteri_kernels kernels = lanes_only(&r);
    aiteri_geometry g, h;
    uint64_t print;
    int n;
    p.batch = p.batch > MOST / 2 ? MOST / 2 : p.batch;
    p.mask = AITER_MASK_WINDOW;
    g = aiteri_geometry_of(&p, kernels.isa, kernels.tile_lanes, rng_int(&r, 1, 20));
    print = aiteri_fingerprint(&p, &g);
    CHECK(print == aiteri_fingerprint(&p, &g), "one call, two fingerprints");
    foreign_plans_are_refused(&p, &g, &l, seed);
    was = l;
    for (n = 0; n < CHANGES; n++) {
        q = p;
        h = g;
        if (n == 0) h.split_keys = 64; /* no lengths, which would tell it, too */
        print = aiteri_fingerprint(&q, &h);
        if (change(n, &q, &h, &l, &r))
            CHECK(print != aiteri_fingerprint(&q, &h), "change %d is not seen, seed %" PRIu64, n,
                  seed);
        l = was;
    }
    for (n = 6; n < 9; n++) {
        q = p;
        q.mask = AITER_MASK_CAUSAL;
        print = aiteri_fingerprint(&q, &g);
        change(n, &q, &h, &l, &r);
        CHECK(print == aiteri_fingerprint(&q, &g), "change %d of a window that is none", n);
    }
    /* A device's works follow from bounds: split_keys, and no lengths. */
    h = g;
    h.split_keys = 256;
    print = aiteri_fingerprint(&p, &h);
    CHECK(print != aiteri_fingerprint(&p, &g), "a device's plan is the host's");
    l.k[0]++;
    CHECK(print == aiteri_fingerprint(&p, &h), "a device's lengths are read");
    h.split_keys = 512;
    CHECK(print != aiteri_fingerprint(&p, &h), "pieces of another size");
}

/* Without num_splits: at most 64 pieces of a stream, 32 of tiles, and as small as that allows. */
static void pieces_are_few(void)
{
    static const int keys[] = {1, 1024, 4608, 4609, 5000, 65536, 65537, 73728, 73729, 5000000};
    size_t i;
    int rows;
    for (i = 0; i < sizeof keys / sizeof keys[0]; i++)
        for (rows = 1; rows <= 1025; rows += 128) {
            aiteri_problem p;
            memset(&p, 0, sizeof p);
            p.group = 1;
            const int64_t most = rows <= AITERI_STREAM_ROWS ? 64 : rows <= 1024 ? 32 : 1;
            const int64_t least = rows <= AITERI_STREAM_ROWS ? 1024 : 2304;
            const int64_t each = aiteri_split_keys(&p, rows, keys[i]);
            const int64_t pieces = (keys[i] + each - 1) / each;
            CHECK(pieces >= 1 && pieces <= most, "%d keys of %d rows: %d pieces", keys[i], rows,
                  (int)pieces);
            CHECK(pieces == 1 || each == least || (keys[i] + each / 2 - 1) / (each / 2) > most,
                  "%d keys of %d rows: %d at a time", keys[i], rows, (int)each);
        }
}

int main(void)
{
    uint64_t seed, most = 800;
    test_begin("schedule", 1e9);
    if (test_is_slow()) most = 60;
    for (seed = 0; seed < most; seed++) bounds_hold(seed);
    streams_are_whole();
    for (seed = 0; seed < 40; seed++) all_keys_are_counted((int)seed % 2, (int)seed / 2);
    pieces_are_few();
    for (seed = 0; seed < 80; seed++) company_does_not_matter(seed);
    sizes_saturate();
    for (seed = 0; seed < 40; seed++) fingerprint_tells(seed);
    return test_end();
}
