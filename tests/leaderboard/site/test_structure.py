"""The page about structure: the words and numbers of `gti-bench structure`, and its figure."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.perf.honest_records.by_hand import card_by_hand
from leaderboard.board.method_rows import STAGES
from leaderboard.board.structure import NUMBERS, Points, associations, points_of
from leaderboard.records.cells import load_cells
from leaderboard.render.structure import NAMES, structure_json, structure_lines
from leaderboard.site.build import build_site
from leaderboard.site.structure import structure_of


def points_in(settings: tuple[str, ...], methods: int, seed: int = 0) -> Points:
    """Cells of as many methods in each setting; the score rises with each number at init."""
    generator = np.random.default_rng(seed)
    labels = [(name, f"m{place}") for name in settings for place in range(methods)]
    scores = generator.random(len(labels))
    return Points(
        "ndcg@10",
        tuple(name for name, _ in labels),
        tuple(key for _, key in labels),
        {key: card_by_hand(key) for key in (label[1] for label in labels)},
        (0,) * len(labels),
        scores,
        {
            (stage, name): scores * 3 if stage == "init" else np.full(len(labels), np.nan)
            for stage in STAGES
            for name in NUMBERS
        },
        random={},
        references=len(settings),
        under_trained=1,
        without_score=0,
        unjudged=(),
    )


def signs(drawing: str) -> dict[str, list[tuple[float, float]]]:
    """Method → where its signs stand in a panel."""
    return {
        key: [(float(x), float(y)) for x, y in re.findall(r"translate\(([\d.]+),([\d.]+)\)", group)]
        for key, group in re.findall(r'data-method="(\w+)">(.*?)</g>', drawing)
    }


def test_too_few_methods_are_said_in_the_words_of_the_command(
    pages: Any, hostile_results: Path
) -> None:
    page = pages["structure.html"]
    cells, _ = load_cells([hostile_results])
    points = points_of(cells)
    for line in structure_lines(points, associations(points)):
        for piece in re.split(r" {2,}", line):
            if not re.fullmatch(r"[-\s]*", piece):
                assert " ".join(piece.split()) in page.text, piece
    assert page.text.count("Too few methods to say: a test needs 5.") == 3
    assert "Too few methods to say: a test needs 5." in pages["index.html"].text


def test_the_data_file_is_what_the_command_gives(site: Any, hostile_results: Path) -> None:
    cells, _ = load_cells([hostile_results])
    points = points_of(sorted(cells, key=lambda cell: cell.path))
    found = json.loads((site.directory / "data" / "structure.json").read_text(encoding="utf-8"))
    assert found == json.loads(structure_json(points, associations(points)))


def test_without_a_cell_the_page_says_so(factory: Any, tmp_path: Path, read_page: Any) -> None:
    factory.write("popularity")
    build_site([factory.root], tmp_path / "site")
    page = read_page(tmp_path / "site" / "structure.html")
    assert "There are no cells with ndcg@10 that pass popularity." in page.text
    assert not page.find("svg", role="img")
    board = read_page(tmp_path / "site" / "settings" / "toy.html")
    assert [a for a in board.find("a") if a.attributes["href"] == "../structure.html"]


def test_a_panel_has_a_sign_for_each_cell_where_its_numbers_put_it() -> None:
    points = points_in(("a",), 7)
    found, _ = structure_of([points], {"a": ["a"]})
    assert found is not None
    ((title, drawing),) = found.panels[NAMES["effective_rank"]]["ndcg@10"]
    assert title == "does not vary"
    assert "<title>m0</title>" in drawing.html
    placed = signs(drawing.html)
    assert {key: len(own) for key, own in placed.items()} == {f"m{n}": 1 for n in range(7)}
    order = [points.methods[place] for place in np.argsort(points.scores)]
    assert sorted(placed, key=lambda key: placed[key][0][0]) == order
    assert sorted(placed, key=lambda key: -placed[key][0][1]) == order
    assert list(found.legend) == sorted(f"m{n}" for n in range(7))


def test_several_settings_are_drawn_by_ranks_and_stand_behind_all_together() -> None:
    points = points_in(("a", "b"), 6)
    found, _ = structure_of([points], {"a": ["a"], "b": ["b-1", "b-2"]})
    assert found is not None
    assert [group.boards for group in found.groups] == [(), ("a",), ("b-1", "b-2")]
    assert found.groups[0].heading.startswith("all settings: ")
    ((_, drawing),) = found.panels[NAMES["effective_rank"]]["ndcg@10"]
    places = [place for own in signs(drawing.html).values() for place in own]
    assert len(places) == 12
    # Six ranks in each of two settings: every place is there twice.
    assert len({x for x, _ in places}) == 6
    assert "2 settings, ranks within each" in found.caption


def test_two_metrics_stand_side_by_side_and_one_without_points_is_left_out() -> None:
    points = points_in(("a", "b"), 6)
    other = replace(points, metric="recall@10", scores=1 - points.scores)
    found, answers = structure_of([points, other], {})
    assert found is not None
    assert [len(each) for each in answers] == [27, 27]
    assert list(found.panels[NAMES["effective_rank"]]) == ["ndcg@10", "recall@10"]
    for group in found.groups:
        assert ["ndcg@10" in group.sentences[0], "recall@10" in group.sentences[1]] == [True, True]
        names = [column.name for column in group.table.columns]
        assert names.count("cells") == 1
        assert [name for name in names if "ρ" in name] == ["ρ, ndcg@10", "ρ, recall@10"]
        assert {len(line.entries) for line in group.table.lines} == {len(names)}
        first = group.table.lines[0].entries
        values = [first[f"rho, {metric}"].value for metric in ("ndcg@10", "recall@10")]
        assert values == pytest.approx([1.0, -1.0])
    none = replace(points_in((), 0), metric="recall@10")
    found, answers = structure_of([points, none], {})
    assert found is not None
    assert answers[1] == []
    assert list(found.panels[NAMES["effective_rank"]]) == ["ndcg@10"]


def test_where_a_setting_lacks_the_second_metric_its_counts_are_told_apart() -> None:
    points = points_in(("a", "b", "c"), 6)
    kept = replace(points_in(("a", "b"), 6, seed=1), metric="recall@10")
    found, _ = structure_of([points, kept], {})
    assert found is not None
    pooled, one, _, without = found.groups
    for group, count in ((pooled, 2), (one, 1), (without, 1)):
        names = [column.name for column in group.table.columns]
        assert names.count("cells") == count
        assert {len(line.entries) for line in group.table.lines} == {len(names)}
    texts = [entry.text for entry in pooled.table.lines[0].entries.values()]
    assert {"18", "12"} <= set(texts)
    assert [len(group.sentences) for group in found.groups] == [2, 2, 2, 1]
