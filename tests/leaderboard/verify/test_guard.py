"""Bad records hurt nobody: each is a finding that names it, and the others are reported."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.cli.app import exit_code
from benchmarks.perf.honest_records.edits import edit
from leaderboard.board.board import load_leaderboards
from leaderboard.records.record import diagnostics_path, ranks_path, record_path
from leaderboard.records.reproductions import reproductions_path
from leaderboard.verify.findings import Finding, Report
from leaderboard.verify.guard import guarded
from leaderboard.verify.verify import verify

MUTANTS = int(os.environ.get("GTI_BENCH_MUTANTS", "12"))
"""Records mutated in one test run; the variable asks for more."""
POISON: list[Any] = [
    None, True, 0, -1, 1, 10**8, 10**30, -0.5, 1e39, 1e300, float("nan"), "", "x", "\x1b[2J",
    "\ud83c", "9" * 5000, [], {}, [None], {"x": 1}, [[[]]],
]  # fmt: skip


def places(content: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in the record's JSON there is a value."""
    inner = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in inner:
        yield (*at, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*at, key))


def poisoned(content: Any, at: tuple[Any, ...], value: Any, *, gone: bool) -> None:
    """Puts `value` at a place, or takes what is there away."""
    for key in at[:-1]:
        content = content[key]
    if gone:
        del content[at[-1]]
    else:
        content[at[-1]] = value


@pytest.fixture(scope="module")
def pair(whole_board: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole board's records of two methods."""
    root = tmp_path_factory.mktemp("poison") / "results"
    shutil.copytree(whole_board, root)
    return root


def test_mutated_records_are_findings_and_the_others_are_reported(pair: Path) -> None:
    path = record_path(pair, "toy", "gti", 1)
    honest = path.read_bytes()
    there = sorted(places(json.loads(honest)), key=str)

    @settings(
        max_examples=MUTANTS, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(st.sampled_from(there), st.sampled_from(POISON), st.booleans(), st.booleans())
    def hold(at: tuple[Any, ...], value: Any, gone: bool, fix_digest: bool) -> None:
        def change(content: Any) -> None:
            poisoned(content, at, value, gone=gone)

        fixed = fix_digest
        try:
            edit(path, change, fix_digest=fix_digest)
        except ValueError:  # no canonical form, so no digest either
            fixed = False
            edit(path, change, fix_digest=False)
        try:
            # As text: to Python true is 1.0.
            now, then = (json.dumps(json.loads(each)) for each in (path.read_bytes(), honest))
            changed = now != then
            found = verify(path)
            assert found == [] if not changed else found or fixed
            for finding in found:
                assert finding.file == str(path)
                assert "\x1b" not in str(finding)
            boards = load_leaderboards([pair])
            assert boards.boards or boards.refused
        finally:
            path.write_bytes(honest)

    hold()


def test_no_reader_of_mutated_records_has_a_traceback(
    pair: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = record_path(pair, "toy", "gti", 1)
    honest = path.read_bytes()
    there = sorted(places(json.loads(honest)), key=str)
    out, results = str(tmp_path / "out"), ("--results", str(pair))
    readers = [
        ("table", *results),
        ("table", "toy", *results, "--explain", "gti/seed-1"),
        ("contrasts", "toy", *results),
        ("compare", "gti", "mean", "--setting", "toy", *results),
        ("summary", *results),
        ("structure", *results, "--out", f"{out}/figures"),
        ("claims", *results),
        ("diagnose", "toy", *results, "--out", f"{out}/figures"),
        ("export", "--format", "every-eval-ever", *results, "--out", f"{out}/logs"),
        ("site", *results, "--out", f"{out}/site"),
    ]

    @settings(
        max_examples=max(1, MUTANTS // 12),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(st.sampled_from(there), st.sampled_from(POISON), st.booleans())
    def hold(at: tuple[Any, ...], value: Any, gone: bool) -> None:
        def change(content: Any) -> None:
            poisoned(content, at, value, gone=gone)

        try:
            try:
                edit(path, change)
            except ValueError:  # no canonical form, so no digest either
                edit(path, change, fix_digest=False)
            for asked in readers:
                assert exit_code(list(asked)) in (0, 1, 2, 10, 11), asked
                told = capsys.readouterr()
                assert "Traceback" not in told.out + told.err
        finally:
            path.write_bytes(honest)
            shutil.rmtree(out, ignore_errors=True)

    hold()


def test_a_record_that_no_board_can_be_made_of_is_left_out_by_name(pair: Path) -> None:
    path = record_path(pair, "toy", "gti", 1)
    honest = path.read_bytes()
    try:
        edit(path, lambda content: content["metrics"].pop("test"))
        boards = load_leaderboards([pair])
        assert any(str(path) in note for note in boards.notes)
        assert "gti" in [row.key for row in boards.boards[0].rows]
        assert any(str(path) == finding.file for finding in verify(pair))
    finally:
        path.write_bytes(honest)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_among_records_is_a_finding(pair: Path) -> None:
    pipe = record_path(pair, "toy", "gti", 77)
    os.mkfifo(pipe)
    try:
        (finding,) = [each for each in verify(pair) if each.file == str(pipe)]
        assert "not a regular file" in finding.found
    finally:
        pipe.unlink()


@pytest.mark.parametrize("sidecar", [ranks_path, diagnostics_path, reproductions_path, Path])
def test_a_terabyte_of_nothing_is_a_finding_and_holds_nobody_up(
    pair: Path, tmp_path: Path, sidecar: Callable[[Path], Path]
) -> None:
    root = shutil.copytree(pair, tmp_path / "results")
    path = record_path(root, "toy", "gti", 1)
    with sidecar(path).open("wb") as file:
        file.truncate(1 << 40)
    assert any("1,099,511,627,776 bytes" in finding.found for finding in verify(root))
    boards = load_leaderboards([root])
    named = any(path.stem in note for note in boards.notes)
    assert named or sidecar is reproductions_path


def test_a_check_that_fails_is_a_finding_of_its_own() -> None:
    findings: list[Finding] = []

    def check_nothing(value: int) -> float:
        return 1 / value

    assert guarded(Report("a.json", findings), check_nothing, 2) == 0.5
    assert guarded(Report("a.json", findings), check_nothing, 0) is None
    (finding,) = findings
    assert (finding.level, finding.file, finding.field) == ("error", "a.json", "(nothing)")
    assert "ZeroDivisionError" in finding.found
