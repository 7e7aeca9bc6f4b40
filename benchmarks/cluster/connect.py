"""Connects to a Ray cluster, and looks at its nodes before anything is sent to them."""

import ipaddress
import os
import signal
import socket
import threading
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from benchmarks.cluster import node as node_module
from benchmarks.cluster.about import own_code
from benchmarks.cluster.node import Order, ask_node, code_words, run_order
from benchmarks.machine.events import Say
from benchmarks.run.engine import EngineError
from benchmarks.run.options import CommandError, OnCluster

AUTH = "RAY_AUTH_MODE"
"""Ray's variable: with "token" a cluster serves those alone who know its token."""
ADDRESS = "RAY_ADDRESS"
"""Ray's variable: the cluster that "auto" names; unset: the one that runs on this machine."""
TLS = "RAY_USE_TLS"
"""Ray's variable: its servers talk by TLS."""
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""How a client of HTTP/2, which Ray's servers speak, begins (RFC 9113, 3.4)."""
SETTINGS = 4
"""The kind of the frame that a server of HTTP/2 begins with; it stands after the length."""
CONNECT_SECONDS = 10.0
"""What an address has to answer."""
ASK_SECONDS = 120.0
"""What a node has to say what is installed on it: torch is imported once."""


@dataclass(frozen=True)
class Cluster:
    """A cluster whose nodes have the code that is here.

    Attributes:
        options: how it was asked for.
        code: the driver's, which nodes must have too.
        say: takes a line about a node that joins and gets no cells.
        fit: nodes that were looked at and can run cells: no other gets one.
        unfit: nodes that have shown that they cannot, and why not.
    """

    options: OnCluster
    code: Mapping[str, Any]
    say: Say
    fit: set[str] = field(default_factory=set)
    unfit: dict[str, str] = field(default_factory=dict)
    _looking: threading.Lock = field(default_factory=threading.Lock)

    def held(self, device: str) -> int:
        """How many cells its nodes hold at a time, on this kind of device."""
        return sum(self._room(device).values())

    def _room(self, device: str) -> dict[str, int]:
        """How many cells each node holds that can run any by now."""
        import ray

        alive = [node for node in ray.nodes() if node["Alive"]]
        self._look_at_new(alive)
        found = {}
        for node in alive:
            if node["NodeID"] in self.fit and node["NodeID"] not in self.unfit:
                has = node["Resources"]
                cells = int(has.get("CPU", 0.0))
                if device == "cuda":  # a cell's share is of one GPU
                    gpus = int(has.get("GPU", 0.0))
                    cells = min(cells, gpus * int(1 / self.options.gpus_per_cell))
                found[node["NodeID"]] = cells
        return {node: cells for node, cells in found.items() if cells}

    def places(self, device: str) -> int:
        """As `held`, at least one.

        Raises:
            EngineError: none: a task would wait for ever.
        """
        if found := self.held(device):
            return found
        raise self._nowhere()

    def offered(self, device: str) -> frozenset[str]:
        """The nodes that a cell may run on which starts now.

        Raises:
            EngineError: none.
        """
        if room := self._room(device):
            return frozenset(room)
        raise self._nowhere()

    def all_gone(self, nodes: Collection[str], device: str) -> bool:
        """Whether none of `nodes` can run cells any more: who waits for them waits for ever."""
        return self._room(device).keys().isdisjoint(nodes)

    def _nowhere(self) -> EngineError:
        """That no node can run cells, and why."""
        why = list(self.unfit.values())[-1] if self.unfit else "the last one has left the cluster"
        return EngineError(f"no node is left that can run cells: {why}")

    def _look_at_new(self, nodes: Sequence[Mapping[str, Any]]) -> None:
        """Sorts those of `nodes` that have joined by whether they can run cells."""
        with self._looking:
            known = self.fit | self.unfit.keys()
            new = [node for node in nodes if node["NodeID"] not in known]
            for node, answer in zip(new, _answers(new), strict=True):
                if (why := _why_not(node, answer, self.code)) is None:
                    self.fit.add(node["NodeID"])
                    continue
                self.unfit[node["NodeID"]] = why
                self.say(f"note: {why}; no cell starts there")

    def start(
        self, order: Order, parcel: Any, ends: Any, number: int, nodes: Collection[str]
    ) -> Any:
        """Starts the task of a cell, on the first of `nodes` that has room for it.

        Returns:
            What its events and files come from, one by one.
        """
        needs: dict[str, Any] = {"num_cpus": 1}
        if order.job.device == "cuda":
            needs["num_gpus"] = self.options.gpus_per_cell
        needs["label_selector"] = {"ray.io/node-id": f"in({','.join(sorted(nodes))})"}
        task = _task().options(max_retries=0, num_returns="streaming", **needs)
        return task.remote(order, parcel, ends, number)

    def start_ends(self) -> Any:
        """An actor beside the driver that nodes wait on, to hear that a cell is to end."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor: Any = ray.remote(num_cpus=0, scheduling_strategy=here)(Ends)
        return actor.remote()


class Ends:
    """Which cells are to end, or have ended.

    A call that waits holds one of the actor's places (1,000 in Ray), so each returns in the end.
    """

    def __init__(self) -> None:
        import asyncio

        self.waited: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self.due: set[int] = set()

    async def end(self, number: int) -> None:
        """The cell of this number is to end, or has ended."""
        self.due.add(number)
        if number in self.waited:
            self.waited.pop(number).set()

    async def wait(self, number: int) -> None:
        """Returns once the cell of this number is to end, or has ended."""
        if number not in self.due:
            await self.waited[number].wait()


def _work(order: Order, parcel: Any, ends: Any, number: int) -> Iterator[bytes]:
    """The task of a cell; it first names its node."""
    import ray

    yield str(ray.get_runtime_context().get_node_id()).encode()

    def wait_for_end() -> None:
        ray.get(ends.wait.remote(number))

    yield from run_order(order, parcel, ray.get, wait_for_end)


@cache
def _task() -> Any:
    """`_work` for Ray, which sends it to the cluster once."""
    import ray

    return ray.remote(_work)


@contextmanager
def connected(options: OnCluster, say: Say) -> Iterator[Cluster]:
    """The cluster at the address of `options`, while the block lasts.

    Raises:
        CommandError: Ray is not installed here, there is no cluster, it has another version of Ray,
            it is open to others on a network, or a node lacks the package or has another version.
        EngineError: the cluster fails within the block.
    """
    try:
        import ray
        from ray.exceptions import RayError
    except ImportError:
        raise CommandError(
            "--engine ray needs Ray: pip install 'gti-bench[ray]', here and on all nodes"
        ) from None
    address = _address(options)
    _check_address(address)
    former = signal.getsignal(signal.SIGTERM)
    try:
        # Its own log of what workers print is not ours: cells tell what they do by events.
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (RayError, ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise CommandError(_refused_words(address, error)) from None
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, former)  # Ray has put its own in place of the run's
    try:
        code = own_code()
        yield Cluster(options, code, say, _check_nodes(code, say))
    except RayError as error:
        raise EngineError(f"the Ray cluster failed: {_in_words(error)}") from None
    finally:
        ray.shutdown()


def _address(options: OnCluster) -> str:
    """Where the cluster is; Ray itself goes by its variable wherever it is asked for "auto"."""
    return options.address if options.address != "auto" else os.environ.get(ADDRESS) or "auto"


def _check_address(address: str) -> None:
    """Refuses one that is none or nobody's, where Ray asks for no token, or nothing answers.

    Ray itself would try for minutes.
    """
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or "://" in host or not port.isdecimal():
        raise CommandError(f"--address (or ${ADDRESS}) takes HOST:PORT or auto, found {address!r}")
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError) as error:
        raise CommandError(_absent_words(address, str(error))) from None
    if not _is_here(host) and os.environ.get(AUTH) != "token":
        raise CommandError(_open_words(f"--address {address}"))
    try:
        with socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS) as server:
            may_be_ray = os.environ.get(TLS, "0") not in ("0", "false") or _greets(server)
    except (OSError, OverflowError) as error:
        raise CommandError(_absent_words(address, str(error))) from None
    if not may_be_ray:
        raise CommandError(_absent_words(address, "what answers there is something else"))


def _greets(server: socket.socket) -> bool:
    """Whether `server` answers as Ray's servers do, and not as a dashboard or another web page."""
    server.sendall(GREETING)
    with server.makefile("rb") as answer:
        return answer.read(4)[3:] == bytes((SETTINGS,))


def _absent_words(address: str, why: str) -> str:
    return (
        f"no Ray cluster at {address}: {why}; `ray start --head` starts one, and"
        " `ray start --address=HOST:PORT` on other nodes joins it"
    )


def _refused_words(address: str, error: Exception) -> str:
    """Why Ray did not connect to `address`."""
    from ray.exceptions import RayError

    why = str(error).strip()
    if isinstance(error, RayError):  # something answers there
        return f"the Ray cluster at {address} cannot be used: {_in_words(error)}"
    if why.startswith("Version mismatch"):  # its lines name both versions
        return (
            f"the Ray cluster at {address} is of another version: {' '.join(why.split())}; install"
            " the same Ray and Python here and there"
        )
    return _absent_words(address, why.partition("\n")[0] or type(error).__name__)


def _in_words(error: Exception) -> str:
    """The kind of an error of Ray's, and its first line."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}".rstrip(": ")


def _open_words(what: str) -> str:
    return (
        f"{what}: whoever reaches a Ray cluster without a token runs code on it, and on those that"
        f" connect to it; start all nodes with {AUTH}=token and one token"
        f" (`ray get-auth-token --generate`), and set {AUTH}=token here"
    )


def _is_here(host: str) -> bool:
    """Whether `host` is an address of this machine."""
    try:
        address = ipaddress.ip_address(socket.gethostbyname(host))
    except (OSError, ValueError):
        return False
    if address.is_loopback:
        return True
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))  # only an own address can be bound
        except OSError:
            return False
    return True


def _check_nodes(code: Mapping[str, Any], say: Say) -> set[str]:
    """Asks each node what is installed there; says in what they differ, and refuses other code.

    Returns:
        The nodes that answered.
    """
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"]]
    have: dict[str, Mapping[str, Any]] = {}
    fit: set[str] = set()
    for node, answer in zip(nodes, _answers(nodes), strict=True):
        why = _why_not(node, answer, code)
        if why is not None and "silent" not in answer:
            raise CommandError(why)
        if why is not None:  # it may have died, and is looked at again if it has not
            say(f"note: {why}")
            continue
        have[_name(node)] = answer["environment"]
        fit.add(node["NodeID"])
    for line in differences(have):
        say(f"note: {line}")
    return fit


def _name(node: Mapping[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"


def _answers(nodes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """As `_told_by`; {"open": True} of other machines that anybody may reach, which are not asked.

    Their answers would be unpickled here.
    """
    closed = os.environ.get(AUTH) == "token"
    asked = [node for node in nodes if closed or _is_here(_ip(node))]
    told = iter(_told_by(asked))
    return [next(told) if node in asked else {"open": True} for node in nodes]


def _why_not(
    node: Mapping[str, Any], answer: Mapping[str, Any], code: Mapping[str, Any]
) -> str | None:
    """Why `node`, which gave this answer, cannot run cells; null where it can."""
    name = _name(node)
    if "open" in answer:
        return _open_words(f"node {name} is another machine")
    if "silent" in answer:
        return f"node {name} does not answer ({answer['silent']})"
    if "error" in answer:
        return f"node {name} cannot run gti-bench: {answer['error']}; install it there as here"
    if answer["code"] != dict(code):
        return (
            f"node {name} has {code_words(answer['code'])}, here is {code_words(code)}; install the"
            " same on all nodes"
        )
    return None


def last_line(error: Exception) -> str:
    """What went wrong, below the trace that Ray puts before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _ip(node: Mapping[str, Any]) -> str:
    return str(node["NodeManagerAddress"])


def _told_by(nodes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What each node says of itself, {"error": why it cannot}, or {"silent": what happened}."""
    import ray
    from ray.exceptions import RayError, RayTaskError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # By value, since the package may be missing there.
    ray.cloudpickle.register_pickle_by_value(node_module)
    try:
        tasks = [
            ray.remote(
                num_cpus=0,
                max_retries=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
            )(ask_node).remote()
            for node in nodes
        ]
    finally:
        ray.cloudpickle.unregister_pickle_by_value(node_module)
    told: list[dict[str, Any]] = []
    for task in tasks:
        try:
            told.append(ray.get(task, timeout=ASK_SECONDS))
        except RayTaskError as error:
            told.append({"error": last_line(error)})
        except RayError as error:
            told.append({"silent": type(error).__name__})
    return told


def differences(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for each thing in which the environments of nodes differ, by the nodes' names.

    Records of such nodes are not of one kind of machine.
    """
    lines = []
    for thing in sorted({thing for each in found.values() for thing in each}):
        have: dict[str, list[str]] = {}
        for name, each in found.items():
            have.setdefault(str(each.get(thing, "missing")), []).append(name)
        if len(have) > 1:
            words = "; ".join(f"{value} on {', '.join(who)}" for value, who in have.items())
            lines.append(f"nodes differ in {thing}: {words}")
    return lines
