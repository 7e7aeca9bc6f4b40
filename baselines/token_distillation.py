"""`token_distillation`: rows that learn the hidden states which the texts give, not the tokens."""

from baselines.gti import Gti
from gti.method import Contrast, GroundingPlan, Look


class TokenDistillation(Gti):
    """The nearest rival of GTI's objective: imitate what the model makes of the words.

    The frozen model reads an item's title, and again its Semantic ID in that place; the new rows
    learn to make the last hidden states behind it equal (Dobler et al. found this better than
    next-token prediction by the rows alone). Start, items, texts, rates and compute are GTI's, the
    forward pass of the teacher paid for. Codes are shared by items, words are not; and nothing asks
    for a Semantic ID, so that rows of an untied head stay where they started. The grounding rate
    was found for GTI's objective, not for this one.
    """

    key = "token_distillation"
    summary = "mean rows, then trained alone to give the hidden states that the titles give"
    source = "token distillation, arXiv 2505.20133"
    group = "control"
    parent = "gti"
    order = 21
    look = Look("green", 2)
    question = "Is next-token prediction the way to put texts into rows?"
    contrasts = (Contrast("gti", "token_distillation", "tokens to predict, not states to imitate"),)

    def grounding(self) -> GroundingPlan:
        """Semantic ID → hidden states, frozen throughout."""
        return GroundingPlan(text_to_sid=False, on="states")
