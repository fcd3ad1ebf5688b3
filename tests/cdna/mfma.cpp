/* mfma.cpp -- matrix instructions: D = A B + C on the registers of the whole wave, EXEC ignored.
 *
 * A is M x K, B is K x M. Lane l holds row (of A) or column (of B) l % M and the K / (64 / M)
 * consecutive k from (l / M) times that on. D and C: columns are l % M; register r of a lane is row
 * 8 (r / 4) + 4 (l / 32) + r % 4 for M = 32, 4 (l / 16) + r for M = 16.
 * Floats: products and sum are exact (f64), rounded once to f32. gfx90a flushes denormals. */
#include "machine.h"

#include <algorithm>

namespace cdna
{
namespace
{

/* An element type: how many lie in a dword, and the value of one. */
struct F16 {
    static constexpr int per_dword = 2;
    static constexpr float smallest = 0x1p-14f;
    static float get(uint32_t x, int e) { return half_to_float(uint16_t(x >> 16 * e)); }
};
struct Bf16 {
    static constexpr int per_dword = 2;
    static constexpr float smallest = 0x1p-126f;
    static float get(uint32_t x, int e) { return cast<float>(e ? x & 0xffff0000 : x << 16); }
};
struct F32 {
    static constexpr int per_dword = 1;
    static float get(uint32_t x, int) { return cast<float>(x); }
};
struct I8 {
    static constexpr int per_dword = 4;
    static int32_t get(uint32_t x, int e) { return int8_t(x >> 8 * e); }
};
template <bool e5m2, bool fnuz> struct F8 {
    static constexpr int per_dword = 4;
    static constexpr float smallest = 0;
    static float get(uint32_t x, int e)
    {
        static const auto table = [] {
            std::vector<float> t(256);
            for (int c = 0; c < 256; c++) t[size_t(c)] = fp8_to_float(uint8_t(c), e5m2, fnuz);
            return t;
        }();
        return table[x >> 8 * e & 0xff];
    }
};

bool unmodified(Wave &w, const Inst &i)
{
    bool modified = i.cbsz || i.abid || i.blgp;
    if (modified) w.machine->report(w, i, "cbsz, abid and blgp are not emulated");
    return !modified;
}

/* out[k][m] from the registers of A or B */
template <class E, int M, int K, class T>
void gather(const Wave &w, const Operand &o, T (*out)[M], float flush)
{
    constexpr int groups = lanes / M, each = K / groups;
    for (int e = 0; e < each; e++)
        for (int g = 0; g < groups; g++) {
            const uint32_t *from = w.v[o.reg + e / E::per_dword] + g * M;
            T *to = out[each * g + e];
            for (int m = 0; m < M; m++) to[m] = T(E::get(from[m], e % E::per_dword));
            for (int m = 0; m < M && flush > 0; m++)
                if (to[m] < T(flush) && to[m] > -T(flush)) to[m] = 0;
        }
}

template <int M> constexpr int row_of(int r, int group)
{
    return M == 32 ? 8 * (r / 4) + 4 * group + r % 4 : 4 * group + r;
}

void take_c(const Wave &w, const Inst &i, int regs, uint32_t (*c)[lanes])
{
    const Operand &o = i.s[2];
    if (o.kind == Operand::vector) {
        memcpy(c, w.v[o.reg], size_t(regs) * sizeof c[0]);
        return;
    }
    std::fill(c[0], c[0] + regs * lanes, read32(w, o));
}

/* One row of D: M columns. Blocks of columns keep the sums in registers. */
template <int M, int K, class T> void row_product(const T (*a)[M], const T (*b)[M], int row, T *sum)
{
    constexpr int block = M < 16 ? M : 16;
    for (int at = 0; at < M; at += block) {
        T s[block];
        for (int m = 0; m < block; m++) s[m] = sum[at + m];
        for (int k = 0; k < K; k++) {
            T x = a[k][row];
            for (int m = 0; m < block; m++) s[m] += x * b[k][at + m];
        }
        for (int m = 0; m < block; m++) sum[at + m] = s[m];
    }
}

template <class E, class E2, int M, int K> void mfma_float(Wave &w, const Inst &i)
{
    if (!unmodified(w, i)) return;
    constexpr int regs = M * M / lanes;
    alignas(64) double a[K][M], b[K][M];
    alignas(64) uint32_t c[regs][lanes];
    bool flushes = w.machine->chip == Chip::gfx90a;
    gather<E, M, K>(w, i.s[0], a, flushes ? E::smallest : 0);
    gather<E2, M, K>(w, i.s[1], b, flushes ? E2::smallest : 0);
    take_c(w, i, regs, c);
    for (int r = 0; r < regs; r++)
        for (int g = 0; g < lanes / M; g++) {
            alignas(64) double sum[M];
            uint32_t *row = c[r] + g * M;
            for (int m = 0; m < M; m++) sum[m] = double(cast<float>(row[m]));
            row_product<M, K>(a, b, row_of<M>(r, g), sum);
            for (int m = 0; m < M; m++) {
                float f = float(sum[m]);
                row[m] = cast<uint32_t>(flushes && std::fabs(f) < 0x1p-126f ? 0.0f : f);
            }
        }
    memcpy(w.v[i.d.reg], c, sizeof c);
}

template <int M, int K> void mfma_i8(Wave &w, const Inst &i)
{
    if (!unmodified(w, i)) return;
    constexpr int regs = M * M / lanes;
    alignas(64) int32_t a[K][M], b[K][M];
    alignas(64) uint32_t c[regs][lanes];
    gather<I8, M, K>(w, i.s[0], a, 0);
    gather<I8, M, K>(w, i.s[1], b, 0);
    take_c(w, i, regs, c);
    for (int r = 0; r < regs; r++)
        for (int g = 0; g < lanes / M; g++) {
            alignas(64) int32_t sum[M] = {};
            row_product<M, K>(a, b, row_of<M>(r, g), sum);
            for (int m = 0; m < M; m++) c[r][g * M + m] += uint32_t(sum[m]);
        }
    memcpy(w.v[i.d.reg], c, sizeof c);
}

/* f32 products: a chain of fused multiply-adds in the order of k. */
template <int M, int K> void mfma_f32(Wave &w, const Inst &i)
{
    if (!unmodified(w, i)) return;
    constexpr int regs = M * M / lanes;
    alignas(64) float a[K][M], b[K][M];
    alignas(64) uint32_t c[regs][lanes];
    gather<F32, M, K>(w, i.s[0], a, 0);
    gather<F32, M, K>(w, i.s[1], b, 0);
    take_c(w, i, regs, c);
    for (int r = 0; r < regs; r++)
        for (int l = 0; l < lanes; l++) {
            float s = cast<float>(c[r][l]);
            for (int k = 0; k < K; k++) s = std::fma(a[k][row_of<M>(r, l / M)], b[k][l % M], s);
            c[r][l] = cast<uint32_t>(s);
        }
    memcpy(w.v[i.d.reg], c, sizeof c);
}

template <bool a5, bool b5, int M, int K> void mfma_f8(Wave &w, const Inst &i)
{
    if (w.machine->chip == Chip::gfx950)
        mfma_float<F8<a5, false>, F8<b5, false>, M, K>(w, i);
    else
        mfma_float<F8<a5, true>, F8<b5, true>, M, K>(w, i);
}

/* passes: of gfx942 and gfx950 */
constexpr Row of(const char *name, Run run, int m, int k, int passes, uint32_t flags = xdl,
                 Types types = "fuuf")
{
    return {name, run, types, Unit::matrix, flags, m, k, passes};
}
#define HALF(M, K, passes)                                                               \
    of("v_mfma_f32_" #M "x" #M "x" #K "_f16", mfma_float<F16, F16, M, K>, M, K, passes), \
        of("v_mfma_f32_" #M "x" #M "x" #K "_bf16", mfma_float<Bf16, Bf16, M, K>, M, K, passes)
#define OLD_HALF(M, K, passes)                                                          \
    of("v_mfma_f32_" #M "x" #M "x" #K "f16", mfma_float<F16, F16, M, K>, M, K, passes), \
        of("v_mfma_f32_" #M "x" #M "x" #K "bf16_1k", mfma_float<Bf16, Bf16, M, K>, M, K, passes)
#define BYTE(M, K, passes) \
    of("v_mfma_i32_" #M "x" #M "x" #K "_i8", mfma_i8<M, K>, M, K, passes, xdl, "uuuu")
#define FLOAT8(M, K, passes)                                                                     \
    of("v_mfma_f32_" #M "x" #M "x" #K "_fp8_fp8", mfma_f8<false, false, M, K>, M, K, passes),    \
        of("v_mfma_f32_" #M "x" #M "x" #K "_fp8_bf8", mfma_f8<false, true, M, K>, M, K, passes), \
        of("v_mfma_f32_" #M "x" #M "x" #K "_bf8_fp8", mfma_f8<true, false, M, K>, M, K, passes), \
        of("v_mfma_f32_" #M "x" #M "x" #K "_bf8_bf8", mfma_f8<true, true, M, K>, M, K, passes)

const Row rows[] = {
    HALF(32, 8, 8),
    HALF(16, 16, 4),
    HALF(32, 16, 8),
    HALF(16, 32, 4),
    OLD_HALF(32, 8, 8),
    OLD_HALF(16, 16, 4),
    BYTE(32, 16, 8),
    BYTE(16, 32, 4),
    BYTE(32, 32, 8),
    BYTE(16, 64, 4),
    FLOAT8(32, 16, 8),
    FLOAT8(16, 32, 4),
    of("v_mfma_f32_32x32x2_f32", mfma_f32<32, 2>, 32, 2, 16, 0),
    of("v_mfma_f32_16x16x4_f32", mfma_f32<16, 4>, 16, 4, 8, 0),
    of("v_mfma_f32_32x32x2f32", mfma_f32<32, 2>, 32, 2, 16, 0),
    of("v_mfma_f32_16x16x4f32", mfma_f32<16, 4>, 16, 4, 8, 0),
    of("v_mfma_i32_32x32x8i8", mfma_i8<32, 8>, 32, 8, 8, xdl, "uuuu"),
    of("v_mfma_i32_16x16x16i8", mfma_i8<16, 16>, 16, 16, 4, xdl, "uuuu"),
};

} // namespace

Rows mfma_rows() { return {std::begin(rows), std::end(rows)}; }

} // namespace cdna
