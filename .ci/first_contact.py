"""first_contact.py OUT: turns the examples of the manual (src/manual.h) and of docs/guide.md into
programs OUT/first_contact_N.c and .cpp, so that what a newcomer copies is known to compile.

An example is a code block (indented by 8 in the manual, fenced in the guide) that calls
aiter_flash_attn_fwd. It is C++ if it says `a{}`. What it takes from its surroundings (the four
arrays and the extents) is declared around it, unless it has a main of its own."""
import pathlib
import re
import sys
import textwrap

SURROUNDINGS = """
enum { B = 1, Sq = 2, Sk = 3, Hq = 2, Hk = 1, D = 4, Dv = 4, N = B * Sk * Hq * D };
static uint16_t q[N], k[N], v[N], o[N];
"""


def blocks_of_guide(text):
    return re.findall(r"^```c(?:pp|\+\+)?\n(.*?)^```", text, re.M | re.S)


def blocks_of_manual(text):
    """Runs of lines indented by 8 or blank."""
    run = []
    for line in text.splitlines() + ["end"]:
        if line.startswith(" " * 8) or not line.strip():
            run.append(line)
        else:
            yield textwrap.dedent("\n".join(run)).strip() + "\n"
            run = []


def program(block):
    if re.search(r"\bmain\s*\(", block):
        return block
    head = [line for line in block.splitlines() if line.lstrip().startswith("#")]
    body = [line for line in block.splitlines() if not line.lstrip().startswith("#")]
    if not any("aiter_attn.h" in line for line in head):
        head += ["#define AITER_ATTN_IMPLEMENTATION", '#include "aiter_attn.h"']
    body = "\n".join("    " + line for line in body)
    return "\n".join(["#include <stdio.h>"] + head) + SURROUNDINGS + f"int main(void)\n{{\n{body}\n    return 0;\n}}\n"


def main():
    out = pathlib.Path(sys.argv[1])
    blocks = list(blocks_of_manual(pathlib.Path("src/manual.h").read_text()))
    guide = pathlib.Path("docs/guide.md")
    if guide.exists():
        blocks += blocks_of_guide(guide.read_text())
    seen = {"c": 0, "cpp": 0}
    for block in blocks:
        if not re.search(r"\baiter_flash_attn_fwd_args \w+", block):
            continue
        ext = "cpp" if re.search(r"_args \w+\{\}", block) else "c"
        seen[ext] += 1
        (out / f"first_contact_{seen[ext]}.{ext}").write_text(program(block))
    if not seen["c"] or not seen["cpp"]:
        sys.exit(f"the manual and the guide show {seen['c']} examples in C, {seen['cpp']} in C++")


main()
