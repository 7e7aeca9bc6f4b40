"""`gti-bench contrasts` on a board's page: its table with the differences' intervals drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from leaderboard.board.contrasts import Answer, Answers
from leaderboard.figures.intervals import Interval, draw_interval, draw_scale, interval_axis
from leaderboard.render.contrasts import answer_table, notes_on
from leaderboard.site.tables import Column, Entry, Line, Sort, Table, tick

WORDS = ("question", "difference", "what it isolates", "verdict")
FIRST = ("difference", "", "p", "verdict")
LONG = ("question", "what it isolates")


@dataclass(frozen=True)
class Contrasts:
    """What the page says of a setting's contrasts: the verb's table and its notes."""

    table: Table
    notes: tuple[str, ...]


def contrasts(found: Answers | None) -> Contrasts | None:
    """The table and its notes; None where the records allow no contrast."""
    if found is None:
        return None
    header, body = answer_table(found, repeat=True)
    drawn = header.index("95 % interval")
    intervals = [_interval(each) for each in found.answers]
    axis = interval_axis(intervals, tick, zero=True)
    columns = [
        # The verb names no column of figures: the one before it says what they are of.
        Column(name or found.metric, text=name in WORDS, wide=name in LONG)
        for name in header
    ]
    columns[drawn] = replace(columns[drawn], scale=draw_scale(axis))
    # A row's header, the two methods; then what a narrow screen must show; long texts last.
    first = [header.index(name) for name in FIRST]
    last = [header.index(name) for name in LONG]
    order = [*first, *(i for i in range(len(header)) if i not in [*first, *last]), *last]
    lines = []
    for place, (texts, each) in enumerate(zip(body, found.answers, strict=True)):
        entries = [Entry(*pair) for pair in zip(texts, _sorts(texts, each, place), strict=True)]
        drawing = draw_interval(axis, intervals[place], _kind(each))
        entries[drawn] = replace(entries[drawn], drawing=drawing)
        lines.append(Line(each.contrast.a, "", "", tuple(entries[i] for i in order)))
    caption = f"Differences in test {found.metric} between methods that differ in one thing"
    table = Table("contrasts", caption, tuple(columns[i] for i in order), tuple(lines))
    return Contrasts(table, tuple(notes_on(found)))


def _interval(answer: Answer) -> Interval:
    """Of the difference."""
    found = answer.estimate
    return Interval(found.mean, found.low, found.high)


def _sorts(texts: Sequence[str], answer: Answer, place: int) -> list[Sort]:
    """What each entry is sorted by: questions in the order they are asked."""
    found = answer.estimate
    sorts: list[Sort] = [f"{place:03d}", *texts[1:3], found.mean, found.low, answer.p, texts[6]]
    return [*sorts, *([found.num_seeds] if len(texts) > len(sorts) else [])]


def _kind(answer: Answer) -> str:
    """The CSS class of an interval."""
    if not answer.shown:
        return "open"
    kind = "better" if answer.estimate.mean > 0 else "worse"
    return f"{kind} alone" if answer.estimate.num_seeds == 1 else kind
