"""What the boards say of each method together, as tables of the front page, with links."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from leaderboard.board.over_boards import OnBoard
from leaderboard.render.over_boards import board_table, gti_table, total_tables
from leaderboard.render.table import Table


@dataclass(frozen=True)
class OverBoards:
    """The tables: what `gti` is against the others, of all boards together, and board by board."""

    gti: Table | None
    totals: Sequence[Table]
    by_board: Table


def over_boards(found: Sequence[OnBoard], slugs: Mapping[str, str]) -> OverBoards | None:
    """The tables of what boards say; None where no method stands on one.

    Args:
        found: board by board.
        slugs: a setting's hash → the name of its board in addresses.
    """
    if not found:
        return None
    addresses = [f"settings/{slugs[each.setting_hash]}.html" for each in found]
    by_board = _with_links(board_table(found), "board", addresses)
    gti = gti_table(found)
    return OverBoards(
        None if gti is None else _with_methods(gti),
        [_with_methods(each) for each in total_tables(found)],
        _with_methods(by_board),
    )


def _with_methods(table: Table) -> Table:
    """`table`, each method a link to its page."""
    return _with_links(table, "method", [f"methods/{line.key}.html" for line in table.lines])


def _with_links(table: Table, key: str, addresses: Sequence[str]) -> Table:
    """`table`, the entries of one column linked to `addresses`."""
    entries = [
        replace(entry, link=address)
        for entry, address in zip(table.entries(key), addresses, strict=True)
    ]
    return table.with_column(table[key], entries)
