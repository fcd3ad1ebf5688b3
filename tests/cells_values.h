/* cells_values.h -- cells run against the oracle: options in pairs, the products of the tables as
 * far as the budget goes, then shapes at random. */
#ifndef AITER_TEST_CELLS_VALUES_H
#define AITER_TEST_CELLS_VALUES_H

#include "cells_pairs.h"

/* The worst error of a type of q and of K, in units of its bound; of f32 results: half a unit of
 * other types is most of theirs. */
static double worst_of_types[COUNT(case_row_types)][CASE_KV_TYPES];

static inline void values_keep_worst(const attn_case *c, const run_statistics *now)
{
    int q = 0, k = 0, out;
    double *worst;
    if (c->out_type != AITER_F32) return;
    while (case_row_types[q] != c->q_type) q++;
    while (case_kv_types[k] != c->kv_type) k++;
    worst = &worst_of_types[q][k];
    for (out = 0; out < AITER_DTYPE_COUNT; out++)
        if (now->worst[out] > *worst) *worst = now->worst[out];
    if (now->worst_lse > *worst) *worst = now->worst_lse;
}

static inline void run_statistics_add(run_statistics *all, const run_statistics *more)
{
    int i;
    for (i = 0; i < AITER_DTYPE_COUNT; i++)
        if (more->worst[i] > all->worst[i]) all->worst[i] = more->worst[i];
    if (more->worst_lse > all->worst_lse) all->worst_lse = more->worst_lse;
    all->rows += more->rows;
}

/* The schedule made beforehand gives the same bits. */
static inline void values_run_planned(attn_problem *p, const attn_call *plain)
{
    attn_call call = *plain;
    output_bits bits = problem_run(p, call.ctx, SLACK_NAN, 0, "without a plan"), planned;
    test_buffer memory;
    aiter_plan plan;
    memset(&plan, 0, sizeof plan);
    call.kind = CALL_PLAN;
    call.plan_out = &plan;
    problem_store(p, SLACK_NAN);
    CHECK(problem_call(p, &call) == AITER_OK, "%s: %s", aiter_last_error(), case_text(&p->c));
    memory = buffer_new((plan.bytes + 7) / 8 * 8);
    plan.data = memory.data;
    CHECK(problem_call(p, &call) == AITER_OK, "%s: %s", aiter_last_error(), case_text(&p->c));
    call.kind = CALL_RUN;
    call.plan = &plan;
    CHECK(problem_call(p, &call) == AITER_OK, "%s: %s", aiter_last_error(), case_text(&p->c));
    planned = problem_bits(p);
    CHECK(bits_equal(&bits, &planned), "a plan changes bits: %s", case_text(&p->c));
    buffer_free(&memory);
    free(bits.data);
    free(planned.data);
}

/* A call that is supported, says so on each kernel set, and is right. */
static inline void values_run(const attn_case *wanted)
{
    const run_statistics before = run_stats;
    attn_problem p;
    attn_call call;
    any_args args;
    int t;
    problem_new(&p, wanted);
    if (test_afford(wanted->core, case_flops(&p) * 3 + 2e5 /* to store it */)) {
        memset(&call, 0, sizeof call);
        memset(&run_stats, 0, sizeof run_stats);
        problem_expect(&p, 1e9);
        problem_store(&p, SLACK_NAN);
        op_table[p.c.op].fill(&args, &p, &call);
        for (t = 0; t < run_on.tiers; t++)
            CHECK(op_table[p.c.op].supported(&args, run_on.one[t]) == AITER_OK, "%s: %s",
                  aiter_last_error(), case_text(&p.c));
        problem_run_everywhere(&p);
        call.ctx = run_on.two;
        if (p.c.seed % 3 == 0) values_run_planned(&p, &call);
        values_keep_worst(&p.c, &run_stats);
        run_statistics_add(&run_stats, &before);
    }
    problem_free(&p);
}

/* ---- the products of the tables ---- */

static inline attn_case case_of_cell(const cell *c, uint64_t seed)
{
    static const attn_layout layouts[] = {LAYOUT_BSHD, LAYOUT_BHSD,     LAYOUT_KV,
                                          LAYOUT_BSHD, LAYOUT_X_PACKED, LAYOUT_SHUFFLED};
    attn_case a;
    memset(&a, 0, sizeof a);
    a.op = c->op;
    a.layout = layouts[c->order];
    pair_lookup(&a, (int)c->lookup);
    a.page = c->order == ORDER_ONE ? 1 : 16;
    a.b = 2, a.hk = 2, a.hq = 4, a.ragged = 1, a.seed = seed;
    a.sq = c->op == OP_DECODE ? 1 + (int)(seed >> 4 & 1) : 1 + (int)(seed >> 4 & 0xFFFF) % 5;
    a.sk = 4 + (int)(seed >> 12 & 0xFFFF) % 37;
    a.dq = 32 << (seed >> 20 & 1);
    a.q_type = c->q, a.out_type = seed & 1 ? c->out : AITER_F32, a.kv_type = c->k, a.v_type = c->v;
    a.scale_kind = c->kind, a.scale_type = c->scale_type;
    return a;
}

/* Cell n of all of them; 0: there is no such, or it is refused. */
static inline int cell_of_number(cell *c, int64_t n, int scales)
{
    any_args args;
    memset(c, 0, sizeof *c);
    c->op = n % 2 ? OP_DECODE : OP_FLASH, n /= 2;
    c->order = (cell_order)(n % ORDER_COUNT), n /= ORDER_COUNT;
    c->lookup = (cell_lookup)(n % LOOKUP_COUNT), n /= LOOKUP_COUNT;
    c->k = c->v = case_kv_types[n % CASE_KV_TYPES], n /= CASE_KV_TYPES;
    c->q = c->out = AITER_BF16;
    if (scales) {
        c->kind = (aiter_scale_kind)(n % AITER_SCALE_COUNT), n /= AITER_SCALE_COUNT;
        c->scale_type = case_scale_types[n % COUNT(case_scale_types)];
        c->scale_floats = 1;
    } else {
        c->v = case_kv_types[n % CASE_KV_TYPES], n /= CASE_KV_TYPES;
        c->q = c->out = case_row_types[n % COUNT(case_row_types)];
        if (type_is_integer(c->k) || type_is_integer(c->v)) c->kind = AITER_SCALE_PER_TOKEN_HEAD;
    }
    cell_fill(c, &args);
    return cell_exists(c) && op_table[c->op].supported(&args, run_on.two) == AITER_OK;
}

/* In an order that spreads over all axes, while there is budget. */
static inline void values_product(int scales)
{
    const int64_t most = (int64_t)2 * CELL_COLUMNS * CASE_KV_TYPES *
                         (scales ? AITER_SCALE_COUNT * COUNT(case_scale_types)
                                 : CASE_KV_TYPES * COUNT(case_row_types));
    const int64_t before = test_global.cases;
    int64_t n, cells = 0;
    cell c;
    for (n = 0; n < most; n++) {
        const int64_t number = n * 10007 % most; /* a prime that does not divide it */
        if (!cell_of_number(&c, number, scales)) continue;
        cells++;
        if (test_global.spent + 2e6 > test_global.limit) continue; /* any cell takes less */
        const attn_case a = case_of_cell(&c, test_mix((uint64_t)number) >> 20);
        values_run(&a);
    }
    test_say("%s: %" PRId64 " of %" PRId64 " cells that run compared with the oracle\n",
             scales ? "scales" : "types", test_global.cases - before, cells);
}

/* ---- shapes at random ---- */

static inline void values_random(uint64_t seed)
{
    static const int groups[] = {1, 1, 2, 3, 4, 5, 8, 16, 17};
    test_rng r = {seed};
    test_say("shapes at random, seed %" PRIu64 "\n", seed);
    while (test_global.spent < test_global.limit * 0.98) {
        pair_draw d;
        attn_case *c = &d.c;
        int axis;
        for (axis = 0; axis < AXES; axis++) d.at[axis] = rng_int(&r, 0, axis_values[axis] - 1);
        if (!rng_int(&r, 0, 2)) d.at[AXIS_ORDER] = rng_int(&r, 0, 1) ? 3 : 8;
        if (d.at[AXIS_ORDER] % 5 == 3) d.at[AXIS_LOOKUP] = rng_int(&r, 4, 8);
        if (rng_int(&r, 0, 1)) d.at[AXIS_LATENT] = 0;
        pair_complete(&d, rng_next(&r) >> 20);
        c->core = 0;
        c->b = rng_int(&r, 1, 4);
        c->hk = rng_int(&r, 1, 3);
        c->hq = c->hk * groups[rng_int(&r, 0, COUNT(groups) - 1)];
        c->sq = rng_int(&r, c->op == OP_DECODE, rng_int(&r, 0, 2) ? 4 : 40);
        c->sk = rng_int(&r, 0, rng_int(&r, 0, 2) ? 70 : 300);
        c->dq = rng_int(&r, 0, 9) ? rng_int(&r, 1, 130) : rng_int(&r, 1, 576);
        c->dv = rng_int(&r, 0, 1) ? c->dq : rng_int(&r, 1, 130);
        c->page = rng_int(&r, 0, 1) ? rng_int(&r, 1, 50) : 1 << rng_int(&r, 0, 6);
        if (!rng_int(&r, 0, 15)) c->page <<= 4, c->b = 1, c->dq = c->dv = rng_int(&r, 1, 40);
        c->splits = rng_int(&r, 0, 2) ? 0 : rng_int(&r, 1, 9);
        c->gaps = c->gaps ? rng_int(&r, 1, 40) : 0;
        c->left = rng_int(&r, -1, 1 + c->sk / 2);
        c->right = rng_int(&r, -1, 1 + c->sk / 2);
        if (!rng_int(&r, 0, 3)) c->bias_holes = 3;
        while ((double)c->b * c->hq * c->sq * c->sk * (c->dq + c->dv) > 3e6) c->sk /= 2;
        values_run(c);
    }
}

static inline void worst_say(void)
{
    int q, k;
    test_say("worst error of f32 results as a share of its bound; k of");
    for (k = 0; k < CASE_KV_TYPES; k++) test_say(" %s", aiter_dtype_name(case_kv_types[k]));
    for (q = 0; q < COUNT(case_row_types); q++) {
        test_say("\n  q %-12s", aiter_dtype_name(case_row_types[q]));
        for (k = 0; k < CASE_KV_TYPES; k++) test_say(" %.3f", worst_of_types[q][k]);
    }
    test_say("\n");
}

#endif /* AITER_TEST_CELLS_VALUES_H */
