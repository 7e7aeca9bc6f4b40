"""The interaction log: what loaders that read raw files have in hand before it is a `Dataset`.

A log is put in order (by user, time, and for equal times by a hash), freed of repeats where the
dataset's options ask for it, and cut to its k-core; then it becomes histories.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets.k_core import k_core
from gti.data.dataset import DataError, Dataset, IntArray, Provenance

Repeats = Literal["keep", "consecutive", "drop"]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Log:
    """Interactions as three columns of equal length.

    Attributes:
        user_ids: [num_users] the files' own ids, in the order of their first interaction.
        item_ids: [num_items] the files' own ids, in the order of the file with the texts; items
            that only interactions know come after them.
        users: [n] user number of each interaction.
        items: [n] item number of each interaction.
        times: [n] time of each interaction, in any unit.
    """

    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    users: IntArray
    items: IntArray
    times: FloatArray

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str, float]], known_items: Iterable[str] = ()) -> "Log":
        """A log of (user id, item id, time) rows, and of the items that a text file knows."""
        user_numbers: dict[str, int] = {}
        item_numbers = {item: number for number, item in enumerate(known_items)}
        users, items, times = [], [], []
        for user, item, time in rows:
            users.append(user_numbers.setdefault(user, len(user_numbers)))
            items.append(item_numbers.setdefault(item, len(item_numbers)))
            times.append(time)
        return cls(
            user_ids=tuple(user_numbers),
            item_ids=tuple(item_numbers),
            users=np.array(users, dtype=np.int64),
            items=np.array(items, dtype=np.int64),
            times=np.array(times, dtype=np.float64),
        )

    def only(self, rows: NDArray[np.bool_] | IntArray) -> "Log":
        """The log with only these rows, in the order given; users and items stay known."""
        return replace(self, users=self.users[rows], items=self.items[rows], times=self.times[rows])

    @property
    def counts(self) -> dict[str, int]:
        """Its size, under the names that `Provenance.counts` uses."""
        return {
            "users in the files": len(self.user_ids),
            "items in the files": len(self.item_ids),
            "interactions in the files": len(self.users),
        }


def ordered(log: Log) -> Log:
    r"""Sorts by user, then time; equal times by sha256 of "<user>\t<item>", then as given."""
    log = log.only(np.lexsort((log.times, log.users)))
    same = (log.users[1:] == log.users[:-1]) & (log.times[1:] == log.times[:-1])
    edges = np.flatnonzero(np.diff(np.concatenate(([False], same, [False])).astype(np.int8)))
    order = np.arange(len(log.users))
    for first, last in edges.reshape(-1, 2):
        rows = range(first, last + 1)
        order[first : last + 1] = sorted(rows, key=lambda row: _tie_key(log, row))
    return log.only(order)


def _tie_key(log: Log, row: int) -> str:
    pair = f"{log.user_ids[log.users[row]]}\t{log.item_ids[log.items[row]]}"
    return hashlib.sha256(pair.encode()).hexdigest()


def without_repeats(log: Log, repeats: Repeats) -> Log:
    """Leaves out a user's repeated interactions with an item; the first one stays.

    Args:
        log: in order.
        repeats: "keep" keeps them all; "consecutive" leaves out what directly follows the same
            item; "drop" leaves out every repeat.
    """
    if repeats == "keep" or not len(log.users):
        return log
    if repeats == "consecutive":
        fresh = np.ones(len(log.users), dtype=bool)
        fresh[1:] = (log.users[1:] != log.users[:-1]) | (log.items[1:] != log.items[:-1])
        return log.only(fresh)
    pairs = log.users * len(log.item_ids) + log.items
    return log.only(np.sort(np.unique(pairs, return_index=True)[1]))


def to_dataset(
    log: Log,
    name: str,
    texts: Callable[[tuple[str, ...]], Mapping[str, dict[str, str]]],
    provenance: Provenance,
    k: int = 0,
) -> Dataset:
    """Cuts a log to its k-core and makes a dataset of it.

    Args:
        log: in order.
        name: what the dataset is to be called.
        texts: given the ids of the items that stay, their texts (those that have any).
        provenance: what was read; the counts of the k-core are added to it.
        k: as for `k_core`; 0 keeps all, items that nobody interacted with included.

    Raises:
        DataError: nothing is left.
    """
    user_stays, item_stays = k_core(log.users, log.items, len(log.user_ids), len(log.item_ids), k)
    kept = log.only(user_stays[log.users] & item_stays[log.items])
    if not len(kept.users):
        raise DataError(
            f"dataset {name}: nothing is left of {len(log.users)} interactions in the {k}-core;"
            " choose a smaller k"
        )
    counts = dict(provenance.counts)
    if k:
        counts[f"users below the {k}-core"] = int((~user_stays).sum())
        counts[f"items below the {k}-core"] = int((~item_stays).sum())
    numbers = np.cumsum(item_stays) - 1
    # Users whose every interaction an earlier step has left out are gone too.
    present, starts = np.unique(kept.users, return_index=True)
    histories = np.split(numbers[kept.items], starts[1:])
    times = np.split(kept.times, starts[1:])
    item_ids = tuple(log.item_ids[item] for item in np.flatnonzero(item_stays))
    found = texts(item_ids)
    return Dataset(
        name=name,
        item_ids=item_ids,
        texts=tuple(found.get(item, {}) for item in item_ids),
        user_ids=tuple(log.user_ids[user] for user in present),
        histories=tuple(history.astype(np.int64) for history in histories),
        tied_last=np.array([len(part) > 1 and part[-1] == part[-2] for part in times], dtype=bool),
        provenance=replace(provenance, counts=counts),
    )
