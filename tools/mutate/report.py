"""The outcome as a table that is committed."""

import collections
import datetime
import os
import platform
import re
import subprocess

from faults import ROOT

STATES = {
    "killed": "noticed by 10 checks or more",
    "barely": "noticed by fewer",
    "crashed": "noticed by a crash or by never ending",
    "survived": "nobody noticed",
    "not built": "did not compile",
    "equivalent": "changes nothing, proven",
}


def areas(verdicts):
    """Verdicts by the list that their fault stands in."""
    out = collections.OrderedDict()
    for v in verdicts:
        out.setdefault(v.fault.where.partition(".")[0], []).append(v)
    return out


def counts(verdicts):
    return collections.Counter(v.state for v in verdicts)


def summary(verdicts):
    lines = []
    for state, meaning in STATES.items():
        names = [v.fault.name for v in verdicts if v.state == state]
        if names:
            shown = "" if state == "killed" else ": " + ", ".join(names)
            lines.append(f"{len(names):4} {meaning}{shown}")
    return "\n".join(lines)


def first_line(command):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              cwd=ROOT).stdout.splitlines()[0]
    except (OSError, IndexError):
        return "unknown"


def processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return re.search(r"model name\s*: (.+)", file.read())[1]
    except (OSError, TypeError):
        return platform.machine()


def table(verdicts, listed, minutes, cpu):
    """Markdown: the score, the counts of each area, every fault that was not killed by ten."""
    total = counts(verdicts)
    judged = len(verdicts) - total["equivalent"]
    caught = total["killed"] + total["barely"] + total["crashed"]
    lines = [
        "# Planted faults and who notices them", "",
        "Written by `tools/mutate --all`; `tools/mutate/README.md` says how to read it.", "",
        f"* {datetime.date.today()}, commit {first_line(['git', 'rev-parse', '--short=12', 'HEAD'])}",
        f"* {processor()}, {os.cpu_count()} cores, {first_line(['gcc', '--version'])}",
        f"* {minutes:.0f} minutes, {cpu:.0f} of processors; {caught} of {judged} faults noticed, {total['killed']} of them "
        f"by at least 10 checks; {total['equivalent']} change nothing; "
        f"{listed - len(verdicts)} of the list were left out", "",
        "| area | faults | 10 checks or more | fewer | crash | survived | equivalent |",
        "|---|---:|---:|---:|---:|---:|---:|"]
    for area, list_ in areas(verdicts).items():
        n = counts(list_)
        lines.append(f"| {area} | {len(list_)} | {n['killed']} | {n['barely']} | {n['crashed']} | "
                     f"{n['survived'] + n['not built']} | {n['equivalent']} |")
    lines += ["", "| fault | what it would mean | state | who noticed |", "|---|---|---|---|"]
    for v in verdicts:
        text = v.text().splitlines()[-1].replace("|", "\\|")
        lines.append(f"| {v.fault.name} | {v.fault.says} | {v.state} | {text} |")
    return "\n".join(lines) + "\n"
