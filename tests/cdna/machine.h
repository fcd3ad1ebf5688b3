/* machine.h -- inside the emulator: a decoded instruction, the state of a wave, of a workgroup and
 * of the launch, and the table rows that connect a mnemonic with the function that executes it. */
#ifndef CDNA_MACHINE_H
#define CDNA_MACHINE_H

#include "cdna.h"
#include "floats.h"

#include <cstring>
#include <mutex>

namespace cdna
{

struct Wave;
struct Inst;
struct Row;
using Run = void (*)(Wave &, const Inst &);

constexpr int lanes = 64;
constexpr int agpr0 = 256; /* a0 in the register file of a wave */
constexpr int registers = 512;
constexpr uint32_t poison = 0xffffffff; /* NaN as f32, f16 and bf16 */
constexpr uint64_t all_lanes = ~uint64_t(0);

enum Scalar { flat_scratch = 102, vcc = 106, ttmp = 108, m0 = 124, exec = 126, scalars = 128 };

struct Operand {
    enum Kind : uint8_t { none, vector, scalar, constant, off, scc, execz, vccz };
    Kind kind = none;
    uint8_t dwords = 1;
    uint8_t select = 6; /* SDWA: 0..3 byte, 4..5 word, 6 dword */
    bool negate = false, absolute = false, extend = false;
    uint16_t reg = 0;
    uint64_t value = 0;
};

/* Type of a source or result: how a constant reads, how many registers it takes.
 * f: f32, u: 32 bits, h: f16, w: 16 bits, d: f64, q: 64 bits, F: two f32. */
using Types = const char *;

struct Span {
    uint16_t reg = 0, count = 0;
};

struct Dpp {
    bool on = false, bound_zero = false;
    uint8_t rows = 15, banks = 15;
    int8_t from[lanes]; /* source lane, -1: none */
};

enum class Unit : uint8_t { scalar, vector, matrix, lds, memory, smem, control };

/* flags of a row */
enum : uint32_t {
    reads_dst = 1,    /* the result register is the last source too (fmac) */
    keeps_high = 2,   /* a 16-bit result leaves the other half alone */
    reads_vcc = 4,    /* without naming it */
    dot = 8,          /* a dot product: other hazards than the rest of the VALU */
    packed = 16,      /* op_sel_hi defaults to ones */
    no_dst = 32,      /* the first operand is a source */
    two_dst = 64,     /* the second operand is a result too */
    both_dst = 128,   /* two operands, each read and written */
    xdl = 256,        /* MFMA on the XDL unit (all but f32 and f64 products) */
    may_return = 512, /* an atomic: with sc0 (glc) the first operand is a result */
    saturates = 1024  /* clamp: an integer result stays in its range */
};

struct Row {
    const char *name;
    Run run;
    Types types; /* result, then sources; registers per operand come from the text */
    Unit unit;
    uint32_t flags;
    int a, b, c; /* meaning is the group's: bytes, dimensions, passes */
};

struct Rows {
    const Row *begin, *end;
};
Rows scalar_rows(), vector_rows(), integer_rows(), compare_rows(), packed_rows(), convert_rows(),
    lane_rows(), mfma_rows(), lds_rows(), vmem_rows(), wave_rows();

struct Inst {
    Run run = nullptr;
    const Row *row = nullptr;
    Unit unit = Unit::control;
    uint8_t sources = 0;
    bool clamp = false, lds = false, offen = false, idxen = false, returns = false, sdwa = false,
         vop3 = false;
    uint8_t omod = 0; /* 1: times 2, 2: times 4, 3: half */
    uint8_t op_sel = 0, op_sel_hi = 0, neg_lo = 0, neg_hi = 0;
    uint8_t dst_select = 6, dst_unused = 0; /* 0 pad, 1 sign, 2 preserve */
    uint8_t cbsz = 0, abid = 0, blgp = 0;
    Operand d, d2, s[5];
    int32_t offset = 0, offset1 = 0;
    uint32_t imm = 0, target = 0; /* bitop3, swizzle, waits; index of the branch's aim */
    uint64_t address = 0, next = 0;
    Span reads[6], writes[2];
    uint64_t scalar_reads[2] = {0, 0}, scalar_writes[2] = {0, 0};
    std::unique_ptr<Dpp> dpp;
    std::string opcode, text;
};

struct Code {
    std::vector<Inst> insts;
    std::string error;
    int index(uint64_t address) const; /* -1: no instruction starts there */
};

/* An instruction as the disassembler prints it. */
struct Printed {
    uint64_t address;
    std::string mnemonic, operands;
    std::vector<uint32_t> words;
};

struct Descriptor {
    uint32_t rsrc1, rsrc2, rsrc3;
    uint16_t properties;
};

class Image : public CodeObject
{
  public:
    Chip chip_;
    std::vector<uint8_t> file, memory; /* memory: the loaded segments, at virtual address 0 */
    std::vector<Kernel> kernels_;
    std::map<std::string, std::pair<uint64_t, uint64_t>> symbols; /* name -> address, bytes */
    std::map<std::string, Descriptor> descriptors;
    Chip chip() const override { return chip_; }
    const std::vector<Kernel> &kernels() const override { return kernels_; }
    const Kernel *find(const std::string &name) const override;
    const void *symbol(const std::string &name, size_t *bytes) const override;
    bool listing(const Kernel &, std::vector<Line> *, std::string *error) const override;
    const Code &code(const Kernel &) const;                      /* decoded once */
    mutable std::map<std::string, std::vector<Printed>> printed; /* what the tool said */
    mutable std::mutex printing;
    ~Image() override;

  private:
    friend struct ImageCache;
    mutable std::map<std::string, std::unique_ptr<Code>> decoded;
};

/* A memory operation on its way. What a load brings lands when a wait retires it. */
struct Pending {
    enum Kind : uint8_t { nothing, load, to_lds, lds_read, lds_write, lds_both };
    Kind kind;
    uint8_t dwords; /* of a lane in registers, 0: no result */
    uint8_t half;   /* d16: 1 low, 2 high half of the register only */
    uint8_t bytes;  /* of a lane in LDS, at each address */
    uint8_t places; /* addresses of a lane in LDS: 2 for read2 and write2 */
    uint16_t reg;
    uint64_t mask; /* lanes */
    const Inst *inst;
    uint32_t at[2][lanes];
    alignas(64) uint32_t data[4][lanes];
};

struct Queue {
    std::vector<Pending> ring = std::vector<Pending>(64);
    unsigned head = 0, count = 0;
    Pending &push() { return ring[(head + count++) % ring.size()]; }
    Pending &front() { return ring[head]; }
    Pending &at(unsigned i) { return ring[(head + i) % ring.size()]; }
    void pop() { head = (head + 1) % ring.size(), --count; }
};

struct ScalarLoad {
    uint16_t reg;
    uint8_t dwords;
    uint32_t data[16];
};

struct Group;
struct Machine;

struct Wave {
    alignas(64) uint32_t v[registers][lanes];
    uint32_t s[scalars];
    alignas(64) uint32_t blend[lanes]; /* ~0 where blend_of has a bit */
    uint64_t blend_of;
    bool scc, ended, waiting; /* waiting: at a barrier */
    uint32_t pc, mode;
    int id, priority;
    uint64_t issued;
    Group *group;
    Machine *machine;
    /* wait states and loads on their way */
    uint32_t clock;
    uint32_t watch[registers];   /* look closer at a use before this time */
    uint32_t valu_at[registers]; /* last write by a VALU instruction that was no dot product */
    uint32_t matrix_at[registers];
    const Inst *matrix[registers]; /* the MFMA that wrote last */
    uint32_t source_at[registers];
    const Inst *source[registers];                      /* the MFMA that read it as C last */
    uint8_t vm_loads[registers], lgkm_loads[registers]; /* outstanding, per register */
    uint64_t scalar_loads[2];
    Queue vm, lgkm;
    std::vector<ScalarLoad> sm;
    std::vector<uint8_t> scratch; /* of all lanes, one after the other */

    uint64_t pair(int reg) const { return s[reg] | uint64_t(s[reg + 1]) << 32; }
    void set_pair(int reg, uint64_t x) { s[reg] = uint32_t(x), s[reg + 1] = uint32_t(x >> 32); }
    uint64_t active() const { return pair(exec); }
};

/* LDS of a workgroup with the last accesses of every dword since the last barrier. */
struct Shadow {
    uint32_t epoch : 31, mixed : 1; /* mixed: the bytes have entries of their own */
    uint16_t readers, writers;
};

struct Group {
    Machine *machine;
    uint32_t id[3];
    std::vector<uint8_t> lds;
    std::vector<Shadow> words;
    std::vector<Shadow> bytes;   /* used where words[..].mixed */
    std::vector<uint8_t> flying; /* per byte: 1 + wave whose load to LDS is on its way */
    uint32_t epoch;
    std::vector<std::unique_ptr<Wave>> waves;
    size_t count; /* of waves */
};

struct Machine {
    const Image *image;
    const Kernel *kernel;
    const Code *code;
    const Launch *launch;
    Memory *memory;
    Options options;
    Result result;
    Chip chip;
    bool stop = false;
    std::vector<uint64_t> counts;
    std::vector<uint8_t> retired; /* per instruction: what it found done */
    std::vector<Range> ranges;    /* private ones */
    Range recent[4];
    unsigned recent_next = 0;
    std::vector<uint8_t> kernarg, scratch, packet;
    uint64_t kernarg_at, packet_at;

    char *find(uint64_t address, size_t bytes, bool write);
    char *at(uint64_t address, size_t bytes, bool write)
    {
        const Range &r = recent[0];
        if (address >= r.begin && address < r.end && bytes <= r.end - address &&
            (!write || r.writable))
            return r.host + (address - r.begin);
        return find(address, bytes, write);
    }
    void report(const Wave &, const Inst &, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
};

/* wave.cpp */
Pending &begin_load(Wave &, const Inst &, Queue &, Pending::Kind);
unsigned land(Wave &, Queue &, unsigned left); /* until so many are outstanding; Retired ones */
void run_wave(Wave &, unsigned instructions);

/* hazards.cpp */
void check_uses(Wave &, const Inst &);
void note_results(Wave &, const Inst &);
void load_begins(Wave &, const Pending &, bool vm);
void load_ends(Wave &, const Pending &, bool vm);

/* lds.cpp */
bool lds_inside(const Wave &, const Inst &, uint32_t address, uint32_t bytes);
void touch(Wave &, const Inst &, uint32_t address, uint32_t bytes, bool write);
void touch_again(Wave &, const Pending &); /* in flight over a barrier */
void lds_landing(Wave &, const Pending &);

/* operands.cpp */
uint32_t read32(const Wave &, const Operand &); /* of scalars and constants */
uint64_t read64(const Wave &, const Operand &);
void write_lanes(Wave &, int reg, const uint32_t *values, uint64_t mask);

} // namespace cdna

#endif /* CDNA_MACHINE_H */
