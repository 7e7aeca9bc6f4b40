"""Tests of drawing a stated sub-sample of users."""

import hashlib

import numpy as np
import pytest

from gti.data.dataset import DataError, Dataset, Provenance, sample_users


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
