"""One method or reference against another of the same setting: paired, with what could be seen.

Two methods share seeds and users, so their difference is a crossed matrix over the seeds that both
have (`leaderboard.statistics.crossed`). References need not have seeds: one that stands alone is
set against every seed of the other side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from leaderboard.board.board import check_mix
from leaderboard.board.checks import Checks
from leaderboard.board.method_rows import FLOOR, under_trained
from leaderboard.board.user_scores import (
    Floats,
    UserScores,
    members_of,
    null_because,
    read_scores,
)
from leaderboard.metrics.metrics import MAIN_METRIC, is_loss
from leaderboard.metrics.slices import extent_of_slice
from leaderboard.records.cells import Cell, LeaderboardError, by_setting, load_cells, named_seeds
from leaderboard.records.record import Record
from leaderboard.records.setting import Setting
from leaderboard.statistics.corrections import holm
from leaderboard.statistics.crossed import (
    LEVEL,
    Estimate,
    estimate,
    mean_squares,
    seeds_needed,
    smallest_difference,
)

Verdict = Literal["a better", "b better", "not shown", "no verdict"]
"""*No verdict*: grounding that did not take, or something else that differs between the two."""


@dataclass(frozen=True)
class SeedDifference:
    """Means over the users at one seed; `seed` is None where neither side has seeds."""

    seed: int | None
    a: float
    b: float
    difference: float


@dataclass(frozen=True)
class SliceDifference:
    """The difference among the users of one slice.

    Args:
        name: the slice.
        extent: what its users have in common.
        estimate: of a - b.
        p: corrected by Holm over the slices.
    """

    name: str
    extent: str
    estimate: Estimate
    p: float | None


@dataclass(frozen=True)
class Comparison:
    """`a` - `b` on the seeds and users that both have.

    Args:
        setting: of both.
        setting_hash: its hash.
        metric: on the test split.
        a: key of the first method or reference.
        b: key of the second.
        a_mean: mean of the first over the seeds compared and all users.
        b_mean: mean of the second over the same.
        estimate: mean of the difference, 95 % interval, p of this one comparison.
        smallest: smallest true difference that would be shown four times in five; None where
            nothing varies.
        seeds_needed: seeds at which a difference as large as the one found would be shown so
            often; None where unknown or more seeds would not do.
        verdict: who is better, as far as can be shown at the 5 % level.
        obstacles: why there is no verdict.
        by_seed: the difference at each seed.
        slices: among the users of each slice that has more than one.
        paths: the records used.
        notes: what the interval speaks about and leaves out, one sentence each.
    """

    setting: Setting
    setting_hash: str
    metric: str
    a: str
    b: str
    a_mean: float
    b_mean: float
    estimate: Estimate
    smallest: float | None
    seeds_needed: int | None
    verdict: Verdict
    obstacles: tuple[str, ...]
    by_seed: tuple[SeedDifference, ...]
    slices: tuple[SliceDifference, ...]
    paths: tuple[Path, ...]
    notes: tuple[str, ...]


def compare(
    sources: Sequence[Sequence[Path]], setting: str, a: str, b: str, metric: str = MAIN_METRIC
) -> tuple[Comparison, list[str]]:
    """Compares `a` with `b` from records, and tells which files were left out.

    Args:
        sources: groups of results directories; the first group that holds both sides under one
            hash of the setting is used.
        setting: the setting's name.
        a: key of a method or reference.
        b: key of another.
        metric: what to compare them by.

    Raises:
        LeaderboardError: the same key twice, a side without records, no common seed, records that
            must not be mixed, or a metric the setting is not scored at.
    """
    if a == b:
        raise LeaderboardError(f"{a!r} against itself: name two methods or references")
    found: dict[str, None] = {}
    left_out: list[str] = []
    for directories in sources:
        cells, left_out = load_cells(directories, setting)
        own = [cell for cell in cells if cell.record.setting.name == setting]
        found |= dict.fromkeys(cell.record.method.key for cell in own)
        for group in by_setting(own).values():
            if {a, b} <= {cell.record.method.key for cell in group}:
                return compare_cells(group, a, b, metric), left_out
    raise LeaderboardError(_nothing_to_compare(setting, a, b, sorted(found), left_out))


def _nothing_to_compare(
    setting: str, a: str, b: str, found: Sequence[str], left_out: Sequence[str]
) -> str:
    """Why there are no two sides."""
    damaged = f" ({len(left_out)} files left out; gti-bench verify tells why)" if left_out else ""
    if not found:
        return f"no records of setting {setting!r}{damaged}; `gti-bench run` makes some"
    missing = [key for key in (a, b) if key not in found]
    if not missing:
        return f"{a} and {b} have records of different versions of setting {setting}; run one again"
    return (
        f"no record of {' or '.join(repr(key) for key in missing)} in setting {setting}{damaged};"
        f" it has {', '.join(found)}"
    )


def compare_cells(cells: Sequence[Cell], a: str, b: str, metric: str = MAIN_METRIC) -> Comparison:
    """Compares `a` with `b` among `cells`, all of one setting hash."""
    sides = {key: [cell for cell in cells if cell.record.method.key == key] for key in (a, b)}
    used = sides[a] + sides[b]
    check_mix(used)
    first = used[0]
    setting = first.record.setting
    scores = read_scores(used, metric)
    if scores is None or not {a, b} <= scores.values.keys():
        raise LeaderboardError(
            f"{metric} of setting {setting.name} is null: {null_because(metric)}"
        )
    records = {key: [cell.record for cell in side] for key, side in sides.items()}
    seeds, values_a, values_b, notes = pair(scores, records, a, b)
    matrix = values_a - values_b
    found, squares = estimate(matrix), mean_squares(matrix)
    obstacles = _obstacles(used, a, b)
    return Comparison(
        setting=setting,
        setting_hash=first.record.setting_hash,
        metric=metric,
        a=a,
        b=b,
        a_mean=float(values_a.mean()),
        b_mean=float(values_b.mean()),
        estimate=found,
        smallest=smallest_difference(squares),
        seeds_needed=seeds_needed(squares, found.mean),
        verdict="no verdict" if obstacles else _verdict(found, metric),
        obstacles=obstacles,
        by_seed=tuple(
            SeedDifference(seed, float(one.mean()), float(two.mean()), float((one - two).mean()))
            for seed, one, two in zip(seeds, values_a, values_b, strict=True)
        ),
        slices=_by_slice(first, scores, matrix),
        paths=tuple(
            cell.path for cell in used if cell.record.kind != "cell" or cell.record.seed in seeds
        ),
        notes=(*notes, *_weak(cells, records)),
    )


def _verdict(found: Estimate, metric: str) -> Verdict:
    """Who is better at the 5 % level."""
    if found.p is None or found.p >= LEVEL:
        return "not shown"
    return "a better" if (found.mean > 0) != is_loss(metric) else "b better"


def pair(
    scores: UserScores, records: dict[str, list[Record]], a: str, b: str
) -> tuple[list[int | None], Floats, Floats, list[str]]:
    """Seeds, the [S, U] values of both sides, and what a reader must be told about the pairing.

    Two methods are paired by seed. So are a method and a reference, or two references, where they
    have more than one seed in common: pairing independent runs at random costs nothing. Otherwise
    the mean of the reference's runs stands for it at every seed of the other side.
    """
    have = {key: sorted(scores.values[key]) for key in (a, b)}
    common = sorted(set(have[a]) & set(have[b]))
    alone = [key for key in (a, b) if records[key][0].kind == "reference"]
    if not alone and not common:
        raise LeaderboardError(
            f"no common seed: {a} has {named_seeds(have[a])}, {b} has {named_seeds(have[b])}; run"
            " the missing ones"
        )
    notes: list[str] = []
    if not alone or len(common) > 1:
        for key in (a, b):
            if unused := [seed for seed in have[key] if seed not in common]:
                notes.append(
                    f"{key} has {named_seeds(unused)} too, which the other side lacks: unused"
                )
        seeds: list[int | None] = list(common)
        return seeds, scores.matrix(a, common), scores.matrix(b, common), notes
    means = {key: scores.matrix(key, have[key]).mean(axis=0, keepdims=True) for key in alone}
    notes += [note for key in alone if (note := _one_run(key, records[key]))]
    seeds = [None]
    for key in (a, b):
        if key not in alone:
            seeds = list(have[key])
    sides = [
        np.repeat(means[key], len(seeds), axis=0) if key in means else scores.matrix(key, have[key])
        for key in (a, b)
    ]
    return seeds, sides[0], sides[1], notes


def _one_run(key: str, records: Sequence[Record]) -> str | None:
    """What the interval leaves out where a trained reference stands as if it had no seeds."""
    fits = [fit for record in records for fit in record.fits or ()]
    named = any(record.names is not None for record in records)
    if not named and not any(fit.trainable_parameters for fit in fits):
        return None
    runs = "its one run" if len(records) == 1 else f"the mean of its {len(records)} runs"
    return f"{key} is trained, and {runs} is taken as given: another run could score otherwise"


def _by_slice(cell: Cell, scores: UserScores, matrix: Floats) -> tuple[SliceDifference, ...]:
    """The difference in each slice with at least two users."""
    members = members_of(cell, scores.users)
    inside = {name: mask for name, mask in members.items() if mask.sum() > 1}
    estimates = [estimate(matrix[:, mask]) for mask in inside.values()]
    corrected = holm([found.p for found in estimates])
    return tuple(
        SliceDifference(name, extent_of_slice(name, cell.record.slices.get(name, {})), found, p)
        for name, found, p in zip(inside, estimates, corrected, strict=True)
    )


def _obstacles(cells: Sequence[Cell], a: str, b: str) -> tuple[str, ...]:
    """Why two methods have no verdict; empty where a side is a reference."""
    checks = Checks(cells)
    return checks.obstacles(a, b) if {a, b} <= checks.records.keys() else ()


def _weak(cells: Sequence[Cell], records: dict[str, list[Record]]) -> list[str]:
    """A note for each side that is under-trained."""
    floor = [cell for cell in cells if cell.record.method.key == FLOOR]
    notes = []
    for key, own in records.items():
        if seeds := under_trained(own, floor or None):
            notes.append(
                f"{key} is under-trained at {named_seeds(seeds)} (recall@10 below {FLOOR}'s) and"
                " supports no claim"
            )
    return notes
