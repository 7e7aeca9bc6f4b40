"""Times two ways of doing the same in one run, alternating, and makes a table of the ratios."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch.profiler import ProfilerActivity, profile


@dataclass(frozen=True)
class Comparison:
    """One line of the table.

    Attributes:
        what: what is done.
        plain, fast: units per second of processor time, best of the rounds, the plain way and ours.
        unit: what is counted.
        plain_peak, fast_peak: bytes of tensors at the peak, above those held before; null where
            they were not measured.
    """

    what: str
    plain: float
    fast: float
    unit: str
    plain_peak: int | None
    fast_peak: int | None

    @property
    def ratio(self) -> float:
        """How many times as fast ours is."""
        return self.fast / self.plain


def peak_tensor_bytes(work: Callable[[], object]) -> int:
    """Most bytes of tensors alive at once during `work`, above those alive before it.

    Counted from the allocator's own events, so the number is the same on a busy machine, and
    neither Python's memory nor the allocator's reserve is in it.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    events: Any = profiler.profiler.kineto_results.events()
    changes = sorted(
        (event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"
    )
    alive = peak = 0
    for _, change in changes:
        alive += change
        peak = max(peak, alive)
    return peak


class SideBySide:
    """Runs the comparisons of one session and keeps their results."""

    def __init__(self) -> None:
        self.results: list[Comparison] = []

    def run(
        self,
        benchmark: Any,
        what: str,
        plain: Callable[[], object],
        fast: Callable[[], object],
        *,
        units: int,
        unit: str,
        plain_units: int | None = None,
        rounds: int = 3,
        memory: bool = False,
    ) -> None:
        """Times `plain` and `fast` in turn, after one untimed round of both.

        Both run in one thread, so that processor time is what they take on a quiet machine, and
        the best round counts: what else the machine does can only slow a round down.

        Args:
            benchmark: pytest-benchmark's fixture; its own table shows `fast`.
            what: the line's name.
            plain: the plain way.
            fast: ours.
            units: how many units one call handles.
            unit: their name.
            plain_units: how many one call of `plain` handles; default: as many.
            rounds: timed rounds of each.
            memory: whether to run both once more for their peak memory.
        """
        seconds: dict[str, list[float]] = {"plain": [], "fast": []}

        def timed(way: str, work: Callable[[], object]) -> None:
            began = time.process_time()
            work()
            seconds[way].append(time.process_time() - began)

        benchmark.pedantic(
            lambda: timed("fast", fast),
            setup=lambda: timed("plain", plain),
            rounds=rounds,
            warmup_rounds=1,
        )
        # Under --benchmark-disable there is a single round, and no untimed one before it.
        best = {way: min(times[1:] or times) for way, times in seconds.items()}
        comparison = Comparison(
            what,
            (plain_units or units) / best["plain"],
            units / best["fast"],
            unit,
            peak_tensor_bytes(plain) if memory else None,
            peak_tensor_bytes(fast) if memory else None,
        )
        benchmark.extra_info.update(vars(comparison) | {"ratio": comparison.ratio})
        self.results.append(comparison)

    def table(self) -> list[str]:
        """The lines of the table, ready to print."""
        header = ("what", "per second", "plain", "fast", "ratio", "peak plain", "peak fast")
        rows = [header] + [
            (
                result.what,
                result.unit,
                f"{result.plain:,.1f}",
                f"{result.fast:,.1f}",
                f"{result.ratio:.2f}",
                _mebibytes(result.plain_peak),
                _mebibytes(result.fast_peak),
            )
            for result in self.results
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
        return [
            "  ".join(
                cell.ljust(width) if column < 2 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]


def _mebibytes(count: int | None) -> str:
    return "" if count is None else f"{count / 2**20:,.1f} MiB"
