"""Checks the reproductions beside a record: what they claim must fit the record they name."""

from pathlib import Path

from leaderboard.metrics.metrics import MAIN_METRIC
from leaderboard.records.ranks import Ranks
from leaderboard.records.record import Record, RecordError
from leaderboard.records.reproductions import (
    Reproduction,
    parse_reproduction,
    reproduction_lines,
    reproductions_path,
)
from leaderboard.statistics.agreement import FEWEST_SEEDS, ranks_sha256, rows_sha256
from leaderboard.verify.findings import Report


def check_reproductions(report: Report, record: Record, path: Path, ranks: Ranks | None) -> None:
    """Every line refers to this record, and claims nothing that its own figures deny."""
    try:
        lines = reproduction_lines(path)
    except RecordError as error:
        report.error("reproductions", str(error), "a readable file")
        return
    file = reproductions_path(path).name
    own = ranks_sha256(ranks) if lines and ranks is not None else None
    for number, line in enumerate(lines, 1):
        place = f"{file} line {number}"
        try:
            found = parse_reproduction(line, place)
        except RecordError as error:
            report.error(place, str(error).removeprefix(f"{place}: "), "a reproduction")
            continue
        if found.record != record.digest:
            wanted = f"{record.digest}, the record beside it; remove the line or rerun"
            report.error(f"{place}, record", found.record, wanted)
            continue
        _check_claim(report, place, found, record, own)
        if ranks is not None:
            report.equal(f"{place}, num_rows", found.num_rows, len(ranks))


def _check_claim(
    report: Report, place: str, found: Reproduction, record: Record, ranks: str | None
) -> None:
    """The outcome follows from the line's own figures and the record's."""
    scores = found.scores
    report.equal(f"{place}, scores.metric", scores.metric, MAIN_METRIC)
    main = record.metrics["test"].get(MAIN_METRIC)
    report.equal(f"{place}, scores.recorded", scores.recorded, main)
    if found.same_rows > found.num_rows:
        report.error(f"{place}, same_rows", found.same_rows, f"at most {found.num_rows}")
    if found.outcome == "exact":
        _check_exact(report, place, found, record, ranks)
    elif not found.differing:
        report.error(f"{place}, outcome", found.outcome, "what differs, or exact")
    if found.outcome == "equivalent":
        _check_equivalent(report, place, found)
    if found.outcome == "different":
        who = found.who or "a rerun"
        report.warn(f"{place}, outcome", f"{who} did not reproduce it", "the recorded figures")


def _check_exact(
    report: Report, place: str, found: Reproduction, record: Record, ranks: str | None
) -> None:
    """An exact reproduction has the record's hashes, and nothing that differs."""
    report.equal(f"{place}, differing (exact)", list(found.differing), [])
    report.equal(f"{place}, same_rows (exact)", found.same_rows, found.num_rows)
    report.equal(f"{place}, scores.again (exact)", found.scores.again, found.scores.recorded)
    rows = rows_sha256(record)
    report.equal(f"{place}, new_rows_sha256 (exact)", found.new_rows_sha256, rows)
    if ranks is not None:
        report.equal(f"{place}, ranks_sha256 (exact)", found.ranks_sha256, ranks)


def _check_equivalent(report: Report, place: str, found: Reproduction) -> None:
    """An equivalent one lies where one more seed would, and something is known to differ."""
    spread, scores = found.spread, found.scores
    if spread is None or scores.again is None or len(set(spread.seeds)) < FEWEST_SEEDS:
        expected = f"the spread of at least {FEWEST_SEEDS} seeds"
        report.error(f"{place}, spread", "nothing" if spread is None else spread.seeds, expected)
    else:
        judged = {
            "again": (scores.again, spread.recorded),
            "recorded": (scores.recorded, spread.swapped),
        }
        for name, (score, band) in judged.items():
            if score is None or abs(score - band.center) > band.half_width:
                expected = f"{band.center!r} ± {band.half_width!r}"
                report.error(f"{place}, scores.{name} (equivalent)", score, expected)
    if not found.context:
        report.error(f"{place}, context (equivalent)", [], "what was not as recorded, or exact")
