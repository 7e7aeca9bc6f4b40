"""One display for all cells that run: bars and an ETA on a terminal, lines elsewhere."""

import sys
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TextIO

from benchmarks.machine.events import Event
from benchmarks.machine.stages import StageClock
from leaderboard.render.numbers import duration

STAGE_SHARES = {
    "start": (0.00, 0.02),
    "load": (0.02, 0.03),
    "init": (0.03, 0.04),
    "grounding": (0.04, 0.22),
    "grounding_free": (0.22, 0.24),
    "sft": (0.24, 0.85),
    "validation": (0.85, 0.92),
    "test": (0.92, 0.99),
    "save": (0.99, 1.00),
}
"""Where in a cell's life each stage begins and ends: a rough guess, for bars and ETA alone."""
LINE_EVERY_SECONDS = 60.0


@dataclass
class Running:
    """A cell in flight."""

    label: str
    began: float = field(default_factory=time.monotonic)
    stage: str = "start"
    share: float = 0.0
    clock: StageClock = field(default_factory=StageClock)

    def take(self, event: Event) -> None:
        """Follows one event of the worker."""
        if event["event"] == "stage":
            self.clock.enter(event["stage"])
        begin, end = STAGE_SHARES.get(event["stage"], (self.share, self.share))
        if event["event"] == "progress":
            begin += (end - begin) * event["done"] / max(1, event["total"])
        self.stage = event["stage"]
        self.share = max(self.share, begin)


class RunProgress:
    """What is done, what runs, and how long the rest will take.

    Args:
        total: cells to run.
        workers: cells that run side by side.
        prior: expected seconds of a cell before any has finished; null if unknown.
    """

    def __init__(self, total: int, workers: int, prior: float | None = None) -> None:
        self.total, self.workers, self.prior = total, workers, prior
        self.began = time.monotonic()
        self.seconds: list[float] = []
        self.stages: list[dict[str, float]] = []
        self.failed = 0
        self.running: dict[int, Running] = {}

    @property
    def finished(self) -> int:
        """Cells that ended, well or badly."""
        return len(self.seconds) + self.failed

    @property
    def share(self) -> float:
        """Share of all work that is done."""
        done = self.finished + sum(cell.share for cell in self.running.values())
        return done / max(1, self.total)

    @property
    def expected(self) -> float | None:
        """Seconds of a cell: the mean of those that have ended, else as expected before."""
        return sum(self.seconds) / len(self.seconds) if self.seconds else self.prior

    def eta(self) -> float | None:
        """Seconds to go; null while nothing is known."""
        now = time.monotonic()
        each = self.expected
        if each is None:
            known = [
                (now - cell.began) / cell.share
                for cell in self.running.values()
                if cell.share > 0.1
            ]
            if not known:
                return None
            each = max(known)
        to_go = self.total - self.finished - sum(cell.share for cell in self.running.values())
        side_by_side = min(self.workers, max(1, self.total - self.finished))
        return max(0.0, to_go * each / side_by_side)

    def line(self) -> str:
        """The state in one line."""
        eta = self.eta()
        left = "" if eta is None else f", about {duration(eta)} to go"
        cells = ", ".join(
            f"{cell.label} {cell.share:.0%} ({cell.stage})" for cell in self.running.values()
        )
        return f"{self.finished}/{self.total} cells{left}" + (f"; {cells}" if cells else "")


class Display:
    """Shows a `RunProgress`: live bars where the stream is a terminal, plain lines otherwise."""

    def __init__(self, progress: RunProgress, stream: TextIO = sys.stderr) -> None:
        self.progress, self.stream = progress, stream
        self.live: Any = None
        self.last_line = time.monotonic()

    def __enter__(self) -> "Display":
        """Starts the live display."""
        if self.stream.isatty():
            from rich.console import Console
            from rich.live import Live

            console = Console(file=self.stream)
            self.live = Live(self._bars(), console=console, refresh_per_second=4, transient=True)
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Takes the live display away."""
        if self.live is not None:
            self.live.stop()

    def _bars(self) -> Any:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        progress = self.progress
        table = Table.grid(padding=(0, 2))
        for cell in progress.running.values():
            took = duration(time.monotonic() - cell.began)
            table.add_row(cell.label, cell.stage, ProgressBar(1.0, cell.share, width=32), took)
        eta = progress.eta()
        left = "…" if eta is None else f"{duration(eta)} to go"
        done = f"{progress.finished}/{progress.total} cells"
        table.add_row("all", done, ProgressBar(1.0, progress.share, width=32), left)
        return table

    def refresh(self) -> None:
        """Draws anew; elsewhere than on a terminal writes a line once a minute."""
        if self.live is not None:
            self.live.update(self._bars())
        elif time.monotonic() - self.last_line > LINE_EVERY_SECONDS:
            self.say(self.progress.line())

    def print(self, text: str) -> None:
        """Writes to standard output without disturbing the bars."""
        if self.live is not None:
            self.live.stop()
        print(text, flush=True)
        if self.live is not None:
            self.live.start()

    def say(self, text: str) -> None:
        """Writes a line that stays."""
        self.last_line = time.monotonic()
        if self.live is not None:
            self.live.console.print(text, highlight=False, markup=False)
        else:
            self.stream.write(text + "\n")
            self.stream.flush()
