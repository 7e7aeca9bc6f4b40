"""What is said of data of another version than a setting names: its sizes and the known ones."""

from benchmarks.datasets.cards import CARDS
from benchmarks.datasets.reading import TEXT_FIELDS
from gti.dataset import Dataset


def sizes_against_card(dataset: Dataset) -> str:
    """Sizes of the files that were read, beside what the card knows of them, in one sentence.

    Sizes are those before any filter of the dataset's options, since that is what is published.
    """
    counts = dataset.provenance.counts
    found = {
        "users": counts.get("users in the files", len(dataset.user_ids)),
        "items": counts.get("items in the files", dataset.num_items),
        "interactions": counts.get("interactions in the files", sum(map(len, dataset.histories))),
    }
    card = CARDS.get(dataset.name)
    expected = card.expected if card is not None else None
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
