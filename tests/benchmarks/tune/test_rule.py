"""The rule of tuning: points computed by hand, axes, refusals, best and shared rates."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import qmc

from baselines.registry import methods
from benchmarks.cell.identity import AXES, axes_of, method_card
from benchmarks.inputs.catalogue import find_setting
from benchmarks.tune.rule import (
    Tuned,
    TuningError,
    place_between,
    plan_trials,
    point,
    radical_inverse,
    shared_rate,
    tuning_of,
)
from leaderboard.records.record import PROTOCOL_VERSION, cell_hash
from leaderboard.records.setting import MethodParameters, Setting
from leaderboard.records.specs import TuningSpec
from leaderboard.records.trial import Trial

TUNING = {
    "trials": 4,
    "seed": 100,
    "sft_learning_rate": (1e-4, 1e-2),
    "grounding_learning_rate": (1e-3, 1e-1),
    "auxiliary_loss_weight": (0.1, 10.0),
}


@pytest.fixture
def setting() -> Setting:
    return changed()


def changed(**changes: object) -> Setting:
    """A shipped setting with our tuning table; `changes` are fields of the table."""
    content = find_setting("ml-100k-nano").setting.model_dump()
    return Setting.model_validate({**content, "tuning": {**TUNING, **changes}})


def test_points_are_those_computed_by_hand(setting):
    # Base 2: 1/2, 1/4, 3/4, 1/8 between 1e-4 and 1e-2: 1e-4 · 100^share.
    # Base 3: 1/3, 2/3, 1/9, 4/9 between 1e-3 and 1e-1. Base 5: 1/5, 2/5, 3/5, 4/5 of 0.1 … 10.
    points = [point(setting.tuning, tuple(AXES), number) for number in (1, 2, 3, 4)]
    assert [p.sft_learning_rate for p in points] == [1e-3, 3.2e-4, 3.2e-3, 1.8e-4]
    assert [p.grounding_learning_rate for p in points] == [4.6e-3, 2.2e-2, 1.7e-3, 7.7e-3]
    assert [p.auxiliary_loss_weight for p in points] == [0.25, 0.63, 1.6, 4.0]


def test_the_sequence_is_scipys_unscrambled_halton_without_its_zeroth_point():
    # The first three bases of scipy's sequence are 2, 3 and 5 as well.
    expected = qmc.Halton(d=3, scramble=False).random(33)[1:]
    found = [[radical_inverse(n, base) for base in AXES.values()] for n in range(1, 33)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_values_have_two_digits_and_stay_between_the_bounds():
    assert place_between(0.5, 1e-4, 1e-2) == 1e-3
    assert place_between(0.99, 1.04e-3, 1.06e-3) == 1.06e-3  # 1.1e-3 lies outside
    assert place_between(0.7, 3e-3, 3e-3) == 3e-3


def test_methods_have_the_axes_that_act_on_them():
    known = methods()
    assert axes_of(known["mean"]) == ("sft_learning_rate",)
    assert axes_of(known["gti"]) == ("sft_learning_rate", "grounding_learning_rate")
    assert axes_of(known["lc_rec"]) == ("sft_learning_rate", "auxiliary_loss_weight")


def test_all_methods_get_equal_trials_at_the_same_sft_rates_round_by_round(setting, tmp_path):
    chosen = [methods()[key] for key in ("mean", "gti", "lc_rec")]
    trials = plan_trials(setting, chosen, tmp_path)
    assert [(t.number, t.card.key) for t in trials[:4]] == [
        (1, "mean"), (1, "gti"), (1, "lc_rec"), (2, "mean"),
    ]  # fmt: skip
    rates = {
        key: [t.card.parameters.sft_learning_rate for t in trials if t.card.key == key]
        for key in ("mean", "gti", "lc_rec")
    }
    assert rates["mean"] == rates["gti"] == rates["lc_rec"]
    assert len(rates["mean"]) == 4
    assert {t.seed for t in trials} == {100}
    assert {t.state for t in trials} == {"missing"}


def test_more_trials_keep_the_earlier_points(setting, tmp_path):
    few = plan_trials(setting, [methods()["gti"]], tmp_path)
    more = plan_trials(changed(trials=7), [methods()["gti"]], tmp_path)
    assert [t.card.parameters for t in more[:4]] == [t.card.parameters for t in few]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "tuning.seed = 1 is one of its seeds"),
        ({"sft_learning_rate": (1e-2, 1e-4)}, "has its bounds swapped"),
        ({"sft_learning_rate": (1e-3, 1.01e-3)}, "the same point after rounding"),
    ],
)
def test_what_cannot_be_tuned_is_refused(tmp_path, changes, message):
    with pytest.raises(TuningError, match=message):
        plan_trials(changed(**changes), [methods()["mean"]], tmp_path)


def test_a_setting_without_a_table_is_told_what_to_add(setting):
    with pytest.raises(TuningError, match=r"add one with your own bounds, such as:\n\[tuning\]"):
        tuning_of(setting.model_copy(update={"tuning": None}))


def test_a_setting_without_the_score_is_refused(setting):
    narrow = setting.decoding.model_copy(update={"beam": 5})
    with pytest.raises(TuningError, match=r"beam of at least 10 \(found 5\)"):
        tuning_of(setting.model_copy(update={"decoding": narrow}))


def test_the_example_in_the_message_is_a_table_that_works(setting):
    import tomllib

    from benchmarks.tune.rule import EXAMPLE

    table = TuningSpec.model_validate(tomllib.loads(EXAMPLE)["tuning"])
    assert tuning_of(setting.model_copy(update={"tuning": table})) == table


def trial_of(setting: Setting, key: str, number: int, score: float | None) -> Trial:
    """A trial as it would be read, with nothing but what the comparison needs."""
    own = point(setting.tuning, axes_of(methods()[key]), number)
    card = method_card(methods()[key], own)
    return Trial.model_construct(
        setting=setting,
        method=card,
        number=number,
        protocol=PROTOCOL_VERSION,
        cell_hash=cell_hash(setting.hash, card.hash, 100),
        score=score,
        num_users=10,
    )


def tuned(setting: Setting, key: str, *scores: float | None) -> Tuned:
    trials = {n: trial_of(setting, key, n, score) for n, score in enumerate(scores, start=1)}
    return Tuned(key, trials, None, None, None, None)


def test_the_shared_rate_has_the_best_mean_and_no_diverged_trial(setting):
    both = [
        tuned(setting, "mean", 0.02, 0.05, None, 0.01),
        tuned(setting, "gti", 0.04, 0.02, 0.9, 0.01),
    ]
    found = shared_rate(both)
    assert (found.number, found.rate) == (2, 3.2e-4)
    assert found.score == pytest.approx(0.035)
    assert shared_rate([tuned(setting, "mean", None, None)]) is None
    assert both[0].diverged == 1


def test_equal_scores_go_to_the_earlier_trial(setting, monkeypatch):
    from benchmarks.tune import rule as tuning

    monkeypatch.setattr(tuning, "paired_lead", lambda best, second, results: (0.0, 0.001))
    trials = {n: trial_of(setting, "mean", n, s) for n, s in ((1, 0.1), (2, None), (3, 0.1))}
    found = tuning.tuned_of("mean", trials, Path("nowhere"))
    assert (found.best.number, found.second.number) == (1, 3)
    assert shared_rate([found]).number == 1
    assert math.isclose(found.best.method.parameters.sft_learning_rate, 1e-3)


def test_a_method_without_any_score_has_no_best(setting):
    from benchmarks.tune.rule import tuned_of

    found = tuned_of("mean", {1: trial_of(setting, "mean", 1, None)}, Path("nowhere"))
    assert found.best is found.second is found.lead is None
    assert MethodParameters() != trial_of(setting, "mean", 1, None).method.parameters
