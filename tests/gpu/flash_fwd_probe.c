/* flash_fwd_probe.c -- runs one compiled flash_fwd kernel on a handful of shapes and compares every
 * row with an fp64 loop. Needs nothing but a C compiler; the driver is opened at run time:
 *
 *     cc -std=gnu99 -O2 flash_fwd_probe.c -o probe -lm -ldl
 *     ./probe flash.ptx bf16 128 128 128 64 64 32768    file type dq dv threads rows keys lds
 *     ./probe flash.ptx bf16 128 128 128 128 64 98304 plain    the class, if it is not general
 *     AITER_ATTN_HIP_LIBRARY=libcdna_hip.so CDNA_CHIP=gfx950
 *         ./probe aiter_gfx950.co bf16 128 128 256 128 64 0
 *
 * Linked with a host build of the kernel (host_tile.hpp) and -DPROBE_HOST it runs that instead. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../kernels/args.h"
#include "probe_device.h"

enum { NONE = 1, CAUSAL, TOP_LEFT, WINDOW };              /* aiter_mask */
enum { F32 = 1, F16, BF16 };                              /* aiter_dtype */
enum { DENSE, PADDED, PACKED, PAGED, PAGED_PACKED, ODD }; /* where rows lie */
enum { MAX_KEYS = 2048, MAX_DIM = 256, MAX_BATCH = 4 };

typedef struct probe_case {
    const char *name;
    int batch, heads_q, heads_k, sq, sk, dim, dim_v;
    int mask, left, right, sink_tokens;
    int layout, page_size, holes; /* holes: every so many pages one is unmapped */
    float softcap;
    int alibi, bias, sinks, split_keys, poison; /* poison: NaN and infinity among hidden values */
} probe_case;

static const probe_case cases[] = {
    {"one tile", 1, 1, 1, 16, 64, 128, 128, NONE},
    {"dense full GQA", 2, 4, 2, 200, 333, 128, 128, NONE},
    {"dense causal GQA", 2, 4, 1, 257, 257, 128, 128, CAUSAL},
    {"causal, fewer keys", 1, 2, 2, 190, 70, 128, 128, CAUSAL},
    {"causal, more keys", 1, 2, 2, 70, 300, 128, 128, CAUSAL},
    {"top left", 1, 2, 2, 150, 90, 128, 128, TOP_LEFT},
    {"D 40", 1, 2, 1, 100, 130, 40, 40, CAUSAL},
    {"D 1", 1, 2, 1, 70, 65, 1, 1, NONE},
    {"D 36 and 20", 1, 2, 1, 70, 65, 36, 20, CAUSAL},
    {"odd strides", 2, 2, 1, 70, 100, 100, 96, CAUSAL, 0, 0, 0, ODD},
    {"padded lengths", 3, 2, 1, 100, 200, 128, 128, CAUSAL, 0, 0, 0, PADDED},
    {"packed", 3, 2, 1, 150, 220, 128, 128, CAUSAL, 0, 0, 0, PACKED},
    {"paged 16", 3, 4, 2, 130, 300, 128, 128, CAUSAL, 0, 0, 0, PAGED, 16},
    {"paged 5, packed", 3, 2, 1, 100, 200, 128, 128, NONE, 0, 0, 0, PAGED_PACKED, 5},
    {"paged, holes", 2, 2, 1, 100, 250, 128, 128, NONE, 0, 0, 0, PAGED, 32, 3},
    {"window", 1, 2, 1, 300, 300, 128, 128, WINDOW, 50, 0},
    {"window, both sides", 1, 2, 1, 300, 250, 128, 128, WINDOW, 20, 30},
    {"window and sink prefix", 1, 2, 1, 400, 400, 128, 128, WINDOW, 30, 0, 5},
    {"softcap", 1, 2, 1, 100, 150, 128, 128, CAUSAL, 0, 0, 0, DENSE, 0, 0, 5.0f},
    {"ALiBi", 1, 4, 2, 100, 150, 128, 128, CAUSAL, 0, 0, 0, DENSE, 0, 0, 0, 1},
    {"bias f32", 2, 2, 1, 100, 150, 128, 128, NONE, 0, 0, 0, DENSE, 0, 0, 0, 0, F32},
    {"bias bf16, causal", 2, 2, 1, 100, 150, 128, 128, CAUSAL, 0, 0, 0, DENSE, 0, 0, 0, 0, BF16},
    {"bias f16, packed", 2, 2, 1, 90, 150, 128, 128, CAUSAL, 0, 0, 0, PACKED, 0, 0, 0, 0, F16},
    {"learned sinks", 1, 4, 2, 100, 60, 128, 128, CAUSAL, 0, 0, 0, DENSE, 0, 0, 0, 0, 0, 1},
    {"all at once", 2, 4, 2, 150, 333, 80, 72, WINDOW, 100, 3, 7, PAGED, 16, 0, 20.0f, 1, F32, 1},
    {"split", 2, 2, 1, 100, 500, 128, 128, CAUSAL, 0, 0, 0, DENSE, 0, 0, 0, 0, 0, 0, 128},
    {"split, paged", 3, 2, 1, 9, 700, 128, 128, WINDOW, 90, 0, 70, PAGED, 8, 0, 0, 0, 0, 0, 192},
    {"poison, causal", 1, 2, 1, 150, 150, 128, 128, CAUSAL, 0, 0, 0, DENSE, 0, 0, 0, 0, 0, 0, 0, 1},
    {"poison, window",
     1,
     2,
     1,
     200,
     200,
     128,
     128,
     WINDOW,
     9,
     4,
     3,
     PAGED,
     16,
     0,
     0,
     0,
     0,
     0,
     0,
     1},
    {"long causal", 1, 1, 1, 1500, 2000, 128, 128, CAUSAL},
};

/* ---- numbers ---- */

static int type_is_bf16;
static uint64_t random_state = 88172645463325252u;

static double random_unit(void) /* (-1, 1) */
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (double)(int64_t)random_state / 9223372036854775808.0;
}

/* 16-bit codes; truncated, and 0 for subnormals. */
static uint16_t encode(double x, int bf16)
{
    const int bits = bf16 ? 7 : 10, bias = bf16 ? 127 : 15;
    int exponent;
    double f = frexp(fabs(x), &exponent);
    if (x == 0 || exponent - 1 + bias <= 0) return 0;
    return (uint16_t)((x < 0) << 15 | (exponent - 1 + bias) << bits |
                      (int)((f * 2 - 1) * (1 << bits)));
}

static double decode(uint16_t u, int bf16)
{
    const int bits = bf16 ? 7 : 10, bias = bf16 ? 127 : 15;
    const int exponent = (u & 0x7fff) >> bits, fraction = u & ((1 << bits) - 1);
    double x = exponent ? ldexp(1 + ldexp(fraction, -bits), exponent - bias)
                        : ldexp(fraction, 1 - bias - bits);
    if (exponent == (bf16 ? 255 : 31)) x = fraction ? NAN : INFINITY;
    return u >> 15 ? -x : x;
}

/* ---- one case: what it computes and where it lies ---- */

typedef struct probe {
    const probe_case *c;
    int seqlen_q[MAX_BATCH], seqlen_k[MAX_BATCH];
    int64_t q_start[MAX_BATCH], k_start[MAX_BATCH];
    int32_t *table, entries, blocks, outer_tokens;
    buffer q, k, v, out, lse, cu_q, cu_k, pages, alibi, bias, sinks, o, ml;
    aiteri_gpu_attention a;
    double scale;
} probe;

static int is_packed(const probe_case *c)
{
    return c->layout == PACKED || c->layout == PAGED_PACKED;
}
static int is_paged(const probe_case *c) { return c->layout == PAGED || c->layout == PAGED_PACKED; }

/* Token of key j: element index of its row of K or V, or -1 in an unmapped page. */
static int64_t key_row(const probe *p, const aiteri_gpu_source *s, int b, int h, int j)
{
    const probe_case *c = p->c;
    int64_t outer = b, token = j;
    if (is_paged(c)) {
        outer = p->table[b * p->entries + j / c->page_size];
        token = j % c->page_size;
        if (outer < 0 || outer >= p->blocks) return -1;
    } else if (is_packed(c)) {
        outer = 0;
        token += p->k_start[b];
    }
    return outer * s->stride_outer + token * s->stride_token + h * s->stride_head;
}

static int64_t query_row(const probe *p, const aiteri_gpu_rows *r, int b, int h, int i)
{
    return b * r->stride_batch + (p->q_start[b] + i) * r->stride_token + h * r->stride_head;
}

static int visible(const probe_case *c, int sq, int sk, int i, int j)
{
    const int at = i + sk - sq;
    switch (c->mask) {
    case CAUSAL: return j <= at;
    case TOP_LEFT: return j <= i;
    case WINDOW: return j <= at + c->right && (j >= at - c->left || j < c->sink_tokens);
    default: return 1;
    }
}

static void choose_lengths(probe *p)
{
    const probe_case *c = p->c;
    const int whole = c->layout == DENSE || c->layout == ODD;
    int64_t q = 0, k = 0;
    for (int b = 0; b < c->batch; b++) {
        p->seqlen_q[b] = whole || b == 0 || c->layout == PAGED ? c->sq : c->sq * b / c->batch;
        p->seqlen_k[b] = whole || b == 0 ? c->sk : c->sk - c->sk / 3 * b + b;
        p->q_start[b] = is_packed(c) ? q : 0;
        p->k_start[b] = is_packed(c) && !is_paged(c) ? k : 0;
        q += p->seqlen_q[b];
        k += p->seqlen_k[b];
    }
}

/* Lengths on the device: cumulative for packed tensors, one per sequence otherwise. */
static aiteri_gpu_lengths lengths(buffer *at, const int *n, int batch, int packed, int most,
                                  int all)
{
    aiteri_gpu_lengths l;
    int32_t *host = (int32_t *)buffer_new(at, (size_t)(batch + 1) * 4);
    int32_t sum = 0;
    memset(&l, 0, sizeof l);
    for (int b = 0; b < batch; b++) {
        host[b] = packed ? sum : n[b];
        sum += n[b];
    }
    if (packed) host[batch] = sum;
    if (packed)
        l.cu = buffer_send(at), l.cu_stride = 1;
    else if (!all)
        l.used = buffer_send(at), l.used_stride = 1;
    else
        buffer_send(at);
    l.seqlen = l.most = most;
    return l;
}

static void fill_pages(probe *p)
{
    const probe_case *c = p->c;
    p->entries = (c->sk + c->page_size - 1) / c->page_size;
    p->blocks = p->entries * c->batch + 3;
    p->table = (int32_t *)buffer_new(&p->pages, (size_t)(p->entries * c->batch) * 4);
    for (int i = 0; i < p->entries * c->batch; i++) {
        p->table[i] = p->blocks - 1 - i;
        if (c->holes && i % c->holes == 1) p->table[i] = i % 2 ? -1 : p->blocks + 7;
    }
    p->a.pages.table = buffer_send(&p->pages);
    p->a.pages.stride_batch = p->entries;
    p->a.pages.stride_entry = 1;
    p->a.pages.page_size = c->page_size;
    p->a.pages.num_blocks = p->blocks;
    p->a.pages.entries = p->entries;
}

/* Everything is NaN but the rows that the sequences have. */
static aiteri_gpu_source fill_source(probe *p, buffer *at, int dim)
{
    const probe_case *c = p->c;
    const int pad = c->layout == ODD ? 3 : 0, tokens = is_paged(c) ? c->page_size : c->sk;
    const int outers = is_paged(c) ? p->blocks : c->batch;
    aiteri_gpu_source s;
    memset(&s, 0, sizeof s);
    s.stride_head = dim + pad;
    s.stride_dim = 1;
    s.stride_token = s.stride_head * c->heads_k + pad;
    s.stride_outer = s.stride_token * tokens;
    const size_t bytes = (size_t)(s.stride_outer * outers + 16) * 2;
    uint16_t *x = (uint16_t *)buffer_new(at, bytes);
    memset(x, 0xff, bytes);
    for (int b = 0; b < c->batch; b++)
        for (int h = 0; h < c->heads_k; h++)
            for (int j = 0; j < p->seqlen_k[b]; j++) {
                const int64_t row = key_row(p, &s, b, h, j);
                for (int d = 0; row >= 0 && d < dim; d++)
                    x[row + d] = encode(random_unit(), type_is_bf16);
                if (row >= 0 && c->poison && at == &p->v && j % 37 == 36)
                    x[row + j % dim] = j % 3 ? 0xffff : encode(1, type_is_bf16) | 0x7c00;
            }
    s.data = buffer_send(at);
    return s;
}

static aiteri_gpu_rows rows_of(const probe *p, int dim, int odd)
{
    const probe_case *c = p->c;
    aiteri_gpu_rows r;
    r.data = 0;
    r.stride_head = dim + odd;
    r.stride_token = r.stride_head * c->heads_q + odd;
    r.stride_batch = is_packed(c) ? 0 : r.stride_token * c->sq;
    return r;
}

static void fill_scores(probe *p)
{
    const probe_case *c = p->c;
    aiteri_gpu_score *s = &p->a.score;
    p->scale = 0.3;
    s->softmax_scale = (float)p->scale;
    p->scale = s->softmax_scale;
    s->softcap = c->softcap;
    if (c->alibi) {
        float *x = (float *)buffer_new(&p->alibi, (size_t)c->heads_q * 4);
        for (int h = 0; h < c->heads_q; h++) x[h] = ldexpf(1, -h - 1);
        s->alibi = buffer_send(&p->alibi);
        s->alibi_stride_head = 1;
    }
    if (c->sinks) {
        float *x = (float *)buffer_new(&p->sinks, (size_t)c->heads_q * 4);
        for (int h = 0; h < c->heads_q; h++) x[h] = (float)random_unit() * 3;
        s->sinks = buffer_send(&p->sinks);
        s->sinks_stride = 1;
    }
    if (!c->bias) return;
    s->bias_stride_key = 1;
    s->bias_stride_token = c->sk;
    s->bias_stride_head = (int64_t)c->sk * c->sq * c->batch;
    s->bias_stride_batch = is_packed(c) ? 0 : (int64_t)c->sk * c->sq;
    const int64_t n = s->bias_stride_head * c->heads_q;
    void *x = buffer_new(&p->bias, (size_t)n * 4);
    for (int64_t i = 0; i < n; i++) {
        const double value = random_unit() * 2;
        const int hidden = i % 11 == 3;
        if (c->bias == F32)
            ((float *)x)[i] = hidden ? -INFINITY : (float)value;
        else
            ((uint16_t *)x)[i] = encode(value, c->bias == BF16);
    }
    s->bias_dtype = c->bias;
    s->bias = buffer_send(&p->bias);
}

static double bias_at(const probe *p, int b, int h, int i, int j)
{
    const aiteri_gpu_score *s = &p->a.score;
    const int64_t at = b * s->bias_stride_batch + (p->q_start[b] + i) * s->bias_stride_token +
                       h * s->bias_stride_head + j;
    if (!p->c->bias) return 0;
    if (p->c->bias == F32) return ((const float *)p->bias.host)[at];
    return decode(((const uint16_t *)p->bias.host)[at], p->c->bias == BF16);
}

static void probe_make(probe *p, const probe_case *c, int rows)
{
    const int odd = c->layout == ODD ? 1 : 0, packed = is_packed(c);
    memset(p, 0, sizeof *p);
    p->c = c;
    aiteri_gpu_attention *a = &p->a;
    choose_lengths(p);
    if (is_paged(c)) fill_pages(p);
    a->k = fill_source(p, &p->k, c->dim);
    a->v = fill_source(p, &p->v, c->dim_v);
    a->q = rows_of(p, c->dim, odd);
    a->out = rows_of(p, c->dim_v, odd);
    const int64_t n = a->q.stride_token * c->sq * c->batch;
    const int64_t outs = a->out.stride_token * c->sq * c->batch;
    uint16_t *q = (uint16_t *)buffer_new(&p->q, (size_t)(n + 16) * 2);
    for (int64_t i = 0; i < n + 16; i++) q[i] = encode(random_unit(), type_is_bf16);
    a->q.data = buffer_send(&p->q);
    memset(buffer_new(&p->out, (size_t)(outs + 16) * 2), 0xee, (size_t)(outs + 16) * 2);
    a->out.data = buffer_send(&p->out);
    a->lse_stride_token = 1;
    a->lse_stride_head = (int64_t)c->sq * c->batch;
    a->lse_stride_batch = packed ? 0 : c->sq;
    memset(buffer_new(&p->lse, (size_t)(a->lse_stride_head * c->heads_q) * 4), 0xee,
           (size_t)(a->lse_stride_head * c->heads_q) * 4);
    a->lse = buffer_send(&p->lse);
    const int whole = c->layout == DENSE || c->layout == ODD;
    a->q_lengths = lengths(&p->cu_q, p->seqlen_q, c->batch, packed, c->sq, whole);
    a->k_lengths = lengths(&p->cu_k, p->seqlen_k, c->batch, packed && !is_paged(c), c->sk, whole);
    a->mask.mask = c->mask;
    a->mask.window_left = c->left;
    a->mask.window_right = c->right;
    a->mask.sink_tokens = c->sink_tokens;
    fill_scores(p);
    a->batch = c->batch;
    a->heads_q = c->heads_q;
    a->heads_k = c->heads_k;
    a->group = c->heads_q / c->heads_k;
    a->dim_q = c->dim;
    a->dim_v = c->dim_v;
    a->tiles = (c->sq + rows - 1) / rows;
    a->xcds = c->heads_q % 4 ? 1 : 3;
    a->split.count = 1;
    if (!c->split_keys) return;
    a->split.count = (c->sk + c->split_keys - 1) / c->split_keys;
    a->split.split_keys = c->split_keys;
    a->split.rows = (int64_t)c->batch * c->heads_q * c->sq;
    const size_t partial = (size_t)(a->split.count * a->split.rows);
    memset(buffer_new(&p->o, partial * (size_t)c->dim_v * 4), 0xee, partial * (size_t)c->dim_v * 4);
    memset(buffer_new(&p->ml, partial * 8), 0xee, partial * 8);
    a->split.o = buffer_send(&p->o);
    a->split.ml = buffer_send(&p->ml);
}

static void probe_free(probe *p)
{
    buffer *all[] = {&p->q,     &p->k,     &p->v,    &p->out,   &p->lse, &p->cu_q, &p->cu_k,
                     &p->pages, &p->alibi, &p->bias, &p->sinks, &p->o,   &p->ml};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buffer_free(all[i]);
}

#include "probe_expect.h"

/* Could the plain class be asked for it? */
static int is_plain(const probe_case *c, int dq, int dv)
{
    return (c->mask == NONE || c->mask == CAUSAL) && (c->layout == DENSE || c->layout == PADDED) &&
           c->softcap == 0 && !c->alibi && !c->bias && !c->sinks && c->dim == dq && c->dim_v == dv;
}

int main(int argc, char **argv)
{
    if (argc < 9) {
        fprintf(stderr, "usage: %s file type dq dv threads rows keys lds [plain] [case]\n",
                argv[0]);
        return 2;
    }
    const int dq = atoi(argv[3]), dv = atoi(argv[4]), rows = atoi(argv[6]);
    const int plain = argc > 9 && strcmp(argv[9], "plain") == 0;
    const char *only = argc > 9 + plain ? argv[9 + plain] : "";
    int failed = 0, ran = 0;
    char symbol[128];
    type_is_bf16 = strcmp(argv[2], "bf16") == 0;
    snprintf(symbol, sizeof symbol, "aiteri_flash_fwd_%s_%s_%s_%d_%d_%s", argv[2], argv[2], argv[2],
             dq, dv, plain ? "plain" : "general");
    device_open(argv[1], symbol, atoi(argv[5]), atoi(argv[8]));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        probe_case c = cases[i];
        probe p;
        verdict v;
        if (!strstr(c.name, only)) continue;
        if (c.dim == 128) c.dim = dq, c.dim_v = dv;
        if (c.dim > dq || c.dim_v > dv || (plain && !is_plain(&c, dq, dv))) continue;
        probe_make(&p, &c, rows);
        device_launch(&p.a, p.a.batch * p.a.heads_q * p.a.tiles * p.a.split.count);
        buffer_fetch(&p.out), buffer_fetch(&p.lse), buffer_fetch(&p.o), buffer_fetch(&p.ml);
        v = probe_compare(&p);
        printf("%-24s out %.2e of %.2e  lse %.2e of %.2e  %s\n", c.name, v.out, v.out_bound, v.lse,
               v.lse_bound, v.wrong ? "FAILED" : "ok");
        if (v.wrong) printf("    %d wrong, first: %s\n", v.wrong, v.first);
        failed += v.wrong != 0;
        ran++;
        probe_free(&p);
    }
    printf("%d passed, %d failed\n", ran - failed, failed);
    return failed || !ran;
}
