#!/usr/bin/env python3
"""What the header costs to compile: user time against a yardstick, and bytes of text.

    tests/header/compile_budget.py [--pairs 3] [--compiler gcc] [--header aiter_attn.h]

Both implementations are compiled with -O2 in alternation; the machine's speed is in both. A row
fails above its share of the yardstick (the header of commit be546fe) or its bytes of text. More
pairs are taken where the first ones fail: on a shared core one of them alone may be half as fast."""

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
    ("", 0.90, 225000),
    ("-DAITER_ATTN_ONLY_FLASH", 0.60, 150000),
    ("-DAITER_ATTN_ONLY_DECODE", 0.80, 195000),
    ("-DAITER_ATTN_ONLY_CACHE", 0.30, 50000),
    ("-DAITER_ATTN_ONLY_MERGE", 0.30, 50000),
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


def shares(unit, today):
    """By the least of each side, and by the median of the pairs: a busy neighbour spoils the first
    where it met one side alone, the second where it changed within pairs."""
    pairs = sorted(t / u for t, u in zip(today, unit))
    return min(today) / min(unit), pairs[len(pairs) // 2]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--most-pairs", type=int, default=7)
    parser.add_argument("--compiler", default="gcc")
    parser.add_argument("--header", default=os.path.join(HERE, "..", "..", "aiter_attn.h"))
    args = parser.parse_args()
    header, yardstick = os.path.abspath(args.header), os.path.join(HERE, "yardstick.h")
    unit, today, text = [], [[] for _ in ROWS], [0] * len(ROWS)

    def share(row):
        return min(shares(unit, today[row]))

    # All rows share a round's compilation of the yardstick.
    with tempfile.TemporaryDirectory() as folder:
        while len(unit) < args.pairs or (
                len(unit) < args.most_pairs and
                any(share(row) > most for row, (_, most, _) in enumerate(ROWS))):
            unit.append(compiled(args.compiler, yardstick, "", folder)[0])
            for row, (defines, _, _) in enumerate(ROWS):
                seconds, text[row] = compiled(args.compiler, header, defines, folder)
                today[row].append(seconds)
    passed = 0
    for row, (defines, most, most_bytes) in enumerate(ROWS):
        good = share(row) <= most and text[row] <= most_bytes
        passed += good
        print(f"{defines or 'all of it'}: {share(row):.2f} of the yardstick "
              f"({min(today[row]):.1f} s against {min(unit):.1f}, {len(unit)} pairs), at most {most}; "
              f"{text[row]} bytes of text, at most {most_bytes}{'' if good else ': TOO MUCH'}")
    print(f"{passed} passed, {len(ROWS) - passed} failed")
    return passed != len(ROWS)


if __name__ == "__main__":
    sys.exit(main())
