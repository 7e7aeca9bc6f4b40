"""Made-up trials of `gti-bench tune`, written through the same functions as real ones."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cell.identity import axes_of, identity, method_card
from benchmarks.perf.honest_records.ranks import ranks_of, targets_of
from benchmarks.perf.honest_records.writer import ENVIRONMENT
from leaderboard.metrics.metrics import metrics, num_users, relevance_of
from leaderboard.records.canonical import digest_of
from leaderboard.records.ranks import write_ranks
from leaderboard.records.record import ranks_path
from leaderboard.records.setting import MethodParameters, Setting
from leaderboard.records.trial import (
    SCORES,
    TRIAL_SCHEMA_VERSION,
    TrialName,
    setting_of_trials,
    trial_path,
    write_trial,
)

ITEMS = 500
"""Of the dataset that is made up."""


def grounding_trial(
    results: Path,
    setting: Setting,
    number: int,
    seed: int,
    nll: tuple[float, float] | None,
    cold: float | None = None,
) -> Path:
    """Writes a trial of the grounding rate, of `gti`; returns its path.

    Args:
        results: where it goes.
        setting: whose.
        number: of the rate.
        seed: of the trial.
        nll: of held-out pairs, text → Semantic ID and Semantic ID → text; null: it diverged.
        cold: recall@10 of cold items, where chance is .01; null: items are of no kinds.
    """
    tuning = setting.tuning
    assert tuning is not None  # there is nothing to try without one
    assert tuning.grounding_rates is not None
    parameters = MethodParameters(grounding_learning_rate=tuning.grounding_rates[number - 1])
    directions = ("text_to_sid", "sid_to_text")
    pairs = [
        {"direction": direction, "share": share, "pairs": 20, "tokens": 60, "true": true,
         "permuted": true + 1.0, "shown": true if share == "seen" else None}
        for direction, value in zip(directions, nll or (), strict=False)
        for share, true in (("seen", value - 0.5), ("held_out", value))
    ]  # fmt: skip
    found: dict[str, Any] = {}
    if cold is not None:
        found["cold"] = {"asked": 50, "recall": cold, "recall_shown": None, "chance": 0.01}
    treatment = None if nll is None else {"pairs": pairs, "found": found}
    score = None if nll is None else sum(nll) / 2
    name = TrialName(stage="grounding", number=number)
    return _write(results, setting, "gti", parameters, name, seed, score, treatment=treatment)


def sft_trial(
    results: Path,
    setting: Setting,
    method: str,
    number: int,
    seed: int,
    nll: Sequence[float] | None,
    grounding_rate: float | None = None,
) -> Path:
    """Writes a trial of the SFT rate; returns its path.

    Args:
        results: where it goes.
        setting: whose; it asks users.
        method: which.
        number: of the rate.
        seed: of the trial.
        nll: [users] their targets' `trie_nll`; null: it diverged.
        grounding_rate: what the first stage found, for methods that have one.
    """
    from baselines.registry import methods

    tuning = setting.tuning
    assert tuning is not None  # there is nothing to try without one
    grounded = "grounding_learning_rate" in axes_of(methods()[method])
    parameters = MethodParameters(
        sft_learning_rate=tuning.sft_rates[number - 1],
        grounding_learning_rate=grounding_rate if grounded else None,
    )
    name = TrialName(stage="sft", number=number)
    if nll is None:
        return _write(results, setting, method, parameters, name, seed, None)
    drawn = ranks_of(
        setting,
        targets_of(setting, len(nll), ITEMS),
        f"{method}/{number}/{seed}",
        0.3,
        only_beam=True,
        by_popularity=False,
    )
    values = np.array(nll, dtype=np.float64)
    ranks = replace(drawn.of_split("validation"), trie_nll=values, nll=values + 0.1)
    cutoffs, beam = setting.evaluation.cutoffs, setting.decoding.beam
    found = metrics(ranks, cutoffs, beam, relevance_of(setting))
    path = trial_path(results, setting.name, method, name, seed)
    content = {
        "metrics": found,
        "num_users": num_users(ranks),
        "ranks": write_ranks(ranks_path(path), ranks),
    }
    score = found[SCORES["sft"]]
    return _write(results, setting, method, parameters, name, seed, score, **content)


def _write(
    results: Path,
    setting: Setting,
    method: str,
    parameters: MethodParameters,
    name: TrialName,
    seed: int,
    score: float | None,
    **content: Any,
) -> Path:
    """Writes the trial around what it found."""
    from baselines.registry import methods

    own = setting_of_trials(setting)
    path = trial_path(results, setting.name, method, name, seed)
    inputs: dict[str, str | None] = dict.fromkeys(("queries",))
    inputs |= {
        name: digest_of(name) for name in ("semantic_ids", "backbone", "tokenizer", "prompts")
    }
    write_trial(
        path,
        {
            **identity(own, method_card(methods()[method], parameters), seed),
            **dict.fromkeys(("treatment", "metrics", "num_users", "ranks")),
            "schema_version": TRIAL_SCHEMA_VERSION,
            "stage": name.stage,
            "number": name.number,
            "metric": SCORES[name.stage],
            "score": score,
            "diverged": "training diverged" if score is None else None,
            "beam": setting.decoding.beam,
            "cutoffs": setting.evaluation.cutoffs,
            "learning_curve": [],
            "cost": {name.stage: {"seconds": 1.0, "steps": 100}},
            "seconds": 1.0,
            "environment": ENVIRONMENT,
            "inputs": {**inputs, "dataset": setting.dataset.sha256},
            "code": {"version": "0.1.0", "commit": None, "dirty": None},
            "warnings": [],
            **content,
        },
    )
    return path
