"""Does the structure of the new rows explain performance? Rank correlations across methods.

The GTI paper's hypothesis (arXiv 2604.02324): rows of higher effective rank, and closer to the
codebooks' geometry (RSA), let a model recommend better. Each cell gives a point: a number of its
rows at one stage, and its test score. Spearman's ρ says whether the two rise together.

Seeds of a method are not independent, so the interval is that of a cluster bootstrap: methods are
drawn with replacement, each with all its seeds in all settings (`DRAWS` draws, seed `SEED`), and

    tanh(atanh ρ ± t(0.975, M - 2) s),

s half the distance between the 16th and 84th percentile of atanh ρ over the draws, M the number of
methods. Several settings are pooled by ranks within each: what is common to a setting cancels.
Simulated (400 boards of each kind: true ρ of 0, .48 and .79, 1 and 3 seeds, seeds half and nearly
wholly alike) it covers 93 to 97 times in 100 at 18 methods, 95 to 100 at 8 and at 5: with few
methods it is wide, and with fewer than 5 nothing is said. Two kinds are in the tests.
Holm's correction runs over the numbers tested on the same cells.
A correlation over methods is no effect: those with more structure differ in other things as well.
Nor is structure success: rows drawn at random, which know nothing, have much of it after SFT. Each
number is shown beside theirs. RSA is that within the first level; pooled it is about 0 for all.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from leaderboard.board.method_rows import FLOOR, STAGES, under_trained
from leaderboard.metrics.metrics import MAIN_METRIC
from leaderboard.records.cells import Cell, by_setting
from leaderboard.records.record import MethodCard, Record
from leaderboard.statistics.corrections import holm
from leaderboard.statistics.crossed import LEVEL

Floats = npt.NDArray[np.float64]

NUMBERS = ("effective_rank", "rsa_level_1", "text_affinity")
"""Which of the diagnostics are tested, at each of `STAGES`."""
RANDOM = "random"
"""The method whose rows are drawn at random."""

FEWEST_METHODS = 5
DRAWS = 2000
SEED = 0
MOST_Z = float(np.arctanh(1 - 1e-9))


@dataclass(frozen=True)
class Points:
    """Cells as points, and how many were left out.

    Args:
        metric: the test metric that `scores` are of.
        settings: [n] what each cell's setting is called (`labels_of`).
        methods: [n] key of its method.
        cards: key → card of these methods.
        seeds: [n] its seed.
        scores: [n] its score.
        numbers: (stage, diagnostic) → [n], NaN where undefined or without that stage.
        random: (setting, stage, diagnostic) → mean of the cells of `RANDOM`, under-trained ones
            too; not there where there is none.
        references: left out, since they have no rows.
        under_trained: left out, since they lie below popularity and support no claim.
        without_score: left out, since the metric is null.
        unjudged: settings without a record of popularity: their cells may be under-trained.
    """

    metric: str
    settings: tuple[str, ...]
    methods: tuple[str, ...]
    cards: dict[str, MethodCard]
    seeds: tuple[int, ...]
    scores: Floats
    numbers: dict[tuple[str, str], Floats]
    random: dict[tuple[str, str, str], float]
    references: int
    under_trained: int
    without_score: int
    unjudged: tuple[str, ...]


@dataclass(frozen=True)
class Association:
    """How one number of the rows goes with the score.

    Args:
        setting: whose cells, as `Points` calls it; None: all, pooled by ranks within each.
        stage: init, grounding or sft.
        number: which diagnostic.
        num_methods: M, those with the number.
        num_cells: their cells.
        random: the number of random rows, see `Points`; null for all settings.
        above: methods whose mean over cells is above that; null where it is.
        rho: Spearman's; null where there are too few methods, or nothing varies.
        low: lower end of the 95 % interval.
        high: upper end.
        p: two-sided, by the same rule as the interval, corrected by Holm.
        smallest: |ρ| that the strictest of the corrected tests would need to be.
        verdict: what can be said.
    """

    setting: str | None
    stage: str
    number: str
    num_methods: int
    num_cells: int
    random: float | None
    above: int | None
    rho: float | None
    low: float | None
    high: float | None
    p: float | None
    smallest: float | None
    verdict: Literal[
        "rises with it", "falls with it", "not shown", "too few methods to say", "does not vary"
    ]


def labels_of(records: Iterable[Record]) -> dict[str, str]:
    """Setting hash → the setting's name, with the hash's start where several have that name."""
    names = {record.setting_hash: record.setting.name for record in records}
    often = Counter(names.values())
    return {key: f"{name} [{key[:8]}]" if often[name] > 1 else name for key, name in names.items()}


def points_of(cells: Sequence[Cell], metric: str = MAIN_METRIC) -> Points:
    """The points that `cells`, of any settings, give; all cells of a setting's name at once."""
    labels = labels_of(cell.record for cell in cells)
    kept: list[Record] = []
    references = weak = without = 0
    unjudged = []
    for group in by_setting(cells).values():
        floor = [cell for cell in group if cell.record.method.key == FLOOR]
        if not floor:
            unjudged.append(labels[group[0].record.setting_hash])
        for record in (cell.record for cell in group):
            if record.kind == "reference":
                references += 1
            elif under_trained([record], floor or None):
                weak += 1
            elif record.metrics["test"].get(metric) is None:
                without += 1
            else:
                kept.append(record)
    keys = [(stage, number) for stage in STAGES for number in NUMBERS]
    return Points(
        metric=metric,
        settings=tuple(labels[record.setting_hash] for record in kept),
        methods=tuple(record.method.key for record in kept),
        cards={record.method.key: record.method for record in kept},
        seeds=tuple(record.seed for record in kept),
        scores=np.array([record.metrics["test"][metric] for record in kept], dtype=np.float64),
        numbers={key: np.array([_number(record, *key) for record in kept]) for key in keys},
        random=_of_random([cell.record for cell in cells], labels, keys),
        references=references,
        under_trained=weak,
        without_score=without,
        unjudged=tuple(sorted(unjudged)),
    )


def _of_random(
    records: Sequence[Record], labels: Mapping[str, str], keys: Sequence[tuple[str, str]]
) -> dict[tuple[str, str, str], float]:
    """(Setting, stage, diagnostic) → mean over the cells of `RANDOM` that have it."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for record in records:
        for key in keys if record.method.key == RANDOM else ():
            value = _number(record, *key)
            if not math.isnan(value):
                found.setdefault((labels[record.setting_hash], *key), []).append(value)
    return {key: math.fsum(values) / len(values) for key, values in found.items()}


def _number(record: Record, stage: str, number: str) -> float:
    """A diagnostic of one stage to the digits float32 has, so that rounding parts no ties.

    NaN where there is none.
    """
    found = record.diagnostics.get(stage)
    value = None if found is None else getattr(found, number)
    return float("nan") if value is None else float(f"{value:.6g}")


def together(parts: Sequence[Points]) -> Points:
    """The points of all `parts`, one after another (at least one part, all of one metric)."""
    return Points(
        metric=parts[0].metric,
        settings=tuple(name for part in parts for name in part.settings),
        methods=tuple(key for part in parts for key in part.methods),
        cards={key: card for part in parts for key, card in part.cards.items()},
        seeds=tuple(seed for part in parts for seed in part.seeds),
        scores=np.concatenate([part.scores for part in parts]),
        numbers={
            key: np.concatenate([part.numbers[key] for part in parts]) for key in parts[0].numbers
        },
        random={key: value for part in parts for key, value in part.random.items()},
        references=sum(part.references for part in parts),
        under_trained=sum(part.under_trained for part in parts),
        without_score=sum(part.without_score for part in parts),
        unjudged=tuple(sorted(name for part in parts for name in part.unjudged)),
    )


def associations(points: Points) -> list[Association]:
    """Each setting's associations by name, then, of several settings, the pooled ones."""
    names = sorted(set(points.settings))
    groups: list[str | None] = [*names, *([None] if len(names) > 1 else [])]
    return [each for group in groups for each in _of_group(points, group)]


def _of_group(points: Points, setting: str | None) -> list[Association]:
    """All numbers tested on one setting's cells, or on all (None), corrected together."""
    inside = np.array([setting in (None, name) for name in points.settings], dtype=np.bool_)
    tests = {key: _Test.of(points, inside, key) for key in points.numbers}
    tested = [key for key, test in tests.items() if test.error is not None]
    corrected = dict(zip(tested, holm([tests[key].p() for key in tested]), strict=True))
    level = LEVEL / max(len(tested), 1)
    return [
        test.association(
            setting, key, corrected.get(key), level, *_beside_random(points, setting, key)
        )
        for key, test in tests.items()
    ]


def _beside_random(
    points: Points, setting: str | None, key: tuple[str, str]
) -> tuple[float | None, int | None]:
    """The number `key` of random rows in `setting`, and how many other methods have more."""
    found = None if setting is None else points.random.get((setting, *key))
    if found is None:
        return None, None
    own: dict[str, list[float]] = {}
    cells = zip(points.settings, points.methods, points.numbers[key].tolist(), strict=True)
    for name, method, value in cells:
        if name == setting and method != RANDOM and not math.isnan(value):
            own.setdefault(method, []).append(value)
    return found, sum(math.fsum(values) / len(values) > found for values in own.values())


@dataclass(frozen=True)
class _Test:
    """One number against the score: ρ and the spread of atanh ρ, as far as they are defined."""

    num_methods: int
    num_cells: int
    rho: float | None
    error: float | None

    @classmethod
    def of(cls, points: Points, inside: npt.NDArray[np.bool_], key: tuple[str, str]) -> "_Test":
        """Tests the diagnostic `key` against scores, over the cells in `inside` that have it."""
        rows = np.flatnonzero(inside & ~np.isnan(points.numbers[key]))
        methods = sorted({points.methods[row] for row in rows})
        if len(methods) < FEWEST_METHODS:
            return cls(len(methods), len(rows), None, None)
        blocks = np.unique([points.settings[row] for row in rows], return_inverse=True)[1]
        clusters = np.array([methods.index(points.methods[row]) for row in rows])
        values, scores = points.numbers[key][rows], points.scores[rows]
        rho = float(spearman(values, scores, blocks, np.ones((1, len(rows))))[0])
        if np.isnan(rho):
            return cls(len(methods), len(rows), None, None)
        spread = bootstrap_spread(values, scores, blocks, clusters)
        return cls(len(methods), len(rows), rho, spread)

    def p(self) -> float | None:
        """Two-sided p-value of the hypothesis that ρ is zero; None where it is undefined."""
        if self.rho is None or not self.error:
            return None
        return 2 * float(special.stdtr(self.num_methods - 2, -abs(_z(self.rho)) / self.error))

    def association(
        self,
        setting: str | None,
        key: tuple[str, str],
        p: float | None,
        level: float,
        random: float | None,
        above: int | None,
    ) -> Association:
        """What the test says, by its corrected `p` and the `level` of the strictest test."""
        low = high = smallest = None
        verdict: Literal[
            "rises with it", "falls with it", "not shown", "too few methods to say", "does not vary"
        ] = "too few methods to say" if self.num_methods < FEWEST_METHODS else "does not vary"
        if self.rho is not None and self.error is not None:
            half = _critical(LEVEL, self.num_methods) * self.error
            low, high = (float(np.tanh(_z(self.rho) + sign * half)) for sign in (-1, 1))
            smallest = float(np.tanh(_critical(level, self.num_methods) * self.error))
            verdict = "not shown"
            if p is not None and p < LEVEL:
                verdict = "rises with it" if self.rho > 0 else "falls with it"
        return Association(
            setting, *key, self.num_methods, self.num_cells, random, above, self.rho, low, high, p,
            smallest, verdict,
        )  # fmt: skip


def _z(rho: float) -> float:
    """Fisher's transformation, finite at ±1."""
    return float(np.clip(np.arctanh(np.clip(rho, -1 + 1e-15, 1 - 1e-15)), -MOST_Z, MOST_Z))


def _critical(level: float, num_methods: int) -> float:
    """Student's two-sided critical value of M - 2 degrees of freedom."""
    return -float(special.stdtrit(num_methods - 2, level / 2))


def spearman(
    values: Floats, scores: Floats, blocks: npt.NDArray[np.integer], weights: Floats
) -> Floats:
    """Spearman's ρ by ranks within blocks; NaN where either side does not vary.

    Args:
        values: [n].
        scores: [n].
        blocks: [n] ranks are taken within each; with one block it is the usual ρ.
        weights: [draws, n] how often each point is there.

    Returns:
        [draws] ρ: the correlation of ranks over the size of their block, less the block's mean.
    """
    products = np.zeros((3, len(weights)))
    for block in np.unique(blocks):
        own = blocks == block
        inside = weights[:, own]
        size = np.maximum(inside.sum(axis=1, keepdims=True), 1.0)
        left, right = (_less_mean(side[own], inside, size) for side in (values, scores))
        pairs = ((left, right), (left, left), (right, right))
        products += [np.einsum("dn,dn,dn->d", inside, one, two) for one, two in pairs]
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt(products[1] * products[2])
        # Sides that do not vary leave nothing but what sums round.
        return np.where(spread > 1e-12 * len(values), products[0] / spread, np.nan)


def _less_mean(side: Floats, weights: Floats, size: Floats) -> Floats:
    """[draws, n] the share of a block at or below each point of `side`, less the block's mean."""
    below = (side[None, :] < side[:, None]) + 0.5 * (side[None, :] == side[:, None])
    share = (weights @ below.T) / size
    less: Floats = share - (weights * share).sum(axis=1, keepdims=True) / size
    return less


def bootstrap_spread(
    values: Floats,
    scores: Floats,
    blocks: npt.NDArray[np.integer],
    clusters: npt.NDArray[np.integer],
) -> float | None:
    """The spread of atanh ρ when clusters are drawn with replacement; None where it has none.

    Args:
        values: [n].
        scores: [n].
        blocks: [n] as of `spearman`.
        clusters: [n] points of one cluster, numbered from 0, are drawn together.
    """
    count = int(clusters.max()) + 1
    drawn = np.random.default_rng(SEED).multinomial(count, np.full(count, 1 / count), size=DRAWS)
    found = spearman(values, scores, blocks, drawn[:, clusters].astype(np.float64))
    found = found[~np.isnan(found)]
    if not len(found):
        return None
    z = np.clip(np.arctanh(np.clip(found, -1 + 1e-15, 1 - 1e-15)), -MOST_Z, MOST_Z)
    low, high = np.percentile(z, [15.87, 84.13])
    return float(high - low) / 2 or None
