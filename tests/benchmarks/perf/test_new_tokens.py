"""The three programs that learn new tokens, run for real, and what is read of what they saved."""

import json
from pathlib import Path

import pytest

from benchmarks.perf.new_tokens.__main__ import (
    PROGRAMS,
    Outcome,
    ProgramError,
    lines_of_code,
    run,
    table,
)

NANO = str(Path(__file__).parents[3] / "benchmarks/nano")
PAIRS = [(f"<item_{number}>", text) for number, text in enumerate(
    ["a red hammer", "the green garden hose", "one blue shirt", "a comedy of two brothers"]
)]  # fmt: skip


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps(PAIRS), encoding="utf-8")
    return path


OURS, *OTHERS = PROGRAMS


@pytest.mark.parametrize(
    "way", [OURS, *(pytest.param(way, marks=pytest.mark.slow) for way in OTHERS)]
)
def test_each_program_saves_a_model_that_learnt_its_tokens_and_moved_nothing_else(
    way: str, pairs: Path, tmp_path: Path
) -> None:
    outcome = run(way, NANO, pairs, tmp_path / "out")
    assert (outcome.text_rows, outcome.weights) == (0, 0)
    assert outcome.nll < 10.0  # 13 with the rows that all begin with
    assert outcome.seconds > 0.5
    assert outcome.peak > 100 * 2**20


def test_a_program_that_fails_is_told_with_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"with_gti\.py: .*nothing\.json"):
        run(OURS, NANO, tmp_path / "nothing.json", tmp_path / "out")


SOURCE = '''"""What it is

about."""

import sys  # why

# A thought.
def f():
    """Says."""
    return {
        1: 2,
    }
'''


def test_lines_are_those_of_code() -> None:
    assert lines_of_code(SOURCE) == 5


def test_the_table_has_a_row_for_each_program() -> None:
    one = Outcome("a way", 12, 3.4, 2**30, 7, 0, 1.234, 0.5)
    cells = [cell.strip() for cell in table([one]).splitlines()[-1].strip("|").split("|")]
    assert cells == ["a way", "12", "3", "1,024", "7", "0", "1.23", "0.50"]
