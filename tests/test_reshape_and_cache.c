/* test_reshape_and_cache.c -- new tokens into pages: which slots change and to what, exactly. */
#include "test.h"
#include "reference.c"
#include "case_run.h"
#include "cache_mode.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

typedef enum slot_kind {
    SLOTS_SHUFFLED = 0, /* every fifth token skipped */
    SLOTS_IN_TURN,
    SLOTS_ALL_SKIPPED,
    SLOTS_LAST, /* from the end of the cache backwards */
    SLOTS_COUNT
} slot_kind;

typedef struct cache_case {
    int tokens, hk, dq, dv, blocks, page;
    aiter_dtype type, cache_type, slot_type;
    cache_mode quant;
    int scale_per_head, special; /* special: zero rows, huge, tiny and non-finite values */
    int slot_step;               /* stride of the slot mapping */
    int gaps; /* 1: gaps, 2: k and v pages interleaved, 3: strides of the heads swapped */
    slot_kind slots;
    uint64_t seed;
} cache_case;

static int64_t rows_compared;

typedef struct cache_side {
    attn_place rows, pages, scale;
    aiter_tensor rows_t, pages_t, scale_t;
    unsigned char *pages_before, *scale_before;
    int d;
} cache_side;

static int64_t slot_of(const cache_case *c, int token)
{
    int64_t slots = (int64_t)c->blocks * c->page;
    switch (c->slots) {
    case SLOTS_ALL_SKIPPED: return -1;
    case SLOTS_IN_TURN: return token;
    case SLOTS_LAST: return slots - 1 - token;
    default: return token % 5 == 3 ? -1 : (token * 7 + 3) % slots; /* 7 does not divide slots */
    }
}

static float static_scale(const cache_case *c, int which, int h)
{
    h = c->scale_per_head ? h : 0;
    return (float)(0.004 * (1.5 + problem_value(c->seed, 30 + which, 0, h, 0, 0)));
}

/* Most specials fit every quantiser; NaN and infinity only meet conversions. */
static double token_value(const cache_case *c, int which, int token, int h, int d)
{
    static const double specials[] = {0, 65504, 65520, 3.3e38, 1e-40, 6e-8, 5.96e-8, -1.5};
    double x = problem_value(c->seed, 20 + which, 0, h, token, d);
    if (c->special && token % 3 == 0) { /* a row whose step is 0 with and without elements */
        const int tiny = c->quant == CACHE_SCALE_COMPUTED && c->type == AITER_F32 && h % 2;
        return tiny ? ldexp((token + d) % 60, -149) : 0;
    }
    if (c->special && c->quant &&
        token % 3 == 1) { /* halves, which a division alone rounds right */
        x = d == 0 ? 127 : (d * 7 + token) % 250 - 125 + 0.5;
        return problem_round(c->type, x * static_scale(c, which, h));
    }
    if (c->special && c->quant == CACHE_CONVERTS && token % 3 == 1) {
        x = specials[(d + h) % COUNT(specials)];
        if (d % 11 == 10) x = double_of_bits(BITS_NAN);
        if (d % 11 == 9) x = double_of_bits(h % 2 ? BITS_INF : BITS_NEG_INF);
    }
    return problem_round(c->type, c->special && c->quant ? x * 1000 : x);
}

static cache_side side_new(attn_problem *p, const cache_case *c, int which, attn_place *shared)
{
    cache_side s;
    int t, h, d, D = which ? c->dv : c->dq, wide = c->dq > c->dv ? c->dq : c->dv;
    memset(&s, 0, sizeof s);
    s.d = D;
    place_extent(&s.rows, c->type, 1, c->tokens, c->hk, D);
    place_alone(p, &s.rows, c->gaps == 3 ? "0213" : "0123", c->gaps ? 3 : 0, c->gaps == 1 ? 2 : 1,
                SLACK_NAN);
    for (t = 0; t < c->tokens; t++) {
        for (h = 0; h < c->hk; h++) {
            for (d = 0; d < D && slot_of(c, t) >= 0; d++) { /* skipped tokens are not read */
                ref_store(c->type, s.rows.buffer->data, place_at(&s.rows, 0, t, h, d),
                          token_value(c, which, t, h, d));
            }
        }
    }
    s.rows_t = place_tensor(p, &s.rows, "123");
    place_extent(&s.pages, c->cache_type, c->blocks, c->page, c->hk, D);
    if (c->gaps == 2) { /* [num_blocks, 2, page, Hk, D] */
        int64_t row;
        wide += wide % 2 && c->cache_type == AITER_I4;
        row = (int64_t)c->hk * wide;
        s.pages.stride[3] = 1;
        s.pages.stride[2] = wide;
        s.pages.stride[1] = row;
        s.pages.stride[0] = 2 * c->page * row;
        s.pages.offset = which * c->page * row;
        if (!which) {
            *shared = s.pages;
            shared->buffer = problem_buffer(
                p, (size_t)(c->blocks * s.pages.stride[0] * aiter_dtype_bits(c->cache_type) / 8),
                0xC3);
        }
        s.pages.buffer = shared->buffer;
    } else {
        place_alone(p, &s.pages, c->gaps == 3 ? "0213" : "0123", c->gaps ? 1 : 0, 1, 0xC3);
    }
    s.pages_t = place_tensor(p, &s.pages, "0123");
    if (c->quant == CACHE_SCALE_COMPUTED) {
        place_extent(&s.scale, AITER_F32, c->blocks, c->page, c->hk, 1);
        place_alone(p, &s.scale, c->gaps == 3 ? "0213" : "0123", c->gaps ? 1 : 0, 1, 0xC3);
        s.scale_t = place_tensor(p, &s.scale, "012");
    } else if (c->quant == CACHE_SCALE_GIVEN) {
        place_extent(&s.scale, AITER_F32, 1, 1, c->hk, 1);
        place_alone(p, &s.scale, "0123", c->gaps ? 2 : 0, c->gaps ? 3 : 1, 0xC3);
        if (!c->scale_per_head) s.scale.n[2] = 1; /* what lies behind it is not read */
        for (h = 0; h < s.scale.n[2]; h++) {
            ref_store(AITER_F32, s.scale.buffer->data, place_at(&s.scale, 0, 0, h, 0),
                      static_scale(c, which, h));
        }
        s.scale_t = place_tensor(p, &s.scale, "2");
    }
    return s;
}

/* One stored value, bit for bit: a code is the quotient in f32, rounded to nearest even. The double
 * quotient rounds to it: 53 bits are more than twice 24. */
static int value_is_right(const cache_case *c, double x, double scale, double got)
{
    double want;
    float step;
    if (c->quant == CACHE_CONVERTS) {
        want = problem_round(c->cache_type, x);
        return is_nan(want) ? is_nan(got) : bits_of_double(want) == bits_of_double(got);
    }
    if (scale == 0) return got == 0;
    step = (float)(x / scale);
    if (type_is_integer(c->cache_type)) {
        const float most = c->cache_type == AITER_I8 ? 127 : 7;
        step = step > most ? most : step < -most ? -most : step;
    }
    want = problem_round(c->cache_type, step);
    return is_nan(want) ? is_nan(got) : got == want;
}

static double largest_of_row(const cache_case *c, int which, int t, int h, int d)
{
    double most = 0;
    while (d--) {
        double x = fabs(token_value(c, which, t, h, d));
        if (x > most) most = x;
    }
    return most;
}

/* Compares the written slots, then puts the old bytes back in them: all must be as before. */
static void side_check(const cache_case *c, cache_side *s, int which)
{
    int64_t bad = 0, bad_scale = 0;
    int t, h, d;
    for (t = 0; t < c->tokens; t++) {
        int64_t slot = slot_of(c, t);
        for (h = 0; h < c->hk && slot >= 0; h++) {
            double scale = c->quant == CACHE_SCALE_GIVEN ? static_scale(c, which, h) : 1;
            if (c->quant == CACHE_SCALE_COMPUTED) {
                double want =
                    largest_of_row(c, which, t, h, s->d) / problem_round(c->cache_type, 1e30);
                int64_t at = place_at(&s->scale, slot / c->page, slot % c->page, h, 0);
                scale = ref_load(AITER_F32, s->scale.buffer->data, at);
                bad_scale += !(fabs(scale - want) <= 2 * BOUND_U * want + BOUND_FLUSH);
                memcpy(s->scale.buffer->data + 4 * at, s->scale_before + 4 * at, 4);
            }
            for (d = 0; d < s->d; d++) {
                int64_t at = place_at(&s->pages, slot / c->page, slot % c->page, h, d);
                double got = ref_load(c->cache_type, s->pages.buffer->data, at);
                bad += !value_is_right(c, token_value(c, which, t, h, d), scale, got);
                ref_store(c->cache_type, s->pages.buffer->data, at,
                          ref_load(c->cache_type, s->pages_before, at));
            }
            rows_compared++;
        }
    }
    CHECK(bad == 0, "%" PRId64 " values of %s wrong, %s -> %s, quant %d, gaps %d, seed %" PRIu64,
          bad, which ? "v" : "k", aiter_dtype_name(c->type), aiter_dtype_name(c->cache_type),
          (int)c->quant, c->gaps, c->seed);
    CHECK(bad_scale == 0, "%" PRId64 " scales wrong, seed %" PRIu64, bad_scale, c->seed);
}

static test_buffer slots_new(const cache_case *c)
{
    const size_t size = c->slot_type == AITER_I64 ? 8 : 4;
    test_buffer b = buffer_new((size_t)c->tokens * (size_t)c->slot_step * size);
    int t;
    memset(b.data, 0, b.bytes); /* between them: slot 0 */
    for (t = 0; t < c->tokens; t++) {
        int64_t wide = slot_of(c, t);
        int32_t narrow = (int32_t)wide;
        unsigned char *at = b.data + (size_t)(t * c->slot_step) * size;
        if (size == 8) {
            memcpy(at, &wide, 8);
        } else {
            memcpy(at, &narrow, 4);
        }
    }
    return b;
}

static void cache_run(const cache_case *c, aiter_context *ctx)
{
    static const char behind[4096] = "what is behind the workspace";
    attn_problem p;
    attn_place shared;
    cache_side s[2];
    aiter_reshape_and_cache_args a;
    test_buffer slots = slots_new(c);
    aiter_status status;
    size_t bytes = 0;
    int i, whole = 1;
    memset(&p, 0, sizeof p);
    memset(&a, 0, sizeof a);
    char *scratch;
    memset(&shared, 0, sizeof shared);
    p.c.seed = c->seed;
    for (i = 0; i < 2; i++) s[i] = side_new(&p, c, i, &shared);
    for (i = 0; i < 2; i++) {
        s[i].pages_before = copy_of(s[i].pages.buffer);
        s[i].scale_before = s[i].scale.buffer ? copy_of(s[i].scale.buffer) : NULL;
    }
    a.k = s[0].rows_t;
    a.v = s[1].rows_t;
    a.kv.k = s[0].pages_t;
    a.kv.v = s[1].pages_t;
    a.kv.k_scale = s[0].scale_t;
    a.kv.v_scale = s[1].scale_t;
    a.slot_mapping = aiter_tensor_1d(slots.data, c->slot_type, c->tokens);
    a.slot_mapping.stride[0] = c->slot_step;
    a.quantisation = cache_quantisation(c->quant);
    if (c->quant) a.quantisation.to = c->cache_type;
    CHECK(aiter_reshape_and_cache_workspace(&a, ctx, &bytes) == AITER_OK, "workspace: %s",
          aiter_last_error());
    scratch = malloc(bytes + 1 + sizeof behind); /* not aligned to anything on purpose */
    memcpy(scratch + 1 + bytes, behind, sizeof behind);
    a.call.workspace = scratch + 1;
    a.call.workspace_bytes = bytes - 1;
    CHECK(aiter_reshape_and_cache(&a, ctx) == AITER_WORKSPACE_TOO_SMALL, "a byte short");
    a.call.workspace_bytes = bytes;
    status = aiter_reshape_and_cache(&a, ctx);
    CHECK(status == AITER_OK, "%s", aiter_last_error());
    CHECK(memcmp(scratch + 1 + bytes, behind, sizeof behind) == 0, "written behind the workspace");
    free(scratch);
    for (i = 0; i < 2 && status == AITER_OK; i++) side_check(c, &s[i], i);
    for (i = 0; i < 2; i++) {
        test_buffer *pages = s[i].pages.buffer, *scale = s[i].scale.buffer;
        whole &= memcmp(s[i].pages_before, pages->data, pages->bytes) == 0;
        if (scale) whole &= memcmp(s[i].scale_before, scale->data, scale->bytes) == 0;
        free(s[i].pages_before);
        free(s[i].scale_before);
    }
    CHECK(whole, "other slots changed, gaps %d, seed %" PRIu64, c->gaps, c->seed);
    for (i = 0; i < p.buffers; i++) CHECK(buffer_guard_is_whole(&p.buffer[i]), "guard");
    test_global.cases++;
    buffer_free(&slots);
    problem_unstore(&p);
}

/* ---- the workers' rows ---- */

static const float *worker_row; /* that the last row was gathered to */

static float row_amax_spy(const float *row, int32_t n)
{
    (void)n;
    worker_row = row;
    return 127;
}

/* Each worker has a row of its own within the scratch, the bits of the slots lie behind them. */
static void workers_rows(int32_t workers, int blocks)
{
    enum { TOKENS = 64, D = 4 };
    static float rows[TOKENS * D], scales[TOKENS];
    static int8_t codes[TOKENS * D];
    static int32_t slots[TOKENS];
    aiter_reshape_and_cache_args a;
    aiteri_kernels spy = *aiteri_context_kernels(NULL);
    const aiteri_kv_order order = {{{0}}, {{0}}};
    aiteri_cache_run run = {&a,   &order,  &spy, AITERI_CACHE_SCALE_PER_TOKEN_HEAD,
                            NULL, workers, NULL};
    aiteri_arena measure = {NULL, 0}, arena = {NULL, 0};
    char *memory;
    uint8_t *seen;
    int32_t i;
    memset(&a, 0, sizeof a);
    spy.row_amax = row_amax_spy;
    for (i = 0; i < TOKENS; i++) slots[i] = i;
    a.k = a.v = aiter_tensor_transpose(aiter_tensor_3d(rows, AITER_F32, TOKENS, 1, D), 0, 0);
    a.kv.k = aiter_tensor_4d(codes, AITER_I8, blocks, TOKENS, 1, D);
    a.kv.k = a.kv.v = aiter_tensor_transpose(a.kv.k, 0, 0);
    a.kv.k_scale = aiter_tensor_3d(scales, AITER_F32, blocks, TOKENS, 1);
    a.kv.k_scale = a.kv.v_scale = aiter_tensor_transpose(a.kv.k_scale, 0, 0);
    a.slot_mapping = aiter_tensor_1d(slots, AITER_I32, TOKENS);
    a.slot_mapping.stride[0] = 1;
    a.quantisation = cache_quantisation(CACHE_SCALE_COMPUTED);
    aiteri_cache_layout(&a, workers, &measure, &run);
    memory = (char *)malloc(measure.used + AITERI_LINE);
    arena = aiteri_arena_over(memory);
    seen = aiteri_cache_layout(&a, workers, &arena, &run);
    CHECK((char *)seen + (blocks * TOKENS + 7) / 8 <= arena.base + measure.used,
          "%d slots have no bit each", blocks * TOKENS);
    for (i = 0; i < workers; i++) {
        worker_row = NULL;
        aiteri_cache_worker(&run, i);
        CHECK(worker_row == run.rows + (size_t)i * AITERI_MAX_HEAD_DIM,
              "worker %d of %d has the row of another", (int)i, (int)workers);
        CHECK(worker_row && (const uint8_t *)(worker_row + AITERI_MAX_HEAD_DIM) <= seen,
              "the row of worker %d lies on the bits of the slots", (int)i);
    }
    free(memory);
}

int main(void)
{
    static const int shapes[][6] = {{1, 1, 1, 1, 1, 1},       {3, 2, 8, 8, 4, 16},
                                    {17, 1, 64, 64, 3, 16},   {5, 4, 33, 7, 20, 1},
                                    {9, 8, 128, 128, 2, 64},  {0, 2, 8, 8, 2, 4},
                                    {12, 3, 40, 24, 3, 5},    {2, 1, 576, 512, 1, 16},
                                    {130, 2, 16, 16, 10, 16}, {4, 1, 2, 2, 64, 128}};
    int i, t, n = 0, quant, type;
    test_begin("reshape_and_cache", 1e9);
    run_begin();
    for (t = 1; t <= 16; t++) workers_rows(t, t * 100);
    for (t = 0; t < run_on.tiers + 2; t++) {
        aiter_context *ctx = t < run_on.tiers    ? run_on.one[t]
                             : t == run_on.tiers ? run_on.two
                                                 : NULL;
        for (i = 0; i < COUNT(shapes); i++) {
            for (quant = 0; quant < CACHE_MODES; quant++) {
                for (type = 0; type < 24; type++, n++) {
                    cache_case c;
                    memset(&c, 0, sizeof c);
                    c.tokens = shapes[i][0];
                    c.hk = shapes[i][1];
                    c.dq = shapes[i][2];
                    c.dv = shapes[i][3];
                    c.blocks = shapes[i][4];
                    c.page = shapes[i][5];
                    c.type = (aiter_dtype)(AITER_F32 + type % 3);
                    c.cache_type = (aiter_dtype)(AITER_F32 + type / 3);
                    if (quant ? c.cache_type <= AITER_BF16 : c.cache_type >= AITER_I8)
                        c.cache_type = quant ? AITER_I8 : AITER_F16;
                    c.slot_type = n % 2 ? AITER_I64 : AITER_I32;
                    c.quant = (cache_mode)quant;
                    c.scale_per_head = n / 2 % 2;
                    c.special = n / 3 % 2;
                    c.gaps = n % 4;
                    c.slot_step = 1 + n / 4 % 3;
                    c.slots = (slot_kind)(n / 5 % SLOTS_COUNT);
                    c.seed = (uint64_t)n;
                    cache_run(&c, ctx);
                }
            }
        }
    }
    run_end();
    test_say("%" PRId64 " cache rows compared\n", rows_compared);
    return test_end();
}
