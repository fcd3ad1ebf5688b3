/* test_selftest.c -- aiter_selftest passes on this machine, and notices each kernel of a set that
 * is a little wrong: the table's entries are replaced one by one. */
#define AITER_ATTN_SELFTEST
#include "test.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

static const aiteri_kernels *right; /* the set that the wrong ones call */
static int type_at;                 /* of the entry that is replaced in a table of types */

/* ---- what is right but for one element ---- */

static void bad_pack_query(void *q, const float *rows, int64_t stride, int32_t dim, float scale)
{
    right->pack_query(q, rows, stride, dim, scale * 1.25f);
}
static void bad_tile_score(float *st, const aiteri_block_run *keys, const void *q, int32_t vectors)
{
    right->tile_score(st, keys, q, vectors);
    st[0] += 1.5f;
}
static void bad_tile_value(float *ot, const aiteri_block_run *values, float *st, int32_t vectors)
{
    right->tile_value(ot, values, st, vectors);
    ot[0] += 0.5f;
}
static void bad_tile_value_guarded(float *ot, const aiteri_block_run *values, int32_t key0,
                                   float *st, const aiteri_lane_mask *mask, const float *scores,
                                   int32_t vectors)
{
    right->tile_value_guarded(ot, values, key0, st, mask, scores, vectors);
    ot[0] += 0.5f;
}
static void bad_tile_adjust(float *st, int32_t key0, int32_t n, const aiteri_adjust *adjust,
                            int32_t vectors)
{
    right->tile_adjust(st, key0, n, adjust, vectors);
    st[0] += 1.5f;
}
static void bad_tile_softmax(float *st, int32_t n, float stretch, float *m, float *l, float *ot,
                             int32_t dim_v, int32_t vectors)
{
    right->tile_softmax(st, n, stretch, m, l, ot, dim_v, vectors);
    l[0] *= 1.25f;
}
static void bad_tile_unpack(float *rows, int64_t stride, const float *ot, int32_t dim)
{
    right->tile_unpack(rows, stride, ot, dim);
    rows[dim - 1] = (float)double_of_bits(BITS_NAN);
}
static void bad_load_k(const aiteri_kernels *own, void *block, int32_t place,
                       const aiteri_block_rows *rows)
{
    aiteri_block_rows fewer = *rows;
    right->load_k(own, block, place, rows);
    fewer.n = 1;
    if (rows->n > 1) right->load_k(own, block, place + 1, &fewer); /* the second key is the first */
}
static void bad_load_v(const aiteri_kernels *own, void *block, int32_t place,
                       const aiteri_block_rows *rows)
{
    aiteri_block_rows fewer = *rows;
    right->load_v(own, block, place, rows);
    fewer.n = 1;
    if (rows->n > 1) right->load_v(own, block, place + 1, &fewer);
}
static void bad_dot(float *s, int64_t s_stride, const float *q, int64_t q_stride, int32_t rows,
                    int32_t dim, const void *const *keys, int32_t n, const void *const *ahead)
{
    right->stream_dot[type_at](s, s_stride, q, q_stride, rows, dim, keys, n, ahead);
    s[0] += 1.5f;
}
static void bad_axpy(float *o, int64_t o_stride, const float *p, int64_t p_stride, int32_t rows,
                     int32_t dim, const void *const *values, int32_t n, const void *const *ahead)
{
    right->stream_axpy[type_at](o, o_stride, p, p_stride, rows, dim, values, n, ahead);
    o[0] += 0.5f;
}
static float bad_stream_softmax(float *s, float stretch, float *m, float *l)
{
    const float factor = right->stream_softmax(s, stretch, m, l);
    *l *= 1.25f;
    return factor;
}
static void bad_stream_adjust(float *s, int32_t key0, const aiteri_adjust *adjust)
{
    right->stream_adjust(s, key0, adjust);
    s[0] += 1.5f;
}
static void bad_stream_mul(float *x, const float *y)
{
    right->stream_mul(x, y);
    x[0] *= 4.0f;
}
static void bad_row_scale(float *o, int32_t dim, float factor)
{
    right->row_scale(o, dim, factor);
    o[0] += 0.5f;
}
static void bad_row_finish(float *o, int32_t dim, float factor, int32_t least)
{
    right->row_finish(o, dim, factor, least);
    o[0] += 0.5f;
}
static void bad_row_add_scaled(float *o, const float *x, int32_t dim, float factor)
{
    right->row_add_scaled(o, x, dim, factor);
    o[0] += 0.5f;
}
static void bad_row_divide(float *o, int32_t n, float divisor)
{
    right->row_divide(o, n, divisor);
    o[0] += 2.0f;
}
static float bad_row_amax(const float *x, int32_t n) { return right->row_amax(x, n) * 1.25f; }
static void bad_row_turn(float *y, const float *x, const float *partner, const float *c,
                         const float *s, int32_t n)
{
    uint32_t bits;
    right->row_turn(y, x, partner, c, s, n);
    memcpy(&bits, &y[n - 1], sizeof bits); /* the smallest step: these bits are one for all sets */
    bits ^= 1;
    memcpy(&y[n - 1], &bits, sizeof bits);
}
static void bad_widen(float *dst, const void *src, int64_t n)
{
    right->widen[type_at](dst, src, n);
    dst[n - 1] += 1.0f;
}
static void bad_narrow(void *dst, const float *src, int64_t n)
{
    float row[AITERI_MAX_HEAD_DIM];
    memcpy(row, src, (size_t)n * sizeof row[0]);
    row[n - 1] = row[n - 1] > 1 ? -2.0f : row[n - 1] + 1.5f;
    right->narrow[type_at](dst, row, n);
}
static void silent_narrow(void *dst, const float *src, int64_t n) { (void)dst, (void)src, (void)n; }

/* ---- each in its place ---- */

/* aiter_selftest of that set against the scalar one. */
static void noticed(const aiteri_kernels *wrong, const char *what)
{
    aiteri_selftest_sets sets;
    aiter_context_desc desc;
    memset(&sets, 0, sizeof sets);
    memset(&desc, 0, sizeof desc);
    desc.num_threads = 1;
    CHECK(aiter_context_create(&desc, &sets.set[0]) == AITER_OK, "%s", aiter_last_error());
    desc.isa_max = AITER_ISA_SCALAR;
    CHECK(aiter_context_create(&desc, &sets.scalar) == AITER_OK, "%s", aiter_last_error());
    sets.count = 1;
    sets.set[0]->kernels = wrong;
    CHECK(aiteri_selftest_run(&sets, 4e8, NULL) == AITER_DEVICE, "%s of type %d: not noticed", what,
          type_at);
    CHECK(strstr(aiter_last_error(), "aiter_selftest: aiter_") &&
              strstr(aiter_last_error(), " on ") && strstr(aiter_last_error(), ", expected "),
          "%s: %s", what, aiter_last_error());
    CHECK(strlen(aiter_last_error()) < 250, "%s: cut: %s", what, aiter_last_error());
    aiter_context_destroy(sets.set[0]);
    aiter_context_destroy(sets.scalar);
}

#define NOTICED(entry)                 \
    {                                  \
        aiteri_kernels wrong = *right; \
        wrong.entry = bad_##entry;     \
        noticed(&wrong, #entry);       \
    }

static void entries(void)
{
    type_at = 0;
    NOTICED(pack_query)
    NOTICED(tile_score)
    NOTICED(tile_value)
    NOTICED(tile_value_guarded)
    NOTICED(tile_adjust)
    NOTICED(tile_softmax)
    NOTICED(tile_unpack)
    NOTICED(load_k)
    NOTICED(load_v)
    NOTICED(stream_softmax)
    NOTICED(stream_adjust)
    NOTICED(stream_mul)
    NOTICED(row_scale)
    NOTICED(row_finish)
    NOTICED(row_add_scaled)
    NOTICED(row_divide)
    NOTICED(row_amax)
    NOTICED(row_turn)
}

/* The tables of types: each that the set has. */
static void types(void)
{
    for (type_at = 1; type_at < AITER_DTYPE_COUNT; type_at++) {
        aiteri_dot_fn dot[AITER_DTYPE_COUNT];
        aiteri_axpy_fn axpy[AITER_DTYPE_COUNT];
        aiteri_widen_fn widen[AITER_DTYPE_COUNT];
        aiteri_narrow_fn narrow[AITER_DTYPE_COUNT];
        aiteri_kernels wrong = *right;
        memcpy(dot, right->stream_dot, sizeof dot);
        memcpy(axpy, right->stream_axpy, sizeof axpy);
        memcpy(widen, right->widen, sizeof widen);
        memcpy(narrow, right->narrow, sizeof narrow);
        wrong.stream_dot = dot;
        wrong.stream_axpy = axpy;
        wrong.widen = widen;
        wrong.narrow = narrow;
        if (dot[type_at]) {
            dot[type_at] = bad_dot;
            noticed(&wrong, "stream_dot");
            dot[type_at] = right->stream_dot[type_at];
        }
        if (axpy[type_at]) {
            axpy[type_at] = bad_axpy;
            noticed(&wrong, "stream_axpy");
            axpy[type_at] = right->stream_axpy[type_at];
        }
        if (widen[type_at]) {
            widen[type_at] = bad_widen;
            noticed(&wrong, "widen");
            widen[type_at] = right->widen[type_at];
        }
        if (narrow[type_at]) {
            narrow[type_at] = bad_narrow;
            noticed(&wrong, "narrow");
            narrow[type_at] = silent_narrow;
            noticed(&wrong, "narrow that writes nothing");
        }
    }
}

static void passes(void)
{
    aiter_context_desc desc;
    aiter_context *ctx = NULL;
    memset(&desc, 0, sizeof desc);
    desc.num_threads = 3;
    CHECK(aiter_selftest(NULL, 0) == AITER_OK, "%s", aiter_last_error());
    CHECK(aiter_selftest(NULL, 1) == AITER_OK, "%s", aiter_last_error());
    CHECK(aiter_context_create(&desc, &ctx) == AITER_OK, "%s", aiter_last_error());
    CHECK(aiter_selftest(ctx, 3e7) == AITER_OK, "%s", aiter_last_error());
    CHECK(aiter_context_error(ctx)[0] == 0, "%s", aiter_context_error(ctx));
    CHECK(aiter_selftest(ctx, -1) == AITER_INVALID_ARGUMENT &&
              strstr(aiter_context_error(ctx), "aiter_selftest.budget: is -1"),
          "%s", aiter_context_error(ctx));
    CHECK(aiter_selftest(NULL, double_of_bits(BITS_NAN)) == AITER_INVALID_ARGUMENT, "NaN is taken");
    aiter_context_destroy(ctx);
}

int main(void)
{
    test_begin("selftest", 1);
    right = aiteri_choose_kernels(AITER_ISA_AUTO);
    passes();
    entries();
    types();
    return test_end();
}
