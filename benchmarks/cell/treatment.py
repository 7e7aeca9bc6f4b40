"""Did the stage before SFT do what it is named after? Measured right after it, before SFT.

*Samples.* Up to `SAMPLE` items with a title of those that pairs may show ("seen"), and of those
held out of all texts ("held_out"), the first by sha256 of their ids: the same for every method and
seed.

*Pairs.* Title → Semantic ID and Semantic ID → title, in grounding's own wordings, both whatever the
method trains: NLL per answer token of each title with its own item's Semantic ID, with another
item's, and with the one that the stage showed beside it. The answer tokens of a Semantic ID are its
codes, without what may end an answer behind them.

*Found.* Each title is asked for its item as scoring asks, with the setting's beam, and so are up to
`SAMPLE` validation queries of each kind of item, where items are of kinds.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.cell.prepare import prompter_of
from benchmarks.cell.scoring import MAX_TOKENS
from benchmarks.cell.train import InitializedCell
from gti.data.dataset import IntArray
from gti.data.queries import hashed_number
from gti.data.streams import numpy_stream
from gti.data.warm_cold_new import KINDS
from gti.prompts.prompter import Example, Prompter
from gti.train.grounding import coded_items, derangement, shown_items
from leaderboard.metrics.positions import worth_of_counts

SAMPLE = 256
"""Items of a share, and queries of a kind, at most."""
CUTOFF = 10
"""Items found are those among so many."""
TASKS = {"text_to_sid": "title_to_sid", "sid_to_text": "sid_to_title"}
"""Direction → the grounding task that stands for it."""
REPAIRS = 1000
"""Rounds in which a permutation is mended before it is given up."""


@dataclass(frozen=True)
class Share:
    """The sample of one share of the items.

    Attributes:
        name: "seen" or "held_out".
        items: [n] the sample, ascending.
        shown: [n] the item whose Semantic ID the stage showed beside each one's text; null where it
            showed none.
        permuted: [n] another item of the sample, with another Semantic ID than the item's own and
            than the one shown; null where there is no such permutation.
    """

    name: str
    items: IntArray
    shown: IntArray | None
    permuted: IntArray | None


def measure_treatment(cell: InitializedCell) -> dict[str, Any] | None:
    """The record's `Treatment`, noted down with its cost; null without a stage before SFT."""
    prepared = cell.prepared
    if prepared.spec.method.grounding() is None:
        return None
    began = prepared.enter("treatment")
    training = cell.model.training
    cell.model.eval()
    scorer = prepared.scorer
    before = scorer.tokens
    checks = _Checks(cell)
    pairs = [row for share in checks.shares for row in checks.pairs(share)]
    treatment = {"pairs": pairs, "found": checks.found()}
    cell.model.train(training)
    tokens = checks.tokens + scorer.tokens - before
    prepared.ledger.treatment = treatment
    prepared.ledger.note_cost("treatment", time.perf_counter() - began, tokens=tokens)
    return treatment


class _Checks:
    """Measures one cell.

    Args:
        cell: after the stage, its model in eval mode.
    """

    def __init__(self, cell: InitializedCell) -> None:
        self.cell, self.prepared, self.spec = cell, cell.prepared, cell.prepared.spec
        self.tokens = 0
        self.shares = self._shares()
        title, texts = self.spec.setting.dataset.title_field, self.spec.inputs.dataset.texts
        asked = {item for share in self.shares for item in share.items.tolist()}
        # Held-out items have no text in the cell's own prompter.
        titles = [{title: own[title]} if item in asked else {} for item, own in enumerate(texts)]
        self.prompter: Prompter = prompter_of(
            self.spec, self.prepared.tokenizer, self.prepared.vocabulary, cell.model, tuple(titles)
        )

    def _shares(self) -> list[Share]:
        """The samples that are not empty."""
        prepared, title = self.prepared, self.spec.setting.dataset.title_field
        plan, texts = self.spec.method.grounding(), self.spec.inputs.dataset.texts
        assert plan is not None  # nothing is measured without one
        seen = shown_items(prepared.prompter, prepared.shown.items)
        titled = [bool(texts[item].get(title, "").strip()) for item in seen.tolist()]
        chosen = self._first(seen[np.array(titled, dtype=np.bool_)])
        coded = None
        if plan.on == "texts":
            beside = coded_items(plan, seen, numpy_stream(self.spec.seed, "shuffle"))
            coded = beside[np.searchsorted(seen, chosen)]
        shares = [
            self._share("seen", chosen, coded),
            self._share("held_out", self._first(prepared.shown.held_out), None),
        ]
        return [share for share in shares if len(share.items)]

    def _first(self, items: IntArray) -> IntArray:
        """Up to `SAMPLE` of `items`, the first by the hash of their ids, ascending."""
        names = self.spec.inputs.dataset.item_ids
        ordered = sorted(items.tolist(), key=lambda item: hashed_number("treatment", names[item]))
        return np.sort(np.array(ordered[:SAMPLE], dtype=np.int64))

    def _share(self, name: str, items: IntArray, shown: IntArray | None) -> Share:
        """The share with its permutation; that there is none is said in the record."""
        others = [items] if shown is None else [items, shown]
        leaves = self.prepared.scorer.trie.leaf_of
        permuted = permuted_items(items, others, leaves, numpy_stream(0, "treatment"))
        if len(items) and permuted is None:
            self.prepared.ledger.warn(
                f"treatment: {len(items)} {name.replace('_', '-')} item(s) cannot be given each"
                " another Semantic ID; the NLL of their pairs is not measured"
            )
        return Share(name, items, shown, permuted)

    def pairs(self, share: Share) -> list[dict[str, Any]]:
        """`PairNll` of both directions; none where pairs cannot be permuted."""
        if share.permuted is None:
            return []
        rows = []
        for direction in TASKS:
            true, tokens = self._nll(direction, share.items, share.items)
            permuted, _ = self._nll(direction, share.items, share.permuted)
            shown: float | None = None
            if share.shown is not None:
                same = np.array_equal(share.shown, share.items)
                shown = true if same else self._nll(direction, share.items, share.shown)[0]
            rows.append(
                {
                    "direction": direction,
                    "share": share.name,
                    "pairs": len(share.items),
                    "tokens": tokens,
                    "true": true,
                    "permuted": permuted,
                    "shown": shown,
                }
            )
        return rows

    def _nll(self, direction: str, items: IntArray, coded: IntArray) -> tuple[float, int]:
        """Mean NLL per answer token of the titles of `items` with the codes of `coded`; tokens."""
        examples = [
            self._example(direction, item, code)
            for item, code in zip(items.tolist(), coded.tolist(), strict=True)
        ]
        self.tokens += sum(map(len, examples))
        summed, tokens = self.prepared.forms.example_nll(
            self.cell.model,
            examples,
            max_tokens=MAX_TOKENS[self.spec.device.type],
            dtype=self.prepared.dtype,
        )
        count = int(tokens.sum())
        return math.fsum(summed.tolist()) / count, count

    def _example(self, direction: str, item: int, code: int) -> Example:
        """The pair in one direction, its answer cut to the codes where it is a Semantic ID."""
        example = self.prompter.example(TASKS[direction], item, sid_of=code)
        if direction == "sid_to_text":
            return example
        end = example.answer_start + self.prompter.semantic_ids.num_levels
        return replace(example, ids=example.ids[:end], targets=np.arange(example.answer_start, end))

    def found(self) -> dict[str, dict[str, Any]]:
        """`Found` by share and kind; empty where the beam does not reach the cutoff."""
        if self.spec.setting.decoding.beam < CUTOFF:
            return {}
        found = {share.name: self._found_by_title(share) for share in self.shares}
        queries = self.spec.inputs.queries
        for kind in KINDS if queries is not None and queries.kinds is not None else ():
            found |= self._found_by_query(kind)
        return found

    def _found_by_title(self, share: Share) -> dict[str, Any]:
        """`Found` of the titles of `share`."""
        examples = [self.prompter.example(TASKS["text_to_sid"], item) for item in share.items]
        prompts = [example.ids[: example.answer_start] for example in examples]
        wanted = [share.items] if share.shown is None else [share.items, share.shown]
        recall = self._recall(prompts, np.stack(wanted, axis=1))
        return self._found(len(prompts), recall[0], None if share.shown is None else recall[1])

    def _found_by_query(self, kind: str) -> dict[str, dict[str, Any]]:
        """`Found` of the validation queries of `kind`, asked as the track asks; none: empty."""
        queries = self.spec.inputs.queries
        assert queries is not None  # kinds come with queries
        asked = [
            row for row, query in enumerate(queries.validation) if query.key.startswith(f"{kind}-")
        ]
        asked.sort(key=lambda row: hashed_number("treatment", queries.validation[row].key))
        rows = np.sort(np.array(asked[:SAMPLE], dtype=np.int64))
        if not len(rows):
            return {}
        prompts = self.prepared.scorer.track.prompts("validation", rows, 0)
        own = np.array([queries.validation[row].answers[0] for row in rows])
        return {kind: self._found(len(rows), self._recall(prompts, own[:, None])[0], None)}

    def _found(self, asked: int, recall: float, recall_shown: float | None) -> dict[str, Any]:
        chance = min(1.0, CUTOFF / self.spec.inputs.dataset.num_items)
        return {"asked": asked, "recall": recall, "recall_shown": recall_shown, "chance": chance}

    def _recall(self, prompts: list[IntArray], items: IntArray) -> list[float]:
        """[columns] expected recall@10 of each column of `items` [prompts, columns]."""
        found = self.prepared.scorer.find(self.cell.model, prompts, items)
        better, tied = (
            counts.reshape(items.shape) for counts in (found.num_better, found.num_tied)
        )
        recalls = []
        for column in range(items.shape[1]):
            inside = better[:, column] >= 0
            hits = worth_of_counts(
                better[inside, column].astype(np.int32),
                tied[inside, column].astype(np.int32),
                "recall",
                CUTOFF,
            )
            recalls.append(math.fsum(hits.tolist()) / len(items))
        return recalls


def permuted_items(
    items: IntArray, others: Sequence[IntArray], leaf_of: IntArray, generator: np.random.Generator
) -> IntArray | None:
    """A permutation of `items` that gives each another Semantic ID than any of `others` does.

    Args:
        items: [n] the items.
        others: each [n] items whose Semantic IDs are not to be given.
        leaf_of: [num_items] number of each item's Semantic ID.
        generator: draws the permutation, and what mends it where two items are alike.

    Returns:
        [n] items, or null where none was found.
    """
    if len(items) < 2:
        return None
    given = items[derangement(len(items), generator)]
    for _ in range(REPAIRS):
        alike = np.any([leaf_of[given] == leaf_of[other] for other in others], axis=0)
        wrong = np.flatnonzero(alike)
        if not len(wrong):
            return given
        for place in wrong:
            other = int(generator.integers(len(items)))
            given[place], given[other] = given[other], given[place]
    return None
