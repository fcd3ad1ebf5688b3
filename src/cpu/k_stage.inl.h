/* k_stage.inl.h -- tiles of tiled pages into rows, whatever the type: bytes move and nothing is
 * computed. A vector holds AITERI_SQUARES times 16 bytes, side by side in a row of the result. */

#if AITERI_SQUARES
/* As many squares of elements of `size` bytes: log2 of its rows times a row is zipped with that
 * half of the rows further on, which in the end exchanges rows and columns. */
AITERI_FORCE_INLINE void AITERI_K(transpose_squares)(char *to, int64_t to_stride, const char *from,
                                                     int64_t from_stride, const int size)
{
    AITERI_K(vb) a[16], b[16];
    const int n = 16 / size;
    AITERI_UNROLL(16)
    for (int i = 0; i < n; i++) a[i] = AITERI_K(load_16s)(from + i * from_stride, n * from_stride);
    AITERI_UNROLL(4)
    for (int step = 1; step < n; step *= 2) {
        AITERI_UNROLL(8)
        for (int i = 0; i < n / 2; i++) {
            b[2 * i] = AITERI_K(zip_low)(a[i], a[i + n / 2], size);
            b[2 * i + 1] = AITERI_K(zip_high)(a[i], a[i + n / 2], size);
        }
        AITERI_UNROLL(8)
        for (int i = 0; i < n / 2; i++) {
            a[2 * i] = b[2 * i];
            a[2 * i + 1] = b[2 * i + 1];
        }
    }
    AITERI_UNROLL(16)
    for (int i = 0; i < n; i++) AITERI_K(store_16s)(to + i * to_stride, a[i]);
}
#endif

/* The last squares overlap those before them. */
AITERI_FORCE_INLINE void AITERI_K(columns_of)(char *to, int64_t to_stride, const char *from,
                                              int64_t from_stride, int32_t dim, int32_t n,
                                              const int size)
{
#if AITERI_SQUARES
    const int32_t side = 16 / size, wide = AITERI_SQUARES * side;
    for (int32_t d = 0; dim >= wide && n >= side; d += wide) {
        if (d > dim - wide) d = dim - wide;
        for (int32_t i = 0; i < n; i += side) {
            if (i > n - side) i = n - side;
            AITERI_K(transpose_squares)
            (to + i * to_stride + d * size, to_stride, from + d * from_stride + i * size,
             from_stride, size);
        }
        if (d == dim - wide) return;
    }
#endif
    for (int32_t d = 0; d < dim; d++)
        for (int32_t i = 0; i < n; i++)
            memcpy(to + i * to_stride + d * size, from + d * from_stride + i * size, (size_t)size);
}

static void AITERI_K(columns_to_rows)(char *to, int64_t to_stride, const char *from,
                                      int64_t from_stride, int32_t dim, int32_t n, int32_t size)
{
    if (size == 1)
        AITERI_K(columns_of)(to, to_stride, from, from_stride, dim, n, 1);
    else if (size == 2)
        AITERI_K(columns_of)(to, to_stride, from, from_stride, dim, n, 2);
    else
        AITERI_K(columns_of)(to, to_stride, from, from_stride, dim, n, 4);
}

static void AITERI_K(pieces_to_rows)(char *to, int64_t to_stride, const char *from, int64_t token,
                                     int64_t piece, int32_t pieces, int32_t n, int64_t bytes)
{
    int32_t c = 0;
#if AITERI_SQUARES
    for (; bytes == 16 && c + AITERI_SQUARES <= pieces; c += AITERI_SQUARES)
        for (int32_t i = 0; i < n; i++) AITERI_K(store_16s)
    (to + i * to_stride + c * 16, AITERI_K(load_16s)(from + c * piece + i * token, piece));
#endif
    for (; c < pieces; c++)
        for (int32_t i = 0; i < n; i++)
            memcpy(to + i * to_stride + c * bytes, from + c * piece + i * token, (size_t)bytes);
}
