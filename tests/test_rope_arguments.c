/* test_rope_arguments.c -- what aiter_rope_fwd refuses: each field, each position of each table,
 * with nothing written; and what is just not refused. */
#include "test.h"
#include "reference.c"
#include "case_run.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

typedef struct rope_good {
    float x[2 * 3 * 2 * 16], y[2 * 3 * 2 * 16], cos[8 * 16], sin[8 * 16];
    int64_t positions[3 * 6], offsets[6];
    int32_t starts[4];
} rope_good;

static rope_good good_memory;

static aiter_rope_fwd_args good_args(int ndim)
{
    rope_good *g = &good_memory;
    aiter_rope_fwd_args a;
    memset(&a, 0, sizeof a);
    memset(g, 0, sizeof *g);
    memset(g->y, 0x3C, sizeof g->y);
    a.x = ndim == 4 ? aiter_tensor_4d(g->x, AITER_F32, 2, 3, 2, 16)
                    : aiter_tensor_3d(g->x, AITER_F32, 6, 2, 16);
    a.y = a.x;
    a.y.data = g->y;
    a.rope.cos = aiter_tensor_2d(g->cos, AITER_F32, 8, 8);
    a.rope.sin = aiter_tensor_2d(g->sin, AITER_F32, 8, 8);
    return a;
}

static void rope_refused(const aiter_rope_fwd_args *a, const char *words, int by_shape, int line)
{
    static unsigned char before[sizeof good_memory.y];
    int i, t;
    memcpy(before, good_memory.y, sizeof before);
    for (i = 0; i < 2; i++) {
        const aiter_status want = i && !by_shape ? AITER_OK : AITER_INVALID_ARGUMENT;
        const aiter_status got = i ? aiter_rope_fwd_supported(a, NULL) : aiter_rope_fwd(a, NULL);
        CHECK(got == want, "line %d, %s: %s", line, i ? "supported" : "run",
              aiter_status_name(got));
        if (want == AITER_OK) continue;
        CHECK(strstr(aiter_last_error(), words), "line %d: %s", line, aiter_last_error());
        CHECK(strncmp(aiter_last_error(), "aiter_rope_fwd.", 15) == 0, "%s", aiter_last_error());
    }
    for (t = 0; t < run_on.tiers; t++)
        CHECK(aiter_rope_fwd(a, run_on.one[t]) == AITER_INVALID_ARGUMENT, "line %d", line);
    CHECK(memcmp(before, good_memory.y, sizeof before) == 0, "line %d wrote", line);
}

#define ROPE_BAD(ndim, words, statement)         \
    do {                                         \
        aiter_rope_fwd_args a = good_args(ndim); \
        statement;                               \
        rope_refused(&a, words, 1, __LINE__);    \
    } while (0)
#define ROPE_BAD_DATA(ndim, words, statement)    \
    do {                                         \
        aiter_rope_fwd_args a = good_args(ndim); \
        statement;                               \
        rope_refused(&a, words, 0, __LINE__);    \
    } while (0)
#define ROPE_GOOD(ndim, statement)                                                                \
    do {                                                                                          \
        aiter_rope_fwd_args a = good_args(ndim);                                                  \
        statement;                                                                                \
        CHECK(aiter_rope_fwd(&a, NULL) == AITER_OK, "line %d: %s", __LINE__, aiter_last_error()); \
    } while (0)

static void sections(aiter_rope *r, aiter_rope_kind kind, int a, int b, int c)
{
    r->kind = kind;
    r->sections[0] = a;
    r->sections[1] = b;
    r->sections[2] = c;
}

static aiter_tensor set_index(int64_t *values, int64_t n0, int64_t n1, int at, int64_t value)
{
    values[at] = value;
    return n1 ? aiter_tensor_2d(values, AITER_I64, n0, n1) : aiter_tensor_1d(values, AITER_I64, n0);
}

static void bad_fields(void)
{
    ROPE_BAD(4, "rope.pairing: 2 is no", a.rope.pairing = AITER_ROPE_PAIRING_COUNT);
    ROPE_BAD(4, "rope.pairing: -1 is no", a.rope.pairing = (aiter_rope_pairing)-1);
    ROPE_BAD(4, "rope.kind: 4 is no", a.rope.kind = AITER_ROPE_KIND_COUNT);
    ROPE_BAD(4, "rope.kind: -1 is no", a.rope.kind = (aiter_rope_kind)-1);
    ROPE_BAD(4, "rope.nope_first: is 2, expected 0 to 1", a.rope.nope_first = 2);
    ROPE_BAD(4, "rope.dim: is 6, expected 0, 16 ", a.rope.dim = 6);
    ROPE_BAD(4, "rope.dim: is -16", a.rope.dim = -16);
    ROPE_BAD(4, "rope.dim: 32 elements turn, expected at most 16, D of x; tables with",
             a.rope.cos.shape[1] = a.rope.sin.shape[1] = 16);
    ROPE_BAD(4, "rope.dim: 34 elements turn, expected at most 16, D of x",
             a.rope.cos.shape[1] = a.rope.sin.shape[1] = 17);
    ROPE_BAD(4, "rope.dim: 7 elements turn, expected an even",
             (a.rope.cos.shape[1] = a.rope.sin.shape[1] = a.rope.dim = 7));
    ROPE_BAD(4, "rope.dim: 6 elements turn, expected a multiple of 4",
             (a.rope.cos.shape[1] = a.rope.sin.shape[1] = 3, a.rope.kind = AITER_ROPE_2D));
    ROPE_BAD(4, "rope.cos: shape[0]", a.rope.cos.shape[0] = a.rope.sin.shape[0] = 0);
    ROPE_BAD(4, "rope.cos: shape[1]", a.rope.cos.shape[1] = a.rope.sin.shape[1] = 577);
    ROPE_BAD(4, "rope.sin: shape[0] is 7, expected 8", a.rope.sin.shape[0] = 7);
    ROPE_BAD(4, "rope.sin: shape[1] is 7, expected 8", a.rope.sin.shape[1] = 7);
    ROPE_BAD(4, "rope.width: is 0, expected 1", a.rope.kind = AITER_ROPE_2D);
    ROPE_BAD(4, "rope.width: is 3, expected 0", a.rope.width = 3);
    ROPE_BAD(4, "rope.width: is 3, expected 0",
             (a.rope.width = 3, a.rope.kind = AITER_ROPE_2D,
              a.rope.positions = aiter_tensor_3d(good_memory.positions, AITER_I64, 2, 2, 3)));
    ROPE_BAD(4, "rope.sections[1]: is 1, expected 0", a.rope.sections[1] = 1);
    ROPE_BAD(4, "rope.sections: their sum is 7, expected 8",
             sections(&a.rope, AITER_ROPE_MULTI, 3, 2, 2));
    ROPE_BAD(4, "rope.sections: their sum is 9, expected 8",
             sections(&a.rope, AITER_ROPE_MULTI_INTERLEAVED, 3, 3, 3));
    ROPE_BAD(4, "rope.sections[2]: is -1", sections(&a.rope, AITER_ROPE_MULTI, 8, 1, -1));
    ROPE_BAD(4, "rope.sections[0]: is 9", sections(&a.rope, AITER_ROPE_MULTI, 9, 0, -1));
    ROPE_BAD(3, "x: shape[2], the head_dim, is 0", a.x.shape[2] = a.y.shape[2] = 0);
    ROPE_BAD(3, "x: shape[2], the head_dim, is 577",
             (a.x.shape[1] = a.y.shape[1] = 0, a.x.shape[2] = a.y.shape[2] = 577));
    ROPE_BAD(3, "y: ndim is 4, expected 3", a.y = good_args(4).y);
    ROPE_BAD(3, "y: shape[1] is 1, expected 2", a.y.shape[1] = 1);
    ROPE_BAD(4, "y: shares memory with x", a.y.data = good_memory.x + 1);
    ROPE_BAD(4, "y: shares memory with x",
             (a.y = aiter_tensor_transpose(a.x, 0, 0), a.y.stride[3] = 2, a.y.stride[2] = 1));
    ROPE_BAD(4, "y: shares memory with rope.cos", a.rope.cos.data = good_memory.y);
    ROPE_BAD(4, "y: several of its elements",
             (a.y = aiter_tensor_transpose(a.y, 0, 0), a.y.stride[1] = 0));
}

static void bad_indices(void)
{
    rope_good *g = &good_memory;
    static const int64_t wrong[] = {-1, 8, INT64_MIN, INT64_MAX, INT64_C(1) << 32};
    int i, at;
    for (i = 0; i < COUNT(wrong); i++) {
        for (at = 0; at < 18; at++) {
            if (at < 6)
                ROPE_BAD_DATA(3, "rope.positions: token",
                              a.rope.positions = set_index(g->positions, 6, 0, at, wrong[i]));
            if (at < 6 && wrong[i] < 3) {
                ROPE_BAD_DATA(4, "rope.offsets: token",
                              (a.rope.offsets =
                                   set_index(g->offsets, 2, 3, at, wrong[i] < -1 ? wrong[i] : -3)));
            }
            ROPE_BAD_DATA(3, "rope.positions: token",
                          (sections(&a.rope, AITER_ROPE_MULTI, 4, 2, 2),
                           a.rope.positions = set_index(g->positions, 3, 6, at, wrong[i])));
        }
    }
    ROPE_BAD_DATA(3, "rope.positions: token 5 is at 9223372036854775807 with its offset",
                  (a.rope.positions = set_index(g->positions, 6, 0, 5, INT64_MAX),
                   a.rope.offsets = set_index(g->offsets, 6, 0, 5, INT64_MAX)));
    ROPE_BAD_DATA(3, "rope.positions: token 5 is at -9223372036854775808 with its offset",
                  (a.rope.positions = set_index(g->positions, 6, 0, 5, INT64_MIN),
                   a.rope.offsets = set_index(g->offsets, 6, 0, 5, INT64_MIN)));
    ROPE_GOOD(3, (a.rope.positions = set_index(g->positions, 6, 0, 5, INT64_MAX),
                  a.rope.offsets = set_index(g->offsets, 6, 0, 5, -INT64_MAX)));
    ROPE_GOOD(3, a.rope.positions = set_index(g->positions, 6, 0, 5, 7));
    ROPE_GOOD(4, a.rope.cos.shape[0] = a.rope.sin.shape[0] = 3);
    ROPE_BAD_DATA(4, "rope.cos: token 2 is at 2, expected 0 to 1: rope.cos has 2 rows",
                  a.rope.cos.shape[0] = a.rope.sin.shape[0] = 2);
    ROPE_BAD(4, "rope.positions: shape[1] is 2, expected 3",
             a.rope.positions = set_index(g->positions, 2, 2, 0, 0));
    ROPE_BAD(4, "rope.positions: ndim is 2, expected 3: [2, B, S]",
             (a.rope.kind = AITER_ROPE_2D, a.rope.positions = set_index(g->positions, 2, 3, 0, 0)));
    ROPE_BAD(3, "rope.positions: shape[0] is 2, expected 3",
             (sections(&a.rope, AITER_ROPE_MULTI, 4, 2, 2),
              a.rope.positions = set_index(g->positions, 2, 6, 0, 0)));
    ROPE_BAD(3, "rope.offsets: shape[0] is 5, expected 6",
             a.rope.offsets = set_index(g->offsets, 5, 0, 0, 0));
}

static aiter_tensor set_starts(int a, int b, int c)
{
    good_memory.starts[0] = a;
    good_memory.starts[1] = b;
    good_memory.starts[2] = c;
    return aiter_tensor_1d(good_memory.starts, AITER_I32, 3);
}

static void bad_starts(void)
{
    rope_good *g = &good_memory;
    ROPE_GOOD(3, a.cu_seqlens = set_starts(0, 2, 6));
    ROPE_GOOD(3, (a.cu_seqlens = set_starts(0, 0, 0), a.cu_seqlens.shape[0] = 1));
    ROPE_BAD_DATA(3, "cu_seqlens: [0] is 1, expected 0", a.cu_seqlens = set_starts(1, 2, 6));
    ROPE_BAD_DATA(3, "cu_seqlens: falls", a.cu_seqlens = set_starts(0, 3, 2));
    ROPE_BAD_DATA(3, "cu_seqlens: falls", a.cu_seqlens = set_starts(0, -1, 2));
    ROPE_BAD_DATA(3, "cu_seqlens: [2] gives a length of 7", a.cu_seqlens = set_starts(0, 0, 7));
    ROPE_BAD_DATA(3, "cu_seqlens: [2] is 7, expected at most 6",
                  a.cu_seqlens = set_starts(0, 3, 7));
    ROPE_BAD(3, "cu_seqlens: shape[0]",
             (a.cu_seqlens = set_starts(0, 0, 0), a.cu_seqlens.shape[0] = 0));
    ROPE_BAD(3, "cu_seqlens: dtype is i64",
             (a.cu_seqlens = set_starts(0, 0, 0), a.cu_seqlens.dtype = AITER_I64));
    ROPE_BAD(4, "cu_seqlens: expected none: x is [B, S, H, D]", a.cu_seqlens = set_starts(0, 2, 6));
    ROPE_BAD(3, "cu_seqlens: expected none: rope.positions",
             (a.cu_seqlens = set_starts(0, 2, 6),
              a.rope.positions = set_index(g->positions, 6, 0, 0, 0)));
    ROPE_BAD(3, "y: shares memory with cu_seqlens",
             (a.cu_seqlens = set_starts(0, 0, 0), a.cu_seqlens.data = g->y));
    ROPE_GOOD(3, a.x.shape[0] = a.y.shape[0] = 0);
    ROPE_GOOD(3, a.x.shape[1] = a.y.shape[1] = 0);
    ROPE_GOOD(3, a.y = a.x);
}

int main(void)
{
    test_begin("rope_arguments", 1);
    run_begin();
    bad_fields();
    bad_indices();
    bad_starts();
    run_end();
    return test_end();
}
