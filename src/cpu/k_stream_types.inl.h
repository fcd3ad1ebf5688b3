/* k_stream_types.inl.h -- dot and axpy of the stream family for one storage type, named AITERI_TYPE
 * with elements AITERI_TYPE_C and the vector layer's converting loads. Stamped per type in every
 * ISA. */

#define AITERI_T(name) AITERI_K(AITERI_CAT(name, AITERI_TYPE))
#define AITERI_ROW(p)  ((const AITERI_TYPE_C *)(p))

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_T(chunk)(const void *row, int32_t d, int32_t dim)
{
    if (d + AITERI_LANES <= dim) return AITERI_TYPE_LOAD(AITERI_ROW(row) + d);
    return AITERI_TYPE_LOAD_N(AITERI_ROW(row) + d, dim - d);
}

/* The scores of `keys` keys and `rows` query rows, both constants where this is inlined. */
AITERI_FORCE_INLINE void AITERI_T(dot_block)(float *s, int64_t s_stride, const float *q,
                                             int64_t q_stride, int32_t dim, const void *const *key,
                                             const int rows)
{
    AITERI_K(vf) acc[4 * AITERI_DOT_KEYS];
    AITERI_UNROLL(16)
    for (int i = 0; i < rows * AITERI_DOT_KEYS; i++) acc[i] = AITERI_K(zero)();
    int32_t d = 0;
    for (; d + AITERI_LANES <= dim; d += AITERI_LANES) {
        AITERI_K(vf) k[AITERI_DOT_KEYS];
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) k[i] = AITERI_TYPE_LOAD(AITERI_ROW(key[i]) + d);
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            AITERI_K(vf) x = AITERI_K(load)(q + r * q_stride + d);
            AITERI_IN_REGISTER(x);
            AITERI_UNROLL(8)
            for (int i = 0; i < AITERI_DOT_KEYS; i++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(x, k[i], acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    if (d < dim) {
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) {
            const AITERI_K(vf) k = AITERI_T(chunk)(key[i], d, dim);
            AITERI_UNROLL(8)
            for (int r = 0; r < rows; r++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(AITERI_K(load)(q + r * q_stride + d),
                                                             k, acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    AITERI_K(store_sums)(s, s_stride, acc, rows);
}

/* All keys against `rows` query rows; `ahead` is NULL where it was brought already. */
AITERI_FORCE_INLINE void AITERI_T(dot_rows)(float *s, int64_t s_stride, const float *q,
                                            int64_t q_stride, int32_t dim, const void *const *keys,
                                            int32_t n, const int rows, const void *const *ahead)
{
    const int32_t bytes = dim * (int32_t)sizeof(AITERI_TYPE_C);
    for (int32_t i = 0; i < n; i += AITERI_DOT_KEYS) {
        if (ahead) {
            AITERI_UNROLL(8)
            for (int k = 0; k < AITERI_DOT_KEYS; k++) AITERI_K(fetch)(ahead[i + k], bytes);
        }
        AITERI_T(dot_block)(s + i, s_stride, q, q_stride, dim, keys + i, rows);
    }
}

static void AITERI_T(stream_dot)(float *s, int64_t s_stride, const float *q, int64_t q_stride,
                                 int32_t rows, int32_t dim, const void *const *keys, int32_t n,
                                 const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= q_stride);
    for (int32_t r = 0; r < rows; r += 4, ahead = NULL) {
        float *at = s + r * s_stride;
        const float *x = q + r * q_stride;
        switch (rows - r) {
        case 1: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 1, ahead); break;
        case 2: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 2, ahead); break;
        case 3: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 3, ahead); break;
        default: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 4, ahead); break;
        }
    }
}

/* One strip of `vectors` output vectors of `rows` rows over all keys; rows from `used` on repeat
 * the last one. */
AITERI_FORCE_INLINE void AITERI_T(axpy_strip)(float *o, int64_t o_stride, const float *p,
                                              int64_t p_stride, int32_t d, int32_t dim,
                                              const void *const *values, int32_t n,
                                              const int32_t used, const int rows, const int vectors,
                                              const void *const *ahead)
{
    int32_t row[4];
    AITERI_K(vf) acc[4][AITERI_AXPY_VECTORS];
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) {
        row[r] = r < used ? r : used - 1;
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++)
            acc[r][c] = AITERI_K(load)(o + row[r] * o_stride + d + c * AITERI_LANES);
    }
    for (int32_t i = 0; i < n; i++) {
        AITERI_UNROLL(8)
        for (int at = 0; at < vectors * AITERI_LANES;
             at += AITERI_LINE / (int)sizeof(AITERI_TYPE_C))
            AITERI_PREFETCH(AITERI_ROW(ahead[i]) + d + at);
        AITERI_K(vf) v[AITERI_AXPY_VECTORS];
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++) {
            if (vectors > 1)
                v[c] = AITERI_TYPE_LOAD(AITERI_ROW(values[i]) + d + c * AITERI_LANES);
            else
                v[c] = AITERI_T(chunk)(values[i], d, dim);
        }
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            const AITERI_K(vf) w = AITERI_K(set1)(p[row[r] * p_stride + i]);
            AITERI_UNROLL(8)
            for (int c = 0; c < vectors; c++) acc[r][c] = AITERI_K(fma)(w, v[c], acc[r][c]);
        }
    }
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) AITERI_UNROLL(8)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(o + row[r] * o_stride + d + c * AITERI_LANES, acc[r][c]);
}

/* The whole strips of up to `whole` columns. */
AITERI_FORCE_INLINE void AITERI_T(axpy_rows)(float *o, int64_t o_stride, const float *p,
                                             int64_t p_stride, int32_t whole,
                                             const void *const *values, int32_t n, const int rows,
                                             const void *const *ahead)
{
    for (int32_t d = 0; d < whole; d += AITERI_AXPY_VECTORS * AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, whole, values, n, rows, rows,
                             AITERI_AXPY_VECTORS, ahead);
}

/* The columns from `whole` on; up to four rows as four. */
AITERI_COLD void AITERI_T(axpy_rest)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                     int32_t whole, int32_t dim, const void *const *values,
                                     int32_t n, int32_t used, const void *const *ahead)
{
    for (int32_t d = whole; d < dim; d += AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, dim, values, n, used, 4, 1, ahead);
}

static void AITERI_T(stream_axpy)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                  int32_t rows, int32_t dim, const void *const *values, int32_t n,
                                  const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= o_stride);
    const int32_t strip = AITERI_AXPY_VECTORS * AITERI_LANES, whole = dim / strip * strip;
    for (int32_t r = 0; r < rows; r += 4) {
        float *at = o + r * o_stride;
        const float *w = p + r * p_stride;
        switch (rows - r) {
        case 1: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 1, ahead); break;
        case 2: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 2, ahead); break;
        case 3: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 3, ahead); break;
        default: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 4, ahead); break;
        }
        if (whole < dim)
            AITERI_T(axpy_rest)(at, o_stride, w, p_stride, whole, dim, values, n, rows - r, ahead);
    }
}

#undef AITERI_T
#undef AITERI_ROW
#undef AITERI_TYPE
#undef AITERI_TYPE_C
#undef AITERI_TYPE_LOAD
#undef AITERI_TYPE_LOAD_N
