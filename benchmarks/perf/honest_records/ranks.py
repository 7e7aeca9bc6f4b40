"""Drawn ranks: whom a setting asks for what, and how near to the top a method puts it."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaderboard.metrics.metrics import metrics, num_users, raw_recall, relevance_of, slices
from leaderboard.records.parts import Metrics
from leaderboard.records.ranks import Coded, Ranks
from leaderboard.records.setting import Setting
from leaderboard.records.trial import TRAINED

SPLITS = ("test", "validation")
RELEVANT = 3
"""Items that are good for a query."""
SIGNS = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"))


@dataclass(frozen=True)
class Targets:
    """Whom a dataset asks for what: rows of both splits.

    Attributes:
        columns: of a ranks table, all but the counts and losses.
        of_items: [I] training interactions of all items.
        ease: [n] how much likelier than on average a hit is.
    """

    columns: dict[str, Any]
    of_items: NDArray[np.int32]
    ease: NDArray[np.float64]


def _ids(generator: np.random.Generator, count: int, length: int) -> NDArray[np.str_]:
    """[count] different ids of `length` letters and digits."""
    found: dict[str, None] = {}
    while len(found) < count:
        drawn = SIGNS[generator.integers(0, len(SIGNS), size=(count, length))]
        found |= dict.fromkeys("".join(row) for row in drawn.tolist())
    return np.array(list(found)[:count])


def targets_of(setting: Setting, users: int, items: int) -> Targets:
    """What so many users, or queries, of a setting's dataset are asked for, of so many items."""
    return _targets(setting.dataset.name, setting.asks, has_kinds(setting), users, items)


def has_kinds(setting: Setting) -> bool:
    """Whether items are of kinds, some of which are ranked among their own."""
    relevance = relevance_of(setting)
    return relevance is not None and relevance.peers


@functools.lru_cache(maxsize=4)
def _targets(dataset: str, asks: str, kinds: bool, users: int, items: int) -> Targets:
    """Some items are popular, the last in no training. A query has `RELEVANT` rows, two good.

    With `kinds` a third of the queries is for items of each.
    """
    generator = np.random.default_rng(list(dataset.encode()))
    names, of = _ids(generator, users, 14), _ids(generator, items, 10)
    popularity = np.maximum(2.4 * items / np.arange(1, items + 1) - 2, 0).astype(np.int32)
    ease = generator.normal(0, 0.15, users)
    chosen = (items * generator.random(2 * users) ** 2).astype(np.int64)
    user = np.tile(np.arange(users), 2)
    grade, history = np.ones(2 * users), np.minimum(2 + generator.geometric(0.1, 2 * users), 50)
    if asks == "queries":
        ways = ["warm-title/", "cold-title/", "new-title/"] if kinds else ["item/", "category/"]
        names = np.char.add(np.array(ways)[np.arange(users) % len(ways)], names)
        user, grade = np.repeat(user, RELEVANT), np.tile([2, 2, 1], 2 * users)
        chosen = ((chosen[:, None] + np.arange(RELEVANT)) % items).ravel()
        history = np.zeros(len(user))
    often = np.zeros(len(user)) if asks == "queries" else generator.poisson(0.5, len(user))
    columns = {
        "split": Coded(np.array(SPLITS), np.repeat([0, 1], len(user) // 2)),
        "user": Coded(names, user),
        "wording": np.zeros(len(user), dtype=np.int16),
        "item": Coded(of, chosen),
        "grade": grade,
        "target_popularity": popularity[chosen],
        "history_length": history,
        "transitions": np.minimum(often, popularity[chosen]),
    }
    return Targets(columns, popularity, ease[user])


def ranks_of(
    setting: Setting,
    asked: Targets,
    cell: str,
    skill: float,
    *,
    only_beam: bool,
    by_popularity: bool,
) -> Ranks:
    """Drawn counts: a hit is likelier with `skill` and with the user's ease; losses that fit them.

    Args:
        setting: says how wide the beam is.
        asked: whom for what.
        cell: method and seed.
        skill: the mean share of targets among the first items of a beam.
        only_beam: whether the rest is not ranked at all, as of a model, which has losses.
        by_popularity: whether validation is ranked by what the ranks file lists.
    """
    generator = np.random.default_rng(list(f"{setting.name}/{cell}".encode()))
    beam, rows = setting.decoding.beam, len(asked.ease)
    inside = generator.random(rows) < np.clip(skill + asked.ease, 0, 1)
    far = generator.integers(beam, len(asked.of_items) - 2, rows)
    better = np.where(inside, generator.integers(0, beam - 2, rows), far)
    tied = generator.integers(0, 3, rows) * (generator.random(rows) < 0.2)
    if setting.asks == "queries":  # no two items of a query at one place
        better, tied = better // RELEVANT * RELEVANT + np.arange(rows) % RELEVANT, 0 * tied
    elif by_popularity:
        own, ordered = asked.columns["target_popularity"], np.sort(asked.of_items)
        below, least = (np.searchsorted(ordered, own, side=side) for side in ("right", "left"))
        validation = asked.columns["split"].numbers == 1
        better = np.where(validation, len(ordered) - below, better)
        tied = np.where(validation, below - least - 1, tied)
    ranked = inside | (not only_beam)
    counts = {"num_better": better * ranked, "num_tied": tied * ranked}
    if has_kinds(setting):
        counts |= _peers(asked.columns, better, len(asked.of_items))
    losses: dict[str, Any] = {}
    if only_beam:
        above = np.where(ranked, better + tied, beam)
        losses = _losses(generator, asked.columns["user"], above)
    return Ranks(**asked.columns, **counts, **losses, in_beam=ranked)


def _peers(
    columns: Mapping[str, Any], better: NDArray[np.int64], items: int
) -> dict[str, NDArray[np.int64]]:
    """A fifth of the items stands beside each target of test queries for items never trained on.

    As large a share of them is better as of all items.
    """
    user, split = columns["user"], columns["split"]
    trained = np.char.startswith(user.names, TRAINED)[user.numbers]
    peers = np.where(trained | (split.numbers == 1), 0, items // 5)
    above = peers * better // items
    return {"peers": peers, "peers_better": above, "peers_tied": np.zeros_like(above)}


def _losses(
    generator: np.random.Generator, user: Coded, above: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """NLL of targets beside or below so many items, no better than such a place allows.

    What lies off the trie goes to all items in part: those above a target have its probability at
    least, also when normalised.

    Each user or query adds a part of its own, so that its own targets stay in order.
    """
    own = generator.exponential(1.0, len(user.names))[user.numbers]
    nll = np.log1p(above) + 0.1 + own
    least = -np.log1p(-above * np.exp(-nll))
    return {"nll": nll, "trie_nll": least + (nll - least) * generator.uniform(0.7, 1.0, len(nll))}


def figures_of(ranks: Ranks, setting: Setting, beam: int | None) -> dict[str, Any]:
    """The figures of a record that follow from its `ranks`; `beam` None: all is ranked."""
    parts = {split: ranks.of_split(split) for split in SPLITS}
    how = (setting.evaluation.cutoffs, beam, relevance_of(setting))
    return {
        "metrics": {split: metrics(part, *how) for split, part in parts.items()},
        "slices": slices(parts["test"], *how),
        "num_users": {split: num_users(part) for split, part in parts.items()},
    }


def raw_recall_of(ranks: Ranks, setting: Setting) -> Metrics:
    """The part of a cell's accounting that follows from its `ranks`."""
    how = (setting.evaluation.cutoffs, setting.decoding.beam, relevance_of(setting))
    return raw_recall(ranks.of_split("test"), *how)
