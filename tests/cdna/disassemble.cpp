/* disassemble.cpp -- asks llvm-objdump for a kernel's text, and keeps what was decoded. */
#include "decode.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <unistd.h>

namespace cdna
{
namespace
{

const char *chip_name(Chip c)
{
    return c == Chip::gfx90a ? "gfx90a" : c == Chip::gfx942 ? "gfx942" : "gfx950";
}

const char *tool()
{
    static const std::string found = []() -> std::string {
        if (const char *named = getenv("CDNA_OBJDUMP")) return named;
        for (const char *t : {"llvm-objdump-22", "llvm-objdump-21", "llvm-objdump-20"}) {
            std::string test = std::string("command -v ") + t + " >/dev/null 2>&1";
            if (!system(test.c_str())) return t;
        }
        return "llvm-objdump";
    }();
    return found.c_str();
}

/* "\tv_mov_b32_e32 v0, s1     // 000000001000: 7E000201" */
bool parse_line(const std::string &line, Printed *p)
{
    size_t note = line.find("// ");
    if (line.empty() || line[0] != '\t' || note == line.npos) return false;
    std::string text = line.substr(1, note - 1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.pop_back();
    size_t space = text.find(' ');
    p->mnemonic = text.substr(0, space);
    p->operands = space == text.npos ? "" : text.substr(space + 1);
    const char *at = line.c_str() + note + 3;
    char *end;
    p->address = strtoull(at, &end, 16);
    if (*end != ':') return false;
    p->words.clear();
    for (at = end + 1;; at = end) {
        while (*at == ' ') at++;
        uint32_t word = uint32_t(strtoul(at, &end, 16));
        if (end - at != 8) break;
        p->words.push_back(word);
    }
    return !p->words.empty();
}

struct TemporaryFile {
    std::string path;
    bool good = false;
    explicit TemporaryFile(const std::vector<uint8_t> &bytes)
    {
        const char *folder = getenv("TMPDIR");
        path = std::string(folder ? folder : "/tmp") + "/cdna_XXXXXX";
        int f = mkstemp(&path[0]);
        if (f < 0) return;
        FILE *out = fdopen(f, "wb");
        if (!out) return;
        good = fwrite(bytes.data(), 1, bytes.size(), out) == bytes.size();
        good = fclose(out) == 0 && good;
    }
    ~TemporaryFile() { unlink(path.c_str()); }
};

} // namespace

namespace
{

/* Prints the instructions that the tool finds in the file; false: it did not end well. */
template <class Take> bool print(const Image &image, const std::string &options, Take take)
{
    TemporaryFile file(image.file);
    std::string command = std::string(tool()) + " -d --mcpu=" + chip_name(image.chip_) + options +
                          " " + file.path + " 2>/dev/null";
    FILE *pipe = file.good ? popen(command.c_str(), "r") : nullptr;
    if (!pipe) return false;
    std::string line;
    Printed p;
    for (int c; (c = fgetc(pipe)) != EOF;) {
        if (c != '\n') {
            line.push_back(char(c));
            continue;
        }
        if (parse_line(line, &p)) take(p);
        line.clear();
    }
    return pclose(pipe) == 0;
}

bool print_all(const Image &image)
{
    std::map<uint64_t, const Kernel *> by_entry;
    for (const Kernel &k : image.kernels()) by_entry[k.entry] = &k;
    return print(image, "", [&](const Printed &p) {
        auto after = by_entry.upper_bound(p.address);
        if (after == by_entry.begin()) return;
        const Kernel &k = *std::prev(after)->second;
        if (p.address < k.entry + k.code_bytes) image.printed[k.name].push_back(p);
    });
}

} // namespace

/* The first kernels one by one, then all at once: programs use a few, or many. */
bool disassemble(const Image &image, const Kernel &kernel, std::vector<Printed> *lines,
                 std::string *error)
{
    std::lock_guard<std::mutex> hold(image.printing);
    for (char c : kernel.name)
        if (!isalnum(static_cast<unsigned char>(c)) && !strchr("_.$", c))
            return *error = "kernel name " + kernel.name, false;
    std::vector<Printed> &known = image.printed[kernel.name];
    bool good = !known.empty();
    if (!good && image.printed.size() < 4)
        good = print(image, " --disassemble-symbols='" + kernel.name + "'", [&](const Printed &p) {
            if (p.address < kernel.entry + kernel.code_bytes) known.push_back(p);
        });
    else if (!good) {
        image.printed.clear();
        good = print_all(image);
    }
    *lines = image.printed[kernel.name];
    if (!good || lines->empty())
        return *error = std::string(tool()) + " does not disassemble " + kernel.name, false;
    return true;
}

/* One lock for all images: decoding is rare and slow, looking up is rare and fast. */
struct ImageCache {
    static std::mutex &lock()
    {
        static std::mutex m;
        return m;
    }
    static const Code &get(const Image &image, const Kernel &kernel)
    {
        std::lock_guard<std::mutex> hold(lock());
        std::unique_ptr<Code> &slot = image.decoded[kernel.name];
        if (!slot) slot.reset(make(image, kernel));
        return *slot;
    }
    static Code *make(const Image &image, const Kernel &kernel)
    {
        Code *code = new Code;
        std::vector<Printed> lines;
        if (!disassemble(image, kernel, &lines, &code->error)) return code;
        code->insts.resize(lines.size());
        for (size_t k = 0; k < lines.size(); k++) {
            Inst &i = code->insts[k];
            i.address = lines[k].address;
            i.next = i.address + 4 * lines[k].words.size();
            std::string wrong = decode(i, lines[k].mnemonic, lines[k].operands, lines[k].words);
            if (wrong.empty()) continue;
            char at[32];
            snprintf(at, sizeof at, "%" PRIx64, i.address);
            code->error = kernel.name + ": " + wrong + " at " + at + ": " + i.text;
            return code;
        }
        for (Inst &i : code->insts) {
            if (i.unit != Unit::control || i.row->a != 1) continue;
            int aim = code->index(i.target);
            if (aim < 0) code->error = kernel.name + ": a branch leaves the kernel: " + i.text;
            i.target = uint32_t(aim);
        }
        return code;
    }
};

Image::~Image() {}

const Code &Image::code(const Kernel &kernel) const { return ImageCache::get(*this, kernel); }

int Code::index(uint64_t address) const
{
    size_t low = 0, high = insts.size();
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (insts[middle].address < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < insts.size() && insts[low].address == address ? int(low) : -1;
}

bool Image::listing(const Kernel &kernel, std::vector<Line> *out, std::string *error) const
{
    std::vector<Printed> lines;
    std::string wrong;
    if (!disassemble(*this, kernel, &lines, &wrong)) {
        if (error) *error = wrong;
        return false;
    }
    for (const Printed &p : lines)
        out->push_back({p.address, p.mnemonic, p.mnemonic + " " + p.operands});
    return true;
}

bool prepare(const CodeObject &object, const Kernel &kernel, std::string *error)
{
    const Code &code = static_cast<const Image &>(object).code(kernel);
    if (error) *error = code.error;
    return code.error.empty();
}

} // namespace cdna
