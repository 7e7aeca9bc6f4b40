"""Scores a model on held-out items: prompts, beam search, counts, accounting."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.inputs import Inputs
from benchmarks.saving import as_ranks
from gti.dataset import IntArray
from gti.decoding import ItemRanks, beam_search, build_trie, rank_targets
from gti.prompts import Prompter
from gti.streams import numpy_stream
from gti.vocabulary import Vocabulary
from leaderboard.metrics import metrics
from leaderboard.ranks import Ranks
from leaderboard.setting import Setting

MAX_TOKENS = {"cpu": 8192, "cuda": 262144}
"""Tokens (histories and beams) in one batch of users; a constant per device."""
USERS_PER_CALL = 64


class Scorer:
    """Scores models of one cell on the setting's users.

    Args:
        setting: beam, cutoffs, sample, seen-item rule.
        inputs: dataset, split, Semantic IDs.
        prompter: builds the prompts.
        vocabulary: where the new tokens live.
        device: where to compute.
    """

    def __init__(
        self,
        setting: Setting,
        inputs: Inputs,
        prompter: Prompter,
        vocabulary: Vocabulary,
        device: torch.device,
    ) -> None:
        self.setting, self.inputs, self.prompter = setting, inputs, prompter
        self.trie = build_trie(inputs.semantic_ids, vocabulary, device)
        self.max_tokens = MAX_TOKENS[device.type]
        count = len(inputs.split.users)
        size = min(count, setting.evaluation.validation_users)
        # The same sample at every seed: the sample is part of the setting.
        drawn = numpy_stream(0, "validation-sample").choice(count, size, replace=False)
        self.sample: IntArray = np.sort(drawn)
        self.tokens = 0

    def counts(self, model: Any, part: str, rows: IntArray) -> ItemRanks:
        """Better and tied items for the targets of users `rows`."""
        split = self.inputs.split
        histories = [split.history(int(row), part) for row in rows]
        prompts = [self.prompter.retrieval_prompt(history) for history in histories]
        beams = beam_search(
            model,
            self.trie,
            prompts,
            self.setting.decoding.beam,
            max_tokens=self.max_tokens,
            dtype=self.setting.backbone.dtype,
        )
        self.tokens += sum(len(prompt) for prompt in prompts)
        removed = histories if self.setting.dataset.seen_items == "remove" else None
        return rank_targets(beams, self.trie, split.targets(part)[rows], removed)

    def sample_metrics(self, model: Any) -> dict[str, float | None]:
        """Metrics on the fixed validation sample."""
        found = self.counts(model, "validation", self.sample)
        ranks = as_ranks(self.inputs, self.sample, "validation", found.num_better, found.num_tied)
        return metrics(ranks, self.setting.evaluation.cutoffs, self.setting.decoding.beam)

    def ranks(
        self, model: Any, part: str, progress: Callable[[int, int], None] | None = None
    ) -> tuple[Ranks, ItemRanks]:
        """Ranks of all users of `part`, in the split's order, and what the beams were like.

        Users run in order of their prompts' length, so that a batch holds equal lengths.
        """
        split = self.inputs.split
        count = len(split.users)
        lengths = [len(split.history(row, part)) for row in range(count)]
        shown = np.minimum(lengths, self.setting.dataset.max_history)
        order = np.argsort(shown, kind="stable")
        levels = self.inputs.semantic_ids.num_levels
        better, tied, used = (np.zeros(count, dtype=np.int64) for _ in range(3))
        mass = np.zeros((count, levels))
        for start in range(0, count, USERS_PER_CALL):
            rows = order[start : start + USERS_PER_CALL]
            found = self.counts(model, part, rows)
            better[rows], tied[rows] = found.num_better, found.num_tied
            used[rows], mass[rows] = found.beam_used, found.trie_mass
            if progress is not None:
                progress(min(count, start + USERS_PER_CALL), count)
        everyone = np.arange(count)
        ranks = as_ranks(self.inputs, everyone, part, better, tied)
        return ranks, ItemRanks(better, tied, used, mass)
