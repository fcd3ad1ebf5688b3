/* cells_pairs.h -- options of attention in pairs: cases are drawn until every pair of values of two
 * axes that a call can have has been run. */
#ifndef AITER_TEST_CELLS_PAIRS_H
#define AITER_TEST_CELLS_PAIRS_H

#include "cells.h"

/* AXIS(name, values) */
#define PAIR_AXES(AXIS)    \
    AXIS(OP, 2)            \
    AXIS(Q, 6)             \
    AXIS(K, CASE_KV_TYPES) \
    AXIS(V, CASE_KV_TYPES) \
    AXIS(OUT, 6)           \
    AXIS(ORDER, 9)         \
    AXIS(LOOKUP, 9)        \
    AXIS(KIND, 8)          \
    AXIS(SCALE_TYPE, 4)    \
    AXIS(MASK, 8)          \
    AXIS(SOFTCAP, 2)       \
    AXIS(ALIBI, 3)         \
    AXIS(BIAS, 4)          \
    AXIS(BIAS_TYPE, 3)     \
    AXIS(VISIBLE, 3)       \
    AXIS(SINKS, 2)         \
    AXIS(SPLITS, 3)        \
    AXIS(LSE, 2)           \
    AXIS(TOKENS, 4)        \
    AXIS(GROUP, 4)         \
    AXIS(LATENT, 2)        \
    AXIS(Q_SCALE, 4)       \
    AXIS(OUT_SCALE, 3)     \
    AXIS(DIM, 4)           \
    AXIS(PAGE, 5)

enum {
#define PAIR_ENUM(name, values) AXIS_##name,
    PAIR_AXES(PAIR_ENUM)
#undef PAIR_ENUM
        AXES
};

static const int axis_values[AXES] = {
#define PAIR_VALUES(name, values) values,
    PAIR_AXES(PAIR_VALUES)
#undef PAIR_VALUES
};

enum { MOST_VALUES = 9 };

typedef struct pair_draw {
    int at[AXES];
    attn_case c;
} pair_draw;

static const attn_layout pair_layouts[] = {LAYOUT_BSHD,     LAYOUT_BHSD, LAYOUT_KV,
                                           LAYOUT_X_PACKED, LAYOUT_GAPS, LAYOUT_STEP,
                                           LAYOUT_BHDS,     LAYOUT_SBHD, LAYOUT_SHUFFLED};

/* Where rows and keys are found. */
static inline void pair_lookup(attn_case *c, int lookup)
{
    static const attn_form forms[] = {FORM_DENSE, FORM_PADDED, FORM_VARLEN, FORM_VARLEN, FORM_PAGED,
                                      FORM_PAGED, FORM_PAGED,  FORM_MIXED,  FORM_MIXED};
    c->form = forms[lookup];
    c->gaps = lookup == 3 || lookup == 8 ? 5 : 0;
    c->lists = lookup == 5 || lookup == 8 ? 1 : lookup == 6 ? 2 : 0;
}

static inline void pair_mask(attn_case *c, int mask)
{
    static const aiter_mask masks[] = {
        AITER_MASK_DEFAULT, AITER_MASK_NONE,   AITER_MASK_CAUSAL, AITER_MASK_CAUSAL_TOP_LEFT,
        AITER_MASK_WINDOW,  AITER_MASK_WINDOW, AITER_MASK_WINDOW, AITER_MASK_WINDOW};
    c->mask = masks[mask];
    c->left = mask == 6 ? -1 : 9;
    c->right = mask == 5 ? -1 : mask == 7 ? 0 : 2;
    c->sink_tokens = mask == 7 ? 3 : 0;
}

static inline void pair_bias(attn_case *c, int bias, int visible)
{
    static const attn_bias dense[] = {BIAS_NONE, BIAS_SQ_SK, BIAS_B_H_SQ_SK, BIAS_B_KEY};
    static const attn_bias packed[] = {BIAS_NONE, BIAS_SQ_SK, BIAS_H_SQ_SK, BIAS_SQ_SK};
    c->bias = (case_is_packed(c) ? packed : dense)[bias];
    c->visible = (case_is_packed(c) ? packed : dense)[visible];
}

/* The case that the axes ask for; then the axes become what it is: an option that means nothing
 * there counts as its first value. */
static inline void pair_complete(pair_draw *d, uint64_t seed)
{
    static const int tokens[] = {1, 2, 5, 19}, groups[] = {1, 2, 3, 8}, dims[] = {32, 64, 17, 40};
    static const int pages[] = {16, 1, 3, 7, 32};
    int *at = d->at;
    attn_case *c = &d->c;
    memset(c, 0, sizeof *c);
    if (at[AXIS_LOOKUP] < 4 || at[AXIS_LOOKUP] > 6) at[AXIS_OP] = 0;
    c->op = at[AXIS_OP] ? OP_DECODE : OP_FLASH;
    c->seed = seed, c->b = 2, c->hk = 2, c->ragged = 1, c->core = 1;
    c->sq = tokens[at[AXIS_TOKENS]];
    c->sk = 3 + (int)(seed >> 8 & 0xFFFF) % 70;
    c->hq = c->hk * groups[at[AXIS_GROUP]];
    c->dq = dims[at[AXIS_DIM]];
    c->dv = seed >> 16 & 1 ? c->dq : dims[seed >> 17 & 3];
    c->page = pages[at[AXIS_PAGE]];
    pair_lookup(c, at[AXIS_LOOKUP]);
    pair_mask(c, at[AXIS_MASK]);
    pair_bias(c, at[AXIS_BIAS], at[AXIS_VISIBLE]);
    c->q_type = case_row_types[at[AXIS_Q]];
    c->out_type = case_row_types[at[AXIS_OUT]];
    c->kv_type = case_kv_types[at[AXIS_K]];
    c->v_type = case_kv_types[at[AXIS_V]];
    c->layout = pair_layouts[at[AXIS_ORDER]];
    c->latent = at[AXIS_LATENT];
    c->scale_kind = (aiter_scale_kind)at[AXIS_KIND];
    c->scale_type = case_scale_types[at[AXIS_SCALE_TYPE]];
    c->scale_order = (int)(seed >> 20 & 0xFFFF) % 3;
    c->softcap = at[AXIS_SOFTCAP] ? 15 : 0;
    c->alibi = at[AXIS_ALIBI];
    c->bias_type = (aiter_dtype)(AITER_F32 + at[AXIS_BIAS_TYPE]);
    c->sinks = at[AXIS_SINKS];
    c->splits = at[AXIS_SPLITS] == 2 ? 3 : at[AXIS_SPLITS];
    c->no_lse = at[AXIS_LSE];
    c->q_scale = at[AXIS_Q_SCALE] ? 0.3 : 0, c->q_scales = at[AXIS_Q_SCALE] - 1;
    c->out_scale = at[AXIS_OUT_SCALE] ? 0.7 : 0, c->out_scales = at[AXIS_OUT_SCALE] - 1;
    *c = case_complete(*c);
    if (!c->bias) at[AXIS_BIAS_TYPE] = 0;
    if (!case_is_paged(c)) at[AXIS_PAGE] = 0;
    while (case_kv_types[at[AXIS_V]] != c->v_type) at[AXIS_V] = (at[AXIS_V] + 1) % CASE_KV_TYPES;
    while (pair_layouts[at[AXIS_ORDER]] != c->layout) at[AXIS_ORDER] = (at[AXIS_ORDER] + 1) % 9;
    at[AXIS_KIND] = (int)c->scale_kind;
    if (!case_is_scaled(c, c->kv_type) && !case_is_scaled(c, c->v_type))
        at[AXIS_KIND] = at[AXIS_SCALE_TYPE] = 0;
}

static unsigned char pair_seen[AXES][MOST_VALUES][AXES][MOST_VALUES];

/* Pairs that a draw would add. */
static inline int pairs_added(const pair_draw *d, int mark)
{
    int a, b, n = 0;
    for (a = 0; a < AXES; a++)
        for (b = a + 1; b < AXES; b++) {
            unsigned char *seen = &pair_seen[a][d->at[a]][b][d->at[b]];
            n += !*seen;
            if (mark) *seen = 1;
        }
    return n;
}

/* The draw with a at i and b at j that adds the most; 0: no call has both. */
static inline int pair_draw_best(pair_draw *best, test_rng *r, int a, int i, int b, int j)
{
    int tries, axis, most = 0;
    for (tries = 0; tries < 24; tries++) {
        pair_draw d;
        int n;
        for (axis = 0; axis < AXES; axis++) d.at[axis] = rng_int(r, 0, axis_values[axis] - 1);
        d.at[a] = i, d.at[b] = j;
        pair_complete(&d, rng_next(r) >> 20);
        if (d.at[a] != i || d.at[b] != j) continue;
        n = pairs_added(&d, 0);
        if (n > most) *best = d, most = n;
    }
    return most;
}

/* Runs cases until each pair has been there; says how many that took. */
static inline void pairs_run(uint64_t seed, void (*run)(const attn_case *c))
{
    test_rng r = {seed};
    int a, b, i, j, cases = 0, pairs = 0, impossible = 0;
    for (a = 0; a < AXES; a++)
        for (b = a + 1; b < AXES; b++)
            for (i = 0; i < axis_values[a]; i++)
                for (j = 0; j < axis_values[b]; j++) {
                    pair_draw d;
                    if (pair_seen[a][i][b][j]) continue;
                    if (!pair_draw_best(&d, &r, a, i, b, j)) {
                        impossible++;
                        continue;
                    }
                    pairs += pairs_added(&d, 1);
                    cases++;
                    run(&d.c);
                }
    test_say("%d pairs of options in %d cases; %d that no call has\n", pairs, cases, impossible);
    CHECK(pairs > 20 * impossible, "%d pairs, but %d impossible ones", pairs, impossible);
}

#endif /* AITER_TEST_CELLS_PAIRS_H */
