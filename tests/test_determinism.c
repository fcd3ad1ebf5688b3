/* test_determinism.c -- within a tier the bits of a row depend on its own q and keys alone: not on
 * threads, batch, page size, layout, or whatever else lies in its tile. */
#include "test.h"
#include "reference.c"
#include "case_run.h"
#include <pthread.h>

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

static const int lens_q[] = {30, 1, 7, 1, 100}, lens_k[] = {30, 600, 70, 1030, 290};

/* Prefill, decode and both at once, plain and with every option. */
static int cases_of(attn_case *list)
{
    attn_case c = {
        .b = 5, .hq = 6, .hk = 2, .sq = 100, .sk = 1030, .dq = 20, .seed = 11, .core = 1};
    int n = 0;
    c.len_q = lens_q;
    c.len_k = lens_k;
    c.mask = AITER_MASK_CAUSAL;
    c.page = 16;
    c.form = FORM_MIXED;
    list[n++] = c;
    c.kv_type = AITER_F16;
    c.q_type = AITER_BF16;
    c.softcap = 20;
    c.sinks = 1;
    list[n++] = c;
    c.kv_type = AITER_I8;
    c.scale_kind = AITER_SCALE_PER_TOKEN_HEAD;
    c.mask = AITER_MASK_WINDOW;
    c.left = 50;
    c.right = 0;
    c.alibi = 2;
    list[n++] = c;
    c.kv_type = AITER_F32;
    c.form = FORM_VARLEN;
    c.layout = LAYOUT_BHSD;
    list[n++] = c;
    c.splits = 3;
    c.form = FORM_PADDED;
    c.layout = LAYOUT_STEP;
    list[n++] = c;
    c.op = OP_DECODE;
    c.form = FORM_PAGED;
    c.sq = 2;
    c.splits = 0;
    c.mask = AITER_MASK_DEFAULT;
    c.layout = LAYOUT_BSHD;
    list[n++] = c;
    c.kv_type = AITER_F16;
    c.hq = 16;
    c.hk = 1;
    c.sq = 1;
    list[n++] = c;
    return n;
}

static output_bits bits_of(const attn_case *c, aiter_context *ctx, const char *what)
{
    attn_problem p;
    output_bits bits;
    problem_new(&p, c);
    bits = problem_run(&p, ctx, SLACK_NAN, 0, what);
    problem_free(&p);
    test_global.cases++;
    return bits;
}

static void expect_same(const output_bits *want, const attn_case *c, aiter_context *ctx,
                        const char *what)
{
    output_bits got = bits_of(c, ctx, what);
    CHECK(bits_equal(want, &got), "bits depend on %s: %s", what, case_text(c));
    free(got.data);
}

/* ---- threads ---- */

static void reversed(void *user, void (*body)(void *arg, int32_t i), void *arg, int32_t n)
{
    (void)user;
    while (n--) body(arg, n);
}

static void in_turn(void *user, void (*body)(void *arg, int32_t i), void *arg, int32_t n)
{
    int32_t i;
    (void)user;
    for (i = 0; i < n; i++) body(arg, i);
}

typedef struct task {
    void (*body)(void *arg, int32_t i);
    void *arg;
    int32_t i;
} task;

static void *task_run(void *arg)
{
    task *t = (task *)arg;
    t->body(t->arg, t->i);
    return NULL;
}

static void own_threads(void *user, void (*body)(void *arg, int32_t i), void *arg, int32_t n)
{
    pthread_t thread[16];
    task tasks[16];
    int32_t i;
    (void)user;
    for (i = 0; i < n; i++) {
        tasks[i].body = body;
        tasks[i].arg = arg;
        tasks[i].i = i;
        if (pthread_create(&thread[i], NULL, task_run, &tasks[i])) abort();
    }
    for (i = 0; i < n; i++) pthread_join(thread[i], NULL);
}

static void threads(aiter_isa isa, aiter_context *one)
{
    static const int counts[] = {2, 3, 8};
    static void (*const loops[])(void *, void (*)(void *, int32_t), void *,
                                 int32_t) = {NULL, in_turn, reversed, own_threads};
    static const char *const names[] = {"pool threads", "tasks in turn", "tasks in reverse",
                                        "the caller's threads"};
    attn_case list[8];
    int n = cases_of(list), i, t, k;
    for (i = 0; i < n; i++) {
        output_bits want = bits_of(&list[i], one, "one thread");
        for (t = 0; t < COUNT(counts); t++) {
            for (k = 0; k < COUNT(loops); k++) {
                aiter_context_desc d;
                aiter_context *ctx = NULL;
                memset(&d, 0, sizeof d);
                d.num_threads = counts[t];
                d.isa_max = isa;
                d.parallel_for = loops[k];
                if (!CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error())) {
                    continue;
                }
                expect_same(&want, &list[i], ctx, names[k]);
                if (k == 0) expect_same(&want, &list[i], ctx, "an earlier call");
                aiter_context_destroy(ctx);
            }
        }
        free(want.data);
    }
}

/* ---- batch ---- */

static void batch(aiter_context *ctx)
{
    attn_case list[8];
    int n = cases_of(list), i, b;
    for (i = 0; i < n; i++) {
        attn_case c = list[i], alone;
        attn_problem p;
        output_bits all;
        int64_t per_row, offset;
        if (c.form == FORM_DENSE || c.alibi == 2) c.alibi = 1;
        problem_new(&p, &c);
        all = problem_run(&p, ctx, SLACK_ZERO, 0, "batch");
        per_row = all.bytes / (p.start_q[c.b] ? p.start_q[c.b] : 1);
        for (b = 0; b < c.b; b++) {
            output_bits got;
            alone = c;
            alone.b = 1;
            alone.first_seq = b;
            alone.len_q = c.len_q + b;
            alone.len_k = c.len_k + b;
            if (c.form != FORM_PAGED) alone.sq = p.len_q[b];
            alone.sk = p.len_k[b];
            got = bits_of(&alone, ctx, "alone");
            offset = p.start_q[b] * per_row;
            CHECK(got.bytes == p.len_q[b] * per_row &&
                      memcmp(got.data, all.data + offset, (size_t)got.bytes) == 0,
                  "sequence %d differs in a batch: %s", b, case_text(&c));
            free(got.data);
        }
        free(all.data);
        problem_free(&p);
    }
}

/* ---- pages and layouts ---- */

static void pages(aiter_context *ctx)
{
    static const int sizes[] = {1, 2, 3, 7, 16, 32, 48, 64, 65, 96, 128, 512};
    static const aiter_dtype types[] = {AITER_F32, AITER_F16, AITER_BF16, AITER_I8};
    int t, i, layout;
    for (t = 0; t < COUNT(types); t++) {
        attn_case c = {
            .b = 5, .hq = 6, .hk = 2, .sq = 100, .sk = 1030, .dq = 20, .seed = 12, .core = 1};
        output_bits want;
        c.len_q = lens_q;
        c.len_k = lens_k;
        c.mask = AITER_MASK_CAUSAL;
        c.form = FORM_VARLEN;
        c.kv_type = types[t];
        c.scale_kind = AITER_SCALE_PER_TOKEN_HEAD;
        want = bits_of(&c, ctx, "dense");
        for (layout = 1; layout < LAYOUT_QKV; layout++) {
            c.layout = (attn_layout)layout;
            expect_same(&want, &c, ctx, "the layout");
        }
        c.form = FORM_PADDED;
        expect_same(&want, &c, ctx, "padding");
        c.form = FORM_MIXED;
        for (i = 0; i < COUNT(sizes); i++) {
            c.layout = (attn_layout)(i % LAYOUT_QKV);
            c.page = sizes[i];
            expect_same(&want, &c, ctx, "the page size");
        }
        free(want.data);
    }
}

/* ---- the other rows of the tile ---- */

static void poison(attn_problem *p, const attn_row *row, uint32_t pattern)
{
    const attn_case *c = &p->c;
    ref_mask mask = case_ref_mask(c);
    float value = float_of_bits(pattern);
    int b = row->b, h, i, j, d;
    for (h = 0; h < c->hq; h++) {
        for (i = 0; i < p->len_q[b]; i++) {
            for (d = 0; d < c->dq && (h != row->h || i != row->i); d++) {
                memcpy(p->pq.buffer->data + 4 * problem_q_at(p, &p->pq, b, h, i, d), &value, 4);
            }
        }
    }
    for (j = 0; j < p->len_k[b]; j++) {
        if (ref_visible(&mask, row->i, j, p->len_q[b], p->len_k[b])) continue;
        if (case_is_paged(c) && !problem_block_is_seen(p, b, j / c->page)) continue;
        for (h = 0; h < c->hk; h++) {
            for (d = 0; d < c->dq; d++) {
                memcpy(p->pk.buffer->data + 4 * problem_k_at(p, &p->pk, b, h, j, d), &value, 4);
                memcpy(p->pv.buffer->data + 4 * problem_k_at(p, &p->pv, b, h, j, d), &value, 4);
            }
        }
    }
}

static void row_bits(const attn_problem *p, const attn_row *row, unsigned char *to)
{
    int d;
    for (d = 0; d < p->c.dv; d++) {
        memcpy(to + 4 * d,
               p->po.buffer->data + 4 * problem_q_at(p, &p->po, row->b, row->h, row->i, d), 4);
    }
    memcpy(to + 4 * d, p->pl.buffer->data + 4 * problem_lse_at(p, row->b, row->h, row->i), 4);
}

static void neighbours(aiter_context *ctx)
{
    static const uint32_t patterns[] = {0x7FC00000u, 0x7F800000u, 0xFF800000u, 0x7149F2CAu, 0};
    static const int shapes[][4] = {{30, 40, 2, 1}, {100, 100, 1, 1}, {1, 70, 6, 2},
                                    {3, 600, 8, 2}, {200, 130, 1, 1}, {26, 200, 5, 1}};
    int s, n, k;
    for (s = 0; s < COUNT(shapes); s++) {
        attn_case c = {.b = 1, .dq = 8, .seed = 5, .core = 1, .mask = AITER_MASK_CAUSAL};
        attn_problem p;
        attn_call call;
        c.sq = shapes[s][0];
        c.sk = shapes[s][1];
        c.hq = shapes[s][2];
        c.hk = shapes[s][3];
        if (s % 2) c.mask = AITER_MASK_WINDOW, c.left = 20, c.right = 2, c.sink_tokens = 3;
        if (s == 3) c.form = FORM_MIXED, c.page = 8;
        memset(&call, 0, sizeof call);
        call.ctx = ctx;
        problem_new(&p, &c);
        for (n = 0; n < 12; n++) {
            unsigned char want[40 * 4], got[40 * 4];
            attn_row row = {.b = 0};
            row.h = n % c.hq;
            row.i = n == 11 ? c.sq - 1 : (n * 17 + s) % c.sq;
            problem_store(&p, SLACK_ZERO);
            CHECK(problem_call(&p, &call) == AITER_OK, "%s", aiter_last_error());
            row_bits(&p, &row, want);
            for (k = 0; k < COUNT(patterns); k++) {
                problem_store(&p, SLACK_ZERO);
                poison(&p, &row, patterns[k]);
                CHECK(problem_call(&p, &call) == AITER_OK, "%s", aiter_last_error());
                row_bits(&p, &row, got);
                CHECK(memcmp(want, got, (size_t)(c.dq + 1) * 4) == 0,
                      "row h%d i%d depends on its neighbours (pattern %08x): %s", row.h, row.i,
                      (unsigned)patterns[k], case_text(&p.c));
            }
            test_global.cases++;
        }
        problem_free(&p);
    }
}

/* Any bits at all in q, k and v: who works with whom decides neither a bit nor whether it is NaN.
 */
static void any_bits(aiter_isa isa, aiter_context *one)
{
    enum { B = 2, SQ = 3, HQ = 6, SK = 12, D = 5 };
    static uint16_t q[B * SQ * HQ * D], k[B * SK * D], v[B * SK * D], out[2][B * SQ * HQ * D];
    aiter_context *both[2] = {one, test_context(isa, 3)};
    test_rng rng = {test_seed(101)};
    int n, i, c;
    for (n = 0; n < (test_is_slow() ? 300 : 3000); n++) {
        aiter_multi_query_attention_args a;
        memset(&a, 0, sizeof a);
        for (i = 0; i < COUNT(q); i++) q[i] = (uint16_t)rng_next(&rng);
        for (i = 0; i < COUNT(k); i++) k[i] = (uint16_t)(rng_next(&rng) >> 16 | (n & 1) << 14);
        for (i = 0; i < COUNT(v); i++) v[i] = (uint16_t)rng_next(&rng) | (n & 2 ? 0x6000 : 0);
        a.q = aiter_tensor_4d(q, AITER_F16, B, SQ, HQ, D);
        a.kv.k = aiter_tensor_4d(k, AITER_F16, B, SK, 1, D);
        a.kv.v = aiter_tensor_4d(v, AITER_F16, B, SK, 1, D);
        a.score.mask = AITER_MASK_CAUSAL;
        for (c = 0; c < 2; c++) {
            a.out = aiter_tensor_4d(out[c], AITER_F16, B, SQ, HQ, D);
            CHECK(aiter_multi_query_attention(&a, both[c]) == AITER_OK, "%s", aiter_last_error());
            for (i = 0; i < COUNT(out[c]); i++)
                if ((out[c][i] & 0x7fff) > 0x7c00) out[c][i] = 0x7e00;
        }
        CHECK(memcmp(out[0], out[1], sizeof out[0]) == 0, "%s: bits depend on threads in round %d",
              aiter_isa_name(isa), n);
    }
    aiter_context_destroy(both[1]);
}

int main(void)
{
    int t;
    test_begin("determinism", 1e9);
    run_begin();
    for (t = 0; t < run_on.tiers; t++) {
        if (test_is_slow() && t != run_on.tiers - 1) continue;
        threads(run_on.isa[t], run_on.one[t]);
        batch(run_on.one[t]);
        pages(run_on.one[t]);
        neighbours(run_on.one[t]);
        any_bits(run_on.isa[t], run_on.one[t]);
    }
    run_end();
    return test_end();
}
