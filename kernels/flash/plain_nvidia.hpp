/* plain_nvidia.hpp -- the plain class of flash_fwd on NVIDIA, sm_80 and up: four warps of 32 query
 * rows, of which every fragment of K and V serves two blocks of 16.
 *
 * K and V are double buffered by cp.async: a tile has the time of a whole step to land, and a step
 * needs one barrier. Output rows are rescaled only when a maximum grew by more than 2^8. */
#ifndef AITERI_FLASH_PLAIN_NVIDIA_HPP
#define AITERI_FLASH_PLAIN_NVIDIA_HPP

#include "finish.hpp"
#include "../tile/finish.hpp"
#include "../tile/wave.hpp"

namespace aiteri
{

/* Of the first key of the work's head. */
AITERI_FN uint64_t source_address(const aiteri_gpu_source &x, const FlashWork &w, int group)
{
    return x.data + 2 * (uint64_t)(w.s.index * x.stride_outer + w.s.k_start * x.stride_token +
                                   w.head / group * x.stride_head);
}

/* Rows of D elements in shared memory, in chunks of 16 bytes that are permuted as in NvidiaTile.
 * All addresses of a fragment are one of the lane's XOR a constant, plus a constant. */
template <class T, int D, int KEYS, int THREADS> struct PlainNvidia {
    enum {
        TILE_ROWS = THREADS,
        ROWS = 32,          /* of a warp */
        BLOCKS = ROWS / 16, /* of a warp's rows */
        ROW_BYTES = D * 2,
        CHUNKS = D / CHUNK,
        DEPTH = D / 16,
        STEPS = KEYS / 16,
        PASS = THREADS / CHUNKS, /* keys that all threads load at once */
        TILE_BYTES = KEYS * ROW_BYTES,
        Q_BYTES = TILE_ROWS * ROW_BYTES,
        LDS_BYTES = Q_BYTES + 4 * TILE_BYTES
    };
    static_assert(PASS % 8 == 0 && KEYS % PASS == 0 && TILE_ROWS % PASS == 0, "one permutation");
    typedef float f32x4 __attribute__((ext_vector_type(4)));

    const aiteri_gpu_attention &a;
    FlashWork w;
    uint32_t shared;         /* address of Q, then K twice, then V twice */
    int lane, thread, first; /* first: query row of the warp */
    float scale;             /* of a score, times log2 e; its sign is in Q */
    int sure, some; /* keys below sure are seen by all rows of the warp, from `some` on by none */
    f32x4 o[BLOCKS][D / 8];
    float top[BLOCKS * 2], sum[BLOCKS * 2]; /* rows lane / 4 + 8 r; top in units of log2 e */

    AITERI_METHOD PlainNvidia(const aiteri_gpu_attention &args, const FlashWork &work)
        : a(args), w(work), lane(lane_id()), thread(thread_id()),
          first(work.first + wave_id() * ROWS)
    {
        const float x = a.score.softmax_scale * LOG2_E;
        scale = x < 0.0f ? -x : x;
        sure = limit(first);
        some = first < w.s.seqlen_q ? limit(smaller_of(first + ROWS, w.s.seqlen_q) - 1) : 0;
#pragma unroll
        for (int m = 0; m < BLOCKS; m++)
#pragma unroll
            for (int d = 0; d < D / 8; d++) o[m][d] = f32x4{};
#pragma unroll
        for (int r = 0; r < BLOCKS * 2; r++) {
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

    /* ---- from device memory to shared ---- */

    /* Where a thread's part of the next rows lies. */
    struct Rows {
        uint64_t next;
        int64_t pass; /* bytes of PASS rows */

        AITERI_METHOD static Rows of(uint64_t data, int64_t stride, int row, int thread)
        {
            return {data + (uint64_t)((row + thread / CHUNKS) * stride * 2 + thread % CHUNKS * 16),
                    PASS * stride * 2};
        }

        /* COUNT rows, `row` the first of them, zeros from `end` on. */
        template <int COUNT> AITERI_METHOD void fetch(uint32_t to, int row, int end, int thread)
        {
            const int c = thread % CHUNKS, mine = thread / CHUNKS;
            to += (uint32_t)(mine * ROW_BYTES + (c ^ mine % 8) * 16);
            if (row + COUNT <= end) {
#pragma unroll
                for (int i = 0; i < COUNT / PASS; i++) {
                    nvidia_copy(to, i * PASS * ROW_BYTES, next);
                    next += (uint64_t)pass;
                }
                return;
            }
            row += mine;
#pragma unroll
            for (int i = 0; i < COUNT / PASS; i++) {
                nvidia_copy_some(to, i * PASS * ROW_BYTES, next, row < end ? 16 : 0);
                if (row + PASS < end) next += (uint64_t)pass;
                row += PASS;
            }
        }
    };

    /* A negative scale is a positive one of negated queries. */
    AITERI_METHOD void negate_queries() const
    {
        const Local<u32x4> q = (Local<u32x4>)(uint64_t)shared;
#pragma clang loop unroll(disable)
        for (int i = thread; i < Q_BYTES / 16; i += THREADS) q[i] ^= 0x80008000u;
    }

    /* ---- one tile ---- */

    struct Scores {
        f32x4 at[BLOCKS][KEYS / 8];
    };

    AITERI_METHOD void score(uint32_t k, Scores &s) const
    {
        const int r = lane % 8;
        const uint32_t q = shared + (uint32_t)((thread / WAVE * ROWS + lane % 16) * ROW_BYTES +
                                               (r ^ lane / 16) * 16);
        k += (uint32_t)((lane / 16 * 8 + r) * ROW_BYTES + (r ^ lane / 8 % 2) * 16);
#pragma unroll
        for (int m = 0; m < BLOCKS; m++)
#pragma unroll
            for (int b = 0; b < KEYS / 8; b++) s.at[m][b] = f32x4{};
#pragma unroll
        for (int i = 0; i < DEPTH; i++) {
            u32x4 rows[BLOCKS];
#pragma unroll
            for (int m = 0; m < BLOCKS; m++)
                rows[m] = nvidia_matrices(q ^ i * 32, m * 16 * ROW_BYTES);
#pragma unroll
            for (int b = 0; b < STEPS; b++) {
                const u32x4 keys = nvidia_matrices(k ^ i * 32, b * 16 * ROW_BYTES);
#pragma unroll
                for (int m = 0; m < BLOCKS; m++) {
                    nvidia_mma<T>(rows[m], keys.x, keys.y, s.at[m][2 * b]);
                    nvidia_mma<T>(rows[m], keys.z, keys.w, s.at[m][2 * b + 1]);
                }
            }
        }
    }

    AITERI_METHOD int limit_of(int r) const { return limit(first + lane / 4 + 8 * r); }

    AITERI_METHOD void mask(Scores &s, int key) const
    {
#pragma unroll
        for (int r = 0; r < BLOCKS * 2; r++) {
            const int end = limit_of(r) - key - lane % 4 * 2;
#pragma unroll
            for (int b = 0; b < KEYS / 8; b++)
#pragma unroll
                for (int e = 0; e < 2; e++)
                    if (b * 8 + e >= end) s.at[r / 2][b][r % 2 * 2 + e] = minus_infinity();
        }
    }

    AITERI_METHOD void keep_in_range(const Scores &s)
    {
        float most[BLOCKS * 2];
        bool grew = false;
#pragma unroll
        for (int r = 0; r < BLOCKS * 2; r++) {
            most[r] = minus_infinity();
#pragma unroll
            for (int b = 0; b < KEYS / 8; b++)
                most[r] = larger(larger(most[r], s.at[r / 2][b][r % 2 * 2]),
                                 s.at[r / 2][b][r % 2 * 2 + 1]);
            most[r] *= scale;
            grew = grew || most[r] > top[r] + 8.0f;
        }
        if (!any_lane(grew)) return;
#pragma unroll
        for (int r = 0; r < BLOCKS * 2; r++) {
            float x = larger(most[r], lane_xor(most[r], 1));
            x = larger(top[r], larger(x, lane_xor(x, 2)));
            const float shrink = is_minus_infinity(top[r]) ? 1.0f : exp2(top[r] - x);
            top[r] = x;
            sum[r] *= shrink;
#pragma unroll
            for (int d = 0; d < D / 8; d++) {
                o[r / 2][d][r % 2 * 2] *= shrink;
                o[r / 2][d][r % 2 * 2 + 1] *= shrink;
            }
        }
    }

    /* Weights of keys [16 i, 16 i + 16) as operands. */
    AITERI_METHOD void weigh(const Scores &s, int i, const float *base, u32x4 *p)
    {
#pragma unroll
        for (int m = 0; m < BLOCKS; m++)
#pragma unroll
            for (int half = 0; half < 2; half++)
#pragma unroll
                for (int r = 0; r < 2; r++) {
                    const f32x4 x = s.at[m][2 * i + half];
                    const float y = exp2(__builtin_fmaf(x[2 * r], scale, -base[2 * m + r]));
                    const float z = exp2(__builtin_fmaf(x[2 * r + 1], scale, -base[2 * m + r]));
                    sum[2 * m + r] += y;
                    sum[2 * m + r] += z;
                    p[m][2 * half + r] = T::pack_weights(y, z);
                }
    }

    AITERI_METHOD void add_values(uint32_t v, const Scores &s)
    {
        const int r = lane % 8;
        float base[BLOCKS * 2];
        v += (uint32_t)(lane % 16 * ROW_BYTES + (r ^ lane / 16) * 16);
#pragma unroll
        for (int j = 0; j < BLOCKS * 2; j++) base[j] = is_minus_infinity(top[j]) ? 0.0f : top[j];
#pragma unroll
        for (int i = 0; i < STEPS; i++) {
            u32x4 p[BLOCKS];
            weigh(s, i, base, p);
#pragma unroll
            for (int d = 0; d < DEPTH; d++) {
                const u32x4 x = nvidia_matrices_transposed(v ^ d * 32, i * 16 * ROW_BYTES);
#pragma unroll
                for (int m = 0; m < BLOCKS; m++) {
                    nvidia_mma<T>(p[m], x.x, x.y, o[m][2 * d]);
                    nvidia_mma<T>(p[m], x.z, x.w, o[m][2 * d + 1]);
                }
            }
        }
    }

    /* ---- tiles that some rows see only in part ---- */

    /* 0 times NaN is NaN, and a key that a row does not see must not reach it: what is not finite
     * leaves the tile for the rows that see it, and zeros take its place. */
    AITERI_METHOD void move_non_finite(uint32_t v, int key)
    {
        const Local<u32x4> at = (Local<u32x4>)(uint64_t)v;
        bool found = false;
#pragma unroll
        for (int i = 0; i < TILE_BYTES / 16 / THREADS; i++)
            found = has_non_finite<T>(at[thread + i * THREADS]) || found;
        if (!nvidia_any_thread(found)) return;
#pragma clang loop unroll(disable)
        for (int j = 0; j < KEYS; j++) take_non_finite((Local<const uint32_t>)at, key, j);
        barrier();
#pragma clang loop unroll(disable)
        for (int i = thread; i < TILE_BYTES / 16; i += THREADS)
            at[i] = map_halves(at[i], finite_or_zero<T>);
        barrier();
    }

    AITERI_METHOD void take_non_finite(Local<const uint32_t> v, int key, int j)
    {
#pragma unroll
        for (int d = 0; d < D / 8; d++) {
            const uint32_t pair = v[j * (ROW_BYTES / 4) + (d ^ j % 8) * 4 + lane % 4];
#pragma unroll
            for (int e = 0; e < 2; e++) {
                const float x = T::widen((uint16_t)(pair >> e * 16));
                const bool finite = x - x == 0.0f;
#pragma unroll
                for (int r = 0; r < BLOCKS * 2; r++)
                    o[r / 2][d][r % 2 * 2 + e] += finite || key + j >= limit_of(r) ? 0.0f : x;
            }
        }
    }

    AITERI_METHOD void tile(uint32_t k, uint32_t v, int key)
    {
        Scores s;
        if (key + KEYS > limit(w.first)) move_non_finite(v, key);
        if (key >= some) return;
        score(k, s);
        if (key + KEYS > sure) mask(s, key);
        keep_in_range(s);
        add_values(v, s);
    }

    AITERI_METHOD void run(Local<u32x4> tiles)
    {
        const TileWalk walk = flash_walk(a, w, TILE_ROWS, KEYS);
        shared = (uint32_t)(uint64_t)tiles;
        if (walk.first >= walk.end) return;
        const int n = w.s.seqlen_k;
        Rows q = Rows::of(row_address(a.q, w, 0), a.q.stride_token, w.first, thread);
        Rows k =
            Rows::of(source_address(a.k, w, a.group), a.k.stride_token, walk.first * KEYS, thread);
        Rows v =
            Rows::of(source_address(a.v, w, a.group), a.v.stride_token, walk.first * KEYS, thread);
        uint32_t at = shared + Q_BYTES, other = at + TILE_BYTES;
        q.template fetch<TILE_ROWS>(shared, w.first, w.s.seqlen_q, thread);
        k.template fetch<KEYS>(at, walk.first * KEYS, n, thread);
        v.template fetch<KEYS>(at + 2 * TILE_BYTES, walk.first * KEYS, n, thread);
        if (a.score.softmax_scale < 0.0f) {
            nvidia_copies_done();
            barrier();
            negate_queries();
        }
#pragma clang loop unroll(disable)
        for (int i = walk.first; i < walk.end; i++) {
            nvidia_copies_done();
            barrier(); /* this tile is there, and nobody reads the last one */
            if (i + 1 < walk.end) {
                k.template fetch<KEYS>(other, (i + 1) * KEYS, n, thread);
                v.template fetch<KEYS>(other + 2 * TILE_BYTES, (i + 1) * KEYS, n, thread);
            }
            tile(at, at + 2 * TILE_BYTES, i * KEYS);
            const uint32_t was = at;
            at = other;
            other = was;
        }
    }

    /* ---- results ---- */

    AITERI_METHOD void finish()
    {
        float factor[BLOCKS * 2];
#pragma unroll
        for (int r = 0; r < BLOCKS * 2; r++) {
            sum[r] += lane_xor(sum[r], 1);
            sum[r] += lane_xor(sum[r], 2);
        }
        if (a.split.count > 1) return store_partials();
#pragma unroll
        for (int r = 0; r < BLOCKS * 2; r++) {
            const int row = first + lane / 4 + 8 * r;
            float lse;
            factor[r] = finish_state(a.score, w.head, top[r] * LN_2, sum[r], &lse);
            if (a.lse && lane % 4 == 0 && row < w.s.seqlen_q)
                global<float>(a.lse)[w.s.index * a.lse_stride_batch + w.head * a.lse_stride_head +
                                     (w.s.q_start + row) * a.lse_stride_token] = lse;
        }
        store(factor);
    }

    /* Through the warp's own rows of Q: 16-byte stores of whole rows. */
    AITERI_METHOD void store(const float *factor) const
    {
        const Local<u32x4> rows =
            (Local<u32x4>)(uint64_t)(shared + (uint32_t)(thread / WAVE * ROWS * ROW_BYTES));
        wave_fence();
#pragma unroll
        for (int r = 0; r < BLOCKS * 2; r++)
#pragma unroll
            for (int d = 0; d < D / 8; d++) {
                const int row = lane / 4 + 8 * r;
                const f32x4 x = o[r / 2][d];
                const bool none = factor[r] == 0.0f;
                const float y = none ? 0.0f : x[r % 2 * 2] * factor[r];
                const float z = none ? 0.0f : x[r % 2 * 2 + 1] * factor[r];
                ((Local<uint32_t>)(rows + row * CHUNKS + (d ^ row % 8)))[lane % 4] = T::pack(y, z);
            }
        wave_fence();
#pragma unroll
        for (int i = 0; i < ROWS * CHUNKS / WAVE; i++) {
            const int row = (i * WAVE + lane) / CHUNKS, c = lane % CHUNKS;
            if (first + row < w.s.seqlen_q)
                global<u32x4>(row_address(a.out, w, first + row))[c] =
                    rows[row * CHUNKS + (c ^ row % 8)];
        }
    }

    AITERI_METHOD void store_partials() const
    {
        const int64_t head = (int64_t)w.s.index * a.heads_q + w.head;
#pragma unroll
        for (int r = 0; r < BLOCKS * 2; r++) {
            const int row = first + lane / 4 + 8 * r;
            if (row >= w.s.seqlen_q) continue;
            const int64_t place = w.split * a.split.rows + head * a.q_lengths.most + row;
            const Global<float> out = global<float>(a.split.o) + place * D;
            typedef float f32x2 __attribute__((ext_vector_type(2)));
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

/* Where an address XOR a chunk's place stays in its row. */
extern __attribute__((shared, aligned(256))) aiteri::u32x4 aiteri_aligned[];

#define AITERI_FLASH_plain(F, T, dq, dv, threads, rows, keys)    \
    typedef aiteri::PlainNvidia<T, dq, keys, threads> F;         \
    static_assert(dq == dv && rows == F::TILE_ROWS, "geometry"); \
    aiteri::flash_fwd<F>(aiteri::arguments(a), (aiteri::Local<aiteri::u32x4>)aiteri_aligned);

#endif /* AITERI_FLASH_PLAIN_NVIDIA_HPP */
