"""Claims: which run works on a cell, so that runs that share a results directory do none twice.

A claim is the file `seed-N.running` beside where the record will stand. It is made with O_EXCL, so
that of two runs one gets it, says who made it, and is removed when the cell has ended. A run that
was killed leaves it behind. It counts no more once its process is gone, where that can be asked: on
the same machine; elsewhere once its time of change, which the run renews every
`HEARTBEAT_SECONDS`, is older than `STALE_SECONDS` by the clock of the file system.
"""

import json
import os
import platform
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

HEARTBEAT_SECONDS = 15.0
STALE_SECONDS = 20 * HEARTBEAT_SECONDS
"""Also longer than a network file system may show an old time (a minute, usually)."""


def claim_path(record: Path) -> Path:
    """The claim beside the record file `record`."""
    return record.with_suffix(".running")


@dataclass
class Claim:
    """A claim that this process holds.

    Attributes:
        path: of its file.
        content: what this process wrote there.
        beaten: when it was last renewed, by the monotonic clock.
    """

    path: Path
    content: bytes
    beaten: float = field(default_factory=time.monotonic)

    @classmethod
    def take(cls, record: Path) -> "Claim | None":
        """Claims the cell whose record is `record`; null where another run holds it."""
        path, content = claim_path(record), _own_content()
        path.parent.mkdir(parents=True, exist_ok=True)
        if _create(path, content) or (_clear(path) and _create(path, content)):
            return cls(path, content)
        return None

    @property
    def is_own(self) -> bool:
        """Whether no other run took it over, as when this one was suspended for long."""
        return _read(self.path) == self.content

    def beat(self) -> bool:
        """Renews it where it is time; false where another run has taken it over."""
        now = time.monotonic()
        if now - self.beaten < HEARTBEAT_SECONDS:
            return True
        self.beaten = now
        if not self.is_own:
            return False
        try:
            os.utime(self.path)
        except FileNotFoundError:
            return False
        return True

    def release(self) -> None:
        """Removes it, unless another run has taken it over."""
        if self.is_own:
            self.path.unlink(missing_ok=True)


def holder(record: Path) -> str:
    """Who claims the cell whose record is `record`, in words."""
    content = _parsed(_read(claim_path(record)) or b"")
    if content is None:
        return "unknown"
    return f"process {content['pid']} on {content['host']}, since {content['since']}"


def _read(path: Path) -> bytes | None:
    """The content of the claim at `path`; null where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _create(path: Path, content: bytes) -> bool:
    """Writes the claim at `path`; false where there is one."""
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        return False
    return True


def _clear(path: Path) -> bool:
    """Removes the claim at `path` where it no longer counts; false where it does.

    Two runs may find one old claim at the same time: it is moved aside first, and given back if it
    has become a new one meanwhile. Should that fail, its run notices when it next renews it.
    """
    found = _read(path)
    if found is None:
        return True
    if not _is_stale(path, found):
        return False
    aside = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return True
    moved = aside.read_bytes()
    if moved != found:
        with suppress(OSError):
            os.link(aside, path)
    aside.unlink()
    return moved == found


def _is_stale(path: Path, content: bytes) -> bool:
    """Whether the claim at `path`, which holds `content`, was left by a run that is gone."""
    made = _parsed(content)
    if made is not None and made["place"] == _place():
        alive = _alive(made["pid"], made["born"])
        if alive is not None:
            return not alive
    try:
        with tempfile.TemporaryFile(dir=path.parent) as file:  # its time is the file system's
            age = os.fstat(file.fileno()).st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return False  # gone meanwhile: there will be another look
    return age > STALE_SECONDS


def _parsed(content: bytes) -> dict[str, Any] | None:
    """The fields of a claim; null where it is cut off or none of ours."""
    try:
        fields = json.loads(content)
    except ValueError:
        return None
    types = {"host": str, "place": str, "pid": int, "born": int | None, "since": str}
    whole = isinstance(fields, dict) and all(
        name in fields and isinstance(fields[name], kind) for name, kind in types.items()
    )
    return fields if whole else None


def _own_content() -> bytes:
    """What this process writes into a claim."""
    fields = {
        "host": platform.node(),
        "place": _place(),
        "pid": os.getpid(),
        "born": (_life(os.getpid()) or ("", None))[1],
        "since": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return json.dumps(fields).encode()


def _place() -> str:
    """Where a process number means one process: the host, its boot, and on Linux the namespace."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def _alive(pid: int, born: int | None) -> bool | None:
    """Whether the process `pid` that started at `born` lives here; null where nobody can say."""
    if os.name != "posix":
        return None
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # somebody else's, and alive
    now = _life(pid)
    if now is None:
        return True
    state, started = now
    return state not in ("Z", "X") and (born is None or started == born)


def _life(pid: int) -> tuple[str, int] | None:
    """State and start (in clock ticks since boot) of a process, as Linux tells; null elsewhere."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # its name, in brackets, may hold anything
    return fields[0], int(fields[19])
