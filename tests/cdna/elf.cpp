/* elf.cpp -- reads an AMD code object: segments, symbols, kernel descriptors and the metadata note.
 */
#include "machine.h"

#include <algorithm>

namespace cdna
{
namespace
{

struct Reader {
    const std::vector<uint8_t> &bytes;
    bool bad = false;
    template <class T> T get(uint64_t at)
    {
        T x{};
        if (at > bytes.size() || sizeof(T) > bytes.size() - at)
            bad = true;
        else
            memcpy(&x, bytes.data() + at, sizeof x);
        return x;
    }
    std::string text(uint64_t at)
    {
        std::string s;
        while (at < bytes.size() && bytes[at]) s.push_back(char(bytes[at++]));
        return s;
    }
};

/* MessagePack, as much of it as the metadata uses: maps, arrays, strings, numbers, booleans. */
struct Value {
    uint64_t number = 0;
    std::string text;
    std::vector<Value> list;
    std::map<std::string, Value> fields;
    uint64_t at(const char *key) const
    {
        auto f = fields.find(key);
        return f == fields.end() ? 0 : f->second.number;
    }
};

struct Pack {
    const uint8_t *p, *end;
    bool bad = false;
    uint64_t big(int bytes)
    {
        uint64_t x = 0;
        for (; bytes; bytes--) {
            if (p == end)
                bad = true;
            else
                x = x << 8 | *p++;
        }
        return x;
    }
    Value string(uint64_t n)
    {
        Value v;
        if (n > uint64_t(end - p))
            bad = true;
        else
            v.text.assign(reinterpret_cast<const char *>(p), n), p += n;
        return v;
    }
    Value array(uint64_t n, int depth)
    {
        Value v;
        while (n-- && !bad) v.list.push_back(any(depth));
        return v;
    }
    Value map(uint64_t n, int depth)
    {
        Value v;
        while (n-- && !bad) {
            std::string key = any(depth).text;
            v.fields[key] = any(depth);
        }
        return v;
    }
    Value integer(uint64_t n)
    {
        Value v;
        v.number = n;
        return v;
    }
    Value any(int depth)
    {
        uint64_t c = big(1);
        if (bad || depth > 16) return bad = true, Value();
        depth++;
        if (c < 0x80) return integer(c);
        if (c < 0x90) return map(c & 15, depth);
        if (c < 0xa0) return array(c & 15, depth);
        if (c < 0xc0) return string(c & 31);
        switch (c) {
        case 0xc0:
        case 0xc2: return Value();
        case 0xc3: return integer(1);
        case 0xcc:
        case 0xcd:
        case 0xce:
        case 0xcf: return integer(big(1 << (c - 0xcc)));
        case 0xd0:
        case 0xd1:
        case 0xd2:
        case 0xd3: return integer(big(1 << (c - 0xd0)));
        case 0xd9:
        case 0xda:
        case 0xdb: return string(big(1 << (c - 0xd9)));
        case 0xdc:
        case 0xdd: return array(big(c == 0xdc ? 2 : 4), depth);
        case 0xde:
        case 0xdf: return map(big(c == 0xde ? 2 : 4), depth);
        default: bad = true; return Value();
        }
    }
};

Kernel kernel_of(const Value &v)
{
    Kernel k{};
    auto name = v.fields.find(".name");
    if (name != v.fields.end()) k.name = name->second.text;
    k.kernarg_bytes = uint32_t(v.at(".kernarg_segment_size"));
    k.lds_bytes = uint32_t(v.at(".group_segment_fixed_size"));
    k.scratch_bytes = uint32_t(v.at(".private_segment_fixed_size"));
    k.max_threads = uint32_t(v.at(".max_flat_workgroup_size"));
    k.vgprs = uint32_t(v.at(".vgpr_count"));
    k.agprs = uint32_t(v.at(".agpr_count"));
    k.sgprs = uint32_t(v.at(".sgpr_count"));
    k.vgpr_spills = uint32_t(v.at(".vgpr_spill_count"));
    k.sgpr_spills = uint32_t(v.at(".sgpr_spill_count"));
    auto args = v.fields.find(".args");
    if (args == v.fields.end()) return k;
    for (const Value &a : args->second.list) {
        auto kind = a.fields.find(".value_kind");
        k.arguments.push_back({uint32_t(a.at(".offset")), uint32_t(a.at(".size")),
                               kind == a.fields.end() ? "" : kind->second.text});
    }
    return k;
}

/* One note per linked object. */
void read_notes(Image &image, uint64_t at, uint64_t end)
{
    Reader r{image.file};
    for (uint64_t next; at + 12 <= end; at = next) {
        uint64_t name = r.get<uint32_t>(at), size = r.get<uint32_t>(at + 4);
        uint64_t body = at + 12 + (name + 3) / 4 * 4, type = r.get<uint32_t>(at + 8);
        next = body + (size + 3) / 4 * 4;
        if (r.bad || body + size > image.file.size()) return;
        if (type != 32) continue; /* NT_AMDGPU_METADATA */
        Pack pack{image.file.data() + body, image.file.data() + body + size};
        Value root = pack.any(0);
        auto list = root.fields.find("amdhsa.kernels");
        if (pack.bad || list == root.fields.end()) return;
        for (const Value &v : list->second.list) image.kernels_.push_back(kernel_of(v));
    }
}

bool load_segments(Image &image, Reader &r)
{
    uint64_t at = r.get<uint64_t>(32), entry = r.get<uint16_t>(54), count = r.get<uint16_t>(56);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t p = at + i * entry, type = r.get<uint32_t>(p), offset = r.get<uint64_t>(p + 8);
        uint64_t to = r.get<uint64_t>(p + 16), bytes = r.get<uint64_t>(p + 32);
        uint64_t size = r.get<uint64_t>(p + 40);
        if (r.bad) return false;
        if (type == 4) read_notes(image, offset, offset + bytes);
        if (type != 1) continue;
        if (offset > image.file.size() || bytes > image.file.size() - offset) return false;
        if (to > (1u << 30) || size > (1u << 30) || bytes > size) return false;
        image.memory.resize(std::max<size_t>(image.memory.size(), to + size));
        memcpy(image.memory.data() + to, image.file.data() + offset, bytes);
    }
    return true;
}

bool read_symbols(Image &image, Reader &r)
{
    uint64_t at = r.get<uint64_t>(40), entry = r.get<uint16_t>(58), count = r.get<uint16_t>(60);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t h = at + i * entry;
        if (r.get<uint32_t>(h + 4) != 11) continue; /* SHT_DYNSYM */
        uint64_t from = r.get<uint64_t>(h + 24), bytes = r.get<uint64_t>(h + 32);
        uint64_t link = r.get<uint32_t>(h + 40), names = r.get<uint64_t>(at + link * entry + 24);
        for (uint64_t s = from; s + 24 <= from + bytes && !r.bad; s += 24) {
            std::string name = r.text(names + r.get<uint32_t>(s));
            if (!name.empty())
                image.symbols[name] = {r.get<uint64_t>(s + 8), r.get<uint64_t>(s + 16)};
        }
    }
    return !r.bad;
}

bool connect_kernels(Image &image)
{
    Reader r{image.memory};
    for (Kernel &k : image.kernels_) {
        auto d = image.symbols.find(k.name + ".kd"), f = image.symbols.find(k.name);
        if (d == image.symbols.end() || f == image.symbols.end()) return false;
        uint64_t at = d->second.first;
        k.entry = at + uint64_t(r.get<int64_t>(at + 16));
        k.code_bytes = f->second.second;
        image.descriptors[k.name] = {r.get<uint32_t>(at + 48), r.get<uint32_t>(at + 52),
                                     r.get<uint32_t>(at + 44), r.get<uint16_t>(at + 56)};
        if (k.entry > image.memory.size() || k.code_bytes > image.memory.size() - k.entry)
            return false;
    }
    return !r.bad;
}

const char *parse(Image &image)
{
    Reader r{image.file};
    if (r.get<uint32_t>(0) != 0x464c457f || r.get<uint8_t>(4) != 2 || r.get<uint16_t>(18) != 224)
        return "not an AMD GPU code object";
    if (r.get<uint8_t>(8) != 3) return "not code object version 5";
    switch (r.get<uint32_t>(48) & 0xff) {
    case 0x3f: image.chip_ = Chip::gfx90a; break;
    case 0x4c: image.chip_ = Chip::gfx942; break;
    case 0x4f: image.chip_ = Chip::gfx950; break;
    default: return "neither gfx90a nor gfx942 nor gfx950";
    }
    if (!load_segments(image, r) || !read_symbols(image, r) || !connect_kernels(image))
        return "damaged code object";
    return nullptr;
}

} // namespace

std::shared_ptr<const CodeObject> CodeObject::load(const void *data, size_t bytes,
                                                   std::string *error)
{
    auto image = std::make_shared<Image>();
    const uint8_t *p = static_cast<const uint8_t *>(data);
    image->file.assign(p, p + bytes);
    if (const char *wrong = parse(*image)) {
        if (error) *error = wrong;
        return nullptr;
    }
    return image;
}

const Kernel *Image::find(const std::string &name) const
{
    for (const Kernel &k : kernels_)
        if (k.name == name) return &k;
    return nullptr;
}

const void *Image::symbol(const std::string &name, size_t *bytes) const
{
    auto s = symbols.find(name);
    if (s == symbols.end() || s->second.first > memory.size() ||
        s->second.second > memory.size() - s->second.first)
        return nullptr;
    if (bytes) *bytes = size_t(s->second.second);
    return memory.data() + s->second.first;
}

} // namespace cdna
