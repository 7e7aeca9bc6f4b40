"""Claims on the page: what `gti-bench claims` says, as tables that lead to our records."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leaderboard.claims.against_ours import AgainstOurs, Compared, InSetting
from leaderboard.claims.claims import Claim, ClaimsTable
from leaderboard.claims.support import reported_differences
from leaderboard.metrics.metrics import parse_metric
from leaderboard.render.claims import (
    BESIDE,
    against_cells,
    at_most_sentence,
    by_reason,
    claim_value,
    counted,
    counts_sentence,
    scored,
    support_table,
)
from leaderboard.render.numbers import NOTHING
from leaderboard.site.tables import Column, Entry, Line, Sort, Table

WORDS = {True: "yes", False: "no", None: NOTHING}

Slugs = Mapping[tuple[str, str], str]
"""Key of a claims file and name of a setting → that setting's name in addresses."""


@dataclass(frozen=True)
class Alone:
    """Numbers that nothing of ours stands beside, and why."""

    reason: str
    table: Table


@dataclass(frozen=True)
class Source:
    """One published table, ready to be shown.

    Args:
        key: of its file, and its place on the page.
        table: what is claimed.
        scored: how many were scored; None where unknown.
        verdicts: how many claims have which verdict.
        beside: a table for each setting of ours beside it.
        alone: numbers without anything beside them, by reason.
        notes: what to bear in mind about ours.
        counts: whether an inferred number of users fits.
        support: what the numbers support by themselves; None where unknown.
        at_most: which of these verdicts hang on the number of users.
    """

    key: str
    table: ClaimsTable
    scored: str | None
    verdicts: str
    beside: tuple[Table, ...]
    alone: tuple[Alone, ...]
    notes: tuple[str, ...]
    counts: str | None
    support: Table | None
    at_most: str | None


def source_of(compared: Compared, slugs: Slugs) -> Source:
    """What the page shows of one table of claims."""
    table = compared.table
    with_ours = [each for each in compared.claims if each.ours is not None]
    without = [each for each in compared.claims if each.ours is None]
    groups = itertools.groupby(with_ours, key=lambda each: each.setting or "")
    reasons = enumerate(by_reason(without).items())
    unit = table.file.unit
    return Source(
        key=table.key,
        table=table,
        scored=None if table.file.counts is None else scored(table.file.counts),
        verdicts=counted(compared.claims),
        beside=tuple(_beside(table, setting, list(own), slugs) for setting, own in groups),
        alone=tuple(
            Alone(reason, _alone(f"alone-{table.key}-{place}", rows, unit))
            for place, (reason, rows) in reasons
        ),
        notes=compared.notes,
        counts=counts_sentence(table),
        support=_support(table),
        at_most=at_most_sentence(table),
    )


def _beside(table: ClaimsTable, setting: str, found: Sequence[AgainstOurs], slugs: Slugs) -> Table:
    """The claims that something of `setting` stands beside."""
    slug = slugs.get((table.key, setting))
    text = ("reported", "metric", "verdict")
    columns = [Column(name, text=name in text) for name in BESIDE[:-1]]
    columns += [
        Column("same direction", "of a difference that both show", text=True),
        Column("within ours", "the reported number lies in our interval", text=True),
        Column(BESIDE[-1], text=True),
    ]
    lines = []
    for each in found:
        *texts, verdict = against_cells(each, table.file.unit)
        method = table.file.row(each.claim.name).method_of(setting) or ""
        link = f"settings/{slug}.html#records-{method}" if slug and method else None
        ours = each.ours
        sorts: list[Sort] = [texts[0], _rising(texts[1]), each.claim.value]
        sorts += [None, None] if ours is None else [ours.mean, ours.low]
        entries = [
            Entry(text, sort, link if place in (3, 4) else None)
            for place, (text, sort) in enumerate(zip(texts, sorts, strict=True))
        ]
        entries += [Entry(WORDS[word], WORDS[word]) for word in (each.same_direction, each.within)]
        entries.append(Entry(verdict, verdict))
        lines.append(_line(entries))
    caption = f"{table.file.title}, beside {setting}"
    return Table(f"beside-{table.key}-{slug or setting}", caption, tuple(columns), tuple(lines))


def _alone(name: str, rows: Mapping[str, Sequence[Claim]], unit: str) -> Table:
    """Reported numbers by row and metric."""
    metrics = list(dict.fromkeys(claim.metric for own in rows.values() for claim in own))
    columns = [Column("reported", text=True), *(Column(metric) for metric in metrics)]
    lines = []
    for row, own in rows.items():
        by_metric = {claim.metric: claim for claim in own}
        entries = [Entry(row, row)]
        for metric in metrics:
            claim = by_metric.get(metric)
            found = None if claim is None else claim.value
            entries.append(Entry(NOTHING if claim is None else claim_value(claim, unit), found))
        lines.append(_line(entries))
    caption = "As reported; nothing of ours stands beside these"
    return Table(name, caption, tuple(columns), tuple(lines))


def _support(table: ClaimsTable) -> Table | None:
    """The tests of the reported differences."""
    header, body = support_table(table)
    if not body:
        return None
    columns = tuple(Column(name, text=name in ("reported", "metric", "verdict")) for name in header)
    lines = []
    for texts, each in zip(body, reported_differences(table), strict=True):
        zs = [each.z_users, each.z_prompts][: len(header) - 4]
        sorts: list[Sort] = [texts[0], _rising(texts[1]), each.difference, *zs, texts[-1]]
        lines.append(_line([Entry(t, s) for t, s in zip(texts, sorts, strict=True)]))
    caption = f"{table.file.title}: what these numbers support by themselves"
    return Table(f"support-{table.key}", caption, columns, tuple(lines))


def _rising(metric: str) -> str:
    """What sorts metrics by family and then by cutoff."""
    family, cutoff = parse_metric(metric)
    return f"{family}@{cutoff:09d}"


def _line(entries: Sequence[Entry]) -> Line:
    """A line that no filter chooses by."""
    return Line(entries[0].text, "", "", tuple(entries))


@dataclass(frozen=True)
class Concerned:
    """A table of claims as a board's page names it: its key, title and verdicts there."""

    key: str
    title: str
    verdicts: str


def concerned(
    tables: Sequence[ClaimsTable], setting: str, found: Mapping[str, InSetting]
) -> list[Concerned]:
    """The claims that name `setting`, with what was `found` beside its records, by their key."""
    return [
        Concerned(
            table.key,
            table.file.title,
            counted(found[table.key].claims)
            if table.key in found
            else "none of its methods has a record here yet",
        )
        for table in tables
        if setting in table.file.settings
    ]
