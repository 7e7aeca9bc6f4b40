"""What a reader of a cell should know beside its numbers: the warnings of its record."""

from benchmarks.inputs import Inputs
from benchmarks.mixture import mixture_notes
from gti.method import Method
from gti.prompts import Prompter
from gti.quantiser_report import COLLAPSED_BELOW
from leaderboard.setting import Setting


def notes_on(setting: Setting, inputs: Inputs, prompter: Prompter, method: Method) -> list[str]:
    """One sentence each: missing templates and texts, collapsed levels, tasks made by rule."""
    notes = []
    if setting.prompts.style == "chat" and not prompter.has_template:
        notes.append(
            f"backbone {setting.backbone.name} has no chat template: plain wordings were used"
        )
    texts = zip(prompter.titles, prompter.details, strict=True)
    without = sum(not title and not detail for title, detail in texts)
    if without:
        notes.append(f"items without text: {without}; no grounding or alignment pairs of these")
    dropped = inputs.split.dropped_users
    if dropped:
        least = setting.dataset.min_interactions
        notes.append(f"users with fewer than {least} interactions, left out: {dropped}")
    sids = inputs.semantic_ids
    notes += [
        f"level {level} of the Semantic IDs collapsed: items use {used} of its {sids.num_codes}"
        " codes"
        for level, used in enumerate(sids.used_per_level)
        if used < COLLAPSED_BELOW * sids.num_codes
    ]
    return notes + (mixture_notes(setting) if method.alignment else [])
