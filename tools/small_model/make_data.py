"""Writes stories with facts and questions: the training documents and the held-out prompts."""

import argparse
import random
import re

import world
from bpe import END, Tokenizer, learn_merges

MAX_TOKENS = 768
MERGES = 1279
TEST_SEED = 20260
TEST_PLAN = (  # kind, prompts, tokens between fact and question
    ("recall-near", 176, 20, 299),
    ("recall-far", 256, 300, 660),
    ("sum-near", 80, 20, 299),
    ("sum-far", 96, 300, 660),
    ("sum-direct", 32, 0, 0),
)


class Fact:
    """One stated (name, value) pair and the template that states it."""

    def __init__(self, rng, relation, name, about):
        self.relation, self.name, self.about = relation, name, about
        self.template = rng.choice(world.STATEMENTS[relation])
        self.value = None
        her = world.is_her(name)
        self.slots = {"n": name, "o": about, "he": "she" if her else "he"}
        self.slots["his"] = "her" if her else "his"
        if relation == "pet":
            self.slots["ao"] = with_article(about)

    def state(self, value):
        self.value = self.slots["v"] = value
        if self.relation == "job":
            self.slots["av"] = with_article(value)
        return self

    def text(self):
        return self.template.format_map(self.slots)

    def key(self):
        return world.fact_key(self.name, self.value)

    def question(self, rng):
        return rng.choice(world.QUESTIONS[self.relation]).format_map(self.slots)

    def answer(self):
        return world.ANSWERS[self.relation].format_map(self.slots)


class Slots(dict):
    """Fills a filler's slots with random words; names come from the cast."""

    def __init__(self, rng, cast):
        self.rng = rng
        self["p"], self["q"] = rng.sample(cast, 2)

    def __missing__(self, slot):
        return self.rng.choice(world.SLOTS[slot])


def with_article(noun):
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def allowed_value(rng, name, relation):
    """A value that training may state for this name."""
    while True:
        value = rng.choice(world.VALUES[relation])
        if not world.held_out(world.fact_key(name, value)):
            return value


def any_value(rng, name, relation):
    return rng.choice(world.VALUES[relation])


def invent_facts(rng, cast, count, pick_value):
    """`count` facts, no two about the same thing of the same name."""
    harvests = rng.sample(world.HARVESTS, 2)
    vessel, thing = rng.choice(world.VESSELS), rng.choice(world.THINGS)
    facts, taken = [], set()
    while len(facts) < count:
        relation, name, about = rng.choice(world.RELATIONS), rng.choice(cast), ""
        if relation == "keep":
            about = rng.choice(world.OBJECTS)
        elif relation == "pet":
            about = rng.choice(world.PETS)
        elif relation == "paid":
            about = rng.choice(world.WARES)
        elif relation == "count":
            about = rng.choice(harvests)
        elif relation == "jar":
            name, about = rng.choice(world.COLOURS) + " " + vessel, thing
        same = (relation, name, about if relation in ("keep", "pet", "paid", "count") else "")
        if same not in taken:
            taken.add(same)
            facts.append(Fact(rng, relation, name, about).state(pick_value(rng, name, relation)))
    return facts


def write_story(rng, words, pick_value, densest=0.06):
    """A list of paragraphs; a paragraph is a list of sentences: texts and Facts."""
    cast = rng.sample(world.PEOPLE, min(10, 3 + words // 60 + rng.randrange(2)))
    count = max(3, int(words * rng.uniform(0.03, densest)))
    sentences, length = [], 0
    for fact in invent_facts(rng, cast, count, pick_value):
        group = [fact]
        if fact.relation != "jar" and rng.random() < 0.2:
            her = world.is_her(fact.name)
            group.append(
                rng.choice(world.ASIDES).format(
                    He="She" if her else "He",
                    him="her" if her else "him",
                    His="Her" if her else "His",
                )
            )
        length += 9 * len(group)
        sentences.append(group)
    unused = []
    while length < words:
        unused = unused or rng.sample(world.FILLERS, len(world.FILLERS))
        filler = unused.pop().format_map(Slots(rng, cast))
        length += filler.count(" ") + 1
        sentences.append([filler])
    rng.shuffle(sentences)
    if rng.random() < 0.8:
        sentences.insert(0, [rng.choice(world.OPENINGS).format_map(Slots(rng, cast))])
    paragraphs, at = [], 0
    while at < len(sentences):
        size = rng.randint(4, 9)
        paragraphs.append([s for group in sentences[at : at + size] for s in group])
        at += size
    return paragraphs


def story_text(paragraphs):
    return "\n".join(
        " ".join(s.text() if isinstance(s, Fact) else s for s in p) for p in paragraphs
    )


def facts_of(paragraphs):
    return [s for p in paragraphs for s in p if isinstance(s, Fact)]


def sum_partners(facts):
    """All pairs of facts whose numbers a question may add."""
    counts = [f for f in facts if f.relation in ("count", "jar")]
    return [
        (f, g)
        for f in counts
        for g in counts
        if f is not g and f.relation == g.relation and f.about == g.about
    ]


def sum_answer(a, b):
    return world.SUM_ANSWER.format(a=a, b=b, s=int(a) + int(b))


def ask_sum(rng, pair):
    f, g = pair
    question = rng.choice(world.SUM_QUESTIONS[f.relation])
    return question.format(n=f.name, m=g.name, o=f.about), sum_answer(f.value, g.value)


def ask_direct(rng, wanted):
    """A sum whose numbers stand in the question; `wanted` says held out or not."""
    while True:
        a, b = rng.choice(world.NUMBERS), rng.choice(world.NUMBERS)
        if world.held_out(world.sum_key(a, b)) == wanted:
            return rng.choice(world.SUM_QUESTIONS["direct"]).format(a=a, b=b), sum_answer(a, b)


def training_questions(rng, facts, count):
    """Up to `count` different questions with their answers, none of them held out."""
    pairs = [
        p for p in sum_partners(facts) if not world.held_out(world.sum_key(p[0].value, p[1].value))
    ]
    rng.shuffle(pairs)
    order, asked = rng.sample(facts, len(facts)), []
    while len(asked) < count and (order or pairs):
        dice = rng.random()
        if dice < 0.05:
            asked.append(ask_direct(rng, False))
        elif pairs and (dice < 0.35 or not order):
            asked.append(ask_sum(rng, pairs.pop()))
        elif order:
            fact = order.pop()
            asked.append((fact.question(rng), fact.answer()))
    return asked


def training_document(seed, index):
    """Document `index` of the training set: parts as (text, is_answer)."""
    rng = random.Random(f"{seed}:{index}")
    dice = rng.random()
    if dice < 0.08:
        parts = [("Here are some sums.", False)]
        for _ in range(rng.randint(8, 45)):
            terms, total = ask_direct(rng, False)[1].rsplit(" ", 1)
            parts += [((" " if rng.random() < 0.9 else "\n") + terms, False), (" " + total, True)]
        return parts
    if dice < 0.72:
        words = rng.choice((rng.randint(40, 110), rng.randint(60, 220), rng.randint(150, 400)))
        paragraphs = write_story(rng, words, allowed_value, densest=0.10)
        parts = [(story_text(paragraphs) + "\n\n", False)]
        for question, answer in training_questions(rng, facts_of(paragraphs), rng.randint(4, 24)):
            parts += [("Ask: " + question + "\nReply:", False), (" " + answer, True), ("\n", False)]
        return parts
    words = rng.choice((rng.randint(40, 150), rng.randint(60, 340), rng.randint(250, 560)))
    paragraphs = write_story(rng, words, allowed_value)
    facts = facts_of(paragraphs)
    ((question, answer),) = training_questions(rng, facts, 1)
    return [
        (story_text(paragraphs) + "\n\nQuestion: " + question + "\nAnswer:", False),
        (" " + answer, True),
    ]


def training_tokens(tokenizer, seed, index):
    """Document `index` as (ids, flags): flag 1 marks the tokens of answers."""
    ids, flags = [], []
    for text, is_answer in training_document(seed, index):
        part = tokenizer.encode(text)
        ids += part
        flags += [int(is_answer)] * len(part)
    ids.append(END)
    flags.append(flags[-1])
    return ids, flags


def held_out_value(rng, name, relation):
    values = [v for v in world.VALUES[relation] if world.held_out(world.fact_key(name, v))]
    return rng.choice(values) if values else None


def hold_out_sum(rng, pair):
    """Give both facts new numbers: each (name, number) and their sum held out."""
    for _ in range(200):
        a, b = (held_out_value(rng, f.name, f.relation) for f in pair)
        if a and b and world.held_out(world.sum_key(a, b)):
            pair[0].state(a)
            pair[1].state(b)
            return True
    return False


def distance_to(tokenizer, text, fact):
    """Tokens from the end of the fact's sentence to the end of the story."""
    end = text.index(fact.text()) + len(fact.text())
    return len(tokenizer.encode(text[end:] + "\n\n"))


def test_prompt(rng, tokenizer, kind, low, high):
    """One attempt at a prompt of this kind: (distance, answer, prompt, keys) or None."""
    far = low >= 300
    words = rng.randint(290, 520) if far else rng.randint(85, 480)
    paragraphs = write_story(rng, words, any_value)
    facts = facts_of(paragraphs)
    if kind == "sum-direct":
        distance, asked = 0, []
        question, answer = ask_direct(rng, True)
        keys = [world.sum_key(*re.findall(r"\d+", question))]
    else:
        groups = sum_partners(facts) if kind.startswith("sum") else [(f,) for f in facts]
        text = story_text(paragraphs)
        near = [g for g in groups if low <= min(distance_to(tokenizer, text, f) for f in g) <= high]
        if not near:
            return None
        asked = rng.choice(near)
        if len(asked) == 2:
            if not hold_out_sum(rng, asked):
                return None
            question, answer = ask_sum(rng, asked)
            keys = [f.key() for f in asked] + [world.sum_key(asked[0].value, asked[1].value)]
        else:
            value = held_out_value(rng, asked[0].name, asked[0].relation)
            if value is None:
                return None
            asked[0].state(value)
            question, answer, keys = asked[0].question(rng), asked[0].answer(), [asked[0].key()]
    text = story_text(paragraphs)
    if asked:
        distance = min(distance_to(tokenizer, text, f) for f in asked)
    prompt = text + "\n\nQuestion: " + question + "\nAnswer:"
    if not low <= distance <= high or not 100 <= len(tokenizer.encode(prompt)) <= 700:
        return None
    return distance, answer, prompt, keys


def test_prompts(tokenizer, plan=TEST_PLAN, seed=TEST_SEED):
    """All held-out prompts: (kind, distance, answer, prompt, keys)."""
    records = []
    for kind, count, low, high in plan:
        made = attempt = 0
        while made < count:
            rng = random.Random(f"{seed}:{kind}:{attempt}")
            attempt += 1
            record = test_prompt(rng, tokenizer, kind, low, high)
            if record:
                records.append((kind, *record))
                made += 1
    return records


def write_prompts(path, records, seed=TEST_SEED):
    with open(path, "w", encoding="ascii", newline="\n") as out:
        out.write(
            f"# {len(records)} held-out prompts, tools/small_model/make_data.py seed {seed}; "
            "kind, tokens from fact to question, answer, prompt (\\n is a line end)\n"
        )
        for kind, distance, answer, prompt, _ in records:
            escaped = prompt.replace("\n", "\\n")
            out.write(f"{kind}\t{distance}\t{answer}\t{escaped}\n")


def make_tokenizer(seed=1, documents=4000):
    """The tokenizer, learned from the first training documents."""
    texts = (
        "".join(text for text, _ in training_document(seed, index)) for index in range(documents)
    )
    return Tokenizer(learn_merges(texts, MERGES))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", help="write the held-out prompts here")
    parser.add_argument("--demo", help="write the demonstration prompts here")
    parser.add_argument("--show", type=int, default=0, help="print this many training documents")
    options = parser.parse_args()
    tokenizer = make_tokenizer()
    for index in range(options.show):
        print("".join(text for text, _ in training_document(1, index)) + "\n=====")
    if options.prompts:
        write_prompts(options.prompts, test_prompts(tokenizer))
    if options.demo:
        plan = (("recall-far", 2, 300, 660), ("sum-far", 1, 300, 660))
        records = test_prompts(tokenizer, plan, TEST_SEED + 1)
        with open(options.demo, "w", encoding="ascii", newline="\n") as out:
            out.write("\n---\n".join(prompt for _, _, _, prompt, _ in records) + "\n")


if __name__ == "__main__":
    main()
