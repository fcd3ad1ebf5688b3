/* hip_control.cpp -- settings, counters, planned failures and reports of the face. */
#include "hip_face.h"
#include "hip_state.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

namespace cdna::hip
{
namespace
{

const char *setting(const char *name)
{
    const char *value = std::getenv(name);
    return value && *value ? value : nullptr;
}

} // namespace

Control::Control()
{
    if (const char *count = setting("CDNA_DEVICES")) devices = std::clamp(std::atoi(count), 0, 16);
    if (const char *name = setting("CDNA_CHIP")) {
        const Chip all[] = {Chip::gfx90a, Chip::gfx942, Chip::gfx950};
        auto found = std::find_if(std::begin(all), std::end(all),
                                  [&](Chip each) { return !std::strcmp(name, name_of(each)); });
        if (found == std::end(all)) {
            report(std::string("CDNA_CHIP=") + name + ": no chip of the emulator, so no device");
            devices = 0;
        } else {
            chip = *found;
        }
    }
    const char *start = setting("CDNA_SEED");
    seed(start ? std::strtoull(start, nullptr, 0) : 0);
    if (const char *list = setting("CDNA_FAIL")) read_failures(list);
    if (const char *nop = setting("CDNA_NOP"))
        if (const char *colon = std::strrchr(nop, ':')) {
            nop_kernel.assign(nop, colon);
            nop_address = std::strtoull(colon + 1, nullptr, 16);
        }
}

void Control::read_failures(const char *list)
{
    std::string rest = list;
    while (!rest.empty()) {
        size_t end = std::min(rest.find(','), rest.size());
        std::string item = rest.substr(0, end);
        rest.erase(0, end + 1);
        size_t first = item.find(':'), second = item.rfind(':');
        if (first == std::string::npos || first == second) {
            report("CDNA_FAIL: '" + item + "' is not name:n:code");
            continue;
        }
        fail(item.substr(0, first), std::strtoull(item.c_str() + first + 1, nullptr, 0),
             std::atoi(item.c_str() + second + 1));
    }
}

void Control::end()
{
    for (auto &text : reports_) std::fprintf(stderr, "cdna: %s\n", text.c_str());
    if (dropped_) std::fprintf(stderr, "cdna: and %zu more\n", dropped_);
    if (const char *name = setting("CDNA_EXECUTED"))
        if (std::FILE *file = std::fopen(name, "a")) {
            for (auto &entry : executed_)
                std::fprintf(file, "%s %llu\n", entry.first.c_str(),
                             static_cast<unsigned long long>(entry.second));
            std::fclose(file);
        }
    const char *status = setting("CDNA_EXIT");
    if (status && !reports_.empty()) {
        std::fflush(nullptr);
        _exit(std::atoi(status));
    }
}

Status Control::enter(const char *call)
{
    int code = 0;
    for (const char *name : {call, "*"}) {
        counts_[name]++;
        auto planned = failures_.find(name);
        if (planned == failures_.end() || --planned->second.left) continue;
        code = planned->second.code;
        failures_.erase(planned);
    }
    return Status(code);
}

void Control::fail(const std::string &call, uint64_t n, int code)
{
    failures_.erase(call);
    if (n) failures_[call] = {n, code};
}

void Control::report(const std::string &text)
{
    if (reports_.size() < 1000)
        reports_.push_back(text);
    else
        dropped_++;
}

int Control::take_reports(char *text, size_t bytes)
{
    std::string all;
    for (auto &each : reports_) all += each + "\n";
    if (text && bytes) {
        size_t count = std::min(all.size(), bytes - 1);
        std::memcpy(text, all.data(), count);
        text[count] = 0;
    }
    int count = int(reports_.size() + dropped_);
    reports_.clear();
    dropped_ = 0;
    return count;
}

void Control::seed(uint64_t value) { random_ = value * 0x9e3779b97f4a7c15u + 1; }

uint64_t Control::random()
{
    uint64_t z = random_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

} // namespace cdna::hip

using cdna::hip::face;

extern "C" {
#define CDNA_EXPORT __attribute__((visibility("default")))

CDNA_EXPORT uint64_t cdna_count(const char *name)
{
    auto &all = face();
    std::lock_guard<std::mutex> hold(all.lock);
    if (std::strcmp(name, "live") == 0) return all.heap.live();
    if (std::strcmp(name, "queued") == 0) return all.queue.waiting();
    return all.control.counted(name);
}

CDNA_EXPORT void cdna_fail(const char *name, uint64_t n, int code)
{
    std::lock_guard<std::mutex> hold(face().lock);
    face().control.fail(name, n, code);
}

CDNA_EXPORT int cdna_reports(char *text, size_t bytes)
{
    std::lock_guard<std::mutex> hold(face().lock);
    return face().control.take_reports(text, bytes);
}

CDNA_EXPORT void cdna_seed(uint64_t seed)
{
    std::lock_guard<std::mutex> hold(face().lock);
    face().control.seed(seed);
}

CDNA_EXPORT void cdna_nop(const char *kernel, uint64_t address)
{
    std::lock_guard<std::mutex> hold(face().lock);
    face().control.nop_kernel = kernel ? kernel : "";
    face().control.nop_address = address;
}
}
