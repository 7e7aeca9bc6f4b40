"""The difference of two methods as a family of tests leaves it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from leaderboard.statistics.corrections import LEVEL
from leaderboard.statistics.crossed import (
    Estimate,
    MeanSquares,
    seeds_needed,
    smallest_difference,
)

Role = Literal["primary", "secondary", "alone"]
"""Of a test: declared, behind what is declared, or on a board that declares nothing."""

Word = Literal["better", "worse", "not shown", "not claimed", "no verdict", "not tested"]


@dataclass(frozen=True)
class Tested:
    """`a` - `b`, tested within a family.

    Args:
        a: key of the first method.
        b: key of the second.
        seeds: those that both have.
        estimate: mean difference, 95 % interval, uncorrected p.
        p: corrected; None where undefined, or not claimed because a primary contrast is not shown.
        smallest: smallest true difference that would be shown four times in five at the level that
            the strictest test of the family needs; None where nothing varies.
        seeds_needed: seeds at which a true difference as large as this one would be shown so
            often, at the same level; None where unknown or more seeds would not do.
        role: its place in the family.
        obstacles: why nothing may be said of the pair, whatever its p.
        lower_is_better: whether the metric is a loss.
    """

    a: str
    b: str
    seeds: tuple[int, ...]
    estimate: Estimate
    p: float | None
    smallest: float | None
    seeds_needed: int | None
    role: Role
    obstacles: tuple[str, ...]
    lower_is_better: bool

    @classmethod
    def of(
        cls,
        pair: tuple[str, str],
        seeds: Sequence[int],
        found: Estimate,
        squares: MeanSquares,
        level: float,
        *,
        p: float | None,
        role: Role,
        obstacles: tuple[str, ...],
        lower_is_better: bool,
    ) -> "Tested":
        """The test of a difference that varies as `squares` say, held against `level`."""
        return cls(
            *pair,
            seeds=tuple(seeds),
            estimate=found,
            p=p,
            smallest=smallest_difference(squares, level),
            seeds_needed=seeds_needed(squares, found.mean, level),
            role=role,
            obstacles=obstacles,
            lower_is_better=lower_is_better,
        )

    @property
    def verdict(self) -> Word:
        """What may be said of `a` against `b`."""
        if self.obstacles:
            return "no verdict"
        if self.p is None:
            behind = self.role == "secondary" and self.estimate.p is not None
            return "not claimed" if behind else "not tested"
        if self.p >= LEVEL:
            return "not shown"
        return "better" if (self.estimate.mean > 0) != self.lower_is_better else "worse"

    @property
    def turned(self) -> "Tested":
        """`b` - `a`."""
        found = self.estimate
        low, high = (None if end is None else -end for end in (found.high, found.low))
        turned = replace(found, mean=-found.mean, low=low, high=high)
        return replace(self, a=self.b, b=self.a, estimate=turned)
