"""What a method may be shown of the items: the same for every method of a setting.

Under the query rule "warm_cold_new" only titles, and those of warm and cold items only: no method
meets a new item, or a detail text, before it is asked for.
"""

from dataclasses import dataclass

from benchmarks.inputs.inputs import ReadData
from gti.data.dataset import IntArray
from leaderboard.records.setting import Setting


@dataclass(frozen=True)
class Shown:
    """What first rows, pairs and tasks may be made of.

    Attributes:
        texts: [num_items] field → text; of an item that is not shown nothing.
        train: [num_users] training histories; items that are not shown are left out.
        items: those that are shown, ascending; null: all.
    """

    texts: tuple[dict[str, str], ...]
    train: tuple[IntArray, ...]
    items: IntArray | None


def shown_to_methods(setting: Setting, data: ReadData) -> Shown:
    """What the methods of `setting` may be shown: its text fields, unless its queries say less."""
    title, texts, train = setting.dataset.title_field, data.dataset.texts, data.split.train
    items = None if data.queries is None else data.queries.shown
    if items is None:
        fields = (title, *setting.dataset.detail_fields)
        return Shown(tuple({f: own[f] for f in fields if f in own} for own in texts), train, None)
    known = set(items.tolist())
    return Shown(
        tuple({title: own[title]} if item in known else {} for item, own in enumerate(texts)),
        tuple(history[[item in known for item in history.tolist()]] for history in train),
        items,
    )
