"""Checks the reproductions beside a record: what they claim must fit the record they name."""

import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from leaderboard.metrics.metrics import MAIN_METRIC, per_user, relevance_of
from leaderboard.records.cells import load_cell
from leaderboard.records.ranks import Ranks, read_ranks
from leaderboard.records.record import Record, RecordError, ranks_path
from leaderboard.records.reproductions import (
    REPRODUCTION_SCHEMA_VERSION,
    Reproduction,
    parse_reproduction,
    reproduction_lines,
    reproductions_path,
)
from leaderboard.statistics.agreement import (
    FEWEST_SEEDS,
    Band,
    Floats,
    band_of,
    ranks_sha256,
    rows_sha256,
)
from leaderboard.verify.complete import check_where
from leaderboard.verify.findings import Report

CLOCKS_APART = timedelta(days=1)
"""By so much the clock of a machine may be ahead."""
WIDER = 1.5
"""By so much the noise between a seed and a user may grow with one run in another's place."""


def check_reproductions(report: Report, record: Record, path: Path, ranks: Ranks | None) -> None:
    """Every line refers to this record, and claims nothing that its own figures deny."""
    try:
        lines = reproduction_lines(path)
    except RecordError as error:
        report.error("reproductions", str(error), "a readable file")
        return
    file = reproductions_path(path).name
    own = ranks_sha256(ranks) if lines and ranks is not None else None
    runs = Counter[tuple[object, ...]]()
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
        runs[run := (found.ranks_sha256, found.seconds)] += 1
        if runs[run] > 1:
            wanted = "another run: it lasted as long, to the last digit, with the same ranks"
            report.error(place, "a run that stands above", wanted)
        if datetime.fromisoformat(found.when) > datetime.now(UTC) + CLOCKS_APART:
            report.error(f"{place}, when", found.when, "a moment that has been")
        _check_run(report, place, found, record)
        _check_claim(report, place, found, record, own)
        if found.outcome == "equivalent":
            _check_equivalent(report, place, found, record, path)
        if ranks is not None:
            report.equal(f"{place}, num_rows", found.num_rows, len(ranks))


def _check_run(report: Report, place: str, found: Reproduction, record: Record) -> None:
    """Who ran it, where, with which code and for how long is said."""
    report.equal(f"{place}, schema_version", found.schema_version, REPRODUCTION_SCHEMA_VERSION)
    if found.who is not None and not found.who.strip():
        report.error(f"{place}, who", found.who, "a name, or nothing")
    if not found.seconds > 0:
        report.error(f"{place}, seconds", found.seconds, "above 0: every run takes time")
    computed = record.kind == "cell"
    check_where(report, found.environment, found.code, computed=computed, place=f"{place}, ")
    if found.code.commit is None or found.code.dirty is None:
        wanted = "a commit that others can run"
        report.warn(f"{place}, code.commit", found.code.commit, wanted)


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


def _check_equivalent(
    report: Report, place: str, found: Reproduction, record: Record, path: Path
) -> None:
    """An equivalent one lies where one more seed would, and something is known to differ."""
    spread, scores = found.spread, found.scores
    seeds = () if spread is None else spread.seeds
    if spread is None or scores.again is None or len(set(seeds)) < FEWEST_SEEDS:
        expected = f"the spread of at least {FEWEST_SEEDS} seeds"
        report.error(f"{place}, spread", "nothing" if spread is None else seeds, expected)
    else:
        judged = {
            "again": (scores.again, spread.recorded),
            "recorded": (scores.recorded, spread.swapped),
        }
        for name, (score, band) in judged.items():
            if score is None or abs(score - band.center) > band.half_width:
                expected = f"{band.center!r} ± {band.half_width!r}"
                report.error(f"{place}, scores.{name} (equivalent)", score, expected)
        _check_spread(report, f"{place}, spread", found, record, path)
    if not found.context:
        report.error(f"{place}, context (equivalent)", [], "what was not as recorded, or exact")


def _check_spread(
    report: Report, place: str, found: Reproduction, record: Record, path: Path
) -> None:
    """The bands are those of the records that the line names, and one new score in its place."""
    spread, again = found.spread, found.scores.again
    assert spread is not None  # the caller has looked
    assert again is not None
    if record.seed not in spread.seeds or len(set(spread.seeds)) != len(spread.seeds):
        report.error(f"{place}.seeds", spread.seeds, f"{record.seed} and others, each once")
        return
    values = _values_of(path, record, spread.seeds)
    if values is None:
        wanted = "seeds whose records lie beside this one, of its setting and method"
        report.error(f"{place}.seeds", spread.seeds, wanted)
        return
    recorded = band_of(values)
    own = values[spread.seeds.index(record.seed)]
    # The new run's users are not known: it stands for them with their mean moved to its own.
    moved = values.copy()
    moved[spread.seeds.index(record.seed)] = own + (again - own.mean())
    swapped = band_of(moved)
    for name, band, known, most in (
        ("recorded", spread.recorded, recorded, 1.0),
        ("swapped", spread.swapped, swapped, WIDER),
    ):
        if not math.isclose(band.center, known.center, rel_tol=1e-9, abs_tol=1e-12):
            report.error(f"{place}.{name}.center", band.center, known.center)
        least = known.half_width if most == 1.0 else 0.0
        if not least * (1 - 1e-9) <= band.half_width <= most * known.half_width * (1 + 1e-9):
            report.error(f"{place}.{name}.half_width", band.half_width, _bound(known, most))


def _bound(band: Band, most: float) -> str:
    return f"{band.half_width!r}" if most == 1.0 else f"at most {most * band.half_width!r}"


def _values_of(path: Path, record: Record, seeds: Sequence[int]) -> Floats | None:
    """[seeds, users] the main score of the records of `seeds` beside `path`; null without one."""
    found, names = [], None
    for seed in seeds:
        file = path.with_name(f"seed-{seed}.json")
        try:
            other = load_cell(file).record
            ranks = read_ranks(ranks_path(file)).of_split("test")
        except (OSError, RecordError):
            return None
        same = other.setting_hash == record.setting_hash and other.method_hash == record.method_hash
        users, values = per_user(ranks, MAIN_METRIC, relevance_of(other.setting))
        if not same or not len(users) or (names is not None and names.tolist() != users.tolist()):
            return None
        names = users
        found.append(values)
    return np.stack(found)
