"""Chat prompts that share their beginnings beside one prompt per target in transformers' Trainer.

Both take the same optimiser step twice: forward, backward, AdamW, at a rate of 0, so that every
round starts from the same weights. `GTI_BENCH_PERF_BACKBONES=nano,smollm2-135m` also times the
larger backbone, where its weights are in the cache: minutes on a CPU.
"""

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook

from benchmarks.backbones import load_backbone
from benchmarks.inputs import COMMITTED_SIDS
from benchmarks.perf.side_by_side import SideBySide
from gti.finetuning import Step, finetune, retrieval_examples
from gti.prompts import Example, Prompter
from gti.semantic_ids import SemanticIds
from gti.training import AdamWSettings
from gti.vocabulary import Vocabulary, extend_vocabulary

BACKBONES = os.environ.get("GTI_BENCH_PERF_BACKBONES", "nano").split(",")
TARGETS = 40
STEPS = 2
MAX_TOKENS = 4096
# As many tokens around a turn as SmolLM2 and Qwen3 have; nano has one control token.
TEMPLATE = (
    "{% for message in messages %}<|endoftext|>{{ message.role }}\n{{ message.content }}"
    "<|endoftext|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|endoftext|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class ChatSetup:
    """A grown backbone and what builds its chat prompts; 3 × 64 codes of 1,682 items."""

    model: Any
    vocabulary: Vocabulary
    prompter: Prompter

    def step(self, items: int) -> list[Example]:
        """`TARGETS` targets out of histories that show up to `items` items before each."""
        drawn = np.random.default_rng(items)
        count = self.prompter.semantic_ids.num_items
        histories = [drawn.integers(0, count, items + 1) for _ in range(TARGETS // items)]
        return retrieval_examples(self.prompter, histories, 0, np.random.default_rng(0))


@pytest.fixture(scope="module", params=BACKBONES)
def chat(request: pytest.FixtureRequest) -> ChatSetup:
    """The backbone with one row per code, whose values do not matter here."""
    backbone = load_backbone(request.param, offline=True)
    tokenizer, model = copy.deepcopy(backbone.tokenizer), copy.deepcopy(backbone.model)
    if tokenizer.chat_template is None:
        tokenizer.chat_template = TEMPLATE
    path = COMMITTED_SIDS / "ml-100k-residual_kmeans-3x64-seed0.npz"
    semantic_ids = SemanticIds.from_file(path)
    vocabulary = extend_vocabulary(tokenizer, model, semantic_ids.tokens)
    prompter = Prompter(
        tokenizer,
        vocabulary,
        semantic_ids,
        [{"title": "a"}] * semantic_ids.num_items,
        title_field="title",
        detail_fields=("title",),
        style="chat",
        max_text_tokens=48,
        max_history=20,
        context=model.config.max_position_embeddings,
    )
    return ChatSetup(model.train(), vocabulary, prompter)


def padded(features: list[Example]) -> dict[str, Tensor]:
    """One prompt per row with its mask, and labels at the answer alone."""
    shape = (len(features), max(map(len, features)))
    ids, mask = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, -100)
    for row, example in enumerate(features):
        ids[row, : len(example)] = torch.from_numpy(example.ids)
        mask[row, : len(example)] = 1
        labels[row, example.targets] = torch.from_numpy(example.ids[example.targets])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def trainer(model: Any, examples: list[Example], folder: Path) -> Any:
    """The Trainer of transformers, `STEPS` steps over all of `examples` each."""
    from transformers import Trainer, TrainingArguments

    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=len(examples),
        max_steps=STEPS,
        learning_rate=0.0,
        max_grad_norm=0.0,
        use_cpu=True,
        save_strategy="no",
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    dataset: Any = examples
    return Trainer(model=model, args=arguments, train_dataset=dataset, data_collator=padded)


@contextmanager
def noted_gradients(model: Any, into: dict[str, list[Tensor]], way: str) -> Iterator[None]:
    """Keeps the gradients of the last optimiser step under `way`."""

    def keep(*_: Any) -> None:
        into[way] = [weight.grad.clone() for weight in model.parameters()]

    handle = register_optimizer_step_pre_hook(keep)
    try:
        yield
    finally:
        handle.remove()


@pytest.mark.parametrize("items", [5, 20])
def test_shared_beginnings_give_the_gradient_of_one_prompt_per_target(
    chat: ChatSetup,
    items: int,
    side_by_side: SideBySide,
    benchmark: Any,
    tmp_path: Path,
) -> None:
    """Same loss and gradient of every weight; targets per second and peak memory of both."""
    examples = chat.step(items)
    assert len(examples) == TARGETS
    losses: dict[str, float] = {}
    gradients: dict[str, list[Tensor]] = {}
    settings = AdamWSettings(learning_rate=0.0, clip_norm=None)

    def plain() -> None:
        run = trainer(chat.model, examples, tmp_path)
        with noted_gradients(chat.model, gradients, "plain"):
            run.train()
        losses["plain"] = run.state.log_history[0]["loss"]

    def fast() -> None:
        steps = [Step(examples, [])] * STEPS
        with noted_gradients(chat.model, gradients, "fast"):
            report = finetune(
                chat.model, chat.vocabulary, steps, settings, seed=0, max_tokens=MAX_TOKENS
            )
        assert report.unshared is None
        assert report.first_loss is not None
        losses["fast"] = report.first_loss

    side_by_side.run(
        benchmark,
        f"SFT, chat, {items} items, d = {chat.model.config.hidden_size}: shared beginnings",
        plain,
        fast,
        units=TARGETS * STEPS,
        unit="target items",
        rounds=2,
        memory=True,
    )
    # The Trainer logs its loss to four or more digits.
    assert losses["fast"] == pytest.approx(losses["plain"], abs=1e-3)
    for ours, theirs in zip(gradients["fast"], gradients["plain"], strict=True):
        scale = float(theirs.abs().max())
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * scale)
