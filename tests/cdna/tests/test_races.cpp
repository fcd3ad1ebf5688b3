/* test_races.cpp -- what the emulator must report, beside what looks like it and is right: missing
 * barriers and waits, MFMA hazards, accesses out of bounds, endless waves, unknown instructions. */
#include "snippet.h"

namespace
{

int passed, failed;

void check(bool good, const std::string &what)
{
    good ? passed++ : failed++;
    if (!good) printf("FAILED: %s\n", what.c_str());
}

/* report: words that the first report has, "": none may come. */
struct Trial {
    const char *name, *chips;
    uint32_t threads;
    std::string code, report;
};

const char *const both = "gfx942 gfx950";

/* Every wave writes its words and reads those of another. */
std::string exchange(const char *between)
{
    return std::string("v_lshlrev_b32 v1, 2, v0\nds_write_b32 v1, v0\n") + between +
           "\nv_sub_u32 v2, 255, v0\nv_lshlrev_b32 v2, 2, v2\nds_read_b32 v3, v2\n"
           "s_waitcnt lgkmcnt(0)\n";
}

std::vector<Trial> lds_trials()
{
    const std::string pair = "v_and_b32 v1, 63, v0\nv_lshrrev_b32 v2, 6, v0\n";
    return {
        {"barrier", both, 256, exchange("s_waitcnt lgkmcnt(0)\ns_barrier"), ""},
        {"no barrier", both, 256, exchange("s_waitcnt lgkmcnt(0)"), "LDS race"},
        {"no wait before the barrier", both, 256, exchange("s_barrier"), "LDS race"},
        {"one wave needs no barrier", both, 64, exchange("") + "s_nop 0\n", ""},
        {"written after another's read", both, 128,
         "v_lshlrev_b32 v1, 2, v0\nv_and_b32 v1, 0xff, v1\nds_read_b32 v3, v1\ns_waitcnt "
         "lgkmcnt(0)\n"
         "v_cmp_gt_u32 vcc, 64, v0\ns_and_saveexec_b64 s[4:5], vcc\nds_write_b32 v1, v0\n"
         "s_waitcnt lgkmcnt(0)\n",
         "LDS race"},
        {"all read the same", both, 256,
         "v_mov_b32 v1, 16\nds_read_b32 v2, v1\ns_waitcnt lgkmcnt(0)\n", ""},
        {"bytes side by side", both, 128,
         pair + "v_lshl_add_u32 v1, v1, 1, v2\nds_write_b8 v1, v0\n"
                "s_waitcnt lgkmcnt(0)\n",
         ""},
        {"words over each other's bytes", both, 128,
         pair + "v_lshl_add_u32 v1, v1, 1, v2\n"
                "ds_write_b16 v1, v0\ns_waitcnt lgkmcnt(0)\n",
         "LDS race"},
        {"a word over another's byte", both, 128,
         "v_mov_b32 v1, 0\nv_readfirstlane_b32 s4, v0\ns_mov_b64 exec, 1\ns_cmp_lg_u32 s4, 0\n"
         "s_cbranch_scc1 2\nds_write_b32 v1, v0\nds_write_b8 v1, v0 offset:2\ns_waitcnt "
         "lgkmcnt(0)\n",
         "LDS race"},
        {"half of the waves end before the barrier", both, 256,
         "v_readfirstlane_b32 s4, v0\ns_cmp_lt_u32 s4, 128\ns_cbranch_scc1 "
         "1\ns_endpgm\ns_barrier\n",
         ""},
        {"LDS past the end", both, 64,
         "v_mov_b32 v1, 0x1ffd\nds_read_b32 v2, v1\ns_waitcnt lgkmcnt(0)\n", "outside of 8192"},
        {"LDS write past the end", both, 64,
         "v_mov_b32 v1, 0\nds_write_b64 v1, v[2:3] offset:8188\n", "outside of 8192"},
        {"transposed read without all lanes", "gfx950", 64,
         "v_lshlrev_b32 v1, 3, v0\ns_mov_b64 exec, 0xff\nds_read_b64_tr_b16 v[2:3], v1\n",
         "all lanes"},
    };
}

/* A barrier counts the waves that arrive, at whichever s_barrier. The second wave's buffer is the
 * first one's: they take turns, half a phase apart, if the second passes one barrier more. */
std::string turns(bool apart)
{
    const std::string use = "ds_write_b32 v1, v0\ns_waitcnt lgkmcnt(0)\nds_read_b32 v3, v1\n"
                            "s_waitcnt lgkmcnt(0)\n",
                      phase = use + "s_barrier\n", pause = "s_barrier\n";
    return "v_and_b32 v1, 63, v0\nv_lshlrev_b32 v1, 2, v1\nv_readfirstlane_b32 s4, v0\n"
           "s_cmp_eq_u32 s4, 0\ns_cbranch_scc1 1f\n" +
           (apart ? pause : "") + phase + pause + phase + "s_endpgm\n1:\n" + phase + pause + phase +
           pause;
}

std::vector<Trial> barrier_trials()
{
    const std::string split = "v_lshlrev_b32 v1, 2, v0\nv_sub_u32 v2, 127, v0\n"
                              "v_lshlrev_b32 v2, 2, v2\nv_readfirstlane_b32 s4, v0\n"
                              "s_cmp_eq_u32 s4, 0\ns_cbranch_scc1 1f\n";
    const std::string read = "ds_read_b32 v3, v2\ns_waitcnt lgkmcnt(0)\n",
                      write = "ds_write_b32 v1, v0\ns_waitcnt lgkmcnt(0)\n", meet = "s_barrier\n";
    return {
        {"two barriers meet", both, 128, split + meet + read + "s_endpgm\n1:\n" + write + meet, ""},
        {"two barriers meet, read before", both, 128,
         split + read + meet + "s_endpgm\n1:\n" + write + meet, "LDS race"},
        {"two barriers meet, written behind", both, 128,
         split + meet + read + "s_endpgm\n1:\n" + meet + write, "LDS race"},
        {"one barrier more on the way", both, 128,
         split + meet + meet + read + "s_endpgm\n1:\n" + meet + write + meet, ""},
        {"half a phase apart", both, 128, turns(true), ""},
        {"in step on one buffer", both, 128, turns(false), "LDS race"},
        {"a wave that has ended is not waited for", both, 256,
         split + meet + meet + meet + "s_endpgm\n1:\n" + meet + "s_endpgm\n", ""},
    };
}

std::vector<Trial> wait_trials()
{
    const std::string index = "v_lshlrev_b32 v1, 2, v0\n",
                      load = "global_load_dword v2, v1, s[48:49]\n";
    const std::string dma = index + "s_mov_b32 m0, 0\nglobal_load_lds_dword v1, s[48:49]\n";
    const std::string theirs =
        "v_xor_b32 v3, 0x100, v1\nds_read_b32 v2, v3\ns_waitcnt lgkmcnt(0)\n";
    const std::string aim = index + "v_readfirstlane_b32 s4, v1\ns_mov_b32 m0, s4\n"
                                    "global_load_lds_dword v1, s[48:49]\n";
    return {
        {"load used after its wait", both, 64,
         index + load + "s_waitcnt vmcnt(0)\nv_mov_b32 v3, v2\n", ""},
        {"load used before its wait", both, 64, index + load + "v_mov_b32 v3, v2\n",
         "is read before"},
        {"too weak a wait", both, 64,
         index + load + load + "s_waitcnt vmcnt(1)\nv_mov_b32 v3, v2\n", "is read before"},
        {"wait for the other counter", both, 64,
         index + load + "s_waitcnt lgkmcnt(0)\nv_mov_b32 v3, v2\n", "is read before"},
        {"load overwritten", both, 64, index + load + "v_mov_b32 v2, 0\n", "is written before"},
        {"LDS read used before its wait", both, 64,
         index + "ds_read_b32 v2, v1\nv_mov_b32 v3, v2\n", "is read before"},
        {"stored before its wait", both, 64, index + load + "global_store_dword v1, v2, s[48:49]\n",
         "is read before"},
        {"scalar used before its wait", both, 64,
         "s_load_dword s4, s[48:49], 0x0\ns_add_u32 s5, s4, 1\n", "scalar register is used"},
        {"scalar load has no order", both, 64,
         "s_load_dword s4, s[48:49], 0x0\n"
         "s_load_dword s5, s[48:49], 0x4\ns_waitcnt lgkmcnt(1)\ns_mov_b32 s6, s4\n",
         "scalar register is used"},
        {"load to LDS", both, 64,
         dma + "s_waitcnt vmcnt(0)\nds_read_b32 v2, v1\ns_waitcnt lgkmcnt(0)\n", ""},
        {"load to LDS used before its wait", both, 64, dma + "ds_read_b32 v2, v1\n",
         "the load to it"},
        {"load to LDS for another wave", both, 128,
         aim + "s_waitcnt vmcnt(0)\ns_barrier\n" + theirs, ""},
        {"load to LDS still in flight at the barrier", both, 128, aim + "s_barrier\n" + theirs,
         "LDS race"},
        {"load to LDS without a barrier", both, 128, aim + "s_waitcnt vmcnt(0)\n" + theirs,
         "LDS race"},
    };
}

/* 32x32x8: 8 passes; its result can be read 11 wait states later, 12 on gfx950. */
std::vector<Trial> matrix_trials()
{
    const std::string zero = "v_mov_b32 v2, 0\nv_mov_b32 v3, 0\n";
    const std::string big = zero + "s_nop 1\nv_mfma_f32_32x32x8_f16 v[16:31], v[2:3], v[2:3], 0\n";
    const std::string small =
        zero + "s_nop 1\nv_mfma_f32_16x16x16_f16 v[16:19], v[2:3], v[2:3], 0\n";
    const std::string valu = "v_mov_b32 v4, v20\n",
                      again = "v_mfma_f32_32x32x8_f16 v[16:31], v[2:3], v[2:3], ";
    const std::string in_c =
        zero + "s_nop 1\nv_mfma_f32_32x32x8_f16 v[32:47], v[2:3], v[2:3], v[48:63]\n";
    auto nop = [](int n) { return "s_nop " + std::to_string(n - 1) + "\n"; };
    return {
        {"MFMA result read in time", "gfx942", 64, big + nop(11) + valu, ""},
        {"MFMA result read early", "gfx942", 64, big + nop(10) + valu, "needs 11"},
        {"MFMA result read in time", "gfx950", 64, big + nop(12) + valu, ""},
        {"MFMA result read early", "gfx950", 64, big + nop(11) + valu, "needs 12"},
        {"small MFMA result read in time", "gfx942", 64, small + nop(7) + "v_mov_b32 v4, v17\n",
         ""},
        {"small MFMA result read early", "gfx942", 64, small + nop(6) + "v_mov_b32 v4, v17\n",
         "needs 7"},
        {"instructions count as wait states", "gfx942", 64,
         small + nop(4) + zero +
             "s_nop 0\n"
             "v_mov_b32 v4, v17\n",
         ""},
        {"MFMA result stored early", "gfx942", 64,
         "v_lshlrev_b32 v1, 2, v0\n" + big + nop(10) + "global_store_dword v1, v16, s[48:49]\n",
         "needs 11"},
        {"MFMA result overwritten early", "gfx942", 64, big + nop(10) + "v_mov_b32 v20, 0\n",
         "is written"},
        {"MFMA result as A early", "gfx942", 64,
         big + nop(10) + "v_mfma_f32_32x32x8_f16 v[32:47], v[16:17], v[2:3], 0\n", "needs 11"},
        {"MFMA result as C at once", both, 64, big + again + "v[16:31]\n", ""},
        {"part of an MFMA result as C early", "gfx942", 64,
         big + nop(8) + "v_mfma_f32_16x16x16_f16 v[32:35], v[2:3], v[2:3], v[20:23]\n", "needs 9"},
        {"VALU result to an MFMA", both, 64, zero + nop(2) + again + "0\n", ""},
        {"VALU result to an MFMA early", both, 64, zero + nop(1) + again + "0\n", "needs 2"},
        {"source C overwritten", both, 64, in_c + nop(7) + "v_mov_b32 v50, 0\n", ""},
        {"source C overwritten early", both, 64, in_c + nop(6) + "v_mov_b32 v50, 0\n", "source C"},
    };
}

std::vector<Trial> bounds_trials()
{
    const std::string end = "s_add_u32 s4, s0, " + std::to_string(sizeof(snippet::Frame)) +
                            "\ns_addc_u32 s5, s1, 0\nv_mov_b32 v1, 0\n";
    return {
        {"last word", both, 64, end + "global_load_dword v2, v1, s[4:5] offset:-4\n", ""},
        {"past the end", both, 64, end + "global_load_dword v2, v1, s[4:5]\n", "outside of every"},
        {"half past the end", both, 64, end + "global_load_dwordx2 v[2:3], v1, s[4:5] offset:-4\n",
         "outside of every"},
        {"written past the end", both, 64, end + "global_store_dword v1, v1, s[4:5]\n",
         "write of 4"},
        {"before the beginning", both, 64,
         "v_mov_b32 v1, 0\nglobal_load_dword v2, v1, s[0:1] offset:-4\n", "outside of every"},
        {"inactive lanes touch nothing", both, 64,
         end + "s_mov_b64 exec, 0\n"
               "global_load_dword v2, v1, s[4:5]\n",
         ""},
        {"address zero", both, 64,
         "v_mov_b32 v2, 0\nv_mov_b32 v3, 0\nglobal_load_dword v2, v[2:3], off\n",
         "outside of every"},
        {"scalar load past the end", both, 64, end + "s_load_dwordx2 s[6:7], s[4:5], 0x0\n",
         "outside of every"},
        {"a buffer that is too long", both, 64,
         end + "s_movk_i32 s6, 0x100\ns_mov_b32 s7, 0x27000\n"
               "buffer_load_dword v2, off, s[4:7], 0\n",
         "outside of every"},
        {"a store across a buffer's end", both, 64,
         "s_mov_b64 s[4:5], s[48:49]\ns_mov_b32 s6, 6\n"
         "s_mov_b32 s7, 0x27000\nbuffer_store_dwordx2 v[2:3], off, s[4:7], 0\n",
         "straddles"},
        {"arguments are not writable", both, 64,
         "s_movk_i32 s4, 0x7f01\nv_mov_b32 v1, 0\nv_mov_b32 v2, 0\n"
         "v_mov_b32 v3, s4\nglobal_store_dword v[2:3], v1, off\n",
         "outside of every"},
        {"endless", both, 64, "s_branch -1\n", "does not end"},
        {"unknown instruction", both, 64, "v_cvt_off_f32_i4 v1, v0\n", "unknown instruction at"},
        {"unknown rounding", both, 64, "s_setreg_imm32_b32 hwreg(HW_REG_MODE, 0, 2), 1\n",
         "not emulated"},
        {"a matrix broadcast", both, 64,
         "s_nop 1\nv_mfma_f32_32x32x8_f16 v[16:31], v[2:3], v[2:3], 0 "
         "cbsz:1\n",
         "not emulated"},
    };
}

void run_trials(const char *chip, const std::vector<Trial> &trials)
{
    std::vector<snippet::Kernel> kernels;
    std::vector<const Trial *> chosen;
    for (const Trial &t : trials)
        if (std::string(t.chips).find(chip) != std::string::npos) {
            kernels.push_back({"t" + snippet::number(chosen.size()), t.code, true, false});
            chosen.push_back(&t);
        }
    auto code = snippet::assemble(chip, kernels);
    if (!code) return check(false, std::string(chip) + ": the trials do not assemble");
    snippet::Device device;
    memset(&device.frame, 0, sizeof device.frame);
    for (size_t k = 0; k < chosen.size(); k++)
        for (uint64_t seed = 1; seed <= 5; seed++) {
            cdna::Result r = snippet::run(code, kernels[k].name, device, chosen[k]->threads, seed);
            std::string first = r.reports.empty() ? "" : r.reports[0], want = chosen[k]->report;
            bool good = want.empty() ? first.empty() : first.find(want) != std::string::npos;
            check(good, std::string(chip) + " " + chosen[k]->name + ": '" + first + "'");
        }
}

/* A wait or a barrier that is skipped turns a right kernel wrong. */
void sabotage(const char *chip)
{
    std::vector<snippet::Kernel> kernels = {
        {"k", exchange("s_waitcnt lgkmcnt(0)\ns_barrier"), true, false}};
    auto code = snippet::assemble(chip, kernels);
    std::vector<cdna::Line> lines;
    std::string error;
    if (!code || !code->listing(*code->find("k"), &lines, &error)) return check(false, error);
    int found = 0;
    snippet::Device device;
    for (size_t k = 4; k < lines.size(); k++) { /* behind the wait for the frame's address */
        bool write = lines[k].text.find("lgkmcnt(0)") != std::string::npos;
        if (!write && lines[k].opcode != "s_barrier") continue;
        if (write && lines[k + 1].opcode == "s_endpgm") continue; /* nothing follows */
        cdna::Launch launch{code, code->find("k"), {1, 1, 1}, {256, 1, 1}, 0, {}};
        launch.kernarg.resize(8);
        memcpy(launch.kernarg.data(), &snippet::address, 8);
        cdna::Options options;
        options.nop_address = lines[k].address;
        check(!cdna::run(launch, device, options).reports.empty(),
              lines[k].text + " skipped unseen");
        found++;
    }
    check(found == 2, "one wait and one barrier");
}

} // namespace

int main()
{
    for (const char *chip : {"gfx942", "gfx950"}) {
        run_trials(chip, lds_trials());
        run_trials(chip, barrier_trials());
        run_trials(chip, wait_trials());
        run_trials(chip, matrix_trials());
        run_trials(chip, bounds_trials());
        sabotage(chip);
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
