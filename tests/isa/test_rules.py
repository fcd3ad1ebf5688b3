"""test_rules.py: every rule of check_metadata.py is seen to fail, on a small kernel that is altered
in one place at a time, and the unaltered kernel is fine."""
import sys

import check_metadata
import assembly

KERNEL = "aiteri_flash_fwd_bf16_bf16_bf16_128_128_plain"
TEXT = f"""\t.amdgcn_target "amdgcn-amd-amdhsa--gfx942"
\t.globl\t{KERNEL}
{KERNEL}:
; %bb.0:
\ts_load_dwordx4 s[0:3], s[0:1], 0x0
\ts_waitcnt vmcnt(0) lgkmcnt(0)
.LBB0_1:                                ; =>This Loop
\tbuffer_load_dwordx4 v[0:3], v8, s[0:3], 0 offen
\ts_waitcnt vmcnt(4)
\tv_mfma_f32_32x32x8_bf16_1k v[16:31], v[0:1], v[2:3], v[16:31]
\t;;#ASMSTART
\tv_perm_b32 v4, v5, v6, v7
\t;;#ASMEND
\ts_barrier
\ts_cbranch_scc1 .LBB0_1
.LBB0_2:
\tbuffer_store_dwordx4 v[16:19], v8, s[0:3], 0 offen
\ts_endpgm
\t.section\t.rodata,"a",@progbits
\t.amdhsa_kernel {KERNEL}
\t.end_amdhsa_kernel
.Lfunc_end0:
\t.amdgpu_metadata
---
amdhsa.kernels:
  - .agpr_count:     0
    .args:
      - .offset:         0
        .size:           528
    .group_segment_fixed_size: 32768
    .kernarg_segment_size: 528
    .max_flat_workgroup_size: 512
    .name:           {KERNEL}
    .private_segment_fixed_size: 0
    .sgpr_count:     65
    .sgpr_spill_count: 0
    .uses_dynamic_stack: false
    .vgpr_count:     128
    .vgpr_spill_count: 0
    .wavefront_size: 64
...
\t.end_amdgpu_metadata
"""
ROW = check_metadata.Row("gfx942", "", KERNEL, 528, "plain", 512, 32768, 4)

# What stands there, what is put in its place, a word of the complaint.
CHANGES = [
    (".private_segment_fixed_size: 0", ".private_segment_fixed_size: 16", "16 bytes of scratch"),
    ("buffer_store_dwordx4 v[16:19], v8, s[0:3], 0 offen", "scratch_store_dword off, v0, s32", "scratch instr"),
    (".sgpr_spill_count: 0", ".sgpr_spill_count: 3", ".sgpr_spill_count 3"),
    (".vgpr_spill_count: 0", ".vgpr_spill_count: 1", ".vgpr_spill_count 1"),
    (".uses_dynamic_stack: false", ".uses_dynamic_stack: true", "dynamic stack"),
    (".wavefront_size: 64", ".wavefront_size: 32", "wave of 64"),
    (".kernarg_segment_size: 528", ".kernarg_segment_size: 784", "784 bytes of arguments"),
    (".max_flat_workgroup_size: 512", ".max_flat_workgroup_size: 1024", "workgroups of 1024"),
    (".group_segment_fixed_size: 32768", ".group_segment_fixed_size: 32772", "32772 bytes of LDS"),
    (".group_segment_fixed_size: 32768", ".group_segment_fixed_size: 65540", "the chip has 65536"),
    (".vgpr_count:     128", ".vgpr_count:     129", "3 waves per SIMD"),
    ("s_waitcnt vmcnt(4)", "s_waitcnt vmcnt(0)", "vmcnt(0) in the hot loop"),
    ("v_mfma_f32_32x32x8_bf16_1k", "v_pk_fma_f32", "no hot loop"),
] + [("v_perm_b32 v4, v5, v6, v7", code, "inline assembly with " + code.split()[0]) for code in (
    "v_mfma_f32_32x32x8_bf16_1k v[16:31], v[0:1], v[2:3], v[16:31]", "ds_read_b128 v[0:3], v4",
    "buffer_load_dword v4, v5, s[0:3], 0 offen", "s_mov_b32 s4, s5", "v_readfirstlane_b32 s4, v5",
    "v_mov_b32_dpp v4, v5 row_shr:1 row_mask:0xf bank_mask:0xf", "v_exp_f32 v4, v5",
    "v_cmp_lt_f32 vcc, v4, v5", "v_accvgpr_read_b32 v4, a5")]

# Inline assembly that is allowed.
ALLOWED = ["v_add_u32 v4, v5, v6", "s_nop 0", "s_setprio 1", "v_bfe_u32 v4, v5, 16, 1"]


# The same kernel as paged_decode: two loops over one block of 32 keys, 8 + 8 loads.
DECODE = "aiteri_paged_decode_bf16_bf16_bf16_128_128_general"
LOAD = "\tbuffer_load_dwordx4 v[0:3], v8, s[0:3], 0 offen\n"
STREAM = TEXT.replace(KERNEL, DECODE).replace(LOAD, 16 * LOAD + "\tglobal_load_dword v9, v[10:11], off\n"
                                              + "\tds_write_b64 v9, v[10:11]\n")
STREAM = STREAM.replace("vmcnt(4)", "vmcnt(16)")
LOOP = STREAM[STREAM.index(".LBB0_1:"):STREAM.index(".LBB0_2:")]
STREAM = STREAM.replace(LOOP, LOOP + LOOP.replace(".LBB0_1", ".LBB0_3"))
DECODE_CHANGES = [
    (LOAD, "", "15 loads of 16 bytes"),
    (LOAD, LOAD.replace("offen", "offen lds"), "a load to LDS"),
    ("global_load_dword v9", "flat_load_dword v9", "a flat load"),
    ("global_load_dword v9", "global_load_ushort v9", "a load of 2 bytes"),
    ("ds_write_b64 v9", "ds_write_b64 v9, v[0:1]\n\t" * 8 + "ds_write_b64 v9", "go to LDS"),
    ("vmcnt(16)", "vmcnt(15)", "vmcnt(15), a block takes 16"),
    ("s_cbranch_scc1 .LBB0_1", "s_nop 0", "1 steady loops"),
]
# An end between the loops, to which the second branches back: that is no loop.
EARLY_END = STREAM.replace(".LBB0_3:", "\ts_branch .LBB0_3\n.LBB0_4:\n\ts_endpgm\n.LBB0_3:").replace(
    "\ts_cbranch_scc1 .LBB0_3", "\ts_cbranch_scc0 .LBB0_4\n\ts_cbranch_scc1 .LBB0_3")


def found_in(text):
    (kernel,) = assembly.parse(text).values()
    return check_metadata.complaints(kernel, ROW._replace(symbol=kernel.name))


def main():
    checks = [("the kernel is fine", found_in(TEXT) == [])]
    for old, new, word in CHANGES:
        assert TEXT.count(old) == 1, old
        checks.append((f"{new}: {word}", any(word in found for found in found_in(TEXT.replace(old, new)))))
    checks.append(("the stream is fine", found_in(STREAM) == []))
    checks.append(("an end between the loops is fine", found_in(EARLY_END) == []))
    for old, new, word in DECODE_CHANGES:
        checks.append((f"{new}: {word}", any(word in found for found in found_in(STREAM.replace(old, new, 1)))))
    for code in ALLOWED:
        checks.append((code, found_in(TEXT.replace("v_perm_b32 v4, v5, v6, v7", code)) == []))
    failed = [name for name, holds in checks if not holds]
    for name in failed:
        print("not noticed:", name)
    print(f"{len(checks) - len(failed)} passed, {len(failed)} failed")
    sys.exit(len(failed) > 0)


main()
