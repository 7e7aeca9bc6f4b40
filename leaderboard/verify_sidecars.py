"""Checks of a record's sidecars, and of every figure that can be derived from them."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leaderboard.canonical import file_sha256
from leaderboard.diagnostics_file import (
    DiagnosticsError,
    StageArrays,
    read_diagnostics,
)
from leaderboard.findings import Report
from leaderboard.metrics import metrics, num_users, raw_recall, relevance_of, slices
from leaderboard.ranks import SPLITS, Ranks, read_ranks
from leaderboard.record import (
    Metrics,
    Record,
    RecordError,
    Spectrum,
    diagnostics_path,
    ranks_path,
)
from leaderboard.scores import beam_of

FLOAT32_TOLERANCE = 1e-4
"""Relative; arrays are stored in float32, the record's numbers were computed in float64."""


def check_ranks(report: Report, record: Record, path: Path) -> Ranks | None:
    """The ranks file is the one named, and all figures follow from its counts to the last digit."""
    sidecar = ranks_path(path)
    _check_sha256(report, "files.ranks", sidecar, record.files.ranks)
    try:
        ranks = read_ranks(sidecar)
    except RecordError as error:
        report.error("files.ranks", str(error), "a readable ranks file")
        return None
    cutoffs, beam = record.setting.evaluation.cutoffs, beam_of(record)
    relevance = relevance_of(record.setting)
    parts = {split: ranks.of_split(split) for split in SPLITS}
    users = {split: num_users(part) for split, part in parts.items()}
    _check_wordings(report, ranks, record)
    for split in SPLITS:
        report.equal(f"num_users.{split}", record.num_users.get(split), users[split])  # type: ignore[call-overload]
    try:
        figures = {
            f"metrics.{name}": metrics(part, cutoffs, beam, relevance)
            for name, part in parts.items()
        }
        sliced = slices(parts["test"], cutoffs, beam, relevance)
    except RecordError as error:
        report.error("files.ranks", str(error), "rows this protocol scores")
        return ranks
    figures |= {f"slices.{name}": values for name, values in sliced.items()}
    stored: dict[str, Metrics] = {
        **{f"metrics.{name}": values for name, values in record.metrics.items()},
        **{f"slices.{name}": values for name, values in record.slices.items()},
    }
    if record.accounting is not None:
        figures["accounting.raw_recall"] = raw_recall(parts["test"], cutoffs, beam, relevance)
        stored["accounting.raw_recall"] = record.accounting.raw_recall
        if record.accounting.distinct_sids == record.accounting.num_items:
            # A beam holds Semantic IDs; where items share one it may hold more items than that.
            _check_beam(report, ranks, record.accounting.beam)
    for place in sorted(figures.keys() | stored.keys()):
        _check_figures(report, place, stored.get(place), figures.get(place))
    return ranks


def _check_sha256(report: Report, field: str, sidecar: Path, named: str | None) -> None:
    """The sidecar is the file that the record names."""
    try:
        found = file_sha256(sidecar)
    except OSError as error:
        report.error(field, f"{sidecar.name}: {error.strerror}", named)
        return
    if found != named:
        report.error(field, f"{sidecar.name} with sha256 {found}", named)


def _check_wordings(report: Report, ranks: Ranks, record: Record) -> None:
    """Every target was asked for in all of the setting's wordings; a reference has one."""
    asked = record.setting.evaluation.wordings if record.kind == "cell" else 1
    keys = zip(ranks.split.tolist(), ranks.user.tolist(), ranks.item.tolist(), strict=True)
    found: dict[tuple[str, str, str], set[int]] = {}
    for key, wording in zip(keys, ranks.wording.tolist(), strict=True):
        found.setdefault(key, set()).add(wording)
    for key, wordings in found.items():
        if wordings != set(range(asked)):
            place = f"files.ranks ({', '.join(key)}, wordings)"
            report.error(place, sorted(wordings), list(range(asked)))
            return


def _check_beam(report: Report, ranks: Ranks, beam: int) -> None:
    """No target in the beam has more items above it than the beam holds."""
    for row in np.flatnonzero(ranks.num_better >= beam)[:1]:
        report.error(
            f"files.ranks (row {row}, num_better)", int(ranks.num_better[row]), f"< {beam}"
        )


def _check_figures(
    report: Report, place: str, found: Metrics | None, expected: Metrics | None
) -> None:
    """Every figure at `place` equals the recomputed one."""
    if found is None or expected is None:
        report.error(
            place,
            "nothing" if found is None else "figures",
            "figures" if found is None else "nothing (it follows from no count)",
        )
        return
    for name in sorted(found.keys() | expected.keys()):
        if name not in found or name not in expected:
            report.error(
                f"{place}.{name}", found.get(name, "nothing"), expected.get(name, "nothing")
            )
        elif found[name] != expected[name]:
            report.error(f"{place}.{name}", found[name], expected[name])


def check_diagnostics(report: Report, record: Record, path: Path) -> None:
    """The diagnostics file is the one named, whole, and the record's numbers follow from it."""
    if record.files.diagnostics is None:
        return
    sidecar = diagnostics_path(path)
    _check_sha256(report, "files.diagnostics", sidecar, record.files.diagnostics)
    try:
        stages = read_diagnostics(sidecar)
    except DiagnosticsError as error:
        report.error("files.diagnostics", str(error), "a readable diagnostics file")
        return
    report.equal("diagnostics (stages)", sorted(record.diagnostics), sorted(stages))
    for stage, numbers in record.diagnostics.items():
        if stage in stages:
            _check_stage(report, f"diagnostics.{stage}", numbers, stages[stage])


def effective_rank(values: npt.NDArray[np.float64]) -> float | None:
    """The exponential of the entropy of the normalised singular values; None if all are zero."""
    positive = values[values > 0]
    if not len(positive):
        return None
    shares = positive / math.fsum(positive)
    return math.exp(-math.fsum(shares * np.log(shares)))


def stable_rank(values: npt.NDArray[np.float64]) -> float | None:
    """Sum of squares over the largest square; None if all are zero."""
    top = values.max(initial=0.0)
    return math.fsum((values / top) ** 2) if top > 0 else None


def _check_stage(report: Report, place: str, numbers: Spectrum, arrays: StageArrays) -> None:
    """The spectrum's numbers follow from the singular values, the cosines from the matrix."""
    plain = arrays.singular_values.astype(np.float64)
    centred = arrays.singular_values_centred.astype(np.float64)
    _close(report, f"{place}.effective_rank", numbers.effective_rank, effective_rank(plain))
    _close(
        report,
        f"{place}.effective_rank_centred",
        numbers.effective_rank_centred,
        effective_rank(centred),
    )
    _close(report, f"{place}.stable_rank", numbers.stable_rank, stable_rank(plain))
    used = numbers.num_rows - numbers.unused_rows
    if int((arrays.cosine_labels >= 0).sum()) == used:
        _check_cosines(report, place, numbers, arrays)
    bounded: dict[str, Any] = {
        name: getattr(numbers, name)
        for name in ("cosine_mean", "cosine_across_levels", "rsa_pearson", "rsa_spearman")
    }
    for name, value in bounded.items():
        if value is not None and not -1 - 1e-9 <= value <= 1 + 1e-9:
            report.error(f"{place}.{name}", value, "-1 to 1")


def _check_cosines(report: Report, place: str, numbers: Spectrum, arrays: StageArrays) -> None:
    """Mean cosines, where the matrix holds every used row."""
    new = arrays.cosine_labels >= 0
    cosine = arrays.cosine[np.ix_(new, new)].astype(np.float64)
    levels = arrays.cosine_labels[new]
    if not np.all(np.isclose(np.diag(cosine), 1, atol=1e-3)):
        return  # a row of zeros has no cosine and is left out of the means
    upper = np.triu(np.ones(cosine.shape, dtype=bool), k=1)
    same = levels[:, None] == levels[None, :]
    _close(report, f"{place}.cosine_mean", numbers.cosine_mean, _mean(cosine[upper]))
    across = _mean(cosine[upper & ~same])
    _close(report, f"{place}.cosine_across_levels", numbers.cosine_across_levels, across)
    for level, found in enumerate(numbers.cosine_within_level):
        inside = upper & same & (levels == level)[:, None]
        _close(report, f"{place}.cosine_within_level.{level}", found, _mean(cosine[inside]))


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    """The mean, None for nothing."""
    return float(values.mean()) if len(values) else None


def _close(report: Report, field: str, found: float | None, expected: float | None) -> None:
    """Equal up to the precision that the arrays are stored with."""
    if found is None or expected is None:
        if found is not expected:
            report.error(field, found, expected)
    elif not math.isclose(found, expected, rel_tol=FLOAT32_TOLERANCE, abs_tol=1e-5):
        report.error(field, found, f"{expected!r} (from the diagnostics file)")
