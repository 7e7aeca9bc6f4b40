"""When a run ends before its cells do: at the time that `--stop-after` gives, or on SIGTERM."""

import _thread
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Literal

from benchmarks.run.options import CommandError

SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float:
    """Seconds of a time such as "90s", "50m" or "2h".

    Raises:
        CommandError: `text` is none, or no time at all.
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smh])", text)
    if found is None or float(found[1]) == 0:
        raise CommandError(f"--stop-after takes a time such as 90s, 50m or 2h, found {text!r}")
    return float(found[1]) * SECONDS[found[2]]


class StopError(BaseException):
    """The run is to end now: raised in the main thread where nothing else would end it.

    Like an interrupt it is no `Exception`, so that nothing takes it for an error of its own.
    """


class Stop:
    """What ends a run early, while it is entered: its time, and SIGTERM.

    Either raises `StopError` in the main thread, or, within `orderly`, is only noted down.

    Args:
        after: seconds from now; null: no time.
    """

    def __init__(self, after: float | None = None) -> None:
        self.after = after
        self.began = time.monotonic()
        self.reason: Literal["time", "signal"] | None = None
        self._timed_out = self._in_order = False
        self._timer: threading.Timer | None = None
        self._former: Any = None

    def __enter__(self) -> "Stop":
        """From here on the time and the signal count."""
        if threading.current_thread() is threading.main_thread():  # no other can be signalled
            self._former = signal.signal(signal.SIGTERM, self._note)
            if self.after is not None and self.after < threading.TIMEOUT_MAX:
                self._timer = threading.Timer(max(0.0, self.left or 0.0), self._time_out)
                self._timer.daemon = True
                self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """SIGTERM does again what it did before."""
        if self._timer is not None:
            self._timer.cancel()
        if self._former is not None:
            signal.signal(signal.SIGTERM, self._former)

    def _time_out(self) -> None:
        self._timed_out = True
        _thread.interrupt_main(signal.SIGTERM)  # calls `_note` in the main thread

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Notes the first reason alone: a second one must not disturb the ending."""
        if self.reason is not None:
            return
        self.reason = "time" if self._timed_out else "signal"
        if not self._in_order:
            raise StopError

    @contextmanager
    def orderly(self) -> Iterator[None]:
        """Within it nothing is raised: whoever enters it looks at `due`."""
        self._in_order = True
        try:
            yield
        finally:
            self._in_order = False

    @property
    def due(self) -> bool:
        """Whether the run is to end now."""
        return self.reason is not None

    @property
    def left(self) -> float | None:
        """Seconds that are left; null without a time."""
        return None if self.after is None else self.after - (time.monotonic() - self.began)

    def allows(self, expected: float | None, *, resumed: bool) -> bool:
        """Whether a cell may start now.

        One that would not end in time may not, unless no run of this length would ever end it: then
        its checkpoints carry it from run to run.

        Args:
            expected: seconds that the cell will take; null if unknown.
            resumed: it goes on from a checkpoint, so that it takes less.
        """
        if self.after is None or expected is None or resumed:
            return not self.due
        left = self.left
        assert left is not None
        return not self.due and (expected <= left or expected > self.after)
