/* kernels_avx512_bf16.inl.h -- AVX-512 for bf16 queries, keys and values: sums of products of bf16
 * pairs, vdpbf16ps. A relative of AVX-512: other blocks, the rest is taken over.
 *
 * Queries and K lie as pairs along head_dim, the factor of the queries is left for the scores. V
 * lies as pairs of keys: of the keys 2i and 2i + 1 of a block the first in the high half, since the
 * instruction adds the high products first; a key without its partner has zeros beside it. Weights
 * are rounded to bf16. A pair is the same two keys whatever is clipped or split. */

#ifndef AITERI_DPBF16
#define AITERI_DPBF16(acc, a, b) _mm512_dpbf16_ps(acc, (__m512bh)(a), (__m512bh)(b))
#endif

enum {
    AITERI_BF16_ROWS = 8,
    AITERI_BF16_VECTORS = 3,
    AITERI_BF16_TILE = 16 * AITERI_BF16_VECTORS,
    AITERI_BF16_HEAD = 16 /* words before the queries: their factor */
};

static int aiteri_avx512bf16_takes(const aiteri_problem *p, int exact_arithmetic)
{
    return !exact_arithmetic && p->q.dtype == AITER_BF16 && p->k.dtype == AITER_BF16 &&
           p->v.dtype == AITER_BF16 && !p->k.scales.data && !p->v.scales.data && !p->has_holes &&
           !p->k.rest && !p->v.rest && !p->k_tail.data; /* a pair of keys comes in one call */
}

static size_t aiteri_avx512bf16_query_bytes(int32_t dim, int32_t tile_lanes)
{
    return (AITERI_BF16_HEAD + (size_t)(dim + 1) / 2 * (size_t)tile_lanes) * sizeof(uint32_t);
}

static size_t aiteri_avx512bf16_k_bytes(int32_t dim)
{
    return aiteri_f32_block_bytes((dim + 1) / 2);
}

static size_t aiteri_avx512bf16_v_bytes(int32_t dim) { return aiteri_f32_block_bytes(dim) / 2; }

static void aiteri_avx512bf16_pack_query(void *q, const float *rows, int64_t row_stride,
                                         int32_t dim, float scale)
{
    uint32_t *word = (uint32_t *)q + AITERI_BF16_HEAD;
    memcpy(q, &scale, sizeof scale);
    for (int32_t d = 0; d < dim; d += 2)
        for (int32_t lane = 0; lane < AITERI_BF16_TILE; lane++) {
            const float *row = rows + lane * row_stride;
            const uint32_t high = d + 1 < dim ? aiteri_bits_of_f32(row[d + 1]) : 0;
            *word++ = (high & 0xffff0000u) | aiteri_bits_of_f32(row[d]) >> 16;
        }
}

/* Element d of a row. */
AITERI_FORCE_INLINE uint32_t aiteri_avx512bf16_element(const aiteri_block_rows *rows, int32_t i,
                                                       int32_t d)
{
    uint16_t x;
    memcpy(&x, (const char *)rows->row[i] + d * rows->stride_dim * (int64_t)sizeof x, sizeof x);
    return x;
}

static void aiteri_avx512bf16_load_k(const aiteri_kernels *own, void *block, int32_t place,
                                     const aiteri_block_rows *rows)
{
    const int64_t stride = aiteri_block_stride((rows->dim + 1) / 2);
    (void)own;
    for (int32_t i = 0; i < rows->n; i++) {
        uint32_t *to = (uint32_t *)block + (place + i) * stride;
        const int32_t whole = rows->dim / 2;
        if (rows->stride_dim == 1)
            memcpy(to, rows->row[i], (size_t)whole * sizeof *to);
        else
            for (int32_t d = 0; d < whole; d++)
                to[d] = aiteri_avx512bf16_element(rows, i, 2 * d + 1) << 16 |
                        aiteri_avx512bf16_element(rows, i, 2 * d);
        if (rows->dim % 2) to[whole] = aiteri_avx512bf16_element(rows, i, rows->dim - 1);
    }
}

/* Sixteen elements from d on, widened; zeros behind the end and of no row. */
AITERI_FORCE_INLINE __m512i aiteri_avx512bf16_words(const aiteri_block_rows *rows, int32_t i,
                                                    int32_t d)
{
    const int32_t left = rows->dim - d;
    uint16_t x[16] = {0};
    if (i < 0 || i >= rows->n) return _mm512_setzero_si512();
    if (rows->stride_dim == 1)
        return _mm512_cvtepu16_epi32(
            _mm256_maskz_loadu_epi16((__mmask16)(left < 16 ? (1u << left) - 1u : 0xffffu),
                                     (const uint16_t *)rows->row[i] + d));
    for (int32_t k = 0; k < 16 && k < left; k++)
        x[k] = (uint16_t)aiteri_avx512bf16_element(rows, i, d + k);
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)x));
}

static void aiteri_avx512bf16_load_v(const aiteri_kernels *own, void *block, int32_t place,
                                     const aiteri_block_rows *rows)
{
    const int64_t stride = aiteri_block_stride(rows->dim);
    (void)own;
    for (int32_t i = -(place & 1); i < rows->n; i += 2) {
        uint32_t *to = (uint32_t *)block + (place + i) / 2 * stride;
        for (int32_t d = 0; d < rows->dim; d += 16)
            _mm512_storeu_si512(
                to + d, _mm512_or_si512(_mm512_slli_epi32(aiteri_avx512bf16_words(rows, i, d), 16),
                                        aiteri_avx512bf16_words(rows, i + 1, d)));
    }
}

AITERI_FORCE_INLINE __m512i aiteri_avx512bf16_load(const void *words)
{
    return _mm512_loadu_si512(words);
}

/* acc[i][c] over n pairs: x[i * row + j * pair] times w[j][c]. */
AITERI_FORCE_INLINE void aiteri_avx512bf16_sums(__m512 (*acc)[AITERI_BF16_VECTORS],
                                                const uint32_t *x, int64_t row, int64_t pair,
                                                int32_t n, const uint32_t *w)
{
    const uint32_t *at[AITERI_BF16_ROWS];
    AITERI_UNROLL(16)
    for (int i = 0; i < AITERI_BF16_ROWS; i++) {
        at[i] = x + i * row;
        if (row != 1) AITERI_OPAQUE(at[i]);
    }
    for (int64_t j = 0; j < n; j++, w += AITERI_BF16_TILE) {
        __m512i y[AITERI_BF16_VECTORS];
        AITERI_UNROLL(16)
        for (int c = 0; c < AITERI_BF16_VECTORS; c++) y[c] = aiteri_avx512bf16_load(w + 16 * c);
        AITERI_UNROLL(16)
        for (int i = 0; i < AITERI_BF16_ROWS; i++) {
            const __m512i both = _mm512_set1_epi32((int32_t)at[i][j * pair]);
            AITERI_UNROLL(16)
            for (int c = 0; c < AITERI_BF16_VECTORS; c++)
                acc[i][c] = AITERI_DPBF16(acc[i][c], y[c], both);
        }
    }
}

AITERI_FORCE_INLINE void aiteri_avx512bf16_score_rows(float *st, const uint32_t *k, int64_t stride,
                                                      int32_t pairs, const uint32_t *q,
                                                      const __m512 scale)
{
    __m512 acc[AITERI_BF16_ROWS][AITERI_BF16_VECTORS];
    AITERI_UNROLL(16)
    for (int i = 0; i < AITERI_BF16_ROWS; i++) AITERI_UNROLL(16)
    for (int c = 0; c < AITERI_BF16_VECTORS; c++) acc[i][c] = _mm512_setzero_ps();
    aiteri_avx512bf16_sums(acc, k, stride, 1, pairs, q);
    AITERI_UNROLL(16)
    for (int i = 0; i < AITERI_BF16_ROWS; i++) AITERI_UNROLL(16)
    for (int c = 0; c < AITERI_BF16_VECTORS; c++)
        _mm512_storeu_ps(st + i * AITERI_BF16_TILE + 16 * c, aiteri_avx512_mul(acc[i][c], scale));
}

static void aiteri_avx512bf16_tile_score(float *st, const aiteri_block_run *keys, const void *query,
                                         int32_t vectors)
{
    const int32_t pairs = (keys->dim + 1) / 2, n = keys->n;
    const int64_t stride = aiteri_block_stride((keys->row_dim + 1) / 2);
    const uint32_t *k = (const uint32_t *)keys->block + keys->place * stride;
    const uint32_t *q = (const uint32_t *)query + AITERI_BF16_HEAD;
    const __m512 scale = _mm512_set1_ps(*(const float *)query);
    (void)vectors;
    AITERI_ASSERT(0 <= keys->place && 0 <= n && keys->place + n <= AITERI_TILE_KEYS);
    for (int32_t j = 0; j < n; j += AITERI_BF16_ROWS)
        aiteri_avx512bf16_score_rows(st + j * AITERI_BF16_TILE, k + j * stride, stride, pairs, q,
                                     scale);
}

/* The weights of row i of st as bf16, one a word; zeros of no row. */
AITERI_FORCE_INLINE __m512i aiteri_avx512bf16_weight(const float *st, int32_t n, int32_t i, int c)
{
    if (i < 0 || i >= n) return _mm512_setzero_si512();
    return aiteri_avx512_bf16_bits(_mm512_loadu_ps(st + i * AITERI_BF16_TILE + 16 * c));
}

/* Those of rows i and i + 1 as a pair, the first in the high half. */
AITERI_FORCE_INLINE __m512i aiteri_avx512bf16_weights(const float *st, int32_t n, int32_t i, int c)
{
    return _mm512_or_si512(_mm512_slli_epi32(aiteri_avx512bf16_weight(st, n, i, c), 16),
                           aiteri_avx512bf16_weight(st, n, i + 1, c));
}

AITERI_FORCE_INLINE void aiteri_avx512bf16_value_columns(float *ot, const uint32_t *v,
                                                         int64_t stride, int32_t pairs,
                                                         const uint32_t *w)
{
    __m512 acc[AITERI_BF16_ROWS][AITERI_BF16_VECTORS];
    AITERI_UNROLL(16)
    for (int i = 0; i < AITERI_BF16_ROWS; i++) AITERI_UNROLL(16)
    for (int c = 0; c < AITERI_BF16_VECTORS; c++)
        acc[i][c] = _mm512_loadu_ps(ot + i * AITERI_BF16_TILE + 16 * c);
    aiteri_avx512bf16_sums(acc, v, 1, stride, pairs, w);
    AITERI_UNROLL(16)
    for (int i = 0; i < AITERI_BF16_ROWS; i++) AITERI_UNROLL(16)
    for (int c = 0; c < AITERI_BF16_VECTORS; c++)
        _mm512_storeu_ps(ot + i * AITERI_BF16_TILE + 16 * c, acc[i][c]);
}

/* A pair of which this run has one key: the other's value may be anything. */
AITERI_COLD void aiteri_avx512bf16_value_half(float *ot, const uint32_t *v, int32_t dim_v,
                                              const uint32_t *w, uint32_t half)
{
    for (int32_t d = 0; d < dim_v; d++)
        for (int c = 0; c < AITERI_BF16_VECTORS; c++) {
            float *at = ot + d * AITERI_BF16_TILE + 16 * c;
            const __m512i x = _mm512_set1_epi32((int32_t)(v[d] & half));
            _mm512_storeu_ps(
                at, AITERI_DPBF16(_mm512_loadu_ps(at), aiteri_avx512bf16_load(w + 16 * c), x));
        }
}

/* The pairs of weights take the place of the weights, row by row from the front. */
static void aiteri_avx512bf16_tile_value(float *ot, const aiteri_block_run *values, float *st,
                                         int32_t vectors)
{
    const int64_t stride = aiteri_block_stride(values->row_dim);
    const int32_t place = values->place, n = values->n, dim_v = values->dim;
    const int32_t odd = place & 1, end = place + n;
    const uint32_t *v = (const uint32_t *)values->block + place / 2 * stride;
    uint32_t *w = (uint32_t *)(void *)st;
    int32_t pairs = (end + 1) / 2 - place / 2;
    (void)vectors;
    AITERI_ASSERT(0 <= place && 0 < n && end <= AITERI_TILE_KEYS && 0 < dim_v);
    for (int32_t i = 0; i < pairs; i++)
        for (int c = 0; c < AITERI_BF16_VECTORS; c++) {
            const __m512i pair = aiteri_avx512bf16_weights(st, n, 2 * i - odd, c);
            _mm512_storeu_si512(w + i * AITERI_BF16_TILE + 16 * c, pair);
        }
    if (odd) {
        aiteri_avx512bf16_value_half(ot, v, dim_v, w, 0xffffu);
        v += stride;
        w += AITERI_BF16_TILE;
        pairs--;
    }
    pairs -= end % 2;
    for (int32_t d = 0; d < dim_v; d += AITERI_BF16_ROWS)
        aiteri_avx512bf16_value_columns(ot + d * AITERI_BF16_TILE, v + d, stride, pairs, w);
    if (end % 2)
        aiteri_avx512bf16_value_half(ot, v + pairs * stride, dim_v, w + pairs * AITERI_BF16_TILE,
                                     0xffff0000u);
}

/* The lanes that key i of the run is not hidden from. */
AITERI_FORCE_INLINE __mmask16 aiteri_avx512bf16_sees(const aiteri_lane_mask *mask,
                                                     const float *scores, int32_t key0, int32_t n,
                                                     int32_t i, int c)
{
    if (i < 0 || i >= n) return 0;
    if (scores) {
        const __m512i score = aiteri_avx512bf16_load(scores + i * AITERI_BF16_TILE + 16 * c);
        return (__mmask16)~aiteri_avx512_eq_i(score, _mm512_set1_epi32((int32_t)0xff800000u));
    }
    const aiteri_avx512_range range = aiteri_avx512_range_of(mask, c);
    return aiteri_avx512_visible(&range, aiteri_avx512_set1_i(key0 + i), key0 + i);
}

static void aiteri_avx512bf16_tile_value_guarded(float *ot, const aiteri_block_run *values,
                                                 int32_t key0, float *st,
                                                 const aiteri_lane_mask *mask, const float *scores,
                                                 int32_t vectors)
{
    const int64_t stride = aiteri_block_stride(values->row_dim);
    const int32_t place = values->place, n = values->n, dim_v = values->dim;
    for (int32_t i = -(place & 1); i < n; i += 2) {
        const uint32_t *v = (const uint32_t *)values->block + (place + i) / 2 * stride;
        for (int c = 0; c < vectors; c++) {
            const __m512i w = aiteri_avx512bf16_weights(st, n, i, c);
            const __mmask16 even = aiteri_avx512bf16_sees(mask, scores, key0, n, i, c);
            const __mmask16 odd = aiteri_avx512bf16_sees(mask, scores, key0, n, i + 1, c);
            const __m512i half =
                _mm512_or_si512(_mm512_maskz_set1_epi32(even, (int32_t)0xffff0000u),
                                _mm512_maskz_set1_epi32(odd, 0xffff));
            for (int32_t d = 0; d < dim_v; d++) {
                float *at = ot + d * AITERI_BF16_TILE + 16 * c;
                const __m512 acc = _mm512_loadu_ps(at);
                const __m512i x = _mm512_and_si512(_mm512_set1_epi32((int32_t)v[d]), half);
                const __m512 sum = AITERI_DPBF16(acc, _mm512_and_si512(w, half), x);
                _mm512_storeu_ps(at, aiteri_avx512_select((__mmask16)(even | odd), sum, acc));
            }
        }
    }
}

/* A run's other halves of pairs are zeros or keys of the same block. */
static int aiteri_avx512bf16_v_finite(const aiteri_block_run *values)
{
    const int64_t stride = aiteri_block_stride(values->row_dim);
    const int32_t place = values->place;
    for (int32_t i = place / 2; 2 * i < place + values->n; i++)
        for (int32_t d = 0; d < values->dim; d++) {
            const uint32_t x = ((const uint32_t *)values->block)[i * stride + d];
            if ((x & 0x7f800000u) == 0x7f800000u || (x & 0x7f80u) == 0x7f80u) return 0;
        }
    return 1;
}

#define AITERI_OF_BF16(name)   AITERI_CAT(aiteri_avx512bf16, name)
#define AITERI_OF_AVX512(name) AITERI_CAT(aiteri_avx512, name)
static const aiteri_kernels aiteri_avx512bf16_kernels = {"avx512_bf16",
                                                         AITER_ISA_AVX512_BF16,
                                                         AITERI_CPU_AVX512_BF16,
                                                         &aiteri_avx512_kernels,
                                                         aiteri_avx512bf16_takes,
                                                         16,
                                                         AITERI_BF16_TILE,
                                                         0,
                                                         aiteri_avx512bf16_query_bytes,
                                                         aiteri_avx512bf16_k_bytes,
                                                         aiteri_avx512bf16_v_bytes,
                                                         aiteri_avx512bf16_load_k,
                                                         aiteri_avx512bf16_load_v,
                                                         AITERI_BLOCK_ENTRIES(AITERI_OF_BF16),
                                                         AITERI_OTHER_ENTRIES(AITERI_OF_AVX512)};
#undef AITERI_OF_BF16
#undef AITERI_OF_AVX512
