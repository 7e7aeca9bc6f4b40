"""Figures that nothing derives, changed to what cannot be: each is found under its field."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.perf.honest_records.edits import Content, edit, give_ranks
from leaderboard.metrics.metrics import is_loss
from leaderboard.records.ranks import read_ranks
from leaderboard.records.record import ranks_path
from leaderboard.verify.plausible import last_position
from leaderboard.verify.verify import verify


def fields(path: Path) -> set[str]:
    return {finding.field for finding in verify(path)}


def scaled(content: Content, point: int, factor: float) -> None:
    values = content["learning_curve"][point]["metrics"]
    values.update({name: values[name] * factor for name in values if not is_loss(name)})


CURVE: list[tuple[Callable[[Content], object], str]] = [
    (lambda c: c["learning_curve"][2]["metrics"].update({"recall@5": 0.95}), "2.metrics.recall@10"),
    (lambda c: c["learning_curve"][1]["metrics"].update({"mrr@20": 0.0}), "1.metrics.mrr@20"),
    (lambda c: c["learning_curve"][1]["metrics"].update({"ndcg@10": 0.9}), "1.metrics.ndcg@10"),
    (lambda c: c["learning_curve"][1]["metrics"].update({"mrr@10": 0.5}), "1.metrics.mrr@10"),
    (lambda c: scaled(c, 1, 0.987), "1.metrics.recall@20"),
    (lambda c: scaled(c, 2, 0.987), "2.metrics.recall@20"),
    (
        lambda c: c["learning_curve"][2]["metrics"].update(
            {name: 1.0 for name in c["learning_curve"][2]["metrics"] if not is_loss(name)}
        ),
        "2.metrics.recall@20",
    ),
]


@pytest.mark.parametrize(("change", "field"), CURVE)
def test_a_curve_that_no_ranks_can_give_is_found(
    factory: Any, change: Callable[[Content], object], field: str
) -> None:
    path = factory.write("random", skill=0.2)  # whose first rows differ, so that few items tie
    assert verify(path) == []
    edit(path, change)
    assert f"learning_curve.{field}" in fields(path)


def test_rows_that_start_equal_may_tie_until_they_part(factory: Any) -> None:
    path = factory.write("mean")
    edit(path, lambda c: scaled(c, 1, 0.987))  # a hit shared by as many as may be
    assert verify(path) == []
    edit(path, lambda c: scaled(c, 2, 0.987))  # but the last ranks are known
    assert "learning_curve.2.metrics.recall@20" in fields(path)


def faster(content: Content) -> None:
    cost = content["cost"]["sft"]
    cost["seconds"] = 1e-2
    cost["utilisation"] = cost["actual_flops"] / (cost["seconds"] * cost["device_flops"])
    for point in content["learning_curve"]:
        point["seconds"] = 0.0


def bfloat16(content: Content, *warnings: str) -> None:
    content["environment"]["dtype"] = "bfloat16"
    content["warnings"] = list(warnings)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (faster, "cost.sft.utilisation"),
        (
            lambda c: c["cost"]["sft"].update(peak_memory_bytes=4000 - 1),
            "cost.sft.peak_memory_bytes",
        ),
        (
            lambda c: c["cost"]["score"].update(peak_memory_bytes=3584 - 1),
            "cost.score.peak_memory_bytes",
        ),
        (
            # 2 x 104 body parameters x tokens at four times 5e10 FLOP/s take 1.04 s.
            lambda c: c["cost"]["score"].update(tokens=10**9, seconds=1.0),
            "cost.score.seconds",
        ),
        (lambda c: bfloat16(c), "environment.dtype"),
        (lambda c: bfloat16(c, "the weather was bad"), "environment.dtype"),
    ],
)
def test_what_no_device_does_is_found(
    factory: Any, change: Callable[[Content], object], field: str
) -> None:
    path = factory.write("gti")
    edit(path, change)
    assert fields(path) == {field}
    assert {finding.level for finding in verify(path)} == {"error"}


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["cost"]["sft"].update(peak_memory_bytes=4000),
        lambda c: c["cost"]["score"].update(peak_memory_bytes=3584),
        lambda c: c["cost"]["score"].update(tokens=10**9, seconds=1.05),
        lambda c: bfloat16(c, "float32: this device has none; computed in bfloat16"),
    ],
)
def test_what_a_device_just_does_is_not_named(
    factory: Any, change: Callable[[Content], object]
) -> None:
    path = factory.write("gti")
    edit(path, change)
    assert verify(path) == []


def test_code_with_uncommitted_changes_is_a_warning(factory: Any) -> None:
    path = factory.write("gti")
    edit(path, lambda c: c["code"].update(dirty=True))
    (finding,) = verify(path)
    assert (finding.level, finding.field) == ("warning", "code.dirty")


def test_no_target_stands_behind_more_items_than_there_are(factory: Any) -> None:
    path, reference = factory.write("gti"), factory.write("popularity")

    for changed in (path, reference):
        ranks = read_ranks(ranks_path(changed))
        row = np.flatnonzero(ranks.in_beam)[3]
        ranks.num_better[row], ranks.num_tied[row] = 17, 80
        give_ranks(changed, ranks)
        assert last_position(read_ranks(ranks_path(changed))) == 98
    found = {(finding.file, finding.field) for finding in verify(factory.root)}
    assert any(file == str(path) and field.endswith(", num_better)") for file, field in found)
    assert (str(reference), "files.ranks (num_better)") in found


def test_an_item_has_one_popularity(factory: Any) -> None:
    path = factory.write("gti")
    ranks = read_ranks(ranks_path(path))
    names, often = np.unique(ranks.item, return_counts=True)
    row = int(np.flatnonzero(ranks.item == names[often > 1][0])[-1])
    ranks.target_popularity[row] += 1
    give_ranks(path, ranks)
    assert any(field.endswith(", target_popularity)") for field in fields(path))


def test_an_item_is_reached_no_oftener_than_it_is_trained_on(factory: Any) -> None:
    path = factory.write("gti")
    ranks = read_ranks(ranks_path(path))
    row = int(np.argmin(ranks.target_popularity))
    ranks.transitions[row] = ranks.target_popularity[row] + 1
    give_ranks(path, ranks)
    assert fields(path) == {f"files.ranks (row {row}, transitions)"}


@pytest.mark.parametrize("column", ["num_better", "num_tied", "target_popularity"])
def test_the_popularity_reference_ranks_by_popularity(factory: Any, column: str) -> None:
    path = factory.write("popularity")
    assert verify(path) == []
    ranks = read_ranks(ranks_path(path))
    validation = ranks.split == "validation"
    item = ranks.item[validation][5]
    getattr(ranks, column)[validation & (ranks.item == item)] += 40
    give_ranks(path, ranks)
    assert "files.ranks (validation, num_better)" in fields(path)


def test_methods_of_one_start_have_the_same_first_rows(factory: Any) -> None:
    for key in ("mean", "gti"):
        for seed in (0, 1):
            path = factory.write(key, seed)
    factory.write("random", 0)
    assert verify(factory.root) == []
    edit(path, lambda c: c["manifest"].update(new_rows_sha256_after="1" * 64))
    assert "manifest.new_rows_sha256_after" in fields(factory.root)
    edit(path, lambda c: c["environment"].update(instruction_set="other"))  # adds otherwise
    assert verify(factory.root) == []
