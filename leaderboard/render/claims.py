"""Claims as lines for a terminal, one per claim with its verdict, and as JSON."""

import dataclasses
import itertools
import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any

from leaderboard.claims.against_ours import AgainstOurs, Compared
from leaderboard.claims.claims import Claim, ClaimsTable, Counts
from leaderboard.claims.statements import STATEMENTS, Judged
from leaderboard.claims.support import Tested, check_counts, reported_differences
from leaderboard.metrics.metrics import parse_metric
from leaderboard.render.entries import bounds, figure, word
from leaderboard.render.numbers import score, signed
from leaderboard.render.table import Entry, Filled, Line, Table, column
from leaderboard.render.writers import json_text, terminal

READING = (
    "Reported numbers are taken as printed: a verdict on size leaves out their own uncertainty."
    " Our intervals are 95 %, of one comparison each, uncorrected."
)
Z_READING = (
    "z is of two unpaired shares: of several prompts, first as if a user's hit and miss together,"
    " then as if they were independent; 1.96 shows a difference at 5 %, in one comparison. A test"
    " paired by user could see more, and training seeds would add to the doubt; neither is"
    " published. NDCG cannot be tested from means."
)


STATEMENTS_READING = (
    "Holds, contrary: shown, at every seed or by an interval over seeds, for scores by the board's"
    " verdicts. Open: neither is. Intervals are 95 %. That rows differ is no success by itself:"
    " docs/grounding_or_compute.md."
)


def statements_table(judged: Sequence[Judged]) -> Table:
    """What the paper states, a line for each statement and board."""
    columns: list[Filled[Judged]] = [
        column("statement", "the paper states", lambda each: word(each.statement), "words"),
        column("board", "board", lambda each: word(_board(each)), "words"),
        column("verdict", "here", lambda each: word(each.word), "words"),
        column("because", "because", lambda each: Entry(each.because), "prose"),
    ]
    caption = "What the GTI paper states, board by board"
    return Table.of(judged, columns, lambda each: Line(each.statement), "statements", caption)


def _board(each: Judged) -> str:
    """`ml-100k-nano (no evidence)`."""
    return each.setting if each.evidence else f"{each.setting} (no evidence)"


def statements_told() -> str:
    """What each statement is taken to say."""
    return "; ".join(f"{key}: {says}" for key, (says, _) in STATEMENTS.items()) + "."


def claims_lines(
    compared: Sequence[Compared], left_out: Sequence[str], judged: Sequence[Judged] = ()
) -> list[str]:
    """All tables: what is claimed, what stands beside it, what the numbers support."""
    lines: list[str] = []
    if judged:
        table = statements_table(judged)
        lines += [table.caption, "", terminal(table, "  "), "", _wrapped(statements_told())]
        lines += [_wrapped(STATEMENTS_READING), ""]
    for each in compared:
        lines += [*_head(each.table), *_beside_lines(each), *_support_lines(each.table), ""]
    lines.append(_wrapped(READING, ""))
    lines.append(_wrapped(summary(compared), ""))
    return lines + list(left_out)


def _wrapped(text: str, place: str = "  ", hang: str = "  ") -> str:
    """`text` as an indented paragraph."""
    return textwrap.fill(
        text, 110, initial_indent=place, subsequent_indent=place + hang, break_on_hyphens=False
    )


def _head(table: ClaimsTable) -> list[str]:
    """Title, source, data and caveats."""
    file = table.file
    lines = [
        f"{file.title} ({table.key})",
        _wrapped(f"source  {file.source}", hang=" " * 8),
        _wrapped(f"data    {file.dataset}; {file.cut}; {file.split}", hang=" " * 8),
    ]
    if file.counts is not None:
        lines.append(f"  scored  {scored(file.counts)}")
    return lines + [_wrapped(f"caveat  {each}", hang=" " * 8) for each in file.caveats]


def scored(counts: Counts) -> str:
    """How many were scored, and how that is known."""
    prompts = "" if counts.prompts == 1 else f" × {counts.prompts} prompts"
    return f"{counts.users:,} users{prompts} ({counts.basis})"


def claim_name(claim: Claim) -> str:
    """The row, or the two rows of a difference."""
    return claim.name if claim.base is None else f"{claim.name} − {claim.base}"


def claim_value(claim: Claim, unit: str) -> str:
    """The reported number as it is written."""
    if unit != "score":
        return f"{claim.value:+.2f}%"
    return score(claim.value) if claim.base is None else signed(claim.value)


def _beside_lines(each: Compared) -> list[str]:
    """One line per number where something of ours stands beside it, else one per row."""
    lines: list[str] = []
    unit = each.table.file.unit
    with_ours = [found for found in each.claims if found.ours is not None]
    without = [found for found in each.claims if found.ours is None]
    for setting, group in itertools.groupby(with_ours, key=lambda found: found.setting):
        table = beside_table(each.table, setting or "", list(group))
        lines += ["", f"  beside {setting}", "", terminal(table, "  ")]
    for reason, alone in by_reason(without).items():
        lines += ["", _wrapped(f"nothing of ours beside these: {reason}")]
        for name, figures in alone.items():
            listed = ", ".join(_figure(claim, unit) for claim in figures)
            lines.append(_wrapped(f"{name}: {listed}", "    "))
    return lines + [_wrapped(f"Note: {note}.") for note in each.notes]


def by_reason(found: Sequence[AgainstOurs]) -> dict[str, dict[str, list[Claim]]]:
    """Claims that stand alone: reason → row → its numbers."""
    reasons: dict[str, dict[str, list[Claim]]] = {}
    for each in found:
        rows = reasons.setdefault(each.why_not or each.verdict, {})
        rows.setdefault(claim_name(each.claim), []).append(each.claim)
    return reasons


def _figure(claim: Claim, unit: str) -> str:
    """`recall@5 .0226`."""
    return f"{claim.metric} {claim_value(claim, unit)}"


def beside_table(table: ClaimsTable, setting: str, found: Sequence[AgainstOurs]) -> Table:
    """The claims that something of `setting` stands beside."""
    unit = table.file.unit
    columns: list[Filled[AgainstOurs]] = [
        column("reported", "reported", lambda each: word(claim_name(each.claim)), "words"),
        column("metric", "metric", lambda each: _metric(each.claim.metric), "words"),
        column("there", "there", lambda each: reported(each.claim, unit)),
        column("here", "here", _here),
        column("interval", "95 % interval", _interval),
        column("verdict", "verdict", lambda each: word(each.verdict), "words"),
    ]
    name, caption = f"beside-{table.key}-{setting}", f"{table.file.title}, beside {setting}"
    return Table.of(found, columns, lambda each: Line(claim_name(each.claim)), name, caption)


def reported(claim: Claim, unit: str) -> Entry:
    """The reported number, sorted by its value."""
    return Entry(claim_value(claim, unit), claim.value)


def _here(found: AgainstOurs) -> Entry:
    """Table entry: our mean score, or mean difference, for the claim."""
    write = score if found.claim.base is None else signed
    return figure(None if found.ours is None else found.ours.mean, write)


def _interval(found: AgainstOurs) -> Entry:
    """Table entry: the confidence interval of our score or difference."""
    return bounds(found.ours, with_sign=found.claim.base is not None)


def _metric(name: str) -> Entry:
    """A metric, sorted by family and then by cutoff."""
    family, cutoff = parse_metric(name)
    return Entry(name, f"{family}@{cutoff:09d}")


def _support_lines(table: ClaimsTable) -> list[str]:
    """What the reported numbers support by themselves; nothing where that cannot be known."""
    counted = counts_sentence(table)
    lines = [] if counted is None else [_wrapped(counted)]
    support = support_table(table)
    if not support.lines:
        return lines
    lines += ["", "  what these numbers support by themselves", "", terminal(support, "  "), ""]
    at_most = at_most_sentence(table)
    return [*lines, _wrapped(Z_READING), *([] if at_most is None else [_wrapped(at_most)])]


def counts_sentence(table: ClaimsTable) -> str | None:
    """Whether the inferred number of users fits the recalls; None where none is inferred."""
    check = check_counts(table)
    counts = table.file.counts
    if check is None or counts is None:
        return None
    others = [users for users in check.users_that_fit if users != counts.users]
    also = (
        f"so would {', '.join(map(str, others))} users"
        if others
        else f"no other number of users up to {counts.users_of_data:,} fits"
    )
    return (
        f"Scored: {check.num_fitting} of {check.num_values} recalls are multiples of"
        f" 1/{check.denominator} = {counts.prompts} prompts × {counts.users:,} users, the"
        f" largest error {check.largest_error:.1e} where rounding explains"
        f" {check.rounding:.1e}; {also}. By accident {check.accidental:.2f} such numbers"
        " would be expected: an inference, not a statement of the source."
    )


def support_table(table: ClaimsTable) -> Table:
    """What the numbers support by themselves; no lines where that is unknown."""
    counts = table.file.counts
    several = counts is not None and counts.prompts > 1
    z, write = "z, prompts as one" if several else "z", "{:+.2f}".format
    columns: list[Filled[Tested]] = [
        column("reported", "reported", lambda each: word(_pair(each)), "words"),
        column("metric", "metric", lambda each: _metric(each.metric), "words"),
        column("difference", "difference", lambda each: figure(each.difference, signed)),
        column("z_users", z, lambda each: figure(each.z_users, write)),
        column("z_prompts", "z, independent", lambda each: figure(each.z_prompts, write)),
        column("verdict", "verdict", lambda each: word(_support(each, several)), "words"),
    ]
    name, tested = f"support-{table.key}", reported_differences(table)
    caption = f"{table.file.title}: what these numbers support by themselves"
    made = Table.of(tested, columns, lambda each: Line(_pair(each)), name, caption)
    return made if several else made.without("z_prompts")


def _support(each: Tested, several: bool) -> str:
    """The support verdict in words; "either way" is left out with one prompt per user."""
    return each.support if several else each.support.removesuffix(" either way")


def _pair(each: Tested) -> str:
    """The two rows of a difference."""
    return f"{each.a} − {each.b}"


def at_most_sentence(table: ClaimsTable) -> str | None:
    """Which verdicts hang on the inferred number of users; None where it is stated."""
    counts = table.file.counts
    if counts is None or counts.basis == "stated":
        return None
    moved = [
        f"{each.a} − {each.b} at {each.metric} ({each.support_at_most})"
        for each in reported_differences(table)
        if each.support_at_most != each.support
    ]
    if not moved:
        return f"With all {counts.users_of_data:,} users the verdicts are the same."
    return (
        f"Were it all {counts.users_of_data:,} users of the data, {len(moved)} verdicts would"
        f" be others: {'; '.join(moved)}."
    )


def summary(compared: Sequence[Compared]) -> str:
    """All verdicts together: `12 claims from 1 source: 3 × agrees; 9 × no record yet`."""
    total = sum(len(each.claims) for each in compared)
    plural = "" if len(compared) == 1 else "s"
    listed = counted([found for each in compared for found in each.claims])
    return f"{total} claims from {len(compared)} source{plural}: {listed}."


def counted(found: Sequence[AgainstOurs]) -> str:
    """`3 × agrees; 9 × no record yet`, the most frequent verdict first."""
    verdicts = Counter(each.verdict for each in found)
    return "; ".join(f"{count} × {verdict}" for verdict, count in verdicts.most_common())


def claims_json(
    compared: Sequence[Compared], left_out: Sequence[str], judged: Sequence[Judged] = ()
) -> str:
    """The same as indented JSON with every digit; undefined is null."""
    content = {
        "statements": [dataclasses.asdict(each) for each in judged],
        "sources": [_content(each) for each in compared],
        "reading": [READING, Z_READING],
        "left_out": list(left_out),
    }
    return json_text(content)


def _content(each: Compared) -> dict[str, Any]:
    """One table as JSON-ready values."""
    file = each.table.file
    check = check_counts(each.table)
    return {
        "key": each.table.key,
        **file.model_dump(mode="json", exclude={"rows", "comparisons"}),
        "claims": [
            {**dataclasses.asdict(found.claim), **_judgement(found)} for found in each.claims
        ],
        "counts_check": None if check is None else dataclasses.asdict(check),
        "support": [dataclasses.asdict(found) for found in reported_differences(each.table)],
        "notes": list(each.notes),
    }


def _judgement(found: AgainstOurs) -> dict[str, Any]:
    """What is said of a claim, without the claim."""
    content = dataclasses.asdict(found)
    del content["claim"]
    return content
