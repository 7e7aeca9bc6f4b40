"""Settings and methods as they come with this code, for `verify` and `check-results`.

The methods need torch to be imported: they are asked for only where a record needs them, and where
torch is not installed they are unknown.
"""

from functools import cache

from benchmarks.inputs.catalogue import find_setting, setting_names
from leaderboard.records.record import MethodCard
from leaderboard.records.shipped import Shipped

RECBOLE = "recbole-"


@cache
def shipped() -> Shipped:
    """The settings of the catalogue, and the cards that records of them have now."""
    settings = {name: find_setting(name).setting for name in setting_names()}
    return Shipped(settings, _card)


@cache
def _card(setting: str, method: str) -> MethodCard | None:
    """The card of `method` in the shipped `setting`; null for methods that are not shipped."""
    try:
        return _reference(setting, method) or _method(setting, method)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "transformers"):
            raise
        return None


def _method(setting: str, key: str) -> MethodCard | None:
    """The card of a method from `baselines` in the shipped setting; null if there is none."""
    from baselines.registry import methods
    from benchmarks.cell.identity import method_card, parameters_of

    method = methods().get(key)
    if method is None:
        return None
    return method_card(method, parameters_of(find_setting(setting), method))


def _reference(setting: str, key: str) -> MethodCard | None:
    """The card of a reference of the setting's track."""
    from benchmarks.recbole.models import MODELS
    from benchmarks.recbole.rows import reference_card
    from benchmarks.run.write_references import card_of_reference, references_of
    from benchmarks.titles.card import KEY, titles_card

    own = find_setting(setting).setting
    if key.startswith(RECBOLE):
        name = key.removeprefix(RECBOLE)
        return reference_card(name, own.dataset.max_history) if name in MODELS else None
    if key == KEY:
        return titles_card()
    known = references_of(own)
    return card_of_reference(key, known[key]) if key in known else None
