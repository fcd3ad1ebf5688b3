/* case_tiles.h -- pages whose columns come in pieces and whose tokens come in bundles: kv.layout.
 * Included by case_storage.h. */

/* Elements of 16 bytes, or as many as divide n. */
static inline int place_x(aiter_dtype dtype, int64_t n)
{
    int x = 128 / aiter_dtype_bits(dtype);
    while (n % x) x--;
    return x;
}

/* Pages of X_PACKED or SHUFFLED. Where the case has gaps there is room of 16 bytes behind every
 * piece of K and bundle of V, rows of V^T begin at multiples of 16 bytes, and pages have room, too.
 */
static inline void place_tiles(attn_problem *p, attn_place *t, int is_v, int slack)
{
    const int dim = is_v ? 1 : 3, x = place_x(t->dtype, t->n[dim]);
    const int own = 128 / aiter_dtype_bits(t->dtype), gaps = p->c.layout == LAYOUT_GAPS;
    const int packed_v = is_v && p->c.tiles == AITER_KV_X_PACKED;
    const int64_t P = t->n[1], D = t->n[3], row = gaps && P > 1 ? (P + own - 1) / own * own : P;
    const int64_t tile = (is_v ? D : P) * x + (gaps ? own : 0);
    t->stride[2] = packed_v ? row * D : t->n[dim] / x * tile;
    t->stride[0] = t->n[2] * t->stride[2] + (gaps ? 3 * own : 0);
    t->stride[1] = is_v ? 1 : x;
    t->stride[3] = !is_v ? 1 : packed_v ? row : x;
    if (!packed_v) t->tile[dim] = x, t->tile_stride[dim] = tile;
    t->buffer = problem_buffer(
        p, (size_t)(t->n[0] * t->stride[0]) * (size_t)aiter_dtype_bits(t->dtype) / 8, slack);
}

/* Such pages in the eyes of the library. */
static inline aiter_tensor place_tiles_tensor(const attn_place *t, int is_v)
{
    const void *data = t->buffer->data;
    const int dim = is_v ? 1 : 3, x = t->tile[dim];
    aiter_tensor y;
    if (!x)
        y = aiter_tensor_4d(data, t->dtype, t->n[0], t->n[2], t->n[3], t->n[1]);
    else
        y = aiter_tensor_5d(data, t->dtype, t->n[0], t->n[2], t->n[dim] / x, t->n[4 - dim], x);
    y = aiter_tensor_transpose(y, 0, 0); /* strides that are said */
    y.stride[0] = t->stride[0];
    y.stride[1] = t->stride[2];
    y.stride[2] = x ? t->tile_stride[dim] : t->stride[3];
    return y;
}
