"""Datasets by name: `load_dataset`, `published_index`, and the cards of what is known."""

from benchmarks.datasets.card import DATA_VARIABLE, DatasetCard, MissingDataError
from benchmarks.datasets.cards import CARDS
from benchmarks.datasets.load import load_dataset, published_index

__all__ = [
    "CARDS",
    "DATA_VARIABLE",
    "DatasetCard",
    "MissingDataError",
    "load_dataset",
    "published_index",
]
