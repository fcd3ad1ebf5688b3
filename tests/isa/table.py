"""table.py KERNEL_FILES PARTS: the table of docs/, one line for every AMD kernel: registers, LDS,
waves per SIMD, and what the two models say of its hot loop: the static shares of isa_report.py
(matrix instructions against arithmetic: one after the other / one wave / perfectly interleaved)
and the share of time in which isa_clock.py sees the matrix pipe busy."""
import json
import pathlib
import subprocess
import sys

import check_metadata

HERE = pathlib.Path(__file__).parent
HEAD = ("kernel", "chip", "registers V + A", "SGPR", "LDS bytes", "waves per SIMD",
        "serial / 1 wave / interleaved %", "matrix pipe busy %")


def model(script, files):
    """The loop with the most matrix work of every kernel, by chip and name."""
    out = subprocess.run([sys.executable, HERE / script, "--json", *files], capture_output=True, text=True)
    loops = {}
    for entry in json.loads(out.stdout or "[]"):
        if entry.get("loops"):
            loops[entry["arch"], entry["kernel"]] = entry["loops"][0]
    return loops


def main():
    program, parts = sys.argv[1:]
    kernels = check_metadata.read_parts(parts)
    with_matrix = {(kernel.chip, kernel.name) for kernel in kernels.values() if kernel.hot_loops()}
    files = [str(path) for path in sorted(pathlib.Path(parts).glob("*.gfx*.s"))
             if any(f"{name}:" in path.read_text() for chip, name in with_matrix if chip in path.name)]
    shares, clocks = model("isa_report.py", files), model("isa_clock.py", files)
    print("| " + " | ".join(HEAD) + " |\n" + "|---" * len(HEAD) + "|")
    for row in check_metadata.read_rows(program):
        kernel = kernels[row.chip, row.symbol]
        accumulators = kernel.number(".agpr_count")
        share, clock = shares.get((row.chip, row.symbol)), clocks.get((row.chip, row.symbol))
        cells = [row.symbol.removeprefix("aiteri_"), row.chip,
                 f"{kernel.number('.vgpr_count') - accumulators} + {accumulators}",
                 kernel.number(".sgpr_count"), kernel.number(".group_segment_fixed_size"),
                 check_metadata.occupancy(kernel),
                 " / ".join(f"{100 * share['share_' + way]:.0f}" for way in ("serial", "1wave", "pipe"))
                 if share else "",
                 f"{100 * clock['busy']:.0f}" if clock else ""]
        print("| " + " | ".join(map(str, cells)) + " |")


main()
