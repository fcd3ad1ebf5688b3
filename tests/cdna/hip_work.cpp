/* hip_work.cpp -- running one queued operation: a kernel through the emulator's core, a copy, a
 * fill, the moment of an event. */
#include "hip_state.h"

#include <cstdio>
#include <cstring>

namespace cdna::hip
{
namespace
{

/* The memory of one launch: blocks of its device, pinned ones that were mapped for it, and notes
 * of what it asked for beside them. */
class View : public Memory
{
  public:
    View(Heap &heap, int device) : heap_(heap), device_(device) {}
    Range find(uint64_t address) override
    {
        Block *block = heap_.find(address);
        if (block && block->live && (block->device == device_ || block->mapped)) {
            seen.insert(block);
            return {block->address, block->address + block->bytes, block->host, true};
        }
        if (strays.size() < 8) strays.insert(address);
        return {address, address, nullptr, false};
    }
    std::set<Block *> seen;
    std::set<uint64_t> strays;

  private:
    Heap &heap_;
    int device_;
};

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
    std::string name = "kernel " + work.what.kernel->name + ": ";
    if (!work.module->loaded)
        face_.blame(work.device, false, name + "its module was unloaded while the launch waited");
    View view(face_.heap, work.device);
    Options options;
    options.seed = control.random();
    if (control.nop_kernel == work.what.kernel->name) options.nop_address = control.nop_address;
    Result result = cdna::run(work.what, view, options);
    clock_ += double(result.wave_instructions) * 1e-6;
    control.count("wave_instructions", result.wave_instructions);
    for (auto &entry : result.executed) control.executed(entry.first, entry.second);
    for (Block *block : view.seen) block->version++;
    for (auto &report : result.reports) face_.blame(work.device, false, name + report);
    if (result.reports.empty()) return;
    for (uint64_t address : view.strays)
        face_.blame(work.device, true,
                    name + hexadecimal(address) + " is " + face_.heap.describe(address));
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
