"""Every prompt wording, as data. A change here changes numbers: raise the protocol version.

Two forms: `CHAT` for backbones with a chat template, `PLAIN` for base language models, which
continue text. Placeholders: {sid}, {title}, {detail}, {history} (Semantic IDs, oldest first) and
{titles} (titles, oldest first). The answer's kind stands beside the wordings.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Literal

AnswerKind = Literal["sid", "title", "detail", "both"]


@dataclass(frozen=True)
class Task:
    """One task: its wordings, what the answer is, and the item texts it needs."""

    wordings: tuple[str, ...]
    answer: AnswerKind
    needs: tuple[Literal["title", "detail"], ...] = ()


SYSTEM = "You are a helpful assistant."

SEQUENCE_LEAD_IN = "Items:"
SEQUENCE_SEPARATOR = ","

# The six grounding tasks (METHOD §2), one wording each.
GROUNDING_TASKS = {
    "text_to_sid": ("title_to_sid", "detail_to_sid", "both_to_sid"),
    "sid_to_text": ("sid_to_title", "sid_to_detail", "sid_to_both"),
}

# LC-Rec's families that item text can feed (METHOD §3); `seqrec` is the retrieval stream itself.
ALIGNMENT_TASKS = {
    "item2index": ("align_title_to_sid", "align_detail_to_sid", "align_both_to_sid"),
    "index2item": ("align_sid_to_title", "align_sid_to_detail", "align_sid_to_both"),
    "fusionseqrec": ("history_to_title", "titles_to_sid"),
}
NEEDS_USER_TEXT = ("itemsearch", "preferenceobtain")

CHAT = {
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
    "align_title_to_sid": Task(
        (
            "Find the item titled “{title}”.",
            "“{title}” is the title of an item. Which one?",
            "Give the item that goes by the name “{title}”.",
        ),
        "sid",
        ("title",),
    ),
    "align_detail_to_sid": Task(
        (
            "Find the item that this text belongs to:\n{detail}",
            "{detail}\nWhich item is meant?",
            "Name the item with these properties:\n{detail}",
        ),
        "sid",
        ("detail",),
    ),
    "align_both_to_sid": Task(
        (
            "Find the item.\nTitle: {title}\nText: {detail}",
            "An item is titled “{title}” and described so: {detail}\nWhich one is it?",
            "Name the item with title “{title}” and text “{detail}”.",
        ),
        "sid",
        ("title", "detail"),
    ),
    "align_sid_to_title": Task(
        (
            "Say the title of item {sid}.",
            "Under which title is {sid} known?",
            "{sid} is an item. Give its title.",
        ),
        "title",
        ("title",),
    ),
    "align_sid_to_detail": Task(
        (
            "Write the text that belongs to item {sid}.",
            "How would you describe {sid}?",
            "{sid} is an item. List its properties.",
        ),
        "detail",
        ("detail",),
    ),
    "align_sid_to_both": Task(
        (
            "Give title and text of item {sid}, a blank line between them.",
            "What do you know of {sid}? Title first, then a blank line, then the rest.",
            "Present {sid}: its title, a blank line, its text.",
        ),
        "both",
        ("title", "detail"),
    ),
    "history_to_title": Task(
        (
            "One user chose {history}, oldest first. What is the next item called?",
            "After {history}, which title will the same user choose?",
            "Predict the title that continues this list of items: {history}",
        ),
        "title",
        ("title",),
    ),
    "titles_to_sid": Task(
        (
            "One user chose, oldest first: {titles}. Which item is next?",
            "Titles in order of time: {titles}. Name the item that follows.",
            "Continue this user's list with one item: {titles}",
        ),
        "sid",
        ("title",),
    ),
}

PLAIN = {
    "retrieval": Task((SEQUENCE_LEAD_IN + "{history}",), "sid"),
    "title_to_sid": Task(("Title: {title}\nItem:",), "sid", ("title",)),
    "detail_to_sid": Task(("About: {detail}\nItem:",), "sid", ("detail",)),
    "both_to_sid": Task(("Title: {title}\nAbout: {detail}\nItem:",), "sid", ("title", "detail")),
    "sid_to_title": Task(("Item:{sid}\nTitle:",), "title", ("title",)),
    "sid_to_detail": Task(("Item:{sid}\nAbout:",), "detail", ("detail",)),
    "sid_to_both": Task(("Item:{sid}\nTitle and text:",), "both", ("title", "detail")),
    "align_title_to_sid": Task(
        ("Title: {title}\nItem:", "The item called {title} is", "Name: {title}. Item:"),
        "sid",
        ("title",),
    ),
    "align_detail_to_sid": Task(
        ("About: {detail}\nItem:", "An item of the kind {detail} is", "Text: {detail}. Item:"),
        "sid",
        ("detail",),
    ),
    "align_both_to_sid": Task(
        (
            "Title: {title}\nAbout: {detail}\nItem:",
            "The item called {title}, of the kind {detail}, is",
            "Name: {title}. Text: {detail}. Item:",
        ),
        "sid",
        ("title", "detail"),
    ),
    "align_sid_to_title": Task(
        ("Item:{sid}\nTitle:", "The title of{sid} is", "Item:{sid} Name:"), "title", ("title",)
    ),
    "align_sid_to_detail": Task(
        ("Item:{sid}\nAbout:", "The kind of{sid} is", "Item:{sid} Text:"), "detail", ("detail",)
    ),
    "align_sid_to_both": Task(
        ("Item:{sid}\nTitle and text:", "All about{sid}:", "Item:{sid} Name and text:"),
        "both",
        ("title", "detail"),
    ),
    "history_to_title": Task(
        (
            SEQUENCE_LEAD_IN + "{history}\nTitle of the next:",
            "After{history} comes the title",
            "Items:{history} Next name:",
        ),
        "title",
        ("title",),
    ),
    "titles_to_sid": Task(
        (
            "Titles in the order of choice: {titles}\nNext item:",
            "After {titles} comes",
            "Names: {titles}. Next item:",
        ),
        "sid",
        ("title",),
    ),
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
