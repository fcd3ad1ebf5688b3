/* test_plan.c -- schedules made once: they cover every visible key of every row exactly once, give
 * the same bits as no plan, and are refused for anything they were not made for. */
#include "test.h"
#include "reference.c"
#include "case_run.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

static const int lens_q[] = {30, 1, 0, 7, 1, 100}, lens_k[] = {30, 600, 12, 0, 1500, 290};

static int cases_of(attn_case *list)
{
    attn_case c = {.b = 6, .hq = 6, .hk = 2, .sq = 100, .sk = 1500, .dq = 8, .seed = 21, .core = 1};
    int n = 0;
    c.len_q = lens_q;
    c.len_k = lens_k;
    c.form = FORM_MIXED;
    c.mask = AITER_MASK_CAUSAL;
    list[n++] = c;
    c.form = FORM_VARLEN;
    c.mask = AITER_MASK_NONE;
    list[n++] = c;
    c.form = FORM_PADDED;
    c.mask = AITER_MASK_WINDOW;
    c.left = 40;
    c.right = 3;
    c.sink_tokens = 5;
    list[n++] = c;
    c.splits = 5;
    list[n++] = c;
    c.mask = AITER_MASK_CAUSAL_TOP_LEFT;
    c.hq = 34;
    c.splits = 0;
    list[n++] = c;
    c.op = OP_DECODE;
    c.form = FORM_PAGED;
    c.sq = 1;
    c.hq = 8;
    c.mask = AITER_MASK_DEFAULT;
    list[n++] = c;
    c.sq = 3;
    c.splits = 4;
    list[n++] = c;
    return n;
}

/* ---- what a plan says ---- */

typedef struct coverage {
    const attn_problem *p;
    unsigned char *keys;    /* [rows][sk]: works that take this key for this row */
    unsigned char *written; /* [rows]: times the row is finished */
    unsigned char *partial; /* [num_partial_rows]: times it is filled, and read (0x10) */
    int64_t partials;
} coverage;

static int64_t row_of(const attn_problem *p, int b, int i, int h)
{
    return (p->start_q[b] + i) * p->c.hq + h;
}

static int heads_first(int32_t packed) { return (int)((uint32_t)packed & 0xFFFFu); }
static int heads_end(int32_t packed) { return (int)((uint32_t)packed >> 16); }

static int span_is_legal(const attn_problem *p, int b, int q0, int q1, int32_t heads)
{
    return b >= 0 && b < p->c.b && q0 >= 0 && q0 <= q1 && q1 <= p->len_q[b] &&
           heads_first(heads) < heads_end(heads) && heads_end(heads) <= p->c.hq;
}

static void cover_work(coverage *v, const int32_t *w)
{
    const attn_problem *p = v->p;
    int i, h, j, n = 0;
    if (!CHECK(span_is_legal(p, w[0], w[2], w[3], w[7]) && w[4] >= 0 && w[4] <= w[5] &&
                   w[5] <= p->len_k[w[0]],
               "work outside its sequence")) {
        return;
    }
    if (w[1] >= 0 &&
        !CHECK(w[1] + (int64_t)(w[3] - w[2]) * (heads_end(w[7]) - heads_first(w[7])) <= v->partials,
               "partial rows behind the last of %d", (int)v->partials)) {
        return;
    }
    for (i = w[2]; i < w[3]; i++) {
        for (h = heads_first(w[7]); h < heads_end(w[7]); h++, n++) {
            int64_t row = row_of(p, w[0], i, h);
            for (j = w[4]; j < w[5]; j++) v->keys[row * p->c.sk + j]++;
            if (w[1] < 0) v->written[row]++;
            if (w[1] >= 0) v->partial[w[1] + n]++;
        }
    }
}

static void cover_reduce(coverage *v, const aiter_plan *plan, int r)
{
    const int32_t *f = plan->reduce_final_map + 4 * r;
    const attn_problem *p = v->p;
    int i, h, s, n = 0;
    if (!CHECK(span_is_legal(p, f[0], f[1], f[2], f[3]), "merge outside its sequence")) return;
    CHECK(plan->reduce_indptr[r + 1] - plan->reduce_indptr[r] > 1, "a merge of one piece");
    for (i = f[1]; i < f[2]; i++) {
        for (h = heads_first(f[3]); h < heads_end(f[3]); h++, n++) {
            v->written[row_of(p, f[0], i, h)]++;
            for (s = plan->reduce_indptr[r]; s < plan->reduce_indptr[r + 1]; s++) {
                const int64_t at = (int64_t)plan->reduce_partial_map[s] + n;
                if (CHECK(at >= 0 && at < v->partials, "a merge of partial row %d of %d", (int)at,
                          (int)v->partials))
                    v->partial[at] |= 0x10;
            }
        }
    }
}

static void cover_check(const coverage *v, const aiter_plan *plan)
{
    const attn_problem *p = v->p;
    ref_mask mask = case_ref_mask(&p->c);
    int64_t missing = 0, twice = 0, unwritten = 0, loose = 0;
    int b, i, h, j;
    for (b = 0; b < p->c.b; b++) {
        for (i = 0; i < p->len_q[b]; i++) {
            for (h = 0; h < p->c.hq; h++) {
                int64_t row = row_of(p, b, i, h);
                unwritten += v->written[row] != 1;
                for (j = 0; j < p->len_k[b]; j++) {
                    int times = v->keys[row * p->c.sk + j];
                    missing += times == 0 && ref_visible(&mask, i, j, p->len_q[b], p->len_k[b]);
                    twice += times > 1;
                }
            }
        }
    }
    for (i = 0; i < plan->num_partial_rows; i++) loose += v->partial[i] != 0x11;
    CHECK(missing == 0, "%" PRId64 " visible keys in no work: %s", missing, case_text(&p->c));
    CHECK(twice == 0, "%" PRId64 " keys in two works: %s", twice, case_text(&p->c));
    CHECK(unwritten == 0, "%" PRId64 " rows not finished once: %s", unwritten, case_text(&p->c));
    CHECK(loose == 0, "%" PRId64 " partial rows not filled and merged once: %s", loose,
          case_text(&p->c));
}

static void plan_covers(const attn_problem *p, const aiter_plan *plan, int threads)
{
    coverage v;
    int64_t rows = p->start_q[p->c.b] * p->c.hq;
    int i;
    CHECK(plan->num_workers == threads, "%d workers for %d threads", (int)plan->num_workers,
          threads);
    CHECK(plan->work_indptr[0] == 0 && plan->work_indptr[plan->num_workers] == plan->num_works &&
              plan->reduce_indptr[0] == 0,
          "ends of the index lists");
    for (i = 0; i < plan->num_workers; i++) {
        CHECK(plan->work_indptr[i] <= plan->work_indptr[i + 1], "work_indptr falls");
    }
    v.p = p;
    v.keys = (unsigned char *)calloc((size_t)(rows * p->c.sk + 1), 1);
    v.written = (unsigned char *)calloc((size_t)rows + 1, 1);
    v.partial = (unsigned char *)calloc((size_t)plan->num_partial_rows + 1, 1);
    v.partials = plan->num_partial_rows;
    for (i = 0; i < plan->num_works; i++) cover_work(&v, plan->work_info + 8 * i);
    for (i = 0; i < plan->num_reduces; i++) cover_reduce(&v, plan, i);
    cover_check(&v, plan);
    free(v.keys);
    free(v.written);
    free(v.partial);
}

/* ---- making and using one ---- */

typedef struct planned {
    aiter_plan plan;
    test_buffer buffer;
} planned;

static aiter_status plan_call(const attn_problem *p, aiter_context *ctx, aiter_plan *plan)
{
    attn_call call;
    memset(&call, 0, sizeof call);
    call.kind = CALL_PLAN;
    call.ctx = ctx;
    call.plan_out = plan;
    return problem_call(p, &call);
}

static planned plan_make(const attn_problem *p, aiter_context *ctx)
{
    planned x;
    aiter_status status;
    size_t bytes;
    memset(&x, 0, sizeof x);
    status = plan_call(p, ctx, &x.plan);
    bytes = x.plan.bytes;
    CHECK(status == AITER_OK && bytes > 0, "asking for the size: %s", aiter_last_error());
    x.buffer = buffer_new((bytes + 7) / 8 * 8);
    memset(x.buffer.data, SLACK_NAN, bytes);
    x.plan.data = x.buffer.data;
    x.plan.bytes = bytes - 1;
    CHECK(plan_call(p, ctx, &x.plan) == AITER_WORKSPACE_TOO_SMALL, "one byte short");
    x.plan.bytes = bytes;
    CHECK(plan_call(p, ctx, &x.plan) == AITER_OK, "plan: %s", aiter_last_error());
    CHECK(buffer_guard_is_whole(&x.buffer), "written before the plan");
    return x;
}

static aiter_status run_planned(const attn_problem *p, const aiter_plan *plan, aiter_context *ctx)
{
    attn_call call;
    memset(&call, 0, sizeof call);
    call.ctx = ctx;
    call.plan = plan;
    return problem_call(p, &call);
}

static void refused(attn_problem *p, const aiter_plan *plan, aiter_context *ctx, const char *why)
{
    problem_image image = image_take(p);
    aiter_status status = run_planned(p, plan, ctx);
    CHECK(status == AITER_INVALID_ARGUMENT, "%s: %s", why, aiter_status_name(status));
    if (status != AITER_OK) CHECK(strstr(aiter_last_error(), "plan"), "%s", aiter_last_error());
    image_check(p, &image, status == AITER_OK);
}

/* The same plan against changed lengths, masks, shapes, threads. */
static void misused(const attn_case *base, const aiter_plan *plan, aiter_context *ctx,
                    aiter_context *other)
{
    static const int more_k[] = {30, 600, 13, 0, 1500, 290}, more_q[] = {30, 1, 0, 8, 1, 100};
    static const int last_k[] = {30, 600, 12, 0, 1500, 289};
    int change;
    for (change = 0; change < 11; change++) {
        attn_case c = *base;
        attn_problem p;
        aiter_plan broken = *plan;
        if (change == 0) c.len_k = more_k;
        if (change == 1) c.len_q = more_q;
        if (change == 2) c.mask = c.mask == AITER_MASK_NONE ? AITER_MASK_CAUSAL : AITER_MASK_NONE;
        if (change == 3) c.hq *= 2;
        if (change == 4) broken.data = NULL;
        if (change == 5) broken.bytes = 8;
        if (change == 6) c.splits = 2;
        if (change == 7) c.sink_tokens += 4, c.mask = AITER_MASK_WINDOW;
        if (change == 8) c.len_k = last_k;
        if (change == 9) broken.bytes = plan->bytes - 1;
        if (change == 10) broken.data = (char *)plan->data + 4;
        if (change == 1 && c.form == FORM_PAGED) continue; /* its queries have one length */
        problem_new(&p, &c);
        problem_store(&p, SLACK_ZERO);
        refused(&p, &broken, ctx, "a plan for something else");
        if (change == 0) {
            attn_problem same;
            problem_new(&same, base);
            problem_store(&same, SLACK_ZERO);
            refused(&same, plan, other, "a plan for other threads");
            problem_free(&same);
        }
        problem_free(&p);
    }
}

/* Counts behind the fingerprint that no schedule has. */
static void damaged(const attn_case *base, const aiter_plan *plan, aiter_context *ctx)
{
    static const int64_t counts[] = {-1, INT64_MIN, (int64_t)1 << 31, INT64_MAX};
    int word, n;
    for (word = 1; word <= 4; word++) {
        if (word == 3) continue; /* partial rows: not read */
        for (n = 0; n < COUNT(counts); n++) {
            aiter_plan broken = *plan;
            attn_problem p;
            broken.data = malloc(plan->bytes);
            memcpy(broken.data, plan->data, plan->bytes);
            memcpy((char *)broken.data + 8 * word, &counts[n], 8);
            problem_new(&p, base);
            problem_store(&p, SLACK_ZERO);
            refused(&p, &broken, ctx, "a damaged plan");
            problem_free(&p);
            free(broken.data);
        }
    }
}

/* The plan itself, at an address that is not aligned. */
static void moved(const attn_case *base, const aiter_plan *plan, aiter_context *ctx)
{
    char *memory = (char *)malloc(plan->bytes + 16);
    int at;
    for (at = 1; at < 8; at++) {
        aiter_plan other = *plan;
        attn_problem p;
        other.data = memory + at;
        memcpy(other.data, plan->data, plan->bytes);
        problem_new(&p, base);
        problem_store(&p, SLACK_ZERO);
        refused(&p, &other, ctx, "a plan at an odd address");
        problem_free(&p);
    }
    free(memory);
}

/* Lengths that no call takes make no plan. */
static void bad_lengths(const attn_case *base, aiter_context *ctx)
{
    static const int32_t bad[] = {-1, INT32_MIN, 1 << 24, INT32_MAX};
    int n;
    for (n = 0; n < COUNT(bad); n++) {
        aiter_plan plan;
        attn_problem p;
        memset(&plan, 0, sizeof plan);
        problem_new(&p, base);
        problem_store(&p, SLACK_ZERO);
        aiter_tensor *const lengths = p.seqused_k.ndim ? &p.seqused_k : &p.cu_k;
        ((int32_t *)lengths->data)[(lengths->shape[0] - 1) * lengths->stride[0]] = bad[n];
        CHECK(plan_call(&p, ctx, &plan) == AITER_INVALID_ARGUMENT && plan.bytes == 0,
              "a plan for a length of %d", (int)bad[n]);
        problem_free(&p);
    }
}

/* A plan for heads side by side is none for heads apart, whose works hold one head each. */
static void other_layout(aiter_context *ctx)
{
    attn_case c = {.b = 3, .hq = 8, .hk = 4, .sq = 2, .sk = 600, .dq = 8, .seed = 5, .core = 1};
    attn_problem p;
    planned x;
    int layout;
    for (layout = 0; layout < 2; layout++) {
        c.layout = layout ? LAYOUT_BHSD : LAYOUT_BSHD;
        problem_new(&p, &c);
        problem_store(&p, SLACK_ZERO);
        x = plan_make(&p, ctx);
        problem_free(&p);
        c.layout = layout ? LAYOUT_BSHD : LAYOUT_BHSD;
        problem_new(&p, &c);
        problem_store(&p, SLACK_ZERO);
        refused(&p, &x.plan, ctx, "a plan for another layout");
        problem_free(&p);
        buffer_free(&x.buffer);
    }
}

/* Memory that is not aligned is not written. */
static void misaligned(const attn_case *base, aiter_context *ctx)
{
    int at;
    for (at = 1; at < 8; at++) {
        aiter_plan plan;
        attn_problem p;
        uint64_t before;
        char *memory;
        memset(&plan, 0, sizeof plan);
        problem_new(&p, base);
        problem_store(&p, SLACK_ZERO);
        CHECK(plan_call(&p, ctx, &plan) == AITER_OK, "%s", aiter_last_error());
        memory = (char *)calloc(plan.bytes + 16, 1);
        before = test_hash(memory, plan.bytes + 16);
        plan.data = memory + at;
        CHECK(plan_call(&p, ctx, &plan) == AITER_INVALID_ARGUMENT, "a plan at an odd address");
        CHECK(test_hash(memory, plan.bytes + 16) == before, "written all the same");
        free(memory);
        problem_free(&p);
    }
}

int main(void)
{
    attn_case list[8];
    int n = cases_of(list), i, t, threads;
    test_begin("plan", 1e8);
    run_begin();
    for (t = 0; t < run_on.tiers; t++) {
        for (threads = test_is_slow() ? 3 : 1; threads <= (test_is_slow() ? 3 : 5); threads += 2) {
            aiter_context *ctx = test_context(run_on.isa[t], threads);
            aiter_context *other = test_context(run_on.isa[t], threads + 1);
            for (i = 0; i < n; i++) {
                attn_problem p;
                output_bits without, with;
                planned x, again;
                problem_new(&p, &list[i]);
                without = problem_run(&p, ctx, SLACK_ZERO, 0, "no plan");
                x = plan_make(&p, ctx);
                again = plan_make(&p, ctx);
                CHECK(memcmp(x.buffer.data, again.buffer.data, x.plan.bytes) == 0, "two plans");
                plan_covers(&p, &x.plan, threads);
                problem_store(&p, SLACK_NAN);
                x = plan_make(&p, ctx);
                CHECK(run_planned(&p, &x.plan, ctx) == AITER_OK, "%s", aiter_last_error());
                with = problem_bits(&p);
                CHECK(bits_equal(&without, &with), "a plan changes bits: %s", case_text(&p.c));
                misused(&list[i], &x.plan, ctx, other);
                damaged(&list[i], &x.plan, ctx);
                moved(&list[i], &x.plan, ctx);
                bad_lengths(&list[i], ctx);
                buffer_free(&x.buffer);
                buffer_free(&again.buffer);
                free(without.data);
                free(with.data);
                problem_free(&p);
                test_global.cases++;
            }
            misaligned(&list[t % n], ctx);
            if (threads == 1) other_layout(ctx);
            aiter_context_destroy(ctx);
            aiter_context_destroy(other);
        }
    }
    run_end();
    return test_end();
}
