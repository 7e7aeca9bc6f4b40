"""Changes written records, and puts right what follows from the change."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.perf.honest_records.ranks import figures_of, raw_recall_of
from leaderboard.records.ranks import Ranks, write_ranks
from leaderboard.records.record import ranks_path, record_digest
from leaderboard.records.setting import Setting

Content = dict[str, Any]


def edit(path: Path, change: Callable[[Content], object], fix_digest: bool = True) -> Path:
    """Applies `change` to the content of the record or trial at `path`, and returns that.

    Args:
        path: of the JSON file.
        change: changes what it is given.
        fix_digest: whether the digest is computed anew.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    if fix_digest:
        content["digest"] = record_digest(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def reordered(ranks: Ranks) -> Ranks:
    """The same rows in another order."""
    order = np.random.default_rng(0).permutation(len(ranks))
    return replace(ranks, **{each.name: getattr(ranks, each.name)[order] for each in fields(ranks)})


def give_ranks(path: Path, ranks: Ranks) -> Path:
    """Gives the record at `path` other `ranks`, named in it, and all figures that follow."""
    sha256 = write_ranks(ranks_path(path), ranks)

    def change(content: Content) -> None:
        setting = Setting.model_validate(content["setting"])
        beam = setting.decoding.beam if content["kind"] == "cell" else None
        content["files"]["ranks"] = sha256
        content.update(figures_of(ranks, setting, beam))
        if content["accounting"]:
            content["accounting"]["raw_recall"] = raw_recall_of(ranks, setting)

    return edit(path, change)
