"""`LoadedCell` and `FinishedCell`: the data from which records and trials are written."""

from dataclasses import dataclass
from typing import Any

from benchmarks.cell.ledger import Ledger
from benchmarks.cell.spec import CellSpec
from gti.data.dataset import Part
from gti.search.target_ranks import ItemRanks
from leaderboard.records.ranks import Ranks

Scores = dict[Part, tuple[Ranks, ItemRanks]]
"""Part of the split → the ranks of all that it asks, and what the beams were like."""


@dataclass(frozen=True, kw_only=True)
class LoadedCell:
    """What is known of a cell from when its backbone is loaded until its record is written.

    Attributes:
        spec: which cell it is.
        read: sha256 of everything that it reads, by its name in records.
        dtype: what is computed in.
        attention: the backbone's attention and its kernel.
        ledger: what it notes down, stage by stage.
    """

    spec: CellSpec
    read: dict[str, str | None]
    dtype: str
    attention: str
    ledger: Ledger


@dataclass(frozen=True, kw_only=True)
class FinishedCell(LoadedCell):
    """A cell after its last stage: all that its record is written from, and no model.

    Attributes:
        manifest: proof of the first rows.
        sft_flops: nominal FLOPs of R.
        extra_flops: nominal FLOPs of the extra budget A.
        scores: of both held-out parts.
    """

    manifest: dict[str, Any]
    sft_flops: float
    extra_flops: float
    scores: Scores
