"""A comparison of two methods as lines for a terminal, and as JSON with every digit."""

import textwrap
from dataclasses import asdict
from typing import Any

from leaderboard.board.compare import Comparison, SliceDifference
from leaderboard.metrics.metrics import is_loss
from leaderboard.records.record import PROTOCOL_VERSION
from leaderboard.render.entries import bounds, figure, word
from leaderboard.render.numbers import NOTHING, interval, p_value, score, signed
from leaderboard.render.sentences import LARGEST, NO_EVIDENCE, extent, what_it_would_take
from leaderboard.render.table import Column, Filled, Table, column
from leaderboard.render.writers import json_text, terminal
from leaderboard.statistics.crossed import MODERATED_FROM

SCOPES = {
    "seeds and users": "over seeds and {asks} (crossed)",
    "conditional on one seed": "over {asks}, given that one seed: it says nothing about another",
    "one user": "over seeds, of one of the {asks}",
    "undefined": "undefined: one seed and one of the {asks}",
}


def _no_seeds(comparison: Comparison) -> bool:
    """Whether both sides are references that stand without seeds."""
    return [each.seed for each in comparison.by_seed] == [None]


def scope_of(comparison: Comparison) -> str:
    """What the interval is over, in words."""
    asks = comparison.setting.asks
    if _no_seeds(comparison):
        return f"over {asks}; neither side has seeds"
    return SCOPES[comparison.estimate.scope].format(asks=asks)


def sentence(comparison: Comparison) -> str:
    """Who is better by how much, or what could have been seen."""
    found, asks = comparison.estimate, comparison.setting.asks
    p = f"p = {p_value(found.p)}".replace("p = <", "p <")
    figures = f"{signed(found.mean)} {interval(found, with_sign=True)}, {p};"
    figures += (
        f" {found.num_users:,} {asks}" if _no_seeds(comparison) else f" {extent(found, asks)}"
    )
    a, b = comparison.a, comparison.b
    if comparison.verdict == "no verdict":
        return (
            f"No verdict on {a} and {b}, since {'; '.join(comparison.obstacles)}: {figures[:-1]}."
        )
    if comparison.verdict == "not shown":
        text = f"No difference between {a} and {b} can be shown: {figures}"
    else:
        better, worse = (a, b) if comparison.verdict == "a better" else (b, a)
        text = f"{better} is better than {worse}: {a} − {b} = {figures}"
    loss = is_loss(comparison.metric)
    if comparison.smallest is not None and (comparison.smallest < LARGEST or loss):
        text += (
            f". The smallest difference that could be seen is about {score(comparison.smallest)}"
        )
    elif comparison.smallest is not None and comparison.verdict == "not shown":
        text += f". {extent(found, asks)} can show no difference here"
    needed = what_it_would_take(found, comparison.seeds_needed, asks)
    return f"{text}; {needed}." if needed and comparison.verdict == "not shown" else f"{text}."


def comparison_lines(comparison: Comparison) -> list[str]:
    """The comparison for people: the sentence, each seed, each slice, and what to bear in mind."""
    a, b = comparison.a, comparison.b
    lines = [
        f"{comparison.setting.name} · test {comparison.metric} · {a} against {b} · protocol"
        f" {PROTOCOL_VERSION}"
    ]
    if not comparison.setting.evidence:
        lines.append(NO_EVIDENCE)
    lines += ["", textwrap.fill(sentence(comparison), 110), ""]
    lines += [terminal(_seed_table(comparison), "  "), ""]
    lines += [terminal(_slice_table(comparison), "  "), ""]
    lines.append(
        f"The interval is 95 %, {scope_of(comparison)}; it and p are of this one comparison,"
        f" uncorrected: a board corrects over all that it shows{_moderated_there(comparison)}."
    )
    if is_loss(comparison.metric):
        lines.append(f"Of {comparison.metric}, in nats, less is better.")
    lines.append("p of a slice is Holm-corrected over the slices; each interval is of its own.")
    return lines + [f"Note: {note}." for note in comparison.notes]


def _moderated_there(comparison: Comparison) -> str:
    """What else a board does where there are seeds enough."""
    if comparison.estimate.num_seeds < MODERATED_FROM:
        return ""
    return ", and moderates seed variances over them where there are enough"


def _seed_table(comparison: Comparison) -> Table:
    """A line for each seed, and one for all where there are several."""
    a, b = comparison.a, comparison.b
    columns = [Column("seed", "seed", "words"), Column("a", a), Column("b", b)]
    columns.append(Column("difference", f"{a} − {b}"))
    lines = [
        [
            NOTHING if each.seed is None else str(each.seed),
            *(score(each.a), score(each.b), signed(each.difference)),
        ]
        for each in comparison.by_seed
    ]
    if len(lines) > 1:
        means = (comparison.a_mean, comparison.b_mean)
        lines.append(["all", *map(score, means), signed(comparison.estimate.mean)])
    return Table.of_texts(columns, lines)


def _slice_table(comparison: Comparison) -> Table:
    """A line for each slice."""
    asks = comparison.setting.asks
    columns: list[Filled[SliceDifference]] = [
        column("slice", "slice", lambda each: word(each.name), "words"),
        column("extent", "with", lambda each: word(each.extent), "words"),
        column("asks", asks, lambda each: figure(each.estimate.num_users, "{:,}".format)),
        column(
            "difference",
            f"{comparison.a} − {comparison.b}",
            lambda each: figure(each.estimate.mean, signed),
        ),
        column("interval", "95 % interval", lambda each: bounds(each.estimate, with_sign=True)),
        column("p", "p", lambda each: figure(each.p, p_value)),
    ]
    return Table.of(comparison.slices, columns)


def comparison_json(comparison: Comparison, left_out: list[str]) -> str:
    """`comparison` as indented JSON; undefined is null."""
    content: dict[str, Any] = {
        "setting": comparison.setting.name,
        "setting_hash": comparison.setting_hash,
        "protocol": PROTOCOL_VERSION,
        "metric": comparison.metric,
        "asks": comparison.setting.asks,
        "evidence": comparison.setting.evidence,
        "a": comparison.a,
        "b": comparison.b,
        "a_mean": comparison.a_mean,
        "b_mean": comparison.b_mean,
        "difference": asdict(comparison.estimate),
        "scope": scope_of(comparison),
        "smallest": comparison.smallest,
        "seeds_needed": comparison.seeds_needed,
        "verdict": comparison.verdict,
        "obstacles": list(comparison.obstacles),
        "sentence": sentence(comparison),
        "by_seed": [asdict(each) for each in comparison.by_seed],
        "slices": [asdict(each) for each in comparison.slices],
        "paths": [path.as_posix() for path in comparison.paths],
        "notes": list(comparison.notes),
        "left_out": left_out,
    }
    return json_text(content)
