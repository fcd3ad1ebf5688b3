"""tools/mutate -- plants faults in src/ and kernels/ and sees whether the tests notice.

    python3 tools/mutate --check                    does every fault still apply?
    python3 tools/mutate --all [--results FILE]     all faults
    python3 tools/mutate --sample 20 --seed HASH    some of noticed.txt, chosen by a text
    python3 tools/mutate --only NAME...             these (a name, or the start of one)

--gpu BUILD is a CMake build folder with the targets gpu, cdna_hip and cdna_programs: without it the
faults of the kernels are left out. --folder is where things are built. README.md says the rest.
"""

import argparse
import concurrent.futures
import hashlib
import pathlib
import random
import resource
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import build  # noqa: E402
import faults as listed  # noqa: E402
import judge  # noqa: E402
import report  # noqa: E402

NOTICED = listed.HERE / "noticed.txt"  # what the last full run saw noticed, by ten checks or more
EMULATED = ("run_attention", "run_cells", "run_graph", "run_large", "run_plan", "run_failures")


def arguments():
    parser = argparse.ArgumentParser(prog="tools/mutate", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--check", action="store_true")
    what.add_argument("--all", action="store_true")
    what.add_argument("--sample", type=int)
    what.add_argument("--only", nargs="+")
    parser.add_argument("--seed", default="")
    parser.add_argument("--gpu")
    parser.add_argument("--folder", default="build/mutate")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--results")
    return parser.parse_args()


def budgets():
    """AITER_TEST_BUDGET of each program: what makes it take a second or two."""
    lines = (listed.HERE / "budgets.txt").read_text().splitlines()
    return dict(line.split() for line in lines if line and not line.startswith("#"))


class Session:
    """One call of this tool."""

    def __init__(self, options):
        self.options, self.start = options, time.monotonic()
        self.folder = pathlib.Path(options.folder).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.kernels = build.Kernels(options.gpu) if options.gpu else None
        self.pool = concurrent.futures.ThreadPoolExecutor(options.jobs)
        self.budgets = budgets()

    def say(self, text):
        print(f"[{time.monotonic() - self.start:6.1f} s] {text}", flush=True)

    def possible(self, fault):
        """Not for a machine without the emulator: kernels, and what only runs on it."""
        if fault.proof is not None:
            return False
        if self.kernels:
            return self.kernels.has(fault.chip)
        return not fault.is_kernel and any(t not in EMULATED for t in fault.tests)

    def choose(self, faults):
        o = self.options
        if o.only:
            return [f for f in faults if any(f.name.startswith(n) for n in o.only)]
        if o.sample:
            known = set(NOTICED.read_text().split())
            pick = [f for f in faults if f.name in known and self.possible(f)]
            seed = int(hashlib.sha256(o.seed.encode()).hexdigest(), 16)
            return random.Random(seed).sample(pick, min(o.sample, len(pick)))
        return faults

    def program(self, name, folder):
        command, environment = [str(folder / name)], {}
        if name in EMULATED:
            command += ["hip", str(self.kernels.folder)]
            environment["AITER_ATTN_HIP_LIBRARY"] = str(self.kernels.library)
        return judge.Program(name, command, environment, self.budgets.get(name, "1e7"))

    def compile(self, folder, names):
        """Programs by name; raises what the compiler said."""
        shared, each = build.commands(folder, names)
        stamp = build.stamp_of(folder)
        wrong = build.compile_once(shared, stamp) if shared else None
        if wrong:
            raise listed.Wrong(f"the implementation does not compile:\n{wrong}")
        said = self.pool.map(lambda c: build.compile_once(c[1], stamp), each)
        for (name, _), text in zip(each, said):
            if text:
                raise listed.Wrong(f"{name} does not compile:\n{text}")
        return {name: self.program(name, folder) for name in names}

    def needed(self, chosen):
        names = {t for f in chosen for t in f.tests if f.is_switched or f.is_kernel}
        if self.options.all:
            names |= set(build.test_names())
        if not self.kernels:
            names -= set(EMULATED)
        return sorted(names)

    @staticmethod
    def environment(fault):
        """Which chip is emulated, and which groups of cases run."""
        env = {"CDNA_CHIP": fault.chip}
        if fault.only:
            env["AITER_TEST_ONLY"] = fault.only
        return env

    def baseline(self, programs, faults):
        """Each must pass with no fault on, emulated ones in all ways in which they will run."""
        todo = [(p, {}) for n, p in programs.items() if n not in EMULATED]
        ways = {(n, *self.environment(f).items()) for f in faults for n in f.tests
                if n in EMULATED and n in programs}
        todo += [(programs[n], dict(env)) for n, *env in sorted(ways)]
        bad = []
        for (p, env), (failed, ended) in zip(todo, self.pool.map(lambda t: t[0].measure(t[1]),
                                                                 todo)):
            self.say(f"{p.name} {' '.join(env.values())}: {p.passed} passed, {failed} failed, "
                     f"{p.seconds:.1f} s")
            if failed or ended or not p.passed:
                bad.append(f"{p.name} {env}: {failed} failed without a fault, {ended or 'ended'}")
        if bad:
            raise listed.Wrong("\n".join(bad))

    def one(self, verdict, number, programs, names):
        judge.judge(verdict, number, [programs[n] for n in names if n in programs],
                    self.environment(verdict.fault))
        return verdict

    def one_built(self, verdict):
        """A fault that no switch can make: its own sources, its own programs."""
        folder = self.folder / "built" / verdict.fault.name
        folder.mkdir(parents=True, exist_ok=True)
        build.copy_sources(folder, [(verdict.fault, None)])
        shared, each = build.commands(folder, verdict.fault.tests)
        for command in ([shared] if shared else []) + [c for _, c in each]:
            verdict.error = verdict.error or build.run_command(command)
        if not verdict.error:
            judge.judge(verdict, 0, [self.program(n, folder) for n in verdict.fault.tests],
                        self.environment(verdict.fault))
        return verdict

    def one_kernel(self, verdict, programs):
        fault = verdict.fault
        folder = self.folder / "kernel" / fault.name
        folder.mkdir(parents=True, exist_ok=True)
        verdict.error = self.kernels.make(fault, folder)
        if not verdict.error:
            judge.judge(verdict, 0, [programs[t] for t in fault.tests], self.environment(fault),
                        lambda p: [p.command[0], "hip", f"{folder}/objects"])
        return verdict

    def each(self, call, verdicts):
        for v in self.pool.map(call, verdicts):
            self.say(f"{v.state:10} {v.fault.name}: {v.text().splitlines()[-1]}")

    def run(self, faults):
        chosen = self.choose(faults)
        verdicts = [judge.Verdict(f) for f in chosen if f.proof is not None or self.possible(f)]
        alive = [v for v in verdicts if v.fault.proof is None]
        plain = [v for v in alive if v.fault.is_switched]
        number = {v.fault.name: i + 1 for i, v in enumerate(plain)}
        build.copy_sources(self.folder, [(v.fault, number[v.fault.name]) for v in plain])
        self.say(f"{len(alive)} faults of {len(faults)}")
        programs = self.compile(self.folder, self.needed([v.fault for v in alive]))
        self.say(f"{len(programs)} programs are compiled")
        self.baseline(programs, [v.fault for v in alive])
        self.each(lambda v: self.one(v, number[v.fault.name], programs, v.fault.tests), plain)
        self.each(self.one_built, [v for v in alive if v.fault.built])
        self.each(lambda v: self.one_kernel(v, programs), [v for v in alive if v.fault.is_kernel])
        again = [v for v in plain if v.state == "survived"]
        if again and self.options.all:
            self.say(f"{len(again)} survivors go through all programs")
            names = sorted((n for n in programs if n not in EMULATED),
                           key=lambda n: programs[n].seconds)
            self.each(lambda v: self.one(v, number[v.fault.name], programs, names), again)
        return verdicts


def main():
    options = arguments()
    try:
        faults = listed.read_all()
        wrong = listed.check(faults)
        if wrong:
            raise listed.Wrong("\n".join(wrong) + "\nwhoever moves code moves its faults")
        if options.check:
            print(f"{len(faults)} passed, 0 failed")
            return 0
        session = Session(options)
        verdicts = session.run(faults)
    except listed.Wrong as error:
        print(error)
        print("0 passed, 1 failed")
        return 1
    minutes = (time.monotonic() - session.start) / 60
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = (used.ru_utime + used.ru_stime) / 60
    print(report.summary(verdicts))
    print(f"{minutes:.1f} minutes, {cpu:.1f} of processors")
    if options.results:
        text = report.table(verdicts, len(faults), minutes, cpu)
        pathlib.Path(options.results).write_text(text)
        names = [v.fault.name for v in verdicts if v.state == "killed"]
        NOTICED.write_text("\n".join(sorted(names)) + "\n")
    good = sum(v.state in ("killed", "crashed", "barely") for v in verdicts)
    bad = sum(v.state in ("survived", "not built") for v in verdicts)
    print(f"{good} passed, {bad} failed")
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
