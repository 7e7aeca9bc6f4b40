"""nano as committed: a valid cut of a tokenizer, a model that loads offline and knows English."""

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import benchmarks.nano as nano_package  # noqa: E402
from benchmarks.nano.making.heldout import is_held_out_entry, is_held_out_page  # noqa: E402
from benchmarks.nano.making.loss import ChunkedCrossEntropy, softmax_minus_target  # noqa: E402
from benchmarks.nano.making.ngram import KneserNey  # noqa: E402
from benchmarks.nano.making.packing import pack  # noqa: E402
from benchmarks.nano.making.plan import Plan  # noqa: E402
from benchmarks.nano.making.vocabulary import cut_tokenizer  # noqa: E402
from benchmarks.nano.making.wordnet import Writer, read_wordnet  # noqa: E402

NANO = Path(next(iter(nano_package.__path__)))
SENTENCE = "A dog is an animal that barks, and a cat is a small animal with soft fur."


@pytest.fixture(scope="module")
def nano() -> tuple[Any, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        model = transformers.AutoModelForCausalLM.from_pretrained(NANO, dtype=torch.float32)
        tokenizer = transformers.AutoTokenizer.from_pretrained(NANO)
    return model.eval(), tokenizer


def loss_of(model: Any, tokenizer: Any, text: str) -> float:
    ids = torch.tensor([[0, *tokenizer(text, add_special_tokens=False)["input_ids"]]])
    with torch.no_grad():
        return float(model(input_ids=ids, labels=ids).loss)


def test_what_is_committed_stays_within_eight_megabytes() -> None:
    assert sum(file.stat().st_size for file in NANO.glob("*.*")) <= 8_000_000


def test_tokenizer_merges_lead_only_to_entries_it_has() -> None:
    model = json.loads((NANO / "tokenizer.json").read_text("utf-8"))["model"]
    vocab = model["vocab"]
    assert sorted(vocab.values()) == list(range(8192))
    for left, right in model["merges"]:
        assert {left, right, left + right} <= vocab.keys()


def test_every_entry_but_bytes_and_specials_is_reached_by_a_merge() -> None:
    content = json.loads((NANO / "tokenizer.json").read_text("utf-8"))
    reached = {left + right for left, right in content["model"]["merges"]}
    special = {token["content"] for token in content["added_tokens"]}
    rest = set(content["model"]["vocab"]) - reached - special
    assert len(rest) <= 256
    assert all(len(token) == 1 for token in rest)


def test_any_text_comes_back_from_its_tokens(nano: tuple[Any, Any]) -> None:
    _, tokenizer = nano
    rng = random.Random(0)
    alphabet = "abc XYZ 0129 .,;'\"()\n\täßéñ漢字 🙂\u200b"
    texts = ["".join(rng.choices(alphabet, k=40)) for _ in range(50)]
    for text in [SENTENCE, "Toy Story (1995)", "naïve café — “quoted”", *texts]:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert max(ids) < 8192
        assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text


def test_special_tokens_keep_their_first_ids_and_there_is_no_chat_template(
    nano: tuple[Any, Any],
) -> None:
    _, tokenizer = nano
    assert tokenizer.convert_tokens_to_ids("<|endoftext|>") == 0
    assert tokenizer.convert_tokens_to_ids("<|im_start|>") == 1
    assert tokenizer.eos_token_id == tokenizer.pad_token_id == 0
    assert tokenizer.chat_template is None
    assert len(tokenizer) == 8192


def test_model_is_a_small_llama_with_tied_embeddings(nano: tuple[Any, Any]) -> None:
    model, _ = nano
    assert type(model).__name__ == "LlamaForCausalLM"
    assert model.config.tie_word_embeddings
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert 2_500_000 < model.num_parameters() < 4_000_000
    assert model.config.max_position_embeddings >= 512
    assert model.config.attention_dropout == 0
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_next_token_loss_is_far_below_uniform_and_worse_on_scrambled_words(
    nano: tuple[Any, Any],
) -> None:
    model, tokenizer = nano
    loss = loss_of(model, tokenizer, SENTENCE)
    assert loss < 0.6 * math.log(8192)
    words = SENTENCE.split()
    random.Random(1).shuffle(words)
    assert loss_of(model, tokenizer, " ".join(words)) > loss + 0.5


def test_the_end_of_the_context_is_read_no_worse_than_its_start(nano: tuple[Any, Any]) -> None:
    model, tokenizer = nano
    ids = torch.tensor([tokenizer(" ".join([SENTENCE] * 24))["input_ids"][:512]])
    assert ids.shape[1] >= 500
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, :-1]
    losses = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none")
    sentence = ids.shape[1] // 24
    assert losses[-4 * sentence :].mean() < losses[:sentence].mean()


def test_a_definition_speaks_for_its_word(nano: tuple[Any, Any]) -> None:
    model, tokenizer = nano

    def gain(meaning: str, word: str, other: str) -> float:
        told = f"Meaning: {meaning}\nWord: "
        return loss_of(model, tokenizer, told + other) - loss_of(model, tokenizer, told + word)

    cases = [
        ("a domestic animal that barks", "dog", "king"),
        ("the male ruler of a kingdom", "king", "dog"),
        ("a large body of salt water", "sea", "hat"),
        ("a covering for the head", "hat", "sea"),
    ]
    assert sum(gain(*case) > 0 for case in cases) >= 3


def test_greedy_continuation_is_the_same_each_time(nano: tuple[Any, Any]) -> None:
    model, tokenizer = nano
    inputs = tokenizer("Word: river\nMeaning:", return_tensors="pt")
    options = {"max_new_tokens": 16, "do_sample": False}
    first = model.generate(**inputs, **options)
    assert torch.equal(first, model.generate(**inputs, **options))
    assert first.shape[1] > inputs["input_ids"].shape[1]


def test_a_cut_that_leaves_an_entry_unreachable_is_refused() -> None:
    source: dict[str, Any] = {
        "added_tokens": [{"id": 0, "content": "<|endoftext|>"}],
        "model": {
            "vocab": {"<|endoftext|>": 0, "a": 1, "b": 2, "ab": 3, "abab": 4},
            "merges": [["a", "b"], ["ab", "ab"]],
        },
    }
    assert cut_tokenizer(source, 4)["model"]["merges"] == [["a", "b"]]
    broken = {**source, "model": {**source["model"], "merges": [["ab", "ab"]]}}
    with pytest.raises(ValueError, match="ab"):
        cut_tokenizer(broken, 4)


def test_windows_begin_with_documents_and_short_rests_are_dropped() -> None:
    encoded = [np.arange(1, 8, dtype=np.uint16), np.array([9, 9], dtype=np.uint16)]
    windows = pack([*encoded, *encoded], 6)
    assert windows.tolist() == [[1, 2, 3, 4, 5, 6], [9, 9, 0, 1, 2, 3]]


def test_held_out_rule_is_stable_and_knows_no_case() -> None:
    words = [f"word{i}" for i in range(6400)]
    assert 60 < sum(map(is_held_out_entry, words)) < 140
    assert [is_held_out_entry(w) for w in words] == [is_held_out_entry(w.upper()) for w in words]
    assert 200 < sum(map(is_held_out_page, words)) < 440


def test_training_documents_never_define_a_held_out_word(tmp_path: Path) -> None:
    words = [w for w in (f"word{i}" for i in range(2000)) if is_held_out_entry(w)][:2]
    kept = [w for w in (f"name{i}" for i in range(100)) if not is_held_out_entry(w)][:30]
    lines = ["  1 licence"]
    for i, word in enumerate(words + kept):
        lines.append(f'{i:08d} 03 n 01 {word} 0 000 | meaning number{i} of a thing; "an example"')
    (tmp_path / "data.noun").write_text("\n".join(lines), "latin-1")
    for name in ("verb", "adj", "adv"):
        (tmp_path / f"data.{name}").write_text("", "latin-1")
    writer = Writer(read_wordnet(tmp_path), random.Random(0))
    training = " ".join(text for _, text in writer.documents(held_out=False))
    held_out = " ".join(text for _, text in writer.documents(held_out=True))
    for i, word in enumerate(words):
        assert f"number{i} " not in training
        assert word not in training
        assert f"number{i} " in held_out
    assert "number5 " in training


def test_kneser_ney_sums_to_one_and_prefers_what_it_saw() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 20, 400)
    model = KneserNey(tokens, order=3, vocabulary=20)
    for context in ([3, 4], [19, 19], [int(tokens[7]), int(tokens[8])]):
        rows = [np.array([*context, w]) for w in range(20)]
        total = sum(math.exp(model.log_probabilities(row)[-1]) for row in rows)
        assert total == pytest.approx(1.0)
    seen = model.log_probabilities(tokens).mean()
    assert seen > model.log_probabilities(rng.permutation(tokens)).mean()


def test_chunked_loss_and_gradients_equal_plain_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(50, 8, generator=generator, requires_grad=True)
    rows = torch.randn(30, 8, generator=generator, requires_grad=True)
    targets = torch.randint(0, 30, (50,), generator=generator)
    plain = torch.nn.functional.cross_entropy(hidden @ rows.T, targets)
    wanted = torch.autograd.grad(plain, (hidden, rows))
    chunked = ChunkedCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden, rows, targets, 16, softmax_minus_target
    )
    found = torch.autograd.grad(chunked, (hidden, rows))
    torch.testing.assert_close(chunked, plain)
    torch.testing.assert_close(found, wanted)


def test_learning_rate_warms_up_stays_and_decays_to_its_end() -> None:
    plan = Plan(steps=100, decay_from=60, long_from=90, warmup=10, learning_rate=1.0)
    assert plan.rate(0) == pytest.approx(0.1)
    assert plan.rate(9) == plan.rate(30) == plan.rate(59) == 1.0
    assert plan.rate(80) == pytest.approx(0.5)
    assert plan.rate(99) == pytest.approx(0.025)
    assert (plan.length(89), plan.length(90)) == (256, 512)


def test_a_time_budget_settles_the_end_of_a_run_once() -> None:
    plan = Plan(steps=10**9, decay_from=10**9, long_from=10**9)
    assert plan.settled(100, elapsed=10.0, budget=100.0) == plan
    settled = plan.settled(560, elapsed=56.0, budget=100.0)
    assert (settled.decay_from, settled.steps) == (560, 1000)
    assert 560 < settled.long_from < 1000
