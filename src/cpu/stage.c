/* stage.c -- rows of a cache whose memory is not in rows: x-packed keys lie in pieces of a few
 * columns, values of such caches token beside token. Both are brought into rows as they are stored,
 * and whatever comes after knows rows alone. */
#ifndef AITERI_STAGE_C
#define AITERI_STAGE_C

#include "block_f32.c"
#include "../plan/source.c"

/* Bytes from one staged row to the next. */
static int64_t aiteri_staged_stride(const aiteri_source *part)
{
    return aiteri_bytes_of(part->dtype, aiteri_padded(aiteri_own_dim(part)));
}

/* Room for as many rows of K or of V; 0 where none needs it. */
static size_t aiteri_staged_bytes(const aiteri_problem *p, size_t rows)
{
    const aiteri_source *const parts[4] = {&p->k, &p->v, &p->k_tail, &p->v_tail};
    size_t bytes = 0;
    for (int i = 0; i < 4; i++)
        for (const aiteri_source *x = parts[i]; x; x = x->rest)
            if (aiteri_is_tiled(x))
                bytes = (size_t)aiteri_max((int64_t)bytes, aiteri_staged_stride(x));
    return rows * bytes;
}

#if AITERI_X86
#define AITERI_HAS_16_BYTES 1
typedef __m128i aiteri_16_bytes;
AITERI_FORCE_INLINE aiteri_16_bytes aiteri_load_16(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}
AITERI_FORCE_INLINE void aiteri_store_16(char *p, aiteri_16_bytes x)
{
    _mm_storeu_si128((__m128i *)(void *)p, x);
}
AITERI_FORCE_INLINE aiteri_16_bytes aiteri_zip_low(aiteri_16_bytes a, aiteri_16_bytes b,
                                                   const int size)
{
    return size == 1   ? _mm_unpacklo_epi8(a, b)
           : size == 2 ? _mm_unpacklo_epi16(a, b)
                       : _mm_unpacklo_epi32(a, b);
}
AITERI_FORCE_INLINE aiteri_16_bytes aiteri_zip_high(aiteri_16_bytes a, aiteri_16_bytes b,
                                                    const int size)
{
    return size == 1   ? _mm_unpackhi_epi8(a, b)
           : size == 2 ? _mm_unpackhi_epi16(a, b)
                       : _mm_unpackhi_epi32(a, b);
}
#elif AITERI_NEON
#define AITERI_HAS_16_BYTES 1
typedef uint8x16_t aiteri_16_bytes;
AITERI_FORCE_INLINE aiteri_16_bytes aiteri_load_16(const char *p)
{
    return vld1q_u8((const uint8_t *)p);
}
AITERI_FORCE_INLINE void aiteri_store_16(char *p, aiteri_16_bytes x) { vst1q_u8((uint8_t *)p, x); }
AITERI_FORCE_INLINE aiteri_16_bytes aiteri_zip_low(aiteri_16_bytes a, aiteri_16_bytes b,
                                                   const int size)
{
    const uint16x8_t a2 = vreinterpretq_u16_u8(a), b2 = vreinterpretq_u16_u8(b);
    const uint32x4_t a4 = vreinterpretq_u32_u8(a), b4 = vreinterpretq_u32_u8(b);
    return size == 1   ? vzip1q_u8(a, b)
           : size == 2 ? vreinterpretq_u8_u16(vzip1q_u16(a2, b2))
                       : vreinterpretq_u8_u32(vzip1q_u32(a4, b4));
}
AITERI_FORCE_INLINE aiteri_16_bytes aiteri_zip_high(aiteri_16_bytes a, aiteri_16_bytes b,
                                                    const int size)
{
    const uint16x8_t a2 = vreinterpretq_u16_u8(a), b2 = vreinterpretq_u16_u8(b);
    const uint32x4_t a4 = vreinterpretq_u32_u8(a), b4 = vreinterpretq_u32_u8(b);
    return size == 1   ? vzip2q_u8(a, b)
           : size == 2 ? vreinterpretq_u8_u16(vzip2q_u16(a2, b2))
                       : vreinterpretq_u8_u32(vzip2q_u32(a4, b4));
}
#else
#define AITERI_HAS_16_BYTES 0
#endif

#if AITERI_HAS_16_BYTES
/* A square of elements of `size` bytes, 16 bytes wide: log2 of its rows times a row is zipped with
 * that half of the rows further on, which in the end exchanges rows and columns. */
AITERI_FORCE_INLINE void aiteri_transpose_square(char *to, int64_t to_stride, const char *from,
                                                 int64_t from_stride, const int size)
{
    aiteri_16_bytes a[16], b[16];
    const int n = 16 / size;
    AITERI_UNROLL(16)
    for (int i = 0; i < n; i++) a[i] = aiteri_load_16(from + i * from_stride);
    AITERI_UNROLL(4)
    for (int step = 1; step < n; step *= 2) {
        AITERI_UNROLL(8)
        for (int i = 0; i < n / 2; i++) {
            b[2 * i] = aiteri_zip_low(a[i], a[i + n / 2], size);
            b[2 * i + 1] = aiteri_zip_high(a[i], a[i + n / 2], size);
        }
        AITERI_UNROLL(16)
        for (int i = 0; i < n; i++) a[i] = b[i];
    }
    AITERI_UNROLL(16)
    for (int i = 0; i < n; i++) aiteri_store_16(to + i * to_stride, a[i]);
}
#endif

/* to[i][d] = from[d][i] for i < n and d < dim, strides in bytes. */
AITERI_FORCE_INLINE void aiteri_transpose_of(char *to, int64_t to_stride, const char *from,
                                             int64_t from_stride, int32_t dim, int32_t n,
                                             const int size)
{
    int32_t whole_dim = 0, whole_n = 0;
#if AITERI_HAS_16_BYTES
    whole_dim = dim / (16 / size) * (16 / size);
    whole_n = n / (16 / size) * (16 / size);
    for (int32_t d = 0; d < whole_dim; d += 16 / size)
        for (int32_t i = 0; i < whole_n; i += 16 / size)
            aiteri_transpose_square(to + i * to_stride + d * size, to_stride,
                                    from + d * from_stride + i * size, from_stride, size);
#endif
    for (int32_t d = 0; d < dim; d++)
        for (int32_t i = d < whole_dim ? whole_n : 0; i < n; i++)
            memcpy(to + i * to_stride + d * size, from + d * from_stride + i * size, size);
}

static void aiteri_transpose(char *to, int64_t to_stride, const char *from, int64_t from_stride,
                             int32_t dim, int32_t n, int32_t size)
{
    if (size == 1)
        aiteri_transpose_of(to, to_stride, from, from_stride, dim, n, 1);
    else if (size == 2)
        aiteri_transpose_of(to, to_stride, from, from_stride, dim, n, 2);
    else
        aiteri_transpose_of(to, to_stride, from, from_stride, dim, n, 4);
}

/* n rows of `pieces` pieces of so many bytes. */
static void aiteri_join_pieces(char *to, int64_t to_stride, const char *from, int64_t token,
                               int64_t piece, int32_t pieces, int32_t n, size_t bytes)
{
    for (int32_t c = 0; c < pieces; c++)
        for (int32_t i = 0; i < n; i++) {
            char *dst = to + i * to_stride + c * (int64_t)bytes;
            const char *src = from + c * piece + i * token;
            if (bytes == 16) /* what x is made for: one load and one store */
                memcpy(dst, src, 16);
            else
                memcpy(dst, src, bytes);
        }
}

/* Rows [token, token + n) of a page, of one bundle. */
static void aiteri_stage_rows(const aiteri_source *part, int64_t outer, int64_t token, int32_t h,
                              int32_t n, char *to)
{
    const aiteri_tiles *tiles = &part->tiles;
    const char *from = aiteri_source_at(part, outer, token, h);
    const int64_t to_stride = aiteri_staged_stride(part);
    if (tiles->piece)
        aiteri_join_pieces(to, to_stride, from, aiteri_bytes_of(part->dtype, part->stride_token),
                           aiteri_bytes_of(part->dtype, tiles->stride_piece),
                           aiteri_own_dim(part) / tiles->piece, n,
                           (size_t)aiteri_bytes_of(part->dtype, tiles->piece));
    else
        aiteri_transpose(to, to_stride, from, aiteri_bytes_of(part->dtype, part->stride_dim),
                         aiteri_own_dim(part), n, aiter_dtype_bits(part->dtype) / 8);
}

/* What those rows take in memory, as n addresses of a row's bytes each, to be brought nearer. */
static void aiteri_stage_lines(const aiteri_source *part, int64_t outer, int64_t token, int32_t h,
                               int32_t n, const void **row)
{
    const aiteri_tiles *tiles = &part->tiles;
    const char *from = aiteri_source_at(part, outer, token, h);
    const int64_t row_bytes = aiteri_bytes_of(part->dtype, aiteri_own_dim(part));
    const int64_t beside = aiteri_bytes_of(part->dtype, n * (tiles->piece ? tiles->piece : 1));
    const int64_t step =
        aiteri_bytes_of(part->dtype, tiles->piece ? tiles->stride_piece : part->stride_dim);
    for (int32_t i = 0; i < n; i++)
        row[i] = from + i * row_bytes / beside * step + i * row_bytes % beside;
}

/* As aiteri_source_rows for any source: rows that are none in memory are staged, or, without room
 * to, the addresses are those of the memory that they take. */
static void aiteri_stored_rows(const aiteri_problem *p, const aiteri_sequence *s,
                               const aiteri_source *part, aiteri_key_place at, int32_t h, int32_t n,
                               const void **row, char *staged)
{
    if (!aiteri_is_tiled(part)) {
        aiteri_source_rows(p, s, part, at, h, n, row);
        return;
    }
    const int32_t bundle = part->tiles.bundle;
    const int64_t stride = aiteri_staged_stride(part);
    for (int32_t done = 0, end;; at = aiteri_place_of_page(p, s, at.entry + 1)) {
        for (end = (int32_t)aiteri_min(n, (int64_t)done + at.run); done < end;) {
            const int32_t left = bundle ? bundle - (int32_t)(at.token % bundle) : end - done;
            const int32_t k = (int32_t)aiteri_min(end - done, left);
            if (!staged && at.present)
                aiteri_stage_lines(part, at.outer, at.token, h, k, row + done);
            else if (at.present)
                aiteri_stage_rows(part, at.outer, at.token, h, k, staged + done * stride);
            for (int32_t i = done; i < done + k && (staged || !at.present); i++)
                row[i] = at.present ? staged + i * stride : NULL;
            done += k;
            at.token += k;
        }
        if (done == n) return;
    }
}

#endif /* AITERI_STAGE_C */
