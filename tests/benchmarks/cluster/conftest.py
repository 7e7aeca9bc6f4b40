"""A real Ray cluster on this machine, each of its nodes with a cache of its own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
RAY = Path(sys.executable).with_name("ray")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def processes_with(variable: str) -> dict[int, str]:
    """Number → command of each process in whose environment `variable` (as A=B) stands."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            try:
                if variable.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(folder.name)] = command.decode(errors="replace")
            except OSError:
                continue  # it has ended
    return found


class RayNode:
    """A node of a cluster: what `ray start` starts, with a cache of its own.

    Args:
        folder: for its cache.
        arguments: for `ray start`.
        before: a command that runs it, as on another host.
        variables: of its environment, beside the tests' own.
    """

    def __init__(
        self, folder: Path, *arguments: str, before: Sequence[str] = (), **variables: str
    ) -> None:
        self.cache = folder / "cache"
        self.mark = f"GTI_BENCH_CACHE={variables.get('GTI_BENCH_CACHE', self.cache)}"
        environment = {
            **os.environ,
            "RAY_AUTH_MODE": "disabled",
            "RAY_DISABLE_IMPORT_WARNING": "1",
            "GTI_BENCH_CACHE": str(self.cache),
            **variables,
        }
        environment.pop("GTI_BENCH_DATA", None)
        command = [*before, str(RAY), "start", "--num-cpus=1", "--disable-usage-stats", *arguments]
        folder.mkdir(parents=True)
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            self.kill()
            raise AssertionError(done.stdout + done.stderr)

    def cells(self) -> list[int]:
        """The processes in which it runs cells."""
        found = processes_with(self.mark).items()
        return [number for number, command in found if "benchmarks.cell.worker" in command]

    def kill(self) -> None:
        """Ends all of it at once, as a power cut would."""
        while found := processes_with(self.mark):
            for number in found:
                try:
                    os.kill(number, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.05)


class RayNodes:
    """A cluster, its head on this machine, to which nodes can be added.

    Args:
        folder: for the nodes' caches.
        variables: of the head's environment.
    """

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder, self.nodes = folder, list[RayNode]()
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.add("--head", f"--port={self.port}", "--include-dashboard=false", **variables)

    def add(self, *arguments: str, **variables: str) -> RayNode:
        """Another node of one core."""
        own = arguments or (f"--address={self.address}",)
        folder = self.folder / f"node-{len(self.nodes)}"
        self.nodes.append(RayNode(folder, *own, **variables))
        return self.nodes[-1]

    def end(self) -> None:
        for node in reversed(self.nodes):
            node.kill()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Callable[..., RayNodes]]:
    """`cluster(3)`: a cluster of so many nodes; more arguments are variables of its head."""
    pytest.importorskip("ray", reason="tox -e cluster runs these")
    made: list[RayNodes] = []

    def start(count: int, **variables: str) -> RayNodes:
        made.append(RayNodes(tmp_path / "cluster", **variables))
        for _ in range(count - 1):
            made[-1].add()
        return made[-1]

    yield start
    for each in made:
        each.end()


@pytest.fixture
def start_node() -> Iterator[Callable[..., RayNode]]:
    """`start_node(folder, *arguments)`: a single node, ended with the test."""
    made: list[RayNode] = []

    def start(folder: Path, *arguments: str, **others: Any) -> RayNode:
        made.append(RayNode(folder, *arguments, **others))
        return made[-1]

    yield start
    for node in reversed(made):
        node.kill()


class Hosts:
    """Two network namespaces with a cable between them, for nodes with addresses of their own."""

    def __init__(self) -> None:
        number = os.getpid() % 100_000  # others may have theirs on this machine
        self.names = tuple(f"gti{number}{letter}" for letter in "ab")
        self.addresses = tuple(f"10.213.{number % 250}.{host}" for host in (1, 2))

    def start(self) -> None:
        first, second = self.names
        self._ip("netns", "add", first)
        self._ip("netns", "add", second)
        cable = ("eth0", "netns", first, "type", "veth", "peer", "eth0", "netns", second)
        self._ip("link", "add", *cable)
        for name, address in zip(self.names, self.addresses, strict=True):
            self._ip("-n", name, "link", "set", "lo", "up")
            self._ip("-n", name, "link", "set", "eth0", "up")
            self._ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")

    def end(self) -> None:
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def before(self, host: int) -> list[str]:
        """What runs a command on a host, 0 or 1."""
        return ["ip", "netns", "exec", self.names[host]]

    def _ip(self, *arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    """Two hosts; skips where this machine lets nobody make them."""
    pytest.importorskip("ray", reason="tox -e cluster runs these")
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("hosts of its own need root, and iproute2")
    made = Hosts()
    try:
        made.start()
        yield made
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
    finally:
        made.end()


@pytest.fixture(scope="session")
def setting(tmp_path_factory: pytest.TempPathFactory, write_setting: Callable[..., Path]) -> Path:
    """The tiny setting, its data named as on another machine."""
    folder = tmp_path_factory.mktemp("setting")
    path = write_setting(folder, passes="0.5", validation_users="4")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(f"lcrec:{folder / 'data' / 'tiny'}", "tiny"), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def run(setting: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """`run(results, *arguments)`: `gti-bench run` of the setting, started."""

    def start(
        results: Path, *arguments: object, before: Sequence[str] = (), **variables: str
    ) -> "subprocess.Popen[str]":
        command = [*before, sys.executable, "-m", "benchmarks.cli.app", "run", setting]
        command += ["--results", results, "--offline", *arguments]
        return subprocess.Popen(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Tests that a shell runs in the background inherit that SIGINT is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "GTI_BENCH_DATA": str(setting.parent / "data"),
                "RAY_AUTH_MODE": "disabled",
                "COLUMNS": "120",
                **variables,
            },
        )

    return start


@pytest.fixture(scope="session")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, run: Callable[..., "subprocess.Popen[str]"]
) -> Path:
    """Results of a run on this machine; made only where Ray can be set beside it."""
    pytest.importorskip("ray", reason="tox -e cluster runs these")
    results = tmp_path_factory.mktemp("undisturbed") / "results"
    told, _ = run(results, "--methods", "mean,gti,lc_rec", "--seeds", "0,1").communicate()
    assert len(list(results.glob("tiny/*/seed-1.json"))) >= 3, told
    shutil.rmtree(results / "tiny" / "popularity", ignore_errors=True)
    return results
