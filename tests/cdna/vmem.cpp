/* vmem.cpp -- memory instructions: global, flat, buffer and scratch loads and stores, loads to LDS,
 * atomics, scalar loads. Data is read when the load is issued and lands when a wait retires it. */
#include "machine.h"

#include <algorithm>

namespace cdna
{
namespace
{

using u32 = uint32_t;
using u64 = uint64_t;

/* row: a bytes of a lane, b form as in lds.cpp, c the kind of address */
enum Form { plain, is_signed, low, high, signed_low = 6, signed_high = 7 };
enum Space { global, flat_space, buffer, scratch };

/* Where the lanes access memory; a lane without a place is not in mask. */
struct Places {
    u64 mask;
    u64 at[lanes];
    u64 limit[lanes]; /* buffer: bytes from here to the end of the range */
    bool limited;
};

bool inside_allocation(Wave &w, const Inst &i, u64 at, u32 bytes, bool write, char **p)
{
    *p = w.machine->at(at, bytes, write);
    if (*p && w.machine->memory->watch) w.machine->memory->touch(at, bytes, write);
    if (*p) return true;
    w.machine->report(w, i, "%s of %u bytes at %#llx, outside of every allocation",
                      write ? "write" : "read", bytes, static_cast<unsigned long long>(at));
    return false;
}

/* vaddr, saddr: 64 + 0, or 32 + scalar base */
void global_places(Wave &w, const Inst &i, const Operand &v, const Operand &s, Places &p)
{
    u64 base = (s.kind == Operand::off ? 0 : read64(w, s)) + u64(int64_t(i.offset));
    const u32 *lo = w.v[v.reg], *hi = w.v[v.reg + 1];
    for (int l = 0; l < lanes; l++) p.at[l] = base + lo[l] + (v.dwords == 2 ? u64(hi[l]) << 32 : 0);
}

void scratch_places(Wave &w, const Inst &i, const Operand &v, const Operand &s, Places &p)
{
    u32 base = (s.kind == Operand::off ? 0 : read32(w, s)) + u32(i.offset);
    u32 size = w.machine->kernel->scratch_bytes;
    for (int l = 0; l < lanes; l++) {
        u32 at = base + (v.kind == Operand::vector ? w.v[v.reg][l] : 0);
        p.at[l] = u32(l) * size + at;
        if (at < size && u32(i.row->a) <= size - at) continue;
        if (p.mask >> l & 1) w.machine->report(w, i, "scratch access at %u of %u", at, size);
        p.mask &= ~(u64(1) << l);
    }
}

/* Out of range: no place. Raw buffers are checked dword by dword by the caller. */
void buffer_places(Wave &w, const Inst &i, const Operand &v, const Operand &r, const Operand &s,
                   Places &p)
{
    u32 d[4];
    memcpy(d, w.s + r.reg, sizeof d);
    u64 base = d[0] | u64(d[1] & 0xffff) << 32;
    u32 stride = d[1] >> 16 & 0x3fff, records = d[2], soffset = read32(w, s);
    if (d[1] >> 31 || (d[3] >> 23 & 1))
        w.machine->report(w, i, "swizzled buffers are not emulated");
    for (int l = 0; l < lanes; l++) {
        u32 index = i.idxen ? w.v[v.reg][l] : 0;
        u32 offset = (i.offen ? w.v[v.reg + i.idxen][l] : 0) + u32(i.offset);
        bool structured = stride && i.idxen;
        u64 in = u64(index) * stride + offset;
        p.at[l] = base + soffset + in;
        u64 end = structured ? stride : records > soffset ? records - soffset : 0;
        u64 from = structured ? offset : in;
        if (structured && index >= records) end = 0;
        p.limit[l] = end > from ? end - from : 0;
    }
    p.limited = true;
}

/* The first of the operands that are addresses; data of a store stands before or between them. */
Places places(Wave &w, const Inst &i, bool has_data)
{
    Places p;
    p.mask = w.active(), p.limited = false;
    switch (i.row->c) {
    case buffer: buffer_places(w, i, i.s[has_data], i.s[has_data + 1], i.s[has_data + 2], p); break;
    case scratch: scratch_places(w, i, i.s[0], i.s[1 + has_data], p); break;
    case flat_space: {
        Operand none;
        none.kind = Operand::off;
        global_places(w, i, i.s[0], none, p);
        break;
    }
    default: global_places(w, i, i.s[0], i.s[1 + has_data], p);
    }
    return p;
}

/* Reads a lane's bytes; in a buffer, dwords past the range are 0 and the tail of a dword that
 * straddles its end is poison: the hardware may or may not read it. */
void read_lane(Wave &w, const Inst &i, const Places &p, int l, u32 bytes, Pending &to)
{
    u64 limit = p.limited ? p.limit[l] : bytes;
    u32 good = u32(std::min<u64>(bytes, limit)), x[4] = {0, 0, 0, 0};
    if (good < bytes && good % 4) memset(x, 0xff, (good + 3) / 4 * 4);
    char *host = nullptr;
    if (i.row->c == scratch)
        host = reinterpret_cast<char *>(w.scratch.data() + p.at[l]);
    else if (good && !inside_allocation(w, i, p.at[l], good, false, &host))
        memset(x, 0xff, sizeof x);
    if (good && host) memcpy(x, host, good);
    if (i.row->b == is_signed || i.row->b >= signed_low)
        x[0] = u32(bytes == 1 ? int8_t(x[0]) : int16_t(x[0]));
    for (u32 d = 0; d < (bytes + 3) / 4; d++) to.data[d][l] = x[d];
}

void into_lds(Wave &w, const Inst &i, Pending &p)
{
    u32 bytes = u32(std::max(4, i.row->a)), base = (w.s[m0] & 0x3ffff) + u32(i.offset);
    p.kind = Pending::to_lds, p.dwords = 0, p.bytes = uint8_t(bytes);
    for (int l = 0; l < lanes; l++) {
        if (!(p.mask >> l & 1)) continue;
        u32 at = p.at[0][l] = base + u32(l) * bytes;
        if (!lds_inside(w, i, at, bytes)) {
            p.mask &= ~(u64(1) << l);
            continue;
        }
        touch(w, i, at, bytes, true);
        memset(w.group->flying.data() + at, w.id + 1, bytes);
        memset(w.group->lds.data() + at, 0xff, bytes);
    }
}

void count_flat(Wave &w, const Inst &i)
{
    if (i.row->c == flat_space) begin_load(w, i, w.lgkm, Pending::nothing);
}

void load(Wave &w, const Inst &i)
{
    Places at = places(w, i, false);
    Pending &p = begin_load(w, i, w.vm, Pending::load);
    p.mask = at.mask;
    bool lds = i.lds || i.row->flags & no_dst;
    for (int l = 0; l < lanes; l++)
        if (p.mask >> l & 1) read_lane(w, i, at, l, u32(i.row->a), p);
    if (lds) return into_lds(w, i, p);
    p.dwords = uint8_t((i.row->a + 3) / 4);
    p.half = uint8_t(i.row->b >= low ? (i.row->b & 1) + 1 : 0);
    load_begins(w, p, true);
    count_flat(w, i);
}

void store(Wave &w, const Inst &i)
{
    bool first = i.row->c == buffer; /* the data operand leads */
    Places at = places(w, i, true);
    u32 bytes = u32(i.row->a);
    int data = i.s[first ? 0 : 1].reg;
    for (int l = 0; l < lanes; l++) {
        if (!(at.mask >> l & 1)) continue;
        u32 x[4], good = bytes;
        for (u32 d = 0; d < (bytes + 3) / 4; d++) x[d] = w.v[data + int(d)][l];
        if (i.row->b == high) x[0] >>= 16;
        if (at.limited && at.limit[l] < bytes) {
            good = u32(at.limit[l]);
            if (good % 4) w.machine->report(w, i, "a stored dword straddles the end of its buffer");
        }
        char *host = nullptr;
        if (i.row->c == scratch)
            host = reinterpret_cast<char *>(w.scratch.data() + at.at[l]);
        else if (!good || !inside_allocation(w, i, at.at[l], good, true, &host))
            continue;
        memcpy(host, x, good);
    }
    begin_load(w, i, w.vm, Pending::nothing);
    count_flat(w, i);
}

/* --- atomics on memory: 32 bits, lane after lane; with a result operand the old value returns */
using Update = u32 (*)(u32 memory, u32 data);
template <Update F> void update(Wave &w, const Inst &i)
{
    bool returns = i.d.kind != Operand::none;
    Places at = places(w, i, true);
    int data = i.s[i.row->c == buffer ? 0 : 1].reg;
    Pending &p = begin_load(w, i, w.vm, returns ? Pending::load : Pending::nothing);
    for (int l = 0; l < lanes; l++) {
        char *host;
        if (!(at.mask >> l & 1) || (at.limited && at.limit[l] < 4)) continue;
        if (!inside_allocation(w, i, at.at[l], 4, true, &host)) continue;
        u32 x;
        memcpy(&x, host, 4);
        p.data[0][l] = x;
        x = F(x, w.v[data][l]);
        memcpy(host, &x, 4);
    }
    if (returns) p.dwords = 1, load_begins(w, p, true);
}
u32 add(u32 a, u32 b) { return a + b; }
u32 or_(u32 a, u32 b) { return a | b; }
u32 and_(u32 a, u32 b) { return a & b; }
u32 umax_(u32 a, u32 b) { return std::max(a, b); }
u32 umin_(u32 a, u32 b) { return std::min(a, b); }
u32 smax_(u32 a, u32 b) { return u32(std::max(int32_t(a), int32_t(b))); }
u32 smin_(u32 a, u32 b) { return u32(std::min(int32_t(a), int32_t(b))); }
u32 add_f(u32 a, u32 b) { return cast<u32>(cast<float>(a) + cast<float>(b)); }
u32 swap(u32, u32 b) { return b; }

/* --- scalar loads: into scalars, at a wait for all of them */
void scalar_bytes(Wave &w, const Inst &i, u64 at, u32 dwords, u32 good)
{
    ScalarLoad s;
    s.reg = i.d.reg, s.dwords = uint8_t(dwords);
    memset(s.data, 0, sizeof s.data);
    char *host;
    if (good && inside_allocation(w, i, at & ~u64(3), 4 * good, false, &host))
        memcpy(s.data, host, 4 * good);
    for (u32 r = s.reg; r < s.reg + dwords; r++) w.scalar_loads[r / 64] |= u64(1) << r % 64;
    w.sm.push_back(s);
}
u64 scalar_offset(const Wave &w, const Inst &i)
{
    u64 offset = u64(int64_t(i.offset));
    const Operand &o = i.s[1];
    if (o.kind == Operand::constant) return offset + u64(int64_t(int32_t(u32(o.value))));
    return offset + read32(w, o);
}
void scalar_load(Wave &w, const Inst &i)
{
    u32 n = u32(i.row->a);
    scalar_bytes(w, i, w.pair(i.s[0].reg) + scalar_offset(w, i), n, n);
}
void scalar_buffer_load(Wave &w, const Inst &i)
{
    const u32 *d = w.s + i.s[0].reg;
    u64 base = d[0] | u64(d[1] & 0xffff) << 32, stride = d[1] >> 16 & 0x3fff;
    u64 size = stride ? stride * d[2] : d[2], at = scalar_offset(w, i) & ~u64(3);
    u64 good = at < size ? (size - at) / 4 : 0;
    u32 n = u32(i.row->a);
    scalar_bytes(w, i, base + at, n, u32(std::min<u64>(good, n)));
}
void time(Wave &w, const Inst &i)
{
    u64 now = w.issued * 4;
    ScalarLoad s;
    s.reg = i.d.reg, s.dwords = 2;
    memcpy(s.data, &now, sizeof now);
    for (u32 r = s.reg; r < s.reg + 2u; r++) w.scalar_loads[r / 64] |= u64(1) << r % 64;
    w.sm.push_back(s);
}
void nothing(Wave &, const Inst &) {}
void cache(Wave &w, const Inst &i) { begin_load(w, i, w.vm, Pending::nothing); }

constexpr Row of(const char *name, Run run, u32 flags, int bytes, int form, Space space)
{
    return {name, run, "u", Unit::memory, flags, bytes, form, space};
}
#define LOADS(p, s)                                                                             \
    of(p "_load_ubyte", load, 0, 1, plain, s), of(p "_load_sbyte", load, 0, 1, is_signed, s),   \
        of(p "_load_ushort", load, 0, 2, plain, s),                                             \
        of(p "_load_sshort", load, 0, 2, is_signed, s),                                         \
        of(p "_load_ubyte_d16", load, 0, 1, low, s),                                            \
        of(p "_load_ubyte_d16_hi", load, 0, 1, high, s),                                        \
        of(p "_load_sbyte_d16", load, 0, 1, signed_low, s),                                     \
        of(p "_load_sbyte_d16_hi", load, 0, 1, signed_high, s),                                 \
        of(p "_load_short_d16", load, 0, 2, low, s),                                            \
        of(p "_load_short_d16_hi", load, 0, 2, high, s),                                        \
        of(p "_load_dword", load, 0, 4, plain, s), of(p "_load_dwordx2", load, 0, 8, plain, s), \
        of(p "_load_dwordx3", load, 0, 12, plain, s), of(p "_load_dwordx4", load, 0, 16, plain, s)
#define STORES(p, s)                                            \
    of(p "_store_byte", store, no_dst, 1, plain, s),            \
        of(p "_store_short", store, no_dst, 2, plain, s),       \
        of(p "_store_byte_d16_hi", store, no_dst, 1, high, s),  \
        of(p "_store_short_d16_hi", store, no_dst, 2, high, s), \
        of(p "_store_dword", store, no_dst, 4, plain, s),       \
        of(p "_store_dwordx2", store, no_dst, 8, plain, s),     \
        of(p "_store_dwordx3", store, no_dst, 12, plain, s),    \
        of(p "_store_dwordx4", store, no_dst, 16, plain, s)
#define ATOMIC(p, s, name, f) of(p "_atomic_" name, update<f>, may_return, 4, plain, s)
#define ATOMICS(p, s)                                                                          \
    ATOMIC(p, s, "add", add), ATOMIC(p, s, "or", or_), ATOMIC(p, s, "and", and_),              \
        ATOMIC(p, s, "umax", umax_), ATOMIC(p, s, "umin", umin_), ATOMIC(p, s, "smax", smax_), \
        ATOMIC(p, s, "smin", smin_), ATOMIC(p, s, "add_f32", add_f), ATOMIC(p, s, "swap", swap)
constexpr Row smem(const char *name, Run run, int dwords, Types types = "uqu")
{
    return {name, run, types, Unit::smem, 0, dwords, 0, 0};
}

const Row rows[] = {
    LOADS("global", global),
    STORES("global", global),
    ATOMICS("global", global),
    LOADS("flat", flat_space),
    STORES("flat", flat_space),
    LOADS("buffer", buffer),
    STORES("buffer", buffer),
    ATOMICS("buffer", buffer),
    LOADS("scratch", scratch),
    STORES("scratch", scratch),
    of("global_load_lds_ubyte", load, no_dst, 1, plain, global),
    of("global_load_lds_sbyte", load, no_dst, 1, is_signed, global),
    of("global_load_lds_ushort", load, no_dst, 2, plain, global),
    of("global_load_lds_sshort", load, no_dst, 2, is_signed, global),
    of("global_load_lds_dword", load, no_dst, 4, plain, global),
    of("global_load_lds_dwordx3", load, no_dst, 12, plain, global),
    of("global_load_lds_dwordx4", load, no_dst, 16, plain, global),
    of("buffer_inv", nothing, no_dst, 0, 0, buffer),
    of("buffer_wbl2", cache, no_dst, 0, 0, buffer),
    of("buffer_wbinvl1_vol", nothing, no_dst, 0, 0, buffer),
    of("buffer_wbinvl1", nothing, no_dst, 0, 0, buffer),
    of("buffer_invl2", nothing, no_dst, 0, 0, buffer),
    smem("s_load_dword", scalar_load, 1),
    smem("s_load_dwordx2", scalar_load, 2),
    smem("s_load_dwordx4", scalar_load, 4),
    smem("s_load_dwordx8", scalar_load, 8),
    smem("s_load_dwordx16", scalar_load, 16),
    smem("s_buffer_load_dword", scalar_buffer_load, 1),
    smem("s_buffer_load_dwordx2", scalar_buffer_load, 2),
    smem("s_buffer_load_dwordx4", scalar_buffer_load, 4),
    smem("s_buffer_load_dwordx8", scalar_buffer_load, 8),
    smem("s_buffer_load_dwordx16", scalar_buffer_load, 16),
    smem("s_memtime", time, 2, "q"),
    smem("s_memrealtime", time, 2, "q"),
    {"s_dcache_inv", nothing, "-", Unit::smem, no_dst, 0, 0, 0},
    {"s_dcache_wb", nothing, "-", Unit::smem, no_dst, 0, 0, 0},
};

} // namespace

Rows vmem_rows() { return {std::begin(rows), std::end(rows)}; }

} // namespace cdna
