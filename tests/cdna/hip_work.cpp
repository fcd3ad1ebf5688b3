/* hip_work.cpp -- running one queued operation: a kernel through the emulator's core, a copy, a
 * fill, the moment of an event. */
#include "hip_state.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace cdna::hip
{
namespace
{

/* The memory of one launch: blocks of its device, and pinned ones that were mapped for it. */
class View : public Memory
{
  public:
    View(Heap &heap, int device, Footprint *footprint)
        : heap_(heap), device_(device), footprint_(footprint)
    {
        watch = footprint != nullptr;
    }
    Range find(uint64_t address) override
    {
        Block *block = heap_.find(address);
        if (!block || !block->live || (block->device != device_ && !block->mapped))
            return {address, address, nullptr, false};
        seen.insert(block);
        return {block->address, block->address + block->bytes, block->host, true};
    }
    void touch(uint64_t address, size_t bytes, bool write) override
    {
        if (address < private_begin) footprint_->touch(address, bytes, write);
    }
    std::set<Block *> seen;

  private:
    Heap &heap_;
    int device_;
    Footprint *footprint_;
};

/* The address that a report of the core says lies outside of every allocation; 0: says no such. */
uint64_t stray_address(const std::string &report)
{
    size_t end = report.find(", outside of every allocation");
    size_t at = end == std::string::npos ? end : report.rfind("0x", end);
    return at == std::string::npos ? 0 : std::strtoull(report.c_str() + at, nullptr, 16);
}

std::string hexadecimal(uint64_t value)
{
    char text[32];
    std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
    return text;
}

} // namespace

void Queue::run(Operation &op)
{
    clock_ += 1e-3;
    if (op.work.kind == Work::launch) run_launch(op);
    if (op.work.kind == Work::copy) run_copy(op);
    if (op.work.kind == Work::fill) run_fill(op);
    if (op.work.moment) {
        op.work.moment->reached = true;
        op.work.moment->milliseconds = clock_;
    }
}

void Queue::run_launch(Operation &op)
{
    Work &work = op.work;
    Control &control = face_.control;
    const std::string &name = work.what.kernel->name;
    if (!work.module->loaded)
        face_.blame(work.device, false, name + ": its module was unloaded while it was queued");
    View view(face_.heap, work.device, lanes_in_use_.size() > 1 ? &op.footprint : nullptr);
    Options options;
    options.seed = control.random();
    if (control.nop_kernel == name) options.nop_address = control.nop_address;
    Result result = cdna::run(work.what, view, options);
    clock_ += double(result.wave_instructions) * 1e-6;
    control.count("wave_instructions", result.wave_instructions);
    for (auto &entry : result.executed) control.executed(entry.first, entry.second);
    for (Block *block : view.seen) block->version++;
    for (auto &report : result.reports) {
        uint64_t stray = stray_address(report);
        face_.blame(work.device, stray != 0,
                    stray ? report + ", " + face_.heap.describe(stray) : report);
    }
}

/* The bytes behind an address that was good when the operation was queued, or nullptr. */
char *Queue::bytes_of(const Operation &op, uint64_t address, size_t bytes, const char *what)
{
    Block *block = face_.heap.find(address);
    if (!block) return reinterpret_cast<char *>(address);
    if (block->live && address - block->address + bytes <= block->bytes)
        return block->host + (address - block->address);
    face_.blame(op.work.device, true,
                std::string(what) + hexadecimal(address) + ": " + face_.heap.describe(address));
    return nullptr;
}

void Queue::run_copy(Operation &op)
{
    const Work &work = op.work;
    char *from = bytes_of(op, work.from, work.bytes, "copy from ");
    char *to = bytes_of(op, work.to, work.bytes, "copy to ");
    if (!from || !to) return;
    Block *source = face_.heap.find(work.from), *target = face_.heap.find(work.to);
    if (!source || source->device == pinned) {
        uint64_t version = source ? source->version : 0;
        if (version == op.source_version && hash_of(from, work.bytes) != op.source_hash)
            face_.blame(work.device, false,
                        "copy from host memory at " + hexadecimal(work.from) +
                            ": the host changed it while the copy waited");
    }
    std::memmove(to, from, work.bytes);
    if (target) target->version++;
    op.footprint.span(work.from, work.bytes, false);
    op.footprint.span(work.to, work.bytes, true);
}

void Queue::run_fill(Operation &op)
{
    const Work &work = op.work;
    char *to = bytes_of(op, work.to, work.bytes, "fill of ");
    if (!to) return;
    if (work.width == 1) std::memset(to, int(work.pattern), work.bytes);
    for (size_t i = 0; work.width > 1 && i < work.bytes; i += work.width)
        std::memcpy(to + i, &work.pattern, work.width);
    if (Block *target = face_.heap.find(work.to)) target->version++;
    op.footprint.span(work.to, work.bytes, true);
}

} // namespace cdna::hip
