"""The facts of a method: what its class says, what its card holds, what lies beside `leaderboard`.

After a change of what a shipped method says of itself, write the file that `verify` reads anew with

    GTI_BENCH_WRITE_FACTS=1 python -m pytest tests/benchmarks/cell/test_identity.py
"""

import json
import os

import pytest

from baselines.registry import methods
from benchmarks.cell.identity import method_card, method_facts
from leaderboard.records.known_methods import SHIPPED
from leaderboard.records.setting import MethodParameters


def file_of(known):
    """The text of the file: a line for each method, in the order of figures."""
    facts = sorted(((key, method_facts(method)) for key, method in known.items()), key=place)
    lines = (f' "{key}": {json.dumps(of.model_dump(), ensure_ascii=False)}' for key, of in facts)
    return "{\n" + ",\n".join(lines) + "\n}\n"


def place(entry):
    key, facts = entry
    return facts.order, key


def test_the_facts_of_shipped_methods_are_those_of_their_classes():
    shipped = {
        key: method
        for key, method in methods().items()
        if type(method).__module__.startswith("baselines.")
    }
    if os.environ.get("GTI_BENCH_WRITE_FACTS") == "1":
        SHIPPED.write_text(file_of(shipped), encoding="utf-8")
        pytest.skip(f"wrote {SHIPPED.name} anew; read the difference before you commit it")
    assert SHIPPED.read_text(encoding="utf-8") == file_of(shipped)


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
}


@pytest.mark.parametrize("key", STAGES)
def test_stages_and_directions_follow_from_the_grounding_plan(key):
    facts = method_facts(methods()[key])
    assert (facts.stages, facts.directions) == STAGES[key]


def test_facts_are_in_the_card_and_in_no_hash_of_the_cell():
    card = method_card(methods()["gti_shuffled"], MethodParameters())
    assert card.facts == method_facts(methods()["gti_shuffled"])
    assert card.model_copy(update={"facts": None}).hash == card.hash
