"""How much a setting's cells have to read: from the data, or from the card where none are here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.datasets import CARDS
from benchmarks.inputs.inputs import ReadData
from benchmarks.inputs.semantic_ids import encoder_texts
from gti.data.semantic_ids import SemanticIds
from leaderboard.records.setting import Setting
from leaderboard.records.specs import QueriesSpec

TEXT_TOKENS = 60
"""Tokens of an item's title and description, taken where the texts are not here."""
CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class Asked:
    """The retrieval track's queries, counted.

    Attributes:
        train: training pairs of a query and an item.
        scored: queries of validation and test.
        relevant: relevant items of these, together.
    """

    train: int
    scored: int
    relevant: int


@dataclass(frozen=True)
class Workload:
    """The sizes of a setting's data that time and memory estimates depend on.

    Attributes:
        train_lengths: training interactions of each user.
        num_items: number of items.
        text_tokens: tokens of an item's text, on average, as the encoder reads it.
        prefixes: distinct Semantic IDs cut short, all lengths together.
        queries: of the retrieval track; null for next-item recommendation.
    """

    train_lengths: Sequence[int]
    num_items: int
    text_tokens: float
    prefixes: int
    queries: Asked | None = None


def workload_of(setting: Setting, data: ReadData, sids: SemanticIds | None) -> Workload:
    """The workload of data that are here; Semantic IDs still to be made are taken as distinct."""
    texts = encoder_texts(setting, data.dataset)
    count = data.dataset.num_items
    queries = data.queries
    asked = None
    if queries is not None:
        scored = (*queries.validation, *queries.test)
        asked = Asked(
            train=sum(len(query.answers) for query in queries.train),
            scored=len(scored),
            relevant=sum(len(query.relevant) for query in scored),
        )
    return Workload(
        train_lengths=[len(items) for items in data.split.train],
        num_items=count,
        text_tokens=sum(map(len, texts)) / CHARACTERS_PER_TOKEN / count,
        prefixes=_most_prefixes(setting, count) if sids is None else _prefixes(sids),
        queries=asked,
    )


def workload_of_card(setting: Setting, sids: SemanticIds | None = None) -> Workload | None:
    """The workload that the dataset's card lets expect; null where it knows no sizes.

    Users are taken to be equally long, and no filter of the setting's options to take any out.
    """
    card = CARDS.get(setting.dataset.name)
    if card is None or card.expected is None:
        return None
    expected, spec = card.expected, setting.queries
    items = min((spec and spec.items) or expected.items, expected.items)
    users = min(setting.dataset.sample_users or expected.users, expected.users)
    # Leave-one-out takes two of each user's.
    length = max(1, round(expected.interactions / expected.users) - 2)
    asked = None
    if spec is not None:
        asked = _asked(spec, items)
    return Workload(
        train_lengths=[length] * users,
        num_items=items,
        text_tokens=TEXT_TOKENS,
        prefixes=_most_prefixes(setting, items) if sids is None else _prefixes(sids),
        queries=asked,
    )


def _asked(spec: QueriesSpec, items: int) -> Asked:
    """The queries that `items` with long enough texts have, each with one relevant item."""
    rule = spec.warm_cold_new
    if rule is not None:
        train = round(rule.shares[0] * items) * rule.train_per_item
        scored = 2 * rule.held_out_per_item * len(rule.ways) * items
    else:
        # Of an item's queries one validates and one tests.
        train, scored = ((spec.per_item or 0) - 2) * items, 2 * items
    return Asked(train=train, scored=scored, relevant=scored)


def _prefixes(sids: SemanticIds) -> int:
    depths = range(1, sids.num_levels)
    return sum(len(np.unique(sids.codes[:, :depth], axis=0)) for depth in depths)


def _most_prefixes(setting: Setting, num_items: int) -> int:
    spec = setting.semantic_ids
    return sum(min(num_items, spec.codes**depth) for depth in range(1, spec.levels))
