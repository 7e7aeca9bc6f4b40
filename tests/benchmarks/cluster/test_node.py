"""What a node says of a cell that it could not run."""

import errno
import json
import threading

import pytest

from baselines.registry import methods
from benchmarks.cell.worker import errno_of
from benchmarks.cluster import node
from benchmarks.inputs.catalogue import find_setting
from benchmarks.machine.cache import CacheError, explained
from benchmarks.run.options import RunOptions
from benchmarks.run.plan import plan_cells


def full_cache():
    with explained("save"):
        raise OSError(errno.EDQUOT, "over the quota")


def full_disk():
    raise OSError(errno.ENOSPC, "no space")


def missing():
    raise FileNotFoundError(errno.ENOENT, "no such file")


def wrong():
    raise ValueError("wrong")


@pytest.mark.parametrize(
    ("cell", "kind"),
    [(full_cache, "unfit"), (full_disk, "unfit"), (missing, "failed"), (wrong, "failed")],
)
def test_a_disk_that_is_full_while_a_cell_saves_is_the_node_s_fault(
    cell, kind, write_setting, tmp_path, monkeypatch
):
    class Process:
        code = 1

        def __init__(self, number, job, events, variables):
            try:
                cell()
            except (CacheError, OSError, ValueError) as error:
                failed = {"event": "failed", "message": str(error), "errno": errno_of(error)}
            for event in ({"event": "stage", "stage": "save"}, failed, None):
                events.put((number, event))

        def kill(self):
            pass

        close = terminate = kill

    monkeypatch.setattr(node, "CellProcess", Process)
    options = RunOptions(results=tmp_path / "results", device="cpu")
    (planned,) = plan_cells(
        find_setting(str(write_setting(tmp_path))), [methods()["mean"]], [0], options.results
    )
    told = list(node._run(planned.job(options), {}, threading.Event().wait))
    assert [json.loads(line)["event"] for line in told] == ["stage", kind]
