"""What is said of data of another version than a setting names: its sizes and the known ones."""

from benchmarks.datasets.all_cards import CARDS
from benchmarks.datasets.card import Expected
from benchmarks.datasets.reading import TEXT_FIELDS
from gti.data.dataset import Dataset

ROUNDED_WITHIN = 0.025
"""How far from a rounded number of two digits the exact one can lie, as a share of it: a half of
the second digit at worst is 5 %, at the sizes known here 2.3 %."""


def differs_from_card(dataset: Dataset) -> bool:
    """Whether the files' sizes are other than the card knows them; false where it knows none."""
    expected = _expected(dataset)
    if expected is None:
        return False
    slack = ROUNDED_WITHIN if expected.rounded else 0.0
    return any(
        abs(number - getattr(expected, what)) > slack * getattr(expected, what)
        for what, number in _sizes(dataset).items()
    )


def _expected(dataset: Dataset) -> Expected | None:
    card = CARDS.get(dataset.name)
    return None if card is None else card.expected


def _sizes(dataset: Dataset) -> dict[str, int]:
    """Users, items and interactions in the files, before any filter."""
    counts = dataset.provenance.counts
    return {
        "users": counts.get("users in the files", len(dataset.user_ids)),
        "items": counts.get("items in the files", dataset.num_items),
        "interactions": counts.get("interactions in the files", sum(map(len, dataset.histories))),
    }


def sizes_against_card(dataset: Dataset) -> str:
    """Sizes of the files that were read, beside what the card knows of them, in one sentence.

    Sizes are those before any filter of the dataset's options, since that is what is published.
    """
    found = _sizes(dataset)
    expected = _expected(dataset)
    parts = []
    for what, number in found.items():
        part = f"{number:,} {what}"
        if expected is not None:
            known: int = getattr(expected, what)
            about = "about " if expected.rounded else ""
            part += f" (expected {about}{known:,})"
        parts.append(part)
    shares = {
        field: sum(field in texts for texts in dataset.texts) / dataset.num_items
        for field in TEXT_FIELDS
    }
    texts = ", ".join(f"{field} {share:.1%}" for field, share in shares.items() if share)
    source = f"; expected after {expected.source}" if expected is not None else ""
    return f"the files hold {', '.join(parts)}; items with texts: {texts or 'none'}{source}"
