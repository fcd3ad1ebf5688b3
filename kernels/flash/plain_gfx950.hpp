/* plain_gfx950.hpp -- the plain class of flash_fwd on gfx950: two waves a SIMD
 * whose matrix instructions hide each other's softmax, K and V straight from
 * device memory to LDS. */
#ifndef AITERI_FLASH_PLAIN_GFX950_HPP
#define AITERI_FLASH_PLAIN_GFX950_HPP

#include "far_rows.hpp"
#include "finish.hpp"

namespace aiteri
{
typedef float f32x2 __attribute__((ext_vector_type(2)));

/* What kind of instruction may be scheduled next: the masks of
 * sched_group_barrier. */
enum { SCHED_VALU = 0x2, SCHED_MFMA = 0x8, SCHED_LDS_READ = 0x100, SCHED_EXP = 0x400 };

/* The same value of lane ^ 32, by a swap of half registers. */
AITERI_FN float larger_of_halves(float x)
{
    const uint32_t bits = __builtin_bit_cast(uint32_t, x);
    const auto both = __builtin_amdgcn_permlane32_swap(bits, bits, false, false);
    return __builtin_elementwise_maximum(__builtin_bit_cast(float, (uint32_t)both[0]),
                                         __builtin_bit_cast(float, (uint32_t)both[1]));
}

/* Orders memory operations in the compiler alone: waits are written out. */
AITERI_FN void bare_barrier()
{
    __builtin_amdgcn_fence(__ATOMIC_ACQ_REL, "wavefront");
    __builtin_amdgcn_s_barrier();
    __builtin_amdgcn_fence(__ATOMIC_ACQ_REL, "wavefront");
}

/* Until at most LEFT loads of this wave are under way; until none of its LDS
 * accesses is. */
template <int LEFT> AITERI_FN void wait_for_loads()
{
    __builtin_amdgcn_s_waitcnt(0x0f70 | (LEFT & 15) | LEFT >> 4 << 14);
}
AITERI_FN void wait_for_lds() { __builtin_amdgcn_s_waitcnt(0xc07f); }

/* Rows of K or V on their way to LDS, tile after tile. A wave writes 64 chunks
 * in a row, so what swizzles the tile is the place that each lane reads. */
template <class Tile, int KEYS, int D, int THREADS> struct DirectStage {
    enum { CHUNKS = D / CHUNK, LOADS = KEYS * CHUNKS / THREADS, ROWS = THREADS / CHUNKS };
    static_assert(ROWS % 16 == 0, "the swizzle of a lane is the same in all its loads");
    uint64_t next; /* address of the next tile */
    uint64_t tile_bytes;
    uint32_t token_bytes, offset; /* offset: of the lane, from the tile's first row */
    int left;                     /* rows from the next tile on; those after them become zeros */

    AITERI_METHOD DirectStage(const SourceRows &rows, int first, int thread)
        : next(rows.base + (uint64_t)(first * rows.token_bytes)),
          tile_bytes((uint64_t)(KEYS * rows.token_bytes)), token_bytes((uint32_t)rows.token_bytes),
          left(rows.end - first)
    {
        const int key = thread / CHUNKS, place = thread % CHUNKS;
        const int c = Tile::place(key, place) - key * CHUNKS; /* an exclusive or: its own inverse */
        offset = (uint32_t)key * token_bytes + (uint32_t)(c * 16);
    }
    AITERI_METHOD void load(Local<u32x4> tile)
    {
        const uint32_t rows = (uint32_t)smaller_of(left, (int)KEYS);
        const uint32_t bytes = left > 0 ? (rows - 1) * token_bytes + D * 2 : 0;
        const auto buffer =
            __builtin_amdgcn_make_buffer_rsrc((void *)next, 0, (int)bytes, 0x00027000);
        const Local<u32x4> to = tile + wave_id() * WAVE;
#pragma unroll
        for (int i = 0; i < LOADS; i++)
            __builtin_amdgcn_raw_ptr_buffer_load_lds(buffer, (Local<void>)(to + i * THREADS), 16,
                                                     (int)offset, (int)(i * ROWS * token_bytes), 0,
                                                     0);
        next += tile_bytes;
        left -= KEYS;
    }
};

template <class T, int DQ, int DV, int THREADS, int TILE, int KEYS> struct PlainFlash {
    enum {
        TILE_ROWS = TILE,
        WAVES = THREADS / WAVE,
        BUFFERS = 3, /* of K and of V */
        K_AHEAD = 4, /* operands that are read before their step */
        V_AHEAD = 4
    };
    typedef Matrix<T, TILE_ROWS / WAVES> M;
    typedef typename M::Operand Operand;
    typedef typename M::Acc Acc;
    typedef KeyTile<M, KEYS, DQ> KTile;
    typedef ValueTile<M, KEYS, DV> VTile;
    enum {
        OUT = DV / M::COLS,
        DEPTH = DQ / M::STEP,
        BLOCKS = KEYS / M::COLS,
        COUNT = BLOCKS * M::ELEMENTS,
        STEPS = KEYS / M::STEP,
        K_COUNT = BLOCKS * DEPTH,
        V_COUNT = STEPS * OUT,
        MAX_FROM = V_COUNT / 8 + 1, /* products before the search for the largest score */
        MAX_PARTS = V_COUNT / 2,
        K_BYTES = KTile::BYTES,
        V_BYTES = VTile::BYTES,
        LDS_BYTES = BUFFERS * (K_BYTES + V_BYTES + 4 * WAVES)
    };
    typedef DirectStage<KTile, KEYS, DQ, THREADS> KStage;
    typedef DirectStage<VTile, KEYS, DV, THREADS> VStage;

    const aiteri_gpu_attention &a;
    FlashWork w;
    int lane, first; /* first: query row of the wave */
    int row[M::LANE_ROWS];
    int hi; /* keys below it are visible to the lane's row */
    Operand q[DEPTH];
    Acc o[OUT], s[BLOCKS];
    Operand k_ahead[K_AHEAD], v_ahead[V_AHEAD];
    int k_place, v_place;    /* bytes: of the lane's first operands in a tile */
    float factor, top, base; /* top: largest score that counts, base: -top * factor or 0 */
    f32x2 sum;
    Local<u32x4> k_tiles[BUFFERS], v_tiles[BUFFERS];
    Local<int> odd_tiles; /* of each V buffer: the tile that has values that are
                             not finite */

    AITERI_METHOD PlainFlash(const aiteri_gpu_attention &args, const FlashWork &work)
        : a(args), w(work), lane(lane_id()), first(work.first + wave_id() * M::ROWS),
          top(minus_infinity()), base(0.0f), sum{0.0f, 0.0f}
    {
        row[0] = first + M::row(lane, 0);
        hi = visible_keys(a.mask, w.s, row[0]).hi;
        k_place = KTile::place(lane % M::ROWS, lane / M::ROWS) * 16;
        const int key = lane / M::ROWS * 4 + lane % 16 / 4;
        v_place = VTile::place(key, lane % M::ROWS / 16 * 2 + lane % 4 / 2) * 16 + lane % 2 * 8;
#pragma unroll
        for (int d = 0; d < OUT; d++)
#pragma unroll
            for (int e = 0; e < M::ELEMENTS; e++) asm("v_mov_b32 %0, 0" : "=v"(o[d][e]));
    }

    /* A score's factor is positive: the sign of the scale goes to the queries,
     * where it is exact, and 0 becomes a number that leaves every score 0. */
    AITERI_METHOD void load_queries()
    {
        const float scale = a.score.softmax_scale * LOG2_E;
        const uint32_t flip = scale < 0.0f ? 0x80008000u : 0;
        factor = larger(__builtin_fabsf(scale), 0x1p-126f);
        const auto at = [&](int i) AITERI_INLINE {
            return global<const uint16_t>(first + i < w.s.seqlen_q ? row_address(a.q, w, first + i)
                                                                   : 0);
        };
#pragma unroll
        for (int i = 0; i < DEPTH; i++) q[i] = M::load_rows(at, {DQ, true}, i, lane) ^ flip;
    }

    template <int B> AITERI_METHOD Operand key_operand(int i) const
    {
        const Local<const char> tile = (Local<const char>)k_tiles[B];
        const int at = k_place ^ i / BLOCKS * (M::GROUPS * 16);
        return *(Local<const u32x4>)(tile + at + i % BLOCKS * (M::COLS * DQ * 2));
    }
    template <int B> AITERI_METHOD Operand value_operand(int i) const
    {
        typedef short s16x4 __attribute__((ext_vector_type(4)));
        const Local<char> tile = (Local<char>)v_tiles[B] + i / OUT * (M::STEP * DV * 2);
        const int at = v_place ^ i % OUT * (M::COLS * 2);
        const u32x2 lo = __builtin_bit_cast(
            u32x2, __builtin_amdgcn_ds_read_tr16_b64_v4i16((Local<s16x4>)(tile + at)));
        const u32x2 hi =
            __builtin_bit_cast(u32x2, __builtin_amdgcn_ds_read_tr16_b64_v4i16(
                                          (Local<s16x4>)(tile + at + M::STEP / 2 * DV * 2)));
        return {lo.x, lo.y, hi.x, hi.y};
    }
    template <int B> AITERI_METHOD void read_keys_ahead()
    {
#pragma unroll
        for (int i = 0; i < K_AHEAD; i++) k_ahead[i] = key_operand<B>(i);
    }
    /* A product of the next scores, and with it two weights of these, pinned in
     * this order: the wave's vector instructions fill the time of its matrix
     * instructions. */
    template <int B, bool WEIGH> AITERI_METHOD void score_and_weigh(Acc *next, Operand *p)
    {
        Operand k[K_COUNT];
        f32x2 y = {};
        float x[M::OPERAND];
        constexpr int PER = COUNT / 2 / K_COUNT;
        static_assert(PER * K_COUNT * 2 == COUNT, "pairs of weights beside each product");
        if (WEIGH) y = exponent(0);
#pragma unroll
        for (int b = 0; b < BLOCKS; b++) next[b] = Acc{};
#pragma unroll
        for (int i = 0; i < K_COUNT; i++) {
            __builtin_amdgcn_sched_barrier(0);
            const Operand operand = i < K_AHEAD ? k_ahead[i % K_AHEAD] : k[i];
            next[i % BLOCKS] = M::mma(q[i / BLOCKS], operand, next[i % BLOCKS]);
            if (i + K_AHEAD < K_COUNT) k[i + K_AHEAD] = key_operand<B>(i + K_AHEAD);
            if (WEIGH && i + V_AHEAD >= K_COUNT)
                v_ahead[i + V_AHEAD - K_COUNT] =
                    value_operand<(B + BUFFERS - 1) % BUFFERS>(i + V_AHEAD - K_COUNT);
            if (!WEIGH) continue;
#pragma unroll
            for (int j = i * PER; j < (i + 1) * PER; j++) {
                const f32x2 e = {exp2(y.x), exp2(y.y)};
                if (2 * j + 2 < COUNT) y = exponent(2 * j + 2);
                x[2 * j % M::OPERAND] = e.x;
                x[2 * j % M::OPERAND + 1] = e.y;
                sum += e;
                if (2 * j % M::OPERAND == M::OPERAND - 2) p[2 * j / M::OPERAND] = M::weights(x);
            }
        }
        __builtin_amdgcn_sched_barrier(0);
    }
    /* What the weights of elements i and i + 1 are powers of 2 of. */
    AITERI_METHOD f32x2 exponent(int i) const
    {
        const Acc &from = s[i / M::ELEMENTS];
        const f32x2 y = {from[i % M::ELEMENTS], from[i % M::ELEMENTS + 1]};
        return __builtin_elementwise_fma(y, f32x2{factor, factor}, f32x2{base, base});
    }

    template <int B> AITERI_METHOD float add_values(const Operand *p, const Acc *next)
    {
        Operand v[V_COUNT];
        float y = 0.0f;
#pragma unroll
        for (int i = 0; i < V_COUNT; i++) {
            __builtin_amdgcn_sched_barrier(0);
            const Operand operand = i < V_AHEAD ? v_ahead[i % V_AHEAD] : v[i];
            o[i % OUT] = M::mma(p[i / OUT], operand, o[i % OUT]);
            if (i + V_AHEAD < V_COUNT) v[i + V_AHEAD] = value_operand<B>(i + V_AHEAD);
            if (i + K_AHEAD >= V_COUNT)
                k_ahead[i + K_AHEAD - V_COUNT] =
                    key_operand<(B + 2) % BUFFERS>(i + K_AHEAD - V_COUNT);
            if (i >= MAX_FROM && i < MAX_FROM + MAX_PARTS)
                y = largest_of(next, (i - MAX_FROM) * (COUNT / MAX_PARTS), COUNT / MAX_PARTS, y);
            if (i == MAX_FROM + MAX_PARTS) y = larger_of_halves(y);
        }
        __builtin_amdgcn_sched_barrier(0);
        return y;
    }
    AITERI_METHOD float largest_of(const Acc *x, int from, int count, float y) const
    {
        if (from == 0) y = x[0][0];
#pragma unroll
        for (int i = from; i < from + count; i++)
            y = __builtin_elementwise_maximum(y, x[i / M::ELEMENTS][i % M::ELEMENTS]);
        return y;
    }

    AITERI_METHOD static constexpr int key_of(int i)
    {
        return i / M::ELEMENTS * M::COLS + M::col_of(i % M::ELEMENTS);
    }
    /* Elements i with key_of(i) below it are visible. */
    AITERI_METHOD int limit(int tile) const { return hi - tile * KEYS - M::col_of_lane(lane); }

    AITERI_METHOD void mask(int tile)
    {
        const int seen = limit(tile);
        if (!any_lane(seen < KEYS)) return;
#pragma unroll
        for (int i = 0; i < COUNT; i++)
            if (key_of(i) >= seen) s[i / M::ELEMENTS][i % M::ELEMENTS] = minus_infinity();
    }

    AITERI_METHOD float largest(const Acc *x) const
    {
        return larger_of_halves(largest_of(x, 0, COUNT, 0.0f));
    }

    /* A row's sums are rescaled only when its weights would pass 2^8: what they
     * are measured from is not the largest score then, but the same in numerator
     * and denominator. */
    AITERI_METHOD void raise(float seen)
    {
        const bool over = (seen - top) * factor > 8.0f;
        if (__builtin_expect(!any_lane(over), 1)) return;
        const float old = top;
        if (over) top = is_far(far_base(seen * factor)) ? __builtin_inff() : seen;
        const float shrink = over ? exp2((old - top) * factor) : 1.0f;
        base = is_minus_infinity(top) ? 0.0f : -top * factor - T::WEIGHT_BIAS;
        sum *= shrink;
#pragma unroll
        for (int d = 0; d < OUT; d++) o[d] *= shrink;
    }

    /* 0 times NaN is NaN: a key that a row does not see must not reach it.
     * Whether the values of a tile are all finite is found by each thread for
     * what it loaded, before the barrier. */
    template <int B> AITERI_METHOD void note_odd_values(int tile) const
    {
        const Local<const u32x4> v = v_tiles[B];
        bool odd = false;
#pragma unroll
        for (int i = 0; i < VStage::LOADS; i++)
            odd = has_non_finite<T>(v[thread_id() + i * THREADS]) || odd;
        if (any_lane(odd)) odd_tiles[B * WAVES + wave_id()] = tile;
    }
    /* What is not finite is added where it is seen, one key after the other, and
     * 0 for the product. */
    template <int B> AITERI_METHOD void separate_odd_values(int tile)
    {
        if (!any_lane(odd_tiles[B * WAVES + lane % WAVES] == tile)) return;
        const Local<u32x4> v = v_tiles[B];
        const int seen = hi - tile * KEYS;
#pragma clang loop unroll(disable)
        for (int key = 0; key < KEYS; key++)
            if (any_lane(has_non_finite<T>(v[key * VTile::CHUNKS + lane % VTile::CHUNKS])))
                add_not_finite<B>(key, key < seen);
        wait_for_lds();
        bare_barrier();
#pragma unroll
        for (int i = 0; i < VStage::LOADS; i++) {
            const int at = thread_id() + i * THREADS;
            const Operand x = M::map(v[at], finite_or_zero<T>);
            /* A plain store would have another type than the loads to LDS, and the compiler, which
             * tells eight kinds of stores apart, would then wait for more than it needs. */
            __builtin_memcpy((Operand *)(v + at), &x, sizeof x);
        }
        wait_for_lds();
        bare_barrier();
    }
    template <int B> AITERI_METHOD void add_not_finite(int key, bool seen)
    {
        const Local<const char> v = (Local<const char>)v_tiles[B] + M::col_of_lane(lane) * 2;
#pragma unroll
        for (int i = 0; i < DV / M::GROUPS; i += M::RUN) {
            __builtin_amdgcn_sched_barrier(0);
            const int chunk =
                VTile::place(key, (i / M::ELEMENTS * M::COLS + M::col_of(i % M::ELEMENTS)) / CHUNK);
            const u32x2 x = *(Local<const u32x2>)(v + chunk * 16);
#pragma unroll
            for (int e = 0; e < M::RUN; e++) {
                const uint16_t half = (uint16_t)(x[e / 2] >> (e % 2 * 16));
                const bool odd = seen & ((half & T::EXPONENT) == T::EXPONENT);
                o[i / M::ELEMENTS][i % M::ELEMENTS + e] += odd ? T::widen(half) : 0.0f;
            }
        }
    }

    /* K of step n + 2 and V of step n + 1 are there for all waves, nobody reads K
     * of n + 1 or V of n - 1 any more: V of n + 2 and K of n + 4 take their
     * places. */
    template <int B, bool MASKED>
    AITERI_METHOD void turn(KStage &k_stage, VStage &v_stage, int n) const
    {
        wait_for_loads<KStage::LOADS>(); /* all but the newest K */
        if (MASKED) {
            note_odd_values<(B + 1) % BUFFERS>(n + 1);
            wait_for_lds();
        }
        bare_barrier();
        v_stage.load(v_tiles[(B + 2) % BUFFERS]);
        k_stage.load(k_tiles[(B + 1) % BUFFERS]);
    }

    /* Step n, whose tiles are in buffers B and whose scores are in s: their
     * weights while the scores of n + 1 are computed, the largest of those while
     * the values of n are added. */
    template <int B, bool MASKED> AITERI_METHOD void step(KStage &k_stage, VStage &v_stage, int n)
    {
        Acc next[BLOCKS];
        Operand p[STEPS];
        if (MASKED) {
            /* What follows from these is worth no register through the loop. */
            asm volatile("" : "+v"(k_place), "+v"(v_place), "+v"(lane));
            separate_odd_values<B>(n);
        }
        score_and_weigh<(B + 1) % BUFFERS, true>(next, p);
        turn<B, MASKED>(k_stage, v_stage, n);
        float seen = add_values<B>(p, next);
#pragma unroll
        for (int b = 0; b < BLOCKS; b++) s[b] = next[b];
        if (MASKED) {
            mask(n + 1);
            seen = largest(s);
        }
        raise(seen);
    }

    AITERI_METHOD void run(Local<u32x4> k0, Local<u32x4> k1, Local<u32x4> k2, Local<u32x4> v0,
                           Local<u32x4> v1, Local<u32x4> v2, Local<int> odd)
    {
        odd_tiles = odd;
        k_tiles[0] = k0, k_tiles[1] = k1, k_tiles[2] = k2;
        v_tiles[0] = v0, v_tiles[1] = v1, v_tiles[2] = v2;
        const SourceRows k_rows = source_rows(a, a.k, DQ, w.s, w.head / a.group, w.s.seqlen_k);
        const SourceRows v_rows = source_rows(a, a.v, DV, w.s, w.head / a.group, w.s.seqlen_k);
        const TileWalk tiles = flash_walk(a, w, TILE_ROWS, KEYS);
        int n = tiles.first;
        KStage k_stage(k_rows, n * KEYS, thread_id());
        VStage v_stage(v_rows, n * KEYS, thread_id());
        if (n >= tiles.end) return;
        hi = (int)smaller_of<int64_t>(hi, (int64_t)tiles.end * KEYS);
        load_queries();
        if (thread_id() < BUFFERS * WAVES) odd[thread_id()] = -1;
        wait_for_lds();
        bare_barrier();
        k_stage.load(k0);
        k_stage.load(k1);
        v_stage.load(v0);
        k_stage.load(k2);
        begin(k_stage, v_stage, n);
        const int whole = visible_keys(a.mask, w.s, w.first).hi / KEYS; /* tiles that all see */
        for (; n + BUFFERS < smaller_of(whole, tiles.end); n += BUFFERS) {
            step<0, false>(k_stage, v_stage, n);
            step<1, false>(k_stage, v_stage, n + 1);
            step<2, false>(k_stage, v_stage, n + 2);
        }
        note_odd_values<0>(n);
        wait_for_lds();
        bare_barrier();
        /* Steps past the end see no key. Leaving the loop at one place alone lets the compiler know
         * what is under way. */
        for (; n < tiles.end; n += BUFFERS) {
            step<0, true>(k_stage, v_stage, n);
            step<1, true>(k_stage, v_stage, n + 1);
            step<2, true>(k_stage, v_stage, n + 2);
        }
        wait_for_loads<0>(); /* LDS is not ours when the loads land after the end */
    }

    /* Scores of the first step. */
    AITERI_METHOD void begin(KStage &k_stage, VStage &v_stage, int n)
    {
        wait_for_loads<2 * KStage::LOADS + VStage::LOADS>();
        bare_barrier();
        read_keys_ahead<0>();
        score_and_weigh<0, false>(s, nullptr);
        wait_for_lds();
        turn<2, true>(k_stage, v_stage, n - 1);
        mask(n);
        raise(largest(s));
        read_keys_ahead<1>();
    }

    AITERI_METHOD void finish()
    {
        RowState<M> state;
        state.max[0] = is_minus_infinity(top) ? top : -base;
        state.sum[0] = sum.x + sum.y;
        finish_plain<M, DV, false>(a, flash_work(a, TILE_ROWS), row[0], o, state);
    }
};

} // namespace aiteri

#define AITERI_FLASH_plain(F, T, dq, dv, threads, rows, keys)                                    \
    typedef aiteri::PlainFlash<T, dq, dv, threads, rows, keys> F;                                \
    __attribute__((shared)) aiteri::u32x4 k0[F::K_BYTES / 16];                                   \
    __attribute__((shared)) aiteri::u32x4 k1[F::K_BYTES / 16];                                   \
    __attribute__((shared)) aiteri::u32x4 k2[F::K_BYTES / 16];                                   \
    __attribute__((shared)) aiteri::u32x4 v0[F::V_BYTES / 16];                                   \
    __attribute__((shared)) aiteri::u32x4 v1[F::V_BYTES / 16];                                   \
    __attribute__((shared)) aiteri::u32x4 v2[F::V_BYTES / 16];                                   \
    __attribute__((shared)) int odd[F::BUFFERS * F::WAVES];                                      \
    typedef aiteri::Local<aiteri::u32x4> Tile;                                                   \
    aiteri::flash_fwd<F>(aiteri::arguments(a), (Tile)k0, (Tile)k1, (Tile)k2, (Tile)v0, (Tile)v1, \
                         (Tile)v2, (aiteri::Local<int>)odd)

#endif /* AITERI_FLASH_PLAIN_GFX950_HPP */
