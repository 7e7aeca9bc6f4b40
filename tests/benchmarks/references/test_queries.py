"""The retrieval track's references against slow computations that rank every item."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.references.queries import QUERY_REFERENCES, bm25_scores, query_counts
from gti.data.dataset import Dataset, Provenance
from gti.data.item_texts import make_queries
from gti.data.queries import words_of

TEXTS = (
    {"title": "red moon", "kind": "war, comedy"},
    {"title": "red sun over the old sea", "kind": "comedy"},
    {"title": "blue sun", "kind": "comedy"},
    {"title": "the moon", "kind": "war"},
    {},
    {"title": "old new moon", "kind": "drama"},
)
SETTING: Any = SimpleNamespace(
    dataset=SimpleNamespace(title_field="title", detail_fields=("kind",))
)


@pytest.fixture
def inputs() -> Any:
    dataset = Dataset(
        name="test",
        item_ids=tuple(map(str, range(len(TEXTS)))),
        texts=TEXTS,
        user_ids=("u",),
        histories=(np.arange(3),),
        tied_last=None,
        provenance=Provenance("a test", "none", {}),
    )
    queries = make_queries(
        dataset,
        title_field="title",
        detail_fields=("kind",),
        category_fields=("kind",),
        per_item=4,
        words=3,
    )
    popularity = queries.popularity(len(TEXTS))
    return SimpleNamespace(dataset=dataset, queries=queries, popularity=popularity)


def slow_bm25(text: str) -> list[float]:
    documents = [words_of(" ".join(item.values())) for item in TEXTS]
    there = [document for document in documents if document]
    mean = sum(map(len, there)) / len(there)
    scores = []
    for document in documents:
        score = 0.0
        for word in words_of(text):
            if word in document:
                n = sum(word in other for other in documents)
                idf = math.log(1 + (len(there) - n + 0.5) / (n + 0.5))
                score += idf * 2.2 / (1 + 1.2 * (0.25 + 0.75 * len(document) / mean))
        scores.append(score)
    return scores


def test_bm25_is_the_formula(inputs: Any) -> None:
    score = bm25_scores(inputs, SETTING)
    for query in inputs.queries.train:
        assert score(query).tolist() == pytest.approx(slow_bm25(query.text), abs=1e-12)


def test_bm25_finds_what_holds_the_words_first(inputs: Any) -> None:
    score = bm25_scores(inputs, SETTING)
    query = SimpleNamespace(text="blue sun")
    assert int(np.argmax(score(query))) == 2
    assert score(SimpleNamespace(text="unheard of")).tolist() == [0.0] * len(TEXTS)


@pytest.mark.parametrize("name", ["popularity", "bm25"])
@pytest.mark.parametrize("part", ["validation", "test"])
def test_counts_are_those_of_a_slow_ranking(inputs: Any, name: str, part: str) -> None:
    score = QUERY_REFERENCES[name].scorer(inputs, SETTING)
    better, tied = query_counts(inputs.queries, part, score)
    expected = []
    for query in inputs.queries.of(part):
        scores = score(query).tolist()
        for item in query.relevant:
            own = scores[item]
            expected.append((sum(s > own for s in scores), scores.count(own) - 1))
    assert list(zip(better.tolist(), tied.tolist(), strict=True)) == expected


def test_popularity_does_not_read_the_query(inputs: Any) -> None:
    score = QUERY_REFERENCES["popularity"].scorer(inputs, SETTING)
    expected = [sum(i in query.good for query in inputs.queries.train) for i in range(len(TEXTS))]
    assert score(inputs.queries.test[0]).tolist() == expected
    assert score(inputs.queries.test[-1]).tolist() == expected
