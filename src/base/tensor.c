/* tensor.c -- views: constructors, slices, defaults, overlap, and DLPack in and out. */
#ifndef AITERI_TENSOR_C
#define AITERI_TENSOR_C

#include "check.h"
#include "dtype.c"

static aiter_tensor aiteri_tensor_make(const void *data, aiter_dtype dtype, int32_t ndim,
                                       int64_t n0, int64_t n1, int64_t n2, int64_t n3, int64_t n4)
{
    const int64_t shape[5] = {n0, n1, n2, n3, n4};
    aiter_tensor t;
    memset(&t, 0, sizeof t);
    t.data = (void *)(uintptr_t)data;
    t.dtype = dtype;
    t.ndim = ndim;
    for (int32_t i = 0; i < ndim; i++) t.shape[i] = shape[i];
    return t;
}

AITER_ATTN_API aiter_tensor aiter_tensor_1d(const void *data, aiter_dtype dtype, int64_t n0)
{
    return aiteri_tensor_make(data, dtype, 1, n0, 0, 0, 0, 0);
}

AITER_ATTN_API aiter_tensor aiter_tensor_2d(const void *data, aiter_dtype dtype, int64_t n0,
                                            int64_t n1)
{
    return aiteri_tensor_make(data, dtype, 2, n0, n1, 0, 0, 0);
}

AITER_ATTN_API aiter_tensor aiter_tensor_3d(const void *data, aiter_dtype dtype, int64_t n0,
                                            int64_t n1, int64_t n2)
{
    return aiteri_tensor_make(data, dtype, 3, n0, n1, n2, 0, 0);
}

AITER_ATTN_API aiter_tensor aiter_tensor_4d(const void *data, aiter_dtype dtype, int64_t n0,
                                            int64_t n1, int64_t n2, int64_t n3)
{
    return aiteri_tensor_make(data, dtype, 4, n0, n1, n2, n3, 0);
}

AITER_ATTN_API aiter_tensor aiter_tensor_5d(const void *data, aiter_dtype dtype, int64_t n0,
                                            int64_t n1, int64_t n2, int64_t n3, int64_t n4)
{
    return aiteri_tensor_make(data, dtype, 5, n0, n1, n2, n3, n4);
}

/* The most elements that a span may have: its bytes, and sums of a few offsets, stay below 2^63. */
#define AITERI_MOST_ELEMENTS (INT64_MAX / 64)

/* Are the strides left to us? */
static int aiteri_tensor_is_compact(const aiter_tensor *t)
{
    for (int32_t i = 0; i < t->ndim && i < 5; i++)
        if (t->stride[i] != 0) return 0;
    return 1;
}

/* Fills compact strides; wraps for absurd shapes, which the checks refuse before any use. */
static void aiteri_tensor_fill_strides(aiter_tensor *t)
{
    if (!aiteri_tensor_is_compact(t)) return;
    uint64_t stride = 1;
    for (int32_t i = t->ndim - 1; i >= 0; i--) {
        t->stride[i] = (int64_t)stride;
        stride *= (uint64_t)(t->shape[i] > 0 ? t->shape[i] : 1);
    }
}

AITER_ATTN_API aiter_tensor aiter_tensor_transpose(aiter_tensor t, int32_t a, int32_t b)
{
    if (t.ndim < 1 || t.ndim > 5 || a < 0 || b < 0 || a >= t.ndim || b >= t.ndim) {
        t.ndim = 0;
        return t;
    }
    aiteri_tensor_fill_strides(&t);
    const int64_t shape = t.shape[a], stride = t.stride[a];
    t.shape[a] = t.shape[b];
    t.stride[a] = t.stride[b];
    t.shape[b] = shape;
    t.stride[b] = stride;
    return t;
}

AITER_ATTN_API aiter_tensor aiter_tensor_slice(aiter_tensor t, int32_t dim, int64_t start,
                                               int64_t count)
{
    const int ok = t.ndim >= 1 && t.ndim <= 5 && dim >= 0 && dim < t.ndim && start >= 0 &&
                   count >= 0 && start <= t.shape[dim] && count <= t.shape[dim] - start;
    const int32_t bits = aiter_dtype_bits(t.dtype);
    if (ok) aiteri_tensor_fill_strides(&t);
    const int64_t by = ok ? t.stride[dim] : 0; /* whose product with start must not wrap */
    if (!ok || bits == 0 ||
        (start > 0 &&
         (by > AITERI_MOST_ELEMENTS / start || by < -(AITERI_MOST_ELEMENTS / start))) ||
        (bits == 4 && start * by % 2 != 0)) {
        t.ndim = 0;
        return t;
    }
    if (t.data) t.data = (char *)t.data + start * by * bits / 8;
    t.shape[dim] = count;
    return t;
}

/* Elements from the first to one past the last, for extents of 0 or more. 0: empty; -1: too large,
 * or a stride that is negative. */
static int64_t aiteri_tensor_span(const aiter_tensor *t)
{
    int64_t last = 0;
    for (int32_t i = 0; i < t->ndim; i++)
        if (t->shape[i] == 0) return 0;
    for (int32_t i = 0; i < t->ndim; i++) {
        const int64_t steps = t->shape[i] - 1, stride = t->stride[i];
        const int64_t room = AITERI_MOST_ELEMENTS - last;
        const int small = ((uint64_t)steps | (uint64_t)stride) >> 31 == 0; /* a division is slow */
        if (stride < 0) return -1;
        if (small ? steps * stride > room : stride != 0 && steps > room / stride) return -1;
        last += steps * stride;
    }
    return last + 1;
}

#if defined(DLPACK_VERSION) || defined(DLPACK_MAJOR_VERSION)
typedef struct aiteri_dlpack_row {
    aiter_dtype dtype;
    int code, bits;
} aiteri_dlpack_row;

/* DLPack's type codes: 0 int, 1 unsigned, 2 float, 4 bfloat; 10, 11 and 12 are float8_e4m3fn,
 * float8_e4m3fnuz and float8_e5m2 of DLPack 1.1. */
static const aiteri_dlpack_row aiteri_dlpack_rows[] = {
    {AITER_F32, 2, 32},       {AITER_F16, 2, 16},         {AITER_BF16, 4, 16},
    {AITER_F8_E4M3FN, 10, 8}, {AITER_F8_E4M3FNUZ, 11, 8}, {AITER_F8_E5M2, 12, 8},
    {AITER_I8, 0, 8},         {AITER_I32, 0, 32},         {AITER_I64, 0, 64},
    {AITER_U8, 1, 8}};

AITER_ATTN_API aiter_status aiter_tensor_from_dlpack(const DLTensor *in, aiter_tensor *out)
{
    if (!in || !out)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT, "aiter_tensor_from_dlpack.%s: is NULL",
                           in ? "out" : "in");
    if (in->ndim < 1 || in->ndim > 5 || !in->shape)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT,
                           "aiter_tensor_from_dlpack.in: ndim is %d, expected 1 to 5 and a shape",
                           (int)in->ndim);
    if (in->device.device_type != 1 || in->dtype.lanes != 1)
        return aiteri_fail(
            NULL, AITER_INVALID_ARGUMENT,
            "aiter_tensor_from_dlpack.in: device type %d with %d lanes, expected CPU (1) and 1",
            (int)in->device.device_type, (int)in->dtype.lanes);
    aiter_tensor t;
    memset(&t, 0, sizeof t);
    for (size_t i = 0; i < sizeof aiteri_dlpack_rows / sizeof aiteri_dlpack_rows[0]; i++)
        if (aiteri_dlpack_rows[i].code == (int)in->dtype.code &&
            aiteri_dlpack_rows[i].bits == (int)in->dtype.bits)
            t.dtype = aiteri_dlpack_rows[i].dtype;
    if (t.dtype == AITER_DTYPE_UNSET)
        return aiteri_fail(
            NULL, AITER_UNSUPPORTED,
            "aiter_tensor_from_dlpack.in: type code %d with %d bits has no counterpart",
            (int)in->dtype.code, (int)in->dtype.bits);
    t.ndim = in->ndim;
    t.data = in->data ? (char *)in->data + in->byte_offset : NULL;
    int64_t most = 1;
    for (int32_t i = 0; i < t.ndim; i++) {
        t.shape[i] = in->shape[i];
        t.stride[i] = in->strides ? in->strides[i] : 0;
        if (in->shape[i] < 0 || t.stride[i] < 0)
            return aiteri_fail(NULL, AITER_INVALID_ARGUMENT,
                               "aiter_tensor_from_dlpack.in: shape or stride %d is negative",
                               (int)i);
        if (in->shape[i] > most) most = in->shape[i];
    }
    if (in->strides && most > 1 && aiteri_tensor_is_compact(&t))
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT,
                           "aiter_tensor_from_dlpack.in: several elements whose strides are all 0");
    aiteri_tensor_fill_strides(&t);
    *out = t;
    return AITER_OK;
}

AITER_ATTN_API aiter_status aiter_tensor_to_dlpack(aiter_tensor *t, DLTensor *out)
{
    if (!t || !out)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT, "aiter_tensor_to_dlpack.%s: is NULL",
                           t ? "out" : "t");
    if (t->ndim < 1 || t->ndim > 5)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT,
                           "aiter_tensor_to_dlpack.t: ndim is %d, expected 1 to 5", (int)t->ndim);
    for (size_t i = 0; i < sizeof aiteri_dlpack_rows / sizeof aiteri_dlpack_rows[0]; i++) {
        if (aiteri_dlpack_rows[i].dtype != t->dtype) continue;
        aiteri_tensor_fill_strides(t);
        memset(out, 0, sizeof *out);
        out->data = t->data;
        memset(&out->device, 0, sizeof out->device);
        out->device.device_type = kDLCPU;
        out->ndim = t->ndim;
        out->dtype.code = (uint8_t)aiteri_dlpack_rows[i].code;
        out->dtype.bits = (uint8_t)aiteri_dlpack_rows[i].bits;
        out->dtype.lanes = 1;
        out->shape = t->shape;
        out->strides = t->stride;
        return AITER_OK;
    }
    return aiteri_fail(NULL, AITER_UNSUPPORTED, "aiter_tensor_to_dlpack.t: %s has no counterpart",
                       aiter_dtype_name(t->dtype));
}
#endif /* DLPack */

#endif /* AITERI_TENSOR_C */
