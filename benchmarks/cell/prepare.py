"""The first stage of a cell: the backbone loaded and grown, prompts and budgets made."""

import time
from dataclasses import dataclass
from typing import Any, cast

from benchmarks.cell.budget import ExtraBudget, extra_budget, flops_of, sft_passes
from benchmarks.cell.checkpoint import Keeper, identity_of
from benchmarks.cell.finished import LoadedCell
from benchmarks.cell.ledger import Ledger
from benchmarks.cell.notes import draw_note, notes_on, reading_note
from benchmarks.cell.retention import PlainEnglish, bits_per_character, windows
from benchmarks.cell.scoring import Scorer
from benchmarks.cell.spec import CellSpec
from benchmarks.inputs.backbones import Backbone, load_backbone
from benchmarks.inputs.inputs import Inputs
from benchmarks.inputs.mixture import check_setting_mixture
from benchmarks.inputs.shown import Shown, shown_to_methods
from benchmarks.machine.events import Report
from gti.data.streams import numpy_stream, stream_key
from gti.method import GroundingPlan
from gti.model.capabilities import context_of
from gti.model.devices import computed_dtype, describe_attention
from gti.model.flops import ModelShape
from gti.model.vocabulary import Vocabulary, extend_vocabulary
from gti.plain import FAST, PLAIN, Forms
from gti.prompts.prompter import Example, Prompter
from gti.prompts.wordings import wordings_sha256
from gti.train.finetuning import retrieval_batches
from gti.train.grounding import grounding_examples
from gti.train.order import take_budget


@dataclass(frozen=True)
class StageProgress:
    """Reports how far a stage is."""

    report: Report
    stage: str

    def __call__(self, done: int, total: int, loss: float | None = None) -> None:
        """Reports that `done` of `total` steps are done, and the last one's loss."""
        event = {"event": "progress", "stage": self.stage, "done": done, "total": total}
        self.report({**event, "loss": loss})


@dataclass(frozen=True, kw_only=True)
class CellBudget:
    """What a cell trains on and may spend.

    Attributes:
        batches: of R in their order; longer where the method spends A after SFT.
        passes: over R that these make.
        sft_flops: nominal FLOPs of R as every method has it.
        extra: the extra budget A.
        after_flops: nominal FLOPs of A that are spent after SFT, by the batches added to R.
        pairs: GTI's own pairs, where A is counted in passes over them; else none.
        retrieval: R, one pass.
    """

    batches: list[list[Example]]
    passes: float
    sft_flops: float
    extra: ExtraBudget
    after_flops: float
    pairs: list[Example]
    retrieval: list[Example]


@dataclass(frozen=True, kw_only=True)
class PreparedCell(LoadedCell):
    """A cell that has not trained yet; its new rows hold what the library left there.

    Attributes:
        forms: how each stage is done, fast or plain.
        model: on its device; later stages train it in place.
        tokenizer: with the new tokens.
        tokenizer_before: as JSON, without them.
        vocabulary: where the new tokens live.
        shown: what the method may be shown of the items.
        prompter: builds the prompts, of that alone.
        shape: the sizes that FLOPs depend on.
        scorer: scores the model on held-out items.
        budget: what it trains on and may spend.
        english: how well the backbone knew plain English before all this.
        keeper: writes its checkpoints.
    """

    forms: Forms
    model: Any
    tokenizer: Any
    tokenizer_before: str
    vocabulary: Vocabulary
    shown: Shown
    prompter: Prompter
    shape: ModelShape
    scorer: Scorer
    budget: CellBudget
    english: PlainEnglish
    keeper: Keeper

    def enter(self, stage: str) -> float:
        """Begins `stage`, for those who watch and for the ledger; returns the time."""
        self.spec.report({"event": "stage", "stage": stage})
        self.keeper.stage = stage
        self.ledger.enter("validation" if stage == "curve" else stage)
        return time.perf_counter()

    def progress(self, stage: str) -> StageProgress:
        """What reports how far `stage` is."""
        return StageProgress(self.spec.report, stage)


def prepare_cell(spec: CellSpec) -> PreparedCell:
    """Loads the backbone, adds the new tokens, and plans what the cell trains on.

    Raises:
        BackboneError, MixtureError, PromptError, TrackError: what does not fit, before it trains.
    """
    dtype, no_dtype = computed_dtype(spec.device, spec.setting.backbone.dtype)
    ledger = Ledger(spec.device, dtype)
    ledger.warn(no_dtype)
    began = time.perf_counter()
    spec.report({"event": "stage", "stage": "load"})
    backbone = load_backbone(spec.setting.backbone.name, offline=spec.offline)
    tokenizer: Any = backbone.tokenizer
    before = tokenizer.backend_tokenizer.to_str()
    forms = PLAIN if spec.plain else FAST
    english, spoken = _read_plain_english(spec, ledger, backbone, forms)
    # Grown on the CPU: what the library draws for the fresh rows is the same for every device.
    tokens, key = spec.inputs.semantic_ids.tokens, stream_key(spec.seed, "resize")
    vocabulary = extend_vocabulary(tokenizer, backbone.model, tokens, key)
    whole: Any = backbone.model
    model = whole.to(spec.device)
    attention, no_flash = describe_attention(model, dtype)
    ledger.warn(no_flash, None if spec.plain else reading_note(model))
    shown = shown_to_methods(spec.setting, spec.inputs)
    prompter = prompter_of(spec, tokenizer, vocabulary, model, shown.texts)
    if spec.method.alignment:
        check_setting_mixture(spec.setting, spec.inputs)
    ledger.warn(draw_note(spec.setting, spec.seed))
    ledger.warnings += notes_on(spec.setting, spec.inputs, shown, prompter, spec.method)
    shape = ModelShape.of(model)
    asked = (spec.setting, spec.inputs, prompter, vocabulary, spec.device)
    scorer = Scorer(*asked, forms, dtype)
    retrieval = scorer.track.examples(numpy_stream(spec.seed, "wording"))
    budget = plan_budget(spec, prompter, shown, shape, retrieval)
    ledger.extra_spent += budget.after_flops
    ledger.note_cost("load", time.perf_counter() - began - spoken)
    read = read_by(spec.inputs, backbone)
    identity = identity_of(spec, read, dtype, attention)
    return PreparedCell(
        spec=spec,
        read=read,
        dtype=dtype,
        attention=attention,
        ledger=ledger,
        forms=forms,
        model=model,
        tokenizer=tokenizer,
        tokenizer_before=before,
        vocabulary=vocabulary,
        shown=shown,
        prompter=prompter,
        shape=shape,
        scorer=scorer,
        budget=budget,
        english=english,
        keeper=Keeper(spec.checkpoint, spec.checkpoint_seconds, identity, ledger, spec.report),
    )


def _read_plain_english(
    spec: CellSpec, ledger: Ledger, backbone: Backbone, forms: Forms
) -> tuple[PlainEnglish, float]:
    """How well the backbone knows plain English before it is changed; the seconds this took."""
    spec.report({"event": "stage", "stage": "retention"})
    ledger.enter("retention")
    began, whole = time.perf_counter(), cast(Any, backbone.model)
    context = context_of(whole.config)
    examples = windows(backbone.tokenizer, context)
    whole.to(spec.device)
    bits = bits_per_character(whole, examples, forms, spec.device, ledger.dtype)
    whole.to("cpu")
    seconds = time.perf_counter() - began
    ledger.note_cost("retention", seconds)
    spec.report({"event": "stage", "stage": "load"})
    ledger.enter("load")
    return PlainEnglish(examples, bits), seconds


def prompter_of(
    spec: CellSpec,
    tokenizer: Any,
    vocabulary: Vocabulary,
    model: Any,
    texts: tuple[dict[str, str], ...],
) -> Prompter:
    """Builds prompts of `texts` [num_items] as the setting has them, for the context of `model`."""
    dataset, prompts = spec.setting.dataset, spec.setting.prompts
    return Prompter(
        tokenizer,
        vocabulary,
        spec.inputs.semantic_ids,
        texts,
        title_field=dataset.title_field,
        detail_fields=dataset.detail_fields,
        style=prompts.style,
        max_text_tokens=prompts.max_text_tokens,
        max_history=dataset.max_history,
        context=context_of(model.config),
        item_ids=spec.inputs.dataset.item_ids,
    )


def plan_budget(
    spec: CellSpec,
    prompter: Prompter,
    shown: Shown,
    shape: ModelShape,
    retrieval: list[Example],
) -> CellBudget:
    """Plans the batches of R and extra budget A; spending A after SFT appends batches to R.

    Args:
        spec: which cell.
        prompter: builds the pairs, where A is counted in them.
        shown: which items they may be of.
        shape: the backbone's sizes.
        retrieval: one pass of R.
    """
    setting, size = spec.setting, spec.setting.sft.batch_size
    order = numpy_stream(spec.seed, "sft-order")
    passes = sft_passes(setting.sft, len(retrieval))
    own = retrieval_batches(retrieval, size, passes, order)
    sft_flops = flops_of(shape, own)
    pairs: list[Example] = []
    if setting.extra.share_of_sft is None:
        shuffle = numpy_stream(spec.seed, "shuffle")
        pairs = grounding_examples(prompter, GroundingPlan(), shuffle, shown.items)
    extra = extra_budget(setting.extra, sft_flops, shape, pairs, setting.grounding.batch_size)
    after = extra.flops * spec.method.spends.get("after", 0.0)
    order = numpy_stream(spec.seed, "sft-order")
    more = take_budget(retrieval, size, order, shape, "all", after, skip=len(own))
    return CellBudget(
        batches=own + more,
        passes=passes * (1 + len(more) / len(own)),
        sft_flops=sft_flops,
        extra=extra,
        after_flops=flops_of(shape, more),
        pairs=pairs,
        retrieval=retrieval,
    )


def read_by(inputs: Inputs, backbone: Backbone) -> dict[str, str | None]:
    """sha256 of everything that a cell reads, by its name in records."""
    return {
        "dataset": inputs.dataset.full_sha256,
        "semantic_ids": inputs.semantic_ids.sha256,
        "backbone": backbone.weights_sha256,
        "tokenizer": backbone.tokenizer_sha256,
        "prompts": wordings_sha256(),
        "queries": None if inputs.queries is None else inputs.queries.sha256,
    }
