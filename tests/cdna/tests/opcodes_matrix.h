/* opcodes_matrix.h -- cases for MFMA: layouts of A, B, C and D, and one rounding of the whole sum.
 */
#ifndef CDNA_TESTS_OPCODES_MATRIX_H
#define CDNA_TESTS_OPCODES_MATRIX_H

#include "opcode_case.h"

/* Where element (row or column m, depth k) of A or B lies: M lanes side by side hold m; groups of M
 * lanes take turns in k, `each` consecutive k at a time. Word and place inside the lane. */
struct Place {
    int lane, element;
};
inline Place place_of(int m, int k, int M, int K)
{
    int each = K * M / 64;
    return {m + M * (k / each), k % each};
}

/* 8-bit floats by their definition. */
inline double f8(u32 x, bool e5m2, bool fnuz)
{
    int low = e5m2 ? 2 : 3, e = int(x >> low & (e5m2 ? 31 : 15)), m = int(x & ((1u << low) - 1));
    int bias = (e5m2 ? 15 : 7) + fnuz;
    double a = e ? std::ldexp(1 + std::ldexp(m, -low), e - bias) : std::ldexp(m, 1 - bias - low);
    return x >> 7 & 1 ? -a : a;
}

enum Element { F16, BF16, I8, FP8, BF8, F32 };
inline int element_bits(Element e) { return e == F32 ? 32 : e <= BF16 ? 16 : 8; }

/* Exponents so near each other that f64 holds the whole sum: random bits, range cut. */
inline u32 tame(Element e, u32 x)
{
    if (e == F16) return (x & 0x83ff) | (12 + (x >> 10) % 8) << 10;
    if (e == BF16) return (x & 0x807f) | (120 + (x >> 7) % 8) << 7;
    if (e == FP8) return (x & 0x87) | (4 + (x >> 3) % 8) << 3;
    if (e == BF8) return (x & 0x83) | (12 + (x >> 2) % 8) << 2;
    return x;
}
inline double value_of(Element e, u32 x, bool fnuz)
{
    if (e == F16) return f16(x);
    if (e == BF16) return bf16(x);
    if (e == I8) return i8(x);
    return f8(x, e == BF8, fnuz);
}

/* A in v[64:..], B in v[72:..], C in v[80:..] are made from the words of `memory`, by address:
 * A's word w of lane l is memory[w * 64 + l], B's memory[512 + ..], C's memory[1024 + ..]. */
inline u32 operand(const snippet::Frame &f, Element e, u32 base, Place p)
{
    int bits = element_bits(e), at = p.element * bits;
    return f.memory[base + u32(at / 32 * 64 + p.lane)] >> at % 32 &
           (bits == 32 ? ~0u : (1u << bits) - 1);
}

struct Shape {
    const char *opcode;
    int M, K;
    Element a, b;
    const char *chips;
    bool accumulators; /* C and D in AGPRs */
};

inline std::string matrix_code(const Shape &s)
{
    int words = s.K * s.M * element_bits(s.a) / 64 / 32, regs = s.M * s.M / 64;
    std::string t = "v_lshlrev_b32 v2, 2, v0\ns_add_u32 s4, s48, 0x1000\ns_addc_u32 s5, s49, 0\n";
    auto load = [&](int reg, int word) {
        int at = word * 256;
        t += "global_load_dword v" + std::to_string(reg) +
             ", v2, s[4:5] offset:" + std::to_string(at - 4096) + "\n";
    };
    for (int w = 0; w < words; w++) load(64 + w, w), load(72 + w, 8 + w);
    for (int r = 0; r < regs; r++) load(80 + r, 16 + r);
    t += "s_waitcnt vmcnt(0)\n";
    for (int r = 0; r < regs && s.accumulators; r++)
        t += "v_accvgpr_write_b32 a" + std::to_string(r) + ", v" + std::to_string(80 + r) + "\n";
    auto range = [](const char *file, int first, int n) {
        return n == 1 ? file + std::to_string(first)
                      : file + ("[" + std::to_string(first)) + ":" + std::to_string(first + n - 1) +
                            "]";
    };
    const char *file = s.accumulators ? "a" : "v";
    std::string c = range(file, s.accumulators ? 0 : 80, regs), d = range(file, 32, regs);
    t += "s_nop 1\n" + std::string(s.opcode) + " " + d + ", " + range("v", 64, words) + ", " +
         range("v", 72, words) + ", " + c + "\ns_nop 15\ns_nop 7\n";
    for (int r = 0; r < regs && s.accumulators; r++)
        t +=
            "v_accvgpr_read_b32 v" + std::to_string(32 + r) + ", a" + std::to_string(32 + r) + "\n";
    return t;
}

/* D's register r of lane l is row `row`, column l % M. */
inline int row_in(int M, int r, int l)
{
    return M == 32 ? r / 4 * 8 + l / 32 * 4 + r % 4 : l / 16 * 4 + r;
}

inline Case matrix_case(const Shape &s, bool fnuz)
{
    return {
        s.opcode, matrix_code(s), s.chips, [s, fnuz](const snippet::Frame &f) -> std::string {
            for (int l = 0; l < 64; l++)
                for (int r = 0; r < s.M * s.M / 64; r++) {
                    int i = row_in(s.M, r, l), j = l % s.M;
                    u32 c = f.memory[1024 + r * 64 + l], want;
                    if (s.a == F32) {
                        float sum = bits<float>(c);
                        for (int k = 0; k < s.K; k++)
                            sum = std::fma(
                                bits<float>(operand(f, F32, 0, place_of(i, k, s.M, s.K))),
                                bits<float>(operand(f, F32, 512, place_of(j, k, s.M, s.K))), sum);
                        want = bits<u32>(sum);
                    } else {
                        double sum = s.a == I8 ? double(i32(c)) : double(bits<float>(c));
                        for (int k = 0; k < s.K; k++)
                            sum +=
                                value_of(s.a, operand(f, s.a, 0, place_of(i, k, s.M, s.K)), fnuz) *
                                value_of(s.b, operand(f, s.b, 512, place_of(j, k, s.M, s.K)), fnuz);
                        want = s.a == I8 ? u32(i64(sum)) : bits<u32>(float(sum));
                    }
                    if (f.out[r][l] != want) return differs_bits("D", l, f.out[r][l], want);
                }
            return "";
        }};
}

/* Gives `memory` operands that suit the case; called before it runs. */
inline void matrix_memory(snippet::Frame &f, Element a, Element b)
{
    for (u32 k = 0; k < 1024; k++) {
        Element e = k < 512 ? a : b;
        u32 x = f.memory[k], y = 0;
        for (int at = 0; at < 32; at += element_bits(e)) {
            u32 part = x >> at & (element_bits(e) == 32 ? ~0u : (1u << element_bits(e)) - 1);
            y |= (e == F32 ? bits<u32>(float(i32(part) >> 8)) : tame(e, part)) << at;
        }
        f.memory[k] = y;
    }
    for (u32 k = 1024; k < 2048; k++)
        if (a != I8) f.memory[k] = bits<u32>(float(i32(f.memory[k])) * 0x1p-24f);
}

inline const std::vector<Shape> &shapes()
{
    static const char *const new2 = "gfx942 gfx950", *const newest = "gfx950",
                             *const old = "gfx90a";
    static const std::vector<Shape> list = {
        {"v_mfma_f32_32x32x8_f16", 32, 8, F16, F16, new2, false},
        {"v_mfma_f32_32x32x8_f16", 32, 8, F16, F16, new2, true},
        {"v_mfma_f32_16x16x16_f16", 16, 16, F16, F16, new2, false},
        {"v_mfma_f32_32x32x8_bf16", 32, 8, BF16, BF16, new2, false},
        {"v_mfma_f32_16x16x16_bf16", 16, 16, BF16, BF16, new2, true},
        {"v_mfma_f32_32x32x16_f16", 32, 16, F16, F16, newest, false},
        {"v_mfma_f32_16x16x32_f16", 16, 32, F16, F16, newest, false},
        {"v_mfma_f32_32x32x16_bf16", 32, 16, BF16, BF16, newest, true},
        {"v_mfma_f32_16x16x32_bf16", 16, 32, BF16, BF16, newest, false},
        {"v_mfma_i32_32x32x16_i8", 32, 16, I8, I8, new2, false},
        {"v_mfma_i32_16x16x32_i8", 16, 32, I8, I8, new2, false},
        {"v_mfma_i32_32x32x32_i8", 32, 32, I8, I8, newest, false},
        {"v_mfma_i32_16x16x64_i8", 16, 64, I8, I8, newest, false},
        {"v_mfma_f32_32x32x16_fp8_fp8", 32, 16, FP8, FP8, new2, false},
        {"v_mfma_f32_16x16x32_fp8_bf8", 16, 32, FP8, BF8, new2, false},
        {"v_mfma_f32_32x32x16_bf8_fp8", 32, 16, BF8, FP8, new2, false},
        {"v_mfma_f32_16x16x32_bf8_bf8", 16, 32, BF8, BF8, new2, false},
        {"v_mfma_f32_32x32x2_f32", 32, 2, F32, F32, new2, false},
        {"v_mfma_f32_16x16x4_f32", 16, 4, F32, F32, new2, false},
        {"v_mfma_f32_32x32x8f16", 32, 8, F16, F16, old, false},
        {"v_mfma_f32_16x16x16f16", 16, 16, F16, F16, old, true},
        {"v_mfma_f32_32x32x8bf16_1k", 32, 8, BF16, BF16, old, false},
        {"v_mfma_f32_16x16x16bf16_1k", 16, 16, BF16, BF16, old, false}};
    return list;
}

inline void matrix_cases(std::vector<Case> &t)
{
    for (const Shape &s : shapes()) {
        bool eight = s.a == FP8 || s.a == BF8;
        t.push_back(matrix_case(s, true));
        if (eight) t.back().chips = "gfx942";
        t.back().prepare = [s](snippet::Frame &f) { matrix_memory(f, s.a, s.b); };
        if (!eight) continue;
        t.push_back(matrix_case(s, false));
        t.back().chips = "gfx950";
        t.back().prepare = t[t.size() - 2].prepare;
    }
}

#endif /* CDNA_TESTS_OPCODES_MATRIX_H */
