"""What growth measured goes between a page's markers and nowhere else."""

from pathlib import Path

import pytest

from benchmarks.perf.growth.axes import AXES
from benchmarks.perf.page import PageError, fill, measured_where

PAGE = "# Page\n\n<!-- growth: beam -->\nold\n<!-- /growth: beam -->\n\nprose | stays\n"


def test_only_what_stands_between_the_markers_is_replaced_time_and_again():
    once = fill(PAGE, "beam", "new | table")
    expected = "<!-- growth: beam -->\n\nnew | table\n\n<!-- /growth: beam -->"
    assert once == f"# Page\n\n{expected}\n\nprose | stays\n"
    assert fill(once, "beam", "new | table") == once


@pytest.mark.parametrize(
    "page",
    [
        "nothing",
        PAGE.replace("/growth", "growth"),
        PAGE + PAGE,
        "<!-- /growth: beam --><!-- growth: beam -->",
    ],
)
def test_a_page_without_one_place_for_it_is_refused(page):
    with pytest.raises(PageError, match="growth: beam"):
        fill(page, "beam", "new")


def test_the_shipped_page_has_a_place_for_every_axis():
    page = Path(__file__).parents[3] / "docs" / "cost_growth.md"
    text = page.read_text(encoding="utf-8")
    for name in AXES:
        assert "measured" in fill(text, name, "measured")


def test_where_it_was_measured_names_commit_and_cores(monkeypatch):
    code = {"commit": "0123456789", "dirty": True}
    monkeypatch.setattr("benchmarks.perf.page.describe_code", lambda: code)
    monkeypatch.setattr("benchmarks.perf.page.processor_name", lambda: "Some CPU")
    line = measured_where()
    assert "commit 0123456, files changed since; Some CPU" in line
    assert "\n" not in line
