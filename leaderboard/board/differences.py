"""Every row's difference from `mean`, and the letters of ties, on a board.

Methods are tested within the board's family of tests (`leaderboard.board.family`), seed by seed and
user by user. References (popularity, Markov, other libraries' models) take no part in tests.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace

from leaderboard.board.checks import Checks
from leaderboard.board.family import Family, behind
from leaderboard.board.method_rows import BASE, Difference, common_seeds, paired
from leaderboard.board.moderation import moderated_squares
from leaderboard.board.tested import Tested
from leaderboard.board.user_scores import Floats, UserScores
from leaderboard.statistics.corrections import LEVEL, tie_letters
from leaderboard.statistics.crossed import estimate


def differences_from_base(
    scores: UserScores | None, order: Sequence[str], methods: Sequence[str], family: Family
) -> dict[str, Difference]:
    """Each row's difference from `mean`; those of references are not tested."""
    if scores is None or BASE not in scores.values:
        return {}
    found: dict[str, Difference] = {}
    for key in order:
        if key in methods and key != BASE:
            if (tested := family.of(key, BASE)) is not None:
                found[key] = _difference(tested)
        elif key not in methods and key in scores.values:
            found[key] = _of_reference(scores, key)
    return found


def _difference(tested: Tested) -> Difference:
    """The difference of a method."""
    return Difference(
        base=BASE,
        seeds=tested.seeds,
        estimate=tested.estimate,
        p=tested.p,
        smallest=tested.smallest,
        seeds_needed=tested.seeds_needed,
        verdict=tested.verdict,
        obstacles=tested.obstacles,
        lower_is_better=tested.lower_is_better,
    )


def _of_reference(scores: UserScores, key: str) -> Difference:
    """How large the difference of a reference is, and nothing of a test.

    The mean of its seeds, where it has some, stands at each seed of `mean`.
    """
    own: Floats = scores.matrix(key, sorted(scores.values[key])).mean(axis=0)
    seeds = common_seeds(scores, BASE, BASE)
    found = replace(estimate(own - scores.matrix(BASE, seeds)), p=None)
    return Difference(BASE, tuple(seeds), found, None, None, None, "not tested")


def letters_of_ties(
    scores: UserScores | None, methods: Sequence[str], family: Family, checks: Checks
) -> dict[str, str]:
    """Letters of ties over all pairs of methods: Holm over the pairs, behind what is primary.

    A primary contrast of these very scores that is shown tells its pair apart by itself. Two that
    have no verdict are not told apart.
    """
    if scores is None:
        return {}
    pairs = list(itertools.combinations([key for key in methods if key in scores.values], 2))
    p_values: list[float | None] = []
    for pair in pairs:
        matrix = paired(scores, *pair)
        squares = None if matrix is None else moderated_squares(matrix, family.moderation)
        p_values.append(None if matrix is None else estimate(matrix, squares).p)
    corrected = zip(pairs, behind(family.decided, p_values), strict=True)
    different = [
        pair for pair, p in corrected if p is not None and p < LEVEL and not checks.obstacles(*pair)
    ]
    primary = [
        (each.a, each.b)
        for each in family.tests.values()
        if each.role == "primary" and each.verdict in ("better", "worse")
    ]
    return tie_letters(methods, [*different, *primary])
