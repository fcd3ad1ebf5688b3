/* fuzz_tiers.c -- bytes become a small legal problem of any attention op, layout, type and mask.
 * Every kernel set is within the bounds of the oracle (so they are of each other), and threads,
 * slack, workspace and a missing context give equal bits. */
#define TEST_PLAIN_MEMORY 1 /* buffers from malloc: AddressSanitizer watches their ends */
#include "fuzz.h"
#include "../dlpack_like.h"
#include "../test.h"
#include "../reference.h"
#include "../reference.c"
#include "../case_run.h"

/* The tasks one after the other, the last first: no thread has to be woken for a tiny problem. */
static void in_turn(void *user, void (*body)(void *arg, int32_t i), void *arg, int32_t n)
{
    (void)user;
    while (n-- > 0) body(arg, n);
}

static void begin(void)
{
    aiter_context_desc d;
    int t;
    test_global.out = stderr;
    test_global.budget = test_global.limit = 1e300;
    run_on.tiers = test_tiers(run_on.isa);
    for (t = 0; t < run_on.tiers; t++) run_on.one[t] = test_context(run_on.isa[t], 1);
    memset(&d, 0, sizeof d);
    d.num_threads = 3;
    d.parallel_for = in_turn;
    FUZZ_CHECK(aiter_context_create(&d, &run_on.two) == AITER_OK, "%s", aiter_last_error());
}

static int a_dim(fuzz_input *in)
{
    static const int dims[] = {1, 2, 3, 4, 5, 8, 15, 16, 17, 24, 31, 32, 33, 48, 64, 65};
    return dims[fuzz_below(in, 16)];
}

/* Short forms are flash under other names, with less to choose. */
static void choose_op(attn_case *c, fuzz_input *in)
{
    c->op = (attn_op)fuzz_below(in, 16);
    if (c->op > OP_DECODE_GQA) c->op = c->op % 2 ? OP_DECODE : OP_FLASH;
    c->form = c->op == OP_DECODE   ? FORM_PAGED
              : c->op == OP_VARLEN ? FORM_VARLEN
              : c->op == OP_FLASH  ? (attn_form)fuzz_below(in, FORM_COUNT)
                                   : FORM_DENSE;
    if (c->op == OP_MQA) c->hk = 1;
    if (c->op == OP_DECODE_ONE || c->op == OP_DECODE_GQA) {
        c->b = c->sq = 1;
        c->dv = c->dq;
        if (c->op == OP_DECODE_ONE) c->hk = c->hq = 1;
        if (c->layout > LAYOUT_STEP || c->layout == LAYOUT_BHSD || c->layout == LAYOUT_SBHD)
            c->layout = LAYOUT_GAPS;
    }
    if (c->op == OP_DECODE && c->sq == 0) c->sq = 1;
}

static void choose_score(attn_case *c, fuzz_input *in)
{
    const int flash = c->op == OP_FLASH, general = flash || c->op == OP_DECODE;
    c->scale = fuzz_below(in, 4) ? 0 : 0.01 * (1 + fuzz_below(in, 100));
    if (c->op == OP_DECODE_ONE || c->op == OP_DECODE_GQA) return;
    c->mask = (aiter_mask)fuzz_below(in, AITER_MASK_COUNT);
    if (c->mask == AITER_MASK_WINDOW) {
        c->left = fuzz_below(in, 24) - 1;
        c->right = fuzz_below(in, 24) - 1;
    }
    if (!general) return;
    if (c->mask == AITER_MASK_WINDOW) c->sink_tokens = fuzz_below(in, 3) ? 0 : fuzz_below(in, 20);
    c->softcap = fuzz_below(in, 4) ? 0 : 0.1 * (1 + fuzz_below(in, 250));
    c->alibi = fuzz_below(in, 4) ? 0 : 1 + fuzz_below(in, 2);
    c->sinks = fuzz_below(in, 4) == 0;
    c->splits = fuzz_below(in, 3) ? 0 : 1 + fuzz_below(in, 9);
    if (c->op == OP_DECODE && c->alibi) c->alibi = 1;
    if (flash && fuzz_below(in, 4) == 0) {
        c->bias = (attn_bias)(1 + fuzz_below(in, BIAS_COUNT - 1));
        if (case_is_packed(c)) c->bias = fuzz_below(in, 2) ? BIAS_SQ_SK : BIAS_H_SQ_SK;
        c->bias_type = (aiter_dtype)(AITER_F32 + fuzz_below(in, 3));
        c->bias_holes = fuzz_below(in, 4) ? 0 : 3;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const aiter_dtype kv[] = {AITER_F32, AITER_F16, AITER_BF16, AITER_I8};
    fuzz_input in = {data, size, 0};
    attn_case c;
    if (!run_on.two) begin();
    memset(&c, 0, sizeof c);
    c.b = 1 + fuzz_below(&in, 3);
    c.hk = 1 + fuzz_below(&in, 2);
    c.hq = c.hk * (1 + fuzz_below(&in, 5));
    c.sq = fuzz_below(&in, 8) ? fuzz_below(&in, 6) : fuzz_below(&in, 40);
    c.sk = fuzz_below(&in, 8) ? fuzz_below(&in, 40) : fuzz_below(&in, 256);
    c.dq = a_dim(&in);
    c.dv = fuzz_below(&in, 2) ? c.dq : a_dim(&in);
    c.layout = (attn_layout)fuzz_below(&in, LAYOUT_COUNT);
    choose_op(&c, &in);
    c.ragged = fuzz_below(&in, 4) != 0 && c.form != FORM_DENSE;
    c.q_type = (aiter_dtype)(AITER_F32 + fuzz_below(&in, 3));
    c.kv_type = kv[fuzz_below(&in, c.op == OP_FLASH || c.op == OP_DECODE ? 4 : 3)];
    c.out_type = (aiter_dtype)(AITER_F32 + fuzz_below(&in, 3));
    c.scale_kind = (aiter_scale_kind)(AITER_SCALE_PER_TENSOR + fuzz_below(&in, 3));
    c.values = (attn_values)(fuzz_below(&in, 6) / 4 * (1 + fuzz_below(&in, 2)));
    choose_score(&c, &in);
    c.page = 1 + fuzz_below(&in, 20);
    c.no_lse = fuzz_below(&in, 4) == 0;
    c.q_size = fuzz_below(&in, 4) ? 1 : 10;
    c.seed = fuzz_u64(&in, 3);
    c.core = 1;
    case_run(&c);
    FUZZ_CHECK(test_global.failed == 0, "%s", case_text(&c));
    return 0;
}
