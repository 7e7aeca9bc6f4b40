"""Draws `method.svg`: what each method trains, and when. `python docs/figures/method.py` writes it.

Everything in it is read from the methods themselves: first rows, the plan of the stage before SFT,
alignment tasks, and how the extra budget A is divided.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from baselines.registry import methods  # noqa: E402
from gti.method import Method  # noqa: E402

KEYS = (
    "mean", "random", "mean_matched", "lc_rec", "gti_lc_rec", "gti", "gti_two_phase",
    "mean_two_phase",
)  # fmt: skip
WIDTH, LINE, TOP = 1040, 96, 100
NAMES, FIRST, BEFORE = 24, 182, 312
SFT, EXTRA, GAP = 250, 210, 14
TUNING = BEFORE + EXTRA + GAP
AFTER = TUNING + SFT + GAP
FIRST_ROWS = {"mean": "all on the mean", "drawn": "each drawn"}
STYLE = """
  svg { color-scheme: light dark; }
  .card { fill: #ffffff; } .rule { stroke: #dfe4e8; }
  text { font: 14px system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; fill: #1d2a33; }
  .key { font: 600 14px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
  .small { font-size: 12px; fill: #55636e; } .head { font-weight: 600; }
  .on { fill: #0072b2; } .off { fill: #eef1f3; stroke: #b9c3ca; } .beside { fill: #d58a00; }
  text.light { fill: #ffffff; font-size: 12px; } text.dark { fill: #66737d; font-size: 12px; }
 
  @media (prefers-color-scheme: dark) {
    .card { fill: #1e2129; } .rule { stroke: #363b47; }
    text { fill: #e4e7ec; } .small { fill: #a9b1bd; }
    .on { fill: #2b8fd0; } .off { fill: #2a2e38; stroke: #4a5060; } .beside { fill: #b87800; }
    text.dark { fill: #98a1ae; }
  }
"""


class Block(NamedTuple):
    """A stage: where, how wide, what it sees, whether all trains in it, and tasks beside it."""

    x: float
    width: float
    sees: str
    rest_trains: bool
    beside: bool = False


def stages(method: Method) -> Iterator[Block]:
    """What `method` trains, in order; widths are shares of the budget of SFT or of A."""
    plan, shares = method.grounding(), method.spends
    if plan is not None:
        width = EXTRA * shares["before"]
        frozen = width * plan.frozen_share
        cut = 3 if 0 < frozen < width else 0
        if frozen:
            yield Block(TUNING - GAP - width, frozen - cut, "texts ↔ IDs", False)
        if frozen < width:
            free = width - frozen - cut
            yield Block(TUNING - GAP - free, free, "texts ↔ IDs", True)
    yield Block(TUNING, SFT, "histories → next item", True, method.alignment)
    if "after" in shares:
        yield Block(AFTER, EXTRA * shares["after"], "the same, longer", True)


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """A line of text."""
    return f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{words}</text>'


def box(x: float, y: float, width: float, height: float, kind: str) -> str:
    """A rectangle."""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="3" class="{kind}"/>'
    )


def draw_block(block: Block, y: float) -> Iterator[str]:
    """Two bands, the model with its text rows above the new rows, and what they are trained on."""
    x, middle, rest = block.x, block.x + block.width / 2, "on" if block.rest_trains else "off"
    yield box(x, y, block.width, 34, rest)
    words = "model and text rows" if block.width > 150 else "model"
    yield text(middle, y + 22, words, "light" if block.rest_trains else "dark", "middle")
    yield box(x, y + 37, block.width, 21, "on")
    yield text(middle, y + 52, "new rows", "light", "middle")
    yield text(middle, y + 74, block.sees, "small", "middle")
    if block.beside:
        yield box(x, y - 8, block.width, 5, "beside")


def draw_first(method: Method, y: float) -> Iterator[str]:
    """The new rows at the start, four of them: equal bars, or bars of different lengths."""
    lengths = (34, 34, 34, 34) if method.first_rows == "mean" else (52, 18, 42, 27)
    for place, length in enumerate(lengths):
        yield box(FIRST, y + 4 + place * 9, length, 6, "on")
    yield text(FIRST, y + 58, FIRST_ROWS[str(method.first_rows)], "small")


def draw() -> str:
    """The whole figure."""
    known = methods()
    height = TOP + LINE * len(KEYS) + 74
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        "<title>What each method trains, and when</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" rx="10" class="card"/>',
        text(NAMES, 40, "method", "head"),
        text(FIRST, 40, "first rows", "head"),
        text(BEFORE + EXTRA / 2, 40, "before fine-tuning", "head", "middle"),
        text(BEFORE + EXTRA / 2, 60, "extra budget A", "small", "middle"),
        text(TUNING + SFT / 2, 40, "fine-tuning", "head", "middle"),
        text(TUNING + SFT / 2, 60, "the same for all methods", "small", "middle"),
        text(AFTER + EXTRA / 2, 40, "after it", "head", "middle"),
        text(AFTER + EXTRA / 2, 60, "extra budget A", "small", "middle"),
    ]
    for place, key in enumerate(KEYS):
        y = TOP + LINE * place
        parts.append(
            f'<line x1="{NAMES}" x2="{WIDTH - NAMES}" y1="{y - 16}" y2="{y - 16}" class="rule"/>'
        )
        parts.append(text(NAMES, y + 34, key, "key"))
        parts += draw_first(known[key], y)
        for block in stages(known[key]):
            parts += draw_block(block, y)
    y = TOP + LINE * len(KEYS) + 14
    parts += [
        box(NAMES, y, 22, 14, "on"),
        text(NAMES + 30, y + 12, "trained", "small"),
        box(NAMES + 100, y, 22, 14, "off"),
        text(NAMES + 130, y + 12, "frozen, bit for bit", "small"),
        box(NAMES + 270, y + 5, 22, 4, "beside"),
        text(
            NAMES + 300,
            y + 12,
            "LC-Rec's alignment tasks beside it, out of the extra budget A",
            "small",
        ),
        text(
            NAMES,
            y + 38,
            "Wider is more compute. Fine-tuning has the same data, order and steps in every line; A"
            " is fixed in nominal FLOPs, the same for all that spend it.",
            "small",
        ),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "method.svg").write_text(draw(), encoding="utf-8")
