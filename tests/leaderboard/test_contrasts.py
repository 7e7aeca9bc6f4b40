"""Pairs of methods that answer the researcher's question: figures, correction, what is lacking."""

import json
from pathlib import Path
from typing import Any

import pytest

from baselines.registry import methods
from benchmarks.cli import exit_code
from leaderboard.compare import compare
from leaderboard.comparisons import holm
from leaderboard.contrasts import CONTRASTS, contrasts_of, load_contrasts
from leaderboard.contrasts_text import contrast_lines, contrasts_json, verdict
from leaderboard.scores import LeaderboardError, load_cells

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def some(factory: Any) -> Path:
    """Three methods at two seeds, gti plainly the best; popularity far below them."""
    for seed in (0, 1):
        factory.write("mean", seed, skill=0.2, users=300)
        factory.write("random", seed, skill=0.25, users=300)
        factory.write("gti", seed, skill=0.9, users=300)
    factory.write("popularity", skill=0.01, users=300)
    return factory.root


def test_every_contrast_is_between_two_methods_that_exist_and_none_is_there_twice() -> None:
    pairs = [(contrast.a, contrast.b) for contrast in CONTRASTS]
    assert {key for pair in pairs for key in pair} <= set(methods())
    assert len({frozenset(pair) for pair in pairs}) == len(pairs)


def test_figures_are_those_of_compare_and_p_is_corrected_over_all_pairs(some: Path) -> None:
    found, left_out = load_contrasts([[some]], "toy")
    assert left_out == []
    pairs = [(each.contrast.a, each.contrast.b) for each in found.answers]
    assert pairs == [("gti", "mean"), ("random", "mean")]
    singles = [compare([[some]], "toy", a, b)[0] for a, b in pairs]
    assert [each.estimate for each in found.answers] == [one.estimate for one in singles]
    assert [each.smallest for each in found.answers] == [one.smallest for one in singles]
    assert [each.p for each in found.answers] == holm([one.estimate.p for one in singles])
    assert len(found.missing) == len(CONTRASTS) - 2
    assert found.answers[0].shown


def test_the_table_says_what_is_shown_what_could_be_seen_and_what_is_lacking(some: Path) -> None:
    found, _ = load_contrasts([[some]], "toy")
    text = "\n".join(contrast_lines(found))
    first = next(line for line in text.splitlines() if "gti − mean" in line)
    assert first.split()[-1] == "better"
    assert "2 seeds × 300 users" in text
    assert "no proof of equality" in text
    assert "No records for: mean_matched − mean" in text
    table = [line for line in contrast_lines(found, "md") if line.startswith("| ")]
    assert len(table) == 1 + 2
    content = json.loads(contrasts_json(found))
    assert content["contrasts"][0]["mean"] == found.answers[0].estimate.mean
    assert content["contrasts"][0]["verdict"] == "better"


def test_contrasts_of_unlike_seeds_say_how_many_they_have(some: Path, factory: Any) -> None:
    factory.write("gti_shuffled", 1, skill=0.5, users=300)
    found, _ = load_contrasts([[some]], "toy")
    lines = contrast_lines(found)
    assert "at most 2 seeds" in lines[0]
    shuffled = next(line for line in lines if "gti − gti_shuffled" in line)
    assert shuffled.split()[-1] == "1"
    assert any("With one seed" in line for line in lines)


def test_a_method_below_popularity_answers_nothing(factory: Any) -> None:
    for seed in (0, 1):
        factory.write("mean", seed, skill=0.02, users=300)
        factory.write("gti", seed, skill=0.9, users=300)
    factory.write("popularity", skill=0.4, users=300)
    found, _ = load_contrasts([[factory.root]], "toy")
    (answer,) = found.answers
    assert answer.weak == ("mean",)
    assert not answer.shown
    assert "mean under-trained" in "\n".join(contrast_lines(found))


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


def test_with_one_seed_a_verdict_is_that_seeds(factory: Any) -> None:
    for method, skill in (("mean", 0.2), ("gti", 0.9)):
        factory.write(method, 0, skill=skill, users=300)
    found, _ = load_contrasts([[factory.root]], "toy")
    assert verdict(found.answers[0]) == "better at one seed"


@pytest.mark.parametrize("setting", ["ml-100k-nano", "ml-100k-search-nano"])
def test_the_page_in_docs_shows_what_the_committed_records_say(setting: str) -> None:
    page = (DOCS / "grounding_or_compute.md").read_text(encoding="utf-8")
    shown = page.partition(f"<!-- contrasts of {setting}:")[2].partition("-->\n")[2]
    shown = shown.partition("\n<!-- end of contrasts -->")[0]
    found, _ = load_contrasts([[DOCS.parent / "leaderboard" / "results"]], setting)
    assert shown.strip() == "\n".join(contrast_lines(found, "md")).strip()
