"""Pairs of methods that answer the researcher's question: figures, correction, what is lacking."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm, t

from baselines.registry import methods
from benchmarks.cell.identity import method_facts
from benchmarks.cli.app import exit_code
from benchmarks.perf.honest_records.by_hand import card_by_hand
from leaderboard.board.board import load_leaderboards
from leaderboard.board.compare import compare
from leaderboard.board.contrasts import contrasts_of, load_contrasts
from leaderboard.board.questions import QUESTIONS, contrasts_for
from leaderboard.board.user_scores import read_scores
from leaderboard.records.cells import LeaderboardError, load_cells
from leaderboard.records.facts import Contrast, MethodFacts
from leaderboard.render.contrasts import Style, contrast_lines, contrasts_json, verdict
from leaderboard.statistics.corrections import holm

DOCS = Path(__file__).parents[3] / "docs"
RESULTS = DOCS.parent / "leaderboard" / "results"
COMMITTED = pytest.mark.skipif(
    not (RESULTS / "ml-100k-nano").is_dir(), reason="no committed records of ml-100k-nano"
)


@pytest.fixture
def some(factory: Any, treatment: Any) -> Path:
    """Three methods at three seeds, gti plainly the best; popularity far below them."""
    root: Path = factory.board({"mean": 0.2, "random": 0.25, "popularity": 0.01}, users=300)
    for seed in range(3):
        factory.write("gti", seed, skill=0.9, users=300, treatment=treatment())
    return root


def test_the_shipped_methods_answer_the_questions_in_this_order() -> None:
    shipped = contrasts_for(
        card_by_hand(key, **method_facts(method).model_dump()) for key, method in methods().items()
    )
    assert tuple(dict.fromkeys(contrast.question for contrast in shipped)) == QUESTIONS
    assert [f"{contrast.a} − {contrast.b}" for contrast in shipped] == [
        "gti − mean",
        "mean_matched − mean",
        "gti − mean_matched",
        "gti − lc_rec",
        "random − mean",
        "random_matched − mean",
        "gti − random_matched",
        "noisy_mean − mean",
        "description − description_raw",
        "keywords − keywords_raw",
        "gti_shuffled − mean",
        "gti − gti_shuffled",
        "gti − mean_rows_first",
        "mean_rows_first − mean_matched",
        "gti − sid_only",
        "description − mean",
        "gti − description",
        "gti_from_description − gti",
        "gti_from_codebook − gti",
        "gti_from_codebook − codebook",
        "gti − token_distillation",
        "gti − gti_text_to_sid",
        "gti − gti_sid_to_text",
        "gti − mean_two_phase",
        "gti_two_phase − gti",
        "gti_lc_rec − lc_rec",
    ]


def claims(*pairs: tuple[str, str, str]) -> MethodFacts:
    """Facts of a method that declares these contrasts, each a question and two keys."""
    contrasts = tuple(
        Contrast(question=question, a=a, b=b, isolates="something", place=0)
        for question, a, b in pairs
    )
    return MethodFacts(
        first_rows=None, stages=(), directions=(), order=100, look=None, contrasts=contrasts
    )


def test_a_method_of_others_is_set_beside_what_it_declares_and_its_question_comes_last(
    some: Path, factory: Any
) -> None:
    declared = claims((QUESTIONS[0], "mine", "mean"), ("Why mine?", "gti", "mine"))
    factory.write("mine", 0, skill=0.5, users=300, facts=declared)
    factory.write("yours", 0, skill=0.5, users=300, facts=claims(("Why?", "mine", "yours")))
    found, _ = load_contrasts([[some]], "toy")
    assert [(each.contrast.a, each.contrast.b) for each in found.answers] == [
        ("gti", "mean"),
        ("mine", "mean"),
        ("random", "mean"),
        ("gti", "mine"),
        ("mine", "yours"),
    ]
    # `yours` has no contrast of its own with `mean`, but the board shows it.
    assert found.family.size == 6
    assert found.family.level == 0.05 / 6


def test_cells_of_different_commits_are_named(some: Path, factory: Any) -> None:
    (before,) = load_contrasts([[some]], "toy")[0].commits
    assert before == ("abc1234",)
    later = {"version": "0.1.0", "commit": "def5678" + 33 * "0", "dirty": False}
    factory.write("mine", 0, skill=0.5, users=300, code=later)
    found, _ = load_contrasts([[some]], "toy")
    assert found.commits["def5678",] == ("mine",)
    (note,) = [each for each in contrast_lines(found, "md") if "different commits" in each]
    assert "mine at def5678" in note
    assert "gti, " in note


def test_a_pair_that_two_methods_declare_is_tested_once(some: Path, factory: Any) -> None:
    for key in ("mine", "yours"):
        factory.write(key, 0, skill=0.5, users=300, facts=claims(("Why?", "mine", "yours")))
    cards = [cell.record.method for cell in load_cells([some], "toy")[0]]
    mine = [each for each in contrasts_for(cards) if {each.a, each.b} == {"mine", "yours"}]
    assert len(mine) == 1


def test_figures_are_those_of_compare_and_p_is_corrected_over_all_pairs(some: Path) -> None:
    found, left_out = load_contrasts([[some]], "toy")
    assert left_out == []
    pairs = [(each.contrast.a, each.contrast.b) for each in found.answers]
    assert pairs == [("gti", "mean"), ("random", "mean")]
    singles = [compare([[some]], "toy", a, b)[0] for a, b in pairs]
    assert [each.estimate for each in found.answers] == [one.estimate for one in singles]
    assert [each.p for each in found.answers] == holm([one.estimate.p for one in singles])
    cards = [cell.record.method for cell in load_cells([some], "toy")[0]]
    assert len(found.missing) == len(contrasts_for(cards)) - 2
    assert found.answers[0].shown


def test_what_could_be_seen_is_what_the_board_says_with_as_many_tests(some: Path) -> None:
    found, _ = load_contrasts([[some]], "toy")
    (board,) = load_leaderboards([some]).boards
    differences = [board.row(each.contrast.a).difference for each in found.answers]
    assert len(differences) == 2
    for each, one in zip(found.answers, differences, strict=True):
        assert each.tested.smallest == one.smallest
        assert each.tested.seeds_needed == one.seeds_needed


def test_with_one_seed_what_could_be_seen_follows_from_student_s_t(factory: Any) -> None:
    factory.board({"mean": 0.2, "random": 0.25, "gti": 0.9}, seeds=(0,), users=300)
    found, _ = load_contrasts([[factory.root]], "toy")
    scores = read_scores(load_cells([factory.root], "toy")[0], "ndcg@10")
    assert found.family.level == 0.05 / 2
    for each in found.answers:
        a, b = (scores.values[key][0] for key in (each.contrast.a, each.contrast.b))
        error = np.std(a - b, ddof=1) / np.sqrt(300)
        expected = error * (t.isf(0.05 / 2 / 2, 299) + norm.ppf(0.8))
        assert each.tested.smallest == pytest.approx(expected, rel=1e-4)


def test_the_table_says_what_is_shown_what_could_be_seen_and_what_is_lacking(some: Path) -> None:
    found, _ = load_contrasts([[some]], "toy")
    text = "\n".join(contrast_lines(found))
    first = next(line for line in text.splitlines() if "gti − mean" in line)
    assert first.split()[-1] == "better"
    assert "3 seeds × 300 users" in text
    assert "no proof of equality" in text
    assert "2 being tested together" in " ".join(text.split())
    table = [line for line in contrast_lines(found, "md") if line.startswith("| ")]
    assert len(table) == 1 + 2
    content = json.loads(contrasts_json(found))
    assert content["contrasts"][0]["mean"] == found.answers[0].estimate.mean
    assert content["contrasts"][0]["verdict"] == "better"
    assert content["contrasts"][0]["seeds_needed"] == found.answers[0].tested.seeds_needed
    assert content["level"] == 0.05 / 2


def test_a_declared_pair_without_records_is_named(some: Path, factory: Any) -> None:
    factory.write("mine", 0, users=300, facts=claims(("Why?", "mine", "absent")))
    found, _ = load_contrasts([[some]], "toy")
    assert [each.b for each in found.missing] == ["absent"]
    assert "No records of absent: mine − absent not tested." in contrast_lines(found)
    factory.write("other", 7, users=300, facts=claims(("Why?", "other", "mine")))
    found, _ = load_contrasts([[some]], "toy")
    assert "No common seed: other − mine not tested." in contrast_lines(found)


def test_contrasts_of_unlike_seeds_say_how_many_they_have(some: Path, factory: Any) -> None:
    factory.write("gti_shuffled", 1, skill=0.5, users=300)
    found, _ = load_contrasts([[some]], "toy")
    lines = contrast_lines(found)
    assert "at most 3 seeds" in lines[0]
    shuffled = next(line for line in lines if "gti − gti_shuffled" in line)
    assert shuffled.split()[-1] == "1"
    assert any("With one seed" in line for line in lines)


def test_a_method_below_popularity_answers_nothing(factory: Any) -> None:
    factory.board({"mean": 0.02, "gti": 0.9, "popularity": 0.4}, seeds=(0, 1), users=300)
    found, _ = load_contrasts([[factory.root]], "toy")
    (answer,) = found.answers
    assert "mean under-trained" in answer.obstacles
    assert not answer.shown
    assert "no verdict: " in "\n".join(contrast_lines(found))


def test_without_a_pair_or_any_record_it_says_what_to_run(factory: Any) -> None:
    factory.write("popularity")
    cells, _ = load_cells([factory.root], "toy")
    with pytest.raises(LeaderboardError, match="--methods all"):
        contrasts_of(cells)
    with pytest.raises(LeaderboardError, match="no records of setting 'other'"):
        load_contrasts([[factory.root]], "other")


def test_the_command_prints_it_and_refuses_what_is_not_scored(some: Path, capsys: Any) -> None:
    words = ["contrasts", "toy", "--results", str(some)]
    assert exit_code([*words, "--format", "md"]) == 0
    assert "| gti − mean" in capsys.readouterr().out
    assert exit_code([*words, "--metric", "ndcg@7"]) == 2
    assert "not scored at ndcg@7" in capsys.readouterr().err


def test_one_seed_has_no_verdict(factory: Any) -> None:
    factory.board({"mean": 0.2, "random": 0.9}, seeds=(0,), users=300)
    found, _ = load_contrasts([[factory.root]], "toy")
    assert verdict(found.answers[0]) == "one seed: no verdict"


@COMMITTED
def test_no_committed_difference_is_both_large_enough_to_be_seen_and_not_shown() -> None:
    found, _ = load_contrasts([[RESULTS]], "ml-100k-nano")
    for each in found.answers:
        least = each.tested.smallest
        seen = least is not None and abs(each.estimate.mean) >= least
        assert each.shown or each.obstacles or each.p is None or not seen, each.contrast


@pytest.mark.parametrize(
    ("page", "setting", "style"),
    [
        ("README.md", "ml-100k-search-smollm2", "brief"),
        ("docs/grounding_or_compute.md", "ml-100k-search-smollm2", "md"),
        ("docs/grounding_or_compute.md", "ml-100k-nano", "md"),
        ("docs/grounding_or_compute.md", "ml-100k-search-nano", "md"),
    ],
)
def test_pages_show_what_the_committed_records_say(page: str, setting: str, style: Style) -> None:
    if not (RESULTS / setting).is_dir():
        pytest.skip(f"no committed records of {setting}")
    text = (DOCS.parent / page).read_text(encoding="utf-8")
    shown = text.partition(f"<!-- contrasts of {setting}:")[2].partition("-->\n")[2]
    shown = shown.partition("\n<!-- end of contrasts -->")[0]
    found, _ = load_contrasts([[RESULTS]], setting)
    assert shown.strip() == "\n".join(contrast_lines(found, style)).strip()


def test_the_brief_form_says_so_where_nothing_is_declared(factory: Any) -> None:
    factory.board({"mean": 0.2, "random": 0.9}, seeds=(0, 1), users=300)
    found, _ = load_contrasts([[factory.root]], "toy")
    (*_, last) = contrast_lines(found, "brief")
    assert last == "<sub>Setting toy declares no contrasts.</sub>"


@COMMITTED
def test_the_brief_form_has_what_is_declared_alone() -> None:
    found, _ = load_contrasts([[RESULTS]], "ml-100k-nano")
    brief, whole = (contrast_lines(found, style) for style in ("brief", "md"))
    assert found.decided is not None
    rows = [line for line in brief if line.startswith("| gti")]
    assert len(rows) == len(found.decided.decisions)
    assert set(rows) < {line for line in whole if line.startswith("|")}
