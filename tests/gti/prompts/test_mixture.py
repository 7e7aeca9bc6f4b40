"""Mixtures: shares at every prefix, and what data must hold to feed a family."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gti.prompts.mixture import (
    MixtureError,
    check_families,
    check_mixture,
    interleave,
    user_text_note,
)
from gti.prompts.user_texts import UserTexts
from gti.prompts.wordings import FAMILIES

ITEMS = [{"title": f"Red Ship {i}", "text": "war film"} for i in range(3)] + [{"title": "Sea"}]
TRAIN = [np.array([0, 1, 2]), np.array([3])]
EQUAL = dict.fromkeys(FAMILIES, 1.0)


def texts(items):
    return UserTexts(items, "title", ("text",))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.01, 20), min_size=1, max_size=5))
def test_every_prefix_holds_every_share_to_within_one(weights):
    mixture = dict(zip(FAMILIES, weights, strict=False))
    shares = {name: weight / sum(weights) for name, weight in mixture.items()}
    given_out = Counter()
    for number, name in enumerate(islice(interleave(mixture), 400), start=1):
        given_out[name] += 1
        assert all(abs(given_out[f] - share * number) <= 1 for f, share in shares.items())


def test_the_order_in_the_file_is_of_no_matter():
    turned = dict(reversed(EQUAL.items()))
    assert list(islice(interleave(EQUAL), 50)) == list(islice(interleave(turned), 50))


def test_a_mixture_that_the_data_feed_passes():
    check_mixture(EQUAL, texts(ITEMS), TRAIN, 20)


@pytest.mark.parametrize(
    ("family", "items", "train", "need"),
    [
        ("item2index", [{}] * 4, TRAIN, "title or detail"),
        ("index2item", [{"brand": "x"}] * 4, TRAIN, "title or detail"),
        ("fusionseqrec", ITEMS, [np.array([0]), np.array([3])], "two items or more"),
        ("fusionseqrec", [{}] * 4, TRAIN, "two items or more"),
        ("itemsearch", [{"title": "Same Words"}] * 4, TRAIN, "shares"),
        ("preferenceobtain", ITEMS, [np.array([2, 3])], "no two items"),
        ("preferenceobtain", ITEMS, [np.array([0]), np.array([1])], "no two items"),
    ],
)
def test_a_family_without_texts_is_named_with_its_need_and_the_way_out(family, items, train, need):
    with pytest.raises(MixtureError, match=need) as error:
        check_mixture({family: 1.0}, texts(items), train, 20)
    assert f"cannot feed {family!r}" in str(error.value)
    assert "take it out of [auxiliary.mixture]" in str(error.value)


def test_an_unknown_family_is_refused_with_the_nearest_name():
    with pytest.raises(MixtureError, match="'itemserch'; did you mean 'itemsearch'"):
        check_families({"item2index": 1.0, "itemserch": 1.0})
    with pytest.raises(MixtureError, match="There are item2index"):
        check_families({"xyz": 1.0})
    with pytest.raises(MixtureError, match="retrieval stream itself"):
        check_families({"seqrec": 1.0})


def test_the_note_names_the_families_whose_user_texts_are_made_by_rule():
    assert user_text_note({"item2index": 1.0}) is None
    assert user_text_note({"preferenceobtain": 1.0}).startswith("preferenceobtain: ")
    assert user_text_note(EQUAL).startswith("itemsearch, preferenceobtain: ")
    assert "by rule, not user-written" in user_text_note(EQUAL)
