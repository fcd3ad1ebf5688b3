/* hazards.cpp -- reports a register used before its load was waited for, and MFMA results and
 * sources used before the wait states that the chip requires.
 *
 * A wait state is an issued instruction, or one of the s_nop's own. The numbers: CDNA3 ISA 4.5,
 * "Manually Inserted Wait States"; passes are the MFMA's cycles / 4. */
#include "machine.h"

#include <algorithm>

namespace cdna
{
namespace
{

constexpr uint32_t horizon = 40; /* no hazard lives longer */
constexpr uint32_t forever = ~0u;

struct Matrix {
    int passes;
    bool xdl, dgemm;
};
Matrix matrix_of(const Wave &w, const Inst &i)
{
    int passes = i.row->c;
    if (w.machine->chip == Chip::gfx90a && i.row->flags & xdl && passes > 2) passes *= 2;
    return {passes, bool(i.row->flags & xdl), i.row->types[0] == 'd'};
}

/* A VALU or memory instruction reads or writes what an MFMA writes. */
int after_matrix(const Wave &w, const Inst &i, const Matrix &m, bool write)
{
    bool memory = i.unit != Unit::vector;
    if (m.dgemm) {
        bool small = m.passes == 4;
        if (write || !memory) return small ? 6 : 11;
        return small ? 9 : 18;
    }
    if (w.machine->chip == Chip::gfx90a) return m.passes == 2 ? 5 : m.passes == 8 ? 11 : 19;
    bool late = w.machine->chip == Chip::gfx950 && m.passes != 2;
    return m.xdl ? m.passes + 3 + late : m.passes + 2;
}

/* An MFMA reads what an MFMA writes: as A or B, or as C. `same`: C begins where the result began.
 */
int matrix_after_matrix(const Wave &w, const Inst &i, const Matrix &m, bool as_c, bool same)
{
    bool old = w.machine->chip == Chip::gfx90a, newest = w.machine->chip == Chip::gfx950;
    if (m.dgemm) {
        if (!as_c) return m.passes == 4 ? 6 : 11;
        if (i.row->types[0] != 'd') return old ? 0 : m.passes == 4 ? 4 : 9;
        return m.passes == 4 ? 4 : same ? 0 : newest ? 17 : 9;
    }
    if (!as_c) {
        if (old) return m.passes == 2 ? 5 : m.passes == 8 ? 11 : 19;
        return m.xdl ? m.passes + 3 + (newest && m.passes != 2) : m.passes + 2;
    }
    if (same) return !old && m.passes == 2 ? 2 : 0;
    if (old) return m.passes;
    if (i.row->flags & xdl && !m.xdl) return 0;
    return m.xdl ? m.passes + 1 + newest : m.passes;
}

const char *file_of(int reg) { return reg < agpr0 ? "v" : "a"; }

void too_early(Wave &w, const Inst &i, int reg, const char *what, int need, uint32_t since,
               const Inst &matrix)
{
    int states = int(w.clock - since) - 1;
    if (states >= need) return;
    w.machine->report(w, i, "%s%d %s %d wait states after %s, which needs %d", file_of(reg),
                      reg % agpr0, what, states, matrix.opcode.c_str(), need);
}

void slow_read(Wave &w, const Inst &i, int reg, bool as_c, bool same_start)
{
    if (w.vm_loads[reg] || w.lgkm_loads[reg])
        w.machine->report(w, i, "%s%d is read before its load was waited for", file_of(reg),
                          reg % agpr0);
    const Inst *by = w.matrix[reg];
    if (!by || w.clock - w.matrix_at[reg] > horizon) return;
    Matrix m = matrix_of(w, *by);
    int need = i.unit == Unit::matrix
                   ? matrix_after_matrix(w, i, m, as_c, same_start && by->d.reg == i.s[2].reg)
                   : after_matrix(w, i, m, false);
    too_early(w, i, reg, "is read", need, w.matrix_at[reg], *by);
}

void slow_write(Wave &w, const Inst &i, int reg, bool vm, bool lgkm)
{
    if ((w.vm_loads[reg] && !vm) || (w.lgkm_loads[reg] && !lgkm))
        w.machine->report(w, i, "%s%d is written before its load was waited for", file_of(reg),
                          reg % agpr0);
    if (i.unit == Unit::matrix) return; /* the pipe keeps the order of its own writes */
    if (const Inst *by = w.matrix[reg]) {
        Matrix m = matrix_of(w, *by);
        too_early(w, i, reg, "is written", after_matrix(w, i, m, true), w.matrix_at[reg], *by);
        w.matrix[reg] = nullptr;
    }
    const Inst *by = w.source[reg];
    if (!by || (!(by->row->flags & xdl) && w.machine->chip != Chip::gfx90a)) return;
    too_early(w, i, reg, "(source C) is written", matrix_of(w, *by).passes - 1, w.source_at[reg],
              *by);
}

/* VALU results reach the matrix unit two wait states later. */
void valu_to_matrix(Wave &w, const Inst &i, int reg)
{
    if (w.clock - w.valu_at[reg] - 1 < 2)
        w.machine->report(w, i,
                          "%s%d is read by an MFMA %u wait states after the VALU wrote it, "
                          "which needs 2",
                          file_of(reg), reg % agpr0, w.clock - w.valu_at[reg] - 1);
}

void scalar_early(Wave &w, const Inst &i)
{
    w.machine->report(w, i, "a scalar register is used before its load was waited for");
}

} // namespace

void check_uses(Wave &w, const Inst &i)
{
    if (((i.scalar_reads[0] | i.scalar_writes[0]) & w.scalar_loads[0]) ||
        ((i.scalar_reads[1] | i.scalar_writes[1]) & w.scalar_loads[1]))
        scalar_early(w, i);
    bool is_matrix = i.unit == Unit::matrix;
    for (const Span &span : i.reads) {
        if (!span.count) break;
        bool as_c = is_matrix && &span - i.reads == 2;
        for (int r = span.reg; r < span.reg + span.count; r++) {
            if (w.watch[r] > w.clock) slow_read(w, i, r, as_c, true);
            if (is_matrix) valu_to_matrix(w, i, r);
        }
    }
    for (const Span &span : i.writes)
        for (int r = span.reg; r < span.reg + span.count; r++)
            if (w.watch[r] > w.clock) slow_write(w, i, r, false, false);
}

void note_results(Wave &w, const Inst &i)
{
    if (i.unit == Unit::vector && !(i.row->flags & dot)) {
        for (const Span &span : i.writes)
            for (int r = span.reg; r < span.reg + span.count; r++) w.valu_at[r] = w.clock;
        return;
    }
    if (i.unit != Unit::matrix) return;
    for (int r = i.d.reg; r < i.d.reg + i.d.dwords; r++) {
        w.matrix_at[r] = w.clock, w.matrix[r] = &i;
        w.watch[r] = std::max(w.watch[r], w.clock + horizon);
    }
    if (i.s[2].kind != Operand::vector) return;
    for (int r = i.s[2].reg; r < i.s[2].reg + i.s[2].dwords; r++) {
        w.source_at[r] = w.clock, w.source[r] = &i;
        w.watch[r] = std::max(w.watch[r], w.clock + horizon);
    }
}

void load_begins(Wave &w, const Pending &p, bool vm)
{
    for (int r = p.reg; r < p.reg + p.dwords; r++) {
        if (w.watch[r] > w.clock) slow_write(w, *p.inst, r, vm, !vm);
        (vm ? w.vm_loads : w.lgkm_loads)[r]++;
        w.watch[r] = forever;
    }
}

void load_ends(Wave &w, const Pending &p, bool vm)
{
    for (int r = p.reg; r < p.reg + p.dwords; r++) {
        (vm ? w.vm_loads : w.lgkm_loads)[r]--;
        if (!w.vm_loads[r] && !w.lgkm_loads[r])
            w.watch[r] = std::max(w.matrix_at[r], w.source_at[r]) + horizon;
    }
}

} // namespace cdna
