"""test_clock.py: the replay of loop_clock.py on small loops whose clocks can be counted by hand."""
import sys

import assembly
import loop_clock

MATRIX = "v_mfma_f32_32x32x16_bf16 {0}, v[0:3], v[4:7], {0}"  # 32 clocks on gfx950
SPREAD = [MATRIX.format(f"v[{16 * i}:{16 * i + 15}]") for i in range(1, 9)]
SLOW = ["v_exp_f32 v1, v2"] * 16
RESCALE = ["s_cbranch_scc0 .LBB0_2"] + ["v_mul_f32 v1, v2, v3"] * 100

# What it shows, chip, loop, SIMDs of the waves, clocks of an iteration. Every loop ends in a branch:
# 4 to issue, 12 more until the wave goes on.
LOOPS = [
    ("matrix work one after the other hides the branch", "gfx950", SPREAD, [0], 8 * 32),
    ("so does one accumulator", "gfx950", [SPREAD[0]] * 8, [0], 8 * 32),
    ("on gfx942 the same work takes twice as long", "gfx942",
     [x.replace("32x32x16_bf16", "32x32x8_bf16_1k") for x in SPREAD], [0], 8 * 32),
    ("a result is there 16 clocks after its pipe", "gfx950", [SPREAD[0], "v_add_f32 v1, v16, v16"], [0],
     32 + 16 + 4 + 16),
    ("a part of an accumulator 8 after", "gfx950", [MATRIX.format("v[16:31]"), MATRIX.format("v[24:39]")], [0],
     32 + 8 + 32 + 8),
    ("LDS: 4 clocks of the path, 128 more", "gfx950", ["ds_read_b128 v[0:3], v8", "s_waitcnt lgkmcnt(0)"], [0],
     4 + 128 + 4 + 16),
    ("gfx942's path is half as wide", "gfx942", ["ds_read_b128 v[0:3], v8", "s_waitcnt lgkmcnt(0)"], [0],
     8 + 128 + 4 + 16),
    ("memory: 16 clocks of the path, 800 more", "gfx950",
     ["buffer_load_dwordx4 v[0:3], v8, s[0:3], 0 offen", "s_waitcnt vmcnt(0)"], [0], 16 + 800 + 4 + 16),
    ("two loads in flight halve that", "gfx950",
     ["buffer_load_dwordx4 v[0:3], v8, s[0:3], 0 offen", "s_waitcnt vmcnt(1)"], [0], (16 + 800 + 4 + 16) / 2),
    ("exponentials take 8 clocks on gfx950", "gfx950", SLOW, [0], 15 * 8 + 4 + 16),
    ("and 16 on gfx942", "gfx942", SLOW, [0], 15 * 16 + 4 + 16),
    ("waves on two SIMDs do not meet", "gfx950", ["v_add_f32 v1, v2, v3"] * 16, [0, 1], 16 * 4 + 16),
    ("waves of a SIMD share its vector port, and compute while its matrix pipe runs", "gfx950",
     [SPREAD[0]] + ["v_add_f32 v1, v2, v3"] * 7, [0, 0],
     2 * 8 * 4),
    ("a barrier takes 8", "gfx950", ["v_add_f32 v1, v2, v3", "s_barrier"], [0, 1], 4 + 8 + 16),
    ("s_nop 7 takes 32", "gfx950", ["s_nop 7"], [0], 32 + 16),
    ("a rescale is jumped over", "gfx950", RESCALE + [".LBB0_2:", "v_add_f32 v1, v2, v3"], [0], 16 + 4 + 16),
    ("what loads is not", "gfx950", RESCALE + ["ds_read_b32 v1, v2", ".LBB0_2:"], [0], 4 + 400 + 4 + 16),
]


def kernel_of(chip, lines, ahead=()):
    text = f'\t.amdgcn_target "amdgcn-amd-amdhsa--{chip}"\nkernel:\n'
    text += "".join(f"{'' if line.endswith(':') else chr(9)}{line}\n" for line in (*ahead, ".LBB0_1:", *lines))
    text += "\ts_cbranch_scc1 .LBB0_1\n\ts_endpgm\n\t.amdhsa_kernel kernel\n.Lfunc_end0:\n"
    (kernel,) = assembly.parse(text).values()
    return kernel


def main():
    failed = 0
    for name, chip, lines, simds, expected in LOOPS:
        kernel = kernel_of(chip, lines)
        (loop,) = kernel.loops()
        waves = [loop_clock.Wave(simd, 0, 0) for simd in simds]
        clocks = loop_clock.Unit(loop_clock.trace(kernel, loop), waves).run()
        if clocks is None or abs(clocks - expected) > 2:  # the replay counts in steps of 4
            failed += 1
            print(f"{name}: {clocks} clocks, not {expected}")
    kernel = kernel_of("gfx950", [*SPREAD, "s_barrier"],
                       ["s_cbranch_vccnz .LBB0_9", "s_barrier", "s_barrier", ".LBB0_9:"])
    if loop_clock.barriers_ahead(kernel, kernel.loops()[0]) != 2:
        failed += 1
        print("half of the waves pass two barriers before this loop")
    print(f"{len(LOOPS) + 1 - failed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
