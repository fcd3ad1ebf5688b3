/* opcode_case.h -- a case of the opcode tests: an instruction, and its result as a formula. */
#ifndef CDNA_TESTS_OPCODE_CASE_H
#define CDNA_TESTS_OPCODE_CASE_H

#include "snippet.h"

#include <cmath>
#include <functional>

using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using i8 = int8_t;
using i16 = int16_t;
using i32 = int32_t;
using i64 = int64_t;

template <class To, class From> To bits(From x)
{
    static_assert(sizeof(To) == sizeof(From), "same size");
    To y;
    memcpy(&y, &x, sizeof y);
    return y;
}

/* What the registers hold (see fill): v8..10 integers, v11..13 floats with all the odd ones, v14 a
 * small number, v15..17 pairs of f16, v18, v20 64-bit integers, v22, v24, v26 doubles, v28 floats
 * above 0, v29 floats in -20..20, v30 pairs of bf16, v31 floats that are whole numbers. */
struct Registers {
    const snippet::Frame &f;
    u32 u(int v, int l) const { return f.in[v - 8][l]; }
    i32 i(int v, int l) const { return i32(u(v, l)); }
    float x(int v, int l) const { return bits<float>(u(v, l)); }
    u64 q(int v, int l) const { return u(v, l) | u64(u(v + 1, l)) << 32; }
    double d(int v, int l) const { return bits<double>(q(v, l)); }
    u32 s(int r) const { return f.s[r - 16]; }
    u64 sq(int r) const { return s(r) | u64(s(r + 1)) << 32; }
    bool scc() const { return s(25) & 1; }
};

/* Number formats, by their definition. */
inline double f16(u32 bits)
{
    int e = int(bits >> 10 & 31), m = int(bits & 1023);
    double a = e == 31 ? (m ? NAN : INFINITY)
               : e     ? std::ldexp(1024 + m, e - 25)
                       : std::ldexp(m, -24);
    return bits >> 15 & 1 ? -a : a;
}
inline u32 to_f16(double x)
{
    u32 sign = std::signbit(x) ? 0x8000 : 0;
    double a = std::fabs(x);
    if (x != x) return 0x7e00;
    if (a >= 65520) return sign | 0x7c00;
    int e = a < std::ldexp(1, -14) ? -14 : std::ilogb(a);
    u32 units = u32(std::nearbyint(std::ldexp(a, 10 - e))); /* 1024 and more: normal */
    return sign | (units + (u32(e + 14) << 10));
}
inline double bf16(u32 x) { return double(bits<float>(x << 16)); }
inline u32 to_bf16(float x)
{
    if (x != x) return 0x7fc0;
    double a = std::fabs(double(x));
    int e = a < std::ldexp(1, -126) ? -126 : std::ilogb(a);
    if (std::isinf(x) || (e == 127 && std::nearbyint(std::ldexp(a, 7 - e)) >= 256))
        return (std::signbit(x) ? 0x8000 : 0) | 0x7f80;
    u32 units = u32(std::nearbyint(std::ldexp(a, 7 - e)));
    return (std::signbit(x) ? 0x8000 : 0) | (units + (u32(e + 126) << 7));
}
inline u32 pack(u32 low, u32 high) { return (low & 0xffff) | high << 16; }

struct Case {
    std::string opcode, code, chips; /* chips: "" all */
    std::function<std::string(const snippet::Frame &)> wrong;
    bool scratch = false;
    std::function<void(snippet::Frame &)> prepare = {}; /* before it runs */
};

inline std::string differs(const char *where, int lane, double got, double want)
{
    char text[120];
    snprintf(text, sizeof text, "%s lane %d: %.9g, expected %.9g", where, lane, got, want);
    return text;
}
inline std::string differs_bits(const char *where, int lane, u64 got, u64 want)
{
    char text[120];
    snprintf(text, sizeof text, "%s lane %d: %#llx, expected %#llx", where, lane,
             static_cast<unsigned long long>(got), static_cast<unsigned long long>(want));
    return text;
}

/* Equal bits, or both NaN. */
inline bool same(u32 a, u32 b) { return a == b; }
inline bool same(u64 a, u64 b) { return a == b; }
inline bool same(float a, float b) { return bits<u32>(a) == bits<u32>(b) || (a != a && b != b); }
inline bool same(double a, double b) { return bits<u64>(a) == bits<u64>(b) || (a != a && b != b); }

inline void take(const snippet::Frame &f, int v, int l, u32 &x) { x = f.out[v - 32][l]; }
inline void take(const snippet::Frame &f, int v, int l, float &x)
{
    x = bits<float>(f.out[v - 32][l]);
}
inline void take(const snippet::Frame &f, int v, int l, u64 &x)
{
    x = f.out[v - 32][l] | u64(f.out[v - 31][l]) << 32;
}
inline void take(const snippet::Frame &f, int v, int l, double &x)
{
    u64 q;
    take(f, v, l, q);
    x = bits<double>(q);
}
inline u64 raw(u32 x) { return x; }
inline u64 raw(u64 x) { return x; }
inline u64 raw(float x) { return bits<u32>(x); }
inline u64 raw(double x) { return bits<u64>(x); }

/* v32 of each lane is formula(registers, lane); its type says how many registers. */
template <class F>
Case lane_case(const char *opcode, const char *code, F formula, const char *chips = "")
{
    return {opcode, code, chips, [formula](const snippet::Frame &f) -> std::string {
                Registers r{f};
                for (int l = 0; l < 64; l++) {
                    auto want = formula(r, l);
                    decltype(want) got;
                    take(f, 32, l, got);
                    if (!same(got, want)) return differs_bits("v32", l, raw(got), raw(want));
                }
                return "";
            }};
}

/* The same within `ulps` of f32 (or f64) last places. */
template <class F> Case near_case(const char *opcode, const char *code, double ulps, F formula)
{
    return {opcode, code, "", [formula, ulps](const snippet::Frame &f) -> std::string {
                Registers r{f};
                for (int l = 0; l < 64; l++) {
                    auto want = formula(r, l);
                    decltype(want) got;
                    take(f, 32, l, got);
                    double unit = std::fabs(double(want)) * (sizeof got == 4 ? 0x1p-23 : 0x1p-52);
                    if (same(got, want) || std::fabs(double(got) - double(want)) <= ulps * unit)
                        continue;
                    return differs("v32", l, double(got), double(want));
                }
                return "";
            }};
}

/* s32 (and s33 for 64 bits) is formula(registers); SCC afterwards is scc(registers). */
template <class F, class G> Case scalar_case(const char *opcode, const char *code, F formula, G scc)
{
    return {opcode, code, "", [formula, scc](const snippet::Frame &f) -> std::string {
                Registers r{f};
                auto want = formula(r);
                decltype(want) got = decltype(want)(f.so[0]);
                if (sizeof got == 8) got = decltype(want)(f.so[0] | u64(f.so[1]) << 32);
                if (got != want) return differs_bits("s32", 0, u64(got), u64(want));
                bool c = scc(r, want);
                return f.so[15] == u32(c) ? "" : differs_bits("scc", 0, f.so[15], c);
            }};
}

/* SCC alone. */
template <class G> Case scc_case(const char *opcode, const char *code, G scc)
{
    return scalar_case(
        opcode, code, [](const Registers &) { return ~u32(0); },
        [scc](const Registers &r, u32) { return scc(r); });
}

#define LANE(opcode, code, ...)  \
    lane_case(                   \
        opcode, opcode " " code, \
        []([[maybe_unused]] const Registers &r, [[maybe_unused]] int l) { return __VA_ARGS__; })
#define LANE_ON(chips, opcode, code, ...)                                                        \
    lane_case(                                                                                   \
        opcode, opcode " " code,                                                                 \
        []([[maybe_unused]] const Registers &r, [[maybe_unused]] int l) { return __VA_ARGS__; }, \
        chips)
#define NEAR(opcode, code, ulps, ...)  \
    near_case(                         \
        opcode, opcode " " code, ulps, \
        []([[maybe_unused]] const Registers &r, [[maybe_unused]] int l) { return __VA_ARGS__; })

#endif /* CDNA_TESTS_OPCODE_CASE_H */
