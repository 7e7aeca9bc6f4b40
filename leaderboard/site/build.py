"""Building the site: pages, data files, copied records and figures, from boards and their records.

    index.html                       every setting at a glance, methods, datasets, how to check
    settings/<setting>.html          a board with its figures and records
    methods/<method>.html            a method on every board
    datasets/<dataset>.html          a dataset and its settings
    data/<setting>.json, .csv        the board as `gti-bench table --format` gives it
    figures/<setting>/*.png          cosine matrices
    records/<setting>/<method>/…     the records themselves, with what reruns left beside them

Nothing is fetched, nothing names a moment or this machine: equal records give equal bytes.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from shutil import copyfile

from leaderboard.board import Leaderboard, boards_of, by_hash, cells_by_setting, with_verified
from leaderboard.canonical import digest_of
from leaderboard.export import board_csv, board_json
from leaderboard.reproductions import reproductions_path
from leaderboard.rows import Row
from leaderboard.scores import Cell
from leaderboard.site.cards import dataset_facts, presence
from leaderboard.site.directory import SiteError, files_below, replaced_directory
from leaderboard.site.pages import (
    Pages,
    Shown,
    dataset_page,
    index_page,
    method_page,
    setting_page,
)

STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True)
class Site:
    """What was built.

    Args:
        directory: where it lies.
        num_boards: shown.
        num_records: copied into it.
        num_files: in it.
        problems: records left out and settings refused, one line each; the index tells them too.
    """

    directory: Path
    num_boards: int
    num_records: int
    num_files: int
    problems: tuple[str, ...]


def slug(name: str, identity: str, others: Iterable[str] = ()) -> str:
    """`name` as a file name; the first digits of `identity` follow where it cannot serve alone.

    It cannot where it holds more than small letters, digits and `._-`, or is among the `others`.
    """
    safe = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip(".-") or "unnamed"
    return safe if safe == name and name not in others else f"{safe}-{identity[:8]}"


def build_site(
    directories: Sequence[Path], out: Path, failing: Collection[str] | None = None
) -> Site:
    """Writes the site of the records under `directories` to `out`, whole or not at all.

    Args:
        directories: results directories; where two hold one cell the first counts.
        out: replaced if an earlier site lies there.
        failing: files in which `verify` just found errors; None: it was not run.

    Raises:
        SiteError: no board can be shown, or something else lies at `out`.
    """
    shown: list[Shown] = []
    problems: list[str] = []
    with replaced_directory(out) as root:
        for path in sorted(STATIC.iterdir()):
            _write(root, f"assets/{path.name}", path.read_bytes())
        for cells, notes in cells_by_setting(directories):
            found = boards_of(cells, notes)
            problems += [*found.refused, *found.notes]
            groups = by_hash(cells)
            for board in found.boards:
                marked = board if failing is None else with_verified(board, failing)
                own = groups[board.setting_hash]
                alike = [each.setting.name for each in found.boards if each is not board]
                shown.append(_write_board(root, marked, own, alike))
        if not shown:
            raise SiteError("; ".join(problems) or _nothing(directories))
        _write_pages(root, shown, problems)
        num_files = len(files_below(root)) + 1
    num_records = sum(len(row.paths) for each in shown for row in each.board.rows)
    return Site(out, len(shown), num_records, num_files, tuple(problems))


def _nothing(directories: Sequence[Path]) -> str:
    """Why there is no board."""
    where = ", ".join(map(str, directories))
    return (
        f"no records under {where}; `gti-bench run SETTING` makes some, --results DIR looks"
        " elsewhere"
    )


def _write(root: Path, name: str, content: bytes) -> None:
    """Writes one file of the site."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _write_board(
    root: Path, board: Leaderboard, cells: Sequence[Cell], others: Sequence[str]
) -> Shown:
    """Writes a board's page, data, pictures and records; returns what other pages need of it."""
    name = slug(board.setting.name, board.setting_hash, others)
    rows = tuple(_with_copies(root, row, name) for row in board.rows)
    board = replace(board, rows=rows)
    own = _by_method(board, cells)
    records = [cell.record for cell in cells]
    fullest = next((each for each in records if each.accounting is not None), records[0])
    methods = {key: presence(found[0].record) for key, found in own.items()}
    shown = Shown(name, board, dataset_facts(fullest), methods)
    _write(root, f"data/{name}.json", board_json(board).encode())
    _write(root, f"data/{name}.csv", board_csv(board).encode())

    def write(file: str, content: bytes) -> str:
        _write(root, f"figures/{name}/{file}", content)
        return f"../figures/{name}/{file}"

    page = setting_page(shown, own, _dataset_slug(board.setting.dataset.name), write)
    _write(root, f"settings/{name}.html", page)
    return shown


def _with_copies(root: Path, row: Row, setting: str) -> Row:
    """Copies the records of `row` and returns it with the paths of the copies."""
    copies: dict[int, Path] = {}
    for seed, path in row.paths.items():
        copy = PurePosixPath("records", setting, row.key, f"seed-{seed}.json")
        target = root / copy
        target.parent.mkdir(parents=True, exist_ok=True)
        copyfile(path, target)
        if reproductions_path(path).exists():
            copyfile(reproductions_path(path), reproductions_path(target))
        copies[seed] = Path(copy)
    return replace(row, paths=copies)


def _by_method(board: Leaderboard, cells: Sequence[Cell]) -> Mapping[str, Sequence[Cell]]:
    """Methods and references in the board's order → their cells, by seed."""
    grouped: dict[str, list[Cell]] = {row.key: [] for row in board.rows}
    for cell in sorted(cells, key=lambda cell: cell.record.seed):
        grouped[cell.record.method.key].append(cell)
    return grouped


def _dataset_slug(name: str) -> str:
    return slug(name, digest_of(name))


def _write_pages(root: Path, shown: Sequence[Shown], problems: Sequence[str]) -> None:
    """Writes the pages about more than one board."""
    names = sorted({each.board.setting.dataset.name for each in shown})
    pages = Pages(shown, problems, {name: _dataset_slug(name) for name in names})
    _write(root, "index.html", index_page(pages))
    for key in pages.methods:
        _write(root, f"methods/{key}.html", method_page(pages, key))
    for name, address in pages.datasets.items():
        _write(root, f"datasets/{address}.html", dataset_page(pages, name))
