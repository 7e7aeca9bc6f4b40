"""Do two cells say the same where no two can? Ranks in blocks, NLLs, rows after SFT, curves.

A copy of ranks is another file as soon as one count differs or rows stand in another order. So the
rows are sorted and cut into blocks, and the counts of each block are hashed: a copy shares most of
its blocks with what it was copied from. Two honest cells of a setting put 2 to 4 in a hundred of
the targets they find at the same place, and share no block. So it goes with the rows' NLLs, of
which two cells have none alike.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from leaderboard.metrics.metrics import is_loss
from leaderboard.records.known_methods import first_rows_of
from leaderboard.records.parts import CurvePoint, StageProof
from leaderboard.records.ranks import LOSSES, Ranks
from leaderboard.records.record import Record
from leaderboard.verify.findings import Finding, Report

MOST_BLOCKS = 16
LEAST_ROWS = 32
"""Of a block; small tables have fewer blocks."""
TELLING = 6
"""Rows of a block that must differ from what most of it says (most targets missed, or all first):
what many weak or perfect cells have alike tells nothing."""
NLL_STEP = 1e-6
"""Nats: NLLs are compared in steps of it, so that a last digit makes no other block."""
TELLING_IN_ALL = 24
"""Such rows that blocks alike must hold together: a few dozen users prove no copy."""
NEARLY_ALIKE = {"mean", "library"}
"""First rows that differ by next to nothing: at one seed, short trainings on the same examples may
end with the same ranks. All else of them differs."""
TELLING_HITS = 8
"""Hits that a learning curve must hold to tell two cells apart."""
ROWS = {"counts": ("files.ranks (rows)", "ranks"), "nll": ("files.ranks (nll)", "NLLs")}
"""What of the rows is compared → the field of a finding, and what it is called there."""
FIGURES = ("effective_rank", "effective_rank_centred", "stable_rank", "norm_mean")


class Block(NamedTuple):
    """A block of rows: a hash of its counts, and how many rows tell something."""

    hash: str
    telling: int


@dataclass(frozen=True)
class Fingerprint:
    """Fingerprint of a cell's ranks, rows and curve: equal ones in two cells show a copy.

    Args:
        start: what its first rows are, where SFT on R alone follows; else null.
        seed: its seed.
        blocks: "counts" and "nll" → place → block of rows, of those that tell something.
        single: field → what stands there, of fields that two cells never have alike.
    """

    start: str | None
    seed: int
    blocks: dict[str, dict[int, Block]]
    single: dict[str, Any]

    def nearly(self, other: "Fingerprint") -> bool:
        """Whether honest ranks of both may be alike."""
        return self.seed == other.seed and {self.start, other.start} == NEARLY_ALIKE


def fingerprint_of(record: Record, blocks: dict[str, dict[int, Block]]) -> Fingerprint:
    """The fingerprint of a cell."""
    single: dict[str, Any] = {}
    moved = [proof for proof in record.proofs if proof.stage == "sft" and proof.new_rows_changed]
    for proof in moved:
        single |= _of_rows(record, proof)
    curve = record.learning_curve[1:]
    if _hits(record) >= TELLING_HITS:
        single["learning_curve.*.metrics"] = tuple(
            tuple(sorted(item for item in point.metrics.items() if not is_loss(item[0])))
            for point in curve
        )
    losses = tuple(tuple(point.metrics.get(name) for name in LOSSES) for point in curve)
    if losses and None not in losses[-1]:
        single["learning_curve.*.metrics.*nll"] = losses
    start = None if record.method.spends else first_rows_of(record.method)
    return Fingerprint(start, record.seed, blocks, single)


def _of_rows(record: Record, proof: StageProof) -> dict[str, Any]:
    """Field → hash or figures of the new rows after SFT, to compare with other cells."""
    found: dict[str, Any] = {
        "proofs.*.new_rows_sha256 (sft)": proof.new_rows_sha256,
        "files.diagnostics": record.files.diagnostics,
    }
    spectrum = record.diagnostics.get("sft")
    if spectrum is not None and spectrum.effective_rank is not None:
        values = [getattr(spectrum, name) for name in FIGURES]
        found["diagnostics.sft.*"] = tuple(None if v is None else f"{v:.6g}" for v in values)
    return found


def _hits(record: Record) -> float:
    """Targets that the curve's points after the first found, if not all in one place."""
    size = min(record.setting.evaluation.validation_users, record.num_users["validation"])
    found = 0.0
    for point in record.learning_curve[1:]:
        recall, mrr = (_widest(point, family) for family in ("recall", "mrr"))
        if recall is not None and mrr is not None and 0 < mrr < recall:
            found += recall * size
    return found


def _widest(point: CurvePoint, family: str) -> float | None:
    """The metric of `family` at its largest cutoff that is defined."""
    cutoffs = {
        int(name.partition("@")[2]): value
        for name, value in point.metrics.items()
        if name.startswith(f"{family}@") and value is not None
    }
    return cutoffs[max(cutoffs)] if cutoffs else None


def blocks_of(first: Ranks, order: npt.NDArray[np.integer[Any]]) -> dict[str, dict[int, Block]]:
    """What is compared (`ROWS`) → place → block of rows, without those that tell nothing.

    Args:
        first: rows of one wording.
        order: [n] their order by split, user and item.
    """
    miss = -1
    better = np.where(first.in_beam, first.num_better, miss)[order].astype("<i4")
    tied = np.where(first.in_beam, first.num_tied, miss)[order].astype("<i4")
    columns: dict[str, list[npt.NDArray[np.integer[Any]]]] = {"counts": [better, tied]}
    if first.has_nll:
        columns["nll"] = [(first.nll[order] / NLL_STEP).round().astype("<i8")]
    count = min(MOST_BLOCKS, max(1, len(order) // LEAST_ROWS))
    edges = np.linspace(0, len(order), count + 1).astype(np.int64)
    found: dict[str, dict[int, Block]] = {}
    for name, values in columns.items():
        spans = pairwise(edges.tolist())
        each = [_block([column[low:high] for column in values]) for low, high in spans]
        found[name] = {n: block for n, block in enumerate(each) if block.telling >= TELLING}
    return found


def _block(columns: Sequence[npt.NDArray[np.integer[Any]]]) -> Block:
    """The block of these whole numbers; the first column decides how many rows tell something."""
    _, often = np.unique(columns[0], return_counts=True)
    content = b"".join(column.tobytes() for column in columns)
    hashed = hashlib.sha256(content).hexdigest()[:16]
    return Block(hashed, len(columns[0]) - int(often.max(initial=0)))


def find_copies(cells: Sequence[tuple[Path, str, Fingerprint]], findings: list[Finding]) -> None:
    """No two `cells`, each a file, its setting's hash and its fingerprint, have them alike."""
    seen: dict[tuple[str, str, int, str], list[int]] = {}
    first: dict[tuple[str, str, Any], Path] = {}
    for number, (path, setting, fingerprint) in enumerate(cells):
        report = Report(str(path), findings)
        for name, (field, which) in ROWS.items():
            blocks = fingerprint.blocks.get(name, {})
            alike, telling = Counter[int](), Counter[int]()
            for place, block in blocks.items():
                others = seen.setdefault((setting, name, place, block.hash), [])
                for other in others:
                    alike[other] += 1
                    telling[other] += block.telling
                others.append(number)
            for other, same in alike.most_common():
                copied = 2 * same >= len(blocks) and telling[other] >= TELLING_IN_ALL
                if copied and not fingerprint.nearly(cells[other][2]):
                    place_of = cells[other][0]
                    found = f"{same} of {len(blocks)} blocks of rows with the {which} of {place_of}"
                    report.error(field, found, f"other {which} than {place_of}'s")
                    break
        for field, other_path, value in _same(first, path, setting, fingerprint.single):
            report.error(field, value, f"another than {other_path}'s: no two cells have it alike")


def _same(
    first: dict[tuple[str, str, Any], Path], path: Path, setting: str, single: Mapping[str, Any]
) -> Iterator[tuple[str, Path, Any]]:
    """Fields whose value an earlier cell of the setting has too: field, its file, value."""
    for field, value in single.items():
        other = first.setdefault((setting, field, value), path)
        if other != path:
            yield field, other, value
