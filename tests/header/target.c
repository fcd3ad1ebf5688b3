/* target.c -- what must hold on every CPU and under every compiler flag: every op on the scalar
 * kernel set, within its oracle's bounds; and one line with the bits of all results, which are
 * equal wherever a * b + c is rounded alike. */
#include "../test.h"
#include "../reference.c"
#include "../every_op.h"

/* softmax over the scores 0 and 1: the first thing that excess precision gets wrong. */
static void two_keys(void)
{
    const float q[1] = {1}, k[2] = {0, 1}, v[2] = {0, 1};
    float out[1] = {0}, lse[1] = {0};
    aiter_flash_attn_fwd_args a;
    memset(&a, 0, sizeof a);
    a.q = aiter_tensor_4d(q, AITER_F32, 1, 1, 1, 1);
    a.kv.k = aiter_tensor_4d(k, AITER_F32, 1, 2, 1, 1);
    a.kv.v = aiter_tensor_4d(v, AITER_F32, 1, 2, 1, 1);
    a.out = aiter_tensor_4d(out, AITER_F32, 1, 1, 1, 1);
    a.lse = aiter_tensor_3d(lse, AITER_F32, 1, 1, 1);
    CHECK(aiter_flash_attn_fwd(&a, NULL) == AITER_OK, "%s", aiter_last_error());
    CHECK(fabs(out[0] - 0.7310586) < 1e-6, "out %.7f", (double)out[0]);
    CHECK(fabs(lse[0] - 1.3132617) < 1e-6, "lse %.7f", (double)lse[0]);
}

/* Types, masks and scores that the ops above do not vary. */
static uint64_t more_cases(aiter_context *ctx)
{
    attn_case c[4];
    uint64_t sum = 0;
    int i;
    for (i = 0; i < 4; i++) {
        attn_problem p;
        output_bits bits;
        c[i] = every_case(i % 2 ? FORM_PAGED : FORM_DENSE, 20);
        c[i].sq = i < 2 ? 2 : 40;
        c[i].sk = 70;
        c[i].splits = 0;
        c[i].mask = i % 2 ? AITER_MASK_WINDOW : AITER_MASK_CAUSAL;
        c[i].left = 30;
        c[i].sink_tokens = 3;
        c[i].softcap = i % 2 ? 0 : 2.5;
        c[i].alibi = 1;
        c[i].sinks = i % 2;
        c[i].q_type = i < 2 ? AITER_F16 : AITER_BF16;
        c[i].kv_type = i % 2 ? AITER_I8 : AITER_F32;
        c[i].out_type = i % 2 ? AITER_F32 : AITER_BF16;
        problem_new(&p, &c[i]);
        bits = problem_run(&p, ctx, SLACK_NAN, 1, "more");
        problem_expect(&p, 1e6);
        problem_compare(&p, "more");
        sum = test_mix(sum ^ test_hash(bits.data, (size_t)bits.bytes));
        free(bits.data);
        problem_free(&p);
    }
    return sum;
}

/* A signalling NaN keeps its bits on its way through a cache, strided or not. */
static void quiet_copies(void)
{
    uint32_t rows[8], cache[2][16];
    int32_t slot = 1;
    int i, step;
    for (step = 1; step <= 2; step++) {
        aiter_reshape_and_cache_args a;
        memset(&a, 0, sizeof a);
        memset(cache, 0, sizeof cache);
        for (i = 0; i < 8; i++) rows[i] = 0x7f800001u + (uint32_t)i;
        a.k = a.v = aiter_tensor_3d(rows, AITER_F32, 1, 1, 4);
        a.k.stride[0] = a.v.stride[0] = a.k.stride[1] = a.v.stride[1] = 8;
        a.k.stride[2] = a.v.stride[2] = step;
        a.kv.k = aiter_tensor_4d(cache[0], AITER_F32, 1, 2, 1, 4);
        a.kv.v = aiter_tensor_4d(cache[1], AITER_F32, 1, 2, 1, 4);
        a.kv.v.stride[0] = 16;
        a.kv.v.stride[1] = a.kv.v.stride[2] = 8;
        a.kv.v.stride[3] = step;
        a.slot_mapping = aiter_tensor_1d(&slot, AITER_I32, 1);
        CHECK(aiter_reshape_and_cache(&a, NULL) == AITER_OK, "%s", aiter_last_error());
        for (i = 0; i < 4; i++) {
            CHECK(cache[0][4 + i] == rows[i * step], "k %d is %x", i, (unsigned)cache[0][4 + i]);
            CHECK(cache[1][8 + i * step] == rows[i * step], "v %d is %x", i,
                  (unsigned)cache[1][8 + i * step]);
        }
    }
}

int main(void)
{
    uint64_t inputs = 0, outputs = 0;
    int i, threads;
    test_begin("target", 1e8);
    two_keys();
    quiet_copies();
    for (threads = 1; threads <= 2; threads++) {
        aiter_context *ctx = test_context(AITER_ISA_SCALAR, threads);
        uint64_t sum = 0;
        for (i = 0; i < EVERY_OP; i++) {
            every_op o;
            every_new(&o, i, 12);
            sum = test_mix(sum ^ every_answer(&o, ctx, "scalar"));
            if (threads == 1) inputs = test_mix(inputs ^ every_inputs(&o));
            if (threads == 1 && i < EVERY_ATTENTION) {
                problem_expect(&o.p, 1e6);
                problem_compare(&o.p, o.name);
            }
            every_free(&o);
        }
        sum = test_mix(sum ^ more_cases(ctx));
        if (threads == 1) outputs = sum;
        CHECK(sum == outputs, "%d threads give other bits", threads);
        aiter_context_destroy(ctx);
    }
    run_statistics_say();
    test_say("bits %016" PRIx64 " of inputs %016" PRIx64 "\n", outputs, inputs);
    return test_end();
}
