"""Tables: what a reader sees, in every form, and from a figure back to its files."""

import csv
import dataclasses
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from leaderboard.board.board import load_leaderboards
from leaderboard.records.cells import LeaderboardError
from leaderboard.records.record import read_record
from leaderboard.render import numbers
from leaderboard.render.board_tables import cost_table, new_rows_table, render, score_table
from leaderboard.render.explain import explain
from leaderboard.render.learning import learning_table
from leaderboard.render.sentences import NO_EVIDENCE, verdict, verdicts


@pytest.fixture
def board(whole_board: Path) -> Any:
    return load_leaderboards([whole_board]).boards[0]


def test_figures_are_written_as_the_field_writes_them() -> None:
    assert numbers.score(0.0402) == ".0402"
    assert numbers.score(-0.00214) == "-.0021"
    assert numbers.score(1.0) == "1.0000"
    assert numbers.score(-0.00001) == ".0000"
    assert numbers.score(None) == "–"
    assert numbers.signed(0.0021) == "+.0021"
    assert numbers.signed(-0.005) == "-.0050"
    assert numbers.p_value(0.55) == ".55"
    assert numbers.p_value(0.0131) == ".013"
    assert numbers.p_value(0.0001) == "< .001"
    assert numbers.p_value(1.0) == "1.00"
    assert numbers.duration(48.2) == "48 s"
    assert numbers.duration(192) == "3.2 min"
    assert numbers.duration(5400 * 2) == "3.0 h"
    assert numbers.flops(1.234e13) == "12.3 T"
    assert numbers.flops(5) == "5"


def test_the_terminal_form_is_aligned_and_says_it_all(board: Any) -> None:
    text = render(board, "terminal")
    lines = text.splitlines()
    assert "toy · test ndcg@10 · 60 users · seeds 0, 1, 2 · protocol 2" in lines[0]
    assert NO_EVIDENCE in text
    start = next(i for i, line in enumerate(lines) if line.strip().startswith("method"))
    table = lines[start : lines.index("", start)]
    assert len({len(line) for line in table}) == 1
    assert max(map(len, lines)) <= 120
    names = [line.split()[0] for line in table[2:] if not line.strip().startswith("---")]
    assert [name.strip("()") for name in names] == [row.key for row in board.rows]
    for row in board.rows:
        shown = next(line for line in table[2:] if line.split()[0] == _shown(row))
        assert numbers.score(row.means["ndcg@10"]) in shown
        assert (f"({row.key})" in shown) == (row.kind == "reference")
    assert "can be shown" in text


def test_references_are_set_off_by_rules(board: Any) -> None:
    lines = render(board, "terminal").splitlines()
    for row, before in zip(board.rows[1:], board.rows, strict=False):
        place = next(i for i, line in enumerate(lines) if line.split()[:1] == [_shown(row)])
        assert lines[place - 1].strip().startswith("---") == (row.kind != before.kind)


def _shown(row: Any) -> str:
    return f"({row.key})" if row.kind == "reference" else row.key


def test_an_evidence_board_does_not_carry_the_disclaimer(board: Any) -> None:
    assert NO_EVIDENCE not in render(dataclasses.replace(board, evidence=True))


def test_the_verdict_is_said_in_words(factory: Any) -> None:
    factory.board({"mean": 0.2, "lc_rec": 0.7, "random": 0.2}, users=400)
    board = load_leaderboards([factory.root]).boards[0]
    better, unseen = verdicts(board)
    assert better.startswith("lc_rec is better than mean: +.")
    assert "3 seeds × 400 users" in better
    assert unseen.startswith("No difference between random and mean can be shown: ")
    assert (
        "with 3 seeds × 400 users the smallest difference that could be seen is about ." in unseen
    )


def test_a_verdict_on_one_seed_begins_with_the_seed(factory: Any) -> None:
    factory.board({"mean": 0.2}, users=400)
    factory.write("lc_rec", 1, skill=0.7, users=400)
    (sentence,) = verdicts(load_leaderboards([factory.root]).boards[0])
    assert sentence.startswith("At seed 1 alone: lc_rec is better than mean: +.")
    assert sentence.endswith("; conditional on one seed: it says nothing about another.")


def test_what_cannot_be_seen_at_all_is_not_given_a_size(board: Any) -> None:
    row = board.row("lc_rec")
    for smallest, needed, expected in (
        (
            0.04,
            6,
            "could be seen is about .0400, and one as large as that found would take 6 seeds.",
        ),
        (1.35, 6, "can show no difference here after correction, and one as large as that found"),
        (0.04, None, ", and one as large as that found needs more users, not only more seeds."),
        (0.04, row.difference.estimate.num_seeds, "could be seen is about .0400."),
    ):
        unseen = dataclasses.replace(
            row.difference, verdict="not shown", smallest=smallest, seeds_needed=needed
        )
        sentence = verdict(dataclasses.replace(row, difference=unseen, under_trained=()))
        assert expected in sentence
        assert "1.35" not in sentence


def test_the_parts_of_the_variance_are_told_under_the_whole_board_only(board: Any) -> None:
    first = next(row for row in board.rows if row.kind == "cell")
    share = 100 * first.score.components.share_users
    assert f"Of the variance of {first.key}'s ndcg@10, " in render(board, "md")
    assert f" {share:.0f} % from users" in render(board, "md")
    assert "Of the variance" not in render(board, "brief")


def test_marks_are_explained(factory: Any) -> None:
    factory.board({"popularity": 0.8, "mean": 0.1, "gti": 0.1}, seeds=(0,))
    text = render(load_leaderboards([factory.root]).boards[0])
    assert "gti†‡" in text
    assert "† under-trained: recall@10 below popularity's; supports no claim" in text
    assert "‡ provisional" in text
    assert "gti lacks seeds 1, 2" in " ".join(text.split())
    assert "conditional on one seed" in text
    assert "gti is under-trained and supports no claim" in " ".join(text.split())


def test_a_figure_is_sorted_by_what_it_says(board: Any) -> None:
    read = 0
    for table, keys, place, error in (
        (score_table(board), ("score", "interval", "difference", "difference_interval"), 0, 5e-5),
        (new_rows_table(board), ("rsa", "cosine", "text_affinity"), -1, 5e-3),
        (learning_table(board), ("start", "end", "difference"), 0, 5e-5),
    ):
        for entry in (entry for key in keys for entry in table.entries(key)):
            if found := re.findall(r"[-+]?\d*\.\d+", entry.text):
                read += 1
                assert float(found[place]) == pytest.approx(entry.value, abs=1.01 * error)
    assert read > 40


def test_what_is_forgotten_and_what_was_computed_stand_in_columns(factory: Any) -> None:
    factory.board(("mean", "lc_rec"), seeds=(0,))
    for seed, (before, after) in enumerate(((1.25, 1.5), (1.25, 2.0))):
        kept = {"pages": "0" * 64, "characters": 900, "before": before, "after": after}
        factory.write("random", seed, retention=kept)
    board = load_leaderboards([factory.root]).boards[0]
    rows = {line.key: line.entries for line in new_rows_table(board).lines}
    assert rows["random"]["retained"].text == "1.25 → 1.75"
    columns = cost_table(board)
    costs = {line.key: line.entries for line in columns.lines}
    found = {key: read_record(board.row(key).paths[0]).cost["sft"] for key in ("mean", "lc_rec")}
    ratio = found["lc_rec"].actual_flops / found["mean"].actual_flops
    assert costs["lc_rec"]["actual"].text.endswith(f"(× {ratio:.2f})")
    assert costs["mean"]["actual"].text.endswith("(× 1.00)")
    assert columns["flops"].name == "nominal FLOPs"
    assert "Budgets are equal in nominal FLOPs" in " ".join(render(board).split())
    lines = {line["method"]: line for line in csv.DictReader(io.StringIO(render(board, "csv")))}
    assert float(lines["random"]["bits_per_char_after"]) == 1.75
    assert float(lines["random"]["bits_per_char_before"]) == 1.25


def test_csv_and_json_hold_every_digit(board: Any) -> None:
    rows = list(csv.DictReader(io.StringIO(render(board, "csv"))))
    content = json.loads(render(board, "json"))
    assert [row["method"] for row in rows] == [row.key for row in board.rows]
    for line, stored, row in zip(rows, content["rows"], board.rows, strict=True):
        assert float(line["ndcg@10"]) == stored["means"]["ndcg@10"] == row.means["ndcg@10"]
        if row.difference is not None:
            assert float(line["difference_low"]) == row.difference.estimate.low
            assert stored["difference"]["smallest"] == row.difference.smallest
        if row.kind == "reference":
            empty = ("p", "p_corrected", "smallest_visible", "seeds_needed")
            assert [line[name] for name in empty] == [""] * 4
        parts = row.score.components
        found = line["share_seeds"], line["difference_sd_users"]
        assert stored["score"]["components"] == (parts and dataclasses.asdict(parts))
        assert found[0] == ("" if parts is None else str(parts.share_seeds))
        assert (found[1] == "") == (row.difference is None or not row.difference.seeds)
    assert content["notes"][0] == NO_EVIDENCE


def test_the_brief_form_is_the_first_table_of_markdown_and_who_can_be_told_from_mean(
    board: Any,
) -> None:
    whole, brief = (render(board, form).split("\n\n") for form in ("md", "brief"))
    assert brief[: len(brief) - 2] == whole[: len(brief) - 2]
    assert sum(part.startswith("| method") for part in brief) == 1
    told = [line.removeprefix("- ") for line in brief[-2].splitlines() if line.startswith("- ")]
    cells = [row.key for row in board.rows if row.kind == "cell" and row.key != "mean"]
    untold = [line.partition("can be shown for ")[2] for line in told]
    named = [key for keys in untold if keys for key in keys.rstrip(".").split(", ")]
    for line, keys in zip(told, untold, strict=True):
        if not keys:
            named.append(line.removeprefix("No verdict on ").split()[0])
    assert sorted(named) == sorted(cells)
    assert "Holm-corrected" in brief[-1]
    assert "Learning" not in brief[-1]


def test_markdown_has_one_column_count_per_table(board: Any) -> None:
    tables = [block for block in render(board, "md").split("\n\n") if block.startswith("|")]
    assert len(tables) == 4
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_latex_is_a_booktabs_table_without_bare_markup(board: Any) -> None:
    text = render(board, "latex")
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule"))
    assert r"lc\_rec" in text
    assert "±" not in text
    assert text.isascii()
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len({line.count(" & ") for line in rows}) == 1


def test_equal_records_give_equal_tables(whole_board: Path) -> None:
    forms: Any = ("terminal", "md", "csv", "json", "latex")
    boards = [load_leaderboards([whole_board]).boards[0] for _ in range(2)]
    once, again = ([render(board, form) for form in forms] for board in boards)
    assert once == again


def test_another_metric_sorts_the_board(whole_board: Path) -> None:
    board = load_leaderboards([whole_board], metric="recall@20").boards[0]
    means = [row.means["recall@20"] for row in board.rows]
    assert means == sorted(means, reverse=True)
    assert "test recall@20" in render(board)


def test_an_unknown_metric_is_one_clear_line(whole_board: Path) -> None:
    (line,) = load_leaderboards([whole_board], metric="ndcg@7").refused
    assert "toy is not scored at ndcg@7; its metrics are recall, ndcg, mrr at 1, 5, 10, 20" in line


def test_explain_leads_from_a_figure_to_its_files(board: Any) -> None:
    row = board.row("gti")
    text = "\n".join(explain(board, "gti"))
    for path in row.paths.values():
        record = json.loads(path.read_text())
        for part in (str(path), record["digest"], record["files"]["ranks"], record["cell_hash"]):
            assert part in text
    assert str(row.paths[1]) in "\n".join(explain(board, "gti/seed-1"))
    assert str(row.paths[0]) not in "\n".join(explain(board, "gti/seed-1"))
    with pytest.raises(LeaderboardError, match="gti has seed-0, seed-1, seed-2"):
        explain(board, "gti/seed-9")
