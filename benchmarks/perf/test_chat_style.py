"""Chat prompts that share their beginnings beside one prompt per target in transformers' Trainer.

Both take the same optimiser step twice: forward, backward, AdamW, at a rate of 0, so that every
round starts from the same weights.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook

from benchmarks.perf.grown import BACKBONES, Grown, load_grown
from benchmarks.perf.side_by_side import SideBySide
from gti.prompts.prompter import Example
from gti.train.finetuning import Step, finetune, retrieval_examples
from gti.train.training import AdamWSettings

TARGETS = 40
STEPS = 2
MAX_TOKENS = 4096
# As many tokens around a turn as SmolLM2 and Qwen3 have; nano has one control token.
TEMPLATE = (
    "{% for message in messages %}<|endoftext|>{{ message.role }}\n{{ message.content }}"
    "<|endoftext|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|endoftext|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module", params=BACKBONES)
def chat(request: pytest.FixtureRequest, device: torch.device) -> Grown:
    """The backbone with a chat template; its new rows' values do not matter here."""
    chat = load_grown(
        name=request.param, device=device, style="chat", template=TEMPLATE, max_history=20
    )
    chat.model.train()
    return chat


def step_of(chat: Grown, items: int) -> list[Example]:
    """`TARGETS` targets out of histories that show up to `items` items before each."""
    histories = [chat.history(items + 1, user) for user in range(TARGETS // items)]
    return retrieval_examples(chat.prompter, histories, 0, np.random.default_rng(0))


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


def trainer(chat: Grown, examples: list[Example], folder: Path) -> Any:
    """The Trainer of transformers, `STEPS` steps over all of `examples` each."""
    from transformers import Trainer, TrainingArguments

    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=len(examples),
        max_steps=STEPS,
        learning_rate=0.0,
        max_grad_norm=0.0,
        use_cpu=chat.device.type == "cpu",
        bf16=chat.dtype == "bfloat16",
        save_strategy="no",
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    dataset: Any = examples
    return Trainer(model=chat.model, args=arguments, train_dataset=dataset, data_collator=padded)


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
    chat: Grown,
    items: int,
    side_by_side: SideBySide,
    benchmark: Any,
    tmp_path: Path,
) -> None:
    """Same loss and gradient of every weight; targets per second and peak memory of both."""
    examples = step_of(chat, items)
    assert len(examples) == TARGETS
    losses: dict[str, float] = {}
    gradients: dict[str, list[Tensor]] = {}
    settings = AdamWSettings(learning_rate=0.0, clip_norm=None)

    def plain() -> None:
        run = trainer(chat, examples, tmp_path)
        with noted_gradients(chat.model, gradients, "plain"):
            run.train()
        losses["plain"] = run.state.log_history[0]["loss"]

    def fast() -> None:
        steps = [Step(examples, [])] * STEPS
        with noted_gradients(chat.model, gradients, "fast"):
            report = finetune(
                chat.model,
                chat.vocabulary,
                steps,
                settings,
                seed=0,
                max_tokens=MAX_TOKENS,
                dtype=chat.dtype,
            )
        assert report.unshared is None
        assert report.first_loss is not None
        losses["fast"] = report.first_loss

    side_by_side.run(
        benchmark,
        f"SFT, chat, {items} items: shared beginnings{chat.suffix}",
        plain,
        fast,
        units=TARGETS * STEPS,
        unit="target items",
        rounds=2,
    )
    # The Trainer logs its loss to four or more digits.
    np.testing.assert_allclose(losses["fast"], losses["plain"], **chat.close(0.0, 1e-3))
    close = chat.close(1e-3, 1e-4)
    for ours, theirs in zip(gradients["fast"], gradients["plain"], strict=True):
        scale = float(theirs.abs().max())
        torch.testing.assert_close(ours, theirs, rtol=close["rtol"], atol=close["atol"] * scale)
