/* operands.cpp -- reads the sources of an instruction and writes its results, with the modifiers of
 * the encoding: negation, DPP, SDWA, op_sel, clamp, and EXEC. */
#include "lanes.h"

#include <algorithm>

namespace cdna
{
namespace
{

void make_blend(Wave &w, uint64_t mask)
{
    if (w.blend_of == mask) return;
    for (int l = 0; l < lanes; l++) w.blend[l] = mask >> l & 1 ? ~0u : 0;
    w.blend_of = mask;
}

uint32_t pick(uint32_t x, const Operand &o)
{
    if (o.select < 4) {
        uint32_t b = x >> 8 * o.select & 0xff;
        return o.extend ? uint32_t(int32_t(int8_t(b))) : b;
    }
    if (o.select < 6) {
        uint32_t h = x >> 16 * (o.select - 4) & 0xffff;
        return o.extend ? uint32_t(int32_t(int16_t(h))) : h;
    }
    return x;
}

} // namespace

uint32_t read32(const Wave &w, const Operand &o)
{
    switch (o.kind) {
    case Operand::scalar: return w.s[o.reg];
    case Operand::constant: return uint32_t(o.value);
    case Operand::scc: return w.scc;
    case Operand::execz: return !w.active();
    case Operand::vccz: return !w.pair(vcc);
    default: return 0;
    }
}

uint64_t read64(const Wave &w, const Operand &o)
{
    if (o.kind == Operand::scalar) return w.pair(o.reg);
    return o.kind == Operand::constant ? o.value : read32(w, o);
}

const uint32_t *lane_source(Wave &w, const Inst &i, int k, int dword, uint32_t sign, bool half,
                            uint32_t *space)
{
    const Operand &o = i.s[k];
    const uint32_t *p = w.v[o.reg + dword];
    if (o.kind != Operand::vector) {
        uint32_t x = uint32_t(o.dwords == 1 && dword && o.kind == Operand::scalar
                                  ? 0
                                  : (dword ? read64(w, o) >> 32 : read32(w, o)));
        for (int l = 0; l < lanes; l++) space[l] = x;
        p = space;
    }
    bool moved = k == 0 && i.dpp, high = half && !i.sdwa && (i.op_sel >> k & 1);
    if (!moved && !high && o.select == 6 && !(sign && (o.negate || o.absolute))) return p;
    alignas(64) uint32_t from[lanes];
    for (int l = 0; l < lanes; l++) {
        int at = moved ? i.dpp->from[l] : l;
        from[l] = at < 0 || (moved && !(w.active() >> at & 1)) ? 0 : p[at];
    }
    for (int l = 0; l < lanes; l++) {
        uint32_t x = high ? from[l] >> 16 : pick(from[l], o);
        if (o.absolute) x &= ~sign;
        if (o.negate) x ^= sign;
        space[l] = x;
    }
    return space;
}

uint64_t lane_mask(const Wave &w, const Inst &i)
{
    uint64_t mask = w.active();
    if (!i.dpp) return mask;
    const Dpp &d = *i.dpp;
    for (int l = 0; l < lanes; l++) {
        bool source = d.from[l] >= 0 && (w.active() >> d.from[l] & 1);
        bool on = (d.rows >> l / 16 & 1) && (d.banks >> l % 16 / 4 & 1);
        if (!on || (!source && !d.bound_zero)) mask &= ~(uint64_t(1) << l);
    }
    return mask;
}

void write_lanes(Wave &w, int reg, const uint32_t *values, uint64_t mask)
{
    uint32_t *to = w.v[reg];
    if (mask == all_lanes) {
        memcpy(to, values, sizeof w.v[0]);
        return;
    }
    make_blend(w, mask);
    for (int l = 0; l < lanes; l++) to[l] = (values[l] & w.blend[l]) | (to[l] & ~w.blend[l]);
}

void finish_float(const Inst &i, uint32_t *out)
{
    static const float times[] = {1.0f, 2.0f, 4.0f, 0.5f};
    for (int l = 0; l < lanes; l++) {
        float x = cast<float>(out[l]);
        if (i.omod) x *= times[i.omod];
        if (i.clamp) x = x > 0.0f ? std::min(x, 1.0f) : 0.0f; /* NaN becomes 0 */
        out[l] = cast<uint32_t>(x);
    }
}

void finish_double(const Inst &i, uint32_t (*out)[lanes])
{
    static const double times[] = {1.0, 2.0, 4.0, 0.5};
    for (int l = 0; l < lanes; l++) {
        double x = Lane<double>::get(out[0], out[1], l);
        if (i.omod) x *= times[i.omod];
        if (i.clamp) x = x > 0.0 ? std::min(x, 1.0) : 0.0;
        Lane<double>::put(out, l, x);
    }
}

void finish_half(Wave &w, const Inst &i, uint32_t *out)
{
    static const float times[] = {1.0f, 2.0f, 4.0f, 0.5f};
    bool high = !i.sdwa && (i.op_sel >> i.sources & 1), keep = i.row->flags & keeps_high;
    for (int l = 0; l < lanes; l++) {
        uint32_t x = out[l];
        if (i.clamp || i.omod) {
            float f = half_to_float(uint16_t(x)) * times[i.omod];
            if (i.clamp) f = f > 0.0f ? std::min(f, 1.0f) : 0.0f;
            x = float_to_half(f);
        }
        uint32_t old = w.v[i.d.reg][l];
        out[l] = high ? (old & 0xffff) | x << 16 : keep && !i.sdwa ? (old & ~0xffffu) | x : x;
    }
}

void finish_select(Wave &w, const Inst &i, uint32_t *out)
{
    if (i.dst_select == 6) return;
    bool word = i.dst_select >= 4;
    int bits = word ? 16 : 8, shift = bits * (word ? i.dst_select - 4 : i.dst_select);
    uint32_t field = word ? 0xffff : 0xff;
    for (int l = 0; l < lanes; l++) {
        uint32_t x = out[l] & field, above = 0;
        if (i.dst_unused == 1 && (x >> (bits - 1) & 1) && shift + bits < 32)
            above = ~0u << (shift + bits);
        out[l] = x << shift | above;
        if (i.dst_unused == 2) out[l] |= w.v[i.d.reg][l] & ~(field << shift);
    }
}

} // namespace cdna
