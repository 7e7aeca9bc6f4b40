"""LC-Rec's mixture of alignment tasks: checked before anything runs, explained in the record."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.inputs import ReadData
from gti.mixture import check_mixture, user_text_note
from gti.user_texts import UserTexts
from gti.wordings import FAMILIES
from leaderboard.setting import Setting

if TYPE_CHECKING:
    from benchmarks.plan import PlannedCell


def check_setting_mixture(setting: Setting, inputs: ReadData) -> None:
    """Checks that the setting's data can feed every family of its mixture; under a second.

    Raises:
        MixtureError: a family that does not exist or finds no texts; the way out is given.
    """
    spec = setting.dataset
    texts = UserTexts(inputs.dataset.texts, spec.title_field, spec.detail_fields)
    check_mixture(setting.auxiliary.mixture, texts, inputs.split.train, spec.max_history)


def check_for_cells(setting: Setting, inputs: ReadData, cells: Sequence["PlannedCell"]) -> None:
    """The same, where any of `cells` has alignment tasks; else the mixture is of no matter."""
    if any("beside" in cell.card.spends for cell in cells):
        check_setting_mixture(setting, inputs)


def mixture_notes(setting: Setting) -> list[str]:
    """What a record of a method with alignment tasks says about them, beside its counts."""
    mixture = setting.auxiliary.mixture
    left_out = [family for family in FAMILIES if family not in mixture]
    notes = [f"alignment families left out: {', '.join(left_out)}"] if left_out else []
    note = user_text_note(mixture)
    return notes if note is None else [*notes, note]
