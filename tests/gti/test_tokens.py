"""New tokens in one call: the rows that a cell would have, and nothing else moved."""

import copy
import json

import numpy as np
import pytest
import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

import gti
from gti.__main__ import main, read_pairs
from gti.data.streams import numpy_stream
from gti.method import GroundingPlan
from gti.model.vocabulary import embedding_matrices, extend_vocabulary, read_rows, write_rows
from gti.prompts.prompter import Prompter
from gti.tokens import INITIALIZERS, TokenPairs, TokensError, ground_tokens, initialize_tokens
from gti.train.grounding import ground, grounding_examples
from gti.train.order import epochs
from gti.train.training import AdamWSettings

PAIRS = [
    ("<hammer>", "red hammer of steel"),
    ("<shirt>", "blue shirt"),
    (("<a>", "<b>"), {"title": "green door", "description": "a wooden door"}),
    ({"tokens": ["<b>"], "text": "garden house"}),
]


def state(model, tokenizer):
    return {
        name: value.clone() for name, value in model.state_dict().items()
    }, tokenizer.get_vocab()


def same(one, other):
    weights, vocabulary = one
    theirs, their_vocabulary = other
    return vocabulary == their_vocabulary and all(
        torch.equal(value, theirs[name]) for name, value in weights.items()
    )


def test_the_short_way_is_at_the_top():
    assert gti.ground_tokens is ground_tokens
    assert gti.initialize_tokens is initialize_tokens
    with pytest.raises(AttributeError, match="no attribute 'ground_token'"):
        gti.ground_token  # noqa: B018


@pytest.mark.parametrize("kind", ["tied", "untied", "qwen3"])
def test_the_right_tokens_become_likelier_and_nothing_else_moves(make_plain, kind):
    model, tokenizer = make_plain(kind)
    text_ids = torch.tensor(sorted(tokenizer.get_vocab().values()))
    before = [read_rows(matrix, text_ids) for matrix in embedding_matrices(model)]
    calls = []
    report = ground_tokens(
        model,
        tokenizer,
        PAIRS,
        passes=100,
        dtype="float32",
        progress=lambda *step: calls.append(step),
    )
    assert report.tokens == ("<hammer>", "<shirt>", "<a>", "<b>")
    assert report.steps == len(calls) == 100
    assert report.took
    assert {check.direction for check in report.checks} == {"text_to_sid", "sid_to_text"}
    assert all(check.after < check.before for check in report.checks)
    assert report.changed == ()
    assert report.cosine[0] == pytest.approx(1)
    assert report.cosine[1] < 0.999
    for matrix, rows in zip(embedding_matrices(model), before, strict=True):
        assert torch.equal(read_rows(matrix, text_ids), rows)
    assert "grounding took" in str(report)
    assert "nothing, bit for bit" in str(report)


def test_the_rows_are_those_of_the_benchmarks_own_way(make_bench, make_plain, item_texts):
    """By hand, as a cell does it: the same examples in the same order give the same rows."""
    bench = make_bench("tied", "chat")
    model, tokenizer = make_plain("tied")
    vocabulary = extend_vocabulary(tokenizer, model, bench.sids.tokens)
    matrix = model.get_input_embeddings().weight
    mean = read_rows(matrix, vocabulary.text_ids).mean(dim=0)
    write_rows(matrix, vocabulary.new_ids, mean.expand(bench.sids.num_tokens, -1))
    prompter = Prompter(
        tokenizer,
        vocabulary,
        bench.sids,
        item_texts,
        title_field="title",
        detail_fields=("description",),
        style="chat",
        max_text_tokens=128,
        max_history=1,
        context=512,
    )
    pairs = grounding_examples(prompter, GroundingPlan(), np.random.default_rng(0))
    order = epochs(len(pairs), 4, numpy_stream(5, "grounding-order"))
    per_pass = -(-len(pairs) // 4)
    batches = [[pairs[i] for i in next(order)] for _ in range(2 * per_pass)]
    ground(model, vocabulary, batches, AdamWSettings(learning_rate=3e-3, batch_size=4))
    expected = {
        token: read_rows(matrix, vocabulary.new_ids[number : number + 1])
        for number, token in enumerate(bench.sids.tokens)
    }

    other, its_tokenizer = make_plain("tied")
    named = [bench.sids.tokens[index] for index in range(bench.sids.num_tokens)]
    given = [
        ([named[index] for index in row], dict(texts))
        for row, texts in zip(bench.sids.token_index.tolist(), item_texts, strict=True)
    ]
    report = ground_tokens(
        other,
        its_tokenizer,
        given,
        passes=2,
        learning_rate=3e-3,
        batch_size=4,
        seed=5,
        dtype="float32",
    )
    rows = read_rows(other.get_input_embeddings().weight, report.vocabulary.new_ids)
    # A code that no item has would get no row here, and the softmax be over fewer tokens.
    assert set(report.tokens) == set(bench.sids.tokens)
    for token, row in zip(report.tokens, rows, strict=True):
        torch.testing.assert_close(row[None], expected[token], rtol=1e-4, atol=1e-5)


def test_what_is_saved_is_what_was_grounded(make_plain, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = make_plain("tied")
    report = ground_tokens(model, tokenizer, PAIRS, passes=2, dtype="float32")
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    names = AutoTokenizer.from_pretrained(tmp_path)
    assert names.convert_tokens_to_ids(list(report.tokens)) == report.vocabulary.new_ids.tolist()
    ids = torch.tensor([names("a <hammer> b")["input_ids"]])
    assert torch.equal(again(input_ids=ids).logits, model(input_ids=ids).logits)


@pytest.mark.parametrize("init", INITIALIZERS)
def test_each_named_start_gives_rows_without_training(make_plain, init):
    model, tokenizer = make_plain("untied")
    tokens = ["<hammer>", "<shirt>", "<a>", "<b>"]
    vocabulary = initialize_tokens(model, tokenizer, tokens, init=init, pairs=PAIRS)
    for matrix in embedding_matrices(model):
        assert torch.isfinite(read_rows(matrix, vocabulary.new_ids)).all()
    assert tokenizer("x <a><b>", add_special_tokens=False)["input_ids"][-2:] == [
        tokenizer.convert_tokens_to_ids("<a>"),
        tokenizer.convert_tokens_to_ids("<b>"),
    ]


def test_rows_of_ones_own_making(make_plain):
    model, tokenizer = make_plain("tied")
    vocabulary = initialize_tokens(
        model, tokenizer, ["<x>", "<y>"], init=lambda start: torch.ones(start.num_new, start.width)
    )
    assert (read_rows(model.get_input_embeddings().weight, vocabulary.new_ids) == 1).all()


def test_rows_of_a_dataset_are_pairs(make_plain):
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_list(
        [{"tokens": ["<x>"], "text": "red hammer"}, {"tokens": ["<y>"], "text": "blue shirt"}]
    )
    model, tokenizer = make_plain("tied")
    assert ground_tokens(model, tokenizer, rows, passes=1, dtype="float32").tokens == ("<x>", "<y>")


def test_another_pair_has_other_tokens_wherever_there_are_some():
    named = TokenPairs.of([("<x>", "a"), ("<x>", "b"), ("<y>", "c"), ("<z>", "d")])
    for pair, other in enumerate(named.other.tolist()):
        assert named.token_index[pair].tolist() != named.token_index[other].tolist()


TWO = [("<x>", "red"), ("<y>", "blue")]
BAD_PAIRS = [
    ([], "no pairs"),
    ([("<x>", "red")], "all pairs have the same tokens"),
    ([("<x>", "red"), ("<x>", "blue")], "all pairs have the same tokens"),
    ([*TWO, ("<z>", "  ")], r"pair 2 \(<z>\): no text"),
    ([*TWO, ("<z>", {"title": None})], r"pair 2 \(<z>\): no text"),
    ([*TWO, ("", "green")], "pair 2: '' is no token"),
    ([*TWO, ((), "green")], "pair 2: no tokens"),
    ([*TWO, (3, "green")], "pair 2: 3 is no token"),
    ([*TWO, ("<z>", 3)], "pair 2: text is 3, expected a string"),
    ([*TWO, "green"], "pair 2: found 'green'"),
    (
        [*TWO, {"token": "<z>", "text": "green"}],
        "needs the keys tokens and text, found token, text",
    ),
    ([*TWO, ("<z>", {"title": 3.5})], "text 'title' is 3.5, expected a string"),
    ([*TWO, ("<z>", {"description": "green"})], "pair 2: no text in the field 'title'"),
    ([*TWO, ("the", "an article")], "token 'the' is in the vocabulary already"),
    ([*TWO, ("<z>", {"title": float("nan")})], r"pair 2 \(<z>\): no text"),
    ([*TWO, ("<z>", "cut in the middle of \ud83c")], "pair 2: text 'title' is no valid Unicode"),
    ([*TWO, ("<\ud83c>", "a token")], "pair 2: '.*' is no token"),
]


@pytest.mark.parametrize(("pairs", "message"), BAD_PAIRS)
def test_bad_pairs_are_one_sentence_and_nothing_has_changed(make_plain, pairs, message):
    model, tokenizer = make_plain("tied")
    if "the" not in tokenizer.get_vocab():
        pairs = [
            (next(iter(tokenizer.get_vocab())), each[1]) if each[0] == "the" else each
            for each in pairs
        ]
        message = message.replace("token 'the'", "token '.*'")
    before = state(model, tokenizer)
    with pytest.raises(TokensError, match=message):
        ground_tokens(model, tokenizer, pairs)
    assert same(before, state(model, tokenizer))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"init": "meen"}, "unknown init 'meen'; did you mean 'mean'"),
        ({"passes": 0}, "passes is 0; it must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan; it must be above 0, and finite"),
        ({"passes": float("inf")}, "passes is inf"),
        ({"batch_size": 2.5}, "batch_size is 2.5; it must be a whole number"),
        ({"style": "chart"}, "unknown style 'chart'; there are sequence, chat, plain"),
        ({"dtype": "float16"}, "unknown dtype 'float16'; there are float32, bfloat16"),
        ({"seed": -1}, "seed is -1"),
        ({"max_text_tokens": 0}, "max_text_tokens is 0"),
        ({"max_text_tokens": 100_000}, "lower max_text_tokens to"),
    ],
)
def test_bad_options_are_one_sentence_and_nothing_has_changed(make_plain, options, message):
    model, tokenizer = make_plain("tied")
    before = state(model, tokenizer)
    with pytest.raises(TokensError, match=message):
        ground_tokens(model, tokenizer, TWO, **options)
    assert same(before, state(model, tokenizer))


def test_a_model_without_weights_or_of_another_tokenizer_is_refused(make_plain):
    model, tokenizer = make_plain("tied")
    with pytest.raises(TokensError, match="meta device"):
        ground_tokens(copy.deepcopy(model).to("meta"), tokenizer, TWO)
    model.resize_token_embeddings(10)
    with pytest.raises(TokensError, match="do not belong together"):
        ground_tokens(model, tokenizer, TWO)


def test_a_token_that_the_tokenizer_does_not_keep_whole_is_refused(make_plain):
    model, tokenizer = make_plain("tied")

    class WordsAlone(type(tokenizer)):
        """Finds added tokens only where no letter stands beside them."""

        def add_tokens(self, tokens, **options):
            return super().add_tokens(
                [AddedToken(each.content, normalized=False, single_word=True) for each in tokens],
                **options,
            )

    tokenizer.__class__ = WordsAlone
    before = state(model, tokenizer)
    with pytest.raises(TokensError, match=r"does not keep token 'xyz' whole: it reads 'axyzb' as"):
        ground_tokens(model, tokenizer, [("xyz", "red"), ("<y>", "blue")])
    assert same(before, state(model, tokenizer))


TEMPLATES = {
    "one that takes no question": "{{ raise_exception('no chat here') }}",
    "one that is broken": "{% for m in messages %}",
    "one that leaves answers out": (
        "{% for m in messages if m.role != 'assistant' %}{{ m.content }}{% endfor %}"
    ),
    "one that changes what is asked": "{% for m in messages %}{{ m.content | upper }}{% endfor %}",
    "one that escapes what is asked": "{% for m in messages %}{{ m.content | e }}{% endfor %}",
}


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_a_template_that_takes_no_tokens_is_refused_before_any_change(make_plain, template):
    model, tokenizer = make_plain("tied")
    tokenizer.chat_template = template
    before = state(model, tokenizer)
    with pytest.raises(TokensError, match="chat template takes no question"):
        ground_tokens(model, tokenizer, TWO)
    assert same(before, state(model, tokenizer))
    assert ground_tokens(model, tokenizer, TWO, style="plain", passes=1).steps == 1


def test_a_tokenizer_without_a_fast_form_is_refused_before_any_change(make_plain):
    model, _ = make_plain("tied")
    tokenizer = ByT5Tokenizer()
    model.resize_token_embeddings(len(tokenizer))
    before = state(model, tokenizer)
    with pytest.raises(TokensError, match="ByT5Tokenizer is a tokenizer without a fast form"):
        ground_tokens(model, tokenizer, TWO)
    assert same(before, state(model, tokenizer))


def test_a_tokenizer_that_puts_a_mark_before_each_text_grounds(make_plain):
    """Its comma is two tokens, of which style "sequence" alone has need as one."""
    core = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    bytes_ = [f"<0x{number:02X}>" for number in range(256)]
    trainer = trainers.BpeTrainer(special_tokens=["<unk>", "</s>", *bytes_], show_progress=False)
    core.train_from_iterator(["a red hammer and a blue shirt, of steel"], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>", eos_token="</s>")
    model, _ = make_plain("tied")
    model.resize_token_embeddings(len(tokenizer))
    before = state(model, tokenizer)
    with pytest.raises(TokensError, match="writes the separator ',' in 2 tokens"):
        ground_tokens(model, tokenizer, TWO, style="sequence")
    assert same(before, state(model, tokenizer))
    assert ground_tokens(model, tokenizer, TWO, passes=1).steps == 1


def test_lines_end_at_line_breaks_alone_and_are_utf8(tmp_path):
    pairs = tmp_path / "pairs.jsonl"
    text = "a red\u2028hammer\u0085of steel"
    line = json.dumps({"tokens": "<x>", "text": text}, ensure_ascii=False)
    pairs.write_bytes(f"{line}\r\n{line}\n".encode())
    assert [pair["text"] for pair in read_pairs(pairs)] == [text, text]
    pairs.write_bytes('{"tokens": "<x>", "text": "café"}'.encode("latin-1"))
    with pytest.raises(TokensError, match=r"pairs\.jsonl: not UTF-8"):
        read_pairs(pairs)


def test_files_in_and_a_model_folder_out(make_plain, tmp_path, capsys):
    model, tokenizer = make_plain("tied")
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    pairs = tmp_path / "pairs.jsonl"
    lines = [{"tokens": "<x>", "text": "red hammer"}, {"tokens": ["<y>"], "text": "blue shirt"}]
    pairs.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    asked = [str(tmp_path / "model"), str(pairs), str(tmp_path / "out"), "--passes", "1"]
    assert main(asked) == 0
    assert "2 new tokens, 1 steps" in capsys.readouterr().out
    assert (tmp_path / "out" / "tokenizer.json").exists()
    assert main(asked) == 2
    assert "is not empty" in capsys.readouterr().err
    pairs.write_text("{", encoding="utf-8")
    assert main([*asked[:2], str(tmp_path / "other")]) == 2
    assert "line 1: not valid JSON" in capsys.readouterr().err
