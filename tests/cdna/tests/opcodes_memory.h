/* opcodes_memory.h -- cases for scalar loads, global, flat, buffer, scratch and LDS instructions.
 */
#ifndef CDNA_TESTS_OPCODES_MEMORY_H
#define CDNA_TESTS_OPCODES_MEMORY_H

#include "opcode_case.h"

/* `memory` holds random words up to byte random_bytes, ones behind. */
constexpr u32 random_bytes = 3072 * 4;

inline u64 bytes_at(const snippet::Frame &f, u32 at, u32 count)
{
    u64 x = 0;
    memcpy(&x, reinterpret_cast<const char *>(f.memory) + at, count);
    return x;
}

/* v32.. of a lane are the words at byte at(lane) of memory, `bytes` in all. */
template <class At>
Case load_case(const std::string &opcode, const std::string &code, u32 bytes, At at,
               const char *chips = "")
{
    return {opcode, code, chips, [bytes, at](const snippet::Frame &f) -> std::string {
                for (u32 l = 0; l < 64; l++)
                    for (u32 d = 0; d < bytes / 4; d++) {
                        u32 want = u32(bytes_at(f, at(l) + 4 * d, 4)), got = f.out[d][l];
                        if (got != want) return differs_bits("loaded", int(l), got, want);
                    }
                return "";
            }};
}

struct Narrow { /* what a load of less than a dword makes of it; old: the register before */
    const char *name;
    u32 bytes;
    u32 (*value)(u32 x, u32 old);
};
inline const std::vector<Narrow> &narrow_loads()
{
    static const std::vector<Narrow> list = {
        {"ubyte", 1, [](u32 x, u32) { return x; }},
        {"sbyte", 1, [](u32 x, u32) { return u32(i32(i8(x))); }},
        {"ushort", 2, [](u32 x, u32) { return x; }},
        {"sshort", 2, [](u32 x, u32) { return u32(i32(i16(x))); }},
        {"ubyte_d16", 1, [](u32 x, u32 old) { return pack(x, old >> 16); }},
        {"ubyte_d16_hi", 1, [](u32 x, u32 old) { return pack(old, x); }},
        {"sbyte_d16", 1, [](u32 x, u32 old) { return pack(u32(i8(x)), old >> 16); }},
        {"sbyte_d16_hi", 1, [](u32 x, u32 old) { return pack(old, u32(i8(x))); }},
        {"short_d16", 2, [](u32 x, u32 old) { return pack(x, old >> 16); }},
        {"short_d16_hi", 2, [](u32 x, u32 old) { return pack(old, x); }}};
    return list;
}

/* The three ways to address: what stands before an instruction, and its address operands for an
 * access at byte 20 * lane + 4 of memory. */
struct Way {
    const char *prefix, *before, *operands, *after, *chips;
};
inline const std::vector<Way> &ways()
{
    static const char *const wide =
        "v_mul_u32_u24 v4, v0, 20\nv_mov_b32 v3, s49\nv_add_co_u32 v2, vcc, s48, v4\n"
        "v_addc_co_u32 v3, vcc, 0, v3, vcc\n";
    static const char *const descriptor =
        "s_mov_b32 s4, s48\ns_mov_b32 s5, s49\ns_movk_i32 s6, 0x4000\n"
        "s_mov_b32 s7, 0x27000\nv_mul_u32_u24 v2, v0, 20\ns_mov_b32 s8, 3\n";
    static const std::vector<Way> list = {
        {"global", wide, "v[2:3], off", " offset:4", ""},
        {"global", "v_mul_u32_u24 v2, v0, 20\n", "v2, s[48:49]", " offset:4", ""},
        {"flat", wide, "v[2:3]", " offset:4", ""},
        {"buffer", descriptor, "v2, s[4:7], s8", " offen offset:1", ""}};
    return list;
}

inline void wide_loads(std::vector<Case> &t)
{
    for (const Way &w : ways()) {
        std::string prefix = w.prefix, before = w.before,
                    tail = std::string(", ") + w.operands + w.after;
        for (u32 n = 1; n <= 4; n++) {
            std::string opcode = prefix + "_load_dword" + (n > 1 ? "x" + std::to_string(n) : "");
            std::string to = n > 1 ? " v[32:" + std::to_string(31 + n) + "]" : " v32";
            t.push_back(load_case(opcode, before + opcode + to + tail, 4 * n,
                                  [](u32 l) { return 20 * l + 4; }));
        }
        for (const Narrow &k : narrow_loads()) {
            std::string opcode = prefix + "_load_" + k.name;
            t.push_back({opcode, before + "v_mov_b32 v32, v8\n" + opcode + " v32" + tail, "",
                         [k](const snippet::Frame &f) -> std::string {
                             for (u32 l = 0; l < 64; l++) {
                                 u32 want =
                                     k.value(u32(bytes_at(f, 20 * l + 4, k.bytes)), f.in[0][l]);
                                 if (f.out[0][l] != want)
                                     return differs_bits("loaded", int(l), f.out[0][l], want);
                             }
                             return "";
                         }});
        }
    }
}

/* `code` stores `bytes` of v8.. (shifted right by `shift`) at byte 20 * lane + 4. */
inline Case store_case(const std::string &opcode, const std::string &code, u32 bytes, u32 shift)
{
    return {opcode, code, "", [bytes, shift](const snippet::Frame &f) -> std::string {
                for (u32 l = 0; l < 64; l++)
                    for (u32 b = 0; b < 20; b++) {
                        u32 got = u32(bytes_at(f, random_bytes + 20 * l + 4 + b, 1));
                        u32 want = b < bytes ? (f.in[b / 4][l] >> shift >> b % 4 * 8) & 0xff : 0xff;
                        if (got != want) return differs_bits("stored", int(l), got, want);
                    }
                return "";
            }};
}

inline void stores(std::vector<Case> &t)
{
    struct {
        const char *name, *data;
        u32 bytes, shift;
    } const kinds[] = {{"byte", "v8", 1, 0},          {"short", "v8", 2, 0},
                       {"byte_d16_hi", "v8", 1, 16},  {"short_d16_hi", "v8", 2, 16},
                       {"dword", "v8", 4, 0},         {"dwordx2", "v[8:9]", 8, 0},
                       {"dwordx3", "v[8:10]", 12, 0}, {"dwordx4", "v[8:11]", 16, 0}};
    const std::string up =
        "s_add_u32 s48, s48, " + std::to_string(random_bytes) + "\ns_addc_u32 s49, s49, 0\n";
    for (const Way &w : ways())
        for (auto &k : kinds) {
            std::string opcode = std::string(w.prefix) + "_store_" + k.name, where = w.operands;
            std::string operands =
                where.find("s[4:7]") != where.npos ? k.data + (", " + where) : "";
            if (operands.empty()) {
                size_t comma = where.find(',');
                operands = where.substr(0, comma) + ", " + k.data +
                           (comma == where.npos ? "" : where.substr(comma));
            }
            t.push_back(store_case(opcode, up + w.before + opcode + " " + operands + w.after,
                                   k.bytes, k.shift));
        }
}

inline void scalar_loads(std::vector<Case> &t)
{
    const std::string descriptor = "s_mov_b32 s4, s48\ns_mov_b32 s5, s49\ns_movk_i32 s6, 0x28\n"
                                   "s_mov_b32 s7, 0x27000\n";
    for (int n = 1; n <= 16; n *= 2) {
        std::string x = n > 1 ? "x" + std::to_string(n) : "",
                    last = std::to_string(31 + std::min(n, 8));
        std::string to = n > 1 ? "s[32:" + std::to_string(31 + n) + "]" : "s32";
        std::string keep = n == 16 ? "s_mov_b64 s[4:5], s[48:49]\n" : "";
        for (bool buffer : {false, true}) {
            std::string opcode = (buffer ? "s_buffer_load_dword" : "s_load_dword") + x;
            std::string from = buffer ? "s[4:7]" : n == 16 ? "s[4:5]" : "s[48:49]";
            t.push_back({opcode,
                         (buffer ? descriptor : keep) + opcode + " " + to + ", " + from + ", 0xc",
                         "", [n, buffer](const snippet::Frame &f) -> std::string {
                             for (int k = 0; k < std::min(n, 15); k++) {
                                 u32 want = f.memory[3 + k];
                                 if (buffer && 12 + 4 * k >= 0x28) want = 0; /* out of range */
                                 if (f.so[k] != want)
                                     return differs_bits("loaded", k, f.so[k], want);
                             }
                             return "";
                         }});
        }
    }
}

/* Buffers: past the end a load gives 0 and a store does nothing; rows by index. */
inline void buffer_ranges(std::vector<Case> &t)
{
    const std::string head =
        "s_mov_b32 s4, s48\ns_mov_b32 s5, s49\ns_mov_b32 s6, 100\ns_mov_b32 s7, 0x27000\n"
        "v_lshlrev_b32 v2, 4, v0\n";
    t.push_back(
        {"buffer_load_dwordx4", head + "buffer_load_dwordx4 v[32:35], v2, s[4:7], 0 offen offset:4",
         "", [](const snippet::Frame &f) -> std::string {
             for (u32 l = 0; l < 64; l++)
                 for (u32 d = 0; d < 4; d++) {
                     u32 at = 16 * l + 4 * d + 4, want = at < 100 ? u32(bytes_at(f, at, 4)) : 0;
                     if (f.out[d][l] != want)
                         return differs_bits("loaded", int(l), f.out[d][l], want);
                 }
             return "";
         }});
    t.push_back(
        {"buffer_load_dword",
         "s_mov_b32 s4, s48\ns_or_b32 s5, s49, 0x180000\ns_mov_b32 s6, 50\ns_mov_b32 s7, 0x27000\n"
         "buffer_load_dword v32, v0, s[4:7], 0 idxen offset:8",
         "",
         [](const snippet::Frame &f)
             -> std::string { /* rows of 24 bytes, 50 of them */
                              for (u32 l = 0; l < 64; l++) {
                                  u32 want = l < 50 ? u32(bytes_at(f, 24 * l + 8, 4)) : 0;
                                  if (f.out[0][l] != want)
                                      return differs_bits("loaded", int(l), f.out[0][l], want);
                              }
                              return "";
         }});
    t.push_back({"buffer_store_dword",
                 "s_add_u32 s48, s48, " + std::to_string(random_bytes) +
                     "\ns_addc_u32 s49, s49, 0\n" + head +
                     "buffer_store_dword v8, v2, s[4:7], 0 offen",
                 "", [](const snippet::Frame &f) -> std::string {
                     for (u32 l = 0; l < 64; l++) {
                         u32 want = 16 * l < 100 ? f.in[0][l] : ~0u;
                         u32 got = u32(bytes_at(f, random_bytes + 16 * l, 4));
                         if (got != want) return differs_bits("stored", int(l), got, want);
                     }
                     return "";
                 }});
}

inline void atomics(std::vector<Case> &t)
{
    struct {
        const char *name;
        u32 (*f)(u32, u32);
    } const kinds[] = {{"add", [](u32 a, u32 b) { return a + b; }},
                       {"or", [](u32 a, u32 b) { return a | b; }},
                       {"and", [](u32 a, u32 b) { return a & b; }},
                       {"umax", [](u32 a, u32 b) { return a > b ? a : b; }},
                       {"smin", [](u32 a, u32 b) { return i32(a) < i32(b) ? a : b; }},
                       {"swap", [](u32, u32 b) { return b; }}};
    for (auto &k : kinds) {
        std::string opcode = std::string("global_atomic_") + k.name;
        auto f = k.f; /* v31 is loaded first, so that the formula knows the word before */
        t.push_back(
            {opcode,
             "v_lshlrev_b32 v2, 2, v0\nglobal_load_dword v33, v2, s[48:49]\ns_waitcnt vmcnt(0)\n" +
                 opcode + " v32, v2, v8, s[48:49] sc0\ns_waitcnt vmcnt(0)",
             "gfx942 gfx950", [f](const snippet::Frame &m) -> std::string {
                 for (u32 l = 0; l < 64; l++) {
                     u32 old = m.out[1][l], want = f(old, m.in[0][l]);
                     if (m.out[0][l] != old) return differs_bits("old", int(l), m.out[0][l], old);
                     if (m.memory[l] != want) return differs_bits("new", int(l), m.memory[l], want);
                 }
                 return "";
             }});
    }
}

inline void scratch_cases(std::vector<Case> &t)
{
    for (const char *opcode : {"scratch_store_dword", "scratch_load_dword"}) {
        t.push_back(lane_case(
            opcode,
            "v_mov_b32 v2, 8\nscratch_store_dword v2, v8, off offset:4\n"
            "scratch_store_dword off, v9, off offset:16\ns_waitcnt vmcnt(0)\n"
            "scratch_load_dword v32, off, off offset:12\n"
            "scratch_load_dword v33, v2, off offset:8",
            [](const Registers &r, int l) { return r.u(8, l) | u64(r.u(9, l)) << 32; },
            "gfx942 gfx950"));
        t.back().scratch = true;
    }
}

/* Loads to LDS: lane l's data lands at M0 + offset + l * size. */
inline void loads_to_lds(std::vector<Case> &t)
{
    const char *const chips = "gfx942 gfx950";
    const std::string m = "s_movk_i32 m0, 0x100\n";
    const std::string back = "\ns_waitcnt vmcnt(0)\nv_sub_u32 v2, 63, v0\n";
    t.push_back(load_case(
        "global_load_lds_dword",
        m + "v_mul_u32_u24 v2, v0, 12\nglobal_load_lds_dword v2, s[48:49] offset:8" + back +
            "v_lshlrev_b32 v2, 2, v2\nds_read_b32 v32, v2 offset:264",
        4, [](u32 l) { return (63 - l) * 12 + 8; }, chips));
    t.push_back(load_case(
        "global_load_lds_dwordx4",
        m + "v_mul_u32_u24 v2, v0, 32\nglobal_load_lds_dwordx4 v2, s[48:49]" + back +
            "v_lshlrev_b32 v2, 4, v2\nds_read_b128 v[32:35], v2 offset:256",
        16, [](u32 l) { return (63 - l) * 32; }, "gfx950"));
    t.push_back(load_case(
        "buffer_load_dword",
        m +
            "s_mov_b32 s4, s48\ns_mov_b32 s5, s49\ns_movk_i32 s6, 0x1000\ns_mov_b32 s7, "
            "0x27000\nv_mul_u32_u24 v2, v0, 12\nbuffer_load_dword v2, s[4:7], 0 offen lds" +
            back + "v_lshlrev_b32 v2, 2, v2\nds_read_b32 v32, v2 offset:256",
        4, [](u32 l) { return (63 - l) * 12; }));
    t.push_back({"global_load_lds_ushort",
                 m + "v_mul_u32_u24 v2, v0, 6\nglobal_load_lds_ushort v2, s[48:49]" + back +
                     "v_lshlrev_b32 v2, 2, v0\nds_read_b32 v32, v2 offset:256",
                 chips, [](const snippet::Frame &f) -> std::string {
                     for (u32 l = 0; l < 64; l++)
                         if (f.out[0][l] != bytes_at(f, 6 * l, 2))
                             return differs_bits("loaded", int(l), f.out[0][l],
                                                 bytes_at(f, 6 * l, 2));
                     return "";
                 }});
}

inline void memory_cases(std::vector<Case> &t)
{
    wide_loads(t), stores(t), scalar_loads(t), buffer_ranges(t), atomics(t), scratch_cases(t);
    loads_to_lds(t);
}

#endif /* CDNA_TESTS_OPCODES_MEMORY_H */
