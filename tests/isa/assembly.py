"""assembly.py: the compiler's AMD assembly as kernels: metadata, instructions, loops."""
import collections
import re

Instruction = collections.namedtuple("Instruction", "name operands inline line")
Loop = collections.namedtuple("Loop", "first last")  # indices of instructions, both inside


class Kernel:
    """One kernel of a file: .meta by the names of the code object's metadata, .instructions."""

    def __init__(self, name, chip):
        self.name, self.chip = name, chip
        self.meta = {}
        self.instructions = []
        self.labels = {}

    def number(self, key):
        return int(self.meta[key])

    def body(self, loop):
        return self.instructions[loop.first:loop.last + 1]

    def reaches(self, first, last):
        """Does control come from first to last without leaving what lies between?"""
        seen, open_ends = set(), [first]
        while open_ends:
            at = open_ends.pop()
            while first <= at <= last and at not in seen:
                if at == last:
                    return True
                seen.add(at)
                name = self.instructions[at].name
                if name.startswith(("s_branch", "s_cbranch")):
                    open_ends.append(self.labels.get(self.instructions[at].operands, -1))
                if name in ("s_branch", "s_endpgm", "s_setpc_b64"):
                    break
                at += 1
        return False

    def loops(self):
        """Bodies of backward branches, one for each first instruction: the longest. A branch back to
        what never returns, such as the end of the kernel, is none."""
        longest = {}
        for at, instruction in enumerate(self.instructions):
            if instruction.name.startswith(("s_branch", "s_cbranch")):
                first = self.labels.get(instruction.operands)
                if first is not None and first <= at and self.reaches(first, at):
                    longest[first] = at
        return [Loop(first, last) for first, last in sorted(longest.items())]

    def hot_loops(self, such=lambda body: True):
        """Loops with matrix instructions, and such, that contain no other such loop."""
        hot = [loop for loop in self.loops()
               if any(is_matrix(i) for i in self.body(loop)) and such(self.body(loop))]

        def inside(a, b):
            return a != b and b.first <= a.first and a.last <= b.last

        return [loop for loop in hot if not any(inside(other, loop) for other in hot)]


def is_matrix(instruction):
    return instruction.name.startswith(("v_mfma", "v_smfma"))


def loads(body):
    return [i for i in body if re.match(r"(global|buffer|flat)_load", i.name)]


def wait_count(instruction, counter):
    """N of counter(N) in an s_waitcnt, or None."""
    found = re.search(counter + r"\((\d+)\)", instruction.operands)
    return int(found.group(1)) if instruction.name == "s_waitcnt" and found else None


def parse(text):
    """The kernels of one file, by name."""
    found = re.search(r'\.amdgcn_target "[^"]*-(gfx\w+)', text)
    chip = found.group(1) if found else ""
    kernels = {}
    for name in re.findall(r"^\s*\.amdhsa_kernel (\S+)", text, re.M):
        kernels[name] = Kernel(name, chip)
    parse_code(text, kernels)
    parse_metadata(text, kernels)
    return kernels


def parse_code(text, kernels):
    kernel, inline = None, False
    for number, line in enumerate(text.splitlines(), 1):
        label = re.match(r"([.\w$]+):", line)
        if label and label.group(1) in kernels:
            kernel = kernels[label.group(1)]
        elif label and label.group(1).startswith(".Lfunc_end"):
            kernel = None
        elif label and kernel:
            kernel.labels[label.group(1)] = len(kernel.instructions)
        elif kernel and "#ASMSTART" in line:
            inline = True
        elif kernel and "#ASMEND" in line:
            inline = False
        elif kernel and line.startswith("\t"):
            code = line.split(";")[0].strip()
            if code and not code.startswith("."):
                name, _, operands = code.partition(" ")
                kernel.instructions.append(Instruction(name, operands.strip(), inline, number))


def parse_metadata(text, kernels):
    """The few keys of the YAML block that stand directly under a kernel."""
    block = re.search(r"\.amdgpu_metadata\n(.*?)\.end_amdgpu_metadata", text, re.S)
    entry = {}
    for line in block.group(1).splitlines() if block else []:
        found = re.match(r"  ([- ]) (\.\w+): *(\S*)$", line)
        if not found:
            continue
        if found.group(1) == "-":
            entry = {}
        entry[found.group(2)] = found.group(3)
        if found.group(2) == ".name" and found.group(3) in kernels:
            kernels[found.group(3)].meta = entry
