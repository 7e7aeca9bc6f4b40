"""Tuning by one rule for all methods, in two stages; test data is not scored in either.

1. The *grounding rate*, of `gti` alone: each of `tuning.grounding_rates` grounds rows at the
   `tuning.seeds`, two or one, without SFT, and is scored by the NLL per answer token of pairs that
   are held out of grounding, as a mean over directions and seeds. The lowest is the setting's;
   where items are of kinds, among the rates that ground at all (`grounds`), if any does.
2. The *SFT rate*, of every method that is tuned: each of the five `tuning.sft_rates`, a whole run
   at each seed, scored by `trie_nll` over validation (of queries where items are of kinds, over
   those for items that are trained on). The rate whose mean over methods and
   seeds is lowest is the shared one. Where `sft.rates` is "own", a method's best rate is its own if
   it leads the shared one by two standard errors, paired over users, at both seeds. Methods with a
   `parent` have that one's rates, and are not tuned there.

Equal scores go to the lower rate. A trial that diverged counts as a trial, and its rate is out.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.cell.identity import axes_of
from benchmarks.tune.trial import PlannedTrial, plan_trial
from gti.method import Method
from leaderboard.board.treatment import LEAST_FOUND
from leaderboard.metrics.metrics import per_user, relevance_of
from leaderboard.records.ranks import read_ranks
from leaderboard.records.record import ranks_path
from leaderboard.records.setting import MethodParameters, Setting
from leaderboard.records.specs import TuningSpec
from leaderboard.records.trial import SCORES, Trial, TrialName, judged, read_trial, trial_path

GROUNDED = "gti"
"""The method whose grounding rate is that of all: the others are its controls."""
CLEAR = 2.0
"""Standard errors by which an own rate must lead, at each seed."""
EXAMPLE = """\
[tuning]
seeds = [100, 101]
grounding_rates = [1e-3, 3e-3, 1e-2, 3e-2, 1e-1]
sft_rates = [2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3]"""


class TuningError(ValueError):
    """A setting or a choice of methods that cannot be tuned; the message says what to change."""


def tuning_of(setting: Setting) -> TuningSpec:
    """The setting's `[tuning]` table.

    Raises:
        TuningError: there is none.
    """
    if setting.tuning is None:
        raise TuningError(
            f"setting {setting.name} has no [tuning] table, so there is nothing to try; add one"
            f" with your own rates, such as:\n{EXAMPLE}"
        )
    return setting.tuning


def tuned_methods(setting: Setting, chosen: Sequence[Method]) -> list[Method]:
    """Those of `chosen` whose SFT rate counts: where rates are own, methods without a parent.

    Raises:
        TuningError: none is left.
    """
    if setting.sft.rates == "shared":
        return list(chosen)
    tuned = [method for method in chosen if method.parent is None]
    if not tuned:
        parents = dict.fromkeys(str(method.parent) for method in chosen)
        raise TuningError(
            f"{', '.join(method.key for method in chosen)}: nothing to tune, their rates are those"
            f" of {', '.join(parents)}; name these with --methods"
        )
    return tuned


def tunes_grounding(setting: Setting, tuned: Sequence[Method]) -> bool:
    """Whether there are grounding rates to try, and one of the methods has a use for them."""
    grounded = any("grounding_learning_rate" in axes_of(method) for method in tuned)
    return grounded and tuning_of(setting).grounding_rates is not None


def plan_grounding(setting: Setting, results: Path) -> list[PlannedTrial]:
    """The trials of the first stage, round by round."""
    from baselines.registry import methods

    tuning = tuning_of(setting)
    return [
        plan_trial(
            setting,
            methods()[GROUNDED],
            MethodParameters(grounding_learning_rate=rate),
            seed,
            TrialName(stage="grounding", number=number),
            results,
        )
        for number, rate in enumerate(tuning.grounding_rates or (), start=1)
        for seed in tuning.seeds
    ]


def plan_sft(
    setting: Setting, tuned: Sequence[Method], grounding_rate: float | None, results: Path
) -> list[PlannedTrial]:
    """The trials of the second stage, round by round, so that an early end leaves equal numbers.

    Args:
        setting: which.
        tuned: the methods.
        grounding_rate: what the first stage found; null: the setting's own.
        results: where trials lie.
    """
    tuning = tuning_of(setting)

    def point(method: Method, rate: float) -> MethodParameters:
        grounded = "grounding_learning_rate" in axes_of(method)
        return MethodParameters(
            sft_learning_rate=rate, grounding_learning_rate=grounding_rate if grounded else None
        )

    return [
        plan_trial(
            setting,
            method,
            point(method, rate),
            seed,
            TrialName(stage="sft", number=number),
            results,
        )
        for number, rate in enumerate(tuning.sft_rates, start=1)
        for seed in tuning.seeds
        for method in tuned
    ]


@dataclass(frozen=True)
class Tried:
    """What the trials of one method say in one stage.

    Attributes:
        key: the method.
        rates: those tried, rising.
        trials: (number from 1, seed) → trial.
    """

    key: str
    rates: tuple[float, ...]
    trials: dict[tuple[int, int], Trial]

    @property
    def numbers(self) -> range:
        """Of the rates."""
        return range(1, len(self.rates) + 1)

    @property
    def seeds(self) -> list[int]:
        """At which each was tried."""
        return list(dict.fromkeys(seed for _, seed in self.trials))

    def mean(self, number: int) -> float | None:
        """Mean score of a rate over the seeds; null where one diverged."""
        scores = [self.trials[number, seed].score for seed in self.seeds]
        found = [score for score in scores if score is not None]
        return math.fsum(found) / len(found) if len(found) == len(scores) else None

    @property
    def able(self) -> list[int]:
        """Numbers of the rates that ground at every seed; all where none does, or none grounds."""
        found = [n for n in self.numbers if all(grounds(self.trials[n, s]) for s in self.seeds)]
        return found or list(self.numbers)

    @property
    def best(self) -> int | None:
        """The number of the able rate of lowest mean score; null where all diverged."""
        return lowest(self.able, self.mean)

    @property
    def diverged(self) -> int:
        """How many trials have no score."""
        return sum(trial.score is None for trial in self.trials.values())


def grounds(trial: Trial) -> bool:
    """Whether cold items, whose titles were shown, are found by words of them as grounding must be.

    That is at `LEAST_FOUND` times chance before SFT. A low rate has a low NLL of held-out pairs and
    may have taught hardly anything of those shown. True where the trial does not measure it.
    """
    found = None if trial.treatment is None else trial.treatment.found.get("cold")
    return found is None or found.recall >= LEAST_FOUND * found.chance


def lowest(numbers: Sequence[int], score: Callable[[int], float | None]) -> int | None:
    """The first of `numbers` whose score is lowest; null where none has one."""
    found = {number: value for number in numbers if (value := score(number)) is not None}
    return min(found, key=lambda number: (found[number], number), default=None)


def read_tried(rates: Sequence[float], trials: Sequence[PlannedTrial]) -> list[Tried]:
    """What `trials` of one stage say, method by method; one that lacks a trial is left out."""
    by_method: dict[str, list[PlannedTrial]] = {}
    for trial in trials:
        by_method.setdefault(trial.card.key, []).append(trial)
    return [
        Tried(key, tuple(rates), {(t.name.number, t.seed): read_trial(t.path) for t in own})
        for key, own in by_method.items()
        if all(trial.state == "done" for trial in own)
    ]


def mean_of_all(tried: Sequence[Tried], number: int) -> float | None:
    """Mean score of a rate over methods and seeds; null where a trial of it diverged."""
    means = [each.mean(number) for each in tried]
    found = [mean for mean in means if mean is not None]
    return math.fsum(found) / len(found) if found and len(found) == len(means) else None


@dataclass(frozen=True)
class Lead:
    """By how much one rate's `trie_nll` is lower than another's, for one method at one seed.

    Attributes:
        mean: over users.
        error: its standard error, paired over users; null for a single user.
    """

    mean: float
    error: float | None

    @property
    def clear(self) -> bool:
        """Whether it is more than noise over users."""
        return self.error is not None and self.mean > 0 and self.mean >= CLEAR * self.error


def lead_of(better: Trial, other: Trial, results: Path) -> Lead:
    """How far `better` leads `other`, from the ranks of both."""
    values = []
    for trial in (other, better):
        name = TrialName(stage=trial.stage, number=trial.number)
        path = trial_path(results, trial.setting.name, trial.method.key, name, trial.seed)
        ranks = judged(read_ranks(ranks_path(path)), trial.setting)
        values.append(per_user(ranks, SCORES["sft"], relevance_of(trial.setting))[1])
    differences = values[0] - values[1]
    count = len(differences)
    error = float(np.std(differences, ddof=1)) / math.sqrt(count) if count > 1 else None
    return Lead(float(differences.mean()), error)


@dataclass(frozen=True)
class OwnRate:
    """A method's best SFT rate beside the shared one.

    Attributes:
        key: the method.
        rate: its best.
        leads: seed → how far it leads the shared rate; empty where it is that one.
    """

    key: str
    rate: float
    leads: dict[int, Lead]

    @property
    def clear(self) -> bool:
        """Whether it leads clearly at every seed."""
        return bool(self.leads) and all(lead.clear for lead in self.leads.values())


@dataclass(frozen=True)
class SftRates:
    """What the second stage found.

    Attributes:
        shared: number of the shared rate; null where at each rate a trial diverged.
        own: each method's best rate.
    """

    shared: int | None
    own: tuple[OwnRate, ...]


def sft_rates(tried: Sequence[Tried], results: Path) -> SftRates:
    """The shared rate, and how far each method's best one leads it."""
    numbers = tried[0].numbers if tried else ()
    shared = lowest(numbers, lambda number: mean_of_all(tried, number))
    own = []
    for each in tried:
        best = each.best
        if shared is None or best is None:
            continue
        leads = {
            seed: lead_of(each.trials[best, seed], each.trials[shared, seed], results)
            for seed in each.seeds
            if best != shared
        }
        own.append(OwnRate(each.key, each.rates[best - 1], leads))
    return SftRates(shared, tuple(own))
