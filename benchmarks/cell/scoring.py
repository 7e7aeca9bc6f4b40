"""Scores a model on held-out items: prompts, beam search, counts, accounting."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch

from benchmarks.cell.ranks_table import as_ranks
from benchmarks.cell.tracks import track_of
from benchmarks.inputs.inputs import Inputs
from gti.data.dataset import IntArray
from gti.data.streams import numpy_stream
from gti.data.warm_cold_new import UNTRAINED
from gti.model.vocabulary import Vocabulary
from gti.plain import FAST, Forms
from gti.prompts.prompter import Prompter
from gti.search.decoding import Leaves, trie_of_items
from gti.search.likelihood import TargetNll
from gti.search.peers import PeerRanks, Peers
from gti.search.target_ranks import ItemRanks, rank_relevant
from gti.train.resuming import Kept
from leaderboard.metrics.metrics import metrics, relevance_of
from leaderboard.records.parts import Metrics
from leaderboard.records.ranks import Ranks, concatenate
from leaderboard.records.setting import Setting

MAX_TOKENS = {"cpu": 8192, "cuda": 262144}
"""Tokens (histories and beams) in one batch of users; a constant per device."""
USERS_PER_CALL = 64
STEPS = 2**20
"""Of NLLs in records, to a nat."""

Found = TypeVar("Found", ItemRanks, TargetNll, PeerRanks)
KINDS: dict[str, type[ItemRanks] | type[TargetNll] | type[PeerRanks]] = {
    "counts": ItemRanks,
    "losses": TargetNll,
    "peers": PeerRanks,
}
"""First part of the name of what was found → what it is."""


class Scorer:
    """Scores models of one cell on the setting's users or queries.

    Args:
        setting: beam, cutoffs, sample, seen-item rule.
        inputs: dataset, split, Semantic IDs.
        prompter: builds the prompts.
        vocabulary: where the new tokens live.
        device: where to compute.
        forms: how the search is done.
        dtype: what is computed in; default: the setting's.
        build: the trie of some items, by their numbers; null: that of their Semantic IDs.
    """

    def __init__(
        self,
        setting: Setting,
        inputs: Inputs,
        prompter: Prompter,
        vocabulary: Vocabulary,
        device: torch.device,
        forms: Forms = FAST,
        dtype: str | None = None,
        build: Callable[[IntArray], Leaves] | None = None,
    ) -> None:
        exact = setting.decoding.method == "exact"
        self.search = forms.exact_search if exact else forms.beam_search
        self.target_nll, self.scored_with = forms.target_nll, forms.scored_with
        self.exact_search = forms.exact_search
        self.setting, self.inputs, self.prompter = setting, inputs, prompter
        self.dtype = dtype or setting.backbone.dtype
        self.track = track_of(setting, inputs, prompter)
        if build is None:
            build = partial(trie_of_items, inputs.semantic_ids, vocabulary, device)
        self.trie: Any = build(np.arange(inputs.dataset.num_items))
        kinds = None if inputs.queries is None else inputs.queries.kinds
        self.peers = None
        """The items that no query is trained on, where items are of kinds."""
        if kinds is not None:
            self.peers = Peers(kinds, UNTRAINED, build)
        self.max_tokens = MAX_TOKENS[device.type]
        self.cut_to: int | None = None  # tokens per batch, once memory ran out
        count = len(self.track.sizes("validation"))
        size = min(count, setting.evaluation.validation_users)
        # The same sample at every seed: the sample is part of the setting.
        drawn = numpy_stream(0, "validation-sample").choice(count, size, replace=False)
        self.sample: IntArray = np.sort(drawn)
        self.tokens = 0
        self.marks: dict[str, int] = {}
        """Tokens that were read when something began."""
        self.tick: Callable[[], object] = lambda: None
        """Called after each batch of users: what was found for it can be kept."""
        self._found: dict[str, Any] = {}
        self._keeps = False

    def state(self) -> Kept:
        """What the scoring that runs has found so far, for a checkpoint."""
        numbers = {
            "tokens": self.tokens,
            "marks": self.marks,
            "max_tokens": self.max_tokens,
            "cut_to": self.cut_to,
        }
        tensors = {
            f"{name}/{field.name}": torch.tensor(getattr(found, field.name))
            for name, found in self._found.items()
            for field in fields(found)
            if field.name != "cut_to"
        }
        return Kept(numbers, tensors)

    def restore(self, kept: Kept) -> None:
        """Puts back what `state` gave: what was found then is not computed again."""
        for name, number in kept.numbers.items():
            setattr(self, name, number)
        found: dict[str, dict[str, Any]] = {}
        for name, tensor in kept.tensors.items():
            call, _, field = name.rpartition("/")
            found.setdefault(call, {})[field] = tensor.clone().numpy()
        self._found = {
            name: KINDS[name.partition("/")[0]](**arrays) for name, arrays in found.items()
        }

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Keeps what is found of one model, by batch of users, until this ends."""
        self._keeps = True
        try:
            yield
        finally:
            self._keeps = False
            self._found.clear()

    def _once(self, name: str, find: Callable[[], Found]) -> Found:
        """What `find` gives, or has given since `keeping` began."""
        if not self._keeps:
            return find()
        if name not in self._found:
            self._found[name] = find()
            self.tick()
        found: Found = self._found[name]
        return found

    def counts(self, model: Any, part: str, rows: IntArray, wording: int = 0) -> ItemRanks:
        """Better and tied items for the relevant items of `rows`, asked in one wording."""
        prompts = self.track.prompts(part, rows, wording)
        relevant = self.track.relevant(part, rows)
        return self.find(model, prompts, relevant, self.track.removed(part, rows))

    def find(
        self,
        model: Any,
        prompts: list[IntArray],
        relevant: Sequence[IntArray] | IntArray,
        removed: Sequence[IntArray] | None = None,
    ) -> ItemRanks:
        """Better and tied items for the `relevant` items of each of `prompts`; see `counts`."""
        beams = self.search(
            model,
            self.trie,
            prompts,
            self.setting.decoding.beam,
            max_tokens=self.max_tokens,
            dtype=self.dtype,
        )
        self._note(prompts, beams.cut_to)
        return rank_relevant(beams, self.trie, relevant, removed)

    def nll(self, model: Any, part: str, rows: IntArray, wording: int = 0) -> TargetNll:
        """NLL of the relevant items of `rows`, asked in one wording, in the order of `counts`.

        Seen items stay among those that the trie allows, whatever the setting says of the ranking.
        """
        prompts = self.track.prompts(part, rows, wording)
        relevant = self.track.relevant(part, rows)
        found: TargetNll = self.target_nll(
            model, self.trie, prompts, relevant, max_tokens=self.max_tokens, dtype=self.dtype
        )
        self._note(prompts, found.cut_to)
        return found

    def among_peers(self, model: Any, rows: IntArray, wording: int = 0) -> PeerRanks:
        """Places of the relevant items of the test queries `rows` among their peers.

        Only where items are of kinds; in the order of `counts`.
        """
        assert self.peers is not None
        prompts = self.track.prompts("test", rows, wording)
        relevant = self.track.relevant("test", rows)
        found = self.peers.rank(
            self.exact_search,
            model,
            prompts,
            relevant,
            max_tokens=self.max_tokens,
            dtype=self.dtype,
        )
        self._note(prompts, found.cut_to)
        return found

    def _note(self, prompts: list[IntArray], cut_to: int | None) -> None:
        """Counts what was read, and keeps to smaller batches once memory ran out."""
        if cut_to is not None:
            self.max_tokens = self.cut_to = cut_to
        self.tokens += sum(len(prompt) for prompt in prompts)

    def sample_metrics(self, model: Any) -> Metrics:
        """Rank metrics on the fixed validation sample; `nll` and `trie_nll` of all of validation.

        The losses are those that `ranks` gives the same model, to the last digit.
        """
        with self.keeping():
            return self._sample_metrics(self.scored_with(model, self.dtype))

    def _sample_metrics(self, model: Any) -> Metrics:
        asked, everyone = self.sample, np.arange(len(self.track.sizes("validation")))
        sampled, whole = [], []
        for wording in range(self.setting.evaluation.wordings):
            find = partial(self.counts, model, "validation", asked, wording)
            found = self._once(f"counts/sample/{wording}", find)
            counts = (found.num_better, found.num_tied)
            sampled.append(as_ranks(self.inputs, asked, "validation", *counts, wording))
            losses = self.losses(model, "validation", wording)
            unranked = np.full(len(losses.nll), -1)
            table = (everyone, "validation", unranked, unranked, wording, losses)
            whole.append(as_ranks(self.inputs, *table))
        cutoffs, beam = self.setting.evaluation.cutoffs, self.setting.decoding.beam
        relevance = relevance_of(self.setting)
        return {
            **metrics(concatenate(sampled), cutoffs, beam, relevance),
            **metrics(concatenate(whole), (), beam, relevance),
        }

    def ranks(
        self, model: Any, part: str, progress: Callable[[int, int], None] | None = None
    ) -> tuple[Ranks, ItemRanks]:
        """Ranks of all that `part` asks, wording by wording, and what the beams were like.

        Of the test split also among the targets' peers, where some items are trained on no query.
        """
        model = self.scored_with(model, self.dtype)
        wordings = range(self.setting.evaluation.wordings)
        parts = [self._ranks(model, part, wording, progress) for wording in wordings]
        found = [beams for _, beams in parts]
        fields = ("num_better", "num_tied", "beam_used", "trie_mass")
        joined = (np.concatenate([getattr(beams, name) for beams in found]) for name in fields)
        return concatenate([ranks for ranks, _ in parts]), ItemRanks(*joined)

    def _ranks(
        self,
        model: Any,
        part: str,
        wording: int,
        progress: Callable[[int, int], None] | None,
    ) -> tuple[Ranks, ItemRanks]:
        """Ranks of `part` in one wording: prompts run shortest first, results keep track order."""
        targets = self._num_targets(part)
        count, levels = len(targets), self.trie.num_levels
        better, tied = (np.zeros(targets.sum(), dtype=np.int64) for _ in range(2))
        used, mass = np.zeros(count, dtype=np.int64), np.zeros((count, levels))
        rounds = 1 if self.peers is None or part != "test" else 2
        done = wording * count * rounds

        def tell(more: int) -> None:
            nonlocal done
            done += more
            if progress is not None:
                progress(done, count * rounds * self.setting.evaluation.wordings)

        for rows, places in self._calls(part):
            find = partial(self.counts, model, part, rows, wording)
            found = self._once(f"counts/{part}/{wording}/{rows[0]}", find)
            better[places], tied[places] = found.num_better, found.num_tied
            used[rows], mass[rows] = found.beam_used, found.trie_mass
            tell(len(rows))
        losses = self.losses(model, part, wording)
        among: list[IntArray] | None = None
        if rounds == 2:
            among = list(np.zeros((3, targets.sum()), dtype=np.int64))
            for rows, places in self._calls(part):
                find_peers = partial(self.among_peers, model, rows, wording)
                own = self._once(f"peers/{part}/{wording}/{rows[0]}", find_peers)
                for column, values in zip(
                    among, (own.peers, own.peers_better, own.peers_tied), strict=True
                ):
                    column[places] = values
                tell(len(rows))
        asked = (self.inputs, np.arange(count), part)
        ranks = as_ranks(*asked, better, tied, wording, losses, among)
        return ranks, ItemRanks(better, tied, used, mass)

    def losses(self, model: Any, part: str, wording: int = 0) -> TargetNll:
        """NLL of all targets of `part` in one wording, in the order of the ranks table.

        Rounded to a millionth of a nat, which is all that float32 log-probabilities know: records
        are a seventh smaller.
        """
        nll, trie_nll = np.empty((2, self._num_targets(part).sum()))
        for rows, places in self._calls(part):
            find = partial(self.nll, model, part, rows, wording)
            found = self._once(f"losses/{part}/{wording}/{rows[0]}", find)
            nll[places], trie_nll[places] = found.nll, found.trie_nll
        return TargetNll(np.rint(nll * STEPS) / STEPS, np.rint(trie_nll * STEPS) / STEPS)

    def _num_targets(self, part: str) -> IntArray:
        """[asked] relevant items of each user or query of `part`."""
        relevant = self.track.relevant(part, np.arange(len(self.track.sizes(part))))
        return np.array([len(items) for items in relevant])

    def _calls(self, part: str) -> Iterator[tuple[IntArray, IntArray]]:
        """Users or queries that are asked together, and the places of their targets in the table.

        Those whose prompts show as much stand together: a batch then holds equal lengths.
        """
        order, targets = np.argsort(self.track.sizes(part), kind="stable"), self._num_targets(part)
        first = np.cumsum(targets) - targets
        for start in range(0, len(order), USERS_PER_CALL):
            rows = order[start : start + USERS_PER_CALL]
            places = [np.arange(first[row], first[row] + targets[row]) for row in rows]
            yield rows, np.concatenate(places)
