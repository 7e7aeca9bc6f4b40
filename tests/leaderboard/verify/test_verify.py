"""Honest records give no finding; each way to tamper with one is found and named."""

import json
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.perf.honest_records.edits import Content, edit, give_ranks, reordered
from leaderboard.records.canonical import file_sha256
from leaderboard.records.facts import MethodFacts
from leaderboard.records.ranks import read_ranks, write_ranks
from leaderboard.records.record import diagnostics_path, ranks_path, read_record
from leaderboard.verify.findings import Finding, Report
from leaderboard.verify.plausible import check_positions
from leaderboard.verify.targets import TargetsHash
from leaderboard.verify.verify import verify


def place(content: Any, field: str, value: object) -> None:
    """Sets the field at the path `field`, whose parts are divided by slashes."""
    *parents, last = field.split("/")
    for name in parents:
        content = content[int(name)] if isinstance(content, list) else content[name]
    content[last] = value


def fields(findings: list[Any]) -> list[str]:
    return [finding.field for finding in findings]


def test_an_honest_board_gives_no_finding(whole_board: Path) -> None:
    assert verify(whole_board) == []
    assert verify(whole_board / "toy") == []
    assert verify(whole_board / "toy" / "gti") == []
    assert verify(whole_board / "toy" / "gti" / "seed-1.json") == []


def test_no_records_is_an_error(tmp_path: Path) -> None:
    (finding,) = verify(tmp_path)
    assert finding.level == "error"
    assert f"no records under {tmp_path}" in str(finding)


@pytest.mark.parametrize("fix_digest", [True, False])
@pytest.mark.parametrize(
    "field",
    [
        "metrics/test/ndcg@10",
        "metrics/validation/recall@5",
        "metrics/test/mrr@20",
        "slices/popularity:head/recall@10",
        "slices/history:long/rows",
        "accounting/raw_recall/recall_raw@5",
    ],
)
def test_a_figure_changed_in_its_last_digit_is_named(
    factory: Any, field: str, fix_digest: bool
) -> None:
    path = factory.write("gti")

    def change(content: Content) -> None:
        figures: Any = content
        *parents, last = field.split("/")
        for name in parents:
            figures = figures[name]
        figures[last] = float(np.nextafter(figures[last], 2))

    edit(path, change, fix_digest)
    found = fields(verify(path))
    expected = [field.replace("/", ".")] if fix_digest else ["digest", field.replace("/", ".")]
    assert found == expected


def test_any_other_change_is_refused_by_the_digest(factory: Any) -> None:
    path = factory.write("gti")
    edit(path, lambda content: place(content, "environment/machine", "faster"), fix_digest=False)
    assert fields(verify(path)) == ["digest"]


# Field to change, value, and the field of the finding: with the digest put right each time.
TAMPERED: list[tuple[str, object, str]] = [
    ("protocol", "0", "protocol"),
    ("setting_hash", "0" * 64, "setting_hash"),
    ("setting/sft/learning_rate", 0.5, "setting_hash"),
    ("method/version", 7, "method_hash"),
    ("method_hash", "1" * 64, "method_hash"),
    ("cell_hash", "2" * 64, "cell_hash"),
    ("seed", 5, "seed"),
    ("kind", "reference", "kind"),
    ("num_users/test", 61, "num_users.test"),
    ("num_users/validation", 0, "num_users.validation"),
    ("inputs/dataset", "3" * 64, "inputs.dataset"),
    ("inputs/semantic_ids", None, "inputs.semantic_ids"),
    ("inputs/backbone", None, "inputs.backbone"),
    ("files/ranks", "4" * 64, "files.ranks"),
    ("files/diagnostics", "4" * 64, "files.diagnostics"),
    ("accounting", None, "accounting"),
    ("accounting/beam", 10, "accounting.beam"),
    ("accounting/num_items", 98, "accounting.num_items"),
    ("accounting/distinct_sids", 35, "accounting.distinct_sids"),
    ("accounting/collision_rate", 0.6, "accounting.collision_rate"),
    ("accounting/used_codes", [6, 5], "accounting.used_codes.1"),
    ("accounting/beam_used_mean", 20.5, "accounting.beam_used_mean"),
    ("accounting/trie_mass", [0.5, 1.5], "accounting.trie_mass.1"),
    ("manifest/identical_rows", False, "manifest.identical_rows"),
    ("manifest/initializer", "mean v1", "manifest.initializer"),
    ("manifest/num_rows", 11, "manifest.num_rows"),
    ("manifest/pairwise_cosine_mean", 0.9, "manifest.pairwise_cosine_mean"),
    ("manifest/cosine_to_text_mean", 1.5, "manifest.cosine_to_text_mean"),
    ("manifest/first_token_id", 101, "manifest.rows_after"),
    ("manifest/norm_mean", 2.0, "manifest.norm_mean"),
    ("manifest/padding_rows", 3, "manifest.padding_rows"),
    ("manifest/rows_after", 90, "manifest.rows_after"),
    ("manifest/text_rows_sha256_after", "5" * 64, "manifest.text_rows_sha256_after"),
    ("proofs/0/text_rows_changed", 1, "proofs.0.text_rows_changed"),
    ("proofs/0/text_rows_with_gradient", 1, "proofs.0.text_rows_with_gradient"),
    ("proofs/0/backbone_changed", True, "proofs.0.backbone_changed"),
    ("proofs/0/text_rows_sha256", "6" * 64, "proofs.0.text_rows_sha256"),
    ("proofs/0/new_rows_changed", 13, "proofs.0.new_rows_changed"),
    ("proofs/1/backbone_changed", False, "proofs.1.backbone_changed"),
    ("cost/sft/steps", 0, "cost.sft.steps"),
    ("cost/sft/seconds", 0.0, "cost.sft.seconds"),
    ("cost/grounding/seconds", 0.0, "cost.grounding.seconds"),
    ("num_users/test", "60", "num_users.test"),
    ("metrics/test/ndcg@10", "0.5", "metrics.test.ndcg@10"),
    ("manifest/tied", 1, "manifest.tied"),
    ("code/commit", "the one before last", "(schema)"),
    ("learning_curve/0/step", 1, "learning_curve.0.step"),
    ("learning_curve/0/nominal_flops", 6.0, "learning_curve.0.nominal_flops"),
    ("learning_curve/2/nominal_flops", 6e8, "learning_curve.2.nominal_flops"),
    ("learning_curve/2/passes", 2.0, "learning_curve.2.passes"),
    ("learning_curve/2/metrics", {"ndcg@10": 0.1}, "learning_curve.2.metrics.mrr@1"),
    ("tasks/retrieval", 321, "tasks.retrieval"),
    ("tasks/title_to_sid", 99, "tasks.* (grounding)"),
    ("method/spends", {"before": 0.5}, "method.spends.*"),
    ("proofs/0/trainable_parameters", 97, "proofs.0.trainable_parameters"),
    ("learning_curve/2/step", 10, "learning_curve.2.step"),
    ("learning_curve/2/seconds", 0.0, "learning_curve.2.seconds"),
    ("cost/sft/seconds", -1.0, "cost.sft.seconds"),
    ("cost/sft/nominal_flops", 3e9, "cost.sft.nominal_flops (less budget.sft_flops)"),
    ("cost/sft/nominal_flops", 999_999_997.0, "cost.sft.nominal_flops"),
    ("cost/sft/actual_flops", 1.0, "cost.sft.actual_flops"),
    ("cost/grounding/actual_flops", 1.0, "cost.grounding.actual_flops"),
    ("cost/grounding/actual_flops", 0.0, "cost.grounding.actual_flops"),
    ("cost/grounding/actual_flops", 9e12, "cost.grounding.actual_flops"),
    ("cost/sft/utilisation", 0.75, "cost.sft.utilisation"),
    ("cost/sft/utilisation", None, "cost.sft.utilisation"),
    ("cost/sft/device_flops", None, "cost.sft.utilisation"),
    ("cost/sft/steps", 19, "learning_curve.2.step"),
    ("budget/extra_spent_flops", 9e9, "budget.extra_spent_flops"),
    ("budget/extra_spent_flops", 0.0, "budget.extra_spent_flops"),
    ("proofs/0/stage", "grounding_free", "proofs (stages)"),
    ("budget/extra_flops", 1e8, "budget.extra_flops"),
    ("diagnostics/sft/effective_rank", 7.5, "diagnostics.sft.effective_rank"),
    ("diagnostics/init/effective_rank_centred", 1.0, "diagnostics.init.effective_rank_centred"),
    ("diagnostics/grounding/stable_rank", 1.0, "diagnostics.grounding.stable_rank"),
    ("diagnostics/sft/cosine_mean", 0.9, "diagnostics.sft.cosine_mean"),
    (
        "diagnostics/sft/cosine_within_level",
        [0.9, 0.1],
        "diagnostics.sft.cosine_within_level.0",
    ),
    ("diagnostics/sft/unused_rows", 1, "diagnostics.sft.unused_rows"),
    ("diagnostics/sft/rsa_pearson", 0.9, "diagnostics.sft.rsa_pearson"),
    ("diagnostics/init/rsa_pearson", 0.1, "diagnostics.init.rsa_pearson"),
    ("diagnostics/sft/rsa_spearman", 1.5, "diagnostics.sft.rsa_spearman"),
]


@pytest.mark.parametrize(("field", "value", "named"), TAMPERED, ids=[t[0] for t in TAMPERED])
def test_tampering_is_found_under_its_field(
    factory: Any, field: str, value: object, named: str
) -> None:
    path = factory.write("gti")
    edit(path, lambda content: place(content, field, value))
    findings = verify(path)
    assert named in fields(findings)
    assert "digest" not in fields(findings)
    for finding in findings:
        assert str(path) in str(finding)
        assert "\n" not in str(finding)


@pytest.mark.parametrize(
    ("method", "field", "value", "named"),
    [
        ("gti_text_to_sid", "tasks/sid_to_title", 3, "tasks.sid_to_title"),
        ("gti_sid_to_text", "tasks/both_to_sid", 3, "tasks.both_to_sid"),
        ("hf_default", "environment/packages/transformers", "5.0.1", "manifest.initializer"),
        ("gaussian", "manifest/identical_rows", True, "manifest.identical_rows"),
        ("mean_matched", "manifest/identical_rows", False, "manifest.identical_rows"),
        ("random", "proofs/0/stage", "grounding", "proofs (stages)"),
        ("lc_rec", "tasks/index2item.title", 2, "tasks (index2item)"),
    ],
)
def test_what_a_methods_name_claims_is_checked(
    factory: Any, method: str, field: str, value: object, named: str
) -> None:
    path = factory.write(method)
    edit(path, lambda content: place(content, field, value))
    assert named in fields(verify(path))


NOTHING_CLAIMED = MethodFacts(
    first_rows=None, stages=(), directions=(), order=100, look=None, contrasts=()
)


@pytest.mark.parametrize(
    ("claim", "named"),
    [
        ({"first_rows": "drawn"}, "manifest.identical_rows"),
        ({"first_rows": "library"}, "manifest.initializer"),
        ({"stages": ("grounding",)}, "proofs (stages) treatment"),
        ({"directions": ("text_to_sid",)}, "tasks.sid_to_title"),
    ],
)
def test_a_method_of_others_is_held_to_the_facts_of_its_card(
    factory: Any, claim: dict[str, Any], named: str
) -> None:
    facts = NOTHING_CLAIMED.model_copy(update=claim)
    path = factory.write("mine", facts=facts)
    edit(path, lambda content: content["tasks"].update(sid_to_title=1))
    without = factory.write("yours")
    edit(without, lambda content: content["tasks"].update(sid_to_title=1))
    more = set(fields(verify(path))) - set(fields(verify(without)))
    assert " ".join(sorted(more)) == named


def test_two_seeds_of_a_method_claim_the_same(factory: Any) -> None:
    factory.write("mine", 0, facts=NOTHING_CLAIMED)
    factory.write("mine", 1, facts=NOTHING_CLAIMED.model_copy(update={"first_rows": "mean"}))
    assert fields(verify(factory.root)) == ["method.facts.first_rows (within the setting)"]


def test_first_rows_of_the_mean_are_one_whoever_claims_them(factory: Any) -> None:
    factory.write("mean")
    claim = NOTHING_CLAIMED.model_copy(update={"first_rows": "mean"})
    path = factory.write("mine", facts=claim)
    assert verify(factory.root) == []
    edit(path, lambda content: place(content, "manifest/new_rows_sha256_after", "0" * 64))
    assert fields(verify(factory.root)) == ["manifest.new_rows_sha256_after"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("metrics"), "field metrics: field required"),
        (lambda c: c.update(extra=1), "field extra: extra inputs are not permitted"),
        (lambda c: c.update(seed="one"), "field seed: input should be a valid integer"),
        (
            lambda c: c.update(schema_version=99),
            "schema version 99, this code reads 2; update gti-bench",
        ),
        (lambda c: c["metrics"]["test"].update({"ndcg@10": float("nan")}), "finite number"),
    ],
)
def test_a_record_off_the_schema_is_named_with_its_field(
    factory: Any, change: Callable[[Content], object], message: str
) -> None:
    path = factory.write("mean")
    edit(path, change, fix_digest=False)
    assert any(message in str(finding) for finding in verify(path))


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff", "[" * 100_000])
def test_a_file_that_is_no_record_is_one_finding(factory: Any, text: str) -> None:
    path = factory.write("mean")
    path.write_bytes(text.encode("latin-1"))
    findings = verify(path)
    assert len(findings) == 1
    assert findings[0].level == "error"


def test_an_extra_or_a_missing_figure_is_named(factory: Any) -> None:
    path = factory.write("gti")
    edit(path, lambda c: c["metrics"]["test"].update({"ndcg@7": 0.5}))
    assert fields(verify(path)) == ["metrics.test.ndcg@7"]
    edit(path, lambda c: (c["metrics"]["test"].pop("ndcg@7"), c["slices"].pop("history:long")))
    assert fields(verify(path)) == ["slices.history:long"]


def test_other_ranks_are_found_by_hash_and_by_the_figures(factory: Any) -> None:
    path = factory.write("gti")
    ranks = read_ranks(ranks_path(path))
    better = ranks.num_better.copy()
    better[np.flatnonzero(ranks.in_beam & (ranks.split == "test") & (better > 0))[0]] = 0
    write_ranks(ranks_path(path), replace(ranks, num_better=better))
    found = fields(verify(path))
    assert "files.ranks" in found
    assert "metrics.test.mrr@20" in found
    edit(path, lambda c: c["files"].update(ranks=file_sha256(ranks_path(path))))
    found = fields(verify(path))
    assert "files.ranks" not in found
    assert "metrics.test.mrr@20" in found


def test_missing_and_truncated_sidecars_are_named(factory: Any) -> None:
    path = factory.write("gti")
    ranks_path(path).unlink()
    diagnostics_path(path).write_bytes(diagnostics_path(path).read_bytes()[:100])
    text = " ".join(map(str, verify(path)))
    assert "cannot read ranks" in text
    assert "not a whole npz file" in text


def test_pickled_diagnostics_are_refused_unread(factory: Any, tmp_path: Path) -> None:
    path = factory.write("gti")

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "exploded",))

    np.savez(diagnostics_path(path), **{"sft/cosine": np.array([Bomb()], dtype=object)})
    edit(path, lambda c: c["files"].update(diagnostics=file_sha256(diagnostics_path(path))))
    assert any("without pickles" in str(finding) for finding in verify(path))
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("singular_values", np.array([1.0, 2.0]), "descending"),
        ("singular_values", np.array([np.nan, 1.0]), "expected finite numbers"),
        ("cosine_planes", np.zeros((2, 3), np.uint8), "(2, 3), expected"),
        ("cosine_labels", None, "is missing"),
    ],
)
def test_ill_formed_diagnostics_are_named(
    factory: Any, name: str, array: np.ndarray | None, message: str
) -> None:
    path = factory.write("gti")
    with np.load(diagnostics_path(path)) as file:
        arrays = dict(file)
    if array is None:
        del arrays[f"sft/{name}"]
    else:
        arrays[f"sft/{name}"] = array
    np.savez(diagnostics_path(path), **arrays)
    texts = [str(finding) for finding in verify(path)]
    assert any(f"sft/{name}" in text and message in text for text in texts)


def test_a_record_in_another_place_is_found(factory: Any, tmp_path: Path) -> None:
    path = factory.write("gti")
    shutil.copytree(path.parent, tmp_path / "elsewhere" / "toy" / "mean")
    assert "method.key" in fields(verify(tmp_path / "elsewhere"))


def test_two_seeds_alike_are_found(factory: Any) -> None:
    first, second = factory.write("gti", 0), factory.write("gti", 1)
    give_ranks(second, read_ranks(ranks_path(first)))
    findings = verify(factory.root)
    assert {finding.file for finding in findings} == {str(second)}
    said = " ".join(map(str, findings))
    assert f"other places than {first}'s" in said
    assert f"other NLLs than {first}'s" in said


def test_cells_of_one_setting_with_other_inputs_users_or_methods_are_found(factory: Any) -> None:
    factory.write("gti")
    other = factory.write("mean")
    edit(other, lambda c: c["inputs"].update(backbone="7" * 64))
    assert fields(verify(factory.root)) == ["inputs.backbone"]
    factory.write("mean", users=50)
    assert fields(verify(factory.root)) == ["files.ranks (targets)"]
    factory.write("mean")
    factory.write("mean", seed=1, version=2)
    assert fields(verify(factory.root)) == ["method_hash (within the setting)"]


def test_sidecars_without_a_record_are_a_warning(factory: Any) -> None:
    path = factory.write("gti")
    factory.write("mean")
    path.unlink()
    findings = verify(factory.root)
    assert {finding.level for finding in findings} == {"warning"}
    assert len(findings) == 2
    assert all(re.search(r"seed-0\.(ranks\.parquet|diagnostics\.npz)", f.file) for f in findings)


def test_findings_are_json(factory: Any) -> None:
    from leaderboard.verify.findings import findings_json

    path = factory.write("gti")
    edit(path, lambda c: c.update(seed=4))
    listed = json.loads(findings_json(verify(path)))
    assert {"level", "file", "field", "found", "expected"} == set(listed[0])


def test_several_processes_find_what_one_finds(
    factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory.board()
    higher = {"ndcg@10": 0.123456789}
    edit(factory.root / "toy/gti/seed-1.json", lambda c: c["metrics"]["test"].update(higher))
    shutil.copytree(factory.root / "toy/random", factory.root / "toy/twin")
    alone = verify(factory.root)
    assert any(finding.field == "metrics.test.ndcg@10" for finding in alone)

    class Pool(ThreadPoolExecutor):  # starts at once; what goes in and out is stored as for others
        def __init__(self, count: int, mp_context: Any) -> None:
            assert (count, mp_context.get_start_method()) == (2, "spawn")
            super().__init__(count)

        def map(self, work: Any, *tasks: Any, **options: Any) -> Any:
            there_and_back = [ForkingPickler.loads(ForkingPickler.dumps(tasks[0]))]
            done = super().map(ForkingPickler.loads(ForkingPickler.dumps(work)), *there_and_back)
            return (ForkingPickler.loads(ForkingPickler.dumps(each)) for each in done)

    monkeypatch.setattr("leaderboard.records.processes.ProcessPoolExecutor", Pool)
    monkeypatch.setattr("leaderboard.verify.verify.RECORDS_PER_TASK", 2)
    assert verify(factory.root, processes=2) == alone


def test_the_hash_of_the_targets_is_of_their_content_whatever_their_order(factory: Any) -> None:
    ranks = read_ranks(ranks_path(factory.write("gti")))
    shuffled = reordered(ranks)
    known = TargetsHash()
    assert known.of(ranks) == known.of(shuffled) == TargetsHash().of(shuffled)
    data = ("user", "item", "grade", "target_popularity", "history_length", "transitions")
    for name in data:
        column = getattr(ranks, name).astype(object)
        column[3] = "someone" if isinstance(column[3], str) else column[3] + 1
        assert known.of(replace(ranks, **{name: column})) != TargetsHash().of(ranks)
    assert known.of(replace(ranks, num_tied=ranks.num_tied * 2)) == TargetsHash().of(ranks)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_of_cells_that_disagree_the_rarer_is_named_and_not_the_later(
    factory: Any, seed: int
) -> None:
    paths = [factory.write("gti", each) for each in (0, 1, 2)]
    edit(paths[seed], lambda c: c["inputs"].update(backbone="7" * 64))
    found = [each for each in verify(factory.root) if each.field == "inputs.backbone"]
    assert [each.file for each in found] == [str(paths[seed])]
    assert "(2 of 3 records)" in found[0].expected


def test_where_as_many_say_either_the_finding_says_so(factory: Any) -> None:
    first, second = factory.write("gti"), factory.write("mean")
    edit(first, lambda c: c["inputs"].update(backbone="7" * 64))
    (found,) = [each for each in verify(factory.root) if each.field == "inputs.backbone"]
    assert found.file == str(second)
    assert str(first) in found.expected
    assert "as many say either" in found.expected


def test_a_key_that_stands_twice_is_named(factory: Any) -> None:
    path = factory.write("gti")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"seed": 0', '"seed": 1, "seed": 0', 1), encoding="utf-8")
    (found,) = verify(path)
    assert "the key 'seed' stands twice" in found.found


def test_where_items_have_ids_of_their_own_a_beam_holds_no_more_of_them(factory: Any) -> None:
    path = factory.write("gti")
    record, ranks = read_record(path), read_ranks(ranks_path(path))
    accounting = record.accounting
    assert accounting is not None
    own = accounting.model_copy(update={"distinct_sids": accounting.num_items})
    record = record.model_copy(update={"accounting": own})
    tied = ranks.num_tied.copy()
    tied[np.flatnonzero(ranks.in_beam)[0]] = own.beam
    findings: list[Finding] = []
    check_positions(Report("x", findings), record, ranks)
    assert findings == []
    check_positions(Report("x", findings), record, replace(ranks, num_tied=tied))
    assert findings[0].expected == f"at most {own.beam} (accounting.beam)"
