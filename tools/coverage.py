#!/usr/bin/env python3
"""Line and branch coverage of src/ by the library's tests and the fuzzers' corpora, per kernel set.

    tools/coverage.py OUT [--budget FLOPS] [--jobs N] [--sets scalar,avx2,avx512] [--list]
        [--table FILE] [--reuse]

Builds everything once with gcc --coverage into OUT, runs it under AITER_ISA of each kernel set
that the machine has, and writes a table. A template that is stamped once per kernel set counts
once per set: gcov tells its functions apart by name, and what other sets' functions did does not
count. A branch that no run took must be listed in tests/coverage_reasons.txt:

    FILE | part of the line | reason

Exits 1 when a set has less than 95 % of its branches, a branch is neither taken nor
listed, or a reason fits no branch that is left. --list prints the branches without a reason."""

import argparse
import collections
import concurrent.futures
import glob
import json
import os
import re
import resource
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SETS = ["scalar", "avx2", "avx512", "neon"]
GOAL = 95.0
REASONS = "tests/coverage_reasons.txt"
INSIDE = re.compile(r"aiteri_|AITERI_|AITER_ATTN_HIP")
# Not of the library; and two without a branch of their own, which end late beside others' counts
# or, after a fork, give none.
LEFT_OUT = re.compile(r"^(test_(gguf|weights|tokenizer|decode_.*|threads_fork|determinism)|"
                      r"fuzz_gguf)$")
# What depends on the kernel set; the others run once, under the set that a context takes by itself,
# and tell every set about the files that are one code for all of them.
STAMPED = re.compile(r"src/cpu/(k|simd)_")
PER_SET = re.compile(r"^(test_(convert|extremes|flash_attn_fwd|hidden_keys|merge_attn_states|"
                     r"offsets|paged_attn_decode|properties|reshape_and_cache|rope_fwd|"
                     r"short_forms|spec_shapes)|fuzz_tiers)$")
# Speed without a branch less: nothing is inlined (an inlined copy would count its branches again),
# and no condition becomes arithmetic.
OPTIMISED = ("-O1 -fno-inline -fno-early-inlining -Dalways_inline=unused -fno-ssa-phiopt "
             "-fno-if-conversion -fno-if-conversion2")


def sh(command, **more):
    done = subprocess.run(command, shell=True, cwd=ROOT, text=True, capture_output=True, **more)
    if done.returncode != 0:
        sys.exit(f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def timed(command):
    """Runs a test; returns whether it failed (its own stage's matter), and its seconds."""
    start = time.monotonic()
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True)
    return done.returncode != 0, time.monotonic() - start


def in_parallel(jobs, commands, call=sh):
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(call, commands))


def build(out, jobs, reuse):
    """Returns [(program with its arguments)]. Of each, what lies in src/ is covered."""
    compiler = (f"{os.environ.get('CC', 'gcc')} {OPTIMISED} -std=gnu11 -I. -Itests "
                "'-DAITER_TEST_LINKED=\"src/spine.h\"' '-DAITERI_ASSERT(condition)=((void)0)'")
    covered = "--coverage -fprofile-update=atomic '-fprofile-filter-files=.*src/.*'"
    objects = f"{out}/obj"
    compiles = [f"{compiler} {covered} -c tests/header/linked.c -o {objects}/linked.o",
                f"{compiler} -c tests/fuzz/replay.c -o {objects}/replay.o"]
    links, programs = [], []
    sources = [path for kind in ("test_", "fuzz/fuzz_")
               for path in sorted(glob.glob(f"{ROOT}/tests/{kind}*.c"))]
    for path in sources:
        name = os.path.basename(path)[:-2]
        if LEFT_OUT.match(name):
            continue
        target, text = f"{objects}/{name}", open(path).read()
        header = "inside.h" if INSIDE.search(text) else "linked.h"
        compiles.append(f"{compiler} {covered} '-DAITER_TEST_HEADER=\"tests/header/{header}\"' "
                        f"-c {path} -o {target}.o")
        parts = [f"{target}.o"]
        if name.startswith("fuzz_"):
            parts.append(f"{objects}/replay.o")
        if "src/plan/plan.c" not in text:
            parts.append(f"{objects}/linked.o")
        links.append(f"{compiler} --coverage {' '.join(parts)} -o {target} -lm -lpthread -ldl")
        pack = f"tests/fuzz/corpus/{name[5:]}.pack" if name.startswith("fuzz_") else ""
        programs.append(f"{target} {pack}".strip())
    if not reuse:
        in_parallel(jobs, compiles)
        in_parallel(jobs, links)
    return programs


def is_per_set(program):
    return PER_SET.match(os.path.basename(program.split()[0]))


def sets_of_machine(out):
    sh(f"gcc -O0 -I. tests/header/tier.c -o {out}/tier -lm -lpthread")
    return [s for s in SETS if sh(f"AITER_ISA={s} {out}/tier").strip() == s]


def run(out, kernel_set, programs, seconds, budget, jobs):
    """Runs all in the set, or in the one that a context takes. The longest known come first."""
    folder = f"{out}/{kernel_set or 'any'}"
    os.makedirs(folder, exist_ok=True)
    for old in glob.glob(f"{folder}/*"):
        os.remove(old)
    strip = len([part for part in f"{out}/obj".split("/") if part])
    isa = f"AITER_ISA={kernel_set}" if kernel_set else ""
    programs = sorted(programs, key=lambda program: -seconds.get(program, 1e9))
    results = in_parallel(jobs, [f"{isa} AITER_TEST_BUDGET={budget} GCOV_PREFIX={folder} "
                                 f"GCOV_PREFIX_STRIP={strip} {program}" for program in programs],
                          timed)
    for program, (failed, seconds[program]) in zip(programs, results):
        if failed:
            print(f"{kernel_set or 'any set'}: FAILED: {os.path.relpath(program, out)}")
    for note in glob.glob(f"{out}/obj/*.gcno"):
        os.symlink(note, f"{folder}/{os.path.basename(note)}")


def belongs(kernel_set, path, function):
    """Whether a function is not another kernel set's own."""
    return not any(f"aiteri_{other}_" in function or path.endswith(f"simd_{other}.h")
                   for other in SETS if other != kernel_set)


def collect(out, folder, kernel_set, found):
    """Adds a folder's to {(file, function, line): [runs, [takes of each branch]]}."""
    for data in sorted(glob.glob(f"{out}/{folder}/*.gcda")):
        text = subprocess.run(["gcov", "-b", "-i", "-t", data], cwd=f"{out}/{folder}",
                              capture_output=True, text=True).stdout
        for document in text.splitlines():
            for file in json.loads(document)["files"]:
                path = os.path.relpath(os.path.join(ROOT, file["file"]), ROOT)
                if not path.startswith("src/") or (folder == "any" and STAMPED.match(path)):
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
    """Prints one set's totals; returns {file: [lines, run, branches, taken, without a reason]}."""
    sums = collections.defaultdict(lambda: [0, 0, 0, 0, 0])
    without, text = [], {}
    for (path, function, number, _), (runs, takes) in sorted(found.items()):
        if path not in text:
            text[path] = open(os.path.join(ROOT, path)).read().splitlines()
        line = text[path][number - 1].strip()
        left = sum(take == 0 for take in takes)
        fits = [i for i, (file, part, _) in enumerate(reasons)
                if left and file == path and part in line]
        used.update(fits)
        for total in (sums[path], sums["all"]):
            total[0] += 1
            total[1] += runs > 0
            total[2] += len(takes)
            total[3] += len(takes) - left
            total[4] += left if not fits else 0
        if left and not fits:
            without.append(f"{path}:{number}: {function}: {left} of {len(takes)}: {line}")
    lines, ran, branches, taken, bad = sums["all"]
    print(f"{kernel_set}: {100 * ran / lines:.1f} % of {lines} lines, "
          f"{100 * taken / branches:.1f} % of {branches} branches, {bad} without a reason")
    if show:
        print("\n".join(without))
    return sums


def percents(sums, path):
    if path not in sums:
        return "-"
    lines, ran, branches, taken, _ = sums[path]
    return f"{100 * ran / lines:.1f} / {100 * taken / branches if branches else 100:.1f}"


def table(sums_of, minutes):
    """What tests/coverage.md shows: lines % / branches % of each file under each set."""
    cpu = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if "model name" in line]
    compiler = sh(f"{os.environ.get('CC', 'gcc')} --version").splitlines()[0]
    commit = sh("git rev-parse --short HEAD").strip()
    paths = sorted({path for sums in sums_of.values() for path in sums if path != "all"})
    rows = [[f"`{path}`"] + [percents(sums, path) for sums in sums_of.values()] for path in paths]
    rows.append(["all"] + [percents(sums, "all") for sums in sums_of.values()])
    return "\n".join(["# Coverage of `src/` by the tests", "",
                      "`tools/coverage.py OUT --list --table tests/coverage.md` writes this page;",
                      "`.ci/run full coverage` checks it. What no test takes has a reason in",
                      "`tests/coverage_reasons.txt`. A kernel template counts once per set.", "",
                      f"Lines % / branches % on {time.strftime('%Y-%m-%d')}: {compiler}, "
                      f"{cpu[0] if cpu else 'unknown CPU'}, commit {commit}, {minutes:.0f} minutes "
                      "of one core.", "",
                      "| file | " + " | ".join(sums_of) + " |",
                      "|---|" + "---|" * len(sums_of),
                      *("| " + " | ".join(row) + " |" for row in rows), ""])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--budget", default="5e6")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--table", help="a file for the table, as tests/coverage.md has it")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--reuse", action="store_true", help="what OUT holds is built already")
    args = parser.parse_args()
    out = os.path.abspath(args.out)
    os.makedirs(f"{out}/obj", exist_ok=True)
    programs = build(out, args.jobs, args.reuse)
    reasons, used, wrong, seconds = read_reasons(), set(), [], {}
    machine, sums_of = sets_of_machine(out), {}
    asked = args.sets.split(",")
    run(out, None, [p for p in programs if not is_per_set(p)], seconds, args.budget, args.jobs)
    for kernel_set in [s for s in asked if s in machine]:
        run(out, kernel_set, [p for p in programs if is_per_set(p)], seconds, args.budget,
            args.jobs)
        found = collect(out, kernel_set, kernel_set, collect(out, "any", kernel_set, {}))
        sums = sums_of[kernel_set] = judge(kernel_set, found, reasons, used, args.list)
        _, _, branches, taken, bad = sums["all"]
        if 100 * taken < GOAL * branches:
            wrong.append(f"{kernel_set}: less than {GOAL} % of the branches")
        if bad:
            wrong.append(f"{kernel_set}: {bad} branches without a reason")
    for kernel_set in [s for s in asked if s not in machine]:
        print(f"{kernel_set}: this machine has no such kernel set: NOT MEASURED")
    longest = sorted(seconds.items(), key=lambda item: -item[1])[:5]
    print("longest:", ", ".join(f"{os.path.basename(p.split()[0])} {s:.0f} s" for p, s in longest))
    used_time = resource.getrusage(resource.RUSAGE_CHILDREN)
    minutes = (used_time.ru_utime + used_time.ru_stime) / 60
    print(f"{minutes:.1f} minutes of one core")
    if args.table:
        with open(args.table, "w") as file:
            file.write(table(sums_of, minutes))
    # A reason may be one set's alone: only a run of all of them can tell that it is stale.
    all_sets = [{"scalar", "avx2", "avx512"}, {"scalar", "neon"}]
    if any(sets <= set(sums_of) for sets in all_sets):
        wrong += [f"{REASONS}: nothing is left of: {' | '.join(reason)}"
                  for i, reason in enumerate(reasons)
                  if i not in used and not reason[2].startswith(("timing", "machine"))]
    if not sums_of:
        wrong.append("no set was measured")
    print("\n".join([*wrong, f"{len(sums_of) + len(reasons)} passed, {len(wrong)} failed"]))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
