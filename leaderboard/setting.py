"""The `Setting`: everything that is held fixed across methods, as one frozen, hashed model.

A setting is read from one TOML file with no inheritance and no hidden defaults: what can change a
number stands in the file. What a method has of its own (rates tuned by the common rule) stands in
the file's `[method.NAME]` tables; it is hashed with the method, not with the setting, so that a
new baseline leaves the records of the others valid.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from leaderboard.canonical import digest_of

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Frozen(BaseModel):
    """Base of all specs: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DatasetSpec(Frozen):
    """Which interactions and texts.

    `sha256` is the dataset's content hash (see `gti.dataset`), so another version of the same
    name is refused instead of silently scored.
    """

    name: str
    sha256: Sha256
    title_field: str
    detail_fields: tuple[str, ...]
    min_interactions: Annotated[int, Field(ge=3)]
    max_history: Annotated[int, Field(ge=1)]
    seen_items: Literal["keep", "remove"]


class SemanticIdsSpec(Frozen):
    """Which Semantic IDs; `seed` is the quantiser's own, apart from the seeds of training.

    `pca_dim`: dimensions the embeddings are reduced to first; 0 takes them as they are. On raw
    embeddings the later levels of residual k-means use their codes unevenly.
    """

    quantiser: Literal["residual_kmeans", "published"]
    encoder: str
    pca_dim: Annotated[int, Field(ge=0)]
    levels: Annotated[int, Field(ge=1, le=8)]
    codes: Annotated[int, Field(ge=2)]
    seed: int
    sha256: Sha256


class LoraSpec(Frozen):
    """Low-rank adapters on the backbone's projections; the embedding matrix trains in full."""

    rank: Annotated[int, Field(ge=1)]
    alpha: Annotated[float, Field(gt=0)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    targets: tuple[str, ...]


class BackboneSpec(Frozen):
    """Which pretrained causal language model, in which dtype."""

    name: str
    dtype: Literal["float32", "bfloat16"]
    lora: LoraSpec | None = None


class PromptsSpec(Frozen):
    """How text becomes tokens. The wordings themselves carry a hash in each record."""

    style: Literal["sequence", "chat"]
    window: Annotated[int, Field(ge=2, description="items per training window, style 'sequence'")]
    max_text_tokens: Annotated[int, Field(ge=4)]


class OptimizerSpec(Frozen):
    """AdamW with linear warm-up and the named decay to zero."""

    learning_rate: Annotated[float, Field(gt=0)]
    batch_size: Annotated[int, Field(ge=1)]
    schedule: Literal["cosine", "linear", "constant"]
    warmup_share: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0)]
    betas: tuple[float, float]
    clip_norm: Annotated[float, Field(gt=0)] | None = None


class SftSpec(OptimizerSpec):
    """Fine-tuning on the retrieval stream R; `passes` over it is the SFT budget."""

    passes: Annotated[float, Field(gt=0)]


class ExtraSpec(Frozen):
    """The extra budget A = `share_of_sft` × the nominal FLOPs of R, one for all that spend it."""

    share_of_sft: Annotated[float, Field(gt=0)]


class AuxiliarySpec(Frozen):
    """LC-Rec's alignment tasks beside R: which families, and how their loss is weighted."""

    tasks: tuple[str, ...]
    loss_weight: Annotated[float, Field(gt=0)]


class DecodingSpec(Frozen):
    """Trie-constrained beam search; the beam is never shrunk."""

    beam: Annotated[int, Field(ge=1)]


class EvaluationSpec(Frozen):
    """When and on whom to score. The main score is `ndcg@10`."""

    cutoffs: tuple[int, ...]
    validation_users: Annotated[int, Field(ge=1, description="fixed sample scored in training")]
    curve_points: Annotated[int, Field(ge=1, description="scored steps after step 0")]


class Setting(Frozen):
    """Everything held fixed across methods (DESIGN, Nouns)."""

    name: Name
    summary: str
    evidence: Annotated[bool, Field(description="False: shows that the harness works, no more")]
    seeds: tuple[int, ...]
    dataset: DatasetSpec
    semantic_ids: SemanticIdsSpec
    backbone: BackboneSpec
    prompts: PromptsSpec
    sft: SftSpec
    extra: ExtraSpec
    grounding: OptimizerSpec
    auxiliary: AuxiliarySpec
    decoding: DecodingSpec
    evaluation: EvaluationSpec

    @property
    def hash(self) -> str:
        """sha256 of what can change a number: all fields but the prose and the list of seeds."""
        content = self.model_dump(mode="json", exclude={"summary", "seeds", "evidence"})
        return digest_of(content)


class MethodParameters(Frozen):
    """What a `[method.NAME]` table may hold; null means the setting's shared value is used."""

    sft_learning_rate: Annotated[float, Field(gt=0)] | None = None
    grounding_learning_rate: Annotated[float, Field(gt=0)] | None = None
    auxiliary_loss_weight: Annotated[float, Field(gt=0)] | None = None


class SettingFile(Frozen):
    """One TOML file: the setting, and the methods' own tables."""

    setting: Setting
    methods: dict[str, MethodParameters]

    def parameters(self, method: str) -> MethodParameters:
        """The own parameters of `method` (all null where the file has no table for it)."""
        return self.methods.get(method, MethodParameters())


class SettingError(ValueError):
    """A setting file that cannot be used; the message names the file, the field and the value."""


def parse_setting(text: str, source: str) -> SettingFile:
    """Parses the TOML `text` of a setting; `source` names it in errors.

    Raises:
        SettingError: malformed TOML, an unknown or missing key, or a value out of range.
    """
    try:
        content: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{source}: not valid TOML: {error}") from error
    methods = content.pop("method", {})
    try:
        return SettingFile.model_validate({"setting": content, "methods": methods})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'][1:]) or 'file'}: {item['msg'].lower()}"
            f" (found {item['input']!r:.80})"
            for item in error.errors()
        )
        raise SettingError(f"{source}: {problems}") from error


def read_setting(path: Path) -> SettingFile:
    """Reads the setting file at `path`; its stem must equal the setting's name."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingError(f"cannot read setting file {path}: {error.strerror}") from error
    parsed = parse_setting(text, str(path))
    if parsed.setting.name != path.stem:
        raise SettingError(
            f"{path}: the setting calls itself {parsed.setting.name!r};"
            f" rename the file to {parsed.setting.name}.toml or change `name`"
        )
    return parsed
