"""Is a difference as good as none? Two one-sided tests against a margin, and the verdict of both.

That a difference is not shown does not say that there is none. It is *equal within the margin*
where both "it is at least +margin" and "it is at most -margin" are rejected at `LEVEL` each
(Schuirmann 1987, J. Pharmacokinet. Biopharm. 15, 657-680), so where the 90 % interval lies within
the margin; the chance that a difference as large as the margin is called equal is at most `LEVEL`.
Standard errors and critical values are those of `leaderboard.statistics.crossed`.
"""

from typing import Literal

from leaderboard.statistics.crossed import LEVEL, MeanSquares, p_value

Verdict = Literal["better", "worse", "equal", "open"]


def equivalence_p(mean: float, squares: MeanSquares, margin: float) -> float | None:
    """The smallest level at which `mean` is shown to lie within ±`margin`; None without variation.

    Args:
        mean: of the differences.
        squares: of the differences, moderated or not.
        margin: above zero, in the metric's units.

    Raises:
        ValueError: the margin is not above zero.
    """
    if not margin > 0:
        raise ValueError(f"a margin of equivalence must be above 0, found {margin}")
    room = margin - abs(mean)
    two_sided = p_value(room, squares)
    if two_sided is None:
        return None
    return two_sided / 2 if room > 0 else 1 - two_sided / 2


def verdict(
    mean: float,
    squares: MeanSquares,
    margin: float,
    p: float | None,
    *,
    higher_is_better: bool = True,
) -> Verdict:
    """What may be said of a difference; one that is shown is told as such, however small.

    Args:
        mean: of the differences.
        squares: of the differences, moderated or not.
        margin: of equivalence.
        p: of the test that the difference is zero, corrected for all that were tested with it; None
            where it is not tested or not claimed.
        higher_is_better: false for losses.
    """
    if p is not None and p < LEVEL:
        return "better" if (mean > 0) == higher_is_better else "worse"
    equal = equivalence_p(mean, squares, margin)
    return "equal" if equal is not None and equal < LEVEL else "open"
