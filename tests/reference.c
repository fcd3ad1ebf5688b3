/* reference.c -- see reference.h. Infinities and NaN are told apart by their bits, and hidden keys
 * by a flag, so that -ffast-math changes nothing here but the last bits of fp64. */
#include "reference.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- number formats ---- */

static double ref_from_parts(int negative, int64_t mantissa, int exponent)
{
    double x = ldexp((double)mantissa, exponent);
    return negative ? -x : x;
}

/* A binary format with a sign, `exp_bits` and `man_bits`, IEEE rules. */
static double ref_decode(uint32_t code, int exp_bits, int man_bits)
{
    int negative = (int)(code >> (exp_bits + man_bits)) & 1;
    int exponent = (int)(code >> man_bits) & ((1 << exp_bits) - 1);
    int64_t mantissa = (int64_t)(code & ((1u << man_bits) - 1));
    int bias = (1 << (exp_bits - 1)) - 1;
    if (exponent == (1 << exp_bits) - 1) {
        return double_of_bits(mantissa ? BITS_NAN : negative ? BITS_NEG_INF : BITS_INF);
    }
    if (exponent == 0) return ref_from_parts(negative, mantissa, 1 - bias - man_bits);
    return ref_from_parts(negative, mantissa | (int64_t)1 << man_bits, exponent - bias - man_bits);
}

static uint32_t ref_encode(double value, int exp_bits, int man_bits)
{
    uint64_t bits = bits_of_double(value);
    uint32_t sign = (uint32_t)(bits >> 63) << (exp_bits + man_bits);
    uint32_t infinity = ((1u << exp_bits) - 1) << man_bits;
    int bias = (1 << (exp_bits - 1)) - 1, exponent = (int)(bits >> 52 & 2047) - 1023, drop;
    uint64_t mantissa = (bits & 0xFFFFFFFFFFFFFu) | (uint64_t)1 << 52, kept, rest, half;
    uint32_t code;
    if (exponent == 1024) return sign | infinity | (is_nan(value) ? 1u << (man_bits - 1) : 0);
    if (exponent > bias) return sign | infinity;
    drop = 52 - man_bits;
    if (exponent < 1 - bias) drop += 1 - bias - exponent;
    if (drop > 54) return sign;
    kept = mantissa >> drop;
    rest = mantissa & (((uint64_t)1 << drop) - 1);
    half = (uint64_t)1 << (drop - 1);
    if (rest > half || (rest == half && (kept & 1))) kept++;
    /* The hidden bit adds one to the exponent field; a subnormal that rounds up does so too. */
    code = exponent < 1 - bias ? 0 : (uint32_t)(exponent + bias - 1) << man_bits;
    return sign | (code + (uint32_t)kept);
}

/* The fp8 types: mantissa bits, what the exponent is counted from, the largest code. */
typedef struct ref_fp8 {
    int man_bits, bias, most;
} ref_fp8;

static ref_fp8 ref_fp8_of(aiter_dtype dtype)
{
    static const ref_fp8 fn = {3, 7, 0x7e}, fnuz = {3, 8, 0x7f}, e5m2 = {2, 15, 0x7b};
    return dtype == AITER_F8_E4M3FN ? fn : dtype == AITER_F8_E4M3FNUZ ? fnuz : e5m2;
}

/* The value of a code without its sign, at most `most`. */
static double ref_fp8_value(const ref_fp8 *f, int code)
{
    const int exponent = code >> f->man_bits, mantissa = code & ((1 << f->man_bits) - 1);
    if (exponent == 0) return ldexp(mantissa, 1 - f->bias - f->man_bits);
    return ldexp(mantissa + (1 << f->man_bits), exponent - f->bias - f->man_bits);
}

static double ref_load_fp8(aiter_dtype dtype, int byte)
{
    const ref_fp8 f = ref_fp8_of(dtype);
    const int code = byte & 0x7f;
    if (dtype == AITER_F8_E4M3FNUZ && byte == 0x80) return double_of_bits(BITS_NAN);
    if (dtype == AITER_F8_E5M2 && code == 0x7c)
        return double_of_bits(byte & 0x80 ? BITS_NEG_INF : BITS_INF);
    if (code > f.most) return double_of_bits(BITS_NAN);
    return byte & 0x80 ? -ref_fp8_value(&f, code) : ref_fp8_value(&f, code);
}

/* The code nearest to a value, of two the even one; beyond the largest, infinity too, that one. */
static int ref_store_fp8(aiter_dtype dtype, double value)
{
    const ref_fp8 f = ref_fp8_of(dtype);
    const int sign = bits_of_double(value) >> 63 ? 0x80 : 0;
    const double x = fabs(value);
    int low = 0, high = f.most;
    if (is_nan(value)) return dtype == AITER_F8_E4M3FNUZ ? 0x80 : sign | 0x7f;
    if (x >= ref_fp8_value(&f, high)) return sign | high;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (ref_fp8_value(&f, middle) <= x)
            low = middle;
        else
            high = middle;
    }
    const double below = x - ref_fp8_value(&f, low), above = ref_fp8_value(&f, high) - x;
    const int code = above < below || (above == below && low % 2) ? high : low;
    return code == 0 && dtype == AITER_F8_E4M3FNUZ ? 0 : sign | code;
}

/* An oracle that guesses is none. */
static void ref_stop(const char *what, aiter_dtype dtype)
{
    fprintf(stderr, "reference.c: cannot %s dtype %d\n", what, (int)dtype);
    exit(3);
}

double ref_load(aiter_dtype dtype, const void *data, int64_t index)
{
    uint32_t u;
    uint16_t h;
    switch (dtype) {
    case AITER_F32: memcpy(&u, (const char *)data + index * 4, 4); return ref_decode(u, 8, 23);
    case AITER_F16: memcpy(&h, (const char *)data + index * 2, 2); return ref_decode(h, 5, 10);
    case AITER_BF16: memcpy(&h, (const char *)data + index * 2, 2); return ref_decode(h, 8, 7);
    case AITER_I8: return ((const int8_t *)data)[index];
    case AITER_I4: { /* two a byte, the even one in the low half, two's complement */
        const int half = ((const uint8_t *)data)[index / 2] >> (index % 2 ? 4 : 0) & 15;
        return half < 8 ? half : half - 16;
    }
    case AITER_F8_E4M3FN:
    case AITER_F8_E4M3FNUZ:
    case AITER_F8_E5M2: return ref_load_fp8(dtype, ((const uint8_t *)data)[index]);
    default: ref_stop("load", dtype);
    }
    return 0;
}

void ref_store(aiter_dtype dtype, void *data, int64_t index, double value)
{
    uint32_t u;
    uint16_t h;
    double r;
    switch (dtype) {
    case AITER_F32:
        u = ref_encode(value, 8, 23);
        memcpy((char *)data + index * 4, &u, 4);
        break;
    case AITER_F16:
    case AITER_BF16:
        h = (uint16_t)(dtype == AITER_F16 ? ref_encode(value, 5, 10) : ref_encode(value, 8, 7));
        memcpy((char *)data + index * 2, &h, 2);
        break;
    case AITER_I8:
        r = value > 127 ? 127 : value < -128 ? -128 : value;
        ((int8_t *)data)[index] = (int8_t)lrint(r);
        break;
    case AITER_I4: {
        uint8_t *byte = (uint8_t *)data + index / 2;
        const int half = (int)lrint(value > 7 ? 7 : value < -8 ? -8 : value) & 15;
        *byte = (uint8_t)(index % 2 ? (*byte & 15) | half << 4 : (*byte & 0xf0) | half);
        break;
    }
    case AITER_F8_E4M3FN:
    case AITER_F8_E4M3FNUZ:
    case AITER_F8_E5M2: ((uint8_t *)data)[index] = (uint8_t)ref_store_fp8(dtype, value); break;
    default: ref_stop("store", dtype);
    }
}

/* ---- attention ---- */

int ref_visible(const ref_mask *mask, int64_t i, int64_t j, int64_t sq, int64_t sk)
{
    int64_t p = i + sk - sq, right;
    if (j < 0 || j >= sk || i < 0 || i >= sq) return 0;
    if (mask->kind == AITER_MASK_NONE) return 1;
    if (mask->kind == AITER_MASK_CAUSAL_TOP_LEFT) return j <= i;
    right = mask->kind == AITER_MASK_CAUSAL ? 0 : mask->right;
    if (right >= 0 && j > p + right) return 0;
    if (mask->kind == AITER_MASK_CAUSAL || mask->left < 0) return 1;
    return j >= p - mask->left || j < mask->sink_tokens;
}

/* sum a_d b_d and sum |a_d b_d|, in four strands so that the compiler can use vectors. */
static double ref_dot(const double *a, const double *b, int64_t n, double *magnitude)
{
    double s[4] = {0, 0, 0, 0}, m[4] = {0, 0, 0, 0};
    int64_t d;
    int l;
    for (d = 0; d + 4 <= n; d += 4) {
        for (l = 0; l < 4; l++) {
            double x = a[d + l] * b[d + l];
            s[l] += x;
            m[l] += fabs(x);
        }
    }
    for (; d < n; d++) {
        s[0] += a[d] * b[d];
        m[0] += fabs(a[d] * b[d]);
    }
    *magnitude = (m[0] + m[1]) + (m[2] + m[3]);
    return (s[0] + s[1]) + (s[2] + s[3]);
}

static double ref_larger(double a, double b) { return a > b ? a : b; }

/* Fills t[] with the scores; a hidden key gets -infinity. Returns 1 when a NaN is among them. */
static int ref_scores(const ref_row *row, double *t, ref_facts *facts)
{
    int64_t j, delta = row->sk - row->sq;
    int nan = 0;
    for (j = 0; j < row->sk; j++) {
        double x, magnitude, distance = fabs((double)(row->i + delta - j)) * row->alibi;
        double bias = row->bias ? row->bias[j] : 0;
        t[j] = double_of_bits(BITS_NEG_INF);
        if (!ref_visible(&row->mask, row->i, j, row->sq, row->sk) || is_neg_inf(bias)) continue;
        x = row->scale * ref_dot(row->q, row->k + j * row->dq, row->dq, &magnitude);
        facts->visible++;
        facts->max_dot = ref_larger(facts->max_dot, fabs(row->scale) * magnitude);
        facts->max_term = ref_larger(facts->max_term, fabs(x));
        if (row->softcap > 0) x = row->softcap * tanh(x / row->softcap);
        x += bias - distance;
        facts->max_term = ref_larger(facts->max_term, fabs(x));
        facts->max_term = ref_larger(facts->max_term, fabs(bias));
        facts->max_term = ref_larger(facts->max_term, fabs(distance));
        nan |= is_nan(x);
        t[j] = x;
    }
    return nan;
}

void ref_attention_row(const ref_row *row, double *t, double *out, double *abs_out, double *lse,
                       ref_facts *facts)
{
    int64_t j, d;
    double m = 0, l = 0;
    int any = row->has_sink, nan;
    memset(facts, 0, sizeof *facts);
    nan = ref_scores(row, t, facts);
    if (row->has_sink) {
        m = row->sink;
        facts->max_term = ref_larger(facts->max_term, fabs(row->sink));
    }
    for (j = 0; j < row->sk && !nan; j++) {
        if (is_neg_inf(t[j])) continue;
        if (!any || t[j] > m) m = t[j];
        any = 1;
    }
    for (d = 0; d < row->dv; d++) out[d] = abs_out[d] = nan ? double_of_bits(BITS_NAN) : 0;
    *lse = double_of_bits(nan ? BITS_NAN : BITS_NEG_INF);
    if (nan || !any) return;
    if (row->has_sink) l = exp(row->sink - m);
    for (j = 0; j < row->sk; j++) {
        const double *v = row->v + j * row->dv;
        double p;
        if (is_neg_inf(t[j])) continue;
        p = exp(t[j] - m);
        l += p;
        for (d = 0; d < row->dv; d++) {
            out[d] += p * v[d];
            abs_out[d] += p * fabs(v[d]);
            facts->max_abs_v = ref_larger(facts->max_abs_v, fabs(v[d]));
        }
    }
    for (d = 0; d < row->dv; d++) {
        out[d] /= l;
        abs_out[d] /= l;
    }
    *lse = m + log(l);
}

void ref_merge(int64_t dim, const double *a, double lse_a, const double *b, double lse_b,
               double *out, double *lse)
{
    int no_a = !is_nan(lse_a) && !is_finite(lse_a), no_b = !is_nan(lse_b) && !is_finite(lse_b);
    double m = no_a ? lse_b : no_b ? lse_a : ref_larger(lse_a, lse_b), wa, wb;
    int64_t d;
    *lse = double_of_bits(BITS_NEG_INF);
    for (d = 0; d < dim; d++) out[d] = 0;
    if (no_a && no_b) return;
    wa = no_a ? 0 : exp(lse_a - m);
    wb = no_b ? 0 : exp(lse_b - m);
    for (d = 0; d < dim; d++) {
        out[d] = ((no_a ? 0 : wa * a[d]) + (no_b ? 0 : wb * b[d])) / (wa + wb);
    }
    *lse = m + log(wa + wb);
}
