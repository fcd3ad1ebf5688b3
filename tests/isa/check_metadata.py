"""check_metadata.py KERNEL_FILES PARTS: what the compiler made of every AMD kernel.

KERNEL_FILES is the program of tools/kernel_files.c, PARTS the folder with the assembly that the
build keeps. Every instance of kernels/instances.def must use no scratch memory and no spills, have
the workgroup size and at most the LDS of its row, and few enough registers and LDS for the waves
per SIMD that the row promises. Inline assembly may be arithmetic on vector registers alone: the
compiler orders and delays everything else only where it can see it. A plain flash kernel must not
wait for all its loads inside its hot loop. paged_decode must load keys and values by 16 bytes, not
through LDS, and keep the loads of a block in flight whenever it waits."""
import collections
import pathlib
import re
import subprocess
import sys

import assembly

Row = collections.namedtuple("Row", "chip file symbol arguments kind threads lds waves")

BLOCK_KEYS = 32  # what a wave of paged_decode loads at once
TYPE_BYTES = {"f16": 2, "bf16": 2, "f32": 4, "i8": 1, "f8": 1, "i4": 0.5}
COLUMN_TYPES = ("f16", "bf16", "i8")  # whose values paged_decode streams by columns, too
LDS_BYTES = {"gfx90a": 65536, "gfx942": 65536, "gfx950": 163840}  # of a compute unit
LDS_STEP = {"gfx90a": 512, "gfx942": 512, "gfx950": 1280}  # in which it is given out
REGISTERS, REGISTER_STEP, MOST_WAVES, SIMDS = 512, 8, 8, 4

# What inline assembly may hold: results in vector registers, nobody else's timing.
NOT_PLAIN_VALU = re.compile(
    r"v_(s?mfma|cmp|readlane|readfirstlane|writelane|accvgpr|permlane|exp|log|rcp|rsq|sqrt|sin|cos)")
LANE_MOVE = re.compile(r"quad_perm|row_|wave_|dpp|bound_ctrl")
NO_RESULT = {"s_nop", "s_waitcnt", "s_barrier", "s_setprio", "s_sleep", "s_sethalt", "s_endpgm"}


def read_rows(program):
    text = subprocess.run([program, "rows"], check=True, capture_output=True, text=True).stdout
    for line in text.splitlines():
        chip, file, symbol, arguments, kind, threads, lds, waves = line.split("\t")
        if chip.startswith("gfx"):
            yield Row(chip, file, symbol, int(arguments), kind, int(threads), int(lds), int(waves))


def occupancy(kernel):
    """Waves per SIMD that registers and LDS allow."""
    registers = max(1, kernel.number(".vgpr_count"))
    registers += -registers % REGISTER_STEP
    waves = min(MOST_WAVES, REGISTERS // registers)
    lds = kernel.number(".group_segment_fixed_size")
    if lds:
        step = LDS_STEP[kernel.chip]
        groups = LDS_BYTES[kernel.chip] // (lds + -lds % step)
        waves_of_group = -(-kernel.number(".max_flat_workgroup_size") // 64)
        waves = min(waves, groups * waves_of_group // SIMDS)
    return waves


def inline_complaint(instruction):
    """Why an instruction of an inline asm is not allowed, or None."""
    name = instruction.name
    if name in NO_RESULT:
        return None
    if not name.startswith("v_") or NOT_PLAIN_VALU.match(name) or LANE_MOVE.search(instruction.operands):
        return f"inline assembly with {name}, which the compiler must see (line {instruction.line})"
    return None


def bytes_of(instruction):
    """Of a lane, by the end of the name."""
    width = re.search(r"_(b|dwordx|dword|ushort|sshort|short|ubyte|sbyte|byte)(\d*)(_d16|$)", instruction.name)
    kind, count = width.group(1), int(width.group(2) or 1)
    return {"b": count // 8, "dwordx": 4 * count, "dword": 4}.get(kind, 2 if "short" in kind else 1)


def decode_complaints(kernel, row):
    """What keeps the steady loops of paged_decode from streaming: that over rows and that over
    columns of V. A load takes 8 elements, 16 bytes of f16 and bf16. Waits are not judged for heads of
    256, which have registers for less."""
    kv, dq, dv = re.match(r"aiteri_paged_decode_\w+?_(\w+?)_\w+?_(\d+)_(\d+)_", row.symbol).groups()
    row_bytes = int(8 * TYPE_BYTES[kv])
    block = BLOCK_KEYS * (int(dq) + int(dv)) // (64 * 8)
    if row_bytes == 4:  # as wide as an entry of the block table and a scale, which are counted, too
        block += 2

    def wide(body):
        return sum(bytes_of(i) == row_bytes for i in assembly.loads(body))

    # Inside one may be a loop without loads, for values that are not finite.
    steady = [b for b in map(kernel.body, kernel.hot_loops(assembly.loads)) if wide(b)]
    if row_bytes == 4:
        steady = [max(steady, key=wide)] if steady else []
    paths = 2 if kv in COLUMN_TYPES and kernel.chip != "gfx90a" else 1
    if len(steady) != paths:
        yield f"{len(steady)} steady loops with loads of {row_bytes} bytes, expected {paths}"
    for body in steady:
        if wide(body) % block:
            yield f"{wide(body)} loads of {row_bytes} bytes in a steady loop, a block takes {block}"
            continue
        for load in assembly.loads(body):
            if re.search(r"\blds\b|_lds_", load.name + " " + load.operands):
                yield f"a load to LDS (line {load.line})"
            if load.name.startswith("flat"):
                yield f"a flat load (line {load.line})"
            if bytes_of(load) not in (row_bytes, 4):  # 4: an entry of the block table, a scale
                yield f"a load of {bytes_of(load)} bytes (line {load.line})"
        written = sum(bytes_of(i) for i in body if i.name.startswith("ds_write"))
        if written > row_bytes * wide(body) // 4:
            yield f"{written} bytes of a lane go to LDS, beside {row_bytes * wide(body)} loaded"
        for instruction in body if int(dv) <= 128 else []:
            left = assembly.wait_count(instruction, "vmcnt")
            if left is not None and left < block:
                yield f"vmcnt({left}), a block takes {block} loads (line {instruction.line})"


def complaints(kernel, row):
    """Everything that is wrong with a kernel, as texts."""
    found = []

    def demand(holds, text):
        if not holds:
            found.append(text)

    scratch = kernel.number(".private_segment_fixed_size")
    demand(scratch == 0, f"{scratch} bytes of scratch memory")
    demand(not any(i.name.startswith("scratch_") for i in kernel.instructions), "scratch instructions")
    for key in (".sgpr_spill_count", ".vgpr_spill_count"):
        demand(kernel.number(key) == 0, f"{key} {kernel.number(key)}")
    demand(kernel.meta.get(".uses_dynamic_stack", "false") == "false", "a dynamic stack")
    demand(kernel.number(".wavefront_size") == 64, "not a wave of 64")
    arguments = kernel.number(".kernarg_segment_size")
    demand(arguments == row.arguments, f"{arguments} bytes of arguments, args.h says {row.arguments}")
    threads = kernel.number(".max_flat_workgroup_size")
    demand(threads == row.threads, f"workgroups of {threads}, the row says {row.threads}")
    lds = kernel.number(".group_segment_fixed_size")
    demand(lds <= row.lds, f"{lds} bytes of LDS, the row says {row.lds}")
    demand(lds <= LDS_BYTES[row.chip], f"{lds} bytes of LDS, the chip has {LDS_BYTES[row.chip]}")
    demand(occupancy(kernel) >= row.waves,
           f"{occupancy(kernel)} waves per SIMD, the row promises {row.waves}")
    for instruction in kernel.instructions:
        if instruction.inline and inline_complaint(instruction):
            found.append(inline_complaint(instruction))
    if row.symbol.startswith("aiteri_flash_fwd") and row.kind == "plain":
        loops = kernel.hot_loops()
        demand(loops, "no hot loop")
        for loop in loops:
            for instruction in kernel.body(loop):
                if assembly.wait_count(instruction, "vmcnt") == 0:
                    found.append(f"vmcnt(0) in the hot loop (line {instruction.line})")
    if row.symbol.startswith("aiteri_paged_decode") and row.chip != "gfx90a":
        found += decode_complaints(kernel, row)
    return found


def read_parts(folder):
    """All kernels of the assembly in a folder, by chip and name."""
    kernels = {}
    for path in sorted(pathlib.Path(folder).glob("*.gfx*.s")):
        for name, kernel in assembly.parse(path.read_text()).items():
            kernels[kernel.chip, name] = kernel
    return kernels


def main():
    program, parts = sys.argv[1:]
    kernels = read_parts(parts)
    failed = passed = 0
    for row in read_rows(program):
        kernel = kernels.get((row.chip, row.symbol))
        texts = complaints(kernel, row) if kernel else ["not compiled"]
        for text in texts:
            print(f"{row.chip} {row.symbol}: {text}", file=sys.stderr)
        failed += bool(texts)
        passed += not texts
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0 or passed == 0)


if __name__ == "__main__":
    main()
