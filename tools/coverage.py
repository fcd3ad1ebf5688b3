#!/usr/bin/env python3
"""Line and branch coverage of src/ by the library's tests and the fuzzers' corpora, per kernel set.

    tools/coverage.py OUT [--budget FLOPS] [--jobs N] [--sets scalar,avx2,avx512] [--list]

Builds everything once with gcc -O0 --coverage into OUT, runs it under AITER_ISA of each kernel set
that the machine has, and prints a table. A template that is stamped once per kernel set counts
once per set: gcov tells its functions apart by name, and what other sets' functions did does not
count. A branch that no run took must be listed in tests/coverage_reasons.txt:

    FILE | part of the line | reason

FILE may be *. Exits 1 when a set has less than 95 % of its branches, a branch is neither taken nor
listed, or a reason fits no branch that is left. --list prints the branches without a reason."""

import argparse
import collections
import concurrent.futures
import glob
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SETS = ["scalar", "avx2", "avx512", "neon"]
GOAL = 95.0
REASONS = "tests/coverage_reasons.txt"
INSIDE = re.compile(r"aiteri_|AITERI_|AITER_ATTN_HIP|device_ops.h|device_calls.h")
# Not of the library; and two that take no branch of their own and end late without inlining, or,
# forking beside gcov's locks, not at all.
LEFT_OUT = re.compile(r"^test_(gguf|weights|tokenizer|decode_.*|determinism|threads_fork)$")


def sh(command, **more):
    done = subprocess.run(command, shell=True, cwd=ROOT, text=True, capture_output=True, **more)
    if done.returncode != 0:
        sys.exit(f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def failed(command):
    """Runs a test, whose failure is its own stage's matter; returns whether it did fail."""
    return subprocess.run(command, shell=True, cwd=ROOT, capture_output=True).returncode != 0


def in_parallel(jobs, commands, call=sh):
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(call, commands))


def build(out, jobs, reuse):
    """Returns [(program with its arguments)]. Objects of the library are the covered ones."""
    compiler = f"{os.environ.get('CC', 'gcc')} -O0 -std=gnu11 -I. -Itests"
    # Inlined copies would each count their branches: functions are told apart, copies are not.
    covered = "--coverage -fprofile-update=atomic -Dalways_inline=unused"
    linked = "'-DAITER_TEST_HEADER=\"tests/header/linked.h\"' '-DAITER_TEST_LINKED=\"src/spine.h\"'"
    objects = f"{out}/obj"
    compiles = [f"{compiler} {covered} {linked} -c tests/header/linked.c -o {objects}/linked.o"]
    links, programs = [], []
    for path in sorted(glob.glob(f"{ROOT}/tests/test_*.c")):
        name = os.path.basename(path)[:-2]
        if LEFT_OUT.match(name):
            continue
        target = f"{objects}/{name}"
        if INSIDE.search(open(path).read()):
            flags, library = f"{covered} '-DAITER_TEST_HEADER=\"src/spine.h\"'", ""
        else:
            flags, library = linked, f"{objects}/linked.o"
        compiles.append(f"{compiler} {flags} -c tests/{name}.c -o {target}.o")
        links.append(f"{compiler} --coverage {target}.o {library} -o {target} -lm -lpthread -ldl")
        programs.append(target)
    compiles.append(f"{compiler} -c tests/fuzz/replay.c -o {objects}/replay.o")
    for name in ("args", "tiers"):
        target = f"{objects}/fuzz_{name}"
        compiles.append(f"{compiler} {linked} -c tests/fuzz/fuzz_{name}.c -o {target}.o")
        links.append(f"{compiler} --coverage {target}.o {objects}/replay.o {objects}/linked.o "
                     f"-o {target} -lm -lpthread -ldl")
        programs.append(f"{target} tests/fuzz/corpus/{name}.pack")
    if not reuse:
        in_parallel(jobs, compiles)
        in_parallel(jobs, links)
    return programs


def sets_of_machine(out):
    sh(f"gcc -O1 -I. tests/header/tier.c -o {out}/tier -lm -lpthread")
    return [s for s in SETS if sh(f"AITER_ISA={s} {out}/tier").strip() == s]


def run(out, kernel_set, programs, budget, jobs):
    folder = f"{out}/{kernel_set}"
    os.makedirs(folder, exist_ok=True)
    for old in glob.glob(f"{folder}/*"):
        os.remove(old)
    strip = len([part for part in f"{out}/obj".split("/") if part])
    fails = in_parallel(jobs, [f"AITER_ISA={kernel_set} AITER_TEST_BUDGET={budget} "
                               f"GCOV_PREFIX={folder} GCOV_PREFIX_STRIP={strip} {program}"
                               for program in programs], failed)
    for program, fail in zip(programs, fails):
        if fail:
            print(f"{kernel_set}: FAILED: {os.path.relpath(program, out)}")
    for note in glob.glob(f"{out}/obj/*.gcno"):
        os.symlink(note, f"{folder}/{os.path.basename(note)}")


def belongs(kernel_set, path, function):
    """Whether a function is not another kernel set's own."""
    return not any(f"aiteri_{other}_" in function or path.endswith(f"simd_{other}.h")
                   for other in SETS if other != kernel_set)


def collect(out, kernel_set):
    """{(file, function, line): [runs, [takes of each branch]]}, summed over all programs."""
    found = {}
    for data in sorted(glob.glob(f"{out}/{kernel_set}/*.gcda")):
        text = subprocess.run(["gcov", "-b", "-i", "-t", data], cwd=f"{out}/{kernel_set}",
                              capture_output=True, text=True).stdout
        for document in text.splitlines():
            for file in json.loads(document)["files"]:
                path = os.path.relpath(os.path.join(ROOT, file["file"]), ROOT)
                if not path.startswith("src/"):
                    continue
                add(found, kernel_set, path, file["lines"])
    return found


def add(found, kernel_set, path, lines):
    for line in lines:
        function = line.get("function_name", "")
        if not belongs(kernel_set, path, function):
            continue
        takes = [branch["count"] for branch in line["branches"]]
        key = (path, function, line["line_number"], len(takes))
        old = found.setdefault(key, [0, [0] * len(takes)])
        old[0] += line["count"]
        old[1] = [a + b for a, b in zip(old[1], takes)]


def read_reasons():
    reasons = []
    for line in open(os.path.join(ROOT, REASONS)):
        if line.strip() and not line.startswith("#"):
            file, text, reason = [part.strip() for part in line.split(" | ", 2)]
            reasons.append((file, text, reason))
    return reasons


def judge(kernel_set, found, reasons, used, show):
    """Prints the table of one set; returns what is wrong."""
    sums = collections.defaultdict(lambda: [0, 0, 0, 0, 0])
    without, text = [], {}
    for (path, function, number, _), (runs, takes) in sorted(found.items()):
        if path not in text:
            text[path] = open(os.path.join(ROOT, path)).read().splitlines()
        line = text[path][number - 1].strip()
        left = sum(take == 0 for take in takes)
        fits = [i for i, (file, part, _) in enumerate(reasons)
                if left and file in ("*", path) and part in line]
        used.update(fits)
        for total in (sums[path], sums["all"]):
            total[0] += 1
            total[1] += runs > 0
            total[2] += len(takes)
            total[3] += len(takes) - left
            total[4] += left if left and not fits else 0
        if left and not fits:
            without.append(f"{path}:{number}: {function}: {left} of {len(takes)}: {line}")
    print(f"\n{kernel_set:<28} {'lines':>7} {'%':>6} {'branches':>9} {'%':>6} {'no reason':>10}")
    for path, (lines, ran, branches, taken, bad) in sorted(sums.items()):
        print(f"{path:<28} {lines:>7} {100 * ran / lines:>6.1f} {branches:>9} "
              f"{100 * taken / branches if branches else 100:>6.1f} {bad:>10}")
    if show:
        print("\n".join(without))
    total = sums["all"]
    percent = 100 * total[3] / total[2]
    wrong = [f"{kernel_set}: {percent:.1f} % of branches, the goal is {GOAL} %"] * (percent < GOAL)
    return wrong + [f"{kernel_set}: {len(without)} lines with branches that have no reason"] * (
        len(without) > 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--budget", default="5e6")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--reuse", action="store_true", help="what OUT holds is built already")
    args = parser.parse_args()
    out = os.path.abspath(args.out)
    os.makedirs(f"{out}/obj", exist_ok=True)
    programs = build(out, args.jobs, args.reuse)
    reasons, used, wrong = read_reasons(), set(), []
    machine = sets_of_machine(out)
    for kernel_set in [s for s in args.sets.split(",") if s in machine]:
        run(out, kernel_set, programs, args.budget, args.jobs)
        wrong += judge(kernel_set, collect(out, kernel_set), reasons, used, args.list)
    for kernel_set in [s for s in args.sets.split(",") if s not in machine]:
        print(f"\n{kernel_set}: this machine has no such kernel set: NOT MEASURED")
    wrong += [f"{REASONS}: nothing is left of: {' | '.join(reason)}"
              for i, reason in enumerate(reasons) if i not in used]
    print("\n".join(["", *wrong, f"{len(reasons) + 1 - bool(wrong)} passed, {len(wrong)} failed"]))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
