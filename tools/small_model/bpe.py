"""Byte-level BPE as GPT-2's with the smollm pre-tokenizer, for the ASCII text of this world."""

import re
from collections import Counter

END = 0  # <|endoftext|>; tokens 1 to 256 are the bytes, then one token per merge
_DIGITS = re.compile(r"([0-9])")
_WORDS = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")


def byte_names():
    """The printable character that GPT-2 writes for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    names, extra = {b: chr(b) for b in plain}, 256
    for b in range(256):
        if b not in names:
            names[b] = chr(extra)
            extra += 1
    return [names[b] for b in range(256)]


def words_of(text):
    """Cut text as the smollm pre-tokenizer does: digits stand alone, then GPT-2's pattern."""
    for piece in _DIGITS.split(text):
        if len(piece) == 1 and piece.isdigit():
            yield piece
        else:
            yield from _WORDS.findall(piece)


def learn_merges(texts, count):
    """The `count` most useful merges, ties broken by the pair itself."""
    seen = Counter()
    for text in texts:
        seen.update(words_of(text))
    words = [([bytes([b]) for b in w.encode()], n) for w, n in sorted(seen.items())]
    merges = []
    while len(merges) < count:
        pairs = Counter()
        for parts, n in words:
            for pair in zip(parts, parts[1:]):
                pairs[pair] += n
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        words = [(_merge(parts, best), n) for parts, n in words]
    return merges


def _merge(parts, pair):
    out, i = [], 0
    while i < len(parts):
        if tuple(parts[i : i + 2]) == pair:
            out.append(pair[0] + pair[1])
            i += 2
        else:
            out.append(parts[i])
            i += 1
    return out


class Tokenizer:
    """Text to ids and back for a list of merges (pairs of byte strings)."""

    def __init__(self, merges):
        self.merges = merges
        self.bytes_of = [b""] + [bytes([b]) for b in range(256)] + [a + b for a, b in merges]
        self.id_of = {b: i for i, b in enumerate(self.bytes_of) if i != END}
        self.rank = {pair: i for i, pair in enumerate(merges)}
        self.cache = {}

    def _word(self, word):
        parts = [bytes([b]) for b in word.encode()]
        while len(parts) > 1:
            best = min(zip(parts, parts[1:]), key=lambda p: self.rank.get(p, 1 << 30))
            if best not in self.rank:
                break
            parts = _merge(parts, best)
        ids = self.cache[word] = [self.id_of[p] for p in parts]
        return ids

    def encode(self, text):
        ids, cache = [], self.cache
        for word in words_of(text):
            known = cache.get(word)
            ids += known if known is not None else self._word(word)
        return ids

    def decode(self, ids):
        return b"".join(self.bytes_of[i] for i in ids).decode("utf-8", "replace")

    def token_names(self):
        """Token texts as GGUF stores them."""
        names = byte_names()
        return ["<|endoftext|>"] + ["".join(names[b] for b in t) for t in self.bytes_of[1:]]

    def merge_names(self):
        names = byte_names()
        return [" ".join("".join(names[b] for b in half) for half in pair) for pair in self.merges]

    @staticmethod
    def from_merge_names(lines):
        code = {name: b for b, name in enumerate(byte_names())}
        pairs = [line.split(" ") for line in lines]
        return Tokenizer([tuple(bytes(code[c] for c in half) for half in p) for p in pairs])
