"""Writes a results directory of many honest records, to time what reads records.

Settings × methods × seeds, each with users of its own. What a cell leaves beside its ranks (proofs,
costs, diagnostics) is that of the committed records of `ml-100k-nano`, under other names and with
longer rows after SFT; ranks are drawn, and every figure is computed from them as for any cell, so
that `gti-bench verify` finds nothing. `python -m benchmarks.perf.many_records DIR` writes 1,000
records of 22,000 users.
"""

import argparse
import functools
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine.places import COMMITTED_RESULTS
from leaderboard.metrics.metrics import metrics, num_users, raw_recall, slices
from leaderboard.records.canonical import digest_of, file_sha256
from leaderboard.records.ranks import Ranks, concatenate, write_ranks
from leaderboard.records.record import (
    MethodCard,
    cell_hash,
    diagnostics_path,
    ranks_path,
    read_content,
    record_path,
    write_record,
)
from leaderboard.records.setting import Setting

TEMPLATE = "ml-100k-nano"
TEMPLATE_SEEDS = 3
FIRST_METHODS = ("mean", "random", "gti")
SIGNS = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"))


@dataclass(frozen=True)
class Size:
    """How much is written: settings × methods × seeds cells, and a reference per setting."""

    settings: int = 10
    methods: int = 20
    seeds: int = 5
    users: int = 22_000

    @property
    def cells(self) -> int:
        """The number of cells."""
        return self.settings * self.methods * self.seeds


@dataclass(frozen=True)
class Targets:
    """What one setting's users are asked for in one split; row i belongs to user i.

    Attributes:
        user: [U] ids.
        item: [U] ids of the targets.
        of_items: [I] training interactions of all items.
        popularity: [U] training interactions of the target.
        history: [U] items the model could see.
        ease: [U] how much likelier than on average a hit is.
    """

    user: NDArray[np.str_]
    item: NDArray[np.str_]
    of_items: NDArray[np.int32]
    popularity: NDArray[np.int32]
    history: NDArray[np.int32]
    ease: NDArray[np.float64]


def method_keys(count: int) -> list[str]:
    """The reference method, two known ones, and `method-04` … up to `count`."""
    return [*FIRST_METHODS, *(f"method-{n:02d}" for n in range(4, count + 1))][:count]


def write_many(root: Path, size: Size, first: int = 0) -> None:
    """Writes `size` records under `root`, the settings numbered from `first`."""
    inputs = root / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    for artefact in (COMMITTED_RESULTS / "inputs").glob("*.npz"):
        shutil.copyfile(artefact, inputs / artefact.name)
    for number in range(first, first + size.settings):
        setting = _setting(number)
        targets = {split: _targets(number, split, size.users) for split in ("test", "validation")}
        _write(root, setting, "popularity", 0, 0, targets)
        for place, key in enumerate(method_keys(size.methods)):
            for seed in range(size.seeds):
                _write(root, setting, key, place, seed, targets)


@functools.cache
def _template(method: str, seed: int) -> dict[str, Any]:
    """A committed record's content."""
    return read_content(record_path(COMMITTED_RESULTS, TEMPLATE, method, seed))


def _setting(number: int) -> Setting:
    """The template's setting under another name, with data of its own."""
    content = _template("mean", 0)["setting"]
    name = f"many-{number:02d}"
    dataset = content["dataset"] | {"name": name, "sha256": digest_of(name)}
    return Setting.model_validate(content | {"name": name, "dataset": dataset})


def _ids(generator: np.random.Generator, count: int, length: int) -> NDArray[np.str_]:
    """[count] different ids of `length` letters and digits."""
    found: dict[str, None] = {}
    while len(found) < count:
        drawn = SIGNS[generator.integers(0, len(SIGNS), size=(count, length))]
        found |= dict.fromkeys("".join(row) for row in drawn.tolist())
    return np.array(list(found)[:count])


def _targets(number: int, split: str, users: int) -> Targets:
    """Whom setting `number` asks for what in `split`."""
    shared = np.random.default_rng([number])
    names, items = _ids(shared, users, 14), _ids(shared, 1682, 10)
    popularity = np.maximum(np.floor(4000 / np.arange(1, len(items) + 1)).astype(np.int32) - 2, 0)
    generator = np.random.default_rng([number, len(split)])
    chosen = (len(items) * generator.random(users) ** 3).astype(np.int64)
    return Targets(
        names,
        items[chosen],
        popularity,
        popularity[chosen],
        np.minimum(2 + generator.geometric(0.15, users), 19).astype(np.int32),
        shared.normal(0, 0.1, users),
    )


def _ranks(stream: list[int], targets: dict[str, Targets], skill: float, beam: int | None) -> Ranks:
    """Drawn counts: a hit is likelier with `skill` and the user's ease; no beam ranks all."""
    generator = np.random.default_rng(stream)
    parts = []
    for split, asked in targets.items():
        users = len(asked.user)
        inside = generator.random(users) < np.clip(skill + asked.ease, 0, 1)
        near = ((beam or 100) * generator.random(users) ** 1.5).astype(np.int32)
        better = near if beam else np.where(inside, near, generator.integers(100, 1600, users))
        tied = generator.integers(1, 4, users) * (generator.random(users) < 0.02)
        ranked = inside | (beam is None)
        if beam is None and split == "validation":  # where popularity ranks by what the file lists
            ordered = np.sort(asked.of_items)
            below = np.searchsorted(ordered, asked.popularity, side="right")
            better = len(ordered) - below
            tied = below - np.searchsorted(ordered, asked.popularity, side="left") - 1
        parts.append(
            Ranks(
                split=np.full(users, split),
                user=asked.user,
                wording=np.zeros(users, dtype=np.int16),
                item=asked.item,
                grade=np.ones(users, dtype=np.int8),
                in_beam=ranked,
                num_better=np.where(ranked, better, 0).astype(np.int32),
                num_tied=np.where(ranked, tied, 0).astype(np.int32),
                target_popularity=asked.popularity,
                history_length=asked.history,
            )
        )
    return concatenate(parts)


def _curve(
    curve: list[dict[str, Any]], validation: Ranks, setting: Setting
) -> list[dict[str, Any]]:
    """The template's `curve` with metrics of users more of whom are learned at each point."""
    sample = validation.where(np.arange(len(validation)) < setting.evaluation.validation_users)
    columns = {name: getattr(sample, name) for name in sample.__dataclass_fields__}
    points = []
    for place, point in enumerate(curve):
        learned = sample.in_beam & (np.arange(len(sample)) % (len(curve) - 1) < place)
        counts = {name: columns[name] * learned for name in ("num_better", "num_tied")}
        scored = Ranks(**{**columns, **counts, "in_beam": learned})
        found = metrics(scored, setting.evaluation.cutoffs, setting.decoding.beam)
        points.append(point | {"metrics": found})
    return points


def _own_rows(content: dict[str, Any], template: Path, path: Path, longer: float) -> None:
    """Gives the cell at `path` the template's rows after SFT, each `longer` by that factor."""
    with np.load(diagnostics_path(template)) as file:
        arrays = dict(file)
    for name in ("sft/singular_values", "sft/singular_values_centred"):
        arrays[name] = (arrays[name] * longer).astype(np.float32)
    np.savez_compressed(diagnostics_path(path), **arrays)
    rows = content["diagnostics"]["sft"]
    rows = rows | {"norm_mean": rows["norm_mean"] * longer}
    content["diagnostics"] = content["diagnostics"] | {"sft": rows}
    *before, last = content["proofs"]
    content["proofs"] = [*before, last | {"new_rows_sha256": digest_of(str(path))}]
    content["files"] = content["files"] | {"diagnostics": file_sha256(diagnostics_path(path))}


def _write(
    root: Path,
    setting: Setting,
    key: str,
    place: int,
    seed: int,
    targets: dict[str, Targets],
) -> None:
    """Writes one record with its sidecars; `place` is the method's among all."""
    path = record_path(root, setting.name, key, seed)
    reference = key == "popularity"
    like = key if reference or key in FIRST_METHODS else ("gti" if place % 3 == 0 else "random")
    content = dict(_template(like, seed % TEMPLATE_SEEDS))
    beam = None if reference else setting.decoding.beam
    skill = 0.2 if reference else 0.3 + 0.004 * place
    stream = [*setting.name.encode(), place, seed, reference]
    ranks = _ranks(stream, targets, skill, beam)
    cutoffs = setting.evaluation.cutoffs
    parts = {split: ranks.of_split(split) for split in targets}
    card = MethodCard.model_validate(content["method"] | {"key": key})
    if not reference:
        content["manifest"] = content["manifest"] | {"initializer": f"{key} v{card.version}"}
        raw = raw_recall(parts["test"], cutoffs, beam)
        content["accounting"] = content["accounting"] | {"raw_recall": raw}
        template = record_path(COMMITTED_RESULTS, TEMPLATE, like, seed % TEMPLATE_SEEDS)
        path.parent.mkdir(parents=True, exist_ok=True)
        _own_rows(content, template, path, 1 + 1e-3 * (100 * place + seed))
        curve = _curve(content["learning_curve"], parts["validation"], setting)
        content["learning_curve"] = curve
    content |= {
        "setting": setting.model_dump(mode="json"),
        "setting_hash": setting.hash,
        "method": card.model_dump(mode="json"),
        "method_hash": card.hash,
        "seed": seed,
        "cell_hash": cell_hash(setting.hash, card.hash, seed),
        "metrics": {split: metrics(part, cutoffs, beam) for split, part in parts.items()},
        "slices": slices(parts["test"], cutoffs, beam),
        "num_users": {split: num_users(part) for split, part in parts.items()},
        "inputs": content["inputs"] | {"dataset": setting.dataset.sha256},
        "files": content["files"] | {"ranks": write_ranks(ranks_path(path), ranks)},
        "warnings": [],
    }
    del content["digest"]
    write_record(path, content)


def main(arguments: list[str] | None = None) -> None:
    """Writes as many records as the command line says."""
    parser = argparse.ArgumentParser(description="writes many honest records")
    parser.add_argument("root", type=Path)
    for name, value in vars(Size()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    found = vars(parser.parse_args(arguments))
    root = found.pop("root")
    size = Size(**found)
    write_many(root, size)
    print(f"{size.cells} cells of {size.users} users under {root}")


if __name__ == "__main__":
    main()
