/* 05_dlpack.c -- tensors of other frameworks without copying: include dlpack.h before this header,
 * and the conversions appear.
 *
 *     cc -std=c99 -O2 examples/05_dlpack.c -o dlpack -lm -lpthread && ./dlpack
 *     cc -std=c99 -O2 -DHAVE_DLPACK examples/05_dlpack.c ...       with the real dlpack/dlpack.h
 */
#ifdef HAVE_DLPACK
#include <dlpack/dlpack.h>
#else /* the part of DLPack 1.1 that this example needs, so that it compiles anywhere */
#include <stdint.h>
#define DLPACK_MAJOR_VERSION 1
#define DLPACK_MINOR_VERSION 1
typedef enum {
    kDLCPU = 1,
    kDLCUDA = 2,
    kDLCUDAHost = 3,
    kDLROCM = 10,
    kDLROCMHost = 11
} DLDeviceType;
typedef struct {
    DLDeviceType device_type;
    int32_t device_id;
} DLDevice;
typedef enum {
    kDLInt = 0,
    kDLUInt = 1,
    kDLFloat = 2,
    kDLBfloat = 4,
    kDLFloat8_e4m3fn = 10,
    kDLFloat8_e4m3fnuz = 11,
    kDLFloat8_e5m2 = 12
} DLDataTypeCode;
typedef struct {
    uint8_t code, bits;
    uint16_t lanes;
} DLDataType;
typedef struct {
    void *data;
    DLDevice device;
    int32_t ndim;
    DLDataType dtype;
    int64_t *shape, *strides;
    uint64_t byte_offset;
} DLTensor;
#endif

#define AITER_ATTN_IMPLEMENTATION
#include "../aiter_attn.h"
#include <math.h>
#include <stdio.h>

enum { B = 1, S = 33, H = 2, D = 32 };

/* q, k and v of one projection lie packed, as [B, S, 3, H, D]; the result is [B, H, S, D]. */
static float packed[B * S * 3 * H * D], result[B * H * S * D], expected[B * S * H * D];

static void fill(float *x, size_t count, unsigned seed)
{
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    }
}

/* The larger of the two; a NaN counts as infinite, so it cannot hide. */
static double worse(double worst, double difference)
{
    return difference <= worst ? worst : difference > worst ? difference : INFINITY;
}

/* What a framework hands over: part `which` of the packed tensor as a view [B, S, H, D]. */
static DLTensor foreign_view(int which, int64_t *shape, int64_t *strides)
{
    DLTensor t;
    shape[0] = B, shape[1] = S, shape[2] = H, shape[3] = D;
    strides[0] = S * 3 * H * D, strides[1] = 3 * H * D, strides[2] = D, strides[3] = 1;
    t.data = packed;
    t.device.device_type = kDLCPU;
    t.device.device_id = 0;
    t.ndim = 4;
    t.dtype.code = kDLFloat;
    t.dtype.bits = 32;
    t.dtype.lanes = 1;
    t.shape = shape;
    t.strides = strides;
    t.byte_offset = (uint64_t)which * H * D * sizeof(float);
    return t;
}

int main(void)
{
    int64_t shape[3][4], strides[3][4];
    aiter_tensor view[3];
    fill(packed, sizeof packed / sizeof *packed, 1);
    for (int i = 0; i < 3; i++) {
        DLTensor t = foreign_view(i, shape[i], strides[i]);
        if (aiter_tensor_from_dlpack(&t, &view[i]) != AITER_OK) {
            puts(aiter_last_error());
            return 1;
        }
    }
    /* [B, H, S, D] memory seen as [B, S, H, D]: layouts are strides, nothing is copied. */
    aiter_tensor out = aiter_tensor_4d(result, AITER_F32, B, H, S, D);
    aiter_flash_attn_fwd_args a = {
        .q = view[0],
        .kv.k = view[1],
        .kv.v = view[2],
        .out = aiter_tensor_transpose(out, 1, 2),
        .score.mask = AITER_MASK_CAUSAL,
    };
    if (aiter_flash_attn_fwd(&a, NULL) != AITER_OK) {
        puts(aiter_last_error());
        return 1;
    }
    /* The same attention with a compact output, and the way back to DLPack. */
    a.out = aiter_tensor_4d(expected, AITER_F32, B, S, H, D);
    if (aiter_flash_attn_fwd(&a, NULL) != AITER_OK) return 1;
    aiter_tensor exported = aiter_tensor_transpose(out, 1, 2); /* with explicit strides */
    DLTensor back;
    if (aiter_tensor_to_dlpack(&exported, &back) != AITER_OK) {
        puts(aiter_last_error());
        return 1;
    }
    double worst = 0;
    for (int s = 0; s < S; s++) {
        for (int h = 0; h < H; h++) {
            for (int d = 0; d < D; d++) {
                const float *data = (const float *)back.data;
                float there = data[s * back.strides[1] + h * back.strides[2] + d * back.strides[3]];
                worst = worse(worst, fabs((double)there - expected[(s * H + h) * D + d]));
            }
        }
    }
    printf("packed [%d, %d, 3, %d, %d] in, [%d, %d, %d, %d] out, nothing copied\n", B, S, H, D, B,
           H, S, D);
    printf("exported strides %d %d %d %d, difference %.1e\n", (int)back.strides[0],
           (int)back.strides[1], (int)back.strides[2], (int)back.strides[3], worst);
    return worst == 0 && back.byte_offset == 0 && back.dtype.bits == 32 ? 0 : 1;
}
