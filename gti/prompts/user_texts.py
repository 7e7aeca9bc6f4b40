"""Texts that stand in for what users would write: intentions and preferences, made by one rule.

LC-Rec has them written by a language model from reviews; public data rarely have reviews. The rule
reads item texts and training histories alone, so nothing held out can enter, and draws nothing:

*Terms.* A title's terms are its words. The first sixty words of the detail text are cut at commas,
semicolons, ">", "|", "/" and ends of sentences; a piece of up to three words without a function
word among them is one term (a category, a year), of any other piece each word is one. Words are
runs of at least three letters, in lower case; function words are none. A term counts where at least
two items carry it, but not all: a word of one item is its name, and a word of all says nothing.

*Intention* for an item: the rarest of its title's terms, at most two and at most half of the
title's words, so that it never spells the title out; then the rarest terms of its detail text, at
most three. Each part in the order of the text.

*Preference* after some items: the terms that at least two of them carry, by how many carry it
times how rare it is over all items, ln(items / items with the term); the first five, ties in the
order of the alphabet.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import cached_property

from gti.data.dataset import IntArray, detail_text
from gti.prompts.wordings import Need

MIN_ITEMS = 2
TITLE_TERMS = 2
DETAIL_TERMS = 3
PREFERENCE_TERMS = 5
DETAIL_WORDS = 60
PHRASE_WORDS = 3

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_BORDER = re.compile(r"[;>|]|(?<!\d)[,/]|[,/](?!\d)|[.!?:](?:\s|$)")  # 1,000 and 1/2 stay whole
_EDGES = ' -–•*+.()[]"“”'
_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        a about after all also an and any are as at be because been before being both but by can
        could did do does each for from had has have he her here him his how i if in into is it its
        itself just may me more most must my no not now of off on once one only onto or other our
        out over own per shall she should so some such than that the their them then there these
        they this those through to too under until up upon us very was we were what when where
        which while who whom whose why will with within without would you your
        """,
    )
)


def words(text: str) -> list[str]:
    """The words of `text` that can be terms, in order, repeats included."""
    found = (match.group() for match in _WORD.finditer(text.lower()))
    return [word for word in found if len(word) >= 3 and word not in _FUNCTION_WORDS]


def detail_terms(text: str) -> list[str]:
    """The terms of a detail text, in order, without repeats: short pieces whole, else words."""
    terms: dict[str, None] = {}
    opening = " ".join(text.lower().split()[:DETAIL_WORDS])
    for piece in _BORDER.split(opening):
        parts = piece.split()
        phrase = " ".join(parts).strip(_EDGES)
        if len(parts) > PHRASE_WORDS or not _FUNCTION_WORDS.isdisjoint(parts):
            terms.update(dict.fromkeys(words(piece)))
        elif phrase.isdigit() or _WORD.search(phrase):
            terms[phrase] = None
    return list(terms)


class UserTexts:
    """Titles, details, and what follows from them by the rule above.

    Args:
        item_texts: [num_items] field → text.
        title_field: field that is the item's title.
        detail_fields: fields that make up its detail text, in order.
    """

    def __init__(
        self,
        item_texts: Sequence[dict[str, str]],
        title_field: str,
        detail_fields: tuple[str, ...],
    ) -> None:
        self.titles = [" ".join(texts.get(title_field, "").split()) for texts in item_texts]
        details = [detail_text(texts, detail_fields) for texts in item_texts]
        self.details = [" ".join(detail.split()) for detail in details]

    @cached_property
    def _terms(self) -> tuple[list[list[str]], list[list[str]]]:
        """[num_items] terms of the titles, and of the details without those of the title."""
        titles, details = [], []
        for title, detail in zip(self.titles, self.details, strict=True):
            own = dict.fromkeys(words(title))
            titles.append(list(own))
            details.append([term for term in detail_terms(detail) if term not in own])
        return titles, details

    @cached_property
    def _carriers(self) -> dict[str, int]:
        """Term → how many items carry it, of those terms that count."""
        counts = Counter(term for part in self._terms for terms in part for term in terms)
        return {term: n for term, n in counts.items() if MIN_ITEMS <= n < len(self.titles)}

    def _rarest(self, terms: list[str], most: int) -> list[str]:
        """Up to `most` of the terms that count, the rarest, in the order of the text."""
        counting = [term for term in terms if term in self._carriers]
        chosen = sorted(counting, key=self._carriers.__getitem__)[:most]
        return [term for term in counting if term in chosen]

    def intention(self, item: int) -> str:
        """What someone who wants `item` might search for; empty where its texts give nothing."""
        title, detail = (terms[item] for terms in self._terms)
        half = len(self.titles[item].split()) // 2
        chosen = self._rarest(title, min(TITLE_TERMS, half)) + self._rarest(detail, DETAIL_TERMS)
        return ", ".join(chosen)

    def preference(self, items: IntArray | Sequence[int]) -> str:
        """What the distinct `items` have in common; empty where no two share a term."""
        titles, details = self._terms
        shared = Counter(
            term for item in {int(i) for i in items} for term in titles[item] + details[item]
        )
        total = len(self.titles)
        weights = {
            term: count * math.log(total / self._carriers[term])
            for term, count in shared.items()
            if count >= 2 and term in self._carriers
        }
        ranked = sorted(weights, key=lambda term: (-weights[term], term))
        return ", ".join(ranked[:PREFERENCE_TERMS])

    def has(self, need: Need, item: int, shown: IntArray | None) -> bool:
        """Whether there is such a text for `item`, or for the items `shown` before it."""
        if need == "title":
            return bool(self.titles[item])
        if need == "detail":
            return bool(self.details[item])
        if need == "intention":
            return bool(self.intention(item))
        if shown is None or not len(shown):
            return False
        if need == "titles":
            return bool(self.titles[shown[-1]])
        return bool(self.preference(shown))
