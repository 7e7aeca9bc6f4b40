"""Pairs of new tokens and texts: read and checked, before anything else looks at them."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from gti.data.dataset import IntArray

TITLE = "title"
Text = str | Mapping[str, str]
Pair = tuple[str | Sequence[str], Text]


class TokensError(ValueError):
    """Tokens, pairs or a model that cannot be grounded; nothing has been changed."""


@dataclass(frozen=True)
class TokenPairs:
    """Pairs, checked: what `SemanticIds` is where tokens are no codes of levels.

    Attributes:
        tokens: all new tokens, in the order in which they come.
        token_index: [pairs] which of `tokens` stand for each text, in order.
        texts: [pairs] field → text.
        fields: the texts' fields; the first is the title.
    """

    tokens: tuple[str, ...]
    token_index: tuple[IntArray, ...]
    texts: tuple[dict[str, str], ...]
    fields: tuple[str, ...]

    num_levels: int = field(default=1, init=False)
    """New tokens are of one kind: `like_text_rows` centres them together."""

    @classmethod
    def of(cls, pairs: Iterable[Any], more: Sequence[str] = ()) -> "TokenPairs":
        """Reads and checks `pairs`.

        Args:
            pairs: (tokens, text) each, or a mapping with these two keys, as the rows of a
                `datasets.Dataset` are. Tokens: one string, or several in a row; text: a string, or
                field → text, of which `title` comes first, else the first pair's first field.
            more: tokens that must be in some pair; they come first, in this order.

        Raises:
            TokensError: names the pair and what is wrong with it.
        """
        if not isinstance(pairs, Iterable):
            raise TokensError(f"pairs are {pairs!r:.40}, expected (tokens, text) each")
        numbers = {token: number for number, token in enumerate(more)}
        index, texts = [], []
        for number, pair in enumerate(pairs):
            names, text = _read(pair, number)
            for name in names:
                numbers.setdefault(name, len(numbers))
            index.append(np.array([numbers[name] for name in names], dtype=np.int64))
            texts.append(text)
        if not index:
            raise TokensError("no pairs: give at least two of (tokens, text)")
        if len({tuple(each.tolist()) for each in index}) < 2:
            raise TokensError(
                "all pairs have the same tokens: with one alone there is nothing to tell apart;"
                " give at least two"
            )
        used = {number for each in index for number in each.tolist()}
        if missing := [token for token in more if numbers[token] not in used]:
            raise TokensError(f"token {missing[0]!r} is in no pair, so it cannot be grounded")
        known = dict.fromkeys(name for text in texts for name in text)
        title = TITLE if TITLE in known else next(iter(texts[0]))
        if untitled := [number for number, text in enumerate(texts) if title not in text]:
            raise TokensError(
                f"pair {untitled[0]}: no text in the field {title!r}, the others' title"
            )
        fields = (title, *(name for name in known if name != title))
        return cls(tuple(numbers), tuple(index), tuple(texts), fields)

    @property
    def num_items(self) -> int:
        """Number of pairs."""
        return len(self.token_index)

    @property
    def num_tokens(self) -> int:
        """Number of new tokens."""
        return len(self.tokens)

    @cached_property
    def other(self) -> IntArray:
        """[pairs] for each another pair, with other tokens where there is one."""
        kinds = [tuple(each.tolist()) for each in self.token_index]
        order = sorted(range(len(kinds)), key=kinds.__getitem__)
        largest = max(Counter(kinds).values())  # a step this wide leaves those of one kind
        other = np.empty(len(kinds), dtype=np.int64)
        for place, pair in enumerate(order):
            other[pair] = order[(place + largest) % len(order)]
        return other


def _read(pair: Any, number: int) -> tuple[tuple[str, ...], dict[str, str]]:
    """The tokens of the pair with this `number`, and its texts that are not empty."""
    if isinstance(pair, str):
        raise TokensError(f"pair {number}: found {pair!r:.80}, expected (tokens, text)")
    if isinstance(pair, Mapping):
        if not {"tokens", "text"} <= pair.keys():
            found = ", ".join(map(str, pair))
            raise TokensError(f"pair {number}: needs the keys tokens and text, found {found}")
        pair = pair["tokens"], pair["text"]
    try:
        tokens, text = pair
    except (TypeError, ValueError):
        raise TokensError(f"pair {number}: found {pair!r:.80}, expected (tokens, text)") from None
    if not isinstance(tokens, Iterable):
        raise TokensError(f"pair {number}: {tokens!r} is no token; give strings that say something")
    names = (tokens,) if isinstance(tokens, str) else tuple(tokens)
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise TokensError(
                f"pair {number}: {name!r} is no token; give strings that say something"
            )
        _check_characters(name, f"pair {number}: token {name!r:.40}")
    if not names:
        raise TokensError(f"pair {number}: no tokens")
    texts = dict(text) if isinstance(text, Mapping) else {TITLE: text}
    texts = {name: None if _is_missing(value) else value for name, value in texts.items()}
    wrong = [name for name, value in texts.items() if value is not None and type(value) is not str]
    if wrong:
        value = texts[wrong[0]]
        raise TokensError(f"pair {number}: text {wrong[0]!r} is {value!r:.40}, expected a string")
    said = {name: value for name, value in texts.items() if value and value.strip()}
    if not said:
        raise TokensError(f"pair {number} ({names[0]}): no text")
    for name, value in said.items():
        _check_characters(value, f"pair {number} ({names[0]}): text {name!r}")
    return names, said


def _is_missing(value: Any) -> bool:
    """Whether `value` stands for no text in a table: None, or the number that is not one."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _check_characters(text: str, what: str) -> None:
    """Refuses halves of characters, which no tokenizer reads."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TokensError(
            f"{what} has a lone surrogate, {text[error.start]!r}, at character {error.start}: it"
            " was cut or read in another encoding; remove it"
        ) from None


def without_texts(tokens: Iterable[str]) -> TokenPairs:
    """`tokens` with nothing to ground them in.

    Raises:
        TokensError: there are none, or one is no token or is given twice.
    """
    if isinstance(tokens, str) or not isinstance(tokens, Iterable):
        raise TokensError(f"tokens are {tokens!r:.40}, expected a list of strings")
    found: dict[str, None] = {}
    for number, token in enumerate(tokens):
        if not isinstance(token, str):
            raise TokensError(f"token {number} is {token!r:.40}, expected a string")
        _read((token, "text"), number)
        if token in found:
            raise TokensError(f"token {token!r} is given twice")
        found[token] = None
    if not found:
        raise TokensError("no tokens")
    return TokenPairs(tuple(found), (), (), (TITLE,))
