/* decode.cpp -- turns a line of llvm-objdump into an Inst. Where the text is an abbreviation
 * (waits, DPP, SDWA, branches) the fields come from the encoding that stands behind it. */
#include "decode.h"

#include <cstdlib>

namespace cdna
{
namespace
{

const Row *find_row(const std::string &opcode)
{
    static const std::map<std::string, const Row *> table = [] {
        std::map<std::string, const Row *> t;
        for (Rows r :
             {scalar_rows(), vector_rows(), integer_rows(), compare_rows(), packed_rows(),
              convert_rows(), lane_rows(), mfma_rows(), lds_rows(), vmem_rows(), wave_rows()})
            for (const Row *p = r.begin; p != r.end; p++) t[p->name] = p;
        return t;
    }();
    auto f = table.find(opcode);
    return f == table.end() ? nullptr : f->second;
}

bool starts(const std::string &s, const char *with) { return s.rfind(with, 0) == 0; }

std::vector<std::string> split(const std::string &s, char at)
{
    std::vector<std::string> parts;
    std::string part;
    int depth = 0;
    for (char c : s) {
        if (c == '[' || c == '(') depth++;
        if (c == ']' || c == ')') depth--;
        if (c == at && !depth)
            parts.push_back(part), part.clear();
        else if (c != ' ' || depth || !part.empty())
            part.push_back(c);
    }
    while (!part.empty() && part.back() == ' ') part.pop_back();
    if (!part.empty()) parts.push_back(part);
    return parts;
}

/* v7, a[0:3], s[4:5], ttmp3 */
bool parse_register(const std::string &s, Operand &o)
{
    static const struct {
        const char *prefix;
        Operand::Kind kind;
        int base, size;
    } files[] = {{"ttmp", Operand::scalar, ttmp, 16},
                 {"v", Operand::vector, 0, 256},
                 {"a", Operand::vector, agpr0, 256},
                 {"s", Operand::scalar, 0, 102}};
    for (auto &f : files) {
        if (!starts(s, f.prefix)) continue;
        const char *p = s.c_str() + strlen(f.prefix);
        bool range = *p == '[';
        char *end;
        long first = strtol(p + range, &end, 10), last = first;
        if (end == p + range) continue;
        if (range) {
            if (*end == ':') last = strtol(end + 1, &end, 10);
            if (*end != ']') continue;
            end++;
        }
        if (*end || first < 0 || last < first || last >= f.size) continue;
        o.kind = f.kind, o.reg = uint16_t(f.base + first), o.dwords = uint8_t(last - first + 1);
        return true;
    }
    return false;
}

bool parse_special(const std::string &s, Operand &o)
{
    static const struct {
        const char *name;
        Operand::Kind kind;
        int reg, dwords;
    } names[] = {{"vcc", Operand::scalar, vcc, 2},
                 {"vcc_lo", Operand::scalar, vcc, 1},
                 {"vcc_hi", Operand::scalar, vcc + 1, 1},
                 {"exec", Operand::scalar, exec, 2},
                 {"exec_lo", Operand::scalar, exec, 1},
                 {"exec_hi", Operand::scalar, exec + 1, 1},
                 {"flat_scratch", Operand::scalar, flat_scratch, 2},
                 {"flat_scratch_lo", Operand::scalar, flat_scratch, 1},
                 {"flat_scratch_hi", Operand::scalar, flat_scratch + 1, 1},
                 {"m0", Operand::scalar, m0, 1},
                 {"off", Operand::off, 0, 0},
                 {"src_scc", Operand::scc, 0, 1},
                 {"src_execz", Operand::execz, 0, 1},
                 {"src_vccz", Operand::vccz, 0, 1}};
    for (auto &n : names)
        if (s == n.name) {
            o.kind = n.kind, o.reg = uint16_t(n.reg), o.dwords = uint8_t(n.dwords);
            return true;
        }
    return false;
}

bool parse_constant(const std::string &s, char type, Operand &o)
{
    const char *p = s.c_str();
    char *end;
    o.kind = Operand::constant;
    if (s.find('.') != std::string::npos && !starts(s, "0x")) {
        double x = strtod(p, &end);
        if (type == 'd' || type == 'q')
            o.value = cast<uint64_t>(x);
        else if (type == 'h' || type == 'w')
            o.value = float_to_half(float(x));
        else
            o.value = cast<uint32_t>(float(x));
        return !*end;
    }
    bool literal = starts(s, "0x");
    long long x = strtoll(p, &end, 0);
    if (*end || end == p) return false;
    o.value = uint64_t(x);
    if (type == 'd' && literal)
        o.value <<= 32;
    else if (type == 'q' && literal && x >> 31 & 1)
        return false; /* zero or sign: not clear */
    else if (type != 'd' && type != 'q')
        o.value &= 0xffffffff;
    return true;
}

bool parse_operand(std::string s, char type, Operand &o)
{
    if (s.size() > 1 && s[0] == '-' && !isdigit(static_cast<unsigned char>(s[1])))
        o.negate = true, s.erase(0, 1);
    struct {
        const char *open, *close;
        bool Operand::*flag;
    } const wraps[] = {{"neg(", ")", &Operand::negate},
                       {"|", "|", &Operand::absolute},
                       {"abs(", ")", &Operand::absolute},
                       {"sext(", ")", &Operand::extend}};
    for (auto &w : wraps)
        if (starts(s, w.open) && s.size() > strlen(w.open) && s.back() == w.close[0]) {
            o.*w.flag = true;
            s = s.substr(strlen(w.open), s.size() - strlen(w.open) - 1);
        }
    if (starts(s, "lit(")) s = s.substr(4, s.size() - 5);
    return parse_register(s, o) || parse_special(s, o) || parse_constant(s, type, o);
}

uint8_t parse_bits(const std::string &s)
{
    uint8_t bits = 0;
    int n = 0;
    for (char c : s)
        if (c == '0' || c == '1') bits |= uint8_t((c - '0') << n++);
    return bits;
}

bool parse_modifier(Inst &i, const std::string &m)
{
    size_t colon = m.find(':');
    std::string key = m.substr(0, colon), value = colon == m.npos ? "" : m.substr(colon + 1);
    int number = int(strtol(value.c_str(), nullptr, 0));
    static const char *const ignored[] = {
        "sc0",      "sc1",       "nt",      "glc",        "slc",      "scc",      "quad_perm",
        "row_mask", "bank_mask", "dst_sel", "dst_unused", "src0_sel", "src1_sel", "bound_ctrl"};
    if (key == "sc0" || key == "glc") i.returns = true; /* of an atomic */
    for (const char *name : ignored)
        if (key == name) return true;
    if (starts(key, "row_") || starts(key, "wave_")) return true; /* DPP: see the encoding */
    if (key == "op_sel")
        i.op_sel = parse_bits(value);
    else if (key == "op_sel_hi")
        i.op_sel_hi = parse_bits(value);
    else if (key == "neg_lo")
        i.neg_lo = parse_bits(value);
    else if (key == "neg_hi")
        i.neg_hi = parse_bits(value);
    else if (key == "clamp")
        i.clamp = true;
    else if (key == "mul")
        i.omod = number == 2 ? 1 : 2;
    else if (key == "div")
        i.omod = 3;
    else if (key == "offset" && starts(value, "swizzle"))
        return true; /* i.imm has it */
    else if (key == "offset" || key == "offset0")
        i.offset = number;
    else if (key == "offset1")
        i.offset1 = number;
    else if (key == "lds")
        i.lds = true;
    else if (key == "offen")
        i.offen = true;
    else if (key == "idxen")
        i.idxen = true;
    else if (key == "cbsz")
        i.cbsz = uint8_t(number);
    else if (key == "abid")
        i.abid = uint8_t(number);
    else if (key == "blgp")
        i.blgp = uint8_t(number);
    else if (key == "bitop3")
        i.imm = uint32_t(number);
    else
        return false;
    return true;
}

void set_dpp(Inst &i, uint32_t word)
{
    i.dpp.reset(new Dpp);
    Dpp &d = *i.dpp;
    int control = word >> 8 & 0x1ff;
    d.on = true;
    d.bound_zero = word >> 19 & 1;
    d.banks = word >> 24 & 15, d.rows = word >> 28;
    if (word >> 20 & 1) i.s[0].negate = true;
    if (word >> 21 & 1) i.s[0].absolute = true;
    if (word >> 22 & 1) i.s[1].negate = true;
    if (word >> 23 & 1) i.s[1].absolute = true;
    for (int l = 0; l < lanes; l++) d.from[l] = int8_t(dpp_source(control, l));
}

void set_sdwa(Inst &i, uint32_t word)
{
    i.sdwa = true;
    if (i.row->types[0] != 'm') {
        i.dst_select = word >> 8 & 7, i.dst_unused = word >> 11 & 3;
        i.clamp = word >> 13 & 1, i.omod = word >> 14 & 3;
    }
    i.s[0].select = word >> 16 & 7, i.s[0].extend = word >> 19 & 1;
    i.s[1].select = word >> 24 & 7, i.s[1].extend = word >> 27 & 1;
}

bool scalar_like(const Operand &o) { return o.kind == Operand::scalar; }

void note_scalars(uint64_t *mask, const Operand &o)
{
    for (int r = o.reg; scalar_like(o) && r < o.reg + o.dwords; r++)
        mask[r / 64] |= uint64_t(1) << r % 64;
}

/* Which registers the instruction reads and writes, for waits and hazards. */
void note_uses(Inst &i)
{
    int r = 0, w = 0;
    bool loads = i.unit == Unit::memory || i.unit == Unit::lds || i.unit == Unit::smem;
    for (int k = 0; k < i.sources; k++) {
        if (i.s[k].kind == Operand::vector) i.reads[r++] = {i.s[k].reg, i.s[k].dwords};
        note_scalars(i.scalar_reads, i.s[k]);
    }
    for (const Operand *d : {&i.d, &i.d2}) {
        bool also_read = i.row->flags & both_dst;
        if (d->kind == Operand::vector && also_read) i.reads[r++] = {d->reg, d->dwords};
        if (d->kind == Operand::vector && !loads) i.writes[w++] = {d->reg, d->dwords};
        note_scalars(i.scalar_writes, *d);
    }
    Operand v;
    v.kind = Operand::scalar, v.reg = vcc, v.dwords = 2;
    if (i.row->flags & reads_vcc) note_scalars(i.scalar_reads, v);
    if (i.sdwa && i.dst_unused == 2 && i.d.kind == Operand::vector)
        i.reads[r++] = {i.d.reg, i.d.dwords};
}

/* Operands in the order of the text: results, then sources. */
bool parse_operands(Inst &i, const std::vector<std::string> &parts)
{
    size_t at = 0;
    Types types = i.row->types;
    bool result = !(i.row->flags & no_dst) && !i.lds && (!(i.row->flags & may_return) || i.returns);
    if (result && at < parts.size() && !parse_operand(parts[at++], types[0], i.d)) return false;
    if (i.row->flags & (two_dst | both_dst) && at < parts.size() &&
        !parse_operand(parts[at++], 'q', i.d2))
        return false;
    for (; at < parts.size(); at++) {
        if (i.sources == 4) return false;
        size_t k = 1 + i.sources;
        char type = k < strlen(types) ? types[k] : 'u';
        if (!parse_operand(parts[at], type, i.s[i.sources++])) return false;
    }
    if (i.row->flags & reads_dst) i.s[i.sources++] = i.d;
    return true;
}

const char *fill(Inst &i, std::string rest, const std::vector<uint32_t> &words)
{
    std::vector<std::string> parts = split(rest, ',');
    if (!parts.empty()) {
        std::vector<std::string> last = split(parts.back(), ' ');
        size_t keep = last.empty() ? 0 : 1;
        for (size_t k = keep; k < last.size(); k++)
            if (!parse_modifier(i, last[k])) return "unknown modifier";
        parts.back() = last.empty() ? "" : last[0];
    }
    if (!parse_operands(i, parts)) return "unknown operand";
    if (starts(i.opcode, "ds_swizzle")) i.imm = words[0] & 0xffff;
    return nullptr;
}

bool ends(const std::string &s, const char *with)
{
    size_t n = strlen(with);
    return s.size() > n && s.compare(s.size() - n, n, with) == 0;
}

/* A constant beside a packed f32 must be used for both halves by its low dword; v_pk_mov_b32 has a
 * source for each half, and op_sel alone chooses. */
bool packed_constants_clear(const Inst &i)
{
    uint8_t high = i.op_sel | (i.opcode == "v_pk_mov_b32" ? 0 : i.op_sel_hi);
    for (int k = 0; k < i.sources; k++) {
        char t = strlen(i.row->types) > size_t(k + 1) ? i.row->types[k + 1] : 'u';
        if (t == 'F' && i.s[k].kind == Operand::constant && i.s[k].value && (high >> k & 1))
            return false;
    }
    return true;
}

/* v_madmk_f32 rounds its product, or does not: with a power of two both are one. */
bool product_clear(const Inst &i)
{
    return i.opcode != "v_madmk_f32" || !(i.s[1].value & 0x7fffff);
}

} // namespace

int dpp_source(int control, int lane)
{
    int row = lane & ~15, in = lane & 15, n = control & 15;
    if (control < 0x100) return (lane & ~3) + (control >> 2 * (lane & 3) & 3);
    if (control < 0x110) return in + n < 16 ? lane + n : -1; /* row_shl */
    if (control < 0x120) return in >= n ? lane - n : -1;     /* row_shr */
    if (control < 0x130) return row + ((in - n) & 15);       /* row_ror */
    if (control >= 0x150 && control < 0x160) return row + n; /* row_newbcast */
    switch (control) {
    case 0x130: return lane + 1 < lanes ? lane + 1 : -1; /* wave_shl:1 */
    case 0x134: return (lane + 1) % lanes;
    case 0x138: return lane - 1;
    case 0x13c: return (lane + lanes - 1) % lanes;
    case 0x140: return row + 15 - in;                /* row_mirror */
    case 0x141: return (lane & ~7) + 7 - (lane & 7); /* row_half_mirror */
    case 0x142: return row ? row - 1 : -1;           /* row_bcast:15 */
    case 0x143: return lane >= 32 ? 31 : -1;         /* row_bcast:31 */
    default: return -1;
    }
}

std::string decode(Inst &i, const std::string &mnemonic, const std::string &rest,
                   const std::vector<uint32_t> &words)
{
    std::string name = mnemonic;
    bool dpp = ends(name, "_dpp"), sdwa = ends(name, "_sdwa");
    i.vop3 = ends(name, "_e64");
    if (dpp) name.resize(name.size() - 4);
    if (sdwa) name.resize(name.size() - 5);
    if (ends(name, "_e32") || ends(name, "_e64")) name.resize(name.size() - 4);
    i.row = find_row(name);
    i.opcode = name;
    i.text = mnemonic + " " + rest;
    if (!i.row) return "unknown instruction";
    if ((dpp || sdwa) && words.size() < 2) return "no encoding";
    i.run = i.row->run, i.unit = i.row->unit;
    if (i.row->flags & packed) i.op_sel_hi = 7;
    bool immediate = i.unit == Unit::control;
    if (immediate) i.imm = words[0] & 0xffff;
    if (immediate && i.row->a == 1) /* a branch */
        i.target = uint32_t(i.address + 4 + uint64_t(int64_t(int16_t(i.imm)) * 4));
    if (!immediate || !strcmp(i.row->types, "imm")) {
        std::string text = rest;
        if (size_t at = text.find("hwreg("); at != text.npos) {
            size_t end = text.find(')', at);
            text.replace(at, end == text.npos ? text.npos : end + 1 - at,
                         std::to_string(words[0] & 0xffff));
        }
        if (!immediate)
            if (const char *wrong = fill(i, text, words)) return wrong;
    }
    if (dpp) set_dpp(i, words[1]);
    if (sdwa) set_sdwa(i, words[1]);
    if ((i.clamp || i.omod) && !strchr("fhdFpm", i.row->types[0]) && !(i.row->flags & saturates))
        return "clamp of an integer";
    if (!packed_constants_clear(i)) return "constant of a packed f32 is not clear";
    if (!product_clear(i)) return "rounding of the product is not clear";
    note_uses(i);
    return "";
}

} // namespace cdna
