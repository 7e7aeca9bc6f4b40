"""Checks of a record's ranks file, and of every figure that follows from its counts."""

from pathlib import Path

import numpy as np

from leaderboard.metrics.metrics import metrics, num_users, raw_recall, relevance_of, slices
from leaderboard.records.bounded import BoundsError, bounded_sha256
from leaderboard.records.cells import beam_of
from leaderboard.records.parts import Metrics
from leaderboard.records.ranks import SPLITS, TEXTS, Ranks, combined, read_ranks
from leaderboard.records.record import Record, RecordError, ranks_path
from leaderboard.records.trial import TRAINED
from leaderboard.verify.findings import Report
from leaderboard.verify.inputs import check_beam_used


def check_ranks(report: Report, record: Record, path: Path) -> Ranks | None:
    """The ranks file is the one named, and all figures follow from its counts to the last digit."""
    sidecar = ranks_path(path)
    check_sha256(report, "files.ranks", sidecar, record.files.ranks)
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
    check_beam_used(report, record, parts["test"])
    _check_peers(report, record, parts)
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
        check_figures(report, place, stored.get(place), figures.get(place))
    return ranks


def _check_peers(report: Report, record: Record, parts: dict[str, Ranks]) -> None:
    """Test queries for items that no query was trained on have peers, and no others have.

    A reference without a beam ranks all items by one score: above a target stand no more peers
    than items.
    """
    relevance, test = relevance_of(record.setting), parts["test"]
    for split, rows in parts.items():
        if relevance is None or not relevance.peers or split != "test":
            wrong = rows.peers > 0
        else:
            trained = np.char.startswith(rows.user, TRAINED)
            wrong = ((rows.peers > 0) == trained) & (rows.grade >= relevance.good)
        for row in np.flatnonzero(wrong)[:1]:
            place = f"files.ranks ({split}, {rows.user[row]}, peers)"
            wanted = "peers, of test queries for items that no query was trained on alone"
            report.error(place, int(rows.peers[row]), wanted)
    if record.accounting is not None:
        for row in np.flatnonzero(test.peers >= record.accounting.num_items)[:1]:
            most = record.accounting.num_items - 1
            report.error(f"files.ranks (row {row}, peers)", int(test.peers[row]), f"at most {most}")
    if not record.has_model:
        for row in np.flatnonzero(test.in_beam & (test.peers_better > test.num_better))[:1]:
            place = f"files.ranks (row {row}, peers_better)"
            report.error(place, int(test.peers_better[row]), f"at most {test.num_better[row]}")


def check_sha256(report: Report, field: str, sidecar: Path, named: str | None) -> None:
    """The sidecar is the file that the record names."""
    try:
        found = bounded_sha256(sidecar)
    except (OSError, BoundsError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        report.error(field, f"{sidecar.name}: {why}", named)
        return
    if found != named:
        report.error(field, f"{sidecar.name} with sha256 {found}", named)


def _check_wordings(report: Report, ranks: Ranks, record: Record) -> None:
    """Every target was asked for in all of the setting's wordings, where a language model was."""
    asked = record.setting.evaluation.wordings if record.has_model else 1
    if asked == 1 and not ranks.wording.any():
        return  # no row is there twice
    keys = combined(*(ranks.coded(name).numbers for name in TEXTS))
    _, targets = np.unique(keys, return_inverse=True)
    # No row is there twice, so a target has all wordings where it has as many, and no others.
    wrong = np.bincount(targets) != asked
    wrong[targets[ranks.wording >= asked]] = True
    for row in np.flatnonzero(wrong[targets])[:1]:
        place = ", ".join(str(getattr(ranks, name)[row]) for name in TEXTS)
        found = np.sort(ranks.wording[targets == targets[row]]).tolist()
        report.error(f"files.ranks ({place}, wordings)", found, list(range(asked)))


def _check_beam(report: Report, ranks: Ranks, beam: int) -> None:
    """No target in the beam has more items above it than the beam holds."""
    for row in np.flatnonzero(ranks.num_better >= beam)[:1]:
        report.error(
            f"files.ranks (row {row}, num_better)", int(ranks.num_better[row]), f"< {beam}"
        )


def check_figures(
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
