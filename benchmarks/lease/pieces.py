"""Files as pieces of bounded size with their hashes, and back.

A folder of pieces holds `manifest.json` and, for each archive that it names, `NAME.000`,
`NAME.001`, …: a tar file cut where a piece is full. The manifest is written anew after each
archive, so that those before are of use whatever happens then. Only the standard library is
needed: this runs on a machine before anything of the project is there.
"""

import hashlib
import json
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
MEBIBYTE = 2**20
_BLOCK = 4 * MEBIBYTE


class LeaseError(RuntimeError):
    """What keeps a lease from going on; the message is one line and says what to do."""


def begin_pieces(folder: Path, about: Mapping[str, Any]) -> None:
    """Makes `folder` one of pieces, so far without any; archives that lay there are removed.

    Args:
        folder: new, or one of pieces.
        about: what the reader is to know beside the archives; JSON.

    Raises:
        LeaseError: there is a folder of other files.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise LeaseError(f"{folder} holds other files; name a new folder, or one of pieces")
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.[0-9][0-9][0-9]"):
        old.unlink()
    _write_manifest(folder, {"about": dict(about), "archives": {}})


def add_archive(
    folder: Path, name: str, files: Mapping[str, Path], most: int, *, squeeze: bool
) -> int:
    """Adds an archive to a folder of pieces; returns how many pieces it has.

    Args:
        folder: where `begin_pieces` was called.
        name: of the archive.
        files: path inside the archive → file or folder.
        most: bytes of a piece, at most.
        squeeze: compress; weights as they are trained do not get smaller, and take minutes.

    Raises:
        LeaseError: more than 1,000 pieces.
    """
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        whole = Path(scratch) / "whole"
        with (
            tarfile.open(whole, "w:gz", compresslevel=1)
            if squeeze
            else tarfile.open(whole, "w") as tar
        ):
            for inside, path in sorted(files.items()):
                tar.add(path, inside)
        pieces = _cut(whole, folder, name, most)
    content = read_manifest(folder)
    content["archives"][name] = pieces
    _write_manifest(folder, content)
    return len(pieces)


def _cut(whole: Path, folder: Path, name: str, most: int) -> list[dict[str, Any]]:
    """Writes `whole` as pieces; returns their entries in the manifest."""
    if whole.stat().st_size > 1000 * most:
        raise LeaseError(f"{name}: more than 1,000 pieces of {most} bytes; take larger ones")
    entries: list[dict[str, Any]] = []
    with whole.open("rb") as source:
        left = whole.stat().st_size
        while left:
            piece = folder / f"{name}.{len(entries):03}"
            size, digest = min(most, left), hashlib.sha256()
            with piece.open("wb") as target:
                while target.tell() < size:
                    block = source.read(min(_BLOCK, size - target.tell()))
                    digest.update(block)
                    target.write(block)
            entries.append({"file": piece.name, "bytes": size, "sha256": digest.hexdigest()})
            left -= size
    return entries


def _write_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    scratch = folder / f"{MANIFEST}.tmp"
    scratch.write_text(json.dumps(content, indent=1), encoding="utf-8")
    scratch.replace(folder / MANIFEST)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder of pieces.

    Raises:
        LeaseError: it is missing or damaged.
    """
    try:
        content: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return {"about": dict(content["about"]), "archives": dict(content["archives"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LeaseError(f"{folder / MANIFEST} is missing or damaged; copy it again") from error


def check_pieces(folder: Path) -> dict[str, Any]:
    """The manifest of a folder whose pieces are all there and whole.

    Raises:
        LeaseError: names each piece that is missing or damaged.
    """
    content = read_manifest(folder)
    entries = [entry for pieces in content["archives"].values() for entry in pieces]
    wrong = []
    for entry in entries:
        path = folder / entry["file"]
        if not path.is_file():
            wrong.append(f"{path.name} is missing")
        elif path.stat().st_size != entry["bytes"] or _sha256(path) != entry["sha256"]:
            wrong.append(f"{path.name} is damaged")
    if wrong:
        raise LeaseError(
            f"{folder}: {', '.join(wrong)} (of {len(entries)} pieces); copy what is named again"
        )
    return content


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def join_pieces(folder: Path, into: Path) -> dict[str, Any]:
    """Checks all pieces and unpacks each archive into `into/NAME`; returns the manifest's `about`.

    What was unpacked from the same pieces before is left as it is.

    Raises:
        LeaseError: as `check_pieces`.
    """
    content = check_pieces(folder)
    into.mkdir(parents=True, exist_ok=True)
    for name, pieces in content["archives"].items():
        mark, target = into / f"{name}.joined", into / name
        if mark.is_file() and mark.read_text(encoding="utf-8") == json.dumps(pieces):
            continue
        mark.unlink(missing_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        with tempfile.TemporaryFile(dir=into) as whole:
            for entry in pieces:
                with (folder / entry["file"]).open("rb") as piece:
                    shutil.copyfileobj(piece, whole, _BLOCK)
            whole.seek(0)
            with tarfile.open(fileobj=whole, mode="r:*") as tar:
                tar.extractall(target, filter="data")
        mark.write_text(json.dumps(pieces), encoding="utf-8")
    about: dict[str, Any] = content["about"]
    return about
