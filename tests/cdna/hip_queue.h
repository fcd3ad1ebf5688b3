/* hip_queue.h -- queued work: what an operation does, what it must come after, and the running of
 * it in an order that only a seed knows. */
#ifndef CDNA_HIP_QUEUE_H
#define CDNA_HIP_QUEUE_H

#include "hip_memory.h"
#include "hip_overlap.h"

namespace cdna::hip
{

struct Face;

/* Of a loaded image; functions and queued launches keep it alive. */
struct Module {
    std::shared_ptr<const CodeObject> code;
    int device;
    bool loaded = true;
    std::map<std::string, Block *> globals; /* copies, made when first asked for */
};

/* When an event was last recorded: filled in by the queue, read through the event. */
struct Moment {
    bool reached = false;
    double milliseconds = 0;
};

struct Work {
    enum Kind { mark, launch, copy, fill } kind = mark;
    int device = 0;
    Launch what{};                  /* launch */
    std::shared_ptr<Module> module; /* launch */
    std::shared_ptr<Moment> moment; /* mark */
    uint64_t to = 0, from = 0;      /* copy; fill: to */
    size_t bytes = 0;
    uint32_t pattern = 0; /* fill: repeated */
    unsigned width = 1;   /* of the pattern */
};

struct Operation {
    uint64_t id; /* also the stamp of when it was queued */
    uint64_t lane;
    Work work;
    std::vector<uint64_t> after, before; /* what it waits for, and what waits for it */
    size_t blockers = 0;                 /* of `after`, those that have not run */
    bool done = false, needed = false;
    uint64_t known = 0;                           /* stamp of when the host learnt of its end */
    uint64_t source_hash = 0, source_version = 0; /* a copy's source as it was when queued */
    Footprint footprint;
};

uint64_t hash_of(const char *bytes, size_t count);

class Queue
{
  public:
    explicit Queue(Face &face) : face_(face) {}
    uint64_t push(Work work, std::vector<uint64_t> after, uint64_t lane);
    bool ran(uint64_t id) const;
    bool known(uint64_t id) const;                 /* has the host waited for it? */
    void finish(const std::vector<uint64_t> &ids); /* the host waits for them */
    bool progress(uint64_t id);                    /* run something; has it run now? */
    void finish_all();
    size_t waiting() const { return waiting_; }
    uint64_t new_lane() { return ++lanes_; }

  private:
    void run_one(bool needed_only);
    void run(Operation &);
    void run_launch(Operation &);
    void run_copy(Operation &);
    void run_fill(Operation &);
    char *bytes_of(const Operation &, uint64_t address, size_t bytes, const char *what);
    void watch_source(Operation &);
    void poison_target(Operation &);
    void need(uint64_t id);
    void learn(uint64_t id);
    void find_overlaps(Operation &);
    void forget();

    Face &face_;
    std::map<uint64_t, Operation> operations_;
    std::vector<uint64_t> ready_;
    std::map<uint64_t, size_t> lanes_in_use_; /* lane -> its operations in the table */
    uint64_t stamp_ = 0, lanes_ = 0;
    size_t waiting_ = 0;
    double clock_ = 0; /* milliseconds of the devices' common time */
};

} // namespace cdna::hip

#endif /* CDNA_HIP_QUEUE_H */
