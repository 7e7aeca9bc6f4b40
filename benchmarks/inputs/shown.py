"""What a method may be shown of the items: the same for every method of a setting.

Under the query rule "warm_cold_new" only titles, and those of warm and cold items only: no method
meets a new item, or a detail text, before it is asked for.

A share of the items is *held out* (`grounding.held_out_share`): no method is shown a text of
theirs, so that what grounding carries over to items it did not show can be measured. They are
the first by sha256 of their ids among the items with a title, under "warm_cold_new" among the warm
ones, so that cold and new items stay what they are; the same for every seed. The retrieval stream
R is not touched: their interactions and queries are trained on like all others.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.inputs.inputs import ReadData
from benchmarks.inputs.semantic_ids import InputError
from gti.data.dataset import IntArray
from gti.data.queries import hashed_number
from leaderboard.records.setting import Setting

LEAST_HELD_OUT = 2
"""Held-out items at least, where any are: one alone has no other to be taken for."""


@dataclass(frozen=True)
class Shown:
    """What first rows, pairs and tasks may be made of.

    Attributes:
        texts: [num_items] field → text; of an item that is not shown nothing.
        train: [num_users] training histories; items that are not shown are left out.
        items: those that are shown, ascending; null: all.
        held_out: those held out of all texts, ascending; none where the setting holds none out.
    """

    texts: tuple[dict[str, str], ...]
    train: tuple[IntArray, ...]
    items: IntArray | None
    held_out: IntArray


def shown_to_methods(setting: Setting, data: ReadData) -> Shown:
    """What the methods of `setting` may be shown: its text fields, unless its queries say less.

    Raises:
        InputError: a share to be held out that is fewer than two items.
    """
    title, train = setting.dataset.title_field, data.split.train
    of_queries = None if data.queries is None else data.queries.shown
    fields = (title, *(setting.dataset.detail_fields if of_queries is None else ()))
    texts = tuple({f: own[f] for f in fields if f in own} for own in data.dataset.texts)
    held_out = held_out_items(setting, data)
    if of_queries is None and not len(held_out):
        return Shown(texts, train, None, held_out)
    every = np.arange(data.dataset.num_items)
    items = np.setdiff1d(every if of_queries is None else of_queries, held_out)
    known = np.isin(every, items)
    return Shown(
        tuple(own if known[item] else {} for item, own in enumerate(texts)),
        tuple(history[known[history]] for history in train),
        items,
        held_out,
    )


def held_out_items(setting: Setting, data: ReadData) -> IntArray:
    """The items that `setting` holds out of all texts, ascending; see the module.

    Raises:
        InputError: fewer than two, and the share is not 0.
    """
    share, title = setting.grounding.held_out_share, setting.dataset.title_field
    kinds = None if data.queries is None else data.queries.kinds
    able = [
        item
        for item, texts in enumerate(data.dataset.texts)
        if texts.get(title, "").strip() and (kinds is None or kinds[item] == "warm")
    ]
    able.sort(key=lambda item: hashed_number("held-out", data.dataset.item_ids[item]))
    count = round(share * len(able))
    if share and count < LEAST_HELD_OUT:
        what = "items with a title" if kinds is None else "warm items"
        raise InputError(
            f"setting {setting.name}: grounding.held_out_share = {share:g} of {len(able)} {what} is"
            f" {count} item(s), and at least {LEAST_HELD_OUT} are needed; raise it, or set it to 0"
        )
    return np.sort(np.array(able[:count], dtype=np.int64))
