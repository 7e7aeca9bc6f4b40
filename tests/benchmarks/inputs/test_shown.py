"""Items that a setting holds out of all texts: which they are, and that no method meets one."""

import hashlib
from itertools import islice

import numpy as np
import pytest

from baselines.registry import methods
from benchmarks.cell.prepare import prepare_cell
from benchmarks.cell.train import initialize
from benchmarks.inputs.inputs import InputError
from benchmarks.inputs.shown import shown_to_methods
from gti.data.streams import numpy_stream
from gti.method import GroundingPlan
from gti.prompts.alignment import alignment_stream
from gti.train.grounding import grounding_examples

PLANS = (
    GroundingPlan(),
    GroundingPlan(shuffled=True),
    GroundingPlan(on="codes"),
    GroundingPlan(on="states"),
)


@pytest.fixture
def spec(write_setting, spec_of, tmp_path):
    return spec_of(write_setting(tmp_path), "lc_rec")


def with_share(setting, share):
    grounding = setting.grounding.model_copy(update={"held_out_share": share})
    return setting.model_copy(update={"grounding": grounding})


def test_they_are_the_first_by_the_hash_of_their_ids(spec):
    ids = spec.inputs.dataset.item_ids
    hashes = [hashlib.sha256(f"held-out\t{name}".encode()).hexdigest() for name in ids]
    first = sorted(range(len(ids)), key=hashes.__getitem__)[:6]  # a tenth of 60
    shown = shown_to_methods(spec.setting, spec.inputs)
    assert shown.held_out.tolist() == sorted(first)
    assert shown.items.tolist() == sorted(set(range(60)) - set(first))
    assert [item for item, texts in enumerate(shown.texts) if not texts] == sorted(first)
    fewer = shown_to_methods(with_share(spec.setting, 0.05), spec.inputs)
    assert set(fewer.held_out) < set(first)


def test_they_stand_in_no_pair_and_no_task_and_stay_in_the_retrieval_stream(spec):
    prepared = prepare_cell(spec)
    prompter, shown, sids = prepared.prompter, prepared.shown, prepared.prompter.sid_ids
    known = {tuple(sids[item]) for item in shown.items}
    hidden = [item for item in shown.held_out.tolist() if tuple(sids[item]) not in known]
    assert hidden  # others share their Semantic ID with an item that is shown
    stream = alignment_stream(
        prompter, shown.train, spec.setting.auxiliary.mixture,
        numpy_stream(0, "auxiliary-order"), numpy_stream(0, "auxiliary-wording"),
    )  # fmt: skip
    examples = [*islice(stream, 600)]
    for plan in PLANS:
        examples += grounding_examples(prompter, plan, numpy_stream(0, "shuffle"), shown.items)
    assert not any(holds(example.ids, sids[item]) for example in examples for item in hidden)
    texts = [prepared.tokenizer.decode(example.ids) + " " for example in examples]
    titles = [spec.inputs.dataset.texts[item]["title"] for item in shown.held_out]
    assert any("The war film 0 " in text.replace("<", " ").replace("\n", " ") for text in texts)
    for title in titles:
        number = title.split()[-1]
        assert not any(number in text.replace("\n", " ").split() for text in texts), title
    retrieval = [example.ids for batch in prepared.budget.batches for example in batch]
    assert any(holds(ids, sids[item]) for ids in retrieval for item in hidden)


def holds(ids, part):
    windows = np.lib.stride_tricks.sliding_window_view(ids, len(part))
    return bool((windows == part).all(axis=1).any())


@pytest.mark.parametrize("method", ["description", "keywords"])
def test_they_are_in_no_first_row(write_setting, spec_of, tmp_path, monkeypatch, method):
    given, own = [], type(methods()[method])
    plain = own.initialize

    def kept(self, start):
        given.append(start)
        return plain(self, start)

    monkeypatch.setattr(own, "initialize", kept)
    prepared = prepare_cell(spec_of(write_setting(tmp_path), method))
    held_out = prepared.shown.held_out
    initialize(prepared)
    (start,) = given
    assert [start.item_texts[item] for item in held_out] == [{}] * len(held_out)
    assert not any(np.isin(history, held_out).any() for history in start.train)


def test_a_share_of_fewer_than_two_items_is_refused_with_the_way_out(spec):
    with pytest.raises(
        InputError, match=r"0.01 of 60 items with a title is 1 item\(s\).*set it to 0"
    ):
        shown_to_methods(with_share(spec.setting, 0.01), spec.inputs)
