"""Finding a dataset by name, or by the path of its folder, and reading it."""

import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.datasets.all_cards import CARDS
from benchmarks.datasets.card import DATA_VARIABLE, Layout, Options
from benchmarks.datasets.lcrec import load_lcrec, read_index
from benchmarks.datasets.movielens import load_movielens_folder, movielens_pair
from benchmarks.datasets.read_by_card import card_folder, read_carded
from benchmarks.datasets.recbole_atomic import Columns, load_recbole
from gti.data.dataset import DataError, Dataset
from gti.data.semantic_ids import SemanticIds
from gti.hints import did_you_mean

_SUFFIX: dict[Layout, str] = {"lcrec": ".inter.json", "recbole": ".inter"}
_PREFIXES: dict[str, Layout] = {
    "lcrec": "lcrec",
    "recbole": "recbole",
    "movielens": "movielens",
}
_PARTS = (".train.inter", ".valid.inter", ".test.inter")
"""Suffixes of interactions that were split beforehand."""


@dataclass(frozen=True)
class _Place:
    """Where the files of a dataset without a card lie and how they are read."""

    folder: Path
    layout: Layout
    stem: str
    name: str
    source: str
    licence: str


def load_dataset(name: str, *, options: Options | None = None, offline: bool = False) -> Dataset:
    """Reads a dataset.

    Args:
        name: a card's name; else a subfolder of `GTI_BENCH_DATA`, the path of a folder with
            RecBole's atomic files, of LC-Rec's layout, or with an edition of MovieLens, or such a
            path after `recbole:`, `lcrec:` or `movielens:`.
        options: what the card lets one choose; all of it, since there is no hidden default. Of
            RecBole's files without a card: what their columns are called (`Columns`).
        offline: touch no network.

    Raises:
        MissingDataError: a dataset with a card whose files are not there; says how to get them.
        DataError: unknown name or option, malformed files.
        AssetError: the asset that holds the dataset cannot be had.
        CacheError: the cache is full or cannot be written.
    """
    card = CARDS.get(name)
    if card is not None:
        return read_carded(card, card.check_options(options), offline=offline)
    place = _find(name)
    if place.layout == "recbole":
        columns = Columns.of(options or {}, name)
        return load_recbole(
            place.folder, place.stem, place.name, place.source, place.licence, columns
        )
    if options:
        raise DataError(
            f"dataset {name}: unknown option {next(iter(options))!r}; a folder without a card has"
            " none, but that of RecBole's files"
        )
    if place.layout == "movielens":
        return load_movielens_folder(place.folder, place.name, place.source, place.licence)
    return load_lcrec(place.folder, place.stem, place.name, place.source, place.licence)


def published_index(
    dataset_name: str,
    *,
    num_codes: int | None = None,
    options: Options | None = None,
    offline: bool = False,
) -> SemanticIds:
    """Reads the Semantic IDs published with a dataset: `NAME.index.json` in its folder.

    Args:
        dataset_name: as for `load_dataset`.
        num_codes: codes per level; null: as many as the file needs.
        options: as for `load_dataset`.
        offline: touch no network.

    Raises:
        DataError: there is none, it is malformed, or it does not fit the dataset's items.
    """
    card = CARDS.get(dataset_name)
    if card is None:
        place = _find(dataset_name)
        folder, stem = place.folder, place.stem
    elif card.layout in _SUFFIX:
        folder, stem = card_folder(card, offline=offline), card.stem
    else:
        raise DataError(f"dataset {dataset_name} has no published Semantic IDs")
    path = folder / f"{stem}.index.json"
    if not path.is_file():
        raise DataError(
            f"dataset {dataset_name} has no published Semantic IDs: {path} is not there"
        )
    return read_index(path, load_dataset(dataset_name, options=options, offline=offline), num_codes)


def _find(name: str) -> _Place:
    """Resolves the name of a dataset without a card to files."""
    prefix, separator, path = name.partition(":")
    if separator and prefix in _PREFIXES:
        return _uncarded(Path(path), _PREFIXES[prefix])
    data = os.environ.get(DATA_VARIABLE)
    if data and Path(name).name == name and (Path(data) / name).is_dir():
        return _uncarded(Path(data) / name, None)
    if Path(name).is_dir():
        return _uncarded(Path(name), None)
    raise DataError(_unknown(name))


def _uncarded(folder: Path, layout: Layout | None) -> _Place:
    """A folder that no card describes; its own name becomes the dataset's."""
    if not folder.is_dir():
        raise DataError(f"dataset folder {folder}: no such folder")
    source = f"files in a folder named {folder.resolve().name}"
    about = (folder.resolve().name, source, "not stated")
    if layout == "movielens":
        return _Place(folder, layout, "", *about)
    stems = {kind: _stems(folder, kind) for kind in ([layout] if layout else list(_SUFFIX))}
    found = [(kind, stem) for kind, names in stems.items() for stem in names]
    if len(found) == 1:
        kind, stem = found[0]
        return _Place(folder, kind, stem, *about)
    if not found and layout is None and movielens_pair(folder) is not None:
        return _Place(folder, "movielens", "", *about)
    if found:
        choices = ", ".join(f"{stem}{_SUFFIX[kind]}" for kind, stem in found)
        raise DataError(f"{folder}: expected the interactions of one dataset, found {choices}")
    wanted = " or ".join(f"NAME{_SUFFIX[kind]}" for kind in stems)
    split = sorted(path.name for path in folder.iterdir() if path.name.endswith(_PARTS))
    if split:
        raise DataError(
            f"{folder}: expected whole histories ({wanted}), found {split[0]}, split beforehand"
            " (MiniOneRec's windows 8:1:1 by time, RecBole's benchmark files): leave-one-out"
            " histories cannot be had from it; write NAME.inter.json from the source data"
        )
    raise DataError(f"{folder}: expected {wanted}, found neither")


def _stems(folder: Path, layout: Layout) -> list[str]:
    """Names of the datasets in `folder` whose interactions are in the given layout."""
    suffix = _SUFFIX[layout]
    return sorted(
        path.name.removesuffix(suffix)
        for path in folder.iterdir()
        if path.name.endswith(suffix) and not path.name.endswith(_PARTS) and path.is_file()
    )


def _unknown(name: str) -> str:
    hint = did_you_mean(name, CARDS, least=0.5) or ";"
    return (
        f"unknown dataset {name!r}{hint} `gti-bench list datasets` shows all, and the path of a"
        " folder with RecBole's atomic files, of LC-Rec's layout or with MovieLens works too"
    )
