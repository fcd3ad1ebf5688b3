/* sabotage_memory.h -- the memory of a launch: blocks of random numbers that it reads, blocks that
 * it writes, and between them nothing. */
#ifndef CDNA_TESTS_SABOTAGE_MEMORY_H
#define CDNA_TESTS_SABOTAGE_MEMORY_H

#include "../cdna.h"

#include <cmath>
#include <cstring>

namespace sabotage
{

class Memory : public cdna::Memory
{
  public:
    cdna::Range find(uint64_t at) override;

    /* Addresses of blocks that a kernel reads. */
    uint64_t bytes(size_t n);
    uint64_t floats(size_t n, float low, float high);
    uint64_t halves(size_t n, size_t every);
    uint64_t words(const std::vector<int32_t> &x);
    /* The address of one that it writes. */
    uint64_t output(size_t n);

    void forget_output();
    std::string output_bits() const;

  private:
    struct Block {
        uint64_t address;
        std::vector<char> data;
        bool output;
    };

    char *add(size_t n, bool output);
    uint64_t last() const { return blocks_.back().address; }
    float unit()
    {
        state_ = state_ * 6364136223846793005 + 1442695040888963407;
        return float(state_ >> 40) * 0x1p-24f;
    }

    std::vector<Block> blocks_;
    uint64_t state_ = 1;
};

inline cdna::Range Memory::find(uint64_t at)
{
    for (Block &b : blocks_)
        if (at >= b.address && at < b.address + b.data.size())
            return {b.address, b.address + b.data.size(), b.data.data(), b.output};
    return {0, 0, nullptr, false};
}

inline uint64_t Memory::bytes(size_t n)
{
    char *to = add(n, false);
    for (size_t i = 0; i < n; i++) to[i] = char(int(unit() * 254) - 127);
    return last();
}

inline uint64_t Memory::floats(size_t n, float low, float high)
{
    char *to = add(n * 4, false);
    for (size_t i = 0; i < n; i++) {
        float x = low + (high - low) * unit();
        memcpy(to + 4 * i, &x, 4);
    }
    return last();
}

/* bf16 in [-1, 1); one of `every` is infinite, 0: none. Read as f16 they are finite, too. */
inline uint64_t Memory::halves(size_t n, size_t every)
{
    char *to = add(n * 2, false);
    for (size_t i = 0; i < n; i++) {
        float x = every && i % every == every / 2 ? INFINITY : 2 * unit() - 1;
        memcpy(to + 2 * i, reinterpret_cast<char *>(&x) + 2, 2);
    }
    return last();
}

inline uint64_t Memory::words(const std::vector<int32_t> &x)
{
    memcpy(add(x.size() * 4, false), x.data(), x.size() * 4);
    return last();
}

inline uint64_t Memory::output(size_t n)
{
    add(n, true);
    return last();
}

inline void Memory::forget_output()
{
    for (Block &b : blocks_)
        if (b.output) memset(b.data.data(), 0xff, b.data.size());
}

inline std::string Memory::output_bits() const
{
    std::string bits;
    for (const Block &b : blocks_)
        if (b.output) bits.append(b.data.data(), b.data.size());
    return bits;
}

/* Multiples of 256 and no more, each in a GiB of its own. */
inline char *Memory::add(size_t n, bool output)
{
    const uint64_t at = (uint64_t(blocks_.size()) + 1) << 30 | 0x7f00;
    blocks_.push_back({at, std::vector<char>(n), output});
    return blocks_.back().data.data();
}

} // namespace sabotage

#endif /* CDNA_TESTS_SABOTAGE_MEMORY_H */
