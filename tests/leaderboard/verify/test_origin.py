"""What between two runs may move a figure."""

from dataclasses import replace

import pytest

from benchmarks.perf.honest_records.writer import ENVIRONMENT
from leaderboard.records.record import read_record
from leaderboard.verify.origin import context, origin_of

PACKAGES = ENVIRONMENT["packages"]


@pytest.fixture
def origin(factory):
    return origin_of(read_record(factory.write("gti")))


def changed(origin, part, **values):
    return replace(origin, **{part: getattr(origin, part).model_copy(update=values)})


def test_the_same_origin_leaves_no_excuse(origin):
    assert context(origin, origin, None) == ()


def test_another_commit_counts_unless_no_file_of_code_changed(origin):
    other = changed(origin, "code", commit="fff0000")
    assert context(origin, other, 0) == ()
    (line,) = context(origin, other, 3)
    assert "fff0000" in line
    assert "3 files changed" in line
    assert "changes unknown" in context(origin, other, None)[0]


@pytest.mark.parametrize(
    ("part", "values", "words"),
    [
        ("code", {"commit": None}, f"commit unknown, recorded abc1234{33 * '0'}"),
        ("code", {"dirty": True}, "now uncommitted changes"),
        ("code", {"version": "0.2.0"}, "gti-bench 0.2.0, recorded 0.1.0"),
        ("environment", {"instruction_set": "AVX2"}, "instruction set AVX2, recorded unknown"),
        ("environment", {"bfloat16": "AMX"}, "bfloat16 AMX, recorded unknown"),
        ("environment", {"device": "cuda"}, "device cuda, recorded cpu"),
        ("environment", {"packages": {**PACKAGES, "scipy": "1.15"}}, "scipy 1.15, recorded absent"),
        ("environment", {"python": "3.12.1"}, "Python 3.12.1, recorded 3.11"),
    ],
)
def test_each_thing_that_differs_is_a_line(origin, part, values, words):
    assert context(origin, changed(origin, part, **values), None) == (words,)


def test_versions_of_method_and_schema_are_told(origin):
    other = replace(origin, method_version=2, schema_version=3)
    assert context(origin, other, None) == (
        "method version 2, recorded 1",
        "schema version 3, recorded 2",
    )


def test_a_commit_that_nobody_knows_is_an_excuse(origin):
    nameless = changed(origin, "code", commit=None)
    assert context(nameless, nameless, None) == ("commit unknown, recorded unknown",)
