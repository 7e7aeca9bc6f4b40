"""The simulated verdicts: as the board's own code gives them, and as the page holds them."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.perf.error_rates import SCORES, VARIANCES
from benchmarks.perf.verdict_rates import (
    KINDS,
    MARGINS,
    PRIMARY,
    WORDS,
    main,
    simulate,
    squares_in_use,
    words_of,
)
from leaderboard.board.moderation import moderated_squares, moderation_of
from leaderboard.board.user_scores import UserScores
from leaderboard.statistics.crossed import estimate
from leaderboard.statistics.equivalence import verdict
from leaderboard.statistics.families import Rule, gatekeep

PAGE = Path(__file__).parents[3] / "docs" / "statistics.md"


def rows(text: str, columns: int = 8) -> list[list[str]]:
    """The cells of a page's table of verdict rates, line by line; the second has 6 columns."""
    text = text.partition("<!-- growth: verdict rates -->")[2] or text
    text = text.partition("<!-- /growth: verdict rates -->")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [line for line in cells if len(line) == columns]


@pytest.mark.parametrize("scores", list(SCORES))
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("rule", ["fixed order", "holm"])
def test_the_words_are_those_that_the_boards_own_code_says(
    scores: str, seeds: int, rule: Rule
) -> None:
    generator = np.random.default_rng(seeds)
    margin = MARGINS[scores]
    better = np.array([0, 1, 0, 0.5, 0, 0, 0, 0]) * margin
    variances = VARIANCES["inverse χ²"](generator, 12)
    boards = SCORES[scores](generator, variances, seeds, 200, better)
    said = words_of(*squares_in_use(boards, PRIMARY), margin, rule)
    users = np.array([f"u{user}" for user in range(200)])
    for values, words in zip(boards, said, strict=True):
        keys = [str(method) for method in range(len(values))]
        own = {key: dict(enumerate(each)) for key, each in zip(keys, values, strict=True)}
        moderation = moderation_of(UserScores("ndcg@10", users, own), keys)
        assert (moderation is None) == (seeds < 5)
        matrices = [values[a] - values[b] for a, b in PRIMARY]
        squares = [moderated_squares(matrix, moderation) for matrix in matrices]
        found = [estimate(matrix, own) for matrix, own in zip(matrices, squares, strict=True)]
        corrected = gatekeep([each.p for each in found], (), rule).primary
        expected = [
            verdict(each.mean, own, margin, p)
            for each, own, p in zip(found, squares, corrected, strict=True)
        ]
        assert [WORDS[word] for word in words] == expected


def test_the_page_has_the_table_that_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    main(["--quick", "--page", str(page)])
    said, text = capsys.readouterr().out, page.read_text(encoding="utf-8")
    for columns in (8, 6):
        printed, written = rows(said, columns), rows(text, columns)
        assert printed == written
        shipped = rows(PAGE.read_text(encoding="utf-8"), columns)
        named = columns - 2 if columns == 6 else 3
        assert [cells[:named] for cells in shipped] == [cells[:named] for cells in printed]


def test_on_the_page_the_words_are_false_no_more_often_than_they_promise() -> None:
    lines = rows(PAGE.read_text(encoding="utf-8"))[1:]
    assert {cells[2] for cells in lines} == {"3", "5", "8"}
    for cells in lines:
        shares = [list(map(float, cells[place].split())) for place in (3, 4, 5)]
        assert all(sum(each) == pytest.approx(1, abs=0.0021) for each in shares)
        assert float(cells[-2]) <= 0.06
        assert float(cells[-1]) <= 0.055
        if cells[1] == "no difference":
            better, worse = shares[0][:2]
            assert better + worse <= 0.06
        if cells[1] == "at the margin":
            assert float(cells[-1]) == max(each[2] for each in shares)


def test_so_they_are_with_other_seed_variances_and_by_holm() -> None:
    """As far as the largest of many shares of 2,000 boards can tell: each is known to .005."""
    lines = rows(PAGE.read_text(encoding="utf-8"), 6)[1:]
    assert {tuple(cells[1:3]) for cells in lines} == set(KINDS)
    for cells in lines:
        assert float(cells[-2].strip("*")) <= 0.06 + 0.005
        assert float(cells[-1].strip("*")) <= 0.055 + 0.005


def test_a_plain_truth_is_told_as_such() -> None:
    found = simulate("Gaussian", "all three", 8, boards=100, users=200)
    assert found.words[:, WORDS.index("better")].min() > 0.8
    assert found.false_claim <= 0.06
    nothing = simulate("Gaussian", "no difference", 8, boards=100, users=200)
    assert nothing.words[:, WORDS.index("equal")].min() > 0.3
    assert nothing.false_equal == 0
