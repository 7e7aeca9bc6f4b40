"""What a cell says of its grounding and of plain English: possible, complete, alike in siblings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.perf.honest_records.edits import Content, edit
from benchmarks.perf.honest_records.settings import OPTIMIZER, QUERIES, Shape, setting_of
from benchmarks.perf.honest_records.writer import RecordWriter
from leaderboard.records.record import read_record
from leaderboard.verify.verify import verify

Change = Callable[[Content], object]
ALONE = Shape(items=36)
"""Every item with a Semantic ID of its own."""


def fields(path: Path) -> set[str]:
    return {finding.field for finding in verify(path)}


def pair(index: int, **values: Any) -> Change:
    return lambda content: content["treatment"]["pairs"][index].update(values)


def found(share: str, **values: Any) -> Change:
    return lambda content: content["treatment"]["found"][share].update(values)


def test_pairs_are_those_of_the_toy_setting(factory: Any) -> None:
    treatment = read_record(factory.write("gti")).treatment
    assert treatment is not None
    assert [(each.direction, each.share, each.pairs) for each in treatment.pairs] == [
        ("text_to_sid", "seen", 87),
        ("sid_to_text", "seen", 87),
        ("text_to_sid", "held_out", 10),
        ("sid_to_text", "held_out", 10),
    ]
    for method in ("mean", "lc_rec", "popularity"):
        assert read_record(factory.write(method)).treatment is None


@pytest.mark.parametrize("method", ["gti", "gti_shuffled", "gti_text_to_sid", "sid_only"])
def test_honest_checks_of_grounding_pass(factory: Any, method: str) -> None:
    for seed in (0, 1):
        factory.write(method, seed)
    assert verify(factory.root) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (pair(0, pairs=88, tokens=176), "treatment.pairs.0.pairs"),
        (pair(0, tokens=175), "treatment.pairs.0.tokens"),
        (pair(1, tokens=86), "treatment.pairs.1.tokens"),
        (pair(0, pairs=0, tokens=0), "treatment.pairs.0.pairs"),
        (pair(3, permuted=-0.1), "treatment.pairs.3.permuted"),
        (pair(0, shown=None), "treatment.pairs.0.shown"),
        (pair(2, shown=1.0), "treatment.pairs.2.shown"),
        (pair(0, shown=1.7), "treatment.pairs.0.shown"),
        (pair(0, share="held_out"), "treatment.pairs"),
        (lambda c: c["treatment"]["pairs"].pop(1), "treatment.pairs"),
        (lambda c: c["treatment"]["found"].pop("seen"), "treatment.found"),
        (
            lambda c: c["treatment"]["found"].update(warm=c["treatment"]["found"]["seen"]),
            "treatment.found",
        ),
        (found("seen", asked=80), "treatment.found.seen.asked"),
        (found("seen", recall=1.2), "treatment.found.seen.recall"),
        (found("seen", recall_shown=0.9), "treatment.found.seen.recall_shown"),
        (found("seen", recall_shown=None), "treatment.found.seen.recall_shown"),
        (found("held_out", recall_shown=0.2), "treatment.found.held_out.recall_shown"),
        (found("held_out", chance=0.01), "treatment.found.held_out.chance"),
        (lambda c: c.update(treatment=None), "treatment"),
        (lambda c: c["retention"].update(before=0.0), "retention.before"),
        (lambda c: c["retention"].update(characters=-1), "retention.characters"),
        (lambda c: c.update(retention=None), "retention"),
    ],
)
def test_a_check_that_no_grounding_leaves_is_found(
    factory: Any, change: Change, field: str
) -> None:
    path = factory.write("gti")
    edit(path, change)
    assert field in fields(path)


@pytest.mark.parametrize("method", ["mean", "popularity"])
def test_what_grounds_nothing_has_nothing_to_say_of_it(factory: Any, method: str) -> None:
    theirs = read_record(factory.write("gti")).model_dump(mode="json")
    path = factory.write(method)
    edit(path, lambda c: c.update(treatment=theirs["treatment"], retention=theirs["retention"]))
    assert "treatment" in fields(path)
    assert ("retention" in fields(path)) == (method == "popularity")


def test_items_are_held_out_where_the_setting_says_so(tmp_path: Path) -> None:
    many = RecordWriter(tmp_path / "results", shape=Shape(items=400))
    path = many.write("gti")

    def alone(content: Content) -> None:
        content["treatment"]["pairs"] = content["treatment"]["pairs"][:2]
        del content["treatment"]["found"]["held_out"]

    edit(path, alone)
    assert fields(path) == {"treatment.pairs", "treatment.found"}
    none = setting_of(many.shape, grounding={**OPTIMIZER, "held_out_share": 0.0})
    path = many.write("gti", setting=none)
    assert verify(path) == []
    with_some = read_record(many.write("gti")).model_dump(mode="json")["treatment"]
    path = many.write("gti", setting=none)
    edit(path, lambda content: content.update(treatment=with_some))
    assert "treatment.pairs" in fields(path)


def test_pairs_that_could_not_be_permuted_may_be_missing_where_the_record_says_so(
    factory: Any,
) -> None:
    path = factory.write("gti")

    def without(content: Content) -> None:
        content["treatment"]["pairs"] = content["treatment"]["pairs"][2:]

    edit(path, without)
    assert "treatment.pairs" in fields(path)
    edit(path, lambda content: content.update(warnings=["treatment: one seen item"]))
    assert verify(path) == []


def test_semantic_ids_that_exclude_each_other_cannot_all_be_likely(tmp_path: Path) -> None:
    """Two codes at .35 nats each: both Semantic IDs would have half the probability."""
    path = RecordWriter(tmp_path / "results", shape=ALONE).write("gti_shuffled")
    assert verify(path) == []
    edit(path, found("seen", recall=1.0))  # so that nothing else bounds the true pairs
    edit(path, pair(0, true=0.35, permuted=0.35, shown=9.0))
    assert verify(path) == []
    edit(path, pair(0, true=0.34, permuted=0.34, shown=9.0))
    assert fields(path) == {"treatment.pairs.0.true"}
    edit(path, pair(0, true=0.60, permuted=0.60, shown=0.50))  # .30 + .30 + .37
    assert verify(path) == []
    edit(path, pair(0, true=0.60, permuted=0.60, shown=0.40))  # .30 + .30 + .45
    assert fields(path) == {"treatment.pairs.0.true"}


def test_items_that_are_not_found_cannot_be_likely(tmp_path: Path) -> None:
    """A tenth is not among the first ten: .9 × 0 + .1 × ln 11 nats at least, over two codes."""
    path = RecordWriter(tmp_path / "results", shape=ALONE).write("gti")
    edit(path, found("seen", recall=0.9, recall_shown=0.9))
    edit(path, pair(0, true=0.121, shown=0.121))
    assert verify(path) == []
    edit(path, pair(0, true=0.118, shown=0.118))
    assert fields(path) == {"treatment.pairs.0.true", "treatment.pairs.0.shown"}


def test_where_items_are_of_kinds_queries_for_each_may_be_found(factory: Any) -> None:
    kinds = {"shares": (0.5, 0.3, 0.2), "ways": ("title",)}
    counts = {"train_per_item": 1, "held_out_per_item": 1}
    queries = {
        **{name: value for name, value in QUERIES["queries"].items() if name != "per_item"},
        "rule": "warm_cold_new",
        "warm_cold_new": kinds | counts,
    }
    path = factory.write("gti", setting=setting_of(**{**QUERIES, "queries": queries}))
    assert verify(path) == []
    new = {"asked": 30, "recall": 0.2, "recall_shown": None, "chance": 10 / 97}
    edit(path, lambda content: content["treatment"]["found"].update(new=new))
    assert verify(path) == []
    edit(path, found("new", recall_shown=0.2))
    assert fields(path) == {"treatment.found.new.recall_shown"}


def test_a_method_shuffles_at_every_seed_or_at_none(factory: Any) -> None:
    factory.write("gti", 0)
    path = factory.write("gti", 1)

    def as_shuffled(content: Content) -> None:
        for each in content["treatment"]["pairs"][:2]:
            each["true"] = 2.4
        content["treatment"]["found"]["seen"]["recall"] = 0.1

    edit(path, as_shuffled)
    assert verify(path) == []
    (finding,) = verify(factory.root)
    assert (finding.field, finding.found) == ("treatment.pairs.*.shown", "other IDs")


@pytest.mark.parametrize(
    ("name", "value"), [("before", 1.26), ("characters", 6001), ("pages", "3" * 64)]
)
def test_all_cells_of_a_setting_read_the_same_english_before_they_are_trained(
    factory: Any, name: str, value: Any
) -> None:
    for method in ("mean", "gti", "random"):
        path = factory.write(method)
    edit(path, lambda content: content["retention"].update({name: value}))
    assert verify(path) == []
    assert {finding.field for finding in verify(factory.root)} == {f"retention.{name}"}
    if name == "before":  # which another machine rounds in another way
        edit(path, lambda content: content["environment"].update(instruction_set="AVX2"))
        assert verify(factory.root) == []


def test_each_seed_has_its_draw_of_semantic_ids_and_all_cells_of_it_the_same(
    tmp_path: Path,
) -> None:
    writer = RecordWriter(tmp_path / "results", setting=setting_of(draws=(0, 1)))
    for method in ("mean", "gti"):
        for seed in (0, 1, 2):
            path = writer.write(method, seed)
    own = {read_record(writer.root / f"toy/mean/seed-{n}.json").inputs.semantic_ids for n in (0, 1)}
    assert len(own) == 2
    assert verify(writer.root) == []
    edit(path, lambda c: c["setting"]["semantic_ids"]["draws"].update({"1": "4" * 64}))
    assert fields(writer.root) == {"setting.semantic_ids.draws.1"}
    path = writer.write("gti", 2)  # a seed that nothing pins
    other = read_record(writer.root / "toy/gti/seed-1.json").inputs.semantic_ids
    edit(path, lambda c: c["inputs"].update(semantic_ids=other))
    assert "inputs.semantic_ids" in fields(writer.root)
