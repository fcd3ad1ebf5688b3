/* hip_state.h -- everything the face remembers, behind one lock: devices, streams, events, graphs,
 * the heap, the queue, counters and reports. */
#ifndef CDNA_HIP_STATE_H
#define CDNA_HIP_STATE_H

#include <mutex>
#include <set>
#include <thread>

#include "hip_memory.h"
#include "hip_names.h"
#include "hip_queue.h"

namespace cdna::hip
{

enum Status : int {
#define HIP_ENUM(name, number, text) name = number,
    HIP_STATUSES(HIP_ENUM)
#undef HIP_ENUM
};
enum : int {
#define HIP_ENUM(name, number)                                   name = number,
#define HIP_ATTRIBUTE_ENUM(name, number, gfx90a, gfx942, gfx950) name = number,
    HIP_NUMBERS(HIP_ENUM) HIP_FLAGS(HIP_ENUM) HIP_ATTRIBUTES(HIP_ATTRIBUTE_ENUM)
        HIP_NEWER_ATTRIBUTES(HIP_ATTRIBUTE_ENUM)
#undef HIP_ENUM
#undef HIP_ATTRIBUTE_ENUM
};

struct Capture;

struct Stream {
    int device = 0;
    bool blocking = true, null = false;
    uint64_t lane = 0, last = 0;      /* last: the newest operation, 0: none */
    std::shared_ptr<Capture> capture; /* which it takes part in, and its newest nodes there */
    std::vector<size_t> tips;
};

struct Event {
    int device;
    unsigned flags;
    uint64_t operation = 0;
    std::shared_ptr<Moment> moment;   /* of the last record; none: never recorded */
    std::shared_ptr<Capture> capture; /* of a record in a capturing stream */
    std::vector<size_t> tips;
};

struct Node {
    Work work;
    std::vector<size_t> after;
};
struct Graph {
    std::vector<Node> nodes;
};
struct GraphExec {
    std::vector<Node> nodes;
    uint64_t last = 0; /* end of the newest launch: launches of one graph follow each other */
};

struct Capture {
    std::unique_ptr<Graph> graph = std::make_unique<Graph>();
    Stream *origin;
    int mode, device;
    std::thread::id thread;
    bool valid = true;
};

struct Function {
    std::shared_ptr<Module> module;
    const Kernel *kernel;
};

/* What a destroyed stream left behind. */
struct Orphan {
    uint64_t last;
    bool blocking;
};

struct Device {
    std::unique_ptr<Stream> null;
    std::set<Stream *> streams; /* of the program */
    std::vector<Orphan> orphans;
    Status pending = hipSuccess; /* what the next call that waits will answer */
};

/* Settings from the environment, counters, planned failures, reports, randomness. */
class Control
{
  public:
    Control();
    Status enter(const char *call); /* counts it; the failure that is due, or hipSuccess */
    void count(const std::string &what, uint64_t amount = 1) { counts_[what] += amount; }
    uint64_t counted(const std::string &what) { return counts_[what]; }
    void fail(const std::string &call, uint64_t n, int code);
    void report(const std::string &text);
    int take_reports(char *text, size_t bytes);
    void seed(uint64_t value);
    uint64_t random();
    void end(); /* of the process: prints what nobody read */
    void executed(const std::string &opcode, uint64_t times) { executed_[opcode] += times; }

    Chip chip = Chip::gfx950;
    int devices = 1;
    std::string nop_kernel;
    uint64_t nop_address = 0;

  private:
    struct Failure {
        uint64_t left;
        int code;
    };
    void read_failures(const char *list);
    std::map<std::string, uint64_t> counts_, executed_;
    std::map<std::string, Failure> failures_;
    std::vector<std::string> reports_;
    uint64_t random_ = 0;
    size_t dropped_ = 0;
};

template <typename T> using Handles = std::map<T *, std::unique_ptr<T>>;

struct Face {
    Face();
    std::mutex lock;
    Control control;
    Heap heap;
    Queue queue;
    std::vector<Device> devices;
    Handles<Stream> streams;
    Handles<Event> events;
    Handles<Graph> graphs;
    Handles<GraphExec> execs;
    Handles<Function> functions;
    std::map<Module *, std::shared_ptr<Module>> modules;
    std::set<std::shared_ptr<Capture>> captures;
    std::map<std::pair<std::thread::id, int>, Stream *> thread_streams;

    Stream *stream(Stream *handle); /* resolves the null stream; nullptr: no such stream */
    Status blame(int device, bool address, const std::string &report);
};

Face &face();
int &current_device(); /* of this thread */
int &capture_mode();   /* of this thread */
const char *name_of(Chip);
Status attribute_of(Chip, int attribute, int *value);
size_t memory_of(Chip);
void properties_of(Chip, char *properties);

/* Streams, in hip_stream.cpp. */
Status submit(Face &, Stream *, Work);
Status wait_for(Face &, int device, const std::vector<uint64_t> &);
std::vector<uint64_t> fence(Face &, const Stream &); /* what a new operation comes after */
std::vector<uint64_t> all_of(Face &, int device);
Status copy(Face &, void *to, const void *from, size_t bytes, int kind, Stream *, bool wait);
Status fill(Face &, void *to, uint32_t pattern, unsigned width, size_t bytes, Stream *);
Status create_stream(Face &, Stream **, unsigned flags);
void destroy_stream(Face &, Stream *);
Status take_pending(Face &, int device);
Status create_event(Face &, Event **, unsigned flags);
Status wait_event(Face &, Stream &, Event &);
Status record_event(Face &, Event &, Stream &);

/* Modules, in hip_module.cpp. */
Status load_module(Face &, Module **, const void *image);
Status unload_module(Face &, Module *);
Status global_of(Face &, Module *, const char *name, void **pointer, size_t *bytes);
Status launch(Face &, Function &, Launch, Stream *, void **parameters, void **extra);
int occupancy(const Kernel &, Chip, int threads, size_t dynamic_lds);
Status function_attribute(const Kernel &, Chip, int attribute, int *value);

/* Capture, in hip_graph.cpp. */
Status unsafe(Face &); /* may this thread allocate or wait now? Spoils the captures if not */
Status spoil(Face &, int device, Status);
Status begin_capture(Face &, Stream *, int mode);
Status end_capture(Face &, Stream *, Graph **);
void drop_capture(Face &, std::shared_ptr<Capture>);
Status add_node(Capture &, Stream &, Work);
Status launch_graph(Face &, GraphExec &, Stream &);

} // namespace cdna::hip

#endif /* CDNA_HIP_STATE_H */
