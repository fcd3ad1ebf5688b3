"""loop_clock.py: the hot loop of a kernel, replayed by all waves of a compute unit: the share of the
time in which the matrix pipes are busy.

A replay, not a measurement. Waves issue in order, an instruction per 4 clocks; a SIMD issues one to
each port (vector and matrix, scalar, LDS, memory, branch) per 4 clocks, each from another wave, the
higher s_setprio first, then whoever waited longest. A matrix result feeds the same accumulator when
its clocks are over, an overlapping one 8 later, anything else 16 later. LDS moves 128 bytes a clock
for the compute unit (gfx950 reads of 8 and 16 bytes: 256) and answers 128 clocks after that, memory
64 bytes a clock and 800. s_waitcnt and s_barrier wait for exactly what they name. Latencies are
guesses; bank conflicts, instruction fetch, caches and clock limits are not in it: an upper estimate
that compares kernels of one chip.

Branches that leave the loop are not taken. One that skips arithmetic alone is: that is a rescale or
a mask, which most iterations do not need. Where a branch ahead of the loop skips barriers and nothing
else, half of the waves pass them before they enter it."""
import collections
import re

import check_metadata
import loop_mix

LDS_LATENCY, MEMORY_LATENCY, SCALAR_LATENCY, BARRIER, TAKEN = 128, 800, 200, 8, 16
MOST_IN_FLIGHT = {"vm": 63, "lgkm": 15}
WARM, MEASURED = 3, 4  # iterations
NEVER = float("inf")

# port: where it issues; clocks: how long it holds the port; pipe: clocks of matrix, LDS or memory.
Step = collections.namedtuple("Step", "port clocks pipe counter lds waits registers result operands prio")


def registers_of(text):
    """v and a registers in an operand: numbers, a registers from 1000 on."""
    found = []
    for kind, first, last, single in re.findall(r"\b([va])(?:\[(\d+):(\d+)\]|(\d+)\b)", text):
        base = 1000 if kind == "a" else 0
        low, high = (int(first), int(last)) if first else (int(single), int(single))
        found += range(base + low, base + high + 1)
    return tuple(found)


def lane_bytes(name):
    """Of an LDS or memory instruction, for one lane."""
    found = re.match(r"ds_(?:read|write)(2?)(?:st64)?_[bui](\d+)", name)
    if found:
        return int(found.group(2)) // 8 * (2 if found.group(1) else 1)
    found = re.search(r"dwordx?(\d*)", name)
    return 4 * int(found.group(1) or 1) if found else 4


def step_of(instruction, chip, taken):
    name, operands = instruction.name, instruction.operands

    def step(port, clocks=4, pipe=0, counter=None, lds=0, waits=None, prio=None, result=(), parts=()):
        return Step(port, clocks, pipe, counter, lds, waits, registers_of(operands), result, parts, prio)

    if loop_mix.MATRIX.match(name):
        parts = tuple(registers_of(part) for part in operands.split(",")[:4])
        return step("vector", pipe=loop_mix.matrix_clocks(name, chip), result=parts[0], parts=parts)
    if name == "s_waitcnt":
        found = dict(re.findall(r"(vm|lgkm)cnt\((\d+)\)", operands))
        return step("scalar", waits={counter: int(n) for counter, n in found.items()})
    if name == "s_barrier":
        return step("barrier")
    if name == "s_setprio":
        return step("scalar", prio=int(operands, 0))
    if name == "s_nop":
        return step("scalar", clocks=4 * (int(operands, 0) + 1))
    if name == "s_sleep":
        return step("scalar", clocks=64 * int(operands, 0))
    if name.startswith(("s_branch", "s_cbranch")):
        return step("branch", clocks=TAKEN if taken else 4)
    if name.startswith(("s_load", "s_buffer_load")):
        return step("scalar", counter="lgkm", pipe=0)
    if name.startswith("ds_"):
        size = 64 * lane_bytes(name)
        fast = chip == "gfx950" and re.match(r"ds_read_b(64|128)", name)
        return step("lds", pipe=size // (256 if fast else 128), counter="lgkm")
    if re.match(r"(buffer|global|flat|scratch)_", name):
        size = 64 * lane_bytes(name)
        to_lds = re.search(r"\blds\b|_lds_", name + " " + operands)
        return step("memory", pipe=max(4, size // 64), counter="vm", lds=size // 128 if to_lds else 0)
    if name.startswith("v_"):
        return step("vector", clocks=loop_mix.clocks(instruction, chip)[1])
    return step("scalar")


def only_arithmetic(instructions):
    return all(i.name.startswith(("v_", "s_")) and not loop_mix.MATRIX.match(i.name) and
               not i.name.startswith(("s_barrier", "s_load", "s_buffer")) for i in instructions)


def trace(kernel, loop):
    """The steps of a usual iteration."""
    steps, at = [], loop.first
    while at <= loop.last:
        instruction = kernel.instructions[at]
        target = kernel.labels.get(instruction.operands) if "branch" in instruction.name else None
        inside = target is not None and at < target <= loop.last
        jump = inside and (instruction.name == "s_branch" or only_arithmetic(kernel.instructions[at + 1:target]))
        steps.append(step_of(instruction, kernel.chip, jump or at == loop.last))
        at = target if jump else at + 1
    return steps


def barriers_ahead(kernel, loop):
    """How many barriers some waves pass before the loop that the others skip."""
    for at in range(loop.first - 1, max(0, loop.first - 400) - 1, -1):
        instruction = kernel.instructions[at]
        target = kernel.labels.get(instruction.operands) if "cbranch" in instruction.name else None
        if target is not None and at < target <= loop.first:
            skipped = [i.name for i in kernel.instructions[at + 1:target]]
            if "s_barrier" in skipped and all(name.startswith("s_") for name in skipped):
                return skipped.count("s_barrier")
    return 0


class Wave:
    def __init__(self, simd, group, late):
        self.simd, self.group = simd, group
        self.late = late  # barriers that it passes first
        self.at, self.free, self.served, self.prio = 0, 0, 0, 0
        self.pending = {}  # register -> (its matrix result is there, all registers of the result)
        self.flying = {"vm": collections.deque(), "lgkm": collections.deque()}
        self.marks = []  # when each iteration began


class Unit:
    """A compute unit: four SIMDs, one path to LDS, one to memory."""

    def __init__(self, steps, waves):
        self.steps, self.waves = steps, waves
        self.ports = collections.defaultdict(int)  # (simd, port) -> free from
        self.matrix = [0] * 4
        self.lds = self.memory = 0
        self.arrived = collections.defaultdict(list)  # group -> waves at its barrier

    def operands_ready(self, wave, step):
        ready = 0
        for register in step.registers if wave.pending else ():
            found = wave.pending.get(register)
            if not found:
                continue
            done, whole = found
            if step.operands and register in step.operands[0] + step.operands[3] and \
                    register not in step.operands[1] + step.operands[2]:
                done += 0 if whole == step.operands[3] == step.operands[0] else 8
            else:
                done += 16
            ready = max(ready, done)
        return ready

    def earliest(self, wave):
        if wave.late:
            return wave.free
        step = self.steps[wave.at]
        ready = max(wave.free, self.ports[wave.simd, step.port])
        if step.waits:
            for counter, left in step.waits.items():
                flying = wave.flying[counter]
                if len(flying) > left:
                    ready = max(ready, flying[len(flying) - left - 1])
            return ready
        if step.pipe and step.port == "vector":
            ready = max(ready, self.matrix[wave.simd])
        if step.counter and len(wave.flying[step.counter]) >= MOST_IN_FLIGHT[step.counter]:
            ready = max(ready, wave.flying[step.counter][0])
        return max(ready, self.operands_ready(wave, step)) if step.port != "scalar" else ready

    def barrier(self, wave, now):
        here = self.arrived[wave.group]
        here.append(wave)
        wave.free = NEVER
        if len(here) == sum(w.group == wave.group for w in self.waves):
            for other in here:
                other.free = now + BARRIER
            here.clear()

    def land(self, wave, step, now):
        """A load, store or LDS access goes on its way."""
        if step.port == "lds":
            self.lds = max(self.lds, now) + step.pipe
            done = self.lds + LDS_LATENCY
        elif step.port == "memory":
            self.memory = max(self.memory, now) + step.pipe
            self.lds += step.lds
            done = self.memory + MEMORY_LATENCY
        else:
            done = now + SCALAR_LATENCY
        flying = wave.flying[step.counter]
        while flying and flying[0] <= now:
            flying.popleft()
        flying.append(max(done, flying[-1] if flying else 0))

    def issue(self, wave, now):
        wave.served = now
        if wave.late:
            wave.late -= 1
            self.barrier(wave, now)
            return
        step = self.steps[wave.at]
        if wave.at == 0:
            wave.marks.append(now)
        wave.at = (wave.at + 1) % len(self.steps)
        wave.free = now + max(4, step.clocks if step.port in ("scalar", "branch") else 4)
        self.ports[wave.simd, step.port] = now + (4 if step.port in ("scalar", "branch") else step.clocks)
        if step.prio is not None:
            wave.prio = step.prio
        if step.port == "barrier":
            self.barrier(wave, now)
        elif step.result:
            self.matrix[wave.simd] = now + step.pipe
            wave.pending = {r: p for r, p in wave.pending.items() if p[0] + 16 > now}
            wave.pending.update(dict.fromkeys(step.result, (now + step.pipe, step.result)))
        elif step.counter:
            self.land(wave, step, now)

    def run(self):
        """Clocks of an iteration, all waves on average."""
        now = 0
        while any(len(wave.marks) <= WARM + MEASURED for wave in self.waves):
            issued, following = False, NEVER
            for wave in sorted(self.waves, key=lambda w: (-w.prio, w.served)):
                if wave.free > now:
                    following = min(following, wave.free)
                    continue
                ready = self.earliest(wave)
                if ready <= now:
                    self.issue(wave, now)
                    issued = True
                following = min(following, ready)
            if following == NEVER:
                return None  # a barrier that not all waves reach
            now = now + 4 if issued else int(following + 3) // 4 * 4
        spans = [(wave.marks[WARM + MEASURED] - wave.marks[WARM]) / MEASURED for wave in self.waves]
        return sum(spans) / len(spans)


def busy(kernel, loop):
    """(clocks of an iteration, share of them in which the matrix pipes are busy), or None."""
    steps = trace(kernel, loop)
    per_group = -(-kernel.number(".max_flat_workgroup_size") // 64)
    groups = max(1, min(2, check_metadata.occupancy(kernel) * 4 // per_group))
    late = [barriers_ahead(kernel, loop) if i >= per_group // 2 else 0 for i in range(per_group)]
    waves = [Wave(i % 4, group, late[i]) for group in range(groups) for i in range(per_group)]
    clocks = Unit(steps, waves).run()
    matrix = sum(step.pipe for step in steps if step.result)
    return (clocks, matrix * len(waves) / 4 / clocks) if clocks else None
