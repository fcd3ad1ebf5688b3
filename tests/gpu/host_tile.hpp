/* host_tile.hpp -- a third tile layer, for the host: a workgroup is one thread, which is one lane,
 * which holds 4 rows of 8 columns. It shows the generic code of a kernel right or wrong without a
 * GPU; what a real fragment looks like it does not show. */
#ifndef AITERI_TESTS_HOST_TILE_HPP
#define AITERI_TESTS_HOST_TILE_HPP

#include "../../kernels/tile/element.hpp"

namespace aiteri
{

template <class T, int MATRIX_ROWS> struct Matrix {
    typedef T Type;
    enum { ROWS = 4, COLS = 8, STEP = 8, ELEMENTS = 32, OPERAND = 32, LANE_ROWS = 4, RUN = 8 };
    struct Operand {
        uint16_t at[32];
    };
    struct Columns {
        uint16_t at[64];
    };
    typedef float Acc __attribute__((ext_vector_type(ELEMENTS)));

    static int row(int, int r) { return r; }
    static constexpr int row_of(int e) { return e / 8; }
    static constexpr int col_of(int e) { return e % 8; }
    static int col_of_lane(int) { return 0; }
    static bool leads(int) { return true; }

    static Acc mma(const Operand &rows, const Columns &cols, Acc acc)
    {
        for (int r = 0; r < 4; r++)
            for (int c = 0; c < 8; c++)
                for (int k = 0; k < 8; k++)
                    acc[r * 8 + c] += T::widen(rows.at[r * 8 + k]) * T::widen(cols.at[c * 8 + k]);
        return acc;
    }
    static Operand weights(const float *p)
    {
        Operand x;
        for (int i = 0; i < 32; i++) x.at[i] = T::round(p[i]);
        return x;
    }
    template <class F> static Columns map(Columns x, F f)
    {
        for (int i = 0; i < 64; i++) x.at[i] = f(x.at[i]);
        return x;
    }
    template <class R> static Operand load_rows(const R &row_at, RowShape shape, int step, int)
    {
        Operand x = {};
        for (int r = 0; r < 4; r++) {
            const u32x4 c = row_at(r) ? load_chunk(row_at(r), step, shape) : u32x4{0, 0, 0, 0};
            for (int e = 0; e < 8; e++) x.at[r * 8 + e] = (uint16_t)(c[e / 2] >> e % 2 * 16);
        }
        return x;
    }
    static float row_max(float x) { return x; }
    static float row_sum(float x) { return x; }
};

template <int KEYS, int D> struct HostTile {
    enum { BYTES = KEYS * D * 2 };
    static uint16_t at(Local<const u32x4> tile, int key, int d)
    {
        return ((const uint16_t *)tile)[key * D + d];
    }
};

template <class M, int KEYS, int D> struct KeyTile : HostTile<KEYS, D> {
    static typename M::Columns cols(Local<const u32x4> tile, int block, int step, int)
    {
        typename M::Columns x;
        for (int i = 0; i < 64; i++)
            x.at[i] = KeyTile::at(tile, block * 8 + i / 8, step * 8 + i % 8);
        return x;
    }
};

template <class M, int KEYS, int D> struct ValueTile : HostTile<KEYS, D> {
    static typename M::Columns cols(Local<const u32x4> tile, int block, int step, int)
    {
        typename M::Columns x;
        for (int i = 0; i < 64; i++)
            x.at[i] = ValueTile::at(tile, step * 8 + i % 8, block * 8 + i / 8);
        return x;
    }
};

template <class Tile, int KEYS, int D, int THREADS> struct HostStage {
    template <class Rows> void fetch(const Rows &, int, int) {}
    template <class Rows> void store(Local<u32x4> tile, const Rows &rows, int first, int)
    {
        for (int key = 0; key < KEYS; key++)
            for (int c = 0; c < D / 8; c++) {
                bool here;
                const uint64_t row = rows.table ? rows.template row<true>(first + key, &here)
                                                : rows.template row<false>(first + key, &here);
                const Global<const uint16_t> at = global<const uint16_t>(row);
                tile[key * (D / 8) + c] = here ? load_chunk(at, c, rows.shape) : u32x4{0, 0, 0, 0};
            }
    }
    static void wait() {}
};

template <class Tile, int KEYS, int D, int THREADS>
using ValueStage = HostStage<Tile, KEYS, D, THREADS>;
template <class Tile, int KEYS, int D, int THREADS>
using KeyStage = HostStage<Tile, KEYS, D, THREADS>;

} // namespace aiteri

#endif /* AITERI_TESTS_HOST_TILE_HPP */
