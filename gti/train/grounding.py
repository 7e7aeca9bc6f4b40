"""The grounding stage: only the new rows learn, on pairs of item text and Semantic ID.

Controls of GTI train the same rows in the same way on something else (`GroundingPlan.on`).

Algorithm 1 of GTI (arXiv 2604.02324) takes the gradient of the whole embedding matrix and masks
it. Here the `[num_new, d]` rows are a parameter of their own and nothing else is one: the same
trajectory where the mask comes before clipping and nothing else decays, without computing what the
mask throws away, and text rows cannot drift. What stands before an example's first new token is run
once and without gradients (`gti.train.cut_examples`).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import embedding

from gti.data.dataset import IntArray
from gti.method import GroundingPlan
from gti.model.capabilities import check_model, row_scale, why_not_looked_up
from gti.model.compute import Computing
from gti.model.flops import ModelShape
from gti.model.head import head_loss, own_rows_loss
from gti.model.vocabulary import Vocabulary, embedding_matrices, read_rows, write_rows
from gti.prompts.prompter import Example, Prompter
from gti.prompts.wordings import GROUNDING_TASKS
from gti.train.batches import Batch, MicroBatcher, answer_states
from gti.train.cut_examples import CutBatch, Cutter, batch_flops
from gti.train.distillation import TaughtBatch, states_loss, taught_batches
from gti.train.packed_attention import can_pack, packed_attending, run_packed
from gti.train.resuming import KeepsNothing, StageKeeper, go_on
from gti.train.training import (
    OptimizerSettings,
    Progress,
    StageReport,
    adamw,
    check_finite,
    hidden_states,
    step_optimizer,
)


def derangement(count: int, generator: np.random.Generator) -> IntArray:
    """[count] a permutation without fixed points (Sattolo's algorithm: one cycle).

    Raises:
        ValueError: fewer than two items cannot be deranged.
    """
    if count < 2:
        raise ValueError(f"cannot shuffle {count} item(s) without fixed points")
    order = np.arange(count, dtype=np.int64)
    for i in range(count - 1, 0, -1):
        j = int(generator.integers(0, i))
        order[i], order[j] = order[j], order[i]
    return order


def shown_items(prompter: Prompter, items: IntArray | None) -> IntArray:
    """The items that may be shown, ascending; `items` null: all."""
    return np.arange(prompter.semantic_ids.num_items) if items is None else items


def coded_items(plan: GroundingPlan, items: IntArray, shuffle: np.random.Generator) -> IntArray:
    """[items] whose Semantic ID stands beside the text of each of `items` in pairs of `plan`.

    Args:
        plan: what the stage sees.
        items: those that may be shown, ascending.
        shuffle: stream "shuffle", fresh; used only for a shuffled plan.
    """
    return items[derangement(len(items), shuffle)] if plan.shuffled else items


def grounding_examples(
    prompter: Prompter,
    plan: GroundingPlan,
    shuffle: np.random.Generator,
    items: IntArray | None = None,
    retrieval: Sequence[Example] = (),
) -> list[Example]:
    """All that `plan` asks for, once each.

    Of pairs up to six tasks per item, as its texts allow; of Semantic IDs alone one example per
    item; for hidden states up to three, Semantic ID → text; of the retrieval stream every example,
    under a task of its own, so that what SFT trains on is counted apart.

    Args:
        prompter: builds the examples.
        plan: what the stage sees.
        shuffle: stream "shuffle"; used only for a shuffled plan.
        items: those that may be shown, with their Semantic IDs, ascending; null: all.
        retrieval: one pass of R; used only for a plan on it.
    """
    if plan.on == "retrieval":
        return [replace(each, task=f"{each.task}_before_sft") for each in retrieval]
    shown = shown_items(prompter, items)
    if plan.on == "codes":
        return [prompter.codes_example(item) for item in shown.tolist()]
    if plan.on == "states":
        return [each for item in shown.tolist() for each in prompter.states_examples(item)]
    directions = {"text_to_sid": plan.text_to_sid, "sid_to_text": plan.sid_to_text}
    tasks = [task for name, on in directions.items() if on for task in GROUNDING_TASKS[name]]
    coded = coded_items(plan, shown, shuffle)
    return [
        prompter.example(task, item, sid_of=sid_of)
        for item, sid_of in zip(shown.tolist(), coded.tolist(), strict=True)
        for task in tasks
        if prompter.can_ask(task, item)
    ]


class OwnRows:
    """The new rows as parameters of their own, over a frozen model.

    Args:
        model: a causal LM whose matrix already holds the rows to start from; frozen here.
        vocabulary: where the rows live.
        dtype: "float32" or "bfloat16".
        copies: as in `ground`.

    Attributes:
        model: what computes, see `Computing`.
        looks_up: whether rows may be given to the model in the place of tokens.
        matrices: embedding matrix and head of `model`, as they are.
        parameters: the rows of each, float32.
    """

    def __init__(
        self, model: Any, vocabulary: Vocabulary, dtype: str = "float32", copies: bool = True
    ) -> None:
        self.looks_up = why_not_looked_up(model) is None
        model.requires_grad_(False)
        self.computing = Computing(model, dtype, copies=copies)
        self.model = self.computing.model
        self.scale = row_scale(self.model)
        self.vocabulary = vocabulary
        self.written = embedding_matrices(model)
        self.matrices = embedding_matrices(self.model)
        device = self.matrices[0].device
        self.ids = vocabulary.new_ids.to(device)
        self.parameters = [
            torch.nn.Parameter(read_rows(matrix, vocabulary.new_ids).to(device))
            for matrix in self.written
        ]
        # A copy, so that the model's own matrix stays untouched until the stage is over.
        self.head_matrix = self.matrices[-1].detach().clone()
        self.lookup = torch.full((self.matrices[0].shape[0],), -1, device=device)
        self.lookup[self.ids] = torch.arange(len(self.ids), device=device)

    def inputs(self, ids: Tensor) -> Tensor:
        """[examples, longest, d] input embeddings; differentiable in the own rows alone."""
        embedded = embedding(ids, self.matrices[0])
        index = self.lookup[ids]
        places = (index >= 0).nonzero(as_tuple=True)
        rows = self.parameters[0][index[places]].to(embedded.dtype)
        filled = embedded.index_put(places, rows)
        return filled if self.scale == 1.0 else filled * self.scale

    def loss(self, batch: Batch) -> Tensor:
        """Summed NLL of the answers of `batch`, or what its states lack of the teachers'."""
        if isinstance(batch, CutBatch):
            return self._cut_loss(batch)
        if isinstance(batch, TaughtBatch):
            with torch.no_grad():
                taught = answer_states(self._hidden(batch.teacher.ids), batch.teacher)
            return states_loss(answer_states(self._hidden(batch.ids), batch), taught)
        return self._head_loss(answer_states(self._hidden(batch.ids), batch), batch.labels)

    def _hidden(self, ids: Tensor) -> Tensor:
        """[examples, longest, d] last hidden states; differentiable in the own rows alone."""
        if self.looks_up:
            return hidden_states(self.model, inputs_embeds=self.inputs(ids))
        # The model looks its rows up itself, in a matrix that holds the own ones.
        matrix, base = self.matrices[0], self.model.base_model
        names = [name for name, weight in base.named_parameters() if weight is matrix]
        rows = matrix.index_put((self.ids,), self.parameters[0].to(matrix.dtype))
        inputs = {"input_ids": ids, "use_cache": False}
        output = functional_call(base, {names[0]: rows}, (), inputs)
        hidden: Tensor = output.last_hidden_state
        return hidden

    def _head_loss(self, states: Tensor, labels: Tensor) -> Tensor:
        """Summed NLL of `labels` [targets], predicted from `states` [targets, d]."""
        self.head_matrix[self.ids] = self.parameters[-1].detach().to(self.head_matrix.dtype)
        return head_loss(states, self.parameters[-1], labels, self.head_matrix, self.ids)

    def _cut_loss(self, batch: CutBatch) -> Tensor:
        """Summed NLL of the answers of `batch`, packed behind its constant prefixes."""
        loss = self.parameters[-1].new_zeros(())
        if batch.packed is not None:
            inputs = self.inputs(batch.ids)[0]
            hidden = run_packed(self.model, inputs, batch.where, batch.packed)
            loss = loss + self._head_loss(hidden[batch.positions], batch.labels)
        if batch.firsts:
            hidden = torch.stack([prefix.hidden for prefix in batch.firsts])
            others = torch.stack([prefix.others for prefix in batch.firsts])
            labels = self.lookup[batch.first_labels]
            loss = loss + own_rows_loss(hidden, self.parameters[-1], labels, others)
        return loss

    def write_back(self) -> None:
        """Puts the learned rows into the model's matrix."""
        for matrix, rows in zip(self.written, self.parameters, strict=True):
            write_rows(matrix, self.vocabulary.new_ids, rows.detach())


def ground(
    model: Any,
    vocabulary: Vocabulary,
    batches: Sequence[Sequence[Example]],
    settings: OptimizerSettings,
    *,
    max_tokens: int = 8192,
    dtype: str = "float32",
    progress: Progress | None = None,
    prefix_bytes: int | None = None,
    copies: bool = True,
    keeper: StageKeeper | None = None,
) -> StageReport:
    """Trains the new rows of `model` on `batches`, everything else frozen; writes them back.

    Args:
        model: a causal LM with the new tokens' initial rows in its matrix.
        vocabulary: where the rows live.
        batches: one list of examples per optimiser step.
        settings: AdamW's settings; weight decay, if any, acts on the new rows alone.
        max_tokens: padded tokens per micro-batch.
        dtype: "bfloat16" computes in it; the rows that are stepped are float32.
        progress: called after each step.
        prefix_bytes: keys and values of prefixes to keep, at most; default `most_bytes`.
        copies: computes in bfloat16 with a copy of the frozen weights, where the model allows it;
            false: with float32 weights under autocast.
        keeper: keeps the stage while it runs, and may have kept one to go on from.

    Returns:
        Steps, tokens, FLOPs, losses, and how many rows received gradient.

    Raises:
        DivergedError: a loss or gradient that is not finite.
        ModelError: a model that is not computed with.
        TrainingError: not even one example fits into memory.
    """
    check_model(model)
    was_training, seen = model.training, [example for each in batches for example in each]
    trainable_before = [p for p in model.parameters() if p.requires_grad]
    model.eval()
    own = OwnRows(model, vocabulary, dtype, copies)
    keeper = keeper or KeepsNothing()
    if any(example.teacher is not None for example in seen):
        runner = MicroBatcher(max_tokens, own.ids.device, taught_batches)
        report = _train(own, batches, settings, runner, progress, keeper)
    elif own.looks_up and can_pack(model, max(map(len, seen), default=0)):
        matrices = (own.matrices[0], own.matrices[-1])
        splitter = Cutter(own.computing, matrices, own.ids, seen, prefix_bytes)
        prefixes = splitter.prefixes
        runner = MicroBatcher(max_tokens, own.ids.device, splitter.micro_batches, prefixes.give_up)
        with packed_attending(own.model):
            report = _train(own, batches, settings, runner, progress, keeper, splitter)
    else:
        runner = MicroBatcher(max_tokens, own.ids.device)
        report = _train(own, batches, settings, runner, progress, keeper)
        report.unshared = f"{type(model).__name__} does not run behind constant prefixes"
    report.uncopied = own.computing.why_not
    own.write_back()
    for parameter in trainable_before:
        parameter.requires_grad_(True)
    model.train(was_training)
    report.smallest_micro_batch = runner.max_tokens if runner.halved else None
    return report


def _train(
    own: OwnRows,
    batches: Sequence[Sequence[Example]],
    settings: OptimizerSettings,
    runner: MicroBatcher,
    progress: Progress | None,
    keeper: StageKeeper,
    splitter: Cutter | None = None,
) -> StageReport:
    """One optimiser step per batch; what was done."""
    shape = ModelShape.of(own.model)
    device = own.ids.device
    optimizer = adamw(own.parameters, settings)
    report = StageReport(trainable_parameters=sum(p.numel() for p in own.parameters))
    touched = torch.zeros(len(own.ids), dtype=torch.bool, device=device)
    spent: list[float] = []

    def loss_of(batch: Batch) -> Tensor:
        spent.append(batch_flops(batch, shape))
        with own.computing.autocast():
            return own.loss(batch)

    def start_again() -> None:
        optimizer.zero_grad()
        spent.clear()

    done = go_on(keeper, own.parameters, optimizer, report, runner, touched)
    if done and splitter is not None:
        if report.gave_up_prefixes:
            splitter.prefixes.give_up()
        splitter.catch_up(batches[:done], runner.max_tokens)
    for step, examples in enumerate(batches[done:], done):
        spent.clear()
        (loss,) = runner.backward([(examples, 1.0)], loss_of, start_again)
        check_finite(loss, "the loss", settings, step)
        for parameter in own.parameters:
            if parameter.grad is not None:
                touched |= parameter.grad.ne(0).any(dim=1)
        step_optimizer(optimizer, settings, step, len(batches))
        report.note_step(loss, examples, shape, "rows", spent=sum(spent))
        if progress is not None:
            progress(step + 1, len(batches), loss)
        if splitter is not None:
            report.gave_up_prefixes = splitter.prefixes.gave_up
        keeper.after_step()
    report.new_rows_with_gradient = int(touched.sum())
    return report
