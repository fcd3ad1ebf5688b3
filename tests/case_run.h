/* case_run.h -- a problem lowered to the op of its case, called, and judged: status, guards, bytes
 * that must not change, values within their bound, equal bits whatever the slack. */
#ifndef AITER_TEST_CASE_RUN_H
#define AITER_TEST_CASE_RUN_H

#include "cases.h"
#include "op_table.h"

/* Worst error in units of its bound, by output type; rows and cases that were compared. */
typedef struct run_statistics {
    double worst[AITER_DTYPE_COUNT], worst_lse;
    int64_t rows;
} run_statistics;

static run_statistics run_stats;

/* Relative rounding of a softmax weight where matrix units take it as f16 or bf16; else 0. */
static double run_weight_rounding;

/* ---- what a call may have touched ---- */

typedef struct problem_image {
    uint64_t hash[BUFFERS];
    unsigned char *out, *lse;
} problem_image;

static inline int problem_is_output(const attn_problem *p, const test_buffer *b)
{
    return b == p->po.buffer || b == p->pl.buffer;
}

static inline unsigned char *copy_of(const test_buffer *b)
{
    unsigned char *copy = (unsigned char *)malloc(b->bytes + 1);
    memcpy(copy, b->data, b->bytes);
    return copy;
}

static inline problem_image image_take(const attn_problem *p)
{
    problem_image image;
    int i;
    for (i = 0; i < p->buffers; i++)
        image.hash[i] = test_hash(p->buffer[i].data, p->buffer[i].bytes);
    image.out = copy_of(p->po.buffer);
    image.lse = p->pl.buffer ? copy_of(p->pl.buffer) : NULL;
    return image;
}

/* Copies the elements that the call had to write from the buffer into its image. With to_bits they
 * are gathered there instead, one after the other. */
static inline int64_t outputs_copy(const attn_problem *p, problem_image *image,
                                   unsigned char *to_bits)
{
    const attn_case *c = &p->c;
    size_t size = (size_t)aiter_dtype_bits(c->out_type) / 8;
    int64_t n = 0, at;
    int b, h, i, d;
    for (b = 0; b < c->b; b++) {
        for (h = 0; h < c->hq; h++) {
            for (i = 0; i < p->len_q[b]; i++) {
                for (d = 0; d < c->dv; d++, n += (int64_t)size) {
                    at = problem_q_at(p, &p->po, b, h, i, d) * (int64_t)size;
                    if (image) memcpy(image->out + at, p->po.buffer->data + at, size);
                    if (to_bits) memcpy(to_bits + n, p->po.buffer->data + at, size);
                }
                if (!p->pl.buffer) continue;
                at = problem_lse_at(p, b, h, i) * 4;
                if (image) memcpy(image->lse + at, p->pl.buffer->data + at, 4);
                if (to_bits) memcpy(to_bits + n, p->pl.buffer->data + at, 4);
                n += 4;
            }
        }
    }
    return n;
}

/* The outputs in logical order, whatever the layout: two runs are equal when these bytes are. */
typedef struct output_bits {
    unsigned char *data;
    int64_t bytes;
} output_bits;

static inline output_bits problem_bits(const attn_problem *p)
{
    output_bits bits;
    bits.bytes = outputs_copy(p, NULL, NULL);
    bits.data = (unsigned char *)malloc((size_t)bits.bytes + 1);
    outputs_copy(p, NULL, bits.data);
    return bits;
}

static inline int bits_equal(const output_bits *a, const output_bits *b)
{
    return a->bytes == b->bytes && memcmp(a->data, b->data, (size_t)a->bytes) == 0;
}

/* Guards whole, inputs unchanged, nothing written but the outputs' own elements (written 1) or
 * nothing at all (written 0). Frees the image. */
static inline void image_check(attn_problem *p, problem_image *image, int written)
{
    int i, inputs = 1, guards = 1, outside;
    for (i = 0; i < p->buffers; i++) {
        const test_buffer *b = &p->buffer[i];
        guards &= buffer_guard_is_whole(b);
        if (!problem_is_output(p, b)) inputs &= image->hash[i] == test_hash(b->data, b->bytes);
    }
    if (written) outputs_copy(p, image, NULL);
    outside = memcmp(image->out, p->po.buffer->data, p->po.buffer->bytes) == 0;
    if (image->lse) outside &= memcmp(image->lse, p->pl.buffer->data, p->pl.buffer->bytes) == 0;
    CHECK(inputs, "an input changed: %s", case_text(&p->c));
    CHECK(guards, "written before a buffer: %s", case_text(&p->c));
    CHECK(outside, written ? "written outside the output: %s" : "a failed call wrote: %s",
          case_text(&p->c));
    free(image->out);
    free(image->lse);
}

/* ---- comparison ---- */

static inline int same_class(double got, double expected)
{
    if (is_finite(expected)) return is_finite(got);
    if (is_nan(expected)) return is_nan(got);
    return bits_of_double(got) == bits_of_double(expected);
}

/* Error in units of its bound; a wrong kind of number counts as 1e9. */
static inline double error_ratio(double got, double expected, double bound)
{
    if (!same_class(got, expected)) return 1e9;
    return is_finite(expected) ? fabs(got - expected) / bound : 0;
}

static inline int is_minus_zero(aiter_dtype dtype, const unsigned char *data, int64_t at)
{
    const unsigned char *x = data + at * (aiter_dtype_bits(dtype) / 8);
    uint32_t wide;
    uint16_t half;
    if (aiter_dtype_bits(dtype) == 8) return *x == 0x80 && dtype != AITER_F8_E4M3FNUZ;
    memcpy(&wide, x, dtype == AITER_F32 ? 4 : 0);
    memcpy(&half, x, dtype == AITER_F32 ? 0 : 2);
    return dtype == AITER_F32 ? wide == 0x80000000u : half == 0x8000;
}

static inline double row_ratio(const attn_problem *p, const attn_row *row, double *lse_ratio)
{
    const attn_case *c = &p->c;
    double worst = 0, cap = c->softcap, got;
    int d;
    *lse_ratio = 0;
    for (d = 0; d < c->dv; d++) {
        int64_t at = problem_q_at(p, &p->po, row->b, row->h, row->i, d);
        double expected = row->out[d], bound = 0, ratio;
        if (is_minus_zero(c->out_type, p->po.buffer->data, at)) return 1e9; /* no out holds one */
        if (is_finite(expected)) {
            bound = bound_out(&row->facts, c->dq, cap, c->out_type, expected, row->abs_out[d]) +
                    run_weight_rounding * row->abs_out[d];
        }
        got = ref_load(c->out_type, p->po.buffer->data, at);
        if (type_is_fp8(c->out_type) && is_finite(expected)) /* saturates */
            expected = fmax(fmin(expected, type_largest(c->out_type)), -type_largest(c->out_type));
        if (is_finite(expected) && !is_finite(got)) { /* f16 may overflow, where it must */
            double nearest = problem_round(c->out_type, expected + (expected < 0 ? -bound : bound));
            if (bits_of_double(nearest) == bits_of_double(got)) got = expected;
        }
        if (row->facts.visible == 0 && bits_of_double(expected) == 0) bound = 1e-300;
        ratio = error_ratio(got, expected, bound);
        if (ratio > worst) worst = ratio;
    }
    if (p->pl.buffer) {
        got = ref_load(AITER_F32, p->pl.buffer->data, problem_lse_at(p, row->b, row->h, row->i));
        if (bits_of_double(problem_round(AITER_F32, row->lse)) == bits_of_double(got))
            return worst; /* exact, perhaps an overflow */
        *lse_ratio = error_ratio(
            got, row->lse, is_finite(row->lse) ? bound_lse(&row->facts, c->dq, cap, row->lse) : 0);
    }
    return worst;
}

/* The rows from n on that are of one head of one sequence: one check. Returns the next head's. */
static inline int64_t head_compare(const attn_problem *p, int64_t n, const char *what)
{
    const int b = p->rows[n].b, h = p->rows[n].h;
    double worst = 0, worst_lse = 0, lse;
    int64_t bad = -1;
    for (; n < p->num_rows && p->rows[n].b == b && p->rows[n].h == h; n++) {
        double ratio = row_ratio(p, &p->rows[n], &lse);
        if (bad < 0 && !(ratio <= 1 && lse <= 1)) bad = n;
        if (ratio > worst) worst = ratio;
        if (lse > worst_lse) worst_lse = lse;
    }
    if (worst > run_stats.worst[p->c.out_type]) run_stats.worst[p->c.out_type] = worst;
    if (worst_lse > run_stats.worst_lse) run_stats.worst_lse = worst_lse;
    CHECK(bad < 0, "%s: out %.3g, lse %.3g of bound, first in row b%d h%d i%d: %s", what, worst,
          worst_lse, b, h, bad < 0 ? 0 : p->rows[bad].i, case_text(&p->c));
    return n;
}

static inline void problem_compare(const attn_problem *p, const char *what)
{
    int64_t n = 0;
    while (n < p->num_rows) n = head_compare(p, n, what);
    run_stats.rows += p->num_rows;
}

static inline void run_statistics_say(void)
{
    if (!run_stats.rows) return;
    test_say("worst f32 %.2f, f16 %.2f, bf16 %.2f, fp8 %.2f %.2f %.2f, lse %.2f of bound; %" PRId64
             " rows compared with the oracle\n",
             run_stats.worst[AITER_F32], run_stats.worst[AITER_F16], run_stats.worst[AITER_BF16],
             run_stats.worst[AITER_F8_E4M3FN], run_stats.worst[AITER_F8_E4M3FNUZ],
             run_stats.worst[AITER_F8_E5M2], run_stats.worst_lse, run_stats.rows);
}

/* ---- one case on every tier ---- */

/* The tightest bounds of the lengths, for every other case: the workspace shrinks with them. */
static inline void call_bounds(attn_call *call, const attn_problem *p)
{
    int b;
    if (p->c.seed / 2 % 2 == 0) return;
    for (b = 0; b < p->c.b; b++) {
        if (p->len_q[b] > call->max_seqlen_q) call->max_seqlen_q = p->len_q[b];
        if (p->len_k[b] > call->max_seqlen_k) call->max_seqlen_k = p->len_k[b];
    }
}

/* Stores, calls, looks after memory, returns the bits. `exact_workspace`: the caller's own, of just
 * the bytes asked for, and a refusal of one byte less. */
static inline output_bits problem_run(attn_problem *p, aiter_context *ctx, int slack,
                                      int exact_workspace, const char *what)
{
    attn_call call;
    problem_image image;
    aiter_status status;
    size_t bytes = 0;
    test_buffer ws;
    memset(&call, 0, sizeof call);
    memset(&ws, 0, sizeof ws);
    problem_store(p, slack);
    call.ctx = ctx;
    call_bounds(&call, p);
    if (exact_workspace) {
        call.kind = CALL_WORKSPACE;
        call.bytes = &bytes;
        status = problem_call(p, &call);
        CHECK(status == AITER_OK, "workspace, %s: %s", aiter_last_error(), case_text(&p->c));
        call.kind = CALL_RUN;
        ws = buffer_new(bytes);
        memset(ws.data, slack, bytes);
        call.workspace = ws.data;
        if (bytes > 0) {
            image = image_take(p);
            call.workspace_bytes = bytes - 1;
            status = problem_call(p, &call);
            CHECK(status == AITER_WORKSPACE_TOO_SMALL, "one byte short gave %s: %s",
                  aiter_status_name(status), case_text(&p->c));
            image_check(p, &image, 0);
        }
        call.workspace_bytes = bytes;
    }
    image = image_take(p);
    status = problem_call(p, &call);
    CHECK(status == AITER_OK, "%s: %s (%s): %s", what, aiter_status_name(status),
          aiter_last_error(), case_text(&p->c));
    CHECK(buffer_guard_is_whole(&ws), "written before the workspace: %s", case_text(&p->c));
    image_check(p, &image, status == AITER_OK);
    buffer_free(&ws);
    return problem_bits(p);
}

/* The contexts of a test program: one per tier, and two threads on the best one. */
typedef struct run_contexts {
    int tiers;
    aiter_isa isa[AITER_ISA_COUNT];
    aiter_context *one[AITER_ISA_COUNT], *two;
} run_contexts;

static run_contexts run_on;

static inline void run_begin(void)
{
    int t;
    run_on.tiers = test_tiers(run_on.isa);
    for (t = 0; t < run_on.tiers; t++) run_on.one[t] = test_context(run_on.isa[t], 1);
    run_on.two = test_context(run_on.isa[run_on.tiers - 1], 2);
}

static inline void run_end(void)
{
    int t;
    for (t = 0; t < run_on.tiers; t++) aiter_context_destroy(run_on.one[t]);
    aiter_context_destroy(run_on.two);
    test_say("tiers:");
    for (t = 0; t < run_on.tiers; t++) test_say(" %s", aiter_isa_name(run_on.isa[t]));
    test_say("\n");
    run_statistics_say();
}

/* An answered problem: every tier within the bounds of the oracle; NaN slack, zero slack, own and
 * context's workspace, one thread, two threads and no context give equal bits. */
static inline void problem_run_everywhere(attn_problem *p)
{
    double flops = case_flops(p);
    int t;
    for (t = 0; t < run_on.tiers; t++) {
        const char *tier = aiter_isa_name(run_on.isa[t]);
        const int pairs = run_on.isa[t] == AITER_ISA_AVX512_BF16 && p->c.q_type == AITER_BF16 &&
                          p->c.kv_type == AITER_BF16;
        run_weight_rounding = pairs ? 1.0 / 256 : 0;
        output_bits nan = problem_run(p, run_on.one[t], SLACK_NAN, 1, tier), zero;
        problem_compare(p, tier);
        zero = problem_run(p, t == run_on.tiers - 1 ? run_on.two : run_on.one[t], SLACK_ZERO,
                           (int)(p->c.seed / 4 % 2), tier);
        if (!CHECK(bits_equal(&nan, &zero), "%s: bits depend on slack, workspace or threads: %s",
                   tier, case_text(&p->c))) {
            problem_compare(p, "with zero slack");
        }
        free(zero.data);
        if (t == run_on.tiers - 1 && flops < 1e6) {
            zero = problem_run(p, NULL, SLACK_ZERO, 0, "no context");
            CHECK(bits_equal(&nan, &zero), "bits differ without a context: %s", case_text(&p->c));
            free(zero.data);
        }
        free(nan.data);
    }
}

static inline void case_run(const attn_case *wanted)
{
    attn_problem p;
    problem_new(&p, wanted);
    /* scalar runs twice at its full price, the oracle at most once more */
    if (test_afford(wanted->core, case_flops(&p) * 3)) {
        problem_expect(&p, wanted->core ? 1e9 : 5e7);
        problem_run_everywhere(&p);
    }
    problem_free(&p);
}

#endif /* AITER_TEST_CASE_RUN_H */
