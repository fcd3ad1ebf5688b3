/* test_speed.cpp -- runs flash_fwd out of each code object of CDNA_CODE_OBJECTS (separated by
 * colons), checks it against f64 and prints wave-instructions per second of one core. */
#include "../cdna.h"
#include "contents.h"

#include "../../../kernels/args.h" /* has no includes of its own */

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace
{

constexpr int keys = 320, dim = 128, tile = 128; /* five tiles of 64 keys */
constexpr uint64_t address = 0x100000000;
const char *const symbol = "aiteri_flash_fwd_bf16_bf16_bf16_128_128_general";

int passed, failed;

void check(bool good, const std::string &what)
{
    good ? passed++ : failed++;
    if (!good) printf("FAILED: %s\n", what.c_str());
}

struct Tensors : cdna::Memory {
    uint16_t q[keys][dim], k[keys][dim], v[keys][dim], out[keys][dim];
    cdna::Range find(uint64_t at) override
    {
        uint64_t end = address + sizeof q * 4;
        if (at < address || at >= end) return {0, 0, nullptr, false};
        return {address, end, reinterpret_cast<char *>(q), true};
    }
};

float value(uint16_t b)
{
    uint32_t u = uint32_t(b) << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

void fill(Tensors &t)
{
    uint32_t state = 1;
    for (auto tensor : {t.q, t.k, t.v})
        for (int i = 0; i < keys * dim; i++) {
            state = state * 1664525 + 1013904223;
            float f = float(int32_t(state)) * 0x1p-31f;
            uint32_t u;
            memcpy(&u, &f, 4);
            tensor[0][i] = uint16_t(u >> 16);
        }
}

double worst_error(const Tensors &t)
{
    double worst = 0;
    for (int i = 0; i < keys; i += 7) {
        double p[keys], sum = 0;
        for (int j = 0; j <= i; j++) {
            double s = 0;
            for (int d = 0; d < dim; d++) s += double(value(t.q[i][d])) * value(t.k[j][d]);
            sum += p[j] = std::exp(s / std::sqrt(double(dim)));
        }
        for (int d = 0; d < dim; d++) {
            double o = 0;
            for (int j = 0; j <= i; j++) o += p[j] / sum * value(t.v[j][d]);
            double error = std::fabs(o - value(t.out[i][d]));
            if (!(error <= worst)) worst = error;
        }
    }
    return worst;
}

cdna::Launch launch_of(std::shared_ptr<const cdna::CodeObject> code, const cdna::Kernel &k)
{
    aiteri_gpu_attention a;
    memset(&a, 0, sizeof a);
    auto rows = [](int n) {
        return aiteri_gpu_rows{address + uint64_t(n) * keys * dim * 2, keys * dim, dim, dim};
    };
    auto source = [&](int n) {
        return aiteri_gpu_source{rows(n).data, keys * dim, dim, dim, 1, 0, 0, 0, 0, 0, 0, 0, 0};
    };
    a.q = rows(0), a.k = source(1), a.v = source(2), a.out = rows(3);
    a.q_lengths.seqlen = a.q_lengths.most = keys, a.k_lengths = a.q_lengths;
    a.mask.mask = 2; /* causal */
    a.score.softmax_scale = 1 / std::sqrt(float(dim));
    a.split.count = 1, a.split.split_keys = 1 << 30;
    a.batch = a.heads_q = a.heads_k = a.group = a.xcds = 1, a.dim_q = a.dim_v = dim;
    a.tiles = (keys + tile - 1) / tile;
    uint32_t lds = k.lds_bytes < 32768 ? 32768 - k.lds_bytes : 0;
    cdna::Launch l{code, &k, {uint32_t(a.tiles), 1, 1}, {k.max_threads, 1, 1}, lds, {}};
    l.kernarg.resize(k.kernarg_bytes);
    memcpy(l.kernarg.data(), &a, std::min(sizeof a, l.kernarg.size()));
    return l;
}

void run_file(const std::string &path)
{
    const std::string image = contents(path);
    std::string error;
    auto code = cdna::CodeObject::load(image.data(), image.size(), &error);
    const cdna::Kernel *k = code ? code->find(symbol) : nullptr;
    check(k != nullptr, path + ": " + (code ? std::string("no ") + symbol : error));
    if (!k || !cdna::prepare(*code, *k, &error)) return check(false, error);
    static Tensors t;
    fill(t);
    cdna::Launch l = launch_of(code, *k);
    for (uint64_t seed = 0; seed < 3; seed++) {
        cdna::Options options;
        options.seed = seed;
        auto start = std::chrono::steady_clock::now();
        cdna::Result r = cdna::run(l, t, options);
        std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
        check(r.reports.empty(), r.reports.empty() ? "" : r.reports[0]);
        double rate = double(r.wave_instructions) / seconds.count(), error = worst_error(t);
        check(error < 0.01, "the result is wrong");
        if (seed == 2)
            printf("%s: %.0f wave-instructions a second, error %.2g\n", path.c_str(), rate, error);
    }
}

} // namespace

int main()
{
    const char *named = getenv("CDNA_CODE_OBJECTS");
    std::string paths = named ? named : "";
    for (size_t at = 0, end; at < paths.size(); at = end + 1) {
        end = std::min(paths.find(':', at), paths.size());
        run_file(paths.substr(at, end - at));
    }
    if (paths.empty()) printf("CDNA_CODE_OBJECTS names no code object\n");
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
