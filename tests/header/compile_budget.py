#!/usr/bin/env python3
"""What the header costs to compile: user time against a yardstick, and bytes of text.

    tests/header/compile_budget.py [--most-rounds 3] [--compiler gcc] [--header aiter_attn.h]

A shared core changes its speed by half within a minute, so nothing is compiled after another: the
yardstick (the header of commit be546fe) and every row run at once on one processor, the rows over
and over until the yardstick ends. What slows one slows all. A row that is above its share gets up to
three rounds, and is their median."""

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))

# defines, share of the yardstick's time, bytes of text. The yardstick's own ops were held to 0.70;
# since then came fp8 and int4 keys and values, fp8 rows, every kind of scales, tiled pages, gaps and
# the copies of blocks. Machines differ by 0.05: 0.77 on Zen 5 is 0.80 on a Xeon.
ROWS = (
    ("-DAITER_ATTN_NO_ROPE -DAITER_ATTN_NO_QUANT", 0.84, 262000),
    ("-DAITER_ATTN_ONLY_FLASH", 0.61, 180000),
    ("-DAITER_ATTN_ONLY_DECODE", 0.78, 225000),
    ("-DAITER_ATTN_ONLY_CACHE", 0.25, 72000),
    ("-DAITER_ATTN_ONLY_MERGE", 0.20, 50000),
    ("-DAITER_ATTN_ONLY_ROPE", 0.25, 50000),
    ("-DAITER_ATTN_ONLY_QUANT", 0.25, 60000),
)


def compiled(command):
    """Seconds of user time."""
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return used.ru_utime


def text_bytes(file):
    sizes = subprocess.run(["size", file], check=True, text=True, capture_output=True).stdout
    return int(sizes.splitlines()[1].split()[0])


def one_round(yardstick, commands):
    """Each command's share of the yardstick's time."""
    ended, seconds = threading.Event(), [[] for _ in commands]

    def over_and_over(row):
        while not seconds[row] or not ended.is_set():
            seconds[row].append(compiled(commands[row]))

    rows = [threading.Thread(target=over_and_over, args=(row,)) for row in range(len(commands))]
    for row in rows:
        row.start()
    unit = compiled(yardstick)
    ended.set()
    for row in rows:
        row.join()
    # What was still running when the yardstick ended had the processor more to itself.
    return [statistics.mean(times[:-1] or times) / unit for times in seconds]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--most-rounds", type=int, default=3)
    parser.add_argument("--compiler", default="gcc")
    parser.add_argument("--header", default=os.path.join(HERE, "..", "..", "aiter_attn.h"))
    args = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:

        def command(name, header, defines):
            unit = os.path.join(folder, name + ".c")
            with open(unit, "w", encoding="utf-8") as file:
                file.write(f'#define AITER_ATTN_IMPLEMENTATION\n#include "{os.path.abspath(header)}"\n')
            return [*shlex.split(args.compiler), "-O2", *shlex.split(defines), "-c", unit,
                    "-o", os.path.join(folder, name + ".o")]

        yardstick = command("yardstick", os.path.join(HERE, "yardstick.h"), "")
        commands = [command(f"row{i}", args.header, row[0]) for i, row in enumerate(ROWS)]
        rounds = []

        def share(row):
            return statistics.median(shares[row] for shares in rounds)

        while not rounds or (len(rounds) < args.most_rounds and
                             any(share(row) > most for row, (_, most, _) in enumerate(ROWS))):
            rounds.append(one_round(yardstick, commands))
        text = [text_bytes(command[-1]) for command in commands]
    passed = 0
    for row, (defines, most, most_bytes) in enumerate(ROWS):
        shares = [shares[row] for shares in rounds]
        good = share(row) <= most and text[row] <= most_bytes
        passed += good
        print(f"{defines or 'all of it'}: {share(row):.2f} of the yardstick ({min(shares):.2f} to "
              f"{max(shares):.2f} in {len(shares)} rounds), at most {most}; {text[row]} bytes of text, "
              f"at most {most_bytes}{'' if good else ': TOO MUCH'}")
    print(f"{passed} passed, {len(ROWS) - passed} failed")
    return passed != len(ROWS)


if __name__ == "__main__":
    sys.exit(main())
