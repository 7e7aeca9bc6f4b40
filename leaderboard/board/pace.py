"""One pace for all cells of a board: what its machine did per second, stage by stage.

Cells run beside whatever else a machine has to do, so that two that did the same work took
unlike times: seconds as measured compare the hours at which methods ran. What a method asks for
is its FLOPs; at one pace they are seconds that compare methods.
"""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.records.parts import Cost
from leaderboard.records.record import Record

PACED = ("grounding", "grounding_free", "sft")
"""Stages that train: all others have no FLOPs that are counted."""

Machine = tuple[str, str, str, int, str]


@dataclass(frozen=True)
class Pace:
    """Nominal FLOPs per second of the machine that most cells of a board ran on.

    Attributes:
        machine: in words.
        num_cells: how many ran there and count.
        slowest, fastest: of those cells, in SFT.
        rates: stage → median over those cells that have it. Stages differ for good: nominal
            FLOPs are the plain form's, of which a stage that trains few rows leaves out more.
    """

    machine: str
    num_cells: int
    slowest: float
    fastest: float
    rates: dict[str, float]

    def seconds(self, stage: str, cost: Cost) -> float | None:
        """What `cost` of a `stage` would have taken; None where its FLOPs were not counted.

        A stage that does not train takes what it took.
        """
        if stage not in PACED:
            return cost.seconds
        if stage not in self.rates or cost.nominal_flops is None:
            return None
        return cost.nominal_flops / self.rates[stage]


def pace_of(records: Sequence[Record]) -> Pace | None:
    """The pace of the machine with the most of `records`; None where no rate of SFT is known."""
    known = [record for record in records if _rate(record, "sft") is not None]
    if not known:
        return None
    counts = Counter(map(_machine, known))
    machine = min(counts, key=lambda each: (-counts[each], each))
    there = [record for record in known if _machine(record) == machine]
    found = {
        stage: [rate for record in there if (rate := _rate(record, stage)) is not None]
        for stage in PACED
    }
    return Pace(
        machine=_words(machine),
        num_cells=len(there),
        slowest=min(found["sft"]),
        fastest=max(found["sft"]),
        rates={stage: statistics.median(rates) for stage, rates in found.items() if rates},
    )


def _rate(record: Record, stage: str) -> float | None:
    """Nominal FLOPs per second of one stage of one cell."""
    cost = record.cost.get(stage)
    if cost is None or not cost.nominal_flops or cost.seconds <= 0:
        return None
    return cost.nominal_flops / cost.seconds


def _machine(record: Record) -> Machine:
    """What makes cells' times comparable, but for the load."""
    where = record.environment
    return (
        where.processor,
        where.instruction_set or "",
        where.device,
        where.threads,
        where.dtype,
    )


def _words(machine: Machine) -> str:
    """`Intel(R) Xeon(R) Processor, AVX512, cpu, 1 thread, float32`."""
    processor, instructions, device, threads, dtype = machine
    parts = [processor, instructions, device, f"{threads} thread{'s' if threads > 1 else ''}"]
    return ", ".join(part for part in [*parts, dtype] if part)
