/* test_spec_shapes.c -- aiter_flash_attn_fwd on the shapes that the tests of AITER, FlyDSL and
 * flash-attention use: lengths, head dims, page sizes and groups as theirs, batch and heads fewer.
 */
#include "test.h"
#include "reference.c"
#include "case_run.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

static attn_case plain(int sq, int sk, int d)
{
    attn_case c = {.b = 1, .hq = 2, .hk = 1, .sq = sq, .sk = sk, .dq = d};
    c.seed = (uint64_t)sq * 1000003 + (uint64_t)(sk * 1009 + d);
    return c;
}

/* The (Sq, Sk) and head_dim lists of AITER's own tests, B and H shrunk. */
static const int list_l10[][2] = {{113, 203},   {128, 217},  {113, 211},   {108, 256},
                                  {256, 512},   {512, 256},  {1024, 1024}, {1023, 1024},
                                  {1024, 1023}, {2048, 2048}};
static const int list_d12[][2] = {{32, 32},   {40, 40},   {59, 59},   {64, 64},
                                  {96, 96},   {111, 111}, {128, 128}, {160, 160},
                                  {192, 192}, {224, 224}, {256, 256}, {192, 128}};

static void spec_dense(void)
{
    attn_case c;
    int s, d, n = 0;
    for (s = 0; s < COUNT(list_l10); s++) {
        for (d = 0; d < COUNT(list_d12); d++, n++) {
            if (s >= 6 && d != (s * 5) % 12) continue; /* the large ones once each */
            c = plain(list_l10[s][0], list_l10[s][1], list_d12[d][0]);
            c.dv = list_d12[d][1];
            c.hq = s >= 6 ? 1 : 2;
            c.q_type = n % 3 == 0 ? AITER_F32 : n % 3 == 1 ? AITER_F16 : AITER_BF16;
            c.mask = (aiter_mask)(n % 5);
            c.left = (int)(c.seed % (unsigned)c.sk);
            c.right = (int)(c.seed / 7 % (unsigned)c.sk);
            c.layout = (attn_layout)(n % LAYOUT_COUNT);
            c.form = n % 4 == 3 ? FORM_VARLEN : n % 4 == 2 ? FORM_PADDED : FORM_DENSE;
            c.alibi = n % 7 == 1;
            c.bias = n % 7 == 2 ? BIAS_SQ_SK : BIAS_NONE;
            c.sinks = n % 7 == 3;
            case_run(&c);
        }
    }
}

/* Sequence lengths, heads as in their lists; D 128 or as given. Large products stand for a run of
 * their last rows: rows [S - q, S) of a causal problem are the problem (q, S). */
static void spec_kernels(void)
{
    static const int opus[][3] = {{64, 8, 2},   {128, 16, 1},  {100, 8, 2}, {127, 8, 8},
                                  {129, 32, 8}, {200, 16, 16}, {256, 8, 1}, {512, 8, 2},
                                  {1000, 8, 8}, {1023, 16, 4}, {4096, 8, 2}};
    static const int flydsl[] = {1,   2,   7,   30,  31,  33,  63,  64,  65,   127,  128,  129,
                                 192, 255, 256, 257, 384, 511, 512, 513, 1024, 2048, 4096, 8192};
    static const int cross[][2] = {{31, 65},    {63, 33},     {129, 255}, {257, 127},  {1024, 8192},
                                   {512, 128},  {512, 160},   {128, 32},  {128, 2048}, {130, 2048},
                                   {128, 2300}, {8192, 1024}, {1, 147},   {16, 32768}, {4, 98144}};
    attn_case c;
    int i, rows;
    for (i = 0; i < COUNT(opus); i++) {
        int group = opus[i][1] / opus[i][2];
        rows = opus[i][0] <= 256 ? opus[i][0] : 60;
        c = plain(rows, opus[i][0], i % 2 ? 192 : 128);
        c.dv = 128;
        c.hq = group > 1 ? group : 2;
        c.hk = group > 1 ? 1 : 2;
        c.q_type = AITER_BF16;
        c.mask = AITER_MASK_CAUSAL;
        case_run(&c);
    }
    for (i = 0; i < COUNT(flydsl); i++) {
        c = plain(flydsl[i] <= 256 ? flydsl[i] : 40, flydsl[i], i % 2 ? 64 : 128);
        c.hq = flydsl[i] <= 256 ? 2 : 1;
        c.hk = c.hq;
        c.q_type = i % 3 ? AITER_BF16 : AITER_F16;
        c.mask = i % 4 ? AITER_MASK_CAUSAL : AITER_MASK_NONE;
        c.splits = i % 5 == 4 ? 3 : 0;
        case_run(&c);
    }
    for (i = 0; i < COUNT(cross); i++) {
        c = plain(cross[i][0], cross[i][1], i % 2 ? 64 : 128);
        c.hq = 8;
        if ((double)c.sq * c.sk > 5e4) c.hq = 1;
        c.q_type = AITER_F16;
        c.mask = i % 2 ? AITER_MASK_CAUSAL : AITER_MASK_NONE;
        c.sinks = i % 3 == 0;
        case_run(&c);
    }
}

/* Lengths of packed and padded batches: FlyDSL's, unified attention's, the padding scenarios. */
static void spec_batches(void)
{
    static const int a[] = {1, 3, 31, 33, 63, 65}, b[] = {31, 33, 63, 65}, c4[] = {65, 63, 33, 31};
    static const int d[] = {127, 129, 255, 257}, e[] = {257, 255, 129, 127}, f[] = {100, 200, 60};
    static const int uq[] = {1, 12, 12, 1, 2, 567, 34, 777, 454, 1};
    static const int uk[] = {15, 133, 87, 133, 343, 275, 345, 777, 345, 134};
    static const int ones[] = {1, 1, 1, 1}, z1[] = {5, 0, 17, 1}, z2[] = {64, 3}, z3[] = {3, 64};
    const struct {
        int n;
        const int *q, *k;
    } lists[] = {{6, a, a},   {4, b, c4},   {4, d, e},    {3, f, f}, {4, z1, z1}, {2, z2, z3},
                 {2, z3, z2}, {4, ones, d}, {4, d, ones}, {4, e, d}, {10, uq, uk}};
    int i, form, n;
    for (i = 0; i < COUNT(lists); i++) {
        for (form = FORM_PADDED; form < FORM_COUNT; form++) {
            attn_case c = plain(0, 0, i % 2 ? 128 : 64);
            if (form == FORM_PAGED) continue; /* its queries have one length */
            c.form = (attn_form)form;
            c.b = lists[i].n;
            c.len_q = lists[i].q;
            c.len_k = lists[i].k;
            for (n = 0; n < c.b; n++) {
                if (c.len_q[n] > c.sq) c.sq = c.len_q[n];
                if (c.len_k[n] > c.sk) c.sk = c.len_k[n];
            }
            if (c.sq > 500) c.hq = 1;
            c.q_type = i % 3 ? AITER_BF16 : AITER_F16;
            c.mask = (i + form) % 3 == 0   ? AITER_MASK_NONE
                     : (i + form) % 3 == 1 ? AITER_MASK_CAUSAL
                                           : AITER_MASK_WINDOW;
            c.left = 127;
            c.softcap = i % 4 == 3 ? 50 : 0;
            c.sinks = i % 2;
            c.seed += (uint64_t)form;
            case_run(&c);
        }
    }
}

/* Paged prefill: page 1, 16 and 1024, several group sizes, sink prefix, large queries. */
static void spec_paged(void)
{
    static const int lengths[][2] = {{128, 128}, {128, 512}, {32, 512},  {128, 1024},
                                     {32, 2048}, {17, 1023}, {63, 1024}, {100, 2048}};
    static const int pages[] = {1, 16, 1024, 64, 128};
    static const aiter_dtype kv[] = {AITER_F16, AITER_BF16, AITER_I8, AITER_F32};
    int i, n;
    for (i = 0; i < COUNT(lengths); i++) {
        for (n = 0; n < COUNT(pages); n++) {
            attn_case c = plain(lengths[i][0], lengths[i][1], (i + n) % 3 ? 128 : 64);
            c.form = (i + n) % 2 ? FORM_PAGED : FORM_MIXED;
            c.page = pages[n];
            c.hq = (i + n) % 4 == 0 ? 3 : 1;
            c.q_type = n % 2 ? AITER_BF16 : AITER_F16;
            c.kv_type = kv[(i + n) % 4];
            c.scale_kind = (aiter_scale_kind)(AITER_SCALE_PER_TENSOR + i % 3);
            c.mask = i % 2 ? AITER_MASK_WINDOW : AITER_MASK_CAUSAL;
            c.left = i % 4 == 1 ? 128 : 1000;
            c.sink_tokens = n % 2 ? 4 : 16;
            c.sinks = n % 3 == 0;
            c.softcap = n % 4 == 2 ? 30 : 0;
            c.q_size = 10;
            c.k_size = c.v_size = 5;
            c.layout = (attn_layout)(n % 2 ? LAYOUT_BSHD : LAYOUT_KV);
            case_run(&c);
        }
    }
}

int main(void)
{
    test_begin("spec_shapes", 3e10);
    run_begin();
    test_share(0.2);
    spec_batches();
    test_share(0.4);
    spec_paged();
    test_share(0.75);
    spec_dense();
    test_share(1);
    spec_kernels();
    run_end();
    return test_end();
}
