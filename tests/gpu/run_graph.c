/* run_graph.c -- a step of an inference server under capture: new rows into the pages, decoding cut
 * into splits, a mixed batch of decoding and prefill. Then lengths, block tables, slots and what
 * the pages hold change on the device, and the graph is replayed, against the fp64 oracle:
 *
 *     run_graph hip|cuda FOLDER
 *
 * And what a capture refuses, and what a warm step costs. */
#include "device_run.h"
#include "../cache_mode.h"

enum { SEQUENCES = 4, VARIANTS = 5, PAGE = 16 };

/* What the device holds at a replay. WILD: lengths past the bound, slots and block ids out of
 * range. HOLES: the second page of a sequence is unmapped, the others move up. */
typedef enum variant_kind { ORDERLY, WILD, HOLES } variant_kind;

typedef struct variant {
    variant_kind kind;
    int decode_k[SEQUENCES], mixed_q[SEQUENCES], mixed_k[SEQUENCES];
} variant;

/* The first one has the capacities: 64 query rows, 512 and 192 keys. */
static const variant variants[VARIANTS] = {
    {ORDERLY, {512, 512, 512, 512}, {40, 1, 22, 1}, {192, 192, 192, 192}},
    {ORDERLY, {1, 0, 0, 2}, {1, 0, 1, 0}, {1, 0, 5, 0}},
    {WILD, {512, 15, 512, 300}, {1, 30, 1, 0}, {192, 64, 192, 0}},
    {HOLES, {480, 129, 40, 256}, {1, 20, 5, 1}, {100, 90, 176, 17}},
    {ORDERLY, {200, 33, 0, 97}, {1, 40, 1, 22}, {192, 40, 1, 100}}};

/* One attention call and the reshape_and_cache before it: the last token of every sequence arrives
 * beside the cache. */
typedef struct part {
    attn_case c;
    attn_problem p, there; /* of the variant; the device's, with the capacities */
    attn_call call;
    device_copy copy;
    size_t capacity[BUFFERS];
    problem_image image;
    aiter_dtype row_type;
    void *rows[2], *slots;
    aiter_reshape_and_cache_args cache;
} part;

static attn_case part_case(aiter_dtype type, aiter_dtype kv, int mixed)
{
    attn_case c;
    memset(&c, 0, sizeof c);
    c.op = mixed ? OP_FLASH : OP_DECODE;
    c.form = mixed ? FORM_MIXED : FORM_PAGED;
    c.mask = AITER_MASK_CAUSAL;
    c.b = SEQUENCES;
    c.hq = 4;
    c.hk = 2;
    c.sq = mixed ? 40 : kv == AITER_I8 ? 2 : 1;
    c.sk = mixed ? 192 : 512;
    c.dq = 128;
    c.dv = 64;
    c.q_type = type;
    c.kv_type = kv;
    c.scale_kind = AITER_SCALE_PER_HEAD;
    c.page = PAGE;
    c.splits = mixed ? 2 : 4;
    c.no_lse = mixed; /* the rows of its heads would move when there are fewer tokens */
    return c;
}

/* ---- the values of a variant, in host memory ---- */

static void store_int(const aiter_tensor *t, int64_t i, int32_t x)
{
    memcpy((char *)t->data + i * 4, &x, 4);
}

/* Lengths past the bound where the bound is meant. Negative ones where nothing is. */
static void wild_lengths(part *x)
{
    int b;
    for (b = 0; b < SEQUENCES; b++) {
        if (x->p.len_k[b] == x->p.c.sk)
            store_int(&x->p.seqused_k, b, b ? x->p.c.sk + 1 : INT32_MAX);
        if (x->p.len_k[b] == 0) store_int(&x->p.seqused_k, b, INT32_MIN);
    }
}

static void make_holes(part *x)
{
    static const int32_t unmapped[SEQUENCES] = {-1, INT32_MAX, INT32_MIN, 0};
    const int most = x->p.max_blocks;
    int b;
    for (b = 0; b < SEQUENCES; b++) {
        unsigned char *row = (unsigned char *)x->p.table.data + (size_t)b * (size_t)most * 4;
        if (x->p.len_k[b] <= PAGE) continue;
        memmove(row + 8, row + 4, (size_t)(most - 2) * 4);
        store_int(&x->p.table, (int64_t)b * most + 1, b < 3 ? unmapped[b] : x->p.num_blocks);
        store_int(&x->p.seqused_k, b, x->p.len_k[b] + PAGE);
    }
}

/* Where a token of the cache is, as a slot. */
static int64_t slot_of(const attn_problem *p, int b, int j)
{
    return (int64_t)p->blocks[(int64_t)b * p->max_blocks + j / PAGE] * PAGE + j % PAGE;
}

/* Moves row j of sequence b out of a cache, which holds NaN there until the kernel has run. */
static void take_row(part *x, int value, int b, int j, unsigned char *to)
{
    const attn_problem *p = &x->p;
    const attn_place *cache = value ? &p->pv : &p->pk;
    const double *from = value ? p->v : p->k;
    const int d = value ? p->c.dv : p->c.dq;
    int h, e;
    for (h = 0; h < p->c.hk; h++)
        for (e = 0; e < d; e++) {
            const int64_t head = p->start_k[b] * p->c.hk + (int64_t)h * p->len_k[b];
            const int64_t size = aiter_dtype_bits(cache->dtype) / 8;
            ref_store(x->row_type, to, ((int64_t)b * p->c.hk + h) * d + e,
                      from[(head + j) * d + e]);
            memset(cache->buffer->data + problem_k_at(p, cache, b, h, j, e) * size, 0xFF,
                   (size_t)size);
        }
}

/* New rows and their slots; those that a wild variant gives no slot stay in the cache. */
static void take_rows(part *x, variant_kind kind)
{
    static const int64_t wild[SEQUENCES] = {INT32_MAX, -1, INT32_MIN, 0};
    const int wide = x->cache.slot_mapping.dtype == AITER_I64;
    const size_t row = (size_t)(SEQUENCES * x->c.hk * x->c.dq) * 4;
    unsigned char *to = (unsigned char *)malloc(row);
    int64_t wide_slots[SEQUENCES];
    int32_t slots[SEQUENCES];
    int b, value;
    for (b = 0; b < SEQUENCES; b++) {
        const int64_t end = (int64_t)x->p.num_blocks * PAGE;
        wide_slots[b] = kind != WILD ? -1 : b == 3 ? end : wide ? wild[b] * 3 : wild[b];
        if (x->p.len_k[b] && (kind != WILD || b == 3))
            wide_slots[b] = slot_of(&x->p, b, x->p.len_k[b] - 1);
        slots[b] = (int32_t)wide_slots[b];
    }
    for (value = 0; value < 2; value++) {
        memset(to, 0xFF, row);
        for (b = 0; b < SEQUENCES; b++)
            if (x->p.len_k[b] && (kind != WILD || b == 3))
                take_row(x, value, b, x->p.len_k[b] - 1, to);
        driver_ok(device.call.write(x->rows[value], to, row), "rows");
    }
    driver_ok(device.call.write(x->slots, wide ? (void *)wide_slots : (void *)slots,
                                wide ? sizeof wide_slots : sizeof slots),
              "slots");
    free(to);
}

/* reshape_and_cache never stores -128. */
static void symmetric(attn_problem *p, double *values, int tensor, int d)
{
    int b, h;
    for (b = 0; b < p->c.b; b++)
        for (h = 0; h < p->c.hk; h++) {
            const int64_t n = (int64_t)p->len_k[b] * d;
            double *const head = values + p->start_k[b] * p->c.hk * d + h * n;
            int64_t i;
            for (i = 0; i < n; i++) {
                const double scale = problem_kv_scale(p, tensor, b, h, (int)(i / d), (int)(i % d));
                if (head[i] < -127.5 * scale) head[i] = -127 * scale;
            }
        }
}

static void part_values(part *x, int n, uint64_t seed)
{
    const variant *v = &variants[n];
    attn_case c = x->c;
    c.seed = seed + (uint64_t)n * 6;
    c.len_q = v->mixed_q;
    c.len_k = c.form == FORM_MIXED ? v->mixed_k : v->decode_k;
    problem_new(&x->p, &c);
    if (c.kv_type == AITER_I8) {
        symmetric(&x->p, x->p.k, 2, x->p.c.dq);
        symmetric(&x->p, x->p.v, 3, x->p.c.dv);
    }
    problem_expect(&x->p, 1e9);
    problem_store(&x->p, SLACK_NAN);
    if (v->kind == WILD) wild_lengths(x);
    if (v->kind == HOLES) make_holes(x);
}

/* ---- the device ---- */

static void part_open(part *x, const attn_case *c, uint64_t seed)
{
    aiter_reshape_and_cache_args *a = &x->cache;
    static const int64_t none[SEQUENCES] = {-1, -1, -1, -1};
    const int hk = c->hk;
    int i;
    memset(x, 0, sizeof *x);
    x->c = *c;
    x->row_type = c->kv_type == AITER_I8 ? AITER_F32 : c->kv_type;
    part_values(x, 0, seed);
    device_copy_in(&x->p, &x->copy);
    x->there = device_problem(&x->p, &x->copy);
    for (i = 0; i < x->p.buffers; i++) x->capacity[i] = x->p.buffer[i].bytes;
    for (i = 0; i < 2; i++) x->rows[i] = device_new(NULL, (size_t)(SEQUENCES * hk * c->dq) * 4);
    x->slots = device_new(none, sizeof none);
    a->k = aiter_tensor_3d(x->rows[0], x->row_type, SEQUENCES, hk, c->dq);
    a->v = aiter_tensor_3d(x->rows[1], x->row_type, SEQUENCES, hk, c->dv);
    a->kv.k = x->there.k_t;
    a->kv.v = x->there.v_t;
    a->slot_mapping =
        aiter_tensor_1d(x->slots, c->op == OP_DECODE ? AITER_I64 : AITER_I32, SEQUENCES);
    if (c->kv_type == AITER_I8) {
        a->quantisation = cache_quantisation(CACHE_SCALE_GIVEN);
        a->kv.k_scale = x->there.k_scale;
        a->kv.v_scale = x->there.v_scale;
    }
    x->call.ctx = device.ctx;
    x->call.max_seqlen_q = c->op == OP_DECODE ? 0 : c->sq;
    x->call.max_seqlen_k = c->sk;
    problem_free(&x->p);
}

static void part_close(part *x)
{
    int i;
    for (i = 0; i < x->there.buffers; i++)
        driver_ok(device.driver->memory_free(x->copy.at[i]), "freeing");
    for (i = 0; i < 2; i++) driver_ok(device.driver->memory_free(x->rows[i]), "freeing");
    driver_ok(device.driver->memory_free(x->slots), "freeing");
}

static void part_fill(part *x, int n, uint64_t seed)
{
    int i;
    part_values(x, n, seed);
    x->image = image_take(&x->p);
    take_rows(x, variants[n].kind);
    for (i = 0; i < x->p.buffers; i++) {
        CHECK(x->p.buffer[i].bytes <= x->capacity[i], "buffer %d is too small", i);
        if (x->p.buffer[i].bytes)
            driver_ok(device.call.write(x->copy.at[i], x->p.buffer[i].data, x->p.buffer[i].bytes),
                      "values");
    }
}

/* The outputs, and the cache with the new rows where they were taken from. */
static output_bits part_check(part *x, const char *what)
{
    int i;
    for (i = 0; i < x->p.buffers; i++)
        device_read(x->p.buffer[i].data, x->copy.at[i], x->p.buffer[i].bytes);
    image_check(&x->p, &x->image, 1);
    problem_compare(&x->p, what);
    const output_bits bits = problem_bits(&x->p);
    problem_free(&x->p);
    return bits;
}

static void part_run(const part *x)
{
    device_note(aiter_reshape_and_cache(&x->cache, device.ctx), "reshape_and_cache");
    device_note(problem_call(&x->there, &x->call), case_text(&x->c));
}

/* ---- capture and replay ---- */

static void step(const part x[2])
{
    part_run(&x[0]);
    part_run(&x[1]);
}

/* The step on the values of variant n; graph NULL: without one. */
static void run_variant(part x[2], int n, void *graph, output_bits bits[2])
{
    int i;
    for (i = 0; i < 2; i++) part_fill(&x[i], n, 1000);
    if (graph)
        driver_ok(device.call.graph_launch(graph, device.stream), "replay");
    else
        step(x);
    device_wait("a step");
    for (i = 0; i < 2; i++) bits[i] = part_check(&x[i], graph ? "replayed" : "eager");
    test_global.cases++;
}

static void replays(aiter_dtype type, aiter_dtype kv)
{
    output_bits eager[2], replayed[2];
    part x[2];
    int n, i;
    for (i = 0; i < 2; i++) {
        const attn_case c = part_case(type, kv, i);
        part_open(&x[i], &c, 1000);
    }
    step(x); /* loads what a capture cannot */
    device_wait("the first step");
    if (!device_capture()) return;
    device_rounds(type);
    step(x);
    void *const graph = device_captured();
    for (n = VARIANTS - 1; n >= 0; n--) {
        run_variant(x, n, graph, replayed);
        if (n == VARIANTS - 1) run_variant(x, n, NULL, eager);
        for (i = 0; i < 2; i++) {
            if (n == VARIANTS - 1) {
                CHECK(bits_equal(&eager[i], &replayed[i]), "a replay has other bits");
                free(eager[i].data);
            }
            free(replayed[i].data);
        }
    }
    for (i = 0; i < 2; i++) part_close(&x[i]);
}

/* ---- what a capture refuses ---- */

static void refused(aiter_status got, aiter_status want, const char *word)
{
    CHECK(got == want && strstr(aiter_last_error(), word), "%s, expected %s and \"%s\": %s",
          aiter_status_name(got), aiter_status_name(want), word, aiter_last_error());
}

/* Kernels that are not loaded and memory that is not there: the capture stays whole. */
static void refusals_leave_a_capture_whole(void)
{
    attn_case c = part_case(AITER_BF16, AITER_BF16, 0);
    output_bits bits;
    part x;
    c.splits = 1;
    device_rounds(AITER_BF16);
    part_open(&x, &c, 2000);
    if (!device_capture()) return;
    refused(problem_call(&x.there, &x.call), AITER_UNSUPPORTED, "must load a kernel");
    refused(aiter_reshape_and_cache(&x.cache, device.ctx), AITER_UNSUPPORTED, "must load a kernel");
    (void)device_captured();
    part_run(&x); /* loads both kernels and needs no memory */
    device_wait("without splits");
    if (!device_capture()) return;
    part_run(&x);
    x.there.c.splits = 4;
    refused(problem_call(&x.there, &x.call), AITER_UNSUPPORTED, "must allocate device memory");
    void *const graph = device_captured();
    part_fill(&x, VARIANTS - 1, 2000);
    driver_ok(device.call.graph_launch(graph, device.stream), "replay");
    device_wait("after refusals");
    bits = part_check(&x, "after refusals");
    free(bits.data);
    part_close(&x);
}

/* The caller's own waiting and allocating: a status, and work after the capture is as before. */
static void misuse_is_an_error(void)
{
    int i;
    for (i = 0; i < 3; i++) {
        void *at = NULL, *graph = NULL, *const there = device_new(NULL, 256);
        aiter_status status = AITER_OK;
        if (!device_capture()) return;
        if (i == 0) status = aiter_context_synchronize(device.ctx);
        if (i == 1) status = aiter_memory_alloc(device.ctx, AITER_MEMORY_DEVICE, 4096, &at);
        if (i == 2) status = aiter_memory_free(device.ctx, AITER_MEMORY_DEVICE, there, 256);
        CHECK(status != AITER_OK && !at, "%d: %s", i, aiter_last_error());
        test_say("in a capture: %s: %s\n", aiter_status_name(status), aiter_last_error());
        (void)device.call.capture_end(device.stream, &graph); /* it is spoilt, and says so */
        driver_ok(device.driver->memory_free(there), "freeing");
        device_wait("after a spoilt capture");
    }
}

/* ---- warm steps: launches, and the question which device is current ---- */

static void warm_steps(void)
{
    static const char *const counted[] = {"*", "launches", "hipGetDevice", "allocations",
                                          "synchronisations"};
    uint64_t before[5], grown[5];
    part x[2];
    int i;
    if (!device.call.count) return;
    for (i = 0; i < 2; i++) {
        const attn_case c = part_case(AITER_BF16, AITER_BF16, i);
        part_open(&x[i], &c, 3000);
    }
    step(x);
    device_wait("the first step");
    for (i = 0; i < 5; i++) before[i] = device.call.count(counted[i]);
    for (i = 0; i < 3; i++) step(x);
    for (i = 0; i < 5; i++) grown[i] = device.call.count(counted[i]) - before[i];
    CHECK(grown[1] == 3 * 6, "%d launches in 3 steps of 6 kernels", (int)grown[1]);
    CHECK(grown[2] <= 3 * 4, "%d questions in 3 steps of 4 calls", (int)grown[2]);
    CHECK(grown[0] == grown[1] + grown[2], "%d calls of the driver, %d of them launches",
          (int)grown[0], (int)grown[1]);
    CHECK(grown[3] == 0 && grown[4] == 0, "warm steps allocate %d times and wait %d times",
          (int)grown[3], (int)grown[4]);
    device_wait("warm steps");
    for (i = 0; i < 2; i++) part_close(&x[i]);
}

int main(int argc, char **argv)
{
    const int hip = argc > 1 && strcmp(argv[1], "hip") == 0;
    if (argc < 3 || (!hip && strcmp(argv[1], "cuda") != 0))
        return fprintf(stderr, "usage: run_graph hip|cuda FOLDER\n"), 2;
    test_begin("run_graph", 1e12);
    if (device_begin(hip ? AITER_DEVICE_HIP : AITER_DEVICE_CUDA, argv[2])) {
        refusals_leave_a_capture_whole();
        misuse_is_an_error();
        replays(AITER_BF16, AITER_BF16);
        replays(AITER_F16, AITER_F16);
        replays(AITER_BF16, AITER_I8);
        replays(AITER_F16, AITER_I8);
        warm_steps();
        aiter_context_destroy(device.ctx);
    }
    run_statistics_say();
    CHECK(device.without_kernel == 0, "%" PRId64 " cells have no kernel", device.without_kernel);
    return test_end();
}
