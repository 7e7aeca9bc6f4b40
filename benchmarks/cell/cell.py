"""One cell: setting × method × seed, from the pretrained backbone to the written record."""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from benchmarks.cell.as_ranks import SavedCell
from benchmarks.cell.budget import extra_budget, flops_of, sft_passes
from benchmarks.cell.ledger import Ledger
from benchmarks.cell.notes import notes_on, reading_note
from benchmarks.cell.saving import save_cell
from benchmarks.cell.scoring import Scorer
from benchmarks.inputs.backbones import load_backbone
from benchmarks.inputs.inputs import Inputs, method_texts
from benchmarks.inputs.mixture import check_setting_mixture
from benchmarks.machine.events import Report, silent
from gti.data.dataset import HELD_OUT, Part
from gti.data.streams import numpy_stream, stream_key, torch_stream
from gti.method import GroundingPlan, Method, Start
from gti.model.devices import computed_dtype, describe_attention
from gti.model.diagnostics import diagnose
from gti.model.flops import ModelShape
from gti.model.vocabulary import embedding_matrices, extend_vocabulary, read_rows, write_rows
from gti.plain import FAST, PLAIN
from gti.prompts.alignment import alignment_stream
from gti.prompts.prompter import Example, Prompter
from gti.train.finetuning import Step, add_lora, beside, retrieval_batches
from gti.train.grounding import grounding_examples
from gti.train.order import take_budget
from gti.train.proof import StageWatch, manifest
from gti.train.training import StageReport
from leaderboard.records.setting import MethodParameters, Setting

MAX_TOKENS = {"cpu": 4096, "cuda": 65536}
"""Padded tokens per micro-batch. A constant per device: it changes the order of float sums."""


class CellError(RuntimeError):
    """A cell that cannot run; the message names the cell and the reason."""


class CellRun:
    """The state of one cell while it runs; `run` is the whole life.

    Args:
        setting: what is held fixed.
        parameters: what the method has of its own.
        method: the method.
        seed: the seed of all streams.
        inputs: checked data and Semantic IDs.
        device: where to compute.
        offline: touch no network.
        plain: run the slow reference of `gti.plain` everywhere.
        report: told of stages and progress.
    """

    def __init__(
        self,
        setting: Setting,
        parameters: MethodParameters,
        method: Method,
        seed: int,
        inputs: Inputs,
        device: torch.device,
        *,
        offline: bool = False,
        plain: bool = False,
        report: Report = silent,
    ) -> None:
        self.setting, self.parameters = setting, parameters
        self.method, self.seed, self.inputs = method, seed, inputs
        self.device, self.report = device, report
        self.plain, self.forms = plain, PLAIN if plain else FAST
        self.max_tokens = MAX_TOKENS[device.type]
        self.dtype, no_dtype = computed_dtype(device, setting.backbone.dtype)
        self.ledger = Ledger(device, self.dtype)
        self.ledger.warn(no_dtype)
        self.began = time.perf_counter()
        self._load(offline)

    # Loading ----------------------------------------------------------------------------------

    def _load(self, offline: bool) -> None:
        setting = self.setting
        self.report({"event": "stage", "stage": "load"})
        self.backbone = load_backbone(setting.backbone.name, offline=offline)
        model: Any = self.backbone.model
        self.tokenizer: Any = self.backbone.tokenizer
        before = self.tokenizer.backend_tokenizer.to_str()
        # Grown on the CPU: what the library draws for the fresh rows is the same for every device.
        self.vocabulary = extend_vocabulary(
            self.tokenizer,
            model,
            self.inputs.semantic_ids.tokens,
            stream_key(self.seed, "resize"),
        )
        self.model = model.to(self.device)
        self.attention, no_flash = describe_attention(self.model, self.dtype)
        self.ledger.warn(no_flash, None if self.plain else reading_note(self.model))
        self._plain_tokenizer = before
        self.prompter = Prompter(
            self.tokenizer,
            self.vocabulary,
            self.inputs.semantic_ids,
            self.inputs.dataset.texts,
            title_field=setting.dataset.title_field,
            detail_fields=setting.dataset.detail_fields,
            style=setting.prompts.style,
            max_text_tokens=setting.prompts.max_text_tokens,
            max_history=setting.dataset.max_history,
            context=getattr(self.model.config, "max_position_embeddings", None),
            item_ids=self.inputs.dataset.item_ids,
        )
        if self.method.alignment:
            check_setting_mixture(setting, self.inputs)
        self.ledger.warnings += notes_on(setting, self.inputs, self.prompter, self.method)
        self.shape = ModelShape.of(self.model)
        self.scorer = Scorer(
            self.setting,
            self.inputs,
            self.prompter,
            self.vocabulary,
            self.device,
            self.forms,
            self.dtype,
        )
        self.retrieval = self.scorer.track.examples(numpy_stream(self.seed, "wording"))
        self._plan_budget()

    def _plan_budget(self) -> None:
        """R's batches, and A in nominal FLOPs; what spends A after SFT stretches R itself."""
        sft = self.setting.sft
        order = numpy_stream(self.seed, "sft-order")
        self.passes = sft_passes(sft, len(self.retrieval))
        own = retrieval_batches(self.retrieval, sft.batch_size, self.passes, order)
        self.sft_flops = flops_of(self.shape, own)
        self.pairs: list[Example] = []
        if self.setting.extra.share_of_sft is None:
            shuffle = numpy_stream(self.seed, "shuffle")
            self.pairs = grounding_examples(self.prompter, GroundingPlan(), shuffle)
        self.extra = extra_budget(
            self.setting.extra,
            self.sft_flops,
            self.shape,
            self.pairs,
            self.setting.grounding.batch_size,
        )
        after = self.extra.flops * self.method.spends.get("after", 0.0)
        order = numpy_stream(self.seed, "sft-order")
        more = take_budget(
            self.retrieval, sft.batch_size, order, self.shape, "all", after, skip=len(own)
        )
        self.ledger.extra_spent += flops_of(self.shape, more)
        self.passes *= 1 + len(more) / len(own)
        self.batches = own + more

    # Stages -----------------------------------------------------------------------------------

    def run(self, parts: Sequence[Part] = HELD_OUT) -> SavedCell:
        """All stages in order; scores `parts` of the split and returns what is to be saved."""
        self.ledger.note_cost("load", time.perf_counter() - self.began)
        self.initialize()
        self.ground()
        self.finetune()
        scores = self.score(parts)
        return SavedCell(self, scores)

    def initialize(self) -> None:
        """Writes the method's first rows and proves it."""
        began = self._stage("init")
        from tokenizers import Tokenizer

        plain = Tokenizer.from_str(self._plain_tokenizer)
        generator = torch_stream(self.seed, "init")
        for place, matrix in enumerate(embedding_matrices(self.model)):
            start = Start(
                matrix="output" if place else "input",
                text_rows=read_rows(matrix, self.vocabulary.text_ids),
                text_ids=self.vocabulary.text_ids,
                default_rows=self.vocabulary.default_rows[place],
                semantic_ids=self.inputs.semantic_ids,
                item_texts=method_texts(self.setting, self.inputs.dataset),
                train=self.inputs.split.train,
                tokenize=lambda text: list(plain.encode(text, add_special_tokens=False).ids),
                generator=generator,
            )
            write_rows(matrix, self.vocabulary.new_ids, self.method.initialize(start))
        self.manifest = manifest(self.model, self.vocabulary, self.method.initializer)
        lora = self.setting.backbone.lora
        if lora is not None:
            with torch.random.fork_rng():
                torch.manual_seed(stream_key(self.seed, "adapters"))
                self.model = add_lora(
                    self.model, lora.rank, lora.alpha, lora.dropout, lora.targets
                ).to(self.device)
        self.ledger.note_cost("init", time.perf_counter() - began)
        self._diagnose("init")

    def ground(self) -> None:
        """The stage before SFT, if the method has one: frozen pairs, then free ones."""
        plan = self.method.grounding()
        if plan is None:
            return
        examples = self.pairs if replace(plan, frozen_share=1.0) == GroundingPlan() else []
        shuffle = numpy_stream(self.seed, "shuffle")
        examples = examples or grounding_examples(self.prompter, plan, shuffle)
        if not examples:
            raise CellError(
                f"{self.method.key} on {self.setting.name}: no item has text to ground in"
            )
        budget = self.extra.flops * self.method.spends["before"]
        share = plan.frozen_share
        if 0 < share < 1 and self.extra.frozen_share is not None:
            share = self.extra.frozen_share
        order = numpy_stream(self.seed, "grounding-order")
        size = self.setting.grounding.batch_size
        frozen = take_budget(examples, size, order, self.shape, "rows", budget * share)
        free = take_budget(examples, size, order, self.shape, "all", budget * (1 - share))
        settings = self.setting.grounding
        if self.parameters.grounding_learning_rate is not None:
            rate = {"learning_rate": self.parameters.grounding_learning_rate}
            settings = settings.model_copy(update=rate)
        if frozen:
            began, watch = self._stage("grounding"), StageWatch(self.model, self.vocabulary)
            done = self.forms.ground(
                self.model,
                self.vocabulary,
                frozen,
                settings,
                max_tokens=self.max_tokens,
                dtype=self.dtype,
                progress=self._progress("grounding"),
            )
            self._close_stage("grounding", began, watch, done, frozen)
        if free:
            began, watch = self._stage("grounding_free"), StageWatch(self.model, self.vocabulary)
            done = self.forms.finetune(
                self.model,
                self.vocabulary,
                [Step(batch, []) for batch in free],
                self._sft_settings(),
                seed=self.seed,
                max_tokens=self.max_tokens,
                dtype=self.dtype,
                progress=self._progress("grounding_free"),
            )
            self._close_stage("grounding_free", began, watch, done, free)
        self._diagnose("grounding")

    def finetune(self) -> None:
        """SFT on R, with alignment tasks beside it where the method has them."""
        steps = [Step(batch, []) for batch in self.batches]
        if self.method.alignment:
            auxiliary = alignment_stream(
                self.prompter,
                self.inputs.split.train,
                self.setting.auxiliary.mixture,
                numpy_stream(self.seed, "auxiliary-order"),
                numpy_stream(self.seed, "auxiliary-wording"),
            )
            budget = self.extra.flops * self.method.spends["beside"]
            steps = beside(self.batches, auxiliary, self.shape, budget)
        began, watch = self._stage("sft"), StageWatch(self.model, self.vocabulary)
        weight = self.parameters.auxiliary_loss_weight or self.setting.auxiliary.loss_weight
        points = self.setting.evaluation.curve_points
        self._scored = {round(len(steps) * point / points) for point in range(points + 1)}
        self._paused = 0.0
        done = self.forms.finetune(
            self.model,
            self.vocabulary,
            steps,
            self._sft_settings(),
            seed=self.seed,
            auxiliary_weight=weight,
            max_tokens=self.max_tokens,
            dtype=self.dtype,
            progress=self._progress("sft"),
            after_step=lambda step, so_far: self._curve_point(step, so_far, began),
        )
        self._close_stage(
            "sft",
            began + self._paused,
            watch,
            done,
            [step.retrieval + step.auxiliary for step in steps],
        )
        self.ledger.extra_spent += flops_of(self.shape, [step.auxiliary for step in steps])
        self.ledger.note_cost("validation", self._paused)
        self._diagnose("sft")

    def score(self, parts: Sequence[Part] = HELD_OUT) -> dict[str, Any]:
        """Ranks on all users of `parts`."""
        began = self._stage("score")
        scores: dict[str, Any] = {}
        for part in parts:
            scores[part] = self.scorer.ranks(self.model, part, progress=self._progress(part))
        self.ledger.note_cost("score", time.perf_counter() - began, tokens=self.scorer.tokens)
        self.ledger.note_search(self.scorer.cut_to)
        return scores

    # Details ----------------------------------------------------------------------------------

    def _sft_settings(self) -> Any:
        rate = self.parameters.sft_learning_rate
        sft = self.setting.sft
        return sft if rate is None else sft.model_copy(update={"learning_rate": rate})

    def _curve_point(self, step: int, so_far: StageReport, began: float) -> None:
        if step not in self._scored:
            return
        paused = self._stage("curve")
        metrics = self.scorer.sample_metrics(self.model)
        self.ledger.curve.append(
            {
                "step": step,
                "passes": self.passes * step / max(1, len(self.batches)),
                "nominal_flops": so_far.nominal_flops,
                "seconds": paused - began - self._paused,
                "train_loss": so_far.last_loss,
                "metrics": metrics,
            }
        )
        self._paused += self._stage("sft") - paused

    def _diagnose(self, stage: str) -> None:
        matrix = embedding_matrices(self.model)[0]
        self._stage("diagnose")
        numbers, arrays = diagnose(
            read_rows(matrix, self.vocabulary.new_ids).numpy(),
            read_rows(matrix, self.vocabulary.text_ids).numpy(),
            self.inputs.semantic_ids,
            self._words.__getitem__,
            self.vocabulary.text_ids.tolist(),
        )
        self.ledger.diagnostics[stage] = asdict(numbers)
        self.ledger.arrays.update({f"{stage}/{name}": array for name, array in arrays.items()})

    @cached_property
    def _words(self) -> dict[int, str]:
        """The text of each text token; nothing for control tokens, which are no words."""
        special = set(self.tokenizer.all_special_ids)
        ids = [token for token in self.vocabulary.text_ids.tolist() if token not in special]
        texts = self.tokenizer.batch_decode([[token] for token in ids])
        return dict.fromkeys(special, "") | dict(zip(ids, texts, strict=True))

    def _stage(self, stage: str) -> float:
        self.report({"event": "stage", "stage": stage})
        self.ledger.enter("validation" if stage == "curve" else stage)
        return time.perf_counter()

    def _progress(self, stage: str) -> Any:
        def progress(done: int, total: int, loss: float | None = None) -> None:
            event = {"event": "progress", "stage": stage, "done": done, "total": total}
            self.report({**event, "loss": loss})

        return progress

    def _close_stage(
        self,
        stage: str,
        began: float,
        watch: StageWatch,
        done: StageReport,
        batches: list[list[Example]],
    ) -> None:
        seconds = time.perf_counter() - began
        if stage.startswith("grounding"):
            self.ledger.extra_spent += done.nominal_flops
        self.ledger.close_stage(stage, seconds, watch.proof(stage, done), done, batches)


def run_cell(
    setting: Setting,
    parameters: MethodParameters,
    method: Method,
    seed: int,
    inputs: Inputs,
    results: Path,
    device: torch.device,
    *,
    offline: bool = False,
    plain: bool = False,
    report: Report = silent,
) -> Path:
    """Runs one cell and writes its record; returns the record's path."""
    options: dict[str, Any] = {"offline": offline, "plain": plain, "report": report}
    run = CellRun(setting, parameters, method, seed, inputs, device, **options)
    saved = run.run()
    report({"event": "stage", "stage": "save"})
    return save_cell(saved, results)
