"""Did grounding take? What a method's rows had learnt of its pairs before SFT began.

A method that is named after training rows on pairs of text and Semantic ID says nothing of such
training where the rows learnt nothing of the pairs. Records of such methods hold what a record's
`treatment` measured between the two stages; here stand the bounds, and nowhere else. At a seed
grounding *took* where

- in each direction that the method trains, the pairs as they were shown are likelier than permuted
  ones, by at least `LEAST_GAP`;
- where it trains text → Semantic ID, the items shown beside their texts are found by these at
  least `LEAST_FOUND` times as often as by chance.

A method's grounding took where it did at every seed. A stage that teaches hidden states of right
pairs is judged by these, Semantic ID → text. Methods whose stage trains on anything else (the
retrieval stream, Semantic IDs alone) are not judged. A shuffled control is judged by the
pairs that it was shown: wrong ones, which it must have learnt to be a control of anything.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from leaderboard.records.parts import PairNll, Treatment
from leaderboard.records.record import MethodCard, Record

LEAST_GAP = 0.1
"""Nats per answer token between pairs as shown and permuted ones. At .1 an answer's tokens are some
10 % likelier beside their own text than beside another; with less the rows hardly depend on it."""

LEAST_FOUND = 5.0
"""Times chance. Rows whose recall@10 was 2.5 times chance could not be said to find items by words;
those of a grounding long enough found them at some 90 times chance."""

Direction = Literal["text_to_sid", "sid_to_text"]
PAIRS: tuple[Direction, ...] = ("text_to_sid", "sid_to_text")
State = Literal["took", "did not take", "not measured"]


@dataclass(frozen=True)
class DirectionNll:
    """NLL per answer token in one direction, in nats; means over seeds, None where unmeasured.

    Args:
        direction: of the pairs.
        shown: pairs of items trained on, as they were shown.
        permuted: texts of the same items, each with another one's Semantic ID.
        held_out_true: right pairs of items that no method was shown.
        held_out_permuted: the same permuted.
    """

    direction: Direction
    shown: float | None
    permuted: float | None
    held_out_true: float | None
    held_out_permuted: float | None


@dataclass(frozen=True)
class Taken:
    """What the records of one method say of its grounding.

    Args:
        by_seed: seed → whether it took there.
        nll: by direction that the method trains.
        found: recall@10 of the items shown, by their texts; mean over seeds.
        found_held_out: of items that no method was shown, by theirs.
        chance: recall@10 of a random ranking.
    """

    by_seed: dict[int, State]
    nll: tuple[DirectionNll, ...]
    found: float | None
    found_held_out: float | None
    chance: float | None

    @property
    def state(self) -> State:
        """Over all seeds: it took where it did at every one."""
        states = set(self.by_seed.values())
        if "did not take" in states:
            return "did not take"
        return "took" if states == {"took"} else "not measured"


def directions_of(card: MethodCard) -> tuple[Direction, ...]:
    """The directions of the pairs of texts that the method trains on before SFT; empty: none."""
    if card.facts is None or not card.facts.stages:
        return ()
    own = {"sid_to_text" if each == "states" else each for each in card.facts.directions}
    return tuple(each for each in PAIRS if each in own)


def treatment_of(records: Sequence[Record]) -> Taken | None:
    """Whether the grounding of one method took, by its records; None where it has no such stage."""
    directions = directions_of(records[0].method)
    if not directions:
        return None
    measured = [record.treatment for record in records if record.treatment is not None]
    return Taken(
        {record.seed: _state(record.treatment, directions) for record in records},
        tuple(_nll(measured, direction) for direction in directions),
        _mean(found.recall_shown for each in measured if (found := each.found.get("seen"))),
        _mean(found.recall for each in measured if (found := each.found.get("held_out"))),
        _mean(found.chance for each in measured if (found := each.found.get("seen"))),
    )


def _state(treatment: Treatment | None, directions: Sequence[Direction]) -> State:
    """Whether grounding took at one seed."""
    if treatment is None:
        return "not measured"
    gaps = []
    for direction in directions:
        pairs = _pairs(treatment, direction, "seen")
        if pairs is None:
            return "not measured"
        gaps.append(pairs.permuted - _shown(pairs))
    told = all(gap >= LEAST_GAP for gap in gaps)
    if "text_to_sid" in directions:
        found = treatment.found.get("seen")
        if found is None or found.recall_shown is None:
            return "not measured"
        told = told and found.recall_shown >= LEAST_FOUND * found.chance
    return "took" if told else "did not take"


def _pairs(
    treatment: Treatment, direction: Direction, share: Literal["seen", "held_out"]
) -> PairNll | None:
    """The pairs of one direction and share, where they were measured."""
    for pairs in treatment.pairs:
        if (pairs.direction, pairs.share) == (direction, share):
            return pairs
    return None


def _shown(pairs: PairNll) -> float:
    """NLL of the pairs that the stage showed; a stage that teaches states had the right ones."""
    return pairs.true if pairs.shown is None else pairs.shown


def _nll(measured: Sequence[Treatment], direction: Direction) -> DirectionNll:
    """The figures of one direction, means over what was measured."""
    seen = [pairs for each in measured if (pairs := _pairs(each, direction, "seen"))]
    held_out = [pairs for each in measured if (pairs := _pairs(each, direction, "held_out"))]
    return DirectionNll(
        direction,
        _mean(_shown(pairs) for pairs in seen),
        _mean(pairs.permuted for pairs in seen),
        _mean(pairs.true for pairs in held_out),
        _mean(pairs.permuted for pairs in held_out),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean of what is known, None for nothing."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
