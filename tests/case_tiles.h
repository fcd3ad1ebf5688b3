/* case_tiles.h -- pages whose columns come in pieces and whose tokens come in bundles: kv.layout.
 * Included by case_storage.h. */

/* Elements of 16 bytes, or as many as divide n. */
static inline int place_x(aiter_dtype dtype, int64_t n)
{
    int x = 128 / aiter_dtype_bits(dtype);
    while (n % x) x--;
    return x;
}

/* Pages of X_PACKED or SHUFFLED; room of 3 x elements behind every page where the case has gaps. */
static inline void place_tiles(attn_problem *p, attn_place *t, int is_v, int slack)
{
    const int dim = is_v ? 1 : 3, x = place_x(t->dtype, t->n[dim]);
    const int64_t P = t->n[1], D = t->n[3];
    const int pad = p->c.layout == LAYOUT_GAPS ? 3 * 128 / aiter_dtype_bits(t->dtype) : 0;
    t->stride[2] = P * D;
    t->stride[0] = t->n[2] * P * D + pad;
    t->stride[1] = is_v ? 1 : x;
    t->stride[3] = !is_v ? 1 : p->c.tiles == AITER_KV_X_PACKED ? P : x;
    if (!is_v || p->c.tiles == AITER_KV_SHUFFLED)
        t->tile[dim] = x, t->tile_stride[dim] = is_v ? D * x : P * x;
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
    return y;
}
