"""The `Leaderboard`: what the records of one setting say together.

One board per setting hash. Records of two protocols, of two versions of a method, or with other
users never share a board: a clear line says which files and what to do.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from leaderboard.board.checks import Checks
from leaderboard.board.differences import differences_from_base, letters_of_ties
from leaderboard.board.family import Family, family_of
from leaderboard.board.learning import Learning, learning_of
from leaderboard.board.method_rows import BASE, FLOOR, MethodRow, best_first, make_row
from leaderboard.board.moderation import Moderation
from leaderboard.board.pace import Pace, pace_of
from leaderboard.board.primary import decide
from leaderboard.board.standing import verified_seeds
from leaderboard.board.user_scores import (
    ScoresReader,
    UserScores,
    null_because,
    read_scores,
)
from leaderboard.metrics.metrics import MAIN_METRIC
from leaderboard.metrics.slices import extent_of_slice
from leaderboard.records.cells import (
    Cell,
    LeaderboardError,
    by_setting,
    load_cells,
    without_harmful,
)
from leaderboard.records.processes import share
from leaderboard.records.record import Record, find_records
from leaderboard.records.setting import Setting

MANY_RECORDS = 64
"""Fewer are read sooner than another process starts."""


@dataclass(frozen=True)
class Leaderboard:
    """All rows of one setting, best first by test `metric`.

    `learning` follows the methods' order; it is empty where `mean` has no curve of `metric`. Its
    times are at `pace`.
    `slice_name`: the slice whose users alone the scores are of, None for all; `num_users` counts
    them, `slice_extent` says what they have in common.
    `family`: all tests of these scores and the primary contrasts before them.
    `named_twice`: another board of this setting's name but another hash stands beside it, so that
    its heading tells the hash.
    """

    setting: Setting
    setting_hash: str
    protocol: str
    metric: str
    num_users: int
    evidence: bool
    seeds: tuple[int, ...]
    provisional: bool
    rows: tuple[MethodRow, ...]
    learning: tuple[Learning, ...]
    notes: tuple[str, ...]
    family: Family
    slice_name: str | None = None
    slice_extent: str | None = None
    pace: Pace | None = None
    named_twice: bool = False

    @property
    def moderation(self) -> Moderation | None:
        """What the methods' seeds say together; None with too few.

        Every difference of two methods is moderated by it, but no method's own interval.
        """
        return self.family.moderation

    @property
    def most_seeds(self) -> int:
        """Seeds of the method that has most of the setting's; 0 where only references ran."""
        return max((len(row.paths) for row in self.rows if row.kind == "cell"), default=0)

    def row(self, key: str) -> MethodRow:
        """The row of method `key`."""
        for row in self.rows:
            if row.key == key:
                return row
        known = ", ".join(row.key for row in self.rows)
        raise LeaderboardError(f"no method {key!r} on board {self.setting.name}; it has {known}")


@dataclass(frozen=True)
class Leaderboards:
    """Boards, what was left out of them, and settings whose records refuse to mix."""

    boards: tuple[Leaderboard, ...]
    notes: tuple[str, ...]
    refused: tuple[str, ...]


def load_leaderboards(
    directories: Iterable[Path],
    metric: str = MAIN_METRIC,
    setting: str | None = None,
    slice_name: str | None = None,
    processes: int = 1,
) -> Leaderboards:
    """One board per setting hash from the records under `directories`, in order of name.

    Args:
        directories: results directories; where two hold one cell the first counts.
        metric: what to sort by and compare.
        setting: only boards of this setting's name.
        slice_name: score only the users of this slice.
        processes: how many share the settings, where there are enough records.
    """
    folders = tuple(directories)
    paths = [path for each in folders for path in find_records(each, setting)]
    names = sorted({path.parent.parent.name for path in paths})
    if len(paths) < MANY_RECORDS:
        processes = 1
    tasks = [(folders, name, metric, slice_name) for name in names]
    found = list(share(_boards_of_name, tasks, processes))
    return Leaderboards(
        boards=tuple(board for each in found for board in each.boards),
        notes=tuple(note for each in found for note in each.notes),
        refused=tuple(line for each in found for line in each.refused),
    )


def _boards_of_name(task: tuple[Sequence[Path], str, str, str | None]) -> Leaderboards:
    """The boards of one setting's name: directories, name, metric and slice."""
    directories, name, metric, slice_name = task
    return boards_of(*load_cells(directories, name), metric, slice_name)


def by_hash(cells: Iterable[Cell]) -> dict[str, list[Cell]]:
    """Setting hash → its cells, in order of the setting's name."""
    return dict(sorted(by_setting(cells).items(), key=lambda item: item[1][0].record.setting.name))


def with_verified(board: Leaderboard, failing: Collection[str]) -> Leaderboard:
    """`board` with what `verify` just said: `failing` are the files it found errors in."""
    rows = []
    for row in board.rows:
        standing = replace(row.standing, verified=verified_seeds(row.paths, failing))
        rows.append(replace(row, standing=standing))
    return replace(board, rows=tuple(rows))


def mark_same_names(boards: Sequence[Leaderboard]) -> list[Leaderboard]:
    """`boards`, those that share a setting's name but not its hash marked `named_twice`."""
    hashes: dict[str, set[str]] = {}
    for board in boards:
        hashes.setdefault(board.setting.name, set()).add(board.setting_hash)
    return [replace(b, named_twice=len(hashes[b.setting.name]) > 1) for b in boards]


def boards_of(
    cells: Iterable[Cell],
    notes: Iterable[str] = (),
    metric: str = MAIN_METRIC,
    slice_name: str | None = None,
    reader: ScoresReader | None = None,
) -> Leaderboards:
    """One board per setting hash among `cells`; `notes` are what was left out of them."""
    boards: list[Leaderboard] = []
    refused: list[str] = []
    harmful: list[str] = []
    for group in by_hash(cells).values():
        try:
            board, left_out = without_harmful(
                group, lambda own: build(own, metric, slice_name, reader)
            )
        except ValueError as error:
            refused.append(str(error))
            continue
        boards.append(board)
        harmful += left_out
    return Leaderboards(tuple(boards), (*notes, *harmful), tuple(refused))


def build(
    cells: Sequence[Cell],
    metric: str = MAIN_METRIC,
    slice_name: str | None = None,
    reader: ScoresReader | None = None,
) -> Leaderboard:
    """The board of `cells`, all of one setting; of the users of one slice where it is named.

    Learning curves and the mark of under-trained cells are of all users. What `reader` has read is
    not read again.

    Raises:
        LeaderboardError: two protocols, two hashes of one method, different users, or a slice
            without users.
    """
    check_mix(cells)
    seeds = tuple(sorted({seed for cell in cells for seed in cell.record.setting.seeds}))
    by_method: dict[str, list[Cell]] = {}
    for cell in sorted(cells, key=lambda cell: cell.record.seed):
        by_method.setdefault(cell.record.method.key, []).append(cell)
    reader = ScoresReader() if reader is None else reader
    scores = read_scores(cells, metric, () if slice_name is None else (slice_name,), reader)
    order = best_first(by_method, metric, slice_name)
    methods = [key for key in order if by_method[key][0].record.kind == "cell"]
    part = frozenset(() if slice_name is None else (slice_name,))
    checks = Checks(cells)
    family = family_of(cells, scores, part, reader, (checks, decide(cells, checks, reader)))
    differences = differences_from_base(scores, order, methods, family)
    letters = letters_of_ties(scores, methods, family, checks)
    rows = tuple(
        make_row(
            by_method, key, scores, differences.get(key), letters.get(key, ""), seeds, slice_name
        )
        for key in order
    )
    first = cells[0].record
    pace = pace_of([cell.record for key in methods for cell in by_method[key]])
    if slice_name is not None and scores is None:
        raise LeaderboardError(
            f"{metric} of setting {first.setting.name} is null: {null_because(metric)}"
        )
    return Leaderboard(
        setting=first.setting,
        setting_hash=first.setting_hash,
        protocol=first.protocol,
        metric=metric,
        num_users=first.num_users["test"] if scores is None else len(scores.users),
        evidence=all(cell.record.setting.evidence for cell in cells),
        seeds=seeds,
        provisional=any(row.missing_seeds for row in rows),
        rows=rows,
        learning=_learning(by_method, methods, metric, pace) if slice_name is None else (),
        notes=_notes(scores, rows, metric),
        family=family,
        slice_name=slice_name,
        slice_extent=None if slice_name is None else _extent(first, slice_name),
        pace=pace,
    )


def _extent(record: Record, slice_name: str) -> str:
    """The range that defines a slice, in words, such as "1 to 12 training interactions"."""
    return extent_of_slice(slice_name, record.slices.get(slice_name, {}))


def _learning(
    by_method: dict[str, list[Cell]], methods: Sequence[str], metric: str, pace: Pace | None
) -> tuple[Learning, ...]:
    """How each method learns against `mean`; nothing where `mean` is the only one."""
    records = {key: {cell.record.seed: cell.record for cell in by_method[key]} for key in methods}
    base = records.get(BASE, {})
    found = (learning_of(key, records[key], base, metric, pace) for key in methods)
    return tuple(each for each in found if each is not None)


def check_mix(cells: Sequence[Cell]) -> None:
    """Refuses cells that must not stand on one board."""
    forms = {bool(cell.record.code.plain): cell for cell in cells if cell.record.kind == "cell"}
    if len(forms) == 2:
        raise LeaderboardError(
            f"{forms[True].path} was run with --plain, {forms[False].path} was not: one checks the"
            " other and never stands beside it; show one results directory at a time"
        )
    first = cells[0]
    known: dict[str, Cell] = {}
    for cell in cells:
        record = cell.record
        if record.protocol != first.record.protocol:
            raise LeaderboardError(
                f"{first.path} is of protocol {first.record.protocol!r}, {cell.path} of"
                f" {record.protocol!r}; scores of two protocols never mix: run the older again"
            )
        if record.num_users != first.record.num_users:
            raise LeaderboardError(
                f"{first.path} scored {first.record.num_users} {record.setting.asks}, {cell.path}"
                f" {record.num_users}; run one of them again"
            )
        if record.inputs.dataset != first.record.inputs.dataset:
            raise LeaderboardError(
                f"{first.path} read data of hash {first.record.inputs.dataset}, {cell.path} of"
                f" {record.inputs.dataset}: two versions of the data, whose scores never mix"
            )
        other = known.setdefault(record.method.key, cell)
        if other.record.method_hash != record.method_hash:
            raise LeaderboardError(
                f"method {record.method.key!r} differs between {other.path} (version"
                f" {other.record.method.version}, {other.record.method_hash[:8]}) and {cell.path}"
                f" (version {record.method.version}, {record.method_hash[:8]}); show one results"
                " directory at a time, or run the older again with --replace"
            )


def _notes(scores: UserScores | None, rows: Sequence[MethodRow], metric: str) -> tuple[str, ...]:
    """What a reader of the board must be told beside its rows."""
    notes = []
    if scores is None:
        notes.append(f"{metric} is null: {null_because(metric)}")
    keys = {row.key for row in rows}
    if BASE not in keys:
        notes.append(f"no record of {BASE!r}, so there are no differences")
    if FLOOR not in keys:
        notes.append(f"no record of {FLOOR!r}, so it is unknown whether cells are under-trained")
    return tuple(notes)
