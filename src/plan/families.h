/* families.h -- the two families of loops of the CPU, as the planner knows them: the sizes that
 * their blocks have and the features that each takes. cpu/kernel_table.h says what they do. */
#ifndef AITERI_FAMILIES_H
#define AITERI_FAMILIES_H

#include "features.c"

enum {
    AITERI_TILE_KEYS = 96, /* keys per block of the tile family, counted from key 0 */
    AITERI_TILE_SLACK = 7, /* tile kernels work on groups of 8 keys or columns at most, whole */
    AITERI_TILE_ROOM = AITERI_TILE_KEYS + AITERI_TILE_SLACK,
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
#define AITERI_TILE_TAKES                                                                          \
    (AITERI_BIT(PROGRAM) | AITERI_BIT(CAUSAL) | AITERI_BIT(TOP_LEFT) | AITERI_BIT(WINDOW) |        \
     AITERI_BIT(WINDOW_SINKS) | AITERI_BIT(SOFTCAP) | AITERI_BIT(ALIBI) | AITERI_BIT(BIAS) |       \
     AITERI_BIT(VISIBLE) | AITERI_BIT(Q_SCALE) | AITERI_BIT(Q_SCALES) | AITERI_BIT(OUT_SCALE) |    \
     AITERI_BIT(SINKS) | AITERI_BIT(LSE) | AITERI_BIT(DENSE_KEYS) | AITERI_BIT(PACKED_KEYS) |      \
     AITERI_BIT(PAGED_KEYS) | AITERI_BIT(PAGE_LISTS) | AITERI_BIT(HOLES) | AITERI_BIT(TWO_PARTS) | \
     AITERI_BIT(SEGMENTS) | AITERI_BIT(PART_TYPES) | AITERI_BIT(PACKED_ROWS) |                     \
     AITERI_BIT(USED_ROWS) | AITERI_BIT(USED_KEYS) | AITERI_BIT(SCALE_TENSOR) |                    \
     AITERI_BIT(SCALE_HEAD) | AITERI_BIT(SCALE_TOKEN) | AITERI_BIT(SCALE_BLOCK) |                  \
     AITERI_BIT(SCALE_GROUP) | AITERI_BIT(SCALE_CHANNEL) | AITERI_BIT(SCALE_TYPE) |                \
     AITERI_BIT(STRIDED_DIM) | AITERI_BIT(TILES) | AITERI_BIT(OFF_CHUNKS) |                        \
     AITERI_BIT(FAR_TOKENS) | AITERI_BIT(FAR_SCALE) | AITERI_BIT(V_DIM) | AITERI_BIT(KV_TYPES))
/* Streams read rows where they lie, so there must be one, and are softmax attention alone. */
#define AITERI_STREAM_TAKES (AITERI_TILE_TAKES & ~(AITERI_BIT(HOLES) | AITERI_BIT(PROGRAM)))

#endif /* AITERI_FAMILIES_H */
