"""The wordings as data: how many, what they may hold, and what their hash covers."""

import re

import pytest

from gti.prompts.wordings import ALIGNMENT_TASKS, CHAT, FAMILIES, PLAIN, wordings_sha256

ALIGNMENT = [task for family in FAMILIES for task in ALIGNMENT_TASKS[family]]


def placeholders(wording):
    return set(re.findall(r"{(\w*)}", wording))


@pytest.mark.parametrize(("form", "least"), [(CHAT, 6), (PLAIN, 4)])
def test_alignment_tasks_have_several_wordings_all_different(form, least):
    for task in ALIGNMENT:
        wordings = form[task].wordings
        assert len(set(wordings)) == len(wordings) >= least, task


@pytest.mark.parametrize("form", [CHAT, PLAIN])
def test_wordings_of_one_task_show_the_same_things_and_never_the_answer(form):
    for name, task in form.items():
        shown = [placeholders(wording) for wording in task.wordings]
        assert shown.count(shown[0]) == len(shown), name
        assert shown[0], name
        answers = {"both": {"title", "detail"}}.get(task.answer, {task.answer})
        assert not shown[0] & answers, name
        assert shown == [placeholders(wording) for wording in CHAT[name].wordings[: len(shown)]]


@pytest.mark.parametrize("form", [CHAT, PLAIN])
def test_tasks_need_what_they_show_or_answer(form):
    for name in ALIGNMENT:
        task = form[name]
        texts = placeholders(task.wordings[0]) - {"sid", "history"}
        answer = {"sid": set(), "both": {"title", "detail"}}.get(task.answer, {task.answer})
        assert set(task.needs) == texts | answer, name
        assert task.shows_history == bool({"history", "titles"} & placeholders(task.wordings[0])), (
            name
        )


def test_every_family_has_tasks_and_a_task_says_its_family():
    assert tuple(ALIGNMENT_TASKS) == FAMILIES
    assert all(ALIGNMENT_TASKS.values())
    assert [task for task in CHAT if "." in task] == ALIGNMENT


def test_both_forms_agree_on_answers_and_needs():
    for name in ALIGNMENT:
        assert (CHAT[name].answer, CHAT[name].needs) == (PLAIN[name].answer, PLAIN[name].needs)


@pytest.mark.parametrize("task", ["title_to_sid", "itemsearch.history"])
def test_the_hash_covers_every_wording(task):
    original, before = PLAIN[task], wordings_sha256()
    assert len(before) == 64
    try:
        PLAIN[task] = type(original)(("Other",), original.answer, original.needs)
        assert wordings_sha256() != before
    finally:
        PLAIN[task] = original
    assert wordings_sha256() == before
