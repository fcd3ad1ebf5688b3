"""Runs programs with a fault in them and says who noticed."""

import os
import re
import subprocess
import time

ENOUGH = 10  # failing checks after which a program need not go on


class Verdict:
    """What became of one fault."""

    def __init__(self, fault):
        self.fault = fault
        self.failures = {}  # program -> failing checks
        self.crashes = {}  # program -> how it ended
        self.error = None  # it could not be built

    @property
    def count(self):
        return sum(self.failures.values())

    @property
    def state(self):
        if self.fault.proof is not None:
            return "equivalent"
        if self.error:
            return "not built"
        if self.count >= ENOUGH:
            return "killed"
        if self.crashes:
            return "crashed"
        return "barely" if self.count else "survived"

    def text(self):
        parts = [f"{n}{'+' if n >= ENOUGH else ''} {p}" for p, n in self.failures.items() if n]
        parts += [f"{p} {how}" for p, how in self.crashes.items()]
        return ", ".join(parts) or self.fault.proof or self.error or "nobody noticed"


class Program:
    """A test program, and how long it takes when nothing is wrong."""

    def __init__(self, name, command, environment, budget):
        self.name, self.command, self.environment = name, command, environment
        self.budget, self.seconds, self.passed = budget, 0.0, 0

    def measure(self, environment):
        """With no fault on: failing checks, how it ended, and how long it takes."""
        start = time.monotonic()
        failed, ended = self.run(0, 0, environment, limit=900)
        self.seconds = max(self.seconds, time.monotonic() - start)
        return failed, ended

    def run(self, number, stop, environment, command=None, limit=None):
        """Failing checks, and how it ended if not by itself."""
        env = dict(os.environ, AITER_FAULT=str(number), AITER_TEST_BUDGET=self.budget,
                   **self.environment, **environment)
        if stop:
            env["AITER_TEST_STOP"] = str(stop)
        try:
            done = subprocess.run(command or self.command, env=env, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                  timeout=limit or 30 + 10 * self.seconds)
            out, code = done.stdout.decode(errors="replace"), done.returncode
        except subprocess.TimeoutExpired as late:
            out, code = (late.stdout or b"").decode(errors="replace"), None
        line = re.findall(r"^(\d+) passed, (\d+) failed$", out, re.M)
        failed = int(line[-1][1]) if line else len(re.findall(r"^FAIL ", out, re.M))
        self.passed = int(line[-1][0]) if line else 0
        if code is None:
            return failed, "hung"
        if not line:
            return failed, f"ended with {code}"
        if code != 0 and failed == 0:
            return failed, f"ended with {code}"
        return failed, None


def judge(verdict, number, programs, environment, command=None):
    """Runs programs, the quickest first, until enough checks have failed."""
    for program in sorted(programs, key=lambda p: p.seconds):
        if verdict.count >= ENOUGH:
            break
        if program.name in verdict.failures:
            continue
        failed, ended = program.run(number, ENOUGH - verdict.count, environment,
                                    command(program) if command else None)
        verdict.failures[program.name] = min(failed, ENOUGH)
        if ended:
            verdict.crashes[program.name] = ended
