#!/usr/bin/env python3
"""Rows of the benches by several compilers, interleaved: how fast is each one's library?

    bench/compilers.py [--rounds 15] [--isa avx2,avx512] [--root FOLDER] [--duel] NAME=COMPILER...
    bench/compilers.py gcc=gcc-12 clang14=clang-14 "zig=python3 -m ziglang cc -target x86_64-linux-gnu"

A cell is the median share of the peak that was probed beside each sample, and that share over the
best compiler's. One thread; --root measures another checkout. --duel alternates the libraries call by
call in one process instead (bench/duel.c), where neighbours make programs incomparable: a cell is the
median time over the first compiler's."""

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile

ROWS = (("flash_attn_fwd", "full/D128/Hk32/S2048/f32"),
        ("flash_attn_fwd", "full/D128/Hk8/S2048/f16"),
        ("paged_attn_decode", "page16/ctx16384/B1/f16"))


def sample(program, isa, row):
    """Share of the peak, and the probe."""
    text = subprocess.run([program, "-r", "1", "-o", "csv", "--isa", isa, "--threads", "1",
                           "--filter", row], check=True, text=True, capture_output=True).stdout
    fields = text.splitlines()[-1].split(",")
    return float(fields[5]), float(fields[7])


def build(compiler, root, source, to, flags=()):
    subprocess.run([*shlex.split(compiler), "-O3", "-std=gnu11", "-I", root, *flags,
                    f"{root}/bench/{source}.c", "-o", to, "-lm", "-lpthread", "-ldl"], check=True)


def duel(args, compilers, folder):
    libraries = [f"{folder}/{name}.so" for name in compilers]
    for library, compiler in zip(libraries, compilers.values()):
        build(compiler, args.root, "duel", library, ("-fPIC", "-shared", "-DDUEL_SIDE"))
    build("cc", args.root, "duel", f"{folder}/duel")
    for isa in args.isa.split(","):
        print(f"| {isa}, time | " + " | ".join(compilers) + " |")
        print("|---|" + "---|" * len(compilers), flush=True)
        subprocess.run([f"{folder}/duel", str(args.rounds), isa, *libraries], check=True)
    return 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--isa", default="avx2,avx512")
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser.add_argument("--duel", action="store_true")
    parser.add_argument("compilers", nargs="+")
    args = parser.parse_args()
    compilers = dict(pair.split("=", 1) for pair in args.compilers)
    with tempfile.TemporaryDirectory() as folder, open("/proc/cpuinfo", encoding="utf-8") as cpu:
        print(next(line for line in cpu if "model name" in line).split(":")[1].strip() +
              f", one thread, {args.rounds} interleaved rounds")
        if args.duel:
            return duel(args, compilers, folder)
        for name, compiler in compilers.items():
            for bench in {bench for bench, _ in ROWS}:
                build(compiler, args.root, f"bench_{bench}", f"{folder}/{name}_{bench}")
        print("| set, row | " + " | ".join(compilers) + " |")
        print("|---|" + "---|" * len(compilers))
        for isa in args.isa.split(","):
            for bench, row in ROWS:
                rounds = [{name: sample(f"{folder}/{name}_{bench}", isa, row) for name in compilers}
                          for _ in range(args.rounds)]
                share = {n: statistics.median(r[n][0] for r in rounds) for n in compilers}
                best = max(share.values())
                print(f"| {isa}, {row} | " + " | ".join(
                    f"{100 * share[n]:.1f} % ({share[n] / best:.2f})" for n in compilers) + " |",
                    flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
