"""LC-Rec's mixture: which families of alignment tasks, in which shares, and what feeds them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count

from gti.data.dataset import IntArray
from gti.hints import did_you_mean
from gti.prompts.user_texts import UserTexts
from gti.prompts.wordings import ALIGNMENT_TASKS, CHAT, FAMILIES, USER_TEXT_FAMILIES


class MixtureError(ValueError):
    """A mixture that cannot be trained on; the message names the family and the way out."""


def check_families(mixture: Mapping[str, float]) -> None:
    """Checks that every family of `mixture` exists; costs nothing.

    Raises:
        MixtureError: one that does not; the nearest name is given.
    """
    for family in mixture:
        if family == "seqrec":
            raise MixtureError(
                "auxiliary.mixture: 'seqrec' is the retrieval stream itself and always runs; take"
                " it out"
            )
        if family not in FAMILIES:
            hint = did_you_mean(family, FAMILIES) or "."
            raise MixtureError(
                f"auxiliary.mixture: unknown task family {family!r}{hint} There are"
                f" {', '.join(FAMILIES)}"
            )


def check_mixture(
    mixture: Mapping[str, float], texts: UserTexts, train: Sequence[IntArray], max_history: int
) -> None:
    """Checks that the data can feed every family of `mixture`.

    Args:
        mixture: family → weight.
        texts: the items' texts.
        train: [num_users] training items in order of time.
        max_history: items of a history that a prompt shows.

    Raises:
        MixtureError: an unknown family, or one for which no item (or user) has the texts.
    """
    check_families(mixture)
    for family in mixture:
        if not any(_feeds(task, texts, train, max_history) for task in ALIGNMENT_TASKS[family]):
            raise MixtureError(
                f"auxiliary.mixture: the data cannot feed {family!r}: {_NEEDS[family]}; take it"
                " out of [auxiliary.mixture] (a setting of another name)"
            )


_NEEDS = {
    "item2index": "no item has a title or detail text",
    "index2item": "no item has a title or detail text",
    "fusionseqrec": "no training history of two items or more has a title or detail text in it",
    "itemsearch": "no item has a term in title or detail text that it shares with some other items",
    "preferenceobtain": "no two items of one training history share a term of their texts that"
    " some other items lack",
}


def _feeds(task: str, texts: UserTexts, train: Sequence[IntArray], max_history: int) -> bool:
    spec = CHAT[task]
    asked: Iterable[tuple[int, IntArray | None]] = (
        (
            (answered_item(task, history, end), history[max(0, end - max_history) : end])
            for history in train
            for end in known_lengths(task, history)
        )
        if spec.shows_history
        else ((item, None) for item in range(len(texts.titles)))
    )
    return any(all(texts.has(need, item, shown) for need in spec.needs) for item, shown in asked)


def known_lengths(task: str, history: IntArray) -> range:
    """How many items a prompt may know of `history`: a next one is left, unless none is asked."""
    if CHAT[task].answer == "preference":
        return range(2, len(history) + 1)
    return range(1, len(history))


def answered_item(task: str, history: IntArray, end: int) -> int:
    """The item that the answer is about; for a preference the latest one stands in."""
    return int(history[end - 1 if CHAT[task].answer == "preference" else end])


def user_text_note(mixture: Mapping[str, float]) -> str | None:
    """What a record must say of user texts made by rule; null where no family has any."""
    made = [family for family in USER_TEXT_FAMILIES if family in mixture]
    if not made:
        return None
    return f"{', '.join(made)}: intentions and preferences from item text by rule, not user-written"


def interleave(weights: Mapping[str, float]) -> Iterator[str]:
    """Names for ever, each as often as its weight asks, at any point to within one.

    Tijdeman's chairman assignment (Discrete Mathematics 32, 1980): of the names that are due by
    more than 1/(2n − 2), the one whose deadline is nearest. The order of `weights` is of no
    matter.
    """
    names = sorted(weights)
    total = sum(weights.values())
    shares = {name: weights[name] / total for name in names}
    given = dict.fromkeys(names, 0)
    least = 1 / (2 * len(names) - 2) if len(names) > 1 else 0.0
    for number in count(1):
        due = {name: shares[name] * number - given[name] for name in names}
        ready = [name for name in names if due[name] >= least - 1e-9]
        chosen = min(ready, key=lambda name: (1 - least - due[name]) / shares[name])
        given[chosen] += 1
        yield chosen
