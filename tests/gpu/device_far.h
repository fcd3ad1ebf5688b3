/* device_far.h -- a tensor spread far apart along one dimension in device memory of which only the
 * touched pages exist: what lies between its parts is NaN. */
#ifndef AITER_TEST_DEVICE_FAR_H
#define AITER_TEST_DEVICE_FAR_H

#include "device_run.h"

/* One tensor at two places; part i of the device's is what has index i in dimension `along`. */
typedef struct far_tensor {
    aiter_tensor host, device;
    int along;
    int64_t part; /* elements */
} far_tensor;

static inline int64_t tensor_elements(const aiter_tensor *t)
{
    int64_t n = 1;
    int i;
    for (i = 0; i < t->ndim; i++) n *= t->shape[i];
    return n;
}

/* Element n in the order of the dimensions, in elements from the tensor's start. */
static inline int64_t tensor_at(const aiter_tensor *t, int64_t n)
{
    int64_t at = 0;
    int i;
    for (i = t->ndim - 1; i >= 0; n /= t->shape[i--]) at += n % t->shape[i] * t->stride[i];
    return at;
}

static inline void tensor_copy(const aiter_tensor *to, const aiter_tensor *from)
{
    const int64_t size = aiter_dtype_bits(to->dtype) / 8, n = tensor_elements(to);
    int64_t i;
    for (i = 0; i < n; i++)
        memcpy((char *)to->data + tensor_at(to, i) * size,
               (const char *)from->data + tensor_at(from, i) * size, (size_t)size);
}

/* Index i of dimension `along`, kept as a dimension of one. */
static inline aiter_tensor tensor_part(const aiter_tensor *t, int along, int64_t i)
{
    aiter_tensor part = *t;
    part.shape[along] = 1;
    part.data = (char *)t->data + i * t->stride[along] * aiter_dtype_bits(t->dtype) / 8;
    return part;
}

/* Copies every part to the device, or back. */
static inline void far_copy(const far_tensor *f, int back)
{
    const size_t bytes = (size_t)(f->part * aiter_dtype_bits(f->host.dtype) / 8);
    void *image = malloc(bytes);
    int64_t i;
    for (i = 0; i < f->host.shape[f->along]; i++) {
        const aiter_tensor host = tensor_part(&f->host, f->along, i);
        const aiter_tensor there = tensor_part(&f->device, f->along, i);
        aiter_tensor part = there;
        part.data = image;
        if (back)
            device_read(image, there.data, bytes), tensor_copy(&host, &part);
        else
            tensor_copy(&part, &host),
                driver_ok(device.call.write(there.data, image, bytes), "far");
    }
    free(image);
}

/* A copy on the device whose elements pass `past` halfway: strides of `along` are a multiple of 8
 * and `odd` more. */
static inline far_tensor far_new(const aiter_tensor *host, int along, int64_t past, int odd)
{
    far_tensor f;
    const int64_t n = host->shape[along], half = n / 2 > 1 ? n / 2 : 1;
    int i;
    memset(&f, 0, sizeof f);
    f.host = f.device = *host;
    aiteri_tensor_fill_strides(&f.host);
    f.along = along;
    f.part = 1;
    for (i = host->ndim - 1; i >= 0; i--) {
        if (i == along) continue;
        f.device.stride[i] = f.part;
        f.part *= host->shape[i];
    }
    f.device.stride[along] = (past / half + f.part + 7) / 8 * 8 + odd;
    CHECK(n > 1 && half * f.device.stride[along] >= past, "dimension %d of %d", along, (int)n);
    f.device.data = device_new(NULL, (size_t)(((n - 1) * f.device.stride[along] + f.part) *
                                              aiter_dtype_bits(host->dtype) / 8));
    far_copy(&f, 0);
    return f;
}

static inline void far_free(const far_tensor *f)
{
    driver_ok(device.driver->memory_free(f->device.data), "freeing");
}

#endif /* AITER_TEST_DEVICE_FAR_H */
