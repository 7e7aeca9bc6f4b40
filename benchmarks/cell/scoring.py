"""Scores a model on held-out items: prompts, beam search, counts, accounting."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.cell.ranks_table import as_ranks
from benchmarks.cell.tracks import track_of
from benchmarks.inputs.inputs import Inputs
from gti.data.dataset import IntArray
from gti.data.streams import numpy_stream
from gti.model.vocabulary import Vocabulary
from gti.plain import FAST, Forms
from gti.prompts.prompter import Prompter
from gti.search.decoding import build_trie
from gti.search.likelihood import TargetNll
from gti.search.target_ranks import ItemRanks, rank_relevant
from leaderboard.metrics.metrics import metrics, relevance_of
from leaderboard.records.ranks import Ranks, concatenate
from leaderboard.records.setting import Setting

MAX_TOKENS = {"cpu": 8192, "cuda": 262144}
"""Tokens (histories and beams) in one batch of users; a constant per device."""
USERS_PER_CALL = 64


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
    ) -> None:
        exact = setting.decoding.method == "exact"
        self.search = forms.exact_search if exact else forms.beam_search
        self.target_nll = forms.target_nll
        self.setting, self.inputs, self.prompter = setting, inputs, prompter
        self.dtype = dtype or setting.backbone.dtype
        self.track = track_of(setting, inputs, prompter)
        self.trie = build_trie(inputs.semantic_ids, vocabulary, device)
        self.max_tokens = MAX_TOKENS[device.type]
        self.cut_to: int | None = None  # tokens per batch, once memory ran out
        count = len(self.track.sizes("validation"))
        size = min(count, setting.evaluation.validation_users)
        # The same sample at every seed: the sample is part of the setting.
        drawn = numpy_stream(0, "validation-sample").choice(count, size, replace=False)
        self.sample: IntArray = np.sort(drawn)
        self.tokens = 0

    def counts(self, model: Any, part: str, rows: IntArray, wording: int = 0) -> ItemRanks:
        """Better and tied items for the relevant items of `rows`, asked in one wording."""
        prompts = self.track.prompts(part, rows, wording)
        beams = self.search(
            model,
            self.trie,
            prompts,
            self.setting.decoding.beam,
            max_tokens=self.max_tokens,
            dtype=self.dtype,
        )
        self._note(prompts, beams.cut_to)
        relevant = self.track.relevant(part, rows)
        return rank_relevant(beams, self.trie, relevant, self.track.removed(part, rows))

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

    def _note(self, prompts: list[IntArray], cut_to: int | None) -> None:
        """Counts what was read, and keeps to smaller batches once memory ran out."""
        if cut_to is not None:
            self.max_tokens = self.cut_to = cut_to
        self.tokens += sum(len(prompt) for prompt in prompts)

    def sample_metrics(self, model: Any) -> dict[str, float | None]:
        """Metrics on the fixed validation sample."""
        parts = []
        for wording in range(self.setting.evaluation.wordings):
            found = self.counts(model, "validation", self.sample, wording)
            counts = (found.num_better, found.num_tied)
            parts.append(as_ranks(self.inputs, self.sample, "validation", *counts, wording))
        cutoffs, beam = self.setting.evaluation.cutoffs, self.setting.decoding.beam
        return metrics(concatenate(parts), cutoffs, beam, relevance_of(self.setting))

    def ranks(
        self, model: Any, part: str, progress: Callable[[int, int], None] | None = None
    ) -> tuple[Ranks, ItemRanks]:
        """Ranks of all that `part` asks, wording by wording, and what the beams were like."""
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
        """Ranks of `part` in one wording: prompts run shortest first, results keep track order.

        A batch then holds equal lengths.
        """
        shown = self.track.sizes(part)
        count = len(shown)
        order = np.argsort(shown, kind="stable")
        everyone = np.arange(count)
        targets = np.array([len(items) for items in self.track.relevant(part, everyone)])
        first = np.cumsum(targets) - targets
        levels = self.inputs.semantic_ids.num_levels
        better, tied = (np.zeros(targets.sum(), dtype=np.int64) for _ in range(2))
        used, mass = np.zeros(count, dtype=np.int64), np.zeros((count, levels))
        for start in range(0, count, USERS_PER_CALL):
            rows = order[start : start + USERS_PER_CALL]
            found = self.counts(model, part, rows, wording)
            places = np.concatenate([np.arange(first[r], first[r] + targets[r]) for r in rows])
            better[places], tied[places] = found.num_better, found.num_tied
            used[rows], mass[rows] = found.beam_used, found.trie_mass
            if progress is not None:
                done = wording * count + min(count, start + USERS_PER_CALL)
                progress(done, count * self.setting.evaluation.wordings)
        ranks = as_ranks(self.inputs, everyone, part, better, tied, wording)
        return ranks, ItemRanks(better, tied, used, mass)
