"""The retrieval track's references against slow computations that rank every item."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.inputs.catalogue import find_setting
from benchmarks.references.queries import (
    QUERY_REFERENCES,
    bm25_scores,
    dense_scores,
    query_counts,
)
from benchmarks.run.write_references import references_of
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
    assert score(SimpleNamespace(text="ignore_stage of")).tolist() == [0.0] * len(TEXTS)


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


def test_dense_ranks_by_cosine_of_the_encoders_vectors(
    inputs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def embed(texts: list[str], encoder: str, **options: Any) -> Any:
        counts = [[1 + text.count("moon"), text.count("sun"), len(text)] for text in texts]
        vectors = np.array(counts, dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    monkeypatch.setattr("benchmarks.inputs.encoders.embed_texts", embed)
    spec = SimpleNamespace(encoder="mine", encoder_max_tokens=None, pca_dim=0)
    setting: Any = SimpleNamespace(dataset=SETTING.dataset, semantic_ids=spec)
    score = dense_scores(inputs, setting)
    items = embed([". ".join(item.values()) for item in TEXTS], "mine")
    for query in (*inputs.queries.validation, *inputs.queries.test):
        expected = (items * embed([query.text], "mine")).sum(axis=1)
        assert score(query).tolist() == pytest.approx(expected.tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ml-100k-search-nano", {"popularity", "bm25"}),
        ("ml-100k-language-nano", {"popularity", "bm25", "dense"}),
        ("ml-100k-nano", {"popularity", "markov"}),
    ],
)
def test_dense_is_a_reference_of_the_rule_that_came_with_it(name: str, expected: set[str]) -> None:
    assert set(references_of(find_setting(name).setting)) == expected
