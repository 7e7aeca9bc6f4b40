"""The k-core of a log: users and items with few interactions left out until none is left."""

import numpy as np
from numpy.typing import NDArray

from gti.data.dataset import IntArray


def k_core(
    users: IntArray, items: IntArray, num_users: int, num_items: int, k: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Finds the largest part of a log in which each user and each item has k interactions or more.

    Interactions are counted, not pairs: what stands twice counts twice. The 0-core is everything,
    items that nobody interacted with included; the 1-core leaves only those out.

    Args:
        users: [n] user of each interaction.
        items: [n] item of each interaction.
        num_users: users there are.
        num_items: items there are.
        k: interactions that each user and item must have.

    Returns:
        Which users [num_users] and which items [num_items] stay.
    """
    if k < 0:
        raise ValueError(f"k must be 0 or more, found {k}")
    user_stays = np.ones(num_users, dtype=bool)
    item_stays = np.ones(num_items, dtype=bool)
    while True:
        left = user_stays.sum() + item_stays.sum()
        inside = user_stays[users] & item_stays[items]
        user_stays &= np.bincount(users[inside], minlength=num_users) >= k
        item_stays &= np.bincount(items[inside], minlength=num_items) >= k
        if user_stays.sum() + item_stays.sum() == left:
            return user_stays, item_stays
