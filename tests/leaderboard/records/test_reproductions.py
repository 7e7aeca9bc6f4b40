"""Reproductions: written whole, read back, checked, and shown on the board."""

import json
import shutil

import pytest

from benchmarks.perf.honest_records.reproductions import equivalent_line, exact_line
from leaderboard.board.board import load_leaderboards
from leaderboard.records.record import RecordError, read_record
from leaderboard.records.reproductions import (
    append_reproduction,
    parse_reproduction,
    read_reproductions,
    reproductions_path,
)
from leaderboard.render.board_tables import render
from leaderboard.render.export import board_content
from leaderboard.verify.verify import verify


@pytest.fixture
def results(whole_board, tmp_path):
    """A copy of the whole board."""
    return shutil.copytree(whole_board, tmp_path / "results")


@pytest.fixture
def record(results):
    return results / "toy" / "gti" / "seed-0.json"


def errors(path):
    return [finding for finding in verify(path) if finding.level == "error"]


def test_lines_are_appended_and_read_back_in_order(record):
    lines = [exact_line(record), equivalent_line(record, who=None)]
    for line in lines:
        path = append_reproduction(record, line)
    assert path.name == "seed-0.reproductions.jsonl"
    assert read_reproductions(record, read_record(record).digest) == lines
    assert len(path.read_text().splitlines()) == 2


def test_lines_of_another_record_do_not_count(record):
    append_reproduction(record, exact_line(record))
    assert read_reproductions(record, "0" * 64) == []


def test_a_broken_line_is_passed_over_by_readers_and_named_by_verify(record, results):
    append_reproduction(record, exact_line(record))
    path = reproductions_path(record)
    path.write_text('{"schema_version": 1\n' + path.read_text())
    assert len(read_reproductions(record, read_record(record).digest)) == 1
    (found,) = errors(results)
    assert "line 1" in found.field
    assert "not valid JSON" in found.found


def test_a_newer_schema_and_an_unknown_field_are_refused(record):
    content = exact_line(record).model_dump(mode="json")
    with pytest.raises(RecordError, match="newer than this code's 1; update"):
        parse_reproduction(json.dumps({**content, "schema_version": 2}), "here")
    with pytest.raises(RecordError, match="here: field more"):
        parse_reproduction(json.dumps({**content, "more": 1}), "here")


def test_honest_lines_pass_verification(record, results):
    append_reproduction(record, exact_line(record))
    append_reproduction(record, equivalent_line(record, 0.005))
    assert verify(results) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"record": "0" * 64}, "record"),
        ({"ranks_sha256": "0" * 64}, "ranks_sha256 (exact)"),
        ({"new_rows_sha256": "0" * 64}, "new_rows_sha256 (exact)"),
        ({"differing": ("ranks",)}, "differing (exact)"),
        ({"same_rows": 5}, "same_rows (exact)"),
        ({"num_rows": 121, "same_rows": 121}, "num_rows"),
        ({"outcome": "undecided"}, "outcome"),
        (
            {"scores": {"metric": "ndcg@10", "recorded": 0.9, "again": 0.9}},
            "scores.recorded",
        ),
    ],
)
def test_a_claim_that_the_record_denies_is_an_error(record, results, change, field):
    append_reproduction(record, exact_line(record, **change))
    found = errors(results)
    assert [finding.field for finding in found] == [f"seed-0.reproductions.jsonl line 1, {field}"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"spread": None}, "spread"),
        ({"context": ()}, "context (equivalent)"),
        ({"shift": 0.9}, "scores.again (equivalent)"),
    ],
)
def test_equivalence_without_grounds_is_an_error(record, results, change, field):
    append_reproduction(record, equivalent_line(record, **change))
    (found,) = errors(results)
    assert found.field.endswith(f", {field}")


BAND = {"center": 0.5, "half_width": 1.0}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"recorded": BAND}, "spread.recorded.center"),
        ({"swapped": BAND}, "spread.swapped.center"),
        ({"seeds": (0, 1, 7)}, "spread.seeds"),
        ({"seeds": (1, 2, 3)}, "spread.seeds"),
    ],
)
def test_a_line_that_brings_its_own_band_or_seeds_is_found(record, results, change, field):
    honest = equivalent_line(record, 0.001)
    spread = honest.spread.model_dump() | change
    append_reproduction(record, equivalent_line(record, 0.001, spread=spread))
    assert any(found.field.endswith(f", {field}") for found in errors(results))


@pytest.mark.parametrize("band", ["recorded", "swapped"])
def test_a_band_that_was_widened_is_found(record, results, band):
    spread = equivalent_line(record, 0.001).spread.model_dump()
    spread[band]["half_width"] *= 20
    append_reproduction(record, equivalent_line(record, 0.001, spread=spread))
    (found,) = errors(results)
    assert found.field.endswith(f"spread.{band}.half_width")


def test_a_run_from_the_future_and_one_told_twice_are_found(record, results):
    append_reproduction(record, exact_line(record))
    append_reproduction(record, exact_line(record, who="Another"))
    append_reproduction(record, exact_line(record, when="2199-01-01T00:00:00Z", seconds=2.5))
    assert [each.field.partition("jsonl ")[2] for each in errors(results)] == [
        "line 2",
        "line 3, when",
    ]


def test_a_rerun_that_failed_is_a_warning_and_an_orphan_too(record, results):
    append_reproduction(record, equivalent_line(record, 0.5, outcome="different"))
    (found,) = verify(results)
    assert found.level == "warning"
    assert "A. Reader did not reproduce it" in found.found
    reproductions_path(record).rename(record.with_name("seed-9.reproductions.jsonl"))
    (found,) = verify(results)
    assert found.found == "no record beside it"


def board_of(results):
    (board,) = load_leaderboards([results]).boards
    return board


def test_the_board_says_nothing_where_nobody_ran_it_again(results):
    board = board_of(results)
    assert "eproduced" not in render(board, "md")
    assert {row["state"] for row in board_content(board)["rows"]} == {"claimed"}


def test_the_board_says_how_many_seeds_were_reproduced_how_and_by_whom(results):
    folder = results / "toy" / "gti"
    for seed in (0, 1):
        append_reproduction(folder / f"seed-{seed}.json", exact_line(folder / f"seed-{seed}.json"))
    board = board_of(results)
    assert "Reproduced by rerun: gti 2 of 3 seeds exactly (toy, by A. Reader)." in render(board)
    assert board.row("gti").standing.state == "claimed"
    append_reproduction(folder / "seed-2.json", equivalent_line(folder / "seed-2.json"))
    append_reproduction(folder / "seed-1.json", equivalent_line(folder / "seed-1.json"))
    board = board_of(results)
    standing = board.row("gti").standing
    assert (standing.exactly, standing.equivalently) == ((0, 1), (2,))
    assert standing.state == "reproduced"
    assert "2 of 3 seeds exactly, 1 of 3 seeds equivalently" in render(board, "md")
    (row,) = [row for row in board_content(board)["rows"] if row["key"] == "gti"]
    assert row["state"] == "reproduced"
    assert row["standing"]["last"] == "2026-11-22T05:00:00Z"


def test_one_failed_rerun_stays_on_the_board_whatever_others_found(results, record):
    for seed in (0, 1, 2):
        path = record.with_name(f"seed-{seed}.json")
        append_reproduction(path, exact_line(path))
    append_reproduction(record, equivalent_line(record, 0.5, outcome="different"))
    board = board_of(results)
    assert board.row("gti").standing.state == "claimed"
    assert "but NOT in a rerun of seed 0" in render(board)
