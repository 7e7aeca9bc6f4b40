"""Learning curves as figures: who gets to `mean`'s final validation score sooner, who ends higher.

All cells of a setting score the same validation users at the same shares of SFT. At a seed the
target is what `mean` of that seed scored at its last step; a method reaches it where its curve
first crosses it, interpolated linearly between scored points. `mean` is timed by the same rule: a
noisy curve crosses its own final score before its end, and were `mean` timed at its end, noise
alone would make every other method look faster.

A stage before SFT costs FLOPs and time, so both are given twice: from the start of SFT, and with
all that the cell spent before. Time is given as measured and at one pace
(`leaderboard.board.pace`): only the latter compares methods.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leaderboard.board.pace import Pace
from leaderboard.metrics.metrics import is_loss
from leaderboard.records.record import Record

BEFORE_SFT = ("init", "grounding", "grounding_free")
"""Stages whose cost a method has behind it when SFT starts."""


@dataclass(frozen=True)
class Spent:
    """What a cell had spent at some point of SFT.

    Attributes:
        steps: optimiser steps of SFT, fractional where interpolated.
        nominal_flops, seconds: since the start of SFT; scoring takes no time here.
        nominal_flops_before, seconds_before: in the stages before SFT.
        paced, paced_before: the seconds at one pace; null where it or the FLOPs are unknown.
    """

    steps: float
    nominal_flops: float
    seconds: float
    nominal_flops_before: float
    seconds_before: float
    paced: float | None
    paced_before: float | None


@dataclass(frozen=True)
class Learning:
    """How one method learns, against `mean` on the seeds that both have.

    Attributes:
        key: the method.
        metric: scored on the validation sample.
        start, end: mean score at step 0 and at the last step.
        difference: mean of end - `mean`'s end, seed by seed; 0 for `mean`.
        difference_sd: its standard deviation over seeds; null with one seed.
        num_seeds: seeds with a target: both have a curve and `mean` ended above 0 (of a loss,
            wherever it ended).
        num_reached: those of them at which the target was reached; the rest is over these alone.
        steps: of SFT until the target; null where no seed reached it, as the following.
        nominal_flops, seconds: since the start of SFT; seconds as measured.
        nominal_flops_in_all, seconds_in_all: with the stages before SFT.
        paced_seconds, paced_seconds_in_all: the seconds at one pace.
    """

    key: str
    metric: str
    start: float
    end: float
    difference: float
    difference_sd: float | None
    num_seeds: int
    num_reached: int
    steps: float | None
    nominal_flops: float | None
    seconds: float | None
    nominal_flops_in_all: float | None
    seconds_in_all: float | None
    paced_seconds: float | None
    paced_seconds_in_all: float | None


def flops_before_sft(record: Record) -> float:
    """Nominal FLOPs of the stages before SFT."""
    costs = (record.cost[stage] for stage in BEFORE_SFT if stage in record.cost)
    return math.fsum(cost.nominal_flops or 0.0 for cost in costs)


def seconds_before_sft(record: Record) -> float:
    """Seconds of the stages before SFT; loading the backbone is none of them."""
    return math.fsum(record.cost[s].seconds for s in BEFORE_SFT if s in record.cost)


def paced_before_sft(record: Record, pace: Pace) -> float | None:
    """The seconds of the stages before SFT at `pace`; null where one of them is unknown."""
    return _total([pace.seconds(s, record.cost[s]) for s in BEFORE_SFT if s in record.cost])


def crossing(values: Sequence[float], target: float) -> float | None:
    """Where `values` first rise to `target`, as a fractional index; null where they never do."""
    for place, value in enumerate(values):
        if value >= target:
            if place == 0:
                return 0.0
            last = values[place - 1]
            return place - 1 + (target - last) / (value - last)
    return None


def curve_of(record: Record, metric: str) -> list[float] | None:
    """`metric` at each point of the learning curve; null without a curve or where it is null."""
    values = [point.metrics.get(metric) for point in record.learning_curve]
    known = [value for value in values if value is not None]
    return known if known and len(known) == len(values) else None


def spent_at(record: Record, place: float, pace: Pace | None = None) -> Spent:
    """What `record`'s cell had spent at the fractional index `place` of its curve."""
    points = record.learning_curve
    low = min(int(place), len(points) - 1)
    high = min(low + 1, len(points) - 1)

    def between(name: str) -> float:
        first, second = (float(getattr(points[i], name)) for i in (low, high))
        return first + (place - low) * (second - first)

    nominal_flops = between("nominal_flops")
    return Spent(
        steps=between("step"),
        nominal_flops=nominal_flops,
        seconds=between("seconds") - points[0].seconds,
        nominal_flops_before=flops_before_sft(record),
        seconds_before=seconds_before_sft(record),
        paced=None if pace is None else nominal_flops / pace.rates["sft"],
        paced_before=None if pace is None else paced_before_sft(record, pace),
    )


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _total(values: Sequence[float | None]) -> float | None:
    """The sum; null where a part of it is."""
    known = [value for value in values if value is not None]
    return math.fsum(known) if len(known) == len(values) else None


def _known_mean(values: Sequence[float | None]) -> float | None:
    """The mean; null where a value is, or there is none."""
    known = [value for value in values if value is not None]
    return _mean(known) if len(known) == len(values) else None


def learning_of(
    key: str,
    own: Mapping[int, Record],
    base: Mapping[int, Record],
    metric: str,
    pace: Pace | None = None,
) -> Learning | None:
    """How the cells `own` learn against those of `mean`.

    Args:
        key: the method.
        own: seed → record of the method.
        base: seed → record of `mean`.
        metric: of the validation sample.
        pace: of the board; null where it has none.

    Returns:
        null where no seed has both curves with `metric`.
    """
    starts, ends, differences = [], [], []
    reached: list[Spent] = []
    targets = 0
    for seed in sorted(own.keys() & base.keys()):
        curve, reference = curve_of(own[seed], metric), curve_of(base[seed], metric)
        if curve is None or reference is None:
            continue
        target = reference[-1]
        starts.append(curve[0])
        ends.append(curve[-1])
        differences.append(curve[-1] - target)
        if target > 0 or is_loss(metric):
            targets += 1
            # A loss falls to its target: turned round it rises.
            sign = -1 if is_loss(metric) else 1
            place = crossing([sign * value for value in curve], sign * target)
            if place is not None:
                reached.append(spent_at(own[seed], place, pace))
    start, end, difference = _mean(starts), _mean(ends), _mean(differences)
    if start is None or end is None or difference is None:
        return None
    squares = math.fsum((value - difference) ** 2 for value in differences)
    count = len(differences)
    return Learning(
        key=key,
        metric=metric,
        start=start,
        end=end,
        difference=difference,
        difference_sd=math.sqrt(squares / (count - 1)) if count > 1 else None,
        num_seeds=targets,
        num_reached=len(reached),
        steps=_mean([spent.steps for spent in reached]),
        nominal_flops=_mean([spent.nominal_flops for spent in reached]),
        seconds=_mean([spent.seconds for spent in reached]),
        nominal_flops_in_all=_mean([s.nominal_flops + s.nominal_flops_before for s in reached]),
        seconds_in_all=_mean([s.seconds + s.seconds_before for s in reached]),
        paced_seconds=_known_mean([s.paced for s in reached]),
        paced_seconds_in_all=_known_mean([_total([s.paced, s.paced_before]) for s in reached]),
    )
