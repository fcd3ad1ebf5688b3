/* test_quantize.c -- aiter_quantize and aiter_dequantize against the definitions: all codes, ties,
 * NaN, infinity, groups of zeros and of equals, every granularity, strides, kernel sets and
 * threads; answers known from elsewhere; each refusal. */
#include "quant_reference.h"

/* ---- sweeps ---- */

static const aiter_dtype code_types[] = {AITER_F8_E4M3FN, AITER_F8_E4M3FNUZ, AITER_F8_E5M2,
                                         AITER_I8,        AITER_I4,          AITER_F4_E2M1};

/* Each type of codes with each type of scales it takes, shapes and options by turns. */
static void sweep_cases(aiter_context **contexts, int count)
{
    static const aiter_dtype reals[] = {AITER_F32, AITER_F16, AITER_BF16};
    static const aiter_dtype scales[] = {AITER_F32, AITER_F8_E8M0, AITER_F8_E4M3FN};
    static const struct {
        int n[3], d, s[3], group, ndim, flat;
    } shapes[] = {{{1, 1, 1}, 64, {1, 1, 1}, 0, 1, 0},  {{1, 1, 1}, 70, {1, 1, 1}, 32, 1, 0},
                  {{2, 5, 3}, 40, {2, 5, 3}, 0, 4, 0},  {{1, 24, 2}, 36, {1, 24, 2}, 16, 3, 0},
                  {{1, 13, 4}, 18, {1, 1, 4}, 0, 3, 1}, {{1, 13, 4}, 18, {1, 13, 1}, 0, 3, 0},
                  {{3, 4, 2}, 22, {3, 1, 2}, 0, 4, 0},  {{1, 1, 30}, 96, {1, 1, 30}, 32, 2, 0},
                  {{1, 7, 3}, 300, {1, 1, 1}, 0, 3, 1}, {{1, 9, 2}, 10, {1, 1, 2}, 1, 3, 0},
                  {{1, 3, 2}, 640, {1, 3, 2}, 0, 3, 0}, {{1, 3, 2}, 520, {1, 3, 2}, 260, 3, 0},
                  {{1, 1, 12}, 1, {1, 1, 12}, 0, 2, 0}, {{1, 2, 12}, 34, {1, 2, 12}, 3, 3, 0},
                  {{0, 2, 2}, 8, {1, 1, 1}, 0, 4, 1},   {{1, 3, 2}, 0, {1, 3, 2}, 0, 3, 0},
                  {{1, 1, 24}, 7, {1, 1, 24}, 0, 2, 0}};
    int t, k, i, n = 0;
    for (t = 0; t < COUNT(code_types); t++)
        for (k = 0; k < 3; k++)
            for (i = 0; i < COUNT(shapes); i++, n++) {
                quant_case c;
                const int fp8 = is_fp8(code_types[t]), f4 = code_types[t] == AITER_F4_E2M1;
                if ((k == 1 && !fp8 && !f4) || (k == 2 && !f4)) continue;
                memset(&c, 0, sizeof c);
                memcpy(c.n, shapes[i].n, sizeof c.n);
                memcpy(c.s, shapes[i].s, sizeof c.s);
                c.d = shapes[i].d, c.group = shapes[i].group;
                c.ndim = shapes[i].ndim, c.flat = shapes[i].flat;
                if (c.d % 2 && c.d > 1 && aiter_dtype_bits(code_types[t]) == 4 && n % 4 == 0) n++;
                c.real = reals[n % 3], c.codes = code_types[t], c.scale = scales[k];
                c.gaps = n % 4;
                if (c.d % 2 && c.gaps == 0) c.gaps = 1;
                c.seed = (uint64_t)n;
                if (k == 1)
                    c.q.scale_rounding = (aiter_scale_rounding)(n % AITER_SCALE_ROUNDING_COUNT);
                if (k == 2 && n % 2) c.global = 0.0625;
                if (k != 1) c.q.by_reciprocal = n % 5 == 0;
                if (fp8 && n % 3 == 0) c.q.overflow = AITER_OVERFLOW_TO_NAN;
                if (f4 && n % 3 == 0) c.q.rounding = AITER_ROUND_TIES_TOWARD_ZERO;
                if (n % 4 < 2) c.q.zero_block = AITER_ZERO_BLOCK_SCALE_1;
                run_case(&c, contexts, count);
            }
}

/* Every rounding of an E8M0 scale about every power of two and every mantissa that matters. */
static void sweep_e8m0(void)
{
    static const uint32_t mantissas[] = {0,        1,        0x07ffff, 0x080000, 0x1fffff, 0x200000,
                                         0x3fffff, 0x400000, 0x400001, 0x5fffff, 0x600000, 0x680000,
                                         0x700000, 0x780000, 0x7bffff, 0x7c0000, 0x7fffff};
    static float x[256 * COUNT(mantissas)];
    static uint8_t bytes[256 * COUNT(mantissas)], codes[256 * COUNT(mantissas)];
    const int n = COUNT(x);
    int t, how, i;
    for (t = 0; t < COUNT(code_types); t++)
        for (how = 0; how < AITER_SCALE_ROUNDING_COUNT; how++) {
            const aiter_dtype type = code_types[t];
            aiter_quantize_args a;
            int bad = 0;
            if (!is_fp8(type) && type != AITER_F4_E2M1) continue;
            memset(&a, 0, sizeof a);
            for (i = 0; i < n; i++) {
                const uint32_t m = mantissas[i % COUNT(mantissas)];
                x[i] = float_of_bits((uint32_t)(i / COUNT(mantissas)) << 23 | m);
            }
            a.x = aiter_tensor_2d(x, AITER_F32, n, 1);
            a.y = aiter_tensor_2d(codes, type, n, 1);
            if (type == AITER_F4_E2M1) a.y.stride[0] = 2, a.y.stride[1] = 1;
            a.scale = aiter_tensor_1d(bytes, AITER_F8_E8M0, n);
            a.quantisation.scale_rounding = (aiter_scale_rounding)how;
            CHECK(aiter_quantize(&a, NULL) == AITER_OK, "%s", aiter_last_error());
            for (i = 0; i < n; i++)
                bad += bytes[i] != byte_of_amax(x[i], type, (aiter_scale_rounding)how);
            CHECK(bad == 0, "E8M0 of %s, rounding %d: %d of %d bytes wrong", aiter_dtype_name(type),
                  how, bad, n);
        }
}

/* All codes, halfway and beside, both signs, NaN, infinity and what is beyond, under a scale of 1.
 */
static int make_numbers(aiter_dtype type, float *x)
{
    int code, d, sign, n = 0;
    for (code = 0; code <= last_code(type); code++)
        for (d = -1; d <= 1; d++)
            for (sign = 0; sign < 2; sign++) {
                const double half = (magnitude(type, code) + magnitude(type, code + 1)) / 2;
                const uint32_t at = f32_bits_of_value(magnitude(type, code));
                const uint32_t tie = f32_bits_of_value(half), s = (uint32_t)sign << 31;
                x[n++] = float_of_bits((at + (at ? (uint32_t)d : 0)) | s);
                x[n++] = float_of_bits((tie + (uint32_t)d) | s);
            }
    for (sign = 0; sign < 2; sign++) {
        x[n++] = float_of_bits(0x7fc00000 | (uint32_t)sign << 31);
        x[n++] = float_of_bits(0x7f800001 | (uint32_t)sign << 31);
        x[n++] = float_of_bits(0x7f800000 | (uint32_t)sign << 31);
        x[n++] = float_of_bits(0x7f7fffff | (uint32_t)sign << 31);
        x[n++] = sign ? -1e6f : 1e6f;
    }
    return n;
}

static void sweep_codes(aiter_context **contexts, int count)
{
    static float x[MOST], back[256];
    static uint8_t codes[2 * MOST], all[256];
    static const float one[1] = {1};
    int t, c, option, i, step;
    for (i = 0; i < 256; i++) all[i] = (uint8_t)i;
    for (t = 0; t < COUNT(code_types); t++)
        for (c = 0; c < count; c++)
            for (option = 0; option < 4; option++) {
                const aiter_dtype type = code_types[t];
                const int halves = aiter_dtype_bits(type) == 4, n = make_numbers(type, x);
                aiter_quantize_args a;
                int bad = 0, at = -1;
                memset(&a, 0, sizeof a);
                a.quantisation.scale_given = 1;
                if (option & 1 && is_fp8(type)) a.quantisation.overflow = AITER_OVERFLOW_TO_NAN;
                if (option & 1 && type == AITER_F4_E2M1)
                    a.quantisation.rounding = AITER_ROUND_TIES_TOWARD_ZERO;
                step = option & 2 && !halves ? 2 : 1;
                memset(codes, 0x11, sizeof codes);
                a.x = aiter_tensor_1d(x, AITER_F32, n);
                a.y = aiter_tensor_1d(codes, type, n);
                a.y.stride[0] = step;
                a.scale = aiter_tensor_1d(one, AITER_F32, 1);
                CHECK(aiter_quantize(&a, contexts[c]) == AITER_OK, "%s", aiter_last_error());
                for (i = 0; i < n; i++) {
                    const int wrong =
                        code_at(&a.y, (int64_t)i * step) != code_of(type, x[i], &a.quantisation);
                    if (wrong && at < 0) at = i;
                    bad += wrong;
                }
                CHECK(bad == 0, "%s, option %d: %d codes wrong, first of %g: %#x",
                      aiter_dtype_name(type), option, bad, (double)x[at < 0 ? 0 : at],
                      code_at(&a.y, (int64_t)(at < 0 ? 0 : at) * step));
                for (i = n; step == 2 && i < n; i++) bad += codes[2 * i + 1] != 0x11;
                CHECK(bad == 0, "%s: written between its elements", aiter_dtype_name(type));
                /* every code reads back as its value */
                memset(&a, 0, sizeof a);
                a.x = aiter_tensor_1d(all, type, halves ? 512 : 256);
                if (halves) a.x = aiter_tensor_slice(a.x, 0, 32 * (option & 1), 256);
                a.y = aiter_tensor_1d(back, AITER_F32, 256);
                a.scale = aiter_tensor_1d(one, AITER_F32, 1);
                CHECK(aiter_dequantize(&a, contexts[c]) == AITER_OK, "%s", aiter_last_error());
                for (i = 0; i < 256; i++) {
                    const int code = code_at(&a.x, i), low = halves ? 7 : 0x7f;
                    const int is_int = type == AITER_I8 || type == AITER_I4;
                    const int negative = code > low, m = code & low;
                    const uint32_t u = bits_of_float(back[i]);
                    double want;
                    if (is_int) {
                        bad += back[i] != (float)(negative ? code - 2 * (low + 1) : code);
                        continue;
                    }
                    if (code == nan_code(type) || (type != AITER_F8_E4M3FNUZ && is_fp8(type) &&
                                                   m > (type == AITER_F8_E5M2 ? 0x7c : 0x7e))) {
                        bad += (u & 0x7fffffff) <= 0x7f800000;
                        continue;
                    }
                    want = type == AITER_F8_E5M2 && m == 0x7c ? 0 : magnitude(type, m);
                    if (type == AITER_F8_E5M2 && m == 0x7c)
                        bad += (u & 0x7fffffff) != 0x7f800000;
                    else
                        bad += u != (f32_bits_of_value(want) | (uint32_t)negative << 31);
                }
                CHECK(bad == 0, "%s: %d codes read wrong", aiter_dtype_name(type), bad);
            }
}

/* ---- options and words ---- */

/* AITER's constant, and the rules of others on the groups that tell them apart. */
static void known_answers(void)
{
    float x[32], y[32];
    uint8_t codes[16], byte = 9;
    aiter_quantize_args a;
    int how, i;
    static const int of_six[] = {127, 127, 127, 127}, of_seven[] = {128, 127, 128, 128};
    memset(&a, 0, sizeof a);
    memset(x, 0, sizeof x);
    a.x = aiter_tensor_1d(x, AITER_F32, 32);
    a.y = aiter_tensor_1d(codes, AITER_F4_E2M1, 32);
    a.scale = aiter_tensor_1d(&byte, AITER_F8_E8M0, 1);
    a.quantisation.group = 32;
    for (how = 0; how < 4; how++)
        for (i = 6; i <= 7; i++) {
            x[3] = (float)i;
            a.quantisation.scale_rounding = (aiter_scale_rounding)how;
            CHECK(aiter_quantize(&a, NULL) == AITER_OK, "%s", aiter_last_error());
            if (how != AITER_SCALE_ROUND_CEIL)
                CHECK(byte == (i == 6 ? of_six : of_seven)[how], "%d by %d: %d", i, how, byte);
        }
    x[3] = -0.0f;
    for (how = 0; how < 2; how++) {
        a.quantisation.scale_rounding = AITER_SCALE_ROUND_UP;
        a.quantisation.zero_block = (aiter_zero_block)how;
        CHECK(aiter_quantize(&a, NULL) == AITER_OK && byte == (how ? 127 : 0), "zeros: byte %d",
              byte);
        CHECK((codes[0] & 0x0f) == 0 && codes[1] == 0x80, "zeros keep their sign: %#x", codes[1]);
    }
    x[0] = 0.75f, x[1] = 1.75f, x[2] = 3.5f, x[3] = 6.0f; /* mlx and gguf: 0.5, 1.5, 3 */
    a.quantisation.zero_block = AITER_ZERO_BLOCK_SCALE_0;
    a.quantisation.rounding = AITER_ROUND_TIES_TOWARD_ZERO;
    CHECK(aiter_quantize(&a, NULL) == AITER_OK && codes[0] == 0x31 && codes[1] == 0x75,
          "toward zero: %#x %#x", codes[0], codes[1]);
    a.quantisation.rounding = AITER_ROUND_TIES_TO_EVEN;
    CHECK(aiter_quantize(&a, NULL) == AITER_OK && codes[0] == 0x42 && codes[1] == 0x76,
          "to even: %#x %#x", codes[0], codes[1]);
    /* a NaN takes its group along, and no other */
    x[5] = float_of_bits(0xffc00000);
    CHECK(aiter_quantize(&a, NULL) == AITER_OK && byte == 255, "NaN: byte %d", byte);
    {
        aiter_dequantize_args b;
        int lost = 0;
        memset(&b, 0, sizeof b);
        b.x = a.y, b.scale = a.scale, b.quantisation.group = 32;
        b.y = aiter_tensor_1d(y, AITER_F32, 32);
        CHECK(aiter_dequantize(&b, NULL) == AITER_OK, "%s", aiter_last_error());
        for (i = 0; i < 32; i++) lost += (bits_of_float(y[i]) & 0x7fffffff) <= 0x7f800000;
        CHECK(lost == 0, "%d of 32 numbers of a NaN group are numbers", lost);
    }
}

/* The int8 rows of a cache are those of aiter_quantize; a NaN shows in their scale. */
static void cache_agrees(void)
{
    enum { T = 9, D = 35 };
    float x[T * D], scale[2][T], v_scale[T];
    int8_t codes[2][T * D], v[T * D];
    int32_t slots[T];
    aiter_quantize_args a;
    aiter_reshape_and_cache_args r;
    int i;
    for (i = 0; i < T * D; i++) x[i] = (float)rng_unit((uint64_t)i) * (float)(1 + i % 7);
    for (i = 0; i < T; i++) slots[i] = i;
    for (i = 0; i < D; i++) x[2 * D + i] = 0;
    x[5 * D + 33] = float_of_bits(0x7fc00000);
    x[6 * D + 4] = float_of_bits(0xff800000);
    memset(&a, 0, sizeof a);
    memset(&r, 0, sizeof r);
    a.x = aiter_tensor_2d(x, AITER_F32, T, D);
    a.y = aiter_tensor_2d(codes[0], AITER_I8, T, D);
    a.scale = aiter_tensor_1d(scale[0], AITER_F32, T);
    r.k = r.v = aiter_tensor_3d(x, AITER_F32, T, 1, D);
    r.kv.k = aiter_tensor_4d(codes[1], AITER_I8, 3, 3, 1, D);
    r.kv.v = aiter_tensor_4d(v, AITER_I8, 3, 3, 1, D);
    r.kv.k_scale = aiter_tensor_3d(scale[1], AITER_F32, 3, 3, 1);
    r.kv.v_scale = aiter_tensor_3d(v_scale, AITER_F32, 3, 3, 1);
    r.slot_mapping = aiter_tensor_1d(slots, AITER_I32, T);
    r.quantisation.to = AITER_I8;
    CHECK(aiter_quantize(&a, NULL) == AITER_OK, "%s", aiter_last_error());
    CHECK(aiter_reshape_and_cache(&r, NULL) == AITER_OK, "%s", aiter_last_error());
    CHECK(memcmp(codes[0], codes[1], sizeof codes[0]) == 0, "a cache has other codes");
    for (i = 0; i < T; i++)
        CHECK(i == 5 ? (bits_of_float(scale[0][i]) & bits_of_float(scale[1][i]) & 0x7fffffff) >
                           0x7f800000
                     : bits_of_float(scale[0][i]) == bits_of_float(scale[1][i]),
              "row %d: scales %g and %g", i, (double)scale[0][i], (double)scale[1][i]);
    for (i = 0; i < D; i++)
        CHECK(codes[1][5 * D + i] == 0, "NaN row: code %d", codes[1][5 * D + i]);
}

typedef struct refusal {
    const char *field;
    aiter_status status;
} refusal;

static char memory[1 << 16];

/* Good arguments: x f32 [6, 2, 32] at 0, y at 4096, scale at 8192. */
static aiter_quantize_args good_args(aiter_dtype codes, aiter_dtype scale, int group)
{
    aiter_quantize_args a;
    memset(&a, 0, sizeof a);
    memset(memory, 0x3c, sizeof memory);
    a.x = aiter_tensor_3d(memory, AITER_F32, 6, 2, 32);
    a.y = aiter_tensor_3d(memory + 4096, codes, 6, 2, 32);
    a.scale = group ? aiter_tensor_3d(memory + 8192, scale, 6, 2, 32 / group)
                    : aiter_tensor_2d(memory + 8192, scale, 6, 2);
    a.quantisation.group = group;
    return a;
}

#define REFUSES(codes, scale_type, group_size, field, status, statement)                         \
    do {                                                                                         \
        aiter_quantize_args a = good_args(codes, scale_type, group_size);                        \
        uint64_t before;                                                                         \
        CHECK(aiter_quantize(&a, NULL) == AITER_OK, "%s", aiter_last_error());                   \
        a = good_args(codes, scale_type, group_size);                                            \
        statement;                                                                               \
        before = test_hash(memory, sizeof memory);                                               \
        CHECK(aiter_quantize(&a, NULL) == (status) && strstr(aiter_last_error(), "." field ":"), \
              #statement ": %s", aiter_last_error());                                            \
        CHECK(before == test_hash(memory, sizeof memory), #statement " wrote");                  \
    } while (0)
#define BAD(field, statement) \
    REFUSES(AITER_F8_E4M3FN, AITER_F32, 0, field, AITER_INVALID_ARGUMENT, statement)
#define BAD_MX(field, statement) \
    REFUSES(AITER_F4_E2M1, AITER_F8_E8M0, 16, field, AITER_INVALID_ARGUMENT, statement)
#define BAD_NV(field, statement) \
    REFUSES(AITER_F4_E2M1, AITER_F8_E4M3FN, 16, field, AITER_INVALID_ARGUMENT, statement)

static void refusals(void)
{
    static float zero[1] = {0}, nan[1], two[2] = {1, 1};
    nan[0] = float_of_bits(0x7fc00000);
    BAD("quantisation.to", a.quantisation.to = AITER_I8);
    BAD("quantisation.to", a.quantisation.to = (aiter_dtype)77);
    BAD("quantisation.per", a.quantisation.per = AITER_SCALE_COUNT);
    BAD("quantisation.per", a.quantisation.per = AITER_SCALE_PER_TENSOR);
    BAD("quantisation.per", a.quantisation.per = AITER_SCALE_PER_HEAD);
    BAD("quantisation.per", (a.scale = aiter_tensor_1d(memory + 8192, AITER_F32, 2),
                             a.quantisation.per = AITER_SCALE_PER_TOKEN_HEAD));
    BAD("quantisation.scale_given", a.quantisation.scale_given = 2);
    BAD("quantisation.group", a.quantisation.group = -1);
    BAD("quantisation.rounding", a.quantisation.rounding = AITER_ROUNDING_COUNT);
    BAD("quantisation.rounding", a.quantisation.rounding = AITER_ROUND_TIES_TOWARD_ZERO);
    BAD("quantisation.scale_rounding", a.quantisation.scale_rounding = AITER_SCALE_ROUND_EVEN);
    BAD("quantisation.overflow", a.quantisation.overflow = AITER_OVERFLOW_COUNT);
    BAD("quantisation.zero_block", a.quantisation.zero_block = AITER_ZERO_BLOCK_COUNT);
    BAD("quantisation.zero_block",
        (a.quantisation.zero_block = AITER_ZERO_BLOCK_SCALE_1, a.quantisation.scale_given = 1));
    BAD("quantisation.by_reciprocal", a.quantisation.by_reciprocal = -1);
    BAD("scale", a.quantisation.group = 16);
    BAD("scale", a.scale.shape[0] = 5);
    BAD("scale", a.scale.ndim = 0);
    BAD("scale", a.scale = aiter_tensor_1d(memory + 8192, AITER_F32, 6));
    BAD("scale", (a.quantisation.scale_given = 1, ((float *)a.scale.data)[7] = 0));
    BAD("scale", (a.quantisation.scale_given = 1, ((float *)a.scale.data)[7] = -1));
    BAD("scale", (a.quantisation.scale_given = 1, memcpy((float *)a.scale.data + 11, nan, 4)));
    BAD("x", (a.x.shape[1] = INT64_MAX, a.x.shape[2] = 0));
    BAD("y", a.y.shape[2] = 31);
    BAD("y", a.y.ndim = 2);
    BAD("y", a.y.data = memory + 100);
    BAD("y", a.y.stride[2] = 1);
    BAD("y", a.scale.data = memory + 4096 + 32);
    BAD("global_scale", a.global_scale = aiter_tensor_1d(two, AITER_F32, 1));
    BAD_MX("quantisation.scale_rounding",
           a.quantisation.scale_rounding = AITER_SCALE_ROUNDING_COUNT);
    BAD_MX("quantisation.scale_rounding", (a.quantisation.scale_rounding = AITER_SCALE_ROUND_FLOOR,
                                           a.quantisation.scale_given = 1));
    BAD_MX("quantisation.overflow", a.quantisation.overflow = AITER_OVERFLOW_TO_NAN);
    BAD_MX("quantisation.by_reciprocal", a.quantisation.by_reciprocal = 1);
    BAD_MX("scale", (a.quantisation.scale_given = 1, ((uint8_t *)a.scale.data)[3] = 255));
    BAD_MX("scale", a.scale.shape[2] = 1);
    BAD_MX("y", (a.y.stride[0] = 67, a.y.stride[1] = 32, a.y.stride[2] = 1));
    BAD_MX("y", (a.y.stride[0] = 200, a.y.stride[1] = 100, a.y.stride[2] = 2));
    BAD_MX("y", a.y.data = memory + 6 * 2 * 32 * 4 - 1);
    BAD_NV("global_scale", a.global_scale = aiter_tensor_1d(zero, AITER_F32, 1));
    BAD_NV("global_scale", a.global_scale = aiter_tensor_1d(two, AITER_F32, 2));
    REFUSES(AITER_I8, AITER_F32, 0, "scale", AITER_UNSUPPORTED, a.scale.dtype = AITER_F8_E8M0);
    REFUSES(AITER_F8_E5M2, AITER_F32, 0, "scale", AITER_UNSUPPORTED,
            a.scale.dtype = AITER_F8_E4M3FN);
    REFUSES(AITER_I4, AITER_F32, 0, "scale", AITER_UNSUPPORTED, a.scale.dtype = AITER_F8_E8M0);
}

/* What rows of half bytes leave alone, and what reading has no use for. */
static void more_refusals(void)
{
    aiter_quantize_args a;
    /* two codes a byte end where the next tensor begins */
    a = good_args(AITER_F4_E2M1, AITER_F8_E8M0, 16);
    a.scale.data = memory + 4096 + 6 * 2 * 16;
    CHECK(aiter_quantize(&a, NULL) == AITER_OK, "%s", aiter_last_error());
    /* an odd end leaves the other half of its byte */
    a.x.shape[2] = a.y.shape[2] = 31;
    a.x.stride[0] = a.y.stride[0] = 64, a.x.stride[1] = a.y.stride[1] = 32;
    a.x.stride[2] = a.y.stride[2] = 1;
    memory[4096 + 15] = 0x70;
    CHECK(aiter_quantize(&a, NULL) == AITER_OK && (memory[4096 + 15] & 0xf0) == 0x70, "%s",
          aiter_last_error());
    /* reading codes has no options */
    a = good_args(AITER_I8, AITER_F32, 0);
    a.x = aiter_tensor_3d(memory + 4096, AITER_I8, 6, 2, 32);
    a.y = aiter_tensor_3d(memory, AITER_F32, 6, 2, 32);
    CHECK(aiter_dequantize(&a, NULL) == AITER_OK, "%s", aiter_last_error());
    a.quantisation.scale_given = 1;
    CHECK(aiter_dequantize(&a, NULL) == AITER_INVALID_ARGUMENT &&
              strstr(aiter_last_error(), "quantisation.scale_given"),
          "%s", aiter_last_error());
    a.quantisation.scale_given = 0, a.quantisation.zero_block = AITER_ZERO_BLOCK_SCALE_1;
    CHECK(aiter_dequantize(&a, NULL) == AITER_INVALID_ARGUMENT &&
              strstr(aiter_last_error(), "quantisation.zero_block"),
          "%s", aiter_last_error());
}

int main(void)
{
    aiter_isa tiers[AITER_ISA_COUNT];
    aiter_context *contexts[AITER_ISA_COUNT + 2];
    int count, t;
    test_begin("test_quantize", 1e8);
    count = test_tiers(tiers);
    for (t = 0; t < count; t++) contexts[t] = test_context(tiers[t], 1);
    contexts[count] = test_context(tiers[count - 1], 3);
    contexts[count + 1] = NULL;
    known_answers();
    cache_agrees();
    refusals();
    more_refusals();
    sweep_e8m0();
    sweep_codes(contexts, count);
    sweep_cases(contexts, count + 2);
    for (t = 0; t <= count; t++) aiter_context_destroy(contexts[t]);
    return test_end();
}
