"""The `Setting`: everything that is held fixed across methods, as one frozen, hashed model.

A setting is read from one TOML file with no inheritance and no hidden defaults: what can change a
number stands in the file. What a method has of its own (rates tuned by the common rule) stands in
the file's `[method.NAME]` tables; it is hashed with the method, not with the setting, so that a
new baseline leaves the records of the others valid.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    ValidationError,
    model_validator,
)

from leaderboard.records.bounded import MIB, BoundsError, read_bounded
from leaderboard.records.canonical import digest_of
from leaderboard.records.specs import (
    MOST_NAMED,
    AuxiliarySpec,
    BackboneSpec,
    DatasetSpec,
    DecodingSpec,
    EvaluationSpec,
    ExtraSpec,
    Frozen,
    GroundingSpec,
    Name,
    PrimarySpec,
    PromptsSpec,
    QueriesSpec,
    SemanticIdsSpec,
    SftSpec,
    TuningSpec,
)


class Setting(Frozen):
    """Everything that is held fixed across methods: data, backbone, budgets, evaluation."""

    name: Name
    summary: str
    evidence: Annotated[bool, Field(description="False: shows that the harness works, no more")]
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(max_length=MOST_NAMED)]
    dataset: DatasetSpec
    semantic_ids: SemanticIdsSpec
    backbone: BackboneSpec
    prompts: PromptsSpec
    sft: SftSpec
    extra: ExtraSpec
    grounding: GroundingSpec
    auxiliary: AuxiliarySpec
    decoding: DecodingSpec
    evaluation: EvaluationSpec
    queries: QueriesSpec | None = None
    tuning: TuningSpec | None = None
    primary: PrimarySpec | None = None

    @model_validator(mode="after")
    def _seeds_differ(self) -> Self:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds must be different, at least one; found {list(self.seeds)}")
        return self

    @model_validator(mode="after")
    def _rates_are_tuned_apart(self) -> Self:
        if self.tuning is None:
            return self
        if self.tuning.grounding_rates and not self.grounding.held_out_share:
            raise ValueError(
                "tuning.grounding_rates are told apart by held-out pairs: give"
                " grounding.held_out_share, or leave them out"
            )
        if self.sft.rates == "own" and len(self.tuning.seeds) == 1:
            raise ValueError(
                "sft.rates 'own' asks for a lead at two seeds: give tuning.seeds another one, or"
                " let all methods have one rate"
            )
        shown = [seed for seed in self.tuning.seeds if seed in self.seeds]
        if shown:
            raise ValueError(
                f"tuning.seeds: {shown[0]} is one of the board's seeds {[*self.seeds]}; rates must"
                " not be tuned on a seed that the board shows"
            )
        return self

    @model_validator(mode="after")
    def _wordings_there_are(self) -> Self:
        if self.prompts.style == "sequence" and self.evaluation.wordings != 1:
            raise ValueError("prompt style 'sequence' has one wording: evaluation.wordings = 1")
        return self

    @model_validator(mode="after")
    def _queries_are_questions(self) -> Self:
        if self.queries is not None and self.prompts.style == "sequence":
            raise ValueError('queries are asked as questions: prompts.style = "chat" or "plain"')
        if self.queries is not None and self.dataset.seen_items != "keep":
            raise ValueError('a query has seen no items: dataset.seen_items = "keep"')
        if self.queries and self.queries.items and self.semantic_ids.quantiser == "published":
            raise ValueError(
                "published indices are of all items: leave queries.warm_cold_new.items out"
            )
        return self

    @model_validator(mode="after")
    def _primary_outcome_is_scored(self) -> Self:
        if self.primary is not None and "@" in self.primary.outcome:
            cutoff = int(self.primary.outcome.partition("@")[2])
            if cutoff not in self.evaluation.cutoffs or cutoff > self.decoding.beam:
                raise ValueError(
                    f"primary.outcome {self.primary.outcome} is not scored: cutoffs are"
                    f" {[*self.evaluation.cutoffs]}, the beam {self.decoding.beam}"
                )
        return self

    @property
    def asks(self) -> Literal["users", "queries"]:
        """Who is scored: users of next-item recommendation, or queries of the retrieval track."""
        return "users" if self.queries is None else "queries"

    @property
    def hash(self) -> str:
        """sha256 of what can change a number or what is said of it: all but prose and seeds.

        The number of seeds may grow while a board is run, and with them the draws of Semantic IDs,
        which the quantiser's own fields decide and `verify` compares with each record's. Fields
        that are null are left out, so that an option added later, which a setting does not use,
        leaves its records valid.
        """
        return digest_of(self.hashed)

    @property
    def hashed(self) -> dict[str, Any]:
        """The content that `hash` is of."""
        left_out: Any = {"summary": True, "seeds": True, "semantic_ids": {"draws"}}
        return self.model_dump(mode="json", exclude=left_out, exclude_none=True)


class MethodParameters(Frozen):
    """What a `[method.NAME]` table may hold; null means the setting's shared value is used."""

    sft_learning_rate: Annotated[float, Field(gt=0)] | None = None
    grounding_learning_rate: Annotated[float, Field(gt=0)] | None = None
    auxiliary_loss_weight: Annotated[float, Field(gt=0)] | None = None


class SettingFile(Frozen):
    """One TOML file: the setting, and the methods' own tables."""

    setting: Setting
    methods: dict[str, MethodParameters]

    @model_validator(mode="after")
    def _one_rate_is_one(self) -> Self:
        own = [key for key, table in self.methods.items() if table.sft_learning_rate is not None]
        if self.setting.sft.rates == "shared" and own:
            raise ValueError(
                f'[method.{own[0]}] has an SFT rate of its own, but sft.rates = "shared": take it'
                ' out, or say "own"'
            )
        return self

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
        raise SettingError(f"{source}: not valid TOML: {error}{_path_hint(text)}") from error
    except (ValueError, RecursionError) as error:  # numbers or nesting beyond what Python reads
        raise SettingError(f"{source}: cannot be read: {str(error)[:200]}") from error
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


def _path_hint(text: str) -> str:
    """What to do where the mistake may be a path with backslashes in double quotes."""
    for number, line in enumerate(text.split("\n"), start=1):
        if re.search(r'"[^"]*\\[^"]*"', line):
            return (
                f"; line {number} has a backslash in double quotes, where it begins an escape: put"
                " a path with backslashes in single quotes"
            )
    return ""


def read_setting(path: Path) -> SettingFile:
    """Reads the setting file at `path`; its stem must equal the setting's name.

    A byte-order mark, which some editors put first, is dropped.
    """
    try:
        text = read_bounded(path, MIB).decode("utf-8-sig")
    except OSError as error:
        raise SettingError(f"cannot read setting file {path}: {error.strerror}") from error
    except BoundsError as error:
        raise SettingError(f"cannot read setting file {path}: {error}") from error
    except UnicodeDecodeError as error:
        raise SettingError(
            f"{path}: not UTF-8 text (byte {error.start}): {error.reason}"
        ) from error
    parsed = parse_setting(text, str(path))
    if parsed.setting.name != path.stem:
        raise SettingError(
            f"{path}: the setting calls itself {parsed.setting.name!r};"
            f" rename the file to {parsed.setting.name}.toml or change `name`"
        )
    return parsed
