/* lanes.h -- one loop over the lanes for every VALU instruction: Each<F> takes the operand types of
 * a plain function F and applies it to the active lanes, with all modifiers of the encoding. */
#ifndef CDNA_LANES_H
#define CDNA_LANES_H

#include "machine.h"

#include <utility>

namespace cdna
{

struct Half {
    uint16_t bits;
};
struct Float2 {
    float x, y;
};

/* How a type sits in the registers of a lane. sign: the bit that negation flips, per dword. */
template <class T> struct Lane {
    static_assert(sizeof(T) == 4, "a dword");
    static constexpr int dwords = 1;
    static constexpr bool real = std::is_same<T, float>::value, half = false;
    static constexpr char code = real ? 'f' : 'u';
    static constexpr uint32_t sign(int) { return real ? 0x80000000u : 0; }
    static T get(const uint32_t *lo, const uint32_t *, int l) { return cast<T>(lo[l]); }
    static void put(uint32_t (*out)[lanes], int l, T x) { out[0][l] = cast<uint32_t>(x); }
};

template <class T> struct Lane16 {
    static constexpr int dwords = 1;
    static constexpr bool real = std::is_same<T, Half>::value, half = true;
    static constexpr char code = real ? 'h' : 'w';
    static constexpr uint32_t sign(int) { return real ? 0x8000u : 0; }
    static T get(const uint32_t *lo, const uint32_t *, int l) { return cast<T>(uint16_t(lo[l])); }
    static void put(uint32_t (*out)[lanes], int l, T x) { out[0][l] = cast<uint16_t>(x); }
};
template <> struct Lane<Half> : Lane16<Half> {
};
template <> struct Lane<uint16_t> : Lane16<uint16_t> {
};
template <> struct Lane<int16_t> : Lane16<int16_t> {
};

template <class T> struct Lane64 {
    static constexpr int dwords = 2;
    static constexpr bool real = std::is_same<T, double>::value, half = false;
    static constexpr char code = real ? 'd' : 'q';
    static constexpr uint32_t sign(int dword) { return real && dword ? 0x80000000u : 0; }
    static T get(const uint32_t *lo, const uint32_t *hi, int l)
    {
        return cast<T>(lo[l] | uint64_t(hi[l]) << 32);
    }
    static void put(uint32_t (*out)[lanes], int l, T x)
    {
        out[0][l] = uint32_t(cast<uint64_t>(x)), out[1][l] = uint32_t(cast<uint64_t>(x) >> 32);
    }
};
template <> struct Lane<double> : Lane64<double> {
};
template <> struct Lane<uint64_t> : Lane64<uint64_t> {
};
template <> struct Lane<int64_t> : Lane64<int64_t> {
};

/* Values of source k, dword by dword; `space` is used where the register itself is not the answer.
 */
const uint32_t *lane_source(Wave &, const Inst &, int k, int dword, uint32_t sign, bool half,
                            uint32_t *space);

/* The lanes that a DPP control leaves enabled, out of EXEC. */
uint64_t lane_mask(const Wave &, const Inst &);

/* Clamp, output modifier, SDWA and op_sel of the result, then the write under `mask`. */
void finish_float(const Inst &, uint32_t *out);
void finish_half(Wave &, const Inst &, uint32_t *out);
void finish_double(const Inst &, uint32_t (*out)[lanes]);
void finish_select(Wave &, const Inst &, uint32_t *out);

template <class T> void write_result(Wave &w, const Inst &i, uint32_t (*out)[lanes])
{
    if (std::is_same<T, float>::value && (i.clamp || i.omod)) finish_float(i, out[0]);
    if (std::is_same<T, double>::value && (i.clamp || i.omod)) finish_double(i, out);
    if (Lane<T>::half) finish_half(w, i, out[0]);
    if (i.sdwa) finish_select(w, i, out[0]);
    uint64_t mask = lane_mask(w, i);
    for (int d = 0; d < Lane<T>::dwords; d++) write_lanes(w, i.d.reg + d, out[d], mask);
}

template <auto F> struct Each;
template <class R, class... A, R (*F)(A...)> struct Each<F> {
    static constexpr char types[] = {Lane<R>::code, Lane<A>::code..., 0};
    static void run(Wave &w, const Inst &i) { go(w, i, std::index_sequence_for<A...>()); }

  private:
    template <size_t... k> static void go(Wave &w, const Inst &i, std::index_sequence<k...>)
    {
        constexpr size_t n = sizeof...(A);
        alignas(64) uint32_t space[n][2][lanes], out[2][lanes];
        const uint32_t *lo[n] = {
            lane_source(w, i, k, 0, Lane<A>::sign(0), Lane<A>::half, space[k][0])...};
        const uint32_t *hi[n] = {Lane<A>::dwords == 2 ? lane_source(w, i, k, 1, Lane<A>::sign(1),
                                                                    Lane<A>::half, space[k][1])
                                                      : lo[k]...};
        for (int l = 0; l < lanes; l++) Lane<R>::put(out, l, F(Lane<A>::get(lo[k], hi[k], l)...));
        write_result<R>(w, i, out);
    }
};

template <auto F> constexpr Row row(const char *name, uint32_t flags = 0)
{
    return {name, Each<F>::run, Each<F>::types, Unit::vector, flags, 0, 0, 0};
}

/* A comparison: a bit per lane, to scalars. */
template <auto F> struct Compare;
template <class A, class B, bool (*F)(A, B)> struct Compare<F> {
    static constexpr char types[] = {'m', Lane<A>::code, Lane<B>::code, 0};
    template <bool to_exec> static void run(Wave &w, const Inst &i)
    {
        alignas(64) uint32_t space[4][lanes];
        const uint32_t *a = lane_source(w, i, 0, 0, Lane<A>::sign(0), Lane<A>::half, space[0]);
        const uint32_t *b = lane_source(w, i, 1, 0, Lane<B>::sign(0), Lane<B>::half, space[1]);
        const uint32_t *ah = a, *bh = b;
        if (Lane<A>::dwords == 2) ah = lane_source(w, i, 0, 1, Lane<A>::sign(1), false, space[2]);
        if (Lane<B>::dwords == 2) bh = lane_source(w, i, 1, 1, Lane<B>::sign(1), false, space[3]);
        alignas(64) uint8_t yes[lanes];
        for (int l = 0; l < lanes; l++) yes[l] = F(Lane<A>::get(a, ah, l), Lane<B>::get(b, bh, l));
        uint64_t bits = 0;
        for (int l = 0; l < lanes; l++) bits |= uint64_t(yes[l]) << l;
        bits &= lane_mask(w, i);
        w.set_pair(i.d.reg, bits);
        if (to_exec) w.set_pair(exec, bits);
    }
};

template <auto F> constexpr Row compare(const char *name)
{
    return {name, Compare<F>::template run<false>, Compare<F>::types, Unit::vector, 0, 0, 0, 0};
}
template <auto F> constexpr Row compare_exec(const char *name)
{
    return {name, Compare<F>::template run<true>, Compare<F>::types, Unit::vector, 0, 0, 0, 0};
}

} // namespace cdna

#endif /* CDNA_LANES_H */
