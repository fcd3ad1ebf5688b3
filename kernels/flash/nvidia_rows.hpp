/* nvidia_rows.hpp -- what the plain kernels of NVIDIA share: the copies that fill their tiles, the
 * state of a warp's query rows in the accumulators' layout, masks, and what becomes of the rows. */
#ifndef AITERI_FLASH_NVIDIA_ROWS_HPP
#define AITERI_FLASH_NVIDIA_ROWS_HPP

#include "far_rows.hpp"
#include "finish.hpp"
#include "../tile/finish.hpp"
#include "../tile/wave.hpp"

namespace aiteri
{

typedef float f32x2 __attribute__((ext_vector_type(2)));
typedef float f32x4 __attribute__((ext_vector_type(4)));

/* Layouts of a tile: chunk c of a row lies at place(row, c, rows of the tile), in bytes; chunks are
 * permuted so that 8 rows lie in different banks. The address of row + 8 is STEP * 8 higher. */
template <int D> struct WholeRows {
    enum { STEP = D * 2 };
    AITERI_METHOD static int place(int row, int c, int) { return row * STEP + (c ^ row % 8) * 16; }
};
/* Halves of 64 columns one after the other: the 128-byte swizzle of wgmma. */
struct HalfRows {
    enum { STEP = 128 };
    AITERI_METHOD static int place(int row, int c, int rows)
    {
        return (c / 8 * rows + row) * STEP + (c % 8 ^ row % 8) * 16;
    }
};

/* Where a thread's part of the next rows of a tensor lies. */
template <class Layout, int D, int THREADS> struct RowCopies {
    enum { CHUNKS = D / CHUNK, PASS = THREADS / CHUNKS }; /* PASS: rows that all threads copy */
    static_assert(PASS % 8 == 0, "a thread's rows have one permutation");
    uint64_t next;
    int64_t pass; /* bytes of PASS rows */

    AITERI_METHOD static RowCopies of(uint64_t data, int64_t stride, int row)
    {
        const int thread = thread_id();
        return {data + (uint64_t)((row + thread / CHUNKS) * stride * 2 + thread % CHUNKS * 16),
                PASS * stride * 2};
    }

    /* Starts the copies of COUNT rows, `row` the first of them, zeros from `end` on. */
    template <int COUNT> AITERI_METHOD void start(uint32_t to, int row, int end)
    {
        const int mine = thread_id() / CHUNKS;
        to += (uint32_t)Layout::place(mine, thread_id() % CHUNKS, COUNT);
        if (row + COUNT <= end) {
#pragma unroll
            for (int i = 0; i < COUNT / PASS; i++) {
                nvidia_copy(to, i * PASS * Layout::STEP, next);
                next += (uint64_t)pass;
            }
            return;
        }
        row += mine;
#pragma unroll
        for (int i = 0; i < COUNT / PASS; i++) {
            nvidia_copy_some(to, i * PASS * Layout::STEP, next, row < end ? 16 : 0);
            if (row + PASS < end) next += (uint64_t)pass;
            row += PASS;
        }
    }
};

/* The warp's query rows, BLOCKS times 16. A lane has rows lane / 4 + 8 r and of each 8 columns two,
 * from lane % 4 * 2 on. Shared memory begins with the queries. */
template <class T, int D, int BLOCKS, class Layout, int THREADS, int KEYS> struct NvidiaRows {
    enum {
        ROWS = BLOCKS * 16,
        TILE_ROWS = THREADS / WAVE * ROWS,
        LANE_ROWS = BLOCKS * 2,
        CHUNKS = D / CHUNK,
        TILE_BYTES = KEYS * D * 2,
        Q_BYTES = TILE_ROWS * D * 2,
        STEPS = KEYS / 16
    };
    typedef RowCopies<Layout, D, THREADS> Copies;
    struct Scores {
        f32x4 at[BLOCKS][KEYS / 8];
    };

    const aiteri_gpu_attention &a;
    FlashWork w;
    uint32_t shared; /* address */
    int lane, first; /* first: query row of the warp */
    float scale;     /* of a score, times log2 e; its sign is in the queries */
    f32x4 o[BLOCKS][D / 8];
    float top[LANE_ROWS], sum[LANE_ROWS]; /* top in units of log2 e */

    AITERI_METHOD NvidiaRows(const aiteri_gpu_attention &args, const FlashWork &work)
        : a(args), w(work), lane(lane_id()), first(work.first + wave_id() * ROWS)
    {
        const float x = a.score.softmax_scale * LOG2_E;
        scale = x < 0.0f ? -x : x;
#pragma unroll
        for (int m = 0; m < BLOCKS; m++)
#pragma unroll
            for (int d = 0; d < D / 8; d++) o[m][d] = f32x4{};
#pragma unroll
        for (int r = 0; r < LANE_ROWS; r++) {
            top[r] = minus_infinity();
            sum[r] = 0.0f;
        }
    }

    /* Row i sees the keys below. */
    AITERI_METHOD int limit(int i) const
    {
        const int n = w.s.seqlen_k;
        return a.mask.mask == MASK_CAUSAL ? clamp(i + 1 + n - w.s.seqlen_q, 0, n) : n;
    }
    AITERI_METHOD int limit_of(int r) const { return limit(first + lane / 4 + 8 * r); }

    /* A negative scale is a positive one of negated queries. */
    AITERI_METHOD void negate_queries() const
    {
        const Local<u32x4> q = (Local<u32x4>)(uint64_t)shared;
#pragma clang loop unroll(disable)
        for (int i = thread_id(); i < Q_BYTES / 16; i += THREADS) q[i] ^= 0x80008000u;
    }

    AITERI_METHOD void mask(Scores &s, int key) const
    {
#pragma unroll
        for (int r = 0; r < LANE_ROWS; r++) {
            const int end = limit_of(r) - key - lane % 4 * 2;
#pragma unroll
            for (int b = 0; b < KEYS / 8; b++)
#pragma unroll
                for (int e = 0; e < 2; e++)
                    if (b * 8 + e >= end) s.at[r / 2][b][r % 2 * 2 + e] = minus_infinity();
        }
    }

    /* What exp2 takes off the scores of row r: a row that saw nothing yet has no maximum. */
    AITERI_METHOD float base(int r) const { return is_minus_infinity(top[r]) ? 0.0f : top[r]; }

    /* Takes x as the maximum of row r, if weights measured from the last one could exceed 2^8. Says
     * what the sums so far are worth. A maximum that is far from 0 ends the row here. */
    AITERI_METHOD float raise(int r, float x)
    {
        const float was = top[r];
        if (x > was + (8.0f - T::WEIGHT_BIAS)) /* no row depends on its neighbours */
            top[r] = far_base(x) + T::WEIGHT_BIAS;
        const float ratio = exp2(was - top[r]);
        return is_minus_infinity(was) || top[r] == was ? 1.0f : ratio;
    }

    AITERI_METHOD void shrink(int r, float factor)
    {
#pragma unroll
        for (int d = 0; d < D / 8; d++) {
            o[r / 2][d][r % 2 * 2] *= factor;
            o[r / 2][d][r % 2 * 2 + 1] *= factor;
        }
    }

    /* Of a tile that some rows see only in part, by all threads. 0 times NaN is NaN, and a key that
     * a row does not see must not reach it: what is not finite leaves the tile for the rows that
     * see it, and zeros take its place. */
    AITERI_METHOD void move_non_finite(uint32_t v, int key)
    {
        const Local<u32x4> at = (Local<u32x4>)(uint64_t)v;
        bool found = false;
#pragma unroll
        for (int i = 0; i < TILE_BYTES / 16 / THREADS; i++)
            found = has_non_finite<T>(at[thread_id() + i * THREADS]) || found;
        if (!nvidia_any_thread(found)) return;
#pragma clang loop unroll(disable)
        for (int j = 0; j < KEYS; j++) take_non_finite(v, key, j);
        barrier();
#pragma clang loop unroll(disable)
        for (int i = thread_id(); i < TILE_BYTES / 16; i += THREADS)
            at[i] = map_halves(at[i], finite_or_zero<T>);
        barrier();
    }

    AITERI_METHOD void take_non_finite(uint32_t v, int key, int j)
    {
#pragma unroll
        for (int d = 0; d < D / 8; d++) {
            const uint32_t at = v + (uint32_t)(Layout::place(j, d, KEYS) + lane % 4 * 4);
            const uint32_t pair = *(Local<const uint32_t>)(uint64_t)at;
#pragma unroll
            for (int e = 0; e < 2; e++) {
                const float x = T::widen((uint16_t)(pair >> e * 16));
                const bool finite = x - x == 0.0f;
#pragma unroll
                for (int r = 0; r < LANE_ROWS; r++)
                    o[r / 2][d][r % 2 * 2 + e] += finite || key + j >= limit_of(r) ? 0.0f : x;
            }
        }
    }

    /* ---- results ---- */

    AITERI_METHOD void finish()
    {
        float factor[LANE_ROWS];
#pragma unroll
        for (int r = 0; r < LANE_ROWS; r++) {
            sum[r] += lane_xor(sum[r], 1);
            sum[r] += lane_xor(sum[r], 2);
        }
        if (a.split.count > 1)
            store_partials();
        else
            store_rows(factor);
        wave_fence();
#pragma unroll
        for (int r = 0; r < LANE_ROWS; r++) {
            const int row = first + lane / 4 + 8 * r;
            far_rows<T, D>(a, w, row, is_far(top[r]) && lane % 4 == 0 && row < w.s.seqlen_q);
        }
    }

    AITERI_METHOD void store_rows(float *factor) const
    {
#pragma unroll
        for (int r = 0; r < LANE_ROWS; r++) {
            const int row = first + lane / 4 + 8 * r;
            float lse;
            factor[r] = finish_state(a.score, w.head, top[r] * LN_2, sum[r], &lse);
            if (a.lse && lane % 4 == 0 && row < w.s.seqlen_q)
                global<float>(a.lse)[w.s.index * a.lse_stride_batch + w.head * a.lse_stride_head +
                                     (w.s.q_start + row) * a.lse_stride_token] = lse;
        }
        store(factor);
    }

    /* Through shared memory, where nobody reads queries any more: 16-byte stores of whole rows. */
    AITERI_METHOD void store(const float *factor) const
    {
        const uint32_t rows = shared + (uint32_t)(thread_id() / WAVE * ROWS * D * 2);
        wave_fence();
#pragma unroll
        for (int r = 0; r < LANE_ROWS; r++)
#pragma unroll
            for (int d = 0; d < D / 8; d++) {
                const f32x4 x = o[r / 2][d];
                const bool none = factor[r] == 0.0f;
                const float y = none ? 0.0f : x[r % 2 * 2] * factor[r];
                const float z = none ? 0.0f : x[r % 2 * 2 + 1] * factor[r];
                const int at = WholeRows<D>::place(lane / 4 + 8 * r, d, ROWS) + lane % 4 * 4;
                *(Local<uint32_t>)(uint64_t)(rows + (uint32_t)at) = pack_out<T>(y, z);
            }
        wave_fence();
#pragma unroll
        for (int i = 0; i < ROWS * CHUNKS / WAVE; i++) {
            const int row = (i * WAVE + lane) / CHUNKS, c = lane % CHUNKS;
            const uint32_t at = rows + (uint32_t)WholeRows<D>::place(row, c, ROWS);
            if (first + row < w.s.seqlen_q)
                global<u32x4>(row_address(a.out, w, first + row))[c] =
                    *(Local<const u32x4>)(uint64_t)at;
        }
    }

    AITERI_METHOD void store_partials() const
    {
        const int64_t head = (int64_t)w.s.index * a.heads_q + w.head;
#pragma unroll
        for (int r = 0; r < LANE_ROWS; r++) {
            const int row = first + lane / 4 + 8 * r;
            if (row >= w.s.seqlen_q) continue;
            const int64_t place = w.split * a.split.rows + head * a.q_lengths.most + row;
            const Global<float> out = global<float>(a.split.o) + place * D;
#pragma unroll
            for (int d = 0; d < D / 8; d++)
                *(Global<f32x2>)(out + d * 8 + lane % 4 * 2) =
                    r % 2 ? o[r / 2][d].hi : o[r / 2][d].lo;
            if (lane % 4) continue;
            const Global<float> ml = global<float>(a.split.ml) + place * 2;
            ml[0] = top[r] * LN_2;
            ml[1] = sum[r];
        }
    }
};

} // namespace aiteri

/* Where an address XOR a chunk's place stays in its row, and where wgmma's swizzle begins. */
extern __attribute__((shared, aligned(1024))) aiteri::u32x4 aiteri_aligned[];

#endif /* AITERI_FLASH_NVIDIA_ROWS_HPP */
