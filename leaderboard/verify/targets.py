"""Who was scored on what, as one hash, and the rows of ranks in an order that all cells share."""

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from leaderboard.records.canonical import canonical_json
from leaderboard.records.ranks import TEXTS, Ranks, combined
from leaderboard.verify.copies import RowSample, sample_rows

COUNTS = ("grade", "target_popularity", "history_length", "transitions")
"""Columns that the data decide, beside `TEXTS`; where there are some, `peers` too."""


def _counts(ranks: Ranks) -> tuple[str, ...]:
    """The columns that `ranks` has of them."""
    return (*COUNTS, "peers") if ranks.has_peers else COUNTS


class TargetsHash:
    """Hashes who was scored on what: split, user, item, grade, and `COUNTS` of each row.

    Records of a setting list the same rows in the same order, so the last hash is kept: rows that
    are equal to the last ones are not sorted again.
    """

    def __init__(self) -> None:
        self._columns: list[npt.NDArray[Any]] = []
        self._hash = ""
        self._order: npt.NDArray[np.integer[Any]] = np.zeros(0, dtype=np.int64)

    def of(self, ranks: Ranks) -> str:
        """The hash of `ranks`.

        The first wording's rows stand for all (`check_ranks` sees to it): references have one.
        """
        return self._of(_first_wording(ranks))

    def rows(self, ranks: Ranks, draw: int) -> RowSample:
        """`sample_rows` of the first wording of `ranks`."""
        first = _first_wording(ranks)
        self._of(first)
        return sample_rows(first, self._order, draw)

    def _of(self, first: Ranks) -> str:
        """The hash of rows of one wording."""
        texts = [first.coded(name) for name in TEXTS]
        columns: list[npt.NDArray[Any]] = []
        for column in texts:
            columns += [column.names, column.numbers]
        columns += [getattr(first, name) for name in _counts(first)]
        same = len(columns) == len(self._columns) and all(
            map(np.array_equal, columns, self._columns)
        )
        if not same:
            self._columns = columns
            self._hash, self._order = _hash_and_order(first)
        return self._hash


def _first_wording(ranks: Ranks) -> Ranks:
    """The rows of the first wording."""
    return ranks.where(ranks.wording == 0) if ranks.wording.any() else ranks


def _hash_and_order(first: Ranks) -> tuple[str, npt.NDArray[np.integer[Any]]]:
    """`TargetsHash` of rows of one wording in whatever order they stand, and their sorted order."""
    digest = hashlib.sha256()
    columns: list[npt.NDArray[np.integer[Any]]] = []
    for name in TEXTS:
        column = first.coded(name).in_order()
        digest.update(canonical_json(column.names.tolist()))
        columns.append(column.numbers)
    order = np.argsort(combined(*columns), kind="stable")
    columns += [getattr(first, name) for name in _counts(first)]
    for values in columns:
        digest.update(values[order].astype("<i8").tobytes())
    return digest.hexdigest(), order
