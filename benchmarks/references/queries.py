"""References of the retrieval track: popularity, and BM25 as the lexical floor.

Both rank all items for every query; ties are counted, never broken.

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
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.inputs.inputs import Inputs
from gti.data.dataset import IntArray
from gti.data.queries import Query, QuerySet, TextIndex, words_of
from leaderboard.records.setting import Setting

K1, B = 1.2, 0.75

Scores = NDArray[np.float64]


def popularity_scores(inputs: Inputs, setting: Setting) -> Callable[[Query], Scores]:
    """Scores that are the same for every query."""
    scores = inputs.popularity.astype(np.float64)
    return lambda query: scores


def bm25_scores(inputs: Inputs, setting: Setting) -> Callable[[Query], Scores]:
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


@dataclass(frozen=True)
class QueryReference:
    """A reference as boards list it; `scorer` gives what scores all items for one query."""

    scorer: Callable[[Inputs, Setting], Callable[[Query], Scores]]
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
}


def query_counts(
    queries: QuerySet, part: str, score: Callable[[Query], Scores]
) -> tuple[IntArray, IntArray]:
    """Better and tied items of every relevant item of the queries of `part`, one after another."""
    better, tied = [], []
    for query in queries.of(part):
        scores = score(query)
        ordered = np.sort(scores)
        own = scores[query.relevant]
        upper = np.searchsorted(ordered, own, side="right")
        better.append(len(ordered) - upper)
        tied.append(upper - np.searchsorted(ordered, own, side="left") - 1)
    return np.concatenate(better), np.concatenate(tied)
