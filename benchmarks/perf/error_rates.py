"""How often today's test and the moderated one find a difference among methods that are equal.

`python -m benchmarks.perf.error_rates` simulates boards and prints the table of
`docs/statistics.md`; `--page docs/statistics.md` writes it between that page's markers; `--quick`
takes few small boards, for a look. Seeded, so that the figures are the same on every machine.

A board has eight methods that score the same users at the same seeds with equal true means, and
seven differences, those from its first method. Scores are either *Gaussian* (users, seeds, both
within each method and the residual add up; a method's seeds vary 30 times as much as residual /
users) or *zero-inflated* (ndcg@10 with a gain in one case of ten, at chances that users, methods
and seeds multiply; a method's seeds vary three times as much as residual / users). So do the
committed boards, those of queries, and those of histories at most.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.perf.page import run_page
from leaderboard.statistics.crossed import (
    LEVEL,
    MODERATED_FROM,
    Floats,
    MeanSquares,
    margin,
    mean_squares,
)
from leaderboard.statistics.moderated import SeedPrior, prior_of, shrink

METHODS = 8
SEEDS = (3, 5, 8)
BOARDS, USERS = 4_000, 500
QUICK_BOARDS, QUICK_USERS = 50, 200
AT_ONCE = 25
"""Boards that are held in memory together."""

PER_TEST, FAMILY_WISE = 0.055, 0.06
"""Most that a test may err to be used, alone and over the differences of a board."""

GAINS = 1 / np.log2(np.arange(2, 12))
"""ndcg@10 of a hit at each rank."""

Draw = Callable[[np.random.Generator, Floats, int, int, Floats | float], Floats]


def equal(_: np.random.Generator, boards: int) -> Floats:
    """All methods vary over seeds alike."""
    return np.ones((boards, METHODS))


def inverse_chi_squared(generator: np.random.Generator, boards: int) -> Floats:
    """Variances as Smyth's prior has them, with 5 degrees of freedom and mean 1."""
    return 3 / generator.chisquare(5, (boards, METHODS))


def tenfold(generator: np.random.Generator, boards: int) -> Floats:
    """Half of the methods, drawn anew for each board, have ten times the variance of the others."""
    half: Floats = np.where(np.arange(METHODS) % 2 == 0, 1.0, 10.0) / 5.5
    mixed: Floats = generator.permuted(np.tile(half, (boards, 1)), axis=1)
    return mixed


def noisy_base(_: np.random.Generator, boards: int) -> Floats:
    """The one that all others are compared with has ten times their variance."""
    one: Floats = np.where(np.arange(METHODS) == 0, 10.0, 1.0) / 2
    return np.tile(one, (boards, 1))


VARIANCES = {
    "equal": equal,
    "inverse χ²": inverse_chi_squared,
    "tenfold mixed": tenfold,
    "noisy base": noisy_base,
}


def gaussian(
    generator: np.random.Generator,
    variances: Floats,
    seeds: int,
    users: int,
    better: Floats | float = 0.0,
) -> Floats:
    """[boards, methods, seeds, users] sums of normal effects; `variances` [boards, methods].

    `better`: [methods] by how much the true means are above 0.
    """
    boards = len(variances)
    by_seed = _seed_effects(generator, 30 * variances, seeds) / np.sqrt(users)
    of_users = generator.normal(size=(boards, 1, 1, users))
    of_methods = generator.normal(0, 0.5, size=(boards, METHODS, 1, users))
    residual = generator.normal(size=(boards, METHODS, seeds, users))
    values: Floats = of_users + of_methods + by_seed[..., None] + residual
    values += np.broadcast_to(better, (METHODS,))[:, None, None]
    return values


def zero_inflated(
    generator: np.random.Generator,
    variances: Floats,
    seeds: int,
    users: int,
    better: Floats | float = 0.0,
) -> Floats:
    """[boards, methods, seeds, users] of ndcg@10: a gain in one case of ten, else 0.

    `better`: [methods] by how much the true means are above those of one case in ten.
    """
    boards = len(variances)
    residual = 0.1 * np.mean(GAINS**2) - (0.1 * GAINS.mean()) ** 2
    unit = np.sqrt(residual / users) / (0.1 * GAINS.mean())  # of a seed's effect, relative
    by_seed = 1 + unit * _seed_effects(generator, 3 * variances, seeds)
    of_users = 0.02 + 0.16 * generator.beta(0.6, 0.6, size=(boards, 1, 1, users))
    of_methods = generator.uniform(0.4, 1.6, size=(boards, METHODS, 1, users))
    more = 1 + np.broadcast_to(better, (METHODS,))[:, None, None] / (0.1 * GAINS.mean())
    chance = of_users * of_methods * np.maximum(by_seed, 0)[..., None] * more
    drawn = generator.random(chance.shape)
    places = np.minimum(drawn / np.maximum(chance, 1e-12), 1.0) * len(GAINS)
    values: Floats = np.append(GAINS, 0.0)[places.astype(np.int64)]
    return values


def _seed_effects(generator: np.random.Generator, variances: Floats, seeds: int) -> Floats:
    """[boards, methods, seeds]: a method's own, and one that all methods share."""
    own: Floats = generator.normal(size=(*variances.shape, seeds)) * np.sqrt(variances)[..., None]
    shared: Floats = generator.normal(size=(len(variances), 1, seeds))
    shared *= np.sqrt(2 * variances.mean())
    return own + shared


SCORES: dict[str, Draw] = {"Gaussian": gaussian, "zero-inflated": zero_inflated}


@dataclass(frozen=True)
class Errors:
    """What one test found among equal methods.

    Args:
        per_test: share of the differences whose 95 % interval leaves out zero.
        family_wise: share of the boards on which Holm's correction lets a difference stand.
        width: mean logarithm of the half width that decides Holm's first step.
    """

    per_test: float
    family_wise: float
    width: float

    @property
    def within(self) -> bool:
        """Whether the test may be used."""
        return self.per_test <= PER_TEST and self.family_wise <= FAMILY_WISE


@dataclass(frozen=True)
class Case:
    """One kind of board, and what each test found on it: its own variances, Smyth's, moderated."""

    scores: str
    variances: str
    seeds: int
    own: Errors
    smyth: Errors
    moderated: Errors


def smyth(squares: MeanSquares, prior: SeedPrior) -> MeanSquares:
    """Smyth's posterior with its floor at the residual, as it stands in the literature."""
    own, most = squares.num_seeds - 1, METHODS * (squares.num_seeds - 1)
    counted = np.minimum(prior.degrees, 1e9)
    ratio = (counted * prior.ratio + own * squares.seed / squares.residual) / (counted + own)
    seed = np.maximum(ratio, 1.0) * squares.residual
    added = np.broadcast_to(np.minimum(counted, most - own), seed.shape)
    return MeanSquares(
        squares.num_seeds, squares.num_users, seed, squares.user, squares.residual, added
    )


def tests_of(values: Floats) -> tuple[Floats, list[MeanSquares]]:
    """[boards, 7] differences from the first method, and their mean squares for each test."""
    differences = values[:, 1:] - values[:, :1]
    squares = mean_squares(differences)
    against_all = mean_squares(values - values.mean(axis=1, keepdims=True))
    found = prior_of(against_all.seed / against_all.residual, squares.num_seeds - 1)
    prior = SeedPrior(found.ratio[:, None], found.degrees[:, None])
    forms = [squares, smyth(squares, prior), shrink(squares, prior)]
    return differences.mean(axis=(-2, -1)), forms


def simulate(scores: str, variances: str, seeds: int, boards: int, users: int) -> Case:
    """The errors on so many boards of one kind."""
    place = [list(SCORES).index(scores), list(VARIANCES).index(variances), seeds]
    generator = np.random.default_rng(place)
    tested = METHODS - 1
    found = np.zeros((3, 3))  # tests; alone, family, width
    for _ in range(boards // AT_ONCE):
        own = VARIANCES[variances](generator, AT_ONCE)
        means, forms = tests_of(SCORES[scores](generator, own, seeds, users, 0.0))
        for row, squares in zip(found, forms, strict=True):
            corrected = margin(squares, LEVEL / tested)
            row += (
                (np.abs(means) > margin(squares)).mean(axis=1).sum(),
                (np.abs(means) > corrected).any(axis=1).sum(),
                np.log(corrected).mean(axis=1).sum(),
            )
    errors = [Errors(*map(float, row / (boards // AT_ONCE * AT_ONCE))) for row in found]
    return Case(scores, variances, seeds, *errors)


def all_cases(boards: int, users: int) -> Iterator[Case]:
    """Every kind of board, in the order of the table."""
    for scores in SCORES:
        for variances in VARIANCES:
            for seeds in SEEDS:
                print(f"{scores}, {variances}, {seeds} seeds", file=sys.stderr)
                yield simulate(scores, variances, seeds, boards, users)


def table(cases: Sequence[Case], boards: int, users: int) -> str:
    """The figures as Markdown."""
    head = [
        f"{boards:,} boards of {METHODS} methods and {users:,} users a line; coverage of 95 %"
        " intervals, error of one test, family-wise error.",
        "",
        "| scores | seed variances | seeds | own | Smyth's | moderated | its width | used |",
        "|---|---|---:|---|---|---|---:|---|",
    ]
    return "\n".join([*head, *map(_line, cases)])


def _line(case: Case) -> str:
    """One kind of board."""
    width = np.exp(case.moderated.width - case.own.width)
    used = "moderated" if case.seeds >= MODERATED_FROM else "own"
    words = [case.scores, case.variances, str(case.seeds)]
    words += [_errors(each) for each in (case.own, case.smyth, case.moderated)]
    return f"| {' | '.join([*words, f'{width:.2f}', used])} |"


def _errors(found: Errors) -> str:
    """`.953 .047 .031`, in bold what is beyond the bounds."""
    shares = (1 - found.per_test, found.per_test, found.family_wise)
    text = " ".join(f"{share:.3f}".removeprefix("0") for share in shares)
    return text if found.within else f"**{text}**"


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulates, prints the table and, where asked, writes it into a page."""

    def make(boards: int, users: int) -> str:
        return table(list(all_cases(boards, users)), boards, users)

    sizes, quick = (BOARDS, USERS), (QUICK_BOARDS, QUICK_USERS)
    run_page(__doc__, "error rates", make, sizes, quick, arguments)


if __name__ == "__main__":
    main()
