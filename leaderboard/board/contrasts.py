"""Is it the grounding, more compute, or only that the rows differ? The pairs of methods that tell.

Each pair differs in the one thing it is named after; the methods themselves declare them. All pairs
of a setting are tested together, by the same crossed model as `compare`, with p corrected by Holm.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from leaderboard.board.board import check_mix
from leaderboard.board.method_rows import FLOOR, under_trained
from leaderboard.board.moderation import Moderation, moderated_squares, moderation_of
from leaderboard.board.user_scores import Floats, ScoresReader, read_scores
from leaderboard.metrics.metrics import MAIN_METRIC
from leaderboard.records.cells import Cell, LeaderboardError, by_setting, load_cells
from leaderboard.records.facts import Contrast
from leaderboard.records.known_methods import known_facts
from leaderboard.records.record import MethodCard, Record
from leaderboard.records.setting import Setting
from leaderboard.statistics.corrections import LEVEL, holm
from leaderboard.statistics.crossed import (
    Estimate,
    estimate,
    seeds_needed,
    smallest_difference,
)

QUESTIONS = (
    "Is there a gain to explain?",
    "Is it more compute?",
    "Is it only that the rows differ?",
    "Must the pairs be the right ones?",
    "Does it take texts to train the rows first?",
    "Would the texts do without training?",
    "Does it take both directions?",
    "Does freezing matter?",
    "Does it add to alignment tasks?",
)
"""In the order in which they are answered; those that only a method of others asks come after."""


def contrasts_for(cards: Iterable[MethodCard]) -> list[Contrast]:
    """The contrasts of the shipped methods and of those of `cards`, each pair once.

    Question by question; of one question by their places, then in the order of the methods.
    """
    pairs: dict[frozenset[str], Contrast] = {}
    for facts in known_facts(cards).values():
        for contrast in facts.contrasts:
            pairs.setdefault(frozenset((contrast.a, contrast.b)), contrast)
    asked = [*QUESTIONS, *(contrast.question for contrast in pairs.values())]
    return sorted(pairs.values(), key=lambda each: (asked.index(each.question), each.place))


@dataclass(frozen=True)
class Answer:
    """What the records say about one contrast.

    Args:
        contrast: the pair.
        estimate: of a - b, over the seeds that both have and all users.
        p: corrected by Holm over the contrasts that could be tested; null where undefined.
        smallest: the smallest true difference that would be shown four times in five, at the level
            that the strictest of the corrected tests needs, as on a board.
        seeds_needed: seeds at which a true difference as large as this one would be shown so
            often, at the same level; None where unknown or more seeds would not do.
        weak: those of the two that lie below popularity at some seed: they support no claim.
    """

    contrast: Contrast
    estimate: Estimate
    p: float | None
    smallest: float | None
    seeds_needed: int | None
    weak: tuple[str, ...]

    @property
    def shown(self) -> bool:
        """Whether the two differ at the 5 % level, after correction, and may be compared."""
        return self.p is not None and self.p < LEVEL and not self.weak


@dataclass(frozen=True)
class Answers:
    """All contrasts of a setting that its records allow.

    Args:
        setting: whose records.
        metric: on the test split.
        level: what the smallest p is held against, Holm's first step.
        answers: in the order of `contrasts_for`.
        missing: contrasts without a seed that both methods have.
        moderation: as on the setting's board.
    """

    setting: Setting
    metric: str
    level: float
    answers: tuple[Answer, ...]
    missing: tuple[Contrast, ...]
    moderation: Moderation | None


def load_contrasts(
    sources: Sequence[Sequence[Path]], setting: str, metric: str = MAIN_METRIC
) -> tuple[Answers, list[str]]:
    """The contrasts of `setting`, and which files were left out.

    Args:
        sources: groups of results directories; the first group with both methods of a contrast
            under one hash of the setting is used.
        setting: the setting's name.
        metric: what to compare by.

    Raises:
        LeaderboardError: as `contrasts_of`, or records that must not be mixed.
    """
    refused = LeaderboardError(f"no records of setting {setting!r}; `gti-bench run` makes some")
    for directories in sources:
        cells, left_out = load_cells(directories, setting)
        for group in by_setting(cells).values():
            check_mix(group)
            try:
                return contrasts_of(group, metric), left_out
            except LeaderboardError as error:
                refused = error
    raise refused


def contrasts_of(
    cells: Sequence[Cell], metric: str = MAIN_METRIC, reader: ScoresReader | None = None
) -> Answers:
    """What `cells`, all of one setting hash, say about their contrasts.

    Args:
        cells: the records.
        metric: what to compare by.
        reader: what it has read is not read again; None: a new one.

    Raises:
        LeaderboardError: no contrast has both of its methods, or the metric is null.
    """
    own = [cell for cell in cells if cell.record.kind == "cell"]
    setting = cells[0].record.setting
    scores = read_scores(own, metric, reader=reader) if own else None
    if own and scores is None:
        raise LeaderboardError(
            f"{metric} of setting {setting.name} is null: its cutoff lies beyond the beam"
        )
    floor = [cell for cell in cells if cell.record.method.key == FLOOR] or None
    records: dict[str, list[Record]] = {}
    for cell in own:
        records.setdefault(cell.record.method.key, []).append(cell.record)
    weak = {key for key, found in records.items() if under_trained(found, floor)}
    tested: list[tuple[Contrast, Floats]] = []
    missing: list[Contrast] = []
    for contrast in contrasts_for(cell.record.method for cell in own):
        sides = [scores.values.get(key, {}) if scores else {} for key in (contrast.a, contrast.b)]
        seeds = sorted(set(sides[0]) & set(sides[1]))
        if scores is None or not seeds:
            missing.append(contrast)
            continue
        matrix = scores.matrix(contrast.a, seeds) - scores.matrix(contrast.b, seeds)
        tested.append((contrast, matrix))
    if not tested:
        raise LeaderboardError(
            f"setting {setting.name}: no seed of two methods that a contrast sets against each"
            f" other; it has {', '.join(sorted(records)) or 'no cells'}, and `gti-bench run"
            f" {setting.name} --methods all` makes them"
        )
    level = LEVEL / len(tested)
    moderation = moderation_of(scores, list(records))
    answers = _answers(tested, level, weak, moderation)
    return Answers(setting, metric, level, answers, tuple(missing), moderation)


def _answers(
    tested: Sequence[tuple[Contrast, Floats]],
    level: float,
    weak: set[str],
    moderation: Moderation | None,
) -> tuple[Answer, ...]:
    """What each [seeds, users] matrix of differences says, corrected over all of them."""
    varying = [moderated_squares(matrix, moderation) for _, matrix in tested]
    estimates = [
        estimate(matrix, squares) for (_, matrix), squares in zip(tested, varying, strict=True)
    ]
    corrected = holm([found.p for found in estimates])
    answers = []
    for (contrast, _), squares, found, p in zip(tested, varying, estimates, corrected, strict=True):
        answers.append(
            Answer(
                contrast,
                found,
                p,
                smallest_difference(squares, level),
                seeds_needed(squares, found.mean, level),
                tuple(key for key in (contrast.a, contrast.b) if key in weak),
            )
        )
    return tuple(answers)
