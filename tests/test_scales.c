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

int main(void)
{
    test_begin("scales", 3e9);
    run_begin();
    rows_alike();
    nan_rows();
    run_end();
    return test_end();
}
