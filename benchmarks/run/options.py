"""How a command runs its cells: one object, from the command line down to the workers' jobs."""

import os
from dataclasses import dataclass, replace
from pathlib import Path


class CommandError(ValueError):
    """A request that cannot be met; the message says what to ask instead."""


@dataclass(frozen=True, kw_only=True)
class OnCluster:
    """How `run` uses a Ray cluster.

    Attributes:
        address: where it is; "auto": the one that runs on this machine.
        gpus_per_cell: share of a GPU that a cell takes.
        shared: a folder that all nodes see, for checkpoints; null: a cell that is lost starts anew.

    Raises:
        CommandError: no such share.
    """

    address: str = "auto"
    gpus_per_cell: float = 1.0
    shared: Path | None = None

    def __post_init__(self) -> None:
        """Checks the share."""
        if not 0 < self.gpus_per_cell <= 1:
            raise CommandError(
                f"--gpus-per-cell must be above 0 and at most 1, found {self.gpus_per_cell}"
            )


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What `plan`, `run`, `tune`, `references` and `rerun` are told beside which cells.

    Attributes:
        results: where records lie and go.
        workers: cells side by side; null: as many as `num_workers` says.
        device: "auto", "cpu" or "cuda"; "recorded", in `rerun` alone: the kind that a record names.
        offline: touch no network.
        plain: run the slow reference everywhere.
        replace: run anew what lies there with another hash.
        debug: full traces, of the workers too.
        stop_after: seconds after which `run` ends; null: when all is done.
        shard: part of the cells that `run` does, as `benchmarks.run.shard` reads it; null: all.
        checkpoint_seconds: from one checkpoint of a cell to the next; null: as by default.
        cluster: where cells run; null: on this machine.

    Raises:
        CommandError: the folder for checkpoints of a cluster is one for results.
    """

    results: Path
    workers: int | None = None
    device: str = "auto"
    offline: bool = False
    plain: bool = False
    replace: bool = False
    debug: bool = False
    stop_after: float | None = None
    shard: str | None = None
    checkpoint_seconds: float | None = None
    cluster: OnCluster | None = None

    def __post_init__(self) -> None:
        """Checks that nodes write nothing among the records, which the run itself writes."""
        shared = self.cluster.shared if self.cluster else None
        if shared is not None and shared.resolve().is_relative_to(self.results.resolve()):
            raise CommandError(
                f"--shared {shared} lies in the results directory {self.results}; name a folder"
                " beside it"
            )

    def resolved(self) -> "RunOptions":
        """The same with what "auto" and null mean here: the kind of device, how many workers.

        Raises:
            CommandError: fewer than one worker is asked for.
        """
        from gti.model.devices import choose_device

        on_kind = replace(self, device=str(choose_device(self.device).type))
        return replace(on_kind, workers=on_kind.num_workers)

    @property
    def num_workers(self) -> int:
        """Cells side by side: as asked, else one a core on a CPU, one a GPU.

        Raises:
            CommandError: fewer than one is asked for.
        """
        if self.workers is None:
            return default_workers(self.device)
        if self.workers < 1:
            raise CommandError(f"--workers must be at least 1, found {self.workers}")
        return self.workers

    @property
    def gpus(self) -> list[str]:
        """The GPUs that workers are spread over; none on a CPU."""
        from gti.model.devices import visible_gpus

        return visible_gpus() if self.device == "cuda" else []


def default_workers(device: str) -> int:
    """One worker per available core on a CPU; one per GPU."""
    if device == "cuda":
        from gti.model.devices import visible_gpus

        return max(1, len(visible_gpus()))
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
