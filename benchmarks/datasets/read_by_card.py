"""Reading a dataset that has a card: where its files lie, and which loader reads them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from benchmarks.datasets.amazon2014 import amazon_2014_files, load_amazon_2014
from benchmarks.datasets.amazon2023 import amazon_2023_files, load_amazon_2023
from benchmarks.datasets.card import DATA_VARIABLE, DatasetCard, MissingDataError
from benchmarks.datasets.lcrec import load_lcrec
from benchmarks.datasets.recbole_atomic import load_recbole
from benchmarks.datasets.vibrent import load_vibrent, vibrent_files
from benchmarks.machine.assets import asset_folder
from gti.data.dataset import Dataset

Choices = dict[str, Any]
T = TypeVar("T")


def read_carded(card: DatasetCard, options: Choices, *, offline: bool = False) -> Dataset:
    """Reads the dataset of `card`.

    Args:
        card: which dataset.
        options: as `card.check_options` returns them.
        offline: touch no network.

    Raises:
        MissingDataError: it is not on this machine and cannot be fetched; says how to get it.
        DataError: malformed files.
        AssetError: the asset that holds the dataset cannot be had.
        CacheError: the cache is full or cannot be written.
    """
    readers: dict[str, Callable[[DatasetCard, Choices, bool], Dataset]] = {
        "recbole": _recbole,
        "lcrec": _lcrec,
        "amazon-2014": _amazon_2014,
        "amazon-2023": _amazon_2023,
        "vibrent": _vibrent,
    }
    return readers[card.layout](card, options, offline)


def card_folder(card: DatasetCard, *, offline: bool = False) -> Path:
    """Where the files of a card with RecBole's or LC-Rec's layout lie."""
    if card.asset is not None:
        return asset_folder(card.asset, offline=offline)
    wanted = f"{card.stem}.inter" + (".json" if card.layout == "lcrec" else "")
    return _brought(
        card,
        lambda folder: folder if (folder / wanted).is_file() else None,
        f"found no {wanted}",
    )


def _brought(card: DatasetCard, look: Callable[[Path], T | None], missing: str) -> T:
    """What `look` finds in the user's folders, the dataset's own first.

    Raises:
        MissingDataError: it finds nothing; `missing` says what was looked for.
    """
    data = os.environ.get(DATA_VARIABLE)
    if not data:
        raise MissingDataError(f"dataset {card.name}: {DATA_VARIABLE} is not set; {card.obtain}")
    own = Path(data) / card.name
    # Two cuts may use the same file names: only the one that they are named after is looked for
    # outside a folder of its own.
    named_after = card.layout != "lcrec" or card.stem.lower() == card.name
    folders = [own, Path(data)] if named_after else [own]
    for folder in folders:
        found = look(folder)
        if found is not None:
            return found
    places = " or ".join(map(str, folders))
    raise MissingDataError(f"dataset {card.name}: {missing} in {places}; {card.obtain}")


def _recbole(card: DatasetCard, _: Choices, offline: bool) -> Dataset:
    folder = card_folder(card, offline=offline)
    return load_recbole(folder, card.stem, card.name, card.source, card.licence)


def _lcrec(card: DatasetCard, _: Choices, offline: bool) -> Dataset:
    folder = card_folder(card, offline=offline)
    return load_lcrec(folder, card.stem, card.name, card.source, card.licence)


def _amazon_2014(card: DatasetCard, _: Choices, __: bool) -> Dataset:
    reviews, metadata = _brought(
        card,
        lambda folder: amazon_2014_files(folder, card.stem),
        f"found no {card.get.replace(', ', ' with ')}",
    )
    return load_amazon_2014(reviews, metadata, card.name, card.source, card.licence)


def _amazon_2023(card: DatasetCard, options: Choices, offline: bool) -> Dataset:
    """From the user's files where there are any, else from the hub."""
    try:
        files = _brought(card, lambda folder: amazon_2023_files(folder, card.stem), "")
    except MissingDataError:
        files = None
    try:
        return load_amazon_2023(
            card.stem,
            cast(int, options["k_core"]),
            files,
            card.name,
            card.source,
            card.licence,
            offline=offline,
        )
    except MissingDataError as error:
        raise MissingDataError(f"{error}; {card.obtain}") from error


def _vibrent(card: DatasetCard, options: Choices, _: bool) -> Dataset:
    wanted = vibrent_files(options["orders"])

    def look(folder: Path) -> Path | None:
        return folder if all((folder / file).is_file() for file in wanted) else None

    folder = _brought(card, look, f"found no {' with '.join(wanted)}")
    return load_vibrent(
        folder,
        unit=options["unit"],
        orders=options["orders"],
        duplicates=options["duplicates"],
        k=options["k_core"],
        name=card.name,
        source=card.source,
        licence=card.licence,
    )
