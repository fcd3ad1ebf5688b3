/* vector.cpp -- VALU instructions on f32, f64, f16 and integers: the plain arithmetic of VOP1, VOP2
 * and VOP3. */
#include "lanes.h"

#include <algorithm>

namespace cdna
{
namespace
{

using u32 = uint32_t;
using i32 = int32_t;
using u64 = uint64_t;
using i64 = int64_t;
using u16 = uint16_t;
using i16 = int16_t;
using H = Half;

/* --- f32 and f64: a template of the type */
template <class T> T add(T a, T b) { return a + b; }
template <class T> T sub(T a, T b) { return a - b; }
template <class T> T subrev(T a, T b) { return b - a; }
template <class T> T mul(T a, T b) { return a * b; }
template <class T> T fma3(T a, T b, T c) { return std::fma(a, b, c); }
template <class T> bool nan(T a) { return a != a; }
/* IEEE 754-2008 maxNum; of two zeros the positive is larger */
template <class T> T max2(T a, T b)
{
    T m = a > b || (a == b && !std::signbit(a)) ? a : b;
    return nan(a) ? b : nan(b) ? a : m;
}
template <class T> T min2(T a, T b)
{
    T m = a < b || (a == b && std::signbit(a)) ? a : b;
    return nan(a) ? b : nan(b) ? a : m;
}
template <class T> T max3(T a, T b, T c) { return max2(max2(a, b), c); }
template <class T> T min3(T a, T b, T c) { return min2(min2(a, b), c); }
/* IEEE 754-2019 maximum: NaN of any gives NaN */
float maximum3(float a, float b, float c)
{
    return nan(a) ? a : nan(b) ? b : nan(c) ? c : max3(a, b, c);
}
template <class T> T med3(T a, T b, T c)
{
    T middle = max2(min2(a, b), min2(max2(a, b), c));
    return nan(a) || nan(b) || nan(c) ? min3(a, b, c) : middle;
}
template <class T> T truncate(T a) { return std::trunc(a); }
template <class T> T ceiling(T a) { return std::ceil(a); }
template <class T> T flooring(T a) { return std::floor(a); }
template <class T> T nearest(T a) { return std::nearbyint(a); }
template <class T> T ldexp2(T a, i32 e)
{
    return std::ldexp(a, std::max(-5000, std::min(5000, e)));
}
float fract(float a) { return std::min(a - std::floor(a), 0x1.fffffep-1f); }
float mul_legacy(float a, float b) { return a == 0 || b == 0 ? 0.0f : a * b; }
float flush(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }
float fma_middle(float a, float k, float b) { return std::fma(a, k, b); }
float mad_middle(float a, float k, float b) { return flush(flush(flush(a) * k) + flush(b)); }
float mac(float a, float b, float sum) { return mad_middle(a, flush(b), sum); }
template <class T> i32 frexp_exp(T a)
{
    int e = 0;
    if (std::isfinite(a)) std::frexp(a, &e);
    return e;
}
template <class T> T frexp_mant(T a)
{
    int e;
    return std::isfinite(a) ? std::frexp(a, &e) : a;
}
double fract64(double a) { return std::min(a - std::floor(a), 0x1.fffffffffffffp-1); }

/* --- transcendental: correct to a last bit of f32, denormal results are flushed */
float exp2_(float a)
{
    double x = std::max(-160.0, std::min(160.0, double(a))), n = std::nearbyint(x);
    double t = (x - n) * 0.6931471805599453, p = 1.0 / 39916800;
    p = p * t + 1.0 / 3628800, p = p * t + 1.0 / 362880, p = p * t + 1.0 / 40320;
    p = p * t + 1.0 / 5040, p = p * t + 1.0 / 720, p = p * t + 1.0 / 120;
    p = p * t + 1.0 / 24, p = p * t + 1.0 / 6, p = p * t + 0.5, p = p * t + 1, p = p * t + 1;
    double power = cast<double>(u64(i64(n) + 1023) << 52);
    return nan(a) ? a : flush(float(p * power));
}
float log2_(float a) { return float(std::log2(double(flush(a)))); }
float rcp(float a) { return flush(1.0f / flush(a)); }
float rsq(float a) { return float(1.0 / std::sqrt(double(flush(a)))); }
float sqrt_(float a) { return std::sqrt(a); }
float sin_(float a) { return float(std::sin(6.283185307179586 * (double(a) - std::floor(a)))); }
float cos_(float a) { return float(std::cos(6.283185307179586 * (double(a) - std::floor(a)))); }
double rcp64(double a) { return 1.0 / a; }
double rsq64(double a) { return 1.0 / std::sqrt(a); }
double sqrt64(double a) { return std::sqrt(a); }

/* --- f16: through f32, which holds sums and products of two f16 before the last rounding */
float up(H a) { return half_to_float(a.bits); }
H down(float a) { return {float_to_half(a)}; }
H add16(H a, H b) { return down(up(a) + up(b)); }
H sub16(H a, H b) { return down(up(a) - up(b)); }
H subrev16(H a, H b) { return down(up(b) - up(a)); }
H mul16(H a, H b) { return down(up(a) * up(b)); }
H fma16(H a, H b, H c) { return down(double_to_float_odd(double(up(a)) * up(b) + up(c))); }
H max16(H a, H b) { return down(max2(up(a), up(b))); }
H min16(H a, H b) { return down(min2(up(a), up(b))); }
H max3_16(H a, H b, H c) { return down(max3(up(a), up(b), up(c))); }
H min3_16(H a, H b, H c) { return down(min3(up(a), up(b), up(c))); }
H med3_16(H a, H b, H c) { return down(med3(up(a), up(b), up(c))); }
H rcp16(H a) { return down(1.0f / up(a)); }
H sqrt16(H a) { return down(std::sqrt(up(a))); }
H rsq16(H a) { return down(1.0f / std::sqrt(up(a))); }
H exp16(H a) { return down(std::exp2(up(a))); }
H log16(H a) { return down(std::log2(up(a))); }
H floor16(H a) { return down(std::floor(up(a))); }
H ceil16(H a) { return down(std::ceil(up(a))); }
H trunc16(H a) { return down(std::trunc(up(a))); }
H rndne16(H a) { return down(std::nearbyint(up(a))); }
H fract16(H a) { return down(std::min(up(a) - std::floor(up(a)), 0x1.ffcp-1f)); }
H ldexp16(H a, i16 e) { return down(std::ldexp(up(a), e)); }

/* --- division steps (ISA: V_DIV_FIXUP) */
template <class T> T div_fixup(T q, T b, T a)
{ /* quotient, denominator, numerator */
    T sign = std::copysign(T(1), a) * std::copysign(T(1), b);
    if (nan(a)) return a;
    if (nan(b)) return b;
    if ((a == 0 && b == 0) || (std::isinf(a) && std::isinf(b))) return T(NAN);
    if (b == 0 || std::isinf(a)) return std::copysign(T(INFINITY), sign);
    if (a == 0 || std::isinf(b)) return std::copysign(T(0), sign);
    return std::copysign(q, sign);
}
H div_fixup16(H q, H b, H a) { return down(div_fixup(up(q), up(b), up(a))); }

const Row rows[] = {
    row<add<float>>("v_add_f32"),
    row<sub<float>>("v_sub_f32"),
    row<subrev<float>>("v_subrev_f32"),
    row<mul<float>>("v_mul_f32"),
    row<mul_legacy>("v_mul_legacy_f32"),
    row<fma3<float>>("v_fma_f32"),
    row<fma3<float>>("v_fmac_f32", reads_dst),
    row<fma3<float>>("v_fmaak_f32"),
    row<fma_middle>("v_fmamk_f32"),
    row<mad_middle>("v_madmk_f32"),
    row<mac>("v_mac_f32", reads_dst),
    row<min2<float>>("v_min_f32"),
    row<max2<float>>("v_max_f32"),
    row<min3<float>>("v_min3_f32"),
    row<max3<float>>("v_max3_f32"),
    row<maximum3>("v_maximum3_f32"),
    row<med3<float>>("v_med3_f32"),
    row<truncate<float>>("v_trunc_f32"),
    row<ceiling<float>>("v_ceil_f32"),
    row<flooring<float>>("v_floor_f32"),
    row<nearest<float>>("v_rndne_f32"),
    row<fract>("v_fract_f32"),
    row<ldexp2<float>>("v_ldexp_f32"),
    row<frexp_exp<float>>("v_frexp_exp_i32_f32"),
    row<frexp_mant<float>>("v_frexp_mant_f32"),
    row<exp2_>("v_exp_f32"),
    row<log2_>("v_log_f32"),
    row<rcp>("v_rcp_f32"),
    row<rcp>("v_rcp_iflag_f32"),
    row<rsq>("v_rsq_f32"),
    row<sqrt_>("v_sqrt_f32"),
    row<sin_>("v_sin_f32"),
    row<cos_>("v_cos_f32"),
    row<div_fixup<float>>("v_div_fixup_f32"),
    row<add<double>>("v_add_f64"),
    row<mul<double>>("v_mul_f64"),
    row<fma3<double>>("v_fma_f64"),
    row<fma3<double>>("v_fmac_f64", reads_dst),
    row<min2<double>>("v_min_f64"),
    row<max2<double>>("v_max_f64"),
    row<truncate<double>>("v_trunc_f64"),
    row<ceiling<double>>("v_ceil_f64"),
    row<flooring<double>>("v_floor_f64"),
    row<nearest<double>>("v_rndne_f64"),
    row<fract64>("v_fract_f64"),
    row<ldexp2<double>>("v_ldexp_f64"),
    row<frexp_exp<double>>("v_frexp_exp_i32_f64"),
    row<frexp_mant<double>>("v_frexp_mant_f64"),
    row<rcp64>("v_rcp_f64"),
    row<rsq64>("v_rsq_f64"),
    row<sqrt64>("v_sqrt_f64"),
    row<div_fixup<double>>("v_div_fixup_f64"),
    row<add16>("v_add_f16"),
    row<sub16>("v_sub_f16"),
    row<subrev16>("v_subrev_f16"),
    row<mul16>("v_mul_f16"),
    row<fma16>("v_fma_f16", keeps_high),
    row<fma16>("v_fmac_f16", reads_dst),
    row<max16>("v_max_f16"),
    row<min16>("v_min_f16"),
    row<max3_16>("v_max3_f16", keeps_high),
    row<min3_16>("v_min3_f16", keeps_high),
    row<med3_16>("v_med3_f16", keeps_high),
    row<rcp16>("v_rcp_f16"),
    row<sqrt16>("v_sqrt_f16"),
    row<rsq16>("v_rsq_f16"),
    row<exp16>("v_exp_f16"),
    row<log16>("v_log_f16"),
    row<floor16>("v_floor_f16"),
    row<ceil16>("v_ceil_f16"),
    row<trunc16>("v_trunc_f16"),
    row<rndne16>("v_rndne_f16"),
    row<fract16>("v_fract_f16"),
    row<ldexp16>("v_ldexp_f16"),
    row<div_fixup16>("v_div_fixup_f16", keeps_high),
};

} // namespace

Rows vector_rows() { return {std::begin(rows), std::end(rows)}; }

} // namespace cdna
