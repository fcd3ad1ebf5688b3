"""loop_mix.py: what the instructions of a hot loop cost each part of a CDNA SIMD, in clocks, and the
share of the matrix pipe that follows if nothing, or everything, overlaps. No latencies, no waits: an
upper estimate that compares kernels of one chip."""
import re

import assembly

MATRIX = re.compile(r"v_s?mfma\w*?_[fi]\d+_(\d+)x(\d+)x(\d+)_?(?:(\d+)b_)?(\w+)$")
RATE = {"f32": 256 // 8, "bf16": 256, "f16": 256, "fp8": 512, "bf8": 512, "i8": 512}
EXPENSIVE = ("v_mul_lo_u32", "v_mul_hi_u32", "v_mul_hi_i32", "v_mad_u64_u32", "v_mad_i64_i32")


def matrix_clocks(name, chip):
    """Multiply-adds over the rate of one SIMD, that of gfx942; gfx950's deeper 16-bit forms run at twice
    that, gfx90a's 16-bit ones at half."""
    m, n, k, blocks, kind = MATRIX.match(name).groups()
    work = int(m) * int(n) * int(k) * int(blocks or 1)
    kind = kind.removesuffix("_1k").split("_")[0]
    deep = kind in ("f16", "bf16") and (m, k) in (("32", "16"), ("16", "32"))
    half = chip == "gfx90a" and kind in ("f16", "bf16")
    return work * (2 if half else 1) // (RATE[kind] * (2 if deep and chip == "gfx950" else 1))


def clocks(instruction, chip):
    """(pipe, clocks): matrix, vector or other."""
    name = instruction.name
    if MATRIX.match(name):
        return "matrix", matrix_clocks(name, chip)
    if not name.startswith("v_"):
        return "other", 4
    if re.match(r"v_(exp|log|rcp|rsq|sqrt)_", name):
        return "vector", 8 if chip == "gfx950" else 16
    return "vector", 16 if name.startswith(EXPENSIVE) else 4


def shares(kernel, loop):
    """Matrix share of the loop: one after the other, and with the vector work wholly beside it."""
    spent = {"matrix": 0, "vector": 0, "other": 0}
    for instruction in kernel.body(loop):
        pipe, cost = clocks(instruction, kernel.chip)
        spent[pipe] += cost
    matrix, vector = spent["matrix"], spent["vector"]
    return matrix / (matrix + vector), matrix / max(matrix, vector)


def main_loop(kernel):
    """The hot loop with the most matrix work, or None. One of paged_decode may have a loop inside, for
    values that are not finite."""
    loops = kernel.hot_loops(assembly.loads if "paged_decode" in kernel.name else lambda body: True)
    return max(loops, key=lambda loop: sum(clocks(i, kernel.chip)[1] for i in kernel.body(loop)
                                           if MATRIX.match(i.name)), default=None)
