"""Reported numbers set beside ours: same direction, size within our interval, comparable at all.

A claim is compared with the records of each setting that its file names. Intervals are those of
the crossed model (`leaderboard.statistics.crossed`), one comparison each, uncorrected; the reported
number is taken as printed, give or take its rounding, since its own uncertainty is seldom known.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from leaderboard.board.board import check_mix
from leaderboard.board.checks import Checks
from leaderboard.board.compare import pair
from leaderboard.board.method_rows import FLOOR, under_trained
from leaderboard.board.user_scores import ScoresReader, UserScores, null_because, read_scores
from leaderboard.claims.claims import Claim, ClaimsTable, load_claims
from leaderboard.records.cells import Cell, LeaderboardError, by_setting, load_cells
from leaderboard.records.record import Record
from leaderboard.statistics.crossed import LEVEL, Estimate, estimate

Verdict = Literal[
    "agrees",
    "same direction, ours is larger",
    "same direction, ours is smaller",
    "opposite direction",
    "ours differs, reported is none",
    "open: ours shows none, and does not exclude it",
    "not confirmed: ours shows none, and excludes it",
    "ours is higher",
    "ours is lower",
    "no claim: ours is under-trained",
    "no record yet",
    "not comparable",
]


@dataclass(frozen=True)
class AgainstOurs:
    """One claim beside ours in one setting.

    Args:
        claim: the reported number.
        setting: of ours; None where the claim is comparable with none.
        verdict: what can be said.
        why_not: why there is nothing of ours to compare with; None where there is.
        ours: our score or difference with its interval.
        same_direction: of a difference that both show; None where ours shows none.
        within: whether the reported number lies in our interval, give or take its rounding.
    """

    claim: Claim
    setting: str | None
    verdict: Verdict
    why_not: str | None = None
    ours: Estimate | None = None
    same_direction: bool | None = None
    within: bool | None = None


@dataclass(frozen=True)
class Compared:
    """A table of claims, each beside ours, and what to bear in mind about our records."""

    table: ClaimsTable
    claims: tuple[AgainstOurs, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class InSetting:
    """A table's claims beside the records of one setting, and what to bear in mind about these.

    `setting_hash` is that of the records, of which a setting's name may have several versions.
    """

    setting_hash: str
    claims: tuple[AgainstOurs, ...]
    notes: tuple[str, ...]


def against_ours(
    directories: Iterable[Path], tables: Sequence[ClaimsTable] | None = None
) -> tuple[list[Compared], list[str]]:
    """All claims beside the records under `directories`, and notes on files left out.

    Only the settings that the claims name are read, one after another.

    Args:
        directories: results directories; where two hold one cell the first counts.
        tables: the claims; None: those that come with the project.
    """
    tables = load_claims() if tables is None else tables
    folders = tuple(directories)
    found: dict[str, dict[str, InSetting]] = {table.key: {} for table in tables}
    left_out: list[str] = []
    for setting in dict.fromkeys(name for table in tables for name in table.file.settings):
        cells, notes = load_cells(folders, setting)
        left_out += notes
        reader = ScoresReader(metrics_wanted(tables, setting))
        for table in tables:
            beside = beside_setting(table, setting, cells, reader)
            if beside is not None:
                found[table.key][setting] = beside
    return [together(table, found[table.key]) for table in tables], left_out


def metrics_wanted(tables: Sequence[ClaimsTable], setting: str) -> dict[str, set[str]]:
    """Method → the metrics that the claims on `setting` have of it, for reading ranks once."""
    wanted: dict[str, set[str]] = {}
    for table in (table for table in tables if setting in table.file.settings):
        metrics = {claim.metric for claim in table.claims()}
        for row in table.file.rows:
            method = row.method_of(setting)
            if method is not None:
                wanted.setdefault(method, set()).update(metrics)
        wanted.setdefault(FLOOR, set()).update(metrics)
    return wanted


def beside_setting(
    table: ClaimsTable, setting: str, cells: Sequence[Cell], reader: ScoresReader
) -> InSetting | None:
    """The claims of `table` beside the `cells` of one setting's name.

    None where the table does not name the setting, or none of its methods has a record there.
    """
    if setting not in table.file.settings:
        return None
    found_here = (row.method_of(setting) for row in table.file.rows)
    methods = {method for method in found_here if method is not None}
    group, more = _group(cells, methods)
    if not group:
        return None
    found = _compare_setting(table, setting, group, reader)
    notes = (*more, *_on_users(table, group))
    return InSetting(group[0].record.setting_hash, tuple(found), notes)


def together(table: ClaimsTable, found: Mapping[str, InSetting]) -> Compared:
    """Joins a table's claims over its settings; without records each one says "no record yet"."""
    file = table.file
    claims = table.claims()
    if file.why_not is not None:
        alone = [AgainstOurs(each, None, "not comparable", file.why_not) for each in claims]
        return Compared(table, tuple(alone), ())
    known = [found[setting] for setting in file.settings if setting in found]
    if known:
        beside = tuple(each for group in known for each in group.claims)
        return Compared(table, beside, tuple(note for group in known for note in group.notes))
    missing = f"no records yet of {', '.join(file.settings)}"
    return Compared(table, tuple(_absent(table, each, missing) for each in claims), ())


def _group(cells: Sequence[Cell], methods: set[str]) -> tuple[list[Cell], list[str]]:
    """The cells of one version of a setting, those of `methods` and the floor; a note if several.

    Of several versions the first that has a record of one of the methods is taken.
    """
    groups = [
        [cell for cell in group if cell.record.method.key in methods | {FLOOR}]
        for group in by_setting(cells).values()
        if any(cell.record.method.key in methods for cell in group)
    ]
    if not groups:
        return [], []
    if len(groups) == 1:
        return groups[0], []
    name = cells[0].record.setting.name
    return groups[0], [f"{len(groups)} versions of setting {name} have records; the first is shown"]


def _on_users(table: ClaimsTable, group: Sequence[Cell]) -> list[str]:
    """A note where we scored another number of users than the source."""
    counts, record = table.file.counts, group[0].record
    ours = record.num_users["test"]
    if counts is None or counts.users == ours:
        return []
    return [
        f"setting {record.setting.name} scored {ours:,} {record.setting.asks}, the source"
        f" {counts.users:,} ({counts.basis}): the cut of the data may be another"
    ]


def _absent(table: ClaimsTable, claim: Claim, missing: str) -> AgainstOurs:
    """A claim that has nothing beside it: no method of ours, or no record yet."""
    for name in (claim.name, claim.base):
        if name is not None and (reason := table.file.row(name).why_not) is not None:
            return AgainstOurs(claim, None, "not comparable", reason)
    return AgainstOurs(claim, None, "no record yet", missing)


def _compare_setting(
    table: ClaimsTable, setting: str, group: Sequence[Cell], reader: ScoresReader
) -> list[AgainstOurs]:
    """All claims of `table` beside the cells `group` of one setting, metric by metric."""
    claims = table.claims()
    found: dict[Claim, AgainstOurs] = {}
    for metric in dict.fromkeys(claim.metric for claim in claims):
        reason = f"{metric} is null in {setting}: {null_because(metric)}"
        try:
            check_mix(group)
            scores = read_scores(group, metric, reader=reader)
        except LeaderboardError as error:
            scores, reason = None, str(error)
        for claim in (claim for claim in claims if claim.metric == metric):
            found[claim] = (
                AgainstOurs(claim, setting, "not comparable", reason)
                if scores is None
                else _beside(table, setting, claim, group, scores)
            )
    return [found[claim] for claim in claims]


def _beside(
    table: ClaimsTable, setting: str, claim: Claim, group: Sequence[Cell], scores: UserScores
) -> AgainstOurs:
    """One claim beside the scores of one setting."""
    keys = []
    for name in (claim.name, claim.base):
        if name is not None:
            method = table.file.row(name).method_of(setting)
            if method is None or method not in scores.values:
                missing = f"no record yet of {method} in {setting}"
                return _absent(table, claim, missing)
            keys.append(method)
    records = {key: [c.record for c in group if c.record.method.key == key] for key in keys}
    try:
        ours = _ours(scores, records, keys)
    except LeaderboardError as error:
        return AgainstOurs(claim, setting, "not comparable", str(error))
    checks = Checks(group)
    tested = len(keys) > 1 and set(keys) <= checks.records.keys()
    if tested and (obstacles := checks.obstacles(*keys)):
        why_not = f"ours has no verdict: {'; '.join(obstacles)}"
        return AgainstOurs(claim, setting, "not comparable", why_not, ours)
    floor = [cell for cell in group if cell.record.method.key == FLOOR] or None
    weak = any(under_trained(own, floor) for own in records.values())
    return judge(claim, setting, ours, weak=weak)


def _ours(scores: UserScores, records: dict[str, list[Record]], keys: Sequence[str]) -> Estimate:
    """Our score of one method, or difference of two."""
    if len(keys) == 1:
        return estimate(scores.matrix(keys[0], sorted(scores.values[keys[0]])))
    _, one, two, _ = pair(scores, records, keys[0], keys[1])
    return estimate(one - two)


def judge(claim: Claim, setting: str, ours: Estimate, *, weak: bool = False) -> AgainstOurs:
    """The verdict on `claim` beside `ours`.

    Args:
        claim: a score, or a difference where it has a base.
        setting: of ours.
        ours: our estimate of the same.
        weak: whether a cell of ours is under-trained.
    """
    if ours.low is None or ours.high is None:
        reason = f"the records of {setting} do not vary, so they have no interval"
        return AgainstOurs(claim, setting, "not comparable", reason, ours)
    slack = claim.rounding * (1 + 1e-9)
    within = ours.low - slack <= claim.value <= ours.high + slack
    same: bool | None = None
    verdict: Verdict
    if claim.base is None:
        verdict = _verdict_on_score(claim.value, ours, within)
    else:
        same, verdict = _verdict_on_difference(claim.value, ours, within)
    if weak:
        verdict = "no claim: ours is under-trained"
    return AgainstOurs(claim, setting, verdict, None, ours, same, within)


def _verdict_on_score(value: float, ours: Estimate, within: bool) -> Verdict:
    """A score agrees where it lies in our interval."""
    if within:
        return "agrees"
    return "ours is higher" if ours.mean > value else "ours is lower"


def _verdict_on_difference(
    value: float, ours: Estimate, within: bool
) -> tuple[bool | None, Verdict]:
    """Whether the directions are the same, and the verdict on direction and size."""
    if ours.p is None or ours.p >= LEVEL:
        if within:
            return None, "open: ours shows none, and does not exclude it"
        return None, "not confirmed: ours shows none, and excludes it"
    if value == 0:
        return None, "agrees" if within else "ours differs, reported is none"
    same = (ours.mean > 0) == (value > 0)
    if not same:
        return False, "opposite direction"
    if within:
        return True, "agrees"
    if abs(ours.mean) > abs(value):
        return True, "same direction, ours is larger"
    return True, "same direction, ours is smaller"
