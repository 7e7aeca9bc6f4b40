"""Merging: new records come in whole, and none that is there is ever overwritten."""

import json

import pytest

from benchmarks.lease.home import bring_home, merge_results
from benchmarks.lease.pieces import LeaseError
from benchmarks.perf.honest_records.writer import ENVIRONMENT, RecordWriter
from leaderboard.records.record import ranks_path
from leaderboard.verify.verify import verify


@pytest.fixture
def places(tmp_path):
    """(what was brought, what is here): a board of three methods each, one method apart."""
    brought = RecordWriter(tmp_path / "lease" / "results").board(("mean", "gti", "popularity"))
    here = RecordWriter(tmp_path / "results").board(("mean", "random", "popularity"))
    return brought, here


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}


def test_new_records_come_with_all_that_verify_asks_for(places):
    brought, here = places
    for artefact in (here / "inputs").glob("*.npz"):
        artefact.unlink()
    merge = merge_results(brought, here)
    assert [line.split()[0] for line in merge.new] == [f"toy/gti/seed-{n}.json" for n in range(3)]
    assert all("ndcg@10 " in line and line.endswith(" on toy") for line in merge.new)
    assert [name.split("/")[1] for name in merge.same] == [*["mean"] * 3, "popularity"]
    assert not merge.conflicts
    assert not merge.refused
    assert verify(here) == []
    for seed in range(3):
        name = f"toy/gti/seed-{seed}.json"
        assert (here / name).read_bytes() == (brought / name).read_bytes()


def test_the_same_ranks_from_another_machine_are_the_same_record(places):
    brought, here = places
    other = {**ENVIRONMENT, "machine": "another"}
    RecordWriter(brought).write("popularity", environment=other)
    before = content(here)
    merge = merge_results(brought, here)
    assert "toy/popularity/seed-0.json" in merge.same
    assert before.items() <= content(here).items()


def test_a_record_of_other_ranks_is_told_and_not_taken(places, capsys):
    brought, here = places
    RecordWriter(brought).write("mean", 1, skill=0.9)
    before = content(here)
    assert bring_home(brought.parent, here) == 1
    assert before.items() <= content(here).items()
    said = capsys.readouterr().out
    (line,) = [line for line in said.splitlines() if "toy/mean/seed-1.json" in line]
    assert "of the same cell with other ranks" in line
    assert line.endswith("the one here is kept")
    assert "conflicts: 1" in said
    assert bring_home(brought.parent, here) == 1  # the new ones are the same now
    assert "new: 0" in capsys.readouterr().out


def test_a_record_here_that_cannot_be_read_is_left_as_it_is(places):
    brought, here = places
    damaged = here / "toy" / "mean" / "seed-2.json"
    damaged.write_text("{")
    (line,) = merge_results(brought, here).conflicts
    assert line.startswith("toy/mean/seed-2.json: the one here cannot be read")
    assert damaged.read_text() == "{"


@pytest.mark.parametrize("damage", ["record", "ranks"])
def test_a_damaged_record_does_not_come_in(places, damage):
    brought, here = places
    path = brought / "toy" / "gti" / "seed-0.json"
    if damage == "ranks":
        ranks_path(path).unlink()
    else:
        changed = json.loads(path.read_text())
        changed["metrics"]["test"]["ndcg@10"] = 1.0
        path.write_text(json.dumps(changed))
    merge = merge_results(brought, here)
    (line,) = merge.refused
    assert "seed-0" in line
    assert not (here / "toy" / "gti" / "seed-0.json").exists()
    assert len(merge.new) == 2


def test_a_folder_without_anything_of_a_run_is_refused(tmp_path):
    with pytest.raises(LeaseError, match=r"holds no manifest\.json and no results"):
        bring_home(tmp_path)
