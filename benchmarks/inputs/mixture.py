"""LC-Rec's mixture of alignment tasks: checked before anything runs, explained in the record."""

from benchmarks.inputs.inputs import ReadData
from benchmarks.inputs.shown import shown_to_methods
from gti.prompts.mixture import check_mixture
from gti.prompts.user_texts import UserTexts
from leaderboard.records.setting import Setting


def check_setting_mixture(setting: Setting, inputs: ReadData) -> None:
    """Checks that the setting's data can feed every family of its mixture; under a second.

    Raises:
        MixtureError: a family that does not exist or finds no texts; the way out is given.
    """
    spec, shown = setting.dataset, shown_to_methods(setting, inputs)
    texts = UserTexts(shown.texts, spec.title_field, spec.detail_fields)
    check_mixture(setting.auxiliary.mixture, texts, shown.train, spec.max_history)
