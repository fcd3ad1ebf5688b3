#!/usr/bin/env python3
"""The same rows by several compilers, interleaved: each compiler's share of the best one's speed.

    bench/compilers.py [--rounds 15] [--isa avx2,avx512] [--seconds 0.25] NAME=COMPILER...
    bench/compilers.py gcc=gcc-12 clang14=clang-14 "zig=python3 -m ziglang cc -target x86_64-linux-gnu"

A share is the median over rounds of (this compiler's rate / the best compiler's in that round)."""

import argparse
import os
import shlex
import statistics
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def build(compiler, out):
    flags = ["-O3", "-std=gnu11", "-I", ROOT, f"{ROOT}/bench/compilers.c", "-o", out, "-lm", "-lpthread"]
    subprocess.run([*shlex.split(compiler), *flags], check=True)


def run(program, isa, seconds):
    env = dict(os.environ, AITER_ISA=isa)
    text = subprocess.run([program, str(seconds)], env=env, check=True, text=True,
                          capture_output=True).stdout
    return {name: float(rate) for name, rate in (line.split() for line in text.splitlines())}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--isa", default="avx2,avx512")
    parser.add_argument("--seconds", type=float, default=0.25)
    parser.add_argument("compilers", nargs="+")
    args = parser.parse_args()
    compilers = dict(pair.split("=", 1) for pair in args.compilers)
    with tempfile.TemporaryDirectory() as folder:
        for name, compiler in compilers.items():
            build(compiler, f"{folder}/{name}")
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            print(next(line for line in file if "model name" in line).split(":")[1].strip())
        print(f"{args.rounds} rounds; GFLOP/s or GB/s, one thread: median (share of the best)")
        print("isa row".ljust(22) + "".join(name.rjust(18) for name in compilers))
        for isa in args.isa.split(","):
            rounds = [{name: run(f"{folder}/{name}", isa, args.seconds) for name in compilers}
                      for _ in range(args.rounds)]
            for row in next(iter(rounds[0].values())):
                rates = {n: statistics.median(r[n][row] for r in rounds) for n in compilers}
                shares = {n: statistics.median(r[n][row] / max(x[row] for x in r.values())
                                               for r in rounds) for n in compilers}
                print(f"{isa} {row}".ljust(22) +
                      "".join(f"{rates[n]:.1f} ({shares[n]:.2f})".rjust(18) for n in compilers))


if __name__ == "__main__":
    main()
