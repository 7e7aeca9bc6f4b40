"""Honest trials pass verification; each way of changing one, or its share of tries, is found."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.inputs.catalogue import find_setting
from benchmarks.perf.honest_records.edits import edit
from benchmarks.perf.honest_records.trials import grounding_trial, sft_trial
from leaderboard.metrics.metrics import metrics
from leaderboard.records.ranks import read_ranks, write_ranks
from leaderboard.records.record import MethodCard, cell_hash, ranks_path
from leaderboard.records.setting import Setting
from leaderboard.records.shipped import Shipped
from leaderboard.records.trial import TrialName, find_trials, trial_path
from leaderboard.verify.verify import verify

NAME = "ml-100k-nano"
SEEDS = (100, 101)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results directory with trials of two methods, three rates of them, and no records."""
    setting = find_setting(NAME).setting
    assert setting.tuning is not None
    assert setting.tuning.seeds == SEEDS
    assert setting.tuning.grounding_rates is not None
    chosen = setting.tuning.grounding_rates[1]
    rng = np.random.default_rng(0)
    for seed in SEEDS:
        for number in (1, 2):
            grounding_trial(tmp_path, setting, number, seed, (4.0 - number, 2.0))
        grounding_trial(tmp_path, setting, 3, seed, None)
        for number in (1, 2, 3):
            for method in ("mean", "gti"):
                values = rng.uniform(1, 7, 12).tolist() if number < 3 else None
                sft_trial(tmp_path, setting, method, number, seed, values, chosen)
    return tmp_path


def place(results: Path, method: str, stage: Any, number: int, seed: int = 100) -> Path:
    return trial_path(results, NAME, method, TrialName(stage=stage, number=number), seed)


def fields_of(path: Path) -> list[str]:
    return [finding.field for finding in verify(path) if finding.level == "error"]


def test_honest_trials_pass_as_a_directory_a_part_of_it_and_one_file(results: Path) -> None:
    assert len(list(find_trials(results))) == 2 * (3 + 3 * 2)
    own = results / "tuning" / NAME / "gti"
    one = (place(results, "gti", "sft", 1), place(results, "gti", "grounding", 1))
    for path in (results, results / "tuning", own, *one):
        assert verify(path) == []


def test_a_change_without_a_new_digest_is_found(results: Path) -> None:
    path = place(results, "mean", "sft", 1)
    edit(path, lambda content: content.update(seconds=2.0), fix_digest=False)
    assert fields_of(path) == ["digest"]


Change = Callable[[dict[str, Any]], Any]


def with_hashes(change: Change) -> Change:
    """`change`, with the hashes of method, setting and cell computed anew."""

    def both(content: dict[str, Any]) -> None:
        change(content)
        content["setting_hash"] = Setting.model_validate(content["setting"]).hash
        content["method_hash"] = MethodCard.model_validate(content["method"]).hash
        hashes = (content["setting_hash"], content["method_hash"])
        content["cell_hash"] = cell_hash(*hashes, content["seed"])

    return both


def rates(**values: float | None) -> Change:
    """Gives the trial's method other rates, hashes and all."""
    return with_hashes(lambda content: content["method"]["parameters"].update(values))


SFT: dict[str, tuple[Change, str]] = {
    "a better score": (lambda c: c.update(score=0.2), "score"),
    "a better metric": (lambda c: c["metrics"].update({"recall@10": 0.99}), "metrics.recall@10"),
    "more users": (lambda c: c.update(num_users=944), "num_users"),
    "a rate under another's hash": (
        lambda c: c["method"]["parameters"].update(sft_learning_rate=3e-3),
        "method_hash",
    ),
    "a rate that is not in the list": (
        rates(sft_learning_rate=3e-3),
        "method.parameters.sft_learning_rate",
    ),
    "a rate of another place in the list": (
        rates(sft_learning_rate=5e-4),
        "method.parameters.sft_learning_rate",
    ),
    "no rate": (rates(sft_learning_rate=None), "method.parameters.sft_learning_rate"),
    "a grounding rate that was not tried": (
        rates(grounding_learning_rate=2e-2),
        "method.parameters.grounding_learning_rate",
    ),
    "a seed of the board": (with_hashes(lambda c: c.update(seed=0)), "seed"),
    "a seed of nobody": (with_hashes(lambda c: c.update(seed=102)), "seed"),
    "another rate in the setting": (
        with_hashes(lambda c: c["setting"]["sft"].update(learning_rate=1e-3)),
        "setting.sft.learning_rate",
    ),
    "no table of rates": (with_hashes(lambda c: c["setting"].pop("tuning")), "setting.tuning"),
    "a number beyond the list": (lambda c: c.update(number=6), "number"),
    "another protocol": (lambda c: c.update(protocol="7"), "protocol"),
    "said to have diverged": (lambda c: c.update(diverged="loss was NaN"), "diverged"),
    "scored as on another board": (lambda c: c.update(cutoffs=[1, 10]), "cutoffs"),
    "another beam": (lambda c: c.update(beam=20), "beam"),
    "another metric": (lambda c: c.update(metric="nll"), "metric"),
    "another number": (lambda c: c.update(number=2), "stage, number and seed"),
    "no cost of what it trained": (lambda c: c.update(cost={}), "cost.sft"),
    "training without steps": (lambda c: c["cost"]["sft"].update(steps=None), "cost.sft"),
    "training in no time": (lambda c: c["cost"]["sft"].update(seconds=0.0), "cost.sft"),
    "no backbone's hash": (lambda c: c["inputs"].update(backbone=None), "inputs.backbone"),
    "another dataset": (lambda c: c["inputs"].update(dataset="7" * 64), "inputs.dataset"),
    "a number written as a text": (lambda c: c.update(num_users="12"), "num_users"),
    "a score without ranks": (lambda c: c.update(ranks=None, diverged="NaN"), "score"),
}


@pytest.mark.parametrize("what", SFT)
def test_a_forged_trial_is_found_with_its_digest_computed_anew(results: Path, what: str) -> None:
    change, field = SFT[what]
    path = place(results, "gti", "sft", 1)
    edit(path, change)
    assert field in fields_of(path)


GROUNDING: dict[str, tuple[Change, str]] = {
    "a better score": (lambda c: c.update(score=0.2), "score"),
    "other pairs": (lambda c: c["treatment"]["pairs"][1].update(true=1.0), "score"),
    "pairs of one direction": (lambda c: c["treatment"]["pairs"].pop(), "score"),
    "an SFT rate": (rates(sft_learning_rate=1e-3), "method.parameters.sft_learning_rate"),
    "a rate that is not in the list": (
        rates(grounding_learning_rate=2e-2),
        "method.parameters.grounding_learning_rate",
    ),
    "nothing measured": (lambda c: c.update(treatment=None, score=None), "diverged"),
    "users": (lambda c: c.update(num_users=12), "num_users"),
    "the second stage's metric": (lambda c: c.update(metric="trie_nll"), "metric"),
}


@pytest.mark.parametrize("what", GROUNDING)
def test_a_forged_trial_of_the_grounding_rate_is_found(results: Path, what: str) -> None:
    change, field = GROUNDING[what]
    path = place(results, "gti", "grounding", 1)
    edit(path, change)
    assert field in fields_of(path)


def test_other_ranks_are_found_and_so_are_test_rows_among_them(results: Path) -> None:
    path = place(results, "gti", "sft", 1)
    ranks = read_ranks(ranks_path(path))
    digest = write_ranks(ranks_path(path), replace(ranks, split=np.full(len(ranks), "test")))
    assert "ranks" in fields_of(path)
    edit(path, lambda content: content.update(ranks=digest))
    assert fields_of(path) == ["ranks (splits)"]


UNLIKE_OTHERS: dict[str, tuple[Change, str]] = {
    "another backbone": (lambda c: c["inputs"].update(backbone="7" * 64), "inputs.backbone"),
    "other Semantic IDs": (
        lambda c: c["inputs"].update(semantic_ids="7" * 64),
        "inputs.semantic_ids",
    ),
    "twice the training": (lambda c: c["cost"]["sft"].update(steps=200), "cost.sft.steps"),
}


@pytest.mark.parametrize("what", UNLIKE_OTHERS)
def test_a_trial_that_is_unlike_the_others_is_found_among_them(results: Path, what: str) -> None:
    change, field = UNLIKE_OTHERS[what]
    path = place(results, "gti", "sft", 1)
    edit(path, change)
    assert fields_of(path) == []  # by itself it says nothing that cannot be
    found = [each for each in verify(results) if each.level == "error"]
    assert [(each.file, each.field) for each in found] == [(str(path), field)]


def test_ranks_of_another_trial_and_of_other_users_are_found(tmp_path: Path) -> None:
    setting = find_setting(NAME).setting
    rng = np.random.default_rng(1)
    first, second = (
        sft_trial(tmp_path, setting, "mean", number, 100, rng.uniform(1, 7, 60).tolist())
        for number in (1, 2)
    )
    assert verify(tmp_path) == []

    def give(ranks: Any) -> None:
        digest = write_ranks(ranks_path(second), ranks)
        figures = metrics(ranks, setting.evaluation.cutoffs, setting.decoding.beam, None)
        changed = {"ranks": digest, "metrics": figures, "score": figures["trie_nll"]}
        edit(second, lambda content: content.update(changed))

    own, theirs = read_ranks(ranks_path(second)), read_ranks(ranks_path(first))
    give(replace(theirs, trie_nll=theirs.trie_nll - 0.1))
    assert fields_of(tmp_path) == ["files.ranks (nll)"]
    give(replace(own, user=np.char.add(own.user, "x")))
    assert fields_of(tmp_path) == ["ranks (targets)"]


def test_a_missing_ranks_file_is_named(results: Path) -> None:
    path = place(results, "gti", "sft", 1)
    ranks_path(path).unlink()
    assert "ranks" in fields_of(path)


def test_ranks_without_their_trial_are_pointed_out(results: Path) -> None:
    for method in ("gti", "mean"):
        place(results, method, "sft", 1).unlink()
    found = {(f.level, Path(f.file).name, f.expected) for f in verify(results)}
    name = "trial-sft-1-100"
    assert found == {("warning", f"{name}.ranks.parquet", f"{name}.json")}


def test_a_method_with_fewer_trials_than_others_is_pointed_out(results: Path) -> None:
    path = place(results, "gti", "sft", 1, 101)
    ranks_path(path).unlink()
    path.unlink()
    (finding,) = verify(results)
    assert (finding.level, Path(finding.file).name) == ("warning", "gti")
    assert finding.found == "no trial-sft-1-101"


def test_a_trial_with_another_grounding_rate_than_the_rest_is_found(results: Path) -> None:
    path = place(results, "gti", "sft", 3, 101)
    edit(path, rates(grounding_learning_rate=1e-1))
    assert fields_of(path) == []
    assert fields_of(results) == ["method.parameters.grounding_learning_rate"]


def test_the_first_trial_by_name_is_named_where_it_is_the_one_that_differs(results: Path) -> None:
    path = place(results, "gti", "sft", 1, 100)
    edit(path, rates(grounding_learning_rate=1e-1))
    found = [each for each in verify(results) if each.level == "error"]
    field = "method.parameters.grounding_learning_rate"
    assert [(each.file, each.field) for each in found] == [(str(path), field)]


def with_sft(setting: Setting, **changes: Any) -> Setting:
    return setting.model_copy(update={"sft": setting.sft.model_copy(update=changes)})


def test_trials_of_a_setting_that_was_edited_since_are_pointed_out(results: Path) -> None:
    setting = find_setting(NAME).setting

    def told(settings: dict[str, Setting], path: Path = results) -> list[tuple[str, ...]]:
        found = verify(path, shipped=Shipped(settings, lambda *_: None))
        return [(each.level, each.file, each.field, each.found, each.expected) for each in found]

    assert told({NAME: setting}) == []
    assert told({NAME: with_sft(setting, learning_rate=7e-4)}) == []  # what trials are there for
    assert told({}) == []
    own = find_setting(NAME).setting.sft.passes
    for path in (results, results / "tuning" / NAME / "gti", place(results, "gti", "sft", 1)):
        ((level, file, field, found, expected),) = told({NAME: with_sft(setting, passes=9.0)}, path)
        assert (level, file, field) == ("warning", str(results / "tuning" / NAME), "setting_hash")
        assert f"(sft.passes {own})" in found
        assert "(sft.passes 9.0), the setting ml-100k-nano as it is shipped" in expected


def test_trials_of_two_settings_of_one_name_are_pointed_out(results: Path) -> None:
    path = place(results, "gti", "grounding", 1)
    edit(path, with_hashes(lambda content: content["setting"].update(evidence=True)))
    (finding,) = verify(results)
    assert (finding.level, finding.field) == ("warning", "setting_hash")
    assert finding.found.startswith("1 trials of ")
    assert "(evidence true)" in finding.found
    assert "(evidence false), the setting ml-100k-nano as most trials have it" in finding.expected


def test_a_trial_that_is_no_trial_is_named(results: Path) -> None:
    path = place(results, "mean", "sft", 1)
    path.write_text("{}")
    (finding,) = verify(path)
    assert finding.expected == "a readable trial"
