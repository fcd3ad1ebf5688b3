/* opcodes_float.h -- cases for VALU arithmetic on f32, f64, f16 and pairs of them. */
#ifndef CDNA_TESTS_OPCODES_FLOAT_H
#define CDNA_TESTS_OPCODES_FLOAT_H

#include "opcode_case.h"

/* IEEE maxNum and minNum, -0 below +0 */
template <class T> T most(T a, T b)
{
    if (a != a) return b;
    if (b != b) return a;
    return a > b || (a == b && std::signbit(b)) ? a : b;
}
template <class T> T least(T a, T b)
{
    if (a != a) return b;
    if (b != b) return a;
    return a < b || (a == b && std::signbit(a)) ? a : b;
}
template <class T> T middle(T a, T b, T c)
{
    if (a != a || b != b || c != c) return least(least(a, b), c);
    T sum[3] = {a, b, c};
    std::sort(sum, sum + 3,
              [](T x, T y) { return x < y || (x == y && std::signbit(x) && !std::signbit(y)); });
    return sum[1];
}

/* What a flushing instruction takes x for. */
inline float settled(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }

#define A r.x(11, l)
#define B r.x(12, l)
#define C r.x(13, l)

inline void f32_cases(std::vector<Case> &t)
{
    t.insert(
        t.end(),
        {
            LANE("v_add_f32", "v32, v11, v12", A + B),
            LANE("v_add_f32", "v32, -v11, |v12|", -A + std::fabs(B)),
            LANE("v_add_f32", "v32, v11, v12 clamp", A + B > 0 ? std::fmin(A + B, 1.0f) : 0.0f),
            LANE("v_mul_f32", "v32, v31, v28 mul:4", r.x(31, l) * r.x(28, l) * 4),
            LANE("v_mul_f32", "v32, v31, v28 div:2", r.x(31, l) * r.x(28, l) / 2),
            LANE("v_sub_f32", "v32, v11, v12", A - B),
            LANE("v_subrev_f32", "v32, v11, v12", B - A),
            LANE("v_mul_f32", "v32, v11, v12", A * B),
            LANE("v_mul_f32", "v32, 0.5, v12", 0.5f * B),
            LANE("v_mul_f32", "v32, 0x40490fdb, v12", bits<float>(0x40490fdbu) * B),
            LANE("v_mul_legacy_f32", "v32, v11, v12", A == 0 || B == 0 ? 0.0f : A * B),
            LANE("v_fma_f32", "v32, v11, v12, v13", std::fma(A, B, C)),
            LANE("v_fma_f32", "v32, -v11, |v12|, -|v13|",
                 std::fma(-A, std::fabs(B), -std::fabs(C))),
            LANE("v_fma_f32", "v32, v11, s16, 1.0", std::fma(A, bits<float>(r.s(16)), 1.0f)),
            lane_case("v_fmac_f32", "v_mov_b32 v32, v13\nv_fmac_f32 v32, v11, v12",
                      [](const Registers &r, int l) { return std::fma(A, B, C); }),
            LANE_ON("gfx942 gfx950", "v_fmamk_f32", "v32, v11, 0x3fc00000, v12",
                    std::fma(A, 1.5f, B)),
            LANE_ON("gfx90a", "v_madmk_f32", "v32, v11, 0x4f800000, v12",
                    settled(settled(settled(A) * 0x1p32f) + settled(B))),
            LANE_ON("gfx90a", "v_madmk_f32", "v32, v11, 0xcf800000, v12",
                    settled(settled(settled(A) * -0x1p32f) + settled(B))),
            lane_case(
                "v_mac_f32", "v_mov_b32 v32, v13\nv_mac_f32 v32, 0x4f800000, v12",
                [](const Registers &r, int l) {
                    return settled(settled(0x1p32f * settled(B)) + settled(C));
                },
                "gfx90a"),
            LANE_ON("gfx942 gfx950", "v_fmaak_f32", "v32, v11, v12, 0x3fc00000",
                    std::fma(A, B, 1.5f)),
            LANE("v_max_f32", "v32, v11, v12", most(A, B)),
            LANE("v_min_f32", "v32, v11, v12", least(A, B)),
            LANE("v_max3_f32", "v32, v11, v12, v13", most(most(A, B), C)),
            LANE("v_min3_f32", "v32, v11, v12, v13", least(least(A, B), C)),
            LANE_ON("gfx950", "v_maximum3_f32", "v32, v11, v12, v13",
                    A != A || B != B || C != C ? NAN : most(most(A, B), C)),
            LANE("v_med3_f32", "v32, v11, v12, v13", middle(A, B, C)),
            LANE("v_trunc_f32", "v32, v11", std::trunc(A)),
            LANE("v_ceil_f32", "v32, v11", std::ceil(A)),
            LANE("v_floor_f32", "v32, v11", std::floor(A)),
            LANE("v_rndne_f32", "v32, v11", std::rint(A)),
            LANE("v_fract_f32", "v32, v29",
                 std::fmin(r.x(29, l) - std::floor(r.x(29, l)), bits<float>(0x3f7fffffu))),
            LANE("v_ldexp_f32", "v32, v11, v14", std::ldexp(A, r.i(14, l))),
            LANE("v_frexp_mant_f32", "v32, v28",
                 r.x(28, l) / std::ldexp(1.0f, std::ilogb(r.x(28, l)) + 1)),
            LANE("v_frexp_exp_i32_f32", "v32, v28", u32(std::ilogb(r.x(28, l)) + 1)),
            NEAR("v_exp_f32", "v32, v29", 1, float(std::exp2(double(r.x(29, l))))),
            NEAR("v_exp_f32", "v32, v31", 1, /* the range of f32, and beyond; denormals become 0 */
                 r.x(31, l) < -126 ? 0.0f : float(std::exp2(double(r.x(31, l))))),
            NEAR("v_log_f32", "v32, v28", 1, float(std::log2(double(r.x(28, l))))),
            NEAR("v_rcp_f32", "v32, v29", 1, 1.0f / r.x(29, l)),
            NEAR("v_rcp_iflag_f32", "v32, v29", 1, 1.0f / r.x(29, l)),
            NEAR("v_rsq_f32", "v32, v28", 1, float(1 / std::sqrt(double(r.x(28, l))))),
            NEAR("v_sqrt_f32", "v32, v28", 1, std::sqrt(r.x(28, l))),
            NEAR("v_sin_f32", "v32, v28", 1e4, float(std::sin(2 * M_PI * double(r.x(28, l))))),
            NEAR("v_cos_f32", "v32, v28", 1e4, float(std::cos(2 * M_PI * double(r.x(28, l))))),
        });
}

/* Division by the compiler's own steps: right to the last bit for any operands. */
inline Case division(const char *opcode)
{
    return lane_case(
        opcode,
        "v_div_scale_f32 v2, s[4:5], v12, v12, v11\nv_div_scale_f32 v3, vcc, v11, v12, v11\n"
        "v_rcp_f32 v4, v2\nv_fma_f32 v5, -v2, v4, 1.0\nv_fma_f32 v4, v5, v4, v4\n"
        "v_mul_f32 v5, v3, v4\nv_fma_f32 v6, -v2, v5, v3\nv_fma_f32 v5, v6, v4, v5\n"
        "v_fma_f32 v2, -v2, v5, v3\ns_nop 4\nv_div_fmas_f32 v2, v2, v4, v5\n"
        "v_div_fixup_f32 v32, v2, v12, v11",
        [](const Registers &r, int l) { return A / B; });
}

inline void f64_cases(std::vector<Case> &t)
{
#define P r.d(22, l)
#define Q r.d(24, l)
#define R r.d(26, l)
    t.insert(t.end(),
             {
                 LANE("v_add_f64", "v[32:33], v[22:23], -v[24:25]", P - Q),
                 LANE("v_mul_f64", "v[32:33], v[22:23], |v[24:25]|", P * std::fabs(Q)),
                 LANE("v_fma_f64", "v[32:33], v[22:23], v[24:25], v[26:27]", std::fma(P, Q, R)),
                 LANE("v_max_f64", "v[32:33], v[22:23], v[24:25]", most(P, Q)),
                 LANE("v_min_f64", "v[32:33], v[22:23], v[24:25]", least(P, Q)),
                 LANE("v_trunc_f64", "v[32:33], v[22:23]", std::trunc(P)),
                 LANE("v_floor_f64", "v[32:33], v[22:23]", std::floor(P)),
                 LANE("v_ceil_f64", "v[32:33], v[22:23]", std::ceil(P)),
                 LANE("v_rndne_f64", "v[32:33], v[22:23]", std::rint(P)),
                 LANE("v_ldexp_f64", "v[32:33], v[22:23], v14", std::ldexp(P, r.i(14, l))),
                 NEAR("v_rcp_f64", "v[32:33], v[22:23]", 0x1p30, 1 / P),
             });
    for (const char *opcode : {"v_div_scale_f32", "v_div_fmas_f32", "v_div_fixup_f32"})
        t.push_back(division(opcode));
#undef P
#undef Q
#undef R
}

/* f16: low halves of v15, v16, v17 */
#define H(v)    f16(r.u(v, l) & 0xffff)
#define HIGH(v) f16(r.u(v, l) >> 16)
/* any NaN is as good as another: its bits become 0x7e00 */
inline u32 one_nan(u32 x)
{
    for (int k = 0; k < 32; k += 16)
        if ((x >> k & 0x7fff) > 0x7c00) x = (x & ~(0xffffu << k)) | 0x7e00u << k;
    return x;
}
template <class F> Case half_case(const char *opcode, const char *code, F formula)
{
    return {opcode, code, "", [formula](const snippet::Frame &f) -> std::string {
                Registers r{f};
                for (int l = 0; l < 64; l++) {
                    u32 got = one_nan(f.out[0][l]), want = one_nan(formula(r, l));
                    if (got != want) return differs_bits("v32", l, got, want);
                }
                return "";
            }};
}
#define HALF(opcode, code, ...)                                                        \
    half_case(opcode, opcode " " code,                                                 \
              []([[maybe_unused]] const Registers &r, [[maybe_unused]] int l) -> u32 { \
                  return __VA_ARGS__;                                                  \
              })

inline void f16_cases(std::vector<Case> &t)
{
    t.insert(
        t.end(),
        {
            HALF("v_add_f16", "v32, v15, v16", to_f16(H(15) + H(16))),
            HALF("v_sub_f16", "v32, v15, v16", to_f16(H(15) - H(16))),
            HALF("v_mul_f16", "v32, v15, v16", to_f16(H(15) * H(16))),
            HALF("v_max_f16", "v32, v15, v16", to_f16(most(H(15), H(16)))),
            HALF("v_min_f16", "v32, v15, v16", to_f16(least(H(15), H(16)))),
            half_case("v_fma_f16", "v_mov_b32 v32, 0\nv_fma_f16 v32, v15, v16, v17",
                      [](const Registers &r, int l) { return to_f16(H(15) * H(16) + H(17)); }),
            half_case("v_fma_f16",
                      "v_mov_b32 v32, v17\nv_fma_f16 v32, v15, v16, v17 op_sel:[1,0,0,1]",
                      [](const Registers &r, int l) {
                          return pack(r.u(17, l), to_f16(HIGH(15) * H(16) + H(17)));
                      }),
            HALF("v_floor_f16", "v32, v15", to_f16(std::floor(H(15)))),
            HALF("v_ceil_f16", "v32, v15", to_f16(std::ceil(H(15)))),
            HALF("v_trunc_f16", "v32, v15", to_f16(std::trunc(H(15)))),
            HALF("v_rndne_f16", "v32, v15", to_f16(std::rint(H(15)))),
            HALF("v_pk_add_f16", "v32, v15, v16",
                 pack(to_f16(H(15) + H(16)), to_f16(HIGH(15) + HIGH(16)))),
            HALF("v_pk_mul_f16", "v32, v15, v16 op_sel:[0,1] op_sel_hi:[1,0]",
                 pack(to_f16(H(15) * HIGH(16)), to_f16(HIGH(15) * H(16)))),
            HALF("v_pk_fma_f16", "v32, v15, v16, v17 neg_lo:[1,0,0] neg_hi:[0,0,1]",
                 pack(to_f16(-H(15) * H(16) + H(17)), to_f16(HIGH(15) * HIGH(16) - HIGH(17)))),
            HALF("v_pk_max_f16", "v32, v15, v16",
                 pack(to_f16(most(H(15), H(16))), to_f16(most(HIGH(15), HIGH(16))))),
            HALF("v_pk_min_f16", "v32, v15, v16",
                 pack(to_f16(least(H(15), H(16))), to_f16(least(HIGH(15), HIGH(16))))),
            LANE("v_fma_mix_f32", "v32, v15, v12, v17 op_sel:[1,0,0] op_sel_hi:[1,0,1]",
                 std::fma(float(HIGH(15)), B, float(H(17)))),
            half_case("v_fma_mixlo_f16", "v_mov_b32 v32, v17\nv_fma_mixlo_f16 v32, v28, v29, v31",
                      [](const Registers &r, int l) {
                          float f = std::fma(r.x(28, l), r.x(29, l), r.x(31, l));
                          return pack(to_f16(f), r.u(17, l) >> 16);
                      }),
            half_case("v_fma_mixhi_f16", "v_mov_b32 v32, v17\nv_fma_mixhi_f16 v32, v28, v29, v31",
                      [](const Registers &r, int l) {
                          float f = std::fma(r.x(28, l), r.x(29, l), r.x(31, l));
                          return pack(r.u(17, l), to_f16(f));
                      }),
        });
}

/* The second result of a packed f32. */
template <class F> Case pair_case(const char *opcode, const char *code, F formula)
{
    return {opcode, code, "", [formula](const snippet::Frame &f) -> std::string {
                Registers r{f};
                for (int l = 0; l < 64; l++)
                    for (int h = 0; h < 2; h++) {
                        float got, want = formula(r, l, h);
                        take(f, 32 + h, l, got);
                        if (!same(got, want)) return differs(h ? "v33" : "v32", l, got, want);
                    }
                return "";
            }};
}
#define PAIR(opcode, code, ...)        \
    pair_case(opcode, opcode " " code, \
              [](const Registers &r, int l, [[maybe_unused]] int h) { return __VA_ARGS__; })

inline void pair_cases(std::vector<Case> &t)
{
    t.insert(
        t.end(),
        {
            PAIR("v_pk_add_f32", "v[32:33], v[10:11], v[12:13]", r.x(10 + h, l) + r.x(12 + h, l)),
            PAIR("v_pk_mul_f32", "v[32:33], v[10:11], v[12:13] op_sel_hi:[0,1]",
                 r.x(10, l) * r.x(12 + h, l)),
            PAIR("v_pk_mul_f32", "v[32:33], s[16:17], v[12:13] neg_lo:[1,0]",
                 (h ? 1.0f : -1.0f) * bits<float>(r.s(16 + h)) * r.x(12 + h, l)),
            PAIR("v_pk_fma_f32",
                 "v[32:33], v[10:11], v[12:13], v[28:29] op_sel:[1,0,0] op_sel_hi:[0,1,1]",
                 std::fma(r.x(h ? 10 : 11, l), r.x(12 + h, l), r.x(28 + h, l))),
            PAIR("v_pk_mov_b32", "v[32:33], v[10:11], v[12:13] op_sel:[1,0]", r.x(h ? 12 : 11, l)),
            LANE("v_pk_mov_b32", "v[32:33], -1, -1", ~u64(0)),
            LANE("v_pk_mov_b32", "v[32:33], v[10:11], 1.0", u64(0x3f800000) << 32 | r.u(10, l)),
        });
}

inline void float_cases(std::vector<Case> &t)
{
    f32_cases(t), f64_cases(t), f16_cases(t), pair_cases(t);
}

#undef A
#undef B
#undef C

#endif /* CDNA_TESTS_OPCODES_FLOAT_H */
