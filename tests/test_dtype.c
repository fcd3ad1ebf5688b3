/* test_dtype.c -- one element of every storage type, against its definition: all codes, all ties
 * and their neighbours, a sweep of f32, NaN, infinities, saturation; again with subnormals flushed.
 */
#include "float_formats.h"

static float widen_one(const float_format *f, uint32_t code)
{
    const uint16_t half = (uint16_t)code;
    const uint8_t byte = (uint8_t)code;
    return aiteri_load_f32(f->dtype, f->bits == 16 ? (const void *)&half : (const void *)&byte, 0);
}

static uint32_t narrow_one(const float_format *f, uint32_t u)
{
    uint16_t half = 0;
    uint8_t byte = 0;
    aiteri_store_f32(f->dtype, f->bits == 16 ? (void *)&half : (void *)&byte, 0, float_of_bits(u));
    return f->bits == 16 ? half : byte;
}

static void check_every_code(const float_format *f, const char *mode)
{
    const char *name = aiter_dtype_name(f->dtype);
    const uint32_t top = 1u << (f->bits - 1);
    uint32_t code;
    for (code = 0; code < 2 * top; code++) {
        const uint32_t u = bits_of_float(widen_one(f, code)), sign = u >> 31;
        const uint32_t magnitude = code & (top - 1);
        const int infinite = magnitude == f->infinity && magnitude;
        uint32_t expected, back;
        if (format_is_nan(f, code)) {
            CHECK((u & 0x7fffffff) > 0x7f800000 && sign == code / top, "%s%s %#x: NaN is %#x", name,
                  mode, code, u);
            CHECK(narrow_one(f, u | 0x400000) != 0 && format_is_nan(f, narrow_one(f, u)),
                  "%s%s %#x: NaN comes back as %#x", name, mode, code, narrow_one(f, u));
            continue;
        }
        expected = infinite ? 0x7f800000 : f32_bits_of_value(format_value(f, magnitude));
        back = infinite ? f->overflow | (code & top) : code;
        expected |= (code / top) << 31;
        CHECK(u == expected, "%s%s %#x: %#x, expected %#x", name, mode, code, u, expected);
        CHECK(narrow_one(f, u) == back, "%s%s %#x comes back as %#x", name, mode, code,
              narrow_one(f, u));
    }
}

/* One pattern with both signs; ascending patterns share a cursor. Returns the number of errors. */
static int check_pattern(const float_format *f, uint32_t a, uint32_t *cursor, const char *mode)
{
    const uint32_t code = format_nearest(f, a, cursor);
    int wrong = 0, sign;
    for (sign = 0; sign < 2; sign++) {
        const uint32_t u = a | (uint32_t)sign << 31;
        const uint32_t expected = format_with_sign(f, u, code), got = narrow_one(f, u);
        if (got == expected) continue;
        wrong++;
        CHECK(0, "%s%s: f32 %#x gives %#x, expected %#x", aiter_dtype_name(f->dtype), mode, u, got,
              expected);
    }
    return wrong;
}

static void check_ties(const float_format *f, const char *mode)
{
    uint32_t cursor = 0, code;
    for (code = 0; code <= f->last; code++) {
        const uint32_t tie = format_tie(f, code);
        int wrong = 0;
        if (tie > 0) wrong += check_pattern(f, tie - 1, &cursor, mode);
        wrong += check_pattern(f, tie, &cursor, mode);
        wrong += check_pattern(f, tie + 1, &cursor, mode);
        CHECK(wrong == 0, "%s%s: around the tie above %#x", aiter_dtype_name(f->dtype), mode, code);
    }
}

static void check_sweep(const float_format *f, uint32_t stride, const char *mode)
{
    const char *name = aiter_dtype_name(f->dtype);
    uint32_t cursor = 0, a, step;
    int64_t wrong = 0, n = 0;
    for (a = 0; a <= 0x7f800000; a += stride, n++) wrong += check_pattern(f, a, &cursor, mode);
    wrong += check_pattern(f, 0x7f7fffff, &cursor, mode);
    wrong += check_pattern(f, 0x7f800000, &cursor, mode);
    CHECK(wrong == 0, "%s%s: %lld wrong in a sweep of %lld", name, mode, (long long)wrong,
          (long long)n);
    for (wrong = 0, step = 1; step < 0x800000; step += stride / 4 + 1) {
        wrong += !format_is_nan(f, narrow_one(f, 0x7f800000 + step));
        wrong += !format_is_nan(f, narrow_one(f, 0xff800000 + step));
    }
    CHECK(wrong == 0, "%s%s: %lld NaN lost", name, mode, (long long)wrong);
}

/* The nearest integer by definition: the one at distance below a half, the even one at a half. */
static int64_t nearest_integer(double x, double low, double high)
{
    double below;
    if (x <= low) return (int64_t)low;
    if (x >= high) return (int64_t)high;
    below = floor(x);
    if (x - below > 0.5 || (x - below == 0.5 && fmod(below, 2) != 0)) below += 1;
    return (int64_t)below;
}

static void check_integers(const char *mode)
{
    static const struct {
        aiter_dtype dtype;
        double low, high;
    } types[] = {{AITER_I8, -127, 127},
                 {AITER_I4, -7, 7},
                 {AITER_U8, 0, 255},
                 {AITER_I32, -2147483648.0, 2147483647.0}};
    static const uint32_t strange[] = {0x7fc00000, 0xffc00000, 0x7f800001, 0xff800001};
    int t, i, half;
    for (t = 0; t < 4; t++) {
        for (i = -3000; i <= 3000; i++) {
            const float x = (float)i * 0.125f;
            const double expected = (double)nearest_integer(x, types[t].low, types[t].high);
            int32_t cell[2] = {0, 0};
            aiteri_store_f32(types[t].dtype, cell, 1, x);
            CHECK((double)aiteri_load_f32(types[t].dtype, cell, 1) == expected, "%s%s: %g gives %g",
                  aiter_dtype_name(types[t].dtype), mode, (double)x,
                  (double)aiteri_load_f32(types[t].dtype, cell, 1));
        }
        for (i = 0; i < 4; i++) {
            int32_t cell = -1;
            aiteri_store_f32(types[t].dtype, &cell, 0, float_of_bits(strange[i]));
            CHECK(aiteri_load_f32(types[t].dtype, &cell, 0) == 0.0f, "%s%s: NaN is not 0",
                  aiter_dtype_name(types[t].dtype), mode);
        }
        for (i = 0; i < 2; i++) {
            int32_t cell = 0;
            const float x = float_of_bits(0x7f800000 | (uint32_t)i << 31);
            const double edge = i ? types[t].low : types[t].high;
            aiteri_store_f32(types[t].dtype, &cell, 0, x);
            CHECK(aiteri_load_f32(types[t].dtype, &cell, 0) == (float)edge, "%s%s: infinity",
                  aiter_dtype_name(types[t].dtype), mode);
        }
    }
    for (i = 0; i < 256; i++) {
        uint8_t byte = (uint8_t)i;
        for (half = 0; half < 2; half++) {
            const int nibble = half ? i >> 4 : i & 15;
            const float expected = (float)(nibble < 8 ? nibble : nibble - 16);
            CHECK(aiteri_load_f32(AITER_I4, &byte, half) == expected, "i4 %#x half %d", i, half);
            aiteri_store_f32(AITER_I4, &byte, half, 3.0f);
            CHECK(byte == (half ? (0x30 | (i & 15)) : ((i & 0xf0) | 3)),
                  "i4 %#x: storing half %d gives %#x", i, half, byte);
            byte = (uint8_t)i;
        }
    }
}

static void check_wide_integers(void)
{
    const int64_t longs[3] = {-5, 1ll << 40, INT64_MIN};
    int64_t cell = 0;
    int i;
    for (i = 0; i < 3; i++) {
        CHECK(aiteri_load_f32(AITER_I64, longs, i) == (float)longs[i], "i64 %d", i);
        aiteri_store_f32(AITER_I64, &cell, 0, (float)longs[i]);
        CHECK(cell == longs[i], "i64 %d comes back as %" PRId64, i, cell);
    }
    aiteri_store_f32(AITER_I64, &cell, 0, 1e30f);
    CHECK(cell == INT64_MAX, "i64 saturates to %" PRId64, cell);
}

static void check_table(void)
{
    static const char *const names[AITER_DTYPE_COUNT] = {
        "unset", "f32", "f16", "bf16", "f8_e4m3fn", "f8_e4m3fnuz", "f8_e5m2",
        "i8",    "i4",  "i32", "i64",  "u8",        "f4_e2m1",     "f8_e8m0"};
    static const int bits[AITER_DTYPE_COUNT] = {0, 32, 16, 16, 8, 8, 8, 8, 4, 32, 64, 8, 4, 8};
    float f = 1.5f;
    int d;
    for (d = 0; d < AITER_DTYPE_COUNT; d++) {
        CHECK(aiter_dtype_bits((aiter_dtype)d) == bits[d], "bits of %s", names[d]);
        CHECK(strcmp(aiter_dtype_name((aiter_dtype)d), names[d]) == 0, "name of %s is %s", names[d],
              aiter_dtype_name((aiter_dtype)d));
    }
    for (d = -1; d <= 1000; d += 1001) {
        CHECK(aiter_dtype_bits((aiter_dtype)d) == 0, "bits of dtype %d", d);
        CHECK(strcmp(aiter_dtype_name((aiter_dtype)d), "unknown") == 0, "name of dtype %d", d);
    }
    aiteri_store_bits(AITER_F32, &f, 0, 0x7f800001);
    CHECK(aiteri_load_bits(AITER_F32, &f, 0) == 0x7f800001, "f32 keeps its bits");
}

int main(void)
{
    int flush, i;
    test_begin("test_dtype", 4e9);
    check_table();
    check_wide_integers();
    for (flush = 0; flush < 2; flush++) {
        const char *mode = flush ? " (flushing)" : "";
        if (!test_flush_subnormals(flush)) continue;
        for (i = 0; i < FLOAT_FORMATS; i++) {
            const float_format *f = &float_formats[i];
            const uint32_t fine = i == 0 && !flush ? 1u << 8 : 1u << 12;
            check_every_code(f, mode);
            check_ties(f, mode);
            check_sweep(f, test_is_slow() ? 65521 : fine - 1, mode);
        }
        check_integers(mode);
    }
    test_flush_subnormals(0);
    return test_end();
}
