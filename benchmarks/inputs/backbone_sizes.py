"""How large a model is, read off its config alone: no weights are fetched, opened or made.

The config is the one on this machine, in the model's folder or in the cache; of the models that
shipped settings name a copy of the sizes stands here, for machines that have nothing yet.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine.cache import cache_root
from benchmarks.machine.places import NANO
from gti.model.flops import ModelShape

_HUB = re.compile(r"hub:(?P<repository>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})")

_QWEN3 = {
    "model_type": "qwen3",
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "tie_word_embeddings": True,
}
CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "smollm2-135m": {
        "model_type": "llama",
        "vocab_size": 49_152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "tie_word_embeddings": True,
    },
    "gemma3-270m": {
        "model_type": "gemma3_text",
        "vocab_size": 262_144,
        "hidden_size": 640,
        "intermediate_size": 2048,
        "num_hidden_layers": 18,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 256,
        "sliding_window": 512,
        "tie_word_embeddings": True,
    },
    "Qwen/Qwen3-0.6B": {**_QWEN3, "vocab_size": 151_936},
    "Qwen/Qwen3-Embedding-0.6B": {**_QWEN3, "vocab_size": 151_669},
    "all-MiniLM-L6-v2": {
        "model_type": "bert",
        "vocab_size": 30_522,
        "hidden_size": 384,
        "intermediate_size": 1536,
        "num_hidden_layers": 6,
        "num_attention_heads": 12,
    },
}
"""Model, by its name or hub repository → the sizes in its published config.json."""


@dataclass(frozen=True)
class BackboneSize:
    """Sizes of a causal language model, before any token is added.

    Attributes:
        shape: what FLOPs depend on.
        parameters: of the whole model, a tied head counted once.
        matrices: of the embedding matrix and, where it is a matrix of its own, the head.
        adapters: of the adapters that were asked for; 0 without.
        feed_forward: width between a layer's two feed-forward projections.
        key_value_width: key-value heads × head dimension.
        basis: where the config was found.
    """

    shape: ModelShape
    parameters: int
    matrices: int
    adapters: int
    feed_forward: int
    key_value_width: int
    basis: str


@dataclass(frozen=True)
class EncoderSize:
    """Sizes of a text encoder.

    Attributes:
        body: parameters that each token passes through: all but the word matrix.
        width: of its vectors.
    """

    body: int
    width: int


def backbone_size(
    name: str, *, rank: int = 0, targets: Iterable[str] = (), offline: bool = True
) -> BackboneSize | None:
    """Sizes of the backbone `name`, as settings call it.

    Args:
        name: as for `load_backbone`.
        rank: of low-rank adapters; 0: none.
        targets: modules that get adapters, by the last part of their names.
        offline: ask no hub for a config (a few kB) that is not here.

    Returns:
        Null where no config can be had.
    """
    found = find_config(name, offline=offline)
    if found is None:
        return None
    import torch
    from transformers import AutoModelForCausalLM

    config, basis = found
    auto: Any = AutoModelForCausalLM
    with torch.device("meta"):
        model = auto.from_config(config)
    shape = ModelShape.of(model)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return BackboneSize(
        shape=shape,
        parameters=parameters,
        matrices=parameters - shape.body,
        adapters=_adapters(model, rank, tuple(targets)),
        feed_forward=getattr(config, "intermediate_size", None) or 4 * shape.width,
        key_value_width=heads * shape.attention_width // config.num_attention_heads,
        basis=basis,
    )


def encoder_size(name: str, *, offline: bool = True) -> EncoderSize | None:
    """Sizes of the text encoder `name`; null where no config can be had.

    Args:
        name: as for `benchmarks.inputs.encoders.embed_texts`.
        offline: ask no hub for a config that is not here.
    """
    found = find_config(name, offline=offline)
    if found is None:
        return None
    import torch
    from transformers import AutoModel

    auto: Any = AutoModel
    with torch.device("meta"):
        model = auto.from_config(found[0])
    matrix = model.get_input_embeddings().weight
    whole = sum(parameter.numel() for parameter in model.parameters())
    return EncoderSize(whole - matrix.numel(), matrix.shape[1])


def find_config(name: str, *, offline: bool = True) -> tuple[Any, str] | None:
    """The config of the model `name` and where it was found; null where there is none."""
    from transformers import AutoConfig

    hub = _HUB.fullmatch(name)
    key = hub["repository"] if hub else name
    for folder in _folders(name, hub):
        # sentence-transformers may keep its transformer in a folder of its own.
        for path in (folder / "config.json", folder / "0_Transformer" / "config.json"):
            if path.is_file() and "model_type" in json.loads(path.read_text(encoding="utf-8")):
                return AutoConfig.from_pretrained(str(path.parent)), "its config.json"
    if key in CONFIGS:
        sizes = dict(CONFIGS[key])
        return AutoConfig.for_model(sizes.pop("model_type"), **sizes), "its published sizes"
    if hub is None or offline:
        return None
    try:
        config = AutoConfig.from_pretrained(
            hub["repository"],
            revision=hub["revision"],
            cache_dir=str(cache_root() / "hub"),
            trust_remote_code=False,
        )
    except (OSError, ValueError):
        return None  # no network, or no such model: `prepare` says which
    return config, "its config.json on the hub"


def _folders(name: str, hub: "re.Match[str] | None") -> list[Path]:
    """Where the files of the model `name` lie if they are on this machine."""
    if hub is not None:
        repository = f"models--{hub['repository'].replace('/', '--')}"
        return [cache_root() / "hub" / repository / "snapshots" / hub["revision"]]
    if name == "nano":
        return [NANO]
    if name in CONFIGS and "/" not in name:
        return []  # its sizes stand above
    return [Path(name)]


def _adapters(model: Any, rank: int, targets: tuple[str, ...]) -> int:
    """Parameters of adapters of `rank` on the linear modules that `targets` name."""
    import torch

    return sum(
        rank * (module.in_features + module.out_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and name.rpartition(".")[2] in targets
    )
