"""The list of faults: reading it, finding each one's place, and writing sources that carry them."""

import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TOKEN = re.compile(r'\w+|"(?:[^"\\]|\\.)*"|[^\w\s]')


class Wrong(Exception):
    """A fault that does not apply to the source."""


class Fault:
    """One edit. `old` occurs once in `file`, or is the first after `near`, which occurs once."""

    def __init__(self, name, says, where, defaults):
        self.name, self.says, self.where = name, says, where
        self.file = self.near = self.proof = self.built = None
        self.old, self.new, self.left = [], [], ""
        self.tests, self.only, self.unit, self.chip = [], None, None, "gfx942"
        for key, value in defaults.items():
            setattr(self, key, value)

    @property
    def is_kernel(self):
        return self.unit is not None

    @property
    def is_switched(self):
        return not self.is_kernel and not self.built and self.proof is None

    def trim(self):
        """Of `x = old` and `x = new` what stands behind the sign, so that x may be a declaration."""
        left, sign, right = self.old[0].partition(" = ")
        other, _, new = self.new[0].partition(" = ") if self.new else ("", "", "")
        if sign and left == other and "=" not in left and not self.old[-1].endswith((";", "}")):
            self.old[0], self.new[0], self.left = right, new, left + " ="

    def whole(self):
        """An expression that can stand in parentheses, or whole statements."""
        old = "\n".join(self.old).strip()
        if old.endswith((";", "}")):
            return True
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", old)
        depth = 0
        for c in bare:
            depth += (c in "([{") - (c in ")]}")
            if depth < 0:
                return False
        return depth == 0 and not re.match(r"[|&,)=<>?:]", bare.replace("&p", "p")) and \
            not re.search(r"[-+*/|&,(=<>?:]$", bare)

    def span(self, text):
        """Start and end of the text that the fault replaces."""
        start = 0
        if self.near:
            places = find(self.near, text)
            if len(places) != 1:
                raise Wrong(f"{self.where}: {self.name}: the anchor `{self.near}` occurs "
                            f"{len(places)} times in {self.file}")
            start = places[0][1]
        places = find(self.left + "\n".join(self.old), text[start:])
        if not places or (not self.near and len(places) > 1):
            raise Wrong(f"{self.where}: {self.name}: `{' '.join(self.old)}` occurs {len(places)} "
                        f"times in {self.file}" + (" after its anchor" if self.near else ""))
        first, end = (p + start for p in places[0])
        if self.left:
            first = re.compile(r"=\s*").search(text, first).end()
        return first, end


def find(piece, text):
    """All places of a piece of code, whatever the white space between its tokens."""
    tokens = TOKEN.findall(piece)
    pattern = ""
    for i, token in enumerate(tokens):
        words = i > 0 and re.match(r"\w", token) and re.search(r"\w$", tokens[i - 1])
        pattern += (r"[\s\\]+" if words else r"[\s\\]*" if i else "") + re.escape(token)
    if re.match(r"\w", pattern):
        pattern = r"(?<!\w)" + pattern
    if re.search(r"\w$", tokens[-1]):
        pattern += r"(?!\w)"
    return [m.span() for m in re.finditer(pattern, text)]


def read_file(path):
    """Faults of one list. README.md says what the lines mean."""
    faults, defaults, fault = [], {}, None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        where = f"{path.name}:{number}"
        if not line.strip():
            fault = None
            continue
        if line.startswith("#"):
            continue
        key, _, rest = line.partition(" ")
        if line.startswith("["):
            match = re.match(r"\[([\w.-]+)\] (.+)$", line)
            if not match:
                raise Wrong(f"{where}: expected [name] what a user would see")
            fault = Fault(match[1], match[2], where, defaults)
            faults.append(fault)
        elif key in ("-", "+") and fault:
            (fault.old if key == "-" else fault.new).append(rest)
        elif key in ("at", "equivalent", "built") and fault:
            setattr(fault, {"at": "near", "equivalent": "proof", "built": "built"}[key], rest)
        elif key in ("file", "tests", "only", "unit", "chip"):
            value = rest.split() if key == "tests" else rest
            if fault:
                setattr(fault, key, value)
            else:
                defaults = {**({} if key == "file" else defaults), key: value}
        else:
            raise Wrong(f"{where}: `{line}`")
    return faults


def read_all():
    """All faults, by the order of their files; complains about what no reader could use."""
    faults = [f for path in sorted((HERE / "faults").glob("*.txt")) for f in read_file(path)]
    seen = set()
    for f in faults:
        if f.name in seen:
            raise Wrong(f"{f.where}: {f.name} stands twice in the list")
        seen.add(f.name)
        if not f.file or not f.old or f.old == f.new:
            raise Wrong(f"{f.where}: {f.name} changes nothing")
        f.trim()
        if f.proof is None and not f.tests:
            raise Wrong(f"{f.where}: {f.name} names no test")
    return faults


def check(faults):
    """Every complaint about the list: faults that no longer apply, tests that do not exist."""
    wrong, texts, spans = [], {}, {}
    for f in faults:
        try:
            if f.file not in texts:
                texts[f.file] = (ROOT / f.file).read_text()
            start, end = f.span(texts[f.file])
            if f.is_switched and not f.whole():
                raise Wrong(f"{f.where}: {f.name}: neither an expression nor a statement")
            if f.is_switched:
                for other, a, b in spans.setdefault(f.file, []):
                    if start < b and a < end and not (start <= a and b <= end) and \
                            not (a <= start and end <= b):
                        raise Wrong(f"{f.where}: {f.name} overlaps {other.name} in part")
                spans[f.file].append((f, start, end))
            for test in f.tests:
                if not any((ROOT / place / f"{test}.c").exists() for place in
                           ("tests", "tests/gpu")):
                    raise Wrong(f"{f.where}: {f.name}: there is no test {test}")
        except (Wrong, OSError) as error:
            wrong.append(str(error))
    return wrong


def replaced(text, fault):
    """The text with one fault in it, for good."""
    start, end = fault.span(text)
    return text[:start] + "\n".join(fault.new) + text[end:]


def switched(text, faults, number):
    """The text with all faults in it, each chosen at run time by its number."""
    places = sorted(((*f.span(text), f) for f in faults), key=lambda p: (p[0], -p[1]))
    return wrap_all(text, 0, len(text), places, number)


def wrap_all(text, start, end, places, number):
    """[start, end) of the text, with the faults of `places`, which lie inside it."""
    out, at = "", start
    while places:
        a, b, _ = places[0]
        here = [f for x, y, f in places if (x, y) == (a, b)]
        inside = [p for p in places if a <= p[0] and p[1] <= b and (p[0], p[1]) != (a, b)]
        places = [p for p in places if not (a <= p[0] and p[1] <= b)]
        piece = wrap_all(text, a, b, inside, number)
        for f in here:
            piece = choice(f, piece, number[f.name])
        out += text[at:a] + piece
        at = b
    return out + text[at:end]


def choice(fault, old, number):
    """A statement by `if`, an expression by `?:`."""
    new = "\n".join(fault.new)
    if fault.old[-1].rstrip().endswith((";", "}")):
        return f"if (aiteri_fault == {number}) {{ {new} }} else {{ {old} }}"
    return f"(aiteri_fault == {number} ? ({new}) : ({old}))"
