/* hip_overlap.cpp -- footprints of operations in memory. */
#include "hip_overlap.h"

#include <algorithm>

namespace cdna::hip
{

void Footprint::touch(uint64_t address, size_t bytes, bool write)
{
    for (uint64_t at = address; at < address + bytes; at++) {
        if (at / page != last_number_) {
            last_number_ = at / page;
            last_ = &pages_[last_number_];
        }
        (write ? last_->written : last_->read).set(at % page);
    }
}

void Footprint::span(uint64_t address, size_t bytes, bool write)
{
    if (bytes) spans_.push_back({address, address + bytes, write});
}

void Footprint::clear()
{
    pages_.clear();
    spans_.clear();
    last_number_ = ~uint64_t(0);
}

/* Does this footprint touch the span's bytes, one of the two writing? */
bool Footprint::meets(const Span &span, uint64_t *address) const
{
    for (const Span &own : spans_) {
        *address = std::max(own.begin, span.begin);
        if (*address < std::min(own.end, span.end) && (own.write || span.write)) return true;
    }
    for (const auto &entry : pages_) {
        uint64_t begin = std::max(entry.first * page, span.begin);
        uint64_t end = std::min((entry.first + 1) * page, span.end);
        const Page &mine = entry.second;
        for (*address = begin; *address < end; ++*address)
            if (mine.written[*address % page] || (span.write && mine.read[*address % page]))
                return true;
    }
    return false;
}

bool Footprint::overlaps(const Footprint &other, uint64_t *address) const
{
    for (const Span &span : other.spans_)
        if (meets(span, address)) return true;
    for (const Span &span : spans_)
        if (other.meets(span, address)) return true;
    for (const auto &entry : pages_) {
        auto theirs = other.pages_.find(entry.first);
        if (theirs == other.pages_.end()) continue;
        const Page &a = entry.second, &b = theirs->second;
        auto both = (a.written & (b.read | b.written)) | (a.read & b.written);
        if (both.none()) continue;
        *address = entry.first * page + both._Find_first();
        return true;
    }
    return false;
}

} // namespace cdna::hip
