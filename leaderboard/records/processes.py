"""Work shared among processes, where there is enough of it."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Task = TypeVar("Task")
Done = TypeVar("Done")


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def share(work: Callable[[Task], Done], tasks: Sequence[Task], processes: int) -> Iterator[Done]:
    """`work` of each of the `tasks`, in their order.

    Args:
        work: a function of a module.
        tasks: what it is called with, one at a time.
        processes: at most so many share them. With more than one the calling script must be
            importable (`if __name__ == "__main__":`), as `spawn` demands.
    """
    processes = min(processes, len(tasks))
    if processes < 2:
        yield from map(work, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        yield from pool.map(work, tasks)
