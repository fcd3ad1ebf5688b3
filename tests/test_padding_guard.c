/* test_padding_guard.c -- the share of padding in a sequence and the verdict on it. */
#include "test.h"

#include <math.h>

static void guard(int64_t seqlen, int64_t tile, aiter_mask mask, double threshold, double ratio,
                  int32_t safe)
{
    aiter_padding_guard_args a;
    double got_ratio = -1;
    int32_t got_safe = -1;
    aiter_status status;
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

int main(void)
{
    int64_t s, tile;
    test_begin("padding_guard", 1);
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
