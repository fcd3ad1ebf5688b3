/* test_padding_guard.c -- the share of padding in a sequence and the verdict on it. */
#include "test.h"
#include "reference.c"

#include <math.h>

/* The last verdict's words: there when it is unsafe, with the limit and the three remedies. */
static void words(double threshold)
{
    static const char *const remedies[] = {"AITER_MASK_CAUSAL", "multiple of", "masks its tail"};
    char limit[32];
    size_t i;
    snprintf(limit, sizeof limit, "limit of %.3g %%", 100 * (threshold != 0 ? threshold : 0.005));
    CHECK(strstr(aiter_last_error(), "aiter_padding_guard") && strstr(aiter_last_error(), limit),
          "\"%s\" does not name %s", aiter_last_error(), limit);
    for (i = 0; i < sizeof remedies / sizeof remedies[0]; i++) {
        CHECK(strstr(aiter_last_error(), remedies[i]), "\"%s\" does not say %s", aiter_last_error(),
              remedies[i]);
    }
    CHECK(strlen(aiter_last_error()) < 255, "the text was cut");
}

static void guard(int64_t seqlen, int64_t tile, aiter_mask mask, double threshold, double ratio,
                  int32_t safe)
{
    aiter_padding_guard_args a;
    double got_ratio = -1;
    int32_t got_safe = -1;
    aiter_status status;
    char before[256];
    snprintf(before, sizeof before, "%s", aiter_last_error());
    memset(&a, 0, sizeof a);
    a.seqlen = seqlen;
    a.tile = tile;
    a.mask = mask;
    a.threshold = threshold;
    status = aiter_padding_guard(&a, &got_ratio, &got_safe);
    CHECK(status == AITER_OK, "%" PRId64 ": %s", seqlen, aiter_last_error());
    CHECK(fabs(got_ratio - ratio) < 1e-15, "%" PRId64 "/%" PRId64 ": ratio %.17g, not %.17g",
          seqlen, tile, got_ratio, ratio);
    CHECK(got_safe == safe, "%" PRId64 "/%" PRId64 ": safe %d", seqlen, tile, (int)got_safe);
    if (!safe) words(threshold);
    CHECK(!safe || strcmp(aiter_last_error(), before) == 0, "a safe verdict left \"%s\"",
          aiter_last_error());
    CHECK(aiter_padding_guard(&a, NULL, &got_safe) == AITER_OK && got_safe == safe, "no ratio");
    CHECK(aiter_padding_guard(&a, &got_ratio, NULL) == AITER_OK, "no verdict");
    CHECK(aiter_padding_guard(&a, NULL, NULL) == AITER_OK, "neither");
}

static void refused(int64_t seqlen, int64_t tile, int mask, double threshold, const char *field)
{
    aiter_padding_guard_args a;
    double ratio = 7;
    int32_t safe = 7;
    memset(&a, 0, sizeof a);
    a.seqlen = seqlen;
    a.tile = tile;
    a.mask = (aiter_mask)mask;
    a.threshold = threshold;
    CHECK(aiter_padding_guard(&a, &ratio, &safe) == AITER_INVALID_ARGUMENT, "%s accepted", field);
    CHECK(ratio == 7 && safe == 7, "%s: a refused call wrote", field);
    CHECK(strstr(aiter_last_error(), "padding_guard") && strstr(aiter_last_error(), field),
          "\"%s\" does not name padding_guard and %s", aiter_last_error(), field);
}

/* ---- the verdict against what padding does ---- */

enum { PADDED_ROWS = 8, PADDED_DIM = 64 };

/* How near the padded attention came to the true one, over all rows. */
typedef struct nearness {
    double cosine, error; /* error: |padded - true| / |true| */
} nearness;

/* Full attention over `padded` keys of which those from `seqlen` on are zero, as a kernel without a
 * mask computes it, against fp64 over the keys that are there. */
static nearness padding_tried(int seqlen, int padded)
{
    size_t keys = (size_t)padded * PADDED_DIM, i;
    float *k = (float *)calloc(keys, sizeof *k), *v = (float *)calloc(keys, sizeof *v);
    double *wide_k = (double *)calloc(keys, sizeof *wide_k);
    double *wide_v = (double *)calloc(keys, sizeof *wide_v);
    double *work = (double *)calloc((size_t)padded, sizeof *work);
    float q[PADDED_ROWS * PADDED_DIM], out[PADDED_ROWS * PADDED_DIM];
    double dot = 0, norm = 0, expected = 0, apart = 0;
    nearness n;
    int r, d;
    aiter_flash_attn_fwd_args a;
    for (i = 0; i < (size_t)seqlen * PADDED_DIM; i++) {
        wide_k[i] = k[i] = (float)rng_unit(i);
        wide_v[i] = v[i] = (float)(0.5 + rng_unit(i + 100000007));
    }
    for (i = 0; i < PADDED_ROWS * PADDED_DIM; i++) {
        q[i] = (float)((1 + (double)(i / PADDED_DIM)) * rng_unit(i + 900000011));
    }
    memset(out, 0, sizeof out);
    memset(&a, 0, sizeof a);
    a.q = aiter_tensor_4d(q, AITER_F32, 1, PADDED_ROWS, 1, PADDED_DIM);
    a.kv.k = aiter_tensor_4d(k, AITER_F32, 1, padded, 1, PADDED_DIM);
    a.kv.v = aiter_tensor_4d(v, AITER_F32, 1, padded, 1, PADDED_DIM);
    a.out = aiter_tensor_4d(out, AITER_F32, 1, PADDED_ROWS, 1, PADDED_DIM);
    CHECK(aiter_flash_attn_fwd(&a, NULL) == AITER_OK, "%s", aiter_last_error());
    for (r = 0; r < PADDED_ROWS; r++) {
        double wide_q[PADDED_DIM], want[PADDED_DIM], sum_abs[PADDED_DIM], lse;
        ref_facts facts;
        ref_row row;
        memset(&row, 0, sizeof row);
        for (d = 0; d < PADDED_DIM; d++) wide_q[d] = q[r * PADDED_DIM + d];
        row.sq = PADDED_ROWS;
        row.i = r;
        row.sk = seqlen;
        row.dq = row.dv = PADDED_DIM;
        row.q = wide_q;
        row.k = wide_k;
        row.v = wide_v;
        row.mask.kind = AITER_MASK_NONE;
        row.scale = 1 / sqrt((double)PADDED_DIM);
        ref_attention_row(&row, work, want, sum_abs, &lse, &facts);
        for (d = 0; d < PADDED_DIM; d++) {
            double got = out[r * PADDED_DIM + d];
            dot += got * want[d];
            norm += got * got;
            expected += want[d] * want[d];
            apart += (got - want[d]) * (got - want[d]);
        }
    }
    free(k);
    free(v);
    free(wide_k);
    free(wide_v);
    free(work);
    n.cosine = dot / sqrt(norm * expected);
    n.error = sqrt(apart / expected);
    return n;
}

/* Safe is near, unsafe is not: what the threshold is for. */
static void verdicts(void)
{
    nearness good = padding_tried(32760, 32768), bad = padding_tried(129, 256);
    guard(32760, 128, AITER_MASK_NONE, 0, 8.0 / 32768, 1);
    CHECK(good.cosine >= 0.9999 && good.error < 0.005, "32,760 of 32,768: cosine %.7f, error %.5f",
          good.cosine, good.error);
    guard(129, 128, AITER_MASK_NONE, 0, 127.0 / 256, 0);
    CHECK(bad.cosine < 0.9999 && bad.error > 0.1, "129 of 256: cosine %.7f, error %.5f", bad.cosine,
          bad.error);
    test_say(
        "padding: 32,760 of 32,768 cosine %.7f, error %.5f; 129 of 256 cosine %.7f, error %.5f\n",
        good.cosine, good.error, bad.cosine, bad.error);
}

/* What is 0 stands for a tile of 128 and a threshold of 0.005; a causal mask is always safe. */
static void defaults(void)
{
    int64_t n;
    for (n = 1; n < 400; n += 7) {
        const int64_t padding = (128 - n % 128) % 128;
        const double ratio = (double)padding / (double)(n + padding);
        guard(n, 0, AITER_MASK_NONE, 0.9999, ratio, 1);
        guard(n, 0, AITER_MASK_DEFAULT, 1e-9, ratio, padding == 0);
        guard(n, 128, AITER_MASK_CAUSAL, 1e-9, ratio, 1);
        guard(n, 0, AITER_MASK_CAUSAL, 0, ratio, 1);
    }
    for (n = 10; n < 2000; n += 13) { /* from 1 in 10 to 1 in 2000 */
        guard(n - 1, n, AITER_MASK_NONE, 0, 1 / (double)n, n >= 200);
        guard(n - 1, n, AITER_MASK_CAUSAL, 0, 1 / (double)n, 1);
    }
}

int main(void)
{
    int64_t s, tile;
    test_begin("padding_guard", 1);
    verdicts();
    defaults();
    guard(128, 0, AITER_MASK_DEFAULT, 0, 0, 1);
    guard(100, 0, AITER_MASK_DEFAULT, 0, 28.0 / 128, 0);
    guard(100, 0, AITER_MASK_CAUSAL, 0, 28.0 / 128, 1);
    guard(1, 0, AITER_MASK_NONE, 0, 127.0 / 128, 0);
    guard(129, 128, AITER_MASK_NONE, 0, 127.0 / 256, 0);
    guard(9450, 128, AITER_MASK_NONE, 0, 22.0 / 9472, 1);
    guard(9450, 128, AITER_MASK_NONE, 0.002, 22.0 / 9472, 0);
    guard(3, 4, AITER_MASK_NONE, 0.25, 0.25, 1); /* the threshold itself is allowed */
    guard(199, 200, AITER_MASK_NONE, 0, 0.005, 1);
    guard(INT64_MAX, 1, AITER_MASK_NONE, 0, 0, 1);
    guard((INT64_C(1) << 62) - 1, INT64_C(1) << 61, AITER_MASK_NONE, 0, ldexp(1, -62), 1);
    for (tile = 1; tile < 40; tile++) {
        for (s = 1; s < 100; s++) {
            int64_t padded = s;
            volatile double ratio; /* no excess precision */
            while (padded % tile) padded++;
            ratio = (double)(padded - s) / (double)padded;
            guard(s, tile, AITER_MASK_NONE, 0.3, ratio, ratio <= 0.3);
        }
    }
    refused(0, 0, 0, 0, "seqlen");
    refused(-1, 0, 0, 0, "seqlen");
    refused(INT64_MIN, 0, 0, 0, "seqlen");
    refused(5, -1, 0, 0, "tile");
    for (tile = 2; tile < 128; tile++) { /* the last of them that fits, and one more */
        s = INT64_MAX / tile * tile;
        guard(s, tile, AITER_MASK_NONE, 0, 0, 1);
        if (s < INT64_MAX) refused(s + 1, tile, 0, 0, "seqlen");
    }
    refused(INT64_MAX, 2, 0, 0, "seqlen");
    refused(INT64_MAX - 1, 128, 0, 0, "seqlen");
    refused(5, 4, AITER_MASK_WINDOW, 0, "mask");
    refused(5, 4, AITER_MASK_CAUSAL_TOP_LEFT, 0, "mask");
    refused(5, 4, 99, 0, "mask");
    refused(5, 4, -1, 0, "mask");
    refused(5, 4, 0, -0.1, "threshold");
    refused(5, 4, 0, 1, "threshold");
    refused(5, 4, 0, double_of_bits(BITS_NAN), "threshold");
    refused(5, 4, 0, double_of_bits(BITS_INF), "threshold");
    CHECK(aiter_padding_guard(NULL, NULL, NULL) == AITER_INVALID_ARGUMENT, "NULL args");
    return test_end();
}
