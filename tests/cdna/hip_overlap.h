/* hip_overlap.h -- which bytes an operation read and wrote, and whether two operations that no
 * stream or event orders touched the same ones. */
#ifndef CDNA_HIP_OVERLAP_H
#define CDNA_HIP_OVERLAP_H

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace cdna::hip
{

/* Kernels touch single bytes, kept as bits of pages; copies and fills touch whole spans. */
class Footprint
{
  public:
    void touch(uint64_t address, size_t bytes, bool write);
    void span(uint64_t address, size_t bytes, bool write);
    bool overlaps(const Footprint &other, uint64_t *address) const; /* one of them writing */
    void clear();

  private:
    static constexpr uint64_t page = 4096;
    struct Page {
        std::bitset<page> read, written;
    };
    struct Span {
        uint64_t begin, end;
        bool write;
    };
    bool meets(const Span &span, uint64_t *address) const;

    std::unordered_map<uint64_t, Page> pages_;
    std::vector<Span> spans_;
    uint64_t last_number_ = ~uint64_t(0);
    Page *last_ = nullptr;
};

} // namespace cdna::hip

#endif /* CDNA_HIP_OVERLAP_H */
