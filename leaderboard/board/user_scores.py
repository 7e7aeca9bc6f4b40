"""Finding records that can be trusted on a board, and their per-user values, one file at a time."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from leaderboard.metrics.metrics import (
    WHOLE,
    families_of,
    is_defined,
    is_loss,
    means_by_place,
    metric_names,
    parse_metric,
    per_user,
    relevance_of,
    row_values,
)
from leaderboard.metrics.slices import Members, members_by_slice
from leaderboard.records.canonical import digest_of
from leaderboard.records.cells import Cell, LeaderboardError, beam_of
from leaderboard.records.ranks import Coded, Ranks, read_ranks
from leaderboard.records.record import Record, ranks_path
from leaderboard.records.setting import Setting

Floats = npt.NDArray[np.float64]

NOT_SCORED = " is not scored at {}; its metrics are "
"""Stands between a setting's name and its metrics where it lacks the one asked for."""


@dataclass(frozen=True)
class UserScores:
    """Per-user values of one metric on the test split.

    Args:
        metric: its name.
        users: [U] sorted ids (of queries on the retrieval track), the same for all cells of a
            setting.
        values: per method, seed → [U] float64; NaN for users that have none, the same ones in all.
    """

    metric: str
    users: npt.NDArray[np.str_]
    values: dict[str, dict[int, Floats]]

    def matrix(self, method: str, seeds: Sequence[int]) -> Floats:
        """[S, U] values of `method` at `seeds`."""
        return np.stack([self.values[method][seed] for seed in seeds])

    @property
    def measured(self) -> "UserScores":
        """Those of the users that have a value."""
        every = [values for by_seed in self.values.values() for values in by_seed.values()]
        known = ~np.isnan(every[0]) if every else np.ones(len(self.users), dtype=np.bool_)
        return self if known.all() else self.where(known)

    def where(self, inside: npt.NDArray[np.bool_]) -> "UserScores":
        """Those of the users for whom `inside` [U] is true."""
        values = {
            method: {seed: each[inside] for seed, each in by_seed.items()}
            for method, by_seed in self.values.items()
        }
        return UserScores(self.metric, self.users[inside], values)


def read_scores(
    cells: Sequence[Cell],
    metric: str,
    part: Sequence[str] = (),
    reader: "ScoresReader | None" = None,
) -> UserScores | None:
    """The values of `metric` of those users that have one, by the ranks of `cells` (one setting).

    None where the metric is null for a cell (`null_because` says why). Losses are of
    language models alone: the rows of other references have none.

    Args:
        cells: of one setting.
        metric: its name.
        part: slices whose users alone count, together; none: all users.
        reader: what it has read is not read again; None: a new one.

    Raises:
        LeaderboardError: two cells scored different targets, the metric is no cutoff of the
            setting, or there is no such slice, or no user with the metric in them.
    """
    setting = cells[0].record.setting
    if not is_scored(setting, metric):
        families, cutoffs = families_of(relevance_of(setting)), setting.evaluation.cutoffs
        raise LeaderboardError(
            f"setting {setting.name}{NOT_SCORED.format(metric)}{', '.join(families)} at"
            f" {', '.join(map(str, cutoffs))}"
        )
    scored = [cell for cell in cells if cell.record.has_model or not is_loss(metric)]
    if not scored or not all(_has(cell.record, metric) for cell in scored):
        return None
    reader = ScoresReader() if reader is None else reader
    everyone = reader.scores(scored, metric)
    if not part:
        return everyone.measured
    return _restricted(everyone, reader.members(cells[0]), setting, part)


def _has(record: Record, metric: str) -> bool:
    """Whether `metric` of the record is not null."""
    if metric in WHOLE:
        return record.metrics["test"].get(metric) is not None
    return is_defined(metric, beam_of(record))


def null_because(metric: str) -> str:
    """Why a metric that a setting is scored at is null."""
    if is_loss(metric):
        return "a record of a language model has none, and those of other references never do"
    if metric in WHOLE:
        return "a record has none"
    return "its cutoff lies beyond the beam"


def is_scored(setting: Setting, metric: str) -> bool:
    """Whether `setting` has the metric called `metric`."""
    if metric in WHOLE:
        return metric in metric_names((), relevance_of(setting))
    family, cutoff = parse_metric(metric)
    return cutoff in setting.evaluation.cutoffs and family in families_of(relevance_of(setting))


class ScoresReader:
    """Per-user values of cells, each ranks file read once, however many metrics are asked for.

    It holds what it has read: keep one for as long as one setting is looked at.
    """

    def __init__(self, further: Mapping[str, Collection[str]] | None = None) -> None:
        """Prepares a reader; ranks files are read when scores are first asked for.

        Args:
            further: method → metrics kept when a cell of it is read, beside the one asked for.
        """
        self._further = {} if further is None else further
        self._asked: dict[Path, _Asked] = {}
        self._values: dict[tuple[Path, str], Floats] = {}
        self._members: dict[str, Members] = {}
        self._last: _Asked | None = None

    def scores(self, cells: Sequence[Cell], metric: str) -> UserScores:
        """The values of `metric`, which all `cells` (of one setting, at least one) have.

        Raises:
            LeaderboardError: two cells scored different targets.
        """
        first = cells[0]
        values: dict[str, dict[int, Floats]] = {}
        for cell in cells:
            if (cell.path, metric) not in self._values:
                self._read(cell, metric)
            known, own = self._asked[first.path], self._asked[cell.path]
            if own is not known and own.targets != known.targets:
                raise LeaderboardError(
                    f"{first.path} and {cell.path} are of one setting but scored different users or"
                    f" targets ({len(known.names)} and {len(own.names)} users); run one of them"
                    " again"
                )
            self._asked[cell.path] = known
            by_seed = values.setdefault(cell.record.method.key, {})
            by_seed[cell.record.seed] = self._values[cell.path, metric]
        return UserScores(metric, self._asked[first.path].names, values)

    def members(self, cell: Cell) -> Members:
        """Which users lie in which slice of the setting of `cell`, by the cell first read of it."""
        if cell.record.setting_hash not in self._members:
            self._read(cell, None)
        return self._members[cell.record.setting_hash]

    def _read(self, cell: Cell, metric: str | None) -> None:
        """Reads the ranks of `cell` and keeps its values of `metric` and of what else is wanted."""
        record = cell.record
        relevance = relevance_of(record.setting)
        ranks = read_ranks(ranks_path(cell.path)).of_split("test")
        if self._last is None or not self._last.is_of(ranks):
            self._last = _Asked.of(ranks)
        asked = self._asked[cell.path] = self._last
        if record.setting_hash not in self._members:
            members = members_by_slice(ranks, asked.names, relevance)
            self._members[record.setting_hash] = members
        further = self._further.get(record.method.key, ())
        wanted = [name for name in further if is_scored(record.setting, name)]
        for name in dict.fromkeys([*([] if metric is None else [metric]), *wanted]):
            self._values[cell.path, name] = (
                means_by_place(row_values(ranks, name), asked.user.numbers, len(asked.names))
                if relevance is None
                else per_user(ranks, name, relevance)[1]
            )


@dataclass(frozen=True, eq=False)
class _Asked:
    """The user and target columns of a ranks table, shared by cells with the same rows.

    Args:
        rows: the columns `user` and `item` as they were read.
        user: the column `user`, its names sorted.
    """

    rows: tuple[Coded, Coded]
    user: Coded

    @classmethod
    def of(cls, ranks: Ranks) -> "_Asked":
        """The user and target columns of `ranks`, which holds one split."""
        return cls((ranks.coded("user"), ranks.coded("item")), ranks.coded("user").in_order())

    @property
    def names(self) -> npt.NDArray[np.str_]:
        """[U] the users, sorted."""
        return self.user.names

    def is_of(self, ranks: Ranks) -> bool:
        """Whether `ranks` has the same users and targets in the same order."""
        own = (ranks.coded("user"), ranks.coded("item"))
        return all(
            np.array_equal(left.numbers, right.numbers) and np.array_equal(left.names, right.names)
            for left, right in zip(self.rows, own, strict=True)
        )

    @cached_property
    def targets(self) -> str:
        """A hash of the pairs of user and target, in whatever order they stand."""
        texts = (column.names[column.numbers].tolist() for column in self.rows)
        return digest_of(sorted({f"{user}\t{item}" for user, item in zip(*texts, strict=True)}))


def members_of(cell: Cell, users: npt.NDArray[np.str_]) -> Members:
    """Which of `users` [U] lie in which slice of the test split, by the ranks of `cell`.

    The targets, and so the slices, are the same for all cells of a setting.
    """
    ranks = read_ranks(ranks_path(cell.path)).of_split("test")
    return members_by_slice(ranks, users, relevance_of(cell.record.setting))


def _restricted(
    scores: UserScores, members: Members, setting: Setting, names: Sequence[str]
) -> UserScores:
    """`scores` of the users that lie in at least one of some slices and have a value.

    Args:
        scores: of all users, also those that have none.
        members: which of them lie in which slice.
        setting: theirs.
        names: the slices, one or more.

    Raises:
        LeaderboardError: the setting has no such slice, or no user lies in it.
    """
    filled = ", ".join(each for each, inside in members.items() if inside.any())
    for name in names:
        if name not in members:
            raise LeaderboardError(f"setting {setting.name} has no slice {name!r}; it has {filled}")
        if not members[name].any():
            raise LeaderboardError(
                f"slice {name!r} of setting {setting.name} is empty; those with"
                f" {setting.asks} are {filled}"
            )
    found = scores.where(np.any([members[name] for name in names], axis=0)).measured
    if not len(found.users):
        raise LeaderboardError(
            f"setting {setting.name} has no {scores.metric} in {', '.join(names)}: no target there"
            " was ranked among its peers"
        )
    return found
