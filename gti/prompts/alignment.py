"""LC-Rec's alignment tasks (arXiv 2311.09049 §3.3) as an endless stream beside R.

R is the retrieval stream. The mixture gives each family its share of the examples, to within one
at every point. Within a family every item (or, where a prompt shows a history, every user) comes up
once per pass and task, in a fresh order, with wording and position drawn anew; nothing is built
before it is taken.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from gti.data.dataset import IntArray
from gti.prompts.mixture import answered_item, check_mixture, interleave, known_lengths
from gti.prompts.prompter import Example, Prompter
from gti.prompts.wordings import ALIGNMENT_TASKS


def alignment_stream(
    prompter: Prompter,
    train: Sequence[IntArray],
    mixture: Mapping[str, float],
    order: np.random.Generator,
    wording: np.random.Generator,
) -> Iterator[Example]:
    """Alignment examples for ever, mixed by `mixture`, each built when it is taken.

    Args:
        prompter: builds the examples.
        train: [num_users] training items in order of time; nothing held out, and no item that may
            not be shown. Of such an item the prompter has no text either: it is in no task.
        mixture: family → weight of its share of the examples.
        order: stream "auxiliary-order": who comes up when.
        wording: stream "auxiliary-wording": wordings and positions.

    Raises:
        MixtureError: a family that does not exist or that the data cannot feed.
    """
    check_mixture(mixture, prompter.user_texts, train, prompter.max_history)
    families = {
        family: _family_stream(prompter, train, ALIGNMENT_TASKS[family], order, wording)
        for family in sorted(mixture)
    }
    return (next(families[family]) for family in interleave(mixture))


def _family_stream(
    prompter: Prompter,
    train: Sequence[IntArray],
    tasks: Sequence[str],
    order: np.random.Generator,
    wording: np.random.Generator,
) -> Iterator[Example]:
    """Passes over all (task, item or user) of one family, without those that cannot be asked."""
    num_items = prompter.semantic_ids.num_items
    sizes = [len(train) if prompter.tasks[task].shows_history else num_items for task in tasks]
    starts = np.cumsum([0, *sizes])
    while True:
        for index in order.permutation(starts[-1]):
            place = int(np.searchsorted(starts, index, side="right")) - 1
            example = _drawn(prompter, train, tasks[place], int(index - starts[place]), wording)
            if example is not None:
                yield example


def _drawn(
    prompter: Prompter,
    train: Sequence[IntArray],
    task: str,
    unit: int,
    wording: np.random.Generator,
) -> Example | None:
    """The example of item or user `unit`, at a drawn position; null where texts are missing."""
    item, known = unit, None
    if prompter.tasks[task].shows_history:
        ends = known_lengths(task, train[unit])
        if not ends:
            return None
        end = int(wording.integers(ends.start, ends.stop))
        item, known = answered_item(task, train[unit], end), train[unit][:end]
    if not prompter.can_ask(task, item, known):
        return None
    draw = int(wording.integers(len(prompter.tasks[task].wordings)))
    return prompter.example(task, item, draw, known)
