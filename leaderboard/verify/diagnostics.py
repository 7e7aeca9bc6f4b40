"""Checks of a record's diagnostics: what follows from the stored spectra and cosine matrices.

The file holds the singular values, and the cosines of up to as many rows of each level as are
shown. Where those are all used rows, cosine means and RSA follow from them and the codebooks.
"""

import functools
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from leaderboard.records.diagnostics import (
    COSINE_STEP,
    DiagnosticsError,
    StageArrays,
    read_diagnostics,
)
from leaderboard.records.parts import Spectrum
from leaderboard.records.record import Record, diagnostics_path
from leaderboard.records.semantic_ids import SemanticIdsFile
from leaderboard.verify.findings import Report
from leaderboard.verify.sidecars import check_sha256

Floats = npt.NDArray[np.float64]

TOLERANCE = 2e-6
"""Relative; spectra are stored in float32, the numbers were computed in float64."""
ROUNDING = 0.5 * COSINE_STEP + 1e-7
"""Of a cosine, when it is stored; absolute."""
MOST_UNSURE = 0.05
"""RSA that rounded cosines leave less sure than this is not compared."""
COSINE_DECIMALS = 13
MIN_COSINE_STD = 1e-13
"""As in `gti.model.diagnostics`: what cosines are rounded to for RSA, and when they do not vary."""


def check_diagnostics(
    report: Report, record: Record, path: Path, artefact: SemanticIdsFile | None
) -> None:
    """The diagnostics file is the one named, whole, and the record's numbers follow from it."""
    if record.files.diagnostics is None:
        return
    sidecar = diagnostics_path(path)
    check_sha256(report, "files.diagnostics", sidecar, record.files.diagnostics)
    try:
        stages = read_diagnostics(sidecar)
    except DiagnosticsError as error:
        report.error("files.diagnostics", str(error), "a readable diagnostics file")
        return
    report.equal("diagnostics (stages)", sorted(record.diagnostics), sorted(stages))
    for stage, numbers in record.diagnostics.items():
        if stage in stages:
            _check_stage(report, f"diagnostics.{stage}", numbers, stages[stage])
            if artefact is not None:
                _check_codes(report, f"diagnostics.{stage}", numbers, stages[stage], artefact)
    _check_stages(report, record)
    _check_first_rows(report, record, stages)


def _check_stages(report: Report, record: Record) -> None:
    """Checks that rows are described at init, after SFT, and after grounding if there was any."""
    trained = {proof.stage for proof in record.proofs}
    before = {"grounding"} if trained - {"sft"} else set()
    wanted = sorted({"init", "sft"} | before)
    report.equal("diagnostics (stages, by proofs)", sorted(record.diagnostics), wanted)


def effective_rank(values: Floats) -> float | None:
    """The exponential of the entropy of the normalised singular values; None if all are zero."""
    positive = values[values > 0]
    if not len(positive):
        return None
    shares = positive / math.fsum(positive)
    return math.exp(-math.fsum(shares * np.log(shares)))


def stable_rank(values: Floats) -> float | None:
    """Sum of squares over the largest square; None if all are zero."""
    top = values.max(initial=0.0)
    return math.fsum((values / top) ** 2) if top > 0 else None


def _check_stage(report: Report, place: str, numbers: Spectrum, arrays: StageArrays) -> None:
    """The spectrum's numbers follow from the singular values; cosines are none beyond 1."""
    plain = arrays.singular_values.astype(np.float64)
    centred = arrays.singular_values_centred.astype(np.float64)
    for name, found in (
        ("effective_rank", effective_rank(plain)),
        ("effective_rank_centred", effective_rank(centred)),
        ("stable_rank", stable_rank(plain)),
    ):
        _close(report, f"{place}.{name}", getattr(numbers, name), found)
    used = numbers.num_rows - numbers.unused_rows
    most = math.sqrt(math.fsum(plain**2) / max(1, used))
    # Of norms whose squares have a sum, the mean is least where all but one are 0.
    least = math.sqrt(math.fsum(plain**2)) / max(1, used)
    if not least * (1 - TOLERANCE) <= numbers.norm_mean <= most * (1 + TOLERANCE):
        wanted = f"{least!r} to {most!r}, by the squares of the singular values"
        report.error(f"{place}.norm_mean", numbers.norm_mean, wanted)
    values = {
        name: getattr(numbers, name)
        for name in ("cosine_mean", "cosine_across_levels", "text_affinity")
    }
    values |= {f"rsa_{kind}": getattr(numbers, f"rsa_{kind}") for kind in ("pearson", "spearman")}
    for name in ("cosine_within_level", "rsa_pearson_per_level", "rsa_spearman_per_level"):
        values |= {f"{name}.{level}": x for level, x in enumerate(getattr(numbers, name))}
    for name, value in values.items():
        if value is not None and not -1 - 1e-9 <= value <= 1 + 1e-9:
            report.error(f"{place}.{name}", value, "-1 to 1")


def _check_codes(
    report: Report, place: str, numbers: Spectrum, arrays: StageArrays, artefact: SemanticIdsFile
) -> None:
    """Rows are those of the Semantic IDs; cosines and RSA follow where all used ones are stored."""
    used = artefact.used
    num_levels = len(used)
    report.equal(f"{place}.num_rows", numbers.num_rows, used.size)
    report.equal(f"{place}.unused_rows", numbers.unused_rows, int((~used).sum()))
    names = [f"<{chr(ord('a') + level)}_{code}>" for level, code in np.argwhere(used)]
    if arrays.codes.tolist() != names:
        stored = f"files.diagnostics ({place}, codes)"
        report.error(stored, "other codes", "the codes that items use, in order")
    size = min(int(used.sum()), len(arrays.singular_values))
    for name in ("singular_values", "singular_values_centred"):
        report.equal(f"files.diagnostics ({place}, {name})", len(getattr(arrays, name)), size)
    for name in ("cosine_within_level", "rsa_pearson_per_level", "rsa_spearman_per_level"):
        report.equal(f"{place}.{name} (levels)", len(getattr(numbers, name)), num_levels)
    shown = [int((arrays.cosine_labels == level).sum()) for level in range(num_levels)]
    if shown != used.sum(axis=1).tolist():
        return  # more codes in a level than are shown: what rests on all of them is not derivable
    new = np.flatnonzero(arrays.cosine_labels >= 0)
    cosine = arrays.cosine[np.ix_(new, new)]
    levels = arrays.cosine_labels[new].astype(np.int64)
    if (np.diff(levels) < 0).any():
        report.error(f"files.diagnostics ({place}, cosine_labels)", "mixed levels", "in order")
        return
    has_cosine = np.diag(cosine) > 0.5  # a row of zeros has none and is left out
    codes = None
    if artefact.codebooks is not None:
        codes = np.flatnonzero(used)[has_cosine]
    cosine, levels = cosine[np.ix_(has_cosine, has_cosine)], levels[has_cosine]
    _check_cosines(report, place, numbers, cosine, levels)
    vary = bool(arrays.singular_values_centred.any())  # else all rows are equal: no RSA
    members = [np.flatnonzero(levels == level) for level in range(num_levels)]
    everything = np.arange(len(levels))
    for number, rows in enumerate([everything, *members]):
        found = (
            (numbers.rsa_pearson, numbers.rsa_spearman)
            if number == 0
            else tuple(
                values[number - 1] if number <= len(values) else None
                for values in (numbers.rsa_pearson_per_level, numbers.rsa_spearman_per_level)
            )
        )
        suffix = "" if number == 0 else f"_per_level.{number - 1}"
        own = None if codes is None or not vary else codes[rows]
        _check_rsa(report, place, suffix, found, cosine[np.ix_(rows, rows)], own, artefact)
    text = arrays.cosine_labels < 0
    if numbers.text_affinity is None and text.any() and has_cosine.any():
        report.error(f"{place}.text_affinity", None, "a cosine: there are text rows")
    if numbers.text_affinity is not None and text.any() and has_cosine.any():
        least = arrays.cosine[np.ix_(new[has_cosine], text)].max(axis=1).mean()
        if numbers.text_affinity < least - ROUNDING:
            wanted = f"at least {float(least)!r}, by the text rows that are stored"
            report.error(f"{place}.text_affinity", numbers.text_affinity, wanted)


def _check_cosines(
    report: Report,
    place: str,
    numbers: Spectrum,
    cosine: Floats,
    levels: npt.NDArray[np.int64],
) -> None:
    """Mean cosines over all pairs, those within a level, and those across."""
    upper = np.triu(np.ones(cosine.shape, dtype=bool), k=1)
    same = levels[:, None] == levels[None, :]
    for name, chosen in {"cosine_mean": upper, "cosine_across_levels": upper & ~same}.items():
        told, derived = getattr(numbers, name), _mean(cosine[chosen])
        _close(report, f"{place}.{name}", told, derived, absolute=ROUNDING)
    for level, found in enumerate(numbers.cosine_within_level):
        inside = upper & same & (levels == level)[:, None]
        derived = _mean(cosine[inside])
        _close(report, f"{place}.cosine_within_level.{level}", found, derived, absolute=ROUNDING)


def _check_rsa(
    report: Report,
    place: str,
    suffix: str,
    found: tuple[float | None, ...],
    cosine: Floats,
    codes: npt.NDArray[np.int64] | None,
    artefact: SemanticIdsFile,
) -> None:
    """Pearson and Spearman between the pairs' cosines and those of their codebook vectors."""
    names = (f"{place}.rsa_pearson{suffix}", f"{place}.rsa_spearman{suffix}")
    pairs_of_codes = None if codes is None else _pairs_of_codes(artefact, codes.tobytes())
    if pairs_of_codes is None:
        for name, value in zip(names, found, strict=True):
            report.equal(name, value, None)
        return
    kept, between, between_ranked = pairs_of_codes
    cosine = cosine[np.ix_(kept, kept)]
    pairs = cosine[np.triu_indices(len(cosine), k=1)]
    noise = ROUNDING / float(pairs.std()) if pairs.std() > ROUNDING else math.inf
    ranked = rankdata(pairs), between_ranked
    # Cosines that vary little more than storing rounds them leave nothing but the bounds.
    for name, value, sides, unsure in (
        (names[0], found[0], (pairs, between), 2 * noise),
        (names[1], found[1], ranked, unsure_order(pairs)),
    ):
        if unsure < MOST_UNSURE:
            _close(report, name, value, _correlation(*sides), absolute=1e-7 + unsure)


@functools.lru_cache(maxsize=32)
def _pairs_of_codes(
    artefact: SemanticIdsFile, codes: bytes
) -> tuple[npt.NDArray[np.bool_], Floats, Floats] | None:
    """Cosines between the codebook vectors of `codes`, and their ranks; cached per artefact.

    Args:
        artefact: with codebooks.
        codes: bytes of [n] int64, places in levels × codes.

    Returns:
        kept: [n] whose vector is not all zeros; the cosines of their pairs; and the ranks of
        these. None where there are too few, or the cosines do not vary.
    """
    if artefact.codebooks is None:
        return None
    flat = artefact.codebooks.reshape(-1, artefact.codebooks.shape[2])
    vectors = flat[np.frombuffer(codes, dtype=np.int64)].astype(np.float64)
    kept = np.any(vectors != 0, axis=1)
    vectors = vectors[kept]
    unit = vectors / np.sqrt(np.square(vectors).sum(axis=1, keepdims=True))
    upper = np.triu_indices(len(vectors), k=1)
    between = np.round(np.clip(unit @ unit.T, -1, 1)[upper], COSINE_DECIMALS)
    if len(vectors) < 3 or between.std() <= MIN_COSINE_STD:
        return None
    return kept, between, rankdata(between)


def unsure_order(stored: Floats) -> float:
    """How far Spearman by `stored` cosines may be off, since rounding made ties of unlike ones.

    Rounding keeps the order, so the true places are those of the stored values, plus what orders
    the m values of a tie: squares that sum to m (m² - 1) / 12 at most, of n (n² - 1) / 12 in all.
    By Cauchy and Schwarz ρ moves by the root of the ties' share, and by its scale by that share.
    """
    ties = np.unique(stored, return_counts=True)[1].astype(np.float64)
    size = float(len(stored))
    share = float((ties * (ties**2 - 1)).sum()) / (size * (size**2 - 1))
    return math.sqrt(share) + share


def _correlation(first: Floats, second: Floats) -> float:
    first, second = first - first.mean(), second - second.mean()
    return float(first @ second) / float(np.linalg.norm(first) * np.linalg.norm(second))


def _check_first_rows(report: Report, record: Record, stages: Mapping[str, StageArrays]) -> None:
    """The manifest's norms and cosines are those of the first rows' diagnostics."""
    manifest, first = record.manifest, record.diagnostics.get("init")
    if manifest is None or first is None or "init" not in stages:
        return
    if first.unused_rows == 0 or manifest.identical_rows:
        _close(report, "manifest.norm_mean", manifest.norm_mean, first.norm_mean, 1e-5)
    if first.unused_rows == 0:
        squares = math.fsum(stages["init"].singular_values.astype(np.float64) ** 2)
        mean_square = squares / max(1, first.num_rows)
        found = manifest.norm_mean**2 + manifest.norm_std**2
        if not math.isclose(found, mean_square, rel_tol=1e-4, abs_tol=1e-12):
            wanted = f"with manifest.norm_mean a mean square of {mean_square!r} (diagnostics.init)"
            report.error("manifest.norm_std", manifest.norm_std, wanted)
        if manifest.pairwise_cosine_mean is not None:
            cosines = (manifest.pairwise_cosine_mean, first.cosine_mean)
            _close(report, "manifest.pairwise_cosine_mean", *cosines, absolute=1e-7)


def _mean(values: Floats) -> float | None:
    """The mean, None for nothing."""
    return float(values.mean()) if len(values) else None


def _close(
    report: Report,
    field: str,
    found: float | None,
    expected: float | None,
    relative: float = TOLERANCE,
    absolute: float = 1e-7,
) -> None:
    """Reports an error unless `found` equals `expected` within rounding."""
    if found is None or expected is None:
        if found is not expected:
            report.error(field, found, expected)
    elif not math.isclose(found, expected, rel_tol=relative, abs_tol=absolute):
        report.error(field, found, f"{expected!r} (from the diagnostics file)")
