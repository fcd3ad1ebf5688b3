/* test_paged_attn_decode.c -- aiter_paged_attn_decode against the oracle: page, tile and split
 * edges, several new tokens, every cache type and scale, the contexts of AITER's own tests. */
#include "test.h"
#include "reference.c"
#include "case_run.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

static attn_case decode(int hq, int hk, int new_tokens, int context, int d, int page)
{
    attn_case c = {.op = OP_DECODE,
                   .form = FORM_PAGED,
                   .b = 2,
                   .hq = hq,
                   .hk = hk,
                   .sq = new_tokens,
                   .sk = context,
                   .dq = d,
                   .page = page,
                   .core = 1};
    c.seed = (uint64_t)(hq * 7919 + context * 101 + d * 13 + page * 3 + new_tokens);
    return c;
}

static void edges(void)
{
    static const int pages[] = {1, 16, 64, 5, 128, 512, 1024};
    static const int contexts[] = {1,  7,   15,  16,  17,  26,  57,  63,  64,   65,   95,  96,
                                   97, 127, 128, 129, 257, 511, 512, 513, 1023, 1024, 1025};
    static const int heads[][2] = {{1, 1}, {2, 1}, {3, 1},  {5, 1},  {7, 1},  {8, 1},
                                   {8, 2}, {4, 4}, {10, 1}, {16, 1}, {17, 1}, {32, 2}};
    attn_case c;
    int i, t;
    for (i = 0; i < COUNT(contexts); i++) {
        for (t = 0; t < 2; t++) {
            const int *h = heads[t ? i % 2 : 0];
            c = decode(h[0], h[1], t ? 1 + i % 4 : 1, contexts[i], 4, pages[i % 3]);
            c.layout = (attn_layout)(i % LAYOUT_QKV);
            case_run(&c);
        }
    }
    for (i = 0; i < COUNT(heads); i++) {
        for (t = 1; t <= 4; t++) {
            c = decode(heads[i][0], heads[i][1], t, 37, 8, 16);
            c.kv_type = (aiter_dtype)(AITER_F32 + i % 3);
            c.ragged = t == 4; /* fewer keys than new tokens among them */
            case_run(&c);
            c.kv_type = AITER_I8;
            if (t == 1 && heads[i][0] < 8) case_run(&c);
        }
    }
    for (i = 0; i < COUNT(pages); i++) {
        c = decode(4, 1, 1 + i % 2, 2 * pages[i] > 600 ? pages[i] + 3 : 2 * pages[i] + 3, 4,
                   pages[i]);
        c.ragged = 1;
        c.b = 4;
        case_run(&c);
    }
}

/* Gaps between the entries of a block table, and behind a row's last, hold pages that exist. */
static void table_gaps(void)
{
    int pages, n, t;
    for (pages = 2; pages <= 7; pages++) {
        for (n = 0; n < 2; n++) {
            attn_case c = decode(n ? 6 : 2, 1, n ? 5 : 1, 8 * pages - 3, 4, 8);
            attn_problem p;
            c.layout = LAYOUT_GAPS;
            c.b = 3;
            c.seed += 77;
            problem_new(&p, &c);
            problem_expect(&p, 1e9);
            for (t = 0; t < run_on.tiers; t++) {
                attn_call call;
                memset(&call, 0, sizeof call);
                call.ctx = run_on.one[t];
                problem_store(&p, SLACK_ZERO); /* 0 is a page */
                CHECK(problem_call(&p, &call) == AITER_OK, "%s", aiter_last_error());
                problem_compare(&p, "a table with gaps");
            }
            problem_free(&p);
            test_global.cases++;
        }
    }
}

/* A workspace in which an earlier call seems to have left addresses: of what cannot be read. */
static void stale_addresses(void)
{
    int pages, n, t;
    for (pages = 2; pages <= 8; pages++) {
        for (n = 0; n < 2; n++) {
            attn_case c = decode(n ? 8 : 2, 1, n ? 4 : 2, 11 * pages - 3, 8, 11);
            attn_problem p;
            c.seed += 177;
            problem_new(&p, &c);
            problem_expect(&p, 1e9);
            problem_store(&p, SLACK_NAN);
            for (t = 0; t < run_on.tiers; t++) {
                attn_call call;
                size_t bytes = 0, at;
                test_buffer ws, closed = buffer_new(64);
                const uintptr_t address = (uintptr_t)closed.data + 64;
                memset(&call, 0, sizeof call);
                call.ctx = run_on.one[t];
                call.kind = CALL_WORKSPACE;
                call.bytes = &bytes;
                CHECK(problem_call(&p, &call) == AITER_OK, "%s", aiter_last_error());
                ws = buffer_new(bytes);
                at = (size_t)(0 - (uintptr_t)ws.data) % sizeof address;
                for (; at + sizeof address <= bytes; at += sizeof address)
                    memcpy(ws.data + at, &address, sizeof address);
                call.kind = CALL_RUN;
                call.workspace = ws.data;
                call.workspace_bytes = bytes;
                CHECK(problem_call(&p, &call) == AITER_OK, "%s", aiter_last_error());
                problem_compare(&p, "a used workspace");
                buffer_free(&ws);
                buffer_free(&closed);
            }
            problem_free(&p);
            test_global.cases++;
        }
    }
}

/* q and out in fp8 beside every other type, under scales of every shape; out beyond the range, and
 * so small that it is 0. */
static void fp8_rows(void)
{
    static const double sizes[] = {0, 0.02, 0.0005, 3000};
    attn_case c;
    int i;
    for (i = 0; i < 96; i++) {
        c = decode(4, 2, 1 + i % 3, 70, 20, 16);
        c.q_type = case_row_types[i % 6];
        c.out_type = case_row_types[(i + i / 6) % 6];
        c.kv_type = case_kv_types[(i + i / 7) % CASE_KV_TYPES];
        c.scale_kind = (aiter_scale_kind)(i / 5 % 4);
        c.q_scale = i % 4 == 3 ? 0 : 0.7;
        c.q_scales = i % 3;
        c.out_scale = sizes[i / 2 % 4];
        c.out_scales = i / 3 % 2;
        c.layout = (attn_layout)(i / 2 % LAYOUT_KV);
        c.seed += (uint64_t)i;
        c.sinks = i % 5 == 4;
        c.lists = i % 3;
        case_run(&c);
    }
}

static void options(void)
{
    static const aiter_dtype kv[] = {AITER_F32,     AITER_F16, AITER_BF16,      AITER_I8,
                                     AITER_I8,      AITER_I8,  AITER_F8_E4M3FN, AITER_F8_E4M3FNUZ,
                                     AITER_F8_E5M2, AITER_I4,  AITER_I4,        AITER_I4};
    static const int dims[][2] = {{1, 1},   {8, 8},     {24, 24},   {40, 16},   {59, 59},  {64, 64},
                                  {80, 80}, {128, 128}, {192, 128}, {256, 256}, {576, 512}};
    static const int few[] = {0, 1, 3, 70};
    attn_case c;
    int i, q, k;
    for (q = AITER_F32; q <= AITER_BF16; q++) {
        for (k = 0; k < COUNT(kv); k++) {
            for (i = 0; i < 3; i++) {
                c = decode(i == 2 ? 4 : 6, 2, i == 1 ? 2 : 1, 70, 12, 16);
                c.q_type = (aiter_dtype)q;
                c.kv_type = kv[k];
                c.scale_kind = (aiter_scale_kind)(k < 3 ? 0 : (k + 2 * i - 2) % AITER_SCALE_COUNT);
                if (c.scale_kind == AITER_SCALE_PER_GROUP) c.dq = 48;
                c.scale_type = case_scale_types[(q + i) % 4];
                c.scale_order = (k + q) % 3;
                c.out_type = (aiter_dtype)(AITER_F32 + (q + k + i) % 3);
                c.layout = (attn_layout)((q + k + i) % LAYOUT_QKV);
                case_run(&c);
            }
        }
    }
    for (i = 0; i < COUNT(dims); i++) {
        for (k = 0; k < 4; k++) {
            c = decode(2, 1, 1 + k % 2, 19, dims[i][0], 16);
            c.dv = dims[i][1];
            c.kv_type = kv[k];
            case_run(&c);
        }
    }
    for (i = 0; i < 40; i++) {
        c = decode(4, 2, 1 + i % 4, i % 3 ? 45 : 600, 4, 16);
        c.seed += (uint64_t)i;
        c.mask = (aiter_mask)(i % AITER_MASK_COUNT);
        c.left = i % 5 * 9 - 1;
        c.right = i % 3 - 1;
        c.sink_tokens = i % 4 == 1 ? 5 : 0;
        c.sinks = i % 3 == 1;
        c.alibi = i % 4 == 2 ? 1 : i % 4 == 3 ? 2 : 0;
        c.softcap = i % 5 == 4 ? 30 : 0;
        c.scale = i % 6 == 5 ? 0.2 : 0;
        c.splits = i % 10;
        c.no_lse = i % 7 == 6;
        case_run(&c);
    }
    for (i = 0; i < 3 && !test_is_slow(); i++) { /* heads and dims of a latent cache */
        c = decode(i == 2 ? 16 : 128, 1, 1 + i % 2, 70, 576, i ? 64 : 1);
        c.dv = 512;
        c.b = 1;
        c.kv_type = i ? AITER_BF16 : AITER_F16;
        case_run(&c);
    }
    c = decode(2, 1, 2, 70, 8, 16);
    c.b = 4;
    c.len_k = few; /* an empty sequence, and fewer keys than new tokens */
    case_run(&c);
}

/* A mask of bytes says all: without another mask the new tokens see each other, too. */
static void bytes(void)
{
    int i;
    for (i = 0; i < 3 * BIAS_COUNT; i++) {
        attn_case c = decode(4, 2, 1 + 2 * (i / BIAS_COUNT), 70, 16, 8);
        c.visible = (attn_bias)(i % BIAS_COUNT);
        c.mask = i % 2 ? AITER_MASK_DEFAULT : AITER_MASK_CAUSAL;
        c.bias = i % 3 ? BIAS_NONE : BIAS_B_KEY;
        c.lists = i % 3;
        c.b = 2;
        case_run(&c);
        if (c.visible) {
            c.mask = AITER_MASK_DEFAULT;
            case_run(&c);
        }
    }
}

/* Lists of pages without a bound of their lengths: the entries of all of them bound the workspace,
 * which suffices, whichever sequence has them, and is far below that of as many long sequences. */
static void lists(void)
{
    static const int lengths[][4] = {{1025, 0, 3000, 1}, {0, 5200, 0, 0}, {1025, 1026, 1027, 1028}};
    static char far[8];
    aiter_paged_attn_decode_args a;
    size_t bytes = 0;
    int i;
    for (i = 0; i < 24; i++) {
        attn_case c = decode(i % 2 ? 24 : 4, 1 + i % 2, 1 + i / 2 % 2, 5200, 4, i % 3 ? 16 : 1);
        c.seed = 4; /* no max_seqlen */
        c.len_k = lengths[i % 3];
        c.b = 4;
        c.lists = 1 + i / 3 % 2;
        c.splits = i < 12 ? 0 : 2 + i % 4;
        case_run(&c);
    }
    memset(&a, 0, sizeof a);
    a.q = a.out = aiter_tensor_3d(far, AITER_BF16, 256, 32, 128);
    a.kv.k = a.kv.v = aiter_tensor_4d(far, AITER_BF16, 100000, 16, 8, 128);
    a.kv.indptr = aiter_tensor_1d(far, AITER_I32, 257);
    a.kv.indices = aiter_tensor_1d(far, AITER_I32, 100000);
    a.kv.last_page_lens = aiter_tensor_1d(far, AITER_I32, 256);
    CHECK(aiter_paged_attn_decode_workspace(&a, NULL, &bytes) == AITER_OK && bytes < 40000000,
          "256 sequences of 1.6 million keys: %zu bytes", bytes);
}

static void extremes(void)
{
    static const double sizes[][3] = {
        {1e2, 1e2, 1}, {1e19, 1e19, 1}, {1, 1e-30, 1e-30}, {1, 1, 1e30}};
    attn_case c;
    int i;
    for (i = 0; i < COUNT(sizes); i++) {
        c = decode(3, 1, 1, 90, 3, 16);
        c.q_size = sizes[i][0];
        c.k_size = sizes[i][1];
        c.v_size = sizes[i][2];
        c.scale = 0.3;
        case_run(&c);
    }
    for (i = VALUES_EQUAL; i <= VALUES_ONE_HUGE; i++) {
        c = decode(3, 1, 1, 1100, 4, 16);
        c.values = (attn_values)i;
        case_run(&c);
    }
}

/* ctx, heads and pages of test_pa, test_pa_mtp, test_pa_ps, test_pa_v1, test_pa_ragged; 128
 * sequences become a few. */
static void spec(void)
{
    static const int contexts[] = {7,    26,   57,   66,   109,  128,  257,   282,
                                   1024, 1027, 2048, 2580, 4097, 8192, 10240, 16384};
    static const int heads[][2] = {{4, 1}, {8, 1}, {32, 8}, {5, 1}, {10, 1}, {16, 2}, {1, 1}};
    static const int pages[] = {16, 1, 1024, 64, 32, 4, 512};
    static const aiter_dtype kv[] = {AITER_F16, AITER_BF16, AITER_I8, AITER_F32};
    attn_case c;
    int i, h;
    for (h = 0; h < COUNT(heads); h++) {
        for (i = 0; i < COUNT(contexts); i++) {
            int group = heads[h][0] / heads[h][1];
            c = decode(group, 1, 1 + (i + h) % 4, contexts[i], 128, pages[(i + h) % COUNT(pages)]);
            c.core = 0;
            c.b = contexts[i] > 3000 ? 1 : 3;
            c.q_type = h % 2 ? AITER_BF16 : AITER_F16;
            c.kv_type = kv[(i + h) % 4];
            c.scale_kind = (aiter_scale_kind)(AITER_SCALE_PER_TENSOR + (i + h) % 3);
            c.softcap = (i + h) % 8 == 3 ? 30 : 0;
            c.mask = (i + h) % 5 == 4 ? AITER_MASK_WINDOW : AITER_MASK_DEFAULT;
            c.left = 127;
            case_run(&c);
        }
    }
}

static void random_sweep(uint64_t seed)
{
    test_rng r = {seed};
    test_say("random sweep, seed %" PRIu64 "\n", seed);
    while (test_global.spent < test_global.limit * 0.98) {
        int hk = rng_int(&r, 1, 4);
        attn_case c = decode(hk * rng_int(&r, 1, 17), hk, rng_int(&r, 0, 1) ? 1 : rng_int(&r, 1, 9),
                             rng_int(&r, 0, rng_int(&r, 0, 3) ? 300 : 2500), rng_int(&r, 1, 200),
                             rng_int(&r, 0, 1) ? 16 : rng_int(&r, 1, 100));
        c.core = 0;
        c.seed = rng_next(&r) >> 20;
        c.b = rng_int(&r, 1, 5);
        c.ragged = 1;
        c.dv = rng_int(&r, 0, 1) ? c.dq : rng_int(&r, 1, 200);
        while ((double)c.b * c.hq * c.sq * c.sk * (c.dq + c.dv) > 3e6) c.sk /= 2;
        case_draws_types(&c, &r);
        c.mask = (aiter_mask)rng_int(&r, 0, AITER_MASK_COUNT - 1);
        c.left = rng_int(&r, -1, 100);
        c.right = rng_int(&r, -1, 3);
        c.sink_tokens = rng_int(&r, 0, 3) ? 0 : rng_int(&r, 1, 30);
        c.alibi = rng_int(&r, 0, 3) ? 0 : rng_int(&r, 1, 2);
        c.softcap = rng_int(&r, 0, 4) ? 0 : 20;
        c.lists = rng_int(&r, 0, 3) % 3;
        if (!rng_int(&r, 0, 5)) c.bias = (attn_bias)rng_int(&r, 1, BIAS_COUNT - 1);
        if (!rng_int(&r, 0, 5)) c.visible = (attn_bias)rng_int(&r, 1, BIAS_COUNT - 1);
        c.sinks = !rng_int(&r, 0, 3);
        c.splits = rng_int(&r, 0, 2) ? 0 : rng_int(&r, 1, 9);
        c.layout = (attn_layout)rng_int(&r, 0, LAYOUT_QKV - 1);
        case_run(&c);
        test_global.spent += 1e4;
    }
}

int main(void)
{
    test_begin("paged_attn_decode", 3e9);
    run_begin();
    stale_addresses();
    table_gaps();
    edges();
    fp8_rows();
    options();
    bytes();
    lists();
    extremes();
    test_say("core: %" PRId64 " cases, %.3g flops\n", test_global.cases, test_global.spent);
    test_share(0.7);
    spec();
    test_share(1);
    random_sweep(test_seed(20250202));
    run_end();
    return test_end();
}
