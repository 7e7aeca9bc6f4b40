"""What `rerun` says: what is not as recorded, and the verdict."""

from collections.abc import Sequence

from leaderboard.records.reproductions import Reproduction
from leaderboard.render.numbers import score

MOST_FIELDS = 6
"""Differing fields named in a verdict; the line beside the record has them all."""


def context_lines(context: Sequence[str]) -> list[str]:
    """What differs before the run, and what may therefore be expected."""
    if not context:
        return ["  code, versions and machine are as recorded: the same bits are expected"]
    return [f"  not as recorded: {line}" for line in context]


def verdict_line(label: str, found: Reproduction) -> str:
    """The verdict in a sentence or two."""
    scores, spread = found.scores, found.spread
    figures = f"{scores.metric} {score(scores.again)}"
    if found.outcome == "exact":
        stages = "ranks and metrics" if found.new_rows_sha256 is None else "ranks, rows and metrics"
        return (
            f"{label}: reproduced exactly: {stages} are identical ({found.num_rows:,} rows of"
            f" ranks, {figures})"
        )
    figures += f", recorded {score(scores.recorded)}"
    same = f"{found.same_rows:,} of {found.num_rows:,} rows of ranks are identical"
    interval = ""
    if spread is not None:
        interval = (
            f"; by {len(spread.seeds)} seeds one more run lies in {score(spread.recorded.center)} ±"
            f" {score(spread.recorded.half_width)}, by the new one and the others in"
            f" {score(spread.swapped.center)} ± {score(spread.swapped.half_width)}"
        )
    if found.outcome == "equivalent":
        return f"{label}: reproduced equivalently, not exactly: {figures}{interval}; {same}"
    more = len(found.differing) - MOST_FIELDS
    differing = ", ".join(found.differing[:MOST_FIELDS]) + (f" and {more} more" if more > 0 else "")
    if found.outcome == "undecided":
        return (
            f"{label}: not reproduced exactly, and there are too few seeds to say more (3 are"
            f" needed): {figures}; {same}; differing: {differing}"
        )
    why = "" if found.context else ", though nothing is known that could move it"
    return f"{label}: NOT REPRODUCED{why}: {figures}{interval}; {same}; differing: {differing}"
