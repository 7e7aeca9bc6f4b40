"""Slices of a setting's users: by the target's popularity, history length, or kind of query.

The rows of each slice are `leaderboard.metrics.metrics.slice_masks`; here are the names, the users
behind the rows, and the words for a slice's extent.
"""

import numpy as np
import numpy.typing as npt

from leaderboard.metrics.graded import Relevance
from leaderboard.metrics.metrics import slice_masks
from leaderboard.records.parts import Metrics
from leaderboard.records.ranks import Ranks

NEXT_ITEM_SLICES = (
    "popularity:unseen",
    "popularity:tail",
    "popularity:middle",
    "popularity:head",
    "history:short",
    "history:medium",
    "history:long",
    "transition:seen",
    "transition:unseen",
)
QUERIES = "queries:"

Members = dict[str, npt.NDArray[np.bool_]]


def check_slice_name(name: str) -> str:
    """Returns `name` if some setting could have such a slice.

    Raises:
        ValueError: no slice is called so; the message names those there are.
    """
    if name in NEXT_ITEM_SLICES or (name.startswith(QUERIES) and len(name) > len(QUERIES)):
        return name
    raise ValueError(
        f"unknown slice {name!r}; slices are {', '.join(NEXT_ITEM_SLICES)}, and queries:KIND"
        " (queries:item, queries:category) on the retrieval track"
    )


def members_by_slice(
    ranks: Ranks, users: npt.NDArray[np.str_], relevance: Relevance | None
) -> Members:
    """Which users lie in which slice.

    Args:
        ranks: rows of one split.
        users: [U] sorted ids, those of `ranks`.
        relevance: how the retrieval track grades; None: next-item recommendation.

    Returns:
        slice → [U] true where a row of the user lies in it. A user's wordings share one target,
        so that each user lies in one slice of a kind.
    """
    places = np.searchsorted(users, ranks.user)
    members: Members = {}
    for name, rows in slice_masks(ranks, relevance).items():
        inside = np.zeros(len(users), dtype=np.bool_)
        inside[places[rows]] = True
        members[name] = inside
    return members


def extent_of_slice(name: str, figures: Metrics) -> str:
    """`1 to 12 training interactions of the target`: what holds for the rows of a slice.

    Args:
        name: the slice.
        figures: what a record says of it: `from` and `to`, null where it is empty.
    """
    low, high = figures.get("from"), figures.get("to")
    if low is None or high is None:
        return "empty"
    span = f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"
    plural = "" if high == 1 else "s"
    return {
        "popularity": f"{span} training interaction{plural} of the target",
        "history": f"{span} item{plural} of history",
        "transition": f"{span} transition{plural} from the last item to the target in training",
    }.get(name.partition(":")[0], f"{span} relevant item{plural} per query")
