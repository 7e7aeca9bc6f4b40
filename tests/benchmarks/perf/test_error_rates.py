"""The simulated error rates: what they tell apart, and that the page holds what they print."""

from pathlib import Path

import pytest

from benchmarks.perf.error_rates import SEEDS, main, simulate

PAGE = Path(__file__).parents[3] / "docs" / "statistics.md"


def rows(text: str) -> list[list[str]]:
    """The cells of a page's table of error rates, line by line."""
    text = text.partition("<!-- growth: error rates -->")[2] or text
    text = text.partition("<!-- /growth: error rates -->")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    start = next(place for place, cells in enumerate(found) if cells[0] == "scores")
    return found[start:]


def test_the_page_has_the_table_that_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    main(["--quick", "--page", str(page)])
    printed, written = rows(capsys.readouterr().out), rows(page.read_text(encoding="utf-8"))
    assert printed == written
    shipped = rows(PAGE.read_text(encoding="utf-8"))
    assert shipped[0] == printed[0]
    assert [cells[:3] for cells in shipped] == [cells[:3] for cells in printed]


def test_where_variances_are_moderated_the_page_shows_no_error_beyond_the_bounds() -> None:
    used = [cells for cells in rows(PAGE.read_text(encoding="utf-8")) if cells[-1] == "moderated"]
    assert {cells[2] for cells in used} == {str(seeds) for seeds in SEEDS if seeds >= 5}
    for cells in used:
        coverage, per_test, family_wise = map(float, cells[5].split())
        assert coverage == pytest.approx(1 - per_test, abs=0.0011)
        assert per_test <= 0.055
        assert family_wise <= 0.06


@pytest.mark.parametrize("scores", ["Gaussian", "zero-inflated"])
def test_the_simulation_tells_a_test_that_errs_from_one_that_does_not(scores: str) -> None:
    found = simulate(scores, "noisy base", 5, boards=500, users=200)
    assert found.smyth.per_test > 0.08
    assert found.own.per_test < 0.07
    assert found.moderated.per_test < 0.075
    assert found.moderated.width < found.own.width
