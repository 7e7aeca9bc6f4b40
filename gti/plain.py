"""The slow reference: every stage as one would first write it down, for `gti-bench run --plain`.

What the other modules do faster stands here without the speed-up: Algorithm 1 of GTI over the
whole embedding matrix, logits at every position, one prompt per row, beam search one user at a
time over the full vocabulary with a dictionary of prefixes, items scored one by one. The stream of
examples, the budgets and the micro-batches are the same, so results differ by float order alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from gti.data.dataset import IntArray
from gti.model.compute import autocast, computed_in
from gti.model.flops import ModelShape
from gti.model.vocabulary import Vocabulary, embedding_matrices
from gti.prompts.prompter import Example
from gti.search.decoding import Beams, Trie, beam_search
from gti.search.exact_scoring import exact_search
from gti.search.likelihood import TargetNll, target_nll
from gti.train.batches import Batch, MicroBatcher, plain_batches
from gti.train.distillation import TaughtBatch, taught_batches
from gti.train.example_nll import example_nll
from gti.train.finetuning import Step, finetune
from gti.train.grounding import ground
from gti.train.resuming import KeepsNothing, StageKeeper, go_on
from gti.train.training import (
    OptimizerSettings,
    Progress,
    StageReport,
    adamw,
    check_finite,
    step_optimizer,
)

NOT_A_TARGET = -100
ROWS = 64
"""Items that `plain_exact_search` scores in one forward pass, each as a row of its own."""


def labels_at_all_positions(batch: Batch) -> Tensor:
    """[examples, longest] what each position predicts; `NOT_A_TARGET` outside the answers."""
    labels = torch.full_like(batch.ids, NOT_A_TARGET)
    labels[batch.rows, batch.positions] = batch.labels
    return labels


def _summed_nll(logits: Tensor, labels: Tensor) -> Tensor:
    """Summed NLL of `labels` under `logits`; positions labelled `NOT_A_TARGET` are skipped."""
    exact = logits if logits.dtype == torch.float64 else logits.float()
    return cross_entropy(
        exact.flatten(0, -2), labels.flatten(), ignore_index=NOT_A_TARGET, reduction="sum"
    )


def plain_head_loss(hidden: Tensor, matrix: Tensor, labels: Tensor) -> Tensor:
    """Summed next-token NLL from all logits at once: what `head.head_loss` gives in pieces.

    Args:
        hidden: [… , d] hidden states.
        matrix: [vocabulary, d] of the head.
        labels: […] token ids; `NOT_A_TARGET` does not count.
    """
    return _summed_nll(hidden @ matrix.to(hidden.dtype).T, labels)


def plain_loss(model: Any, batch: Batch) -> Tensor:
    """Summed NLL of the answers of `batch`, from the logits of every position, padding included."""
    if isinstance(batch, TaughtBatch):
        return _plain_states_loss(model, batch)
    logits = model(input_ids=batch.ids, use_cache=False).logits
    return _summed_nll(logits, labels_at_all_positions(batch))


def _plain_states_loss(model: Any, batch: TaughtBatch) -> Tensor:
    """What the states of `batch` lack of its teachers', one target at a time."""
    found = []
    for each in (batch, batch.teacher):
        states = model(input_ids=each.ids, output_hidden_states=True).hidden_states[-1]
        found.append([states[r, p] for r, p in zip(each.rows, each.positions, strict=True)])
    lacking = [(own - taught.detach()) ** 2 for own, taught in zip(*found, strict=True)]
    return torch.stack([each.sum() / len(each) for each in lacking]).sum()


def plain_ground(
    model: Any,
    vocabulary: Vocabulary,
    batches: Sequence[Sequence[Example]],
    settings: OptimizerSettings,
    *,
    max_tokens: int = 8192,
    dtype: str = "float32",
    progress: Progress | None = None,
    keeper: StageKeeper | None = None,
) -> StageReport:
    """Algorithm 1 of GTI as written; arguments and report are those of `grounding.ground`.

    The whole matrix (and an untied head) is given to the optimiser; its gradient is masked to the
    new rows, before clipping.

    Raises:
        ValueError: weight decay, which here would move the text rows.
    """
    if settings.weight_decay:
        raise ValueError(
            "Algorithm 1 as written decays text rows too: plain grounding needs"
            f" grounding.weight_decay = 0, found {settings.weight_decay}"
        )
    shape, was_training = ModelShape.of(model), model.training
    trainable_before = [p for p in model.parameters() if p.requires_grad]
    model.eval().requires_grad_(False)
    matrices = embedding_matrices(model)
    for matrix in matrices:
        matrix.requires_grad_(True)
    device = matrices[0].device
    new = vocabulary.new_ids.to(device)
    mask = torch.zeros(len(matrices[0]), 1, device=device)
    mask[new] = 1.0
    taught = any(example.teacher is not None for examples in batches for example in examples)
    cut = taught_batches if taught else plain_batches
    optimizer, runner = adamw(matrices, settings), MicroBatcher(max_tokens, device, cut)
    movable = len(new) * sum(matrix.shape[1] for matrix in matrices)
    report = StageReport(trainable_parameters=movable)
    touched = torch.zeros(len(new), dtype=torch.bool, device=device)

    def loss_of(batch: Batch) -> Tensor:
        with autocast(device, dtype):
            return plain_loss(model, batch)

    keeper = keeper or KeepsNothing()
    done = go_on(keeper, matrices, optimizer, report, runner, touched)
    for step, examples in enumerate(batches[done:], done):
        (loss,) = runner.backward([(examples, 1.0)], loss_of, optimizer.zero_grad)
        check_finite(loss, "the loss", settings, step)
        for matrix in matrices:
            if matrix.grad is not None:
                matrix.grad.mul_(mask)
                touched |= matrix.grad[new].ne(0).any(dim=1)
        step_optimizer(optimizer, settings, step, len(batches))
        report.note_step(loss, examples, shape, "rows")
        if progress is not None:
            progress(step + 1, len(batches), loss)
        keeper.after_step()
    model.requires_grad_(False)
    for parameter in trainable_before:
        parameter.requires_grad_(True)
    model.train(was_training)
    report.new_rows_with_gradient = int(touched.sum())
    report.smallest_micro_batch = runner.max_tokens if runner.halved else None
    report.actual_flops = report.nominal_flops
    return report


def plain_finetune(
    model: Any,
    vocabulary: Vocabulary,
    steps: Sequence[Step],
    settings: OptimizerSettings,
    **others: Any,
) -> StageReport:
    """`gti.train.finetuning.finetune` with one prompt per row and logits at every position."""
    report = finetune(
        model,
        vocabulary,
        steps,
        settings,
        share_prefixes=False,
        copies=False,
        batch_loss=plain_loss,
        **others,
    )
    report.actual_flops = report.nominal_flops
    return report


class Prefixes:
    """The trie as dictionaries over tuples of tokens.

    Attributes:
        following: prefix → the tokens that may follow it.
        leaf_of: whole Semantic ID → its leaf.
    """

    def __init__(self, trie: Trie) -> None:
        self.following: dict[tuple[int, ...], list[int]] = {}
        nodes: dict[tuple[int, ...], int] = {(): 0}
        for table, ids in zip(trie.children, trie.tokens, strict=True):
            children, tokens = table.tolist(), ids.tolist()
            below: dict[tuple[int, ...], int] = {}
            for prefix, node in nodes.items():
                found = {tokens[code]: child for code, child in enumerate(children[node])}
                found = {token: child for token, child in found.items() if child >= 0}
                self.following[prefix] = list(found)
                below |= {(*prefix, token): child for token, child in found.items()}
            nodes = below
        self.leaf_of = nodes

    def only_allowed(self, scores: Tensor, prefixes: Sequence[tuple[int, ...]]) -> Tensor:
        """[prefixes, vocabulary] `scores` with −inf where the trie has nothing."""
        masked = torch.full_like(scores, -torch.inf)
        for row, prefix in enumerate(prefixes):
            allowed = self.following[prefix]
            masked[row, allowed] = scores[row, allowed]
        return masked


def _log_softmax(logits: Tensor) -> Tensor:
    exact = logits if logits.dtype == torch.float64 else logits.float()
    return exact.log_softmax(dim=-1)


Found = tuple[list[int], Tensor, list[float]]
"""Leaves, best first; their log-probabilities; the trie's mass along the best one."""


def _search_one(model: Any, prefixes: Prefixes, prompt: Tensor, levels: int, beam: int) -> Found:
    """Beam search for one user; every beam has keys and values of its own."""
    output = model(input_ids=prompt[None], use_cache=True)
    names: list[tuple[int, ...]] = [()]
    totals, masses = torch.zeros(1, device=prompt.device), [list[float]()]
    for level in range(levels):
        scores = prefixes.only_allowed(_log_softmax(output.logits[:, -1]), names)
        here = scores.double().logsumexp(dim=-1).exp().tolist()
        sums = (totals[:, None] + scores).flatten()
        width = min(beam, int(sums.isfinite().sum()))
        totals, best = sums.topk(width)
        parent, token = best // scores.shape[1], best % scores.shape[1]
        masses = [[*masses[row], here[row]] for row in parent.tolist()]
        pairs = zip(parent.tolist(), token.tolist(), strict=True)
        names = [(*names[row], chosen) for row, chosen in pairs]
        if level + 1 < levels:
            cache = output.past_key_values
            cache.reorder_cache(parent)
            output = model(input_ids=token[:, None], past_key_values=cache, use_cache=True)
    return [prefixes.leaf_of[name] for name in names], totals, masses[0]


def _scores_at(model: Any, prompt: Tensor, codes: Tensor) -> Tensor:
    """[rows, levels, vocabulary] log-probabilities where `codes` [rows, levels] are predicted."""
    rows = torch.cat([prompt.expand(len(codes), -1), codes], dim=1)
    logits = model(input_ids=rows, use_cache=False).logits[:, -codes.shape[1] - 1 : -1]
    return _log_softmax(logits)


def _score_one(model: Any, prefixes: Prefixes, prompt: Tensor, levels: int, beam: int) -> Found:
    """Every item's score for one user, each from a row that holds the prompt and its tokens."""
    names = list(prefixes.leaf_of)
    pieces = []
    for start in range(0, len(names), ROWS):
        codes = torch.tensor(names[start : start + ROWS], device=prompt.device)
        scores = _scores_at(model, prompt, codes)
        pieces.append(scores.gather(2, codes[:, :, None]).sum(dim=(1, 2)))
    totals, best = torch.cat(pieces).topk(min(beam, len(names)))
    first = names[int(best[0])]
    scores = _scores_at(model, prompt, torch.tensor([first], device=prompt.device))[0]
    allowed = prefixes.only_allowed(scores, [first[:level] for level in range(levels)])
    mass = allowed.double().logsumexp(dim=-1).exp().tolist()
    return [prefixes.leaf_of[names[index]] for index in best.tolist()], totals, mass


def _one_at_a_time(
    one: Callable[..., Found],
    model: Any,
    trie: Trie,
    prompts: Sequence[IntArray],
    beam: int,
    dtype: str,
) -> Beams:
    users, levels = len(prompts), len(trie.children)
    leaves = np.full((users, beam), -1, dtype=np.int64)
    scores = np.full((users, beam), -np.inf, dtype=np.float32)
    mass = np.zeros((users, levels), dtype=np.float64)
    device, prefixes = trie.children[0].device, Prefixes(trie)
    for user, prompt in enumerate(prompts):
        with autocast(device, dtype):
            ids = torch.from_numpy(prompt).to(device)
            found, totals, mass[user] = one(model, prefixes, ids, levels, beam)
        leaves[user, : len(found)] = found
        scores[user, : len(found)] = totals.cpu().numpy()
    return Beams(leaves, scores, mass)


@torch.inference_mode()
def plain_search(
    model: Any,
    trie: Trie,
    prompts: Sequence[IntArray],
    beam: int,
    *,
    max_tokens: int | None = None,
    dtype: str = "float32",
) -> Beams:
    """As `gti.search.decoding.beam_search`, one user at a time; `max_tokens` is not needed."""
    return _one_at_a_time(_search_one, model, trie, prompts, beam, dtype)


@torch.inference_mode()
def plain_exact_search(
    model: Any,
    trie: Trie,
    prompts: Sequence[IntArray],
    beam: int,
    *,
    max_tokens: int | None = None,
    dtype: str = "float32",
) -> Beams:
    """As `exact_scoring.exact_search`, one item at a time; `max_tokens` is not needed."""
    return _one_at_a_time(_score_one, model, trie, prompts, beam, dtype)


@torch.inference_mode()
def plain_target_nll(
    model: Any,
    trie: Trie,
    prompts: Sequence[IntArray],
    targets: Sequence[IntArray] | IntArray,
    *,
    max_tokens: int | None = None,
    dtype: str = "float32",
) -> TargetNll:
    """As `gti.search.likelihood.target_nll`, one target at a time; `max_tokens` is not needed."""
    device, prefixes = trie.children[0].device, Prefixes(trie)
    name_of = {leaf: name for name, leaf in prefixes.leaf_of.items()}
    found: list[tuple[float, float]] = []
    for prompt, items in zip(prompts, targets, strict=True):
        ids = torch.from_numpy(prompt).to(device)
        for leaf in trie.leaf_of[items].tolist():
            codes = torch.tensor([name_of[leaf]], device=device)
            with autocast(device, dtype):
                scores = _scores_at(model, ids, codes)[0].double()
            above = [name_of[leaf][:level] for level in range(len(scores))]
            mass = prefixes.only_allowed(scores, above).logsumexp(dim=-1).sum()
            nll = -scores.gather(1, codes[0, :, None]).sum()
            found.append((float(nll), float(nll + mass)))
    return TargetNll(*np.array(found, dtype=np.float64).reshape(-1, 2).T)


@torch.inference_mode()
def plain_example_nll(
    model: Any,
    examples: Sequence[Example],
    *,
    max_tokens: int | None = None,
    dtype: str = "float32",
) -> tuple[NDArray[np.float64], IntArray]:
    """As `gti.train.example_nll.example_nll`, one at a time; `max_tokens` is not needed."""
    device = model.get_input_embeddings().weight.device
    found = []
    for example in examples:
        ids = torch.from_numpy(example.ids).to(device)
        with autocast(device, dtype):
            scores = _log_softmax(model(input_ids=ids[None], use_cache=False).logits[0]).double()
        found.append(-float(sum(scores[place - 1, ids[place]] for place in example.targets)))
    return np.array(found), np.array([example.num_targets for example in examples], dtype=np.int64)


@dataclass(frozen=True)
class Forms:
    """How each stage is done; both sets take the same arguments and give the same results.

    `scored_with`: from a model and a dtype what scoring is to compute with, made once where it is
    asked many times.
    """

    ground: Callable[..., StageReport]
    finetune: Callable[..., StageReport]
    beam_search: Callable[..., Beams]
    exact_search: Callable[..., Beams]
    target_nll: Callable[..., TargetNll]
    example_nll: Callable[..., tuple[NDArray[np.float64], IntArray]]
    scored_with: Callable[[Any, str], Any]


def _cast_once(model: Any, dtype: str) -> Any:
    """What the searches would make of `model` at each call, where they can."""
    return computed_in(model, dtype)[0]


def _as_it_is(model: Any, dtype: str) -> Any:
    """The plain searches run `model` under autocast."""
    return model


FAST = Forms(ground, finetune, beam_search, exact_search, target_nll, example_nll, _cast_once)
PLAIN = Forms(
    plain_ground,
    plain_finetune,
    plain_search,
    plain_exact_search,
    plain_target_nll,
    plain_example_nll,
    _as_it_is,
)
