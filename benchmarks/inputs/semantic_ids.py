"""A setting's Semantic IDs: where they lie, how they are made, each draw checked by its hash.

A setting names one draw of its quantiser for all cells, or (`semantic_ids.seed = "cell"`) one for
each seed; all that is found or made here is asked for by the seed of the cell that reads it.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import published_index
from benchmarks.inputs.encoders import CARDS as ENCODERS
from benchmarks.inputs.encoders import folder_sha256
from benchmarks.machine.cache import cache_root, publish_file
from benchmarks.machine.places import SEMANTIC_IDS
from benchmarks.machine.stages import Enter, ignore_stage
from gti.data.dataset import Dataset, detail_text
from gti.data.semantic_ids import SemanticIds
from leaderboard.records.canonical import digest_of
from leaderboard.records.setting import Setting
from leaderboard.records.specs import NO_ENCODER

if TYPE_CHECKING:
    from gti.quantise.report import QuantiserReport


class InputError(RuntimeError):
    """An input that is not what the setting names; the message gives both hashes."""


def sampled_items(setting: Setting) -> int | None:
    """How many of the dataset's items are the setting's; null: all."""
    return None if setting.queries is None else setting.queries.items


def encoder_texts(setting: Setting, dataset: Dataset) -> list[str]:
    """[num_items] what the text encoder reads of each item: title, full stop, detail."""
    fields = (setting.dataset.title_field, *setting.dataset.detail_fields)
    return [detail_text(texts, fields) for texts in dataset.texts]


def compute_semantic_ids(
    setting: Setting,
    dataset: Dataset,
    seed: int,
    *,
    offline: bool = False,
    enter: Enter = ignore_stage,
) -> tuple[SemanticIds, "QuantiserReport | None"]:
    """Makes the Semantic IDs of cells of `seed` from the texts; no report for published indices.

    Published codes get codebooks where the setting names an encoder, whose vectors they average.
    """
    spec = setting.semantic_ids
    published = None
    if spec.quantiser == "published":
        published = published_index(
            setting.dataset.name,
            num_codes=spec.codes,
            options=setting.dataset.options,
            offline=offline,
        )
        if spec.encoder == NO_ENCODER:
            return published, None
    from benchmarks.inputs.tokenizer_report import train_rq_vae
    from gti.quantise.kmeans import residual_kmeans, with_mean_residuals

    enter("encoding")
    _, embeddings = item_embeddings(setting, dataset, offline=offline)
    enter("quantising")
    description = {
        "encoder": spec.encoder,
        "pca_dim": str(spec.pca_dim),
        "dataset": dataset.full_sha256,
        "text": ", ".join((setting.dataset.title_field, *setting.dataset.detail_fields)),
    }
    if published is not None:
        return with_mean_residuals(published, embeddings, description), None
    if spec.rq_vae is not None:
        return train_rq_vae(embeddings, spec, spec.rq_vae, spec.seed_at(seed), description)
    return residual_kmeans(embeddings, spec.levels, spec.codes, spec.seed_at(seed), description)


def item_embeddings(
    setting: Setting, dataset: Dataset, *, offline: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The items' text embeddings as encoded, and reduced as the quantiser reads them."""
    from benchmarks.inputs.encoders import embed_texts
    from gti.quantise.kmeans import principal_components

    spec = setting.semantic_ids
    encoded = embed_texts(
        encoder_texts(setting, dataset),
        spec.encoder,
        max_tokens=spec.encoder_max_tokens,
        offline=offline,
    )
    if not spec.pca_dim:
        return encoded, encoded
    num_items, width = encoded.shape
    if spec.pca_dim > min(num_items, width):
        raise InputError(
            f"setting {setting.name}: semantic_ids.pca_dim = {spec.pca_dim}, but {num_items} items"
            f" with vectors of width {width} have at most {min(num_items, width)} components; lower"
            " it, or 0 takes the vectors as they are"
        )
    return encoded, principal_components(encoded, spec.pca_dim)


def draws_of(setting: Setting, seeds: Iterable[int]) -> dict[int, tuple[int, ...]]:
    """Quantiser seed → those of `seeds` whose cells read its draw: one entry or one per seed."""
    found: dict[int, tuple[int, ...]] = {}
    for seed in seeds:
        draw = setting.semantic_ids.seed_at(seed)
        found[draw] = (*found.get(draw, ()), seed)
    return found


def seeds_of(setting: Setting) -> tuple[int, ...]:
    """The seeds that the setting names: those of its board, then those that rates are tuned at."""
    return setting.seeds + (setting.tuning.seeds if setting.tuning else ())


def sids_file_name(setting: Setting, seed: int) -> str:
    """What the committed artefact of cells of `seed` is called."""
    spec = setting.semantic_ids
    shape = f"{spec.levels}x{spec.codes}"
    options = sorted((setting.dataset.options or {}).items())
    dataset = "-".join([setting.dataset.name, *(f"{key}_{value}" for key, value in options)])
    if (number := sampled_items(setting)) is not None:
        dataset += f"-{number}items"
    return f"{dataset}-{spec.quantiser}-{shape}-seed{spec.seed_at(seed)}.npz"


def recipe(setting: Setting, dataset: Dataset, seed: int) -> str:
    """Hash of all that the Semantic IDs are made of: where those without a pin are cached.

    An encoder in a folder counts by what the folder holds: other weights may come to lie there.
    """
    fields = (setting.dataset.title_field, *setting.dataset.detail_fields)
    pins = {"sha256", "draws"}
    spec = setting.semantic_ids.model_dump(mode="json", exclude=pins, exclude_none=True)
    spec["seed"] = setting.semantic_ids.seed_at(seed)
    number = sampled_items(setting)
    made_of = [dataset.full_sha256, fields, spec, *([] if number is None else [number])]
    folder = Path(setting.semantic_ids.encoder)
    if setting.semantic_ids.encoder not in ENCODERS and folder.is_dir():
        made_of.append(folder_sha256(folder))
    return digest_of(made_of)


def find_semantic_ids(
    setting: Setting, dataset: Dataset | None, seed: int
) -> tuple[SemanticIds, str] | None:
    """The Semantic IDs of cells of `seed` where they lie on this machine; makes nothing.

    Args:
        setting: whose.
        seed: of the cells that read them.
        dataset: that they are made of; null: it is not here, and only pinned ones can be found.

    Returns:
        Them and "committed" or "cached"; null where they have to be made (or, if published, read).

    Raises:
        InputError: they are of another shape than the setting and its dataset.
    """
    wanted = setting.semantic_ids.pin_at(seed)
    pinned = wanted != "unpinned"
    # Nothing that could be cached says whether a published index is still the same.
    if not pinned and (dataset is None or setting.semantic_ids.quantiser == "published"):
        return None
    cached = _cached(wanted if dataset is None or pinned else recipe(setting, dataset, seed))
    for path, place in (
        (SEMANTIC_IDS / sids_file_name(setting, seed), "committed"),
        (cached, "cached"),
    ):
        if path.is_file() and (pinned or path == cached):
            found = SemanticIds.from_file(path)
            if found.sha256 == wanted or not pinned:
                return (found if dataset is None else fitting(found, setting, dataset)), place
    return None


def _cached(key: str) -> Path:
    """Where Semantic IDs of this hash or recipe lie once they are made."""
    return cache_root() / "semantic_ids" / f"{key}.npz"


def semantic_ids_here(
    setting: Setting, dataset: Dataset | None, seed: int
) -> tuple[SemanticIds, str] | None:
    """As `find_semantic_ids`; those published with the data are read from its folder."""
    found = find_semantic_ids(setting, dataset, seed)
    if found is None and dataset is not None and setting.semantic_ids.quantiser == "published":
        return load_semantic_ids(setting, dataset, seed, offline=True), "published with the data"
    return found


def load_semantic_ids(
    setting: Setting,
    dataset: Dataset,
    seed: int,
    *,
    offline: bool = False,
    enter: Enter = ignore_stage,
) -> SemanticIds:
    """The Semantic IDs of cells of `seed`: committed, else cached, else made and cached.

    Raises:
        InputError: what was found or made has another hash than the setting names.
    """
    there = find_semantic_ids(setting, dataset, seed)
    if there is not None:
        return there[0]
    wanted = setting.semantic_ids.pin_at(seed)
    pinned = wanted != "unpinned"
    made, _ = compute_semantic_ids(setting, dataset, seed, offline=offline, enter=enter)
    if pinned and made.sha256 != wanted:
        of_seed = f" of seed {seed}" if setting.semantic_ids.seed == "cell" else ""
        raise InputError(
            f"setting {setting.name}: the Semantic IDs{of_seed} made here have hash {made.sha256},"
            f" the setting names {wanted}; text encoders differ in the last bits between"
            " instruction sets, so fetch the artefact that the setting's author committed, or name"
            " the new hash in a setting of another name"
        )
    publish_file(_cached(wanted if pinned else recipe(setting, dataset, seed)), made.to_bytes())
    return fitting(made, setting, dataset)


def fitting(sids: SemanticIds, setting: Setting, dataset: Dataset) -> SemanticIds:
    """`sids`, which must be of the shape that the setting and its dataset have."""
    spec = setting.semantic_ids
    found = (sids.num_items, sids.num_levels, sids.num_codes)
    expected = (dataset.num_items, spec.levels, spec.codes)
    if found != expected:
        raise InputError(
            f"setting {setting.name}: Semantic IDs are for (items, levels, codes) = {found},"
            f" expected {expected}"
        )
    return sids
