"""The pages: what each template is filled with. All text is escaped by the templates."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from leaderboard.board.board import Leaderboard
from leaderboard.board.by_slice import SliceScores
from leaderboard.board.contrasts import Answers, main_outcome
from leaderboard.board.over_boards import OnBoard
from leaderboard.board.standing import standing_line
from leaderboard.claims.against_ours import Compared, InSetting
from leaderboard.claims.claims import ClaimsTable
from leaderboard.claims.statements import Judged, together
from leaderboard.figures.lines import CROWDED
from leaderboard.figures.palette import Palette
from leaderboard.metrics.metrics import MAIN_METRIC, is_loss
from leaderboard.records.cells import Cell
from leaderboard.records.known_methods import order_of
from leaderboard.records.record import MethodCard
from leaderboard.render.board_tables import COST_NOTE, STAGES_NOTE
from leaderboard.render.claims import (
    READING,
    STATEMENTS_READING,
    Z_READING,
    statements_table,
    statements_told,
    summary,
)
from leaderboard.render.learning import learning_note
from leaderboard.render.numbers import (
    STAGE_NAMES,
    duration,
    flops,
    interval,
    p_value,
    score,
    signed,
)
from leaderboard.render.over_boards import READING as READING_OVER_BOARDS
from leaderboard.render.sentences import (
    NO_EVIDENCE,
    board_name,
    footnotes,
    marks,
    title,
    variance_notes,
    verdict,
)
from leaderboard.render.structure import no_cells
from leaderboard.render.treatment import treatment_lines
from leaderboard.site import tables
from leaderboard.site.board_figures import Write, board_figures, drawn_methods
from leaderboard.site.cards import Fields, Presence, setting_sections, source_parts
from leaderboard.site.claims import concerned, source_of
from leaderboard.site.contrasts import contrasts
from leaderboard.site.over_boards import over_boards
from leaderboard.site.slices import slices
from leaderboard.site.structure import Structure, anchor_of
from leaderboard.site.summary import Glance, at_one_seed, glance

STRUCTURE_METRICS = (MAIN_METRIC, "recall@10")
"""What rows' numbers are set against on the page about structure."""

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Shown:
    """A board of the site, without its records: those are on its own page alone.

    Args:
        slug: its name in addresses.
        board: its rows' paths are those of the copied records, from the site's root.
        dataset: what its records say of the dataset.
        methods: method or reference → what its records say of it.
        cards: method or reference → its card.
        on_board: what it says of each method, by the outcome that its setting declares.
        judged: what its records say of the paper's statements.
    """

    slug: str
    board: Leaderboard
    dataset: Fields
    methods: Mapping[str, Presence]
    cards: Mapping[str, MethodCard]
    on_board: Sequence[OnBoard]
    judged: Sequence[Judged]

    @property
    def glance(self) -> Glance:
        """The board in short."""
        return glance(self.board)


@dataclass(frozen=True)
class Pages:
    """What the pages about more than one board share.

    Args:
        shown: every board.
        problems: what was refused or left out.
        datasets: dataset → its name in addresses.
        structure: whether structure explains performance; None where no cell gives a point.
        claims: numbers reported elsewhere, beside ours.
        methods: method or reference → the boards it stands on.
    """

    shown: Sequence[Shown]
    problems: Sequence[str]
    datasets: Mapping[str, str]
    structure: Structure | None
    claims: Sequence[Compared]
    methods: dict[str, list[Shown]] = field(init=False, default_factory=dict)

    @property
    def judged(self) -> list[Judged]:
        """What the paper states, judged by all boards."""
        return together([found for each in self.shown for found in each.judged])

    def __post_init__(self) -> None:
        """Gathers the methods of all boards."""
        cards = {key: card for each in self.shown for key, card in each.cards.items()}
        for key in sorted(cards, key=lambda key: (_is_reference(cards[key]), order_of(cards[key]))):
            self.methods[key] = [each for each in self.shown if key in each.methods]


def _is_reference(card: MethodCard) -> bool:
    return card.group == "reference"


@cache
def environment() -> Environment:
    """The templates; everything that is no Markup is escaped."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals.update(
        no_evidence=NO_EVIDENCE,
        stage_names=STAGE_NAMES,
        score=score,
        signed=signed,
        interval=interval,
        p_value=p_value,
        duration=duration,
        flops=flops,
        marks=marks,
        board_name=board_name,
        verdict=verdict,
        source_parts=source_parts,
        quoted=quoted,
        at_one_seed=at_one_seed,
    )
    return made


def quoted(text: str) -> Markup:
    """`text`, what stands in backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _render(template: str, root: str, **values: Any) -> bytes:
    """The page made of `template`; `root` leads from it to the site's root."""
    return environment().get_template(template).render(root=root, **values).encode()


def index_page(pages: Pages) -> bytes:
    """Every setting at a glance."""
    ordered = sorted(pages.shown, key=lambda each: not each.board.evidence)
    return _render(
        "index.html",
        "",
        pages=pages,
        shown=ordered,
        cards={key: boards[0].methods[key].card for key, boards in pages.methods.items()},
        structure=_nothing()
        if pages.structure is None
        else " ".join(pages.structure.groups[0].sentences),
        claims=summary(pages.claims),
        over_boards=over_boards(
            [found for each in ordered for found in each.on_board],
            {each.board.setting_hash: each.slug for each in ordered},
        ),
        over_boards_reading=READING_OVER_BOARDS,
    )


def _nothing() -> str:
    """Why structure cannot be judged at all."""
    return f"There are {no_cells(MAIN_METRIC)}."


def structure_page(pages: Pages) -> bytes:
    """Whether structure explains performance."""
    files = {metric: structure_file(metric) for metric in STRUCTURE_METRICS}
    return _render("structure.html", "", structure=pages.structure, nothing=_nothing(), files=files)


def structure_file(metric: str) -> str:
    """Where the associations with `metric` lie, every digit."""
    return "data/structure.json" if metric == MAIN_METRIC else f"data/structure-{metric}.json"


def claims_page(pages: Pages, slugs: Mapping[tuple[str, str], str]) -> bytes:
    """Numbers reported elsewhere, beside ours; `slugs` lead to the boards that have records."""
    return _render(
        "claims.html",
        "",
        sources=[source_of(each, slugs) for each in pages.claims],
        statements=statements_table(pages.judged),
        statements_told=statements_told(),
        statements_reading=STATEMENTS_READING,
        addresses={setting: slug for (_, setting), slug in slugs.items()},
        summary=summary(pages.claims),
        reading=READING,
        z_reading=Z_READING,
    )


@dataclass(frozen=True)
class Beyond:
    """Extra content of a setting's page: slices, contrasts, claims, and a link to structure.

    Args:
        slices: its scores in each slice.
        answers: what its records say of pairs of methods that differ in one thing, if anything.
        tables: numbers reported elsewhere.
        beside: key of such a table → its claims beside this board's records.
        in_structure: whether a cell of it is a point of the page on structure.
        by_outcome: the same board by the outcome that its setting declares, where that is another
            metric.
    """

    slices: Sequence[SliceScores]
    answers: Answers | None
    tables: Sequence[ClaimsTable]
    beside: Mapping[str, InSetting]
    in_structure: bool
    by_outcome: Leaderboard | None


def setting_page(
    shown: Shown, own: Mapping[str, Sequence[Cell]], beyond: Beyond, dataset: str, write: Write
) -> bytes:
    """A board with its figures.

    Args:
        shown: the board.
        own: its methods and references → their cells, by seed.
        beyond: its slices, and where it is set beside other numbers.
        dataset: the dataset's name in addresses.
        write: takes the pictures.
    """
    board = shown.board
    palette = Palette.of(cell for cells in own.values() for cell in cells)
    drawn = drawn_methods(board, palette)
    lines = {row.key: standing_line(row.key, row.standing) for row in board.rows}
    return _render(
        "setting.html",
        "../",
        shown=shown,
        board=board,
        glance=shown.glance,
        title=title(board),
        scores=tables.scores(board),
        checked=all(row.standing.verified is not None for row in board.rows),
        rows=tables.new_rows(board),
        learning=tables.learning(board),
        contrasts=contrasts(beyond.answers),
        slices=slices(board, beyond.slices, own),
        claims=concerned(beyond.tables, board.setting.name, beyond.beside),
        anchor=anchor_of(board.setting.name) if beyond.in_structure else "",
        records=tables.records(board, own),
        drawn=drawn,
        crowded=len(drawn) > CROWDED,
        groups=list(dict.fromkeys(row.group for row in board.rows)),
        verdicts=[(row, text) for row in board.rows if (text := verdict(row)) is not None],
        footnotes=[
            *footnotes(board),
            *tables.cut_off_note([row.score for row in board.rows], board.metric),
            *variance_notes(board),
        ],
        standings=[line for line in lines.values() if line is not None],
        learning_note=learning_note(board),
        stages_note=STAGES_NOTE,
        cost=tables.cost(board),
        cost_note=COST_NOTE,
        treatments=treatment_lines(
            {row.key: row.taken for row in board.rows if row.taken is not None}
        ),
        outcome=main_outcome(board.setting),
        outcome_is_loss=is_loss(main_outcome(board.setting)),
        **board_figures(board, {key: own[key] for key in drawn}, palette, write, beyond.by_outcome),
        left_undrawn=sum(row.kind == "cell" for row in board.rows) - len(drawn),
        sections=setting_sections([cell for cells in own.values() for cell in cells]),
        dataset=dataset,
    )


def method_page(pages: Pages, key: str) -> bytes:
    """A method or reference on every board."""
    boards = pages.methods[key]
    found = [(each, each.board.row(key), each.methods[key]) for each in boards]
    card = boards[0].methods[key].card
    return _render("method.html", "../", key=key, card=card, found=found)


def dataset_page(pages: Pages, name: str) -> bytes:
    """A dataset, and the settings on it."""
    found = [each for each in pages.shown if each.board.setting.dataset.name == name]
    return _render("dataset.html", "../", name=name, found=found)
