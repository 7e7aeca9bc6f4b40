"""Checks of a record against the Semantic IDs it was computed on."""

import math
from pathlib import Path

import numpy as np

from leaderboard.records.ranks import Ranks, combined
from leaderboard.records.record import Record, RecordError
from leaderboard.records.semantic_ids import SemanticIdsFile, artefact_path, read_semantic_ids
from leaderboard.verify.findings import Report


def check_artefact(report: Report, record: Record, path: Path) -> SemanticIdsFile | None:
    """The artefact a cell names is there, is the one named, and accounts for its items.

    Args:
        report: told what is wrong.
        record: of the cell; a reference has no Semantic IDs.
        path: of the record; the artefact lies in `inputs/` of its results directory.
    """
    sha256 = record.inputs.semantic_ids
    if record.kind != "cell" or sha256 is None:
        return None
    place = artefact_path(path, sha256)
    try:
        artefact = read_semantic_ids(place)
    except RecordError as error:
        wanted = f"the artefact; copy inputs/{sha256}.npz from where the cell ran, or run it again"
        report.error("inputs.semantic_ids", str(error), wanted)
        return None
    if artefact.sha256 != sha256:
        wanted = f"{sha256}, as the file {place.name} is called; copy it again from where it ran"
        report.error("inputs.semantic_ids", f"content with hash {artefact.sha256}", wanted)
        return None
    _check_counts(report, record, artefact)
    return artefact


def _check_counts(report: Report, record: Record, artefact: SemanticIdsFile) -> None:
    """All that the accounting says of the Semantic IDs, to the last digit."""
    accounting = record.accounting
    if accounting is None:
        return
    num_items = len(artefact.codes)
    used = [int(count) for count in artefact.used.sum(axis=1)]
    report.equal("accounting.num_items", accounting.num_items, num_items)
    report.equal("accounting.distinct_sids", accounting.distinct_sids, artefact.distinct)
    report.equal("accounting.num_codes", accounting.num_codes, artefact.num_codes)
    collisions = 1.0 - artefact.distinct / num_items
    report.equal("accounting.collision_rate", accounting.collision_rate, collisions)
    report.equal("accounting.used_codes (levels)", len(accounting.used_codes), len(used))
    for level, (found, expected) in enumerate(zip(accounting.used_codes, used, strict=False)):
        report.equal(f"accounting.used_codes.{level}", found, expected)
    most = min(accounting.beam, artefact.distinct)
    for name in ("beam_used_min", "beam_used_mean"):
        if not 0 <= getattr(accounting, name) <= most:
            report.error(f"accounting.{name}", getattr(accounting, name), f"0 to {most}")


def check_beam_used(report: Report, record: Record, test: Ranks) -> None:
    """The mean number of leaves is a sum of whole numbers over the prompts that were asked.

    Those of the test split, by its ranks `test`.
    """
    accounting = record.accounting
    if accounting is None:
        return
    asked = np.sort(combined(test.coded("user").numbers, test.wording))
    prompts = int((np.diff(asked) > 0).sum()) + min(len(asked), 1)
    total = accounting.beam_used_mean * prompts
    if not math.isclose(total, round(total), rel_tol=1e-12, abs_tol=1e-9):
        wanted = f"a whole number over {prompts} prompts"
        report.error("accounting.beam_used_mean", accounting.beam_used_mean, wanted)
    others = accounting.beam - accounting.beam_used_min
    # One prompt has the fewest leaves, the rest between those and a full beam.
    least, most = accounting.beam_used_min * prompts, accounting.beam * prompts - others
    if prompts and not least - 1e-6 <= total <= most + 1e-6:
        report.error(
            "accounting.beam_used_min",
            accounting.beam_used_min,
            f"the fewest leaves of {prompts} prompts that have"
            f" {accounting.beam_used_mean} on average (accounting.beam_used_mean)",
        )
