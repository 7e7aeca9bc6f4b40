"""The stages that make a model of a prepared cell: first rows, grounding, SFT."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from benchmarks.cell.budget import flops_of
from benchmarks.cell.checkpoint import rows_of, trained_of
from benchmarks.cell.prepare import PreparedCell
from gti.data.streams import numpy_stream, stream_key, torch_stream
from gti.method import GroundingPlan, Start
from gti.model.diagnostics import diagnose
from gti.model.vocabulary import embedding_matrices, read_rows, write_rows
from gti.prompts.alignment import alignment_stream
from gti.prompts.prompter import Example
from gti.train.finetuning import Step, add_lora, beside
from gti.train.grounding import grounding_examples
from gti.train.order import take_budget
from gti.train.proof import StageWatch, manifest
from gti.train.training import OptimizerSettings, StageReport
from leaderboard.records.diagnostics import packed
from leaderboard.records.setting import Setting

MAX_TOKENS = {"cpu": 4096, "cuda": 65536}
"""Padded tokens per micro-batch. A constant per device: it changes the order of float sums."""


class CellError(RuntimeError):
    """A cell that cannot run; the message names the cell and the reason."""


@dataclass(frozen=True, kw_only=True)
class InitializedCell:
    """A cell whose first rows are written: what `ground` and `finetune` train in place.

    Attributes:
        prepared: as it was before.
        model: with adapters, where the setting has them.
        manifest: proof of the first rows.
        words: the text of each text token, for diagnostics.
    """

    prepared: PreparedCell
    model: Any
    manifest: dict[str, Any]
    words: dict[int, str]


@dataclass(frozen=True, kw_only=True)
class TrainedCell:
    """A cell after SFT, ready to be scored.

    Attributes:
        prepared: as it was before.
        model: the trained one.
        manifest: proof of the first rows.
    """

    prepared: PreparedCell
    model: Any
    manifest: dict[str, Any]


def train_cell(
    prepared: PreparedCell, before_sft: Callable[[InitializedCell], object] = lambda cell: None
) -> TrainedCell:
    """All stages from the first rows to the end of SFT.

    Args:
        prepared: the cell.
        before_sft: called with it between the stage before SFT, if there is one, and SFT.

    Raises:
        CellError: there is nothing to ground in.
        DivergedError: a loss or gradient that is no finite number.
    """
    initialized = initialize(prepared)
    ground(initialized)
    grounds = prepared.spec.method.grounding() is not None
    if grounds and prepared.ledger.treatment is None:  # else a checkpoint has brought it
        before_sft(initialized)
        prepared.keeper.write()
    return finetune(initialized)


def initialize(prepared: PreparedCell) -> InitializedCell:
    """Writes the method's first rows and proves it; then goes on from a checkpoint, if it can."""
    spec, vocabulary, model = prepared.spec, prepared.vocabulary, prepared.model
    began = prepared.enter("init")
    from tokenizers import Tokenizer

    plain = Tokenizer.from_str(prepared.tokenizer_before)
    plain.encode_special_tokens = True  # a title that spells a control token is read as a text
    generator = torch_stream(spec.seed, "init")
    for place, matrix in enumerate(embedding_matrices(model)):
        start = Start(
            matrix="output" if place else "input",
            text_rows=read_rows(matrix, vocabulary.text_ids),
            text_ids=vocabulary.text_ids,
            default_rows=vocabulary.default_rows[place],
            semantic_ids=spec.inputs.semantic_ids,
            item_texts=prepared.shown.texts,
            train=prepared.shown.train,
            tokenize=lambda text: list(plain.encode(text, add_special_tokens=False).ids),
            generator=generator,
        )
        write_rows(matrix, vocabulary.new_ids, spec.method.initialize(start))
    proof = manifest(model, vocabulary, spec.method.initializer)
    model = with_adapters(model, spec.setting, spec.seed, spec.device)
    prepared.ledger.note_cost("init", time.perf_counter() - began)
    prepared.enter("diagnose")
    words = _words(prepared)
    cell = InitializedCell(prepared=prepared, model=model, manifest=proof, words=words)
    _note_rows(cell, "init")
    prepared.keeper.restore(model, vocabulary)
    scorer, kept = prepared.scorer, prepared.keeper.begin("scorer", prepared.scorer.state)
    if kept is not None:
        scorer.restore(kept)
    scorer.tick = prepared.keeper.tick
    return cell


def with_adapters(model: Any, setting: Setting, seed: int, device: torch.device) -> Any:
    """`model` with adapters, drawn anew for `seed`, where the setting has them."""
    lora = setting.backbone.lora
    if lora is None:
        return model
    with torch.random.fork_rng():
        torch.manual_seed(stream_key(seed, "adapters"))
        adapted = add_lora(model, lora.rank, lora.alpha, lora.dropout, lora.targets)
        return adapted.to(device)


def ground(cell: InitializedCell) -> None:
    """The stage before SFT, if the method has one: rows alone first, then all weights.

    R comes in SFT's batches, all else in grounding's.
    """
    prepared, spec = cell.prepared, cell.prepared.spec
    plan = spec.method.grounding()
    if plan is None:
        return
    examples = _examples(prepared, plan)
    extra = prepared.budget.extra
    budget, share = extra.flops * spec.method.spends["before"], plan.frozen_share
    if 0 < share < 1 and extra.frozen_share is not None:
        share = extra.frozen_share
    order = numpy_stream(spec.seed, "grounding-order")
    setting, shape = spec.setting, prepared.shape
    size = (setting.sft if plan.on == "retrieval" else setting.grounding).batch_size
    frozen = take_budget(examples, size, order, shape, "rows", budget * share)
    free = take_budget(examples, size, order, shape, "all", budget * (1 - share))
    keeper, vocabulary, ledger = prepared.keeper, prepared.vocabulary, prepared.ledger
    if frozen and not ledger.proves("grounding"):
        stage = TrainingStage(cell, "grounding")
        stage.close(stage.train(prepared.forms.ground, frozen, spec.grounding), frozen)
        keeper.finish("grounding", rows_of(cell.model, vocabulary))
    if free and not ledger.proves("grounding_free"):
        stage = TrainingStage(cell, "grounding_free")
        steps = [Step(batch, []) for batch in free]
        done = stage.train(prepared.forms.finetune, steps, spec.sft, seed=spec.seed)
        stage.close(done, free)
        keeper.finish("grounding_free", trained_of(cell.model))
    if "grounding" not in ledger.diagnostics:
        prepared.enter("diagnose")
        _note_rows(cell, "grounding")


def finetune(cell: InitializedCell) -> TrainedCell:
    """SFT on R, with alignment tasks beside it where the method has them."""
    prepared, spec = cell.prepared, cell.prepared.spec
    trained = TrainedCell(prepared=prepared, model=cell.model, manifest=cell.manifest)
    if prepared.ledger.proves("sft"):
        return trained
    batches, auxiliary = prepared.budget.batches, spec.setting.auxiliary
    steps = [Step(batch, []) for batch in batches]
    if spec.method.alignment:
        tasks = alignment_stream(
            prepared.prompter,
            prepared.shown.train,
            auxiliary.mixture,
            numpy_stream(spec.seed, "auxiliary-order"),
            numpy_stream(spec.seed, "auxiliary-wording"),
        )
        budget = prepared.budget.extra.flops * spec.method.spends["beside"]
        steps = beside(batches, tasks, prepared.shape, budget, auxiliary.every)
    stage = TrainingStage(cell, "sft")
    curve = LearningCurve(stage, len(steps))
    done = stage.train(
        prepared.forms.finetune,
        steps,
        spec.sft,
        seed=spec.seed,
        auxiliary_weight=spec.parameters.auxiliary_loss_weight or auxiliary.loss_weight,
        pooling=auxiliary.pooling,
        after_step=curve.after_step,
    )
    stage.close(done, [step.retrieval + step.auxiliary for step in steps])
    ledger = prepared.ledger
    ledger.extra_spent += flops_of(prepared.shape, [step.auxiliary for step in steps])
    ledger.note_cost("validation", ledger.seconds("validation"))
    prepared.enter("diagnose")
    _note_rows(cell, "sft")
    prepared.keeper.finish("sft", trained_of(cell.model))
    return trained


class TrainingStage:
    """One stage of training, from its beginning to what the ledger says of it.

    Args:
        cell: whose model is trained.
        name: the stage's in records.
    """

    def __init__(self, cell: InitializedCell, name: str) -> None:
        self.cell, self.name = cell, name
        cell.prepared.enter(name)
        self.watch = StageWatch(cell.model, cell.prepared.vocabulary)

    def train(
        self,
        form: Callable[..., StageReport],
        steps: Sequence[list[Example]] | Sequence[Step],
        settings: OptimizerSettings,
        **others: Any,
    ) -> StageReport:
        """Calls `form` (ground or finetune, fast or plain) on `steps`; passes `others` on."""
        prepared = self.cell.prepared
        return form(
            self.cell.model,
            prepared.vocabulary,
            steps,
            settings,
            max_tokens=MAX_TOKENS[prepared.spec.device.type],
            dtype=prepared.dtype,
            progress=prepared.progress(self.name),
            keeper=prepared.keeper.training(self.name),
            **others,
        )

    def close(self, done: StageReport, batches: Sequence[list[Example]]) -> None:
        """Books the stage, which trained on `batches`."""
        ledger = self.cell.prepared.ledger
        seconds = ledger.seconds(self.name)
        if self.name.startswith("grounding"):
            ledger.extra_spent += done.nominal_flops
        ledger.close_stage(self.name, seconds, self.watch.proof(self.name, done), done, batches)


class LearningCurve:
    """Scores the validation sample at even distances during SFT.

    Args:
        stage: SFT.
        num_steps: of SFT.
    """

    def __init__(self, stage: TrainingStage, num_steps: int) -> None:
        self.stage = stage
        points = stage.cell.prepared.spec.setting.evaluation.curve_points
        self.scored = {round(num_steps * point / points) for point in range(points + 1)}

    def after_step(self, step: int, so_far: StageReport) -> None:
        """Adds a point, if one is due after `step` and a checkpoint has not brought it."""
        stage, prepared = self.stage, self.stage.cell.prepared
        budget, ledger = prepared.budget, prepared.ledger
        if step not in self.scored or any(point["step"] == step for point in ledger.curve):
            return
        prepared.enter("curve")
        metrics = prepared.scorer.sample_metrics(stage.cell.model)
        ledger.curve.append(
            {
                "step": step,
                "passes": budget.passes * step / max(1, len(budget.batches)),
                "nominal_flops": so_far.nominal_flops,
                "seconds": ledger.seconds("sft"),
                "train_loss": so_far.last_loss,
                "metrics": metrics,
            }
        )
        prepared.enter("sft")


def _examples(prepared: PreparedCell, plan: GroundingPlan) -> list[Example]:
    """What `plan` asks for; the pairs that were made for the budget, where they are the same."""
    spec, budget = prepared.spec, prepared.budget
    if budget.pairs and replace(plan, frozen_share=1.0) == GroundingPlan():
        return budget.pairs
    shuffle = numpy_stream(spec.seed, "shuffle")
    shown = prepared.shown.items
    examples = grounding_examples(prepared.prompter, plan, shuffle, shown, budget.retrieval)
    if not examples:
        raise CellError(f"{spec.method.key} on {spec.setting.name}: no item has text to ground in")
    return examples


def _words(prepared: PreparedCell) -> dict[int, str]:
    """The text of each text token; nothing for control tokens, which are no words."""
    special = set(prepared.tokenizer.all_special_ids)
    ids = [token for token in prepared.vocabulary.text_ids.tolist() if token not in special]
    texts = prepared.tokenizer.batch_decode([[token] for token in ids])
    return dict.fromkeys(special, "") | dict(zip(ids, texts, strict=True))


def _note_rows(cell: InitializedCell, stage: str) -> None:
    """Notes diagnostics of the new rows as they are after `stage`."""
    matrix, vocabulary = embedding_matrices(cell.model)[0], cell.prepared.vocabulary
    numbers, arrays = diagnose(
        read_rows(matrix, vocabulary.new_ids).numpy(),
        read_rows(matrix, vocabulary.text_ids).numpy(),
        cell.prepared.spec.inputs.semantic_ids,
        cell.words.__getitem__,
        vocabulary.text_ids.tolist(),
    )
    ledger = cell.prepared.ledger
    ledger.diagnostics[stage] = asdict(numbers)
    ledger.arrays.update(packed(stage, arrays))
