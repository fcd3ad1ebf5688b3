/* opcodes_integer.h -- cases for VALU arithmetic on integers and bits, carries, masks and lanes. */
#ifndef CDNA_TESTS_OPCODES_INTEGER_H
#define CDNA_TESTS_OPCODES_INTEGER_H

#include "opcode_case.h"

#define A  r.u(8, l)
#define B  r.u(9, l)
#define C  r.u(10, l)
#define SA r.i(8, l)
#define SB r.i(9, l)
#define SC r.i(10, l)
#define N  (r.u(14, l) % 32)

inline void arithmetic_cases(std::vector<Case> &t)
{
    t.insert(
        t.end(),
        {
            LANE("v_mov_b32", "v32, v8", A),
            LANE_ON("gfx942 gfx950", "v_mov_b64", "v[32:33], v[18:19]", r.q(18, l)),
            LANE("v_not_b32", "v32, v8", ~A),
            LANE("v_add_u32", "v32, v8, v9", A + B),
            LANE("v_sub_u32", "v32, v8, v9", A - B),
            LANE("v_subrev_u32", "v32, v8, v9", B - A),
            LANE("v_mul_lo_u32", "v32, v8, v9", A * B),
            LANE("v_mul_hi_u32", "v32, v8, v9", u32(u64(A) * B >> 32)),
            LANE("v_mul_hi_i32", "v32, v8, v9", u32(u64(i64(SA) * SB) >> 32)),
            LANE("v_mul_u32_u24", "v32, v8, v9", (A % (1 << 24)) * (B % (1 << 24))),
            LANE("v_mul_hi_u32_u24", "v32, v8, v9",
                 u32(u64(A % (1 << 24)) * (B % (1 << 24)) >> 32)),
            LANE("v_mul_i32_i24", "v32, v8, v9", u32(i32(A << 8) / 256) * u32(i32(B << 8) / 256)),
            LANE("v_mad_u32_u24", "v32, v8, v9, v10", (A % (1 << 24)) * (B % (1 << 24)) + C),
            LANE("v_mad_i32_i24", "v32, v8, v9, v10",
                 u32(i32(A << 8) / 256) * u32(i32(B << 8) / 256) + C),
            LANE("v_min_u32", "v32, v8, v9", A < B ? A : B),
            LANE("v_max_u32", "v32, v8, v9", A > B ? A : B),
            LANE("v_min_i32", "v32, v8, v9", SA < SB ? A : B),
            LANE("v_max_i32", "v32, v8, v9", SA > SB ? A : B),
            LANE("v_min3_u32", "v32, v8, v9, v10", std::min({A, B, C})),
            LANE("v_max3_u32", "v32, v8, v9, v10", std::max({A, B, C})),
            LANE("v_med3_u32", "v32, v8, v9, v10",
                 u32(u64(A) + B + C - std::min({A, B, C}) - std::max({A, B, C}))),
            LANE("v_min3_i32", "v32, v8, v9, v10", u32(std::min({SA, SB, SC}))),
            LANE("v_max3_i32", "v32, v8, v9, v10", u32(std::max({SA, SB, SC}))),
            LANE("v_med3_i32", "v32, v8, v9, v10",
                 u32(i64(SA) + SB + SC - std::min({SA, SB, SC}) - std::max({SA, SB, SC}))),
            LANE("v_add3_u32", "v32, v8, v9, v10", A + B + C),
            LANE("v_lshl_add_u32", "v32, v8, v14, v10", (A << N) + C),
            LANE("v_add_lshl_u32", "v32, v8, v9, v14", (A + B) << N),
            LANE("v_lshl_or_b32", "v32, v8, v14, v10", A << N | C),
            LANE("v_and_or_b32", "v32, v8, v9, v10", (A & B) | C),
            LANE("v_or3_b32", "v32, v8, v9, v10", A | B | C),
            LANE("v_xad_u32", "v32, v8, v9, v10", (A ^ B) + C),
            LANE_ON("gfx942 gfx950", "v_lshl_add_u64", "v[32:33], v[18:19], 3, v[20:21]",
                    r.q(18, l) * 8 + r.q(20, l)),
            LANE_ON("gfx942 gfx950", "v_lshl_add_u64", "v[32:33], s[20:21], 1, v[20:21]",
                    r.sq(20) * 2 + r.q(20, l)),
            LANE("v_sad_u32", "v32, v8, v9, v10", (A > B ? A - B : B - A) + C),
            LANE("v_add_u16", "v32, v8, v9", (A + B) % 65536),
            LANE("v_sub_u16", "v32, v8, v9", (A - B) % 65536),
            LANE("v_mul_lo_u16", "v32, v8, v9", (A * B) % 65536),
            LANE("v_max_u16", "v32, v8, v9", std::max(A % 65536, B % 65536)),
            LANE("v_min_i16", "v32, v8, v9", u32(u16(std::min(i16(A), i16(B))))),
            LANE("v_dot4_i32_i8", "v32, v8, v9, v10",
                 u32(i8(A) * i8(B) + i8(A >> 8) * i8(B >> 8) + i8(A >> 16) * i8(B >> 16) +
                     i8(A >> 24) * i8(B >> 24)) +
                     C),
            lane_case("v_dot4c_i32_i8",
                      "v_mov_b32 v32, v10\ns_nop 2\nv_dot4c_i32_i8 v32, v8, v9\ns_nop 3",
                      [](const Registers &r, int l) {
                          u32 sum = C;
                          for (int k = 0; k < 32; k += 8) sum += u32(i8(A >> k) * i8(B >> k));
                          return sum;
                      }),
        });
}

/* Saturated. */
inline u32 sum16(u32 a, u32 b)
{
    const int sum = i16(a) + i16(b);
    return u16(sum > 32767 ? 32767 : sum < -32768 ? -32768 : sum);
}

inline void bit_cases(std::vector<Case> &t)
{
    t.insert(
        t.end(),
        {
            LANE("v_and_b32", "v32, v8, v9", A & B),
            LANE("v_or_b32", "v32, v8, v9", A | B),
            LANE("v_xor_b32", "v32, v8, v9", A ^ B),
            LANE("v_xnor_b32", "v32, v8, v9", ~(A ^ B)),
            LANE("v_lshlrev_b32", "v32, v14, v8", A << N),
            LANE("v_lshrrev_b32", "v32, v14, v8", A >> N),
            LANE("v_ashrrev_i32", "v32, v14, v8", u32(SA >> N)),
            LANE("v_lshlrev_b64", "v[32:33], v14, v[18:19]", r.q(18, l) << r.u(14, l)),
            LANE("v_lshrrev_b64", "v[32:33], v14, v[18:19]", r.q(18, l) >> r.u(14, l)),
            LANE("v_ashrrev_i64", "v[32:33], v14, v[18:19]", u64(i64(r.q(18, l)) >> r.u(14, l))),
            LANE("v_lshlrev_b16", "v32, v14, v8", (A << r.u(14, l) % 16) % 65536),
            LANE("v_lshrrev_b16", "v32, v14, v8", A % 65536 >> r.u(14, l) % 16),
            LANE("v_ashrrev_i16", "v32, v14, v8", u32(u16(i16(A) >> r.u(14, l) % 16))),
            LANE("v_bfe_u32", "v32, v8, v14, 9", A >> N & 511),
            LANE("v_bfe_u32", "v32, v8, 16, 1", A >> 16 & 1),
            LANE("v_bfe_i32", "v32, v8, 3, 5", u32(i32(A << 24) >> 27)),
            LANE("v_bfi_b32", "v32, v8, v9, v10", (A & B) | (~A & C)),
            LANE("v_bfm_b32", "v32, 5, v14", 31u << N),
            LANE("v_bcnt_u32_b32", "v32, v8, v9", u32(__builtin_popcount(A)) + B),
            LANE("v_bfrev_b32", "v32, v8",
                 [](u32 x) {
                     u32 y = 0;
                     for (int k = 0; k < 32; k++) y = y * 2 + (x >> k) % 2;
                     return y;
                 }(A)),
            LANE("v_ffbh_u32", "v32, v8", A ? 31 - u32(std::ilogb(double(A))) : ~0u),
            LANE("v_ffbh_i32", "v32, v8",
                 SA == 0 || SA == -1 ? ~0u : 31 - u32(std::ilogb(double(SA < 0 ? ~A : A)))),
            LANE("v_ffbl_b32", "v32, v8", u32(ffs(SA) - 1)),
            LANE("v_alignbit_b32", "v32, v8, v9, v14", N ? A << (32 - N) | B >> N : B),
            LANE("v_alignbyte_b32", "v32, v8, v9, 3", A << 8 | B >> 24),
            LANE_ON("gfx950", "v_bitop3_b32", "v32, v8, v9, v10 bitop3:0xca", (A & B) | (~A & C)),
            lane_case(
                "v_bitop3_b16", "v_mov_b32 v32, v11\nv_bitop3_b16 v32, v8, v9, v10 bitop3:0x96",
                [](const Registers &r, int l) { return pack(A ^ B ^ C, r.u(11, l) >> 16); },
                "gfx950"),
            LANE("v_accvgpr_read_b32", "v32, a7", A),
            LANE("v_accvgpr_write_b32", "a9, v9", B),
            LANE("v_accvgpr_mov_b32", "a9, a7", A),
            LANE("v_pk_add_u16", "v32, v8, v9", pack(A + B, (A >> 16) + (B >> 16))),
            LANE("v_pk_add_i16", "v32, v8, v9", pack(A + B, (A >> 16) + (B >> 16))),
            LANE("v_pk_add_i16", "v32, v8, v9 clamp", pack(sum16(A, B), sum16(A >> 16, B >> 16))),
            LANE("v_pk_sub_i16", "v32, v8, v9", pack(A - B, (A >> 16) - (B >> 16))),
            LANE("v_pk_mul_lo_u16", "v32, v8, v9", pack(A * B, (A >> 16) * (B >> 16))),
            LANE("v_pk_lshlrev_b16", "v32, 3, v8 op_sel_hi:[0,1]", pack(A << 3, A >> 16 << 3)),
            LANE("v_pk_max_i16", "v32, v8, v9",
                 pack(u32(std::max(i16(A), i16(B))), u32(std::max(i16(A >> 16), i16(B >> 16))))),
        });
    for (Case &c : t) {
        if (c.opcode == "v_accvgpr_read_b32" || c.opcode == "v_accvgpr_mov_b32")
            c.code = "v_accvgpr_write_b32 a7, v8\n" + c.code;
        if (c.opcode == "v_accvgpr_write_b32" || c.opcode == "v_accvgpr_mov_b32")
            c.code += "\nv_accvgpr_read_b32 v32, a9";
    }
    t.push_back(lane_case(
        "v_perm_b32",
        "s_mov_b32 s4, 0x0d080704\nv_perm_b32 v32, v8, v9, s4", /* bytes: 4, 7, sign, ff */
        [](const Registers &r, int l) {
            return (A & 0xff) | A >> 24 << 8 | (B & 0x8000 ? 0xff0000 : 0) | 0xff000000;
        }));
}

/* A result in v32, and a mask in s[32:33] of which the active lanes (all) matter. */
template <class F, class G>
Case carry_case(const char *opcode, const char *code, F sum, G carry, const char *before = "")
{
    return {opcode, std::string(before) + code, "",
            [sum, carry](const snippet::Frame &f) -> std::string {
                Registers r{f};
                u64 mask = f.so[0] | u64(f.so[1]) << 32;
                for (int l = 0; l < 64; l++) {
                    decltype(sum(r, l)) got, want = sum(r, l);
                    take(f, 32, l, got);
                    if (!same(got, want)) return differs_bits("v32", l, raw(got), raw(want));
                    if ((mask >> l & 1) != u64(carry(r, l)))
                        return differs_bits("carry", l, mask, carry(r, l));
                }
                return "";
            }};
}
#define CARRY(opcode, code, sum, carry)                                         \
    carry_case(                                                                 \
        opcode, opcode " " code, [](const Registers &r, int l) { return sum; }, \
        [](const Registers &r, int l) -> bool { return carry; })
#define IN (r.sq(20) >> l & 1)

inline void carry_cases(std::vector<Case> &t)
{
    t.insert(
        t.end(),
        {
            CARRY("v_add_co_u32", "v32, s[32:33], v8, v9", A + B, (u64(A) + B) >> 32),
            CARRY("v_sub_co_u32", "v32, s[32:33], v8, v9", A - B, A < B),
            CARRY("v_subrev_co_u32", "v32, s[32:33], v8, v9", B - A, B < A),
            CARRY("v_addc_co_u32", "v32, s[32:33], v8, v9, s[20:21]", A + B + u32(IN),
                  (u64(A) + B + IN) >> 32),
            CARRY("v_subb_co_u32", "v32, s[32:33], v8, v9, s[20:21]", A - B - u32(IN),
                  A < u64(B) + IN),
            CARRY("v_subbrev_co_u32", "v32, s[32:33], v8, v9, s[20:21]", B - A - u32(IN),
                  B < u64(A) + IN),
            CARRY("v_mad_u64_u32", "v[32:33], s[32:33], v8, v9, v[18:19]", u64(A) * B + r.q(18, l),
                  u64(A) * B + r.q(18, l) < r.q(18, l)),
            lane_case("v_mad_i64_i32", "v_mad_i64_i32 v[32:33], s[32:33], v8, v9, v[18:19]",
                      [](const Registers &r, int l) { return u64(i64(SA) * SB) + r.q(18, l); }),
            LANE("v_cndmask_b32", "v32, v8, v9, s[20:21]", IN ? B : A),
            LANE("v_cndmask_b32", "v32, 0, v9, s[20:21]", IN ? B : 0u),
            LANE("v_mbcnt_lo_u32_b32", "v32, s16, v9",
                 u32(__builtin_popcount(r.s(16) & (l < 32 ? (1u << l) - 1 : ~0u))) + B),
            LANE("v_mbcnt_hi_u32_b32", "v32, s16, v9",
                 u32(__builtin_popcount(l < 32 ? 0 : r.s(16) & ((1u << (l - 32)) - 1))) + B),
        });
}

inline void lane_exchange_cases(std::vector<Case> &t)
{
    t.insert(
        t.end(),
        {
            lane_case("v_readfirstlane_b32",
                      "s_mov_b64 exec, 0xf0\nv_readfirstlane_b32 s4, v8\ns_mov_b64 exec, "
                      "-1\nv_mov_b32 v32, s4",
                      [](const Registers &r, int) { return r.u(8, 4); }),
            lane_case("v_readlane_b32", "v_readlane_b32 s4, v8, s24\ns_nop 3\nv_mov_b32 v32, s4",
                      [](const Registers &r, int) { return r.u(8, int(r.s(24))); }),
            lane_case("v_writelane_b32",
                      "s_mov_b32 m0, s24\nv_mov_b32 v32, v8\nv_writelane_b32 v32, s16, m0",
                      [](const Registers &r, int l) { return l == int(r.s(24)) ? r.s(16) : A; }),
            lane_case("v_swap_b32", "v_mov_b32 v32, v8\nv_mov_b32 v33, v9\nv_swap_b32 v32, v33",
                      [](const Registers &r, int l) { return B | u64(A) << 32; }),
            lane_case(
                "v_permlane32_swap_b32",
                "v_mov_b32 v32, v8\nv_mov_b32 v33, v9\ns_nop 1\nv_permlane32_swap_b32 v32, v33",
                [](const Registers &r, int l) {
                    u32 first = l < 32 ? A : r.u(9, l - 32), second = l < 32 ? r.u(8, l + 32) : B;
                    return first | u64(second) << 32;
                },
                "gfx950"),
            lane_case(
                "v_permlane16_swap_b32",
                "v_mov_b32 v32, v8\nv_mov_b32 v33, v9\ns_nop 1\nv_permlane16_swap_b32 v32, v33",
                [](const Registers &r, int l) {
                    bool odd = l / 16 % 2;
                    u32 first = odd ? r.u(9, l - 16) : A, second = odd ? B : r.u(8, l + 16);
                    return first | u64(second) << 32;
                },
                "gfx950"),
        });
}

/* DPP: v32 (before: v9) is v8 of lane from(l); -1: no such lane. */
inline Case dpp(const char *control, int (*from)(int), bool zero)
{
    std::string code = std::string("v_mov_b32 v32, v9\ns_nop 1\nv_mov_b32_dpp v32, v8 ") + control +
                       " row_mask:0xf bank_mask:0xf" + (zero ? " bound_ctrl:0" : "");
    return lane_case("v_mov_b32", code.c_str(), [from, zero](const Registers &r, int l) {
        int at = from(l);
        return at >= 0 ? r.u(8, at) : zero ? 0u : B;
    });
}
inline void modifier_cases(std::vector<Case> &t)
{
    t.push_back(dpp("quad_perm:[1,0,3,2]", [](int l) { return l ^ 1; }, false));
    t.push_back(dpp("row_shl:3", [](int l) { return l % 16 + 3 < 16 ? l + 3 : -1; }, false));
    t.push_back(dpp("row_shr:1", [](int l) { return l % 16 ? l - 1 : -1; }, true));
    t.push_back(dpp("row_ror:5", [](int l) { return l / 16 * 16 + (l + 11) % 16; }, false));
    t.push_back(dpp("row_mirror", [](int l) { return l / 16 * 16 + 15 - l % 16; }, false));
    t.push_back(dpp("row_half_mirror", [](int l) { return l / 8 * 8 + 7 - l % 8; }, false));
    t.push_back(dpp("row_bcast:15", [](int l) { return l < 16 ? -1 : l / 16 * 16 - 1; }, false));
    t.push_back(dpp("row_bcast:31", [](int l) { return l < 32 ? -1 : 31; }, false));
    t.push_back(dpp("row_newbcast:3", [](int l) { return l / 16 * 16 + 3; }, false));
    t.push_back(dpp("wave_shr:1", [](int l) { return l - 1; }, true));
    t.insert(
        t.end(),
        {
            lane_case("v_add_u32",
                      "v_mov_b32 v32, v9\ns_mov_b64 exec, s[20:21]\nv_add_u32 v32, v8, v10",
                      [](const Registers &r, int l) { return IN ? A + C : B; }),
            lane_case("v_add_u32",
                      "v_mov_b32 v32, v9\ns_nop 1\nv_add_u32_dpp v32, v8, v10 quad_perm:[3,3,3,3] "
                      "row_mask:0x5 bank_mask:0x3",
                      [](const Registers &r, int l) {
                          return l / 16 % 2 == 0 && l % 16 < 8 ? r.u(8, l | 3) + C : B;
                      }),
            LANE("v_add_u32",
                 "v32, v8, v9\nv_add_u32_sdwa v32, v8, v9 dst_sel:DWORD dst_unused:UNUSED_PAD "
                 "src0_sel:BYTE_2 src1_sel:WORD_1",
                 (A >> 16 & 0xff) + (B >> 16)),
            lane_case("v_add_u32",
                      "v_add_u32_sdwa v32, sext(v8), v9 dst_sel:DWORD dst_unused:UNUSED_PAD "
                      "src0_sel:BYTE_1 src1_sel:DWORD",
                      [](const Registers &r, int l) { return u32(i32(i8(A >> 8))) + B; }),
            lane_case("v_or_b32",
                      "v_mov_b32 v32, v10\nv_or_b32_sdwa v32, v8, v9 dst_sel:WORD_1 "
                      "dst_unused:UNUSED_PRESERVE src0_sel:DWORD src1_sel:DWORD",
                      [](const Registers &r, int l) { return pack(C, A | B); }),
            lane_case("v_or_b32",
                      "v_or_b32_sdwa v32, v8, v9 dst_sel:BYTE_1 dst_unused:UNUSED_PAD "
                      "src0_sel:DWORD src1_sel:DWORD",
                      [](const Registers &r, int l) { return ((A | B) & 0xff) << 8; }),
        });
}

inline void integer_cases(std::vector<Case> &t)
{
    arithmetic_cases(t), bit_cases(t), carry_cases(t), lane_exchange_cases(t), modifier_cases(t);
}

#undef A
#undef B
#undef C
#undef SA
#undef SB
#undef SC
#undef N
#undef IN

#endif /* CDNA_TESTS_OPCODES_INTEGER_H */
