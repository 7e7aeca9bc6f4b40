"""What a method's record says of its grounding."""

from collections.abc import Callable
from typing import Any

import pytest

Treatment = dict[str, Any]


def treatment_by_hand(
    shown: float = 2.0,
    permuted: float = 4.0,
    recall: float | None = 0.9,
    chance: float = 0.1,
    directions: tuple[str, ...] = ("text_to_sid", "sid_to_text"),
) -> Treatment:
    """A record's `treatment`: the same NLL in every direction, other figures where held out."""
    pairs = [
        {
            "direction": direction,
            "share": share,
            "pairs": 50,
            "tokens": 150,
            "true": shown if share == "seen" else 3.75,
            "permuted": permuted if share == "seen" else 3.875,
            "shown": shown if share == "seen" else None,
        }
        for direction in directions
        for share in ("seen", "held_out")
    ]
    found = {"asked": 50, "recall": 0.125, "chance": chance}
    return {
        "pairs": pairs,
        "found": {
            "seen": {**found, "recall_shown": recall},
            "held_out": {**found, "recall_shown": None},
        },
    }


@pytest.fixture
def treatment() -> Callable[..., Treatment]:
    """Makes what a record says of its grounding; as it is, grounding took."""
    return treatment_by_hand
