"""Checkpoints of a cell: what it has done so far, on disk beside where its record will stand.

A folder holds `checkpoint.json`, the commit mark, and the tensor files (safetensors) that it names
with their sha256: "weights" as they were when the last stage of training ended, and "state", all
else. Each file appears whole or not at all, the mark last, so that a kill at any moment leaves the
checkpoint before or the new one. Nothing is unpickled.
"""

import hashlib
import inspect
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.cell.ledger import Ledger
from benchmarks.cell.spec import CellSpec
from benchmarks.machine.environment import describe_environment, package_versions
from benchmarks.machine.events import ASKED_TO_END, Report
from benchmarks.machine.places import ROOT
from gti.model.vocabulary import Vocabulary, embedding_matrices, read_rows, write_rows
from gti.train.resuming import Kept
from leaderboard.records.canonical import canonical_json, digest_of, file_sha256, write_atomically
from leaderboard.records.record import cell_hash

MARK = "checkpoint.json"
FORMAT = 1
CODE = ("gti", "baselines", "benchmarks", "leaderboard")
LEAST_GAP = 20.0
"""Times as long as the last checkpoint took to write before the next one is due."""
MOST_GAP = 2.0
"""Times as long as asked for that this can put the next one off, at most."""


ENDED = 143
"""Exit code of a process that ended so, as of one that SIGTERM ends."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says why."""


def identity_of(
    spec: CellSpec, read: Mapping[str, str | None], dtype: str, attention: str
) -> dict[str, Any]:
    """All that must be the same for a cell to go on to the same bits, by what people call it."""
    setting, method = spec.setting.hash, spec.card.hash
    where = describe_environment(spec.device, dtype, attention, deterministic=True)
    same = ("machine", "processor", "instruction_set", "device", "threads", "dtype", "attention")
    return {
        "checkpoint format": FORMAT,
        "setting": setting,
        "method": method,
        "seed": spec.seed,
        "cell": cell_hash(setting, method, spec.seed),
        "plain forms": spec.plain,
        "version of gti-bench": package_versions(("gti-bench",)).get("gti-bench"),
        "code": code_sha256(spec.method),
        **{name.replace("_", " "): where[name] for name in (*same, "python")},
        **where["packages"],
        **{f"input {name}": sha256 for name, sha256 in read.items()},
    }


def code_sha256(method: object) -> str:
    """sha256 over the Python files of the project and the one that `method` comes from."""
    files = [file for package in CODE for file in sorted((ROOT / package).rglob("*.py"))]
    own = inspect.getsourcefile(type(method))
    digest = hashlib.sha256()
    for file in [*files, *([Path(own)] if own else [])]:
        content = file.read_bytes()
        digest.update(f"{file.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def rows_of(model: Any, vocabulary: Vocabulary) -> dict[str, Tensor]:
    """The new rows of `model`: all that training of rows alone has changed."""
    matrices = enumerate(embedding_matrices(model))
    return {f"rows/{place}": read_rows(matrix, vocabulary.new_ids) for place, matrix in matrices}


def trained_of(model: Any) -> dict[str, Tensor]:
    """All of `model` that is trained."""
    named = model.named_parameters()
    return {f"whole/{name}": value.detach() for name, value in named if value.requires_grad}


def put_weights(model: Any, vocabulary: Vocabulary, weights: Mapping[str, Tensor]) -> None:
    """Puts what `rows_of` or `trained_of` gave back into `model`."""
    matrices, parameters = embedding_matrices(model), dict(model.named_parameters())
    with torch.no_grad():
        for name, tensor in weights.items():
            what, _, own = name.partition("/")
            if what == "rows":
                write_rows(matrices[int(own)], vocabulary.new_ids, tensor)
            else:
                parameters[own].copy_(tensor)


def write_tensors(folder: Path, what: str, tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Writes `tensors` into a file that is named after its content; returns its name and sha256."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{what}.tmp"
    try:
        save_file({name: each.contiguous() for name, each in tensors.items()}, temporary)
    except SafetensorError as error:  # a full disk, as the library tells it
        raise OSError(str(error)) from error
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    sha256 = file_sha256(temporary)
    name = f"{what}-{sha256[:16]}.safetensors"
    temporary.replace(folder / name)
    return {"name": name, "sha256": sha256}


def write_mark(folder: Path, content: dict[str, Any]) -> None:
    """Commits to `content`, and removes the files that it does not name."""
    write_atomically(
        folder / MARK, canonical_json({**content, "digest": digest_of(content)}) + b"\n"
    )
    named = {MARK, *(file["name"] for file in content["files"].values())}
    for path in folder.iterdir():
        if path.name not in named:
            path.unlink()


def read_checkpoint(folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]] | None:
    """What the mark says, and tensors by file; null where there is no checkpoint.

    Raises:
        CheckpointError: it is damaged; names the file.
    """
    mark = folder / MARK
    try:
        content = json.loads(mark.read_text(encoding="utf-8"))
        if content.pop("digest") != digest_of(content):
            raise ValueError
        tensors = {}
        for what, file in content["files"].items():
            mark = folder / file["name"]
            if file_sha256(mark) != file["sha256"]:
                raise ValueError
            tensors[what] = load_file(mark)
    except FileNotFoundError as error:
        if mark.name == MARK:
            return None
        raise CheckpointError(f"{mark.name} is missing") from error
    except (OSError, ValueError, KeyError, AttributeError, TypeError, SafetensorError) as error:
        raise CheckpointError(f"{mark.name} is damaged") from error
    return content, tensors


def difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str | None:
    """The first thing in which two identities differ, in words; null where they do not."""
    for name in {**here, **there}:
        one, other = there.get(name), here.get(name)
        if one != other:
            return f"{name} was {_short(one)}, is {_short(other)}"
    return None


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] if len(text) == len(hashlib.sha256().hexdigest()) else text


class Keeper:
    """Writes a cell's checkpoints and puts the cell back to where the last one was written.

    Args:
        folder: where; null: none are written.
        every: seconds from one to the next within a stage.
        identity: from `identity_of`.
        ledger: the cell's; written and put back with the rest. Writing is a stage in it.
        report: told of notes and of the stage "checkpoint".

    Attributes:
        stage: the stage that runs, as it is reported.
    """

    def __init__(
        self,
        folder: Path | None,
        every: float,
        identity: Mapping[str, Any],
        ledger: Ledger,
        report: Report,
    ) -> None:
        self.folder, self.every, self.identity = folder, every, dict(identity)
        self.ledger, self.report = ledger, report
        self.stage = "load"
        self._weights: dict[str, str] | None = None  # the file of the last stage's end
        self._weights_lost = False
        self._running: dict[str, Callable[[], Kept]] = {}
        self._found: dict[str, Kept] = {}
        self._last, self._took = time.monotonic(), 0.0

    def restore(self, model: Any, vocabulary: Vocabulary) -> None:
        """Puts ledger and weights back, if there is a checkpoint that fits; says so, or why not.

        What runs within a stage is put back by whoever calls `begin` for it.
        """
        self._last = time.monotonic()
        if self.folder is None:
            return
        try:
            read = read_checkpoint(self.folder)
            if read is None:
                return
            content, tensors = read
            other = difference(content["identity"], self.identity)
            if other is not None:
                raise CheckpointError(f"it was made elsewhere: {other}")
        except CheckpointError as error:
            self._note(f"its checkpoint is not used, and it starts anew: {error}")
            return
        kept = {name: Kept(numbers) for name, numbers in content["kept"].items()}
        for name, tensor in tensors["state"].items():
            whose, _, own = name.partition("/")
            kept[whose].tensors[own] = tensor
        put_weights(model, vocabulary, tensors.get("weights", {}))
        self.ledger.restore(kept.pop("ledger"))
        self._weights, self._found = content["files"].get("weights"), kept
        self._note(f"goes on from its checkpoint of stage {content['stage']}")

    def begin(self, what: str, state: Callable[[], Kept]) -> Kept | None:
        """From now on `state` is kept as `what`; returns what the checkpoint has of it."""
        self._running[what] = state
        return self._found.pop(what, None)

    def training(self, stage: str) -> "TrainingKeeper":
        """What keeps `stage` while it trains."""
        return TrainingKeeper(self, stage)

    def tick(self) -> None:
        """A moment at which a checkpoint can be written; done if the last is old enough.

        Large ones on a slow disk come more rarely, up to `MOST_GAP`: little time goes there. Where
        the process is asked to end it writes one, and ends.
        """
        if ASKED_TO_END.is_set():
            self.write()
            os._exit(ENDED)  # all is on disk
        gap = min(max(self.every, LEAST_GAP * self._took), MOST_GAP * self.every)
        if time.monotonic() - self._last >= gap:
            self.write()

    def finish(self, stage: str, weights: Mapping[str, Tensor]) -> None:
        """The training `stage` has ended, and has left `weights`."""
        for kept in (self._running, self._found):
            kept.pop(stage, None)
        self.write(weights)

    def write(self, weights: Mapping[str, Tensor] | None = None) -> None:
        """Writes a checkpoint, with new `weights` or those it had; a full disk is only said."""
        if self.folder is None:
            return
        kept = {"ledger": self.ledger.state(), **self._found}  # found: not yet asked for
        kept |= {name: state() for name, state in self._running.items()}
        before, began = self.ledger.stage, time.monotonic()
        self.report({"event": "stage", "stage": "checkpoint"})
        self.ledger.enter("checkpoint")
        try:
            self._write(self.folder, kept, weights)
        except OSError as error:
            self._note(f"cannot write its checkpoint, and goes on without: {error}")
        self.ledger.note_cost("checkpoint", self.ledger.seconds("checkpoint"))
        self.ledger.enter(before)
        self.report({"event": "stage", "stage": self.stage})
        self._last = time.monotonic()
        self._took = self._last - began

    def _write(
        self, folder: Path, kept: Mapping[str, Kept], weights: Mapping[str, Tensor] | None
    ) -> None:
        if weights is not None:
            self._weights_lost = True  # until they are on disk
            self._weights = write_tensors(folder, "weights", weights)
            self._weights_lost = False
        if self._weights_lost:
            return
        tensors = {
            f"{name}/{own}": tensor
            for name, each in kept.items()
            for own, tensor in each.tensors.items()
        }
        files = {"state": write_tensors(folder, "state", tensors)}
        if self._weights is not None:
            files["weights"] = self._weights
        content = {
            "identity": self.identity,
            "stage": self.stage,
            "kept": {name: each.numbers for name, each in kept.items()},
            "files": files,
        }
        write_mark(folder, content)

    def _note(self, message: str) -> None:
        self.report({"event": "note", "message": message})


class TrainingKeeper:
    """A `gti.train.resuming.StageKeeper` that keeps one stage in a cell's checkpoints."""

    def __init__(self, keeper: Keeper, stage: str) -> None:
        self.keeper, self.stage = keeper, stage

    def begin(self, state: Callable[[], Kept]) -> Kept | None:
        """From now on `state` is kept; returns the one of the checkpoint."""
        return self.keeper.begin(self.stage, state)

    def after_step(self) -> None:
        """A step is done."""
        self.keeper.tick()
