"""What a record says of memory that ran out."""

import pytest
import torch

from benchmarks.cell.ledger import Ledger
from gti.search import decoding
from gti.train import finetuning
from gti.train.constant_prefixes import ConstantPrefixes
from gti.train.training import StageReport
from leaderboard.records.ranks import read_ranks
from leaderboard.records.record import ranks_path, read_record
from leaderboard.verify.verify import verify


def test_each_cut_is_a_sentence_and_none_is_said_where_memory_sufficed():
    ledger = Ledger(torch.device("cpu"), "float32")
    ledger.close_stage("sft", 1.0, {}, StageReport(steps=1), [])
    ledger.note_search(None)
    assert ledger.warnings == []
    ledger.close_stage("sft", 1.0, {}, StageReport(steps=1, uncopied="a reason"), [])
    (uncopied,) = ledger.warnings
    assert uncopied.startswith("sft: bfloat16 was computed under autocast")
    assert uncopied.endswith(": a reason")
    ledger.warnings.clear()
    done = StageReport(steps=1, smallest_micro_batch=512, gave_up_prefixes=True)
    ledger.close_stage("grounding", 1.0, {}, done, [])
    ledger.note_search(700)
    micro, prefixes, search = ledger.warnings
    assert micro == "grounding: out of memory; micro-batches were cut to 512 tokens"
    assert prefixes.startswith("grounding: out of memory; the constants behind")
    assert search.startswith("score: out of memory; batches of users were cut to 700 tokens")


@pytest.fixture
def scarce(monkeypatch):
    """Memory for no pool of prefixes, 70 padded tokens of SFT and three users, from here on."""
    error = torch.OutOfMemoryError("no memory left")

    def no_pool(self, like):
        raise error

    loss, read = finetuning.answer_loss, decoding.read

    def small_loss(model, batch):
        if batch.ids.numel() > 70:
            raise error
        return loss(model, batch)

    def few_users(model, ids, *others):
        if len(ids) > 3:
            raise error
        return read(model, ids, *others)

    monkeypatch.setattr(ConstantPrefixes, "_make_pool", no_pool)
    defaults = {**finetuning.finetune.__kwdefaults__, "batch_loss": small_loss}
    monkeypatch.setattr(finetuning.finetune, "__kwdefaults__", defaults)
    monkeypatch.setattr(decoding, "read", few_users)


def test_a_cell_survives_scarce_memory_and_its_record_says_so(
    write_setting, cell_here, tmp_path, request
):
    setting = write_setting(tmp_path, passes="0.25", max_history="3", window="3")
    plenty = cell_here(setting, "gti", tmp_path / "plenty")
    request.getfixturevalue("scarce")
    little = cell_here(setting, "gti", tmp_path / "little")
    assert not [text for text in read_record(plenty).warnings if "memory" in text]
    said = [text for text in read_record(little).warnings if "memory" in text]
    assert [text.partition(":")[0] for text in said] == ["grounding", "sft", "score"]
    assert "micro-batches were cut to 64 tokens" in said[1]
    assert not [finding for finding in verify(little) if finding.level == "error"]
    one, other = (read_ranks(ranks_path(path)) for path in (plenty, little))
    assert one.in_beam.tolist() == other.in_beam.tolist()
    assert abs(one.num_better - other.num_better).max() <= 1  # float order alone
