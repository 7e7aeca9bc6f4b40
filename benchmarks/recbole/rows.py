"""From RecBole's scores to records: counts by the setting's rule about seen items, then a row."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cell.ranks_table import as_ranks
from benchmarks.cell.saving import save_reference
from benchmarks.inputs.inputs import ReadData
from benchmarks.machine.environment import processor_name, system_name
from benchmarks.machine.events import Say
from benchmarks.recbole.exchange import RecBole, RecBoleError, read_scores, run_driver
from benchmarks.recbole.models import MODELS, RECBOLE_VERSION, Model, record_key
from benchmarks.references.next_item import TargetCounts
from benchmarks.run.options import RunOptions
from benchmarks.run.plan import State, cell_state
from benchmarks.titles.card import KEY as TITLES
from benchmarks.titles.card import titles_card
from gti.data.dataset import HELD_OUT, IntArray, Split
from leaderboard.metrics.metrics import metrics
from leaderboard.records.ranks import Ranks, concatenate
from leaderboard.records.record import MethodCard, cell_hash, record_path
from leaderboard.records.setting import MethodParameters, Setting

USERS_PER_CALL = 512
VERSION = 1
"""Of how these rows are made; a change of it, as of any setting, makes other cells."""

OWN_METRIC_SLACK = 1e-4
"""RecBole's own validation ndcg@10 and ours differ by ties and by the last bits of its scores."""


@dataclass(frozen=True)
class PlannedRow:
    """A row to make: which model, at which seed, and where its record lies or will lie."""

    name: str
    seed: int
    card: MethodCard
    path: Path
    state: State

    @property
    def model(self) -> Model:
        """The model."""
        return MODELS[self.name]


def reference_card(name: str, max_history: int) -> MethodCard:
    """The card of model `name`; its settings are part of its hash."""
    if name == TITLES:
        return titles_card()
    model = MODELS[name]
    settings = model.settings_for(max_history)
    return MethodCard(
        key=record_key(name),
        summary=model.summary,
        source=model.source,
        version=VERSION,
        group="reference",
        spends={},
        parameters=MethodParameters(),
        settings={"library": f"recbole {RECBOLE_VERSION}", "model": model.name, **settings},
    )


def plan_rows(
    setting: Setting, names: Sequence[str], seeds: Sequence[int], results: Path
) -> list[PlannedRow]:
    """The rows of `names` at `seeds`; what only counts has no seed and stands at seed 0 alone."""
    rows = []
    for name in names:
        card = reference_card(name, setting.dataset.max_history)
        for seed in seeds if name == TITLES or MODELS[name].sequential else [0]:
            path = record_path(results, setting.name, card.key, seed)
            state = cell_state(path, cell_hash(setting.hash, card.hash, seed))
            rows.append(PlannedRow(name, seed, card, path, state))
    return rows


def score_counts(
    scores: NDArray[np.float32], targets: IntArray, removed: Sequence[IntArray] | None
) -> TargetCounts:
    """Where each user's target stands among all items by score.

    Args:
        scores: [users, items].
        targets: [users] items.
        removed: per user the items taken out of the ranking, the target never; null keeps all.

    Raises:
        ValueError: a score that is no number.
    """
    rows = np.arange(len(targets))
    own = scores[rows, targets][:, None]
    if not np.isfinite(scores).all():
        raise ValueError("scores hold a value that is not finite")
    better = (scores > own).sum(axis=1)
    tied = (scores == own).sum(axis=1) - 1
    for row, items in enumerate(removed or ()):
        gone = scores[row, np.setdiff1d(items, [targets[row]])]
        better[row] -= np.count_nonzero(gone > own[row])
        tied[row] -= np.count_nonzero(gone == own[row])
    return TargetCounts(better.astype(np.int64), tied.astype(np.int64))


def part_counts(
    scores: NDArray[np.float32], split: Split, part: str, seen_items: str
) -> TargetCounts:
    """Counts of all users' targets of `part` by the setting's rule about `seen_items`."""
    better, tied = [], []
    targets = split.targets(part)
    for start in range(0, len(targets), USERS_PER_CALL):
        users = range(start, min(len(targets), start + USERS_PER_CALL))
        seen = [split.history(user, part) for user in users] if seen_items == "remove" else None
        rows = slice(users.start, users.stop)
        found = score_counts(np.asarray(scores[rows]), targets[rows], seen)
        better.append(found.num_better)
        tied.append(found.num_tied)
    return TargetCounts(np.concatenate(better), np.concatenate(tied))


def make_row(
    setting: Setting,
    inputs: ReadData,
    row: PlannedRow,
    recbole: RecBole,
    options: RunOptions,
    *,
    threads: int,
    say: Say,
) -> Path:
    """Runs the model of `row` and writes its record; returns the record's path.

    Raises:
        RecBoleError: the other side failed, or its scores cannot be used.
    """

    def told(epoch: int, score: float) -> None:
        say(f"{row.card.key} seed {row.seed}: epoch {epoch}, validation ndcg@10 {score:.4f}")

    split, num_items = inputs.split, inputs.dataset.num_items
    with tempfile.TemporaryDirectory(prefix="gti-bench-recbole-") as name:
        folder = Path(name)
        report = run_driver(
            recbole,
            folder,
            split,
            num_items,
            row.model,
            max_history=setting.dataset.max_history,
            seed=row.seed,
            device=options.device,
            threads=threads,
            on_epoch=told,
        )
        began = time.perf_counter()
        ranks = _ranks(folder, inputs, setting.dataset.seen_items)
    counting = time.perf_counter() - began
    return save_reference(
        setting,
        row.card,
        inputs,
        ranks,
        counting,
        options.results,
        seed=row.seed,
        cost=_cost(report, counting),
        environment=_environment(report, recbole, options.device),
        fits=_fits(report, row.model),
        warnings=_doubts(setting, report, ranks),
    )


def _ranks(folder: Path, inputs: ReadData, seen_items: str) -> Ranks:
    """The ranks of both parts from the scores in `folder`."""
    rows = np.arange(len(inputs.split.users))
    tables = []
    for part in HELD_OUT:
        scores = read_scores(folder, part, len(rows), inputs.dataset.num_items)
        try:
            counts = part_counts(scores, inputs.split, part, seen_items)
        except ValueError as error:
            raise RecBoleError(f"RecBole's {part} scores: {error}") from error
        finally:
            del scores  # a mapped file cannot be removed on every system
        tables.append(as_ranks(inputs, rows, part, counts.num_better, counts.num_tied))
    return concatenate(tables)


def _doubts(setting: Setting, report: dict[str, Any], ranks: Ranks) -> list[str]:
    """A warning where RecBole's own figure for the epoch it kept is not the one our counts give.

    RecBole keeps seen items for sequential models, so this can be asked where the setting does.
    """
    own = [fit for fit in report["fits"] if fit["best_epoch"]]
    if not own or setting.dataset.seen_items != "keep":
        return []
    theirs = max(own[0]["validation_ndcg10"])
    ours = metrics(ranks.of_split("validation"), (10,), None)["ndcg@10"]
    if ours is not None and abs(ours - theirs) <= OWN_METRIC_SLACK:
        return []
    return [f"validation ndcg@10 is {ours} by our counts and {theirs} by RecBole's evaluator"]


def _cost(report: dict[str, Any], counting: float) -> dict[str, Any]:
    """Costs of fitting and scoring."""
    fits = report["fits"]
    losses = [loss for fit in fits for loss in fit["train_loss"]]
    return {
        "fit": {
            "seconds": sum(fit["seconds"] for fit in fits),
            "steps": sum(fit["steps"] for fit in fits),
            "first_loss": losses[0] if losses else None,
            "last_loss": losses[-1] if losses else None,
            "peak_memory_bytes": report["peak_memory_bytes"],
        },
        "score": {"seconds": report["scoring_seconds"] + counting},
    }


def _environment(report: dict[str, Any], recbole: RecBole, device: str) -> dict[str, Any]:
    """The record's `environment`: RecBole's side, which computed the scores."""
    return {
        "machine": report["machine"],
        "processor": processor_name(),
        "instruction_set": report["instruction_set"],
        "device": device,
        "driver": report["driver"],
        "threads": report["threads"],
        "dtype": "float32",
        # RecBole seeds everything, but sums on several threads or a GPU may differ in order.
        "deterministic": device == "cpu",
        "python": report["python"],
        "platform": system_name(),
        "packages": recbole.packages,
    }


def _fits(report: dict[str, Any], model: Model) -> list[dict[str, Any]]:
    """What the record says of each fit."""
    kept = (
        "known_at",
        "rows",
        "trainable_parameters",
        "epochs",
        "best_epoch",
        "validation_ndcg10",
        "train_loss",
        "seconds",
    )
    return [{"knows": model.knows, **{name: fit[name] for name in kept}} for fit in report["fits"]]
