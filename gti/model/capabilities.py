"""Which short cuts a model allows: what its config declares, and how it is tried.

Packed runs behind constant prefixes, shared beginnings, reading layer by layer and beams side by
side are exact only where a token's state depends on nothing but the tokens and positions it is
shown. What a config says against that is read here, for all of them; what it does not say shows
when the model is tried: a few tokens are read both ways, once per model and short cut. What every
stage takes for granted, that logits are the head's matrix times the last states, is tried against
the model's own logits, and a model of which it is not true is refused.
"""

import math
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor
from torch.nn.functional import embedding

CHANGING_ROPE = ("dynamic", "longrope")
"""Rotary embeddings that depend on the longest sequence of a batch."""
LIMITED_LAYERS = ("sliding_attention", "chunked_attention")
"""Kinds of layers that are full attention as far as the limit in their config."""
LIMITS = (
    "sliding_window",
    "window_size",
    "attention_window_size",
    "local_attention",
    "attention_chunk_size",
    "keep_window_size",
    "index_topk",
)
"""Entries of a config that say how many tokens a token attends to at most."""
TRANSFORMED = ("final_logit_softcapping", "logit_scale", "logits_scaling")
"""Entries of a config that change logits unless they are null or one."""
ALIKE = 1e-2
"""As far apart two tables of rows are at most that hold the same ones, each over its largest."""
LARGE = 1000.0
"""Size of the logits that are put in the place of a head's, to see what becomes of them."""

Tried = MutableMapping[torch.nn.Module, tuple[object, str | None]]
"""Models that were tried → what they were made of then, and what came out."""
STATES: Tried = WeakKeyDictionary()
"""What came out for `why_not_plain`."""
LOOKED_UP: Tried = WeakKeyDictionary()
"""What came out for `why_not_looked_up`."""
ORIGINALS: MutableMapping[torch.nn.Module, "ref[torch.nn.Module]"] = WeakKeyDictionary()
"""Copies in fewer bits → what they are copies of."""


class ModelError(ValueError):
    """A model that this package does not compute with; the message says why."""


def text_config(config: Any) -> Any:
    """The part of `config` that describes the language model, where it describes others too."""
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def head_width(config: Any, heads: int) -> int:
    """Width of one of `heads` attention heads; the model's width over them where none is said."""
    try:
        width: Any = getattr(config, "head_dim", None)
    except Exception:  # the library's own kind, where each layer has a width of its own
        width = None
    return int(width or config.hidden_size // heads)


def hidden_dependence(config: Any) -> str | None:
    """What in `config` lets a token's state depend on more than the tokens and positions it sees.

    Short trials cannot find these out: they show on long inputs alone. Null where there is nothing.
    """
    config = text_config(config)
    kinds = set(getattr(config, "layer_types", None) or ()) - {"full_attention"}
    if kinds:
        return f"layers of kind {', '.join(sorted(kinds))}"
    for name in LIMITS:
        if getattr(config, name, None) is not None:
            windowed = name == "sliding_window"
            return "attention in a sliding window" if windowed else f"attention bounded by {name}"
    for rope in _ropes(config):
        if rope.get("rope_type", "default") in CHANGING_ROPE:
            return f"{rope['rope_type']} rotary positions"
    return None


def free_length(config: Any) -> float:
    """Up to how many tokens `hidden_dependence` makes no difference; infinite where there is none.

    Zero where the config says no length.
    """
    if hidden_dependence(config) is None:
        return math.inf
    config = text_config(config)
    kinds = set(getattr(config, "layer_types", None) or ()) - {"full_attention"}
    limits = [getattr(config, name, None) for name in LIMITS]
    bounds = [limit for limit in limits if isinstance(limit, int)]
    if kinds - set(LIMITED_LAYERS) or (kinds and not bounds):
        return 0
    for rope in _ropes(config):
        if rope.get("rope_type", "default") in CHANGING_ROPE:
            known: Any = rope.get("original_max_position_embeddings")
            bounds.append(known or getattr(config, "max_position_embeddings", 0))
    return min(bounds)


def context_of(config: Any) -> int | None:
    """How many tokens a sequence may have at most; null where the config says nothing.

    Rotary positions that change with length are those of the longest sequence of a batch, for all
    of it, so that sequences end where these begin to.
    """
    config = text_config(config)
    known = getattr(config, "max_position_embeddings", None)
    limits = [known] if isinstance(known, int) else []
    for rope in _ropes(config):
        if rope.get("rope_type", "default") in CHANGING_ROPE:
            first = rope.get("original_max_position_embeddings")
            limits += [first] if isinstance(first, int) else []
    return min(limits, default=None)


def hides(config: Any, tokens: int) -> str | None:
    """`hidden_dependence` where a sequence of `tokens` tokens is long enough for it; else null."""
    return hidden_dependence(config) if tokens > free_length(config) else None


def _ropes(config: Any) -> Iterator[Mapping[str, Any]]:
    """The rotary embedding, or that of each kind where layers of several kinds have their own."""
    rope = getattr(config, "rope_parameters", None) or {}
    yield rope
    yield from (value for value in rope.values() if isinstance(value, Mapping))


@contextmanager
def trying(model: Any) -> Iterator[None]:
    """Runs `model` as it is, without dropout, gradients or autocast, for as long as it lasts."""
    device = model.get_input_embeddings().weight.device
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        model.train(was_training)


def try_once(known: Tried, model: Any, trial: Callable[[], str | None]) -> str | None:
    """What `trial` finds about `model`, asked again only when the model is made of other things.

    Memory that runs out is no finding: it is raised, and nothing is noted.
    """
    weight = model.get_input_embeddings().weight
    modules = sum(1 for _ in model.modules())
    attention = getattr(model.config, "_attn_implementation", None)
    made_of = (modules, weight.dtype, weight.device, attention)
    if model not in known or known[model][0] != made_of:
        known[model] = (made_of, trial())
    return known[model][1]


def note_copy(copied: Any, model: Any) -> None:
    """Remembers that `copied` is `model` in fewer bits, its layers and their order the same."""
    ORIGINALS[copied] = ref(model)


def original_of(model: Any) -> Any:
    """What `model` is a copy of in fewer bits, where that is still there; else `model`.

    Whether two ways compute the same is a question of what a model is made of. In bfloat16 rounding
    alone can set them apart, above all behind tokens at which states are large; in float32 hardly.
    """
    found = ORIGINALS.get(model, ref(model))()
    return model if found is None else found


def try_original(known: Tried, model: Any, trial: Callable[[Any], str | None]) -> str | None:
    """As `try_once`, of what `model` is a copy of."""
    tried = original_of(model)
    return try_once(known, tried, lambda: trial(tried))


def difference(found: Tensor, expected: Tensor) -> float:
    """Largest difference between what two ways give, over the largest that is expected."""
    found, expected = found.detach().double(), expected.detach().double()
    return float((found - expected).abs().max() / expected.abs().max())


def largest_difference(dtype: torch.dtype) -> float:
    """How far two ways that compute the same in `dtype` may be apart (`difference`)."""
    return float(torch.finfo(dtype).eps ** 0.5)


def trial_ids(model: Any, rows: int, length: int) -> Tensor:
    """[rows, length] token ids from all over the vocabulary, all different where it is as large.

    The first ids of many tokenizers are control tokens: nothing trained their rows but where they
    belong, and behind them rounding alone sets two ways apart.
    """
    weight = model.get_input_embeddings().weight
    spread = max(1, len(weight) // (rows * length))
    ids = torch.arange(rows * length, device=weight.device).view(rows, length)
    return ids * spread % len(weight)


def check_model(model: Any) -> None:
    """Refuses a model whose logits are not the head's matrix times its last states.

    Every stage computes these states alone, for right-padded sequences side by side, and applies
    the head itself, at answer positions only. A few tokens are read both ways, once per model.

    Raises:
        ModelError: why, in one sentence.
    """
    reason = why_not_plain(model)
    if reason is not None:
        raise ModelError(f"{type(model).__name__}: {reason}")


def why_not_plain(model: Any) -> str | None:
    """Why `check_model` refuses `model`; null where it does not."""
    declared = _declared(model)
    if declared is not None:
        return declared
    return try_once(STATES, model, lambda: _try_plain(model))


def _declared(model: Any) -> str | None:
    """What `model` says of itself against `check_model`; null where that is nothing."""
    if hasattr(model, "get_base_model"):
        return (
            "a wrapper of PEFT is not supported: pass what is in it, `model.get_base_model()`, or"
            " `model.merge_and_unload()`, whose weights all train"
        )
    if getattr(model.config, "is_encoder_decoder", False):
        return "an encoder with a decoder is not supported, only causal language models are"
    try:
        rows = getattr(model.get_input_embeddings(), "weight", None)
        head = model.get_output_embeddings()
    except (AttributeError, NotImplementedError) as refusal:
        return f"its embeddings cannot be had ({type(refusal).__name__})"
    if head is None:
        return "it has no language-model head"
    if model.base_model is model:
        return "its layers cannot be called without its head"
    if getattr(head, "bias", None) is not None:
        return "a head with a bias is not supported"
    matrices: list[Any] = [rows, getattr(head, "weight", None)]
    if not all(isinstance(each, Tensor) and each.ndim == 2 for each in matrices):
        return "its embeddings or its head are not one matrix each"
    if len(matrices[0]) != len(matrices[1]) or not all(x.is_floating_point() for x in matrices):
        return "its embedding matrix and its head do not hold a row of numbers for each token"
    for name in TRANSFORMED:
        value = getattr(text_config(model.config), name, None)
        if value not in (None, 1, 1.0):
            return f"logits are transformed ({name} = {value}); only plain heads are supported"
    return None


def _try_plain(model: Any) -> str | None:
    """What differs between the states and logits that stages rely on and the model's own."""
    ids, lengths = trial_ids(model, 2, 9), (9, 6)
    weight = model.get_output_embeddings().weight
    bound = largest_difference(weight.dtype)
    asked: list[str] = []

    def hidden(tokens: Tensor) -> Tensor:
        states: Tensor = model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
        return states

    try:
        with trying(model):
            rows = [ids[row : row + 1, :length] for row, length in enumerate(lengths)]
            with _watched(model, ids, asked):
                beside = hidden(ids)
            alone = [hidden(row)[0] for row in rows]
            logits = [model(input_ids=row, use_cache=False).logits[0] for row in rows]
            with _enlarged(model.get_output_embeddings()) as enlarged:
                given = model(input_ids=rows[0], use_cache=False).logits
    except torch.OutOfMemoryError:
        raise
    except Exception as refusal:  # its author's choice
        return f"it cannot be read as a causal language model is ({_said(refusal)})"
    asked += _number_tables(model)
    if asked:
        return (
            f"a second table of rows per token, {asked[0]}, is not supported: new tokens would"
            " have no row in it"
        )
    padded = [states[:length] for states, length in zip(beside, lengths, strict=True)]
    error = difference(torch.cat(padded), torch.cat(alone))
    if not error < bound:
        return f"a token's state depends on what stands behind it (it differs by {error:.1g})"
    states = torch.cat(alone)  # of some families float32, whatever the weights are
    error = difference(states @ weight.to(states.dtype).T, torch.cat(logits))
    if not error < bound:
        return (
            "its logits are not its last states times the matrix of its head (they differ by"
            f" {error:.1g}); only plain heads are supported"
        )
    if enlarged and not difference(given, enlarged[-1]) < bound:
        return "logits are transformed behind the head; only plain heads are supported"
    return None


def _said(refusal: Exception) -> str:
    """The kind of an error and the beginning of its first line."""
    first = (str(refusal).strip().splitlines() or [""])[0][:120].rstrip(".")
    return f"{type(refusal).__name__}: {first}" if first else type(refusal).__name__


def _number_tables(model: Any) -> list[str]:
    """Names of tables of whole numbers with a row per token, as where tokens choose experts."""
    rows = len(model.get_input_embeddings().weight)
    tables = (*model.named_buffers(), *model.named_parameters())
    return [
        name
        for name, table in tables
        if table.ndim and len(table) == rows and not table.is_floating_point()
    ]


@contextmanager
def _watched(model: Any, ids: Tensor, asked: list[str]) -> Iterator[None]:
    """Notes in `asked` the names of all tables but the first that are asked for rows of `ids`."""
    first, most = model.get_input_embeddings(), int(ids.max())

    def note(name: str) -> Callable[..., None]:
        def after(table: torch.nn.Embedding, _: object, found: Tensor) -> None:
            if most < len(table.weight) and found.shape == (*ids.shape, table.weight.shape[1]):
                rows = embedding(ids, table.weight)  # it may scale them
                if difference(found / found.abs().max(), rows / rows.abs().max()) < ALIKE:
                    asked.append(name)

        return after

    hooks = [
        module.register_forward_hook(note(name))
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Embedding) and module is not first
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _enlarged(head: torch.nn.Module) -> Iterator[list[Tensor]]:
    """Has `head` give logits of size `LARGE`, and lists them: a cap or a scale behind it shows."""
    given: list[Tensor] = []

    def enlarge(_: object, inputs: object, logits: Tensor) -> Tensor:
        given.append(logits * (LARGE / logits.abs().max()))
        return given[-1]

    hook = head.register_forward_hook(enlarge)
    try:
        yield given
    finally:
        hook.remove()


def row_scale(model: Any) -> float:
    """What the module that looks rows up multiplies them by, in their dtype; 1 where it says none.

    Gemma's rows are taken times the root of the model's width, which bfloat16 rounds.
    """
    module = model.get_input_embeddings()
    scale = getattr(module, "embed_scale", None)
    if not isinstance(scale, int | float | Tensor):
        return 1.0
    return float(torch.as_tensor(scale).to(module.weight.dtype))


def why_not_looked_up(model: Any) -> str | None:
    """Why rows, times `row_scale`, must not be given to `model` in the place of tokens; null: may.

    Some families do more to them, in the module that looks them up or beside it, or read the token
    ids once more.
    """
    return try_once(LOOKED_UP, model, lambda: _try_looked_up(model))


def _try_looked_up(model: Any) -> str | None:
    weight, ids = model.get_input_embeddings().weight, trial_ids(model, 2, 6)
    try:
        with trying(model):
            plain = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
            rows = embedding(ids, weight) * row_scale(model)
            found = model.base_model(inputs_embeds=rows, use_cache=False).last_hidden_state
    except torch.OutOfMemoryError:
        raise
    except Exception as refusal:  # its author's choice
        return f"it takes no rows in the place of tokens ({type(refusal).__name__})"
    error = difference(found, plain)
    if error < largest_difference(weight.dtype):
        return None
    return f"rows in the place of tokens give other states (they differ by {error:.1g})"
