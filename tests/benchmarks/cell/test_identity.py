"""The facts of a method: what its class says, what its card holds, what its hash covers."""

import pytest

from baselines.registry import methods
from benchmarks.cell.identity import method_card, method_facts
from leaderboard.records.facts import Look
from leaderboard.records.setting import MethodParameters

STAGES = {
    "mean": ((), ()),
    "lc_rec": ((), ()),
    "gti": (("grounding",), ("text_to_sid", "sid_to_text")),
    "gti_shuffled": (("grounding",), ("text_to_sid", "sid_to_text")),
    "gti_text_to_sid": (("grounding",), ("text_to_sid",)),
    "gti_sid_to_text": (("grounding",), ("sid_to_text",)),
    "gti_two_phase": (("grounding", "grounding_free"), ("text_to_sid", "sid_to_text")),
    "mean_two_phase": (("grounding_free",), ("text_to_sid", "sid_to_text")),
    "mean_rows_first": (("grounding",), ("retrieval",)),
    "sid_only": (("grounding",), ("codes",)),
    "token_distillation": (("grounding",), ("states",)),
}


@pytest.mark.parametrize("key", STAGES)
def test_stages_and_directions_follow_from_the_grounding_plan(key):
    facts = method_facts(methods()[key])
    assert (facts.stages, facts.directions) == STAGES[key]


def test_the_cards_hash_covers_what_is_trained_before_sft_and_no_looks():
    card = method_card(methods()["gti_shuffled"], MethodParameters())
    assert card.facts == method_facts(methods()["gti_shuffled"])

    def with_facts(**changes):
        return card.model_copy(update={"facts": card.facts.model_copy(update=changes)})

    assert with_facts(look=Look(color="grey", pattern=3), order=7, contrasts=()).hash == card.hash
    assert with_facts(directions=("text_to_sid",)).hash != card.hash
    assert with_facts(stages=("grounding_free",)).hash != card.hash
