"""References of the retrieval track: popularity, BM25 as the lexical floor, and dense retrieval.

All rank all items for every query; ties are counted, never broken.

Popularity: an item's score is the number of training queries that it is good for; the query is not
read.

BM25: an item's words (`gti.data.queries.words_of` of title and details, repeats left out, as
    queries are made of them) are a document; a query's score of it is the sum over their common
    words of

    ln(1 + (N - n + 0.5) / (n + 0.5)) × (k1 + 1) / (1 + k1 × (1 - b + b × length / mean length))

with N documents, n of them with the word, k1 = 1.2, b = 0.75 (Robertson and Zaragoza 2009; the
logarithm is Lucene's, never negative; a word's frequency in a document is 1 here). Queries are made
of the items' own words, so this floor is high: it reads the text itself, where a model must have
learned the way from text to Semantic ID. Nothing is fitted.

Dense: an item's score is the cosine of its vector and the query's, both of the setting's own text
encoder; an item's text is what its Semantic ID is made of. Settings of the query rule
"warm_cold_new" have it alone: boards of the other rule were closed before there was one. Where the
encoder is not at hand it is left out, and that is said.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.inputs.inputs import ReadData
from benchmarks.inputs.semantic_ids import item_embeddings
from gti.data.dataset import HELD_OUT, IntArray
from gti.data.queries import Query, QuerySet, TextIndex, words_of
from gti.data.warm_cold_new import UNTRAINED
from leaderboard.records.setting import Setting
from leaderboard.records.specs import NO_ENCODER

K1, B = 1.2, 0.75

Scores = NDArray[np.float64]


class Scorer(Protocol):
    """Gives what scores all items for one query."""

    def __call__(
        self, inputs: ReadData, setting: Setting, *, offline: bool = False
    ) -> Callable[[Query], Scores]:
        """Reads what it needs, from no network where `offline`."""
        ...


def popularity_scores(
    inputs: ReadData, setting: Setting, *, offline: bool = False
) -> Callable[[Query], Scores]:
    """Scores that are the same for every query."""
    scores = inputs.popularity.astype(np.float64)
    return lambda query: scores


def bm25_scores(
    inputs: ReadData, setting: Setting, *, offline: bool = False
) -> Callable[[Query], Scores]:
    """[num_items] scores of all items for a query."""
    fields = (setting.dataset.title_field, *setting.dataset.detail_fields)
    index = TextIndex(inputs.dataset, fields)
    lengths = np.array([len(words) for words in index.words], dtype=np.float64)
    present = max(1, int((lengths > 0).sum()))
    mean_length = max(1.0, math.fsum(lengths) / present)
    weights = (K1 + 1) / (1 + K1 * (1 - B + B * lengths / mean_length))

    def score(query: Query) -> Scores:
        scores = np.zeros(len(lengths))
        for word in words_of(query.text):
            items = index.items.get(word)
            if items is not None:
                rarity = math.log(1 + (present - len(items) + 0.5) / (len(items) + 0.5))
                scores[items] += rarity * weights[items]
        return scores

    return score


def dense_scores(
    inputs: ReadData, setting: Setting, *, offline: bool = False
) -> Callable[[Query], Scores]:
    """[num_items] cosines of all items' vectors with a held-out query's.

    Raises:
        EncoderError, AssetError: the encoder is not at hand.
    """
    from benchmarks.inputs.encoders import EncoderError, embed_texts

    spec, queries = setting.semantic_ids, inputs.queries
    assert queries is not None  # such a reference is only listed for queries
    if spec.encoder == NO_ENCODER:
        raise EncoderError(f"setting {setting.name} names no text encoder")
    texts = sorted({query.text for part in HELD_OUT for query in queries.of(part)})
    items = item_embeddings(setting, inputs.dataset, offline=offline)[0].astype(np.float64)
    vectors = embed_texts(texts, spec.encoder, max_tokens=spec.encoder_max_tokens, offline=offline)
    asked: dict[str, Scores] = dict(zip(texts, vectors.astype(np.float64), strict=True))

    def score(query: Query) -> Scores:
        cosines: Scores = items @ asked[query.text]
        return cosines

    return score


@dataclass(frozen=True)
class QueryReference:
    """A reference as boards list it."""

    scorer: Scorer
    summary: str
    source: str


QUERY_REFERENCES = {
    "popularity": QueryReference(
        popularity_scores,
        "items by number of training queries they are good for",
        "the usual floor",
    ),
    "bm25": QueryReference(
        bm25_scores,
        "items by the words they share with the query, rare words weighing more",
        "BM25, Robertson and Zaragoza 2009; k1 1.2, b 0.75",
    ),
    "dense": QueryReference(
        dense_scores,
        "items by the cosine of their text's vector with the query's",
        "dense retrieval with the setting's own text encoder",
    ),
}


def query_references(setting: Setting) -> Mapping[str, QueryReference]:
    """Those of `setting`: `dense` under the rule "warm_cold_new" alone."""
    dense = setting.queries is not None and setting.queries.rule == "warm_cold_new"
    return {name: each for name, each in QUERY_REFERENCES.items() if dense or name != "dense"}


def query_counts(
    queries: QuerySet, part: str, score: Callable[[Query], Scores]
) -> tuple[IntArray, IntArray]:
    """Better and tied items of every relevant item of the queries of `part`, one after another."""
    counts = [_counts(scores, query.relevant) for query, scores in _scored(queries, part, score)]
    better, tied = np.concatenate(counts, axis=1)
    return better, tied


def peer_counts(
    queries: QuerySet, part: str, score: Callable[[Query], Scores]
) -> tuple[IntArray, IntArray, IntArray] | None:
    """Peers of every relevant item of the queries of `part`, and how many are better and tied.

    As `gti.search.peers` counts them; null where items are of no kinds.
    """
    if queries.kinds is None:
        return None
    kinds, found = np.array(queries.kinds), []
    for query, scores in _scored(queries, part, score):
        for item in query.relevant:
            if kinds[item] not in UNTRAINED:
                found.append([0, 0, 0])
                continue
            own = np.flatnonzero(kinds == kinds[item])
            better, tied = _counts(scores[own], np.searchsorted(own, [item]))
            found.append([len(own) - 1, better[0], tied[0]])
    peers, better, tied = np.array(found, dtype=np.int64).T
    return peers, better, tied


def _scored(
    queries: QuerySet, part: str, score: Callable[[Query], Scores]
) -> Iterator[tuple[Query, Scores]]:
    """The queries of `part` with the scores of all items."""
    for query in queries.of(part):
        yield query, score(query)


def _counts(scores: Scores, targets: IntArray) -> IntArray:
    """[2, targets] items that score above each, and others at its score."""
    ordered, own = np.sort(scores), scores[targets]
    upper = np.searchsorted(ordered, own, side="right")
    tied = upper - np.searchsorted(ordered, own, side="left") - 1
    return np.stack([len(ordered) - upper, tied])
