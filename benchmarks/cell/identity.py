"""Which cell a record is of: setting, the method's card, seed, and their hashes."""

from dataclasses import asdict
from typing import Any

from gti.method import Method
from leaderboard.records.facts import MethodFacts
from leaderboard.records.record import PROTOCOL_VERSION, SCHEMA_VERSION, MethodCard, cell_hash
from leaderboard.records.setting import MethodParameters, Setting, SettingFile


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


AXES = ("sft_learning_rate", "grounding_learning_rate", "auxiliary_loss_weight")
"""What a `[method.NAME]` table may hold."""


def axes_of(method: Method) -> tuple[str, ...]:
    """What acts on `method`: all but the SFT rate only where it has a stage or task for it."""
    plan = method.grounding()
    has = {
        "sft_learning_rate": True,
        "grounding_learning_rate": plan is not None and plan.frozen_share > 0,
        "auxiliary_loss_weight": method.alignment,
    }
    return tuple(axis for axis in AXES if has[axis])


def parameters_of(file: SettingFile, method: Method) -> MethodParameters:
    """What `method` has in the setting that it does not share with all methods.

    Rate by rate its own table says, else its parent's, and so on; a rate that does not act on the
    method is not inherited, and the weight of alignment tasks by no method.
    """
    from baselines.registry import methods

    own = file.methods.get(method.key, MethodParameters())
    if method.parent is None:
        return own
    inherited = parameters_of(file, methods()[method.parent])
    rates = [axis for axis in axes_of(method) if axis != "auxiliary_loss_weight"]
    missing = {axis: getattr(inherited, axis) for axis in rates if getattr(own, axis) is None}
    return own.model_copy(update=missing)
