/* test_opcodes.cpp -- every opcode against a formula, on both chips, under several inputs; and the
 * count of opcodes in the kernels of CDNA_CODE_OBJECTS (files, separated by colons): one without a
 * case fails. CDNA_OPCODES names a file for them, one a line, "tested" behind those with a case. */
#include <algorithm>

#include "contents.h"
#include "opcodes_convert.h"
#include "opcodes_float.h"
#include "opcodes_integer.h"
#include "opcodes_lds.h"
#include "opcodes_matrix.h"
#include "opcodes_scalar.h"

#include <set>

namespace
{

int passed, failed;

void check(bool good, const std::string &what)
{
    good ? passed++ : failed++;
    if (!good) printf("FAILED: %s\n", what.c_str());
}

struct Random {
    u64 state;
    u32 next()
    {
        state = state * 6364136223846793005 + 1442695040888963407;
        return u32(state >> 32);
    }
    double unit() { return next() * 0x1p-32; }
};

u32 odd_integer(Random &r)
{
    static const u32 odd[] = {0,          1,          2,      0x7fffffff, 0x80000000,
                              0x80000001, 0xffffffff, 0xffff, 0x10000};
    return r.next() % 3 ? r.next() >> r.next() % 32 : odd[r.next() % 9];
}

float odd_float(Random &r)
{
    static const float odd[] = {0.0f,      -0.0f,     1.0f,         -1.0f,           0.5f,
                                2.5f,      -1.5f,     INFINITY,     -INFINITY,       NAN,
                                0x1p-126f, 0x1p-149f, -0x1.8p-130f, 0x1.fffffep127f, 65504.0f,
                                1e9f};
    if (r.next() % 3 == 0) return odd[r.next() % 16];
    return std::ldexp(float(r.unit() * 2 - 1), int(r.next() % 24) - 12);
}

u32 odd_half(Random &r)
{
    static const u32 odd[] = {0,      0x8000, 0x3c00, 0xbc00, 0x7bff, 0x7c00,
                              0xfc00, 0x7e00, 1,      0x83ff, 0x400};
    return r.next() % 3 ? to_f16((r.unit() * 2 - 1) * std::ldexp(1, int(r.next() % 12) - 6))
                        : odd[r.next() % 11];
}

void put(snippet::Frame &f, int v, int l, u64 x, bool wide)
{
    f.in[v - 8][l] = u32(x);
    if (wide) f.in[v - 7][l] = u32(x >> 32);
}

/* See Registers for what lies where. */
void fill(snippet::Frame &f, u64 seed)
{
    Random r{seed};
    memset(&f, 0xff, sizeof f);
    for (u32 &x : f.s) x = odd_integer(r);
    f.s[24 - 16] = r.next() % 64, f.s[25 - 16] = u32(seed);
    for (int l = 0; l < 64; l++) {
        for (int v = 8; v < 11; v++) put(f, v, l, odd_integer(r), false);
        for (int v = 11; v < 14; v++) put(f, v, l, bits<u32>(odd_float(r)), false);
        put(f, 14, l, r.next() % 64, false);
        for (int v = 15; v < 18; v++) put(f, v, l, pack(odd_half(r), odd_half(r)), false);
        for (int v = 18; v < 22; v += 2)
            put(f, v, l, odd_integer(r) | u64(odd_integer(r)) << 32, true);
        for (int v = 22; v < 28; v += 2)
            put(f, v, l, bits<u64>(std::ldexp(r.unit() * 2 - 1, int(r.next() % 40) - 20)), true);
        put(f, 28, l, bits<u32>(float(std::exp(r.unit() * 14 - 7))), false);
        put(f, 29, l, bits<u32>(float(r.unit() * 40 - 20)), false);
        u32 lo = to_bf16(float(r.unit() * 4 - 2)), hi = to_bf16(float(r.unit() * 4 - 2));
        put(f, 30, l, pack(lo, hi), false);
        put(f, 31, l, bits<u32>(float(i32(r.next() % 2001) - 1000)), false);
    }
    for (u32 k = 0; k < 4096; k++) f.memory[k] = k < 3072 ? r.next() : ~u32(0);
}

std::vector<Case> all_cases()
{
    std::vector<Case> t;
    scalar_cases(t), float_cases(t), integer_cases(t);
    compare_cases(t), convert_cases(t), memory_cases(t), lds_cases(t);
    matrix_cases(t);
    return t;
}

void run_chip(const char *chip, const std::vector<Case> &cases)
{
    std::vector<snippet::Kernel> kernels;
    std::vector<const Case *> chosen;
    for (const Case &c : cases)
        if (c.chips.empty() || c.chips.find(chip) != std::string::npos) {
            kernels.push_back({"t" + snippet::number(chosen.size()), c.code, false, c.scratch});
            chosen.push_back(&c);
        }
    auto code = snippet::assemble(chip, kernels);
    if (!code) return check(false, std::string(chip) + ": the cases do not assemble");
    snippet::Device device;
    for (size_t k = 0; k < chosen.size(); k++) {
        std::string wrong;
        for (u64 seed = 1; seed <= 6 && wrong.empty(); seed++) {
            fill(device.frame, seed);
            if (chosen[k]->prepare) chosen[k]->prepare(device.frame);
            cdna::Result r = snippet::run(code, kernels[k].name, device, 64, seed);
            wrong = r.reports.empty() ? chosen[k]->wrong(device.frame) : r.reports[0];
            if (wrong.empty() && !r.executed.count(chosen[k]->opcode)) wrong = "not executed";
        }
        check(wrong.empty(), std::string(chip) + " " + chosen[k]->code + ": " + wrong);
    }
}

std::string base_name(std::string opcode)
{
    for (const char *end : {"_dpp", "_sdwa", "_e32", "_e64"}) {
        size_t n = strlen(end);
        if (opcode.size() > n && opcode.compare(opcode.size() - n, n, end) == 0)
            opcode.resize(opcode.size() - n);
    }
    return opcode;
}

/* Every opcode in the kernels has a case. */
void count_kernels(const std::string &paths, const std::set<std::string> &tested)
{
    std::set<std::string> decoded;
    for (size_t at = 0, end; at < paths.size(); at = end + 1) {
        end = std::min(paths.find(':', at), paths.size());
        std::string path = paths.substr(at, end - at), image = contents(path), error;
        auto code = cdna::CodeObject::load(image.data(), image.size(), &error);
        check(code != nullptr, path + ": " + error);
        if (!code) continue;
        for (const cdna::Kernel &k : code->kernels()) {
            std::vector<cdna::Line> lines;
            check(cdna::prepare(*code, k, &error), error);
            check(code->listing(k, &lines, &error), error);
            for (const cdna::Line &l : lines) decoded.insert(base_name(l.opcode));
        }
    }
    size_t both = 0;
    const char *list = getenv("CDNA_OPCODES");
    FILE *out = list ? fopen(list, "w") : nullptr;
    for (const std::string &opcode : decoded) {
        const bool known = tested.count(opcode);
        check(known, opcode + " is in a kernel and has no case");
        if (out) fprintf(out, "%s%s\n", opcode.c_str(), known ? " tested" : "");
        both += known;
    }
    if (out) fclose(out);
    printf("opcodes in the kernels: %zu decoded, %zu of them tested; %zu cases in all\n",
           decoded.size(), both, tested.size());
}

} // namespace

int main()
{
    std::vector<Case> cases = all_cases();
    for (const char *chip : {"gfx90a", "gfx942", "gfx950"}) run_chip(chip, cases);
    std::set<std::string> tested;
    for (const Case &c : cases) tested.insert(c.opcode);
    if (const char *paths = getenv("CDNA_CODE_OBJECTS")) count_kernels(paths, tested);
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
