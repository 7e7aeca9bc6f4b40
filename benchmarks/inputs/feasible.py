"""What a setting asks for that cannot be had: said by `plan` and `prepare` before any work."""

from benchmarks.inputs.encoders import EncoderError, encoder_card
from benchmarks.inputs.semantic_ids import InputError
from gti.data.dataset import Dataset
from leaderboard.metrics.metrics import MAIN_METRIC
from leaderboard.records.setting import Setting
from leaderboard.records.specs import NO_ENCODER


def check_feasible(setting: Setting) -> None:
    """Refuses a setting whose encoder is none, or whose main score would be null.

    Raises:
        InputError: names the setting, the field and the way out.
    """
    problem = no_main_score(setting)
    if problem is not None:
        raise InputError(f"setting {setting.name}: {problem}")
    spec = setting.semantic_ids
    if spec.encoder == NO_ENCODER:
        return
    try:
        encoder_card(spec.encoder)
    except EncoderError as error:
        raise InputError(f"setting {setting.name}: semantic_ids.encoder: {error}") from error


def no_main_score(setting: Setting) -> str | None:
    """Why the main score will be null; null where it will not."""
    cutoff, beam = int(MAIN_METRIC.partition("@")[2]), setting.decoding.beam
    if beam >= cutoff:
        return None
    return (
        f"the main score {MAIN_METRIC} will be null, because decoding.beam = {beam} ranks no more"
        f" than {beam} items; raise it to {cutoff} or more"
    )


def check_fits(setting: Setting, dataset: Dataset) -> None:
    """Refuses more components than so few items have.

    Raises:
        InputError: names the setting, the field and the way out.
    """
    spec = setting.semantic_ids
    if spec.encoder != NO_ENCODER and spec.pca_dim > dataset.num_items:
        raise InputError(
            f"setting {setting.name}: semantic_ids.pca_dim = {spec.pca_dim}, but {dataset.name} has"
            f" {dataset.num_items} items, whose vectors have no more components than that; lower"
            " it, or 0 takes the vectors as they are"
        )
