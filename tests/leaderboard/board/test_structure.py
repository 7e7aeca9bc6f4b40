"""Rank correlations of rows and scores: against scipy, on planted relations, and on none."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.perf.honest_records.by_hand import card_by_hand
from leaderboard.board import structure as s
from leaderboard.board.method_rows import STAGES
from leaderboard.figures.inline_svg import draw
from leaderboard.figures.intervals import widened
from leaderboard.figures.structure import MARGINS, WIDTH, draw_structure, structure_panels
from leaderboard.records.cells import load_cells
from leaderboard.render.structure import structure_json, structure_lines

KEYS = [(stage, number) for stage in STAGES for number in s.NUMBERS]
FIRST = KEYS[0]


def board(
    methods: int, seeds: int, slope: float, stream: int, names: tuple[str, ...] = ("toy",)
) -> s.Points:
    """Cells whose first number goes with the score as `slope` says, and whose others do not."""
    generator = np.random.default_rng([stream, methods, seeds])
    labels = [
        (n, f"m{k:02d}", seed) for n in names for k in range(methods) for seed in range(seeds)
    ]
    of_method = {
        key: generator.normal(size=2) for key in dict.fromkeys(label[1] for label in labels)
    }
    noise = generator.normal(size=(len(labels), 2)) * 0.3
    pairs = np.array([of_method[label[1]] for label in labels]) + noise
    scores = slope * pairs[:, 0] + np.sqrt(1 - slope**2) * pairs[:, 1]
    numbers = {key: generator.normal(size=len(labels)) for key in KEYS} | {FIRST: pairs[:, 0]}
    return s.Points(
        "ndcg@10",
        tuple(label[0] for label in labels),
        tuple(label[1] for label in labels),
        {key: card_by_hand(key) for key in (label[1] for label in labels)},
        tuple(label[2] for label in labels),
        scores,
        numbers,
        random={},
        references=0,
        under_trained=0,
        without_score=0,
        unjudged=(),
    )


def first_of(points: s.Points) -> s.Association:
    return next(a for a in s.associations(points) if (a.stage, a.number) == FIRST)


PAIRS = st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=3, max_size=30)


@given(PAIRS)
def test_rho_is_scipys_ties_and_all(pairs: list[tuple[int, int]]) -> None:
    values, scores = (np.array(side, dtype=np.float64) for side in zip(*pairs, strict=True))
    blocks = np.zeros(len(pairs), dtype=np.int64)
    (found,) = s.spearman(values, scores, blocks, np.ones((1, len(pairs))))
    if min(np.ptp(values), np.ptp(scores)) == 0:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(stats.spearmanr(values, scores).statistic, abs=1e-9)


@given(PAIRS, st.integers(0, 99))
def test_a_weight_stands_for_as_many_points(pairs: list[tuple[int, int]], stream: int) -> None:
    values, scores = (np.array(side, dtype=np.float64) for side in zip(*pairs, strict=True))
    blocks = np.arange(len(pairs)) % 2
    weights = np.random.default_rng(stream).integers(0, 4, size=(1, len(pairs)))
    often = np.repeat(np.arange(len(pairs)), weights[0])
    (found,) = s.spearman(values, scores, blocks, weights.astype(np.float64))
    if len(often):
        ones = np.ones((1, len(often)))
        (plain,) = s.spearman(values[often], scores[often], blocks[often], ones)
        assert found == pytest.approx(plain, abs=1e-9, nan_ok=True)


def test_settings_are_pooled_by_the_ranks_within_each() -> None:
    points = board(6, 2, 0.5, 1, ("a", "b"))
    shifted = replace(points, scores=points.scores + 100 * (np.array(points.settings) == "b"))
    values, blocks = points.numbers[FIRST], np.array(points.settings) == "b"
    sides = []
    for side in (values, points.scores):
        ranks = np.zeros(len(side))
        for block in (blocks, ~blocks):
            ranks[block] = stats.rankdata(side[block]) - stats.rankdata(side[block]).mean()
        sides.append(ranks)
    plain = stats.pearsonr(*sides).statistic
    for each in (points, shifted):
        pooled = [a for a in s.associations(each) if a.setting is None]
        assert pooled[0].rho == pytest.approx(plain)
        assert (pooled[0].num_methods, pooled[0].num_cells) == (6, 24)


def test_a_planted_relation_is_found_in_its_direction() -> None:
    for slope, verdict in ((0.95, "rises with it"), (-0.95, "falls with it")):
        points = board(18, 2, slope, 3)
        found = s.associations(points)
        assert found[0].verdict == verdict
        assert found[0].rho is not None
        assert found[0].low is not None
        assert found[0].high is not None
        assert found[0].low < found[0].rho < found[0].high
        assert found[0].low > 0 or found[0].high < 0
        assert [a.verdict for a in found[1:]] == ["not shown"] * 8


def test_p_and_interval_are_one_rule() -> None:
    points = board(12, 1, 0.6, 8)
    alone = {key: np.full(12, np.nan) for key in KEYS} | {FIRST: points.numbers[FIRST]}
    found = first_of(replace(points, numbers=alone))  # one test: nothing to correct
    assert found.p is not None
    assert found.low is not None
    assert (found.p < 0.05) == (found.low > 0)


def test_permuted_scores_show_nothing_19_times_in_20(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s, "DRAWS", 200)
    points = board(10, 2, 0.9, 5)
    generator = np.random.default_rng(0)
    false = 0
    for _ in range(60):
        order = generator.permutation(10)
        rows = (order[:, None] * 2 + np.arange(2)).ravel()  # methods change places, with seeds
        shown = s.associations(replace(points, scores=points.scores[rows]))
        false += any(a.verdict in ("rises with it", "falls with it") for a in shown)
    assert false <= 6  # of 60 at 5 %; 7 or more has a chance of 3 in 100


@pytest.mark.parametrize(("methods", "seeds"), [(8, 3), (18, 1)])
def test_intervals_cover(monkeypatch: pytest.MonkeyPatch, methods: int, seeds: int) -> None:
    monkeypatch.setattr(s, "DRAWS", 200)
    slope, boards, inside = 0.5, 120, 0
    true = 6 / np.pi * np.arcsin(slope / 2)
    for stream in range(boards):
        found = first_of(board(methods, seeds, slope, stream))
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= true <= found.high
    assert inside >= 0.89 * boards


def test_seeds_of_one_method_are_no_further_methods() -> None:
    few, many = board(6, 1, 0.7, 2), board(6, 1, 0.7, 2)
    twenty = [np.repeat(side, 20) for side in (few.methods, few.settings)]
    many = replace(
        many,
        methods=tuple(twenty[0].tolist()),
        settings=tuple(twenty[1].tolist()),
        seeds=tuple(range(20)) * 6,
        scores=np.repeat(few.scores, 20),
        numbers={key: np.repeat(side, 20) for key, side in few.numbers.items()},
    )
    one, other = first_of(few), first_of(many)
    assert (one.rho, one.low, one.high) == pytest.approx((other.rho, other.low, other.high))


def test_too_few_methods_and_numbers_that_do_not_vary_are_said() -> None:
    found = s.associations(board(4, 9, 0.9, 1))
    assert {a.verdict for a in found} == {"too few methods to say"}
    assert {a.rho for a in found} == {None}
    points = board(6, 1, 0.9, 1)
    same = replace(points, numbers=points.numbers | {FIRST: np.ones(6)})
    assert first_of(same).verdict == "does not vary"
    text = "\n".join(structure_lines(board(4, 9, 0.9, 1), found))
    assert "Too few methods to say: a test needs 5." in text


def test_references_and_under_trained_cells_are_left_out_and_counted(factory: Any) -> None:
    factory.board({"popularity": 0.4, "gti": 0.9}, seeds=(0, 1))
    factory.write("mean", 0, skill=0.05)
    cells, _ = load_cells([factory.root])
    points = s.points_of(cells)
    assert (points.methods, points.seeds) == (("gti", "gti"), (0, 1))
    assert (points.references, points.under_trained, points.unjudged) == (1, 1, ())
    record = next(c.record for c in cells if (c.record.method.key, c.record.seed) == ("gti", 1))
    assert points.scores[1] == record.metrics["test"]["ndcg@10"]
    affinity = record.diagnostics["sft"].text_affinity
    assert points.numbers["sft", "text_affinity"][1] == pytest.approx(affinity, rel=1e-5)
    assert np.isnan(points.numbers["init", "rsa_level_1"]).all()  # rows all alike have none
    assert s.points_of([c for c in cells if c.record.kind == "cell"]).unjudged == ("toy",)


def test_two_settings_of_one_name_are_two_groups(
    factory: Any, toy_setting: Any, tmp_path: Path
) -> None:
    factory.write("gti", skill=0.9)
    assert set(s.points_of(load_cells([factory.root])[0]).settings) == {"toy"}
    own = toy_setting()
    other = own.model_copy(update={"sft": own.sft.model_copy(update={"weight_decay": 0.5})})
    factory.write("gti", skill=0.9, root=tmp_path / "other", setting=other)
    cells, _ = load_cells([factory.root, tmp_path / "other"])
    labels = [f"toy [{own.hash[:8]}]", f"toy [{other.hash[:8]}]"]
    points = s.points_of(cells)
    assert sorted(points.settings) == sorted(points.unjudged) == sorted(labels)
    groups = list(dict.fromkeys(each.setting for each in s.associations(points)))
    assert groups == [*sorted(labels), None]


@pytest.mark.parametrize("names", [("a",), ("a", "b")])
def test_text_json_and_figure_say_the_same(names: tuple[str, ...]) -> None:
    points = board(6, 2, 0.8, 4, names)
    found = s.associations(points)
    content = json.loads(structure_json(points, found))
    assert [each["rho"] for each in content["associations"]] == [a.rho for a in found]
    text = "\n".join(structure_lines(points, found))
    assert text.count(": rows' structure against test ndcg@10") == len(names) + (len(names) > 1)


def test_a_relation_without_a_spread_has_a_sentence_too() -> None:
    points = board(6, 1, 1.0, 4)
    undefined = {key: np.full(6, np.nan) for key in KEYS}
    whole = replace(points, numbers=undefined | {FIRST: points.scores * 3})
    found = s.associations(whole)
    assert first_of(whole).rho == pytest.approx(1.0)
    text = "\n".join(structure_lines(whole, found))
    assert "No number is shown to rise or fall with ndcg@10, of 1 tested." in text


def test_points_together_are_those_of_all_parts() -> None:
    one, two = board(5, 2, 0.5, 1, ("a",)), board(6, 1, 0.5, 2, ("b",))
    both = s.together([one, replace(two, references=2, unjudged=("b",))])
    assert both.settings == one.settings + two.settings
    assert both.scores.tolist() == [*one.scores.tolist(), *two.scores.tolist()]
    assert (both.references, both.unjudged) == (2, ("b",))
    assert [a for a in s.associations(both) if a.setting == "a"] == s.associations(one)


def test_the_figure_is_written_as_svg_png_and_pdf(tmp_path: Path) -> None:
    points = board(6, 1, 0.8, 4)
    paths = draw_structure(points, s.associations(points), tmp_path)
    assert [path.name for path in paths] == ["structure.svg", "structure.png", "structure.pdf"]
    assert paths[1].read_bytes().startswith(b"\x89PNG")


def test_random_rows_stand_beside_every_number_even_where_they_are_under_trained(
    factory: Any,
) -> None:
    factory.board({"popularity": 0.4, "gti": 0.9, "gaussian": 0.9}, seeds=(0, 1))
    for seed, skill in ((0, 0.05), (1, 0.9)):
        factory.write("random", seed, skill=skill)
    cells, _ = load_cells([factory.root])
    points = s.points_of(cells)
    assert points.under_trained == 1
    own: dict[str, list[float]] = {"random": [], "gti": [], "gaussian": []}
    for cell in cells:
        if cell.record.method.key in own:
            rsa = cell.record.diagnostics["sft"].rsa_spearman_per_level[0]
            assert rsa is not None
            own[cell.record.method.key].append(rsa)
    means = {key: np.mean(values) for key, values in own.items()}
    found = next(a for a in s.associations(points) if (a.stage, a.number) == ("sft", "rsa_level_1"))
    assert found.random == pytest.approx(means["random"], abs=1e-5)
    assert found.above == sum(means[key] > means["random"] for key in ("gti", "gaussian"))
    text = "\n".join(structure_lines(points, s.associations(points)))
    assert f"{found.random:.3g}" in text
    assert "Structure is not success" in text
    assert "run the method random" not in text
    without = s.points_of([c for c in cells if c.record.method.key != "random"])
    assert {a.random for a in s.associations(without)} == {None}
    assert "run the method random" in "\n".join(structure_lines(without, s.associations(without)))


def test_a_panel_has_a_dashed_line_where_random_rows_are() -> None:
    points = board(6, 1, 0.8, 4)
    plain = structure_panels(points, s.associations(points))["effective_rank"][0]
    beside = replace(points, random={("toy", *FIRST): 0.25})
    drawn = structure_panels(beside, s.associations(beside))["effective_rank"][0]
    (line,) = re.findall(r'class="random"[^>]*translate\(([-\d.]+),', draw(drawn).html)
    assert 'class="random"' not in draw(plain).html
    values = points.numbers[FIRST]
    low, high = widened([*values.tolist(), 0.25], share=0.06)
    place = MARGINS[0] + WIDTH * (0.25 - low) / (high - low)
    assert float(line) == pytest.approx(place, abs=0.02)
