#!/usr/bin/env python3
"""What a compiler made of the CPU's hot loops: multiply-adds and accesses to the stack.

    tests/isa/check_loops.py OBJECT [--objdump PROGRAM] [--show]

OBJECT is the implementation, compiled with optimisation. Of each function of the table the loop
with the densest multiply-adds is taken of those that have as many of them as the registers allow
(narrow tiles have fewer): it must have none of its vectors on the stack, where each step would wait
for memory, at most one pointer there, and no more instructions for each multiply-add than the front
end of a CPU can hide."""

import argparse
import re
import subprocess
import sys

# set: multiply-adds of one step of a tile, most instructions for each; of a stream's dot, axpy
SETS = {
    "avx2": (12, 1.92, 2.6, 3.0),
    "avx512": (24, 1.66, 2.1, 2.4),
    "avx512bf16": (24, 1.75, None, None),
    "neon": (24, 1.6, 2.0, 2.2),
}
TYPES = ("f32", "f16", "bf16", "i8")
NEON_CONVERTS = 2.0  # times as many: it widens in two to four instructions
FMA = re.compile(r"^v?fm(add|la)|^vdpbf16ps")
STACK = re.compile(r"\(%rsp|\[(sp|x29)")
FRAME = re.compile(r"\(%rbp")  # of the stack where %rbp is the frame
VECTOR = re.compile(r"%[xyz]mm|^(?:ld|st)[pu]?r? [qdsv]\d")
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


def hottest(body, step):
    """(multiply-adds, vectors and others on the stack, instructions) of the loop densest in the
    first, of those with a multiple of `step` if there is one."""
    found = []
    frame = any(code.startswith("mov %rsp,%rbp") for _, code in body)
    for first, last in loops(body):
        codes = [code for _, code in body[first:last + 1]]
        stack = [c for c in codes if STACK.search(c) or (frame and FRAME.search(c))]
        vectors = sum(bool(VECTOR.search(c)) for c in stack)
        found.append((sum(bool(FMA.match(c)) for c in codes), vectors, len(stack) - vectors,
                      len(codes)))
    whole = [x for x in found if x[0] and x[0] % step == 0]
    return max(whole or found, key=lambda x: (x[0] / x[3], x[0]), default=None)


def expected():
    """{function: (multiply-adds of which its loop has a multiple, most instructions for each)}"""
    rules = {}
    for name, (step, tile, dot, axpy) in SETS.items():
        rules |= {f"{name}_tile_score": (step, tile), f"{name}_tile_value": (step, tile)}
        for kind in TYPES if dot else ():
            more = NEON_CONVERTS if name == "neon" and kind != "f32" else 1
            rules[f"{name}_stream_dot_{kind}"] = (4, more * dot)
            rules[f"{name}_stream_axpy_{kind}"] = (4, more * axpy)
    return rules


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("object")
    parser.add_argument("--objdump", default="objdump")
    parser.add_argument("--show", action="store_true")
    args = parser.parse_args()
    text = subprocess.run([args.objdump, "-d", "--no-show-raw-insn", args.object], text=True,
                          capture_output=True, check=True).stdout
    passed = failed = 0
    found = functions(text)
    for name, (step, most) in expected().items():
        if not any(other.startswith(name.split("_")[0] + "_tile") for other in found):
            continue  # a set of another architecture
        loop = hottest(found.get(name, []), step)
        good = (loop and loop[0] > 0 and loop[0] % step == 0 and loop[1] == 0 and loop[2] <= 1 and
                loop[3] <= most * loop[0])
        passed, failed = passed + bool(good), failed + (not good)
        if args.show or not good:
            text = "no loop" if not loop else \
                "%d multiply-adds, %d vectors and %d pointers on the stack, %d instructions" % loop
            print(name + ": " + text + ("" if good else
                  f", expected a multiple of {step}, 0, 1, at most {most:.2f} for each"))
    print(f"{passed} passed, {failed + (passed + failed == 0)} failed")
    return passed == 0 or failed > 0


if __name__ == "__main__":
    sys.exit(main())
