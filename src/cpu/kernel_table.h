/* kernel_table.h -- the contract between the engine and the tile kernels (one set per ISA).
 *
 * Two families serve every softmax attention:
 *   tile    queries in the vector lanes: S^T = K Q^T and O^T = V^T P^T for `tile_lanes` packed
 * query rows at once; K and V rows are the broadcast operand, in blocks of the set's own format.
 * stream  head_dim in the lanes: few query rows, every K and V row loaded once for all of them. In
 * both a row's result depends on its own query and keys alone, never on its neighbours, and a
 * masked key leaves no trace: each row of arithmetic is the same instruction sequence whatever the
 * rows beside it. Scores are in natural-logarithm units, but for a power of two that the softmax is
 * told of. */
#ifndef AITERI_KERNEL_TABLE_H
#define AITERI_KERNEL_TABLE_H

#include "../api_types.h"
#include "../base/arena.c"
#include "../base/left_out.h"
#include "../plan/families.h"
#include "score_rule.h"

/* n contiguous elements of a storage type to f32, and back with rounding to nearest even. */
typedef void (*aiteri_widen_fn)(float *dst, const void *src, int64_t n);
typedef void (*aiteri_narrow_fn)(void *dst, const float *src, int64_t n);

/* Which keys the lanes of a tile see: lane i sees j if j < sink[i] or lo[i] <= j < hi[i]. */
typedef struct aiteri_lane_mask {
    int32_t lo[AITERI_MAX_LANES], hi[AITERI_MAX_LANES], sink[AITERI_MAX_LANES];
    int32_t most_sink; /* of any lane */
} aiteri_lane_mask;

/* What happens to scores before a program takes them, in this order; all optional. Of a tile there
 * is a slope, a position and a range for each lane, of a row of scores one. */
typedef struct aiteri_adjust {
    float factor;                  /* of the scores as they come; a power of two */
    const aiteri_softcap *softcap; /* NULL: off */
    const float *bias;             /* of each score, or NULL; -infinity hides */
    const float *slope, *position; /* ALiBi slope and i + delta; NULL: off */
    const aiteri_lane_mask *mask;  /* NULL: every key is seen */
} aiteri_adjust;

/* s[r * s_stride + i] = q_r . key_i for r < rows, i < n. q is f32 padded with zeros to a multiple
 * of 16. Writes up to AITERI_STREAM_SLACK - 1 scores past i = n - 1; keys[] and ahead[] have as
 * many readable pointers. ahead[i] is a row's worth of memory to bring nearer while key i is worked
 * on.
 */
typedef void (*aiteri_dot_fn)(float *s, int64_t s_stride, const float *q, int64_t q_stride,
                              int32_t rows, int32_t dim, const void *const *keys, int32_t n,
                              const void *const *ahead);
/* o[r * o_stride + d] += sum_i p[r * p_stride + i] * value_i[d], i ascending. o is padded to a
 * multiple of 16. */
typedef void (*aiteri_axpy_fn)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                               int32_t rows, int32_t dim, const void *const *values, int32_t n,
                               const void *const *ahead);

/* What a kernel set needs of the CPU; AVX2 with FMA and F16C, AVX-512 with F, BW, DQ, VL, CD. */
enum {
    AITERI_CPU_AVX2 = 1,
    AITERI_CPU_AVX512 = 2,
    AITERI_CPU_AVX512_BF16 = 4,
    AITERI_CPU_NEON = 8
};

/* K or V rows on their way into a block. */
typedef struct aiteri_block_rows {
    const void *const *row; /* NULL: a key that is not there, zeros */
    int32_t n, dim;
    int32_t column, width; /* they are columns from `column` on of rows of `width` */
    aiter_dtype dtype;
    int64_t stride_dim;
    const float *scale; /* of each row, ceil(dim / group) of them; NULL: none */
    int32_t group;      /* columns under one scale */
} aiteri_block_rows;

/* n keys of a block from `place` on, with the first dim elements of rows that were loaded as
 * row_dim elements. */
typedef struct aiteri_block_run {
    const void *block;
    int32_t place, n, dim, row_dim;
} aiteri_block_run;

/* n rows of codes to rows of a wider type in dst, `stride` bytes apart, where rows[] then points.
 */
typedef void (*aiteri_spread_fn)(char *dst, int64_t stride, const void **rows, int32_t n,
                                 int32_t dim);

/* What they become: every code of theirs is one of its numbers. */
static inline aiter_dtype aiteri_spread_type(aiter_dtype dtype)
{
    return dtype == AITER_I4 ? AITER_I8 : AITER_F16;
}

struct aiteri_kernels;
/* Rows to places of a block from `place` on. */
typedef void (*aiteri_load_fn)(const struct aiteri_kernels *own, void *block, int32_t place,
                               const aiteri_block_rows *rows);

/* A set owns the format of its blocks of queries, K and V: the engine gives the bytes and says
 * which place of a block a key has, 0 to AITERI_TILE_KEYS - 1. `vectors` is how many of a tile's
 * vectors have query rows, the first ones: the others need not be worked on. */
typedef struct aiteri_kernels {
    const char *name;
    aiter_isa isa;
    uint32_t needs;                     /* AITERI_CPU_ bits */
    const struct aiteri_kernels *below; /* whose kernels serve where this set cannot; NULL: none */
    /* Whether the set serves a problem; NULL: every one. */
    int (*takes)(const aiteri_problem *p, int exact_arithmetic);
    int32_t lanes;      /* floats per vector */
    int32_t tile_lanes; /* query rows per tile */

    int v_in_k; /* whether the value kernels read the first columns of a K block as V */
    size_t (*query_bytes)(int32_t dim, int32_t tile_lanes);
    size_t (*k_bytes)(int32_t dim);
    size_t (*v_bytes)(int32_t dim);
    aiteri_load_fn load_k, load_v;
    /* tile_lanes rows of queries, [tile_lanes][row_stride], times scale. */
    void (*pack_query)(void *q, const float *rows, int64_t row_stride, int32_t dim, float scale);
    /* st[j][lane] = k_j . q_lane. Up to AITERI_TILE_SLACK rows of the block behind the run are
     * read, and as many of st written; so are columns of V and ot. */
    void (*tile_score)(float *st, const aiteri_block_run *keys, const void *q, int32_t vectors);
    /* ot[d][lane] += sum_j v_j[d] * st[j][lane], j ascending; st may be lost. */
    void (*tile_value)(float *ot, const aiteri_block_run *values, float *st, int32_t vectors);
    /* The same, touching only lanes that see the key (key0 is the first), or, with scores, whose
     * score was not -infinity: for blocks where a V row that is not finite may be hidden. */
    void (*tile_value_guarded)(float *ot, const aiteri_block_run *values, int32_t key0, float *st,
                               const aiteri_lane_mask *mask, const float *scores, int32_t vectors);
    /* 1 if all values are finite. */
    int (*v_finite)(const aiteri_block_run *values);

    /* Softcap, bias, ALiBi and mask on st, for keys key0 .. key0 + n - 1. */
    void (*tile_adjust)(float *st, int32_t key0, int32_t n, const aiteri_adjust *adjust,
                        int32_t vectors);
    /* st becomes exp(stretch * (st - m)) in AITERI_TILE_UNIT; m, l and ot follow the online
     * softmax, each lane for itself. */
    void (*tile_softmax)(float *st, int32_t n, float stretch, float *m, float *l, float *ot,
                         int32_t dim_v, int32_t vectors);
    /* rows[lane][d] = ot[d][tile_lanes]. */
    void (*tile_unpack)(float *rows, int64_t row_stride, const float *ot, int32_t dim);

    /* Both or neither of a type, f32 always: rows of the other types are widened first. */
    const aiteri_dot_fn *stream_dot;
    const aiteri_axpy_fn *stream_axpy;
    /* One row of AITERI_STREAM_KEYS scores, hidden ones -inf: s becomes exp(stretch * (s - m)).
     * Returns the factor for what was accumulated before. */
    float (*stream_softmax)(float *s, float stretch, float *m, float *l);
    /* The same as tile_adjust on one row of AITERI_STREAM_KEYS scores. */
    void (*stream_adjust)(float *s, int32_t key0, const aiteri_adjust *adjust);
    /* Of types without loops whose rows become those of aiteri_spread_type; NULL elsewhere. */
    const aiteri_spread_fn *spread_rows;
    /* x[i] *= y[i] for i < AITERI_STREAM_KEYS. */
    void (*stream_mul)(float *x, const float *y);
    /* Pages that are no rows in memory: to[i][c] = from[c][i] for i < n, in pieces of so many
     * bytes, `piece` and `token` apart; to[i][d] = from[d][i] in elements of `size` bytes. */
    void (*pieces_to_rows)(char *to, int64_t to_stride, const char *from, int64_t token,
                           int64_t piece, int32_t pieces, int32_t n, int64_t bytes);
    void (*columns_to_rows)(char *to, int64_t to_stride, const char *from, int64_t from_stride,
                            int32_t dim, int32_t n, int32_t size);
    /* o[d] *= factor; the same, and 0 where the bits of the magnitude are not above `least`;
     * o[d] += factor * x[d]; dim up to the padded width. */
    void (*row_scale)(float *o, int32_t dim, float factor);
    void (*row_finish)(float *o, int32_t dim, float factor, int32_t least);
    void (*row_add_scaled)(float *o, const float *x, int32_t dim, float factor);
    /* o[i] /= divisor, rounded to nearest even. */
    void (*row_divide)(float *o, int32_t n, float divisor);
    /* max |x| over n elements; NaN if one of them is. */
    float (*row_amax)(const float *x, int32_t n);
    /* y[i] = x[i] * c[i] + partner[i] * s[i] over n elements, each step rounded: no fma. */
    void (*row_turn)(float *y, const float *x, const float *partner, const float *c, const float *s,
                     int32_t n);

    /* NULL where the tier has no loop for the type. */
    const aiteri_widen_fn *widen;
    const aiteri_narrow_fn *narrow;
} aiteri_kernels;

/* The entries of a set in the struct's order: what blocks are and who fills them (of f32 blocks),
 * who computes on them, and the rest. Each is of(entry): a relative of a set names that set where
 * it takes what is there, and itself where it overwrites. */
#define AITERI_F32_FORMAT                                                                       \
    1, aiteri_f32_query_bytes, aiteri_f32_block_bytes, aiteri_f32_block_bytes, aiteri_f32_load, \
        aiteri_f32_load
#if AITERI_ATTENTION
#define AITERI_BLOCK_ENTRIES(of) \
    of(pack_query), of(tile_score), of(tile_value), of(tile_value_guarded), of(v_finite)
#define AITERI_LOOP_ENTRIES(of)                                                          \
    of(tile_adjust), of(tile_softmax), of(tile_unpack), of(stream_dot), of(stream_axpy), \
        of(stream_softmax), of(stream_adjust), of(spread_rows), of(stream_mul),          \
        of(pieces_to_rows), of(columns_to_rows)
#else /* no op calls them */
#define AITERI_BLOCK_ENTRIES(of) NULL, NULL, NULL, NULL, NULL
#define AITERI_LOOP_ENTRIES(of)  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
#endif
#if AITERI_HAS_ROPE
#define AITERI_ROPE_ENTRIES(of) of(row_turn)
#else
#define AITERI_ROPE_ENTRIES(of) NULL
#endif
#define AITERI_OTHER_ENTRIES(of)                                                                \
    AITERI_LOOP_ENTRIES(of), of(row_scale), of(row_finish), of(row_add_scaled), of(row_divide), \
        of(row_amax), AITERI_ROPE_ENTRIES(of), of(widen), of(narrow)

#endif /* AITERI_KERNEL_TABLE_H */
