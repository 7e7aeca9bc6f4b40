"""What the controls change of `gti` and `mean`, and that they change nothing else."""

import numpy as np
import pytest
import torch

from baselines.registry import GROUPS, methods, select_methods
from gti.data.streams import numpy_stream
from gti.method import GroundingPlan
from gti.train.grounding import derangement, grounding_examples

PLANS = {
    "gti": GroundingPlan(),
    "gti_text_to_sid": GroundingPlan(sid_to_text=False),
    "gti_sid_to_text": GroundingPlan(text_to_sid=False),
    "gti_from_codebook": GroundingPlan(),
    "gti_from_description": GroundingPlan(),
    "gti_shuffled": GroundingPlan(shuffled=True),
    "gti_two_phase": GroundingPlan(frozen_share=0.5),
    "mean_two_phase": GroundingPlan(frozen_share=0.0),
    "gti_lc_rec": GroundingPlan(),
    "mean_rows_first": GroundingPlan(on="retrieval"),
    "sid_only": GroundingPlan(on="codes"),
    "token_distillation": GroundingPlan(text_to_sid=False, on="states"),
}
PAIRED = [key for key, plan in PLANS.items() if plan.on == "texts"]
SPENDS = {
    **{key: {"before": 1.0} for key in PLANS},
    "gti_lc_rec": {"before": 0.5, "beside": 0.5},
    "lc_rec": {"beside": 1.0},
    "mean_matched": {"after": 1.0},
}
STARTS = {"gti_from_description": "description", "gti_from_codebook": "codebook"}
INITIALIZATIONS = {
    "codebook", "description", "description_raw", "gaussian", "hf_default", "keywords",
    "keywords_raw", "noisy_mean", "random_matched",
}  # fmt: skip


@pytest.mark.parametrize("key", list(methods()))
def test_plans_budgets_and_alignment_are_those_of_the_method_table(key):
    method = methods()[key]
    assert method.grounding() == PLANS.get(key)
    assert method.spends == SPENDS.get(key, {})
    assert method.alignment == (key in ("lc_rec", "gti_lc_rec"))


def test_every_group_lists_its_methods_and_all_lists_all():
    chosen = {group: {method.key for method in select_methods(group)} for group in GROUPS}
    assert chosen["core"] == {"mean", "random", "gti", "lc_rec"}
    assert chosen["initializations"] == INITIALIZATIONS
    assert chosen["controls"] == {*PLANS, "mean_matched"} - {"gti"}
    assert chosen["all"] == set(methods()) == set().union(*chosen.values())
    assert len(chosen["all"]) == 25


@pytest.mark.parametrize("key", sorted({*PLANS, "mean_matched"} - STARTS.keys()))
def test_controls_start_from_the_mean(key, make_start):
    given = make_start()
    assert torch.equal(methods()[key].initialize(given), methods()["mean"].initialize(given))


@pytest.mark.parametrize(("key", "start"), STARTS.items())
def test_gti_from_something_starts_from_its_rows(make_start, key, start):
    rows = methods()[key].initialize(make_start())
    assert torch.equal(rows, methods()[start].initialize(make_start()))


class Pairs:
    """Stands for a `Prompter`: an example is what was asked of it."""

    def __init__(self, semantic_ids):
        self.semantic_ids = semantic_ids

    def can_ask(self, task, item):
        return True

    def example(self, task, item, *, sid_of):
        return task, item, sid_of


def pairs_of(key, given, seed=0):
    plan = methods()[key].grounding()
    return grounding_examples(Pairs(given.semantic_ids), plan, numpy_stream(seed, "shuffle"))


def test_one_direction_has_only_its_own_tasks(make_start):
    given = make_start()
    tasks = {key: {task for task, _, _ in pairs_of(key, given)} for key in PAIRED}
    assert tasks["gti_text_to_sid"] == {"title_to_sid", "detail_to_sid", "both_to_sid"}
    assert tasks["gti_sid_to_text"] == {"sid_to_title", "sid_to_detail", "sid_to_both"}
    for key in set(PAIRED) - {"gti_text_to_sid", "gti_sid_to_text"}:
        assert tasks[key] == tasks["gti_text_to_sid"] | tasks["gti_sid_to_text"]


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_pairs_hold_every_semantic_id_once_and_none_at_its_own_item(make_start, seed):
    rng = np.random.default_rng(seed)
    given = make_start(item_codes=rng.integers(0, 16, size=(50, 2)))
    pairs = pairs_of("gti_shuffled", given, seed)
    assert [pair[:2] for pair in pairs] == [pair[:2] for pair in pairs_of("gti", given)]
    sid_of = {}
    for _, item, other in pairs:
        assert sid_of.setdefault(item, other) == other  # the same one in all six tasks
        assert other != item
    assert sorted(sid_of.values()) == list(range(50))
    assert sid_of != dict(enumerate(derangement(50, numpy_stream(seed + 1, "shuffle"))))


@pytest.mark.parametrize("key", list(methods()))
def test_rows_that_change_with_the_texts_are_said_to_be_made_of_them(key, make_start):
    texts = [tuple({"title": f"w{item + at} w{item + 40}"} for item in range(3)) for at in (0, 9)]
    one, other = (methods()[key].initialize(make_start(texts=given)) for given in texts)
    assert (not torch.equal(one, other)) == methods()[key].reads_texts
