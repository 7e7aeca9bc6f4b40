"""The primary contrasts of a setting in words, and as a table."""

from leaderboard.board.primary import Decided, Decision
from leaderboard.metrics.metrics import is_loss
from leaderboard.render.entries import bounds, figure, word
from leaderboard.render.numbers import interval, p_value, score, signed
from leaderboard.render.table import Entry, Filled, Line, Table, column

RULES = {
    "fixed order": "one after the other in this order, each at 5 %, until one is not shown",
    "holm": "all together, p Holm-corrected over them",
}


def no_verdict(obstacles: tuple[str, ...]) -> str:
    """`no verdict: grounding of gti did not take`."""
    if obstacles == ("one seed",):
        return "one seed: no verdict"
    return f"no verdict: {'; '.join(obstacles)}"


def within(margin: float) -> str:
    """`±.02`."""
    return f"±{_short(margin)}"


def _short(value: float) -> str:
    """A number as it was declared, without its leading zero."""
    return f"{value:g}".replace("0.", ".", 1) if value < 1 else f"{value:g}"


def decision_word(decision: Decision, margin: float) -> str:
    """The verdict on a primary contrast."""
    if decision.verdict is None:
        return no_verdict(decision.obstacles)
    return f"equal within {within(margin)}" if decision.verdict == "equal" else decision.verdict


def decision_told(decision: Decision, margin: float) -> str:
    """The verdict and its figures: `better, -.2050 [-.3976, -.0124], p = .041`."""
    word_of_it, tested = decision_word(decision, margin), decision.tested
    if decision.verdict is None or tested is None:
        return word_of_it
    found, p = tested.estimate, p_value(tested.p)
    equals = "" if p.startswith("<") else "= "
    return f"{word_of_it}, {signed(found.mean)} {interval(found, with_sign=True)}, p {equals}{p}"


def pair_of(decision: Decision) -> str:
    """The two methods, and the slices they are compared on where these are named."""
    contrast = decision.contrast
    pair = f"{contrast.a} − {contrast.b}"
    return f"{pair} on {' and '.join(contrast.on)}" if contrast.on else pair


def primary_sentences(decided: Decided | None) -> list[str]:
    """The primary contrasts on a board, one line each; nothing where none is declared."""
    if decided is None:
        return []
    return [
        f"Primary {place}, {decided.spec.outcome}: {pair_of(each)}:"
        f" {decision_told(each, decided.spec.margin)} (claim: {each.contrast.claim})."
        for place, each in enumerate(decided.decisions, 1)
    ]


def primary_table(decided: Decided, asks: str) -> Table:
    """A line for each primary contrast, in the order declared."""
    spec = decided.spec
    columns: list[Filled[Decision]] = [
        column("pair", "primary contrast", lambda each: word(pair_of(each)), "words"),
        column("claim", "claim", lambda each: word(each.contrast.claim), "prose"),
        column(
            "difference",
            spec.outcome,
            lambda each: figure(found.estimate.mean if (found := each.tested) else None, signed),
        ),
        column(
            "interval",
            "95 % interval",
            lambda each: bounds(each.tested.estimate if each.tested else None, with_sign=True),
        ),
        column("p", "p", _p),
        column("margin", "margin", lambda _: Entry(within(spec.margin), spec.margin)),
        column(
            "seeds",
            "seeds",
            lambda each: figure(len(each.tested.seeds) if each.tested else None, str),
        ),
        column(
            "asks",
            asks,
            lambda each: figure(
                each.tested.estimate.num_users if each.tested else None, "{:,}".format
            ),
        ),
        column("verdict", "verdict", lambda each: word(decision_word(each, spec.margin)), "words"),
    ]
    caption = f"Primary contrasts, declared with the setting, in test {spec.outcome}"
    return Table.of(
        decided.decisions, columns, lambda each: Line(each.contrast.a), "primary", caption
    )


def _p(decision: Decision) -> Entry:
    """The corrected p; nothing where there is no verdict."""
    tested = decision.tested
    return figure(None if tested is None or decision.obstacles else tested.p, p_value)


def primary_notes(decided: Decided, asks: str) -> list[str]:
    """How to read the primary contrasts and their verdicts."""
    spec = decided.spec
    seen = [
        each.tested.smallest
        for each in decided.decisions
        if each.tested is not None and each.tested.smallest is not None
    ]
    notes = [
        f"Primary contrasts are declared with the setting, before its seeds run, and tested first:"
        f" {RULES[spec.rule]}. Outcome: test {spec.outcome}"
        f"{', less is better' if is_loss(spec.outcome) else ''}.",
        "better, worse: the corrected test shows a difference. equal within"
        f" {within(spec.margin)}: it does not, and two one-sided tests at 5 % each, of this one"
        " contrast, show that it is smaller than the margin. open: neither is shown."
        " no verdict: the pair cannot be judged, and counts as not shown.",
    ]
    if seen:
        notes.append(
            f"With these seeds and {asks} the smallest primary differences that could be seen are"
            f" {score(min(seen))} to {score(max(seen))}."
        )
    return notes


def gate_note(decided: Decided | None) -> str:
    """Whether secondary differences may be claimed; empty where nothing is declared."""
    if decided is None:
        return ""
    if decided.open:
        return "Every primary contrast is shown, so that secondary differences may be claimed."
    return "Not every primary contrast is shown: no secondary difference is claimed."
