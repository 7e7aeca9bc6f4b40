"""The engine that runs cells on a Ray cluster.

The driver keeps all decisions: which cell starts, whether one that was lost starts again, what is
written into the results directory. Nodes compute and give bytes.
"""

import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from benchmarks.cluster.connect import Cluster, connected, last_line
from benchmarks.cluster.node import INPUTS, KILLED, UNFIT, Order, cell_files
from benchmarks.cluster.parcel import Parcel, pack
from benchmarks.machine.events import Event, Say
from benchmarks.run.claims import Claim
from benchmarks.run.engine import BROKEN, Engine, EngineError, Events, Work
from benchmarks.run.files_read import check_movable, files_read
from benchmarks.run.options import CommandError, RunOptions
from benchmarks.run.plan import PlannedCell
from benchmarks.run.runner import RunError
from leaderboard.records.canonical import write_atomically
from leaderboard.records.cells import load_cell
from leaderboard.records.record import RecordError
from leaderboard.records.reproductions import reproductions_path
from leaderboard.records.semantic_ids import read_semantic_ids
from leaderboard.records.setting import Setting
from leaderboard.render.numbers import duration

TRIES = 3
"""How often a cell is started that loses its node or its process."""
HANGS_AFTER = 10.0
"""Times its estimate after which a cell is taken to hang."""
HANGS_AT_LEAST = 1800.0
"""Seconds that every cell has, whatever its estimate."""
ARTEFACT = rf"{INPUTS}/[0-9a-f]{{64}}\.npz"
"""The Semantic IDs that a record names, as a file under the results directory."""
TOLD = ("stage", "progress", "note", "failed")
"""Events of a cell that go on to the runner."""
LOOK_SECONDS = 1.0
"""How often it is asked whether a cell hangs, or is to be ended."""


class UnfitNodeError(RuntimeError):
    """A node that cannot run cells; the message names it and says why."""


class NodesGoneError(RuntimeError):
    """None of the nodes that a cell waited for can run it any more; it has not begun."""


class RaySite:
    """A cluster whose nodes were looked at.

    Args:
        cluster: that is connected.
        options: as asked.

    Raises:
        CommandError: cells are to run on GPUs, and no node has one.
    """

    def __init__(self, cluster: Cluster, options: RunOptions) -> None:
        device = options.device
        if device == "auto":
            device = "cuda" if cluster.held("cuda") else "cpu"
        elif device == "cuda" and not cluster.held("cuda"):
            raise CommandError("--device cuda: no node of the Ray cluster has a GPU")
        self.cluster, self.options = cluster, replace(options, device=device)

    def engine(
        self, setting: Setting, cells: Sequence[PlannedCell], expected: float | None
    ) -> Engine:
        """Puts what the cells read where nodes fetch it from."""
        import ray

        check_movable(setting)
        parcel = pack(files_read(setting, cells), ray.put)
        return RayEngine(self.cluster, self.options, parcel, expected)


@contextmanager
def ray_cluster(options: RunOptions, say: Say) -> Iterator[RaySite]:
    """Reaches the Ray cluster that `options` name, while the block lasts."""
    assert options.cluster is not None
    with connected(options.cluster, say) as cluster:
        yield RaySite(cluster, options)


class RayEngine:
    """Cells as tasks of a Ray cluster.

    Args:
        cluster: that is connected.
        options: with the device resolved for the cluster.
        parcel: what the cells read.
        expected: seconds of a cell; null if unknown, and then nothing is taken to hang.
    """

    def __init__(
        self, cluster: Cluster, options: RunOptions, parcel: Parcel, expected: float | None
    ) -> None:
        import ray

        self.cluster, self.options, self.parcel = cluster, options, ray.put(parcel)
        self.limit = None if expected is None else max(HANGS_AT_LEAST, HANGS_AFTER * expected)
        self.ends = cluster.start_ends()

    @property
    def places(self) -> int:
        """As many cells as the cluster's nodes hold by now, at most those asked for."""
        held = self.cluster.places(self.options.device)
        return held if self.options.workers is None else min(held, self.options.num_workers)

    def launch(
        self,
        number: int,
        cell: PlannedCell,
        events: Events,
        claim: Claim | None,
        beside: Collection[Work],
    ) -> Work:
        """Starts a task; Ray finds it a node."""
        return RemoteCell(self, number, cell, events, claim)


class RemoteCell(Work):
    """A cell that runs on some node; followed by a thread, which starts it again where it is lost.

    Args:
        engine: that started it.
        number, cell, claim: as for `Work`.
        events: where it tells what happens.
    """

    def __init__(
        self,
        engine: RayEngine,
        number: int,
        cell: PlannedCell,
        events: Events,
        claim: Claim | None,
    ) -> None:
        super().__init__(number, cell, claim)
        self.engine, self.events = engine, events
        self.done = self.begun = self.ended = False
        self.job = cell.job(engine.options)
        self.task: Any = None
        threading.Thread(target=self._follow, daemon=True).start()

    @property
    def went_well(self) -> bool:
        """Whether its record came home."""
        return self.done

    def message(self) -> str:
        """Why it failed."""
        return "no record came" if self.outcome is None else str(self.outcome["message"])

    def terminate(self) -> None:
        """Asks the node to end the cell; a checkpoint outlives it in the shared folder alone."""
        self.ended = True
        if self.begun:
            self._end()
        else:
            self._cancel()

    def _end(self) -> None:
        with suppress(Exception):  # the cluster may be gone
            self.engine.ends.end.remote(self.number)

    def kill(self) -> None:
        """Ends the task at once, and its process with it."""
        self.ended = True
        self._cancel()
        self.release()

    def _cancel(self) -> None:
        import ray

        with suppress(Exception):  # it may have ended, or the cluster may be gone
            ray.cancel(self.task, force=True)

    def _follow(self) -> None:
        """Until the cell has ended, at most `TRIES` times; then tells the runner."""
        try:
            for count in range(1, TRIES + 1):
                lost = self._try_fit_nodes()
                if lost is None or self.ended:
                    break
                if count == TRIES:
                    self._tell({"event": "failed", "message": f"{lost}; {TRIES} tries"})
                else:
                    self._tell({"event": "note", "message": f"{lost}; starts again"})
        except EngineError as error:
            self._tell({"event": BROKEN, "message": str(error)})
        except Exception as error:  # whatever it is, the runner must hear of it
            message = f"{type(error).__name__}: {error}".replace("\n", " ")
            self._tell({"event": "failed", "message": message[:2000]})
        if self.begun:
            self._end()  # its node waits no more to hear of it
        self.events.put((self.number, None))

    def _try_fit_nodes(self) -> str | None:
        """Runs the cell on a node that can run cells; returns as `_try`.

        Raises:
            EngineError: no node can.
        """
        while True:
            nodes = self.engine.cluster.offered(self.engine.options.device)
            try:
                return self._try(nodes)
            except UnfitNodeError as unfit:
                self._tell({"event": "note", "message": f"{unfit}; no cell starts there again"})
            except NodesGoneError:
                if self.ended:
                    return None
                message = "the nodes that it waited for are gone; waits for others"
                self._tell({"event": "note", "message": message})

    def _tell(self, event: Event) -> None:
        self.events.put((self.number, event))

    def _try(self, nodes: Collection[str]) -> str | None:
        """Runs the cell once, on one of `nodes`; returns how it was lost, null where it was not.

        Raises:
            NodesGoneError: none of them is left, and it has not begun.
            UnfitNodeError: its node cannot run cells.
            RunError: what came from the node is none of it.
        """
        from ray.exceptions import RayError, RayTaskError, TaskCancelledError

        files: dict[str, bytes] = {}
        engine, cluster = self.engine, self.engine.cluster
        shared = cluster.options.shared
        order = Order(self.job, cluster.code, None if shared is None else str(shared.absolute()))
        self.task = cluster.start(order, engine.parcel, engine.ends, self.number, nodes)
        if self.ended:  # meanwhile
            self._cancel()
        contents, node = self._contents(nodes), None
        try:
            node = next(contents).decode()
            self.begun = True
            for content in contents:
                event = json.loads(content)
                if event["event"] == "file":
                    files[event["path"]] = next(contents)
                elif event["event"] == KILLED:
                    return str(event["message"])
                elif event["event"] == UNFIT:
                    cluster.unfit[node] = event["message"]
                    raise UnfitNodeError(event["message"])
                elif event["event"] in TOLD:
                    self._tell(event)
        except TimeoutError as hangs:
            self._cancel()
            return str(hangs)
        except TaskCancelledError:
            return None
        except RayTaskError as error:  # the node's code failed: it would again
            raise RunError(f"a node failed: {last_line(error)}") from None
        except RayError as error:
            if node is None and cluster.all_gone(nodes, self.job.device):
                raise NodesGoneError from None
            return f"lost its node or task ({type(error).__name__})"
        if files:
            self._bring_home(files)
        return None

    def _contents(self, nodes: Collection[str]) -> Iterator[bytes]:
        """What the task gives, as it comes.

        Raises:
            NodesGoneError: it waits for `nodes` alone, and none of them is left.
            TimeoutError: it hangs.
        """
        import ray

        began = None
        while True:
            ready, _ = ray.wait([self.task], timeout=LOOK_SECONDS)
            if ready:
                try:
                    content = ray.get(next(self.task))
                except StopIteration:
                    return
                began = began or time.monotonic()
                yield content
            elif began is None and self.engine.cluster.all_gone(nodes, self.job.device):
                self._cancel()
                raise NodesGoneError
            limit = self.engine.limit
            if began is not None and limit is not None and time.monotonic() - began > limit:
                raise TimeoutError(f"has not ended within {duration(limit)} and was ended")

    def _bring_home(self, files: Mapping[str, bytes]) -> None:
        """Writes what came, the record last, if it is all there and what it says it is.

        Raises:
            RunError: it is not; nothing is written.
        """
        results = self.engine.options.results
        *_, record = expected = cell_files(self.job, results)
        names = [path.relative_to(results).as_posix() for path in expected]
        artefacts = [name for name in files if re.fullmatch(ARTEFACT, name)]
        if len(artefacts) != 1 or set(files) != {*artefacts, *names}:
            raise RunError(f"a node gave other files than a cell's: {', '.join(sorted(files))}")
        self._check(files, artefacts[0], names[-1])
        for name in (*artefacts, *names):
            destination = results.joinpath(*PurePosixPath(name).parts)
            if name not in artefacts or not destination.exists():
                write_atomically(destination, files[name])
        reproductions_path(record).unlink(missing_ok=True)
        self.done = True

    def _check(self, files: Mapping[str, bytes], artefact: str, record: str) -> None:
        """Refuses files that are not whole, or not of this cell; names are those of `files`."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for path, content in files.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content)
            try:
                found = load_cell(folder / record).record
                semantic_ids = read_semantic_ids(folder / artefact).sha256
            except RecordError as error:
                said = str(error).replace(f"{folder}{os.sep}", "")
                raise RunError(f"what came from a node cannot be used: {said}") from None
        if found.cell_hash != self.cell.hash:
            raise RunError(f"a node gave another cell: {found.cell_hash}")
        if not PurePosixPath(artefact).stem == semantic_ids == found.inputs.semantic_ids:
            raise RunError(f"a node gave other Semantic IDs than its record names: {semantic_ids}")
