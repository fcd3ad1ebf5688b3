/* convert.cpp -- VALU conversions between number formats. */
#include "lanes.h"

#include <algorithm>

namespace cdna
{
namespace
{

using u32 = uint32_t;
using i32 = int32_t;

/* Out of range saturates, NaN becomes 0. */
i32 double_to_int(double a)
{
    if (a != a) return 0;
    return i32(std::max(-2147483648.0, std::min(2147483647.0, std::trunc(a))));
}
u32 double_to_uint(double a)
{
    if (a != a) return 0;
    return u32(std::max(0.0, std::min(4294967295.0, std::trunc(a))));
}
i32 to_int(float a) { return double_to_int(a); }
u32 to_uint(float a) { return double_to_uint(a); }
i32 to_int_nearest(float a) { return to_int(std::floor(a + 0.5f)); }
i32 to_int_floor(float a) { return to_int(std::floor(a)); }
float from_int(i32 a) { return float(a); }
float from_uint(u32 a) { return float(a); }
template <int n> float byte(u32 a) { return float(a >> 8 * n & 0xff); }
double widen(float a) { return a; }
float narrow(double a) { return float(a); }
double int_to_double(i32 a) { return a; }
double uint_to_double(u32 a) { return a; }
Half f16_of(float a) { return {float_to_half(a)}; }
float f32_of(Half a) { return half_to_float(a.bits); }
Half f16_of_uint(uint16_t a) { return f16_of(float(a)); }
Half f16_of_int(int16_t a) { return f16_of(float(a)); }
uint16_t uint_of_f16(Half a) { return uint16_t(std::min<u32>(65535, to_uint(f32_of(a)))); }
int16_t int_of_f16(Half a) { return int16_t(std::max(-32768, std::min(32767, to_int(f32_of(a))))); }
u32 pair(uint16_t lo, uint16_t hi) { return lo | u32(hi) << 16; }
u32 pk_bf16(float a, float b) { return pair(float_to_bf16(a), float_to_bf16(b)); }
u32 pk_f16(float a, float b) { return pair(float_to_half(a), float_to_half(b)); }
u32 pk_rtz(float a, float b) { return pair(float_to_half_zero(a), float_to_half_zero(b)); }
u32 pk_u16(u32 a, u32 b)
{
    return pair(uint16_t(std::min(a, 65535u)), uint16_t(std::min(b, 65535u)));
}
u32 pk_i16(i32 a, i32 b)
{
    auto f = [](i32 x) { return uint16_t(std::max(-32768, std::min(32767, x))); };
    return pair(f(a), f(b));
}
u32 pk_u8(float a, u32 at, u32 old)
{
    u32 shift = 8 * (at & 3), x = to_uint(std::nearbyint(a));
    return (old & ~(0xffu << shift)) | std::min(x, 255u) << shift;
}
i32 norm(float a, float range)
{
    return a != a ? 0 : i32(std::nearbyint(std::max(-1.0f, std::min(1.0f, a)) * range));
}
u32 pknorm_i16(float a, float b)
{
    return pair(uint16_t(norm(a, 32767)), uint16_t(norm(b, 32767)));
}
float bf16_up(uint16_t a) { return bf16_to_float(a); }

/* D = S0's f16 in the low half, S1's in the high one; op_sel picks the halves. */
u32 pack_b32(Half a, Half b) { return pair(a.bits, b.bits); }

bool fnuz(const Wave &w) { return w.machine->chip != Chip::gfx950; }

/* Two f32 to two bytes of a register; op_sel's result bit picks the upper pair. */
template <bool e5m2> void pk_fp8(Wave &w, const Inst &i)
{
    alignas(64) uint32_t space[2][lanes], out[lanes];
    const uint32_t *a = lane_source(w, i, 0, 0, 1u << 31, false, space[0]);
    const uint32_t *b = lane_source(w, i, 1, 0, 1u << 31, false, space[1]);
    bool high = (i.op_sel >> 2 & 1) || (i.op_sel >> 3 & 1);
    for (int l = 0; l < lanes; l++) {
        u32 x = float_to_fp8(cast<float>(a[l]), e5m2, fnuz(w));
        x |= u32(float_to_fp8(cast<float>(b[l]), e5m2, fnuz(w))) << 8;
        u32 old = w.v[i.d.reg][l];
        out[l] = high ? (old & 0xffff) | x << 16 : (old & 0xffff0000) | x;
    }
    write_lanes(w, i.d.reg, out, lane_mask(w, i));
}

template <bool e5m2, int count> void from_fp8(Wave &w, const Inst &i)
{
    alignas(64) uint32_t space[lanes], out[2][lanes];
    const uint32_t *a = lane_source(w, i, 0, 0, 0, false, space);
    int word = count == 2 && (i.op_sel & 1) ? 16 : 0;
    for (int l = 0; l < lanes; l++)
        for (int k = 0; k < count; k++)
            out[k][l] = cast<u32>(fp8_to_float(uint8_t(a[l] >> (word + 8 * k)), e5m2, fnuz(w)));
    uint64_t mask = lane_mask(w, i);
    for (int k = 0; k < count; k++) write_lanes(w, i.d.reg + k, out[k], mask);
}

/* Two integers, shifted, saturated to bytes, into the low half of the register. */
template <int low, int high> void ashr_pk(Wave &w, const Inst &i)
{
    alignas(64) uint32_t space[3][lanes], out[lanes];
    const uint32_t *p[3];
    for (int k = 0; k < 3; k++) p[k] = lane_source(w, i, k, 0, 0, false, space[k]);
    bool upper = i.op_sel >> 3 & 1;
    for (int l = 0; l < lanes; l++) {
        u32 x = 0;
        for (int k = 0; k < 2; k++) {
            i32 s = i32(p[k][l]) >> (p[2][l] & 31);
            x |= (u32(std::max(low, std::min(high, s))) & 0xff) << 8 * k;
        }
        u32 old = w.v[i.d.reg][l];
        out[l] = upper ? (old & 0xffff) | x << 16 : (old & 0xffff0000) | x;
    }
    write_lanes(w, i.d.reg, out, lane_mask(w, i));
}

constexpr Row of(const char *name, Run run, Types types)
{
    return {name, run, types, Unit::vector, 0, 0, 0, 0};
}
const Row rows[] = {
    row<to_int>("v_cvt_i32_f32"),
    row<to_uint>("v_cvt_u32_f32"),
    row<to_int_nearest>("v_cvt_rpi_i32_f32"),
    row<to_int_floor>("v_cvt_flr_i32_f32"),
    row<from_int>("v_cvt_f32_i32"),
    row<from_uint>("v_cvt_f32_u32"),
    row<byte<0>>("v_cvt_f32_ubyte0"),
    row<byte<1>>("v_cvt_f32_ubyte1"),
    row<byte<2>>("v_cvt_f32_ubyte2"),
    row<byte<3>>("v_cvt_f32_ubyte3"),
    row<widen>("v_cvt_f64_f32"),
    row<narrow>("v_cvt_f32_f64"),
    row<int_to_double>("v_cvt_f64_i32"),
    row<uint_to_double>("v_cvt_f64_u32"),
    row<double_to_int>("v_cvt_i32_f64"),
    row<double_to_uint>("v_cvt_u32_f64"),
    row<f16_of>("v_cvt_f16_f32"),
    row<f32_of>("v_cvt_f32_f16"),
    row<f16_of_uint>("v_cvt_f16_u16"),
    row<f16_of_int>("v_cvt_f16_i16"),
    row<uint_of_f16>("v_cvt_u16_f16"),
    row<int_of_f16>("v_cvt_i16_f16"),
    row<pk_bf16>("v_cvt_pk_bf16_f32"),
    row<pk_f16>("v_cvt_pk_f16_f32"),
    row<pk_rtz>("v_cvt_pkrtz_f16_f32"),
    row<pk_u16>("v_cvt_pk_u16_u32"),
    row<pk_i16>("v_cvt_pk_i16_i32"),
    row<pk_u8>("v_cvt_pk_u8_f32"),
    row<pknorm_i16>("v_cvt_pknorm_i16_f32"),
    row<pack_b32>("v_pack_b32_f16"),
    row<bf16_up>("v_cvt_f32_bf16"),
    of("v_cvt_pk_fp8_f32", pk_fp8<false>, "uff"),
    of("v_cvt_pk_bf8_f32", pk_fp8<true>, "uff"),
    of("v_cvt_f32_fp8", from_fp8<false, 1>, "fu"),
    of("v_cvt_f32_bf8", from_fp8<true, 1>, "fu"),
    of("v_cvt_pk_f32_fp8", from_fp8<false, 2>, "Fu"),
    of("v_cvt_pk_f32_bf8", from_fp8<true, 2>, "Fu"),
    of("v_ashr_pk_i8_i32", ashr_pk<-128, 127>, "uuuu"),
    of("v_ashr_pk_u8_i32", ashr_pk<0, 255>, "uuuu"),
};

} // namespace

Rows convert_rows() { return {std::begin(rows), std::end(rows)}; }

} // namespace cdna
