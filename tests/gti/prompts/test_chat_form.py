"""Questions are put to a template whole, and on every day alike."""

import pytest

from gti.prompts.chat_form import ChatFormError, chat_form

DATED = (
    "{% for m in messages %}"
    "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y, %Y-%m-%d') }}{% endif %}, "
    "{{ m.content }}\n{% endfor %}"
)


def test_a_template_that_writes_the_date_gives_the_same_prompt_on_every_day(make_tokenizer):
    tokenizer = make_tokenizer()
    tokenizer.chat_template = DATED
    asked = chat_form(tokenizer).question("which <a_3>?")
    assert asked.splitlines()[-1] == "26 Jul 2024, 2024-07-26, which <a_3>?"


@pytest.mark.parametrize("change", ["upper", "lower", "e", "replace('<', '(')"])
def test_a_template_that_changes_how_new_tokens_are_written_is_refused(make_tokenizer, change):
    tokenizer = make_tokenizer()
    tokenizer.chat_template = (
        f"{{% for m in messages %}}{{{{ m.content | {change} }}}}{{% endfor %}}"
    )
    with pytest.raises(ChatFormError, match="it leaves the question out"):
        chat_form(tokenizer)
