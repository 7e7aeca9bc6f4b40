"""What this machine has, and which settings it can run."""

import os
import platform
import shutil
from pathlib import Path

from benchmarks.estimate.time import estimate
from benchmarks.estimate.workload import workload_of
from benchmarks.inputs.backbone_sizes import backbone_size
from benchmarks.inputs.catalogue import find_setting, setting_names
from benchmarks.inputs.inputs import load_data
from benchmarks.inputs.semantic_ids import draws_of, semantic_ids_here
from benchmarks.machine.assets import ASSETS
from benchmarks.machine.cache import cache_root
from benchmarks.machine.environment import package_versions, processor_name
from benchmarks.machine.places import COMMITTED_RESULTS
from benchmarks.run.options import default_workers
from leaderboard.render.numbers import duration

GIB = 1 << 30


def memory_bytes() -> int | None:
    """Physical memory; null where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def machine_lines() -> list[str]:
    """Processor, memory, disk, software, device."""
    import torch

    memory = memory_bytes()
    free = shutil.disk_usage(_existing(cache_root())).free
    versions = ", ".join(f"{name} {value}" for name, value in package_versions().items())
    lines = [
        f"processor  {processor_name()}, {default_workers('cpu')} cores for workers,"
        f" instruction set {torch.backends.cpu.get_cpu_capability()}, bfloat16 {_bfloat16()}",
        f"memory     {'unknown' if memory is None else f'{memory / GIB:.0f} GiB'}",
        f"system     {platform.system()} {platform.machine()}, Python {platform.python_version()}",
        f"packages   {versions}",
        f"cache      {cache_root()} ({free / GIB:.0f} GiB free)",
    ]
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        name = (f"{count} × " if count > 1 else "") + torch.cuda.get_device_name(0)
        total = torch.cuda.get_device_properties(0).total_memory / GIB
        bf16 = "with" if torch.cuda.is_bf16_supported() else "without"
        lines.append(f"GPU        {name}, {total:.0f} GiB, {bf16} bfloat16")
    else:
        lines.append("GPU        none")
    return lines


def _bfloat16() -> str:
    """What a CPU does with bfloat16, in words."""
    from gti.model.devices import cpu_bfloat16

    found = cpu_bfloat16()
    return "by software (cells compute in float32)" if found == "emulated" else f"by {found}"


def _existing(path: Path) -> Path:
    """`path` or the nearest folder above it that exists."""
    while not path.exists():
        path = path.parent
    return path


def asset_lines() -> list[str]:
    """Which assets are in the cache."""
    lines = []
    for asset in ASSETS.values():
        here = "in the cache" if asset.folder.exists() else f"to fetch, {asset.megabytes:.0f} MB"
        lines.append(f"{asset.name:<18} {asset.wheel}: {here}")
    return lines


def setting_lines() -> list[str]:
    """What each setting needs, and how long a cell of it takes here where it can run."""
    width = max(map(len, setting_names()))
    return [f"{name:<{width}}  {_here(name)}" for name in setting_names()]


def _here(name: str) -> str:
    """Whether the setting `name` runs on this machine, and how long a cell takes."""
    import torch

    from gti.model.devices import computed_dtype

    setting = find_setting(name).setting
    has_gpu = torch.cuda.is_available()
    device = "cuda" if has_gpu else "cpu"
    dtype, _ = computed_dtype(torch.device(device), setting.backbone.dtype)
    runs = "runs here" if dtype == setting.backbone.dtype else f"runs here in {dtype}"
    absent = f"{runs}; data or Semantic IDs are not: gti-bench prepare {name}"
    try:
        data = load_data(setting, offline=True)
        draws = draws_of(setting, setting.seeds).values()
        found = [semantic_ids_here(setting, data.dataset, seeds[0]) for seeds in draws]
    except (RuntimeError, ValueError):
        return absent
    sids = [each[0] for each in found if each is not None]
    if len(sids) < len(found):
        return absent
    size = backbone_size(setting.backbone.name)
    if size is None:
        return runs
    work = workload_of(setting, data, sids[0])
    known = [Path("results"), COMMITTED_RESULTS]
    cost = estimate(setting, work, device, known, size, [{"before": 1.0}])
    return f"{runs}; a cell takes about {duration(cost.seconds)} ({cost.basis})"
