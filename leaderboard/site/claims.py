"""Claims on the page: what `gti-bench claims` says, as tables that lead to our records."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from leaderboard.claims.against_ours import AgainstOurs, Compared, InSetting
from leaderboard.claims.claims import Claim, ClaimsTable
from leaderboard.render.claims import (
    at_most_sentence,
    beside_table,
    by_reason,
    counted,
    counts_sentence,
    reported,
    scored,
    support_table,
)
from leaderboard.render.entries import word
from leaderboard.render.numbers import NOTHING
from leaderboard.render.table import Column, Entry, Filled, Line, Table, column

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
    support = support_table(table)
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
        support=support if support.lines else None,
        at_most=at_most_sentence(table),
    )


def _beside(table: ClaimsTable, setting: str, found: Sequence[AgainstOurs], slugs: Slugs) -> Table:
    """The claims that something of `setting` stands beside."""
    made = beside_table(table, setting, found)
    if slug := slugs.get((table.key, setting)):
        made = replace(made, id=f"beside-{table.key}-{slug}")
        methods = [table.file.row(each.claim.name).method_of(setting) for each in found]
        links = [f"settings/{slug}.html#records-{method}" if method else None for method in methods]
        for key in ("here", "interval"):
            pairs = zip(made.entries(key), links, strict=True)
            made = made.with_column(made[key], [replace(own, link=link) for own, link in pairs])
    same = Column("same", "same direction", "words", "of a difference that both show")
    within = Column("within", "within ours", "words", "the reported number lies in our interval")
    made = made.with_column(same, [word(WORDS[each.same_direction]) for each in found], "verdict")
    return made.with_column(within, [word(WORDS[each.within]) for each in found], "verdict")


def _alone(name: str, rows: Mapping[str, Sequence[Claim]], unit: str) -> Table:
    """Reported numbers by row and metric."""
    by_metric = {row: {claim.metric: claim for claim in own} for row, own in rows.items()}
    columns: list[Filled[str]] = [column("reported", "reported", word, "words")]
    for metric in dict.fromkeys(claim.metric for own in rows.values() for claim in own):
        columns.append(column(metric, metric, partial(_reported, by_metric, metric, unit)))
    caption = "As reported; nothing of ours stands beside these"
    return Table.of(rows, columns, Line, name, caption)


def _reported(rows: Mapping[str, Mapping[str, Claim]], metric: str, unit: str, row: str) -> Entry:
    """What is reported of `row` at `metric`, if anything."""
    claim = rows[row].get(metric)
    return Entry(NOTHING) if claim is None else reported(claim, unit)


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
