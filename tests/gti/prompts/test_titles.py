"""Items called by their titles: distinct names, the same R as with Semantic IDs, refusals."""

import numpy as np
import pytest
import torch

from gti.data.streams import numpy_stream
from gti.model.vocabulary import extend_vocabulary
from gti.prompts.prompter import Prompter, PromptError
from gti.prompts.titles import TitlePrompter, distinct_titles, no_semantic_ids
from gti.search.names import build_name_trie
from gti.train.finetuning import query_examples, retrieval_examples

HISTORIES = [np.arange(start, start + size) for start, size in ((0, 9), (5, 4), (20, 13))]


@pytest.fixture
def titled(make_bench, item_texts):
    """`titled(style, texts, **others)`: a bench, and the prompter of titles beside its own."""

    def make(style="sequence", texts=item_texts, chat=False, **others):
        bench = make_bench("qwen3" if chat else "tied", style)
        tokenizer = bench.tokenizer
        vocabulary = extend_vocabulary(tokenizer, bench.model, ())
        options = {"max_text_tokens": 32, "max_history": 20, "context": 512, **others}
        fields = {"title_field": "title", "detail_fields": ("description",)}
        return bench, TitlePrompter(tokenizer, vocabulary, texts, style=style, **fields, **options)

    return make


def test_titles_are_made_distinct_by_numbers_past_names_that_are_taken():
    made = distinct_titles(["Heat", "", "Heat", "Heat (2)", "Heat", "", "untitled", "Sabrina"])
    assert made.names == (
        "Heat",
        "untitled",
        "Heat (3)",
        "Heat (2)",
        "Heat (4)",
        "untitled (2)",
        "untitled (3)",
        "Sabrina",
    )
    assert (made.numbered, made.untitled) == (4, 2)


def test_no_token_is_added_and_no_row_moves(make_tokenizer, make_bench):
    bench = make_bench("tied")
    before = bench.embedding.detach().clone()
    known = len(bench.tokenizer)
    vocabulary = extend_vocabulary(bench.tokenizer, bench.model, ())
    assert len(bench.tokenizer) == known
    assert torch.equal(before, bench.embedding)
    assert len(vocabulary.new_ids) == 0
    assert no_semantic_ids(5).num_levels == 0


@pytest.mark.parametrize("style", ["sequence", "plain", "chat"])
def test_r_has_the_same_examples_in_the_same_order_and_ends_in_whole_titles(titled, style):
    bench, prompter = titled(style, chat=style == "chat")
    own = retrieval_examples(prompter, HISTORIES, 5, numpy_stream(0, "wording"))
    sids: Prompter = bench.prompter
    other = retrieval_examples(sids, HISTORIES, 5, numpy_stream(0, "wording"))
    assert len(own) == len(other)
    assert [example.block for example in own] == [example.block for example in other]
    # Every example ends in the title of the item that the Semantic ID there is of.
    last = [item for items in HISTORIES for item in items[1:]]
    if style == "sequence":
        last = [9 - 1 - 5, 8, 8, 22, 27, 32]
    for example, item in zip(own, last, strict=True):
        name = prompter.names[item]
        assert example.ids[-len(name) :].tolist() == name
        assert example.targets[-1] == len(example.ids) - 1
        if style != "sequence":
            assert example.targets.tolist() == list(range(len(example.ids)))[-len(name) :]


def test_a_window_shows_titles_line_by_line_and_learns_all_of_them(titled):
    _, prompter = titled()
    (example,) = prompter.windows(np.array([3, 1]), 5)
    text = prompter.tokenizer.decode(example.ids)
    assert text == "<|endoftext|>Items: red hammer 3\n red hammer 1\n"
    assert example.targets.tolist() == list(range(len(prompter._lead), len(example.ids)))
    prompt = prompter.retrieval_prompt(np.array([3, 1]))
    assert prompt.tolist() == example.ids.tolist()


def test_a_question_shows_titles_in_the_place_of_semantic_ids(titled):
    bench, prompter = titled("plain")
    asked = np.array([3, 1])
    titles = prompter.tokenizer.decode(prompter.retrieval_prompt(asked))
    codes = bench.tokenizer.decode(bench.prompter.retrieval_prompt(asked))
    sids = ",".join(bench.prompter.sid_text(item) for item in asked)
    assert titles == codes.replace(sids, "red hammer 3; red hammer 1")
    query = prompter.query_prompt("steel hammer").tolist()
    assert query == bench.prompter.query_prompt("steel hammer").tolist()
    (example,) = query_examples(prompter, [("steel hammer", 7)], numpy_stream(0, "wording"))
    answer = prompter.tokenizer.decode(example.ids[example.answer_start :])
    assert answer == " red hammer 7<|endoftext|>"


@pytest.mark.parametrize(("style", "chat"), [("sequence", False), ("plain", False), ("chat", True)])
def test_names_of_any_titles_make_a_trie(titled, style, chat):
    texts = ["Heat", "Heat", "", "Heat (2)", "Heat, The", "a\nb", "a b", "<|im_end|>", "x" * 400]
    _, prompter = titled(style, [{"title": t, "description": "d"} for t in texts], chat)
    trie = build_name_trie(prompter.names, torch.device("cpu"))
    assert trie.num_leaves == len(texts)
    assert prompter.distinct.numbered == 2  # "Heat", and "a b", which the line break comes to
    assert prompter.longest_name <= 32 + 4  # cut, with a lead and an end


def test_what_does_not_fit_into_the_context_is_refused_and_named(titled, item_texts):
    with pytest.raises(PromptError, match=r"the title of item '10'.*lower max_text_tokens"):
        titled(context=3, item_ids=[str(item) for item in range(40)])
    _, prompter = titled(context=60)
    with pytest.raises(PromptError, match=r"user 'u', a window of 20 titles: .* lower window"):
        prompter.windows(np.arange(20), 20, "user 'u'")
    with pytest.raises(PromptError, match=r"a history of 19 items: .* lower max_history"):
        prompter.retrieval_prompt(np.arange(19))
