"""What a setting's cells read: dataset, split and Semantic IDs, each checked against its hash."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import MissingDataError, load_dataset, published_index
from benchmarks.datasets.versions import sizes_against_card
from benchmarks.inputs.wordnet import noun_synonyms, wordnet_folder
from benchmarks.machine.assets import AssetError
from benchmarks.machine.cache import cache_root, publish_file
from benchmarks.machine.places import SEMANTIC_IDS
from benchmarks.machine.stages import Enter, ignore_stage
from gti.data.dataset import (
    Dataset,
    IntArray,
    Split,
    detail_text,
    leave_one_out,
    popularity,
    sample_items,
    sample_users,
)
from gti.data.item_texts import make_queries
from gti.data.queries import QuerySet
from gti.data.semantic_ids import SemanticIds
from gti.data.warm_cold_new import warm_cold_new_queries
from leaderboard.records.canonical import digest_of
from leaderboard.records.setting import Setting
from leaderboard.records.specs import DatasetSpec, QueriesSpec

if TYPE_CHECKING:
    from gti.quantise.report import QuantiserReport

NO_ENCODER = "none"
"""In a setting with published indices: there is no encoder, and so there are no codebooks."""


class InputError(RuntimeError):
    """An input that is not what the setting names; the message gives both hashes."""


@dataclass(frozen=True, kw_only=True)
class ReadData:
    """The data that a setting's cells read, without Semantic IDs: quick to load, so checked first.

    Attributes:
        dataset: items, texts, histories.
        split: leave-one-out.
        popularity: [num_items] training interactions; on the retrieval track training queries
            that the item is good for.
        queries: of the retrieval track; null for next-item recommendation.
    """

    dataset: Dataset
    split: Split
    popularity: IntArray
    queries: QuerySet | None = None


@dataclass(frozen=True, kw_only=True)
class Inputs(ReadData):
    """Everything that all cells of a setting share, but the backbone.

    Attributes:
        semantic_ids: the shared artefact.
    """

    semantic_ids: SemanticIds


def load_checked_dataset(setting: Setting, *, offline: bool = False) -> Dataset:
    """The setting's dataset; another content than the setting's hash is refused.

    The hash is the full dataset's, also where the setting draws a sample of its users or items.
    """
    spec = setting.dataset
    dataset = load_dataset(spec.name, options=spec.options, offline=offline)
    if setting.dataset.sha256 not in (dataset.sha256, "unpinned"):
        raise InputError(
            f"setting {setting.name}: dataset {dataset.name} has content hash {dataset.sha256},"
            f" the setting names {setting.dataset.sha256}: another version of the data or of its"
            " loader; use the named one, or write a setting of another name for this one;"
            f" {sizes_against_card(dataset)}"
        )
    if spec.sample_users is not None:
        dataset = sample_users(dataset, spec.sample_users)
    number = sampled_items(setting)
    return dataset if number is None else sample_items(dataset, number)


def sampled_items(setting: Setting) -> int | None:
    """How many of the dataset's items are the setting's; null: all."""
    return None if setting.queries is None else setting.queries.items


def check_fields(setting: Setting, dataset: Dataset) -> None:
    """Refuses a text field that no item has: most likely it is misspelt.

    Raises:
        InputError: names the field and those that there are.
    """
    there = sorted({name for texts in dataset.texts for name in texts})
    for field in (setting.dataset.title_field, *setting.dataset.detail_fields):
        if field not in there:
            raise InputError(
                f"setting {setting.name}: no item of {dataset.name} has a text field {field!r};"
                f" its fields are {', '.join(there) or 'none'}"
            )


def encoder_texts(setting: Setting, dataset: Dataset) -> list[str]:
    """[num_items] what the text encoder reads of each item: title, full stop, detail."""
    fields = (setting.dataset.title_field, *setting.dataset.detail_fields)
    return [detail_text(texts, fields) for texts in dataset.texts]


def compute_semantic_ids(
    setting: Setting, dataset: Dataset, *, offline: bool = False, enter: Enter = ignore_stage
) -> tuple[SemanticIds, "QuantiserReport | None"]:
    """Makes the setting's Semantic IDs from its texts; no report for published indices.

    Published codes get codebooks where the setting names an encoder, whose vectors they average.
    """
    spec = setting.semantic_ids
    published = None
    if spec.quantiser == "published":
        published = published_index(setting.dataset.name, num_codes=spec.codes, offline=offline)
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
        return train_rq_vae(embeddings, spec, spec.rq_vae, description)
    return residual_kmeans(embeddings, spec.levels, spec.codes, spec.seed_at(0), description)


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
    return encoded, principal_components(encoded, spec.pca_dim) if spec.pca_dim else encoded


def sids_file_name(setting: Setting) -> str:
    """What the committed artefact of `setting` is called."""
    spec = setting.semantic_ids
    shape = f"{spec.levels}x{spec.codes}"
    options = sorted((setting.dataset.options or {}).items())
    dataset = "-".join([setting.dataset.name, *(f"{key}_{value}" for key, value in options)])
    if (number := sampled_items(setting)) is not None:
        dataset += f"-{number}items"
    return f"{dataset}-{spec.quantiser}-{shape}-seed{spec.seed_at(0)}.npz"


def recipe(setting: Setting, dataset: Dataset) -> str:
    """Hash of all that the Semantic IDs are made of: where those without a pin are cached."""
    fields = (setting.dataset.title_field, *setting.dataset.detail_fields)
    spec = setting.semantic_ids.model_dump(mode="json", exclude={"sha256"}, exclude_none=True)
    number = sampled_items(setting)
    return digest_of([dataset.full_sha256, fields, spec, *([] if number is None else [number])])


def find_semantic_ids(setting: Setting, dataset: Dataset | None) -> tuple[SemanticIds, str] | None:
    """The setting's Semantic IDs where they lie on this machine, and where: makes nothing.

    Args:
        setting: which.
        dataset: that they are made of; null: it is not here, and only pinned ones can be found.

    Returns:
        Them and "committed" or "cached"; null where they have to be made (or, if published, read).

    Raises:
        InputError: they are of another shape than the setting and its dataset.
    """
    wanted = setting.semantic_ids.pin_at(0)
    pinned = wanted != "unpinned"
    # Nothing that could be cached says whether a published index is still the same.
    if not pinned and (dataset is None or setting.semantic_ids.quantiser == "published"):
        return None
    cached = _cached(wanted if dataset is None or pinned else recipe(setting, dataset))
    for path, place in (
        (SEMANTIC_IDS / sids_file_name(setting), "committed"),
        (cached, "cached"),
    ):
        if path.is_file() and (pinned or path == cached):
            found = SemanticIds.from_file(path)
            if found.sha256 == wanted or not pinned:
                return (found if dataset is None else _fitting(found, setting, dataset)), place
    return None


def _cached(key: str) -> Path:
    """Where Semantic IDs of this hash or recipe lie once they are made."""
    return cache_root() / "semantic_ids" / f"{key}.npz"


def semantic_ids_here(setting: Setting, dataset: Dataset | None) -> tuple[SemanticIds, str] | None:
    """As `find_semantic_ids`; those published with the data are read from its folder."""
    found = find_semantic_ids(setting, dataset)
    if found is None and dataset is not None and setting.semantic_ids.quantiser == "published":
        return load_semantic_ids(setting, dataset, offline=True), "published with the data"
    return found


def load_semantic_ids(
    setting: Setting, dataset: Dataset, *, offline: bool = False, enter: Enter = ignore_stage
) -> SemanticIds:
    """The setting's Semantic IDs: committed, else cached, else made and cached.

    Raises:
        InputError: what was found or made has another hash than the setting names.
    """
    there = find_semantic_ids(setting, dataset)
    if there is not None:
        return there[0]
    wanted = setting.semantic_ids.pin_at(0)
    pinned = wanted != "unpinned"
    made, _ = compute_semantic_ids(setting, dataset, offline=offline, enter=enter)
    if pinned and made.sha256 != wanted:
        raise InputError(
            f"setting {setting.name}: the Semantic IDs made here have hash {made.sha256}, the"
            f" setting names {wanted}; text encoders differ in the last bits between instruction"
            " sets, so fetch the artefact that the setting's author committed, or name the new"
            " hash in a setting of another name"
        )
    publish_file(_cached(wanted if pinned else recipe(setting, dataset)), made.to_bytes())
    return _fitting(made, setting, dataset)


def _fitting(sids: SemanticIds, setting: Setting, dataset: Dataset) -> SemanticIds:
    spec = setting.semantic_ids
    found = (sids.num_items, sids.num_levels, sids.num_codes)
    expected = (dataset.num_items, spec.levels, spec.codes)
    if found != expected:
        raise InputError(
            f"setting {setting.name}: Semantic IDs are for (items, levels, codes) = {found},"
            f" expected {expected}"
        )
    return sids


def load_queries(setting: Setting, dataset: Dataset) -> QuerySet | None:
    """The queries of a setting of the retrieval track, made from the item texts; else null.

    Raises:
        InputError: they have another hash than the setting names.
    """
    spec = setting.queries
    if spec is None:
        return None
    made = _made_queries(setting.dataset, spec, dataset)
    if spec.sha256 not in (made.sha256, "unpinned"):
        raise InputError(
            f"setting {setting.name}: the queries made here have hash {made.sha256}, the setting"
            f" names {spec.sha256}: another version of the rule in gti.data.{spec.rule}; name the"
            " new hash in a setting of another name"
        )
    return made


def _made_queries(texts: DatasetSpec, spec: QueriesSpec, dataset: Dataset) -> QuerySet:
    """The queries that the setting's rule makes of the fields that `texts` names."""
    rule = spec.warm_cold_new
    if rule is not None:
        return warm_cold_new_queries(
            dataset,
            title_field=texts.title_field,
            detail_fields=texts.detail_fields,
            category_fields=spec.category_fields,
            shares=rule.shares,
            ways=rule.ways,
            train_per_item=rule.train_per_item,
            held_out_per_item=rule.held_out_per_item,
            words=spec.words,
            synonyms=noun_synonyms(wordnet_folder()) if "paraphrase" in rule.ways else None,
        )
    assert spec.per_item is not None  # the only other rule has it
    return make_queries(
        dataset,
        title_field=texts.title_field,
        detail_fields=texts.detail_fields,
        category_fields=spec.category_fields,
        per_item=spec.per_item,
        words=spec.words,
    )


def load_data(setting: Setting, *, offline: bool = False) -> ReadData:
    """Loads and checks dataset, split and queries of `setting`.

    Raises:
        InputError: another version of them than the setting names.
        MissingDataError, AssetError: the dataset is not here; says how to get it.
    """
    dataset = load_checked_dataset(setting, offline=offline)
    check_fields(setting, dataset)
    split = leave_one_out(dataset, setting.dataset.min_interactions)
    queries = load_queries(setting, dataset)
    count = dataset.num_items
    counted = queries.popularity(count) if queries else popularity(split, count)
    return ReadData(dataset=dataset, split=split, popularity=counted, queries=queries)


def read_if_here(setting: Setting, *, offline: bool) -> tuple[ReadData | None, str]:
    """As `load_data`; where the data are not to be had null, and how to get them."""
    try:
        return load_data(setting, offline=offline), ""
    except (MissingDataError, AssetError) as problem:
        return None, str(problem)


def load_inputs(
    setting: Setting,
    *,
    offline: bool = False,
    semantic_ids: SemanticIds | None = None,
    enter: Enter = ignore_stage,
    data: ReadData | None = None,
) -> Inputs:
    """Loads and checks all shared inputs of `setting`.

    Args:
        setting: which.
        offline: touch no network.
        semantic_ids: the very ones to take.
        enter: told when texts are encoded and Semantic IDs made, where they are not there yet.
        data: what `load_data` gave before; null: it is read here.
    """
    data = data or load_data(setting, offline=offline)
    if semantic_ids is None:
        semantic_ids = load_semantic_ids(setting, data.dataset, offline=offline, enter=enter)
    return Inputs(
        dataset=data.dataset,
        split=data.split,
        semantic_ids=_fitting(semantic_ids, setting, data.dataset),
        popularity=data.popularity,
        queries=data.queries,
    )
