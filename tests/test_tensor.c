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
        in.byte_offset = 64;
        CHECK(aiter_tensor_from_dlpack(&in, &t) == AITER_OK, "NULL strides");
        CHECK(is_view(t, memory + 16, 5, shape, compact), "NULL strides are compact");
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
    int64_t negative[2] = {-2, 3};
    DLTensor in, out;
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
    in = dl(memory, shape, strides, 2);
    in.device.device_type = kDLCUDA;
    REFUSED(AITER_INVALID_ARGUMENT, "memory of a GPU");
    in = dl(memory, shape, strides, 2);
    in.dtype.lanes = 4;
    REFUSED(AITER_INVALID_ARGUMENT, "four lanes");
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
    static const int bits[] = {0, 32, 16, 16, 8, 8, 8, 8, 4, 32, 64, 8};
    static const char *const dtypes[] = {"unset", "f32", "f16", "bf16"};
    int i;
    for (i = 0; i < AITER_DTYPE_COUNT; i++) {
        CHECK(aiter_dtype_bits((aiter_dtype)i) == bits[i], "bits of %d", i);
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
    slice();
    dlpack_round_trip();
    dlpack_refused();
    names();
    return test_end();
}
