/* test_flash_attn_fwd.c -- aiter_flash_attn_fwd against the oracle: tile and page edges, every
 * option and type, extreme numbers, random sweeps. */
#include "test.h"
#include "reference.c"
#include "case_run.h"
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

static attn_case plain(int sq, int sk, int d)
{
    attn_case c = {.b = 1, .hq = 2, .hk = 1, .sq = sq, .sk = sk, .dq = d, .core = 1};
    c.seed = (uint64_t)sq * 1000003 + (uint64_t)(sk * 1009 + d);
    return c;
}

/* Query tiles of 4, 24 and 48 lanes, four tiles together, streams of up to 16 packed rows; tiles of
 * 64 and 96 keys, split chunks of 512: each at -1, 0, +1. */
static void edges(void)
{
    static const int rows[] = {1,  2,  3,  4,  5,  7,  8,  9,  15, 16, 17,  23,  24,
                               25, 31, 32, 33, 47, 48, 49, 95, 96, 97, 191, 192, 193};
    static const int keys[] = {1,   2,   63,  64,  65,  95,  96,  97,   127,  128,
                               129, 191, 192, 193, 511, 512, 513, 1023, 1024, 1025};
    static const int heads[][2] = {{1, 1}, {3, 1},  {4, 1},  {5, 1},
                                   {8, 1}, {12, 1}, {16, 1}, {17, 1}};
    attn_case c;
    int i, j;
    for (i = 0; i < COUNT(rows); i++) {
        c = plain(rows[i], rows[i] < 50 ? 70 : 66, 8);
        c.hq = i % 2 + 1;
        c.mask = i % 2 ? AITER_MASK_CAUSAL : AITER_MASK_NONE;
        c.layout = (attn_layout)(i % LAYOUT_STEP);
        case_run(&c);
    }
    for (i = 0; i < COUNT(keys); i++) {
        for (j = 0; j < 2; j++) {
            c = plain(j ? 5 : 1, keys[i], 8);
            c.mask = i % 2 ? AITER_MASK_CAUSAL : AITER_MASK_NONE;
            case_run(&c);
            if (keys[i] > 200) continue;
            c = plain(26, keys[i], 4);
            c.hq = 1;
            c.mask = AITER_MASK_CAUSAL;
            case_run(&c);
        }
    }
    for (i = 0; i < COUNT(heads); i++) {
        for (j = 1; j <= 3; j++) {
            c = plain(j, 70, 8);
            c.hq = 2 * heads[i][0];
            c.hk = 2 * heads[i][1];
            c.mask = AITER_MASK_CAUSAL;
            case_run(&c);
        }
    }
}

/* Where long sequences begin to be split: tiles at 2 x 2304 keys, streams at 512, and where pieces
 * double because there would be too many. */
static void splits(void)
{
    static const int tile_keys[] = {2305, 4607, 4608, 4609, 6912, 6913, 73728, 73729};
    static const int stream_keys[] = {2048, 32767, 32768, 32769, 65537};
    attn_case c;
    int i;
    for (i = 0; i < COUNT(tile_keys); i++) {
        if (test_is_slow() && i > 3) break;
        c = plain(17, tile_keys[i], 2);
        c.hq = 1;
        c.mask = i % 2 ? AITER_MASK_CAUSAL : AITER_MASK_NONE;
        case_run(&c);
    }
    for (i = 0; i < COUNT(stream_keys) && !test_is_slow(); i++) {
        c = plain(1, stream_keys[i], 2);
        c.form = i % 2 ? FORM_PAGED : FORM_DENSE;
        case_run(&c);
    }
    c = plain(500, 4609, 2); /* more packed rows than are ever split, and not so many */
    c.hq = 3;
    if (!test_is_slow()) case_run(&c);
    c.hq = 2;
    if (!test_is_slow()) case_run(&c);
}

static void dims(void)
{
    static const int d[] = {1,  2,  3,  4,  5,  7,   8,   9,   15,  16,  17,  31,  32,  33, 40,
                            59, 63, 64, 65, 96, 111, 128, 160, 192, 224, 255, 256, 257, 576};
    static const int pairs[][2] = {{192, 128}, {576, 512}, {16, 64}, {64, 1}, {1, 64}, {24, 40}};
    attn_case c;
    int i;
    for (i = 0; i < COUNT(d); i++) {
        c = plain(i % 2 ? 5 : 1, 19, d[i]);
        c.q_type = (aiter_dtype)(AITER_F32 + i % 3);
        case_run(&c);
        c = plain(26, 9, d[i]);
        c.hq = 1;
        c.layout = (attn_layout)(i % LAYOUT_COUNT);
        case_run(&c);
    }
    for (i = 0; i < COUNT(pairs); i++) {
        c = plain(i % 2 ? 25 : 2, 33, pairs[i][0]);
        c.dv = pairs[i][1];
        c.mask = AITER_MASK_CAUSAL;
        case_run(&c);
    }
}

/* Masks with lengths on both sides of each other, and every option that goes with them. */
static void options(void)
{
    static const int windows[][3] = {{-1, -1, 0},
                                     {0, 0, 0},
                                     {7, 3, 0},
                                     {-1, 5, 0},
                                     {5, -1, 0},
                                     {3, 0, 2},
                                     {7, 3, 4},
                                     {0, 0, 70},
                                     {1000, 1000, 0},
                                     {2, -1, 3},
                                     {INT32_MAX, INT32_MAX, INT32_MAX},
                                     {4, INT32_MAX, 1},
                                     {INT32_MAX, 2, 0},
                                     {40, 0, 1},
                                     {-1, 0, 0}};
    static const int lengths[][2] = {{5, 70}, {70, 5}, {33, 33}, {1, 129}, {26, 97}, {3, 0}};
    attn_case c;
    int i, j, n;
    for (i = 0; i < COUNT(lengths); i++) {
        for (j = 0; j < COUNT(windows) + 3; j++) {
            c = plain(lengths[i][0], lengths[i][1], 4);
            c.seed += (uint64_t)j;
            if (j < 3) {
                c.mask = (aiter_mask)(AITER_MASK_NONE + j);
            } else {
                c.mask = AITER_MASK_WINDOW;
                c.left = windows[j - 3][0];
                c.right = windows[j - 3][1];
                c.sink_tokens = windows[j - 3][2];
            }
            n = i + j;
            c.sinks = n % 3 == 0;
            c.alibi = n % 4 == 1 ? 1 : n % 4 == 2 ? 2 : 0;
            c.bias = (attn_bias)(n % BIAS_COUNT);
            c.bias_type = (aiter_dtype)(AITER_F32 + n % 3);
            c.softcap = n % 5 == 2 ? 0.7 : 0;
            c.scale = n % 5 == 3 ? 0.31 : 0;
            c.no_lse = n % 7 == 6;
            c.b = 2;
            case_run(&c);
        }
    }
    for (i = 0; i < BIAS_COUNT * 3; i++) { /* rows with many -infinity, whole rows too */
        c = plain(7, 37, 4);
        c.b = 2;
        c.bias = (attn_bias)(i % BIAS_COUNT);
        c.bias_holes = i < BIAS_COUNT ? 2 : 1;
        c.sinks = i >= 2 * BIAS_COUNT;
        c.layout = i % 2 ? LAYOUT_GAPS : LAYOUT_STEP;
        case_run(&c);
    }
    for (i = 0; i <= 10; i++) {
        c = plain(i % 2 ? 3 : 30, 1100, 4);
        c.splits = i < 10 ? i : INT32_MAX;
        c.mask = i % 3 ? AITER_MASK_CAUSAL : AITER_MASK_NONE;
        c.sinks = i % 2;
        case_run(&c);
    }
}

/* bf16 alone, which AVX512-BF16 takes in pairs of keys: windows and prefixes that begin and end
 * within a pair. */
static void halves_of_pairs(void)
{
    attn_case c;
    int i;
    for (i = 0; i < 24; i++) {
        c = plain(i % 3 ? 60 + i : 20, 140 + i % 5, 9);
        c.q_type = AITER_BF16;
        c.mask = AITER_MASK_WINDOW;
        c.left = 3 + i / 2;
        c.right = i % 4 == 3 ? 2 : 0;
        c.sink_tokens = i % 4;
        case_run(&c);
    }
}

/* A mask of bytes, alone and beside a bias. */
static void bytes(void)
{
    attn_case c;
    int i;
    for (i = 0; i < BIAS_COUNT * 4; i++) {
        c = plain(i / BIAS_COUNT % 2 ? 7 : 60, 130, 8);
        c.b = 2;
        c.visible = (attn_bias)(i % BIAS_COUNT);
        c.form = (attn_form)(i % FORM_COUNT);
        if (case_is_packed(&c)) c.visible = i % 2 ? BIAS_SQ_SK : BIAS_H_SQ_SK;
        c.mask = i / BIAS_COUNT > 1 ? AITER_MASK_CAUSAL : AITER_MASK_DEFAULT;
        c.bias = i % 3 == 0 && !case_is_packed(&c) ? BIAS_SQ_SK : BIAS_NONE;
        c.layout = i % 2 ? LAYOUT_GAPS : LAYOUT_STEP;
        c.q_scale = i % 4 ? 0 : 2.5;
        c.out_scale = i % 4 == 1 ? 0.3 : i % 4 == 2 ? 40 : 0;
        case_run(&c);
    }
}

/* Every mix of types in every form; int8, int4 and fp8 with every kind of scale. */
static void types(void)
{
    attn_case c;
    int q, k, o, n, form;
    for (q = AITER_F32; q <= AITER_BF16; q++) {
        for (k = 0; k < CASE_KV_TYPES; k++) {
            for (o = AITER_F32; o <= AITER_BF16; o++) {
                for (n = 0; n < (k >= 3 ? AITER_SCALE_COUNT : 1); n++) {
                    for (form = 0; form < 2; form++) {
                        c = plain(form ? 27 : 2, 70, 7);
                        c.q_type = (aiter_dtype)q;
                        c.kv_type = case_kv_types[k];
                        c.out_type = (aiter_dtype)o;
                        c.scale_kind = (aiter_scale_kind)n;
                        c.scale_type = case_scale_types[(q + k + o) % 4];
                        c.scale_order = (k + o) % 3;
                        if (n == AITER_SCALE_PER_GROUP) c.dq = 48;
                        c.form = (attn_form)((q + k + o + n + form) % FORM_COUNT);
                        c.b = 2;
                        c.ragged = 1;
                        c.mask = AITER_MASK_CAUSAL;
                        c.layout = (attn_layout)((q + 2 * k + o + n) % LAYOUT_COUNT);
                        c.seed += (uint64_t)(q * 7 + k * 5 + o * 3 + n);
                        case_run(&c);
                    }
                }
            }
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
        c = plain(i % 2 ? 27 : 2, i % 11 == 10 ? 1100 : 70, 20);
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
        c.form = (attn_form)(i % FORM_COUNT);
        c.b = 2;
        c.ragged = 1;
        c.mask = AITER_MASK_CAUSAL;
        c.splits = i % 7 == 6 ? 3 : 0;
        case_run(&c);
    }
}

/* Every byte of int4 as keys and as values, exactly: two sequences of one key of 256 codes each;
 * row i of q is the unit vector of column i, so that its score is code i. */
static void every_int4_byte(void)
{
    enum { D = 256 };
    static const float k_scale = 0.25f, v_scale = 0.5f;
    static float q[2 * D * D], out[2 * D * D], lse[2 * D];
    static uint8_t codes[D];
    int t, rows, i;
    for (i = 0; i < D; i++) codes[i] = (uint8_t)i;
    for (t = 0; t < run_on.tiers; t++) {
        for (rows = 2; rows <= D; rows += D - 2) { /* both loops */
            aiter_flash_attn_fwd_args a;
            int bad = 0;
            memset(&a, 0, sizeof a);
            memset(q, 0, sizeof q);
            for (i = 0; i < 2 * rows; i++) q[i * D + (i % rows * 129 + i / rows) % D] = 1;
            a.q = aiter_tensor_4d(q, AITER_F32, 2, rows, 1, D);
            a.kv.k = a.kv.v = aiter_tensor_4d(codes, AITER_I4, 2, 1, 1, D);
            a.kv.k_scale = aiter_tensor_1d(&k_scale, AITER_F32, 1);
            a.kv.v_scale = aiter_tensor_1d(&v_scale, AITER_F32, 1);
            a.out = aiter_tensor_4d(out, AITER_F32, 2, rows, 1, D);
            a.lse = aiter_tensor_3d(lse, AITER_F32, 2, 1, rows);
            a.score.softmax_scale = 1;
            CHECK(aiter_flash_attn_fwd(&a, run_on.one[t]) == AITER_OK, "%s", aiter_last_error());
            for (i = 0; i < 2 * rows * D; i++) {
                const int row = i / D, b = row / rows, column = (row % rows * 129 + b) % D;
                bad += (double)out[i] != ref_load(AITER_I4, codes, b * D + i % D) * 0.5;
                bad += (double)lse[row] != ref_load(AITER_I4, codes, b * D + column) * 0.25;
            }
            CHECK(bad == 0, "%s, %d rows: %d values wrong", aiter_isa_name(run_on.isa[t]), rows,
                  bad);
        }
    }
}

/* V of its own type beside K, and V as the first columns of K, in both loops. */
static void values_of_keys(void)
{
    static const int dims[] = {1, 15, 16, 64, 71, 72};
    int k, v, rows;
    for (k = 0; k < CASE_KV_TYPES; k++) {
        for (rows = 2; rows <= 27; rows += 25) {
            for (v = 0; v < CASE_KV_TYPES + COUNT(dims); v++) {
                attn_case c = plain(rows, 130, 72);
                c.latent = v >= CASE_KV_TYPES;
                c.kv_type = case_kv_types[k];
                c.v_type = c.latent ? AITER_DTYPE_UNSET : case_kv_types[v];
                if (c.latent) c.dv = dims[v - CASE_KV_TYPES];
                c.form = (attn_form)((k + v) % FORM_COUNT);
                c.scale_kind = (aiter_scale_kind)(AITER_SCALE_PER_TENSOR +
                                                  (v + rows) % (AITER_SCALE_COUNT - 1));
                c.layout = (attn_layout)((2 * k + v) % LAYOUT_COUNT);
                c.b = c.ragged = 1 + v % 2;
                c.mask = AITER_MASK_CAUSAL;
                case_run(&c);
            }
        }
    }
}

static void forms(void)
{
    static const int q1[] = {5, 0, 17, 1}, k1[] = {5, 3, 17, 1}, q2[] = {64, 3}, k2[] = {3, 64};
    static const int q3[] = {0, 0}, k3[] = {0, 4}, mixed_q[] = {1, 30, 1, 9, 0, 2};
    static const int mixed_k[] = {70, 30, 1, 41, 12, 0};
    static const int pages[] = {1, 2, 3, 16, 63, 64, 65, 128, 1024};
    const struct {
        int b;
        const int *q, *k;
    } lists[] = {{4, q1, k1}, {2, q2, k2}, {2, k2, q2}, {2, q3, k3}, {6, mixed_q, mixed_k}};
    attn_case c;
    int i, form, mask;
    for (i = 0; i < COUNT(lists); i++) {
        for (form = 0; form < FORM_COUNT; form++) {
            for (mask = AITER_MASK_NONE; mask <= AITER_MASK_WINDOW; mask++) {
                c = plain(64, 70, 8);
                c.form = (attn_form)form;
                c.mask = (aiter_mask)mask;
                c.left = 6;
                c.sink_tokens = 2;
                c.b = lists[i].b;
                c.len_q = lists[i].q;
                c.len_k = lists[i].k;
                c.page = 4;
                c.seed += (uint64_t)mask;
                if (case_is_paged(&c)) c.lists = (i + mask) % 3;
                if (form >= FORM_VARLEN) c.bias = mask == 2 ? BIAS_H_SQ_SK : BIAS_SQ_SK;
                if (form == FORM_DENSE || form == FORM_PAGED) c.sq = 9;
                c.layout = (attn_layout)((i + form + mask) % LAYOUT_COUNT);
                case_run(&c);
                c.gaps = form == FORM_VARLEN || form == FORM_MIXED ? 5 : 0;
                if (c.gaps) case_run(&c);
            }
        }
    }
    for (i = 0; i < 12; i++) { /* packed rows with gaps: a row of each sequence, many keys */
        c = plain(i % 3 ? 1 : 4, 1100, 32);
        c.form = i % 2 ? FORM_VARLEN : FORM_MIXED;
        c.kv_type = (aiter_dtype)(AITER_F32 + i % 3);
        c.mask = i % 4 < 2 ? AITER_MASK_CAUSAL : AITER_MASK_NONE;
        c.b = 4;
        c.ragged = 1;
        c.page = 16;
        c.gaps = 1 + 20 * (i % 5);
        c.splits = i % 4;
        c.alibi = i % 3;
        c.seed += (uint64_t)i;
        case_run(&c);
    }
    for (i = 0; i < 12; i++) { /* nothing to do, in several ways */
        c = plain(i % 4 == 0 ? 0 : 5, i % 4 == 1 ? 0 : 9, 4);
        c.form = (attn_form)(i % FORM_COUNT);
        c.b = i % 4 == 2 ? 0 : 2;
        c.ragged = i % 4 == 3;
        case_run(&c);
    }
    for (i = 0; i < COUNT(pages); i++) {
        for (form = FORM_PAGED; form <= FORM_MIXED; form++) {
            c = plain(form == FORM_MIXED ? 26 : 1, 131, 8);
            c.form = (attn_form)form;
            c.page = pages[i];
            c.b = 3;
            c.ragged = 1;
            c.mask = i % 2 ? AITER_MASK_CAUSAL : AITER_MASK_WINDOW;
            c.left = 20;
            c.layout = i % 3 == 0 ? LAYOUT_KV : i % 3 == 1 ? LAYOUT_BSHD : LAYOUT_GAPS;
            case_run(&c);
        }
    }
}

/* Extreme but legal numbers. */
static void extremes(void)
{
    static const double sizes[][3] = {{1e2, 1e2, 1},        {1e19, 1e19, 1},   {1e-22, 1e-20, 1},
                                      {1, 1e-30, 1e-30},    {1e-38, 1, 1e-38}, {1, 1, 1e30},
                                      {3e-39, 3e-39, 4e-39}};
    static const double half[][3] = {
        {6e4, 6e-5, 1e-6}, {1e-6, 1, 1e-7}, {1, 1, 6.5e4}, {1, 1, 1e6}, {1e-7, 1e-7, 5e-8}};
    static const double biases[] = {1e4, 3e38, 1e-40}, sinks[] = {60, 1e4, 3e38, 1e-39};
    attn_case c;
    int i, wide, v;
    for (wide = 0; wide < 2; wide++) {
        for (i = 0; i < COUNT(sizes); i++) {
            c = plain(wide ? 26 : 2, 70, 3);
            c.q_size = sizes[i][0];
            c.k_size = sizes[i][1];
            c.v_size = sizes[i][2];
            c.scale = 0.3;
            case_run(&c);
        }
        for (i = 0; i < COUNT(biases); i++) {
            c = plain(wide ? 26 : 2, 70, 4);
            c.bias = BIAS_SQ_SK;
            c.bias_size = biases[i];
            case_run(&c);
        }
        for (v = VALUES_EQUAL; v <= VALUES_ONE_HUGE; v++) {
            c = plain(wide ? 26 : 2, 600, 8);
            c.values = (attn_values)v;
            c.mask = AITER_MASK_CAUSAL;
            case_run(&c);
        }
        for (i = 0; i < COUNT(half); i++) {
            c = plain(wide ? 26 : 2, 70, 5);
            c.q_type = i % 2 ? AITER_BF16 : AITER_F16;
            c.kv_type = i == 3 ? AITER_F32 : c.q_type;
            c.q_size = half[i][0];
            c.k_size = half[i][1];
            c.v_size = half[i][2];
            c.out_type = AITER_F16;
            case_run(&c);
        }
        for (i = 0; i < COUNT(sinks); i++) {
            c = plain(wide ? 26 : 2, 90, 4);
            c.mask = AITER_MASK_CAUSAL;
            c.sinks = 1;
            c.sink_size = sinks[i];
            case_run(&c);
            c.sk = i; /* rows that see nothing but the sink */
            case_run(&c);
        }
        for (i = 0; i < 3; i++) {
            c = plain(wide ? 26 : 2, 90, 4);
            c.scale = i == 0 ? 1e-30 : i == 1 ? 1e4 : 30;
            c.softcap = i == 2 ? 50 : 0;
            c.sinks = 1;
            case_run(&c);
        }
    }
}

static void random_sweep(uint64_t seed)
{
    static const int lengths[] = {0, 1, 2, 3, 16, 24, 48, 63, 64, 65, 96, 128, 200, 513};
    static const int groups[] = {1, 2, 3, 4, 5, 6, 7, 8, 12, 16};
    test_rng r = {seed};
    test_say("random sweep, seed %" PRIu64 "\n", seed);
    while (test_global.spent < test_global.limit * 0.98) {
        attn_case c = {.seed = rng_next(&r) >> 20};
        c.form = (attn_form)rng_int(&r, 0, FORM_COUNT - 1);
        c.layout = (attn_layout)rng_int(&r, 0, LAYOUT_COUNT - 1);
        c.b = rng_int(&r, 1, 4);
        c.hk = rng_int(&r, 1, 3);
        c.hq = c.hk * groups[rng_int(&r, 0, COUNT(groups) - 1)];
        c.sq = rng_int(&r, 0, 2) ? rng_int(&r, 0, 40) : lengths[rng_int(&r, 0, COUNT(lengths) - 1)];
        c.sk =
            rng_int(&r, 0, 1) ? rng_int(&r, 0, 300) : lengths[rng_int(&r, 0, COUNT(lengths) - 1)];
        c.dq = rng_int(&r, 0, 9) ? rng_int(&r, 1, 130) : rng_int(&r, 1, 576);
        c.dv = rng_int(&r, 0, 1) ? c.dq : rng_int(&r, 1, 130);
        while ((double)c.b * c.hq * c.sq * c.sk * (c.dq + c.dv) > 5e6) c.sq /= 2;
        c.ragged = rng_int(&r, 0, 3) != 0;
        case_draws_types(&c, &r);
        c.mask = (aiter_mask)rng_int(&r, 0, AITER_MASK_COUNT - 1);
        c.left = rng_int(&r, -1, 1 + c.sk / 2);
        c.right = rng_int(&r, -1, 1 + c.sk / 2);
        c.sink_tokens = rng_int(&r, 0, 2) ? 0 : rng_int(&r, 0, 20);
        c.scale = rng_int(&r, 0, 3) ? 0 : 0.01 * rng_int(&r, 1, 100);
        c.softcap = rng_int(&r, 0, 4) ? 0 : 0.1 * rng_int(&r, 1, 300);
        c.alibi = rng_int(&r, 0, 3) ? 0 : rng_int(&r, 1, 2);
        if (!rng_int(&r, 0, 3)) {
            c.bias = (attn_bias)rng_int(&r, 1, BIAS_COUNT - 1);
            if (case_is_packed(&c)) c.bias = rng_int(&r, 0, 1) ? BIAS_SQ_SK : BIAS_H_SQ_SK;
            c.bias_type = (aiter_dtype)rng_int(&r, AITER_F32, AITER_BF16);
            c.bias_holes = rng_int(&r, 0, 3) ? 0 : 3;
        }
        c.lists = rng_int(&r, 0, 3) % 3;
        if (!rng_int(&r, 0, 5)) {
            c.visible = (attn_bias)rng_int(&r, 1, BIAS_COUNT - 1);
            if (case_is_packed(&c)) c.visible = rng_int(&r, 0, 1) ? BIAS_SQ_SK : BIAS_H_SQ_SK;
        }
        if (!rng_int(&r, 0, 4)) c.q_scale = 0.01 * rng_int(&r, 1, 300);
        if (!rng_int(&r, 0, 4)) c.out_scale = 0.01 * rng_int(&r, 1, 300);
        c.sinks = !rng_int(&r, 0, 3);
        c.page = rng_int(&r, 0, 2) ? 1 << rng_int(&r, 0, 8) : rng_int(&r, 1, 100);
        c.splits = rng_int(&r, 0, 3) ? 0 : rng_int(&r, 1, 9);
        c.no_lse = !rng_int(&r, 0, 4);
        c.q_size = rng_int(&r, 0, 3) ? 1 : 10;
        c.gaps = rng_int(&r, 0, 2) ? 0 : rng_int(&r, 1, 40);
        case_run(&c);
        test_global.spent += 1e4; /* so that empty cases end too */
    }
}

/* The caller may have asked his processor to flush subnormals. */
static void flushing(void)
{
#if defined(__SSE2__)
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040);
    types();
    extremes();
    CHECK((_mm_getcsr() & 0xFFC0) == ((before | 0x8040) & 0xFFC0), "the caller's mode was changed");
    _mm_setcsr(before);
#endif
}

int main(void)
{
    test_begin("flash_attn_fwd", 3e9);
    run_begin();
    edges();
    splits();
    dims();
    fp8_rows();
    options();
    halves_of_pairs();
    bytes();
    types();
    every_int4_byte();
    values_of_keys();
    forms();
    extremes();
    if (!test_is_slow()) flushing();
    test_say("core: %" PRId64 " cases, %.3g flops\n", test_global.cases, test_global.spent);
    random_sweep(test_seed(20250101));
    run_end();
    return test_end();
}
