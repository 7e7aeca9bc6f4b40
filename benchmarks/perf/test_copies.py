"""bfloat16 copies of the weights beside float32 weights under autocast, both as cells run them."""

import copy
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.cell.scoring import MAX_TOKENS as SEARCH_TOKENS
from benchmarks.cell.train import MAX_TOKENS
from benchmarks.perf.grown import BACKBONES, WORDS, Grown, load_grown
from benchmarks.perf.side_by_side import SideBySide
from benchmarks.perf.test_chat_style import TEMPLATE, noted_gradients
from gti.search.decoding import beam_search, build_trie
from gti.train.finetuning import Step, finetune, query_examples
from gti.train.grounding import ground
from gti.train.training import AdamWSettings

QUERIES, PAIRS, BEAM = 64, 64, 20
STILL = AdamWSettings(learning_rate=0.0, clip_norm=None)


@pytest.fixture(scope="module", params=BACKBONES)
def chat(request: pytest.FixtureRequest, device: torch.device) -> Grown:
    """The backbone with a chat template."""
    return load_grown(name=request.param, device=device, style="chat", template=TEMPLATE)


def queries(chat: Grown) -> list[tuple[str, int]]:
    """Made-up queries of three to eight words, each with an item."""
    drawn, words = np.random.default_rng(0), WORDS.split()
    return [
        (" ".join(drawn.choice(words, int(drawn.integers(3, 9)))), int(drawn.integers(1000)))
        for _ in range(QUERIES)
    ]


def test_a_step_on_queries(chat: Grown, side_by_side: SideBySide, benchmark: Any) -> None:
    """Losses to 3 %, the gradient of all weights by cosine."""
    examples = query_examples(chat.prompter, queries(chat), np.random.default_rng(0))
    losses: dict[str, float | None] = {}
    gradients: dict[str, list[torch.Tensor]] = {}

    def train(way: str, dtype: str, copies: bool) -> None:
        with noted_gradients(chat.model, gradients, way):
            report = finetune(
                chat.model,
                chat.vocabulary,
                [Step(examples, [])],
                STILL,
                seed=0,
                max_tokens=MAX_TOKENS[chat.device.type],
                dtype=dtype,
                copies=copies,
            )
        losses[way] = report.first_loss

    side_by_side.run(
        benchmark,
        f"SFT, queries: copies against autocast, {chat.name}, bfloat16",
        lambda: train("plain", "bfloat16", False),
        lambda: train("fast", "bfloat16", True),
        units=sum(example.num_targets for example in examples),
        unit="targets",
        rounds=2,
    )
    train("exact", "float32", False)
    assert losses["fast"] == pytest.approx(losses["plain"], rel=0.03)
    ours, exact = (torch.cat([g.flatten() for g in gradients[way]]) for way in ("fast", "exact"))
    assert float(torch.cosine_similarity(ours.double(), exact.double(), dim=0)) >= 0.999


def test_grounding_both_directions(chat: Grown, side_by_side: SideBySide, benchmark: Any) -> None:
    """Losses to 3 %."""
    batches = [chat.grounding_pairs[:PAIRS], chat.grounding_pairs[PAIRS : 2 * PAIRS]]
    seen: dict[str, list[float]] = {}

    def train(way: str, copies: bool) -> None:
        seen[way] = []
        ground(
            copy.deepcopy(chat.model),
            chat.vocabulary,
            batches,
            AdamWSettings(learning_rate=1e-3),
            max_tokens=MAX_TOKENS[chat.device.type],
            dtype="bfloat16",
            copies=copies,
            progress=lambda done, steps, loss: seen[way].append(loss),
        )

    side_by_side.run(
        benchmark,
        f"grounding, text↔SID: copies against autocast, {chat.name}, bfloat16",
        lambda: train("plain", False),
        lambda: train("fast", True),
        units=2 * PAIRS,
        unit="pairs",
        rounds=2,
    )
    np.testing.assert_allclose(seen["fast"], seen["plain"], rtol=0.03)


def test_beam_search_for_queries(chat: Grown, side_by_side: SideBySide, benchmark: Any) -> None:
    """Four of five of the first ten in common."""
    trie = build_trie(chat.semantic_ids, chat.vocabulary, chat.device)
    prompts = [chat.prompter.query_prompt(text) for text, _ in queries(chat)]
    chat.model.eval()
    found: dict[str, Any] = {}
    bound = SEARCH_TOKENS[chat.device.type]

    def plain() -> None:
        kind = chat.device.type
        with torch.autocast(kind, dtype=torch.bfloat16, cache_enabled=False):
            found["plain"] = beam_search(chat.model, trie, prompts, BEAM, max_tokens=bound)

    def fast() -> None:
        found["fast"] = beam_search(
            chat.model, trie, prompts, BEAM, max_tokens=bound, dtype="bfloat16"
        )

    side_by_side.run(
        benchmark,
        f"beam {BEAM}, queries: copies against autocast, {chat.name}, bfloat16",
        plain,
        fast,
        units=len(prompts),
        unit="queries",
        rounds=2,
    )
    pairs = zip(found["fast"].leaves[:, :10], found["plain"].leaves[:, :10], strict=True)
    assert np.mean([np.isin(ours, theirs).mean() for ours, theirs in pairs]) >= 0.8
