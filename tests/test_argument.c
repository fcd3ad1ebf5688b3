/* test_argument.c -- the checks of one argument from inside: spans and strides at the ends of their
 * numbers, views that meet against all their bytes, values at their bounds, which failure is told.
 */
#include "test.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))
#define MOST        AITERI_MOST_ELEMENTS

static char memory[4096];

/* ---- spans ---- */

static aiter_tensor view(int ndim, const int64_t *shape, const int64_t *stride)
{
    aiter_tensor t = aiter_tensor_5d(memory, AITER_F32, 0, 0, 0, 0, 0);
    int i;
    t.ndim = ndim;
    for (i = 0; i < ndim; i++) t.shape[i] = shape[i], t.stride[i] = stride[i];
    return t;
}

static void span_is(int ndim, const int64_t *shape, const int64_t *stride, int64_t want)
{
    aiter_tensor t = view(ndim, shape, stride);
    int64_t got = aiteri_tensor_span(&t);
    CHECK(got == want,
          "span of [%" PRId64 ", %" PRId64 "] by [%" PRId64 ", %" PRId64 "]: %" PRId64
          ", expected %" PRId64,
          shape[0], shape[1], stride[0], stride[1], got, want);
}

static void spans(void)
{
    int64_t n;
    for (n = 1; n <= 12; n++) {
        const int64_t one[2] = {n, 1}, two[2] = {n, 3}, none[2] = {n, 0}, none_first[2] = {0, n};
        const int64_t dense[2] = {3, 1}, wide[2] = {1000 * n, 7}, equal[2] = {0, 0};
        const int64_t back[2] = {-n, 1}, inner_back[2] = {5, -n}, most_back[2] = {INT64_MIN + n, 1};
        span_is(2, one, dense, 3 * (n - 1) + 1);
        span_is(2, two, wide, 1000 * n * (n - 1) + 15);
        span_is(2, two, equal, 1);
        span_is(2, none, wide, 0);
        span_is(2, none_first, back, 0);
        span_is(2, two, back, -1);
        span_is(2, two, inner_back, -1);
        if (n > 1) span_is(2, two, most_back, -1);
    }
    for (n = 2; n < 60;
         n++) { /* products that wrap to small numbers, sums that just fit or do not */
        const int64_t steps = (int64_t)1 << n, far = (int64_t)1 << (62 - n);
        const int64_t shape[2] = {4 * steps + 1, 2}, stride[2] = {far, 1};
        const int64_t fits[2] = {2, 3}, last[2] = {MOST - 2 * n, n},
                      over[2] = {MOST - 2 * n + 1, n};
        span_is(2, shape, stride, -1);
        span_is(2, fits, last, MOST + 1);
        span_is(2, fits, over, -1);
    }
}

/* Strides that are not given: each is the product of the extents behind it, empty ones as 1. */
static void compact_strides(void)
{
    int64_t a, b, c;
    for (a = 0; a < 4; a++) {
        for (b = 0; b < 4; b++) {
            for (c = 0; c < 4; c++) {
                aiter_tensor t = aiter_tensor_3d(memory, AITER_F32, a, b, c);
                const int64_t inner = c ? c : 1, outer = inner * (b ? b : 1);
                aiteri_tensor_fill_strides(&t);
                CHECK(t.stride[2] == 1 && t.stride[1] == inner && t.stride[0] == outer,
                      "[%d, %d, %d]: %" PRId64 ", %" PRId64 ", %" PRId64, (int)a, (int)b, (int)c,
                      t.stride[0], t.stride[1], t.stride[2]);
                t.stride[1] = 9;
                t.stride[0] = t.stride[2] = 0;
                aiteri_tensor_fill_strides(&t);
                CHECK(t.stride[0] == 0 && t.stride[1] == 9 && t.stride[2] == 0, "given strides");
            }
        }
    }
}

/* ---- values ---- */

static aiteri_check a_check(void)
{
    const aiteri_check c = {"op", NULL, AITER_OK};
    return c;
}

static void ranges(void)
{
    static const int64_t bounds[][2] = {{0, 1},
                                        {1, 8},
                                        {-5, 5},
                                        {0, INT32_MAX - 1},
                                        {3, INT32_MAX},
                                        {0, 0},
                                        {7, 7},
                                        {1, 576},
                                        {1, 65535},
                                        {0, 255},
                                        {-1, 0},
                                        {-9, -2},
                                        {INT64_MIN + 1, INT64_MAX - 1}};
    int i, k;
    for (i = 0; i < COUNT(bounds); i++) {
        const int64_t low = bounds[i][0], high = bounds[i][1];
        const int64_t got[] = {low - 1, low, low + 1, high - 1, high, high + 1};
        for (k = 0; k < COUNT(got); k++) {
            const int good = got[k] >= low && got[k] <= high;
            aiteri_check c = a_check();
            aiter_tensor t = aiter_tensor_1d(memory, AITER_F32, got[k]);
            aiteri_check_range(&c, "field", got[k], low, high);
            CHECK((c.status == AITER_OK) == good, "%" PRId64 " in %" PRId64 "..%" PRId64, got[k],
                  low, high);
            c = a_check();
            aiteri_check_axis(&c, "field", &t, 0, "things", low, high);
            CHECK((c.status == AITER_OK) == good, "an axis of %" PRId64, got[k]);
            c = a_check();
            aiteri_check_extent(&c, "field", &t, 0, low + 2, "its like");
            CHECK((c.status == AITER_OK) == (got[k] == low + 2), "extent %" PRId64, got[k]);
        }
    }
}

static void scales(void)
{
    static const uint32_t good[] = {0,           0x80000000u, 1,          0x007fffffu,
                                    0x00800000u, 0x3f800000u, 0x7f7fffffu};
    static const uint32_t bad[] = {0x80000001u, 0x80800000u, 0xbf800000u, 0xff7fffffu, 0xff800000u,
                                   0x7f800000u, 0x7f800001u, 0x7fc00000u, 0xffc00000u, 0xffffffffu};
    int i, times;
    for (times = 0; times < 10; times++) {
        for (i = 0; i < COUNT(good); i++) {
            aiteri_check c = a_check();
            aiteri_check_scale(&c, "field", aiteri_f32_of_bits(good[i]));
            CHECK(c.status == AITER_OK, "%08" PRIx32 " is refused", good[i]);
        }
        for (i = 0; i < COUNT(bad); i++) {
            aiteri_check c = a_check();
            aiteri_check_scale(&c, "field", aiteri_f32_of_bits(bad[i]));
            CHECK(c.status == AITER_INVALID_ARGUMENT, "%08" PRIx32 " is taken", bad[i]);
        }
    }
}

/* The first failure is told and the later ones are not; after it no tensor is looked at. */
static void sticky(void)
{
    int i;
    for (i = 1; i < AITER_STATUS_COUNT; i++) {
        aiteri_check c = a_check();
        aiter_tensor t = aiter_tensor_1d(memory, AITER_F32, 5);
        aiteri_reject(&c, (aiter_status)i, "the first of %d", i);
        aiteri_check_range(&c, "second", i, -2, -1);
        aiteri_check_true(&c, 0, "third", "nothing");
        CHECK((int)c.status == i && strstr(aiter_last_error(), "the first of"), "%d: %s", i,
              aiter_last_error());
        CHECK(!aiteri_check_tensor(&c, "fourth", &t, 1, 1, AITERI_FLOATS, 1, "[N]"),
              "a tensor after a failure");
    }
}

/* ---- one tensor ---- */

static void ranks_and_types(void)
{
    int low, high, ndim, type, known;
    for (ndim = -1; ndim <= 6; ndim++) {
        for (low = 1; low <= 5; low++) {
            for (high = low; high <= 5; high++) {
                aiteri_check c = a_check();
                aiter_tensor t = aiter_tensor_5d(memory, AITER_F32, 1, 2, 1, 2, 1);
                t.ndim = ndim;
                const int there =
                    aiteri_check_tensor(&c, "field", &t, low, high, AITERI_FLOATS, 1, "a layout");
                CHECK(there == (ndim >= low && ndim <= high) && there == (c.status == AITER_OK),
                      "ndim %d of %d to %d: %d", ndim, low, high, there);
                c = a_check();
                t.ndim = 0;
                CHECK(!aiteri_check_tensor(&c, "field", &t, low, high, AITERI_FLOATS, 0, "-") &&
                          c.status == AITER_OK,
                      "an optional tensor is missed");
            }
        }
    }
    for (type = -2; type <= AITER_DTYPE_COUNT + 1; type++) {
        for (known = 0; known < AITER_DTYPE_COUNT; known++) {
            aiteri_check c = a_check();
            aiter_tensor t = aiter_tensor_1d(memory, (aiter_dtype)type, 8);
            const int good = type == known && known > 0;
            CHECK(aiteri_check_tensor(&c, "field", &t, 1, 1, 1u << known, 1, "[N]") == good,
                  "type %d where %d is known", type, known);
        }
    }
}

/* Where a view lies: refused when it cannot be read, left alone when nothing of it is. */
static void places(void)
{
    int64_t n;
    int i;
    for (n = 1; n <= 12; n++) {
        const int64_t shape[2] = {n, 4}, empty[2] = {n, 0}, one[2] = {1, n}, dense[2] = {4, 1};
        const int64_t far[2] = {MOST, 1}, odd[2] = {INT64_MAX - n, 1}, back[2] = {-4, 1};
        const struct {
            const int64_t *shape, *stride;
            uintptr_t data;
            const char *text; /* NULL: taken */
        } rows[] = {
            {shape, dense, (uintptr_t)memory, NULL},
            {shape, dense, 0, "data is NULL"},
            {shape, far, 0, n > 1 ? "exceed the address space" : "data is NULL"},
            {shape, far, (uintptr_t)memory, n > 1 ? "exceed the address space" : NULL},
            {shape, back, (uintptr_t)memory, "is -4, expected 0 or more"},
            {shape, back, 0, "is -4, expected 0 or more"},
            {shape, dense, UINTPTR_MAX - 16 * (uintptr_t)n + 1 + 4, "exceed the address space"},
            {shape, dense, (uintptr_t)memory + 2, "not aligned"},
            {shape, dense, (uintptr_t)memory + 1, "not aligned"},
            {empty, dense, 0, NULL},
            {empty, back, 0, NULL},
            {empty, far, 3, NULL},
            {one, odd, (uintptr_t)memory, NULL},
        };
        for (i = 0; i < COUNT(rows); i++) {
            aiteri_check c = a_check();
            aiter_tensor t = view(2, rows[i].shape, rows[i].stride);
            t.data = (void *)rows[i].data;
            aiteri_check_view(&c, "field", &t);
            CHECK((c.status == AITER_OK) == !rows[i].text, "row %d, %d: %s", i, (int)n,
                  aiter_last_error());
            if (rows[i].text)
                CHECK(strstr(aiter_last_error(), rows[i].text), "row %d, %d: %s", i, (int)n,
                      aiter_last_error());
            else
                CHECK(t.stride[0] >= 0 && t.stride[0] <= MOST, "row %d: stride %" PRId64, i,
                      t.stride[0]);
        }
        for (i = 0; i < 2; i++) { /* every extent is looked at before a stride is */
            aiteri_check c = a_check();
            aiter_tensor t = view(2, shape, dense);
            t.shape[i] = -n;
            aiteri_check_view(&c, "field", &t);
            CHECK(c.status != AITER_OK && strstr(aiter_last_error(), "expected 0 or more"), "%s",
                  aiter_last_error());
        }
    }
}

/* ---- views that meet ---- */

enum { ARENA = 64 };

/* Counts the bytes that a view of elements of `size` bytes has, of half a byte where that is 0, and
 * whether one of them comes twice. */
static int bytes_of(const aiter_tensor *t, int size, uint64_t *bytes)
{
    unsigned char taken[2 * ARENA] = {0}; /* halves */
    int64_t n = 1, e, rest, at;
    int i, twice = 0;
    const int halves = size ? 2 * size : 1;
    *bytes = 0;
    for (i = 0; i < t->ndim; i++) n *= t->shape[i];
    for (e = 0; e < n; e++) {
        for (i = t->ndim - 1, rest = e, at = 2 * ((char *)t->data - memory); i >= 0; i--) {
            at += rest % t->shape[i] * t->stride[i] * halves;
            rest /= t->shape[i];
        }
        for (i = 0; i < halves; i++, at++) {
            twice |= taken[at]++;
            *bytes |= (uint64_t)1 << at / 2;
        }
    }
    return twice;
}

static aiter_tensor random_view(test_rng *r, int size)
{
    aiter_tensor t;
    int64_t span;
    do {
        int i;
        t = aiter_tensor_5d(memory,
                            size == 0   ? AITER_I4
                            : size == 1 ? AITER_I8
                            : size == 2 ? AITER_F16
                                        : AITER_F32,
                            1, 1, 1, 1, 1);
        t.ndim = rng_int(r, 1, 4);
        for (i = 0; i < t.ndim; i++) {
            t.shape[i] = rng_int(r, 1, 4);
            t.stride[i] = rng_int(r, 0, 3) ? rng_int(r, 1, 16) : rng_int(r, 0, 3);
            if (size == 0) t.stride[i] *= 2;
        }
        if (size == 0) t.stride[t.ndim - 1] = 1;
        span = size ? aiteri_tensor_span(&t) * size : (aiteri_tensor_span(&t) + 1) / 2;
    } while (span > ARENA - 8);
    t.data = memory + rng_int(r, 0, (int)(ARENA - span) / (size ? size : 1)) * (size ? size : 1);
    return t;
}

static void views_meet(void)
{
    test_rng r = {test_seed(5)};
    int i, met = 0, apart = 0, shared = 0;
    for (i = 0; i < 60000; i++) {
        const int size = i % 4 ? 1 << (i % 4 - 1) : 0;
        aiter_tensor t = random_view(&r, size), u = random_view(&r, size);
        const aiteri_extent a = aiteri_extent_of(&t), b = aiteri_extent_of(&u);
        int64_t budget = 4000000;
        uint64_t t_bytes, u_bytes;
        const int twice = bytes_of(&t, size, &t_bytes);
        bytes_of(&u, size, &u_bytes);
        const int meet = (t_bytes & u_bytes) != 0;
        met += meet, apart += !meet, shared += twice;
        CHECK(aiteri_extents_meet(&a, &b, &budget) == meet, "views of round %d: %s", i,
              meet ? "they meet" : "they do not");
        CHECK(aiteri_operands_meet(&t, aiteri_operand_bytes(&t), &u) == meet,
              "operands of round %d", i);
        CHECK(!twice || !aiteri_extent_is_injective(&a, size ? size : 1),
              "round %d: an element is shared", i);
        CHECK(a.bytes == aiteri_operand_bytes(&t) &&
                  (size == 0 || a.bytes == (uintptr_t)(aiteri_tensor_span(&t) * size)),
              "round %d: %zu bytes", i, (size_t)a.bytes);
    }
    CHECK(met > 10000 && apart > 10000 && shared > 10000, "%d meet, %d do not, %d share", met,
          apart, shared);
}

/* Interleaved outputs, as of a packed QKV, are as good as any: nothing in them is shared. */
static void interleaved(void)
{
    int64_t n;
    for (n = 1; n <= 12; n++) {
        const int64_t shape[3] = {3, 2, n}, stride[3] = {6 * n, n, 1};
        const int64_t inside[3] = {n + 1, 3 * n + 3, 1}; /* heads outside, tokens inside */
        aiter_tensor t = view(3, shape, stride), u = t;
        u.data = memory + 8 * n;
        aiteri_extent a = aiteri_extent_of(&t);
        CHECK(aiteri_extent_is_injective(&a, 4), "interleaved rows of %d", (int)n);
        CHECK(!aiteri_operands_meet(&t, aiteri_operand_bytes(&t), &u), "two of them, %d", (int)n);
        t = view(3, shape, inside);
        a = aiteri_extent_of(&t);
        CHECK(aiteri_extent_is_injective(&a, 4), "tokens inside heads, %d", (int)n);
        t.stride[0] = n - 1; /* each row starts in the last element of the one before */
        a = aiteri_extent_of(&t);
        CHECK(!aiteri_extent_is_injective(&a, 4), "rows of %d that share an element", (int)n);
    }
}

int main(void)
{
    test_begin("argument", 1);
    spans();
    compact_strides();
    ranges();
    scales();
    sticky();
    ranks_and_types();
    places();
    views_meet();
    interleaved();
    return test_end();
}
