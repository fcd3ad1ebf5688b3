/* run_large.c -- tensors past 2^31, 2^32 and 2^33 bytes on a device whose memory is sparse, against
 * the fp64 oracle and the CPU's own ops:
 *
 *     run_large hip|cuda FOLDER
 *
 * Every large dimension in turn: pages, tokens of a page, tokens of a sequence, heads, batches,
 * rows of block tables, slots; of q, k, v, out, lse, bias and scales. Needs a device that gives 100
 * GiB: the emulator, where a page of memory exists once it has been written. */
#include "device_far.h"
#include "device_ops.h"

enum {
    FAR_Q,
    FAR_K,
    FAR_V,
    FAR_OUT,
    FAR_LSE,
    FAR_BIAS,
    FAR_K_SCALE,
    FAR_V_SCALE,
    FAR_TABLE,
    FAR_TENSORS,
    KEYS = 1 << FAR_K | 1 << FAR_V,
    ROWS = 1 << FAR_Q | 1 << FAR_OUT,
    SCALES = 1 << FAR_K_SCALE | 1 << FAR_V_SCALE,
    LSE = 1 << FAR_LSE,
    BIAS = 1 << FAR_BIAS,
    TABLE = 1 << FAR_TABLE
};

/* In elements: of two bytes 2^31, 2^32 and 2^33. */
static const int64_t pasts[] = {INT64_C(1) << 30, INT64_C(1) << 31, (INT64_C(1) << 32) + 5};
enum { PASTS = sizeof pasts / sizeof pasts[0] };

static void tensors_of(attn_problem *p, aiter_tensor *t[FAR_TENSORS])
{
    aiter_tensor *const all[FAR_TENSORS] = {&p->q_t,     &p->k_t,     &p->v_t,
                                            &p->out_t,   &p->lse_t,   &p->bias_t,
                                            &p->k_scale, &p->v_scale, &p->table};
    memcpy(t, all, sizeof all);
}

/* The place of dimension `dim` (0: batch or page, 1: token, 2: head) in a tensor of this kind. */
static int dimension_of(int kind, int ndim, int dim)
{
    int at = dim; /* scales */
    if (kind == FAR_TABLE) at = 0;
    if (kind == FAR_LSE || kind == FAR_BIAS) at = dim == 0 ? 0 : ndim - (dim == 1 ? 1 : 2);
    if (kind == FAR_BIAS && dim) at = ndim - 1 - dim;
    if (kind <= FAR_OUT) at = dim - (4 - ndim);
    return at < 0 ? 0 : at;
}

/* A case with the tensors of `which` spread along `dim`, past `past` elements. */
static void far_case(const attn_case *c, int which, int dim, int64_t past, int odd)
{
    attn_problem p;
    attn_call call;
    device_copy copy;
    problem_image image;
    aiter_tensor *host[FAR_TENSORS], *there[FAR_TENSORS];
    far_tensor far[FAR_TENSORS];
    int i;
    memset(&call, 0, sizeof call);
    problem_new(&p, c);
    problem_expect(&p, 1e9);
    device_rounds(p.c.q_type);
    problem_store(&p, SLACK_NAN);
    image = image_take(&p);
    device_copy_in(&p, &copy);
    attn_problem q = device_problem(&p, &copy);
    tensors_of(&p, host);
    tensors_of(&q, there);
    for (i = 0; i < FAR_TENSORS; i++) {
        if (!(which >> i & 1)) continue;
        far[i] =
            far_new(host[i], dimension_of(i, host[i]->ndim, dim), past, i == FAR_BIAS ? 0 : odd);
        *there[i] = far[i].device;
    }
    call.ctx = device.ctx;
    const aiter_status status = problem_call(&q, &call);
    device_note(status, case_text(&p.c));
    device_wait(case_text(&p.c));
    device_copy_out(&p, &copy);
    for (i = 0; i < FAR_TENSORS; i++) {
        if (!(which >> i & 1)) continue;
        if (i == FAR_OUT || i == FAR_LSE) far_copy(&far[i], 1);
        far_free(&far[i]);
    }
    image_check(&p, &image, status == AITER_OK);
    char what[80];
    snprintf(what, sizeof what, "tensors %x far along %d, past %" PRId64, which, dim, past);
    if (status == AITER_OK) problem_compare(&p, what);
    problem_free(&p);
    test_global.cases++;
}

static attn_case base_case(aiter_dtype type, attn_form form, uint64_t seed)
{
    attn_case c;
    memset(&c, 0, sizeof c);
    c.form = form;
    c.b = 2;
    c.hq = 4;
    c.hk = 2;
    c.sq = 20;
    c.sk = 70;
    c.dq = 128;
    c.q_type = type;
    c.seed = seed;
    c.ragged = form != FORM_DENSE;
    c.core = 1;
    return c;
}

static void dense(aiter_dtype type, int64_t past)
{
    attn_case c = base_case(type, FORM_DENSE, 1);
    far_case(&c, KEYS, 0, past, 0);
    far_case(&c, KEYS, 1, past, 0); /* one head from end to end */
    c.mask = AITER_MASK_CAUSAL;
    far_case(&c, KEYS, 1, past, 3); /* rows that 16-byte loads must not touch */
    far_case(&c, KEYS, 2, past, 0);
    far_case(&c, ROWS | LSE, 0, past, 0);
    far_case(&c, ROWS | LSE, 1, past, 0);
    c.hq = c.hk = 2;
    far_case(&c, ROWS | LSE | KEYS, 2, past, 5);
    c.sk = past >> 32 ? 1200 : 600; /* many tiles, each far below the limits */
    far_case(&c, KEYS, 1, past, 0);
    c.splits = 3;
    far_case(&c, KEYS | ROWS | LSE, 1, past, 0);
    c = base_case(type, FORM_DENSE, 3);
    c.bias = BIAS_B_H_SQ_SK;
    for (int dim = 0; dim < 3; dim++) far_case(&c, BIAS, dim, past, 0);
}

static void packed(aiter_dtype type, int64_t past)
{
    attn_case c = base_case(type, FORM_VARLEN, 5);
    far_case(&c, KEYS | ROWS | LSE, 1, past, 0);
    far_case(&c, KEYS | ROWS | LSE, 2, past, 0);
}

/* Pages, and tokens of one page; a batch that mixes new tokens and prefill, and a padded one. */
static void paged(aiter_dtype type, int64_t past)
{
    attn_case c = base_case(type, FORM_MIXED, 7);
    c.b = 3;
    c.mask = AITER_MASK_CAUSAL;
    far_case(&c, KEYS | TABLE, 0, past, 0);
    far_case(&c, KEYS | ROWS | LSE, 1, past, 0);
    far_case(&c, KEYS, 2, past, 0);
    c.form = FORM_PAGED;
    c.page = 7;
    c.mask = AITER_MASK_NONE;
    far_case(&c, KEYS | ROWS | LSE, 0, past, 0);
    far_case(&c, KEYS, 0, past, 3);
    c.page = 64;
    c.sk = 200;
    c.splits = 2;
    far_case(&c, KEYS, 0, past, 0);
    far_case(&c, KEYS, 1, past, 0);
}

static void decode(aiter_dtype type, aiter_dtype kv, int64_t past)
{
    const int scales = kv == AITER_I8 ? SCALES : 0;
    attn_case c = base_case(type, FORM_PAGED, 9);
    c.op = OP_DECODE;
    c.kv_type = kv;
    c.scale_kind = AITER_SCALE_PER_TOKEN_HEAD;
    c.b = 3;
    c.sq = 1;
    c.sk = 300;
    far_case(&c, KEYS | scales | TABLE, 0, past, 0);
    far_case(&c, KEYS | scales, 1, past, 0);
    far_case(&c, KEYS | scales, 2, past, 3);
    c.sq = 2;
    c.splits = 3;
    c.page = 1;
    far_case(&c, KEYS | ROWS | LSE | scales, 0, past, 0);
    c.page = 64;
    far_case(&c, KEYS | scales, 0, past, 0);
    far_case(&c, ROWS | LSE, 1, past, 0);
    far_case(&c, ROWS | LSE, 2, past, 5);
}

/* ---- reshape_and_cache: the bits of the CPU ---- */

/* New rows, slots, cache and scales: all of them far, the cache along block, token or head. */
static void far_cache(aiter_dtype src, aiter_dtype dst, cache_mode quant, int dim, int64_t past)
{
    const cache_case c = {src, dst, dim ? AITER_I64 : AITER_I32, quant, 3, 40, 65, 0, 0, 0};
    void *host[7];
    int64_t n[7];
    aiter_dtype type[7];
    far_tensor far[7];
    int i;
    cache_sizes(&c, n, type);
    cache_values(&c, n, type, host);
    aiter_reshape_and_cache_args a = cache_args(&c, host), d = a;
    aiter_tensor *const here[7] = {&a.k,          &a.v,          &a.kv.k,        &a.kv.v,
                                   &a.kv.k_scale, &a.kv.v_scale, &a.slot_mapping};
    aiter_tensor *const there[7] = {&d.k,          &d.v,          &d.kv.k,        &d.kv.v,
                                    &d.kv.k_scale, &d.kv.v_scale, &d.slot_mapping};
    for (i = 0; i < 7; i++) {
        if (!here[i]->ndim) continue;
        const int along = i > 1 && here[i]->ndim > 1 ? dim : 0;
        far[i] = far_new(here[i], along, i == 6 ? past / 4 : past, i % 2); /* 192 GiB are there */
        *there[i] = far[i].device;
    }
    device_note(aiter_reshape_and_cache(&d, device.ctx), "reshape_and_cache");
    CHECK(aiter_reshape_and_cache(&a, NULL) == AITER_OK, "%s", aiter_last_error());
    device_wait("reshape_and_cache");
    for (i = 0; i < 7; i++) {
        if (!here[i]->ndim) continue;
        const size_t bytes = bytes_of(here[i]->dtype, tensor_elements(here[i]));
        void *expected = malloc(bytes);
        memcpy(expected, here[i]->data, bytes);
        far_copy(&far[i], 1);
        CHECK(memcmp(expected, here[i]->data, bytes) == 0,
              "reshape_and_cache %s to %s, far along %d past %" PRId64 ": array %d differs",
              aiter_dtype_name(src), aiter_dtype_name(dst), dim, past, i);
        free(expected);
        far_free(&far[i]);
    }
    for (i = 0; i < 7; i++) free(host[i]);
    test_global.cases++;
}

enum { SLOT_DIM = 4, SLOT_BLOCKS = 1 << 28, SLOT_PAGE = 16, SLOT_TOKENS = 9 };

/* Slots of 64 bits in a cache of 2^32; slot 0 must stay what it is. */
static void far_slots(aiter_dtype dst)
{
    static const int64_t slots[SLOT_TOKENS] = {INT64_C(1) << 32,
                                               1,
                                               (INT64_C(1) << 31) - 1,
                                               INT64_C(1) << 31,
                                               INT64_MAX,
                                               (INT64_C(1) << 32) - 1,
                                               INT64_MIN,
                                               (INT64_C(1) << 31) + 5,
                                               -1};
    const int64_t all = (int64_t)SLOT_BLOCKS * SLOT_PAGE;
    const size_t row = bytes_of(dst, SLOT_DIM);
    const int quantised = dst == AITER_I8;
    unsigned char want[2][SLOT_TOKENS * SLOT_DIM * 4];
    float scales[2][SLOT_TOKENS];
    int32_t small[SLOT_TOKENS];
    void *at[7];
    int i, side;
    void *rows = random_elements(AITER_F16, SLOT_TOKENS * SLOT_DIM, 12, 3);
    for (i = 0; i < SLOT_TOKENS; i++) small[i] = i;
    at[0] = device_new(rows, bytes_of(AITER_F16, SLOT_TOKENS * SLOT_DIM));
    at[1] = device_new(slots, sizeof slots);
    for (side = 0; side < 2; side++) {
        at[2 + side] = device_new(NULL, (size_t)all * row);
        at[4 + side] = device_new(NULL, quantised ? (size_t)all * 4 : 4);
        driver_ok(device.call.write(at[2 + side], rows, row), "slot 0");
    }
    aiter_reshape_and_cache_args a[2];
    memset(a, 0, sizeof a);
    for (i = 0; i < 2; i++) { /* the CPU's, one slot a token; the device's */
        void *const k = i ? at[2] : want[0], *const v = i ? at[3] : want[1];
        void *const ks = i ? at[4] : scales[0], *const vs = i ? at[5] : scales[1];
        const int64_t blocks = i ? SLOT_BLOCKS : SLOT_TOKENS, page = i ? SLOT_PAGE : 1;
        a[i].k = aiter_tensor_3d(i ? at[0] : rows, AITER_F16, SLOT_TOKENS, 1, SLOT_DIM);
        a[i].v = a[i].k;
        a[i].kv.k = aiter_tensor_4d(k, dst, blocks, page, 1, SLOT_DIM);
        a[i].kv.v = aiter_tensor_4d(v, dst, blocks, page, 1, SLOT_DIM);
        a[i].slot_mapping = i ? aiter_tensor_1d(at[1], AITER_I64, SLOT_TOKENS)
                              : aiter_tensor_1d(small, AITER_I32, SLOT_TOKENS);
        if (!quantised) continue;
        a[i].quantisation = cache_quantisation(CACHE_SCALE_COMPUTED);
        a[i].kv.k_scale = aiter_tensor_3d(ks, AITER_F32, blocks, page, 1);
        a[i].kv.v_scale = aiter_tensor_3d(vs, AITER_F32, blocks, page, 1);
    }
    CHECK(aiter_reshape_and_cache(&a[0], NULL) == AITER_OK, "%s", aiter_last_error());
    device_note(aiter_reshape_and_cache(&a[1], device.ctx), "reshape_and_cache");
    device_wait("slots past 2^31");
    for (side = 0; side < 2; side++) {
        unsigned char got[SLOT_DIM * 4];
        float scale;
        device_read(got, at[2 + side], row);
        CHECK(memcmp(got, rows, row) == 0, "slot 0 changed");
        for (i = 0; i < SLOT_TOKENS; i++) {
            if (slots[i] < 0 || slots[i] >= all) continue;
            device_read(got, (char *)at[2 + side] + (size_t)slots[i] * row, row);
            CHECK(memcmp(got, want[side] + (size_t)i * row, row) == 0, "slot %" PRId64, slots[i]);
            if (!quantised) continue;
            device_read(&scale, (char *)at[4 + side] + slots[i] * 4, 4);
            CHECK(bits_of_float(scale) == bits_of_float(scales[side][i]), "scale of %" PRId64,
                  slots[i]);
        }
    }
    for (i = 0; i < 6; i++) driver_ok(device.driver->memory_free(at[i]), "freeing");
    free(rows);
    test_global.cases++;
}

/* ---- merge_attn_states ---- */

static void far_merge(aiter_dtype type, int heads_far, int64_t past)
{
    enum { TOKENS = 7, HEADS = 3, DIM = 72, N = TOKENS * HEADS * DIM };
    aiter_merge_attn_states_args a, d;
    far_tensor far[6];
    int i;
    aiter_tensor *const here[6] = {&a.out_a, &a.out_b, &a.out, &a.lse_a, &a.lse_b, &a.lse};
    aiter_tensor *const there[6] = {&d.out_a, &d.out_b, &d.out, &d.lse_a, &d.lse_b, &d.lse};
    memset(&a, 0, sizeof a);
    memset(&d, 0, sizeof d);
    for (i = 0; i < 6; i++) {
        void *const x = random_elements(i < 3 ? type : AITER_F32, N, 90 + (uint64_t)i, 4);
        *here[i] = i < 3 ? aiter_tensor_3d(x, type, TOKENS, HEADS, DIM)
                         : aiter_tensor_2d(x, AITER_F32, HEADS, TOKENS);
        far[i] = far_new(here[i], i < 3 ? heads_far : !heads_far, past, i);
        *there[i] = far[i].device;
    }
    CHECK(aiter_merge_attn_states(&a, NULL) == AITER_OK, "%s", aiter_last_error());
    device_note(aiter_merge_attn_states(&d, device.ctx), "merge_attn_states");
    device_wait("merge_attn_states");
    for (i = 2; i < 6; i += 3) {
        const aiter_dtype of = i == 2 ? type : AITER_F32;
        const int64_t n = tensor_elements(here[i]);
        void *expected = malloc(bytes_of(of, n));
        memcpy(expected, here[i]->data, bytes_of(of, n));
        far_copy(&far[i], 1);
        merge_compare(of, here[i]->data, expected, n, i == 2 ? "far out" : "far lse");
        free(expected);
    }
    for (i = 0; i < 6; i++) {
        free(here[i]->data);
        far_free(&far[i]);
    }
    test_global.cases++;
}

int main(int argc, char **argv)
{
    const int hip = argc > 1 && strcmp(argv[1], "hip") == 0;
    int t, i;
    if (argc < 3 || (!hip && strcmp(argv[1], "cuda") != 0))
        return fprintf(stderr, "usage: run_large hip|cuda FOLDER\n"), 2;
    test_begin("run_large", 1e12);
    if (device_begin(hip ? AITER_DEVICE_HIP : AITER_DEVICE_CUDA, argv[2])) {
        for (i = 0; i < PASTS + 1; i++) {
            const aiter_dtype type = i < PASTS ? AITER_BF16 : AITER_F16;
            const int64_t past = pasts[i % PASTS + (i == PASTS)];
            dense(type, past);
            packed(type, past);
            paged(type, past);
            decode(type, type, past);
            decode(type, AITER_I8, past);
        }
        for (i = 0; i < PASTS; i++) {
            for (t = 0; t < 3; t++) {
                far_cache(AITER_BF16, AITER_BF16, CACHE_CONVERTS, t, pasts[i]);
                far_cache(AITER_F32, AITER_I8, CACHE_SCALE_COMPUTED, t, pasts[i]);
            }
            far_cache(AITER_F16, AITER_I8, CACHE_SCALE_GIVEN, 0, pasts[i]);
            far_merge(AITER_BF16, 0, pasts[i]);
            far_merge(AITER_F16, 1, pasts[i]);
        }
        far_slots(AITER_F16);
        far_slots(AITER_I8);
        aiter_context_destroy(device.ctx);
    }
    run_statistics_say();
    CHECK(device.without_kernel == 0, "%" PRId64 " cells have no kernel", device.without_kernel);
    return test_end();
}
