"""How the cost of each piece of a cell grows with the sizes that a setting chooses.

`python -m benchmarks.perf.growth.measure` measures every axis; `--axis items beam` these two;
`--quick` the first three values of each, once. Prints, per axis, processor time and peak memory at
each value, and the slopes on logarithmic scales beside the expected ones; `--page
docs/cost_growth.md` puts them between that page's markers. One thread, `nano`, made-up data.
"""

import argparse
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.perf.growth.axes import AXES, Axis, Piece
from benchmarks.perf.growth.fit import Growth, Point, points_table, reasons, slopes_table
from benchmarks.perf.page import fill, measured_where
from benchmarks.perf.timing import peak_tensor_bytes

SECONDS = 0.5
"""Processor time after which a piece is not run again at the same value."""
ROUNDS = 5
"""Runs at one value, at most; the quickest counts."""
LONGEST = 60.0
"""Seconds of a run beyond which it is not run again for its memory: the count slows it down."""
QUICK = 3
"""Values of an axis that `--quick` takes."""


def cpu_seconds(work: Callable[[], object], seconds: float = SECONDS) -> float:
    """Processor time of the quickest of up to `ROUNDS` runs; none begins after `seconds`.

    What else a machine does takes the clock's time first, and of the processor's only what it does
    to caches and to the core's other thread.
    """
    spent: list[float] = []
    while not spent or (len(spent) < ROUNDS and sum(spent) < seconds):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return min(spent)


def peak_array_bytes(work: Callable[[], object]) -> int:
    """Most bytes that Python and NumPy held at once during `work`, above those held before it."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def grow(piece: Piece, values: Sequence[int], seconds: float = SECONDS) -> Growth:
    """Measures `piece` at each of `values`, ascending; a line to stderr for each.

    It is run once untimed at the least value: what a first run imports and loads is no cost of it.
    """
    points: list[Point] = []
    for value in values:
        work = piece.prepare(value)
        if not points:
            work.run()
        spent = cpu_seconds(work.run, seconds)
        held = peak_tensor_bytes if piece.tensors else peak_array_bytes
        peak = held(work.run) if spent <= LONGEST else None
        points.append(Point(value, spent / work.units, peak, work.cost / work.units))
        print(f"{piece.name} at {value}: {spent / work.units:.4g} s, {peak} B", file=sys.stderr)
    return Growth(piece.name, piece.unit, piece.why, piece.memory_slope, tuple(points))


def report(axis: Axis, growths: Sequence[Growth]) -> str:
    """The tables of one axis, as Markdown."""
    fixed = axis.fixed[0].upper() + axis.fixed[1:]
    tables = f"{points_table(axis.name, growths)}\n\n{slopes_table(growths)}"
    return f"{fixed}.\n\n{tables}\n\n" + "\n".join(reasons(growths))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the axes that are asked for and prints them."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--axis", nargs="+", choices=list(AXES), default=list(AXES))
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} values of each, once")
    parser.add_argument("--page", type=Path, help="a page whose marked sections are replaced")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)  # and deterministic kernels, as cells run
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if asked.page is not None:  # before hours of measuring: a page without markers is refused
        for name in asked.axis:
            fill(asked.page.read_text(encoding="utf-8"), name, "")
    for name in asked.axis:
        axis = AXES[name]
        values = axis.values[:QUICK] if asked.quick else axis.values
        seconds = 0.0 if asked.quick else SECONDS
        where = measured_where()
        body = report(axis, [grow(piece, values, seconds) for piece in axis.pieces])
        print(f"\n## {axis.name}\n\n{where}\n\n{body}\n", flush=True)
        if asked.page is not None:
            text = asked.page.read_text(encoding="utf-8")
            asked.page.write_text(fill(text, name, f"{where}\n\n{body}"), encoding="utf-8")


if __name__ == "__main__":
    main()
