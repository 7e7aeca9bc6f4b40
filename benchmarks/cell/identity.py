"""Which cell a record is of: setting, the method's card, seed, and their hashes."""

from typing import Any

from gti.method import Method
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
