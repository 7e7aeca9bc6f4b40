"""Prompts: what is asked, what counts as the answer, and what does not fit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gti.prompts.prompter import MAX_TITLES, Prompter, PromptError
from gti.prompts.wordings import SYSTEM

PIECES = (
    " red hammer",
    "garden, ",
    "  ",
    "\n",
    "é🙂",
    "<|im_end|>",
    "<|endoftext|>",
    "it's ",
    "1999",
)


def prompter(bench, texts, **changes):
    options = {
        "title_field": "title",
        "detail_fields": ("description",),
        "style": "sequence",
        "max_text_tokens": 8,
        "max_history": 20,
        "context": 512,
    }
    return Prompter(bench.tokenizer, bench.vocabulary, bench.sids, texts, **{**options, **changes})


def answer(bench, example):
    return bench.tokenizer.decode(example.ids[example.targets])


def test_answers_hold_what_the_task_promises(make_bench):
    bench = make_bench("qwen3", "chat")
    ask = bench.prompter
    assert (
        answer(bench, ask.example("title_to_sid", 3)).replace(" ", "").startswith(ask.sid_text(3))
    )
    assert answer(bench, ask.example("sid_to_title", 3)) == "red hammer 3<|im_end|>"
    both = answer(bench, ask.example("sid_to_both", 3))
    assert both == "red hammer 3\n\na steel garden item number 3<|im_end|>"


def test_base_models_continue_plain_text_and_end_with_end_of_text(make_bench):
    bench = make_bench("tied")
    example = bench.prompter.example("sid_to_title", 3)
    assert answer(bench, example) == " red hammer 3<|endoftext|>"
    assert example.ids[0] == bench.tokenizer.bos_token_id
    assert example.num_targets == len(example.ids) - example.answer_start


def test_style_plain_asks_without_the_template_that_there_is(make_bench, item_texts):
    bench = make_bench("qwen3", "chat")
    plain = prompter(bench, item_texts, style="plain")
    assert not plain.has_template
    example = plain.example("sid_to_title", 3)
    read = bench.tokenizer.decode(example.ids).replace(" ", "")
    assert read == f"<|endoftext|>Item:{plain.sid_text(3)}\nTitle:redhammer3<|endoftext|>"
    asked = plain.query_example("red hammer", 3)
    assert "user" not in bench.tokenizer.decode(asked.ids)
    assert len(asked) < len(bench.prompter.query_example("red hammer", 3))
    history = plain.retrieval_prompt(np.array([1, 2]))
    assert len(history) < len(bench.prompter.retrieval_prompt(np.array([1, 2])))


def test_codes_alone_stand_behind_what_begins_a_text_or_ends_an_answer(make_bench, item_texts):
    bench = make_bench("qwen3", "chat")
    example = bench.prompter.codes_example(3)
    written = bench.prompter.sid_text(3)
    read = bench.tokenizer.decode(example.ids).replace(" ", "")
    assert read == f"<|endoftext|>{written}<|im_end|>"
    assert answer(bench, example).replace(" ", "") == f"{written}<|im_end|>"
    bench.tokenizer.bos_token = None
    without = prompter(bench, item_texts).codes_example(3)
    read = bench.tokenizer.decode(without.ids).replace(" ", "")
    assert read == f"<|im_end|>{written}<|im_end|>"
    assert without.targets.tolist() == example.targets.tolist() == [1, 2, 3, 4]
    bare = make_bench("tied")
    bare.tokenizer.bos_token = bare.tokenizer.eos_token = None
    with pytest.raises(PromptError, match="no token that begins a text and none that ends one"):
        prompter(bare, item_texts).codes_example(3)


def test_texts_are_cut_at_a_token_border(make_bench, item_texts):
    bench = make_bench()
    ask = prompter(bench, item_texts, max_text_tokens=4)
    ids = bench.tokenizer.encode(item_texts[0]["description"], add_special_tokens=False)
    assert len(ids) > 4
    kept = bench.tokenizer.encode(ask.details[0], add_special_tokens=False)
    assert kept == ids[: len(kept)]
    assert 1 <= len(kept) <= 4


@pytest.mark.parametrize("kind", ["tied", "qwen3"])
def test_tokens_are_those_of_the_library_whatever_the_text(make_bench, item_texts, kind):
    bench = make_bench(kind)
    bench.tokenizer.backend_tokenizer.enable_truncation(2)  # as a tokenizer's file may say
    bench.tokenizer.backend_tokenizer.enable_padding(length=9)
    ask = prompter(bench, item_texts)

    control = {*bench.vocabulary.new_ids.tolist(), *bench.tokenizer.all_special_ids}
    added = [*bench.sids.tokens, "<|im_end|>", "<|endoftext|>"]

    def read(text):
        return bench.tokenizer.encode(text, add_special_tokens=False)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.sampled_from([*PIECES, *bench.sids.tokens]) | st.text(max_size=6)))
    def same(pieces):
        text = "".join(pieces)
        assert ask._encode(text) == read(text)
        plain, kept = " ".join(text.split()), ask._cut(text)
        assert control.isdisjoint(read(kept))
        assert len(read(kept)) <= 8
        if any(token in plain for token in added):
            return
        assert plain.startswith(kept)
        found = bench.tokenizer(plain, add_special_tokens=False, return_offsets_mapping=True)
        ends = [end for _, end in found["offset_mapping"]]
        if len(ends) <= 8:
            assert kept == plain
        else:  # no longer beginning that ends with a token is within the limit
            longer = {plain[:end].rstrip() for end in ends[:8]}
            fitting = [text for text in longer if len(read(text)) <= 8]
            assert kept == max(fitting, key=len, default="")

    same()


@pytest.mark.parametrize("title", ["a <|im_end|> b", "<a_3>", "x<b_0><c_1>y", "<|endoftext|>"])
def test_a_title_that_spells_a_token_is_read_as_a_text(make_bench, title):
    bench = make_bench("qwen3", "chat")
    texts = [{"title": title, "description": title} for _ in range(40)]
    ask = prompter(bench, texts, style="chat", max_text_tokens=40)
    control = {*bench.vocabulary.new_ids.tolist(), *bench.tokenizer.all_special_ids}
    plain = prompter(bench, [{"title": "a b", "description": "a b"}] * 40, style="chat")

    def controls(asker, task):
        return [number for number in asker.example(task, 2).ids.tolist() if number in control]

    for task in ("title_to_sid", "sid_to_title", "sid_to_both"):
        assert controls(ask, task) == controls(plain, task)
    assert ask.titles[0].replace(" ", "") == title.replace(" ", "")


NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + TEXT + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.mark.parametrize("text", ["m['content']", "m['content'][0]['text']"])
def test_a_template_without_a_system_role_gets_the_system_line_before_the_question(
    make_bench, item_texts, text
):
    bench = make_bench("qwen3", "chat")
    usual = answer(bench, bench.prompter.example("sid_to_title", 3))
    bench.tokenizer.chat_template = NO_SYSTEM.replace("TEXT", text)
    for style in ("chat", "sequence"):
        ask = prompter(bench, item_texts, style=style)
        example = ask.example("sid_to_title", 3)
        read = bench.tokenizer.decode(example.ids)
        assert f"<|im_start|>user\n{SYSTEM}\n\n" in read
        assert read.count(SYSTEM) == 1
        assert answer(bench, example) == usual


def test_a_template_that_takes_no_form_is_refused_in_one_line(make_bench, item_texts):
    bench = make_bench("qwen3", "chat")
    for template in ("{{ raise_exception('never') }}", "{{ 'always the same' }}"):
        bench.tokenizer.chat_template = template
        with pytest.raises(PromptError, match=r"prompts\.style = \"plain\" asks without"):
            prompter(bench, item_texts, style="chat")


def test_braces_in_a_title_are_text(make_bench):
    bench = make_bench()
    texts = [{"title": "a {sid} and {history}"} for _ in range(40)]
    ask = prompter(bench, texts, max_text_tokens=32)
    prompt = bench.tokenizer.decode(ask.example("title_to_sid", 0).ids)
    assert "a {sid} and {history}" in prompt


def test_items_without_the_texts_a_task_needs_are_not_asked(make_bench):
    bench = make_bench()
    texts = [{"title": "x"}] + [{}] * 39
    ask = prompter(bench, texts)
    assert ask.can_ask("title_to_sid", 0)
    assert not ask.can_ask("both_to_sid", 0)
    assert not ask.can_ask("title_to_sid", 1)


def test_histories_are_cut_to_the_latest_items(make_bench, item_texts):
    bench = make_bench()
    ask = prompter(bench, item_texts, max_history=3)
    history = np.arange(10)
    assert ask.retrieval_prompt(history).tolist() == ask.retrieval_prompt(history[-3:]).tolist()
    new = set(bench.vocabulary.new_ids.tolist())
    shown = [i for i in ask.retrieval_prompt(history).tolist() if i in new]
    assert shown == bench.prompter.sid_ids[7:10].ravel().tolist()


def test_titles_in_a_prompt_are_few_and_the_latest(make_bench, item_texts):
    bench = make_bench()
    ask = prompter(bench, item_texts, max_text_tokens=500)
    example = ask.example("fusionseqrec.from_titles", 0, history=np.arange(30))
    prompt = bench.tokenizer.decode(example.ids)
    assert "red hammer 29" in prompt
    assert prompt.count("hammer") <= MAX_TITLES


def test_a_prompt_longer_than_the_context_is_refused_with_a_way_out(make_bench, item_texts):
    bench = make_bench()
    ask = prompter(bench, item_texts, context=20)
    with pytest.raises(PromptError, match="max_history"):
        ask.retrieval_prompt(np.arange(15))
    with pytest.raises(PromptError, match="item 2 in task both_to_sid"):
        ask.example("both_to_sid", 2)


@pytest.mark.parametrize("kind", ["tied", "qwen3"])
def test_a_query_example_is_its_prompt_and_the_items_semantic_id(make_bench, kind):
    prompter = make_bench(kind, style="chat").prompter
    for wording in range(len(prompter.tasks["query"].wordings)):
        prompt = prompter.query_prompt("red garden", wording)
        example = prompter.query_example("red garden", 5, wording)
        assert example.ids[: len(prompt)].tolist() == prompt.tolist()
        levels = prompter.semantic_ids.num_levels
        assert example.ids[len(prompt) :][:levels].tolist() == prompter.sid_ids[5].tolist()
        assert example.targets.tolist() == list(range(len(prompt), len(example.ids)))
        assert "red garden" in prompter.tokenizer.decode(prompt)


def test_a_query_that_looks_like_a_placeholder_stays_as_it_is(make_bench):
    prompter = make_bench("tied", style="chat").prompter
    assert "{query} {sid}" in prompter.tokenizer.decode(prompter.query_prompt("{query} {sid}"))


def test_a_query_longer_than_the_context_is_refused(make_bench):
    prompter = make_bench("tied", style="chat").prompter
    prompter.context = 8
    with pytest.raises(PromptError, match=r"query 'red garden'.*lower queries\.words"):
        prompter.query_prompt("red garden")
