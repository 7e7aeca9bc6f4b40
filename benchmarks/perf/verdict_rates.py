"""How often the verdict words on primary contrasts are right, where the truth is known.

`python -m benchmarks.perf.verdict_rates` simulates boards and prints the last two tables of
`docs/statistics.md`; `--page docs/statistics.md` writes it between that page's markers; `--quick`
takes few small boards, for a look. Seeded, so that the figures are the same on every machine.

Boards are those of `benchmarks.perf.error_rates`, their seed variances drawn from an inverse χ²,
and some methods truly better. Three primary contrasts set method 1 against 2, 3 and 4, tested in
this order, each at 5 %, until one is not shown; behind them stand the differences of all methods
from method 0, corrected by Holm and claimed only where all three are shown. The test is the one in
use: own seed variances below five seeds, moderated ones from there on. A second table has the worst
of all truths where seed variances are others, or the primary contrasts are corrected by Holm.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from benchmarks.perf.error_rates import (
    AT_ONCE,
    FAMILY_WISE,
    METHODS,
    PER_TEST,
    SCORES,
    SEEDS,
    VARIANCES,
)
from benchmarks.perf.page import run_page
from leaderboard.statistics.crossed import (
    LEVEL,
    MODERATED_FROM,
    Floats,
    MeanSquares,
    margin,
    mean_squares,
)
from leaderboard.statistics.families import Rule
from leaderboard.statistics.moderated import SeedPrior, prior_of, shrink

BOARDS, USERS = 2_000, 500
QUICK_BOARDS, QUICK_USERS = 50, 200

MARGINS = {"Gaussian": 0.5, "zero-inflated": 0.03}
"""Of equivalence, in the scores' units: some 3.5 standard errors of a difference at 5 seeds."""

PRIMARY = ((1, 2), (1, 3), (1, 4))
SECONDARY = tuple((method, 0) for method in range(1, METHODS))
WORDS = ("better", "worse", "equal", "open")

TRUTHS = {
    "no difference": {},
    "first alone": {1: 2.0, 3: 2.0, 4: 2.0},
    "all three": {1: 2.0},
    "at the margin": {1: 1.0},
}
"""Name → method → how much better than method 0 it truly is, in margins."""
USUAL: tuple[str, Rule] = ("inverse χ²", "fixed order")
"""Seed variances and rule of the first table."""
KINDS: tuple[tuple[str, Rule], ...] = (
    USUAL,
    *((name, USUAL[1]) for name in VARIANCES if name != USUAL[0]),
    (USUAL[0], "holm"),
)
"""Those of the second: one of the two changed at a time."""


@dataclass(frozen=True)
class Rates:
    """What was said of one kind of board.

    Args:
        scores: kind of scores.
        truth: name of what is true.
        seeds: of every method.
        kind: seed variances, and rule of the primary contrasts.
        words: [3, 4] share of boards by primary contrast and word.
        false_claim: share of boards with any false claim: a primary contrast called better or worse
            whose methods are equal or lie the other way, or a secondary difference of two equal
            methods claimed. At most so: Holm's steps are replaced by the level of its last.
        false_equal: share of those primary contrasts called equal that truly differ by the margin
            or more; the largest of the three.
    """

    scores: str
    truth: str
    seeds: int
    kind: tuple[str, Rule]
    words: Floats
    false_claim: float
    false_equal: float


def _shown(means: Floats, squares: MeanSquares, rule: Rule) -> np.ndarray:
    """[boards, 3] which of the primary contrasts the rule lets stand."""
    if rule == "fixed order":
        return np.logical_and.accumulate(np.abs(means) > margin(squares), axis=1)
    # Holm's step k goes on where k of the p are at most level / (tests - k + 1).
    shown, going = np.zeros(means.shape, dtype=bool), np.ones((len(means), 1), dtype=bool)
    tests = means.shape[1]
    for step in range(1, tests + 1):
        rejected = np.abs(means) > margin(squares, LEVEL / (tests - step + 1))
        going = going & (rejected.sum(axis=1, keepdims=True) >= step)
        shown = np.where(going, rejected, shown)
    return shown


def words_of(
    means: Floats, squares: MeanSquares, bound: float, rule: Rule = USUAL[1]
) -> np.ndarray:
    """[boards, 3] places in `WORDS` of the primary contrasts.

    Args:
        means: [boards, 3] of the differences.
        squares: of the same.
        bound: the margin of equivalence.
        rule: by which they are tested.
    """
    shown = _shown(means, squares, rule)
    # Two one-sided tests at 5 %: the 90 % interval lies within the margin.
    equal = bound - np.abs(means) > margin(squares, 2 * LEVEL)
    return np.where(shown, np.where(means > 0, 0, 1), np.where(equal, 2, 3))


def squares_in_use(values: Floats, pairs: Sequence[tuple[int, int]]) -> tuple[Floats, MeanSquares]:
    """[boards, pairs] mean differences and what they are tested by.

    Args:
        values: [boards, methods, seeds, users].
        pairs: places of the methods.
    """
    one, other = (list(side) for side in zip(*pairs, strict=True))
    differences = values[:, one] - values[:, other]
    squares = mean_squares(differences)
    if values.shape[2] >= MODERATED_FROM:
        against_all = mean_squares(values - values.mean(axis=1, keepdims=True))
        found = prior_of(against_all.seed / against_all.residual, squares.num_seeds - 1)
        squares = shrink(squares, SeedPrior(found.ratio[:, None], found.degrees[:, None]))
    return differences.mean(axis=(-2, -1)), squares


def simulate(
    scores: str,
    truth: str,
    seeds: int,
    boards: int,
    users: int,
    kind: tuple[str, Rule] = USUAL,
) -> Rates:
    """The words on so many boards of one kind."""
    variety, rule = kind
    place = [7, list(SCORES).index(scores), list(TRUTHS).index(truth), seeds]
    if kind != USUAL:
        place.append(KINDS.index(kind))
    generator = np.random.default_rng(place)
    better = np.array([TRUTHS[truth].get(method, 0.0) for method in range(METHODS)])
    true, behind = (
        np.array([better[a] - better[b] for a, b in pairs]) for pairs in (PRIMARY, SECONDARY)
    )
    counts, false_claims = np.zeros((len(PRIMARY), len(WORDS))), 0
    for _ in range(boards // AT_ONCE):
        variances = VARIANCES[variety](generator, AT_ONCE)
        values = SCORES[scores](generator, variances, seeds, users, better * MARGINS[scores])
        said = words_of(*squares_in_use(values, PRIMARY), MARGINS[scores], rule)
        counts += (said[:, :, None] == np.arange(len(WORDS))).sum(axis=0)
        false = (((said == 0) & (true <= 0)) | ((said == 1) & (true >= 0))).any(axis=1)
        means, squares = squares_in_use(values, SECONDARY)
        claimed = np.abs(means) > margin(squares, LEVEL / (behind == 0).sum())
        opened = (said < 2).all(axis=1)
        false_claims += (false | (opened & (claimed & (behind == 0)).any(axis=1))).sum()
    words = counts / (boards // AT_ONCE * AT_ONCE)
    differ = np.abs(true) >= 1
    false_equal = float(words[differ, WORDS.index("equal")].max(initial=0.0))
    share = false_claims / (boards // AT_ONCE * AT_ONCE)
    return Rates(scores, truth, seeds, kind, words, float(share), false_equal)


def all_rates(boards: int, users: int) -> Iterator[Rates]:
    """Every kind of board, in the order of the table."""
    for kind, scores, truth, seeds in product(KINDS, SCORES, TRUTHS, SEEDS):
        print(f"{', '.join(kind)}, {scores}, {truth}, {seeds} seeds", file=sys.stderr)
        yield simulate(scores, truth, seeds, boards, users, kind)


def table(found: Sequence[Rates], boards: int, users: int) -> str:
    """The figures as Markdown."""
    head = [
        f"{boards:,} boards of {METHODS} methods and {users:,} users a line; shares called"
        f" {', '.join(WORDS)}, of boards with any false claim, and the most called falsely equal.",
        "",
        "| scores | truth | seeds | first | second | third | false claim | false equal |",
        "|---|---|---:|---|---|---|---:|---:|",
    ]
    usual = [each for each in found if each.kind == USUAL]
    return "\n".join([*head, *map(_line, usual), "", *_worst(found)])


def _worst(found: Sequence[Rates]) -> Iterator[str]:
    """The second table: the largest shares of each kind of board, whatever is true."""
    yield "| scores | seed variances | rule | seeds | false claim | false equal |"
    yield "|---|---|---|---:|---:|---:|"
    for kind, scores, seeds in product(KINDS, SCORES, SEEDS):
        of_it = [r for r in found if (r.kind, r.scores, r.seeds) == (kind, scores, seeds)]
        shares = _false(
            max(each.false_claim for each in of_it), max(each.false_equal for each in of_it)
        )
        yield f"| {' | '.join([scores, *kind, str(seeds), *shares])} |"


def _line(found: Rates) -> str:
    """One kind of board."""
    shares = [" ".join(map(_share, each)) for each in found.words]
    false = _false(found.false_claim, found.false_equal)
    return f"| {' | '.join([found.scores, found.truth, str(found.seeds), *shares, *false])} |"


def _false(claim: float, equal: float) -> list[str]:
    """Both shares, in bold what is said falsely more often than it may be."""
    bounds = ((claim, FAMILY_WISE), (equal, PER_TEST))
    return [_share(f) if f <= most else f"**{_share(f)}**" for f, most in bounds]


def _share(value: float) -> str:
    """`.953`, `1.000`."""
    return f"{value:.3f}".removeprefix("0")


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulates, prints the table and, where asked, writes it into a page."""

    def make(boards: int, users: int) -> str:
        return table(list(all_rates(boards, users)), boards, users)

    sizes, quick = (BOARDS, USERS), (QUICK_BOARDS, QUICK_USERS)
    run_page(__doc__, "verdict rates", make, sizes, quick, arguments)


if __name__ == "__main__":
    main()
