"""Which cell a record is of: setting, the method's card, seed, and their hashes."""

from dataclasses import asdict
from typing import Any

from gti.method import Method
from leaderboard.records.facts import MethodFacts
from leaderboard.records.record import PROTOCOL_VERSION, SCHEMA_VERSION, MethodCard, cell_hash
from leaderboard.records.setting import MethodParameters, Setting


def method_card(method: Method, parameters: MethodParameters) -> MethodCard:
    """The record's card of a method."""
    return MethodCard(
        key=method.key,
        summary=method.summary,
        source=method.source,
        version=method.version,
        group=method.group,
        spends=dict(method.spends),
        parameters=parameters,
        facts=method_facts(method),
    )


def method_facts(method: Method) -> MethodFacts:
    """What a method's class says of it, and what follows from its grounding stage."""
    stages, directions = {}, {}
    if (plan := method.grounding()) is not None:
        stages = {"grounding": plan.frozen_share > 0, "grounding_free": plan.frozen_share < 1}
        directions = {"text_to_sid": plan.text_to_sid, "sid_to_text": plan.sid_to_text}
        if plan.on != "texts":
            directions = {plan.on: True}
    return MethodFacts.model_validate(
        {
            "first_rows": method.first_rows,
            "stages": [stage for stage, runs in stages.items() if runs],
            "directions": [direction for direction, trained in directions.items() if trained],
            "order": method.order,
            "look": None if method.look is None else asdict(method.look),
            "contrasts": [
                {"question": method.question, **asdict(pair)} for pair in method.contrasts
            ],
        }
    )


def identity(setting: Setting, card: MethodCard, seed: int) -> dict[str, Any]:
    """The fields of a record that say which cell it is."""
    return {
        "schema_version": SCHEMA_VERSION,
        "protocol": PROTOCOL_VERSION,
        "setting": setting.model_dump(mode="json"),
        "setting_hash": setting.hash,
        "method": card.model_dump(mode="json"),
        "method_hash": card.hash,
        "seed": seed,
        "cell_hash": cell_hash(setting.hash, card.hash, seed),
    }


AXES = {"sft_learning_rate": 2, "grounding_learning_rate": 3, "auxiliary_loss_weight": 5}
"""What can be tuned, and the base of its part of the sequence."""


def axes_of(method: Method) -> tuple[str, ...]:
    """What can be tuned for `method`."""
    plan = method.grounding()
    has = {
        "sft_learning_rate": True,
        "grounding_learning_rate": plan is not None and plan.frozen_share > 0,
        "auxiliary_loss_weight": method.alignment,
    }
    return tuple(axis for axis in AXES if has[axis])
