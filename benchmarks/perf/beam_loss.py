"""What beam search loses against exact scoring of every item, on the users of a setting.

`python -m benchmarks.perf.beam_loss SETTING` trains one cell in memory with the setting's whole
budget, decodes its test users with beams of several widths and exactly, and prints the table. It
writes no record.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from gti.data.dataset import IntArray
from gti.search.decoding import Beams, Trie, beam_search
from gti.search.exact_scoring import exact_search
from gti.search.target_ranks import ItemRanks, rank_targets
from leaderboard.metrics.positions import worth_of_counts

BEAMS = (5, 10, 20, 50, 100)
SHOWN = 10


@dataclass(frozen=True)
class BeamLoss:
    """What one way of decoding gives, beside exact scoring.

    Attributes:
        way: "beam 20" or "exact".
        same_lists: share of users whose first `SHOWN` Semantic IDs (all, in a narrower beam) are
            the first ones of exact scoring, in the same order.
        kept: mean share of the exact first `SHOWN` (as above) that stand in this way's.
        ndcg: mean ndcg@10 of the targets.
        lost: exact ndcg@10 less this one.
        lost_error: standard error of `lost` over the users.
        users_per_second: as timed here.
    """

    way: str
    same_lists: float
    kept: float
    ndcg: float
    lost: float
    lost_error: float
    users_per_second: float


def ndcg_at_10(ranks: ItemRanks) -> NDArray[np.float64]:
    """[users] ndcg@10 of one target each; 0 outside the beam."""
    inside = ranks.num_better >= 0
    better, tied = (each[inside].astype(np.int32) for each in (ranks.num_better, ranks.num_tied))
    values = np.zeros(len(inside))
    values[inside] = worth_of_counts(better, tied, "ndcg", 10)
    return values


def beam_losses(
    model: Any,
    trie: Trie,
    prompts: Sequence[IntArray],
    targets: IntArray,
    beams: Sequence[int] = BEAMS,
    max_tokens: int = 8192,
) -> list[BeamLoss]:
    """One line per width of beam, and the exact one last.

    Args:
        model: a causal LM, in eval mode.
        trie: of the items that may be named.
        prompts: [users] token ids before the Semantic ID.
        targets: [users] items.
        beams: widths.
        max_tokens: in one batch of users.
    """
    found: list[tuple[str, Beams, float]] = []
    ways = [(f"beam {beam}", beam_search, beam) for beam in beams]
    for name, search, width in [*ways, ("exact", exact_search, trie.num_leaves)]:
        began = time.perf_counter()
        lists = search(model, trie, prompts, width, max_tokens=max_tokens)
        found.append((name, lists, time.perf_counter() - began))
    best = found[-1][1].leaves
    exact = ndcg_at_10(rank_targets(found[-1][1], trie, targets))
    lines = []
    for name, lists, seconds in found:
        first = lists.leaves[:, :SHOWN]
        shown = first.shape[1]
        pairs = zip(first, best[:, :shown], strict=True)
        kept = [len(np.intersect1d(*pair)) / shown for pair in pairs]
        ndcg = ndcg_at_10(rank_targets(lists, trie, targets))
        lost = exact - ndcg
        lines.append(
            BeamLoss(
                way=name,
                same_lists=float((first == best[:, :shown]).all(axis=1).mean()),
                kept=float(np.mean(kept)),
                ndcg=float(ndcg.mean()),
                lost=float(lost.mean()),
                lost_error=float(lost.std() / len(lost) ** 0.5),
                users_per_second=len(prompts) / seconds,
            )
        )
    return lines


def table(losses: Sequence[BeamLoss]) -> str:
    """The lines as text."""
    header = ["", f"same top {SHOWN}", f"of exact top {SHOWN}", "ndcg@10", "lost", "± s.e."]
    header.append("users/s")
    rows = [
        [
            each.way,
            f"{each.same_lists:.1%}",
            f"{each.kept:.1%}",
            f"{each.ndcg:.4f}",
            f"{each.lost:+.4f}",
            f"{each.lost_error:.4f}",
            f"{each.users_per_second:.1f}",
        ]
        for each in losses
    ]
    return tabulate(
        rows, header, tablefmt="pipe", disable_numparse=True, colalign=("left", *["right"] * 6)
    )


def main() -> None:
    """Trains the cell and prints the table."""
    import torch

    from baselines.registry import methods
    from benchmarks.cell.identity import parameters_of
    from benchmarks.cell.prepare import prepare_cell
    from benchmarks.cell.spec import CellSpec
    from benchmarks.cell.train import train_cell
    from benchmarks.inputs.catalogue import find_setting
    from benchmarks.inputs.inputs import load_inputs

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("setting")
    parser.add_argument("--method", default="mean")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--users", type=int, default=300, help="test users, evenly over all")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    file, method = find_setting(asked.setting), methods()[asked.method]
    spec = CellSpec(
        setting=file.setting,
        parameters=parameters_of(file, method),
        method=method,
        seed=asked.seed,
        inputs=load_inputs(file.setting, asked.seed),
        device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
    )
    cell = train_cell(prepare_cell(spec))
    scorer = cell.prepared.scorer
    track = scorer.track
    count = len(track.sizes("test"))
    rows = np.unique(np.linspace(0, count - 1, min(count, asked.users)).astype(np.int64))
    prompts = track.prompts("test", rows, 0)
    targets = np.array([items[0] for items in track.relevant("test", rows)])
    losses = beam_losses(cell.model, scorer.trie, prompts, targets, max_tokens=scorer.max_tokens)
    print(f"{file.setting.name}, {asked.method} seed {asked.seed}: {len(rows)} test users")
    print(table(losses))


if __name__ == "__main__":
    main()
