"""The documentation's examples run as they stand, and its figures are what the code says."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
INCLUDED = re.compile(r'^\[[^\]]*\]\(\.\./CONTRIBUTING\.md#([\w-]+) "included"\)$', re.MULTILINE)


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    title: str
    code: str


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(*found) for found in BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))]


def run(command: list[str], folder: Path) -> str:
    """What a command printed in `folder`, with this clone's code."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def figures_aside(text: str) -> str:
    """`text` with one sign for each number and one space for several."""
    return re.sub(r" +", " ", re.sub(r"\d+(?:\.\d+)?", "#", text)).strip()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the guide is followed: `nano` is there, as in a clone."""
    place = tmp_path_factory.mktemp("guide")
    (place / "benchmarks").mkdir()
    (place / "benchmarks" / "nano").symlink_to(ROOT / "benchmarks" / "nano")
    return place


def test_every_python_block_of_the_guide_runs_in_order_and_prints_what_the_page_shows(
    folder: Path,
) -> None:
    if importlib.util.find_spec("trl") is None:
        pytest.skip("trl is not installed: it asks for newer libraries than we do")
    found = blocks("add_tokens.md")
    code = "\n".join(block.code for block in found if block.language == "python")
    assert {"ground_tokens", "Trainer", "SFTTrainer", "LoraConfig"} <= set(re.findall(r"\w+", code))
    printed = figures_aside(run([sys.executable, "-c", code], folder))
    shown = [figures_aside(block.code) for block in found if block.language == "text"]
    assert len(shown) == 2
    for text in shown:
        assert text in printed


def test_the_command_of_the_guide_does_what_its_first_block_does(folder: Path) -> None:
    found = blocks("add_tokens.md")
    (pairs,) = [block for block in found if block.language == "json"]
    (folder / pairs.title).write_text(pairs.code, encoding="utf-8")
    (command,) = [block.code.split() for block in found if block.language == "sh"]
    assert command[0] == "python"
    printed = run([sys.executable, *command[1:]], folder)
    report = next(block.code for block in found if block.language == "text")
    assert figures_aside(report) in figures_aside(printed)
    assert (folder / "from_files" / "tokenizer.json").exists()


def test_the_python_block_about_boards_runs_and_prints_what_the_page_shows(folder: Path) -> None:
    found = blocks("reading_a_board.md")
    code = "\n".join(block.code for block in found if block.language == "python")
    printed = run([sys.executable, "-c", code], ROOT)
    (shown,) = [block.code for block in found if block.language == "text"]
    assert printed.strip() == shown.strip()


def test_no_python_block_of_the_documentation_goes_untried() -> None:
    pages = {
        page.relative_to(DOCS).as_posix()
        for page in DOCS.rglob("*.md")
        if "```python" in page.read_text(encoding="utf-8")
    }
    assert pages == {"add_tokens.md", "reading_a_board.md"}


def test_the_tables_that_explain_a_board_are_the_ones_that_the_records_make() -> None:
    from leaderboard.board.board import load_leaderboards
    from leaderboard.render.board_tables import render

    (board,) = load_leaderboards([ROOT / "leaderboard" / "results"], setting="ml-100k-nano").boards
    printed = render(board, "md")
    page = (DOCS / "reading_a_board.md").read_text(encoding="utf-8")
    shown = re.findall(r"<!-- of the board [^>]*-->\n(.*?)\n<!-- end -->", page, re.DOTALL)
    assert len(shown) == 2
    for table in shown:
        assert table.strip() in printed


def test_every_column_of_the_board_is_explained() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    page = (DOCS / "reading_a_board.md").read_text(encoding="utf-8")
    board = readme.partition("<!-- board of")[2].partition("<!-- end of board -->")[0]
    shown = board + page
    headings = re.findall(r"^(\| method .*\|)\n\|[-:|]+\|$", shown, re.MULTILINE)
    assert len(headings) == 3
    explained = {
        name
        for line in re.findall(r"^\| (`.+?`) +\| ", page, re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", line)
    }
    columns = {cell.strip() for line in headings for cell in line.strip("|").split("|")}
    assert columns <= explained


def test_the_figure_of_the_methods_is_drawn_from_them() -> None:
    spec = importlib.util.spec_from_file_location("method_figure", DOCS / "figures" / "method.py")
    assert spec is not None
    assert spec.loader is not None
    drawing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawing)
    assert (DOCS / "figures" / "method.svg").read_text(encoding="utf-8") == drawing.draw()


def test_every_section_of_contributing_has_a_page() -> None:
    text = FENCED.sub("", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    sections = re.findall(r"^## (.+)$", text, re.MULTILINE)
    shown = {
        anchor
        for page in DOCS.glob("*.md")
        for anchor in INCLUDED.findall(page.read_text(encoding="utf-8"))
    }
    assert shown == {section.lower().replace(" ", "-") for section in sections}
