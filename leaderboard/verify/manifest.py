"""Checks of a record's manifest: rows add up, and are what the method claims."""

import math

from leaderboard.records.known_methods import first_rows_of
from leaderboard.records.parts import Manifest
from leaderboard.records.record import Record
from leaderboard.verify.findings import Report

IDENTICAL = {"mean": True, "drawn": False}
"""First rows → whether they are all equal, where that is known."""
ROUNDING = 1e-6
"""Of norms and cosines, which are taken in float32."""


def check_manifest(report: Report, record: Record) -> None:
    """The rows that were written add up, and are what the method claims."""
    manifest = record.manifest
    if manifest is None:
        return
    spec = record.setting.semantic_ids
    report.equal("manifest.num_rows", manifest.num_rows, spec.levels * spec.codes)
    _check_rows(report, manifest)
    _check_numbers(report, manifest)
    report.equal(
        "manifest.text_rows_sha256_after",
        manifest.text_rows_sha256_after,
        manifest.text_rows_sha256_before,
    )
    first_rows, own = first_rows_of(record.method), f"{record.method.key} v{record.method.version}"
    if first_rows == "library":
        own += f" (transformers {record.environment.packages.get('transformers')})"
        report.equal("manifest.initializer", manifest.initializer, own)
    else:
        report.equal("manifest.initializer", manifest.initializer.partition(" (")[0], own)
    if first_rows in IDENTICAL:
        report.equal("manifest.identical_rows", manifest.identical_rows, IDENTICAL[first_rows])


def _check_rows(report: Report, manifest: Manifest) -> None:
    """Text rows, new rows and padding: the matrix grew as far as the new tokens reach."""
    end = manifest.first_token_id + manifest.num_rows
    if manifest.rows_after != max(manifest.rows_before, end):
        wanted = (
            f"{max(manifest.rows_before, end)}, the larger of {manifest.rows_before}"
            f" (manifest.rows_before) and {manifest.first_token_id} (manifest.first_token_id)"
            f" + {manifest.num_rows}"
        )
        report.error("manifest.rows_after", manifest.rows_after, wanted)
    most = min(manifest.rows_before, manifest.first_token_id)
    if not 0 < manifest.num_text_rows <= most:
        wanted = f"1 to {most} (manifest.rows_before, manifest.first_token_id)"
        report.error("manifest.num_text_rows", manifest.num_text_rows, wanted)
    padding = manifest.rows_after - manifest.num_rows - manifest.num_text_rows
    if manifest.padding_rows != padding or padding < 0:
        wanted = f"{padding} (rows_after - num_rows - manifest.num_text_rows)"
        report.error("manifest.padding_rows", manifest.padding_rows, wanted)
    existed = end <= manifest.rows_before
    if existed != (manifest.new_rows_sha256_before is not None):
        wanted = "a hash where all new rows existed (manifest.rows_before), else nothing"
        report.error("manifest.new_rows_sha256_before", manifest.new_rows_sha256_before, wanted)


def _check_numbers(report: Report, manifest: Manifest) -> None:
    """Norms are not negative, cosines are cosines, and identical rows have one norm and cosine 1.

    Norms are of float32 rows: one norm varies by no more than that rounds.
    """
    for name in ("norm_mean", "norm_std", "text_norm_mean"):
        if getattr(manifest, name) < 0:
            report.error(f"manifest.{name}", getattr(manifest, name), "0 or more")
    if manifest.text_norm_mean == 0:
        report.error("manifest.text_norm_mean", 0.0, "above 0: a backbone has learned its rows")
    for name in ("cosine_to_text_mean", "pairwise_cosine_mean"):
        value = getattr(manifest, name)
        if value is not None and not -1 - ROUNDING <= value <= 1 + ROUNDING:
            report.error(f"manifest.{name}", value, "-1 to 1")
    _check_cosines(report, manifest)
    if not manifest.identical_rows:
        return
    cosine = manifest.pairwise_cosine_mean
    if cosine is not None and not math.isclose(cosine, 1, abs_tol=ROUNDING):
        report.error("manifest.pairwise_cosine_mean", cosine, "1: all rows are identical")
    if manifest.norm_std > ROUNDING * manifest.norm_mean:
        report.error("manifest.norm_std", manifest.norm_std, "0: all rows are identical")
    if manifest.norm_mean == 0 and cosine is not None:
        report.error("manifest.pairwise_cosine_mean", cosine, "nothing: rows of zeros have none")


def _check_cosines(report: Report, manifest: Manifest) -> None:
    """Cosines are there unless a row is of zeros, and norms that vary too little have none such.

    Of n norms with mean m, one of them 0, the variance is m² / (n - 1) at least.
    """
    cosines = (manifest.cosine_to_text_mean, manifest.pairwise_cosine_mean)
    least = manifest.norm_mean / math.sqrt(max(1, manifest.num_rows - 1))
    surely = manifest.norm_mean > 0 and manifest.norm_std < least * (1 - ROUNDING)
    for name, value in zip(("cosine_to_text_mean", "pairwise_cosine_mean"), cosines, strict=True):
        if value is None and (surely or cosines != (None, None)):
            report.error(f"manifest.{name}", None, "a cosine: no row is of zeros")
