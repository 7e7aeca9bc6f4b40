"""New tokens in one call: the rows that a cell would have, and nothing else moved."""

import copy
import json

import numpy as np
import pytest
import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

import gti
from gti.__main__ import main
from gti.data.streams import numpy_stream
from gti.method import GroundingPlan
from gti.model.vocabulary import embedding_matrices, extend_vocabulary, read_rows, write_rows
from gti.prompts.prompter import Prompter
from gti.token_pairs import TokenPairs, TokensError
from gti.tokens import (
    INITIALIZERS,
    LEAST_GAP,
    PairCheck,
    ground_tokens,
    initialize_tokens,
    show_progress,
)
from gti.train.grounding import ground, grounding_examples
from gti.train.order import epochs
from gti.train.training import AdamWSettings
from leaderboard.board import treatment

PAIRS = [
    ("<hammer>", "red hammer of steel"),
    ("<shirt>", "blue shirt"),
    (("<a>", "<b>"), {"title": "green door", "description": "a wooden door"}),
    ({"tokens": ["<b>"], "text": "garden house"}),
]


def state(model, tokenizer):
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    trained = [model.training, *(each.requires_grad for each in model.parameters())]
    return weights, (tokenizer.get_vocab(), trained)


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
    optimizer = {"schedule": "linear", "betas": (0.9, 0.999)}
    ground(model, vocabulary, batches, AdamWSettings(3e-3, 4, **optimizer))
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
        optimizer=optimizer,
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


def test_grounding_took_where_a_board_would_say_so():
    assert LEAST_GAP == treatment.LEAST_GAP
    pairs = [PairCheck("text_to_sid", 9.0, 2.0, permuted) for permuted in (2.09, 2.11)]
    assert [each.took for each in pairs] == [False, True]


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
    (None, "pairs are None"),
    (["ab", "cd"], "pair 0: found 'ab', expected"),
    ([("<x>", "red \ud83d"), ("<y>", "blue")], "pair 0 .<x>.: text 'title' has a lone surrogate"),
    ([("<x\ud83d>", "red"), ("<y>", "blue")], "pair 0: token '<x.* has a lone surrogate"),
    ([("Ġsaw", "red"), ("<y>", "blue")], "reads token 'Ġsaw' but writes it as ' saw'"),
    ([("<café>", "red"), ("<y>", "blue")], "writes it as '<caf.*such as <cafe>"),
    (
        [(("foo_q", "bar_q"), "red"), ("foo_qbar_q", "blue")],
        "does not keep each of the tokens foo_q, bar_q whole",
    ),
    ([("<x>", "red")], "all pairs have the same tokens"),
    ([("<x>", "red"), ("<x>", "blue")], "all pairs have the same tokens"),
    ([*TWO, ("<z>", "  ")], r"pair 2 \(<z>\): no text"),
    ([*TWO, ("<z>", {"title": None})], r"pair 2 \(<z>\): no text"),
    ([*TWO, ("", "green")], "pair 2: '' is no token"),
    ([*TWO, ((), "green")], "pair 2: no tokens"),
    ([*TWO, (3, "green")], "pair 2: 3 is no token"),
    ([*TWO, ("<z>", 3)], "pair 2: text 'title' is 3, expected a string"),
    ([*TWO, "green"], "pair 2: found 'green'"),
    (
        [*TWO, {"token": "<z>", "text": "green"}],
        "needs the keys tokens and text, found token, text",
    ),
    ([*TWO, ("<z>", {"title": 3.5})], "text 'title' is 3.5, expected a string"),
    ([*TWO, ("<z>", {"description": "green"})], "pair 2: no text in the field 'title'"),
    ([*TWO, ("the", "an article")], "token 'the' is in the vocabulary already"),
    ([*TWO, ("<z>", {"title": float("nan")})], r"pair 2 \(<z>\): no text"),
    ([*TWO, ("<z>", "cut in the middle of \ud83c")], "text 'title' has a lone surrogate"),
    ([*TWO, ("<\ud83c>", "a token")], "pair 2: token '.*' has a lone surrogate"),
]


@pytest.mark.parametrize(("pairs", "message"), BAD_PAIRS)
def test_bad_pairs_are_one_sentence_and_nothing_has_changed(make_plain, pairs, message):
    model, tokenizer = make_plain("tied")
    if message.startswith("token 'the'") and "the" not in tokenizer.get_vocab():
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
        ({"passes": 0}, "passes must be a number above 0, found 0"),
        ({"passes": float("nan")}, "passes must be a number above 0, found nan"),
        ({"learning_rate": float("inf")}, "learning_rate must be a number above 0, found inf"),
        ({"batch_size": 2.5}, "batch_size must be a whole number above 0, found 2.5"),
        ({"max_text_tokens": 0}, "max_text_tokens must be a whole number above 0"),
        ({"seed": None}, "seed must be a whole number of 0 or more, found None"),
        ({"style": "sequence"}, "unknown style 'sequence'; there are chat, plain"),
        ({"dtype": "float16"}, "unknown dtype 'float16'; there are float32, bfloat16"),
        ({"init": None}, "init is None, expected a name or a function"),
        ({"init": lambda start: torch.ones(1, 1)}, "expected rows of shape"),
        ({"init": lambda start: np.ones((2, 2))}, "expected a tensor"),
        (
            {"optimizer": {"beta": 1}},
            "unknown option of the optimizer 'beta'; did you mean 'betas'",
        ),
        ({"optimizer": {"learning_rate": 1.0}}, "unknown option of the optimizer 'learning_rate'"),
        ({"seed": -1}, "seed must be a whole number of 0 or more, found -1"),
    ],
)
def test_bad_options_are_one_sentence_and_nothing_has_changed(make_plain, options, message):
    model, tokenizer = make_plain("tied")
    before = state(model, tokenizer)
    with pytest.raises(TokensError, match=message):
        ground_tokens(model, tokenizer, TWO, **options)
    assert same(before, state(model, tokenizer))


@pytest.mark.parametrize("kind", ["tied", "untied", "qwen3"])
@pytest.mark.parametrize("stopped", [RuntimeError, KeyboardInterrupt])
def test_whatever_stops_it_model_and_tokenizer_are_as_they_were(make_plain, kind, stopped):
    model, tokenizer = make_plain(kind)
    model.train()
    model.lm_head.requires_grad_(False)
    before = state(model, tokenizer)

    def stop(*step):
        raise stopped

    with pytest.raises(stopped):
        ground_tokens(model, tokenizer, PAIRS * 20, progress=stop)
    assert same(before, state(model, tokenizer))
    assert model.config.vocab_size == len(model.get_input_embeddings().weight)
    assert ground_tokens(model, tokenizer, PAIRS, passes=1).steps == 1  # the names are free again


def test_texts_that_do_not_fit_are_refused_and_those_that_are_cut_are_counted(make_plain):
    model, tokenizer = make_plain("tied")
    long = [("<x>", {"title": "red " * 600, "more": "blue " * 600}), ("<y>", "blue")]
    before = state(model, tokenizer)
    with pytest.raises(
        TokensError, match=r"context of 512; lower max_text_tokens to (\d+)"
    ) as info:
        ground_tokens(model, tokenizer, long, max_text_tokens=400)
    assert same(before, state(model, tokenizer))
    most = int(str(info.value).rpartition(" ")[2])
    report = ground_tokens(model, tokenizer, long, max_text_tokens=most, passes=1)
    assert report.cut == 1
    assert "1 pairs have a text that was cut" in str(report)
    short = make_plain("tied")
    short[0].config.max_position_embeddings = 64
    assert ground_tokens(*short, TWO, passes=1).cut == 0  # short texts fit into a short context


def test_a_template_that_leaves_no_room_is_refused(make_plain):
    model, tokenizer = make_plain("qwen3")
    tokenizer.chat_template = (
        "{{ 'be kind ' * 500 }}{% for each in messages %}{{ each.content }}{% endfor %}"
    )
    before = state(model, tokenizer)
    with pytest.raises(TokensError, match='style = "plain" asks without a template'):
        ground_tokens(model, tokenizer, TWO)
    assert same(before, state(model, tokenizer))
    tokenizer.chat_template = "{{ raise_exception('never') }}"
    with pytest.raises(TokensError, match="takes no question"):
        ground_tokens(model, tokenizer, TWO)
    assert same(before, state(model, tokenizer))


@pytest.mark.parametrize(
    ("tokens", "options", "message"),
    [
        ("<one>", {}, "tokens are '<one>', expected a list"),
        ([["<one>"]], {}, r"token 0 is \['<one>'\], expected a string"),
        (["<x>", "<y>", "<x>"], {"pairs": TWO}, "token '<x>' is given twice"),
        (["<x>", "<y>", "<z>"], {"pairs": TWO}, "token '<z>' is in no pair"),
        (["<x>"], {"pairs": TWO}, "token '<y>' is in a pair and not among the tokens"),
        (["<x>"], {"init": "description"}, "init 'description' reads texts: give pairs"),
    ],
)
def test_bad_tokens_are_one_sentence_and_nothing_has_changed(make_plain, tokens, options, message):
    model, tokenizer = make_plain("tied")
    before = state(model, tokenizer)
    with pytest.raises(TokensError, match=message):
        initialize_tokens(model, tokenizer, tokens, **options)
    assert same(before, state(model, tokenizer))


def test_rows_come_in_the_order_of_the_tokens(make_plain):
    model, tokenizer = make_plain("tied")
    tokens = ["<y>", "<x>"]
    ids = initialize_tokens(model, tokenizer, iter(tokens), pairs=TWO).new_ids
    assert tokenizer.convert_tokens_to_ids(tokens) == ids.tolist()


def test_progress_shows_on_a_terminal_alone(capsys, monkeypatch):
    show_progress(1, 2, 3.0)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    show_progress(2, 2, 3.0)
    assert capsys.readouterr().err == "\rstep 2 of 2, loss 3.00 \n"


def test_a_model_without_weights_or_of_another_tokenizer_is_refused(make_plain):
    model, tokenizer = make_plain("tied")
    with pytest.raises(TokensError, match="meta device"):
        ground_tokens(copy.deepcopy(model).to("meta"), tokenizer, TWO)
    for rows in (10, 3 * len(tokenizer) + 1024):
        model.resize_token_embeddings(rows)
        with pytest.raises(TokensError, match="do not belong together"):
            ground_tokens(model, tokenizer, TWO)
    model.resize_token_embeddings(len(tokenizer) + 8)
    model.config.eos_token_id = [0, len(tokenizer) + 2]
    with pytest.raises(TokensError, match=r"eos_token_id is .* the tokenizer does not have"):
        ground_tokens(model, tokenizer, TWO)
    with pytest.raises(TokensError, match="is no fast tokenizer"):
        ground_tokens(make_plain("tied")[0], object(), TWO)
    with pytest.raises(TokensError, match="model is None"):
        ground_tokens(None, tokenizer, TWO)


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
    with pytest.raises(TokensError, match="ByT5Tokenizer is no fast tokenizer"):
        ground_tokens(model, tokenizer, TWO)
    assert same(before, state(model, tokenizer))


def test_a_tokenizer_that_puts_a_mark_before_each_text_grounds(make_plain):
    """Its comma is two tokens, where histories, which nobody asks for here, take one."""
    core = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    bytes_ = [f"<0x{number:02X}>" for number in range(256)]
    trainer = trainers.BpeTrainer(special_tokens=["<unk>", "</s>", *bytes_], show_progress=False)
    core.train_from_iterator(["a red hammer and a blue shirt, of steel"], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>", eos_token="</s>")
    model, _ = make_plain("tied")
    model.resize_token_embeddings(len(tokenizer))
    assert ground_tokens(model, tokenizer, TWO, passes=1).steps == 1


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
    assert "is not an empty folder" in capsys.readouterr().err
    other = tmp_path / "other"
    for content, message in (
        (b"{", "line 1: not valid JSON"),
        (b"\xff", "is not UTF-8: byte 0"),
        (b'{"tokens": "<x>"}', "needs the keys tokens and text"),
    ):
        pairs.write_bytes(content)
        assert main([*asked[:2], str(other)]) == 2
        assert message in capsys.readouterr().err
    lines[0]["text"] = "red\u2028hammer\x85"
    pairs.write_text("\n".join(json.dumps(each, ensure_ascii=False) for each in lines), "utf-8")
    for options, message in (
        (["--rate", "1e30"], "training diverged"),
        (["--device", "nowhere"], "device 'nowhere' cannot be used"),
        (["--passes", "nan"], "passes must be a number above 0"),
    ):
        assert main([*asked[:2], str(other), *options]) == 2
        assert message in capsys.readouterr().err
        assert not other.exists()
    assert main([str(tmp_path / "none"), *asked[1:2], str(other)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert main([*asked[:2], str(other), "--passes", "1", "--max-text-tokens", "8"]) == 0
