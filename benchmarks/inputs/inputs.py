"""What a setting's cells read: dataset, split and Semantic IDs, each checked against its hash."""

from dataclasses import dataclass

from benchmarks.datasets import MissingDataError, load_dataset
from benchmarks.datasets.versions import sizes_against_card
from benchmarks.inputs.semantic_ids import InputError, fitting, load_semantic_ids, sampled_items
from benchmarks.inputs.wordnet import noun_synonyms, wordnet_folder
from benchmarks.machine.assets import AssetError
from benchmarks.machine.stages import Enter, ignore_stage
from gti.data.dataset import (
    Dataset,
    IntArray,
    Split,
    leave_one_out,
    popularity,
    sample_items,
    sample_users,
)
from gti.data.item_texts import make_queries
from gti.data.queries import QuerySet
from gti.data.semantic_ids import SemanticIds
from gti.data.warm_cold_new import warm_cold_new_queries
from leaderboard.records.setting import Setting
from leaderboard.records.specs import DatasetSpec, QueriesSpec


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
    """Everything that all cells of one seed of a setting share, but the backbone.

    Attributes:
        semantic_ids: the draw of that seed.
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
    seed: int,
    *,
    offline: bool = False,
    semantic_ids: SemanticIds | None = None,
    enter: Enter = ignore_stage,
    data: ReadData | None = None,
) -> Inputs:
    """Loads and checks all inputs that the cells of `seed` share.

    Args:
        setting: which.
        seed: of the cells; it says which draw of Semantic IDs they read.
        offline: touch no network.
        semantic_ids: the very ones to take.
        enter: told when texts are encoded and Semantic IDs made, where they are not there yet.
        data: what `load_data` gave before; null: it is read here.
    """
    data = data or load_data(setting, offline=offline)
    if semantic_ids is None:
        semantic_ids = load_semantic_ids(setting, data.dataset, seed, offline=offline, enter=enter)
    return Inputs(
        dataset=data.dataset,
        split=data.split,
        semantic_ids=fitting(semantic_ids, setting, data.dataset),
        popularity=data.popularity,
        queries=data.queries,
    )
