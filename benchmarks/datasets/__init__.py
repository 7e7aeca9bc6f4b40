"""Datasets: a module a source or file format, and the card of each that is known by name."""

from benchmarks.datasets.all_cards import CARDS
from benchmarks.datasets.card import DATA_VARIABLE, DatasetCard, MissingDataError
from benchmarks.datasets.load import load_dataset, published_index

__all__ = [
    "CARDS",
    "DATA_VARIABLE",
    "DatasetCard",
    "MissingDataError",
    "load_dataset",
    "published_index",
]
