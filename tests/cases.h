/* cases.h -- one struct that describes any softmax-attention call, and the problem made from it:
 * values, storage in the wanted layout, the oracle's answer, the call, the comparison. */
#ifndef AITER_TEST_CASES_H
#define AITER_TEST_CASES_H

#include "bounds.h"
#include "op_list.h"

typedef enum attn_form {
    FORM_DENSE = 0,
    FORM_PADDED, /* dense with seqused_q and seqused_k */
    FORM_VARLEN, /* cu_seqlens_q and cu_seqlens_k */
    FORM_PAGED,  /* dense q, block_table, seqused_k */
    FORM_MIXED,  /* cu_seqlens_q, block_table, seqused_k */
    FORM_COUNT
} attn_form;

typedef enum attn_layout {
    LAYOUT_BSHD = 0, /* pages: [num_blocks, P, H, D]; strides given as 0 */
    LAYOUT_BHSD,
    LAYOUT_SBHD,
    LAYOUT_GAPS,  /* every extent padded */
    LAYOUT_STEP,  /* a stride of 3 in the last dimension */
    LAYOUT_BHDS,  /* keys contiguous */
    LAYOUT_KV,    /* k and v in one buffer, [B, S, 2, H, D] or pages [num_blocks, 2, P, H, D] */
    LAYOUT_QKV,   /* q, k, v and out in one buffer, heads side by side; needs equal lengths */
    LAYOUT_COUNT, /* of tensors in strides; those of pages alone, where q and out are compact: */
    LAYOUT_X_PACKED = LAYOUT_COUNT,
    LAYOUT_SHUFFLED
} attn_layout;

typedef enum attn_values {
    VALUES_UNIT = 0, /* uniform in (-1, 1), times the sizes of the case */
    VALUES_EQUAL,    /* every key the same: all logits equal */
    VALUES_ONE_HUGE  /* one key a thousand times as long as the others */
} attn_values;

typedef enum attn_bias {
    BIAS_NONE = 0,
    BIAS_SQ_SK,
    BIAS_H_SQ_SK,
    BIAS_B_H_SQ_SK,
    BIAS_ONE_KEY,  /* [1, Sk] */
    BIAS_B_KEY,    /* [B, 1, 1, Sk] */
    BIAS_STRIDE_0, /* [B, Hq, Sq, Sk] with strides 0 for B and Hq */
    BIAS_COUNT
} attn_bias;

/* Zero means plain: f32, no mask, compact, lengths sq and sk everywhere, lse asked for. */
typedef struct attn_case {
    attn_op op;
    attn_form form;
    attn_layout layout;
    attn_values values;
    int b, hq, hk, sq, sk, dq, dv;         /* dv 0: dq */
    const int *len_q, *len_k;              /* per sequence, at most sq and sk; NULL: see ragged */
    int ragged;                            /* 1: lengths drawn from [0, sq] and [0, sk] */
    int first_seq;                         /* the values of sequence b are named by first_seq + b */
    aiter_dtype q_type, kv_type, out_type; /* 0: f32; kv and out as q */
    aiter_dtype v_type;                    /* 0: as k */
    int latent;                            /* V is the first dv columns of k, and absent */
    aiter_mask mask;
    int left, right, sink_tokens;
    double scale, softcap, q_size, k_size, v_size; /* sizes 0: 1 */
    int alibi;                                     /* 1: [Hq], 2: [B, Hq] */
    attn_bias bias;
    aiter_dtype bias_type;
    double bias_size;  /* 0: 1 */
    int bias_holes;    /* n: every n-th entry is -infinity */
    attn_bias visible; /* a mask of bytes, broadcast like a bias; hides about one key in four */
    int sinks;
    double sink_size; /* 0: 2 */
    int page, splits;
    int gaps; /* packed: room of up to so many tokens behind each sequence that nobody uses */
    aiter_kv_layout tiles; /* pages in that order; x is 16 bytes, or what divides D or the page */
    int lists;             /* pages by lists, their lengths by 1: the last page, 2: seq_lens */
    aiter_scale_kind scale_kind; /* int8 */
    aiter_dtype scale_type;      /* of K's and V's; 0: f32 */
    int scale_order; /* of those per token or group, in memory: 0 as the data, 1 [Hk, slots], 2
                        [num_blocks, Hk, P] */
    double q_scale, out_scale; /* 0: none */
    int q_scales, out_scales;  /* 0: that one; by its size one 1: a batch row and kv head; 2: a row
                                  of q */
    int no_lse;
    uint64_t seed;
    int core; /* runs whatever the budget */
} attn_case;

/* A tensor in some layout: logical dimensions 0..3, their strides, the buffer. */
typedef struct attn_place {
    test_buffer *buffer;
    aiter_dtype dtype;
    int64_t n[4], stride[4], offset;
    int tile[4]; /* n: extents of so many, tile_stride apart, n / tile[] of them; 0: no tiles */
    int64_t tile_stride[4];
} attn_place;

/* One query row that the oracle has answered. */
typedef struct attn_row {
    int b, h, i;
    ref_facts facts;
    double lse;
    double *out, *abs_out; /* [dv] */
} attn_row;

enum { BUFFERS = 30, MAX_SEQUENCES = 130 };

typedef struct attn_problem {
    attn_case c;
    int len_q[MAX_SEQUENCES], len_k[MAX_SEQUENCES];
    int64_t start_q[MAX_SEQUENCES + 1], start_k[MAX_SEQUENCES + 1]; /* in values of all */
    int64_t at_q[MAX_SEQUENCES + 1], at_k[MAX_SEQUENCES + 1];       /* in packed tensors */
    double *q, *k, *v, *bias, *slopes, *sinks; /* [seq][head][position][d] and so on */
    float own_scale[2];                        /* of every key, of every value; 0: by the case */
    unsigned char *key_seen;                   /* [total keys]: some row sees it */
    attn_row *rows;
    int64_t num_rows;

    test_buffer buffer[BUFFERS], before;
    int buffers;
    attn_place pq, pk, pv, po, pl, pb, pm;
    aiter_tensor q_t, k_t, v_t, out_t, lse_t, bias_t, visible_t, alibi_t, sinks_t;
    aiter_tensor seqused_q, seqused_k, cu_q, cu_k, table, indptr, indices, last_pages, k_scale,
        v_scale, q_scale, out_scale;
    int32_t *blocks; /* the table that was stored, garbage included */
    int max_blocks, num_blocks;
} attn_problem;

/* ---- what a case means ---- */

static inline int case_is_paged(const attn_case *c)
{
    return c->form == FORM_PAGED || c->form == FORM_MIXED;
}
static inline aiter_kv_layout case_tiles(const attn_case *c)
{
    return c->layout == LAYOUT_X_PACKED   ? AITER_KV_X_PACKED
           : c->layout == LAYOUT_SHUFFLED ? AITER_KV_SHUFFLED
                                          : c->tiles;
}
static inline int case_is_packed(const attn_case *c)
{
    return c->form == FORM_VARLEN || c->form == FORM_MIXED;
}

/* Types of the test cases' keys and values, and whether they have scales. */
static const aiter_dtype case_kv_types[] = {AITER_F32,     AITER_F16,       AITER_BF16,
                                            AITER_I8,      AITER_F8_E4M3FN, AITER_F8_E4M3FNUZ,
                                            AITER_F8_E5M2, AITER_I4};
static const aiter_dtype case_scale_types[] = {AITER_F32, AITER_F16, AITER_BF16, AITER_F8_E8M0};
enum { CASE_KV_TYPES = sizeof case_kv_types / sizeof case_kv_types[0] };

/* Those of q and out. */
static const aiter_dtype case_row_types[] = {AITER_F32,       AITER_F16,         AITER_BF16,
                                             AITER_F8_E4M3FN, AITER_F8_E4M3FNUZ, AITER_F8_E5M2};

static inline int type_is_fp8(aiter_dtype type)
{
    return type == AITER_F8_E4M3FN || type == AITER_F8_E4M3FNUZ || type == AITER_F8_E5M2;
}

static inline double type_largest(aiter_dtype type)
{
    return type == AITER_F8_E4M3FN ? 448 : type == AITER_F8_E4M3FNUZ ? 240 : 57344;
}
static inline int type_is_integer(aiter_dtype type) { return type == AITER_I8 || type == AITER_I4; }

/* fp8 may do without. */
static inline int case_is_scaled(const attn_case *c, aiter_dtype type)
{
    return type_is_integer(type) || (type_is_fp8(type) && c->scale_kind != AITER_SCALE_BY_SHAPE);
}

static inline attn_case case_complete(attn_case c)
{
    if (c.dv == 0) c.dv = c.dq;
    if (!c.q_type) c.q_type = AITER_F32;
    if (!c.kv_type) c.kv_type = c.q_type;
    if (c.latent && c.dv > c.dq) c.dv = c.dq;
    if (!c.v_type || c.latent) c.v_type = c.kv_type;
    if (c.v_type != c.kv_type && (c.layout == LAYOUT_KV || c.layout == LAYOUT_QKV))
        c.layout = LAYOUT_GAPS;
    if (case_tiles(&c) &&
        (!case_is_paged(&c) || c.latent || c.kv_type == AITER_I4 || c.v_type == AITER_I4)) {
        c.tiles = AITER_KV_NHD;
        c.layout = LAYOUT_GAPS;
    }
    if (!c.out_type) c.out_type = c.q_type;
    if (!c.bias_type) c.bias_type = AITER_F32;
    if ((type_is_integer(c.kv_type) || type_is_integer(c.v_type)) && !c.scale_kind)
        c.scale_kind = AITER_SCALE_PER_TENSOR;
    if ((c.kv_type == AITER_I4 || c.v_type == AITER_I4) &&
        (c.layout == LAYOUT_STEP || c.layout == LAYOUT_BHDS)) /* not of halves of bytes */
        c.layout = LAYOUT_GAPS;
    if (c.page == 0) c.page = 16;
    if (!c.scale_type) c.scale_type = AITER_F32;
    if (c.scale_kind == AITER_SCALE_PER_BLOCK_HEAD && !case_is_paged(&c))
        c.scale_kind = AITER_SCALE_PER_BATCH_HEAD;
    else if (c.scale_kind == AITER_SCALE_PER_BATCH_HEAD && case_is_paged(&c))
        c.scale_kind = AITER_SCALE_PER_BLOCK_HEAD;
    if (c.scale_kind == AITER_SCALE_PER_GROUP && (c.dq % 16 || c.dv % 16))
        c.scale_kind = AITER_SCALE_PER_CHANNEL;
    if (c.q_scale == 0) c.q_scales = 0;
    if (c.out_scale == 0) c.out_scales = 0;
    if (c.q_scales == 2 && (c.op == OP_DECODE_ONE || c.op == OP_DECODE_GQA)) c.q_scales = 1;
    return c;
}

static inline aiter_mask case_mask(const attn_case *c)
{
    if (c->mask != AITER_MASK_DEFAULT) return c->mask;
    return c->op == OP_DECODE && !c->visible ? AITER_MASK_CAUSAL : AITER_MASK_NONE;
}

static inline ref_mask case_ref_mask(const attn_case *c)
{
    ref_mask m;
    m.kind = case_mask(c);
    m.left = m.kind == AITER_MASK_WINDOW ? c->left : -1;
    m.right = m.kind == AITER_MASK_WINDOW ? c->right : -1;
    m.sink_tokens = c->sink_tokens;
    return m;
}

/* Types, scales and whether V lies in K, at random. */
static inline void case_draws_types(attn_case *c, test_rng *r)
{
    c->q_type = (aiter_dtype)rng_int(r, AITER_F32, AITER_BF16);
    c->kv_type = case_kv_types[rng_int(r, 0, CASE_KV_TYPES - 1)];
    if (rng_int(r, 0, 3) == 0) c->v_type = case_kv_types[rng_int(r, 0, CASE_KV_TYPES - 1)];
    c->latent = rng_int(r, 0, 7) == 0;
    c->out_type = (aiter_dtype)rng_int(r, AITER_F32, AITER_BF16);
    if (rng_int(r, 0, 3) == 0) c->q_type = (aiter_dtype)rng_int(r, AITER_F8_E4M3FN, AITER_F8_E5M2);
    if (rng_int(r, 0, 3) == 0)
        c->out_type = (aiter_dtype)rng_int(r, AITER_F8_E4M3FN, AITER_F8_E5M2);
    c->q_scales = rng_int(r, 0, 2);
    c->out_scales = rng_int(r, 0, 1);
    c->scale_kind = (aiter_scale_kind)rng_int(r, AITER_SCALE_BY_SHAPE, AITER_SCALE_COUNT - 1);
    c->scale_type = case_scale_types[rng_int(r, 0, 3)];
    c->scale_order = rng_int(r, 0, 2);
}

static inline const char *case_text(const attn_case *c)
{
    static char text[600];
    static const char *const forms[] = {"dense", "padded", "varlen", "paged", "mixed"};
    static const char *const layouts[] = {"bshd", "bhsd", "sbhd", "gaps",     "step",
                                          "bhds", "kv",   "qkv",  "x-packed", "shuffled"};
    static const char *const masks[] = {"default", "none", "causal", "top-left", "window"};
    snprintf(
        text, sizeof text,
        "%s %s %s b%d hq%d hk%d sq%d sk%d d%d/%d%s %s/%s/%s/%s %s(%d,%d,%d) scale %g cap %g alibi "
        "%d tiles %d lists %d gaps %d bias %d%s holes %d visible %d scales %g/%d %g/%d sinks %d "
        "page %d "
        "splits %d "
        "scales "
        "%d values %d "
        "(%g %g "
        "%g) "
        "ragged %d seq %d seed %" PRIu64,
        op_words[c->op], forms[c->form], layouts[c->layout], c->b, c->hq, c->hk, c->sq, c->sk,
        c->dq, c->dv, c->latent ? " latent" : "", aiter_dtype_name(c->q_type),
        aiter_dtype_name(c->kv_type), aiter_dtype_name(c->v_type), aiter_dtype_name(c->out_type),
        masks[c->mask], c->left, c->right, c->sink_tokens, c->scale, c->softcap, c->alibi,
        (int)c->tiles, c->lists, c->gaps, (int)c->bias, aiter_dtype_name(c->bias_type),
        c->bias_holes, (int)c->visible, c->q_scale, c->q_scales, c->out_scale, c->out_scales,
        c->sinks, c->page, c->splits, (int)c->scale_kind, (int)c->values, c->q_size, c->k_size,
        c->v_size, c->ragged, c->first_seq, c->seed);
    return text;
}

/* ---- values ---- */

static inline double problem_value(uint64_t seed, int tensor, int64_t seq, int64_t head,
                                   int64_t position, int64_t d)
{
    uint64_t row = test_mix(seed * 31 + (uint64_t)tensor);
    row = test_mix(row ^ ((uint64_t)seq << 48 ^ (uint64_t)head << 32 ^ (uint64_t)position));
    return rng_unit(row + (uint64_t)d);
}

/* x as the dtype can hold it. */
static inline double problem_round(aiter_dtype dtype, double x)
{
    unsigned char bytes[8];
    ref_store(dtype, bytes, 0, x);
    return ref_load(dtype, bytes, 0);
}

/* Rounded by integers: a flag that flushes subnormals has no hold on it. */
static inline float case_float(double x)
{
    float f;
    ref_store(AITER_F32, &f, 0, x);
    return f;
}

static inline double nonzero(double x, double otherwise) { return x != 0 ? x : otherwise; }

/* Columns under one scale. */
static inline int case_group(const attn_case *c)
{
    return c->scale_kind == AITER_SCALE_PER_CHANNEL ? 1
           : c->scale_kind == AITER_SCALE_PER_GROUP ? 16
                                                    : INT32_MAX;
}

/* The scale of element e of a key or a value: which one it is follows from the kind. */
static inline float problem_kv_scale(const attn_problem *p, int tensor, int b, int h, int j, int e)
{
    const attn_case *c = &p->c;
    int seq = c->first_seq + b;
    if (c->latent) tensor = 2;
    if (bits_of_float(p->own_scale[tensor == 3])) return p->own_scale[tensor == 3];
    e /= case_group(c);
    switch (c->scale_kind) {
    case AITER_SCALE_PER_TENSOR: h = 0; /* fall through */
    case AITER_SCALE_PER_HEAD:
    case AITER_SCALE_PER_CHANNEL: seq = j = 0; break;
    case AITER_SCALE_PER_BLOCK_HEAD: j /= c->page; break; /* of a page of one sequence alone */
    case AITER_SCALE_PER_BATCH_HEAD: j = 0; break;
    default: break;
    }
    const double x = problem_value(c->seed, 5 + tensor, seq, h, j, 100 * e);
    if (c->scale_type == AITER_F8_E8M0) return (float)ldexp(1, -6 + (int)(x * 1.99));
    const aiter_dtype type = tensor == 3 ? c->v_type : c->kv_type;
    return (float)problem_round(c->scale_type, (float)((1.5 + x) / (type == AITER_I4 ? 7 : 127)));
}

/* The scale of a row of q or out. */
static inline double problem_row_scale(const attn_problem *p, double size, int kind, int tensor,
                                       int b, int h, int i)
{
    const attn_case *c = &p->c;
    if (kind == 0) return problem_round(AITER_F32, size);
    if (kind == 1) h /= c->hq / c->hk, i = 0;
    return problem_round(
        AITER_F32, size * (1.5 + problem_value(c->seed, tensor + kind, c->first_seq + b, h, i, 0)));
}

static inline void problem_lengths(attn_problem *p)
{
    const attn_case *c = &p->c;
    int b;
    for (b = 0; b < c->b; b++) {
        uint64_t key = test_mix(c->seed ^ (uint64_t)(c->first_seq + b) << 20);
        p->len_q[b] = c->len_q    ? c->len_q[b]
                      : c->ragged ? (int)(key % (unsigned)(c->sq + 1))
                                  : c->sq;
        p->len_k[b] = c->len_k    ? c->len_k[b]
                      : c->ragged ? (int)(test_mix(key) % (unsigned)(c->sk + 1))
                                  : c->sk;
        if (c->form == FORM_DENSE || c->form == FORM_PAGED) p->len_q[b] = c->sq;
        if (c->form == FORM_DENSE) p->len_k[b] = c->sk;
        p->start_q[b + 1] = p->start_q[b] + p->len_q[b];
        p->start_k[b + 1] = p->start_k[b] + p->len_k[b];
        key = c->gaps ? key >> 32 : 0;
        p->at_q[b + 1] = p->at_q[b] + p->len_q[b] + (int)(key % (unsigned)(c->gaps + 1));
        p->at_k[b + 1] = p->at_k[b] + p->len_k[b] + (int)(key / 7 % (unsigned)(c->gaps + 1));
    }
}

/* A value of (b, h, i, j): the broadcast decides which of them count. */
static inline double problem_pair(const attn_problem *p, attn_bias kind, int tensor, int b, int h,
                                  int64_t i, int64_t j)
{
    const attn_case *c = &p->c;
    int64_t seq = c->first_seq + b;
    if (case_is_packed(c)) {
        if (kind != BIAS_H_SQ_SK) h = 0;
    } else {
        if (kind != BIAS_B_H_SQ_SK && kind != BIAS_B_KEY) seq = 0;
        if (kind != BIAS_B_H_SQ_SK && kind != BIAS_H_SQ_SK) h = 0;
        if (kind == BIAS_ONE_KEY || kind == BIAS_B_KEY) i = 0;
    }
    return problem_value(c->seed, tensor, seq, h, i * 65536 + j, 0);
}

static inline int problem_shows(const attn_problem *p, int b, int h, int64_t i, int64_t j)
{
    return !p->c.visible || problem_pair(p, p->c.visible, 11, b, h, i, j) > -0.5;
}

static inline double problem_bias(const attn_problem *p, int b, int h, int64_t i, int64_t j)
{
    const attn_case *c = &p->c;
    const double x = problem_pair(p, c->bias, 4, b, h, i, j);
    if (c->bias_holes && (test_mix(bits_of_double(x)) >> 8) % (unsigned)c->bias_holes == 0) {
        return double_of_bits(BITS_NEG_INF);
    }
    return problem_round(c->bias_type, x * nonzero(c->bias_size, 1));
}

static inline void problem_rows(attn_problem *p, int tensor, int heads, int d, const int *len,
                                const int64_t *start, aiter_dtype dtype, double size, double *to)
{
    const attn_case *c = &p->c;
    int b, h, j, e;
    for (b = 0; b < c->b; b++) {
        for (h = 0; h < heads; h++) {
            double *head = to + (start[b] * heads + (int64_t)h * len[b]) * d;
            for (j = 0; j < len[b]; j++) {
                int name = tensor == 2 && c->values == VALUES_EQUAL ? 0 : j;
                double by = size;
                if (tensor == 2 && c->values == VALUES_ONE_HUGE && j == len[b] / 2) by *= 1000;
                for (e = 0; e < d; e++) {
                    double x = problem_value(c->seed, tensor, c->first_seq + b, h, name, e);
                    if (tensor != 1 && case_is_scaled(c, dtype)) {
                        x = problem_round(dtype, x * (dtype == AITER_I4 ? 8 : 128)) *
                            problem_kv_scale(p, tensor, b, h, j, e);
                    } else {
                        x = problem_round(dtype, x * by);
                    }
                    head[(int64_t)j * d + e] = x;
                }
            }
        }
    }
}

/* Marks the keys that some row of their sequence sees; the others are slack. */
static inline void problem_mark_seen(attn_problem *p)
{
    ref_mask mask = case_ref_mask(&p->c);
    int b;
    int64_t i, j;
    p->key_seen = (unsigned char *)calloc((size_t)p->start_k[p->c.b] + 1, 1);
    for (b = 0; b < p->c.b; b++) {
        unsigned char *seen = p->key_seen + p->start_k[b];
        for (j = 0; j < p->len_k[b]; j++) {
            for (i = p->len_q[b] - 1; i >= 0 && !seen[j]; i--) {
                seen[j] = (unsigned char)ref_visible(&mask, i, j, p->len_q[b], p->len_k[b]);
            }
        }
    }
}

static inline double *doubles(int64_t n) { return (double *)calloc((size_t)n + 1, sizeof(double)); }

/* V of latent rows. */
static inline void problem_values_of_keys(attn_problem *p)
{
    int64_t n;
    for (n = 0; n < p->start_k[p->c.b] * p->c.hk; n++) {
        memcpy(p->v + n * p->c.dv, p->k + n * p->c.dq, (size_t)p->c.dv * sizeof p->v[0]);
    }
}

/* Fills in the values of a case; storage and expectation come later. */
static inline void problem_new(attn_problem *p, const attn_case *wanted)
{
    attn_case *c = &p->c;
    int b, h;
    memset(p, 0, sizeof *p);
    *c = case_complete(*wanted);
    problem_lengths(p);
    p->q = doubles(p->start_q[c->b] * c->hq * c->dq);
    p->k = doubles(p->start_k[c->b] * c->hk * c->dq);
    p->v = doubles(p->start_k[c->b] * c->hk * c->dv);
    p->slopes = doubles((int64_t)c->b * c->hq);
    p->sinks = doubles(c->hq);
    problem_rows(p, 1, c->hq, c->dq, p->len_q, p->start_q, c->q_type, nonzero(c->q_size, 1), p->q);
    problem_rows(p, 2, c->hk, c->dq, p->len_k, p->start_k, c->kv_type, nonzero(c->k_size, 1), p->k);
    problem_rows(p, 3, c->hk, c->dv, p->len_k, p->start_k, c->v_type, nonzero(c->v_size, 1), p->v);
    if (c->latent) problem_values_of_keys(p);
    for (h = 0; h < c->hq; h++) {
        p->sinks[h] = problem_round(AITER_F32, nonzero(c->sink_size, 2) *
                                                   problem_value(c->seed, 6, 0, h, 0, 0));
        for (b = 0; b < c->b; b++) {
            int64_t seq = c->alibi == 2 ? c->first_seq + b : 0;
            double x = problem_value(c->seed, 5, seq, h, 0, 0);
            p->slopes[(int64_t)b * c->hq + h] = problem_round(AITER_F32, 0.15 * (1 + x));
        }
    }
    problem_mark_seen(p);
}

/* ---- expectation ---- */

static inline double case_flops(const attn_problem *p)
{
    double pairs = 0;
    int b;
    for (b = 0; b < p->c.b; b++) pairs += (double)p->len_q[b] * p->len_k[b];
    return 2 * pairs * p->c.hq * (p->c.dq + p->c.dv);
}

static inline void problem_answer(attn_problem *p, attn_row *row, double *scores, double *biases)
{
    const attn_case *c = &p->c;
    int b = row->b, hk = row->h / (c->hq / c->hk), j, sq = p->len_q[b], sk = p->len_k[b];
    ref_row r;
    memset(&r, 0, sizeof r);
    r.i = row->i;
    r.sq = sq;
    r.sk = sk;
    r.dq = c->dq;
    r.dv = c->dv;
    r.q = p->q + (p->start_q[b] * c->hq + (int64_t)row->h * sq + row->i) * c->dq;
    r.k = p->k + (p->start_k[b] * c->hk + (int64_t)hk * sk) * c->dq;
    r.v = p->v + (p->start_k[b] * c->hk + (int64_t)hk * sk) * c->dv;
    r.mask = case_ref_mask(c);
    r.scale = c->scale != 0 ? problem_round(AITER_F32, c->scale) : 1 / sqrt((double)c->dq);
    if (c->q_scale != 0)
        r.scale *= problem_row_scale(p, c->q_scale, c->q_scales, 12, b, row->h, row->i);
    r.softcap = problem_round(AITER_F32, c->softcap);
    r.alibi = c->alibi ? p->slopes[(int64_t)b * c->hq + row->h] : 0;
    r.has_sink = c->sinks;
    r.sink = p->sinks[row->h];
    for (j = 0; j < sk && (c->bias || c->visible); j++) {
        biases[j] = c->bias ? problem_bias(p, b, row->h, row->i, j) : 0;
        if (!problem_shows(p, b, row->h, row->i, j)) biases[j] = double_of_bits(BITS_NEG_INF);
        r.bias = biases;
    }
    row->out = doubles(2 * c->dv);
    row->abs_out = row->out + c->dv;
    ref_attention_row(&r, scores, row->out, row->abs_out, &row->lse, &row->facts);
    for (j = 0; j < 2 * c->dv && c->out_scale != 0; j++)
        row->out[j] /= problem_row_scale(p, c->out_scale, c->out_scales, 14, b, row->h, row->i);
}

/* Asks the oracle about every row, or where that would be more than `flops`, about the first and
 * the last of each sequence and as many drawn ones as it allows. Returns the flops it took. */
static inline double problem_expect(attn_problem *p, double flops)
{
    const attn_case *c = &p->c;
    int64_t total = p->start_q[c->b] * c->hq, n = 0;
    double share = flops / (case_flops(p) + 1);
    double *scores = doubles(c->sk), *biases = doubles(c->sk);
    int b, h, i;
    p->rows = (attn_row *)calloc((size_t)total + 1, sizeof(attn_row));
    for (b = 0; b < c->b; b++) {
        for (h = 0; h < c->hq; h++) {
            for (i = 0; i < p->len_q[b]; i++) {
                attn_row *row = &p->rows[n];
                double draw = problem_value(c->seed, 9, b, h, i, 0);
                int edge = i == 0 || i == p->len_q[b] - 1;
                if (!(edge && (h == 0 || h == c->hq - 1)) && (draw + 1) / 2 > share) continue;
                row->b = b;
                row->h = h;
                row->i = i;
                problem_answer(p, row, scores, biases);
                n++;
            }
        }
    }
    p->num_rows = n;
    free(scores);
    free(biases);
    return case_flops(p) * (total ? (double)n / (double)total : 0);
}

#include "case_storage.h"

#endif /* AITER_TEST_CASES_H */
