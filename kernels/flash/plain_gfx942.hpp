/* plain_gfx942.hpp -- the plain class of flash_fwd on gfx942.
 *
 * Eight waves of 32 query rows, two on each SIMD. While one of the two multiplies (values of the
 * last tile, then scores of this one), the other turns its scores into weights and moves the next
 * tiles from registers to LDS: the upper four waves run half a step behind the lower four. A step
 * has four barriers, two in each half:
 *
 *     lower   PV n-1, QK n | .. QK n | K n+1 to LDS, softmax | V n+1 to LDS, softmax |
 *     upper   K n to LDS   | V n ..  | PV n-1, QK n          | .. QK n               |
 *
 * Keys and values are there twice: 4 tiles of 16 KiB are all of LDS. The last tiles, of which some
 * row may not see all keys, come after that loop, step by step. */
#ifndef AITERI_FLASH_PLAIN_GFX942_HPP
#define AITERI_FLASH_PLAIN_GFX942_HPP

#include "finish.hpp"
#include "lazy.hpp"

namespace aiteri
{

/* Nothing moves across. */
AITERI_FN void schedule_wall() { __builtin_amdgcn_sched_barrier(0); }

/* What the wave wrote to LDS is there, what it read has been read. */
AITERI_FN void settled_barrier()
{
    schedule_wall();
    barrier();
    schedule_wall();
}

/* For waves that wrote nothing since the last barrier; their reads may be under way. */
AITERI_FN void bare_barrier()
{
    schedule_wall();
    asm volatile("" ::: "memory");
    __builtin_amdgcn_s_barrier();
    asm volatile("" ::: "memory");
    schedule_wall();
}

/* The rows of K or V that a workgroup moves. A descriptor's 32-bit offsets reach over one tile; its
 * base goes from tile to tile. */
struct TileRows {
    uint64_t at, step;
    int token; /* bytes */

    AITERI_METHOD static TileRows of(const SourceRows &rows, int first, int keys)
    {
        return {rows.base + (uint64_t)(first * rows.token_bytes),
                (uint64_t)(keys * rows.token_bytes), (int)rows.token_bytes};
    }
    /* Keys from `there` on read as zeros. */
    AITERI_METHOD __amdgpu_buffer_rsrc_t tile(int there, int row_bytes) const
    {
        const int bytes = there > 0 ? (there - 1) * token + row_bytes : 0;
        return __builtin_amdgcn_make_buffer_rsrc((void *)at, 0, bytes, 0x00027000);
    }
    AITERI_METHOD void next(bool more) { at += more ? step : 0; }
};

template <class T, int D, int KEYS> struct TwoGroups {
    enum { THREADS = 512, TILE_BYTES = KEYS * D * 2, LDS_BYTES = 4 * TILE_BYTES };
    typedef Matrix<T, 32> M;
    typedef KeyTile<M, KEYS, D> KTile;
    typedef ValueTile<M, KEYS, D> VTile;
    typedef typename M::Acc Acc;
    enum {
        DEPTH = D / M::STEP,
        OUT = D / M::COLS,
        BLOCKS = KEYS / M::COLS,
        STEPS = KEYS / M::STEP,
        PAIRS = BLOCKS * M::ELEMENTS / 2,
        K_READS = BLOCKS * DEPTH,
        V_READS = STEPS * OUT,
        K_LOADS = KEYS * (D / CHUNK) / THREADS
    };
    static_assert(TILE_BYTES == 16384, "loads: 2 chunks of K, 4 half chunks of V for each thread");
    /* Operands in registers before their turn: LDS answers after more than one product. With heads
     * of 64 the softmax is the longer half, and takes longer to its first barrier. */
    enum { K_AHEAD = D == 128 ? 6 : 4, V_AHEAD = K_AHEAD + 2 };

    TileRows k, v;
    int k_lane, v_lane;                              /* byte offsets inside a tile's rows */
    uint32_t k_read[4], v_read[4], k_write, v_write; /* LDS addresses */
    u32x4 k_piece[K_LOADS];
    u32x2 v_piece[4]; /* 4 keys of 4 columns */
    u32x4 ahead[V_AHEAD];
    u32x4 p[STEPS];
    Acc s[BLOCKS];
    LazyRow<T> row;
    const u32x4 (&q)[DEPTH];
    Acc (&o)[OUT];

    /* k, v: buffer 0; buffer 1 lies TILE_BYTES behind. The lanes that write V together take 8
     * times 4 columns of both halves of a chunk, which meets every bank once. */
    AITERI_METHOD TwoGroups(Local<u32x4> k_tiles, Local<u32x4> v_tiles, const TileRows &k_rows,
                            const TileRows &v_rows, float factor, const u32x4 (&queries)[DEPTH],
                            Acc (&sums)[OUT])
        : k(k_rows), v(v_rows), q(queries), o(sums)
    {
        const int lane = lane_id(), thread = thread_id();
        const uint32_t k_at = (uint32_t)k_tiles, v_at = (uint32_t)v_tiles;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            k_read[i] = kept(k_at + KTile::place(lane % 32, 2 * i + lane / 32) * 16);
            v_read[i] = kept(v_at + VTile::place(lane % 32, 2 * i + lane / 32) * 16);
        }
        const int key = thread / (D / CHUNK), c = thread % (D / CHUNK);
        k_write = kept(k_at + KTile::place(key, c) * 16);
        k_lane = key * k.token + c * 16;
        const int half = thread / 8 % 2, chunk = thread / 16 / (D / 32);
        const int column = (thread % 8 + thread / 16 % (D / 32) * 8) * 4;
        v_write = kept(v_at + VTile::place(column, chunk) * 16 + half * 8);
        v_lane = VTile::key_of(chunk, half) * v.token + column * 2;
        row.start(factor);
    }

    /* In a register: not made again of its parts at every use. */
    AITERI_METHOD static uint32_t kept(uint32_t x)
    {
        asm volatile("" : "+v"(x));
        return x;
    }
    template <class X> AITERI_METHOD static Local<X> lds(uint32_t at) { return (Local<X>)at; }

    AITERI_METHOD void fetch_k(bool more, int there = KEYS)
    {
        const auto tile = k.tile(there, D * 2);
#pragma unroll
        for (int i = 0; i < K_LOADS; i++)
            k_piece[i] = __builtin_amdgcn_raw_buffer_load_b128(tile, k_lane,
                                                               i * (KEYS / K_LOADS) * k.token, 0);
        k.next(more);
    }
    AITERI_METHOD void fetch_v(bool more, int there = KEYS)
    {
        const auto tile = v.tile(there, D * 2);
#pragma unroll
        for (int i = 0; i < 4; i++)
            v_piece[i] = __builtin_amdgcn_raw_buffer_load_b64(tile, v_lane, i * v.token, 0);
        v.next(more);
    }
    AITERI_METHOD void store_k(int buffer) const
    {
#pragma unroll
        for (int i = 0; i < K_LOADS; i++)
            *lds<u32x4>(k_write + (buffer * TILE_BYTES + i * (TILE_BYTES / K_LOADS))) = k_piece[i];
    }
    AITERI_METHOD void store_v(int buffer, const u32x2 *x) const
    {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const uint32_t halves = j % 2 ? 0x07060302 : 0x05040100;
            u32x2 keys;
#pragma unroll
            for (int i = 0; i < 2; i++)
                keys[i] = __builtin_amdgcn_perm(x[2 * i + 1][j / 2], x[2 * i][j / 2], halves);
            /* Neighbouring columns: next row, and another twist of the chunk. */
            *lds<u32x2>((v_write ^ j * 16) + (buffer * TILE_BYTES + j * KEYS * 2)) = keys;
        }
    }

    AITERI_METHOD u32x4 read_k(int buffer, int i) const
    {
        const int block = i % BLOCKS, step = i / BLOCKS;
        return *lds<const u32x4>(k_read[step % 4] +
                                 (buffer * TILE_BYTES + block * 32 * D * 2 + step / 4 * 128));
    }
    AITERI_METHOD u32x4 read_v(int buffer, int i) const
    {
        const int block = i % OUT, step = i / OUT;
        return *lds<const u32x4>(v_read[step % 4 ^ block % 2 * 2] +
                                 (buffer * TILE_BYTES + block * 32 * KEYS * 2 + step / 4 * 128));
    }
    AITERI_METHOD void read_ahead(int buffer)
    {
#pragma unroll
        for (int i = 0; i < V_AHEAD; i++) ahead[i] = read_v(buffer, i);
    }
    AITERI_METHOD void add_score(u32x4 x, int i)
    {
        s[i % BLOCKS] = M::mma(q[i / BLOCKS], x, i < BLOCKS ? Acc{} : s[i % BLOCKS]);
    }
    AITERI_METHOD void add_value(u32x4 x, int i) { o[i % OUT] = M::mma(p[i / OUT], x, o[i % OUT]); }

    /* The matrix half of a step: V of the last tile, K of this one. */
    AITERI_METHOD void multiply(int v_buffer, int k_buffer)
    {
        enum { EARLY = V_READS - K_AHEAD };
        u32x4 x[V_READS], y[K_READS];
        __builtin_amdgcn_s_setprio(1);
#pragma unroll
        for (int i = 0; i < V_AHEAD; i++) x[i] = ahead[i];
#pragma unroll
        for (int i = 0; i < V_READS; i++) {
            if (i + V_AHEAD < V_READS) x[i + V_AHEAD] = read_v(v_buffer, i + V_AHEAD);
            if (i == EARLY) settled_barrier();
            if (i >= EARLY) y[i - EARLY] = read_k(k_buffer, i - EARLY);
            add_value(x[i], i);
            schedule_wall();
        }
#pragma unroll
        for (int i = 0; i < K_READS; i++) {
            if (i + K_AHEAD < K_READS) y[i + K_AHEAD] = read_k(k_buffer, i + K_AHEAD);
            add_score(y[i], i);
            schedule_wall();
        }
        __builtin_amdgcn_s_setprio(0);
        bare_barrier();
    }

    AITERI_METHOD void rebase()
    {
        float top = s[0][0];
#pragma unroll
        for (int i = 1; i < 2 * PAIRS; i++) top = larger(top, s[i / M::ELEMENTS][i % M::ELEMENTS]);
        top *= row.factor;
        if (__builtin_expect(!row.outgrown(top), 1)) return;
        const float shrink = row.move(M::row_max(top));
#pragma unroll
        for (int d = 0; d < OUT; d++) o[d] *= shrink;
    }
    AITERI_METHOD void weigh(int from, int end)
    {
#pragma unroll
        for (int i = from; i < end; i++) {
            const int e = 2 * i % M::ELEMENTS;
            const Acc &block = s[2 * i / M::ELEMENTS];
            const f32x2 w = row.weights(f32x2{block[e], block[e + 1]}, i);
            p[i / 4][i % 4] = T::pack_weights(w.x, w.y);
        }
    }

    /* Between two products of the other wave fit one exponential and three other instructions. */
    AITERI_METHOD static void alternate()
    {
#pragma unroll
        for (int i = 0; i < PAIRS; i++) {
            __builtin_amdgcn_sched_group_barrier(0x400, 1, 0);
            __builtin_amdgcn_sched_group_barrier(0x2, 3, 0);
        }
    }

    /* The other half: scores of a tile to weights; the next K and V to their buffers, and V of the
     * tile, from the other one, on its way. more: a tile after those that it fetches. */
    AITERI_METHOD void soften(int next_buffer, bool more)
    {
        store_k(next_buffer);
        fetch_k(more);
        rebase();
        weigh(0, PAIRS / 2);
        alternate();
        settled_barrier();
        store_v(next_buffer, v_piece);
        fetch_v(more);
        read_ahead(next_buffer ^ 1);
        weigh(PAIRS / 2, PAIRS);
        alternate();
        settled_barrier();
    }

    /* Tiles 0 to `last`, an even number, at least 2. prepare() runs while the first are loaded. */
    template <class Prepare> AITERI_METHOD void run(int last, Prepare prepare)
    {
        fetch_k(true);
        fetch_v(true);
        prepare();
        store_k(0);
        store_v(0, v_piece);
        fetch_k(true);
        fetch_v(true);
        settled_barrier();
#pragma unroll
        for (int i = 0; i < K_READS; i++) add_score(read_k(0, i), i);
        soften(1, last > 2);
        const bool upper = wave_id() >= THREADS / WAVE / 2;
        if (upper) {
            __builtin_amdgcn_s_barrier();
            __builtin_amdgcn_s_barrier();
        }
        int n = 1;
        do {
            multiply(0, 1);
            soften(0, n + 2 < last);
            multiply(1, 0);
            soften(1, n + 3 < last);
            n += 2;
        } while (n < last);
#pragma unroll
        for (int i = 0; i < V_READS; i++) add_value(i < V_AHEAD ? ahead[i] : read_v(0, i), i);
        if (!upper) {
            __builtin_amdgcn_s_barrier();
            __builtin_amdgcn_s_barrier();
        }
        k.next(true);
        v.next(true);
    }

    /* ---- the last tiles, in buffer 0 ---- */

    /* Values that are not finite must not meet the zero weight of a key that a row does not see:
     * buffer 0 gets zeros for them, buffer 1 everything. Says whether the wave found some. */
    AITERI_METHOD bool store_v_twice() const
    {
        u32x2 finite[4];
        bool found = false;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const u32x2 x = v_piece[i];
            found |= has_non_finite<T>(u32x4{x.x, x.y, 0, 0});
            const u32x4 y = map_halves(u32x4{x.x, x.y, 0, 0}, finite_or_zero<T>);
            finite[i] = u32x2{y.x, y.y};
        }
        store_v(0, finite);
        store_v(1, v_piece);
        return any_lane(found);
    }

    /* One word for each wave, in the buffer of K that is not in use. */
    AITERI_METHOD Local<uint32_t> found_at(Local<u32x4> k_tiles) const
    {
        return (Local<uint32_t>)(k_tiles + TILE_BYTES / 16);
    }
    AITERI_METHOD bool found_any(Local<u32x4> k_tiles) const
    {
        const Local<const u32x4> at = (Local<const u32x4>)found_at(k_tiles);
        const u32x4 x = at[0] | at[1];
        return uniform((int)(x.x | x.y | x.z | x.w)) != 0;
    }

    /* Adds what is not finite of the keys before `seen`. Rolled, and nothing kept from key to key:
     * it is rare. */
    AITERI_METHOD void add_found(Local<u32x4> v_tiles, int seen)
    {
        const Local<const uint16_t> tile = (Local<const uint16_t>)(v_tiles + TILE_BYTES / 16);
#pragma clang loop unroll(disable)
        for (int key = 0; key < KEYS; key++) {
            const int lane = (int)kept((uint32_t)lane_id());
#pragma unroll
            for (int i = 0; i < OUT * M::ELEMENTS; i++) {
                const int e = i % M::ELEMENTS, d = i / M::ELEMENTS * M::COLS + M::col_of(e);
                const uint16_t x = tile[VTile::element(key, d + M::col_of_lane(lane))];
                const bool counts = (x & T::EXPONENT) == T::EXPONENT && key < seen;
                o[i / M::ELEMENTS][e] += counts ? T::widen(x) : 0.0f;
            }
        }
    }

    AITERI_METHOD void hide(int seen)
    {
        const int left = seen - M::col_of_lane(lane_id());
#pragma unroll
        for (int i = 0; i < 2 * PAIRS; i++) {
            const int e = i % M::ELEMENTS, key = i / M::ELEMENTS * M::COLS + M::col_of(e);
            s[i / M::ELEMENTS][e] = key < left ? s[i / M::ELEMENTS][e] : minus_infinity();
        }
    }

    /* Keys [0, seen) of a tile for the lane's row; the wave has some to see. */
    AITERI_METHOD void attend(Local<u32x4> k_tiles, Local<u32x4> v_tiles, int seen)
    {
#pragma unroll
        for (int i = 0; i < K_READS; i++) add_score(read_k(0, i), i);
        hide(seen);
        rebase();
        weigh(0, PAIRS);
#pragma unroll
        for (int i = 0; i < V_READS; i++) add_value(read_v(0, i), i);
        if (__builtin_expect(found_any(k_tiles), 0)) add_found(v_tiles, seen);
    }

    /* Keys from here on: the workgroup stops before `end`, the lane's row sees those before `seen`.
     * Past its end it loads tiles without keys, so that each wait knows how many loads are younger.
     */
    AITERI_METHOD void finish(Local<u32x4> k_tiles, Local<u32x4> v_tiles, int end, int seen)
    {
        const int there = clamp(end, 0, (int)KEYS);
        fetch_k(true, there);
        fetch_v(true, there);
        while (end > 0) {
            barrier(); /* nobody reads the tiles */
            store_k(0);
            fetch_k(true, clamp(end - KEYS, 0, (int)KEYS));
            const bool found = store_v_twice();
            fetch_v(true, clamp(end - KEYS, 0, (int)KEYS));
            found_at(k_tiles)[wave_id()] = found;
            barrier();
            if (any_lane(seen > 0)) attend(k_tiles, v_tiles, seen);
            end -= KEYS;
            seen -= KEYS;
        }
    }
};

template <class T, int D, int THREADS, int ROWS, int KEYS> struct PlainFlash {
    typedef TwoGroups<T, D, KEYS> Tiles;
    typedef typename Tiles::M M;
    static_assert(THREADS == Tiles::THREADS && ROWS == THREADS / WAVE * M::ROWS, "eight waves");
    enum { TILE_ROWS = ROWS, LDS_BYTES = Tiles::LDS_BYTES };

    const aiteri_gpu_attention &a;
    FlashWork w;
    int row[1];
    typename M::Operand q[Tiles::DEPTH];
    typename M::Acc o[Tiles::OUT];
    RowState<M> state;

    AITERI_METHOD PlainFlash(const aiteri_gpu_attention &args, const FlashWork &work)
        : a(args), w(work)
    {
        row[0] = work.first + wave_id() * M::ROWS + M::row(lane_id(), 0);
#pragma unroll
        for (int d = 0; d < Tiles::OUT; d++) o[d] = typename M::Acc{};
    }

    AITERI_METHOD SourceRows rows_of(const aiteri_gpu_source &source) const
    {
        return source_rows(a, source, D, w.s, w.head / a.group, w.s.seqlen_k);
    }

    AITERI_METHOD void load_queries()
    {
        const int first = w.first + wave_id() * M::ROWS;
        const auto at = [&](int i) AITERI_INLINE {
            const bool there = first + i < w.s.seqlen_q;
            return global<const uint16_t>(there ? row_address(a.q, w, first + i) : 0);
        };
#pragma unroll
        for (int i = 0; i < Tiles::DEPTH; i++) q[i] = M::load_rows(at, {D, true}, i, lane_id());
    }

    AITERI_METHOD void run(Local<u32x4> k, Local<u32x4> v)
    {
        const TileWalk walk = flash_walk(a, w, ROWS, KEYS);
        const int end = smaller_of(walk.end * KEYS, w.s.seqlen_k);
        const int whole = smaller_of(visible_keys(a.mask, w.s, w.first).hi, end) / KEYS;
        const int last = (whole - walk.first - 1) & ~1; /* an odd number of whole tiles */
        const int seen = row[0] < w.s.seqlen_q ? visible_keys(a.mask, w.s, row[0]).hi : 0;
        int key = walk.first * KEYS;
        Tiles tiles(k, v, TileRows::of(rows_of(a.k), key, KEYS),
                    TileRows::of(rows_of(a.v), key, KEYS), a.score.softmax_scale * LOG2_E, q, o);
        if (last >= 2) {
            tiles.run(last, [&]() AITERI_INLINE { load_queries(); });
            key += (last + 1) * KEYS;
        } else {
            load_queries();
        }
        tiles.finish(k, v, end - key, smaller_of(seen, end) - key);
        tiles.row.leave(state);
    }

    AITERI_METHOD void finish()
    {
        finish_plain<M, D, true>(a, flash_work(a, ROWS), row[0], o, state);
    }
};

} // namespace aiteri

#define AITERI_FLASH_plain(F, T, dq, dv, threads, rows, keys)                       \
    typedef aiteri::PlainFlash<T, dq, threads, rows, keys> F;                       \
    static_assert(dq == dv, "one size of heads");                                   \
    __attribute__((shared)) aiteri::u32x4 tiles[F::LDS_BYTES / 16];                 \
    aiteri::flash_fwd<F>(aiteri::arguments(a), (aiteri::Local<aiteri::u32x4>)tiles, \
                         (aiteri::Local<aiteri::u32x4>)tiles + F::LDS_BYTES / 32);

#endif /* AITERI_FLASH_PLAIN_GFX942_HPP */
