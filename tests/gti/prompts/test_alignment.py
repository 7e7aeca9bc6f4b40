"""The stream of alignment examples: what is asked, what is answered, and from what."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest

from gti.data.dataset import Dataset, Provenance, leave_one_out
from gti.prompts.alignment import alignment_stream
from gti.prompts.mixture import MixtureError
from gti.prompts.prompter import Prompter
from gti.prompts.wordings import ALIGNMENT_TASKS, FAMILIES

KINDS = ("war", "comedy", "space", "western", "horror")
COLOURS = ("red", "blue", "green", "black", "white", "grey", "pink", "gold")
TEXTS = tuple(
    {
        "title": f"The {KINDS[i % 5]} of {COLOURS[i % 8]} {{sid}} sands {i}",
        "description": f"{KINDS[i % 5].title()} Film, {COLOURS[i // 7]}, {1990 + i % 3}",
    }
    for i in range(40)
)
MIXTURE = dict.fromkeys(FAMILIES, 1.0)
HELD_OUT = range(30, 40)


def histories(users=12, held_out=(30, 31)):
    rng = np.random.default_rng(5)
    drawn = [rng.integers(0, 30, size=rng.integers(2, 26)) for _ in range(users)]
    return [np.append(items, held_out) for items in drawn]


def training(held_out=(30, 31)):
    dataset = Dataset(
        "made",
        tuple(map(str, range(40))),
        TEXTS,
        tuple(map(str, range(12))),
        tuple(histories(held_out=held_out)),
        None,
        Provenance("made here", "none", {}),
    )
    return leave_one_out(dataset).train


class Asked:
    """A prompter that keeps the arguments of every example it builds."""

    def __init__(self, bench, monkeypatch):
        self.prompter = Prompter(
            bench.tokenizer,
            bench.vocabulary,
            bench.sids,
            TEXTS,
            title_field="title",
            detail_fields=("description",),
            style="chat",
            max_text_tokens=256,  # so that eight titles fit
            max_history=8,
            context=2048,
        )
        self.calls = []
        build = self.prompter.example

        def example(task, item, wording=0, history=None):
            self.calls.append((task, item, wording, history))
            return build(task, item, wording, history)

        monkeypatch.setattr(self.prompter, "example", example)

    def stream(self, mixture=MIXTURE, train=None, seed=0):
        generators = np.random.default_rng(seed), np.random.default_rng(seed + 1)
        return alignment_stream(self.prompter, train or training(), mixture, *generators)


@pytest.fixture(params=["tied", "qwen3"])
def asked(request, make_bench, monkeypatch):
    """Plain wordings, and chat wordings in a real template."""
    return Asked(make_bench(request.param), monkeypatch)


def squeezed(text):
    return "".join(text.split())


def expected_answer(prompter, task, item, history):
    title, detail = TEXTS[item]["title"], TEXTS[item]["description"]
    if prompter.tasks[task].answer == "sid":
        return prompter.sid_text(item)
    if prompter.tasks[task].answer == "preference":
        return prompter.user_texts.preference(history[-8:])
    return {"title": title, "detail": detail, "both": title + detail}[prompter.tasks[task].answer]


def test_every_wording_is_drawn_filled_and_answered_right(asked):
    prompter = asked.prompter
    examples = list(islice(asked.stream(), 1800))
    drawn = {(task, wording) for task, _, wording, _ in asked.calls}
    tasks = [task for family in FAMILIES for task in ALIGNMENT_TASKS[family]]
    assert drawn == {(t, w) for t in tasks for w in range(len(prompter.tasks[t].wordings))}
    for example, (task, item, wording, history) in zip(examples, asked.calls, strict=True):
        assert example.task == task
        assert example.targets.tolist() == list(range(example.answer_start, len(example.ids)))
        answer = squeezed(prompter.tokenizer.decode(example.ids[example.answer_start :]))
        end = "<|im_end|>" if prompter.has_template else ""
        if not prompter.has_template and prompter.tasks[task].answer != "sid":
            end = "<|endoftext|>"
        assert answer == squeezed(expected_answer(prompter, task, item, history)) + end
        prompt = squeezed(prompter.tokenizer.decode(example.ids[: example.answer_start]))
        spec = prompter.tasks[task].wordings[wording]
        values = {
            "sid": prompter.sid_text(item),
            "title": TEXTS[item]["title"],
            "detail": TEXTS[item]["description"],
            "intention": prompter.user_texts.intention(item),
        }
        if history is not None:
            shown = history[-8:]
            values["history"] = ",".join(prompter.sid_text(i) for i in shown)
            values["titles"] = "; ".join(TEXTS[i]["title"] for i in shown)
        assert squeezed(spec.format(**values)) in prompt
        assert values.get("intention") != ""


def test_shares_hold_at_every_prefix_of_the_stream(asked):
    mixture = {"item2index": 1.0, "itemsearch": 2.5, "preferenceobtain": 0.5}
    counts = Counter()
    for number, example in enumerate(islice(asked.stream(mixture), 200), start=1):
        counts[example.task.split(".")[0]] += 1
        for family, weight in mixture.items():
            assert abs(counts[family] - number * weight / 4.0) <= 1
    assert set(counts) == set(mixture)


def test_a_pass_asks_each_item_once_per_task_and_the_next_one_in_another_order(asked):
    list(islice(asked.stream({"index2item": 1.0}), 240))
    pairs = [(task, item) for task, item, _, _ in asked.calls]
    first, second = pairs[:120], pairs[120:]
    everything = {(task, item) for task in ALIGNMENT_TASKS["index2item"] for item in range(40)}
    assert set(first) == set(second) == everything
    assert first != second


def test_positions_are_drawn_anew_at_every_pass(asked):
    list(islice(asked.stream({"preferenceobtain": 1.0}), 120))
    lengths = {}
    for _, _, _, history in asked.calls:
        lengths.setdefault(tuple(history[:2]), set()).add(len(history))
    long = [tuple(items[:2]) for items in training() if len(items) > 8]
    assert all(len(lengths[start]) > 1 for start in long)


def test_nothing_is_built_before_it_is_taken(asked):
    stream = asked.stream()
    assert asked.calls == []
    list(islice(stream, 7))
    assert len(asked.calls) == 7


def test_held_out_items_change_nothing(asked):
    kept = [e.ids.tolist() for e in islice(asked.stream(train=training((30, 31))), 300)]
    other = [e.ids.tolist() for e in islice(asked.stream(train=training((38, 39))), 300)]
    assert kept == other


def test_histories_and_their_answers_are_training_items(asked):
    list(islice(asked.stream({"fusionseqrec": 1.0, "itemsearch": 1.0}), 400))
    train = [tuple(items) for items in training()]
    for task, item, _, history in asked.calls:
        if history is not None:
            whole = (*history, item)
            assert any(items[: len(whole)] == whole for items in train), task


def test_the_same_seeds_give_the_same_stream_and_others_another(asked):
    one, two, three = (
        [e.ids.tolist() for e in islice(asked.stream(seed=seed), 60)] for seed in (0, 0, 1)
    )
    assert one == two != three


def test_a_family_that_finds_no_texts_is_an_error_before_the_first_example(asked):
    with pytest.raises(MixtureError, match="preferenceobtain"):
        asked.stream(train=[np.array([1]), np.array([2])], mixture={"preferenceobtain": 1.0})
