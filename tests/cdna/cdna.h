/* cdna.h -- the interface of the CDNA emulator: load a code object, run one of its kernels on the
 * CPU, one machine instruction after the other, and hear about everything it did wrong. */
#ifndef CDNA_H
#define CDNA_H

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace cdna
{

enum class Chip { gfx90a, gfx942, gfx950 };

/* One argument of the metadata's .args list: what a launch copies, or a hidden value. */
struct Argument {
    uint32_t offset, bytes;
    std::string kind; /* by_value, global_buffer, hidden_block_count_x, ... */
};

struct Kernel {
    std::string name;
    std::vector<Argument> arguments;
    uint32_t kernarg_bytes, lds_bytes, scratch_bytes; /* lds_bytes: static; scratch: of a lane */
    uint32_t max_threads, vgprs, agprs, sgprs;        /* vgprs: of a lane, agprs included */
    uint32_t vgpr_spills, sgpr_spills;
    uint64_t entry, code_bytes;
};

/* An instruction as the disassembler prints it. */
struct Line {
    uint64_t address;
    std::string opcode, text;
};

/* A raw ELF code object (version 5). Immutable and safe to share between threads; a kernel is
 * decoded when it is first run or listed. */
class CodeObject
{
  public:
    static std::shared_ptr<const CodeObject> load(const void *image, size_t bytes,
                                                  std::string *error);
    virtual ~CodeObject() = default;
    virtual Chip chip() const = 0;
    virtual const std::vector<Kernel> &kernels() const = 0;
    virtual const Kernel *find(const std::string &name) const = 0;
    virtual const void *symbol(const std::string &name, size_t *bytes) const = 0; /* data, or 0 */
    virtual bool listing(const Kernel &, std::vector<Line> *, std::string *error) const = 0;
};

/* The device addresses [begin, end) lie at `host`; empty (begin == end): nobody's memory. */
struct Range {
    uint64_t begin, end;
    char *host;
    bool writable;
};

/* What a kernel may touch. The range around an address must not change during run(); run() calls
 * find() from its own thread only and remembers the answers until it returns. Addresses from
 * private_begin up belong to the emulator (arguments, code, scratch). */
class Memory
{
  public:
    virtual ~Memory() = default;
    virtual Range find(uint64_t address) = 0;
    /* With `watch` set run() tells every access of a lane that it carries out: whoever runs kernels
     * side by side learns which bytes they share. */
    bool watch = false;
    virtual void touch(uint64_t, size_t, bool /* write */) {}
};
constexpr uint64_t private_begin = 0x7f0000000000;

struct Launch {
    std::shared_ptr<const CodeObject> code;
    const Kernel *kernel;
    uint32_t grid[3], block[3]; /* grid in workgroups */
    uint32_t dynamic_lds;
    std::vector<uint8_t> kernarg; /* laid out by Kernel::arguments; hidden ones are filled in */
};

struct Options {
    uint64_t seed = 0;              /* the interleaving of waves, and the order of workgroups */
    uint64_t nop_address = 0;       /* sabotage: this instruction runs as s_nop 0; 0: none */
    uint64_t most_instructions = 0; /* of a wave, then a report and the end; 0: 2^32 */
    uint32_t most_reports = 16;
};

/* What a wait found done. Nobody has to wait for a store inside a launch. */
enum Retired : unsigned {
    retired_store = 1,
    retired_lds_write = 2,
    retired_load = 4,
    retired_lds_read = 8,
    retired_load_to_lds = 16,
    retired_scalar = 32
};

struct Result {
    std::vector<std::string> reports; /* empty: clean */
    uint64_t wave_instructions;
    std::map<std::string, uint64_t> executed; /* opcode -> times */
    std::vector<uint64_t> reached;            /* addresses of the instructions that ran */
    std::map<uint64_t, unsigned> waits;       /* s_waitcnt that ran -> a set of Retired */
};

/* True if every opcode of the kernel is known; else error names opcode and address. */
bool prepare(const CodeObject &, const Kernel &, std::string *error);
Result run(const Launch &, Memory &, const Options &);

} // namespace cdna

#endif /* CDNA_H */
