"""New tokens for any causal LM, in one call: added, given first rows, grounded in texts, proven.

    from gti import ground_tokens
    report = ground_tokens(model, tokenizer, pairs)  # pairs of (tokens, text)
    model.save_pretrained("out"); tokenizer.save_pretrained("out")

A new token is whatever string is given: one per concept, or several in a row, as the codes of a
Semantic ID are. Nothing is changed before all of the input has been looked at.
"""

import copy
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, Literal, cast

import torch
from torch import Tensor

from gti.data.semantic_ids import SemanticIds
from gti.data.streams import numpy_stream, torch_stream
from gti.hints import did_you_mean
from gti.initializers import (
    averaged_texts,
    like_text_rows,
    mean_rows,
    noisy_mean_rows,
    random_matched_rows,
)
from gti.method import GroundingPlan, Start
from gti.model.capabilities import context_of
from gti.model.devices import has_bfloat16
from gti.model.vocabulary import (
    Vocabulary,
    VocabularyError,
    embedding_matrices,
    extend_vocabulary,
    read_rows,
    write_rows,
)
from gti.prompts.prompter import Example, Prompter, PromptError
from gti.prompts.wordings import GROUNDING_TASKS
from gti.token_checks import (
    check_choice,
    check_lengths,
    check_model_and_tokenizer,
    check_options,
    check_seed,
)
from gti.token_pairs import TokenPairs, TokensError, without_texts
from gti.train.example_nll import example_nll
from gti.train.grounding import ground, grounding_examples
from gti.train.order import epochs
from gti.train.proof import StageWatch
from gti.train.training import AdamWSettings, Progress

INITIALIZERS: Mapping[str, Callable[[Start], Tensor]] = {
    "mean": mean_rows,
    "noisy_mean": noisy_mean_rows,
    "random_matched": random_matched_rows,
    "description": lambda start: like_text_rows(start, averaged_texts(start)),
    "library": lambda start: start.default_rows,
}
"""Name → what the rows hold first; those of `gti-bench list methods`, and what transformers leaves.
"""
SAMPLE = 256
"""Pairs that are measured before and after, at most."""
LEAST_GAP = 0.1
"""Nats a token by which right tokens are likelier than others where grounding took, as on a board.
"""
READS_TEXTS = ("description",)
"""Those of `INITIALIZERS` that are nothing without pairs."""
Initializer = str | Callable[[Start], Tensor]


@dataclass(frozen=True)
class PairCheck:
    """How likely pairs are in one direction: nats per answer token, over a sample of them.

    Attributes:
        direction: "text_to_sid" (text → tokens) or "sid_to_text" (tokens → text).
        before: with the tokens' first rows.
        after: with the grounded ones.
        permuted: after, each text with the tokens of another pair.
    """

    direction: Literal["text_to_sid", "sid_to_text"]
    before: float
    after: float
    permuted: float

    @property
    def took(self) -> bool:
        """Whether the right tokens are likelier than others, by `LEAST_GAP` at least."""
        return self.permuted - self.after >= LEAST_GAP


@dataclass(frozen=True)
class GroundedTokens:
    """What `ground_tokens` did.

    Attributes:
        vocabulary: where the new rows are.
        tokens: the new tokens, in the order of `vocabulary.new_ids`.
        steps: optimiser steps.
        checks: of each direction.
        cosine: mean cosine between two new rows, before and after.
        norm: mean norm of the new rows after, and of the text rows.
        changed: what else moved: nothing, or "text rows", "backbone".
        cut: pairs with a text longer than `max_text_tokens`, of which the beginning was read.
    """

    vocabulary: Vocabulary
    tokens: tuple[str, ...]
    steps: int
    checks: tuple[PairCheck, ...]
    cosine: tuple[float, float]
    norm: tuple[float, float]
    changed: tuple[str, ...]
    cut: int

    @property
    def took(self) -> bool:
        """Whether the right tokens are likelier than others in each direction."""
        return all(check.took for check in self.checks)

    def __str__(self) -> str:
        """The report in a few lines."""
        words = {"text_to_sid": "text → tokens", "sid_to_text": "tokens → text"}
        lines = [
            f"{words[check.direction]:<14} {check.before:6.2f} → {check.after:5.2f} nats a token,"
            f" {check.permuted:5.2f} with another pair's tokens"
            for check in self.checks
        ]
        return "\n".join(
            [
                f"{len(self.tokens)} new tokens, {self.steps} steps; grounding"
                f" {'took' if self.took else 'did not take: try more passes or another rate'}",
                *lines,
                *([f"{self.cut} pairs have a text that was cut"] if self.cut else []),
                f"mean cosine of two new rows {self.cosine[0]:.2f} → {self.cosine[1]:.2f};"
                f" mean norm {self.norm[0]:.2f}, of text rows {self.norm[1]:.2f}",
                f"changed besides: {', '.join(self.changed) or 'nothing, bit for bit'}",
            ]
        )


def initialize_tokens(
    model: Any,
    tokenizer: Any,
    tokens: Sequence[str],
    *,
    init: Initializer = "mean",
    pairs: Iterable[Any] = (),
    seed: int = 0,
) -> Vocabulary:
    """Adds `tokens` to tokenizer and model and gives them first rows, without any training.

    Args:
        model: a Hugging Face causal LM; changed in place.
        tokenizer: its tokenizer; changed in place.
        tokens: new token strings.
        init: a name of `INITIALIZERS`, or what makes [tokens, d] rows of a `Start`.
        pairs: as of `ground_tokens`, for an `init` that reads texts.
        seed: of what is drawn.

    Raises:
        TokensError: see `ground_tokens`.
    """
    check_seed(seed)
    plain, given = without_texts(tokens), list(pairs)
    named = TokenPairs.of(given, plain.tokens) if given else plain
    if extra := named.tokens[plain.num_tokens :]:
        raise TokensError(f"token {extra[0]!r} is in a pair and not among the tokens")
    _check_init(init, given)
    check_model_and_tokenizer(model, tokenizer, named)
    with _undone_if_it_fails(model, tokenizer):
        return _initialize(model, tokenizer, named, init, seed)


def show_progress(done: int, steps: int, loss: float) -> None:
    """Where standard error is a terminal or a notebook, one line there that is written over."""
    if sys.stderr.isatty() or "ipykernel" in sys.modules:
        end = "\n" if done == steps else ""
        print(f"\rstep {done} of {steps}, loss {loss:.2f} ", end=end, file=sys.stderr, flush=True)


def ground_tokens(
    model: Any,
    tokenizer: Any,
    pairs: Iterable[Any],
    *,
    init: Initializer = "mean",
    passes: float = 10,
    learning_rate: float = 1e-2,
    batch_size: int = 32,
    optimizer: Mapping[str, Any] | None = None,
    style: Literal["chat", "plain"] = "chat",
    max_text_tokens: int = 128,
    dtype: Literal["float32", "bfloat16"] | None = None,
    seed: int = 0,
    progress: Progress | None = show_progress,
) -> GroundedTokens:
    """Adds the tokens of `pairs` and trains their rows alone on them, in both directions (GTI).

    The defaults are those of GTI (arXiv 2604.02324) §7.3, about ten passes, at the rate that took
    on SmolLM2-135M: ten passes at 1e-2 found 89 of 100 items by their title (docs/LOG.md).

    Args:
        model: a Hugging Face causal LM; changed in place, the new rows alone.
        tokenizer: its tokenizer; changed in place.
        pairs: (tokens, text) each: see `TokenPairs.of`.
        init: what the rows hold first: a name of `INITIALIZERS`, or what makes rows of a `Start`.
        passes: over the pairs.
        learning_rate: of AdamW on the rows, with warm-up and cosine decay.
        batch_size: examples per step; each pair is two, or more with several text fields.
        optimizer: what else AdamW is to have: other fields of `AdamWSettings`, by name.
        style: "chat" asks in the tokenizer's chat template, if it has one; "plain" without it.
        max_text_tokens: longer texts are cut there.
        dtype: computed in; null: bfloat16 where the device has instructions for it.
        seed: of first rows and order.
        progress: called after each step with (steps done, steps in all, loss); null: nothing is.

    Raises:
        TokensError: what is wrong with pairs, tokens, tokenizer or model.
        DivergedError: the rate is too high.

    Whatever is raised, model and tokenizer are as they were.
    """
    named = TokenPairs.of(pairs)
    _check_init(init, named.texts)
    check_options(passes, learning_rate, batch_size, max_text_tokens, seed)
    check_choice("style", style, ("chat", "plain"))
    check_choice("dtype", dtype or "float32", ("float32", "bfloat16"))
    check_model_and_tokenizer(model, tokenizer, named)
    cut = check_lengths(model, tokenizer, named, max_text_tokens, style == "chat")
    dtype = dtype or ("bfloat16" if has_bfloat16(_device(model)) else "float32")
    settings = AdamWSettings(learning_rate, batch_size, **_checked(optimizer or {}))
    with _undone_if_it_fails(model, tokenizer):
        vocabulary = _initialize(model, tokenizer, named, init, seed)
        prompter = Prompter(
            tokenizer,
            vocabulary,
            _as_semantic_ids(named),
            named.texts,
            title_field=named.fields[0],
            detail_fields=named.fields[1:],
            style=style,
            max_text_tokens=max_text_tokens,
            max_history=1,
            context=context_of(model.config),
        )
        batches = _batches(prompter, passes, batch_size, seed)
        training, watch = model.training, StageWatch(model, vocabulary)
        model.eval()
        first = _rows(model, vocabulary)
        before = _measure(model, prompter, named, dtype)
        report = ground(model, vocabulary, batches, settings, dtype=dtype, progress=progress)
        model.eval()
        after = _measure(model, prompter, named, dtype)
        model.train(training)
    proof = watch.proof("grounding", report)
    rows = _rows(model, vocabulary)
    text = read_rows(embedding_matrices(model)[0], vocabulary.text_ids)
    text_moved = proof["text_rows_sha256"] != vocabulary.text_sha256_before
    moved = {"text rows": text_moved, "backbone": proof["backbone_changed"]}
    return GroundedTokens(
        vocabulary=vocabulary,
        tokens=named.tokens,
        steps=report.steps,
        checks=tuple(
            PairCheck(direction, before[direction][0], *after[direction]) for direction in after
        ),
        cosine=(_mean_cosine(first), _mean_cosine(rows)),
        norm=(float(rows.norm(dim=1).mean()), float(text.norm(dim=1).mean())),
        changed=tuple(name for name, value in moved.items() if value),
        cut=cut,
    )


def _batches(prompter: Prompter, passes: float, batch_size: int, seed: int) -> list[list[Example]]:
    """The examples of each step, in both directions, in the order in which a cell has them."""
    examples = grounding_examples(prompter, GroundingPlan(), numpy_stream(seed, "shuffle"))
    stream = epochs(len(examples), batch_size, numpy_stream(seed, "grounding-order"))
    steps = max(1, round(passes * -(-len(examples) // batch_size)))
    return [[examples[place] for place in next(stream)] for _ in range(steps)]


def _check_init(init: Initializer, pairs: Sequence[Any]) -> None:
    """Refuses a name that nobody knows, and one that reads texts where there are none."""
    if isinstance(init, str):
        if init not in INITIALIZERS:
            hint = did_you_mean(init, INITIALIZERS) or f"; there are {', '.join(INITIALIZERS)}"
            raise TokensError(f"unknown init {init!r}{hint}")
        if init in READS_TEXTS and not pairs:
            raise TokensError(f"init {init!r} reads texts: give pairs, of (tokens, text)")
    elif not callable(init):
        raise TokensError(f"init is {init!r:.40}, expected a name or a function")


def _checked(optimizer: Mapping[str, Any]) -> Mapping[str, Any]:
    """`optimizer`, if it names what AdamW has and no parameter of its own has."""
    known = [each.name for each in fields(AdamWSettings)][2:]
    for name in optimizer:
        if name not in known:
            hint = did_you_mean(name, known) or f"; there are {', '.join(known)}"
            raise TokensError(f"unknown option of the optimizer {name!r}{hint}")
    return optimizer


@contextmanager
def _undone_if_it_fails(model: Any, tokenizer: Any) -> Iterator[None]:
    """Gives model and tokenizer back as they were where what is done to them ends in an error."""
    kept, training = copy.deepcopy(tokenizer), model.training
    trainable = {name: each.requires_grad for name, each in model.named_parameters()}
    rows = len(model.get_input_embeddings().weight)
    tokens = set(tokenizer.get_vocab().values())
    spare = torch.tensor([row for row in range(rows) if row not in tokens], dtype=torch.long)
    before = [read_rows(matrix, spare) for matrix in embedding_matrices(model)]
    try:
        yield
    except BaseException as error:
        tokenizer.__dict__ = kept.__dict__
        if len(model.get_input_embeddings().weight) != rows:
            model.resize_token_embeddings(rows)
        for matrix, spared in zip(embedding_matrices(model), before, strict=True):
            write_rows(matrix, spare, spared)
        for name, each in model.named_parameters():
            each.requires_grad_(trainable[name])
        model.train(training)
        if isinstance(error, PromptError | VocabularyError):
            raise TokensError(str(error).removesuffix(" in the setting")) from error
        raise


def _device(model: Any) -> torch.device:
    device: torch.device = model.get_input_embeddings().weight.device
    return device


def _rows(model: Any, vocabulary: Vocabulary) -> Tensor:
    return read_rows(embedding_matrices(model)[0], vocabulary.new_ids)


def _mean_cosine(rows: Tensor) -> float:
    """Mean cosine between two different rows."""
    unit = torch.nn.functional.normalize(rows.double(), dim=1)
    pairs = unit.sum(dim=0).square().sum() - unit.square().sum()
    return float(pairs / (len(rows) * (len(rows) - 1))) if len(rows) > 1 else 1.0


def _measure(
    model: Any, prompter: Prompter, named: TokenPairs, dtype: str
) -> dict[Literal["text_to_sid", "sid_to_text"], tuple[float, float]]:
    """Direction → NLL per answer token of pairs as they are, and with another pair's tokens."""
    drawn = numpy_stream(0, "treatment").permutation(named.num_items)[:SAMPLE]
    found: dict[Literal["text_to_sid", "sid_to_text"], tuple[float, float]] = {}
    for direction in ("text_to_sid", "sid_to_text"):
        task = GROUNDING_TASKS[direction][0]  # by the title
        values = []
        for coded in (drawn, named.other[drawn]):
            examples = [
                prompter.example(task, item, sid_of=other)
                for item, other in zip(drawn.tolist(), coded.tolist(), strict=True)
            ]
            nll, tokens = example_nll(model, examples, dtype=dtype)
            values.append(float(nll.sum() / tokens.sum()))
        found[direction] = values[0], values[1]
    return found


def _initialize(
    model: Any, tokenizer: Any, named: TokenPairs, init: Initializer, seed: int
) -> Vocabulary:
    """Adds the tokens and writes their first rows; all has been checked."""
    plain = copy.deepcopy(tokenizer)
    vocabulary = extend_vocabulary(tokenizer, model, named.tokens, seed)
    make = INITIALIZERS[init] if isinstance(init, str) else init
    for place, matrix in enumerate(embedding_matrices(model)):
        start = Start(
            matrix="output" if place else "input",
            text_rows=read_rows(matrix, vocabulary.text_ids),
            text_ids=vocabulary.text_ids,
            default_rows=vocabulary.default_rows[place],
            semantic_ids=_as_semantic_ids(named),
            item_texts=named.texts,
            train=(),
            tokenize=lambda text: list(plain(text, add_special_tokens=False)["input_ids"]),
            generator=torch_stream(seed, "init"),
        )
        rows = make(start)
        if not isinstance(rows, Tensor):
            raise TokensError(f"init made {rows!r:.40}, expected a tensor of [tokens, d]")
        write_rows(matrix, vocabulary.new_ids, rows)
    return vocabulary


def _as_semantic_ids(named: TokenPairs) -> SemanticIds:
    """`named`, for what reads nothing of Semantic IDs but which tokens stand for which text."""
    return cast(SemanticIds, named)
