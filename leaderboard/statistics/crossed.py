"""Means, intervals and tests where every seed scores the same users: seeds and users are crossed.

A matrix `values [S, U]` holds a metric per seed and user (or the difference of two methods). The
model is two-way random effects without replication: value = mean + seed + user + residual. From
the mean squares of its analysis of variance

    Var(mean) = (MS_seed + (MS_user - MS_residual)) / (S U),

a seed part of S - 1 degrees of freedom and a user part of U - 1 that is never taken below zero.
With a and b the shares of the two and t Student's critical values, the mean is held against its
standard error times

    a t[S-1] + b t[U-1]                 at 5 % and above: intervals, one test alone
    sqrt(a t[S-1]^2 + b t[U-1]^2)       below 5 %: what a correction over several tests asks for.

The first is Cochran and Cox's (1950, Experimental Designs, section 4.14), the second Banerjee's
(1960, Sankhya 22, 357-358), never smaller. Banerjee's holds at every level where the parts are
independent: the chance that a squared normal stays below x is concave in x, so it is at least the
average, by the true shares, of what each part alone would give: 1 - level. Cochran and Cox's is
closer to 95 % but too small in the tail. Satterthwaite's approximation is too small already at 5 %:
with 3 seeds its intervals cover as little as 92.8 %.

Measured over 66 combinations of variance components (seed and user variance from none to many
thousand times the residual's), 20 to 22,000 users and 2 to 10 seeds, 150,000 boards each. Coverage:
93.9 to 97.9 % at 2 seeds, 94.9 to 97.4 % at 3, 95.0 to 96.7 % at 5, 95.0 to 96.2 % at 10; above
97 % lie boards of 2 and 3 seeds that weigh less in the variance than the users: there the interval
is wider than it need be. False positives at .05/17 and .05/153, as multiples of the level: at most
1.05 and 1.12 (Cochran and Cox's alone: 3.7 and 10.1 at 2 seeds, 1.6 and 3.6 at 3).

With one seed only the users vary, and the estimate says so.
"""

import functools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats

Floats = npt.NDArray[np.float64]

LEVEL = 0.05
"""Two-sided error of intervals and tests."""

BELOW_LEVEL = math.nextafter(LEVEL, 0)
"""p of what a test at `LEVEL` alone rejects, but none at a smaller level."""

FEW_USERS = 20
"""With fewer, the user part keeps the residual: the difference of two mean squares of so few
degrees of freedom falls to zero too often (3 users, 10 seeds: 7 times the errors of .05/17). The
price: where nothing but the residual varies, intervals of so few users cover 99 %."""

POWER = 0.80

MODERATED_FROM = 5
"""Seeds from which on the other methods' seeds add degrees of freedom to the seed part's own
(`leaderboard.statistics.moderated`)."""

Scope = Literal["seeds and users", "conditional on one seed", "one user", "undefined"]


@dataclass(frozen=True)
class MeanSquares:
    """Mean squares of the crossed layout; leading axes are those of the values.

    Args:
        num_seeds: S.
        num_users: U.
        seed: [...] between seeds, S - 1 degrees of freedom; NaN with one seed.
        user: [...] between users, U - 1 degrees of freedom; NaN with one user.
        residual: [...] what is left, (S - 1)(U - 1); NaN with one seed or one user.
        added_degrees: what the seed's has beyond its own S - 1 where it is moderated.
    """

    num_seeds: int
    num_users: int
    seed: Floats
    user: Floats
    residual: Floats
    added_degrees: Floats | float = 0.0

    @property
    def degrees(self) -> tuple[Floats | float, int]:
        """Degrees of freedom of the seed's and of the users' part."""
        return self.num_seeds - 1 + self.added_degrees, self.num_users - 1


def mean_squares(values: Floats) -> MeanSquares:
    """The mean squares of `values [..., S, U]`.

    The seed's is not taken below what residual noise alone stays above 99 times in 100: seeds
    whose means coincide, as counts allow by chance, do not prove that seeds agree.
    """
    num_seeds, num_users = values.shape[-2:]
    constant = np.ptp(values, axis=(-2, -1), keepdims=True) == 0
    values = np.where(constant, 0.0, values)  # no rounding noise where nothing varies
    grand = values.mean(axis=(-2, -1), keepdims=True)
    by_seed = values.mean(axis=-1, keepdims=True) - grand
    by_user = values.mean(axis=-2, keepdims=True) - grand
    left = values - grand - by_seed - by_user
    missing = np.full(values.shape[:-2], np.nan)
    seed = user = residual = missing
    if num_users > 1:
        user = num_seeds * (by_user**2).sum(axis=(-2, -1)) / (num_users - 1)
    if num_seeds > 1:
        seed = num_users * (by_seed**2).sum(axis=(-2, -1)) / (num_seeds - 1)
    if num_users > 1 and num_seeds > 1:
        residual = (left**2).sum(axis=(-2, -1)) / ((num_seeds - 1) * (num_users - 1))
        least = stats.chi2.ppf(0.01, num_seeds - 1) / (num_seeds - 1)
        seed = np.maximum(seed, least * residual)
    return MeanSquares(num_seeds, num_users, seed, user, residual)


def variance_parts(squares: MeanSquares) -> tuple[Floats, Floats]:
    """The seed's and the users' part of the variance of the mean."""
    size = squares.num_seeds * squares.num_users
    if squares.num_seeds == 1:
        return np.zeros_like(squares.user), squares.user / size
    if squares.num_users == 1:
        return squares.seed / size, np.zeros_like(squares.seed)
    if squares.num_users < FEW_USERS:
        return squares.seed / size, squares.user / size
    return squares.seed / size, np.maximum(squares.user - squares.residual, 0) / size


@dataclass(frozen=True)
class Components:
    """What values vary by, and what their mean's variance is made of: seeds, users, the rest.

    Moment estimates, none below zero. The rest is what one user gets at one seed beyond both: it
    is averaged out by more seeds and by more users. The standard deviation of the seeds' means
    holds some of it, `sd_seeds` does not.

    Args:
        sd_seeds: standard deviation due to seeds, in the metric's units.
        sd_users: due to users.
        sd_residual: due to neither alone.
        share_seeds: share of the mean's estimated variance that is due to seeds, in [0, 1]; the
            three shares sum to one, and are None where nothing varies.
        share_users: share due to users.
        share_residual: share due to neither alone.
    """

    sd_seeds: float
    sd_users: float
    sd_residual: float
    share_seeds: float | None
    share_users: float | None
    share_residual: float | None


def components(squares: MeanSquares) -> Components | None:
    """The components of one matrix; None with one seed or one user, which tell nothing apart."""
    if squares.num_seeds == 1 or squares.num_users == 1:
        return None
    rest = float(squares.residual)
    seeds = max(float(squares.seed) - rest, 0.0) / squares.num_users
    users = max(float(squares.user) - rest, 0.0) / squares.num_seeds
    shares: tuple[float | None, float | None, float | None] = (None, None, None)
    total = sum(float(part) for part in variance_parts(squares))
    if total > 0:
        of_seeds, of_users = seeds / squares.num_seeds / total, users / squares.num_users / total
        shares = (of_seeds, of_users, max(1 - of_seeds - of_users, 0.0))
    return Components(math.sqrt(seeds), math.sqrt(users), math.sqrt(rest), *shares)


def _critical(level: float, degrees: Floats | float) -> Floats | float:
    """Student's two-sided critical value; 0 for a part that does not exist (0 degrees)."""
    if np.all(degrees == 0):
        return 0.0
    return -np.asarray(special.stdtrit(degrees, level / 2), dtype=np.float64)[()]


def _half_width(
    by_seed: Floats,
    by_user: Floats,
    degrees: tuple[Floats | float, int],
    level: float,
    banerjee: bool,
) -> Floats:
    """Standard error times critical value (see the module), of parts of so many degrees."""
    seed, user = (_critical(level, count) for count in degrees)
    if banerjee:
        return np.sqrt(by_seed * seed**2 + by_user * user**2)
    total = by_seed + by_user
    with np.errstate(invalid="ignore", divide="ignore"):
        weighted = (by_seed * seed + by_user * user) / np.sqrt(total)
    return np.where(total > 0, weighted, total)  # 0, or NaN where undefined


def margin(squares: MeanSquares, level: float = LEVEL, banerjee: bool | None = None) -> Floats:
    """Half the width of the 1 - `level` interval of the mean: [...].

    Args:
        squares: of the values.
        level: two-sided error.
        banerjee: which critical value; None: Banerjee's below `LEVEL`, else Cochran and Cox's.
    """
    own = level < LEVEL if banerjee is None else banerjee
    return _half_width(*variance_parts(squares), squares.degrees, level, own)


@dataclass(frozen=True)
class Estimate:
    """The mean of a crossed matrix and what can be said about it; undefined is None.

    Args:
        mean: over all seeds and users.
        seed_sd: standard deviation of the seeds' means; None with one seed.
        low: lower end of the 95 % interval.
        high: upper end.
        standard_error: of the mean.
        p: two-sided, of the hypothesis that the mean is zero (uncorrected).
        num_seeds: S.
        num_users: U.
        scope: what the interval speaks about.
        components: what the values vary by; None with one seed or one user.
    """

    mean: float
    seed_sd: float | None
    low: float | None
    high: float | None
    standard_error: float | None
    p: float | None
    num_seeds: int
    num_users: int
    scope: Scope
    components: Components | None = None


def _scope(num_seeds: int, num_users: int) -> Scope:
    """What an interval from so many seeds and users speaks about."""
    if num_seeds > 1:
        return "seeds and users" if num_users > 1 else "one user"
    return "conditional on one seed" if num_users > 1 else "undefined"


def p_value(mean: float, squares: MeanSquares) -> float | None:
    """The smallest level at which `mean` is told from zero; None without variation.

    Below `LEVEL` exactly where the 95 % interval excludes zero. Where Banerjee's critical value is
    too large at every smaller level, p lies just below `LEVEL`: no correction survives it.
    """
    by_seed, by_user = variance_parts(squares)
    if not by_seed + by_user > 0:
        return 1.0 if mean == 0 and by_seed + by_user == 0 else None
    shown = abs(mean) > float(margin(squares))

    def gap(log_level: float) -> float:
        return abs(mean) - float(margin(squares, math.exp(log_level), banerjee=shown))

    lowest, highest = (math.log(1e-12), math.log(LEVEL)) if shown else (math.log(LEVEL), 0.0)
    if gap(highest) <= 0:
        return BELOW_LEVEL if shown else 1.0
    if gap(lowest) >= 0:
        return 1e-12 if shown else LEVEL
    found = math.exp(optimize.brentq(gap, lowest, highest, xtol=1e-10))
    return min(found, BELOW_LEVEL) if shown else max(found, LEVEL)


def estimate(values: Floats, squares: MeanSquares | None = None) -> Estimate:
    """What `values [S, U]` say about their mean.

    Args:
        values: of seeds and users.
        squares: their mean squares as moderated; None: their own.
    """
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"values have shape {values.shape}, expected [seeds, users], both > 0")
    num_seeds, num_users = values.shape
    center = math.fsum(values.ravel().tolist()) / values.size
    seed_sd = float(np.std(values.mean(axis=1), ddof=1)) if num_seeds > 1 else None
    own = mean_squares(values)
    squares = own if squares is None else squares
    error = math.sqrt(sum(float(part) for part in variance_parts(squares)))
    scope = _scope(num_seeds, num_users)
    parts = components(own)
    if scope == "undefined" or (error == 0 and center != 0):  # nothing varies: nothing to judge by
        return Estimate(center, seed_sd, None, None, None, None, num_seeds, num_users, scope, parts)
    half = float(margin(squares))
    low, high, p = center - half, center + half, p_value(center, squares)
    return Estimate(center, seed_sd, low, high, error, p, num_seeds, num_users, scope, parts)


@functools.cache
def _seed_parts(degrees: float) -> Floats:
    """[400] evenly likely ratios of an estimated variance of `degrees` degrees to the true one."""
    grid = (np.arange(400) + 0.5) / 400
    found: Floats = stats.chi2.ppf(grid, degrees) / degrees
    return found


def _power(
    difference: float, parts: tuple[float, float], degrees: tuple[float, int], level: float
) -> float:
    """Chance that a true `difference` is shown, over the seed part's own uncertainty.

    The user part is taken as known; `degrees` are those of the two parts.
    """
    by_seed, by_user = parts
    seen = by_seed * (_seed_parts(degrees[0]) if degrees[0] > 0 else np.ones(1))
    half = _half_width(seen, np.full_like(seen, by_user), degrees, level, level < LEVEL)
    spread = math.sqrt(by_seed + by_user)
    above = special.ndtr(-(half - difference) / spread)
    below = special.ndtr((-half - difference) / spread)
    return float(np.mean(above + below))


def smallest_difference(
    squares: MeanSquares, level: float = LEVEL, power: float = POWER
) -> float | None:
    """The smallest true difference that these seeds and users would show with chance `power`.

    `level` is the test's; divide it by the number of comparisons where several are corrected for.
    Takes the variance components as estimated. May exceed what a metric can differ by: then these
    seeds and users show nothing. None where nothing varies.
    """
    by_seed, by_user = (float(part) for part in variance_parts(squares))
    if not by_seed + by_user > 0:
        return None
    degrees = (float(squares.degrees[0]), squares.degrees[1])

    def short(difference: float) -> float:
        return _power(difference, (by_seed, by_user), degrees, level) - power

    high = math.sqrt(by_seed + by_user)
    while short(high) < 0:
        high *= 2
    return float(optimize.brentq(short, 0.0, high, xtol=1e-9))


def seeds_needed(
    squares: MeanSquares,
    difference: float,
    level: float = LEVEL,
    power: float = POWER,
    most: int = 200,
) -> int | None:
    """The number of seeds at which a true `difference` would be shown with chance `power`.

    Takes the variance components as estimated and the users as given. None where the seed
    variance is unknown (one seed), or where `most` seeds do not suffice: more users are needed.
    """
    if squares.num_seeds < 2 or difference == 0:
        return None
    by_seed, by_user = (float(part) for part in variance_parts(squares))
    if not by_seed + by_user > 0:
        return None

    def enough(seeds: int) -> bool:
        parts = (by_seed * squares.num_seeds / seeds, by_user)
        added = min(float(squares.added_degrees), seeds - 1) if seeds >= MODERATED_FROM else 0.0
        degrees = (seeds - 1 + added, squares.num_users - 1)
        return _power(abs(difference), parts, degrees, level) >= power

    if not enough(most):
        return None
    low, high = 1, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
