"""What is asked: prompts that do not fit are refused by name before anything is trained."""

import json
import re
import shutil

import numpy as np
import pytest

from benchmarks.cell.prepare import prepare_cell
from gti.prompts.prompter import PromptError

QUERIES = """
[queries]
rule = "item_texts"
sha256 = "unpinned"
per_item = 4
words = 3
category_fields = ["description"]
gains = [1.0, 3.0]
"""


@pytest.fixture
def with_context(tmp_path, tiny_qwen3, write_setting):
    """`with_context(tokens, style, queries="")`: a setting on a backbone of that context."""

    def write(tokens, style, queries="", **changes):
        backbone = tmp_path / "backbone"
        shutil.copytree(tiny_qwen3, backbone, dirs_exist_ok=True)
        config = json.loads((backbone / "config.json").read_text())
        config["max_position_embeddings"] = tokens
        (backbone / "config.json").write_text(json.dumps(config))
        path = write_setting(tmp_path, style=style, **changes)
        text = path.read_text().replace('name = "nano"', f'name = "{backbone}"')
        path.write_text(text + queries)
        return path

    return write


@pytest.fixture
def refusal(cell_here, tmp_path):
    """`refusal(setting)`: why its cell is refused; nothing was trained by then."""

    def run(setting):
        events = []
        with pytest.raises(PromptError) as caught:
            cell_here(setting, "gti", tmp_path / "results", report=events.append)
        stages = {event.get("stage") for event in events}
        assert not stages & {"grounding", "sft", "score"}
        assert not list((tmp_path / "results").rglob("seed-*"))
        return str(caught.value)

    return run


@pytest.mark.parametrize("style", ["sequence", "chat"])
def test_a_history_that_does_not_fit_is_refused_with_its_user(with_context, refusal, style):
    setting = with_context(24, style)
    said = refusal(setting)
    pattern = r"user '(\d+)', a history of 9 items: \d+ tokens do not fit .* 24; lower max_history"
    user = int(re.match(pattern, said)[1])
    histories = json.loads((setting.parent / "data" / "tiny" / "Tiny.inter.json").read_text())
    assert len(histories[str(user)]) >= 9 + 1


def test_a_training_window_that_does_not_fit_is_refused_with_its_user(with_context, refusal):
    said = refusal(with_context(36, "sequence", max_history="2", window="14"))
    assert re.match(r"user '\d+', a window of 1?\d items: \d+ tokens .* lower window in", said)


def test_an_item_text_that_does_not_fit_is_refused_with_its_item(with_context, refusal):
    setting = with_context(250, "sequence", max_text_tokens="200")
    items = setting.parent / "data" / "tiny" / "Tiny.item.json"
    texts = json.loads(items.read_text())
    texts["17"]["description"] = "a very long tale " * 30
    items.write_text(json.dumps(texts))
    said = refusal(with_context(250, "sequence", max_text_tokens="200"))
    assert re.match(r"item '17' in task \w+: \d+ tokens .* lower max_history or max_text", said)


def test_a_query_that_does_not_fit_is_refused_with_its_key(with_context, refusal):
    said = refusal(with_context(30, "chat", QUERIES))
    assert re.match(r"query '(item/\d+/\d|category/.*)', query '.*': \d+ tokens .* 30; lower", said)


@pytest.mark.parametrize(("style", "queries"), [("sequence", ""), ("chat", ""), ("chat", QUERIES)])
def test_held_out_prompts_are_refused_at_once_where_one_of_them_would_be(
    with_context, spec_of, style, queries
):
    cell = prepare_cell(spec_of(with_context(2048, style, queries), "mean"))
    track, prompter = cell.scorer.track, cell.prompter
    levels = prompter.semantic_ids.num_levels

    def longest():
        rows = {part: np.arange(len(track.sizes(part))) for part in ("validation", "test")}
        return max(len(ids) for part in rows for ids in track.prompts(part, rows[part], 0))

    needed = longest() + levels
    prompter.context = needed
    track.check(1)
    prompter.context = needed - 1
    with pytest.raises(PromptError):
        track.check(1)
