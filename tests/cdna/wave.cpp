/* wave.cpp -- control flow, waits, barriers, and the loop that runs a wave. */
#include "machine.h"

namespace cdna
{

Pending &begin_load(Wave &w, const Inst &i, Queue &q, Pending::Kind kind)
{
    if (q.count == q.ring.size()) land(w, q, q.count - 1); /* the hardware would stall */
    Pending &p = q.push();
    p.kind = kind, p.inst = &i, p.mask = w.active();
    p.dwords = p.half = p.bytes = 0, p.places = 1, p.reg = i.d.reg;
    return p;
}

namespace
{

void land_registers(Wave &w, const Pending &p)
{
    for (int d = 0; d < p.dwords; d++) {
        if (!p.half) {
            write_lanes(w, p.reg + d, p.data[d], p.mask);
            continue;
        }
        for (int l = 0; l < lanes; l++) {
            uint32_t &v = w.v[p.reg + d][l];
            if (!(p.mask >> l & 1)) continue;
            v = p.half == 1 ? (v & 0xffff0000) | (p.data[d][l] & 0xffff)
                            : (v & 0xffff) | p.data[d][l] << 16;
        }
    }
}

void land_scalars(Wave &w)
{
    for (const ScalarLoad &s : w.sm) memcpy(w.s + s.reg, s.data, s.dwords * sizeof s.data[0]);
    w.sm.clear();
    w.scalar_loads[0] = w.scalar_loads[1] = 0;
}

void waitcnt(Wave &w, const Inst &i)
{
    unsigned loads = (i.imm & 15) | (i.imm >> 14 & 3) << 4, left = i.imm >> 8 & 15;
    unsigned done = land(w, w.vm, loads);
    done |= land(w, w.lgkm, left); /* scalar loads may return first: LDS alone can fill the count */
    if (!left && !w.sm.empty()) {
        done |= retired_scalar;
        land_scalars(w);
    }
    w.machine->retired[w.pc - 1] |= uint8_t(done);
}

void branch_to(Wave &w, const Inst &i) { w.pc = i.target; }
void branch(Wave &w, const Inst &i) { branch_to(w, i); }
template <bool want> void branch_scc(Wave &w, const Inst &i)
{
    if (w.scc == want) branch_to(w, i);
}
template <bool zero> void branch_vcc(Wave &w, const Inst &i)
{
    if (!w.pair(vcc) == zero) branch_to(w, i);
}
template <bool zero> void branch_exec(Wave &w, const Inst &i)
{
    if (!w.active() == zero) branch_to(w, i);
}
void end(Wave &w, const Inst &) { w.ended = true; }
void barrier(Wave &w, const Inst &) { w.waiting = true; }
void nop(Wave &w, const Inst &i) { w.clock += i.imm & 15; }
void nothing(Wave &, const Inst &) {}
void setprio(Wave &w, const Inst &i) { w.priority = int(i.imm & 3); }

constexpr Row of(const char *name, Run run, int is_branch = 0)
{
    return {name, run, "-", Unit::control, no_dst, is_branch, 0, 0};
}
const Row rows[] = {
    of("s_waitcnt", waitcnt),
    of("s_branch", branch, 1),
    of("s_cbranch_scc0", branch_scc<false>, 1),
    of("s_cbranch_scc1", branch_scc<true>, 1),
    of("s_cbranch_vccz", branch_vcc<true>, 1),
    of("s_cbranch_vccnz", branch_vcc<false>, 1),
    of("s_cbranch_execz", branch_exec<true>, 1),
    of("s_cbranch_execnz", branch_exec<false>, 1),
    of("s_endpgm", end),
    of("s_barrier", barrier),
    of("s_nop", nop),
    of("s_sleep", nothing),
    of("s_setprio", setprio),
    of("s_icache_inv", nothing),
    of("s_sethalt", nothing),
    of("s_code_end", end),
};

} // namespace

unsigned land(Wave &w, Queue &q, unsigned left)
{
    static const unsigned set_of[] = {retired_store,    retired_load,      retired_load_to_lds,
                                      retired_lds_read, retired_lds_write, retired_lds_read};
    unsigned done = 0;
    while (q.count > left) {
        Pending &p = q.front();
        done |= set_of[p.kind];
        if (p.dwords) {
            land_registers(w, p);
            load_ends(w, p, &q == &w.vm);
        }
        if (p.kind == Pending::to_lds) lds_landing(w, p);
        q.pop();
    }
    return done;
}

Rows wave_rows() { return {std::begin(rows), std::end(rows)}; }

void run_wave(Wave &w, unsigned instructions)
{
    Machine &m = *w.machine;
    const Inst *insts = m.code->insts.data();
    uint64_t *counts = m.counts.data();
    size_t size = m.code->insts.size();
    uint64_t skip = m.options.nop_address;
    for (; instructions && !w.ended && !w.waiting && !m.stop; instructions--) {
        if (w.pc >= size) {
            m.report(w, insts[size - 1], "the wave runs past the end of the kernel");
            w.ended = true;
            return;
        }
        const Inst &i = insts[w.pc];
        counts[w.pc++]++;
        w.clock++;
        w.issued++;
        if (i.address == skip && skip) continue;
        check_uses(w, i);
        i.run(w, i);
        note_results(w, i);
    }
}

} // namespace cdna
