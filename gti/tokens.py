"""New tokens for any causal LM, in one call: added, given first rows, grounded in texts, proven.

    from gti import ground_tokens
    report = ground_tokens(model, tokenizer, pairs)  # pairs of (tokens, text)
    model.save_pretrained("out"); tokenizer.save_pretrained("out")

A new token is whatever string is given: one per concept, or several in a row, as the codes of a
Semantic ID are. Nothing is changed before all of the input has been looked at.
"""

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

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
from gti.model.capabilities import why_not_plain
from gti.model.devices import has_bfloat16
from gti.model.vocabulary import (
    Vocabulary,
    embedding_matrices,
    extend_vocabulary,
    read_rows,
    write_rows,
)
from gti.prompts.prompter import Example, Prompter, PromptError, Style
from gti.prompts.wordings import GROUNDING_TASKS
from gti.token_pairs import TITLE, TokenPairs, TokensError, read_pair
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
Initializer = str | Callable[[Start], Tensor]
Dtype = Literal["float32", "bfloat16"]
LARGEST_SEED = 2**63 - 1


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
        """Whether the right tokens are likelier than others."""
        return self.after < self.permuted


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
    """

    vocabulary: Vocabulary
    tokens: tuple[str, ...]
    steps: int
    checks: tuple[PairCheck, ...]
    cosine: tuple[float, float]
    norm: tuple[float, float]
    changed: tuple[str, ...]

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
    given = list(pairs)
    named = TokenPairs.of(given, tokens) if given else _without_texts(tokens)
    if given and set(named.tokens) != set(tokens):
        extra = next(token for token in named.tokens if token not in set(tokens))
        raise TokensError(f"token {extra!r} is in a pair and not among the tokens")
    _check(model, tokenizer, named.tokens, init)
    return _initialize(model, tokenizer, named, init, seed)


def _without_texts(tokens: Sequence[str]) -> TokenPairs:
    """`tokens` with nothing to ground them in."""
    if not tokens:
        raise TokensError("no tokens")
    twice = [token for number, token in enumerate(tokens) if token in tokens[:number]]
    if twice:
        raise TokensError(f"token {twice[0]!r} is given twice")
    for number, token in enumerate(tokens):
        read_pair((token, "text"), number)
    return TokenPairs(tuple(tokens), (), (), (TITLE,))


def ground_tokens(
    model: Any,
    tokenizer: Any,
    pairs: Iterable[Any],
    *,
    init: Initializer = "mean",
    passes: float = 10,
    learning_rate: float = 1e-2,
    batch_size: int = 32,
    style: Style = "chat",
    max_text_tokens: int = 128,
    dtype: Dtype | None = None,
    seed: int = 0,
    progress: Progress | None = None,
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
        style: "chat" asks in the tokenizer's chat template, if it has one; "plain" without it.
        max_text_tokens: longer texts are cut there.
        dtype: computed in; null: bfloat16 where the device has instructions for it.
        seed: of first rows and order.
        progress: called after each step with (steps done, steps in all, loss).

    Raises:
        TokensError: what is wrong with pairs, tokens, tokenizer or model, before any change.
        DivergedError: the rate is too high.
    """
    named = TokenPairs.of(pairs)
    _check(model, tokenizer, named.tokens, init)
    _check_numbers(passes=passes, learning_rate=learning_rate, batch_size=batch_size)
    _check_choices(style, dtype, seed)
    _check_lengths(model, tokenizer, named, max_text_tokens)
    prompter, examples = _asked(model, tokenizer, named, style, max_text_tokens, seed)
    vocabulary = _initialize(model, tokenizer, named, init, seed)
    device = model.get_input_embeddings().weight.device
    dtype = dtype or ("bfloat16" if has_bfloat16(device) else "float32")
    stream = epochs(len(examples), batch_size, numpy_stream(seed, "grounding-order"))
    steps = max(1, round(passes * -(-len(examples) // batch_size)))
    batches = [[examples[place] for place in next(stream)] for _ in range(steps)]
    training, watch = model.training, StageWatch(model, vocabulary)
    model.eval()
    first = _rows(model, vocabulary)
    before = _measure(model, prompter, named, dtype)
    settings = AdamWSettings(learning_rate=learning_rate, batch_size=batch_size)
    report = ground(model, vocabulary, batches, settings, dtype=dtype, progress=progress)
    model.eval()
    after = _measure(model, prompter, named, dtype)
    model.train(training)
    proof = watch.proof("grounding", report)
    rows = _rows(model, vocabulary)
    text = read_rows(embedding_matrices(model)[0], vocabulary.text_ids)
    moved = {"text rows": proof["text_rows_changed"], "backbone": proof["backbone_changed"]}
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
    )


def _asked(
    model: Any,
    tokenizer: Any,
    named: TokenPairs,
    style: Style,
    max_text_tokens: int,
    seed: int,
) -> tuple[Prompter, list[Example]]:
    """What asks for the pairs, and all that is asked, by a copy of the tokenizer that has grown.

    The copy gives the new tokens the ids that they will have, and nothing else has changed yet.

    Raises:
        TokensError: a template, a tokenizer or a context that no question can be put to.
    """
    grown = _with_tokens(tokenizer, named.tokens)
    ids = torch.tensor(grown.convert_tokens_to_ids(list(named.tokens)), dtype=torch.long)
    try:
        prompter = Prompter(
            grown,
            Vocabulary(ids, ids[:0], 0, 0, True, (), "", None),  # of which it reads the ids alone
            _as_semantic_ids(named),
            named.texts,
            title_field=named.fields[0],
            detail_fields=named.fields[1:],
            style=style,
            max_text_tokens=max_text_tokens,
            max_history=1,
            context=getattr(model.config, "max_position_embeddings", None),
        )
        stream = numpy_stream(seed, "shuffle")
        return prompter, grounding_examples(prompter, GroundingPlan(), stream)
    except PromptError as error:
        raise TokensError(str(error)) from error


def _with_tokens(tokenizer: Any, tokens: Sequence[str]) -> Any:
    """A copy of `tokenizer` that has `tokens` too, as `extend_vocabulary` adds them."""
    from tokenizers import AddedToken

    grown = copy.deepcopy(tokenizer)
    grown.add_tokens([AddedToken(token, normalized=False, special=False) for token in tokens])
    return grown


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
        write_rows(matrix, vocabulary.new_ids, make(start))
    return vocabulary


def _as_semantic_ids(named: TokenPairs) -> SemanticIds:
    """`named`, for what reads nothing of Semantic IDs but which tokens stand for which text."""
    return cast(SemanticIds, named)


def _check(model: Any, tokenizer: Any, tokens: Sequence[str], init: Initializer) -> None:
    """Looks at all that could go wrong later.

    Raises:
        TokensError: one sentence, with the way out.
    """
    if isinstance(init, str) and init not in INITIALIZERS:
        hint = did_you_mean(init, INITIALIZERS) or f"; there are {', '.join(INITIALIZERS)}"
        raise TokensError(f"unknown init {init!r}{hint}")
    if getattr(model, "is_quantized", False) or getattr(model, "hf_quantizer", None) is not None:
        raise TokensError(
            "the model is quantised: load it in bfloat16 or float32, ground, then quantise"
        )
    if any(weight.device.type == "meta" for weight in model.parameters()):
        raise TokensError("the model lies on the meta device and has no weights; load it first")
    if (reason := why_not_plain(model)) is not None:
        raise TokensError(f"{type(model).__name__}: {reason}")
    known = tokenizer.get_vocab()
    rows = model.get_input_embeddings().weight.shape[0]
    if max(known.values()) >= rows:
        raise TokensError(
            f"the tokenizer has ids up to {max(known.values())}, the model {rows} rows: they do not"
            " belong together"
        )
    for token in tokens:
        if token in known:
            raise TokensError(
                f"token {token!r} is in the vocabulary already; take another name, or leave it out"
            )
    _check_whole(tokenizer, tokens)


def _check_whole(tokenizer: Any, tokens: Sequence[str]) -> None:
    """Tries on a copy that the tokenizer leaves each token whole, wherever it stands."""
    tried = _with_tokens(tokenizer, tokens)
    for token in tokens:
        number = tried.convert_tokens_to_ids(token)
        for around in ("{}", "a {} b", "a{}b", "{}{}"):
            text = around.replace("{}", token)
            try:
                ids = tried(text, add_special_tokens=False)["input_ids"]
            except Exception as refusal:  # of whatever kind its author chose
                raise TokensError(f"the tokenizer cannot read {text!r} ({refusal})") from refusal
            if ids.count(number) != around.count("{}"):
                pieces = tried.convert_ids_to_tokens(ids)
                raise TokensError(
                    f"the tokenizer does not keep token {token!r} whole: it reads {text!r} as"
                    f" {pieces}; choose another name, without spaces, such as <{token.strip()}>"
                )


def _check_numbers(**numbers: float) -> None:
    """Numbers above 0, and no more than any computer counts to; batches are whole."""
    for name, value in numbers.items():
        if not (math.isfinite(value) and value > 0):
            raise TokensError(f"{name} is {value}; it must be above 0, and finite")
    if numbers["batch_size"] != int(numbers["batch_size"]):
        raise TokensError(f"batch_size is {numbers['batch_size']}; it must be a whole number")


def _check_choices(style: Style, dtype: Dtype | None, seed: int) -> None:
    """Words that stand for something, and a seed that streams can be made of."""
    for name, value, choices in (
        ("style", style, get_args(Style)),
        ("dtype", dtype, (*get_args(Dtype), None)),
    ):
        if value not in choices:
            raise TokensError(f"unknown {name} {value!r}; there are {', '.join(map(str, choices))}")
    if not 0 <= seed <= LARGEST_SEED:
        raise TokensError(f"seed is {seed}; it must be from 0 to {LARGEST_SEED}")


def _check_lengths(model: Any, tokenizer: Any, named: TokenPairs, max_text_tokens: int) -> None:
    """Texts, cut as they will be, fit into the context with room for a prompt."""
    if max_text_tokens < 1:
        raise TokensError(f"max_text_tokens is {max_text_tokens}; it must be above 0")
    context = getattr(model.config, "max_position_embeddings", None)
    longest = max(map(len, named.token_index))
    room = 64  # wordings and a template's lead take some forty tokens
    if context is not None and max_text_tokens + longest + room > context:
        raise TokensError(
            f"max_text_tokens = {max_text_tokens} with {longest} new tokens and a prompt do not"
            f" fit into the model's context of {context}; lower max_text_tokens to"
            f" {max(4, context - longest - room)}"
        )
