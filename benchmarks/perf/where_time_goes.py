"""Where the time of fine-tuning goes: `python -m benchmarks.perf.where_time_goes`.

Profiles steps of `nano` as the setting `ml-100k-nano` has them (6 windows of 20 items; made-up
histories, one thread) and prints the share of each part. The profiler's own cost falls mostly on
small operations and on Python, so the shares of these are upper bounds.
"""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from tabulate import tabulate
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.inputs.catalogue import find_setting
from benchmarks.perf.grown import Grown, load_grown
from gti.train.finetuning import Step, finetune
from leaderboard.records.setting import Setting

WHOLE = "gti::fine_tuning"
"""Label of all that is profiled; its own time is what no operation of torch takes."""
PARTS = {
    "head and loss": ("_HeadLoss", "autograd::engine::evaluate_function: _HeadLossBackward"),
    "AdamW": ("Optimizer.step#AdamW.step",),
    "attention": ("aten::scaled_dot_product_attention", "autograd::engine::evaluate_function: Sca"),
    "matrix products of the body": ("aten::mm", "aten::addmm", "aten::bmm"),
    "embedding": ("aten::embedding", "autograd::engine::evaluate_function: EmbeddingBackward"),
}
"""Part → beginnings of the names of the outermost operations that it is made of."""
OTHER = "norms, rotary positions, activations, residuals, clipping"
OUTSIDE = "outside torch's operations: batches, Python"


def _lineage(event: Any) -> Iterator[str]:
    """Names of `event` and of what it was called by, outwards."""
    while event is not None:
        yield event.name
        event = event.cpu_parent


def part_of(names: Sequence[str]) -> str:
    """The part that an operation belongs to.

    Args:
        names: of itself and of what it was called by, outwards.
    """
    if names[0] == WHOLE:
        return OUTSIDE
    for part, beginnings in PARTS.items():
        if any(name.startswith(beginnings) for name in names):
            return part
    return OTHER


def shares(events: Sequence[Any]) -> dict[str, float]:
    """Part → its share of the time of all `events` of a profile, the largest first."""
    spent: dict[str, float] = {}
    for event in events:
        part = part_of(list(_lineage(event)))
        spent[part] = spent.get(part, 0.0) + event.self_cpu_time_total
    total = sum(spent.values())
    return {part: spent[part] / total for part in sorted(spent, key=lambda part: -spent[part])}


def profiled(grown: Grown, setting: Setting, steps: int) -> dict[str, float]:
    """Shares of `steps` steps of SFT as `setting` has them, after two that are not counted."""
    model = grown.fresh_model().requires_grad_(True)
    batch = grown.windows(setting.sft.batch_size, setting.prompts.window)

    def train(count: int) -> None:
        todo = [Step(batch, [])] * count
        finetune(model, grown.vocabulary, todo, setting.sft, seed=0, max_tokens=4096)

    train(2)
    with profile(activities=[ProfilerActivity.CPU]) as run, record_function(WHOLE):
        train(steps)
    return shares([event for event in run.events() if WHOLE in _lineage(event)])


def main(arguments: Sequence[str] | None = None) -> None:
    """Profiles and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=30)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)  # and deterministic kernels, as cells run
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    found = profiled(load_grown(), find_setting("ml-100k-nano").setting, asked.steps)
    rows = [(part, f"{share:.1%}") for part, share in found.items()]
    print(tabulate(rows, ["part", "share"], tablefmt="pipe", colalign=("left", "right")))


if __name__ == "__main__":
    main()
