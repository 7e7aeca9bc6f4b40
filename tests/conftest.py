"""A tiny setting for whole runs: 40 users, 60 items, published Semantic IDs, the real `nano`."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent

KINDS = ("war film", "romantic comedy", "science fiction", "western", "horror story", "musical")

SETTING = """
name = "{name}"
summary = "a tiny setting for tests"
evidence = false
seeds = [0, 1]

[dataset]
name = "lcrec:{folder}"
sha256 = "{dataset}"
title_field = "title"
detail_fields = ["description"]
min_interactions = 3
max_history = 9
seen_items = "keep"

[semantic_ids]
quantiser = "published"
encoder = "none"
pca_dim = 0
levels = 2
codes = 8
seed = 0
sha256 = "{sids}"

[backbone]
name = "nano"
dtype = "float32"

[prompts]
style = "{style}"
window = 10
max_text_tokens = 16

[sft]
rates = "own"
passes = 1.0
learning_rate = 3e-3
batch_size = 8
schedule = "cosine"
warmup_share = 0.1
weight_decay = 0.01
betas = [0.9, 0.99]
clip_norm = 1.0

[extra]
share_of_sft = 0.5

[grounding]
held_out_share = 0.1
learning_rate = 1e-2
batch_size = 16
schedule = "cosine"
warmup_share = 0.1
weight_decay = 0.0
betas = [0.9, 0.99]
clip_norm = 1.0

[auxiliary]
loss_weight = 1.0
pooling = "token_mean"
every = 2

[auxiliary.mixture]
item2index = 1.0
index2item = 1.0
fusionseqrec = 1.0
itemsearch = 1.0
preferenceobtain = 1.0

[decoding]
beam = 20

[evaluation]
cutoffs = [1, 5, 10, 20, 50]
wordings = 1
validation_users = 10
curve_points = 2
"""


def write_tiny_data(folder: Path) -> None:
    """Sixty items of six kinds; users mostly stay within a kind."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    items = {
        str(i): {"title": f"The {KINDS[i % 6]} {i}", "description": f"A {KINDS[i % 6]}."}
        for i in range(60)
    }
    index = {str(i): [f"<a_{i % 6}>", f"<b_{(i // 6) % 8}>"] for i in range(60)}
    histories = {}
    for user in range(40):
        kind = int(rng.integers(6))
        length = int(rng.integers(4, 15))
        own = kind + 6 * rng.permutation(10)
        other = rng.integers(0, 60, size=10)
        mixed = np.where(rng.random(10) < 0.8, own, other)
        histories[str(user)] = [int(i) for i in np.resize(mixed, length)]
    for name, content in (("item", items), ("inter", histories), ("index", index)):
        (folder / f"Tiny.{name}.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture(scope="session")
def write_setting() -> Callable[..., Path]:
    """`write_setting(folder, name="tiny", style="sequence", **changes)`: the path of its file."""

    def write(folder: Path, name: str = "tiny", style: str = "sequence", **changes: str) -> Path:
        from benchmarks.datasets import load_dataset, published_index

        data = folder / "data" / "tiny"
        if not data.exists():
            write_tiny_data(data)
        source = f"lcrec:{data}"
        text = SETTING.format(
            name=name,
            folder=data,
            style=style,
            dataset=load_dataset(source).sha256,
            sids=published_index(source, num_codes=8).sha256,
        )
        for key, value in changes.items():
            lines = text.splitlines()
            lines = [f"{key} = {value}" if line.startswith(f"{key} =") else line for line in lines]
            text = "\n".join(lines) + "\n"
        path = folder / f"{name}.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def gti_bench() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the real command line in a subprocess: `gti_bench("list", "methods", cwd=…)`."""

    def call(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "benchmarks.cli.app", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"},
            check=False,
        )

    return call


@pytest.fixture(scope="session")
def spec_of() -> Callable[..., Any]:
    """`spec_of(setting, method, seed=0)`: that cell, on the CPU and offline."""

    def make(setting: Path, method: str, seed: int = 0, **others: Any) -> Any:
        import torch

        from baselines.registry import methods
        from benchmarks.cell.identity import parameters_of
        from benchmarks.cell.spec import CellSpec
        from benchmarks.inputs.catalogue import find_setting
        from benchmarks.inputs.inputs import load_inputs

        file = find_setting(str(setting))
        return CellSpec(
            setting=file.setting,
            parameters=parameters_of(file, methods()[method]),
            method=methods()[method],
            seed=seed,
            inputs=load_inputs(file.setting, seed, offline=True),
            device=torch.device("cpu"),
            offline=True,
            **others,
        )

    return make


@pytest.fixture(scope="session")
def cell_here(spec_of: Callable[..., Any]) -> Callable[..., Path]:
    """`cell_here(setting, method, results)`: runs seed 0 in this process; the record's path."""

    def run(setting: Path, method: str, results: Path, **others: Any) -> Path:
        import torch

        from benchmarks.cell.cell import run_cell

        torch.set_num_threads(1)
        return run_cell(spec_of(setting, method, **others), results)

    return run


def _numbers(content: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The places of all numbers in `content`."""
    parts = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in parts:
        if isinstance(value, dict | list):
            yield from _numbers(value, (*place, key))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield (*place, key)


def _other_digit(value: float) -> float:
    """`value` with one digit changed: the last of a whole number, else the fourth."""
    if isinstance(value, int) or (value == round(value) and abs(value) > 1):
        return value + 1
    text = f"{value:.17e}"
    at = text.index(".") + 3
    return float(f"{text[:at]}{(int(text[at]) + 1) % 10}{text[at + 1 :]}")


@pytest.fixture(scope="session")
def forge() -> Callable[[Path, Iterable[str]], list[str]]:
    """`forge(record, sections)`: which changed numbers of those sections `verify` does not name.

    Each number in turn gets one digit changed and the digest computed anew. A finding names a
    field where it, or what it says was expected, has the field's path or a pattern of it.
    """
    from leaderboard.records.record import record_digest
    from leaderboard.verify.verify import verify

    def unnoticed(path: Path, sections: Iterable[str]) -> list[str]:
        honest = path.read_text(encoding="utf-8")
        missed = []
        for section in sections:
            original = json.loads(honest)
            for place in _numbers({section: original[section]}):
                content = json.loads(honest)
                inner = content
                for part in place[:-1]:
                    inner = inner[part]
                inner[place[-1]] = _other_digit(inner[place[-1]])
                content["digest"] = record_digest(content)
                path.write_text(json.dumps(content), encoding="utf-8")
                field = ".".join(map(str, place))
                words = " ".join(f"{f.field} {f.expected}" for f in verify(path)).split()
                if not any(fnmatch(field, word.strip("(),:")) for word in words):
                    missed.append(field)
        path.write_text(honest, encoding="utf-8")
        return missed

    return unnoticed
