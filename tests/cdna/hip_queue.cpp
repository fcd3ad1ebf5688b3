/* hip_queue.cpp -- the order of queued operations. The host waits for some of them; those run, and
 * what they come after, and on a toss of the seed whatever else is ready, in a random order. */
#include "hip_state.h"

#include <algorithm>
#include <cstring>

namespace cdna::hip
{
uint64_t hash_of(const char *bytes, size_t count)
{
    uint64_t hash = count, word = 0;
    for (size_t i = 0; i < count; i += sizeof word) {
        std::memcpy(&word, bytes + i, std::min(sizeof word, count - i));
        hash = (hash ^ word) * 1099511628211u;
        hash ^= hash >> 29;
    }
    return hash;
}

namespace
{

std::string text_of(const Operation &op)
{
    const char *what[] = {"event", "kernel ", "copy", "fill"};
    return what[op.work.kind] + (op.work.kind == Work::launch ? op.work.what.kernel->name : "");
}

} // namespace

uint64_t Queue::push(Work work, std::vector<uint64_t> after, uint64_t lane)
{
    Operation op{};
    op.id = ++stamp_;
    op.lane = lane;
    op.work = std::move(work);
    std::sort(after.begin(), after.end());
    after.erase(std::unique(after.begin(), after.end()), after.end());
    for (uint64_t id : after) {
        auto earlier = operations_.find(id);
        if (earlier == operations_.end()) continue;
        op.after.push_back(id);
        if (earlier->second.done) continue;
        earlier->second.before.push_back(op.id);
        op.blockers++;
    }
    if (op.blockers == 0) ready_.push_back(op.id);
    lanes_in_use_[lane]++;
    waiting_++;
    watch_source(op);
    poison_target(op);
    for (uint64_t address : {op.work.from, op.work.to})
        if (Block *block = face_.heap.find(address)) block->pending++;
    uint64_t id = op.id;
    operations_.emplace(id, std::move(op));
    return id;
}

/* The host must leave the source of a queued copy alone; so what is read later must be the same. */
void Queue::watch_source(Operation &op)
{
    if (op.work.kind != Work::copy) return;
    Block *block = face_.heap.find(op.work.from);
    if (block && (block->device != pinned || !block->live)) return;
    op.source_version = block ? block->version : 0;
    op.source_hash = hash_of(reinterpret_cast<char *>(op.work.from), op.work.bytes);
}

/* What the host reads too early is poison, not the right numbers of the run before. */
void Queue::poison_target(Operation &op)
{
    if (op.work.kind != Work::copy) return;
    Block *to = face_.heap.find(op.work.to), *from = face_.heap.find(op.work.from);
    if (to && to->device == pinned && to->live && !to->mapped && to->pending == 0 && from != to)
        fill_poison(reinterpret_cast<char *>(op.work.to), op.work.bytes);
}

bool Queue::ran(uint64_t id) const
{
    auto found = operations_.find(id);
    return found == operations_.end() || found->second.done;
}

bool Queue::known(uint64_t id) const
{
    auto found = operations_.find(id);
    return found == operations_.end() || found->second.known;
}

void Queue::need(uint64_t id)
{
    std::vector<uint64_t> stack{id};
    while (!stack.empty()) {
        auto found = operations_.find(stack.back());
        stack.pop_back();
        if (found == operations_.end() || found->second.done || found->second.needed) continue;
        found->second.needed = true;
        for (uint64_t earlier : found->second.after) stack.push_back(earlier);
    }
}

void Queue::finish(const std::vector<uint64_t> &ids)
{
    for (uint64_t id : ids) need(id);
    bool eager = face_.control.random() % 2;
    for (uint64_t id : ids)
        while (!ran(id)) run_one(!eager);
    ++stamp_;
    for (uint64_t id : ids) learn(id);
    forget();
}

void Queue::finish_all()
{
    std::vector<uint64_t> ids;
    for (auto &entry : operations_) ids.push_back(entry.first);
    finish(ids);
}

bool Queue::progress(uint64_t id)
{
    if (!ran(id)) run_one(false);
    if (!ran(id)) return false;
    ++stamp_;
    learn(id);
    forget();
    return true;
}

void Queue::run_one(bool needed_only)
{
    std::vector<size_t> choice;
    for (size_t i = 0; i < ready_.size(); i++)
        if (!needed_only || operations_.at(ready_[i]).needed) choice.push_back(i);
    size_t at = choice[face_.control.random() % choice.size()];
    Operation &op = operations_.at(ready_[at]);
    ready_[at] = ready_.back();
    ready_.pop_back();
    run(op);
    op.done = true;
    waiting_--;
    for (uint64_t address : {op.work.from, op.work.to})
        if (Block *block = face_.heap.find(address)) block->pending--;
    for (uint64_t id : op.before)
        if (--operations_.at(id).blockers == 0) ready_.push_back(id);
    if (lanes_in_use_.size() > 1) find_overlaps(op);
}

/* The host knows now that this operation has ended, and all that it came after. */
void Queue::learn(uint64_t id)
{
    std::vector<uint64_t> stack{id};
    while (!stack.empty()) {
        auto found = operations_.find(stack.back());
        stack.pop_back();
        if (found == operations_.end() || found->second.known) continue;
        found->second.known = stamp_;
        for (uint64_t earlier : found->second.after) stack.push_back(earlier);
    }
}

/* An operation of which the host knew when it queued the oldest that waits: nothing to come can
 * overlap with it. */
void Queue::forget()
{
    uint64_t oldest = stamp_ + 1;
    for (auto &entry : operations_)
        if (!entry.second.done) {
            oldest = entry.first;
            break;
        }
    for (auto at = operations_.begin(); at != operations_.end();) {
        if (!at->second.known || at->second.known > oldest) {
            ++at;
            continue;
        }
        auto lane = lanes_in_use_.find(at->second.lane);
        if (--lane->second == 0) lanes_in_use_.erase(lane);
        at = operations_.erase(at);
    }
}

/* Two operations without an order that share bytes, one of them writing: either order may happen,
 * or both at once. */
void Queue::find_overlaps(Operation &op)
{
    std::set<uint64_t> ordered;
    std::vector<uint64_t> stack(op.after);
    while (!stack.empty()) {
        uint64_t id = stack.back();
        stack.pop_back();
        auto found = operations_.find(id);
        if (!ordered.insert(id).second || found == operations_.end()) continue;
        for (uint64_t earlier : found->second.after) stack.push_back(earlier);
    }
    for (auto &entry : operations_) {
        Operation &other = entry.second;
        uint64_t address = 0;
        if (!other.done || &other == &op || ordered.count(other.id)) continue;
        if (other.known && other.known < op.id) continue;
        if (!op.footprint.overlaps(other.footprint, &address)) continue;
        face_.blame(op.work.device, false,
                    text_of(op) + " and " + text_of(other) +
                        " in another stream: no event orders " + "them, and both touch " +
                        face_.heap.describe(address));
    }
}

} // namespace cdna::hip
