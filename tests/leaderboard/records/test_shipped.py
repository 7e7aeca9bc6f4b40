"""Records beside the settings and methods that come with the code: what differs is told."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.perf.honest_records.edits import Content, edit
from benchmarks.perf.honest_records.settings import USUAL, artefact, setting_of
from leaderboard.records.record import MethodCard, read_record
from leaderboard.records.setting import MethodParameters, Setting
from leaderboard.records.shipped import Difference, Shipped
from leaderboard.verify.verify import verify

PRIMARY = {
    "outcome": "trie_nll",
    "margin": 0.01,
    "rule": "holm",
    "contrasts": [{"a": "gti", "b": "mean", "claim": "texts help"}],
}


def as_shipped(path: Path, setting: Setting | None = None, **changes: Any) -> Shipped:
    """The record at `path` is as shipped, but for the `setting`, and `changes` of its card."""
    record = read_record(path)
    card = record.method.model_copy(update=changes)
    return Shipped(
        {record.setting.name: setting or record.setting},
        lambda _, key: card if key == card.key else None,
    )


def told(path: Path, shipped: Shipped) -> list[tuple[str, str]]:
    return [(finding.level, finding.field) for finding in verify(path, shipped=shipped)]


def test_what_is_as_shipped_or_of_another_name_is_not_named(factory: Any) -> None:
    path = factory.write("gti")
    factory.write("mean")
    assert verify(factory.root, shipped=as_shipped(path)) == []
    others = Shipped({"other": setting_of(name="other")}, lambda *_: pytest.fail("no record of it"))
    assert verify(factory.root, shipped=others) == []


@pytest.mark.parametrize(
    "changes",
    [{"evidence": True}, {"primary": PRIMARY}, {"extra": {"share_of_sft": 0.5}}],
)
def test_an_edited_setting_is_a_warning_and_its_rates_are_its_own(
    factory: Any, changes: dict[str, Any]
) -> None:
    path = factory.write("gti")
    tuned = MethodParameters(grounding_learning_rate=0.02)
    edited = as_shipped(path, setting_of(**changes), parameters=tuned)
    assert told(path, edited) == [("warning", "setting_hash")]
    (finding,) = verify(path, shipped=edited)
    assert "as it is shipped" in finding.expected


def test_another_primary_contrast_after_the_fact_is_another_setting(factory: Any) -> None:
    """By a changed field, with the setting's hash put right, or in all records of a setting."""
    declared = setting_of(primary=PRIMARY)
    paths = [factory.write(key, setting=declared) for key in ("gti", "mean", "random")]
    shipped = as_shipped(paths[0])
    assert verify(factory.root, shipped=shipped) == []

    def choose(content: Content) -> None:
        content["setting"]["primary"]["contrasts"][0]["b"] = "random"

    edit(paths[0], choose)
    assert {finding.field for finding in verify(paths[0])} == {"setting_hash"}
    other = setting_of(
        primary={**PRIMARY, "contrasts": [{"a": "gti", "b": "random", "claim": "texts help"}]}
    )
    factory.write("gti", setting=other)
    (found,) = verify(factory.root)
    assert (found.level, found.field) == ("error", "setting_hash (within the name)")
    for key in ("mean", "random"):
        factory.write(key, setting=other)
    assert verify(factory.root) == []
    assert told(factory.root, shipped) == [("warning", "setting_hash")] * 3


def test_the_seeds_are_the_shipped_ones_or_some_of_them(factory: Any) -> None:
    path = factory.write("gti")  # whose setting has seeds 0, 1 and 2
    assert told(path, as_shipped(path, setting_of(seeds=(0, 1, 2, 3, 4)))) == []
    fewer = as_shipped(path, setting_of(seeds=(0, 2)))
    (finding,) = verify(path, shipped=fewer)
    assert (finding.level, finding.field) == ("warning", "setting.seeds")
    assert "[1] are none of the shipped seeds" in finding.expected


def test_draws_of_semantic_ids_are_the_shipped_ones_or_some_of_them(factory: Any) -> None:
    own = setting_of(draws=(0, 1))
    path = factory.write("gti", 1, setting=own)
    assert told(path, as_shipped(path, setting_of(draws=(0, 1, 2)))) == []
    fewer = as_shipped(path, setting_of(draws=(0,)))
    assert told(path, fewer) == [("warning", "setting.semantic_ids.draws.1")]
    pins = {"0": artefact(USUAL, 0)[0].sha256, "1": "3" * 64}
    spec = own.semantic_ids.model_copy(update={"draws": pins})
    other = as_shipped(path, own.model_copy(update={"semantic_ids": spec}))
    assert told(path, other) == [
        ("warning", "setting.semantic_ids.draws.1"),
        ("warning", "inputs.semantic_ids"),
    ]


def test_a_seed_that_was_drawn_before_its_draw_was_shipped_is_held_to_it(factory: Any) -> None:
    path = factory.write("gti", 2, setting=setting_of(draws=(0, 1)))
    grown = as_shipped(path, setting_of(draws=(0, 1, 2)))
    assert told(path, grown) == []
    pins = {str(seed): artefact(USUAL, seed % 2)[0].sha256 for seed in range(3)}
    spec = setting_of(draws=(0,)).semantic_ids.model_copy(update={"draws": pins})
    other = as_shipped(path, read_record(path).setting.model_copy(update={"semantic_ids": spec}))
    assert told(path, other) == [("warning", "inputs.semantic_ids")]


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


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("group", "control", "group control"),
        ("spends", {"before": 0.5, "beside": 0.5}, "spends {'before': 0.5, 'beside': 0.5}"),
        ("version", 2, "version 2"),
    ],
)
def test_what_a_methods_hash_covers_is_told_with_both(
    factory: Any, field: str, value: object, words: str
) -> None:
    path = factory.write("gti")
    record = read_record(path)
    card: MethodCard = record.method.model_copy(update={field: value})
    (found,) = as_shipped(path).differences(record.setting, card, 0, None)
    assert (found.field, found.weight) == ("method_hash", "submission")
    assert words in found.found
    assert words not in found.wanted


@pytest.mark.parametrize(
    ("name", "value", "weight"),
    [
        ("first_rows", "drawn", "error"),
        ("stages", ("grounding_free",), "error"),
        ("directions", ("text_to_sid",), "error"),
        ("look", None, "warning"),
        ("order", 4, "warning"),
        ("contrasts", (), "warning"),
    ],
)
def test_a_shipped_methods_card_claims_what_the_shipped_one_does(
    factory: Any, name: str, value: object, weight: str
) -> None:
    path = factory.write("gti")
    record, shipped = read_record(path), as_shipped(path)

    def found(version: int) -> dict[str, Difference]:
        facts = record.method.facts
        assert facts is not None
        changes = {"facts": facts.model_copy(update={name: value}), "version": version}
        card = record.method.model_copy(update=changes)
        return {each.field: each for each in shipped.differences(record.setting, card, 0, None)}

    own = found(1)[f"method.facts.{name}"]
    assert own.weight == weight
    # An earlier version of the method may have been another.
    assert found(2)[f"method.facts.{name}"].weight == weight.replace("error", "submission")


def test_verify_refuses_a_shipped_method_that_claims_other_first_rows(factory: Any) -> None:
    path = factory.write("gti")
    shipped = as_shipped(path)
    edit(path, lambda content: content["method"]["facts"].update(first_rows="library"))
    assert ("error", "method.facts.first_rows") in told(path, shipped)
    edit(path, lambda content: content["method"]["facts"].update(first_rows="mean", order=77))
    assert told(path, shipped) == [("warning", "method.facts.order")]
