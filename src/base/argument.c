/* argument.c -- checks of one argument at a time: sticky, the first failure is the one reported. */
#ifndef AITERI_ARGUMENT_C
#define AITERI_ARGUMENT_C

#include "tensor.c"

/* The checks of one call. Each does nothing after the first failure. */
typedef struct aiteri_check {
    const char *op;
    aiter_context *ctx;
    aiter_status status;
} aiteri_check;

/* Reports "op.field: ..." unless something was reported before. */
static void aiteri_reject(aiteri_check *c, aiter_status code, const char *format, ...)
    AITERI_PRINTF(3, 4);
static void aiteri_reject(aiteri_check *c, aiter_status code, const char *format, ...)
{
    va_list list;
    if (c->status != AITER_OK) return;
    c->status = code;
    va_start(list, format);
    aiteri_keep_text(c->ctx, format, list);
    va_end(list);
}

#define AITERI_TYPE_BIT(dtype) (1u << (dtype))

enum {
    AITERI_FLOATS = 1 << AITER_F32 | 1 << AITER_F16 | 1 << AITER_BF16,
    AITERI_FP8 = 1 << AITER_F8_E4M3FN | 1 << AITER_F8_E4M3FNUZ | 1 << AITER_F8_E5M2,
    AITERI_ROW_TYPES = AITERI_FLOATS | AITERI_FP8,   /* of q and out */
    AITERI_INTEGERS = 1 << AITER_I8 | 1 << AITER_I4, /* which mean nothing without scales */
    AITERI_QUANTISED = AITERI_FP8 | AITERI_INTEGERS,
    AITERI_KEY_TYPES = AITERI_FLOATS | AITERI_QUANTISED,
    AITERI_SCALE_TYPES = AITERI_FLOATS | 1 << AITER_F8_E8M0,
    AITERI_ONLY_F32 = 1 << AITER_F32,
    AITERI_ONLY_I32 = 1 << AITER_I32,
    AITERI_INDICES = 1 << AITER_I32 | 1 << AITER_I64
};

/* Whether a dtype, which may be any number, is one of a set. */
static int aiteri_is_type(aiter_dtype dtype, unsigned dtypes)
{
    return (uint32_t)dtype < AITER_DTYPE_COUNT && (AITERI_TYPE_BIT(dtype) & dtypes) != 0;
}

AITERI_UNUSED static void aiteri_check_true(aiteri_check *c, int ok, const char *field,
                                            const char *expected)
{
    if (!ok) aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: expected %s", c->op, field, expected);
}

/* "3 to 8", or "3 or more" of a value below a bound that nobody meets. */
typedef struct aiteri_range_text {
    char text[48];
} aiteri_range_text;

static aiteri_range_text aiteri_range_of(int64_t got, int64_t low, int64_t high)
{
    aiteri_range_text r;
    if (got < low && high >= INT32_MAX - 1)
        snprintf(r.text, sizeof r.text, "%lld or more", (long long)low);
    else
        snprintf(r.text, sizeof r.text, "%lld to %lld", (long long)low, (long long)high);
    return r;
}

static void aiteri_check_range(aiteri_check *c, const char *field, int64_t got, int64_t low,
                               int64_t high)
{
    if (got < low || got > high)
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: is %lld, expected %s", c->op, field,
                      (long long)got, aiteri_range_of(got, low, high).text);
}

/* A value of an enum that counts from 0; `type` names it. */
AITERI_UNUSED static void aiteri_check_enum(aiteri_check *c, const char *field, int got, int count,
                                            const char *type)
{
    if (got < 0 || got >= count)
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: %d is no %s", c->op, field, got, type);
}

/* x >= 0 and finite; x is looked at by its bits, so that no compiler flag can wave NaN through. */
AITERI_UNUSED static void aiteri_check_scale(aiteri_check *c, const char *field, float x)
{
    if (aiteri_bits_of_f32(x) >= 0x7f800000u && aiteri_bits_of_f32(x) != 0x80000000u)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: is %g, expected a finite value of 0 or more", c->op, field,
                      (double)x);
}

/* Element `at` of scales that are read: positive and finite. */
AITERI_UNUSED static void aiteri_check_positive(aiteri_check *c, const char *field, int64_t at,
                                                float x)
{
    const uint32_t bits = aiteri_bits_of_f32(x);
    if (bits == 0 || bits >= 0x7f800000u)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: [%lld] is %g, expected a positive finite scale", c->op, field,
                      (long long)at, (double)x);
}

/* "f32, f16": the types of a set. */
static void aiteri_name_types(unsigned dtypes, char *names, size_t bytes)
{
    names[0] = 0;
    for (int i = 1; i < AITER_DTYPE_COUNT; i++) {
        const size_t at = strlen(names);
        if (dtypes >> i & 1)
            snprintf(names + at, bytes - at, "%s%s", at ? ", " : "",
                     aiter_dtype_name((aiter_dtype)i));
    }
}

/* What to do about a type that people bring from elsewhere. */
static const char *aiteri_type_advice(aiter_dtype got, unsigned dtypes)
{
    if (dtypes == AITERI_ONLY_I32 && got == AITER_I64)
        return "; lengths, offsets and tables are 32-bit: pass a converted copy";
    if (aiteri_is_type(got, AITERI_FP8))
        return "; fp8 serves as q, keys, values and out of attention: convert it "
               "(aiter_load_element reads it)";
    if (got == AITER_U8 && (dtypes & AITERI_FLOATS) == AITERI_FLOATS)
        return "; bytes of another type (vLLM keeps fp8 as uint8): name the type that they hold";
    if (aiteri_is_type(got, AITERI_INTEGERS) && (dtypes & AITERI_FLOATS) == AITERI_FLOATS)
        return got == AITER_I8
                   ? "; int8 serves as keys and values of flash_attn_fwd and paged_attn_decode"
                   : "; int4 serves as keys and values of flash_attn_fwd and paged_attn_decode";
    return "";
}

/* Bytes that an element's address must be a multiple of. */
typedef struct aiteri_align_64 {
    char before;
    int64_t at;
} aiteri_align_64;

static size_t aiteri_dtype_align(aiter_dtype dtype)
{
    const int32_t bits = aiter_dtype_bits(dtype);
    return bits == 64 ? offsetof(aiteri_align_64, at) : bits < 8 ? 1 : (size_t)bits / 8;
}

/* The rank and type of an argument that is there. `layout` says what is expected: "[B, Sq, Hq, D]".
 */
static int aiteri_check_kind(aiteri_check *c, const char *field, const aiter_tensor *t,
                             int32_t ndim_low, int32_t ndim_high, unsigned dtypes,
                             const char *layout)
{
    if (t->ndim < ndim_low || t->ndim > ndim_high) {
        char range[32];
        snprintf(range, sizeof range, ndim_low == ndim_high ? "%d" : "%d to %d", (int)ndim_low,
                 (int)ndim_high);
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: ndim is %d, expected %s: %s", c->op, field,
                      (int)t->ndim, range, layout);
        return 0;
    }
    if ((int)t->dtype <= 0 || t->dtype >= AITER_DTYPE_COUNT || !(dtypes >> t->dtype & 1)) {
        char names[96];
        aiteri_name_types(dtypes, names, sizeof names);
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: dtype is %s, expected %s%s", c->op, field,
                      aiter_dtype_name(t->dtype), names, aiteri_type_advice(t->dtype, dtypes));
        return 0;
    }
    return 1;
}

/* Bytes that so many elements of a view span, 0 or more. */
static uint64_t aiteri_spanned_bytes(const aiter_tensor *t, int64_t span)
{
    return ((uint64_t)span * (uint64_t)aiter_dtype_bits(t->dtype) + 7) / 8;
}

/* Does a view of so many elements run over the end of the addresses? */
static int aiteri_tensor_wraps(const aiter_tensor *t, int64_t span)
{
    return aiteri_spanned_bytes(t, span) > UINTPTR_MAX - (uintptr_t)t->data;
}

/* Rows of two codes a byte start at whole bytes. */
static void aiteri_check_halves(aiteri_check *c, const char *field, const aiter_tensor *t)
{
    const int32_t last = t->ndim - 1;
    for (int32_t i = 0; aiter_dtype_bits(t->dtype) < 8 && i <= last; i++) {
        const int fits = i == last ? t->stride[i] == 1 : t->stride[i] % 2 == 0;
        if (!fits && t->shape[i] > 1)
            aiteri_reject(
                c, AITER_INVALID_ARGUMENT,
                "%s.%s: stride[%d] is %lld, expected %s: rows of %s start at whole bytes%s", c->op,
                field, (int)i, (long long)t->stride[i], i == last ? "1" : "an even one",
                aiter_dtype_name(t->dtype),
                i < last && t->shape[last] % 2 ? "; with an odd last extent set the strides" : "");
    }
}

/* Extents, strides and data of an argument of a known rank and type; fills the strides. */
static void aiteri_check_view(aiteri_check *c, const char *field, aiter_tensor *t)
{
    for (int32_t i = 0; i < t->ndim; i++)
        if (t->shape[i] < 0) {
            aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: shape[%d] is %lld, expected 0 or more",
                          c->op, field, (int)i, (long long)t->shape[i]);
            return;
        }
    aiter_tensor compact = *t;
    aiteri_tensor_fill_strides(t);
    const int64_t span = aiteri_tensor_span(t);
    for (int32_t i = 0; i < t->ndim && !aiteri_tensor_is_compact(&compact); i++)
        if (t->stride[i] < 0 && span != 0)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.%s: stride[%d] is %lld, expected 0 or more", c->op, field, (int)i,
                          (long long)t->stride[i]);
    const size_t align = aiteri_dtype_align(t->dtype);
    if (span < 0 || aiteri_tensor_wraps(t, span))
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: its extents exceed the address space",
                      c->op, field);
    else if (t->data == NULL && span != 0)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: data is NULL, expected %lld elements or more", c->op, field,
                      (long long)span);
    else if (span != 0 && (uintptr_t)t->data % align != 0)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: data is not aligned to %d bytes, as its elements (%s) are", c->op,
                      field, (int)align, aiter_dtype_name(t->dtype));
    if (span > 0) aiteri_check_halves(c, field, t);
    for (int32_t i = 0; i < t->ndim; i++) /* strides that are never taken may be anything */
        if ((span == 0 || t->shape[i] == 1) &&
            (t->stride[i] < 0 || t->stride[i] > AITERI_MOST_ELEMENTS))
            t->stride[i] = 0;
}

/* Fills the strides of an argument and checks everything that it alone can tell. Returns whether it
 * is present; an absent one fails when `required`. */
static int aiteri_check_tensor(aiteri_check *c, const char *field, aiter_tensor *t,
                               int32_t ndim_low, int32_t ndim_high, unsigned dtypes, int required,
                               const char *layout)
{
    if (c->status != AITER_OK) return 0; /* the ranks expected here may come from what failed */
    if (t->ndim == 0) {
        if (required)
            aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: is absent (ndim 0), expected %s",
                          c->op, field, layout);
        return 0;
    }
    if (aiteri_check_kind(c, field, t, ndim_low, ndim_high, dtypes, layout))
        aiteri_check_view(c, field, t);
    return c->status == AITER_OK;
}

/* A tensor that means nothing to an op. */
AITERI_UNUSED static void aiteri_check_absent(aiteri_check *c, const char *field,
                                              const aiter_tensor *t, const char *why)
{
    if (t->ndim != 0)
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: expected none: %s", c->op, field, why);
}

/* One extent of a tensor, and what it counts. */
static void aiteri_check_axis(aiteri_check *c, const char *field, const aiter_tensor *t,
                              int32_t dim, const char *what, int64_t low, int64_t high)
{
    const int64_t got = t->shape[dim];
    if (got < low || got > high)
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: shape[%d], the %s, is %lld, expected %s",
                      c->op, field, (int)dim, what, (long long)got,
                      aiteri_range_of(got, low, high).text);
}

/* The axis that t.shape[dim] looks exchanged with, since `expected` stands there; -1: none. Of four
 * axes only the two inner ones before the last are meant. */
static int32_t aiteri_looks_exchanged(const aiter_tensor *t, int32_t dim, int64_t expected)
{
    const int32_t other = t->ndim == 4 ? 3 - dim : dim + 1;
    if (t->ndim == 4 ? dim != 1 && dim != 2 : other >= t->ndim) return -1;
    return t->shape[other] == expected ? other : -1;
}

/* t.shape[dim] == expected, the extent of `other`. */
static void aiteri_check_extent(aiteri_check *c, const char *field, const aiter_tensor *t,
                                int32_t dim, int64_t expected, const char *other)
{
    if (t->shape[dim] == expected) return;
    char advice[96] = "";
    const int32_t with = aiteri_looks_exchanged(t, dim, expected);
    if (with >= 0)
        snprintf(advice, sizeof advice,
                 "; are two axes exchanged? aiter_tensor_transpose(%s, %d, %d)", field,
                 (int)aiteri_min(dim, with), (int)aiteri_max(dim, with));
    aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: shape[%d] is %lld, expected %lld (= %s)%s",
                  c->op, field, (int)dim, (long long)t->shape[dim], (long long)expected, other,
                  advice);
}

/* Dimensions by falling stride, extents of 1 dropped. */
typedef struct aiteri_extent {
    uintptr_t first, bytes; /* of the first element, and from it to one past the last byte */
    int32_t ndim;
    int64_t shape[5], stride[5]; /* in bytes */
} aiteri_extent;

static aiteri_extent aiteri_extent_of(const aiter_tensor *t)
{
    const int64_t bits = aiter_dtype_bits(t->dtype);
    aiteri_extent e;
    memset(&e, 0, sizeof e);
    e.first = (uintptr_t)t->data;
    e.bytes = (uintptr_t)((bits + 7) / 8);
    for (int32_t i = 0; i < t->ndim; i++) {
        const int in_halves = bits < 8 && i == t->ndim - 1; /* a row is its bytes */
        const int64_t n = in_halves ? aiteri_ceil_div(t->shape[i], 2) : t->shape[i];
        if (n <= 1) continue;
        const int64_t stride = in_halves ? 1 : t->stride[i] * bits / 8;
        int32_t at = e.ndim++;
        for (; at > 0 && e.stride[at - 1] < stride; at--) {
            e.stride[at] = e.stride[at - 1];
            e.shape[at] = e.shape[at - 1];
        }
        e.stride[at] = stride;
        e.shape[at] = n;
        e.bytes += (uintptr_t)((n - 1) * stride);
    }
    return e;
}

/* Each dimension steps over all that the ones inside it span. */
static int aiteri_extent_is_injective(const aiteri_extent *e, int64_t size)
{
    int64_t inner = size;
    for (int32_t i = e->ndim - 1; i >= 0; i--) {
        if (e->stride[i] < inner) return 0;
        inner += (e->shape[i] - 1) * e->stride[i];
    }
    return 1;
}

static int aiteri_extents_meet(const aiteri_extent *a, const aiteri_extent *b, int64_t *budget);

/* The first slice of the outermost dimension. */
static aiteri_extent aiteri_extent_slice(const aiteri_extent *e)
{
    aiteri_extent slice = *e;
    slice.ndim--;
    memmove(slice.shape, e->shape + 1, 4 * sizeof slice.shape[0]);
    memmove(slice.stride, e->stride + 1, 4 * sizeof slice.stride[0]);
    slice.bytes = e->bytes - (uintptr_t)((e->shape[0] - 1) * e->stride[0]);
    return slice;
}

/* Two views of one outer step, as K and V that interleave: whether slice i of a meets slice j of b
 * depends on i - j alone. */
static int aiteri_extents_in_step_meet(const aiteri_extent *a, const aiteri_extent *b,
                                       int64_t *budget)
{
    aiteri_extent of_a = aiteri_extent_slice(a), of_b = aiteri_extent_slice(b);
    const int64_t step = a->stride[0], ahead = (int64_t)a->first - (int64_t)b->first;
    const int64_t before = -ahead - (int64_t)of_a.bytes; /* k steps of a end behind b's start */
    int64_t k = aiteri_max(before / step - (before % step < 0) + 1, 1 - b->shape[0]);
    for (; k < a->shape[0] && ahead + k * step < (int64_t)of_b.bytes; k++) {
        of_a.first = a->first + (uintptr_t)(k > 0 ? k * step : 0);
        of_b.first = b->first + (uintptr_t)(k < 0 ? -k * step : 0);
        if (aiteri_extents_meet(&of_a, &of_b, budget)) return 1;
    }
    return 0;
}

/* Do two views share a byte? Exact: the view with the larger outer stride is cut into its slices,
 * those that meet the other are looked at in turn. After `budget` steps the answer is yes. */
static int aiteri_extents_meet(const aiteri_extent *a, const aiteri_extent *b, int64_t *budget)
{
    if (a->first >= b->first + b->bytes || b->first >= a->first + a->bytes) return 0;
    if (--*budget < 0) return 1;
    const int64_t outer_a = a->ndim ? a->stride[0] : 0, outer_b = b->ndim ? b->stride[0] : 0;
    if (outer_a == 0 && outer_b == 0) return 1;
    if (outer_a < outer_b) return aiteri_extents_meet(b, a, budget);
    if (outer_a == outer_b) return aiteri_extents_in_step_meet(a, b, budget);
    aiteri_extent slice = aiteri_extent_slice(a);
    const uintptr_t step = (uintptr_t)outer_a, end = b->first + b->bytes;
    uintptr_t i =
        a->first + slice.bytes > b->first ? 0 : (b->first - a->first - slice.bytes) / step + 1;
    for (; i < (uintptr_t)a->shape[0] && a->first + i * step < end; i++) {
        slice.first = a->first + i * step;
        if (aiteri_extents_meet(&slice, b, budget)) return 1;
    }
    return 0;
}

/* One argument by its name in texts. */
typedef struct aiteri_operand {
    const char *field;
    const aiter_tensor *tensor;
} aiteri_operand;

/* Memory that a call may write or read besides its tensors, as one of them. NULL: absent. */
AITERI_UNUSED static aiter_tensor aiteri_memory_operand(const void *data, size_t bytes)
{
    const uintptr_t most = UINTPTR_MAX - (uintptr_t)data;
    const uint64_t known = bytes < most ? bytes : most;
    aiter_tensor t = aiteri_tensor_make(
        data, AITER_U8, data && known ? 1 : 0,
        known < (uint64_t)AITERI_MOST_ELEMENTS ? (int64_t)known : AITERI_MOST_ELEMENTS, 0, 0, 0, 0);
    t.stride[0] = 1;
    return t;
}

/* Bytes of a view whose strides are filled; 0: absent or empty. */
static uintptr_t aiteri_operand_bytes(const aiter_tensor *t)
{
    const int64_t span = t->ndim ? aiteri_tensor_span(t) : 0;
    return span > 0 ? (uintptr_t)aiteri_spanned_bytes(t, span) : 0;
}

/* Do two views share a byte? Mostly their ends tell. */
static int aiteri_operands_meet(const aiter_tensor *t, uintptr_t t_bytes, const aiter_tensor *u)
{
    const uintptr_t u_bytes = aiteri_operand_bytes(u);
    const uintptr_t at = (uintptr_t)t->data, other = (uintptr_t)u->data;
    if (u_bytes == 0 || at >= other + u_bytes || other >= at + t_bytes) return 0;
    const aiteri_extent a = aiteri_extent_of(t), b = aiteri_extent_of(u);
    int64_t budget = 4000000;
    return aiteri_extents_meet(&a, &b, &budget);
}

/* No output shares an element with itself, another output or an input. Outputs come first; the
 * strides of all are filled. */
static void aiteri_check_overlap(aiteri_check *c, const aiteri_operand *operand, int32_t count,
                                 int32_t outputs)
{
    for (int32_t i = 0; i < outputs && c->status == AITER_OK; i++) {
        const aiter_tensor *t = operand[i].tensor;
        const uintptr_t bytes = aiteri_operand_bytes(t);
        if (bytes == 0) continue;
        const aiteri_extent a = aiteri_extent_of(t);
        if (!aiteri_extent_is_injective(&a, (aiter_dtype_bits(t->dtype) + 7) / 8))
            aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: several of its elements share memory",
                          c->op, operand[i].field);
        for (int32_t j = i + 1; j < count; j++)
            if (aiteri_operands_meet(t, bytes, operand[j].tensor))
                aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: shares memory with %s", c->op,
                              operand[i].field, operand[j].field);
    }
}

/* An output may be exactly an input of the same extents: same data, strides and dtype. */
AITERI_UNUSED static int aiteri_same_view(const aiter_tensor *a, const aiter_tensor *b)
{
    if (a->data != b->data || a->dtype != b->dtype || a->ndim != b->ndim) return 0;
    for (int32_t i = 0; i < a->ndim; i++)
        if (a->stride[i] != b->stride[i]) return 0;
    return 1;
}

/* A bound of the lengths, and the words for it. */
typedef struct aiteri_length_bound {
    int64_t most;
    const char *name;
} aiteri_length_bound;

/* cu[0] == 0, never falling, the last within the tensor, no length above its bound. */
AITERI_UNUSED static void aiteri_check_cu_seqlens(aiteri_check *c, const char *field,
                                                  const int32_t *cu, int64_t stride, int32_t batch,
                                                  int64_t total, aiteri_length_bound bound)
{
    if (!cu || c->status != AITER_OK) return;
    if (cu[0] != 0)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: [0] is %d, expected 0: B + 1 running sums of the lengths", c->op,
                      field, (int)cu[0]);
    for (int32_t b = 0; b < batch && c->status == AITER_OK; b++) {
        const int64_t length = (int64_t)cu[(b + 1) * stride] - cu[b * stride];
        if (length < 0)
            aiteri_reject(
                c, AITER_INVALID_ARGUMENT,
                "%s.%s: falls from %d to %d at [%d], expected running sums of the lengths", c->op,
                field, (int)cu[b * stride], (int)cu[(b + 1) * stride], (int)(b + 1));
        if (length > bound.most)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.%s: [%d] gives a length of %lld, expected 0 to %lld (= %s)", c->op,
                          field, (int)(b + 1), (long long)length, (long long)bound.most,
                          bound.name);
    }
    if (cu[batch * stride] > total)
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: [%d] is %d, expected at most %lld tokens",
                      c->op, field, (int)batch, (int)cu[batch * stride], (long long)total);
}

/* The element of an I32 or I64 tensor at an offset in elements. */
AITERI_UNUSED static int64_t aiteri_index_at(const aiter_tensor *t, int64_t at)
{
    return t->dtype == AITER_I64 ? ((const int64_t *)t->data)[at] : ((const int32_t *)t->data)[at];
}

#endif /* AITERI_ARGUMENT_C */
