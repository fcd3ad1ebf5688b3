/* case_tiles.h -- pages whose K or V are no rows in memory, for a case of LAYOUT_X_PACKED or
 * LAYOUT_SHUFFLED. Included by case_storage.h. */

/* The largest divisor of n that 16 bytes of the type hold, or of some cases another one. */
static inline int64_t place_piece(const attn_problem *p, aiter_dtype dtype, int64_t n)
{
    const int other = (int)(p->c.seed % 5);
    int64_t x = other == 4 ? 5 : other == 3 ? n : 128 / aiter_dtype_bits(dtype);
    while (n % x) x--;
    return x;
}

/* Pages whose columns (of K) or tokens (of V) lie in pieces of x, and between blocks a gap:
 * [num_blocks, Hk, D / x, P, x], [num_blocks, Hk, D, P] or [num_blocks, Hk, P / x, D, x]. */
static inline void place_tiled(attn_problem *p, attn_place *t, int v, int slack)
{
    const int64_t P = t->n[1], D = t->n[3], pad = (int64_t)(p->c.seed % 3);
    t->tiled = v ? 1 : 3;
    if (!v || p->c.layout == LAYOUT_SHUFFLED) t->tile = place_piece(p, t->dtype, v ? P : D);
    t->stride[t->tiled] = 1;
    t->stride[v ? 3 : 1] = t->tile ? t->tile : P;
    t->apart = t->tile * (v ? D : P);
    t->stride[2] = P * D + pad;
    t->stride[0] = t->n[2] * t->stride[2] + pad;
    t->buffer =
        problem_buffer(p, (size_t)(t->n[0] * t->stride[0] * aiter_dtype_bits(t->dtype) / 8), slack);
}

/* Such pages in the eyes of the library. */
static inline aiter_tensor place_tiled_tensor(const attn_place *t, int v)
{
    const int64_t x = t->tile, P = t->n[1], D = t->n[3];
    aiter_tensor y = !v  ? aiter_tensor_5d(t->buffer->data, t->dtype, t->n[0], t->n[2], D / x, P, x)
                     : x ? aiter_tensor_5d(t->buffer->data, t->dtype, t->n[0], t->n[2], P / x, D, x)
                         : aiter_tensor_4d(t->buffer->data, t->dtype, t->n[0], t->n[2], D, P);
    const int64_t strides[5] = {t->stride[0], t->stride[2], x ? t->apart : t->stride[3],
                                x ? t->stride[v ? 3 : 1] : 1, 1};
    memcpy(y.stride, strides, (size_t)y.ndim * sizeof strides[0]);
    return y;
}
