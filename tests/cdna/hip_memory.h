/* hip_memory.h -- device memory that the host cannot read and pinned host memory: where blocks lie,
 * which of them live, and what an address that hits none of them was meant to be. */
#ifndef CDNA_HIP_MEMORY_H
#define CDNA_HIP_MEMORY_H

#include "cdna.h"

namespace cdna::hip
{

constexpr int pinned = -1; /* the device of host memory */

struct Block {
    uint64_t address; /* what the program sees */
    size_t bytes;
    int device;
    bool mapped;   /* pinned memory that kernels may touch */
    bool live;     /* false: freed; its addresses are not given out again */
    char *host;    /* where the bytes are; of pinned memory: the address itself */
    char *mapping; /* of `host`, with its length */
    size_t mapping_bytes;
    uint64_t version = 0; /* counts the queued operations that wrote to it */
    uint64_t pending = 0; /* queued copies and fills that have not run */
};

/* Addresses of blocks come from a region that is reserved and not accessible, with a gap around
 * each block, and are never used twice. The bytes of device memory lie elsewhere: a private mapping
 * of a file of NaN patterns, so that fresh memory is poisoned and a block may be larger than the
 * machine's memory. */
class Heap
{
  public:
    explicit Heap(size_t device_bytes) : device_bytes_(device_bytes) {}
    ~Heap();
    Heap(const Heap &) = delete;
    Heap &operator=(const Heap &) = delete;

    Block *allocate(int device, size_t bytes, bool mapped = false); /* nullptr: out of memory */
    void release(Block *);
    Block *find(uint64_t address);     /* the block around it, dead or alive, or nullptr */
    bool owns(uint64_t address) const; /* in the region, so that the host must not touch it */
    size_t used(int device) { return used_[device]; }
    size_t live() const { return live_; }
    std::string describe(uint64_t address); /* "12 bytes past the end of ..." */

  private:
    bool reserve();
    char *poisoned(size_t bytes);
    bool protect(Block *, bool accessible);

    size_t device_bytes_;
    std::map<uint64_t, Block> blocks_;
    std::map<int, size_t> used_;
    size_t live_ = 0;
    char *region_ = nullptr;
    uint64_t next_ = 0;
    int poison_file_ = -1;
    unsigned shift_ = 1;
};

constexpr uint16_t poison = 0x7fff; /* NaN as f32, f16, bf16; as int32 a large number */
void fill_poison(char *at, size_t bytes);

} // namespace cdna::hip

#endif /* CDNA_HIP_MEMORY_H */
