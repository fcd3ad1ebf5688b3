/* test_hidden_keys.c -- a key that a row does not see leaves no trace in it: its K and V may hold
 * NaN or infinity, whichever block, run, gap or piece they lie in, and an int8 key a scale that
 * nobody wrote. Rows that see it say so. And rows that see nothing, or nothing in a piece, are 0
 * and -inf. */
#include "test.h"
#include "reference.c"
#include "case_run.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

enum { HEADS_Q = 4, HEADS_K = 2, DIM = 21, MOST_Q = 130, MOST_K = 330 };

/* One sequence of f32 rows, and int8 keys beside them. */
typedef struct bench {
    int dim;   /* 5: less than a vector; 21: vectors and a rest */
    int dim_v; /* dim, or less: V is the first columns of K, and absent */
    float q[MOST_Q * HEADS_Q * DIM], out[MOST_Q * HEADS_Q * DIM], lse[HEADS_Q * MOST_Q];
    float k[MOST_K * HEADS_K * DIM], v[MOST_K * HEADS_K * DIM];
    int8_t ki[MOST_K * HEADS_K * DIM], vi[MOST_K * HEADS_K * DIM];
    float k_scale[MOST_K * HEADS_K], v_scale[MOST_K * HEADS_K];
} bench;

typedef struct shape {
    aiter_mask mask;
    int sq, sk, left, right, sinks, splits;
} shape;

/* Edges inside, at and across blocks of 32 and 96 keys; both families; gaps behind sinks. */
static const shape shapes[] = {{AITER_MASK_CAUSAL, 3, 70, 0, 0, 0, 0},
                               {AITER_MASK_CAUSAL, 40, 130, 0, 0, 0, 0},
                               {AITER_MASK_CAUSAL, 100, 100, 0, 0, 0, 2},
                               {AITER_MASK_CAUSAL_TOP_LEFT, 60, 110, 0, 0, 0, 0},
                               {AITER_MASK_CAUSAL_TOP_LEFT, 4, 40, 0, 0, 0, 0},
                               {AITER_MASK_WINDOW, 4, 100, 35, 0, 0, 0},
                               {AITER_MASK_WINDOW, 8, 140, 20, -1, 0, 2},
                               {AITER_MASK_WINDOW, 6, 100, 31, 2, 7, 0},
                               {AITER_MASK_WINDOW, 50, 230, 70, 1, 0, 0},
                               {AITER_MASK_WINDOW, 20, 300, 40, 0, 9, 0},
                               {AITER_MASK_WINDOW, 30, 96, 20, 0, 60, 0},
                               {AITER_MASK_WINDOW, 24, 310, 110, 0, 160, 0},
                               {AITER_MASK_WINDOW, 40, 250, 45, 0, 120, 0},
                               {AITER_MASK_WINDOW, 20, 300, 100, 0, 150, 3}};

static void bench_fill(bench *x, uint64_t seed)
{
    int64_t i;
    x->dim = x->dim_v = seed % 2 ? DIM : 5;
    for (i = 0; i < MOST_Q * HEADS_Q * x->dim; i++)
        x->q[i] = (float)rng_unit(seed * 7 + (uint64_t)i);
    for (i = 0; i < MOST_K * HEADS_K * x->dim; i++) {
        x->k[i] = (float)rng_unit(seed * 11 + 1000003 + (uint64_t)i);
        x->v[i] = (float)rng_unit(seed * 13 + 2000003 + (uint64_t)i);
        x->ki[i] = (int8_t)(127 * rng_unit(seed * 17 + 3000003 + (uint64_t)i));
        x->vi[i] = (int8_t)(127 * rng_unit(seed * 19 + 4000003 + (uint64_t)i));
    }
    for (i = 0; i < MOST_K * HEADS_K; i++) {
        x->k_scale[i] = (float)(1.5 + rng_unit(seed * 23 + 5000003 + (uint64_t)i)) / 127.0f;
        x->v_scale[i] = (float)(1.5 + rng_unit(seed * 29 + 6000003 + (uint64_t)i)) / 127.0f;
    }
}

static void bench_run(bench *x, const shape *s, int int8, aiter_context *ctx)
{
    aiter_flash_attn_fwd_args a;
    memset(&a, 0, sizeof a);
    a.q = aiter_tensor_4d(x->q, AITER_F32, 1, s->sq, HEADS_Q, x->dim);
    a.kv.k = aiter_tensor_4d(int8 ? (void *)x->ki : (void *)x->k, int8 ? AITER_I8 : AITER_F32, 1,
                             s->sk, HEADS_K, x->dim);
    a.kv.v = aiter_tensor_4d(int8 ? (void *)x->vi : (void *)x->v, int8 ? AITER_I8 : AITER_F32, 1,
                             s->sk, HEADS_K, x->dim);
    if (int8) {
        a.kv.k_scale = aiter_tensor_3d(x->k_scale, AITER_F32, 1, s->sk, HEADS_K);
        a.kv.v_scale = aiter_tensor_3d(x->v_scale, AITER_F32, 1, s->sk, HEADS_K);
    }
    if (x->dim_v < x->dim) {
        memset(&a.kv.v, 0, sizeof a.kv.v);
        a.kv.dim_v = x->dim_v;
    }
    a.out = aiter_tensor_4d(x->out, AITER_F32, 1, s->sq, HEADS_Q, x->dim_v);
    a.lse = aiter_tensor_3d(x->lse, AITER_F32, 1, HEADS_Q, s->sq);
    a.score.mask = s->mask;
    a.score.window_left = s->mask == AITER_MASK_WINDOW ? s->left : 0;
    a.score.window_right = s->mask == AITER_MASK_WINDOW ? s->right : 0;
    a.score.sink_tokens = s->mask == AITER_MASK_WINDOW ? s->sinks : 0;
    a.num_splits = s->splits;
    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "%s", aiter_last_error());
}

/* Spoils or mends key j of all heads: what = 1 K, 2 V, 4 the scale of K, 8 of V. */
static void key_swap(bench *x, int j, int what, float *kept)
{
    static const uint32_t odd[] = {0x7fc00000, 0x7f800000, 0xff800000};
    const float nan = float_of_bits(0x7fc00000), bad = float_of_bits(odd[j % 3]);
    int i, n = 0;
    for (i = j * HEADS_K * x->dim; i < (j + 1) * HEADS_K * x->dim; i++) {
        float *at[2] = {&x->k[i], &x->v[i]};
        int side;
        for (side = 0; side < 2; side++, n++) {
            const float was = *at[side];
            const int is_odd = (bits_of_float(was) & 0x7fffffff) >= 0x7f800000;
            if (what >> side & 1) *at[side] = is_odd ? kept[n] : side ? bad : nan;
            kept[n] = was;
        }
    }
    for (i = j * HEADS_K; i < (j + 1) * HEADS_K; i++) {
        float *at[2] = {&x->k_scale[i], &x->v_scale[i]};
        int side;
        for (side = 0; side < 2; side++, n++) {
            const float was = *at[side];
            if (what >> (2 + side) & 1)
                *at[side] = bits_of_float(was) == 0x7fc00000 ? kept[n] : nan;
            kept[n] = was;
        }
    }
}

/* With key j spoilt: rows that do not see it keep their bits, in the others nothing is finite. */
static void one_key(bench *x, const bench *clean, const shape *s, int j, int what,
                    aiter_context *ctx)
{
    const ref_mask mask = {s->mask, s->left, s->right, s->sinks};
    float kept[2 * HEADS_K * (DIM + 1)];
    int i, h, d, touched = 0, untouched = 0;
    key_swap(x, j, what, kept);
    memset(x->out, 0xa5, sizeof x->out);
    bench_run(x, s, what > 3, ctx);
    for (i = 0; i < s->sq; i++) {
        const int seen = ref_visible(&mask, i, j, s->sq, s->sk);
        for (h = 0; h < HEADS_Q; h++) {
            const int64_t row = ((int64_t)i * HEADS_Q + h) * x->dim_v;
            for (d = 0; d < x->dim_v; d++) {
                const uint32_t bits = bits_of_float(x->out[row + d]);
                if (!seen) touched += bits != bits_of_float(clean->out[row + d]);
                if (seen) untouched += (bits & 0x7fffffff) < 0x7f800000;
            }
            if (!seen && h * s->sq + i < MOST_Q * HEADS_Q)
                touched += bits_of_float(x->lse[h * s->sq + i]) !=
                           bits_of_float(clean->lse[h * s->sq + i]);
        }
    }
    CHECK(touched == 0,
          "mask %d, Sq %d, Sk %d: key %d (%d) reaches %d numbers of rows that do not "
          "see it",
          (int)s->mask, s->sq, s->sk, j, what, touched);
    CHECK(untouched == 0, "mask %d, Sq %d, Sk %d: key %d (%d) is lost in %d numbers that see it",
          (int)s->mask, s->sq, s->sk, j, what, untouched);
    key_swap(x, j, what, kept);
    test_global.cases++;
}

static void hidden_keys(aiter_context *ctx)
{
    static const int what[] = {2, 3, 12, 1}; /* the last of latent rows */
    static bench x, clean;
    int n, w, j;
    for (n = 0; n < COUNT(shapes); n++) {
        const int step = test_is_slow() ? 7 : 3;
        bench_fill(&x, (uint64_t)n);
        for (w = 0; w < COUNT(what); w++) {
            if (what[w] == 1) x.dim_v = x.dim == DIM ? 5 : 3;
            memset(x.out, 0xa5, sizeof x.out);
            bench_run(&x, &shapes[n], what[w] > 3, ctx);
            clean = x;
            for (j = 0; j < shapes[n].sk; j++) {
                const int edge = j % 32 < 2 || j % 32 == 31 || shapes[n].sk - j < 4;
                if (edge || (j + n) % step == 0) one_key(&x, &clean, &shapes[n], j, what[w], ctx);
            }
        }
    }
}

/* Pieces in which some rows see nothing, and rows that see nothing at all. */
static void empty_pieces(aiter_context *ctx)
{
    static const int rows[][5] = {{200, 150, 2, 1, 1}, {200, 150, 3, 4, 2}, {40, 10, 4, 2, 2},
                                  {300, 200, 2, 1, 1}, {7, 3, 2, 2, 1},     {5, 70, 3, 3, 1},
                                  {12, 40, 2, 1, 1},   {100, 99, 5, 2, 2},  {150, 1, 2, 2, 2},
                                  {20, 200, 6, 4, 2}};
    int n, windowed;
    for (n = 0; n < COUNT(rows); n++) {
        for (windowed = 0; windowed < 2; windowed++) {
            attn_case c = {.b = 2, .dq = 8, .core = 1};
            attn_problem p;
            attn_call call;
            memset(&call, 0, sizeof call);
            c.sq = rows[n][0];
            c.sk = rows[n][1];
            c.splits = rows[n][2];
            c.hq = rows[n][3];
            c.hk = rows[n][4];
            c.seed = (uint64_t)n + 90;
            c.mask = windowed ? AITER_MASK_WINDOW : AITER_MASK_CAUSAL;
            c.left = 10;
            problem_new(&p, &c);
            problem_expect(&p, 1e9);
            problem_store(&p, SLACK_NAN);
            call.ctx = ctx;
            CHECK(problem_call(&p, &call) == AITER_OK, "%s", aiter_last_error());
            problem_compare(&p, "pieces without keys");
            problem_free(&p);
            test_global.cases++;
        }
    }
}

/* int8 keys of which a window shows a part of a block: each has its own scale, at its own place. */
static void clipped_scales(aiter_context *ctx)
{
    static const int rows[][4] = {
        {1, 100, 35, 0}, {1, 60, 10, 0}, {2, 90, 20, 0},  {4, 130, 45, 0},  {1, 200, 70, 7},
        {3, 97, 33, 3},  {1, 40, 5, 0},  {6, 140, 25, 0}, {20, 150, 40, 0}, {40, 230, 60, 9},
        {1, 33, 1, 0},   {8, 65, 2, 1},  {1, 30, 9, 3},   {2, 60, 10, 40}};
    int n, head_major;
    for (n = 0; n < COUNT(rows); n++) {
        for (head_major = 0; head_major < 2; head_major++) {
            attn_case c = {.b = 2, .hq = 4, .hk = 2, .dq = 24, .core = 1};
            attn_problem p;
            attn_call call;
            memset(&call, 0, sizeof call);
            c.sq = rows[n][0];
            c.sk = rows[n][1];
            c.mask = AITER_MASK_WINDOW;
            c.left = rows[n][2];
            c.sink_tokens = rows[n][3];
            c.layout = head_major ? LAYOUT_BHSD : LAYOUT_BSHD;
            c.kv_type = AITER_I8;
            c.scale_kind = AITER_SCALE_PER_TOKEN_HEAD;
            c.seed = (uint64_t)n + 400;
            problem_new(&p, &c);
            problem_expect(&p, 1e9);
            problem_store(&p, SLACK_NAN);
            call.ctx = ctx;
            CHECK(problem_call(&p, &call) == AITER_OK, "%s", aiter_last_error());
            problem_compare(&p, "int8 in a window");
            problem_free(&p);
            test_global.cases++;
        }
    }
}

int main(void)
{
    int t;
    test_begin("hidden keys", 1e9);
    run_begin();
    for (t = 0; t < run_on.tiers; t++) {
        aiter_context *ctx = test_context(run_on.isa[t], 1);
        hidden_keys(ctx);
        empty_pieces(ctx);
        clipped_scales(ctx);
        aiter_context_destroy(ctx);
    }
    run_end();
    return test_end();
}
