"""Whether grounding took, in words with the figures it was judged by."""

from collections.abc import Mapping

from leaderboard.board.treatment import LEAST_FOUND, LEAST_GAP, DirectionNll, Taken
from leaderboard.records.cells import named_seeds
from leaderboard.render.numbers import plain, score

DIRECTIONS = {"text_to_sid": "text → SID", "sid_to_text": "SID → text"}

BOUNDS = (
    "Grounding took at a seed where pairs as shown have an NLL per answer token at least"
    f" {score(LEAST_GAP, 1)} nats below permuted ones in each direction trained and, where text →"
    f" SID is trained, recall@10 of the items shown is at least {LEAST_FOUND:.0f} times chance; a"
    " difference that rests on grounding which did not take has no verdict."
)


def treatment_lines(taken: Mapping[str, Taken]) -> list[str]:
    """A sentence for each method with grounding, and the bounds; nothing where there is none."""
    lines = [f"{key}: {treatment_line(found)}" for key, found in taken.items()]
    return [*lines, BOUNDS] if lines else []


def treatment_line(found: Taken) -> str:
    """`grounding took at 3 of 3 seeds; NLL shown 1.02, permuted 3.73 …; recall@10 …`."""
    parts = [_state(found)]
    parts += [told for each in found.nll if (told := _nll(each))]
    if found.found is not None or found.found_held_out is not None:
        parts.append(
            f"recall@10 by title {score(found.found, 3)} of what was shown,"
            f" {score(found.found_held_out, 3)} held out, by chance {score(found.chance, 3)}"
        )
    return "; ".join(parts) + "."


def _state(found: Taken) -> str:
    """Whether it took, and at which seeds it did not."""
    if found.state == "not measured":
        return "treatment was not measured"
    others = [seed for seed, state in found.by_seed.items() if state != "took"]
    if not others:
        return f"grounding took at {named_seeds(list(found.by_seed))}"
    return f"grounding did not take at {named_seeds(others)}"


def _nll(found: DirectionNll) -> str:
    """The NLL of one direction, as shown and permuted, and of what was held out."""
    if found.shown is None and found.held_out_true is None:
        return ""
    text = (
        f"NLL per token {DIRECTIONS[found.direction]} {plain(found.shown)} as shown,"
        f" {plain(found.permuted)} permuted"
    )
    if found.held_out_true is not None:
        text += (
            f" (held out {plain(found.held_out_true)} true, {plain(found.held_out_permuted)}"
            " permuted)"
        )
    return text
