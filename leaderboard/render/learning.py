"""The learning curves of a board as a table: who gets to `mean`'s end, when and at what cost."""

from leaderboard.board.board import Leaderboard
from leaderboard.board.learning import Learning
from leaderboard.board.method_rows import BASE
from leaderboard.metrics.metrics import is_loss
from leaderboard.render.entries import figure
from leaderboard.render.lines import method_line, name_of
from leaderboard.render.numbers import NOTHING, duration, flops, score, signed
from leaderboard.render.sentences import pace_note
from leaderboard.render.table import Entry, Filled, Table, column


def learning_table(board: Leaderboard) -> Table:
    """The learning curves: where they end, when they reach `mean`'s end, at what cost."""
    columns: list[Filled[Learning]] = [
        column("method", "method", lambda each: name_of(board.row(each.key)), "words"),
        column("start", "step 0", lambda each: figure(each.start)),
        column("end", "end", lambda each: figure(each.end)),
        column("difference", f"− {BASE}'s end", _from_base),
        column("reached", "reached it", _reached),
        column("steps", "steps", lambda each: figure(each.steps, "{:.0f}".format)),
        column("flops", "nominal FLOPs", lambda each: figure(each.nominal_flops, flops)),
        column("flops_in_all", "in all", lambda each: figure(each.nominal_flops_in_all, flops)),
        column("time", "time", lambda each: figure(each.paced_seconds, duration)),
        column("time_in_all", "in all", lambda each: figure(each.paced_seconds_in_all, duration)),
    ]
    caption = f"When each method first reaches the final validation score of {BASE}"
    return Table.of(
        board.learning, columns, lambda each: method_line(board.row(each.key)), "learning", caption
    )


def _reached(each: Learning) -> Entry:
    """How many seeds reached `mean`'s end."""
    return Entry(f"{each.num_reached} of {each.num_seeds}", each.num_reached)


def _from_base(each: Learning) -> Entry:
    """The difference between a method's end and `mean`'s, with its sd over seeds."""
    if each.key == BASE:
        return Entry(NOTHING, each.difference)
    sd = "" if each.difference_sd is None else f" ± {score(each.difference_sd)}"
    return Entry(signed(each.difference) + sd, each.difference)


def learning_note(board: Leaderboard) -> str:
    """What the learning table's figures are."""
    evaluation, asks = board.setting.evaluation, board.setting.asks
    sample = f"a fixed sample of at most {evaluation.validation_users:,} validation {asks}"
    luck = " one user's luck moves a small sample."
    if is_loss(board.metric):
        sample, luck = f"all validation {asks}", " less is better."
    return (
        f"Learning: {board.metric} on {sample}, scored at"
        f" {evaluation.curve_points} points after step 0;{luck}"
        f" Steps, nominal FLOPs and time are until a curve first reaches what {BASE} of the same"
        " seed scores at its end: linear between points, means over the seeds that reached it;"
        f" {BASE} is timed by the same rule. Columns are of SFT, `in all` with what came before."
        f"{pace_note(board.pace)}"
    )
