"""Shared pieces of initializers, on numbers small enough to work out by hand."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gti.data.semantic_ids import SemanticIds
from gti.initializers import (
    item_text,
    lift,
    like_text_rows,
    mean_over_items,
    mean_rows,
    rows_of_words,
    tf_idf,
    token_places,
)
from gti.method import Start


@pytest.fixture
def start():
    sids = SemanticIds(np.array([[0, 1], [0, 0], [2, 1]], np.int64), 3, None, {})
    return Start(
        matrix="input",
        text_rows=torch.tensor([[1.0, 0.0], [0.0, 2.0], [5.0, 1.0]]),
        text_ids=torch.tensor([4, 7, 9]),
        default_rows=torch.zeros(6, 2),
        semantic_ids=sids,
        item_texts=({}, {}, {}),
        train=(),
        tokenize=lambda text: {" cat": [4], " dogs": [7, 9], " ?": []}[text],
        generator=torch.Generator(),
    )


def test_the_mean_row_is_the_text_rows_mean_for_every_new_token(start):
    assert mean_rows(start).tolist() == [[2.0, 1.0]] * 6


def test_tokens_without_a_text_row_have_no_place(start):
    found = replace(start, tokenize=lambda text: [9, 3, 4, 8, 10, 9])
    assert token_places(found, "x").tolist() == [2, 0, 2]
    assert token_places(replace(start, tokenize=lambda text: []), "").tolist() == []


def test_texts_of_an_item_stand_in_the_order_of_their_fields_names():
    assert item_text({"title": "b", "brand": "a", "year": "c"}) == "a b c"
    assert item_text({}) == ""


def test_vectors_are_averaged_per_code_and_codes_without_any_get_the_mean_row(start):
    vectors = {0: torch.tensor([1.0, 1.0]).double(), 1: torch.tensor([3.0, 0.0]).double()}
    mean = [2.0, 1.0]
    expected = [[2.0, 0.5], mean, mean, [3.0, 0.0], [1.0, 1.0], mean]
    assert mean_over_items(start, vectors).tolist() == expected


def test_words_are_averaged_by_weight_and_their_tokens_evenly(start):
    weights = [{"cat": 3.0, "dogs": 1.0}, {"cat": 0.0}, {"?": 2.0}, {}, {"?": 2.0, "cat": 0.1}, {}]
    rows = rows_of_words(start, weights)
    dogs = [2.5, 1.5]
    torch.testing.assert_close(rows[0], torch.tensor([(3 + dogs[0]) / 4, dogs[1] / 4]))
    assert rows[[1, 2, 3, 5]].tolist() == [[2.0, 1.0]] * 4
    assert rows[4].tolist() == [1.0, 0.0]


def test_rows_like_text_rows_point_from_their_levels_mean_and_leave_the_wordless_alone(start):
    mean = [2.0, 1.0]
    given = torch.tensor([[1.0, 1.0], mean, [1.0, 3.0], [4.0, 4.0], [4.0, 4.0], mean])
    norm = (1 + 2 + math.sqrt(26)) / 3  # of the text rows
    # Level 0: mean (1, 2) without the wordless code; level 1: both lie on their mean.
    expected = [[0.0, -norm], mean, [0.0, norm], mean, mean, mean]
    torch.testing.assert_close(like_text_rows(start, given), torch.tensor(expected))
    assert like_text_rows(start, mean_rows(start)).tolist() == [mean] * 6


def test_tf_idf_counts_documents_with_words_only():
    found = tf_idf({"x": Counter("aab"), "y": Counter("b"), "z": Counter()})
    assert found == {"x": {"a": 2 * math.log(2), "b": 0.0}, "y": {"b": 0.0}}


@settings(max_examples=25, deadline=None)
@given(dim=st.integers(1, 12), width=st.integers(1, 12), seed=st.integers(0, 99))
def test_a_lift_keeps_all_products_that_the_width_has_room_for(dim, width, seed):
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(7, dim, generator=generator, dtype=torch.float64)
    lifted = lift(vectors, width, generator)
    values, axes = np.linalg.eigh(vectors.numpy().T @ vectors.numpy())
    best = vectors.numpy() @ axes[:, np.argsort(values)[::-1][:width]]
    assert lifted.shape == (7, width)
    np.testing.assert_allclose(lifted @ lifted.T, best @ best.T, atol=1e-9)
