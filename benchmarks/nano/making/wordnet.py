"""WordNet as running text: every synset written out in both directions, word and meaning."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.nano.making.heldout import is_held_out_entry

PARTS = {"n": "noun", "v": "verb", "a": "adjective", "s": "adjective", "r": "adverb"}
STOPWORDS = frozenset(
    """
    a an the of or and to in on for with by from as at is are was be been that which who whose it
    its this these those not no into any some one used having has have can may usually especially
    often more most very other such than etc e.g. i.e. when where while you he she they their his
    her something someone somebody make made being between about through
    """.split()  # noqa: SIM905
)
ONSETS = [*"bcdfghjklmnprstvwz", "br", "cr", "dr", "fl", "gl", "gr", "kl", "pr", "sk", "st", "tr"]
ONSETS += ["sh", "th", "ch"]
VOWELS = [*"aeiou", "ai", "ea", "oo", "ou", "ia"]
ENDINGS = ["", "", "n", "r", "l", "s", "x", "k", "m", "th", "nd", "rt", "sk"]


@dataclass
class Synset:
    """One meaning: its words, definition, examples and the synsets it points to."""

    key: str
    part: str
    words: list[str]
    definition: str
    examples: list[str]
    up: list[str] = field(default_factory=list)
    down: list[str] = field(default_factory=list)
    related: list[str] = field(default_factory=list)
    held_out: bool = False


def read_wordnet(folder: Path) -> dict[str, Synset]:
    """Reads the `data.*` files of WordNet 3.0 into synsets by key (part letter + offset)."""
    synsets: dict[str, Synset] = {}
    for name, letter in (("noun", "n"), ("verb", "v"), ("adj", "a"), ("adv", "r")):
        for line in (folder / f"data.{name}").read_text("latin-1").splitlines():
            if line.startswith("  "):  # the licence at the head of each file
                continue
            data, _, gloss = line.partition("|")
            fields = data.split()
            count = int(fields[3], 16)
            words = [clean_word(fields[4 + 2 * i]) for i in range(count)]
            pointers = fields[4 + 2 * count :]
            parts = [part.strip() for part in gloss.strip().split('; "')]
            synset = Synset(
                key=letter + fields[0],
                part=PARTS[fields[2]],
                words=words,
                definition=parts[0].strip().rstrip(";"),
                examples=[part.strip('" ;') for part in parts[1:]],
                held_out=any(is_held_out_entry(word) for word in words),
            )
            for i in range(int(pointers[0])):
                symbol, offset, part, _ = pointers[1 + 4 * i : 5 + 4 * i]
                target = ("a" if part == "s" else part) + offset
                if symbol in ("@", "@i"):
                    synset.up.append(target)
                elif symbol in ("~", "~i"):
                    synset.down.append(target)
                elif symbol in ("&", "#m", "#p", "%p", ";c", "+"):
                    synset.related.append(target)
            synsets[synset.key] = synset
    return synsets


def clean_word(word: str) -> str:
    """`eye_contact` -> `eye contact`; adjective markers such as `(p)` go."""
    return word.split("(")[0].replace("_", " ")


class Writer:
    """Draws wordings for synsets; one random generator decides everything."""

    def __init__(self, synsets: dict[str, Synset], rng: random.Random) -> None:
        self.synsets = synsets
        self.rng = rng
        self.keys: list[str] = []

    def documents(self, held_out: bool) -> Iterator[tuple[str, str]]:
        """Yields (kind, text): for each synset a definition and a few other kinds of text."""
        self.keys = [key for key, s in self.synsets.items() if s.held_out == held_out]
        for key in self.keys:
            synset = self.synsets[key]
            yield "entry", self.entry(synset)
            yield "reverse", self.reverse(synset)
            draw = self.rng.random()
            if draw < 0.35:
                yield "hints", self.hints(synset)
            elif draw < 0.6:
                yield "kinds", self.kinds(synset)
            elif len(synset.down) > 2:
                yield "members", self.members(synset)
            if self.rng.random() < 0.35:
                yield "cards", self.cards(key)

    def entry(self, synset: Synset) -> str:
        """Word -> meaning, with examples, synonyms and kind in varied order."""
        rng = self.rng
        word = rng.choice(synset.words)
        meaning = synset.definition
        first = rng.choice(
            [
                f"{word} ({synset.part}): {meaning}.",
                f"{word}: {meaning}.",
                f"The {synset.part} {word} means: {meaning}.",
                f"What is meant by {word}? {sentence(meaning)}",
                f"{sentence(word)[:-1]} is {meaning}." if synset.part == "noun" else "",
                f"Word: {word}\nMeaning: {meaning}",
                f"{title(word)} - {meaning}.",
            ]
        )
        rest = []
        others = [other for other in synset.words if other != word]
        if others:
            rest.append(rng.choice(["Also called: ", "Same meaning: ", "Synonyms: "]))
            rest[-1] += ", ".join(others[:5]) + "."
        if synset.examples:
            rest.append(rng.choice(["Example: ", "For example: ", ""]))
            rest[-1] += " ".join(sentence(example) for example in synset.examples[:3])
        if synset.up:
            rest.append(self.kind_sentence(synset, word))
        rng.shuffle(rest)
        first = first or f"{word}: {meaning}."
        return join(rng, [first, *rest])

    def reverse(self, synset: Synset) -> str:
        """Meaning -> word."""
        rng = self.rng
        word = rng.choice(synset.words)
        if rng.random() < 0.3:
            word = title(word)
        meaning = synset.definition
        kind = self.up_words(synset, 1)
        return rng.choice(
            [
                f"{sentence(meaning)} This is called: {word}.",
                f"{meaning} = {word}",
                f"A {synset.part} for {meaning}: {word}.",
                f"Which word means {meaning}? {sentence(word)}",
                f"Meaning: {meaning}\nWord: {word}",
                f"Which {kind[0] if kind else synset.part} is it? {sentence(meaning)} "
                f"Answer: {word}.",
            ]
        )

    def hints(self, synset: Synset) -> str:
        """A few content words of the meaning, then the word; or the word, then the hints."""
        rng = self.rng
        word = rng.choice(synset.words)
        picked = self.content_words(synset, rng.choice([2, 3, 3, 3, 4]))
        styled = title(word) if rng.random() < 0.4 else word
        glue = rng.choice([" ", ", ", " "])
        hint = glue.join(picked)
        lines = [
            f"{hint} is called: {styled}",
            f"What goes with {hint}? {sentence(styled)}",
            f"{styled} goes with: {hint}",
            f"Key words of {styled}: {hint}",
            f"{hint}\n{styled}: {synset.definition}",
            f"{synset.definition}. Key words: {hint}",
        ]
        lines = rng.sample(lines, rng.choice([1, 2]))
        if synset.up and rng.random() < 0.5:
            subject = rng.choice([styled, hint])
            lines.append(f"The kinds of {subject} are: {', '.join(self.kind_list(synset))}")
        return join(rng, lines)

    def kinds(self, synset: Synset) -> str:
        """The chain of more general words, near to far or shuffled."""
        rng = self.rng
        word = rng.choice(synset.words)
        kinds = self.kind_list(synset)
        if not kinds:
            return self.hints(synset)
        listed = ", ".join(kinds)
        return rng.choice(
            [
                f"{word} belongs to: {listed}",
                f"{title(word)}. Its kinds are: {listed}",
                f"{sentence(synset.definition)} Its kinds are: {listed}",
                f"{listed}: {word}",
                f"Kinds: {listed}\nName: {title(word)}\nMeaning: {synset.definition}",
            ]
        )

    def members(self, synset: Synset) -> str:
        """A general word and what falls under it."""
        rng = self.rng
        shown = [key for key in synset.down if not self.synsets[key].held_out]
        rng.shuffle(shown)
        names = [rng.choice(self.synsets[key].words) for key in shown[:8]]
        if rng.random() < 0.3:
            names = [title(name) for name in names]
        word = rng.choice(synset.words)
        listed = ", ".join(names)
        return rng.choice(
            [
                f"Examples of {word}: {listed}.",
                f"{listed}. All of these are kinds of {word}.",
                f"{title(word)} ({synset.definition}): {listed}.",
            ]
        )

    def cards(self, key: str) -> str:
        """Made-up names given to two to four entries, described, then asked back."""
        rng = self.rng
        keys = [key] + [rng.choice(self.keys) for _ in range(rng.choice([0, 0, 1, 1, 2, 3]))]
        rng.shuffle(keys)
        facts = []
        for chosen in keys:
            synset = self.synsets[chosen]
            name = title(rng.choice(synset.words))
            if rng.random() < 0.5:
                name += f" ({rng.randint(1900, 2005)})"
            kinds = self.kind_list(synset) or self.content_words(synset, 3)
            kinds = [title(kind) for kind in kinds] if rng.random() < 0.5 else kinds
            facts.append((self.made_up(), name, ", ".join(kinds[:4]), synset.definition))
        noun = rng.choice(["thing", "item", "entry", "one"])
        told = [self.tell(noun, fact) for fact in facts]
        asked = [self.ask(noun, rng.choice(facts)) for _ in range(rng.choice([1, 2, 2, 3]))]
        return join(rng, told + asked)

    def tell(self, noun: str, fact: tuple[str, str, str, str]) -> str:
        """States a fact (made-up name, name, kinds, meaning) in a few sentences."""
        code, name, kinds, meaning = fact
        sentences = [f"The {noun} {code} is called: {name}."]
        if self.rng.random() < 0.8:
            sentences.append(f"The kinds of {code} are: {kinds}.")
        if self.rng.random() < 0.5:
            sentences.append(f"{code} is {meaning}.")
        self.rng.shuffle(sentences)
        return " ".join(sentences)

    def ask(self, noun: str, fact: tuple[str, str, str, str]) -> str:
        """Asks for one side of a fact given the other, and answers."""
        code, name, kinds, meaning = fact
        return self.rng.choice(
            [
                f"The {noun} {code} is called: {name}.",
                f"Which {noun} is called {name}? {code}.",
                f"What are the kinds of {code}? {kinds}.",
                f"{name}. Its kinds are: {kinds}. It is the {noun} {code}.",
                f"Which {noun} is {meaning}? {code}.",
            ]
        )

    def made_up(self) -> str:
        """A name or code without a meaning, such as `glaith poon` or `k41 d7 b30`."""
        rng = self.rng
        if rng.random() < 0.5:
            letters = rng.sample("abcdefghijklmnopqrstuvwxyz", 3)
            return " ".join(f"{letter}{rng.randint(0, 99)}" for letter in letters)
        words = []
        for _ in range(rng.choice([1, 1, 2, 3])):
            syllables = rng.choice([1, 2, 2])
            words.append(
                "".join(rng.choice(ONSETS) + rng.choice(VOWELS) for _ in range(syllables))
                + rng.choice(ENDINGS)
            )
        return " ".join(words)

    def content_words(self, synset: Synset, count: int) -> list[str]:
        """Words of the definition that carry meaning, in random order."""
        words = [word.strip("()`',;:.\"") for word in synset.definition.lower().split()]
        kept = list(dict.fromkeys(w for w in words if len(w) > 2 and w not in STOPWORDS))
        self.rng.shuffle(kept)
        return kept[:count] or [synset.words[0]]

    def up_words(self, synset: Synset, limit: int) -> list[str]:
        """First words of the synsets above, nearest first; no held-out word is named."""
        found: list[str] = []
        queue = list(synset.up) or list(synset.related[:2])
        while queue and len(found) < limit:
            above = self.synsets[queue.pop(0)]
            if not above.held_out or synset.held_out:
                found.append(above.words[0])
            queue.extend(above.up[:1])
        return found

    def kind_list(self, synset: Synset) -> list[str]:
        """Some of the more general words, in varied order and case."""
        rng = self.rng
        kinds = self.up_words(synset, rng.choice([2, 3, 4, 6]))
        if rng.random() < 0.4:
            kinds = sorted(kinds)
        return [title(kind) for kind in kinds] if rng.random() < 0.4 else kinds

    def kind_sentence(self, synset: Synset, word: str) -> str:
        """One sentence that names what is above the word."""
        kinds = self.up_words(synset, 2)
        if not kinds:
            return f"It is a {synset.part}."
        return self.rng.choice(
            [f"{word} is a kind of {kinds[0]}.", f"It is a kind of {' and of '.join(kinds)}."]
        )


def title(text: str) -> str:
    """First letter of each word in capitals, the rest as it is."""
    return " ".join(word[:1].upper() + word[1:] for word in text.split())


def sentence(text: str) -> str:
    """Capital at the start, full stop at the end."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def join(rng: random.Random, parts: list[str]) -> str:
    """Sentences in one paragraph, or each on its own line."""
    return rng.choice([" ", " ", "\n"]).join(part for part in parts if part)
