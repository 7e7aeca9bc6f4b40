"""What is computed in and by which kernel, with devices that lack one or the other."""

from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from gti.model import devices
from gti.model.devices import (
    attention_kernel,
    computed_dtype,
    cpu_bfloat16,
    describe_attention,
)

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def gpu(monkeypatch):
    """`gpu(native)`: what torch says of a GPU with or without bfloat16, that it can emulate."""

    def make(native):
        def supported(including_emulation=True):
            return native or including_emulation

        monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")

    return make


@pytest.fixture
def processor(monkeypatch, tmp_path):
    """`processor(text)`: /proc/cpuinfo reads so; null: there is none, as outside Linux."""
    read = Path.read_text

    def make(text):
        def read_text(self, **options):
            if str(self) != "/proc/cpuinfo":
                return read(self, **options)
            if text is None:
                raise FileNotFoundError(self)
            return text

        monkeypatch.setattr(Path, "read_text", read_text)

    return make


XEON = "processor\t: 0\nflags\t\t: fpu avx512f amx_bf16 avx512_bf16\n\nprocessor\t: 1\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (XEON, "AMX"),
        (XEON.replace("amx_bf16 ", ""), "AVX512-BF16"),
        ("processor\t: 0\nFeatures\t: fp asimd bf16\n", "ARM bf16"),
        ("flags\t\t: fpu avx512f avx512bw\n", "emulated"),
        ("Features\t: fp asimd\n", "emulated"),
    ],
)
def test_a_cpu_is_known_by_its_fastest_instructions_for_bfloat16(processor, text, expected):
    processor(text)
    assert cpu_bfloat16() == expected
    dtype, reason = computed_dtype(CPU, "bfloat16")
    assert dtype == ("float32" if expected == "emulated" else "bfloat16")
    assert (reason is None) == (expected != "emulated")
    assert computed_dtype(CPU, "float32") == ("float32", None)


@pytest.mark.parametrize(
    ("amx", "avx512", "expected"),
    [(True, True, "AMX"), (False, True, "AVX512-BF16"), (False, False, "emulated")],
)
def test_elsewhere_than_on_linux_torch_is_asked(processor, monkeypatch, amx, avx512, expected):
    processor(None)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512, raising=False)
    assert cpu_bfloat16() == expected


def test_a_torch_that_cannot_be_asked_or_has_no_kernels_emulates(processor, monkeypatch):
    processor(None)
    for name in devices.TORCH_BFLOAT16:
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert cpu_bfloat16() == "emulated"
    processor(XEON)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert cpu_bfloat16() == "emulated"


def test_devices_with_bfloat16_compute_what_they_are_asked_to(gpu, processor):
    gpu(native=True)
    processor(XEON)
    for device in (CPU, GPU):
        for dtype in ("float32", "bfloat16"):
            assert computed_dtype(device, dtype) == (dtype, None)


def test_a_gpu_without_bfloat16_computes_in_float32_and_says_so(gpu):
    gpu(native=False)
    assert computed_dtype(GPU, "float32") == ("float32", None)
    dtype, reason = computed_dtype(GPU, "bfloat16")
    assert dtype == "float32"
    assert all(word in reason for word in ("bfloat16", "Tesla T4", "computed in float32"))


@pytest.mark.parametrize("kind", ["tied", "qwen3"])
def test_the_kernel_is_the_one_that_torch_runs(make_bench, kind):
    model = make_bench(kind).model
    ids = torch.arange(16)[None]
    for kernels, name in (([SDPBackend.MATH], "math"), ([SDPBackend.FLASH_ATTENTION], "flash")):
        with sdpa_kernel(kernels):
            assert attention_kernel(model, "float32", masked=False) == name
            assert attention_kernel(model, "float32", masked=True) == name
            with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as run:
                model.base_model(input_ids=ids)
        called = {event.key for event in run.key_averages()}
        assert any(f"attention_{name}" in each for each in called) == (name == "math")
        assert any(f"{name}_attention" in each for each in called) == (name == "flash")


def test_a_device_without_flash_attention_is_described_and_said(make_bench):
    model = make_bench().model
    assert describe_attention(model, "bfloat16") == ("sdpa: flash", None)
    with sdpa_kernel([SDPBackend.MATH]):
        described, reason = describe_attention(model, "bfloat16")
    assert described == "sdpa: math"
    assert all(word in reason for word in ("flash", "bfloat16", "cpu", "'math'"))


def test_a_kernel_of_its_own_under_a_mask_is_described(make_bench, monkeypatch):
    def choose(query, key, value, mask, dropout, causal):
        scaled_dot_product_attention(query, key, value, mask, dropout, causal)  # fits together
        backend = SDPBackend.FLASH_ATTENTION if mask is None else SDPBackend.EFFICIENT_ATTENTION
        return backend.value

    monkeypatch.setattr(torch, "_fused_sdp_choice", choose)
    described = describe_attention(make_bench().model, "float32")
    assert described == ("sdpa: flash; under a mask efficient", None)


def test_other_ways_to_attend_have_no_kernel_to_name(make_bench, monkeypatch):
    model = make_bench().model
    model.config._attn_implementation = "eager"
    assert describe_attention(model, "float32") == ("eager", None)
    model.config._attn_implementation = "sdpa"
    monkeypatch.delattr(torch, "_fused_sdp_choice")
    assert describe_attention(model, "float32") == ("sdpa", None)
