/* test_tensor.c -- views: constructors, transpose, slice; DLPack both ways. */
#define _GNU_SOURCE 1 /* before any header, see test.h */
#include "dlpack_like.h"
#include "test.h"

static float memory[4096];

static int is_view(aiter_tensor t, const void *data, int ndim, const int64_t *shape,
                   const int64_t *stride)
{
    int i, same = t.data == data && t.ndim == ndim;
    for (i = 0; i < ndim; i++) same &= t.shape[i] == shape[i] && t.stride[i] == stride[i];
    return same;
}

static void constructors(void)
{
    static const int64_t shape[5] = {2, 3, 4, 5, 6}, zero[5] = {0, 0, 0, 0, 0};
    aiter_tensor t[5];
    int i, j;
    t[0] = aiter_tensor_1d(memory, AITER_F32, 2);
    t[1] = aiter_tensor_2d(memory, AITER_F16, 2, 3);
    t[2] = aiter_tensor_3d(memory, AITER_BF16, 2, 3, 4);
    t[3] = aiter_tensor_4d(memory, AITER_I8, 2, 3, 4, 5);
    t[4] = aiter_tensor_5d(memory, AITER_I32, 2, 3, 4, 5, 6);
    for (i = 0; i < 5; i++) {
        CHECK(is_view(t[i], memory, i + 1, shape, zero), "aiter_tensor_%dd", i + 1);
        for (j = i + 1; j < 5; j++) CHECK(t[i].shape[j] == 0 && t[i].stride[j] == 0, "tail");
    }
    CHECK(t[0].dtype == AITER_F32 && t[1].dtype == AITER_F16 && t[4].dtype == AITER_I32, "dtype");
}

static void transpose(void)
{
    static const int64_t shape[4] = {2, 4, 3, 5}, stride[4] = {60, 5, 20, 1};
    static const int64_t shape2[4] = {5, 4, 3, 2}, stride2[4] = {1, 5, 20, 60};
    aiter_tensor t = aiter_tensor_4d(memory, AITER_F32, 2, 3, 4, 5), u;
    u = aiter_tensor_transpose(t, 1, 2);
    CHECK(is_view(u, memory, 4, shape, stride), "transpose of a compact view");
    CHECK(is_view(aiter_tensor_transpose(u, 3, 0), memory, 4, shape2, stride2), "and again");
    u = aiter_tensor_transpose(t, 2, 2);
    CHECK(u.shape[2] == 4 && u.stride[0] == 60 && u.stride[3] == 1, "a dimension with itself");
    CHECK(aiter_tensor_transpose(t, 0, 4).ndim == 0, "dimension 4 of 4");
    CHECK(aiter_tensor_transpose(t, -1, 0).ndim == 0, "dimension -1");
}

/* Every two dimensions of every rank, and those that there are not. */
static void transpose_all(void)
{
    static const int64_t extents[5] = {2, 3, 4, 5, 6};
    int ndim, a, b, i, compact;
    for (ndim = 1; ndim <= 5; ndim++) {
        for (compact = 0; compact < 2; compact++) {
            aiter_tensor t = aiter_tensor_5d(memory, AITER_F16, 0, 0, 0, 0, 0), want;
            int64_t size = 1;
            t.ndim = ndim;
            for (i = ndim - 1; i >= 0; i--) {
                t.shape[i] = extents[i];
                t.stride[i] = compact ? 0 : size * 7;
                size *= extents[i];
            }
            for (a = -2; a <= 6; a++) {
                for (b = -2; b <= 6; b++) {
                    const aiter_tensor u = aiter_tensor_transpose(t, a, b);
                    const int good = a >= 0 && a < ndim && b >= 0 && b < ndim;
                    CHECK(u.ndim == (good ? ndim : 0), "axes %d and %d of %d", a, b, ndim);
                    if (!good) continue;
                    for (i = ndim - 1, size = 1, want = t; i >= 0; size *= extents[i--])
                        want.stride[i] = compact ? size : size * 7;
                    size = want.stride[a], want.stride[a] = want.stride[b], want.stride[b] = size;
                    size = want.shape[a], want.shape[a] = want.shape[b], want.shape[b] = size;
                    CHECK(is_view(u, memory, ndim, want.shape, want.stride), "axes %d, %d of %d", a,
                          b, ndim);
                }
            }
        }
    }
}

static const int bits_of_type[] = {0, 32, 16, 16, 8, 8, 8, 8, 4, 32, 64, 8, 4, 8};

/* Every slice of small tensors of every type: its place in bits, its extent, or none at all. */
static void slice_all(void)
{
    int type, ndim, dim, start, count, i;
    for (type = 1; type < AITER_DTYPE_COUNT; type++) {
        for (ndim = 1; ndim <= 3; ndim++) {
            aiter_tensor t = aiter_tensor_3d(memory, (aiter_dtype)type, 3, 4, 5);
            const int64_t bits = bits_of_type[type];
            t.ndim = ndim;
            for (dim = -1; dim <= ndim; dim++) {
                for (start = -1; start <= 6; start++) {
                    for (count = -1; count <= 6; count++) {
                        const aiter_tensor u = aiter_tensor_slice(t, dim, start, count);
                        const int there = dim >= 0 && dim < ndim && start >= 0 && count >= 0 &&
                                          start + count <= t.shape[dim];
                        int64_t step = 1;
                        for (i = ndim - 1; i > dim; i--) step *= t.shape[i];
                        const int64_t at = start * step * bits;
                        const int good = there && at % 8 == 0;
                        CHECK(u.ndim == (good ? ndim : 0), "%d + %d of axis %d of %d", start, count,
                              dim, ndim);
                        if (!good) continue;
                        CHECK(u.data == (char *)memory + at / 8 && u.shape[dim] == count &&
                                  u.stride[dim] == step,
                              "%d + %d of axis %d of %d, type %d", start, count, dim, ndim, type);
                    }
                }
            }
        }
    }
}

static void slice(void)
{
    static const int64_t shape[3] = {2, 2, 5}, stride[3] = {20, 5, 1}, none[3] = {2, 0, 5};
    aiter_tensor t = aiter_tensor_3d(memory, AITER_F32, 2, 4, 5), u;
    u = aiter_tensor_slice(t, 1, 1, 2);
    CHECK(is_view(u, memory + 5, 3, shape, stride), "middle");
    u = aiter_tensor_slice(u, 2, 4, 1);
    CHECK(u.data == memory + 9 && u.shape[2] == 1 && u.stride[1] == 5, "slice of a slice");
    u = aiter_tensor_slice(t, 1, 4, 0);
    CHECK(u.ndim == 3 && memcmp(u.shape, none, sizeof none) == 0, "an empty slice at the end");
    CHECK(aiter_tensor_slice(t, 1, 0, 4).ndim == 3, "everything");
    CHECK(aiter_tensor_slice(t, 1, 3, 2).ndim == 0, "past the end");
    CHECK(aiter_tensor_slice(t, 1, -1, 2).ndim == 0, "negative start");
    CHECK(aiter_tensor_slice(t, 1, 0, -1).ndim == 0, "negative count");
    CHECK(aiter_tensor_slice(t, 1, INT64_MAX, INT64_MAX).ndim == 0, "a sum that wraps");
    CHECK(aiter_tensor_slice(t, 3, 0, 1).ndim == 0, "dimension 3 of 3");
    CHECK(aiter_tensor_slice(t, -1, 0, 1).ndim == 0, "dimension -1");
    t = aiter_tensor_1d(memory, AITER_F16, 8);
    CHECK(aiter_tensor_slice(t, 0, 3, 2).data == (char *)memory + 6, "two bytes an element");
    t = aiter_tensor_2d(memory, AITER_I4, 4, 8);
    CHECK(aiter_tensor_slice(t, 0, 1, 2).data == (char *)memory + 4, "two elements a byte");
    t = aiter_tensor_2d(memory, AITER_I4, 4, 7);
    CHECK(aiter_tensor_slice(t, 0, 1, 2).ndim == 0, "from the middle of a byte");
    CHECK(aiter_tensor_slice(t, 0, 2, 2).data == (char *)memory + 7, "rows of 3.5 bytes");
    t = aiter_tensor_1d(memory + 8, AITER_F32, 8);
    t.stride[0] = -1;
    CHECK(aiter_tensor_slice(t, 0, 2, 1).data == memory + 6, "backwards");
    t.stride[0] = INT64_MAX / 8;
    CHECK(aiter_tensor_slice(t, 0, 7, 1).ndim == 0, "a product that wraps");
    t.stride[0] = INT64_MIN / 8;
    CHECK(aiter_tensor_slice(t, 0, 7, 1).ndim == 0, "a product that wraps below 0");
    t = aiter_tensor_1d(NULL, AITER_F32, 8);
    u = aiter_tensor_slice(t, 0, 3, 2);
    CHECK(u.data == NULL && u.ndim == 1 && u.shape[0] == 2, "a slice without data");
}

static const struct {
    aiter_dtype dtype;
    uint8_t code, bits;
} dl_types[] = {
    {AITER_F32, kDLFloat, 32},
    {AITER_F16, kDLFloat, 16},
    {AITER_BF16, kDLBfloat, 16},
    {AITER_F8_E4M3FN, kDLFloat8_e4m3fn, 8},
    {AITER_F8_E4M3FNUZ, kDLFloat8_e4m3fnuz, 8},
    {AITER_F8_E5M2, kDLFloat8_e5m2, 8},
    {AITER_I8, kDLInt, 8},
    {AITER_I32, kDLInt, 32},
    {AITER_I64, kDLInt, 64},
    {AITER_U8, kDLUInt, 8},
};

static DLTensor dl(void *data, int64_t *shape, int64_t *strides, int ndim)
{
    DLTensor t;
    memset(&t, 0, sizeof t);
    t.data = data;
    t.device.device_type = kDLCPU;
    t.ndim = ndim;
    t.dtype.code = kDLFloat;
    t.dtype.bits = 32;
    t.dtype.lanes = 1;
    t.shape = shape;
    t.strides = strides;
    return t;
}

static void dlpack_round_trip(void)
{
    int64_t shape[5] = {2, 3, 4, 5, 6}, strides[5] = {500, 120, 30, 6, 1};
    int64_t compact[5] = {360, 120, 30, 6, 1}, one[1] = {7};
    size_t i;
    int ndim;
    for (i = 0; i < sizeof dl_types / sizeof dl_types[0]; i++) {
        for (ndim = 1; ndim <= 5; ndim++) {
            DLTensor in = dl(memory, shape, strides, ndim), out;
            aiter_tensor t;
            in.dtype.code = dl_types[i].code;
            in.dtype.bits = dl_types[i].bits;
            CHECK(aiter_tensor_from_dlpack(&in, &t) == AITER_OK, "%s: %s",
                  aiter_dtype_name(dl_types[i].dtype), aiter_last_error());
            CHECK(t.dtype == dl_types[i].dtype && is_view(t, memory, ndim, shape, strides), "in");
            CHECK(aiter_tensor_to_dlpack(&t, &out) == AITER_OK, "out: %s", aiter_last_error());
            CHECK(out.data == memory && out.ndim == ndim && out.byte_offset == 0 &&
                      out.device.device_type == kDLCPU && out.dtype.lanes == 1 &&
                      out.dtype.code == dl_types[i].code && out.dtype.bits == dl_types[i].bits &&
                      memcmp(out.shape, shape, (size_t)ndim * 8) == 0 &&
                      memcmp(out.strides, strides, (size_t)ndim * 8) == 0,
                  "the way back");
        }
    }
    { /* NULL strides mean compact, in old NumPy; a byte offset moves the data */
        DLTensor in = dl(memory, shape, NULL, 5), out;
        aiter_tensor t;
        for (in.byte_offset = 0; in.byte_offset <= 64; in.byte_offset += 4) {
            CHECK(aiter_tensor_from_dlpack(&in, &t) == AITER_OK, "NULL strides");
            CHECK(is_view(t, memory + in.byte_offset / 4, 5, shape, compact), "byte %d",
                  (int)in.byte_offset);
        }
        t = aiter_tensor_1d(memory, AITER_F32, 7);
        CHECK(aiter_tensor_to_dlpack(&t, &out) == AITER_OK, "compact: %s", aiter_last_error());
        CHECK(out.shape == t.shape && out.shape[0] == one[0] && out.strides == t.stride &&
                  out.strides[0] == 1,
              "strides are filled on the way out");
    }
}

static void dlpack_refused(void)
{
    int64_t shape[6] = {2, 3, 4, 5, 6, 7}, zero[6] = {0}, ones[2] = {1, 1}, strides[2] = {3, 1};
    int64_t negative[2] = {-2, 3}, wrong[5] = {1, 1, 1, 1, 1};
    DLTensor in, out;
    int i;
    aiter_tensor t, before;
    memset(&t, 0x55, sizeof t);
    before = t;
#define REFUSED(status, why)                                 \
    CHECK(aiter_tensor_from_dlpack(&in, &t) == status, why); \
    CHECK(memcmp(&t, &before, sizeof t) == 0, why " wrote")
    CHECK(aiter_tensor_from_dlpack(NULL, &t) == AITER_INVALID_ARGUMENT, "NULL in");
    in = dl(memory, shape, strides, 2);
    CHECK(aiter_tensor_from_dlpack(&in, NULL) == AITER_INVALID_ARGUMENT, "NULL out");
    in = dl(memory, shape, NULL, 6);
    REFUSED(AITER_INVALID_ARGUMENT, "six dimensions");
    in = dl(memory, shape, NULL, -1);
    REFUSED(AITER_INVALID_ARGUMENT, "minus one dimension");
    in = dl(memory, shape, zero, 2);
    REFUSED(AITER_INVALID_ARGUMENT, "several elements at one place");
    in = dl(memory, NULL, NULL, 2);
    REFUSED(AITER_INVALID_ARGUMENT, "no shape");
    in = dl(memory, negative, NULL, 2);
    REFUSED(AITER_INVALID_ARGUMENT, "a negative extent");
    in = dl(memory, shape, negative, 2);
    REFUSED(AITER_INVALID_ARGUMENT, "a negative stride");
    for (i = 0; i <= 17; i++) {
        in = dl(memory, shape, strides, 2);
        in.device.device_type = (DLDeviceType)i;
        if (i != kDLCPU) REFUSED(AITER_INVALID_ARGUMENT, "memory of a device");
        in = dl(memory, shape, strides, 2);
        in.dtype.lanes = (uint16_t)i;
        if (i != 1) REFUSED(AITER_INVALID_ARGUMENT, "several lanes, or none");
        in = dl(memory, wrong, NULL, 1 + i % 5);
        wrong[i % 5] = -1 - i;
        REFUSED(AITER_INVALID_ARGUMENT, "a negative extent in each place");
        in = dl(memory, shape, wrong, 1 + i % 5);
        REFUSED(AITER_INVALID_ARGUMENT, "a negative stride in each place");
        wrong[i % 5] = 1 + i % 3;
    }
    in = dl(memory, shape, strides, 2);
    in.dtype.bits = 64;
    REFUSED(AITER_UNSUPPORTED, "f64");
    in = dl(memory, shape, strides, 2);
    in.dtype.code = kDLComplex;
    REFUSED(AITER_UNSUPPORTED, "complex");
    in = dl(memory, shape, strides, 2);
    in.dtype.code = 200;
    REFUSED(AITER_UNSUPPORTED, "an unknown type");
#undef REFUSED
    in = dl(memory, ones, zero, 2); /* one element: its strides do not matter */
    CHECK(aiter_tensor_from_dlpack(&in, &t) == AITER_OK, "one element: %s", aiter_last_error());
    t = aiter_tensor_2d(memory, AITER_F32, 2, 3);
    CHECK(aiter_tensor_to_dlpack(NULL, &out) == AITER_INVALID_ARGUMENT, "NULL tensor");
    CHECK(aiter_tensor_to_dlpack(&t, NULL) == AITER_INVALID_ARGUMENT, "NULL DLTensor");
    t.ndim = 6;
    CHECK(aiter_tensor_to_dlpack(&t, &out) == AITER_INVALID_ARGUMENT, "six dimensions out");
    t = aiter_tensor_2d(memory, AITER_F32, 2, 3);
    t.dtype = AITER_DTYPE_UNSET;
    CHECK(aiter_tensor_to_dlpack(&t, &out) != AITER_OK, "no type");
}

static void names(void)
{
    static const char *const dtypes[] = {"unset", "f32", "f16", "bf16"};
    int i;
    for (i = 0; i < AITER_DTYPE_COUNT; i++) {
        CHECK(aiter_dtype_bits((aiter_dtype)i) == bits_of_type[i], "bits of %d", i);
        CHECK(strcmp(aiter_dtype_name((aiter_dtype)i), "unknown") != 0, "name of %d", i);
        if (i < 4) CHECK(strcmp(aiter_dtype_name((aiter_dtype)i), dtypes[i]) == 0, "name %d", i);
    }
    for (i = -1; i <= 1000; i += 1001) {
        CHECK(aiter_dtype_bits((aiter_dtype)i) == 0, "bits of %d", i);
        CHECK(strcmp(aiter_dtype_name((aiter_dtype)i), "unknown") == 0, "dtype %d", i);
        CHECK(strcmp(aiter_isa_name((aiter_isa)i), "unknown") == 0, "isa %d", i);
        CHECK(strcmp(aiter_status_name((aiter_status)i), "unknown") == 0, "status %d", i);
    }
    CHECK(strcmp(aiter_isa_name(AITER_ISA_AUTO), "auto") == 0, "auto");
    CHECK(strcmp(aiter_isa_name(AITER_ISA_SCALAR), "scalar") == 0, "scalar");
    CHECK(strcmp(aiter_isa_name(AITER_ISA_AVX2), "avx2") == 0, "avx2");
    CHECK(strcmp(aiter_isa_name(AITER_ISA_AVX512), "avx512") == 0, "avx512");
    CHECK(strcmp(aiter_isa_name(AITER_ISA_NEON), "neon") == 0, "neon");
#define AITER_STATUS_ROW(name, value, text) \
    CHECK(name == value && strcmp(aiter_status_name(name), text) == 0, text);
    AITER_STATUS_LIST(AITER_STATUS_ROW)
#undef AITER_STATUS_ROW
    CHECK(aiter_version() == AITER_ATTN_VERSION, "version");
}

int main(void)
{
    test_begin("tensor", 1);
    constructors();
    transpose();
    transpose_all();
    slice();
    slice_all();
    dlpack_round_trip();
    dlpack_refused();
    names();
    return test_end();
}
