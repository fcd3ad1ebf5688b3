/* opcodes_scalar.h -- cases for SOP1, SOP2, SOPC, SOPK, branches and waits. */
#ifndef CDNA_TESTS_OPCODES_SCALAR_H
#define CDNA_TESTS_OPCODES_SCALAR_H

#include "opcode_case.h"

#define KEEPS    []([[maybe_unused]] const Registers &r, auto) { return r.scc(); }
#define NONZERO  [](const Registers &, auto x) { return x != 0; }
#define SCC(...) []([[maybe_unused]] const Registers &r, auto) -> bool { return __VA_ARGS__; }
#define SCALAR(opcode, code, scc, ...)                                                            \
    scalar_case(                                                                                  \
        opcode, opcode " " code, []([[maybe_unused]] const Registers &r) { return __VA_ARGS__; }, \
        scc)
/* a, b: s16, s17; p, q: s[20:21], s[22:23] */
#define BITS32(opcode, ...)                       \
    scalar_case(                                  \
        opcode, opcode " s32, s16, s17",          \
        []([[maybe_unused]] const Registers &r) { \
            u32 a = r.s(16), b = r.s(17);         \
            return u32(__VA_ARGS__);              \
        },                                        \
        NONZERO)
#define BITS64(opcode, ...)                             \
    scalar_case(                                        \
        opcode, opcode " s[32:33], s[20:21], s[22:23]", \
        []([[maybe_unused]] const Registers &r) {       \
            u64 a = r.sq(20), b = r.sq(22);             \
            return u64(__VA_ARGS__);                    \
        },                                              \
        NONZERO)

inline void scalar_moves(std::vector<Case> &t)
{
    t.insert(
        t.end(),
        {
            SCALAR("s_mov_b32", "s32, s16", KEEPS, r.s(16)),
            SCALAR("s_mov_b64", "s[32:33], s[20:21]", KEEPS, r.sq(20)),
            SCALAR("s_movk_i32", "s32, 0x8123", KEEPS, u32(0xffff8123)),
            scalar_case(
                "s_cmov_b32", "s_mov_b32 s32, s17\ns_cmov_b32 s32, s16",
                []([[maybe_unused]] const Registers &r) { return r.scc() ? r.s(16) : r.s(17); },
                KEEPS),
            scalar_case(
                "s_cmovk_i32", "s_mov_b32 s32, s17\ns_cmovk_i32 s32, 0x1234",
                []([[maybe_unused]] const Registers &r) { return r.scc() ? 0x1234u : r.s(17); },
                KEEPS),
            SCALAR("s_cselect_b32", "s32, s16, s17", KEEPS, r.scc() ? r.s(16) : r.s(17)),
            SCALAR("s_cselect_b64", "s[32:33], s[20:21], s[22:23]", KEEPS,
                   r.scc() ? r.sq(20) : r.sq(22)),
            SCALAR("s_not_b32", "s32, s16", NONZERO, ~r.s(16)),
            SCALAR("s_not_b64", "s[32:33], s[20:21]", NONZERO, ~r.sq(20)),
            BITS32("s_and_b32", a & b),
            BITS64("s_and_b64", a & b),
            BITS32("s_or_b32", a | b),
            BITS64("s_or_b64", a | b),
            BITS32("s_xor_b32", a ^ b),
            BITS64("s_xor_b64", a ^ b),
            BITS32("s_andn2_b32", a & ~b),
            BITS64("s_andn2_b64", a & ~b),
            BITS32("s_orn2_b32", a | ~b),
            BITS64("s_orn2_b64", a | ~b),
            BITS32("s_nand_b32", ~(a & b)),
            BITS64("s_nand_b64", ~(a & b)),
            BITS32("s_nor_b32", ~(a | b)),
            BITS64("s_nor_b64", ~(a | b)),
            BITS32("s_xnor_b32", ~(a ^ b)),
            BITS64("s_xnor_b64", ~(a ^ b)),
        });
}

inline void scalar_sums(std::vector<Case> &t)
{
    t.insert(
        t.end(),
        {
            SCALAR("s_add_u32", "s32, s16, s17", SCC((u64(r.s(16)) + r.s(17)) >> 32),
                   r.s(16) + r.s(17)),
            SCALAR("s_sub_u32", "s32, s16, s17", SCC(r.s(16) < r.s(17)), r.s(16) - r.s(17)),
            SCALAR("s_addc_u32", "s32, s16, s17", SCC((u64(r.s(16)) + r.s(17) + r.scc()) >> 32),
                   r.s(16) + r.s(17) + r.scc()),
            SCALAR("s_subb_u32", "s32, s16, s17", SCC(u64(r.s(17)) + r.scc() > r.s(16)),
                   r.s(16) - r.s(17) - r.scc()),
            SCALAR("s_add_i32", "s32, s16, s17",
                   SCC(i64(i32(r.s(16))) + i32(r.s(17)) != i32(r.s(16) + r.s(17))),
                   r.s(16) + r.s(17)),
            SCALAR("s_sub_i32", "s32, s16, s17",
                   SCC(i64(i32(r.s(16))) - i32(r.s(17)) != i32(r.s(16) - r.s(17))),
                   r.s(16) - r.s(17)),
            scalar_case(
                "s_addk_i32", "s_mov_b32 s32, s16\ns_addk_i32 s32, 0xff00",
                []([[maybe_unused]] const Registers &r) { return r.s(16) - 256; },
                SCC(i64(i32(r.s(16))) - 256 != i32(r.s(16) - 256))),
            scalar_case(
                "s_mulk_i32", "s_mov_b32 s32, s16\ns_mulk_i32 s32, 0xfffd",
                []([[maybe_unused]] const Registers &r) { return 0 - 3 * r.s(16); }, KEEPS),
            SCALAR("s_mul_i32", "s32, s16, s17", KEEPS, r.s(16) * r.s(17)),
            SCALAR("s_mul_hi_u32", "s32, s16, s17", KEEPS, u32(u64(r.s(16)) * r.s(17) >> 32)),
            SCALAR("s_mul_hi_i32", "s32, s16, s17", KEEPS,
                   u32(u64(i64(i32(r.s(16))) * i32(r.s(17))) >> 32)),
            SCALAR("s_lshl1_add_u32", "s32, s16, s17", SCC((u64(r.s(16)) * 2 + r.s(17)) >> 32),
                   r.s(16) * 2 + r.s(17)),
            SCALAR("s_lshl2_add_u32", "s32, s16, s17", SCC((u64(r.s(16)) * 4 + r.s(17)) >> 32),
                   r.s(16) * 4 + r.s(17)),
            SCALAR("s_lshl3_add_u32", "s32, s16, s17", SCC((u64(r.s(16)) * 8 + r.s(17)) >> 32),
                   r.s(16) * 8 + r.s(17)),
            SCALAR("s_lshl4_add_u32", "s32, s16, s17", SCC((u64(r.s(16)) * 16 + r.s(17)) >> 32),
                   r.s(16) * 16 + r.s(17)),
            SCALAR("s_abs_i32", "s32, s16", NONZERO, u32(i32(r.s(16)) < 0 ? 0 - r.s(16) : r.s(16))),
            SCALAR("s_absdiff_i32", "s32, s16, s17", NONZERO,
                   u32(i32(r.s(16) - r.s(17)) < 0 ? r.s(17) - r.s(16) : r.s(16) - r.s(17))),
            SCALAR("s_min_u32", "s32, s16, s17", SCC(r.s(16) < r.s(17)),
                   std::min(r.s(16), r.s(17))),
            SCALAR("s_max_u32", "s32, s16, s17", SCC(r.s(16) > r.s(17)),
                   std::max(r.s(16), r.s(17))),
            SCALAR("s_min_i32", "s32, s16, s17", SCC(i32(r.s(16)) < i32(r.s(17))),
                   u32(std::min(i32(r.s(16)), i32(r.s(17))))),
            SCALAR("s_max_i32", "s32, s16, s17", SCC(i32(r.s(16)) > i32(r.s(17))),
                   u32(std::max(i32(r.s(16)), i32(r.s(17))))),
        });
}

inline void scalar_fields(std::vector<Case> &t)
{
    t.insert(
        t.end(),
        {
            SCALAR("s_lshl_b32", "s32, s16, s24", NONZERO, r.s(16) << r.s(24) % 32),
            SCALAR("s_lshl_b64", "s[32:33], s[20:21], s24", NONZERO, r.sq(20) << r.s(24) % 64),
            SCALAR("s_lshr_b32", "s32, s16, s24", NONZERO, r.s(16) >> r.s(24) % 32),
            SCALAR("s_lshr_b64", "s[32:33], s[20:21], s24", NONZERO, r.sq(20) >> r.s(24) % 64),
            SCALAR("s_ashr_i32", "s32, s16, s24", NONZERO, u32(i32(r.s(16)) >> r.s(24) % 32)),
            SCALAR("s_ashr_i64", "s[32:33], s[20:21], s24", NONZERO,
                   u64(i64(r.sq(20)) >> r.s(24) % 64)),
            SCALAR("s_bfm_b32", "s32, 7, s24", KEEPS, 127u << r.s(24) % 32),
            SCALAR("s_bfm_b64", "s[32:33], 9, s24", KEEPS, u64(511) << r.s(24) % 64),
            SCALAR("s_bfe_u32", "s32, s16, 0xb0005", NONZERO, r.s(16) >> 5 & 2047),
            SCALAR("s_bfe_i32", "s32, s16, 0xb0005", NONZERO, u32(i32(r.s(16) << 16) >> 21)),
            SCALAR("s_bfe_u64", "s[32:33], s[20:21], 0x210009", NONZERO,
                   r.sq(20) >> 9 & ((u64(1) << 33) - 1)),
            SCALAR("s_bfe_i64", "s[32:33], s[20:21], 0x200000", NONZERO, u64(i64(i32(r.sq(20))))),
            SCALAR("s_pack_ll_b32_b16", "s32, s16, s17", KEEPS, r.s(16) % 65536 + r.s(17) * 65536),
            SCALAR("s_pack_lh_b32_b16", "s32, s16, s17", KEEPS,
                   r.s(16) % 65536 + r.s(17) / 65536 * 65536),
            SCALAR("s_pack_hh_b32_b16", "s32, s16, s17", KEEPS,
                   r.s(16) / 65536 + r.s(17) / 65536 * 65536),
            SCALAR("s_sext_i32_i8", "s32, s16", KEEPS, u32(i32(i8(r.s(16))))),
            SCALAR("s_sext_i32_i16", "s32, s16", KEEPS, u32(i32(i16(r.s(16))))),
            SCALAR("s_brev_b32", "s32, s24", KEEPS,
                   [](u32 x) {
                       u32 y = 0;
                       for (int k = 0; k < 32; k++) y = y * 2 + (x >> k) % 2;
                       return y;
                   }(r.s(24))),
            SCALAR("s_bcnt1_i32_b32", "s32, s16", NONZERO, u32(__builtin_popcount(r.s(16)))),
            SCALAR("s_bcnt1_i32_b64", "s32, s[20:21]", NONZERO,
                   u32(__builtin_popcountll(r.sq(20)))),
            SCALAR("s_bcnt0_i32_b32", "s32, s16", NONZERO, u32(__builtin_popcount(~r.s(16)))),
            SCALAR("s_bcnt0_i32_b64", "s32, s[20:21]", NONZERO,
                   u32(__builtin_popcountll(~r.sq(20)))),
            SCALAR("s_ff1_i32_b32", "s32, s16", KEEPS, u32(ffs(int(r.s(16))) - 1)),
            SCALAR("s_ff1_i32_b64", "s32, s[20:21]", KEEPS, u32(ffsll(i64(r.sq(20))) - 1)),
            SCALAR("s_ff0_i32_b32", "s32, s16", KEEPS, u32(ffs(int(~r.s(16))) - 1)),
            SCALAR("s_flbit_i32_b32", "s32, s16", KEEPS,
                   r.s(16) ? 31 - u32(std::ilogb(double(r.s(16)))) : ~0u),
            scalar_case(
                "s_bitset1_b32", "s_mov_b32 s32, s16\ns_bitset1_b32 s32, s24",
                []([[maybe_unused]] const Registers &r) { return r.s(16) | 1u << r.s(24) % 32; },
                KEEPS),
            scalar_case(
                "s_bitset0_b32", "s_mov_b32 s32, s16\ns_bitset0_b32 s32, s24",
                []([[maybe_unused]] const Registers &r) { return r.s(16) & ~(1u << r.s(24) % 32); },
                KEEPS),
            scalar_case(
                "s_bitset1_b64", "s_mov_b64 s[32:33], s[20:21]\ns_bitset1_b64 s[32:33], s24",
                []([[maybe_unused]] const Registers &r) {
                    return r.sq(20) | u64(1) << r.s(24) % 64;
                },
                KEEPS),
            scalar_case(
                "s_bitset0_b64", "s_mov_b64 s[32:33], s[20:21]\ns_bitset0_b64 s[32:33], s24",
                []([[maybe_unused]] const Registers &r) {
                    return r.sq(20) & ~(u64(1) << r.s(24) % 64);
                },
                KEEPS),
        });
}

#define SCC_ONLY(opcode, code, ...)   \
    scc_case(opcode, opcode " " code, \
             []([[maybe_unused]] const Registers &r) -> bool { return __VA_ARGS__; })
#define COMPARE_SCALARS(name, op)                                                 \
    SCC_ONLY("s_cmp_" name "_u32", "s16, s17", r.s(16) op r.s(17)),               \
        SCC_ONLY("s_cmp_" name "_i32", "s16, s17", i32(r.s(16)) op i32(r.s(17))), \
        SCC_ONLY("s_cmpk_" name "_u32", "s16, 0xfff0", r.s(16) op 0xfff0u),       \
        SCC_ONLY("s_cmpk_" name "_i32", "s16, 0xfff0", i32(r.s(16)) op - 16)

inline void scalar_compares(std::vector<Case> &t)
{
    t.insert(t.end(), {
                          COMPARE_SCALARS("eq", ==),
                          COMPARE_SCALARS("lg", !=),
                          COMPARE_SCALARS("lt", <),
                          COMPARE_SCALARS("le", <=),
                          COMPARE_SCALARS("gt", >),
                          COMPARE_SCALARS("ge", >=),
                          SCC_ONLY("s_cmp_eq_u64", "s[20:21], s[22:23]", r.sq(20) == r.sq(22)),
                          SCC_ONLY("s_cmp_lg_u64", "s[20:21], s[22:23]", r.sq(20) != r.sq(22)),
                          SCC_ONLY("s_bitcmp0_b32", "s16, s24", !(r.s(16) >> r.s(24) % 32 & 1)),
                          SCC_ONLY("s_bitcmp1_b32", "s16, s24", r.s(16) >> r.s(24) % 32 & 1),
                          SCC_ONLY("s_bitcmp1_b64", "s[20:21], s24", r.sq(20) >> r.s(24) % 64 & 1),
                      });
}

/* EXEC before: s[22:23]. s[32:33] gets it back, s[34:35] what became of it. */
#define SAVEEXEC(name, ...)                                                                      \
    Case                                                                                         \
    {                                                                                            \
        "s_" name,                                                                               \
            "s_mov_b64 exec, s[22:23]\ns_" name " s[32:33], s[20:21]\ns_mov_b64 s[34:35], exec", \
            "", [](const snippet::Frame &f) -> std::string {                                     \
                Registers r{f};                                                                  \
                u64 a = r.sq(20), e = r.sq(22), want = __VA_ARGS__;                              \
                u64 old = f.so[0] | u64(f.so[1]) << 32, now = f.so[2] | u64(f.so[3]) << 32;      \
                if (old != e) return differs_bits("saved", 0, old, e);                           \
                return now == want && f.so[15] == (want != 0)                                    \
                           ? ""                                                                  \
                           : differs_bits("exec", 0, now, want);                                 \
            }                                                                                    \
    }

inline void exec_cases(std::vector<Case> &t)
{
    t.insert(t.end(),
             {SAVEEXEC("and_saveexec_b64", a & e), SAVEEXEC("or_saveexec_b64", a | e),
              SAVEEXEC("xor_saveexec_b64", a ^ e), SAVEEXEC("andn2_saveexec_b64", a & ~e),
              SAVEEXEC("orn2_saveexec_b64", a | ~e), SAVEEXEC("nand_saveexec_b64", ~(a & e)),
              SAVEEXEC("nor_saveexec_b64", ~(a | e)), SAVEEXEC("xnor_saveexec_b64", ~(a ^ e)),
              SAVEEXEC("andn1_saveexec_b64", ~a & e), SAVEEXEC("orn1_saveexec_b64", ~a | e)});
}

/* s32: 1 where the branch was taken, 2 where not. */
inline Case branch(const char *opcode, const char *before, bool (*taken)(const Registers &))
{
    std::string code =
        std::string(before) + "\ns_mov_b32 s32, 1\n" + opcode + " 1\ns_mov_b32 s32, 2\ns_nop 0";
    return {opcode, code, "", [taken](const snippet::Frame &f) -> std::string {
                u32 want = taken(Registers{f}) ? 1 : 2;
                return f.so[0] == want ? "" : differs_bits("way", 0, f.so[0], want);
            }};
}

inline void control_cases(std::vector<Case> &t)
{
    t.push_back(branch("s_branch", "", [](const Registers &) { return true; }));
    t.push_back(
        branch("s_cbranch_scc0", "", []([[maybe_unused]] const Registers &r) { return !r.scc(); }));
    t.push_back(
        branch("s_cbranch_scc1", "", []([[maybe_unused]] const Registers &r) { return r.scc(); }));
    const char *v = "s_bfe_i64 s[4:5], s[24:25], 0x10000\ns_mov_b64 vcc, s[4:5]";
    const char *e = "s_bfe_i64 s[4:5], s[24:25], 0x10000\ns_mov_b64 exec, s[4:5]";
    auto odd = []([[maybe_unused]] const Registers &r) { return r.s(24) % 2 == 1; };
    auto even = []([[maybe_unused]] const Registers &r) { return r.s(24) % 2 == 0; };
    t.push_back(branch("s_cbranch_vccz", v, even));
    t.push_back(branch("s_cbranch_vccnz", v, odd));
    t.push_back(branch("s_cbranch_execz", e, even));
    t.push_back(branch("s_cbranch_execnz", e, odd));
    t.push_back(SCALAR("s_nop", "0\ns_sleep 1\ns_setprio 2\ns_mov_b32 s32, 5", KEEPS, 5u));
    t.push_back(SCALAR("s_sleep", "1\ns_mov_b32 s32, 5", KEEPS, 5u));
    t.push_back(SCALAR("s_setprio", "1\ns_mov_b32 s32, 5", KEEPS, 5u));
    t.push_back(SCALAR("s_endpgm", "\n", KEEPS, 0u));
    t.back().code = "v_mov_b32 v2, 7\ns_nop 0\nglobal_store_dword v2, v2, s[48:49] offset:1\n"
                    "s_endpgm";
    t.back().wrong = [](const snippet::Frame &f) {
        return f.memory[2] == 7 && f.so[0] == ~0u ? "" : "the wave did not end there";
    };
    /* two ways to the address after s_getpc: by arithmetic on it, and by the return of a jump */
    t.push_back(scalar_case(
        "s_getpc_b64",
        "s_getpc_b64 s[4:5]\ns_add_u32 s4, s4, 20\ns_addc_u32 s5, s5, 0\n"
        "s_mov_b32 s32, 1\ns_setpc_b64 s[4:5]\ns_mov_b32 s32, 2\ns_nop 0",
        [](const Registers &) { return 1u; }, SCC(false)));
    t.push_back(t.back());
    t.back().opcode = "s_setpc_b64";
    t.push_back(scalar_case(
        "s_getreg_b32", "s_getreg_b32 s32, hwreg(HW_REG_MODE, 4, 4)",
        [](const Registers &) { return 15u; }, KEEPS));
}

inline void scalar_cases(std::vector<Case> &t)
{
    scalar_moves(t), scalar_sums(t), scalar_fields(t), scalar_compares(t), exec_cases(t);
    control_cases(t);
}

#endif /* CDNA_TESTS_OPCODES_SCALAR_H */
