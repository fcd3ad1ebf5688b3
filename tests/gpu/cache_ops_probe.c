/* cache_ops_probe.c -- runs combine, merge_attn_states, reshape_and_cache and paged_decode on a GPU
 * or on the emulator and compares every number with an fp64 loop. Needs nothing but a C compiler;
 * the driver is opened at run time:
 *
 *     cc -std=gnu99 -O2 cache_ops_probe.c -o probe -lm -ldl
 *     ./probe aiter_combine_*.ptx aiter_merge_*.ptx aiter_reshape_*.ptx aiter_paged_decode_*.ptx
 *     AITER_ATTN_HIP_LIBRARY=libcdna_hip.so CDNA_CHIP=gfx950 ./probe aiter_gfx950.co
 *
 * Exit code 0: every case ran and is within its bound. */
#include "probe_modules.h"

#include "probe_decode.h"

/* ---- merge_attn_states ---- */

typedef struct merge_run {
    int tokens, heads, dim;
    number a, b, out;
    buffer *rows[3], *lse[3];
    aiteri_gpu_merge x;
} merge_run;

/* Some rows have no keys on one side, or on both; their values must not be read. */
static double merge_lse(int row, int side)
{
    if (row % 7 == 3 + side) return -INFINITY;
    if (row % 7 == 5) return -INFINITY;
    if (row % 11 == 2) return side ? INFINITY : 1;
    return random_unit() * 10;
}

static aiteri_gpu_rows merge_rows(merge_run *m, int i, number type)
{
    aiteri_gpu_rows r = {0, 0, 0, 0};
    r.stride_head = m->dim + i;
    r.stride_token = r.stride_head * m->heads + 5 * i;
    m->rows[i] = buffer_new(r.stride_token * m->tokens, type_bytes[type]);
    r.data = m->rows[i]->device;
    return r;
}

static void merge_fill(merge_run *m)
{
    const number type[3] = {m->a, m->b, m->out};
    aiteri_gpu_rows *rows[3] = {&m->x.a, &m->x.b, &m->x.out};
    for (int i = 0; i < 3; i++) {
        *rows[i] = merge_rows(m, i, type[i]);
        m->lse[i] = buffer_new(m->tokens * m->heads, 4);
        float *lse = (float *)m->lse[i]->host;
        for (int t = 0; t < m->tokens && i < 2; t++)
            for (int h = 0; h < m->heads; h++) {
                const float x = (float)merge_lse(t * m->heads + h, i);
                lse[h * m->tokens + t] = x;
                for (int d = 0; d < m->dim && x != -INFINITY; d++)
                    put(m->rows[i]->host, type[i],
                        t * rows[i]->stride_token + h * rows[i]->stride_head + d, random_unit());
            }
        buffer_send(m->rows[i]);
        buffer_send(m->lse[i]);
    }
    m->x.lse_a = m->lse[0]->device, m->x.lse_b = m->lse[1]->device, m->x.lse = m->lse[2]->device;
    m->x.lse_a_stride_head = m->x.lse_b_stride_head = m->x.lse_stride_head = m->tokens;
    m->x.lse_a_stride_token = m->x.lse_b_stride_token = m->x.lse_stride_token = 1;
    m->x.tokens = m->tokens, m->x.heads = m->heads, m->x.dim = m->dim;
}

static void merge_compare(const merge_run *m)
{
    const double unit = half_unit[F32];
    const number type[2] = {m->a, m->b};
    const aiteri_gpu_rows *rows[2] = {&m->x.a, &m->x.b};
    for (int t = 0; t < m->tokens; t++)
        for (int h = 0; h < m->heads; h++) {
            double lse[2], weight[2], sum = 0, joint = -INFINITY;
            for (int i = 0; i < 2; i++) lse[i] = get(m->lse[i]->host, F32, h * m->tokens + t);
            const double most = fmax(lse[0], lse[1]);
            for (int i = 0; i < 2; i++) {
                weight[i] = lse[i] == -INFINITY ? 0 : lse[i] == most ? 1 : exp(lse[i] - most);
                sum += weight[i];
            }
            if (sum > 0) joint = most + log(sum);
            judge(get(m->lse[2]->host, F32, h * m->tokens + t), joint,
                  16 * unit * (1 + (isinf(joint) ? 0 : fabs(joint))), "lse", t * m->heads + h);
            for (int d = 0; d < m->dim; d++) {
                double want = 0, size = 0;
                for (int i = 0; i < 2 && sum > 0; i++) {
                    if (weight[i] == 0) continue;
                    const double x = get(m->rows[i]->host, type[i],
                                         t * rows[i]->stride_token + h * rows[i]->stride_head + d);
                    want += weight[i] / sum * x;
                    size += weight[i] / sum * fabs(x);
                }
                judge(get(m->rows[2]->host, m->out,
                          t * m->x.out.stride_token + h * m->x.out.stride_head + d),
                      want, 96 * unit * size + half_unit[m->out] * fabs(want) + least_step[m->out],
                      "out", (t * m->heads + h) * m->dim + d);
            }
        }
}

static void merge_case(number a, number b, number out, int tokens, int heads, int dim)
{
    merge_run m;
    char symbol[128], name[128];
    memset(&m, 0, sizeof m);
    m.tokens = tokens, m.heads = heads, m.dim = dim, m.a = a, m.b = b, m.out = out;
    snprintf(symbol, sizeof symbol, "aiteri_merge_attn_states_%s_%s_%s_0_0_general", type_names[a],
             type_names[b], type_names[out]);
    snprintf(name, sizeof name, "merge %s %s -> %s, %d x %d x %d", type_names[a], type_names[b],
             type_names[out], tokens, heads, dim);
    const instance *k = instance_find(symbol);
    int ran = 0;
    if (k) {
        merge_fill(&m);
        ran = run_kernel(k, ((int64_t)tokens * heads + k->rows - 1) / k->rows, &m.x);
        buffer_fetch(m.rows[2]), buffer_fetch(m.lse[2]);
        if (ran) merge_compare(&m);
    }
    case_end(name, ran);
}

/* ---- reshape_and_cache ---- */

enum { CONVERT, STATIC, PER_TOKEN_HEAD };

typedef struct reshape_run {
    int tokens, heads, page, blocks, quant;
    number from, to;
    buffer *src[2], *cache[2], *scale[2], *slots;
    aiteri_gpu_reshape_and_cache x;
} reshape_run;

static void reshape_fill_side(reshape_run *r, int i, int dim)
{
    aiteri_gpu_cache_side *s = i ? &r->x.v : &r->x.k;
    s->dim = dim;
    s->src_stride_dim = s->cache_stride_dim = 1;
    s->src_stride_head = dim + 2;
    s->src_stride_token = s->src_stride_head * r->heads + 1;
    s->cache_stride_head = dim + 4;
    s->cache_stride_token = s->cache_stride_head * r->heads;
    s->cache_stride_block = s->cache_stride_token * r->page + 8;
    r->src[i] = buffer_new(s->src_stride_token * r->tokens, type_bytes[r->from]);
    r->cache[i] = buffer_new(s->cache_stride_block * r->blocks, type_bytes[r->to]);
    r->scale[i] = buffer_new((int64_t)r->blocks * r->page * r->heads, 4);
    for (int t = 0; t < r->tokens; t++)
        for (int h = 0; h < r->heads; h++)
            for (int d = 0; d < dim; d++) {
                const double x = (t + h) % 5 == 4 ? 0 : random_unit() * (d % 9 == 1 ? 3 : 1);
                put(r->src[i]->host, r->from, t * s->src_stride_token + h * s->src_stride_head + d,
                    x);
            }
    if (r->quant == STATIC) {
        for (int h = 0; h < r->heads; h++) put(r->scale[i]->host, F32, h, 0.01 + 0.003 * h);
        s->scale_stride_head = 1;
    } else {
        s->scale_stride_head = 1;
        s->scale_stride_token = r->heads;
        s->scale_stride_block = (int64_t)r->heads * r->page;
    }
    s->src = buffer_send(r->src[i]);
    s->cache = buffer_send(r->cache[i]);
    s->scale = buffer_send(r->scale[i]);
}

/* Slots backwards; some tokens have none, in one of several ways. */
static int64_t reshape_slot(const reshape_run *r, int token)
{
    const int64_t slots = (int64_t)r->page * r->blocks;
    if (token % 6 == 2) return -1;
    if (token % 6 == 5) return slots + token;
    return slots - 1 - token;
}

static void reshape_compare_row(const reshape_run *r, int i, int t, int h, int64_t slot)
{
    const aiteri_gpu_cache_side *s = i ? &r->x.v : &r->x.k;
    const int64_t from = t * s->src_stride_token + h * s->src_stride_head;
    const int64_t to = slot / r->page * s->cache_stride_block +
                       slot % r->page * s->cache_stride_token + h * s->cache_stride_head;
    const int64_t at = slot / r->page * s->scale_stride_block +
                       slot % r->page * s->scale_stride_token + h * s->scale_stride_head;
    float step = r->quant == STATIC ? (float)get(r->scale[i]->host, F32, h) : 0;
    double most = 0;
    for (int d = 0; d < s->dim; d++)
        most = fmax(most, fabs(get(r->src[i]->host, r->from, from + d)));
    if (r->quant == PER_TOKEN_HEAD) {
        step = (float)most / 127.0f;
        judge(get(r->scale[i]->host, F32, at), step, 0, "scale", at);
    }
    for (int d = 0; d < s->dim; d++) {
        double want, x = get(r->src[i]->host, r->from, from + d);
        double code[1];
        if (r->quant != CONVERT) x = step != 0 ? (float)x / step : 0;
        put(code, r->to, 0, x);
        want = get(code, r->to, 0);
        judge(get(r->cache[i]->host, r->to, to + d), want, 0, i ? "v" : "k", to + d);
    }
    for (int d = s->dim; d < s->dim + 4; d++) { /* between the rows */
        const unsigned char *byte = (const unsigned char *)r->cache[i]->host;
        judge(byte[(to + d) * type_bytes[r->to]], 0xff, 0, "past the row", to + d);
    }
}

static void reshape_case(number from, number to, int quant, int page, int bits, int dim, int dim_v)
{
    reshape_run r;
    char symbol[128], name[128];
    memset(&r, 0, sizeof r);
    r.tokens = 41, r.heads = 3, r.page = page, r.blocks = 64 / page + 1, r.quant = quant;
    r.from = from, r.to = to;
    snprintf(symbol, sizeof symbol, "aiteri_reshape_and_cache_%s_any_any_0_0_general",
             type_names[from]);
    snprintf(name, sizeof name, "reshape %s -> %s, mode %d, pages of %d, %d and %d, i%d",
             type_names[from], type_names[to], quant, page, dim, dim_v, bits);
    const instance *k = instance_find(symbol);
    int ran = 0;
    if (k) {
        reshape_fill_side(&r, 0, dim);
        reshape_fill_side(&r, 1, dim_v);
        r.slots = buffer_new(r.tokens * 2, 8);
        for (int t = 0; t < r.tokens; t++) {
            if (bits == 64)
                ((int64_t *)r.slots->host)[t * 2] = reshape_slot(&r, t);
            else
                ((int32_t *)r.slots->host)[t * 2] = (int32_t)reshape_slot(&r, t);
        }
        r.x.slot_mapping = buffer_send(r.slots);
        r.x.slot_stride = 2, r.x.tokens = r.tokens, r.x.slots = (int64_t)page * r.blocks;
        r.x.heads = r.heads, r.x.page_size = page, r.x.slot_bits = bits, r.x.quant = quant;
        r.x.cache_dtype = to == F32 ? 1 : to == F16 ? 2 : to == BF16 ? 3 : 7, r.x.largest = 127;
        ran = run_kernel(k, r.tokens, &r.x);
        for (int i = 0; i < 2; i++) buffer_fetch(r.cache[i]), buffer_fetch(r.scale[i]);
        for (int t = 0; t < r.tokens && ran; t++)
            for (int h = 0; h < r.heads * 2; h++)
                if (t % 3 != 2) reshape_compare_row(&r, h % 2, t, h / 2, reshape_slot(&r, t));
    }
    case_end(name, ran);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s file...\n", argv[0]);
        return 2;
    }
    driver_open();
    for (int i = 1; i < argc; i++) module_load(argv[i]);
    merge_case(F32, F32, F32, 5, 3, 128);
    merge_case(F16, F16, F16, 17, 4, 64);
    merge_case(BF16, BF16, BF16, 33, 2, 40);
    merge_case(F32, F32, F16, 9, 5, 1);
    merge_case(F32, F32, BF16, 9, 5, 300);
    for (int page = 1; page <= 16; page += 15) {
        const int bits = page == 1 ? 32 : 64;
        reshape_case(F32, F32, CONVERT, page, bits, 128, 64);
        reshape_case(F16, F16, CONVERT, page, bits, 40, 80);
        reshape_case(BF16, BF16, CONVERT, page, bits, 1, 128);
        reshape_case(F32, F16, CONVERT, page, bits, 128, 128);
        reshape_case(F32, BF16, CONVERT, page, bits, 96, 300);
        for (int quant = STATIC; quant <= PER_TOKEN_HEAD; quant++) {
            reshape_case(F32, I8, quant, page, bits, 128, 128);
            reshape_case(F16, I8, quant, page, bits, 64, 40);
            reshape_case(BF16, I8, quant, page, bits, 128, 256);
        }
    }
    for (int i = 0; i < DECODE_CASES; i++)
        for (number type = F16; type <= BF16; type = (number)(type + 1))
            decode_case_run(&decode_cases[i], type);
    printf("%d cases, %d failed\n", verdict.cases, verdict.failed);
    return verdict.failed != 0;
}
