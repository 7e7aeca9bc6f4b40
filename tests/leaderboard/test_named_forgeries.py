"""Forgeries that can be known from the records alone, by name, each with the finding it gives.

All are well made: every digest and hash that can be computed anew is. What verify cannot know is
in `leaderboard.verify.verify.DIGEST_ALONE`; a figure changed by a digit is in `test_forgery.py`.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.perf.honest_records.edits import edit, give_ranks
from benchmarks.perf.honest_records.reproductions import equivalent_line, exact_line
from benchmarks.perf.honest_records.writer import RecordWriter
from leaderboard.records.canonical import file_sha256
from leaderboard.records.ranks import Ranks, read_ranks, write_ranks
from leaderboard.records.record import (
    MethodCard,
    cell_hash,
    diagnostics_path,
    ranks_path,
    record_path,
)
from leaderboard.records.reproductions import append_reproduction
from leaderboard.records.setting import Setting
from leaderboard.verify.verify import verify

Content = dict[str, Any]
Change = Callable[[Content], object]
USERS = 200
METHODS = ("mean", "random", "gti", "lc_rec", "popularity")


def put(**values: Any) -> Change:
    """Sets fields: their places with `__` between the parts."""

    def change(content: Content) -> None:
        for place, value in values.items():
            *parents, last = place.split("__")
            inner: Any = content
            for part in parents:
                inner = inner[int(part) if isinstance(inner, list) else part]
            inner[int(last) if isinstance(inner, list) else last] = value

    return change


def without(*places: str) -> Change:
    """Takes fields away."""

    def change(content: Content) -> None:
        for place in places:
            *parents, last = place.split(".")
            inner: Any = content
            for part in parents:
                inner = inner[int(part) if isinstance(inner, list) else part]
            del inner[int(last) if isinstance(inner, list) else last]

    return change


def rehashed(change: Change) -> Change:
    """`change`, with the hashes of setting, method and cell computed anew."""

    def both(content: Content) -> None:
        change(content)
        content["setting_hash"] = Setting.model_validate(content["setting"]).hash
        content["method_hash"] = MethodCard.model_validate(content["method"]).hash
        hashes = (content["setting_hash"], content["method_hash"])
        content["cell_hash"] = cell_hash(*hashes, content["seed"])

    return both


IN_ONE_RECORD: dict[str, tuple[Change, str]] = {
    "a better score in the record than in its ranks": (
        put(**{"metrics__test__ndcg@10": 0.9}),
        "metrics.test.ndcg@10",
    ),
    "no metrics of the test users": (without("metrics.test"), "metrics.test"),
    "no slices": (put(slices={}), "slices."),
    "one slice left out": (without("slices.popularity:tail"), "slices.popularity:tail"),
    "no accounting of the Semantic IDs": (put(accounting=None), "accounting"),
    "no trie mass": (put(accounting__trie_mass=None), "accounting.trie_mass (levels)"),
    "trie mass of fewer levels": (put(accounting__trie_mass=[0.9]), "accounting.trie_mass"),
    "trie mass of zero": (put(accounting__trie_mass=[0.0, 0.9]), "accounting.trie_mass.0"),
    "a wider beam than the setting's": (put(accounting__beam=50), "accounting.beam"),
    "no manifest of the first rows": (put(manifest=None), "manifest"),
    "first rows of another method": (put(manifest__initializer="mean v1"), "manifest.initializer"),
    "equal rows said to differ": (put(manifest__identical_rows=False), "manifest.identical_rows"),
    "cosines of the first rows left out": (
        put(manifest__pairwise_cosine_mean=None, manifest__cosine_to_text_mean=None),
        "manifest.pairwise_cosine_mean",
    ),
    "text rows changed by the start": (
        put(manifest__text_rows_sha256_after="5" * 64),
        "manifest.text_rows_sha256_after",
    ),
    "no proofs": (put(proofs=[]), "proofs"),
    "no proof of grounding": (without("proofs.0"), "proofs (stages)"),
    "grounding that trained text rows": (
        put(proofs__0__text_rows_changed=3),
        "proofs.0.text_rows_changed",
    ),
    "grounding that changed the backbone": (
        put(proofs__0__backbone_changed=True),
        "proofs.0.backbone_changed",
    ),
    "SFT that left the backbone unchanged": (
        put(proofs__1__backbone_changed=False),
        "proofs.1.backbone_changed",
    ),
    "a stage whose new rows had no gradient": (
        put(proofs__1__new_rows_with_gradient=0),
        "proofs.1.new_rows_with_gradient",
    ),
    "a stage without steps": (put(cost__grounding__steps=0), "cost.grounding.steps"),
    "a stage without time": (put(cost__sft__seconds=0.0), "cost.sft.seconds"),
    "a stage of negative time": (put(cost__grounding__seconds=-9.0), "cost.grounding.seconds"),
    "a stage without tokens": (put(cost__grounding__tokens=None), "cost.grounding.tokens"),
    "no cost at all": (put(cost={}), "cost.sft"),
    "no cost of scoring": (without("cost.score"), "cost.score"),
    "no cost of the start": (without("cost.init"), "cost.init"),
    "scoring in no time": (put(cost__score__seconds=0.0), "cost.score.seconds"),
    "losses of grounding left out": (
        put(cost__grounding__first_loss=None, cost__grounding__last_loss=None),
        "cost.grounding.last_loss",
    ),
    "the pace of the CPU left out, so that no stage is too fast": (
        put(cost__sft__device_flops=None, cost__sft__utilisation=None),
        "cost.sft.device_flops",
    ),
    "faster than the device": (
        put(cost__sft__seconds=2.5, cost__sft__utilisation=None),
        "cost.sft.utilisation",
    ),
    "more of budget A than is allowed": (
        put(budget__extra_spent_flops=9e9),
        "budget.extra_spent_flops",
    ),
    "no budget": (put(budget=None), "budget"),
    "no learning curve": (put(learning_curve=[]), "learning_curve"),
    "a point of the curve left out": (without("learning_curve.1"), "learning_curve (points)"),
    "a recall of the curve left out": (
        put(**{"learning_curve__1__metrics__recall@10": None}),
        "learning_curve.1.metrics.recall@10",
    ),
    "a curve whose MRR no places give": (
        put(**{"learning_curve__2__metrics__mrr@5": 0.0}),
        "learning_curve.2.metrics.mrr@5",
    ),
    "a loss of the curve left out": (
        put(learning_curve__1__train_loss=None),
        "learning_curve.1.train_loss",
    ),
    "a curve that begins before time": (
        put(learning_curve__0__seconds=-1.0),
        "learning_curve.0.seconds",
    ),
    "a curve that costs nothing until its end": (
        put(learning_curve__1__nominal_flops=0.0),
        "learning_curve.1.nominal_flops",
    ),
    "no tasks": (put(tasks={}), "tasks.retrieval"),
    "one direction of grounding not trained on": (
        without("tasks.sid_to_title"),
        "tasks (sid_to_text)",
    ),
    "tasks of alignment that the method has not": (
        put(**{"tasks__item2index.title": 30}),
        "tasks.* (alignment)",
    ),
    "no diagnostics": (put(diagnostics={}), "diagnostics"),
    "diagnostics of SFT left out": (without("diagnostics.sft"), "diagnostics (stages)"),
    "a better effective rank": (
        put(diagnostics__sft__effective_rank=9.0),
        "diagnostics.sft.effective_rank",
    ),
    "rows whose norms are said to be zero": (
        put(diagnostics__sft__norm_mean=0.0),
        "diagnostics.sft.norm_mean",
    ),
    "nearness to text left out": (
        put(diagnostics__sft__text_affinity=None),
        "diagnostics.sft.text_affinity",
    ),
    "no treatment of a method that grounds": (put(treatment=None), "treatment"),
    "a treatment without pairs": (put(treatment__pairs=[]), "treatment.pairs"),
    "a model that is sure of every text": (
        put(treatment__pairs__1__true=0.0),
        "treatment.pairs.1.true",
    ),
    "nothing said of what was forgotten": (put(retention=None), "retention"),
    "no dataset's hash": (put(inputs__dataset="0" * 64), "inputs.dataset"),
    "no backbone's hash": (put(inputs__backbone=None), "inputs.backbone"),
    "other Semantic IDs": (put(inputs__semantic_ids="0" * 64), "inputs.semantic_ids"),
    "a commit that is none": (put(code__commit="HEAD"), "(schema)"),
    "no commit": (put(code__commit=None, code__dirty=None), "code.commit"),
    "no version of the code": (put(code__version=""), "code.version"),
    "no packages": (put(environment__packages={}), "environment.packages.torch"),
    "no device": (put(environment__device=""), "environment.device"),
    "no thread": (put(environment__threads=0), "environment.threads"),
    "another precision than the setting's": (
        put(environment__dtype="bfloat16"),
        "environment.dtype",
    ),
    "a number written as a text": (put(num_users__test=str(USERS)), "num_users.test"),
    "a number that is no number": (put(**{"metrics__test__ndcg@10": "nan"}), "(schema)"),
    "a truth written as a number": (put(manifest__tied=1), "manifest.tied"),
    "fewer users than were asked": (put(num_users__test=USERS - 1), "num_users.test"),
    "another seed than the file's": (rehashed(put(seed=5)), "seed"),
    "another method than the folder's": (
        rehashed(put(method__key="mine", method__facts__contrasts=[])),
        "method.key",
    ),
    "another setting than the folder's": (rehashed(put(setting__name="mine")), "setting.name"),
    "an edited setting under the old hash": (put(setting__sft__batch_size=8), "setting_hash"),
    "shares of budget A that sum to two": (
        rehashed(put(method__spends={"before": 1.0, "beside": 1.0})),
        "method.spends.*",
    ),
    "another protocol": (put(protocol="1"), "protocol"),
    "a record of the next schema": (put(schema_version=3), "(schema)"),
    "a field that nobody knows": (put(best=True), "(schema)"),
    "a cell that calls itself a reference": (put(kind="reference"), "kind"),
}


@pytest.fixture(scope="session")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five methods at three seeds, two hundred users; read only."""
    writer = RecordWriter(tmp_path_factory.mktemp("honest") / "results", users=USERS)
    return writer.board(METHODS)


@pytest.fixture
def results(honest: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(honest, tmp_path / "results")


def fields(path: Path) -> list[str]:
    return [finding.field for finding in verify(path)]


def test_the_honest_board_is_clean(honest: Path) -> None:
    assert verify(honest) == []


@pytest.mark.parametrize("name", IN_ONE_RECORD)
def test_a_forged_record(results: Path, name: str) -> None:
    change, field = IN_ONE_RECORD[name]
    path = edit(record_path(results, "toy", "gti", 0), change)
    found = fields(path)
    assert any(each.startswith(field) for each in found), found
    assert "digest" not in found


def record(root: Path, method: str = "gti", seed: int = 0) -> Path:
    return record_path(root, "toy", method, seed)


Act = Callable[[Path], object]


def in_record(change: Change, method: str = "gti", seed: int = 0) -> Act:
    return lambda root: edit(record(root, method, seed), change)


def copied(change: Callable[[Ranks], Ranks], of: str = "gti", seed: int = 0) -> Act:
    """Ranks of one cell, changed, in place of those of `random`."""
    return lambda root: give_ranks(
        record(root, "random"), change(read_ranks(ranks_path(record(root, of, seed))))
    )


def one_count_in_each_block(ranks: Ranks) -> Ranks:
    better = ranks.num_better.copy()
    rows = np.flatnonzero(ranks.in_beam)[::16]
    better[rows] = (better[rows] + 3) % 20
    return replace(ranks, num_better=better)


def noise_of_five_percent(ranks: Ranks) -> Ranks:
    random = np.random.default_rng(0)
    moved = (random.random(len(ranks)) < 0.05) * ranks.in_beam * random.integers(1, 3, len(ranks))
    return replace(ranks, num_better=np.minimum(ranks.num_better + moved, 19))


def hits_one_place_up(ranks: Ranks) -> Ranks:
    return replace(ranks, num_better=np.maximum(0, ranks.num_better - 1))


def in_ranks(change: Callable[[Ranks], Ranks]) -> Act:
    """The cell's own ranks, changed, and all figures that follow."""
    return lambda root: give_ranks(record(root), change(read_ranks(ranks_path(record(root)))))


def beyond_the_beam(ranks: Ranks) -> Ranks:
    better = ranks.num_better.copy()
    better[np.flatnonzero(ranks.in_beam)[0]] = 96
    return replace(ranks, num_better=better, num_tied=ranks.num_tied + ranks.in_beam)


def nobody_knows(ranks: Ranks) -> Ranks:
    return replace(ranks, user=np.char.add(ranks.user, "x"))


def surer_than_its_ranks(ranks: Ranks) -> Ranks:
    return replace(ranks, nll=ranks.nll * 0 + 0.01, trie_nll=ranks.nll * 0 + 0.005)


def with_diagnostics_of(root: Path, source: str) -> None:
    first, second = record(root, source), record(root)
    shutil.copyfile(diagnostics_path(first), diagnostics_path(second))
    edit(second, lambda c: c["files"].update(diagnostics=file_sha256(diagnostics_path(second))))


def swapped(root: Path) -> None:
    """Ranks files of two seeds change places, named in the records."""
    one, two = record(root), record(root, seed=1)
    ranks = [read_ranks(ranks_path(path)) for path in (one, two)]
    for path, theirs in ((one, ranks[1]), (two, ranks[0])):
        sha256 = write_ranks(ranks_path(path), theirs)
        edit(path, put(files__ranks=sha256))


def same_cell_twice(root: Path) -> None:
    """One seed's record and sidecars under another seed's name."""
    for place in (Path, ranks_path, diagnostics_path):
        shutil.copyfile(place(record(root)), place(record(root, seed=1)))
    edit(record(root, seed=1), rehashed(put(seed=1)))


def twice_in_one_object(root: Path) -> None:
    path = record(root)
    path.write_text(path.read_text().replace('"seed":', '"seed": 7, "seed":', 1))


def truncated(root: Path) -> None:
    ranks_path(record(root)).write_bytes(ranks_path(record(root)).read_bytes()[:100])


def one_curve_for_two(root: Path) -> None:
    theirs = json.loads(record(root, "random").read_text())["learning_curve"]
    losses = ("nll", "trie_nll")

    def change(content: Content) -> None:
        for own, other in zip(content["learning_curve"], theirs, strict=True):
            own["metrics"] |= {name: other["metrics"][name] for name in losses}

    edit(record(root), change)


AMONG_RECORDS: dict[str, tuple[Act, str]] = {
    "ranks of another method": (copied(lambda ranks: ranks), "files.ranks (rows)"),
    "ranks of another method and seed": (
        copied(lambda ranks: ranks, seed=1),
        "files.ranks (rows)",
    ),
    "a copy with one changed count in each block": (
        copied(one_count_in_each_block),
        "files.ranks (rows)",
    ),
    "a copy with noise of five percent": (copied(noise_of_five_percent), "files.ranks (rows)"),
    "a copy with each hit one place up": (copied(hits_one_place_up), "files.ranks (rows)"),
    "a copy of the NLLs less a tenth": (
        copied(lambda ranks: replace(ranks, nll=ranks.nll * 0.9)),
        "files.ranks (nll)",
    ),
    "ranks of two seeds swapped": (swapped, "metrics.test"),
    "one seed under another's name": (same_cell_twice, "files.diagnostics"),
    "diagnostics of another method": (
        lambda root: with_diagnostics_of(root, "random"),
        "diagnostics.sft",
    ),
    "losses of another method's curve": (one_curve_for_two, "learning_curve.*.metrics.*nll"),
    "rows after SFT of another cell": (
        lambda root: edit(
            record(root),
            put(
                proofs__1__new_rows_sha256=json.loads(record(root, "mean").read_text())["proofs"][
                    -1
                ]["new_rows_sha256"]
            ),
        ),
        "proofs.*.new_rows_sha256 (sft)",
    ),
    "a target behind more items than there are": (in_ranks(beyond_the_beam), "files.ranks (row"),
    "more ties than the beam holds": (
        in_ranks(lambda ranks: replace(ranks, num_tied=ranks.num_tied + 90 * ranks.in_beam)),
        "files.ranks (row",
    ),
    "users that no other cell was asked of": (in_ranks(nobody_knows), "files.ranks (targets)"),
    "NLLs that the ranks do not allow": (in_ranks(surer_than_its_ranks), "files.ranks (row"),
    "no ranks file": (lambda root: ranks_path(record(root)).unlink(), "files.ranks"),
    "half a ranks file": (truncated, "files.ranks"),
    "no diagnostics file": (lambda root: diagnostics_path(record(root)).unlink(), "files.diag"),
    "a key that stands twice": (twice_in_one_object, ""),
    "another backbone than the others'": (
        in_record(put(inputs__backbone="7" * 64)),
        "inputs.backbone",
    ),
    "another tokenizer than the others'": (
        in_record(put(inputs__tokenizer="7" * 64)),
        "inputs.tokenizer",
    ),
    "other prompts than the others'": (in_record(put(inputs__prompts="7" * 64)), "inputs.prompts"),
    "another vocabulary than the others'": (
        in_record(put(manifest__text_norm_mean=1.5)),
        "manifest.text_norm_mean",
    ),
    "more of R than the others had": (in_record(put(tasks__retrieval=319)), "tasks.retrieval"),
    "another group in one seed": (
        in_record(rehashed(put(method__group="control"))),
        "method_hash (within the setting)",
    ),
    "other rates in one seed": (
        in_record(rehashed(put(method__parameters__sft_learning_rate=0.1))),
        "method_hash (within the setting)",
    ),
    "a setting edited in one record": (
        in_record(rehashed(put(setting__sft__weight_decay=0.5))),
        "setting_hash (within the name)",
    ),
    "first rows claimed otherwise in one seed": (
        in_record(put(method__facts__first_rows="drawn")),
        "method.facts.first_rows",
    ),
    "a popularity reference that ranks by something else": (
        lambda root: give_ranks(
            record(root, "popularity"),
            replace(
                (own := read_ranks(ranks_path(record(root, "popularity")))),
                num_better=own.num_better[::-1].copy(),
            ),
        ),
        "files.ranks (validation, num_better)",
    ),
}


@pytest.mark.parametrize("name", AMONG_RECORDS)
def test_a_forgery_among_records(results: Path, name: str) -> None:
    act, field = AMONG_RECORDS[name]
    act(results)
    found = fields(results)
    assert any(each.startswith(field) for each in found), found


def line(make: Callable[[Path], Any], times: int = 1) -> Act:
    def act(root: Path) -> None:
        for _ in range(times):
            append_reproduction(record(root), make(record(root)))

    return act


def own_band(path: Path) -> Any:
    band = {"center": 0.9, "half_width": 0.5}
    scores = {"metric": "ndcg@10", "recorded": None, "again": 0.9}
    honest = equivalent_line(path)
    scores["recorded"] = honest.scores.recorded
    assert honest.spread is not None
    spread = honest.spread.model_dump() | {"recorded": band}
    return equivalent_line(path, scores=scores, spread=spread)


def seeds_that_are_not_there(path: Path) -> Any:
    spread = equivalent_line(path).spread
    assert spread is not None
    return equivalent_line(path, spread=spread.model_dump() | {"seeds": (0, 8, 9)})


def in_its_line(part: str, **values: Any) -> Act:
    """An exact rerun with other values in one of its parts."""
    return line(
        lambda path: exact_line(
            path, **{part: getattr(exact_line(path), part).model_dump() | values}
        )
    )


def in_its_text(old: str, new: str) -> Act:
    """An exact rerun whose line is written otherwise."""

    def act(root: Path) -> None:
        path = append_reproduction(record(root), exact_line(record(root)))
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return act


IN_REPRODUCTIONS: dict[str, tuple[Act, str]] = {
    "a rerun with a band of its own": (line(own_band), "spread.recorded.center"),
    "a rerun beside seeds that are not there": (line(seeds_that_are_not_there), "spread.seeds"),
    "a rerun in the year 2199": (
        line(lambda path: exact_line(path, when="2199-01-01T00:00:00Z")),
        "when",
    ),
    "one rerun told five times": (line(exact_line, times=5), "line 5"),
    "an exact rerun with other ranks": (
        line(lambda path: exact_line(path, ranks_sha256="0" * 64)),
        "ranks_sha256 (exact)",
    ),
    "an exact rerun with fewer rows": (
        line(lambda path: exact_line(path, num_rows=10, same_rows=10)),
        "num_rows",
    ),
    "a rerun of another record": (
        line(lambda path: exact_line(path, record="0" * 64)),
        "record",
    ),
    "an equivalent rerun that lies far off": (
        line(lambda path: equivalent_line(path, 0.9)),
        "scores.again (equivalent)",
    ),
    "an equivalent rerun that nothing excuses": (
        line(lambda path: equivalent_line(path, context=())),
        "context (equivalent)",
    ),
    "an equivalent rerun without a spread": (
        line(lambda path: equivalent_line(path, spread=None)),
        "spread",
    ),
    "a rerun in no time": (line(lambda path: exact_line(path, seconds=0.0)), "seconds"),
    "a rerun by nobody": (line(lambda path: exact_line(path, who="  ")), "who"),
    "a rerun on no machine": (in_its_line("environment", machine=""), "environment.machine"),
    "a rerun without packages": (in_its_line("environment", packages={}), "packages.torch"),
    "a rerun of no version": (in_its_line("code", version=""), "code.version"),
    "a rerun of no schema": (
        line(lambda path: exact_line(path, schema_version=0)),
        "schema_version",
    ),
    "a rerun with a number written as a text": (
        in_its_text('"seconds":1.5', '"seconds":"1.5"'),
        "line 1",
    ),
    "a rerun with a key that stands twice": (in_its_text('"who":', '"who":"X","who":'), "line 1"),
    "reproductions that are no lines": (
        lambda root: record(root).with_name("seed-0.reproductions.jsonl").write_text("{"),
        "seed-0.reproductions.jsonl line 1",
    ),
}


@pytest.mark.parametrize("name", IN_REPRODUCTIONS)
def test_a_forged_reproduction(results: Path, name: str) -> None:
    act, field = IN_REPRODUCTIONS[name]
    act(results)
    found = [each.field for each in verify(record(results)) if each.level == "error"]
    assert any(each.endswith(field) for each in found), found
