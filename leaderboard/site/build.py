"""Building the site: pages, data files, copied records and figures, from boards and their records.

    index.html                       every setting at a glance, methods, datasets, how to check
    settings/<setting>.html          a board with its figures and records
    methods/<method>.html            a method on every board
    datasets/<dataset>.html          a dataset and its settings
    structure.html, claims.html      what `gti-bench structure` and `gti-bench claims` say
    data/<setting>.json, .csv        the board as `gti-bench table --format` gives it
    data/structure.json, claims.json those two with every digit
    figures/<setting>/*.png          cosine matrices
    records/<setting>/<method>/…     the records themselves, with what reruns left beside them

Nothing is fetched, nothing names a moment or this machine: equal records give equal bytes.
"""

import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from shutil import copyfile

from leaderboard.board.board import (
    Leaderboard,
    boards_of,
    build,
    by_hash,
    mark_same_names,
    with_verified,
)
from leaderboard.board.by_slice import scores_by_slice
from leaderboard.board.contrasts import Answers, contrasts_of, main_outcome
from leaderboard.board.method_rows import MethodRow
from leaderboard.board.over_boards import on_board
from leaderboard.board.structure import Points, points_of
from leaderboard.board.structure import together as points_together
from leaderboard.board.user_scores import ScoresReader
from leaderboard.claims.against_ours import InSetting, beside_setting, metrics_wanted
from leaderboard.claims.against_ours import together as claims_together
from leaderboard.claims.claims import ClaimsTable, load_claims
from leaderboard.claims.statements import judge
from leaderboard.records.canonical import digest_of
from leaderboard.records.cells import Cell, LeaderboardError, load_cells, without_harmful
from leaderboard.records.processes import share
from leaderboard.records.record import RecordError, find_records
from leaderboard.records.reproductions import reproductions_path
from leaderboard.render.claims import claims_json
from leaderboard.render.export import board_csv, board_json
from leaderboard.render.structure import structure_json
from leaderboard.site.cards import dataset_facts, presence
from leaderboard.site.directory import SiteError, files_below, replaced_directory, slug
from leaderboard.site.pages import (
    STRUCTURE_METRICS,
    Beyond,
    Pages,
    Shown,
    claims_page,
    dataset_page,
    index_page,
    method_page,
    setting_page,
    structure_file,
    structure_page,
)
from leaderboard.site.structure import structure_of

MANY_RECORDS = 256
"""Fewer are read sooner by one process: what draws the figures starts in each once more."""

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


@dataclass(frozen=True)
class _Task:
    """What one process needs to write the boards of one setting's name."""

    root: Path
    directories: tuple[Path, ...]
    name: str
    failing: Collection[str] | None
    tables: tuple[ClaimsTable, ...]


@dataclass(frozen=True)
class _Written:
    """What the other pages need of the boards of one setting's name; their records stay behind.

    Args:
        shown: the boards.
        problems: records left out and boards refused.
        points: what the page on structure is drawn of, by metric.
        beside: key of a table of claims → its claims beside these records.
    """

    shown: tuple[Shown, ...]
    problems: tuple[str, ...]
    points: tuple[Points, ...]
    beside: dict[str, InSetting]


def build_site(
    directories: Sequence[Path],
    out: Path,
    failing: Collection[str] | None = None,
    tables: Sequence[ClaimsTable] | None = None,
    processes: int = 1,
) -> Site:
    """Writes the site of the records under `directories` to `out`, whole or not at all.

    Args:
        directories: results directories; where two hold one cell the first counts.
        out: replaced if an earlier site lies there.
        failing: files in which `verify` just found errors; None: it was not run.
        tables: numbers reported elsewhere; None: those that come with the project.
        processes: how many share the settings, where there are enough records.

    Raises:
        SiteError: no board can be shown, or something else lies at `out`.
    """
    folders = tuple(directories)
    claims = tuple(load_claims() if tables is None else tables)
    paths = [path for folder in folders for path in find_records(folder)]
    names = sorted({path.parent.parent.name for path in paths})
    with replaced_directory(out) as root:
        for path in sorted(STATIC.iterdir()):
            _write(root, f"assets/{path.name}", path.read_bytes())
        tasks = [_Task(root, folders, name, failing, claims) for name in names]
        written = dict(
            zip(
                names,
                share(_write_setting, tasks, processes if len(paths) >= MANY_RECORDS else 1),
                strict=True,
            )
        )
        shown = [each for own in written.values() for each in own.shown]
        problems = [line for own in written.values() for line in own.problems]
        if not shown:
            raise SiteError("; ".join(problems) or _nothing(directories))
        _write_pages(root, written, claims, problems)
        num_files = len(files_below(root)) + 1
    num_records = sum(len(row.paths) for each in shown for row in each.board.rows)
    return Site(out, len(shown), num_records, num_files, tuple(problems))


def _write_setting(task: _Task) -> _Written:
    """Writes the boards of one setting's name; cells that no page can be made of are left out."""
    cells, notes = load_cells(task.directories, task.name)

    def write(own: Sequence[Cell]) -> _Written:
        return _write_cells(task, own, notes)

    def trial(own: Sequence[Cell]) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            _write_cells(replace(task, root=Path(scratch)), own, notes)

    try:
        written, left_out = without_harmful(cells, write, trial)
    except RecordError as error:
        return _Written((), (str(error), *notes), (), {})
    return replace(written, problems=(*written.problems, *left_out))


def _write_cells(task: _Task, cells: Sequence[Cell], notes: Sequence[str]) -> _Written:
    """Writes the boards of `cells`, each ranks file read once."""
    reader = ScoresReader(_wanted(cells, metrics_wanted(task.tables, task.name)))
    found = boards_of(cells, notes, reader=reader)
    groups = by_hash(cells)
    beside = {}
    for table in task.tables:
        own = beside_setting(table, task.name, cells, reader)
        if own is not None:
            beside[table.key] = own
    shown = []
    for board in mark_same_names(found.boards):
        marked = board if task.failing is None else with_verified(board, task.failing)
        others = [
            each.setting.name for each in found.boards if each.setting_hash != board.setting_hash
        ]
        own_cells = groups[board.setting_hash]
        slices = scores_by_slice(board, own_cells, reader)
        by_outcome = _by_outcome(board, own_cells, reader)
        beyond = Beyond(
            slices,
            _answers(own_cells, reader),
            task.tables,
            {key: each for key, each in beside.items() if each.setting_hash == board.setting_hash},
            in_structure=len(points_of(own_cells).scores) > 0,
            by_outcome=by_outcome,
        )
        shown.append(_write_board(task.root, marked, own_cells, others, beyond))
    kept = [c for board in found.boards for c in groups[board.setting_hash]]
    points = tuple(points_of(kept, metric) for metric in STRUCTURE_METRICS)
    return _Written(tuple(shown), (*found.refused, *found.notes), points, beside)


def _by_outcome(
    board: Leaderboard, cells: Sequence[Cell], reader: ScoresReader
) -> Leaderboard | None:
    """`board`, made of `cells`, by the declared outcome; None where it is by that already."""
    outcome = main_outcome(board.setting)
    return None if outcome == board.metric else build(cells, outcome, reader=reader)


def _wanted(cells: Sequence[Cell], by_claims: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Method → metrics to keep of its ranks: those of claims, and its setting's outcome."""
    wanted = {key: set(metrics) for key, metrics in by_claims.items()}
    for cell in cells:
        if cell.record.setting.primary is not None and cell.record.kind == "cell":
            own = wanted.setdefault(cell.record.method.key, set())
            own.add(cell.record.setting.primary.outcome)
    return wanted


def _answers(cells: Sequence[Cell], reader: ScoresReader) -> Answers | None:
    """What `cells` say of the contrasts; None where they have no two methods of one."""
    try:
        return contrasts_of(cells, reader=reader)
    except LeaderboardError:
        return None


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
    root: Path,
    board: Leaderboard,
    cells: Sequence[Cell],
    others: Sequence[str],
    beyond: Beyond,
) -> Shown:
    """Writes a board's page, data, pictures and records; returns what other pages need of it."""
    name = slug(board.setting.name, board.setting_hash, others)
    rows = tuple(_with_copies(root, row, name) for row in board.rows)
    board = replace(board, rows=rows)
    own = _by_method(board, cells)
    records = [cell.record for cell in cells]
    fullest = next((each for each in records if each.accounting is not None), records[0])
    methods = {key: presence(found[0]) for key, found in own.items()}
    cards = {key: found[0].record.method for key, found in own.items()}
    declared = beyond.by_outcome or board
    facts, said = dataset_facts(fullest), on_board(declared)
    shown = Shown(name, board, facts, methods, cards, said, judge(declared, cells))
    _write(root, f"data/{name}.json", board_json(board).encode())
    _write(root, f"data/{name}.csv", board_csv(board).encode())

    def write(file: str, content: bytes) -> str:
        _write(root, f"figures/{name}/{file}", content)
        return f"../figures/{name}/{file}"

    dataset = _dataset_slug(board.setting.dataset.name)
    page = setting_page(shown, own, beyond, dataset, write)
    _write(root, f"settings/{name}.html", page)
    return shown


def _with_copies(root: Path, row: MethodRow, setting: str) -> MethodRow:
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


def _write_pages(
    root: Path,
    written: Mapping[str, _Written],
    tables: Sequence[ClaimsTable],
    problems: Sequence[str],
) -> None:
    """Writes the pages about more than one board; `written` is by setting's name."""
    shown = [each for own in written.values() for each in own.shown]
    names = sorted({each.board.setting.dataset.name for each in shown})
    points = [
        points_together(parts) for parts in zip(*(w.points for w in written.values()), strict=True)
    ]
    slugs = {each.board.setting_hash: each.slug for each in shown}
    boards = {name: [each.slug for each in own.shown] for name, own in written.items()}
    structure, found = structure_of(points, boards)
    beside = {
        table.key: {
            name: own.beside[table.key] for name, own in written.items() if table.key in own.beside
        }
        for table in tables
    }
    compared = [claims_together(table, beside[table.key]) for table in tables]
    datasets = {name: _dataset_slug(name) for name in names}
    pages = Pages(shown, problems, datasets, structure, compared)
    _write(root, "index.html", index_page(pages))
    for key in pages.methods:
        _write(root, f"methods/{key}.html", method_page(pages, key))
    for name, address in pages.datasets.items():
        _write(root, f"datasets/{address}.html", dataset_page(pages, name))
    _write(root, "structure.html", structure_page(pages))
    for each, tests in zip(points, found, strict=True):
        _write(root, structure_file(each.metric), (structure_json(each, tests) + "\n").encode())
    leads = {
        (key, name): slugs[own.setting_hash]
        for key, by_name in beside.items()
        for name, own in by_name.items()
        if own.setting_hash in slugs
    }
    _write(root, "claims.html", claims_page(pages, leads))
    _write(root, "data/claims.json", (claims_json(compared, [], pages.judged) + "\n").encode())
