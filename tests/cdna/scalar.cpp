/* scalar.cpp -- SALU instructions: SOP1, SOP2, SOPC, SOPK, and reads of hardware registers. */
#include "machine.h"

#include <algorithm>
#include <utility>

namespace cdna
{
namespace
{

using u32 = uint32_t;
using i32 = int32_t;
using u64 = uint64_t;
using i64 = int64_t;

template <class T> T get(const Wave &w, const Operand &o)
{
    if constexpr (sizeof(T) == 8)
        return T(read64(w, o));
    else
        return T(read32(w, o));
}
template <class T> void put(Wave &w, const Operand &o, T x)
{
    if constexpr (sizeof(T) == 8)
        w.set_pair(o.reg, u64(x));
    else
        w.s[o.reg] = u32(x);
}
template <class T> constexpr char code = sizeof(T) == 8 ? 'q' : 'u';

/* What becomes of SCC: untouched, 1 where the result is not 0, or set by the function. */
enum Scc { keep, nonzero, sets };
template <auto F, Scc scc> struct Op;
template <class R, class... A, R (*F)(bool &, A...), Scc scc> struct Op<F, scc> {
    static constexpr char types[] = {code<R>, code<A>..., 0};
    static void run(Wave &w, const Inst &i) { go(w, i, std::index_sequence_for<A...>()); }
    template <size_t... k> static void go(Wave &w, const Inst &i, std::index_sequence<k...>)
    {
        bool c = w.scc;
        R r = F(c, get<A>(w, i.s[k])...);
        put<R>(w, i.d, r);
        if (scc == nonzero) w.scc = r != 0;
        if (scc == sets) w.scc = c;
    }
};
template <auto F, Scc scc> constexpr Row op(const char *name, u32 flags = 0)
{
    return {name, Op<F, scc>::run, Op<F, scc>::types, Unit::scalar, flags, 0, 0, 0};
}

using B = bool;
template <class T> T move(B &, T a) { return a; }
template <class T> T invert(B &, T a) { return ~a; }
template <class T> T and_(B &, T a, T b) { return a & b; }
template <class T> T or_(B &, T a, T b) { return a | b; }
template <class T> T xor_(B &, T a, T b) { return a ^ b; }
template <class T> T andn2(B &, T a, T b) { return a & ~b; }
template <class T> T orn2(B &, T a, T b) { return a | ~b; }
template <class T> T nand(B &, T a, T b) { return ~(a & b); }
template <class T> T nor(B &, T a, T b) { return ~(a | b); }
template <class T> T xnor(B &, T a, T b) { return ~(a ^ b); }
template <class T> T select(B &c, T a, T b) { return c ? a : b; }
u32 add_u(B &c, u32 a, u32 b) { return c = u32(a + b) < a, a + b; }
u32 sub_u(B &c, u32 a, u32 b) { return c = b > a, a - b; }
u32 addc(B &c, u32 a, u32 b)
{
    u64 x = u64(a) + b + c;
    return c = x >> 32, u32(x);
}
u32 subb(B &c, u32 a, u32 b)
{
    u64 x = u64(a) - b - c;
    return c = x >> 32 & 1, u32(x);
}
i32 add_i(B &c, i32 a, i32 b)
{
    i64 x = i64(a) + b;
    return c = x != i32(x), i32(u32(x));
}
i32 sub_i(B &c, i32 a, i32 b)
{
    i64 x = i64(a) - b;
    return c = x != i32(x), i32(u32(x));
}
i32 absdiff(B &, i32 a, i32 b)
{
    u32 d = u32(a) - u32(b);
    return i32(i32(d) < 0 ? 0 - d : d);
}
i32 abs_(B &, i32 a) { return i32(a < 0 ? 0u - u32(a) : u32(a)); }
template <class T> T min_(B &c, T a, T b) { return c = a < b, std::min(a, b); }
template <class T> T max_(B &c, T a, T b) { return c = a > b, std::max(a, b); }
u32 mul(B &, u32 a, u32 b) { return a * b; }
u32 mul_hi(B &, u32 a, u32 b) { return u32(u64(a) * b >> 32); }
i32 mul_hi_i(B &, i32 a, i32 b) { return i32(i64(a) * b >> 32); }
template <class T> T shl(B &, T a, u32 n) { return a << (n & (sizeof(T) * 8 - 1)); }
template <class T> T shr(B &, T a, u32 n) { return a >> (n & (sizeof(T) * 8 - 1)); }
template <int n> u32 shl_add(B &c, u32 a, u32 b)
{
    u64 x = (u64(a) << n) + b;
    return c = x >> 32 != 0, u32(x);
}
template <class T> T bfm(B &, u32 n, u32 at)
{
    u32 most = sizeof(T) * 8 - 1;
    return ((T(1) << (n & most)) - 1) << (at & most);
}
template <class T> T bfe(B &, T a, u32 field)
{
    u32 bits = sizeof(T) * 8, n = std::min(field >> 16 & 0x7f, bits);
    u64 x = u64(a) >> (field & (bits - 1));
    if (n == 0) return 0;
    u64 mask = n == 64 ? ~u64(0) : (u64(1) << n) - 1;
    x &= mask;
    bool negative = T(-1) < T(0) && (x >> (n - 1) & 1);
    return T(negative ? x | ~mask : x);
}
u32 pack_ll(B &, u32 a, u32 b) { return (a & 0xffff) | b << 16; }
u32 pack_lh(B &, u32 a, u32 b) { return (a & 0xffff) | (b & 0xffff0000); }
u32 pack_hh(B &, u32 a, u32 b) { return a >> 16 | (b & 0xffff0000); }
u32 brev(B &, u32 a)
{
    u32 r = 0;
    for (int k = 0; k < 32; k++) r |= (a >> k & 1) << (31 - k);
    return r;
}
u64 brev64(B &c, u64 a) { return u64(brev(c, u32(a))) << 32 | brev(c, u32(a >> 32)); }
template <class T> u32 bcnt1(B &, T a) { return u32(__builtin_popcountll(a)); }
template <class T> u32 bcnt0(B &, T a) { return u32(sizeof(T) * 8) - u32(__builtin_popcountll(a)); }
template <class T> u32 ff1(B &, T a) { return a ? u32(__builtin_ctzll(a)) : ~0u; }
template <class T> u32 ff0(B &, T a) { return T(~a) ? u32(__builtin_ctzll(T(~a))) : ~0u; }
template <class T> u32 flbit(B &, T a)
{
    return a ? u32(__builtin_clzll(a)) - (64 - u32(sizeof(T) * 8)) : ~0u;
}
u32 flbit_i(B &c, i32 a) { return flbit<u32>(c, u32(a < 0 ? ~a : a)); }
i32 sext8(B &, u32 a) { return int8_t(a); }
i32 sext16(B &, u32 a) { return int16_t(a); }
template <class T, bool one> T bitset(B &, u32 n, T old)
{
    T bit = T(1) << (n & (sizeof(T) * 8 - 1));
    return one ? old | bit : old & ~bit;
}
/* SOPK: the 16-bit constant is printed; it reads as signed where the name says so */
u32 movk(B &, u32 k) { return u32(i32(int16_t(k))); }
u32 cmovk(B &c, u32 k, u32 old) { return c ? u32(i32(int16_t(k))) : old; }
i32 addk(B &c, u32 k, i32 old) { return add_i(c, old, int16_t(k)); }
i32 mulk(B &, u32 k, i32 old) { return i32(u32(old) * u32(i32(int16_t(k)))); }
template <class T> T cmov(B &c, T a, T old) { return c ? a : old; }

/* --- EXEC */
template <u64 (*F)(B &, u64, u64)> void saveexec(Wave &w, const Inst &i)
{
    bool c = false;
    u64 old = w.active(), r = F(c, read64(w, i.s[0]), old);
    w.set_pair(i.d.reg, old);
    w.set_pair(exec, r);
    w.scc = r != 0;
}
u64 n1_and(B &, u64 a, u64 e) { return ~a & e; }
u64 n1_or(B &, u64 a, u64 e) { return ~a | e; }
/* and the result goes to EXEC and to the scalar */
template <u64 (*F)(B &, u64, u64)> void wrexec(Wave &w, const Inst &i)
{
    bool c = false;
    u64 r = F(c, read64(w, i.s[0]), w.active());
    w.set_pair(i.d.reg, r);
    w.set_pair(exec, r);
    w.scc = r != 0;
}

/* --- comparisons: only SCC */
template <auto F> struct Cmp;
template <class T, bool (*F)(T, T)> struct Cmp<F> {
    static constexpr char types[] = {'-', code<T>, code<T>, 0};
    static void run(Wave &w, const Inst &i) { w.scc = F(get<T>(w, i.s[0]), get<T>(w, i.s[1])); }
    static void run_k(Wave &w, const Inst &i)
    {
        u32 k = u32(i.s[1].value) & 0xffff;
        w.scc = F(get<T>(w, i.s[0]), T(T(-1) < T(0) ? u32(i32(int16_t(k))) : k));
    }
};
template <class T> bool eq(T a, T b) { return a == b; }
template <class T> bool lg(T a, T b) { return a != b; }
template <class T> bool lt(T a, T b) { return a < b; }
template <class T> bool le(T a, T b) { return a <= b; }
template <class T> bool gt(T a, T b) { return a > b; }
template <class T> bool ge(T a, T b) { return a >= b; }
template <auto F> constexpr Row cmp(const char *name)
{
    return {name, Cmp<F>::run, Cmp<F>::types, Unit::scalar, no_dst, 0, 0, 0};
}
template <auto F> constexpr Row cmpk(const char *name)
{
    return {name, Cmp<F>::run_k, Cmp<F>::types, Unit::scalar, no_dst, 0, 0, 0};
}
template <class T, bool want> void bitcmp(Wave &w, const Inst &i)
{
    u32 n = read32(w, i.s[1]) & (sizeof(T) * 8 - 1);
    w.scc = bool(get<T>(w, i.s[0]) >> n & 1) == want;
}

/* --- program counter and hardware registers */
void getpc(Wave &w, const Inst &i) { w.set_pair(i.d.reg, private_begin + i.next); }
void jump(Wave &w, const Inst &i, u64 to)
{
    int index = w.machine->code->index(to - private_begin);
    if (index >= 0) {
        w.pc = u32(index);
        return;
    }
    w.machine->report(w, i, "jump out of the kernel");
    w.ended = true;
}
void setpc(Wave &w, const Inst &i) { jump(w, i, read64(w, i.s[0])); }
void swappc(Wave &w, const Inst &i)
{
    u64 to = read64(w, i.s[0]);
    w.set_pair(i.d.reg, private_begin + i.next);
    jump(w, i, to);
}
enum Hardware { mode_register = 1, xcc_id = 20 };
void getreg(Wave &w, const Inst &i)
{
    u32 k = u32(i.s[0].value), id = k & 63, at = k >> 6 & 31, bits = (k >> 11 & 31) + 1;
    u32 value = 0;
    if (id == mode_register)
        value = w.mode;
    else if (id == xcc_id)
        value = w.group->id[0] % 8;
    else
        w.machine->report(w, i, "hardware register %u is not emulated", id);
    w.s[i.d.reg] = u32(u64(value) >> at & ((u64(1) << bits) - 1));
}
void setreg(Wave &w, const Inst &i)
{
    u32 k = u32(i.s[0].value), id = k & 63, at = k >> 6 & 31, bits = (k >> 11 & 31) + 1;
    u32 mask = u32(((u64(1) << bits) - 1) << at), value = read32(w, i.s[1]) << at & mask;
    if (id != mode_register || ((w.mode ^ value) & mask))
        w.machine->report(w, i, "a change of hardware register %u is not emulated", id);
}

constexpr Row of(const char *name, Run run, Types types, u32 flags = 0)
{
    return {name, run, types, Unit::scalar, flags, 0, 0, 0};
}
#define BITS(name, f) op<f<u32>, nonzero>("s_" name "_b32"), op<f<u64>, nonzero>("s_" name "_b64")
#define COMPARE(name, f)                                                  \
    cmp<f<i32>>("s_cmp_" name "_i32"), cmp<f<u32>>("s_cmp_" name "_u32"), \
        cmpk<f<i32>>("s_cmpk_" name "_i32"), cmpk<f<u32>>("s_cmpk_" name "_u32")
#define SAVEEXEC(name, f) of("s_" name "_saveexec_b64", saveexec<f>, "qq")

const Row rows[] = {
    op<move<u32>, keep>("s_mov_b32"),
    op<move<u64>, keep>("s_mov_b64"),
    op<cmov<u32>, keep>("s_cmov_b32", reads_dst),
    op<cmov<u64>, keep>("s_cmov_b64", reads_dst),
    op<invert<u32>, nonzero>("s_not_b32"),
    op<invert<u64>, nonzero>("s_not_b64"),
    BITS("and", and_),
    BITS("or", or_),
    BITS("xor", xor_),
    BITS("andn2", andn2),
    BITS("orn2", orn2),
    BITS("nand", nand),
    BITS("nor", nor),
    BITS("xnor", xnor),
    op<select<u32>, keep>("s_cselect_b32"),
    op<select<u64>, keep>("s_cselect_b64"),
    op<add_u, sets>("s_add_u32"),
    op<sub_u, sets>("s_sub_u32"),
    op<addc, sets>("s_addc_u32"),
    op<subb, sets>("s_subb_u32"),
    op<add_i, sets>("s_add_i32"),
    op<sub_i, sets>("s_sub_i32"),
    op<absdiff, nonzero>("s_absdiff_i32"),
    op<abs_, nonzero>("s_abs_i32"),
    op<min_<u32>, sets>("s_min_u32"),
    op<max_<u32>, sets>("s_max_u32"),
    op<min_<i32>, sets>("s_min_i32"),
    op<max_<i32>, sets>("s_max_i32"),
    op<mul, keep>("s_mul_i32"),
    op<mul_hi, keep>("s_mul_hi_u32"),
    op<mul_hi_i, keep>("s_mul_hi_i32"),
    op<shl<u32>, nonzero>("s_lshl_b32"),
    op<shl<u64>, nonzero>("s_lshl_b64"),
    op<shr<u32>, nonzero>("s_lshr_b32"),
    op<shr<u64>, nonzero>("s_lshr_b64"),
    op<shr<i32>, nonzero>("s_ashr_i32"),
    op<shr<i64>, nonzero>("s_ashr_i64"),
    op<shl_add<1>, sets>("s_lshl1_add_u32"),
    op<shl_add<2>, sets>("s_lshl2_add_u32"),
    op<shl_add<3>, sets>("s_lshl3_add_u32"),
    op<shl_add<4>, sets>("s_lshl4_add_u32"),
    op<bfm<u32>, keep>("s_bfm_b32"),
    op<bfm<u64>, keep>("s_bfm_b64"),
    op<bfe<u32>, nonzero>("s_bfe_u32"),
    op<bfe<i32>, nonzero>("s_bfe_i32"),
    op<bfe<u64>, nonzero>("s_bfe_u64"),
    op<bfe<i64>, nonzero>("s_bfe_i64"),
    op<pack_ll, keep>("s_pack_ll_b32_b16"),
    op<pack_lh, keep>("s_pack_lh_b32_b16"),
    op<pack_hh, keep>("s_pack_hh_b32_b16"),
    op<brev, keep>("s_brev_b32"),
    op<brev64, keep>("s_brev_b64"),
    op<bcnt1<u32>, nonzero>("s_bcnt1_i32_b32"),
    op<bcnt1<u64>, nonzero>("s_bcnt1_i32_b64"),
    op<bcnt0<u32>, nonzero>("s_bcnt0_i32_b32"),
    op<bcnt0<u64>, nonzero>("s_bcnt0_i32_b64"),
    op<ff1<u32>, keep>("s_ff1_i32_b32"),
    op<ff1<u64>, keep>("s_ff1_i32_b64"),
    op<ff0<u32>, keep>("s_ff0_i32_b32"),
    op<ff0<u64>, keep>("s_ff0_i32_b64"),
    op<flbit<u32>, keep>("s_flbit_i32_b32"),
    op<flbit<u64>, keep>("s_flbit_i32_b64"),
    op<flbit_i, keep>("s_flbit_i32"),
    op<sext8, keep>("s_sext_i32_i8"),
    op<sext16, keep>("s_sext_i32_i16"),
    op<bitset<u32, true>, keep>("s_bitset1_b32", reads_dst),
    op<bitset<u32, false>, keep>("s_bitset0_b32", reads_dst),
    op<bitset<u64, true>, keep>("s_bitset1_b64", reads_dst),
    op<bitset<u64, false>, keep>("s_bitset0_b64", reads_dst),
    op<movk, keep>("s_movk_i32"),
    op<cmovk, keep>("s_cmovk_i32", reads_dst),
    op<addk, sets>("s_addk_i32", reads_dst),
    op<mulk, keep>("s_mulk_i32", reads_dst),
    COMPARE("eq", eq),
    COMPARE("lg", lg),
    COMPARE("lt", lt),
    COMPARE("le", le),
    COMPARE("gt", gt),
    COMPARE("ge", ge),
    cmp<eq<u64>>("s_cmp_eq_u64"),
    cmp<lg<u64>>("s_cmp_lg_u64"),
    of("s_bitcmp0_b32", bitcmp<u32, false>, "-uu", no_dst),
    of("s_bitcmp1_b32", bitcmp<u32, true>, "-uu", no_dst),
    of("s_bitcmp0_b64", bitcmp<u64, false>, "-qu", no_dst),
    of("s_bitcmp1_b64", bitcmp<u64, true>, "-qu", no_dst),
    SAVEEXEC("and", and_<u64>),
    SAVEEXEC("or", or_<u64>),
    SAVEEXEC("xor", xor_<u64>),
    SAVEEXEC("andn2", andn2<u64>),
    SAVEEXEC("orn2", orn2<u64>),
    SAVEEXEC("nand", nand<u64>),
    SAVEEXEC("nor", nor<u64>),
    SAVEEXEC("xnor", xnor<u64>),
    SAVEEXEC("andn1", n1_and),
    SAVEEXEC("orn1", n1_or),
    of("s_andn1_wrexec_b64", wrexec<n1_and>, "qq"),
    of("s_andn2_wrexec_b64", wrexec<andn2<u64>>, "qq"),
    of("s_getpc_b64", getpc, "q"),
    of("s_setpc_b64", setpc, "-q", no_dst),
    of("s_swappc_b64", swappc, "qq"),
    of("s_getreg_b32", getreg, "uu"),
    of("s_setreg_b32", setreg, "-uu", no_dst),
    of("s_setreg_imm32_b32", setreg, "-uu", no_dst),
};

} // namespace

Rows scalar_rows() { return {std::begin(rows), std::end(rows)}; }

} // namespace cdna
