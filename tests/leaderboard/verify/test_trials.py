"""Committed trials pass verification; each way of changing one, or its share of tries, is found."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.perf.honest_records.edits import edit
from leaderboard.records.ranks import read_ranks, write_ranks
from leaderboard.records.record import ranks_path
from leaderboard.records.trial import find_trials, read_trial, trial_path
from leaderboard.verify.verify import verify

COMMITTED = Path(__file__).parents[3] / "leaderboard" / "results"
SETTING = "ml-100k-nano"
METHODS = ("mean", "gti")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results directory with the committed trials of two methods, and no records."""
    for method in METHODS:
        own = Path("tuning") / SETTING / method
        shutil.copytree(COMMITTED / own, tmp_path / own)
    return tmp_path


def fields_of(path: Path) -> list[str]:
    return [finding.field for finding in verify(path) if finding.level == "error"]


def test_honest_trials_pass_as_a_directory_a_part_of_it_and_one_file(results: Path) -> None:
    first = trial_path(results, SETTING, "gti", 1)
    for path in (results, results / "tuning", results / "tuning" / SETTING / "gti", first):
        assert verify(path) == []


def test_all_committed_trials_are_found() -> None:
    found = {path.parent.name for path in find_trials(COMMITTED / "tuning" / SETTING)}
    assert set(METHODS) < found


def test_a_change_without_a_new_digest_is_found(results: Path) -> None:
    path = trial_path(results, SETTING, "mean", 1)
    edit(path, lambda content: content.update(seconds=1.0), fix_digest=False)
    assert fields_of(path) == ["digest"]


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a better score": (lambda c: c.update(score=0.2), "score"),
    "a better metric": (lambda c: c["metrics"].update({"recall@10": 0.5}), "metrics.recall@10"),
    "more users": (lambda c: c.update(num_users=944), "num_users"),
    "a rate that was not tried": (
        lambda c: c["method"]["parameters"].update(sft_learning_rate=3e-3),
        "method_hash",
    ),
    "a seed of the board": (lambda c: c.update(seed=0), "seed"),
    "another protocol": (lambda c: c.update(protocol="7"), "protocol"),
    "said to have diverged": (lambda c: c.update(diverged="loss was NaN"), "diverged"),
    "scored as on another board": (lambda c: c.update(cutoffs=[1, 10]), "cutoffs"),
    "another beam": (lambda c: c.update(beam=20), "beam"),
    "another number": (lambda c: c.update(number=2), "number"),
    "a score without ranks": (lambda c: c.update(ranks=None, diverged="NaN"), "score"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_forged_trial_is_found_with_its_digest_computed_anew(results: Path, what: str) -> None:
    change, field = CHANGES[what]
    path = trial_path(results, SETTING, "mean", 1)
    edit(path, change)
    assert field in fields_of(path)


def test_other_ranks_are_found_and_so_are_test_rows_among_them(results: Path) -> None:
    path = trial_path(results, SETTING, "gti", 1)
    ranks = read_ranks(ranks_path(path))
    digest = write_ranks(ranks_path(path), replace(ranks, split=np.full(len(ranks), "test")))
    assert "ranks" in fields_of(path)
    edit(path, lambda content: content.update(ranks=digest))
    assert fields_of(path) == ["ranks (splits)"]


def test_a_missing_ranks_file_is_named(results: Path) -> None:
    path = trial_path(results, SETTING, "gti", 1)
    ranks_path(path).unlink()
    assert "ranks" in fields_of(path)


def test_ranks_without_their_trial_are_pointed_out(results: Path) -> None:
    trial_path(results, SETTING, "gti", 1).unlink()
    (results / "tuning" / SETTING / "mean" / "trial-1.json").unlink()
    found = {(f.level, Path(f.file).name, f.expected) for f in verify(results)}
    assert found == {("warning", "trial-1.ranks.parquet", "trial-1.json")}


def test_a_method_with_fewer_trials_than_others_is_pointed_out(results: Path) -> None:
    path = trial_path(results, SETTING, "gti", 1)
    ranks_path(path).unlink()
    path.unlink()
    (finding,) = verify(results)
    assert (finding.level, Path(finding.file).name) == ("warning", "gti")
    assert finding.found.startswith("trials [2")


def test_a_method_that_tried_other_rates_than_the_rest_is_found(results: Path) -> None:
    from leaderboard.records.record import cell_hash

    path = trial_path(results, SETTING, "mean", 1)
    trial = read_trial(path)
    parameters = trial.method.parameters.model_copy(update={"sft_learning_rate": 3e-3})
    card = trial.method.model_copy(update={"parameters": parameters})

    def change(content: dict[str, Any]) -> None:
        content["method"]["parameters"]["sft_learning_rate"] = 3e-3
        content["method_hash"] = card.hash
        content["cell_hash"] = cell_hash(trial.setting_hash, card.hash, trial.seed)

    edit(path, change)
    assert fields_of(path) == []
    assert fields_of(results) == ["method.parameters.sft_learning_rate"]


def test_a_trial_that_is_no_trial_is_named(results: Path) -> None:
    path = trial_path(results, SETTING, "mean", 1)
    path.write_text("{}")
    (finding,) = verify(path)
    assert finding.expected == "a readable trial"
