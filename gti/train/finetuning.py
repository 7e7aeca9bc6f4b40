"""Fine-tuning (SFT) of all weights, or of adapters and the matrix, on the retrieval stream R."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from gti.data.dataset import IntArray
from gti.data.streams import stream_key
from gti.model.capabilities import check_model
from gti.model.compute import Computing
from gti.model.flops import ModelShape
from gti.model.head import head_loss
from gti.model.vocabulary import Vocabulary, embedding_matrices
from gti.prompts.prompter import Example, Prompter
from gti.train.batches import Batch, MicroBatcher, answer_states
from gti.train.order import blocks_of, epochs
from gti.train.resuming import KeepsNothing, StageKeeper, go_on
from gti.train.shared_beginnings import PackedBatch, choose_sharing, packed_states
from gti.train.shared_histories import drops
from gti.train.training import (
    OptimizerSettings,
    Progress,
    StageReport,
    TrainingError,
    adamw,
    check_finite,
    hidden_states,
    step_optimizer,
)

Pooling = Literal["token_mean", "two_means"]


@dataclass(frozen=True)
class Step:
    """What one optimiser step trains on: a retrieval batch and, for LC-Rec, one beside it."""

    retrieval: list[Example]
    auxiliary: list[Example]


def retrieval_examples(
    prompter: Prompter,
    train: Sequence[IntArray],
    window: int,
    wording: np.random.Generator,
    whose: Sequence[str] | None = None,
) -> list[Example]:
    """The retrieval stream R, one pass: the same for every method at a seed.

    Style "sequence": histories in windows, every item a target. Else: one question per
    training item after a user's first, in the blocks of `history_blocks`; a question shows what its
    block holds before the item, and one wording is drawn per block.

    Args:
        prompter: builds the examples.
        train: [users] histories.
        window: items per window.
        wording: stream "wording".
        whose: [users] what errors call each history.

    Raises:
        PromptError: a prompt does not fit into the model's context.
    """
    named = list(zip(train, whose or [""] * len(train), strict=True))
    if prompter.style == "sequence":
        return [part for items, who in named for part in prompter.windows(items, window, who)]
    count = len(prompter.tasks["retrieval"].wordings)
    longest = prompter.max_history
    blocks = [(block, who) for items, who in named for block in history_blocks(items, longest)]
    examples = []
    for number, (block, who) in enumerate(blocks):
        drawn = int(wording.integers(count))
        for end in range(1, len(block)):
            asked = (int(block[end]), drawn, block[:end])
            example = prompter.example("retrieval", *asked, whose=who)
            examples.append(replace(example, block=number))
    return examples


def history_blocks(history: IntArray, size: int) -> list[IntArray]:
    """`history` in blocks of `size` targets, cut from its end, each after the item before them.

    Blocks overlap in that one item: every item but the first of all is a target once, and no
    question about a block shows more than `size` items. The first block may have fewer targets.
    """
    ends = range(len(history), 1, -size)
    return [history[max(0, end - size - 1) : end] for end in reversed(ends)]


def query_examples(
    prompter: Prompter,
    pairs: Sequence[tuple[str, int]],
    wording: np.random.Generator,
    whose: Sequence[str] | None = None,
) -> list[Example]:
    """The training stream R of the retrieval track, one pass: one wording drawn per pair.

    Args:
        prompter: builds the examples.
        pairs: (query, item), from `gti.data.queries`.
        wording: stream "wording".
        whose: [pairs] what errors call each.

    Raises:
        PromptError: a prompt does not fit into the model's context.
    """
    count = len(prompter.tasks["query"].wordings)
    return [
        prompter.query_example(text, item, int(wording.integers(count)), who)
        for (text, item), who in zip(pairs, whose or [""] * len(pairs), strict=True)
    ]


def retrieval_batches(
    examples: Sequence[Example],
    batch_size: int,
    passes: float,
    order: np.random.Generator,
) -> list[list[Example]]:
    """`passes` over R in batches; a share of a pass takes that share of its batches, rounded.

    Blocks of a history come up whole, in a fresh order per pass. A step has `batch_size` examples
    all the same: a block at its border goes on in the next.
    """
    per_pass = -(-len(examples) // batch_size)
    steps = max(1, round(passes * per_pass))
    stream = epochs(len(examples), batch_size, order, blocks_of(examples))
    return [[examples[i] for i in next(stream)] for _ in range(steps)]


def beside(
    batches: Sequence[list[Example]],
    auxiliary: Iterator[Example],
    shape: ModelShape,
    budget: float,
    every: int = 1,
) -> list[Step]:
    """Spreads `budget` nominal FLOPs of `auxiliary` evenly over every so many steps of `batches`.

    Args:
        batches: R, as it is without anything beside it.
        auxiliary: endless, from `gti.prompts.alignment`; no more is taken than the budget pays for.
        shape: the backbone's sizes.
        budget: nominal FLOPs, met to within one example.
        every: 4 puts something beside the first step, the fifth and so on, four times as much.
    """
    spent = 0.0
    steps = []
    joined = -(-len(batches) // every)
    for number, batch in enumerate(batches):
        chosen: list[Example] = []
        while number % every == 0 and spent < budget * (number // every + 1) / joined:
            example = next(auxiliary)
            chosen.append(example)
            spent += shape.flops([len(example.ids)], "all")
        steps.append(Step(batch, chosen))
    return steps


def weighted_parts(
    step: Step, auxiliary_weight: float, pooling: Pooling
) -> list[tuple[list[Example], float]]:
    """The batches of `step`, each with what its mean loss counts in the loss of the step.

    Let r be the mean NLL over the n retrieval targets, a that over the m auxiliary ones, and w the
    `auxiliary_weight`. The loss is

    - (n × r + w × m × a) / (n + w × m) for "token_mean": one mean over all targets of the mixed
      batch, where an auxiliary target counts w times. At w = 1 it is the loss that LC-Rec trains;
    - r + w × a for "two_means": a target weighs the more, the fewer stand in its batch.

    A step with nothing beside it has the loss r.
    """
    if not step.auxiliary:
        return [(step.retrieval, 1.0)]
    if pooling == "two_means":
        return [(step.retrieval, 1.0), (step.auxiliary, auxiliary_weight)]
    retrieval = sum(example.num_targets for example in step.retrieval)
    auxiliary = auxiliary_weight * sum(example.num_targets for example in step.auxiliary)
    both = retrieval + auxiliary
    return [(step.retrieval, retrieval / both), (step.auxiliary, auxiliary / both)]


@contextmanager
def seeded_dropout(model: Any, seed: int, step: int) -> Iterator[Callable[[], object]]:
    """Forks and seeds the generators around a step, where the model drops anything at all.

    Yields what seeds them anew: a second try of a step draws what it would have drawn as the first.
    """
    if not drops(model):
        yield lambda: None
        return
    device = next(model.parameters()).device
    start = partial(torch.manual_seed, (stream_key(seed, "dropout") + step) % 2**63)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        start()
        yield start


def answer_loss(model: Any, batch: Batch) -> Tensor:
    """Summed NLL of the answers of `batch`, with logits at their positions alone."""
    if isinstance(batch, PackedBatch):
        states = packed_states(model, batch)
    else:
        hidden = hidden_states(model, input_ids=batch.ids, **batch.layout)
        states = answer_states(hidden, batch)
    return head_loss(states, embedding_matrices(model)[-1], batch.labels)


def finetune(
    model: Any,
    vocabulary: Vocabulary,
    steps: Sequence[Step],
    settings: OptimizerSettings,
    *,
    seed: int,
    auxiliary_weight: float = 1.0,
    pooling: Pooling = "token_mean",
    max_tokens: int = 8192,
    dtype: str = "float32",
    share_prefixes: bool = True,
    copies: bool = True,
    batch_loss: Callable[[Any, Batch], Tensor] = answer_loss,
    progress: Progress | None = None,
    after_step: Callable[[int, StageReport], None] | None = None,
    keeper: StageKeeper | None = None,
) -> StageReport:
    """Trains what requires gradient in `model` on `steps`; loss is mean NLL of the answers.

    Args:
        model: a causal LM; parameters that must not move have `requires_grad` off.
        vocabulary: where the new rows live, for the proof of gradient.
        steps: from `beside` or `retrieval_batches`.
        settings: AdamW's settings.
        seed: of the stream "dropout".
        auxiliary_weight: weight of the auxiliary loss.
        pooling: how a step's two losses become one (`weighted_parts`).
        max_tokens: padded tokens per micro-batch.
        dtype: "bfloat16" computes in it; the weights that are stepped are float32.
        share_prefixes: computes what prompts of a block share once, where the model allows it (with
            bfloat16 copies, what any prompts of a micro-batch share); the same loss and gradient as
            false, which gives each prompt a row of its own.
        copies: computes in bfloat16 with copies of the weights, where the model allows it; false:
            with float32 weights under autocast.
        batch_loss: summed NLL of the answers of one micro-batch.
        progress: called after each step.
        after_step: called with (steps done, report so far), for learning curves; first before any
            step, and where a stage goes on.
        keeper: keeps the stage while it runs, and may have kept one to go on from.

    Raises:
        DivergedError: a loss or gradient that is not finite.
        ModelError: a model that is not computed with.
        TrainingError: no weight trains, or not even one example fits into memory.
    """
    check_model(model)
    shape = ModelShape.of(model)
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise TrainingError(
            f"{type(model).__name__}: nothing trains, as no weight requires a gradient; turn on"
            " `requires_grad` of those that are to"
        )
    optimizer = adamw(parameters, settings)
    matrix = embedding_matrices(model)[-1]
    device = matrix.device
    computing = Computing(model, dtype, copies=copies)
    # In float32 what is shared stays what it was, and so does every bit of a result.
    like = embedding_matrices(computing.model)[-1] if computing.copied else None
    coming = [example for step in steps for example in (*step.retrieval, *step.auxiliary)]
    cut, unshared = choose_sharing(model, coming, share_prefixes, like)
    runner = MicroBatcher(max_tokens, device, cut)
    report = StageReport(
        trainable_parameters=sum(p.numel() for p in parameters),
        unshared=unshared,
        uncopied=computing.why_not,
    )

    def loss_of(batch: Batch) -> Tensor:
        with computing.autocast():
            return batch_loss(computing.model, batch)

    def backward(parts: Sequence[tuple[list[Example], float]], number: int) -> list[float]:
        with seeded_dropout(model, seed, number) as seed_again:

            def start_again() -> None:
                optimizer.zero_grad()
                seed_again()

            return runner.backward(parts, loss_of, start_again)

    keeper = keeper or KeepsNothing()
    done = go_on(keeper, parameters, optimizer, report, runner)
    if after_step is not None:
        if done:
            model.eval()
        after_step(done, report)
    for number, step in enumerate(steps[done:], done):
        computing.refresh()
        computing.model.train()
        losses = backward(weighted_parts(step, auxiliary_weight, pooling), number)
        for loss in losses:
            check_finite(loss, "the loss", settings, number)
        if number == 0:
            _note_gradient(report, matrix, vocabulary)
        step_optimizer(optimizer, settings, number, len(steps))
        report.note_step(losses[0], step.retrieval + step.auxiliary, shape, "all", runner.shared)
        if progress is not None:
            progress(number + 1, len(steps), losses[0])
        keeper.after_step()
        if after_step is not None:
            model.eval()
            after_step(number + 1, report)
    model.eval()
    report.smallest_micro_batch = runner.max_tokens if runner.halved else None
    return report


def _note_gradient(report: StageReport, matrix: Tensor, vocabulary: Vocabulary) -> None:
    """Counts the rows of `matrix` that a gradient reached, new ones and text rows."""
    if matrix.grad is not None:
        rows = matrix.grad.ne(0).any(dim=1).cpu()
        report.new_rows_with_gradient = int(rows[vocabulary.new_ids].sum())
        report.text_rows_with_gradient = int(rows[vocabulary.text_ids].sum())


def add_lora(model: Any, rank: int, alpha: float, dropout: float, targets: Sequence[str]) -> Any:
    """Low-rank adapters on `targets`; the embedding matrix (and an untied head) trains in full.

    Raises:
        ValueError: no module of that name.
    """
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]  # only ever divided by the rank
        lora_dropout=dropout,
        target_modules=list(targets),
        bias="none",
    )
    model.requires_grad_(False)
    model = inject_adapter_in_model(config, model)
    for matrix in embedding_matrices(model):
        matrix.requires_grad_(True)
    return model
