/* lane.cpp -- VALU instructions that look at lane masks, carries, other lanes or two results. */
#include "lanes.h"

#include <algorithm>

namespace cdna
{
namespace
{

using u32 = uint32_t;
using u64 = uint64_t;

u64 mask_source(const Wave &w, const Inst &i, int k)
{
    return k < i.sources ? read64(w, i.s[k]) : w.pair(vcc);
}

void cndmask(Wave &w, const Inst &i)
{
    alignas(64) u32 space[2][lanes], out[2][lanes];
    const u32 *a = lane_source(w, i, 0, 0, 1u << 31, false, space[0]);
    const u32 *b = lane_source(w, i, 1, 0, 1u << 31, false, space[1]);
    u64 pick = mask_source(w, i, 2);
    for (int l = 0; l < lanes; l++) out[0][l] = pick >> l & 1 ? b[l] : a[l];
    write_result<u32>(w, i, out);
}

/* sum with carries in and out; subtract: a - b - carry; reverse: b - a - carry */
template <bool carry_in, int subtract> void carry(Wave &w, const Inst &i)
{
    alignas(64) u32 space[2][lanes], out[2][lanes];
    const u32 *a = lane_source(w, i, subtract == 2, 0, 0, false, space[0]);
    const u32 *b = lane_source(w, i, subtract != 2, 0, 0, false, space[1]);
    u64 in = carry_in ? mask_source(w, i, 2) : 0, carries = 0, mask = lane_mask(w, i);
    for (int l = 0; l < lanes; l++) {
        u64 c = in >> l & 1;
        u64 x = subtract ? u64(a[l]) - b[l] - c : u64(a[l]) + b[l] + c;
        out[0][l] = u32(x);
        carries |= (x >> 32 & 1) << l;
    }
    write_result<u32>(w, i, out);
    w.set_pair(i.d2.reg, carries & mask);
}

template <bool is_signed> void mad64(Wave &w, const Inst &i)
{
    alignas(64) u32 space[4][lanes], out[2][lanes];
    const u32 *a = lane_source(w, i, 0, 0, 0, false, space[0]);
    const u32 *b = lane_source(w, i, 1, 0, 0, false, space[1]);
    const u32 *c = lane_source(w, i, 2, 0, 0, false, space[2]);
    const u32 *ch = lane_source(w, i, 2, 1, 0, false, space[3]);
    u64 carries = 0, mask = lane_mask(w, i);
    for (int l = 0; l < lanes; l++) {
        u64 addend = c[l] | u64(ch[l]) << 32;
        u64 product = is_signed ? u64(int64_t(int32_t(a[l])) * int32_t(b[l])) : u64(a[l]) * b[l];
        u64 sum = product + addend;
        out[0][l] = u32(sum), out[1][l] = u32(sum >> 32);
        carries |= u64(sum < product) << l;
    }
    write_result<u64>(w, i, out);
    w.set_pair(i.d2.reg, carries & mask);
}

/* V_DIV_SCALE: scales numerator or denominator so that the division steps neither overflow nor
 * lose bits; the mask tells V_DIV_FMAS to scale back. Sources: value, denominator, numerator. */
struct Scaled {
    double x;
    bool flag;
};
Scaled div_scale(double s0, double s1, double s2, int min_exp, int bits, int scale)
{
    auto exponent = [](double x) { return x == 0 || !std::isfinite(x) ? -100000 : std::ilogb(x); };
    bool of_denominator = s0 == s1;
    auto denormal = [&](double x) { return x != 0 && exponent(x) < min_exp; };
    if (s1 == 0 || s2 == 0) return {NAN, false};
    if (exponent(s2) - exponent(s1) >= (bits == 24 ? 96 : 768)) /* N/D near the top */
        return {of_denominator ? std::ldexp(s0, scale) : s0, true};
    if (denormal(s1)) return {std::ldexp(s0, scale), false};
    bool tiny_inverse = exponent(1 / s1) < min_exp, tiny_quotient = exponent(s2 / s1) < min_exp;
    if (tiny_inverse && tiny_quotient) return {of_denominator ? std::ldexp(s0, -scale) : s0, true};
    if (tiny_inverse) return {std::ldexp(s0, -scale), false};
    if (tiny_quotient) return {of_denominator ? s0 : std::ldexp(s0, scale), true};
    if (exponent(s2) <= min_exp + (bits == 24 ? 22 : 52)) return {std::ldexp(s0, scale), false};
    return {s0, false};
}

template <class T> void div_scale_of(Wave &w, const Inst &i)
{
    alignas(64) u32 space[3][2][lanes], out[2][lanes];
    const u32 *p[3][2];
    for (int k = 0; k < 3; k++)
        for (int d = 0; d < 2; d++)
            p[k][d] = lane_source(w, i, k, d < Lane<T>::dwords ? d : 0, Lane<T>::sign(d), false,
                                  space[k][d]);
    u64 flags = 0, mask = lane_mask(w, i);
    bool narrow = sizeof(T) == 4;
    for (int l = 0; l < lanes; l++) {
        double s[3];
        for (int k = 0; k < 3; k++) s[k] = double(Lane<T>::get(p[k][0], p[k][1], l));
        Scaled r =
            div_scale(s[0], s[1], s[2], narrow ? -126 : -1022, narrow ? 24 : 53, narrow ? 64 : 128);
        Lane<T>::put(out, l, T(r.x));
        flags |= u64(r.flag) << l;
    }
    write_result<T>(w, i, out);
    w.set_pair(i.d2.reg, flags & mask);
}

template <class T> void div_fmas(Wave &w, const Inst &i)
{
    alignas(64) u32 space[3][2][lanes], out[2][lanes];
    const u32 *p[3][2];
    for (int k = 0; k < 3; k++)
        for (int d = 0; d < 2; d++)
            p[k][d] = lane_source(w, i, k, d < Lane<T>::dwords ? d : 0, Lane<T>::sign(d), false,
                                  space[k][d]);
    u64 flags = w.pair(vcc);
    for (int l = 0; l < lanes; l++) {
        T s[3];
        for (int k = 0; k < 3; k++) s[k] = Lane<T>::get(p[k][0], p[k][1], l);
        int scale = sizeof(T) == 4 ? 64 : 128; /* up where the denominator was scaled up */
        if (std::fabs(s[2]) < 2) scale = -scale;
        if (!(flags >> l & 1)) scale = 0;
        /* scaled before the rounding to f32, so that a denormal quotient is rounded once */
        double r = std::fma(double(s[0]), double(s[1]), double(s[2]));
        Lane<T>::put(out, l, scale ? T(std::ldexp(r, scale)) : std::fma(s[0], s[1], s[2]));
    }
    write_result<T>(w, i, out);
}

int first_lane(const Wave &w) { return w.active() ? __builtin_ctzll(w.active()) : 0; }

u32 lane_value(Wave &w, const Operand &o, int lane)
{
    return o.kind == Operand::vector ? w.v[o.reg][lane] : read32(w, o);
}
void readfirstlane(Wave &w, const Inst &i) { w.s[i.d.reg] = lane_value(w, i.s[0], first_lane(w)); }
void readlane(Wave &w, const Inst &i)
{
    w.s[i.d.reg] = lane_value(w, i.s[0], int(read32(w, i.s[1]) & 63));
}
void writelane(Wave &w, const Inst &i) { w.v[i.d.reg][read32(w, i.s[1]) & 63] = read32(w, i.s[0]); }

/* Active lanes below this one that have a bit in the mask, 32 lanes at a time. */
template <int from> void mbcnt(Wave &w, const Inst &i)
{
    alignas(64) u32 space[2][lanes], out[2][lanes];
    const u32 *a = lane_source(w, i, 0, 0, 0, false, space[0]);
    const u32 *b = lane_source(w, i, 1, 0, 0, false, space[1]);
    for (int l = 0; l < lanes; l++) {
        int n = std::max(0, std::min(32, l - from));
        u32 below = n == 32 ? ~0u : (1u << n) - 1;
        out[0][l] = u32(__builtin_popcount(a[l] & below)) + b[l];
    }
    write_result<u32>(w, i, out);
}

/* row_bytes lanes of one register change places with as many of the other */
template <int width> void permlane_swap(Wave &w, const Inst &i)
{
    u32 *a = w.v[i.d.reg], *b = w.v[i.d2.reg];
    for (int l = 0; l < lanes; l += 2 * width)
        for (int k = l; k < l + width; k++)
            if ((w.active() >> k & 1) && (w.active() >> (k + width) & 1))
                std::swap(a[k + width], b[k]);
}

void swap(Wave &w, const Inst &i)
{
    for (int l = 0; l < lanes; l++)
        if (w.active() >> l & 1) std::swap(w.v[i.d.reg][l], w.v[i.d2.reg][l]);
}

constexpr Row of(const char *name, Run run, Types types, u32 flags = 0)
{
    return {name, run, types, Unit::vector, flags, 0, 0, 0};
}
const Row rows[] = {
    of("v_cndmask_b32", cndmask, "uuuq"),
    of("v_add_co_u32", carry<false, 0>, "uuu", two_dst),
    of("v_sub_co_u32", carry<false, 1>, "uuu", two_dst),
    of("v_subrev_co_u32", carry<false, 2>, "uuu", two_dst),
    of("v_addc_co_u32", carry<true, 0>, "uuuq", two_dst),
    of("v_subb_co_u32", carry<true, 1>, "uuuq", two_dst),
    of("v_subbrev_co_u32", carry<true, 2>, "uuuq", two_dst),
    of("v_mad_u64_u32", mad64<false>, "quuq", two_dst),
    of("v_mad_i64_i32", mad64<true>, "quuq", two_dst),
    of("v_div_scale_f32", div_scale_of<float>, "ffff", two_dst),
    of("v_div_scale_f64", div_scale_of<double>, "dddd", two_dst),
    of("v_div_fmas_f32", div_fmas<float>, "ffff", reads_vcc),
    of("v_div_fmas_f64", div_fmas<double>, "dddd", reads_vcc),
    of("v_readfirstlane_b32", readfirstlane, "uu"),
    of("v_readlane_b32", readlane, "uuu"),
    of("v_writelane_b32", writelane, "uuu"),
    of("v_mbcnt_lo_u32_b32", mbcnt<0>, "uuu"),
    of("v_mbcnt_hi_u32_b32", mbcnt<32>, "uuu"),
    of("v_permlane16_swap_b32", permlane_swap<16>, "uu", both_dst),
    of("v_permlane32_swap_b32", permlane_swap<32>, "uu", both_dst),
    of("v_swap_b32", swap, "uu", both_dst),
};

} // namespace

Rows lane_rows() { return {std::begin(rows), std::end(rows)}; }

} // namespace cdna
