/* kv_layout.c -- caches whose order of memory is not [num_blocks, P, Hk, D]: readers and writer see
 * them so, and what strides cannot say is said by tiles. */
#ifndef AITERI_KV_LAYOUT_C
#define AITERI_KV_LAYOUT_C

#include "../api_parts.h"
#include "../base/argument.c"
#include "../plan/problem.h"

/* K and V of a cache: the tensors as the caller has them, ndim 0 where kv still has them, and how
 * columns and tokens lie. */
typedef struct aiteri_kv_order {
    aiter_tensor given[2];
    aiteri_tiles tiles[2];
} aiteri_kv_order;

/* Extents `at` and `within` of t are one cut into tiles: `part` of them, 0 where strides say it,
 * `apart`. In the view they are extent `to`. */
static int32_t aiteri_join_extents(const aiter_tensor *t, int32_t at, int32_t within,
                                   aiter_tensor *view, int32_t to, int64_t *apart)
{
    const int64_t tiles = t->shape[at], size = t->shape[within];
    view->shape[to] = tiles * size;
    view->stride[to] = size == 1 ? t->stride[at] : t->stride[within];
    *apart = t->stride[at];
    return tiles == 1 || size == 1 ? 0 : (int32_t)size;
}

static aiter_tensor aiteri_view_of_blocks(const aiter_tensor *t, int32_t token, int32_t dim)
{
    aiter_tensor view = *t;
    view.ndim = 4;
    view.shape[1] = t->shape[token], view.stride[1] = t->stride[token];
    view.shape[2] = t->shape[1], view.stride[2] = t->stride[1];
    view.shape[3] = t->shape[dim], view.stride[3] = t->stride[dim];
    return view;
}

/* Tiles are read as they lie: whole bytes, one element beside another. */
static void aiteri_check_tiles(aiteri_check *c, const char *field, const aiter_tensor *t)
{
    if (c->status != AITER_OK) return;
    const int32_t last = t->ndim - 1;
    if (aiter_dtype_bits(t->dtype) < 8)
        aiteri_reject(c, AITER_UNSUPPORTED,
                      "%s.%s: dtype is %s, expected one of whole bytes in this kv.layout; pass "
                      "AITER_KV_NHD pages",
                      c->op, field, aiter_dtype_name(t->dtype));
    for (int32_t i = 2; i <= last; i++) aiteri_check_axis(c, field, t, i, "extent", 1, 65535);
    if (t->shape[last] != 1 && t->stride[last] != 1)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: stride[%d] is %lld, expected 1 in this kv.layout", c->op, field,
                      (int)last, (long long)t->stride[last]);
}

/* Checks kv.layout and what it makes of k and v, which become [num_blocks, P, Hk, D]; `types` are
 * those that the op takes. */
static void aiteri_check_layout(aiteri_check *c, aiter_kv *kv, int paged, unsigned types,
                                aiteri_kv_order *order)
{
    const int shuffled = kv->layout == AITER_KV_SHUFFLED;
    memset(order, 0, sizeof *order);
    aiteri_check_enum(c, "kv.layout", (int)kv->layout, AITER_KV_LAYOUT_COUNT, "aiter_kv_layout");
    if (kv->layout == AITER_KV_NHD || c->status != AITER_OK) return;
    aiteri_check_true(c, paged, "kv.layout",
                      "AITER_KV_NHD, or a kv.block_table or kv.indptr: other orders are of pages");
    aiteri_check_true(c, kv->v.ndim != 0, "kv.v",
                      "pages, it is absent: V as columns of K needs kv.layout = AITER_KV_NHD");
    aiteri_check_tensor(c, "kv.k", &kv->k, 5, 5, types, 1, "pages [num_blocks, Hk, Dq / x, P, x]");
    aiteri_check_tensor(c, "kv.v", &kv->v, shuffled ? 5 : 4, shuffled ? 5 : 4, types, 1,
                        shuffled ? "pages [num_blocks, Hk, P / x, Dv, x]"
                                 : "pages [num_blocks, Hk, Dv, P]");
    aiteri_check_tiles(c, "kv.k", &kv->k);
    aiteri_check_tiles(c, "kv.v", &kv->v);
    if (c->status != AITER_OK) return;
    order->given[0] = kv->k, order->given[1] = kv->v;
    const aiter_tensor *k = &order->given[0], *v = &order->given[1];
    kv->k = aiteri_view_of_blocks(k, 3, 4);
    order->tiles[0].piece = aiteri_join_extents(k, 2, 4, &kv->k, 3, &order->tiles[0].stride_piece);
    kv->v = aiteri_view_of_blocks(v, shuffled ? 4 : 3, shuffled ? 3 : 2);
    if (shuffled)
        order->tiles[1].bundle =
            aiteri_join_extents(v, 2, 4, &kv->v, 1, &order->tiles[1].stride_bundle);
}

/* K (0) or V (1) as the caller has it. */
static const aiter_tensor *aiteri_given_of(const aiter_kv *kv, const aiteri_kv_order *order, int v)
{
    return order->given[v].ndim ? &order->given[v] : v ? &kv->v : &kv->k;
}

#endif /* AITERI_KV_LAYOUT_C */
