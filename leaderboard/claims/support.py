"""What reported numbers can support by themselves, worked out from how many were scored.

A recall with one relevant item per user is a share of hits, so two recalls can be tested against
each other where the number of rankings is known: z of two proportions with the pooled share,

    z = (a - b) / sqrt(p (1 - p) 2 / n),    p = (a + b) / 2.

Where each user was ranked under several prompts, the truth lies between two cases: the prompts of
a user hit and miss together (n = users), or they are as good as new users (n = users × prompts).
Tests paired by user would use more, but need what nobody printed. NDCG is no share: its variance
over users cannot be had from a mean, so it is not tested. Nothing here knows of training seeds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scipy import stats

from leaderboard.claims.claims import ClaimsTable, Counts
from leaderboard.metrics.metrics import parse_metric

CRITICAL = float(stats.norm.isf(0.025))
"""|z| from which a difference is shown, two-sided at 5 %."""

Support = Literal["not shown either way", "borderline", "shown either way", "cannot be tested"]


def nearest_multiple(value: float, denominator: int) -> tuple[int, float]:
    """The whole number of `1 / denominator` nearest to `value`, and how far off `value` is."""
    numerator = round(value * denominator)
    return numerator, abs(numerator / denominator - value)


def is_multiple(value: float, denominator: int, decimals: int) -> bool:
    """Whether some whole number of `1 / denominator` is printed as `value`."""
    return nearest_multiple(value, denominator)[1] <= 0.5 * 10.0**-decimals + 1e-12


def users_that_fit(
    values: Sequence[float], decimals: int, prompts: int, users_of_data: int
) -> tuple[int, ...]:
    """Numbers of users, up to those of the data, of which all `values` can be shares."""
    return tuple(
        users
        for users in range(1, users_of_data + 1)
        if all(is_multiple(value, users * prompts, decimals) for value in values)
    )


def accidental_fits(num_values: int, decimals: int, prompts: int, users_of_data: int) -> float:
    """How many numbers of users would fit as many arbitrary values: the expected count.

    A printed value is a multiple of 1 / n by accident with probability n × 10^-decimals, at most 1.
    """
    step = prompts * 10.0**-decimals
    return math.fsum(min(1.0, users * step) ** num_values for users in range(1, users_of_data + 1))


@dataclass(frozen=True)
class CountsCheck:
    """Whether the scored numbers fit the reported recalls.

    Args:
        num_values: recalls in the table.
        denominator: users × prompts.
        num_fitting: recalls that are printed multiples of 1 / denominator.
        largest_error: the largest distance from such a multiple.
        rounding: half a unit of the last printed digit, the most that rounding explains.
        users_that_fit: all numbers of users up to those of the data that fit as well.
        accidental: how many would be expected to fit by accident.
    """

    num_values: int
    denominator: int
    num_fitting: int
    largest_error: float
    rounding: float
    users_that_fit: tuple[int, ...]
    accidental: float


def check_counts(table: ClaimsTable) -> CountsCheck | None:
    """Checks an inferred number of users against the table's recalls; None if none is inferred."""
    file, counts = table.file, table.file.counts
    values = [
        value
        for row in file.rows
        for metric, value in row.values.items()
        if parse_metric(metric)[0] == "recall"
    ]
    if counts is None or counts.basis == "stated" or not values:
        return None
    denominator = counts.users * counts.prompts
    return CountsCheck(
        num_values=len(values),
        denominator=denominator,
        num_fitting=sum(is_multiple(value, denominator, file.decimals) for value in values),
        largest_error=max(nearest_multiple(value, denominator)[1] for value in values),
        rounding=0.5 * 10.0**-file.decimals,
        users_that_fit=users_that_fit(values, file.decimals, counts.prompts, counts.users_of_data),
        accidental=accidental_fits(
            len(values), file.decimals, counts.prompts, counts.users_of_data
        ),
    )


def two_proportion_z(a: float, b: float, n: int) -> float:
    """The z of two shares of `n` each, unpaired, with the pooled share; 0 where they are equal.

    Raises:
        ValueError: a share outside [0, 1], or `n` < 1.
    """
    if not (0 <= a <= 1 and 0 <= b <= 1 and n >= 1):
        raise ValueError(f"shares {a} and {b} of {n}: expected shares in [0, 1] of at least 1")
    pooled = (a + b) / 2
    return 0.0 if a == b else (a - b) / math.sqrt(pooled * (1 - pooled) * 2 / n)


@dataclass(frozen=True)
class Tested:
    """One reported difference and what the numbers scored allow to say about it.

    Args:
        a: the row.
        b: the row subtracted.
        metric: its name here.
        difference: a - b.
        z_users: if a user's prompts hit and miss together; None where it cannot be tested.
        z_prompts: if they are independent.
        p_users: two-sided, of `z_users`.
        p_prompts: of `z_prompts`.
        support: the verdict of both at the 5 % level, of this one comparison.
        support_at_most: the same, had all users of the data been scored.
    """

    a: str
    b: str
    metric: str
    difference: float
    z_users: float | None
    z_prompts: float | None
    p_users: float | None
    p_prompts: float | None
    support: Support
    support_at_most: Support


def support_of(z_users: float, z_prompts: float) -> Support:
    """Whether both, one or neither of the two z tests (users, prompts) is significant."""
    shown = (abs(z_users) >= CRITICAL, abs(z_prompts) >= CRITICAL)
    if all(shown):
        return "shown either way"
    return "borderline" if any(shown) else "not shown either way"


def reported_differences(table: ClaimsTable) -> list[Tested]:
    """Every difference of the table's comparisons; none where the numbers scored are unknown."""
    counts = table.file.counts
    if counts is None:
        return []
    found = []
    for a, b in table.file.comparisons:
        one, two = table.file.row(a).values, table.file.row(b).values
        for metric in one:
            if metric in two:
                figures = (one[metric], two[metric])
                found.append(_test(a, b, metric, figures, counts, table.file.decimals))
    return found


def _test(
    a: str, b: str, metric: str, figures: tuple[float, float], counts: Counts, decimals: int
) -> Tested:
    """Tests one difference, if it is one of shares."""
    difference = round(figures[0] - figures[1], decimals)
    if parse_metric(metric)[0] != "recall":
        nothing: Support = "cannot be tested"
        return Tested(a, b, metric, difference, None, None, None, None, nothing, nothing)
    by_users, by_prompts = (
        two_proportion_z(*figures, n) for n in (counts.users, counts.users * counts.prompts)
    )
    most = counts.users_of_data
    return Tested(
        a=a,
        b=b,
        metric=metric,
        difference=difference,
        z_users=by_users,
        z_prompts=by_prompts,
        p_users=float(2 * stats.norm.sf(abs(by_users))),
        p_prompts=float(2 * stats.norm.sf(abs(by_prompts))),
        support=support_of(by_users, by_prompts),
        support_at_most=support_of(
            two_proportion_z(*figures, most), two_proportion_z(*figures, most * counts.prompts)
        ),
    )
