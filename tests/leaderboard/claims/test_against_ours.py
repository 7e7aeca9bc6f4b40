"""Claims beside records: direction, size, and why there may be no comparison."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cli.app import exit_code
from benchmarks.perf.honest_records.by_hand import CLAIMS
from leaderboard.board.board import load_leaderboards
from leaderboard.claims.against_ours import Compared, against_ours, judge
from leaderboard.claims.claims import Claim, ClaimsTable, parse_claims
from leaderboard.render.claims import claims_json, claims_lines
from leaderboard.statistics.crossed import Estimate

TEXT = CLAIMS.replace('settings = ["toy"]', 'settings = ["toy", "other"]')


def table(**changes: str) -> ClaimsTable:
    text = TEXT
    for old, new in changes.items():
        text = text.replace(old, new)
    return parse_claims(text, "toy")


def one(root: Path, claims: ClaimsTable | None = None) -> Compared:
    (found,), left_out = against_ours([root], [claims or table()])
    assert left_out == []
    return found


def by_claim(found: Compared) -> dict[Any, Any]:
    return {(b.claim.name, b.claim.base, b.claim.metric): b for b in found.claims}


def ours(mean: float, low: float, high: float, p: float) -> Estimate:
    return Estimate(mean, 0.01, low, high, 0.01, p, 3, 60, "seeds and users")


@pytest.mark.parametrize(
    ("value", "estimate", "direction", "within", "verdict"),
    [
        (0.02, ours(0.03, 0.01, 0.05, 0.01), True, True, "agrees"),
        (0.01, ours(0.03, 0.02, 0.04, 0.01), True, False, "same direction, ours is larger"),
        (-0.05, ours(-0.03, -0.04, -0.02, 0.01), True, False, "same direction, ours is smaller"),
        (0.05, ours(-0.03, -0.04, -0.02, 0.01), False, False, "opposite direction"),
        (0.0, ours(0.03, 0.01, 0.05, 0.01), None, False, "ours differs, reported is none"),
        (
            *(0.02, ours(0.01, -0.01, 0.03, 0.2), None, True),
            "open: ours shows none, and does not exclude it",
        ),
        (
            *(0.05, ours(0.01, -0.01, 0.03, 0.2), None, False),
            "not confirmed: ours shows none, and excludes it",
        ),
        (0.0501, ours(0.03, 0.01, 0.05, 0.01), True, True, "agrees"),
        (0.0502, ours(0.03, 0.01, 0.05, 0.01), True, False, "same direction, ours is smaller"),
    ],
)
def test_differences_are_judged_by_direction_and_size(
    value: float, estimate: Estimate, direction: bool | None, within: bool, verdict: str
) -> None:
    found = judge(Claim("GTI", "mean", "ndcg@10", value, 1e-4), "toy", estimate)
    assert (found.same_direction, found.within, found.verdict) == (direction, within, verdict)


@pytest.mark.parametrize(
    ("value", "verdict"), [(0.02, "agrees"), (0.005, "ours is higher"), (0.09, "ours is lower")]
)
def test_scores_are_judged_by_size_alone(value: float, verdict: str) -> None:
    found = judge(Claim("GTI", None, "ndcg@10", value, 5e-5), "toy", ours(0.03, 0.01, 0.05, 1e-4))
    assert (found.same_direction, found.verdict) == (None, verdict)


def test_no_verdict_rests_on_an_under_trained_cell_or_on_nothing_that_varies() -> None:
    claim = Claim("GTI", "mean", "ndcg@10", 0.02, 1e-4)
    assert judge(claim, "toy", ours(0.03, 0.01, 0.05, 0.01), weak=True).verdict == (
        "no claim: ours is under-trained"
    )
    still = Estimate(0.1, None, None, None, None, None, 1, 60, "conditional on one seed")
    assert judge(claim, "toy", still).verdict == "not comparable"


def test_ours_are_the_boards_figures(whole_board: Path) -> None:
    found = by_claim(one(whole_board))
    for metric in ("recall@5", "ndcg@10"):
        row = load_leaderboards([whole_board], metric).boards[0].row("gti")
        assert found["GTI", None, metric].ours == row.score
        assert found["GTI", "mean + SFT", metric].ours == row.difference.estimate
        assert found["GTI", "mean + SFT", metric].setting == "toy"
    reference = found["GTI", "popular", "ndcg@10"].ours
    assert reference.num_seeds == 3


def test_ours_without_a_verdict_is_not_set_beside_a_difference(factory: Any) -> None:
    factory.board({"mean": 0.2}, users=60)
    for seed in range(3):
        factory.write("gti", seed, users=60, parameters={"sft_learning_rate": 0.002})
    found = by_claim(one(factory.root))
    against = found["GTI", "mean + SFT", "ndcg@10"]
    why = "ours has no verdict: SFT rate differs (0.002 against 0.001)"
    assert (against.verdict, against.why_not) == ("not comparable", why)
    assert found["GTI", None, "ndcg@10"].why_not is None


def test_a_row_is_the_method_that_it_is_in_that_setting(whole_board: Path) -> None:
    elsewhere = {'method = "gti"': 'method = "absent"\nmethod_in = { toy = "gti" }'}
    assert one(whole_board, table(**elsewhere)).claims == one(whole_board).claims


def test_what_has_no_method_here_says_why(whole_board: Path) -> None:
    found = by_claim(one(whole_board))
    for key in (("TIGER", None, "ndcg@10"), ("GTI", "TIGER", "ndcg@10")):
        assert found[key].verdict == "not comparable"
        assert found[key].why_not == "no such method here"


def test_missing_records_are_named(factory: Any) -> None:
    assert {b.why_not for b in one(factory.root).claims if b.claim.name != "TIGER"} >= {
        "no records yet of toy, other"
    }
    factory.write("mean")
    found = by_claim(one(factory.root))
    assert found["mean + SFT", None, "ndcg@10"].ours is not None
    assert found["GTI", None, "ndcg@10"].why_not == "no record yet of gti in toy"
    assert found["GTI", "mean + SFT", "ndcg@10"].verdict == "no record yet"


def test_each_setting_that_has_records_is_set_beside(factory: Any, toy_setting: Any) -> None:
    factory.write("mean")
    factory.write("mean", setting=toy_setting(name="other"))
    found = one(factory.root)
    assert {b.setting for b in found.claims if b.ours is not None} == {"toy", "other"}


def test_a_metric_that_ours_lack_is_told(whole_board: Path) -> None:
    claims = table(**{'"recall@5"': '"recall@7"'})
    found = by_claim(one(whole_board, claims))
    assert "toy is not scored at recall@7" in found["GTI", None, "recall@7"].why_not
    assert found["GTI", None, "ndcg@10"].ours is not None


def test_two_versions_of_a_method_are_not_mixed(factory: Any) -> None:
    factory.write("gti", 0)
    factory.write("gti", 1, version=2)
    found = by_claim(one(factory.root))
    assert "method 'gti' differs" in found["GTI", None, "ndcg@10"].why_not


def test_another_number_of_users_is_noted(factory: Any) -> None:
    factory.write("mean", users=50)
    (note,) = one(factory.root).notes
    assert "setting toy scored 50 users, the source 60 (stated)" in note


def test_nothing_is_compared_where_the_file_says_so(whole_board: Path) -> None:
    claims = table(**{'settings = ["toy", "other"]': 'why_not = "other data"'})
    found = one(whole_board, claims).claims
    assert {(b.verdict, b.why_not) for b in found} == {("not comparable", "other data")}


def test_lines_give_each_claim_and_its_verdict(whole_board: Path) -> None:
    found = one(whole_board)
    lines = "\n".join(claims_lines([found], ["left out: x"])).splitlines()
    for each in found.claims:
        if each.ours is not None:
            name = each.claim.name if each.claim.base is None else f"GTI − {each.claim.base}"
            (line,) = [
                line
                for line in lines
                if line.split("  ")[1:2] == [name]
                and each.claim.metric in line
                and line.endswith(each.verdict)
            ]
            assert line
    text = "\n".join(lines)
    assert "nothing of ours beside these: no such method here" in text
    assert "what these numbers support by themselves" in text
    assert "10 claims from 1 source: " in text
    assert lines[-1] == "left out: x"


def test_json_holds_claims_support_and_reasons(whole_board: Path) -> None:
    found = one(whole_board)
    content = json.loads(claims_json([found], []))
    (source,) = content["sources"]
    assert source["key"] == "toy"
    assert len(source["claims"]) == len(found.claims)
    first = source["claims"][0]
    assert first["value"] == 0.1
    assert first["ours"]["mean"] == found.claims[0].ours.mean
    support = [each["support"] for each in source["support"]]
    assert support == ["shown either way", *["cannot be tested"] * 3]


def test_the_command_prints_claims_without_records(tmp_path: Path, capsys: Any) -> None:
    arguments = ["claims", "gti-vibrent", "--results", str(tmp_path)]
    assert exit_code(arguments) == 0
    text = capsys.readouterr().out
    assert "15 of 15 recalls are multiples of" in text
    assert "not shown either way" in text
    assert exit_code([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sources"][0]["counts_check"]["denominator"] == 5178
    assert exit_code(["claims", "gti-vibrant"]) == 2
    assert "there are gti-industrial, gti-vibrent" in capsys.readouterr().err
