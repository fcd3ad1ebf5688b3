#!/usr/bin/env python3
"""What the header costs to compile: user time against a yardstick, and bytes of text.

    tests/header/compile_budget.py [--pairs 3] [--compiler gcc] [--header aiter_attn.h]

Both implementations are compiled with -O2 in alternation; the machine's speed is in both. A row
fails above its share of the yardstick (the header of commit be546fe) or its bytes of text."""

import argparse
import os
import resource
import shlex
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))

# defines, share of the yardstick's time, bytes of text
ROWS = (
    ("", 0.70, 190000),
)


def user_time():
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime


def compiled(compiler, header, defines, folder):
    """Seconds of user time, and bytes of text."""
    unit = os.path.join(folder, "unit.c")
    with open(unit, "w", encoding="utf-8") as file:
        file.write(f'#define AITER_ATTN_IMPLEMENTATION\n#include "{header}"\n')
    start = user_time()
    subprocess.run([*shlex.split(compiler), "-O2", *shlex.split(defines), "-c", unit,
                    "-o", unit + ".o"], check=True)
    seconds = user_time() - start
    sizes = subprocess.run(["size", unit + ".o"], check=True, text=True, capture_output=True).stdout
    return seconds, int(sizes.splitlines()[1].split()[0])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--compiler", default="gcc")
    parser.add_argument("--header", default=os.path.join(HERE, "..", "..", "aiter_attn.h"))
    args = parser.parse_args()
    header, yardstick = os.path.abspath(args.header), os.path.join(HERE, "yardstick.h")
    passed = 0
    with tempfile.TemporaryDirectory() as folder:
        unit, today = [], [[] for _ in ROWS]
        for _ in range(args.pairs):
            unit.append(compiled(args.compiler, yardstick, "", folder)[0])
            for row, (defines, _, _) in zip(today, ROWS):
                row.append(compiled(args.compiler, header, defines, folder))
        for row, (defines, most, most_bytes) in zip(today, ROWS):
            times, text = [seconds for seconds, _ in row], row[0][1]
            share = min(times) / min(unit)  # what a busy machine adds to some of them is left out
            good = share <= most and text <= most_bytes
            passed += good
            print(f"{defines or 'all of it'}: {share:.2f} of the yardstick ({min(times):.1f} s against "
                  f"{min(unit):.1f}), at most {most}; {text} bytes of text, at most {most_bytes}"
                  f"{'' if good else ': TOO MUCH'}")
    print(f"{passed} passed, {len(ROWS) - passed} failed")
    return passed != len(ROWS)


if __name__ == "__main__":
    sys.exit(main())
