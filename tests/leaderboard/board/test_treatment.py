"""Whether grounding took: bounds on both sides, what needs no judgement, what is unknown."""

import math
from pathlib import Path
from typing import Any

import pytest

from leaderboard.board.board import load_leaderboards
from leaderboard.board.checks import Checks
from leaderboard.board.compare import compare_cells
from leaderboard.board.contrasts import load_contrasts
from leaderboard.board.treatment import LEAST_FOUND, LEAST_GAP, Taken, treatment_of
from leaderboard.records.cells import load_cells
from leaderboard.records.facts import MethodFacts
from leaderboard.records.record import read_record
from leaderboard.render.board_tables import render
from leaderboard.render.comparison import sentence
from leaderboard.render.contrasts import contrast_lines
from leaderboard.render.treatment import treatment_line


def judged(*paths: Path) -> Taken | None:
    return treatment_of([read_record(path) for path in paths])


def state(*paths: Path) -> str:
    found = judged(*paths)
    assert found is not None
    return found.state


def test_the_least_gap_makes_an_answers_tokens_ten_percent_likelier() -> None:
    assert math.exp(LEAST_GAP) == pytest.approx(1.1, abs=0.006)


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({"shown": 2.0, "permuted": 2.125}, "took"),
        ({"shown": 2.0, "permuted": 2.0625}, "did not take"),
        ({"shown": 2.125, "permuted": 2.0}, "did not take"),
        ({"recall": 5 * 0.125, "chance": 0.125}, "took"),
        ({"recall": 2.5 * 0.125, "chance": 0.125}, "did not take"),
        ({"recall": None}, "not measured"),
        ({"directions": ("text_to_sid",)}, "not measured"),
    ],
)
def test_it_takes_both_a_gap_in_each_direction_and_items_found(
    factory: Any, treatment: Any, figures: dict[str, Any], expected: str
) -> None:
    assert LEAST_FOUND == 5
    assert state(factory.write("gti", treatment=treatment(**figures))) == expected


def test_a_gap_in_one_of_two_directions_is_not_enough(factory: Any, treatment: Any) -> None:
    found = treatment()
    for pairs in found["pairs"]:
        if pairs["direction"] == "sid_to_text":
            pairs["permuted"] = pairs["true"]
    assert state(factory.write("gti", treatment=found)) == "did not take"


def test_only_the_directions_that_a_method_trains_are_judged(factory: Any, treatment: Any) -> None:
    # Nothing is asked of finding items of a method that never trains text → SID.
    own = treatment(directions=("sid_to_text",), recall=0.0)
    assert state(factory.write("gti_sid_to_text", treatment=own)) == "took"
    own = treatment(directions=("text_to_sid",))
    assert state(factory.write("gti_text_to_sid", treatment=own)) == "took"


def test_a_method_took_where_it_did_at_every_seed(factory: Any, treatment: Any) -> None:
    paths = [factory.write("gti", seed, treatment=treatment()) for seed in (0, 1)]
    assert state(*paths) == "took"
    paths.append(factory.write("gti", 2, treatment=treatment(shown=4.0)))
    found = judged(*paths)
    assert found is not None
    assert found.state == "did not take"
    assert found.by_seed == {0: "took", 1: "took", 2: "did not take"}
    assert treatment_line(found).startswith("grounding did not take at seed 2;")
    assert found.nll[0].shown == pytest.approx((2 + 2 + 4) / 3)


def facts(stages: tuple[str, ...], directions: tuple[str, ...]) -> MethodFacts:
    return MethodFacts.model_validate(
        {"stages": stages, "directions": directions, "first_rows": None, "order": 100}
        | {"look": None, "contrasts": ()}
    )


def test_methods_without_pairs_of_texts_are_not_judged(factory: Any) -> None:
    assert judged(factory.write("mean")) is None
    for direction in ("codes", "retrieval"):
        own = facts(("grounding",), (direction,))
        assert judged(factory.write("mine", facts=own, spends={"before": 1.0})) is None


@pytest.mark.parametrize(("true", "expected"), [(2.0, "took"), (3.9375, "did not take")])
def test_a_stage_that_teaches_states_is_judged_by_right_pairs(
    factory: Any, treatment: Any, true: float, expected: str
) -> None:
    found = treatment(true, directions=("text_to_sid", "sid_to_text"))
    for pairs in found["pairs"]:
        pairs["shown"] = None
    own = facts(("grounding",), ("states",))
    path = factory.write("mine", facts=own, spends={"before": 1.0}, treatment=found)
    taken = judged(path)
    assert taken is not None
    assert (taken.state, [each.direction for each in taken.nll]) == (expected, ["sid_to_text"])


def test_an_untreated_side_leaves_a_pair_without_a_verdict_everywhere(
    factory: Any, treatment: Any
) -> None:
    factory.board({"mean": 0.2, "lc_rec": 0.25}, users=300)
    for seed in range(3):
        factory.write("gti", seed, skill=0.8, users=300, treatment=treatment(shown=4.0))
    cells, _ = load_cells([factory.root])
    checks = Checks(cells)
    why = ("grounding of gti did not take",)
    assert checks.obstacles("gti", "mean") == checks.obstacles("lc_rec", "gti") == why
    assert checks.obstacles("lc_rec", "mean") == ()
    board = load_leaderboards([factory.root]).boards[0]
    difference = board.row("gti").difference
    assert difference is not None
    assert (difference.verdict, difference.obstacles) == ("no verdict", why)
    assert difference.p is not None
    assert difference.p < 0.05
    text = " ".join(render(board).split())
    assert "No verdict on gti against mean (grounding of gti did not take): +" in text
    assert "gti: grounding did not take at seeds 0, 1, 2; NLL per token text → SID 4.00" in text
    assert "did not take" in render(board, "csv")
    found, _ = load_contrasts([[factory.root]], "toy")
    with_gti = [each for each in found.answers if each.contrast.a == "gti"]
    assert with_gti
    assert all(each.obstacles == why and not each.shown for each in with_gti)
    lines = contrast_lines(found)
    assert any(line.endswith("no verdict: grounding of gti did not take") for line in lines)
    rows = {row.key: row.ties for row in board.rows if row.key != "popularity"}
    assert set(rows["gti"]) & set(rows["mean"])
    assert set(rows["gti"]) & set(rows["lc_rec"])
    beside = compare_cells(cells, "gti", "lc_rec")
    assert (beside.verdict, beside.obstacles) == ("no verdict", why)
    assert sentence(beside).startswith(
        "No verdict on gti and lc_rec, since grounding of gti did not take: +"
    )
    assert beside.estimate.p is not None
    assert beside.estimate.p < 0.05


def test_what_was_shown_is_told_beside_what_was_held_out(factory: Any, treatment: Any) -> None:
    found = judged(factory.write("gti", treatment=treatment()))
    assert found is not None
    assert treatment_line(found) == (
        "grounding took at seed 0; NLL per token text → SID 2.00 as shown, 4.00 permuted (held out"
        " 3.75 true, 3.88 permuted); NLL per token SID → text 2.00 as shown, 4.00 permuted (held"
        " out 3.75 true, 3.88 permuted); recall@10 by title .900 of what was shown, .125 held out,"
        " by chance .100."
    )


def test_a_record_without_a_measured_treatment_says_so(factory: Any) -> None:
    path = factory.write("gti", treatment=None)
    assert state(path) == "not measured"
    factory.write("mean")
    checks = Checks(load_cells([factory.root])[0])
    assert checks.obstacles("gti", "mean") == ("treatment of gti was not measured",)
