"""Texts of items as the model may read them: words alone, and no longer than a limit in tokens.

A title may happen to spell a control token ("<|im_end|>") or a Semantic ID's ("<a_3>"). Read as
that token it would end a turn, or tell an item's code that it does not have; so it is broken by a
blank, and read as the characters it is written in.
"""

import re
from collections.abc import Iterable
from typing import Any

_MARKED = re.compile(r"[<\[{|]\S*[>\]}|]")
"""Control tokens that a tokenizer has added without calling them special, as "<think>"."""
_TRIES = 4


class ItemWords:
    """Cleans and cuts texts for one tokenizer.

    Args:
        core: the grown tokenizer's backend; it must neither pad nor truncate.
        new_ids: ids of the Semantic IDs' tokens.
        limit: tokens that a text may have.
    """

    def __init__(self, core: Any, new_ids: Iterable[int], limit: int) -> None:
        self._core = core
        self._limit = limit
        added = core.get_added_tokens_decoder()
        self._control = {*new_ids} | {
            number
            for number, token in added.items()
            if token.special or _MARKED.fullmatch(token.content)
        }

    def __call__(self, text: str) -> str:
        """`text` in single blanks, without control tokens, cut at a token border if too long."""
        text = " ".join(text.split())
        encoding = self._core.encode(text, add_special_tokens=False)
        for attempt in range(_TRIES):
            spans = [
                span
                for number, span in zip(encoding.ids, encoding.offsets, strict=True)
                if number in self._control
            ]
            if not spans:
                break
            text = _broken(text, spans, remove=attempt == _TRIES - 1)
            encoding = self._core.encode(text, add_special_tokens=False)
        return self._cut(text, encoding.offsets)

    def _cut(self, text: str, offsets: list[tuple[int, int]]) -> str:
        """The longest beginning of `text` that ends at a token border and is within the limit.

        A character may take several tokens, which all end where it ends: so the beginning is read
        again.
        """
        if len(offsets) <= self._limit:
            return text
        for last in range(self._limit - 1, -1, -1):
            kept = text[: offsets[last][1]].rstrip()
            if len(self._core.encode(kept, add_special_tokens=False).ids) <= self._limit:
                return kept
        return ""


def _broken(text: str, spans: list[tuple[int, int]], *, remove: bool) -> str:
    """`text` with a blank behind the first character of each span, or without the spans."""
    for start, end in reversed(spans):
        begin = start + len(text[start:end]) - len(text[start:end].lstrip())
        if remove or end - begin < 2:
            text = f"{text[:begin]} {text[end:]}"
        else:
            text = f"{text[: begin + 1]} {text[begin + 1 :]}"
    return " ".join(text.split())
