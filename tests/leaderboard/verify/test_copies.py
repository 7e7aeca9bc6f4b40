"""Cells copied from one another, with every digest put right: found, and honest cells are not."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.perf.honest_records.edits import Content, edit, give_ranks, reordered
from leaderboard.records.canonical import file_sha256
from leaderboard.records.ranks import Ranks, read_ranks
from leaderboard.records.record import diagnostics_path, ranks_path
from leaderboard.verify.copies import MOST_ROWS, sample_rows
from leaderboard.verify.verify import verify

Change = Callable[[Ranks], Ranks]
ROWS = "files.ranks (rows)"


def errors(root: Path) -> set[tuple[str, str]]:
    """Method and field of each error."""
    found = verify(root)
    return {(Path(each.file).parent.name, each.field) for each in found if each.level == "error"}


def unchanged(ranks: Ranks) -> Ranks:
    return ranks


def one_row_changed(ranks: Ranks) -> Ranks:
    better = ranks.num_better.copy()
    row = np.flatnonzero(ranks.in_beam)[7]
    better[row] = (better[row] + 3) % 20
    return replace(ranks, num_better=better)


def every_tenth_row_changed(ranks: Ranks) -> Ranks:
    better = ranks.num_better.copy()
    rows = np.flatnonzero(ranks.in_beam)[::10]
    better[rows] = (better[rows] + 3) % 20
    return replace(ranks, num_better=better)


def some_noise(ranks: Ranks) -> Ranks:
    noise = np.random.default_rng(0).integers(-2, 3, len(ranks)) * ranks.in_beam
    return replace(ranks, num_better=np.maximum(0, ranks.num_better + noise))


def one_place_up(ranks: Ranks) -> Ranks:
    return replace(ranks, num_better=np.maximum(0, ranks.num_better - 1))


def only_worse(ranks: Ranks) -> Ranks:
    return replace(ranks, num_better=ranks.num_better + ranks.in_beam * (ranks.num_better // 2))


@pytest.mark.parametrize(
    "change",
    [
        unchanged,
        one_row_changed,
        reordered,
        every_tenth_row_changed,
        some_noise,
        one_place_up,
        only_worse,
    ],
)
@pytest.mark.parametrize(
    ("source", "target"),
    [(("gti", 0), ("gti", 1)), (("gti", 0), ("mean", 0)), (("gti", 1), ("mean", 0))],
)
def test_ranks_copied_to_another_cell_are_found(
    factory: Any, source: tuple[str, int], target: tuple[str, int], change: Change
) -> None:
    factory.users = 200
    first, second = factory.write(*source), factory.write(*target)
    assert verify(factory.root) == []
    give_ranks(second, change(read_ranks(ranks_path(first))))
    (found,) = [each for each in verify(factory.root) if each.field == ROWS]
    assert str(first) in str(found)
    assert str(second) in str(found)


def own_last_digits(ranks: Ranks) -> Ranks:
    return replace(ranks, nll=ranks.nll + 1e-9)


def a_little_less(ranks: Ranks) -> Ranks:
    return replace(ranks, nll=0.98 * ranks.nll - 1e-3 * np.random.default_rng(0).random(len(ranks)))


@pytest.mark.parametrize("change", [unchanged, own_last_digits, reordered, a_little_less])
@pytest.mark.parametrize("source", [("gti", 0), ("mean", 1)])
def test_nlls_copied_from_another_cell_are_found_beside_ranks_of_its_own(
    factory: Any, source: tuple[str, int], change: Change
) -> None:
    factory.users = 200
    first, second = factory.write(*source), factory.write("random", 0)
    theirs, own = change(read_ranks(ranks_path(first))), read_ranks(ranks_path(second))
    place = {key: row for row, key in enumerate(zip(theirs.split, theirs.user, strict=True))}
    rows = [place[key] for key in zip(own.split, own.user, strict=True)]
    losses = {name: getattr(theirs, name)[rows] for name in ("nll", "trie_nll")}
    give_ranks(second, replace(own, **losses))
    found = [each for each in verify(factory.root) if each.field == "files.ranks (nll)"]
    assert any(str(first) in str(each) and str(second) in str(each) for each in found)


def test_honest_cells_of_the_same_users_are_no_copies_of_one_another(factory: Any) -> None:
    for key in ("gti", "mean", "random"):
        for seed in (0, 1):
            factory.write(key, seed, users=900)
    assert verify(factory.root) == []


def test_of_many_rows_some_are_drawn_that_all_cells_share(factory: Any) -> None:
    users = MOST_ROWS + 200
    first, second = factory.write("gti", users=users), factory.write("mean", users=users)
    samples = []
    for path in (first, second):
        ranks = read_ranks(ranks_path(path))
        order = np.lexsort((ranks.item, ranks.user, ranks.split))
        samples.append([sample_rows(ranks, order, draw) for draw in (1, 2)])
        assert {len(each.places) for each in samples[-1]} == {MOST_ROWS}
        assert {len(each.nlls) for each in samples[-1]} == {MOST_ROWS}
    assert not np.array_equal(samples[0][0].nlls, samples[0][1].nlls)
    assert verify(factory.root) == []
    give_ranks(second, every_tenth_row_changed(read_ranks(ranks_path(first))))
    assert ("mean", ROWS) in errors(factory.root)


@pytest.mark.parametrize("found", [0, 1, None])
def test_cells_that_find_nothing_or_everything_are_no_copies(
    factory: Any, found: int | None
) -> None:
    paths = [factory.write(key, seed, skill=-9) for key in ("gti", "mean") for seed in (0, 1)]
    for number, path in enumerate(paths):
        ranks = read_ranks(ranks_path(path))
        inside = np.full(len(ranks), found is None)
        inside[number : number + (found or 0)] = True
        give_ranks(path, replace(ranks, in_beam=inside))
    assert not any(field == ROWS for _, field in errors(factory.root))


@pytest.mark.parametrize(("key", "seed"), [("hf_default", 0), ("random", 0), ("hf_default", 1)])
def test_only_methods_that_start_nearly_alike_may_end_alike_at_one_seed(
    factory: Any, key: str, seed: int
) -> None:
    factory.users = 200
    mean, other = factory.write("mean"), factory.write(key, seed)
    give_ranks(other, one_row_changed(read_ranks(ranks_path(mean))))
    named = {field for _, field in errors(factory.root)}
    assert (ROWS in named) == ((key, seed) != ("hf_default", 0))


@pytest.mark.parametrize(("key", "named"), [("hf_default", False), ("random", True)])
def test_so_may_the_ranks_of_their_curves_but_not_the_nlls(
    factory: Any, key: str, named: bool
) -> None:
    mean, other = factory.write("mean", skill=0.6), factory.write(key, skill=0.6)
    theirs = json.loads(mean.read_text())["learning_curve"]

    def change(content: Content) -> None:
        for own, copied in zip(content["learning_curve"], theirs, strict=True):
            losses = {name: own["metrics"][name] for name in ("nll", "trie_nll")}
            own["metrics"] = {**copied["metrics"], **losses}

    edit(other, change)
    fields = {field for _, field in errors(factory.root)}
    assert ("learning_curve.*.metrics" in fields) == named
    copy_losses_of_curve(mean, other)
    fields = {field for _, field in errors(factory.root)}
    assert "learning_curve.*.metrics.*nll" in fields


def test_few_users_prove_no_copy(factory: Any) -> None:
    factory.users = 30
    mean, other = factory.write("mean"), factory.write("random")
    give_ranks(other, one_row_changed(read_ranks(ranks_path(mean))))
    assert ROWS not in {field for _, field in errors(factory.root)}


def copy_diagnostics(first: Path, second: Path) -> None:
    shutil.copyfile(diagnostics_path(first), diagnostics_path(second))
    source = json.loads(first.read_text())
    edit(second, lambda c: c.update(diagnostics=source["diagnostics"]))
    edit(second, lambda c: c["files"].update(diagnostics=source["files"]["diagnostics"]))


def copy_rows_after_sft(first: Path, second: Path) -> None:
    """The rows after SFT alone, in a diagnostics file of its own."""
    with np.load(diagnostics_path(first)) as file:
        theirs = {name: values for name, values in file.items() if name.startswith("sft/")}
    with np.load(diagnostics_path(second)) as file:
        np.savez(diagnostics_path(second), **{**file, **theirs})
    source = json.loads(first.read_text())

    def change(content: Content) -> None:
        content["files"]["diagnostics"] = file_sha256(diagnostics_path(second))
        content["diagnostics"]["sft"] = source["diagnostics"]["sft"]

    edit(second, change)


def copy_proof(first: Path, second: Path) -> None:
    sha256 = json.loads(first.read_text())["proofs"][-1]["new_rows_sha256"]
    edit(second, lambda c: c["proofs"][-1].update(new_rows_sha256=sha256))


def copy_curve(first: Path, second: Path) -> None:
    theirs = json.loads(first.read_text())["learning_curve"]

    def change(content: Content) -> None:
        for own, other in zip(content["learning_curve"], theirs, strict=True):
            own["metrics"] = other["metrics"]

    edit(second, change)


def copy_losses_of_curve(first: Path, second: Path) -> None:
    theirs = json.loads(first.read_text())["learning_curve"]

    def change(content: Content) -> None:
        for own, other in zip(content["learning_curve"], theirs, strict=True):
            own["metrics"] |= {name: other["metrics"][name] for name in ("nll", "trie_nll")}

    edit(second, change)


@pytest.mark.parametrize(
    ("copy", "field"),
    [
        (copy_diagnostics, "files.diagnostics"),
        (copy_rows_after_sft, "diagnostics.sft.*"),
        (copy_proof, "proofs.*.new_rows_sha256 (sft)"),
        (copy_curve, "learning_curve.*.metrics"),
        (copy_losses_of_curve, "learning_curve.*.metrics.*nll"),
    ],
)
@pytest.mark.parametrize("source", [("gti", 0), ("random", 0)])
def test_what_no_two_cells_have_alike_is_found_where_it_was_copied(
    factory: Any, source: tuple[str, int], copy: Callable[[Path, Path], None], field: str
) -> None:
    first, second = factory.write(*source), factory.write("lc_rec", 0)
    copy(first, second)
    found = [each for each in verify(factory.root) if each.field == field]
    assert len(found) == 1
    assert str(first) in str(found[0])
    assert str(second) in str(found[0])
    assert verify(first.parent) == []


def test_two_settings_of_one_name_are_named_whichever_record_is_of_the_rarer(
    factory: Any, toy_setting: Any
) -> None:
    for key in ("mean", "random"):
        factory.write(key)
    other = toy_setting()
    other = other.model_copy(update={"sft": other.sft.model_copy(update={"weight_decay": 0.125})})
    path = factory.write("gti", setting=other)
    (found,) = verify(factory.root)
    assert (found.level, found.file) == ("error", str(path))
    assert found.field == "setting_hash (within the name)"
    assert found.found == other.hash
