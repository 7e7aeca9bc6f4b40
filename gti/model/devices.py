"""What a device computes in, and with which kernel: asked of torch, so that a record can say it."""

import os
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend

from gti.model.capabilities import head_width, text_config

CPU_BFLOAT16 = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16", "bf16": "ARM bf16"}
"""A processor's feature as Linux names it → what we call it, the fastest first."""
TORCH_BFLOAT16 = {
    "_is_amx_tile_supported": "AMX",
    "_is_avx512_bf16_supported": "AVX512-BF16",
}
"""The same as `torch.cpu` can be asked for it; private names, which a version may lack."""


def cpu_features() -> frozenset[str] | None:
    """The first processor's features as Linux lists them; null elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    listed = (line.partition(":")[2] for line in lines if line.startswith(("flags", "Features")))
    return frozenset(next(listed, "").split()) or None


def cpu_bfloat16() -> str:
    """What multiplies bfloat16 matrices on this CPU.

    Returns:
        "AMX", "AVX512-BF16" or "ARM bf16"; "emulated" where the processor has none of them, nobody
        can say, or torch came without oneDNN, whose kernels use them.
    """
    onednn: Any = torch.backends.mkldnn
    if not onednn.is_available():
        return "emulated"
    features = cpu_features()
    if features is not None:
        found = [name for feature, name in CPU_BFLOAT16.items() if feature in features]
    else:
        found = [
            name
            for question, name in TORCH_BFLOAT16.items()
            if hasattr(torch.cpu, question) and getattr(torch.cpu, question)()
        ]
    return found[0] if found else "emulated"


def has_bfloat16(device: torch.device) -> bool:
    """Whether `device` computes in bfloat16 with instructions for it; software does not count."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type != "cpu" or cpu_bfloat16() != "emulated"


def computed_dtype(device: torch.device, wanted: str) -> tuple[str, str | None]:
    """The dtype that is computed in on `device` where `wanted` is asked for, and why another.

    A device without bfloat16 computes in float32.

    Returns:
        The dtype's name, and null or a sentence for the record.
    """
    if wanted != "bfloat16" or has_bfloat16(device):
        return wanted, None
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "this processor"
    return "float32", (
        f"dtype: the setting's is bfloat16, which {name} does not compute in; computed in float32,"
        " which costs time and memory and moves figures as far as rounding does"
    )


def visible_gpus() -> list[str]:
    """The GPUs that torch sees here, in its order, each as CUDA_VISIBLE_DEVICES names it."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    inherited = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(i) for i in range(count)]
    if inherited:  # may go on behind what is no device, where CUDA stops to read
        names = [name.strip() for name in inherited.split(",")]
    return names[:count]


def attention_kernel(model: Any, dtype: str, *, masked: bool) -> str | None:
    """Torch's kernel for `model`'s attention on its device: "flash", "efficient", "cudnn", "math".

    Torch itself is asked, with tensors of the model's shape; nothing is computed.

    Args:
        model: a causal LM on its device.
        dtype: what is computed in.
        masked: under an explicit mask over pairs of tokens; else causal.

    Returns:
        Null where the model attends in another way or this version of torch cannot be asked.
    """
    choose = getattr(torch, "_fused_sdp_choice", None)
    if choose is None or attention_of(model) != "sdpa":
        return None
    config, device = text_config(model.config), model.get_input_embeddings().weight.device
    heads = getattr(config, "num_attention_heads", None)
    if not heads:
        return None
    width = head_width(config, heads)
    shape = (1, heads, 16, width)
    states = torch.zeros(shape, dtype=getattr(torch, dtype), device=device, requires_grad=True)
    mask = torch.ones(1, 1, 16, 16, dtype=torch.bool, device=device) if masked else None
    number = choose(states, states, states, mask, 0.0, not masked)
    return str(SDPBackend(number).name).removesuffix("_ATTENTION").lower()


def attention_of(model: Any) -> str:
    """The attention that transformers gives `model`, by its name there ("sdpa", "eager")."""
    return str(getattr(model.config, "_attn_implementation", None) or "eager")


def describe_attention(model: Any, dtype: str) -> tuple[str, str | None]:
    """How `model` attends, in a word for the record, and why not by the flash kernel.

    Returns:
        For example "sdpa: flash; under a mask efficient", and null or a sentence for the record.
    """
    way, free = attention_of(model), attention_kernel(model, dtype, masked=False)
    if free is None:
        return way, None
    masked = attention_kernel(model, dtype, masked=True)
    described = f"{way}: {free}" + ("" if masked == free else f"; under a mask {masked}")
    if free == "flash":
        return described, None
    device = model.get_input_embeddings().weight.device.type
    return described, (
        f"attention: no flash kernel for {dtype} and this backbone on {device}; computed with"
        f" torch's kernel {free!r}, which costs time and moves figures as far as rounding does"
    )


def choose_device(name: str) -> Any:
    """The torch device for "auto", "cpu" or "cuda".

    Raises:
        RuntimeError: "cuda" where there is none.
    """
    import torch

    has_cuda = torch.cuda.is_available()
    if name == "cuda" and not has_cuda:
        raise RuntimeError("no CUDA device here; use --device cpu, or auto to take what there is")
    return torch.device("cuda" if has_cuda and name in ("auto", "cuda") else "cpu")
