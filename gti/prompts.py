"""Turns items and histories into token sequences with the answer marked.

Prompt and answer are tokenized apart and joined, so that no merge crosses the border and decoding
starts from exactly the tokens that training saw.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gti.dataset import IntArray, detail_text
from gti.semantic_ids import SemanticIds
from gti.vocabulary import Vocabulary
from gti.wordings import CHAT, PLAIN, SEQUENCE_LEAD_IN, SYSTEM, Task

Style = Literal["sequence", "chat"]


class PromptError(ValueError):
    """A prompt that cannot be built or does not fit; the message names user or item."""


@dataclass(frozen=True)
class Example:
    """One training sequence.

    Attributes:
        ids: [length] int64 token ids.
        answer_start: tokens from here on are the answer: the loss is on them alone.
        task: which task it belongs to.
    """

    ids: IntArray
    answer_start: int
    task: str

    @property
    def num_targets(self) -> int:
        """Number of tokens the loss is on."""
        return len(self.ids) - self.answer_start


class Prompter:
    """Builds examples for one backbone and one dataset.

    Args:
        tokenizer: the grown tokenizer.
        vocabulary: where the new tokens live.
        semantic_ids: the items' codes.
        item_texts: [num_items] field → text.
        title_field: field that is the item's title.
        detail_fields: fields that make up its detail text, in order.
        style: "sequence" (the history itself) or "chat" (a question per target).
        max_text_tokens: longer titles and details are cut at a token border.
        max_history: items of a history that a prompt shows, the latest ones.
        context: the model's longest input; null where it has none.
    """

    def __init__(
        self,
        tokenizer: Any,
        vocabulary: Vocabulary,
        semantic_ids: SemanticIds,
        item_texts: Sequence[dict[str, str]],
        *,
        title_field: str,
        detail_fields: tuple[str, ...],
        style: Style,
        max_text_tokens: int,
        max_history: int,
        context: int | None,
    ) -> None:
        self.tokenizer = tokenizer
        self.semantic_ids = semantic_ids
        self.style = style
        self.max_text_tokens = max_text_tokens
        self.max_history = max_history
        self.context = context
        self.sid_ids = vocabulary.sid_token_ids(semantic_ids.token_index)
        self.titles = [self._cut(texts.get(title_field, "")) for texts in item_texts]
        self.details = [self._cut(detail_text(texts, detail_fields)) for texts in item_texts]
        self.has_template = getattr(tokenizer, "chat_template", None) is not None
        self.tasks = CHAT if self.has_template else PLAIN
        bos = tokenizer.bos_token_id
        self._plain_start = [] if bos is None else [bos]
        self._end = self._answer_end()

    # Texts ------------------------------------------------------------------------------------

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def _cut(self, text: str) -> str:
        text = " ".join(text.split())
        if len(text) <= self.max_text_tokens:  # a token is at least one character
            return text
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        offsets = encoded["offset_mapping"]
        if len(offsets) <= self.max_text_tokens:
            return text
        return text[: offsets[self.max_text_tokens - 1][1]].rstrip()

    def _answer_end(self) -> list[int]:
        """Tokens that close a text answer: the template's end of turn, else end of text."""
        if not self.has_template:
            eos = self.tokenizer.eos_token_id
            return [] if eos is None else [eos]
        mark = "\u2603"
        turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": mark}]
        rendered = self.tokenizer.apply_chat_template(turns, tokenize=False)
        return self._encode(rendered.rpartition(mark)[2].rstrip("\n"))

    def _prompt_ids(self, content: str) -> list[int]:
        if not self.has_template:
            return self._plain_start + self._encode(content)
        turns = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": content}]
        rendered = self.tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        return self._encode(rendered)

    def sid_text(self, item: int) -> str:
        """The Semantic ID of `item` as token strings."""
        tokens = self.semantic_ids.tokens
        return "".join(tokens[index] for index in self.semantic_ids.token_index[item])

    # Examples ---------------------------------------------------------------------------------

    def can_ask(self, task: str, item: int) -> bool:
        """Whether `item` has the texts that `task` needs."""
        texts = {"title": self.titles[item], "detail": self.details[item]}
        return all(texts[need] for need in self.tasks[task].needs)

    def example(
        self,
        task: str,
        item: int,
        wording: int = 0,
        history: IntArray | None = None,
        sid_of: int | None = None,
    ) -> Example:
        """One example of `task` whose answer is about `item`.

        Args:
            task: a key of `gti.wordings`.
            item: the item that the answer names or describes.
            wording: which of the task's wordings.
            history: items before it, oldest first, for tasks that show one.
            sid_of: item whose Semantic ID stands for `item`'s own, where pairs are shuffled.
        """
        spec = self.tasks[task]
        coded = item if sid_of is None else sid_of
        prompt = self._prompt_ids(self._fill(spec, wording, item, coded, history))
        answer = self._answer(spec, item, coded)
        where = f"item {item} in task {task}"
        return self._checked(prompt + answer, len(prompt), task, where)

    def _fill(
        self, spec: Task, wording: int, item: int, coded: int, history: IntArray | None
    ) -> str:
        shown = np.empty(0, np.int64) if history is None else history[-self.max_history :]
        values = {
            "sid": self.sid_text(coded),
            "title": self.titles[item],
            "detail": self.details[item],
            "history": "".join(self.sid_text(i) for i in shown),
            "titles": "; ".join(self.titles[i] for i in shown if self.titles[i]),
        }
        # One pass over the wording: a title that itself holds "{sid}" must stay as it is.
        parts = spec.wordings[wording].split("{")
        filled = parts[0]
        for part in parts[1:]:
            name, _, rest = part.partition("}")
            filled += values[name] + rest
        return filled

    def _answer(self, spec: Task, item: int, coded: int) -> list[int]:
        if spec.answer == "sid":
            ids = [int(i) for i in self.sid_ids[coded]]
            return ids + self._end if self.has_template else ids
        title, detail = self.titles[item], self.details[item]
        text = {"title": title, "detail": detail, "both": f"{title}\n\n{detail}"}[spec.answer]
        lead = "" if self.has_template else " "
        return self._encode(lead + text) + self._end

    def _checked(self, ids: list[int], start: int, task: str, where: str) -> Example:
        if self.context is not None and len(ids) > self.context:
            raise PromptError(
                f"{where}: {len(ids)} tokens do not fit into the model's context of"
                f" {self.context}; lower max_history or max_text_tokens in the setting"
            )
        return Example(np.array(ids, dtype=np.int64), start, task)

    # Retrieval --------------------------------------------------------------------------------

    def windows(self, history: IntArray, window: int) -> list[Example]:
        """Style "sequence": `history` in blocks of `window` items, cut from its end.

        Every item of a block is a target; a block sees nothing before itself.
        """
        lead = self._plain_start + self._encode(SEQUENCE_LEAD_IN)
        blocks = [history[max(0, end - window) : end] for end in range(len(history), 0, -window)]
        return [
            self._checked(
                lead + [int(i) for i in self.sid_ids[block].ravel()],
                len(lead),
                "retrieval",
                f"a window of {len(block)} items",
            )
            for block in reversed(blocks)
        ]

    def retrieval_prompt(self, history: IntArray, wording: int = 0) -> IntArray:
        """[length] token ids that stand before the Semantic ID of the next item."""
        shown = history[-self.max_history :]
        if self.style == "sequence":
            lead = self._plain_start + self._encode(SEQUENCE_LEAD_IN)
            ids = lead + [int(i) for i in self.sid_ids[shown].ravel()]
        else:
            ids = self._prompt_ids(self._fill(self.tasks["retrieval"], wording, 0, 0, shown))
        needed = len(ids) + self.semantic_ids.num_levels
        if self.context is not None and needed > self.context:
            raise PromptError(
                f"a history of {len(shown)} items: {needed} tokens do not fit into the model's"
                f" context of {self.context}; lower max_history in the setting"
            )
        return np.array(ids, dtype=np.int64)
