"""Reproductions: written whole, read back, checked, and shown on the board."""

import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest

from leaderboard.board.board import load_leaderboards
from leaderboard.metrics.metrics import per_user
from leaderboard.records.ranks import read_ranks
from leaderboard.records.record import RecordError, ranks_path, read_record
from leaderboard.records.reproductions import (
    Reproduction,
    append_reproduction,
    parse_reproduction,
    read_reproductions,
    reproductions_path,
)
from leaderboard.render.board_tables import render
from leaderboard.render.export import board_content
from leaderboard.statistics.agreement import ranks_sha256, rows_sha256, spread_of
from leaderboard.verify.verify import verify


def line_for(path, **changes):
    """An honest exact reproduction of the record at `path`, with `changes`."""
    record = read_record(path)
    ranks = read_ranks(ranks_path(path))
    score = record.metrics["test"]["ndcg@10"]
    content = {
        "schema_version": 1,
        "record": record.digest,
        "who": "A. Reader",
        "when": "2026-11-22T05:00:00Z",
        "outcome": "exact",
        "differing": (),
        "context": (),
        "scores": {"metric": "ndcg@10", "recorded": score, "again": score},
        "spread": None,
        "num_rows": len(ranks),
        "same_rows": len(ranks),
        "ranks_sha256": ranks_sha256(ranks),
        "new_rows_sha256": rows_sha256(record),
        "environment": record.environment.model_dump(),
        "code": record.code.model_dump(),
        "seconds": 1.5,
    }
    return Reproduction.model_validate({**content, **changes})


def scores_of(path):
    """[users] the main score of the record at `path`."""
    return per_user(read_ranks(ranks_path(path)).of_split("test"), "ndcg@10")[1]


def equivalent(path, shift=0.0, **changes):
    """An honest equivalent one, whose score lies `shift` from the recorded."""
    score = read_record(path).metrics["test"]["ndcg@10"]
    values = np.stack([scores_of(path.with_name(f"seed-{seed}.json")) for seed in (0, 1, 2)])
    seed = int(path.stem.removeprefix("seed-"))
    again = values[seed] + shift
    spread = spread_of(values, (0, 1, 2), seed, again)
    return line_for(
        path,
        **{
            "outcome": "equivalent",
            "differing": ("ranks",),
            "context": ("instruction set AVX2, recorded AVX512",),
            "scores": {"metric": "ndcg@10", "recorded": score, "again": score + shift},
            "spread": asdict(spread),
            "ranks_sha256": "1" * 64,
            "same_rows": 3,
            **changes,
        },
    )


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
    lines = [line_for(record), equivalent(record, who=None)]
    for line in lines:
        path = append_reproduction(record, line)
    assert path.name == "seed-0.reproductions.jsonl"
    assert read_reproductions(record, read_record(record).digest) == lines
    assert len(path.read_text().splitlines()) == 2


def test_lines_of_another_record_do_not_count(record):
    append_reproduction(record, line_for(record))
    assert read_reproductions(record, "0" * 64) == []


def test_a_broken_line_is_passed_over_by_readers_and_named_by_verify(record, results):
    append_reproduction(record, line_for(record))
    path = reproductions_path(record)
    path.write_text('{"schema_version": 1\n' + path.read_text())
    assert len(read_reproductions(record, read_record(record).digest)) == 1
    (found,) = errors(results)
    assert "line 1" in found.field
    assert "not valid JSON" in found.found


def test_a_newer_schema_and_an_unknown_field_are_refused(record):
    content = line_for(record).model_dump(mode="json")
    with pytest.raises(RecordError, match="newer than this code's 1; update"):
        parse_reproduction(json.dumps({**content, "schema_version": 2}), "here")
    with pytest.raises(RecordError, match="here: field more"):
        parse_reproduction(json.dumps({**content, "more": 1}), "here")


def test_honest_lines_pass_verification(record, results):
    append_reproduction(record, line_for(record))
    append_reproduction(record, equivalent(record, 0.005))
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
    append_reproduction(record, line_for(record, **change))
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
    append_reproduction(record, equivalent(record, **change))
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
    honest = equivalent(record, 0.001)
    spread = honest.spread.model_dump() | change
    append_reproduction(record, equivalent(record, 0.001, spread=spread))
    assert any(found.field.endswith(f", {field}") for found in errors(results))


@pytest.mark.parametrize("band", ["recorded", "swapped"])
def test_a_band_that_was_widened_is_found(record, results, band):
    spread = equivalent(record, 0.001).spread.model_dump()
    spread[band]["half_width"] *= 20
    append_reproduction(record, equivalent(record, 0.001, spread=spread))
    (found,) = errors(results)
    assert found.field.endswith(f"spread.{band}.half_width")


def test_a_run_from_the_future_and_one_told_twice_are_found(record, results):
    append_reproduction(record, line_for(record))
    append_reproduction(record, line_for(record, who="Another"))
    append_reproduction(record, line_for(record, when="2199-01-01T00:00:00Z", seconds=2.5))
    assert [each.field.partition("jsonl ")[2] for each in errors(results)] == [
        "line 2",
        "line 3, when",
    ]


def test_a_rerun_that_failed_is_a_warning_and_an_orphan_too(record, results):
    append_reproduction(record, equivalent(record, 0.5, outcome="different"))
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
        append_reproduction(folder / f"seed-{seed}.json", line_for(folder / f"seed-{seed}.json"))
    board = board_of(results)
    assert "Reproduced by rerun: gti 2 of 3 seeds exactly (toy, by A. Reader)." in render(board)
    assert board.row("gti").standing.state == "claimed"
    append_reproduction(folder / "seed-2.json", equivalent(folder / "seed-2.json"))
    append_reproduction(folder / "seed-1.json", equivalent(folder / "seed-1.json"))
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
        append_reproduction(path, line_for(path))
    append_reproduction(record, equivalent(record, 0.5, outcome="different"))
    board = board_of(results)
    assert board.row("gti").standing.state == "claimed"
    assert "but NOT in a rerun of seed 0" in render(board)
