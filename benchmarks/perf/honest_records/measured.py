"""What a made-up cell measured of its model: what grounding carried over, what SFT forgot."""

from typing import Any

import numpy as np

from benchmarks.perf.honest_records.settings import Shape
from benchmarks.perf.honest_records.sketches import Sketch
from leaderboard.records.canonical import digest_of
from leaderboard.records.setting import Setting

MOST_PAIRS = 256
TOKENS_OF_TEXT = 4
RIGHT, WRONG = 1.0, 2.5
"""NLL per answer token of pairs as they were shown, and of all others."""
OF_OTHERS = 0.8
"""Times that, of pairs of items that were not shown: something carries over."""


def measured_of(setting: Setting, shape: Shape, sketch: Sketch, cell: str) -> dict[str, Any]:
    """Treatment and retention of a cell, called METHOD/SEED."""
    generator = np.random.default_rng(list(f"measured {cell}".encode()))
    grounded = "before" in sketch.spends
    return {
        "treatment": _treatment(setting, shape, sketch, generator) if grounded else None,
        "retention": {
            "pages": digest_of("pages"),
            "characters": 6000,
            "before": 1.25,
            "after": 1.5 + 0.1 * generator.random(),
        },
    }


def _treatment(
    setting: Setting, shape: Shape, sketch: Sketch, generator: np.random.Generator
) -> dict[str, Any]:
    """Of pairs that were shown and, where the setting holds some out, of those that were not."""
    held_out = round(setting.grounding.held_out_share * shape.items)
    counts = {"seen": shape.items - held_out} | ({"held_out": held_out} if held_out else {})
    chance = min(1.0, 10 / shape.items)
    pairs, found = [], {}
    for share, count in counts.items():
        count = min(count, MOST_PAIRS)
        for direction, tokens in (("text_to_sid", shape.levels), ("sid_to_text", TOKENS_OF_TEXT)):
            shown = RIGHT + 0.1 * generator.random()
            others = [WRONG + 0.1 * generator.random() for _ in range(2)]
            showing = share == "seen" and sketch.shows_texts
            true = shown if showing and not sketch.shuffled else others[0]
            pairs.append(
                {
                    "direction": direction,
                    "share": share,
                    "pairs": count,
                    "tokens": tokens * count,
                    "true": OF_OTHERS * true if share == "held_out" else true,
                    "permuted": others[1],
                    "shown": shown if showing else None,
                }
            )
        recall = 0.75 if showing else min(1.0, 2 * chance)
        found[share] = {
            "asked": count,
            "recall": chance if sketch.shuffled else recall,
            "recall_shown": recall if showing else None,
            "chance": chance,
        }
    return {"pairs": pairs, "found": found}
