"""Cells on their way, as the runner sees them, wherever they run."""

import queue
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from benchmarks.machine.events import Event, Say
from benchmarks.run.claims import Claim
from benchmarks.run.options import RunOptions
from benchmarks.run.plan import PlannedCell
from leaderboard.records.setting import Setting

Events = queue.Queue[tuple[int, Event | None]]
"""Pairs of a worker's number and its event; the event is null when the process has ended."""
BROKEN = "broken"
"""The event of a cell that found that no cell can run any more."""


class EngineError(RuntimeError):
    """No cell can run any more; the message says why. What has come home is kept."""


class Work(ABC):
    """A cell on its way, wherever it runs.

    Args:
        number: names it in the queue of events.
        cell: what runs.
        claim: on the cell, released when it has ended; null where no other run can come by.

    Attributes:
        outcome: the event that told of a failure; null without one.
    """

    def __init__(self, number: int, cell: PlannedCell, claim: Claim | None) -> None:
        self.number, self.cell, self.claim = number, cell, claim
        self.outcome: Event | None = None

    @property
    @abstractmethod
    def went_well(self) -> bool:
        """Whether it has ended, and its record was written."""

    @abstractmethod
    def message(self) -> str:
        """Why it failed, in one line."""

    @abstractmethod
    def terminate(self) -> None:
        """Asks it to write a checkpoint and end."""

    @abstractmethod
    def kill(self) -> None:
        """Ends it at once; its cell leaves no record behind."""

    def release(self) -> None:
        """Lets go of the cell; the work must have ended."""
        if self.claim is not None:
            self.claim.release()


class Engine(Protocol):
    """Where cells run: in processes of this machine, or elsewhere."""

    @property
    def places(self) -> int:
        """How many cells run side by side, by now.

        Raises:
            EngineError: no cell can run any more.
        """
        ...

    def launch(
        self,
        number: int,
        cell: PlannedCell,
        events: Events,
        claim: Claim | None,
        beside: Collection[Work],
    ) -> Work:
        """Starts `cell`, beside the cells that run already."""
        ...


class Site(Protocol):
    """Where the cells of a run are computed, once it is reached.

    Attributes:
        options: as asked, with what "auto" and null mean there.
    """

    options: RunOptions

    def engine(
        self, setting: Setting, cells: Sequence[PlannedCell], expected: float | None
    ) -> Engine:
        """What runs `cells`, whose inputs have been made ready here.

        Args:
            setting: of the cells.
            cells: to run.
            expected: seconds of a cell; null if unknown.

        Raises:
            EngineError: no cell can run here.
        """
        ...


Reach = Callable[[RunOptions, Say], AbstractContextManager[Site]]
"""Makes a site ready as the options ask, for as long as cells run there."""
