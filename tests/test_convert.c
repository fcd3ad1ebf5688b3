/* test_convert.c -- every tier of this machine: its row conversions give the scalar bits for every
 * type, length and alignment and touch nothing else; its vector layer does what the scalar one
 * does; exp2 and tanh keep their bounds. All again with subnormals flushed. */
#include "float_formats.h"

/* ---- exp2 and tanh: error in units of the last place of the exact value ---- */

typedef struct vector_report {
    const char *tier, *mode;
    double exp2_error, exp2_bound;
    double tanh_error, tanh_bound;
} vector_report;

typedef uint32_t (*bits_fn)(uint32_t x);

static double error_in_ulp(uint32_t got, double exact)
{
    const int exponent = (int)(bits_of_double(exact) >> 52 & 0x7ff) - 1023;
    double x;
    if ((got & 0x7fffffff) >= 0x7f800000) return 1e9;
    x = value_of_f32_bits(got & 0x7fffffff) * (got >> 31 ? -1 : 1);
    return fabs(x - exact) / ldexp(1.0, (exponent < -126 ? -126 : exponent) - 23);
}

static int not_nan(uint32_t u) { return (u & 0x7fffffff) <= 0x7f800000; }

/* Where a function is looked at: the sizes from one of these bit patterns to the next. */
static const uint32_t size_steps[] = {0,          0x3c000000, 0x3e000000, 0x3f000000, 0x3f200000,
                                      0x3f300000, 0x3f380000, 0x3f400000, 0x3f800000, 0x40000000,
                                      0x40800000, 0x41800000, 0x43000000, 0x7f800000};
enum { SIZE_STEPS = 13, EXP2_STEPS = 12 };

static void check_exp2_size(bits_fn exp2_of, vector_report *r, int step)
{
    const uint32_t stride = test_is_slow() ? 100003 : 997, minus = 0x80000000;
    double worst = 0;
    uint32_t a;
    for (a = size_steps[step]; a < size_steps[step + 1]; a += stride) {
        const double x = value_of_f32_bits(a);
        double e = error_in_ulp(exp2_of(a), exp2(x));
        if (e > worst) worst = e;
        if (x > 126) continue;
        e = error_in_ulp(exp2_of(a | minus), exp2(-x));
        if (e > worst) worst = e;
    }
    CHECK(worst < r->exp2_bound, "%s%s: exp2 is %g ulp off from %g on", r->tier, r->mode, worst,
          value_of_f32_bits(size_steps[step]));
    if (worst > r->exp2_error) r->exp2_error = worst;
}

static void check_exp2(bits_fn exp2_of, vector_report *r)
{
    const uint32_t stride = test_is_slow() ? 1000003 : 997, inf = 0x7f800000, minus = 0x80000000;
    uint32_t a;
    int n, bad = 0;
    for (n = 0; n < EXP2_STEPS; n++) check_exp2_size(exp2_of, r, n);
    for (n = -126; n < 128; n++)
        CHECK(exp2_of(bits_of_float((float)n)) == (uint32_t)(n + 127) << 23,
              "%s%s: exp2 of %d is not exact", r->tier, r->mode, n);
    for (n = 1; n <= 20; n++) /* just below the last normal result, and far */
        CHECK(exp2_of(bits_of_float(-126.0f) + (uint32_t)(n * n * n)) == 0,
              "%s%s: exp2 below -126 is not +0", r->tier, r->mode);
    for (a = 0xc2fc0001; a < 0xff800000; a += stride) bad += exp2_of(a) != 0;
    CHECK(bad == 0 && exp2_of(inf | minus) == 0, "%s%s: exp2 of %d arguments below -126 is not +0",
          r->tier, r->mode, bad);
    for (a = 0x43000000; a < inf; a += 0x02000000) {
        const uint32_t next = a + 0x02000000 < inf ? a + 0x02000000 : inf;
        uint32_t x;
        for (x = a, bad = 0; x < next; x += stride) bad += exp2_of(x) != inf;
        CHECK(bad == 0, "%s%s: exp2 of %d arguments from %g on is not infinity", r->tier, r->mode,
              bad, value_of_f32_bits(a));
    }
    CHECK(exp2_of(inf) == inf, "%s%s: exp2 of infinity", r->tier, r->mode);
    bad = 0;
    for (a = inf + 1; a < minus; a += 65521)
        bad += not_nan(exp2_of(a)) + not_nan(exp2_of(a | minus));
    CHECK(bad == 0, "%s%s: exp2 of %d NaN is a number", r->tier, r->mode, bad);
}

static void check_tanh_size(bits_fn tanh_of, vector_report *r, int step)
{
    const uint32_t stride = test_is_slow() ? 100003 : 997, minus = 0x80000000;
    uint32_t a = size_steps[step];
    double worst = 0;
    int bad = 0;
    if (a == 0) a = test_is_flushing() ? 0x00800000 : 1;
    for (; a < size_steps[step + 1]; a += stride) {
        const uint32_t y = tanh_of(a);
        const double e = error_in_ulp(y, tanh(value_of_f32_bits(a)));
        if (e > worst) worst = e;
        bad += tanh_of(a | minus) != (y | minus);
    }
    CHECK(worst < r->tanh_bound, "%s%s: tanh is %g ulp off from %g on", r->tier, r->mode, worst,
          value_of_f32_bits(size_steps[step]));
    CHECK(bad == 0, "%s%s: tanh is not odd at %d places", r->tier, r->mode, bad);
    if (worst > r->tanh_error) r->tanh_error = worst;
}

static void check_tanh(bits_fn tanh_of, vector_report *r)
{
    const uint32_t minus = 0x80000000;
    uint32_t a;
    int step, bad = 0;
    for (step = 0; step < SIZE_STEPS; step++) check_tanh_size(tanh_of, r, step);
    CHECK(tanh_of(0) == 0 && tanh_of(minus) == minus, "%s%s: tanh of zero", r->tier, r->mode);
    CHECK(tanh_of(0x7f800000) == 0x3f800000 && tanh_of(0xff800000) == 0xbf800000,
          "%s%s: tanh of infinity", r->tier, r->mode);
    for (a = 0x7f800001; a < minus; a += 65521)
        bad += not_nan(tanh_of(a)) + not_nan(tanh_of(a | minus));
    CHECK(bad == 0, "%s%s: tanh of %d NaN is a number", r->tier, r->mode, bad);
}

static void check_math(bits_fn exp2_of, bits_fn tanh_of, vector_report *r)
{
    check_exp2(exp2_of, r);
    check_tanh(tanh_of, r);
}

/* ---- the vector layer, stamped per tier ---- */

static uint32_t lane_bits(const float *lanes, int i)
{
    uint32_t u;
    memcpy(&u, lanes + i, sizeof u);
    return u;
}

/* Where the kernels are linked, their vector layers are stamped here. */
AITERI_NUMERICS_BEGIN
#define AITERI_K(name) AITERI_CAT(aiteri_scalar, name)
#define AITERI_LANES   1
#ifdef AITER_TEST_LINKED
#include "src/cpu/simd_scalar.h"
#include "src/cpu/k_math.inl.h"
#endif
#include "vector_layer.inl.h"
#undef AITERI_K
#undef AITERI_LANES
#undef AITERI_SQUARES
#undef AITERI_SPREAD
#if AITERI_X86
AITERI_TARGET_BEGIN(AITERI_TARGET_AVX2)
#define AITERI_K(name) AITERI_CAT(aiteri_avx2, name)
#define AITERI_LANES   8
#ifdef AITER_TEST_LINKED
#include "src/cpu/simd_avx2.h"
#include "src/cpu/k_math.inl.h"
#endif
#include "vector_layer.inl.h"
#undef AITERI_K
#undef AITERI_LANES
#undef AITERI_SQUARES
#undef AITERI_SPREAD
AITERI_TARGET_END
AITERI_TARGET_BEGIN(AITERI_TARGET_AVX512)
#define AITERI_K(name) AITERI_CAT(aiteri_avx512, name)
#define AITERI_LANES   16
#ifdef AITER_TEST_LINKED
#include "src/cpu/simd_avx512.h"
#include "src/cpu/k_math.inl.h"
#endif
#include "vector_layer.inl.h"
#undef AITERI_K
#undef AITERI_LANES
#undef AITERI_SQUARES
#undef AITERI_SPREAD
AITERI_TARGET_END
#endif
#if AITERI_NEON
#define AITERI_K(name) AITERI_CAT(aiteri_neon, name)
#define AITERI_LANES   4
#ifdef AITER_TEST_LINKED
#include "src/cpu/simd_neon.h"
#include "src/cpu/k_math.inl.h"
#endif
#include "vector_layer.inl.h"
#undef AITERI_K
#undef AITERI_LANES
#undef AITERI_SQUARES
#undef AITERI_SPREAD
#endif
AITERI_NUMERICS_END

static void check_layer(aiter_isa isa, vector_report *report)
{
    switch (isa) {
#if AITERI_X86
    case AITER_ISA_AVX2: aiteri_avx2_check_layer(report); break;
    case AITER_ISA_AVX512:
    case AITER_ISA_AVX512_BF16: /* whose own kernels are those of blocks */
        aiteri_avx512_check_layer(report);
        break;
#endif
#if AITERI_NEON
    case AITER_ISA_NEON: aiteri_neon_check_layer(report); break;
#endif
    default: aiteri_scalar_check_layer(report); break;
    }
}

/* ---- rows of every storage type ---- */

static const aiter_dtype row_types[] = {AITER_F32,       AITER_F16,         AITER_BF16,
                                        AITER_F8_E4M3FN, AITER_F8_E4M3FNUZ, AITER_F8_E5M2,
                                        AITER_I8,        AITER_I4,          AITER_F4_E2M1};
enum { ROW_TYPES = 9, LONGEST = 161 };

static size_t row_bytes(aiter_dtype dtype, int n)
{
    return ((size_t)n * (size_t)aiter_dtype_bits(dtype) + 7) / 8;
}

/* f32 patterns with much in them: both sides of every tie of every format, NaN, infinities. */
static int64_t make_patterns(float *x, int64_t room)
{
    int64_t n = 0, i;
    int t;
    for (t = 0; t < FLOAT_FORMATS; t++) {
        const float_format *f = &float_formats[t];
        const uint32_t step = f->last > 0x100 ? (test_is_slow() ? 97 : 1) : 1;
        uint32_t code;
        for (code = 0; code <= f->last && n + 6 <= room; code += step) {
            const uint32_t tie = format_tie(f, code);
            int d;
            for (d = -1; d <= 1; d++, n += 2) {
                x[n] = float_of_bits(tie + (uint32_t)d);
                x[n + 1] = float_of_bits((tie + (uint32_t)d) ^ 0x80000000);
            }
        }
    }
    for (i = 0; i < 20000 && n < room; i++) x[n++] = float_of_bits((uint32_t)test_mix((uint64_t)i));
    for (i = -1200; i <= 1200 && n < room; i++) x[n++] = (float)i * 0.125f;
    for (i = 0; i < 64 && n < room; i++)
        x[n++] = float_of_bits(0x7f800000u + (uint32_t)(i / 2) * 0x40021u + (i & 1) * 0x80000000u);
    return n;
}

static void check_all_values(const aiteri_kernels *k, aiter_dtype dtype, const char *mode)
{
    enum { ROOM = 500000, CODES = 65536, PARTS = 9 }; /* odd: both signs in each */
    const int bits = aiter_dtype_bits(dtype);
    const int64_t codes = bits == 32 ? 0 : bits == 4 ? 512 : (int64_t)1 << bits;
    float *x = (float *)malloc(ROOM * sizeof *x), *y = (float *)malloc(ROOM * sizeof *y);
    uint8_t *row = (uint8_t *)malloc(ROOM * sizeof *x), *one = (uint8_t *)malloc(ROOM * sizeof *x);
    int64_t i, n;
    int part;
    for (i = 0; i < CODES; i++) {
        const uint16_t half = (uint16_t)i;
        if (bits == 16)
            memcpy(row + 2 * i, &half, 2);
        else
            row[i] = (uint8_t)i;
    }
    k->widen[dtype](x, row, codes);
    for (part = 0; part < PARTS; part++) {
        int64_t bad = 0;
        for (i = part; i < codes; i += PARTS)
            bad += lane_bits(x, (int)i) != aiteri_load_bits(dtype, row, i);
        CHECK(bad == 0, "%s%s: widening %s: %lld codes wrong", k->name, mode,
              aiter_dtype_name(dtype), (long long)bad);
    }
    n = make_patterns(x, ROOM);
    memset(row, 0, ROOM * sizeof *x);
    memset(one, 0, ROOM * sizeof *x);
    k->narrow[dtype](row, x, n);
    for (i = 0; i < n; i++) aiteri_store_bits(dtype, one, i, lane_bits(x, (int)i));
    for (part = 0; part < PARTS; part++) {
        int64_t bad = 0;
        for (i = part; i < n; i += PARTS)
            bad += aiteri_load_bits(dtype, row, i) != aiteri_load_bits(dtype, one, i);
        CHECK(bad == 0, "%s%s: narrowing to %s: %lld of %lld values wrong", k->name, mode,
              aiter_dtype_name(dtype), (long long)bad, (long long)n);
    }
    free(x);
    free(y);
    free(row);
    free(one);
}

/* Rows that end at an unreadable page, every length, source and target at every offset mod 4. */
static void check_lengths(const aiteri_kernels *k, aiter_dtype dtype, const char *mode)
{
    const size_t element = row_bytes(dtype, 1);
    int n, i, bad = 0;
    for (n = 0; n <= LONGEST; n += test_is_slow() && n > 40 ? 17 : 1) {
        const size_t bytes = row_bytes(dtype, n), shift = (size_t)(n % 4);
        test_buffer row = buffer_new(bytes + shift * element), wide;
        wide = buffer_new(((size_t)n + shift) * sizeof(float));
        uint8_t *p = row.data;
        float *x = (float *)(void *)wide.data;
        for (i = 0; i < (int)bytes; i++) p[i] = (uint8_t)test_mix((uint64_t)(n * 1000 + i));
        k->widen[dtype](x, p, n);
        for (i = 0; i < n; i++) bad += lane_bits(x, (int)i) != aiteri_load_bits(dtype, p, i);
        p += shift * element; /* the same row, pushed against the unreadable page */
        for (i = 0; i < (int)bytes; i++) p[i] = (uint8_t)test_mix((uint64_t)(n * 1000 + i));
        k->widen[dtype](x + shift, p, n);
        for (i = 0; i < n; i++) bad += lane_bits(x + shift, i) != aiteri_load_bits(dtype, p, i);
        CHECK(bad == 0, "%s%s: widening %d of %s", k->name, mode, n, aiter_dtype_name(dtype));

        for (i = 0; i < n; i++) x[shift + (size_t)i] = (float)(rng_unit((uint64_t)i) * 9);
        memset(row.data, 0x5b, bytes + shift * element);
        k->narrow[dtype](p, x + shift, n);
        for (i = 0; i < n; i++) {
            uint8_t one[4] = {0, 0, 0, 0};
            aiteri_store_bits(dtype, one, 0, lane_bits(x + shift, i));
            bad += aiteri_load_bits(dtype, p, i) != aiteri_load_bits(dtype, one, 0);
        }
        if (aiter_dtype_bits(dtype) == 4 && n % 2) bad += p[n / 2] >> 4 != 5;
        for (i = 0; i < (int)(shift * element); i++) bad += row.data[i] != 0x5b;
        CHECK(bad == 0, "%s%s: narrowing %d to %s", k->name, mode, n, aiter_dtype_name(dtype));
        CHECK(buffer_guard_is_whole(&row) && buffer_guard_is_whole(&wide),
              "%s%s: %d of %s writes in front", k->name, mode, n, aiter_dtype_name(dtype));
        buffer_free(&row);
        buffer_free(&wide);
    }
}

int main(void)
{
    aiter_isa tiers[AITER_ISA_COUNT];
    int count, t, d, flush;
    test_begin("test_convert", 4e9);
    count = test_tiers(tiers);
    for (flush = 0; flush < 2; flush++) {
        const char *mode = flush ? " (flushing)" : "";
        if (!test_flush_subnormals(flush)) continue;
        for (t = 0; t < count; t++) {
            const aiteri_kernels *k = aiteri_kernels_of(tiers[t]);
            const double exp2_bound = k->lanes > 1 ? 0.8 : 1.1; /* one lane: perhaps no FMA */
            vector_report report = {k->name, mode, 0, exp2_bound, 0, 2.0};
            for (d = 0; d < ROW_TYPES; d++) {
                check_all_values(k, row_types[d], mode);
                check_lengths(k, row_types[d], mode);
            }
            check_layer(tiers[t], &report);
            test_say("%s%s: exp2 %.3f ulp (bound %g), tanh %.3f ulp (bound %g)\n", k->name, mode,
                     report.exp2_error, report.exp2_bound, report.tanh_error, report.tanh_bound);
        }
        for (d = 0; d < AITER_DTYPE_COUNT; d++) {
            const int rows = (d > 0 && d <= AITER_I4) || d == AITER_F4_E2M1;
            CHECK(!aiteri_kernels_of(tiers[0])->widen[d] == !rows, "widen row %d", d);
            CHECK(!aiteri_kernels_of(tiers[0])->narrow[d] == !rows, "narrow row %d", d);
        }
    }
    test_flush_subnormals(0);
    return test_end();
}
