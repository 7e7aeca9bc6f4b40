"""Tuning by one rule for all methods.

- Every method gets the same *total* number of trials, however many things it has to tune:
  `tuning.trials`. Each is a whole run with the full budget at `tuning.seed`, which no board uses.
- The score is validation `ndcg@10` over all users at the last step. Test data is not scored.
- A method has the axes that act on it: the SFT rate always; the grounding rate where it trains
  rows alone before SFT; the weight of the auxiliary loss where it has alignment tasks.
- Trial n is point n of the Halton sequence: axis by axis the radical inverse of n in base 2 (SFT
  rate), 3 (grounding rate) and 5 (auxiliary weight), laid evenly in the logarithm between the
  setting's bounds and rounded to two significant digits. All methods therefore try the very same
  SFT rates, and asking for more trials later keeps those that were run.
- The best point is the one of highest score, the earlier of equal ones. A trial that diverged
  counts as a trial and cannot be the best.
- Beside it stands one shared SFT rate for all: the one tried whose score, averaged over the tuned
  methods, is highest; a rate at which one of them diverged cannot be it.
- One seed and so many users are noisy: the best point's lead over the second best is given with
  its standard error, paired over users.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.cell.identity import AXES, axes_of, method_card
from benchmarks.tune.trial import PlannedTrial, plan_trial
from gti.method import Method
from leaderboard.metrics.metrics import MAIN_METRIC, is_defined, per_user, relevance_of
from leaderboard.records.ranks import read_ranks
from leaderboard.records.record import ranks_path
from leaderboard.records.setting import MethodParameters, Setting
from leaderboard.records.specs import TuningSpec
from leaderboard.records.trial import Trial, read_trial, trial_path

SFT_RATE = "sft_learning_rate"

EXAMPLE = """\
[tuning]
trials = 4
seed = 100
sft_learning_rate = [2.5e-4, 4e-3]
grounding_learning_rate = [1e-3, 1e-1]
auxiliary_loss_weight = [0.25, 4.0]"""


class TuningError(ValueError):
    """A setting that cannot be tuned; the message says what to change in it."""


def tuning_of(setting: Setting) -> TuningSpec:
    """The setting's `[tuning]` table, checked.

    Raises:
        TuningError: no such table, a seed that the setting's board uses, swapped bounds, or a
            score that the setting does not define.
    """
    tuning = setting.tuning
    if tuning is None:
        raise TuningError(
            f"setting {setting.name} has no [tuning] table, so there is nothing to draw from; add"
            f" one with your own bounds, such as:\n{EXAMPLE}"
        )
    if tuning.seed in setting.seeds:
        raise TuningError(
            f"setting {setting.name}: tuning.seed = {tuning.seed} is one of its seeds"
            f" {list(setting.seeds)}; rates must not be tuned on a seed that the board shows"
        )
    for axis in AXES:
        low, high = getattr(tuning, axis)
        if low > high:
            raise TuningError(
                f"setting {setting.name}: tuning.{axis} = [{low:g}, {high:g}] has its bounds"
                " swapped; give the lower one first"
            )
    cutoff_there = 10 in setting.evaluation.cutoffs
    if not cutoff_there or not is_defined(MAIN_METRIC, setting.decoding.beam):
        raise TuningError(
            f"setting {setting.name} does not define {MAIN_METRIC}, the score of a trial: it needs"
            f" cutoff 10 (found {list(setting.evaluation.cutoffs)}) and a beam of at least 10"
            f" (found {setting.decoding.beam})"
        )
    return tuning


def radical_inverse(number: int, base: int) -> float:
    """The digits of `number` in `base`, mirrored at the point (van der Corput): in [0, 1)."""
    inverse, unit = 0.0, 1.0
    while number:
        number, digit = divmod(number, base)
        unit /= base
        inverse += digit * unit
    return inverse


def place_between(share: float, low: float, high: float) -> float:
    """The value at `share` of the way from `low` to `high` in the logarithm, to two digits."""
    value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    return min(max(float(f"{value:.1e}"), low), high)


def point(tuning: TuningSpec, axes: Sequence[str], number: int) -> MethodParameters:
    """Point `number` (from 1) of the sequence along `axes`."""
    return MethodParameters(
        **{
            axis: place_between(radical_inverse(number, AXES[axis]), *getattr(tuning, axis))
            for axis in axes
        }
    )


def plan_trials(setting: Setting, methods: Sequence[Method], results: Path) -> list[PlannedTrial]:
    """All trials of `methods`, round by round, so that an early end leaves equal numbers.

    Raises:
        TuningError: what `tuning_of` refuses, or bounds so close that two trials are one point.
    """
    tuning = tuning_of(setting)
    for method in methods:
        seen: dict[MethodParameters, int] = {}
        for number in range(1, tuning.trials + 1):
            own = point(tuning, axes_of(method), number)
            if seen.setdefault(own, number) != number:
                raise TuningError(
                    f"setting {setting.name}: trials {seen[own]} and {number} of {method.key} are"
                    " the same point after rounding; widen the bounds in [tuning], or lower trials"
                )
    return [
        plan_trial(
            setting,
            method_card(method, point(tuning, axes_of(method), number)),
            tuning.seed,
            number,
            results,
        )
        for number in range(1, tuning.trials + 1)
        for method in methods
    ]


@dataclass(frozen=True)
class Tuned:
    """What the trials of one method say.

    Attributes:
        key: the method.
        trials: by number.
        best: of highest score; null where all diverged.
        second: the runner-up; null where there is none.
        lead: best - second.
        lead_error: its standard error over users, paired; says nothing about other seeds.
    """

    key: str
    trials: dict[int, Trial]
    best: Trial | None
    second: Trial | None
    lead: float | None
    lead_error: float | None

    @property
    def diverged(self) -> int:
        """How many trials have no score."""
        return sum(trial.score is None for trial in self.trials.values())


def read_tuned(results: Path, trials: Sequence[PlannedTrial]) -> list[Tuned]:
    """What `trials` say, method by method; a method of which one is not done is left out."""
    by_method: dict[str, list[PlannedTrial]] = {}
    for trial in trials:
        by_method.setdefault(trial.card.key, []).append(trial)
    return [
        tuned_of(key, {trial.number: read_trial(trial.path) for trial in own}, results)
        for key, own in by_method.items()
        if all(trial.state == "done" for trial in own)
    ]


def tuned_of(key: str, trials: dict[int, Trial], results: Path) -> Tuned:
    """Best and second best of one method's `trials`."""
    scored = [trial for trial in trials.values() if trial.score is not None]
    ranked = sorted(scored, key=lambda trial: (-(trial.score or 0.0), trial.number))
    best = ranked[0] if ranked else None
    second = ranked[1] if len(ranked) > 1 else None
    lead, error = None, None
    if best is not None and second is not None:
        lead, error = paired_lead(best, second, results)
    return Tuned(key, dict(sorted(trials.items())), best, second, lead, error)


def paired_lead(best: Trial, second: Trial, results: Path) -> tuple[float, float | None]:
    """Mean difference of two trials over users, and its standard error."""
    values = []
    for trial in (best, second):
        path = trial_path(results, trial.setting.name, trial.method.key, trial.number)
        ranks = read_ranks(ranks_path(path))
        values.append(per_user(ranks, MAIN_METRIC, relevance_of(trial.setting))[1])
    differences = values[0] - values[1]
    count = len(differences)
    error = float(np.std(differences, ddof=1)) / math.sqrt(count) if count > 1 else None
    return float(differences.mean()), error


@dataclass(frozen=True)
class SharedRate:
    """One SFT rate for all tuned methods.

    Attributes:
        number: the trial that tried it.
        rate: the SFT rate; where a method has further axes, its trial of that number stands for it.
        score: mean over the methods.
    """

    number: int
    rate: float
    score: float


def shared_rate(tuned: Sequence[Tuned]) -> SharedRate | None:
    """The SFT rate of the best mean score over `tuned`; null where none has all scores."""
    found: list[SharedRate] = []
    for number in tuned[0].trials if tuned else ():
        trials = [each.trials[number] for each in tuned]
        scores = [trial.score for trial in trials if trial.score is not None]
        rate = trials[0].method.parameters.sft_learning_rate
        if len(scores) == len(trials) and rate is not None:
            found.append(SharedRate(number, rate, math.fsum(scores) / len(scores)))
    return max(found, key=lambda each: (each.score, -each.number), default=None)
