"""Tests of drawing stated sub-samples of users and of items."""

import hashlib

import numpy as np
import pytest

from gti.data.dataset import DataError, Dataset, Provenance, sample_items, sample_users


def tiny(users: int = 20) -> Dataset:
    return Dataset(
        name="tiny",
        item_ids=("a", "b", "c"),
        texts=({"title": "A"}, {}, {}),
        user_ids=tuple(f"user {number}" for number in range(users)),
        histories=tuple(np.array([number % 3, 1], dtype=np.int64) for number in range(users)),
        tied_last=np.array([number % 2 == 0 for number in range(users)]),
        provenance=Provenance("a test", "none", {}),
    )


def test_sample_is_the_users_of_smallest_hash_in_the_dataset_s_order() -> None:
    dataset = tiny()
    sample = sample_users(dataset, 7)
    by_hash = sorted(dataset.user_ids, key=lambda u: hashlib.sha256(u.encode()).hexdigest())
    assert set(sample.user_ids) == set(by_hash[:7])
    numbers = [dataset.user_ids.index(user) for user in sample.user_ids]
    assert numbers == sorted(numbers)
    assert [history.tolist() for history in sample.histories] == [[n % 3, 1] for n in numbers]
    assert sample.tied_last is not None
    assert sample.tied_last.tolist() == [n % 2 == 0 for n in numbers]
    assert sample.item_ids == dataset.item_ids
    assert sample.texts == dataset.texts


def test_smaller_samples_lie_within_larger_ones_whatever_the_order_of_users() -> None:
    dataset = tiny()
    assert set(sample_users(dataset, 5).user_ids) < set(sample_users(dataset, 12).user_ids)
    assert sample_users(tiny(40), 40).user_ids == tiny(40).user_ids


def test_sample_remembers_the_full_content_hash() -> None:
    dataset = tiny()
    sample = sample_users(dataset, 5)
    assert sample.sha256 != dataset.sha256
    assert sample.full_sha256 == dataset.full_sha256 == dataset.sha256
    assert sample_users(sample, 3).full_sha256 == dataset.sha256


@pytest.mark.parametrize("number", [0, 21])
def test_sample_of_no_user_or_too_many_is_refused(number: int) -> None:
    with pytest.raises(DataError, match=f"sample of {number} users was asked for, found 20"):
        sample_users(tiny(), number)


def test_a_sample_of_items_cuts_histories_down_and_numbers_items_anew() -> None:
    dataset = tiny(4)
    by_hash = sorted("abc", key=lambda item: hashlib.sha256(item.encode()).hexdigest())
    gone = by_hash[2]
    sample = sample_items(dataset, 2)
    assert sample.item_ids == tuple(item for item in "abc" if item != gone)
    assert sample.texts == tuple(
        text for item, text in zip("abc", dataset.texts, strict=True) if item != gone
    )
    for before, after in zip(dataset.histories, sample.histories, strict=True):
        kept = ["abc"[item] for item in before if "abc"[item] != gone]
        assert [sample.item_ids[item] for item in after] == kept
    assert sample.full_sha256 == dataset.sha256 != sample.sha256
    assert sample.user_ids == dataset.user_ids


@pytest.mark.parametrize("number", [0, 4])
def test_sample_of_no_item_or_too_many_is_refused(number: int) -> None:
    with pytest.raises(DataError, match=f"sample of {number} items was asked for, found 3"):
        sample_items(tiny(), number)
