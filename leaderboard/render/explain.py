"""From a figure on a board to the files and hashes it rests on."""

from leaderboard.board.board import Leaderboard
from leaderboard.board.method_rows import metrics_of
from leaderboard.records.cells import LeaderboardError
from leaderboard.records.record import Record, diagnostics_path, ranks_path, read_record
from leaderboard.render.numbers import score


def explain(board: Leaderboard, cell: str) -> list[str]:
    """Lines that lead from the figures of `cell` to its records.

    Args:
        board: the board the figures stand on.
        cell: `METHOD` for all its seeds or `METHOD/seed-N` for one.

    Raises:
        LeaderboardError: no such method or seed on the board.
    """
    key, _, wanted = cell.partition("/")
    row = board.row(key)
    paths = {f"seed-{seed}": path for seed, path in row.paths.items()}
    if wanted and wanted not in paths:
        raise LeaderboardError(
            f"no cell {cell!r} on board {board.setting.name}; {key} has {', '.join(paths)}"
        )
    part = f" · slice {board.slice_name}" if board.slice_name else ""
    lines = [
        f"{board.setting.name} · {key} · test {board.metric}{part} ="
        f" {score(row.means.get(board.metric))},"
        f" mean of {len(paths)} record{'s' if len(paths) > 1 else ''}",
        f"  setting hash {board.setting_hash}",
        f"  method hash  {row.method_hash}",
    ]
    for name, path in paths.items():
        if wanted in ("", name):
            record = read_record(path)
            code = record.code
            dirty = {True: ", with uncommitted changes", False: "", None: ""}[code.dirty]
            figure = metrics_of(record, board.slice_name).get(board.metric)
            lines += [
                f"{name}: {board.metric} = {figure!r}",
                f"  record      {path}",
                f"    digest    {record.digest}",
                f"    cell hash {record.cell_hash}",
                f"  ranks       {ranks_path(path)}",
                f"    sha256    {record.files.ranks}",
            ]
            if record.files.diagnostics is not None:
                lines.append(f"  diagnostics {diagnostics_path(path)}")
                lines.append(f"    sha256    {record.files.diagnostics}")
            lines.append(f"  code        {code.version}, commit {code.commit or 'unknown'}{dirty}")
            lines.append(f"  made by     {_command(record)}")
    return lines


def _command(record: Record) -> str:
    """The command that runs this cell or reference again."""
    name, key = record.setting.name, record.method.key
    if record.kind == "cell":
        return f"gti-bench run {name} --methods {key} --seeds {record.seed}"
    if record.names is not None:
        return f"gti-bench references {name} --models {key} --seeds {record.seed}"
    if record.fits is None:
        return f"gti-bench run {name} (every run writes the references that are missing)"
    return f"tox -e recbole -- {name} --models {key.partition('-')[2]} --seeds {record.seed}"
