/* quantize.c -- aiter_quantize and aiter_dequantize: numbers to codes under scales, and back.
 *
 * A unit is what lies under one scale: columns [g * group, (g + 1) * group) of one row, or of all
 * rows of the axes that the scales do not have. */
#ifndef AITERI_QUANTIZE_C
#define AITERI_QUANTIZE_C

#include "../api_ops.h"
#include "../base/argument.c"
#include "../cpu/rows.c"
#include "call_begin.c"

/* Elements of a row at a time, on the stack; even, so that a byte of two codes is not cut. */
enum { AITERI_QUANT_STRIP = 256 };

enum {
    AITERI_CODES = AITERI_QUANTISED | 1 << AITER_F4_E2M1,
    AITERI_SCALES = AITERI_ONLY_F32 | 1 << AITER_F8_E8M0 | 1 << AITER_F8_E4M3FN
};

/* Of a type of codes: the exponent of the largest power of two, the bits of its mantissa, the f32
 * bits of the first magnitude that rounds beyond it and what it then is. */
typedef struct aiteri_code_range {
    int32_t exponent, mantissa;
    uint32_t beyond;
    uint8_t nan, overflow;
} aiteri_code_range;

static aiteri_code_range aiteri_code_range_of(aiter_dtype dtype)
{
    static const aiteri_code_range e4m3fn = {8, 3, 0x43e80001, 0x7f, 0x7f};
    static const aiteri_code_range e4m3fnuz = {7, 3, 0x43780000, 0x80, 0x80};
    static const aiteri_code_range e5m2 = {15, 2, 0x47700000, 0x7f, 0x7c};
    static const aiteri_code_range e2m1 = {2, 1, 0, 0, 0};
    static const aiteri_code_range integer = {0, 0, 0, 0, 0};
    switch (dtype) {
    case AITER_F8_E4M3FN: return e4m3fn;
    case AITER_F8_E4M3FNUZ: return e4m3fnuz;
    case AITER_F8_E5M2: return e5m2;
    case AITER_F4_E2M1: return e2m1;
    default: return integer;
    }
}

/* A tensor by three leading axes and the last one; strides are 0 where a scale is shared. */
typedef struct aiteri_quant_view {
    char *data;
    aiter_dtype dtype;
    int64_t shape[4], stride[4];
} aiteri_quant_view;

/* A call of either op. */
typedef struct aiteri_quant {
    aiter_quantize_args a;
    const char *op;
    int32_t encodes;                      /* aiter_quantize */
    aiteri_quant_view real, codes, scale; /* scale.shape counts units */
    int64_t group;                        /* 1 or more */
    int32_t computes, shared;             /* the scales; some of them over several rows */
    float global_scale;
    aiteri_code_range range;
    const aiteri_kernels *kernels;
    int32_t workers;
} aiteri_quant;

/* ---- checks ---- */

static void aiteri_quant_check_zero(aiteri_check *c, const char *field, int64_t got, int allowed,
                                    const char *why)
{
    if (got != 0 && !allowed)
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.quantisation.%s: is %lld, expected 0: %s",
                      c->op, field, (long long)got, why);
}

static void aiteri_quant_check_options(aiteri_check *c, const aiteri_quant *x)
{
    const aiter_quantisation *q = &x->a.quantisation;
    const aiter_dtype to = x->encodes ? x->a.y.dtype : x->a.x.dtype, by = x->a.scale.dtype;
    const unsigned to_bit = AITERI_TYPE_BIT(to);
    const int writes = x->encodes, computes = x->computes;
    if (q->to != AITER_DTYPE_UNSET && q->to != to)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.quantisation.to: is %s, expected unset or %s, the type of the codes",
                      c->op, aiter_dtype_name(q->to), aiter_dtype_name(to));
    aiteri_check_enum(c, "quantisation.per", (int)q->per, AITER_SCALE_COUNT, "aiter_scale_kind");
    aiteri_check_range(c, "quantisation.scale_given", q->scale_given, 0, 1);
    aiteri_check_range(c, "quantisation.group", q->group, 0, INT32_MAX);
    aiteri_check_enum(c, "quantisation.rounding", (int)q->rounding, AITER_ROUNDING_COUNT,
                      "aiter_rounding");
    aiteri_check_enum(c, "quantisation.scale_rounding", (int)q->scale_rounding,
                      AITER_SCALE_ROUNDING_COUNT, "aiter_scale_rounding");
    aiteri_check_enum(c, "quantisation.overflow", (int)q->overflow, AITER_OVERFLOW_COUNT,
                      "aiter_overflow");
    aiteri_check_enum(c, "quantisation.zero_block", (int)q->zero_block, AITER_ZERO_BLOCK_COUNT,
                      "aiter_zero_block");
    aiteri_check_range(c, "quantisation.by_reciprocal", q->by_reciprocal, 0, 1);
    aiteri_quant_check_zero(c, "scale_given", q->scale_given, writes, "scales are read here");
    aiteri_quant_check_zero(c, "rounding", (int64_t)q->rounding, writes && to == AITER_F4_E2M1,
                            "it tells how f4_e2m1 codes are made");
    aiteri_quant_check_zero(c, "scale_rounding", (int64_t)q->scale_rounding,
                            computes && by == AITER_F8_E8M0,
                            "it tells how f8_e8m0 scales are computed");
    aiteri_quant_check_zero(c, "overflow", (int64_t)q->overflow, writes && (to_bit & AITERI_FP8),
                            "it tells how fp8 codes are made");
    aiteri_quant_check_zero(c, "zero_block", (int64_t)q->zero_block, computes,
                            "it tells how scales are computed");
    aiteri_quant_check_zero(c, "by_reciprocal", q->by_reciprocal, writes && by != AITER_F8_E8M0,
                            "it tells how codes are made, and f8_e8m0 scales divide exactly");
    if ((by == AITER_F8_E8M0 && !(to_bit & (AITERI_FP8 | 1u << AITER_F4_E2M1))) ||
        (by == AITER_F8_E4M3FN && to != AITER_F4_E2M1))
        aiteri_reject(c, AITER_UNSUPPORTED,
                      "%s.scale: dtype is %s, which goes with codes of %s; for %s expected f32",
                      c->op, aiter_dtype_name(by),
                      by == AITER_F8_E8M0 ? "fp8 and f4_e2m1" : "f4_e2m1", aiter_dtype_name(to));
    if (by != AITER_F8_E4M3FN)
        aiteri_check_absent(c, "global_scale", &x->a.global_scale,
                            "it goes with f8_e4m3fn scales (NVFP4)");
    else if (x->a.global_scale.ndim != 0)
        aiteri_check_extent(c, "global_scale", &x->a.global_scale, 0, 1, "one for all");
}

/* The extents of the scales, and into x->scale how they lie beside the rows. */
static void aiteri_quant_check_scale(aiteri_check *c, aiteri_quant *x)
{
    const aiter_tensor *t = &x->a.scale;
    const aiter_tensor *real = x->encodes ? &x->a.x : &x->a.y;
    const int32_t rows = real->ndim - 1, grouped = x->a.quantisation.group != 0;
    const int32_t one = !grouped && t->ndim == 1 && t->shape[0] == 1;
    const int32_t per_head = !grouped && t->ndim == 1 && rows > 1 && !one;
    const int64_t units = grouped ? aiteri_ceil_div(real->shape[rows], x->group) : 1;
    if (!one && !per_head && t->ndim != rows + grouped)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.scale: ndim is %d, expected %d%s: those of x without the last%s", c->op,
                      (int)t->ndim, (int)(rows + grouped > 0 ? rows + grouped : 1),
                      grouped ? "" : ", or 1",
                      grouped ? ", and the groups of quantisation.group elements" : "");
    for (int32_t i = 0; i < 4; i++) x->scale.shape[i] = 1, x->scale.stride[i] = 0;
    for (int32_t i = 0; i < rows && !one && c->status == AITER_OK; i++) {
        const int32_t at = per_head ? 0 : i, axis = 3 - rows + i;
        if (per_head && i < rows - 1) continue;
        if (t->shape[at] == 1) continue;
        aiteri_check_extent(c, "scale", t, at, real->shape[i], "x; or 1 for one scale");
        x->scale.shape[axis] = t->shape[at];
        x->scale.stride[axis] = t->stride[at];
    }
    if (grouped && c->status == AITER_OK) {
        aiteri_check_extent(c, "scale", t, rows, units, "the groups of the last axis");
        x->scale.shape[3] = units;
        x->scale.stride[3] = t->stride[rows];
    }
    for (int32_t i = 0; i < 3; i++) x->shared |= x->scale.shape[i] != x->real.shape[i];
    x->shared |= x->real.shape[3] == 0; /* no row is looked at */
}

/* A granularity that is named is the one that the shape has. */
static void aiteri_quant_check_per(aiteri_check *c, const aiteri_quant *x)
{
    const aiter_scale_kind per = x->a.quantisation.per;
    const int64_t *n = x->scale.shape, *of = x->real.shape;
    int is_it = !x->shared;
    if (per == AITER_SCALE_PER_TENSOR) is_it = n[0] * n[1] * n[2] * n[3] == 1;
    if (per == AITER_SCALE_PER_HEAD) is_it = n[0] * n[1] == 1 && n[2] == of[2];
    if (per == AITER_SCALE_PER_CHANNEL) is_it = n[0] * n[1] == 1 && n[2] == of[2] && n[3] == of[3];
    if (per == AITER_SCALE_PER_GROUP) is_it = x->a.quantisation.group != 0;
    if (per == AITER_SCALE_PER_BLOCK_HEAD || per == AITER_SCALE_PER_BATCH_HEAD)
        is_it = n[0] == of[0] && n[1] == 1 && n[2] == of[2] && n[3] == 1;
    if (per != AITER_SCALE_BY_SHAPE && !is_it)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.quantisation.per: names data%s, but scale has another shape", c->op,
                      aiteri_scale_words(per));
}

static aiteri_quant_view aiteri_quant_view_of(const aiter_tensor *t)
{
    aiteri_quant_view v;
    memset(&v, 0, sizeof v);
    v.data = (char *)t->data;
    v.dtype = t->dtype;
    for (int32_t i = 0; i < 4; i++) {
        const int32_t from = i - 4 + t->ndim;
        v.shape[i] = from >= 0 ? t->shape[from] : 1;
        v.stride[i] = from >= 0 ? t->stride[from] : 0;
    }
    return v;
}

static void aiteri_quant_check(aiteri_check *c, aiteri_quant *x)
{
    aiter_quantize_args *a = &x->a;
    const char *numbers = x->encodes ? "x" : "y", *codes = x->encodes ? "y" : "x";
    aiter_tensor *real = x->encodes ? &a->x : &a->y, *code = x->encodes ? &a->y : &a->x;
    x->computes = x->encodes && !a->quantisation.scale_given;
    aiteri_check_tensor(c, numbers, real, 1, 4, AITERI_FLOATS, 1, "numbers [.., D]");
    aiteri_check_tensor(c, codes, code, 1, 4, AITERI_CODES, 1, "codes [.., D]");
    aiteri_check_tensor(c, "scale", &a->scale, 1, 4, AITERI_SCALES, 1,
                        "[1], or those of x without the last axis");
    aiteri_check_tensor(c, "global_scale", &a->global_scale, 1, 1, AITERI_ONLY_F32, 0, "[1]");
    if (c->status != AITER_OK) return;
    if (code->ndim != real->ndim)
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: ndim is %d, expected %d (= %s)", c->op,
                      codes, (int)code->ndim, (int)real->ndim, numbers);
    int64_t elements = 1; /* of what is not empty: counts of rows and groups do not wrap */
    for (int32_t i = 0; i < real->ndim && c->status == AITER_OK; i++) {
        if (real->shape[i] > AITERI_MOST_ELEMENTS / elements)
            aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: its extents exceed the address space",
                          c->op, numbers);
        if (c->status != AITER_OK) return;
        elements *= aiteri_max(1, real->shape[i]);
        aiteri_check_axis(c, numbers, real, i, "extent", 0, INT32_MAX - 1);
        aiteri_check_extent(c, codes, code, i, real->shape[i], numbers);
    }
    aiteri_quant_check_options(c, x);
    if (c->status != AITER_OK) return;
    x->real = aiteri_quant_view_of(real);
    x->codes = aiteri_quant_view_of(code);
    x->range = aiteri_code_range_of(code->dtype);
    x->group = a->quantisation.group ? a->quantisation.group : aiteri_max(1, x->real.shape[3]);
    x->scale.data = (char *)a->scale.data;
    x->scale.dtype = a->scale.dtype;
    aiteri_quant_check_scale(c, x);
    if (c->status != AITER_OK) return;
    aiteri_quant_check_per(c, x);
    const aiter_tensor none = aiteri_tensor_make(NULL, AITER_F32, 0, 0, 0, 0, 0, 0);
    const aiteri_operand operand[] = {{"y", &a->y},
                                      {"scale", x->computes ? &a->scale : &none},
                                      {"x", &a->x},
                                      {"scale", x->computes ? &none : &a->scale},
                                      {"global_scale", &a->global_scale}};
    aiteri_check_overlap(c, operand, 5, 2);
}

/* ---- scales ---- */

static char *aiteri_quant_at(const aiteri_quant_view *v, const int64_t *row, int64_t column)
{
    int64_t at = column * v->stride[3];
    for (int32_t i = 0; i < 3; i++) at += row[i] * v->stride[i];
    return v->data + aiteri_bytes_of(v->dtype, at);
}

/* Index `n` of a view's rows. */
static void aiteri_quant_row(const aiteri_quant_view *v, int64_t n, int64_t *row)
{
    row[2] = n % v->shape[2];
    row[1] = n / v->shape[2] % v->shape[1];
    row[0] = n / v->shape[2] / v->shape[1];
}

/* The exponent field of p = a * factor rounded to f32, plus 1 if p is no power of two. Below the
 * normal numbers that is 0 or 1, whatever the caller's flags make of subnormal ones. */
static int32_t aiteri_e8m0_above(float a, double factor)
{
    const double product = aiteri_rounded_f64(aiteri_double_of_f32(a) * factor);
    if (product < 1.1754943508222875e-38) return product > 7.006492321624085e-46;
    const uint32_t u = aiteri_bits_of_f32(aiteri_rounded((float)product));
    return (int32_t)(u >> 23) + ((u & 0x7fffff) != 0);
}

/* The byte of a group whose largest magnitude is amax: AITER_SCALE_ROUND_ says how. */
static uint8_t aiteri_e8m0_of_amax(float amax, aiter_scale_rounding how, aiter_dtype codes)
{
    const aiteri_code_range r = aiteri_code_range_of(codes);
    const uint32_t a = aiteri_bits_of_f32(amax);
    int32_t field = (int32_t)(a >> 23);
    if (field == 255) return 255;
    if (how == AITER_SCALE_ROUND_UP)
        field = aiteri_e8m0_above(amax, (double)aiteri_rounded(1.0f / aiteri_largest_of(codes)));
    else if (how == AITER_SCALE_ROUND_CEIL)
        field = aiteri_e8m0_above(amax, 1.0 / (double)(1 << r.exponent));
    else if (how == AITER_SCALE_ROUND_FLOOR)
        field -= r.exponent;
    else
        field = (int32_t)((a + (1u << (22 - r.mantissa))) >> 23) - r.exponent;
    return (uint8_t)(field > 0 ? field : 0);
}

/* Stores the scale of a unit by its largest magnitude. */
static void aiteri_quant_store_scale(const aiteri_quant *x, char *to, float amax)
{
    const aiter_quantisation *q = &x->a.quantisation;
    float scale = 1.0f;
    const int is_one = aiteri_bits_of_f32(amax) == 0 && q->zero_block == AITER_ZERO_BLOCK_SCALE_1;
    if (x->scale.dtype == AITER_F8_E8M0) {
        *(uint8_t *)to =
            is_one ? 127 : aiteri_e8m0_of_amax(amax, q->scale_rounding, x->codes.dtype);
        return;
    }
    if (!is_one) scale = aiteri_rounded(amax / aiteri_largest_of(x->codes.dtype));
    if (!is_one && x->scale.dtype == AITER_F8_E4M3FN) {
        scale = aiteri_rounded(scale / x->global_scale);
        if (aiteri_bits_of_f32(amax) >= 0x7f800000) scale = aiteri_f32_of_bits(0x7fc00000);
    }
    aiteri_store_f32(x->scale.dtype, to, 0, scale);
}

/* Computes and stores the scale of unit (unit, g). */
static void aiteri_quant_scale(const aiteri_quant *x, const int64_t *unit, int64_t g)
{
    int64_t first[3], end[3], i[3];
    float strip[AITERI_QUANT_STRIP];
    uint32_t most = 0;
    for (int32_t k = 0; k < 3; k++) {
        const int all = x->scale.shape[k] != x->real.shape[k];
        first[k] = all ? 0 : unit[k];
        end[k] = all ? x->real.shape[k] : unit[k] + 1;
    }
    const int64_t from = g * x->group, to = aiteri_min(from + x->group, x->real.shape[3]);
    for (i[0] = first[0]; i[0] < end[0] && from < to; i[0]++)
        for (i[1] = first[1]; i[1] < end[1]; i[1]++)
            for (i[2] = first[2]; i[2] < end[2]; i[2]++)
                for (int64_t d = from; d < to; d += AITERI_QUANT_STRIP) {
                    const int32_t n = (int32_t)aiteri_min(AITERI_QUANT_STRIP, to - d);
                    aiteri_gather_row(x->kernels, strip, aiteri_quant_at(&x->real, i, d),
                                      x->real.dtype, x->real.stride[3], n);
                    most = aiteri_larger_magnitude(most, x->kernels->row_amax(strip, n));
                }
    aiteri_quant_store_scale(x, aiteri_quant_at(&x->scale, unit, g), aiteri_f32_of_bits(most));
}

static int64_t aiteri_quant_rows(const aiteri_quant_view *v)
{
    return v->shape[0] * v->shape[1] * v->shape[2];
}

/* The scales that several rows share; a row computes its own. */
static void aiteri_quant_scale_worker(void *arg, int32_t worker)
{
    const aiteri_quant *x = (const aiteri_quant *)arg;
    const int64_t groups = x->scale.shape[3], units = aiteri_quant_rows(&x->scale) * groups;
    const int64_t end = aiteri_share_of(units, worker + 1, x->workers);
    for (int64_t n = aiteri_share_of(units, worker, x->workers); n < end; n++) {
        int64_t unit[3];
        aiteri_quant_row(&x->scale, n / groups, unit);
        aiteri_quant_scale(x, unit, n % groups);
    }
}

/* What a code of 1 is worth: of * also. `also` is 1, but for the one scale that no normal float is.
 */
typedef struct aiteri_quant_step {
    float of, also;
} aiteri_quant_step;

static aiteri_quant_step aiteri_quant_step_at(const aiteri_quant *x, const int64_t *row, int64_t g)
{
    const char *at = aiteri_quant_at(&x->scale, row, g);
    aiteri_quant_step step = {0.0f, 1.0f};
    if (x->scale.dtype == AITER_F8_E8M0 && *(const uint8_t *)at == 0) {
        step.of = aiteri_f32_of_bits(0x00800000);
        step.also = 0.5f;
        return step;
    }
    step.of = aiteri_load_f32(x->scale.dtype, at, 0);
    if (x->scale.dtype == AITER_F8_E4M3FN) step.of = aiteri_rounded(step.of * x->global_scale);
    return step;
}

/* ---- rows ---- */

static void aiteri_quant_multiply(const aiteri_kernels *kernels, float *row, int32_t n, float by)
{
    if (n % AITERI_PAD == 0)
        kernels->row_scale(row, n, by);
    else
        for (int32_t i = 0; i < n; i++) row[i] *= by;
}

static void aiteri_quant_apply(const aiteri_quant *x, float *row, int32_t n, aiteri_quant_step step)
{
    if (!x->encodes) {
        if (step.also != 1.0f) aiteri_quant_multiply(x->kernels, row, n, step.also);
        aiteri_quant_multiply(x->kernels, row, n, step.of);
        return;
    }
    if (step.also != 1.0f) aiteri_quant_multiply(x->kernels, row, n, 1.0f / step.also);
    const float inverse = aiteri_rounded(1.0f / step.of);
    if (x->a.quantisation.by_reciprocal && aiteri_bits_of_f32(inverse) != 0x7f800000)
        aiteri_quant_multiply(x->kernels, row, n, inverse);
    else
        aiteri_count_steps(x->kernels, row, n, step.of);
}

/* What the plain conversion of a row leaves: NaN of either sign, and overflow that is to show. */
static void aiteri_quant_mend_fp8(const aiteri_quant *x, char *codes, const float *row, int32_t n)
{
    const int64_t stride = x->codes.stride[3];
    const int shows = x->a.quantisation.overflow == AITER_OVERFLOW_TO_NAN;
    const uint32_t most = shows ? x->range.beyond : 0x7f800001;
    if (aiteri_bits_of_f32(x->kernels->row_amax(row, n)) < most) return;
    for (int32_t i = 0; i < n; i++) {
        const uint32_t u = aiteri_bits_of_f32(row[i]), a = u & 0x7fffffff;
        uint8_t *code = (uint8_t *)codes + i * stride;
        if (a > 0x7f800000)
            *code = x->range.nan;
        else if (a >= most)
            *code = (uint8_t)(x->range.overflow | (u >> 24 & 0x80));
    }
}

static void aiteri_quant_store(const aiteri_quant *x, char *codes, float *row, int32_t n)
{
    if (x->a.quantisation.rounding == AITER_ROUND_TIES_TOWARD_ZERO) {
        for (int32_t i = 0; i < n; i++)
            aiteri_store_nibble(codes, i, aiteri_e2m1_from_bits_down(aiteri_bits_of_f32(row[i])));
        return;
    }
    aiteri_scatter_row(x->kernels, codes, x->codes.dtype, x->codes.stride[3], row, n);
    if (AITERI_TYPE_BIT(x->codes.dtype) & AITERI_FP8) aiteri_quant_mend_fp8(x, codes, row, n);
}

/* One row from its numbers to its codes, or back. */
static void aiteri_quant_convert(const aiteri_quant *x, const int64_t *row)
{
    const aiteri_quant_view *from = x->encodes ? &x->real : &x->codes;
    const int64_t dim = x->real.shape[3];
    float strip[AITERI_QUANT_STRIP];
    for (int64_t d = 0; d < dim; d += AITERI_QUANT_STRIP) {
        const int32_t n = (int32_t)aiteri_min(AITERI_QUANT_STRIP, dim - d);
        aiteri_gather_row(x->kernels, strip, aiteri_quant_at(from, row, d), from->dtype,
                          from->stride[3], n);
        for (int64_t k = d, end; k < d + n; k = end) {
            end = aiteri_min(d + n, (k / x->group + 1) * x->group);
            aiteri_quant_apply(x, strip + (k - d), (int32_t)(end - k),
                               aiteri_quant_step_at(x, row, k / x->group));
        }
        if (x->encodes)
            aiteri_quant_store(x, aiteri_quant_at(&x->codes, row, d), strip, n);
        else
            aiteri_scatter_row(x->kernels, aiteri_quant_at(&x->real, row, d), x->real.dtype,
                               x->real.stride[3], strip, n);
    }
}

static void aiteri_quant_worker(void *arg, int32_t worker)
{
    const aiteri_quant *x = (const aiteri_quant *)arg;
    const int64_t rows = aiteri_quant_rows(&x->real);
    const int64_t end = aiteri_share_of(rows, worker + 1, x->workers);
    for (int64_t n = aiteri_share_of(rows, worker, x->workers); n < end; n++) {
        int64_t row[3];
        aiteri_quant_row(&x->real, n, row);
        for (int64_t g = 0; x->computes && !x->shared && g < x->scale.shape[3]; g++)
            aiteri_quant_scale(x, row, g);
        aiteri_quant_convert(x, row);
    }
}

/* ---- the call ---- */

static aiter_status aiteri_quant_begin(const char *op, const char *call,
                                       const aiter_quantize_args *args, aiter_context *ctx,
                                       aiteri_quant *x)
{
    memset(x, 0, sizeof *x);
    AITERI_TRY(aiteri_call_begin(op, call, ctx, args, sizeof *args));
    x->a = *args;
    x->op = op;
    x->encodes = strcmp(op, "aiter_quantize") == 0;
    x->global_scale = 1.0f;
    return AITER_OK;
}

static aiter_status aiteri_quant_workspace(const aiteri_quant *x, aiter_context *ctx, size_t *bytes)
{
    return aiteri_scratch_answer(x->op, ctx, 0, bytes);
}

/* Everything that shapes tell. */
static aiter_status aiteri_quant_supported(aiteri_quant *x, aiter_context *ctx, size_t *bytes)
{
    aiteri_check c = {x->op, ctx, AITER_OK};
    aiteri_quant_check(&c, x);
    *bytes = 0;
    return c.status == AITER_OK ? aiteri_needs_cpu(x->op, ctx) : c.status;
}

static aiter_status aiteri_quant_explain(const aiteri_quant *x, aiter_context *ctx, aiteri_text *t)
{
    const int64_t *n = x->real.shape, *s = x->scale.shape;
    const double rows = (double)aiteri_quant_rows(&x->real);
    const double real = rows * (double)n[3] * aiteri_bytes_per(x->real.dtype);
    const double codes = rows * (double)n[3] * aiteri_bytes_per(x->codes.dtype);
    const double scales = (double)aiteri_quant_rows(&x->scale) * (double)s[3];
    const double scale = scales * aiteri_bytes_per(x->scale.dtype);
    aiteri_say(t, "problem: [%lld, %lld, %lld, %lld], %.0f scales, groups of %lld\n",
               (long long)n[0], (long long)n[1], (long long)n[2], (long long)n[3], scales,
               (long long)x->group);
    aiteri_say(t, "types: %s %s %s, scales %s%s\n", aiter_dtype_name(x->real.dtype),
               x->encodes ? "to" : "from", aiter_dtype_name(x->codes.dtype),
               aiter_dtype_name(x->scale.dtype), x->computes ? ", which are written" : "");
    aiteri_explain_rows(t, ctx, 0, "rows", aiteri_quant_rows(&x->real), 1);
    if (x->encodes)
        aiteri_say(t, "bytes: at most %.3g read, %.3g written\n",
                   real * (x->computes && x->shared ? 2 : 1) + (x->computes ? 0 : scale),
                   codes + (x->computes ? scale : 0));
    else
        aiteri_say(t, "bytes: at most %.3g read, %.3g written\n", codes + scale, real);
    return AITER_OK;
}

/* Scales that are given: what a group of zeros or a NaN has is no scale to quantise by. */
static void aiteri_quant_check_given(aiteri_check *c, const aiteri_quant *x)
{
    const int64_t groups = x->scale.shape[3], units = aiteri_quant_rows(&x->scale) * groups;
    for (int64_t n = 0; n < units && c->status == AITER_OK; n++) {
        int64_t unit[3];
        aiteri_quant_row(&x->scale, n / groups, unit);
        const char *at = aiteri_quant_at(&x->scale, unit, n % groups);
        aiteri_check_positive(c, "scale", n, aiteri_load_f32(x->scale.dtype, at, 0));
    }
}

static aiter_status aiteri_quant_run(aiteri_quant *x, aiter_context *ctx)
{
    size_t bytes;
    AITERI_TRY(aiteri_quant_supported(x, ctx, &bytes));
    aiteri_check c = {x->op, ctx, AITER_OK};
    if (x->a.global_scale.ndim != 0) {
        x->global_scale = *(const float *)x->a.global_scale.data;
        aiteri_check_positive(&c, "global_scale", 0, x->global_scale);
    }
    const int empty = aiteri_quant_rows(&x->real) == 0 || x->real.shape[3] == 0;
    if (x->encodes && !x->computes && !empty) aiteri_quant_check_given(&c, x);
    if (c.status != AITER_OK) return c.status;
    x->kernels = aiteri_context_kernels(ctx);
    x->workers = aiteri_context_workers(ctx);
    if (x->computes && x->shared) aiteri_parallel(ctx, aiteri_quant_scale_worker, x, x->workers);
    if (!empty) aiteri_parallel(ctx, aiteri_quant_worker, x, x->workers);
    return AITER_OK;
}

AITERI_CALLS(quantize, quant, "aiter_quantize")
AITERI_CALLS(dequantize, quant, "aiter_dequantize")

#endif /* AITERI_QUANTIZE_C */
