"""How the cost of each piece of a cell grows with the sizes that a setting chooses.

`python -m benchmarks.perf.growth` measures every axis; `--axis items beam` these two; `--quick` the
first three values of each, once. Prints, per axis, processor time and peak memory at each value,
and the slopes on logarithmic scales beside the expected ones. One thread, `nano`, made-up data.
"""

import argparse
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence

from benchmarks.perf.growth_axes import AXES, Axis, Piece
from benchmarks.perf.growth_fit import Growth, Point, points_table, reasons, slopes_table
from benchmarks.perf.side_by_side import peak_tensor_bytes

SECONDS = 0.5
"""Processor time after which a piece is not run again at the same value."""
ROUNDS = 5
"""Runs at one value, at most; the quickest counts."""
LONGEST = 5.0
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
    """Measures `piece` at each of `values`, ascending; a line to stderr for each."""
    points = []
    for value in values:
        work = piece.prepare(value)
        spent = cpu_seconds(work.run, seconds)
        held = peak_tensor_bytes if piece.tensors else peak_array_bytes
        peak = held(work.run) if spent <= LONGEST else None
        points.append(Point(value, spent / work.units, peak, work.cost / work.units))
        print(f"{piece.name} at {value}: {spent / work.units:.4g} s, {peak} B", file=sys.stderr)
    return Growth(piece.name, piece.unit, piece.why, piece.memory_slope, tuple(points))


def show(axis: Axis, growths: Sequence[Growth]) -> None:
    """Prints the tables of one axis."""
    print(f"\n## {axis.name}: {axis.fixed}\n")
    print(points_table(axis.name, growths))
    print(f"\n{slopes_table(growths)}\n")
    print("\n".join(reasons(growths)), flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the axes that are asked for and prints them."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--axis", nargs="+", choices=list(AXES), default=list(AXES))
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} values of each, once")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)  # and deterministic kernels, as cells run
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    for name in asked.axis:
        axis = AXES[name]
        values = axis.values[:QUICK] if asked.quick else axis.values
        seconds = 0.0 if asked.quick else SECONDS
        show(axis, [grow(piece, values, seconds) for piece in axis.pieces])


if __name__ == "__main__":
    main()
