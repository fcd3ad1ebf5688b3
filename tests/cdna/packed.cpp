/* packed.cpp -- VOP3P: two f16, two 16-bit integers or two f32 at once; mixed-precision fma; dot
 * products of pairs. */
#include "lanes.h"

#include <algorithm>

namespace cdna
{
namespace
{

/* The two halves of a packed source after op_sel, op_sel_hi, neg_lo and neg_hi. */
struct Pair {
    uint16_t lo, hi;
};

Pair halves(uint32_t x, const Inst &i, int k, bool real)
{
    Pair p = {uint16_t(i.op_sel >> k & 1 ? x >> 16 : x),
              uint16_t(i.op_sel_hi >> k & 1 ? x >> 16 : x)};
    if (real && (i.neg_lo >> k & 1)) p.lo ^= 0x8000;
    if (real && (i.neg_hi >> k & 1)) p.hi ^= 0x8000;
    return p;
}

uint16_t saturate16(const Inst &i, float f)
{
    return float_to_half(i.clamp ? (f > 0 ? std::min(f, 1.0f) : 0.0f) : f);
}

using Half3 = uint16_t (*)(const Inst &, uint16_t, uint16_t, uint16_t);

template <Half3 F, bool real> void packed16(Wave &w, const Inst &i)
{
    alignas(64) uint32_t space[3][lanes], out[2][lanes];
    const uint32_t *p[3];
    for (int k = 0; k < 3; k++)
        p[k] = lane_source(w, i, k < i.sources ? k : 0, 0, 0, false, space[k]);
    for (int l = 0; l < lanes; l++) {
        Pair a = halves(p[0][l], i, 0, real), b = halves(p[1][l], i, 1, real);
        Pair c = halves(p[2][l], i, 2, real);
        out[0][l] = F(i, a.lo, b.lo, c.lo) | uint32_t(F(i, a.hi, b.hi, c.hi)) << 16;
    }
    write_lanes(w, i.d.reg, out[0], lane_mask(w, i));
}

using U = uint16_t;
float up(U x) { return half_to_float(x); }
U fadd(const Inst &i, U a, U b, U) { return saturate16(i, up(a) + up(b)); }
U fmul(const Inst &i, U a, U b, U) { return saturate16(i, up(a) * up(b)); }
U ffma(const Inst &i, U a, U b, U c)
{
    return saturate16(i, double_to_float_odd(double(up(a)) * up(b) + up(c)));
}
U fmax_(const Inst &, U a, U b, U)
{
    float x = up(a), y = up(b);
    return x != x ? b : y != y ? a : x > y || (x == y && !(a >> 15)) ? a : b;
}
U fmin_(const Inst &, U a, U b, U)
{
    float x = up(a), y = up(b);
    return x != x ? b : y != y ? a : x < y || (x == y && a >> 15) ? a : b;
}
U iadd(const Inst &, U a, U b, U) { return U(a + b); }
U sadd(const Inst &i, U a, U b, U)
{
    const int sum = int16_t(a) + int16_t(b);
    return U(i.clamp ? std::min(std::max(sum, -0x8000), 0x7fff) : sum);
}
U isub(const Inst &, U a, U b, U) { return U(a - b); }
U imul(const Inst &, U a, U b, U) { return U(uint32_t(a) * b); }
U imad(const Inst &, U a, U b, U c) { return U(uint32_t(a) * b + c); }
U shl(const Inst &, U n, U a, U) { return U(a << (n & 15)); }
U shr(const Inst &, U n, U a, U) { return U(a >> (n & 15)); }
U sar(const Inst &, U n, U a, U) { return U(int16_t(a) >> (n & 15)); }
U umax_(const Inst &, U a, U b, U) { return std::max(a, b); }
U umin_(const Inst &, U a, U b, U) { return std::min(a, b); }
U imax_(const Inst &, U a, U b, U) { return U(std::max(int16_t(a), int16_t(b))); }
U imin_(const Inst &, U a, U b, U) { return U(std::min(int16_t(a), int16_t(b))); }

/* Two f32: op_sel picks the dword for the low result, op_sel_hi the one for the high result. */
using Float3 = float (*)(float, float, float);
template <Float3 F> void packed32(Wave &w, const Inst &i)
{
    alignas(64) uint32_t space[3][lanes], out[2][lanes];
    for (int h = 0; h < 2; h++) {
        const uint32_t *p[3];
        uint32_t flip[3];
        for (int k = 0; k < 3; k++) {
            int source = k < i.sources ? k : 0, dword = (h ? i.op_sel_hi : i.op_sel) >> k & 1;
            p[k] = lane_source(w, i, source, dword, 0, false, space[k]);
            flip[k] = uint32_t((h ? i.neg_hi : i.neg_lo) >> k & 1) << 31;
        }
        for (int l = 0; l < lanes; l++)
            out[h][l] =
                cast<uint32_t>(F(cast<float>(p[0][l] ^ flip[0]), cast<float>(p[1][l] ^ flip[1]),
                                 cast<float>(p[2][l] ^ flip[2])));
        if (i.clamp) finish_float(i, out[h]);
    }
    uint64_t mask = lane_mask(w, i);
    write_lanes(w, i.d.reg, out[0], mask);
    write_lanes(w, i.d.reg + 1, out[1], mask);
}
float add32(float a, float b, float) { return a + b; }
float mul32(float a, float b, float) { return a * b; }
float fma32(float a, float b, float c) { return std::fma(a, b, c); }

/* The low result is a dword of source 0, the high one a dword of source 1: op_sel says which. */
void pk_mov(Wave &w, const Inst &i)
{
    alignas(64) uint32_t space[2][lanes], out[2][lanes];
    for (int k = 0; k < 2; k++) {
        memcpy(out[k], lane_source(w, i, k, i.op_sel >> k & 1, 0, false, space[k]), sizeof out[k]);
    }
    uint64_t mask = lane_mask(w, i);
    write_lanes(w, i.d.reg, out[0], mask);
    write_lanes(w, i.d.reg + 1, out[1], mask);
}

/* fma_mix: op_sel_hi says that a source is f16, op_sel which half; neg_hi means absolute value. */
enum Mixed { to_float, to_low, to_high };
template <Mixed where> void mix(Wave &w, const Inst &i)
{
    alignas(64) uint32_t space[3][lanes], out[lanes];
    const uint32_t *p[3];
    for (int k = 0; k < 3; k++) p[k] = lane_source(w, i, k, 0, 0, false, space[k]);
    for (int l = 0; l < lanes; l++) {
        float x[3];
        for (int k = 0; k < 3; k++) {
            uint32_t u = p[k][l];
            bool narrow = i.op_sel_hi >> k & 1;
            x[k] =
                narrow ? half_to_float(uint16_t(i.op_sel >> k & 1 ? u >> 16 : u)) : cast<float>(u);
            if (i.s[k].absolute || (i.neg_hi >> k & 1)) x[k] = std::fabs(x[k]);
            if (i.s[k].negate || (i.neg_lo >> k & 1)) x[k] = -x[k];
        }
        float f = std::fma(x[0], x[1], x[2]);
        if (i.clamp) f = f > 0 ? std::min(f, 1.0f) : 0.0f;
        uint32_t old = where == to_float ? 0 : w.v[i.d.reg][l];
        uint32_t narrow = where == to_float ? 0 : float_to_half(f);
        out[l] = where == to_float ? cast<uint32_t>(f)
                 : where == to_low ? (old & 0xffff0000) | narrow
                                   : (old & 0xffff) | narrow << 16;
    }
    write_lanes(w, i.d.reg, out, lane_mask(w, i));
}

/* c + a.lo*b.lo + a.hi*b.hi with exact products and one rounding. */
template <bool bf16> void dot2(Wave &w, const Inst &i)
{
    alignas(64) uint32_t space[3][lanes], out[2][lanes];
    const uint32_t *p[3];
    for (int k = 0; k < 3; k++)
        p[k] = lane_source(w, i, k, 0, k == 2 ? 1u << 31 : 0, false, space[k]);
    for (int l = 0; l < lanes; l++) {
        Pair a = halves(p[0][l], i, 0, true), b = halves(p[1][l], i, 1, true);
        auto f = [](U x) { return double(bf16 ? bf16_to_float(x) : half_to_float(x)); };
        out[0][l] = cast<uint32_t>(
            float(f(a.lo) * f(b.lo) + f(a.hi) * f(b.hi) + double(cast<float>(p[2][l]))));
    }
    write_result<float>(w, i, out);
}

constexpr Row pk(const char *name, Run run, Types types, uint32_t flags = 0)
{
    return {name, run, types, Unit::vector, packed | flags, 0, 0, 0};
}
const Row rows[] = {
    pk("v_pk_add_f16", packed16<fadd, true>, "phh"),
    pk("v_pk_mul_f16", packed16<fmul, true>, "phh"),
    pk("v_pk_fma_f16", packed16<ffma, true>, "phhh"),
    pk("v_pk_max_f16", packed16<fmax_, true>, "phh"),
    pk("v_pk_min_f16", packed16<fmin_, true>, "phh"),
    pk("v_pk_add_u16", packed16<iadd, false>, "uuu"),
    pk("v_pk_add_i16", packed16<sadd, false>, "uuu", saturates),
    pk("v_pk_sub_u16", packed16<isub, false>, "uuu"),
    pk("v_pk_sub_i16", packed16<isub, false>, "uuu"),
    pk("v_pk_mul_lo_u16", packed16<imul, false>, "uuu"),
    pk("v_pk_mad_u16", packed16<imad, false>, "uuuu"),
    pk("v_pk_mad_i16", packed16<imad, false>, "uuuu"),
    pk("v_pk_lshlrev_b16", packed16<shl, false>, "uuu"),
    pk("v_pk_lshrrev_b16", packed16<shr, false>, "uuu"),
    pk("v_pk_ashrrev_i16", packed16<sar, false>, "uuu"),
    pk("v_pk_max_u16", packed16<umax_, false>, "uuu"),
    pk("v_pk_min_u16", packed16<umin_, false>, "uuu"),
    pk("v_pk_max_i16", packed16<imax_, false>, "uuu"),
    pk("v_pk_min_i16", packed16<imin_, false>, "uuu"),
    pk("v_pk_add_f32", packed32<add32>, "FFF"),
    pk("v_pk_mul_f32", packed32<mul32>, "FFF"),
    pk("v_pk_fma_f32", packed32<fma32>, "FFFF"),
    pk("v_pk_mov_b32", pk_mov, "qFF"),
    {"v_fma_mix_f32", mix<to_float>, "ffff", Unit::vector, 0, 0, 0, 0},
    {"v_fma_mixlo_f16", mix<to_low>, "pfff", Unit::vector, 0, 0, 0, 0},
    {"v_fma_mixhi_f16", mix<to_high>, "pfff", Unit::vector, 0, 0, 0, 0},
    pk("v_dot2_f32_f16", dot2<false>, "fuuf", dot),
    pk("v_dot2c_f32_f16", dot2<false>, "fuuf", dot | reads_dst),
    pk("v_dot2_f32_bf16", dot2<true>, "fuuf", dot),
    pk("v_dot2c_f32_bf16", dot2<true>, "fuuf", dot | reads_dst),
};

} // namespace

Rows packed_rows() { return {std::begin(rows), std::end(rows)}; }

} // namespace cdna
