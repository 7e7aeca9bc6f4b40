"""`mean_rows_first`: GTI's stage on the retrieval stream itself, without any text."""

from baselines.gti import Gti
from gti.method import Contrast, GroundingPlan, Look


class MeanRowsFirst(Gti):
    """Only the new rows train first, on the histories (or queries) that SFT goes on with.

    Against `gti`: is it the texts, or only that rows were trained before the model was? Start, what
    is frozen, rates and compute are GTI's. Against `mean_matched`: is it worth freezing the model
    while the extra budget is spent on R?

    R comes in SFT's batches and in an order of its own. What others run who freeze the model is
    this without the SFT that follows here.
    """

    key = "mean_rows_first"
    summary = "mean rows, then trained alone on R, without texts"
    source = (
        "ours: control of GTI, arXiv 2604.02324; the stage is MiniOneRec's `freeze_LLM` (sft.py)"
    )
    group = "control"
    parent = "gti"
    order = 19
    look = Look("grey", 1)
    question = "Does it take texts to train the rows first?"
    contrasts = (
        Contrast("gti", "mean_rows_first", "texts; equal nominal compute, model frozen first"),
        Contrast(
            "mean_rows_first", "mean_matched", "model frozen first; equal nominal compute on R"
        ),
    )

    def grounding(self) -> GroundingPlan:
        """R instead of pairs, frozen throughout."""
        return GroundingPlan(on="retrieval")
