"""A directory that appears whole: built beside its place, swapped in, and only over our own.

A marker file lists what we wrote. A directory without one, or with files that it does not list, is
somebody else's and stays as it is.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

MARKER = ".gti-bench-site.json"
MOST_NAMED = 3


class SiteError(ValueError):
    """A directory that cannot be written or must not be replaced; the message says why."""


def slug(name: str, identity: str, others: Iterable[str] = ()) -> str:
    """`name` as a file name; the first digits of `identity` follow where it cannot serve alone.

    It cannot where it holds more than small letters, digits and `._-`, or is among the `others`.
    """
    safe = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip(".-") or "unnamed"
    return safe if safe == name and name not in others else f"{safe}-{identity[:8]}"


def files_below(directory: Path) -> list[str]:
    """All that is no directory below `directory`, as sorted relative addresses."""
    return sorted(
        path.relative_to(directory).as_posix()
        for path in directory.rglob("*")
        if path.is_symlink() or not path.is_dir()
    )


def check_replaceable(out: Path) -> None:
    """Refuses to replace what we did not write.

    Raises:
        SiteError: a link, a file, a directory without our marker, or one with other files in it.
    """
    if out.is_symlink():
        raise SiteError(f"{out} is a link; name the directory itself with --out")
    if not out.exists():
        return
    if not out.is_dir():
        raise SiteError(f"{out} is a file; choose another --out")
    found = files_below(out)
    if not found:
        return
    if MARKER not in found:
        raise SiteError(
            f"{out} is not empty and was not made by `gti-bench site` (no {MARKER} in it); choose"
            " another --out"
        )
    foreign = sorted({*found} - {*_listed(out / MARKER)} - {MARKER})
    if foreign:
        more = f" and {len(foreign) - MOST_NAMED} more" if len(foreign) > MOST_NAMED else ""
        raise SiteError(
            f"{out} holds files that `gti-bench site` did not write:"
            f" {', '.join(foreign[:MOST_NAMED])}{more}; move them, or choose another --out"
        )


def _listed(marker: Path) -> list[str]:
    """The files that `marker` lists; none where it cannot be read, so that nothing is ours."""
    try:
        content = json.loads(marker.read_text(encoding="utf-8"))
    except ValueError:
        return []
    names = content.get("files") if isinstance(content, dict) else None
    return [str(name) for name in names] if isinstance(names, list) else []


@contextmanager
def replaced_directory(out: Path) -> Iterator[Path]:
    """An empty directory to write into, which takes the place of `out` when all went well.

    If anything fails, `out` stays as it was and nothing is left behind.

    Raises:
        SiteError: `out` must not be replaced.
        OSError: the disk is full or the place cannot be written.
    """
    check_replaceable(out)
    out = out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".tmp"))
    try:
        new, old = work / "new", work / "old"
        new.mkdir()
        yield new
        content = {"made by": "gti-bench site", "files": files_below(new)}
        (new / MARKER).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        check_replaceable(out)  # somebody may have put files there meanwhile
        if out.exists():
            out.rename(old)
        try:
            new.rename(out)
        except OSError:
            if old.exists():
                old.rename(out)
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
