#!/usr/bin/env python3
"""What a compiler made of the CPU's hot loops: multiply-adds and accesses to the stack.

    tests/isa/check_loops.py OBJECT [--objdump PROGRAM] [--show]

OBJECT is the implementation, compiled with optimisation. Of each function of the table the loop
with the densest multiply-adds is taken: it must have as many of them as its registers allow, and
none of its accumulators on the stack, where each step would wait for memory."""

import argparse
import re
import subprocess
import sys

# function: multiply-adds of one step; a loop may have a multiple of it
LOOPS = {
    "avx2_tile_score": 12, "avx2_tile_value": 12,
    "avx512_tile_score": 24, "avx512_tile_value": 24,
    "avx512bf16_tile_score": 24, "avx512bf16_tile_value": 24,
    "neon_tile_score": 24, "neon_tile_value": 24,
    "avx2_stream_dot_f32": 4, "avx2_stream_axpy_f32": 4,
    "avx512_stream_dot_f32": 4, "avx512_stream_axpy_f32": 4,
    "neon_stream_dot_f32": 4, "neon_stream_axpy_f32": 4,
}
FMA = re.compile(r"^v?fm(add|la)|^vdpbf16ps")
STACK = re.compile(r"\(%rsp|\[(sp|x29)")
FRAME = re.compile(r"\(%rbp")  # of the stack where %rbp is the frame
JUMP = re.compile(r"^(?:j\w+|b\.?\w*|cbn?z|tbn?z)\s.*?\b([0-9a-f]+)(?: <|$)")


def functions(text):
    """{name: [(address, instruction)]}"""
    found, body = {}, None
    for line in text.splitlines():
        head = re.match(r"[0-9a-f]+ <(?:aiteri_)?(\w+?)(?:\.\w+)*>:", line)
        if head:
            body = found.setdefault(head[1], [])
            continue
        code = re.match(r"\s*([0-9a-f]+):\s+(.*?)\s*$", line)
        if code and body is not None:
            body.append((int(code[1], 16), re.sub(r"\s+", " ", code[2])))
    return found


def loops(body):
    """(first, last) of backward jumps that have no other one inside."""
    places = {address: i for i, (address, _) in enumerate(body)}
    found = []
    for i, (_, code) in enumerate(body):
        jump = JUMP.match(code)
        start = places.get(int(jump[1], 16)) if jump else None
        if start is not None and start <= i:
            found.append((start, i))
    return [x for x in found
            if not any(y != x and x[0] <= y[0] and y[1] <= x[1] for y in found)]


def hottest(body):
    """(multiply-adds, stack accesses, instructions) of the loop that has most of the first."""
    found = []
    frame = any(code.startswith("mov %rsp,%rbp") for _, code in body)
    for first, last in loops(body):
        codes = [code for _, code in body[first:last + 1]]
        found.append((sum(bool(FMA.match(c)) for c in codes),
                      sum(bool(STACK.search(c) or (frame and FRAME.search(c))) for c in codes),
                      len(codes)))
    return max(found, key=lambda x: (x[0], -x[2]), default=None)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("object")
    parser.add_argument("--objdump", default="objdump")
    parser.add_argument("--show", action="store_true")
    args = parser.parse_args()
    text = subprocess.run([args.objdump, "-d", "--no-show-raw-insn", args.object], text=True,
                          capture_output=True, check=True).stdout
    passed = failed = 0
    for name, body in functions(text).items():
        if name not in LOOPS:
            continue
        loop = hottest(body)
        good = loop and loop[0] > 0 and loop[0] % LOOPS[name] == 0 and loop[1] == 0
        passed, failed = passed + bool(good), failed + (not good)
        if args.show or not good:
            print(f"{name}: {'%d multiply-adds, %d stack accesses in %d instructions' % loop if loop else 'no loop'}"
                  f"{'' if good else f', expected a multiple of {LOOPS[name]} and none on the stack'}")
    print(f"{passed} passed, {failed + (passed + failed == 0)} failed")
    return passed == 0 or failed > 0


if __name__ == "__main__":
    sys.exit(main())
