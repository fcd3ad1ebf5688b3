/* run_attention.c -- every op, type, head size, mask, source and option of the kernels on a device,
 * against the fp64 oracle:
 *
 *     run_attention hip|cuda FOLDER [CELLS]
 *
 * FOLDER has the code objects; CELLS without a kernel are allowed (0). The driver is the system's,
 * or the emulator: AITER_ATTN_HIP_LIBRARY names it. AITER_TEST_BUDGET bounds the flops,
 * AITER_TEST_ONLY names the groups of cases to run, all without it. */
#include "device_codes.h"
#include "device_values.h"
#include "device_blocks.h"
#include "device_ops.h"
#include "device_layouts.h"

static attn_case flash(aiter_dtype type, int sq, int sk, int d, uint64_t seed)
{
    attn_case c;
    memset(&c, 0, sizeof c);
    c.b = 2;
    c.hq = 4;
    c.hk = 2;
    c.sq = sq;
    c.sk = sk;
    c.dq = d;
    c.q_type = type;
    c.seed = seed;
    c.core = 1;
    return c;
}

static void head_sizes(aiter_dtype type)
{
    static const int sizes[][2] = {{1, 1},   {40, 40},   {64, 64},   {80, 80},
                                   {96, 96}, {128, 128}, {192, 128}, {256, 256}};
    size_t i;
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        attn_case c = flash(type, 70, 150, sizes[i][0], 100 + i);
        c.dv = sizes[i][1];
        device_case(&c);
        c.mask = AITER_MASK_CAUSAL;
        c.sq = 150;
        device_case(&c);
    }
}

static void masks(aiter_dtype type)
{
    static const struct {
        aiter_mask mask;
        int left, right, sink, sq, sk;
    } rows[] = {{AITER_MASK_NONE, 0, 0, 0, 1, 1},
                {AITER_MASK_NONE, 0, 0, 0, 130, 65},
                {AITER_MASK_CAUSAL, 0, 0, 0, 129, 129},
                {AITER_MASK_CAUSAL, 0, 0, 0, 200, 40},
                {AITER_MASK_CAUSAL, 0, 0, 0, 5, 260},
                {AITER_MASK_CAUSAL_TOP_LEFT, 0, 0, 0, 140, 70},
                {AITER_MASK_CAUSAL_TOP_LEFT, 0, 0, 0, 66, 150},
                {AITER_MASK_WINDOW, 30, 0, 0, 150, 200},
                {AITER_MASK_WINDOW, -1, 5, 0, 90, 64},
                {AITER_MASK_WINDOW, 0, 0, 0, 66, 66},
                {AITER_MASK_WINDOW, 20, 0, 70, 150, 300},
                {AITER_MASK_WINDOW, 7, 3, 4, 130, 257},
                {AITER_MASK_WINDOW, 10, -1, 0, 70, 130}};
    size_t i;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        attn_case c = flash(type, rows[i].sq, rows[i].sk, 128, 200 + i);
        c.mask = rows[i].mask;
        c.left = rows[i].left;
        c.right = rows[i].right;
        c.sink_tokens = rows[i].sink;
        device_case(&c);
    }
}

static void options(aiter_dtype type)
{
    int n;
    for (n = 0; n < 32; n++) {
        const int i = n % 16; /* twice, of other sizes */
        attn_case c = flash(type, n < 16 ? 70 : 40, n < 16 ? 130 : 190, 128, 300 + (uint64_t)n);
        if (i == 0) c.softcap = 5;
        if (i == 1) c.scale = 0.3;
        if (i == 2) c.alibi = 1;
        if (i == 3) c.alibi = 2, c.mask = AITER_MASK_CAUSAL;
        if (i == 4) c.sinks = 1;
        if (i == 5) c.sinks = 1, c.mask = AITER_MASK_WINDOW, c.left = 3, c.sq = 200;
        if (i >= 6 && i < 12) c.bias = (attn_bias)(1 + i - 6);
        if (i == 7) c.bias_type = AITER_BF16;
        if (i == 8) c.bias_type = AITER_F16, c.bias_holes = 3;
        if (i == 12) c.softcap = 3, c.alibi = 1, c.sinks = 1, c.bias = BIAS_SQ_SK;
        if (i == 13) c.values = VALUES_EQUAL;
        if (i == 14) c.values = VALUES_ONE_HUGE;
        if (i == 15) c.no_lse = 1;
        device_case(&c);
    }
}

/* What plain kernels are for, and the same call as a window that hides nothing more, which is a
 * general kernel's. */
static void plain(aiter_dtype type)
{
    static const int sizes[][2] = {{128, 128}, {64, 64}, {192, 128}};
    static const int lengths[][2] = {{300, 300}, {70, 400}, {520, 130}, {257, 513}, {1, 330}};
    static const attn_layout layouts[] = {LAYOUT_BSHD, LAYOUT_BHSD, LAYOUT_KV, LAYOUT_SBHD};
    int size, n;
    for (size = 0; size < 3; size++)
        for (n = 0; n < 10; n++) {
            attn_case c = flash(type, lengths[n / 2][0], lengths[n / 2][1], sizes[size][0],
                                900 + (uint64_t)(size * 10 + n));
            const int causal = n % 2;
            c.dv = sizes[size][1];
            c.b = 1 + (n == 4);
            c.hq = n == 3 ? 3 : 2;
            c.hk = n == 6 ? 2 : 1;
            c.layout = n == 1 && c.dv == c.dq ? LAYOUT_QKV : layouts[(n + size) % 4];
            c.form = n == 5 ? FORM_PADDED : n == 7 ? FORM_VARLEN : FORM_DENSE;
            c.ragged = c.form != FORM_DENSE;
            c.splits = n == 2 ? 2 : 1;
            c.no_lse = n % 3 == 0;
            c.mask = causal ? AITER_MASK_CAUSAL : AITER_MASK_NONE;
            device_case(&c);
            c.mask = AITER_MASK_WINDOW;
            c.left = -1;
            c.right = causal ? 0 : -1;
            device_case(&c);
        }
}

/* Every plain kernel of an AMD chip has run: none is left out by the choice of kernels. */
static void plain_were_used(void)
{
    const aiteri_device *d = device.ctx->gpu.device;
    int i;
    for (i = 0; device.kind == AITER_DEVICE_HIP && i < AITERI_GPU_ROW_COUNT; i++) {
        const aiteri_gpu_row *r = &aiteri_gpu_rows_table[i];
        if (r->op == AITERI_GPU_OP_flash_fwd && r->kernel_class == AITER_KERNEL_CLASS_PLAIN &&
            (r->archs & d->arch_bits))
            CHECK(d->function[i] != 0, "%s was never called", r->symbol);
    }
}

/* Dense, padded, packed, paged, mixed; layouts; groups; splits. */
static void sources(aiter_dtype type)
{
    static const attn_layout layouts[] = {LAYOUT_BSHD, LAYOUT_BHSD, LAYOUT_SBHD,
                                          LAYOUT_GAPS, LAYOUT_KV,   LAYOUT_QKV};
    static const int pages[] = {16, 1, 7, 64, 256};
    int form, i;
    for (form = FORM_DENSE; form < FORM_COUNT; form++)
        for (i = 0; i < 6; i++) {
            attn_case c = flash(type, 40, 40 + 60 * (i % 3), 128, 400 + (uint64_t)(form * 6 + i));
            c.form = (attn_form)form;
            c.layout = layouts[i];
            c.b = 3;
            c.ragged = 1;
            c.page = pages[i % 5];
            c.mask = i % 2 ? AITER_MASK_CAUSAL : AITER_MASK_NONE;
            if (i == 2) c.hq = 6, c.hk = 1;
            if (i == 3) c.hq = c.hk = 3;
            if (i == 4) c.bias = BIAS_SQ_SK;
            device_case(&c);
            c.gaps = case_is_packed(&c) ? 1 + 30 * i : 0;
            if (c.gaps) device_case(&c);
        }
    for (i = 0; i < 6; i++) {
        attn_case c = flash(type, 1 + 20 * i, 400, 128, 500 + (uint64_t)i);
        c.splits = 2 + i;
        c.form = (attn_form)(i % FORM_COUNT);
        c.ragged = i > 2;
        c.sinks = i % 2;
        c.mask = i == 3 ? AITER_MASK_CAUSAL : AITER_MASK_NONE;
        device_case(&c);
    }
}

/* Whole tiles and what is left of them, for the plain class: more keys than its buffers hold, rows
 * past a tile, masks that end anywhere in one. */
static void whole_rows(aiter_dtype type)
{
    static const struct {
        aiter_mask mask;
        int sq, sk, splits, ragged;
        attn_values values;
        double scale;
    } rows[] = {{AITER_MASK_NONE, 290, 704, 0, 0, VALUES_UNIT, 0},
                {AITER_MASK_NONE, 33, 833, 0, 0, VALUES_ONE_HUGE, 4},
                {AITER_MASK_NONE, 40, 520, 0, 1, VALUES_EQUAL, 0},
                {AITER_MASK_NONE, 60, 900, 2, 0, VALUES_UNIT, 0},
                {AITER_MASK_CAUSAL, 530, 530, 0, 0, VALUES_UNIT, 3},
                {AITER_MASK_CAUSAL, 300, 777, 0, 1, VALUES_ONE_HUGE, 1},
                {AITER_MASK_CAUSAL, 300, 100, 0, 0, VALUES_UNIT, 0},
                {AITER_MASK_CAUSAL, 270, 640, 3, 0, VALUES_UNIT, 0}};
    size_t i;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        attn_case c = flash(type, rows[i].sq, rows[i].sk, 128, 900 + i);
        c.b = 1 + rows[i].ragged;
        c.hq = 2;
        c.hk = 1;
        c.mask = rows[i].mask;
        c.splits = rows[i].splits;
        c.ragged = rows[i].ragged;
        c.values = rows[i].values;
        c.scale = rows[i].scale;
        if (c.ragged) c.form = FORM_PADDED;
        device_case(&c);
    }
}

static attn_case decode(aiter_dtype type, aiter_dtype kv, int hq, int hk, int tokens, uint64_t seed)
{
    attn_case c = flash(type, tokens, 300, 128, seed);
    c.op = OP_DECODE;
    c.form = FORM_PAGED;
    c.hq = hq;
    c.hk = hk;
    c.kv_type = kv;
    c.ragged = 1;
    c.b = 3;
    return c;
}

/* The i-th kind of scales; fp8 does without, too. */
static aiter_scale_kind scales_of(aiter_dtype kv, int i)
{
    return (aiter_scale_kind)(type_is_fp8(kv) ? i % 4 : 1 + i % 3);
}

static void decodes(aiter_dtype type, aiter_dtype kv)
{
    static const int heads[][3] = {{8, 2, 1},  {4, 4, 1}, {16, 1, 1}, {8, 2, 4},
                                   {17, 1, 1}, {6, 2, 3}, {8, 2, 6}};
    static const int pages[] = {16, 32, 1, 7, 256, 64, 128};
    int i;
    for (i = 0; i < 7; i++) {
        attn_case c = decode(type, kv, heads[i][0], heads[i][1], heads[i][2], 600 + (uint64_t)i);
        c.page = pages[i];
        c.scale_kind = scales_of(kv, i);
        c.splits = i % 3 == 2 ? 0 : i % 3 + 1;
        if (i == 3) c.mask = AITER_MASK_WINDOW, c.left = 40, c.right = 0, c.sink_tokens = 5;
        if (i == 4) c.softcap = 4, c.alibi = 1;
        if (i == 5) c.sinks = 1, c.mask = AITER_MASK_NONE;
        device_case(&c);
    }
    for (i = 0; i < 4; i++) {
        static const int sizes[] = {64, 80, 256, 1};
        attn_case c = decode(type, kv, 8, 2, 1, 700 + (uint64_t)i);
        c.dq = sizes[i];
        c.splits = i;
        c.scale_kind = scales_of(kv, i);
        device_case(&c);
    }
}

/* Several options at once, over few keys and many, in pieces; scores of some grow by dozens. */
static void decode_options(aiter_dtype kv)
{
    static const int pages[] = {16, 64, 7, 32, 1};
    int i;
    for (i = 0; i < 30; i++) {
        const int heads = kv != AITER_BF16 && i % 6 == 5 ? 36 : i % 3 ? 4 : 6;
        attn_case c = decode(AITER_BF16, kv, heads, 2, 1 + i % 4, 1000 + (uint64_t)i);
        c.b = 2;
        c.sk = 33 + i * 17;
        c.page = pages[i % 5];
        c.splits = 1 + i % 4;
        c.scale_kind = scales_of(kv, i);
        c.scale = i % 3 == 1 ? 1 : 0;
        c.alibi = i / 2 % 3;
        c.sinks = i % 2;
        c.softcap = i % 7 == 6 ? 5 : 0;
        c.mask = (aiter_mask)(i % 5 == 3 ? AITER_MASK_NONE : AITER_MASK_CAUSAL);
        if (i % 5 < 2) {
            c.mask = AITER_MASK_WINDOW;
            c.left = 20 + i;
            c.right = i % 2;
            c.sink_tokens = i % 5 * 3;
        }
        device_case(&c);
    }
}

/* Types of which eight elements are fewer bytes than a lane can load: all their codes, and as keys
 * and values of other cases. */
static void narrow_types(aiter_dtype type, const aiter_dtype *kv, int types)
{
    int i;
    for (i = 0; i < types; i++) {
        attn_case c = decode(type, kv[i], 8, 2, 3, 1100 + (uint64_t)i);
        device_codes(type, kv[i]);
        device_values_decode(type, kv[i]);
        if (types == 1 || (i == 0) == (type == AITER_BF16)) decodes(type, kv[i]);
        c.v_type = kv[(i + 1) % types]; /* two types, one kernel */
        c.scale_kind = scales_of(kv[i], i);
        c.mask = AITER_MASK_CAUSAL;
        c.sk = 160;
        device_case(&c);
    }
    if (type == AITER_BF16) decode_options(kv[0]);
}

/* Decoding and flash by lists of pages, of one token and of many. */
static void lists(aiter_dtype type)
{
    static const int pages[] = {16, 1, 7, 64};
    int i;
    for (i = 0; i < 4; i++) {
        attn_case c = decode(type, i % 2 ? AITER_I8 : type, 8, 2, 1 + i, 1100 + 4 * (uint64_t)i);
        c.page = pages[i];
        c.splits = 1 + i;
        c.scale_kind = (aiter_scale_kind)(1 + i % 3);
        if (i == 3) c.mask = AITER_MASK_WINDOW, c.left = 40, c.right = 0, c.sink_tokens = 5;
        device_lists(c);
        c = flash(type, 40, 150, 128, 1120 + 4 * (uint64_t)i);
        c.form = i % 2 ? FORM_PAGED : FORM_MIXED;
        c.ragged = 1;
        c.page = pages[i];
        c.splits = i == 2 ? 2 : 1;
        c.mask = i % 2 ? AITER_MASK_CAUSAL : AITER_MASK_NONE;
        device_lists(c);
    }
    for (i = 0; i < 12; i++) {
        attn_case c = decode(type, type, 8, 2, i % 2 ? 1 : 30, 1150 + (uint64_t)i);
        c.op = OP_FLASH;
        c.page = i % 4 == 2 ? 1 : 16;
        device_wild_list(c, i / 2);
    }
}

/* Pages of other orders: whole pieces of columns, and what is none; sizes that are no powers of
 * two, pages longer than a sequence, heads of every instance, many tokens, NaN beside what is seen.
 */
static void layouts(aiter_dtype type, aiter_dtype kv)
{
    static const int rows[][5] = {
        /* page, dq, dv, tokens, splits */
        {16, 128, 128, 1, 1},  {64, 128, 128, 3, 3}, {24, 128, 128, 1, 2}, {40, 80, 80, 2, 1},
        {7, 128, 128, 1, 1},   {1, 64, 64, 1, 1},    {48, 256, 256, 1, 1}, {1024, 128, 128, 1, 2},
        {16, 192, 128, 4, 1},  {1000, 40, 40, 1, 1}, {8, 36, 20, 1, 1},    {56, 256, 256, 20, 1},
        {32, 128, 128, 40, 2}, {20, 128, 64, 5, 1}};
    int i;
    for (i = 0; i < 14; i++) {
        attn_case c = decode(type, kv, 8, 2, rows[i][3], 1200 + 4 * (uint64_t)i);
        c.page = rows[i][0];
        c.dq = rows[i][1];
        c.dv = rows[i][2];
        c.splits = rows[i][4];
        c.sk = 80 + 30 * i;
        c.b = 2;
        c.layout = i % 3 == 1 || i == 5 ? LAYOUT_GAPS : LAYOUT_BSHD;
        c.scale_kind = (aiter_scale_kind)(1 + i % 3);
        c.lists = i % 2;
        if (i % 5 == 2) c.mask = AITER_MASK_WINDOW, c.left = 40, c.right = 0, c.sink_tokens = 5;
        if (i % 4 == 3) c.softcap = 4, c.alibi = 1;
        if (i % 3 == 2) c.sinks = 1;
        if (rows[i][3] == 40) c.op = OP_FLASH, c.form = FORM_MIXED;
        device_layouts(c, AITER_KV_X_PACKED, AITER_KV_SHUFFLED);
    }
    for (i = 0; i < 4 && kv == type; i++) {
        attn_case c = device_values_case(i % 2 ? 4 : 1, 160 + 97 * i, type, 1270 + (uint64_t)i);
        c.op = OP_DECODE;
        c.form = FORM_PAGED;
        c.hq = 8;
        c.hk = 2;
        c.page = i == 3 ? 6 : 16;
        c.mask = AITER_MASK_CAUSAL;
        c.tiles = i % 2 ? AITER_KV_X_PACKED : AITER_KV_SHUFFLED;
        device_extreme(&c, change_not_finite, i, 0);
    }
}

/* A decode step under capture; then lengths and pages change on the device and it is replayed. */
static void replay(aiter_dtype type)
{
    attn_case c = decode(type, type, 8, 2, 1, 801);
    attn_problem p;
    attn_call call;
    device_copy copy;
    problem_image image;
    int32_t lengths[3] = {0, 0, 0};
    int i;
    c.splits = 4;
    problem_new(&p, &c);
    problem_expect(&p, 1e9);
    problem_store(&p, SLACK_NAN);
    image = image_take(&p);
    device_copy_in(&p, &copy);
    attn_problem q = device_problem(&p, &copy);
    memset(&call, 0, sizeof call);
    call.ctx = device.ctx;
    /* Nothing has a key while it is captured and run for the first time. */
    driver_ok(device.call.write(q.seqused_k.data, lengths, sizeof lengths), "lengths");
    const aiter_status status = problem_call(&q, &call);
    device_wait("capture and replay");
    device_note(status, "capture and replay");
    if (status == AITER_OK && device_capture()) {
        CHECK(problem_call(&q, &call) == AITER_OK, "captured: %s", aiter_last_error());
        void *const executable = device_captured();
        driver_ok(device.call.graph_launch(executable, device.stream), "replay");
        device_wait("capture and replay");
        for (i = 0; i < p.c.b; i++) lengths[i] = p.len_k[i];
        driver_ok(device.call.write(q.seqused_k.data, lengths, sizeof lengths), "lengths");
        driver_ok(device.call.graph_launch(executable, device.stream), "replay");
    }
    device_wait("capture and replay");
    device_copy_out(&p, &copy);
    image_check(&p, &image, status == AITER_OK);
    if (status == AITER_OK) problem_compare(&p, "replayed");
    problem_free(&p);
}

/* Lengths beyond the table and pages that do not exist: keys that are not there. */
static void wild_lengths(aiter_dtype type, int decodes, int n)
{
    static const int lens[4][3] = {{64, 16, 0}, {16, 64, 32}, {0, 48, 64}, {32, 0, 16}};
    static const int32_t lengths[3] = {INT32_MAX, 90, 1000};
    const int *const len_k = lens[n];
    attn_case c = decode(type, type, 8, 2, decodes ? 1 : 30, 850 + (uint64_t)n);
    attn_problem p;
    attn_call call;
    device_copy copy;
    problem_image image;
    c.op = OP_FLASH;
    c.mask = AITER_MASK_NONE;
    c.sk = 64;
    c.page = 16 >> n; /* whole pages are there, or nothing of them */
    c.len_k = len_k;
    c.splits = 1;
    problem_new(&p, &c);
    problem_expect(&p, 1e9);
    problem_store(&p, SLACK_NAN); /* entries that no key needs hold ids out of range */
    image = image_take(&p);
    device_copy_in(&p, &copy);
    attn_problem q = device_problem(&p, &copy);
    memset(&call, 0, sizeof call);
    call.ctx = device.ctx;
    driver_ok(device.call.write(q.seqused_k.data, lengths, sizeof lengths), "lengths");
    const aiter_status status = problem_call(&q, &call);
    device_note(status, "wild lengths");
    device_wait("wild lengths");
    driver_ok(device.call.write(q.seqused_k.data, len_k, 3 * sizeof *len_k), "lengths");
    device_copy_out(&p, &copy);
    image_check(&p, &image, status == AITER_OK);
    if (status == AITER_OK) problem_compare(&p, "wild lengths");
    problem_free(&p);
}

/* After the first call nothing is allocated and nobody waits. */
static void warm_calls(void)
{
    attn_case c = decode(AITER_BF16, AITER_BF16, 8, 2, 1, 901);
    attn_problem p;
    attn_call call;
    device_copy copy;
    uint64_t before[2];
    int i;
    if (!device.call.count) return;
    c.splits = 4;
    problem_new(&p, &c);
    problem_store(&p, SLACK_NAN);
    device_copy_in(&p, &copy);
    attn_problem q = device_problem(&p, &copy);
    memset(&call, 0, sizeof call);
    call.ctx = device.ctx;
    problem_call(&q, &call);
    device_wait("the first call");
    before[0] = device.call.count("allocations");
    before[1] = device.call.count("synchronisations");
    for (i = 0; i < 3; i++) problem_call(&q, &call);
    CHECK(device.call.count("allocations") == before[0], "warm calls allocate");
    CHECK(device.call.count("synchronisations") == before[1], "warm calls wait");
    device_wait("warm calls");
    device_copy_out(&p, &copy);
    problem_free(&p);
}

static int wanted(const char *group)
{
    const char *only = getenv("AITER_TEST_ONLY");
    return !only || strstr(only, group);
}

/* One type is enough for who looks at one kernel: `bf16 alone`, `f16 alone`. */
static int wanted_type(aiter_dtype type)
{
    const char *only = getenv("AITER_TEST_ONLY");
    const char *alone = only ? strstr(only, "alone") : NULL;
    return !alone || (strncmp(only, "bf16", 4) == 0) == (type == AITER_BF16);
}

static void cases_of_type(aiter_dtype type)
{
    static const aiter_dtype int4 = AITER_I4;
    static const aiter_dtype fp8[3] = {AITER_F8_E4M3FN, AITER_F8_E4M3FNUZ, AITER_F8_E5M2};
    int i;
    device_rounds(type);
    if (wanted("head_sizes")) head_sizes(type);
    if (wanted("masks")) masks(type);
    if (wanted("whole_rows")) whole_rows(type);
    if (wanted("plain")) plain(type);
    if (wanted("options")) options(type);
    if (wanted("sources")) sources(type);
    if (wanted("decodes")) decodes(type, type);
    if (wanted("int8")) decodes(type, AITER_I8);
    if (wanted("decodes") && type == AITER_BF16) decode_options(AITER_BF16);
    if (wanted("int8") && type == AITER_BF16) decode_options(AITER_I8);
    if (wanted("fp8")) narrow_types(type, fp8, 3);
    if (wanted("int4")) narrow_types(type, &int4, 1);
    if (wanted("lists")) lists(type);
    if (wanted("layouts")) layouts(type, type);
    if (wanted("layouts")) layouts(type, AITER_I8);
    for (i = 0; i < 3 && wanted("layouts"); i++)
        if ((i == 0) == (type == AITER_BF16)) layouts(type, fp8[i]);
    if (wanted("replay")) replay(type);
    for (i = 0; i < 4 && wanted("wild"); i++) {
        wild_lengths(type, 0, i);
        wild_lengths(type, 1, i);
    }
    if (wanted("extremes")) device_extremes(type);
    if (wanted("values")) device_values(type);
}

int main(int argc, char **argv)
{
    static const aiter_dtype types[2] = {AITER_BF16, AITER_F16};
    const int hip = argc > 1 && strcmp(argv[1], "hip") == 0;
    const int64_t allowed = argc > 3 ? strtoll(argv[3], NULL, 10) : 0;
    int i;
    if (argc < 3 || (!hip && strcmp(argv[1], "cuda") != 0))
        return fprintf(stderr, "usage: run_attention hip|cuda FOLDER [CELLS]\n"), 2;
    test_begin("run_attention", 1e12);
    if (device_begin(hip ? AITER_DEVICE_HIP : AITER_DEVICE_CUDA, argv[2])) {
        for (i = 0; i < 2; i++)
            if (wanted_type(types[i])) cases_of_type(types[i]);
        if (!getenv("AITER_TEST_ONLY")) plain_were_used();
        if (wanted("warm")) warm_calls();
        if (wanted("cache")) device_cache_cases();
        if (wanted("blocks")) device_block_cases();
        if (wanted("merge")) device_merge_cases();
        aiter_context_destroy(device.ctx);
    }
    run_statistics_say();
    test_say("%" PRId64 " cells have no kernel\n", device.without_kernel);
    CHECK(device.without_kernel <= allowed, "more cells without a kernel than %" PRId64, allowed);
    return test_end();
}
