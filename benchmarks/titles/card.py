"""What boards call the reference that writes titles; needs no torch."""

from leaderboard.records.record import MethodCard
from leaderboard.records.setting import MethodParameters

KEY = "titles"


def titles_card() -> MethodCard:
    """The card of the reference."""
    return MethodCard(
        key=KEY,
        summary="no new tokens: the same backbone writes titles under a trie of them all",
        source="after IDGenRec, arXiv 2403.19021",
        version=1,
        group="reference",
        spends={},
        parameters=MethodParameters(),
    )
