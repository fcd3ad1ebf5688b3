/* opcodes_convert.h -- cases for comparisons and conversions between number formats. */
#ifndef CDNA_TESTS_OPCODES_CONVERT_H
#define CDNA_TESTS_OPCODES_CONVERT_H

#include "opcode_case.h"

/* EXEC is s[22:23]; bit l of s[32:33] is formula(registers, l) in active lanes, else 0. */
template <class F> Case mask_case(const std::string &opcode, const char *operands, F formula)
{
    std::string code = "s_mov_b64 exec, s[22:23]\n" + opcode + " s[32:33], " + operands;
    return {opcode, code, "", [formula](const snippet::Frame &f) -> std::string {
                Registers r{f};
                u64 got = f.so[0] | u64(f.so[1]) << 32, want = 0;
                for (int l = 0; l < 64; l++) want |= u64(bool(formula(r, l))) << l;
                want &= r.sq(22);
                return got == want ? "" : differs_bits("mask", 0, got, want);
            }};
}

template <class T, class Get>
void integer_compares(std::vector<Case> &t, const std::string &type, const char *operands, Get get)
{
    auto add = [&](const char *name, bool (*f)(T, T)) {
        t.push_back(mask_case(
            "v_cmp_" + (name + ("_" + type)), operands,
            [f, get](const Registers &r, int l) { return f(get(r, l, 0), get(r, l, 1)); }));
    };
    add("lt", [](T a, T b) { return a < b; });
    add("eq", [](T a, T b) { return a == b; });
    add("le", [](T a, T b) { return a <= b; });
    add("gt", [](T a, T b) { return a > b; });
    add("ne", [](T a, T b) { return a != b; });
    add("ge", [](T a, T b) { return a >= b; });
}

template <class T, class Get>
void float_compares(std::vector<Case> &t, const std::string &type, const char *operands, Get get)
{
    auto add = [&](const char *name, bool (*f)(T, T)) {
        t.push_back(mask_case(
            "v_cmp_" + (name + ("_" + type)), operands,
            [f, get](const Registers &r, int l) { return f(get(r, l, 0), get(r, l, 1)); }));
    };
    add("lt", [](T a, T b) { return std::isless(a, b); });
    add("eq", [](T a, T b) { return a == b; });
    add("le", [](T a, T b) { return std::islessequal(a, b); });
    add("gt", [](T a, T b) { return std::isgreater(a, b); });
    add("lg", [](T a, T b) { return std::islessgreater(a, b); });
    add("ge", [](T a, T b) { return std::isgreaterequal(a, b); });
    add("o", [](T a, T b) { return !std::isunordered(a, b); });
    add("u", [](T a, T b) { return std::isunordered(a, b); });
    add("nge", [](T a, T b) { return std::isunordered(a, b) || a < b; });
    add("nlg", [](T a, T b) { return std::isunordered(a, b) || a == b; });
    add("ngt", [](T a, T b) { return std::isunordered(a, b) || a <= b; });
    add("nle", [](T a, T b) { return std::isunordered(a, b) || a > b; });
    add("neq", [](T a, T b) { return std::isunordered(a, b) || a != b; });
    add("nlt", [](T a, T b) { return std::isunordered(a, b) || a >= b; });
}

inline bool in_class(double x, double smallest_normal)
{ /* infinities and denormals */
    return std::isinf(x) || (x != 0 && std::fabs(x) < smallest_normal);
}

inline void compare_cases(std::vector<Case> &t)
{
    integer_compares<u32>(t, "u32", "v8, v9", [](auto &r, int l, int k) { return r.u(8 + k, l); });
    integer_compares<i32>(t, "i32", "v8, v9", [](auto &r, int l, int k) { return r.i(8 + k, l); });
    integer_compares<u64>(t, "u64", "v[18:19], v[20:21]",
                          [](auto &r, int l, int k) { return r.q(18 + 2 * k, l); });
    integer_compares<i64>(t, "i64", "v[18:19], s[20:21]",
                          [](auto &r, int l, int k) { return i64(k ? r.sq(20) : r.q(18, l)); });
    integer_compares<u16>(t, "u16", "v8, v9",
                          [](auto &r, int l, int k) { return u16(r.u(8 + k, l)); });
    integer_compares<i16>(t, "i16", "v8, v9",
                          [](auto &r, int l, int k) { return i16(r.u(8 + k, l)); });
    float_compares<float>(t, "f32", "v11, v12",
                          [](auto &r, int l, int k) { return r.x(11 + k, l); });
    float_compares<double>(t, "f64", "v[22:23], v[24:25]",
                           [](auto &r, int l, int k) { return r.d(22 + 2 * k, l); });
    float_compares<double>(t, "f16", "v15, v16",
                           [](auto &r, int l, int k) { return f16(r.u(15 + k, l) & 0xffff); });
    t.push_back(mask_case("v_cmp_eq_f32", "|v11|, -v12", [](const Registers &r, int l) {
        return std::fabs(r.x(11, l)) == -r.x(12, l);
    }));
    /* 0x294: infinities (bits 2, 9) and denormals (4, 7) */
    t.push_back(mask_case("v_cmp_class_f32", "v11, s4", [](const Registers &r, int l) {
        return in_class(double(r.x(11, l)), 0x1p-126);
    }));
    t.back().code = "s_movk_i32 s4, 0x294\n" + t.back().code;
    t.push_back(mask_case("v_cmp_class_f16", "v15, s4", [](const Registers &r, int l) {
        return in_class(f16(r.u(15, l) & 0xffff), 0x1p-14);
    }));
    t.back().code = "s_movk_i32 s4, 0x294\n" + t.back().code;
    t.push_back({"v_cmpx_gt_u32", "v_cmpx_gt_u32 s[32:33], v8, v9\ns_mov_b64 s[34:35], exec", "",
                 [](const snippet::Frame &f) -> std::string {
                     Registers r{f};
                     for (int l = 0; l < 64; l++) {
                         u64 want = r.u(8, l) > r.u(9, l), now = f.so[2] | u64(f.so[3]) << 32;
                         if ((now >> l & 1) != want) return differs_bits("exec", l, now, want);
                     }
                     return "";
                 }});
}

/* Truncation to an integer that stays in range; NaN is 0. */
inline double in_range(double x, double low, double high)
{
    return x != x ? 0 : std::trunc(std::fmin(std::fmax(x, low), high));
}

inline void integer_conversions(std::vector<Case> &t)
{
    t.insert(
        t.end(),
        {
            LANE("v_cvt_i32_f32", "v32, v11",
                 u32(i32(in_range(double(r.x(11, l)), -0x1p31, 0x1p31 - 1)))),
            LANE("v_cvt_u32_f32", "v32, v11", u32(in_range(double(r.x(11, l)), 0, 0x1p32 - 1))),
            LANE("v_cvt_flr_i32_f32", "v32, v29", u32(i32(std::floor(r.x(29, l))))),
            LANE("v_cvt_rpi_i32_f32", "v32, v29", u32(i32(std::floor(r.x(29, l) + 0.5f)))),
            LANE("v_cvt_f32_i32", "v32, v8", float(r.i(8, l))),
            LANE("v_cvt_f32_u32", "v32, v8", float(r.u(8, l))),
            LANE("v_cvt_f32_ubyte0", "v32, v8", float(r.u(8, l) % 256)),
            LANE("v_cvt_f32_ubyte1", "v32, v8", float(r.u(8, l) / 256 % 256)),
            LANE("v_cvt_f32_ubyte2", "v32, v8", float(r.u(8, l) / 65536 % 256)),
            LANE("v_cvt_f32_ubyte3", "v32, v8", float(r.u(8, l) / 16777216)),
            LANE("v_cvt_f64_f32", "v[32:33], v11", double(r.x(11, l))),
            LANE("v_cvt_f32_f64", "v32, v[22:23]", float(r.d(22, l))),
            LANE("v_cvt_f64_i32", "v[32:33], v8", double(r.i(8, l))),
            LANE("v_cvt_f64_u32", "v[32:33], v8", double(r.u(8, l))),
            LANE("v_cvt_i32_f64", "v32, v[22:23]", u32(i32(std::trunc(r.d(22, l))))),
            LANE("v_cvt_u32_f64", "v32, v[22:23]", u32(std::fmax(0, std::trunc(r.d(22, l))))),
            LANE("v_cvt_pk_u16_u32", "v32, v8, v9",
                 pack(std::min(r.u(8, l), 65535u), std::min(r.u(9, l), 65535u))),
            LANE("v_cvt_pk_i16_i32", "v32, v8, v9",
                 pack(u32(std::max(-32768, std::min(32767, r.i(8, l)))),
                      u32(std::max(-32768, std::min(32767, r.i(9, l)))))),
            LANE("v_cvt_pk_u8_f32", "v32, v31, 2, v9",
                 (r.u(9, l) & 0xff00ffff) | u32(std::fmin(255, std::fmax(0, double(r.x(31, l)))))
                                                << 16),
            LANE("v_cvt_f16_i16", "v32, v8", to_f16(i16(r.u(8, l)))),
            LANE("v_cvt_f16_u16", "v32, v8", to_f16(u16(r.u(8, l)))),
            LANE("v_cvt_i16_f16", "v32, v15",
                 u32(u16(i16(in_range(f16(r.u(15, l) & 0xffff), -32768, 32767))))),
            LANE("v_cvt_u16_f16", "v32, v15", u32(in_range(f16(r.u(15, l) & 0xffff), 0, 65535))),
            LANE_ON("gfx950", "v_ashr_pk_i8_i32", "v32, v8, v9, 3",
                    pack((u32(std::max(-128, std::min(127, r.i(8, l) >> 3))) & 0xff) |
                             (u32(std::max(-128, std::min(127, r.i(9, l) >> 3))) & 0xff) << 8,
                         0xffff)),
        });
    t.back().code = "v_mov_b32 v32, -1\n" + t.back().code;
}

/* Any NaN of a 16-bit half counts as one. */
inline u32 nan16(u32 x, u32 infinity, u32 nan)
{
    for (int k = 0; k < 32; k += 16)
        if ((x >> k & 0x7fff) > infinity) x = (x & ~(0xffffu << k)) | nan << k;
    return x;
}
template <class F>
Case narrow_case(const char *opcode, const char *code, u32 infinity, u32 nan, F formula,
                 const char *chips = "")
{
    return {opcode, code, chips, [=](const snippet::Frame &f) -> std::string {
                Registers r{f};
                for (int l = 0; l < 64; l++) {
                    u32 got = nan16(f.out[0][l], infinity, nan), want = formula(r, l);
                    if (got != want) return differs_bits("v32", l, got, want);
                }
                return "";
            }};
}

/* f16 towards zero: the nearest, or its neighbour below in magnitude; never infinity from finite.
 */
inline u32 to_f16_zero(float x)
{
    u32 h = to_f16(double(x));
    if (x != x || std::isinf(x)) return h;
    return std::fabs(f16(h)) > std::fabs(double(x)) ? h - 1 : h;
}

inline void float_conversions(std::vector<Case> &t)
{
    t.push_back(narrow_case("v_cvt_f16_f32", "v_cvt_f16_f32 v32, v11", 0x7c00, 0x7e00,
                            [](const Registers &r, int l) { return to_f16(double(r.x(11, l))); }));
    t.push_back(LANE("v_cvt_f32_f16", "v32, v15", float(f16(r.u(15, l) & 0xffff))));
    t.push_back(
        lane_case("v_cvt_f32_f16",
                  "v_cvt_f32_f16_sdwa v32, v15 dst_sel:DWORD dst_unused:UNUSED_PAD src0_sel:WORD_1",
                  [](const Registers &r, int l) { return float(f16(r.u(15, l) >> 16)); }));
    t.push_back(narrow_case("v_cvt_pkrtz_f16_f32", "v_cvt_pkrtz_f16_f32 v32, v11, v12", 0x7c00,
                            0x7e00, [](const Registers &r, int l) {
                                return pack(to_f16_zero(r.x(11, l)), to_f16_zero(r.x(12, l)));
                            }));
    t.push_back(narrow_case(
        "v_cvt_pk_f16_f32", "v_cvt_pk_f16_f32 v32, v11, v12", 0x7c00, 0x7e00,
        [](const Registers &r, int l) {
            return pack(to_f16(double(r.x(11, l))), to_f16(double(r.x(12, l))));
        },
        "gfx950"));
    t.push_back(narrow_case(
        "v_cvt_pk_bf16_f32", "v_cvt_pk_bf16_f32 v32, v11, v12", 0x7f80, 0x7fc0,
        [](const Registers &r, int l) { return pack(to_bf16(r.x(11, l)), to_bf16(r.x(12, l))); },
        "gfx950"));
    t.push_back(LANE("v_pack_b32_f16", "v32, v15, v16", pack(r.u(15, l), r.u(16, l))));
    t.push_back(
        LANE("v_pack_b32_f16", "v32, v15, v16 op_sel:[1,0,0]", pack(r.u(15, l) >> 16, r.u(16, l))));
    auto dot2 = [](const Registers &r, int l) {
        double lo = f16(r.u(15, l) & 0xffff) * f16(r.u(16, l) & 0xffff);
        return float(lo + f16(r.u(15, l) >> 16) * f16(r.u(16, l) >> 16) + double(r.x(31, l)));
    };
    t.push_back(lane_case("v_dot2c_f32_f16",
                          "v_mov_b32 v32, v31\ns_nop 2\nv_dot2c_f32_f16 v32, v15, v16\ns_nop 3",
                          dot2));
    t.push_back(lane_case("v_dot2_f32_f16", "v_dot2_f32_f16 v32, v15, v16, v31\ns_nop 3", dot2));
    t.push_back(lane_case(
        "v_dot2c_f32_bf16", "v_mov_b32 v32, v31\ns_nop 2\nv_dot2c_f32_bf16 v32, v30, v30\ns_nop 3",
        [](const Registers &r, int l) {
            double lo = bf16(r.u(30, l) & 0xffff), hi = bf16(r.u(30, l) >> 16);
            return float(lo * lo + hi * hi + double(r.x(31, l)));
        },
        "gfx950"));
}

inline void convert_cases(std::vector<Case> &t) { integer_conversions(t), float_conversions(t); }

#endif /* CDNA_TESTS_OPCODES_CONVERT_H */
