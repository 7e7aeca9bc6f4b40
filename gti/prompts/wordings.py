"""Every prompt wording, as data. A change here changes numbers: raise the protocol version.

Two forms: `CHAT` for backbones with a chat template, `PLAIN` for base language models, which
continue text. Placeholders: {sid}, {title}, {detail}, {history} (Semantic IDs, oldest first),
{titles} (titles, oldest first), {query} (a search) and {intention} (`gti.prompts.user_texts`). The
answer's kind stands beside the wordings; those of the alignment tasks lie in
`gti.prompts.alignment_wordings`.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Literal

from gti.prompts.alignment_wordings import ALIGNMENT_CHAT, ALIGNMENT_PLAIN

AnswerKind = Literal["sid", "title", "detail", "both", "preference"]
Need = Literal["title", "detail", "titles", "intention", "preference"]


@dataclass(frozen=True)
class Task:
    """One task: its wordings, what the answer is, and the texts it needs."""

    wordings: tuple[str, ...]
    answer: AnswerKind
    needs: tuple[Need, ...] = ()

    @property
    def shows_history(self) -> bool:
        """Whether its prompts show what a user had before."""
        return any("{history}" in text or "{titles}" in text for text in self.wordings)


SYSTEM = "You are a helpful assistant."

SEQUENCE_LEAD_IN = "Items:"
SEQUENCE_SEPARATOR = ","

# The six grounding tasks (GTI, arXiv 2604.02324, §3), one wording each.
GROUNDING_TASKS = {
    "text_to_sid": ("title_to_sid", "detail_to_sid", "both_to_sid"),
    "sid_to_text": ("sid_to_title", "sid_to_detail", "sid_to_both"),
}

# LC-Rec's tasks (arXiv 2311.09049): what is answered, and the texts that asking takes.
_ALIGNMENT: dict[str, tuple[AnswerKind, tuple[Need, ...]]] = {
    "item2index.title": ("sid", ("title",)),
    "item2index.detail": ("sid", ("detail",)),
    "item2index.both": ("sid", ("title", "detail")),
    "index2item.title": ("title", ("title",)),
    "index2item.detail": ("detail", ("detail",)),
    "index2item.both": ("both", ("title", "detail")),
    "fusionseqrec.next_title": ("title", ("title",)),
    "fusionseqrec.next_detail": ("detail", ("detail",)),
    "fusionseqrec.from_titles": ("sid", ("titles",)),
    "itemsearch.intention": ("sid", ("intention",)),
    "itemsearch.history": ("sid", ("intention",)),
    "preferenceobtain.history": ("preference", ("preference",)),
}

FAMILIES = ("item2index", "index2item", "fusionseqrec", "itemsearch", "preferenceobtain")
ALIGNMENT_TASKS = {
    family: tuple(task for task in _ALIGNMENT if task.startswith(f"{family}."))
    for family in FAMILIES
}
"""Family → its tasks, all called FAMILY.WHAT."""
USER_TEXT_FAMILIES = ("itemsearch", "preferenceobtain")
"""Families that ask with or for what a user would say: made by rule in `gti.prompts.user_texts`."""


def _alignment(wordings: dict[str, tuple[str, ...]]) -> dict[str, Task]:
    return {task: Task(wordings[task], *spec) for task, spec in _ALIGNMENT.items()}


CHAT = {
    "query": Task(
        (
            "Somebody searches for: {query}\nWhich item fits best?",
            "Find the item that these words lead to: {query}",
            "Which item would you show first for the query “{query}”?",
        ),
        "sid",
    ),
    "retrieval": Task(
        (
            "These items were chosen by one user, the oldest first: {history}. Which comes next?",
            "In order of time, somebody picked {history}. Name the item that follows.",
            "Continue the list of one user's items, sorted from earliest to latest: {history}",
        ),
        "sid",
    ),
    "title_to_sid": Task(("Which item is called “{title}”?",), "sid", ("title",)),
    "detail_to_sid": Task(("Which item fits this text?\n{detail}",), "sid", ("detail",)),
    "both_to_sid": Task(
        ("Which item has this title and this text?\n{title}\n\n{detail}",),
        "sid",
        ("title", "detail"),
    ),
    "sid_to_title": Task(("What is {sid} called?",), "title", ("title",)),
    "sid_to_detail": Task(("What is known of {sid}?",), "detail", ("detail",)),
    "sid_to_both": Task(
        ("Write the title of {sid} and, after a blank line, what is known of it.",),
        "both",
        ("title", "detail"),
    ),
    **_alignment(ALIGNMENT_CHAT),
}

PLAIN = {
    "query": Task(
        ("Query: {query}\nItem:", "A search for {query} finds", "Words: {query}. Item:"), "sid"
    ),
    "retrieval": Task((SEQUENCE_LEAD_IN + "{history}",), "sid"),
    "title_to_sid": Task(("Title: {title}\nItem:",), "sid", ("title",)),
    "detail_to_sid": Task(("About: {detail}\nItem:",), "sid", ("detail",)),
    "both_to_sid": Task(("Title: {title}\nAbout: {detail}\nItem:",), "sid", ("title", "detail")),
    "sid_to_title": Task(("Item:{sid}\nTitle:",), "title", ("title",)),
    "sid_to_detail": Task(("Item:{sid}\nAbout:",), "detail", ("detail",)),
    "sid_to_both": Task(("Item:{sid}\nTitle and text:",), "both", ("title", "detail")),
    **_alignment(ALIGNMENT_PLAIN),
}


def wordings_sha256() -> str:
    """sha256 over all wordings, answers and needs: part of every record's inputs."""
    content = [
        SYSTEM,
        SEQUENCE_LEAD_IN,
        SEQUENCE_SEPARATOR,
        GROUNDING_TASKS,
        ALIGNMENT_TASKS,
        [
            sorted((name, task.wordings, task.answer, task.needs) for name, task in form.items())
            for form in (CHAT, PLAIN)
        ],
    ]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()
