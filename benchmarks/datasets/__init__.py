"""Datasets by name: `load_dataset`, `published_index`, and the cards of what is known."""

from benchmarks.datasets.cards import CARDS, DATA_VARIABLE, DatasetCard
from benchmarks.datasets.load import load_dataset, published_index

__all__ = ["CARDS", "DATA_VARIABLE", "DatasetCard", "load_dataset", "published_index"]
