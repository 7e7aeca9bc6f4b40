"""Where and with which code a cell ran, for its record."""

import ctypes
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.machine.places import ROOT

PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "scipy", "peft")


def package_versions(names: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Installed versions of `names`; what is not installed is left out."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def processor_name() -> str:
    """The processor's own name where the system tells it, else its architecture."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux: the platform module is asked below
    return platform.processor() or platform.machine()


def system_name() -> str:
    """The operating system and its release: numbers alone, without the name of a build."""
    numbers = re.match(r"\d+(\.\d+)*", platform.release())
    return f"{platform.system()} {numbers[0]}" if numbers else platform.system()


def gpu_driver() -> str | None:
    """The version of NVIDIA's driver as its own tool tells it; null where it cannot be asked."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip().partition("\n")[0] or None


def describe_environment(
    device: Any, dtype: str, attention: str | None = None, *, deterministic: bool
) -> dict[str, Any]:
    """The record's `environment` for computations with torch on `device`.

    Args:
        device: where it computes.
        dtype: that it really computes in (`gti.model.devices.computed_dtype`).
        attention: the backbone's (`gti.model.devices.describe_attention`); null before it is known.
        deterministic: whether the same machine gives the same bits.
    """
    import torch

    from gti.model.devices import cpu_bfloat16

    cuda = device.type == "cuda"
    return {
        "machine": torch.cuda.get_device_name(device) if cuda else platform.machine(),
        "processor": processor_name(),
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "device": device.type,
        "driver": gpu_driver() if cuda else None,
        "threads": torch.get_num_threads(),
        "dtype": dtype,
        "bfloat16": cpu_bfloat16() if dtype == "bfloat16" and device.type == "cpu" else None,
        "attention": attention,
        "deterministic": deterministic,
        "python": platform.python_version(),
        "platform": system_name(),
        "packages": package_versions(),
    }


def plain_environment() -> dict[str, Any]:
    """The record's `environment` for references, which need neither torch nor a device."""
    return {
        "machine": platform.machine(),
        "processor": processor_name(),
        "instruction_set": None,
        "device": "cpu",
        "driver": None,
        "threads": 1,
        "dtype": "int64",
        "deterministic": True,
        "python": platform.python_version(),
        "platform": system_name(),
        "packages": package_versions(("numpy", "scipy")),
    }


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def describe_code(*, plain: bool = False) -> dict[str, Any]:
    """The record's `code`: version, commit, whether it was changed since, whether it ran plain."""
    try:
        own = version("gti-bench")
    except PackageNotFoundError:
        own = "unknown"
    inside = _git("ls-files", "--error-unmatch", "pyproject.toml") is not None
    commit = _git("rev-parse", "HEAD") if inside else None
    # Results are written beside the code and committed later: they do not make the code dirty.
    status = _git("status", "--porcelain", "--", ":!leaderboard/results", ":!results")
    return {
        "version": own,
        "commit": commit,
        "dirty": None if commit is None or status is None else bool(status),
        "plain": True if plain else None,
    }


def changed_files(commit: str | None) -> int | None:
    """Files that can move a figure and differ between `commit` and this one; null if unknown."""
    if commit is None or re.fullmatch(r"[0-9a-f]{7,64}", commit) is None:
        return None
    code = ("gti", "baselines", "benchmarks", "leaderboard", ":!leaderboard/results")
    changed = _git("diff", "--name-only", commit, "HEAD", "--", *code)
    return None if changed is None else len(changed.splitlines())


def peak_memory_bytes(device: Any | None = None) -> int | None:
    """Peak memory: of the device where it is a GPU, else of this process; null if unknown.

    Since `reset_peak_memory` was last called, where that could be done; else since the start.
    """
    if device is not None and device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    try:
        return _status_bytes("VmHWM")
    except (OSError, KeyError):
        return _lifetime_peak()


def reset_peak_memory(device: Any | None = None) -> bool:
    """From here on `peak_memory_bytes` says anew what is held at most; false where it cannot.

    On Linux what this process keeps without using it goes back to the system first: workers keep
    big blocks (`KEEP_MEMORY`), and a stage would else start at the last one's peak.
    """
    if device is not None and device.type == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        return True
    if not sys.platform.startswith("linux"):
        return False
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
    if trim is not None:
        trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _status_bytes(field: str) -> int:
    """A figure of `/proc/self/status`, which Linux gives in KiB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return 1024 * int(fields[field].split()[0])


def _lifetime_peak() -> int | None:
    """Peak memory of this process since it started; null if unknown."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "4000000000",
    "MALLOC_TOP_PAD_": "200000000",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
"""glibc alone reads these: big blocks stay with the process instead of going back every step, which
a threshold for mmap does not do, as glibc takes none above 32 MiB; and they lie in huge pages where
Linux gives some on request (from glibc 2.35 on): the same numbers in 1 to 8 % less time."""


def one_thread_environment() -> dict[str, str]:
    """Environment variables for a worker: one thread, kept memory, fixed hashing."""
    return {
        **KEEP_MEMORY,
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "PYTHONHASHSEED": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
