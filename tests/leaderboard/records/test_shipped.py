"""Records beside the settings and methods that come with the code: what differs is warned of."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.perf.honest_records.edits import edit
from leaderboard.records.record import MethodCard, read_record
from leaderboard.records.shipped import Shipped
from leaderboard.verify.verify import verify


def as_shipped(path: Path, **changes: Any) -> Shipped:
    """The record at `path` is as shipped, but for `changes` of its method's card."""
    record = read_record(path)
    card = record.method.model_copy(update=changes)
    return Shipped(
        {record.setting.name: record.setting_hash}, lambda _, key: card if key == card.key else None
    )


def told(path: Path, shipped: Shipped) -> list[tuple[str, str]]:
    return [(finding.level, finding.field) for finding in verify(path, shipped=shipped)]


def test_what_is_as_shipped_or_of_another_name_is_not_named(factory: Any) -> None:
    path = factory.write("gti")
    factory.write("mean")
    assert verify(factory.root, shipped=as_shipped(path)) == []
    others = Shipped({"other": "0" * 64}, lambda *_: pytest.fail("no record of it"))
    assert verify(factory.root, shipped=others) == []


def test_an_edited_setting_is_a_warning_and_its_methods_are_its_own(factory: Any) -> None:
    path = factory.write("gti")
    edited = Shipped({"toy": "0" * 64}, lambda *_: pytest.fail("of another setting"))
    assert told(path, edited) == [("warning", "setting_hash")]
    (finding,) = verify(path, shipped=edited)
    assert "as it is shipped" in finding.expected


def test_a_rate_of_its_own_is_a_warning_that_names_it(factory: Any) -> None:
    path = factory.write("gti")
    parameters = read_record(path).method.parameters
    tuned = parameters.model_copy(update={"grounding_learning_rate": 0.02})
    shipped = as_shipped(path, parameters=tuned)
    assert told(path, shipped) == [("warning", "method_hash")]
    (finding,) = verify(path, shipped=shipped)
    assert "grounding_learning_rate None" in finding.found
    assert "grounding_learning_rate 0.02" in finding.expected


@pytest.mark.parametrize("field", ["summary", "source"])
def test_a_methods_words_are_those_of_the_code(factory: Any, field: str) -> None:
    path = factory.write("gti")
    shipped = as_shipped(path)
    edit(path, lambda content: content["method"].update({field: "the best of all"}))
    assert verify(path) == []
    assert told(path, shipped) == [("warning", f"method.{field}")]


def test_another_version_is_told_with_both(factory: Any) -> None:
    path = factory.write("gti")
    record = read_record(path)
    card: MethodCard = record.method.model_copy(update={"version": 2})
    (found,) = as_shipped(path).differences("toy", record.setting_hash, card, card.hash)
    assert found[0] == "method_hash"
    assert "version 2" in found[1]
    assert "version 1" in found[2]
