/* kv_cache.h -- the paged cache of keys and values, and the allocator of its blocks.
 *
 * A block holds page_size tokens of every layer; a sequence owns a list of blocks, in order. Layer
 * l of the cache is [blocks, page_size, kv_heads, head_dim], as the library reads it; int8,
 * int4 and fp8 (e4m3fn) have one f32 scale for each token and head. The memory is allocated once,
 * where the context computes. */
#ifndef DECODE_KV_CACHE_H
#define DECODE_KV_CACHE_H

#include <stdint.h>
#include <stdlib.h>

#include "cache_type.h"

typedef struct kv_cache_shape {
    int32_t layers, kv_heads, k_dim, v_dim; /* k_dim of keys, v_dim of values */
    int32_t type;                           /* enum cache_type */
    int32_t page_size, blocks;
} kv_cache_shape;

typedef struct kv_cache {
    kv_cache_shape shape;
    aiter_context *ctx; /* whose memory it is; NULL: the host's */
    uint8_t *data;
    size_t k_bytes, v_bytes, scale_bytes; /* of one layer; keys, values, then both scales */
    size_t bytes;
    int32_t *free_blocks; /* a stack */
    int32_t free_count;
} kv_cache;

static inline aiter_dtype kv_cache_dtype(int32_t type)
{
    static const aiter_dtype dtypes[CACHE_TYPES] = {AITER_F16, AITER_F32,       AITER_BF16,
                                                    AITER_I8,  AITER_F8_E4M3FN, AITER_I4};
    return dtypes[type];
}

/* Parts start at cache lines, the scales' own alignment included. */
static inline size_t kv_cache_padded(size_t bytes) { return (bytes + 63) / 64 * 64; }

/* Bytes of a row of so many columns: whole ones, also of int4. */
static inline size_t kv_cache_row_bytes(int32_t type, int32_t columns)
{
    return ((size_t)columns * (size_t)aiter_dtype_bits(kv_cache_dtype(type)) + 7) / 8;
}

/* Bytes of the whole cache; -1 if they do not fit in memory addresses. */
static inline int kv_cache_size(const kv_cache_shape *s, kv_cache *sizes)
{
    double all;
    size_t rows = (size_t)s->blocks * (size_t)s->page_size * (size_t)s->kv_heads;
    size_t k_row = kv_cache_row_bytes(s->type, s->k_dim);
    size_t v_row = kv_cache_row_bytes(s->type, s->v_dim);
    size_t scale = cache_type_is_scaled(s->type) ? sizeof(float) : 0;
    all = (double)s->blocks * s->page_size * s->kv_heads * s->layers *
          ((double)k_row + (double)v_row + 2.0 * (double)scale);
    if (all > (double)(SIZE_MAX / 4)) return -1;
    sizes->shape = *s;
    sizes->k_bytes = kv_cache_padded(rows * k_row);
    sizes->v_bytes = kv_cache_padded(rows * v_row);
    sizes->scale_bytes = kv_cache_padded(rows * scale);
    sizes->bytes = (size_t)s->layers * (sizes->k_bytes + sizes->v_bytes + 2 * sizes->scale_bytes);
    return 0;
}

static inline void kv_cache_destroy(kv_cache *c)
{
    aiter_memory_free(c->ctx, AITER_MEMORY_DEVICE, c->data, c->bytes);
    free(c->free_blocks);
    c->data = NULL;
    c->free_blocks = NULL;
}

/* 0, or -1: too large, or out of memory. kv_cache_destroy is right after both. */
static inline int kv_cache_create(kv_cache *c, const kv_cache_shape *shape, aiter_context *ctx)
{
    void *data = NULL;
    c->ctx = ctx;
    c->data = NULL;
    c->free_blocks = NULL;
    if (kv_cache_size(shape, c) != 0) return -1;
    if (aiter_memory_alloc(ctx, AITER_MEMORY_DEVICE, c->bytes, &data) != AITER_OK) return -1;
    c->data = (uint8_t *)data;
    c->free_blocks = (int32_t *)malloc((size_t)shape->blocks * sizeof *c->free_blocks);
    if (!c->free_blocks) return -1;
    for (c->free_count = 0; c->free_count < shape->blocks; c->free_count++)
        c->free_blocks[c->free_count] = shape->blocks - 1 - c->free_count;
    return 0;
}

/* A block id, or -1 when all are taken. */
static inline int32_t kv_cache_take(kv_cache *c)
{
    return c->free_count > 0 ? c->free_blocks[--c->free_count] : -1;
}

static inline void kv_cache_give(kv_cache *c, int32_t block)
{
    c->free_blocks[c->free_count++] = block;
}

enum kv_cache_part { KV_KEYS, KV_VALUES, KV_KEY_SCALES, KV_VALUE_SCALES };

/* The library's view of one part of a layer; absent (ndim 0) scales where it has none. */
static inline aiter_tensor kv_cache_view(const kv_cache *c, int32_t layer, enum kv_cache_part part)
{
    const kv_cache_shape *s = &c->shape;
    const size_t offsets[4] = {0, c->k_bytes, c->k_bytes + c->v_bytes,
                               c->k_bytes + c->v_bytes + c->scale_bytes};
    size_t layer_bytes = c->k_bytes + c->v_bytes + 2 * c->scale_bytes;
    const uint8_t *data = c->data + (size_t)layer * layer_bytes + offsets[part];
    aiter_tensor absent = {0};
    if (part >= KV_KEY_SCALES) {
        if (!cache_type_is_scaled(s->type)) return absent;
        return aiter_tensor_3d(data, AITER_F32, s->blocks, s->page_size, s->kv_heads);
    }
    const int32_t dim = part == KV_KEYS ? s->k_dim : s->v_dim;
    const int32_t stored = s->type == CACHE_INT4 ? dim + dim % 2 : dim; /* whole bytes */
    aiter_tensor t = aiter_tensor_4d(data, kv_cache_dtype(s->type), s->blocks, s->page_size,
                                     s->kv_heads, stored);
    return aiter_tensor_slice(t, 3, 0, dim);
}

#endif /* DECODE_KV_CACHE_H */
