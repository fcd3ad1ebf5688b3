"""Proves that nothing the test asks was in the training set, by reading the training text itself.

The rule in world.py decides which facts and sums are the test's own. This program does not trust
the generator that applies it: it makes the training documents again, cuts them into sentences
and question-answer pairs, and looks for every name and value that stand together.
"""

import argparse
import re
import sys

import make_data
import world

_QUESTION = re.compile(r"(?:Question|Ask): ([^\n]*)\n(?:Answer|Reply): ([^\n]*)")
_SENTENCE = re.compile(r"(?<=[.?])\s+")
_WORD = re.compile(r"[A-Za-z]+|[0-9]+")
_SUM = re.compile(r"([0-9]+) plus ([0-9]+)")
_NAMES = frozenset(world.PEOPLE) | {f"{c} {v}" for c in world.COLOURS for v in world.VESSELS}
_VALUES = frozenset(value for values in world.VALUES.values() for value in values)


def units_of(text):
    """Sentences of the story, then each question with its answer (sums are looked at apart)."""
    story = re.split(r"\n\n(?=Question:|Ask:)", text)[0]
    yield from _SENTENCE.split(story)
    for question, answer in _QUESTION.findall(text):
        if not _SUM.search(answer):
            yield question + " " + answer


def keys_in(text):
    """Every sum, and every (name, value) that stand in one unit of the text."""
    keys = {world.sum_key(a, b) for a, b in _SUM.findall(text)}
    for unit in units_of(text):
        words = _WORD.findall(unit)
        phrases = set(words).union(map(" ".join, zip(words, words[1:])))
        values = phrases & _VALUES
        if values and not _SUM.search(unit):
            names = phrases & _NAMES
            keys.update(world.fact_key(n, v) for n in names for v in values)
    return keys


def check_prompts(path):
    """The committed prompts are the generator's, ask held-out facts, and half of them from afar."""
    records = make_data.test_prompts(make_data.make_tokenizer())
    with open(path, encoding="ascii") as file:
        lines = [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]
    made = [[k, str(d), a, p.replace("\n", "\\n")] for k, d, a, p, _ in records]
    asked = {key for record in records for key in record[4]}
    far = sum(record[1] >= 300 for record in records)
    problems = []
    if lines != made:
        problems.append(f"{path} is not what make_data.py writes")
    if len(records) < 500 or 2 * far < len(records):
        problems.append(f"{len(records)} prompts, {far} of them with 300 tokens or more")
    problems += [f"asked but not held out: {key}" for key in asked if not world.held_out(key)]
    for _, _, answer, prompt, keys in records:
        stated = keys_in(prompt + " " + answer)
        problems += [f"not found in its own prompt: {key}" for key in keys if key not in stated]
    print(f"{len(records)} prompts, {far} far, {len(asked)} facts and sums asked")
    return asked, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("prompts", nargs="?", default="tests/data/recall_prompts.txt")
    parser.add_argument("--documents", type=int, default=20000, help="the whole set has 400000")
    parser.add_argument("--first", type=int, default=0, help="first document to read")
    options = parser.parse_args()
    asked, problems = check_prompts(options.prompts)
    found = set()
    for index in range(options.first, options.first + options.documents):
        parts = make_data.training_document(1, index)
        found |= keys_in("".join(text for text, _ in parts))
    problems += [f"in the training text: {key}" for key in sorted(found) if world.held_out(key)]
    problems += [f"asked and in the training text: {key}" for key in sorted(found & asked)]
    print(f"{options.documents} training documents state {len(found)} facts and sums")
    for problem in problems[:20]:
        print(problem)
    print("nothing asked was trained on" if not problems else f"{len(problems)} problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
