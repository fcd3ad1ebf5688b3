/* test_properties.c -- what must stay when the same problem is asked in another way: keys permuted,
 * split and merged, heads repeated, powers of two moved about, NaN put in. */
#include "test.h"
#include "reference.c"
#include "case_run.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

static attn_case shape(int n)
{
    static const int shapes[][5] = {{1, 70, 4, 1, 16},  {30, 40, 2, 2, 8},  {3, 600, 6, 2, 12},
                                    {97, 200, 1, 1, 5}, {5, 1030, 8, 1, 4}, {50, 50, 3, 3, 33}};
    attn_case c = {.b = 2, .core = 1};
    c.seed = (uint64_t)n;
    c.sq = shapes[n][0];
    c.sk = shapes[n][1];
    c.hq = shapes[n][2];
    c.hk = shapes[n][3];
    c.dq = shapes[n][4];
    return c;
}
enum { SHAPES = 6 };

static void call_ok(attn_problem *p, aiter_context *ctx)
{
    attn_call call;
    memset(&call, 0, sizeof call);
    call.ctx = ctx;
    CHECK(problem_call(p, &call) == AITER_OK, "%s: %s", aiter_last_error(), case_text(&p->c));
    test_global.cases++;
}

static void swap_bytes(unsigned char *a, unsigned char *b, size_t n)
{
    while (n--) {
        unsigned char x = a[n];
        a[n] = b[n];
        b[n] = x;
    }
}

static void permuted(aiter_context *ctx)
{
    int n, j;
    for (n = 0; n < SHAPES; n++) {
        attn_case c = shape(n);
        attn_problem p;
        size_t row = (size_t)c.hk * (size_t)c.dq * 4;
        problem_new(&p, &c);
        problem_expect(&p, 1e9);
        problem_store(&p, SLACK_NAN);
        for (j = 0; j < c.sk; j++) { /* of sequence 0, which lies first */
            int other = (int)(test_mix((uint64_t)j) % (unsigned)(j + 1));
            swap_bytes(p.pk.buffer->data + (size_t)j * row, p.pk.buffer->data + (size_t)other * row,
                       row);
            swap_bytes(p.pv.buffer->data + (size_t)j * row, p.pv.buffer->data + (size_t)other * row,
                       row);
        }
        call_ok(&p, ctx);
        problem_compare(&p, "keys permuted");
        problem_free(&p);
    }
}

/* Attention over [0, cut) and [cut, Sk) apart, then joined. */
static void split_and_merged(aiter_context *ctx)
{
    int n, part;
    for (n = 0; n < SHAPES; n++) {
        attn_case c = shape(n);
        attn_problem p;
        aiter_flash_attn_fwd_args a[2];
        aiter_merge_attn_states_args m;
        test_buffer out, lse;
        int64_t cut = c.sk / 3;
        attn_call call;
        memset(&call, 0, sizeof call);
        memset(&m, 0, sizeof m);
        problem_new(&p, &c);
        problem_expect(&p, 1e9);
        problem_store(&p, SLACK_NAN);
        out = buffer_new(p.po.buffer->bytes);
        lse = buffer_new(p.pl.buffer->bytes);
        for (part = 0; part < 2; part++) {
            a[part] = problem_flash_args(&p, &call);
            a[part].kv.k =
                aiter_tensor_slice(a[part].kv.k, 1, part ? cut : 0, part ? c.sk - cut : cut);
            a[part].kv.v =
                aiter_tensor_slice(a[part].kv.v, 1, part ? cut : 0, part ? c.sk - cut : cut);
            if (part) a[part].out.data = out.data;
            if (part) a[part].lse.data = lse.data;
            CHECK(aiter_flash_attn_fwd(&a[part], ctx) == AITER_OK, "%s", aiter_last_error());
        }
        m.out_a = m.out = a[0].out;
        m.lse_a = m.lse = a[0].lse;
        m.out_b = a[1].out;
        m.lse_b = a[1].lse;
        CHECK(aiter_merge_attn_states(&m, ctx) == AITER_OK, "%s", aiter_last_error());
        problem_compare(&p, "split and merged");
        buffer_free(&out);
        buffer_free(&lse);
        problem_free(&p);
        test_global.cases++;
    }
}

/* One kv head for all, as one head and as a stride of 0. */
static void repeated_heads(aiter_context *ctx)
{
    int n;
    for (n = 0; n < SHAPES; n++) {
        attn_case c = shape(n);
        attn_problem p;
        aiter_flash_attn_fwd_args a;
        attn_call call;
        memset(&call, 0, sizeof call);
        c.hq = 4;
        c.hk = 1;
        problem_new(&p, &c);
        problem_expect(&p, 1e9);
        problem_store(&p, SLACK_NAN);
        a = problem_flash_args(&p, &call);
        a.kv.k.shape[2] = a.kv.v.shape[2] = 4;
        a.kv.k.stride[0] = a.kv.v.stride[0] = (int64_t)c.sk * c.dq;
        a.kv.k.stride[1] = a.kv.v.stride[1] = c.dq;
        a.kv.k.stride[2] = a.kv.v.stride[2] = 0;
        a.kv.k.stride[3] = a.kv.v.stride[3] = 1;
        CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "%s", aiter_last_error());
        problem_compare(&p, "heads repeated by stride 0");
        problem_free(&p);
        test_global.cases++;
    }
}

/* Doubling v doubles out, bit for bit; doubling q and halving the scale changes nothing. */
static void powers_of_two(aiter_context *ctx)
{
    int n;
    for (n = 0; n < SHAPES; n++) {
        attn_case c = shape(n), twice = c;
        attn_problem p;
        output_bits one, two;
        int64_t i;
        c.scale = 0.25;
        c.no_lse = twice.no_lse = 1;
        twice.scale = 0.125;
        twice.q_size = 2;
        twice.v_size = 2;
        problem_new(&p, &c);
        one = problem_run(&p, ctx, SLACK_NAN, 0, "once");
        problem_free(&p);
        problem_new(&p, &twice);
        two = problem_run(&p, ctx, SLACK_NAN, 0, "twice");
        problem_free(&p);
        for (i = 0; i < one.bytes; i += 4) {
            float x, y;
            memcpy(&x, one.data + i, 4);
            memcpy(&y, two.data + i, 4);
            if (bits_of_float(2 * x) != bits_of_float(y)) break;
        }
        CHECK(i == one.bytes, "element %" PRId64 ": %s", i / 4, case_text(&twice));
        free(one.data);
        free(two.data);
        test_global.cases++;
    }
}

/* Asking for the log-sum-exp does not change the output. */
static void lse_or_none(aiter_context *ctx)
{
    int n;
    for (n = 0; n < SHAPES; n++) {
        attn_case c = shape(n);
        attn_problem with, without;
        output_bits a, b;
        int64_t row = (c.dq + 1) * 4, i, bad = 0;
        problem_new(&with, &c);
        a = problem_run(&with, ctx, SLACK_NAN, 0, "with lse");
        c.no_lse = 1;
        problem_new(&without, &c);
        b = problem_run(&without, ctx, SLACK_NAN, 0, "without lse");
        for (i = 0; i < a.bytes / row; i++) {
            bad += memcmp(a.data + i * row, b.data + i * (row - 4), (size_t)row - 4) != 0;
        }
        CHECK(bad == 0, "%" PRId64 " rows depend on lse: %s", bad, case_text(&c));
        free(a.data);
        free(b.data);
        problem_free(&with);
        problem_free(&without);
        test_global.cases++;
    }
}

/* Packed rows with gaps between the sequences give the bits of the same rows without, whatever lies
 * in the gaps. */
static void gaps_or_none(aiter_context *ctx)
{
    int n;
    for (n = 0; n < 2 * SHAPES; n++) {
        attn_case c = shape(n / 2);
        attn_problem tight, apart;
        attn_call call;
        output_bits a, b, zero;
        c.form = n % 2 ? FORM_VARLEN : FORM_MIXED;
        c.op = OP_FLASH;
        c.b = 3;
        c.ragged = 1;
        c.page = 8;
        c.layout = LAYOUT_BSHD;
        c.bias = c.bias ? BIAS_SQ_SK : BIAS_NONE;
        c.visible = BIAS_NONE;
        problem_new(&tight, &c);
        a = problem_run(&tight, ctx, SLACK_NAN, 0, "without gaps");
        c.gaps = 1 + n * 7;
        problem_new(&apart, &c);
        b = problem_run(&apart, ctx, SLACK_NAN, 0, "with gaps");
        zero = problem_run(&apart, ctx, SLACK_ZERO, 0, "with gaps of zeros");
        CHECK(bits_equal(&a, &b) && bits_equal(&a, &zero), "gaps show: %s", case_text(&c));
        memset(&call, 0, sizeof call); /* rooms beyond the longest length */
        call.ctx = ctx;
        call.max_seqlen_q = c.sq;
        call.max_seqlen_k = c.sk;
        CHECK(problem_call(&apart, &call) == AITER_OK, "%s: %s", aiter_last_error(), case_text(&c));
        free(a.data);
        free(b.data);
        free(zero.data);
        problem_free(&tight);
        problem_free(&apart);
        test_global.cases++;
    }
}

/* NaN or infinity in one place reaches the rows that see it, and no other. */
static void not_a_number(aiter_context *ctx)
{
    int n, place, mask;
    for (n = 0; n < SHAPES; n++) {
        for (place = 0; place < 4; place++) {
            for (mask = 0; mask < 3; mask++) {
                attn_case c = shape(n);
                attn_problem p;
                int j;
                c.mask = (aiter_mask)(mask == 2 ? AITER_MASK_WINDOW : AITER_MASK_NONE + mask);
                c.left = 9;
                c.right = 1;
                c.form = n % 2 ? FORM_DENSE : FORM_MIXED;
                problem_new(&p, &c);
                for (j = c.sk - 1; j > 0 && !p.key_seen[j]; j--) {}
                j -= (j * place) / 9 < 3 ? (j * place) / 9 : 3;
                if (place == 0) p.k[(int64_t)j * c.dq] = double_of_bits(BITS_NAN);
                if (place == 1) p.v[(int64_t)j * c.dq + 1] = double_of_bits(BITS_NAN);
                if (place == 2) p.q[(int64_t)(c.sq / 2) * c.dq + 2] = double_of_bits(BITS_NAN);
                if (place == 3) p.v[(int64_t)j * c.dq + 2] = double_of_bits(BITS_INF);
                problem_expect(&p, 1e9);
                problem_store(&p, SLACK_ZERO);
                call_ok(&p, ctx);
                problem_compare(&p, place == 0   ? "NaN in a key"
                                    : place == 1 ? "NaN in a value"
                                    : place == 2 ? "NaN in a query"
                                                 : "infinity in a value");
                problem_free(&p);
            }
        }
    }
}

/* One workspace query with the maxima serves every smaller call. */
static void workspace_is_monotone(aiter_context *ctx)
{
    int n, i;
    for (n = 0; n < SHAPES; n++) {
        attn_case c = shape(n);
        attn_problem p;
        attn_call call;
        size_t most = 0, bytes = 0;
        memset(&call, 0, sizeof call);
        call.ctx = ctx;
        call.kind = CALL_WORKSPACE;
        call.bytes = &most;
        problem_new(&p, &c);
        problem_store(&p, SLACK_ZERO);
        CHECK(problem_call(&p, &call) == AITER_OK, "%s", aiter_last_error());
        problem_free(&p);
        for (i = 0; i < 24; i++) {
            attn_case less = c;
            int *field = i % 4 == 0   ? &less.sq
                         : i % 4 == 1 ? &less.sk
                         : i % 4 == 2 ? &less.dq
                                      : &less.b;
            *field -= i / 4;
            if (i % 3 == 0) less.sk = less.sk * (i + 1) / 25;
            if (*field < 1) *field = 1;
            problem_new(&p, &less);
            problem_store(&p, SLACK_ZERO);
            call.bytes = &bytes;
            CHECK(problem_call(&p, &call) == AITER_OK, "%s", aiter_last_error());
            CHECK(bytes <= most, "%zu bytes for less than what takes %zu: %s", bytes, most,
                  case_text(&less));
            problem_free(&p);
        }
    }
}

/* The workspace query looks at shapes alone: every address it gets is unreadable. */
static void workspace_reads_nothing(aiter_context *ctx)
{
    int n, form;
    for (n = 0; n < SHAPES; n++) {
        for (form = 0; form < FORM_COUNT; form++) {
            attn_case c = shape(n);
            attn_problem p;
            attn_call call;
            size_t bytes = 0, blind = 0;
            aiter_tensor *const t[] = {&p.q_t,       &p.k_t,       &p.v_t,  &p.out_t,
                                       &p.lse_t,     &p.bias_t,    &p.cu_q, &p.cu_k,
                                       &p.seqused_q, &p.seqused_k, &p.table};
            int i;
            memset(&call, 0, sizeof call);
            call.ctx = ctx;
            call.kind = CALL_WORKSPACE;
            call.bytes = &bytes;
            c.form = (attn_form)form;
            problem_new(&p, &c);
            problem_store(&p, SLACK_NAN);
            CHECK(problem_call(&p, &call) == AITER_OK, "%s", aiter_last_error());
            for (i = 0; i < COUNT(t); i++) t[i]->data = p.buffer[0].data + p.buffer[0].bytes;
            call.bytes = &blind;
            CHECK(problem_call(&p, &call) == AITER_OK && bytes == blind, "%zu bytes, then %zu: %s",
                  bytes, blind, case_text(&p.c));
            problem_free(&p);
        }
    }
}

int main(void)
{
    int t;
    test_begin("properties", 1e9);
    run_begin();
    for (t = 0; t <= run_on.tiers; t++) {
        aiter_context *ctx = t < run_on.tiers ? run_on.one[t] : run_on.two;
        permuted(ctx);
        split_and_merged(ctx);
        repeated_heads(ctx);
        powers_of_two(ctx);
        lse_or_none(ctx);
        gaps_or_none(ctx);
        not_a_number(ctx);
        workspace_is_monotone(ctx);
        workspace_reads_nothing(ctx);
    }
    run_end();
    return test_end();
}
