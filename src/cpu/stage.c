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

/* Rows [token, token + n) of a page, of one bundle. */
static void aiteri_stage_rows(const aiteri_kernels *kernels, const aiteri_source *part,
                              int64_t outer, int64_t token, int32_t h, int32_t n, char *to)
{
    const aiteri_tiles *tiles = &part->tiles;
    const char *from = aiteri_source_at(part, outer, token, h);
    const int64_t to_stride = aiteri_staged_stride(part);
    if (tiles->piece)
        kernels->pieces_to_rows(
            to, to_stride, from, aiteri_bytes_of(part->dtype, part->stride_token),
            aiteri_bytes_of(part->dtype, tiles->stride_piece), aiteri_own_dim(part) / tiles->piece,
            n, aiteri_bytes_of(part->dtype, tiles->piece));
    else
        kernels->columns_to_rows(to, to_stride, from,
                                 aiteri_bytes_of(part->dtype, part->stride_dim),
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
    for (int64_t i = 0, within = 0; i < n; i++) {
        row[i] = from + within;
        for (within += row_bytes; within >= beside; within -= beside) from += step;
    }
}

/* As aiteri_source_rows for any source: rows that are none in memory are staged, or, without room
 * to, the addresses are those of the memory that they take. */
static void aiteri_stored_rows(const aiteri_kernels *kernels, const aiteri_problem *p,
                               const aiteri_sequence *s, const aiteri_source *part,
                               aiteri_key_place at, int32_t h, int32_t n, const void **row,
                               char *staged)
{
    if (!aiteri_is_tiled(part)) {
        aiteri_source_rows(p, s, part, at, h, n, row);
        return;
    }
    const int32_t bundle = part->tiles.bundle;
    const int64_t stride = aiteri_staged_stride(part);
    for (int32_t done = 0, end;; at = aiteri_place_of_page(p, s, at.entry + 1)) {
        for (end = (int32_t)aiteri_min(n, (int64_t)done + at.run); done < end;) {
            const int32_t left = bundle ? bundle - (int32_t)at.token % bundle : end - done;
            const int32_t k = (int32_t)aiteri_min(end - done, left);
            if (!staged && at.present)
                aiteri_stage_lines(part, at.outer, at.token, h, k, row + done);
            else if (at.present)
                aiteri_stage_rows(kernels, part, at.outer, at.token, h, k, staged + done * stride);
            for (int32_t i = done; i < done + k && (staged || !at.present); i++)
                row[i] = at.present ? staged + i * stride : NULL;
            done += k;
            at.token += k;
        }
        if (done == n) return;
    }
}

#endif /* AITERI_STAGE_C */
