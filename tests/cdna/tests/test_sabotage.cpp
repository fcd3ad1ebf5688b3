/* test_sabotage.cpp -- in one instance of every kernel family of each code object of
 * CDNA_CODE_OBJECTS (separated by colons) each s_waitcnt and s_barrier becomes s_nop, one at a
 * time: a report, or other bits, must come of it in one of the family's launches. */
#include "contents.h"
#include "sabotage_launches.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace sabotage
{

int passed, failed;

bool check(bool good, const std::string &what)
{
    good ? passed++ : failed++;
    if (!good) printf("FAILED: %s\n", what.c_str());
    return good;
}

using Code = std::shared_ptr<const cdna::CodeObject>;

/* An instance and what its launches do when nothing is taken away. */
struct Family {
    Code code;
    const cdna::Kernel *kernel;
    const Instance *instance;
    Trials trials;
    std::vector<cdna::Result> whole; /* of each trial */
    std::vector<std::string> bits;

    cdna::Result run(size_t trial, uint64_t seed, uint64_t nop)
    {
        Trial &t = *trials[trial];
        cdna::Launch l{code, kernel, {t.groups, 1, 1}, {uint32_t(instance->threads), 1, 1}, 0, {}};
        l.kernarg = t.kernarg;
        l.kernarg.resize(kernel->kernarg_bytes);
        cdna::Options options;
        options.seed = seed, options.nop_address = nop, options.most_reports = 1;
        t.memory.forget_output();
        return cdna::run(l, t.memory, options);
    }
};

bool runs_whole(Family &f)
{
    bool good = true;
    for (size_t k = 0; k < f.trials.size(); k++)
        for (uint64_t seed = 1; seed <= 3; seed++) {
            const std::string what = f.instance->symbol() + ", " + f.trials[k]->name + ": ";
            cdna::Result r = f.run(k, seed, 0);
            std::string bits = f.trials[k]->memory.output_bits();
            if (seed == 1) f.whole.push_back(r), f.bits.push_back(bits);
            good &= check(r.reports.empty(), what + (r.reports.empty() ? "" : r.reports[0]));
            good &= check(bits == f.bits[k], what + "the bits depend on the order of waves");
        }
    return good;
}

/* Does a launch notice that the instruction at `address` is gone? */
bool is_seen(Family &f, uint64_t address)
{
    for (uint64_t seed = 1; seed <= 3; seed++)
        for (size_t k = 0; k < f.trials.size(); k++) {
            const std::vector<uint64_t> &reached = f.whole[k].reached;
            if (!std::binary_search(reached.begin(), reached.end(), address)) continue;
            if (!f.run(k, seed, address).reports.empty()) return true;
            if (f.trials[k]->memory.output_bits() != f.bits[k]) return true;
        }
    return false;
}

struct Tally {
    int all = 0, ran = 0, idle = 0, taken = 0, seen = 0;
};

void say(const cdna::Line &line, const std::string &why)
{
    printf("    %06llx %s: %s\n", static_cast<unsigned long long>(line.address), line.text.c_str(),
           why.c_str());
}

/* Why nobody missed a wait that had something to wait for. */
std::string reason(unsigned done)
{
    std::string what;
    const struct {
        unsigned bit;
        const char *name;
    } names[] = {{cdna::retired_load, "loads"},
                 {cdna::retired_lds_read, "LDS reads"},
                 {cdna::retired_load_to_lds, "loads to LDS"},
                 {cdna::retired_lds_write, "LDS writes"},
                 {cdna::retired_scalar, "scalar loads"}};
    for (auto &n : names)
        if (done & n.bit) what += (what.empty() ? "" : ", ") + std::string(n.name);
    return what + " that no launch here needs done before a later wait or barrier";
}

/* One instruction of the family. A wait is idle if no launch ever gave it anything that needs one.
 */
void take_away(Family &f, const cdna::Line &line, Tally *t)
{
    const bool barrier = line.opcode == "s_barrier";
    bool ran = false;
    unsigned done = 0;
    for (const cdna::Result &r : f.whole) {
        ran |= std::binary_search(r.reached.begin(), r.reached.end(), line.address);
        auto wait = r.waits.find(line.address);
        if (wait != r.waits.end()) done |= wait->second;
    }
    t->all++, t->ran += ran;
    if (!ran) return;
    const bool seen = is_seen(f, line.address);
    if (!barrier && !seen && (!done || done == cdna::retired_store)) {
        say(line, done ? "only stores, which nobody waits for" : "nothing on its way");
        t->idle++;
        return;
    }
    t->taken++, t->seen += seen;
    if (!seen) say(line, barrier ? "a barrier that no launch here needs" : reason(done));
}

void take_away_all(Family &f)
{
    std::vector<cdna::Line> lines;
    std::string error;
    const std::string symbol = f.instance->symbol();
    if (!check(f.code->listing(*f.kernel, &lines, &error), error) || !runs_whole(f)) return;
    printf("%s, %zu launches:\n", symbol.c_str(), f.trials.size());
    Tally t;
    for (const cdna::Line &line : lines)
        if (line.opcode == "s_barrier" || line.opcode == "s_waitcnt") take_away(f, line, &t);
    printf("  %d waits and barriers, %d ran, %d of these had nothing to wait for; taken away %d, "
           "seen %d (%.1f %%)\n",
           t.all, t.ran, t.idle, t.taken, t.seen, 100.0 * t.seen / std::max(t.taken, 1));
    check(t.taken && t.seen * 100 >= t.taken * 95, symbol + ": fewer than 95 of 100 were seen");
}

/* One instance of every op and class, and of paged_decode one per cache type: bf16, heads of 128
 * where it matters. */
bool chosen(const Instance &i)
{
    if (i.op == "flash_fwd" || i.op == "paged_decode") return i.q == "bf16" && i.dq == "128";
    if (i.op == "combine") return i.out == "bf16" && i.dv == "128";
    return i.q == "bf16" || i.op == "copy_blocks";
}

void run_file(const std::string &path)
{
    const std::string image = contents(path);
    std::string error;
    const Code code = cdna::CodeObject::load(image.data(), image.size(), &error);
    if (!check(code != nullptr, path + ": " + error)) return;
    printf("%s\n", path.c_str());
    if (code->chip() == cdna::Chip::gfx90a) return; /* its kernels are built, not executed */
    std::map<std::string, bool> families;
    for (const Instance &i : instances()) {
        if (!i.on(code->chip())) continue;
        bool &done = families[i.op + " " + i.kind];
        if (!chosen(i)) continue;
        done = true;
        Family f{code, code->find(i.symbol()), &i, {}, {}, {}};
        if (!check(f.kernel && cdna::prepare(*code, *f.kernel, &error),
                   path + ": " + i.symbol() + " " + error))
            continue;
        if (MakeTrials make = trials_of(i.op)) make(f.trials, i);
        take_away_all(f);
    }
    for (auto &family : families) check(family.second, "nothing was taken from " + family.first);
}

} // namespace sabotage

int main()
{
    const char *named = getenv("CDNA_CODE_OBJECTS");
    std::string paths = named ? named : "";
    for (size_t at = 0, end; at < paths.size(); at = end + 1) {
        end = std::min(paths.find(':', at), paths.size());
        sabotage::run_file(paths.substr(at, end - at));
    }
    if (paths.empty()) printf("CDNA_CODE_OBJECTS names no code object\n");
    printf("%d passed, %d failed\n", sabotage::passed, sabotage::failed);
    return sabotage::failed != 0;
}
