"""Slices on a board's page: the figures of `gti-bench table --slice`, read from the page."""

import re
from pathlib import Path
from typing import Any

import pytest

from leaderboard.board.board import load_leaderboards


def digits(value: float) -> str:
    """`.0402`, written without our code."""
    return re.sub(r"^(-?)0\.", r"\1.", f"{value:.4f}").replace("-.0000", ".0000")


def signed(value: float) -> str:
    """`+.0021`."""
    text = digits(value)
    return text if text.startswith("-") else f"+{text}"


def cells_of(page: Any, table: str) -> dict[tuple[str, str], Any]:
    """(method, slice) → the cell of the table called so."""
    (found,) = page.find("table", id=table)
    names = [head.find("button")[0].text for head in found.find("thead")[0].find("th")]
    return {
        (line.attributes["data-method"], name): cell
        for line in found.find("tbody")[0].find("tr")
        for name, cell in zip(names[1:], line.find("td"), strict=True)
    }


@pytest.mark.parametrize("setting", ["toy", "other"])
def test_scores_and_differences_in_a_slice_are_those_of_table(
    setting: str, pages: Any, hostile_results: Path
) -> None:
    page = pages[f"settings/{setting}.html"]
    scores, differences = cells_of(page, "slices"), cells_of(page, "slice-differences")
    names = dict.fromkeys(name for _, name in scores)
    assert len(names) >= 6
    for name in names:
        (board,) = load_leaderboards([hostile_results], setting=setting, slice_name=name).boards
        for row in board.rows:
            assert row.score is not None
            cell = scores[row.key, name]
            mean = row.means["ndcg@10"]
            assert mean is not None
            text = digits(mean)
            if row.score.low is not None and row.score.high is not None:
                text += f" [{digits(row.score.low)}, {digits(row.score.high)}]"
            assert cell.text == text
            assert float(cell.attributes["data-sort"]) == mean
            assert cell.find("a")[0].attributes["href"] == f"#records-{row.key}"
            if row.difference is None:
                assert (row.key, name) not in differences
                continue
            found = row.difference.estimate
            text = differences[row.key, name].text
            assert found.low is not None
            assert found.high is not None
            assert text.startswith(
                f"{signed(found.mean)} [{signed(found.low)}, {signed(found.high)}]"
            )
            assert (" p " in text) == (row.kind == "cell")
            assert text.endswith("*") == (row.difference.verdict in ("better", "worse"))


def test_each_slice_says_whose_it_is_and_how_many_they_are(pages: Any) -> None:
    text = pages["settings/toy.html"].text
    names = {name for _, name in cells_of(pages["settings/toy.html"], "slices")}
    for name in names:
        assert re.search(
            rf"{name}: [\d,]+( to [\d,]+)? (training|items?|transitions?) .*?; \d+ users", text
        )
    assert "Holm-corrected over the differences of one slice" in text
