"""table.py KERNEL_FILES KERNELS [ARCH]: docs/instances.md, on standard output.

KERNEL_FILES is the program of tools/kernel_files.c, KERNELS the folder that the build fills. The AMD
tables come from the compiler's assembly in KERNELS/parts; that of NVIDIA from ptxas for ARCH (sm_90),
which must be on the PATH, otherwise it is left out."""
import pathlib
import re
import shutil
import subprocess
import sys

import check_metadata
import loop_clock
import loop_mix

TITLE = """# The instances: registers, LDS, waves and what their hot loops cost

Written by `python3 tests/isa/table.py build/aiter_attn_kernel_files build/kernels > docs/instances.md`; do not edit.

Nothing here is measured on a GPU. Registers, LDS and spills are the compiler's; `waves` is how many a SIMD can hold with them.
The three last columns are about the hot loop, the one with the most matrix work, of an AMD kernel:

* `in turn` (tests/isa/loop_mix.py): the matrix instructions' share of the clocks if nothing overlaps;
* `overlapped`: the same if all vector work were hidden behind them;
* `busy` (tests/isa/loop_clock.py): the matrix pipes' share of the time when all waves of a compute unit replay the loop in a model
  of ports, latencies, waits and barriers. It is an upper estimate that compares kernels of one chip; the model knows no bank
  conflicts, no caches and no clock limits, and in a general kernel it takes every path that loads or stores (bias, ALiBi, edges).
  Figures of other models are not comparable with it.

No AMD kernel uses scratch memory or spills a register: the build's test fails on it. A `naive` one (tests/isa/naive_flash_fwd.hip,
the target `naive`) is not shipped: it shows what the same tiles give without double buffers and without two groups of waves."""
AMD_HEAD = ("kernel", "VGPR + AGPR", "SGPR", "LDS bytes", "waves", "in turn %", "overlapped %", "clocks", "busy %")
PTX_HEAD = ("kernel", "PTX for", "registers", "spilled bytes, stores / loads", "shared bytes")


def table(head, rows):
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")


def short(symbol):
    return symbol.removeprefix("aiteri_")


def amd_row(row, kernel, name=None):
    accumulators = kernel.number(".agpr_count")
    loop = loop_mix.main_loop(kernel)
    shares = [f"{100 * x:.0f}" for x in loop_mix.shares(kernel, loop)] if loop else ["", ""]
    replay = loop_clock.busy(kernel, loop) if loop else None
    return (name or short(row.symbol), f"{kernel.number('.vgpr_count') - accumulators} + {accumulators}",
            kernel.number(".sgpr_count"), kernel.number(".group_segment_fixed_size"),
            check_metadata.occupancy(kernel), *shares,
            *((f"{replay[0]:.0f}", f"{100 * replay[1]:.0f}") if replay else ("", "")))


def ptx_rows(program, folder, arch):
    """A module for sm_80 and up is compiled for arch, one for a single chip for that."""
    shared = {}
    text = subprocess.run([program, "rows"], check=True, capture_output=True, text=True).stdout
    for line in text.splitlines():
        chip, _, symbol, _, _, _, lds, _ = line.split("\t")
        shared[chip, symbol] = lds
    for path in sorted(folder.glob("*.ptx")):
        target = re.search(r"^\.target (\w+)", path.read_text(), re.M).group(1)
        said = subprocess.run(["ptxas", "-v", f"-arch={target if target.endswith('a') else arch}", str(path),
                               "-o", "/dev/null"], check=True, capture_output=True, text=True).stderr
        for part in said.split("Compiling entry function '")[1:]:
            symbol = part.split("'")[0]
            stores, loads = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", part).groups()
            yield (short(symbol), target, re.search(r"Used (\d+) registers", part).group(1), f"{stores} / {loads}",
                   shared[target, symbol])


def main():
    program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    arch = sys.argv[3] if len(sys.argv) > 3 else "sm_90"
    kernels, naive = (check_metadata.read_parts(folder / part) for part in ("parts", "naive"))
    print(TITLE)
    rows = list(check_metadata.read_rows(program))
    for chip in dict.fromkeys(row.chip for row in rows):
        built = [row for row in rows if row.chip == chip and (chip, row.symbol) in kernels]
        if built:
            print(f"\n## {chip}\n")
            table(AMD_HEAD, [*(amd_row(row, kernels[chip, row.symbol]) for row in built),
                             *(amd_row(row, naive[chip, row.symbol], short(row.symbol) + ", naive")
                               for row in built if (chip, row.symbol) in naive)])
    if shutil.which("ptxas"):
        version = subprocess.run(["ptxas", "--version"], check=True, capture_output=True, text=True).stdout
        print(f"\n## NVIDIA: PTX, compiled for {arch} by ptxas {re.search(r'V([0-9.]+)', version).group(1)}\n")
        table(PTX_HEAD, ptx_rows(program, folder, arch))


main()
