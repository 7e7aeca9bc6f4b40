"""What initializers share: the mean row, and rows made from the embeddings of items' words.

`Start` (in `gti.method`) is all that is read here.
"""

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor

from gti.method import Start

Key = TypeVar("Key", bound=Hashable)
ROUNDING = 1e-5
"""Rows that lie closer to their mean, relative to its norm, differ by float32's rounding alone."""


def mean_rows(start: Start) -> Tensor:
    """[num_new, d] every row the mean of the text rows, over which no padding row counts."""
    return start.text_rows.mean(dim=0).expand(start.num_new, -1)


def random_matched_rows(start: Start) -> Tensor:
    """[num_new, d] directions uniform on the sphere, each as long as a text row.

    The text row is drawn with replacement among those that are not zero, after the directions.
    """
    directions = torch.randn(start.num_new, start.width, generator=start.generator)
    norms = start.text_rows.norm(dim=1)
    norms = norms[norms > 0]
    drawn = torch.randint(len(norms), (start.num_new, 1), generator=start.generator)
    rows: Tensor = directions / directions.norm(dim=1, keepdim=True) * norms[drawn]
    return rows


def noisy_mean_rows(start: Start) -> Tensor:
    """[num_new, d] the mean of the text rows, moved by noise from N(0, 1/d)."""
    noise = torch.randn(start.num_new, start.width, generator=start.generator)
    return mean_rows(start) + noise / math.sqrt(start.width)


def item_text(fields: Mapping[str, str]) -> str:
    """All texts of an item in the order of their fields' names, with a space between two."""
    return " ".join(fields[name] for name in sorted(fields))


def token_places(start: Start, text: str) -> Tensor:
    """[tokens] int64: which rows of `start.text_rows` the tokens of `text` have."""
    ids = torch.tensor(start.tokenize(text), dtype=torch.long)
    places = torch.searchsorted(start.text_ids, ids).clamp(max=len(start.text_ids) - 1)
    return places[start.text_ids[places] == ids]


def mean_over_items(start: Start, vectors: Mapping[int, Tensor]) -> Tensor:
    """[num_new, d] per code the mean of the vectors of the items that carry it.

    Args:
        start: codes, and the mean row for codes without any vector.
        vectors: item → [d] float64; items left out count nowhere.
    """
    total = torch.zeros(start.num_new, start.width, dtype=torch.float64)
    count = torch.zeros(start.num_new, 1, dtype=torch.float64)
    for item, vector in vectors.items():
        codes = torch.from_numpy(start.semantic_ids.token_index[item])
        total[codes] += vector
        count[codes] += 1
    return torch.where(count > 0, total / count.clamp(min=1), mean_rows(start)).float()


def averaged_texts(start: Start) -> Tensor:
    """[num_new, d] per code the mean over its items of the mean row of their texts' tokens."""
    vectors = {}
    for item, fields in enumerate(start.item_texts):
        places = token_places(start, item_text(fields))
        if len(places):
            vectors[item] = start.text_rows[places].double().mean(dim=0)
    return mean_over_items(start, vectors)


def tf_idf(documents: Mapping[Key, Counter[str]]) -> dict[Key, dict[str, float]]:
    """Weights count × ln(documents / documents with the word), for the words of each document.

    Documents without words do not count; a word that is in all of them weighs nothing.
    """
    filled = {key: words for key, words in documents.items() if words}
    spread = Counter(word for words in filled.values() for word in words)
    return {
        key: {word: n * math.log(len(filled) / spread[word]) for word, n in words.items()}
        for key, words in filled.items()
    }


def rows_of_words(start: Start, weights: Sequence[Mapping[str, float]]) -> Tensor:
    """[num_new, d] per new token the weighted mean of its words' embeddings.

    A word's embedding is the mean of its tokens' rows, tokenised with a space before it, as
    inside a text. Without a word of positive weight a row is the mean of the text rows.

    Args:
        start: text rows and tokenizer.
        weights: [num_new] word → weight, not negative.
    """
    places = cache(lambda word: token_places(start, f" {word}"))
    rows = mean_rows(start).double().clone()
    for row, words in enumerate(weights):
        known = [(places(word), weight) for word, weight in words.items() if weight > 0]
        known = [(tokens, weight) for tokens, weight in known if len(tokens)]
        if known:
            share = torch.cat(
                [torch.full((len(t),), w / len(t), dtype=torch.float64) for t, w in known]
            )
            embedded = start.text_rows[torch.cat([tokens for tokens, _ in known])].double()
            rows[row] = share @ embedded / share.sum()
    return rows.float()


def like_text_rows(start: Start, rows: Tensor) -> Tensor:
    """[num_new, d] the directions in which `rows` differ within their level, as long as text rows.

        row of code c of level l = s (r_c - m_l) / |r_c - m_l|

    r_c is its row in `rows`, m_l the mean of r over the codes of its level, s the mean norm of the
    text rows. A level's mean cosine is then about 0, as of random
    directions, whatever the rows r have in common. Codes without words, which have the mean of the
    text rows in `rows`, keep it and count in no m_l; so do those that lie on m_l, up to rounding.
    """
    nowhere = mean_rows(start)
    found = nowhere.double().clone()
    length = start.text_rows.double().norm(dim=1).mean()
    wordless = (rows == nowhere).all(dim=1)
    for level in torch.arange(start.num_new).chunk(start.semantic_ids.num_levels):
        own = level[~wordless[level]]
        if not len(own):
            continue
        mean = rows[own].double().mean(dim=0)
        apart = rows[own].double() - mean
        norms = apart.norm(dim=1, keepdim=True)
        told = norms[:, 0] > ROUNDING * mean.norm()
        found[own[told]] = length * apart[told] / norms[told]
    return found.float()


def lift(vectors: Tensor, width: int, generator: torch.Generator) -> Tensor:
    """[n, width] `vectors` [n, dim] under a random orthonormal map: all cosines are kept.

    Where dim > width the vectors are turned to their `width` principal axes first (of the second
    moment, not centred), which keeps as much of their cosines as fits.
    """
    if vectors.shape[1] > width:
        axes = torch.linalg.eigh(vectors.T @ vectors).eigenvectors[:, -width:]
        # An axis has no sign of its own: its largest entry is made positive.
        vectors = vectors @ (axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign())
    draws = torch.randn(
        width, vectors.shape[1], generator=generator, dtype=torch.float64, device="cpu"
    )
    orthonormal, triangle = torch.linalg.qr(draws)
    # Signs fixed by the triangle's diagonal make the map uniform, and the same from every library.
    lifted: Tensor = vectors @ (orthonormal * triangle.diagonal().sign()).T
    return lifted
