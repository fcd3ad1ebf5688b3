/* run.cpp -- a launch: arguments, the initial registers of each wave, workgroups one after the
 * other, their waves interleaved by the seed. */
#include "machine.h"

#include <algorithm>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>

namespace cdna
{
namespace
{

constexpr uint64_t args_at = private_begin + (uint64_t(1) << 32);
constexpr uint64_t packet_at = args_at + (uint64_t(1) << 20);

struct Random {
    uint64_t state;
    uint32_t next()
    {
        state += 0x9e3779b97f4a7c15;
        uint64_t z = state;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return uint32_t((z ^ z >> 31) >> 16);
    }
    uint32_t below(uint32_t n) { return uint32_t(uint64_t(next()) * n >> 32); }
};

uint64_t hidden(const Launch &l, const std::string &kind)
{
    for (int d = 0; d < 3; d++) {
        std::string axis(1, "xyz"[d]);
        if (kind == "hidden_block_count_" + axis) return l.grid[d];
        if (kind == "hidden_group_size_" + axis) return l.block[d];
    }
    if (kind == "hidden_grid_dims") return l.grid[2] > 1 ? 3 : l.grid[1] > 1 ? 2 : 1;
    if (kind == "hidden_dynamic_lds_size") return l.dynamic_lds;
    return 0; /* remainders, offsets, and services that a kernel here has not */
}

void lay_out_arguments(Machine &m)
{
    const Launch &l = *m.launch;
    m.kernarg = l.kernarg;
    m.kernarg.resize(std::max<size_t>(m.kernarg.size(), m.kernel->kernarg_bytes) + 64);
    for (const Argument &a : m.kernel->arguments) {
        if (a.kind.rfind("hidden_", 0) || a.offset + a.bytes > m.kernarg.size() || a.bytes > 8)
            continue;
        uint64_t x = hidden(l, a.kind);
        memcpy(m.kernarg.data() + a.offset, &x, a.bytes);
    }
    m.packet.assign(64, 0);
    uint16_t block[3];
    uint32_t grid[3];
    for (int d = 0; d < 3; d++) block[d] = uint16_t(l.block[d]), grid[d] = l.grid[d] * l.block[d];
    memcpy(m.packet.data() + 4, block, sizeof block);
    memcpy(m.packet.data() + 12, grid, sizeof grid);
    auto add = [&](uint64_t at, const std::vector<uint8_t> &bytes) {
        char *host = reinterpret_cast<char *>(const_cast<uint8_t *>(bytes.data()));
        m.ranges.push_back({at, at + bytes.size(), host, false});
    };
    add(private_begin, m.image->memory);
    add(args_at, m.kernarg);
    add(packet_at, m.packet);
}

const char *refusal(const Machine &m, const Descriptor &d)
{
    const Launch &l = *m.launch;
    uint64_t threads = uint64_t(l.block[0]) * l.block[1] * l.block[2];
    uint64_t lds = uint64_t(m.kernel->lds_bytes) + l.dynamic_lds;
    if (!threads || !l.grid[0] || !l.grid[1] || !l.grid[2]) return "an empty grid or block";
    if (threads > 1024 || threads > m.kernel->max_threads)
        return "more threads than the kernel allows";
    if (lds > (m.chip == Chip::gfx950 ? 163840u : 65536u)) return "more LDS than the chip has";
    if (l.kernarg.size() > m.kernel->kernarg_bytes) return "more arguments than the kernel takes";
    if ((d.rsrc1 >> 12 & 15) != 0) return "only rounding to nearest is emulated";
    if ((d.rsrc1 >> 16 & 15) != 15) return "only kernels that keep denormals are emulated";
    if (d.properties >> 10 & 1) return "wave32";
    if (d.properties & 1) return "scratch through a buffer descriptor is not emulated";
    return nullptr;
}

/* The scalars that the descriptor asks for, in the order that the ABI fixes. */
void first_scalars(Wave &w, const Descriptor &d, const uint32_t *group)
{
    int at = 0;
    auto pair = [&](int bit, uint64_t value) {
        if (d.properties >> bit & 1) w.set_pair(at, value), at += 2;
    };
    pair(1, packet_at);
    pair(2, 0);
    pair(3, args_at);
    pair(4, 0);
    pair(5, 0);
    if (d.properties >> 6 & 1) w.s[at++] = w.machine->kernel->scratch_bytes;
    at = int(d.rsrc2 >> 1 & 31); /* user scalars end here; preloaded arguments are not used */
    for (int k = 0; k < 3; k++)
        if (d.rsrc2 >> (7 + k) & 1) w.s[at++] = group[k];
    if (d.rsrc2 >> 10 & 1) w.s[at++] = 0;
}

void first_state(Wave &w, Group &g, int id, const Descriptor &d)
{
    const Launch &l = *g.machine->launch;
    memset(w.v, 0xff, sizeof w.v);
    memset(w.s, 0xff, sizeof w.s);
    memset(w.watch, 0, sizeof w.watch);
    memset(w.valu_at, 0, sizeof w.valu_at);
    memset(w.matrix_at, 0, sizeof w.matrix_at);
    memset(w.source_at, 0, sizeof w.source_at);
    memset(w.vm_loads, 0, sizeof w.vm_loads);
    memset(w.lgkm_loads, 0, sizeof w.lgkm_loads);
    std::fill(w.matrix, w.matrix + registers, nullptr);
    std::fill(w.source, w.source + registers, nullptr);
    w.group = &g, w.machine = g.machine, w.id = id;
    w.scc = w.ended = w.waiting = false;
    w.pc = 0, w.priority = 0, w.issued = 0, w.clock = 100;
    w.mode = (d.rsrc1 >> 12 & 255) | (d.rsrc1 >> 21 & 1) << 8 | (d.rsrc1 >> 23 & 1) << 9;
    w.blend_of = 0;
    memset(w.blend, 0, sizeof w.blend);
    w.scalar_loads[0] = w.scalar_loads[1] = 0;
    w.vm.count = w.lgkm.count = 0;
    w.sm.clear();
    w.scratch.assign(size_t(lanes) * g.machine->kernel->scratch_bytes, 0xff);
    uint32_t threads = l.block[0] * l.block[1] * l.block[2], first = uint32_t(id) * lanes;
    uint32_t count = std::min<uint32_t>(lanes, threads - first), ids = d.rsrc2 >> 11 & 3;
    for (uint32_t k = 0; k < lanes; k++) {
        uint32_t t = first + k, x = t % l.block[0], y = t / l.block[0] % l.block[1];
        uint32_t z = t / (l.block[0] * l.block[1]);
        w.v[0][k] = x | (ids > 0 ? y << 10 : 0) | (ids > 1 ? z << 20 : 0);
    }
    first_scalars(w, d, g.id);
    w.set_pair(exec, count == lanes ? all_lanes : (uint64_t(1) << count) - 1);
}

/* All waves that still run have arrived: what is in flight stays in flight after the barrier. */
void open_barrier(Group &g)
{
    g.epoch++;
    for (size_t k = 0; k < g.count; k++) {
        Wave &w = *g.waves[k];
        w.waiting = false;
        for (Queue *q : {&w.vm, &w.lgkm})
            for (unsigned p = 0; p < q->count; p++) touch_again(w, q->at(p));
    }
}

void run_group(Group &g, Random &random, uint64_t most)
{
    Machine &m = *g.machine;
    std::vector<Wave *> ready;
    while (!m.stop) {
        ready.clear();
        size_t waiting = 0;
        for (size_t k = 0; k < g.count; k++) {
            Wave &w = *g.waves[k];
            waiting += !w.ended && w.waiting;
            if (!w.ended && !w.waiting) ready.push_back(&w);
        }
        if (ready.empty() && !waiting) return;
        if (ready.empty()) {
            open_barrier(g);
            continue;
        }
        Wave &w = *ready[random.below(uint32_t(ready.size()))];
        run_wave(w, 1 + random.below(random.below(4) ? 64 : 512));
        if (w.issued > most) {
            const std::vector<Inst> &insts = m.code->insts;
            m.report(w, insts[std::min<size_t>(w.pc, insts.size() - 1)], "the wave does not end");
            m.stop = true;
        }
    }
}

void start_group(Group &g, const Descriptor &d)
{
    const Launch &l = *g.machine->launch;
    uint32_t threads = l.block[0] * l.block[1] * l.block[2];
    size_t lds = size_t(g.machine->kernel->lds_bytes) + l.dynamic_lds;
    g.lds.assign(lds, 0xff);
    g.words.resize(lds / 4 + 1); /* of earlier groups: what they hold is of an earlier epoch */
    g.bytes.resize(lds + 4);
    g.flying.assign(lds + 4, 0);
    g.epoch++;
    g.count = (threads + lanes - 1) / lanes;
    while (g.waves.size() < g.count) g.waves.emplace_back(new Wave);
    for (size_t k = 0; k < g.count; k++) first_state(*g.waves[k], g, int(k), d);
}

void run_grid(Machine &m, const Descriptor &d)
{
    const Launch &l = *m.launch;
    Random random{m.options.seed * 0x2545f4914f6cdd1d + 1};
    uint64_t total = uint64_t(l.grid[0]) * l.grid[1] * l.grid[2];
    uint64_t shift = m.options.seed ? random.next() % total : 0; /* any order would do */
    uint64_t most = m.options.most_instructions ? m.options.most_instructions : uint64_t(1) << 32;
    Group g;
    g.machine = &m, g.epoch = 0;
    for (uint64_t k = 0; k < total && !m.stop; k++) {
        uint64_t n = (k + shift) % total;
        g.id[0] = uint32_t(n % l.grid[0]);
        g.id[1] = uint32_t(n / l.grid[0] % l.grid[1]);
        g.id[2] = uint32_t(n / l.grid[0] / l.grid[1]);
        start_group(g, d);
        run_group(g, random, most);
    }
}

} // namespace

char *Machine::find(uint64_t address, size_t bytes, bool write)
{
    Range r{0, 0, nullptr, false};
    for (unsigned k = 1; k < 4 && !r.host; k++)
        if (address >= recent[k].begin && address < recent[k].end) r = recent[k];
    for (const Range &p : ranges)
        if (address >= p.begin && address < p.end) r = p;
    if (!r.host && address < private_begin) r = memory->find(address);
    if (!r.host || address < r.begin || address >= r.end) return nullptr;
    if (bytes > r.end - address || (write && !r.writable)) return nullptr;
    if (recent[0].host) recent[recent_next = 1 + recent_next % 3] = recent[0];
    recent[0] = r;
    return r.host + (address - r.begin);
}

void Machine::report(const Wave &w, const Inst &i, const char *format, ...)
{
    char text[400], line[700];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    snprintf(line, sizeof line, "%s: %s [%06" PRIx64 ": %.120s; workgroup %u,%u,%u wave %d]",
             kernel->name.c_str(), text, i.address, i.text.c_str(), w.group->id[0], w.group->id[1],
             w.group->id[2], w.id);
    result.reports.push_back(line);
    if (result.reports.size() >= options.most_reports) stop = true;
}

Result run(const Launch &launch, Memory &memory, const Options &options)
{
    Machine m;
    m.result.wave_instructions = 0;
    m.launch = &launch, m.memory = &memory, m.options = options, m.kernel = launch.kernel;
    m.image = static_cast<const Image *>(launch.code.get());
    m.chip = m.image->chip_;
    memset(m.recent, 0, sizeof m.recent);
    m.code = &m.image->code(*launch.kernel);
    const Descriptor &d = m.image->descriptors.at(launch.kernel->name);
    if (!m.code->error.empty())
        m.result.reports.push_back(m.code->error);
    else if (const char *no = refusal(m, d))
        m.result.reports.push_back(launch.kernel->name + ": " + no);
    if (!m.result.reports.empty()) return m.result;
    m.counts.assign(m.code->insts.size(), 0);
    m.retired.assign(m.code->insts.size(), 0);
    lay_out_arguments(m);
    run_grid(m, d);
    for (size_t k = 0; k < m.counts.size(); k++) {
        if (!m.counts[k]) continue;
        m.result.executed[m.code->insts[k].opcode] += m.counts[k];
        m.result.wave_instructions += m.counts[k];
        m.result.reached.push_back(m.code->insts[k].address);
        if (m.code->insts[k].opcode == "s_waitcnt")
            m.result.waits[m.code->insts[k].address] = m.retired[k];
    }
    return m.result;
}

} // namespace cdna
