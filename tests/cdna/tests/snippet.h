/* snippet.h -- assembles pieces of AMD assembly into kernels, runs them in the emulator and shows
 * what they left in registers and memory. */
#ifndef CDNA_TESTS_SNIPPET_H
#define CDNA_TESTS_SNIPPET_H

#include "../cdna.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

namespace snippet
{

constexpr int lanes = 64, in_slots = 24, out_slots = 32, scalars = 16;
constexpr uint64_t address = 0x4200000000;

/* What a kernel finds: v8..v31 and s16..s31 hold in and s; v32..v63 and s32..s47 go to out and so.
 * s[0:1] is the address of this struct in device memory, s[48:49] that of `memory`. Lane in v0. */
struct Frame {
    uint32_t s[scalars], so[scalars];
    uint32_t in[in_slots][lanes], out[out_slots][lanes];
    uint32_t memory[4096];
};

class Device : public cdna::Memory
{
  public:
    Frame frame;
    cdna::Range find(uint64_t at) override
    {
        char *host = reinterpret_cast<char *>(&frame);
        if (at < address || at >= address + sizeof frame) return {0, 0, nullptr, false};
        return {address, address + sizeof frame, host, true};
    }
};

inline std::string tool(const char *variable, std::initializer_list<const char *> names)
{
    if (const char *named = getenv(variable)) return named;
    for (const char *n : names)
        if (!system((std::string("command -v ") + n + " >/dev/null 2>&1").c_str())) return n;
    return *names.begin();
}

inline std::string number(size_t n) { return std::to_string(n); }

/* The frame of a kernel around `code`. `raw`: no inputs, no outputs, only s[0:1] and s[48:49]. */
inline std::string kernel_text(const std::string &name, const std::string &code, bool raw)
{
    std::string t =
        ".globl " + name + "\n.p2align 8\n.type " + name + ",@function\n" + name + ":\n";
    const size_t in = offsetof(Frame, in), out = offsetof(Frame, out);
    t += "s_load_dwordx2 s[0:1], s[0:1], 0x0\ns_waitcnt lgkmcnt(0)\n";
    t += "s_add_u32 s48, s0, " + number(offsetof(Frame, memory)) + "\ns_addc_u32 s49, s1, 0\n";
    if (!raw) {
        t += "s_load_dwordx16 s[16:31], s[0:1], 0x0\nv_lshlrev_b32 v1, 2, v0\n";
        t += "s_add_u32 s2, s0, " + number(in + 4096) + "\ns_addc_u32 s3, s1, 0\n";
        for (int k = 0; k < in_slots; k++)
            t += "global_load_dword v" + number(size_t(8 + k)) +
                 ", v1, s[2:3] offset:" + std::to_string(k * 256 - 4096) + "\n";
        t += "s_waitcnt vmcnt(0) lgkmcnt(0)\ns_bitcmp1_b32 s25, 0\n";
    }
    t += code + "\n";
    if (!raw) {
        t += "s_waitcnt vmcnt(0) lgkmcnt(0)\ns_cselect_b32 s47, 1, 0\ns_nop 15\ns_nop 7\n";
        t += "s_mov_b64 exec, -1\nv_lshlrev_b32 v1, 2, v0\n";
        t += "s_add_u32 s2, s0, " + number(out + 4096) + "\ns_addc_u32 s3, s1, 0\n";
        for (int k = 0; k < out_slots; k++)
            t += "global_store_dword v1, v" + number(size_t(32 + k)) +
                 ", s[2:3] offset:" + std::to_string(k * 256 - 4096) + "\n";
        t += "v_mov_b32 v1, 0\n";
        for (int k = 0; k < scalars; k++)
            t += "v_mov_b32 v2, s" + number(size_t(32 + k)) +
                 "\nglobal_store_dword v1, v2, s[0:1] " +
                 "offset:" + number(offsetof(Frame, so) + 4 * size_t(k)) + "\n";
    }
    return t + "s_endpgm\n.size " + name + ", .-" + name + "\n";
}

inline std::string descriptor_text(const std::string &name, bool scratch)
{
    std::string t = ".rodata\n.p2align 6\n.amdhsa_kernel " + name + "\n";
    t += ".amdhsa_group_segment_fixed_size 8192\n.amdhsa_user_sgpr_kernarg_segment_ptr 1\n";
    t += ".amdhsa_kernarg_size 8\n.amdhsa_next_free_vgpr 512\n.amdhsa_accum_offset 256\n";
    if (scratch) t += ".amdhsa_private_segment_fixed_size 64\n.amdhsa_enable_private_segment 1\n";
    return t +
           ".amdhsa_next_free_sgpr 96\n.amdhsa_float_denorm_mode_32 3\n.end_amdhsa_kernel\n.text\n";
}

inline std::string metadata_text(const std::string &name, bool scratch)
{
    return "  - .name: " + name + "\n    .symbol: " + name +
           ".kd\n    .kernarg_segment_size: 8\n    .kernarg_segment_align: 8\n"
           "    .group_segment_fixed_size: 8192\n    .private_segment_fixed_size: " +
           (scratch ? "64" : "0") +
           "\n    .wavefront_size: 64\n    .sgpr_count: 96\n    .vgpr_count: 512\n"
           "    .max_flat_workgroup_size: 1024\n    .args:\n"
           "      - .offset: 0\n        .size: 8\n        .value_kind: by_value\n";
}

struct Kernel {
    std::string name, code;
    bool raw = false, scratch = false;
};

/* One code object of all the kernels, or null with the assembler's words on stderr. */
inline std::shared_ptr<const cdna::CodeObject> assemble(const char *chip,
                                                        const std::vector<Kernel> &kernels)
{
    std::string text = ".amdgcn_target \"amdgcn-amd-amdhsa--" + std::string(chip) +
                       "\"\n.amdhsa_code_object_version 5\n.text\n",
                notes = ".amdgpu_metadata\namdhsa.version:\n  - 1\n  - 2\namdhsa.kernels:\n";
    for (const Kernel &k : kernels) {
        text += kernel_text(k.name, k.code, k.raw) + descriptor_text(k.name, k.scratch);
        notes += metadata_text(k.name, k.scratch);
    }
    text += notes + ".end_amdgpu_metadata\n";
    char folder[] = "/tmp/cdna_snippet_XXXXXX";
    if (!mkdtemp(folder)) return nullptr;
    std::string base = std::string(folder) + "/k",
                clang = tool("CDNA_CLANG", {"clang-22", "clang-21", "clang-20", "clang"});
    std::string lld = tool("CDNA_LLD", {"ld.lld-22", "ld.lld-21", "ld.lld-20", "ld.lld"});
    FILE *f = fopen((base + ".s").c_str(), "w");
    if (f) fwrite(text.data(), 1, text.size(), f), fclose(f);
    std::string command = clang + " --target=amdgcn-amd-amdhsa -mcpu=" + chip + " -c " + base +
                          ".s -o " + base + ".o && " + lld + " -shared " + base + ".o -o " + base +
                          ".co";
    std::string image, error;
    if (!system(command.c_str()) && (f = fopen((base + ".co").c_str(), "rb"))) {
        char part[4096];
        for (size_t n; (n = fread(part, 1, sizeof part, f)) != 0;) image.append(part, n);
        fclose(f);
    }
    for (const char *end : {".s", ".o", ".co"}) unlink((base + end).c_str());
    rmdir(folder);
    auto object = cdna::CodeObject::load(image.data(), image.size(), &error);
    if (!object) fprintf(stderr, "%s: %s\n", chip, error.c_str());
    return object;
}

inline cdna::Result run(const std::shared_ptr<const cdna::CodeObject> &code,
                        const std::string &name, Device &device, uint32_t threads = 64,
                        uint64_t seed = 1)
{
    cdna::Launch launch{code, code->find(name), {1, 1, 1}, {threads, 1, 1}, 0, {}};
    launch.kernarg.resize(8);
    memcpy(launch.kernarg.data(), &address, 8);
    cdna::Options options;
    options.seed = seed;
    options.most_instructions = 1000000;
    return cdna::run(launch, device, options);
}

} // namespace snippet

#endif /* CDNA_TESTS_SNIPPET_H */
