"""Do two runs of one cell agree: bit for bit, or as two draws from one distribution of seeds?

*Exactly*: ranks and NLLs are the same in every row, the new rows and the text rows have the same
hashes at initialization and after each stage, and every metric, slice and curve point has the same
digits.

*Equivalently*: floating-point sums differ between instruction sets and library versions, training
carries the difference along, and the run ends as another draw would. So the score is held to what
the method's seeds say of one more draw. With S scores of one method on the same U users, their mean
m and the variance v of one run's mean on these users (the seeds' mean square / U of
`leaderboard.statistics.crossed`: it holds what is left between a seed and a user, and is not taken
below what that noise alone gives), one more run lies, 975 times in 1,000, in

    m ± t(0.9875, S - 1) √(v (1 + 1/S)),

the prediction interval: 7.2 standard deviations of a run at 3 seeds, which say little about their
own spread, 3.8 at 5, 2.8 at 10, 2.2 in the limit. Which users the data holds adds nothing: both
runs score the same ones. The test goes both ways: the new score must lie in the interval of the
recorded seeds, and the recorded one in the interval of the same seeds with the new run in its
place. So a recorded score that was made up cannot widen the interval that judges it, nor can a
spoilt rerun. Fewer than 3 seeds give no verdict.

What that is worth (200,000 simulated boards each): an honest run is refused 5.0 times in 100 at 3,
5 and 10 seeds; a recorded score that was moved by 10 standard deviations of a run passes 15 times
in 100 at 3 seeds, one moved by 6 passes 8 times in 100 at 5 and 0.5 at 10. The widths are reported
beside the verdict, so that a weak test is seen to be weak.

Where nothing is known to differ (instruction set, processor, versions, code), there is no excuse:
the same run must give the same bits, and scores that are merely close are no reproduction.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from leaderboard.records.ranks import LOSSES, PEERS, Ranks
from leaderboard.records.record import Record
from leaderboard.records.reproductions import Outcome
from leaderboard.statistics.crossed import mean_squares

FEWEST_SEEDS = 3
LEVEL = 0.025
"""Of each of the two prediction intervals; an honest run fails one of them 5 times in 100."""

Floats = npt.NDArray[np.float64]

DECIDING = (
    "inputs",
    "metrics",
    "slices",
    "num_users",
    "accounting.raw_recall",
    "manifest.new_rows_sha256",
    "manifest.text_rows_sha256",
)
"""Beginnings of fields that must be equal in an exact reproduction, beside the ranks."""

ELSEWHERE = {
    "schema_version", "protocol", "setting", "setting_hash", "method", "method_hash", "cell_hash",
    "environment", "code", "files", "digest", "warnings",
}  # fmt: skip
"""Fields that say which cell it is, where it ran and how it is stored: compared by themselves."""

TIMES = {"seconds", "peak_memory_bytes", "device_flops", "utilisation"}
"""What a machine and its load decide: left out of every comparison."""


@dataclass(frozen=True)
class Agreement:
    """How far two runs of one cell are the same.

    Attributes:
        differing: fields that must be equal and are not; empty: reproduced exactly.
        beside: fields that differ and decide nothing (losses of training, diagnostics, what was
            measured of grounding and of plain English), dotted.
        num_rows: rows of the recorded ranks.
        same_rows: of these, rows that are the same in every column.
    """

    differing: tuple[str, ...]
    beside: tuple[str, ...]
    num_rows: int
    same_rows: int

    @property
    def exact(self) -> bool:
        """Whether the rerun reproduced the record exactly: no deciding field differs."""
        return not self.differing


@dataclass(frozen=True)
class Band:
    """A prediction interval at `LEVEL`: its middle and half its width."""

    center: float
    half_width: float

    def holds(self, score: float) -> bool:
        """Whether `score` lies in it."""
        return abs(score - self.center) <= self.half_width


@dataclass(frozen=True)
class Spread:
    """Where one more run of a method would lie.

    Attributes:
        seeds: those it rests on.
        recorded: by the recorded scores; must hold the new one.
        swapped: by the same with the new one in the place of its record; must hold the recorded.
    """

    seeds: tuple[int, ...]
    recorded: Band
    swapped: Band


def _differences(left: Any, right: Any, place: str) -> Iterator[str]:
    """Dotted places at which two JSON values differ; times are passed over."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys()):
            if key not in TIMES:
                below = f"{place}.{key}" if place else key
                yield from _differences(left.get(key), right.get(key), below)
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, (one, other) in enumerate(zip(left, right, strict=True)):
            yield from _differences(one, other, f"{place}.{index}")
    elif left != right:
        yield place


def _decides(place: str) -> bool:
    """Whether the field at `place` must be equal in an exact reproduction."""
    first, _, rest = place.partition(".")
    if first == "learning_curve":
        return "." not in rest or rest.split(".")[1] in ("metrics", "step")
    if first == "proofs":
        return "." not in rest or rest.endswith(("sha256", "stage"))
    return place.startswith(DECIDING) or place in ("manifest", "proofs", "learning_curve")


def same_rows(left: Ranks, right: Ranks) -> int:
    """The number of rows that are equal in every column; 0 where the tables are of unlike length.

    Two runs of a cell rank the same targets in the same order, so rows are compared by place.
    """
    if len(left) != len(right):
        return 0
    same = np.ones(len(left), dtype=np.bool_)
    for name in left.__dataclass_fields__:
        one, other = getattr(left, name), getattr(right, name)
        same &= one == other
        if name in LOSSES:  # not measured in either
            same |= np.isnan(one) & np.isnan(other)
    return int(same.sum())


def compare(recorded: Record, again: Record, ranks: Ranks, ranks_again: Ranks) -> Agreement:
    """Sets the run `again` beside the `recorded` one, each with its ranks."""
    left, right = (
        record.model_dump(mode="json", exclude=ELSEWHERE) for record in (recorded, again)
    )
    places = list(_differences(left, right, ""))
    same = same_rows(ranks, ranks_again)
    differing = [place for place in places if _decides(place)]
    if same < len(ranks) or len(ranks) != len(ranks_again):
        differing.insert(0, "ranks")
    beside = [place for place in places if not _decides(place)]
    return Agreement(tuple(differing), tuple(beside), len(ranks), same)


def band_of(values: Floats) -> Band:
    """Where one more run would lie, by `values [S, U]` with S at least two."""
    count, users = values.shape
    squares = mean_squares(values)
    between = squares.seed if users > 1 else np.asarray(values[:, 0].var(ddof=1))
    critical = float(stats.t.isf(LEVEL / 2, count - 1))
    half = critical * math.sqrt(float(between) / users * (1 + 1 / count))
    return Band(math.fsum(values.ravel()) / values.size, half)


def spread_of(values: Floats, seeds: Sequence[int], seed: int, again: Floats) -> Spread | None:
    """Where one more run would lie; None with fewer than three seeds.

    Args:
        values: [S, U] recorded scores of the users.
        seeds: [S] whose they are.
        seed: which of them was run again.
        again: [U] what the users scored then.
    """
    if len(seeds) < FEWEST_SEEDS:
        return None
    swapped = values.copy()
    swapped[seeds.index(seed)] = again
    return Spread(tuple(seeds), band_of(values), band_of(swapped))


def outcome_of(
    agreement: Agreement,
    recorded: float | None,
    again: float | None,
    spread: Spread | None,
    *,
    excused: bool,
) -> Outcome:
    """The verdict on a run.

    Args:
        agreement: with the recorded run.
        recorded: the recorded main score; null where the setting has none.
        again: the new one.
        spread: of the method's seeds; null where there are too few, and for references.
        excused: whether something is known to differ that moves floating-point sums.
    """
    if agreement.exact:
        return "exact"
    if not excused or any(place.startswith("inputs") for place in agreement.differing):
        return "different"
    if spread is None or recorded is None or again is None:
        return "undecided"
    inside = spread.recorded.holds(again) and spread.swapped.holds(recorded)
    return "equivalent" if inside else "different"


def ranks_sha256(ranks: Ranks) -> str:
    """sha256 of the content of `ranks`, whatever version of the library stored them."""
    digest = hashlib.sha256()
    left_out = () if ranks.has_peers else PEERS  # as in the file
    for name in ranks.__dataclass_fields__:
        if name in left_out:
            continue
        column = getattr(ranks, name)
        if column.dtype.kind == "U":
            content = "\n".join(column.tolist()).encode()
        elif column.dtype.kind == "f":
            content = np.where(np.isnan(column), np.nan, column).astype("<f8").tobytes()
        else:
            content = column.astype("<i4").tobytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def rows_sha256(record: Record) -> str | None:
    """Hash of the new rows after the last stage; null for references."""
    return record.proofs[-1].new_rows_sha256 if record.proofs else None
