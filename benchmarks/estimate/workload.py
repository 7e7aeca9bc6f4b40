"""How much a setting's cells have to read: from the data, or from the card where none are here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.datasets import CARDS
from benchmarks.inputs.inputs import ReadData
from benchmarks.inputs.semantic_ids import encoder_texts
from benchmarks.inputs.shown import shown_to_methods
from gti.data.dataset import detail_text
from gti.data.semantic_ids import SemanticIds
from leaderboard.records.setting import Setting
from leaderboard.records.specs import QueriesSpec

TEXT_TOKENS = 60
"""Tokens of an item's title and description, taken where the texts are not here."""
CHARACTERS_PER_TOKEN = 4
"""Of sentences and of a query's words."""
TITLE_CHARACTERS_PER_TOKEN = 3
"""Of titles and details, where names and numbers are cut finer."""
WORD_TOKENS = 1.5


@dataclass(frozen=True)
class Asked:
    """The retrieval track's queries, counted.

    Attributes:
        train: training pairs of a query and an item.
        scored: queries of validation and test.
        relevant: relevant items of these, together.
        tokens: of a query, on average, without what stands around it.
    """

    train: int
    scored: int
    relevant: int
    tokens: float


@dataclass(frozen=True)
class Workload:
    """The sizes of a setting's data that time and memory estimates depend on.

    Attributes:
        train_lengths: training interactions of each user.
        num_items: number of items.
        text_tokens: tokens of an item's text, on average, as the encoder reads it.
        prefixes: distinct Semantic IDs cut short, all lengths together.
        pairs: grounding pairs of one pass, both directions.
        pair_text: tokens of a pair's text, on average.
        queries: of the retrieval track; null for next-item recommendation.
    """

    train_lengths: Sequence[int]
    num_items: int
    text_tokens: float
    prefixes: int
    pairs: int
    pair_text: float
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
            tokens=sum(len(query.text) for query in scored) / CHARACTERS_PER_TOKEN / len(scored),
        )
    pairs, pair_text = _pairs(setting, data)
    return Workload(
        train_lengths=[len(items) for items in data.split.train],
        num_items=count,
        text_tokens=sum(map(len, texts)) / CHARACTERS_PER_TOKEN / count,
        prefixes=_most_prefixes(setting, count) if sids is None else _prefixes(sids),
        pairs=pairs,
        pair_text=pair_text,
        queries=asked,
    )


def _pairs(setting: Setting, data: ReadData) -> tuple[int, float]:
    """How many grounding pairs one pass has, and the tokens of a text in one, on average.

    Of an item with a title and a detail text each direction has three: title, detail, and both.
    """
    longest, title = setting.prompts.max_text_tokens, setting.dataset.title_field
    shown, details = shown_to_methods(setting, data), setting.dataset.detail_fields
    tokens: list[float] = []
    for texts in shown.texts:
        parts = [texts.get(title, ""), detail_text(texts, details)]
        lengths = [len(part) / TITLE_CHARACTERS_PER_TOKEN for part in parts if part.strip()]
        own = [min(longest, length) for length in lengths]
        tokens += [*own, sum(own)] if len(own) > 1 else own
    return 2 * len(tokens), sum(tokens) / max(1, len(tokens))


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
        pairs=_pairs_of_card(setting, items),
        pair_text=min(TEXT_TOKENS, setting.prompts.max_text_tokens) * 2 / 3,
        queries=asked,
    )


def _pairs_of_card(setting: Setting, items: int) -> int:
    """Grounding pairs of one pass: three a direction, or a title's alone where no more is shown."""
    rule = setting.queries.warm_cold_new if setting.queries is not None else None
    if rule is None:
        return 6 * items
    return 2 * round((rule.shares[0] + rule.shares[1]) * items)


def _asked(spec: QueriesSpec, items: int) -> Asked:
    """The queries that `items` with long enough texts have, each with one relevant item."""
    rule = spec.warm_cold_new
    if rule is not None:
        train = round(rule.shares[0] * items) * rule.train_per_item
        scored = 2 * rule.held_out_per_item * len(rule.ways) * items
    else:
        # Of an item's queries one validates and one tests.
        train, scored = ((spec.per_item or 0) - 2) * items, 2 * items
    return Asked(train=train, scored=scored, relevant=scored, tokens=WORD_TOKENS * spec.words)


def _prefixes(sids: SemanticIds) -> int:
    depths = range(1, sids.num_levels)
    return sum(len(np.unique(sids.codes[:, :depth], axis=0)) for depth in depths)


def _most_prefixes(setting: Setting, num_items: int) -> int:
    spec = setting.semantic_ids
    return sum(min(num_items, spec.codes**depth) for depth in range(1, spec.levels))
