/* test_short_forms.c -- grouped, multi and variable-length attention and the two single-token
 * decode functions against the oracle. */
#include "test.h"
#include "reference.c"
#include "case_run.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

static attn_case form(attn_op op, int hq, int hk, int sq, int sk, int d)
{
    attn_case c = {.op = op, .b = 2, .hq = hq, .hk = hk, .sq = sq, .sk = sk, .dq = d, .core = 1};
    if (op == OP_MQA) c.hk = 1;
    if (op == OP_VARLEN) c.form = FORM_VARLEN, c.ragged = 1;
    if (op >= OP_DECODE_ONE) c.b = c.sq = 1;
    if (op == OP_DECODE_ONE) c.hq = c.hk = 1;
    c.seed = (uint64_t)(op * 7919 + hq * 101 + sq * 1009 + sk * 13 + d);
    return c;
}

static void small_shapes(attn_op op)
{
    static const int heads[][2] = {{1, 1}, {2, 2}, {4, 2}, {8, 1}, {5, 1}, {14, 2}};
    static const int lengths[][2] = {{1, 1},   {1, 63},  {1, 64},  {1, 65},  {1, 97},
                                     {5, 5},   {5, 129}, {17, 9},  {25, 66}, {3, 0},
                                     {1, 511}, {1, 513}, {49, 50}, {2, 1025}};
    static const int dims[][2] = {{4, 4}, {8, 8}, {16, 24}, {7, 5}, {33, 33}, {64, 64}};
    attn_case c;
    int i;
    for (i = 0; i < 42; i++) {
        const int *h = heads[i % COUNT(heads)], *s = lengths[i % COUNT(lengths)];
        const int *d = dims[s[1] > 200 ? i % 2 : (i / 2) % COUNT(dims)];
        c = form(op, h[0], h[1], s[0], s[1], d[0]);
        c.dv = op >= OP_DECODE_ONE ? d[0] : d[1];
        c.seed += (uint64_t)i;
        c.q_type = (aiter_dtype)(AITER_F32 + i % 3);
        c.kv_type = (aiter_dtype)(AITER_F32 + i / 3 % 3);
        c.out_type = (aiter_dtype)(AITER_F32 + i / 9 % 3);
        c.layout = (attn_layout)(i % LAYOUT_COUNT);
        c.scale = i % 4 == 3 ? 0.4 : 0;
        c.no_lse = i % 5 == 4;
        if (op < OP_DECODE_ONE) {
            c.mask = (aiter_mask)(i % AITER_MASK_COUNT);
            c.left = i % 3 * 4 - 1;
            c.right = i % 2 * 3 - 1;
        }
        case_run(&c);
    }
}

static void sweep(attn_op op)
{
    test_rng r = {(uint64_t)op + 77};
    while (test_global.spent < test_global.limit * 0.98) {
        int hk = rng_int(&r, 1, 3);
        attn_case c = form(op, hk * rng_int(&r, 1, 9), hk, rng_int(&r, 0, 150),
                           rng_int(&r, 0, op >= OP_DECODE_ONE ? 3000 : 400), rng_int(&r, 1, 200));
        c.core = 0;
        while ((double)c.b * c.hq * c.sq * c.sk * 2 * c.dq > 3e6) c.sk /= 2;
        c.seed = rng_next(&r) >> 20;
        c.mask = (aiter_mask)(op < OP_DECODE_ONE ? rng_int(&r, 0, AITER_MASK_COUNT - 1) : 0);
        c.left = rng_int(&r, -1, 50);
        c.right = rng_int(&r, -1, 50);
        c.q_type = (aiter_dtype)rng_int(&r, AITER_F32, AITER_BF16);
        c.kv_type = (aiter_dtype)rng_int(&r, AITER_F32, AITER_BF16);
        c.out_type = (aiter_dtype)rng_int(&r, AITER_F32, AITER_BF16);
        c.layout = (attn_layout)rng_int(&r, 0, LAYOUT_COUNT - 1);
        case_run(&c);
        test_global.spent += 1e4;
    }
}

int main(void)
{
    int op;
    test_begin("short_forms", 1e9);
    run_begin();
    for (op = OP_GQA; op <= OP_DECODE_GQA; op++) small_shapes((attn_op)op);
    for (op = OP_GQA; op <= OP_DECODE_GQA; op++) {
        test_share(0.2 * (op - OP_GQA + 1));
        sweep((attn_op)op);
    }
    run_end();
    return test_end();
}
