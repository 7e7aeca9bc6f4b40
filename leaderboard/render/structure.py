"""What `gti-bench structure` prints: associations as a table, what they can show, and JSON."""

from collections.abc import Sequence
from dataclasses import asdict

from leaderboard.board.method_rows import STAGES
from leaderboard.board.structure import FEWEST_METHODS, NUMBERS, RANDOM, Association, Points
from leaderboard.render.entries import figure, word
from leaderboard.render.numbers import NOTHING, STAGE_NAMES, p_value
from leaderboard.render.table import Entry, Filled, Table, column
from leaderboard.render.writers import json_text, terminal

NAMES = {
    "effective_rank": "effective rank",
    "rsa_level_1": "RSA, level 1",
    "text_affinity": "text affinity",
}
POOLED = "all settings"
SUCCESS = (
    "Structure is not success: rows drawn at random know nothing, and SFT gives them a high rank"
    " and an RSA too. Read each number beside theirs (random rows; methods above them). RSA is"
    " Spearman's within the first level, since pooled over levels it is about 0 for all."
)


def structure_lines(points: Points, found: Sequence[Association]) -> list[str]:
    """The table of each group, a sentence on it, and how to read them."""
    lines = []
    for group in dict.fromkeys(each.setting for each in found):
        own = [each for each in found if each.setting == group]
        lines += [heading(group, points.metric), ""]
        lines += [
            terminal(Table.of(own, COLUMNS), "  "),
            "",
            f"  {sentence(own, points.metric)}",
            "",
        ]
    return lines + notes_on(points, found)


def heading(setting: str | None, metric: str) -> str:
    """What stands above a table; `setting` is None for all of them."""
    return f"{setting or POOLED}: rows' structure against test {metric}"


def _stage(each: Association) -> Entry:
    """The stage, sorted by when it comes, then by the number."""
    place = STAGES.index(each.stage) * len(NUMBERS) + NUMBERS.index(each.number)
    return Entry(STAGE_NAMES[each.stage], f"stage {place:03d}")


def _interval(each: Association) -> Entry:
    """`[+.12, +.64]`, sorted by its lower end."""
    if each.low is None or each.high is None:
        return Entry(NOTHING, each.low)
    return Entry(f"[{_signed(each.low)}, {_signed(each.high)}]", each.low)


def _signed(rho: float) -> str:
    """`+.42`."""
    return f"{rho:+.2f}".replace("0.", ".", 1)


COLUMNS: tuple[Filled[Association], ...] = (
    column("rows", "rows", lambda each: word(NAMES[each.number]), "words"),
    column("stage", "stage", _stage, "words"),
    column("methods", "methods", lambda each: figure(each.num_methods, str)),
    column("cells", "cells", lambda each: figure(each.num_cells, str)),
    column("random", "random rows", lambda each: figure(each.random, "{:.3g}".format)),
    column("above", "methods above", lambda each: figure(each.above, str)),
    column("rho", "ρ", lambda each: figure(each.rho, _signed)),
    column("interval", "95 % interval", _interval),
    column("p", "p", lambda each: figure(each.p, p_value)),
    column("verdict", "verdict", lambda each: word(each.verdict), "prose"),
)
"""What is said of each number and stage."""


def no_cells(metric: str, setting: str | None = None, where: str = "") -> str:
    """What is said instead where no cell gives a point."""
    of = f" of setting {setting!r}" if setting else ""
    return f"no cells{of} with {metric}{where} that pass popularity"


def sentence(found: Sequence[Association], metric: str) -> str:
    """What the tests of one group show."""
    tested = [each for each in found if each.rho is not None]
    if not tested:
        return f"Too few methods to say: a test needs {FEWEST_METHODS}."
    shown = [
        f"{NAMES[each.number]} {STAGE_NAMES[each.stage]} ({_signed(each.rho)})"
        for each in tested
        if each.rho is not None and each.verdict in ("rises with it", "falls with it")
    ]
    needed = [each.smallest for each in tested if each.smallest is not None]
    if not shown:
        text = f"No number is shown to rise or fall with {metric}, of {len(tested)} tested."
        if needed:
            low, high = min(needed), max(needed)
            text += f" Single numbers would have had to reach about {low:.2f} to {high:.2f}."
        return text
    return f"Shown to go with {metric}, of {len(tested)} numbers tested: {'; '.join(shown)}."


def notes_on(points: Points, found: Sequence[Association]) -> list[str]:
    """What the figures are, what was left out, what does not follow."""
    out = {
        "references": points.references,
        "under-trained": points.under_trained,
        f"without {points.metric}": points.without_score,
    }
    left = ", ".join(f"{count} {what}" for what, count in out.items() if count)
    notes = [
        "ρ is Spearman's over cells; intervals and p by drawing methods with all their seeds; p is"
        " Holm-corrected over the numbers of a table.",
        f"{len(points.scores)} cells of {len(set(points.methods))} methods; left out:"
        f" {left or 'none'}.",
        "Methods differ in more than these numbers (budget, training before SFT): a correlation"
        " over methods is no effect.",
        SUCCESS if points.random else f"{SUCCESS} None are here: run the method {RANDOM}.",
    ]
    if any(each.setting is None for each in found):
        notes.append(f"{POOLED}: by ranks within each setting.")
    if points.unjudged:
        names = ", ".join(points.unjudged)
        notes.append(f"Without popularity it is unknown which cells are under-trained: {names}.")
    if len(set(points.methods)) == len(points.methods) or max(points.seeds, default=0) == 0:
        notes.append("One seed of each method: what a seed's luck adds is unknown.")
    return notes


def structure_json(points: Points, found: Sequence[Association]) -> str:
    """The associations and what they rest on, as JSON."""
    content = {
        "metric": points.metric,
        "cells": len(points.scores),
        "methods": sorted(set(points.methods)),
        "left_out": {
            "references": points.references,
            "under_trained": points.under_trained,
            "without_score": points.without_score,
        },
        "unjudged": list(points.unjudged),
        "numbers": list(NUMBERS),
        "associations": [asdict(each) for each in found],
    }
    return json_text(content)
