"""What a setting's cells read: dataset, split and Semantic IDs, each checked against its hash."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cache import cache_root, publish_file
from benchmarks.datasets import load_dataset, published_index
from gti.dataset import Dataset, IntArray, Split, detail_text, leave_one_out, popularity
from gti.semantic_ids import SemanticIds
from leaderboard.setting import Setting

if TYPE_CHECKING:
    from gti.quantisers import QuantiserReport

COMMITTED_SIDS = Path(__file__).parent / "semantic_ids"


class InputError(RuntimeError):
    """An input that is not what the setting names; the message gives both hashes."""


@dataclass(frozen=True)
class Inputs:
    """Everything that all cells of a setting share, but the backbone.

    Attributes:
        dataset: items, texts, histories.
        split: leave-one-out.
        semantic_ids: the shared artefact.
        popularity: [num_items] training interactions.
    """

    dataset: Dataset
    split: Split
    semantic_ids: SemanticIds
    popularity: IntArray


def load_checked_dataset(setting: Setting, *, offline: bool = False) -> Dataset:
    """The setting's dataset; another content than the setting's hash is refused."""
    dataset = load_dataset(setting.dataset.name, offline=offline)
    if dataset.sha256 != setting.dataset.sha256:
        raise InputError(
            f"setting {setting.name}: dataset {dataset.name} has content hash {dataset.sha256},"
            f" the setting names {setting.dataset.sha256}: another version of the data or of its"
            " loader; use the named one, or write a setting of another name for this one"
        )
    return dataset


def encoder_texts(setting: Setting, dataset: Dataset) -> list[str]:
    """[num_items] what the text encoder reads of each item: title, full stop, detail."""
    fields = (setting.dataset.title_field, *setting.dataset.detail_fields)
    return [detail_text(texts, fields) for texts in dataset.texts]


def compute_semantic_ids(
    setting: Setting, dataset: Dataset, *, offline: bool = False
) -> tuple[SemanticIds, "QuantiserReport | None"]:
    """Makes the setting's Semantic IDs from its texts; no report for published indices."""
    spec = setting.semantic_ids
    if spec.quantiser == "published":
        return published_index(setting.dataset.name, num_codes=spec.codes, offline=offline), None
    from benchmarks.encoders import embed_texts
    from gti.quantisers import principal_components, residual_kmeans

    embeddings = embed_texts(encoder_texts(setting, dataset), spec.encoder, offline=offline)
    if spec.pca_dim:
        embeddings = principal_components(embeddings, spec.pca_dim)
    description = {
        "encoder": spec.encoder,
        "pca_dim": str(spec.pca_dim),
        "dataset": dataset.sha256,
        "text": ", ".join((setting.dataset.title_field, *setting.dataset.detail_fields)),
    }
    return residual_kmeans(embeddings, spec.levels, spec.codes, spec.seed, description)


def sids_file_name(setting: Setting) -> str:
    """What the committed artefact of `setting` is called."""
    spec = setting.semantic_ids
    shape = f"{spec.levels}x{spec.codes}"
    return f"{setting.dataset.name}-{spec.quantiser}-{shape}-seed{spec.seed}.npz"


def load_semantic_ids(setting: Setting, dataset: Dataset, *, offline: bool = False) -> SemanticIds:
    """The setting's Semantic IDs: committed, else cached, else made and cached.

    Raises:
        InputError: what was found or made has another hash than the setting names.
    """
    wanted = setting.semantic_ids.sha256
    cached = cache_root() / "semantic_ids" / f"{wanted}.npz"
    for path in (COMMITTED_SIDS / sids_file_name(setting), cached):
        if path.is_file():
            found = SemanticIds.from_file(path)
            if found.sha256 == wanted:
                return _fitting(found, setting, dataset)
    made, _ = compute_semantic_ids(setting, dataset, offline=offline)
    if made.sha256 != wanted:
        raise InputError(
            f"setting {setting.name}: the Semantic IDs made here have hash {made.sha256}, the"
            f" setting names {wanted}; text encoders differ in the last bits between instruction"
            " sets, so fetch the artefact that the setting's author committed, or name the new"
            " hash in a setting of another name"
        )
    publish_file(cached, made.to_bytes())
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


def load_inputs(setting: Setting, *, offline: bool = False) -> Inputs:
    """Loads and checks all shared inputs of `setting`."""
    dataset = load_checked_dataset(setting, offline=offline)
    split = leave_one_out(dataset, setting.dataset.min_interactions)
    return Inputs(
        dataset=dataset,
        split=split,
        semantic_ids=load_semantic_ids(setting, dataset, offline=offline),
        popularity=popularity(split, dataset.num_items),
    )
