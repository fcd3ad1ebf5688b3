/* device_blocks.h -- swap_blocks and copy_blocks on a device against the CPU's own: every byte of
 * the memory is compared. */
#ifndef AITER_TEST_DEVICE_BLOCKS_H
#define AITER_TEST_DEVICE_BLOCKS_H

#include "device_run.h"

enum { MOVE_BLOCKS = 6, MOVE_PAIRS = 2, MOVE_WILD = 5, MOVE_CACHES = 3 };

/* Blocks [n, ..] of `t` as they lie in memory of as many bytes, from byte `first` on. */
typedef struct moved_cache {
    aiter_tensor t;
    size_t bytes, first;
    unsigned char *host, *device;
} moved_cache;

static inline moved_cache moved_new(aiter_tensor t, int64_t blocks, size_t bytes, size_t first,
                                    uint64_t seed)
{
    moved_cache m;
    size_t i;
    t.shape[0] = blocks;
    m.t = t, m.bytes = bytes, m.first = first;
    m.host = (unsigned char *)malloc(bytes);
    for (i = 0; i < bytes; i++) m.host[i] = (unsigned char)test_mix(seed * 1000003 + i);
    m.device = (unsigned char *)device_new(m.host, bytes);
    return m;
}

static inline aiter_tensor moved_tensor(const moved_cache *m, int on_device)
{
    aiter_tensor t = m->t;
    t.data = (on_device ? m->device : m->host) + m->first;
    return t;
}

static inline void moved_end(moved_cache *m, const char *what)
{
    unsigned char *back = (unsigned char *)malloc(m->bytes);
    device_read(back, m->device, m->bytes);
    CHECK(memcmp(back, m->host, m->bytes) == 0, "%s of %s in %d dimensions: blocks differ", what,
          aiter_dtype_name(m->t.dtype), (int)m->t.ndim);
    free(back);
    free(m->host);
    driver_ok(device.driver->memory_free(m->device), "freeing");
}

/* Pairs of blocks, three ids apart with `wide`; behind those that the CPU takes others, one end of
 * which is no block. */
static inline aiter_tensor moved_mapping(void *at, int wide, int pairs)
{
    aiter_tensor t = aiter_tensor_2d(at, wide ? AITER_I64 : AITER_I32, pairs, 2);
    if (wide) t.stride[0] = 3, t.stride[1] = 1;
    return t;
}

static inline void moved_pairs(void *at, int wide)
{
    static const int64_t pair[MOVE_PAIRS + MOVE_WILD][2] = {
        {4, 1}, {0, 5}, {-1, 2}, {MOVE_BLOCKS, 2}, {3, -1}, {3, MOVE_BLOCKS}, {INT32_MIN, 3}};
    int i, side;
    for (i = 0; i < MOVE_PAIRS + MOVE_WILD; i++)
        for (side = 0; side < 2; side++)
            if (wide)
                ((int64_t *)at)[i * 3 + side] =
                    pair[i][side] == MOVE_BLOCKS && i % 2 ? INT64_C(1) << 32 : pair[i][side];
            else
                ((int32_t *)at)[i * 2 + side] = (int32_t)pair[i][side];
}

/* From src to dst, or, dst being NULL, inside each of the caches at src. */
static inline void device_move_case(moved_cache *src, moved_cache *dst, int wide)
{
    const char *what = dst ? "swap_blocks" : "copy_blocks";
    int64_t ids[(MOVE_PAIRS + MOVE_WILD) * 3] = {0};
    aiter_tensor caches[2][MOVE_CACHES];
    int i, side;
    moved_pairs(ids, wide);
    void *ids_there = device_new(ids, sizeof ids);
    for (side = 0; side < 2; side++) {
        aiter_context *ctx = side ? device.ctx : NULL;
        const aiter_tensor mapping =
            moved_mapping(side ? ids_there : ids, wide, MOVE_PAIRS + (side ? MOVE_WILD : 0));
        aiter_swap_blocks_args swap;
        aiter_copy_blocks_args copy;
        memset(&swap, 0, sizeof swap);
        memset(&copy, 0, sizeof copy);
        for (i = 0; i < MOVE_CACHES && !dst; i++) caches[side][i] = moved_tensor(&src[i], side);
        if (dst) swap.src = moved_tensor(src, side), swap.dst = moved_tensor(dst, side);
        swap.mapping = copy.mapping = mapping;
        copy.caches = caches[side], copy.num_caches = MOVE_CACHES;
        device_note(dst ? aiter_swap_blocks(&swap, ctx) : aiter_copy_blocks(&copy, ctx), what);
    }
    device_wait(what);
    for (i = 0; i < (dst ? 1 : MOVE_CACHES); i++) moved_end(&src[i], what);
    if (dst) moved_end(dst, what);
    driver_ok(device.driver->memory_free(ids_there), "freeing");
}

/* [n, 5, 3, 10] of a type: rows of a block in order, or heads outside; what divides a piece and its
 * places is 16 bytes down to one. */
static inline aiter_tensor moved_pages(aiter_dtype type, int64_t d, int64_t row, int heads_first)
{
    aiter_tensor t = aiter_tensor_4d(NULL, type, MOVE_BLOCKS, 5, 3, d);
    t.stride[0] = 15 * row + 2 * (row - d);
    t.stride[1] = heads_first ? row : 3 * row;
    t.stride[2] = heads_first ? 5 * row : row;
    t.stride[3] = 1;
    return t;
}

static inline size_t moved_bytes(const aiter_tensor *t, int64_t blocks)
{
    return (size_t)(blocks * t->stride[0]) * (size_t)aiter_dtype_bits(t->dtype) / 8 + 64;
}

static inline void device_swap_pages(aiter_dtype type, int64_t d, int64_t row, size_t first)
{
    int order;
    for (order = 0; order < 4; order++) {
        const aiter_tensor from = moved_pages(type, d, order & 1 ? d + d % 2 : row, order & 1);
        const aiter_tensor to = moved_pages(type, d, row, order & 2);
        moved_cache src = moved_new(from, MOVE_BLOCKS, moved_bytes(&from, MOVE_BLOCKS), first, 1);
        moved_cache dst = moved_new(to, MOVE_BLOCKS, moved_bytes(&to, MOVE_BLOCKS), first, 2);
        device_move_case(&src, &dst, order % 2);
    }
}

static inline void device_block_cases(void)
{
    static const int64_t extents[3][4] = {{6, 2, 100, 200}, {6, 7, 0, 0}, {6, 0, 0, 0}};
    static const aiter_dtype types[4] = {AITER_BF16, AITER_I8, AITER_F32, AITER_I4};
    moved_cache caches[MOVE_CACHES];
    int i, k;
    for (i = 0; i < 4; i++) {
        device_swap_pages(types[i], 32, 32, 0);  /* blocks in one piece */
        device_swap_pages(types[i], 32, 64, 16); /* pieces of 16 bytes and more */
        device_swap_pages(types[i], 12, 20, 4);
        device_swap_pages(types[i], 10, 14, types[i] == AITER_F32 ? 4 : 2);
        device_swap_pages(types[i], 9, 10, types[i] == AITER_I8 || types[i] == AITER_I4);
    }
    for (k = 0; k < 2; k++) { /* a block that takes several workgroups; scales; one byte each */
        for (i = 0; i < MOVE_CACHES; i++) {
            aiter_tensor t;
            memset(&t, 0, sizeof t);
            t.dtype = i == 0 ? AITER_F16 : i == 1 ? AITER_F32 : AITER_U8;
            t.ndim = i == 0 ? 4 : i == 1 ? 2 : 1;
            size_t elements = 1;
            for (int d = 0; d < t.ndim; d++) elements *= (size_t)(t.shape[d] = extents[i][d]);
            for (int d = t.ndim - 1, s = 1; d >= 0; s *= (int)t.shape[d--]) t.stride[d] = s;
            caches[i] = moved_new(t, MOVE_BLOCKS, elements * 4 + 16, 0, (uint64_t)(3 + i));
        }
        device_move_case(caches, NULL, k);
    }
}

#endif /* AITER_TEST_DEVICE_BLOCKS_H */
