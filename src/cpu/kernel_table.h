/* kernel_table.h -- the contract between the engine and the tile kernels (one set per ISA).
 *
 * Two families serve every softmax attention:
 *   tile    queries in the vector lanes: S^T = K Q^T and O^T = V^T P^T for `tile_lanes` packed
 * query rows at once; K and V rows are the broadcast operand, read where they lie. stream  head_dim
 * in the lanes: few query rows, every K and V row loaded once for all of them. In both a row's
 * result depends on its own query and keys alone, never on its neighbours, and a masked key leaves
 * no trace: each row of arithmetic is the same instruction sequence whatever the rows beside it.
 * Scores are in natural-logarithm units, but for a power of two that the softmax is told of. */
#ifndef AITERI_KERNEL_TABLE_H
#define AITERI_KERNEL_TABLE_H

#include "../api_types.h"
#include "../base/arena.c"
#include "../plan/features.c"
#include "score_rule.h"

enum {
    AITERI_TILE_KEYS = 96,   /* keys per block of the tile family, counted from key 0 */
    AITERI_STREAM_KEYS = 32, /* keys per block of the stream family, counted from key 0 */
    AITERI_STREAM_SLACK = 4, /* the stream kernels may write this far past a row of scores */
    AITERI_PAD = 16, /* rows in scratch are padded to it: whole vectors are read and written */
    AITERI_MAX_LANES = 48, /* the largest tile_lanes */
    AITERI_MAX_HEAD_DIM = 576
};

/* The weights of the tile family are exp(score - m) times the unit, so that none exceeds 1 while m
 * waits for the row's maximum to outgrow it; 2^LEAST times the unit is the smallest normal float.
 */
#define AITERI_TILE_UNIT  0.125f
#define AITERI_TILE_LEAST (-123.0f)

/* The features that each family takes. */
#define AITERI_TILE_TAKES                                                                        \
    (AITERI_BIT(CAUSAL) | AITERI_BIT(TOP_LEFT) | AITERI_BIT(WINDOW) | AITERI_BIT(WINDOW_SINKS) | \
     AITERI_BIT(SOFTCAP) | AITERI_BIT(ALIBI) | AITERI_BIT(BIAS) | AITERI_BIT(VISIBLE) |          \
     AITERI_BIT(Q_SCALE) | AITERI_BIT(OUT_SCALE) | AITERI_BIT(SINKS) | AITERI_BIT(LSE) |         \
     AITERI_BIT(DENSE_KEYS) | AITERI_BIT(PACKED_KEYS) | AITERI_BIT(PAGED_KEYS) |                 \
     AITERI_BIT(PAGE_LISTS) | AITERI_BIT(HOLES) | AITERI_BIT(TWO_PARTS) |                        \
     AITERI_BIT(PACKED_ROWS) | AITERI_BIT(USED_ROWS) | AITERI_BIT(USED_KEYS) |                   \
     AITERI_BIT(SCALE_TENSOR) | AITERI_BIT(SCALE_HEAD) | AITERI_BIT(SCALE_TOKEN) |               \
     AITERI_BIT(STRIDED_DIM) | AITERI_BIT(OFF_CHUNKS) | AITERI_BIT(FAR_TOKENS) |                 \
     AITERI_BIT(FAR_SCALE) | AITERI_BIT(V_DIM) | AITERI_BIT(KV_TYPES))
/* Streams read rows where they lie, so there must be one. */
#define AITERI_STREAM_TAKES (AITERI_TILE_TAKES & ~AITERI_BIT(HOLES))

/* n contiguous elements of a storage type to f32, and back with rounding to nearest even. */
typedef void (*aiteri_widen_fn)(float *dst, const void *src, int64_t n);
typedef void (*aiteri_narrow_fn)(void *dst, const float *src, int64_t n);

/* Which keys the lanes of a tile see: lane i sees j if j < sink[i] or lo[i] <= j < hi[i]. */
typedef struct aiteri_lane_mask {
    int32_t lo[AITERI_MAX_LANES], hi[AITERI_MAX_LANES], sink[AITERI_MAX_LANES];
    int32_t most_sink; /* of any lane */
} aiteri_lane_mask;

/* What happens to a block of scores before the softmax; all optional. */
typedef struct aiteri_tile_adjust {
    float factor;                  /* of the scores as they come; a power of two */
    const aiteri_softcap *softcap; /* NULL: off */
    const float *bias;             /* [keys][tile_lanes], or NULL; -infinity hides */
    const float *slope, *position; /* per lane: ALiBi slope and i + delta; NULL: off */
    const aiteri_lane_mask *mask;  /* NULL: every lane sees every key of the block */
} aiteri_tile_adjust;

/* s[r * s_stride + i] = q_r . key_i for r < rows, i < n. q is f32 padded with zeros to a multiple
 * of
 * 16. Writes up to AITERI_STREAM_SLACK - 1 scores past i = n - 1; keys[] and ahead[] have as many
 * readable pointers. ahead[i] is a row's worth of memory to bring nearer while key i is worked on.
 */
typedef void (*aiteri_dot_fn)(float *s, int64_t s_stride, const float *q, int64_t q_stride,
                              int32_t rows, int32_t dim, const void *const *keys, int32_t n,
                              const void *const *ahead);
/* o[r * o_stride + d] += sum_i p[r * p_stride + i] * value_i[d], i ascending. o is padded to a
 * multiple of 16. */
typedef void (*aiteri_axpy_fn)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                               int32_t rows, int32_t dim, const void *const *values, int32_t n,
                               const void *const *ahead);

typedef struct aiteri_kernels {
    const char *name;
    aiter_isa isa;
    int32_t lanes;      /* floats per vector */
    int32_t tile_lanes; /* query rows per tile */

    /* NULL where the tier has no loop for the type. */
    const aiteri_widen_fn *widen;
    const aiteri_narrow_fn *narrow;

    /* qt[d][tile_lanes] = scale * rows[lane][d] for lane < tile_lanes; rows is
     * [tile_lanes][row_stride]. */
    void (*tile_pack)(float *qt, const float *rows, int64_t row_stride, int32_t dim, float scale);
    /* rows[lane][d] = ot[d][tile_lanes]. */
    void (*tile_unpack)(float *rows, int64_t row_stride, const float *ot, int32_t dim);
    /* st[j][lane] = k_j . q_lane for j < n. */
    void (*tile_score)(float *st, const float *k, int64_t k_stride, int32_t n, int32_t dim,
                       const float *qt);
    /* Softcap, bias, ALiBi and mask on st, for keys key0 .. key0 + n - 1. */
    void (*tile_adjust)(float *st, int32_t key0, int32_t n, const aiteri_tile_adjust *adjust);
    /* st becomes exp(stretch * (st - m)) in AITERI_TILE_UNIT; m, l and ot follow the online
     * softmax, each lane for itself. */
    void (*tile_softmax)(float *st, int32_t n, float stretch, float *m, float *l, float *ot,
                         int32_t dim_v);
    /* ot[d][lane] += sum_j v_j[d] * st[j][lane], j ascending. */
    void (*tile_value)(float *ot, const float *v, int64_t v_stride, int32_t n, int32_t dim_v,
                       const float *st);
    /* The same, touching only lanes that see the key, or, with scores, whose score was not
     * -infinity: for blocks where a V row that is not finite may be hidden. */
    void (*tile_value_guarded)(float *ot, const float *v, int64_t v_stride, int32_t key0, int32_t n,
                               int32_t dim_v, const float *st, const aiteri_lane_mask *mask,
                               const float *scores);
    /* 1 if all of rows[n][dim] are finite. */
    int (*all_finite)(const float *rows, int64_t stride, int32_t n, int32_t dim);

    /* Both or neither of a type, f32 always: rows of the other types are widened first. */
    aiteri_dot_fn stream_dot[AITER_DTYPE_COUNT];
    aiteri_axpy_fn stream_axpy[AITER_DTYPE_COUNT];
    /* One row of AITERI_STREAM_KEYS scores, hidden ones -inf: s becomes exp(stretch * (s - m)).
     * Returns the factor for what was accumulated before. */
    float (*stream_softmax)(float *s, float stretch, float *m, float *l);
    /* The softcap on s[i] for i < AITERI_STREAM_KEYS. */
    void (*stream_softcap)(float *s, const aiteri_softcap *softcap);
    /* o[d] *= factor; the same, and 0 where the bits of the magnitude are not above `least`;
     * o[d] += factor * x[d]; dim up to the padded width. */
    void (*row_scale)(float *o, int32_t dim, float factor);
    void (*row_finish)(float *o, int32_t dim, float factor, int32_t least);
    void (*row_add_scaled)(float *o, const float *x, int32_t dim, float factor);
    /* x[i] *= y[i] for i < AITERI_STREAM_KEYS. */
    void (*stream_mul)(float *x, const float *y);
    /* max |x| over n elements. */
    float (*row_amax)(const float *x, int32_t n);
} aiteri_kernels;

#endif /* AITERI_KERNEL_TABLE_H */
