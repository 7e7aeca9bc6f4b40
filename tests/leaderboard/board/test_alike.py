"""What else two methods differ in: rates of common stages, numbers, machines and inputs."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.perf.honest_records.writer import ENVIRONMENT
from leaderboard.board.alike import differences
from leaderboard.records.canonical import digest_of
from leaderboard.records.record import Record, read_record


def records(*paths: Path) -> list[Record]:
    return [read_record(path) for path in paths]


def test_methods_of_one_setting_computed_alike_do_not_differ(factory: Any) -> None:
    own = {key: records(*(factory.write(key, s) for s in (0, 1))) for key in ("mean", "gti")}
    # gti spends the extra budget and mean does not: that is part of the methods.
    assert own["gti"][0].method.spends != own["mean"][0].method.spends
    assert differences(own["gti"], own["mean"]) == ()


@pytest.mark.parametrize(
    ("a", "b", "parameters", "told"),
    [
        ("gti", "mean", {"sft_learning_rate": 0.5}, ("SFT rate differs (0.5 against 0.001)",)),
        ("gti", "mean", {"sft_learning_rate": 0.001}, ()),
        ("gti", "mean", {"grounding_learning_rate": 0.5}, ()),
        (
            *("gti", "gti_shuffled", {"grounding_learning_rate": 0.5}),
            ("grounding rate differs (0.5 against 0.001)",),
        ),
        ("lc_rec", "mean", {"auxiliary_loss_weight": 0.5}, ()),
        (
            *("lc_rec", "gti_lc_rec", {"auxiliary_loss_weight": 0.5}),
            ("weight of alignment tasks differs (0.5 against 1.0)",),
        ),
    ],
)
def test_a_rate_counts_where_both_methods_have_the_stage(
    factory: Any, a: str, b: str, parameters: dict[str, float], told: tuple[str, ...]
) -> None:
    # The writer's sketch of gti_lc_rec spends nothing: the method spends half before, half beside.
    spends = {"spends": {"before": 0.5, "beside": 0.5}} if b == "gti_lc_rec" else {}
    one = records(factory.write(a, parameters=parameters))
    assert differences(one, records(factory.write(b, **spends))) == told


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"dtype": "bfloat16"}, "dtype differs (bfloat16 against float32)"),
        ({"instruction_set": "AVX512"}, "device differs (cpu, AVX512 against cpu, toy)"),
        ({"device": "cuda", "machine": "H200"}, "device differs (cuda, H200 against cpu, toy)"),
        (
            {"packages": {**ENVIRONMENT["packages"], "torch": "2.9"}},
            "version of torch differs (2.9 against 2.6.0)",
        ),
    ],
)
def test_numbers_machines_and_versions_count(
    factory: Any, changed: dict[str, Any], told: str
) -> None:
    one = records(factory.write("random", environment={**ENVIRONMENT, **changed}))
    assert differences(one, records(factory.write("mean"))) == (told,)


def test_machines_are_pooled_over_seeds_and_inputs_compared_seed_by_seed(factory: Any) -> None:
    other = {**ENVIRONMENT, "instruction_set": "AVX2"}
    one = records(factory.write("mean", 0), factory.write("mean", 1, environment=other))
    two = records(factory.write("random", 0, environment=other), factory.write("random", 1))
    assert differences(one, two) == ()
    draws = [digest_of(draw) for draw in "ab"]
    one, two = ([with_ids(*each) for each in zip(side, draws, strict=True)] for side in (one, two))
    assert differences(one, two) == ()
    swapped = [with_ids(*each) for each in zip(two, draws[::-1], strict=True)]
    assert differences(one, swapped) == ("input semantic_ids differs (at seeds 0, 1)",)


def with_ids(record: Record, sha256: str) -> Record:
    """`record` as if it had been computed from other Semantic IDs."""
    inputs = record.inputs.model_copy(update={"semantic_ids": sha256})
    return record.model_copy(update={"inputs": inputs})
