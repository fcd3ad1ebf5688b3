/* opcodes_lds.h -- cases for DS instructions: reads, writes, exchanges between lanes, transposes.
 */
#ifndef CDNA_TESTS_OPCODES_LDS_H
#define CDNA_TESTS_OPCODES_LDS_H

#include "opcodes_memory.h"

/* v[8:11] of lane l lie at byte 16 l of LDS. */
inline const std::string lds_image =
    "v_lshlrev_b32 v2, 4, v0\nds_write_b128 v2, v[8:11]\ns_waitcnt lgkmcnt(0)\n";
inline u32 lds_word(const snippet::Frame &f, u32 word) { return f.in[word % 4][word / 4 % 64]; }
inline u32 lds_bytes(const snippet::Frame &f, u32 at, u32 count)
{
    u32 x = 0;
    for (u32 b = 0; b < count; b++)
        x |= (lds_word(f, (at + b) / 4) >> (at + b) % 4 * 8 & 0xff) << 8 * b;
    return x;
}

/* v32.. are the words at byte 4 * (lane ^ 5) + offset (and the second place, for read2). */
inline Case lds_read(const std::string &opcode, const char *operands, u32 words, u32 first,
                     u32 second)
{
    return {opcode,
            lds_image + "v_xor_b32 v2, 5, v0\nv_lshlrev_b32 v2, 3, v2\n" + opcode + " " + operands,
            "", [=](const snippet::Frame &f) -> std::string {
                for (u32 l = 0; l < 64; l++)
                    for (u32 d = 0; d < (second ? 2 * words : words); d++) {
                        u32 at = 8 * (l ^ 5) + (d < words ? first : second) + d % words * 4;
                        u32 want = lds_word(f, at / 4);
                        if (f.out[d][l] != want)
                            return differs_bits("read", int(l), f.out[d][l], want);
                    }
                return "";
            }};
}

inline void lds_reads(std::vector<Case> &t)
{
    t.push_back(lds_read("ds_read_b32", "v32, v2 offset:12", 1, 12, 0));
    t.push_back(lds_read("ds_read_b64", "v[32:33], v2 offset:16", 2, 16, 0));
    t.push_back(lds_read("ds_read_b96", "v[32:34], v2 offset:16", 3, 16, 0));
    t.push_back(lds_read("ds_read_b128", "v[32:35], v2 offset:16", 4, 16, 0));
    t.push_back(lds_read("ds_read2_b32", "v[32:33], v2 offset0:3 offset1:9", 1, 12, 36));
    t.push_back(lds_read("ds_read2_b64", "v[32:35], v2 offset0:2 offset1:5", 2, 16, 40));
    t.push_back(lds_read("ds_read2st64_b32", "v[32:33], v2 offset0:1 offset1:2", 1, 256, 512));
    t.push_back(lds_read("ds_read2st64_b64", "v[32:35], v2 offset0:0 offset1:1", 2, 0, 512));
    struct {
        const char *ds, *narrow;
    } const names[] = {{"u8", "ubyte"},          {"i8", "sbyte"},
                       {"u16", "ushort"},        {"i16", "sshort"},
                       {"u8_d16", "ubyte_d16"},  {"u8_d16_hi", "ubyte_d16_hi"},
                       {"i8_d16", "sbyte_d16"},  {"i8_d16_hi", "sbyte_d16_hi"},
                       {"u16_d16", "short_d16"}, {"u16_d16_hi", "short_d16_hi"}};
    for (auto &n : names)
        for (const Narrow &k : narrow_loads()) {
            if (strcmp(k.name, n.narrow)) continue;
            std::string opcode = std::string("ds_read_") + n.ds;
            t.push_back({opcode,
                         lds_image + "v_mul_u32_u24 v2, v0, 6\nv_mov_b32 v32, v9\n" + opcode +
                             " v32, v2 offset:2",
                         "", [k](const snippet::Frame &f) -> std::string {
                             for (u32 l = 0; l < 64; l++) {
                                 u32 want = k.value(lds_bytes(f, 6 * l + 2, k.bytes), f.in[1][l]);
                                 if (f.out[0][l] != want)
                                     return differs_bits("read", int(l), f.out[0][l], want);
                             }
                             return "";
                         }});
        }
}

/* 32 bytes of each lane are cleared, one write goes to byte 4, and all is read back to v[32:39]. */
inline Case lds_write(const std::string &opcode, const char *operands, u32 bytes, u32 shift,
                      u32 second)
{
    return {opcode,
            "v_lshlrev_b32 v2, 5, v0\nv_mov_b32 v4, 0\nv_mov_b32 v5, 0\nv_mov_b32 v6, 0\nv_mov_b32 "
            "v7, 0\n"
            "ds_write_b128 v2, v[4:7]\nds_write_b128 v2, v[4:7] offset:16\n" +
                opcode + " v2, " + operands +
                "\nds_read_b128 v[32:35], v2\nds_read_b128 v[36:39], v2 offset:16",
            "", [=](const snippet::Frame &f) -> std::string {
                for (u32 l = 0; l < 64; l++)
                    for (u32 b = 0; b < 32; b++) {
                        u32 want = 0, word = bytes / 4; /* of the first operand */
                        if (b >= 4 && b < 4 + bytes)
                            want = f.in[(b - 4) / 4][l] >> shift >> (b - 4) % 4 * 8;
                        if (second && b >= second && b < second + bytes)
                            want = f.in[word + (b - second) / 4][l] >> b % 4 * 8;
                        u32 got = f.out[b / 4][l] >> b % 4 * 8 & 0xff;
                        if (got != (want & 0xff))
                            return differs_bits("written", int(l), got, want & 0xff);
                    }
                return "";
            }};
}

inline void lds_writes(std::vector<Case> &t)
{
    t.push_back(lds_write("ds_write_b8", "v8 offset:4", 1, 0, 0));
    t.push_back(lds_write("ds_write_b8_d16_hi", "v8 offset:4", 1, 16, 0));
    t.push_back(lds_write("ds_write_b16", "v8 offset:4", 2, 0, 0));
    t.push_back(lds_write("ds_write_b16_d16_hi", "v8 offset:4", 2, 16, 0));
    t.push_back(lds_write("ds_write_b32", "v8 offset:4", 4, 0, 0));
    t.push_back(lds_write("ds_write_b64", "v[8:9] offset:4", 8, 0, 0));
    t.push_back(lds_write("ds_write_b96", "v[8:10] offset:4", 12, 0, 0));
    t.push_back(lds_write("ds_write_b128", "v[8:11] offset:4", 16, 0, 0));
    t.push_back(lds_write("ds_write2_b32", "v8, v9 offset0:1 offset1:5", 4, 0, 20));
    t.push_back(lds_write("ds_write2_b64", "v[8:9], v[10:11] offset0:0 offset1:2", 8, 0, 16));
    for (Case &c : t) /* the pairs of 64 bits start at byte 0 */
        if (c.opcode == "ds_write2_b64")
            c.code.replace(c.code.find("ds_write2_b64 v2"), 16,
                           "v_add_u32 v3, 4, v2\nds_write2_b64 v3"),
                c.wrong = lds_write("", "", 8, 0, 20).wrong;
}

inline void lds_exchanges(std::vector<Case> &t)
{
    t.push_back(lane_case("ds_bpermute_b32",
                          "v_mul_u32_u24 v2, v0, 12\nds_bpermute_b32 v32, v2, v8 offset:4",
                          [](const Registers &r, int l) { return r.u(8, (3 * l + 1) % 64); }));
    t.push_back(lane_case(
        "ds_permute_b32", "v_mul_u32_u24 v2, v0, 12\nds_permute_b32 v32, v2, v8",
        [](const Registers &r, int l) { return r.u(8, l * 43 % 64); })); /* 3 * 43 = 129 */
    t.push_back(
        lane_case("ds_swizzle_b32", "ds_swizzle_b32 v32, v8 offset:swizzle(QUAD_PERM, 1,3,0,2)",
                  [](const Registers &r, int l) { return r.u(8, l / 4 * 4 + "\1\3\0\2"[l % 4]); }));
    t.push_back(lane_case("ds_swizzle_b32", "ds_swizzle_b32 v32, v8 offset:swizzle(SWAP, 16)",
                          [](const Registers &r, int l) { return r.u(8, l ^ 16); }));
    t.push_back(lane_case("ds_swizzle_b32",
                          "ds_swizzle_b32 v32, v8 offset:swizzle(BROADCAST, 8, 3)",
                          [](const Registers &r, int l) { return r.u(8, l / 8 * 8 + 3); }));
    for (const char *opcode :
         {"ds_add_u32", "ds_add_rtn_u32"}) /* all lanes onto one word, in turn */
        t.push_back({opcode,
                     "v_mov_b32 v2, 64\nv_mov_b32 v3, 0\nds_write_b32 v2, v3\n"
                     "ds_add_u32 v2, v14\nds_add_rtn_u32 v32, v2, v14\nds_read_b32 v33, v2",
                     "", [](const snippet::Frame &f) -> std::string {
                         u32 sum = 0, before = 0;
                         for (u32 l = 0; l < 64; l++) sum += f.in[6][l];
                         for (u32 l = 0; l < 64; before += f.in[6][l++])
                             if (f.out[0][l] != sum + before || f.out[1][l] != 2 * sum)
                                 return differs_bits("sum", int(l), f.out[0][l], sum + before);
                         return "";
                     }});
}

/* A tile of 16 columns in each 16 lanes: lane s brings piece s of its rows, lane i gets column i.
 * Elements of `bits`; a row is made of 16 * bits / piece_bits pieces. */
inline Case transposed(const char *opcode, u32 bits)
{
    u32 words = bits == 6 ? 3 : 2, per_lane = words * 32 / bits;
    std::string stride = words == 3 ? "v_mul_u32_u24 v2, v0, 12\n" : "v_lshlrev_b32 v2, 3, v0\n";
    std::string n = std::to_string(32 * words), last = words == 3 ? "34" : "33";
    std::string data = words == 3 ? "v[8:10]" : "v[8:9]";
    return {opcode,
            stride + "ds_write_b" + n + " v2, " + data +
                "\ns_waitcnt lgkmcnt(0)\nv_mov_b32 v32, 0\n" + opcode + " v[32:" + last + "], v2",
            "gfx950", [=](const snippet::Frame &f) -> std::string {
                auto element = [&](const u32(*slots)[64], u32 lane, u32 e) {
                    u32 x = 0;
                    for (u32 b = 0; b < bits; b++) {
                        u32 at = e * bits + b;
                        x |= (slots[at / 32][lane] >> at % 32 & 1) << b;
                    }
                    return x;
                };
                u32 pieces = 16 / per_lane;
                for (u32 l = 0; l < 64; l++)
                    for (u32 row = 0; row < per_lane; row++) {
                        u32 column = l % 16, from = l / 16 * 16 + row * pieces + column / per_lane;
                        u32 want = element(f.in, from, column % per_lane),
                            got = element(f.out, l, row);
                        if (got != want) return differs_bits("transposed", int(l), got, want);
                    }
                return "";
            }};
}

/* Waits in the order of issue: the first of two loads is there while the second is on its way. */
inline void wait_cases(std::vector<Case> &t)
{
    t.push_back(load_case("s_waitcnt",
                          "v_lshlrev_b32 v2, 2, v0\nglobal_load_dword v3, v2, s[48:49]\n"
                          "global_load_dword v4, v2, s[48:49] offset:256\ns_waitcnt vmcnt(1)\n"
                          "v_mov_b32 v32, v3",
                          4, [](u32 l) { return 4 * l; }));
    t.push_back(lane_case("s_waitcnt",
                          "v_lshlrev_b32 v2, 2, v0\nds_write_b32 v2, v8\nds_read_b32 v3, v2\n"
                          "ds_read_b32 v4, v2\ns_waitcnt lgkmcnt(1)\nv_mov_b32 v32, v3",
                          [](const Registers &r, int l) { return r.u(8, l); }));
    t.push_back(lane_case("s_barrier",
                          "v_lshlrev_b32 v2, 2, v0\nds_write_b32 v2, v8\ns_waitcnt lgkmcnt(0)\n"
                          "s_barrier\nds_read_b32 v32, v2",
                          [](const Registers &r, int l) { return r.u(8, l); }));
}

inline void lds_cases(std::vector<Case> &t)
{
    wait_cases(t);
    lds_reads(t), lds_writes(t), lds_exchanges(t);
    t.push_back(transposed("ds_read_b64_tr_b16", 16));
    t.push_back(transposed("ds_read_b64_tr_b8", 8));
    t.push_back(transposed("ds_read_b64_tr_b4", 4));
    t.push_back(transposed("ds_read_b96_tr_b6", 6));
}

#endif /* CDNA_TESTS_OPCODES_LDS_H */
