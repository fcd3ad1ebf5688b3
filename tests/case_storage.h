/* case_storage.h -- a problem's values laid into memory in the layout its case asks for. Whatever a
 * call may not use (gaps, unused pages, hidden keys, tails, table entries past the end) holds
 * `slack`: 0xFF, which is NaN in every float type, or 0. Included by cases.h. */

enum { SLACK_NAN = 0xFF, SLACK_ZERO = 0 };

static inline test_buffer *problem_buffer(attn_problem *p, size_t bytes, int slack)
{
    test_buffer *b = &p->buffer[p->buffers++];
    *b = buffer_new(bytes);
    memset(b->data, slack, bytes);
    return b;
}

static inline int64_t place_along(const attn_place *t, int dim, int64_t i)
{
    const int tile = t->tile[dim];
    return tile ? i / tile * t->tile_stride[dim] + i % tile * t->stride[dim] : i * t->stride[dim];
}

static inline int64_t place_at(const attn_place *t, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return t->offset + place_along(t, 0, a) + place_along(t, 1, b) + place_along(t, 2, c) +
           place_along(t, 3, d);
}

static inline void place_extent(attn_place *t, aiter_dtype dtype, int64_t a, int64_t b, int64_t c,
                                int64_t d)
{
    memset(t, 0, sizeof *t);
    t->dtype = dtype;
    t->n[0] = a;
    t->n[1] = b;
    t->n[2] = c;
    t->n[3] = d;
}

/* Gives a place its own buffer. `order` lists the dimensions from the outermost to the innermost;
 * `pad` more elements are allocated in each, the last stride is `step`. */
static inline void place_alone(attn_problem *p, attn_place *t, const char *order, int pad, int step,
                               int slack)
{
    int64_t size = step, count = 1;
    int at;
    for (at = 3; at >= 0; at--) {
        int dim = order[at] - '0';
        t->stride[dim] = size;
        size *= t->n[dim] + pad;
        size += size % 2 && aiter_dtype_bits(t->dtype) < 8; /* rows start at whole bytes */
        count *= t->n[dim];
    }
    t->offset = pad ? step : 0;
    t->offset += t->offset % 2 && aiter_dtype_bits(t->dtype) < 8;
    size = t->offset + 1;
    for (at = 0; at < 4; at++) size += t->n[at] ? (t->n[at] - 1) * t->stride[at] : 0;
    t->buffer = problem_buffer(
        p, count ? ((size_t)size * (size_t)aiter_dtype_bits(t->dtype) + 7) / 8 : 0, slack);
}

static inline void place_by_layout(attn_problem *p, attn_place *t, int slack)
{
    static const char *const order[] = {"0123", "0213", "1023", "0123", "0123",
                                        "0231", "0123", "0123", "0123", "0123"};
    attn_layout layout = p->c.layout;
    place_alone(p, t, order[layout], layout == LAYOUT_GAPS ? 3 : layout == LAYOUT_STEP,
                layout == LAYOUT_STEP ? 3 : 1, slack);
}

#include "case_tiles.h"

/* k and v in one buffer: [n0, n1, 2, H, D], pages [n0, 2, n1, H, D]. */
static inline void place_kv_together(attn_problem *p, int slack)
{
    attn_place *k = &p->pk, *v = &p->pv;
    int64_t d = (k->n[3] > v->n[3] ? k->n[3] : v->n[3]) + 1, row;
    int paged = case_is_paged(&p->c);
    int64_t bytes;
    d -= aiter_dtype_bits(k->dtype) >= 8 || d % 2; /* rows of halves start at whole bytes */
    row = k->n[2] * d;
    bytes = 2 * k->n[0] * k->n[1] * row * aiter_dtype_bits(k->dtype) / 8;
    k->stride[3] = 1;
    k->stride[2] = d;
    k->stride[1] = paged ? row : 2 * row;
    k->stride[0] = 2 * k->n[1] * row;
    memcpy(v->stride, k->stride, sizeof v->stride);
    v->offset = paged ? k->n[1] * row : row;
    k->buffer = v->buffer = problem_buffer(p, (size_t)bytes, slack);
}

/* q, k, v and out in one buffer, the heads of a token side by side. */
static inline void place_all_together(attn_problem *p, int slack)
{
    attn_place *t[4] = {&p->pq, &p->pk, &p->pv, &p->po};
    int64_t row = 0, tokens = p->pq.n[0] * p->pq.n[1];
    int i;
    for (i = 0; i < 4; i++) {
        t[i]->offset = row;
        row += t[i]->n[2] * t[i]->n[3];
    }
    t[0]->buffer =
        problem_buffer(p, (size_t)(tokens * row * aiter_dtype_bits(t[0]->dtype) / 8), slack);
    for (i = 0; i < 4; i++) {
        t[i]->buffer = t[0]->buffer;
        t[i]->stride[3] = 1;
        t[i]->stride[2] = t[i]->n[3];
        t[i]->stride[1] = row;
        t[i]->stride[0] = row * t[i]->n[1];
    }
}

static inline int problem_shares_one_buffer(const attn_problem *p)
{
    const attn_case *c = &p->c;
    return c->layout == LAYOUT_QKV && !case_is_paged(c) && c->q_type == c->kv_type &&
           c->v_type == c->kv_type && c->q_type == c->out_type && p->pq.n[0] == p->pk.n[0] &&
           p->pq.n[1] == p->pk.n[1];
}

/* The tensor a place is in the eyes of the library: `dims` names its dimensions in the order of the
 * API. Strides are left 0 where they are the compact ones and the seed is even. */
static inline aiter_tensor place_tensor(const attn_problem *p, const attn_place *t,
                                        const char *dims)
{
    aiter_tensor x;
    int64_t compact = 1;
    int at, is_compact = 1;
    memset(&x, 0, sizeof x);
    x.data = t->buffer->data + t->offset * aiter_dtype_bits(t->dtype) / 8;
    x.dtype = t->dtype;
    x.ndim = (int32_t)strlen(dims);
    for (at = x.ndim - 1; at >= 0; at--) {
        int dim = dims[at] - '0';
        x.shape[at] = t->n[dim];
        x.stride[at] = t->stride[dim];
        is_compact &= x.stride[at] == compact;
        compact *= x.shape[at];
    }
    if (compact == 0 && p->c.seed % 3 == 0) x.data = NULL; /* nothing there */
    if (is_compact && p->c.seed % 2 == 0) memset(x.stride, 0, sizeof x.stride);
    return x;
}

/* ---- where an element of a sequence lies ---- */

static inline int64_t problem_q_at(const attn_problem *p, const attn_place *t, int b, int h,
                                   int64_t i, int64_t d)
{
    if (case_is_packed(&p->c)) return place_at(t, 0, p->at_q[b] + i, h, d);
    return place_at(t, b, i, h, d);
}

static inline int64_t problem_lse_at(const attn_problem *p, int b, int h, int64_t i)
{
    if (case_is_packed(&p->c)) return place_at(&p->pl, 0, h, p->at_q[b] + i, 0);
    return place_at(&p->pl, b, h, i, 0);
}

static inline int64_t problem_k_at(const attn_problem *p, const attn_place *t, int b, int h,
                                   int64_t j, int64_t d)
{
    int page = p->c.page;
    if (case_is_paged(&p->c)) {
        return place_at(t, p->blocks[(int64_t)b * p->max_blocks + j / page], j % page, h, d);
    }
    if (p->c.form == FORM_VARLEN) return place_at(t, 0, p->at_k[b] + j, h, d);
    return place_at(t, b, j, h, d);
}

/* ---- pages ---- */

static inline int problem_block_is_seen(const attn_problem *p, int b, int64_t n)
{
    int64_t j, end = (n + 1) * p->c.page;
    if (end > p->len_k[b]) end = p->len_k[b];
    for (j = n * p->c.page; j < end; j++) {
        if (p->key_seen[p->start_k[b] + j]) return 1;
    }
    return 0;
}

/* Draws a page for every entry that some row needs; the others become garbage in the table. */
static inline void problem_page(attn_problem *p, int slack)
{
    attn_case *c = &p->c;
    attn_place t;
    int b, n, used = 0, i;
    int32_t *free_blocks;
    p->max_blocks = (c->sk + c->page - 1) / c->page + 2;
    p->num_blocks = c->b * p->max_blocks + 1;
    if (p->num_blocks > 8 && c->page > 128) p->num_blocks = c->b * (p->max_blocks - 2) + 1;
    free_blocks = (int32_t *)malloc((size_t)p->num_blocks * sizeof(int32_t));
    for (i = 0; i < p->num_blocks; i++) {
        int other = (int)(test_mix(c->seed + (uint64_t)i) % (unsigned)(i + 1));
        free_blocks[i] = free_blocks[other];
        free_blocks[other] = i;
    }
    place_extent(&t, AITER_I32, c->b, p->max_blocks, 1, 1);
    place_alone(p, &t, "0123", c->layout == LAYOUT_GAPS ? 2 : 0, 1, slack);
    p->table = place_tensor(p, &t, "01");
    p->blocks = (int32_t *)malloc((size_t)(c->b * p->max_blocks) * sizeof(int32_t));
    for (b = 0; b < c->b; b++) {
        for (n = 0; n < p->max_blocks; n++) {
            static const int32_t garbage[] = {-1, INT32_MAX, INT32_MIN, 1 << 20};
            int32_t *mine = &p->blocks[(int64_t)b * p->max_blocks + n];
            int32_t entry = slack == SLACK_ZERO ? 0 : n % 5 == 4 ? p->num_blocks : garbage[n % 5];
            *mine = -1;
            if (problem_block_is_seen(p, b, n)) entry = *mine = free_blocks[used++];
            memcpy(t.buffer->data + place_at(&t, b, n, 0, 0) * 4, &entry, 4);
        }
    }
    free(free_blocks);
}

/* ---- storing ---- */

static inline aiter_tensor problem_ints(attn_problem *p, const int *values, int n)
{
    attn_place t;
    int i;
    place_extent(&t, AITER_I32, n, 1, 1, 1);
    place_alone(p, &t, "0123", 0, p->c.layout == LAYOUT_STEP ? 2 : 1, SLACK_NAN);
    for (i = 0; i < n; i++) {
        int32_t x = values[i];
        memcpy(t.buffer->data + 4 * place_at(&t, i, 0, 0, 0), &x, 4);
    }
    return place_tensor(p, &t, "0");
}

/* The table that is stored, as lists one after the other. */
static inline void problem_list_pages(attn_problem *p)
{
    static int starts[MAX_SEQUENCES + 1], last[MAX_SEQUENCES];
    const attn_case *c = &p->c;
    int *ids = (int *)malloc((size_t)(c->b * p->max_blocks + 1) * sizeof(int));
    int b, n, pages, used = 0;
    for (b = 0; b < c->b; b++) {
        starts[b] = used;
        pages = (p->len_k[b] + c->page - 1) / c->page;
        last[b] = p->len_k[b] - (pages - 1) * c->page; /* of no page: anything */
        for (n = 0; n < pages; n++) {
            const int32_t id = p->blocks[(int64_t)b * p->max_blocks + n];
            ids[used++] = id >= 0 ? id : n % 2 ? INT32_MAX : -1;
        }
    }
    starts[c->b] = used;
    ids[used] = INT32_MIN; /* an entry of nobody */
    p->indices = problem_ints(p, ids, used + 1);
    p->indptr = problem_ints(p, starts, c->b + 1);
    if (c->lists == 1) p->last_pages = problem_ints(p, last, c->b);
    memset(&p->table, 0, sizeof p->table);
    free(ids);
}

static inline aiter_tensor problem_starts(attn_problem *p, const int64_t *starts)
{
    int values[MAX_SEQUENCES + 1], i;
    for (i = 0; i <= p->c.b; i++) values[i] = (int)starts[i];
    return problem_ints(p, values, p->c.b + 1);
}

/* Stores one of q, k, v. Hidden keys keep the slack. */
static inline void problem_store_rows(attn_problem *p, const attn_place *t, int heads, int d,
                                      const int *len, const int64_t *start, const double *from,
                                      int tensor)
{
    int b, h, j, e;
    int is_q = tensor == 1;
    for (b = 0; b < p->c.b; b++) {
        for (h = 0; h < heads; h++) {
            for (j = 0; j < len[b]; j++) {
                const double *x = from + (start[b] * heads + (int64_t)h * len[b] + j) * d;
                if (!is_q && !p->key_seen[start[b] + j]) continue;
                for (e = 0; e < d; e++) {
                    const double unit = !is_q && case_is_scaled(&p->c, t->dtype)
                                            ? problem_kv_scale(p, tensor, b, h, j, e)
                                            : 1;
                    int64_t at =
                        is_q ? problem_q_at(p, t, b, h, j, e) : problem_k_at(p, t, b, h, j, e);
                    ref_store(t->dtype, t->buffer->data, at, x[e] / unit);
                }
            }
        }
    }
}

/* Scales of K (tensor 2) or V (3), of d columns, where some row sees their keys. */
static inline aiter_tensor problem_store_kv_scales(attn_problem *p, int tensor, int d, int slack)
{
    static const char *const orders[] = {"0123", "2013", "0213"};
    const attn_case *c = &p->c;
    const aiter_scale_kind kind = c->scale_kind;
    const int rows = kind == AITER_SCALE_PER_TOKEN_HEAD || kind == AITER_SCALE_PER_GROUP;
    const int outer = rows || kind == AITER_SCALE_PER_BLOCK_HEAD;
    const int groups = d < case_group(c) ? 1 : d / case_group(c);
    attn_place t;
    int b, h, j, e;
    place_extent(&t, c->scale_type,
                 outer                                ? p->pk.n[0]
                 : kind == AITER_SCALE_PER_BATCH_HEAD ? c->b
                                                      : 1,
                 rows ? p->pk.n[1] : 1, kind == AITER_SCALE_PER_TENSOR ? 1 : c->hk, groups);
    place_alone(p, &t, c->layout == LAYOUT_BHSD ? "0213" : orders[c->scale_order],
                c->layout == LAYOUT_GAPS ? 2 : 0, 1, slack);
    if (!rows) t.stride[1] = 0;
    if (kind == AITER_SCALE_PER_TENSOR) t.stride[2] = 0;
    for (b = 0; b < c->b; b++) {
        for (h = 0; h < c->hk; h++) {
            for (j = 0; j < p->len_k[b]; j++) {
                for (e = 0; p->key_seen[p->start_k[b] + j] && e < groups; e++) {
                    const int batch = kind == AITER_SCALE_PER_BATCH_HEAD ? b : 0;
                    const int64_t at =
                        outer ? problem_k_at(p, &t, b, h, j, e) : place_at(&t, batch, 0, h, e);
                    const int column = groups > 1 ? e * case_group(c) : 0;
                    const float x = problem_kv_scale(p, tensor, b, h, j, column);
                    if (c->scale_type == AITER_F8_E8M0)
                        t.buffer->data[at] = (unsigned char)(127 + ilogb(x));
                    else
                        ref_store(c->scale_type, t.buffer->data, at, x);
                }
            }
        }
    }
    if (kind == AITER_SCALE_PER_TENSOR) return place_tensor(p, &t, "0");
    if (kind == AITER_SCALE_PER_HEAD) return place_tensor(p, &t, "2");
    if (kind == AITER_SCALE_PER_CHANNEL) return place_tensor(p, &t, "23");
    if (!rows) return place_tensor(p, &t, "02");
    return place_tensor(
        p, &t, &(kind == AITER_SCALE_PER_GROUP ? "0123" : "012\0")[c->form == FORM_VARLEN]);
}

/* Bias, or with U8 the mask of bytes, where it counts; entries of hidden keys keep the slack. */
static inline aiter_tensor problem_store_pairs(attn_problem *p, attn_place *t, attn_bias kind,
                                               aiter_dtype dtype, int slack)
{
    const attn_case *c = &p->c;
    ref_mask mask = case_ref_mask(c);
    int packed = case_is_packed(c), b, h, i, j;
    int per_b = kind == BIAS_B_H_SQ_SK || kind == BIAS_B_KEY;
    int per_h = kind == BIAS_B_H_SQ_SK || kind == BIAS_H_SQ_SK;
    int per_i = kind != BIAS_ONE_KEY && kind != BIAS_B_KEY;
    aiter_tensor pairs;
    if (packed) {
        place_extent(t, dtype, 1, kind == BIAS_H_SQ_SK ? c->hq : 1, p->at_q[c->b], c->sk);
    } else {
        place_extent(t, dtype, per_b ? c->b : 1, per_h ? c->hq : 1, per_i ? c->sq : 1, c->sk);
    }
    place_alone(p, t, "0123", c->layout == LAYOUT_GAPS ? 2 : 0, c->layout == LAYOUT_STEP ? 2 : 1,
                slack);
    if (t->n[0] == 1) t->stride[0] = 0;
    if (t->n[1] == 1) t->stride[1] = 0;
    if (t->n[2] == 1 && !packed) t->stride[2] = 0;
    for (b = 0; b < c->b; b++) {
        for (h = 0; h < c->hq; h++) {
            for (i = 0; i < p->len_q[b]; i++) {
                for (j = 0; j < p->len_k[b]; j++) {
                    int64_t row = packed ? p->at_q[b] + i : i;
                    if (!ref_visible(&mask, i, j, p->len_q[b], p->len_k[b])) continue;
                    if (dtype == AITER_U8)
                        t->buffer->data[place_at(t, b, h, row, j)] =
                            (unsigned char)(problem_shows(p, b, h, i, j) ? 1 + (i + j) % 255 : 0);
                    else
                        ref_store(dtype, t->buffer->data, place_at(t, b, h, row, j),
                                  problem_bias(p, b, h, i, j));
                }
            }
        }
    }
    if (kind == BIAS_STRIDE_0 && !packed) {
        t->n[0] = c->b;
        t->n[1] = c->hq;
    }
    pairs = place_tensor(p, t,
                         t->n[0] > 1 || kind == BIAS_B_KEY     ? "0123"
                         : t->n[1] > 1 || kind == BIAS_H_SQ_SK ? "123"
                                                               : "23");
    /* Strides of 0 mean "compact" only when all of them are 0: make them explicit here. */
    if (kind == BIAS_STRIDE_0 && !packed) {
        memcpy(pairs.stride, pairs.ndim == 4 ? t->stride : t->stride + 4 - pairs.ndim,
               (size_t)pairs.ndim * sizeof(int64_t));
    }
    return pairs;
}

/* Scales of q or out: one, [B, Hk], or in the shape of q with 1 for D. */
static inline aiter_tensor problem_store_row_scales(attn_problem *p, double size, int kind,
                                                    int tensor, int slack)
{
    static const aiter_tensor none;
    const attn_case *c = &p->c;
    attn_place t;
    int b, h, i;
    if (size == 0) return none;
    if (kind == 0) {
        place_extent(&t, AITER_F32, 1, 1, 1, 1);
    } else if (kind == 1) {
        place_extent(&t, AITER_F32, c->b, c->hk, 1, 1);
    } else {
        place_extent(&t, AITER_F32, p->pq.n[0], p->pq.n[1], c->hq, 1);
    }
    place_alone(p, &t, c->layout == LAYOUT_BHSD ? "0213" : "0123", c->layout == LAYOUT_GAPS ? 2 : 0,
                1, slack);
    for (b = 0; b < c->b; b++) {
        for (h = 0; h < c->hq; h++) {
            for (i = 0; i < (kind == 2 ? p->len_q[b] : 1); i++) {
                const int64_t at = kind == 0   ? place_at(&t, 0, 0, 0, 0)
                                   : kind == 1 ? place_at(&t, b, h / (c->hq / c->hk), 0, 0)
                                               : problem_q_at(p, &t, b, h, i, 0);
                ref_store(AITER_F32, t.buffer->data, at,
                          problem_row_scale(p, size, kind, tensor, b, h, i));
            }
        }
    }
    return place_tensor(p, &t,
                        kind == 0                          ? "0"
                        : kind == 1                        ? "01"
                        : case_is_packed(c)                ? "123"
                        : c->op == OP_DECODE && c->sq == 1 ? "023"
                                                           : "0123");
}

static inline void problem_store_small(attn_problem *p, int slack)
{
    const attn_case *c = &p->c;
    attn_place t;
    int b, h;
    if (c->alibi) {
        place_extent(&t, AITER_F32, c->alibi == 2 ? c->b : 1, c->hq, 1, 1);
        place_alone(p, &t, "0123", c->layout == LAYOUT_GAPS, 1, slack);
        for (b = 0; b < t.n[0]; b++) {
            for (h = 0; h < c->hq; h++) {
                ref_store(AITER_F32, t.buffer->data, place_at(&t, b, h, 0, 0),
                          p->slopes[(int64_t)b * c->hq + h]);
            }
        }
        p->alibi_t = place_tensor(p, &t, c->alibi == 2 ? "01" : "1");
    }
    if (c->sinks) {
        place_extent(&t, AITER_F32, 1, c->hq, 1, 1);
        place_alone(p, &t, "0123", 0, c->layout == LAYOUT_STEP ? 2 : 1, slack);
        for (h = 0; h < c->hq; h++) {
            ref_store(AITER_F32, t.buffer->data, place_at(&t, 0, h, 0, 0), p->sinks[h]);
        }
        p->sinks_t = place_tensor(p, &t, "1");
    }
    if (c->bias) p->bias_t = problem_store_pairs(p, &p->pb, c->bias, c->bias_type, slack);
    if (c->visible) p->visible_t = problem_store_pairs(p, &p->pm, c->visible, AITER_U8, slack);
    p->q_scale = problem_store_row_scales(p, c->q_scale, c->q_scales, 12, slack);
    p->out_scale = problem_store_row_scales(p, c->out_scale, c->out_scales, 14, slack);
    if (case_is_scaled(c, c->kv_type)) p->k_scale = problem_store_kv_scales(p, 2, c->dq, slack);
    if (case_is_scaled(c, c->v_type) && !c->latent) {
        p->v_scale = problem_store_kv_scales(p, 3, c->dv, slack);
    }
    if (case_is_packed(c)) p->cu_q = problem_starts(p, p->at_q);
    if (c->form == FORM_VARLEN) p->cu_k = problem_starts(p, p->at_k);
    if (c->form == FORM_PADDED || (case_is_packed(c) && c->gaps))
        p->seqused_q = problem_ints(p, p->len_q, c->b);
    if (case_is_paged(c) && c->lists) problem_list_pages(p);
    if (c->form == FORM_PADDED || (case_is_paged(c) && c->lists != 1) ||
        (c->form == FORM_VARLEN && c->gaps)) {
        p->seqused_k = problem_ints(p, p->len_k, c->b);
    }
}

static inline void problem_place_rows(attn_problem *p, int slack)
{
    const attn_case *c = &p->c;
    int64_t tokens = p->at_q[c->b];
    int packed = case_is_packed(c), transposed = c->op == OP_DECODE_ONE || c->op == OP_DECODE_GQA;
    place_extent(&p->pq, c->q_type, packed ? 1 : c->b, packed ? tokens : c->sq, c->hq, c->dq);
    place_extent(&p->po, c->out_type, p->pq.n[0], p->pq.n[1], c->hq, c->dv);
    if (case_is_paged(c)) {
        place_extent(&p->pk, c->kv_type, p->num_blocks, c->page, c->hk, c->dq);
    } else if (c->form == FORM_VARLEN) {
        place_extent(&p->pk, c->kv_type, 1, p->at_k[c->b], c->hk, c->dq);
    } else {
        place_extent(&p->pk, c->kv_type, c->b, c->sk, c->hk, c->dq);
    }
    p->pv = p->pk;
    p->pv.n[3] = c->dv;
    p->pv.dtype = c->v_type;
    if (transposed) {
        int pad = c->layout == LAYOUT_GAPS ? 2 : 0, step = c->layout == LAYOUT_STEP ? 2 : 1;
        place_alone(p, &p->pq, "0132", pad, step, slack);
        place_alone(p, &p->pk, "0231", pad, step, slack);
        place_alone(p, &p->pv, "0231", pad, step, slack);
        place_alone(p, &p->po, "0123", pad, step, slack);
        return;
    }
    if (problem_shares_one_buffer(p)) {
        place_all_together(p, slack);
        return;
    }
    place_by_layout(p, &p->pq, slack);
    place_by_layout(p, &p->po, slack);
    if (case_tiles(c)) {
        place_tiles(p, &p->pk, 0, slack);
        place_tiles(p, &p->pv, 1, slack);
    } else if (c->layout == LAYOUT_KV) {
        place_kv_together(p, slack);
    } else {
        place_by_layout(p, &p->pk, slack);
        place_by_layout(p, &p->pv, slack);
    }
}

static inline void problem_place_lse(attn_problem *p, int slack)
{
    const attn_case *c = &p->c;
    if (c->no_lse || c->op == OP_DECODE_ONE || c->op == OP_DECODE_GQA) return;
    if (case_is_packed(c)) {
        place_extent(&p->pl, AITER_F32, 1, c->hq, p->at_q[c->b], 1);
    } else {
        place_extent(&p->pl, AITER_F32, c->b, c->hq, c->sq, 1);
    }
    place_alone(p, &p->pl, c->op == OP_DECODE && c->sq == 1 ? "1023" : "0123",
                c->layout == LAYOUT_GAPS, c->layout == LAYOUT_STEP ? 2 : 1, slack);
    p->lse_t = place_tensor(p, &p->pl,
                            case_is_packed(c)                  ? "12"
                            : c->op == OP_DECODE && c->sq == 1 ? "10"
                                                               : "012");
}

static inline void problem_unstore(attn_problem *p)
{
    int i;
    for (i = 0; i < p->buffers; i++) buffer_free(&p->buffer[i]);
    p->buffers = 0;
    free(p->blocks);
    p->blocks = NULL;
}

static inline void problem_free(attn_problem *p)
{
    int64_t i;
    problem_unstore(p);
    for (i = 0; i < p->num_rows; i++) free(p->rows[i].out);
    free(p->rows);
    free(p->q);
    free(p->k);
    free(p->v);
    free(p->slopes);
    free(p->sinks);
    free(p->key_seen);
}

/* Lays everything into fresh memory and builds the tensors that the call will get. */
static inline void problem_store(attn_problem *p, int slack)
{
    const attn_case *c = &p->c;
    const char *kv_dims = "0123", *q_dims = case_is_packed(c) ? "123" : "0123";
    const char *out_dims;
    problem_unstore(p);
    if (case_is_paged(c)) problem_page(p, slack);
    problem_place_rows(p, slack);
    problem_place_lse(p, slack);
    problem_store_rows(p, &p->pq, c->hq, c->dq, p->len_q, p->start_q, p->q, 1);
    problem_store_rows(p, &p->pk, c->hk, c->dq, p->len_k, p->start_k, p->k, 2);
    problem_store_rows(p, &p->pv, c->hk, c->dv, p->len_k, p->start_k, p->v, 3);
    problem_store_small(p, slack);
    if (c->form == FORM_VARLEN) kv_dims = "123";
    if (c->op == OP_DECODE && c->sq == 1) q_dims = "023";
    out_dims = q_dims;
    if (c->op == OP_DECODE_ONE) q_dims = "32", kv_dims = "31", out_dims = "23";
    if (c->op == OP_DECODE_GQA) q_dims = "32", kv_dims = "231", out_dims = "23";
    p->q_t = place_tensor(p, &p->pq, q_dims);
    p->k_t = case_tiles(c) ? place_tiles_tensor(&p->pk, 0) : place_tensor(p, &p->pk, kv_dims);
    p->v_t = case_tiles(c) ? place_tiles_tensor(&p->pv, 1) : place_tensor(p, &p->pv, kv_dims);
    if (c->latent) memset(&p->v_t, 0, sizeof p->v_t);
    p->out_t = place_tensor(p, &p->po, out_dims);
}
