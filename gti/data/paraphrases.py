"""Queries in other words than the items': nouns of a title, each replaced by a synonym.

A noun is a word for which synonyms are given; of these only such count as no item's text holds, so
that a paraphrase cannot be found by its words, nor was any of them trained on. An item holds a
paraphrase if for each of its words it holds that word, or a noun that the word is a synonym of.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from gti.data.dataset import IntArray
from gti.data.queries import TextIndex, draw_words, hashed_number


class Paraphrases:
    """Rewords titles.

    Args:
        index: which items hold which words, in title or details.
        synonyms: noun → its synonyms, single words in lower case.
    """

    def __init__(self, index: TextIndex, synonyms: Mapping[str, Sequence[str]]) -> None:
        self._index = index
        self._synonyms: dict[str, tuple[str, ...]] = {}
        nouns: defaultdict[str, list[str]] = defaultdict(list)
        for noun in index.items:
            kept = tuple(word for word in synonyms.get(noun, ()) if word not in index.items)
            if kept:
                self._synonyms[noun] = kept
            for word in kept:
                nouns[word].append(noun)
        self._nouns = dict(nouns)

    def draw(self, title: Sequence[str], most: int, key: Sequence[object]) -> tuple[str, ...]:
        """Two to `most` words of `title` (the one it has), in order, its nouns reworded.

        Empty where the title has no noun. A noun is always among the words; all is drawn by hash
        of `key`.
        """
        nouns = [word for word in title if word in self._synonyms]
        if not nouns:
            return ()
        size = min(2 + hashed_number(*key, "size") % (most - 1), len(title))
        noun = nouns[hashed_number(*key, "noun") % len(nouns)]
        drawn = draw_words(title, size, key, noun)
        return tuple(dict.fromkeys(self._reworded(word, key) for word in drawn))

    def _reworded(self, word: str, key: Sequence[object]) -> str:
        """A synonym of a noun, drawn by hash of `key`; any other word as it is."""
        found = self._synonyms.get(word)
        return word if found is None else found[hashed_number(*key, "synonym", word) % len(found)]

    def holding(self, words: Sequence[str]) -> IntArray:
        """Items that hold the paraphrase `words`, ascending."""
        found = [
            np.unique(np.concatenate([self._index.items[held] for held in self._nouns[word]]))
            if word in self._nouns
            else self._index.items[word]
            for word in words
        ]
        held = found[0]
        for others in found[1:]:
            held = np.intersect1d(held, others)
        return held
