"""Nearest words: by hand, and against a full sort."""

import numpy as np
import pytest

from gti.model.nearest_words import as_word, nearest_text

VOCABULARY = [" cat", "cat", "Dog", "\ufffd", "42", "\n", " fish", "bird", "rain", "sun", "moon"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (" cat", "cat"),
        ("É2", "É2"),
        ("42", ""),
        ("\n", ""),
        ("", ""),
        ("a\ufffd", ""),
        ("a\x00", ""),
    ],
)
def test_words_are_printable_and_have_a_letter(text, word):
    assert as_word(text) == word


def test_nearest_words_and_affinity_of_a_hand_made_space():
    text = np.eye(len(VOCABULARY))
    rows = np.zeros((2, len(VOCABULARY)))
    rows[0, [0, 1, 2, 3, 4]] = [5, 4, 3, 2, 1]
    rows[1, [3, 6, 7, 8, 9, 10]] = [9, 1, 2, 3, 4, 5]
    affinity, words = nearest_text(rows, text, [as_word(word) for word in VOCABULARY])
    # " cat" and "cat" are one word; "42" and the replacement character are none, but rows they are.
    assert words[0][:2] == ("cat", "Dog")
    assert words[1] == ("moon", "sun", "rain", "bird", "fish")
    assert affinity == pytest.approx((5 / np.sqrt(55) + 9 / np.sqrt(136)) / 2)


def test_nearest_words_equal_a_full_sort_over_several_blocks():
    generator = np.random.default_rng(7)
    text, rows = generator.standard_normal((9001, 8)), generator.standard_normal((4, 8))
    words = [f"w{token}" if token % 3 else "" for token in range(9001)]
    cosine = np.array([[a @ b / np.sqrt((a @ a) * (b @ b)) for b in text] for a in rows])
    affinity, found = nearest_text(rows, text, words)
    assert affinity == pytest.approx(cosine.max(axis=1).mean())
    for row in range(4):
        expected = [words[token] for token in np.argsort(-cosine[row]) if words[token]][:5]
        assert list(found[row]) == expected
