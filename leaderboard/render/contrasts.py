"""What `gti-bench contrasts` prints: tables for a terminal, for a page in git, and JSON."""

import textwrap
from dataclasses import asdict
from typing import Literal

from leaderboard.board.contrasts import Answer, Answers
from leaderboard.board.method_rows import BASE
from leaderboard.metrics.metrics import is_loss
from leaderboard.records.record import PROTOCOL_VERSION
from leaderboard.render.entries import bounds, figure, word
from leaderboard.render.export import moderation_content, primary_content
from leaderboard.render.numbers import p_value, score, signed
from leaderboard.render.primary import gate_note, no_verdict, primary_notes, primary_table
from leaderboard.render.sentences import LARGEST, NO_EVIDENCE, extent, moderation_note
from leaderboard.render.table import Entry, Filled, Line, Table, column
from leaderboard.render.treatment import treatment_lines
from leaderboard.render.writers import json_text, markdown, terminal

Style = Literal["text", "md", "brief"]
NOTES = (
    "Intervals are 95 %, over seeds and {asks} (crossed), each of its own; p is Holm-corrected over"
    " the {count} differences that these contrasts and the board show. `not shown` is no proof of"
    " equality: with these seeds and {asks} the smallest differences that could be seen{tested} are"
    " {low} to {high}.",
    "With one seed an interval is over {asks}, given that seed.",
)


def verdict(answer: Answer) -> str:
    """What may be said of one contrast; one that is not primary is marked where some are."""
    word = no_verdict(answer.obstacles) if answer.obstacles else answer.tested.verdict
    return f"{word} (secondary)" if answer.tested.role == "secondary" else word


def contrast_lines(found: Answers, style: Style = "text") -> list[str]:
    """The tables and how to read them; "brief" is Markdown with what is declared alone."""
    setting, in_git = found.setting, style != "text"
    extents = "" if style == "brief" else _extents(found)
    head = f"{setting.name} · test {found.metric}{extents} · protocol {PROTOCOL_VERSION}"
    lines = [f"### {head}" if in_git else head, ""]
    if not setting.evidence:
        lines += [f"**{NO_EVIDENCE}**" if in_git else NO_EVIDENCE, ""]
    tables = [] if found.decided is None else [primary_table(found.decided, setting.asks)]
    tables += [_told_once(contrast_table(found))] if found.answers and style != "brief" else []
    for table in tables:
        grid = markdown(table, "pipe") if in_git else terminal(table)
        lines += [*grid.splitlines(), ""]
    notes = [*notes_on(found), *treatment_lines(found.taken)]
    if style == "brief":
        nothing = f"Setting {setting.name} declares no contrasts."
        decided = found.decided
        notes = [nothing] if decided is None else primary_notes(decided, setting.asks)
    if in_git:
        return [*lines, *(f"<sub>{note}</sub>" for note in notes)]
    return [*lines, *(textwrap.fill(note, 110) for note in notes)]


def _extents(found: Answers) -> str:
    """` · 3 seeds × 943 users`; of contrasts with unlike seeds the most."""
    if not found.answers:
        return ""
    largest = max((each.estimate for each in found.answers), key=lambda e: e.num_seeds)
    most = "at most " if _unlike(found) else ""
    return f" · {most}{extent(largest, found.setting.asks)}"


def _unlike(found: Answers) -> bool:
    """Whether some contrasts have fewer seeds than others."""
    return len({each.estimate.num_seeds for each in found.answers}) > 1


def contrast_table(found: Answers) -> Table:
    """A line for each contrast, in the order in which the questions are asked."""
    places = {each.contrast: f"{place:03d}" for place, each in enumerate(found.answers)}
    columns: list[Filled[Answer]] = [
        column(
            "question",
            "question",
            lambda each: Entry(each.contrast.question, places[each.contrast]),
            "prose",
        ),
        column("pair", "difference", _pair, "words"),
        column("isolates", "what it isolates", lambda each: word(each.contrast.isolates), "prose"),
        column("difference", "", lambda each: figure(each.estimate.mean, signed)),
        column("interval", "95 % interval", lambda each: bounds(each.estimate, with_sign=True)),
        column("p", "p", lambda each: figure(each.p, p_value)),
        column("verdict", "verdict", lambda each: word(verdict(each)), "words"),
    ]
    if _unlike(found):
        columns.append(column("seeds", "seeds", lambda each: figure(each.estimate.num_seeds, str)))
    caption = f"Differences in test {found.metric} between methods that differ in one thing"
    return Table.of(
        found.answers, columns, lambda each: Line(each.contrast.a), "contrasts", caption
    )


def _pair(answer: Answer) -> Entry:
    """The two methods."""
    return word(f"{answer.contrast.a} − {answer.contrast.b}")


def _told_once(table: Table) -> Table:
    """The table with each question on its first line alone."""
    texts = [entry.text for entry in table.entries("question")]
    shown = [
        Entry("" if own == last else own) for own, last in zip(texts, ["", *texts], strict=False)
    ]
    return table.with_column(table["question"], shown)


def notes_on(found: Answers) -> list[str]:
    """How to read the tables, and what they lack."""
    asks, family = found.setting.asks, found.family
    notes = [] if found.decided is None else primary_notes(found.decided, asks)
    if gate := gate_note(found.decided):
        notes.append(gate)
    smallest = [s for each in found.answers if (s := each.tested.smallest) is not None]
    if smallest:
        words = {"low": score(min(smallest)), "high": score(max(smallest))}
        if max(smallest) >= LARGEST and not is_loss(found.metric):
            words["high"] = "more than any two methods can differ by"
        words["tested"] = f", {family.size} being tested together," if family.size > 1 else ""
        notes.append(NOTES[0].format(asks=asks, count=family.size, **words))
    if is_loss(found.metric):
        notes.append(f"Of {found.metric}, in nats, less is better.")
    if family.moderation is not None:
        notes.append(moderation_note(family.moderation))
    if any(each.estimate.num_seeds == 1 for each in found.answers):
        notes.append(NOTES[1].format(asks=asks))
    if found.actual:
        told = ", ".join(f"{key} {ratio:.2f}" for key, ratio in found.actual.items())
        notes.append(
            "Methods that spend the extra budget spend all of it, in nominal FLOPs; what cells"
            f" really took, in FLOPs × {BASE}'s: {told}."
        )
    if len(found.commits) > 1:
        at = (f"{', '.join(own)} at {', '.join(where)}" for where, own in found.commits.items())
        notes.append(f"Computed at different commits of the code: {'; '.join(at)}.")
    notes += _missing(found)
    return notes


def _missing(found: Answers) -> list[str]:
    """What could not be tested, and why."""
    absent = set(found.absent)
    without = [each for each in found.missing if absent & {each.a, each.b}]
    apart = [each for each in found.missing if each not in without]
    notes = []
    no_records = f"No records of {', '.join(found.absent)}"
    for why, pairs in ((no_records, without), ("No common seed", apart)):
        if pairs:
            told = ", ".join(f"{each.a} − {each.b}" for each in pairs)
            notes.append(f"{why}: {told} not tested.")
    return notes


def contrasts_json(found: Answers) -> str:
    """Every figure, with every digit."""
    moderation = found.family.moderation
    return json_text(
        {
            "setting": found.setting.name,
            "setting_hash": found.setting.hash,
            "metric": found.metric,
            "evidence": found.setting.evidence,
            **({} if found.decided is None else {"primary": primary_content(found.decided)}),
            "level": found.family.level,
            "tested_together": found.family.size,
            "contrasts": [
                {
                    **each.contrast.model_dump(exclude={"place"}),
                    **asdict(each.estimate),
                    "p_corrected": each.p,
                    "smallest": each.tested.smallest,
                    "seeds_needed": each.tested.seeds_needed,
                    "role": each.tested.role,
                    "verdict": verdict(each),
                }
                for each in found.answers
            ],
            "actual_flops_of_mean": found.actual,
            "commits": {key: where for where, own in found.commits.items() for key in own},
            "missing": [each.model_dump(exclude={"place"}) for each in found.missing],
            "grounding": {
                key: {**asdict(own), "state": own.state} for key, own in found.taken.items()
            },
            **({} if moderation is None else {"moderation": moderation_content(moderation)}),
        }
    )
