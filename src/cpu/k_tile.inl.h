/* k_tile.inl.h -- queries in the lanes: S^T = K Q^T, online softmax, O^T += V^T P^T.
 *
 * A tile is AITERI_TILE_VECTORS vectors of query rows. K and V rows are the broadcast operand, so
 * neither is packed or transposed, and max, sum and rescale are lane-wise. A
 * group of rows of K (columns of V) shares each load of the tile: rows x vectors accumulators fill
 * the register file: AVX-512 8 x 3 of 32, AVX2 4 x 3 of 16, NEON 6 x 4 of 32. Every (row, lane) has
 * one accumulator that adds its products in ascending order, so the grouping of rows cannot be seen
 * in the bits. The last group is worked on whole: what lies behind the end is read and written, and
 * used by nobody. */

#define AITERI_TILE_LANES (AITERI_TILE_VECTORS * AITERI_LANES)
#define AITERI_TILE_MOST  (AITERI_TILE_VECTORS * AITERI_TILE_ROWS)
#define AITERI_TILE_GROUP(vectors) \
    ((vectors) == AITERI_TILE_VECTORS ? AITERI_TILE_ROWS : AITERI_NARROW_ROWS)
/* Elements of head_dim whose queries stay in the first cache while all keys of a block pass. */
#define AITERI_TILE_CHUNK (6144 / AITERI_TILE_LANES)

static void AITERI_K(pack_query)(void *q, const float *rows, int64_t row_stride, int32_t dim,
                                 float scale)
{
    float *qt = (float *)q; /* [dim][AITERI_TILE_LANES] */
    const int32_t whole = dim / AITERI_LANES * AITERI_LANES;
    for (int32_t lane = 0; lane < AITERI_TILE_LANES; lane += AITERI_LANES)
        for (int32_t d = 0; d < whole; d += AITERI_LANES)
            AITERI_K(transpose)(rows + lane * row_stride + d, row_stride,
                                qt + d * AITERI_TILE_LANES + lane, AITERI_TILE_LANES);
    for (int32_t d = whole; d < dim; d++)
        for (int32_t lane = 0; lane < AITERI_TILE_LANES; lane++)
            qt[d * AITERI_TILE_LANES + lane] = rows[lane * row_stride + d];
    const AITERI_K(vf) factor = AITERI_K(set1)(scale);
    for (int32_t i = 0; i < dim * AITERI_TILE_LANES; i += AITERI_LANES)
        AITERI_K(store)(qt + i, AITERI_K(mul)(AITERI_K(load)(qt + i), factor));
}

static void AITERI_K(tile_unpack)(float *rows, int64_t row_stride, const float *ot, int32_t dim)
{
    const int32_t whole = dim / AITERI_LANES * AITERI_LANES;
    for (int32_t lane = 0; lane < AITERI_TILE_LANES; lane += AITERI_LANES)
        for (int32_t d = 0; d < whole; d += AITERI_LANES)
            AITERI_K(transpose)(ot + d * AITERI_TILE_LANES + lane, AITERI_TILE_LANES,
                                rows + lane * row_stride + d, row_stride);
    for (int32_t lane = 0; lane < AITERI_TILE_LANES; lane++) {
        float *row = rows + lane * row_stride;
        for (int32_t d = whole; d < dim; d++) row[d] = ot[d * AITERI_TILE_LANES + lane];
    }
}

/* One group of K rows against the first `vectors` of the tile, added to `from`, the sums of the
 * chunks before; `vectors` and `count` are constants where it is inlined. */
AITERI_FORCE_INLINE void AITERI_K(score_rows)(float *AITERI_RESTRICT st, const float *from,
                                              const float *AITERI_RESTRICT k, int64_t k_stride,
                                              int32_t dim, const float *AITERI_RESTRICT qt,
                                              const int vectors, const int count)
{
    AITERI_K(vf) acc[AITERI_TILE_MOST];
    const float *row[AITERI_TILE_MOST];
    AITERI_UNROLL(16)
    for (int i = 0; i < count; i++) {
        row[i] = k + i * k_stride;
        if (vectors == AITERI_TILE_VECTORS) AITERI_OPAQUE(row[i]);
        AITERI_UNROLL(16)
        for (int c = 0; c < vectors; c++)
            acc[i * vectors + c] = AITERI_K(load)(from + i * AITERI_TILE_LANES + c * AITERI_LANES);
    }
    AITERI_UNROLL_SOME(AITERI_TILE_STEPS)
    for (int64_t d = 0; d < dim; d++, qt += AITERI_TILE_LANES) {
        AITERI_K(vf) q[AITERI_TILE_VECTORS];
        AITERI_UNROLL(16)
        for (int c = 0; c < vectors; c++) q[c] = AITERI_K(load)(qt + c * AITERI_LANES);
        AITERI_UNROLL(16)
        for (int i = 0; i < count; i++) {
            const AITERI_K(vf) x = AITERI_K(set1)(row[i][d]);
            AITERI_UNROLL(16)
            for (int c = 0; c < vectors; c++)
                acc[i * vectors + c] = AITERI_K(fma)(x, q[c], acc[i * vectors + c]);
            if (vectors == AITERI_TILE_VECTORS)
                AITERI_TILE_NEXT(row[(i + 1) % count], (acc + i * vectors));
        }
        if (vectors == AITERI_TILE_VECTORS) AITERI_TILE_NEXT(qt, (acc + (count - 1) * vectors));
    }
    AITERI_UNROLL(16)
    for (int i = 0; i < count; i++) AITERI_UNROLL(16)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(st + i * AITERI_TILE_LANES + c * AITERI_LANES, acc[i * vectors + c]);
}

AITERI_FORCE_INLINE void AITERI_K(score_run)(float *st, const aiteri_block_run *keys,
                                             const float *qt, const int vectors)
{
    static const float zeros[AITERI_TILE_MOST * AITERI_TILE_LANES] = {0};
    const int rows = AITERI_TILE_GROUP(vectors);
    const int64_t k_stride = aiteri_block_stride(keys->row_dim);
    const int32_t n = keys->n, dim = keys->dim;
    const float *k = (const float *)keys->block + keys->place * k_stride;
    for (int32_t d = 0; d < dim; d += AITERI_TILE_CHUNK) {
        const int32_t width = (int32_t)aiteri_min(dim - d, AITERI_TILE_CHUNK);
        const float *q = qt + d * AITERI_TILE_LANES;
        for (int32_t j = 0; j < n; j += rows) {
            float *to = st + j * AITERI_TILE_LANES;
            AITERI_K(score_rows)
            (to, d ? to : zeros, k + j * k_stride + d, k_stride, width, q, vectors, rows);
        }
    }
}

/* A tile with rows in a few vectors is worked on as a narrow one. */
#if AITERI_NARROW_VECTORS
#define AITERI_BY_VECTORS(call)           \
    if (vectors <= AITERI_NARROW_VECTORS) \
        call(AITERI_NARROW_VECTORS);      \
    else                                  \
        call(AITERI_TILE_VECTORS);
#else
#define AITERI_BY_VECTORS(call) \
    (void)vectors;              \
    call(AITERI_TILE_VECTORS);
#endif

static void AITERI_K(tile_score)(float *st, const aiteri_block_run *keys, const void *q,
                                 int32_t vectors)
{
    AITERI_ASSERT(0 <= keys->place && 0 <= keys->n && 0 < keys->dim);
    AITERI_ASSERT(keys->place + keys->n <= AITERI_TILE_KEYS && 0 < vectors);
#define AITERI_SCORE_RUN(v) AITERI_K(score_run)(st, keys, (const float *)q, v)
    AITERI_BY_VECTORS(AITERI_SCORE_RUN)
#undef AITERI_SCORE_RUN
}

AITERI_FORCE_INLINE AITERI_K(vi) AITERI_K(load_i)(const int32_t *p)
{
    AITERI_K(vi) x;
    memcpy(&x, p, sizeof x);
    return x;
}

/* Which keys the lanes of one vector see. */
typedef struct AITERI_K(range) {
    AITERI_K(vi) lo, hi, sink;
    int32_t most_sink;
} AITERI_K(range);

AITERI_FORCE_INLINE AITERI_K(range) AITERI_K(range_of)(const aiteri_lane_mask *mask, int c)
{
    AITERI_K(range) range;
    range.lo = AITERI_K(load_i)(mask->lo + c * AITERI_LANES);
    range.hi = AITERI_K(load_i)(mask->hi + c * AITERI_LANES);
    range.sink = AITERI_K(load_i)(mask->sink + c * AITERI_LANES);
    range.most_sink = mask->most_sink;
    return range;
}

/* The lanes that see their key, the first of which is j. */
AITERI_FORCE_INLINE AITERI_K(vm)
    AITERI_K(visible)(const AITERI_K(range) * range, AITERI_K(vi) key, int32_t j)
{
    const AITERI_K(vm) before_end = AITERI_K(lt_i)(key, range->hi);
    const AITERI_K(vm) inside =
        AITERI_K(and_m)(before_end, AITERI_K(not_m)(AITERI_K(lt_i)(key, range->lo)));
    if (j >= range->most_sink) return inside;
    return AITERI_K(or_m)(inside, AITERI_K(lt_i)(key, range->sink));
}

/* One vector of scores, from the one at `at` on, through all of an aiteri_adjust but the mask. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(adjusted)(AITERI_K(vf) x, const aiteri_adjust *adjust, int32_t at, AITERI_K(vf) slope,
                       AITERI_K(vf) position, AITERI_K(vf) key)
{
    const AITERI_K(vf) hidden = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    if (adjust->factor != 1.0f) x = AITERI_K(mul)(x, AITERI_K(set1)(adjust->factor));
    if (adjust->softcap) x = AITERI_K(capped)(x, adjust->softcap);
    if (adjust->bias) { /* -infinity hides the key, whatever its score */
        const AITERI_K(vf) b = AITERI_K(load)(adjust->bias + at);
        const AITERI_K(vm) hides = AITERI_K(eq_i)(AITERI_K(as_i)(b), AITERI_K(as_i)(hidden));
        x = AITERI_K(select)(hides, hidden, AITERI_K(add)(x, b));
    }
    if (adjust->slope) {
        const AITERI_K(vf) distance = AITERI_K(abs)(AITERI_K(sub)(position, key));
        x = AITERI_K(sub)(x, AITERI_K(mul)(slope, distance));
    }
    return x;
}

static void AITERI_K(tile_adjust)(float *st, int32_t key0, int32_t n, const aiteri_adjust *adjust,
                                  int32_t vectors)
{
    const AITERI_K(vf) hidden = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    const int masked = adjust->mask != NULL; /* most often alone */
    const int more = adjust->factor != 1.0f || adjust->softcap || adjust->bias || adjust->slope;
    for (int c = 0; c < vectors; c++) {
        AITERI_K(vf) slope = AITERI_K(zero)(), position = AITERI_K(zero)();
        AITERI_K(range) range;
        memset(&range, 0, sizeof range);
        if (adjust->mask) range = AITERI_K(range_of)(adjust->mask, c);
        if (adjust->slope) {
            slope = AITERI_K(load)(adjust->slope + c * AITERI_LANES);
            position = AITERI_K(load)(adjust->position + c * AITERI_LANES);
        }
        for (int32_t j = 0; j < n; j++) {
            const int32_t at = j * AITERI_TILE_LANES + c * AITERI_LANES, key = key0 + j;
            AITERI_K(vf) x = AITERI_K(load)(st + at);
            if (more)
                x = AITERI_K(adjusted)(x, adjust, at, slope, position, AITERI_K(set1)((float)key));
            if (masked)
                x = AITERI_K(select)(AITERI_K(visible)(&range, AITERI_K(set1_i)(key), key), x,
                                     hidden);
            AITERI_K(store)(st + at, x);
        }
    }
}

static void AITERI_K(stream_adjust)(float *s, int32_t key0, const aiteri_adjust *adjust)
{
    const AITERI_K(vf) hidden = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    AITERI_K(vf) slope = AITERI_K(zero)(), position = AITERI_K(zero)();
    AITERI_K(range) range;
    memset(&range, 0, sizeof range);
    if (adjust->slope) {
        slope = AITERI_K(set1)(adjust->slope[0]);
        position = AITERI_K(set1)(adjust->position[0]);
    }
    if (adjust->mask) {
        range.lo = AITERI_K(set1_i)(adjust->mask->lo[0]);
        range.hi = AITERI_K(set1_i)(adjust->mask->hi[0]);
        range.sink = AITERI_K(set1_i)(adjust->mask->sink[0]);
        range.most_sink = adjust->mask->most_sink;
    }
    for (int32_t i = 0; i < AITERI_STREAM_KEYS; i += AITERI_LANES) {
        const AITERI_K(vi) key = AITERI_K(add_i)(AITERI_K(iota_i)(), AITERI_K(set1_i)(key0 + i));
        AITERI_K(vf)
        x = AITERI_K(adjusted)(AITERI_K(load)(s + i), adjust, i, slope, position,
                               AITERI_K(to_f)(key));
        if (adjust->mask) x = AITERI_K(select)(AITERI_K(visible)(&range, key, key0 + i), x, hidden);
        AITERI_K(store)(s + i, x);
    }
}

/* (x - m) / ln 2 in natural units, which a score has `stretch` of. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(exponent)(AITERI_K(vf) x, AITERI_K(vf) m, const float stretch)
{
    return AITERI_K(mul)(AITERI_K(sub)(x, m), AITERI_K(set1)(1.44269504088896341f * stretch));
}

/* exp(x - m) with 0 for hidden scores; m is finite. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(weight)(AITERI_K(vf) x, AITERI_K(vf) m, const float stretch)
{
    return AITERI_K(exp2)(AITERI_K(exponent)(x, m, stretch));
}

/* The accumulated output is rescaled only in lanes whose maximum grew by more than this (natural
 * units); elsewhere the factor is exactly 1. exp(2.07) < 8, so that weights in AITERI_TILE_UNIT
 * stay at 1 or below, and a sum of values below the sum of their magnitudes. 5.5 is no faster and
 * takes 5 more bits from subnormal values; ln 2 costs 16 % (AVX-512, Sq 2048, D 128). */
#define AITERI_RESCALE_AT 2.07f

/* Raises m where the block's maximum asks for it and rescales l and ot by the lane's own factor. */
AITERI_FORCE_INLINE void AITERI_K(raise_maximum)(AITERI_K(vf) top, float stretch, float *m,
                                                 float *l, float *ot, int32_t dim_v)
{
    const AITERI_K(vf) old = AITERI_K(load)(m);
    const AITERI_K(vm) grew =
        AITERI_K(gt)(top, AITERI_K(add)(old, AITERI_K(set1)(AITERI_RESCALE_AT / stretch)));
    if (!AITERI_K(any)(grew)) return;
    const AITERI_K(vf) raised = AITERI_K(select)(grew, top, old);
    const AITERI_K(vf) factor =
        AITERI_K(select)(grew, AITERI_K(weight)(old, raised, stretch), AITERI_K(set1)(1.0f));
    AITERI_K(store)(m, raised);
    AITERI_K(store)(l, AITERI_K(mul)(AITERI_K(load)(l), factor));
    for (int32_t d = 0; d < dim_v; d++)
        AITERI_K(store)(ot + d * AITERI_TILE_LANES,
                        AITERI_K(mul)(AITERI_K(load)(ot + d * AITERI_TILE_LANES), factor));
}

static void AITERI_K(tile_softmax)(float *st, int32_t n, float stretch, float *m, float *l,
                                   float *ot, int32_t dim_v, int32_t vectors)
{
    const AITERI_K(vf) minus_inf = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    for (int c = 0; c < vectors; c++) {
        float *column = st + c * AITERI_LANES;
        AITERI_K(vf) top = minus_inf;
        for (int32_t j = 0; j < n; j++)
            top = AITERI_K(max)(AITERI_K(load)(column + j * AITERI_TILE_LANES), top);
        AITERI_K(raise_maximum)(top, stretch, m + c * AITERI_LANES, l + c * AITERI_LANES,
                                ot + c * AITERI_LANES, dim_v);
        /* A lane that has seen no key keeps m = -inf; any finite shift gives its zeros. */
        AITERI_K(vf) shift = AITERI_K(load)(m + c * AITERI_LANES);
        shift = AITERI_K(select)(AITERI_K(gt)(shift, minus_inf), shift, AITERI_K(zero)());
        AITERI_K(vf) sum = AITERI_K(load)(l + c * AITERI_LANES);
        for (int32_t j = 0; j < n; j++) {
            const AITERI_K(vf) x = AITERI_K(load)(column + j * AITERI_TILE_LANES);
            const AITERI_K(vf) p = AITERI_K(exp2_unit)(AITERI_K(exponent)(x, shift, stretch),
                                                       AITERI_TILE_UNIT, AITERI_TILE_LEAST);
            sum = AITERI_K(add)(sum, p);
            AITERI_K(store)(column + j * AITERI_TILE_LANES, p);
        }
        AITERI_K(store)(l + c * AITERI_LANES, sum);
    }
}

/* `count` columns of V into their rows of ot. */
AITERI_FORCE_INLINE void AITERI_K(value_columns)(float *AITERI_RESTRICT ot,
                                                 const float *AITERI_RESTRICT v, int64_t v_stride,
                                                 int32_t n, const float *AITERI_RESTRICT st,
                                                 const int vectors, const int count)
{
    AITERI_K(vf) acc[AITERI_TILE_MOST];
    AITERI_UNROLL(16)
    for (int i = 0; i < count; i++) AITERI_UNROLL(16)
    for (int c = 0; c < vectors; c++)
        acc[i * vectors + c] = AITERI_K(load)(ot + i * AITERI_TILE_LANES + c * AITERI_LANES);
    AITERI_UNROLL_SOME(AITERI_TILE_STEPS)
    for (int32_t j = 0; j < n; j++, v += v_stride, st += AITERI_TILE_LANES) {
        AITERI_K(vf) p[AITERI_TILE_VECTORS];
        AITERI_UNROLL(16)
        for (int c = 0; c < vectors; c++) p[c] = AITERI_K(load)(st + c * AITERI_LANES);
        AITERI_UNROLL(16)
        for (int i = 0; i < count; i++) {
            const AITERI_K(vf) x = AITERI_K(set1)(v[i]);
            AITERI_UNROLL(16)
            for (int c = 0; c < vectors; c++)
                acc[i * vectors + c] = AITERI_K(fma)(x, p[c], acc[i * vectors + c]);
            if (vectors == AITERI_TILE_VECTORS) AITERI_TILE_NEXT(v, (acc + i * vectors));
        }
        if (vectors == AITERI_TILE_VECTORS) AITERI_TILE_NEXT(st, (acc + (count - 1) * vectors));
    }
    AITERI_UNROLL(16)
    for (int i = 0; i < count; i++) AITERI_UNROLL(16)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(ot + i * AITERI_TILE_LANES + c * AITERI_LANES, acc[i * vectors + c]);
}

AITERI_FORCE_INLINE void AITERI_K(value_run)(float *ot, const aiteri_block_run *values,
                                             const float *st, const int vectors)
{
    const int64_t v_stride = aiteri_block_stride(values->row_dim);
    const float *v = (const float *)values->block + values->place * v_stride;
    const int32_t n = values->n, dim = values->dim;
    const int rows = AITERI_TILE_GROUP(vectors);
    for (int32_t d = 0; d < dim; d += rows)
        AITERI_K(value_columns)(ot + d * AITERI_TILE_LANES, v + d, v_stride, n, st, vectors, rows);
}

static void AITERI_K(tile_value)(float *ot, const aiteri_block_run *values, float *st,
                                 int32_t vectors)
{
    AITERI_ASSERT(0 <= values->place && 0 < values->n && 0 < values->dim);
    AITERI_ASSERT(values->place + values->n <= AITERI_TILE_KEYS && 0 < vectors);
#define AITERI_VALUE_RUN(v) AITERI_K(value_run)(ot, values, st, v)
    AITERI_BY_VECTORS(AITERI_VALUE_RUN)
#undef AITERI_VALUE_RUN
}

static void AITERI_K(tile_value_guarded)(float *ot, const aiteri_block_run *values, int32_t key0,
                                         float *st, const aiteri_lane_mask *mask,
                                         const float *scores, int32_t vectors)
{
    const int64_t v_stride = aiteri_block_stride(values->row_dim);
    const float *v = (const float *)values->block + values->place * v_stride;
    const AITERI_K(vi) hidden = AITERI_K(set1_i)((int32_t)0xff800000u);
    for (int32_t d = 0; d < values->dim; d++) {
        for (int c = 0; c < vectors; c++) {
            float *at = ot + d * AITERI_TILE_LANES + c * AITERI_LANES;
            AITERI_K(vf) acc = AITERI_K(load)(at);
            const AITERI_K(range) range = AITERI_K(range_of)(mask, c);
            for (int32_t j = 0; j < values->n; j++) {
                const int32_t from = j * AITERI_TILE_LANES + c * AITERI_LANES;
                const AITERI_K(vf) p = AITERI_K(load)(st + from);
                const AITERI_K(vf) sum = AITERI_K(fma)(AITERI_K(set1)(v[j * v_stride + d]), p, acc);
                if (scores) {
                    const AITERI_K(vi) score = AITERI_K(as_i)(AITERI_K(load)(scores + from));
                    acc = AITERI_K(select)(AITERI_K(eq_i)(score, hidden), acc, sum);
                } else {
                    acc = AITERI_K(select)(
                        AITERI_K(visible)(&range, AITERI_K(set1_i)(key0 + j), key0 + j), sum, acc);
                }
            }
            AITERI_K(store)(at, acc);
        }
    }
}

static int AITERI_K(v_finite)(const aiteri_block_run *values)
{
    const int64_t stride = aiteri_block_stride(values->row_dim);
    const float *rows = (const float *)values->block + values->place * stride;
    const int32_t dim = values->dim;
    const AITERI_K(vf) inf = AITERI_K(set1)(aiteri_f32_of_bits(0x7f800000u));
    for (int32_t j = 0; j < values->n; j++) {
        const float *row = rows + j * stride;
        int32_t d = 0;
        for (; d + AITERI_LANES <= dim; d += AITERI_LANES)
            if (!AITERI_K(all)(AITERI_K(lt)(AITERI_K(abs)(AITERI_K(load)(row + d)), inf))) return 0;
        for (; d < dim; d++)
            if ((aiteri_bits_of_f32(row[d]) & 0x7fffffffu) >= 0x7f800000u) return 0;
    }
    return 1;
}
#undef AITERI_BY_VECTORS
