"""The pages in headless Chromium, where it is installed: sorting, filtering, theme, silence.

The browser is found by `$CHROMIUM` or under its usual names. A script of ours is put at the end of
a copy of the page; it does what a reader would and writes what it finds into the page.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium here; $CHROMIUM may name one")

POLICY = """<meta http-equiv="Content-Security-Policy"
 content="default-src file: data: 'unsafe-inline'">"""
"""Under this policy what comes from elsewhere is refused, with a complaint on the console."""

HELPERS = """
const rows = (id) => [...document.querySelectorAll(`#${id} tbody tr`)];
const shown = (id) => rows(id).filter((row) => getComputedStyle(row).display !== "none");
const keys = (list) => list.map((row) => row.dataset.method);
const heads = (id) => [...document.querySelectorAll(`#${id} thead th`)];
const press = (id, column) => heads(id)[column].querySelector("button").click();
const sorted = (id) => heads(id).map((head) => head.getAttribute("aria-sort"));
const type = (id, text) => {
  const field = document.getElementById(id);
  field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
};
"""


@pytest.fixture
def visit(site: Any, tmp_path: Path) -> Any:
    """Opens a page, runs a script's body in it, and gives what it returns and what was logged."""

    def run(page: str, script: str) -> tuple[Any, str]:
        copy = tmp_path / "site"
        if not copy.exists():
            shutil.copytree(site.directory, copy)
        path = copy / page
        content = (site.directory / page).read_text(encoding="utf-8")
        path.write_text(
            content.replace("<head>", f"<head>{POLICY}")
            + "<script>window.addEventListener('load', async () => {"
            + HELPERS
            + "const pre = document.createElement('pre'); pre.id = 'outcome';"
            + f"pre.textContent = JSON.stringify(await (async () => {{ {script} }})());"
            + "document.body.append(pre); });</script>",
            encoding="utf-8",
        )
        command = [
            str(BROWSER),
            *("--headless=new", "--disable-gpu", "--no-first-run", "--dump-dom"),
            *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
            *("--enable-logging=stderr", "--v=0", "--virtual-time-budget=5000"),
            f"--user-data-dir={tmp_path / 'profile'}",
            path.as_uri(),
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=True
        )
        found = re.search(r'<pre id="outcome">(.*?)</pre>', done.stdout, re.DOTALL)
        assert found is not None, done.stderr[-2000:]
        text = found.group(1)
        for escaped, plain in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
            text = text.replace(escaped, plain)
        return json.loads(text), done.stderr

    return run


def test_sorting_orders_rows_both_ways_keeps_the_undefined_last_and_says_so(
    visit: Any, site: Any
) -> None:
    outcome, _ = visit(
        "settings/toy.html",
        """
        const out = {first: keys(rows("scores"))};
        press("scores", 1); out.score = keys(rows("scores")); out.marks = sorted("scores");
        press("scores", 0); out.name = keys(rows("scores"));
        press("scores", 3); out.difference = keys(rows("scores"));
        press("scores", 3); out.smallest = keys(rows("scores"));
        out.last = sorted("scores");
        press("slices", 1); out.slice = rows("slices").map((row) => row.cells[1].dataset.sort);
        return out;
        """,
    )
    rows = json.loads((site.directory / "data" / "toy.json").read_text())["rows"]
    board = [row["key"] for row in rows]
    assert outcome["first"] == board
    assert outcome["score"] == board[::-1]
    assert outcome["marks"][1] == "ascending"
    assert outcome["name"] == sorted(board)
    found = {row["key"]: row["difference"]["estimate"]["mean"] for row in rows if row["difference"]}
    assert outcome["difference"] == [*sorted(found, key=lambda key: -found[key]), "mean"]
    assert outcome["smallest"] == [*sorted(found, key=lambda key: found[key]), "mean"]
    assert [mark for mark in outcome["last"] if mark] == ["ascending"]
    assert outcome["slice"] == sorted(outcome["slice"], key=float, reverse=True)


def test_a_filter_hides_rows_figures_and_verdicts_and_tells_how_many_are_left(visit: Any) -> None:
    outcome, _ = visit(
        "settings/toy.html",
        """
        const out = {};
        const count = () => document.getElementById("count").textContent;
        const drawn = () => [...new Set([...document.querySelectorAll("svg [data-method]")]
          .filter((part) => getComputedStyle(part).display !== "none")
          .map((part) => part.dataset.method))].sort();
        out.hidden = document.querySelector("form.filter").hidden;
        out.all = count();
        type("filter", "GTI"); out.gti = keys(shown("scores")); out.count = count();
        out.drawn = drawn(); out.records = keys(shown("records"));
        type("filter", "method lc"); out.words = keys(shown("scores"));
        type("filter", "nothing like this"); out.none = shown("scores").length;
        type("filter", ""); type("group", "reference"); out.group = keys(shown("scores")).sort();
        return out;
        """,
    )
    assert outcome["hidden"] is False
    assert outcome["all"] == "6 of 6 shown"
    assert outcome["gti"] == ["gti"]
    assert outcome["count"] == "1 of 6 shown"
    assert outcome["drawn"] == ["gti"]
    assert outcome["records"] == ["gti"] * 3
    assert outcome["words"] == ["lc_rec"]
    assert outcome["none"] == 0
    assert outcome["group"] == ["markov", "popularity"]


def test_a_highlighted_method_stands_out_in_every_figure_and_the_choice_can_be_taken_back(
    visit: Any,
) -> None:
    outcome, _ = visit(
        "settings/toy.html",
        """
        const choice = document.getElementById("highlight");
        const lit = () => [...new Set([...document.querySelectorAll(".lit")]
          .map((part) => part.dataset.method))];
        const picked = () => document.querySelectorAll("svg.picked").length;
        const out = {options: [...choice.options].map((each) => each.value)};
        out.before = [lit(), picked()];
        choice.focus(); type("highlight", "gti"); out.chosen = [lit(), picked() > 0];
        const name = document.querySelector("svg.figure .series[data-method=mean] .name");
        const press = () => name.dispatchEvent(new MouseEvent("click", { bubbles: true }));
        press(); out.pressed = [lit(), choice.value];
        press(); out.again = [lit(), choice.value, picked()];
        return out;
        """,
    )
    assert outcome["options"][0] == ""
    assert {"mean", "gti"} <= set(outcome["options"])
    assert outcome["before"] == [[], 0]
    assert outcome["chosen"] == [["gti"], True]
    assert outcome["pressed"] == [["mean"], "mean"]
    assert outcome["again"] == [[], "", 0]


def test_the_theme_can_be_chosen(visit: Any) -> None:
    outcome, _ = visit(
        "index.html",
        """
        const button = document.getElementById("theme");
        const back = () => getComputedStyle(document.body).backgroundColor;
        const out = {visible: !button.hidden, seen: []};
        for (let i = 0; i < 3; i++) { button.click(); out.seen.push([button.textContent, back()]); }
        return out;
        """,
    )
    assert outcome["visible"]
    assert [name for name, _ in outcome["seen"]] == ["Theme: light", "Theme: dark", "Theme: system"]
    assert outcome["seen"][0][1] == "rgb(255, 255, 255)"
    assert outcome["seen"][1][1] == "rgb(20, 23, 26)"


@pytest.mark.parametrize(
    "page",
    [
        "index.html",
        "settings/toy.html",
        "settings/other.html",
        "methods/gti.html",
        "claims.html",
        "structure.html",
    ],
)
def test_a_page_loads_nothing_from_elsewhere_complains_of_nothing_and_fits_its_width(
    visit: Any, page: str
) -> None:
    outcome, logged = visit(
        page,
        """
        return {
          styled: getComputedStyle(document.body).margin,
          pictures: [...document.querySelectorAll("image")].map((each) => each.href.baseVal),
          title: document.title,
          width: [document.documentElement.scrollWidth, document.documentElement.clientWidth],
        };
        """,
    )
    assert outcome["styled"] == "0px"
    assert all(name.startswith("../figures/") for name in outcome["pictures"])
    assert outcome["title"] != "taken"
    assert outcome["width"][0] <= outcome["width"][1]
    assert complaints(logged) == []


def complaints(logged: str) -> list[str]:
    """What the browser's console was told."""
    return [line for line in logged.splitlines() if "CONSOLE" in line]


def test_what_comes_from_elsewhere_and_what_fails_would_be_seen(visit: Any) -> None:
    _, logged = visit(
        "index.html",
        """
        const picture = new Image();
        const refused = new Promise((resolve) => { picture.onerror = resolve; });
        picture.src = "https://elsewhere.invalid/x.png";
        await refused;
        setTimeout(() => { throw new Error("on purpose"); });
        await new Promise((resolve) => setTimeout(resolve, 50));
        return 0;
        """,
    )
    assert any("elsewhere.invalid" in line for line in complaints(logged))
    assert any("on purpose" in line for line in complaints(logged))
