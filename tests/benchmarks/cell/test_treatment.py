"""Checks of the stage before SFT, beside ten lines of transformers on the very model they read."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from benchmarks.cell.cell import run_cell
from benchmarks.cell.prepare import prepare_cell
from benchmarks.cell.train import ground, initialize
from benchmarks.cell.treatment import measure_treatment, permuted_items
from gti.data.streams import numpy_stream
from gti.train.grounding import derangement
from leaderboard.records.record import read_record

PASSES = ("share_of_sft = 0.5", "grounding_passes = 8.0")


def grounded(path, spec_of, method):
    """The cell after the stage before SFT, which shows each pair eight times."""
    path.write_text(path.read_text().replace(*PASSES))
    cell = initialize(prepare_cell(spec_of(path, method)))
    ground(cell)
    measure_treatment(cell)
    return cell


@pytest.fixture(scope="module")
def cells(tmp_path_factory, write_setting, spec_of):
    torch.set_num_threads(1)
    path = write_setting(tmp_path_factory.mktemp("treatment"))
    return {key: grounded(path, spec_of, key) for key in ("gti", "gti_shuffled")}


def rows_of(cell):
    pairs = cell.prepared.ledger.treatment["pairs"]
    return {(row["direction"], row["share"]): row for row in pairs}


def by_hand(cell, direction, pairs):
    """Mean NLL per answer token of (title of item, Semantic ID of another), one at a time."""
    texts, codes = cell.prepared.spec.inputs.dataset.texts, cell.prepared.prompter.sid_ids
    tokenizer, sums, count = cell.prepared.tokenizer, [], 0
    for item, other in pairs:
        title, sid = texts[item]["title"], cell.prepared.prompter.sid_text(other)
        prompt, answer = f"Title: {title}\nItem:", codes[other].tolist()
        if direction == "sid_to_text":
            prompt, answer = f"Item:{sid}\nTitle:", tokenizer.encode(f" {title}")
            answer = [i for i in answer if i != tokenizer.bos_token_id] + [tokenizer.eos_token_id]
        before = tokenizer.encode(prompt, add_special_tokens=False)
        ids = torch.tensor([[tokenizer.bos_token_id, *before, *answer]])
        with torch.no_grad():
            logits = cell.model(input_ids=ids).logits[0, -len(answer) - 1 : -1]
        sums.append(float(cross_entropy(logits, ids[0, -len(answer) :], reduction="sum")))
        count += len(answer)
    return math.fsum(sums) / count


@pytest.mark.parametrize("direction", ["text_to_sid", "sid_to_text"])
def test_pairs_have_the_nll_that_the_library_gives_them(cells, direction):
    for key, cell in cells.items():
        shown = cell.prepared.shown
        beside = shown.items
        if key == "gti_shuffled":
            beside = shown.items[derangement(len(shown.items), numpy_stream(0, "shuffle"))]
        seen = rows_of(cell)[direction, "seen"]
        assert seen["pairs"] == len(shown.items) == 54
        true = by_hand(cell, direction, [(item, item) for item in shown.items])
        assert seen["true"] == pytest.approx(true, rel=1e-4)
        asked = by_hand(cell, direction, zip(shown.items, beside, strict=True))
        assert seen["shown"] == pytest.approx(asked, rel=1e-4)
        held_out = rows_of(cell)[direction, "held_out"]
        true = by_hand(cell, direction, [(item, item) for item in shown.held_out])
        assert held_out["true"] == pytest.approx(true, rel=1e-4)
        assert (held_out["pairs"], held_out["shown"]) == (6, None)


def test_each_method_learned_the_pairs_it_was_shown_and_the_checks_tell_them_apart(cells):
    for direction in ("text_to_sid", "sid_to_text"):
        right, wrong = (rows_of(cells[key])[direction, "seen"] for key in cells)
        assert right["shown"] == right["true"] < right["permuted"] - 0.3
        assert wrong["shown"] < min(wrong["true"], wrong["permuted"]) - 0.3
    found, lost = (cells[key].prepared.ledger.treatment["found"]["seen"] for key in cells)
    assert found["recall_shown"] == found["recall"] > 2 * found["chance"]
    assert lost["recall_shown"] > 2 * lost["recall"]


def test_an_item_counts_as_found_by_how_many_stand_above_it_and_beside_it(cells):
    cell = cells["gti"]
    prepared, texts = cell.prepared, cell.prepared.spec.inputs.dataset.texts
    for share, items in (("seen", prepared.shown.items), ("held_out", prepared.shown.held_out)):
        expected = []
        for item in items:
            prompt = prepared.tokenizer.encode(
                f"Title: {texts[item]['title']}\nItem:", add_special_tokens=False
            )
            codes = torch.from_numpy(prepared.prompter.sid_ids)
            start = torch.tensor([[prepared.tokenizer.bos_token_id, *prompt]]).expand(60, -1)
            with torch.no_grad():
                logits = cell.model(input_ids=torch.cat([start, codes], dim=1)).logits[:, -3:-1]
            logp = logits.log_softmax(dim=-1)
            scores = logp.gather(2, codes[:, :, None]).sum(dim=(1, 2)).numpy()
            better = int((scores > scores[item] + 1e-4).sum())
            equals = int((np.abs(scores - scores[item]) <= 1e-4).sum())
            expected.append(min(1.0, max(0, 10 - better) / equals))
        found = prepared.ledger.treatment["found"][share]
        # The beam holds 20 of 48 Semantic IDs, and codes are chosen one after the other.
        assert found["recall"] == pytest.approx(np.mean(expected), abs=0.03)
        assert (found["asked"], found["chance"]) == (len(items), 10 / 60)


def test_the_record_carries_it_and_a_cell_without_a_stage_has_none(
    write_setting, spec_of, tmp_path
):
    path = write_setting(tmp_path)
    for method in ("mean", "sid_only"):
        record = read_record(run_cell(spec_of(path, method), tmp_path / "results"))
        if method == "mean":
            assert record.treatment is None
            assert "treatment" not in record.cost
            continue
        assert record.cost["treatment"].tokens > 0
        assert [(row.direction, row.share, row.shown) for row in record.treatment.pairs] == [
            (direction, share, None)
            for share in ("seen", "held_out")
            for direction in ("text_to_sid", "sid_to_text")
        ]
        assert {name: of.recall_shown for name, of in record.treatment.found.items()} == {
            "seen": None,
            "held_out": None,
        }


def test_measuring_changes_nothing_that_is_trained_afterwards(cells):
    cell = cells["gti"]
    before = {name: value.clone() for name, value in cell.model.state_dict().items()}
    draws, noted = torch.get_rng_state(), cell.prepared.ledger.treatment
    assert measure_treatment(cell) == cell.prepared.ledger.treatment == noted
    assert torch.equal(torch.get_rng_state(), draws)
    assert all(torch.equal(value, before[name]) for name, value in cell.model.state_dict().items())


def test_a_permutation_gives_no_item_its_own_code_nor_the_one_shown():
    rng = np.random.default_rng(0)
    for count in (3, 5, 40):
        items = np.sort(rng.choice(200, count, replace=False))
        leaf_of = np.arange(200) // (2 if count > 5 else 1)  # many alike
        shown = items[derangement(count, rng)]
        given = permuted_items(items, [items, shown], leaf_of, numpy_stream(0, "treatment"))
        assert sorted(given.tolist()) == items.tolist()
        assert (leaf_of[given] != leaf_of[items]).all()
        assert (leaf_of[given] != leaf_of[shown]).all()
    alike = np.zeros(200, dtype=np.int64)
    assert permuted_items(items, [items], alike, numpy_stream(0, "treatment")) is None
    assert permuted_items(items[:1], [items[:1]], leaf_of, numpy_stream(0, "treatment")) is None
