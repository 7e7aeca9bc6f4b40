"""Times two ways of doing the same in one run, alternating, and makes a table of the ratios."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from benchmarks.perf.timing import clock_of, peak_bytes

Peaks = tuple[int | None, int | None]


@dataclass(frozen=True)
class Comparison:
    """One line of the table.

    Attributes:
        what: what is done.
        plain, fast: units per second, best of the rounds, the plain way and ours.
        unit: what is counted.
        plain_peak, fast_peak: bytes at the peak, above those held before; null where they were not
            measured.
        plain_batches: units per call → units per second, where the plain way had several.
    """

    what: str
    plain: float
    fast: float
    unit: str
    plain_peak: int | None
    fast_peak: int | None
    plain_batches: Mapping[int, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """How many times as fast ours is."""
        return self.fast / self.plain


class SideBySide:
    """Runs the comparisons of one session and keeps their results.

    Args:
        device: where they run.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.clock = device, clock_of(device)
        self.results: list[Comparison] = []

    def run(
        self,
        benchmark: Any,
        what: str,
        plain: Callable[[], object] | Mapping[int, Callable[[], object]],
        fast: Callable[[], object],
        *,
        units: int,
        unit: str,
        rounds: int = 3,
        warm: bool = True,
        peaks: Peaks | None = None,
    ) -> None:
        """Times `plain` and `fast` in turn, after one untimed round of both.

        The best round counts: what else the machine does can only slow a round down. Both run once
        more for their peak memory.

        Args:
            benchmark: pytest-benchmark's fixture; its own table shows `fast`.
            what: the line's name; "{plain}" in it becomes the units of a call of the plain way.
            plain: the plain way, or several by how many units one call handles: the quickest per
                unit counts.
            fast: ours.
            units: how many units one call handles.
            unit: their name.
            rounds: timed rounds of each.
            warm: whether there is an untimed round; without it what is loaded once counts.
            peaks: peak memory of both in bytes, where it was measured in another way.
        """
        ways = plain if isinstance(plain, Mapping) else {units: plain}
        seconds: dict[int, list[float]] = {size: [] for size in ways}
        ours: list[float] = []

        def timed(times: list[float], work: Callable[[], object]) -> None:
            began = self.clock()
            work()
            times.append(self.clock() - began)

        def time_plain() -> None:
            for size, work in ways.items():
                timed(seconds[size], work)

        benchmark.pedantic(
            lambda: timed(ours, fast),
            setup=time_plain,
            rounds=rounds,
            warmup_rounds=int(warm),
        )
        # Under --benchmark-disable there is a single round, and no untimed one before it.
        rates = {size: size / _best(times, warm) for size, times in seconds.items()}
        best = max(rates, key=lambda size: rates[size])
        if peaks is None:
            peaks = (peak_bytes(ways[best], self.device), peak_bytes(fast, self.device))
        comparison = Comparison(
            what.replace("{plain}", str(best)),
            rates[best],
            units / _best(ours, warm),
            unit,
            *peaks,
            rates if len(rates) > 1 else {},
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
        lines = [
            "  ".join(
                cell.ljust(width) if column < 2 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        return lines + [_batches(result) for result in self.results if result.plain_batches]


def _best(times: Sequence[float], warm: bool) -> float:
    return min((times[1:] if warm else times) or times)


def _batches(result: Comparison) -> str:
    """The plain way's rate at every batch size it was given."""
    rates = (f"{size}: {rate:,.2f}" for size, rate in sorted(result.plain_batches.items()))
    return f"{result.what}: {result.unit} per second of the plain way by batch: {', '.join(rates)}"


def _mebibytes(count: int | None) -> str:
    return "" if count is None else f"{count / 2**20:,.1f} MiB"
