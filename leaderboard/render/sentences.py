"""What a board says in sentences: who differs from `mean`, what could be seen, and the marks."""

from leaderboard.board.board import Leaderboard
from leaderboard.board.method_rows import BASE, FLOOR, FLOOR_METRIC, MethodRow
from leaderboard.board.moderation import Moderation
from leaderboard.board.pace import Pace
from leaderboard.board.standing import standing_notes
from leaderboard.metrics.metrics import is_loss
from leaderboard.records.cells import named_seeds
from leaderboard.render.numbers import flops, interval, p_value, score, signed
from leaderboard.render.primary import gate_note
from leaderboard.statistics.crossed import Estimate

LARGEST = 1.0
"""No two methods differ by more in a rank metric, between 0 and 1; losses have no such end."""

NO_EVIDENCE = "This board shows that the harness works; it is no evidence about GTI."
UNDER_TRAINED = "†"
PROVISIONAL = "‡"


def extent(found: Estimate, asks: str = "users") -> str:
    """`3 seeds × 943 users`; `asks` says of whom, where they are queries."""
    seeds = "1 seed" if found.num_seeds == 1 else f"{found.num_seeds} seeds"
    return f"{seeds} × {found.num_users:,} {asks}"


def verdict(row: MethodRow) -> str | None:
    """One sentence on `row` against `mean`; None for references and `mean` itself."""
    difference = row.difference
    if difference is None or row.kind == "reference":
        return None
    found = difference.estimate
    figures = f"{signed(found.mean)} {interval(found, with_sign=True)}"
    if difference.p is not None:
        figures += f", p = {p_value(difference.p)}".replace("p = <", "p <")
    if difference.verdict == "no verdict":
        sentence = f"No verdict on {row.key} against {difference.base}"
        sentence += f" ({'; '.join(difference.obstacles)}): {figures}"
    elif difference.verdict == "not claimed":
        sentence = f"Not claimed, behind primary contrasts that are not shown: {row.key} −"
        sentence += f" {difference.base} {figures}; {extent(found, row.asks)}"
    elif difference.verdict in ("better", "worse"):
        sentence = f"{row.key} is {difference.verdict} than {difference.base}: {figures}"
        sentence += f"; {extent(found, row.asks)}"
    else:
        sentence = f"No difference between {row.key} and {difference.base} can be shown: {figures}"
        sentence += f"; {seen}" if (seen := _what_could_be_seen(row)) else ""
    if found.scope == "conditional on one seed":
        # First and last: a sentence is quoted by its beginning.
        sentence = f"At {named_seeds(difference.seeds)} alone: {sentence}"
        sentence += "; conditional on one seed: it says nothing about another"
    if row.under_trained:
        sentence += f"; {row.key} is under-trained and supports no claim"
    return f"{sentence}."


def _what_could_be_seen(row: MethodRow) -> str:
    """The power of a comparison that showed nothing."""
    difference = row.difference
    if difference is None or difference.smallest is None:
        return ""
    found = difference.estimate
    if difference.smallest < LARGEST or difference.lower_is_better:
        text = (
            f"with {extent(found, row.asks)} the smallest difference that could be seen is about"
            f" {score(difference.smallest)}"
        )
    else:
        text = f"{extent(found, row.asks)} can show no difference here after correction"
    needed = what_it_would_take(found, difference.seeds_needed, row.asks)
    return f"{text}, and {needed}" if needed else text


def what_it_would_take(found: Estimate, seeds_needed: int | None, asks: str) -> str:
    """How many seeds would show a difference as large as `found`; empty where these would do."""
    if seeds_needed is not None:
        more = f"one as large as that found would take {seeds_needed} seeds"
        return more if seeds_needed > found.num_seeds else ""
    if found.num_seeds > 1 and found.mean != 0:
        return f"one as large as that found needs more {asks}, not only more seeds"
    return ""


def verdicts(board: Leaderboard) -> list[str]:
    """One sentence per method other than `mean`, best first; one for all that is not claimed."""
    told = {row.key: sentence for row in board.rows if (sentence := verdict(row)) is not None}
    if unclaimed := [key for key in told if _not_claimed(board.row(key))]:
        names = ", ".join(unclaimed)
        told = {key: sentence for key, sentence in told.items() if key not in unclaimed}
        told[""] = (
            f"Not claimed, behind primary contrasts that are not shown, against {BASE}: {names}."
        )
    return list(told.values())


def _not_claimed(row: MethodRow) -> bool:
    """Whether the row's difference stands behind a primary contrast that is not shown."""
    return row.difference is not None and row.difference.verdict == "not claimed"


def marks(row: MethodRow) -> str:
    """The marks behind a row's name."""
    marked = UNDER_TRAINED if row.under_trained else ""
    return marked + (PROVISIONAL if row.missing_seeds else "")


def footnotes(board: Leaderboard) -> list[str]:
    """What the marks, letters and intervals mean; only what the board shows."""
    asks = board.setting.asks
    one = {"users": "user", "queries": "query"}[asks]
    notes = []
    weak = [row for row in board.rows if row.under_trained]
    if weak:
        notes.append(
            f"{UNDER_TRAINED} under-trained: {FLOOR_METRIC} below {FLOOR}'s; supports no claim"
            f" ({'; '.join(f'{row.key}: {named_seeds(row.under_trained)}' for row in weak)})"
            f"{' (over all ' + asks + ').' if board.slice_name else '.'}"
        )
    missing = [row for row in board.rows if row.missing_seeds]
    if missing:
        lacks = "; ".join(f"{row.key} lacks {named_seeds(row.missing_seeds)}" for row in missing)
        notes.append(
            f"{PROVISIONAL} provisional: not all seeds of the setting are there ({lacks})."
        )
    scopes = {row.score.scope for row in board.rows if row.score and row.kind == "cell"}
    if "seeds and users" in scopes:
        notes.append(
            f"± is the sd over seeds; intervals are 95 %, over seeds and {asks} (crossed)."
        )
    if "conditional on one seed" in scopes:
        notes.append(f"Intervals of rows with one seed are 95 %, over {asks}, given that seed.")
    if any(row.difference for row in board.rows):
        notes.append(
            f"Differences are from {BASE}, paired by seed and {one}; p is Holm-corrected over the"
            f" {board.family.size} differences that board and contrasts show"
            f"{_behind(board)}, each interval is of one comparison, uncorrected; methods that"
            " share a letter cannot be told apart (Holm over all pairs)."
        )
    if is_loss(board.metric):
        notes.append(
            f"Of {board.metric}, in nats, less is better; references that are no language models"
            " have none."
        )
    if board.family.decided is not None:
        notes.append(gate_note(board.family.decided))
    if board.moderation is not None:
        notes.append(moderation_note(board.moderation))
    if any(row.kind == "reference" for row in board.rows):
        notes.append("References are set in parentheses and are not tested.")
    notes += standing_notes({row.key: row.standing for row in board.rows})
    return [*notes, *(f"Note: {note}." for note in board.notes)]


def _behind(board: Leaderboard) -> str:
    """That the differences are secondary, on a board with primary contrasts."""
    return "" if board.family.decided is None else " beside the primary ones (all secondary)"


def moderation_note(moderation: Moderation) -> str:
    """What stands behind differences whose seed variance is moderated."""
    return (
        f"The seed variance of differences is moderated over {len(moderation.methods)} methods of"
        f" {len(moderation.seeds)} seeds, whose scores have a pooled sd of"
        f" {score(moderation.pooled_sd)} over seeds; a score's own ± and interval are not."
    )


def variance_notes(board: Leaderboard) -> list[str]:
    """What makes the first method's figure uncertain; none where seeds and users are not apart."""
    found = {
        row.key: row.score.components
        for row in board.rows
        if row.kind == "cell" and row.score is not None and row.score.components is not None
    }
    shares = {key: c.share_seeds for key, c in found.items() if c.share_seeds is not None}
    if not shares:
        return []
    first = next(iter(shares))
    parts = found[first]
    text = (
        f"Of the variance of {first}'s {board.metric}, {_percent(parts.share_seeds)} comes from"
        f" seeds, {_percent(parts.share_users)} from {board.setting.asks} and"
        f" {_percent(parts.share_residual)} from neither alone"
    )
    if len(shares) > 1:
        low, high = min(shares.values()), max(shares.values())
        text += f"; over all methods seeds make {_percent(low)} to {_percent(high)}"
    return [f"{text}. CSV and JSON have the parts of every figure."]


def _percent(share: float | None) -> str:
    """`12 %`."""
    return f"{100 * (share or 0.0):.0f} %"


def board_name(board: Leaderboard) -> str:
    """The setting's name; with the short hash where another of this name stands beside it."""
    return board.setting.name + (f" ({board.setting_hash[:8]})" if board.named_twice else "")


def title(board: Leaderboard) -> str:
    """The line above a board."""
    seeds = sorted({seed for row in board.rows if row.kind == "cell" for seed in row.paths})
    state = " · provisional" if board.provisional else ""
    part = f" · slice {board.slice_name} ({board.slice_extent})" if board.slice_name else ""
    return (
        f"{board_name(board)} · test {board.metric}{part} · {board.num_users:,}"
        f" {board.setting.asks} · seeds {', '.join(map(str, seeds)) or 'none'} ·"
        f" protocol {board.protocol}{state}"
    )


def pace_note(pace: Pace | None) -> str:
    """A sentence on times computed at one machine's pace; empty without a pace."""
    if pace is None:
        return ""
    cells = "one cell" if pace.num_cells == 1 else f"{pace.num_cells} cells"
    return (
        f" Its times are nominal FLOPs at one pace, {flops(pace.rates['sft'])}FLOP/s in SFT: the"
        f" median of the {cells} on {pace.machine}. Measured, they went from"
        f" {flops(pace.slowest)}FLOP/s to {flops(pace.fastest)}FLOP/s, with what else the machine"
        " had to do, so that seconds as measured do not compare methods (`--format json` has both)."
    )
