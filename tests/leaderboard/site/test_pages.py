"""Pages that can be read without a mouse, without sight of colours, and without a script."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from leaderboard.site import build

CSS = (Path(build.__file__).parent / "static" / "site.css").read_text(encoding="utf-8")
TEXT = ("ink", "soft", "link", "mark", "good", "bad")
DRAWN = ("black", "orange", "sky", "green", "blue", "vermilion", "purple", "grey")


def test_every_page_has_a_language_a_title_one_heading_and_a_way_past_the_navigation(
    pages: Any,
) -> None:
    titles = set()
    for name, page in pages.items():
        assert page.find("html")[0].attributes["lang"] == "en"
        assert len(page.find("h1")) == 1, name
        titles.add(page.find("title")[0].text)
        first = page.find("body")[0].find("a")[0]
        assert first.attributes["href"] == "#main"
        assert len(page.find("main", id="main")) == 1
        levels = [int(each.tag[1]) for each in page.find("h1", "h2", "h3", "h4")]
        assert all(two - one <= 1 for one, two in itertools.pairwise(levels)), name
    assert len(titles) == len(pages)


def test_tables_have_captions_and_headers_with_a_scope(pages: Any) -> None:
    count = 0
    for name, page in pages.items():
        for table in page.find("table"):
            count += 1
            assert len(table.find("caption")) == 1, name
            head, body = table.find("thead")[0], table.find("tbody")[0]
            columns = head.find("th")
            assert {each.attributes["scope"] for each in columns} == {"col"}
            for line in body.find("tr"):
                assert len(line.find("th", scope="row")) == 1
                assert len(line.find("th", "td")) == len(columns)
        for region in page.find(role="region"):
            assert region.attributes["tabindex"] == "0"
            assert page.find(id=region.attributes["aria-labelledby"])
    assert count >= 11


def test_sortable_columns_are_buttons_and_the_sorted_one_says_so(pages: Any) -> None:
    for name, page in pages.items():
        for table in page.find("table"):
            if "sortable" in table.attributes["class"].split():
                for head in table.find("thead")[0].find("th"):
                    assert len(head.find("button", type="button")) == 1, name
    for name in ("settings/toy.html", "settings/other.html"):
        (scores,) = pages[name].find("table", id="scores")
        marked = [head for head in scores.find("th") if "aria-sort" in head.attributes]
        assert [(m.text, m.attributes["aria-sort"]) for m in marked] == [("ndcg@10", "descending")]


def test_every_drawing_says_what_it_shows_or_is_hidden_beside_its_numbers(pages: Any) -> None:
    named = 0
    for page in pages.values():
        for drawing in page.find("svg"):
            if drawing.attributes.get("aria-hidden") != "true":
                named += 1
                assert drawing.attributes["role"] == "img"
                assert len(drawing.attributes["aria-label"]) > 20
                assert drawing.find("desc")[0].text
    # Curves 4, cost 2, spectra 3, RSA 3 and cosines 9 for `toy`; `other` has mean and gti alone.
    # Three numbers at three stages against two metrics on the page about structure.
    assert named == (4 + 2 + 3 + 3 + 9) + (4 + 2 + 3 + 3 + 5) + 3 * 3 * 2


def test_the_first_lines_say_who_leads_what_can_be_shown_and_how_to_check(
    pages: Any, site: Any
) -> None:
    found = {
        name: {
            term.text: fact.text
            for term, fact in zip(glance.find("dt"), glance.find("dd"), strict=True)
        }
        for name in ("settings/toy.html", "settings/other.html")
        for glance in pages[name].find("dl", class_="glance")
    }
    rows = json.loads((site.directory / "data" / "toy.json").read_text())["rows"]
    best = next(row["key"] for row in rows if row["kind"] == "cell")
    assert found["settings/toy.html"]["Leads"].startswith(f"{best} has the highest mean: ndcg@10 ")
    against = found["settings/toy.html"]["Against mean"]
    assert re.match(r"By ndcg@10, (none|\d) of 3 differences from mean can be shown", against)
    assert "gti-bench verify" in found["settings/toy.html"]["Check"]
    assert "over seeds" in found["settings/other.html"]["Against mean"] or re.match(
        r"By ndcg@10, none of 1 difference from mean can be shown",
        found["settings/other.html"]["Against mean"],
    )


def test_a_verdict_stands_for_every_method_but_mean(pages: Any) -> None:
    (verdicts,) = pages["settings/toy.html"].find("ul", class_="verdicts")
    assert {li.attributes["data-method"] for li in verdicts.find("li")} == {
        "gti",
        "lc_rec",
        "random",
    }
    (alone,) = pages["settings/other.html"].find("ul", class_="verdicts")[0].find("li")
    assert alone.text.startswith("At seed 0 alone:")


def test_matrices_of_one_page_share_one_scale_and_name_their_blocks(pages: Any, site: Any) -> None:
    matrices = pages["settings/toy.html"].find("svg", class_="matrix")
    assert len(matrices) == 9
    for matrix in matrices:
        names = [text.text for text in matrix.find("text")]
        assert names == ["text", "L1", "L2"] * 2
        (picture,) = matrix.find("image")
        assert (site.directory / "settings" / picture.attributes["href"]).resolve().is_file()
    assert len(pages["settings/toy.html"].find(class_="ramp")) == 1


def themes() -> dict[str, dict[str, str]]:
    """Theme → colour variables, as the sheet sets them."""
    blocks = {
        "light": r":root \{([^}]*)\}",
        "dark by choice": r':root\[data-theme="dark"\] \{([^}]*--[^}]*)\}',
        "dark by the system": r':root:not\(\[data-theme="light"\]\) \{([^}]*)\}',
    }
    found = {}
    for theme, pattern in blocks.items():
        match = re.search(pattern, CSS)
        assert match is not None, theme
        found[theme] = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", match.group(1)))
    return found


def contrast(one: str, two: str) -> float:
    """The ratio of WCAG 2.2, from its definition of relative luminance."""

    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark by choice", "dark by the system"])
def test_text_and_lines_stand_out_from_what_is_behind_them(theme: str) -> None:
    colors = themes()[theme]
    for behind in ("back", "raised"):
        for name in TEXT:
            assert contrast(colors[name], colors[behind]) >= 4.5, (name, behind)
    assert contrast(colors["mark"], colors["mark-back"]) >= 4.5
    assert contrast(colors["ink"], colors["mark-back"]) >= 4.5
    for name in DRAWN:
        assert contrast(colors[name], colors["back"]) >= 3, name


def test_both_ways_to_the_dark_theme_lead_to_the_same_colors() -> None:
    found = themes()
    assert found["dark by choice"] == found["dark by the system"]
    assert found["light"].keys() == found["dark by choice"].keys()


def test_motion_and_theme_follow_the_readers_system() -> None:
    assert "prefers-reduced-motion: reduce" in CSS
    assert "prefers-color-scheme: dark" in CSS
    assert ":focus-visible" in CSS


def test_the_index_says_how_many_of_a_settings_seeds_were_run(pages: Any) -> None:
    scored = [
        fact.text
        for glance in pages["index.html"].find("dl", class_="glance")
        for term, fact in zip(glance.find("dt"), glance.find("dd"), strict=True)
        if term.text == "Scored"
    ]
    found = [re.search(r"(\d of )?\d seeds?", text) for text in scored]
    assert sorted(each[0] for each in found if each) == ["1 of 3 seeds", "3 seeds"]
