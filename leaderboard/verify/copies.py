"""Do two cells say the same where no two can? Ranks and NLLs, rows after SFT, curves.

A copy of ranks is another file as soon as one count differs, and need not have one count left as it
was. So cells are compared target by target. Of the targets that both found, at places that are not
either one's most frequent, two honest cells of a setting have a few in a hundred at the same place
(at most 5 seen), and their places correlate with at most .76; no NLL is the same in both to a
millionth of a nat, and NLLs correlate with at most .95. A copy with noise, or with every target
moved up, shows in one of the four.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from leaderboard.metrics.metrics import is_loss
from leaderboard.records.known_methods import first_rows_of
from leaderboard.records.parts import CurvePoint, StageProof
from leaderboard.records.ranks import LOSSES, Ranks
from leaderboard.records.record import Record
from leaderboard.verify.findings import Finding, Report

MOST_ROWS = 4096
"""Targets that are compared; of more, so many are drawn anew by each `verify`."""
LEAST_TELLING = 24
"""Targets in which two cells must be comparable: fewer prove no copy."""
SAME_PLACES, SAME_NLLS = 0.5, 0.05
"""Share of these that are the same in a copy."""
PLACES_TOGETHER, NLLS_TOGETHER = 0.95, 0.999
"""Correlation from which on one is made of the other."""
NLL_STEP = 1e-6
"""Nats: NLLs are compared in steps of it, so that a last digit makes no other."""
SURE = 0.01
"""Nats: lower NLLs tell nothing, as strong cells may agree that there is no doubt."""
IntArray = npt.NDArray[np.integer[Any]]

NEARLY_ALIKE = {"mean", "library"}
"""First rows that differ by next to nothing: at one seed, short trainings on the same examples may
have the same ranks. All else of them differs."""
TELLING_HITS = 8
"""Hits that a learning curve must hold to tell two cells apart."""
CURVE = "learning_curve.*.metrics"
"""Rank metrics of a curve's points, without the losses."""
FIGURES = ("effective_rank", "effective_rank_centred", "stable_rank", "norm_mean")


class RowSample(NamedTuple):
    """What is compared of a cell's rows, in an order that all cells of a setting share.

    Attributes:
        places: [rows] twice the items above the target and once those beside it; -1: not found.
        nlls: [rows] in `NLL_STEP`; empty where there are none.
    """

    places: IntArray
    nlls: IntArray


@dataclass(frozen=True)
class Fingerprint:
    """Fingerprint of a cell's ranks, rows and curve: equal ones in two cells show a copy.

    Args:
        start: what its first rows are, where SFT on R alone follows; else null.
        seed: its seed.
        rows: what is compared of its rows; null where its ranks cannot be read.
        single: field → what stands there, of fields that two cells never have alike.
    """

    start: str | None
    seed: int
    rows: RowSample | None
    single: dict[str, Any]

    def nearly(self, other: "Fingerprint") -> bool:
        """Whether honest ranks of both may be alike."""
        return self.seed == other.seed and {self.start, other.start} == NEARLY_ALIKE


def fingerprint_of(record: Record, rows: RowSample | None) -> Fingerprint:
    """The fingerprint of a cell."""
    single: dict[str, Any] = {}
    moved = [proof for proof in record.proofs if proof.stage == "sft" and proof.new_rows_changed]
    for proof in moved:
        single |= _of_rows(record, proof)
    curve = record.learning_curve[1:]
    if _hits(record) >= TELLING_HITS:
        single[CURVE] = tuple(
            tuple(sorted(item for item in point.metrics.items() if not is_loss(item[0])))
            for point in curve
        )
    losses = tuple(tuple(point.metrics.get(name) for name in LOSSES) for point in curve)
    if losses and None not in losses[-1]:
        single["learning_curve.*.metrics.*nll"] = losses
    start = None if record.method.spends else first_rows_of(record.method)
    return Fingerprint(start, record.seed, rows, single)


def _of_rows(record: Record, proof: StageProof) -> dict[str, Any]:
    """Field → hash or figures of the new rows after SFT, to compare with other cells."""
    found: dict[str, Any] = {
        "proofs.*.new_rows_sha256 (sft)": proof.new_rows_sha256,
        "files.diagnostics": record.files.diagnostics,
    }
    spectrum = record.diagnostics.get("sft")
    if spectrum is not None and spectrum.effective_rank is not None:
        values = [getattr(spectrum, name) for name in FIGURES]
        found["diagnostics.sft.*"] = tuple(None if v is None else f"{v:.6g}" for v in values)
    return found


def _hits(record: Record) -> float:
    """Targets that the curve's points after the first found, if not all in one place."""
    size = min(record.setting.evaluation.validation_users, record.num_users["validation"])
    found = 0.0
    for point in record.learning_curve[1:]:
        recall, mrr = (_widest(point, family) for family in ("recall", "mrr"))
        if recall is not None and mrr is not None and 0 < mrr < recall:
            found += recall * size
    return found


def _widest(point: CurvePoint, family: str) -> float | None:
    """The metric of `family` at its largest cutoff that is defined."""
    cutoffs = {
        int(name.partition("@")[2]): value
        for name, value in point.metrics.items()
        if name.startswith(f"{family}@") and value is not None
    }
    return cutoffs[max(cutoffs)] if cutoffs else None


def sample_rows(first: Ranks, order: IntArray, draw: int) -> RowSample:
    """What is compared of the rows of one wording.

    Args:
        first: the rows.
        order: [n] their order by split, user and item.
        draw: seed of the sample, where there are more than `MOST_ROWS`.
    """
    if len(order) > MOST_ROWS:
        chosen = np.random.default_rng(draw).choice(len(order), MOST_ROWS, replace=False)
        order = order[np.sort(chosen)]
    places = np.where(first.in_beam, 2 * first.num_better + first.num_tied, -1)[order]
    nlls = np.rint(first.nll[order] / NLL_STEP) if first.has_nll else np.empty(0)
    return RowSample(places.astype(np.int32), nlls.astype(np.int64))


def find_copies(
    cells: Sequence[tuple[Path, str, Fingerprint]],
    findings: list[Finding],
    places_tell: bool = True,
) -> None:
    """No two `cells`, each a file, its setting's hash and its fingerprint, have them alike.

    Which of two is the copy, no figure says: the finding stands at one and names the other.

    Args:
        cells: those to compare.
        findings: added to.
        places_tell: false where honest ones may rank alike, having learned next to nothing.
    """
    comparable: dict[tuple[str, int, bool], list[tuple[Path, Fingerprint]]] = {}
    first: dict[tuple[str, str, Any], int] = {}
    for number, (path, setting, fingerprint) in enumerate(cells):
        if (rows := fingerprint.rows) is not None:
            place = (setting, len(rows.places), len(rows.nlls) > 0)
            comparable.setdefault(place, []).append((path, fingerprint))
        report = Report(str(path), findings)
        for field, value in fingerprint.single.items():
            other = first.setdefault((setting, field, value), number)
            near = field == CURVE and fingerprint.nearly(cells[other][2])
            if other != number and not near:
                wanted = f"another than {cells[other][0]}'s: no two cells have it alike"
                report.error(field, value, wanted)
    for (_, _, with_nlls), group in comparable.items():
        if places_tell:
            places = np.stack([each.rows.places for _, each in group if each.rows is not None])
            telling = (places >= 0) & (places != _most_frequent(places)[:, None])
            bounds = SAME_PLACES, PLACES_TOGETHER
            _compare_rows("files.ranks (rows)", "places", group, places, telling, bounds, findings)
        if with_nlls:
            nlls = np.stack([each.rows.nlls for _, each in group if each.rows is not None])
            bounds = SAME_NLLS, NLLS_TOGETHER
            sure = nlls < SURE / NLL_STEP
            _compare_rows("files.ranks (nll)", "NLLs", group, nlls, ~sure, bounds, findings)


def _most_frequent(places: IntArray) -> IntArray:
    """[cells] the place at which each finds most of its targets; -1 where it finds none."""
    modes = np.full(len(places), -1)
    for cell, own in enumerate(places):
        found = own[own >= 0]
        if len(found):
            values, counts = np.unique(found, return_counts=True)
            modes[cell] = values[counts.argmax()]
    return modes


def _compare_rows(
    field: str,
    what: str,
    group: Sequence[tuple[Path, Fingerprint]],
    values: IntArray,
    telling: npt.NDArray[np.bool_],
    bounds: tuple[float, float],
    findings: list[Finding],
) -> None:
    """Compares [cells, rows] `values` of each two cells where they are `telling` in both.

    Args:
        field: of the finding.
        what: the values are called there.
        group: the cells.
        values: of each.
        telling: where they tell something.
        bounds: share of equal values, and correlation, of a copy.
        findings: added to.
    """
    mask = telling.astype(np.float64)
    spread = np.where(telling, values, 0).astype(np.float64)
    # Sums over pairs lose fewer digits around each cell's own mean.
    spread -= mask * (spread.sum(axis=1) / np.maximum(1, mask.sum(axis=1)))[:, None]
    for number, (path, fingerprint) in enumerate(group):
        both, before = mask[:number] * mask[number], spread[:number]
        count = both.sum(axis=1)
        same = ((values[:number] == values[number]) & (both > 0)).sum(axis=1)
        together = _correlations(before, spread[number], both, np.maximum(1, count))
        share = same / np.maximum(1, count)
        alike = (share >= bounds[0]) | (together >= bounds[1])
        for other in np.flatnonzero(alike & (count >= LEAST_TELLING)).tolist():
            if fingerprint.nearly(group[other][1]):
                continue
            found = (
                f"{what} of {same[other]} of {int(count[other])} targets that are those of"
                f" {group[other][0]}, correlation {together[other]:.3f}"
            )
            wanted = f"other {what} than {group[other][0]}'s"
            Report(str(path), findings).error(field, found, wanted)
            break


def _correlations(
    before: npt.NDArray[np.float64],
    own: npt.NDArray[np.float64],
    both: npt.NDArray[np.float64],
    count: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """[cells] Pearson's between `own` and each row of `before`, over the columns in `both`."""
    mean_before, mean_own = (before * both).sum(axis=1) / count, both @ own / count
    shared = (before * both) @ own / count - mean_before * mean_own
    spreads = (before**2 * both).sum(axis=1) / count - mean_before**2
    spreads *= both @ own**2 / count - mean_own**2
    found: npt.NDArray[np.float64] = shared / np.sqrt(np.maximum(spreads, 1e-12))
    return found
