"""Test programs and kernels that carry faults, in a folder of their own."""

import hashlib
import os
import pathlib
import re
import shlex
import shutil
import subprocess

from faults import ROOT, replaced, switched

SWITCH = """/* The fault that is on, by its number: read once, before main. */
#define _GNU_SOURCE 1
#include <stdlib.h>
static int aiteri_fault __attribute__((unused));
static void __attribute__((constructor)) aiteri_fault_read(void)
{
    const char *text = getenv("AITER_FAULT");
    aiteri_fault = text ? atoi(text) : 0;
}
"""
COMPILER = shlex.split(os.environ.get("CC", "gcc"))
FLAGS = ["-O1", "-g0", "-w", "-std=gnu11"]


def test_names():
    """The programs of the library; those of the example's parts know nothing of src/."""
    names = sorted(p.stem for p in (ROOT / "tests").glob("test_*.c"))
    return [n for n in names if not re.match(r"test_(gguf|weights|tokenizer|decode_)", n)]


def looks_inside(source):
    """Does a test have a copy of the implementation, all but its kernels?"""
    return re.search(r"aiteri_|AITERI_|AITER_ATTN_HIP", source.read_text()) is not None


def copy_sources(folder, faults):
    """src/ and kernels/ with the edits of `faults` in them: (fault, number or None for good)."""
    for name in ("src", "kernels"):
        shutil.rmtree(folder / name, ignore_errors=True)
        shutil.copytree(ROOT / name, folder / name)
    by_file = {}
    for fault, number in faults:
        by_file.setdefault(fault.file, []).append((fault, number))
    for file, list_ in by_file.items():
        text = (folder / file).read_text()
        if list_[0][1] is None:
            for fault, _ in list_:
                text = replaced(text, fault)
        else:
            text = switched(text, [f for f, _ in list_], {f.name: n for f, n in list_})
        (folder / file).write_text(text)
    (folder / "switch.h").write_text(SWITCH)


def commands(folder, names):
    """What compiles these programs against the sources in `folder`: the shared implementation, and
    a command for each program."""
    spine = f'"{folder}/src/spine.h"'
    base = [*COMPILER, *FLAGS, "-include", f"{folder}/switch.h", f"-I{folder}", f"-I{ROOT}",
            f"-I{ROOT}/tests"]
    shared, each = None, []
    for name in names:
        place = "tests/gpu" if name.startswith("run_") else "tests"
        source = ROOT / place / f"{name}.c"
        command = base + [str(source), "-o", f"{folder}/{name}"]
        if name.startswith("run_"):
            command.append(f"-DAITER_TEST_HEADER={spine}")
        else:
            header = "inside.h" if looks_inside(source) else "linked.h"
            command += [f"-DAITER_TEST_HEADER=\"{ROOT}/tests/header/{header}\"",
                        f"-DAITER_TEST_LINKED={spine}", f"{folder}/linked.o"]
            shared = base + [f"-DAITER_TEST_LINKED={spine}", "-c",
                             f"{ROOT}/tests/header/linked.c", "-o", f"{folder}/linked.o"]
        each.append((name, command + ["-lm", "-lpthread", "-ldl"]))
    return shared, each


def stamp_of(folder):
    """What all programs in `folder` are made from."""
    digest = hashlib.sha256()
    for place in (folder / "src", folder / "kernels", ROOT / "tests"):
        for path in sorted(place.rglob("*.[ch]")) + sorted(place.rglob("*.def")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def compile_once(command, stamp):
    """None, or what the compiler said; nothing is done again for the same sources."""
    output = pathlib.Path(command[command.index("-o") + 1])
    mark = output.with_name(output.name + ".stamp")
    if output.exists() and mark.exists() and mark.read_text() == stamp:
        return None
    mark.unlink(missing_ok=True)
    said = run_command(command)
    if said is None:
        mark.write_text(stamp)
    return said


def run_command(command):
    """None, or what the compiler said."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return None if done.returncode == 0 else done.stdout[-2000:]


class Kernels:
    """Code objects with a fault each, beside the good ones of a build of the target `gpu`."""

    def __init__(self, build):
        self.build = pathlib.Path(build).resolve()
        self.library = self.build / "libcdna_hip.so"
        self.folder = self.build / "kernels"
        cache = (self.build / "CMakeCache.txt").read_text()
        compiler = re.search(r"^AITER_ATTN_GPU_COMPILER:\w+=(.+)$", cache, re.M)[1]
        zig = "clang" not in pathlib.Path(compiler).name
        self.clang = [compiler, "clang"] if zig else [compiler]
        self.lld = [compiler, "ld.lld"] if zig else ["ld.lld-22"]

    def has(self, chip):
        return self.library.exists() and (self.folder / f"aiter_{chip}.co").exists()

    def rows(self, unit, chip):
        """The rows of instances.def that are compiled together as `unit`."""
        rows = []
        arch = chip.upper().replace("_", "")
        text = (ROOT / "kernels/instances.def").read_text()
        for row in re.findall(r"\n *(ROW\([^)]*\))", text):
            field = re.findall(r"[^(), ]+", row)
            if "_".join(field[i] for i in (1, 3, 4, 6, 7)) == unit and field[2] in ("CDNA", arch):
                rows.append(re.sub(r"\s", "", row))
        return " ".join(rows)

    def make(self, fault, folder):
        """A folder of code objects with the fault in one of them; None, or what went wrong."""
        copy_sources(folder, [(fault, None)])
        out = folder / "objects"
        out.mkdir(exist_ok=True)
        good = self.folder / "parts"
        name, source = f"{fault.unit}.{fault.chip}", fault.unit
        while source and not (folder / f"kernels/{source}.hip").exists():
            source = source.rpartition("_")[0]
        flags = ["-x", "hip", f"--offload-arch={fault.chip}", "--offload-device-only",
                 "-nogpuinc", "-nogpulib", "-mcode-object-version=5", f"-cuid={fault.unit}",
                 "-std=c++17", "-O3", "-w", "-I", str(folder / "kernels"),
                 f"-DAITERI_ROWS(ROW)={self.rows(fault.unit, fault.chip)}"]
        wrong = run_command([*self.clang, *flags, "-S", f"{folder}/kernels/{source}.hip", "-o",
                             f"{folder}/{name}.s"]) or \
            run_command([*self.clang, "--target=amdgcn-amd-amdhsa", f"-mcpu={fault.chip}", "-c",
                         f"{folder}/{name}.s", "-o", f"{folder}/{name}.o"])
        if wrong:
            return wrong
        parts = [folder / f"{name}.o" if p.name == f"{name}.o" else p
                 for p in sorted(good.glob(f"*.{fault.chip}.o"))]
        return run_command([*self.lld, "-shared", *map(str, parts), "-o",
                            f"{out}/aiter_{fault.chip}.co"])
