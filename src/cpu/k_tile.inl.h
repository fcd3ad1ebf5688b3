/* k_tile.inl.h -- queries in the lanes: S^T = K Q^T, online softmax, O^T += V^T P^T.
 *
 * A tile is AITERI_TILE_VECTORS vectors of query rows. K and V rows are the broadcast operand, so
 * neither is packed or transposed, and max, sum and rescale are lane-wise. AITERI_TILE_ROWS rows of
 * K (columns of V) share each load of the tile: rows x vectors accumulators fill the register file:
 *     AVX-512 8 x 3 of 32, AVX2 4 x 3 of 16, NEON 6 x 4 of 32.
 * Every (row, lane) has one accumulator that adds its products in ascending order, in the full and
 * in the one-row form alike, so the grouping of rows cannot be seen in the bits. */

#define AITERI_TILE_LANES (AITERI_TILE_VECTORS * AITERI_LANES)

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

/* One group of K rows against the tile; `count` is a constant where it is inlined. */
AITERI_FORCE_INLINE void AITERI_K(score_rows)(float *AITERI_RESTRICT st,
                                              const float *AITERI_RESTRICT k, int64_t k_stride,
                                              int32_t dim, const float *AITERI_RESTRICT qt,
                                              const int count)
{
    AITERI_K(vf) acc[AITERI_TILE_ROWS][AITERI_TILE_VECTORS];
    const float *row[AITERI_TILE_ROWS];
    AITERI_UNROLL(16)
    for (int i = 0; i < count; i++) {
        row[i] = k + i * k_stride;
        AITERI_OPAQUE(row[i]);
        AITERI_UNROLL(16)
        for (int c = 0; c < AITERI_TILE_VECTORS; c++) acc[i][c] = AITERI_K(zero)();
    }
    AITERI_UNROLL_SOME(AITERI_TILE_STEPS)
    for (int64_t d = 0; d < dim; d++, qt += AITERI_TILE_LANES) {
        AITERI_K(vf) q[AITERI_TILE_VECTORS];
        AITERI_UNROLL(16)
        for (int c = 0; c < AITERI_TILE_VECTORS; c++) q[c] = AITERI_K(load)(qt + c * AITERI_LANES);
        AITERI_UNROLL(16)
        for (int i = 0; i < count; i++) {
            const AITERI_K(vf) x = AITERI_K(set1)(row[i][d]);
            AITERI_UNROLL(16)
            for (int c = 0; c < AITERI_TILE_VECTORS; c++)
                acc[i][c] = AITERI_K(fma)(x, q[c], acc[i][c]);
            AITERI_TILE_NEXT(row[(i + 1) % count], acc[i]);
        }
        AITERI_TILE_NEXT(qt, acc[count - 1]);
    }
    AITERI_UNROLL(16)
    for (int i = 0; i < count; i++) AITERI_UNROLL(16)
    for (int c = 0; c < AITERI_TILE_VECTORS; c++)
        AITERI_K(store)(st + i * AITERI_TILE_LANES + c * AITERI_LANES, acc[i][c]);
}

static void AITERI_K(tile_score)(float *st, const void *block, int32_t place, int32_t n,
                                 int32_t dim, const void *q)
{
    AITERI_ASSERT(0 <= place && 0 <= n && place + n <= AITERI_TILE_KEYS && 0 < dim);
    const int64_t k_stride = aiteri_block_stride(dim);
    const float *k = (const float *)block + place * k_stride, *qt = (const float *)q;
    int32_t j = 0;
    for (; j + AITERI_TILE_ROWS <= n; j += AITERI_TILE_ROWS)
        AITERI_K(score_rows)(st + j * AITERI_TILE_LANES, k + j * k_stride, k_stride, dim, qt,
                             AITERI_TILE_ROWS);
    for (; j < n; j++)
        AITERI_K(score_rows)(st + j * AITERI_TILE_LANES, k + j * k_stride, k_stride, dim, qt, 1);
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

/* The lanes that see key j. */
AITERI_FORCE_INLINE AITERI_K(vm) AITERI_K(visible)(const AITERI_K(range) * range, int32_t j)
{
    const AITERI_K(vi) key = AITERI_K(set1_i)(j);
    const AITERI_K(vm) before_end = AITERI_K(lt_i)(key, range->hi);
    const AITERI_K(vm) inside =
        AITERI_K(and_m)(before_end, AITERI_K(not_m)(AITERI_K(lt_i)(key, range->lo)));
    if (j >= range->most_sink) return inside;
    return AITERI_K(or_m)(inside, AITERI_K(lt_i)(key, range->sink));
}

static void AITERI_K(tile_adjust)(float *st, int32_t key0, int32_t n,
                                  const aiteri_tile_adjust *adjust)
{
    const AITERI_K(vf) factor = AITERI_K(set1)(adjust->factor);
    const AITERI_K(vf) hidden = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    for (int c = 0; c < AITERI_TILE_VECTORS; c++) {
        AITERI_K(range) range;
        memset(&range, 0, sizeof range);
        if (adjust->mask) range = AITERI_K(range_of)(adjust->mask, c);
        for (int32_t j = 0; j < n; j++) {
            const int32_t at = j * AITERI_TILE_LANES + c * AITERI_LANES;
            AITERI_K(vf) x = AITERI_K(load)(st + at);
            if (adjust->factor != 1.0f) x = AITERI_K(mul)(x, factor);
            if (adjust->softcap) x = AITERI_K(capped)(x, adjust->softcap);
            if (adjust->bias) { /* -infinity hides the key, whatever its score */
                const AITERI_K(vf) bias = AITERI_K(load)(adjust->bias + at);
                const AITERI_K(vm) hides =
                    AITERI_K(eq_i)(AITERI_K(as_i)(bias), AITERI_K(as_i)(hidden));
                x = AITERI_K(select)(hides, hidden, AITERI_K(add)(x, bias));
            }
            if (adjust->slope) {
                const AITERI_K(vf) distance =
                    AITERI_K(abs)(AITERI_K(sub)(AITERI_K(load)(adjust->position + c * AITERI_LANES),
                                                AITERI_K(set1)((float)(key0 + j))));
                x = AITERI_K(sub)(
                    x, AITERI_K(mul)(AITERI_K(load)(adjust->slope + c * AITERI_LANES), distance));
            }
            if (adjust->mask) x = AITERI_K(select)(AITERI_K(visible)(&range, key0 + j), x, hidden);
            AITERI_K(store)(st + at, x);
        }
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
                                   float *ot, int32_t dim_v)
{
    const AITERI_K(vf) minus_inf = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    for (int c = 0; c < AITERI_TILE_VECTORS; c++) {
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
                                                 const int count)
{
    AITERI_K(vf) acc[AITERI_TILE_ROWS][AITERI_TILE_VECTORS];
    AITERI_UNROLL(16)
    for (int i = 0; i < count; i++) AITERI_UNROLL(16)
    for (int c = 0; c < AITERI_TILE_VECTORS; c++)
        acc[i][c] = AITERI_K(load)(ot + i * AITERI_TILE_LANES + c * AITERI_LANES);
    AITERI_UNROLL_SOME(AITERI_TILE_STEPS)
    for (int32_t j = 0; j < n; j++, v += v_stride, st += AITERI_TILE_LANES) {
        AITERI_K(vf) p[AITERI_TILE_VECTORS];
        AITERI_UNROLL(16)
        for (int c = 0; c < AITERI_TILE_VECTORS; c++) p[c] = AITERI_K(load)(st + c * AITERI_LANES);
        AITERI_UNROLL(16)
        for (int i = 0; i < count; i++) {
            const AITERI_K(vf) x = AITERI_K(set1)(v[i]);
            AITERI_UNROLL(16)
            for (int c = 0; c < AITERI_TILE_VECTORS; c++)
                acc[i][c] = AITERI_K(fma)(x, p[c], acc[i][c]);
            AITERI_TILE_NEXT(v, acc[i]);
        }
        AITERI_TILE_NEXT(st, acc[count - 1]);
    }
    AITERI_UNROLL(16)
    for (int i = 0; i < count; i++) AITERI_UNROLL(16)
    for (int c = 0; c < AITERI_TILE_VECTORS; c++)
        AITERI_K(store)(ot + i * AITERI_TILE_LANES + c * AITERI_LANES, acc[i][c]);
}

static void AITERI_K(tile_value)(float *ot, const void *block, int32_t place, int32_t n,
                                 int32_t dim_v, float *st)
{
    AITERI_ASSERT(0 <= place && 0 < n && place + n <= AITERI_TILE_KEYS && 0 < dim_v);
    const int64_t v_stride = aiteri_block_stride(dim_v);
    const float *v = (const float *)block + place * v_stride;
    int32_t d = 0;
    for (; d + AITERI_TILE_ROWS <= dim_v; d += AITERI_TILE_ROWS)
        AITERI_K(value_columns)(ot + d * AITERI_TILE_LANES, v + d, v_stride, n, st,
                                AITERI_TILE_ROWS);
    for (; d < dim_v; d++)
        AITERI_K(value_columns)(ot + d * AITERI_TILE_LANES, v + d, v_stride, n, st, 1);
}

static void AITERI_K(tile_value_guarded)(float *ot, const void *block, int32_t place, int32_t key0,
                                         int32_t n, int32_t dim_v, float *st,
                                         const aiteri_lane_mask *mask, const float *scores)
{
    const int64_t v_stride = aiteri_block_stride(dim_v);
    const float *v = (const float *)block + place * v_stride;
    const AITERI_K(vi) hidden = AITERI_K(set1_i)((int32_t)0xff800000u);
    for (int32_t d = 0; d < dim_v; d++) {
        for (int c = 0; c < AITERI_TILE_VECTORS; c++) {
            float *at = ot + d * AITERI_TILE_LANES + c * AITERI_LANES;
            AITERI_K(vf) acc = AITERI_K(load)(at);
            const AITERI_K(range) range = AITERI_K(range_of)(mask, c);
            for (int32_t j = 0; j < n; j++) {
                const int32_t from = j * AITERI_TILE_LANES + c * AITERI_LANES;
                const AITERI_K(vf) p = AITERI_K(load)(st + from);
                const AITERI_K(vf) sum = AITERI_K(fma)(AITERI_K(set1)(v[j * v_stride + d]), p, acc);
                if (scores) {
                    const AITERI_K(vi) score = AITERI_K(as_i)(AITERI_K(load)(scores + from));
                    acc = AITERI_K(select)(AITERI_K(eq_i)(score, hidden), acc, sum);
                } else {
                    acc = AITERI_K(select)(AITERI_K(visible)(&range, key0 + j), sum, acc);
                }
            }
            AITERI_K(store)(at, acc);
        }
    }
}

static int AITERI_K(v_finite)(const void *block, int32_t place, int32_t n, int32_t dim)
{
    const int64_t stride = aiteri_block_stride(dim);
    const float *rows = (const float *)block + place * stride;
    const AITERI_K(vf) inf = AITERI_K(set1)(aiteri_f32_of_bits(0x7f800000u));
    for (int32_t j = 0; j < n; j++) {
        const float *row = rows + j * stride;
        int32_t d = 0;
        for (; d + AITERI_LANES <= dim; d += AITERI_LANES)
            if (!AITERI_K(all)(AITERI_K(lt)(AITERI_K(abs)(AITERI_K(load)(row + d)), inf))) return 0;
        for (; d < dim; d++)
            if ((aiteri_bits_of_f32(row[d]) & 0x7fffffffu) >= 0x7f800000u) return 0;
    }
    return 1;
}
