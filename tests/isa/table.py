"""table.py KERNEL_FILES PARTS: the table of docs/, one line for every AMD kernel: registers, LDS,
waves per SIMD, and the matrix share of its hot loop (loop_mix.py)."""
import sys

import check_metadata
import loop_mix

HEAD = ("kernel", "chip", "registers V + A", "SGPR", "LDS bytes", "waves per SIMD",
        "matrix share %, in turn / overlapped")


def main():
    program, parts = sys.argv[1:]
    kernels = check_metadata.read_parts(parts)
    print("| " + " | ".join(HEAD) + " |\n" + "|---" * len(HEAD) + "|")
    for row in check_metadata.read_rows(program):
        kernel = kernels.get((row.chip, row.symbol))
        if kernel is None:  # a chip that was not built
            continue
        accumulators = kernel.number(".agpr_count")
        loop = loop_mix.main_loop(kernel)
        share = loop_mix.shares(kernel, loop) if loop else ()
        cells = [row.symbol.removeprefix("aiteri_"), row.chip,
                 f"{kernel.number('.vgpr_count') - accumulators} + {accumulators}",
                 kernel.number(".sgpr_count"), kernel.number(".group_segment_fixed_size"),
                 check_metadata.occupancy(kernel),
                 " / ".join(f"{100 * x:.0f}" for x in share)]
        print("| " + " | ".join(map(str, cells)) + " |")


main()
