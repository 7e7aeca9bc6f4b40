"""Puts what growth measured between the markers of a Markdown page."""

import argparse
import datetime
import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.machine.environment import describe_code, processor_name


class PageError(ValueError):
    """A page that has no place for what was measured."""


def fill(text: str, name: str, body: str) -> str:
    """The page `text` with `body` between `<!-- growth: NAME -->` and `<!-- /growth: NAME -->`.

    Raises:
        PageError: a marker is missing, or not there exactly once.
    """
    begin, end = f"<!-- growth: {name} -->", f"<!-- /growth: {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise PageError(f'the page must have "{begin}" and, further down, "{end}", each once')
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{body}\n\n{end}{after}"


def run_page(
    about: str | None,
    name: str,
    make: Callable[[int, int], str],
    sizes: tuple[int, int],
    quick: tuple[int, int],
    arguments: Sequence[str] | None,
) -> None:
    """The command line of a simulation: prints its table and, where asked, fills a page with it.

    Args:
        about: what `--help` says.
        name: the page's marked section.
        make: the table of so many boards and users.
        sizes: how many.
        quick: how many with `--quick`.
        arguments: of the command line; null: this process's.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--quick", action="store_true", help="few small boards")
    parser.add_argument("--page", type=Path, help="the page whose marked section is replaced")
    asked = parser.parse_args(arguments)
    text = make(*(quick if asked.quick else sizes))
    print(text)
    if asked.page is not None:
        page = asked.page.read_text(encoding="utf-8")
        asked.page.write_text(fill(page, name, text), encoding="utf-8")


@cache
def _code() -> dict[str, Any]:
    """The code as it is when the first axis is put in: the page itself changes from then on."""
    return describe_code()


def measured_where() -> str:
    """One line: when, at which commit, on which processor, and how busy the machine was."""
    import torch

    code = _code()
    commit = "an unknown commit" if code["commit"] is None else f"commit {code['commit'][:7]}"
    changed = ", files changed since" if code["dirty"] else ""
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    # A load, where the system has one, counts what wants a core: ours, and what else runs.
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"Measured {day} at {commit}{changed}; {processor_name()}"
        f" ({torch.backends.cpu.get_cpu_capability()}), {os.cpu_count()} cores{load}."
    )
