/* test_scales.c -- scales of q, K, V and out against each other: the same numbers in another shape,
 * type or memory order give equal bits; NaN and -0 of the fp8 types. */
#include "test.h"
#include "reference.c"
#include "case_run.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* The bits of a problem as it is stored, by the best kernel set. */
static output_bits bits_of(attn_problem *p, const char *what)
{
    attn_call call;
    memset(&call, 0, sizeof call);
    call.ctx = run_on.one[run_on.tiers - 1];
    const aiter_status status = problem_call(p, &call);
    CHECK(status == AITER_OK, "%s: %s: %s", what, aiter_last_error(), case_text(&p->c));
    return problem_bits(p);
}

/* The bits of a change are those of the problem before it, which are freed. */
static void same(attn_problem *p, output_bits before, const char *what)
{
    output_bits after = bits_of(p, what);
    CHECK(bits_equal(&before, &after), "%s: other bits: %s", what, case_text(&p->c));
    free(after.data);
    free(before.data);
}

static attn_case forms(int i)
{
    attn_case c = {.b = 2, .hq = 4, .hk = 2, .sq = i % 2 ? 27 : 2, .sk = 70, .dq = 32, .page = 8};
    c.form = (attn_form)(i / 2 % FORM_COUNT);
    c.mask = AITER_MASK_CAUSAL;
    c.ragged = 1;
    c.seed = (uint64_t)i + 3;
    return c;
}

/* One scale of q and of out, and the same for each kv head of a batch row, and for each row. */
static void rows_alike(void)
{
    static const aiter_dtype types[] = {AITER_BF16, AITER_F8_E4M3FN, AITER_F8_E4M3FNUZ,
                                        AITER_F8_E5M2};
    static float all[100000];
    attn_problem p;
    int i;
    for (i = 0; i < COUNT(all); i++) all[i] = 0.25f; /* exact wherever it multiplies */
    for (i = 0; i < 40; i++) {
        attn_case c = forms(i);
        c.q_type = types[i % 4];
        c.kv_type = AITER_BF16;
        c.out_type = types[(i / 4 + 1) % 4];
        c.q_scale = c.out_scale = 0.25;
        problem_new(&p, &c);
        problem_store(&p, SLACK_NAN);
        output_bits one = bits_of(&p, "one scale");
        p.q_scale = p.out_scale = aiter_tensor_2d(all, AITER_F32, c.b, c.hk);
        same(&p, one, "scales of kv heads");
        one = bits_of(&p, "again");
        p.q_scale = p.q_t;
        p.q_scale.data = all;
        p.q_scale.dtype = AITER_F32;
        p.q_scale.shape[p.q_t.ndim - 1] = 1;
        memset(p.q_scale.stride, 0, sizeof p.q_scale.stride);
        same(&p, one, "scales of rows");
        problem_free(&p);
    }
}

/* A NaN of q stays in its own row, as a NaN of out's type; a masked row is 0 under any scale. */
static void nan_rows(void)
{
    static const aiter_dtype types[] = {AITER_F8_E4M3FN, AITER_F8_E4M3FNUZ, AITER_F8_E5M2};
    int q, o, rows;
    for (q = 0; q < 3; q++) {
        for (o = 0; o < 3; o++) {
            for (rows = 2; rows <= 27; rows += 25) {
                float k[8 * 16], nan = case_float(double_of_bits(BITS_NAN)), scales[27], lse[27];
                unsigned char codes[27 * 16], out[27 * 16];
                aiter_flash_attn_fwd_args a;
                int i, d, good = 1;
                memset(&a, 0, sizeof a);
                memset(codes, 0x31, sizeof codes);
                codes[16 + 3] = q == 1 ? 0x80 : 0xff;
                for (i = 0; i < COUNT(k); i++) k[i] = -1e-9f;
                for (i = 0; i < rows; i++) scales[i] = i == 0 && rows > 8 ? nan : 0.5f;
                a.q = aiter_tensor_4d(codes, types[q], 1, rows, 1, 16);
                a.kv.k = a.kv.v = aiter_tensor_4d(k, AITER_F32, 1, 8, 1, 16);
                a.out = aiter_tensor_4d(out, types[o], 1, rows, 1, 16);
                a.lse = aiter_tensor_3d(lse, AITER_F32, 1, 1, rows);
                a.score.q_scale = aiter_tensor_4d(scales, AITER_F32, 1, rows, 1, 1);
                a.score.mask = AITER_MASK_CAUSAL; /* of 27 rows the first 19 see nothing */
                if (rows == 27) memmove(codes + 20 * 16, codes + 16, 16), codes[16 + 3] = 0x31;
                CHECK(aiter_flash_attn_fwd(&a, NULL) == AITER_OK, "%s", aiter_last_error());
                for (i = 0; i < rows; i++) {
                    const int is_nan_row = i == (rows == 27 ? 20 : 1);
                    for (d = 0; d < 16; d++) {
                        const double x = ref_load(types[o], out, i * 16 + d);
                        good &= is_nan_row ? is_nan(x) : out[i * 16 + d] == 0;
                    }
                    good &= is_nan_row == is_nan(lse[i]);
                }
                CHECK(good, "NaN of %s in %s, %d rows", aiter_dtype_name(types[q]),
                      aiter_dtype_name(types[o]), rows);
            }
        }
    }
}

/* Element n of the scales that a problem stored. */
static float scale_at(const aiter_tensor *t, int64_t a, int64_t b)
{
    const int64_t compact = t->stride[0] == 0 && t->stride[1] == 0;
    return ((const float *)
                t->data)[compact ? a * t->shape[1] + b : a * t->stride[0] + b * t->stride[1]];
}

/* A scale of each page, or batch row, spread over its tokens in the orders that caches have. */
static aiter_tensor spread(const attn_problem *p, const aiter_tensor *scales, int order, float *to)
{
    const aiter_tensor *k = &p->k_t;
    const int64_t n0 = k->ndim == 4 ? k->shape[0] : 1, n1 = k->shape[k->ndim - 3], heads = p->c.hk;
    aiter_tensor t;
    int64_t a, b, h;
    for (a = 0; a < n0; a++) {
        for (b = 0; b < n1; b++) {
            for (h = 0; h < heads; h++) {
                int64_t row = a;
                while (k->ndim == 3 && b >= p->start_k[row + 1]) row++;
                to[order == 0   ? (a * n1 + b) * heads + h
                   : order == 1 ? (h * n0 + a) * n1 + b
                                : (a * heads + h) * n1 + b] = scale_at(scales, row, h);
            }
        }
    }
    if (order == 0)
        t = aiter_tensor_3d(to, AITER_F32, n0, n1, heads);
    else if (order == 1) /* [Hk, slots] */
        t = aiter_tensor_transpose(
            aiter_tensor_transpose(aiter_tensor_3d(to, AITER_F32, heads, n0, n1), 0, 1), 1, 2);
    else /* [num_blocks, Hk, P] */
        t = aiter_tensor_transpose(aiter_tensor_3d(to, AITER_F32, n0, heads, n1), 1, 2);
    if (k->ndim == 4) return t;
    memmove(t.shape, t.shape + 1, 2 * sizeof t.shape[0]);
    memmove(t.stride, t.stride + 1, 2 * sizeof t.stride[0]);
    t.ndim = 2;
    return t;
}

static void blocks_and_tokens(void)
{
    static const aiter_dtype types[] = {AITER_I8, AITER_F8_E4M3FN, AITER_F8_E5M2};
    static float k[60000], v[60000];
    attn_problem p;
    int i, order;
    for (i = 0; i < 30; i++) {
        attn_case c = forms(i);
        c.kv_type = types[i % 3];
        c.scale_kind = AITER_SCALE_PER_BLOCK_HEAD; /* or of a batch row */
        problem_new(&p, &c);
        problem_store(&p, SLACK_NAN);
        const aiter_tensor ks = p.k_scale, vs = p.v_scale;
        for (order = 0; order < 3; order++) {
            p.k_scale = ks, p.v_scale = vs,
            p.c.scale_kind =
                case_is_paged(&c) ? AITER_SCALE_PER_BLOCK_HEAD : AITER_SCALE_PER_BATCH_HEAD;
            const output_bits of_blocks = bits_of(&p, "blocks");
            p.k_scale = spread(&p, &ks, order, k), p.v_scale = spread(&p, &vs, order, v);
            p.c.scale_kind = AITER_SCALE_PER_TOKEN_HEAD;
            same(&p, of_blocks, "tokens");
        }
        problem_free(&p);
    }
}

/* AITER's kv_block_descale [num_blocks, Hk, 2]: two views of one buffer. */
static void interleaved(void)
{
    static float both[10000];
    attn_problem p;
    int i, n, h;
    for (i = 0; i < 8; i++) {
        attn_case c = forms(6 + i % 2);
        c.kv_type = AITER_F8_E4M3FN;
        c.scale_kind = AITER_SCALE_PER_BLOCK_HEAD;
        c.seed += (uint64_t)i;
        problem_new(&p, &c);
        problem_store(&p, SLACK_NAN);
        for (n = 0; n < p.num_blocks; n++) {
            for (h = 0; h < c.hk; h++) {
                both[(n * c.hk + h) * 2] = scale_at(&p.k_scale, n, h);
                both[(n * c.hk + h) * 2 + 1] = scale_at(&p.v_scale, n, h);
            }
        }
        const output_bits apart = bits_of(&p, "apart");
        p.k_scale = aiter_tensor_2d(both, AITER_F32, p.num_blocks, c.hk);
        p.k_scale.stride[0] = 2 * c.hk, p.k_scale.stride[1] = 2;
        p.v_scale = p.k_scale;
        p.v_scale.data = both + 1;
        same(&p, apart, "interleaved");
        problem_free(&p);
    }
}

/* 1/4 is exact wherever it multiplies: every kind and type of scales gives the same bits. */
static void kinds_alike(void)
{
    static unsigned char bytes[4][200000];
    attn_problem p;
    int i, kind, type;
    for (i = 0; i < COUNT(bytes[0]) / 4; i++) {
        for (type = 0; type < 3; type++) ref_store(case_scale_types[type], bytes[type], i, 0.25);
        bytes[3][i] = 125;
    }
    for (i = 0; i < 2 * FORM_COUNT; i++) {
        attn_case c = forms(i);
        c.kv_type = i % 3 ? AITER_F8_E4M3FN : AITER_I8;
        c.scale_kind = AITER_SCALE_PER_TENSOR;
        c.seed = 3 * (uint64_t)i; /* the kind is said */
        problem_new(&p, &c);
        problem_store(&p, SLACK_NAN);
        for (kind = AITER_SCALE_PER_TENSOR; kind < AITER_SCALE_COUNT; kind++) {
            if (kind ==
                (case_is_paged(&c) ? AITER_SCALE_PER_BATCH_HEAD : AITER_SCALE_PER_BLOCK_HEAD))
                continue;
            for (type = 0; type < 4; type++) {
                static const aiter_tensor none;
                aiter_tensor t = none;
                p.c.scale_kind = AITER_SCALE_PER_TENSOR;
                p.k_scale = p.v_scale = aiter_tensor_1d(bytes[0], AITER_F32, 1);
                const output_bits one = bits_of(&p, "one scale");
                if (kind == AITER_SCALE_PER_TENSOR || kind == AITER_SCALE_PER_HEAD) {
                    t = aiter_tensor_1d(NULL, AITER_F32, kind == AITER_SCALE_PER_HEAD ? c.hk : 1);
                } else if (kind == AITER_SCALE_PER_CHANNEL) {
                    t = aiter_tensor_2d(NULL, AITER_F32, c.hk, c.dq);
                } else if (kind == AITER_SCALE_PER_TOKEN_HEAD || kind == AITER_SCALE_PER_GROUP) {
                    t = p.k_t;
                    memset(t.stride, 0, sizeof t.stride);
                    if (kind == AITER_SCALE_PER_GROUP)
                        t.shape[t.ndim - 1] = c.dq / 16;
                    else
                        t.ndim--;
                } else {
                    t = aiter_tensor_2d(NULL, AITER_F32, case_is_paged(&c) ? p.num_blocks : c.b,
                                        c.hk);
                }
                t.data = bytes[type];
                t.dtype = case_scale_types[type];
                p.k_scale = p.v_scale = t;
                p.c.scale_kind = (aiter_scale_kind)kind;
                same(&p, one, "a kind of scales");
            }
        }
        problem_free(&p);
    }
}

/* A NaN in the scales of channels reaches no row that sees no key, with a learned sink or without,
 * and of the others V's stays in its column. Four rows and one key: the last row sees it. */
static void nan_channels(void)
{
    static const aiter_dtype types[] = {AITER_I8, AITER_I4, AITER_F8_E4M3FN, AITER_F8_E5M2};
    int t, n;
    for (t = 0; t < run_on.tiers; t++) {
        for (n = 0; n < 64; n++) {
            const int rows = n & 8 ? 40 : 4, of_k = n >> 4 & 1;
            unsigned char codes[32];
            float q[40 * 32], out[40 * 32], lse[40], scale[2][32], sink = 0.5f;
            aiter_flash_attn_fwd_args a;
            int i, d, bad = 0;
            memset(&a, 0, sizeof a);
            memset(codes, 0x31, sizeof codes);
            for (i = 0; i < 40 * 32; i++) q[i] = 0.25f;
            for (i = 0; i < 64; i++) scale[i / 32][i % 32] = 0.5f;
            scale[!of_k][5] = case_float(double_of_bits(BITS_NAN));
            a.q = aiter_tensor_4d(q, AITER_F32, 1, rows, 1, 32);
            a.kv.k = a.kv.v = aiter_tensor_4d(codes, types[n & 3], 1, 1, 1, 32);
            a.kv.k_scale = aiter_tensor_2d(scale[0], AITER_F32, 1, 32);
            a.kv.v_scale = aiter_tensor_2d(scale[1], AITER_F32, 1, 32);
            a.kv.k_scale_kind = a.kv.v_scale_kind = AITER_SCALE_PER_CHANNEL;
            a.out = aiter_tensor_4d(out, AITER_F32, 1, rows, 1, 32);
            a.lse = aiter_tensor_3d(lse, AITER_F32, 1, 1, rows);
            a.score.mask = AITER_MASK_CAUSAL;
            if (n & 4) a.score.sinks = aiter_tensor_1d(&sink, AITER_F32, 1);
            CHECK(aiter_flash_attn_fwd(&a, run_on.one[t]) == AITER_OK, "%s", aiter_last_error());
            for (i = 0; i < rows; i++) {
                const int sees = i == rows - 1;
                for (d = 0; d < 32; d++) {
                    const float x = out[i * 32 + d];
                    bad += sees ? is_nan((double)x) != (of_k || d == 5)
                                : bits_of_double((double)x) != 0;
                }
                bad += sees      ? is_nan((double)lse[i]) != of_k
                       : (n & 4) ? lse[i] != sink
                                 : bits_of_double((double)lse[i]) != (BITS_INF | (uint64_t)1 << 63);
            }
            CHECK(bad == 0, "a NaN channel of %s, %s, %d rows: %d values wrong", of_k ? "K" : "V",
                  aiter_isa_name(run_on.isa[t]), rows, bad);
        }
    }
}

/* V as columns of K has the scales of K, whatever their kind: the bits are those of a V that is a
 * view of K with the same scales. */
static void latent_alike(void)
{
    int i, kind;
    for (i = 0; i < 2 * FORM_COUNT; i++) {
        for (kind = AITER_SCALE_PER_TENSOR; kind < AITER_SCALE_COUNT; kind++) {
            attn_case c = forms(i);
            attn_problem p;
            output_bits latent;
            c.kv_type = kind % 3 == 0 ? AITER_F8_E4M3FN : kind % 3 == 1 ? AITER_I8 : AITER_I4;
            c.scale_kind = (aiter_scale_kind)kind;
            c.dq = 48;
            c.dv = kind % 2 ? 32 : 48;
            c.latent = 1;
            problem_new(&p, &c);
            problem_store(&p, SLACK_NAN);
            latent = bits_of(&p, "V as columns of K");
            p.v_t = aiter_tensor_slice(p.k_t, p.k_t.ndim - 1, 0, c.dv);
            p.v_scale = p.k_scale;
            if (p.c.scale_kind == AITER_SCALE_PER_CHANNEL ||
                p.c.scale_kind == AITER_SCALE_PER_GROUP) {
                const int last = p.k_scale.ndim - 1;
                const int64_t all = p.k_scale.shape[last];
                p.v_scale = aiter_tensor_slice(p.k_scale, last, 0, all * c.dv / c.dq);
            }
            p.c.latent = 0;
            same(&p, latent, "V beside K");
            problem_free(&p);
        }
    }
}

int main(void)
{
    test_begin("scales", 3e9);
    run_begin();
    rows_alike();
    nan_rows();
    nan_channels();
    blocks_and_tokens();
    interleaved();
    kinds_alike();
    latent_alike();
    run_end();
    return test_end();
}
