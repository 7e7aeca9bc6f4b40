"""Turns items and histories into token sequences with the answer marked.

Prompt and answer are tokenized apart and joined, so that no merge crosses the border and decoding
starts from exactly the tokens that training saw.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from gti.data.dataset import IntArray
from gti.data.semantic_ids import SemanticIds
from gti.model.vocabulary import Vocabulary
from gti.prompts.chat_form import ChatForm, ChatFormError, chat_form
from gti.prompts.item_words import ItemWords
from gti.prompts.user_texts import UserTexts
from gti.prompts.wordings import (
    CHAT,
    GROUNDING_TASKS,
    PLAIN,
    SEQUENCE_LEAD_IN,
    SEQUENCE_SEPARATOR,
    Task,
)

Style = Literal["sequence", "chat", "plain"]
MAX_TITLES = 10
"""Titles that a prompt lists at most: spelled out they are far longer than Semantic IDs."""
_QUERY_CAUSE = "queries.words or max_text_tokens"


class PromptError(ValueError):
    """A prompt that cannot be built or does not fit; the message names user or item."""


@dataclass(frozen=True)
class Example:
    """One training sequence.

    Attributes:
        ids: [length] int64 token ids.
        targets: [num_targets] int64 positions of the answer's tokens, ascending: the loss is on
            them alone.
        task: which task it belongs to.
        block: number of the block of a history that the prompt was cut from; prompts of one block
            begin alike and follow one another in training. Null where nothing is shared.
        teacher: [its length] int64 the same with a text in the place of the Semantic ID. Where it
            is given, what is learned at the targets is the hidden state that predicts them there,
            in the place of the tokens themselves; they stand as far from its end as from this end.
    """

    ids: IntArray
    targets: IntArray
    task: str
    block: int | None = None
    teacher: IntArray | None = None

    def __len__(self) -> int:
        """Number of tokens."""
        return len(self.ids)

    @property
    def num_targets(self) -> int:
        """Number of tokens the loss is on."""
        return len(self.targets)

    @property
    def answer_start(self) -> int:
        """Position of the first target."""
        return int(self.targets[0])


class Prompter:
    """Builds examples for one backbone and one dataset.

    Args:
        tokenizer: the grown tokenizer.
        vocabulary: where the new tokens live.
        semantic_ids: the items' codes.
        item_texts: [num_items] field → text.
        title_field: field that is the item's title.
        detail_fields: fields that make up its detail text, in order.
        style: "sequence" (the history itself), "chat" (a question per target, in the chat template
            where the backbone has one) or "plain" (a question per target, never in a template).
        max_text_tokens: longer titles and details are cut at a token border; see `ItemWords`.
        max_history: items of a history that a prompt shows, the latest ones.
        context: the model's longest input; null where it has none.
        item_ids: [num_items] what the dataset calls its items, for errors; null: their numbers.
    """

    names_alike = True
    """Whether all items take equally many tokens."""

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
        item_ids: Sequence[str] | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        # Asked directly: the library around it takes as long again for the same ids.
        self._core: Any = getattr(tokenizer, "backend_tokenizer", None)
        if self._core is None:
            raise PromptError(
                f"{type(tokenizer).__name__} is a tokenizer without a fast form, which texts are"
                " read and cut with; take a model whose tokenizer has one (`tokenizer.json`)"
            )
        self._core.no_truncation()
        self._core.no_padding()
        self.semantic_ids = semantic_ids
        self.style = style
        self.max_text_tokens = max_text_tokens
        self.max_history = max_history
        self.context = context
        self.item_ids = item_ids
        index: Any = semantic_ids.token_index  # of unlike lengths where tokens are no codes
        self.sid_ids: Any = (
            vocabulary.sid_token_ids(index)
            if isinstance(index, np.ndarray)
            else [vocabulary.sid_token_ids(own) for own in index]
        )
        self.longest_name = semantic_ids.num_levels
        """Tokens that naming an item takes at most."""
        self.user_texts = UserTexts(item_texts, title_field, detail_fields)
        self._cut = ItemWords(self._core, vocabulary.new_ids.tolist(), max_text_tokens)
        self.titles = [self._cut(title) for title in self.user_texts.titles]
        self.details = [self._cut(detail) for detail in self.user_texts.details]
        self.has_template = (
            style != "plain" and getattr(tokenizer, "chat_template", None) is not None
        )
        self._form = self._chat_form() if self.has_template else None
        self.tasks = CHAT if self.has_template else PLAIN
        bos = tokenizer.bos_token_id
        self._plain_start = [] if bos is None else [bos]
        self._end = self._answer_end()
        self._lead = self._plain_start + self._encode(SEQUENCE_LEAD_IN)

    @cached_property
    def _separator(self) -> int:
        """The token between two items of a history, asked for where there are histories alone."""
        ids = self._encode(SEQUENCE_SEPARATOR)
        if len(ids) != 1:
            raise PromptError(
                f"the tokenizer reads {SEQUENCE_SEPARATOR!r}, which stands between the items of a"
                f" history, as {len(ids)} tokens: histories take a tokenizer with one for it"
            )
        return ids[0]

    # Texts ------------------------------------------------------------------------------------

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._core.encode_batch_fast([text], add_special_tokens=False)[0].ids
        return ids

    def _chat_form(self) -> ChatForm:
        try:
            return chat_form(self.tokenizer)
        except ChatFormError as error:
            raise PromptError(str(error)) from error

    def _answer_end(self) -> list[int]:
        """Tokens that close a text answer: the template's end of turn, else end of text."""
        if self._form is None:
            eos = self.tokenizer.eos_token_id
            return [] if eos is None else [eos]
        return self._encode(self._form.end())

    def _rendered(self, content: str) -> str:
        """What the tokenizer reads where `content` is asked."""
        return content if self._form is None else self._form.question(content)

    def _prompt_ids(self, content: str) -> list[int]:
        start = [] if self.has_template else self._plain_start
        return start + self._encode(self._rendered(content))

    def sid_text(self, item: int) -> str:
        """The Semantic ID of `item` as token strings."""
        tokens = self.semantic_ids.tokens
        return "".join(tokens[index] for index in self.semantic_ids.token_index[item])

    # Examples ---------------------------------------------------------------------------------

    def can_ask(self, task: str, item: int, history: IntArray | None = None) -> bool:
        """Whether `item`, or the `history` before it, has the texts that `task` needs."""
        shown = self._shown(history)
        return all(self.user_texts.has(need, item, shown) for need in self.tasks[task].needs)

    def _shown(self, history: IntArray | None) -> IntArray:
        return np.empty(0, np.int64) if history is None else history[-self.max_history :]

    def example(
        self,
        task: str,
        item: int,
        wording: int = 0,
        history: IntArray | None = None,
        sid_of: int | None = None,
        whose: str = "",
    ) -> Example:
        """One example of `task` whose answer is about `item`.

        Args:
            task: a key of `gti.prompts.wordings`.
            item: the item that the answer names or describes.
            wording: which of the task's wordings.
            history: items before it, oldest first, for tasks that show one.
            sid_of: item whose Semantic ID stands for `item`'s own, where pairs are shuffled.
            whose: who or what it is about, for errors: "user 'A1'".

        Raises:
            PromptError: it does not fit into the model's context.
        """
        spec = self.tasks[task]
        coded = item if sid_of is None else sid_of
        shown = self._shown(history)
        prompt = self._prompt_ids(self._fill(spec, wording, item, coded, shown))
        answer = self._answer(spec, item, coded, shown)
        name = item if self.item_ids is None else repr(self.item_ids[item])
        ids = prompt + answer
        self._check(
            len(ids), f"item {name} in task {task}", whose, "max_history or max_text_tokens"
        )
        return make_example(ids, np.arange(len(prompt), len(ids)), task)

    def _value(self, name: str, item: int, coded: int, shown: IntArray) -> str:
        """What stands for the placeholder `name`."""
        if name == "sid":
            return self.sid_text(coded)
        if name == "title":
            return self.titles[item]
        if name == "detail":
            return self.details[item]
        if name == "history":
            return self._history_text(shown)
        if name == "titles":
            return self._joined_titles(shown)
        assert name == "intention"  # the wordings hold no other placeholder
        return self._cut(self.user_texts.intention(item))

    def _history_text(self, items: IntArray) -> str:
        """`items`, oldest first, as a question shows them."""
        return SEQUENCE_SEPARATOR.join(self.sid_text(i) for i in items)

    def _fill(self, spec: Task, wording: int, item: int, coded: int, shown: IntArray) -> str:
        # One pass over the wording: a title that itself holds "{sid}" must stay as it is.
        parts = spec.wordings[wording].split("{")
        filled = parts[0]
        for part in parts[1:]:
            name, _, rest = part.partition("}")
            filled += self._value(name, item, coded, shown) + rest
        return filled

    def _joined_titles(self, items: IntArray) -> str:
        """The latest titles, oldest first, as many as `MAX_TITLES` and twice the limit allow."""
        titles: list[str] = []
        room = 2 * self.max_text_tokens
        for item in items[::-1][:MAX_TITLES]:
            title = self.titles[item]
            room -= len(self._encode(title)) + 1
            if room < 0:
                break
            if title:
                titles.insert(0, title)
        return "; ".join(titles)

    def _answer(self, spec: Task, item: int, coded: int, shown: IntArray) -> list[int]:
        if spec.answer == "sid":
            return self._name(coded)
        if spec.answer == "preference":
            text = self._cut(self.user_texts.preference(shown))
        else:
            title, detail = self.titles[item], self.details[item]
            text = {"title": title, "detail": detail, "both": f"{title}\n\n{detail}"}[spec.answer]
        lead = "" if self.has_template else " "
        return self._encode(lead + text) + self._end

    def _name(self, item: int) -> list[int]:
        """The tokens of an answer that names `item`."""
        ids = [int(i) for i in self.sid_ids[item]]
        return ids + self._end if self.has_template else ids

    def _check(self, needed: int, what: str, whose: str, cause: str) -> None:
        """Refuses `what` of `whose` if it needs more tokens than the model's context has."""
        if self.context is not None and needed > self.context:
            raise PromptError(
                f"{whose + ', ' if whose else ''}{what}: {needed} tokens do not fit into the"
                f" model's context of {self.context}; lower {cause} in the setting"
            )

    def states_examples(self, item: int) -> list[Example]:
        """Semantic ID → texts of `item`, each with a teacher that reads the title in its place.

        None for an item without a title.

        Raises:
            PromptError: one does not fit into the model's context.
        """
        found = []
        for name in GROUNDING_TASKS["sid_to_text"]:
            if not (self.can_ask("sid_to_title", item) and self.can_ask(name, item)):
                continue
            own, spec = self.example(name, item), self.tasks[name]
            answer = own.ids[own.answer_start :]
            told = replace(spec, wordings=(spec.wordings[0].replace("{sid}", "{title}"),))
            prompt = self._prompt_ids(self._fill(told, 0, item, item, self._shown(None)))
            teacher = np.array([*prompt, *answer], dtype=np.int64)
            self._check(len(teacher), f"the title of item {item}", "", "max_text_tokens")
            found.append(replace(own, task="sid_to_state", teacher=teacher))
        return found

    def codes_example(self, item: int) -> Example:
        """The Semantic ID of `item` without any text: each code is asked for after those before it.

        Before the first stands the token that texts begin with or, where there is none, what ends
        an answer.

        Raises:
            PromptError: the tokenizer has neither.
        """
        start = self._plain_start or self._end
        if not start:
            raise PromptError(
                "nothing can stand before a Semantic ID's first code: the tokenizer has no token"
                " that begins a text and none that ends one; leave out methods that train on codes"
                " alone"
            )
        ids = start + self._answer(self.tasks["retrieval"], item, item, self._shown(None))
        return make_example(ids, np.arange(len(start), len(ids)), "prefix_to_code")

    # Retrieval --------------------------------------------------------------------------------

    def _listed(self, items: IntArray) -> IntArray:
        """[items, levels + 1] their Semantic IDs, each followed by the separator.

        The separator tells levels apart from the first step on: without it a model whose new rows
        are all equal must count positions to know which level comes next.
        """
        separator = np.full((len(items), 1), self._separator, dtype=np.int64)
        return np.concatenate([self.sid_ids[items], separator], axis=1)

    def _listed_ids(self, items: IntArray) -> list[int]:
        """The tokens of `items`, each ready to be followed by another."""
        ids: list[int] = self._listed(items).ravel().tolist()
        return ids

    def windows(self, history: IntArray, window: int, whose: str = "") -> list[Example]:
        """Style "sequence": `history` in blocks of `window` items, cut from its end.

        Every item of a block is a target, the separators are not; a block sees nothing before
        itself. For `whose` and errors see `example`.
        """
        lead = np.array(self._lead, dtype=np.int64)
        width = self.semantic_ids.num_levels + 1
        examples = []
        for block in window_blocks(history, window):
            ids = np.concatenate([lead, self._listed(block).ravel()[:-1]])
            places = np.arange(len(block) * width).reshape(-1, width)[:, :-1].ravel()
            self._check(len(ids), f"a window of {len(block)} items", whose, "window")
            examples.append(make_example(ids, len(lead) + places, "retrieval"))
        return examples

    def retrieval_prompt(self, history: IntArray, wording: int = 0, whose: str = "") -> IntArray:
        """[length] token ids that stand before the Semantic ID of the next item.

        For `whose` and errors see `example`.
        """
        shown = history[-self.max_history :]
        if self.style == "sequence":
            ids = self._lead + self._listed_ids(shown)
        else:
            ids = self._prompt_ids(self._fill(self.tasks["retrieval"], wording, 0, 0, shown))
        needed = len(ids) + self.longest_name
        self._check(needed, f"a history of {len(shown)} items", whose, "max_history")
        return np.array(ids, dtype=np.int64)

    # Queries ----------------------------------------------------------------------------------

    def query_room(self, wording: int = 0) -> float:
        """Bytes up to which a query surely fits: a token stands for one byte at least."""
        if self.context is None:
            return float("inf")
        asked = self.tasks["query"].wordings[wording].replace("{query}", "")
        around = len(self._plain_start) + len(self._rendered(asked).encode())
        return self.context - around - self.longest_name

    def query_prompt(self, text: str, wording: int = 0, whose: str = "") -> IntArray:
        """[length] token ids that stand before the Semantic ID of an item for the query `text`.

        For `whose` and errors see `example`.
        """
        # One replacement: a query that itself holds "{query}" must stay as it is.
        asked = self.tasks["query"].wordings[wording].replace("{query}", self._cut(text))
        ids = self._prompt_ids(asked)
        needed = len(ids) + self.longest_name
        self._check(needed, f"query {text!r:.60}", whose, _QUERY_CAUSE)
        return np.array(ids, dtype=np.int64)

    def query_example(self, text: str, item: int, wording: int = 0, whose: str = "") -> Example:
        """The query `text`, answered with the Semantic ID of `item`; see `example` for `whose`."""
        prompt = self.query_prompt(text, wording, whose)
        ids = np.append(prompt, self._answer(self.tasks["query"], item, item, self._shown(None)))
        self._check(len(ids), f"query {text!r:.60}", whose, _QUERY_CAUSE)
        return make_example(ids, np.arange(len(prompt), len(ids)), "query")


def window_blocks(history: IntArray, window: int) -> list[IntArray]:
    """`history` in blocks of `window` items, cut from its end: the first may have fewer."""
    ends = range(len(history), 0, -window)
    return [history[max(0, end - window) : end] for end in reversed(ends)]


def make_example(ids: Sequence[int] | IntArray, targets: IntArray, task: str) -> Example:
    """An example of `task` with these token ids, learned at `targets`."""
    return Example(np.array(ids, dtype=np.int64), targets, task)
