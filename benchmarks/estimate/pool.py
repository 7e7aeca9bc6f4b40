"""What a grid of cells takes on machines that are not here: `plan --on 8xh100,64xcpu`."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from benchmarks.estimate.flops import cell_flops
from benchmarks.estimate.time import UTILISATION, matrix_rate, seconds_of
from benchmarks.estimate.workload import Workload
from benchmarks.inputs.backbone_sizes import BackboneSize
from benchmarks.machine.utilisation import PUBLISHED
from benchmarks.run.options import CommandError
from benchmarks.run.plan import PlannedCell
from gti.hints import did_you_mean
from leaderboard.records.setting import Setting
from leaderboard.render.numbers import duration

CORE = "cpu"
"""A core like those of this machine, whose rate is measured."""
GPUS = {
    "h100": "NVIDIA H100 80GB HBM3",
    "h100-pcie": "NVIDIA H100 PCIe",
    "h200": "NVIDIA H200",
    "a100": "NVIDIA A100-SXM4-80GB",
}
"""What `--on` calls a GPU → its name in the table of data sheets."""
MOST = 100_000
"""Devices of a pool: beyond that somebody mistyped."""


@dataclass(frozen=True)
class Pool:
    """Devices by kind; one cell at a time on each."""

    devices: Mapping[str, int]

    def __str__(self) -> str:
        """As it is asked for."""
        return ",".join(f"{count}x{kind}" for kind, count in self.devices.items())


def parse_pool(text: str) -> Pool:
    """The pool that `text` names, as "8xh100,64xcpu".

    Raises:
        CommandError: it names none, or a kind that is not known.
    """
    devices: Counter[str] = Counter()
    for part in text.split(","):
        found = re.fullmatch(r"([0-9]{1,6})x([a-z0-9-]+)", part.strip().lower())
        if found is None or not 1 <= int(found[1]) <= MOST:
            raise CommandError(f"--on takes devices as 8xh100,64xcpu; found {part!r}")
        kind = found[2]
        if kind not in (*GPUS, CORE):
            hint = did_you_mean(kind, [*GPUS, CORE]) or ";"
            known = ", ".join([*GPUS, CORE])
            raise CommandError(f"--on {part}: there is no such kind{hint} known are {known}")
        devices[kind] += int(found[1])
    return Pool(devices)


def rate_of(kind: str, dtype: str) -> float:
    """FLOP/s of matrix products on a device, in `dtype`: measured here, or by its data sheet."""
    if kind == CORE:
        return matrix_rate(CORE, dtype)
    return PUBLISHED[GPUS[kind]][dtype]


def spread(seconds: Sequence[Mapping[str, float]], pool: Pool) -> tuple[float, dict[str, float]]:
    """Wall time of cells on `pool`, and device-seconds by kind.

    The longest cells come first, each where it ends earliest: no schedule is found that way that
    takes more than a third longer than the best one, if the devices are of one kind (Graham 1969).

    Args:
        seconds: of each cell, by kind.
        pool: which devices there are.
    """
    # Of each kind its devices by when they are free; equal ones are as good as each other.
    free = {kind: [0.0] * min(count, len(seconds)) for kind, count in pool.devices.items()}
    for heap in free.values():
        heapify(heap)
    spent = dict.fromkeys(pool.devices, 0.0)
    end = 0.0
    for cell in sorted(seconds, key=lambda each: -min(each.values())):
        kind = min(free, key=lambda each: free[each][0] + cell[each])
        ends = heappop(free[kind]) + cell[kind]
        heappush(free[kind], ends)
        spent[kind] += cell[kind]
        end = max(end, ends)
    return end, spent


def pool_lines(
    setting: Setting,
    cells: Sequence[PlannedCell],
    work: Workload,
    size: BackboneSize,
    pool: Pool,
    *,
    core_dtype: str,
    core_seconds: float | None,
) -> list[str]:
    """What `cells` take on `pool`, in lines.

    Args:
        setting: of the cells.
        cells: that are missing.
        work: how much there is to read.
        size: of the backbone.
        pool: where they would run.
        core_dtype: computed in by a core.
        core_seconds: of a cell on such a core where some have ended; null: by their FLOPs.
    """
    flops = [cell_flops(setting, work, size, cell.card.spends) for cell in cells]
    by_kind: dict[str, list[float]] = {}
    lines = []
    for kind, count in pool.devices.items():
        device = "cpu" if kind == CORE else "cuda"
        dtype = core_dtype if kind == CORE else setting.backbone.dtype
        if kind == CORE and core_seconds is not None:
            by_kind[kind] = [core_seconds] * len(cells)
            basis = "mean of the cells finished on such a core"
        else:
            rate = rate_of(kind, dtype)
            by_kind[kind] = [seconds_of(each, device, dtype, rate) for each in flops]
            share = UTILISATION[device][dtype]
            basis = f"{share:.0%} of {rate / 1e12:.3g} TFLOP/s in {dtype}, " + (
                "measured on this machine" if kind == CORE else "its data sheet's; assumed"
            )
        mean = sum(by_kind[kind]) / max(1, len(cells))
        what = "cores like this one" if kind == CORE else GPUS[kind]
        lines.append(f"{kind:<9} {count} × {what}: a cell about {duration(mean)} ({basis})")
    each = [dict(zip(by_kind, row, strict=True)) for row in zip(*by_kind.values(), strict=True)]
    end, spent = spread(each, pool)
    hours = ", ".join(f"{kind} {seconds / 3600:.2g} h" for kind, seconds in spent.items())
    return [*lines, f"all       about {duration(end)} on {pool}; device-hours: {hours}"]
