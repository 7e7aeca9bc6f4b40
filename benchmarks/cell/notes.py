"""What a reader of a cell should know beside its numbers: the warnings of its record."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.inputs.inputs import Inputs
from benchmarks.inputs.shown import Shown
from gti.data.semantic_ids import SemanticIds
from gti.method import Method
from gti.model.capabilities import free_length
from gti.prompts.mixture import user_text_note
from gti.prompts.prompter import Prompter
from gti.prompts.wordings import FAMILIES
from gti.quantise.report import COLLAPSED, COLLAPSED_BELOW
from gti.search.reading import why_not_layerwise, why_not_side_by_side
from leaderboard.records.setting import Setting


def notes_on(
    setting: Setting, inputs: Inputs, shown: Shown, prompter: Prompter, method: Method
) -> list[str]:
    """One sentence each: missing templates and texts, what was shown, collapsed levels, tasks."""
    notes = []
    if setting.prompts.style == "chat" and not prompter.has_template:
        notes.append(
            f"backbone {setting.backbone.name} has no chat template: plain wordings were used"
        )
    kinds = None if inputs.queries is None else inputs.queries.kinds
    if kinds is not None:
        notes += shown_notes(kinds, len(shown.held_out), inputs.semantic_ids, method)
    elif len(shown.held_out):
        notes.append(
            f"held out of all texts: {len(shown.held_out)} items; they are in no grounding pair,"
            " alignment task or first row, and in histories and queries as all others are"
        )
    texts = zip(prompter.titles, prompter.details, strict=True)
    without = sum(not title and not detail for title, detail in texts) - len(shown.held_out)
    if without and kinds is None:
        notes.append(f"items without text: {without}; no grounding or alignment pairs of these")
    dropped = inputs.split.dropped_users
    if dropped:
        least = setting.dataset.min_interactions
        notes.append(f"users with fewer than {least} interactions, left out: {dropped}")
    notes += _collapsed(inputs.semantic_ids)
    return notes + (mixture_notes(setting) if method.alignment else [])


def draw_note(setting: Setting, seed: int) -> str | None:
    """That no hash says which draw a cell of `seed` reads, where draws of other seeds have one."""
    spec = setting.semantic_ids
    if spec.seed != "cell" or spec.pin_at(seed) != "unpinned":
        return None
    return f"Semantic IDs: the setting pins no draw of seed {seed}; this cell's was made here"


def shown_of(method: Method) -> dict[str, tuple[str, ...]]:
    """Kind of item → what `method` was shown of it: titles in first rows, queries, pairs, tasks.

    "held-out" items are the warm ones of which no method is shown a text.
    """
    plan = method.grounding()
    titles = ("titles in first rows",) if method.reads_texts else ()
    if plan is not None and plan.on in ("texts", "states"):
        titles = (*titles, ("wrong" if plan.shuffled else "right") + " pairs")
    if plan is not None and plan.on == "codes":
        titles = (*titles, "Semantic IDs without text")
    if method.alignment:
        titles = (*titles, "alignment tasks")
    queries = ("queries",)
    return {"warm": (*queries, *titles), "held-out": queries, "cold": titles, "new": ()}


def shown_notes(
    kinds: Sequence[str], held_out: int, sids: SemanticIds, method: Method
) -> list[str]:
    """What `method` was shown of each kind of item, and what the Semantic IDs are made of.

    Args:
        kinds: [num_items] of the items.
        held_out: how many of the warm ones are held out of all texts.
        sids: the Semantic IDs.
        method: who was shown it.
    """
    counts = Counter(kinds)
    counts.update({"held-out": held_out, "warm": -held_out})
    trained = "; ".join(
        f"of {counts[kind]} {kind} items {' and '.join(what) or 'nothing'}"
        + (", no text" if kind == "held-out" else "")
        for kind, what in shown_of(method).items()
        if counts[kind] or kind != "held-out"
    )
    made = sids.description.get("text")
    return [
        f"shown to {method.key} in training: {trained}; texts that it may read are titles of warm"
        " and cold items that are not held out",
        f"Semantic IDs are made of {made} of all items, new ones included"
        if made
        else "Semantic IDs are published: what they are made of is not known here",
    ]


def _collapsed(sids: SemanticIds) -> list[str]:
    """A sentence for each level that collapsed.

    By the nearest codes, which the quantiser wrote down, and for other levels and published indices
    by the codes that items have in the end: those of the last level are spread so that items are
    told apart, however few were nearest to any.
    """
    made = sids.description.get(COLLAPSED, "")
    notes = [f"Semantic IDs: {warning}" for warning in made.split("; ") if warning]
    return notes + [
        f"level {level} of the Semantic IDs collapsed: items use {used} of its {sids.num_codes}"
        " codes"
        for level, used in enumerate(sids.used_per_level)
        if used < COLLAPSED_BELOW * sids.num_codes and f"level {level} collapsed" not in made
    ]


def reading_note(model: Any) -> str | None:
    """Why prompts are read with calls of the whole `model`; null where layer by layer."""
    reason = why_not_layerwise(model)
    if reason is None:
        return None
    alone, bound = why_not_side_by_side(model), free_length(model.config)
    how, why = "", reason
    if alone is not None or bound == 0:
        how, why = " once more for every beam", alone or reason
    elif bound < math.inf:
        how = f" (beyond {bound:.0f} tokens with their beams, once more for every beam)"
    return (
        f"score: prompts were read with calls of the whole model{how}, which costs time and changes"
        f" nothing else: {why}"
    )


def mixture_notes(setting: Setting) -> list[str]:
    """What a record of a method with alignment tasks says about them, beside its counts."""
    mixture = setting.auxiliary.mixture
    left_out = [family for family in FAMILIES if family not in mixture]
    notes = [f"alignment families left out: {', '.join(left_out)}"] if left_out else []
    note = user_text_note(mixture)
    return notes if note is None else [*notes, note]
