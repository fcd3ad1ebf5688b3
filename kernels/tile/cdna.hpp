/* cdna.hpp -- fragments of AMD's matrix instructions: gfx90a, gfx942 and gfx950.
 *
 * The instruction's rows are our columns (S^T = K Q^T, O^T = V^T P^T), so a lane holds one query
 * row, and the weights that it computes from its scores are an operand as they lie. A lane's
 * operand is 8 elements on every chip: one instruction on gfx950, two on the older ones. */
#ifndef AITERI_TILE_CDNA_HPP
#define AITERI_TILE_CDNA_HPP

#include "element.hpp"

namespace aiteri
{

/* D = A B + C of one instruction, or of two; a: matrix columns, b: matrix rows. */
template <class T, int ROWS, class Acc> AITERI_FN Acc cdna_mfma(u32x4 a, u32x4 b, Acc c)
{
    constexpr bool is_bf16 = __is_same(T, bf16);
#if defined(__gfx950__)
    typedef _Float16 f16x8 __attribute__((ext_vector_type(8)));
    typedef __bf16 bf16x8 __attribute__((ext_vector_type(8)));
    if constexpr (is_bf16) {
        const bf16x8 x = __builtin_bit_cast(bf16x8, a), y = __builtin_bit_cast(bf16x8, b);
        if constexpr (ROWS == 32)
            return __builtin_amdgcn_mfma_f32_32x32x16_bf16(x, y, c, 0, 0, 0);
        else
            return __builtin_amdgcn_mfma_f32_16x16x32_bf16(x, y, c, 0, 0, 0);
    } else {
        const f16x8 x = __builtin_bit_cast(f16x8, a), y = __builtin_bit_cast(f16x8, b);
        if constexpr (ROWS == 32)
            return __builtin_amdgcn_mfma_f32_32x32x16_f16(x, y, c, 0, 0, 0);
        else
            return __builtin_amdgcn_mfma_f32_16x16x32_f16(x, y, c, 0, 0, 0);
    }
#else
    typedef short s16x4 __attribute__((ext_vector_type(4)));
    typedef _Float16 f16x4 __attribute__((ext_vector_type(4)));
#pragma unroll
    for (int i = 0; i < 2; i++) {
        const u32x2 p = i ? a.zw : a.xy, q = i ? b.zw : b.xy;
        if constexpr (is_bf16) {
            const s16x4 x = __builtin_bit_cast(s16x4, p), y = __builtin_bit_cast(s16x4, q);
            if constexpr (ROWS == 32)
                c = __builtin_amdgcn_mfma_f32_32x32x8bf16_1k(x, y, c, 0, 0, 0);
            else
                c = __builtin_amdgcn_mfma_f32_16x16x16bf16_1k(x, y, c, 0, 0, 0);
        } else {
            const f16x4 x = __builtin_bit_cast(f16x4, p), y = __builtin_bit_cast(f16x4, q);
            if constexpr (ROWS == 32)
                c = __builtin_amdgcn_mfma_f32_32x32x8f16(x, y, c, 0, 0, 0);
            else
                c = __builtin_amdgcn_mfma_f32_16x16x16f16(x, y, c, 0, 0, 0);
        }
    }
    return c;
#endif
}

template <class T, int MATRIX_ROWS> struct Matrix {
    static_assert(MATRIX_ROWS == 16 || MATRIX_ROWS == 32, "what the instructions offer");
    typedef T Type;
    enum {
        ROWS = MATRIX_ROWS,
        COLS = MATRIX_ROWS,
        GROUPS = WAVE / MATRIX_ROWS, /* lanes that share a row */
        STEP = GROUPS * CHUNK,
        ELEMENTS = ROWS * COLS / WAVE,
        OPERAND = CHUNK,
        LANE_ROWS = 1,
        RUN = 4
    };
    typedef u32x4 Operand;
    typedef float Acc __attribute__((ext_vector_type(ELEMENTS)));

    AITERI_METHOD static int row(int lane, int) { return lane % ROWS; }
    AITERI_METHOD static constexpr int row_of(int) { return 0; }
    AITERI_METHOD static constexpr int col_of(int e) { return e / 4 * (4 * GROUPS) + e % 4; }
    AITERI_METHOD static int col_of_lane(int lane) { return lane / ROWS * 4; }
    AITERI_METHOD static bool leads(int lane) { return lane < ROWS; }

    AITERI_METHOD static Acc mma(Operand rows, Operand cols, Acc acc)
    {
        return cdna_mfma<T, ROWS>(cols, rows, acc);
    }

    AITERI_METHOD static Operand weights(const float *p)
    {
        return {T::pack_weights(p[0], p[1]), T::pack_weights(p[2], p[3]),
                T::pack_weights(p[4], p[5]), T::pack_weights(p[6], p[7])};
    }

    template <class F> AITERI_METHOD static Operand map(Operand x, F f) { return map_halves(x, f); }

    template <class R>
    AITERI_METHOD static Operand load_rows(const R &row_at, RowShape shape, int step, int lane)
    {
        const Global<const uint16_t> row = row_at(lane % ROWS);
        if (!row) return u32x4{0, 0, 0, 0};
        return load_chunk(row, step * GROUPS + lane / ROWS, shape);
    }

    AITERI_METHOD static float row_max(float x)
    {
#pragma unroll
        for (int mask = ROWS; mask < WAVE; mask *= 2) x = larger(x, lane_xor(x, mask));
        return x;
    }
    AITERI_METHOD static float row_sum(float x)
    {
#pragma unroll
        for (int mask = ROWS; mask < WAVE; mask *= 2) x += lane_xor(x, mask);
        return x;
    }
};

/* Keys row by row, 16-byte chunks permuted inside a row so that the lanes that read together, one
 * row each, hit different banks: 8 lanes on 32 banks, on gfx950 16 lanes on 64. */
template <class M, int KEYS, int D> struct KeyTile {
    enum { CHUNKS = D / CHUNK, BYTES = KEYS * D * 2 };

    AITERI_METHOD static int place(int key, int c)
    {
#if defined(__gfx950__)
        const int twist = CHUNKS % 16 == 0 ? key % 16 : key / 2 % 8;
#else
        const int twist = key % 8;
#endif
        return key * CHUNKS + (c ^ twist);
    }
    AITERI_METHOD static int element(int key, int d)
    {
        return place(key, d / CHUNK) * CHUNK + d % CHUNK;
    }
    AITERI_METHOD static typename M::Operand cols(Local<const u32x4> tile, int block, int step,
                                                  int lane)
    {
        const int c = step * M::GROUPS + lane / M::ROWS;
        return tile[place(block * M::COLS + lane % M::ROWS, c)];
    }
};

#if defined(__gfx950__)

/* Values row by row; the transposing read gives a lane 4 keys of its column. Such a read touches 32
 * bytes (16 matrix rows: of 8 keys, 32: 64 bytes of 4 keys) of rows that start in the same bank. */
template <class M, int KEYS, int D> struct ValueTile {
    enum { CHUNKS = D / CHUNK, BYTES = KEYS * D * 2 };

    AITERI_METHOD static int place(int key, int c)
    {
        const int twist =
            CHUNKS % 16 == 0 ? key % 4 * 4 + key / 4 % 2 * 2 : key / 2 % 2 * 4 + key / 4 % 2 * 2;
        return key * CHUNKS + (c ^ twist);
    }
    AITERI_METHOD static int element(int key, int d)
    {
        return place(key, d / CHUNK) * CHUNK + d % CHUNK;
    }
    AITERI_METHOD static u32x2 four_keys(Local<const u32x4> tile, int key, int d)
    {
        typedef short s16x4 __attribute__((ext_vector_type(4)));
        const Local<const char> at = (Local<const char>)(tile + place(key, d / CHUNK));
        return __builtin_bit_cast(
            u32x2, __builtin_amdgcn_ds_read_tr16_b64_v4i16((Local<s16x4>)(at + d % CHUNK * 2)));
    }
    AITERI_METHOD static typename M::Operand cols(Local<const u32x4> tile, int block, int step,
                                                  int lane)
    {
        const int key = step * M::STEP + lane / M::ROWS * 4 + lane % 16 / 4;
        const int d = block * M::COLS + lane % M::ROWS / 16 * 16 + lane % 4 * 4;
        const u32x2 lo = four_keys(tile, key, d), hi = four_keys(tile, key + M::STEP / 2, d);
        return {lo.x, lo.y, hi.x, hi.y};
    }
};

#else

/* Values transposed: a row is a column of V, a chunk the 8 keys of one lane's operand, in the order
 * of that operand (two runs of 4 keys, STEP / 2 apart). */
template <class M, int KEYS, int D> struct ValueTile {
    enum { CHUNKS = KEYS / CHUNK, BYTES = KEYS * D * 2, ROWS_OF_BANKS = 8 / (CHUNKS % 8 ? 4 : 8) };
    static_assert(KEYS % 32 == 0 && D % 64 == 0, "what the twist and the staging assume");

    AITERI_METHOD static int place(int d, int c)
    {
        const int twist = (d / ROWS_OF_BANKS ^ d / 8) % (8 / ROWS_OF_BANKS);
        return d * CHUNKS + (c ^ twist);
    }
    AITERI_METHOD static int element(int key, int d)
    {
        const int step = key / M::STEP, h = key % M::STEP / (M::STEP / 2);
        const int c = step * M::GROUPS + key % (M::STEP / 2) / 4;
        return place(d, c) * CHUNK + h * 4 + key % 4;
    }
    /* First key of half h of chunk c. */
    AITERI_METHOD static int key_of(int c, int h)
    {
        return c / M::GROUPS * M::STEP + h * (M::STEP / 2) + c % M::GROUPS * 4;
    }
    AITERI_METHOD static typename M::Operand cols(Local<const u32x4> tile, int block, int step,
                                                  int lane)
    {
        const int c = step * M::GROUPS + lane / M::ROWS;
        return tile[place(block * M::COLS + lane % M::ROWS, c)];
    }
};

#endif

/* Rows on their way from device memory to LDS, through registers: fetch starts the loads, store
 * waits for its own and writes. wait is for targets whose store is asynchronous. */
template <class Tile, int KEYS, int D, int THREADS> struct RowStage {
    enum { CHUNKS = D / CHUNK, LOADS = KEYS * CHUNKS / THREADS };
    static_assert(KEYS * CHUNKS % THREADS == 0, "every thread loads the same number");
    u32x4 piece[LOADS];
    uint32_t present;

    template <class Rows> AITERI_METHOD void fetch(const Rows &rows, int first, int thread)
    {
        present = 0;
        rows.either([&](auto paged) AITERI_INLINE {
#pragma unroll
            for (int i = 0; i < LOADS; i++) {
                const int id = thread + i * THREADS;
                bool here;
                piece[i] =
                    rows.template chunk<paged.value>(first + id / CHUNKS, id % CHUNKS, &here);
                present |= (uint32_t)here << i;
            }
        });
    }
    template <class Rows> AITERI_METHOD void store(Local<u32x4> tile, const Rows &, int, int thread)
    {
#pragma unroll
        for (int i = 0; i < LOADS; i++) {
            const int id = thread + i * THREADS;
            tile[Tile::place(id / CHUNKS, id % CHUNKS)] =
                present >> i & 1 ? piece[i] : u32x4{0, 0, 0, 0};
        }
    }
    AITERI_METHOD static void wait() {}
};

#if !defined(__gfx950__)

/* The same for a transposed tile: a thread takes 8 columns of 4 neighbouring keys. Lanes take
 * columns first and halves of a chunk second, which keeps the writes off each other's banks. */
template <class Tile, int KEYS, int D, int THREADS> struct ColumnStage {
    enum { ACROSS = D / 64, TASKS = KEYS / 4 * (D / CHUNK), PER = (TASKS + THREADS - 1) / THREADS };
    u32x4 piece[PER][4];
    uint32_t present;

    struct Task {
        int d, c, h;
    };
    AITERI_METHOD static Task task(int id)
    {
        const int rest = id / 16;
        return {(id % 8 + rest % ACROSS * 8) * CHUNK, rest / ACROSS, id / 8 % 2};
    }
    AITERI_METHOD static bool idle(int id) { return TASKS % THREADS != 0 && id >= TASKS; }

    template <class Rows> AITERI_METHOD void fetch(const Rows &rows, int first, int thread)
    {
        present = 0;
        rows.either([&](auto paged) AITERI_INLINE {
#pragma unroll
            for (int i = 0; i < PER; i++) {
                const int id = thread + i * THREADS;
                if (idle(id)) continue;
                const Task t = task(id);
#pragma unroll
                for (int k = 0; k < 4; k++) {
                    bool here;
                    piece[i][k] = rows.template chunk<paged.value>(
                        first + Tile::key_of(t.c, t.h) + k, t.d / CHUNK, &here);
                    present |= (uint32_t)here << (4 * i + k);
                }
            }
        });
    }
    /* Two keys of column pair j: a dword of each key becomes two dwords of key pairs. */
    AITERI_METHOD u32x2 pair(int i, int k, int j) const
    {
        const uint32_t a = present >> (4 * i + k) & 1 ? piece[i][k][j] : 0;
        const uint32_t b = present >> (4 * i + k + 1) & 1 ? piece[i][k + 1][j] : 0;
        return {__builtin_amdgcn_perm(b, a, 0x05040100), __builtin_amdgcn_perm(b, a, 0x07060302)};
    }
    template <class Rows> AITERI_METHOD void store(Local<u32x4> tile, const Rows &, int, int thread)
    {
#pragma unroll
        for (int i = 0; i < PER; i++) {
            const int id = thread + i * THREADS;
            if (idle(id)) continue;
            const Task t = task(id);
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const u32x2 lo = pair(i, 0, j), hi = pair(i, 2, j);
                const Local<u32x2> even = (Local<u32x2>)(tile + Tile::place(t.d + 2 * j, t.c));
                const Local<u32x2> odd = (Local<u32x2>)(tile + Tile::place(t.d + 2 * j + 1, t.c));
                even[t.h] = u32x2{lo.x, hi.x};
                odd[t.h] = u32x2{lo.y, hi.y};
            }
        }
    }
    AITERI_METHOD static void wait() {}
};

template <class Tile, int KEYS, int D, int THREADS>
using ValueStage = ColumnStage<Tile, KEYS, D, THREADS>;
#else
template <class Tile, int KEYS, int D, int THREADS>
using ValueStage = RowStage<Tile, KEYS, D, THREADS>;
#endif
template <class Tile, int KEYS, int D, int THREADS>
using KeyStage = RowStage<Tile, KEYS, D, THREADS>;

} // namespace aiteri

#endif /* AITERI_TILE_CDNA_HPP */
