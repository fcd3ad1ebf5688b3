/* device.h -- attention on a GPU that holds the cache, the rest on the CPU: what a step needs of
 * the rows goes there in one copy, the heads' output comes back in another.
 *
 * The kernels take f16 or bf16 rows: q and the output have the type of the cache. Compiled in with
 * -DDECODE_USE_GPU. */
#ifndef DECODE_DEVICE_H
#define DECODE_DEVICE_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "cache_type.h"

/* The rows of a step as an attention call takes them: the model's own, or their copies. */
typedef struct attention_rows {
    aiter_context *ctx;
    aiter_dtype q_type; /* of q and out; k and v are f32 */
    const void *q, *k, *v, *slots, *row_start, *lengths, *block_table;
    void *out;
} attention_rows;

typedef struct device_stage {
    aiter_context *ctx; /* NULL: attention runs on the CPU */
    aiter_dtype type;
    uint8_t *here, *there; /* pinned memory and its copy on the device */
    size_t room;
} device_stage;

enum { DEVICE_PARTS = 8 };

/* One part of the stage: its bytes, and where they come from (NULL: q and out, by conversion). */
typedef struct device_part {
    const void **place;
    const void *from;
    size_t bytes, offset;
} device_part;

static inline size_t device_layout(device_part *parts)
{
    size_t at = 0;
    for (int i = 0; i < DEVICE_PARTS; i++) {
        parts[i].offset = at;
        at += (parts[i].bytes + 255) / 256 * 256;
    }
    return at;
}

static inline void device_close(device_stage *d)
{
    if (!d->ctx) return;
    aiter_memory_free(d->ctx, AITER_MEMORY_PINNED, d->here, d->room);
    aiter_memory_free(d->ctx, AITER_MEMORY_DEVICE, d->there, d->room);
    aiter_context_destroy(d->ctx);
    d->ctx = NULL;
}

/* Opens the device named hip or cuda. 0, or -1 with a line in err. */
static inline int device_open(device_stage *d, const char *name, const char *kernels,
                              int cache_type, char *err, size_t errlen)
{
    aiter_context_desc desc = {0};
    if (cache_type != CACHE_F16 && cache_type != CACHE_BF16) {
        snprintf(err, errlen, "--cache-type: on a device f16 or bf16, got %s",
                 cache_type_name(cache_type));
        return -1;
    }
    desc.device = strcmp(name, "hip") == 0 ? AITER_DEVICE_HIP : AITER_DEVICE_CUDA;
    desc.kernel_path = kernels;
    d->type = cache_type == CACHE_F16 ? AITER_F16 : AITER_BF16;
    if (aiter_context_create(&desc, &d->ctx) == AITER_OK) return 0;
    snprintf(err, errlen, "--device: %s", aiter_last_error());
    return -1;
}

static inline aiter_status device_make_room(device_stage *d, size_t bytes)
{
    void *here = NULL, *there = NULL;
    if (bytes <= d->room) return AITER_OK;
    aiter_memory_free(d->ctx, AITER_MEMORY_PINNED, d->here, d->room);
    aiter_memory_free(d->ctx, AITER_MEMORY_DEVICE, d->there, d->room);
    d->here = d->there = NULL;
    d->room = 0;
    aiter_status status = aiter_memory_alloc(d->ctx, AITER_MEMORY_PINNED, bytes, &here);
    if (status != AITER_OK) return status;
    status = aiter_memory_alloc(d->ctx, AITER_MEMORY_DEVICE, bytes, &there);
    if (status != AITER_OK) {
        aiter_memory_free(d->ctx, AITER_MEMORY_PINNED, here, bytes);
        return status;
    }
    d->here = (uint8_t *)here;
    d->there = (uint8_t *)there;
    d->room = bytes;
    return AITER_OK;
}

/* Sends `q_count` elements of q and the other parts; `rows` then points to the copies. */
static inline aiter_status device_send(device_stage *d, attention_rows *rows, device_part *parts,
                                       size_t q_count)
{
    const float *q = (const float *)rows->q;
    const size_t bytes = device_layout(parts), sent = parts[DEVICE_PARTS - 1].offset;
    aiter_status status = device_make_room(d, bytes);
    if (status != AITER_OK) return status;
    for (int i = 0; i < DEVICE_PARTS; i++) {
        if (parts[i].from) memcpy(d->here + parts[i].offset, parts[i].from, parts[i].bytes);
        *parts[i].place = d->there + parts[i].offset;
    }
    for (size_t i = 0; i < q_count; i++)
        aiter_store_element(d->type, d->here + parts[0].offset, (int64_t)i, q[i]);
    rows->out = d->there + sent;
    rows->ctx = d->ctx;
    rows->q_type = d->type;
    return aiter_memory_copy(d->ctx, d->there, AITER_MEMORY_DEVICE, d->here, AITER_MEMORY_PINNED,
                             sent);
}

/* Waits for `count` elements of the output, as f32. */
static inline aiter_status device_receive(device_stage *d, const device_part *out, float *to,
                                          size_t count)
{
    aiter_status status =
        aiter_memory_copy(d->ctx, d->here + out->offset, AITER_MEMORY_PINNED,
                          d->there + out->offset, AITER_MEMORY_DEVICE, out->bytes);
    if (status == AITER_OK) status = aiter_context_synchronize(d->ctx);
    for (size_t i = 0; i < count && status == AITER_OK; i++)
        to[i] = aiter_load_element(d->type, d->here + out->offset, (int64_t)i);
    return status;
}

#endif /* DECODE_DEVICE_H */
