"""What `gti-bench contrasts` prints: a table for a terminal, for a page in git, and JSON."""

import json
import textwrap
from dataclasses import asdict

from tabulate import tabulate

from leaderboard.board.contrasts import Answer, Answers
from leaderboard.records.record import PROTOCOL_VERSION
from leaderboard.render.numbers import interval, p_value, score, signed
from leaderboard.render.sentences import LARGEST, NO_EVIDENCE, extent

HEADER = ("question", "difference", "what it isolates", "", "95 % interval", "p", "verdict")
SEEDS = "seeds"
NOTES = (
    "Intervals are 95 %, over seeds and {asks} (crossed), each of its own; p is Holm-corrected over"
    " the {count} differences. `not shown` is no proof of equality: with these seeds and {asks} the"
    " smallest differences that could be seen{tested} are {low} to {high}.",
    "With one seed an interval is over {asks}, given that seed.",
)


def verdict(answer: Answer) -> str:
    """What may be said of one contrast."""
    if answer.weak:
        return f"{', '.join(answer.weak)} under-trained"
    if not answer.shown:
        return "not shown"
    found = "better" if answer.estimate.mean > 0 else "worse"
    return found if answer.estimate.num_seeds > 1 else f"{found} at one seed"


def contrast_lines(found: Answers, style: str = "text") -> list[str]:
    """The table and how to read it; `style` is "text" or "md"."""
    setting = found.setting
    head = f"{setting.name} · test {found.metric} · {_extents(found)} · protocol {PROTOCOL_VERSION}"
    lines = [f"### {head}" if style == "md" else head, ""]
    if not setting.evidence:
        lines += [f"**{NO_EVIDENCE}**" if style == "md" else NO_EVIDENCE, ""]
    lines += [*_table(found, style), ""]
    notes = notes_on(found)
    if style == "md":
        return [*lines, *(f"<sub>{note}</sub>" for note in notes)]
    return [*lines, *(textwrap.fill(note, 110) for note in notes)]


def _extents(found: Answers) -> str:
    """`3 seeds × 943 users`; of contrasts with unlike seeds the most."""
    largest = max((each.estimate for each in found.answers), key=lambda e: e.num_seeds)
    return f"{'at most ' if _unlike(found) else ''}{extent(largest, found.setting.asks)}"


def _unlike(found: Answers) -> bool:
    """Whether some contrasts have fewer seeds than others."""
    return len({each.estimate.num_seeds for each in found.answers}) > 1


def answer_table(found: Answers, repeat: bool) -> tuple[list[str], list[list[str]]]:
    """Header and a line for each contrast; a question stands on each of its lines if `repeat`."""
    unlike = _unlike(found)
    body, last = [], ""
    for each in found.answers:
        contrast = each.contrast
        name = contrast.question if repeat or contrast.question != last else ""
        last = contrast.question
        line = [name, f"{contrast.a} − {contrast.b}", contrast.isolates]
        line += [signed(each.estimate.mean), interval(each.estimate, with_sign=True)]
        line += [p_value(each.p), verdict(each)]
        body.append([*line, *([str(each.estimate.num_seeds)] if unlike else [])])
    return [*HEADER, *([SEEDS] if unlike else [])], body


def _table(found: Answers, style: str) -> list[str]:
    """The table, each question named once."""
    header, body = answer_table(found, repeat=False)
    align = ["left"] * 3 + ["right"] * 3 + ["left"] + ["right"] * (len(header) - len(HEADER))
    form = "pipe" if style == "md" else "simple"
    return tabulate(body, header, form, disable_numparse=True, colalign=align).splitlines()


def notes_on(found: Answers) -> list[str]:
    """How to read the table, and what it lacks."""
    asks = found.setting.asks
    smallest = [each.smallest for each in found.answers if each.smallest is not None]
    notes = []
    if smallest:
        words = {"low": score(min(smallest)), "high": score(max(smallest))}
        if max(smallest) >= LARGEST:
            words["high"] = "more than any two methods can differ by"
        count = len(found.answers)
        words["tested"] = f", {count} being tested together," if count > 1 else ""
        notes.append(NOTES[0].format(asks=asks, count=count, **words))
    if any(each.estimate.num_seeds == 1 for each in found.answers):
        notes.append(NOTES[1].format(asks=asks))
    if found.missing:
        pairs = ", ".join(f"{each.a} − {each.b}" for each in found.missing)
        notes.append(f"No records for: {pairs}.")
    return notes


def contrasts_json(found: Answers) -> str:
    """Every figure, with every digit."""
    return json.dumps(
        {
            "setting": found.setting.name,
            "setting_hash": found.setting.hash,
            "metric": found.metric,
            "evidence": found.setting.evidence,
            "level": found.level,
            "contrasts": [
                {
                    **each.contrast.model_dump(exclude={"place"}),
                    **asdict(each.estimate),
                    "p_corrected": each.p,
                    "smallest": each.smallest,
                    "seeds_needed": each.seeds_needed,
                    "verdict": verdict(each),
                }
                for each in found.answers
            ],
            "missing": [each.model_dump(exclude={"place"}) for each in found.missing],
        },
        indent=2,
        ensure_ascii=False,
    )
