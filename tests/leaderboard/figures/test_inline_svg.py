"""Charts on a page: colours that follow the theme, words, and nothing that runs or is fetched."""

import re
from xml.etree import ElementTree

from benchmarks.perf.honest_records.by_hand import card_by_hand
from leaderboard.figures.axes import Scale
from leaderboard.figures.inline_svg import Drawing, draw
from leaderboard.figures.lines import Series, draw_lines
from leaderboard.figures.palette import COLORS, Palette, look
from leaderboard.figures.rsa import draw_bars

HOSTILE = '<script>alert(1)</script> & "quotes" {{ 7 * 7 }}'

PALETTE = Palette(map(card_by_hand, ("mean", "gti")))


def figure(key: str = "gti", label: str = "") -> Drawing:
    line = Series(key, look("blue", 0), [(0, 1), (1, 2)], label=label)
    mean = Series("mean", look("black", 0), [(0, 1), (1, 1)])
    return draw(draw_lines("Its name", "Its words.", [mean, line], Scale("x"), Scale("y")))


def test_colours_are_variables_of_the_page_and_nothing_else() -> None:
    bars = draw(draw_bars("init", {"mean": [[0.1, 0.2], []], "gti": [[0.3]]}, (0.0, 1.0), PALETTE))
    for drawing in (figure(), bars):
        found = re.findall(r'(?:fill|stroke)="([^"]*)"', drawing.html)
        allowed = {f"var(--{name})" for name in (*COLORS, "ink", "soft", "line", "back")}
        assert set(found) <= {"none", *allowed}
        assert not re.search(r"#[0-9a-fA-F]{3}|rgb", drawing.html)


def test_what_it_shows_is_said_to_those_who_do_not_see_it() -> None:
    root = ElementTree.fromstring(figure().html)
    (svg,) = [each for each in root.iter("svg") if each.get("role") == "img"]
    assert svg.get("aria-label") == "Its name. Its words."
    assert svg.findtext("desc") == "Its words."
    assert all(each.get("aria-hidden") == "true" for each in root.iter("ul"))


def test_all_of_a_method_stands_in_one_group_under_its_name() -> None:
    root = ElementTree.fromstring(figure().html)
    groups = [each for each in root.iter("g") if each.get("data-method")]
    assert [each.get("data-method") for each in groups] == ["gti", "mean"]
    for group in groups:
        assert {each.get("class") for each in group} == {"line", "leader", "sample", "name"}
    marks = [each for each in root.iter() if each.get("class") in ("line", "leader", "name")]
    assert len(marks) == 3 * len(groups)


def test_text_is_never_markup_and_nothing_is_run_or_fetched() -> None:
    html = str(figure("gti", HOSTILE).html)
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2
    assert not re.search(r"\bon\w+=|href=|url\(|@import|<style|\bid=", html)
    ElementTree.fromstring(html)


def test_equal_figures_give_equal_pages() -> None:
    assert figure().html == figure().html


def test_a_bar_is_as_long_as_its_mean_and_an_undefined_one_is_a_cross() -> None:
    columns = {"mean": [[0.5, 0.7], []], "gti": [[-0.2], [0.1]]}
    html = str(draw(draw_bars("init", columns, (-0.5, 1.0), PALETTE)).html)
    groups = dict(re.findall(r'data-method="(\w+)">(.*?)</g>', html))
    kinds = {key: re.findall(r'class="(\w+)"', group) for key, group in groups.items()}
    assert kinds["mean"] == ["bar", "seed", "seed", "cross", "name"]
    assert kinds["gti"] == ["bar", "bar", "name"]
    lengths = [
        abs(float(width))
        for key in ("mean", "gti")
        for width in re.findall(r'class="bar" d="M[-\d.]+,[-\d.]+h(-?[\d.]+)', groups[key])
    ]
    assert [round(length / 140, 2) for length in lengths] == [0.6, 0.2, 0.1]
