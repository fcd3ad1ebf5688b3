"""The small world of the model: its words, its sentences and the rule that holds facts out."""

HER = (
    "Ada Alma Anna Bella Berta Cara Clara Cora Dana Della Dora Edda Elin Ella Elsa Emma Erna Etta "
    "Fay Flora Frida Gerda Greta Hanna Hedda Helga Hilda Ida Ines Inga Iris Ivy Jana Jill Joan "
    "June Kara Kate Lara Lena Lily Lisa Lotta Lucy Mara Marta Mary Mina Mira Nell Nina Nora Olga "
    "Petra Rita Rosa Ruth Sara Tara Tessa Vera Wanda Willa Zora"
).split()
HIS = (
    "Adam Alan Albert Anton Arno Axel Ben Bert Boris Carl Colin Conrad Dan David Edgar Emil Eric "
    "Ernest Felix Finn Frank Fred Georg Gil Glen Hans Harry Henry Hugo Igor Ivan Jack Jacob Jan "
    "Joel John Karl Kent Kurt Lars Leo Louis Mark Martin Max Nils Noel Olaf Oscar Otto Paul Peter "
    "Ralf Rolf Rudy Sam Simon Stan Sven Theo Tom Ulf Victor Walter"
).split()
PEOPLE = HER + HIS

COLOURS = "red blue green yellow white black brown grey golden silver purple orange pink".split()
PLACES = (
    "cabin barn tower cellar attic chest shed cupboard drawer wagon tent mill kitchen hall garden "
    "boat stable library room basket trunk house"
).split()
OBJECTS = (
    "violin lamp coat hammer kite map flute saddle ladder clock drum book bell rope mirror "
    "umbrella letter sword lantern telescope blanket camera hat key knife axe ring crown "
    "compass trumpet"
).split()
JOBS = (
    "baker farmer teacher doctor sailor painter miller carpenter weaver singer cook gardener "
    "shepherd tailor smith writer fisher hunter judge nurse pilot potter printer barber builder "
    "butcher dancer driver guard mason merchant actor archer artist engineer innkeeper"
).split()
TOWNS = (
    "Velmora Tarnby Oldwick Brunsee Calder Dunmore Estavel Fairlow Grunhof Harwick Ilmen Jorvik "
    "Kelsand Lormont Midvale Norholm Ostrava Pellan Quarry Ravenna Selby Torwick Ulmdal Varna "
    "Westford Yarrow Zelten Ashford Belmont Corvina Dalby Elmstad Fenwick Garmont Holmby Larkhill "
    "Marwick Northam Penrose Rosdal"
).split()
TASTES = (
    "plum pepper apple onion garlic honey lemon walnut cherry pumpkin carrot cabbage mushroom bean "
    "barley ginger"
).split()
DISHES = "soup stew pie bread cake salad pudding porridge dumplings noodles".split()
PETS = "parrot dog cat pony goat rabbit donkey duck hen owl turtle mouse".split()
PET_NAMES = (
    "Pip Biscuit Shadow Pepper Bramble Button Clover Comet Cricket Daisy Domino Dusty Ember Fern "
    "Fidget Ginger Hazel Jasper Juniper Lucky Maple Marble Misty Mocha Nibbles Nutmeg Patch Pebble "
    "Pickle Poppy Pudding Rusty Sable Smudge Socks Sparky Teddy Tinker Toffee Truffle Waffles "
    "Whisker Willow Ziggy"
).split()
WARES = (
    "wheel carpet barrel chair table bench cloak plough anvil kettle stove sledge harp net"
).split()
VESSELS = "jar sack box bowl crate".split()
THINGS = "beans nuts coins pearls buttons seeds stones candles".split()
HARVESTS = (
    ("picked", "pick", "apples"),
    ("picked", "pick", "pears"),
    ("caught", "catch", "fish"),
    ("found", "find", "shells"),
    ("sold", "sell", "hats"),
    ("baked", "bake", "loaves"),
    ("planted", "plant", "trees"),
    ("wrote", "write", "poems"),
)
NUMBERS = [str(n) for n in range(2, 100)]


def is_her(name):
    """True when sentences about this person say "she"."""
    return name in _HER


def held_out(key):
    """True when the fact or sum with this key belongs to the test alone: FNV-1a 32 mod 10 is 0."""
    known = _HELD.get(key)
    if known is None:
        code = 2166136261
        for byte in key.encode("ascii"):
            code = (code ^ byte) * 16777619 & 0xFFFFFFFF
        known = _HELD[key] = code % 10 == 0
    return known


def fact_key(name, value):
    """The key of a stated (name, value) pair."""
    return name + "|" + value


def sum_key(a, b):
    """The key of a sum; the order of the operands does not matter."""
    a, b = int(a), int(b)
    return f"{min(a, b)}+{max(a, b)}"


_HER = frozenset(HER)
_HELD = {}

VALUES = {
    "keep": [f"{c} {p}" for c in COLOURS for p in PLACES],
    "job": JOBS,
    "born": TOWNS,
    "dish": [f"{t} {d}" for t in TASTES for d in DISHES],
    "pet": PET_NAMES,
    "paid": NUMBERS,
    "count": NUMBERS,
    "jar": NUMBERS,
}
RELATIONS = ["keep"] * 3 + ["job", "born", "dish", "pet", "paid"] * 2 + ["count"] * 3 + ["jar"] * 3

# {n} name, {v} value, {av} value with its article, {o} the thing it is about, {ao} with article.
STATEMENTS = {
    "keep": (
        "{n} keeps {his} {o} in the {v}.",
        "{n} always leaves {his} {o} in the {v}.",
        "{n} said that {his} {o} was safe in the {v}.",
        "Since spring {n} has kept {his} {o} in the {v}.",
        "Last winter {n} put {his} {o} in the {v}, and there it stayed.",
        "Anyone who wants to see {n}'s {o} must look in the {v}.",
    ),
    "job": (
        "{n} works as {av}.",
        "{n} is {av} and likes the work.",
        "For many years {n} has been {av}.",
        "Like {his} mother, {n} became {av}.",
        "{n} earns {his} bread as {av}.",
    ),
    "born": (
        "{n} was born in {v}.",
        "{n} was born in {v} and never forgot it.",
        "Long ago {n} was born in {v}.",
        "{n} told us that {he} was born in {v}.",
        "Few people know that {n} was born in {v}.",
    ),
    "dish": (
        "{n}'s favourite dish is {v}.",
        "{n} likes nothing better than {v}.",
        "On feast days {n} always asks for {v}.",
        "Of all dishes {n} loves {v} the most.",
        "{n} could eat {v} every day.",
    ),
    "pet": (
        "{n} has {ao} called {v}.",
        "{n}'s {o} is called {v}.",
        "{n} named {his} {o} {v}.",
        "Everywhere {n} goes, {his} {o} {v} goes too.",
        "{n} lives with {ao} by the name of {v}.",
    ),
    "paid": (
        "{n} paid {v} coins for the {o}.",
        "{n} bought the {o} for {v} coins.",
        "For the {o}, {n} gave the trader {v} coins.",
        "At the market {n} got the {o} for {v} coins.",
        "The {o} cost {n} exactly {v} coins.",
    ),
    "count": (
        "{n} {o[0]} {v} {o[2]}.",
        "In one day {n} {o[0]} {v} {o[2]}.",
        "That week {n} {o[0]} {v} {o[2]} without any help.",
        "To everyone's surprise {n} {o[0]} {v} {o[2]}.",
    ),
    "jar": (
        "The {n} holds {v} {o}.",
        "In the {n} there are {v} {o}.",
        "Someone opened the {n} and counted {v} {o}.",
        "The {n} was filled with {v} {o}.",
    ),
}
QUESTIONS = {
    "keep": (
        "Where does {n} keep {his} {o}?",
        "Where is {n}'s {o}?",
        "In which place would you find {n}'s {o}?",
    ),
    "job": ("What is {n}'s job?", "What work does {n} do?", "How does {n} earn {his} bread?"),
    "born": ("Where was {n} born?", "In which town was {n} born?"),
    "dish": ("What is {n}'s favourite dish?", "What does {n} like to eat most of all?"),
    "pet": ("What is the name of {n}'s {o}?", "What is {n}'s {o} called?"),
    "paid": (
        "How many coins did {n} pay for the {o}?",
        "What did {n} pay for the {o}?",
    ),
    "count": ("How many {o[2]} did {n} {o[1]}?",),
    "jar": ("How many {o} are in the {n}?", "How many {o} does the {n} hold?"),
}
ANSWERS = {
    "keep": "in the {v}.",
    "job": "{av}.",
    "born": "in {v}.",
    "dish": "{v}.",
    "pet": "{v}.",
    "paid": "{v} coins.",
    "count": "{v} {o[2]}.",
    "jar": "{v} {o}.",
}
SUM_QUESTIONS = {
    "count": (
        "How many {o[2]} did {n} and {m} {o[1]} together?",
        "How many {o[2]} did {n} and {m} {o[1]} in all?",
    ),
    "jar": (
        "How many {o} are in the {n} and the {m} together?",
        "How many {o} do the {n} and the {m} hold in all?",
    ),
    "direct": ("What is {a} plus {b}?", "How much is {a} plus {b}?"),
}
SUM_ANSWER = "{a} plus {b} makes {s}."

# After a fact about a person.
ASIDES = (
    "{He} never told anyone why.",
    "Nobody had ever asked {him} about it.",
    "{He} was quite proud of that.",
    "The neighbours often talked about it.",
    "It made {him} smile.",
    "{His} friends thought it was a little strange.",
    "{He} had once told this story to the children.",
    "That is what people say, and it is true.",
)
OPENINGS = (
    "This is a story about {p} and {q}.",
    "Once there was a village by the sea, and {p} and {q} lived there.",
    "It was a quiet year, and {p} had many friends.",
    "{p} and {q} had known each other for a long time.",
    "Here is what we know about {p}, {q} and their friends.",
    "Listen well, for this is what happened in the valley.",
    "The old book begins with {p}, who lived near the forest.",
    "In those days everyone in the village knew everyone else.",
)
FILLERS = (
    "It rained {when} and the river rose {little}.",
    "The wind came from the {side} and shook the {plant}.",
    "{when2} the sky was {sky} and the air was {air}.",
    "{when2} {p} walked along the {way} with {q}.",
    "{p} and {q} talked about the weather for {while_}.",
    "{p} waved to {q} from the other side of the {way}.",
    "{p} sang an old song, and {q} listened.",
    "Nobody could say why the old church was so quiet {when}.",
    "The children played near the {way} until it was dark.",
    "The {beast} slept {lie} and did not move.",
    "{when2} {a_stranger} came to the village and asked for water.",
    "{p} met {a_stranger} on the {way} and they spoke for {while_}.",
    "The {stranger} had seen many countries and knew many stories.",
    "Soon the {plant} would be {state}, and everyone was glad.",
    "{when2} {p} was {mood}, and so was {q}.",
    "{p} asked {q} for help, and {q} came at once.",
    "The road to the hills was steep and long, and the air was {air}.",
    "There was music {when}, and people danced until late.",
    "A letter came for {q}, but the {stranger} had lost it on the {way}.",
    "{p} closed the window, because the wind was strong.",
    "Far away a dog barked, and then it was quiet again.",
    "{p} laughed so loudly that {q} had to laugh too.",
    "The bridge over the river was old, yet it held.",
    "{when2} {p} and {q} went down to the {way} to look at the ships.",
    "Smoke rose from the roofs, and the {plant} stood {state}.",
    "{p} was late, as usual, and {q} waited for {while_}.",
    "They spoke about the past, about the {plant} and about the long winter.",
    "In the end everyone went home, tired and content.",
    "The moon stood over the {way} and the night was {air}.",
    "{p} had slept badly and was {mood} {when}.",
    "The market was full of people {when}.",
    "{q} did not believe a word of it, but {p} did.",
    "The snow lay deep on the {way}, and nobody went out.",
    "{when2} the {beast} ran away, and {p} went to look for it.",
    "An hour later the {beast} came back by itself.",
    "The {stranger} thanked {p} and went on to the {side}.",
    "{p} thought about the summer and about the {plant} by the {way}.",
    "The fire burned low, and {q} told a story about a {beast}.",
    "It was so {air} {when} that even the {beast} stayed inside.",
    "{p} and {q} did not agree, but they stayed friends.",
    "All of this happened before the bridge was built.",
    "People in the valley still speak of that day.",
    "{q} smiled and said nothing.",
    "Then the bells rang, and {p} went home along the {way}.",
)
SLOTS = {
    "when": ("all morning", "that evening", "that day", "the whole night", "that week", "at noon"),
    "when2": ("In the morning", "In the evening", "One day", "The next day", "After a while",
              "On Sunday", "At night", "Later that day"),
    "little": ("a little", "quickly", "until nightfall", "higher than before"),
    "side": ("north", "south", "east", "west"),
    "plant": ("trees", "fields", "roses", "old oaks", "vines", "hedges"),
    "sky": ("clear", "dark", "full of clouds", "pale", "full of stars"),
    "air": ("cold", "warm", "dry", "damp", "fresh", "mild", "heavy"),
    "way": ("road", "shore", "street", "path", "quay", "beach", "lane"),
    "while_": ("an hour", "a long time", "a while", "half the day"),
    "beast": ("wolf", "fox", "bear", "horse", "cow", "old bull"),
    "lie": ("in the shade", "in the sun", "under a tree", "by the fire"),
    "stranger": ("stranger", "traveller", "soldier", "beggar", "young man", "old woman"),
    "a_stranger": ("a stranger", "a traveller", "a soldier", "a beggar", "an old woman"),
    "state": ("green again", "in bloom", "bare", "covered with snow", "tall and still"),
    "mood": ("happy", "tired", "sad", "hungry", "calm", "angry", "curious", "cheerful"),
}
