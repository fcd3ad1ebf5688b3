/* rope.c -- how a row turns by the angles of its token's positions: for every op that does so. */
#ifndef AITERI_ROPE_C
#define AITERI_ROPE_C

#include "../api_parts.h"
#include "block_f32.c"

/* A checked aiter_rope, laid out by the elements that turn. */
typedef struct aiteri_rope {
    const aiteri_kernels *kernels;
    aiter_tensor cos, sin; /* strides filled */
    aiter_rope_pairing pairing;
    int32_t dim, span; /* elements that turn; how many are paired among themselves */
    int32_t start;     /* the first of them in a row */
    int32_t axes;      /* positions of a token */
    struct {
        uint16_t column; /* of the tables */
        uint8_t axis;    /* whose position turns it */
        uint8_t second;  /* of its pair */
    } element[AITERI_MAX_HEAD_DIM];
} aiteri_rope;

/* Of each element that turns; the sine of a pair's first is negated. */
typedef struct aiteri_rope_angles {
    float cos[AITERI_MAX_HEAD_DIM], sin[AITERI_MAX_HEAD_DIM];
} aiteri_rope_angles;

static int32_t aiteri_rope_axes(aiter_rope_kind kind)
{
    return kind == AITER_ROPE_ONE ? 1 : kind == AITER_ROPE_2D ? 2 : 3;
}

static int32_t aiteri_rope_axis(const aiter_rope *r, int32_t dim, int32_t pair)
{
    const int32_t third = pair % 3;
    switch (r->kind) {
    case AITER_ROPE_2D: return pair >= dim / 4;
    case AITER_ROPE_MULTI:
        return (pair >= r->sections[0]) + (pair >= r->sections[0] + r->sections[1]);
    case AITER_ROPE_MULTI_INTERLEAVED: return pair < 3 * r->sections[third] ? third : 0;
    default: return 0;
    }
}

/* Lays out `dim` elements of rows of `row_dim`. */
static aiteri_rope aiteri_rope_of(const aiteri_kernels *kernels, const aiter_rope *r, int32_t dim,
                                  int32_t row_dim)
{
    aiteri_rope x;
    memset(&x, 0, sizeof x);
    x.kernels = kernels;
    x.cos = r->cos;
    x.sin = r->sin;
    x.pairing = r->pairing;
    x.dim = dim;
    x.span = r->kind == AITER_ROPE_2D ? dim / 2 : dim;
    x.start = r->nope_first ? row_dim - dim : 0;
    x.axes = aiteri_rope_axes(r->kind);
    for (int32_t i = 0; i < dim; i++) {
        const int32_t at = i % x.span, half = x.span / 2;
        const int32_t second = x.pairing == AITER_ROPE_GPTJ ? at % 2 : at >= half;
        const int32_t pair =
            i / x.span * half + (x.pairing == AITER_ROPE_GPTJ ? at / 2 : at % half);
        x.element[i].column = (uint16_t)(x.cos.shape[1] == dim ? i : pair);
        x.element[i].axis = (uint8_t)aiteri_rope_axis(r, dim, pair);
        x.element[i].second = (uint8_t)second;
    }
    return x;
}

static const char *aiteri_rope_row_at(const aiter_tensor *table, int64_t position)
{
    return (const char *)table->data + aiteri_bytes_of(table->dtype, position * table->stride[0]);
}

/* The angles of a token at positions [axes]. */
static void aiteri_rope_angles_at(const aiteri_rope *r, const int64_t *position,
                                  aiteri_rope_angles *out)
{
    float c[AITERI_MAX_HEAD_DIM], s[AITERI_MAX_HEAD_DIM];
    const int32_t columns = (int32_t)r->cos.shape[1];
    for (int32_t axis = 0; axis < r->axes; axis++) {
        aiteri_gather_row(r->kernels, c, aiteri_rope_row_at(&r->cos, position[axis]), r->cos.dtype,
                          r->cos.stride[1], columns);
        aiteri_gather_row(r->kernels, s, aiteri_rope_row_at(&r->sin, position[axis]), r->sin.dtype,
                          r->sin.stride[1], columns);
        for (int32_t i = 0; i < r->dim; i++) {
            if (r->element[i].axis != axis) continue;
            const int32_t column = r->element[i].column;
            out->cos[i] = c[column];
            out->sin[i] = r->element[i].second ? s[column] : -s[column];
        }
    }
}

/* The dim elements at x turned to y, another row; nothing behind them is touched. */
static void aiteri_rope_turn(const aiteri_rope *r, float *y, const float *x,
                             const aiteri_rope_angles *angles)
{
    const float *c = angles->cos, *s = angles->sin;
    const int32_t half = r->span / 2, dim = r->dim;
    if (r->pairing == AITER_ROPE_GPTJ) {
        float partner[AITERI_MAX_HEAD_DIM];
        for (int32_t d = 0; d < dim; d += 2) {
            uint64_t pair;
            memcpy(&pair, x + d, sizeof pair);
            pair = pair << 32 | pair >> 32;
            memcpy(partner + d, &pair, sizeof pair);
        }
        r->kernels->row_turn(y, x, partner, c, s, dim);
        return;
    }
    for (int32_t d = 0; d < dim; d += r->span) {
        r->kernels->row_turn(y + d, x + d, x + d + half, c + d, s + d, half);
        r->kernels->row_turn(y + d + half, x + d + half, x + d, c + d + half, s + d + half, half);
    }
}

#endif /* AITERI_ROPE_C */
