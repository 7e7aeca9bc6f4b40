"""How much the methods of a setting vary over seeds, together: what moderates every difference."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leaderboard.board.user_scores import Floats, UserScores
from leaderboard.statistics.crossed import MODERATED_FROM, MeanSquares, mean_squares
from leaderboard.statistics.moderated import SeedPrior, moderate, seed_prior


@dataclass(frozen=True)
class Moderation:
    """What the methods of a setting say together about the variance over seeds.

    Args:
        methods: those with at least `MODERATED_FROM` seeds, sorted.
        seeds: those that all of them have.
        pooled_sd: standard deviation over seeds of a method's mean, pooled over the methods: beside
            each method's own it tells which of them vary more than the others.
        prior: what moderates the difference of any two methods.
    """

    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    pooled_sd: float
    prior: SeedPrior


def moderation_of(scores: UserScores | None, methods: Sequence[str]) -> Moderation | None:
    """What moderates the differences among `methods`; None with too few seeds or methods."""
    if scores is None:
        return None
    enough = sorted(key for key in methods if len(scores.values[key]) >= MODERATED_FROM)
    seeds = sorted(set.intersection(*(set(scores.values[key]) for key in enough)) if enough else ())
    if len(seeds) < MODERATED_FROM:
        return None
    values = np.stack([scores.matrix(key, seeds) for key in enough])
    prior = seed_prior(values)
    if prior is None:
        return None
    pooled = math.sqrt(values.mean(axis=-1).var(axis=-1, ddof=1).mean())
    return Moderation(tuple(enough), tuple(seeds), pooled, prior)


def moderated_squares(difference: Floats, moderation: Moderation | None) -> MeanSquares:
    """Mean squares of a difference [S, U] of two methods, moderated where something moderates."""
    return moderate(mean_squares(difference), None if moderation is None else moderation.prior)
