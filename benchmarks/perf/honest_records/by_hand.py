"""What is set by hand: rows of ranks, a curve, a method's card, claims beside the setting `toy`."""

from collections.abc import Sequence
from typing import Any

from leaderboard.records.facts import MethodFacts
from leaderboard.records.ranks import Ranks
from leaderboard.records.record import MethodCard
from leaderboard.records.setting import MethodParameters

CLAIMS = """
title = "A paper"
source = "a table"
unit = "score"
track = "users"
dataset = "toy"
cut = "all"
split = "leave-one-out"
decimals = 4
settings = ["toy"]
caveats = ["Take care."]
comparisons = [["GTI", "mean + SFT"], ["GTI", "TIGER"], ["GTI", "popular"]]
counts = { users = 60, prompts = 1, basis = "stated", users_of_data = 60 }

[[row]]
name = "mean + SFT"
method = "mean"
values = { "recall@5" = 0.1, "ndcg@10" = 0.1234 }

[[row]]
name = "GTI"
method = "gti"
values = { "recall@5" = 0.3, "ndcg@10" = 0.2 }

[[row]]
name = "popular"
method = "popularity"
values = { "ndcg@10" = 0.01 }

[[row]]
name = "TIGER"
why_not = "no such method here"
values = { "ndcg@10" = 0.2 }
"""


def ranks_by_hand(counts: Sequence[tuple[int, int] | None], **columns: Any) -> Ranks:
    """Test rows of next-item recommendation.

    Args:
        counts: [n] (num_better, num_tied) of each row, None outside the beam.
        columns: of `Ranks`, in place of what all rows have alike.
    """
    rows, found = len(counts), [count or (0, 0) for count in counts]
    usual = {
        "split": ["test"] * rows,
        "user": [f"u{row}" for row in range(rows)],
        "wording": [0] * rows,
        "item": ["x"] * rows,
        "grade": [1] * rows,
        "in_beam": [count is not None for count in counts],
        "num_better": [better for better, _ in found],
        "num_tied": [tied for _, tied in found],
        "target_popularity": [1] * rows,
        "history_length": [1] * rows,
    }
    return Ranks(**{**usual, **columns})


def curve_by_hand(
    *scores: float, flops: float = 1e6, seconds: float = 2.0, steps: int = 10
) -> list[dict[str, Any]]:
    """A learning curve through these values of ndcg@10, the first before SFT.

    `flops` are of a step; `seconds` and `steps` lie between two points.
    """
    return [
        {
            "step": steps * place,
            "passes": place / 4,
            "nominal_flops": steps * place * flops,
            "seconds": seconds * place,
            "train_loss": None,
            "metrics": {"ndcg@10": score},
        }
        for place, score in enumerate(scores)
    ]


def card_by_hand(key: str, **facts: Any) -> MethodCard:
    """The card of a method that claims nothing but `facts`."""
    nothing = {"first_rows": None, "stages": (), "directions": (), "look": None, "contrasts": ()}
    own = MethodFacts.model_validate({**nothing, "order": 100, **facts})
    return MethodCard(
        key=key,
        summary="",
        source="",
        version=1,
        group="control",
        spends={},
        parameters=MethodParameters(),
        facts=own,
    )
