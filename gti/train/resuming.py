"""What of a training stage must be kept so that it goes on later to the very same bits.

Orders and wordings are functions of the seed and dropout is seeded step by step, so what is left
is what steps change: trained values, the optimiser's moments, the report so far, and whether
memory had run out.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from gti.train.batches import MicroBatcher
from gti.train.training import StageReport


@dataclass(frozen=True)
class Kept:
    """What is kept of something that goes on later.

    Attributes:
        numbers: JSON-ready values.
        tensors: by name; those that training changes, not copies.
    """

    numbers: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)


class StageKeeper(Protocol):
    """Keeps the state of a stage while it runs."""

    def begin(self, state: Callable[[], Kept]) -> Kept | None:
        """Told how to get the state between steps; gives the one to go on from, if there is one."""

    def after_step(self) -> None:
        """Called after each step: the moment to ask for the state, if it is to be kept."""


class KeepsNothing:
    """A stage that begins at its first step and is never kept."""

    def begin(self, state: Callable[[], Kept]) -> Kept | None:
        """Nothing to go on from."""
        return None

    def after_step(self) -> None:
        """Keeps nothing."""


def go_on(
    keeper: StageKeeper,
    parameters: Sequence[torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    report: StageReport,
    runner: MicroBatcher,
    touched: Tensor | None = None,
) -> int:
    """Lets `keeper` keep a stage, and puts the stage where it was kept, if it was.

    Args:
        keeper: of the stage.
        parameters: what the stage trains, in the same order each time.
        optimizer: over them.
        report: of the stage; `steps` are those done.
        runner: its bound on micro-batches is kept too.
        touched: [num_new] rows that a gradient has reached, where the stage counts them.

    Returns:
        Steps that are done already.
    """

    def state() -> Kept:
        tensors = {} if touched is None else {"touched": touched}
        for place, parameter in enumerate(parameters):
            tensors[f"value.{place}"] = parameter.detach()
            for name, moment in optimizer.state.get(parameter, {}).items():
                tensors[f"{name}.{place}"] = moment
        numbers = {"max_tokens": runner.max_tokens, "halved": runner.halved}
        return Kept({**numbers, "report": asdict(report)}, tensors)

    kept = keeper.begin(state)
    if kept is None:
        return 0
    for name, number in kept.numbers["report"].items():
        setattr(report, name, number)
    runner.max_tokens, runner.halved = kept.numbers["max_tokens"], kept.numbers["halved"]
    with torch.no_grad():
        for name, tensor in kept.tensors.items():
            what, _, place = name.partition(".")
            if what == "touched":
                assert touched is not None  # the same stage kept it
                touched.copy_(tensor)
            elif what == "value":
                parameters[int(place)].copy_(tensor)
            else:
                owner = parameters[int(place)]
                optimizer.state[owner][what] = tensor.to(owner.device, copy=True)
    return report.steps
