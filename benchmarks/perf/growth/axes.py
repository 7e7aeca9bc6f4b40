"""The axes along which a cell grows, what is measured on each, and what is expected there."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.perf.grown import WINDOW, Grown
from benchmarks.perf.growth import pieces
from benchmarks.perf.growth.pieces import BEAM, HISTORY, ITEMS, Work, drawn_ids, setup
from gti.data.semantic_ids import SemanticIds
from gti.search.decoding import Trie

NODES = "one row of a table per prefix, and a sort of the items per level"
REST = f"histories of {HISTORY} items"
HEAD = "FLOPs: the head grows with its rows, the body does not"


@dataclass(frozen=True)
class Piece:
    """A piece of a cell.

    Attributes:
        name, unit: what is run, and what its time is given per.
        prepare: value → what to run; not measured.
        why: why the expected slope is what it is.
        memory_slope: slope that its peak may have in the end.
        tensors: whether its memory is torch's (else NumPy's and Python's).
    """

    name: str
    unit: str
    prepare: Callable[[int], Work]
    why: str
    memory_slope: float
    tensors: bool = True


@dataclass(frozen=True)
class Axis:
    """What is varied, over which values, and what is measured there; `fixed`: all the rest."""

    name: str
    fixed: str
    values: tuple[int, ...]
    pieces: tuple[Piece, ...]


def _of_items(work: Callable[[Grown, Trie], Work]) -> Callable[[int], Work]:
    return lambda items: work(*setup(items))


def _of_rows(work: Callable[[Grown, Trie], Work]) -> Callable[[int], Work]:
    return lambda rows: work(*pieces.setup_of_rows(rows))


def _sized(shape: Callable[[int], tuple[int, int]]) -> tuple[Piece, ...]:
    """The pieces along levels or codes; `shape`: value → levels and codes."""

    def ids(value: int) -> SemanticIds:
        return drawn_ids(ITEMS, *shape(value))

    def grown(value: int) -> tuple[Grown, Trie]:
        return setup(ITEMS, *shape(value))

    return (
        Piece(
            "residual k-means",
            "run",
            lambda value: pieces.quantising(ITEMS, *shape(value)),
            "every item against every code of every level",
            1.0,
            tensors=False,
        ),
        Piece(
            "new rows",
            "run",
            lambda value: pieces.adding_rows(ids(value)),
            "the backbone is loaded and its matrix copied; the new rows are a part of it",
            1.0,
        ),
        Piece(
            "trie", "run", lambda value: pieces.building_trie(ids(value)), NODES, 1.0, tensors=False
        ),
        Piece(
            f"beam {BEAM}",
            "user",
            lambda value: pieces.searching(*grown(value)),
            "FLOPs: beams go through the model once per level but the first; codes are rows of the"
            " head",
            1.0,
        ),
        Piece(
            "diagnostics",
            "run",
            lambda value: pieces.diagnosing(grown(value)[0]),
            "cosines of all rows that are used with each other and with text",
            2.0,
            tensors=False,
        ),
    )


def _items() -> Axis:
    """The axis "number of items": its values and the pieces measured along it."""
    pieces_of_it = (
        Piece(
            "trie",
            "run",
            lambda items: pieces.building_trie(drawn_ids(items, 4, 256)),
            NODES,
            1.0,
            tensors=False,
        ),
        Piece(
            f"beam {BEAM}",
            "user",
            _of_items(pieces.searching),
            "a step looks at the children of its beams, whatever else the trie holds",
            0.0,
        ),
        Piece(
            "every item",
            "user",
            _of_items(pieces.scoring_all),
            "FLOPs: every prefix goes through the model once",
            1.0,
        ),
        Piece(
            "residual k-means",
            "run",
            lambda items: pieces.quantising(items, 4, 64),
            "every item against every code",
            1.0,
            tensors=False,
        ),
        Piece(
            "grounding pairs",
            "run",
            lambda items: pieces.building_pairs(setup(items)[0]),
            "six prompts per item",
            1.0,
            tensors=False,
        ),
    )
    return Axis(
        "items",
        f"4 × 256 codes (k-means 4 × 64), {REST}",
        (1_000, 3_162, 10_000, 31_623, 100_000),
        pieces_of_it,
    )


def _history() -> Axis:
    """What a user has seen grows."""
    pieces_of_it = (
        Piece(
            f"beam {BEAM}",
            "user",
            lambda length: pieces.searching(*setup(), items=length),
            "FLOPs: the prompt once, attention over it from every beam",
            1.0,
        ),
        Piece(
            "SFT, sequence",
            "history",
            lambda length: pieces.tuning_windows(setup()[0], length),
            "FLOPs: tokens, and attention over pairs of them",
            1.0,
        ),
        Piece(
            "SFT, chat",
            "history",
            pieces.tuning_chat,
            "FLOPs: what no other question shares, and attention over pairs of tokens",
            2.0,
        ),
    )
    return Axis(
        "history", f"{ITEMS:,} items, 4 × 256 codes", (5, 10, 20, 50, 100, 200), pieces_of_it
    )


def _levels() -> Axis:
    """Semantic IDs get longer."""
    pieces_of_it = _sized(lambda levels: (levels, 64))
    return Axis("levels", f"64 codes, {ITEMS:,} items, {REST}", (2, 3, 4, 6, 8), pieces_of_it)


def _codes() -> Axis:
    """Levels get wider."""
    values = (16, 32, 64, 128, 256, 512, 1_024)
    pieces_of_it = _sized(lambda codes: (3, codes))
    return Axis("codes", f"3 levels, {ITEMS:,} items, {REST}", values, pieces_of_it)


def _beam() -> Axis:
    """More prefixes are kept at each level."""
    pieces_of_it = (
        Piece(
            "beam search",
            "user",
            lambda beam: pieces.searching(*setup(), beam=beam),
            "FLOPs: the prompt once, then as many tokens per level as there are beams",
            1.0,
        ),
    )
    return Axis(
        "beam",
        f"{ITEMS:,} items, 4 × 256 codes, {REST}",
        (5, 10, 20, 50, 100, 200),
        pieces_of_it,
    )


def _vocabulary() -> Axis:
    """The matrix grows."""
    pieces_of_it = (
        Piece("head", "target", _of_rows(lambda nano, _: pieces.applying_head(nano)), HEAD, 1.0),
        Piece(
            "SFT",
            "window",
            _of_rows(lambda nano, _: pieces.tuning_windows(nano, WINDOW)),
            HEAD,
            1.0,
        ),
        Piece("grounding", "pair", _of_rows(lambda nano, _: pieces.grounding(nano)), HEAD, 1.0),
        Piece(f"beam {BEAM}", "user", _of_rows(pieces.searching), HEAD, 1.0),
    )
    return Axis(
        "vocabulary",
        f"rows of the matrix, 1,682 items, 3 × 64 codes, {REST}, windows of {WINDOW}",
        (8_384, 16_384, 32_768, 65_536, 150_000),
        pieces_of_it,
    )


AXES: dict[str, Axis] = {
    axis.name: axis for axis in (_items(), _history(), _levels(), _codes(), _beam(), _vocabulary())
}
