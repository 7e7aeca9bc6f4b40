"""The warnings that a cell's record carries."""

from types import SimpleNamespace

import numpy as np

from baselines.mean import Mean
from benchmarks.cell.notes import notes_on
from benchmarks.inputs.catalogue import find_setting
from gti.data.semantic_ids import SemanticIds
from gti.quantise.kmeans import residual_kmeans


def notes(
    codes: np.ndarray,
    titles: list[str],
    dropped: int = 0,
    made: dict[str, str] | None = None,
    held_out: int = 0,
) -> list[str]:
    sids = SemanticIds(codes, 64, None, made or {})
    split = SimpleNamespace(dropped_users=dropped)
    inputs = SimpleNamespace(semantic_ids=sids, split=split, queries=None)
    setting = find_setting("ml-100k-nano").setting
    prompter = SimpleNamespace(has_template=False, titles=titles, details=[""] * len(titles))
    shown = SimpleNamespace(held_out=np.arange(held_out))
    return notes_on(setting, inputs, shown, prompter, Mean())


def test_nothing_is_said_where_all_is_well():
    codes = np.stack([np.arange(60) % 64, np.arange(60) % 7], axis=1)
    assert notes(codes, ["a"] * 60) == []


def test_collapsed_levels_and_items_without_text_are_said():
    codes = np.stack([np.arange(60) % 64, np.arange(60) % 6], axis=1)
    found = notes(codes, ["a"] * 59 + [""], dropped=3)
    assert found == [
        "items without text: 1; no grounding or alignment pairs of these",
        "users with fewer than 3 interactions, left out: 3",
        "level 1 of the Semantic IDs collapsed: items use 6 of its 64 codes",
    ]


def test_held_out_items_are_not_counted_as_items_without_text():
    codes = np.stack([np.arange(60) % 64, np.arange(60) % 7], axis=1)
    found = notes(codes, ["", "", ""] + ["a"] * 57, held_out=2)
    assert found[0].startswith("held out of all texts: 2 items;")
    assert found[1:] == ["items without text: 1; no grounding or alignment pairs of these"]


def test_a_level_that_was_spread_after_it_collapsed_is_said_by_what_its_quantiser_wrote_down():
    flat = np.random.default_rng(0).normal(size=(1, 3)).astype(np.float32)
    sids, report = residual_kmeans(np.repeat(flat, 60, axis=0), 2, 64, 0, {})
    assert sids.used_per_level == (1, 60)
    assert notes(sids.codes, ["a"] * 60, made=sids.description) == [
        f"Semantic IDs: {warning}" for warning in report.warnings
    ]
    assert len(report.warnings) == 2
