"""The two tracks: next-item recommendation, and retrieval by text queries.

A track says who is asked (users of the split, or queries), what the prompts show, which items are
relevant, and what the training stream R is. Methods, budgets, decoding and records are the same.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from benchmarks.inputs.inputs import Inputs
from gti.data.dataset import HELD_OUT, IntArray
from gti.data.queries import QuerySet
from gti.prompts.prompter import Example, Prompter
from gti.train.finetuning import query_examples, retrieval_examples
from leaderboard.records.setting import Setting


class TrackError(RuntimeError):
    """A setting that its track cannot ask; the message names the setting and the way out."""


class Track(Protocol):
    """What scoring and training must know of a track."""

    task: str
    """The prompts' task in `gti.prompts.wordings`."""

    def examples(self, wording: np.random.Generator) -> list[Example]:
        """One pass of the training stream R."""
        ...

    def check(self, wordings: int) -> None:
        """Refuses what is asked and does not fit, before anything is trained (PromptError)."""
        ...

    def sizes(self, part: str) -> IntArray:
        """[asked] how much each prompt of `part` shows: those alike are asked together."""
        ...

    def prompts(self, part: str, rows: IntArray, wording: int) -> list[IntArray]:
        """Token ids before the Semantic ID, for each of `rows`."""
        ...

    def relevant(self, part: str, rows: IntArray) -> list[IntArray]:
        """The relevant items of each of `rows`, in the order of the ranks table."""
        ...

    def removed(self, part: str, rows: IntArray) -> Sequence[IntArray] | None:
        """Per row the items taken out of its ranking; null where none ever is."""
        ...


class NextItem:
    """Users of the split are asked for their held-out item."""

    task = "retrieval"

    def __init__(self, setting: Setting, inputs: Inputs, prompter: Prompter) -> None:
        self.setting, self.split, self.prompter = setting, inputs.split, prompter
        self.whose = [f"user {inputs.dataset.user_ids[user]!r}" for user in inputs.split.users]

    def examples(self, wording: np.random.Generator) -> list[Example]:
        """The users' training histories."""
        window = self.setting.prompts.window
        return retrieval_examples(self.prompter, self.split.train, window, wording, self.whose)

    def check(self, wordings: int) -> None:
        """Asks for one user with the longest history, or for all where items have longer names."""
        for part in HELD_OUT:
            asked = self.sizes(part).argsort(kind="stable")
            asked = asked[-1:] if self.prompter.names_alike else asked
            for wording in range(wordings):
                self.prompts(part, asked, wording)

    def sizes(self, part: str) -> IntArray:
        """[users] items that the prompt shows."""
        lengths = [len(self.split.history(row, part)) for row in range(len(self.split.users))]
        return np.minimum(np.array(lengths, dtype=np.int64), self.setting.dataset.max_history)

    def _histories(self, part: str, rows: IntArray) -> list[IntArray]:
        return [self.split.history(int(row), part) for row in rows]

    def prompts(self, part: str, rows: IntArray, wording: int) -> list[IntArray]:
        """What is known of each user."""
        return [
            self.prompter.retrieval_prompt(history, wording, self.whose[row])
            for row, history in zip(rows, self._histories(part, rows), strict=True)
        ]

    def relevant(self, part: str, rows: IntArray) -> list[IntArray]:
        """The one held-out item."""
        return list(self.split.targets(part)[rows][:, None])

    def removed(self, part: str, rows: IntArray) -> list[IntArray] | None:
        """Seen items, where the setting takes them out."""
        keep = self.setting.dataset.seen_items == "keep"
        return None if keep else self._histories(part, rows)


class Search:
    """Text queries are asked for their relevant items."""

    task = "query"

    def __init__(self, queries: QuerySet, prompter: Prompter) -> None:
        self.queries, self.prompter = queries, prompter

    def examples(self, wording: np.random.Generator) -> list[Example]:
        """Training queries with their items."""
        train = self.queries.train
        whose = [f"query {query.key!r}" for query in train for _ in query.answers]
        return query_examples(self.prompter, list(self.queries.pairs()), wording, whose)

    def check(self, wordings: int) -> None:
        """Asks every query that is too long in bytes to fit for certain."""
        for wording in range(wordings):
            room = self.prompter.query_room(wording)
            for part in HELD_OUT:
                texts = [query.text.encode() for query in self.queries.of(part)]
                long = [row for row, text in enumerate(texts) if len(text) > room]
                self.prompts(part, np.array(long, dtype=np.int64), wording)

    def sizes(self, part: str) -> IntArray:
        """[queries] characters of the query."""
        return np.array([len(query.text) for query in self.queries.of(part)], dtype=np.int64)

    def prompts(self, part: str, rows: IntArray, wording: int) -> list[IntArray]:
        """The query in the given wording."""
        asked = [self.queries.of(part)[row] for row in rows]
        return [
            self.prompter.query_prompt(query.text, wording, f"query {query.key!r}")
            for query in asked
        ]

    def relevant(self, part: str, rows: IntArray) -> list[IntArray]:
        """Good items, then those that may be."""
        asked = self.queries.of(part)
        return [asked[row].relevant for row in rows]

    def removed(self, part: str, rows: IntArray) -> None:
        """Nothing: a query has seen no items."""
        return None


def track_of(setting: Setting, inputs: Inputs, prompter: Prompter) -> Track:
    """The track of `setting`.

    Raises:
        TrackError: the setting asks in more wordings than there are.
        PromptError: a held-out prompt does not fit into the model's context.
    """
    track: Track = NextItem(setting, inputs, prompter)
    if inputs.queries is not None:
        track = Search(inputs.queries, prompter)
    asked, known = setting.evaluation.wordings, len(prompter.tasks[track.task].wordings)
    if asked > known:
        raise TrackError(
            f"setting {setting.name}: evaluation.wordings = {asked}, but backbone"
            f" {setting.backbone.name} is asked in {known} wording(s); lower it"
        )
    track.check(asked)
    return track
