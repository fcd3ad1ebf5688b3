/* nvidia.hpp -- fragments of NVIDIA's mma.sync, ldmatrix and cp.async, sm_80 and up.
 *
 * Two instructions of 16 x 8 make a block of 16 x 16, whose accumulators are, converted, the next
 * product's operand as they lie. Copies to shared memory are asynchronous, so a stage holds
 * nothing: fetch does nothing and store starts the copies. */
#ifndef AITERI_TILE_NVIDIA_HPP
#define AITERI_TILE_NVIDIA_HPP

#include "element.hpp"

namespace aiteri
{

/* Half a block: columns 8n .. 8n + 7. */
template <class T, class Acc> AITERI_FN void nvidia_mma(u32x4 a, uint32_t b0, uint32_t b1, Acc &c)
{
    if constexpr (__is_same(T, bf16))
        asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, "
            "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
            : "+f"(c.x), "+f"(c.y), "+f"(c.z), "+f"(c.w)
            : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
    else
        asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, "
            "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
            : "+f"(c.x), "+f"(c.y), "+f"(c.z), "+f"(c.w)
            : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
}

/* Four 8 x 8 matrices of 16-bit elements from shared memory; lane i gives the address of row i % 8
 * of matrix i / 8. bytes is a constant once loops are unrolled, and so costs no register. */
AITERI_FN u32x4 nvidia_matrices(uint32_t at, int bytes)
{
    u32x4 x;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4+%5];"
                 : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
                 : "r"(at), "i"(bytes)
                 : "memory");
    return x;
}

AITERI_FN u32x4 nvidia_matrices_transposed(uint32_t at, int bytes)
{
    u32x4 x;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4+%5];"
                 : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
                 : "r"(at), "i"(bytes)
                 : "memory");
    return x;
}

AITERI_FN u32x4 nvidia_ldmatrix(Local<const u32x4> at, int bytes)
{
    return nvidia_matrices((uint32_t)(uint64_t)at, bytes);
}
AITERI_FN u32x4 nvidia_ldmatrix_transposed(Local<const u32x4> at, int bytes)
{
    return nvidia_matrices_transposed((uint32_t)(uint64_t)at, bytes);
}

/* Starts a copy of 16 bytes to shared memory. */
AITERI_FN void nvidia_copy(uint32_t to, int bytes, uint64_t from)
{
    asm volatile("cp.async.cg.shared.global [%0+%1], [%2], 16;"
                 :
                 : "r"(to), "i"(bytes), "l"(from)
                 : "memory");
}

/* The first `size` bytes, zeros after them. */
AITERI_FN void nvidia_copy_some(uint32_t to, int bytes, uint64_t from, int size)
{
    asm volatile("cp.async.cg.shared.global [%0+%1], [%2], 16, %3;"
                 :
                 : "r"(to), "i"(bytes), "l"(from), "r"(size)
                 : "memory");
}

AITERI_FN void nvidia_copies_done() { asm volatile("cp.async.wait_all;" : : : "memory"); }

/* A barrier that says whether x is true in some thread. */
AITERI_FN bool nvidia_any_thread(bool x)
{
    int any;
    asm volatile("{ .reg .pred p, q; setp.ne.s32 p, %1, 0; bar.red.or.pred q, 0, p; "
                 "selp.s32 %0, 1, 0, q; }"
                 : "=r"(any)
                 : "r"((int)x)
                 : "memory");
    return any != 0;
}

template <class T, int MATRIX_ROWS> struct Matrix {
    static_assert(MATRIX_ROWS == 16, "what the instruction offers");
    typedef T Type;
    enum { ROWS = 16, COLS = 16, STEP = 16, ELEMENTS = 8, OPERAND = CHUNK, LANE_ROWS = 2, RUN = 2 };
    typedef u32x4 Operand;
    typedef float Acc __attribute__((ext_vector_type(ELEMENTS)));

    AITERI_METHOD static int row(int lane, int r) { return lane / 4 + 8 * r; }
    AITERI_METHOD static constexpr int row_of(int e) { return e / 2 % 2; }
    AITERI_METHOD static constexpr int col_of(int e) { return e / 4 * 8 + e % 2; }
    AITERI_METHOD static int col_of_lane(int lane) { return lane % 4 * 2; }
    AITERI_METHOD static bool leads(int lane) { return lane % 4 == 0; }

    AITERI_METHOD static Acc mma(Operand rows, Operand cols, Acc acc)
    {
        typedef float f32x4 __attribute__((ext_vector_type(4)));
        f32x4 lo = acc.lo, hi = acc.hi;
        nvidia_mma<T>(rows, cols.x, cols.y, lo);
        nvidia_mma<T>(rows, cols.z, cols.w, hi);
        return {lo.x, lo.y, lo.z, lo.w, hi.x, hi.y, hi.z, hi.w};
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
        u32x4 x = {0, 0, 0, 0};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const Global<const uint16_t> row = row_at(lane / 4 + i % 2 * 8);
            const int d = step * STEP + i / 2 * 8 + lane % 4 * 2;
            if (!row) continue;
            if (shape.chunked) {
                if (d < shape.dim) x[i] = *(Global<const uint32_t>)(row + d);
            } else {
                if (d < shape.dim) x[i] = row[d];
                if (d + 1 < shape.dim) x[i] |= (uint32_t)row[d + 1] << 16;
            }
        }
        return x;
    }

    AITERI_METHOD static float row_max(float x)
    {
        x = larger(x, lane_xor(x, 1));
        return larger(x, lane_xor(x, 2));
    }
    AITERI_METHOD static float row_sum(float x)
    {
        x += lane_xor(x, 1);
        return x + lane_xor(x, 2);
    }
};

/* Rows of keys or values, 16-byte chunks permuted so that 8 rows lie in different banks. */
template <int KEYS, int D> struct NvidiaTile {
    enum { CHUNKS = D / CHUNK, BYTES = KEYS * D * 2 };

    AITERI_METHOD static int place(int key, int c) { return key * CHUNKS + (c ^ key % 8); }
    AITERI_METHOD static int element(int key, int d)
    {
        return place(key, d / CHUNK) * CHUNK + d % CHUNK;
    }
};

template <class M, int KEYS, int D> struct KeyTile : NvidiaTile<KEYS, D> {
    AITERI_METHOD static typename M::Operand cols(Local<const u32x4> tile, int block, int step,
                                                  int lane)
    {
        const int key = lane / 16 * 8 + lane % 8;
        return nvidia_ldmatrix(tile + KeyTile::place(key, step * 2 + lane / 8 % 2),
                               block * 16 * KeyTile::CHUNKS * 16);
    }
};

template <class M, int KEYS, int D> struct ValueTile : NvidiaTile<KEYS, D> {
    AITERI_METHOD static typename M::Operand cols(Local<const u32x4> tile, int block, int step,
                                                  int lane)
    {
        return nvidia_ldmatrix_transposed(tile + ValueTile::place(lane % 16, block * 2 + lane / 16),
                                          step * 16 * ValueTile::CHUNKS * 16);
    }
};

template <class Tile, int KEYS, int D, int THREADS> struct AsyncStage {
    enum { CHUNKS = D / CHUNK, LOADS = KEYS * CHUNKS / THREADS };
    static_assert(KEYS * CHUNKS % THREADS == 0, "every thread loads the same number");

    template <class Rows> AITERI_METHOD void fetch(const Rows &, int, int) {}
    template <class Rows>
    AITERI_METHOD void store(Local<u32x4> tile, const Rows &rows, int first, int thread)
    {
        if (!rows.shape.chunked)
            return store_slowly<Tile, KEYS, D, THREADS>(tile, rows, first, thread);
        rows.either([&](auto paged) AITERI_INLINE {
#pragma unroll
            for (int i = 0; i < LOADS; i++) {
                const int id = thread + i * THREADS, key = id / CHUNKS, c = id % CHUNKS;
                bool here;
                const Global<const u32x4> from =
                    rows.template chunk_at<paged.value>(first + key, c, &here);
                __nvvm_cp_async_cg_shared_global_16((Local<void>)(tile + Tile::place(key, c)),
                                                    (Global<const void>)from, here ? 16 : 0);
            }
        });
    }
    AITERI_METHOD static void wait() { __nvvm_cp_async_wait_all(); }
};

template <class Tile, int KEYS, int D, int THREADS>
using ValueStage = AsyncStage<Tile, KEYS, D, THREADS>;
template <class Tile, int KEYS, int D, int THREADS>
using KeyStage = AsyncStage<Tile, KEYS, D, THREADS>;

} // namespace aiteri

#endif /* AITERI_TILE_NVIDIA_HPP */
