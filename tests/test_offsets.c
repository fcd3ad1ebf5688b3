/* test_offsets.c -- rows past 2^31 and 2^32 elements, in memory of which only the touched pages
 * exist. */
#include "test.h"
#include "reference.c"
#include "case_run.h"

#if TEST_POSIX
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

typedef struct far_memory {
    unsigned char *data;
    size_t bytes;
} far_memory;

/* Up to 16 places at once; all are given back by far_release. */
static far_memory far_list[16];
static int far_count;

static unsigned char *far_map(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    if (!CHECK(p != MAP_FAILED, "no %zu bytes of address space", bytes)) exit(test_end());
    far_list[far_count].data = (unsigned char *)p;
    far_list[far_count++].bytes = bytes;
    return (unsigned char *)p;
}

static void far_release(void)
{
    while (far_count) {
        far_count--;
        munmap(far_list[far_count].data, far_list[far_count].bytes);
    }
}

/* A place like `from` whose dimension `dim` has the given stride, in sparse memory. */
static attn_place far_like(const attn_place *from, test_buffer *buffer, int dim, int64_t stride)
{
    attn_place t = *from;
    int64_t size = 1, bytes = aiter_dtype_bits(t.dtype) / 8;
    int at;
    for (at = 3; at >= 0; at--) {
        if (at == dim) continue;
        t.stride[at] = size;
        size *= t.n[at];
    }
    t.stride[dim] = stride;
    t.offset = 0;
    memset(buffer, 0, sizeof *buffer);
    buffer->bytes = (size_t)(((t.n[dim] - 1) * stride + size) * bytes);
    buffer->data = far_map(buffer->bytes);
    t.buffer = buffer;
    return t;
}

static void place_copy(const attn_place *to, const attn_place *from)
{
    size_t size = (size_t)aiter_dtype_bits(to->dtype) / 8;
    int64_t a, b, c, d;
    for (a = 0; a < to->n[0]; a++) {
        for (b = 0; b < to->n[1]; b++) {
            for (c = 0; c < to->n[2]; c++) {
                for (d = 0; d < to->n[3]; d++) {
                    memcpy(to->buffer->data + place_at(to, a, b, c, d) * (int64_t)size,
                           from->buffer->data + place_at(from, a, b, c, d) * (int64_t)size, size);
                }
            }
        }
    }
}

enum { FAR_Q = 1, FAR_K = 2, FAR_V = 4, FAR_OUT = 8, FAR_LSE = 16, FAR_BIAS = 32 };

/* Moves some tensors of the case far apart along dimension `dim`, calls, brings the result home. */
static void far_case(const attn_case *c, int which, int dim, int64_t past, aiter_context *ctx)
{
    attn_problem p;
    attn_call call;
    test_buffer buffer[6];
    attn_place *places[6] = {&p.pq, &p.pk, &p.pv, &p.po, &p.pl, &p.pb};
    aiter_tensor *tensors[6] = {&p.q_t, &p.k_t, &p.v_t, &p.out_t, &p.lse_t, &p.bias_t};
    attn_place home[6];
    int i;
    memset(&call, 0, sizeof call);
    call.ctx = ctx;
    problem_new(&p, c);
    problem_expect(&p, 1e9);
    problem_store(&p, SLACK_NAN);
    for (i = 0; i < 6; i++) {
        const char *dims = "0123";
        int along = i == 4 ? 2 : i == 5 ? 2 : dim;
        home[i] = *places[i];
        if (!(which >> i & 1)) continue;
        if (home[i].n[along] < 2) along = i == 5 ? 2 : 1 - dim;
        *places[i] = far_like(&home[i], &buffer[i], along, past / (home[i].n[along] - 1) + 3);
        place_copy(places[i], &home[i]);
        if (i == 4) dims = "012";
        if (case_is_packed(c) && i != 1 && i != 2) dims = i == 4 ? "12" : "123";
        if (c->form == FORM_VARLEN) dims = i == 4 ? "12" : "123";
        *tensors[i] = place_tensor(&p, places[i], dims);
    }
    CHECK(problem_call(&p, &call) == AITER_OK, "%s: %s", aiter_last_error(), case_text(&p.c));
    for (i = 0; i < 6; i++) {
        if (!(which >> i & 1)) continue;
        if (i == 3 || i == 4) place_copy(&home[i], places[i]);
        *places[i] = home[i];
    }
    problem_compare(&p, "far apart");
    far_release();
    problem_free(&p);
    test_global.cases++;
}

static void attention(aiter_context *ctx)
{
    static const int64_t past[] = {INT64_C(1) << 31, (INT64_C(1) << 32) + 5};
    attn_case dense = {.b = 3, .hq = 2, .hk = 1, .sq = 20, .sk = 70, .dq = 8, .seed = 1, .core = 1};
    int i, n;
    for (i = 0; i < COUNT(past); i++) {
        for (n = 0; n < 6; n++) {
            attn_case c = dense;
            c.seed = (uint64_t)(2 * n + 1);
            c.q_type = n % 2 ? AITER_F16 : AITER_F32;
            c.kv_type = n % 3 ? AITER_F16 : AITER_BF16;
            if (n >= 3) c.sq = 1 + n % 2; /* the streaming kernels */
            c.bias = n == 2 || n == 5 ? BIAS_B_H_SQ_SK : BIAS_NONE;
            c.bias_type = AITER_F16;
            if (n % 3 == 2) {
                if (c.sq == 1) c.sq = 2;
                far_case(&c, FAR_BIAS | FAR_LSE, 0, past[i], ctx);
            }
            far_case(&c, FAR_K | FAR_V, n % 2, past[i], ctx);
            far_case(&c, FAR_Q | FAR_OUT, 0, past[i], ctx);
            c.form = FORM_PAGED;
            c.bias = BIAS_NONE;
            c.page = 16;
            far_case(&c, FAR_K | FAR_V, 0, past[i], ctx);
            c.page = 64;
            far_case(&c, FAR_K | FAR_V, 1, past[i], ctx);
            c.op = OP_DECODE;
            c.sq = 2;
            c.kv_type = AITER_I8;
            far_case(&c, FAR_K | FAR_V | FAR_Q, 0, past[i], ctx);
            c.op = OP_FLASH;
            c.form = FORM_VARLEN;
            c.sq = dense.sq;
            c.kv_type = AITER_F16;
            far_case(&c, FAR_K | FAR_V | FAR_Q | FAR_OUT, 1, past[i], ctx);
        }
    }
}

/* The last slot of a cache of 2^32 elements; a merge of rows as far apart. */
static void cache_and_merge(aiter_context *ctx)
{
    int64_t step = (INT64_C(1) << 31) + 16, i;
    uint16_t *k = (uint16_t *)(void *)far_map((size_t)(2 * step + 64) * 2);
    uint16_t *v = (uint16_t *)(void *)far_map((size_t)(2 * step + 64) * 2);
    float rows[8] = {1, 2, 3, 4, 5, 6, 7, 8}, lse[2] = {0.5f, 1}, merged[8];
    int32_t slots[2] = {11, 4};
    aiter_reshape_and_cache_args a;
    aiter_merge_attn_states_args m;
    memset(&a, 0, sizeof a);
    memset(&m, 0, sizeof m);
    a.k = a.v = aiter_tensor_3d(rows, AITER_F32, 2, 1, 4);
    a.kv.k = aiter_tensor_4d(k, AITER_F16, 3, 4, 1, 4);
    a.kv.k.stride[0] = step;
    a.kv.k.stride[1] = 4;
    a.kv.k.stride[2] = 4;
    a.kv.k.stride[3] = 1;
    a.kv.v = a.kv.k;
    a.kv.v.data = v;
    a.slot_mapping = aiter_tensor_1d(slots, AITER_I32, 2);
    CHECK(aiter_reshape_and_cache(&a, ctx) == AITER_OK, "%s", aiter_last_error());
    for (i = 0; i < 4; i++) {
        CHECK(ref_load(AITER_F16, k, 2 * step + 12 + i) == (double)(i + 1), "k of slot 11");
        CHECK(ref_load(AITER_F16, v, step + i) == (double)(i + 5), "v of slot 4");
    }
    m.out_a = a.kv.k;
    m.out_a.data = k + step;
    m.out_a.ndim = 3;
    m.out_a.shape[0] = 2;
    m.out_a.shape[1] = 1;
    m.out_a.shape[2] = 4;
    m.out_a.stride[1] = 4;
    m.out_a.stride[2] = 1;
    m.out_b = m.out_a;
    m.out_b.data = v + step;
    m.lse_a = m.lse_b = aiter_tensor_2d(lse, AITER_F32, 1, 2);
    m.out = aiter_tensor_3d(merged, AITER_F32, 2, 1, 4);
    for (i = 0; i < 4; i++) {
        ref_store(AITER_F16, k, 2 * step + i, (double)i);
        ref_store(AITER_F16, v, 2 * step + i, (double)(i + 2));
    }
    CHECK(aiter_merge_attn_states(&m, ctx) == AITER_OK, "%s", aiter_last_error());
    for (i = 0; i < 4; i++) {
        CHECK(fabs(merged[4 + i] - (double)(i + 1)) < 1e-6, "merged far row: %g",
              (double)merged[4 + i]);
    }
    far_release();
    test_global.cases += 2;
}

int main(void)
{
    int t;
    test_begin("offsets", 1e9);
    run_begin();
    for (t = 0; t < run_on.tiers; t++) {
        attention(run_on.one[t]);
        cache_and_merge(run_on.one[t]);
    }
    run_end();
    return test_end();
}
#else
int main(void)
{
    test_begin("offsets", 1);
    CHECK(sizeof(int64_t) == 8, "64-bit strides"); /* no sparse memory here to try them in */
    return test_end();
}
#endif
