"""What is made up of the methods that records are written of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

DIRECTIONS = {
    "title_to_sid": "text_to_sid",
    "sid_to_title": "sid_to_text",
    "prefix_to_code": "codes",
}
"""Task of grounding → what a method that has it trains on."""


@dataclass(frozen=True)
class Sketch:
    """What is made up of a method.

    Attributes:
        skill: the mean share of targets that it finds: its effect.
        drawn: whether its first rows are drawn one by one; else all are alike.
        spends: share of the extra budget before, beside and after SFT.
        pairs: tasks of grounding, which is what is spent before.
        shuffled: whether it shows texts beside other items' Semantic IDs.
        reference: whether it has no rows at all.
    """

    skill: float = 0.3
    drawn: bool = False
    spends: Mapping[str, float] = field(default_factory=dict)
    pairs: tuple[str, ...] = ("title_to_sid", "sid_to_title")
    shuffled: bool = False
    reference: bool = False

    @property
    def directions(self) -> list[str]:
        """What its grounding trains on."""
        return [DIRECTIONS[task] for task in self.pairs if "before" in self.spends]

    @property
    def shows_texts(self) -> bool:
        """Whether its grounding shows texts."""
        return any(direction != "codes" for direction in self.directions)

    @property
    def stages(self) -> list[str]:
        """After which its rows are described."""
        return ["init", *(["grounding"] if "before" in self.spends else []), "sft"]


BEFORE, BESIDE, AFTER = {"before": 1.0}, {"beside": 1.0}, {"after": 1.0}
SKETCHES = {
    "mean": Sketch(),
    "random": Sketch(0.28, drawn=True),
    "gaussian": Sketch(drawn=True),
    "gti": Sketch(0.33, spends=BEFORE),
    "gti_shuffled": Sketch(spends=BEFORE, shuffled=True),
    "gti_text_to_sid": Sketch(spends=BEFORE, pairs=("title_to_sid",)),
    "gti_sid_to_text": Sketch(spends=BEFORE, pairs=("sid_to_title",)),
    "sid_only": Sketch(spends=BEFORE, pairs=("prefix_to_code",)),
    "lc_rec": Sketch(0.31, spends=BESIDE),
    "mean_matched": Sketch(spends=AFTER),
    "popularity": Sketch(0.15, reference=True),
    "markov": Sketch(reference=True),
}
"""Methods that are not here are as `mean`."""
