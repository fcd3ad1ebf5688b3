"""Runs programs with a fault in them and says who noticed."""

import os
import re
import subprocess
import tempfile
import time

ENOUGH = 10  # failing checks after which a program need not go on
IDLE = 10  # seconds without work after which a program waits for ever


class Idle:
    """Watches whether a process works."""

    def __init__(self, pid):
        self.path, self.ticks, self.since = f"/proc/{pid}/stat", -1, 0.0

    def is_over(self):
        now = time.monotonic()
        if now < self.since + 1:
            return False
        try:
            with open(self.path) as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            return False
        ticks = int(fields[11]) + int(fields[12])  # user and system
        if ticks != self.ticks:
            self.ticks, self.since = ticks, now
        return now > self.since + IDLE


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
    """A test program, and how much time of a processor it takes when nothing is wrong."""

    def __init__(self, name, command, environment, budget):
        self.name, self.command, self.environment = name, command, environment
        self.budget, self.seconds, self.passed = budget, 0.0, 0

    def measure(self, environment):
        """With no fault on: failing checks, and how it ended."""
        failed, ended, seconds = self.run(0, 0, environment, limit=900)
        self.seconds = max(self.seconds, seconds)
        return failed, ended

    def run(self, number, stop, environment, command=None, limit=None):
        """Failing checks, how it ended if not by itself, and the processor's seconds. One that works
        on is stopped by those; one that waits for ever, by none of them in IDLE seconds."""
        env = dict(os.environ, AITER_FAULT=str(number), AITER_TEST_BUDGET=self.budget,
                   **self.environment, **environment)
        if stop:
            env["AITER_TEST_STOP"] = str(stop)
        limit = limit or 4 + 4 * self.seconds
        with tempfile.TemporaryFile() as out:
            bounded = ["sh", "-c", f'ulimit -t {int(limit) + 1}; exec "$0" "$@"']
            child = subprocess.Popen(bounded + list(command or self.command), env=env,
                                     stdin=subprocess.DEVNULL, stdout=out,
                                     stderr=subprocess.DEVNULL)
            try:
                watch = Idle(child.pid)
                pid, status, used = os.wait4(child.pid, os.WNOHANG)
                while pid == 0:
                    time.sleep(0.01)
                    if watch.is_over():
                        child.kill()
                    pid, status, used = os.wait4(child.pid, os.WNOHANG)
            except ChildProcessError:  # another thread's start of a program took its end: again
                return self.run(number, stop, environment, command, limit)
            child.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            text = out.read().decode(errors="replace")
        seconds = used.ru_utime + used.ru_stime
        line = re.findall(r"^(\d+) passed, (\d+) failed$", text, re.M)
        # A broken assumption is a line, but none of the program's own counts.
        failed = max(int(line[-1][1]) if line else 0, len(re.findall(r"^FAIL ", text, re.M)))
        self.passed = int(line[-1][0]) if line else 0
        ended = None
        if child.returncode in (-9, -24) and not line:
            ended = "did not end"
        elif not line or (child.returncode != 0 and failed == 0):
            ended = f"ended with {child.returncode}"
        return failed, ended, seconds


def judge(verdict, number, programs, environment, command=None):
    """Runs programs, the quickest first, until enough checks have failed."""
    for program in sorted(programs, key=lambda p: p.seconds):
        if verdict.count >= ENOUGH:
            break
        if program.name in verdict.failures:
            continue
        failed, ended, _ = program.run(number, ENOUGH - verdict.count, environment,
                                    command(program) if command else None)
        verdict.failures[program.name] = min(failed, ENOUGH)
        if ended:
            verdict.crashes[program.name] = ended
