"""The `Dataset`: items with text fields, users with time-ordered histories, and its split.

Items and users are numbered from 0 in the order of the dataset's own files; the ids that the files
use are kept beside. The content hash covers everything that can change a number.
"""

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

Part = Literal["validation", "test"]
HELD_OUT: tuple[Part, ...] = ("validation", "test")
"""The parts of a split that are scored and never trained on."""


class DataError(ValueError):
    """Data that cannot be used; the message names file, line and what was expected."""


@dataclass(frozen=True)
class Provenance:
    """Where a dataset comes from: shown by `gti-bench list datasets`, not part of its hash."""

    source: str
    licence: str
    files: dict[str, str]
    """File name → sha256 of the file as read."""
    options: dict[str, str | int | bool] = field(default_factory=dict)
    """What the dataset's card lets one choose, and what was chosen."""
    counts: dict[str, int] = field(default_factory=dict)
    """What the files hold before any filter, and what each filter left out."""


@dataclass(frozen=True)
class Dataset:
    """Items, texts and histories.

    Attributes:
        name: what settings call it.
        item_ids: [num_items] the files' own item ids.
        texts: [num_items] per item a mapping field → text; a missing or empty field is left out.
        user_ids: [num_users] the files' own user ids.
        histories: [num_users] per user the item numbers in order of time, int64.
        tied_last: [num_users] whether the last two interactions share a timestamp; null where the
            files give an order but no timestamps, and where items were left out.
        provenance: source, licence and file hashes.
        sampled_from: content hash of the dataset that users or items were drawn from, if any were.
    """

    name: str
    item_ids: tuple[str, ...]
    texts: tuple[dict[str, str], ...]
    user_ids: tuple[str, ...]
    histories: tuple[IntArray, ...]
    tied_last: NDArray[np.bool_] | None
    provenance: Provenance
    sampled_from: str | None = None

    @property
    def num_items(self) -> int:
        """Number of items, those nobody interacted with included."""
        return len(self.item_ids)

    @cached_property
    def sha256(self) -> str:
        """Content hash: item ids, texts, user ids and histories, in order."""
        digest = hashlib.sha256()
        content = (self.item_ids, [sorted(text.items()) for text in self.texts], self.user_ids)
        digest.update(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())
        for history in self.histories:
            digest.update(len(history).to_bytes(8, "little"))
            digest.update(np.ascontiguousarray(history, dtype="<i8").tobytes())
        return digest.hexdigest()

    @property
    def full_sha256(self) -> str:
        """Content hash of the full dataset, which is what settings and records name."""
        return self.sampled_from or self.sha256


@dataclass(frozen=True)
class Split:
    """Leave-one-out: last item test, last but one validation, the rest training.

    Attributes:
        users: [n] numbers of the users kept (at least `min_interactions` interactions).
        train: [n] training items per user, in order of time.
        validation: [n] the validation item per user.
        test: [n] the test item per user.
        dropped_users: users with too few interactions, left out.
    """

    users: IntArray
    train: tuple[IntArray, ...]
    validation: IntArray
    test: IntArray
    dropped_users: int

    def history(self, row: int, part: str) -> IntArray:
        """What is known of user `row` when its `part` target is predicted.

        For "validation" the training items; for "test" the validation item too.
        """
        if part == "validation":
            return self.train[row]
        if part == "test":
            return np.append(self.train[row], self.validation[row])
        raise ValueError(f"unknown part {part!r}; expected 'validation' or 'test'")

    def targets(self, part: str) -> IntArray:
        """[n] the held-out item per user of `part` ("validation" or "test")."""
        if part not in HELD_OUT:
            raise ValueError(f"unknown part {part!r}; expected 'validation' or 'test'")
        return self.validation if part == "validation" else self.test


def leave_one_out(dataset: Dataset, min_interactions: int = 3) -> Split:
    """Splits each history: last item test, last but one validation, the rest training.

    Args:
        dataset: the data.
        min_interactions: users with fewer interactions are left out and counted; at least 3.

    Raises:
        DataError: no user has enough interactions.
    """
    if min_interactions < 3:
        raise ValueError(f"min_interactions must be at least 3, found {min_interactions}")
    kept = [
        user for user, history in enumerate(dataset.histories) if len(history) >= min_interactions
    ]
    if not kept:
        raise DataError(
            f"dataset {dataset.name}: no user has {min_interactions} interactions or more"
        )
    histories = [dataset.histories[user] for user in kept]
    return Split(
        users=np.array(kept, dtype=np.int64),
        train=tuple(history[:-2] for history in histories),
        validation=np.array([history[-2] for history in histories], dtype=np.int64),
        test=np.array([history[-1] for history in histories], dtype=np.int64),
        dropped_users=len(dataset.histories) - len(kept),
    )


def sample_users(dataset: Dataset, number: int) -> Dataset:
    """A stated sub-sample: the `number` users whose ids have the smallest sha256, all items kept.

    It depends on the ids alone, so it is the same on every machine, and a smaller sample lies
    within a larger one. Users stay in the dataset's order.

    Args:
        dataset: the full data.
        number: how many users to keep, at least 1.

    Raises:
        DataError: the dataset has fewer users.
    """
    if not 1 <= number <= len(dataset.user_ids):
        raise DataError(
            f"dataset {dataset.name}: a sample of {number} users was asked for, found"
            f" {len(dataset.user_ids)} users"
        )
    by_hash = sorted(
        range(len(dataset.user_ids)),
        key=lambda user: hashlib.sha256(dataset.user_ids[user].encode()).hexdigest(),
    )
    kept = sorted(by_hash[:number])
    return replace(
        dataset,
        user_ids=tuple(dataset.user_ids[user] for user in kept),
        histories=tuple(dataset.histories[user] for user in kept),
        tied_last=None if dataset.tied_last is None else dataset.tied_last[kept],
        sampled_from=dataset.full_sha256,
    )


def sample_items(dataset: Dataset, number: int) -> Dataset:
    """The `number` items whose ids have the smallest sha256, and the histories cut down to them.

    As `sample_users`: it depends on the ids alone. Users stay, also those who keep no item.

    Args:
        dataset: the full data.
        number: how many items to keep, at least 1.

    Raises:
        DataError: the dataset has fewer items.
    """
    if not 1 <= number <= dataset.num_items:
        raise DataError(
            f"dataset {dataset.name}: a sample of {number} items was asked for, found"
            f" {dataset.num_items} items"
        )
    by_hash = sorted(
        range(dataset.num_items),
        key=lambda item: hashlib.sha256(dataset.item_ids[item].encode()).hexdigest(),
    )
    kept = np.sort(np.array(by_hash[:number], dtype=np.int64))
    new_number = np.full(dataset.num_items, -1, dtype=np.int64)
    new_number[kept] = np.arange(number)
    histories = [new_number[history] for history in dataset.histories]
    return replace(
        dataset,
        item_ids=tuple(dataset.item_ids[item] for item in kept),
        texts=tuple(dataset.texts[item] for item in kept),
        histories=tuple(history[history >= 0] for history in histories),
        tied_last=None,
        sampled_from=dataset.full_sha256,
    )


def popularity(split: Split, num_items: int) -> IntArray:
    """[num_items] training interactions per item: what the popularity slices are cut by."""
    counts = np.zeros(num_items, dtype=np.int64)
    for items in split.train:
        np.add.at(counts, items, 1)
    return counts


def detail_text(texts: dict[str, str], detail_fields: tuple[str, ...]) -> str:
    """An item's detail text: its `detail_fields` that it has, joined with a full stop."""
    parts = [texts[field].rstrip(". ") for field in detail_fields if texts.get(field)]
    return ". ".join(parts)
