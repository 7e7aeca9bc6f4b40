"""What a cell says while it runs, one JSON object per line, and what it is told: to end."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any, TextIO

Event = dict[str, Any]
Report = Callable[[Event], None]

MIN_INTERVAL_SECONDS = 0.2

ASKED_TO_END = threading.Event()
"""Set once this process is asked to end: it does at the next moment that loses nothing."""


def silent(event: Event) -> None:
    """Reports nothing."""


class LineReporter:
    """Writes events to a stream; progress within a stage at most a few times a second.

    Args:
        stream: where the lines go; flushed after each.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.last = 0.0

    def __call__(self, event: Event) -> None:
        """Writes `event`, unless it is progress too soon after the last."""
        now = time.monotonic()
        if event["event"] == "progress" and event["done"] < event["total"]:
            if now - self.last < MIN_INTERVAL_SECONDS:
                return
            self.last = now
        self.stream.write(json.dumps(event, allow_nan=False) + "\n")
        self.stream.flush()


Say = Callable[[str], None]
