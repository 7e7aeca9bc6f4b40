"""Claims files: what the schema refuses, and what the committed ones say."""

import tomllib
from typing import Any

import pytest

from benchmarks.inputs.catalogue import find_setting, setting_names
from leaderboard.claims.claims import CLAIMS, ClaimsError, load_claims, parse_claims

TEXT = """
title = "A paper"
source = "a table"
unit = "score"
track = "users"
dataset = "toy"
cut = "all"
split = "leave-one-out"
decimals = 4
settings = ["toy"]
caveats = []
comparisons = [["B", "A"]]

[[row]]
name = "A"
method = "mean"
values = { "recall@5" = 0.1, "ndcg@10" = 0.1234 }

[[row]]
name = "B"
method = "gti"
values = { "recall@5" = 0.3 }
"""


def test_claims_are_the_numbers_and_then_the_differences() -> None:
    found = parse_claims(TEXT, "toy").claims()
    assert [(c.name, c.base, c.metric, c.value) for c in found] == [
        ("A", None, "recall@5", 0.1),
        ("A", None, "ndcg@10", 0.1234),
        ("B", None, "recall@5", 0.3),
        ("B", "A", "recall@5", 0.2),
    ]
    assert found[0].rounding == pytest.approx(5e-5)
    assert found[3].rounding == pytest.approx(1e-4)


def test_a_reported_loss_may_lie_above_one() -> None:
    text = TEXT.replace('"ndcg@10" = 0.1234', '"trie_nll" = 5.25')
    assert ("trie_nll", 5.25) in [(c.metric, c.value) for c in parse_claims(text, "toy").claims()]
    with pytest.raises(ClaimsError, match="a score lies between 0 and 1"):
        parse_claims(TEXT.replace("0.1234", "5.25"), "toy")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "A paper"', "title = ", "not valid TOML"),
        ('title = "A paper"', "", "title: field required"),
        ('title = "A paper"', 'title = "A"\nauthor = "x"', "author: extra inputs"),
        ('settings = ["toy"]', "settings = []", "name settings to compare with, or give why_not"),
        ('settings = ["toy"]', 'settings = ["toy"]\nwhy_not = "x"', "or give why_not"),
        ('method = "gti"', "", "row 'B' needs a method of ours, or why_not"),
        ('method = "gti"', 'method = "gti"\nwhy_not = "x"', "exclude each other"),
        ('method = "gti"', 'method = "gti"\nbase = "A"', "scores have none"),
        ('method = "gti"', 'method = "gti"\nmethod_in = { "toi" = "x" }', "'toi', no setting"),
        ('method = "gti"', 'why_not = "x"\nmethod_in = { "toy" = "x" }', "goes with method"),
        ('unit = "score"', 'unit = "gain in %"', "gains have a base"),
        ("0.3 }", "1.3 }", "a score lies between 0 and 1"),
        ("0.3 }", "nan }", "finite number"),
        ('"recall@5" = 0.3', '"hits@5" = 0.3', "unknown metric 'hits@5'"),
        ('{ "recall@5" = 0.3 }', "{ }", "values names no metric"),
        ('name = "B"', 'name = "A"', "two rows of one name"),
        ('["B", "A"]', '["B", "C"]', "comparisons name 'c', which is no row"),
        (
            "caveats = []",
            "caveats = []\ncounts = "
            '{ users = 9, prompts = 1, basis = "stated", users_of_data = 8 }',
            "users cannot be more than users_of_data",
        ),
    ],
)
def test_a_file_that_says_too_little_or_too_much_is_refused(
    old: str, new: str, message: str
) -> None:
    assert old in TEXT
    with pytest.raises(ClaimsError) as error:
        parse_claims(TEXT.replace(old, new), "toy")
    assert str(error.value).startswith("claims toy: ")
    assert message.lower() in str(error.value).lower()


def test_the_committed_claims_are_readable_and_name_settings_of_ours() -> None:
    tables = {table.key: table.file for table in load_claims()}
    assert set(tables) == {path.stem for path in CLAIMS.glob("*.toml")}
    assert {"gti-vibrent", "gti-industrial", "lcrec-instruments", "tiger-beauty"} <= set(tables)
    named = {setting for file in tables.values() for setting in file.settings}
    assert named <= set(setting_names())
    for key, file in tables.items():
        for name in file.settings:
            setting = find_setting(name).setting
            assert setting.evidence, f"{key}: {name} supports no claim"
            assert setting.asks == file.track
            for row in file.rows:
                cutoffs = {int(metric.partition("@")[2]) for metric in row.values}
                assert cutoffs <= set(setting.evaluation.cutoffs)


def test_rows_with_a_method_name_one_of_ours() -> None:
    from baselines.registry import methods

    known = {*methods(), "recbole-sasrec"}
    for table in load_claims():
        named = {row.method for row in table.file.rows}
        named |= {method for row in table.file.rows for method in row.method_in.values()}
        assert named - {None} <= known


def test_a_row_may_be_another_method_in_a_setting_of_another_schedule() -> None:
    text = TEXT.replace('["toy"]', '["toy", "toy-2"]')
    text = text.replace(
        'method = "gti"', 'method = "gti"\nmethod_in = { "toy-2" = "gti_two_phase" }'
    )
    row = parse_claims(text, "toy").file.row("B")
    assert [row.method_of(name) for name in ("toy", "toy-2")] == ["gti", "gti_two_phase"]


def test_the_papers_gti_is_the_schedule_that_the_setting_has() -> None:
    from baselines.registry import methods

    file = next(table.file for table in load_claims() if table.key == "gti-vibrent")
    for name in file.settings:
        key = file.row("GTI + SFT").method_of(name)
        two_phases = find_setting(name).setting.extra.free_steps is not None
        plan = methods()[key].grounding()
        assert (0 < plan.frozen_share < 1) == two_phases, name
        assert file.row("mean + SFT").method_of(name) == "mean"


def vibrent() -> dict[str, Any]:
    return tomllib.loads((CLAIMS / "gti-vibrent.toml").read_text(encoding="utf-8"))


def test_the_public_table_is_whole() -> None:
    rows = {row["name"]: row["values"] for row in vibrent()["row"]}
    metrics = [f"{family}@{k}" for family in ("recall", "ndcg") for k in (5, 10, 20, 50, 100)]
    for values in rows.values():
        assert list(values) == metrics
    lost = {m for m in metrics if rows["GTI + SFT"][m] < rows["mean + LC-Rec tasks"][m]}
    assert lost == {"recall@5", "ndcg@5", "ndcg@10", "ndcg@100"}
    for values in rows.values():
        for family in ("recall", "ndcg"):
            series = [values[m] for m in metrics if m.startswith(family)]
            assert series == sorted(series)
        for k in (5, 10, 20, 50, 100):
            assert values[f"ndcg@{k}"] < values[f"recall@{k}"]
