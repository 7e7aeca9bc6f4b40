"""The rule of tuning: who tries what, what is found from scores worked out by hand, refusals."""

import math
import tomllib
from pathlib import Path

import numpy as np
import pytest

from baselines.registry import methods
from benchmarks.inputs.catalogue import find_setting
from benchmarks.perf.honest_records.trials import grounding_trial, sft_trial
from benchmarks.tune.command import own_rates
from benchmarks.tune.report import grounding_lines, sft_lines
from benchmarks.tune.rule import (
    EXAMPLE,
    Lead,
    TuningError,
    plan_grounding,
    plan_sft,
    read_tried,
    sft_rates,
    tuned_methods,
    tunes_grounding,
    tuning_of,
)
from leaderboard.records.setting import Setting
from leaderboard.records.specs import TuningSpec
from leaderboard.records.trial import setting_of_trials

RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
GROUNDING = (1e-3, 1e-2, 1e-1)
SEEDS = (100, 101)
USERS = 8


def changed(rates: str = "shared", **changes: object) -> Setting:
    """A shipped setting with our tuning table; `changes` are fields of the table."""
    content = find_setting("ml-100k-nano").setting.model_dump()
    content["sft"]["rates"] = rates
    tuning = {"seeds": SEEDS, "grounding_rates": GROUNDING, "sft_rates": RATES}
    return Setting.model_validate({**content, "tuning": {**tuning, **changes}})


@pytest.fixture
def setting() -> Setting:
    return changed()


def chosen(*keys: str):
    return [methods()[key] for key in keys]


def test_gti_alone_tries_grounding_rates_and_without_an_sft_rate(setting, tmp_path):
    trials = plan_grounding(setting, tmp_path)
    assert [
        (t.card.key, t.name.stage, t.name.number, t.card.parameters.grounding_learning_rate, t.seed)
        for t in trials
    ] == [
        ("gti", "grounding", number, rate, seed)
        for number, rate in enumerate(GROUNDING, start=1)
        for seed in SEEDS
    ]
    assert {t.card.parameters.sft_learning_rate for t in trials} == {None}


def test_all_methods_try_the_same_five_rates_at_both_seeds_round_by_round(setting, tmp_path):
    trials = plan_sft(setting, chosen("mean", "gti", "lc_rec"), 1e-2, tmp_path)
    assert [(t.name.number, t.seed, t.card.key) for t in trials[:4]] == [
        (1, 100, "mean"), (1, 100, "gti"), (1, 100, "lc_rec"), (1, 101, "mean"),
    ]  # fmt: skip
    for key, grounding in (("mean", None), ("gti", 1e-2), ("lc_rec", None)):
        own = [t for t in trials if t.card.key == key]
        assert [t.card.parameters.sft_learning_rate for t in own[::2]] == list(RATES)
        assert [t.seed for t in own] == [100, 101] * 5
        assert {t.card.parameters.grounding_learning_rate for t in own} == {grounding}
        assert {t.card.parameters.auxiliary_loss_weight for t in own} == {None}
    assert {t.state for t in trials} == {"missing"}


def test_trials_do_not_hang_on_the_rates_that_were_chosen(setting, tmp_path):
    sft = setting.sft.model_copy(update={"learning_rate": 0.5})
    grounding = setting.grounding.model_copy(update={"learning_rate": 0.25})
    other = setting.model_copy(update={"sft": sft, "grounding": grounding})
    assert other.hash != setting.hash
    assert setting_of_trials(other).hash == setting_of_trials(setting).hash
    hashes = [[t.setting.hash for t in plan_grounding(s, tmp_path)] for s in (setting, other)]
    assert hashes[0] == hashes[1]
    assert setting_of_trials(changed(sft_rates=(2e-4, *RATES[1:]))).hash not in hashes[0]


def test_where_rates_are_own_methods_with_a_parent_are_not_tuned(setting):
    asked = chosen("mean", "gti", "lc_rec", "gti_shuffled")
    assert tuned_methods(setting, asked) == asked
    assert [m.key for m in tuned_methods(changed("own"), asked)] == ["mean", "gti"]
    with pytest.raises(TuningError, match=r"lc_rec, gti_shuffled: nothing to tune.* mean, gti;"):
        tuned_methods(changed("own"), asked[2:])


def test_grounding_rates_are_tried_where_there_are_some_and_a_method_uses_them(setting):
    assert tunes_grounding(setting, chosen("mean", "gti_shuffled"))
    assert not tunes_grounding(setting, chosen("mean", "lc_rec", "mean_two_phase"))
    assert not tunes_grounding(changed(grounding_rates=None), chosen("gti"))


def test_a_setting_without_a_table_is_told_what_to_add_and_that_table_works(setting):
    bare = setting.model_copy(update={"tuning": None})
    with pytest.raises(TuningError, match=r"add one with your own rates, such as:\n\[tuning\]"):
        tuning_of(bare)
    assert setting_of_trials(bare) == bare
    table = TuningSpec.model_validate(tomllib.loads(EXAMPLE)["tuning"])
    assert tuning_of(setting.model_copy(update={"tuning": table})) == table


def grounded(setting: Setting, results: Path, scores: list):
    """What trials of these held-out NLLs say: for each rate and seed a pair, or null."""
    for number, at_seeds in enumerate(scores, start=1):
        for seed, nll in zip(SEEDS, at_seeds, strict=True):
            grounding_trial(results, setting, number, seed, nll)
    (tried,) = read_tried(GROUNDING, plan_grounding(setting, results))
    return tried


def test_the_grounding_rate_has_the_lowest_mean_over_directions_and_seeds(setting, tmp_path):
    # Means by hand: (2+4+3+5)/4 = 3.5; (1+4)/2 = 2.5 and (3+4)/2 = 3.5, so 3.0; one diverged.
    tried = grounded(setting, tmp_path, [((2, 4), (3, 5)), ((1, 4), (3, 4)), ((0.5, 0.5), None)])
    assert [tried.mean(n) for n in tried.numbers] == [3.5, 3.0, None]
    assert tried.best == 2
    said = "\n".join(grounding_lines(setting, tried))
    assert "Grounding rate for all methods: 1e-2." in said
    assert "×" in said
    assert "highest" not in said


def test_equal_scores_go_to_the_lower_rate_and_an_edge_is_said(setting, tmp_path):
    tried = grounded(setting, tmp_path, [((1, 1), (1, 1))] * 3)
    assert tried.best == 1
    assert "is the lowest that was tried" in "\n".join(grounding_lines(setting, tried))


def test_a_rate_that_grounds_too_little_is_out_unless_all_are(setting, tmp_path):
    for number, cold in enumerate([(0.04, 0.20), (0.05, 0.06), (0.5, 0.5)], start=1):
        for seed, found in zip(SEEDS, cold, strict=True):
            grounding_trial(tmp_path, setting, number, seed, (number, number), found)
    (tried,) = read_tried(GROUNDING, plan_grounding(setting, tmp_path))
    assert (tried.able, tried.best) == ([2, 3], 2)
    said = " ".join("\n".join(grounding_lines(setting, tried)).split())
    assert "Out, whatever its NLL: 1e-3. Cold items are found by words of their titles at" in said
    for number in (1, 2, 3):
        grounding_trial(tmp_path, setting, number, SEEDS[0], (number, number), 0.0)
    (tried,) = read_tried(GROUNDING, plan_grounding(setting, tmp_path))
    assert (tried.able, tried.best) == ([1, 2, 3], 1)


def test_a_stage_in_which_all_diverged_has_no_rate(setting, tmp_path):
    tried = grounded(setting, tmp_path, [(None, None)] * 3)
    assert tried.best is None
    assert tried.diverged == 6
    assert "at each a trial diverged" in "\n".join(grounding_lines(setting, tried))


def spread(mean: float, by: float = 0.0) -> list[float]:
    """Values of eight users around `mean`, half of them `by` above and half below."""
    return [mean + by * sign for sign in (1, -1) * (USERS // 2)]


def tried_of(setting: Setting, results: Path, values: dict[str, dict[int, list]]):
    """What these trials say: method → seed → each rate's values of users, or null."""
    for key, at_seeds in values.items():
        for seed, rates in at_seeds.items():
            for number, nll in enumerate(rates, start=1):
                sft_trial(results, setting, key, number, seed, nll, 1e-2)
    plan = plan_sft(setting, chosen(*values), 1e-2, results)
    return read_tried(RATES, plan)


MEAN = [spread(6), spread(5), spread(4), spread(5), spread(6)]
"""Of `mean`: best at the third rate."""


def test_the_shared_rate_has_the_lowest_mean_over_methods_and_both_seeds(setting, tmp_path):
    gti = {
        100: [spread(6), spread(2), spread(4), spread(1), None],
        101: [spread(6), spread(4), spread(4), spread(9), spread(0)],
    }
    tried = tried_of(setting, tmp_path, {"mean": dict.fromkeys(SEEDS, MEAN), "gti": gti})
    found = sft_rates(tried, tmp_path)
    # Means of methods at the rates: (6+6)/2, (5+3)/2, (4+4)/2, (5+5)/2, none: 4.0 twice.
    assert found.shared == 2
    assert {own.key: own.rate for own in found.own} == {"mean": 1e-3, "gti": 3e-4}
    said = "\n".join(sft_lines(setting, tried, found))
    assert "One shared SFT rate for mean, gti: 3e-4 (mean trie_nll 4.0000)." in said
    assert "over all 8 users" in said
    assert "here all methods have one rate" in said
    assert "training diverged, at a seed at least (gti)" in said
    assert own_rates(setting, found) == {}


def leads_of(seed_100: list[float], seed_101: list[float], tmp_path: Path):
    """What is found where `gti` has these values at the second rate, and 4 ± 0 at the third."""
    setting = changed("own")
    gti = {
        seed: [spread(7), values, spread(4), spread(7), spread(7)]
        for seed, values in zip(SEEDS, (seed_100, seed_101), strict=True)
    }
    tried = tried_of(setting, tmp_path, {"mean": dict.fromkeys(SEEDS, MEAN), "gti": gti})
    found = sft_rates(tried, tmp_path)
    assert found.shared == 3
    return setting, tried, found


def test_an_own_rate_leads_by_two_standard_errors_at_both_seeds(tmp_path):
    setting, tried, found = leads_of(spread(3.5, 0.1), spread(3.6, 0.2), tmp_path)
    leads = found.own[1].leads
    for seed, mean, by in ((100, 0.5, 0.1), (101, 0.4, 0.2)):
        expected = np.std(spread(0, by), ddof=1) / math.sqrt(USERS)
        assert leads[seed].mean == pytest.approx(mean)
        assert leads[seed].error == pytest.approx(expected)
    assert own_rates(setting, found) == {"gti": 3e-4}
    gets = [line.split() for line in sft_lines(setting, tried, found)[5].splitlines()]
    assert [line[-1] for line in gets if line[0] in ("mean", "gti")] == ["shared", "own"]


@pytest.mark.parametrize(
    ("seed_100", "seed_101"),
    [
        (spread(3.0, 0.1), spread(3.9, 1.0)),  # the second seed's lead is noise
        (spread(3.9, 1.0), spread(3.0, 0.1)),
        (spread(2.0, 0.1), spread(4.1, 0.1)),  # at the second seed it is worse
    ],
)
def test_an_own_rate_that_leads_clearly_at_one_seed_alone_is_not_taken(
    seed_100, seed_101, tmp_path
):
    setting, _, found = leads_of(seed_100, seed_101, tmp_path)
    assert found.own[1].rate == 3e-4
    assert own_rates(setting, found) == {}


def test_a_lead_of_a_single_user_or_of_nothing_is_not_clear():
    assert not Lead(1.0, None).clear
    assert not Lead(0.0, 0.0).clear
    assert Lead(0.2, 0.1).clear
    assert not Lead(0.199, 0.1).clear


def test_a_rate_at_which_a_trial_diverged_cannot_be_shared(setting, tmp_path):
    none = [None] * 5
    tried = tried_of(setting, tmp_path, {"mean": dict.fromkeys(SEEDS, none)})
    found = sft_rates(tried, tmp_path)
    assert (found.shared, found.own) == (None, ())
    assert "No shared rate" in "\n".join(sft_lines(setting, tried, found))


def test_a_method_that_lacks_a_trial_is_left_out(setting, tmp_path):
    values = {"mean": dict.fromkeys(SEEDS, MEAN), "random": {100: MEAN}}
    assert [each.key for each in tried_of(setting, tmp_path, values)] == ["mean"]
