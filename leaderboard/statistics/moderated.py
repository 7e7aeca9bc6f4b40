"""Seed variances of one setting's methods, each held against the others: empirical Bayes.

Few seeds know little about their own variance: with 5, Student's critical value is 2.78 where it
would be 1.96. The methods of a setting vary over seeds alike, more or less, so that how much the
others vary says something about each (Smyth 2004, Linear models and empirical Bayes methods for
assessing differential expression, section 6). In units of a difference's residual mean square,
which is well known:

- *The prior.* Each method minus the mean of all methods is a difference of its own, nearly
  uncorrelated with the others', whatever the methods of one seed have in common. The ratios
  seed / residual of their mean squares are taken for draws of r0 F(S - 1, d0); r0 and d0 follow
  from the mean and the variance of their logarithms.
- *A difference of two methods* with the ratio r at d = S - 1 degrees gets

      max(r, 1, (e r0 + d r) / (e + d))    with d + e degrees, e = min(d0, d).

Smyth's posterior is the last of the three, with e = d0. By simulation (`docs/statistics.md`) that
makes too many errors here, where all tests may share one method: so the others count for no more
than a difference's own seeds do, a variance is never lowered below its own, nor below what the
residual alone gives (a ratio of 1), and a difference that varies more than `PLAINLY_MORE`
times as much as the prior says keeps its own variance and degrees.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from leaderboard.statistics.crossed import MODERATED_FROM, Floats, MeanSquares, mean_squares

FEWEST_METHODS = 4
"""Fewer say too little about how variances differ."""

PLAINLY_MORE = 1.25
"""A ratio above so many times the prior's may be that of a method unlike the others. By simulation,
tests against one method of ten times the others' variance err up to .061 of the time with 2 and
.054 with 1.25; with 1 half of what moderation gains with 2 is lost."""


@dataclass(frozen=True)
class SeedPrior:
    """How much the methods of a setting vary over seeds.

    Args:
        ratio: [...] r0, the prior's mean square of seeds in units of the residual's.
        degrees: [...] d0, how many degrees of freedom it counts for; infinite where the methods
            differ no more than chance has it.
    """

    ratio: Floats
    degrees: Floats


def inverse_trigamma(values: Floats) -> Floats:
    """The x at which the trigamma function is each of `values`, all above 0.

    Newton's method on 1 / trigamma, which is nearly linear: it rises to the solution from the
    start 1/2 + 1/value and doubles the correct digits each time.
    """
    found: Floats = 0.5 + 1 / values
    for _ in range(12):
        here = special.polygamma(1, found)
        found = found + here * (1 - here / values) / special.polygamma(2, found)
    return found


def prior_of(ratios: Floats, degrees: int) -> SeedPrior:
    """The prior that `ratios [..., M]`, each of so many `degrees`, are most like, by moments."""
    half = degrees / 2
    logs = np.log(ratios) - special.digamma(half) + np.log(half)
    beyond_chance = logs.var(axis=-1, ddof=1) - special.polygamma(1, half)
    differ = beyond_chance > 0
    own = inverse_trigamma(np.where(differ, beyond_chance, 1.0))  # d0 / 2
    shift = np.where(differ, special.digamma(own) - np.log(own), 0.0)
    return SeedPrior(np.exp(logs.mean(axis=-1) + shift), np.where(differ, 2 * own, np.inf))


def seed_prior(values: Floats) -> SeedPrior | None:
    """The prior of the methods whose scores are `values [M, S, U]`; None where they are too few.

    Methods that do not vary, or at no seed otherwise than at another, do not count.
    """
    num_seeds, num_users = values.shape[-2:]
    if num_seeds < MODERATED_FROM or num_users < 2:
        return None
    squares = mean_squares(values - values.mean(axis=0))
    varying = (squares.seed > 0) & (squares.residual > 0)
    if varying.sum() < FEWEST_METHODS:
        return None
    return prior_of(squares.seed[varying] / squares.residual[varying], num_seeds - 1)


def shrink(squares: MeanSquares, prior: SeedPrior) -> MeanSquares:
    """`squares [...]` of differences, the seed's moderated by `prior`, at any number of seeds."""
    own = squares.num_seeds - 1
    residual = np.where(squares.residual > 0, squares.residual, np.nan)
    ratio = squares.seed / residual
    alike = ratio <= PLAINLY_MORE * np.maximum(prior.ratio, 1.0)  # false without a residual
    added = np.minimum(prior.degrees, own)
    posterior = (added * prior.ratio + own * ratio) / (added + own)
    least = np.where(alike, np.maximum(posterior, 1.0) * residual, 0.0)
    return replace(
        squares,
        seed=np.maximum(squares.seed, least),
        added_degrees=np.where(alike, added, 0.0),
    )


def moderate(squares: MeanSquares, prior: SeedPrior | None) -> MeanSquares:
    """`squares [...]` of differences, moderated where there are enough seeds, else as they are."""
    if prior is None or squares.num_seeds < MODERATED_FROM or squares.num_users < 2:
        return squares
    return shrink(squares, prior)
