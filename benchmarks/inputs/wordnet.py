"""Synonyms of English nouns from WordNet 3.0, for queries that are paraphrases.

WordNet comes with Debian's package wordnet-base 1:3.0-37 (`data.noun`, `index.noun`), or stands in
the folder `wordnet` of `$GTI_BENCH_DATA`. Its files are checked by sha256: the same synonyms
everywhere, hence the same queries.
"""

import os
from pathlib import Path

from benchmarks.datasets.card import DATA_VARIABLE, MissingDataError
from leaderboard.records.canonical import file_sha256

SYSTEM = Path("/usr/share/wordnet")
FILES = {
    "data.noun": "fea17d2f9656611334eac790e5d69e47645fa180c4aa481fb4cd9b3520754ca2",
    "index.noun": "a490d99d93d017bf4822fe2f0ffa51fd73911ce271dc7535fade21f8814b5a04",
}
FEWEST_LETTERS = 3


def wordnet_folder() -> Path:
    """Where WordNet's files lie, the user's own first.

    Raises:
        MissingDataError: there is none, or another version; says how to get it.
    """
    data = os.environ.get(DATA_VARIABLE)
    folders = [*([Path(data) / "wordnet"] if data else []), SYSTEM]
    for folder in folders:
        if all((folder / name).is_file() for name in FILES):
            for name, expected in FILES.items():
                found = file_sha256(folder / name)
                if found != expected:
                    raise MissingDataError(
                        f"{folder / name} has sha256 {found}, WordNet 3.0's is {expected}; {HELP}"
                    )
            return folder
    places = " or ".join(map(str, folders))
    raise MissingDataError(f"paraphrases need WordNet 3.0, and none is in {places}; {HELP}")


HELP = (
    "install Debian's wordnet-base 1:3.0-37, or copy its data.noun and index.noun into the folder"
    f" wordnet of ${DATA_VARIABLE}, or leave 'paraphrase' out of queries.warm_cold_new.ways"
)


def noun_synonyms(folder: Path) -> dict[str, tuple[str, ...]]:
    """Noun → the other words of its most frequent sense, in WordNet's order; none without any.

    A noun is a word that WordNet's tagged texts use as one, so that "in" (inch) and "it" are none.
    Nouns and synonyms are single words of `FEWEST_LETTERS` lower-case letters at least; a plural is
    a noun only where WordNet lists it.
    """
    words: dict[str, list[str]] = {}
    for line in (folder / "data.noun").read_text("latin-1").splitlines():
        if not line.startswith("  "):  # the licence at the head
            fields = line.split(" ")
            words[fields[0]] = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
    found = {}
    for line in (folder / "index.noun").read_text("latin-1").splitlines():
        if line.startswith("  "):
            continue
        noun, *fields = line.split()
        senses = int(fields[1])
        tagged, first = int(fields[-senses - 1]), fields[-senses]
        if tagged and _plain(noun):
            others = tuple(word for word in words[first] if word != noun and _plain(word))
            if others:
                found[noun] = others
    return found


def _plain(word: str) -> bool:
    """Whether `word` is a single word that is no name."""
    return len(word) >= FEWEST_LETTERS and word.isalpha() and word.islower()
