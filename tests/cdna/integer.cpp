/* integer.cpp -- VALU instructions on integers and bits. */
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

u32 move(u32 a) { return a; }
u64 move64(u64 a) { return a; }
u32 invert(u32 a) { return ~a; }
u32 add(u32 a, u32 b) { return a + b; }
u32 sub(u32 a, u32 b) { return a - b; }
u32 subrev(u32 a, u32 b) { return b - a; }
u32 mul_lo(u32 a, u32 b) { return a * b; }
u32 mul_hi(u32 a, u32 b) { return u32(u64(a) * b >> 32); }
u32 mul_hi_i(i32 a, i32 b) { return u32(i64(a) * b >> 32); }
u32 low24(u32 a) { return a & 0xffffff; }
i32 low24_i(u32 a) { return i32(a << 8) >> 8; }
u32 mul_u24(u32 a, u32 b) { return low24(a) * low24(b); }
u32 mul_hi_u24(u32 a, u32 b) { return u32(u64(low24(a)) * low24(b) >> 32); }
u32 mul_i24(u32 a, u32 b) { return u32(i64(low24_i(a)) * low24_i(b)); }
u32 mad_u24(u32 a, u32 b, u32 c) { return mul_u24(a, b) + c; }
u32 mad_i24(u32 a, u32 b, u32 c) { return mul_i24(a, b) + c; }
u32 and2(u32 a, u32 b) { return a & b; }
u32 or2(u32 a, u32 b) { return a | b; }
u32 xor2(u32 a, u32 b) { return a ^ b; }
u32 xnor2(u32 a, u32 b) { return ~(a ^ b); }
u32 shl(u32 n, u32 a) { return a << (n & 31); }
u32 shr(u32 n, u32 a) { return a >> (n & 31); }
i32 sar(u32 n, i32 a) { return a >> (n & 31); }
u64 shl64(u32 n, u64 a) { return a << (n & 63); }
u64 shr64(u32 n, u64 a) { return a >> (n & 63); }
i64 sar64(u32 n, i64 a) { return a >> (n & 63); }
template <class T> T min2(T a, T b) { return std::min(a, b); }
template <class T> T max2(T a, T b) { return std::max(a, b); }
template <class T> T min3(T a, T b, T c) { return std::min(std::min(a, b), c); }
template <class T> T max3(T a, T b, T c) { return std::max(std::max(a, b), c); }
template <class T> T med3(T a, T b, T c)
{
    return std::max(std::min(a, b), std::min(std::max(a, b), c));
}
u32 add3(u32 a, u32 b, u32 c) { return a + b + c; }
u32 lshl_add(u32 a, u32 n, u32 c) { return (a << (n & 31)) + c; }
u32 add_lshl(u32 a, u32 b, u32 n) { return (a + b) << (n & 31); }
u32 lshl_or(u32 a, u32 n, u32 c) { return a << (n & 31) | c; }
u32 and_or(u32 a, u32 b, u32 c) { return (a & b) | c; }
u32 or3(u32 a, u32 b, u32 c) { return a | b | c; }
u32 xad(u32 a, u32 b, u32 c) { return (a ^ b) + c; }
u64 lshl_add64(u64 a, u32 n, u64 c) { return (a << (n & 7)) + c; }
u32 bfe_u(u32 a, u32 at, u32 n) { return (a >> (at & 31)) & u32((u64(1) << (n & 31)) - 1); }
i32 bfe_i(i32 a, u32 at, u32 n)
{
    u32 width = n & 31, x = bfe_u(u32(a >> (at & 31)), 0, width);
    return width ? i32(x << (32 - width)) >> (32 - width) : 0;
}
u32 bfi(u32 mask, u32 a, u32 b) { return (mask & a) | (~mask & b); }
u32 bfm(u32 n, u32 at) { return u32((u64(1) << (n & 31)) - 1) << (at & 31); }
u32 bcnt(u32 a, u32 b) { return u32(__builtin_popcount(a)) + b; }
u32 reverse(u32 a)
{
    u32 r = 0;
    for (int k = 0; k < 32; k++) r |= (a >> k & 1) << (31 - k);
    return r;
}
u32 ffbh_u(u32 a) { return a ? u32(__builtin_clz(a)) : ~0u; }
u32 ffbh_i(i32 a) { return ffbh_u(u32(a < 0 ? ~a : a)); }
u32 ffbl(u32 a) { return a ? u32(__builtin_ctz(a)) : ~0u; }
u32 alignbit(u32 a, u32 b, u32 n) { return u32((u64(a) << 32 | b) >> (n & 31)); }
u32 alignbyte(u32 a, u32 b, u32 n) { return u32((u64(a) << 32 | b) >> 8 * (n & 3)); }
u32 perm_byte(u64 both, u32 s)
{
    u32 sign = s < 12 ? u32(both >> (16 * (s & 3) + 15) & 1) : 0; /* 8..11: signs of the words */
    return s < 8 ? u32(both >> 8 * (s & 7)) & 0xff : s < 12 ? sign * 0xff : s == 12 ? 0 : 0xff;
}
u32 perm(u32 a, u32 b, u32 select)
{
    u64 both = u64(a) << 32 | b;
    u32 r = 0;
    for (int k = 0; k < 4; k++) r |= perm_byte(both, select >> 8 * k & 0xff) << 8 * k;
    return r;
}
u32 sad(u32 a, u32 b, u32 c) { return (a > b ? a - b : b - a) + c; }
u16 add16(u16 a, u16 b) { return u16(a + b); }
u16 sub16(u16 a, u16 b) { return u16(a - b); }
u16 subrev16(u16 a, u16 b) { return u16(b - a); }
u16 mul16(u16 a, u16 b) { return u16(u32(a) * b); }
u16 mad16(u16 a, u16 b, u16 c) { return u16(u32(a) * b + c); }
u16 shl16(u16 n, u16 a) { return u16(a << (n & 15)); }
u16 shr16(u16 n, u16 a) { return u16(a >> (n & 15)); }
i16 sar16(u16 n, i16 a) { return i16(a >> (n & 15)); }
u32 dot4_i(u32 a, u32 b, u32 c)
{
    for (int k = 0; k < 32; k += 8) c += u32(i32(int8_t(a >> k)) * i32(int8_t(b >> k)));
    return c;
}
u32 dot4_u(u32 a, u32 b, u32 c)
{
    for (int k = 0; k < 32; k += 8) c += (a >> k & 0xff) * (b >> k & 0xff);
    return c;
}

/* Any function of three bits: bit (a, b, c) of the table. */
template <class T> void bitop3(Wave &w, const Inst &i)
{
    alignas(64) uint32_t space[3][lanes], out[2][lanes];
    const uint32_t *p[3];
    for (int k = 0; k < 3; k++) p[k] = lane_source(w, i, k, 0, 0, Lane<T>::half, space[k]);
    memset(out[0], 0, sizeof out[0]);
    for (int t = 0; t < 8; t++) {
        if (!(i.imm >> t & 1)) continue;
        u32 a = t & 4 ? 0 : ~0u, b = t & 2 ? 0 : ~0u, c = t & 1 ? 0 : ~0u;
        for (int l = 0; l < lanes; l++)
            out[0][l] |= T((p[0][l] ^ a) & (p[1][l] ^ b) & (p[2][l] ^ c));
    }
    write_result<T>(w, i, out);
}

const Row rows[] = {
    row<move>("v_mov_b32"),
    row<move64>("v_mov_b64"),
    row<invert>("v_not_b32"),
    row<move>("v_accvgpr_read_b32"),
    row<move>("v_accvgpr_write_b32"),
    row<move>("v_accvgpr_mov_b32"),
    row<add>("v_add_u32"),
    row<sub>("v_sub_u32"),
    row<subrev>("v_subrev_u32"),
    row<add>("v_add_i32"),
    row<sub>("v_sub_i32"),
    row<mul_lo>("v_mul_lo_u32"),
    row<mul_hi>("v_mul_hi_u32"),
    row<mul_hi_i>("v_mul_hi_i32"),
    row<mul_u24>("v_mul_u32_u24"),
    row<mul_hi_u24>("v_mul_hi_u32_u24"),
    row<mul_i24>("v_mul_i32_i24"),
    row<mad_u24>("v_mad_u32_u24"),
    row<mad_i24>("v_mad_i32_i24"),
    row<and2>("v_and_b32"),
    row<or2>("v_or_b32"),
    row<xor2>("v_xor_b32"),
    row<xnor2>("v_xnor_b32"),
    row<shl>("v_lshlrev_b32"),
    row<shr>("v_lshrrev_b32"),
    row<sar>("v_ashrrev_i32"),
    row<shl64>("v_lshlrev_b64"),
    row<shr64>("v_lshrrev_b64"),
    row<sar64>("v_ashrrev_i64"),
    row<min2<u32>>("v_min_u32"),
    row<max2<u32>>("v_max_u32"),
    row<min2<i32>>("v_min_i32"),
    row<max2<i32>>("v_max_i32"),
    row<min3<u32>>("v_min3_u32"),
    row<max3<u32>>("v_max3_u32"),
    row<med3<u32>>("v_med3_u32"),
    row<min3<i32>>("v_min3_i32"),
    row<max3<i32>>("v_max3_i32"),
    row<med3<i32>>("v_med3_i32"),
    row<add3>("v_add3_u32"),
    row<lshl_add>("v_lshl_add_u32"),
    row<add_lshl>("v_add_lshl_u32"),
    row<lshl_or>("v_lshl_or_b32"),
    row<and_or>("v_and_or_b32"),
    row<or3>("v_or3_b32"),
    row<xad>("v_xad_u32"),
    row<lshl_add64>("v_lshl_add_u64"),
    row<bfe_u>("v_bfe_u32"),
    row<bfe_i>("v_bfe_i32"),
    row<bfi>("v_bfi_b32"),
    row<bfm>("v_bfm_b32"),
    row<bcnt>("v_bcnt_u32_b32"),
    row<reverse>("v_bfrev_b32"),
    row<ffbh_u>("v_ffbh_u32"),
    row<ffbh_i>("v_ffbh_i32"),
    row<ffbl>("v_ffbl_b32"),
    row<alignbit>("v_alignbit_b32"),
    row<alignbyte>("v_alignbyte_b32"),
    row<perm>("v_perm_b32"),
    row<sad>("v_sad_u32"),
    row<add16>("v_add_u16"),
    row<sub16>("v_sub_u16"),
    row<subrev16>("v_subrev_u16"),
    row<mul16>("v_mul_lo_u16"),
    row<mad16>("v_mad_u16", keeps_high),
    row<mad16>("v_mad_legacy_u16"),
    row<shl16>("v_lshlrev_b16"),
    row<shr16>("v_lshrrev_b16"),
    row<sar16>("v_ashrrev_i16"),
    row<min2<u16>>("v_min_u16"),
    row<max2<u16>>("v_max_u16"),
    row<min2<i16>>("v_min_i16"),
    row<max2<i16>>("v_max_i16"),
    row<dot4_i>("v_dot4_i32_i8", dot),
    row<dot4_i>("v_dot4c_i32_i8", dot | reads_dst),
    row<dot4_u>("v_dot4_u32_u8", dot),
    {"v_bitop3_b32", bitop3<u32>, "uuuu", Unit::vector, 0, 0, 0, 0},
    {"v_bitop3_b16", bitop3<u16>, "wwww", Unit::vector, keeps_high, 0, 0, 0},
};

} // namespace

Rows integer_rows() { return {std::begin(rows), std::end(rows)}; }

} // namespace cdna
