"""How a backbone's chat template wants to be asked: with a system turn or not, in which shape.

Templates differ: some know no system role and raise an error (Gemma's), some take a message's
content only as a list of parts. The first form that a template renders with the question in it is
used for all prompts of the model.
"""

from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from gti.prompts.wordings import SYSTEM

_MARK = "<Snow_man>\u2603"
"""Stands for what is asked: as a new token is written, so that one that would not stay whole shows.
"""
_CLOCK = "strftime_now"
_DATE = {"%Y": "2024", "%m": "07", "%B": "July", "%b": "Jul", "%d": "26"}
"""The date for templates that write one, Llama's own where it knows none: prompts are the same on
every day."""
_REFUSALS = (TemplateError, TypeError, ValueError, KeyError, IndexError, AttributeError)
"""What templates, and the code that runs them, raise over messages that they do not take."""


class ChatFormError(ValueError):
    """A chat template that takes none of the forms; the message holds what it said last."""


@dataclass(frozen=True)
class ChatForm:
    """One way of putting a question to a chat template.

    Attributes:
        tokenizer: whose template it is.
        system: whether the system line is a turn of its own; else it stands before the question.
        parts: whether content is a list of parts, `[{"type": "text", "text": …}]`; else a text.
    """

    tokenizer: Any
    system: bool = True
    parts: bool = False

    def question(self, content: str) -> str:
        """What the model reads where `content` is asked, up to its answer."""
        asked = content if self.system else f"{SYSTEM}\n\n{content}"
        turns = [self._turn("user", asked)]
        if self.system:
            turns.insert(0, self._turn("system", SYSTEM))
        return self._rendered(turns, add_generation_prompt=True, enable_thinking=False)

    def end(self) -> str:
        """What closes an answer."""
        turns = [self._turn("user", "?"), self._turn("assistant", _MARK)]
        rendered = self._rendered(turns)
        if _MARK not in rendered:
            raise ValueError("it leaves the answer out")
        return rendered.rpartition(_MARK)[2].rstrip("\n")

    def _rendered(self, turns: list[dict[str, Any]], **options: Any) -> str:
        """What the template makes of `turns`, on the day of `_DATE`."""
        template: str = self.tokenizer.get_chat_template()
        if _CLOCK in template:
            parts = "".join(f" | replace('{part}', '{day}')" for part, day in _DATE.items())
            dated = f"{{%- macro {_CLOCK}(form) -%}}{{{{ form{parts} }}}}{{%- endmacro -%}}"
            options["chat_template"] = dated + template
        rendered: str = self.tokenizer.apply_chat_template(turns, tokenize=False, **options)
        return rendered

    def _turn(self, role: str, text: str) -> dict[str, Any]:
        content = [{"type": "text", "text": text}] if self.parts else text
        return {"role": role, "content": content}


def chat_form(tokenizer: Any) -> ChatForm:
    """The first form, the usual one before the others, that the tokenizer's template takes.

    Raises:
        ChatFormError: it takes none.
    """
    said = ""
    for parts in (False, True):
        for system in (True, False):
            form = ChatForm(tokenizer, system, parts)
            try:
                if _MARK in form.question(_MARK):
                    form.end()
                    return form
                said = said or "it leaves the question out"
            except _REFUSALS as error:
                said = said or str(error)
    raise ChatFormError(
        f"the backbone's chat template takes no question of this benchmark's ({said[:200]});"
        ' prompts.style = "plain" asks without a template'
    )
