/* hip_memory.cpp -- the heap of the face: reserved addresses, poisoned bytes elsewhere. */
#include "hip_memory.h"

#include <cstdio>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

namespace cdna::hip
{
namespace
{

constexpr uint64_t page = 4096, gap = 16 << 20;
constexpr uint64_t region_bytes = uint64_t(32) << 40; /* below private_begin, see reserve() */
constexpr size_t poison_file_bytes = 16 << 20;

uint64_t round_up(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

std::string format(const char *text, unsigned long long a, unsigned long long b)
{
    char line[160];
    std::snprintf(line, sizeof line, text, a, b);
    return line;
}

bool host_mapped(uint64_t address)
{
    unsigned char resident;
    return mincore(reinterpret_cast<void *>(address / page * page), 1, &resident) == 0;
}

} // namespace

void fill_poison(char *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) at[i] = char(poison >> (i % 2 * 8));
}

Heap::~Heap()
{
    for (auto &entry : blocks_)
        if (entry.second.live) release(&entry.second);
    if (region_) munmap(region_, region_bytes);
    if (poison_file_ >= 0) close(poison_file_);
}

/* The region lies below private_begin, so that the core asks us about every address in it. */
bool Heap::reserve()
{
    if (region_) return true;
    for (uint64_t at = uint64_t(0x10) << 40; at < uint64_t(0x70) << 40; at += uint64_t(4) << 40) {
        void *got = mmap(reinterpret_cast<void *>(at), region_bytes, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (got == MAP_FAILED) continue;
        if (reinterpret_cast<uint64_t>(got) + region_bytes <= private_begin) {
            region_ = static_cast<char *>(got);
            next_ = reinterpret_cast<uint64_t>(got) + gap;
            return true;
        }
        munmap(got, region_bytes);
    }
    return false;
}

/* Windows on one small file: each reads as poison until it is written, then has its own page. */
char *Heap::poisoned(size_t bytes)
{
    if (poison_file_ < 0) {
        int file = memfd_create("poison", MFD_CLOEXEC);
        if (file < 0) return nullptr;
        void *view = MAP_FAILED;
        if (ftruncate(file, poison_file_bytes) == 0)
            view = mmap(nullptr, poison_file_bytes, PROT_WRITE, MAP_SHARED, file, 0);
        if (view == MAP_FAILED) {
            close(file);
            return nullptr;
        }
        fill_poison(static_cast<char *>(view), poison_file_bytes);
        munmap(view, poison_file_bytes);
        poison_file_ = file;
    }
    void *base =
        mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return nullptr;
    char *at = static_cast<char *>(base);
    for (size_t done = 0; done < bytes; done += poison_file_bytes) {
        size_t part = bytes - done < poison_file_bytes ? bytes - done : poison_file_bytes;
        if (mmap(at + done, part, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED,
                 poison_file_, 0) == MAP_FAILED) {
            munmap(base, bytes);
            return nullptr;
        }
    }
    return at;
}

/* Pinned memory is the host's to touch while it lives, and faults before and after. */
bool Heap::protect(Block *block, bool accessible)
{
    void *at = reinterpret_cast<void *>(block->address);
    size_t bytes = round_up(block->bytes, page);
    int access = accessible ? PROT_READ | PROT_WRITE : PROT_NONE;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | (accessible ? 0 : MAP_NORESERVE);
    return mmap(at, bytes, access, flags, -1, 0) != MAP_FAILED;
}

/* Device addresses are multiples of 256, as HIP promises, and of nothing larger. */
Block *Heap::allocate(int device, size_t bytes, bool mapped)
{
    if (bytes > device_bytes_ || (device != pinned && bytes > device_bytes_ - used_[device]))
        return nullptr;
    if (!reserve()) return nullptr;
    uint64_t offset = device == pinned ? 0 : 256 * shift_;
    uint64_t length = round_up(offset + bytes, page);
    uint64_t end = reinterpret_cast<uint64_t>(region_) + region_bytes;
    if (length + gap > end - next_) return nullptr;
    Block block{next_ + offset, bytes, device, mapped, true, nullptr, nullptr, length};
    if (device == pinned) {
        if (!protect(&block, true)) return nullptr;
        block.host = reinterpret_cast<char *>(block.address);
        fill_poison(block.host, bytes);
    } else {
        block.mapping = poisoned(length);
        if (!block.mapping) return nullptr;
        block.host = block.mapping + offset;
        shift_ = (shift_ + 2) % 16; /* odd, 1 to 15 */
    }
    next_ += round_up(length + gap, gap);
    used_[device] += bytes;
    live_++;
    return &(blocks_[block.address] = block);
}

void Heap::release(Block *block)
{
    block->live = false;
    used_[block->device] -= block->bytes;
    live_--;
    if (block->device == pinned)
        protect(block, false);
    else
        munmap(block->mapping, block->mapping_bytes);
    block->host = block->mapping = nullptr;
}

Block *Heap::find(uint64_t address)
{
    auto after = blocks_.upper_bound(address);
    if (after == blocks_.begin()) return nullptr;
    Block &block = std::prev(after)->second;
    return address - block.address < block.bytes ? &block : nullptr;
}

bool Heap::owns(uint64_t address) const
{
    return region_ && address - reinterpret_cast<uint64_t>(region_) < region_bytes;
}

std::string Heap::describe(uint64_t address)
{
    if (!owns(address))
        return host_mapped(address) ? "the host's memory, not the device's"
                                    : "no memory of anybody's";
    auto after = blocks_.upper_bound(address);
    if (after == blocks_.begin())
        return format("%llu bytes before the first block", after->first - address, 0);
    const Block &block = std::prev(after)->second;
    uint64_t inside = address - block.address;
    const char *state = block.live ? "" : " that was freed";
    std::string owner = block.device == pinned
                            ? " of pinned host memory" + std::string(state)
                            : " of device " + std::to_string(block.device) + std::string(state);
    if (inside < block.bytes)
        return format("byte %llu of a block of %llu bytes", inside, block.bytes) + owner;
    if (after != blocks_.end() && after->first - address < inside - block.bytes)
        return format("%llu bytes before a block of %llu bytes", after->first - address,
                      after->second.bytes);
    return format("%llu bytes past the end of a block of %llu bytes", inside - block.bytes,
                  block.bytes) +
           owner;
}

} // namespace cdna::hip
