"""Prompts in which an item is called by its title, in the tokens that there are.

The same questions and histories as with Semantic IDs, in whose place titles stand; the answer is a
title and its end. Rules:

- A title is read as everywhere (`ItemWords`: single blanks, no control tokens, cut at
  `max_text_tokens`). An item without one is called "untitled".
- Of items whose titles are the same, or come out the same, the first in the catalogue keeps it; the
  next are called "TITLE (2)", "TITLE (3)" and so on, past names that another item has already.
- A title ends with what ends an answer of the backbone or, in style "sequence", with a line break,
  which also keeps titles apart there. Neither can stand in a title, so no name begins another.
- The end is learned: in style "sequence" too it is a target.
- A question shows its history as titles with "; " between them: a title may have a comma.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from gti.data.dataset import IntArray
from gti.data.semantic_ids import SemanticIds
from gti.model.vocabulary import Vocabulary
from gti.prompts.prompter import Example, Prompter, PromptError, make_example, window_blocks

SEPARATOR = "; "
UNTITLED = "untitled"
LINE_BREAK = "\n"


@dataclass(frozen=True)
class DistinctTitles:
    """What items are called.

    Attributes:
        names: [items] no two alike.
        numbered: items that were given a number.
        untitled: items that have no title.
    """

    names: tuple[str, ...]
    numbered: int
    untitled: int


def distinct_titles(titles: Sequence[str]) -> DistinctTitles:
    """Makes `titles` [items] distinct by the rule above."""
    own = [title or UNTITLED for title in titles]
    first = {title: item for item, title in reversed(list(enumerate(own)))}
    taken, names = set(own), []
    for item, title in enumerate(own):
        name = title
        if first[title] != item:
            name = next(each for n in count(2) if (each := f"{title} ({n})") not in taken)
            taken.add(name)
        names.append(name)
    numbered = sum(name != title for name, title in zip(names, own, strict=True))
    return DistinctTitles(tuple(names), numbered, sum(not title for title in titles))


def no_semantic_ids(num_items: int) -> SemanticIds:
    """Semantic IDs of no level: what stands in their place where no token is new."""
    return SemanticIds(np.empty((num_items, 0), dtype=np.int64), 1, None, {})


class TitlePrompter(Prompter):
    """Builds examples in which items are called by their titles.

    Args:
        tokenizer: as it came.
        vocabulary: of no new tokens.
        item_texts: [num_items] field → text.
        others: as for `Prompter`.

    Raises:
        PromptError: the tokenizer has nothing that ends a title, tells two names apart in no way,
            or a title alone does not fit into the model's context.
    """

    names_alike = False

    def __init__(
        self,
        tokenizer: Any,
        vocabulary: Vocabulary,
        item_texts: Sequence[dict[str, str]],
        **others: Any,
    ) -> None:
        none = no_semantic_ids(len(item_texts))
        super().__init__(tokenizer, vocabulary, none, item_texts, **others)
        self.distinct = distinct_titles(self.titles)
        end = self._encode(LINE_BREAK) if self.style == "sequence" else self._end
        if not end:
            raise PromptError(
                "nothing can end a title: the tokenizer has no token that ends an answer; use a"
                " backbone whose tokenizer has one"
            )
        lead = "" if self.has_template else " "
        self.names = [self._encode(lead + name) + end for name in self.distinct.names]
        self.longest_name = max(map(len, self.names))
        longest = int(np.argmax([len(name) for name in self.names]))
        name = longest if self.item_ids is None else repr(self.item_ids[longest])
        self._check(self.longest_name, f"the title of item {name}", "", "max_text_tokens")
        if len({tuple(name) for name in self.names}) < len(self.names):
            raise PromptError(
                "the tokenizer reads different titles as the same tokens; use a backbone whose"
                " tokenizer keeps all characters"
            )

    def sid_text(self, item: int) -> str:
        """What `item` is called."""
        return self.distinct.names[item]

    def _history_text(self, items: IntArray) -> str:
        return SEPARATOR.join(self.sid_text(item) for item in items)

    def _name(self, item: int) -> list[int]:
        return self.names[item]

    def _listed_ids(self, items: IntArray) -> list[int]:
        return [token for item in items for token in self.names[item]]

    def windows(self, history: IntArray, window: int, whose: str = "") -> list[Example]:
        """As `Prompter.windows`, of the same blocks; every token of a title is a target."""
        examples = []
        for block in window_blocks(history, window):
            ids = self._lead + self._listed_ids(block)
            self._check(len(ids), f"a window of {len(block)} titles", whose, "window")
            examples.append(make_example(ids, np.arange(len(self._lead), len(ids)), "retrieval"))
        return examples
