/* quant_reference.h -- codes and scales by their definitions: values of codes by enumeration, the
 * nearest by search in double; a case of aiter_quantize and aiter_dequantize, and its check.
 * Nothing here shares a line with the library. */
#ifndef AITER_TEST_QUANT_REFERENCE_H
#define AITER_TEST_QUANT_REFERENCE_H

#include "test.h"
#include "float_formats.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))
enum { MOST = 4096, NO_CODE = -1 };

/* ---- the definitions ---- */

static inline const float_format *format_of(aiter_dtype dtype)
{
    int i = 0;
    while (i < FLOAT_FORMATS && float_formats[i].dtype != dtype) i++;
    return i < FLOAT_FORMATS ? &float_formats[i] : NULL;
}

/* |value| of a code without sign; the one past the largest gives what would follow. */
static inline double magnitude(aiter_dtype dtype, int code)
{
    static const double e2m1[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6, 8};
    if (dtype == AITER_F4_E2M1) return e2m1[code];
    if (dtype == AITER_I8 || dtype == AITER_I4) return code;
    return format_value(format_of(dtype), (uint32_t)code);
}

static inline int last_code(aiter_dtype dtype)
{
    if (dtype == AITER_F4_E2M1 || dtype == AITER_I4) return 7;
    return dtype == AITER_I8 ? 127 : (int)format_of(dtype)->last;
}

static inline int is_fp8(aiter_dtype dtype) { return format_of(dtype) != NULL; }

/* The code of NaN; NO_CODE where 0 stands for it. */
static inline int nan_code(aiter_dtype dtype)
{
    if (!is_fp8(dtype)) return NO_CODE;
    return dtype == AITER_F8_E4M3FNUZ ? 0x80 : 0x7f;
}

static inline int with_sign(aiter_dtype dtype, int code, int negative)
{
    if (dtype == AITER_I8 || dtype == AITER_I4)
        return (negative ? -code : code) & (dtype == AITER_I8 ? 255 : 15);
    if (dtype == AITER_F8_E4M3FNUZ && code == 0) return 0;
    return code | (negative ? dtype == AITER_F4_E2M1 ? 8 : 0x80 : 0);
}

/* The bits that stand for f32 value x under the options. */
static inline int code_of(aiter_dtype dtype, float x, const aiter_quantisation *q)
{
    const uint32_t u = bits_of_float(x), a = u & 0x7fffffff;
    const int last = last_code(dtype), shows = q->overflow == AITER_OVERFLOW_TO_NAN;
    int code = 0;
    double v, below, above;
    if (a > 0x7f800000) return nan_code(dtype) == NO_CODE ? 0 : nan_code(dtype);
    if (a == 0x7f800000) {
        code = last + 1;
    } else {
        v = value_of_f32_bits(a);
        while (code <= last && magnitude(dtype, code + 1) <= v) code++;
        if (code <= last) {
            below = v - magnitude(dtype, code);
            above = magnitude(dtype, code + 1) - v;
            if (below > above) code++;
            if (below == above && q->rounding == AITER_ROUND_TIES_TO_EVEN) code += code & 1;
        }
    }
    if (code <= last) return with_sign(dtype, code, (int)(u >> 31));
    if (!shows) return with_sign(dtype, last, (int)(u >> 31));
    if (dtype == AITER_F8_E5M2) return with_sign(dtype, 0x7c, (int)(u >> 31));
    return dtype == AITER_F8_E4M3FNUZ ? 0x80 : with_sign(dtype, 0x7f, (int)(u >> 31));
}

static inline int code_at(const aiter_tensor *t, int64_t at)
{
    const uint8_t *p = (const uint8_t *)t->data;
    return aiter_dtype_bits(t->dtype) == 4 ? p[at / 2] >> (at % 2 * 4) & 15 : p[at];
}

/* To nearest even. */
static inline float nearest_float(double x)
{
    volatile float f = (float)x;
    return f;
}

/* x / y of finite magnitudes, y not 0; subnormal ones count, whatever the flags. */
static inline float quotient(float x, float y)
{
    volatile double a = value_of_f32_bits(bits_of_float(x) & 0x7fffffff);
    volatile double b = value_of_f32_bits(bits_of_float(y) & 0x7fffffff), q = a / b;
    return nearest_float(q);
}

/* The smallest power of two that is not below x as an f32, as a byte of at least 1; 0 of 0. */
static inline int byte_above(double x)
{
    int e = 1;
    if (x < ldexp(1, -126)) return x > ldexp(1, -150);
    while (ldexp(1, e - 127) < (double)nearest_float(x)) e++;
    return e;
}
static inline int byte_below(double x)
{
    int e = 0;
    while (ldexp(1, e + 1 - 127) <= x) e++;
    return e;
}

static inline int byte_of_amax(float amax, aiter_dtype dtype, aiter_scale_rounding how)
{
    const int power = dtype == AITER_F4_E2M1       ? 2
                      : dtype == AITER_F8_E4M3FN   ? 8
                      : dtype == AITER_F8_E4M3FNUZ ? 7
                                                   : 15;
    const int mantissa = dtype == AITER_F4_E2M1 ? 1 : dtype == AITER_F8_E5M2 ? 2 : 3;
    const double largest = magnitude(dtype, last_code(dtype));
    const double a = value_of_f32_bits(bits_of_float(amax));
    const float inverse = quotient(1.0f, (float)largest);
    double unit;
    if (bits_of_float(amax) >= 0x7f800000) return 255;
    if (how == AITER_SCALE_ROUND_UP) return byte_above(a * (double)inverse);
    if (how == AITER_SCALE_ROUND_CEIL) return byte_above(ldexp(a, -power));
    if (how == AITER_SCALE_ROUND_FLOOR) return byte_below(ldexp(a, -power));
    unit = ldexp(1, byte_below(a) - 127 - mantissa);
    return byte_below(ldexp(floor(a / unit + 0.5) * unit, -power));
}

/* ---- one case ---- */

typedef struct quant_case {
    aiter_dtype real, codes, scale;
    int n[3], d;     /* x is [n0, n1, n2, d], the first `4 - ndim` of them 1 */
    int s[3], group; /* extents of the scales */
    int gaps, ndim;
    int flat;      /* the scales as one axis: [1] or [H] */
    double global; /* 0: none */
    aiter_quantisation q;
    uint64_t seed;
} quant_case;

typedef struct quant_data {
    float *x; /* dense */
    test_buffer real, codes, scale, back;
    aiter_tensor real_t, codes_t, scale_t, back_t;
    float global;
} quant_data;

static inline aiter_tensor spread(aiter_dtype dtype, const int *n, int d, int ndim, int gaps,
                                  int last)
{
    aiter_tensor t = aiter_tensor_4d(NULL, dtype, n[0], n[1], n[2], d);
    const int step = aiter_dtype_bits(dtype) == 4 ? 2 : 1;
    int i;
    t.stride[3] = gaps > 1 && step == 1 ? last : 1;
    t.stride[2] = ((d * t.stride[3] + step - 1) / step + (gaps ? 3 : 0)) * step;
    t.stride[1] = n[2] * t.stride[2] + (gaps ? 4 : 0);
    t.stride[0] = n[1] * t.stride[1] + (gaps ? 6 : 0);
    if (gaps == 3) { /* heads outside tokens */
        t.stride[1] = t.stride[2];
        t.stride[2] = n[1] * t.stride[1] + 4;
        t.stride[0] = n[2] * t.stride[2] + 6;
    }
    for (i = 0; i < ndim; i++) {
        t.shape[i] = t.shape[i + 4 - ndim];
        t.stride[i] = t.stride[i + 4 - ndim];
    }
    t.ndim = ndim;
    return t;
}

static inline test_buffer memory_of(aiter_tensor *t)
{
    int64_t last = 0;
    test_buffer b;
    int i, empty = 0;
    for (i = 0; i < t->ndim; i++) {
        last += (t->shape[i] - 1) * t->stride[i];
        empty |= t->shape[i] == 0;
    }
    b = buffer_new(empty ? 0 : (size_t)((last + 1) * aiter_dtype_bits(t->dtype) + 7) / 8);
    memset(b.data, 0x5a, b.bytes);
    t->data = b.data;
    return b;
}

static inline int64_t place(const aiter_tensor *t, int i0, int i1, int i2, int d)
{
    const int i[4] = {i0, i1, i2, d};
    int64_t at = 0;
    int k;
    for (k = 0; k < t->ndim; k++) at += i[k + 4 - t->ndim] * t->stride[k];
    return at;
}

/* Rows of every kind: plain, zeros, all equal, with a NaN, with an infinity, tiny, huge, ties. */
static inline float number(const quant_case *c, int row, int d)
{
    const uint64_t key = test_mix(c->seed * 1000003 + (uint64_t)row * 4099 + (uint64_t)d);
    const float x = (float)(rng_unit(key) * 4);
    const int kind = (int)((test_mix(c->seed) + (uint64_t)row) % 12);
    const int g = c->group ? d / c->group : 0;
    if (kind == 1 && g % 2 == 0) return key & 1 ? 0.0f : -0.0f;
    if (kind == 2) return key & 1 ? 1.75f : -1.75f;
    if (kind == 3 && d == 1) return float_of_bits(key & 1 ? 0x7fc00000 : 0xff800001);
    if (kind == 4 && d == 2) return float_of_bits(key & 1 ? 0x7f800000 : 0xff800000);
    if (kind == 5) return x * 1e-37f * (test_is_flushing() ? 1e4f : 1e-3f);
    if (kind == 6) return x * 7e37f;
    if (kind == 7) return d == 0 ? 6.0f : (float)((int)(key % 25) - 12) * 0.25f;
    if (kind == 8) return x * (float)ldexp(1, (int)(key % 40) - 20);
    return x;
}

static inline quant_data data_new(const quant_case *c)
{
    quant_data p;
    int i0, i1, i2, d, n = 0;
    memset(&p, 0, sizeof p);
    p.x = (float *)malloc(((size_t)(c->n[0] * c->n[1] * c->n[2] * c->d) + 1) * sizeof *p.x);
    p.real_t = spread(c->real, c->n, c->d, c->ndim, c->gaps, 2);
    p.codes_t = spread(c->codes, c->n, c->d, c->ndim, c->gaps, 3);
    p.back_t = spread(c->real, c->n, c->d, c->ndim, c->gaps, 2);
    p.scale_t = c->group
                    ? spread(c->scale, c->s, (c->d + c->group - 1) / c->group, c->ndim, c->gaps, 2)
                    : spread(c->scale, c->s, 1, c->ndim, c->gaps, 2);
    if (!c->group) p.scale_t.ndim--;
    if (p.scale_t.ndim == 0)
        p.scale_t = aiter_tensor_1d(NULL, c->scale, 1), p.scale_t.stride[0] = 1;
    p.real = memory_of(&p.real_t);
    p.codes = memory_of(&p.codes_t);
    p.scale = memory_of(&p.scale_t);
    p.back = memory_of(&p.back_t);
    p.global = (float)c->global;
    for (i0 = 0; i0 < c->n[0]; i0++)
        for (i1 = 0; i1 < c->n[1]; i1++)
            for (i2 = 0; i2 < c->n[2]; i2++)
                for (d = 0; d < c->d; d++, n++) {
                    const int64_t at = place(&p.real_t, i0, i1, i2, d);
                    aiter_store_element(c->real, p.real_t.data, at,
                                        number(c, (i0 * c->n[1] + i1) * c->n[2] + i2, d));
                    p.x[n] = aiter_load_element(c->real, p.real_t.data, at);
                }
    return p;
}

static inline void data_free(quant_data *p)
{
    CHECK(buffer_guard_is_whole(&p->real) && buffer_guard_is_whole(&p->codes) &&
              buffer_guard_is_whole(&p->scale) && buffer_guard_is_whole(&p->back),
          "written in front of a buffer");
    buffer_free(&p->real);
    buffer_free(&p->codes);
    buffer_free(&p->scale);
    buffer_free(&p->back);
    free(p->x);
}

static inline float element(const quant_case *c, const quant_data *p, int i0, int i1, int i2, int d)
{
    return p->x[((i0 * c->n[1] + i1) * c->n[2] + i2) * c->d + d];
}

/* The largest magnitude of a unit, NaN above all. */
static inline float unit_amax(const quant_case *c, const quant_data *p, const int *u, int g)
{
    uint32_t most = 0;
    int i[3], k, d, first[3], end[3];
    const int from = c->group ? g * c->group : 0;
    const int to = c->group && from + c->group < c->d ? from + c->group : c->d;
    for (k = 0; k < 3; k++) {
        first[k] = c->s[k] == c->n[k] ? u[k] : 0;
        end[k] = c->s[k] == c->n[k] ? u[k] + 1 : c->n[k];
    }
    for (i[0] = first[0]; i[0] < end[0]; i[0]++)
        for (i[1] = first[1]; i[1] < end[1]; i[1]++)
            for (i[2] = first[2]; i[2] < end[2]; i[2]++)
                for (d = from; d < to; d++) {
                    const uint32_t a =
                        bits_of_float(element(c, p, i[0], i[1], i[2], d)) & 0x7fffffff;
                    if (a > most) most = a;
                }
    return float_of_bits(most);
}

/* What a scale is worth, by its stored bits. */
static inline float worth(const quant_case *c, const quant_data *p, int64_t at)
{
    float s;
    if (c->scale == AITER_F32) {
        memcpy(&s, (const float *)p->scale_t.data + at, sizeof s);
        return s;
    }
    const int byte = ((const uint8_t *)p->scale_t.data)[at];
    if (c->scale == AITER_F8_E8M0)
        return byte == 255 ? float_of_bits(0x7fc00000)
               : byte == 0 ? float_of_bits(0x00400000)
                           : (float)ldexp(1, byte - 127);
    if (byte == 0x7f) return float_of_bits(0x7fc00000);
    s = (float)magnitude(AITER_F8_E4M3FN, byte);
    return c->global != 0 ? nearest_float((double)s * (double)p->global) : s;
}

/* Where the scale of a unit stands. */
static inline int64_t scale_at(const quant_case *c, const quant_data *p, const int *u, int g)
{
    if (c->group) return place(&p->scale_t, u[0], u[1], u[2], g);
    return c->ndim == 1 ? 0 : place(&p->scale_t, 0, u[0], u[1], u[2]);
}

static inline void check_scale(const quant_case *c, const quant_data *p, const int *u, int g)
{
    const int64_t where = scale_at(c, p, u, g);
    const float amax = unit_amax(c, p, u, g);
    const uint32_t a = bits_of_float(amax);
    const int one = a == 0 && c->q.zero_block == AITER_ZERO_BLOCK_SCALE_1;
    const float largest = (float)magnitude(c->codes, last_code(c->codes));
    float want = one ? 1.0f : quotient(amax, largest), got;
    if (c->scale == AITER_F32) {
        memcpy(&got, (const float *)p->scale_t.data + where, sizeof got);
        if (a > 0x7f800000)
            CHECK((bits_of_float(got) & 0x7fffffff) > 0x7f800000, "NaN gives scale %g",
                  (double)got);
        else if (a == 0x7f800000)
            CHECK(bits_of_float(got) == 0x7f800000, "infinity gives scale %g", (double)got);
        else
            CHECK(bits_of_float(got) == bits_of_float(want), "scale of %g is %g, not %g",
                  (double)amax, (double)got, (double)want);
        return;
    }
    const int byte = ((const uint8_t *)p->scale_t.data)[where];
    if (c->scale == AITER_F8_E8M0) {
        const int expected = one ? 127 : byte_of_amax(amax, c->codes, c->q.scale_rounding);
        CHECK(byte == expected, "E8M0 %d of %g is %d, not %d", (int)c->q.scale_rounding,
              (double)amax, byte, expected);
        return;
    }
    if (!one && c->global != 0 && a < 0x7f800000) want = quotient(want, p->global);
    const aiter_quantisation plain = {AITER_DTYPE_UNSET,
                                      AITER_SCALE_BY_SHAPE,
                                      0,
                                      0,
                                      AITER_ROUND_TIES_TO_EVEN,
                                      AITER_SCALE_ROUND_UP,
                                      AITER_OVERFLOW_SATURATES,
                                      AITER_ZERO_BLOCK_SCALE_0,
                                      0};
    const int expected = a >= 0x7f800000 ? 0x7f : code_of(AITER_F8_E4M3FN, want, &plain);
    CHECK(byte == expected, "e4m3 scale of %g is %#x, not %#x", (double)amax, byte, expected);
}

/* What x becomes before it is rounded to a code. */
static inline float in_steps(const quant_case *c, float x, float step)
{
    const uint32_t s = bits_of_float(step), a = bits_of_float(x) & 0x7fffffff;
    if (s == 0) return 0.0f;
    if (s > 0x7f800000 || a > 0x7f800000 || (s == 0x7f800000 && a == s))
        return float_of_bits(0x7fc00000);
    if (s == 0x7f800000) return float_of_bits(bits_of_float(x) & 0x80000000);
    if (a == 0x7f800000) return x;
    if (c->q.by_reciprocal && bits_of_float(quotient(1.0f, step)) != 0x7f800000)
        return nearest_float((double)x * (double)quotient(1.0f, step));
    return float_of_bits(bits_of_float(quotient(float_of_bits(a), step)) |
                         (bits_of_float(x) & 0x80000000));
}

static inline void check_rows(const quant_case *c, const quant_data *p)
{
    int i[3], u[3], k, d, bad = 0, bad_back = 0;
    for (i[0] = 0; i[0] < c->n[0]; i[0]++)
        for (i[1] = 0; i[1] < c->n[1]; i[1]++)
            for (i[2] = 0; i[2] < c->n[2]; i[2]++)
                for (d = 0; d < c->d; d++) {
                    const int64_t at = place(&p->codes_t, i[0], i[1], i[2], d);
                    const float x = element(c, p, i[0], i[1], i[2], d);
                    float step, back;
                    double real;
                    int want, got, code, sign;
                    for (k = 0; k < 3; k++) u[k] = c->s[k] == c->n[k] ? i[k] : 0;
                    step = worth(c, p, scale_at(c, p, u, c->group ? d / c->group : 0));
                    want = code_of(c->codes, in_steps(c, x, step), &c->q);
                    got = code_at(&p->codes_t, at);
                    if (got != want && bad++ == 0)
                        CHECK(0, "%s: code of %g by %g is %#x, not %#x", aiter_dtype_name(c->codes),
                              (double)x, (double)step, got, want);
                    /* and back */
                    back = aiter_load_element(c->real, p->back_t.data,
                                              place(&p->back_t, i[0], i[1], i[2], d));
                    sign = c->codes == AITER_I8        ? got > 127
                           : c->codes == AITER_I4      ? got > 7
                           : c->codes == AITER_F4_E2M1 ? got >> 3
                                                       : got >> 7;
                    code = c->codes == AITER_I8        ? abs((int)(int8_t)got)
                           : c->codes == AITER_I4      ? (got > 7 ? 16 - got : got)
                           : c->codes == AITER_F4_E2M1 ? got & 7
                                                       : got & 0x7f;
                    if ((is_fp8(c->codes) && code > last_code(c->codes)) ||
                        got == nan_code(c->codes) || bits_of_float(step) >= 0x7f800000)
                        continue; /* NaN and infinity: the widening's tests */
                    real = (sign ? -1 : 1) * magnitude(c->codes, code) *
                           value_of_f32_bits(bits_of_float(step));
                    if (fabs(real) < 1.2e-38 && test_is_flushing()) continue;
                    {
                        uint8_t cell[4] = {0, 0, 0, 0};
                        aiter_store_element(c->real, cell, 0, nearest_float(real));
                        bad_back += aiter_load_element(c->real, cell, 0) != back;
                    }
                }
    CHECK(bad == 0, "%s to %s under %s: %d codes wrong", aiter_dtype_name(c->real),
          aiter_dtype_name(c->codes), aiter_dtype_name(c->scale), bad);
    CHECK(bad_back == 0, "%s from %s under %s: %d numbers wrong", aiter_dtype_name(c->real),
          aiter_dtype_name(c->codes), aiter_dtype_name(c->scale), bad_back);
}

static inline aiter_quantize_args args_of(const quant_case *c, const quant_data *p, int back)
{
    aiter_quantize_args a;
    memset(&a, 0, sizeof a);
    a.x = back ? p->codes_t : p->real_t;
    a.y = back ? p->back_t : p->codes_t;
    a.scale = p->scale_t;
    if (c->flat) {
        a.scale = aiter_tensor_1d(p->scale_t.data, c->scale, c->s[2]);
        a.scale.stride[0] = c->s[2] > 1 ? p->scale_t.stride[p->scale_t.ndim - 1] : 1;
    }
    if (c->global != 0) a.global_scale = aiter_tensor_1d(&p->global, AITER_F32, 1);
    a.quantisation.group = c->group;
    if (!back) a.quantisation = c->q, a.quantisation.group = c->group;
    return a;
}

static inline uint64_t outputs(const quant_data *p)
{
    return test_mix(test_hash(p->codes.data, p->codes.bytes) ^
                    test_mix(test_hash(p->scale.data, p->scale.bytes)));
}

static inline void run_case(const quant_case *c, aiter_context **contexts, int count)
{
    quant_data p = data_new(c);
    uint64_t first = 0;
    int t, u[3], g;
    for (t = 0; t < count; t++) {
        aiter_quantize_args a = args_of(c, &p, 0), b = args_of(c, &p, 1);
        memset(p.codes.data, 0x5a, p.codes.bytes);
        memset(p.scale.data, 0x5a, p.scale.bytes);
        CHECK(aiter_quantize(&a, contexts[t]) == AITER_OK, "%s", aiter_last_error());
        CHECK(aiter_dequantize(&b, contexts[t]) == AITER_OK, "%s", aiter_last_error());
        if (t == 0) {
            const int groups = c->group ? (c->d + c->group - 1) / c->group : 1;
            first = outputs(&p);
            for (u[0] = 0; u[0] < c->s[0]; u[0]++)
                for (u[1] = 0; u[1] < c->s[1]; u[1]++)
                    for (u[2] = 0; u[2] < c->s[2]; u[2]++)
                        for (g = 0; g < groups; g++) check_scale(c, &p, u, g);
        }
        check_rows(c, &p);
        CHECK(outputs(&p) == first, "context %d has other bits", t);
    }
    test_global.cases++;
    data_free(&p);
}

#endif /* AITER_TEST_QUANT_REFERENCE_H */
