/* lds.cpp -- DS instructions, the bounds of LDS, and the search for races in it: a byte touched by
 * two waves, one of them writing, with no barrier between. */
#include "machine.h"

#include <algorithm>

namespace cdna
{

/* --- races ------------------------------------------------------------------------------- */
namespace
{

void note(Wave &w, const Inst &i, Shadow &s, uint32_t address, bool write)
{
    uint16_t me = uint16_t(1u << w.id);
    if (s.epoch != w.group->epoch) s.epoch = w.group->epoch, s.readers = s.writers = 0;
    uint16_t others = uint16_t((write ? s.readers | s.writers : s.writers) & ~me);
    if (others)
        w.machine->report(w, i,
                          "LDS race: byte %u is %s by this wave and %s by wave %d, "
                          "no barrier between",
                          address, write ? "written" : "read",
                          s.writers & others ? "written" : "read", __builtin_ctz(others));
    (write ? s.writers : s.readers) |= me;
}

/* A dword whose bytes differ in history: give each its own entry. */
void split(Group &g, uint32_t word)
{
    Shadow s = g.words[word];
    if (s.mixed && s.epoch == g.epoch) return;
    g.words[word] = {g.epoch, 1, 0, 0};
    s.mixed = 0;
    for (uint32_t b = 4 * word; b < 4 * word + 4; b++) g.bytes[b] = s;
}

} // namespace

bool lds_inside(const Wave &w, const Inst &i, uint32_t address, uint32_t bytes)
{
    size_t size = w.group->lds.size();
    if (address < size && bytes <= size - address) return true;
    w.machine->report(w, i, "LDS access of %u bytes at %u, outside of %zu", bytes, address, size);
    return false;
}

void touch(Wave &w, const Inst &i, uint32_t address, uint32_t bytes, bool write)
{
    Group &g = *w.group;
    for (uint32_t at = address, end = address + bytes; at < end;) {
        uint32_t word = at / 4;
        bool whole = at % 4 == 0 && end - at >= 4, mixed = false;
        if (g.words[word].mixed && g.words[word].epoch == g.epoch)
            mixed = true;
        else
            g.words[word].mixed = 0;
        if (whole && !mixed) {
            note(w, i, g.words[word], at, write);
            at += 4;
            continue;
        }
        split(g, word);
        for (uint32_t stop = std::min(end, 4 * word + 4); at < stop; at++)
            note(w, i, g.bytes[at], at, write);
    }
}

namespace
{

void touch_pending(Wave &w, const Pending &p)
{
    bool write = p.kind != Pending::lds_read;
    for (int l = 0; l < lanes; l++)
        for (int k = 0; k < p.places && (p.mask >> l & 1); k++)
            touch(w, *p.inst, p.at[k][l], p.bytes, write);
}

/* Reading what a load to LDS, not waited for, has yet to write; only its own wave can tell. */
void check_flying(Wave &w, const Inst &i, uint32_t address, uint32_t bytes)
{
    const std::vector<uint8_t> &f = w.group->flying;
    for (uint32_t b = address; b < address + bytes; b += bytes < 4 ? 1 : 4)
        if (f[b] == w.id + 1) {
            w.machine->report(w, i, "LDS byte %u is used before the load to it was waited for", b);
            return;
        }
}

} // namespace

void touch_again(Wave &w, const Pending &p)
{
    if (p.kind != Pending::nothing && p.kind != Pending::load) touch_pending(w, p);
}

/* --- loads to LDS ------------------------------------------------------------------------ */

void lds_landing(Wave &w, const Pending &p)
{
    Group &g = *w.group;
    touch_pending(w, p);
    for (int l = 0; l < lanes; l++) {
        if (!(p.mask >> l & 1)) continue;
        for (int d = 0; d < p.bytes / 4; d++)
            memcpy(g.lds.data() + p.at[0][l] + 4 * d, &p.data[d][l], 4);
        memset(g.flying.data() + p.at[0][l], 0, p.bytes);
    }
}

/* --- DS instructions --------------------------------------------------------------------- */
namespace
{

/* Fills p.at and drops the lanes outside of LDS. */
void addresses(Wave &w, const Inst &i, Pending &p, const Operand &from, int bytes, int stride)
{
    const uint32_t *base = w.v[from.reg];
    int offsets[2] = {i.offset * (p.places == 2 ? stride : 1), i.offset1 * stride};
    for (int l = 0; l < lanes; l++)
        for (int k = 0; k < p.places && (p.mask >> l & 1); k++) {
            uint32_t at = base[l] + uint32_t(offsets[k]);
            p.at[k][l] = at;
            if (!lds_inside(w, i, at, uint32_t(bytes))) p.mask &= ~(uint64_t(1) << l);
        }
    p.bytes = uint8_t(bytes);
}

void check_access(Wave &w, const Inst &i, const Pending &p)
{
    bool write = p.kind != Pending::lds_read, loads = w.vm.count != 0;
    for (int l = 0; l < lanes; l++)
        for (int k = 0; k < p.places && (p.mask >> l & 1); k++) {
            touch(w, i, p.at[k][l], p.bytes, write);
            if (loads) check_flying(w, i, p.at[k][l], p.bytes);
        }
}

/* row: a bytes of an element, b 1: sign, 2: into the low, 3: into the high half; c stride of read2
 */
void read(Wave &w, const Inst &i)
{
    Pending &p = begin_load(w, i, w.lgkm, Pending::lds_read);
    int bytes = i.row->a;
    p.places = i.row->c ? 2 : 1;
    addresses(w, i, p, i.s[0], bytes, i.row->c);
    check_access(w, i, p);
    const uint8_t *lds = w.group->lds.data();
    int dwords = (bytes + 3) / 4;
    for (int l = 0; l < lanes; l++)
        for (int k = 0; k < p.places && (p.mask >> l & 1); k++)
            for (int d = 0; d < dwords; d++) {
                uint32_t x = 0;
                memcpy(&x, lds + p.at[k][l] + 4 * d, size_t(std::min(4, bytes - 4 * d)));
                if (i.row->b == 1) x = uint32_t(bytes == 1 ? int8_t(x) : int16_t(x));
                p.data[k * dwords + d][l] = x;
            }
    p.half = uint8_t(i.row->b >= 2 ? (i.row->b & 1) + 1 : 0);
    if (i.row->b & 4) /* a signed byte into a half */
        for (int l = 0; l < lanes; l++) p.data[0][l] = uint32_t(int8_t(p.data[0][l]));
    p.dwords = uint8_t(dwords * p.places);
    load_begins(w, p, false);
}

void write(Wave &w, const Inst &i)
{
    Pending &p = begin_load(w, i, w.lgkm, Pending::lds_write);
    int bytes = i.row->a;
    p.places = i.row->c ? 2 : 1;
    addresses(w, i, p, i.s[0], bytes, i.row->c);
    check_access(w, i, p);
    uint8_t *lds = w.group->lds.data();
    for (int k = 0; k < p.places; k++)
        for (int d = 0; d < (bytes + 3) / 4; d++) {
            const uint32_t *from = w.v[i.s[1 + k].reg + d];
            size_t n = size_t(std::min(4, bytes - 4 * d));
            for (int l = 0; l < lanes; l++) {
                uint32_t x = i.row->b == 3 ? from[l] >> 16 : from[l];
                if (p.mask >> l & 1) memcpy(lds + p.at[k][l] + 4 * d, &x, n);
            }
        }
}

/* Atomics, lane after lane. Result wanted: the value before. */
using Update = uint32_t (*)(uint32_t memory, uint32_t data);
template <Update F, bool returns> void update(Wave &w, const Inst &i)
{
    Pending &p = begin_load(w, i, w.lgkm, Pending::lds_both);
    addresses(w, i, p, i.s[0], 4, 0);
    check_access(w, i, p);
    for (int l = 0; l < lanes; l++) {
        if (!(p.mask >> l & 1)) continue;
        uint32_t x;
        uint8_t *at = w.group->lds.data() + p.at[0][l];
        memcpy(&x, at, 4);
        p.data[0][l] = x;
        x = F(x, w.v[i.s[1].reg][l]);
        memcpy(at, &x, 4);
    }
    if (!returns) return;
    p.dwords = 1;
    load_begins(w, p, false);
}
uint32_t add(uint32_t a, uint32_t b) { return a + b; }
uint32_t sub(uint32_t a, uint32_t b) { return a - b; }
uint32_t and_(uint32_t a, uint32_t b) { return a & b; }
uint32_t or_(uint32_t a, uint32_t b) { return a | b; }
uint32_t max_u(uint32_t a, uint32_t b) { return std::max(a, b); }
uint32_t min_u(uint32_t a, uint32_t b) { return std::min(a, b); }
uint32_t max_i(uint32_t a, uint32_t b) { return uint32_t(std::max(int32_t(a), int32_t(b))); }
uint32_t min_i(uint32_t a, uint32_t b) { return uint32_t(std::min(int32_t(a), int32_t(b))); }
uint32_t add_f(uint32_t a, uint32_t b) { return cast<uint32_t>(cast<float>(a) + cast<float>(b)); }
uint32_t exchange(uint32_t, uint32_t b) { return b; }

/* --- exchanges between lanes: no memory, but the time of an LDS access */
Pending &exchange_of(Wave &w, const Inst &i)
{
    Pending &p = begin_load(w, i, w.lgkm, Pending::nothing);
    p.kind = Pending::load;
    p.dwords = 1;
    return p;
}
void bpermute(Wave &w, const Inst &i)
{
    Pending &p = exchange_of(w, i);
    for (int l = 0; l < lanes; l++) {
        uint32_t from = (w.v[i.s[0].reg][l] + uint32_t(i.offset)) / 4 % lanes;
        p.data[0][l] = w.active() >> from & 1 ? w.v[i.s[1].reg][from] : 0;
    }
    load_begins(w, p, false);
}
void permute(Wave &w, const Inst &i)
{
    Pending &p = exchange_of(w, i);
    memset(p.data[0], 0, sizeof p.data[0]);
    for (int l = 0; l < lanes; l++)
        if (w.active() >> l & 1)
            p.data[0][(w.v[i.s[0].reg][l] + uint32_t(i.offset)) / 4 % lanes] = w.v[i.s[1].reg][l];
    load_begins(w, p, false);
}
int swizzle_source(uint32_t pattern, int l)
{
    if (pattern & 0x8000) return (l & ~3) + int(pattern >> 2 * (l & 3) & 3);
    int and_mask = pattern & 31, or_mask = pattern >> 5 & 31, xor_mask = pattern >> 10 & 31;
    return (l & 32) + (((l & 31 & and_mask) | or_mask) ^ xor_mask);
}
void swizzle(Wave &w, const Inst &i)
{
    if (i.imm >= 0xc000) w.machine->report(w, i, "this swizzle is not emulated");
    Pending &p = exchange_of(w, i);
    for (int l = 0; l < lanes; l++) {
        int from = swizzle_source(i.imm, l);
        p.data[0][l] = w.active() >> from & 1 ? w.v[i.s[0].reg][from] : 0;
    }
    load_begins(w, p, false);
}

/* Transposed reads, within each 16 lanes: lane s supplies the address of a row piece, lane i gets
 * column i. bits of an element; the 16 pieces of 64 (6 bits: 96) bits are a tile of 16 columns. */
template <int bits> void read_transposed(Wave &w, const Inst &i)
{
    constexpr int dwords = bits == 6 ? 3 : 2, per_lane = dwords * 32 / bits;
    Pending &p = begin_load(w, i, w.lgkm, Pending::lds_read);
    addresses(w, i, p, i.s[0], 4 * dwords, 0);
    if (p.mask != all_lanes || w.active() != all_lanes) {
        w.machine->report(w, i, "a transposed read needs all lanes");
        return;
    }
    check_access(w, i, p);
    uint64_t piece[lanes][2] = {};
    for (int l = 0; l < lanes; l++) {
        if (p.at[0][l] % 8 && bits != 6)
            w.machine->report(w, i, "LDS address %u is not a multiple of 8", p.at[0][l]);
        memcpy(piece[l], w.group->lds.data() + p.at[0][l], 4 * dwords);
    }
    auto element = [&](int lane, int e) {
        int at = e * bits;
        uint64_t x = piece[lane][at / 64] >> at % 64;
        if (at % 64 + bits > 64) x |= piece[lane][1] << (64 - at % 64);
        return uint32_t(x) & ((1u << bits) - 1);
    };
    constexpr int pieces = 16 / per_lane > 0 ? 16 / per_lane : 1; /* of a row */
    for (int l = 0; l < lanes; l++) {
        uint32_t out[4] = {0, 0, 0, 0};
        int group = l & ~15, column = l & 15;
        for (int e = 0; e < per_lane; e++) { /* row e of the tile */
            uint64_t x = element(group + e * pieces + column / per_lane, column % per_lane);
            int at = e * bits;
            out[at / 32] |= uint32_t(x << at % 32);
            if (at % 32 + bits > 32) out[at / 32 + 1] |= uint32_t(x >> (32 - at % 32));
        }
        for (int d = 0; d < dwords; d++) p.data[d][l] = out[d];
    }
    p.dwords = dwords;
    load_begins(w, p, false);
}

constexpr Row of(const char *name, Run run, uint32_t flags, int bytes = 0, int form = 0,
                 int two = 0)
{
    return {name, run, "u", Unit::lds, flags, bytes, form, two};
}
#define ATOMIC(verb, type, f)                          \
    of("ds_" verb "_" type, update<f, false>, no_dst), \
        of("ds_" verb "_rtn_" type, update<f, true>, 0)
const Row rows[] = {
    of("ds_read_u8", read, 0, 1),
    of("ds_read_i8", read, 0, 1, 1),
    of("ds_read_u16", read, 0, 2),
    of("ds_read_i16", read, 0, 2, 1),
    of("ds_read_u16_d16", read, 0, 2, 2),
    of("ds_read_u16_d16_hi", read, 0, 2, 3),
    of("ds_read_u8_d16", read, 0, 1, 2),
    of("ds_read_u8_d16_hi", read, 0, 1, 3),
    of("ds_read_i8_d16", read, 0, 1, 6),
    of("ds_read_i8_d16_hi", read, 0, 1, 7),
    of("ds_read_b32", read, 0, 4),
    of("ds_read_b64", read, 0, 8),
    of("ds_read_b96", read, 0, 12),
    of("ds_read_b128", read, 0, 16),
    of("ds_read2_b32", read, 0, 4, 0, 4),
    of("ds_read2st64_b32", read, 0, 4, 0, 256),
    of("ds_read2_b64", read, 0, 8, 0, 8),
    of("ds_read2st64_b64", read, 0, 8, 0, 512),
    of("ds_write_b8", write, no_dst, 1),
    of("ds_write_b8_d16_hi", write, no_dst, 1, 3),
    of("ds_write_b16", write, no_dst, 2),
    of("ds_write_b16_d16_hi", write, no_dst, 2, 3),
    of("ds_write_b32", write, no_dst, 4),
    of("ds_write_b64", write, no_dst, 8),
    of("ds_write_b96", write, no_dst, 12),
    of("ds_write_b128", write, no_dst, 16),
    of("ds_write2_b32", write, no_dst, 4, 0, 4),
    of("ds_write2st64_b32", write, no_dst, 4, 0, 256),
    of("ds_write2_b64", write, no_dst, 8, 0, 8),
    of("ds_write2st64_b64", write, no_dst, 8, 0, 512),
    of("ds_bpermute_b32", bpermute, 0),
    of("ds_permute_b32", permute, 0),
    of("ds_swizzle_b32", swizzle, 0),
    of("ds_read_b64_tr_b16", read_transposed<16>, 0),
    of("ds_read_b64_tr_b8", read_transposed<8>, 0),
    of("ds_read_b64_tr_b4", read_transposed<4>, 0),
    of("ds_read_b96_tr_b6", read_transposed<6>, 0),
    ATOMIC("add", "u32", add),
    ATOMIC("sub", "u32", sub),
    ATOMIC("and", "b32", and_),
    ATOMIC("or", "b32", or_),
    ATOMIC("max", "u32", max_u),
    ATOMIC("min", "u32", min_u),
    ATOMIC("max", "i32", max_i),
    ATOMIC("min", "i32", min_i),
    ATOMIC("add", "f32", add_f),
    of("ds_wrxchg_rtn_b32", update<exchange, true>, 0),
};

} // namespace

Rows lds_rows() { return {std::begin(rows), std::end(rows)}; }

} // namespace cdna
