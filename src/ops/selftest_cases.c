/* selftest_cases.c -- the cases of aiter_selftest: small calls of every op, inputs from a counter,
 * options from the number of the case. */
#ifndef AITERI_SELFTEST_CASES_C
#define AITERI_SELFTEST_CASES_C

#include "../api_ops.h"
#include "call_begin.c"

enum {
    AITERI_SELFTEST_BYTES = 1 << 21, /* all tensors of a case */
    AITERI_SELFTEST_MARK = 0x5c,     /* in outputs, before */
    AITERI_SELFTEST_OUTPUTS = 8,
    AITERI_SELFTEST_BATCH = 3,
    AITERI_SELFTEST_PAGE = 8
};

/* What a call writes. */
typedef struct aiteri_selftest_output {
    const char *name;
    size_t at;
    aiter_dtype dtype;
    int64_t count;
    int exact; /* the same bits in every set */
} aiteri_selftest_output;

/* One case under construction: its tensors lie at the same places of `host` and of `base`, the
 * memory that the call gets. */
typedef struct aiteri_selftest {
    char *host, *expected, *base;
    size_t used;
    aiteri_selftest_output output[AITERI_SELFTEST_OUTPUTS];
    int32_t outputs;
    uint64_t counter; /* of inputs */
    uint64_t number;  /* of the case: its digits are the options */
    double work;      /* multiply-adds of the last case, about */
    int loose;        /* 16-bit weights */
    char words[96];
} aiteri_selftest;

static uint64_t aiteri_selftest_mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* One of n, by the number of the case and the name of the choice. */
static int32_t aiteri_selftest_pick(const aiteri_selftest *s, uint64_t choice, int32_t n)
{
    return (int32_t)(aiteri_selftest_mix(s->number * 64 + choice) >> 33) % n;
}

static aiter_tensor aiteri_selftest_place(aiteri_selftest *s, aiter_dtype dtype, int32_t ndim,
                                          const int64_t *shape)
{
    int64_t count = 1;
    for (int32_t i = 0; i < ndim; i++) count *= shape[i];
    aiter_tensor t =
        aiteri_tensor_make(s->base + s->used, dtype, ndim, shape[0], ndim > 1 ? shape[1] : 0,
                           ndim > 2 ? shape[2] : 0, ndim > 3 ? shape[3] : 0, 0);
    s->used += aiteri_pad_size((size_t)(count * aiter_dtype_bits(dtype) + 7) / 8, AITERI_LINE);
    AITERI_ASSERT(s->used <= AITERI_SELFTEST_BYTES);
    return t;
}

/* Numbers of (-size, size), of [0, size) with `positive`. */
static aiter_tensor aiteri_selftest_input(aiteri_selftest *s, aiter_dtype dtype, int32_t ndim,
                                          const int64_t *shape, float size, int positive)
{
    char *at = s->host + s->used;
    const aiter_tensor t = aiteri_selftest_place(s, dtype, ndim, shape);
    int64_t count = 1;
    for (int32_t i = 0; i < ndim; i++) count *= shape[i];
    for (int64_t i = 0; i < count; i++) {
        const int32_t x = (int32_t)(aiteri_selftest_mix(s->counter++) >> 40 & 0xffff);
        const float unit = (float)(positive ? x + 1 : 2 * x - 0xffff) * (1.0f / 0x10000);
        aiter_store_element(dtype, at, i, unit * size);
    }
    return t;
}

static aiter_tensor aiteri_selftest_ints(aiteri_selftest *s, int32_t ndim, const int64_t *shape,
                                         const int32_t *values)
{
    char *at = s->host + s->used;
    const aiter_tensor t = aiteri_selftest_place(s, AITER_I32, ndim, shape);
    memcpy(at, values, (size_t)(shape[0] * (ndim > 1 ? shape[1] : 1)) * sizeof *values);
    return t;
}

static aiter_tensor aiteri_selftest_output_of(aiteri_selftest *s, const char *name,
                                              aiter_dtype dtype, int32_t ndim, const int64_t *shape,
                                              int exact)
{
    const aiteri_selftest_output o = {name, s->used, dtype, 1, exact};
    const aiter_tensor t = aiteri_selftest_place(s, dtype, ndim, shape);
    AITERI_ASSERT(s->outputs < AITERI_SELFTEST_OUTPUTS);
    s->output[s->outputs] = o;
    for (int32_t i = 0; i < ndim; i++) s->output[s->outputs].count *= shape[i];
    s->outputs++;
    memset(s->host + o.at, AITERI_SELFTEST_MARK, s->used - o.at);
    return t;
}

static aiter_dtype aiteri_selftest_float(const aiteri_selftest *s, uint64_t choice)
{
    return (aiter_dtype)(AITER_F32 + aiteri_selftest_pick(s, choice, 3));
}

/* ---- the attentions ---- */

enum {
    AITERI_SELFTEST_DENSE,
    AITERI_SELFTEST_PACKED,
    AITERI_SELFTEST_PAGED,
    AITERI_SELFTEST_LISTS
};

/* The shapes of a case. */
typedef struct aiteri_selftest_shape {
    int32_t form, decodes, sq, sk, hq, hk, dq, dv;
    int32_t len_q[AITERI_SELFTEST_BATCH], len_k[AITERI_SELFTEST_BATCH];
} aiteri_selftest_shape;

static aiteri_selftest_shape aiteri_selftest_shape_of(aiteri_selftest *s, int32_t decodes)
{
    static const int32_t rows[] = {1, 19, 2, 33}, keys[] = {37, 140, 1, 90};
    static const int32_t dims[] = {64, 16, 33, 24}, groups[] = {1, 4, 3};
    aiteri_selftest_shape n;
    memset(&n, 0, sizeof n);
    n.decodes = decodes;
    n.form = decodes ? AITERI_SELFTEST_PAGED + aiteri_selftest_pick(s, 0, 2)
                     : aiteri_selftest_pick(s, 0, 4);
    n.sq = decodes ? 1 + aiteri_selftest_pick(s, 1, 2) : rows[aiteri_selftest_pick(s, 1, 4)];
    n.sk = keys[aiteri_selftest_pick(s, 2, 4)];
    n.hk = 1 + aiteri_selftest_pick(s, 3, 2);
    n.hq = n.hk * groups[aiteri_selftest_pick(s, 4, 3)];
    n.dq = dims[aiteri_selftest_pick(s, 5, 4)];
    n.dv = aiteri_selftest_pick(s, 6, 3) ? n.dq : dims[aiteri_selftest_pick(s, 7, 4)];
    for (int32_t b = 0; b < AITERI_SELFTEST_BATCH; b++) {
        n.len_q[b] = b == 1 && !decodes ? n.sq / 2 : n.sq;
        n.len_k[b] = b == 2 ? (n.sk + 1) / 2 : n.sk;
    }
    s->work = 2.0 * AITERI_SELFTEST_BATCH * n.hq * n.sq * n.sk * (n.dq + n.dv);
    return n;
}

/* K or V of every type; of int8 with its scales. */
static void aiteri_selftest_keys(aiteri_selftest *s, const aiteri_selftest_shape *n, int value,
                                 aiter_tensor *t, aiter_tensor *scale)
{
    static const aiter_dtype types[] = {AITER_F32,       AITER_F16,         AITER_BF16,   AITER_I8,
                                        AITER_F8_E4M3FN, AITER_F8_E4M3FNUZ, AITER_F8_E5M2};
    const int32_t pages = (n->sk + AITERI_SELFTEST_PAGE - 1) / AITERI_SELFTEST_PAGE;
    const aiter_dtype type = types[aiteri_selftest_pick(s, 8, 7)]; /* one for both: devices */
    const int64_t paged[] = {AITERI_SELFTEST_BATCH * pages, AITERI_SELFTEST_PAGE, n->hk,
                             value ? n->dv : n->dq};
    const int64_t dense[] = {AITERI_SELFTEST_BATCH, n->sk, n->hk, paged[3]};
    const int64_t packed[] = {AITERI_SELFTEST_BATCH * n->sk, n->hk, paged[3]};
    const int64_t *shape = n->form >= AITERI_SELFTEST_PAGED    ? paged
                           : n->form == AITERI_SELFTEST_PACKED ? packed
                                                               : dense;
    const int32_t ndim = n->form == AITERI_SELFTEST_PACKED ? 3 : 4;
    const int scaled = type == AITER_I8;
    *t = aiteri_selftest_input(s, type, ndim, shape, scaled ? 127.0f : 1.0f, 0);
    if (!scaled) return;
    const int64_t one[] = {1};
    const int32_t kind = aiteri_selftest_pick(s, 9, 3);
    *scale = kind == 0   ? aiteri_selftest_input(s, AITER_F32, 1, one, 0.01f, 1)
             : kind == 1 ? aiteri_selftest_input(s, AITER_F32, 1, shape + ndim - 2, 0.01f, 1)
                         : aiteri_selftest_input(s, AITER_F32, ndim - 1, shape, 0.01f, 1);
}

/* Lengths, tables and lists. Packed rows have a gap behind each shorter sequence. */
static void aiteri_selftest_lengths(aiteri_selftest *s, const aiteri_selftest_shape *n,
                                    aiter_attention_args *a)
{
    enum { B = AITERI_SELFTEST_BATCH };
    const int64_t batch[] = {B}, ends[] = {B + 1};
    const int32_t pages = (n->sk + AITERI_SELFTEST_PAGE - 1) / AITERI_SELFTEST_PAGE;
    const int64_t table[] = {B, pages}, all[] = {(int64_t)B * pages};
    int32_t cu_q[B + 1], cu_k[B + 1], indptr[B + 1], ids[B * 64];
    for (int32_t b = 0; b <= B; b++)
        cu_q[b] = b * n->sq, cu_k[b] = b * n->sk, indptr[b] = b * pages;
    for (int32_t i = 0; i < B * pages; i++) ids[i] = (i * 7 + 3) % (B * pages);
    if (B * pages % 7 == 0)
        for (int32_t i = 0; i < B * pages; i++) ids[i] = B * pages - 1 - i;
    if (n->form == AITERI_SELFTEST_PACKED)
        a->kv.cu_seqlens = aiteri_selftest_ints(s, 1, ends, cu_k);
    if (n->form == AITERI_SELFTEST_PACKED || (n->form == AITERI_SELFTEST_PAGED && !n->decodes))
        a->cu_seqlens_q = aiteri_selftest_ints(s, 1, ends, cu_q);
    if (!n->decodes) a->seqused_q = aiteri_selftest_ints(s, 1, batch, n->len_q);
    a->kv.seq_lens = aiteri_selftest_ints(s, 1, batch, n->len_k);
    if (n->form == AITERI_SELFTEST_PAGED)
        a->kv.block_table = aiteri_selftest_ints(s, 2, table, ids);
    a->kv.max_seqlen = n->sk; /* a bias has so many keys, pages may hold more */
    if (n->form != AITERI_SELFTEST_LISTS) return;
    a->kv.indptr = aiteri_selftest_ints(s, 1, ends, indptr);
    a->kv.indices = aiteri_selftest_ints(s, 1, all, ids);
}

static void aiteri_selftest_score(aiteri_selftest *s, const aiteri_selftest_shape *n, int packed,
                                  aiter_score *score)
{
    const int64_t heads[] = {n->hq}, one[] = {1};
    const int64_t rows = packed ? (int64_t)AITERI_SELFTEST_BATCH * n->sq : n->sq;
    const int64_t pairs[] = {rows, n->sk};
    score->mask = (aiter_mask)(AITER_MASK_NONE + aiteri_selftest_pick(s, 10, AITER_MASK_COUNT - 1));
    if (score->mask == AITER_MASK_WINDOW) score->window_left = 11, score->window_right = 2;
    if (aiteri_selftest_pick(s, 11, 4) == 0) score->softcap = 1.5f;
    if (aiteri_selftest_pick(s, 12, 4) == 0) score->sink_tokens = 3;
    if (aiteri_selftest_pick(s, 13, 4) == 0)
        score->alibi_slopes = aiteri_selftest_input(s, AITER_F32, 1, heads, 0.2f, 1);
    if (aiteri_selftest_pick(s, 14, 4) == 0)
        score->sinks = aiteri_selftest_input(s, AITER_F32, 1, heads, 1.0f, 0);
    if (aiteri_selftest_pick(s, 15, 4) == 0)
        score->bias = aiteri_selftest_input(s, aiteri_selftest_float(s, 16), 2, pairs, 1.0f, 0);
    if (aiteri_selftest_pick(s, 17, 8) == 0)
        score->q_scale = aiteri_selftest_input(s, AITER_F32, 1, one, 1.0f, 1);
}

static void aiteri_selftest_attention(aiteri_selftest *s, aiter_attention_args *a, int32_t decodes)
{
    const aiteri_selftest_shape n = aiteri_selftest_shape_of(s, decodes);
    const int packed =
        n.form == AITERI_SELFTEST_PACKED || (n.form == AITERI_SELFTEST_PAGED && !decodes);
    const int64_t total = (int64_t)AITERI_SELFTEST_BATCH * n.sq;
    const int64_t q[] = {AITERI_SELFTEST_BATCH, n.sq, n.hq, n.dq}, q3[] = {total, n.hq, n.dq};
    const int64_t o[] = {q[0], q[1], q[2], n.dv}, o3[] = {total, n.hq, n.dv};
    const int64_t l[] = {q[0], n.hq, n.sq}, l2[] = {n.hq, total};
    const int32_t ndim = packed ? 3 : 4;
    static const char *const forms[] = {"dense", "packed", "paged", "lists of pages"};
    a->q = aiteri_selftest_input(s, aiteri_selftest_float(s, 18), ndim, packed ? q3 : q, 1.0f, 0);
    aiteri_selftest_keys(s, &n, 0, &a->kv.k, &a->kv.k_scale);
    const size_t v_at = s->used;
    aiteri_selftest_keys(s, &n, 1, &a->kv.v, &a->kv.v_scale);
    aiteri_selftest_lengths(s, &n, a);
    aiteri_selftest_score(s, &n, packed, &a->score);
    if (a->score.mask == AITER_MASK_CAUSAL && n.form < AITERI_SELFTEST_PAGED && n.sq > 2)
        aiter_store_element(a->kv.v.dtype, s->host + v_at, (int64_t)(n.sk - 1) * n.hk * n.dv,
                            aiteri_f32_of_bits(0x7fc00000u)); /* that one row alone sees */
    a->out =
        aiteri_selftest_output_of(s, "out", aiteri_selftest_float(s, 19), ndim, packed ? o3 : o, 0);
    if (aiteri_selftest_pick(s, 20, 3))
        a->lse = aiteri_selftest_output_of(s, "lse", AITER_F32, ndim - 1, packed ? l2 : l, 0);
    a->num_splits = aiteri_selftest_pick(s, 21, 3);
    snprintf(s->words, sizeof s->words, "%s, %d x %d, heads %d/%d, D %d/%d, q %s, k %s",
             forms[n.form], (int)n.sq, (int)n.sk, (int)n.hq, (int)n.hk, (int)n.dq, (int)n.dv,
             aiter_dtype_name(a->q.dtype), aiter_dtype_name(a->kv.k.dtype));
}

/* Of the short forms, which take the same: dense, one kv head; packed. */
static void aiteri_selftest_rows(aiteri_selftest *s, aiter_attention_args *a, int packed)
{
    enum { B = AITERI_SELFTEST_BATCH, ROWS = 5, KEYS = 50, HEADS = 3, DIM = 20 };
    const int32_t ends_q[] = {0, 2, 2, ROWS * B}, ends_k[] = {0, 40, 60, KEYS * B};
    const int64_t q[] = {B, ROWS, HEADS, DIM}, q3[] = {B * ROWS, HEADS, DIM};
    const int64_t k[] = {B, KEYS, 1, DIM}, k3[] = {B * KEYS, 1, DIM}, ends[] = {B + 1};
    const aiter_dtype type = aiteri_selftest_float(s, 0);
    a->q = aiteri_selftest_input(s, type, packed ? 3 : 4, packed ? q3 : q, 1.0f, 0);
    a->kv.k = aiteri_selftest_input(s, type, packed ? 3 : 4, packed ? k3 : k, 1.0f, 0);
    a->kv.v = aiteri_selftest_input(s, type, packed ? 3 : 4, packed ? k3 : k, 1.0f, 0);
    a->out = aiteri_selftest_output_of(s, "out", type, packed ? 3 : 4, packed ? q3 : q, 0);
    if (packed) a->cu_seqlens_q = aiteri_selftest_ints(s, 1, ends, ends_q);
    if (packed) a->kv.cu_seqlens = aiteri_selftest_ints(s, 1, ends, ends_k);
    a->score.mask = aiteri_selftest_pick(s, 1, 2) ? AITER_MASK_CAUSAL : AITER_MASK_NONE;
    s->work = 4.0 * B * ROWS * KEYS * HEADS * DIM;
    snprintf(s->words, sizeof s->words, "%s", aiter_dtype_name(type));
}

/* One token in transposed layouts. */
static void aiteri_selftest_token(aiteri_selftest *s, aiter_attention_args *a, int grouped)
{
    enum { HEADS = 6, GROUPS = 2, KEYS = 70, DIM = 24 };
    const int64_t q[] = {DIM, grouped ? HEADS : 1}, o[] = {grouped ? HEADS : 1, DIM};
    const int64_t k[] = {GROUPS, DIM, KEYS};
    const aiter_dtype type = aiteri_selftest_float(s, 0);
    a->q = aiteri_selftest_input(s, type, 2, q, 1.0f, 0);
    a->kv.k = aiteri_selftest_input(s, type, grouped ? 3 : 2, grouped ? k : k + 1, 1.0f, 0);
    a->kv.v = aiteri_selftest_input(s, type, grouped ? 3 : 2, grouped ? k : k + 1, 1.0f, 0);
    a->out = aiteri_selftest_output_of(s, "out", type, 2, o, 0);
    s->work = 4.0 * HEADS * KEYS * DIM;
    snprintf(s->words, sizeof s->words, "%s", aiter_dtype_name(type));
}

/* ---- the others: the same bits in every set, but for the merge ---- */

static void aiteri_selftest_cache(aiteri_selftest *s, aiter_reshape_and_cache_args *a)
{
    enum { TOKENS = 11, HEADS = 2, BLOCKS = 4, PAGE = 5 };
    static const int32_t slots[TOKENS] = {3, 19, -1, 7, 8, 0, 11, 12, 5, 18, 2};
    static const aiter_dtype types[] = {AITER_F32,       AITER_F16,         AITER_BF16,   AITER_I8,
                                        AITER_F8_E4M3FN, AITER_F8_E4M3FNUZ, AITER_F8_E5M2};
    const int32_t dim = aiteri_selftest_pick(s, 0, 2) ? 37 : 64;
    const int64_t rows[] = {TOKENS, HEADS, dim}, cache[] = {BLOCKS, PAGE, HEADS, dim};
    const int64_t one[] = {1}, tokens[] = {TOKENS};
    const aiter_dtype from = aiteri_selftest_float(s, 1), to = types[aiteri_selftest_pick(s, 2, 7)];
    const int quantises = to == AITER_I8 || (to > AITER_BF16 && aiteri_selftest_pick(s, 3, 2));
    a->k = aiteri_selftest_input(s, from, 3, rows, 3.0f, 0);
    a->v = aiteri_selftest_input(s, from, 3, rows, 0.5f, 0);
    a->slot_mapping = aiteri_selftest_ints(s, 1, tokens, slots);
    a->kv.k = aiteri_selftest_output_of(s, "kv.k", to, 4, cache, 1);
    a->kv.v = aiteri_selftest_output_of(s, "kv.v", to, 4, cache, 1);
    if (quantises) a->quantisation.to = to;
    a->quantisation.scale_given = quantises && aiteri_selftest_pick(s, 4, 2);
    for (int i = 0; i < 2 && quantises; i++) {
        aiter_tensor *scale = i ? &a->kv.v_scale : &a->kv.k_scale;
        if (a->quantisation.scale_given)
            *scale = aiteri_selftest_input(s, AITER_F32, 1, one, 0.05f, 1);
        else
            *scale = aiteri_selftest_output_of(s, i ? "kv.v_scale" : "kv.k_scale", AITER_F32, 3,
                                               cache, 1);
    }
    snprintf(s->words, sizeof s->words, "%s to %s", aiter_dtype_name(from), aiter_dtype_name(to));
}

static void aiteri_selftest_merge(aiteri_selftest *s, aiter_merge_attn_states_args *a)
{
    enum { TOKENS = 9, HEADS = 3 };
    const int64_t rows[] = {TOKENS, HEADS, aiteri_selftest_pick(s, 0, 2) ? 35 : 64};
    const int64_t lse[] = {HEADS, TOKENS};
    const aiter_dtype type = aiteri_selftest_float(s, 1);
    a->out_a = aiteri_selftest_input(s, type, 3, rows, 1.0f, 0);
    a->out_b = aiteri_selftest_input(s, type, 3, rows, 1.0f, 0);
    a->lse_a = aiteri_selftest_input(s, AITER_F32, 2, lse, 4.0f, 0);
    a->lse_b = aiteri_selftest_input(s, AITER_F32, 2, lse, 4.0f, 0);
    a->out = aiteri_selftest_output_of(s, "out", type, 3, rows, 0);
    a->lse = aiteri_selftest_output_of(s, "lse", AITER_F32, 2, lse, 0);
    snprintf(s->words, sizeof s->words, "%s", aiter_dtype_name(type));
}

static void aiteri_selftest_rope(aiteri_selftest *s, aiter_rope_fwd_args *a)
{
    enum { TOKENS = 9, HEADS = 3, PAIRS = 12 };
    const int64_t rows[] = {TOKENS, HEADS, aiteri_selftest_pick(s, 0, 2) ? 2 * PAIRS : 40};
    const int64_t table[] = {TOKENS, PAIRS};
    const aiter_dtype type = aiteri_selftest_float(s, 1);
    a->x = aiteri_selftest_input(s, type, 3, rows, 2.0f, 0);
    a->rope.cos = aiteri_selftest_input(s, aiteri_selftest_float(s, 2), 2, table, 1.0f, 0);
    a->rope.sin = aiteri_selftest_input(s, AITER_F32, 2, table, 1.0f, 0);
    a->rope.pairing = aiteri_selftest_pick(s, 3, 2) ? AITER_ROPE_GPTJ : AITER_ROPE_NEOX;
    a->rope.nope_first = aiteri_selftest_pick(s, 4, 2);
    a->y = aiteri_selftest_output_of(s, "y", type, 3, rows, 1);
    snprintf(s->words, sizeof s->words, "%s", aiter_dtype_name(type));
}

static void aiteri_selftest_quant(aiteri_selftest *s, aiter_quantize_args *a, int encodes)
{
    static const aiter_dtype codes[] = {AITER_F8_E4M3FN, AITER_F8_E4M3FNUZ, AITER_F8_E5M2,
                                        AITER_I8,        AITER_I4,          AITER_F4_E2M1};
    const aiter_dtype type = codes[aiteri_selftest_pick(s, 0, 6)],
                      real = aiteri_selftest_float(s, 1);
    const int integers = type == AITER_I8 || type == AITER_I4;
    const aiter_dtype of_scale =
        !integers && aiteri_selftest_pick(s, 2, 2) ? AITER_F8_E8M0 : AITER_F32;
    const int64_t rows[] = {7, 64}, scale[] = {7, 2};
    if (encodes) {
        a->x = aiteri_selftest_input(s, real, 2, rows, 3.0f, 0);
        a->y = aiteri_selftest_output_of(s, "y", type, 2, rows, 1);
        a->scale = aiteri_selftest_output_of(s, "scale", of_scale, 2, scale, 1);
    } else {
        a->x = aiteri_selftest_input(s, type, 2, rows, integers ? 7.0f : 6.0f, 0);
        a->scale = aiteri_selftest_input(s, of_scale, 2, scale, 2.0f, 1);
        a->y = aiteri_selftest_output_of(s, "y", real, 2, rows, 1);
    }
    a->quantisation.group = 32;
    snprintf(s->words, sizeof s->words, "%s, scales %s", aiter_dtype_name(type),
             aiter_dtype_name(of_scale));
}

static void aiteri_selftest_swap(aiteri_selftest *s, aiter_swap_blocks_args *a)
{
    static const int32_t pairs[] = {2, 0, 4, 3, 2, 1};
    const int64_t shape[] = {5, 3, 2, 20}, n[] = {3, 2};
    a->src = aiteri_selftest_input(s, AITER_F16, 4, shape, 1.0f, 0);
    a->mapping = aiteri_selftest_ints(s, 2, n, pairs);
    a->dst = aiteri_selftest_output_of(s, "dst", AITER_F16, 4, shape, 1);
    snprintf(s->words, sizeof s->words, "f16");
}

static void aiteri_selftest_copy(aiteri_selftest *s, aiter_copy_blocks_args *a,
                                 aiter_tensor cache[2])
{
    static const int32_t pairs[] = {2, 0, 4, 3, 2, 1};
    const int64_t shape[] = {5, 3, 2, 20}, n[] = {3, 2};
    a->mapping = aiteri_selftest_ints(s, 2, n, pairs);
    for (int i = 0; i < 2; i++) {
        const size_t at = s->used;
        cache[i] = aiteri_selftest_output_of(s, "caches", AITER_I8, 4, shape, 1);
        for (int64_t j = 0; j < 600; j++) s->host[at + (size_t)j] = (char)(j / 5 + i);
    }
    a->caches = cache;
    a->num_caches = 2;
    snprintf(s->words, sizeof s->words, "i8");
}

#endif /* AITERI_SELFTEST_CASES_C */
