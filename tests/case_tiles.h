/* case_tiles.h -- pages whose columns come in pieces and whose tokens come in bundles: kv.layout.
 * Included by case_storage.h. */

/* Of `tiles`, pieces of 16 bytes; of LAYOUT_X_PACKED and LAYOUT_SHUFFLED now and then others. */
static inline int place_piece(const attn_problem *p, aiter_dtype dtype, int64_t n)
{
    const int other = p->c.layout >= LAYOUT_COUNT ? (int)(p->c.seed % 5) : 0;
    int x = other == 4 ? 5 : other == 3 ? (int)n : 128 / aiter_dtype_bits(dtype);
    while (n % x) x--;
    return x;
}

/* K as [num_blocks, Hk, D / x, P, x], V as [num_blocks, Hk, D, P] or [num_blocks, Hk, P / x, D, x].
 * With gaps there is room behind every piece of K and bundle of V, row of V^T, and page: of 16
 * bytes, and rows of V^T begin at multiples of them, or of LAYOUT_X_PACKED and LAYOUT_SHUFFLED of
 * up to 2 elements. */
static inline void place_tiles(attn_problem *p, attn_place *t, int is_v, int slack)
{
    const int dim = is_v ? 1 : 3, x = place_piece(p, t->dtype, t->n[dim]);
    const int odd = p->c.layout >= LAYOUT_COUNT, own = odd ? 1 : 128 / aiter_dtype_bits(t->dtype);
    const int gap = odd ? (int)(p->c.seed % 3) : p->c.layout == LAYOUT_GAPS ? own : 0;
    const int packed_v = is_v && case_tiles(&p->c) == AITER_KV_X_PACKED;
    const int64_t P = t->n[1], D = t->n[3];
    const int64_t row = !gap || P == 1 ? P : odd ? P + gap : (P + own - 1) / own * own;
    const int64_t tile = (is_v ? D : P) * x + gap;
    t->stride[2] = packed_v ? row * D : t->n[dim] / x * tile;
    t->stride[0] = t->n[2] * t->stride[2] + 3 * gap;
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
